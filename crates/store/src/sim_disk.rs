//! A disk in memory that loses power, fills up and fails, for tests and for the simulator.
//!
//! It has two halves: what a running program sees, and what would be left if the power went. Writing changes the
//! first, [`DiskFile::sync_data`] and [`Disk::sync_directory`] carry it to the second; [`SimDisk::power_cut`] carries a
//! random part of the rest. A sector of 512 bytes is never torn. No thread, clock or randomness of its own: one seed,
//! one outcome. Directories are made durable at once (only names of files within them are at stake).

use crate::disk::{Disk, DiskFile, Entry, FileRef, Lock, OpenMode};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

const SECTOR_BYTES: u64 = 512;
type Sector = [u8; SECTOR_BYTES as usize];
const ZEROS: Sector = [0; SECTOR_BYTES as usize];

/// The simulated disk; clones share it.
#[derive(Clone, Default)]
pub struct SimDisk(Arc<Mutex<State>>);

/// A failure that waits for its moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// The n-th sync from now on fails (0 is the next).
    Sync(u64),
    /// The n-th write from now on fails.
    Write(u64),
}

#[derive(Default)]
struct State {
    /// Grows with every crash: handles of an earlier life are dead.
    life: u64,
    directories: BTreeSet<PathBuf>,
    files: BTreeMap<u64, Inode>,
    next_inode: u64,
    seen: BTreeMap<PathBuf, u64>,
    durable: BTreeMap<PathBuf, u64>,
    pending_names: Vec<NameChange>,
    locks: BTreeSet<PathBuf>,
    faults: Vec<Fault>,
    capacity_bytes: Option<u64>,
    counts: Counts,
    /// After so many operations that change something the power is gone.
    power_left: Option<u64>,
    /// Before a rename to this name, or to one that begins so if it ends with a dot, the power is gone.
    power_ends_at: Option<String>,
    /// The power is gone, right before this.
    stopped_before: Option<String>,
}

/// What was asked of the disk so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Writes to files, truncations included.
    pub writes: u64,
    /// Syncs of files and of directories.
    pub syncs: u64,
}

#[derive(Clone)]
enum NameChange {
    Link(PathBuf, u64),
    Unlink(PathBuf, u64),
    Rename(PathBuf, PathBuf, u64),
}

impl NameChange {
    fn directory(&self) -> &Path {
        let path = match self {
            Self::Link(path, _) | Self::Unlink(path, _) | Self::Rename(path, ..) => path,
        };
        path.parent().unwrap_or(Path::new(""))
    }

    fn apply(&self, names: &mut BTreeMap<PathBuf, u64>) {
        match self {
            Self::Link(path, inode) => {
                names.insert(path.clone(), *inode);
            }
            Self::Unlink(path, inode) => {
                if names.get(path) == Some(inode) {
                    names.remove(path);
                }
            }
            Self::Rename(from, to, inode) => {
                if names.get(from) == Some(inode) {
                    names.remove(from);
                }
                names.insert(to.clone(), *inode);
            }
        }
    }
}

#[derive(Clone, Default)]
struct Inode {
    seen: Content,
    durable: Content,
    /// Sectors that differ, with the number of the write that made them so last.
    dirty: BTreeMap<u64, u64>,
    size_is_dirty: bool,
    /// Failures to write to the disk so far: each open file is told once of each.
    failures: u64,
}

#[derive(Clone, Default)]
struct Content {
    size: u64,
    sectors: BTreeMap<u64, Box<Sector>>,
}

impl Content {
    fn sector(&self, index: u64) -> &Sector {
        self.sectors.get(&index).map_or(&ZEROS, |sector| sector)
    }

    fn set_sector(&mut self, index: u64, sector: &Sector) {
        self.sectors.insert(index, Box::new(*sector));
    }

    /// Forgets what lies beyond the end, so that lengthening again shows zeros.
    fn cut(&mut self, size: u64) {
        self.size = size;
        self.sectors.split_off(&size.div_ceil(SECTOR_BYTES));
        if let Some(last) = self.sectors.get_mut(&(size / SECTOR_BYTES)) {
            last[(size % SECTOR_BYTES) as usize..].fill(0);
        }
    }

    fn read(&self, buffer: &mut [u8], offset: u64) -> usize {
        let n = (self.size.saturating_sub(offset) as usize).min(buffer.len());
        let mut done = 0;
        while done < n {
            let at = offset + done as u64;
            let start = (at % SECTOR_BYTES) as usize;
            let take = (n - done).min(SECTOR_BYTES as usize - start);
            buffer[done..done + take].copy_from_slice(&self.sector(at / SECTOR_BYTES)[start..start + take]);
            done += take;
        }
        n
    }
}

impl Inode {
    fn write(&mut self, bytes: &[u8], offset: u64, number: u64) {
        let mut at = offset;
        let mut rest = bytes;
        while !rest.is_empty() {
            let index = at / SECTOR_BYTES;
            let start = (at % SECTOR_BYTES) as usize;
            let n = rest.len().min(SECTOR_BYTES as usize - start);
            let mut sector = *self.seen.sector(index);
            sector[start..start + n].copy_from_slice(&rest[..n]);
            self.seen.set_sector(index, &sector);
            self.dirty.insert(index, number);
            at += n as u64;
            rest = &rest[n..];
        }
        if at > self.seen.size {
            self.seen.size = at;
            self.size_is_dirty = true;
        }
    }

    fn set_size(&mut self, size: u64, number: u64) {
        if size < self.seen.size {
            let first = size / SECTOR_BYTES;
            let gone: Vec<u64> = self
                .seen
                .sectors
                .range(first..)
                .map(|(index, _)| *index)
                .chain(self.durable.sectors.range(first..).map(|(index, _)| *index))
                .collect();
            self.dirty.extend(gone.into_iter().map(|index| (index, number)));
        }
        self.seen.cut(size);
        self.size_is_dirty = true;
    }

    fn persist(&mut self, index: u64) {
        match self.seen.sectors.get(&index) {
            Some(sector) => {
                let sector = sector.clone();
                self.durable.sectors.insert(index, sector);
            }
            None => {
                self.durable.sectors.remove(&index);
            }
        }
    }

    fn sync(&mut self) {
        for index in std::mem::take(&mut self.dirty).into_keys() {
            self.persist(index);
        }
        self.durable.size = self.seen.size;
        self.size_is_dirty = false;
        let size = self.durable.size;
        self.durable.cut(size);
    }

    /// A failed sync: some of it got there, and all of it looks clean from now on.
    fn lose(&mut self, random: &mut Random) {
        for index in std::mem::take(&mut self.dirty).into_keys() {
            if random.below(2) == 0 {
                self.persist(index);
            }
        }
        if self.size_is_dirty && random.below(2) == 0 {
            self.durable.size = self.seen.size;
        }
        self.size_is_dirty = false;
    }

    fn power_cut(&mut self, random: &mut Random) {
        let dirty = std::mem::take(&mut self.dirty);
        if self.size_is_dirty && random.below(3) > 0 {
            let size = self.seen.size;
            if size < self.durable.size {
                self.durable.cut(size);
            }
            self.durable.size = size;
        }
        self.size_is_dirty = false;
        // Either what was written before some moment, or any part of it.
        let in_order = random.below(2) == 0;
        let first = dirty.values().min().copied().unwrap_or(0);
        let last = dirty.values().max().copied().unwrap_or(0);
        let moment = first + random.below(last - first + 2);
        let share = random.below(5);
        for (index, number) in dirty {
            let kept = if in_order { number < moment } else { random.below(4) < share };
            if kept {
                self.persist(index);
            }
        }
        let size = self.durable.size;
        self.durable.cut(size);
        self.seen = self.durable.clone();
    }
}

/// SplitMix64: enough for faults, and no dependency.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

impl SimDisk {
    /// An empty disk.
    pub fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// A disk with the same two halves, which goes its own way from here.
    pub fn fork(&self) -> Self {
        let state = self.state();
        Self(Arc::new(Mutex::new(State {
            life: 0,
            directories: state.directories.clone(),
            files: state.files.clone(),
            next_inode: state.next_inode,
            seen: state.seen.clone(),
            durable: state.durable.clone(),
            pending_names: state.pending_names.clone(),
            locks: BTreeSet::new(),
            faults: Vec::new(),
            capacity_bytes: state.capacity_bytes,
            counts: state.counts,
            power_left: None,
            power_ends_at: None,
            stopped_before: None,
        })))
    }

    /// The process dies (kill -9): open files and locks are gone, written bytes stay as they are, unsynced.
    pub fn crash(&self) {
        let mut state = self.state();
        state.life += 1;
        state.locks.clear();
        state.faults.clear();
        (state.power_left, state.power_ends_at, state.stopped_before) = (None, None, None);
    }

    /// The power goes: of everything that was not synced a part is left that the seed chooses.
    pub fn power_cut(&self, seed: u64) {
        self.crash();
        let mut state = self.state();
        let random = &mut Random(seed);
        // Either the journal of a file system, which ends somewhere, or no order at all.
        let changes = std::mem::take(&mut state.pending_names);
        let in_order = random.below(2) == 0;
        let end = random.below(changes.len() as u64 + 1);
        let mut names = std::mem::take(&mut state.durable);
        for (i, change) in changes.iter().enumerate() {
            if if in_order { (i as u64) < end } else { random.below(2) == 0 } {
                change.apply(&mut names);
            }
        }
        state.seen.clone_from(&names);
        state.durable = names;
        let alive: BTreeSet<u64> = state.durable.values().copied().collect();
        state.files.retain(|inode, _| alive.contains(inode));
        for inode in state.files.values_mut() {
            inode.power_cut(random);
        }
    }

    /// The power goes at the worst moment: nothing is left of what was not synced.
    pub fn lose_unsynced(&self) {
        self.crash();
        let state = &mut *self.state();
        state.pending_names.clear();
        state.seen.clone_from(&state.durable);
        let alive: BTreeSet<u64> = state.durable.values().copied().collect();
        state.files.retain(|inode, _| alive.contains(inode));
        for inode in state.files.values_mut() {
            inode.dirty.clear();
            inode.size_is_dirty = false;
            inode.seen.clone_from(&inode.durable);
        }
    }

    /// The `nth` sync from now on fails with EIO; 0 is the next one. What it should have written is lost in part, and
    /// looks clean afterwards, as on Linux.
    pub fn fail_sync(&self, nth: u64) {
        self.state().faults.push(Fault::Sync(nth));
    }

    /// The `nth` write from now on fails with EIO.
    pub fn fail_write(&self, nth: u64) {
        self.state().faults.push(Fault::Write(nth));
    }

    /// The power goes right before the `nth` operation from now on that would change something (0 is the next): it and all
    /// that follow fail, and [`SimDisk::power_cut`] finds everything as it was then.
    pub fn stop_before(&self, nth: u64) {
        self.state().power_left = Some(nth);
    }

    /// The same, before the next rename to a file of this name; a name that ends with a dot stands for all that begin so.
    pub fn stop_before_rename(&self, name: &str) {
        self.state().power_ends_at = Some(name.to_owned());
    }

    /// What the power went before, if it has gone so: `write`, `sync`, `remove` or `rename`, and the name of the file.
    pub fn stopped_before(&self) -> Option<String> {
        self.state().stopped_before.clone()
    }

    /// The disk holds no more than this many bytes of data (holes cost nothing); `None` is without limit.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.state().capacity_bytes = bytes;
    }

    /// The bytes of data that are in use now.
    pub fn used_bytes(&self) -> u64 {
        self.state().used_bytes()
    }

    /// What was asked of the disk so far.
    pub fn counts(&self) -> Counts {
        self.state().counts
    }

    /// Bit rot: changes a byte of a file in both halves.
    pub fn rot(&self, path: &Path, offset: u64, change: impl Fn(u8) -> u8) {
        let mut state = self.state();
        let inode = state.seen[path];
        let inode = state.files.get_mut(&inode).expect("a named file exists");
        for content in [&mut inode.seen, &mut inode.durable] {
            let index = offset / SECTOR_BYTES;
            let mut sector = *content.sector(index);
            let byte = &mut sector[(offset % SECTOR_BYTES) as usize];
            *byte = change(*byte);
            content.set_sector(index, &sector);
        }
    }

    /// Puts a file there, durable with its name.
    pub fn put(&self, path: &Path, bytes: &[u8]) {
        let mut state = self.state();
        if let Some(parent) = path.parent() {
            state.make_directories(parent);
        }
        let number = state.add_inode();
        let inode = state.files.get_mut(&number).expect("just added");
        inode.write(bytes, 0, 0);
        inode.sync();
        state.seen.insert(path.to_owned(), number);
        state.durable.insert(path.to_owned(), number);
    }
}

impl State {
    fn used_bytes(&self) -> u64 {
        self.seen.values().map(|inode| self.files[inode].seen.sectors.len() as u64 * SECTOR_BYTES).sum()
    }

    fn add_inode(&mut self) -> u64 {
        self.next_inode += 1;
        self.files.insert(self.next_inode, Inode::default());
        self.next_inode
    }

    fn make_directories(&mut self, directory: &Path) {
        self.directories.extend(directory.ancestors().map(Path::to_owned));
    }

    fn due(&mut self, is_kind: impl Fn(&mut Fault) -> Option<&mut u64>) -> bool {
        let mut due = false;
        self.faults.retain_mut(|fault| match is_kind(fault) {
            Some(0) => {
                due = true;
                false
            }
            Some(left) => {
                *left -= 1;
                true
            }
            None => true,
        });
        due
    }

    /// The door of every operation that changes something.
    fn begin(&mut self, what: &str, path: &Path) -> io::Result<()> {
        if self.stopped_before.is_none() {
            if self.power_left.is_none() && self.power_ends_at.is_none() {
                return Ok(());
            }
            let name = path.file_name().unwrap_or_default().display().to_string();
            let is_awaited = self.power_ends_at.as_ref().is_some_and(|awaited| match awaited.ends_with('.') {
                true => name.starts_with(awaited),
                false => name == *awaited,
            });
            let is_due = self.power_left == Some(0) || (what == "rename" && is_awaited);
            self.power_left = self.power_left.map(|left| left.saturating_sub(1));
            if !is_due {
                return Ok(());
            }
            self.stopped_before = Some(format!("{what} {name}"));
        }
        Err(io::Error::other("injected: the power is gone"))
    }

    fn begin_in(&mut self, what: &str, inode: u64) -> io::Result<()> {
        if self.power_left.is_none() && self.stopped_before.is_none() {
            return Ok(());
        }
        let path = self.seen.iter().find(|(_, of)| **of == inode).map(|(path, _)| path.clone()).unwrap_or_default();
        self.begin(what, &path)
    }

    fn sync_is_due_to_fail(&mut self) -> bool {
        self.counts.syncs += 1;
        self.due(|fault| if let Fault::Sync(left) = fault { Some(left) } else { None })
    }

    fn write_is_due_to_fail(&mut self) -> bool {
        self.counts.writes += 1;
        self.due(|fault| if let Fault::Write(left) = fault { Some(left) } else { None })
    }
}

fn missing(path: &Path) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("{}: no such file", path.display()))
}

fn input_output_error() -> io::Error {
    io::Error::other("injected input/output error")
}

impl Disk for SimDisk {
    fn list(&self, directory: &Path) -> io::Result<Vec<Entry>> {
        let state = self.state();
        if !state.directories.contains(directory) {
            return Err(missing(directory));
        }
        let of = |(path, inode): (&PathBuf, &u64)| {
            (path.parent() == Some(directory)).then(|| Entry {
                name: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
                size: state.files[inode].seen.size,
            })
        };
        Ok(state.seen.iter().filter_map(of).collect())
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        let state = self.state();
        Ok(state.seen.contains_key(path) || state.directories.contains(path))
    }

    fn create_directories(&self, directory: &Path) -> io::Result<()> {
        self.state().make_directories(directory);
        Ok(())
    }

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<FileRef> {
        let mut state = self.state();
        if mode == OpenMode::Create {
            state.begin("create", path)?;
        }
        let inode = match (state.seen.get(path).copied(), mode) {
            (Some(inode), _) => inode,
            (None, OpenMode::Create) => {
                if !path.parent().is_some_and(|parent| state.directories.contains(parent)) {
                    return Err(missing(path));
                }
                let inode = state.add_inode();
                state.seen.insert(path.to_owned(), inode);
                state.pending_names.push(NameChange::Link(path.to_owned(), inode));
                inode
            }
            (None, _) => return Err(missing(path)),
        };
        if mode == OpenMode::Create {
            let number = state.counts.writes;
            let file = state.files.get_mut(&inode).expect("named");
            if file.seen.size > 0 {
                file.set_size(0, number);
            }
        }
        let told = AtomicU64::new(state.files[&inode].failures);
        Ok(Arc::new(SimFile { disk: self.clone(), inode, life: state.life, writable: mode != OpenMode::Read, told }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.begin("rename", to)?;
        let inode = state.seen.remove(from).ok_or_else(|| missing(from))?;
        state.seen.insert(to.to_owned(), inode);
        state.pending_names.push(NameChange::Rename(from.to_owned(), to.to_owned(), inode));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        if !state.seen.contains_key(path) {
            return Err(missing(path));
        }
        state.begin("remove", path)?;
        let inode = state.seen.remove(path).expect("looked at just now");
        state.pending_names.push(NameChange::Unlink(path.to_owned(), inode));
        Ok(())
    }

    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        let mut state = self.state();
        if !state.directories.contains(directory) {
            return Err(missing(directory));
        }
        state.begin("sync", directory)?;
        if state.sync_is_due_to_fail() {
            return Err(input_output_error());
        }
        let (now, later): (Vec<_>, Vec<_>) =
            std::mem::take(&mut state.pending_names).into_iter().partition(|change| change.directory() == directory);
        state.pending_names = later;
        for change in now {
            change.apply(&mut state.durable);
        }
        Ok(())
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Lock>> {
        let mut state = self.state();
        if !state.locks.insert(path.to_owned()) {
            return Ok(None);
        }
        Ok(Some(Box::new(SimLock { disk: self.clone(), path: path.to_owned(), life: state.life })))
    }
}

struct SimLock {
    disk: SimDisk,
    path: PathBuf,
    life: u64,
}

impl Drop for SimLock {
    fn drop(&mut self) {
        let mut state = self.disk.state();
        if state.life == self.life {
            state.locks.remove(&self.path);
        }
    }
}

struct SimFile {
    disk: SimDisk,
    inode: u64,
    life: u64,
    writable: bool,
    /// The failures that this open file has been told of.
    told: AtomicU64,
}

impl SimFile {
    fn with<T>(&self, change: impl FnOnce(&mut State) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.disk.state();
        if state.life != self.life || !state.files.contains_key(&self.inode) {
            return Err(io::Error::other("the process that opened this file is dead"));
        }
        change(&mut state)
    }

    fn read_only(&self) -> io::Result<()> {
        if self.writable { Ok(()) } else { Err(io::Error::new(io::ErrorKind::PermissionDenied, "opened for reading")) }
    }
}

impl DiskFile for SimFile {
    fn size(&self) -> io::Result<u64> {
        self.with(|state| Ok(state.files[&self.inode].seen.size))
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.with(|state| Ok(state.files[&self.inode].seen.read(buffer, offset)))
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.read_only()?;
        self.with(|state| {
            state.begin_in("write", self.inode)?;
            if state.write_is_due_to_fail() {
                return Err(input_output_error());
            }
            let number = state.counts.writes;
            let mut take = bytes.len();
            if let Some(capacity) = state.capacity_bytes {
                let first = offset / SECTOR_BYTES;
                let end = (offset + bytes.len() as u64).div_ceil(SECTOR_BYTES);
                let sectors = &state.files[&self.inode].seen.sectors;
                let mut free = capacity.saturating_sub(state.used_bytes()) / SECTOR_BYTES;
                for index in first..end {
                    if !sectors.contains_key(&index) {
                        if free == 0 {
                            // What still fits is written, as a real write does before it says ENOSPC.
                            take = (index * SECTOR_BYTES).saturating_sub(offset) as usize;
                            break;
                        }
                        free -= 1;
                    }
                }
            }
            let file = state.files.get_mut(&self.inode).expect("checked");
            file.write(&bytes[..take], offset, number);
            if take < bytes.len() { Err(io::Error::from(io::ErrorKind::StorageFull)) } else { Ok(()) }
        })
    }

    fn set_size(&self, size: u64) -> io::Result<()> {
        self.read_only()?;
        self.with(|state| {
            state.begin_in("cut", self.inode)?;
            if state.write_is_due_to_fail() {
                return Err(input_output_error());
            }
            let number = state.counts.writes;
            state.files.get_mut(&self.inode).expect("checked").set_size(size, number);
            Ok(())
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        self.with(|state| {
            state.begin_in("sync", self.inode)?;
            let failed = state.sync_is_due_to_fail();
            let mut random = Random(state.counts.syncs);
            let file = state.files.get_mut(&self.inode).expect("checked");
            if failed {
                file.lose(&mut random);
                file.failures += 1;
            } else {
                file.sync();
            }
            let is_new = self.told.swap(file.failures, Ordering::Relaxed) != file.failures;
            if is_new { Err(input_output_error()) } else { Ok(()) }
        })
    }

    fn next_data(&self, offset: u64) -> io::Result<Option<u64>> {
        self.with(|state| {
            let seen = &state.files[&self.inode].seen;
            let found = seen.sectors.range(offset / SECTOR_BYTES..).next().map(|(index, _)| (index * SECTOR_BYTES).max(offset));
            Ok(found.filter(|data| *data < seen.size))
        })
    }

    fn evict(&self) -> io::Result<()> {
        // Clean pages are read again from the platter.
        self.with(|state| {
            let file = state.files.get_mut(&self.inode).expect("checked");
            if file.dirty.is_empty() && !file.size_is_dirty {
                file.seen = file.durable.clone();
            }
            Ok(())
        })
    }
}
