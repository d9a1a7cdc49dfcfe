//! Servers under test: Java 3.8.0 (Debian), Java 3.9.5 (the judge) and ours, started as their users start them, each
//! in a temporary directory on a free loopback port, and killed when the value is dropped. Talking to them is
//! left to `conversation` and `four_letter`.

use std::fmt;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Whose server runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    /// Apache ZooKeeper 3.8.0 as Debian 12 packages it.
    Java38,
    /// Apache ZooKeeper 3.9.5, the judge.
    Java39,
    /// The server of this workspace.
    Oxkeeper,
}

impl fmt::Display for Subject {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Subject::Java38 => "java-3.8.0",
            Subject::Java39 => "java-3.9.5",
            Subject::Oxkeeper => "oxkeeper",
        })
    }
}

/// How a server is started.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// `-Dkey=value`.
    pub properties: Vec<(String, String)>,
    /// Lines of zoo.cfg, added to (and winning over) the harness's own.
    pub lines: Vec<(String, String)>,
    /// Where the client port is bound; 127.0.0.1 if not given.
    pub host: Option<Ipv4Addr>,
    /// The network namespace that the process lives in, which wants root.
    pub namespace: Option<String>,
    /// What a Java server may use of memory; 512 if not given. MiB.
    pub heap_mib: Option<u32>,
    /// Whether a Java server writes what it does into its log, and not warnings alone.
    pub is_talkative: bool,
}

impl Options {
    /// What most tests want: short ticks, every four-letter word, a super user `super:secret`.
    pub fn usual() -> Options {
        Options::default()
            .line("4lw.commands.whitelist", "*")
            .line("minSessionTimeout", "1000")
            .line("maxSessionTimeout", "60000")
            // Nothing is reaped in the middle of a comparison.
            .property("znode.container.checkIntervalMs", "2000000000")
            .property("zookeeper.DigestAuthenticationProvider.superDigest", SUPER_DIGEST)
    }

    pub fn property(mut self, key: &str, value: &str) -> Options {
        self.properties.push((key.to_owned(), value.to_owned()));
        self
    }

    pub fn line(mut self, key: &str, value: &str) -> Options {
        self.lines.push((key.to_owned(), value.to_owned()));
        self
    }
}

/// `super:` + base64(SHA-1("super:secret")): the digest of the super user that tests authenticate as.
pub const SUPER_DIGEST: &str = "super:lK75jTNcA+U9vtVEw5vB51mj/w4=";

/// The workspace's root directory.
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("compat-tests lies in the workspace").to_owned()
}

/// Where cargo builds: `CARGO_TARGET_DIR` or `target`.
pub fn target_directory() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), PathBuf::from)
}

/// Our server's program; `OXKEEPER_BIN` names another one.
pub fn oxkeeper_program() -> PathBuf {
    std::env::var_os("OXKEEPER_BIN").map_or_else(|| target_directory().join("release/oxkeeper"), PathBuf::from)
}

/// The class path of a Java release, logging set-up first.
pub fn class_path(subject: Subject) -> String {
    match subject {
        Subject::Java38 => "/usr/share/java/zookeeper.jar".to_owned(),
        _ => {
            let jars = target_directory().join("compat-java/3.9.5");
            assert!(jars.join("zookeeper-3.9.5.jar").exists(), "{} is missing: run `cargo xtask prerequisites`", jars.display());
            format!("{}:{}/*", workspace().join("compat-tests/java").display(), jars.display())
        }
    }
}

/// A directory of its own that disappears with the value (unless `OXKEEPER_KEEP` is set).
#[derive(Debug)]
pub struct TemporaryDirectory {
    pub path: PathBuf,
}

impl TemporaryDirectory {
    pub fn new() -> TemporaryDirectory {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("oxkeeper-compat-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("temporary directory");
        TemporaryDirectory { path }
    }
}

impl Default for TemporaryDirectory {
    fn default() -> TemporaryDirectory {
        TemporaryDirectory::new()
    }
}

impl Drop for TemporaryDirectory {
    fn drop(&mut self) {
        if std::env::var_os("OXKEEPER_KEEP").is_none() {
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// Copies a directory with all that is in it.
pub fn copy_directory(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("create");
    for entry in fs::read_dir(from).expect("readable directory") {
        let entry = entry.expect("entry");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("type").is_dir() {
            copy_directory(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("copy");
        }
    }
}

/// A loopback port that is free and stays so for whoever asked, see [`oxkeeper_bench::ports`].
pub fn free_port() -> u16 {
    oxkeeper_bench::ports::free_port().expect("a free port")
}

/// Debian's package brings no logger of its own.
const TALKATIVE_JAR: &str = ":/usr/share/java/slf4j-simple.jar";
const TALKATIVE: &[&str] = &[
    "-Dorg.slf4j.simpleLogger.logFile=System.out",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.log.org.apache.zookeeper.server.quorum.LearnerHandler=debug",
];

/// A running server.
pub struct Server {
    pub subject: Subject,
    pub options: Options,
    pub port: u16,
    /// Holds zoo.cfg, the log and, unless the options say otherwise, `data`.
    pub directory: PathBuf,
    owned: Option<TemporaryDirectory>,
    child: Option<Child>,
}

/// How long a server may take to serve, or to end. Generous: the machine may be busy with other things.
const PATIENCE: Duration = Duration::from_secs(60);

impl Server {
    /// Starts a server on an empty directory and waits until it serves.
    pub fn start(subject: Subject, options: &Options) -> Server {
        Server::start_prepared(subject, options, |_| {})
    }

    /// Starts a server on a directory of its own that `prepare` has put something into.
    pub fn start_prepared(subject: Subject, options: &Options, prepare: impl FnOnce(&Path)) -> Server {
        let owned = TemporaryDirectory::new();
        prepare(&owned.path);
        let mut server = Server::prepare(subject, options, &owned.path);
        server.owned = Some(owned);
        server.launch();
        server
    }

    /// Starts a server on `directory/data`, which stays when the server is dropped.
    pub fn start_in(subject: Subject, options: &Options, directory: &Path) -> Server {
        let mut server = Server::prepare(subject, options, directory);
        server.launch();
        server
    }

    /// Starts a server without waiting; for tests of starts that fail.
    pub fn spawn_in(subject: Subject, options: &Options, directory: &Path) -> Server {
        let mut server = Server::prepare(subject, options, directory);
        server.spawn();
        server
    }

    /// Writes zoo.cfg and starts nothing yet.
    pub fn prepare(subject: Subject, options: &Options, directory: &Path) -> Server {
        fs::create_dir_all(directory).expect("server directory");
        let set_port = options.lines.iter().rev().find(|(key, _)| key == "clientPort");
        let port = set_port.map_or_else(free_port, |(_, port)| port.parse().unwrap_or(1));
        let server = Server { subject, options: options.clone(), port, directory: directory.to_owned(), owned: None, child: None };
        server.write_configuration();
        server
    }

    /// Writes zoo.cfg from the options.
    pub fn write_configuration(&self) {
        let mut lines = vec![
            ("tickTime".to_owned(), "500".to_owned()),
            ("dataDir".to_owned(), self.data_directory().display().to_string()),
            ("clientPort".to_owned(), self.port.to_string()),
            ("clientPortAddress".to_owned(), self.address().ip().to_string()),
            ("admin.enableServer".to_owned(), "false".to_owned()),
            // Virtual machines sync slowly and nothing here pulls a plug; the kill -9 tests set it back.
            ("forceSync".to_owned(), "no".to_owned()),
        ];
        for (key, value) in &self.options.lines {
            lines.retain(|(present, _)| present != key);
            lines.push((key.clone(), value.clone()));
        }
        let text: String = lines.iter().map(|(key, value)| format!("{key}={value}\n")).collect();
        fs::write(self.configuration(), text).expect("zoo.cfg");
    }

    pub fn configuration(&self) -> PathBuf {
        self.directory.join("zoo.cfg")
    }

    pub fn data_directory(&self) -> PathBuf {
        self.directory.join("data")
    }

    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((self.options.host.unwrap_or(Ipv4Addr::LOCALHOST), self.port))
    }

    /// The command that starts this server, with the arguments after the options left to the caller.
    pub fn command(&self) -> Command {
        let program = if self.subject == Subject::Oxkeeper { oxkeeper_program() } else { PathBuf::from("java") };
        let mut command = match &self.options.namespace {
            // It becomes the program: the process id stays.
            Some(namespace) => {
                let mut command = Command::new("ip");
                command.args(["netns", "exec", namespace]).arg(program);
                command
            }
            None => Command::new(program),
        };
        if self.subject != Subject::Oxkeeper {
            let heap = format!("-Xmx{}m", self.options.heap_mib.unwrap_or(512));
            command.args([&heap, "-Xms32m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto"]);
        }
        for (key, value) in &self.options.properties {
            command.arg(format!("-D{key}={value}"));
        }
        if self.subject != Subject::Oxkeeper {
            let mut class_path = class_path(self.subject);
            if self.options.is_talkative {
                if self.subject == Subject::Java38 {
                    class_path += TALKATIVE_JAR;
                }
                command.args(TALKATIVE);
                command.arg(format!("-Dlogback.configurationFile={}", workspace().join("compat-tests/java/logback-info.xml").display()));
            }
            command.arg("-cp").arg(class_path);
            command.arg("org.apache.zookeeper.server.quorum.QuorumPeerMain");
        }
        command.current_dir(&self.directory).stdin(Stdio::null());
        command
    }

    /// Starts the process with zoo.cfg and does not wait.
    pub fn spawn(&mut self) {
        self.spawn_with(&[self.configuration().display().to_string()]);
    }

    /// Starts the process with arguments of the caller's choice and does not wait.
    pub fn spawn_with(&mut self, arguments: &[String]) {
        let log = File::options().create(true).append(true).open(self.log_path()).expect("log file");
        let mut command = self.command();
        command.args(arguments).stdout(log.try_clone().expect("log")).stderr(log);
        let program = command.get_program().to_string_lossy().into_owned();
        let child = command.spawn();
        self.child = Some(child.unwrap_or_else(|error| panic!("{program}: {error}")));
    }

    fn launch(&mut self) {
        self.spawn();
        self.wait_until_serving();
    }

    /// Waits until `srvr` shows a mode.
    ///
    /// # Panics
    /// If the process ends or does not serve within a minute.
    pub fn wait_until_serving(&mut self) {
        let ended = self.wait_until_serving_or_ended();
        assert!(ended.is_none(), "{} ended with {ended:?}:\n{}", self.subject, self.log_tail());
    }

    /// Waits until `srvr` shows a mode (`None`) or the process has ended.
    ///
    /// # Panics
    /// If neither happens within a minute.
    pub fn wait_until_serving_or_ended(&mut self) -> Option<ExitStatus> {
        let start = Instant::now();
        loop {
            if four_letter(self.address(), b"srvr").is_ok_and(|text| text.contains("Mode:")) {
                return None;
            }
            let ended = self.child.as_mut().expect("spawned").try_wait().expect("waitable");
            if ended.is_some() {
                self.child = None;
                return ended;
            }
            assert!(start.elapsed() < PATIENCE, "{} does not serve:\n{}", self.subject, self.log_tail());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// How the process ended, if it did.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.as_mut().and_then(|child| child.try_wait().expect("waitable"))
    }

    pub fn log_path(&self) -> PathBuf {
        self.directory.join("server.log")
    }

    /// The end of what the server printed.
    pub fn log_tail(&self) -> String {
        let text = fs::read(self.log_path()).unwrap_or_default();
        String::from_utf8_lossy(&text[text.len().saturating_sub(4000)..]).into_owned()
    }

    pub fn process_id(&self) -> u32 {
        self.child.as_ref().expect("running").id()
    }

    /// kill -9; the directory stays.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// SIGTERM, then waits for the end.
    pub fn terminate(&mut self) -> ExitStatus {
        let id = self.process_id().to_string();
        let sent = Command::new("kill").args(["-TERM", &id]).status().expect("kill runs");
        assert!(sent.success(), "no process to stop");
        self.wait_for_exit()
    }

    /// Waits for the end of a process that ends by itself.
    pub fn wait_for_exit(&mut self) -> ExitStatus {
        let start = Instant::now();
        let mut child = self.child.take().expect("running");
        loop {
            if let Some(status) = child.try_wait().expect("waitable") {
                return status;
            }
            if start.elapsed() > PATIENCE {
                let _ = child.kill();
                let _ = child.wait();
                panic!("{} does not end:\n{}", self.subject, self.log_tail());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Starts again on the same directory and port.
    pub fn restart(&mut self) {
        assert!(self.child.is_none(), "still running");
        self.launch();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        self.owned.take();
    }
}

/// Sends bytes on a fresh connection and reads all that comes until the server closes.
///
/// # Errors
/// Whatever the socket says; a server that answers nothing for five seconds is a timeout.
pub fn four_letter(address: SocketAddr, bytes: &[u8]) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(bytes)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
