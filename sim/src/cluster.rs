//! The world of an ensemble: members on disks of their own, links that break, clients that go from one to another, power
//! that goes; all from one seed.

use crate::client::{Client, Line, Told};
use crate::cluster_oracle::ClusterOracle;
use crate::config_files::ConfigFiles;
use crate::faults::{ClusterFaults, FaultKind, Moment};
use crate::hearing::Hearing;
use crate::machine::{self, Death, FRONTS, Seen, is_undecidable};
use crate::member::{Event, Member, MemberOptions, Wish};
use crate::quorums::{any_can_be_spared, in_groups, lines};
use crate::random::Random;
use crate::trace::trace;
use bytes::Bytes;
use oxkeeper_ledger::{Arrival, LinkReader, synchronise};
use oxkeeper_proto::Zxid;
use oxkeeper_replica::core::Input;
use oxkeeper_replica::front::Flow;
use oxkeeper_replica::request::Now;
use oxkeeper_store::disk::{Disk as _, OpenMode, read_without_trailing_hole};
use oxkeeper_store::sim_disk::SimDisk;
use oxkeeper_store::{DiskRef, OpenOptions};
use oxkeeper_zab::{Config, Door, HostPort, LinkId, MemberRole, Packet, Role, Sid, SyncPlan};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;
use std::sync::{Arc, Mutex};

const CLIENTS: usize = 6;
/// The longest packet that is believed.
const LONGEST: usize = 4 << 20;
const MOST_FAILED_STARTS: usize = 40;

/// What is run.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub seed: u64,
    /// Drawn from the seed, if not given.
    pub faults: Option<ClusterFaults>,
    /// Faults that are left out, by their number in the run.
    pub without: BTreeSet<usize>,
    /// Only so many clients do anything.
    pub clients: usize,
}

impl Scenario {
    /// Everything that a seed has.
    pub fn new(seed: u64) -> Self {
        Self { seed, faults: None, without: BTreeSet::new(), clients: CLIENTS }
    }
}

/// What a run has seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterReport {
    pub steps: usize,
    pub virtual_ms: u64,
    pub acknowledged: usize,
    /// Those of them that groups and weights have decided.
    pub by_groups: usize,
    /// Configurations that were committed.
    pub reconfigurations: usize,
    /// Servers that had left and were emptied.
    pub replaced: usize,
    /// Seeds of the runs that ended without a leader, in the middle of a change of the ensemble.
    pub stuck: Vec<u64>,
    pub leads: usize,
    pub follows: usize,
    /// Observers that a follower has brought up to date.
    pub fed: usize,
    pub starts: usize,
    /// By kind.
    pub faults: [usize; FaultKind::COUNT],
    pub failed_logs: usize,
    /// Members that refused to start on a damaged directory, which was then emptied.
    pub refused: usize,
    /// What members were in the middle of when the power went, and before which operation of the disk.
    pub power_gone: BTreeMap<String, usize>,
    pub snapshots: usize,
    pub diffs: usize,
    pub truncs: usize,
    pub snaps: usize,
    /// Watches that clients were told of.
    pub watches: usize,
    /// Replies to reads that were compared with the history, and watches that were.
    pub reads: usize,
    pub watched: usize,
    /// Syncs that were answered, and connections that a client gave up because nothing came.
    pub syncs: usize,
    pub silences: usize,
    /// A number made of everything that happened: two runs of one seed have the same.
    pub trace: u64,
}

impl std::ops::AddAssign for ClusterReport {
    fn add_assign(&mut self, other: Self) {
        self.steps += other.steps;
        self.virtual_ms += other.virtual_ms;
        self.acknowledged += other.acknowledged;
        self.by_groups += other.by_groups;
        self.reconfigurations += other.reconfigurations;
        self.replaced += other.replaced;
        self.stuck.extend(other.stuck);
        self.leads += other.leads;
        self.follows += other.follows;
        self.fed += other.fed;
        self.starts += other.starts;
        self.faults.iter_mut().zip(other.faults).for_each(|(sum, more)| *sum += more);
        self.failed_logs += other.failed_logs;
        self.refused += other.refused;
        for (moment, count) in other.power_gone {
            *self.power_gone.entry(moment).or_default() += count;
        }
        self.snapshots += other.snapshots;
        self.diffs += other.diffs;
        self.truncs += other.truncs;
        self.snaps += other.snaps;
        self.watches += other.watches;
        self.reads += other.reads;
        self.watched += other.watched;
        self.syncs += other.syncs;
        self.silences += other.silences;
        self.trace = self.trace.rotate_left(7) ^ other.trace;
    }
}

impl ClusterReport {
    /// Each number by its name, in an order for the eye; those that add up over runs.
    pub fn rows(&self) -> Vec<(String, u64)> {
        let numbers = [
            ("simulated ms", self.virtual_ms),
            ("steps", self.steps as u64),
            ("acknowledged writes", self.acknowledged as u64),
            ("decided by groups", self.by_groups as u64),
            ("reads compared", self.reads as u64),
            ("watches compared", self.watched as u64),
            ("events", self.watches as u64),
            ("syncs", self.syncs as u64),
            ("configurations", self.reconfigurations as u64),
            ("servers made new", self.replaced as u64),
            ("stuck in a change", self.stuck.len() as u64),
            ("leaders", self.leads as u64),
            ("learners", self.follows as u64),
            ("observers fed by followers", self.fed as u64),
            ("starts", self.starts as u64),
            ("snapshots", self.snapshots as u64),
            ("from files: DIFF", self.diffs as u64),
            ("from files: TRUNC", self.truncs as u64),
            ("from files: SNAP", self.snaps as u64),
            ("failed logs", self.failed_logs as u64),
            ("refused to start", self.refused as u64),
        ];
        let numbers = numbers.map(|(name, number)| (name.to_owned(), number));
        let faults = FaultKind::ALL.iter().zip(self.faults).map(|((_, name, ..), count)| ((*name).to_owned(), count as u64));
        let moments = self.power_gone.iter().map(|(moment, count)| (format!("power gone: {moment}"), *count as u64));
        numbers.into_iter().chain(faults).chain(moments).collect()
    }
}

struct Host {
    disk: SimDisk,
    member: Option<Member>,
    /// Where it takes learners.
    listens: Vec<Door>,
    /// It stands still until then.
    paused_until_ms: u64,
    /// What its wall clock is off.
    wall_offset_ms: i64,
    /// A full start each time.
    restart_at_ms: u64,
    /// Its log's thread waits for the disk until then.
    slow_until_ms: u64,
    is_full: bool,
    /// What is to happen inside its next step that changes files.
    armed: Option<FaultKind>,
    /// The power is to go while a leader brings it to its history in one of these ways, in this life or a later one.
    awaited: BTreeSet<&'static str>,
    /// Likewise, after a cut.
    awaited_after_cut: bool,
    /// A byte of its files has changed, and may show itself long after.
    is_rotten: bool,
    /// Its directory was damaged and emptied, and no leader has synchronised it since.
    is_lost: bool,
    /// Java runs before the next start.
    is_javas_turn: bool,
    /// It leads, and was cut off.
    is_quiet: bool,
    /// Before this step it stands still, unless there is something that it does not know.
    quiet_until_step: usize,
}

impl Host {
    fn new() -> Self {
        Self {
            disk: SimDisk::new(),
            member: None,
            listens: Vec::new(),
            paused_until_ms: 0,
            wall_offset_ms: 0,
            restart_at_ms: 0,
            slow_until_ms: 0,
            is_full: false,
            armed: None,
            awaited: BTreeSet::new(),
            awaited_after_cut: false,
            is_rotten: false,
            is_lost: false,
            is_javas_turn: false,
            is_quiet: false,
            quiet_until_step: 0,
        }
    }
}

/// A connection between two members, as two directions of bytes.
struct Link {
    /// Who dialled, and the number that it gave the link.
    learner: (usize, LinkId),
    /// Who was dialled, once it has accepted.
    leader: (usize, LinkId),
    /// Bytes on their way, to the leader and to the learner.
    to_leader: VecDeque<Vec<u8>>,
    to_learner: VecDeque<Vec<u8>>,
    readers: [LinkReader; 2],
    /// Each side, the leader's first, still has its end open.
    open: [bool; 2],
    /// Something was lost on the way to the leader, or to the learner: nothing behind it arrives.
    stalled: [bool; 2],
}

/// Faults as a run tells them: each with the step before which it was.
pub type ToldFaults = Arc<Mutex<Vec<(usize, String)>>>;

/// See the module.
pub struct Cluster {
    scenario: Scenario,
    random: Random,
    /// A stream of its own, so that a fault that is left out leaves the others where they are.
    chance: Random,
    faults: ClusterFaults,
    /// The faults so far, left out or not.
    fault_count: usize,
    /// Those that were not left out, for a run that is told.
    told: Option<ToldFaults>,
    is_healing: bool,
    /// A directory cannot be told from a damaged one, and the ensemble may be too small to do without: the run is over.
    is_undecided: bool,
    /// What was to fail may do so after everything else has healed.
    disks_fail: bool,
    options: MemberOptions,
    hosts: Vec<Host>,
    /// Election messages on their way, and the last one that a cut held back.
    election: BTreeMap<(usize, usize), VecDeque<Bytes>>,
    held_back: BTreeMap<(usize, usize), Bytes>,
    /// Directions that are cut.
    cuts: BTreeMap<(usize, usize), bool>,
    links: BTreeMap<u64, Link>,
    next_link: u64,
    clients: Vec<Client>,
    /// The server that each client is connected to.
    at: Vec<usize>,
    /// A change of the ensemble that somebody is to ask for.
    change: Option<Random>,
    /// A leader is to be cut off.
    isolation: bool,
    oracle: ClusterOracle,
    now: Now,
    report: ClusterReport,
}

impl Cluster {
    /// A run of this seed, with these faults or those that it draws.
    pub fn new(seed: u64, faults: Option<ClusterFaults>) -> Self {
        Self::of(Scenario { faults, ..Scenario::new(seed) })
    }

    /// Members with empty directories, or with such that are near the end of an epoch's counter; clients without sessions.
    pub fn of(scenario: Scenario) -> Self {
        let mut random = Random::new(scenario.seed);
        let drawn = ClusterFaults::draw(&mut random);
        let members = if random.one_in(4) { 5 } else { 3 };
        // Followers feed them in some runs.
        let observer_masters = random.one_in(6);
        let observers = if observer_masters { 1 + random.below(2) as usize } else { usize::from(random.one_in(4)) };
        let mut faults = scenario.faults.unwrap_or(drawn);
        let reconfig_enabled = faults.of(FaultKind::Reconfig) > 0;
        // Servers that nobody has asked in yet.
        let spares = if reconfig_enabled { 2 } else { 0 };
        let total = members + observers + spares;
        let role = |sid: usize| if sid > members { MemberRole::Observer } else { MemberRole::Participant };
        let mut config = Config::majority((1..=members + observers).map(|sid| member(sid, role(sid))).collect());
        if random.one_in(5) {
            config = in_groups(&config, &mut random);
        }
        if !any_can_be_spared(&config) {
            // Whose history is gone has no vote.
            faults.0[FaultKind::Rot as usize] = 0;
        }
        let mut options = MemberOptions {
            tick_ms: 200 + random.below(1800),
            init_limit: 10,
            sync_limit: 5,
            cache_entries: [1, 3, 20, 500][random.below(4) as usize],
            last_counter: u32::MAX,
            force_snapshot_sync: random.one_in(8),
            reconfig_enabled,
            observer_masters,
        };
        // Cuts are rare: in some runs the first one of each member is followed by the end of its power.
        let awaited_after_cut = faults.of(FaultKind::PowerCutAt) > 0 && random.one_in(2);
        let hosts: Vec<Host> = (0..total).map(|_| Host { awaited_after_cut, ..Host::new() }).collect();
        let mut origin = Zxid::ZERO;
        if random.one_in(6) {
            // A new leader begins to count anew, so the end has to come earlier, too.
            let left = random.below(20) as u32;
            origin = Zxid::new(1, u32::MAX - 2 - left);
            options.last_counter = 20 + left;
            hosts.iter().for_each(|host| machine::begin_at(&host.disk, origin));
        }
        for (host, sid) in hosts.iter().zip(1..) {
            ConfigFiles::write_first(&host.disk, &with_observer(&config, sid));
        }
        let last_counter = options.last_counter;
        let fails = [FaultKind::Sync, FaultKind::Write, FaultKind::Space, FaultKind::PowerCutInside, FaultKind::PowerCutAt];
        Self {
            chance: Random::new(random.bits()),
            scenario,
            faults,
            fault_count: 0,
            told: None,
            is_healing: false,
            is_undecided: false,
            disks_fail: fails.iter().any(|kind| faults.of(*kind) > 0),
            clients: (0..CLIENTS).map(|index| Client::new(index, total, random.bits())).collect(),
            random,
            options,
            hosts,
            election: BTreeMap::new(),
            held_back: BTreeMap::new(),
            cuts: BTreeMap::new(),
            links: BTreeMap::new(),
            next_link: 1,
            at: vec![0; CLIENTS],
            change: None,
            isolation: false,
            oracle: ClusterOracle::new(total, config, origin, last_counter),
            now: Now { mono_ms: 86_400_000, wall_ms: 1_700_000_000_000 },
            report: ClusterReport::default(),
        }
    }

    /// Tells which faults there were, each with the step before which it was.
    #[must_use]
    pub fn telling(self, told: &ToldFaults) -> Self {
        Self { told: Some(told.clone()), ..self }
    }

    /// Runs so many steps with faults, then heals everything and demands progress.
    ///
    /// # Panics
    /// At the first violation; the message names it.
    pub fn run(mut self, steps: usize) -> ClusterReport {
        let begun_ms = self.now.mono_ms;
        for _ in 0..steps {
            self.report.steps += 1;
            self.fault();
            self.isolate();
            self.step();
            if self.is_undecided {
                break;
            }
        }
        self.heal();
        self.report.virtual_ms = self.now.mono_ms - begun_ms;
        self.report.acknowledged = self.oracle.acknowledged;
        self.report.by_groups = self.oracle.by_groups;
        self.report.reconfigurations = self.oracle.reconfigurations;
        self.report.leads = self.oracle.leads;
        self.report.follows = self.oracle.follows;
        self.report.watches = self.clients.iter().map(|client| client.events).sum();
        self.report.syncs = self.clients.iter().map(|client| client.syncs).sum();
        self.report.silences = self.clients.iter().map(|client| client.given_up).sum();
        self.report
    }

    fn trace(&mut self, what: u64) {
        self.report.trace = (self.report.trace ^ what).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23);
    }

    fn heal(&mut self) {
        self.faults = ClusterFaults::default();
        self.is_healing = true;
        (self.change, self.isolation) = (None, false);
        self.cuts.clear();
        for (path, message) in std::mem::take(&mut self.held_back) {
            self.election.entry(path).or_default().push_back(message);
        }
        for host in &mut self.hosts {
            host.disk.set_capacity(None);
            (host.is_full, host.armed, host.paused_until_ms, host.slow_until_ms) = (false, None, 0, 0);
            host.is_quiet = false;
            (host.awaited_after_cut, host.awaited) = (false, BTreeSet::new());
        }
        let before = self.oracle.acknowledged;
        // Long enough for the longest notification interval and a few elections.
        let limit_ms = self.now.mono_ms + 400_000;
        let mut steps = 0;
        while self.oracle.acknowledged < before + 30 {
            if self.is_undecided {
                return;
            }
            self.step();
            steps += 1;
            let is_late = self.now.mono_ms >= limit_ms || steps >= 400_000;
            if is_late && self.is_changing() {
                trace!("stuck: {}", self.roles());
                self.report.stuck.push(self.scenario.seed);
                return;
            }
            assert!(!is_late, "seed {}: healed and yet no progress: {}", self.scenario.seed, self.roles());
        }
        // What still rots is replaced: an observer with a promise that nobody ever asked for stays outside for good.
        for host in 0..self.hosts.len() {
            if self.hosts[host].is_rotten {
                self.end(host, None);
                self.empty(host);
            }
        }
        // Nothing new: all have to become equal.
        let limit_ms = self.now.mono_ms + 400_000;
        self.clients.iter_mut().for_each(|client| client.is_done = true);
        loop {
            if self.is_undecided {
                return;
            }
            self.step();
            steps += 1;
            let last = self.oracle.last_committed();
            let is_there = |host: &Host| host.member.as_ref().is_some_and(|m| m.is_serving && m.tree().last_zxid() == last);
            let all = self.oracle.config().members.keys().all(|sid| is_there(&self.hosts[sid.0 as usize - 1]));
            if all {
                break;
            }
            assert!(
                self.now.mono_ms < limit_ms && steps < 800_000,
                "seed {}: members do not become equal: {}",
                self.scenario.seed,
                self.roles()
            );
        }
        self.oracle.all_equal();
        self.compare_all();
    }

    /// Somebody has seen a configuration that is not in force there. By Java's rules of election, which are ours, who has not
    /// seen it does not vote for whom only that names, and who is named only there offers nobody: with members of the old
    /// and the new ensemble that hold different things there may be no leader until an operator steps in.
    fn is_changing(&self) -> bool {
        let has_seen = |member: &Member| member.peer().last_seen_config().version > member.peer().config().version;
        self.hosts.iter().filter_map(|host| host.member.as_ref()).any(has_seen)
    }

    /// What the history makes is what all members hold, and what clients have read and were told.
    fn compare_all(&mut self) {
        self.clients.iter_mut().for_each(|client| client.hearing.ended());
        let heard: Vec<&Hearing> = self.clients.iter().map(|client| &client.hearing).collect();
        let model = self.oracle.replay(&heard);
        for sid in self.oracle.config().members.keys() {
            model.compare(self.hosts[sid.0 as usize - 1].member.as_ref().expect("all are there").tree());
        }
        self.report.reads = heard.iter().map(|hearing| hearing.reads.len()).sum();
        self.report.watched = heard.iter().map(|hearing| hearing.watches.len() + hearing.stretches.len()).sum();
    }

    fn roles(&self) -> String {
        let role = |host: &Host| {
            host.member.as_ref().map_or("down".to_owned(), |m| {
                format!(
                    "{:?}{}{}{} v{:x} e{} at {} logged {}",
                    m.peer().role(),
                    if m.peer().is_in_doubt() { " in doubt" } else { "" },
                    if m.has_work() { " busy" } else { "" },
                    if m.is_serving { "+" } else { "" },
                    m.peer().config().version,
                    m.peer().epoch(),
                    m.tree().last_zxid(),
                    m.peer().last_logged()
                )
            })
        };
        self.hosts.iter().map(role).collect::<Vec<_>>().join(", ")
    }

    fn some_host(&mut self) -> usize {
        self.random.below(self.hosts.len() as u64) as usize
    }

    fn fault(&mut self) {
        let is_waiting = self.hosts.iter().any(|host| host.is_quiet && host.paused_until_ms > self.now.mono_ms);
        for (kind, name, ..) in FaultKind::ALL {
            if !self.chance.one_in(self.faults.of(kind)) {
                continue;
            }
            // What it is does not depend on those before it.
            let mut chance = Random::new(self.chance.bits());
            self.fault_count += 1;
            // The others are to find a leader meanwhile.
            if self.scenario.without.contains(&self.fault_count) || is_waiting {
                continue;
            }
            let host = chance.below(self.hosts.len() as u64) as usize;
            if let Some(told) = &self.told {
                let line = format!("step {}: {name}, member {host}", self.report.steps);
                told.lock().expect("no holder panics").push((self.fault_count, line));
            }
            trace!("{host}: fault: {name}");
            self.report.faults[kind as usize] += 1;
            self.inflict(kind, host, &mut chance);
        }
    }

    fn inflict(&mut self, kind: FaultKind, host: usize, chance: &mut Random) {
        let now_ms = self.now.mono_ms;
        match kind {
            FaultKind::PowerCut => self.end(host, Some(chance.bits())),
            FaultKind::PowerCutInside if chance.one_in(3) => self.hosts[host].disk.stop_before(chance.below(60)),
            FaultKind::Blackout => (0..self.hosts.len()).for_each(|host| self.end(host, Some(chance.bits()))),
            FaultKind::Kill => self.end(host, None),
            FaultKind::Pause => self.hosts[host].paused_until_ms = now_ms + chance.below(10_000),
            FaultKind::Cut => self.change_cut(host, chance),
            FaultKind::Reset => {
                let ids: Vec<u64> = self.links.keys().copied().collect();
                if !ids.is_empty() {
                    self.reset(ids[chance.below(ids.len() as u64) as usize]);
                }
            }
            FaultKind::PowerCutInside => self.hosts[host].armed = Some(kind),
            FaultKind::Sync | FaultKind::Write if chance.one_in(2) => self.hosts[host].armed = Some(kind),
            FaultKind::Sync => self.hosts[host].disk.fail_sync(chance.below(6)),
            FaultKind::Write => self.hosts[host].disk.fail_write(chance.below(10)),
            FaultKind::Slow => self.hosts[host].slow_until_ms = now_ms + chance.below(3000),
            FaultKind::Space => {
                let host = &mut self.hosts[host];
                host.is_full = !host.is_full;
                let room = chance.below(24 << 10);
                host.disk.set_capacity(host.is_full.then(|| host.disk.used_bytes() + room));
            }
            FaultKind::Clock => self.hosts[host].wall_offset_ms = chance.below(20_000_000) as i64 - 10_000_000,
            FaultKind::Rot => self.rot(host, chance),
            FaultKind::Java => self.hosts[host].is_javas_turn = true,
            FaultKind::PowerCutAt => match Moment::ALL[chance.below(Moment::ALL.len() as u64) as usize] {
                Moment::During(moment) => drop(self.hosts[host].awaited.insert(moment)),
                // Whoever comes to it: cuts are rare.
                Moment::AfterCut => self.hosts.iter_mut().for_each(|host| host.awaited_after_cut = true),
                Moment::Rename(name) => self.hosts[host].disk.stop_before_rename(name),
            },
            FaultKind::Isolation => self.isolation = true,
            FaultKind::Reconfig if chance.one_in(6) => self.replace(host),
            // Whoever can ask next does.
            FaultKind::Reconfig => self.change = Some(Random::new(chance.bits())),
        }
    }

    /// Whoever leads next without anything that is not committed is cut off. Its clients ask for nothing but to be brought up
    /// to date from then on: behind a proposal that nobody will acknowledge that is never answered.
    fn isolate(&mut self) {
        for at in 0..self.hosts.len() {
            let host = &self.hosts[at];
            if !host.is_quiet || host.paused_until_ms <= self.now.mono_ms {
                continue;
            }
            let is_behind = host.member.as_ref().is_some_and(|member| member.tree().last_zxid().0 < self.oracle.highest_told);
            if is_behind || self.report.steps >= host.quiet_until_step {
                self.hosts[at].paused_until_ms = 0;
            } else if self.oracle.is_last_leader(at) {
                // Until it is missed.
                self.now.mono_ms += self.options.tick_ms / 20;
            }
        }
        if !self.isolation {
            return;
        }
        let leads = |host: &Host| host.member.as_ref().is_some_and(|m| m.is_serving && m.peer().role() == Role::Leading);
        let found = (0..self.hosts.len()).find(|host| leads(&self.hosts[*host]) && self.oracle.has_nothing_outstanding(*host));
        let Some(host) = found else { return };
        self.isolation = false;
        for other in 0..self.hosts.len() {
            self.set_cut(host, other, true);
            self.set_cut(other, host, true);
        }
        trace!("{host}: cut off");
        self.hosts[host].paused_until_ms = u64::MAX;
        self.hosts[host].quiet_until_step = self.report.steps + 800;
        self.hosts[host].is_quiet = true;
    }

    /// A client asks for another ensemble, in one of the ways that there are.
    fn change_members(&mut self, index: usize, chance: &mut Random) {
        let config = self.oracle.config().clone();
        let (mut next, mut joining, mut leaving) = (config.clone(), Vec::new(), Vec::new());
        while next == config || next.voters().count() < 2 {
            (next, joining, leaving) = (config.clone(), Vec::new(), Vec::new());
            for _ in 0..if chance.one_in(4) { 2 } else { 1 } {
                let sid = 1 + chance.below(self.hosts.len() as u64) as usize;
                let role = if chance.one_in(4) { MemberRole::Observer } else { MemberRole::Participant };
                if next.members.contains_key(&Sid(sid as i64)) && chance.one_in(2) {
                    next.members.remove(&Sid(sid as i64));
                    leaving.push(sid.to_string());
                } else {
                    let (sid, member) = member(sid, role);
                    joining.push(format!("server.{sid}={member}"));
                    next.members.insert(sid, member);
                }
            }
        }
        // With groups a list that is not whole is refused, which somebody tries now and then.
        let is_whole = chance.one_in(3) || (config.is_hierarchical() && !chance.one_in(8));
        if is_whole {
            (next.groups, next.weights) = Default::default();
            if chance.one_in(3) {
                next = in_groups(&next, chance);
            }
        }
        let from_version = match chance.below(8) {
            0 => config.version.cast_signed() - 1,
            1..4 => config.version.cast_signed(),
            _ => -1,
        };
        let (joining, leaving) = (joining.join(","), leaving.join(","));
        let now_ms = self.now.mono_ms;
        if is_whole {
            self.clients[index].reconfigure(now_ms, None, None, Some(&lines(&next)), from_version);
        } else {
            self.clients[index].reconfigure(
                now_ms,
                Some(joining.as_str()).filter(|text| !text.is_empty()),
                Some(leaving.as_str()).filter(|text| !text.is_empty()),
                None,
                from_version,
            );
        }
    }

    /// A server that has left is emptied and made a new one, which its operator tells of today's ensemble. Only when all
    /// others know that it has left: for who does not, its vote still counts, and so does what it has forgotten.
    fn replace(&mut self, host: usize) {
        let config = self.oracle.config();
        if config.members.contains_key(&Sid(host as i64 + 1)) {
            return;
        }
        let config = with_observer(config, host + 1);
        let version = config.version;
        let knows = |other: &Host| {
            other.member.as_ref().is_some_and(|m| m.peer().config().version == version && m.peer().last_seen_config().version == version)
        };
        if !self.hosts.iter().enumerate().all(|(at, other)| at == host || knows(other)) {
            return;
        }
        self.end(host, None);
        let disk = SimDisk::new();
        ConfigFiles::write_first(&disk, &config);
        let restart_at_ms = self.hosts[host].restart_at_ms;
        self.hosts[host] = Host { disk, restart_at_ms, wall_offset_ms: self.hosts[host].wall_offset_ms, ..Host::new() };
        self.oracle.replaced(host);
        self.report.replaced += 1;
    }

    fn change_cut(&mut self, from: usize, chance: &mut Random) {
        let to = chance.below(self.hosts.len() as u64) as usize;
        let cut = !self.cuts.get(&(from, to)).copied().unwrap_or(false);
        self.set_cut(from, to, cut);
        if chance.one_in(2) {
            self.set_cut(to, from, cut);
        }
        if chance.one_in(4) {
            let all: Vec<(usize, usize)> = self.cuts.keys().copied().collect();
            all.into_iter().for_each(|(from, to)| self.set_cut(from, to, false));
        }
    }

    /// One byte of one file changes, on one member at a time: what it holds alone may be gone with it, and only what all
    /// others hold is safe until a leader has brought it back.
    fn rot(&mut self, host: usize, chance: &mut Random) {
        if self.hosts.iter().enumerate().any(|(at, other)| other.is_lost || (at != host && other.is_rotten)) {
            return;
        }
        self.end(host, None);
        let disk = &self.hosts[host].disk;
        let directory = Path::new("/data/version-2");
        let files: Vec<_> = disk.list(directory).unwrap_or_default().into_iter().filter(|file| file.size > 0).collect();
        if files.is_empty() {
            return;
        }
        let file = &files[chance.below(files.len() as u64) as usize];
        // Two epochs that rot alike look as if Java had followed a later leader here, and two bytes in the records of a short
        // log as if its end had never been written.
        let is_fatal_twice = file.name.to_lowercase().contains("epoch") || file.name.starts_with("log.");
        if self.hosts[host].is_rotten && is_fatal_twice {
            return;
        }
        // Most of a log is padding.
        let path = directory.join(&file.name);
        let used = disk.open(&path, OpenMode::Read).and_then(|file| read_without_trailing_hole(&*file)).map_or(0, |(bytes, _)| bytes.len());
        let bit = 1 << chance.below(8);
        let offset = chance.below(used.max(1) as u64);
        trace!("{host}: byte {offset} of {} rots", file.name);
        disk.rot(&path, offset, |byte| byte ^ bit);
        self.hosts[host].is_rotten = true;
    }

    fn set_cut(&mut self, from: usize, to: usize, cut: bool) {
        if from == to {
            return;
        }
        self.cuts.insert((from, to), cut);
        if cut {
            // What is on its way is lost; the newest is sent again when there is a way.
            if let Some(last) = self.election.remove(&(from, to)).and_then(|mut queue| queue.pop_back()) {
                self.held_back.insert((from, to), last);
            }
        } else if let Some(message) = self.held_back.remove(&(from, to)) {
            self.election.entry((from, to)).or_default().push_back(message);
        }
    }

    fn is_cut(&self, from: usize, to: usize) -> bool {
        self.cuts.get(&(from, to)).copied().unwrap_or(false)
    }

    /// A connection is reset: a suffix each way is lost, and both sides learn of it.
    fn reset(&mut self, id: u64) {
        let Some(link) = self.links.remove(&id) else { return };
        for (side, (host, number)) in [link.leader, link.learner].into_iter().enumerate() {
            if link.open[side] {
                self.bring(host, vec![Input::LinkDown { link: number }]);
            }
        }
    }

    fn local_now(&self, host: usize) -> Now {
        Now { mono_ms: self.now.mono_ms, wall_ms: self.now.wall_ms + self.hosts[host].wall_offset_ms }
    }

    /// The process is gone; with a seed, the power too.
    fn end(&mut self, host: usize, power_cut: Option<u64>) {
        trace!("{host}: ends, power cut {}", power_cut.is_some());
        let member = self.hosts[host].member.take();
        if power_cut.is_some() {
            let moment = member.as_ref().map_or("down", |member| member.moment).to_owned();
            *self.report.power_gone.entry(moment).or_default() += 1;
            if let Some(operation) = self.hosts[host].disk.stopped_before() {
                *self.report.power_gone.entry(without_zxid(&operation)).or_default() += 1;
            }
        }
        self.hosts[host].armed = None;
        self.hosts[host].listens.clear();
        self.hosts[host].disk.crash();
        if let Some(seed) = power_cut {
            self.hosts[host].disk.power_cut(seed);
        }
        self.hosts[host].restart_at_ms = self.now.mono_ms + self.random.below(3000);
        self.oracle.retired(host);
        self.election.retain(|(from, to), _| *from != host && *to != host);
        self.held_back.retain(|(from, to), _| *from != host && *to != host);
        let ids: Vec<u64> = self.links.iter().filter(|(_, l)| l.leader.0 == host || l.learner.0 == host).map(|(id, _)| *id).collect();
        for id in ids {
            let Some(link) = self.links.get_mut(&id) else { continue };
            let side = usize::from(link.learner.0 == host);
            link.open[side] = false;
            // The other side learns of it now, or only by the silence if the way is cut.
            let (other, number) = if side == 0 { link.learner } else { link.leader };
            let was_open = link.open[1 - side];
            if !self.is_cut(host, other) {
                self.links.remove(&id);
                if was_open {
                    self.bring(other, vec![Input::LinkDown { link: number }]);
                }
            }
        }
        for index in 0..CLIENTS {
            if self.at[index] == host {
                self.clients[index].hung_up(self.now.mono_ms);
            }
        }
    }

    fn start(&mut self, host: usize) {
        let seed = self.scenario.seed;
        for _ in 0..MOST_FAILED_STARTS {
            if std::mem::take(&mut self.hosts[host].is_javas_turn) {
                self.run_java(host);
            }
            let Host { disk, is_lost, .. } = &self.hosts[host];
            let (disk, is_lost): (DiskRef, bool) = (Arc::new(disk.clone()), *is_lost);
            let (now, draw) = (self.local_now(host), self.random.bits());
            let started = Member::start(&disk, Sid(host as i64 + 1), &self.options, now, draw, is_lost);
            if self.hosts[host].disk.stopped_before().is_some() {
                let power_cut = Some(self.random.bits());
                self.end(host, power_cut);
                continue;
            }
            match started {
                Ok((member, begun)) => {
                    self.oracle.begun(host, &begun);
                    self.hosts[host].member = Some(member);
                    self.report.starts += 1;
                    self.look(host);
                    return;
                }
                Err(Death::Damaged(reason)) if is_undecidable(&reason) && !self.can_be_emptied() => {
                    self.is_undecided = true;
                    return;
                }
                Err(Death::Damaged(reason)) => {
                    let may_be = self.hosts[host].is_rotten || is_undecidable(&reason);
                    assert!(may_be, "seed {seed}: nothing rots here, and yet member {host}: {reason}");
                    assert!(!self.hosts[host].is_lost, "seed {seed}: member {host} was emptied, and yet: {reason}");
                    self.empty(host);
                }
                Err(death) => {
                    assert!(self.disks_fail, "seed {seed}: member {host}: {death:?}");
                    // A disk that stays full would keep it down for good.
                    if std::mem::take(&mut self.hosts[host].is_full) {
                        self.hosts[host].disk.set_capacity(None);
                    }
                    let power_cut = self.random.one_in(2).then(|| self.random.bits());
                    self.end(host, power_cut);
                }
            }
        }
        panic!("seed {seed}: member {host} does not start");
    }

    /// Whether the ensemble has a leader without a member whose history is gone. While it changes, two may be all that there are.
    fn can_be_emptied(&self) -> bool {
        !self.options.reconfig_enabled && any_can_be_spared(self.oracle.config())
    }

    /// Its owner does what the message says: empties the directory, and has a leader fill it again.
    fn empty(&mut self, host: usize) {
        self.report.refused += 1;
        // Not the one in which zoo.cfg lies.
        let disk = SimDisk::new();
        ConfigFiles::copy(&self.hosts[host].disk, &disk);
        self.hosts[host].disk = disk;
        (self.hosts[host].is_rotten, self.hosts[host].is_lost, self.hosts[host].is_full) = (false, true, false);
        self.oracle.emptied(host);
    }

    /// Java takes a snapshot at each start, of everything that the log holds, committed or not.
    fn run_java(&mut self, host: usize) {
        let disk: DiskRef = Arc::new(self.hosts[host].disk.clone());
        if self.hosts[host].is_rotten || self.hosts[host].is_lost {
            return;
        }
        let Ok((mut store, mut tree, begun)) = machine::open(&disk, &OpenOptions::default()) else { return };
        self.oracle.begun(host, &begun);
        // It may be there though it has failed.
        self.oracle.java_was_here(host, begun.last);
        let _ = machine::first_snapshot(&mut store, &mut tree);
        self.hosts[host].disk.crash();
    }

    fn step(&mut self) {
        // Time passes slowly while there is something to do, and otherwise to the next thing that waits for it.
        let passed_ms = match self.random.below(1000) {
            0..700 => 0,
            700..990 => self.random.below(3),
            _ if self.is_healing => self.random.below(10),
            990..998 => self.random.below(self.options.tick_ms),
            _ => self.random.below(4 * self.options.tick_ms),
        };
        let passed_ms = if self.random.one_in(10) { passed_ms.max(self.idle_ms()) } else { passed_ms };
        self.now.mono_ms += passed_ms;
        self.now.wall_ms += passed_ms as i64;
        for host in 0..self.hosts.len() {
            if self.hosts[host].member.is_none() && self.hosts[host].restart_at_ms <= self.now.mono_ms {
                self.start(host);
            }
        }
        self.tick_clients();
        let host = self.some_host();
        if self.hosts[host].member.is_none() || self.hosts[host].paused_until_ms > self.now.mono_ms {
            return;
        }
        let is_after_cut = |member: &Member| member.was_cut && matches!(member.moment, "NEWLEADER" | "following");
        let cut = self.hosts[host].awaited_after_cut && self.hosts[host].member.as_ref().is_some_and(is_after_cut);
        if cut && self.random.one_in(12) && std::mem::take(&mut self.hosts[host].awaited_after_cut) {
            *self.report.power_gone.entry("after a cut".to_owned()).or_default() += 1;
            if !self.random.one_in(4) {
                // By chance alone what was cut seldom comes back.
                self.hosts[host].disk.lose_unsynced();
            }
            let power_cut = Some(self.random.bits());
            return self.end(host, power_cut);
        }
        if self.hosts[host].is_quiet && self.random.one_in(2) {
            // Before it looks at the clock.
            for index in 0..self.scenario.clients {
                if self.hosts[host].member.is_some() {
                    self.client_step(index, host);
                }
            }
            return self.look(host);
        }
        let now = self.local_now(host);
        let random = self.random.below(100);
        let Host { member, disk, armed, awaited, slow_until_ms, .. } = &mut self.hosts[host];
        let member = member.as_mut().expect("looked at just now");
        let outcome = match random {
            0..20 => {
                self.deliver_election(host);
                Ok(())
            }
            20..50 => {
                self.deliver_packets(host);
                Ok(())
            }
            50..68 if *slow_until_ms > self.now.mono_ms => Ok(()),
            50..68 => {
                if member.has_work() && awaited.remove(member.moment) {
                    disk.stop_before(self.random.below(3));
                }
                match armed.take_if(|_| member.is_before_step()) {
                    Some(FaultKind::Sync) => disk.fail_sync(self.random.below(4)),
                    Some(FaultKind::Write) => disk.fail_write(self.random.below(4)),
                    Some(_) => disk.stop_before(self.random.below(16)),
                    // Cuts are rare, and one that fails would be rarer still.
                    None if self.faults.of(FaultKind::Sync) > 0 && member.is_before_cut() && self.random.one_in(3) => {
                        disk.fail_sync(self.random.below(3));
                    }
                    None => {}
                }
                member.log(now)
            }
            68..78 => {
                member.tick(now);
                Ok(())
            }
            78..86 => {
                member.drain(now, self.random.below(FRONTS as u64) as usize);
                Ok(())
            }
            86..97 => {
                let client = self.random.below(CLIENTS as u64) as usize;
                if client < self.scenario.clients {
                    self.client_step(client, host);
                }
                Ok(())
            }
            97..99 => member.snapshot(&mut self.random),
            _ => {
                member.purge();
                Ok(())
            }
        };
        self.look(host);
        if self.hosts[host].disk.stopped_before().is_some() {
            let power_cut = Some(self.random.bits());
            self.end(host, power_cut);
            return;
        }
        if let Err(death) = outcome {
            // A cut goes back to a snapshot, and what is rotten in it is seen then.
            assert!(self.disks_fail || self.hosts[host].is_rotten, "seed {}: member {host}: {death:?}", self.scenario.seed);
            if std::mem::take(&mut self.hosts[host].is_full) {
                self.hosts[host].disk.set_capacity(None);
            }
            self.report.failed_logs += 1;
            let power_cut = self.random.one_in(2).then(|| self.random.bits());
            self.end(host, power_cut);
        }
    }

    /// How long nothing will happen, if nobody has anything to do.
    fn idle_ms(&self) -> u64 {
        let is_paused = |host: usize| self.hosts[host].paused_until_ms > self.now.mono_ms;
        let waits = |queue: &VecDeque<Vec<u8>>, host: usize| !queue.is_empty() && !is_paused(host);
        let is_busy = self.election.iter().any(|((_, to), queue)| !queue.is_empty() && !is_paused(*to))
            || self.links.values().any(|link| waits(&link.to_leader, link.leader.0) || waits(&link.to_learner, link.learner.0))
            || self.hosts.iter().enumerate().any(|(at, host)| {
                !is_paused(at)
                    && host.slow_until_ms <= self.now.mono_ms
                    && !host.is_full
                    && host.member.as_ref().is_some_and(Member::has_work)
            });
        if is_busy {
            return 0;
        }
        let timers = self.hosts.iter().filter_map(|host| host.member.as_ref()?.next_timer_ms());
        let restarts = self.hosts.iter().filter(|host| host.member.is_none()).map(|host| host.restart_at_ms);
        let clients = self.clients.iter().filter_map(Client::next_timer_ms);
        let next = timers.chain(restarts).chain(clients).min().unwrap_or(self.now.mono_ms + 100);
        next.saturating_sub(self.now.mono_ms).min(2_000)
    }

    fn bring(&mut self, host: usize, inputs: Vec<Input>) {
        let now = self.local_now(host);
        if let Some(member) = self.hosts[host].member.as_mut() {
            member.bring(now, inputs);
            self.look(host);
        }
    }

    fn deliver_election(&mut self, to: usize) {
        let from: Vec<usize> = self.election.iter().filter(|((_, t), queue)| *t == to && !queue.is_empty()).map(|((f, _), _)| *f).collect();
        if from.is_empty() {
            return;
        }
        let from = from[self.random.below(from.len() as u64) as usize];
        let message = self.election.get_mut(&(from, to)).and_then(VecDeque::pop_front).expect("not empty");
        self.trace((from as u64) << 8 | to as u64);
        self.bring(to, vec![Input::Notification { from: Sid(from as i64 + 1), message }]);
    }

    /// Some of what has come in on one of its links.
    fn deliver_packets(&mut self, host: usize) {
        let mine =
            |link: &Link| (link.leader.0 == host && !link.to_leader.is_empty()) || (link.learner.0 == host && !link.to_learner.is_empty());
        let ids: Vec<u64> = self.links.iter().filter(|(_, link)| mine(link)).map(|(id, _)| *id).collect();
        if ids.is_empty() {
            return;
        }
        let id = ids[self.random.below(ids.len() as u64) as usize];
        let count = 1 + self.random.below(6) as usize;
        let tears = self.random.one_in(4);
        let cut_at = self.random.bits() as usize;
        let store = self.hosts[host].member.as_ref().map(|member| member.store().clone());
        let link = self.links.get_mut(&id).expect("found just now");
        let is_leader = link.leader.0 == host;
        let side = usize::from(!is_leader);
        let number = if is_leader { link.leader.1 } else { link.learner.1 };
        let queue = if is_leader { &mut link.to_leader } else { &mut link.to_learner };
        let mut arrivals = Vec::new();
        let mut failed = false;
        for _ in 0..count {
            let Some(mut piece) = queue.pop_front() else { break };
            if tears && piece.len() > 1 {
                let rest = piece.split_off(1 + cut_at % (piece.len() - 1));
                queue.push_front(rest);
            }
            let store = if is_leader { None } else { store.as_deref() };
            failed |= link.readers[side].feed(&piece, LONGEST, store, |arrival| arrivals.push(arrival)).is_err();
        }
        if !link.open[side] {
            return;
        }
        let now = self.local_now(host);
        for arrival in arrivals {
            let Some(member) = self.hosts[host].member.as_mut() else { return };
            match arrival {
                Arrival::Packet(packet) => {
                    self.report.trace = self.report.trace.wrapping_mul(31).wrapping_add(packet.zxid.0 as u64 ^ packet.kind.0 as u64);
                    member.bring(now, vec![Input::Packet { link: number, packet }]);
                }
                Arrival::Snapshot(received) => member.receive(now, number, received),
            }
            self.look(host);
        }
        if failed {
            // The disk has refused the snapshot, as it was told to.
            self.reset(id);
        }
    }

    /// Carries out what a member asks for, and shows the oracle what it did.
    fn look(&mut self, host: usize) {
        let Some(member) = self.hosts[host].member.as_mut() else { return };
        let (events, wishes) = (std::mem::take(&mut member.events), std::mem::take(&mut member.wishes));
        let serves = member.is_serving;
        self.report.snapshots += std::mem::take(&mut member.snapshots);
        for event in events {
            if let Event::Appended(zxid, _) = &event {
                self.trace(zxid.0 as u64 ^ host as u64);
            }
            self.hosts[host].is_lost &= !matches!(event, Event::EpochDurable);
            self.report.fed += usize::from(matches!(event, Event::Serving(Role::Observing, ..)) && self.is_fed(host));
            self.oracle.event(host, event);
        }
        if !serves {
            self.oracle.retired(host);
        }
        for wish in wishes {
            self.grant(host, wish);
        }
        self.show_clients(host);
    }

    /// Whether it is not the leader whom it follows.
    fn is_fed(&self, host: usize) -> bool {
        let master = self.hosts[host].member.as_ref().and_then(|member| member.peer().leader());
        let master = master.and_then(|sid| self.hosts[sid.0 as usize - 1].member.as_ref());
        master.is_some_and(|member| member.peer().is_observer_master())
    }

    fn grant(&mut self, host: usize, wish: Wish) {
        match wish {
            Wish::Notify { to, message } => {
                let to = to.0 as usize - 1;
                assert_ne!(to, host, "nobody sends to himself over the network");
                if self.hosts.get(to).is_none_or(|other| other.member.is_none()) || self.is_cut(host, to) {
                    self.held_back.insert((host, to), message);
                } else {
                    // Only the newest is ever sent again.
                    self.held_back.remove(&(host, to));
                    let queue = self.election.entry((host, to)).or_default();
                    queue.push_back(message);
                    if queue.len() > 100 {
                        queue.pop_front();
                    }
                }
            }
            Wish::Listen { on, door } => {
                let listens = &mut self.hosts[host].listens;
                listens.retain(|other| *other != door);
                listens.extend(on.then_some(door));
            }
            Wish::Dial { link, leader, door } => {
                let to = leader.0 as usize - 1;
                let is_known = self.hosts[host].member.as_ref().is_some_and(|member| member.knows(leader));
                let reachable = is_known
                    && self.hosts[to].listens.contains(&door)
                    && self.hosts[to].member.is_some()
                    && !self.is_cut(host, to)
                    && !self.is_cut(to, host);
                if !reachable {
                    return self.bring(host, vec![Input::LinkDown { link }]);
                }
                let id = self.next_link;
                self.next_link += 1;
                let number = LinkId(id);
                self.links.insert(
                    id,
                    Link {
                        learner: (host, link),
                        leader: (to, number),
                        to_leader: VecDeque::new(),
                        to_learner: VecDeque::new(),
                        readers: [LinkReader::default(), LinkReader::default()],
                        open: [true, true],
                        stalled: [false, false],
                    },
                );
                self.bring(to, vec![Input::LinkUp { link: number }]);
                self.bring(host, vec![Input::LinkUp { link }]);
            }
            Wish::Send { link, packet } => self.send(host, link, &packet),
            Wish::Synchronise { link, job } => {
                let store = self.hosts[host].member.as_ref().expect("it has asked").store().clone();
                let mut pieces = Vec::new();
                let outcome = synchronise(&store, &job, &mut |piece| {
                    pieces.push(piece.to_vec());
                    Ok(())
                });
                match outcome {
                    Ok(plan) => {
                        self.count(plan);
                        for piece in pieces {
                            self.push(host, link, piece);
                        }
                    }
                    Err(error) => {
                        trace!("   {host} cannot synchronise {link:?}: {error} ({job:?})");
                        if let Some(id) = self.find(host, link) {
                            self.reset(id);
                        }
                    }
                }
            }
            Wish::HangUp(link) => {
                let Some(id) = self.find(host, link) else { return };
                let link = self.links.get_mut(&id).expect("found just now");
                let side = usize::from(link.learner.0 == host);
                link.open[side] = false;
                let (other, number) = if side == 0 { link.learner } else { link.leader };
                let other_open = link.open[1 - side];
                // What was sent before is lost or not, as it happens.
                if !other_open || !self.is_cut(host, other) {
                    self.links.remove(&id);
                    if other_open {
                        self.bring(other, vec![Input::LinkDown { link: number }]);
                    }
                }
            }
        }
    }

    fn count(&mut self, plan: SyncPlan) {
        match plan {
            SyncPlan::Diff { .. } => self.report.diffs += 1,
            SyncPlan::Trunc { .. } => self.report.truncs += 1,
            SyncPlan::Snap => self.report.snaps += 1,
        }
    }

    fn find(&self, host: usize, number: LinkId) -> Option<u64> {
        self.links.iter().find(|(_, link)| link.leader == (host, number) || link.learner == (host, number)).map(|(id, _)| *id)
    }

    fn send(&mut self, host: usize, link: LinkId, packet: &Packet) {
        let mut bytes = Vec::new();
        packet.encode(&mut bytes);
        self.push(host, link, bytes);
    }

    fn push(&mut self, host: usize, number: LinkId, bytes: Vec<u8>) {
        let Some(id) = self.find(host, number) else { return };
        let link = &self.links[&id];
        let to_leader = link.learner == (host, number);
        let other = if to_leader { link.leader.0 } else { link.learner.0 };
        if self.is_cut(host, other) {
            // A stream does not lose its middle: from here on nothing comes through any more, and nobody knows.
            self.links.get_mut(&id).expect("found just now").stalled[usize::from(!to_leader)] = true;
            return;
        }
        let link = self.links.get_mut(&id).expect("found just now");
        let (queue, stalled) = if to_leader { (&mut link.to_leader, link.stalled[0]) } else { (&mut link.to_learner, link.stalled[1]) };
        if !stalled {
            queue.push_back(bytes);
        }
    }

    /// Time passes for the clients, too; one that wants a server that is down is refused.
    fn tick_clients(&mut self) {
        let now_ms = self.now.mono_ms;
        for index in 0..CLIENTS {
            let client = &mut self.clients[index];
            let is_due = client.next_timer_ms().is_some_and(|at| at <= now_ms);
            if is_due {
                client.tick(now_ms);
            }
            if client.wanted.is_some_and(|server| self.hosts[server].member.is_none()) {
                client.refused(now_ms);
            }
            self.let_go(index);
            let host = self.at[index];
            if is_due && self.hosts[host].paused_until_ms <= now_ms {
                self.carry(index, host);
                self.look(host);
            }
        }
    }

    /// A connection that a client has dropped is gone for its server, too.
    fn let_go(&mut self, index: usize) {
        let Some((front, slot)) = self.clients[index].take_dropped() else { return };
        let (host, now) = (self.at[index], self.local_now(self.at[index]));
        if let Some(member) = self.hosts[host].member.as_mut() {
            member.hang_up(now, front, slot);
        }
    }

    fn client_step(&mut self, index: usize, host: usize) {
        let now = self.local_now(host);
        let client = &mut self.clients[index];
        let Host { member, is_quiet, .. } = &mut self.hosts[host];
        let member = member.as_mut().expect("it is its turn");
        *is_quiet &= member.peer().role() == Role::Leading;
        let is_quiet = *is_quiet;
        match client.line {
            Line::Down if client.wanted == Some(host) && !client.is_done => {
                self.at[index] = host;
                let front = self.random.below(FRONTS as u64) as usize;
                client.connect(now.mono_ms, front, member.accept(now, front));
                // What is asked for before there is a session waits for it.
                if is_quiet && client.can_ask() {
                    client.ask_for_sync(now.mono_ms, self.oracle.highest_told);
                } else if self.random.one_in(2) && client.can_ask() {
                    client.ask(now.mono_ms, &mut self.random, self.oracle.highest_told);
                }
            }
            Line::Asking { .. } if self.at[index] == host => {}
            Line::Up { front, slot } if self.at[index] == host => {
                if self.random.one_in(120) {
                    member.hang_up(now, front, slot);
                    client.hung_up(now.mono_ms);
                    return;
                }
                for _ in 0..1 + self.random.below(4) {
                    if client.can_ask() && is_quiet {
                        client.ask_for_sync(now.mono_ms, self.oracle.highest_told);
                    } else if client.can_ask() {
                        client.ask(now.mono_ms, &mut self.random, self.oracle.highest_told);
                    }
                }
                if client.can_ask()
                    && !is_quiet
                    && member.is_serving
                    && let Some(mut chance) = self.change.take()
                {
                    self.change_members(index, &mut chance);
                }
            }
            _ => return,
        }
        self.carry(index, host);
    }

    /// What a client has to send goes to its server.
    fn carry(&mut self, index: usize, host: usize) {
        let now = self.local_now(host);
        while let Line::Up { front, slot } | Line::Asking { front, slot } = self.clients[index].line {
            let Some(member) = self.hosts[host].member.as_mut() else { return };
            let Some(frame) = self.clients[index].frame(now.mono_ms) else { return };
            let flow = member.frame(now, front, slot, &frame);
            self.follow(index, host, front, slot, flow);
        }
    }

    fn follow(&mut self, index: usize, host: usize, front: usize, slot: u32, flow: Flow) {
        match flow {
            Flow::Continue => {}
            Flow::Pause => self.clients[index].readable = false,
            Flow::Drop | Flow::Close => {
                self.look(host);
                if matches!(self.clients[index].line, Line::Up { .. } | Line::Asking { .. }) {
                    let now = self.local_now(host);
                    if let Some(member) = self.hosts[host].member.as_mut() {
                        member.hang_up(now, front, slot);
                    }
                    self.clients[index].hung_up(self.now.mono_ms);
                }
            }
        }
    }

    fn client_at(&self, host: usize, front: usize, slot: u32) -> Option<usize> {
        (0..CLIENTS).find(|index| {
            self.at[*index] == host
                && matches!(self.clients[*index].line, Line::Up { front: f, slot: s } | Line::Asking { front: f, slot: s } if (f, s) == (front, slot))
        })
    }

    /// Whatever the reactors have for their sockets goes out.
    fn show_clients(&mut self, host: usize) {
        let now = self.local_now(host);
        for front in 0..FRONTS {
            let Some(member) = self.hosts[host].member.as_mut() else { return };
            for seen in member.take_seen(front) {
                let (Seen::Bytes(slot, _) | Seen::Resume(slot) | Seen::Close(slot)) = &seen;
                let Some(index) = self.client_at(host, front, *slot) else { continue };
                match seen {
                    Seen::Bytes(_, bytes) => {
                        for told in self.clients[index].receive(now.mono_ms, &bytes) {
                            self.tell(host, told);
                        }
                        self.let_go(index);
                    }
                    Seen::Resume(_) => self.clients[index].readable = true,
                    Seen::Close(slot) => {
                        if let Some(member) = self.hosts[host].member.as_mut() {
                            member.hang_up(now, front, slot);
                        }
                        self.clients[index].hung_up(now.mono_ms);
                    }
                }
            }
        }
    }

    fn tell(&mut self, host: usize, told: Told) {
        if let Told::Session(session) = told {
            let holders = self.clients.iter().filter(|client| client.session == session).count();
            assert_eq!(holders, 1, "seed {}: {session} was given to two clients", self.scenario.seed);
        }
        if let Told::Write { zxid, .. } = told {
            self.trace(zxid as u64);
        }
        self.oracle.told(host, told);
    }
}

/// A server of the ensemble, on ports of its own.
fn member(sid: usize, role: MemberRole) -> (Sid, oxkeeper_zab::Member) {
    let mut member = oxkeeper_zab::Member::participant("127.0.0.1", 2000 + sid as u16, 3000 + sid as u16);
    member.role = role;
    member.client = Some(HostPort { host: "127.0.0.1".to_owned(), port: 4000 + sid as u16 });
    (Sid(sid as i64), member)
}

/// What the zoo.cfg of a server says that begins in this ensemble: if it is no member it names itself as an observer.
fn with_observer(config: &Config, sid: usize) -> Config {
    let mut config = config.clone();
    let (sid, member) = member(sid, MemberRole::Observer);
    config.members.entry(sid).or_insert(member);
    config
}

/// `rename log.1a` -> `rename log`.
fn without_zxid(operation: &str) -> String {
    ["log", "snapshot", "dynamic"].iter().fold(operation.to_owned(), |text, name| match text.find(&format!("{name}.")) {
        Some(at) => text[..at + name.len()].to_owned(),
        None => text,
    })
}
