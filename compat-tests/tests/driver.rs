//! Our client (`client` on `driver`) against Java 3.9.5 and against ours: every operation, watches, sessions,
//! reconnecting. What it sees must be the same on both, with and without a chroot.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use oxkeeper_client::{AclRef, AddWatchMode, CreateMode, MultiOp, Operation, ReadOp, State, TableKind, WatchesToRemove};
use oxkeeper_compat_tests::subject::{Options, Server, Subject};
use oxkeeper_driver::{Acl, Builder, Error, Event, MultiOutcome, ZooKeeper};
use oxkeeper_proto::ErrorCode;
use oxkeeper_proto::records::Stat;

/// Nothing here takes so long; only a test that fails waits for it.
const PATIENCE: Duration = Duration::from_secs(60);

const SUBJECTS: [Subject; 2] = [Subject::Java39, Subject::Oxkeeper];

fn options() -> Options {
    Options::usual().property("zookeeper.extendedTypesEnabled", "true")
}

fn connect(address: &str) -> (ZooKeeper, Receiver<Event>) {
    let (sender, events) = mpsc::channel();
    let builder = Builder::new(address, 30_000).expect("a good list").on_event(move |event| drop(sender.send(event)));
    let zookeeper = builder.start().expect("a thread");
    assert_eq!(zookeeper.wait_connected(PATIENCE), State::Connected);
    assert_eq!(next(&events).state, State::Connected);
    (zookeeper, events)
}

fn next(events: &Receiver<Event>) -> Event {
    events.recv_timeout(PATIENCE).expect("an event")
}

/// What can be compared of a Stat: no zxids, times and sessions.
fn stat_text(stat: &Stat) -> String {
    format!(
        "v{} cv{} av{} len{} children{} ephemeral:{}",
        stat.version,
        stat.cversion,
        stat.aversion,
        stat.data_length,
        stat.num_children,
        stat.ephemeral_owner != 0
    )
}

struct Transcript(Vec<String>);

impl Transcript {
    fn add<T>(&mut self, what: &str, result: Result<T, Error>, text: impl FnOnce(T) -> String) {
        let outcome = match result {
            Ok(value) => text(value),
            Err(error) => format!("error {}", error.code().0),
        };
        self.0.push(format!("{what}: {outcome}"));
    }
}

/// Every operation, good and bad.
fn all_operations(zookeeper: &ZooKeeper) -> Vec<String> {
    let mut t = Transcript(Vec::new());
    let open = Acl::open();
    let data_text = |(data, stat): (Option<Vec<u8>>, Stat)| format!("{data:?} {}", stat_text(&stat));
    let unit = |()| "done".to_string();
    for (path, mode, ttl_ms) in [
        ("/a", CreateMode::PERSISTENT, -1),
        ("/a", CreateMode::PERSISTENT, -1),
        ("/a/b", CreateMode::EPHEMERAL, -1),
        ("/a/b/c", CreateMode::PERSISTENT, -1),
        ("/a/s-", CreateMode::PERSISTENT_SEQUENTIAL, -1),
        ("/a/e-", CreateMode::EPHEMERAL_SEQUENTIAL, -1),
        ("/a/container", CreateMode::CONTAINER, -1),
        ("/a/ttl", CreateMode::PERSISTENT_WITH_TTL, 100_000),
        ("/a/ttl-", CreateMode::PERSISTENT_SEQUENTIAL_WITH_TTL, 100_000),
        ("/missing/x", CreateMode::PERSISTENT, -1),
        ("/a/", CreateMode::PERSISTENT, -1),
        ("/a/bad-ttl", CreateMode::PERSISTENT_WITH_TTL, 0),
        ("/a/unknown-mode", CreateMode(77), -1),
    ] {
        t.add(&format!("create {path} {mode:?}"), zookeeper.create(path, Some(b"data"), &open, mode, ttl_ms), |path| path);
    }
    let created2 = |(path, stat): (String, Stat)| format!("{path} {}", stat_text(&stat));
    t.add("create2", zookeeper.create2("/a/two", None, &open, CreateMode::PERSISTENT, -1), created2);
    t.add("create2 container", zookeeper.create2("/a/two-c", Some(b""), &open, CreateMode::CONTAINER, -1), created2);
    t.add("create without acl", zookeeper.create("/a/no-acl", None, &[], CreateMode::PERSISTENT, -1), |path| path);
    t.add("exists", zookeeper.exists("/a", false), |stat| format!("{:?}", stat.as_ref().map(stat_text)));
    t.add("exists not", zookeeper.exists("/b", false), |stat| format!("{stat:?}"));
    t.add("get", zookeeper.get("/a", false), data_text);
    t.add("get null", zookeeper.get("/a/two", false), data_text);
    t.add("get empty", zookeeper.get("/a/two-c", false), data_text);
    t.add("get missing", zookeeper.get("/b", false), data_text);
    t.add("set", zookeeper.set("/a", Some(b"new"), 0), |stat| stat_text(&stat));
    t.add("set again", zookeeper.set("/a", Some(b"new"), 0), |stat| stat_text(&stat));
    t.add("set null", zookeeper.set("/a", None, -1), |stat| stat_text(&stat));
    let large = vec![b'x'; 900_000];
    t.add("set large", zookeeper.set("/a", Some(&large), -1), |stat| stat_text(&stat));
    t.add("get large", zookeeper.get("/a", false), |(data, _)| format!("{}", data == Some(large.clone())));
    let children = |(mut names, stat): (Vec<String>, Stat)| {
        names.sort();
        format!("{names:?} {}", stat_text(&stat))
    };
    t.add("children", zookeeper.children("/a", false), children);
    t.add("children missing", zookeeper.children("/b", false), children);
    t.add("children number", zookeeper.all_children_number("/a"), |number| number.to_string());
    let acl_text = |(acl, stat): (Vec<Acl>, Stat)| format!("{acl:?} {}", stat_text(&stat));
    t.add("get acl", zookeeper.get_acl("/a"), acl_text);
    let read_only = [Acl { perms: 1, scheme: "world".to_string(), id: "anyone".to_string() }];
    t.add("set acl", zookeeper.set_acl("/a/two", &read_only, 0), |stat| stat_text(&stat));
    t.add("set acl again", zookeeper.set_acl("/a/two", &read_only, 0), |stat| stat_text(&stat));
    t.add("get acl again", zookeeper.get_acl("/a/two"), acl_text);
    t.add("set refused", zookeeper.set("/a/two", None, -1), |stat| stat_text(&stat));
    t.add("sync", zookeeper.sync("/a"), |path| path);
    t.add("ephemerals", zookeeper.ephemerals("/a"), |mut paths| {
        paths.sort();
        format!("{paths:?}")
    });
    t.add("who am i", zookeeper.who_am_i(), |identities| format!("{identities:?}"));
    t.add("add auth", zookeeper.add_auth("digest", b"user:password"), unit);
    t.add("who am i now", zookeeper.who_am_i(), |identities| format!("{identities:?}"));
    let creator = [Acl { perms: 31, scheme: "auth".to_string(), id: String::new() }];
    t.add("create for the creator", zookeeper.create("/a/mine", None, &creator, CreateMode::PERSISTENT, -1), |path| path);
    t.add("its acl", zookeeper.get_acl("/a/mine"), acl_text);
    // Its version and data are of each server's own configuration; standalone it has none.
    t.add("config", zookeeper.get_config(false), |(data, _)| format!("{data:?}"));
    t.add("reconfig", zookeeper.reconfig(Some("server.9=h:1:2;3"), None, None, -1), |(data, _)| format!("{data:?}"));
    let outcomes = |outcomes: Vec<MultiOutcome>| {
        let texts = outcomes.into_iter().map(|outcome| match outcome {
            MultiOutcome::Created(path, stat) => format!("created {path} {:?}", stat.as_ref().map(stat_text)),
            MultiOutcome::Set(stat) => format!("set {}", stat_text(&stat)),
            MultiOutcome::Data(data, stat) => format!("data {:?} {}", data.map(|data| data.len()), stat_text(&stat)),
            other => format!("{other:?}"),
        });
        texts.collect::<Vec<_>>().join(", ")
    };
    let create = |path: &'static str, mode, ttl_ms, with_stat| MultiOp::Create {
        path: path.as_bytes(),
        data: Some(b"m"),
        acl: Some(AclRef::OPEN),
        mode,
        ttl_ms,
        with_stat,
    };
    let good = [
        create("/m", CreateMode::PERSISTENT, -1, false),
        create("/m/two", CreateMode::PERSISTENT, -1, true),
        create("/m/c", CreateMode::CONTAINER, -1, false),
        create("/m/ttl", CreateMode::PERSISTENT_WITH_TTL, 100_000, false),
        MultiOp::SetData { path: b"/m", data: Some(b"n"), version: 0 },
        MultiOp::Check { path: b"/m", version: 1 },
        MultiOp::Delete { path: b"/m/two", version: 0 },
    ];
    t.add("multi", zookeeper.multi(&Operation::Multi(&good)), outcomes);
    let bad = [
        MultiOp::Check { path: b"/m", version: 1 },
        MultiOp::Delete { path: b"/nothing", version: 0 },
        MultiOp::SetData { path: b"/m", data: None, version: -1 },
    ];
    t.add("multi bad", zookeeper.multi(&Operation::Multi(&bad)), outcomes);
    t.add("multi of nothing", zookeeper.multi(&Operation::Multi(&[])), outcomes);
    let reads = [ReadOp::GetData { path: b"/m" }, ReadOp::GetData { path: b"/nothing" }, ReadOp::GetChildren { path: b"/m/c" }];
    t.add("multi read", zookeeper.multi(&Operation::MultiRead(&reads)), outcomes);
    t.add("delete version", zookeeper.delete("/a/mine", 5), unit);
    t.add("delete", zookeeper.delete("/a/mine", -1), unit);
    t.add("delete missing", zookeeper.delete("/a/mine", -1), unit);
    t.add("delete full", zookeeper.delete("/a", -1), unit);
    t.add("remove unknown watches", zookeeper.remove_watches("/a", WatchesToRemove::Any, false), |tables| format!("{tables:?}"));
    // After all of that the tail of many requests comes in order.
    let pending: Vec<_> = (0..5000)
        .map(|_| zookeeper.send(&Operation::SetData { path: b"/m", data: Some(b"p"), version: -1 }).expect("it is taken"))
        .collect();
    let versions: Vec<_> = pending
        .into_iter()
        .map(|pending| oxkeeper_client::reply::stat(&pending.wait().expect("it is set")).expect("a Stat").version)
        .collect();
    t.0.push(format!("pipelined: {}", versions.windows(2).all(|pair| pair[0] + 1 == pair[1])));
    t.0
}

#[test]
fn every_operation_looks_the_same_on_both_with_and_without_a_chroot() {
    let mut transcripts = Vec::new();
    for subject in SUBJECTS {
        for chroot in ["", "/x/y"] {
            let server = Server::start(subject, &options());
            if !chroot.is_empty() {
                let (zookeeper, _events) = connect(&server.address().to_string());
                for path in ["/x", "/x/y"] {
                    zookeeper.create(path, None, &Acl::open(), CreateMode::PERSISTENT, -1).expect("it is new");
                }
                zookeeper.close();
            }
            let (zookeeper, _events) = connect(&format!("{}{chroot}", server.address()));
            transcripts.push((format!("{subject}{chroot}"), all_operations(&zookeeper)));
            zookeeper.close();
        }
    }
    let (judge, expected) = &transcripts[0];
    for line in ["create /a CreateMode(0): /a", "create /a/s- CreateMode(2): /a/s-0000000001", "pipelined: true", "get null: None v0"] {
        assert!(expected.iter().any(|entry| entry.starts_with(line)), "{line} is not in {expected:#?}");
    }
    for (name, transcript) in &transcripts[1..] {
        for (number, line) in transcript.iter().enumerate() {
            assert_eq!(Some(line), expected.get(number), "{name} against {judge}");
        }
        assert_eq!(transcript.len(), expected.len());
    }
}

/// Passes bytes between the client and the server, until it is cut.
struct Wire {
    address: SocketAddr,
    is_cut: Arc<AtomicBool>,
    open: Arc<Mutex<Vec<TcpStream>>>,
}

impl Wire {
    fn to(server: SocketAddr) -> Wire {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let wire = Wire { address: listener.local_addr().expect("bound"), is_cut: Arc::default(), open: Arc::default() };
        let (is_cut, open) = (Arc::clone(&wire.is_cut), Arc::clone(&wire.open));
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if is_cut.load(Ordering::SeqCst) {
                    continue;
                }
                let Ok(server) = TcpStream::connect(server) else { continue };
                for stream in [&client, &server] {
                    stream.set_nodelay(true).expect("a socket");
                    open.lock().expect("no panic").push(stream.try_clone().expect("a descriptor"));
                }
                let back = (server.try_clone().expect("a descriptor"), client.try_clone().expect("a descriptor"));
                for (from, to) in [(client, server), back] {
                    std::thread::spawn(move || pass(from, to));
                }
            }
        });
        wire
    }

    fn cut(&self) {
        self.is_cut.store(true, Ordering::SeqCst);
        for stream in self.open.lock().expect("no panic").drain(..) {
            drop(stream.shutdown(Shutdown::Both));
        }
    }

    fn mend(&self) {
        self.is_cut.store(false, Ordering::SeqCst);
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    for stream in [from, to] {
        drop(stream.shutdown(Shutdown::Both));
    }
}

/// Kind and path; the session's changes by their state.
fn event_text(event: &Event) -> String {
    if event.kind == -1 { format!("{:?}", event.state) } else { format!("{} {}", event.kind, event.path) }
}

/// Watches of every kind, live and missed while the connection was away; ephemerals that outlive that.
fn watches(server: &Server, chroot: &str) -> Vec<String> {
    let open = Acl::open();
    let create = |zookeeper: &ZooKeeper, path: &str, mode| zookeeper.create(path, Some(b"1"), &open, mode, -1).expect("it is new");
    if !chroot.is_empty() {
        let (zookeeper, _events) = connect(&server.address().to_string());
        create(&zookeeper, chroot, CreateMode::PERSISTENT);
        zookeeper.close();
    }
    let wire = Wire::to(server.address());
    let (other, _other_events) = connect(&format!("{}{chroot}", server.address()));
    let (zookeeper, events) = connect(&format!("{}{chroot}", wire.address));
    let mut told = Vec::new();
    for path in ["/data", "/child", "/persistent", "/recursive", "/gone"] {
        create(&other, path, CreateMode::PERSISTENT);
    }
    create(&zookeeper, "/ephemeral", CreateMode::EPHEMERAL);
    let arm = || {
        zookeeper.get("/data", true).expect("it is there");
        zookeeper.exists("/gone", true).expect("an answer");
        zookeeper.exists("/new", true).expect("an answer");
        zookeeper.children("/child", true).expect("it is there");
    };
    let change = || {
        other.set("/data", Some(b"2"), -1).expect("it is there");
        other.set("/data", Some(b"3"), -1).expect("it is there");
        other.delete("/gone", -1).expect("it is there");
        create(&other, "/new", CreateMode::PERSISTENT);
        create(&other, "/child/x", CreateMode::PERSISTENT);
        other.set("/persistent", Some(b"2"), -1).expect("it is there");
        create(&other, "/recursive/x", CreateMode::PERSISTENT);
    };
    let undo = || {
        for path in ["/new", "/child/x", "/recursive/x"] {
            other.delete(path, -1).expect("it is there");
        }
        create(&other, "/gone", CreateMode::PERSISTENT);
    };
    arm();
    zookeeper.add_watch("/persistent", AddWatchMode::Persistent).expect("an answer");
    zookeeper.add_watch("/recursive", AddWatchMode::PersistentRecursive).expect("an answer");
    change();
    for _ in 0..6 {
        told.push(event_text(&next(&events)));
    }
    told.push("undone".to_string());
    undo();
    told.push(event_text(&next(&events)));
    // What is missed by one-shot watches is told after the reconnect, and ordered by the server; what is missed by
    // persistent ones is lost, as ever.
    arm();
    let session = zookeeper.handle().session();
    wire.cut();
    told.push(event_text(&next(&events)));
    change();
    wire.mend();
    told.push(event_text(&next(&events)));
    assert_eq!(zookeeper.handle().session(), session);
    let mut missed: Vec<_> = (0..4).map(|_| event_text(&next(&events))).collect();
    missed.sort();
    told.extend(missed);
    other.set("/persistent", Some(b"3"), -1).expect("it is there");
    other.set("/recursive/x", Some(b"3"), -1).expect("it is there");
    for _ in 0..2 {
        told.push(event_text(&next(&events)));
    }
    assert!(other.exists("/ephemeral", false).expect("an answer").is_some(), "the session has gone on");
    // Removed watches are silent.
    let removed = zookeeper.remove_watches("/persistent", WatchesToRemove::Any, false).expect("it is known");
    assert_eq!(removed, [TableKind::Persistent]);
    let removed = zookeeper.remove_watches("/recursive", WatchesToRemove::PersistentRecursive, true).expect("it is known");
    assert_eq!(removed, [TableKind::PersistentRecursive]);
    other.set("/persistent", Some(b"4"), -1).expect("it is there");
    other.set("/recursive/x", Some(b"4"), -1).expect("it is there");
    zookeeper.get("/data", true).expect("it is there");
    other.delete("/data", -1).expect("it is there");
    told.push(event_text(&next(&events)));
    zookeeper.close();
    assert!(other.exists("/ephemeral", false).expect("an answer").is_none(), "the session has ended");
    other.close();
    told
}

#[test]
fn watches_are_the_same_on_both_live_and_missed() {
    let mut transcripts = Vec::new();
    for subject in SUBJECTS {
        let server = Server::start(subject, &options());
        transcripts.push(watches(&server, ""));
        let server = Server::start(subject, &options());
        transcripts.push(watches(&server, "/root"));
    }
    let expected = [
        "3 /data",
        "2 /gone",
        "1 /new",
        "4 /child",
        "3 /persistent",
        "1 /recursive/x",
        "undone",
        "2 /recursive/x",
        "Connecting",
        "Connected",
        "1 /new",
        "2 /gone",
        "3 /data",
        "4 /child",
        "3 /persistent",
        "3 /recursive/x",
        "2 /data",
    ];
    for transcript in transcripts {
        assert_eq!(transcript, expected);
    }
}

#[test]
fn a_server_that_comes_back_finds_its_clients() {
    for subject in SUBJECTS {
        let mut server = Server::start(subject, &options());
        let (zookeeper, events) = connect(&server.address().to_string());
        zookeeper.create("/e", None, &Acl::open(), CreateMode::EPHEMERAL, -1).expect("it is new");
        let session = zookeeper.handle().session();
        server.kill();
        assert_eq!(next(&events).state, State::Connecting);
        assert!(matches!(zookeeper.get("/e", false), Err(Error::Code(ErrorCode::CONNECTION_LOSS))));
        server.restart();
        assert_eq!(next(&events).state, State::Connected, "{subject}");
        assert_eq!(zookeeper.handle().session(), session);
        let (_, stat) = zookeeper.get("/e", false).expect("its session goes on");
        assert_eq!(stat.ephemeral_owner, session.0.0);
        zookeeper.close();
    }
}

#[test]
fn a_session_that_is_over_says_so() {
    for subject in SUBJECTS {
        let server = Server::start(subject, &options());
        let (first, first_events) = connect(&server.address().to_string());
        let (session, password) = first.handle().session();
        // Another connection takes the session over and ends it.
        let (sender, events) = mpsc::channel();
        let builder = Builder::new(&server.address().to_string(), 30_000).expect("a good list").session(session, password);
        let second = builder.on_event(move |event| drop(sender.send(event))).start().expect("a thread");
        assert_eq!(next(&events).state, State::Connected);
        assert_eq!(second.handle().session().0, session);
        second.close();
        while next(&first_events).state != State::Expired {}
        assert!(matches!(first.get("/", false), Err(Error::Code(code)) if code.0 == -9), "{subject}: C's ZINVALIDSTATE");
        let (third, third_events) = connect(&server.address().to_string());
        let refused = third.add_auth("nobody-knows", b"x");
        assert!(matches!(refused, Err(Error::Code(ErrorCode::AUTH_FAILED))), "{subject}: {refused:?}");
        assert_eq!(next(&third_events).state, State::AuthFailed);
    }
}

/// One client under fire: requests under way all the time, and a watch that must tell of each change, seen or missed.
/// Gives how many requests ended well, how many with the connection, and how many watches told.
fn under_fire(address: &str, number: usize, is_over: &AtomicBool) -> [usize; 3] {
    let (sender, events) = mpsc::channel();
    let builder = Builder::new(address, 30_000).expect("a good list").on_event(move |event| drop(sender.send(event)));
    let zookeeper = builder.start().expect("a thread");
    let path = format!("/fire-{number}");
    let mut ended = [0; 3];
    let is_lost = |error: &Error| [ErrorCode::CONNECTION_LOSS, ErrorCode::OPERATION_TIMEOUT].contains(&error.code());
    let mut until_done = |call: &dyn Fn() -> Result<(), Error>| {
        loop {
            match call() {
                Ok(()) => return ended[0] += 1,
                Err(Error::Code(ErrorCode::NODE_EXISTS)) => return,
                Err(error) if is_lost(&error) => ended[1] += 1,
                Err(error) => panic!("{error}"),
            }
        }
    };
    until_done(&|| zookeeper.create(&path, None, &Acl::open(), CreateMode::PERSISTENT, -1).map(drop));
    let mut told = 0;
    let mut pipelined = [0; 2];
    while !is_over.load(Ordering::SeqCst) {
        until_done(&|| zookeeper.get(&path, true).map(drop));
        // Some may be refused at once while nobody listens: each of them ends.
        let pending: Vec<_> = (0..20).map(|_| zookeeper.send(&Operation::Sync { path: b"/" }).expect("the session goes on")).collect();
        until_done(&|| zookeeper.set(&path, Some(b"x"), -1).map(drop));
        for pending in pending {
            match pending.wait() {
                Ok(_) => pipelined[0] += 1,
                Err(error) if is_lost(&error) => pipelined[1] += 1,
                Err(error) => panic!("{error}"),
            }
        }
        // A set whose answer was lost may have told already, or tell once more.
        while next(&events).kind != 3 {}
        told += 1;
        while events.try_recv().is_ok() {}
    }
    assert_eq!(zookeeper.handle().pending_count(), 0);
    zookeeper.close();
    [ended[0] + pipelined[0], ended[1] + pipelined[1], told]
}

#[test]
fn under_fire_every_request_ends_and_no_watch_is_lost() {
    const CLIENTS: usize = 20;
    const KILLS: usize = 15;
    let mut server = Server::start(Subject::Oxkeeper, &options());
    let address = server.address().to_string();
    let is_over = Arc::new(AtomicBool::new(false));
    let (sender, results) = mpsc::channel();
    for number in 0..CLIENTS {
        let (address, is_over, sender) = (address.clone(), Arc::clone(&is_over), sender.clone());
        std::thread::spawn(move || sender.send(under_fire(&address, number, &is_over)).expect("it is waited for"));
    }
    drop(sender);
    for kill in 0..KILLS {
        std::thread::sleep(Duration::from_millis(100 + 37 * (kill as u64 % 5)));
        server.kill();
        server.restart();
    }
    is_over.store(true, Ordering::SeqCst);
    let mut sums = [0; 3];
    for _ in 0..CLIENTS {
        let ended = results.recv_timeout(PATIENCE).expect("every client comes to its end");
        sums.iter_mut().zip(ended).for_each(|(sum, count)| *sum += count);
    }
    println!("{KILLS} kills: {} requests ended well, {} with the connection, {} watches told", sums[0], sums[1], sums[2]);
    assert!(sums[0] > 0 && sums[1] > 0 && sums[2] >= CLIENTS);
}
