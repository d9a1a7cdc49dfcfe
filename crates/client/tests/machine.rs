//! Conversations with a server that is played here: the handshake, requests, watches, timers, losses, the end.

mod common;

use common::{SESSION, Seen, TIMEOUT_MS, World, event, frame, header, options, reply, text};
use oxkeeper_client::{
    AclRef, AddWatchMode, CreateMode, Input, MultiOp, Operation, PendingRequests, RawWatch, ReadOp, RequestBatch, SaslStep, State,
    SubmitError, TableKind, WatcherId, WatchesToRemove,
};
use oxkeeper_proto::records::Stat;
use oxkeeper_proto::{ErrorCode, OpCode, Reader, Record, SessionId, Write};
use std::net::SocketAddr;

const LOSS: i32 = ErrorCode::CONNECTION_LOSS.0;
const CLOSING: i32 = SubmitError::CLOSING.0;

fn get(path: &[u8]) -> Operation<'_> {
    Operation::GetData { path, watch: None }
}

fn watched_get(path: &[u8], watcher: u128) -> Operation<'_> {
    Operation::GetData { path, watch: Some(WatcherId(watcher)) }
}

fn address(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

#[test]
fn the_handshake_is_that_of_the_c_client() {
    let mut world = World::new(options("127.0.0.1:1/x"));
    assert_eq!(world.client.state(), State::Connecting);
    assert_eq!(world.next(), Seen::Connect(address(1)));
    let request = world.accept(SESSION, false);
    let mut expected = Vec::new();
    expected.int(0);
    expected.long(0);
    expected.int(TIMEOUT_MS as i32);
    expected.long(0);
    expected.buffer(Some(&[0; 16]));
    expected.boolean(false);
    assert_eq!(request, expected);
    assert_eq!(world.next(), Seen::Session(State::Connected, vec![1000]));
    assert_eq!(world.client.session(), SessionId(SESSION));
    assert_eq!(world.client.password(), &SessionId(SESSION).password());
    assert!(world.log.iter().any(|line| line == "initiated connection to server 127.0.0.1:1"));
    let line = "session establishment complete on server 127.0.0.1:1, sessionId=0x12345678, negotiated timeout=6000 ";
    assert!(world.log.iter().any(|text| text == line), "{:?}", world.log);
}

#[test]
fn an_old_server_sends_no_read_only_flag_and_bytes_come_as_they_like() {
    let mut world = World::new(options("127.0.0.1:1"));
    world.next();
    world.input(Input::LinkUp);
    let whole = common::connect_response(4000, SESSION, false);
    let mut old = frame(&whole[4..whole.len() - 1]);
    old.extend(reply(-2, 0, ErrorCode::OK, b""));
    for byte in old {
        world.input(Input::Received(&[byte]));
    }
    assert_eq!(world.next(), Seen::Session(State::Connected, vec![1000]));
    assert_eq!(world.client.session_timeout_ms(), 4000);
    world.assert_quiet();
}

#[test]
fn requests_wait_for_the_session_and_complete_in_order() {
    let mut world = World::new(options("127.0.0.1:1"));
    world.next();
    for tag in 0..3 {
        world.submit(tag, &get(b"/a")).unwrap();
    }
    assert_eq!(world.sent(), Vec::<Vec<u8>>::new());
    world.accept(SESSION, false);
    world.next();
    assert_eq!(world.sent_headers(), [(1, OpCode::GET_DATA), (2, OpCode::GET_DATA), (3, OpCode::GET_DATA)]);
    world.submit(3, &Operation::WhoAmI).unwrap();
    assert_eq!(world.sent_headers(), [(4, OpCode::WHO_AM_I)]);
    let mut replies = reply(1, 5, ErrorCode::OK, b"body");
    replies.extend(reply(2, 6, ErrorCode::NO_NODE, b""));
    replies.extend(reply(3, -1, ErrorCode::OK, b""));
    replies.extend(reply(4, 0, ErrorCode::OK, b"x"));
    world.input(Input::Received(&replies));
    assert_eq!(world.next(), Seen::Completed(0, 0, b"body".to_vec()));
    assert_eq!(world.next(), Seen::Completed(1, ErrorCode::NO_NODE.0, vec![]));
    assert_eq!(world.next(), Seen::Completed(2, 0, vec![]));
    assert_eq!(world.next(), Seen::Completed(3, 0, b"x".to_vec()));
    assert_eq!(world.client.last_zxid(), 6);
    assert_eq!(world.client.pending_count(), 0);
}

#[test]
fn batches_take_their_place_in_the_order() {
    let mut world = World::open("127.0.0.1:1/x");
    let mut batch = RequestBatch::default();
    let chroot = world.client.chroot().clone();
    world.submit(1, &get(b"/a")).unwrap();
    for tag in 2..5 {
        batch.push(&chroot, tag, &watched_get(b"/b", 7)).unwrap();
    }
    assert_eq!(batch.push(&chroot, 9, &get(b"b")), Err(SubmitError::BadArguments));
    assert_eq!(batch.len(), 3);
    world.client.submit_batch(0, &mut batch);
    assert!(batch.is_empty());
    world.submit(5, &get(b"/c")).unwrap();
    let sent = world.sent();
    let expected: Vec<_> = (1..=5).map(|xid| (xid, OpCode::GET_DATA)).collect();
    assert_eq!(sent.iter().map(|frame| header(frame)).collect::<Vec<_>>(), expected);
    assert_eq!(Reader::new(&sent[2][8..]).ustring(), Ok(Some("/x/b".into())));
    for xid in 1..=5 {
        world.reply(xid, 1, ErrorCode::OK, b"");
        assert_eq!(world.next(), Seen::Completed(xid as u64, 0, vec![]));
    }
    world.event(3, "/x/b");
    assert_eq!(world.next(), Seen::Watch(3, "/b".to_string(), vec![7]));
}

#[test]
fn a_batch_for_a_session_that_is_over_completes_with_the_reason() {
    let mut world = World::open("127.0.0.1:1");
    let mut batch = RequestBatch::default();
    batch.push(&common::no_chroot(), 1, &get(b"/a")).unwrap();
    world.client.close(0, PendingRequests::Fail);
    world.client.submit_batch(0, &mut batch);
    world.drain();
    assert_eq!(world.next(), Seen::Completed(1, CLOSING, vec![]));
}

#[test]
fn a_lost_link_ends_everything_in_order_and_is_made_again() {
    let mut world = World::open("127.0.0.1:1,127.0.0.1:2");
    world.submit(1, &get(b"/a")).unwrap();
    world.sent();
    world.submit(2, &get(b"/b")).unwrap();
    world.client.add_auth(0, 3, b"digest", b"a:b").unwrap();
    world.submit(4, &get(b"/c")).unwrap();
    world.reply(1, 77, ErrorCode::OK, b"");
    assert_eq!(world.next(), Seen::Completed(1, 0, vec![]));
    world.link_down();
    assert_eq!(world.next(), Seen::Session(State::Connecting, vec![1000]));
    assert_eq!(world.next(), Seen::Completed(2, LOSS, vec![]));
    assert_eq!(world.next(), Seen::Completed(4, LOSS, vec![]));
    assert_eq!(world.next(), Seen::Completed(3, LOSS, vec![]));
    world.assert_quiet();
    assert_eq!(world.client.state(), State::Lost);
    assert!(
        world.log.iter().any(|line| line.contains("zk retcode=-4, errno=104(Connection reset by peer): failed while receiving")),
        "{:?}",
        world.log
    );
    world.until_timer();
    assert_eq!(world.now_ms, 0, "the next server is tried at once");
    assert_eq!(world.next(), Seen::Connect(address(2)));
    let request = world.accept(SESSION, false);
    let mut r = Reader::new(&request);
    assert_eq!((r.int(), r.long(), r.int(), r.long()), (Ok(0), Ok(77), Ok(TIMEOUT_MS as i32), Ok(SESSION)));
    assert_eq!(world.next(), Seen::Session(State::Connected, vec![1000]));
    assert_eq!(world.sent_headers(), [(-4, OpCode::AUTH)], "credentials stay");
}

#[test]
fn failed_attempts_say_nothing_pause_after_a_round_and_end_what_waits() {
    let mut world = World::new(options("127.0.0.1:1,127.0.0.1:2"));
    for round in 0..3 {
        assert_eq!(world.next(), Seen::Connect(address(1)));
        world.submit(1, &get(b"/a")).unwrap();
        world.link_down();
        assert_eq!(world.next(), Seen::Completed(1, LOSS, vec![]));
        assert_eq!(world.client.state(), State::Lost);
        world.until_timer();
        assert_eq!(world.next(), Seen::Connect(address(2)));
        world.link_down();
        let before_ms = world.now_ms;
        if round == 1 {
            // A request does not wait for the end of the pause.
            world.submit(2, &get(b"/a")).unwrap();
            world.until_timer();
            assert_eq!(world.now_ms, before_ms);
            assert_eq!(world.next(), Seen::Connect(address(1)));
            world.link_down();
            assert_eq!(world.next(), Seen::Completed(2, LOSS, vec![]));
            world.until_timer();
            assert_eq!(world.next(), Seen::Connect(address(2)));
            world.link_down();
        }
        let before_ms = world.now_ms;
        world.until_timer();
        assert_eq!(world.now_ms - before_ms, TIMEOUT_MS / 60);
    }
    assert!(world.log.iter().any(|line| line.contains("server refused to accept the client")));
    assert!(world.log.iter().any(|line| line.contains("exhaustively trying all servers [127.0.0.1:1,127.0.0.1:2]")));
}

#[test]
fn silence_and_pings() {
    let mut world = World::open("127.0.0.1:1");
    let third_ms = TIMEOUT_MS / 3;
    world.pass(third_ms - 1);
    assert_eq!(world.sent_headers(), []);
    world.until_timer();
    assert_eq!(world.now_ms, third_ms);
    assert_eq!(world.sent_headers(), [(-2, OpCode::PING)]);
    world.reply(-2, 99, ErrorCode::OK, b"");
    assert_eq!(world.client.last_zxid(), 0, "a ping's zxid does not count");
    world.submit(1, &get(b"/a")).unwrap();
    world.sent();
    // With a request outstanding there is no ping: its reply is due.
    world.until_timer();
    assert_eq!(world.now_ms, third_ms + TIMEOUT_MS * 2 / 3);
    assert_eq!(world.sent_headers(), []);
    assert_eq!(world.next(), Seen::Disconnect);
    assert_eq!(world.next(), Seen::Session(State::Connecting, vec![1000]));
    assert_eq!(world.next(), Seen::Completed(1, ErrorCode::OPERATION_TIMEOUT.0, vec![]));
    assert!(world.log.iter().any(|line| line.contains("retcode=-7, errno=110(Connection timed out): connection to 127.0.0.1:1 timed out")));
}

#[test]
fn a_server_that_is_silent_before_the_session_is_left() {
    for stage in 0..2 {
        let mut world = World::new(options("127.0.0.1:1,127.0.0.1:2"));
        assert_eq!(world.next(), Seen::Connect(address(1)));
        if stage == 1 {
            world.input(Input::LinkUp);
        }
        world.until_timer();
        assert_eq!(world.now_ms, TIMEOUT_MS * 2 / 3);
        assert_eq!(world.next(), Seen::Disconnect);
        world.until_timer();
        assert_eq!(world.next(), Seen::Connect(address(2)));
    }
}

#[test]
fn a_full_socket_gets_one_ping_a_third_of_the_timeout() {
    let mut world = World::open("127.0.0.1:1");
    for _ in 0..4 {
        // Something is received, nothing can be sent.
        world.pass(TIMEOUT_MS / 3);
        world.reply(-2, 0, ErrorCode::OK, b"");
        world.pass(1);
    }
    assert_eq!(world.sent_headers().len(), 4);
}

#[test]
fn another_session_id_means_expired() {
    let mut world = World::open("127.0.0.1:1");
    world.submit(1, &watched_get(b"/a", 5)).unwrap();
    world.reply(1, 1, ErrorCode::OK, b"");
    world.next();
    world.link_down();
    world.next();
    world.until_timer();
    world.next();
    world.submit(2, &get(b"/a")).unwrap();
    world.accept(0, false);
    assert_eq!(world.next(), Seen::Disconnect);
    assert_eq!(world.next(), Seen::Session(State::Expired, vec![5, 1000]));
    assert_eq!(world.next(), Seen::Completed(2, ErrorCode::SESSION_EXPIRED.0, vec![]));
    world.assert_quiet();
    assert_eq!(world.client.state().code(), -112);
    assert_eq!(world.client.next_timer_ms(), None);
    assert_eq!(world.submit(3, &get(b"/a")), Err(SubmitError::InvalidState));
    assert_eq!(world.client.add_auth(0, 3, b"digest", b""), Err(SubmitError::InvalidState));
    assert!(world.log.iter().any(|line| line.contains("sessionId=0x12345678 has expired.")));
    world.client.close(0, PendingRequests::Fail);
    world.drain();
    assert_eq!(world.next(), Seen::Closed);
}

#[test]
fn a_session_given_at_the_start_is_resumed() {
    let mut options = options("127.0.0.1:1");
    options.session = SessionId(SESSION);
    options.password = *b"sixteen bytes...";
    options.can_be_read_only = true;
    let mut world = World::new(options);
    world.next();
    let request = world.accept(SESSION, false);
    assert_eq!(&request[16..24], SESSION.to_be_bytes());
    assert_eq!(&request[28..44], b"sixteen bytes...");
    assert_eq!(request[44], 1);
    assert_eq!(world.next(), Seen::Session(State::Connected, vec![1000]));
}

#[test]
fn watches_are_armed_by_replies_and_set_again_after_a_reconnect() {
    let mut world = World::open("127.0.0.1:1/x");
    let requests: [(Operation<'_>, ErrorCode); 7] = [
        (watched_get(b"/data", 1), ErrorCode::OK),
        (watched_get(b"/nothing", 2), ErrorCode::NO_NODE),
        (Operation::Exists { path: b"/there", watch: Some(WatcherId(3)) }, ErrorCode::OK),
        (Operation::Exists { path: b"/missing", watch: Some(WatcherId(4)) }, ErrorCode::NO_NODE),
        (Operation::GetChildren { path: b"/", watch: Some(WatcherId(5)), with_stat: true }, ErrorCode::OK),
        (Operation::GetConfig { watch: Some(WatcherId(6)) }, ErrorCode::OK),
        (
            Operation::Raw {
                op: OpCode::GET_CHILDREN,
                body: b"",
                watch: Some(RawWatch { rule: TableKind::Child, server_path: b"/x/raw", watcher: WatcherId(7) }),
            },
            ErrorCode::OK,
        ),
    ];
    for (number, (operation, error)) in requests.iter().enumerate() {
        world.submit(number as u64, operation).unwrap();
        world.reply(number as i32 + 1, 40, *error, b"");
    }
    world.client.add_auth(0, 50, b"digest", b"old").unwrap();
    world.client.add_auth(0, 51, b"digest", b"new").unwrap();
    world.sent();
    world.seen.clear();
    world.link_down();
    world.until_timer();
    world.seen.clear();
    world.accept(SESSION, false);
    let sent = world.sent();
    assert_eq!(
        sent.iter().map(|frame| header(frame)).collect::<Vec<_>>(),
        [(-4, OpCode::AUTH), (-4, OpCode::AUTH), (-8, OpCode::SET_WATCHES)]
    );
    assert!(sent[0].ends_with(b"new"));
    assert!(sent[1].ends_with(b"old"));
    let mut r = Reader::new(&sent[2][8..]);
    assert_eq!(r.long(), Ok(40));
    let mut lists = Vec::new();
    for _ in 0..3 {
        let mut list: Vec<String> =
            r.vector(|r| r.ustring()).unwrap().unwrap().into_iter().map(|path| path.unwrap().into_owned()).collect();
        list.sort();
        lists.push(list);
    }
    assert_eq!(lists, [vec!["/x/data", "/x/there", "/zookeeper/config"], vec!["/x/missing"], vec!["/x", "/x/raw"]]);
    let Seen::Session(State::Connected, mut watchers) = world.next() else { panic!("the session event comes first") };
    assert_eq!(watchers.pop(), Some(1000));
    watchers.sort();
    assert_eq!(watchers, [1, 3, 4, 5, 6, 7]);
    for (kind, path, client_path, watcher) in [
        (1, "/x/missing", "/missing", 4),
        (3, "/x/data", "/data", 1),
        (2, "/x/there", "/there", 3),
        (4, "/x", "/", 5),
        (3, "/zookeeper/config", "/zookeeper/config", 6),
        (4, "/x/raw", "/raw", 7),
    ] {
        world.event(kind, path);
        assert_eq!(world.next(), Seen::Watch(kind, client_path.to_string(), vec![watcher]));
        world.event(kind, path);
        world.assert_quiet();
    }
}

#[test]
fn persistent_watches_stay_and_need_the_newer_set_watches() {
    let mut world = World::open("127.0.0.1:1");
    for (tag, mode) in [(1, AddWatchMode::Persistent), (2, AddWatchMode::PersistentRecursive)] {
        world.submit(tag, &Operation::AddWatch { path: b"/a", mode, watcher: WatcherId(u128::from(tag)) }).unwrap();
        world.reply(tag as i32, 9, ErrorCode::OK, b"");
        world.next();
    }
    let sent = world.sent();
    assert_eq!(header(&sent[0]), (1, OpCode::ADD_WATCH));
    assert_eq!(sent[0][sent[0].len() - 1], 0);
    assert_eq!(sent[1][sent[1].len() - 1], 1);
    for _ in 0..2 {
        world.event(3, "/a");
        assert_eq!(world.next(), Seen::Watch(3, "/a".to_string(), vec![1, 2]));
        world.event(1, "/a/b/c");
        assert_eq!(world.next(), Seen::Watch(1, "/a/b/c".to_string(), vec![2]));
    }
    world.link_down();
    world.until_timer();
    world.seen.clear();
    world.accept(SESSION, false);
    assert_eq!(world.sent_headers(), [(-8, OpCode::SET_WATCHES2)]);
}

#[test]
fn watches_are_removed() {
    let mut world = World::open("127.0.0.1:1/x");
    for (tag, watcher) in [(1, 1), (2, 2), (3, 3)] {
        world.submit(tag, &watched_get(b"/a", watcher)).unwrap();
        world.reply(tag as i32, 1, ErrorCode::OK, b"");
    }
    world.sent();
    world.seen.clear();
    let any = WatchesToRemove::Any;
    let mut remove = |tag, path: &[u8], which, watcher: Option<u128>, is_local| {
        let result = world.client.remove_watches(0, tag, path, which, watcher.map(WatcherId), is_local);
        (result, world.sent())
    };
    assert_eq!(remove(9, b"a", any, Some(1), false).0, Err(SubmitError::BadArguments));
    assert_eq!(remove(9, b"/a", any, Some(9), false).0, Err(SubmitError::NoWatcher));
    assert_eq!(remove(9, b"/a", WatchesToRemove::Children, Some(1), true).0, Err(SubmitError::NoWatcher));
    assert_eq!(remove(9, b"/a", any, Some(1), true), (Ok(()), vec![]));
    assert_eq!(remove(9, b"/b", any, None, true), (Ok(()), vec![]));
    let (result, sent) = remove(4, b"/a", WatchesToRemove::Data, Some(2), false);
    assert_eq!(result, Ok(()));
    assert_eq!(header(&sent[0]), (4, OpCode::CHECK_WATCHES));
    let mut r = Reader::new(&sent[0][8..]);
    assert_eq!((r.ustring(), r.int()), (Ok(Some("/x/a".into())), Ok(2)));
    let (result, sent) = remove(5, b"/a", any, None, false);
    assert_eq!(result, Ok(()));
    assert_eq!(header(&sent[0]), (5, OpCode::REMOVE_WATCHES));
    assert_eq!((world.client.watched(b"/a"), world.client.watched(b"/b")), (vec![TableKind::Data], vec![]));
    world.reply(4, 1, ErrorCode::OK, b"");
    assert_eq!(world.next(), Seen::Completed(4, 0, vec![]));
    world.reply(5, 1, ErrorCode::NO_WATCHER, b"");
    assert_eq!(world.next(), Seen::Completed(5, ErrorCode::NO_WATCHER.0, vec![]));
    world.event(3, "/x/a");
    assert_eq!(world.next(), Seen::Watch(3, "/a".to_string(), vec![3]), "the refused removal has left it");
}

#[test]
fn credentials_are_sent_at_once_and_one_answer_completes_all() {
    let mut world = World::new(options("127.0.0.1:1"));
    world.next();
    world.client.add_auth(0, 1, b"digest", b"a:b").unwrap();
    world.submit(10, &get(b"/a")).unwrap();
    world.accept(SESSION, false);
    world.next();
    assert_eq!(world.sent_headers(), [(-4, OpCode::AUTH), (1, OpCode::GET_DATA)]);
    world.client.add_auth(0, 2, b"ip", b"").unwrap();
    let sent = world.sent();
    assert_eq!(header(&sent[0]), (-4, OpCode::AUTH));
    let mut r = Reader::new(&sent[0][8..]);
    assert_eq!((r.int(), r.ustring(), r.buffer()), (Ok(0), Ok(Some("ip".into())), Ok(Some(&b""[..]))));
    world.reply(-4, 0, ErrorCode::OK, b"");
    assert_eq!(world.next(), Seen::Completed(1, 0, vec![]));
    assert_eq!(world.next(), Seen::Completed(2, 0, vec![]));
    world.reply(-4, 0, ErrorCode::OK, b"");
    world.assert_quiet();
}

#[test]
fn refused_credentials_end_the_session() {
    let mut world = World::open("127.0.0.1:1");
    world.submit(1, &get(b"/a")).unwrap();
    world.client.add_auth(0, 2, b"nobody", b"").unwrap();
    world.reply(-4, 0, ErrorCode::AUTH_FAILED, b"");
    assert_eq!(world.next(), Seen::Completed(2, ErrorCode::AUTH_FAILED.0, vec![]));
    assert_eq!(world.next(), Seen::Disconnect);
    assert_eq!(world.next(), Seen::Session(State::AuthFailed, vec![1000]));
    assert_eq!(world.next(), Seen::Completed(1, ErrorCode::AUTH_FAILED.0, vec![]));
    assert_eq!(world.client.state().code(), -113);
    assert!(world.log.iter().any(|line| line == "Authentication scheme nobody failed. Connection closed."));
}

#[test]
fn a_reply_out_of_order_or_to_nothing_drops_the_link() {
    for xid in [2, 0, -3, i32::MIN] {
        let mut world = World::open("127.0.0.1:1");
        world.submit(1, &get(b"/a")).unwrap();
        world.submit(2, &get(b"/a")).unwrap();
        world.reply(xid, 1, ErrorCode::OK, b"");
        assert_eq!(world.next(), Seen::Disconnect);
        assert_eq!(world.next(), Seen::Session(State::Connecting, vec![1000]));
        assert_eq!(world.next(), Seen::Completed(1, ErrorCode::RUNTIME_INCONSISTENCY.0, vec![]));
        assert_eq!(world.next(), Seen::Completed(2, ErrorCode::RUNTIME_INCONSISTENCY.0, vec![]));
        world.until_timer();
        assert_eq!(world.next(), Seen::Connect(address(1)));
    }
    let mut world = World::open("127.0.0.1:1");
    world.reply(1, 1, ErrorCode::OK, b"");
    assert_eq!(world.next(), Seen::Disconnect);
}

#[test]
fn garbage_drops_the_link() {
    let mut short = Vec::new();
    short.buffer(Some(b"short"));
    let mut bad_event = Vec::new();
    bad_event.int(-1);
    bad_event.long(-1);
    bad_event.int(0);
    bad_event.int(1);
    let bad_event = frame(&bad_event);
    let too_long = (257i32 << 20).to_be_bytes();
    for bytes in [&(-1i32).to_be_bytes()[..], &i32::MIN.to_be_bytes(), &too_long, &short, &bad_event, &[0; 4]] {
        let mut world = World::open("127.0.0.1:1");
        world.submit(1, &get(b"/a")).unwrap();
        world.input(Input::Received(bytes));
        assert_eq!(world.next(), Seen::Disconnect, "{bytes:?}");
        assert_eq!(world.next(), Seen::Session(State::Connecting, vec![1000]));
        assert_eq!(world.next(), Seen::Completed(1, LOSS, vec![]));
        // The same before the session is there.
        let mut world = World::new(options("127.0.0.1:1"));
        world.next();
        world.input(Input::LinkUp);
        world.input(Input::Received(bytes));
        assert_eq!(world.next(), Seen::Disconnect, "{bytes:?}");
        world.assert_quiet();
    }
}

#[test]
fn a_session_without_a_timeout_is_none() {
    let mut world = World::new(options("127.0.0.1:1"));
    world.next();
    world.input(Input::LinkUp);
    world.input(Input::Received(&common::connect_response(0, 0, false)));
    assert_eq!(world.next(), Seen::Disconnect);
    assert_eq!(world.client.state(), State::Lost);
}

#[test]
fn closing_fails_what_is_under_way_and_waits_for_the_answer() {
    let mut world = World::open("127.0.0.1:1");
    world.submit(1, &get(b"/a")).unwrap();
    world.client.add_auth(0, 2, b"digest", b"").unwrap();
    world.client.close(0, PendingRequests::Fail);
    world.drain();
    assert_eq!(world.next(), Seen::Completed(1, CLOSING, vec![]));
    assert_eq!(world.next(), Seen::Completed(2, CLOSING, vec![]));
    assert_eq!(world.submit(3, &get(b"/a")), Err(SubmitError::Closing));
    assert_eq!(world.sent_headers(), [(1, OpCode::GET_DATA), (-4, OpCode::AUTH), (2, OpCode::CLOSE_SESSION)]);
    world.reply(1, 1, ErrorCode::OK, b"late");
    world.assert_quiet();
    world.reply(2, 2, ErrorCode::OK, b"");
    assert_eq!(world.next(), Seen::Disconnect);
    assert_eq!(world.next(), Seen::Closed);
    assert_eq!(world.client.state(), State::Closed);
    assert_eq!(world.client.next_timer_ms(), None);
}

#[test]
fn closing_can_wait_for_what_is_under_way() {
    let mut world = World::open("127.0.0.1:1");
    world.submit(1, &get(b"/a")).unwrap();
    world.client.close(0, PendingRequests::Await);
    world.drain();
    world.reply(1, 1, ErrorCode::OK, b"in time");
    assert_eq!(world.next(), Seen::Completed(1, 0, b"in time".to_vec()));
    world.reply(2, 2, ErrorCode::OK, b"");
    assert_eq!(world.next(), Seen::Disconnect);
    assert_eq!(world.next(), Seen::Closed);
}

#[test]
fn closing_ends_with_the_link_or_the_time() {
    for is_time in [true, false] {
        for pending in [PendingRequests::Fail, PendingRequests::Await] {
            let mut world = World::open("127.0.0.1:1");
            world.submit(1, &get(b"/a")).unwrap();
            world.client.close(0, pending);
            world.drain();
            if is_time {
                world.until_timer();
                assert!(world.now_ms <= 4500);
            } else {
                world.link_down();
            }
            let code = match (pending, is_time) {
                (PendingRequests::Fail, _) => CLOSING,
                (PendingRequests::Await, true) => ErrorCode::OPERATION_TIMEOUT.0,
                (PendingRequests::Await, false) => LOSS,
            };
            assert!(world.seen.contains(&Seen::Completed(1, code, vec![])), "{:?}", world.seen);
            assert_eq!(world.seen.pop_back(), Some(Seen::Closed));
        }
    }
    // Without a session there is nobody to tell.
    let mut world = World::new(options("127.0.0.1:1"));
    world.next();
    world.submit(1, &get(b"/a")).unwrap();
    world.client.close(0, PendingRequests::Await);
    world.drain();
    assert_eq!(world.next(), Seen::Completed(1, CLOSING, vec![]));
    assert_eq!(world.next(), Seen::Disconnect);
    assert_eq!(world.next(), Seen::Closed);
}

#[test]
fn names_are_resolved_before_each_round() {
    let mut world = World::new(options("one:1,two:2"));
    assert_eq!(world.next(), Seen::Resolve(2));
    world.submit(1, &get(b"/a")).unwrap();
    world.pass(1_000_000);
    world.assert_quiet();
    world.input(Input::Resolved(vec![vec![], vec![]]));
    assert_eq!(world.next(), Seen::Completed(1, LOSS, vec![]), "there is nobody to ask");
    world.until_timer();
    assert_eq!(world.next(), Seen::Resolve(2));
    world.input(Input::Resolved(vec![vec![], vec![address(2), address(3)]]));
    assert!(world.log.iter().any(|line| line == "could not resolve one:1"));
    for port in [2, 3] {
        assert_eq!(world.next(), Seen::Connect(address(port)));
        world.link_down();
        world.until_timer();
    }
    // The old addresses serve when the resolver does not answer in time.
    assert_eq!(world.next(), Seen::Resolve(2));
    world.until_timer();
    assert_eq!(world.next(), Seen::Connect(address(2)));
    // A late answer that leaves this server out calls for a move.
    world.input(Input::Resolved(vec![vec![address(4)], vec![address(5)]]));
    assert_eq!(world.next(), Seen::Disconnect);
    world.until_timer();
    assert!(matches!(world.next(), Seen::Connect(to) if to == address(4) || to == address(5)));
}

#[test]
fn names_are_resolved_again_while_connected() {
    for (delay_ms, expected_ms) in [(0, Some(TIMEOUT_MS / 3)), (5000, Some(5000)), (-1, None)] {
        let mut options = options("one:1");
        options.resolution_delay_ms = delay_ms;
        let mut world = World::new(options);
        world.next();
        world.input(Input::Resolved(vec![vec![address(1)]]));
        world.next();
        world.accept(SESSION, false);
        world.next();
        let mut resolved_ms = None;
        while world.now_ms < 4 * TIMEOUT_MS && resolved_ms.is_none() {
            world.until_timer();
            world.reply(-2, 0, ErrorCode::OK, b"");
            if let Some(seen) = world.seen.pop_front() {
                assert_eq!(seen, Seen::Resolve(1));
                resolved_ms = Some(world.now_ms);
            }
        }
        assert_eq!(resolved_ms, expected_ms);
        if resolved_ms.is_some() {
            world.submit(1, &get(b"/a")).unwrap();
            world.input(Input::Resolved(vec![vec![address(9)]]));
            assert_eq!(world.next(), Seen::Disconnect);
            assert_eq!(world.next(), Seen::Completed(1, LOSS, vec![]));
            assert_eq!(world.client.state().code(), 999);
            world.until_timer();
            assert_eq!(world.next(), Seen::Connect(address(9)));
            world.accept(SESSION, false);
            assert_eq!(world.next(), Seen::Session(State::Connected, vec![1000]));
        }
    }
}

#[test]
fn other_servers_are_moved_to_without_a_word() {
    let mut world = World::open("127.0.0.1:1");
    let hosts = |text: &str| oxkeeper_client::ConnectString::hosts_like_c(text.as_bytes()).unwrap();
    world.client.set_servers(0, hosts("127.0.0.1:1"));
    world.drain();
    world.assert_quiet();
    world.submit(1, &get(b"/a")).unwrap();
    world.client.set_servers(0, hosts("127.0.0.1:2"));
    world.drain();
    assert_eq!(world.next(), Seen::Disconnect);
    assert_eq!(world.next(), Seen::Completed(1, LOSS, vec![]));
    world.assert_quiet();
    assert_eq!(world.client.state(), State::NotConnected);
    world.until_timer();
    assert_eq!(world.next(), Seen::Connect(address(2)));
    world.accept(SESSION, false);
    assert_eq!(world.next(), Seen::Session(State::Connected, vec![1000]));
    world.client.set_resolved_servers(0, hosts("name:7"), vec![vec![address(7)]]);
    world.drain();
    assert_eq!(world.next(), Seen::Disconnect);
    world.until_timer();
    assert_eq!(world.next(), Seen::Connect(address(7)));
}

#[test]
fn no_servers_at_all_is_a_quiet_life() {
    let mut world = World::new(options("/x"));
    world.assert_quiet();
    assert_eq!(world.client.next_timer_ms(), None);
    world.submit(1, &get(b"/a")).unwrap();
    world.until_timer();
    assert_eq!(world.next(), Seen::Completed(1, ErrorCode::SYSTEM_ERROR.0, vec![]));
    assert_eq!(world.client.next_timer_ms(), None);
    world.client.set_servers(0, oxkeeper_client::ConnectString::hosts_like_c(b"127.0.0.1:5").unwrap());
    world.until_timer();
    assert_eq!(world.next(), Seen::Connect(address(5)));
}

#[test]
fn a_read_only_client_looks_for_a_read_write_server() {
    let mut options = options("127.0.0.1:1,127.0.0.1:2,127.0.0.1:3");
    options.can_be_read_only = true;
    let mut world = World::new(options);
    world.next();
    world.accept(SESSION, true);
    assert_eq!(world.next(), Seen::Session(State::ReadOnly, vec![1000]));
    assert!(world.log.last().unwrap().ends_with("(READ-ONLY mode)"));
    let mut asked = Vec::new();
    for _ in 0..4 {
        while world.seen.is_empty() {
            world.until_timer();
        }
        asked.push((world.now_ms, world.next()));
        world.input(Input::Probed { is_read_write: false });
    }
    let expected = [(200, 2), (600, 3), (1400, 1)].map(|(ms, port)| (ms, Seen::Probe(address(port))));
    assert_eq!(asked[..3], expected);
    assert_eq!(asked[3], (3000, Seen::Probe(address(2))));
    world.reply(-2, 0, ErrorCode::OK, b"");
    world.submit(1, &get(b"/a")).unwrap();
    while world.seen.is_empty() {
        world.until_timer();
    }
    let Seen::Probe(found) = world.next() else { panic!("a probe") };
    world.input(Input::Probed { is_read_write: true });
    assert_eq!(world.next(), Seen::Disconnect);
    assert_eq!(world.next(), Seen::Session(State::Connecting, vec![1000]));
    assert_eq!(world.next(), Seen::Completed(1, LOSS, vec![]));
    world.until_timer();
    assert_eq!(world.next(), Seen::Connect(found));
    // The read-only session was never real: it is not asked for again, and another id is no expiry.
    let request = world.accept(SESSION + 1, false);
    assert_eq!(&request[16..24], [0; 8]);
    assert_eq!(world.next(), Seen::Session(State::Connected, vec![1000]));
    assert_eq!(world.client.session(), SessionId(SESSION + 1));
}

#[test]
fn tls_and_sasl_have_their_stages() {
    let mut options = options("127.0.0.1:1");
    options.tls = true;
    options.sasl = true;
    let mut world = World::new(options);
    world.next();
    assert_eq!(world.client.state().code(), 7);
    world.input(Input::LinkUp);
    assert_eq!(world.next(), Seen::StartTls(address(1)));
    assert_eq!(world.sent_headers(), []);
    world.input(Input::TlsUp);
    assert_eq!(world.sent().len(), 1);
    world.submit(1, &get(b"/a")).unwrap();
    world.client.add_auth(0, 2, b"digest", b"").unwrap();
    world.input(Input::Received(&common::connect_response(TIMEOUT_MS as i32, SESSION, false)));
    assert_eq!(world.next(), Seen::SaslStart);
    assert_eq!(world.client.state(), State::Associating);
    world.input(Input::Sasl(SaslStep::Continue(b"hello")));
    let sent = world.sent();
    assert_eq!(header(&sent[0]), (2, OpCode::SASL));
    assert!(sent[0].ends_with(b"hello"));
    world.reply(2, 0, ErrorCode::OK, &frame(b"challenge"));
    assert_eq!(world.next(), Seen::SaslToken(b"challenge".to_vec()));
    world.input(Input::Sasl(SaslStep::Done(Some(b"answer"))));
    assert_eq!(world.sent_headers(), [(3, OpCode::SASL)]);
    world.reply(3, 0, ErrorCode::OK, &frame(b"fine"));
    assert_eq!(world.next(), Seen::Session(State::Connected, vec![1000]));
    assert_eq!(world.sent_headers(), [(-4, OpCode::AUTH), (1, OpCode::GET_DATA)]);
    // Refused: by the mechanism here.
    world.link_down();
    world.until_timer();
    world.seen.clear();
    world.input(Input::LinkUp);
    world.input(Input::TlsUp);
    world.input(Input::Received(&common::connect_response(TIMEOUT_MS as i32, SESSION, false)));
    world.seen.clear();
    world.input(Input::Sasl(SaslStep::Failed));
    assert_eq!(world.next(), Seen::Disconnect);
    assert_eq!(world.next(), Seen::Session(State::AuthFailed, vec![1000]));
}

#[test]
fn a_failed_tls_handshake_has_a_code_of_its_own() {
    let mut options = options("127.0.0.1:1");
    options.tls = true;
    let mut world = World::new(options);
    world.next();
    world.submit(1, &get(b"/a")).unwrap();
    world.input(Input::LinkUp);
    world.next();
    world.input(Input::LinkDown { errno: 0, reason: "bad certificate", tls: true });
    assert_eq!(world.next(), Seen::Completed(1, SubmitError::TLS.0, vec![]));
}

#[test]
fn every_operation_has_its_bytes() {
    let acl = AclRef::OPEN;
    let mut acl_bytes = Vec::new();
    acl_bytes.int(1);
    acl_bytes.int(31);
    acl_bytes.ustring(Some("world"));
    acl_bytes.ustring(Some("anyone"));
    let create =
        |mode: CreateMode, ttl_ms, with_stat| Operation::Create { path: b"/a", data: Some(b"d"), acl: Some(acl), mode, ttl_ms, with_stat };
    let create_body = |flags: i32, ttl_ms: Option<i64>| {
        let mut out = Vec::new();
        out.ustring(Some("/x/a"));
        out.buffer(Some(b"d"));
        out.extend_from_slice(&acl_bytes);
        out.int(flags);
        if let Some(ttl_ms) = ttl_ms {
            out.long(ttl_ms);
        }
        out
    };
    let path_and = |rest: &dyn Fn(&mut Vec<u8>)| {
        let mut out = Vec::new();
        out.ustring(Some("/x/a"));
        rest(&mut out);
        out
    };
    let path: &[u8] = b"/a";
    let multi = [
        MultiOp::Create { path, data: None, acl: None, mode: CreateMode::EPHEMERAL, ttl_ms: -1, with_stat: true },
        MultiOp::Delete { path, version: 1 },
        MultiOp::SetData { path, data: None, version: 2 },
        MultiOp::Check { path, version: 3 },
    ];
    let mut multi_body = Vec::new();
    let multi_header = |out: &mut Vec<u8>, kind: i32, done| {
        out.int(kind);
        out.boolean(done);
        out.int(-1);
    };
    for (kind, rest) in [(15, &[-1, -1, 1][..]), (2, &[1]), (5, &[-1, 2]), (13, &[3])] {
        multi_header(&mut multi_body, kind, false);
        multi_body.ustring(Some("/x/a"));
        rest.iter().for_each(|number| multi_body.int(*number));
    }
    multi_header(&mut multi_body, -1, true);
    let reads = [ReadOp::GetData { path }, ReadOp::GetChildren { path }];
    let mut read_body = Vec::new();
    for kind in [4, 8] {
        multi_header(&mut read_body, kind, false);
        read_body.ustring(Some("/x/a"));
        read_body.boolean(false);
    }
    multi_header(&mut read_body, -1, true);
    let mut reconfig = Vec::new();
    reconfig.ustring(Some("j"));
    reconfig.ustring(None);
    reconfig.ustring(Some(""));
    reconfig.long(5);
    let mut config = Vec::new();
    config.ustring(Some("/zookeeper/config"));
    config.boolean(true);
    let watch = Some(WatcherId(1));
    let cases: Vec<(Operation<'_>, OpCode, Vec<u8>)> = vec![
        (create(CreateMode::EPHEMERAL, -1, false), OpCode::CREATE, create_body(1, None)),
        (create(CreateMode::EPHEMERAL, -1, true), OpCode::CREATE2, create_body(1, None)),
        (create(CreateMode::CONTAINER, -1, false), OpCode::CREATE_CONTAINER, create_body(4, None)),
        (create(CreateMode::PERSISTENT_WITH_TTL, 9, false), OpCode::CREATE_TTL, create_body(5, Some(9))),
        (Operation::Delete { path, version: 4 }, OpCode::DELETE, path_and(&|out| out.int(4))),
        (Operation::Exists { path, watch }, OpCode::EXISTS, path_and(&|out| out.boolean(true))),
        (Operation::GetData { path, watch: None }, OpCode::GET_DATA, path_and(&|out| out.boolean(false))),
        (Operation::GetConfig { watch }, OpCode::GET_DATA, config),
        (
            Operation::SetData { path, data: None, version: 4 },
            OpCode::SET_DATA,
            path_and(&|out| {
                out.int(-1);
                out.int(4);
            }),
        ),
        (Operation::GetAcl { path }, OpCode::GET_ACL, path_and(&|_| {})),
        (
            Operation::SetAcl { path, acl: Some(acl), version: 4 },
            OpCode::SET_ACL,
            path_and(&|out| {
                out.extend_from_slice(&acl_bytes);
                out.int(4);
            }),
        ),
        (Operation::GetChildren { path, watch: None, with_stat: false }, OpCode::GET_CHILDREN, path_and(&|out| out.boolean(false))),
        (Operation::GetChildren { path, watch: None, with_stat: true }, OpCode::GET_CHILDREN2, path_and(&|out| out.boolean(false))),
        (Operation::Sync { path }, OpCode::SYNC, path_and(&|_| {})),
        (Operation::Check { path, version: 4 }, OpCode::CHECK, path_and(&|out| out.int(4))),
        (Operation::Multi(&multi), OpCode::MULTI, multi_body),
        (Operation::MultiRead(&reads), OpCode::MULTI_READ, read_body),
        (Operation::Reconfig { joining: Some(b"j"), leaving: None, members: Some(b""), from_config: 5 }, OpCode::RECONFIG, reconfig),
        (Operation::WhoAmI, OpCode::WHO_AM_I, vec![]),
        (Operation::GetEphemerals { prefix: path }, OpCode::GET_EPHEMERALS, path_and(&|_| {})),
        (Operation::GetAllChildrenNumber { path }, OpCode::GET_ALL_CHILDREN_NUMBER, path_and(&|_| {})),
        (
            Operation::AddWatch { path, mode: AddWatchMode::PersistentRecursive, watcher: WatcherId(1) },
            OpCode::ADD_WATCH,
            path_and(&|out| out.int(1)),
        ),
        (Operation::Raw { op: OpCode(77), body: b"raw", watch: None }, OpCode(77), b"raw".to_vec()),
    ];
    let mut world = World::open("127.0.0.1:1/x");
    for (number, (operation, op, body)) in cases.iter().enumerate() {
        world.submit(0, operation).unwrap();
        let sent = world.sent();
        assert_eq!(header(&sent[0]), (number as i32 + 1, *op));
        assert_eq!(&sent[0][8..], body, "{operation:?}");
    }
}

#[test]
fn bad_arguments_send_nothing() {
    let create = |path, mode, ttl_ms| Operation::Create { path, data: None, acl: None, mode, ttl_ms, with_stat: false };
    let multi = [MultiOp::Delete { path: b"/good", version: 1 }, MultiOp::Check { path: b"bad", version: 1 }];
    let cases = [
        get(b""),
        get(b"a"),
        get(b"/a/"),
        get(b"/a/../b"),
        create(b"/a/", CreateMode::PERSISTENT, -1),
        create(b"/a", CreateMode::PERSISTENT, 0),
        create(b"/a", CreateMode::PERSISTENT_WITH_TTL, -1),
        create(b"/a", CreateMode::PERSISTENT_WITH_TTL, 0),
        create(b"/a", CreateMode::PERSISTENT_WITH_TTL, 1 << 40),
        Operation::Multi(&multi),
    ];
    let mut world = World::open("127.0.0.1:1");
    for operation in &cases {
        assert_eq!(world.submit(1, operation), Err(SubmitError::BadArguments), "{operation:?}");
        assert_eq!(world.client.unsent(), b"");
    }
    world.submit(1, &create(b"/a/", CreateMode::PERSISTENT_SEQUENTIAL, -1)).unwrap();
    world.submit(1, &create(b"/a", CreateMode::PERSISTENT_SEQUENTIAL_WITH_TTL, (1 << 40) - 1)).unwrap();
    assert_eq!(world.sent_headers(), [(1, OpCode::CREATE), (2, OpCode::CREATE_TTL)], "no xid was lost");
}

#[test]
fn xids_stay_positive() {
    let mut options = options("127.0.0.1:1");
    options.first_xid = i32::MAX;
    let mut world = World::new(options);
    world.submit(1, &get(b"/a")).unwrap();
    world.submit(2, &get(b"/a")).unwrap();
    world.next();
    world.accept(SESSION, false);
    assert_eq!(world.sent_headers().iter().map(|header| header.0).collect::<Vec<_>>(), [i32::MAX, 1]);
}

#[test]
fn replies_are_read() {
    use oxkeeper_client::reply;
    let stat = Stat { czxid: 1, version: 2, num_children: 3, pzxid: 4, ..Stat::default() };
    let mut body = Vec::new();
    body.ustring(Some("/a"));
    assert_eq!(reply::created(&body), Ok((&b"/a"[..], None)));
    assert_eq!(reply::path(&body), Ok(&b"/a"[..]));
    stat.write(&mut body);
    assert_eq!(reply::created(&body), Ok((&b"/a"[..], Some(stat))));
    assert_eq!(reply::data(&body), Ok((Some(&b"/a"[..]), stat)));
    assert!(reply::data(&body[..body.len() - 1]).is_err());
    assert_eq!(reply::stat(&stat.to_bytes()), Ok(stat));
    let mut body = Vec::new();
    body.vector(Some(&["a", "b"]), |out, name| out.ustring(Some(name)));
    let (names, no_stat) = reply::strings(&body).unwrap();
    assert_eq!(names.map(text).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(no_stat, None);
    stat.write(&mut body);
    assert_eq!(reply::strings(&body).unwrap().1, Some(stat));
    for count in [i32::MAX, 1 << 20, -2] {
        let mut hostile = Vec::new();
        hostile.int(count);
        hostile.int(0);
        assert!(reply::strings(&hostile).is_err());
        assert!(reply::acl(&hostile).is_err());
        assert!(reply::identities(&hostile).is_err());
    }
    let mut body = Vec::new();
    for (kind, fill) in [(1, 0), (2, 1), (5, 2), (13, 1), (-1, 3)] {
        body.int(kind);
        body.boolean(false);
        body.int(0);
        match fill {
            0 => body.ustring(Some("/a")),
            2 => stat.write(&mut body),
            3 => body.int(-101),
            _ => {}
        }
    }
    assert!(reply::multi(&body).is_err(), "it has no end yet");
    body.int(-1);
    body.boolean(true);
    body.int(-1);
    let results = reply::multi(&body).unwrap();
    assert!(matches!(results[0], reply::MultiResult::Created { path: b"/a", stat: None }));
    assert!(matches!(results[2], reply::MultiResult::Set(got) if got == stat));
    assert!(matches!(results[4], reply::MultiResult::Error(ErrorCode::NO_NODE)));
    assert_eq!(results.len(), 5);
}

#[test]
fn an_event_that_nobody_waits_for_is_nothing() {
    let mut world = World::open("127.0.0.1:1");
    world.input(Input::Received(&event(3, "/a")));
    world.assert_quiet();
}
