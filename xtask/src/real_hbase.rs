//! `cargo xtask real hbase`: HBase 2.6 from Maven Central on our server, two masters and two region servers started as
//! JVMs of their own, on a local directory. A client makes a table, puts and scans 100,000 rows; a region server is
//! killed and its regions come back; the active master is killed and the other takes over. What is checked is in
//! `compat-tests/clients/hbase/src/Load.java`; here is how the processes are run. Too heavy for CI.
//!
//! `OXKEEPER_REAL_SERVER` may hold another command that starts a ZooKeeper server; it is given the zoo.cfg.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// From the start of a server to its first answer.
const START_DEADLINE: Duration = Duration::from_secs(60);

/// Modules that Hadoop looks into by reflection, which Java 17 allows only when told so.
const OPENED: &[&str] = &[
    "java.base/java.lang",
    "java.base/java.lang.reflect",
    "java.base/java.io",
    "java.base/java.net",
    "java.base/java.nio",
    "java.base/java.util",
    "java.base/java.util.concurrent",
    "java.base/sun.nio.ch",
    "java.base/sun.security.x509",
    "java.base/jdk.internal.ref",
];

/// A child that does not outlive its owner.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A directory that goes when it is dropped, unless the run failed.
struct Scratch {
    path: PathBuf,
    keep: bool,
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if self.keep {
            eprintln!("logs are kept in {}", self.path.display());
        } else {
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// Fetches what is missing, runs the whole story and says what happened.
///
/// # Errors
/// The step that failed; the logs of every process are then kept and their place is printed.
pub fn run() -> Result<(), String> {
    crate::clients::fetch_jars("hbase", "hbase", &[])?;
    let path = std::env::temp_dir().join(format!("oxkeeper-real-hbase-{}", std::process::id()));
    fs::create_dir_all(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    let mut scratch = Scratch { path, keep: true };
    let started = Instant::now();
    story(&scratch.path)?;
    println!("HBase is content with this server after {} s", started.elapsed().as_secs());
    scratch.keep = false;
    Ok(())
}

fn story(scratch: &Path) -> Result<(), String> {
    let zookeeper_port = free_port()?;
    let _zookeeper = start_zookeeper(scratch, zookeeper_port)?;
    let mut servers: BTreeMap<u16, Running> = BTreeMap::new();
    for (role, class) in
        [("master", "org.apache.hadoop.hbase.master.HMaster"), ("regionserver", "org.apache.hadoop.hbase.regionserver.HRegionServer")]
    {
        for number in 1..=2 {
            let port = free_port()?;
            let name = format!("{role}-{number}");
            let configuration = configure(scratch, &name, zookeeper_port, port)?;
            let mut command = java(&configuration, "-Xmx768m");
            command.arg(class).arg("start");
            servers.insert(port, spawn(command, scratch, &name)?);
        }
    }

    let classes = scratch.join("classes");
    let source = crate::clients::sources().join("hbase/src/Load.java");
    let mut compile = Command::new("javac");
    compile.arg("-nowarn").arg("-d").arg(&classes).arg("-cp").arg(format!("{}/*", crate::clients::directory("hbase").display()));
    crate::clients::execute(compile.arg(source))?;

    let configuration = configure(scratch, "client", zookeeper_port, 0)?;
    let mut command = java(&format!("{}:{configuration}", classes.display()), "-Xmx512m");
    command.arg("Load").stdin(Stdio::piped()).stdout(Stdio::piped());
    command.stderr(log(scratch, "client")?);
    let mut client = Running(command.spawn().map_err(|e| format!("java: {e}"))?);
    let mut answers = client.0.stdin.take().expect("input of the client");
    let output = client.0.stdout.take().expect("output of the client");
    for line in BufReader::new(output).lines() {
        let line = line.map_err(|e| format!("output of the client: {e}"))?;
        println!("{line}");
        if let Some(port) = line.strip_prefix('@').and_then(|wish| wish.split(' ').nth(1)) {
            let port = port.parse().map_err(|_| format!("the client asks for {line:?}"))?;
            // Dropped is killed, without a word to anybody.
            servers.remove(&port).ok_or_else(|| format!("no server of ours listens on {port}"))?;
            writeln!(answers, "done").map_err(|e| format!("answer to the client: {e}"))?;
        }
    }
    let status = client.0.wait().map_err(|e| e.to_string())?;
    if status.success() { Ok(()) } else { Err(format!("the client ended with {status}")) }
}

fn java(class_path: &str, heap: &str) -> Command {
    let mut command = Command::new("java");
    command.args([heap, "-XX:+UseSerialGC", "-XX:-UsePerfData", "-Djava.net.preferIPv4Stack=true"]);
    for package in OPENED {
        command.arg("--add-opens").arg(format!("{package}=ALL-UNNAMED"));
    }
    command.arg("-cp").arg(format!("{class_path}:{}/*", crate::clients::directory("hbase").display()));
    command
}

/// Writes the configuration directory of one process and returns its place on the class path.
fn configure(scratch: &Path, name: &str, zookeeper_port: u16, port: u16) -> Result<String, String> {
    let directory = scratch.join(format!("conf-{name}"));
    let port = port.to_string();
    let zookeeper_port = zookeeper_port.to_string();
    let root = format!("file://{}", scratch.join("root").display());
    let temporary = scratch.join(format!("tmp-{name}")).display().to_string();
    let mut settings = vec![
        ("hbase.cluster.distributed", "true"),
        ("hbase.rootdir", &root),
        ("hbase.tmp.dir", &temporary),
        ("hbase.unsafe.stream.capability.enforce", "false"),
        ("hbase.wal.provider", "filesystem"),
        ("hbase.zookeeper.quorum", "127.0.0.1"),
        ("hbase.zookeeper.property.clientPort", &zookeeper_port),
        ("zookeeper.session.timeout", "6000"),
        ("hbase.master.ipc.address", "127.0.0.1"),
        ("hbase.regionserver.ipc.address", "127.0.0.1"),
        ("hbase.master.hostname", "127.0.0.1"),
        ("hbase.regionserver.hostname", "127.0.0.1"),
        ("hbase.master.info.port", "-1"),
        ("hbase.regionserver.info.port", "-1"),
        ("hbase.client.registry.impl", "org.apache.hadoop.hbase.client.ZKConnectionRegistry"),
    ];
    if name.starts_with("master") {
        settings.push(("hbase.master.port", &port));
    } else if name.starts_with("regionserver") {
        settings.push(("hbase.regionserver.port", &port));
    }
    let mut text = String::from("<configuration>\n");
    for (key, value) in settings {
        text += &format!("<property><name>{key}</name><value>{value}</value></property>\n");
    }
    text += "</configuration>\n";
    let write = |file: &str, text: &str| fs::write(directory.join(file), text).map_err(|e| format!("{file}: {e}"));
    fs::create_dir_all(&directory).map_err(|e| format!("{}: {e}", directory.display()))?;
    write("hbase-site.xml", &text)?;
    write(
        "log4j.properties",
        "log4j.rootLogger=INFO,err\nlog4j.appender.err=org.apache.log4j.ConsoleAppender\nlog4j.appender.err.target=System.err\n\
         log4j.appender.err.layout=org.apache.log4j.PatternLayout\nlog4j.appender.err.layout.ConversionPattern=%d %p [%t] %c{2}: %m%n\n",
    )?;
    Ok(directory.display().to_string())
}

fn start_zookeeper(scratch: &Path, port: u16) -> Result<Running, String> {
    let zoo_cfg = scratch.join("zoo.cfg");
    let text = format!(
        "dataDir={}\nclientPort={port}\nclientPortAddress=127.0.0.1\nadmin.enableServer=false\n",
        scratch.join("zookeeper").display()
    );
    fs::write(&zoo_cfg, text).map_err(|e| format!("zoo.cfg: {e}"))?;
    let mut command = match std::env::var("OXKEEPER_REAL_SERVER") {
        Ok(other) => {
            let mut command = Command::new("sh");
            command.arg("-c").arg(format!("exec {other} \"$0\""));
            command
        }
        Err(_) => Command::new(crate::clients::oxkeeper()?),
    };
    command.arg(&zoo_cfg);
    let running = spawn(command, scratch, "zookeeper")?;
    let end = Instant::now() + START_DEADLINE;
    while Instant::now() < end {
        let mut answer = String::new();
        let asked = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).and_then(|mut stream| {
            stream.set_read_timeout(Some(Duration::from_secs(5)))?;
            stream.write_all(b"srvr")?;
            stream.read_to_string(&mut answer)
        });
        if asked.is_ok() && answer.contains("Mode: ") {
            return Ok(running);
        }
        thread::sleep(Duration::from_millis(100));
    }
    Err("the ZooKeeper server does not answer".into())
}

fn log(scratch: &Path, name: &str) -> Result<File, String> {
    File::create(scratch.join(format!("{name}.log"))).map_err(|e| format!("{name}.log: {e}"))
}

fn spawn(mut command: Command, scratch: &Path, name: &str) -> Result<Running, String> {
    let log = log(scratch, name)?;
    command.stdin(Stdio::null()).stdout(log.try_clone().map_err(|e| e.to_string())?).stderr(log);
    command.current_dir(scratch).spawn().map(Running).map_err(|e| format!("{name}: {e}"))
}

fn free_port() -> Result<u16, String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(|e| e.to_string())?;
    listener.local_addr().map(|address| address.port()).map_err(|e| e.to_string())
}
