//! A leader that may have been deposed does not tell anybody that a session is gone: another may have begun it since.

use bytes::Bytes;
use oxkeeper_auth::{SchemeOptions, Schemes};
use oxkeeper_proto::{SessionId, Zxid};
use oxkeeper_replica::core::{Core, CoreOptions, DiskStep, Input, LocalSessions, Output};
use oxkeeper_replica::inbox::Item;
use oxkeeper_replica::prepare::PrepareOptions;
use oxkeeper_replica::request::{ConnId, Now};
use oxkeeper_tree::{Tree, TreeOptions};
use oxkeeper_zab::packet::{self, LearnerInfo, PROTOCOL_VERSION};
use oxkeeper_zab::{Config, Durable, LinkId, Packet, PacketKind, Peer, PeerOptions, PeerState, Sid, encode_notification};
use std::sync::Arc;

const CONNECTION: ConnId = ConnId { front: 0, slot: 0, generation: 0 };
const FOLLOWER: LinkId = LinkId(1);

struct Leader {
    core: Core,
    tree: Tree,
    now: Now,
}

impl Leader {
    /// Server 3 of three, which server 1 follows.
    fn followed_by_one() -> Self {
        let options = CoreOptions {
            tick_ms: 1000,
            sid: 3,
            prepare: PrepareOptions { extended_types: false, emulate_353_ttl: false, enforce_quota: false, reconfig_enabled: false },
            digest_enabled: true,
            close_session_txn: true,
            max_length: 1 << 20,
            local_sessions: LocalSessions::Off,
            read_only_after_ms: None,
        };
        let (tree, now) = (Tree::new(TreeOptions::default()), Now { mono_ms: 1_000_000, wall_ms: 1_700_000_000_000 });
        let config = Config::parse("server.1=127.0.0.1:1:2\nserver.2=127.0.0.1:3:4\nserver.3=127.0.0.1:5:6").expect("members");
        let durable = Durable { last_zxid: Zxid::ZERO, accepted: 0, current: 0, in_doubt: false };
        let peer = Peer::member(PeerOptions::new(Sid(3)), config, durable, now.mono_ms);
        let schemes = Arc::new(Schemes::new(&SchemeOptions::default()).expect("the defaults are good"));
        let core = Core::member(options, schemes, peer, &tree, now);
        let mut leader = Self { core, tree, now };

        let message = encode_notification(PeerState::Looking, Sid(3), 0, 1, 0, "version=0");
        leader.tell(Input::Notification { from: Sid(1), message });
        leader.now.mono_ms += 5_000;
        leader.tell(Input::Tick);
        leader.tell(Input::LinkUp { link: FOLLOWER });
        let info = LearnerInfo { sid: Some(Sid(1).0), protocol_version: PROTOCOL_VERSION, config_version: Some(0) };
        leader.hears(Packet::with_data(PacketKind::FOLLOWERINFO, Zxid::ZERO, info.encode()));
        leader.hears(Packet::with_data(PacketKind::ACKEPOCH, Zxid::ZERO, Bytes::from_static(&[0; 4])));
        let said = leader.hears(Packet::new(PacketKind::ACK, Zxid::new(1, 0)));
        assert!(sent(&said).contains(&PacketKind::UPTODATE), "{said:?}");
        leader.hears(Packet::new(PacketKind::ACK, Zxid::new(1, 0)));
        leader
    }

    /// What comes of it, disk steps being done at once.
    fn tell(&mut self, input: Input) -> Vec<Output> {
        self.core.handle(self.now, &self.tree, input);
        let mut outputs = Vec::new();
        while let Some(output) = self.core.poll() {
            if let Output::Disk(DiskStep::Barrier(step)) = output {
                self.core.handle(self.now, &self.tree, Input::Done { step });
            }
            outputs.push(output);
        }
        outputs
    }

    fn hears(&mut self, packet: Packet) -> Vec<Output> {
        self.tell(Input::Packet { link: FOLLOWER, packet })
    }
}

fn sent(outputs: &[Output]) -> Vec<PacketKind> {
    let kind = |output: &Output| match output {
        Output::Send { packet, .. } => Some(packet.kind),
        _ => None,
    };
    outputs.iter().filter_map(kind).collect()
}

/// Sessions that clients of our own were told.
fn told(outputs: &[Output]) -> Vec<SessionId> {
    let session = |output: &Output| match output {
        Output::Front { item: Item::Session { session, .. }, .. } => Some(*session),
        _ => None,
    };
    outputs.iter().filter_map(session).collect()
}

#[test]
fn a_client_is_told_once_a_quorum_has_confirmed_the_leader() {
    let mut leader = Leader::followed_by_one();
    let asked = leader.tell(Input::ReopenSession { connection: CONNECTION, session: SessionId(0x77), timeout_ms: 4000 });
    assert_eq!((told(&asked), sent(&asked)), (vec![], vec![PacketKind::PING]));
    let confirmed = leader.hears(Packet::new(PacketKind::PING, Zxid::new(1, 0)));
    assert_eq!(told(&confirmed), [SessionId::NONE]);
}

#[test]
fn so_is_a_follower() {
    let mut leader = Leader::followed_by_one();
    let data = packet::encode_revalidate(SessionId(0x77), 4000);
    let asked = leader.hears(Packet::with_data(PacketKind::REVALIDATE, Zxid(-1), data));
    assert_eq!(sent(&asked), [PacketKind::PING]);
    let confirmed = leader.hears(Packet::new(PacketKind::PING, Zxid::new(1, 0)));
    assert_eq!(sent(&confirmed), [PacketKind::REVALIDATE]);
}

#[test]
fn who_is_deposed_meanwhile_says_nothing() {
    let mut leader = Leader::followed_by_one();
    leader.tell(Input::ReopenSession { connection: CONNECTION, session: SessionId(0x77), timeout_ms: 4000 });
    let mut said = leader.tell(Input::LinkDown { link: FOLLOWER });
    for _ in 0..20 {
        leader.now.mono_ms += 1_000;
        said.extend(leader.tell(Input::Tick));
    }
    assert_eq!(told(&said), []);
    assert!(said.iter().any(|output| matches!(output, Output::Serve(_))), "it has given up: {said:?}");
}
