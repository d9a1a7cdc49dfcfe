//! The operator's tools: Java's classes beside ours on the same files, output and exit codes compared; and backup and
//! restore under load, compared with a model.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use oxkeeper_compat_tests::conversation::Conversation;
use oxkeeper_compat_tests::directory::{EPOCH_STATES, STATES, dump, files};
use oxkeeper_compat_tests::load::Random;
use oxkeeper_compat_tests::subject::{Options, Server, Subject, TemporaryDirectory, copy_directory, oxkeeper_program};
use oxkeeper_compat_tests::tools::{Outcome, first_difference, mask_numbers, run_class, run_ours};
use oxkeeper_compat_tests::wire::{Request, op, open, request};

const TXN_LOG: &str = "server.persistence.TxnLogToolkit";
const FORMATTER: &str = "server.SnapshotFormatter";
const COMPARER: &str = "server.SnapshotComparer";
const SUMMARY: &str = "server.SnapshotRecursiveSummary";
const PURGE: &str = "server.PurgeTxnLog";

/// Differences found so far.
#[derive(Default)]
struct Report {
    text: String,
    compared: usize,
}

impl Report {
    /// Runs a class on both, each in its own directory, and compares standard output and exit code; what an uncaught
    /// exception of Java's prints is one line of ours.
    fn compare(&mut self, class: &str, arguments: &[&str], directories: [&Path; 2], input: &str, mask: fn(&str) -> String) -> Outcome {
        let [theirs, ours] = [(Subject::Java39, directories[0]), (Subject::Oxkeeper, directories[1])]
            .map(|(subject, directory)| run_class(subject, class, arguments, directory, input));
        self.compared += 1;
        let what = format!("== {class} {arguments:?}");
        if theirs.code != ours.code {
            self.text += &format!("{what}: exit code {:?}, ours {:?}\n{}{}\n", theirs.code, ours.code, theirs.errors, ours.errors);
        }
        if let Some(difference) = first_difference(&mask(&theirs.output), &mask(&ours.output)) {
            self.text += &format!("{what}: {difference}\n");
        }
        if theirs.code != Some(0) && theirs.errors.contains("Exception in thread") && ours.errors.trim_end().lines().count() != 1 {
            self.text += &format!("{what}: not one line: {:?}\n", ours.errors);
        }
        theirs
    }

    fn same(&mut self, class: &str, arguments: &[&str], directory: &Path) -> Outcome {
        self.compare(class, arguments, [directory, directory], "", str::to_owned)
    }

    fn end(self) {
        println!("{} runs compared", self.compared);
        assert!(self.text.is_empty(), "\n{}", self.text);
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// The number behind `"timestamp":` is when the tool ran.
fn without_timestamp(output: &str) -> String {
    match output.split_once("\"timestamp\":") {
        Some((before, after)) => format!("{before}{}", after.trim_start_matches(|digit: char| digit.is_ascii_digit())),
        None => output.to_owned(),
    }
}

fn every_file(maker: Subject, wanted: &[&str]) {
    let mut report = Report::default();
    let mut seen = 0;
    for state in STATES.iter().chain(EPOCH_STATES).filter(|state| wanted.contains(&state.name)) {
        let directory = TemporaryDirectory::new();
        let at = &directory.path;
        (state.make)(maker, at);
        seen += 1;
        // Starting Java takes longest: the first two logs and the last two.
        let logs = files(at, "log.");
        for (index, log) in logs.iter().enumerate() {
            if index < 2 || index + 2 >= logs.len() {
                report.same(TXN_LOG, &[text(log)], at);
            }
        }
        let snapshots = files(at, "snapshot.");
        for (index, snapshot) in snapshots.iter().rev().take(2).enumerate() {
            report.same(FORMATTER, &[text(snapshot)], at);
            if index == 0 {
                report.same(FORMATTER, &["-d", text(snapshot)], at);
                report.compare(FORMATTER, &["-json", text(snapshot)], [at, at], "", without_timestamp);
                for (start, depth) in [("/", "0"), ("/", "1"), ("/zookeeper", "2")] {
                    report.same(SUMMARY, &[text(snapshot), start, depth], at);
                }
            }
        }
        // Every file of a healthy server is healthy to our own rules.
        let whole: Vec<PathBuf> = snapshots.into_iter().chain(files(at, "log.")).collect();
        for file in whole {
            let kind = if text(&file).contains("/log.") { "txnlog" } else { "snapshot" };
            let outcome = run_ours(&[kind, "--verify", text(&file)], at);
            assert_eq!(outcome.code, Some(0), "{}: {} {}", state.name, outcome.output, outcome.errors);
        }
    }
    assert_eq!(seen, wanted.len(), "a state has another name now");
    report.end();
}

#[test]
fn files_of_java_are_shown_alike() {
    let states =
        ["many snapshots and logs", "undecodable writes", "gz snapshots", "snappy snapshots", "big", "several epochs", "without digests"];
    every_file(Subject::Java39, &states);
}

#[test]
fn files_of_oxkeeper_are_shown_alike() {
    every_file(Subject::Oxkeeper, &["many snapshots and logs", "counters at their ends", "gz snapshots"]);
}

/// A directory with several snapshots and logs, made by our server since it starts faster.
fn many(directory: &Path) {
    let state = STATES.iter().find(|state| state.name == "many snapshots and logs").expect("there is one");
    (state.make)(Subject::Oxkeeper, directory);
}

#[test]
fn snapshots_are_compared_alike() {
    fn seconds(output: &str) -> String {
        output.lines().map(|line| if line.ends_with(" seconds") { mask_numbers(line) + "\n" } else { format!("{line}\n") }).collect()
    }
    let directory = TemporaryDirectory::new();
    let at = &directory.path;
    many(at);
    let snapshots = files(at, "snapshot.");
    let (first, last) = (text(&snapshots[0]), text(snapshots.last().expect("some")));
    let mut report = Report::default();
    for (arguments, input) in [
        (&["-l", first, "-r", last, "-b", "0", "-n", "0"][..], ""),
        (&["-l", last, "-r", first, "-b", "2", "-n", "1"], ""),
        (&["--left", last, "--right", first, "--bytes=100", "--nodes=5", "-d"], ""),
        (&["-l", last, "-r", last, "-b", "-1", "-n", "0"], ""),
        (&["-l", first, "-r", last, "-b", "0", "-n", "0", "-i"], "\n/\n/zookeeper\n/nowhere\n1\n99\nx\n\n\n\n\n\n\n\n"),
        // Answers that end too early, numbers that are none, files that are none.
        (&["-l", first, "-r", last, "-b", "0", "-n", "0", "-i"], "1\n"),
        (&["-l", first, "-r", last, "-b", "x", "-n", "0"], ""),
        (&["-l", first, "-r", "missing", "-b", "0", "-n", "0"], ""),
        (&["-l", first, "-r", last], ""),
        (&["-l", first, "-q"], ""),
    ] {
        let theirs = report.compare(COMPARER, arguments, [at, at], input, |output| {
            // The usage is in our own words.
            seconds(output.split("usage: ").next().unwrap_or_default())
        });
        assert!(theirs.code != Some(0) || theirs.output.contains("All layers compared."), "{theirs:?}");
    }
    report.end();
}

/// Where records begin, from the sizes that stand before them.
fn record_offsets(bytes: &[u8]) -> Vec<usize> {
    let mut offsets = Vec::new();
    let mut at = 16;
    while at + 12 <= bytes.len() {
        let length = u32::from_be_bytes(bytes[at + 8..at + 12].try_into().expect("four bytes")) as usize;
        if length == 0 {
            break;
        }
        offsets.push(at);
        at += 13 + length;
    }
    offsets
}

#[test]
fn damaged_logs_are_repaired_and_cut_alike() {
    let directory = TemporaryDirectory::new();
    many(&directory.path);
    let log = files(&directory.path, "log.").into_iter().max_by_key(|path| fs::metadata(path).expect("there").len()).expect("some");
    let whole = fs::read(&log).expect("readable");
    let offsets = record_offsets(&whole);
    assert!(offsets.len() > 8, "a short log");
    let zxid = |index: usize| i64::from_be_bytes(whole[offsets[index] + 24..offsets[index] + 32].try_into().expect("eight bytes"));
    let mut report = Report::default();
    let places = ["java", "ours"].map(|name| directory.path.join(name));
    let both = || [places[0].as_path(), places[1].as_path()];
    let prepare = |bytes: &[u8]| {
        for place in &places {
            let _ = fs::remove_dir_all(place);
            fs::create_dir(place).expect("writable");
            fs::write(place.join("log.1"), bytes).expect("writable");
        }
    };
    let written = |name: &str, report: &mut Report| {
        let [theirs, ours] = [0, 1].map(|side| fs::read(places[side].join(name)).ok());
        if theirs != ours {
            let size = |bytes: &Option<Vec<u8>>| bytes.as_ref().map(Vec::len);
            report.text += &format!("== {name}: {:?} bytes, ours {:?}, or other ones\n", size(&theirs), size(&ours));
        }
    };
    let mut damaged = whole.clone();
    // Times: any value is one, so the records can still be read.
    for index in [2, 5] {
        damaged[offsets[index] + 12 + 27] ^= 0x40;
    }
    for (arguments, input) in [
        (&["log.1"][..], ""),
        (&["-d", "log.1"], ""),
        (&["-r", "-y", "log.1"], ""),
        (&["-r", "-y", "-v", "log.1"], ""),
        (&["-ry", "log.1"], ""),
        (&["--recover", "--yes", "log.1"], ""),
        (&["-r", "log.1"], "what\nYes\nno\n"),
        (&["-r", "log.1"], "n y"),
        (&["-r", "log.1"], "y\nabort\n"),
        (&["-r", "log.1"], "y\n"),
        (&["-r", "nothing"], ""),
    ] {
        prepare(&damaged);
        report.compare(TXN_LOG, arguments, both(), input, str::to_owned);
        written("log.1.fixed", &mut report);
    }
    // Once more: the repaired file is there already.
    prepare(&damaged);
    for place in &places {
        fs::write(place.join("log.1.fixed"), "x").expect("writable");
    }
    report.compare(TXN_LOG, &["-r", "-y", "log.1"], both(), "", str::to_owned);
    for (bytes, name) in [
        (&whole[..offsets[4] + 5], "cut in a checksum"),
        (&whole[..offsets[4] + 30], "cut in a record"),
        (&whole[..offsets[5] - 1], "cut before an end mark"),
        (&b"ZKLGxx"[..], "half a header"),
        (&b"nonsense nonsense"[..], "no log"),
        (&b""[..], "empty"),
    ] {
        prepare(bytes);
        println!("{name}");
        report.compare(TXN_LOG, &["log.1"], both(), "", str::to_owned);
    }
    let mut unmarked = whole.clone();
    unmarked[offsets[4] - 1] = b'X';
    prepare(&unmarked);
    report.compare(TXN_LOG, &["log.1"], both(), "", str::to_owned);
    for (bytes, at) in [
        (&whole, zxid(3).to_string()),
        (&whole, format!("{:#x}", zxid(3))),
        (&whole, "0".to_owned()),
        (&whole, (zxid(offsets.len() - 1) + 5).to_string()),
        (&damaged, zxid(7).to_string()),
        (&whole, "x".to_owned()),
    ] {
        prepare(bytes);
        report.compare(TXN_LOG, &["-c", "-z", &at, "log.1"], both(), "", str::to_owned);
        let decimal = i64::from_str_radix(at.trim_start_matches("0x"), if at.starts_with("0x") { 16 } else { 10 });
        if let Ok(decimal) = decimal {
            written(&format!("log.1.chopped{decimal}"), &mut report);
        }
    }
    // Ours says what is wrong where.
    prepare(&damaged);
    let verdict = run_ours(&["txnlog", "--verify", "log.1"], both()[1]);
    assert_eq!(verdict.code, Some(1), "{verdict:?}");
    assert!(verdict.output.contains(&format!("offset {}", offsets[2])), "{verdict:?}");
    report.end();
}

#[test]
fn wrong_invocations_end_alike() {
    // Usages are in our own words; the line before them, and where it goes, is the original's.
    fn before_usage(output: &str) -> String {
        output
            .split("usage: ")
            .next()
            .unwrap_or_default()
            .split("USAGE:")
            .next()
            .unwrap_or_default()
            .split("Usage:")
            .next()
            .unwrap_or_default()
            .to_owned()
    }
    let directory = TemporaryDirectory::new();
    let at = &directory.path;
    fs::write(at.join("file"), "x").expect("writable");
    fs::create_dir(at.join("directory")).expect("writable");
    let mut report = Report::default();
    for (class, arguments) in [
        (TXN_LOG, &[][..]),
        (TXN_LOG, &["-h"]),
        (TXN_LOG, &["--help", "file"]),
        (TXN_LOG, &["-q", "file"]),
        (TXN_LOG, &["--unknown"]),
        (TXN_LOG, &["-c", "-z"]),
        (TXN_LOG, &["missing"]),
        (TXN_LOG, &["file"]),
        (FORMATTER, &[]),
        (FORMATTER, &["-d"]),
        (FORMATTER, &["missing"]),
        (FORMATTER, &["directory"]),
        (FORMATTER, &["file"]),
        (FORMATTER, &["-d", "-json", "file"]),
        (FORMATTER, &["file", "file"]),
        (SUMMARY, &[]),
        (SUMMARY, &["file", "/"]),
        (SUMMARY, &["file", "/", "x"]),
        (SUMMARY, &["missing", "/", "1"]),
        (COMPARER, &[]),
        (PURGE, &[]),
        (PURGE, &["directory", "-n", "2"]),
        (PURGE, &["directory", "-n", "x"]),
        (PURGE, &["directory", "-x", "3"]),
        (PURGE, &["missing", "-n", "3"]),
        (PURGE, &["directory", "missing", "-n", "3"]),
        (PURGE, &["a", "b", "c", "d", "e"]),
        ("client.FourLetterWordMain", &[]),
        ("client.FourLetterWordMain", &["localhost", "1", "srvr"]),
    ] {
        let theirs = run_class(Subject::Java39, class, arguments, at, "");
        let ours = run_class(Subject::Oxkeeper, class, arguments, at, "");
        report.compared += 1;
        if theirs.code != ours.code || before_usage(&theirs.output) != before_usage(&ours.output) {
            report.text += &format!("== {class} {arguments:?}:\n  {theirs:?}\n  {ours:?}\n");
        }
        // What the class itself says, without its logger.
        let said = before_usage(&theirs.errors);
        let said: Vec<&str> = said.lines().filter(|line| !line.contains("Exiting JVM") && !line.trim().is_empty()).collect();
        let is_trace = theirs.errors.contains("Exception in thread");
        let mine = before_usage(&ours.errors);
        let mine: Vec<&str> = mine.lines().filter(|line| !line.trim().is_empty()).collect();
        if is_trace && mine.len() != 1 || !is_trace && said != mine {
            report.text += &format!("== {class} {arguments:?} says\n  {said:?}\n  {mine:?}\n");
        }
        let has_usage =
            |outcome: &Outcome| (outcome.output.to_lowercase().contains("usage:"), outcome.errors.to_lowercase().contains("usage:"));
        if has_usage(&theirs) != has_usage(&ours) {
            report.text += &format!("== {class} {arguments:?}: a usage is missing, or goes elsewhere\n");
        }
    }
    report.end();
}

#[test]
fn old_files_are_deleted_alike() {
    let directory = TemporaryDirectory::new();
    let made = directory.path.join("made");
    fs::create_dir(&made).expect("writable");
    many(&made);
    let mut report = Report::default();
    for count in ["3", "4", "100"] {
        let places = ["java", "ours"].map(|name| directory.path.join(name));
        for place in &places {
            let _ = fs::remove_dir_all(place);
            copy_directory(&made.join("data"), place);
        }
        fn sorted(output: &str) -> String {
            // Java lists a directory in no order; times of day depend on when this runs.
            let mut lines: Vec<String> = output
                .lines()
                .map(|line| line.rsplit_once('\t').map_or(line.to_owned(), |(_, path)| format!("Removing file: {path}")))
                .collect();
            lines.sort();
            lines.join("\n")
        }
        report.compare(PURGE, &[".", "-n", count], [&places[0], &places[1]], "", sorted);
        let left = |place: &Path| {
            let entries = fs::read_dir(place.join("version-2")).expect("readable").flatten();
            let mut names: Vec<String> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
            names.sort();
            names
        };
        if left(&places[0]) != left(&places[1]) {
            report.text += &format!("== -n {count} leaves {:?}\n  ours {:?}\n", left(&places[0]), left(&places[1]));
        }
    }
    report.end();
}

// ------------------------------------------------------------------------------------------ backup and restore

/// A program that runs beside a test, killed in the end.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What the tree must hold after each zxid.
#[derive(Default)]
struct Model {
    writes: BTreeMap<i64, (String, Option<Vec<u8>>)>,
}

impl Model {
    fn at(&self, zxid: i64) -> BTreeMap<String, Vec<u8>> {
        let mut nodes = BTreeMap::new();
        for (path, data) in self.writes.range(..=zxid).map(|(_, write)| write) {
            match data {
                Some(data) => nodes.insert(path.clone(), data.clone()),
                None => nodes.remove(path),
            };
        }
        nodes
    }
}

/// Writes at random below `/m` and notes what was acknowledged.
fn write_some(talk: &mut Conversation, model: &mut Model, random: &mut Random, writes: usize) {
    let mut known = model.at(i64::MAX);
    let mut requests = Vec::new();
    let mut effects = Vec::new();
    for _ in 0..writes {
        let path = format!("/m/k{}", random.below(40));
        let data = format!("{:016x}", random.below(u64::MAX)).repeat(1 + random.below(8) as usize).into_bytes();
        let (request, effect): (Request, Option<Vec<u8>>) = match (known.contains_key(&path), random.below(4)) {
            (false, _) => (request::create_as(op::CREATE, &path, Some(&data), &open(), 0), Some(data)),
            (true, 0) => (request::delete(&path, -1), None),
            (true, _) => (request::set_data(&path, Some(&data), -1), Some(data)),
        };
        match &effect {
            Some(data) => known.insert(path.clone(), data.clone()),
            None => known.remove(&path),
        };
        requests.push(request);
        effects.push((path, effect));
    }
    for (reply, effect) in talk.pipeline("w", &requests).into_iter().zip(effects) {
        let reply = reply.expect("the server lives");
        assert_eq!(reply.header.error, 0, "{effect:?}");
        model.writes.insert(reply.header.zxid, effect);
    }
}

/// The nodes below `/m` in a snapshot, as our tool shows them (it shows what Java's shows: see above).
fn nodes_in(snapshot: &Path) -> BTreeMap<String, Vec<u8>> {
    let shown = run_ours(&["snapshot", "--data", text(snapshot)], Path::new("/"));
    assert_eq!(shown.code, Some(0), "{}", shown.errors);
    let mut nodes = BTreeMap::new();
    for node in shown.output.split("----\n") {
        let path = node.lines().next().unwrap_or_default();
        if let (true, Some(data)) = (path.starts_with("/m/"), node.lines().find_map(|line| line.strip_prefix("  data = "))) {
            nodes.insert(path.to_owned(), from_base64(data));
        }
    }
    nodes
}

fn from_base64(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let (mut bits, mut count) = (0u32, 0);
    for letter in text.bytes().filter(|letter| *letter != b'=') {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' => 62,
            _ => 63,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    bytes
}

fn wall_clock_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("past 1970").as_millis() as i64
}

/// Ships a server's files while it is under load and killed, then restores states and compares them.
fn backed_up_under_load(subject: Subject) {
    let directory = TemporaryDirectory::new();
    let at = &directory.path;
    let options = Options::usual().property("zookeeper.snapCount", "120").property("zookeeper.preAllocSize", "64");
    let mut server = Server::start_in(subject, &options, &at.join("server"));
    let backup = at.join("backup");
    let shipping = |backup: &Path| {
        let mut command = Command::new(oxkeeper_program());
        command.args(["backup", "--interval", "5", "--from", text(&at.join("server/data")), "--to", text(backup)]);
        Running(command.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().expect("ours runs"))
    };
    let mut running = shipping(&backup);
    let mut model = Model::default();
    let mut random = Random(17);
    let mut marks = Vec::new();
    for round in 0..6 {
        let mut talk = Conversation::begin(server.address());
        talk.connect("w");
        if round == 0 {
            talk.ask("w", &request::create("/m", ""));
        }
        for _ in 0..5 {
            write_some(&mut talk, &mut model, &mut random, 40);
            // A moment between two writes, for restores to a time.
            std::thread::sleep(Duration::from_millis(15));
            marks.push((wall_clock_ms(), *model.writes.keys().last().expect("written")));
            std::thread::sleep(Duration::from_millis(15));
        }
        talk.hang_up("w");
        match round {
            1 | 4 => {
                server.kill();
                server.restart();
            }
            // The backup is stopped anywhere, and goes on.
            2 => {
                drop(running);
                running = shipping(&backup);
            }
            _ => {}
        }
    }
    let last = *model.writes.keys().last().expect("written");
    let lines = BufReader::new(running.0.stdout.take().expect("piped")).lines();
    let begun = Instant::now();
    let through = |line: &str| i64::from_str_radix(line.strip_prefix("through zxid 0x")?.split(':').next()?, 16).ok();
    for line in lines {
        if through(&line.expect("text")).is_some_and(|zxid| zxid >= last) {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "the backup does not come to {last:x}");
    }
    drop(running);
    server.terminate();
    assert!(files(&at.join("server"), "log.").len() > 2, "few logs: nothing was rolled");
    let zxids: Vec<i64> = model.writes.keys().copied().collect();
    let chosen: Vec<i64> = (0..14).map(|_| zxids[random.below(zxids.len() as u64) as usize]).chain([zxids[0], last]).collect();
    let restore = |name: &str, extra: &[&str]| {
        let to = at.join(name);
        let mut arguments = vec!["restore", "--from", text(&backup), "--to", text(&to)];
        arguments.extend(extra);
        let outcome = run_ours(&arguments, at);
        (to, outcome)
    };
    for (index, zxid) in chosen.iter().enumerate() {
        let (to, outcome) = restore(&format!("z{index}"), &["--to-zxid", &format!("{zxid:#x}")]);
        assert_eq!(outcome.code, Some(0), "{zxid:x}: {}{}", outcome.output, outcome.errors);
        let snapshot = to.join(format!("version-2/snapshot.{zxid:x}"));
        assert_eq!(nodes_in(&snapshot), model.at(*zxid), "the state at {zxid:x}");
    }
    for (index, (time_ms, zxid)) in marks.iter().enumerate().step_by(5) {
        let (to, outcome) = restore(&format!("t{index}"), &["--to-time", &time_ms.to_string()]);
        assert_eq!(outcome.code, Some(0), "{}{}", outcome.output, outcome.errors);
        let snapshot = files_in(&to).into_iter().find(|path| text(path).contains("/snapshot.")).expect("one was written");
        assert_eq!(nodes_in(&snapshot), model.at(*zxid), "the state at {time_ms} ms");
    }
    // Both servers start on a restored directory, and on the backup itself.
    for (index, reader) in [Subject::Java39, Subject::Oxkeeper].into_iter().enumerate() {
        for (name, zxid) in [(format!("serve{index}"), zxids[zxids.len() / 2]), (format!("whole{index}"), last)] {
            let home = at.join(&name);
            if name.starts_with("serve") {
                let (_, outcome) = restore(&format!("{name}/data"), &["--to-zxid", &zxid.to_string()]);
                assert_eq!(outcome.code, Some(0), "{}{}", outcome.output, outcome.errors);
            } else {
                copy_directory(&backup, &home.join("data"));
            }
            let server = Server::start_in(reader, &options, &home);
            let lines = dump(server.address());
            for (path, data) in model.at(zxid) {
                let shown = format!("{path}: ");
                let line = lines.iter().find(|line| line.starts_with(&shown)).unwrap_or_else(|| panic!("{reader} lacks {path}"));
                let value = String::from_utf8(data).expect("hex");
                assert!(line.contains(&value), "{reader}: {line} instead of {value}");
            }
            let count = lines.iter().filter(|line| line.starts_with("/m/k")).count();
            assert_eq!(count, model.at(zxid).len() * 3, "{reader} has more");
        }
    }
    // What cannot be.
    for (name, extra, wanted) in [
        ("z0", &["--to-zxid", "1"][..], "holds a state already"),
        ("never", &["--to-zxid", "0x7fffffff00000001"], "is not there"),
        ("never", &["--to-time", "yesterday"], "is no time"),
        ("never", &["--to-zxid", "x"], "is no zxid"),
    ] {
        let (_, outcome) = restore(name, extra);
        assert!(outcome.code.is_some_and(|code| code > 0) && outcome.errors.contains(wanted), "{wanted}: {outcome:?}");
    }
    println!("{subject}: {} writes, {} states restored", zxids.len(), chosen.len() + marks.len().div_ceil(5));
}

fn files_in(data: &Path) -> Vec<PathBuf> {
    fs::read_dir(data.join("version-2")).expect("readable").flatten().map(|entry| entry.path()).collect()
}

#[test]
fn oxkeeper_is_backed_up_under_load_and_restored() {
    backed_up_under_load(Subject::Oxkeeper);
}

#[test]
fn java_is_backed_up_under_load_and_restored() {
    backed_up_under_load(Subject::Java39);
}

/// A backup follows a source that takes back its tail, and notices damage.
#[test]
fn a_backup_follows_a_source_that_is_cut() {
    let directory = TemporaryDirectory::new();
    let at = &directory.path;
    many(at);
    let (data, backup) = (at.join("data"), at.join("backup"));
    let once = || run_ours(&["backup", "--once", "--from", text(&data), "--to", text(&backup)], at);
    let outcome = once();
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let log = files(at, "log.").pop().expect("some");
    let bytes = fs::read(&log).expect("readable");
    let offsets = record_offsets(&bytes);
    let shipped = backup.join("version-2").join(log.file_name().expect("a name"));
    let end = offsets.last().map(|last| last + 13 + u32::from_be_bytes(bytes[last + 8..last + 12].try_into().expect("four")) as usize);
    assert_eq!(fs::read(&shipped).expect("shipped"), bytes[..end.expect("records")], "what was shipped is what was written");
    // A torn tail of the backup's own is taken up again.
    fs::write(&shipped, &bytes[..offsets[offsets.len() - 1] + 9]).expect("writable");
    assert_eq!(once().code, Some(0));
    assert_eq!(fs::read(&shipped).expect("shipped"), bytes[..end.expect("records")]);
    // The source was cut (as a new leader cuts it): what it took back is put aside.
    fs::write(&log, &bytes[..offsets[offsets.len() - 1]]).expect("writable");
    assert_eq!(once().code, Some(0));
    assert_eq!(fs::read(&shipped).expect("shipped"), bytes[..offsets[offsets.len() - 1]]);
    let aside = files_in(&backup).into_iter().filter(|path| text(path).contains("oxkeeper.aside.")).count();
    assert_eq!(aside, 1);
    // Nothing to do is nothing done; itself is no target; a file is no directory.
    assert!(once().output.contains(": 0 transactions and 0 snapshots"), "{:?}", once());
    let itself = run_ours(&["backup", "--once", "--from", text(&data), "--to", text(&data)], at);
    assert!(itself.code == Some(2) && itself.errors.contains("cannot be its source"), "{itself:?}");
    let nothing = run_ours(&["backup", "--once", "--from", text(&at.join("nowhere")), "--to", text(&backup)], at);
    assert!(nothing.code == Some(1) && nothing.errors.contains("is no data directory"), "{nothing:?}");
}
