//! One server and what the others say to it, word for word: server 1 learns from server 3, or server 3 leads.
//!
//! What the server wants done is written as one line each, zxids as `epoch:counter`.

use bytes::Bytes;
use oxkeeper_proto::records::{SetDataTxn, TxnHeader};
use oxkeeper_proto::txn::{self, Txn};
use oxkeeper_proto::{OpCode, SessionId, Zxid};
use oxkeeper_zab::packet::{self, LearnerInfo, PROTOCOL_VERSION, RequestData};
use oxkeeper_zab::peer::{Door, Input, Output};
use oxkeeper_zab::{
    Config, Durable, LinkId, Member, MemberRole, Packet, PacketKind, Peer, PeerOptions, PeerState, Role, Sid, SyncOrigin,
    encode_notification,
};

const TICK_MS: u64 = 1000;
/// Ticks.
const INIT_LIMIT: u32 = 10;
const SYNC_LIMIT: u32 = 5;

const fn z(epoch: u32, counter: u32) -> Zxid {
    Zxid::new(epoch, counter)
}

fn text(zxid: Zxid) -> String {
    format!("{}:{}", zxid.0 >> 32, zxid.counter())
}

fn payload(zxid: Zxid) -> Bytes {
    text(zxid).into()
}

struct Server {
    peer: Peer,
    now_ms: u64,
    /// The last barrier.
    step: u64,
    dialled: LinkId,
}

impl Server {
    fn member(me: i64, config: &Config, durable: Durable, cache_entries: usize) -> Self {
        Self::member_with(config, durable, PeerOptions { cache_entries, ..PeerOptions::new(Sid(me)) })
    }

    /// With ticks and limits of these tests.
    fn member_with(config: &Config, durable: Durable, options: PeerOptions) -> Self {
        let options = PeerOptions { tick_ms: TICK_MS, init_limit: INIT_LIMIT, sync_limit: SYNC_LIMIT, ..options };
        let now_ms = 10_000;
        Self { peer: Peer::member(options, config.clone(), durable, now_ms), now_ms, step: 0, dialled: LinkId(0) }
    }

    /// What it wants done now, notifications left out.
    fn wants(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        while let Some(output) = self.peer.poll() {
            lines.push(match output {
                Output::Notify { .. } => continue,
                Output::Barrier { step } => {
                    self.step = step;
                    "barrier".to_owned()
                }
                Output::Dial { link, leader, door } => {
                    self.dialled = link;
                    let of_master = if door == Door::Observers { " as an observer" } else { "" };
                    format!("dial {leader}{of_master}")
                }
                Output::Append { zxid, payload: bytes } => {
                    assert_eq!(bytes, payload(zxid));
                    format!("append {}", text(zxid))
                }
                Output::Commit { zxid, payload: bytes } => {
                    assert_eq!(bytes, payload(zxid));
                    format!("commit {}", text(zxid))
                }
                Output::SaveAccepted { epoch } => format!("accept {epoch}"),
                Output::AnnounceEpoch { epoch } => format!("announce {epoch}"),
                Output::CommitEpoch { epoch } => format!("commit epoch {epoch}"),
                Output::Truncate { zxid } => format!("truncate {}", text(zxid)),
                Output::InstallSnapshot { zxid } => format!("install {}", text(zxid)),
                Output::AbandonSnapshot => "abandon".to_owned(),
                Output::SeenConfig { config } => format!("seen {}", config.version),
                Output::ActivateConfig { config } => format!("active {}", config.version),
                Output::Withdrawn { zxid } => format!("withdrawn {}", text(zxid)),
                Output::Listen { on, door: Door::Quorum } => format!("listen {on}"),
                Output::Listen { on, door } => format!("listen {on} {door:?}"),
                Output::Send { link, packet } => format!("{}{}", self.link_text(link), packet_text(&packet)),
                Output::Close { link } => format!("{}close", self.link_text(link)),
                Output::Synchronise { link, job } => format!(
                    "{}job {} snap={} files={} cached={:?} through={}",
                    self.link_text(link),
                    text(job.peer_last),
                    job.must_snap,
                    text(job.files_through),
                    job.cached.iter().map(|(zxid, _)| text(*zxid)).collect::<Vec<_>>(),
                    text(job.through)
                ),
                Output::Look { reason } => format!("look: {reason}"),
                Output::Lead { epoch } => format!("lead {epoch}"),
                Output::Serve => "serve".to_owned(),
                Output::Request { link, session, cxid, op, body, auth } => {
                    format!("{}request {} {cxid} {} {body:?} {auth:?}", self.link_text(link), session.0, op.0)
                }
                Output::Touched { sessions } => format!("touched {sessions:?}"),
                Output::Revalidate { link, session, timeout_ms } => {
                    format!("{}revalidate {} {timeout_ms}", self.link_text(link), session.0)
                }
                Output::Ping { zxid } => format!("ping {}", text(zxid)),
                Output::Revalidated { session, is_valid } => format!("revalidated {} {is_valid}", session.0),
                Output::Moved { session } => format!("moved {}", session.0),
                Output::Synced => "synced".to_owned(),
                Output::SyncDone { ticket } => format!("sync {ticket} done"),
            });
        }
        lines
    }

    fn link_text(&self, link: LinkId) -> String {
        if link == self.dialled { String::new() } else { format!("{}> ", link.0) }
    }

    fn give(&mut self, input: Input) -> Vec<String> {
        self.peer.handle(self.now_ms, input);
        self.wants()
    }

    fn done(&mut self) -> Vec<String> {
        self.give(Input::Done { step: self.step })
    }

    /// A packet of the leader.
    fn hears(&mut self, packet: Packet) -> Vec<String> {
        let link = self.dialled;
        self.give(Input::Packet { link, packet })
    }

    fn hears_plain(&mut self, kind: PacketKind, zxid: Zxid) -> Vec<String> {
        self.hears(Packet::new(kind, zxid))
    }

    fn proposed(&mut self, zxid: Zxid) -> Vec<String> {
        self.hears(Packet::with_data(PacketKind::PROPOSAL, zxid, payload(zxid)))
    }

    /// A packet of a learner.
    fn from(&mut self, link: u64, packet: Packet) -> Vec<String> {
        self.give(Input::Packet { link: LinkId(link), packet })
    }

    fn plain_from(&mut self, link: u64, kind: PacketKind, zxid: Zxid) -> Vec<String> {
        self.from(link, Packet::new(kind, zxid))
    }

    /// Until the next timer is due.
    fn sleep(&mut self) -> Vec<String> {
        self.now_ms = self.peer.next_timer_ms().expect("a timer").max(self.now_ms);
        self.give(Input::Tick)
    }

    fn notification(&mut self, from: i64, state: PeerState, leader: i64, zxid: Zxid, epoch: i64) -> Vec<String> {
        let message = encode_notification(state, Sid(leader), zxid.0, 1, epoch, "version=0");
        self.give(Input::Notification { from: Sid(from), message })
    }

    fn propose(&mut self) -> Vec<String> {
        let zxid = self.peer.next_zxid();
        self.give(Input::Propose { zxid, payload: payload(zxid) })
    }
}

fn packet_text(packet: &Packet) -> String {
    let mut line = format!("{} {}", packet.kind, text(packet.zxid));
    match (packet.kind, packet.data.as_deref()) {
        (_, None) => {}
        (PacketKind::ACKEPOCH, Some(data)) => line += &format!(" {}", i32::from_be_bytes(data.try_into().unwrap())),
        (PacketKind::PROPOSAL | PacketKind::INFORM, Some(data)) => assert_eq!(data, payload(packet.zxid)),
        (_, Some(data)) => line += &format!(" {} bytes", data.len()),
    }
    line
}

fn three() -> Config {
    Config::majority((1..=3).map(|sid| (Sid(sid), Member::participant("localhost", 2888, 3888))).collect())
}

fn durable(last_zxid: Zxid, accepted: i64, current: i64) -> Durable {
    Durable { last_zxid, accepted, current, in_doubt: false }
}

/// Server 1 has found its leader, server 3, and its link stands.
fn learner(durable: Durable) -> Server {
    learner_with(durable, PeerOptions::new(Sid(1)))
}

fn learner_with(durable: Durable, options: PeerOptions) -> Server {
    let mut server = Server::member_with(&three(), durable, options);
    assert_eq!(server.wants(), [""; 0]);
    server.notification(3, PeerState::Leading, 3, z(9, 9), 9);
    assert_eq!(server.notification(2, PeerState::Following, 3, z(9, 9), 9), ["dial 3"]);
    assert_eq!(server.peer.role(), Role::Following);
    let link = server.dialled;
    let hello = server.give(Input::LinkUp { link });
    assert_eq!(hello, [format!("FOLLOWERINFO {}:0 20 bytes", durable.accepted)]);
    server
}

fn leader_info(epoch: u32) -> Packet {
    Packet::with_data(PacketKind::LEADERINFO, z(epoch, 0), Bytes::from_static(&[0, 1, 0, 0]))
}

fn new_leader(epoch: u32) -> Packet {
    Packet::with_data(PacketKind::NEWLEADER, z(epoch, 0), Bytes::from_static(b"version=0"))
}

/// A follower at 2:3 that leader 3 has brought up to date in epoch 5.
fn serving() -> Server {
    let mut server = learner(durable(z(2, 3), 2, 2));
    assert_eq!(brought_up(&mut server), ["ACK 5:0", "serve"]);
    server
}

fn brought_up(server: &mut Server) -> Vec<String> {
    server.hears(leader_info(5));
    server.done();
    server.hears_plain(PacketKind::DIFF, z(2, 3));
    server.hears(new_leader(5));
    server.done();
    server.hears_plain(PacketKind::UPTODATE, Zxid(-1))
}

#[test]
fn a_follower_is_brought_up_by_diff() {
    let mut server = learner(durable(z(2, 3), 2, 2));
    assert_eq!(server.hears(leader_info(5)), ["accept 5", "barrier"]);
    assert_eq!(server.done(), ["ACKEPOCH 2:3 2"]);
    assert_eq!(server.hears_plain(PacketKind::DIFF, z(4, 1)), [""; 0]);
    assert_eq!(server.proposed(z(2, 4)), ["append 2:4"]);
    assert_eq!(server.hears_plain(PacketKind::COMMIT, z(2, 4)), [""; 0], "nothing reaches the tree before UPTODATE");
    assert_eq!(server.proposed(z(2, 4)), [""; 0], "a proposal that the synchronisation held already");
    assert_eq!(server.proposed(z(4, 1)), ["announce 4", "append 4:1"]);
    assert_eq!(server.hears_plain(PacketKind::COMMIT, z(4, 1)), [""; 0]);
    assert_eq!(server.hears(new_leader(5)), ["commit epoch 5", "barrier"]);
    assert_eq!(server.proposed(z(5, 1)), ["append 5:1"], "the epoch is announced by then");
    assert_eq!(server.give(Input::LogSynced { through: z(5, 1) }), [""; 0], "no proposal is acknowledged before NEWLEADER");
    assert_eq!(server.peer.epoch(), 2, "not before it is durable");
    assert_eq!(server.done(), ["ACK 5:0", "ACK 5:1"]);
    assert_eq!(server.peer.epoch(), 5);
    assert_eq!(server.hears_plain(PacketKind::PING, z(5, 1)), [""; 0], "Java does not answer it yet");
    assert_eq!(server.hears_plain(PacketKind::COMMIT, z(5, 1)), [""; 0], "trap 20: it finds its place");
    assert!(!server.peer.is_serving());
    assert_eq!(server.hears_plain(PacketKind::UPTODATE, Zxid(-1)), ["ACK 5:0", "commit 2:4", "commit 4:1", "commit 5:1", "serve"]);
    assert!(server.peer.is_serving());
    assert_eq!((server.peer.leader(), server.peer.last_committed()), (Some(Sid(3)), z(5, 1)));
}

#[test]
fn a_follower_acknowledges_each_proposal_once_it_is_durable() {
    let mut server = serving();
    for counter in 1..=3 {
        assert_eq!(server.proposed(z(5, counter)), [format!("append 5:{counter}")]);
    }
    assert_eq!(server.hears_plain(PacketKind::COMMIT, z(5, 1)), ["commit 5:1"], "a quorum of others was faster");
    assert_eq!(server.give(Input::LogSynced { through: z(5, 2) }), ["ACK 5:1", "ACK 5:2"]);
    assert_eq!(server.give(Input::LogSynced { through: z(5, 2) }), [""; 0]);
    assert_eq!(server.hears_plain(PacketKind::COMMIT, z(5, 2)), ["commit 5:2"]);
    assert_eq!(server.hears_plain(PacketKind::COMMIT, z(5, 2)), [""; 0], "nothing of it is pending");
    assert_eq!(server.give(Input::LogSynced { through: z(5, 3) }), ["ACK 5:3"]);
    assert_eq!(server.peer.outstanding(), 1);
}

#[test]
fn life_signs_syncs_and_requests_of_a_follower() {
    let mut server = serving();
    assert_eq!(server.hears_plain(PacketKind::PING, z(5, 0)), ["ping 5:0"]);
    server.peer.answer_ping(z(5, 0), &[(SessionId(7), 4000)]);
    assert_eq!(server.wants(), ["PING 5:0 12 bytes"]);
    server.peer.request(SessionId(7), 1, OpCode::SYNC, Bytes::from_static(b"/a"), None);
    assert_eq!(server.wants(), ["REQUEST -1:4294967295 18 bytes"]);
    assert_eq!(server.hears_plain(PacketKind::SYNC, Zxid::ZERO), ["synced"]);
    server.peer.revalidate(SessionId(7), 4000);
    assert_eq!(server.wants(), ["REVALIDATE -1:4294967295 12 bytes"]);
    let answer = Packet::with_data(PacketKind::REVALIDATE, Zxid(-1), packet::encode_revalidated(SessionId(7), true));
    assert_eq!(server.hears(answer), ["revalidated 7 true"]);
}

#[test]
fn a_follower_leaves_a_leader_that_it_cannot_follow() {
    let broken = [
        (z(5, 2), PacketKind::PROPOSAL, "a gap in the leader's proposals"),
        (z(6, 1), PacketKind::PROPOSAL, "a gap in the leader's proposals"),
        (z(5, 2), PacketKind::COMMIT, "a commit that does not match the proposals"),
    ];
    for (zxid, kind, reason) in broken {
        let mut server = serving();
        let heard = server.hears(Packet::with_data(kind, zxid, payload(zxid)));
        assert_eq!(heard, ["close".to_owned(), format!("look: {reason}"), "barrier".to_owned()]);
        assert_eq!(server.peer.role(), Role::Looking);
    }
    let mut server = serving();
    server.proposed(z(5, 1));
    server.proposed(z(5, 2));
    assert_eq!(server.hears_plain(PacketKind::COMMIT, z(5, 2))[1], "look: a commit that does not match the proposals");
}

#[test]
fn the_next_election_waits_for_the_disk() {
    let mut server = serving();
    server.proposed(z(5, 1));
    let link = server.dialled;
    assert_eq!(server.give(Input::LinkDown { link }), ["look: the link to the leader is broken", "barrier"]);
    server.notification(3, PeerState::Leading, 3, z(9, 9), 9);
    assert_eq!(server.notification(2, PeerState::Following, 3, z(9, 9), 9), [""; 0], "nothing before the log is durable");
    assert_eq!(server.peer.next_timer_ms(), None);
    assert_eq!(server.done(), ["dial 3"]);
    assert_eq!(server.peer.last_logged(), z(5, 1), "what was appended counts, committed or not");
}

#[test]
fn what_a_follower_says_to_an_epoch() {
    // Promised, current, doubt; the leader's epoch; the answer.
    for (accepted, current, in_doubt, epoch, answer) in [
        (2, 2, false, 5, vec!["accept 5", "barrier", "ACKEPOCH 2:3 2"]),
        (4, 2, false, 5, vec!["accept 5", "barrier", "ACKEPOCH 2:3 2"]),
        // Promised already, perhaps to another (I2).
        (5, 2, false, 5, vec!["ACKEPOCH 2:3 -1"]),
        (6, 2, false, 5, vec!["close", "look: the leader's epoch is lower than one that was promised", "barrier"]),
        (2, 2, true, 5, vec!["accept 5", "barrier", "ACKEPOCH 2:3 -1"]),
    ] {
        let mut server = learner(Durable { last_zxid: z(2, 3), accepted, current, in_doubt });
        let mut heard = server.hears(leader_info(epoch));
        if heard.last().is_some_and(|last| last == "barrier") && heard.len() == 2 {
            heard.extend(server.done());
        }
        assert_eq!(heard, answer, "promised {accepted}");
    }
}

#[test]
fn a_follower_cuts_its_own_tail() {
    let mut server = learner(durable(z(2, 3), 2, 2));
    server.hears(leader_info(5));
    server.done();
    assert_eq!(server.hears_plain(PacketKind::TRUNC, z(2, 1)), ["truncate 2:1"]);
    assert_eq!(server.peer.last_logged(), z(2, 1));
    assert_eq!(server.proposed(z(3, 1)), ["announce 3", "append 3:1"]);
    server.hears_plain(PacketKind::COMMIT, z(3, 1));
    assert_eq!(server.hears(new_leader(5)), ["commit epoch 5", "barrier"]);
    assert_eq!(server.done(), ["ACK 5:0"]);
    assert_eq!(server.hears_plain(PacketKind::UPTODATE, Zxid(-1)), ["ACK 5:0", "commit 3:1", "serve"]);

    let mut server = learner(durable(z(2, 3), 2, 2));
    server.hears(leader_info(5));
    server.done();
    assert_eq!(server.hears_plain(PacketKind::TRUNC, z(2, 4))[1], "look: the leader cuts what we do not have");
}

#[test]
fn a_log_that_cannot_be_cut_is_replaced_by_a_snapshot() {
    let mut server = learner(durable(z(2, 3), 2, 2));
    server.hears(leader_info(5));
    server.done();
    server.hears_plain(PacketKind::TRUNC, z(2, 1));
    server.proposed(z(3, 1));
    assert_eq!(server.give(Input::CutRefused), ["close", "dial 3"]);
    assert_eq!(server.peer.last_logged(), z(2, 3));
    let link = server.dialled;
    assert_eq!(server.give(Input::LinkUp { link }), ["FOLLOWERINFO 5:0 20 bytes"]);
    assert_eq!(server.hears(leader_info(5)), ["ACKEPOCH 0:0 -1"], "the promise was made; now only a snapshot will do");
    assert_eq!(server.hears_plain(PacketKind::DIFF, z(3, 1)), ["install 0:0"], "everything there is, instead");
    assert_eq!(server.proposed(z(1, 1)), ["append 1:1"]);
    let link = server.dialled;
    let lost = server.give(Input::LinkDown { link });
    assert_eq!(lost, ["abandon", "look: the link to the leader is broken", "barrier"]);
    assert_eq!(server.peer.last_logged(), z(2, 3), "the old history is what counts");
}

#[test]
fn a_follower_is_brought_up_by_a_snapshot() {
    let mut server = learner(durable(z(2, 3), 2, 2));
    server.hears(leader_info(5));
    server.done();
    assert_eq!(server.hears_plain(PacketKind::SNAP, z(4, 7)), [""; 0]);
    let link = server.dialled;
    assert_eq!(server.give(Input::SnapshotReceived { link }), ["install 4:7"]);
    assert_eq!(server.proposed(z(4, 8)), ["append 4:8"], "the old history is what a restart begins with: its epoch stays");
    server.hears_plain(PacketKind::COMMIT, z(4, 8));
    assert_eq!(server.hears(new_leader(5)), ["commit epoch 5", "barrier"]);
    assert_eq!(server.done(), ["ACK 5:0"]);
    assert_eq!(server.hears_plain(PacketKind::UPTODATE, Zxid(-1)), ["ACK 5:0", "commit 4:8", "serve"]);
    let link = server.dialled;
    assert_eq!(server.give(Input::LinkDown { link }).first().unwrap(), "look: the link to the leader is broken", "nothing to abandon");
}

#[test]
fn packets_out_of_order_end_the_role() {
    for (packet, reason) in [
        (Packet::new(PacketKind::UPTODATE, Zxid(-1)), "the leader's packets are out of order"),
        (new_leader(6), "NEWLEADER of another epoch"),
    ] {
        let mut server = learner(durable(z(2, 3), 2, 2));
        server.hears(leader_info(5));
        server.done();
        server.hears_plain(PacketKind::DIFF, z(2, 3));
        assert_eq!(server.hears(packet)[1], format!("look: {reason}"));
    }
    let mut server = learner(durable(z(2, 3), 2, 2));
    assert_eq!(server.hears(new_leader(5))[1], "look: the leader did not begin with LEADERINFO");
}

#[test]
fn a_leader_that_cannot_be_reached_is_tried_five_times() {
    let mut server = Server::member(1, &three(), durable(z(2, 3), 2, 2), 500);
    server.notification(3, PeerState::Leading, 3, z(9, 9), 9);
    server.notification(2, PeerState::Following, 3, z(9, 9), 9);
    for _ in 0..4 {
        let (link, before_ms) = (server.dialled, server.now_ms);
        assert_eq!(server.give(Input::LinkDown { link }), [""; 0]);
        assert_eq!(server.sleep(), ["dial 3"]);
        assert_eq!(server.now_ms, before_ms + 100);
    }
    let link = server.dialled;
    assert_eq!(server.give(Input::LinkDown { link }), ["look: the leader cannot be reached", "barrier"]);
}

#[test]
fn a_silent_leader_is_left() {
    let mut server = learner(durable(z(2, 3), 2, 2));
    let started_ms = server.now_ms;
    assert_eq!(server.sleep(), ["close", "look: the leader has not synchronised us in time", "barrier"]);
    assert_eq!(server.now_ms, started_ms + u64::from(INIT_LIMIT) * TICK_MS);

    let mut server = serving();
    server.now_ms += 3000;
    server.hears_plain(PacketKind::PING, z(5, 0));
    let heard_ms = server.now_ms;
    assert_eq!(server.sleep(), ["close", "look: nothing was heard from the leader for syncLimit ticks", "barrier"]);
    assert_eq!(server.now_ms, heard_ms + u64::from(SYNC_LIMIT) * TICK_MS);
}

#[test]
fn an_observer_logs_and_commits_what_it_is_informed_of() {
    let mut config = three();
    config.members.insert(Sid(4), Member { role: MemberRole::Observer, ..Member::participant("localhost", 2888, 3888) });
    let mut server = Server::member(4, &config, durable(z(2, 3), 2, 2), 500);
    server.notification(3, PeerState::Leading, 3, z(9, 9), 9);
    assert_eq!(server.notification(2, PeerState::Following, 3, z(9, 9), 9), ["dial 3"]);
    assert_eq!(server.peer.role(), Role::Observing);
    let link = server.dialled;
    assert_eq!(server.give(Input::LinkUp { link }), ["OBSERVERINFO 2:0 20 bytes"]);
    server.hears(leader_info(5));
    server.done();
    server.hears_plain(PacketKind::DIFF, z(2, 3));
    server.hears(new_leader(5));
    let informed = Packet::with_data(PacketKind::INFORM, z(5, 1), payload(z(5, 1)));
    assert_eq!(server.hears(informed), ["append 5:1"]);
    assert_eq!(server.done(), ["ACK 5:0"]);
    assert_eq!(server.hears_plain(PacketKind::UPTODATE, Zxid(-1)), ["ACK 5:0", "commit 5:1", "serve"]);
    let informed = Packet::with_data(PacketKind::INFORM, z(5, 2), payload(z(5, 2)));
    assert_eq!(server.hears(informed), ["append 5:2", "commit 5:2"]);
    let counts = server.peer.counts();
    assert_eq!((counts.proposals_received, counts.commits_received), (0, 1), "what came before UPTODATE is not counted");
    assert_eq!((counts.elections, counts.follower_syncs, counts.observer_syncs), (0, 0, 1));
    assert_eq!(server.give(Input::LogSynced { through: z(5, 2) }), [""; 0], "an observer acknowledges nothing");
    // It lets the voters find each other before it looks again.
    server.give(Input::LinkDown { link });
    let ended_ms = server.now_ms;
    assert_eq!(server.done(), [""; 0]);
    server.sleep();
    assert!(server.now_ms < ended_ms + 200 && server.peer.role() == Role::Looking);
    server.notification(3, PeerState::Leading, 3, z(9, 9), 9);
    assert_eq!(server.notification(2, PeerState::Following, 3, z(9, 9), 9), ["dial 3"]);
}

/// It may have promised an epoch that came to nothing, of which nobody else knows any more.
#[test]
fn an_observer_follows_below_its_promise_but_not_below_its_history() {
    let mut config = three();
    config.members.insert(Sid(4), Member { role: MemberRole::Observer, ..Member::participant("localhost", 2888, 3888) });
    let registered = |current: i64| {
        let mut server = Server::member(4, &config, durable(z(2, 3), 7, current), 500);
        server.notification(3, PeerState::Leading, 3, z(9, 9), 9);
        server.notification(2, PeerState::Following, 3, z(9, 9), 9);
        let link = server.dialled;
        assert_eq!(server.give(Input::LinkUp { link }), ["OBSERVERINFO 7:0 20 bytes"]);
        server
    };
    let mut server = registered(5);
    assert_eq!(server.hears(leader_info(5)), ["ACKEPOCH 2:3 -1"], "and promises nothing");
    server.hears_plain(PacketKind::DIFF, z(2, 3));
    server.hears(new_leader(5));
    server.done();
    assert!(server.hears_plain(PacketKind::UPTODATE, Zxid(-1)).contains(&"serve".to_owned()));

    let mut server = registered(6);
    let said = server.hears(leader_info(5));
    assert_eq!(said, ["close", "look: the leader's epoch is lower than one that was promised", "barrier"]);
}

// --- The leader ---

/// Server 3 has been elected.
fn elected(durable: Durable, cache_entries: usize) -> Server {
    elected_in(&three(), durable, cache_entries)
}

fn elected_in(config: &Config, durable: Durable, cache_entries: usize) -> Server {
    let mut server = Server::member(3, config, durable, cache_entries);
    server.wants();
    server.notification(1, PeerState::Looking, 3, durable.last_zxid, durable.current);
    assert_eq!(server.sleep(), ["listen true"]);
    assert_eq!(server.peer.role(), Role::Leading);
    server
}

fn info(kind: PacketKind, sid: i64, accepted: u32) -> Packet {
    let info = LearnerInfo { sid: Some(sid), protocol_version: PROTOCOL_VERSION, config_version: Some(0) };
    Packet::with_data(kind, z(accepted, 0), info.encode())
}

fn ack_epoch(last: Zxid, current: i32) -> Packet {
    Packet::with_data(PacketKind::ACKEPOCH, last, Bytes::copy_from_slice(&current.to_be_bytes()))
}

fn joins(server: &mut Server, link: u64, sid: i64, accepted: u32) -> Vec<String> {
    server.give(Input::LinkUp { link: LinkId(link) });
    server.from(link, info(PacketKind::FOLLOWERINFO, sid, accepted))
}

/// Server 3 leads epoch 3 from 2:3, and server 1 follows on link 1.
fn established(cache_entries: usize) -> Server {
    established_in(&three(), cache_entries)
}

fn established_in(config: &Config, cache_entries: usize) -> Server {
    let mut server = elected_in(config, durable(z(2, 3), 2, 2), cache_entries);
    assert_eq!(joins(&mut server, 1, 1, 2), ["accept 3", "barrier"]);
    assert_eq!(server.done(), ["1> LEADERINFO 3:0 4 bytes"]);
    let synchronised = server.from(1, ack_epoch(z(2, 3), 2));
    assert_eq!(synchronised[..3], ["commit epoch 3", "barrier", "1> DIFF 2:3"]);
    assert!(synchronised[3].starts_with("1> NEWLEADER 3:0 "), "{synchronised:?}");
    assert_eq!(server.plain_from(1, PacketKind::ACK, z(3, 0)), [""; 0], "our own epoch is not durable");
    assert_eq!(server.done(), ["lead 3", "1> UPTODATE -1:4294967295"]);
    assert_eq!(server.plain_from(1, PacketKind::ACK, z(3, 0)), [""; 0]);
    server
}

#[test]
fn a_leader_is_established_by_a_quorum() {
    let mut server = established(500);
    assert!(server.peer.is_serving());
    assert_eq!((server.peer.epoch(), server.peer.last_proposed(), server.peer.next_zxid()), (3, z(3, 0), z(3, 1)));
    assert_eq!(server.propose(), ["1> PROPOSAL 3:1", "append 3:1"]);
    assert_eq!(server.propose(), ["1> PROPOSAL 3:2", "append 3:2"]);
    assert_eq!(server.plain_from(1, PacketKind::ACK, z(3, 1)), [""; 0], "its own log is not durable");
    assert_eq!(server.give(Input::LogSynced { through: z(3, 2) }), ["commit 3:1", "1> COMMIT 3:1"]);
    assert_eq!(server.plain_from(1, PacketKind::ACK, z(3, 2)), ["commit 3:2", "1> COMMIT 3:2"]);
    assert_eq!(server.peer.outstanding(), 0);
}

#[test]
fn a_leader_counts_and_tells_what_it_does() {
    let mut server = established(500);
    let view = server.peer.leading().expect("it leads");
    assert_eq!((view.since_ms, view.pending_syncs, view.proposal_sizes), (server.now_ms, 0, None));
    let counts = server.peer.counts();
    assert_eq!((counts.lookings, counts.elections, counts.diffs, counts.proposals, counts.commits), (1, 1, 1, 0, 0));
    assert_eq!(counts.last_election_ms, 200, "a winning vote stands for so long");
    server.propose();
    assert_eq!(server.peer.leading().and_then(|view| view.proposal_sizes), Some([3; 3]), "\"3:1\"");
    for _ in 2..=10 {
        server.propose();
    }
    assert_eq!(server.peer.leading().and_then(|view| view.proposal_sizes), Some([4, 3, 4]), "\"3:10\"");
    server.give(Input::Sync { origin: SyncOrigin::Local(1) });
    assert_eq!(server.peer.leading().map(|view| view.pending_syncs), Some(1));
    server.give(Input::LogSynced { through: z(3, 10) });
    server.plain_from(1, PacketKind::ACK, z(3, 2));
    let counts = server.peer.counts();
    assert_eq!((counts.proposals, counts.commits, counts.revalidations), (10, 2, 0));
    server.from(1, Packet::with_data(PacketKind::REVALIDATE, Zxid(-1), packet::encode_revalidate(SessionId(7), 4000)));
    assert_eq!(server.peer.counts().revalidations, 1);
    server.peer.forget_proposal_sizes();
    assert_eq!(server.peer.leading().and_then(|view| view.proposal_sizes), None);
    server.give(Input::LinkDown { link: LinkId(1) });
    while server.peer.role() == Role::Leading {
        server.sleep();
    }
    assert_eq!(server.peer.leading(), None);
    server.done();
    assert_eq!(server.peer.counts().lookings, 2);
}

#[test]
fn an_uncommitted_tail_is_committed_with_the_new_epoch() {
    // Server 3 has followed in epoch 3 and holds a proposal that was never committed.
    let mut server = established(500);
    server.propose();
    server.give(Input::LogSynced { through: z(3, 1) });
    assert_eq!(server.give(Input::LinkDown { link: LinkId(1) }), [""; 0]);
    server.sleep();
    assert_eq!(server.sleep(), ["listen false", "look: not enough followers are synchronised", "barrier"]);
    server.done();
    server.notification(1, PeerState::Looking, 3, z(3, 1), 3);
    // Its second election is its second round.
    let message = encode_notification(PeerState::Looking, Sid(3), z(3, 1).0, 2, 3, "version=0");
    server.give(Input::Notification { from: Sid(1), message });
    assert_eq!(server.sleep(), ["listen true"]);
    joins(&mut server, 2, 1, 3);
    server.done();
    let synchronised = server.from(2, ack_epoch(z(2, 3), 3));
    // A Java follower logs before NEWLEADER only what is followed by COMMIT.
    assert_eq!(synchronised[2..5], ["2> DIFF 3:1", "2> PROPOSAL 3:1", "2> COMMIT 3:1"]);
    server.done();
    assert_eq!(server.plain_from(2, PacketKind::ACK, z(4, 0)), ["commit 3:1", "lead 4", "2> UPTODATE -1:4294967295"]);
}

#[test]
fn a_late_learner_gets_what_is_committed_then_newleader_then_what_is_not() {
    let mut server = established(500);
    for _ in 0..3 {
        server.propose();
    }
    server.give(Input::LogSynced { through: z(3, 3) });
    server.plain_from(1, PacketKind::ACK, z(3, 1));
    let cases = [
        (PacketKind::FOLLOWERINFO, 2, z(2, 3), vec!["DIFF 3:1", "PROPOSAL 3:1", "COMMIT 3:1"]),
        (PacketKind::FOLLOWERINFO, 2, z(3, 1), vec!["DIFF 3:1"]),
        // It has what is not committed, and is cut back to what is.
        (PacketKind::FOLLOWERINFO, 2, z(3, 2), vec!["TRUNC 3:1"]),
        (PacketKind::FOLLOWERINFO, 2, z(2, 9), vec!["TRUNC 2:3", "PROPOSAL 3:1", "COMMIT 3:1"]),
        (PacketKind::FOLLOWERINFO, 2, z(2, 1), vec!["job 2:1 snap=false files=2:3 cached=[\"3:1\"] through=3:1"]),
        (PacketKind::FOLLOWERINFO, 2, z(0, 0), vec!["job 0:0 snap=true files=2:3 cached=[\"3:1\"] through=3:1"]),
        (PacketKind::OBSERVERINFO, 7, z(3, 1), vec!["DIFF 3:1"]),
    ];
    for (number, (kind, sid, last, first)) in (10..).zip(cases) {
        server.give(Input::LinkUp { link: LinkId(number) });
        assert_eq!(server.from(number, info(kind, sid, 2)), [format!("{number}> LEADERINFO 3:0 4 bytes")]);
        let mut lines = server.from(number, ack_epoch(last, -1));
        lines.retain(|line| !line.ends_with("close"));
        let lines: Vec<String> = lines.iter().map(|line| line.replace(&format!("{number}> "), "")).collect();
        let (sent, rest) = lines.split_at(first.len());
        assert_eq!(sent, first, "from {last}");
        assert!(rest[0].starts_with("NEWLEADER 3:0 "), "{rest:?}");
        let outstanding: &[&str] = if kind == PacketKind::OBSERVERINFO { &[] } else { &["PROPOSAL 3:2", "PROPOSAL 3:3"] };
        assert_eq!(rest[1..], *outstanding);
    }
    assert_eq!(server.plain_from(16, PacketKind::ACK, z(3, 0)), ["16> UPTODATE -1:4294967295"]);
    let committed = server.plain_from(1, PacketKind::ACK, z(3, 2));
    assert_eq!(committed, ["commit 3:2", "1> COMMIT 3:2", "15> COMMIT 3:2", "16> INFORM 3:2"]);
}

#[test]
fn what_a_learner_said_on_an_older_link_does_not_count() {
    let mut server = established(500);
    server.propose();
    server.plain_from(1, PacketKind::ACK, z(3, 1));
    // It comes again, while its old link has not been missed, and is cut back.
    joins(&mut server, 2, 1, 3);
    let lines = server.from(2, ack_epoch(z(3, 1), -1));
    assert_eq!(lines[..2], ["1> close", "2> TRUNC 2:3"]);
    assert_eq!(server.give(Input::LogSynced { through: z(3, 1) }), [""; 0], "server 1 may have cut it off");
    server.plain_from(2, PacketKind::ACK, z(3, 0));
    assert_eq!(server.plain_from(2, PacketKind::ACK, z(3, 1)), ["commit 3:1", "2> COMMIT 3:1"]);
}

#[test]
fn learners_that_cannot_be_led_are_dropped() {
    let later_config = LearnerInfo { sid: Some(2), protocol_version: PROTOCOL_VERSION, config_version: Some(1) };
    let old_protocol = LearnerInfo { sid: Some(2), protocol_version: 1, config_version: Some(0) };
    let cases: [(&str, Vec<Packet>); 5] = [
        ("a later configuration", vec![Packet::with_data(PacketKind::FOLLOWERINFO, z(2, 0), later_config.encode())]),
        ("an old protocol", vec![Packet::with_data(PacketKind::FOLLOWERINFO, z(2, 0), old_protocol.encode())]),
        ("something else first", vec![Packet::new(PacketKind::ACK, z(3, 0))]),
        ("no ACKEPOCH", vec![info(PacketKind::FOLLOWERINFO, 2, 2), Packet::new(PacketKind::ACK, z(3, 0))]),
        (
            "another epoch's acknowledgement",
            vec![info(PacketKind::FOLLOWERINFO, 2, 2), ack_epoch(z(2, 3), 2), Packet::new(PacketKind::ACK, z(2, 0))],
        ),
    ];
    for (what, packets) in cases {
        let mut server = established(500);
        server.give(Input::LinkUp { link: LinkId(2) });
        let last = packets.into_iter().map(|packet| server.from(2, packet)).last().expect("one at least");
        assert_eq!(last, ["2> close"], "{what}");
    }
    let mut server = established(500);
    assert_eq!(server.plain_from(1, PacketKind::ACK, z(3, 1)), ["1> close"], "it acknowledges what was not proposed");
}

#[test]
fn a_follower_that_is_ahead_does_not_elect() {
    for (last, current) in [(z(2, 4), 2), (z(1, 1), 3)] {
        let mut server = elected(durable(z(2, 3), 2, 2), 500);
        joins(&mut server, 1, 1, 3);
        server.done();
        assert_eq!(server.from(1, ack_epoch(last, current)), ["1> close"], "{last} {current}");
    }
    // Who has promised to another does not elect either.
    let mut server = elected(durable(z(2, 3), 2, 2), 500);
    joins(&mut server, 1, 1, 3);
    server.done();
    assert_eq!(server.from(1, ack_epoch(z(2, 3), -1)), [""; 0]);
    joins(&mut server, 2, 2, 2);
    assert_eq!(server.from(2, ack_epoch(z(2, 3), 2))[0], "commit epoch 5".replace('5', "4"));
}

#[test]
fn a_member_that_has_promised_a_later_epoch_is_worth_an_election() {
    let mut server = established(500);
    assert_eq!(
        joins(&mut server, 2, 2, 6),
        ["1> close", "2> close", "listen false", "look: a member has promised a later epoch", "barrier"]
    );
    server.done();
    let message = encode_notification(PeerState::Looking, Sid(3), z(2, 3).0, 2, 3, "version=0");
    server.give(Input::Notification { from: Sid(1), message });
    server.sleep();
    assert_eq!(joins(&mut server, 3, 1, 3), ["accept 7", "barrier"]);
    // For an observer no election is held.
    let mut config = three();
    config.members.insert(Sid(9), Member { role: MemberRole::Observer, ..Member::participant("localhost", 2888, 3888) });
    let mut server = established_in(&config, 500);
    server.give(Input::LinkUp { link: LinkId(2) });
    assert_eq!(server.from(2, info(PacketKind::OBSERVERINFO, 9, 6))[0], "2> LEADERINFO 3:0 4 bytes");
    // A number that would use up all epochs is nobody's business.
    let mut server = established(500);
    assert_eq!(joins(&mut server, 2, 2, i32::MAX as u32), ["2> LEADERINFO 3:0 4 bytes"]);
}

#[test]
fn there_is_no_epoch_beyond_the_last() {
    let last = i64::from(i32::MAX);
    let mut server = elected(durable(z(2, 3), last, 2), 500);
    assert_eq!(joins(&mut server, 1, 1, 2), ["1> close", "listen false", "look: there is no later epoch", "barrier"]);
}

#[test]
fn a_leader_without_a_quorum_gives_up() {
    let mut server = elected(durable(z(2, 3), 2, 2), 500);
    let started_ms = server.now_ms;
    while server.peer.role() == Role::Leading {
        server.sleep();
    }
    assert_eq!(server.now_ms, started_ms + u64::from(INIT_LIMIT) * TICK_MS);

    let mut server = established(500);
    let started_ms = server.now_ms;
    let mut lines = Vec::new();
    while server.peer.role() == Role::Leading {
        lines.extend(server.sleep());
    }
    let pings = lines.iter().filter(|line| *line == "1> PING 3:0").count();
    assert_eq!(pings as u64, 2 * u64::from(SYNC_LIMIT) - 1, "twice a tick, until the follower was given up: {lines:?}");
    assert!(server.now_ms <= started_ms + u64::from(SYNC_LIMIT + 1) * TICK_MS);
}

#[test]
fn a_leader_that_waits_in_vain_gives_up_when_its_voter_looks_again() {
    let impatient = |patience_ms| {
        let options = PeerOptions { epoch_patience_ms: patience_ms, ..PeerOptions::new(Sid(3)) };
        let mut server = Server::member_with(&three(), durable(z(2, 3), 2, 2), options);
        server.wants();
        server.notification(1, PeerState::Looking, 3, z(2, 3), 2);
        assert_eq!(server.sleep(), ["listen true"]);
        server
    };
    let looks = |server: &mut Server, sid| server.notification(sid, PeerState::Looking, sid, z(2, 3), 2);
    let gives_up = ["listen false", "look: a voter that elected us looks for a leader again", "barrier"];

    let mut server = impatient(Some(300));
    server.now_ms += 300;
    assert_eq!(looks(&mut server, 1), [""; 0], "not longer than that");
    server.now_ms += 1;
    assert_eq!(looks(&mut server, 2), [""; 0], "server 2 has not elected it");
    assert_eq!(looks(&mut server, 1), gives_up);
    assert_eq!(server.peer.counts().disloyal_voters, 1);

    let mut server = impatient(Some(0));
    assert_eq!(joins(&mut server, 1, 1, 2), ["accept 3", "barrier"]);
    server.now_ms += 500;
    assert_eq!(looks(&mut server, 1), [""; 0], "a quorum has come");

    let mut server = impatient(None);
    server.now_ms += 500;
    assert_eq!(looks(&mut server, 1), [""; 0]);
    assert_eq!(server.peer.role(), Role::Leading);
}

#[test]
fn a_follower_that_answers_and_acknowledges_nothing_is_dropped() {
    let mut server = established(500);
    server.propose();
    let proposed_ms = server.now_ms;
    loop {
        let lines = server.sleep();
        if lines.iter().any(|line| line == "1> close") {
            break;
        }
        server.plain_from(1, PacketKind::PING, z(3, 1));
    }
    assert_eq!(server.now_ms, proposed_ms + u64::from(SYNC_LIMIT) * TICK_MS);
}

#[test]
fn a_sync_is_answered_when_a_quorum_has_confirmed_the_leader() {
    let mut server = established(500);
    // Nothing is outstanding: a PING of its own confirms us.
    assert_eq!(server.give(Input::Sync { origin: SyncOrigin::Local(1) }), ["1> PING 3:0"]);
    assert_eq!(server.give(Input::Sync { origin: SyncOrigin::Link(LinkId(1)) }), [""; 0], "it joins the next round");
    assert_eq!(server.plain_from(1, PacketKind::PING, z(3, 0)), ["sync 1 done", "1> PING 3:0"]);
    assert_eq!(server.plain_from(1, PacketKind::PING, z(3, 0)), ["1> SYNC 0:0"]);
    // What was proposed before it has to be committed, too.
    server.propose();
    assert_eq!(server.give(Input::Sync { origin: SyncOrigin::Link(LinkId(1)) }), ["1> PING 3:1"]);
    assert_eq!(server.plain_from(1, PacketKind::PING, z(3, 1)), [""; 0]);
    server.give(Input::LogSynced { through: z(3, 1) });
    assert_eq!(server.plain_from(1, PacketKind::ACK, z(3, 1)), ["commit 3:1", "1> COMMIT 3:1", "1> SYNC 0:0"]);
}

#[test]
fn a_later_proposal_confirms_a_sync_whose_answer_comes_before_its_commit() {
    let mut server = established(500);
    server.propose();
    assert_eq!(server.give(Input::Sync { origin: SyncOrigin::Link(LinkId(1)) }), ["1> PING 3:1"]);
    server.propose();
    server.give(Input::LogSynced { through: z(3, 2) });
    assert_eq!(
        server.plain_from(1, PacketKind::ACK, z(3, 2)),
        ["commit 3:1", "1> COMMIT 3:1", "1> SYNC 0:0", "commit 3:2", "1> COMMIT 3:2"]
    );
    // The PING is answered by who came later, too, when the first ones have gone.
    assert_eq!(server.give(Input::Sync { origin: SyncOrigin::Local(5) }), [""; 0]);
    assert_eq!(server.plain_from(1, PacketKind::PING, z(3, 1)), ["1> PING 3:2"]);
    server.give(Input::LinkDown { link: LinkId(1) });
    joins(&mut server, 2, 2, 2);
    server.from(2, ack_epoch(z(3, 2), -1));
    server.plain_from(2, PacketKind::ACK, z(3, 0));
    assert_eq!(server.sleep(), ["2> PING 3:2"]);
    assert_eq!(server.plain_from(2, PacketKind::PING, z(3, 2)), ["sync 5 done"]);
}

#[test]
fn what_learners_want_goes_to_the_core() {
    let mut server = established(500);
    let data = RequestData { session: SessionId(7), cxid: 2, op: OpCode::CREATE, body: Bytes::from_static(b"body") }.encode();
    let auth = Some(vec![("ip".to_owned(), "127.0.0.1".to_owned())]);
    let request = Packet { kind: PacketKind::REQUEST, zxid: Zxid(-1), data: Some(data), auth };
    assert_eq!(server.from(1, request), ["1> request 7 2 1 b\"body\" [(\"ip\", \"127.0.0.1\")]"]);
    let question = Packet::with_data(PacketKind::REVALIDATE, Zxid(-1), packet::encode_revalidate(SessionId(7), 4000));
    assert_eq!(server.from(1, question), ["1> revalidate 7 4000"]);
    server.peer.answer_revalidate(LinkId(1), SessionId(7), false);
    server.peer.answer_revalidate(LinkId(2), SessionId(7), false);
    assert_eq!(server.wants(), ["1> REVALIDATE -1:4294967295 9 bytes"]);
    let touched = packet::encode_touched(&[(SessionId(7), 4000)]);
    let answer = Packet::with_data(PacketKind::PING, z(3, 0), touched);
    assert_eq!(server.from(1, answer), ["touched [(SessionId(7), 4000)]"]);
    assert_eq!(server.plain_from(1, PacketKind::REQUEST, Zxid(-1)), ["1> close"]);
}

/// A follower that feeds observers, the first of which, number 9, is up to date on link 7.
fn feeding() -> Server {
    let mut server = learner_with(durable(z(2, 3), 2, 2), PeerOptions { observer_masters: true, ..PeerOptions::new(Sid(1)) });
    assert_eq!(brought_up(&mut server), ["ACK 5:0", "serve", "listen true Observers"]);
    server.proposed(z(5, 1));
    assert_eq!(server.hears_plain(PacketKind::COMMIT, z(5, 1)), ["commit 5:1"]);
    assert_eq!(server.proposed(z(5, 2)), ["append 5:2"]);
    server.give(Input::LinkUp { link: LinkId(7) });
    assert_eq!(server.from(7, info(PacketKind::OBSERVERINFO, 9, 2)), ["7> LEADERINFO 5:0 4 bytes"]);
    let history = ["7> DIFF 5:1", "7> PROPOSAL 5:1", "7> COMMIT 5:1"].map(str::to_owned);
    let given = server.from(7, ack_epoch(z(2, 3), 2));
    assert_eq!(given[..3], history, "no more than what is committed");
    assert!(given[3].starts_with("7> NEWLEADER 5:0 ") && given.len() == 4, "{given:?}");
    assert_eq!(server.hears_plain(PacketKind::COMMIT, z(5, 2)), ["commit 5:2", "7> INFORM 5:2"], "before NEWLEADER is acknowledged, too");
    assert_eq!(server.plain_from(7, PacketKind::ACK, z(5, 0)), ["7> UPTODATE -1:4294967295"]);
    assert_eq!(server.plain_from(7, PacketKind::ACK, z(5, 0)), [""; 0], "Java sends it twice");
    server
}

#[test]
fn a_follower_feeds_observers_and_carries_what_they_ask() {
    let mut server = feeding();
    let request = |op, cxid| {
        let data = RequestData { session: SessionId(70), cxid, op, body: Bytes::from_static(b"body") };
        Packet::with_data(PacketKind::REQUEST, Zxid(-1), data.encode())
    };
    assert_eq!(server.from(7, request(OpCode::CREATE, 1)), ["REQUEST -1:4294967295 20 bytes"]);
    // Answers to syncs go to whoever asked, in the order in which the leader was asked.
    server.from(7, request(OpCode::SYNC, 2));
    server.peer.request(SessionId(1), 3, OpCode::SYNC, Bytes::new(), None);
    server.wants();
    server.from(7, request(OpCode::SYNC, 4));
    for answer in ["7> SYNC 0:0", "synced", "7> SYNC 0:0"] {
        assert_eq!(server.hears_plain(PacketKind::SYNC, Zxid::ZERO), [answer]);
    }
    // So do those about sessions; one that lives is touched here, and has left us.
    let ask = |session| Packet::with_data(PacketKind::REVALIDATE, Zxid(-1), packet::encode_revalidate(SessionId(session), 4000));
    let answer =
        |session, lives| Packet::with_data(PacketKind::REVALIDATE, Zxid(-1), packet::encode_revalidated(SessionId(session), lives));
    assert_eq!(server.from(7, ask(70)), ["REVALIDATE -1:4294967295 12 bytes"]);
    server.peer.revalidate(SessionId(71), 4000);
    server.wants();
    server.from(7, ask(72));
    let touched = format!("touched {:?}", [(SessionId(70), 4000)]);
    assert_eq!(server.hears(answer(70, true)), [&touched, "moved 70", "7> REVALIDATE -1:4294967295 9 bytes"]);
    assert_eq!(server.hears(answer(71, true)), ["revalidated 71 true"]);
    assert_eq!(server.hears(answer(72, false)), ["7> REVALIDATE -1:4294967295 9 bytes"]);
    let sessions = [(SessionId(70), 4000)];
    let ping = Packet::with_data(PacketKind::PING, z(5, 2), packet::encode_touched(&sessions));
    assert_eq!(server.from(7, ping), [touched]);
    // What waits for an observer that has gone is given to nobody.
    server.from(7, request(OpCode::SYNC, 5));
    server.from(7, ask(70));
    server.give(Input::LinkDown { link: LinkId(7) });
    assert_eq!(server.hears_plain(PacketKind::SYNC, Zxid::ZERO), [""; 0]);
    assert_eq!(server.hears(answer(70, false)), [""; 0]);
}

#[test]
fn who_may_be_fed_and_for_how_long() {
    let mut server = feeding();
    let fed = server.peer.learners();
    assert_eq!((fed.len(), fed[0].sid, fed[0].is_observer, fed[0].is_synced), (1, Sid(9), true, true));
    // A follower, and whoever talks out of turn.
    for (link, packet) in
        [(8, info(PacketKind::FOLLOWERINFO, 2, 2)), (9, ack_epoch(z(2, 3), 2)), (10, Packet::new(PacketKind::PING, z(5, 2)))]
    {
        server.give(Input::LinkUp { link: LinkId(link) });
        assert_eq!(server.from(link, packet), [format!("{link}> close")]);
    }
    // It comes again on another link.
    server.give(Input::LinkUp { link: LinkId(11) });
    server.from(11, info(PacketKind::OBSERVERINFO, 9, 5));
    let given = server.from(11, ack_epoch(z(5, 2), 5));
    assert_eq!(given[..2], ["7> close".to_owned(), "11> DIFF 5:2".to_owned()]);
    assert_eq!(server.plain_from(11, PacketKind::ACK, z(5, 0)), ["11> UPTODATE -1:4294967295"]);
    // Pings every half tick; who does not answer within syncLimit is dropped.
    let mut closed = Vec::new();
    let begun_ms = server.now_ms;
    for _ in 0..12 {
        // The leader lives.
        server.hears_plain(PacketKind::PING, z(5, 2));
        closed = server.sleep();
        if closed == ["11> close"] {
            break;
        }
        assert_eq!(closed, ["11> PING 5:2"]);
    }
    assert_eq!((closed, server.now_ms - begun_ms), (vec!["11> close".to_owned()], u64::from(SYNC_LIMIT) * TICK_MS));
    // With the role it ends for all.
    server.give(Input::LinkUp { link: LinkId(12) });
    let link = server.dialled;
    let ended = server.give(Input::LinkDown { link });
    assert!(ended.contains(&"12> close".to_owned()) && ended.contains(&"listen false Observers".to_owned()), "{ended:?}");
}

#[test]
fn an_observer_asks_followers_in_turn_and_then_the_leader() {
    let mut config = three();
    config.members.insert(Sid(4), Member { role: MemberRole::Observer, ..Member::participant("localhost", 2888, 3888) });
    let mut asked = Vec::new();
    for seed in 0..20 {
        let options = PeerOptions { observer_masters: true, seed, observer_delay_ms: 0, ..PeerOptions::new(Sid(4)) };
        let mut server = Server::member_with(&config, durable(z(2, 3), 2, 2), options);
        server.wants();
        let mut turns = Vec::new();
        while turns.len() < 6 {
            server.notification(3, PeerState::Leading, 3, z(9, 9), 9);
            turns.extend(server.notification(2, PeerState::Following, 3, z(9, 9), 9));
            // None of them can be reached.
            while server.peer.role() == Role::Observing {
                let link = server.dialled;
                server.give(Input::LinkDown { link });
                if server.peer.role() == Role::Observing {
                    server.sleep();
                }
            }
            server.done();
        }
        assert_eq!(turns[4], "dial 3", "who leads is asked when all others have been asked twice: {turns:?}");
        assert!(turns[0] != turns[1] && turns[..2] == turns[2..4] && turns[5] == turns[0], "{turns:?}");
        asked.push(turns[0].clone());
    }
    asked.sort();
    asked.dedup();
    assert_eq!(asked, ["dial 1 as an observer", "dial 2 as an observer"], "chance decides who is first");
}

#[test]
fn how_observers_are_synchronised_can_be_limited() {
    let join = |server: &mut Server, link: u64, kind: PacketKind, last: Zxid| {
        server.give(Input::LinkUp { link: LinkId(link) });
        server.from(link, info(kind, link as i64, 5));
        server.from(link, ack_epoch(last, 5))[0].clone()
    };
    let first = |line: String| line.split(' ').take(2).collect::<Vec<_>>().join(" ");
    let options = PeerOptions { observer_masters: true, max_diff_syncs: 1, max_snap_syncs: 1, ..PeerOptions::new(Sid(1)) };
    let mut server = learner_with(durable(z(2, 3), 2, 2), options);
    brought_up(&mut server);
    // One of each kind, and no more until it is done.
    assert_eq!(first(join(&mut server, 7, PacketKind::OBSERVERINFO, z(2, 3))), "7> DIFF");
    assert_eq!(first(join(&mut server, 8, PacketKind::OBSERVERINFO, z(0, 0))), "8> job");
    assert_eq!(join(&mut server, 9, PacketKind::OBSERVERINFO, z(2, 3)), "9> close");
    assert_eq!(join(&mut server, 10, PacketKind::OBSERVERINFO, z(0, 0)), "10> close");
    server.plain_from(7, PacketKind::ACK, z(5, 0));
    assert_eq!(first(join(&mut server, 11, PacketKind::OBSERVERINFO, z(2, 3))), "11> DIFF");
    // A snapshot for everybody.
    let options = PeerOptions { observer_masters: true, force_snapshot_sync: true, ..PeerOptions::new(Sid(1)) };
    let mut server = learner_with(durable(z(2, 3), 2, 2), options);
    brought_up(&mut server);
    assert!(join(&mut server, 7, PacketKind::OBSERVERINFO, z(2, 3)).contains("snap=true"));
}

#[test]
fn an_ensemble_of_one_member_elects_itself() {
    let config = Config::majority([(Sid(1), Member::participant("localhost", 2888, 3888))].into());
    let mut server = Server::member(1, &config, durable(z(0, 0), 0, 0), 500);
    assert_eq!(server.sleep(), ["listen true", "accept 1", "barrier"]);
    assert_eq!(server.done(), ["commit epoch 1", "barrier"]);
    assert_eq!(server.done(), ["lead 1"]);
    assert_eq!(server.propose(), ["append 1:1"]);
    assert_eq!(server.give(Input::LogSynced { through: z(1, 1) }), ["commit 1:1"]);
    assert_eq!(server.give(Input::Sync { origin: SyncOrigin::Local(1) }), ["sync 1 done"]);
}

#[test]
fn one_of_two_goes_on_alone_only_by_the_word_of_an_oracle() {
    let two = Config::majority((1..=2).map(|sid| (Sid(sid), Member::participant("localhost", 2888, 3888))).collect());
    for says in [None, Some(false), Some(true)] {
        let mut server = Server::member(2, &two, durable(z(2, 3), 2, 2), 500);
        server.notification(1, PeerState::Looking, 2, z(2, 3), 2);
        server.sleep();
        joins(&mut server, 1, 1, 2);
        server.done();
        server.from(1, ack_epoch(z(2, 3), 2));
        server.done();
        assert_eq!(server.plain_from(1, PacketKind::ACK, z(3, 0))[0], "lead 3");
        server.give(Input::Oracle { says });
        server.propose();
        assert_eq!(server.give(Input::LogSynced { through: z(3, 1) }), [""; 0], "the other is there");
        server.give(Input::LinkDown { link: LinkId(1) });
        let mut lines = server.sleep();
        if server.peer.role() == Role::Leading {
            lines.extend(server.sleep());
        }
        match says {
            Some(true) => assert_eq!(lines, ["commit 3:1"]),
            _ => assert_eq!(lines, ["listen false", "look: not enough followers are synchronised", "barrier"]),
        }
    }
}

// --- Reconfiguration ---

/// The transaction that makes these sids the voters of servers 1 to 4; the others are observers.
fn reconfiguration(zxid: Zxid, voters: &[i64]) -> Bytes {
    let mut config = four(voters);
    config.version = zxid.0 as u64;
    let text = config.to_text();
    let header = TxnHeader { client_id: 1, cxid: 1, zxid: zxid.0, time: 0, kind: OpCode::RECONFIG.0 };
    let change = SetDataTxn { path: Some("/zookeeper/config".into()), data: Some(text.as_bytes()), version: -1 };
    txn::encode(&header, &Txn::Reconfig(change), None).into()
}

fn four(voters: &[i64]) -> Config {
    let role = |sid: &i64| if voters.contains(sid) { MemberRole::Participant } else { MemberRole::Observer };
    let member = |sid: i64| Member { role: role(&sid), ..Member::participant("localhost", 2888, 3888) };
    Config { version: 1, ..Config::majority((1..=4).map(|sid| (Sid(sid), member(sid))).collect()) }
}

/// The kinds and zxids of what is done; payloads, other than elsewhere, are not looked at.
fn kinds(peer: &mut Peer) -> Vec<String> {
    let mut lines = Vec::new();
    while let Some(output) = peer.poll() {
        lines.push(match output {
            Output::Send { link, packet } => format!("{}> {} {}", link.0, packet.kind, text(packet.zxid)),
            Output::Append { zxid, .. } => format!("append {}", text(zxid)),
            Output::Commit { zxid, .. } => format!("commit {}", text(zxid)),
            Output::SeenConfig { config } => format!("seen {:x}", config.version),
            Output::ActivateConfig { config } => format!("active {:x}", config.version),
            Output::Look { reason } => format!("look: {reason}"),
            Output::Close { .. } => "close".to_owned(),
            Output::Lead { epoch } => format!("lead {epoch}"),
            Output::Listen { .. }
            | Output::Barrier { .. }
            | Output::Notify { .. }
            | Output::CommitEpoch { .. }
            | Output::SaveAccepted { .. } => {
                continue;
            }
            other => format!("{other:?}"),
        });
    }
    lines
}

/// Server 3 leads epoch 3 over voters 1 to 3; 1 and 2 follow on links 1 and 2, observer 4 on link 4.
fn dynamic() -> Server {
    let options = PeerOptions { reconfig_enabled: true, tick_ms: TICK_MS, init_limit: INIT_LIMIT, ..PeerOptions::new(Sid(3)) };
    let now_ms = 10_000;
    let peer = Peer::member(options, four(&[1, 2, 3]), durable(z(2, 3), 2, 2), now_ms);
    let mut server = Server { peer, now_ms, step: 0, dialled: LinkId(0) };
    server.wants();
    server.notification(1, PeerState::Looking, 3, z(2, 3), 2);
    server.sleep();
    for (link, kind) in [(1, PacketKind::FOLLOWERINFO), (2, PacketKind::FOLLOWERINFO), (4, PacketKind::OBSERVERINFO)] {
        server.give(Input::LinkUp { link: LinkId(link) });
        server.from(link, info(kind, link as i64, 2));
        if link == 1 {
            server.done();
        }
        server.from(link, ack_epoch(z(2, 3), 2));
    }
    server.done();
    for link in [1, 2, 4] {
        server.plain_from(link, PacketKind::ACK, z(3, 0));
    }
    assert!(server.peer.is_serving());
    server
}

#[test]
fn a_reconfiguration_needs_the_quorums_of_both_configurations() {
    let mut server = dynamic();
    assert!(server.peer.is_led(&four(&[1, 2, 3, 4])), "three of the four, and they follow");
    assert!(!server.peer.is_led(&four(&[3, 4])), "an observer acknowledges nothing");
    assert_eq!((server.peer.config().version, server.peer.last_seen_config().version), (1, 1));
    server.peer.handle(server.now_ms, Input::Propose { zxid: z(3, 1), payload: reconfiguration(z(3, 1), &[1, 2, 3, 4]) });
    let proposed = ["seen 300000001", "1> PROPOSAL 3:1", "2> PROPOSAL 3:1", "append 3:1"];
    assert_eq!(kinds(&mut server.peer), proposed);
    assert_eq!((server.peer.config().version, server.peer.last_seen_config().version), (1, 0x3_0000_0001));
    server.peer.handle(server.now_ms, Input::LogSynced { through: z(3, 1) });
    server.plain_from(1, PacketKind::ACK, z(3, 1));
    assert_eq!(server.peer.outstanding(), 1, "two are a quorum of the three, and not of the four");
    server.peer.handle(server.now_ms, Input::Packet { link: LinkId(2), packet: Packet::new(PacketKind::ACK, z(3, 1)) });
    let activated = ["commit 3:1", "1> COMMITANDACTIVATE 3:1", "2> COMMITANDACTIVATE 3:1", "4> INFORMANDACTIVATE 3:1", "active 300000001"];
    assert_eq!(kinds(&mut server.peer), activated);
    assert_eq!(server.peer.config().version, 0x3_0000_0001);
    // From now on the new rule counts.
    server.propose();
    server.give(Input::LogSynced { through: z(3, 2) });
    assert_eq!(server.plain_from(1, PacketKind::ACK, z(3, 2)), [""; 0]);
    assert_eq!(server.plain_from(2, PacketKind::ACK, z(3, 2))[0], "commit 3:2");
}

#[test]
fn a_leader_that_is_left_out_hands_over() {
    let mut server = dynamic();
    server.peer.handle(server.now_ms, Input::Propose { zxid: z(3, 1), payload: reconfiguration(z(3, 1), &[1, 2]) });
    server.peer.handle(server.now_ms, Input::LogSynced { through: z(3, 1) });
    kinds(&mut server.peer);
    server.plain_from(1, PacketKind::ACK, z(3, 1));
    server.peer.handle(server.now_ms, Input::Packet { link: LinkId(2), packet: Packet::new(PacketKind::ACK, z(3, 1)) });
    let mut designated = None;
    while let Some(output) = server.peer.poll() {
        if let Output::Send { packet: Packet { kind: PacketKind::COMMITANDACTIVATE, data: Some(data), .. }, .. } = output {
            designated = Some(i64::from_be_bytes(data[..].try_into().unwrap()));
        }
    }
    assert!(matches!(designated, Some(1 | 2)), "{designated:?}");
    server.propose();
    server.give(Input::LogSynced { through: z(3, 2) });
    server.plain_from(1, PacketKind::ACK, z(3, 2));
    assert_eq!(server.plain_from(2, PacketKind::ACK, z(3, 2)), [""; 0], "its successor commits that");
    let lines = server.sleep();
    assert!(lines.contains(&"look: the new configuration has another leader".to_owned()), "{lines:?}");
}

#[test]
fn a_follower_puts_a_configuration_in_force() {
    for (voters, designated, goes_on) in [(&[1, 2, 3, 4][..], 3, true), (&[1, 2], 2, false), (&[2, 3], 3, false)] {
        let options = PeerOptions { reconfig_enabled: true, ..PeerOptions::new(Sid(1)) };
        let peer = Peer::member(options, four(&[1, 2, 3]), durable(z(2, 3), 2, 2), 10_000);
        let mut server = Server { peer, now_ms: 10_000, step: 0, dialled: LinkId(0) };
        server.notification(3, PeerState::Leading, 3, z(9, 9), 9);
        server.notification(2, PeerState::Following, 3, z(9, 9), 9);
        let link = server.dialled;
        server.give(Input::LinkUp { link });
        server.hears(leader_info(5));
        server.done();
        server.hears_plain(PacketKind::DIFF, z(2, 3));
        let numbered = Config { version: 0x5_0000_0000, ..four(&[1, 2, 3]) };
        let new_leader = Packet::with_data(PacketKind::NEWLEADER, z(5, 0), numbered.to_text().into());
        assert_eq!(server.hears(new_leader)[0], format!("seen {}", 0x5_0000_0000_u64));
        server.done();
        let up = server.hears_plain(PacketKind::UPTODATE, Zxid(-1));
        assert_eq!(up, [format!("active {}", 0x5_0000_0000_u64), "ACK 5:0".to_owned(), "serve".to_owned()]);

        let packet = Packet::with_data(PacketKind::PROPOSAL, z(5, 1), reconfiguration(z(5, 1), voters));
        server.peer.handle(server.now_ms, Input::Packet { link, packet });
        assert_eq!(kinds(&mut server.peer), ["seen 500000001", "append 5:1"]);
        let leader = Bytes::copy_from_slice(&i64::to_be_bytes(designated));
        let packet = Packet::with_data(PacketKind::COMMITANDACTIVATE, z(5, 1), leader);
        server.peer.handle(server.now_ms, Input::Packet { link, packet });
        let lines = kinds(&mut server.peer);
        assert_eq!(lines[..2], ["commit 5:1", "active 500000001"]);
        assert_eq!(lines.len() == 2, goes_on, "{voters:?}: {lines:?}");
        assert_eq!(server.peer.role() == Role::Following, goes_on);
    }
}

// --- Standalone ---

fn standalone(last: Zxid) -> Server {
    Server { peer: Peer::standalone(Sid(1), last), now_ms: 0, step: 0, dialled: LinkId(0) }
}

#[test]
fn a_standalone_server_is_established_and_has_no_timers() {
    let mut server = standalone(Zxid(4));
    assert!(server.peer.is_serving());
    assert_eq!(server.peer.next_timer_ms(), None);
    assert_eq!(server.propose(), ["append 0:5"]);
    assert_eq!(server.propose(), ["append 0:6"]);
    assert_eq!(server.give(Input::Sync { origin: SyncOrigin::Local(1) }), [""; 0]);
    assert_eq!(server.give(Input::LogSynced { through: z(0, 5) }), ["commit 0:5"]);
    assert_eq!(server.give(Input::LogSynced { through: z(0, 6) }), ["commit 0:6", "sync 1 done"]);
    assert_eq!(server.peer.last_committed(), z(0, 6));
    assert_eq!(server.give(Input::LinkUp { link: LinkId(1) }), ["1> close"]);
}

#[test]
fn what_the_log_of_a_standalone_server_refused_gives_its_zxids_back() {
    let mut server = standalone(Zxid::ZERO);
    for _ in 0..3 {
        server.propose();
    }
    assert_eq!(server.give(Input::LogRefused { from: z(0, 2) }), ["withdrawn 0:2"]);
    assert_eq!(server.peer.next_zxid(), z(0, 2));
    assert_eq!(server.give(Input::LogSynced { through: z(0, 1) }), ["commit 0:1"]);
}

#[test]
fn the_counter_of_a_standalone_server_rolls_over_into_the_next_epoch() {
    let mut server = standalone(z(3, u32::MAX - 1));
    assert_eq!(server.propose(), [format!("append 3:{}", u32::MAX)]);
    assert_eq!(server.propose(), ["append 4:1"]);
    assert_eq!(server.peer.epoch(), 4);
}
