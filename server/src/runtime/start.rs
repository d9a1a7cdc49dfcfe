//! Up and down: recovers the directory, starts the threads, and stops them in an order in which
//! nothing that was promised is lost.

use super::admin::{AdminServer, Attached};
use super::clock::Clock;
use super::logger::Logger;
use super::notify::Notifier;
use super::reactor::{Door, Reactor, WAKE};
use super::restore;
use super::scrape::MetricsServer;
use super::shared::{LogWork, Parts, ReactorHandle, Shared, unpoisoned};
use super::snapshots::{Job, SnapshotDoor, Snapshots, compression, end, snapshot_path};
use super::words::Words;
use crate::audit::AuditLog;
use crate::config::dynamic::{self, DynamicFiles};
use crate::config::{EXIT_INVALID_INVOCATION, EXIT_UNABLE_TO_ACCESS_DATADIR, EnsembleConfig, ServerConfig};
use crate::metrics::{Metrics, Summary};
use crate::peers::Peers;
use crate::peers::election_links::ElectionLinks;
use crate::peers::links::Links;
use log::{info, warn};
use oxkeeper_auth::{SchemeOptions, Schemes};
use oxkeeper_ledger::{Ledger, LedgerOptions};
use oxkeeper_net::mio::Poll;
use oxkeeper_net::{ConnectionLimits, Listener, Queue, Wakeup};
use oxkeeper_proto::Zxid;
use oxkeeper_replica::core::{Core, CoreOptions, LocalSessions};
use oxkeeper_replica::front::{Front, FrontOptions};
use oxkeeper_replica::inbox::FrontShared;
use oxkeeper_replica::limits::{Limits, Throttle, ThrottleOptions, Weights};
use oxkeeper_replica::prepare::PrepareOptions;
use oxkeeper_replica::request::Now;
use oxkeeper_store::{Directories, DiskRef, LogOptions, OpenError, OpenOptions, RealDisk, Store};
use oxkeeper_tree::{DigestMismatch, NoopSink, Tree, TreeOptions};
use oxkeeper_zab::{Durable, Peer, PeerOptions};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, mpsc};
use std::thread;
use std::time::{Duration, Instant};

/// Why the server did not start or had to end.
#[derive(Debug)]
pub struct Failure {
    /// The exit code of the process.
    pub exit_code: i32,
    /// One line that says what and what to do.
    pub message: String,
}

/// Java's code for whatever has none of its own.
const EXIT_UNEXPECTED_ERROR: i32 = 1;
/// Java's code for an election port that cannot be bound.
const EXIT_UNABLE_TO_BIND_QUORUM_PORT: i32 = 14;
/// Reactors are bits of a word.
const MOST_REACTORS: usize = 64;
/// Connections on their way to a reactor.
const ERRANDS_BOUND: usize = 1 << 16;
/// The server id in session ids of a standalone server.
const STANDALONE_SID: u8 = 1;

fn failure(exit_code: i32, message: impl Into<String>) -> Failure {
    Failure { exit_code, message: message.into() }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        let exit_code = match error {
            OpenError::Directory(_) | OpenError::InUse(_) | OpenError::Misplaced(_) => EXIT_UNABLE_TO_ACCESS_DATADIR,
            OpenError::Damaged(_) | OpenError::Io(..) => EXIT_UNEXPECTED_ERROR,
        };
        failure(exit_code, error.to_string())
    }
}

/// Serves until a signal asks it to stop.
///
/// # Errors
/// What keeps the server from starting.
pub fn serve(config: ServerConfig) -> Result<(), Failure> {
    let audit =
        AuditLog::open(&config.operator).map_err(|e| failure(EXIT_UNEXPECTED_ERROR, format!("the audit log cannot be opened: {e}")))?;
    let audit = audit.map(Arc::new);
    if let (Some(ensemble), Some(config_file)) = (&config.ensemble, &config.config_file)
        && config.reconfig_enabled
        && ensemble.dynamic_config_file.is_none()
    {
        dynamic::back_up(config_file);
    }
    let directories = config.prepare_directories().map_err(|e| failure(e.exit_code, e.message));
    let doors = directories.and_then(|()| Doors::open(&config));
    let ended = doors.and_then(|doors| {
        let mut config = config;
        let mut is_first = true;
        let mut earlier = None;
        loop {
            match serve_once(config.clone(), audit.clone(), &doors, is_first, earlier)? {
                Ended::Stopped => return Ok(()),
                Ended::Restored { client_port, notifier } => (config.client_port, earlier) = (client_port, notifier),
            }
            is_first = false;
        }
    });
    if let (Err(_), Some(audit)) = (&ended, &audit) {
        audit.started(false);
    }
    ended
}

/// The doors for operators, which stay while a snapshot is restored.
struct Doors {
    scrape: Option<Arc<MetricsServer>>,
    admin: Option<Arc<AdminServer>>,
}

impl Doors {
    fn open(config: &ServerConfig) -> Result<Self, Failure> {
        let scrape = MetricsServer::start(config)?;
        let admin = match AdminServer::start(config) {
            // As Java: a member is worth more than its pages.
            Err(failure) if config.ensemble.is_some() => {
                warn!("{}", failure.message);
                None
            }
            started => started?,
        };
        Ok(Self { scrape, admin })
    }
}

/// Why a server has ended.
enum Ended {
    /// It was asked to.
    Stopped,
    /// Another history has taken the place of its own; it is to start again on this port.
    Restored { client_port: u16, notifier: Option<Notifier> },
}

fn serve_once(
    mut config: ServerConfig,
    audit: Option<Arc<AuditLog>>,
    doors: &Doors,
    is_first: bool,
    earlier: Option<Notifier>,
) -> Result<Ended, Failure> {
    let Doors { scrape, admin } = doors;
    let begun = Instant::now();
    let mut signals =
        signal_hook::iterator::Signals::new([signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT, signal_hook::consts::SIGHUP])
            .map_err(|e| failure(EXIT_UNEXPECTED_ERROR, format!("cannot wait for signals: {e}")))?;
    raise_file_limit();
    announce(&config);
    let schemes = Arc::new(schemes(&config)?);
    let listener = bind(&config)?;
    let address = listener.local_address().map_err(|e| failure(EXIT_UNEXPECTED_ERROR, e.to_string()))?;
    // A day back, so that deadlines and times before the start are positive numbers.
    let epoch = Instant::now().checked_sub(Duration::from_secs(86_400)).unwrap_or_else(Instant::now);
    let now = super::shared::now_since(epoch);
    // Before the first table is made, the tree's above all: clients choose its keys.
    oxkeeper_proto::collections::set_seed(now.wall_ms as u64 ^ u64::from(std::process::id()) << 40);
    let disk = RealDisk::shared();
    let metrics = Metrics::new();
    if scrape.is_some() {
        metrics.keep_all_distributions();
    }
    let (store, tree, snapshot_zxid) = recover_when_free(&config, &disk, &metrics, now, is_first)?;
    if let Some(ensemble) = config.ensemble.as_mut().filter(|_| config.reconfig_enabled) {
        ensemble.last_seen = oxkeeper_ledger::last_seen(&ensemble.config, ensemble.last_seen.take(), &tree);
    }
    let log_options = LogOptions {
        pre_alloc_bytes: i64::try_from(config.pre_alloc_bytes).unwrap_or(i64::MAX),
        size_limit_bytes: config.txn_log_size_limit_bytes,
        force_sync: config.force_sync,
        ..LogOptions::default()
    };
    let peer = match &config.ensemble {
        Some(ensemble) => Some(peer(ensemble, &config, &store, &tree, now)?),
        None => None,
    };
    let store = Arc::new(Mutex::new(store));
    let log = Ledger::new(store.clone(), LedgerOptions { tree: tree_options(&config), log: log_options })
        .map_err(|e| failure(EXIT_UNEXPECTED_ERROR, format!("the transaction log cannot be opened: {e}")))?;

    let max_length = i32::try_from(config.jute_max_buffer_bytes.saturating_add(config.jute_max_buffer_extra_bytes)).unwrap_or(i32::MAX);
    let core_options = core_options(&config, max_length);
    let core = match peer {
        Some(peer) => {
            let mut core = Core::member(core_options, schemes.clone(), peer, &tree, now);
            core.check_acls_eagerly(config.eager_acl_check);
            core
        }
        None => Core::standalone(core_options, schemes.clone(), &tree, now),
    };
    let last_zxid = tree.last_zxid();

    let count = thread::available_parallelism().map_or(1, usize::from).min(MOST_REACTORS);
    let in_flight = Arc::new(AtomicUsize::new(0));
    let front_options = front_options(&config, max_length, now);
    let mut reactors = Vec::new();
    let mut polls = Vec::new();
    for index in 0..count {
        let poll = Poll::new().map_err(|e| failure(EXIT_UNEXPECTED_ERROR, format!("epoll: {e}")))?;
        let wakeup = Wakeup::of_poll(poll.registry(), WAKE).map_err(|e| failure(EXIT_UNEXPECTED_ERROR, format!("epoll: {e}")))?;
        let shared = Arc::new(FrontShared::default());
        let mut front = Front::new(index as u16, shared.clone(), schemes.clone(), front_options.clone(), in_flight.clone());
        front.audit = audit.is_some().then(Default::default);
        let errands = Queue::new(ERRANDS_BOUND, wakeup.clone());
        reactors.push(ReactorHandle { shared, front: Mutex::new(front), wakeup, errands, reactor: OnceLock::new() });
        polls.push(poll);
    }

    // The logger waits until the rest is there, so that its thread can be named in the queue's waker.
    let (to_logger, for_logger) = mpsc::sync_channel::<Logger>(1);
    let logger_thread = spawn("SyncThread:0", move || {
        if let Ok(logger) = for_logger.recv() {
            logger.run();
        }
    })?;
    let log_wakeup = Wakeup::of_thread(logger_thread.thread().clone());
    let log_queue: Arc<Queue<LogWork>> = Queue::new(usize::MAX, log_wakeup.clone());
    let client_port = address.port();
    let peers = match &config.ensemble {
        Some(ensemble) => Some(peers_parts(ensemble, &metrics)?),
        None => None,
    };
    let links = peers.as_ref().map(|parts| parts.links.clone());
    let shared = Shared::new(Parts {
        schemes,
        metrics,
        audit,
        max_length,
        reactors,
        log: log_queue,
        links,
        core,
        tree,
        store,
        client_port,
        epoch,
        config,
    });

    let (snapshot_jobs, jobs) = mpsc::sync_channel::<Job>(1);
    let snapshot_running = Arc::new(AtomicBool::new(false));
    let (zeros, zero_work) = mpsc::sync_channel::<oxkeeper_store::txn_log::ZeroAhead>(1);
    let snapshot_overdue = Arc::new(AtomicU32::new(0));
    let snapshots = Snapshots {
        shared: shared.clone(),
        running: snapshot_running.clone(),
        overdue: snapshot_overdue.clone(),
        recorder: shared.metrics.recorder(),
    };
    let snapshot_thread = spawn("Snapshot Thread", move || snapshots.run(&jobs))?;
    let zero_thread = spawn("ZeroAhead", move || {
        for work in zero_work {
            if let Err(failure) = work.run() {
                warn!("Space for the transaction log could not be prepared: {failure}");
            }
        }
    })?;
    let (memory, memory_ends) = mpsc::channel();
    let memory_thread = spawn("HugePages", move || super::huge_pages::run(&memory_ends))?;
    let logger = Logger {
        shared: shared.clone(),
        log,
        wakeup: log_wakeup.clone(),
        recorder: shared.metrics.recorder(),
        snapshots: snapshot_jobs.clone(),
        snapshot_running: snapshot_running.clone(),
        snapshot_overdue,
        zeros,
        seed: now.wall_ms as u64,
        files: dynamic_files(&shared.config),
    };
    to_logger.send(logger).map_err(|_| failure(EXIT_UNEXPECTED_ERROR, "the log's thread is gone"))?;
    // As Java, a start ends with a snapshot; nobody waits for it. A member's tree may hold what was never committed.
    if snapshot_zxid != Some(last_zxid) && shared.links.is_none() {
        snapshot_running.store(true, Ordering::SeqCst);
        let _ = snapshot_jobs.try_send(Job::begin(&shared, last_zxid));
    }
    if let Some(admin) = admin {
        let snapshots = SnapshotDoor { jobs: snapshot_jobs.clone(), running: snapshot_running.clone() };
        let words = Words::new(shared.clone());
        let stop = signals.handle();
        admin.attach(Attached { shared: shared.clone(), words, snapshots, largest: Default::default(), stop });
    }
    if let Some(scrape) = scrape {
        scrape.attach(&shared);
    }
    drop(snapshot_jobs);

    let (questions, asked) = mpsc::channel();
    let words = Words::new(shared.clone());
    let words_thread = spawn("CommandThread", move || words.run(&asked))?;
    let clock = Clock { shared: shared.clone() };
    let clock_thread = spawn("SessionTracker", move || clock.run())?;
    let limits = ConnectionLimits::new(
        usize::try_from(shared.config.max_client_cnxns).unwrap_or(0),
        shared.config.max_cnxns.map_or(0, |n| n as usize),
    );
    let mut door = Some(Door { listener: Some(listener), limits });
    let mut reactor_threads = Vec::new();
    for (index, poll) in polls.into_iter().enumerate() {
        let registry = poll.registry().try_clone().map_err(|e| failure(EXIT_UNEXPECTED_ERROR, format!("epoll: {e}")))?;
        let reactor = Reactor::new(shared.clone(), index, registry, door.take(), questions.clone());
        reactor_threads.push(spawn(&format!("NIOWorkerThread-{}", index + 1), move || reactor.run(poll))?);
    }
    drop(questions);
    let peers_thread = match peers {
        Some(parts) => {
            let peers = parts.start(shared.clone());
            Some(spawn("QuorumPeer", move || peers.run())?)
        }
        None => None,
    };
    info!("Serving on {address} after {} ms with {count} reactors", begun.elapsed().as_millis());

    // While a snapshot is restored there is nothing to be looked at, and the process is alive.
    let watched = Arc::downgrade(&shared);
    let notifier = super::notify::serving(&format!("Serving on {address}"), move || {
        if let Some(watched) = watched.upgrade() {
            drop(watched.core());
            drop(watched.tree());
        }
    });
    if let Some(earlier) = earlier {
        earlier.let_go();
    }

    if let Some(audit) = shared.audit.as_ref().filter(|_| is_first) {
        audit.started(true);
    }
    let signal = signals.forever().next();
    // The only other end is that a snapshot is to be restored.
    let notifier = match signal {
        Some(signal) => {
            drop(notifier);
            info!("Signal {signal} received: shutting down");
            if let Some(audit) = &shared.audit {
                audit.stopping();
            }
            None
        }
        None => {
            info!("A snapshot is to be restored: starting anew");
            Some(notifier)
        }
    };
    shared.counters.stopping.store(true, Ordering::SeqCst);
    for reactor in &shared.reactors {
        reactor.wakeup.wake();
    }
    if let Some(admin) = admin {
        admin.detach();
    }
    if let Some(scrape) = scrape {
        scrape.detach();
    }
    for thread in reactor_threads {
        join(thread);
    }
    if let Some(thread) = peers_thread {
        if let Some(links) = &shared.links {
            links.wakeup.wake();
        }
        join(thread);
    }
    join(clock_thread);
    join(words_thread);
    // Whatever the reactors brought last is logged before the log is closed.
    log_wakeup.wake();
    logger_thread.thread().unpark();
    join(logger_thread);
    join(snapshot_thread);
    join(zero_thread);
    drop(memory);
    join(memory_thread);
    info!("Shutdown complete: everything is on disk through {}", shared.tree().last_zxid());
    let Some(staged) = unpoisoned(shared.to_restore.lock()).take() else { return Ok(Ended::Stopped) };
    restore::install(&shared, &staged)
        .map_err(|e| failure(EXIT_UNEXPECTED_ERROR, format!("the snapshot {} could not be put in place: {e}", staged.zxid)))?;
    Ok(Ended::Restored { client_port: shared.client_port(), notifier })
}

/// After a restore, somebody at a door may hold the old server, and its directory, for a moment.
fn recover_when_free(
    config: &ServerConfig,
    disk: &DiskRef,
    metrics: &Metrics,
    now: Now,
    is_first: bool,
) -> Result<(Store, Tree, Option<Zxid>), Failure> {
    const PATIENCE: Duration = Duration::from_secs(60);
    let begun = Instant::now();
    loop {
        match recover(config, disk, metrics, now) {
            Err(failure) if !is_first && failure.exit_code == EXIT_UNABLE_TO_ACCESS_DATADIR && begun.elapsed() < PATIENCE => {
                thread::sleep(Duration::from_millis(20));
            }
            recovered => return recovered,
        }
    }
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> Result<thread::JoinHandle<()>, Failure> {
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(body)
        .map_err(|e| failure(EXIT_UNEXPECTED_ERROR, format!("the thread {name} cannot be started: {e}")))
}

fn join(thread: thread::JoinHandle<()>) {
    if thread.join().is_err() {
        warn!("A thread ended with a panic");
    }
}

/// What Java says at the start of a standalone server, in its words.
fn announce(config: &ServerConfig) {
    info!("autopurge.snapRetainCount set to {}", config.autopurge_snap_retain_count);
    match config.autopurge_interval_ms {
        Some(interval_ms) if interval_ms % 3_600_000 == 0 => info!("autopurge.purgeInterval set to {}", interval_ms / 3_600_000),
        Some(interval_ms) => info!("autopurge.purgeInterval set to {interval_ms} ms"),
        None => {
            info!("autopurge.purgeInterval set to 0");
            info!("Purge task is not scheduled.");
        }
    }
    info!("minSessionTimeout set to {} ms", config.min_session_timeout_ms);
    info!("maxSessionTimeout set to {} ms", config.max_session_timeout_ms);
    info!(
        "Created server with tickTime {} ms minSessionTimeout {} ms maxSessionTimeout {} ms clientPortListenBacklog {} dataLogdir {} snapdir {}",
        config.tick_time_ms,
        config.min_session_timeout_ms,
        config.max_session_timeout_ms,
        config.client_port_listen_backlog,
        config.log_dir().display(),
        config.snap_dir().display()
    );
    let reaping = &config.container_reaping;
    info!(
        "Using checkIntervalMs={} maxPerMinute={} maxNeverUsedIntervalMs={}",
        reaping.check_interval_ms,
        reaping.max_per_minute,
        reaping.max_never_used_interval_ms.unwrap_or(0)
    );
}

fn schemes(config: &ServerConfig) -> Result<Schemes, Failure> {
    let options = SchemeOptions {
        digest_enabled: config.digest_auth_enabled,
        digest_algorithm: config.digest_algorithm.clone(),
        super_digest: config.super_digest.as_ref().map(|secret| secret.reveal().to_owned()),
        skip_acl: config.skip_acl,
        ensemble: None,
    };
    Schemes::new(&options).map_err(|e| failure(EXIT_INVALID_INVOCATION, e.to_string()))
}

fn bind(config: &ServerConfig) -> Result<Listener, Failure> {
    let any = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
    let address = SocketAddr::new(config.client_port_address.unwrap_or(any), config.client_port);
    let shown = match config.client_port_address {
        Some(_) => address.to_string(),
        None => format!("0.0.0.0/0.0.0.0:{}", config.client_port),
    };
    info!("binding to port {shown}");
    Listener::bind(address, config.client_port_listen_backlog)
        .map_err(|e| failure(EXIT_UNEXPECTED_ERROR, format!("Unexpected exception, exiting abnormally: cannot bind to {shown}: {e}")))
}

fn core_options(config: &ServerConfig, max_length: i32) -> CoreOptions {
    CoreOptions {
        tick_ms: u64::from(config.tick_time_ms),
        sid: config.ensemble.as_ref().map_or(STANDALONE_SID, |ensemble| ensemble.my_id.0 as u8),
        prepare: PrepareOptions {
            extended_types: config.extended_types_enabled,
            emulate_353_ttl: config.emulate_353_ttl_nodes,
            enforce_quota: config.enforce_quota,
            reconfig_enabled: config.reconfig_enabled,
        },
        digest_enabled: config.digest_enabled,
        close_session_txn: config.close_session_txn_enabled,
        max_length,
        local_sessions: match &config.ensemble {
            Some(ensemble) if ensemble.local_sessions_enabled && ensemble.local_sessions_upgrading_enabled => LocalSessions::Upgraded,
            Some(ensemble) if ensemble.local_sessions_enabled => LocalSessions::On,
            _ => LocalSessions::Off,
        },
        // As Java: at least two seconds.
        read_only_after_ms: (config.read_only_mode_enabled && config.ensemble.is_some()).then(|| u64::from(config.tick_time_ms).max(2000)),
    }
}

fn front_options(config: &ServerConfig, max_length: i32, now: Now) -> FrontOptions {
    // As Java: the members share the limit, since all their writes meet at the leader.
    let sharing = config.ensemble.as_ref().map_or(1, |ensemble| ensemble.config.voters().count().saturating_sub(1)).max(1);
    let outstanding_limit = (usize::try_from(config.global_outstanding_limit).unwrap_or(0) / sharing).max(1);
    let throttled = config.request_throttle.max_requests.map_or(usize::MAX, |n| n as usize);
    FrontOptions {
        tick_ms: u64::from(config.tick_time_ms),
        min_session_timeout_ms: i32::try_from(config.min_session_timeout_ms).unwrap_or(i32::MAX),
        max_session_timeout_ms: i32::try_from(config.max_session_timeout_ms).unwrap_or(i32::MAX),
        max_length,
        outstanding_limit: outstanding_limit.min(throttled),
        limits: Arc::new(limits(config, now)),
        serves: config.ensemble.is_none(),
        syncs: config.ensemble.is_some(),
        local_sessions: has_local_sessions(config),
    }
}

fn has_local_sessions(config: &ServerConfig) -> bool {
    config.ensemble.as_ref().is_some_and(|ensemble| ensemble.local_sessions_enabled)
}

fn limits(config: &ServerConfig, now: Now) -> Limits {
    let connections = &config.connection_throttle;
    let throttle = connections.tokens.map(|tokens| {
        let local = connections.local_session_weight;
        // As Java: neither weighs less than a local session.
        let global = u64::from(connections.global_session_weight.max(local));
        let fresh = if has_local_sessions(config) { u64::from(local) } else { global };
        let weights = Weights { global, fresh, renewal: u64::from(connections.renew_session_weight.max(local)) };
        let options = ThrottleOptions {
            tokens: u64::from(tokens),
            fill_time_ms: u64::from(connections.fill_time_ms),
            fill_count: u64::from(connections.fill_count),
            freeze_time_ms: connections.freeze_time_ms.map(u64::from),
            drop_increase: connections.drop_increase,
            drop_decrease: connections.drop_decrease,
            decrease_ratio: connections.decrease_ratio,
            weights: connections.weight_enabled.then_some(weights),
        };
        Throttle::new(options, now.mono_ms, now.wall_ms as u64)
    });
    let large = config.large_requests.threshold_bytes.map(|from| (from as usize, config.large_requests.max_bytes as usize));
    Limits::new(throttle, large)
}

/// As many file descriptors as the system lets us have: the soft limit is 1024 on most machines, and
/// a flood that uses them up would keep every client out.
fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return;
    }
    match setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }) {
        Ok(()) => info!("Open files: the limit of {:?} is raised to {:?}", limit.current, limit.maximum),
        Err(failure) => warn!("Open files: the limit of {:?} cannot be raised to {:?}: {failure}", limit.current, limit.maximum),
    }
}

fn tree_options(config: &ServerConfig) -> TreeOptions {
    TreeOptions {
        extended_types: config.extended_types_enabled,
        emulate_353_ttl: config.emulate_353_ttl_nodes,
        digest_enabled: config.digest_enabled,
    }
}

/// Who this member is to its peers, from what its files say.
fn peer(ensemble: &EnsembleConfig, config: &ServerConfig, store: &Store, tree: &Tree, now: Now) -> Result<Peer, Failure> {
    let last_zxid = tree.last_zxid();
    let epochs = store.epochs().load(last_zxid).map_err(|e| failure(EXIT_UNEXPECTED_ERROR, e.to_string()))?;
    if epochs.in_doubt {
        warn!("The history up to {last_zxid} is in doubt: this server takes part in no election before a leader has synchronised it");
    }
    let durable = Durable { last_zxid, accepted: epochs.accepted, current: epochs.current, in_doubt: epochs.in_doubt };
    info!("Last zxid {last_zxid}, accepted epoch {:x}, current epoch {:x}", epochs.accepted, epochs.current);
    let mut options = PeerOptions::new(ensemble.my_id);
    options.is_observer = ensemble.is_observer;
    options.tick_ms = u64::from(config.tick_time_ms);
    options.init_limit = ensemble.init_limit;
    options.sync_limit = ensemble.sync_limit;
    options.connect_limit = ensemble.connect_to_learner_master_limit;
    options.cache_entries = ensemble.commit_log_count as usize;
    options.observer_delay_ms = ensemble.observer_election_delay_ms;
    options.reconnect_delay_ms = ensemble.observer_reconnect_delay_ms;
    options.observer_masters = ensemble.observer_master_port.is_some();
    options.dial_pause_ms = u64::from(ensemble.leader_connect_delay_ms);
    options.last_counter = u32::MAX - ensemble.unused_counters;
    options.force_snapshot_sync = ensemble.force_snapshot_sync;
    options.max_snap_syncs = ensemble.max_concurrent_snap_syncs as usize;
    options.max_diff_syncs = ensemble.max_concurrent_diff_syncs as usize;
    options.seed = now.wall_ms as u64 ^ (ensemble.my_id.0 as u64) << 48;
    options.reconfig_enabled = config.reconfig_enabled;
    options.standalone_enabled = ensemble.standalone_enabled;
    options.multi_address_enabled = ensemble.multi_address_enabled;
    options.last_seen = ensemble.last_seen.clone().map(Box::new);
    options.min_notification_ms = ensemble.election.min_notification_ms;
    options.max_notification_ms = ensemble.election.max_notification_ms;
    options.finalize_wait_ms = ensemble.election.finalize_wait_ms;
    options.epoch_patience_ms = ensemble.max_time_to_wait_for_epoch_ms.map(u64::from);
    Ok(Peer::member(options, ensemble.config.clone(), durable, now.mono_ms))
}

/// Where this server keeps a configuration that changes while it runs.
fn dynamic_files(config: &ServerConfig) -> Option<DynamicFiles> {
    let ensemble = config.ensemble.as_ref().filter(|_| config.reconfig_enabled)?;
    Some(DynamicFiles::new(config.config_file.clone()?, ensemble.my_id, &ensemble.config, ensemble.last_seen.as_ref()))
}

/// What the thread of the peers is made of, before there is anything that it could serve.
struct PeersParts {
    poll: Poll,
    links: Arc<Links>,
    election: ElectionLinks,
    ensemble: EnsembleConfig,
}

impl PeersParts {
    fn start(self, shared: Arc<Shared>) -> Peers {
        Peers::new(shared, self.links, self.ensemble, self.poll, self.election)
    }
}

fn peers_parts(ensemble: &EnsembleConfig, metrics: &Metrics) -> Result<PeersParts, Failure> {
    let broken = |e: std::io::Error| failure(EXIT_UNEXPECTED_ERROR, format!("epoll: {e}"));
    let poll = Poll::new().map_err(broken)?;
    let wakeup = Wakeup::of_poll(poll.registry(), crate::peers::WAKE).map_err(broken)?;
    let election = ElectionLinks::open(ensemble, poll.registry())
        .map_err(|e| failure(EXIT_UNABLE_TO_BIND_QUORUM_PORT, format!("the election port cannot be bound: {e}")))?;
    Ok(PeersParts { poll, links: Links::new(wakeup, metrics.clone()), election, ensemble: ensemble.clone() })
}

/// The store, the tree that its files hold, and the zxid of the newest snapshot.
fn recover(config: &ServerConfig, disk: &DiskRef, metrics: &Metrics, now: Now) -> Result<(Store, Tree, Option<Zxid>), Failure> {
    let begun = Instant::now();
    let tree_options = tree_options(config);
    let directories = Directories { data: config.data_dir.clone(), log: config.data_log_dir.clone() };
    let options = OpenOptions {
        autocreate_directories: config.data_dir_autocreate,
        autocreate_database: config.db_autocreate,
        trust_empty_snapshot: config.trust_empty_snapshot,
    };
    let opened =
        Store::open(disk, &directories, &options, |reader| oxkeeper_tree::snapshot::load(reader, tree_options).map_err(|e| e.to_string()))?;
    for note in &opened.notes {
        warn!("{note}");
    }
    let recorder = metrics.recorder();
    let mut snapshot_zxid = None;
    let mut tree = match opened.snapshot {
        Some(snapshot) => {
            info!("Reading snapshot {}", directories.snapshots().join(&snapshot.name).display());
            snapshot_zxid = Some(snapshot.zxid);
            let mut tree: Tree = snapshot.state;
            oxkeeper_ledger::place(&mut tree, snapshot.zxid, snapshot.digest);
            tree
        }
        None => Tree::new(tree_options),
    };
    recorder.observe(Summary::StartupSnapLoadTime, begun.elapsed().as_millis() as i64);
    let replay_begun = Instant::now();
    let mut replayed = 0;
    let report = |wrong: DigestMismatch| {
        log::error!("Digests are not matching at {}: {:#x} was announced, the tree has {:#x}", wrong.zxid, wrong.announced, wrong.actual);
    };
    oxkeeper_ledger::replay(&mut tree, &opened.log, |_, _| replayed += 1, report).map_err(|e| failure(EXIT_UNEXPECTED_ERROR, e.reason))?;
    // As Java, a new database has loaded nothing.
    if snapshot_zxid.is_some() {
        recorder.observe(Summary::StartupTxnsLoadTime, replay_begun.elapsed().as_millis() as i64);
        recorder.observe(Summary::StartupTxnsLoaded, replayed);
    }
    tree.set_last_zxid(opened.last_zxid);
    let members = config.ensemble.as_ref().map(|ensemble| &ensemble.config);
    super::shared::prepare_tree(members, config.reconfig_enabled, &mut tree, now);
    let orphaned = tree.orphaned_owners();
    for owner in &orphaned {
        info!("Deleting the ephemerals of session {owner}, which is gone");
        tree.kill_session(*owner, opened.last_zxid, &mut NoopSink);
    }
    info!(
        "Snapshot loaded in {} ms, highest zxid is {}, digest is {}",
        begun.elapsed().as_millis(),
        opened.last_zxid,
        tree.digest() as i64
    );
    recorder.observe(Summary::DbInitTime, begun.elapsed().as_millis() as i64);
    let mut store = opened.store;
    // Without a snapshot Java (and we) would not start on the first log: it has to be there before
    // that log is. And what was taken out of the tree just now stands in no transaction: without a
    // snapshot the next start would replay later ones on another tree.
    if opened.needs_snapshot || !orphaned.is_empty() {
        let begun = Instant::now();
        info!("Snapshotting: {} to {}", tree.last_zxid(), snapshot_path(config, tree.last_zxid()).display());
        first_snapshot(config, &mut store, &mut tree)
            .map_err(|e| failure(EXIT_UNEXPECTED_ERROR, format!("the first snapshot cannot be written: {e}")))?;
        recorder.observe(Summary::SnapshotTime, begun.elapsed().as_millis() as i64);
        snapshot_zxid = Some(tree.last_zxid());
    }
    Ok((store, tree, snapshot_zxid))
}

fn first_snapshot(config: &ServerConfig, store: &mut Store, tree: &mut Tree) -> std::io::Result<()> {
    let (zxid, digest) = (tree.last_zxid(), tree.digest());
    let writer = store.snapshot_writer(zxid, compression(config))?;
    let file = oxkeeper_ledger::write_whole(tree, writer, end(config, zxid, digest))?;
    store.note_verified(&file);
    Ok(())
}
