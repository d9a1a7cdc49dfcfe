//! What kill -9 cannot show: that the server asks the disk before it answers. The real binary runs under strace, and
//! its system calls are read in the order in which they happened (the tracer stops a thread at each, so what one thread
//! did because of another's call stands after it):
//!
//! - no reply to a write leaves before an fdatasync that began after its record was written has returned;
//! - nor before the name of a new log is durable;
//! - a snapshot gets its name only after its sync, and its directory is synced behind it.
//!
//! And with strace's own fault injection: an fdatasync that fails ends the process, with nothing acknowledged after it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use oxkeeper_compat_tests::load::{Load, connect};
use oxkeeper_compat_tests::subject::{Options, Server, Subject, TemporaryDirectory, four_letter};

const PATIENCE: Duration = Duration::from_secs(60);
const CALLS: &str = "trace=openat,write,pwrite64,pwritev,writev,sendto,sendmsg,fsync,fdatasync,rename,renameat,renameat2";

fn options() -> Options {
    // Short files and many snapshots: the trace has to show several of each.
    Options::usual().line("forceSync", "yes").line("preAllocSize", "64").line("snapCount", "300")
}

/// The server under strace, which writes `trace` into the directory.
struct Traced {
    /// Made for its zoo.cfg and its addresses; its own process has been killed.
    server: Server,
    strace: Child,
    directory: PathBuf,
}

impl Traced {
    fn start(directory: &Path, more: &[&str]) -> Traced {
        // A first life leaves zoo.cfg and an empty database.
        let mut server = Server::start_in(Subject::Oxkeeper, &options(), directory);
        server.kill();
        let command = server.command();
        let log = File::create(directory.join("traced.log")).expect("log");
        let strace = Command::new("strace")
            .args(["-f", "-q", "-y", "-xx", "-s", "4000000", "-e", CALLS, "-o", "trace"])
            .args(more)
            .arg(command.get_program())
            .args(command.get_args())
            .arg(server.configuration())
            .current_dir(directory)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("log"))
            .stderr(log)
            .spawn()
            .expect("strace runs");
        Traced { server, strace, directory: directory.to_owned() }
    }

    fn wait_until_serving(&mut self) {
        let begun = Instant::now();
        while !four_letter(self.server.address(), b"srvr").is_ok_and(|text| text.contains("Mode:")) {
            assert!(begun.elapsed() < PATIENCE && self.strace.try_wait().expect("waitable").is_none(), "{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.directory.join("traced.log")).unwrap_or_default()
    }

    /// The server's process: the only child of strace.
    fn process_id(&self) -> String {
        let children = format!("/proc/{0}/task/{0}/children", self.strace.id());
        let children = fs::read_to_string(children).expect("strace runs");
        children.split_whitespace().next().expect("a child").to_owned()
    }

    /// Ends it in good order; the trace.
    fn finish(mut self) -> String {
        let status = Command::new("kill").args(["-TERM", &self.process_id()]).status().expect("kill runs");
        assert!(status.success());
        let status = self.strace.wait().expect("waitable");
        assert!(status.success(), "{status}: {}", self.log());
        fs::read_to_string(self.directory.join("trace")).expect("a trace")
    }
}

impl Drop for Traced {
    fn drop(&mut self) {
        if self.strace.try_wait().is_ok_and(|ended| ended.is_none()) {
            let _ = Command::new("kill").args(["-KILL", &self.process_id()]).status();
            let _ = self.strace.wait();
        }
    }
}

/// A call begins, or returns; most do both in one line.
#[derive(Debug)]
enum Moment {
    Begins(Call),
    Returns(Call, i64),
}

#[derive(Clone, Debug)]
struct Call {
    name: String,
    /// What the descriptor stands for, or the first path.
    target: String,
    /// All strings among the arguments.
    strings: Vec<Vec<u8>>,
    arguments: String,
}

/// `\x41\x42` as bytes.
fn decode(hex: &str) -> Vec<u8> {
    hex.split("\\x").skip(1).map(|pair| u8::from_str_radix(&pair[..2], 16).expect("hexadecimal")).collect()
}

fn parse_call(text: &str) -> Call {
    let (name, arguments) = text.split_once('(').unwrap_or_else(|| panic!("no call: {text:.200}"));
    let strings: Vec<Vec<u8>> = arguments.split('"').skip(1).step_by(2).map(decode).collect();
    let head = arguments.split(['"', ',']).next().unwrap_or_default();
    let described = head.split_once('<').map(|(_, rest)| decode(rest.split('>').next().unwrap_or_default()));
    let is_of_path = name == "openat" || name.starts_with("rename");
    let target = if is_of_path { strings.first().cloned() } else { described };
    Call {
        name: name.to_owned(),
        target: String::from_utf8_lossy(&target.unwrap_or_default()).into_owned(),
        strings,
        arguments: arguments.to_owned(),
    }
}

/// The moments of a trace, in order.
fn parse(trace: &str) -> Vec<Moment> {
    let mut moments = Vec::new();
    let mut begun: BTreeMap<&str, Call> = BTreeMap::new();
    let result = |text: &str| {
        let value = text.rsplit_once(" = ").map(|(_, value)| value.split([' ', '<']).next().unwrap_or_default());
        value.and_then(|value| value.parse().ok()).unwrap_or(i64::MIN)
    };
    for line in trace.lines() {
        let (thread, text) = line.split_once(' ').unwrap_or_else(|| panic!("no line of strace: {line:.200}"));
        let text = text.trim_start();
        if text.starts_with("---") || text.starts_with("+++") {
            continue;
        }
        if let Some(resumed) = text.strip_prefix("<... ") {
            let call = begun.remove(thread).unwrap_or_else(|| panic!("resumed and never begun: {resumed:.100}"));
            moments.push(Moment::Returns(call, result(resumed)));
        } else if let Some(unfinished) = text.strip_suffix("<unfinished ...>") {
            let call = parse_call(unfinished);
            moments.push(Moment::Begins(call.clone()));
            begun.insert(thread, call);
        } else {
            let call = parse_call(text);
            moments.push(Moment::Begins(call.clone()));
            moments.push(Moment::Returns(call, result(text)));
        }
    }
    moments
}

fn number(bytes: &[u8]) -> i64 {
    bytes.iter().fold(0, |number, byte| number << 8 | i64::from(*byte))
}

/// The zxids of the records that a write to a log holds.
fn record_zxids(mut bytes: &[u8]) -> Vec<i64> {
    let mut zxids = Vec::new();
    if bytes.starts_with(b"ZKLG") {
        bytes = &bytes[16..];
    }
    while bytes.len() >= 45 {
        let length = number(&bytes[8..12]) as usize;
        if length == 0 || bytes.len() < length + 13 {
            break;
        }
        zxids.push(number(&bytes[24..32]));
        bytes = &bytes[length + 13..];
    }
    zxids
}

/// The zxids of the replies in what goes out on a socket. The first frame of a session has none.
fn reply_zxids(bytes: &[u8], greeted: &mut bool) -> Vec<i64> {
    let mut zxids = Vec::new();
    let mut rest = bytes;
    while rest.len() >= 4 {
        let length = number(&rest[..4]) as usize;
        assert!(rest.len() >= 4 + length, "a frame in two writes: make the load lighter");
        let frame = &rest[4..4 + length];
        if std::mem::replace(greeted, true) && length >= 16 {
            zxids.push(number(&frame[4..12]));
        }
        rest = &rest[4 + length..];
    }
    zxids
}

/// What the trace showed.
#[derive(Debug, Default)]
struct Findings {
    replies: usize,
    records: usize,
    syncs: usize,
    logs: usize,
    snapshots: usize,
    violations: Vec<String>,
}

/// A log as the trace has built it up.
#[derive(Default)]
struct Log {
    /// Highest zxid written, covered by a sync that began, and by one that has returned.
    written: i64,
    covered: i64,
    durable: i64,
    is_named: bool,
}

fn examine(moments: &[Moment]) -> Findings {
    let mut findings = Findings::default();
    let mut logs: BTreeMap<String, Log> = BTreeMap::new();
    let mut greeted: BTreeMap<String, bool> = BTreeMap::new();
    // Bytes written since the last sync of a snapshot's file; names given and not yet synced.
    let mut unsynced: BTreeMap<String, bool> = BTreeMap::new();
    let mut unsynced_names: Vec<String> = Vec::new();
    // Which log holds a zxid.
    let mut home: BTreeMap<i64, String> = BTreeMap::new();
    for moment in moments {
        match moment {
            Moment::Returns(call, result) if call.name.starts_with("pwrite") && call.target.contains("/log.") => {
                let log = logs.entry(call.target.clone()).or_default();
                assert!(*result > 0, "{result}");
                for zxid in record_zxids(&call.strings[0][..*result as usize]) {
                    findings.records += 1;
                    log.written = log.written.max(zxid);
                    home.insert(zxid, call.target.clone());
                }
            }
            Moment::Begins(call) if call.name == "fdatasync" && call.target.contains("/log.") => {
                let log = logs.entry(call.target.clone()).or_default();
                log.covered = log.written;
            }
            Moment::Returns(call, 0) if call.name == "fdatasync" && call.target.contains("/log.") => {
                findings.syncs += 1;
                let log = logs.entry(call.target.clone()).or_default();
                log.durable = log.durable.max(log.covered);
            }
            Moment::Returns(call, result)
                if call.name == "openat" && *result >= 0 && call.target.contains("/log.") && call.arguments.contains("O_CREAT") =>
            {
                findings.logs += 1;
                logs.insert(call.target.clone(), Log::default());
            }
            Moment::Returns(call, 0) if call.name == "fsync" => {
                for (path, log) in &mut logs {
                    log.is_named |= Path::new(path).parent() == Some(Path::new(&call.target));
                }
                unsynced_names.retain(|name| Path::new(name).parent() != Some(Path::new(&call.target)));
            }
            Moment::Returns(call, _) if call.name.starts_with("pwrite") && call.target.contains("snapshot.") => {
                unsynced.insert(call.target.clone(), true);
            }
            Moment::Returns(call, 0) if call.name == "fdatasync" && call.target.contains("snapshot.") => {
                unsynced.insert(call.target.clone(), false);
            }
            Moment::Begins(call) if call.name.starts_with("rename") => {
                let names: Vec<String> = call.strings.iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect();
                if names[1].contains("/snapshot.") {
                    findings.snapshots += 1;
                    if unsynced.get(&names[0]) != Some(&false) {
                        findings.violations.push(format!("{} gets its name before it is synced", names[1]));
                    }
                    unsynced_names.push(names[1].clone());
                }
            }
            Moment::Begins(call) if matches!(call.name.as_str(), "sendto" | "write") && call.target.starts_with("socket:") => {
                let Some(bytes) = call.strings.first() else { continue };
                if !bytes.starts_with(&[0]) {
                    // The answer to a four-letter word, or the signal pipe.
                    continue;
                }
                for zxid in reply_zxids(bytes, greeted.entry(call.target.clone()).or_default()) {
                    findings.replies += 1;
                    let Some(log) = home.get(&zxid).map(|path| &logs[path]) else { continue };
                    if log.durable < zxid {
                        findings.violations.push(format!("zxid {zxid:#x} is told before its record is durable"));
                    } else if !log.is_named {
                        findings.violations.push(format!("zxid {zxid:#x} is told before the name of its log is durable"));
                    }
                }
            }
            _ => {}
        }
    }
    for name in unsynced_names {
        findings.violations.push(format!("the directory was not synced after {name} got its name"));
    }
    findings
}

#[test]
fn no_reply_leaves_before_the_sync_that_covers_it() {
    let directory = TemporaryDirectory::new();
    let mut traced = Traced::start(&directory.path, &[]);
    traced.wait_until_serving();
    let mut load = Load::new(3, 8, 21);
    load.run(traced.server.address(), |progress| {
        let begun = Instant::now();
        while progress.load(Ordering::Relaxed) < 2000 {
            assert!(begun.elapsed() < PATIENCE, "too slow under strace");
            std::thread::sleep(Duration::from_millis(5));
        }
    });
    load.verify(traced.server.address());
    let findings = examine(&parse(&traced.finish()));
    println!("{findings:?}");
    assert_eq!(findings.violations, Vec::<String>::new());
    let Findings { replies, records, syncs, logs, snapshots, .. } = findings;
    assert!(replies > 1500 && records > 1500 && syncs > 100 && logs > 2 && snapshots > 2, "the trace shows too little");
}

/// Whether the thread that writes the log tries a sync again after one that failed.
fn syncs_again(trace: &str) -> bool {
    let thread = |line: &str| line.split(' ').next().unwrap_or_default().to_owned();
    let magic = r"\x5a\x4b\x4c\x47";
    let Some(logger) = trace.lines().find(|line| line.contains("pwrite64(") && line.contains(magic)).map(thread) else { return false };
    let mut syncs = trace.lines().filter(|line| thread(line) == logger && line.contains("fdatasync"));
    let failed = syncs.by_ref().find(|line| line.contains("EIO"));
    failed.is_some() && syncs.any(|line| line.contains("fdatasync("))
}

#[test]
fn a_failing_sync_ends_the_process_and_nothing_is_acknowledged_after_it() {
    // Counted per thread: the log's thread syncs hundreds of times, the others hardly ever.
    for when in [1, 2, 7, 40] {
        let directory = TemporaryDirectory::new();
        let mut load = Load::new(3, 8, 22 + when);
        let inject = format!("inject=fdatasync:error=EIO:when={when}");
        let mut traced = Traced::start(&directory.path, &["-e", &inject]);
        let address = traced.server.address();
        // With `when=1` even the start fails, on reading what is there.
        let begun = Instant::now();
        while traced.strace.try_wait().expect("waitable").is_none() {
            assert!(begun.elapsed() < PATIENCE, "survives a failed sync: {}", traced.log());
            if connect(address, None, 1000).is_some() {
                let strace = &mut traced.strace;
                load.run(address, |_| {
                    let begun = Instant::now();
                    while strace.try_wait().expect("waitable").is_none() && begun.elapsed() < PATIENCE {
                        std::thread::sleep(Duration::from_millis(5));
                    }
                });
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let status = traced.strace.wait().expect("waited");
        assert_eq!(status.code(), Some(1), "when={when}: {}", traced.log());
        let trace = fs::read_to_string(directory.path.join("trace")).expect("a trace");
        let findings = examine(&parse(&trace));
        assert_eq!(findings.violations, Vec::<String>::new(), "when={when}");
        assert!(!syncs_again(&trace), "when={when}: a second try");
        // What was acknowledged is there, without strace.
        let mut server = Server::start_in(Subject::Oxkeeper, &options(), &directory.path);
        load.verify(server.address());
        server.kill();
    }
}
