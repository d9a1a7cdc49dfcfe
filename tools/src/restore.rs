//! One state out of a backup (or any data directory): at its end, at a zxid, or at a time, checked and written as a
//! snapshot that a server, ours or Java's, starts on.

use crate::snapshot::{Snapshot, exact_from, load_on, verify};
use crate::{Calendar, Failure};
use oxkeeper_proto::Zxid;
use oxkeeper_proto::txn::{DIGEST_VERSION, LoggedTxn};
use oxkeeper_store::disk::{OpenMode, read_without_trailing_hole};
use oxkeeper_store::log_format::{LogEnd, scan};
use oxkeeper_store::names::{self, Compression};
use oxkeeper_store::recovery::follows;
use oxkeeper_store::snapshot::{SnapshotDigest, SnapshotEnd, SnapshotWriter};
use oxkeeper_store::{Directories, DiskRef, RealDisk};
use oxkeeper_tree::{NoopSink, Tree, TreeOptions};
use std::io::Write as _;
use std::path::Path;

/// Which state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    /// The newest one.
    End,
    /// After this transaction.
    Zxid(Zxid),
    /// After the last transaction before the first one that is later than this (ms since 1970, by the clock of the
    /// leader that made the transactions).
    Time(i64),
}

/// A state that was put together.
pub struct Restored {
    /// The state.
    pub tree: Tree,
    /// The zxid it is after.
    pub zxid: Zxid,
    /// When its last transaction was made, if the log tells.
    pub time_ms: Option<i64>,
    /// The snapshot that it began with.
    pub snapshot: String,
    /// Transactions applied to that.
    pub transactions: u64,
    /// Of those, how many announced a digest that the tree then had.
    pub digests_matched: u64,
    /// What an operator should know.
    pub notes: Vec<String>,
}

/// The records of one log.
struct Log {
    zxid: Zxid,
    name: String,
}

/// Puts a state together.
///
/// # Errors
/// A state that is not there, with what is there instead; damage; a digest that does not match in the end, unless
/// `ignore_digests`.
pub fn build(from: &Directories, point: Point, ignore_digests: bool, calendar: &dyn Calendar) -> Result<Restored, Failure> {
    let disk = RealDisk::shared();
    if !from.snapshots().is_dir() {
        return Err(Failure::unexpected(format!("{} is no backup and no dataDir: there is no version-2 in it", from.data.display())));
    }
    let snapshots = list(&disk, &from.snapshots(), names::is_plain_snapshot, names::snapshot_zxid)?;
    let logs = list(&disk, &from.logs(), names::is_plain_log, names::log_zxid)?;
    if snapshots.is_empty() {
        return Err(Failure::unexpected(format!("there is no snapshot in {}", from.snapshots().display())));
    }
    let wanted = match point {
        Point::End => None,
        Point::Zxid(zxid) => Some(zxid),
        Point::Time(time_ms) => find_time(&disk, from, &logs, time_ms, calendar)?,
    };
    let mut notes = Vec::new();
    for file in snapshots.iter().rev().filter(|file| wanted.is_none_or(|wanted| file.zxid <= wanted)) {
        match begin_with(&disk, from, file, &logs, wanted, ignore_digests)? {
            Ok(mut restored) => {
                notes.append(&mut restored.notes);
                restored.notes = notes;
                return Ok(restored);
            }
            Err(note) => notes.push(note),
        }
    }
    let first = snapshots[0].zxid;
    let reason = match wanted {
        Some(wanted) => format!("no usable snapshot is at or below zxid {wanted}; the oldest one is of zxid {first}"),
        None => "no snapshot can be used".to_owned(),
    };
    Err(Failure::unexpected(with_notes(&reason, &notes)))
}

/// Puts a state together from one snapshot; the inner error says why an older one is to be tried.
fn begin_with(
    disk: &DiskRef,
    from: &Directories,
    file: &Log,
    logs: &[Log],
    wanted: Option<Zxid>,
    ignore_digests: bool,
) -> Result<Result<Restored, String>, Failure> {
    let path = from.snapshots().join(&file.name);
    let fuzzy =
        |exact: Zxid| format!("{} was taken while transactions went on and holds some up to {exact}: an older one is taken", file.name);
    let snapshot = match load_on(disk, &path, TreeOptions::default()) {
        Ok(snapshot) => snapshot,
        Err(failure) => return Ok(Err(failure.message)),
    };
    if let Err(reason) = &snapshot.end {
        return Ok(Err(format!("{} is damaged: {reason}", path.display())));
    }
    let (base, exact) = (file.zxid, exact_from(disk, &path, &snapshot)?);
    if wanted.is_some_and(|wanted| exact > wanted) {
        return Ok(Err(fuzzy(exact)));
    }
    let Snapshot { mut tree, end, .. } = snapshot;
    let digest = end.ok().and_then(|end| end.digest).filter(|digest| digest.version == DIGEST_VERSION && digest.zxid >= base);
    let mut mismatch = None;
    match digest {
        Some(digest) if digest.zxid > base => tree.expect_digest_at(digest.zxid, Some(digest.digest)),
        // A writer that had applied nothing knows no digest and writes zeros.
        Some(digest) if exact == base && base > Zxid::ZERO && digest.digest != tree.digest() => {
            mismatch = Some((base, digest.digest, tree.digest()));
        }
        _ => {}
    }
    let mut restored =
        Restored { tree, zxid: base, time_ms: None, snapshot: file.name.clone(), transactions: 0, digests_matched: 0, notes: Vec::new() };
    replay(disk, from, logs, (wanted, exact), &mut restored, &mut mismatch)?;
    if restored.zxid < exact {
        // The log is shipped before snapshots, and what this one holds already may be still to come.
        return Ok(Err(fuzzy(exact)));
    }
    if let Some(wanted) = wanted.filter(|wanted| *wanted != restored.zxid) {
        let reason = format!("zxid {wanted} is not there: the last one at or below it is {}", restored.zxid);
        return Err(Failure::unexpected(with_notes(&reason, &restored.notes)));
    }
    if let Some((zxid, announced, actual)) = mismatch {
        let reason = format!("the digest at zxid {zxid} should be {announced:#x} and is {actual:#x}");
        if !ignore_digests {
            let remedy = "Restore to an earlier zxid; or use --ignore-digests if it was written by a Java server and all else is well";
            return Err(Failure::unexpected(with_notes(&format!("{reason}. {remedy}"), &restored.notes)));
        }
        restored.notes.push(reason);
    }
    let zxid = restored.zxid;
    restored.tree.set_last_zxid(zxid);
    Ok(Ok(restored))
}

fn with_notes(reason: &str, notes: &[String]) -> String {
    notes.iter().fold(reason.to_owned(), |text, note| format!("{text}\n  {note}"))
}

/// Applies the log up to a zxid, or to its end. Digests mean something from `exact` on.
fn replay(
    disk: &DiskRef,
    from: &Directories,
    logs: &[Log],
    (wanted, exact): (Option<Zxid>, Zxid),
    restored: &mut Restored,
    mismatch: &mut Option<(Zxid, u64, u64)>,
) -> Result<(), Failure> {
    let first = logs.iter().rposition(|log| log.zxid <= restored.zxid).unwrap_or(0);
    let is_past = |zxid: Zxid| wanted.is_some_and(|wanted| zxid > wanted);
    for (index, log) in logs.iter().enumerate().skip(first) {
        if is_past(log.zxid) {
            break;
        }
        let bytes = read_log(disk, from, log)?;
        let mut wrong: Option<String> = None;
        let mut is_done = false;
        let scanned = scan(&bytes, |record| {
            if wrong.is_some() || is_done || record.zxid <= restored.zxid {
                return;
            }
            if is_past(record.zxid) {
                is_done = true;
                return;
            }
            if !follows(restored.zxid, record.zxid) {
                wrong = Some(format!("there is nothing between zxid {} and {} ({})", restored.zxid, record.zxid, log.name));
                return;
            }
            let logged = match LoggedTxn::read(record.payload) {
                Ok(logged) => logged,
                Err(error) => {
                    wrong = Some(format!("the transaction {} in {} cannot be read: {error}", record.zxid, log.name));
                    return;
                }
            };
            let applied = restored.tree.apply(&logged, &mut NoopSink);
            match applied.digest_mismatch {
                Some(found) => *mismatch = Some((found.zxid, found.announced, found.actual)),
                None if record.zxid > exact && logged.digest.is_some_and(|digest| digest.version == DIGEST_VERSION) => {
                    // A later one that fits says that an earlier one was announced wrong.
                    *mismatch = None;
                    restored.digests_matched += 1;
                }
                None => {}
            }
            restored.zxid = record.zxid;
            restored.time_ms = Some(logged.header.time);
            restored.transactions += 1;
        });
        if let Some(wrong) = wrong {
            let reason = format!("{wrong}. What can be restored from here ends with zxid {}", restored.zxid);
            return Err(Failure::unexpected(with_notes(&reason, &restored.notes)));
        }
        if is_done {
            break;
        }
        let is_followed = logs.get(index + 1).is_some_and(|next| follows(restored.zxid, next.zxid));
        match scanned.end {
            LogEnd::Damaged(reason) if !is_followed => {
                let reason = format!("{} is damaged: {reason}. What can be restored from here ends with zxid {}", log.name, restored.zxid);
                // What was asked for may have been reached before.
                if wanted != Some(restored.zxid) {
                    return Err(Failure::unexpected(with_notes(&reason, &restored.notes)));
                }
            }
            LogEnd::Torn { .. } if index + 1 == logs.len() => {
                restored.notes.push(format!("{} ends with an interrupted write, which does not count", log.name));
            }
            _ => {}
        }
    }
    Ok(())
}

/// The zxid of the last transaction at a time, `None` where all are earlier.
fn find_time(disk: &DiskRef, from: &Directories, logs: &[Log], time_ms: i64, calendar: &dyn Calendar) -> Result<Option<Zxid>, Failure> {
    let mut last: Option<Zxid> = None;
    for log in logs {
        let bytes = read_log(disk, from, log)?;
        let mut later = None;
        scan(&bytes, |record| {
            let time = i64::from_be_bytes(record.payload[20..28].try_into().expect("a header is longer"));
            if later.is_none() && time > time_ms {
                later = Some((record.zxid, time));
            }
            if later.is_none() {
                last = Some(record.zxid);
            }
        });
        match (later, last) {
            (None, _) => {}
            (Some(_), Some(last)) => return Ok(Some(last)),
            // Before the first one there may be a snapshot.
            (Some((zxid, time)), None) if zxid.counter() > 0 => {
                let before = Zxid(zxid.0 - 1);
                let is_there = list(disk, &from.snapshots(), names::is_plain_snapshot, names::snapshot_zxid)?
                    .iter()
                    .any(|snapshot| snapshot.zxid == before);
                if is_there {
                    return Ok(Some(before));
                }
                let at = calendar.date(time);
                return Err(Failure::unexpected(format!("the first transaction that is there, {zxid}, was made at {at}, which is later")));
            }
            (Some(_), None) => return Ok(Some(Zxid::ZERO)),
        }
    }
    Ok(None)
}

fn read_log(disk: &DiskRef, from: &Directories, log: &Log) -> Result<Vec<u8>, Failure> {
    let path = from.logs().join(&log.name);
    let bytes = disk.open(&path, OpenMode::Read).and_then(|file| read_without_trailing_hole(&*file));
    Ok(bytes.map_err(|error| Failure::of_file(&path, &error))?.0)
}

fn list(disk: &DiskRef, directory: &Path, is_plain: fn(&str) -> bool, zxid: fn(&str) -> Option<Zxid>) -> Result<Vec<Log>, Failure> {
    let entries = disk.list(directory).map_err(|error| Failure::of_file(directory, &error))?;
    let found = entries.into_iter().filter(|entry| is_plain(&entry.name));
    let mut found: Vec<Log> = found.filter_map(|entry| Some(Log { zxid: zxid(&entry.name)?, name: entry.name })).collect();
    found.sort_by_key(|log| log.zxid);
    Ok(found)
}

/// Writes a state into data directories that hold none, reads it back, and returns the path of the snapshot. Those of a member of
/// an ensemble may hold its epoch files: the next leader's epoch, and all its zxids, are above what clients have seen then.
///
/// # Errors
/// Directories that hold a state, are in use, or cannot be written.
pub fn write(restored: &mut Restored, to: &Directories, is_member: bool) -> Result<std::path::PathBuf, Failure> {
    let disk = RealDisk::shared();
    let mut locks = Vec::new();
    for directory in [to.snapshots(), to.logs()] {
        let made = |error: std::io::Error| Failure::of_file(&directory, &error);
        disk.create_directories(&directory).map_err(made)?;
        if locks.is_empty() || to.snapshots() != to.logs() {
            let Some(lock) = disk.lock(&directory.join(names::LOCK)).map_err(made)? else {
                return Err(Failure::unexpected(format!("{} is in use by a running server: stop it first", directory.display())));
            };
            locks.push(lock);
        }
        let entries = disk.list(&directory).map_err(made)?;
        let holds =
            |name: &str| names::log_zxid(name).is_some() || names::snapshot_zxid(name).is_some() || (name.ends_with("Epoch") && !is_member);
        if let Some(entry) = entries.iter().find(|entry| holds(&entry.name)) {
            return Err(Failure::unexpected(format!(
                "{} holds a state already ({}): move it away, or restore to another directory",
                directory.display(),
                entry.name
            )));
        }
    }
    let directory = to.snapshots();
    let failed = |error: std::io::Error| Failure::of_file(&directory, &error);
    let mut view = restored.tree.begin_view().expect("nobody else has this tree");
    let digest = restored.tree.digest();
    let mut writer = SnapshotWriter::create(&disk, &directory, restored.zxid, Compression::None).map_err(failed)?;
    let mut chunk = Vec::new();
    loop {
        chunk.clear();
        let is_whole = view.next_chunk(&restored.tree, &mut chunk, 1 << 20);
        writer.write_all(&chunk).map_err(failed)?;
        if is_whole {
            break;
        }
    }
    drop(restored.tree.end_view(view));
    let end = SnapshotEnd {
        digest: Some(SnapshotDigest { zxid: restored.zxid, version: DIGEST_VERSION, digest }),
        last_zxid: Some(restored.zxid),
    };
    let path = directory.join(writer.finish(end).map_err(failed)?.name);
    let verdict = verify(&path)?;
    match verdict.problem {
        None if verdict.nodes + 1 == restored.tree.node_count() => Ok(path),
        problem => Err(Failure::unexpected(format!(
            "{} does not read back as it was written: {}",
            path.display(),
            problem.unwrap_or_else(|| "the number of nodes differs".to_owned())
        ))),
    }
}
