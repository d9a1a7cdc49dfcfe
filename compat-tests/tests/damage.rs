//! Damaged files, seen from outside: the server either starts with the very tree, or refuses with a reason, a remedy
//! and an exit code. A log that was cut short may be an interrupted write, and then an earlier tree is right; a wrong
//! one never is. The function that decides is tested byte for byte in `store`; here a sample of bytes goes through the
//! whole program.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use oxkeeper_compat_tests::load::{Eye, Random};
use oxkeeper_compat_tests::subject::{Options, Server, Subject, TemporaryDirectory, copy_directory};
use oxkeeper_compat_tests::wire::{Reader, op, request};

/// Nodes that each of the two lives of the server makes.
const NODES: usize = 40;
/// Places tried in each file.
const PLACES: u64 = 12;

fn options() -> Options {
    Options::usual().line("preAllocSize", "16").line("snapCount", "30")
}

fn path(number: usize) -> String {
    format!("/n{number}")
}

fn data(number: usize) -> String {
    format!("{number} {}", "x".repeat(number % 50))
}

fn fill(server: &Server, from: usize) {
    let requests: Vec<_> = (from..from + NODES).map(|number| request::create(&path(number), &data(number))).collect();
    for (error, _) in Eye::open(server.address()).ask(&requests) {
        assert_eq!(error, 0);
    }
}

/// The numbered nodes and their data.
fn tree(server: &Server) -> BTreeMap<usize, String> {
    let requests: Vec<_> = (0..3 * NODES).map(|number| request::read(op::DATA, &path(number), false)).collect();
    let replies = Eye::open(server.address()).ask(&requests);
    let there = replies.iter().enumerate().filter(|(_, (error, _))| *error == 0);
    there
        .map(|(number, (_, body))| {
            let data = Reader::new(body).buffer().expect("data").unwrap_or_default();
            (number, String::from_utf8_lossy(data).into_owned())
        })
        .collect()
}

/// A directory with two snapshots and two logs, left by kill -9.
fn make(directory: &Path) {
    let mut server = Server::start_in(Subject::Oxkeeper, &options(), directory);
    fill(&server, 0);
    server.terminate();
    server.restart();
    fill(&server, NODES);
    let begun = Instant::now();
    while files(directory).iter().filter(|(name, _)| name.starts_with("snapshot.")).count() < 2 {
        assert!(begun.elapsed() < Duration::from_secs(60), "no second snapshot: {}", server.log_tail());
        std::thread::sleep(Duration::from_millis(20));
    }
    server.kill();
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Damage {
    Flip(u8),
    Zero,
    Truncate,
    Remove,
}

fn damage(file: &Path, at: usize, damage: Damage) {
    let mut bytes = fs::read(file).expect("file");
    match damage {
        Damage::Flip(bit) => bytes[at] ^= 1 << bit,
        Damage::Zero => bytes[at] = 0,
        Damage::Truncate => bytes.truncate(at),
        Damage::Remove => return fs::remove_file(file).expect("removed"),
    }
    fs::write(file, bytes).expect("written");
}

/// Starts on a damaged copy. `Some`: the number of nodes, all of them right; `None`: refused.
fn outcome(base: &Path, name: &str, at: usize, kind: Damage) -> Option<usize> {
    let copy = TemporaryDirectory::new();
    copy_directory(&base.join("data"), &copy.path.join("data"));
    damage(&copy.path.join("data/version-2").join(name), at, kind);
    let mut server = Server::spawn_in(Subject::Oxkeeper, &options(), &copy.path);
    if let Some(status) = server.wait_until_serving_or_ended() {
        let log = server.log_tail();
        assert_eq!(status.code(), Some(1), "{name} {at} {kind:?}: {log}");
        assert!(log.contains(name) || log.contains("snapshot"), "{name} {at} {kind:?}: no reason: {log}");
        assert!(
            ["restore", "Restore", "empty the version-2", "move", "Give it"].iter().any(|word| log.contains(word)),
            "{name} {at} {kind:?}: no remedy: {log}"
        );
        return None;
    }
    let found = tree(&server);
    for (number, (key, text)) in found.iter().enumerate() {
        assert_eq!((number, &data(number)), (*key, text), "{name} {at} {kind:?}: a wrong tree");
    }
    Some(found.len())
}

fn files(base: &Path) -> Vec<(String, usize)> {
    let mut files: Vec<(String, usize)> = fs::read_dir(base.join("data/version-2"))
        .expect("directory")
        .map(|entry| entry.expect("entry").path())
        .map(|path: PathBuf| (path.file_name().expect("named").to_string_lossy().into_owned(), path))
        // Files under other names come and go while the server runs.
        .filter(|(name, _)| name.starts_with("log.") || name.starts_with("snapshot."))
        .map(|(name, path)| {
            let bytes = fs::read(&path).expect("file");
            let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            (name, used)
        })
        .filter(|(_, used)| *used > 0)
        .collect();
    files.sort();
    files
}

#[test]
fn damage_never_makes_a_wrong_tree() {
    let base = TemporaryDirectory::new();
    make(&base.path);
    let files = files(&base.path);
    assert!(files.iter().filter(|(name, _)| name.starts_with("log.")).count() >= 2, "{files:?}");
    assert!(files.iter().filter(|(name, _)| name.starts_with("snapshot.")).count() >= 2, "{files:?}");
    let zxid = |name: &str| name.strip_prefix("log.").and_then(|zxid| i64::from_str_radix(zxid, 16).ok());
    let last_log = files.iter().filter_map(|(name, _)| zxid(name)).max().expect("a log");
    let last_log = format!("log.{last_log:x}");
    let mut random = Random(std::env::var("OXKEEPER_SEED").map_or(1, |seed| seed.parse().expect("a number")));
    let places = std::env::var("OXKEEPER_PLACES").map_or(PLACES, |places| places.parse().expect("a number"));
    let (mut whole, mut refused, mut shorter) = (0, 0, 0);
    for (name, used) in &files {
        for _ in 0..places {
            let at = random.below(*used as u64) as usize;
            for kind in [Damage::Flip(random.below(8) as u8), Damage::Zero, Damage::Truncate] {
                match outcome(&base.path, name, at, kind) {
                    None => refused += 1,
                    Some(count) if count == 2 * NODES => whole += 1,
                    Some(count) => {
                        // Only the end of the history can be missing, and only where the file itself stops.
                        assert!(kind == Damage::Truncate && *name == last_log, "{name} {at} {kind:?}: {count} of {} nodes", 2 * NODES);
                        shorter += 1;
                    }
                }
            }
        }
        if let Some(count) = outcome(&base.path, name, 0, Damage::Remove) {
            // Of a last log that is gone nothing else tells.
            assert!(count == 2 * NODES || *name == last_log, "{name} removed: {count} of {} nodes", 2 * NODES);
        }
    }
    println!("{whole} with the whole tree, {refused} refused, {shorter} shorter by an interrupted write");
    assert!(whole > 0 && refused > 0 && shorter > 0, "the sample meets all three");
}
