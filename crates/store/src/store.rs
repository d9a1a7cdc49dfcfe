//! A server's directories in one hand: opened (locked, read, repaired), and from then on the maker of its logs and
//! snapshots. What is in them is decided by whoever calls.

use crate::disk::{DiskRef, Entry, Lock, OpenMode, read_without_trailing_hole};
use crate::epochs::EpochFiles;
use crate::log_format::{END_OF_RECORD, scan};
use crate::names::{self, Compression, VERSION_DIRECTORY};
use crate::recovery::{self, Damaged, History, Loaded, LogFile, OpenError, OpenOptions, Place, Recovered, Replay};
use crate::snapshot::{SnapshotEnd, SnapshotReader, SnapshotWriter};
use crate::txn_log::{CleanMark, LogOptions, TxnLog, write_atomically};
use oxkeeper_proto::zxid::Zxid;
use oxkeeper_proto::{Mutant, mutant};
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

/// The file beside `version-2` that says: an empty database is meant to be empty.
const INITIALIZE: &str = "initialize";

/// Where a server keeps its files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directories {
    /// `dataDir`: snapshots, epochs, `myid`.
    pub data: PathBuf,
    /// `dataLogDir`: logs; the same as `data` unless configured.
    pub log: PathBuf,
}

impl Directories {
    /// Both in one.
    pub fn one(data: impl Into<PathBuf>) -> Self {
        let data = data.into();
        Self { log: data.clone(), data }
    }

    /// Where snapshots and epoch files are.
    pub fn snapshots(&self) -> PathBuf {
        self.data.join(VERSION_DIRECTORY)
    }

    /// Where logs are.
    pub fn logs(&self) -> PathBuf {
        self.log.join(VERSION_DIRECTORY)
    }
}

/// An opened directory.
pub struct Opened<T> {
    /// The directory, locked as long as this lives.
    pub store: Store,
    /// The snapshot to begin with; without one the tree begins empty.
    pub snapshot: Option<Loaded<T>>,
    /// The transactions to apply after it.
    pub log: Replay,
    /// The last zxid of the history: 0 for an empty database, -1 for one that may be lost (`db.autocreate` off, no
    /// `initialize` file, nothing there).
    pub last_zxid: Zxid,
    /// Whether a first snapshot has to be written before anything else: of an empty database, or because logs were
    /// trusted without one. Without it neither program starts here again.
    pub needs_snapshot: bool,
    /// What was odd, for the log.
    pub notes: Vec<String>,
}

/// A server's directories.
pub struct Store {
    pub(crate) disk: DiskRef,
    pub(crate) directories: Directories,
    /// Snapshots known to be whole, by name and length.
    pub(crate) verified: BTreeSet<(String, u64)>,
    last: Option<Zxid>,
    _locks: Vec<Lock>,
}

impl Store {
    /// Opens the directories: locks them, makes what is there durable, reads it, and repairs the end of the log.
    ///
    /// `load` reads the body of a snapshot, its terminator included, and returns what it made of it; it is called
    /// again with an older snapshot if one turns out to be damaged.
    pub fn open<T>(
        disk: &DiskRef,
        directories: &Directories,
        options: &OpenOptions,
        mut load: impl FnMut(&mut SnapshotReader) -> Result<T, String>,
    ) -> Result<Opened<T>, OpenError> {
        Self::open_with(disk, directories, options, |mut reader| {
            let state = load(&mut reader)?;
            Ok((state, reader.finish().map_err(|error| error.to_string())?))
        })
    }

    /// As [`Store::open`], for a `load` that reads to the end of the file (see [`recovery::read_opaque_body`]).
    pub fn open_with<T>(
        disk: &DiskRef,
        directories: &Directories,
        options: &OpenOptions,
        load: impl FnMut(SnapshotReader) -> Result<(T, SnapshotEnd), String>,
    ) -> Result<Opened<T>, OpenError> {
        let (snapshots, logs) = (directories.snapshots(), directories.logs());
        make_directories(disk, directories, options)?;
        check_places(disk, directories)?;
        let mut locks = vec![lock(disk, &logs)?];
        if snapshots != logs {
            locks.push(lock(disk, &snapshots)?);
        }
        finish_adopting(disk, directories).map_err(|error| OpenError::Io(snapshots.clone(), error))?;
        for directory in [&snapshots, &logs] {
            remove_temporaries(disk, directory).map_err(|error| OpenError::Io(directory.clone(), error))?;
        }
        let place = Place { disk, snapshots: &snapshots, logs: &logs };
        let mut recovered = recovery::recover_in(&place, options, load)?;
        repair(disk, &logs, &mut recovered).map_err(|error| OpenError::Io(logs.clone(), error))?;
        let initialize = directories.log.join(INITIALIZE);
        let is_meant_to_be_empty = match disk.remove(&initialize) {
            Ok(()) => {
                recovered.history.notes.push("Initialize file found, an empty database will not block voting participation".to_owned());
                true
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => options.autocreate_database,
            Err(error) => return Err(OpenError::Io(initialize, error)),
        };
        let is_lost = recovered.is_empty && !is_meant_to_be_empty;
        let Recovered { snapshot, history: History { last, pieces, notes, .. }, files, .. } = recovered;
        let base = snapshot.as_ref().map_or(Zxid::ZERO, |snapshot| snapshot.zxid);
        let mut store =
            Self { disk: disk.clone(), directories: directories.clone(), verified: BTreeSet::new(), last: Some(last), _locks: locks };
        if let Some(snapshot) = &snapshot
            && let Ok(file) = disk.open(&snapshots.join(&snapshot.name), OpenMode::Read)
        {
            let size = file.size().map_err(|error| OpenError::Io(snapshots.clone(), error))?;
            store.verified.insert((snapshot.name.clone(), size));
        }
        Ok(Opened {
            needs_snapshot: snapshot.is_none() && !is_lost,
            last_zxid: if is_lost { Zxid(-1) } else { last },
            log: Replay::new(base, files.into_iter().map(|(_, bytes)| bytes).collect(), pieces),
            store,
            snapshot,
            notes,
        })
    }

    /// The log, to be continued. One at a time.
    pub fn txn_log(&self, options: LogOptions) -> io::Result<TxnLog> {
        let logs = self.directories.logs();
        let earlier = self.disk.list(&logs)?.iter().filter(|entry| names::log_zxid(&entry.name).is_some()).map(|entry| entry.size).sum();
        Ok(TxnLog::new(&self.disk, &logs, options, self.last, earlier))
    }

    /// A new snapshot.
    pub fn snapshot_writer(&self, zxid: Zxid, compression: Compression) -> io::Result<SnapshotWriter> {
        SnapshotWriter::create(&self.disk, &self.directories.snapshots(), zxid, compression)
    }

    /// The newest snapshot that looks complete, opened: what is sent to a learner or to a backup. Its body and the
    /// log behind it ([`Store::read_log`]) make a state.
    pub fn newest_snapshot(&self) -> io::Result<Option<(Zxid, SnapshotReader)>> {
        let Some((zxid, entry)) = self.newest_snapshot_file()? else { return Ok(None) };
        Ok(Some((zxid, SnapshotReader::open(&self.disk, &self.directories.snapshots().join(entry.name))?)))
    }

    /// How long its file is; 0 without one.
    pub fn newest_snapshot_bytes(&self) -> io::Result<u64> {
        Ok(self.newest_snapshot_file()?.map_or(0, |(_, entry)| entry.size))
    }

    fn newest_snapshot_file(&self) -> io::Result<Option<(Zxid, Entry)>> {
        let directory = self.directories.snapshots();
        let mut found: Vec<(Zxid, Entry)> = self
            .disk
            .list(&directory)?
            .into_iter()
            .filter(|entry| names::is_plain_snapshot(&entry.name))
            .filter_map(|entry| Some((names::snapshot_zxid(&entry.name)?, entry)))
            .collect();
        found.sort_by(|(left, one), (right, other)| (left, &one.name).cmp(&(right, &other.name)));
        for (zxid, entry) in found.into_iter().rev() {
            if crate::snapshot::looks_complete(&self.disk, &directory.join(&entry.name))? {
                return Ok(Some((zxid, entry)));
            }
        }
        Ok(None)
    }

    /// The transactions after a zxid, from the files; those that are not synced yet may be among them.
    pub fn read_log(&self, after: Zxid) -> Result<Replay, OpenError> {
        let directory = self.directories.logs();
        let io_error = |error| OpenError::Io(directory.clone(), error);
        let logs = self.logs().map_err(io_error)?;
        let first = recovery::needed_from(&logs, after);
        let mut files = Vec::new();
        for (_, name) in &logs[first..] {
            let file = self.disk.open(&directory.join(name), OpenMode::Read).map_err(io_error)?;
            files.push(read_without_trailing_hole(&*file).map_err(io_error)?.0);
        }
        let to_examine: Vec<LogFile<'_>> =
            logs[first..].iter().zip(&files).map(|((zxid, name), bytes)| LogFile { name, zxid: *zxid, bytes }).collect();
        let history = recovery::examine(after, &[], &to_examine)?;
        Ok(Replay::new(after, files, history.pieces))
    }

    /// Where a peer's history leaves ours: the last of our logged zxids that is not above `peer`, and its successors
    /// among those that are logged. `None` if the files do not reach back so far without a hole.
    ///
    /// A tree may be ahead of the own log: others have made the quorum. If the power goes then, a snapshot of it is all
    /// that is left of what the log never got, and an epoch that ends too early looks like one that has ended.
    ///
    /// What is not synced or not committed may be among them; the caller knows how far to go.
    pub fn read_from(&self, peer: Zxid) -> Result<Option<(Zxid, Replay)>, OpenError> {
        let directory = self.directories.logs();
        let io_error = |error| OpenError::Io(directory.clone(), error);
        let logs = self.logs().map_err(io_error)?;
        let Some(at) = logs.iter().rposition(|(first, _)| *first <= peer) else {
            // A snapshot that was received may be all there is of the history up to its zxid.
            let has_snapshot = self
                .disk
                .list(&self.directories.snapshots())
                .map_err(io_error)?
                .iter()
                .any(|entry| names::is_plain_snapshot(&entry.name) && names::snapshot_zxid(&entry.name) == Some(peer));
            return if has_snapshot { self.without_hole(peer) } else { Ok(None) };
        };
        let file = self.disk.open(&directory.join(&logs[at].1), OpenMode::Read).map_err(io_error)?;
        let (bytes, _) = read_without_trailing_hole(&*file).map_err(io_error)?;
        let mut found = None;
        scan(&bytes, |record| {
            if record.zxid <= peer {
                found = Some(record.zxid);
            }
        });
        match found {
            Some(zxid) => self.without_hole(zxid),
            None => Ok(None),
        }
    }

    /// The log behind a zxid, if it has the last transaction of every snapshot on its way. (Those of counter 0 are Java's, and
    /// have none.)
    fn without_hole(&self, after: Zxid) -> Result<Option<(Zxid, Replay)>, OpenError> {
        let replay = self.read_log(after)?;
        let zxids: BTreeSet<Zxid> = replay.records().map(|record| record.zxid).collect();
        let last = zxids.last().copied().unwrap_or(after);
        let directory = self.directories.snapshots();
        let entries = self.disk.list(&directory).map_err(|error| OpenError::Io(directory.clone(), error))?;
        let is_missing = |zxid: Zxid| zxid > after && zxid < last && zxid.counter() != 0 && !zxids.contains(&zxid);
        let mut snapshots = entries.iter().filter(|entry| names::is_plain_snapshot(&entry.name));
        let has_hole = snapshots.any(|entry| names::snapshot_zxid(&entry.name).is_some_and(is_missing));
        Ok((!has_hole).then_some((after, replay)))
    }

    /// The epoch files.
    pub fn epochs(&self) -> EpochFiles {
        EpochFiles::new(&self.disk, &self.directories.snapshots())
    }

    /// Bytes in the snapshot and in the log directory, as `dirs` reports them (padding counts, files of our own do not).
    pub fn sizes(&self) -> io::Result<(u64, u64)> {
        let size = |directory: &Path| -> io::Result<u64> {
            Ok(self.disk.list(directory)?.iter().filter(|entry| !entry.name.starts_with(names::OWN_PREFIX)).map(|entry| entry.size).sum())
        };
        Ok((size(&self.directories.snapshots())?, size(&self.directories.logs())?))
    }

    /// The finished logs, in order.
    fn logs(&self) -> io::Result<Vec<(Zxid, String)>> {
        let mut logs: Vec<(Zxid, String)> = self
            .disk
            .list(&self.directories.logs())?
            .into_iter()
            .filter(|entry| names::is_plain_log(&entry.name))
            .filter_map(|entry| Some((names::log_zxid(&entry.name)?, entry.name)))
            .collect();
        logs.sort();
        Ok(logs)
    }

    /// Cuts the history so that `zxid` is its last. The [`TxnLog`] must have been closed, and a new one made
    /// afterwards. After a crash in between some prefix of the old history that contains `zxid` is there.
    ///
    /// Snapshots above `zxid` hold what is to be forgotten: they get names that no server reads. Without one below, or
    /// without `zxid` in the log, nothing is changed and the caller has to ask for a snapshot.
    pub fn truncate(&mut self, zxid: Zxid) -> Result<(), OpenError> {
        let (snapshots, logs) = (self.directories.snapshots(), self.directories.logs());
        let snapshot_error = |error| OpenError::Io(snapshots.clone(), error);
        let log_error = |error| OpenError::Io(logs.clone(), error);
        let refuse =
            |reason: String| OpenError::Damaged(Damaged { reason, remedy: "The server needs a snapshot from its leader.".to_owned() });
        let mut above = Vec::new();
        let mut base = None;
        for entry in self.disk.list(&snapshots).map_err(snapshot_error)? {
            match names::snapshot_zxid(&entry.name) {
                Some(at) if at > zxid => above.push((at, entry.name)),
                Some(at)
                    if names::is_plain_snapshot(&entry.name)
                        && crate::snapshot::verify(&self.disk, &snapshots.join(&entry.name)).is_ok() =>
                {
                    base = base.max(Some(at));
                }
                _ => {}
            }
        }
        let Some(base) = base else {
            return Err(refuse(format!("cannot cut the log at {zxid}: there is no snapshot at or below it")));
        };
        let files = self.logs().map_err(log_error)?;
        let at = files.iter().rposition(|(first, _)| *first <= zxid);
        let mut end = None;
        if let Some(at) = at {
            let file = self.disk.open(&logs.join(&files[at].1), OpenMode::Read).map_err(log_error)?;
            let (bytes, _) = read_without_trailing_hole(&*file).map_err(log_error)?;
            scan(&bytes, |record| {
                if record.zxid == zxid {
                    end = Some(record.end() as u64);
                }
            });
        }
        if end.is_none() && base != zxid {
            return Err(refuse(format!("cannot cut the log at {zxid}: it is not there")));
        }
        above.sort();
        if mutant::is(Mutant::SnapshotNotCut) {
            above.clear();
        }
        for (_, name) in above.iter().rev() {
            let aside = snapshots.join(format!("{}{name}", names::ASIDE_PREFIX));
            self.disk.rename(&snapshots.join(name), &aside).map_err(snapshot_error)?;
        }
        self.disk.sync_directory(&snapshots).map_err(snapshot_error)?;
        let later = match (at, end) {
            (Some(at), Some(_)) => at + 1,
            // The snapshot is at `zxid`, and no log has it: what begins above goes, what ends below stays.
            _ => files.iter().position(|(first, _)| *first > zxid).unwrap_or(files.len()),
        };
        for (_, name) in files[later..].iter().rev() {
            self.disk.remove(&logs.join(name)).map_err(log_error)?;
            self.disk.sync_directory(&logs).map_err(log_error)?;
        }
        if let (Some(at), Some(end)) = (at, end) {
            let file = self.disk.open(&logs.join(&files[at].1), OpenMode::ReadWrite).map_err(log_error)?;
            file.set_size(end).map_err(log_error)?;
            if !mutant::is(Mutant::CutNotSynced) {
                file.sync_data().map_err(log_error)?;
            }
        }
        self.last = Some(zxid);
        Ok(())
    }

    /// A snapshot that begins a history which is not complete yet. Nothing of it counts before [`Store::adopt_staged`].
    pub fn staged_snapshot_writer(&self, zxid: Zxid) -> io::Result<SnapshotWriter> {
        SnapshotWriter::create_staged(&self.disk, &self.directories.snapshots(), zxid)
    }

    /// That snapshot, once it is finished.
    pub fn staged_snapshot(&self, zxid: Zxid) -> io::Result<SnapshotReader> {
        let name = format!("{}{}", names::STAGED_PREFIX, names::snapshot_name(zxid, Compression::None));
        SnapshotReader::open(&self.disk, &self.directories.snapshots().join(name))
    }

    /// The log behind it.
    pub fn staged_log(&self, options: LogOptions, zxid: Zxid) -> TxnLog {
        TxnLog::new(&self.disk, &self.directories.logs(), options, Some(zxid), 0).staged()
    }

    /// The staged history is complete and durable (its log has been closed, and ends with `last`): it takes the place of
    /// the one that was there, whose files get names that no server reads. They may hold transactions that were never
    /// committed, and must not come back when the new snapshot is damaged one day; an earlier call's are deleted. A
    /// start after a crash goes on where this stopped.
    pub fn adopt_staged(&mut self, last: Zxid) -> io::Result<()> {
        write_atomically(&self.disk, &self.directories.snapshots(), names::ADOPTING, SETTING_ASIDE)?;
        finish_adopting(&self.disk, &self.directories)?;
        self.verified.clear();
        self.last = Some(last);
        Ok(())
    }

    /// The staged history is of no use: the one that was there is all there is.
    pub fn drop_staged(&self) -> io::Result<()> {
        for directory in BTreeSet::from([self.directories.snapshots(), self.directories.logs()]) {
            for entry in self.disk.list(&directory)?.iter().filter(|entry| entry.name.starts_with(names::STAGED_PREFIX)) {
                self.disk.remove(&directory.join(&entry.name))?;
            }
            self.disk.sync_directory(&directory)?;
        }
        Ok(())
    }
}

/// What the file [`names::ADOPTING`] says: how far it has got.
const SETTING_ASIDE: &[u8] = b"1\n";
const MOVING_IN: &[u8] = b"2\n";

/// Goes on with what [`Store::adopt_staged`] has begun, if it has.
fn finish_adopting(disk: &DiskRef, directories: &Directories) -> io::Result<()> {
    let (snapshots, logs) = (directories.snapshots(), directories.logs());
    let mark = match disk.read(&snapshots.join(names::ADOPTING)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        mark => mark?,
    };
    if mark == SETTING_ASIDE {
        if mutant::is(Mutant::OldFilesStay) {
            return move_in(disk, &snapshots, &logs);
        }
        set_aside(disk, directories)?;
        write_atomically(disk, &snapshots, names::ADOPTING, MOVING_IN)?;
    }
    move_in(disk, &snapshots, &logs)
}

fn move_in(disk: &DiskRef, snapshots: &Path, logs: &Path) -> io::Result<()> {
    // The snapshot last: a log without one is read by neither program.
    for directory in [logs, snapshots] {
        let staged = |prefix: &str| format!("{}{prefix}", names::STAGED_PREFIX);
        let wanted = if directory == snapshots { [staged("log."), staged("snapshot.")] } else { [staged("log."), staged("log.")] };
        for begins in wanted {
            for entry in disk.list(directory)?.iter().filter(|entry| entry.name.starts_with(&begins)) {
                disk.rename(&directory.join(&entry.name), &directory.join(&entry.name[names::STAGED_PREFIX.len()..]))?;
            }
            disk.sync_directory(directory)?;
        }
    }
    disk.remove(&snapshots.join(names::ADOPTING))?;
    disk.sync_directory(snapshots)
}

fn set_aside(disk: &DiskRef, directories: &Directories) -> io::Result<()> {
    for directory in BTreeSet::from([directories.snapshots(), directories.logs()]) {
        let mut to_rename = Vec::new();
        for entry in disk.list(&directory)? {
            if entry.name.starts_with(names::ASIDE_PREFIX) {
                disk.remove(&directory.join(&entry.name))?;
            } else if let Some(at) = names::log_zxid(&entry.name).or_else(|| names::snapshot_zxid(&entry.name)) {
                to_rename.push((at, entry.name));
            }
        }
        to_rename.sort();
        for (_, name) in to_rename.iter().rev() {
            disk.rename(&directory.join(name), &directory.join(format!("{}{name}", names::ASIDE_PREFIX)))?;
        }
        disk.sync_directory(&directory)?;
    }
    Ok(())
}

fn make_directories(disk: &DiskRef, directories: &Directories, options: &OpenOptions) -> Result<(), OpenError> {
    for (directory, kind) in [(directories.logs(), "data"), (directories.snapshots(), "snap")] {
        let io_error = |error| OpenError::Io(directory.clone(), error);
        if !disk.exists(&directory).map_err(io_error)? {
            if !options.autocreate_directories {
                return Err(OpenError::Directory(format!(
                    "Missing {kind} directory {}, and zookeeper.datadir.autocreate is false: make it by hand",
                    directory.display()
                )));
            }
            let made = disk.create_directories(&directory);
            made.map_err(|error| OpenError::Directory(format!("Unable to create {kind} directory {}: {error}", directory.display())))?;
            if let Some(parent) = directory.parent() {
                // The new directory's own name; further up it is the administrator's.
                disk.sync_directory(parent).map_err(io_error)?;
            }
        }
        disk.sync_directory(&directory).map_err(io_error)?;
    }
    Ok(())
}

/// Logs among the snapshots, or the other way round, say that dataDir or dataLogDir has been changed.
fn check_places(disk: &DiskRef, directories: &Directories) -> Result<(), OpenError> {
    let (snapshots, logs) = (directories.snapshots(), directories.logs());
    if snapshots == logs {
        return Ok(());
    }
    let has = |directory: &Path, prefix: &str| -> Result<bool, OpenError> {
        let entries = disk.list(directory).map_err(|error| OpenError::Io(directory.to_owned(), error))?;
        Ok(entries.iter().any(|entry| entry.name.starts_with(prefix)))
    };
    let advice = "dataDir or dataLogDir is probably not what it was";
    if has(&logs, "snapshot.")? {
        return Err(OpenError::Misplaced(format!("Log directory has snapshot files: {}; {advice}", logs.display())));
    }
    if has(&snapshots, "log.")? {
        return Err(OpenError::Misplaced(format!("Snapshot directory has log files: {}; {advice}", snapshots.display())));
    }
    Ok(())
}

fn lock(disk: &DiskRef, directory: &Path) -> Result<Lock, OpenError> {
    match disk.lock(&directory.join(names::LOCK)) {
        Ok(Some(lock)) => Ok(lock),
        Ok(None) => Err(OpenError::InUse(directory.to_owned())),
        Err(error) => Err(OpenError::Directory(format!("Cannot write to directory {}: {error}", directory.display()))),
    }
}

fn remove_temporaries(disk: &DiskRef, directory: &Path) -> io::Result<()> {
    for entry in disk.list(directory)? {
        if entry.name.starts_with(names::TEMPORARY_PREFIX) {
            disk.remove(&directory.join(entry.name))?;
        }
    }
    Ok(())
}

/// Makes the end of the log certain and readable for both programs.
///
/// After a process that did not end in good order the cached pages of the last log may look clean and yet not be on the
/// disk (a failed fsync leaves that behind). So the file is written anew, without what does not count, under a name that
/// no server reads, synced, and put in the place of the old one in one step: at no moment are there two files with
/// the same records.
fn repair<T>(disk: &DiskRef, logs: &Path, recovered: &mut Recovered<T>) -> io::Result<()> {
    let history = &mut recovered.history;
    if let Some(tail) = history.tail {
        let (name, bytes) = &recovered.files[tail.file];
        let mark = CleanMark::read(disk, logs);
        let was_closed = mark.is_some_and(|mark| mark.log == *name && mark.end == tail.end as u64 && mark.last == history.last);
        let counts = history.pieces.iter().any(|piece| piece.file == tail.file);
        if !tail.is_clean() || (counts && !was_closed && !mutant::is(Mutant::PageCacheTrusted)) {
            if tail.data_end > tail.end {
                // For whoever wants to look; the history does not depend on it.
                let _ = write_atomically(disk, logs, names::TORN, &bytes[tail.end..tail.data_end]);
            }
            let mut good = bytes[..tail.end].to_vec();
            if tail.mark_is_missing {
                *good.last_mut().expect("a record") = END_OF_RECORD;
            }
            match write_atomically(disk, logs, name, &good) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::StorageFull => {
                    // No space for a second copy: then in place. The same bytes are written again, since a sync alone would
                    // find nothing to write.
                    history.notes.push(format!("no space to write {name} anew; it is repaired in place"));
                    let file = disk.open(&logs.join(name), OpenMode::ReadWrite)?;
                    file.write_all_at(&good, 0)?;
                    file.set_size(tail.end as u64)?;
                    file.sync_data()?;
                }
                Err(error) => return Err(error),
            }
        }
    }
    if !history.empty.is_empty() {
        for index in history.empty.iter().rev() {
            let name = &recovered.files[*index].0;
            history.notes.push(format!("{name} holds no transaction and is removed"));
            disk.remove(&logs.join(name))?;
        }
        disk.sync_directory(logs)?;
    }
    Ok(())
}
