//! Real clients as a load in the background: kazoo and Curator, which write, read and watch while the servers change
//! under them, and tell of every answer and every error. What they do is in `clients/kazoo/swap.py` and
//! `clients/curator/src/Swap.java`.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::ensemble::PATIENCE;
use crate::subject::{target_directory, workspace};

/// A program that runs.
pub struct Background {
    name: &'static str,
    child: Child,
    input: Option<ChildStdin>,
    said: Arc<Mutex<Vec<String>>>,
    reader: Option<JoinHandle<()>>,
}

/// What a program told.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Paths of the nodes whose making was acknowledged.
    pub acknowledged: Vec<String>,
    /// How often each kind of error was seen.
    pub errors: BTreeMap<String, u64>,
    /// Whether the session was lost.
    pub is_lost: bool,
    /// The session at the beginning and at the end.
    pub sessions: Vec<String>,
}

impl Background {
    /// # Panics
    /// If what it needs has not been prepared.
    pub fn kazoo(addresses: &[SocketAddr]) -> Background {
        let mut command = Command::new(prepared("venv/bin/python"));
        command.arg("-B").arg(sources().join("kazoo/swap.py")).arg(hosts(addresses));
        Background::run("kazoo", command)
    }

    /// # Panics
    /// If what it needs has not been prepared.
    pub fn curator(addresses: &[SocketAddr]) -> Background {
        let jars = prepared("curator");
        let classes = target_directory().join("clients/classes-swap");
        fs::create_dir_all(&classes).expect("directory of classes");
        let mut compile = Command::new("javac");
        compile.arg("-nowarn").arg("-d").arg(&classes).arg("-cp").arg(format!("{}/*", jars.display()));
        let output = compile.arg(sources().join("curator/src/Swap.java")).output().expect("javac runs");
        assert!(output.status.success(), "javac: {}", String::from_utf8_lossy(&output.stderr));
        let mut command = Command::new("java");
        command.args(["-Xms32m", "-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData", "-cp"]);
        command.arg(format!("{}:{}/*", classes.display(), jars.display())).arg("Swap").arg(hosts(addresses));
        Background::run("curator", command)
    }

    fn run(name: &'static str, mut command: Command) -> Background {
        let log = std::env::temp_dir().join(format!("oxkeeper-{name}-{}.log", std::process::id()));
        let log = File::create(&log).inspect(|_| drop(fs::remove_file(&log))).expect("log of a client");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{name}: {error}"));
        let output = child.stdout.take().expect("output of a client");
        let said = Arc::new(Mutex::new(Vec::new()));
        let lines = Arc::clone(&said);
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            }
        });
        let mut background = Background { name, input: child.stdin.take(), child, said, reader: Some(reader) };
        background.wait_until("ready", |said| said.iter().any(|line| line == "ready"));
        background
    }

    fn wait_until(&mut self, what: &str, holds: impl Fn(&[String]) -> bool) {
        let begun = Instant::now();
        loop {
            let said = self.said.lock().unwrap_or_else(PoisonError::into_inner).clone();
            if holds(&said) {
                return;
            }
            let ended = self.child.try_wait().expect("waitable");
            let late = begun.elapsed() > PATIENCE;
            let last = &said[said.len().saturating_sub(20)..];
            assert!(ended.is_none() && !late, "{}: not {what}, ended: {ended:?}; it said last: {last:#?}", self.name);
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn acknowledged(&self) -> usize {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        said.iter().filter(|line| line.starts_with("acknowledged ")).count()
    }

    /// Waits until so many more writes have been acknowledged.
    ///
    /// # Panics
    /// If that takes too long or the program ends.
    pub fn wait_for(&mut self, more: usize, why: &str) {
        let wanted = self.acknowledged() + more;
        self.wait_until(&format!("{wanted} writes: {why}"), |said| {
            said.iter().filter(|line| line.starts_with("acknowledged ")).count() >= wanted
        });
    }

    /// Ends the program and returns what it told.
    ///
    /// # Panics
    /// If it does not end as it should.
    pub fn end(mut self) -> Report {
        writeln!(self.input.as_mut().expect("input of a client"), "end").expect("a client that runs");
        self.wait_until("done", |said| said.iter().any(|line| line == "done"));
        self.child.kill().expect("a process of ours");
        self.child.wait().expect("waitable");
        self.reader.take().map(JoinHandle::join);
        let mut report = Report::default();
        for line in self.said.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            match line.split_once(' ') {
                Some(("acknowledged", path)) => report.acknowledged.push(path.to_owned()),
                Some(("error", kind)) => *report.errors.entry(kind.to_owned()).or_default() += 1,
                Some(("session", id)) => report.sessions.push(id.to_owned()),
                _ => report.is_lost |= line == "lost",
            }
        }
        report
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Report {
    /// Everything that a client must not see while members are exchanged one after the other, in words.
    pub fn complaints(&self, name: &str) -> Vec<String> {
        let mut wrong: Vec<String> = self
            .errors
            .iter()
            .filter(|(kind, _)| *kind != "ConnectionLoss")
            .map(|(kind, count)| format!("{name}: {count} x {kind}"))
            .collect();
        if self.is_lost {
            wrong.push(format!("{name}: the session was lost"));
        }
        if self.sessions.len() != 2 || self.sessions[0] != self.sessions[1] {
            wrong.push(format!("{name}: sessions {:?}", self.sessions));
        }
        wrong
    }
}

fn hosts(addresses: &[SocketAddr]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

fn sources() -> PathBuf {
    workspace().join("compat-tests/clients")
}

fn prepared(name: &str) -> PathBuf {
    let path = target_directory().join("clients").join(name);
    assert!(path.exists(), "{} is missing: run `cargo xtask prerequisites`", path.display());
    path
}
