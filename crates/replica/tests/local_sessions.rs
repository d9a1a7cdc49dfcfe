//! Sessions that only their server knows, and a member without a leader that serves readers: what the core asks to be
//! written (nothing), when they end, and when the readers have to go.

use oxkeeper_auth::{Identity, SchemeOptions, Schemes};
use oxkeeper_proto::acl::{open, to_records};
use oxkeeper_proto::records::CreateRequest;
use oxkeeper_proto::txn::{LoggedTxn, Txn};
use oxkeeper_proto::{ErrorCode, OpCode, Record as _, SessionId, Zxid};
use oxkeeper_replica::apply::{Commit, Outcome};
use oxkeeper_replica::core::{Core, CoreOptions, Input, LocalSessions, Output};
use oxkeeper_replica::inbox::{Item, Service};
use oxkeeper_replica::prepare::PrepareOptions;
use oxkeeper_replica::request::{ConnId, Now, Write};
use oxkeeper_tree::{Tree, TreeOptions};
use oxkeeper_zab::{Config, Durable, Peer, PeerOptions, Sid};
use std::sync::Arc;

const CONNECTION: ConnId = ConnId { front: 0, slot: 0, generation: 0 };
const OTHER: ConnId = ConnId { front: 0, slot: 1, generation: 0 };

fn options(local_sessions: LocalSessions, read_only_after_ms: Option<u64>) -> CoreOptions {
    CoreOptions {
        tick_ms: 1000,
        sid: 1,
        prepare: PrepareOptions { extended_types: false, emulate_353_ttl: false, enforce_quota: false, reconfig_enabled: false },
        digest_enabled: true,
        close_session_txn: true,
        max_length: 1 << 20,
        local_sessions,
        read_only_after_ms,
    }
}

struct World {
    core: Core,
    tree: Tree,
    now: Now,
}

impl World {
    fn leader(local_sessions: LocalSessions) -> Self {
        let (tree, now) = (Tree::new(TreeOptions::default()), Now { mono_ms: 1_000_000, wall_ms: 1_700_000_000_000 });
        let core = Core::standalone(options(local_sessions, None), schemes(), &tree, now);
        Self { core, tree, now }
    }

    fn member(sid: i64) -> Self {
        let (tree, now) = (Tree::new(TreeOptions::default()), Now { mono_ms: 1_000_000, wall_ms: 1_700_000_000_000 });
        let config = Config::parse("server.1=127.0.0.1:1:2\nserver.2=127.0.0.1:3:4\nserver.3=127.0.0.1:5:6").expect("members");
        let durable = Durable { last_zxid: Zxid::ZERO, accepted: 0, current: 0, in_doubt: false };
        let peer = Peer::member(PeerOptions::new(Sid(sid)), config, durable, now.mono_ms);
        let core = Core::member(options(LocalSessions::On, Some(2000)), schemes(), peer, &tree, now);
        Self { core, tree, now }
    }

    fn tell(&mut self, input: Input) -> Vec<Output> {
        self.core.handle(self.now, &self.tree, input);
        std::iter::from_fn(|| self.core.poll()).collect()
    }

    fn after(&mut self, ms: u64) -> Vec<Output> {
        self.now.mono_ms += ms;
        self.tell(Input::Tick)
    }

    fn open(&mut self) -> SessionId {
        let outputs = self.tell(Input::OpenSession { connection: CONNECTION, timeout_ms: 4000 });
        match &outputs[..] {
            [Output::Front { item: Item::Session { session, created_ms: Some(_), .. }, .. }] => *session,
            other => panic!("a session and nothing more: {other:?}"),
        }
    }

    fn write(&mut self, session: SessionId, op: OpCode, body: Vec<u8>) -> Vec<Output> {
        let identities = Arc::new(vec![Identity::new("world", "anyone")]);
        let write =
            Write { connection: CONNECTION, session, xid: 7, op, body, identities, before: Vec::new(), received_ms: self.now.mono_ms };
        self.tell(Input::Write(write))
    }

    fn create_ephemeral(&mut self, session: SessionId) -> Vec<Output> {
        let everything = open();
        let acl = Some(to_records(&everything));
        let body = CreateRequest { path: Some("/e".into()), data: None, acl, flags: 1 }.to_bytes();
        self.write(session, OpCode::CREATE, body)
    }
}

fn schemes() -> Arc<Schemes> {
    Arc::new(Schemes::new(&SchemeOptions::default()).expect("the defaults are good"))
}

/// The errors of answers that cost no transaction.
fn answers(outputs: &[Output]) -> Vec<ErrorCode> {
    let answer = |output: &Output| match output {
        Output::Apply(Commit { outcome: Outcome::Answer(error), .. }) => Some(*error),
        _ => None,
    };
    outputs.iter().filter_map(answer).collect()
}

fn is_closing(outputs: &[Output], wanted: ConnId) -> bool {
    outputs.iter().any(|output| matches!(output, Output::Front { item: Item::Close { connection }, .. } if *connection == wanted))
}

fn appended(outputs: &[Output]) -> Vec<(OpCode, SessionId, Option<ErrorCode>)> {
    let txn = |output: &Output| {
        let Output::Append { payload, .. } = output else { return None };
        let logged = LoggedTxn::read(payload).expect("a transaction");
        let error = match &logged.txn {
            Txn::Error(error) => Some(ErrorCode(error.err)),
            _ => None,
        };
        Some((OpCode(logged.header.kind), SessionId(logged.header.client_id), error))
    };
    outputs.iter().filter_map(txn).collect()
}

fn service(outputs: &[Output]) -> Option<Service> {
    outputs.iter().rev().find_map(|output| match output {
        Output::Serve(service) => Some(*service),
        _ => None,
    })
}

#[test]
fn nothing_is_written_of_a_local_session() {
    let mut world = World::leader(LocalSessions::On);
    let session = world.open();
    assert_eq!(world.core.local_sessions().map(|all| all.len()), Some(1));
    let outputs = world.write(session, OpCode::CLOSE_SESSION, Vec::new());
    assert_eq!((appended(&outputs), answers(&outputs)), (vec![], vec![ErrorCode::OK]));
    assert_eq!(world.core.local_sessions().map(|all| all.len()), Some(0));
    let session = world.open();
    let end_ms = world.core.next_timer_ms().expect("it expires") - world.now.mono_ms;
    assert!(end_ms > 4000, "{end_ms}");
    assert!(!is_closing(&world.after(end_ms - 1), CONNECTION));
    let outputs = world.after(1);
    assert!(is_closing(&outputs, CONNECTION));
    assert_eq!(appended(&outputs), []);
    let outputs = world.tell(Input::ReopenSession { connection: OTHER, session, timeout_ms: 4000 });
    assert!(matches!(outputs[..], [Output::Front { item: Item::Session { session: SessionId::NONE, .. }, .. }]), "{outputs:?}");
}

#[test]
fn a_local_session_is_taken_over_by_another_connection() {
    let mut world = World::leader(LocalSessions::On);
    let session = world.open();
    let outputs = world.tell(Input::ReopenSession { connection: OTHER, session, timeout_ms: 4000 });
    assert!(is_closing(&outputs, CONNECTION));
    // What the old connection still wanted is refused.
    let outputs = world.create_ephemeral(session);
    assert_eq!((appended(&outputs), answers(&outputs)), (vec![], vec![ErrorCode::SESSION_MOVED]));
}

#[test]
fn the_first_ephemeral_node_makes_it_known_or_is_refused() {
    let mut world = World::leader(LocalSessions::On);
    let session = world.open();
    let refusal = (OpCode::ERROR, session, Some(ErrorCode::EPHEMERAL_ON_LOCAL_SESSION));
    assert_eq!(appended(&world.create_ephemeral(session)), [refusal]);
    let mut world = World::leader(LocalSessions::Upgraded);
    let session = world.open();
    let outputs = world.create_ephemeral(session);
    assert_eq!(appended(&outputs), [(OpCode::CREATE_SESSION, session, None), (OpCode::CREATE, session, None)]);
    assert_eq!(world.core.local_sessions().map(|all| all.len()), Some(0));
    assert!(world.core.sessions().get(session).is_some());
    // From now on its end is a transaction.
    assert_eq!(appended(&world.write(session, OpCode::CLOSE_SESSION, Vec::new())), [(OpCode::CLOSE_SESSION, session, None)]);
}

#[test]
fn without_room_for_the_log_a_session_stays_local() {
    let mut world = World::leader(LocalSessions::Upgraded);
    let session = world.open();
    world.tell(Input::LogRefused { from: Zxid(1) });
    assert_eq!(answers(&world.create_ephemeral(session)), [ErrorCode::SYSTEM_ERROR]);
    assert_eq!(world.core.local_sessions().map(|all| all.len()), Some(1));
    assert_eq!(answers(&world.write(session, OpCode::CLOSE_SESSION, Vec::new())), [ErrorCode::OK]);
}

#[test]
fn an_upgrade_that_finds_no_room_ends_the_session() {
    let mut world = World::leader(LocalSessions::Upgraded);
    let session = world.open();
    world.create_ephemeral(session);
    let outputs = world.tell(Input::LogRefused { from: Zxid(1) });
    assert!(is_closing(&outputs, CONNECTION), "{outputs:?}");
    assert!(world.core.sessions().get(session).is_none());
}

/// Nothing of a reader reaches a file, a vote or a zxid (ZOOKEEPER-3526).
#[test]
fn readers_are_served_without_a_leader_and_leave_no_trace() {
    let mut world = World::member(1);
    assert_eq!(service(&world.after(1999)), None);
    assert_eq!(service(&world.after(1)), Some(Service::ReadOnly));
    assert!(world.core.is_read_only());
    let before = world.core.peer().role();
    let session = world.open();
    let mut outputs = world.tell(Input::Touch { session, timeout_ms: 4000 });
    outputs.extend(world.tell(Input::Detach { connection: CONNECTION, session }));
    outputs.extend(world.tell(Input::ReopenSession { connection: CONNECTION, session, timeout_ms: 4000 }));
    outputs.extend(world.write(session, OpCode::CLOSE_SESSION, Vec::new()));
    assert_eq!(answers(&outputs), [ErrorCode::OK]);
    let is_harmless = |output: &Output| matches!(output, Output::Front { .. } | Output::Apply(_));
    assert!(outputs.iter().all(is_harmless), "{outputs:?}");
    assert_eq!((world.core.peer().role(), world.core.last_proposed()), (before, Zxid::ZERO));
}

#[test]
fn readers_have_to_go_when_a_leader_is_found() {
    let (mut one, mut two) = (World::member(1), World::member(2));
    assert_eq!(service(&one.after(2000)), Some(Service::ReadOnly));
    let session = one.open();
    let mut to_two = one.tell(Input::ElectionLink { peer: Sid(2), is_up: true });
    let mut to_one = two.tell(Input::ElectionLink { peer: Sid(1), is_up: true });
    let mut found = None;
    for _ in 0..1000 {
        let deliver = |outputs: Vec<Output>, from: i64, world: &mut World| -> Vec<Output> {
            let messages = outputs.into_iter().filter_map(|output| match output {
                Output::Notify { message, .. } => Some(message),
                _ => None,
            });
            messages.flat_map(|message| world.tell(Input::Notification { from: Sid(from), message })).collect()
        };
        let (at_two, at_one) = (deliver(to_two, 1, &mut two), deliver(to_one, 2, &mut one));
        found = found.or(service(&at_one));
        (to_two, to_one) = (at_one, at_two);
        to_two.extend(one.after(10));
        to_one.extend(two.after(10));
        found = found.or(service(&to_two));
        if found.is_some() {
            break;
        }
    }
    assert_eq!(found, Some(Service::None));
    assert!(!one.core.is_read_only());
    assert_eq!(one.core.local_sessions().and_then(|all| all.get(session).map(|_| ())), None);
}
