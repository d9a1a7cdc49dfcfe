//! Data directories: how to make one in each state, and what a server makes of it. Two servers that start on copies of
//! the same directory must show the same tree, Stat for Stat, with nothing masked, or both refuse to start.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::conversation::Conversation;
use crate::mask::Names;
use crate::scripts::edges;
use crate::subject::{Options, Server, Subject, free_port};
use crate::wire::{Reader, Request, acl, op, open, render_reply, request};

/// A state and how it comes about.
pub struct State {
    pub name: &'static str,
    /// Makes `directory/data` (and `directory/logs`, where the options name it).
    pub make: fn(Subject, &Path),
    /// How the directory is then read.
    pub read: fn() -> Options,
}

fn usual() -> Options {
    Options::usual().property("zookeeper.extendedTypesEnabled", "true")
}

fn small_snapshots() -> Options {
    usual().property("zookeeper.snapCount", "40").property("zookeeper.preAllocSize", "64")
}

fn trusting() -> Options {
    usual().property("zookeeper.snapshot.trust.empty", "true")
}

fn gzip() -> Options {
    small_snapshots().property("zookeeper.snapshot.compression.method", "gz")
}

fn snappy() -> Options {
    small_snapshots().property("zookeeper.snapshot.compression.method", "snappy")
}

fn no_digest() -> Options {
    usual().property("zookeeper.digest.enabled", "false")
}

fn plain_close() -> Options {
    usual().property("zookeeper.closeSessionTxn.enabled", "false")
}

fn separate_logs() -> Options {
    // Relative to the server's working directory, which is the directory itself.
    small_snapshots().line("dataLogDir", "logs")
}

/// The states, all made by a server of the given subject.
pub const STATES: &[State] = &[
    State { name: "no directory", make: |_, _| {}, read: usual },
    State { name: "started and stopped", make: |subject, at| live(subject, at, &usual(), |_| {}), read: usual },
    State { name: "snapshot and log, killed", make: |subject, at| live(subject, at, &usual(), populate), read: usual },
    State {
        name: "log alone",
        make: |subject, at| {
            live(subject, at, &usual(), populate);
            remove(&files(at, "snapshot."));
        },
        read: usual,
    },
    State {
        name: "log alone, trusted",
        make: |subject, at| {
            live(subject, at, &usual(), populate);
            remove(&files(at, "snapshot."));
        },
        read: trusting,
    },
    State {
        name: "snapshot alone",
        make: |subject, at| {
            live(subject, at, &usual(), populate);
            // Every start writes a snapshot.
            live(subject, at, &usual(), |_| {});
            remove(&files(at, "log."));
        },
        read: usual,
    },
    State { name: "many snapshots and logs", make: |subject, at| live(subject, at, &small_snapshots(), populate), read: usual },
    State {
        name: "several runs, each killed",
        make: |subject, at| (0..4).for_each(|_| live(subject, at, &small_snapshots(), populate)),
        read: usual,
    },
    State { name: "tail cut inside the last record", make: |subject, at| cut_tail(subject, at, 7), read: usual },
    State { name: "tail cut to the last record's end mark", make: |subject, at| cut_tail(subject, at, 1), read: usual },
    State { name: "tail cut to the padding", make: |subject, at| cut_tail(subject, at, 0), read: usual },
    State { name: "tail cut inside the length of the last record", make: |subject, at| cut_tail(subject, at, 1_000_000), read: usual },
    State { name: "last log empty", make: |subject, at| after(subject, at, |at| new_log(at, b"")), read: usual },
    State { name: "last log with half a header", make: |subject, at| after(subject, at, |at| new_log(at, b"ZKLG\0\0")), read: usual },
    State {
        name: "last log with its header alone",
        make: |subject, at| after(subject, at, |at| new_log(at, b"ZKLG\0\0\0\x02\0\0\0\0\0\0\0\0")),
        read: usual,
    },
    State {
        name: "last log with header and padding",
        make: |subject, at| {
            after(subject, at, |at| {
                let mut bytes = b"ZKLG\0\0\0\x02\0\0\0\0\0\0\0\0".to_vec();
                bytes.resize(65536, 0);
                new_log(at, &bytes);
            });
        },
        read: usual,
    },
    State {
        name: "newest snapshot cut short",
        make: |subject, at| {
            live(subject, at, &small_snapshots(), populate);
            let newest = files(at, "snapshot.").pop().expect("a snapshot");
            let bytes = fs::read(&newest).expect("readable");
            fs::write(newest, &bytes[..bytes.len() / 2]).expect("writable");
        },
        read: usual,
    },
    State {
        name: "newest snapshot empty",
        make: |subject, at| {
            live(subject, at, &small_snapshots(), populate);
            fs::write(files(at, "snapshot.").pop().expect("a snapshot"), b"").expect("writable");
        },
        read: usual,
    },
    State { name: "gz snapshots", make: |subject, at| live(subject, at, &gzip(), populate), read: gzip },
    State { name: "gz snapshots, read without the setting", make: |subject, at| live(subject, at, &gzip(), populate), read: usual },
    State { name: "snappy snapshots", make: |subject, at| live(subject, at, &snappy(), populate), read: usual },
    State { name: "without digests", make: |subject, at| live(subject, at, &no_digest(), populate), read: no_digest },
    State { name: WITHOUT_THEN_WITH_DIGESTS, make: |subject, at| live(subject, at, &no_digest(), populate), read: usual },
    State { name: WITH_THEN_WITHOUT_DIGESTS, make: |subject, at| live(subject, at, &usual(), populate), read: no_digest },
    State { name: "closeSession without paths", make: |subject, at| live(subject, at, &plain_close(), populate), read: usual },
    State { name: "separate log directory", make: |subject, at| live(subject, at, &separate_logs(), populate), read: separate_logs },
    State { name: "big", make: |subject, at| live(subject, at, &usual(), big), read: usual },
    State { name: "undecodable writes", make: |subject, at| live(subject, at, &usual(), undecodable), read: usual },
    State { name: "stopped politely", make: polite, read: usual },
    State { name: "counters at their ends", make: counters, read: usual },
    State { name: "zxid runs over into the next epoch", make: next_epoch, read: no_digest },
    State { name: "other files beside", make: |subject, at| after(subject, at, other_files), read: usual },
];

/// Java refuses its own snapshot when digests have been switched on or off since: it looks for a section that is not
/// there, or takes the one that is there for the checksum.
const WITHOUT_THEN_WITH_DIGESTS: &str = "first without digests, then with";
const WITH_THEN_WITHOUT_DIGESTS: &str = "first with digests, then without";

/// States that Java refuses although nothing is wrong with them: another server may start on them.
pub const MAY_START_WHERE_JAVA_REFUSES: &[&str] = &[
    WITHOUT_THEN_WITH_DIGESTS,
    WITH_THEN_WITHOUT_DIGESTS,
    // Java takes the digest behind the missing list of paths for that list.
    "closeSession without paths",
    // A torn tail like any other, but Java wants a header whole.
    "last log with half a header",
];

/// States that only a Java ensemble can make yet.
pub const EPOCH_STATES: &[State] = &[
    State { name: "several epochs", make: |subject, at| epochs(subject, at, 3), read: usual },
    State {
        name: "several epochs, torn tail",
        make: |subject, at| {
            epochs(subject, at, 2);
            tear(at, 7);
        },
        read: usual,
    },
];

/// Runs a server on the directory, lets `work` talk to it and kills it.
fn live(subject: Subject, at: &Path, options: &Options, work: fn(&mut Conversation)) {
    let mut server = Server::start_in(subject, options, at);
    let mut talk = Conversation::begin(server.address());
    work(&mut talk);
    assert!(!talk.is_lost(), "the server stopped answering:\n{}", server.log_tail());
    server.kill();
}

fn polite(subject: Subject, at: &Path) {
    let mut server = Server::start_in(subject, &usual(), at);
    populate(&mut Conversation::begin(server.address()));
    server.terminate();
}

/// A server goes on behind a log that has counted far, and from its own files again.
fn counters(subject: Subject, at: &Path) {
    edges::write_log(&at.join("data/version-2"));
    live(subject, at, &trusting(), populate);
    live(subject, at, &usual(), populate);
}

/// A server that stands alone counts on where the lower half of the zxid is full. The snapshot that it starts from is
/// that of an empty tree under another name, which is the only place where it says its zxid.
fn next_epoch(subject: Subject, at: &Path) {
    let nameless = no_digest().property("zookeeper.serializeLastProcessedZxid.enabled", "false");
    live(Subject::Java39, at, &nameless, |_| {});
    remove(&files(at, "log."));
    let snapshot = files(at, "snapshot.").pop().expect("a snapshot");
    fs::rename(&snapshot, snapshot.with_file_name("snapshot.ffffffe0")).expect("renamable");
    live(subject, at, &nameless, populate);
    live(subject, at, &nameless, populate);
}

fn after(subject: Subject, at: &Path, change: fn(&Path)) {
    live(subject, at, &usual(), populate);
    change(at);
}

/// The directory's files whose names begin so, in the order of their zxids.
pub fn files(at: &Path, prefix: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for directory in ["data/version-2", "logs/version-2"] {
        if let Ok(entries) = fs::read_dir(at.join(directory)) {
            found.extend(entries.flatten().map(|entry| entry.path()).filter(|path| name(path).starts_with(prefix)));
        }
    }
    found.sort_by_key(|path| zxid_of(path));
    found
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn zxid_of(path: &Path) -> i64 {
    name(path).split('.').nth(1).and_then(|hex| i64::from_str_radix(hex, 16).ok()).unwrap_or(-1)
}

fn remove(files: &[PathBuf]) {
    assert!(!files.is_empty(), "nothing to remove");
    files.iter().for_each(|file| fs::remove_file(file).expect("removable"));
}

fn new_log(at: &Path, bytes: &[u8]) {
    let last = last_zxid(at);
    fs::write(at.join(format!("data/version-2/log.{:x}", last + 1)), bytes).expect("writable");
}

/// Where the records of a log end, and the zxid of the last one.
fn log_end(bytes: &[u8]) -> (usize, usize, i64) {
    let (mut previous, mut at, mut zxid) = (16, 16, 0);
    while let Ok(length) = Reader::new(bytes.get(at + 8..).unwrap_or_default()).int() {
        if length <= 0 {
            break;
        }
        zxid = Reader::new(&bytes[at + 12 + 12..]).long().unwrap_or(0);
        previous = at;
        at += 12 + length as usize + 1;
    }
    (previous, at, zxid)
}

fn last_zxid(at: &Path) -> i64 {
    let log = files(at, "log.").pop().expect("a log");
    log_end(&fs::read(log).expect("readable")).2
}

fn cut_tail(subject: Subject, at: &Path, count: usize) {
    live(subject, at, &usual(), populate);
    tear(at, count);
}

/// Cuts the last log `count` bytes before the end of its last record, at most into that record's length.
fn tear(at: &Path, count: usize) {
    let log = files(at, "log.").pop().expect("a log");
    let bytes = fs::read(&log).expect("readable");
    let (previous, end, _) = log_end(&bytes);
    let keep = end.saturating_sub(count).max(previous + 10);
    fs::write(log, &bytes[..keep]).expect("writable");
}

fn other_files(at: &Path) {
    let directory = at.join("data/version-2");
    for (name, bytes) in [
        ("log.nonsense", &b"x"[..]),
        ("snapshot.nonsense", b"x"),
        ("snapshot", b"x"),
        (".snapshot.ffff", b"x"),
        ("readme.txt", b"x"),
        ("currentEpoch", b"0"),
        ("acceptedEpoch", b"0"),
    ] {
        fs::write(directory.join(name), bytes).expect("writable");
    }
    fs::create_dir(directory.join("lost+found")).expect("writable");
    fs::write(at.join("data/myid"), b"1\n").expect("writable");
}

/// An ensemble of one that elects itself at every start.
fn epochs(subject: Subject, at: &Path, count: usize) {
    fs::create_dir_all(at.join("data")).expect("writable");
    fs::write(at.join("data/myid"), "1\n").expect("writable");
    let client_port = free_port();
    let member = format!("127.0.0.1:{}:{}:participant;127.0.0.1:{client_port}", free_port(), free_port());
    let options = usual()
        .line("clientPort", &client_port.to_string())
        .line("standaloneEnabled", "false")
        .line("reconfigEnabled", "true")
        .line("initLimit", "10")
        .line("syncLimit", "5")
        .line("server.1", &member);
    for _ in 0..count {
        live(subject, at, &options, populate);
        // The server moves its members to a file of their own; the next start finds them in zoo.cfg again.
    }
}

/// Something of everything, some of it under a session that does not end.
pub fn populate(talk: &mut Conversation) {
    talk.connect("a");
    talk.become_super("a");
    talk.connect("u");
    talk.ask_as("u", -4, &request::auth("digest", b"u:p"));
    let existing = talk.ask("a", &request::read(op::CHILDREN, "/", false));
    let count =
        existing.and_then(|reply| Reader::new(&reply.frame[16..]).strings().ok().flatten().map(|list| list.len())).unwrap_or_default();
    let root = format!("/run{count}");
    talk.ask("a", &request::create(&root, "root"));
    let path = |name: &str| format!("{root}/{name}");
    let mut requests = Vec::new();
    for at in 0..30 {
        requests.push(request::create(&path(&format!("n{at}")), &format!("data {at}")));
        requests.push(request::create_flags(&path("s-"), 2));
        requests.push(request::set_data(&path(&format!("n{}", at / 2)), Some(format!("changed {at}").as_bytes()), -1));
    }
    for at in (0..30).step_by(3) {
        requests.push(request::delete(&path(&format!("n{at}")), -1));
        requests.push(request::delete(&path(&format!("n{at}")), -1));
    }
    requests.extend([
        request::create_as(op::CREATE2, &path("null"), None, &open(), 0),
        request::create_as(op::CREATE_CONTAINER, &path("container"), Some(b"c"), &open(), 4),
        request::create(&path("container/child"), ""),
        request::create_ttl(&path("ttl"), &open(), 5, 1_000_000_000),
        request::create_ttl(&path("ttl-"), &open(), 6, (1 << 40) - 1),
        request::create_flags(&path("e"), 1),
        request::create_flags(&path("e-"), 3),
        request::create_acl(&path("acl"), &[acl(31, "digest", "u:h"), acl(1, "ip", "10.0.0.0/8")]),
        request::set_acl(&path("n1"), &[acl(1, "world", "anyone"), acl(31, "auth", "")], 0),
        request::set_acl(&path("n2"), &open(), -1),
        request::set_data(&path("n2"), None, -1),
        request::create(&path("ümläut-日本"), "unicode"),
        request::create_as(op::CREATE, &path("large"), Some(&vec![b'L'; 100_000]), &open(), 0),
        request::multi(
            op::MULTI,
            &[
                request::create(&path("multi"), "m"),
                request::set_data(&path("multi"), Some(b"mm"), 0),
                request::create_flags(&path("multi/s-"), 2),
                request::create_flags(&path("multi/e"), 1),
                request::check(&path("multi"), 1),
                request::delete(&path("n4"), -1),
            ],
        ),
        request::multi(op::MULTI, &[request::create(&path("failed"), ""), request::check(&path("none"), 0)]),
        request::multi(op::MULTI, &[]),
    ]);
    talk.pipeline("a", &requests);
    talk.ask("u", &request::create_flags(&path("of-u"), 1));
    talk.connect("gone");
    talk.ask("gone", &request::create_flags(&path("of-gone"), 1));
    talk.ask("gone", &request::bare(op::CLOSE_SESSION));
    talk.ask("a", &request::create(&format!("/zookeeper/quota{root}"), ""));
    talk.ask("a", &request::create(&format!("/zookeeper/quota{root}/zookeeper_limits"), "count=1000,bytes=-1"));
    talk.ask("a", &request::create(&format!("/zookeeper/quota{root}/zookeeper_stats"), "count=0,bytes=0"));
    talk.ask("a", &request::create(&path("after-quota"), "12345"));
    talk.hang_up("u");
    talk.hang_up("a");
}

fn big(talk: &mut Conversation) {
    talk.connect("a");
    let deep: Vec<Request> = (1..60).map(|depth| request::create(&"/d".repeat(depth), "deep")).collect();
    talk.pipeline("a", &deep);
    talk.ask("a", &request::create("/wide", ""));
    for block in 0..20 {
        let names = (0..500).map(|at| request::create(&format!("/wide/node-{block}-{at}"), "some data of a usual length"));
        talk.pipeline("a", &names.collect::<Vec<_>>());
    }
    for at in 0..8 {
        talk.ask("a", &request::create_as(op::CREATE, &format!("/large{at}"), Some(&vec![at; 1_000_000]), &open(), 0));
    }
    talk.hang_up("a");
}

/// Writes whose records cannot be read leave odd entries in a Java log.
fn undecodable(talk: &mut Conversation) {
    populate(talk);
    talk.connect("a");
    for code in [op::CREATE, op::DELETE, op::SET_DATA, op::SET_ACL, op::MULTI, op::CREATE_TTL] {
        talk.ask("a", &request::create_flags("/odd-", 2));
        talk.ask("a", &Request::raw(code, "cut", crate::wire::Writer::new().int(100)));
        talk.ask("a", &Request::raw(code, "cut", crate::wire::Writer::new().int(100)));
        talk.ask("a", &request::create_flags("/odd-", 2));
    }
    talk.hang_up("a");
}

/// The whole tree as a super user sees it: every node with data, Stat and access list, and nothing masked.
pub fn dump(address: SocketAddr) -> Vec<String> {
    let mut talk = Conversation::begin(address);
    talk.names = Names::identity();
    talk.connect("d");
    talk.become_super("d");
    talk.transcript.clear();
    let mut lines = Vec::new();
    // A session that has just begun owns nothing: else its id is one that was given out before.
    let owned = talk.ask("d", &request::path(op::EPHEMERALS, "/")).map(|reply| reply.frame[16..].to_vec());
    assert_eq!(owned, Some(vec![0; 4]), "a new session owns ephemerals");
    dump_below(&mut talk, "/", &mut lines);
    talk.ask("d", &request::bare(op::CLOSE_SESSION));
    lines
}

fn dump_below(talk: &mut Conversation, path: &str, lines: &mut Vec<String>) {
    let mut children = Vec::new();
    for request in [request::read(op::DATA, path, false), request::path(op::ACL, path), request::read(op::CHILDREN2, path, false)] {
        let Some(reply) = talk.ask("d", &request) else {
            lines.push(format!("{path}: no answer"));
            return;
        };
        // Without xid and zxid, which belong to the session that asks.
        let mut frame = reply.frame.clone();
        frame[..12].fill(0);
        lines.push(format!("{path}: {}", render_reply(request.op, &frame, &talk.names)));
        if request.op == op::CHILDREN2 && reply.header.error == 0 {
            let names = Reader::new(&reply.frame[16..]).strings().ok().flatten().unwrap_or_default();
            children = names.into_iter().flatten().map(|name| String::from_utf8_lossy(name).into_owned()).collect();
        }
    }
    talk.transcript.clear();
    children.sort();
    for child in children {
        let below = if path == "/" { format!("/{child}") } else { format!("{path}/{child}") };
        dump_below(talk, &below, lines);
    }
}

/// What a server makes of a directory.
#[derive(Debug, PartialEq, Eq)]
pub enum Made {
    Tree(Vec<String>),
    /// It ended by itself with this code.
    Refused(Option<i32>),
}

/// Starts a server on the directory and takes its dump.
pub fn read(subject: Subject, options: &Options, at: &Path) -> (Made, String) {
    let mut server = Server::spawn_in(subject, options, at);
    match server.wait_until_serving_or_ended() {
        Some(status) => (Made::Refused(status.code()), server.log_tail()),
        None => (Made::Tree(dump(server.address())), String::new()),
    }
}
