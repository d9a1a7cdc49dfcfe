//! Session ids across the lives of a server: what one life gave out, the next does not give to somebody else.

use oxkeeper_auth::{SchemeOptions, Schemes};
use oxkeeper_proto::txn::LoggedTxn;
use oxkeeper_proto::{SessionId, Zxid};
use oxkeeper_replica::core::{Core, CoreOptions, Input, LocalSessions, Output};
use oxkeeper_replica::prepare::PrepareOptions;
use oxkeeper_replica::request::{ConnId, Now};
use oxkeeper_tree::{NoopSink, Tree, TreeOptions};
use std::sync::Arc;

/// One life: opens a session, logs and applies it. Every life begins at the same moment of its own monotonic clock.
fn open_session_in_a_new_life(tree: &mut Tree, wall_ms: i64) -> SessionId {
    let options = CoreOptions {
        tick_ms: 2000,
        sid: 1,
        prepare: PrepareOptions { extended_types: true, emulate_353_ttl: false, enforce_quota: false, reconfig_enabled: false },
        digest_enabled: true,
        close_session_txn: true,
        max_length: 1 << 20,
        local_sessions: LocalSessions::Off,
        read_only_after_ms: None,
    };
    let now = Now { mono_ms: 86_400_012, wall_ms };
    let schemes = Arc::new(Schemes::new(&SchemeOptions::default()).expect("the defaults are good"));
    let mut core = Core::standalone(options, schemes, tree, now);
    let connection = ConnId { front: 0, slot: 0, generation: 0 };
    core.handle(now, tree, Input::OpenSession { connection, timeout_ms: 4000 });
    let Some(Output::Append { payload, .. }) = core.poll() else { panic!("a new session is a transaction") };
    let logged = LoggedTxn::read(&payload).expect("a transaction");
    tree.apply(&logged, &mut NoopSink);
    SessionId(logged.header.client_id)
}

#[test]
fn a_restarted_server_gives_out_new_ids() {
    let mut tree = Tree::new(TreeOptions::default());
    let first = open_session_in_a_new_life(&mut tree, 1_700_000_000_000);
    let second = open_session_in_a_new_life(&mut tree, 1_700_000_000_001);
    assert_ne!(first, second);
    assert_eq!(tree.last_zxid(), Zxid(2));
    assert_eq!(tree.session_count(), 2);
}

#[test]
fn a_clock_that_was_set_back_does_not_lead_into_a_living_session() {
    let mut tree = Tree::new(TreeOptions::default());
    for count in 1..4 {
        open_session_in_a_new_life(&mut tree, 1_700_000_000_000);
        assert_eq!(tree.session_count(), count);
    }
}
