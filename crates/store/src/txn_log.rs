//! Appending to the transaction log.
//!
//! The thread that logs owns a [`TxnLog`]. It appends batches and syncs them; what [`TxnLog::sync`] returns is the only
//! proof that something is durable. After an error that leaves this in doubt nothing is written any more. Reading is
//! left to [`crate::recovery`], the time to roll to the caller.
//!
//! An fdatasync is cheapest when it changes no metadata: then it is one write and one flush of the drive. So the log
//! writes into space that has been filled with zeros before (a hole, or space reserved with fallocate, costs a commit
//! of the file system's journal in each sync; measured on ext4: 80 us against 95 to 160 us). The first chunk is
//! small, so that the first write of a new server is quick; further ones are filled by [`ZeroAhead::run`] on another
//! thread. The file's length is nevertheless the one that Java would give it, the rest being a hole.

use crate::disk::{DiskRef, FileRef, OpenMode};
use crate::log_format::{FILE_HEADER, LONGEST_BATCH_BYTES, RECORD_OVERHEAD_BYTES, write_record, zxid_of};
use crate::names;
use oxkeeper_proto::zxid::Zxid;
use oxkeeper_proto::{Mutant, mutant};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Zeros written into a new file together with its first records.
const FIRST_CHUNK_BYTES: u64 = 64 << 10;
/// One write of the helper that fills space ahead; the log can wait for no longer than this takes.
const ZERO_CHUNK_BYTES: usize = 64 << 10;
/// The helper syncs after this much, since a sync of the log waits for its zeros too.
const ZERO_SYNC_BYTES: u64 = 512 << 10;
/// A batch that is longer than this (a member that catches up) is synced in pieces: on a disk that is shared, nobody's sync
/// waits for more than one of them.
const PIECE_BYTES: usize = 1 << 20;
/// Space kept ahead of the log: more than a fast client can fill while the helper is asleep (100 MB/s for 80 ms).
const ZERO_AHEAD_BYTES: u64 = 8 << 20;

/// How a log is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogOptions {
    /// `preAllocSize` in bytes; 0 or less for no padding.
    pub pre_alloc_bytes: i64,
    /// `txnLogSizeLimitInKb` in bytes: a file that is longer after a sync, padding included, is followed by another.
    pub size_limit_bytes: Option<u64>,
    /// `forceSync`: whether [`TxnLog::sync`] syncs at all.
    pub force_sync: bool,
    /// Space that is held so that it can be released when the disk is full; 0 for none.
    pub reserve_bytes: u64,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self { pre_alloc_bytes: 64 << 20, size_limit_bytes: None, force_sync: true, reserve_bytes: 4 << 20 }
    }
}

/// Why a batch was not appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AppendError {
    /// The disk is full. Nothing of the batch is in the log; what was appended before is untouched, and appending may be
    /// tried again.
    NoSpace,
    /// The log can no longer be trusted: the process has to end without writing anything more.
    Fatal(String),
}

/// Why a sync proves nothing: the process has to end without writing anything more. A second sync would succeed and prove
/// nothing either, since the system has forgotten the pages that it could not write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncError(pub String);

impl fmt::Display for AppendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSpace => f.write_str("no space left for the transaction log"),
            Self::Fatal(reason) => f.write_str(reason),
        }
    }
}

impl fmt::Display for SyncError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for AppendError {}
impl std::error::Error for SyncError {}

impl From<SyncError> for AppendError {
    fn from(error: SyncError) -> Self {
        Self::Fatal(error.0)
    }
}

/// What a sync has achieved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Synced {
    /// Everything up to here is durable (with `force_sync` off: has been handed to the system).
    pub through: Option<Zxid>,
    /// How long the system took to sync the file.
    pub elapsed: Duration,
    /// The length of the file, padding included.
    pub file_bytes: u64,
}

impl Synced {
    /// Java's warning about a slow sync, which tools look for, if this one took longer than the threshold.
    pub fn warning(&self, thread_name: &str, threshold_ms: i64) -> Option<String> {
        let elapsed_ms = self.elapsed.as_millis();
        let is_slow = i128::try_from(elapsed_ms).is_ok_and(|elapsed| elapsed > i128::from(threshold_ms));
        is_slow.then(|| {
            format!(
                "fsync-ing the write ahead log in {thread_name} took {elapsed_ms}ms which will adversely effect operation latency.\
                 File size is {} bytes. See the ZooKeeper troubleshooting guide",
                self.file_bytes
            )
        })
    }
}

/// The length that Java gives to a padded log before it writes at `position`.
pub fn padded_size(position: u64, size: u64, pre_alloc_bytes: i64) -> u64 {
    let Ok(step @ 1..) = u64::try_from(pre_alloc_bytes) else { return size };
    if position + 4096 < size {
        size
    } else if position > size {
        let size = position + step;
        size - size % step
    } else {
        size + step
    }
}

/// The log that is being written.
pub struct TxnLog {
    disk: DiskRef,
    directory: PathBuf,
    options: LogOptions,
    current: Option<Current>,
    /// The last zxid appended or found at start.
    last: Option<Zxid>,
    /// The last zxid that a sync covered.
    synced: Option<Zxid>,
    earlier_bytes: u64,
    buffer: Vec<u8>,
    failed: Option<String>,
    has_reserve: bool,
    /// Begins the names of its files; empty but for a history that is not complete yet.
    prefix: &'static str,
}

struct Current {
    file: FileRef,
    path: PathBuf,
    /// Where the next record goes.
    position: u64,
    synced_position: u64,
    /// The length of the file.
    size: u64,
    frontier: Arc<Mutex<Frontier>>,
    /// Whether the file's name is durable.
    is_named: bool,
}

/// Shared with the helper that writes zeros, so that it never writes them over a record.
#[derive(Debug)]
struct Frontier {
    /// The log has written, or is about to write, up to here.
    written: u64,
    /// Up to here the space is filled.
    zeroed: u64,
    /// A helper is at work.
    busy: bool,
}

/// Space to be filled with zeros, on a thread that may wait for the disk.
pub struct ZeroAhead {
    disk: DiskRef,
    path: PathBuf,
    frontier: Arc<Mutex<Frontier>>,
    until: u64,
}

impl ZeroAhead {
    /// Fills the space. An error costs speed, not safety: the log will write into the hole; a full disk shows itself there.
    pub fn run(self) -> io::Result<()> {
        // Opened anew: the system tells each open file once that a write to the disk has failed. Through the log's own
        // one, this sync would take away the error that the log's next sync has to see.
        let file = self.disk.open(&self.path, OpenMode::ReadWrite)?;
        let zeros = vec![0; ZERO_CHUNK_BYTES];
        let mut unsynced = 0;
        loop {
            {
                let mut frontier = lock(&self.frontier);
                let start = frontier.zeroed.max(frontier.written);
                if start >= self.until {
                    break;
                }
                let n = (self.until - start).min(ZERO_CHUNK_BYTES as u64);
                file.write_all_at(&zeros[..n as usize], start)?;
                frontier.zeroed = start + n;
                unsynced += n;
            }
            if unsynced >= ZERO_SYNC_BYTES {
                file.sync_data()?;
                unsynced = 0;
            }
        }
        if unsynced > 0 { file.sync_data() } else { Ok(()) }
    }
}

impl Drop for ZeroAhead {
    fn drop(&mut self) {
        lock(&self.frontier).busy = false;
    }
}

fn lock(frontier: &Mutex<Frontier>) -> std::sync::MutexGuard<'_, Frontier> {
    frontier.lock().unwrap_or_else(PoisonError::into_inner)
}

impl TxnLog {
    /// A log that continues in `directory` (the `version-2` one) after `last`. No file is made before the first append:
    /// as with Java, none that is already there is ever continued. `earlier_bytes` is the length of those.
    pub fn new(disk: &DiskRef, directory: &Path, options: LogOptions, last: Option<Zxid>, earlier_bytes: u64) -> Self {
        Self {
            disk: disk.clone(),
            directory: directory.to_owned(),
            options,
            current: None,
            last,
            synced: last,
            earlier_bytes,
            buffer: Vec::new(),
            failed: None,
            has_reserve: false,
            prefix: "",
        }
    }

    /// The log of a history that is not complete yet.
    pub(crate) fn staged(self) -> Self {
        Self { prefix: names::STAGED_PREFIX, ..self }
    }

    /// Writes transactions (header, body, digest; in order of their zxids) behind each other, with one write unless they are
    /// long. They count
    /// only when [`TxnLog::sync`] has come back. No more than [`LONGEST_BATCH_BYTES`] should be left unsynced; beyond
    /// that this syncs by itself.
    ///
    /// # Panics
    /// If a payload is shorter than a transaction header: our own bug.
    pub fn append<P: AsRef<[u8]>>(&mut self, payloads: &[P]) -> Result<(), AppendError> {
        self.check()?;
        let Some(first) = payloads.first() else { return Ok(()) };
        let first = zxid_of(first.as_ref()).expect("a transaction has a header");
        let bytes: usize = payloads.iter().map(|payload| payload.as_ref().len() + RECORD_OVERHEAD_BYTES).sum();
        let unsynced = self.current.as_ref().map_or(0, |current| current.position - current.synced_position);
        if unsynced > 0 && unsynced + bytes as u64 > LONGEST_BATCH_BYTES as u64 {
            self.sync()?;
        }
        self.buffer.clear();
        let is_new = self.current.is_none();
        if is_new {
            self.buffer.extend_from_slice(&FILE_HEADER);
        }
        let mut last = self.last;
        for payload in payloads {
            let payload = payload.as_ref();
            let zxid = zxid_of(payload).expect("a transaction has a header");
            if last.is_some_and(|last| zxid <= last) {
                log::warn!(
                    "Current zxid {zxid:x} is <= {:x} for {}",
                    last.unwrap_or_default(),
                    crate::log_format::type_of(payload).unwrap_or_default()
                );
            }
            last = last.max(Some(zxid));
            write_record(&mut self.buffer, payload);
        }
        if is_new {
            self.begin_file(first)?
        } else {
            self.write_on()?
        }
        self.last = last;
        // A batch of unusual size does not stay in memory.
        self.buffer.truncate(0);
        self.buffer.shrink_to(1 << 20);
        Ok(())
    }

    /// Makes a file that begins with what is in the buffer.
    fn begin_file(&mut self, first: Zxid) -> Result<(), AppendError> {
        let path = self.directory.join(format!("{}{}", self.prefix, names::log_name(first)));
        let records_end = self.buffer.len() as u64;
        // As Java's: the header is there before the space is reckoned.
        let mut size = padded_size(FILE_HEADER.len() as u64, FILE_HEADER.len() as u64, self.options.pre_alloc_bytes);
        let filled = if size > records_end { size.min(records_end.next_multiple_of(FIRST_CHUNK_BYTES)) } else { records_end };
        self.buffer.resize(filled as usize, 0);
        let make = || -> io::Result<FileRef> {
            let file = self.disk.open(&path, OpenMode::Create)?;
            file.write_all_at(&self.buffer, 0)?;
            if size > filled {
                file.set_size(size)?;
            }
            Ok(file)
        };
        match make() {
            Ok(file) => {
                log::info!("Creating new log file: {}", names::log_name(first));
                size = size.max(filled);
                self.current = Some(Current {
                    file,
                    path,
                    position: records_end,
                    synced_position: 0,
                    size,
                    frontier: Arc::new(Mutex::new(Frontier { written: records_end, zeroed: filled, busy: false })),
                    is_named: false,
                });
                Ok(())
            }
            // The removal is durable, too: what is going to be refused must not be there after a power cut.
            Err(error) => match self.disk.remove(&path).and_then(|()| self.disk.sync_directory(&self.directory)) {
                Err(remove) if remove.kind() != io::ErrorKind::NotFound => {
                    Err(self.fail(format!("{}: {error}, then {remove}", path.display())))
                }
                _ if is_no_space(&error) => Err(AppendError::NoSpace),
                _ => Err(self.fail(format!("cannot make the log {}: {error}", path.display()))),
            },
        }
    }

    /// Writes what is in the buffer behind the last record.
    fn write_on(&mut self) -> Result<(), AppendError> {
        let current = self.current.as_mut().expect("a file is open");
        let size = padded_size(current.position, current.size, self.options.pre_alloc_bytes);
        let end = current.position + self.buffer.len() as u64;
        // From here on the helper keeps away from what is going to be written.
        lock(&current.frontier).written = end;
        let mut write = || -> io::Result<()> {
            if size > current.size {
                current.file.set_size(size)?;
                current.size = size;
            }
            let mut at = current.position;
            let mut pieces = self.buffer.chunks(PIECE_BYTES).peekable();
            while let Some(piece) = pieces.next() {
                current.file.write_all_at(piece, at)?;
                at += piece.len() as u64;
                if pieces.peek().is_some() && self.options.force_sync {
                    current.file.sync_data()?;
                }
            }
            Ok(())
        };
        match write() {
            Ok(()) => {
                current.position = end;
                current.size = current.size.max(end);
                Ok(())
            }
            Err(error) if is_no_space(&error) => {
                // Whatever part of the batch was written goes, and the space filled ahead with it: the next attempt
                // begins where this one did, over zeros.
                let position = current.position;
                let size = current.size;
                let mut frontier = lock(&current.frontier);
                // Durable, too: what is going to be refused must not be there after a power cut.
                let cut =
                    current.file.set_size(position).and_then(|()| current.file.set_size(size)).and_then(|()| current.file.sync_data());
                frontier.written = position;
                frontier.zeroed = position;
                drop(frontier);
                match cut {
                    Ok(()) => Err(AppendError::NoSpace),
                    Err(cut) => {
                        let reason = format!("{}: {error}, and cannot be cut back: {cut}", current.path.display());
                        Err(self.fail(reason))
                    }
                }
            }
            Err(error) => {
                let reason = format!("cannot write to the log {}: {error}", current.path.display());
                Err(self.fail(reason))
            }
        }
    }

    /// Makes everything appended durable: the file, and before its first acknowledgement its name.
    pub fn sync(&mut self) -> Result<Synced, SyncError> {
        self.check()?;
        let Some(current) = &mut self.current else {
            return Ok(Synced { through: self.synced, elapsed: Duration::ZERO, file_bytes: 0 });
        };
        let begun = Instant::now();
        let mut elapsed = Duration::ZERO;
        if self.options.force_sync && current.synced_position < current.position {
            let mut synced = current.file.sync_data();
            if synced.is_err() && mutant::is(Mutant::SyncRetried) {
                synced = current.file.sync_data();
            }
            elapsed = begun.elapsed();
            if synced.is_ok() && !current.is_named && !mutant::is(Mutant::LogNotNamed) {
                synced = self.disk.sync_directory(&self.directory);
            }
            if let Err(error) = synced {
                let reason = format!("cannot bring the log {} to the disk: {error}", current.path.display());
                return Err(match self.fail(reason) {
                    AppendError::Fatal(reason) => SyncError(reason),
                    AppendError::NoSpace => unreachable!("fail is fatal"),
                });
            }
            current.is_named = true;
        }
        current.synced_position = current.position;
        self.synced = self.last;
        let synced = Synced { through: self.synced, elapsed, file_bytes: current.size };
        if self.options.size_limit_bytes.is_some_and(|limit| current.size > limit) {
            self.leave_file();
        }
        Ok(synced)
    }

    /// Ends the current file: what was appended is synced, and the next append makes another.
    pub fn roll(&mut self) -> Result<Synced, SyncError> {
        let synced = self.sync()?;
        self.leave_file();
        Ok(synced)
    }

    fn leave_file(&mut self) {
        if let Some(current) = self.current.take() {
            self.earlier_bytes += current.size;
        }
    }

    /// Work for a helper thread, if there is some: filling the space that the log will need next. To be asked for after
    /// each append; costs nothing when there is no need.
    pub fn prepare_ahead(&mut self) -> Option<ZeroAhead> {
        let current = self.current.as_ref()?;
        let mut frontier = lock(&current.frontier);
        let until = (current.position + ZERO_AHEAD_BYTES).min(current.size);
        if self.failed.is_some() || frontier.busy || frontier.zeroed >= until || frontier.zeroed >= current.position + ZERO_AHEAD_BYTES / 2
        {
            return None;
        }
        frontier.busy = true;
        Some(ZeroAhead { disk: self.disk.clone(), path: current.path.clone(), frontier: current.frontier.clone(), until })
    }

    /// Fills the reserve file, if there is none; to be called at start and when space is back. `Ok(false)`: there is no
    /// space for it now.
    pub fn hold_reserve(&mut self) -> io::Result<bool> {
        if self.has_reserve || self.options.reserve_bytes == 0 {
            return Ok(true);
        }
        let path = self.directory.join(names::RESERVE);
        if self.disk.open(&path, OpenMode::Read).and_then(|file| file.size()).is_ok_and(|size| size == self.options.reserve_bytes) {
            self.has_reserve = true;
            return Ok(true);
        }
        let fill = || -> io::Result<()> {
            let file = self.disk.open(&path, OpenMode::Create)?;
            let zeros = vec![0; 1 << 20];
            let mut offset = 0;
            while offset < self.options.reserve_bytes {
                let n = (self.options.reserve_bytes - offset).min(zeros.len() as u64);
                file.write_all_at(&zeros[..n as usize], offset)?;
                offset += n;
            }
            Ok(())
        };
        match fill() {
            Ok(()) => self.has_reserve = true,
            Err(error) => {
                let _ = self.disk.remove(&path);
                if !is_no_space(&error) {
                    return Err(error);
                }
            }
        }
        Ok(self.has_reserve)
    }

    /// Gives the reserve back to the disk: a few megabytes for what must still be logged when all else is refused.
    /// Whether there was one.
    pub fn release_reserve(&mut self) -> io::Result<bool> {
        if !std::mem::take(&mut self.has_reserve) {
            return Ok(false);
        }
        self.disk.remove(&self.directory.join(names::RESERVE))?;
        Ok(true)
    }

    /// Syncs, and leaves a note that the log ends in good order, so that the next start need not doubt its tail.
    pub fn close(mut self) -> Result<(), SyncError> {
        self.sync()?;
        if let (Some(current), Some(last), true) = (&self.current, self.synced, self.options.force_sync) {
            let name = current.path.file_name().unwrap_or_default().to_string_lossy();
            let mark = CleanMark { log: name.into_owned(), end: current.position, last };
            if let Err(error) = write_atomically(&self.disk, &self.directory, names::CLEAN, mark.text().as_bytes()) {
                log::warn!("could not note that the log was closed in good order: {error}");
            }
        }
        Ok(())
    }

    /// The length of the current file, padding included (0 without one).
    pub fn current_bytes(&self) -> u64 {
        self.current.as_ref().map_or(0, |current| current.size)
    }

    /// The length of all logs, padding included.
    pub fn total_bytes(&self) -> u64 {
        self.earlier_bytes + self.current_bytes()
    }

    /// The last zxid appended, or found at start.
    pub fn last_appended(&self) -> Option<Zxid> {
        self.last
    }

    fn check(&self) -> Result<(), SyncError> {
        match &self.failed {
            Some(reason) => Err(SyncError(reason.clone())),
            None => Ok(()),
        }
    }

    fn fail(&mut self, reason: String) -> AppendError {
        self.failed = Some(reason.clone());
        AppendError::Fatal(reason)
    }
}

fn is_no_space(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// The note of a server that stopped in good order. It is checked against the log that it names, so a note that has
/// grown old (another program has written since) says nothing false.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CleanMark {
    pub(crate) log: String,
    pub(crate) end: u64,
    pub(crate) last: Zxid,
}

impl CleanMark {
    pub(crate) fn text(&self) -> String {
        format!("{} {} {:x}\n", self.log, self.end, self.last)
    }

    pub(crate) fn read(disk: &DiskRef, directory: &Path) -> Option<Self> {
        let text = String::from_utf8(disk.read(&directory.join(names::CLEAN)).ok()?).ok()?;
        let mut words = text.strip_suffix('\n')?.split(' ');
        let mark = Self {
            log: words.next()?.to_owned(),
            end: words.next()?.parse().ok()?,
            last: Zxid(i64::from_str_radix(words.next()?, 16).ok()?),
        };
        words.next().is_none().then_some(mark)
    }
}

/// Writes a small file so that after a crash either the old or the new content is there, whole: a temporary file, synced,
/// renamed, the directory synced.
pub(crate) fn write_atomically(disk: &DiskRef, directory: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let temporary = directory.join(format!("{}{name}", names::TEMPORARY_PREFIX));
    replace(disk, directory, &temporary, name, bytes)
}

/// As [`write_atomically`], with a temporary name of the caller's.
pub(crate) fn replace(disk: &DiskRef, directory: &Path, temporary: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let write = || -> io::Result<()> {
        let file = disk.open(temporary, OpenMode::Create)?;
        file.write_all_at(bytes, 0)?;
        file.sync_data()
    };
    if let Err(error) = write() {
        let _ = disk.remove(temporary);
        return Err(error);
    }
    disk.rename(temporary, &directory.join(name))?;
    disk.sync_directory(directory)
}
