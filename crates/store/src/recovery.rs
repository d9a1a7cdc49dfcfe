//! What counts at start: from the names and bytes of a directory to one history, or to the reason why there is none.
//!
//! The judgement ([`examine`], [`recover`]) changes nothing. It takes the newest snapshot that is whole and the log
//! behind it, and accepts the log only if it provably has no hole: within an epoch each counter is the successor of
//! the one before, an epoch begins with counter 1. Java checks nothing of this, and a byte that rots in an end mark or
//! a length makes it lose everything up to the next file in silence. What Java itself leaves behind is accepted:
//!
//! - a torn tail in the last file, and in an earlier one if the next begins with its successor or a later epoch (Java
//!   leaves torn tails where they are);
//! - an error record that repeats the last zxid, and records that are repeated byte for byte in a later file;
//! - files without a record at the end, snapshots that are unfinished.
//!
//! [`crate::store`] opens directories with it and repairs what has to be repaired.

use crate::disk::{DiskRef, OpenMode, read_without_trailing_hole};
use crate::log_format::{ERROR_TYPE, LogEnd, Record, scan, trusted_records};
use crate::names;
use crate::sim_disk::SimDisk;
use crate::snapshot::{FILE_HEADER, SnapshotDigest, SnapshotEnd, SnapshotReader, decode_snapshot_framing, looks_complete};
use oxkeeper_proto::zxid::Zxid;
use oxkeeper_proto::{Mutant, mutant};
use std::fmt;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why a history cannot be trusted, and what its owner can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damaged {
    /// What was found, with file, offset and zxid.
    pub reason: String,
    /// What helps.
    pub remedy: String,
}

/// Why a directory was not opened.
#[derive(Debug)]
pub enum OpenError {
    /// A directory is missing and may not be made, or cannot be written to.
    Directory(String),
    /// Another server of ours has it open.
    InUse(PathBuf),
    /// Logs and snapshots lie in each other's directory: dataDir or dataLogDir has been changed.
    Misplaced(String),
    /// The history is damaged.
    Damaged(Damaged),
    /// The system refused something.
    Io(PathBuf, io::Error),
}

impl fmt::Display for Damaged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.reason, self.remedy)
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(reason) | Self::Misplaced(reason) => f.write_str(reason),
            Self::InUse(path) => write!(f, "{} is in use by another server", path.display()),
            Self::Damaged(damaged) => damaged.fmt(f),
            Self::Io(path, error) => write!(f, "{}: {error}", path.display()),
        }
    }
}

impl std::error::Error for Damaged {}
impl std::error::Error for OpenError {}

impl From<Damaged> for OpenError {
    fn from(damaged: Damaged) -> Self {
        Self::Damaged(damaged)
    }
}

/// The options that decide what counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenOptions {
    /// `zookeeper.datadir.autocreate`: missing directories are made.
    pub autocreate_directories: bool,
    /// `zookeeper.db.autocreate`: an empty directory is an empty database, and not a lost one.
    pub autocreate_database: bool,
    /// `zookeeper.snapshot.trust.empty`: logs without any snapshot begin with an empty tree.
    pub trust_empty_snapshot: bool,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self { autocreate_directories: true, autocreate_database: true, trust_empty_snapshot: false }
    }
}

/// A log file to be judged.
#[derive(Clone, Copy, Debug)]
pub struct LogFile<'a> {
    /// Its name.
    pub name: &'a str,
    /// The zxid in its name.
    pub zxid: Zxid,
    /// Its content, perhaps without zeros at the end.
    pub bytes: &'a [u8],
}

/// The records of one file that count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Index of the file.
    pub file: usize,
    /// Where the first record that is new begins.
    pub from: usize,
    /// Where the last good record ends.
    pub to: usize,
}

/// A log without holes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// The last zxid, that of the snapshot if no record follows it.
    pub last: Zxid,
    /// Where the records after the snapshot are. Records that repeat a zxid are still among them.
    pub pieces: Vec<Piece>,
    /// The last file that has records at all.
    pub tail: Option<Tail>,
    /// Files behind that one: without a record, to be removed.
    pub empty: Vec<usize>,
    /// What was odd, for the log.
    pub notes: Vec<String>,
}

/// The end of the last file that has records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tail {
    /// Index of the file.
    pub file: usize,
    /// Where its last good record ends.
    pub end: usize,
    /// Where its data end; beyond `end` they do not count.
    pub data_end: usize,
    /// Whether the end mark of the last record is missing.
    pub mark_is_missing: bool,
}

impl Tail {
    /// Whether the file ends as it should.
    pub fn is_clean(&self) -> bool {
        !self.mark_is_missing && self.data_end <= self.end
    }
}

/// Whether `next` can come directly after `last`.
pub fn follows(last: Zxid, next: Zxid) -> bool {
    next.0 == last.0.wrapping_add(1) || (next.epoch() > last.epoch() && next.counter() == 1)
}

const REMEDY_LOG: &str = "In an ensemble: empty the version-2 directories (keep a copy) and let the server synchronise. Standalone: restore a backup, \
     or move the file away together with all later ones if losing what they hold is acceptable.";

fn damaged(reason: impl Into<String>, remedy: &str) -> Damaged {
    Damaged { reason: reason.into(), remedy: remedy.to_owned() }
}

/// Judges the logs that follow a snapshot at `base`: all with later names and the newest with an earlier or equal one, in
/// order. `failed` are snapshots later than `base` that cannot be read: without them the history is only proven
/// if the log runs through their zxids in a way that does not depend on them.
pub fn examine(base: Zxid, failed: &[Zxid], logs: &[LogFile<'_>]) -> Result<History, Damaged> {
    let mut history = History::default();
    let mut chain = Chain { base, last: base, epochs: Vec::new() };
    let mut headless: Option<&str> = None;
    for (index, file) in logs.iter().enumerate() {
        let next_name = logs.get(index + 1).map(|next| next.zxid);
        let mut wrong: Option<String> = None;
        let mut from = None;
        let mut accept = |chain: &mut Chain, record: &Record<'_>, wrong: &mut Option<String>| {
            if wrong.is_none() {
                match chain.accept(logs, index, record) {
                    Ok(true) => {
                        from.get_or_insert(record.offset);
                    }
                    Ok(false) => {}
                    Err(reason) => *wrong = Some(reason),
                }
            }
        };
        let scanned = scan(file.bytes, |record| accept(&mut chain, record, &mut wrong));
        let last = chain.last;
        let mut end = scanned.good_end;
        let mut mark_is_missing = false;
        match &scanned.end {
            _ if wrong.is_some() => {}
            LogEnd::Clean => {}
            LogEnd::MarkMissing { zxid, end: whole_end } => {
                // Java takes such a record for absent. If it has gone on since, the next file tells which it was.
                let is_kept = next_name.is_none_or(|next| next == zxid.next()) && *zxid > last;
                let is_dropped = next_name.is_none_or(|next| next == last.next()) || *zxid <= last;
                if is_kept {
                    let payload = &file.bytes[scanned.good_end + 12..*whole_end - 1];
                    let kind = crate::log_format::type_of(payload).expect("a whole record");
                    accept(&mut chain, &Record { zxid: *zxid, kind, payload, offset: scanned.good_end }, &mut wrong);
                    end = *whole_end;
                    mark_is_missing = true;
                } else if !is_dropped {
                    wrong = Some(format!(
                        "the last record of {} lacks its end mark, and the next file does not tell whether it counts",
                        file.name
                    ));
                }
            }
            LogEnd::Torn { records_follow } => match next_name {
                None => history.notes.push(format!(
                    "{} ends with an interrupted write at offset {end}, after zxid {}; {} bytes do not count",
                    file.name,
                    last,
                    scanned.data_end - end
                )),
                Some(next) if next <= last || next == last.next() => {}
                Some(next) if follows(last, next) && !records_follow => {}
                Some(next) => {
                    wrong = Some(format!(
                        "{} ends with an interrupted write after zxid {}, and the next log begins with {next}",
                        file.name, last
                    ))
                }
            },
            LogEnd::Damaged(reason) => match next_name {
                Some(next) if next == last.next() && scanned.has_header => {
                    history.notes.push(format!("{}: {reason}; the next log goes on after the last good record", file.name));
                }
                _ => wrong = Some(format!("{}: {reason}", file.name)),
            },
        }
        if let Some(wrong) = wrong {
            return Err(damaged(format!("The transaction log is damaged: {wrong}."), REMEDY_LOG));
        }
        if scanned.first.is_none() && !mark_is_missing {
            history.empty.push(index);
            if !scanned.has_header {
                headless.get_or_insert(file.name);
            }
            if file.zxid > last && !follows(last, file.zxid) {
                let reason = format!("The transaction log is damaged: {} was begun, but the history ends with zxid {}.", file.name, last);
                return Err(damaged(reason, REMEDY_LOG));
            }
            continue;
        }
        if let Some(name) = headless {
            return Err(damaged(format!("The transaction log is damaged: {name} is empty, though later logs exist."), REMEDY_LOG));
        }
        history.empty.clear();
        history.tail = Some(Tail { file: index, end, data_end: scanned.data_end, mark_is_missing });
        if let Some(from) = from {
            history.pieces.push(Piece { file: index, from, to: end });
        }
    }
    history.last = chain.last;
    let epochs = chain.epochs;
    for zxid in failed {
        // A snapshot may have come from a leader and have replaced what the log says. It has not if the log runs through its
        // zxid: the same zxid is the same transaction everywhere. What the log says after it in the same epoch is only
        // certain if no other leader came afterwards.
        let position = epochs.iter().position(|(first, last)| first <= zxid && zxid <= last);
        let is_proven = position.is_some_and(|i| i + 1 == epochs.len() || epochs[i].1 == *zxid);
        if !is_proven {
            let reason = format!(
                "The snapshot of zxid {zxid} cannot be read, and the older snapshot of zxid {base} with the logs after it (up to {}) does not prove the same history.",
                history.last
            );
            let remedy = "In an ensemble: empty the version-2 directories (keep a copy) and let the server synchronise. Standalone: restore \
                          the snapshot from a backup, or remove it to go on from the older one.";
            return Err(damaged(reason, remedy));
        }
        history.notes.push(format!("the snapshot of zxid {zxid} cannot be read; the log proves the history without it"));
    }
    Ok(history)
}

/// The zxids seen so far.
struct Chain {
    base: Zxid,
    last: Zxid,
    /// First and last zxid of each epoch.
    epochs: Vec<(Zxid, Zxid)>,
}

impl Chain {
    /// Whether a record adds to the chain, or repeats what is in it; the error says why it can do neither.
    fn accept(&mut self, logs: &[LogFile<'_>], index: usize, record: &Record<'_>) -> Result<bool, String> {
        let (name, zxid, last, offset) = (logs[index].name, record.zxid, self.last, record.offset);
        if offset == crate::log_format::FILE_HEADER.len() && zxid != logs[index].zxid {
            return Err(format!("{name} begins with zxid {zxid}"));
        }
        if zxid <= last {
            let is_known = zxid <= self.base || (zxid == last && record.kind == ERROR_TYPE) || is_repeated(&logs[..=index], record, index);
            return if is_known { Ok(false) } else { Err(format!("in {name} at offset {offset} zxid {zxid} comes after {last}")) };
        }
        if !follows(last, zxid) {
            return Err(format!("in {name} at offset {offset} zxid {zxid} comes after {last}: what lies between is missing"));
        }
        match self.epochs.last_mut() {
            Some((first, end)) if first.epoch() == zxid.epoch() => *end = zxid,
            _ => self.epochs.push((zxid, zxid)),
        }
        self.last = zxid;
        Ok(true)
    }
}

/// Whether the same record stands earlier in these files.
fn is_repeated(logs: &[LogFile<'_>], record: &Record<'_>, index: usize) -> bool {
    let mut found = false;
    for (i, file) in logs.iter().enumerate().rev() {
        if file.zxid > record.zxid {
            continue;
        }
        scan(file.bytes, |earlier| {
            let is_itself = i == index && earlier.offset >= record.offset;
            found |= !is_itself && earlier.zxid == record.zxid && earlier.payload == record.payload;
        });
        if found {
            break;
        }
    }
    found
}

/// A snapshot that was loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded<T> {
    /// What the caller made of its body.
    pub state: T,
    /// The zxid in its name: the log is replayed from the next one on.
    pub zxid: Zxid,
    /// Its file name.
    pub name: String,
    /// Its digest section.
    pub digest: Option<SnapshotDigest>,
    /// The zxid that its writer had processed last.
    pub last_zxid: Option<Zxid>,
}

/// What a directory holds.
#[derive(Clone, Debug)]
pub struct Recovered<T> {
    /// The snapshot; `None` with an empty history, and if logs were trusted without one.
    pub snapshot: Option<Loaded<T>>,
    /// The log behind it.
    pub history: History,
    /// The files that `history` speaks of, and their bytes.
    pub files: Vec<(String, Vec<u8>)>,
    /// Whether there is neither snapshot nor log.
    pub is_empty: bool,
}

/// Where the files are: a disk and the two `version-2` directories.
pub(crate) struct Place<'a> {
    pub(crate) disk: &'a DiskRef,
    pub(crate) snapshots: &'a Path,
    pub(crate) logs: &'a Path,
}

/// Reads a directory whose files have been made durable. `load` reads one snapshot body, terminator included, and may
/// be called again for an older one if that body, or what follows it, turns out to be damaged.
pub(crate) fn recover_in<T>(
    place: &Place<'_>,
    options: &OpenOptions,
    mut load: impl FnMut(SnapshotReader) -> Result<(T, SnapshotEnd), String>,
) -> Result<Recovered<T>, OpenError> {
    let list = |directory: &Path| place.disk.list(directory).map_err(|error| OpenError::Io(directory.to_owned(), error));
    let log_entries = list(place.logs)?;
    let mut candidates: Vec<(Zxid, String)> =
        list(place.snapshots)?.into_iter().filter_map(|entry| Some((names::snapshot_zxid(&entry.name)?, entry.name))).collect();
    // Newest first; of the same zxid, a finished one first.
    candidates.sort_by_key(|(zxid, name)| (std::cmp::Reverse(*zxid), !names::is_plain_snapshot(name)));

    let mut notes = Vec::new();
    let mut failed = Vec::new();
    let mut loaded: Option<Loaded<T>> = None;
    for (zxid, name) in candidates {
        let path = place.snapshots.join(&name);
        // A sync that fails says something about the disk and nothing about the file.
        if let Ok(file) = place.disk.open(&path, OpenMode::Read) {
            file.sync_data().map_err(|error| OpenError::Io(path.clone(), error))?;
        }
        let mut attempt = || -> Result<Loaded<T>, String> {
            let text = |error: io::Error| error.to_string();
            if !looks_complete(place.disk, &path).map_err(text)? {
                return Err("it is not complete".to_owned());
            }
            let (state, end) = load(SnapshotReader::open(place.disk, &path).map_err(text)?)?;
            Ok(Loaded { state, zxid, name: name.clone(), digest: end.digest, last_zxid: end.last_zxid })
        };
        match attempt() {
            Ok(snapshot) => {
                loaded = Some(snapshot);
                break;
            }
            Err(reason) => {
                notes.push(format!("problem reading snap file {}: {reason}", path.display()));
                // Only names of finished snapshots say that there was one.
                if names::is_plain_snapshot(&name) && failed.last() != Some(&zxid) {
                    failed.push(zxid);
                }
            }
        }
    }
    // A good snapshot of the same zxid in another packing makes up for a bad one.
    failed.retain(|zxid| loaded.as_ref().is_none_or(|loaded| loaded.zxid != *zxid));

    let mut logs: Vec<(Zxid, String)> = log_entries
        .iter()
        .filter(|entry| names::is_plain_log(&entry.name))
        .filter_map(|entry| Some((names::log_zxid(&entry.name)?, entry.name.clone())))
        .collect();
    logs.sort();
    let odd_logs: Vec<(Zxid, &str)> = log_entries
        .iter()
        .filter(|entry| !names::is_plain_log(&entry.name))
        .filter_map(|entry| Some((names::log_zxid(&entry.name)?, entry.name.as_str())))
        .collect();

    if loaded.is_none() {
        let only_the_first = failed.iter().all(|zxid| *zxid == Zxid::ZERO);
        if logs.is_empty() && odd_logs.is_empty() && only_the_first {
            let history = History { notes, ..History::default() };
            return Ok(Recovered { snapshot: None, history, files: Vec::new(), is_empty: true });
        }
        let is_trusted = only_the_first && options.trust_empty_snapshot;
        if !failed.is_empty() && !is_trusted {
            let reason = format!("Not able to find valid snapshots in {}: {}.", place.snapshots.display(), notes.join("; "));
            return Err(damaged(
                reason,
                "Restore a snapshot from a backup; in an ensemble, empty the version-2 directories and let the server synchronise.",
            )
            .into());
        }
        if !options.trust_empty_snapshot {
            let remedy = "If this directory comes from a version before 3.5, whose servers wrote no first snapshot, start once with \
                          -Dzookeeper.snapshot.trust.empty=true; otherwise restore a snapshot from a backup.";
            return Err(damaged("No snapshot found, but there are log entries. Something is broken!", remedy).into());
        }
        failed.clear();
    }
    let base = loaded.as_ref().map_or(Zxid::ZERO, |loaded| loaded.zxid);
    let first_needed = needed_from(&logs, base);
    let mut files = Vec::new();
    for (_, name) in logs.drain(first_needed..) {
        let path = place.logs.join(&name);
        let read = || -> io::Result<Vec<u8>> {
            let file = place.disk.open(&path, OpenMode::ReadWrite)?;
            if !mutant::is(Mutant::PageCacheTrusted) {
                file.sync_data()?;
            }
            Ok(read_without_trailing_hole(&*file)?.0)
        };
        files.push((name, read().map_err(|error| OpenError::Io(path, error))?));
    }
    let log_files: Vec<LogFile<'_>> =
        files.iter().map(|(name, bytes)| LogFile { name, zxid: names::log_zxid(name).expect("filtered"), bytes }).collect();
    let mut history = examine(base, &failed, &log_files)?;
    if let Some((zxid, name)) = odd_logs.iter().find(|(zxid, _)| *zxid > history.last) {
        let reason = format!("{name} looks like a log that begins with zxid {zxid}, but the history ends with {}.", history.last);
        return Err(damaged(reason, "Java would read it. Give it its proper name, or move it away.").into());
    }
    notes.append(&mut history.notes);
    history.notes = notes;
    Ok(Recovered { snapshot: loaded, history, files, is_empty: false })
}

/// Of logs in order, the index of the first one that can hold a zxid after `base`.
pub(crate) fn needed_from(logs: &[(Zxid, String)], base: Zxid) -> usize {
    match logs.iter().rposition(|(zxid, _)| *zxid <= base) {
        // A log that begins right after the snapshot makes the one before superfluous.
        Some(i) if logs.get(i + 1).is_some_and(|(zxid, _)| *zxid == base.next()) => i + 1,
        Some(i) => i,
        None => 0,
    }
}

/// What a directory with these files holds, as a pure function of names and bytes; the state of the snapshot is its body.
/// For tests and fuzzing; compressed snapshots are read too.
pub fn recover(files: &[(&str, &[u8])], options: &OpenOptions) -> Result<Recovered<Vec<u8>>, Damaged> {
    let directory = Path::new("/version-2");
    let disk = SimDisk::new();
    for (name, bytes) in files {
        disk.put(&directory.join(name), bytes);
    }
    let disk: DiskRef = Arc::new(disk);
    let _ = disk.create_directories(directory);
    let place = Place { disk: &disk, snapshots: directory, logs: directory };
    recover_in(&place, options, read_opaque_body).map_err(|error| match error {
        OpenError::Damaged(damaged) => damaged,
        other => damaged(other.to_string(), ""),
    })
}

/// Reads a whole snapshot without understanding its body, which comes back in memory. For tools and tests.
pub fn read_opaque_body(mut reader: SnapshotReader) -> Result<(Vec<u8>, SnapshotEnd), String> {
    let mut bytes = FILE_HEADER[..4].to_vec();
    bytes.extend_from_slice(&reader.header_rest());
    reader.read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    let framing = decode_snapshot_framing(&bytes)?;
    bytes.truncate(framing.body.end);
    bytes.drain(..framing.body.start);
    Ok((bytes, framing.end))
}

/// The records after a snapshot, in order, each zxid once.
#[derive(Clone, Debug, Default)]
pub struct Replay {
    base: Zxid,
    files: Vec<Vec<u8>>,
    pieces: Vec<Piece>,
}

impl Replay {
    pub(crate) fn new(base: Zxid, files: Vec<Vec<u8>>, pieces: Vec<Piece>) -> Self {
        Self { base, files, pieces }
    }

    /// The records.
    pub fn records(&self) -> impl Iterator<Item = Record<'_>> {
        let mut last = self.base;
        self.pieces.iter().flat_map(|piece| trusted_records(&self.files[piece.file], piece.from, piece.to)).filter(move |record| {
            let is_new = record.zxid > last;
            last = last.max(record.zxid);
            is_new
        })
    }
}
