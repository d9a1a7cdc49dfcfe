//! The thread that answers four-letter words: it gathers what a word asks for, one lock at a time,
//! so that no reactor waits for a long answer.

use super::reactor::{Errand, Lease};
use super::shared::{Shared, unpoisoned};
use crate::config::MetricsProvider;
use crate::four_letter::environment;
use crate::four_letter::zone::Zone;
use crate::four_letter::{
    Chunks, Command, ConfigurationView, ConnectionBucket, ConnectionSession, ConnectionView, DigestView, MetricsView, Mode, Needs,
    ServerView, SessionBucket, SessionsView, Statistics, Whitelist, last_operation, render,
};
use crate::metrics::{Gauge, GaugeSet, GaugeValues, prometheus};
use log::warn;
use oxkeeper_proto::{SessionId, path};
use oxkeeper_replica::front::ConnectionInfo;
use oxkeeper_replica::sessions::{SessionTracker, deadline};
use oxkeeper_zab::{LearnerView, Role};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

/// The longest answer: some millions of watches. What is longer is cut off, with a line in the log.
const LONGEST_ANSWER_BYTES: usize = 256 << 20;
/// While so much has not been sent, words whose answer grows with the server's state wait. Whoever
/// does not take an answer is closed by the deadline that every connection without a session has.
const UNSENT_LIMIT_BYTES: usize = 64 << 20;
/// How many of the busiest paths are told.
const BUSIEST_PATHS: usize = 100;
/// How often the waiting words are looked at.
const UNSENT_PAUSE: Duration = Duration::from_millis(5);

/// A word that came in on a connection.
#[derive(Clone, Debug)]
pub struct Question {
    pub reactor: usize,
    pub slot: u32,
    pub serial: u64,
    pub command: Command,
    /// What `stmk` sets.
    pub mask: Option<i64>,
    /// Lives as long as the connection: nobody waits for an answer to one that is gone.
    pub asker: Weak<()>,
}

/// See the module.
pub struct Words {
    shared: Arc<Shared>,
    whitelist: Whitelist,
    version: String,
    zone: Zone,
}

impl Words {
    pub fn new(shared: Arc<Shared>) -> Self {
        let whitelist = Whitelist::from(&shared.config.four_letter_whitelist);
        Self { whitelist, version: crate::version::full(), zone: Zone::local(), shared }
    }

    /// Runs until no reactor is left to ask.
    pub fn run(self, questions: &Receiver<Question>) {
        let unsent = Arc::new(AtomicUsize::new(0));
        // At most one for each connection.
        let mut waiting: VecDeque<Question> = VecDeque::new();
        loop {
            let mut asked = if waiting.is_empty() {
                questions.recv().map_err(|_| RecvTimeoutError::Disconnected)
            } else {
                questions.recv_timeout(UNSENT_PAUSE)
            };
            // Short words never wait behind long ones, but for the one that is being answered.
            loop {
                match asked {
                    Ok(question) if self.may_be_long(question.command) => waiting.push_back(question),
                    Ok(question) => self.reply(&question, &unsent),
                    Err(RecvTimeoutError::Timeout) => break,
                    Err(RecvTimeoutError::Disconnected) => return,
                }
                asked = questions.try_recv().map_err(|failure| match failure {
                    TryRecvError::Empty => RecvTimeoutError::Timeout,
                    TryRecvError::Disconnected => RecvTimeoutError::Disconnected,
                });
            }
            waiting.retain(|question| question.asker.strong_count() > 0);
            if unsent.load(Ordering::Relaxed) < UNSENT_LIMIT_BYTES
                && let Some(question) = waiting.pop_front()
            {
                self.reply(&question, &unsent);
            }
        }
    }

    fn may_be_long(&self, command: Command) -> bool {
        let needs = command.needs();
        self.whitelist.allows(command) && (needs.connections || needs.sessions || needs.watches_by_path || needs.watches_by_session)
    }

    fn reply(&self, question: &Question, unsent: &Arc<AtomicUsize>) {
        let text = self.answer(question);
        let lease = Lease::new(unsent, text.len());
        let errand = Errand::Answer { slot: question.slot, serial: question.serial, text, lease };
        if self.shared.reactors[question.reactor].errands.push(errand).is_err() {
            warn!("The answer to {} is dropped: its reactor has too much to do", question.command.name());
        }
    }

    fn answer(&self, question: &Question) -> Vec<u8> {
        let command = question.command;
        if !self.whitelist.allows(command) {
            return command.refusal().into_bytes();
        }
        self.act(question);
        let takes_clients = self.shared.takes_clients.load(Ordering::SeqCst);
        self.gather_as(command.needs(), takes_clients, |view| self.render(command, view))
    }

    /// Hands over what these needs name, one lock at a time: the AdminServer's way to the server's state, which is told by a
    /// leader that takes no clients, too.
    pub fn gather<R>(&self, needs: Needs, with: impl FnOnce(&ServerView<'_>) -> R) -> R {
        self.gather_as(needs, self.shared.serves.load(Ordering::SeqCst), with)
    }

    fn gather_as<R>(&self, needs: Needs, serving: bool, with: impl FnOnce(&ServerView<'_>) -> R) -> R {
        let reading = self.shared.metrics.read();
        let gauges = if needs.metrics { self.gauges() } else { GaugeValues::default() };
        let families = match &self.shared.config.operator.metrics {
            MetricsProvider::Prometheus { process_info, .. } if needs.metrics => {
                let mut families = self.shared.exporter.families(&self.shared.metrics, &reading, &gauges, Instant::now());
                if *process_info {
                    families.extend(prometheus::process());
                }
                Some(families)
            }
            MetricsProvider::Null => Some(Vec::new()),
            _ => None,
        };
        let mode = self.mode();
        let serving = serving || mode == Mode::ReadOnly;
        let mut view = ServerView { serving, version: &self.version, mode, ..ServerView::default() };
        self.fill(needs, &mut view);
        if needs.statistics {
            let mut statistics = Statistics::from_reading(&reading);
            statistics.connections = self.each_front(|front| front.connections().count()).into_iter().sum();
            let leading = {
                let core = self.shared.core();
                statistics.outstanding = core.in_flight() as u64;
                core.peer().leading()
            };
            if let Some([last, least, most]) = leading.and_then(|view| view.proposal_sizes) {
                statistics.proposal_sizes = [last, least, most].map(|size| size as i64);
            }
            let tree = self.shared.tree();
            statistics.zxid = tree.last_zxid();
            statistics.nodes = tree.node_count() as u64;
            view.statistics = statistics;
        }
        if needs.metrics {
            view.metrics = Some(MetricsView {
                reading: &reading,
                gauges: &gauges,
                families: families.as_deref(),
                peer_state: self.peer_state(),
                observer_master_id: self.observer_master_id(),
            });
        }
        let by_path = if needs.watches_by_path { self.watches_by_path() } else { Vec::new() };
        let by_session = if needs.watches_by_session { self.watches_by_session() } else { Vec::new() };
        let ephemerals = if needs.sessions { self.ephemerals() } else { Vec::new() };
        view.watches_by_path = Some(&by_path);
        view.watches_by_session = Some(&by_session);
        view.ephemeral_sessions = ephemerals.len();
        view.ephemerals = Some(&ephemerals);
        with(&view)
    }

    fn render(&self, command: Command, view: &ServerView<'_>) -> Vec<u8> {
        let mut text = Vec::new();
        let mut packets = 0;
        let mut chunks = Chunks::new(|chunk: &[u8]| {
            if text.len() + chunk.len() > LONGEST_ANSWER_BYTES {
                return Err(fmt::Error);
            }
            text.extend_from_slice(chunk);
            packets += 1;
            Ok(())
        });
        let rendered = render(command, view, &mut chunks).and_then(|()| chunks.finish());
        if rendered.is_err() {
            warn!("The answer to {} was cut off after {} bytes", command.name(), text.len());
        }
        // As Java, each piece counts, and an answer does not count itself.
        self.shared.metrics.record(|recorder| recorder.packets_sent(packets));
        text
    }

    fn peer_state(&self) -> Option<&'static str> {
        self.shared.config.ensemble.as_ref()?;
        if self.shared.core().is_read_only() {
            return None;
        }
        Some(match self.shared.core().peer().role() {
            Role::Leading => "leading - broadcast",
            Role::Following => "following - broadcast",
            Role::Observing => "observing - broadcast",
            Role::Looking => "looking - election",
        })
    }

    fn observer_master_id(&self) -> Option<i64> {
        let is_observer = self.mode() == Mode::Observer;
        is_observer.then(|| self.shared.core().peer().leader().map_or(-1, |leader| leader.0))
    }

    fn mode(&self) -> Mode {
        if self.shared.config.ensemble.is_none() {
            return Mode::Standalone;
        }
        let core = self.shared.core();
        match core.peer().role() {
            _ if core.is_read_only() => Mode::ReadOnly,
            Role::Leading => Mode::Leader,
            Role::Observing => Mode::Observer,
            Role::Following | Role::Looking => Mode::Follower,
        }
    }

    /// What a word does beside printing.
    fn act(&self, question: &Question) {
        match question.command {
            Command::Srst => {
                self.shared.metrics.reset();
                self.shared.core().forget_proposal_sizes();
            }
            Command::Crst => self.reset_connections(),
            Command::Stmk => {
                if let Some(mask) = question.mask {
                    self.shared.counters.trace_mask.store(mask as u64, Ordering::Relaxed);
                }
            }
            _ => {}
        }
    }

    /// What `crst` does.
    pub fn reset_connections(&self) {
        self.each_front(|front| front.reset_connection_stats());
    }

    fn each_front<T>(&self, mut f: impl FnMut(&mut oxkeeper_replica::front::Front) -> T) -> Vec<T> {
        self.shared.reactors.iter().map(|r| f(&mut unpoisoned(r.front.lock()))).collect()
    }

    fn connections(&self) -> Vec<ConnectionInfo> {
        self.each_front(|front| front.connections().collect::<Vec<_>>()).into_iter().flatten().collect()
    }

    fn fill<'v>(&'v self, needs: Needs, view: &mut ServerView<'v>) {
        let shared = &self.shared;
        view.trace_mask = shared.counters.trace_mask.load(Ordering::Relaxed) as i64;
        if needs.connections {
            view.connections = self.connections().iter().map(connection_view).collect();
        }
        if needs.busy_paths {
            view.busy_paths = shared.busy_paths.busiest(shared.now().mono_ms, BUSIEST_PATHS);
        }
        if needs.directory_sizes {
            (view.data_dir_size_bytes, view.log_dir_size_bytes) = unpoisoned(shared.store.lock()).sizes().unwrap_or_default();
        }
        if needs.configuration {
            view.configuration = ConfigurationView::of(&shared.config, shared.client_port());
            if let Some(quorum) = &mut view.configuration.quorum {
                let core = shared.core();
                quorum.show(core.peer());
                if core.is_read_only() {
                    quorum.membership = None;
                }
            }
        }
        if needs.sessions {
            let now = shared.now();
            let wall = |mono_ms: u64| now.wall_ms + mono_ms as i64 - now.mono_ms as i64;
            let buckets = |tracker: &SessionTracker| {
                let bucket = |(at_ms, ids): (u64, &BTreeSet<SessionId>)| SessionBucket {
                    expires_ms: wall(at_ms),
                    sessions: ids.iter().copied().collect(),
                };
                tracker.buckets().map(bucket).collect()
            };
            let (is_learner, local, global) = {
                let core = shared.core();
                let is_learner = shared.config.ensemble.is_some() && core.peer().role() != Role::Leading;
                (is_learner, core.local_sessions().map(buckets), buckets(core.sessions()))
            };
            view.sessions = match is_learner {
                true => SessionsView::Learner { local, global: shared.tree().sessions().collect() },
                false => SessionsView::Tracked { local, global },
            };
            view.connection_buckets = self.connection_buckets();
            view.zone = Some(&self.zone);
        }
        if needs.digests {
            let tree = shared.tree();
            view.digests = tree.digest_history().map(|(zxid, digest)| DigestView { zxid, digest: digest as i64 }).collect();
        }
        if needs.watch_summary {
            for reactor in &shared.reactors {
                let summary = unpoisoned(reactor.shared.watches.lock()).summary();
                view.watch_summary.connections += summary.connections;
                view.watch_summary.watches += summary.watches;
            }
            view.watch_summary.paths = self.watches_by_path().len();
        }
        if needs.environment {
            view.environment = environment::gather(&self.version);
        }
    }

    /// Connections by the time at which silence closes them: before a session the deadline of the
    /// handshake, then that of the session.
    fn connection_buckets(&self) -> Vec<ConnectionBucket> {
        let now = self.shared.now();
        let tick_ms = u64::from(self.shared.config.sessionless_cnxn_timeout_ms).max(1);
        let mut buckets: BTreeMap<i64, Vec<_>> = BTreeMap::new();
        for connection in self.connections() {
            let timeout_ms = if connection.session == SessionId::NONE { tick_ms as i32 } else { connection.timeout_ms };
            let at_ms = deadline(tick_ms, now.mono_ms, timeout_ms) as i64 - now.mono_ms as i64 + now.wall_ms;
            buckets.entry(at_ms).or_default().push((connection.peer, connection.session));
        }
        buckets.into_iter().map(|(expires_ms, connections)| ConnectionBucket { expires_ms, connections }).collect()
    }

    fn ephemerals(&self) -> Vec<(SessionId, Vec<String>)> {
        let tree = self.shared.tree();
        tree.ephemeral_owners().map(|(session, _)| (session, tree.ephemerals(session).collect())).collect()
    }

    fn watches_by_path(&self) -> Vec<(String, Vec<SessionId>)> {
        let mut paths: BTreeMap<String, Vec<SessionId>> = BTreeMap::new();
        for reactor in &self.shared.reactors {
            let sessions = unpoisoned(reactor.front.lock()).sessions_by_slot();
            for (path, watchers) in unpoisoned(reactor.shared.watches.lock()).by_path() {
                let of_path = paths.entry(path.to_owned()).or_default();
                of_path.extend(watchers.iter().filter_map(|slot| sessions.get(*slot as usize)));
            }
        }
        paths.into_iter().collect()
    }

    fn watches_by_session(&self) -> Vec<(SessionId, Vec<String>)> {
        let mut by_session = Vec::new();
        for reactor in &self.shared.reactors {
            let sessions = unpoisoned(reactor.front.lock()).sessions_by_slot();
            let watches = unpoisoned(reactor.shared.watches.lock());
            for (slot, session) in sessions.into_iter().enumerate() {
                let paths: Vec<String> = watches.paths_of(slot as u32).map(str::to_owned).collect();
                if !paths.is_empty() {
                    by_session.push((session, paths));
                }
            }
        }
        by_session
    }

    fn gauges(&self) -> GaugeValues {
        let shared = &self.shared;
        // Before the tree is taken: a reactor reads it while it holds its front, and waits if somebody is about to write.
        let fronts = self.each_front(|front| (front.connections().count(), front.connection_drop_chance()));
        let connections: usize = fronts.iter().map(|(connections, _)| connections).sum();
        let watches: usize = shared.reactors.iter().map(|r| unpoisoned(r.shared.watches.lock()).watch_count()).sum();
        let (outstanding, local_sessions) = {
            let core = shared.core();
            (core.in_flight(), core.local_sessions().map_or(0, SessionTracker::len))
        };
        let (learners, leading, is_observer_master, members) = {
            let core = shared.core();
            let members = shared.links.is_some().then(|| core.peer().config().clone());
            (core.peer().learners(), core.peer().leading(), core.peer().is_observer_master(), members)
        };
        let tree = shared.tree();
        let mut gauges = GaugeValues::default();
        gauges
            .set(Gauge::NumAliveConnections, connections as i64)
            .set(Gauge::OutstandingRequests, outstanding as i64)
            .set(Gauge::Uptime, shared.started.elapsed().as_millis() as i64)
            .set(Gauge::ZnodeCount, tree.node_count() as i64)
            .set(Gauge::WatchCount, watches as i64)
            .set(Gauge::EphemeralsCount, tree.ephemeral_count() as i64)
            .set(Gauge::ApproximateDataSize, tree.approximate_data_size())
            .set(Gauge::GlobalSessions, tree.session_count() as i64)
            .set(Gauge::LocalSessions, local_sessions as i64)
            .set(Gauge::OpenFileDescriptorCount, open_files())
            .set(Gauge::MaxFileDescriptorCount, most_files())
            .set(Gauge::OutstandingTlsHandshake, 0)
            .set_decimal(Gauge::ConnectionDropProbability, fronts[0].1);
        if let Some(members) = &members {
            let count = |which: &dyn Fn(&LearnerView) -> bool| learners.iter().filter(|learner| which(learner)).count() as i64;
            if self.mode() != Mode::ReadOnly {
                gauges.set(Gauge::QuorumSize, members.voters().count() as i64);
            }
            if is_observer_master {
                gauges.set(Gauge::SyncedObservers, count(&|learner| learner.is_synced));
            }
            if self.mode() == Mode::Leader {
                let votes = |learner: &LearnerView| members.is_voter(learner.sid);
                gauges
                    .set(Gauge::Learners, learners.len() as i64)
                    .set(Gauge::SyncedFollowers, count(&|learner| learner.is_synced && !learner.is_observer && votes(learner)))
                    .set(Gauge::SyncedNonVotingFollowers, count(&|learner| learner.is_synced && !learner.is_observer && !votes(learner)))
                    .set(Gauge::SyncedObservers, count(&|learner| learner.is_synced && learner.is_observer));
                if let Some(leading) = leading {
                    let sizes = leading.proposal_sizes.map_or([-1; 3], |sizes| sizes.map(|size| size as i64));
                    gauges
                        .set(Gauge::PendingSyncs, leading.pending_syncs as i64)
                        .set(Gauge::LeaderUptime, shared.now().mono_ms.saturating_sub(leading.since_ms) as i64)
                        .set(Gauge::LastProposalSize, sizes[0])
                        .set(Gauge::MinProposalSize, sizes[1])
                        .set(Gauge::MaxProposalSize, sizes[2]);
                }
            }
        }
        for quota in tree.quotas() {
            let Some(namespace) = path::components(&quota.root).next() else { continue };
            gauges
                .set_for(GaugeSet::QuotaCountLimitPerNamespace, namespace, quota.limit.count())
                .set_for(GaugeSet::QuotaBytesLimitPerNamespace, namespace, quota.limit.bytes())
                .set_for(GaugeSet::QuotaCountUsagePerNamespace, namespace, quota.usage.count())
                .set_for(GaugeSet::QuotaBytesUsagePerNamespace, namespace, quota.usage.bytes());
        }
        gauges
    }
}

fn connection_view(info: &ConnectionInfo) -> ConnectionView {
    let stats = &info.stats;
    let session = (info.session != SessionId::NONE).then(|| ConnectionSession {
        id: info.session,
        last_operation: stats.last_op.map_or("NA", last_operation),
        established_ms: info.established_ms,
        timeout_ms: info.timeout_ms,
        last_cxid: stats.last_cxid,
        last_zxid: stats.last_zxid,
        last_response_ms: stats.last_response_ms as i64,
        last_latency_ms: stats.last_latency_ms as i64,
        min_latency_ms: stats.latency.min_ms as i64,
        average_latency_ms: stats.latency.total_ms.checked_div(stats.latency.count).unwrap_or(0) as i64,
        max_latency_ms: stats.latency.max_ms as i64,
    });
    ConnectionView {
        address: info.peer,
        interest_ops: u32::from(info.session != SessionId::NONE && info.reading),
        queued: info.queued as u64,
        received: stats.received,
        sent: stats.sent,
        session,
    }
}

fn open_files() -> i64 {
    std::fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count() as i64)
}

fn most_files() -> i64 {
    rustix::process::getrlimit(rustix::process::Resource::Nofile).current.map_or(i64::MAX, |n| n as i64)
}
