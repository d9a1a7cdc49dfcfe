//! Real clients, as their users use them: each program under `clients/` runs against a Java server and against ours,
//! checks its own expectations, and prints a transcript; the transcripts must be equal. What a client is and what it
//! does is in its own directory; here is only how one is built (offline) and run.
//!
//! What the tests need from outside is fetched by `cargo xtask prerequisites`; a missing thing fails the test.
//!
//! `OXKEEPER_CLIENT_SUBJECTS` names the two servers to compare (`java395`, `java380`, `oxkeeper`; default
//! `java395,oxkeeper`), so that the programs themselves can be tried on two Java versions.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use oxkeeper_compat_tests::subject::free_port;

/// A started server answers `srvr` within this, and a stopped one is gone within it.
const SERVER_DEADLINE: Duration = Duration::from_secs(60);
/// No client program takes longer, on a busy machine with two cores either.
const CLIENT_DEADLINE: Duration = Duration::from_secs(180);

/// `-D` properties that every subject gets: TTL nodes, reaping that a test can wait for, and the password of `super`
/// (`secret`).
const PROPERTIES: &[&str] = &[
    "-Dzookeeper.extendedTypesEnabled=true",
    "-Dznode.container.checkIntervalMs=200",
    "-Dzookeeper.DigestAuthenticationProvider.superDigest=super:lK75jTNcA+U9vtVEw5vB51mj/w4=",
];

/// How a subject is started on a given zoo.cfg.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Subject {
    /// The official server 3.9.5, the judge.
    Java395,
    /// Debian's server 3.8.0.
    Java380,
    Oxkeeper,
}

impl Subject {
    fn parse(name: &str) -> Self {
        match name {
            "java395" => Self::Java395,
            "java380" => Self::Java380,
            "oxkeeper" => Self::Oxkeeper,
            other => panic!("OXKEEPER_CLIENT_SUBJECTS: no subject {other:?}"),
        }
    }

    /// The judge and the judged.
    fn pair() -> [Self; 2] {
        let names = std::env::var("OXKEEPER_CLIENT_SUBJECTS").unwrap_or_else(|_| "java395,oxkeeper".into());
        let (judge, judged) = names.split_once(',').expect("OXKEEPER_CLIENT_SUBJECTS: two names and a comma");
        [Self::parse(judge), Self::parse(judged)]
    }

    fn command(self, zoo_cfg: &Path) -> Command {
        let java = |class_path: String| {
            let mut command = Command::new("java");
            command.args(["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData"]);
            command.args(PROPERTIES).arg("-cp").arg(class_path);
            command.arg("org.apache.zookeeper.server.quorum.QuorumPeerMain");
            command
        };
        let mut command = match self {
            Self::Java395 => java(format!("{}/*", prepared("java-3.9").display())),
            Self::Java380 => java("/etc/zookeeper/conf_example:/usr/share/java/zookeeper.jar".into()),
            Self::Oxkeeper => {
                let mut command = Command::new(oxkeeper());
                command.args(PROPERTIES);
                command
            }
        };
        command.arg(zoo_cfg);
        command
    }
}

fn target() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("target directory").to_path_buf()
}

fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients")
}

/// Something that `cargo xtask prerequisites` fetched.
fn prepared(name: &str) -> PathBuf {
    let path = target().join("clients").join(name);
    assert!(path.exists(), "{} is missing: run `cargo xtask prerequisites`", path.display());
    path
}

/// Our server: `OXKEEPER_BINARY`, or the release build of this target directory.
fn oxkeeper() -> PathBuf {
    let path = std::env::var_os("OXKEEPER_BINARY").map_or_else(|| target().join("release/oxkeeper"), PathBuf::from);
    assert!(path.exists(), "{} is missing: run `cargo build --release`", path.display());
    path
}

/// A directory that goes when it is dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("oxkeeper-clients-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).expect("scratch directory");
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A child that does not outlive its owner.
struct Running(Child);

impl Running {
    /// SIGTERM, then SIGKILL when that takes too long.
    fn stop(&mut self) {
        let pid = self.0.id().to_string();
        let _ = Command::new("kill").args(["-TERM", &pid]).status();
        let end = Instant::now() + SERVER_DEADLINE;
        while Instant::now() < end {
            if self.0.try_wait().expect("wait for a child").is_some() {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
        self.kill();
        panic!("a server did not stop on SIGTERM");
    }

    fn kill(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

/// One server on one data directory; it may be stopped and started again.
struct Server {
    subject: Subject,
    port: u16,
    log: PathBuf,
    running: Option<Running>,
    scratch: Scratch,
}

impl Server {
    fn new(subject: Subject, name: &str) -> Self {
        let scratch = Scratch::new(&format!("{name}-{subject:?}"));
        let port = free_port();
        let data = scratch.0.join("data");
        let config = format!(
            "dataDir={}\nclientPort={port}\nclientPortAddress=127.0.0.1\ntickTime=500\nmaxSessionTimeout=60000\n\
             admin.enableServer=false\n4lw.commands.whitelist=*\n",
            data.display()
        );
        fs::write(scratch.0.join("zoo.cfg"), config).expect("zoo.cfg");
        let log = out().join(format!("{name}.{subject:?}.server.log"));
        let _ = fs::remove_file(&log);
        let mut server = Self { subject, port, log, running: None, scratch };
        server.start();
        server
    }

    fn host_port(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    fn start(&mut self) {
        assert!(self.running.is_none(), "started twice");
        let log = File::options().create(true).append(true).open(&self.log).expect("server log");
        let mut command = self.subject.command(&self.scratch.0.join("zoo.cfg"));
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("server log")).stderr(log);
        let mut running = Running(command.current_dir(&self.scratch.0).spawn().expect("start a server"));
        let end = Instant::now() + SERVER_DEADLINE;
        while !four_letters(self.port, "srvr").is_ok_and(|answer| answer.contains("Mode: standalone")) {
            if let Some(status) = running.0.try_wait().expect("wait for a server") {
                panic!("{:?} ended with {status}; see {}", self.subject, self.log.display());
            }
            assert!(Instant::now() < end, "{:?} does not answer; see {}", self.subject, self.log.display());
            // Not often: a Java server asked while it starts now and then leaves another connection without an answer.
            thread::sleep(Duration::from_millis(1_000));
        }
        self.running = Some(running);
    }

    fn stop(&mut self) {
        self.running.take().expect("stopped twice").stop();
    }

    fn obey(&mut self, wish: &str) {
        match wish {
            "stop" => self.stop(),
            "start" => self.start(),
            "restart" => {
                self.stop();
                self.start();
            }
            other => panic!("a client asks for {other:?}"),
        }
    }
}

fn four_letters(port: u16, word: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(word.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// Where transcripts and logs stay, for whoever looks for the reason of a difference.
fn out() -> PathBuf {
    let path = target().join("clients/out");
    fs::create_dir_all(&path).expect("directory of transcripts");
    path
}

/// Runs a program to its end and returns what it printed. A line `@stop`, `@start` or `@restart` is a wish about the
/// server, answered by a line on its input, and no part of the transcript.
fn converse(mut command: Command, server: &mut Server, name: &str) -> String {
    let log = out().join(format!("{name}.{:?}.client.log", server.subject));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(File::create(&log).expect("client log"));
    let mut child = Running(command.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}")));
    let mut answers = child.0.stdin.take().expect("input of a client");
    let output = child.0.stdout.take().expect("output of a client");
    let (sender, lines) = mpsc::channel();
    let reader = thread::spawn(move || {
        for line in BufReader::new(output).split(b'\n') {
            let line = String::from_utf8_lossy(&line.expect("output of a client")).into_owned();
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    let end = Instant::now() + CLIENT_DEADLINE;
    let mut transcript = String::new();
    loop {
        match lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
            Ok(line) => match line.strip_prefix('@') {
                Some(wish) => {
                    server.obey(wish);
                    writeln!(answers, "done").expect("answer a client");
                }
                None => writeln!(transcript, "{line}").expect("write to a string"),
            },
            Err(mpsc::RecvTimeoutError::Disconnected) => break,
            Err(mpsc::RecvTimeoutError::Timeout) => {
                keep(name, server.subject, &transcript);
                panic!("{name} on {:?} does not end; it said last:\n{}", server.subject, tail(&transcript));
            }
        }
    }
    reader.join().expect("reader of a client");
    let status = child.0.wait().expect("wait for a client");
    keep(name, server.subject, &transcript);
    assert!(
        status.success(),
        "{name} on {:?} ended with {status} after:\n{}\nand wrote to {}:\n{}",
        server.subject,
        tail(&transcript),
        log.display(),
        tail(&fs::read_to_string(&log).unwrap_or_default())
    );
    transcript
}

fn keep(name: &str, subject: Subject, transcript: &str) {
    fs::write(out().join(format!("{name}.{subject:?}.txt")), transcript).expect("keep a transcript");
}

/// The last lines of a text.
fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(25)..].join("\n")
}

/// The first difference of two transcripts, with what came before it.
fn difference(judge: &str, judged: &str) -> Option<String> {
    let left: Vec<&str> = judge.lines().collect();
    let right: Vec<&str> = judged.lines().collect();
    let at = (0..left.len().max(right.len())).find(|&i| left.get(i) != right.get(i))?;
    let mut text = String::new();
    for line in &left[at.saturating_sub(5)..at] {
        writeln!(text, "  {line}").expect("write to a string");
    }
    for (sign, side) in [('-', &left), ('+', &right)] {
        for line in side.iter().skip(at).take(5) {
            writeln!(text, "{sign} {line}").expect("write to a string");
        }
    }
    Some(format!("line {} (- judge, + judged):\n{text}", at + 1))
}

/// Runs a client on both subjects, each on a fresh server, and compares.
fn same_on_both(name: &str, run: impl Fn(&mut Server) -> String) {
    let transcripts = Subject::pair().map(|subject| {
        let mut server = Server::new(subject, name);
        let transcript = run(&mut server);
        if server.running.is_some() {
            server.stop();
        }
        transcript
    });
    // A client that stops early, or prints nothing, must not pass by being equal.
    assert!(transcripts[0].lines().count() >= 10, "{name}: a transcript of {} lines", transcripts[0].lines().count());
    if let Some(difference) = difference(&transcripts[0], &transcripts[1]) {
        panic!("{name}: {:?} differ at {difference}", Subject::pair());
    }
}

/// Builders share caches, and two cores: one at a time.
static BUILD: Mutex<()> = Mutex::new(());

fn build(mut command: Command) {
    let _alone = BUILD.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    assert!(
        output.status.success(),
        "{command:?} failed:\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Compiles `clients/<source>/src/*.java` against a prepared directory of jars and returns the command that runs
/// class `Observe`.
fn java_program(source: &str, jars: &str) -> Command {
    let jars = prepared(jars);
    let classes = target().join("clients").join(format!("classes-{}", jars.file_name().expect("name").to_string_lossy()));
    fs::create_dir_all(&classes).expect("directory of classes");
    let mut compile = Command::new("javac");
    compile.arg("-nowarn").arg("-d").arg(&classes).arg("-cp").arg(format!("{}/*", jars.display()));
    for entry in fs::read_dir(sources().join(source).join("src")).expect("sources of a client") {
        compile.arg(entry.expect("source of a client").path());
    }
    build(compile);
    let mut run = Command::new("java");
    run.args(["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData"]);
    run.arg(format!("-Dlogback.configurationFile={}", sources().join("java/logback.xml").display())).arg("-cp");
    run.arg(format!("{}:{}/*", classes.display(), jars.display())).arg("Observe");
    run
}

fn with_argument(program: impl Fn() -> Command) -> impl Fn(&mut Server, &str) -> String {
    move |server, name| {
        let mut command = program();
        command.arg(server.host_port());
        converse(command, server, name)
    }
}

#[test]
fn official_java_client_3_9() {
    let name = "java-3.9";
    same_on_both(name, |server| with_argument(|| java_program("java", "java-3.9"))(server, name));
}

#[test]
fn official_java_client_3_8() {
    let name = "java-3.8";
    same_on_both(name, |server| with_argument(|| java_program("java", "java-3.8"))(server, name));
}

#[test]
fn curator() {
    let name = "curator";
    same_on_both(name, |server| with_argument(|| java_program("curator", "curator"))(server, name));
}

#[test]
fn kazoo() {
    let name = "kazoo";
    same_on_both(name, |server| {
        let mut command = Command::new(prepared("venv/bin/python"));
        command.arg("-B").arg(sources().join("kazoo/observe.py")).arg(server.host_port());
        converse(command, server, name)
    });
}

#[test]
fn go_zookeeper() {
    let name = "go";
    let program = target().join("clients/go-observe");
    let mut compile = Command::new("go");
    compile.args(["build", "-o"]).arg(&program).arg(".").current_dir(sources().join("go"));
    build(compile);
    same_on_both(name, |server| with_argument(|| Command::new(&program))(server, name));
}

#[test]
fn node_zookeeper_client() {
    let name = "node";
    same_on_both(name, |server| {
        let mut command = Command::new("node");
        command.env("NODE_PATH", prepared("node/node_modules"));
        command.arg(sources().join("node/observe.js")).arg(server.host_port());
        converse(command, server, name)
    });
}

#[test]
fn rust_zookeeper_client() {
    let name = "rust";
    let directory = target().join("clients/rust");
    let mut compile = Command::new(env!("CARGO"));
    compile.args(["build", "--quiet", "--offline", "--locked", "--target-dir"]).arg(&directory);
    // What cargo says to this test is not meant for another workspace's build.
    compile.env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS").current_dir(sources().join("rust"));
    build(compile);
    let program = directory.join("debug/zookeeper-client-observe");
    same_on_both(name, |server| with_argument(|| Command::new(&program))(server, name));
}

/// Words that differ from run to run in what a command-line client prints.
fn masked(line: &str, server: &Server) -> String {
    let mut line = line.replace(&server.host_port(), "HOST:PORT");
    for label in ["ctime = ", "mtime = ", "\tctime = ", "\tmtime=", "Got a new session id: ", "session Id = ", "time = "] {
        if line.starts_with(label) {
            line = format!("{label}(masked)");
        }
    }
    // A list that the server leaves unordered.
    if let Some(list) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        let mut words: Vec<&str> = list.split(", ").collect();
        words.sort_unstable();
        line = format!("[{}]", words.join(", "));
    }
    // A session id as a Stat shows it, `0x1000...` or `1000...`: 15 digits, where a container and a TTL have 16.
    if let Some(owner) = line.trim_start().strip_prefix("ephemeralOwner = ")
        && owner.trim_start_matches("0x").len() == 15
    {
        line = "ephemeralOwner = (a session)".into();
    }
    line
}

/// A command-line client that reads commands from its input. `paced` says whether to wait for the answer to each. A
/// line `@until TEXT` is no command: it waits until the client prints a line that begins with `TEXT`.
fn dialogue(mut command: Command, script: &str, server: &mut Server, name: &str, paced: bool) -> Vec<String> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    let mut child = Running(command.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}")));
    let mut input = child.0.stdin.take().expect("input of a client");
    let output = child.0.stdout.take().expect("output of a client");
    let (sender, lines) = mpsc::channel();
    let reader = thread::spawn(move || {
        for line in BufReader::new(output).split(b'\n') {
            let line = line.expect("output of a client");
            if sender.send(String::from_utf8_lossy(&line).trim_end().to_owned()).is_err() {
                break;
            }
        }
    });
    let end = Instant::now() + CLIENT_DEADLINE;
    let mut said = Vec::new();
    // Takes what comes: at least one line, then until nothing follows at once.
    let take = |said: &mut Vec<String>, first: Duration| {
        let mut patience = first;
        while let Ok(line) = lines.recv_timeout(patience) {
            said.push(line);
            patience = Duration::from_millis(50);
        }
    };
    if paced {
        take(&mut said, Duration::from_secs(20));
    }
    for line in script.lines() {
        if let Some(text) = line.strip_prefix("@until ") {
            loop {
                let Ok(line) = lines.recv_timeout(end.saturating_duration_since(Instant::now())) else {
                    panic!("{name} does not print {text:?}; it said last:\n{}", tail(&said.join("\n")));
                };
                let found = line.starts_with(text);
                said.push(line);
                if found {
                    break;
                }
            }
            continue;
        }
        writeln!(input, "{}", line.replace("@HOSTPORT@", &server.host_port())).expect("command to a client");
        input.flush().expect("command to a client");
        if paced {
            let silent = line.starts_with("addauth") || line == "verbose" || line == "quit";
            take(&mut said, Duration::from_millis(if silent { 100 } else { 2_000 }));
        }
    }
    drop(input);
    loop {
        match lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
            Ok(line) => said.push(line),
            Err(mpsc::RecvTimeoutError::Disconnected) => break,
            Err(mpsc::RecvTimeoutError::Timeout) => panic!("{name} does not end; it said last:\n{}", tail(&said.join("\n"))),
        }
    }
    reader.join().expect("reader of a client");
    let status = child.0.wait().expect("wait for a client");
    said.push(format!("exit code {:?}", status.code()));
    let mut lines: Vec<String> = said.iter().map(|line| masked(line, server)).collect();
    lines.retain(|line| !line.is_empty() && !line.starts_with("SLF4J"));
    // `ls` of cli_mt: one child a line, in the order of the server's table.
    for names in lines.chunk_by_mut(|a, b| [a, b].iter().all(|line| line.starts_with('\t') && !line.contains('='))) {
        names.sort();
    }
    lines
}

/// Two threads print: between which lines of the other is chance, the order within each is not.
fn one_thread_last(lines: Vec<String>, begins: &[&str]) -> String {
    let (apart, rest): (Vec<_>, Vec<_>) = lines.into_iter().partition(|line| begins.iter().any(|begin| line.starts_with(begin)));
    format!("{}\n== {}\n{}\n", rest.join("\n"), begins.join(", "), apart.join("\n"))
}

/// Watch events are printed by a thread of their own.
fn events_last(mut lines: Vec<String>) -> String {
    lines.retain(|line| line != "WATCHER::");
    one_thread_last(lines, &["WatchedEvent "])
}

/// Replaces the zxids of Stats by their rank among those shown. A one-shot zkCli leaves its session to expire, and how
/// many have done so when the next one writes, each taking a zxid, depends on how busy the machine is.
fn zxids_ranked(transcript: &str) -> String {
    let zxid = |line: &str| -> Option<(String, u64)> {
        let (label, zxid) = line.split_once("Zxid = 0x")?;
        Some((format!("{label}Zxid"), u64::from_str_radix(zxid, 16).ok()?))
    };
    let shown: BTreeSet<u64> = transcript.lines().filter_map(|line| Some(zxid(line)?.1)).collect();
    let mut ranked = String::new();
    for line in transcript.lines() {
        match zxid(line) {
            Some((label, zxid)) => writeln!(ranked, "{label} is number {} of those shown", shown.range(..=zxid).count()),
            None => writeln!(ranked, "{line}"),
        }
        .expect("write to a string");
    }
    ranked
}

fn zk_cli(server: &Server) -> Command {
    let mut command = Command::new("sh");
    // Some answers of zkCli go to its error stream; as on a terminal, both are read here.
    command.args(["-c", "exec \"$0\" \"$@\" 2>&1", "/usr/share/zookeeper/bin/zkCli.sh", "-server", &server.host_port()]);
    command.env("CLIENT_JVMFLAGS", "-Xmx128m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -XX:-UsePerfData -Dfile.encoding=UTF-8");
    command
}

#[test]
fn zk_cli_interactive() {
    let name = "zkcli-interactive";
    let script = fs::read_to_string(sources().join("zkcli/interactive.txt")).expect("script");
    same_on_both(name, |server| {
        let transcript = events_last(dialogue(zk_cli(server), &script, server, name, false));
        keep(name, server.subject, &transcript);
        transcript
    });
}

#[test]
fn zk_cli_one_shot() {
    let name = "zkcli-oneshot";
    let script = fs::read_to_string(sources().join("zkcli/oneshot.txt")).expect("script");
    same_on_both(name, |server| {
        let mut transcript = String::new();
        for line in script.lines() {
            let mut command = zk_cli(server);
            // Without it a command that asks the server for nothing ends by chance before or after there is a session,
            // and its event is printed by chance before, after or amid the answer.
            command.arg("-waitforconnection").args(line.split(' '));
            writeln!(transcript, "$ {line}").expect("write to a string");
            transcript += &events_last(dialogue(command, "", server, name, false));
        }
        let transcript = zxids_ranked(&transcript);
        keep(name, server.subject, &transcript);
        transcript
    });
}

#[test]
fn cli_mt() {
    let name = "cli_mt";
    let script = fs::read_to_string(sources().join("cli_mt/script.txt")).expect("script");
    same_on_both(name, |server| {
        let mut command = Command::new("sh");
        command.args(["-c", "exec stdbuf -oL /usr/lib/zookeeper/bin/cli_mt \"$0\" 2>&1", &server.host_port()]);
        // What is asked is printed by the thread that asks, the answer by the one that waits.
        let asks = ["Creating [", "Path must start with ", "session Id = "];
        let transcript = one_thread_last(dialogue(command, &script, server, name, true), &asks);
        keep(name, server.subject, &transcript);
        transcript
    });
}
