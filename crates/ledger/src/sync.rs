//! What a learner lacks, from the leader's files: the transactions behind its own last one, if the log reaches back so
//! far, else the newest snapshot and the log behind it; then what the leader had in memory.

use crate::receive::SIGNATURE;
use log::info;
use oxkeeper_proto::Zxid;
use oxkeeper_store::recovery::Replay;
use oxkeeper_store::{OpenError, Store};
use oxkeeper_tree::body_scanner::BodyScanner;
use oxkeeper_zab::{Packet, PacketKind, SyncJob, SyncPlan, plan_from_log};
use std::fmt;
use std::io::{self, BufRead};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Bytes of packets that are gathered before they are handed on.
const PIECE_BYTES: usize = 64 << 10;

/// Why a learner could not be served.
#[derive(Debug)]
pub enum SyncError {
    /// The files do not hold what the plan needs.
    Files(String),
    /// The learner's link has failed.
    Link(io::Error),
}

impl fmt::Display for SyncError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Files(reason) => f.write_str(reason),
            Self::Link(error) => write!(f, "the link has failed: {error}"),
        }
    }
}

impl std::error::Error for SyncError {}

impl From<OpenError> for SyncError {
    fn from(error: OpenError) -> Self {
        Self::Files(error.to_string())
    }
}

/// Packets on their way to the learner.
struct Outflow<'a> {
    piece: Vec<u8>,
    send: &'a mut dyn FnMut(&[u8]) -> io::Result<()>,
    last: Zxid,
}

impl Outflow<'_> {
    fn packet(&mut self, kind: PacketKind, zxid: Zxid, data: Option<bytes::Bytes>) -> Result<(), SyncError> {
        Packet { kind, zxid, data, auth: None }.encode(&mut self.piece);
        if self.piece.len() >= PIECE_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), SyncError> {
        (self.send)(&self.piece).map_err(SyncError::Link)?;
        self.piece.clear();
        Ok(())
    }

    /// A committed transaction, unless it has been sent already.
    fn txn(&mut self, zxid: Zxid, payload: &[u8]) -> Result<(), SyncError> {
        if zxid <= self.last {
            return Ok(());
        }
        self.last = zxid;
        self.packet(PacketKind::PROPOSAL, zxid, Some(bytes::Bytes::copy_from_slice(payload)))?;
        self.packet(PacketKind::COMMIT, zxid, None)
    }
}

/// Sends a learner all of the committed history that it lacks, and returns how that began. The files are not held while
/// anything is sent.
///
/// # Errors
/// When the files or the link fail. The learner has to begin anew.
pub fn synchronise(store: &Mutex<Store>, job: &SyncJob, send: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> Result<SyncPlan, SyncError> {
    synchronise_within(store, job, None, send)
}

/// As [`synchronise`], with the log only if what is needed of it is no longer than this share of the newest snapshot; if
/// the share is negative, never.
///
/// # Errors
/// As [`synchronise`].
pub fn synchronise_within(
    store: &Mutex<Store>,
    job: &SyncJob,
    log_share: Option<f64>,
    send: &mut dyn FnMut(&[u8]) -> io::Result<()>,
) -> Result<SyncPlan, SyncError> {
    let mut out = Outflow { piece: Vec::with_capacity(2 * PIECE_BYTES), send, last: Zxid::ZERO };
    let mut common = None;
    if !job.must_snap {
        common = lock(store).read_from(job.peer_last)?;
    }
    // What is behind the end of the committed history is not ours to show; nor may the end of the common part be there.
    let common = common.filter(|(zxid, replay)| *zxid <= job.files_through && reaches(*zxid, replay, job));
    let common = match (common, log_share) {
        (Some((_, replay)), Some(share)) if !is_short_enough(store, &replay, job, share)? => None,
        (common, _) => common,
    };
    let plan = match &common {
        Some((zxid, _)) => plan_from_log(job.peer_last, [*zxid]),
        None => SyncPlan::Snap,
    };
    match plan {
        SyncPlan::Diff { after } => {
            out.last = after;
            out.packet(PacketKind::DIFF, job.through, None)?;
        }
        SyncPlan::Trunc { to } => {
            out.last = to;
            out.packet(PacketKind::TRUNC, to, None)?;
        }
        SyncPlan::Snap => {}
    }
    let replay = match (plan, common) {
        (SyncPlan::Diff { .. } | SyncPlan::Trunc { .. }, Some((_, replay))) => replay,
        _ => send_snapshot(store, job, &mut out)?,
    };
    for record in replay.records().take_while(|record| record.zxid <= job.files_through) {
        out.txn(record.zxid, record.payload)?;
    }
    for (zxid, payload) in &job.cached {
        out.txn(*zxid, payload)?;
    }
    if out.last != job.through {
        return Err(SyncError::Files(format!("the files end with {}, and {} is committed", out.last, job.through)));
    }
    out.flush()?;
    Ok(plan)
}

/// Whether the log behind the learner is this much shorter than the newest snapshot.
fn is_short_enough(store: &Mutex<Store>, replay: &Replay, job: &SyncJob, share: f64) -> Result<bool, SyncError> {
    let needed = replay.records().filter(|record| record.zxid > job.peer_last).take_while(|record| record.zxid <= job.files_through);
    let log_bytes: usize = needed.map(|record| record.payload.len()).sum();
    let snapshot_bytes = lock(store).newest_snapshot_bytes().map_err(|error| SyncError::Files(error.to_string()))?;
    let is_short = share >= 0.0 && log_bytes as f64 <= snapshot_bytes as f64 * share;
    info!(
        "A learner needs {log_bytes} bytes of the log, the newest snapshot has {snapshot_bytes}: {}",
        if is_short { "the log" } else { "the snapshot" }
    );
    Ok(is_short)
}

/// Whether the log has everything from here to where memory goes on.
fn reaches(from: Zxid, replay: &Replay, job: &SyncJob) -> bool {
    let last = replay.records().map(|record| record.zxid).take_while(|zxid| *zxid <= job.files_through).last();
    last.unwrap_or(from).max(from) >= job.files_through
}

fn send_snapshot(store: &Mutex<Store>, job: &SyncJob, out: &mut Outflow<'_>) -> Result<Replay, SyncError> {
    let (zxid, mut reader, replay) = {
        let store = lock(store);
        let newest = store.newest_snapshot().map_err(|error| SyncError::Files(error.to_string()))?;
        let (zxid, reader) = newest.ok_or_else(|| SyncError::Files("there is no snapshot".to_owned()))?;
        (zxid, reader, store.read_log(zxid)?)
    };
    if zxid > job.through {
        return Err(SyncError::Files(format!("the snapshot {zxid} is ahead of what is committed, {}", job.through)));
    }
    if !reaches(zxid, &replay, job) {
        return Err(SyncError::Files(format!("the log behind the snapshot {zxid} does not reach {}", job.files_through)));
    }
    info!("Sending the snapshot {zxid} to a learner whose history ends with {}", job.peer_last);
    out.packet(PacketKind::SNAP, zxid, None)?;
    out.flush()?;
    out.last = zxid;
    let mut scanner = BodyScanner::default();
    loop {
        let piece = reader.fill_buf().map_err(|error| SyncError::Files(error.to_string()))?;
        if piece.is_empty() {
            return Err(SyncError::Files(format!("the snapshot {zxid} ends in the middle of its body")));
        }
        let end = scanner.feed(piece).map_err(|error| SyncError::Files(error.to_string()))?;
        let length = end.unwrap_or(piece.len());
        (out.send)(&piece[..length]).map_err(SyncError::Link)?;
        reader.consume(length);
        if end.is_some() {
            break;
        }
    }
    // The body is on its way, but nothing is taken from it if the file turns out to be damaged: the link is dropped.
    reader.finish().map_err(|error| SyncError::Files(error.to_string()))?;
    (out.send)(SIGNATURE).map_err(SyncError::Link)?;
    Ok(replay)
}

fn lock(store: &Mutex<Store>) -> MutexGuard<'_, Store> {
    store.lock().unwrap_or_else(PoisonError::into_inner)
}
