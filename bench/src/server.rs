//! The servers compared: starting them in a directory of their own, reading what they use, ending them by pid.

use crate::frame;
use crate::histogram::Histogram;
use crate::ports;
use rustix::process::{Pid, Signal};
use std::fs;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// ext4 commits every 5 s.
const SETTLING: Duration = Duration::from_secs(8);

/// A server that can be started.
#[derive(Clone, Debug)]
pub enum Kind {
    Java { version: String, class_path: String, heap: String },
    Oxkeeper { program: PathBuf },
    Echo { program: PathBuf },
}

impl Kind {
    /// From a name as given on the command line: `java-<version>`, `oxkeeper`, `echo`.
    pub fn named(name: &str, oxkeeper: &Path, heap: &str, scratch: &Path) -> Result<Self, String> {
        match name {
            "oxkeeper" if oxkeeper.is_file() => Ok(Self::Oxkeeper { program: oxkeeper.to_path_buf() }),
            "oxkeeper" => Err(format!("{} is not there: build it with cargo build --release", oxkeeper.display())),
            "echo" => std::env::current_exe().map(|program| Self::Echo { program }).map_err(|error| format!("own program: {error}")),
            _ => match name.strip_prefix("java-") {
                Some(version) => {
                    Ok(Self::Java { version: version.to_string(), class_path: class_path(version, scratch)?, heap: heap.to_string() })
                }
                None => Err(format!("{name}: not java-<version>, oxkeeper or echo")),
            },
        }
    }

    pub fn name(&self) -> String {
        match self {
            Self::Java { version, .. } => format!("java-{version}"),
            Self::Oxkeeper { .. } => "oxkeeper".to_string(),
            Self::Echo { .. } => "echo".to_string(),
        }
    }

    pub fn is_java(&self) -> bool {
        matches!(self, Self::Java { .. })
    }

    pub fn is_echo(&self) -> bool {
        matches!(self, Self::Echo { .. })
    }

    /// The same with another heap, if it has one.
    pub fn with_heap(&self, heap: &str) -> Self {
        match self {
            Self::Java { version, class_path, .. } => {
                Self::Java { version: version.clone(), class_path: class_path.clone(), heap: heap.to_string() }
            }
            other => other.clone(),
        }
    }

    /// Starts the server whose zoo.cfg lies in the directory.
    pub(crate) fn command(&self, directory: &Path, port: u16) -> Command {
        match self {
            Self::Java { class_path, heap, .. } => {
                let mut command = Command::new("java");
                command.arg(format!("-Xmx{heap}")).arg("-XX:+UseG1GC").arg("-Dzookeeper.admin.enableServer=false");
                command.arg("-cp").arg(format!("{}:{class_path}", directory.display()));
                command.arg("org.apache.zookeeper.server.quorum.QuorumPeerMain").arg(directory.join("zoo.cfg"));
                command
            }
            Self::Oxkeeper { program } => {
                let mut command = Command::new(program);
                command.arg("-Dzookeeper.admin.enableServer=false").arg(directory.join("zoo.cfg"));
                command
            }
            Self::Echo { program } => {
                let mut command = Command::new(program);
                command.arg("echo").arg("--port").arg(port.to_string()).arg("--directory").arg(directory.join("data"));
                command
            }
        }
    }
}

/// The class path of a Java server: Debian's package for the version it has, else resolved by Maven.
fn class_path(version: &str, scratch: &Path) -> Result<String, String> {
    let debian = Path::new("/usr/share/java");
    if debian.join(format!("zookeeper-{version}.jar")).exists() {
        return Ok(debian.join("zookeeper.jar").display().to_string());
    }
    let (pom, list) = (scratch.join("pom.xml"), scratch.join("class-path"));
    let dependency = |group: &str, artifact: &str, version: &str| {
        format!(
            "<dependency><groupId>{group}</groupId><artifactId>{artifact}</artifactId>\
             <version>{version}</version></dependency>"
        )
    };
    // The last two are needed to run and are not among the artifact's own run-time dependencies.
    let text = format!(
        "<project xmlns=\"http://maven.apache.org/POM/4.0.0\"><modelVersion>4.0.0</modelVersion>\
         <groupId>bench</groupId><artifactId>bench</artifactId><version>1</version><dependencies>{}{}{}</dependencies>\
         </project>",
        dependency("org.apache.zookeeper", "zookeeper", version),
        dependency("io.dropwizard.metrics", "metrics-core", "4.1.12.1"),
        dependency("org.xerial.snappy", "snappy-java", "1.1.10.5"),
    );
    fs::write(&pom, text).map_err(|error| format!("{}: {error}", pom.display()))?;
    let output = Command::new("mvn")
        .args(["-q", "-B", "dependency:build-classpath"])
        .arg(format!("-Dmdep.outputFile={}", list.display()))
        .arg("-f")
        .arg(&pom)
        .output()
        .map_err(|error| format!("mvn: {error}"))?;
    if !output.status.success() {
        return Err(format!("mvn found no ZooKeeper {version}: {}", String::from_utf8_lossy(&output.stdout)));
    }
    fs::read_to_string(&list).map(|text| text.trim().to_string()).map_err(|error| format!("{}: {error}", list.display()))
}

/// A directory that is removed when this is dropped.
pub struct Scratch {
    path: PathBuf,
}

impl Scratch {
    pub fn new(parent: &Path) -> io::Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = parent.join(format!("oxkeeper-bench-{}-{number}", std::process::id()));
        fs::create_dir_all(&path)?;
        Ok(Self { path })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// A server under way; killed when dropped.
pub struct Server {
    child: Child,
    pub kind: Kind,
    pub address: SocketAddr,
    pub directory: Scratch,
    pub begun: Instant,
}

impl Server {
    /// Starts a server with default settings in an empty directory under `parent`, and waits for its first answer.
    pub fn start(kind: &Kind, parent: &Path) -> io::Result<Self> {
        let mut server = Self::spawn(kind, Scratch::new(parent)?, "")?;
        server.wait_ready(Duration::from_secs(60))?;
        Ok(server)
    }

    /// Starts a server in a directory (its data lie in `data`), with further lines of zoo.cfg. Does not wait.
    pub fn spawn(kind: &Kind, directory: Scratch, settings: &str) -> io::Result<Self> {
        let port = ports::free_port()?;
        let path = directory.path();
        let data = path.join("data");
        fs::create_dir_all(&data)?;
        fs::write(
            path.join("zoo.cfg"),
            format!("tickTime=2000\ndataDir={}\nclientPort={port}\n4lw.commands.whitelist=*\n{settings}", data.display()),
        )?;
        // Debian's 3.8 logs through log4j, 3.9 without a logging backend logs nothing.
        fs::write(path.join("log4j.properties"), "log4j.rootLogger=OFF\n")?;
        let log = fs::File::create(path.join("output"))?;
        let begun = Instant::now();
        let child = kind
            .command(path, port)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", kind.name())))?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Ok(Self { child, kind: kind.clone(), address, directory, begun })
    }

    /// Waits until a new session is answered; the session is closed again.
    pub fn wait_ready(&mut self, within: Duration) -> io::Result<()> {
        let mut session = self.first_session(within)?;
        session.call(frame::close_session(0))?;
        Ok(())
    }

    /// Tries until a session is open, every half millisecond. A starting Java server may take a connect request and
    /// never answer it, so an attempt is given up after 50 ms at first, later ones after longer.
    pub fn first_session(&mut self, within: Duration) -> io::Result<Plain> {
        let begin = Instant::now();
        let mut patience = Duration::from_millis(50);
        loop {
            match Plain::open_within(self.address, patience) {
                Ok(session) => return Ok(session),
                Err(error) if begin.elapsed() > within || !self.is_alive() => {
                    let output = fs::read_to_string(self.directory.path().join("output")).unwrap_or_default();
                    let tail: String = output.lines().rev().take(3).collect::<Vec<_>>().join(" | ");
                    return Err(io::Error::new(
                        error.kind(),
                        format!("{} gives no session within {within:?}: {error}; its last words: {tail}", self.kind.name()),
                    ));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => patience = patience.mul_f64(1.1),
                Err(_) => std::thread::sleep(Duration::from_micros(500)),
            }
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// CPU time used so far, all threads, in steps of 10 ms.
    pub fn cpu(&self) -> Duration {
        process_cpu(self.pid()).unwrap_or_default()
    }

    /// Resident memory now, and the most it has been; bytes.
    pub fn memory(&self) -> (u64, u64) {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap_or_default();
        (kilobytes(&status, "VmRSS:") * 1024, kilobytes(&status, "VmHWM:") * 1024)
    }

    /// Whether the process still runs.
    pub fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// kill -9; returns the directory as it was left.
    pub fn kill(mut self) -> io::Result<Scratch> {
        self.child.kill()?;
        self.child.wait()?;
        self.take_directory()
    }

    /// SIGTERM, and kill -9 if that does not help within 20 s; returns the directory.
    pub fn stop(mut self) -> io::Result<Scratch> {
        if let Some(pid) = Pid::from_raw(self.pid() as i32) {
            let _ = rustix::process::kill_process(pid, Signal::TERM);
        }
        let begin = Instant::now();
        while self.is_alive() && begin.elapsed() < Duration::from_secs(20) {
            std::thread::sleep(Duration::from_millis(5));
        }
        self.take_directory()
    }

    fn take_directory(&mut self) -> io::Result<Scratch> {
        Ok(std::mem::replace(&mut self.directory, Scratch { path: PathBuf::new() }))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One session on a blocking socket, for set-up and for the first answer of a starting server.
pub struct Plain {
    stream: TcpStream,
    xid: i32,
}

impl Plain {
    pub fn open(address: SocketAddr) -> io::Result<Self> {
        Self::open_within(address, Duration::from_secs(20))
    }

    /// An answer that does not come in time is `WouldBlock`.
    pub fn open_within(address: SocketAddr, patience: Duration) -> io::Result<Self> {
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(2))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(patience))?;
        stream.write_all(&frame::connect(30_000))?;
        let answer = read_frame(&mut stream)?;
        match answer.get(4..8) {
            Some(timeout) if timeout != [0; 4] => {
                stream.set_read_timeout(Some(Duration::from_secs(20)))?;
                Ok(Self { stream, xid: 0 })
            }
            _ => Err(io::ErrorKind::ConnectionRefused.into()),
        }
    }

    /// Sends a request; returns the error code of its reply.
    pub fn call(&mut self, mut request: Vec<u8>) -> io::Result<i32> {
        self.xid += 1;
        frame::set_xid(&mut request, self.xid);
        self.stream.write_all(&request)?;
        let reply = read_frame(&mut self.stream)?;
        if reply.len() < 16 || reply[..4] != self.xid.to_be_bytes() {
            return Err(io::Error::other("not the reply that is due"));
        }
        Ok(i32::from_be_bytes(reply[12..16].try_into().expect("4 bytes")))
    }

    /// As `call`; an error code is an error.
    pub fn must(&mut self, request: Vec<u8>) -> io::Result<()> {
        match self.call(request)? {
            0 => Ok(()),
            code => Err(io::Error::other(format!("error {code} from the server"))),
        }
    }
}

fn read_frame(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let mut body = vec![0; u32::from_be_bytes(length) as usize & 0xff_ffff];
    stream.read_exact(&mut body)?;
    Ok(body)
}

fn kilobytes(status: &str, key: &str) -> u64 {
    status
        .lines()
        .find_map(|line| line.strip_prefix(key))
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|number| number.parse().ok())
        .unwrap_or(0)
}

/// Resident memory of a process; 0 if it is gone.
pub fn resident_bytes(pid: u32) -> u64 {
    kilobytes(&fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default(), "VmRSS:") * 1024
}

/// User and system time of a process, in the kernel's ticks of 10 ms.
pub fn process_cpu(pid: u32) -> io::Result<Duration> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    ticks(&text).map(|ticks| Duration::from_millis(ticks * 10)).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// Time that programs kept all cores together busy (or another machine took), and that these have had, since the machine began; in ticks.
pub fn machine_cpu() -> (u64, u64) {
    machine_ticks(&fs::read_to_string("/proc/stat").unwrap_or_default())
}

/// The first line of /proc/stat: user, nice, system, idle, iowait, irq, softirq, steal (guest time is within user).
fn machine_ticks(stat: &str) -> (u64, u64) {
    let fields = stat.lines().next().unwrap_or_default().split_whitespace().skip(1).take(8);
    let ticks: Vec<u64> = fields.filter_map(|field| field.parse().ok()).collect();
    let total: u64 = ticks.iter().sum();
    // Interrupts are left out: they are mostly the loopback traffic of the load itself.
    let busy = [0, 1, 2, 7].iter().filter_map(|field| ticks.get(*field)).sum();
    (busy, total)
}

/// Fields 14 and 15 of /proc/<pid>/stat; the name, which may hold anything, ends at the last parenthesis.
fn ticks(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    Some(fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?)
}

/// Copies a directory tree.
pub fn copy_tree(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_tree(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// Median time of an fdatasync after 4 KiB appended, over 200 of them, in a file under `parent`.
pub fn disk_sync_p50(parent: &Path) -> io::Result<Duration> {
    let scratch = Scratch::new(parent)?;
    let mut file = fs::File::create(scratch.path().join("sync"))?;
    let mut times = Vec::new();
    for _ in 0..200 {
        file.write_all(&[7; 4096])?;
        let begin = Instant::now();
        file.sync_data()?;
        times.push(begin.elapsed());
    }
    times.sort();
    Ok(times[times.len() / 2])
}

/// How long an fdatasync takes, in nanoseconds, in each of three files side by side, on a processor that does nothing else:
/// 16 KiB are written over what is there, then synced, after a pause of 0.3 ms. No three members on one disk can do better.
pub fn disk_syncs_of_three(parent: &Path, duration: Duration) -> io::Result<Histogram> {
    const FILE_BYTES: usize = 4 << 20;
    const WRITE_BYTES: usize = 16 << 10;
    let scratch = Scratch::new(parent)?;
    let one = |number: usize| -> io::Result<Histogram> {
        let file = fs::File::create(scratch.path().join(number.to_string()))?;
        file.write_all_at(&vec![7; FILE_BYTES], 0)?;
        file.sync_all()?;
        let mut times = Histogram::new();
        let end = Instant::now() + duration;
        for at in (0..FILE_BYTES).step_by(WRITE_BYTES).cycle() {
            if Instant::now() > end {
                break;
            }
            file.write_all_at(&[8; WRITE_BYTES], at as u64)?;
            let begin = Instant::now();
            file.sync_data()?;
            times.record(begin.elapsed().as_nanos() as u64);
            std::thread::sleep(Duration::from_micros(300));
        }
        Ok(times)
    };
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..3).map(|number| scope.spawn(move || one(number))).collect();
        let mut all = Histogram::new();
        for writer in writers {
            all.merge(&writer.join().expect("a writer does not panic")?);
        }
        Ok(all)
    })
}

/// Waits until what was written and removed has reached the disk: a file system hands back the space of removed files
/// seconds later.
pub fn settle_disk() -> io::Result<()> {
    let synced = Command::new("sync").status()?;
    if !synced.success() {
        return Err(io::Error::other(format!("sync: {synced}")));
    }
    std::thread::sleep(SETTLING);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proc_fields() {
        let stat = "42 (a (b) c) S 1 42 42 0 -1 4194560 1 2 3 4 150 25 6 7 20 0 30 0 99";
        assert_eq!(ticks(stat), Some(175));
        assert_eq!(kilobytes("Name:\tx\nVmHWM:\t  2048 kB\nVmRSS:\t    12 kB\n", "VmRSS:"), 12);
        assert_eq!(machine_ticks("cpu  10 1 5 100 7 2 3 4 9 9\ncpu0 1 1"), (20, 132));
        assert!(process_cpu(std::process::id()).is_ok());
    }

    #[test]
    fn a_scratch_directory_goes_when_dropped() {
        let scratch = Scratch::new(&std::env::temp_dir()).unwrap();
        let path = scratch.path().to_path_buf();
        fs::create_dir(path.join("inner")).unwrap();
        fs::write(path.join("inner/file"), "x").unwrap();
        let copy = Scratch::new(&std::env::temp_dir()).unwrap();
        copy_tree(&path, copy.path()).unwrap();
        assert_eq!(fs::read_to_string(copy.path().join("inner/file")).unwrap(), "x");
        drop(scratch);
        assert!(!path.exists());
    }
}
