//! What has gone wrong in ZooKeeper before, one test for each CVE that concerns a standalone server, and for the
//! security faults without a number: the same conversation with Java 3.9.5 and with ours, and beside the
//! comparison what must hold on both. Load and memory are left to `storm.rs`.

use std::fs;
use std::time::{Duration, Instant};

use oxkeeper_compat_tests::connection::{Connect, Connected, Connection, Silence};
use oxkeeper_compat_tests::conversation::{Conversation, differences};
use oxkeeper_compat_tests::mask::session_password;
use oxkeeper_compat_tests::subject::{Options, Server, Subject, TemporaryDirectory, four_letter};
use oxkeeper_compat_tests::wire::{Request, Writer, acl, op, open, request};

const NO_AUTH: i32 = -102;
/// `u` with the password `p`.
const HASHED: &str = "u:Jq7wMyA/w2Vd5WIDAKdu4OIIFEQ=";
/// Generous: the machine may be busy with other things.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs a script on both and compares the transcripts, which `check` has looked at before.
fn on_both(options: &Options, script: impl Fn(&mut Conversation), check: impl Fn(Subject, &[String])) {
    let run = |subject| {
        let server = Server::start(subject, options);
        let mut talk = Conversation::begin(server.address());
        script(&mut talk);
        talk.finish();
        check(subject, &talk.transcript);
        talk.transcript
    };
    let (judge, ours) = (run(Subject::Java39), run(Subject::Oxkeeper));
    let found = differences(&judge, &ours);
    assert!(found.is_empty(), "{}", found.concat());
}

/// The error of a reply; a script that gets none has failed.
fn error(talk: &mut Conversation, name: &str, request: &Request) -> i32 {
    let reply = talk.ask(name, request);
    reply.unwrap_or_else(|| panic!("no reply:\n{}", talk.transcript.join("\n"))).header.error
}

#[test]
fn cve_2017_5637_words_that_cost_are_off_by_default() {
    for subject in [Subject::Java39, Subject::Oxkeeper] {
        let server = Server::start(subject, &Options::default());
        for word in ["wchp", "wchc", "wchs", "dump", "cons", "stat", "mntr", "ruok"] {
            let answer = four_letter(server.address(), word.as_bytes()).expect("an answer");
            assert_eq!(answer.trim_end(), format!("{word} is not executed because it is not in the whitelist."), "{subject}");
        }
        assert!(four_letter(server.address(), b"srvr").expect("an answer").contains("Mode: standalone"));
    }
}

#[test]
fn cve_2019_0201_get_acl_hides_hashes() {
    let script = |talk: &mut Conversation| {
        talk.connect("owner");
        talk.ask_as("owner", -4, &request::auth("digest", b"u:p"));
        talk.connect("stranger");
        for mask in 0..32 {
            let path = format!("/n{mask}");
            talk.ask("owner", &request::create_acl(&path, &[acl(31, "digest", HASHED), acl(mask, "world", "anyone")]));
            let reply = talk.ask("stranger", &request::path(op::ACL, &path)).expect("a reply");
            // READ 1 or ADMIN 16 let the list be seen; only ADMIN shows what is behind a name.
            let shows_hash = reply.frame.windows(HASHED.len()).any(|part| part == HASHED.as_bytes());
            assert_eq!(reply.header.error, if mask & 17 == 0 { NO_AUTH } else { 0 }, "mask {mask}");
            assert_eq!(shows_hash, mask & 16 != 0, "mask {mask}");
            let reply = talk.ask("owner", &request::path(op::ACL, &path)).expect("a reply");
            assert!(reply.frame.windows(HASHED.len()).any(|part| part == HASHED.as_bytes()));
        }
    };
    on_both(&Options::usual(), script, |_, _| {});
}

/// The scenes of Java's own test of this, taken to all combinations: a watch on a node, its child or grandchild,
/// persistent or recursive, where each node may or may not be read by the watcher.
#[test]
fn cve_2024_23944_persistent_watches_show_no_hidden_paths() {
    let script = |talk: &mut Conversation| {
        talk.connect("writer");
        talk.become_super("writer");
        for mode in [0, 1] {
            for target in ["/a", "/a/b", "/a/b/c"] {
                for shown in 0..8 {
                    let list = |bit: i32| if shown & bit != 0 { open() } else { vec![acl(31 & !1, "world", "anyone")] };
                    let mark = talk.transcript.len();
                    talk.note(format!("mode {mode} on {target}, readable {shown:03b}"));
                    talk.ask("writer", &request::create_acl("/a", &list(1)));
                    talk.connect("watcher");
                    talk.ask("watcher", &request::add_watch(target, mode));
                    for step in [
                        request::set_data("/a", Some(b"1"), -1),
                        request::create_acl("/a/b", &list(2)),
                        request::set_data("/a/b", Some(b"2"), -1),
                        request::create_acl("/a/b/c", &list(4)),
                        request::set_data("/a/b/c", Some(b"3"), -1),
                        request::delete("/a/b/c", -1),
                        request::delete("/a/b", -1),
                        request::delete("/a", -1),
                    ] {
                        talk.ask("writer", &step);
                        talk.drain("watcher");
                    }
                    talk.ask("watcher", &request::bare(op::CLOSE_SESSION));
                    talk.hang_up("watcher");
                    let events: Vec<&String> = talk.transcript[mark..].iter().filter(|line| line.contains(" EVENT ")).collect();
                    for (bit, path) in [(1, "/a"), (2, "/a/b"), (4, "/a/b/c")] {
                        let told = events.iter().any(|line| ends_with_path(line, path));
                        assert!(!told || shown & bit != 0, "{path} is hidden (mode {mode}, {target}, {shown:03b}): {events:?}");
                        if path == target {
                            assert_eq!(told, shown & bit != 0, "{path} (mode {mode}, {target}, {shown:03b}): {events:?}");
                        }
                    }
                }
            }
        }
    };
    on_both(&Options::usual(), script, |_, _| {});
}

/// Whether a line of a transcript ends with exactly this path.
fn ends_with_path(line: &str, path: &str) -> bool {
    line.ends_with(&format!(" path '{path}'"))
}

/// A check that passed when any of the wanted bits was there would let a permission stand for another.
#[test]
fn cve_2025_58457_each_permission_opens_its_own_door_only() {
    let script = |talk: &mut Conversation| {
        talk.connect("owner");
        talk.become_super("owner");
        talk.connect("stranger");
        for mask in 0..32 {
            talk.ask("owner", &request::create_acl("/p", &[acl(mask, "world", "anyone")]));
            talk.ask("owner", &request::create("/p/child", ""));
            for (bits, request) in [
                (1, request::read(op::DATA, "/p", false)),
                (1, request::read(op::CHILDREN, "/p", false)),
                (1, request::read(op::CHILDREN2, "/p", false)),
                (2, request::set_data("/p", Some(b"x"), -1)),
                (4, request::create("/p/new", "")),
                (8, request::delete("/p/child", -1)),
                (17, request::path(op::ACL, "/p")),
                (16, request::set_acl("/p", &[acl(mask, "world", "anyone")], -1)),
            ] {
                let expected = if mask & bits == 0 { NO_AUTH } else { 0 };
                assert_eq!(error(talk, "stranger", &request), expected, "mask {mask}: {}", request.label);
            }
            talk.remove_tree("owner", "/p");
        }
    };
    on_both(&Options::usual(), script, |_, _| {});
}

/// Passwords from zoo.cfg and the command line appear in nothing that the server prints or answers, at any level,
/// whether it starts or refuses to.
#[test]
fn cve_2026_24308_secrets_are_not_logged() {
    const SECRET: &str = "pLanTed-S3cret";
    let hash = format!("super:{SECRET}+hash=");
    let starts = Options::usual()
        .property("zookeeper.DigestAuthenticationProvider.superDigest", &hash)
        .property("zookeeper.SASLAuthenticationProvider.superPassword", SECRET)
        .line("DigestAuthenticationProvider.superDigest", &hash)
        .line("metricsProvider.ssl.keyStore.password", SECRET)
        .line("my.own.password", SECRET);
    let server = start_loudly(&starts);
    let mut talk = Conversation::begin(server.address());
    talk.connect("a");
    talk.ask_as("a", -4, &request::auth("digest", format!("u:{SECRET}").as_bytes()));
    talk.ask_as("a", -4, &request::auth("digest", SECRET.as_bytes()));
    talk.finish();
    for word in ["conf", "envi", "mntr", "stat", "cons", "dump"] {
        let answer = four_letter(server.address(), word.as_bytes()).expect("an answer");
        assert!(!answer.contains(SECRET), "{word}: {answer}");
    }
    let log = fs::read_to_string(server.log_path()).expect("a log");
    assert!(log.contains("TRACE") || log.contains("DEBUG") || log.len() > 500, "it was to be talkative: {log}");
    assert!(!log.contains(SECRET), "{log}");

    for (key, value) in [
        ("ssl.keyStore.password", SECRET),
        ("ssl.trustStore.password", SECRET),
        ("ssl.quorum.keyStore.password", SECRET),
        ("DigestAuthenticationProvider.superDigest", SECRET),
    ] {
        let directory = TemporaryDirectory::new();
        let options = Options::usual().line(key, value).line("secureClientPort", "1");
        let mut server = Server::spawn_in(Subject::Oxkeeper, &options, &directory.path);
        assert!(!server.wait_for_exit().success(), "{key}");
        let log = fs::read_to_string(server.log_path()).expect("a log");
        assert!(!log.is_empty() && !log.contains(SECRET), "{key}: {log}");
    }
}

/// Our server with every message that it has.
fn start_loudly(options: &Options) -> Server {
    let options = options.clone().property("zookeeper.root.logger", "TRACE");
    Server::start(Subject::Oxkeeper, &options)
}

/// Without a number: the password of a session is computed from its id by a rule that is public, so that a session
/// moves between servers. Ours has to accept what Java accepts, and nothing else. COMPAT.md tells of it.
#[test]
fn a_session_is_taken_over_with_the_computed_password_and_no_other() {
    for subject in [Subject::Java39, Subject::Oxkeeper] {
        let server = Server::start(subject, &Options::usual());
        let mut victim = Connection::open(server.address()).expect("a socket");
        victim.send(&Connect::default().frame());
        let session = Connected::parse(&victim.receive(PATIENCE).expect("a response")).expect("readable").session;
        let good = session_password(session);
        let mut flipped = good;
        flipped[7] ^= 1;
        for wrong in [Some(flipped.to_vec()), Some(good[..15].to_vec()), Some(Vec::new()), Some(vec![0; 16])] {
            let mut thief = Connection::open(server.address()).expect("a socket");
            thief.send(&Connect { session, password: wrong.clone(), ..Connect::default() }.frame());
            let got = Connected::parse(&thief.receive(PATIENCE).expect("a response")).expect("readable").session;
            assert_eq!(got, 0, "{subject}: {wrong:?}");
        }
        let mut heir = Connection::open(server.address()).expect("a socket");
        heir.send(&Connect { session, password: Some(good.to_vec()), ..Connect::default() }.frame());
        assert_eq!(Connected::parse(&heir.receive(PATIENCE).expect("a response")).expect("readable").session, session, "{subject}");
    }
}

/// ZOOKEEPER-4306: the end of a session names all its ephemerals in one transaction. One that no reader accepts
/// would keep every server from starting again.
#[test]
fn zookeeper_4306_a_session_ends_in_a_transaction_that_can_be_read() {
    let directory = TemporaryDirectory::new();
    let options = Options::usual().property("jute.maxbuffer", "8192");
    let mut server = Server::start_in(Subject::Oxkeeper, &options, &directory.path);
    let mut talk = Conversation::begin(server.address());
    talk.connect_with("owner", &Connect { timeout_ms: 1000, ..Connect::default() });
    talk.ask("owner", &request::create("/e", ""));
    let mut made = 0;
    let refused = loop {
        let path = format!("/e/{made:04}{}", "x".repeat(500));
        match error(&mut talk, "owner", &request::create_flags(&path, 1)) {
            0 => made += 1,
            code => break code,
        }
        assert!(made < 1000, "nothing stops it");
    };
    assert!(made >= 14, "a session of {made} ephemerals ends in less than what everybody reads");
    assert!(refused < 0);
    assert_eq!(error(&mut talk, "owner", &request::create("/still-works", "")), 0);
    assert_eq!(error(&mut talk, "owner", &request::bare(op::CLOSE_SESSION)), 0);
    server.kill();
    server.restart();
    drop(server);
    for subject in [Subject::Oxkeeper, Subject::Java39] {
        let mut server = Server::start_in(subject, &options, &directory.path);
        let mut talk = Conversation::begin(server.address());
        talk.connect("a");
        let reply = talk.ask("a", &request::read(op::CHILDREN, "/e", false)).expect("a reply");
        assert_eq!((reply.header.error, &reply.frame[16..20]), (0, &[0, 0, 0, 0][..]), "{subject}");
        talk.finish();
        server.terminate();
    }
}

/// Control characters from clients do not make lines of their own in the log.
#[test]
fn a_client_cannot_write_log_lines() {
    const FORGED: &str = "\n2026-01-01 00:00:00,000 [myid:] - FORGED\r\u{1b}[31m\u{85}\u{2028}";
    let server = start_loudly(&Options::usual());
    let mut talk = Conversation::begin(server.address());
    for scheme in ["world", "digest", "ip", "x509", ""] {
        for name in ["a", "b"] {
            talk.connect(name);
            let forged = format!("{scheme}{FORGED}");
            talk.ask_as(name, -4, &request::auth(&forged, FORGED.as_bytes()));
            talk.connect(name);
            talk.ask(name, &request::create(&format!("/x{FORGED}"), FORGED));
            talk.ask(name, &request::create_acl("/y", &[acl(31, &forged, FORGED)]));
            talk.ask(name, &request::create_acl("/z", &[acl(31, scheme, FORGED)]));
            talk.ask(name, &request::read(op::DATA, &format!("/{FORGED}"), true));
            talk.ask(name, &request::add_watch(&format!("/{FORGED}"), 1));
            talk.ask(name, &Request::raw(4711, "no such op", Writer::new().string(FORGED)));
        }
    }
    let mut raw = Connection::open(server.address()).expect("a socket");
    raw.send(FORGED.as_bytes());
    assert_eq!(raw.receive(PATIENCE), Err(Silence::Closed));
    let log = fs::read(server.log_path()).expect("a log");
    let text = String::from_utf8_lossy(&log);
    for line in text.lines().flat_map(|line| line.split(['\r', '\u{85}', '\u{2028}'])) {
        assert!(!line.starts_with("2026-01-01 00:00:00,000 [myid:]"), "a forged line: {line:?}");
    }
    assert!(!log.contains(&0x1b), "an escape sequence reached the log");
}

/// Java takes `check` outside of a multi for an unknown operation, or should: it must neither pass nor poison.
#[test]
fn a_check_on_its_own_harms_nobody() {
    let script = |talk: &mut Conversation| {
        talk.connect("a");
        talk.ask("a", &request::check("/", -1));
        talk.ask("a", &request::check("/none", 5));
        talk.connect("b");
        assert_eq!(error(talk, "b", &request::create("/after", "")), 0);
    };
    let server = Server::start(Subject::Oxkeeper, &Options::usual());
    let mut talk = Conversation::begin(server.address());
    script(&mut talk);
    talk.finish();
}

/// Whoever drips bytes does not stay: the deadline counts from the beginning and no byte moves it.
#[test]
fn a_dripping_handshake_meets_an_absolute_deadline() {
    let options = Options::usual().property("zookeeper.nio.sessionlessCnxnTimeout", "500");
    let server = Server::start(Subject::Oxkeeper, &options);
    for beginning in [&b"\x00\x00\x00\x2d"[..], b"\x00", b"stmk", b"\x00\x0f\xff\xff"] {
        let mut connection = Connection::open(server.address()).expect("a socket");
        connection.send(beginning);
        let start = Instant::now();
        // A byte each time that nothing came: far more often than the deadline.
        while connection.receive(Duration::from_millis(50)) != Err(Silence::Closed) {
            assert!(start.elapsed() < PATIENCE, "{beginning:?} holds a connection for ever");
            if beginning != b"stmk" || start.elapsed() < Duration::from_millis(300) {
                connection.send(&[0]);
            }
        }
    }
}

/// The limits on connections: those of Java, and refusing nobody whom Java serves.
#[test]
fn limits_on_connections_are_those_of_java() {
    for (options, served) in
        [(Options::default(), 60), (Options::default().line("maxClientCnxns", "7"), 7), (Options::default().line("maxCnxns", "5"), 5)]
    {
        for subject in [Subject::Java39, Subject::Oxkeeper] {
            let server = Server::start(subject, &options);
            let connect = || {
                // A connection that is not let in may be gone before this side has it.
                let mut connection = Connection::open(server.address()).map_err(|_| Silence::Closed)?;
                connection.send(&Connect::default().frame());
                connection.receive(PATIENCE).map(|_| connection)
            };
            // The connection that asked whether the server is there may not be gone yet.
            let mut kept = Vec::new();
            let start = Instant::now();
            while kept.len() < served {
                match connect() {
                    Ok(connection) => kept.push(connection),
                    Err(_) => assert!(start.elapsed() < PATIENCE, "{subject} serves only {} of {served}", kept.len()),
                }
            }
            assert!(matches!(connect(), Err(Silence::Closed)), "{subject} serves more than {served}");
            kept.pop();
            let start = Instant::now();
            while connect().is_err() {
                assert!(start.elapsed() < PATIENCE, "{subject}: a place that became free stays empty");
            }
        }
    }
}

#[test]
fn connect_requests_are_throttled_as_in_java() {
    let options = Options::usual()
        .line("connection_throttle_tokens", "5")
        .line("connection_throttle_fill_time", "100000000")
        .line("connection_throttle_fill_count", "1");
    for subject in [Subject::Java39, Subject::Oxkeeper] {
        let server = Server::start(subject, &options);
        let connect = || {
            let mut connection = Connection::open(server.address()).expect("a socket");
            connection.send(&Connect::default().frame());
            connection.receive(PATIENCE)
        };
        for _ in 0..5 {
            assert!(connect().is_ok(), "{subject}");
        }
        for _ in 0..3 {
            assert_eq!(connect(), Err(Silence::Closed), "{subject}");
        }
        let counts = four_letter(server.address(), b"mntr").expect("an answer");
        assert!(counts.lines().any(|line| line == "zk_connection_rejected\t3"), "{subject}: {counts}");
    }
}

#[test]
fn large_requests_are_limited_as_in_java() {
    let options = Options::usual().line("largeRequestThreshold", "1000").line("largeRequestMaxBytes", "5000");
    let script = |talk: &mut Conversation| {
        talk.connect("a");
        talk.ask("a", &request::create("/small", "x"));
        talk.ask("a", &request::create("/large", &"x".repeat(4000)));
        // Given back when it was answered.
        talk.ask("a", &request::set_data("/large", Some(&[b'y'; 4000]), -1));
        talk.ask("a", &request::set_data("/large", Some(&[b'z'; 6000]), -1));
        talk.connect("b");
        talk.ask("b", &request::read(op::EXISTS, "/large", false));
    };
    on_both(&options, script, |subject, transcript| {
        assert_eq!(transcript.iter().filter(|line| line.ends_with("Closed")).count(), 1, "{subject}: {transcript:#?}");
    });
}
