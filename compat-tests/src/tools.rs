//! Command line tools side by side: Java's main classes and ours, with what they print and how they end.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::subject::{Subject, class_path, oxkeeper_program};

/// What a tool did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub code: Option<i32>,
    pub output: String,
    pub errors: String,
}

/// Runs a main class (`server.SnapshotFormatter`) of Java 3.9.5, or what we have in its place.
pub fn run_class(subject: Subject, class: &str, arguments: &[&str], directory: &Path, input: &str) -> Outcome {
    let mut command = match subject {
        Subject::Oxkeeper => Command::new(oxkeeper_program()),
        _ => {
            let mut command = Command::new("java");
            command.args(["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto", "-cp", &class_path(subject)]);
            command
        }
    };
    command.arg(format!("org.apache.zookeeper.{class}")).args(arguments);
    let mut outcome = run(command, directory, input);
    if subject != Subject::Oxkeeper {
        // What Java's logger says goes where its configuration sends it: of the end of the process, and of a quota whose
        // counters a snapshot has not caught, since the tool reads it like a server that starts.
        let is_logged = |line: &str| ["] - Exiting JVM with code ", "] - Missing quota stat node "].iter().any(|said| line.contains(said));
        outcome.output = outcome.output.split_inclusive('\n').filter(|line| !is_logged(line)).collect();
    }
    outcome
}

/// Runs a subcommand of ours.
pub fn run_ours(arguments: &[&str], directory: &Path) -> Outcome {
    let mut command = Command::new(oxkeeper_program());
    command.args(arguments);
    run(command, directory, "")
}

/// Runs a command with an input, in a zone that has summer time, and texts in UTF-8.
pub fn run(mut command: Command, directory: &Path, input: &str) -> Outcome {
    command.current_dir(directory).env("LC_ALL", "C.UTF-8").env("TZ", "Europe/Berlin");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let program = command.get_program().to_string_lossy().into_owned();
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{program}: {error}"));
    // Who does not read its input may have closed it.
    let _ = child.stdin.take().expect("piped").write_all(input.as_bytes());
    let Output { status, stdout, stderr } = child.wait_with_output().expect("waitable");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Outcome { code: status.code(), output: text(&stdout), errors: text(&stderr) }
}

/// Every run of digits as one `#`.
pub fn mask_numbers(text: &str) -> String {
    let mut masked = String::new();
    for character in text.chars() {
        match character.is_ascii_digit() {
            true if masked.ends_with('#') => {}
            true => masked.push('#'),
            false => masked.push(character),
        }
    }
    masked
}

/// The first lines that differ, for a report.
pub fn first_difference(theirs: &str, ours: &str) -> Option<String> {
    let (mut theirs, mut ours) = (theirs.split('\n'), ours.split('\n'));
    for line in 1.. {
        match (theirs.next(), ours.next()) {
            (None, None) => return None,
            (a, b) if a == b => {}
            (a, b) => return Some(format!("line {line}:\n    java {a:?}\n    ours {b:?}")),
        }
    }
    None
}
