//! A running server's files shipped to another directory, continuously.
//!
//! The target is a data directory itself: `version-2` with snapshots and logs under their own names, so that a server
//! starts on it and every tool reads it. Snapshots are copied whole and counted only when the copy has been read back;
//! of logs, whole records are appended as they come, and made durable before anything is said of them. A process that
//! is stopped anywhere leaves a usable backup and goes on where it was.
//!
//! What the source takes back (a tail that was never durable, or that a new leader cut off) is put aside in the
//! target, too: names that begin with `oxkeeper.aside.` are read by nobody. How to make a state out of it is
//! [`crate::restore`]'s.

use crate::purge::purge;
use crate::{Calendar, Failure};
use oxkeeper_proto::Zxid;
use oxkeeper_store::disk::{FileRef, OpenMode, read_full, read_without_trailing_hole};
use oxkeeper_store::log_format::{FILE_HEADER, LogEnd, RECORD_OVERHEAD_BYTES, scan};
use oxkeeper_store::{Directories, DiskRef, RealDisk, names, snapshot};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// What is read of a log at once, to begin with and at most (unless one record is larger).
const FIRST_WINDOW_BYTES: usize = 64 << 10;
const LARGEST_WINDOW_BYTES: usize = 16 << 20;

/// A file that was not changed for so long is not being written any more.
const SETTLED_AFTER: Duration = Duration::from_secs(10);

/// A backup of one server, kept open.
pub struct Backup {
    disk: DiskRef,
    source: Directories,
    target: PathBuf,
    /// Logs in the target, by their zxids.
    logs: BTreeMap<Zxid, Shipped>,
    /// Snapshots in the target that were found good, by name.
    snapshots: BTreeMap<String, (u64, SystemTime)>,
    /// Snapshots of the source that are damaged, so that each is complained about once.
    bad: BTreeMap<String, (u64, SystemTime)>,
    _lock: oxkeeper_store::disk::Lock,
}

/// How much of a log is in the target.
struct Shipped {
    /// Good bytes; everything behind them is still to come.
    end: u64,
    /// Where the last record begins, for comparison with the source.
    last_record: u64,
    last_zxid: Option<Zxid>,
    /// The source's time of change when its end was reached and a later log was there.
    finished: Option<SystemTime>,
    /// A complaint that was made already.
    complaint: Option<String>,
}

/// What one pass did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pass {
    /// The last zxid in the target: of a log or, without any, of a snapshot.
    pub through: Option<Zxid>,
    /// Snapshots that were copied.
    pub snapshots: Vec<String>,
    /// Transactions that were appended.
    pub transactions: u64,
    /// What an operator should know.
    pub notes: Vec<String>,
}

impl Backup {
    /// Opens a target, empty or the work of an earlier run, and locks it.
    ///
    /// # Errors
    /// A source that is no data directory; a target that is the source, in use or unwritable.
    pub fn open(source: Directories, target: &Path) -> Result<Self, Failure> {
        for directory in [source.snapshots(), source.logs()] {
            if !directory.is_dir() {
                return Err(Failure::unexpected(format!(
                    "{} is no data directory: there is no version-2 in it. Name the dataDir of zoo.cfg.",
                    directory.parent().unwrap_or(&directory).display()
                )));
            }
        }
        let target = target.join(names::VERSION_DIRECTORY);
        let made = |error: io::Error| Failure::of_file(&target, &error);
        fs::create_dir_all(&target).map_err(made)?;
        let same = |directory: PathBuf| fs::canonicalize(directory).ok() == fs::canonicalize(&target).ok();
        if same(source.snapshots()) || same(source.logs()) {
            return Err(Failure::usage("the target of a backup cannot be its source"));
        }
        let disk = RealDisk::shared();
        let Some(lock) = disk.lock(&target.join(names::LOCK)).map_err(made)? else {
            return Err(Failure::unexpected(format!("{} is in use by another backup or server", target.display())));
        };
        let mut logs = BTreeMap::new();
        for entry in disk.list(&target).map_err(made)? {
            let path = target.join(&entry.name);
            if entry.name.starts_with(names::TEMPORARY_PREFIX) {
                disk.remove(&path).map_err(made)?;
            } else if names::is_plain_log(&entry.name)
                && let Some(zxid) = names::log_zxid(&entry.name)
            {
                let file = disk.open(&path, OpenMode::ReadWrite).map_err(made)?;
                let (bytes, size) = read_without_trailing_hole(&*file).map_err(made)?;
                let mut last_record = 0;
                let scanned = scan(&bytes, |record| last_record = record.offset as u64);
                let end = scanned.good_end as u64;
                if size > end {
                    // Cut off in the middle of a write: it comes again.
                    file.set_size(end).and_then(|()| file.sync_data()).map_err(made)?;
                }
                logs.insert(zxid, Shipped { end, last_record, last_zxid: scanned.last, finished: None, complaint: None });
            }
        }
        let mut backup = Self { disk, source, target, logs, snapshots: BTreeMap::new(), bad: BTreeMap::new(), _lock: lock };
        backup.compare_prefixes()?;
        Ok(backup)
    }

    /// After a pause: what was shipped must still be how the source's logs begin.
    fn compare_prefixes(&mut self) -> Result<(), Failure> {
        let logs = self.source.logs();
        for zxid in self.logs.keys().copied().collect::<Vec<_>>() {
            let name = names::log_name(zxid);
            let Some(source) = self.open_source(&logs.join(&name))? else { continue };
            let target = self.disk.open(&self.target.join(&name), OpenMode::Read).map_err(|error| self.failed(&name, &error))?;
            let end = self.logs[&zxid].end;
            if !equal(&source, &target, 0, end).map_err(|error| self.failed(&name, &error))? {
                self.put_aside(zxid)?;
            }
        }
        Ok(())
    }

    /// Ships what has come since the last pass.
    ///
    /// # Errors
    /// What cannot be read or written. The target stays usable.
    pub fn pass(&mut self) -> Result<Pass, Failure> {
        let mut pass = Pass::default();
        // Logs first: a snapshot is only of use with the log behind it, and that of an earlier one is as good.
        self.ship_logs(&mut pass)?;
        self.ship_snapshots(&mut pass)?;
        let of_snapshots = self.snapshots.keys().filter_map(|name| names::snapshot_zxid(name)).max();
        let of_logs = self.logs.values().filter_map(|shipped| shipped.last_zxid).max();
        pass.through = of_snapshots.max(of_logs);
        Ok(pass)
    }

    /// Deletes all but the newest `retain` snapshots of the target, and logs that only older ones need. Says nothing.
    ///
    /// # Errors
    /// What cannot be read.
    pub fn retain(&mut self, retain: usize, calendar: &dyn Calendar) -> Result<(), Failure> {
        purge(&self.target, &self.target, retain, calendar, &mut io::sink(), &mut io::sink())?;
        let (disk, target) = (&self.disk, &self.target);
        let is_there = |name: &str| disk.exists(&target.join(name)).unwrap_or(true);
        self.logs.retain(|zxid, _| is_there(&names::log_name(*zxid)));
        self.snapshots.retain(|name, _| is_there(name));
        Ok(())
    }

    fn failed(&self, name: &str, error: &io::Error) -> Failure {
        Failure::of_file(&self.target.join(name), error)
    }

    /// A file of the source; `None` if it has just been purged.
    fn open_source(&self, path: &Path) -> Result<Option<FileRef>, Failure> {
        match self.disk.open(path, OpenMode::Read) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Failure::of_file(path, &error)),
        }
    }

    fn ship_logs(&mut self, pass: &mut Pass) -> Result<(), Failure> {
        let directory = self.source.logs();
        let entries = self.disk.list(&directory).map_err(|error| Failure::of_file(&directory, &error))?;
        let mut found: Vec<Zxid> =
            entries.iter().filter(|entry| names::is_plain_log(&entry.name)).filter_map(|entry| names::log_zxid(&entry.name)).collect();
        found.sort();
        // A log that is missing among those that are there was cut off; one before them all was purged.
        if let Some(first) = found.first() {
            let gone: Vec<Zxid> = self.logs.range(*first..).map(|(zxid, _)| *zxid).filter(|zxid| !found.contains(zxid)).collect();
            for zxid in gone {
                pass.notes.push(format!("{} is no longer in the source: put aside", names::log_name(zxid)));
                self.put_aside(zxid)?;
            }
        }
        for (index, zxid) in found.iter().enumerate() {
            self.ship_log(*zxid, found.get(index + 1).is_some(), pass)?;
        }
        Ok(())
    }

    fn ship_log(&mut self, zxid: Zxid, is_followed: bool, pass: &mut Pass) -> Result<(), Failure> {
        let name = names::log_name(zxid);
        let path = self.source.logs().join(&name);
        let read = |error: io::Error| Failure::of_file(&path, &error);
        let changed = match fs::metadata(&path).and_then(|metadata| metadata.modified()) {
            Ok(changed) => changed,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(read(error)),
        };
        if self.logs.get(&zxid).is_some_and(|shipped| shipped.finished == Some(changed)) {
            return Ok(());
        }
        let Some(source) = self.open_source(&path)? else { return Ok(()) };
        let target_path = self.target.join(&name);
        let written = |error: io::Error| Failure::of_file(&target_path, &error);
        if let Some(shipped) = self.logs.get(&zxid) {
            let target = self.disk.open(&target_path, OpenMode::Read).map_err(written)?;
            // A file that changes after it had been followed by another was cut by a new leader: look at all of it.
            let from = if shipped.finished.is_some() { 0 } else { shipped.last_record };
            if !equal(&source, &target, from, shipped.end).map_err(read)? {
                pass.notes.push(format!("{name} was rewritten in the source: the old one is put aside"));
                self.put_aside(zxid)?;
            }
        }
        let begin = self.logs.get(&zxid).map_or(0, |shipped| shipped.end);
        let mut tail = Tail { file: &*source, at: begin, window: FIRST_WINDOW_BYTES };
        if begin == 0 {
            let mut header = [0; FILE_HEADER.len()];
            let n = read_full(&*source, &mut header, 0).map_err(read)?;
            if n < header.len() || header[..4] != FILE_HEADER[..4] {
                return Ok(());
            }
            let target = self.disk.open(&target_path, OpenMode::Create).map_err(written)?;
            target.write_all_at(&header, 0).map_err(written)?;
            target.sync_data().map_err(written)?;
            self.disk.sync_directory(&self.target).map_err(written)?;
            tail.at = header.len() as u64;
            self.logs.insert(zxid, Shipped { end: tail.at, last_record: 0, last_zxid: None, finished: None, complaint: None });
        }
        let target = self.disk.open(&target_path, OpenMode::ReadWrite).map_err(written)?;
        let shipped = self.logs.get_mut(&zxid).expect("there since the header was written");
        let mut is_unsynced = false;
        let end = loop {
            let (bytes, records) = tail.next().map_err(read)?;
            if let Some((last_record, last_zxid)) = records.last {
                target.write_all_at(&bytes[..records.length], shipped.end).map_err(written)?;
                is_unsynced = true;
                shipped.last_record = shipped.end + last_record;
                shipped.last_zxid = Some(last_zxid);
                shipped.end += records.length as u64;
                tail.at = shipped.end;
                pass.transactions += records.count;
            } else {
                break records.end;
            }
        };
        if is_unsynced {
            target.sync_data().map_err(written)?;
        }
        shipped.finished = (is_followed && matches!(end, LogEnd::Clean | LogEnd::Torn { .. })).then_some(changed);
        if let LogEnd::Damaged(reason) = end
            && is_followed
            && shipped.complaint.as_ref() != Some(&reason)
        {
            pass.notes.push(format!("{} is damaged behind offset {}: {reason}", path.display(), shipped.end));
            shipped.complaint = Some(reason);
        }
        Ok(())
    }

    /// Gives a log of the target a name that nobody reads.
    fn put_aside(&mut self, zxid: Zxid) -> Result<(), Failure> {
        let name = names::log_name(zxid);
        let free = (1..).map(|n| self.target.join(format!("{}{name}.{n}", names::ASIDE_PREFIX)));
        let aside = free.into_iter().find(|path| !path.exists()).expect("numbers do not end");
        let renamed = self.disk.rename(&self.target.join(&name), &aside).and_then(|()| self.disk.sync_directory(&self.target));
        renamed.map_err(|error| self.failed(&name, &error))?;
        self.logs.remove(&zxid);
        Ok(())
    }

    fn ship_snapshots(&mut self, pass: &mut Pass) -> Result<(), Failure> {
        let directory = self.source.snapshots();
        let entries = self.disk.list(&directory).map_err(|error| Failure::of_file(&directory, &error))?;
        let mut found: Vec<(Zxid, String)> = entries
            .into_iter()
            .filter(|entry| names::is_plain_snapshot(&entry.name))
            .filter_map(|entry| Some((names::snapshot_zxid(&entry.name)?, entry.name)))
            .collect();
        found.sort();
        // The newest first: it is what makes a new backup useful.
        for (_, name) in found.into_iter().rev() {
            let path = directory.join(&name);
            let Ok(metadata) = fs::metadata(&path) else { continue };
            let Ok(changed) = metadata.modified() else { continue };
            let state = (metadata.len(), changed);
            if self.snapshots.get(&name) == Some(&state) || self.bad.get(&name) == Some(&state) {
                continue;
            }
            let target = self.target.join(&name);
            let there = fs::metadata(&target).ok().and_then(|metadata| Some((metadata.len(), metadata.modified().ok()?)));
            if there == Some(state) && snapshot::verify(&self.disk, &target).is_ok() {
                self.snapshots.insert(name, state);
                continue;
            }
            // Java writes snapshots under their final names: one that grows is not complete yet.
            if !snapshot::looks_complete(&self.disk, &path).unwrap_or(false) {
                continue;
            }
            let temporary = self.target.join(format!("{}{name}", names::TEMPORARY_PREFIX));
            match self.copy_snapshot(&path, &temporary, changed) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(Failure::of_file(&path, &error)),
            }
            if let Err(error) = snapshot::verify(&self.disk, &temporary) {
                let _ = fs::remove_file(&temporary);
                // Java's may still be being written.
                if changed.elapsed().is_ok_and(|age| age < SETTLED_AFTER) {
                    continue;
                }
                pass.notes.push(format!("{} is damaged and was not shipped: {error}", path.display()));
                self.bad.insert(name, state);
                continue;
            }
            let renamed = self.disk.rename(&temporary, &target).and_then(|()| self.disk.sync_directory(&self.target));
            renamed.map_err(|error| self.failed(&name, &error))?;
            self.snapshots.insert(name.clone(), state);
            pass.snapshots.push(name);
        }
        Ok(())
    }

    fn copy_snapshot(&self, from: &Path, to: &Path, changed: SystemTime) -> io::Result<()> {
        let mut source = File::open(from)?;
        let mut target = File::create(to)?;
        io::copy(&mut source, &mut target)?;
        target.set_modified(changed)?;
        target.sync_all()
    }
}

/// What a log's next bytes are.
struct Next {
    /// Bytes of whole records, and how many of them.
    length: usize,
    count: u64,
    /// Where in them the last begins, and its zxid; `None` without any.
    last: Option<(u64, Zxid)>,
    /// What comes after them.
    end: LogEnd,
}

/// The end of a log that grows.
struct Tail<'a> {
    file: &'a dyn oxkeeper_store::DiskFile,
    at: u64,
    window: usize,
}

impl Tail<'_> {
    fn next(&mut self) -> io::Result<(Vec<u8>, Next)> {
        loop {
            // The scanner wants a header before the records.
            let mut bytes = FILE_HEADER.to_vec();
            bytes.resize(FILE_HEADER.len() + self.window, 0);
            let n = read_full(self.file, &mut bytes[FILE_HEADER.len()..], self.at)?;
            bytes.truncate(FILE_HEADER.len() + n);
            let (mut last, mut count) = (None, 0);
            let scanned = scan(&bytes, |record| {
                last = Some(((record.offset - FILE_HEADER.len()) as u64, record.zxid));
                count += 1;
            });
            if last.is_none() && n == self.window && scanned.data_end > FILE_HEADER.len() {
                // Perhaps one record that is larger than the window.
                let head = &bytes[FILE_HEADER.len()..];
                let length = i32::from_be_bytes(head[8..12].try_into().expect("four bytes"));
                let wanted = usize::try_from(length).unwrap_or(0) + RECORD_OVERHEAD_BYTES;
                if wanted > self.window && self.at + wanted as u64 <= self.file.size()? {
                    self.window = wanted;
                    continue;
                }
            }
            let length = scanned.good_end - FILE_HEADER.len();
            bytes.drain(..FILE_HEADER.len());
            if last.is_some() {
                self.window = (self.window * 4).min(LARGEST_WINDOW_BYTES.max(self.window));
            }
            return Ok((bytes, Next { length, count, last, end: scanned.end }));
        }
    }
}

/// Whether two files hold the same bytes in a range.
fn equal(left: &FileRef, right: &FileRef, from: u64, to: u64) -> io::Result<bool> {
    let mut at = from;
    let (mut a, mut b) = (vec![0; 1 << 20], vec![0; 1 << 20]);
    while at < to {
        let n = usize::try_from(to - at).unwrap_or(usize::MAX).min(a.len());
        if read_full(&**left, &mut a[..n], at)? != n || read_full(&**right, &mut b[..n], at)? != n || a[..n] != b[..n] {
            return Ok(false);
        }
        at += n as u64;
    }
    Ok(true)
}
