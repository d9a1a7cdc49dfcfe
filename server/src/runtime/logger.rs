//! The thread that logs: appends what waits, syncs once for all of it, and applies what this
//! commits. It is the only one that writes the transaction log.

use super::shared::{LogEntry, LogWork, Shared, unpoisoned};
use super::snapshots::Job;
use crate::config::dynamic::DynamicFiles;
use crate::metrics::{Counter, Recorder, Stage, Summary};
use log::{error, info, warn};
use oxkeeper_ledger::{Ledger, Stepped};
use oxkeeper_net::Wakeup;
use oxkeeper_proto::Zxid;
use oxkeeper_replica::core::{DiskStep, Input};
use oxkeeper_store::AppendError;
use oxkeeper_store::txn_log::ZeroAhead;
use oxkeeper_tree::Tree;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

/// How often a full disk is tried again.
const SPACE_CHECK: Duration = Duration::from_millis(250);
/// Writes are accepted again when so much is free, and so much more than when the disk was full:
/// else a nearly full disk would be tried over and over.
const LEAST_FREE_BYTES: u64 = 1 << 20;
const LEAST_GAIN_BYTES: u64 = 64 << 10;

/// A start replays so many in about 0.3 s: for no fewer does the snapshot that is being written need to hurry.
const OVERDUE_TXNS: u64 = 150_000;

/// When the next snapshot is due: counts and sizes with a random part, so that the members of an
/// ensemble do not all write theirs at once.
struct SnapshotPace {
    txns: u64,
    /// Behind the snapshot that is being written.
    skipped_txns: u64,
    bytes_at_last: u64,
    txns_due: u64,
    bytes_due: Option<u64>,
    random: u64,
}

impl SnapshotPace {
    fn draw(&mut self, snap_count: u32, size_limit_bytes: Option<u64>) {
        let half = u64::from(snap_count / 2).max(1);
        self.txns_due = half + self.random() % half;
        self.bytes_due = size_limit_bytes.map(|limit| {
            let half = (limit / 2).max(1);
            half + self.random() % half
        });
    }

    /// xorshift64*: nothing depends on its quality.
    fn random(&mut self) -> u64 {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        self.random.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
}

/// See the module.
pub struct Logger {
    pub shared: Arc<Shared>,
    pub log: Ledger,
    pub wakeup: Arc<Wakeup>,
    pub recorder: Recorder,
    /// Where snapshots are asked for.
    pub snapshots: SyncSender<Job>,
    /// A snapshot is being written.
    pub snapshot_running: Arc<AtomicBool>,
    /// How many times a start has to replay more than it should because the snapshot is not finished.
    pub snapshot_overdue: Arc<AtomicU32>,
    /// Where space is filled with zeros ahead.
    pub zeros: SyncSender<ZeroAhead>,
    pub seed: u64,
    /// Where a member that takes part in reconfiguration keeps its configuration.
    pub files: Option<DynamicFiles>,
}

impl Logger {
    /// Runs until the server stops and everything that waited is durable and applied.
    pub fn run(mut self) {
        let bytes = self.log.log().total_bytes();
        let mut pace = SnapshotPace { txns: 0, skipped_txns: 0, bytes_at_last: bytes, txns_due: 0, bytes_due: None, random: self.seed | 1 };
        pace.draw(self.shared.config.snap_count, self.shared.config.snap_size_limit_bytes);
        let mut work: Vec<LogWork> = Vec::new();
        let mut entries: Vec<LogEntry> = Vec::new();
        let mut applied = Zxid::ZERO;
        let _ = self.log.log().hold_reserve();
        loop {
            self.shared.log.take(&mut work);
            if work.is_empty() {
                if self.shared.stopping() {
                    break;
                }
                let (shared, wakeup) = (&self.shared, &self.wakeup);
                if wakeup.fall_asleep(|| !shared.log.is_empty() || shared.stopping()) {
                    std::thread::park();
                    wakeup.awake();
                }
                continue;
            }
            for work in work.drain(..) {
                match work {
                    LogWork::Append(entry) => entries.push(entry),
                    LogWork::SeenMembers(config) => self.keep(|files| files.propose(&config)),
                    LogWork::Members(config) => self.keep(|files| files.activate(&config)),
                    LogWork::Step(step) => {
                        self.write(&mut entries, &mut applied, &mut pace);
                        self.step(step);
                    }
                }
            }
            self.write(&mut entries, &mut applied, &mut pace);
            if let Some(work) = self.log.log().prepare_ahead() {
                // If the helper is busy, the log writes into the hole: slower, not wrong.
                let _ = self.zeros.try_send(work);
            }
        }
        match self.log.close() {
            Ok(()) => info!("The transaction log is closed"),
            Err(failure) => die(&failure.reason),
        }
    }

    /// Appends these, syncs once for all of them, and reports it.
    fn write(&mut self, entries: &mut Vec<LogEntry>, applied: &mut Zxid, pace: &mut SnapshotPace) {
        if entries.is_empty() || self.log.is_refusing() {
            return entries.clear();
        }
        let (taken, begun) = (self.shared.now(), Instant::now());
        self.recorder.add(Counter::SyncProcessorRequestQueued, entries.len() as u64);
        self.recorder.observe(Summary::SyncProcessorQueueSize, entries.len() as i64);
        self.recorder.observe(Summary::SyncProcessorBatchSize, entries.len() as i64);
        for entry in &*entries {
            self.recorder.observe(Summary::SyncProcessorQueueTime, taken.mono_ms.saturating_sub(entry.queued_ms) as i64);
        }
        loop {
            match self.log.append(entries) {
                Ok(()) => break,
                Err(AppendError::NoSpace) if self.shared.links.is_some() => {
                    if !self.wait_for_room() {
                        // Stopping: nothing of this was acknowledged.
                        return entries.clear();
                    }
                }
                Err(AppendError::NoSpace) => {
                    self.wait_for_space(entries[0].zxid, *applied);
                    return entries.clear();
                }
                Err(AppendError::Fatal(reason)) => die(&reason),
            }
        }
        let written = self.shared.now();
        self.recorder.observe(Summary::SyncProcessTime, written.mono_ms.saturating_sub(taken.mono_ms) as i64);
        self.recorder.observe_stage(Stage::LogWrite, begun.elapsed().as_micros() as i64);
        let synced = match self.log.sync() {
            Ok(synced) => synced,
            Err(failure) => die(&failure.reason),
        };
        if let Some(warning) = synced.warning("SyncThread:0", self.shared.config.fsync_warning_threshold_ms) {
            warn!("{warning}");
            self.shared.metrics.count_lasting(crate::metrics::Lasting::FsyncThresholdExceeded);
        }
        let sync_ms = synced.elapsed.as_millis() as u64;
        if self.shared.config.operator.slow_request_ms.is_some_and(|limit_ms| sync_ms * 2 >= u64::from(limit_ms)) {
            let [ended_ms, took_ms] = &self.shared.slow_sync;
            ended_ms.store(self.shared.now().mono_ms, Ordering::Relaxed);
            took_ms.store(sync_ms, Ordering::Relaxed);
        }
        self.recorder.observe_stage(Stage::LogSync, synced.elapsed.as_micros() as i64);
        self.recorder.observe(Summary::FsyncTime, synced.elapsed.as_millis() as i64);
        let through = synced.through.expect("something was appended");
        let now = self.shared.now();
        for entry in &*entries {
            self.recorder.observe(Summary::SyncProcessorQueueFlushTime, now.mono_ms.saturating_sub(written.mono_ms) as i64);
            self.recorder.observe(Summary::SyncProcessorQueueAndFlushTime, now.mono_ms.saturating_sub(entry.queued_ms) as i64);
        }
        if self.shared.links.is_some() {
            // Others apply too, as a quorum acknowledges.
            *applied = self.shared.tree().last_zxid();
        }
        self.shared.bring(now, [Input::Applied { through: *applied }, Input::LogSynced { through }]);
        *applied = through;
        pace.txns += entries.len() as u64;
        entries.clear();
        self.snapshot_if_due(pace, through);
    }

    /// A configuration that cannot be kept does not end a member, nor does it Java's: the others remember it.
    fn keep(&mut self, keep: impl FnOnce(&mut DynamicFiles) -> io::Result<()>) {
        if let Some(Err(failure)) = self.files.as_mut().map(keep) {
            error!("The configuration cannot be written beside zoo.cfg, and a restart will begin with the old one: {failure}");
        }
    }

    /// Carries out a step of a change of role. What was appended before is durable.
    fn step(&mut self, step: DiskStep) {
        if let DiskStep::Barrier(step) = step {
            return self.shared.bring(self.shared.now(), [Input::Done { step }]);
        }
        let links = self.shared.links.as_ref().filter(|_| matches!(step, DiskStep::InstallSnapshot(_)));
        let received = links.and_then(|links| unpoisoned(links.received.lock()).take());
        if matches!(step, DiskStep::Truncate(_) | DiskStep::InstallSnapshot(_) | DiskStep::AbandonSnapshot) {
            // The tree that is being written may be about to go.
            self.shared.abandon_snapshot.store(true, Ordering::SeqCst);
            while self.snapshot_running.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(1));
            }
            self.shared.abandon_snapshot.store(false, Ordering::SeqCst);
        }
        let applied = self.shared.tree().last_zxid();
        match self.log.step(step, received, applied) {
            Ok(Stepped::Unchanged) => {}
            Ok(Stepped::Replaced(tree)) => self.replace(*tree),
            Ok(Stepped::Adopted(through)) => self.shared.tree_for_writing().expect_digest_at(through, None),
            Ok(Stepped::CutRefused) => self.shared.bring(self.shared.now(), [Input::CutRefused]),
            Err(failure) => die(&failure.reason),
        }
    }

    fn replace(&self, mut tree: Tree) {
        self.shared.prepare_tree(&mut tree);
        let old = std::mem::replace(&mut *self.shared.tree_for_writing(), tree);
        // Outside the lock: that can take long.
        drop(old);
    }

    fn snapshot_if_due(&mut self, pace: &mut SnapshotPace, zxid: Zxid) {
        let bytes = self.log.log().total_bytes().saturating_sub(pace.bytes_at_last);
        // Before it serves, a member's tree may hold what was never committed.
        if !self.shared.serves.load(Ordering::SeqCst) {
            return;
        }
        if pace.txns <= pace.txns_due && pace.bytes_due.is_none_or(|due| bytes <= due) {
            return;
        }
        let config = &self.shared.config;
        let is_long = pace.txns <= pace.txns_due;
        pace.skipped_txns += pace.txns;
        pace.draw(config.snap_count, config.snap_size_limit_bytes);
        pace.txns = 0;
        pace.bytes_at_last = self.log.log().total_bytes();
        if let Err(failure) = self.log.log().roll() {
            die(&failure.0);
        }
        if self.snapshot_running.swap(true, Ordering::SeqCst) {
            warn!("Too busy to snap, skipping");
            if is_long || pace.skipped_txns > OVERDUE_TXNS {
                pace.skipped_txns = 0;
                self.snapshot_overdue.fetch_add(1, Ordering::Relaxed);
            }
            return;
        }
        pace.skipped_txns = 0;
        self.snapshot_overdue.store(0, Ordering::Relaxed);
        let job = Job::begin(&self.shared, zxid);
        if self.snapshots.try_send(job).is_err() {
            unreachable!("one snapshot runs at a time, so its queue is empty");
        }
    }

    /// Writes are refused from this zxid on until there is room again; reads go on.
    fn wait_for_space(&mut self, from: Zxid, applied: Zxid) {
        let free_at_first = self.free_bytes();
        self.shared.refuse_log(from, applied);
        while !self.shared.stopping() {
            std::thread::sleep(SPACE_CHECK);
            if self.free_bytes() >= (free_at_first + LEAST_GAIN_BYTES).max(LEAST_FREE_BYTES) {
                self.shared.bring(self.shared.now(), [Input::SpaceIsBack]);
                return;
            }
        }
    }

    /// A member of an ensemble takes nothing back that was proposed: it waits, and acknowledges nothing meanwhile. Returns
    /// whether there is room.
    fn wait_for_room(&mut self) -> bool {
        warn!("No space left for the transaction log: nothing is acknowledged until there is room again");
        let free_at_first = self.free_bytes();
        while !self.shared.stopping() {
            std::thread::sleep(SPACE_CHECK);
            if self.free_bytes() >= (free_at_first + LEAST_GAIN_BYTES).max(LEAST_FREE_BYTES) {
                info!("There is room for the transaction log again");
                return true;
            }
        }
        false
    }

    /// What the log's file system has for us, bytes; 0 if it does not say.
    fn free_bytes(&self) -> u64 {
        rustix::fs::statvfs(self.shared.config.log_dir()).map_or(0, |s| s.f_bavail * s.f_frsize)
    }
}

/// The log is in doubt: nothing may be written, acknowledged or flushed any more.
fn die(reason: &str) -> ! {
    error!("Severe unrecoverable error, from the transaction log: {reason}. Exiting without writing anything more");
    std::process::exit(1);
}
