//! Snapshots: one at a time, exact, to a file, while everything goes on; and the purge of old ones.

use super::shared::{Shared, unpoisoned};
use crate::four_letter::date::JavaDateTime;
use crate::four_letter::zone::Zone;
use crate::metrics::{Recorder, Summary};
use log::{error, info, warn};
use oxkeeper_proto::Zxid;
use oxkeeper_proto::txn::DIGEST_VERSION;
use oxkeeper_store::names::Compression;
use oxkeeper_store::snapshot::{SnapshotDigest, SnapshotEnd, SnapshotFile};
use oxkeeper_tree::View;
use std::cell::Cell;
use std::collections::HashMap;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, SyncSender};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Bytes that are taken from the tree under one lock: some tens of microseconds.
const CHUNK_BYTES: usize = 64 << 10;

/// The thread sleeps after a piece for so many percent of the time that it took: then the log's syncs find the disk, and
/// the reactors their cores, mostly free. The second and the third count when a start has to replay too much
/// already, and far too much: the log behind the last snapshot must not grow for the sake of a smooth run.
const WRITING_REST_PERCENT: [u32; 3] = [200, 100, 25];
/// The same while it is read back, which a disk serves before what a log syncs, and takes as much of as there is.
const READING_REST_PERCENT: [u32; 3] = [800, 400, 100];
/// It never sleeps longer at once, so that a busy machine does not make it wait for ever.
const LONGEST_REST: Duration = Duration::from_millis(50);

/// A snapshot that has been begun.
pub struct Job {
    view: View,
    zxid: Zxid,
    digest: u64,
    /// Who waits for it.
    done: Option<SyncSender<io::Result<(Zxid, PathBuf)>>>,
}

/// Where snapshots are asked for. Whoever holds one keeps the thread running.
pub struct SnapshotDoor {
    pub jobs: SyncSender<Job>,
    /// A snapshot is being written.
    pub running: Arc<AtomicBool>,
}

impl Job {
    /// Fixes the state at this zxid, which is the last one applied.
    ///
    /// # Panics
    /// If another snapshot is being taken: the caller sees to it that there is one at a time.
    pub fn begin(shared: &Shared, zxid: Zxid) -> Self {
        let job = Self::begin_at(shared, None);
        // In an ensemble the log is ahead of what is committed.
        debug_assert!(zxid >= job.zxid);
        job
    }

    /// Fixes the state as it is now, for somebody who waits.
    ///
    /// # Panics
    /// As [`Job::begin`].
    pub fn begin_newest(shared: &Shared, done: SyncSender<io::Result<(Zxid, PathBuf)>>) -> Self {
        Self::begin_at(shared, Some(done))
    }

    fn begin_at(shared: &Shared, done: Option<SyncSender<io::Result<(Zxid, PathBuf)>>>) -> Self {
        let mut tree = shared.tree_for_writing();
        let digest = tree.digest();
        let view = tree.begin_view().expect("one snapshot at a time");
        Self { view, zxid: tree.last_zxid(), digest, done }
    }
}

/// See the module.
pub struct Snapshots {
    pub shared: Arc<Shared>,
    pub running: Arc<AtomicBool>,
    /// How many times a start has to replay more than it should meanwhile. Set by whoever asks for snapshots.
    pub overdue: Arc<AtomicU32>,
    pub recorder: Recorder,
}

impl Snapshots {
    /// Runs until all who could ask for a snapshot are gone.
    pub fn run(self, jobs: &Receiver<Job>) {
        while let Ok(mut job) = jobs.recv() {
            let begun = Instant::now();
            let zxid = job.zxid;
            let done = job.done.take();
            let written = self.write(job);
            if let Some(done) = done {
                let path = || snapshot_path(&self.shared.config, zxid);
                // If nobody waits any more, the snapshot is still a good one.
                let _ = done
                    .send(written.as_ref().map(|_| (zxid, path())).map_err(|failure| io::Error::new(failure.kind(), failure.to_string())));
            }
            match written {
                Ok(file) => {
                    let elapsed_ms = begun.elapsed().as_millis() as i64;
                    info!("Snapshot taken in {elapsed_ms} ms: {} of {} bytes", file.name, file.size_bytes);
                    self.recorder.observe(Summary::SnapshotTime, elapsed_ms);
                }
                // Java ends here. Nothing is lost: the log before stays, and the next one is tried.
                Err(failure) => error!("The snapshot of {zxid} could not be written, the log is kept: {failure}"),
            }
            self.running.store(false, Ordering::SeqCst);
        }
    }

    fn write(&self, job: Job) -> io::Result<SnapshotFile> {
        let Job { mut view, zxid, digest, .. } = job;
        let written = self.write_view(&mut view, zxid, digest);
        let kept_aside = self.shared.tree_for_writing().end_view(view);
        drop(kept_aside);
        written
    }

    fn write_view(&self, view: &mut View, zxid: Zxid, digest: u64) -> io::Result<SnapshotFile> {
        let config = &self.shared.config;
        info!("Snapshotting: {zxid} to {}", snapshot_path(config, zxid).display());
        let mut writer = unpoisoned(self.shared.store.lock()).snapshot_writer(zxid, compression(config))?;
        let mut chunk = Vec::with_capacity(CHUNK_BYTES + 4096);
        let mut since = Instant::now();
        let percents = Cell::new(WRITING_REST_PERCENT);
        let mut rest = || {
            if !self.shared.stopping() {
                let overdue = self.overdue.load(Ordering::Relaxed) as usize;
                let percent = percents.get()[overdue.min(2)];
                std::thread::sleep((since.elapsed() * percent / 100).min(LONGEST_REST));
            }
            since = Instant::now();
        };
        loop {
            chunk.clear();
            if self.shared.abandon_snapshot.load(Ordering::SeqCst) {
                return Err(io::Error::other("another history takes the place of this one"));
            }
            let done = view.next_chunk(&self.shared.tree(), &mut chunk, CHUNK_BYTES);
            writer.write_all(&chunk)?;
            if done {
                break;
            }
            rest();
        }
        percents.set(READING_REST_PERCENT);
        let file = writer.finish_resting(end(config, zxid, digest), &mut rest)?;
        unpoisoned(self.shared.store.lock()).note_verified(&file);
        Ok(file)
    }
}

/// The file that a snapshot goes to.
pub fn snapshot_path(config: &crate::config::ServerConfig, zxid: Zxid) -> PathBuf {
    config.snap_dir().join(oxkeeper_store::names::snapshot_name(zxid, compression(config)))
}

/// The sections behind the body, by the options.
pub fn end(config: &crate::config::ServerConfig, zxid: Zxid, digest: u64) -> SnapshotEnd {
    SnapshotEnd {
        digest: config.digest_enabled.then_some(SnapshotDigest { zxid, version: DIGEST_VERSION, digest }),
        last_zxid: config.serialize_last_processed_zxid.then_some(zxid),
    }
}

/// The packing that the options ask for.
pub fn compression(config: &crate::config::ServerConfig) -> Compression {
    use crate::config::SnapshotCompression;
    match config.snapshot_compression {
        SnapshotCompression::None => Compression::None,
        SnapshotCompression::Gzip => Compression::Gz,
        SnapshotCompression::Snappy => Compression::Snappy,
    }
}

/// Removes what newer, verified snapshots make superfluous.
pub fn purge(shared: &Shared) {
    let config = &shared.config;
    info!("Purge task started.");
    let keep = config.autopurge_snap_retain_count as usize;
    let times = modification_times([config.snap_dir(), config.log_dir()]);
    match unpoisoned(shared.store.lock()).purge(keep) {
        Ok(removed) => {
            let zone = Zone::local();
            for path in removed {
                let at = times.get(&path).copied().unwrap_or(UNIX_EPOCH);
                info!("Removing file: {}\t{}", JavaDateTime { at, zone: &zone }, path.display());
            }
        }
        Err(failure) => warn!("The purge could not be done: {failure}"),
    }
    info!("Purge task completed.");
}

/// When the files in these directories were written last; what cannot be told is left out.
fn modification_times(directories: [PathBuf; 2]) -> HashMap<PathBuf, SystemTime> {
    let files = directories.iter().filter_map(|directory| std::fs::read_dir(directory).ok()).flatten().flatten();
    files.filter_map(|file| Some((file.path(), file.metadata().ok()?.modified().ok()?))).collect()
}
