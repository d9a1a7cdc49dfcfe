//! What the threads share.
//!
//! Lock order: a reactor, a front, the core, the tree, a front's watches, a front's inbox. Nobody waits for a
//! disk or a socket while holding the core or the tree.

use crate::audit::AuditLog;
use crate::config::ServerConfig;
use crate::metrics::{BusyPaths, Counter, CounterSet, Exporter, Metrics, Recorder, Summary, SummarySet};
use bytes::Bytes;
use oxkeeper_auth::Schemes;
use oxkeeper_net::{Queue, Wakeup};
use oxkeeper_proto::{EventType, OpCode, SessionId, Zxid, path};
use oxkeeper_replica::apply::{Commit, apply};
use oxkeeper_replica::core::{Core, CoreCounts, DiskStep, Input, Output};
use oxkeeper_replica::front::Front;
use oxkeeper_replica::inbox::{FrontShared, Item, Service};
use oxkeeper_replica::meter::{Meter, PathLog, PathUse, STAT_BYTES, namespace};
use oxkeeper_replica::request::Now;
use oxkeeper_store::Store;
use oxkeeper_tree::{NoopSink, Tree};
use oxkeeper_zab::{Config, PacketKind, PeerCounts, Role};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, Weak};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use super::reactor::{Errand, Reactor};
use super::restore::Staged;
use crate::peers::links::{Link, Links, Work};

/// A transaction on its way into the log.
pub struct LogEntry {
    pub zxid: Zxid,
    pub payload: Bytes,
    /// When it was queued, milliseconds of the monotonic clock.
    pub queued_ms: u64,
}

/// What waits for the thread that logs, in order.
pub enum LogWork {
    /// Append a transaction.
    Append(LogEntry),
    /// A step of a change of role.
    Step(DiskStep),
    /// Keep a configuration that was proposed, before what comes behind is durable.
    SeenMembers(Box<Config>),
    /// Keep the configuration that is in force.
    Members(Box<Config>),
}

impl AsRef<[u8]> for LogEntry {
    fn as_ref(&self) -> &[u8] {
        &self.payload
    }
}

/// One reactor as the others see it.
pub struct ReactorHandle {
    pub shared: Arc<FrontShared>,
    /// Held by the reactor while it works off a batch.
    pub front: Mutex<Front>,
    pub wakeup: Arc<Wakeup>,
    pub errands: Arc<Queue<Errand>>,
    /// Held by its thread but while it sleeps; others only try to take it.
    pub reactor: OnceLock<Weak<Mutex<Reactor>>>,
}

impl ReactorHandle {
    /// Sees to it that what was put into the inbox is worked off: here and now if that is little and the reactor sleeps,
    /// else by waking it.
    fn serve_or_wake(&self) {
        if !self.wakeup.is_asleep() {
            return;
        }
        let reactor = self.reactor.get().and_then(Weak::upgrade);
        let is_done = reactor.is_some_and(|reactor| reactor.try_lock().is_ok_and(|mut reactor| reactor.stand_in()));
        if !is_done {
            self.wakeup.wake();
        }
    }
}

/// What only operators ask for.
#[derive(Default)]
pub struct Counters {
    /// The trace mask that `stmk` sets; it is only kept.
    pub trace_mask: AtomicU64,
    /// Set when the server goes down.
    pub stopping: AtomicBool,
}

/// See the module.
pub struct Shared {
    pub config: ServerConfig,
    pub schemes: Arc<Schemes>,
    pub metrics: Metrics,
    pub exporter: Exporter,
    pub busy_paths: BusyPaths,
    /// The last sync of the log that took long: when it ended, and for how long, milliseconds.
    pub slow_sync: [AtomicU64; 2],
    /// Where there is one.
    pub audit: Option<Arc<AuditLog>>,
    /// What is to be restored when the server has stopped.
    pub to_restore: Mutex<Option<Staged>>,
    pub counters: Counters,
    pub max_length: i32,
    pub started: Instant,
    pub reactors: Vec<ReactorHandle>,
    /// Its bound is that of the credits.
    pub log: Arc<Queue<LogWork>>,
    pub store: Arc<Mutex<Store>>,
    /// The links of a member of an ensemble.
    pub links: Option<Arc<Links>>,
    /// Whether this server has its part in the ensemble, or stands alone: its tree holds what was committed and nothing else.
    pub serves: AtomicBool,
    /// Whether it takes clients, which a leader may leave to the others (`leaderServes`).
    pub takes_clients: AtomicBool,
    /// Whether clients are served by the leader of an ensemble.
    leads_others: AtomicBool,
    /// A snapshot that is being written is to be given up: the tree is about to be replaced.
    pub abandon_snapshot: AtomicBool,
    /// The port that clients connect to, the one drawn if 0 was asked for.
    client_port: AtomicU16,
    core: Mutex<Core>,
    tree: RwLock<Tree>,
    /// Commits in order; pushed under the core, taken under the tree.
    commits: Mutex<Vec<Commit>>,
    /// Locked while the core is held, so nobody ever waits for it.
    preparing: Mutex<Preparing>,
    /// Locked while the tree is held for writing, so nobody ever waits for it.
    applying: Mutex<Applying>,
    epoch: Instant,
}

/// What is recorded while commits are applied.
struct Applying {
    recorder: Recorder,
    paths: PathLog,
}

/// What is recorded under the core.
struct Preparing {
    recorder: Recorder,
    before: CoreCounts,
}

/// The length that Java's strings have: UTF-16 units.
fn java_length(path: &str) -> usize {
    if path.is_ascii() { path.len() } else { path.encode_utf16().count() }
}

/// Records what is applied.
struct ApplyMeter<'a> {
    recorder: &'a Recorder,
    paths: &'a mut PathLog,
    now_ms: i64,
    /// What is applied was committed here, by the word of a quorum.
    leads: bool,
    /// Ephemeral nodes that went, if there is an audit log.
    gone: Option<Vec<(SessionId, String)>>,
}

impl Meter for ApplyMeter<'_> {
    fn read(&mut self, path: &str, bytes: usize) {
        self.paths.note(path, PathUse::Read);
        if let Some(name) = namespace(path) {
            let value = java_length(path) + bytes + STAT_BYTES as usize;
            self.recorder.observe_for(SummarySet::ReadPerNamespace, name, value as i64);
        }
    }

    fn written(&mut self, path: &str, bytes: usize) {
        self.paths.note(path, PathUse::Written);
        if let Some(name) = namespace(path) {
            self.recorder.observe_for(SummarySet::WritePerNamespace, name, (java_length(path) + bytes) as i64);
        }
    }

    fn applied(&mut self, time_ms: i64) {
        // A clock that was set back says nothing.
        if self.now_ms >= time_ms {
            self.recorder.observe(Summary::PropagationLatency, self.now_ms - time_ms);
            if self.leads {
                self.recorder.observe(Summary::QuorumAckLatency, self.now_ms - time_ms);
            }
        }
    }

    fn ephemeral_gone(&mut self, session: SessionId, path: &str) {
        if let Some(gone) = &mut self.gone {
            gone.push((session, path.to_owned()));
        }
    }

    fn told(&mut self, kind: EventType, watchers: usize) {
        let summary = match kind {
            EventType::NodeCreated => Summary::NodeCreatedWatchCount,
            EventType::NodeDeleted => Summary::NodeDeletedWatchCount,
            EventType::NodeDataChanged => Summary::NodeChangedWatchCount,
            EventType::NodeChildrenChanged => Summary::NodeChildrenWatchCount,
        };
        self.recorder.observe(summary, watchers as i64);
    }
}

/// Counts what the core did among its peers. Of several elections, or synchronisations, between two looks the last one's
/// time stands for all of them.
fn record_peer(recorder: &Recorder, before: &PeerCounts, after: &PeerCounts) {
    recorder.add(Counter::ProposalCount, after.proposals - before.proposals);
    recorder.add(Counter::CommitCount, after.commits - before.commits);
    recorder.add(Counter::LearnerProposalReceivedCount, after.proposals_received - before.proposals_received);
    recorder.add(Counter::LearnerCommitReceivedCount, after.commits_received - before.commits_received);
    recorder.add(Counter::RevalidateCount, after.revalidations - before.revalidations);
    recorder.add(Counter::DiffCount, after.diffs - before.diffs);
    recorder.add(Counter::LookingCount, after.lookings - before.lookings);
    recorder.add(Counter::QuitLeadingDueToDisloyalVoter, after.disloyal_voters - before.disloyal_voters);
    for _ in before.elections..after.elections {
        recorder.observe(Summary::ElectionTime, after.last_election_ms as i64);
    }
    for _ in before.follower_syncs..after.follower_syncs {
        recorder.observe(Summary::FollowerSyncTime, after.last_sync_ms as i64);
    }
    for _ in before.observer_syncs..after.observer_syncs {
        recorder.observe(Summary::ObserverSyncTime, after.last_sync_ms as i64);
    }
}

/// The parts of [`Shared`] that are made before it.
pub struct Parts {
    pub config: ServerConfig,
    pub schemes: Arc<Schemes>,
    pub metrics: Metrics,
    pub audit: Option<Arc<AuditLog>>,
    pub max_length: i32,
    pub reactors: Vec<ReactorHandle>,
    pub log: Arc<Queue<LogWork>>,
    pub links: Option<Arc<Links>>,
    pub core: Core,
    pub tree: Tree,
    pub store: Arc<Mutex<Store>>,
    pub client_port: u16,
    pub epoch: Instant,
}

impl Shared {
    pub fn new(parts: Parts) -> Arc<Self> {
        let Parts { config, schemes, metrics, audit, max_length, reactors, log, links, core, tree, store, client_port, epoch } = parts;
        let counters = Counters::default();
        counters.trace_mask.store(crate::four_letter::TRACE_MASK_DEFAULT as u64, Ordering::Relaxed);
        // The core of a member has begun to look for a leader already: that counts with the first batch.
        let preparing = Mutex::new(Preparing { recorder: metrics.recorder(), before: CoreCounts::default() });
        let applying = Mutex::new(Applying { recorder: metrics.recorder(), paths: PathLog::default() });
        let busy_paths = BusyPaths::new(config.operator.busy_paths, epoch.elapsed().as_millis() as u64);
        let shared = Arc::new(Self {
            preparing,
            applying,
            busy_paths,
            config,
            schemes,
            metrics,
            exporter: Exporter::default(),
            slow_sync: Default::default(),
            audit,
            to_restore: Mutex::default(),
            counters,
            max_length,
            started: Instant::now(),
            store,
            serves: AtomicBool::new(links.is_none()),
            takes_clients: AtomicBool::new(links.is_none()),
            leads_others: AtomicBool::new(false),
            abandon_snapshot: AtomicBool::new(false),
            links,
            client_port: AtomicU16::new(client_port),
            reactors,
            log,
            core: Mutex::new(core),
            tree: RwLock::new(tree),
            commits: Mutex::default(),
            epoch,
        });
        shared.count_config_node();
        shared
    }

    /// Both clocks.
    pub fn now(&self) -> Now {
        now_since(self.epoch)
    }

    /// Names a slow request in the log, with what is known of the cause. The slowest of a turn of a reactor stands for all
    /// of them.
    pub fn tell_slow(&self, op: OpCode, latency_ms: u64) {
        let now_ms = self.now().mono_ms;
        let [ended_ms, sync_ms] = self.slow_sync.each_ref().map(|value| value.load(Ordering::Relaxed));
        let name = crate::four_letter::last_operation(op);
        let is_read = oxkeeper_replica::read::is_read(op);
        let cause = match () {
            // It fell into the time of the request, and was most of it.
            () if now_ms.saturating_sub(ended_ms) <= latency_ms && sync_ms * 2 >= latency_ms => {
                format!("a sync of the log took {sync_ms} ms{}", if is_read { ", and it waited behind a write of its session" } else { "" })
            }
            () => format!("no sync of the log took long; {} requests are in work", self.core().in_flight()),
        };
        log::warn!("Slow request: {name} took {latency_ms} ms: {cause}");
    }

    pub fn stopping(&self) -> bool {
        self.counters.stopping.load(Ordering::Relaxed)
    }

    /// The port that clients connect to.
    pub fn client_port(&self) -> u16 {
        self.client_port.load(Ordering::Relaxed)
    }

    /// Clients are to come to this address from now on.
    pub fn move_clients(&self, address: SocketAddr) {
        // The first one has the door.
        if self.reactors[0].errands.push(Errand::Move(address)).is_err() {
            log::error!("Too many connections at once: clients cannot be moved to {address}");
        }
    }

    /// They do.
    pub fn clients_have_moved(&self, port: u16) {
        self.client_port.store(port, Ordering::Relaxed);
    }

    /// Whether this server decides: it stands alone, or leads.
    pub fn leads(&self) -> bool {
        self.core().peer().role() == Role::Leading
    }

    pub fn core(&self) -> MutexGuard<'_, Core> {
        unpoisoned(self.core.lock())
    }

    pub fn tree(&self) -> RwLockReadGuard<'_, Tree> {
        self.tree.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn tree_for_writing(&self) -> RwLockWriteGuard<'_, Tree> {
        self.tree.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Brings the core what happened and carries out what follows, but for applying.
    pub fn bring(&self, now: Now, inputs: impl IntoIterator<Item = Input>) {
        let mut appends = Vec::new();
        let mut fronts = 0u64;
        let mut to_apply = false;
        let mut catches_up = false;
        let mut touched: Vec<Arc<Link>> = Vec::new();
        let (mut is_urgent, mut answers) = (false, false);
        let logs;
        {
            let mut core = self.core();
            let taken = self.now();
            let mut brought = 0;
            {
                let tree = self.tree();
                for input in inputs {
                    brought += u64::from(matches!(input, Input::Write(_) | Input::OpenSession { .. }));
                    core.handle(now, &tree, input);
                }
            }
            let prepared = self.now();
            let mut commits = unpoisoned(self.commits.lock());
            while let Some(output) = core.poll() {
                match output {
                    Output::Append { zxid, payload } => {
                        appends.push(LogWork::Append(LogEntry { zxid, payload, queued_ms: prepared.mono_ms }));
                    }
                    Output::Apply(commit) => {
                        to_apply = true;
                        answers |= commit.origin.is_some();
                        commits.push(commit);
                    }
                    Output::Front { front, item } => {
                        fronts |= 1 << front;
                        unpoisoned(self.reactors[usize::from(front)].shared.inbox.lock()).items.push(item);
                    }
                    Output::Serve(service) => {
                        let serves = service == Service::Full;
                        let leads = self.links.is_some() && core.peer().role() == Role::Leading;
                        self.serves.store(serves, Ordering::SeqCst);
                        self.leads_others.store(serves && leads, Ordering::Relaxed);
                        let withholds = leads && self.config.ensemble.as_ref().is_some_and(|own| !own.leader_serves);
                        self.takes_clients.store(serves && !withholds, Ordering::SeqCst);
                        for (front, reactor) in self.reactors.iter().enumerate() {
                            fronts |= 1 << front;
                            unpoisoned(reactor.shared.inbox.lock()).items.push(Item::Serve(if withholds {
                                Service::None
                            } else {
                                service
                            }));
                        }
                    }
                    Output::CatchUp => catches_up = true,
                    Output::Disk(step) => appends.push(LogWork::Step(step)),
                    Output::Send { link, packet } => {
                        is_urgent |= !matches!(packet.kind, PacketKind::COMMIT | PacketKind::INFORM);
                        self.links().send(link, &packet, &mut touched);
                    }
                    Output::Notify { to, message } => self.links().ask(Work::Notify { to, message }),
                    Output::Dial { link, leader, door } => self.links().ask(Work::Dial { link, leader, door }),
                    Output::Listen { on, door } => self.links().ask(Work::Listen { on, door }),
                    Output::SeenMembers(config) => {
                        self.links().ask(Work::SeenMembers(config.clone()));
                        appends.push(LogWork::SeenMembers(config));
                    }
                    Output::Members(config) => {
                        self.links().ask(Work::Members(config.clone()));
                        appends.push(LogWork::Members(config));
                    }
                    Output::HangUp { link } => self.links().hang_up(link),
                    Output::Synchronise { link, job } => {
                        let log_share = self.config.ensemble.as_ref().and_then(|own| own.snapshot_size_factor);
                        self.links().synchronise(link, job, &self.store, log_share);
                    }
                }
            }
            drop(commits);
            self.record_preparation(&mut core, brought, [now, taken, prepared]);
            logs = !appends.is_empty();
            self.log.put_all(&mut appends).unwrap_or_else(|_| unreachable!("the credits bound the log's queue"));
        }
        // What a quorum is waited for with goes first: a proposal has a longer way than our own log, and an acknowledgement
        // may decide. Where learners are only told of commits, our own clients come before them, if one waits.
        let links_first = is_urgent || !answers;
        if links_first && !touched.is_empty() {
            self.links().flush(&touched);
        }
        if logs {
            self.log.wake();
        }
        self.wake(fronts);
        if to_apply {
            self.apply();
        }
        if !links_first && !touched.is_empty() {
            self.links().flush(&touched);
        }
        if catches_up {
            let through = self.tree().last_zxid();
            self.bring(self.now(), [Input::Applied { through }]);
        }
    }

    /// What a tree from files lacks of what the configuration says.
    pub fn prepare_tree(&self, tree: &mut Tree) {
        let members = self.links.is_some().then(|| self.core().peer().config().clone());
        prepare_tree(members.as_ref(), self.config.reconfig_enabled, tree, self.now());
        self.count_config_node();
    }

    /// Java counts it as a write when a member sets its configuration node.
    fn count_config_node(&self) {
        if self.links.is_some() {
            let bytes = path::CONFIG.len() + self.core().peer().config().to_text().len();
            let name = namespace(path::CONFIG).expect("it is not the root");
            self.metrics.record(|recorder| recorder.observe_for(SummarySet::WritePerNamespace, name, bytes as i64));
        }
    }

    fn links(&self) -> &Arc<Links> {
        self.links.as_ref().expect("only a member of an ensemble has to do with links")
    }

    /// Counts what the core did with a batch of which `brought` inputs were requests; the times are
    /// those at which the batch was read, taken by the core, and done.
    fn record_preparation(&self, core: &mut Core, brought: u64, [read, taken, prepared]: [Now; 3]) {
        let mut preparing = unpoisoned(self.preparing.lock());
        let (before, after) = (preparing.before, core.counts());
        if brought == 0 && before == after {
            return;
        }
        preparing.before = after;
        let recorder = &preparing.recorder;
        let ms = |from: Now, to: Now| to.mono_ms.saturating_sub(from.mono_ms) as i64;
        if brought > 0 {
            recorder.add(Counter::PrepProcessorRequestQueued, brought);
            recorder.observe(Summary::PrepProcessorQueueSize, brought as i64);
        }
        let handing_on_ms = ms(prepared, self.now());
        for _ in 0..brought {
            recorder.observe(Summary::PrepProcessorQueueTime, ms(read, taken));
        }
        for _ in before.prepared..after.prepared {
            recorder.observe(Summary::PrepProcessTime, ms(taken, prepared));
            recorder.observe(Summary::ProposalProcessTime, handing_on_ms);
        }
        for _ in before.closes..after.closes {
            recorder.observe(Summary::CloseSessionPrepTime, ms(taken, prepared));
        }
        recorder.add(Counter::StaleSessionsExpired, after.expired - before.expired);
        recorder.add(Counter::OutstandingChangesQueued, after.changes_queued - before.changes_queued);
        recorder.add(Counter::OutstandingChangesRemoved, after.changes_removed - before.changes_removed);
        if before.peer != after.peer {
            record_peer(recorder, &before.peer, &after.peer);
        }
        for path in core.take_over_quota() {
            if let Some(name) = namespace(&path) {
                self.metrics.count_for(CounterSet::QuotaExceededErrorPerNamespace, name, 1);
            }
        }
    }

    /// The log has no room from this zxid on: takes back what waits for it. Under the core, so that
    /// nothing new slips in between.
    pub fn refuse_log(&self, from: Zxid, applied: Zxid) {
        let now = self.now();
        {
            let mut core = self.core();
            self.log.take(&mut Vec::new());
            let tree = self.tree();
            core.handle(now, &tree, Input::Applied { through: applied });
            core.handle(now, &tree, Input::LogRefused { from });
        }
        self.bring(now, []);
    }

    /// Applies what has been committed and tells the fronts. Returns the last applied zxid.
    pub fn apply(&self) -> Zxid {
        let (effects, last, gone) = {
            let mut tree = self.tree_for_writing();
            let commits = std::mem::take(&mut *unpoisoned(self.commits.lock()));
            let fronts: Vec<&FrontShared> = self.reactors.iter().map(|r| &*r.shared).collect();
            let now = self.now();
            let mut applying = unpoisoned(self.applying.lock());
            let Applying { recorder, paths } = &mut *applying;
            paths.note_one_of(self.busy_paths.one_of());
            let mut meter = ApplyMeter {
                recorder,
                paths,
                now_ms: now.wall_ms,
                leads: self.leads_others.load(Ordering::Relaxed),
                gone: self.audit.is_some().then(Vec::new),
            };
            let effects = apply(&mut tree, &fronts, commits, &self.schemes, self.max_length, &mut meter);
            if !effects.digest_mismatches.is_empty() {
                recorder.add(Counter::DigestMismatchesCount, effects.digest_mismatches.len() as u64);
            }
            let (last, gone) = (tree.last_zxid(), meter.gone);
            drop(tree);
            self.note_paths(now, paths);
            (effects, last, gone)
        };
        if let (Some(audit), Some(gone)) = (&self.audit, gone) {
            gone.iter().for_each(|(session, path)| audit.ephemeral_gone(*session, path));
        }
        for mismatch in &effects.digest_mismatches {
            log::error!(
                "The digest of transaction {} is {:#x}, its writer announced {:#x}",
                mismatch.zxid,
                mismatch.actual,
                mismatch.announced
            );
        }
        self.wake(effects.fronts);
        last
    }

    /// Brings paths to those of the busiest, and empties the log.
    pub fn note_paths(&self, now: Now, paths: &mut PathLog) {
        if !paths.is_empty() {
            self.busy_paths.note(now.mono_ms, |note| paths.drain(note));
        }
    }

    /// Something waits for these fronts, one bit each.
    pub fn wake(&self, fronts: u64) {
        for (index, reactor) in self.reactors.iter().enumerate() {
            if fronts & (1 << index) != 0 {
                reactor.serve_or_wake();
            }
        }
    }
}

/// What a tree from files lacks of what the configuration says: the members, which a server that does not take part in
/// reconfiguration shows as its own file has them.
pub fn prepare_tree(members: Option<&Config>, reconfig_enabled: bool, tree: &mut Tree, now: Now) {
    let Some(members) = members else { return };
    let (text, version) = (members.to_text(), Zxid(members.version.cast_signed()));
    match reconfig_enabled {
        true => tree.show_newer_config(&text, version, now.wall_ms, &mut NoopSink),
        false => tree.show_config(&text, version, now.wall_ms),
    }
}

/// Both clocks; the monotonic one counts from `epoch`, which lies a day back so that times before
/// the start exist.
pub fn now_since(epoch: Instant) -> Now {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Now { mono_ms: epoch.elapsed().as_millis() as u64, wall_ms: wall.as_millis() as i64 }
}

/// A panic ends the process (the release profile aborts), so nobody sees what it left behind.
pub fn unpoisoned<'a, T>(result: Result<MutexGuard<'a, T>, PoisonError<MutexGuard<'a, T>>>) -> MutexGuard<'a, T> {
    result.unwrap_or_else(PoisonError::into_inner)
}
