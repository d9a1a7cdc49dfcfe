//! Connecting: every field of the request, sessions taken over, timeouts, pings, the end of a session.

use std::time::Duration;

use super::{Script, Setup};
use crate::connection::{Connect, Connection};
use crate::conversation::Conversation;
use crate::wire::{Writer, frame, hex, op, request};

pub const SCRIPTS: &[Script] = &[
    Script::new("connect: variants of the request", Setup::Usual, variants),
    Script::new("connect: negotiated timeouts", Setup::Usual, timeouts),
    Script::new("connect: negotiated timeouts within configured bounds", Setup::Limits, timeouts),
    Script::new("connect: negotiated timeouts within the default bounds", Setup::Defaults, timeouts),
    Script::new("connect: zxid ahead of the server", Setup::Usual, ahead),
    Script::new("connect: session taken over", Setup::Usual, take_over),
    Script::new("connect: wrong passwords at a take-over", Setup::Usual, wrong_passwords),
    Script::new("connect: malformed requests", Setup::Usual, malformed),
    Script::new("connect: request byte by byte", Setup::Usual, byte_by_byte),
    Script::new("connect: requests behind the connect request", Setup::Usual, pipelined_connect),
    Script::new("connect: connections per address", Setup::Limits, per_address),
    Script::new("connect: silent connections are dropped", Setup::Limits, silent),
    Script::new("session: ping", Setup::Usual, ping),
    Script::new("session: close", Setup::Usual, close),
    Script::new("session: expiry", Setup::Usual, expiry),
    Script::new("session: close, without the list of ephemerals", Setup::PlainTransactions, close),
];

fn variants(talk: &mut Conversation) {
    for protocol_version in [0, 1, -1, i32::MAX] {
        talk.note(format!("protocol version {protocol_version}"));
        talk.connect_with("a", &Connect { protocol_version, ..Connect::default() });
    }
    for read_only in [None, Some(0), Some(1), Some(2), Some(255)] {
        talk.note(format!("read-only byte {read_only:?}"));
        talk.connect_with("b", &Connect { read_only, ..Connect::default() });
        talk.drain("b");
    }
    for length in [None, Some(0), Some(1), Some(15), Some(17), Some(100)] {
        talk.note(format!("password of {length:?} bytes"));
        let password = length.map(|length| vec![7; length]);
        talk.connect_with("c", &Connect { password, ..Connect::default() });
    }
    talk.note("unknown sessions");
    for session in [1, -1, i64::MIN, i64::MAX, 0x100_0000_0000_0000] {
        for read_only in [None, Some(0)] {
            talk.connect_with("d", &Connect { session, read_only, ..Connect::default() });
            talk.expect_close("d");
            let password = Some(crate::mask::session_password(session).to_vec());
            talk.connect_with("d", &Connect { session, password, read_only, ..Connect::default() });
            talk.expect_close("d");
        }
    }
    talk.note("bytes behind the read-only flag");
    if let Ok(mut connection) = Connection::open(talk.address) {
        let mut payload = Connect::default().frame()[4..].to_vec();
        payload.extend([1, 2, 3]);
        connection.send(&frame(&payload));
        talk.accept("e", connection);
        talk.drain("e");
    }
}

fn timeouts(talk: &mut Conversation) {
    for timeout_ms in [i32::MIN, -1, 0, 1, 500, 999, 1000, 1001, 2999, 3001, 6999, 7001, 9999, 10_000, 10_001, i32::MAX] {
        talk.note(format!("timeout {timeout_ms}"));
        talk.connect_with("a", &Connect { timeout_ms, ..Connect::default() });
        talk.ask("a", &request::bare(op::CLOSE_SESSION));
        talk.expect_close("a");
    }
}

fn ahead(talk: &mut Conversation) {
    talk.connect("a");
    let zxid = talk.ask_as("a", -2, &request::ping()).map_or(0, |reply| reply.header.zxid);
    // The new sessions below use up zxids: the third is no longer ahead when it is tried last.
    for (last_zxid_seen, what) in [(zxid, "same"), (zxid + 100, "ahead"), (i64::MAX, "far ahead"), (-1, "negative"), (i64::MIN, "least")] {
        talk.note(what);
        talk.connect_with("b", &Connect { last_zxid_seen, ..Connect::default() });
        talk.note(format!("{what}, session of a"));
        let (session, password) = match talk.lines.get("a") {
            Some(line) => (line.session, line.password.clone()),
            None => return,
        };
        let connect = Connect { last_zxid_seen, session, password: Some(password), ..Connect::default() };
        if talk.connect_with("c", &connect).is_some() {
            talk.drain("c");
            talk.hang_up("a");
            if let Some(line) = talk.lines.remove("c") {
                talk.lines.insert("a".to_owned(), line);
            }
        }
    }
}

fn take_over(talk: &mut Conversation) {
    talk.connect("a");
    talk.ask("a", &request::create("/take-over", "1"));
    talk.ask("a", &request::create_flags("/take-over/e", 1));
    talk.ask("a", &request::read(op::DATA, "/take-over", true));
    talk.ask("a", &request::auth("digest", b"u:p"));
    talk.note("the old connection is closed");
    talk.reconnect("b", "a");
    talk.expect_close("a");
    talk.note("identities and watches stay with the old connection");
    talk.ask("b", &request::bare(op::WHO_AM_I));
    talk.ask("b", &request::path(op::EPHEMERALS, "/"));
    talk.ask("b", &request::set_data("/take-over", Some(b"2"), -1));
    talk.note("after the socket is gone");
    talk.hang_up_and_keep("b", "kept");
    talk.reconnect("c", "kept");
    talk.drain("c");
    talk.note("another timeout is negotiated anew");
    let Some(line) = talk.lines.get("c") else {
        return;
    };
    let (session, password) = (line.session, line.password.clone());
    talk.connect_with("d", &Connect { session, password: Some(password.clone()), timeout_ms: 4321, ..Connect::default() });
    talk.expect_close("c");
    talk.drain("d");
    talk.ask("d", &request::bare(op::CLOSE_SESSION));
    talk.expect_close("d");
    talk.note("a closed session cannot be taken over");
    let password = Some(crate::mask::session_password(session).to_vec());
    talk.connect_with("f", &Connect { session, password, ..Connect::default() });
    talk.expect_close("f");
    talk.connect("g");
    talk.remove_tree("g", "/take-over");
}

/// Java closes the connection that holds the session before it looks at the password.
fn wrong_passwords(talk: &mut Conversation) {
    talk.connect("d");
    let Some(line) = talk.lines.get("d") else {
        return;
    };
    let (session, password) = (line.session, line.password.clone());
    for (what, wrong) in [
        ("wrong", Some(vec![9; 16])),
        ("zero", Some(vec![0; 16])),
        ("empty", Some(vec![])),
        ("null", None),
        ("too long", Some([password.clone(), vec![0]].concat())),
        ("too short", Some(password[..15].to_vec())),
    ] {
        talk.note(format!("{what} password"));
        talk.connect_with("e", &Connect { session, password: wrong, ..Connect::default() });
        talk.expect_close("e");
        talk.drain("d");
        talk.connect_with("d", &Connect { session, password: Some(password.clone()), ..Connect::default() });
        talk.drain("d");
    }
    talk.ask("d", &request::bare(op::CLOSE_SESSION));
    talk.expect_close("d");
}

fn malformed(talk: &mut Conversation) {
    let whole = Connect::default().frame()[4..].to_vec();
    for length in [0, 1, 4, 12, 16, 24, 27, 28, 29, 43] {
        talk.note(format!("connect request of {length} bytes"));
        raw(talk, &frame(&whole[..length]));
    }
    for (what, password_length) in [("negative", -2), ("huge", i32::MAX), ("longer than the frame", 200)] {
        talk.note(format!("{what} password length"));
        let payload = Writer::new().int(0).long(0).int(10_000).long(0).int(password_length).raw(&[0; 17]).bytes;
        raw(talk, &frame(&payload));
    }
    for length in [-1, i32::MIN, 1_048_576, i32::MAX] {
        talk.note(format!("first frame length {length}"));
        raw(talk, &Writer::new().int(length).raw(&[0; 16]).bytes);
    }
    for garbage in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"quit\r\n", b"\n\n\n\n"] {
        talk.note(format!("garbage {}", garbage.escape_ascii()));
        raw(talk, garbage);
    }
    talk.note("half a frame and the end");
    half(talk, &Connect::default().frame()[..20]);
    half(talk, &Connect::default().frame()[..2]);
    half(talk, &[]);
}

/// Sends bytes on a connection of their own and notes what comes until the server closes.
fn raw(talk: &mut Conversation, bytes: &[u8]) {
    if let Ok(mut connection) = Connection::open(talk.address) {
        connection.send(bytes);
        note_rest(talk, connection);
    }
}

fn half(talk: &mut Conversation, bytes: &[u8]) {
    if let Ok(mut connection) = Connection::open(talk.address) {
        connection.send(bytes);
        connection.shut_write();
        note_rest(talk, connection);
    }
}

fn note_rest(talk: &mut Conversation, mut connection: Connection) {
    loop {
        match connection.receive(Duration::from_secs(3)) {
            Ok(payload) => match crate::connection::Connected::parse(&payload) {
                Ok(connected) => talk.note(format!("< connected timeout {} rest {}", connected.timeout_ms, hex(&connected.rest))),
                Err(_) => talk.note(format!("< frame {}", hex(&payload))),
            },
            Err(silence) => {
                talk.note(format!("< {silence:?} {}", connection.leftover().escape_ascii()));
                return;
            }
        }
    }
}

fn byte_by_byte(talk: &mut Conversation) {
    if let Ok(mut connection) = Connection::open(talk.address) {
        for byte in Connect::default().frame() {
            connection.send(&[byte]);
            std::thread::sleep(Duration::from_micros(200));
        }
        talk.accept("a", connection);
        for byte in request::read(op::EXISTS, "/zookeeper", false).frame(1) {
            talk.send("a", &[byte], "a byte");
        }
        talk.reply("a", op::EXISTS);
    }
}

fn pipelined_connect(talk: &mut Conversation) {
    if let Ok(mut connection) = Connection::open(talk.address) {
        let mut bytes = Connect::default().frame();
        bytes.extend(request::read(op::EXISTS, "/zookeeper", false).frame(1));
        bytes.extend(request::create("/pipelined", "x").frame(2));
        bytes.extend(request::delete("/pipelined", 0).frame(3));
        bytes.extend(request::ping().frame(-2));
        connection.send(&bytes);
        talk.accept("a", connection);
        for code in [op::EXISTS, op::CREATE, op::DELETE, op::PING] {
            talk.reply("a", code);
        }
    }
}

fn per_address(talk: &mut Conversation) {
    for name in ["a", "b", "c", "d"] {
        talk.connect(name);
    }
    talk.note("one too many");
    talk.connect("e");
    talk.note("one leaves, another may come");
    talk.ask("a", &request::bare(op::CLOSE_SESSION));
    talk.expect_close("a");
    // The server counts a connection until it has noticed the close from its own side.
    std::thread::sleep(Duration::from_millis(200));
    talk.connect("e");
    for name in ["b", "c", "d", "e"] {
        talk.ask(name, &request::bare(op::CLOSE_SESSION));
        talk.expect_close(name);
    }
    std::thread::sleep(Duration::from_millis(200));
}

fn silent(talk: &mut Conversation) {
    talk.note("a connection that sends nothing");
    raw(talk, b"");
    talk.note("a connection that sends half a connect request");
    raw(talk, &Connect::default().frame()[..30]);
    talk.note("a connection with a session stays");
    talk.connect("a");
    std::thread::sleep(Duration::from_millis(1600));
    talk.drain("a");
    talk.ask("a", &request::bare(op::CLOSE_SESSION));
    talk.expect_close("a");
}

fn ping(talk: &mut Conversation) {
    talk.connect("a");
    for xid in [-2, 77, 0, -1, -4, i32::MIN, i32::MAX] {
        talk.ask_as("a", xid, &request::ping());
    }
    talk.note("with a body");
    talk.ask_as("a", -2, &crate::wire::Request::raw(op::PING, "junk", Writer::new().raw(b"junk")));
    talk.note("odd xids on other requests");
    for xid in [-2, -4, -8, 0, -1000, i32::MIN, i32::MAX] {
        talk.ask_as("a", xid, &request::read(op::EXISTS, "/zookeeper", false));
    }
    talk.note("the same xid twice");
    talk.pipeline_as("a", &[(5, request::ping()), (5, request::read(op::EXISTS, "/none", false)), (5, request::ping())]);
}

fn close(talk: &mut Conversation) {
    talk.connect("a");
    talk.connect("b");
    talk.connect("watcher");
    talk.ask("a", &request::create("/close", ""));
    for name in ["/close/1", "/close/2", "/close/3"] {
        talk.ask("a", &request::create_flags(name, 1));
    }
    talk.ask("b", &request::create_flags("/close/other", 1));
    talk.ask("watcher", &request::read(op::CHILDREN, "/close", true));
    talk.ask("watcher", &request::read(op::DATA, "/close/2", true));
    talk.ask("a", &request::read(op::DATA, "/close/3", true));
    talk.ask("a", &request::path(op::EPHEMERALS, "/close"));
    talk.note("requests before closeSession are answered, those behind are not");
    talk.pipeline(
        "a",
        &[request::read(op::EXISTS, "/close/1", false), request::set_data("/close/1", Some(b"x"), -1), request::bare(op::CLOSE_SESSION)],
    );
    talk.expect_close("a");
    talk.drain_sorted("watcher");
    talk.ask("b", &request::read(op::CHILDREN2, "/close", false));
    talk.ask("b", &request::delete("/close/other", -1));
    talk.ask("b", &request::bare(op::CLOSE_SESSION));
    talk.expect_close("b");
    talk.ask("watcher", &request::delete("/close", -1));
    talk.note("close with a body, and of a session without ephemerals");
    talk.ask("watcher", &crate::wire::Request::raw(op::CLOSE_SESSION, "junk", Writer::new().raw(b"junk")));
    talk.expect_close("watcher");
}

fn expiry(talk: &mut Conversation) {
    talk.connect("a");
    talk.ask("a", &request::create("/expiry", ""));
    talk.connect_with("dying", &Connect { timeout_ms: 1000, ..Connect::default() });
    talk.ask("dying", &request::create_flags("/expiry/e", 1));
    talk.ask("a", &request::read(op::EXISTS, "/expiry/e", true));
    talk.hang_up_and_keep("dying", "kept");
    talk.note("the watch tells of the end");
    talk.wait_for_event("a");
    talk.ask("a", &request::read(op::CHILDREN2, "/expiry", false));
    talk.note("an expired session cannot be taken over");
    talk.reconnect("again", "kept");
    talk.expect_close("again");
    talk.note("a connection that stays open and silent is closed by the server");
    talk.connect_with("silent", &Connect { timeout_ms: 1000, ..Connect::default() });
    talk.ask("silent", &request::create_flags("/expiry/s", 1));
    talk.expect_close("silent");
    talk.ask("a", &request::read(op::CHILDREN2, "/expiry", false));
    talk.remove_tree("a", "/expiry");
}
