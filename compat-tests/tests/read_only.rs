//! A member that has lost its quorum and serves readers (`readonlymode.enabled`): who is let in, what is answered, what the
//! probes say, and how it ends when the quorum is back; each compared with a Java server that has lost its own.
//!
//! CI runs cases drawn by the commit; `OXKEEPER_CASES`, `OXKEEPER_SEED`, `OXKEEPER_ENSEMBLE_SUBJECT`: see `mixed`.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use oxkeeper_compat_tests::connection::{Connect, Connection};
use oxkeeper_compat_tests::conversation::{Conversation, differences};
use oxkeeper_compat_tests::ensemble::{Ensemble, Mode, PATIENCE, Plan, draw, ours};
use oxkeeper_compat_tests::four_letter::{Shape, WORDS, bytes, shaped};
use oxkeeper_compat_tests::http;
use oxkeeper_compat_tests::mask::{Names, session_password};
use oxkeeper_compat_tests::subject::{Subject, class_path, four_letter, free_port, target_directory};
use oxkeeper_compat_tests::wire::{Request, Writer, acl, op, open, render_reply, request};

/// Three voters, the last of which leads at first; the first one is the one that is left alone.
type Members = [Subject; 3];

const LEFT: usize = 0;
const LEADER: usize = 2;

/// The ensemble, and the port of its first member's AdminServer.
fn start(name: &str, members: Members, local_sessions: bool) -> (Ensemble, u16) {
    let mut plan = Plan::new(&members, &[]).line("localSessionsEnabled", if local_sessions { "true" } else { "false" });
    plan.options.lines.retain(|(key, _)| key != "forceSync");
    plan.options = plan.options.property("readonlymode.enabled", "true");
    let mut ensemble = Ensemble::new(name, &plan.line("forceSync", "no"));
    let port = free_port();
    let left = &mut ensemble.members[LEFT].server;
    for (key, value) in [("enableServer", "true"), ("serverPort", &port.to_string()), ("serverAddress", "127.0.0.1")] {
        left.options.lines.push((format!("admin.{key}"), value.to_owned()));
    }
    left.write_configuration();
    ensemble.start_led_by(LEADER);
    (ensemble, port)
}

/// What the member serves from then on, and a session that the ensemble knows, if there are such.
fn history(ensemble: &mut Ensemble, local_sessions: bool) -> Option<(i64, Vec<u8>)> {
    let mut talk = Conversation::begin(ensemble.address(LEFT));
    talk.connect("known");
    talk.ask("known", &request::create("/a", "data"));
    talk.ask("known", &request::create("/a/b", ""));
    if !local_sessions {
        talk.ask("known", &request::create_flags("/a/e", 1));
    }
    talk.ask("known", &request::create_acl("/a/mine", &[acl(31, "digest", "u:I5EQs3Ox9sBVZrFIAFxQaAJfXuQ=")]));
    talk.ask("known", &request::path(op::SYNC, "/"));
    let line = talk.lines.get("known").expect("a session");
    Some((line.session, line.password.clone())).filter(|_| !local_sessions)
}

/// Takes its quorum away and waits until it serves readers.
fn leave_alone(ensemble: &mut Ensemble) {
    (LEFT + 1..=LEADER).for_each(|index| ensemble.kill(index));
    let begun = Instant::now();
    while ensemble.mode(LEFT) != Some(Mode::ReadOnly) {
        assert!(begun.elapsed() < PATIENCE, "no read-only server: {}", ensemble.modes());
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn as_reader() -> Connect {
    Connect { read_only: Some(1), ..Connect::default() }
}

fn refused() -> Vec<Request> {
    let mine = open();
    vec![
        request::create("/new", "x"),
        request::create_flags("/new", 1),
        request::create2("/new", "x"),
        request::create_as(op::CREATE_CONTAINER, "/new", None, &mine, 4),
        request::create_ttl("/new", &mine, 5, 1000),
        request::delete("/a/b", -1),
        request::path(op::DELETE_CONTAINER, "/a"),
        request::set_data("/a", Some(b"x"), -1),
        request::set_data("/nowhere", Some(b"x"), -1),
        request::set_acl("/a", &mine, -1),
        request::path(op::SYNC, "/"),
        request::multi(op::MULTI, &[request::create("/new", "x"), request::delete("/a/b", -1)]),
        request::multi(op::MULTI, &[]),
        Request::raw(op::RECONFIG, "of nobody", Writer::new().string("").string("").string("").long(-1)),
        // Nothing that could be decoded: it is not looked at.
        Request::raw(op::CREATE, "without a body", Writer::new()),
        Request::raw(op::MULTI, "of rubbish", Writer::new().int(7)),
    ]
}

fn answered() -> Vec<Request> {
    vec![
        request::read(op::DATA, "/a", true),
        request::read(op::EXISTS, "/a/b", true),
        request::read(op::EXISTS, "/nowhere", true),
        request::read(op::CHILDREN, "/a", true),
        request::read(op::CHILDREN2, "/", false),
        request::read(op::DATA, "/a/mine", false),
        request::path(op::ACL, "/a"),
        request::path(op::EPHEMERALS, "/"),
        request::path(op::ALL_CHILDREN_NUMBER, "/"),
        request::bare(op::WHO_AM_I),
        request::add_watch("/a", 1),
        request::set_watches(0, &[&["/a"], &[], &["/a"]]),
        request::watches(op::CHECK_WATCHES, "/a", 2),
        request::watches(op::REMOVE_WATCHES, "/a", 1),
        request::multi(op::MULTI_READ, &[request::read(op::DATA, "/a", false), request::read(op::CHILDREN, "/nowhere", false)]),
    ]
}

/// Who is let in, and with which session.
fn doors(talk: &mut Conversation, known: Option<&(i64, Vec<u8>)>, local_sessions: bool) {
    for read_only in [None, Some(0)] {
        talk.note(format!("read-only byte {read_only:?}"));
        talk.connect_with("stranger", &Connect { read_only, ..Connect::default() });
    }
    talk.note("a reader who has seen more");
    talk.connect_with("ahead", &Connect { last_zxid_seen: i64::MAX, ..as_reader() });
    if let Some((session, password)) = known {
        talk.names.name_session(*session, "known");
        talk.note("a session of the ensemble");
        talk.connect_with("known", &Connect { session: *session, password: Some(password.clone()), ..as_reader() });
        talk.note("a session of the ensemble, wrong password");
        talk.connect_with("known", &Connect { session: *session, password: Some(vec![7; 16]), ..as_reader() });
    }
    talk.note("a session that nobody knows");
    let session = 0x0300_0000_0000_0007;
    talk.names.name_session(session, "unknown");
    talk.connect_with("unknown", &Connect { session, password: Some(vec![7; 16]), ..as_reader() });
    talk.connect_with("unknown", &Connect { session, password: Some(session_password(session).to_vec()), ..as_reader() });
    if talk.lines.contains_key("unknown") {
        talk.ask("unknown", &request::read(op::EXISTS, "/a", false));
    }
    if local_sessions {
        talk.note("a new one, and the way back to it");
        talk.connect_with("new", &as_reader());
        let Some(line) = talk.lines.get("new") else { return };
        let (session, password) = (line.session, Some(line.password.clone()));
        talk.connect_with("again", &Connect { session, password, timeout_ms: 5000, ..as_reader() });
        talk.expect_close("new");
        talk.drain("again");
        talk.ask("again", &request::bare(op::CLOSE_SESSION));
        talk.expect_close("again");
        talk.note("a silent one ends");
        talk.connect_with("silent", &Connect { timeout_ms: 1000, ..as_reader() });
        talk.expect_close("silent");
    }
}

/// Java keeps the connection, so this comes behind all that would show it.
fn refused_session(talk: &mut Conversation) {
    talk.note("a new session");
    let mut connection = Connection::open(talk.address).expect("a server");
    connection.send(&as_reader().frame());
    let answer = connection.receive(Duration::from_secs(8));
    let text = answer.map_or_else(|silence| format!("{silence:?}"), |frame| render_reply(op::PING, &frame, &talk.names));
    talk.note(format!("< new {text}"));
}

/// Without local sessions only a client can come in whose session nobody knows.
fn come_in(talk: &mut Conversation, name: &str, local_sessions: bool) {
    let session = 0x0300_0000_0000_0009;
    let unknown = Connect { session, password: Some(session_password(session).to_vec()), ..as_reader() };
    talk.names.name_session(session, "unknown, too");
    talk.connect_with(name, &if local_sessions { as_reader() } else { unknown });
}

fn conversation(ensemble: &Ensemble, known: Option<&(i64, Vec<u8>)>, local_sessions: bool) -> Conversation {
    let mut talk = Conversation::begin(ensemble.address(LEFT));
    talk.names = Names::new(0);
    come_in(&mut talk, "reader", local_sessions);
    let zxid = talk.ask_as("reader", -2, &request::ping()).map_or(0, |reply| reply.header.zxid);
    talk.names.set_base(zxid);
    talk.transcript.clear();
    for request in answered().iter().chain(&refused()).chain(&answered()) {
        talk.ask("reader", request);
    }
    talk.note("as somebody else");
    talk.ask_as("reader", -4, &request::auth("digest", b"u:p"));
    talk.ask("reader", &request::read(op::DATA, "/a/mine", false));
    doors(&mut talk, known, local_sessions);
    talk
}

/// The words' answers, with what the masks hide of them and must not differ.
fn words(ensemble: &Ensemble) -> Vec<String> {
    let mut lines = Vec::new();
    let ask = |word: &'static str| four_letter(ensemble.address(LEFT), &bytes(word)).unwrap_or_else(|error| format!("{:?}", error.kind()));
    for (word, shape) in WORDS {
        lines.push(format!("({word})"));
        // The rows that a Java server has and ours has not are compared by `metrics`.
        if *word != "mntr" {
            lines.extend(shaped(*shape, &ask(word)).into_iter().map(|line| format!("< {line}")));
        }
    }
    let exact = |word, begins: &[&str]| -> Vec<String> {
        let text = ask(word);
        let is_wanted = |line: &&str| begins.iter().any(|begin| line.starts_with(begin));
        let mut found: Vec<String> = text.lines().filter(is_wanted).map(|line| format!("< {line}")).collect();
        found.sort();
        found
    };
    const EXACTLY: [(&str, &[&str]); 3] = [
        ("srvr", &["Mode: ", "READ-ONLY", "Node count: "]),
        (
            "mntr",
            &[
                "zk_server_state",
                "zk_peer_state",
                "zk_quorum_size",
                "zk_global_sessions",
                "zk_local_sessions",
                "zk_ephemerals_count",
                "zk_znode_count",
            ],
        ),
        ("conf", &["serverId", "initLimit", "electionAlg", "electionPort", "quorumPort", "peerType", "membership", "version"]),
    ];
    for (word, begins) in EXACTLY {
        lines.push(format!("(of {word})"));
        lines.extend(exact(word, begins));
    }
    lines.push("(of dump)".to_owned());
    // The number of buckets is the clock's affair.
    let sets = exact("dump", &["Local Session Sets", "Global Sessions", "Sessions with Ephemerals"]);
    lines.extend(sets.into_iter().map(|line| line.split_once(")/(").map_or(line.clone(), |(_, sessions)| format!("< Local ({sessions}"))));
    lines
}

/// The AdminServer's pages that tell the role.
fn pages(port: u16) -> Vec<String> {
    let mut lines = Vec::new();
    for page in ["isro", "ruok", "leader", "voting_view", "zabstate", "observers", "dump"] {
        lines.push(format!("(page {page})"));
        let text = http::get(port, &format!("/commands/{page}")).map_or_else(|error| error.to_string(), |answer| answer.text());
        lines.extend(shaped(Shape::Numbers, &text).into_iter().map(|line| format!("< {line}")));
    }
    lines
}

/// Everything that is to be the same, in order.
fn observe(name: &str, members: Members, local_sessions: bool) -> Vec<String> {
    let (mut ensemble, port) = start(name, members, local_sessions);
    let known = history(&mut ensemble, local_sessions);
    leave_alone(&mut ensemble);
    let mut talk = conversation(&ensemble, known.as_ref(), local_sessions);
    assert!(!talk.is_lost(), "{name}: it stopped answering\n{}", talk.transcript.join("\n"));
    let (words, pages) = (words(&ensemble), pages(port));
    talk.transcript.extend(words);
    talk.transcript.extend(pages);
    if !local_sessions {
        refused_session(&mut talk);
    }
    // One with which it has a quorum again.
    ensemble.start(LEADER);
    ensemble.wait_for_leader();
    let begun = Instant::now();
    while !matches!(ensemble.mode(LEFT), Some(Mode::Leader | Mode::Follower)) {
        assert!(begun.elapsed() < PATIENCE, "{}", ensemble.modes());
        std::thread::sleep(Duration::from_millis(50));
    }
    talk.note("a leader was found");
    talk.expect_close("reader");
    if let Some((session, password)) = known {
        talk.note("the session of the ensemble lives");
        talk.connect_with("known", &Connect { session, password: Some(password), ..as_reader() });
    }
    talk.connect_with("writer", &as_reader());
    let created = talk.ask("writer", &request::create("/after", "x"));
    assert_eq!(created.map(|reply| reply.header.error), Some(0), "{name}: {}", talk.transcript.join("\n"));
    // The zxids of an epoch that both began, but not after the same one.
    let last = talk.transcript.pop().expect("a reply");
    talk.note(last.split(" z").next().unwrap_or_default());
    talk.transcript
}

fn compare(name: &str, members: Members, local_sessions: bool) {
    let (theirs, mine) = std::thread::scope(|scope| {
        let judged = scope.spawn(|| observe(&format!("judge of {name}"), [Subject::Java39; 3], local_sessions));
        let mine = observe(name, members, local_sessions);
        (judged.join().expect("the judge"), mine)
    });
    let found = differences(&theirs, &mine);
    println!("  {} lines compared", theirs.len());
    assert!(found.is_empty(), "{name}\n{}", found.concat());
}

#[test]
fn a_member_alone_serves_readers_as_java_does() {
    let (ox, java) = (ours(), Subject::Java39);
    let mut cases = Vec::new();
    for (what, members) in [("ours alone", [ox; 3]), ("ours among java", [ox, java, java])] {
        for local_sessions in [true, false] {
            let how = if local_sessions { "with local sessions" } else { "without local sessions" };
            cases.push((format!("{what}, {how}"), (members, local_sessions)));
        }
    }
    draw("read-only server", cases, 1, Duration::from_secs(10), |name, (members, local)| compare(name, members, local));
}

/// A program's first words, line by line.
fn words_of(command: &mut Command) -> Vec<String> {
    let output = command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    // Logged lines begin with a time.
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    let is_wanted = |line: &&str| !line.is_empty() && !line.starts_with(|c: char| c.is_ascii_digit()) && !line.starts_with("time = ");
    text.lines().filter(is_wanted).map(str::to_owned).collect()
}

fn zk_cli(hosts: &str, words: &[&str]) -> Vec<String> {
    let mut command = Command::new("java");
    command.args(["-Xshare:auto", "-XX:TieredStopAtLevel=1", "-cp", &class_path(Subject::Java39)]);
    words_of(command.args(["org.apache.zookeeper.ZooKeeperMain", "-server", hosts, "-r"]).args(words))
}

fn cli_mt(hosts: &str, words: &str) -> Vec<String> {
    words_of(Command::new("/usr/lib/zookeeper/bin/cli_mt").args(["-h", hosts, "-r", "-c", words]))
}

/// Java's, C's and kazoo's clients at a member that has never seen another, and kazoo's way to a leader.
fn clients_see(name: &str, subject: Subject) -> Vec<String> {
    let mut plan = Plan::new(&[subject; 3], &[]).line("localSessionsEnabled", "true");
    plan.options = plan.options.property("readonlymode.enabled", "true");
    let mut ensemble = Ensemble::new(name, &plan);
    ensemble.start(LEFT);
    assert_eq!(ensemble.mode(LEFT), Some(Mode::ReadOnly));
    let hosts = ensemble.address(LEFT).to_string();
    let mut lines = Vec::new();
    for words in [&["ls", "/"][..], &["create", "/x", "y"]] {
        lines.push(format!("(zkCli {words:?})"));
        lines.extend(zk_cli(&hosts, words));
    }
    for words in ["ls /", "create /x y"] {
        lines.push(format!("(cli_mt {words})"));
        lines.extend(cli_mt(&hosts, words));
    }
    lines.push("(kazoo)".to_owned());
    let clients = target_directory().join("clients/venv/bin/python");
    let mut kazoo = Command::new(&clients)
        .args(["-B", "clients/kazoo/reader.py"])
        .arg(ensemble.addresses().iter().map(ToString::to_string).collect::<Vec<_>>().join(","))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| panic!("{}: {error}: run `cargo xtask prerequisites`", clients.display()));
    for line in BufReader::new(kazoo.stdout.take().expect("piped")).lines() {
        let line = line.expect("text");
        if line == "waiting" {
            ensemble.spawn(LEFT + 1);
        }
        lines.push(format!("< {line}"));
    }
    assert!(kazoo.wait().expect("it ends").success(), "{lines:?}");
    assert_eq!(lines.last().map(String::as_str), Some("< created"));
    lines.iter().map(|line| line.replace(&hosts, "(server)")).collect()
}

#[test]
fn real_clients_read_without_a_leader_and_find_one() {
    let (theirs, mine) = std::thread::scope(|scope| {
        let judged = scope.spawn(|| clients_see("judge of readers", Subject::Java39));
        let mine = clients_see("readers", ours());
        (judged.join().expect("the judge"), mine)
    });
    assert_eq!(theirs, mine);
}
