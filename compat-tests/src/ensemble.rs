//! Ensembles of Java's servers and ours in any mixture, each member a process of its own on its own loopback address
//! and directory: start, stop, kill, pause, exchange in place, who leads, and which synchronisation ran. What the
//! clients do is left to `chronicle`, lines that break to `network`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Command, ExitStatus};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::connection::Connection;
use crate::load::{Random, header};
use crate::subject::{Options, Server, Subject, TemporaryDirectory, copy_directory, four_letter, workspace};
use crate::wire::{Reader, Request, op, request};

/// How long anything may take that must happen. Generous: the machine may be busy with other things.
pub const PATIENCE: Duration = Duration::from_secs(90);
/// Between two looks at a server: Java's do not like to be asked all the time while they start.
const GLANCE: Duration = Duration::from_millis(50);

/// What a member says it is (`Mode:` of `srvr`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Leader,
    Follower,
    Observer,
    Standalone,
    ReadOnly,
}

/// How a leader brought a learner to its own state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Synchronisation {
    Diff,
    Trunc,
    Snap,
}

/// What an ensemble is made of.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Whose servers vote; the first one is server 1.
    pub voters: Vec<Subject>,
    /// Whose servers observe; their numbers come behind the voters'.
    pub observers: Vec<Subject>,
    /// Whether the observers are shadows: their own zoo.cfg names them, and no other.
    pub observers_are_shadows: bool,
    pub tick_ms: u32,
    /// Ticks.
    pub init_limit: u32,
    /// Ticks.
    pub sync_limit: u32,
    /// Properties and lines for all members, winning over the above.
    pub options: Options,
    /// Whether the members have an AdminServer, on port 8080 of their addresses.
    pub has_admin: bool,
    /// Whether each member is said, to the others, to have another address before the one that it has, where nobody is.
    pub has_dead_addresses: bool,
    /// Lines for one member each, winning over all.
    pub own_lines: Vec<(usize, String, String)>,
}

impl Plan {
    /// Short ticks, every four-letter word, syncs that really happen.
    pub fn new(voters: &[Subject], observers: &[Subject]) -> Plan {
        let options = Options::usual().line("forceSync", "yes").line("preAllocSize", "256");
        let (voters, observers) = (voters.to_vec(), observers.to_vec());
        Plan {
            voters,
            observers,
            observers_are_shadows: false,
            tick_ms: 500,
            init_limit: 20,
            sync_limit: 10,
            options,
            has_admin: false,
            own_lines: Vec::new(),
            has_dead_addresses: false,
        }
    }

    pub fn line(mut self, key: &str, value: &str) -> Plan {
        self.options = self.options.line(key, value);
        self
    }

    /// Gives the members an AdminServer.
    pub fn with_admin(self) -> Plan {
        Plan { has_admin: true, ..self }
    }

    /// A line for one member.
    pub fn own_line(mut self, index: usize, key: &str, value: &str) -> Plan {
        self.own_lines.push((index, key.to_owned(), value.to_owned()));
        self
    }

    pub fn tick_ms(mut self, tick_ms: u32) -> Plan {
        self.tick_ms = tick_ms;
        self
    }
}

/// Where the members of an ensemble live.
#[derive(Clone, Debug)]
pub struct Site {
    /// The address of each member.
    pub hosts: Vec<Ipv4Addr>,
    /// The namespace of each member, if they have such.
    pub namespaces: Vec<Option<String>>,
}

impl Site {
    /// Loopback addresses that nobody else uses, so that every port is free and stays so.
    pub fn loopback(members: usize) -> Site {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let process = std::process::id();
        let ensemble = NEXT.fetch_add(1, Ordering::Relaxed) % 17;
        let host = |member: usize| {
            // Three digits each: what is made of addresses is of one length in all ensembles.
            let last = 100 + ensemble * 9 + member as u32 + 1;
            Ipv4Addr::new(127, (1 + process / 250 % 250) as u8, (process % 250) as u8, last as u8)
        };
        Site { hosts: (0..members).map(host).collect(), namespaces: vec![None; members] }
    }
}

/// A member of an ensemble. Indices count from 0, server numbers from 1.
pub struct Member {
    pub server: Server,
    pub is_observer: bool,
    is_running: bool,
}

/// All members; they are killed when the value is dropped.
pub struct Ensemble {
    pub plan: Plan,
    pub members: Vec<Member>,
    site: Site,
    directory: TemporaryDirectory,
    name: String,
}

impl Ensemble {
    /// Writes what the members need and starts none.
    pub fn new(name: &str, plan: &Plan) -> Ensemble {
        Ensemble::at(name, plan, Site::loopback(plan.voters.len() + plan.observers.len()))
    }

    /// As [`Ensemble::new`], at places of the caller's choice.
    pub fn at(name: &str, plan: &Plan, site: Site) -> Ensemble {
        let directory = TemporaryDirectory::new();
        let mut ensemble = Ensemble { plan: plan.clone(), members: Vec::new(), site, directory, name: name.to_owned() };
        for index in 0..plan.voters.len() + plan.observers.len() {
            let is_observer = index >= plan.voters.len();
            let subject = if is_observer { plan.observers[index - plan.voters.len()] } else { plan.voters[index] };
            let path = ensemble.directory.path.join(format!("member{}", index + 1));
            let server = Server::prepare(subject, &ensemble.options_of(index), &path);
            fs::create_dir_all(server.data_directory()).expect("data directory");
            fs::write(server.data_directory().join("myid"), format!("{}\n", index + 1)).expect("myid");
            ensemble.members.push(Member { server, is_observer, is_running: false });
        }
        ensemble
    }

    /// The `server.N` lines of a member, the same for all unless there are dead addresses.
    fn server_lines(&self, of: usize) -> Vec<(String, String)> {
        let line = |(index, host): (usize, &Ipv4Addr)| {
            let role = if index >= self.plan.voters.len() { "observer" } else { "participant" };
            let is_dead = self.plan.has_dead_addresses && index != of;
            let dead = if is_dead { format!("{}:2888:3888|", self.dead_host(index)) } else { String::new() };
            (format!("server.{}", index + 1), format!("{dead}{host}:2888:3888:{role};{host}:2181"))
        };
        self.site.hosts.iter().enumerate().map(line).collect()
    }

    /// Where nobody is. Java takes any of the addresses that answer a ping, and the same one again and again, so that it
    /// may never reach a member with one that refuses its connections; nothing can be sent to a broadcast address.
    fn dead_host(&self, index: usize) -> Ipv4Addr {
        let has_java = self.plan.voters.iter().chain(&self.plan.observers).any(|subject| *subject != Subject::Oxkeeper);
        if has_java { Ipv4Addr::new(127, 255, 255, 255) } else { Ipv4Addr::new(127, 255, 254, index as u8 + 1) }
    }

    fn options_of(&self, index: usize) -> Options {
        let mut lines = vec![
            ("tickTime".to_owned(), self.plan.tick_ms.to_string()),
            ("initLimit".to_owned(), self.plan.init_limit.to_string()),
            ("syncLimit".to_owned(), self.plan.sync_limit.to_string()),
            ("clientPort".to_owned(), "2181".to_owned()),
        ];
        let is_voter = index < self.plan.voters.len();
        let known = if self.plan.observers_are_shadows && is_voter { self.plan.voters.len() } else { usize::MAX };
        lines.extend(self.server_lines(index).into_iter().take(known));
        if !is_voter {
            lines.push(("peerType".to_owned(), "observer".to_owned()));
        }
        lines.extend(self.plan.options.lines.clone());
        if self.plan.has_admin {
            let host = self.site.hosts[index].to_string();
            let own = [("admin.enableServer", "true"), ("admin.serverAddress", &host), ("admin.serverPort", "8080")];
            lines.extend(own.map(|(key, value)| (key.to_owned(), value.to_owned())));
        }
        let own = self.plan.own_lines.iter().filter(|(of, ..)| *of == index);
        lines.extend(own.map(|(_, key, value)| (key.clone(), value.clone())));
        Options {
            properties: self.plan.options.properties.clone(),
            lines,
            host: Some(self.site.hosts[index]),
            namespace: self.site.namespaces[index].clone(),
            // Members come in threes, and two ensembles may run at once.
            heap_mib: self.plan.options.heap_mib.or(Some(256)),
            is_talkative: true,
        }
    }

    /// Where clients find a member.
    pub fn address(&self, index: usize) -> SocketAddr {
        self.members[index].server.address()
    }

    /// What the AdminServer of a member says to a command; nothing if there is none.
    pub fn admin(&self, index: usize, command: &str) -> String {
        let address = SocketAddr::from((self.site.hosts[index], 8080));
        crate::http::get_at(address, &format!("/commands/{command}")).map(|answer| answer.text()).unwrap_or_default()
    }

    /// Where clients find the members, in order.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        (0..self.members.len()).map(|index| self.address(index)).collect()
    }

    /// The indices of all members.
    pub fn everyone(&self) -> Vec<usize> {
        (0..self.members.len()).collect()
    }

    /// The indices of the members that vote.
    pub fn voters(&self) -> Vec<usize> {
        (0..self.plan.voters.len()).collect()
    }

    pub fn is_running(&self, index: usize) -> bool {
        self.members[index].is_running
    }

    /// Starts a member and does not wait.
    pub fn spawn(&mut self, index: usize) {
        let member = &mut self.members[index];
        assert!(!member.is_running, "server {} runs", index + 1);
        member.server.spawn();
        member.is_running = true;
    }

    /// Starts a member and waits until it serves.
    pub fn start(&mut self, index: usize) {
        self.spawn(index);
        self.wait_until_serving(index);
    }

    /// Starts all that do not run, and waits until all serve.
    pub fn start_all(&mut self) {
        let waiting: Vec<usize> = self.everyone().into_iter().filter(|index| !self.is_running(*index)).collect();
        waiting.iter().for_each(|index| self.spawn(*index));
        waiting.iter().for_each(|index| self.wait_until_serving(*index));
    }

    /// Starts a fresh ensemble so that this member leads: with one other of lower number it makes a quorum of three, in
    /// which among equals the higher number wins. The others join then, but no shadow.
    ///
    /// # Panics
    /// If another one leads.
    pub fn start_led_by(&mut self, leader: usize) {
        let helpers = self.plan.voters.len() / 2;
        assert!(leader >= helpers, "no quorum in which server {} has the highest number", leader + 1);
        let first: Vec<usize> = (0..helpers).chain([leader]).collect();
        first.iter().for_each(|index| self.spawn(*index));
        first.iter().for_each(|index| self.wait_until_serving(*index));
        assert_eq!(self.wait_for_leader(), leader, "{}", self.modes());
        let waiting = if self.plan.observers_are_shadows { self.voters() } else { self.everyone() };
        waiting.iter().filter(|index| !first.contains(index)).for_each(|index| self.spawn(*index));
        waiting.iter().for_each(|index| self.wait_until_serving(*index));
        assert_eq!(self.wait_for_leader(), leader, "{}", self.modes());
    }

    /// kill -9.
    pub fn kill(&mut self, index: usize) {
        assert!(self.is_running(index), "server {} does not run", index + 1);
        self.members[index].server.kill();
        self.members[index].is_running = false;
    }

    /// SIGTERM, and waits for the end.
    pub fn terminate(&mut self, index: usize) -> ExitStatus {
        self.members[index].is_running = false;
        self.members[index].server.terminate()
    }

    /// SIGSTOP.
    pub fn pause(&self, index: usize) {
        self.signal(index, "-STOP");
    }

    /// SIGCONT.
    pub fn resume(&self, index: usize) {
        self.signal(index, "-CONT");
    }

    fn signal(&self, index: usize, name: &str) {
        let id = self.members[index].server.process_id().to_string();
        let status = Command::new("kill").args([name, &id]).status().expect("kill runs");
        assert!(status.success(), "kill {name} {id}");
    }

    /// Exchanges a member in place: another server goes on with its directory, its zoo.cfg and its addresses. The
    /// member must not run.
    pub fn exchange(&mut self, index: usize, subject: Subject) {
        assert!(!self.is_running(index), "server {} runs", index + 1);
        self.members[index].server.subject = subject;
        let voters = self.plan.voters.len();
        let kind = if index < voters { &mut self.plan.voters[index] } else { &mut self.plan.observers[index - voters] };
        *kind = subject;
    }

    /// A server of this kind that stands alone on a member's directory, not started. Its zoo.cfg takes the place of the
    /// member's until [`Ensemble::write_configuration`].
    pub fn alone(&self, index: usize, subject: Subject) -> Server {
        assert!(!self.is_running(index), "server {} runs", index + 1);
        let mut options = self.options_of(index);
        options.lines.retain(|(key, _)| !key.starts_with("server.") && key != "peerType");
        Server::prepare(subject, &options, &self.members[index].server.directory)
    }

    /// Writes a member's zoo.cfg again.
    pub fn write_configuration(&self, index: usize) {
        self.members[index].server.write_configuration();
    }

    /// Takes everything from a member but its number.
    pub fn empty(&mut self, index: usize) {
        assert!(!self.is_running(index), "server {} runs", index + 1);
        fs::remove_dir_all(self.members[index].server.data_directory().join("version-2")).expect("a member has a directory");
    }

    /// What the member says it is; nothing if it does not serve.
    pub fn mode(&self, index: usize) -> Option<Mode> {
        if !self.is_running(index) {
            return None;
        }
        let text = four_letter(self.address(index), b"srvr").ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix("Mode: "))?;
        Some(match line {
            "leader" => Mode::Leader,
            "follower" => Mode::Follower,
            "observer" => Mode::Observer,
            "standalone" => Mode::Standalone,
            "read-only" => Mode::ReadOnly,
            other => panic!("server {}: mode {other:?}", index + 1),
        })
    }

    /// All members with whose they are and what they say they are, for messages.
    pub fn modes(&self) -> String {
        let one = |index: usize| format!("{}: {} {:?}", index + 1, self.members[index].server.subject, self.mode(index));
        self.everyone().into_iter().map(one).collect::<Vec<_>>().join(", ")
    }

    /// Waits until the member serves clients as a part of the ensemble.
    ///
    /// # Panics
    /// If it ends, or does not serve in time.
    pub fn wait_until_serving(&mut self, index: usize) {
        let begun = Instant::now();
        while self.mode(index).is_none() {
            assert!(begun.elapsed() < PATIENCE, "server {} does not serve; {}", index + 1, self.modes());
            let ended = self.members[index].server.ended();
            assert!(ended.is_none(), "server {} ended with {ended:?}:\n{}", index + 1, self.members[index].server.log_tail());
            std::thread::sleep(GLANCE);
        }
    }

    /// Waits until exactly one of the running members leads and enough others follow; which one leads.
    ///
    /// # Panics
    /// If that does not happen in time.
    pub fn wait_for_leader(&self) -> usize {
        self.wait_for_leader_among(&self.voters())
    }

    /// As [`Ensemble::wait_for_leader`], but looks at no others: they may be cut off and not know better.
    ///
    /// # Panics
    /// If it does not happen in time.
    pub fn wait_for_leader_among(&self, voters: &[usize]) -> usize {
        let begun = Instant::now();
        loop {
            let modes: Vec<Option<Mode>> = voters.iter().map(|index| self.mode(*index)).collect();
            let leaders: Vec<usize> =
                voters.iter().zip(&modes).filter(|(_, mode)| **mode == Some(Mode::Leader)).map(|(index, _)| *index).collect();
            let followers = modes.iter().filter(|mode| **mode == Some(Mode::Follower)).count();
            if let [leader] = leaders[..]
                && followers + 1 > self.plan.voters.len() / 2
            {
                return leader;
            }
            assert!(begun.elapsed() < PATIENCE, "no leader: {}", self.modes());
            std::thread::sleep(GLANCE);
        }
    }

    /// The answer to `mntr`, key by key without `zk_`.
    pub fn monitor(&self, index: usize) -> BTreeMap<String, String> {
        let text = four_letter(self.address(index), b"mntr").unwrap_or_default();
        let pair = |line: &str| line.strip_prefix("zk_")?.split_once('\t').map(|(key, value)| (key.to_owned(), value.to_owned()));
        text.lines().filter_map(pair).collect()
    }

    /// How much the members have said so far: what comes after is what a later question is about.
    pub fn mark(&self) -> Mark {
        let length = |member: &Member| fs::metadata(member.server.log_path()).map_or(0, |data| data.len() as usize);
        Mark(self.members.iter().map(length).collect())
    }

    /// What a member has said since.
    pub fn said_since(&self, index: usize, mark: &Mark) -> String {
        let text = fs::read(self.members[index].server.log_path()).unwrap_or_default();
        String::from_utf8_lossy(text.get(mark.0[index]..).unwrap_or_default()).into_owned()
    }

    /// Waits until leader and learner have both told how the learner was synchronised since the mark, and returns it:
    /// the last time, should there have been several.
    ///
    /// # Panics
    /// If they do not tell in time, or tell different things.
    pub fn synchronisation(&self, leader: usize, learner: usize, mark: &Mark) -> Synchronisation {
        let begun = Instant::now();
        loop {
            let sent = sent_synchronisations(&self.said_since(leader, mark));
            let sent = sent.iter().rev().find(|(sid, _)| *sid == learner as i64 + 1).map(|(_, kind)| *kind);
            let got = received_synchronisations(&self.said_since(learner, mark)).last().copied();
            match (sent, got) {
                (Some(sent), Some(got)) if sent == got => return sent,
                _ => assert!(
                    begun.elapsed() < PATIENCE,
                    "server {} sent {sent:?}, server {} got {got:?}; {}\nthe one said:\n{}\nthe other:\n{}",
                    leader + 1,
                    learner + 1,
                    self.modes(),
                    self.members[leader].server.log_tail(),
                    self.members[learner].server.log_tail()
                ),
            }
            std::thread::sleep(GLANCE);
        }
    }

    /// Whether these bytes are in the member's log files.
    pub fn has_logged(&self, index: usize, bytes: &[u8]) -> bool {
        let directory = self.members[index].server.data_directory().join("version-2");
        let entries = fs::read_dir(directory).into_iter().flatten().flatten();
        let logs = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("log."));
        logs.map(|entry| fs::read(entry.path()).unwrap_or_default()).any(|log| log.windows(bytes.len()).any(|window| window == bytes))
    }

    /// Waits until every running member is where the leader is, and compares their trees, node by node, and what they
    /// know of each other's digests.
    ///
    /// # Panics
    /// At a difference, or if they do not come to the same state.
    pub fn assert_same_everywhere(&self) -> usize {
        let running: Vec<usize> = self.everyone().into_iter().filter(|index| self.is_running(*index)).collect();
        self.assert_same_among(&running)
    }

    /// As [`Ensemble::assert_same_everywhere`], for these members: a leader may take no clients.
    ///
    /// # Panics
    /// As that.
    pub fn assert_same_among(&self, running: &[usize]) -> usize {
        let trees: Vec<Tree> = running.iter().map(|index| tree_of(self.address(*index))).collect();
        for (index, tree) in running.iter().zip(&trees).skip(1) {
            if let Some(difference) = difference(&trees[0], tree) {
                panic!("servers {} and {} differ: {difference}; {}", running[0] + 1, index + 1, self.modes());
            }
        }
        let mut digests: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let mut mismatches = BTreeSet::new();
        let has_java = self.plan.voters.iter().any(|subject| *subject != Subject::Oxkeeper);
        for &index in running {
            // A Java server whom a Java server sends a snapshot gets a tree that is ahead of the zxid in its name, and
            // finds the digests of the transactions between wrong.
            if !has_java || self.members[index].server.subject == Subject::Oxkeeper {
                mismatches.extend(self.monitor(index).get("digest_mismatches_count").cloned());
            }
            // Each server keeps those of the last zxids that are a multiple of 128.
            for line in four_letter(self.address(index), b"hash").unwrap_or_default().lines() {
                let (zxid, digest) = line.split_once(": ").unwrap_or_else(|| panic!("hash: {line:?}"));
                digests.entry(zxid.to_owned()).or_default().insert(digest.to_owned());
            }
        }
        // Java's leader announces wrong digests for some rare transactions, and all of ours that ran then say so alike.
        if has_java {
            mismatches.insert("0".to_owned());
        }
        let is_alike = mismatches.contains("0") && mismatches.len() <= 1 + usize::from(has_java);
        assert!(is_alike, "members found digests of others wrong: {mismatches:?}; {}", self.modes());
        for (zxid, found) in &digests {
            assert_eq!(found.len(), 1, "digests at zxid {zxid}: {found:?}");
        }
        trees[0].len()
    }
}

impl Drop for Ensemble {
    fn drop(&mut self) {
        for member in &mut self.members {
            member.server.kill();
        }
        if std::thread::panicking() {
            let kept = kept_directory().join(&self.name);
            let _ = fs::remove_dir_all(&kept);
            copy_directory(&self.directory.path, &kept);
            eprintln!("the directories and logs of {} are kept in {}", self.name, kept.display());
        }
    }
}

/// Whose servers are under test: ours, or what `OXKEEPER_ENSEMBLE_SUBJECT` names (`java380`, `java395`), so that the
/// tests themselves can be tried on Java's servers alone.
///
/// # Panics
/// If it names nothing known.
pub fn ours() -> Subject {
    match std::env::var("OXKEEPER_ENSEMBLE_SUBJECT").as_deref() {
        Err(_) | Ok("oxkeeper") => Subject::Oxkeeper,
        Ok("java380") => Subject::Java38,
        Ok("java395") => Subject::Java39,
        Ok(other) => panic!("OXKEEPER_ENSEMBLE_SUBJECT: no subject {other:?}"),
    }
}

/// Runs cases in an order drawn by `OXKEEPER_SEED`, or else by the commit, until the time is up, and at least so many;
/// with `OXKEEPER_CASES=all` every one, with `OXKEEPER_CASES=<text>` those whose name has the text in it.
///
/// # Panics
/// If a case does, or if no case has the text in its name.
pub fn draw<T>(what: &str, cases: Vec<(String, T)>, least: usize, budget: Duration, mut run: impl FnMut(&str, T)) {
    let seed = seed();
    let mut random = Random(seed);
    let wanted = std::env::var("OXKEEPER_CASES").ok();
    let (all, mut left) = (cases.len(), cases);
    let is_drawn = wanted.is_none();
    if let Some(text) = wanted.filter(|text| text != "all") {
        left.retain(|(name, _)| name.contains(&text));
    }
    let begun = Instant::now();
    let mut done = 0;
    while !left.is_empty() && (!is_drawn || done < least || begun.elapsed() < budget) {
        let at = if is_drawn { random.below(left.len() as u64) as usize } else { 0 };
        let (name, case) = left.remove(at);
        let since = Instant::now();
        println!("{what}: {name}");
        run(&name, case);
        done += 1;
        println!("{what}: {name}: {:.1} s", since.elapsed().as_secs_f64());
    }
    println!("{what}: {done} of {all} cases, seed {seed}");
    assert!(done > 0, "no {what} is named so");
}

/// `OXKEEPER_SEED`, or a number made of the commit's hash.
fn seed() -> u64 {
    if let Ok(text) = std::env::var("OXKEEPER_SEED") {
        return text.parse().unwrap_or_else(|_| panic!("OXKEEPER_SEED={text}"));
    }
    let output = Command::new("git").args(["rev-parse", "HEAD"]).current_dir(workspace()).output();
    let hash = output.ok().and_then(|output| u64::from_str_radix(String::from_utf8_lossy(&output.stdout).get(..12)?, 16).ok());
    hash.unwrap_or(1)
}

/// Where failed ensembles are left for whoever looks for the reason.
fn kept_directory() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), PathBuf::from).join("ensembles")
}

/// Lengths of the members' logs at one moment.
#[derive(Clone, Debug)]
pub struct Mark(Vec<usize>);

/// Whom a leader synchronised and how, in order, by what it logged: Java's lines or ours.
pub fn sent_synchronisations(log: &str) -> Vec<(i64, Synchronisation)> {
    let mut found = Vec::new();
    // Java's line about a snapshot does not say whom it is for: one thread serves one learner.
    let mut served: BTreeMap<&str, i64> = BTreeMap::new();
    for line in log.lines() {
        let number_after = |text: &str| -> Option<i64> {
            let rest = line.split_once(text)?.1.trim_start();
            rest[..rest.find(|character: char| !character.is_ascii_digit()).unwrap_or(rest.len())].parse().ok()
        };
        let thread = line.split_once("LearnerHandler-").map_or("", |(_, rest)| {
            let end = rest.find(|character: char| !"0123456789.:/[".contains(character)).unwrap_or(rest.len());
            rest[..end].trim_end_matches(':')
        });
        if let Some(sid) = number_after("Synchronising learner ") {
            if line.contains("Some(Diff") {
                found.push((sid, Synchronisation::Diff));
            } else if line.contains("Some(Trunc") {
                found.push((sid, Synchronisation::Trunc));
            }
            // What the files allow is told by the thread that has read them.
        } else if let Some(sid) = number_after("Synchronised learner ") {
            let kind = line.split_once(" with ").map_or("", |(_, rest)| rest).split(' ').next().and_then(named);
            found.extend(kind.map(|kind| (sid, kind)));
        } else if let Some(sid) = number_after("Synchronizing with Learner sid:") {
            served.insert(thread, sid);
        } else if let Some(sid) = number_after("for peer sid:") {
            if line.contains("Sending DIFF") {
                found.push((sid, Synchronisation::Diff));
            } else if line.contains("Sending TRUNC") {
                found.push((sid, Synchronisation::Trunc));
            }
        } else if line.contains("Sending snapshot last zxid of peer")
            && let Some(sid) = served.get(thread)
        {
            found.push((*sid, Synchronisation::Snap));
        }
    }
    found
}

/// The kind of synchronisation that a packet's name says.
fn named(word: &str) -> Option<Synchronisation> {
    match word {
        "DIFF" => Some(Synchronisation::Diff),
        "TRUNC" => Some(Synchronisation::Trunc),
        "SNAP" => Some(Synchronisation::Snap),
        _ => None,
    }
}

/// How a learner was synchronised, in order, by what it logged: Java's lines or ours.
pub fn received_synchronisations(log: &str) -> Vec<Synchronisation> {
    let kind = |line: &str| {
        if line.contains("Getting a diff from") {
            Some(Synchronisation::Diff)
        } else if line.contains("Getting a snapshot from") {
            Some(Synchronisation::Snap)
        } else if line.contains("Truncating log to get in sync with the leader") {
            Some(Synchronisation::Trunc)
        } else {
            let rest = line.split_once("The leader ")?.1.split_once(" synchronises us from ")?.1;
            named(rest.split_once(" with ")?.1.split(' ').next()?)
        }
    };
    log.lines().filter_map(kind).collect()
}

/// A tree as a member shows it: each path with the bytes of its data and Stat, its access list, and its children's
/// names.
pub type Tree = BTreeMap<String, Vec<u8>>;

/// Reads a member's whole tree through its own port, after a sync.
///
/// # Panics
/// If it does not answer.
pub fn tree_of(address: SocketAddr) -> Tree {
    let mut reader = TreeReader::open(address);
    reader.ask(&[request::path(op::SYNC, "/")]);
    let mut tree = Tree::new();
    let mut level = vec!["/".to_owned()];
    while !level.is_empty() {
        let mut next = Vec::new();
        for paths in level.chunks(100) {
            let requests: Vec<Request> = paths
                .iter()
                .flat_map(|path| {
                    [request::read(op::DATA, path, false), request::path(op::ACL, path), request::read(op::CHILDREN, path, false)]
                })
                .collect();
            let replies = reader.ask(&requests);
            for (path, replies) in paths.iter().zip(replies.chunks(3)) {
                let names = Reader::new(&replies[2]).strings().ok().flatten().unwrap_or_default();
                let mut names: Vec<String> = names.into_iter().flatten().map(|name| String::from_utf8_lossy(name).into_owned()).collect();
                names.sort();
                let mut bytes = replies[..2].concat();
                bytes.extend(names.join("/").into_bytes());
                // What it says of the addresses for clients depends on the file that each member read.
                if path != "/zookeeper/config" {
                    tree.insert(path.clone(), bytes);
                }
                let parent = if path == "/" { "" } else { path };
                next.extend(names.into_iter().map(|name| format!("{parent}/{name}")));
            }
        }
        level = next;
    }
    reader.close();
    tree
}

/// The first difference of two trees.
pub fn difference(one: &Tree, other: &Tree) -> Option<String> {
    let paths: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
    let show = |bytes: Option<&Vec<u8>>| bytes.map_or("nothing".to_owned(), |bytes| bytes.escape_ascii().to_string());
    let path = paths.into_iter().find(|path| one.get(*path) != other.get(*path))?;
    Some(format!("{path}: {} and {}", show(one.get(path)), show(other.get(path))))
}

/// A session that reads much at once.
struct TreeReader {
    connection: Connection,
    xid: i32,
}

impl TreeReader {
    fn open(address: SocketAddr) -> TreeReader {
        let begun = Instant::now();
        loop {
            if let Some((connection, _)) = crate::load::connect(address, None, 30_000) {
                return TreeReader { connection, xid: 0 };
            }
            assert!(begun.elapsed() < PATIENCE, "{address} gives no session");
            std::thread::sleep(GLANCE);
        }
    }

    /// Bodies of the replies; a node that is gone has none.
    fn ask(&mut self, requests: &[Request]) -> Vec<Vec<u8>> {
        let first = self.xid + 1;
        self.xid += requests.len() as i32;
        let frames: Vec<u8> = (first..).zip(requests).flat_map(|(xid, request)| request.frame(xid)).collect();
        self.connection.send(&frames);
        let reply = |xid: i32| {
            let payload = self.connection.receive(PATIENCE).unwrap_or_else(|silence| panic!("no reply: {silence:?}"));
            assert_eq!(header(&payload).0, xid, "replies come in order");
            payload[16..].to_vec()
        };
        (first..first + requests.len() as i32).map(reply).collect()
    }

    fn close(mut self) {
        self.xid += 1;
        self.connection.send(&request::bare(op::CLOSE_SESSION).frame(self.xid));
        let _ = self.connection.receive(Duration::from_secs(5));
    }
}

#[cfg(test)]
mod tests {
    use super::{Synchronisation, received_synchronisations, sent_synchronisations};

    #[test]
    fn synchronisations_are_found_in_the_logs_of_all_servers() {
        let newer = "\
            2026-11-23 05:00:00,000 [myid:3] - INFO  [LearnerHandler-/127.1.2.3:41234:o.a.z.s.q.LearnerHandler@806] - Synchronizing with Learner sid: 1 maxCommittedLog=0x0\n\
            2026-11-23 05:00:00,000 [myid:3] - INFO  [LearnerHandler-/127.1.2.3:41235:o.a.z.s.q.LearnerHandler@806] - Synchronizing with Learner sid: 2 maxCommittedLog=0x0\n\
            2026-11-23 05:00:00,000 [myid:3] - INFO  [LearnerHandler-/127.1.2.3:41235:o.a.z.s.q.LearnerHandler@573] - Sending snapshot last zxid of peer is 0x0, zxid of leader\n\
            2026-11-23 05:00:00,000 [myid:3] - INFO  [LearnerHandler-/127.1.2.3:41234:o.a.z.s.q.LearnerHandler@851] - Sending DIFF zxid=0x0 for peer sid: 1\n\
            2026-11-23 05:00:00,000 [myid:3] - DEBUG [LearnerHandler-/127.1.2.3:41234:o.a.z.s.q.LearnerHandler@861] - Sending TRUNC to follower zxidToSend=0x4 for peer sid:1\n";
        use Synchronisation::{Diff, Snap, Trunc};
        assert_eq!(sent_synchronisations(newer), [(2, Snap), (1, Diff), (1, Trunc)]);
        let older = "\
            12 [LearnerHandler-/127.1.2.3:41234] INFO org.apache.zookeeper.server.quorum.LearnerHandler - Synchronizing with Learner sid: 5 maxCommittedLog=0x0\n\
            12 [LearnerHandler-/127.1.2.3:41234] INFO org.apache.zookeeper.server.quorum.LearnerHandler - Sending snapshot last zxid of peer is 0x0\n";
        assert_eq!(sent_synchronisations(older), [(5, Snap)]);
        let ours = "\
            INFO zab - Synchronising learner 1 from 0x0 to 0x100000012: None\n\
            INFO zab - Synchronising learner 2 from 0x100000015 to 0x100000012: Some(Trunc { to: Zxid(4294967314) })\n\
            INFO links - Synchronised learner 1 at 127.1.2.3:41234 with SNAP 0x100000012: its history ended with 0x0, ours with 0x100000012\n\
            INFO zab - Synchronising learner 1 from 0x100000012 to 0x100000012: Some(Diff { after: Zxid(1) })\n";
        assert_eq!(sent_synchronisations(ours), [(2, Trunc), (1, Snap), (1, Diff)]);
        let learner = "Getting a snapshot from leader 0x1\nx Truncating log to get in sync with the leader 0x0\ny Getting a diff from the leader 0x5\nThe leader 3 synchronises us from 0x0 with SNAP 0x5";
        assert_eq!(received_synchronisations(learner), [Snap, Trunc, Diff, Snap]);
    }
}
