//! The command line: Java's zkCli 3.9.5 and `oxkeeper cli` are given the same words, each on a fresh server; what they
//! print on either stream, in what order, and their exit codes must be equal. Then what only ours can do.
//!
//! Times, session ids and the server's port are masked; events are compared in an order of their own, since Java prints
//! them from another thread.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use oxkeeper_compat_tests::subject::{Options, Server, Subject, TemporaryDirectory, class_path, oxkeeper_program, workspace};

/// No program here takes longer, on a busy machine either.
const DEADLINE: Duration = Duration::from_secs(120);

/// Whose command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cli {
    /// The judge.
    Java,
    Ours,
}

impl Cli {
    fn command(self) -> Command {
        match self {
            Cli::Java => java("org.apache.zookeeper.ZooKeeperMain", None),
            Cli::Ours => {
                let mut command = Command::new(oxkeeper_program());
                command.arg("cli");
                command
            }
        }
    }
}

fn sources() -> PathBuf {
    workspace().join("compat-tests/clients/zkcli")
}

fn script(name: &str) -> String {
    let path = sources().join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn java(class: &str, classes: Option<&Path>) -> Command {
    let mut command = Command::new("java");
    command.args(["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData", "-Dfile.encoding=UTF-8"]);
    command.arg(format!("-Dlogback.configurationFile={}", sources().join("logback.xml").display()));
    let classes = classes.map(|path| format!("{}:", path.display())).unwrap_or_default();
    command.arg("-cp").arg(format!("{classes}{}", class_path(Subject::Java39))).arg(class);
    command
}

fn server(subject: Subject) -> Server {
    // All of Java's runs keep their connection until the JVM ends.
    let options = Options::usual().property("zookeeper.extendedTypesEnabled", "true").line("tickTime", "2000").line("maxClientCnxns", "0");
    Server::start(subject, &options)
}

fn host_port(server: &Server) -> String {
    format!("127.0.0.1:{}", server.port)
}

/// A line without what differs from run to run.
fn masked(line: &str, server: &str) -> String {
    let line = line.trim_end().replace(server, "HOST:PORT");
    for label in ["ctime = ", "mtime = ", "ZooKeeper CLI version: 3.9.5-"] {
        if line.starts_with(label) {
            return format!("{label}(masked)");
        }
    }
    // A session's id has 15 digits, the owner of a container or of a znode with a time to live has 16.
    match line.strip_prefix("ephemeralOwner = 0x") {
        Some(owner) if owner.len() == 15 => "ephemeralOwner = (a session)".to_owned(),
        _ => line,
    }
}

/// What belongs to Java's way of dying, and empty lines, which go with the events.
fn is_noise(line: &str) -> bool {
    line.is_empty() || line == "WATCHER::" || line.starts_with("\tat ") || line.starts_with("\t... ") || line.starts_with("Caused by: ")
}

/// What a run said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Said {
    out: Vec<String>,
    err: Vec<String>,
    events: Vec<String>,
    code: Option<i32>,
}

impl Said {
    fn new(out: &str, err: &str, code: Option<i32>, server: &str) -> Said {
        let lines = |text: &str| -> Vec<String> { text.lines().map(|line| masked(line, server)).filter(|line| !is_noise(line)).collect() };
        let (events, out) = lines(out).into_iter().partition(|line| line.starts_with("WatchedEvent "));
        Said { out, err: lines(err), events, code }
    }
}

/// A child that does not outlive its owner.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Reads a stream to its end on a thread of its own, line by line.
fn lines_of(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stream).split(b'\n') {
            let Ok(line) = line else { break };
            if sender.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                break;
            }
        }
    });
    lines
}

/// Types a script into a program. `@until TEXT` waits for a line of the output that begins so.
fn talk(mut command: Command, script: &str, server: &str) -> Said {
    let mut child =
        Running(command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("start a command line"));
    let mut input = child.0.stdin.take().expect("input");
    let (out, err) = (lines_of(child.0.stdout.take().expect("output")), lines_of(child.0.stderr.take().expect("errors")));
    let end = Instant::now() + DEADLINE;
    let mut said = Vec::new();
    for line in script.lines() {
        let Some(awaited) = line.strip_prefix("@until ") else {
            // A program that has ended reads no more, which the exit code tells.
            let _ = writeln!(input, "{}", line.replace("@HOSTPORT@", server));
            continue;
        };
        loop {
            let Ok(line) = out.recv_timeout(end.saturating_duration_since(Instant::now())) else {
                panic!("{command:?} does not print {awaited:?}; it said last:\n{}", said[said.len().saturating_sub(25)..].join("\n"));
            };
            let is_found = line.starts_with(awaited);
            said.push(line);
            if is_found {
                break;
            }
        }
    }
    drop(input);
    loop {
        match out.recv_timeout(end.saturating_duration_since(Instant::now())) {
            Ok(line) => said.push(line),
            Err(mpsc::RecvTimeoutError::Disconnected) => break,
            Err(mpsc::RecvTimeoutError::Timeout) => {
                panic!("{command:?} does not end; it said last:\n{}", said[said.len().saturating_sub(25)..].join("\n"))
            }
        }
    }
    let err: Vec<String> = err.iter().collect();
    let code = child.0.wait().expect("wait").code();
    Said::new(&said.join("\n"), &err.join("\n"), code, server)
}

/// Splits a line of a script into words: at blanks, except in quotes that a word begins with.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = line.trim_start();
    while let Some(first) = rest.chars().next() {
        let (word, after) = match first {
            '"' | '\'' => rest[1..].split_once(first).expect("a closing quote"),
            _ => rest.split_once(' ').unwrap_or((rest, "")),
        };
        words.push(word.to_owned());
        rest = after.trim_start();
    }
    words
}

/// Runs zkCli once for each line, and gives what each run said.
fn one_shots(cli: Cli, server: &Server, lines: &[&str]) -> Vec<Said> {
    let address = host_port(server);
    // The connection first: else a command that asks the server for nothing ends before or after there is a session.
    let with_options = |line: &str| {
        let options = ["-server", &address, "-timeout", "60000", "-waitforconnection"];
        options.iter().map(|word| (*word).to_owned()).chain(words(line)).collect::<Vec<String>>()
    };
    match cli {
        Cli::Ours => {
            let run = |line: &&str| {
                let output = cli.command().args(with_options(line)).stdin(Stdio::null()).output().expect("run oxkeeper cli");
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                Said::new(&text(&output.stdout), &text(&output.stderr), output.status.code(), &address)
            };
            lines.iter().map(run).collect()
        }
        Cli::Java => {
            let directory = TemporaryDirectory::new();
            let mut compile = Command::new("javac");
            compile.arg("-nowarn").arg("-d").arg(&directory.path).arg("-cp").arg(class_path(Subject::Java39));
            let output = compile.arg(sources().join("OneShots.java")).output().expect("javac");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            let input: String = lines.iter().map(|line| with_options(line).join("\t") + "\n").collect();
            let mut command = java("OneShots", Some(&directory.path));
            let mut child = Running(command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("java"));
            let mut stdin = child.0.stdin.take().expect("input");
            let (out, err) = (lines_of(child.0.stdout.take().expect("output")), lines_of(child.0.stderr.take().expect("errors")));
            stdin.write_all(input.as_bytes()).expect("lines for java");
            drop(stdin);
            let end = Instant::now() + DEADLINE;
            let part = |stream: &Receiver<String>, number: usize| {
                let mut text = String::new();
                loop {
                    let left = end.saturating_duration_since(Instant::now());
                    let line = stream.recv_timeout(left).unwrap_or_else(|_| panic!("java stops at {:?} after:\n{text}", lines[number]));
                    match line.strip_prefix(&format!("== {number} ")) {
                        Some(code) => return (text, code.parse().expect("an exit code")),
                        None => text += &(line + "\n"),
                    }
                }
            };
            let run = |number| {
                let ((out, code), (err, _)) = (part(&out, number), part(&err, number));
                Said::new(&out, &err, Some(code), &address)
            };
            (0..lines.len()).map(run).collect()
        }
    }
}

/// Replaces the zxids of Stats by their rank among those shown: sessions that expire take zxids of their own.
fn rank_zxids(said: &mut [Said]) {
    let zxid = |line: &str| -> Option<(String, u64)> {
        let (label, zxid) = line.split_once("Zxid = 0x")?;
        Some((label.to_owned(), u64::from_str_radix(zxid, 16).ok()?))
    };
    let shown: BTreeSet<u64> = said.iter().flat_map(|said| &said.out).filter_map(|line| Some(zxid(line)?.1)).collect();
    for line in said.iter_mut().flat_map(|said| &mut said.out) {
        if let Some((label, zxid)) = zxid(line) {
            *line = format!("{label}Zxid is number {} of those shown", shown.range(..=zxid).count());
        }
    }
}

fn assert_equal(what: &str, judge: &[String], judged: &[String]) {
    let Some(at) = (0..judge.len().max(judged.len())).find(|&at| judge.get(at) != judged.get(at)) else { return };
    let around = |lines: &[String]| lines[at.saturating_sub(6).min(lines.len())..(at + 4).min(lines.len())].join("\n");
    panic!("{what} differs at line {}\n- Java:\n{}\n+ ours:\n{}", at + 1, around(judge), around(judged));
}

fn commands(script: &str) -> Vec<&str> {
    script.lines().filter(|line| !line.starts_with('@')).collect()
}

#[test]
fn every_command_alone() {
    let (everything, uncaught) = (script("everything.txt"), script("uncaught.txt"));
    let lines: Vec<&str> = commands(&everything).into_iter().chain(commands(&uncaught)).collect();
    let [judge, judged] = [Cli::Java, Cli::Ours].map(|cli| {
        let mut said = one_shots(cli, &server(Subject::Oxkeeper), &lines);
        rank_zxids(&mut said);
        for said in &mut said {
            // Java's runs all live in one JVM, and see what later ones do.
            said.events.clear();
        }
        said
    });
    let mut differences = String::new();
    for ((line, judge), judged) in lines.iter().zip(&judge).zip(&judged) {
        if judge != judged {
            differences += &format!("$ {line}\n- {judge:?}\n+ {judged:?}\n");
        }
    }
    assert!(differences.is_empty(), "{differences}");
    let failed = judge.iter().filter(|said| said.code != Some(0)).count();
    assert!(lines.len() > 250 && failed > 100, "{} commands, {failed} refused: the script is not what it was", lines.len());
}

/// One script in the shells of both, on a server of each kind.
fn same_shell(name: &str, exit_code: i32) {
    let script = script(name);
    let mut all = Vec::new();
    for subject in [Subject::Oxkeeper, Subject::Java39] {
        let [judge, judged] = [Cli::Java, Cli::Ours].map(|cli| {
            let server = server(subject);
            let mut command = cli.command();
            command.arg("-server").arg(host_port(&server));
            talk(command, &script, &host_port(&server))
        });
        let on = |stream: &str| format!("{name} on {subject}: {stream}");
        assert_equal(&on("standard output"), &judge.out, &judged.out);
        assert_equal(&on("standard error"), &judge.err, &judged.err);
        assert_equal(&on("events"), &judge.events, &judged.events);
        assert_eq!((judge.code, judged.code), (Some(exit_code), Some(exit_code)), "{name} on {subject}");
        all.push(judge);
    }
    assert!(all.iter().all(|said| said.out.len() > 50 && said.err.len() > 5), "{name}: there is too little in it");
}

#[test]
fn every_command_in_the_shell() {
    same_shell("everything.txt", 0);
}

#[test]
fn the_shell_itself_watches_and_sessions() {
    same_shell("shell.txt", 1);
}

#[test]
fn an_exception_ends_a_shell_without_a_terminal() {
    let server = server(Subject::Oxkeeper);
    let script = "@until WatchedEvent state:SyncConnected\ncreate /x\ndelete -v x /x\ndelete /x\n";
    for cli in [Cli::Java, Cli::Ours] {
        let mut command = cli.command();
        command.arg("-server").arg(host_port(&server));
        let said = talk(command, script, &host_port(&server));
        assert_eq!(said.code, Some(1), "{cli:?}");
        let last = said.err.last().map(String::as_str);
        assert_eq!(last, Some("Exception in thread \"main\" java.lang.NumberFormatException: For input string: \"x\""), "{cli:?}");
        // The last line was not done.
        let output = run(&server, &["delete", "/x"]);
        assert_eq!(output.code, Some(0), "{cli:?}: {output:?}");
    }
}

#[test]
fn what_cannot_be_reached_or_read_is_said_in_a_line() {
    let alone = |cli: Cli, words: &[&str]| {
        let output = cli.command().args(words).stdin(Stdio::null()).output().expect("run a command line");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Said::new(&text(&output.stdout), &text(&output.stderr), output.status.code(), "no server")
    };
    // Words, and whether nobody was reached: then ours says why, too.
    let cases: &[(&[&str], bool)] = &[
        (&["-server", "127.0.0.1:1", "ls", "/"], true),
        (&["-server", "127.0.0.1:1", "version"], false),
        (&["-server", "127.0.0.1:1", "-waitforconnection", "-timeout", "500", "ls", "/"], true),
        (&["-server", "nobody.invalid:1", "get", "/a"], true),
        (&["-server", "127.0.0.1:1/bad/", "ls", "/"], false),
        (&["-server", "127.0.0.1:x", "ls", "/"], false),
        (&["-server", "", "ls", "/"], false),
        (&["-timeout", "soon", "ls", "/"], false),
        (&["-server"], false),
    ];
    for (words, is_unreachable) in cases {
        let (judge, mut judged) = (alone(Cli::Java, words), alone(Cli::Ours, words));
        let reasons = judged.err.iter().filter(|line| line.starts_with("oxkeeper cli: ")).count();
        assert!(!is_unreachable || reasons > 0, "{words:?} gives no reason: {judged:?}");
        judged.err.retain(|line| !line.starts_with("oxkeeper cli: "));
        assert_eq!(judge, judged, "{words:?}");
    }
    let words = &["-client-configuration", "/no/such/file", "ls", "/"];
    let (judge, judged) = (alone(Cli::Java, words), alone(Cli::Ours, words));
    assert_eq!((judge.code, judged.code), (Some(2), Some(2)));
    assert_eq!(judged.err, ["Error while processing /no/such/file: No such file or directory"]);
}

/// Runs ours once.
fn run(server: &Server, words: &[&str]) -> Said {
    let address = host_port(server);
    let output = Cli::Ours.command().args(["-server", &address]).args(words).stdin(Stdio::null()).output().expect("run oxkeeper cli");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Said::new(&text(&output.stdout), &text(&output.stderr), output.status.code(), &address)
}

#[test]
fn json_in_place_of_text() {
    let server = server(Subject::Java39);
    for (words, line) in [
        (&["create", "/j", "data"][..], r#"{"created":"/j"}"#),
        (&["create", "/j/ü", "grüße \"x\""], r#"{"created":"/j/ü"}"#),
        (&["set", "-b", "/j", "/w=="], ""),
        (&["get", "/j"], r#"{"dataBase64":"/w==","path":"/j"}"#),
        (&["get", "/j/ü"], r#"{"data":"grüße \"x\"","path":"/j/ü"}"#),
        (&["ls", "/j"], r#"{"children":["ü"],"path":"/j"}"#),
        (&["getAcl", "/j"], r#"{"acl":[{"id":"anyone","perms":"cdrwa","scheme":"world"}],"path":"/j"}"#),
        (&["getAllChildrenNumber", "/j"], r#"{"number":1,"path":"/j"}"#),
        (&["getEphemerals"], r#"{"ephemerals":[],"prefix":"/"}"#),
        (&["sync", "/j"], r#"{"path":"/j","rc":0}"#),
        (&["whoami"], r#"[{"scheme":"ip","user":"127.0.0.1"}]"#),
        (&["deleteall", "/j"], r#"{"complete":true,"count":2,"deleted":"/j"}"#),
    ] {
        let said = run(&server, &[&["--json"], words].concat());
        assert_eq!((said.code, said.err.as_slice()), (Some(0), &[] as &[String]), "{words:?}");
        assert_eq!(said.out.len(), 1, "{words:?}: {said:?}");
        let value = &said.out[0];
        assert!(line.is_empty() || value == line, "{words:?}: {value}");
    }
    let failed = run(&server, &["--json", "get", "/none"]);
    assert_eq!(failed.code, Some(1));
    assert_eq!(failed.err, [r#"{"code":-101,"error":"NoNode","message":"Node does not exist: /none","path":"/none"}"#]);
}

#[test]
fn a_subtree_is_drawn_exported_and_imported() {
    let (from, to) = (server(Subject::Oxkeeper), server(Subject::Java39));
    let directory = TemporaryDirectory::new();
    let file = |name: &str| directory.path.join(name).display().to_string();
    for words in [
        &["create", "/s", "root"][..],
        &["create", "/s/null"],
        &["create", "/s/empty", ""],
        &["create", "-c", "/s/box"],
        &["create", "/s/box/in", "x", "world:anyone:cr,ip:127.0.0.1:cdrwa"],
        &["create", "-t", "3600000", "/s/ttl", "t"],
        &["create", "/s/bytes"],
        &["set", "-b", "/s/bytes", "AP+A"],
        &["create", "-e", "/s/eph"],
        &["create", "/s/ümlaut", "grüße"],
    ] {
        assert_eq!(run(&from, words).code, Some(0), "{words:?}");
    }
    let drawn = run(&from, &["tree", "/s"]);
    let tree = ["/s", "├── box", "│   └── in", "├── bytes", "├── empty", "├── eph", "├── null", "├── ttl", "└── ümlaut", "9 znodes"];
    assert_eq!(drawn.out[1..], tree);
    assert_eq!(run(&from, &["tree", "-d", "1", "/s"]).out.len(), tree.len());

    let exported = run(&from, &["export", "/s", &file("a")]);
    assert_eq!((exported.code, exported.out.last()), (Some(0), Some(&format!("Exported 8 znodes of /s to {}", file("a")))));
    let imported = run(&to, &["import", &file("a"), "/copy"]);
    assert_eq!(imported.out.last().map(String::as_str), Some("Imported 8 znodes into /copy, replaced 0, left out 0 ephemeral ones"));
    let again = run(&to, &["export", "/copy", &file("b")]);
    assert_eq!(again.code, Some(0));
    let lines = |name| fs::read_to_string(file(name)).expect("an export").lines().skip(1).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(lines("a"), lines("b"));
    assert_eq!(lines("a").len(), 9);

    // What is there is left alone, unless it is to be replaced.
    assert_eq!(run(&to, &["set", "/copy/empty", "changed"]).code, Some(0));
    let refused = run(&to, &["import", &file("a"), "/copy"]);
    assert_eq!((refused.code, refused.err), (Some(1), vec!["Node already exists: /copy".to_owned()]));
    let replaced = run(&to, &["import", "-f", &file("a"), "/copy"]);
    assert_eq!(replaced.out.last().map(String::as_str), Some("Imported 0 znodes into /copy, replaced 8, left out 0 ephemeral ones"));
    assert_eq!(run(&to, &["get", "/copy/empty"]).out.get(1).map(String::as_str), None);

    fs::write(directory.path.join("no-export"), "{}\n").expect("a file");
    let whole = fs::read_to_string(file("a")).expect("an export");
    let (cut, _) = whole.trim_end().rsplit_once('\n').expect("lines");
    fs::write(directory.path.join("cut-off"), cut).expect("a file");
    for (words, reason) in [
        (["import", &file("missing"), "/x"], "No such file or directory"),
        (["import", &file("no-export"), "/x"], "line 1: no export"),
        (["import", &file("cut-off"), "/x"], "was cut off after 8 znodes"),
        (["export", "/s", "/no/such/directory/file"], "No such file or directory"),
    ] {
        let said = run(&to, &words);
        assert!(said.code == Some(1) && said.err.len() == 1 && said.err[0].contains(reason), "{words:?}: {said:?}");
    }
    // And nothing of it has been done.
    assert_eq!(run(&to, &["stat", "/x"]).code, Some(1));
}

#[test]
fn a_watch_that_stays() {
    let server = server(Subject::Oxkeeper);
    assert_eq!(run(&server, &["create", "/w"]).code, Some(0));
    let mut command = Cli::Ours.command();
    command.args(["-server", &host_port(&server), "--json", "watch", "-d", "-n", "4", "/w"]);
    let mut child = Running(command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("start a watch"));
    let lines = lines_of(child.0.stdout.take().expect("output"));
    // There is a watch when the server counts one.
    let end = Instant::now() + DEADLINE;
    while !four_letters(&server, "wchs").contains("Total watches:1") {
        assert!(Instant::now() < end, "nobody watches: {}", four_letters(&server, "wchs"));
        thread::sleep(Duration::from_millis(20));
    }
    for words in
        [&["set", "/w", "one"][..], &["create", "/w/a", "two"], &["create", "/other"], &["set", "/w/a", "three"], &["delete", "/w/a"]]
    {
        assert_eq!(run(&server, words).code, Some(0), "{words:?}");
    }
    let mut seen = Vec::new();
    while let Ok(line) = lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
        let parts =
            ["event", "path"].map(|key| line.split(&format!("\"{key}\":")).nth(1).expect(key).split(',').next().expect(key).to_owned());
        if parts[0] != "\"None\"" {
            seen.push(parts.join(" "));
        }
    }
    assert_eq!(
        seen,
        ["\"NodeDataChanged\" \"/w\"", "\"NodeCreated\" \"/w/a\"", "\"NodeDataChanged\" \"/w/a\"", "\"NodeDeleted\" \"/w/a\""]
    );
    assert_eq!(child.0.wait().expect("wait").code(), Some(0));
}

fn four_letters(server: &Server, word: &str) -> String {
    oxkeeper_compat_tests::subject::four_letter(server.address(), word.as_bytes()).expect("a four-letter word")
}

#[test]
fn a_picture_of_two_servers() {
    let servers = [server(Subject::Oxkeeper), server(Subject::Java39)];
    let list = servers.each_ref().map(host_port).join(",");
    let picture = |list: &str| {
        let output = Cli::Ours.command().args(["-server", list, "top", "-b", "-n", "2", "-i", "0.2"]).output().expect("run top");
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    // Somebody to be seen.
    let mut shell = Cli::Ours.command();
    shell.args(["-server", &host_port(&servers[0])]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut shell = Running(shell.spawn().expect("start a shell"));
    let lines = lines_of(shell.0.stdout.take().expect("output"));
    while !lines.recv_timeout(DEADLINE).expect("the shell connects").starts_with("WatchedEvent state:SyncConnected") {}
    let mut input = shell.0.stdin.take().expect("input");
    input.write_all(format!("create /somewhere x\n{}delete /somewhere\n", "get /somewhere\n".repeat(50)).as_bytes()).expect("a pipe");
    let begun = Instant::now();
    // Until the shell has done that: the screen tells of it.
    let (code, text) = loop {
        let (code, text, _) = picture(&list);
        let rates: Vec<f64> = text
            .lines()
            .rfind(|line| line.starts_with("/somewhere "))
            .map_or(Vec::new(), |line| line.split_whitespace().skip(1).filter_map(|rate| rate.parse().ok()).collect());
        if rates.len() == 2 && rates.iter().all(|rate| *rate > 0.0) {
            assert!(rates[0] > rates[1], "fifty reads and two writes: {text}");
            break (code, text);
        }
        assert!(begun.elapsed() < DEADLINE, "{text}");
    };
    assert_eq!(code, Some(0), "{text}");
    assert!(text.starts_with("2 of 2 servers answer"), "{text}");
    for server in &servers {
        let row = text.lines().rfind(|line| line.starts_with(&host_port(server))).expect("a row for each server");
        assert!(row.contains("standalone") && row.contains("3.9.5"), "{row}");
    }
    assert!(text.lines().any(|line| line.contains("0x1") && line.contains("127.0.0.1:")), "no client is shown:\n{text}");
    let (code, _, reason) = picture("127.0.0.1:1");
    assert_eq!(code, Some(1));
    assert_eq!(reason, "top: no server answers (127.0.0.1:1: Connection refused)\n");
}

/// On a terminal, which `script` of util-linux lends: a prompt, completion of commands and of live paths.
#[test]
fn lines_are_edited_on_a_terminal() {
    let server = server(Subject::Oxkeeper);
    assert_eq!(run(&server, &["create", "/completed", "found it"]).code, Some(0));
    let program = format!("{} cli -server {}", oxkeeper_program().display(), host_port(&server));
    let mut command = Command::new("script");
    command.args(["--quiet", "--return", "--echo", "always", "--command", &program, "/dev/null"]).env("TERM", "xterm");
    let mut child = Running(command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("script of util-linux starts"));
    let mut input = child.0.stdin.take().expect("input");
    let mut output = child.0.stdout.take().expect("output");
    let (sender, chunks) = mpsc::channel();
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = output.read(&mut buffer) {
            if sender.send(String::from_utf8_lossy(&buffer[..length]).into_owned()).is_err() {
                break;
            }
        }
    });
    let end = Instant::now() + DEADLINE;
    let (mut shown, mut from) = (String::new(), 0);
    let mut until = |text: &str| {
        while !shown[from..].contains(text) {
            match chunks.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(chunk) => shown += &chunk,
                Err(_) => panic!("no {text:?} is shown:\n{shown}"),
            }
        }
        from += shown[from..].find(text).expect("it is there") + text.len();
    };
    until("JLine support is enabled");
    until("SyncConnected");
    input.write_all(b"get /comp\t\r").expect("type");
    until("found it");
    input.write_all(b"whoam\t\r").expect("type");
    until("Auth scheme: User");
    // An exception that would end Java's shell does not end this one.
    input.write_all(b"delete -v x /completed\r").expect("type");
    until("NumberFormatException");
    input.write_all(b"get /none\r").expect("type");
    until("Node does not exist: /none");
    until("(CONNECTED) 4] ");
    input.write_all(b"\x04").expect("type");
    assert_eq!(child.0.wait().expect("wait").code(), Some(1));
}
