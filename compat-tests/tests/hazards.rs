//! The hazards of Java: requests that wedge, end or poison a Java server. They are refused at our door, or taken in a
//! form that every server can read. None of them ever goes to a Java server; but a Java server must start on the
//! directory that each leaves here, find the digests that we announced, and show the same tree.

use std::fs;
use std::path::Path;

use oxkeeper_compat_tests::connection::Connect;
use oxkeeper_compat_tests::conversation::Conversation;
use oxkeeper_compat_tests::directory::{Made, read};
use oxkeeper_compat_tests::mask::session_password;
use oxkeeper_compat_tests::subject::{Options, Server, Subject, TemporaryDirectory, copy_directory};
use oxkeeper_compat_tests::wire::{Request, Writer, acl, multi_errors, op, open, request};

const MARSHALLING_ERROR: i32 = -5;
const UNIMPLEMENTED: i32 = -6;
const BAD_ARGUMENTS: i32 = -8;
const QUOTA_EXCEEDED: i32 = -125;

/// What must happen to a hazard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    /// This error code, and the connection stays.
    Error(i32),
    /// This error code, and the connection is closed.
    ErrorThenClose(i32),
    /// A multi of which the first part fails so.
    FirstPart(i32),
    /// It is done, in a way that is none to Java.
    Done,
}

struct Hazard {
    /// What it does to Java, or the number of the bug.
    name: &'static str,
    requests: fn() -> Vec<Request>,
    answer: Answer,
}

const fn hazard(name: &'static str, answer: Answer, requests: fn() -> Vec<Request>) -> Hazard {
    Hazard { name, requests, answer }
}

/// Every request of a hazard must be answered alike. `/h` exists and is empty, `/h/full` has a child.
const HAZARDS: &[Hazard] = &[
    hazard("createTTL without a TTL mode and with ttl -1 ends the server and poisons the log", Answer::Error(BAD_ARGUMENTS), || {
        [0, 1, 2, 3, 4].map(|flags| request::create_ttl("/h/x", &open(), flags, -1)).to_vec()
    }),
    hazard("createTTL with a ttl that its encoding cannot hold", Answer::Error(BAD_ARGUMENTS), || {
        let ttls = [0, -1, i64::MIN, i64::MAX, 1 << 40];
        ttls.into_iter().flat_map(|ttl_ms| [5, 6].map(|flags| request::create_ttl("/h/x", &open(), flags, ttl_ms))).collect()
    }),
    hazard("a TTL mode in an operation without a ttl", Answer::Error(BAD_ARGUMENTS), || {
        let codes = [op::CREATE, op::CREATE2, op::CREATE_CONTAINER];
        codes.into_iter().flat_map(|code| [5, 6].map(|flags| request::create_as(code, "/h/x", None, &open(), flags))).collect()
    }),
    hazard("a container mode in a plain create makes a plain node, with a wrong digest", Answer::Done, || {
        vec![
            request::create_as(op::CREATE, "/h/plain1", Some(b"p"), &open(), 4),
            request::create_as(op::CREATE2, "/h/plain2", Some(b"p"), &open(), 4),
            request::create("/h/plain1/child", ""),
            request::set_data("/h/plain2", Some(b"q"), 0),
        ]
    }),
    hazard("createContainer with another mode makes a container, with a wrong digest", Answer::Done, || {
        let modes = [0, 1, 2, 3];
        modes
            .into_iter()
            .map(|flags| request::create_as(op::CREATE_CONTAINER, &format!("/h/c{flags}-"), Some(b"c"), &open(), flags))
            .collect()
    }),
    hazard("deleteContainer from a client asks neither list nor session", Answer::ErrorThenClose(UNIMPLEMENTED), || {
        ["/h", "/h/full", "/none", "/", "/zookeeper/quota"].map(|path| request::path(op::DELETE_CONTAINER, path)).to_vec()
    }),
    hazard("deleteContainer inside a multi", Answer::Error(MARSHALLING_ERROR), || {
        vec![request::multi(op::MULTI, &[request::path(op::DELETE_CONTAINER, "/h")])]
    }),
    hazard("a session that the client itself creates", Answer::ErrorThenClose(UNIMPLEMENTED), || {
        let times = [0, -1, i32::MIN, i32::MAX];
        times.map(|time| Request::raw(op::CREATE_SESSION, format!("{time}"), Writer::new().int(time))).to_vec()
    }),
    hazard("operations that only servers know", Answer::ErrorThenClose(UNIMPLEMENTED), || {
        [-1, 0, op::CHECK, 10, 23, 99, 108, i32::MIN, i32::MAX].map(|code| Request::raw(code, "", Writer::new().int(-110))).to_vec()
    }),
    hazard("a write that cannot be decoded makes a leader give out a zxid twice", Answer::Error(MARSHALLING_ERROR), || {
        let codes =
            [op::CREATE, op::CREATE2, op::CREATE_CONTAINER, op::CREATE_TTL, op::DELETE, op::SET_DATA, op::SET_ACL, op::MULTI, op::RECONFIG];
        let bodies =
            [Writer::new(), Writer::new().int(100), Writer::new().int(-2), Writer::new().int(i32::MAX), Writer::new().string("/h/x")];
        codes.into_iter().flat_map(|code| bodies.clone().map(|body| Request::raw(code, format!("{:?}", body.bytes), body))).collect()
    }),
    hazard("statistics of a quota that are none end the server at the next write below it", Answer::Error(BAD_ARGUMENTS), || {
        let texts = [
            None,
            Some(&b"x"[..]),
            Some(b"count"),
            Some(b"count=x,bytes=1"),
            Some(b"="),
            Some(b",count=1"),
            Some(b"count=99999999999999999999"),
        ];
        texts.map(|text| request::set_data("/zookeeper/quota/h/zookeeper_stats", text, -1)).to_vec()
    }),
    hazard("the same inside a multi", Answer::FirstPart(BAD_ARGUMENTS), || {
        vec![request::multi(op::MULTI, &[request::set_data("/zookeeper/quota/h/zookeeper_stats", Some(b"x"), -1)])]
    }),
    hazard("a quota of the root ends the server and poisons the log", Answer::Error(BAD_ARGUMENTS), || {
        vec![
            request::create("/zookeeper/quota/zookeeper_limits", "count=1,bytes=1"),
            request::create_as(op::CREATE2, "/zookeeper/quota/zookeeper_limits", None, &open(), 1),
        ]
    }),
    hazard("a transaction that no server can read again: lists that grow by the client's identities", Answer::Error(BAD_ARGUMENTS), || {
        let all_identities = || vec![acl(31, "auth", "")];
        let parts: Vec<Request> = (0..60).map(|at| request::create_acl(&format!("/h/many{at}"), &all_identities())).collect();
        vec![request::multi(op::MULTI, &parts)]
    }),
];

/// Strings and buffers up to here are read, twice as many by the reader of a log.
const MAX_BUFFER: usize = 8192;

fn options() -> Options {
    Options::usual().property("zookeeper.extendedTypesEnabled", "true").property("jute.maxbuffer", &MAX_BUFFER.to_string())
}

/// A client with many identities, so that `auth` in a list stands for many entries.
fn connect(talk: &mut Conversation) {
    talk.connect("a");
    for at in 0..40 {
        talk.ask_as("a", -4, &request::auth("digest", format!("user{at}:secret").as_bytes()));
    }
}

fn begin(server: &Server) -> Conversation {
    let mut talk = Conversation::begin(server.address());
    talk.connect("owner");
    for request in [
        request::create("/h", ""),
        request::create("/h/full", ""),
        request::create("/h/full/child", ""),
        request::create("/zookeeper/quota/h", ""),
        request::create("/zookeeper/quota/h/zookeeper_limits", "count=1000,bytes=-1"),
        request::create("/zookeeper/quota/h/zookeeper_stats", "count=0,bytes=0"),
        request::create_flags("/h/ephemeral", 1),
    ] {
        assert_eq!(talk.ask("owner", &request).expect("a reply").header.error, 0, "{request:?}");
    }
    talk
}

/// Sends one hazard and returns what is wrong with the answers.
fn face(talk: &mut Conversation, hazard: &Hazard) -> String {
    let mut wrong = String::new();
    connect(talk);
    for request in (hazard.requests)() {
        let reply = talk.ask("a", &request);
        let error = reply.as_ref().map(|reply| reply.header.error);
        let (right, closes) = match hazard.answer {
            Answer::Error(code) => (error == Some(code), false),
            Answer::ErrorThenClose(code) => (error == Some(code), true),
            Answer::FirstPart(code) => (reply.as_ref().is_some_and(|reply| multi_errors(&reply.frame).first() == Some(&code)), false),
            Answer::Done => (error == Some(0), false),
        };
        if closes {
            talk.expect_close("a");
        }
        let closed = !talk.lines.contains_key("a");
        if !right || closes != closed {
            wrong += &format!("== {}: {request:?}: error {error:?}, closed {closed}, wanted {:?}\n", hazard.name, hazard.answer);
        }
        if closed {
            connect(talk);
        }
        // Whoever else is there goes on working.
        let alive = talk.ask("owner", &request::set_data("/h", Some(b"alive"), -1)).map(|reply| reply.header.error);
        assert_eq!(alive, Some(0), "after {}: {request:?}\n{}", hazard.name, talk.transcript.join("\n"));
    }
    talk.ask("a", &request::bare(op::CLOSE_SESSION));
    talk.hang_up("a");
    wrong
}

/// What ours reads of a directory, Java must read: the log as it was left by kill -9, and the snapshot behind it.
fn java_reads(at: &Path, options: &Options) {
    let copies = ["ours", "java"].map(|name| at.join(name));
    copies.iter().for_each(|copy| copy_directory(&at.join("left"), copy));
    let trees = [Subject::Oxkeeper, Subject::Java39].into_iter().zip(&copies).map(|(subject, copy)| {
        let (made, log) = read(subject, options, copy);
        let Made::Tree(tree) = made else { panic!("{subject} refuses: {log}") };
        let log = fs::read_to_string(copy.join("server.log")).expect("a log");
        assert!(!log.contains("igests are not matching") && !log.contains("igest mismatch"), "{subject}: {log}");
        tree
    });
    let trees: Vec<Vec<String>> = trees.collect();
    assert!(trees[0].len() > 20, "hardly a node");
    for (ours, java) in trees[0].iter().zip(&trees[1]) {
        assert_eq!(ours, java);
    }
    assert_eq!(trees[0].len(), trees[1].len());
}

#[test]
fn hazards_are_refused_and_leave_nothing_behind() {
    let directory = TemporaryDirectory::new();
    let mut server = Server::start_in(Subject::Oxkeeper, &options(), &directory.path.join("left"));
    let mut talk = begin(&server);
    let wrong: String = HAZARDS.iter().map(|hazard| face(&mut talk, hazard)).collect();
    assert!(wrong.is_empty(), "\n{wrong}");
    assert!(!talk.is_lost());
    talk.finish();
    let log = fs::read_to_string(server.log_path()).expect("a log");
    assert!(!log.contains("panicked"), "{log}");
    server.kill();
    java_reads(&directory.path, &options());
}

/// ZOOKEEPER-4306: the closing of a session is one transaction. Whatever makes the list of its ephemerals long, it
/// stays readable: paths one by one, many in a multi, sequential ones whose names grow.
#[test]
fn zookeeper_4306_no_mixture_of_ephemerals_makes_a_closing_too_long() {
    let directory = TemporaryDirectory::new();
    let mut server = Server::start_in(Subject::Oxkeeper, &options(), &directory.path.join("left"));
    let mut talk = begin(&server);
    let name = |at: usize| format!("/h/{at}{}", "n".repeat(200));
    for (at, ending) in ["closed by the client", "expired"].into_iter().enumerate() {
        talk.connect(ending);
        let mut refusals = 0;
        for round in 0..200 {
            let number = (at * 1000 + round) * 10;
            let several: Vec<Request> = (1..4).map(|part| request::create_flags(&name(number + part), 1)).collect();
            let all =
                [request::create_flags(&name(number), 3), request::create_flags(&name(number), 1), request::multi(op::MULTI, &several)];
            for request in all {
                let reply = talk.ask(ending, &request).expect("a reply");
                let error = match request.op {
                    op::MULTI => multi_errors(&reply.frame).into_iter().find(|error| *error == QUOTA_EXCEEDED).unwrap_or(0),
                    _ => reply.header.error,
                };
                assert!(error == 0 || error == QUOTA_EXCEEDED, "{request:?}: {error}");
                refusals += usize::from(error != 0);
            }
            if refusals > 5 {
                break;
            }
        }
        assert!(refusals > 5, "nothing stops it");
        if at == 0 {
            talk.ask(ending, &request::bare(op::CLOSE_SESSION));
        } else {
            // It comes back with a short timeout and is silent; the server closes its connection when it has expired.
            let session = talk.lines[ending].session;
            let password = Some(session_password(session).to_vec());
            talk.hang_up(ending);
            talk.connect_with(ending, &Connect { session, password, timeout_ms: 1000, ..Connect::default() });
        }
        talk.expect_close(ending);
        let left = talk.ask("owner", &request::read(op::CHILDREN, "/h", false)).expect("a reply");
        assert!(!left.frame.windows(20).any(|part| part == [b'n'; 20]), "ephemerals of a dead session");
    }
    talk.finish();
    server.kill();
    java_reads(&directory.path, &options());
}
