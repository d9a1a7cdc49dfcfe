//! Three servers of one kind that form an ensemble on this machine: starting them, killing them, emptying them, asking
//! who leads and what they use. What is measured on them is left to `trio`.

use crate::ports::free_port;
use crate::server::{self, Kind, Scratch};
use std::fs;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

pub const MEMBERS: usize = 3;
/// How long three servers may take until one leads and two follow; five million znodes take Java a while.
const READY_WITHIN: Duration = Duration::from_secs(300);
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// What a member says it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Leader,
    Follower,
}

/// Three members under way; killed when dropped, and their directories removed.
pub struct Ensemble {
    pub kind: Kind,
    scratch: Scratch,
    members: [Member; MEMBERS],
}

struct Member {
    child: Option<Child>,
    client: SocketAddr,
    directory: PathBuf,
}

impl Ensemble {
    /// Starts three members under `parent` with further lines of zoo.cfg, each with a copy of the directory `seed` if
    /// there is one, and waits until one leads and two follow.
    pub fn start(kind: &Kind, parent: &Path, seed: Option<&Path>, settings: &str) -> io::Result<Self> {
        let scratch = Scratch::new(parent)?;
        let ports: Vec<u16> = (0..3 * MEMBERS).map(|_| free_port()).collect::<io::Result<_>>()?;
        let mut servers = String::new();
        for index in 0..MEMBERS {
            servers += &format!("server.{}=127.0.0.1:{}:{}\n", index + 1, ports[MEMBERS + index], ports[2 * MEMBERS + index]);
        }
        let make = |index: usize| -> io::Result<Member> {
            let directory = scratch.path().join(format!("{}", index + 1));
            let data = directory.join("data");
            match seed {
                Some(seed) => server::copy_tree(seed, &data)?,
                None => fs::create_dir_all(&data)?,
            }
            fs::write(data.join("myid"), format!("{}\n", index + 1))?;
            fs::write(
                directory.join("zoo.cfg"),
                format!(
                    "tickTime=2000\ninitLimit=60\nsyncLimit=5\ndataDir={}\nclientPort={}\nmaxClientCnxns=0\n\
                     4lw.commands.whitelist=*\n{settings}{servers}",
                    data.display(),
                    ports[index]
                ),
            )?;
            fs::write(directory.join("log4j.properties"), "log4j.rootLogger=OFF\n")?;
            Ok(Member { child: None, client: SocketAddr::from((Ipv4Addr::LOCALHOST, ports[index])), directory })
        };
        let members = [make(0)?, make(1)?, make(2)?];
        let mut ensemble = Self { kind: kind.clone(), scratch, members };
        for index in 0..MEMBERS {
            ensemble.spawn(index)?;
        }
        ensemble.wait()?;
        Ok(ensemble)
    }

    /// Starts a member that does not run. Does not wait.
    pub fn spawn(&mut self, index: usize) -> io::Result<()> {
        let member = &mut self.members[index];
        let log = fs::File::options().create(true).append(true).open(member.directory.join("output"))?;
        let mut command = self.kind.command(&member.directory, member.client.port());
        let child = command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn()?;
        member.child = Some(child);
        Ok(())
    }

    /// kill -9.
    pub fn kill(&mut self, index: usize) -> io::Result<()> {
        match self.members[index].child.take() {
            Some(mut child) => child.kill().and_then(|()| child.wait()).map(|_| ()),
            None => Ok(()),
        }
    }

    /// Takes from a member that does not run all that it knew but its number.
    pub fn empty(&self, index: usize) -> io::Result<()> {
        fs::remove_dir_all(self.data(index).join("version-2"))
    }

    pub fn data(&self, index: usize) -> PathBuf {
        self.members[index].directory.join("data")
    }

    pub fn address(&self, index: usize) -> SocketAddr {
        self.members[index].client
    }

    pub fn addresses(&self) -> [SocketAddr; MEMBERS] {
        [0, 1, 2].map(|index| self.address(index))
    }

    /// What a member says it is, if it serves.
    pub fn mode(&self, index: usize) -> Option<Mode> {
        mode_at(self.address(index))
    }

    /// Waits until one leads and the others follow.
    pub fn wait(&mut self) -> io::Result<()> {
        let begin = Instant::now();
        loop {
            let modes = [0, 1, 2].map(|index| self.mode(index));
            let leaders = modes.iter().filter(|mode| **mode == Some(Mode::Leader)).count();
            if leaders == 1 && modes.iter().all(Option::is_some) {
                return Ok(());
            }
            let has_ended = |member: &mut Member| !member.child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)));
            let is_broken = self.members.iter_mut().any(has_ended);
            if is_broken || begin.elapsed() > READY_WITHIN {
                let why = if is_broken { "a member has ended" } else { "no leader with two followers in time" };
                let text = format!("{}: {why} ({modes:?}) under {}", self.kind.name(), self.scratch.path().display());
                return Err(io::Error::other(text));
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// Who leads; of a whole ensemble.
    pub fn leader(&self) -> io::Result<usize> {
        (0..MEMBERS).find(|index| self.mode(*index) == Some(Mode::Leader)).ok_or_else(|| io::Error::other("nobody leads"))
    }

    /// CPU time that the members that run have used.
    pub fn cpu(&self) -> Duration {
        self.pids().filter_map(|pid| server::process_cpu(pid).ok()).sum()
    }

    /// Resident memory of all three, bytes.
    pub fn memory(&self) -> u64 {
        self.pids().map(server::resident_bytes).sum()
    }

    fn pids(&self) -> impl Iterator<Item = u32> + '_ {
        self.members.iter().filter_map(|member| member.child.as_ref().map(Child::id))
    }
}

impl Drop for Ensemble {
    fn drop(&mut self) {
        for index in 0..MEMBERS {
            let _ = self.kill(index);
        }
    }
}

/// What a server there says it is, if it serves.
pub fn mode_at(address: SocketAddr) -> Option<Mode> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
    stream.write_all(b"srvr").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    match answer.lines().find_map(|line| line.strip_prefix("Mode: "))?.trim() {
        "leader" => Some(Mode::Leader),
        "follower" => Some(Mode::Follower),
        _ => None,
    }
}
