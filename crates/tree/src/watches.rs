//! Watches of one reactor's connections: who wants to hear of which path.
//!
//! A watcher is a number, the slot of a connection. Each path that is watched is held once; the
//! watchers of a path and the paths of a watcher are compact sets. What an event is, and in which
//! order the tables are asked, follows from a [`Change`]; whether a watcher may hear of it (its
//! identities against the event's ACL) is asked by the reactor.

use crate::apply::Change;
use crate::id_set::IdSet;
use crate::id_table::IdTable;
use crate::slab::Slab;
use crate::tree::Tree;
use oxkeeper_proto::collections::Seeded;
use oxkeeper_proto::records::SetWatches2;
use oxkeeper_proto::{AclList, EventType, Zxid};
use std::hash::{BuildHasher, Hasher};

/// How a watch lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Gone when it fires.
    Standard,
    /// Stays.
    Persistent,
    /// Stays, and hears of all nodes below too; in the data table only.
    PersistentRecursive,
}

/// Which of the two tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Table {
    /// Of getData, exists and addWatch.
    Data,
    /// Of getChildren, and of addWatch where it is not recursive.
    Child,
}

/// What checkWatches and removeWatches name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(i32)]
pub enum WatcherType {
    /// Standard ones in the child table.
    Children = 1,
    /// Standard ones in the data table.
    Data = 2,
    /// All.
    Any = 3,
    /// Persistent ones.
    Persistent = 4,
    /// Recursive ones.
    PersistentRecursive = 5,
}

impl WatcherType {
    /// The type with this number on the wire.
    pub fn from_wire(number: i32) -> Option<Self> {
        [Self::Children, Self::Data, Self::Any, Self::Persistent, Self::PersistentRecursive].into_iter().find(|t| *t as i32 == number)
    }
}

/// An event and those who are to hear of it, if they may.
#[derive(Clone, Copy, Debug)]
pub struct Fired<'a> {
    /// What happened.
    pub kind: EventType,
    /// Where.
    pub path: &'a str,
    /// Who may hear of it: those who may read under this ACL.
    pub acl: &'a AclList,
    /// The watchers, ascending.
    pub watchers: &'a [u32],
}

/// An event of [`Watches::set_watches`]: it goes to the asking connection before the reply, with the
/// zxid -1 and no look at ACLs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatchUp<'a> {
    /// What has happened meanwhile.
    pub kind: EventType,
    /// Where.
    pub path: &'a str,
}

/// Counts for the reports of watches, all of the data table alone (as Java's) but the last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WatchSummary {
    /// Watchers with a watch.
    pub connections: usize,
    /// Watched paths.
    pub paths: usize,
    /// Pairs of a watcher and a path.
    pub watches: usize,
}

/// A path that somebody watches.
#[derive(Debug)]
struct Watched {
    /// Empty and without watchers: free.
    path: Box<str>,
    data: IdSet,
    child: IdSet,
    persistent: Option<Box<Persistent>>,
}

/// The watchers that stay, by table.
#[derive(Debug, Default)]
struct Persistent {
    data: IdSet,
    child: IdSet,
    recursive: IdSet,
}

impl Watched {
    fn set(&self, table: Table, mode: Mode) -> Option<&IdSet> {
        match (mode, table) {
            (Mode::Standard, Table::Data) => Some(&self.data),
            (Mode::Standard, Table::Child) => Some(&self.child),
            (Mode::Persistent, Table::Data) => self.persistent.as_ref().map(|p| &p.data),
            (Mode::Persistent, Table::Child) => self.persistent.as_ref().map(|p| &p.child),
            (Mode::PersistentRecursive, _) => self.persistent.as_ref().map(|p| &p.recursive),
        }
    }

    fn set_mut(&mut self, table: Table, mode: Mode) -> &mut IdSet {
        match (mode, table) {
            (Mode::Standard, Table::Data) => &mut self.data,
            (Mode::Standard, Table::Child) => &mut self.child,
            (Mode::Persistent, Table::Data) => &mut self.persistent.get_or_insert_default().data,
            (Mode::Persistent, Table::Child) => &mut self.persistent.get_or_insert_default().child,
            (Mode::PersistentRecursive, _) => &mut self.persistent.get_or_insert_default().recursive,
        }
    }

    fn contains(&self, table: Table, mode: Mode, watcher: u32) -> bool {
        self.set(table, mode).is_some_and(|set| set.contains(watcher))
    }

    /// Whether the watcher has any watch of that table here.
    fn is_in(&self, table: Table, watcher: u32) -> bool {
        match table {
            Table::Data => {
                self.data.contains(watcher)
                    || self.persistent.as_ref().is_some_and(|p| p.data.contains(watcher) || p.recursive.contains(watcher))
            }
            Table::Child => self.child.contains(watcher) || self.persistent.as_ref().is_some_and(|p| p.child.contains(watcher)),
        }
    }

    fn is_watched_by(&self, watcher: u32) -> bool {
        self.is_in(Table::Data, watcher) || self.is_in(Table::Child, watcher)
    }

    fn is_unwatched(&self) -> bool {
        self.data.is_empty()
            && self.child.is_empty()
            && self.persistent.as_ref().is_none_or(|p| p.data.is_empty() && p.child.is_empty() && p.recursive.is_empty())
    }

    /// All watchers of a table, ascending, each once.
    fn watchers(&self, table: Table, into: &mut Vec<u32>) {
        into.clear();
        match table {
            Table::Data => into.extend(self.data.iter()),
            Table::Child => into.extend(self.child.iter()),
        }
        if let Some(persistent) = &self.persistent {
            match table {
                Table::Data => into.extend(persistent.data.iter().chain(persistent.recursive.iter())),
                Table::Child => into.extend(persistent.child.iter()),
            }
        }
        sort_once(into);
    }
}

fn sort_once(watchers: &mut Vec<u32>) {
    // Bitmaps give ascending numbers: mostly there is nothing to do.
    if !watchers.is_sorted() {
        watchers.sort_unstable();
    }
    watchers.dedup();
}

/// A watcher's paths.
#[derive(Debug, Default)]
struct PathsOf {
    ids: IdSet,
    /// When it holds so many, those that fired are swept out.
    sweep_at: usize,
}

/// Sets that small are not worth a sweep.
const FIRST_SWEEP: usize = 64;

/// The watches of one reactor's connections.
#[derive(Debug, Default)]
pub struct Watches {
    paths: Slab<Watched>,
    free: Vec<u32>,
    table: IdTable,
    hasher: Seeded,
    /// The paths of each watcher, in either table. What has fired may still stand here: whoever
    /// reads it asks the path.
    watchers: Vec<PathsOf>,
    /// The generation of the last connection that has gone, by its slot; `None` before one has.
    gone: Vec<Option<u32>>,
    /// Watches that are recursive.
    recursive: usize,
    /// Pairs of path and watcher in the data table.
    data_watches: usize,
    /// Pairs of path and watcher in the child table.
    child_watches: usize,
    /// Kept between events for their memory.
    fired: Vec<u32>,
    suppressed: Vec<u32>,
}

const ALL_MODES: [Mode; 3] = [Mode::Standard, Mode::Persistent, Mode::PersistentRecursive];

impl Watches {
    /// No watches.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether nobody watches anything: then no change needs to come here.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.data_watches == 0 && self.child_watches == 0
    }

    /// Pairs of path and watcher, counted in each table: `zk_watch_count`.
    pub fn watch_count(&self) -> usize {
        self.data_watches + self.child_watches
    }

    fn hash(&self, path: &str) -> u64 {
        hash(&self.hasher, path)
    }

    fn find(&self, path: &str) -> Option<u32> {
        self.table.find(self.hash(path), |id| &*self.paths.get(id).path == path)
    }

    /// Adds a watch; false when it was there. A recursive one goes to the data table whatever is asked.
    pub fn add(&mut self, path: &str, watcher: u32, mode: Mode, table: Table) -> bool {
        let table = if mode == Mode::PersistentRecursive { Table::Data } else { table };
        let id = self.find(path).unwrap_or_else(|| self.insert(path));
        let watched = self.paths.get_mut(id);
        let was_in = watched.is_in(table, watcher);
        if !watched.set_mut(table, mode).insert(watcher) {
            return false;
        }
        self.recursive += usize::from(mode == Mode::PersistentRecursive);
        if !was_in {
            *self.count_mut(table) += 1;
        }
        if watcher as usize >= self.watchers.len() {
            self.watchers.resize_with(watcher as usize + 1, PathsOf::default);
        }
        let own = &mut self.watchers[watcher as usize];
        own.ids.insert(id);
        if own.ids.len() > own.sweep_at.max(FIRST_SWEEP) {
            self.sweep(watcher);
        }
        true
    }

    /// Forgets the paths of a watcher that it watches no more. Paid for by the adds since the last time.
    fn sweep(&mut self, watcher: u32) {
        let own = &mut self.watchers[watcher as usize];
        let gone: Vec<u32> = own.ids.iter().filter(|id| !self.paths.get(*id).is_watched_by(watcher)).collect();
        for id in gone {
            own.ids.remove(id);
        }
        own.sweep_at = own.ids.len() * 2;
    }

    /// What addWatch asks for: persistent in both tables, or recursive.
    pub fn add_persistent(&mut self, path: &str, watcher: u32, is_recursive: bool) {
        if is_recursive {
            self.add(path, watcher, Mode::PersistentRecursive, Table::Data);
        } else {
            self.add(path, watcher, Mode::Persistent, Table::Data);
            self.add(path, watcher, Mode::Persistent, Table::Child);
        }
    }

    fn count_mut(&mut self, table: Table) -> &mut usize {
        match table {
            Table::Data => &mut self.data_watches,
            Table::Child => &mut self.child_watches,
        }
    }

    fn insert(&mut self, path: &str) -> u32 {
        let new = Watched { path: path.into(), data: IdSet::default(), child: IdSet::default(), persistent: None };
        let id = match self.free.pop() {
            Some(id) => {
                *self.paths.get_mut(id) = new;
                id
            }
            None => self.paths.push(new),
        };
        let (paths, hasher) = (&self.paths, &self.hasher);
        self.table.insert(hash(hasher, path), id, |id| hash(hasher, &paths.get(id).path));
        id
    }

    /// Forgets a path that nobody watches any more.
    fn drop_unwatched(&mut self, id: u32) {
        if !self.paths.get(id).is_unwatched() {
            return;
        }
        let path = std::mem::take(&mut self.paths.get_mut(id).path);
        self.table.remove(self.hash(&path), id);
        self.paths.get_mut(id).persistent = None;
        self.free.push(id);
    }

    /// Whether the watcher has such a watch (checkWatches).
    pub fn contains(&self, path: &str, watcher: u32, kind: WatcherType) -> bool {
        let Some(id) = self.find(path) else { return false };
        let watched = self.paths.get(id);
        match kind {
            WatcherType::Children => watched.contains(Table::Child, Mode::Standard, watcher),
            WatcherType::Data => watched.contains(Table::Data, Mode::Standard, watcher),
            WatcherType::Any => watched.is_in(Table::Child, watcher) || watched.is_in(Table::Data, watcher),
            WatcherType::Persistent => watched.contains(Table::Data, Mode::Persistent, watcher),
            WatcherType::PersistentRecursive => watched.contains(Table::Data, Mode::PersistentRecursive, watcher),
        }
    }

    /// Takes such watches back (removeWatches); false when there is none.
    pub fn remove(&mut self, path: &str, watcher: u32, kind: WatcherType) -> bool {
        let Some(id) = self.find(path) else { return false };
        let what: &[(Table, &[Mode])] = match kind {
            WatcherType::Children => &[(Table::Child, &[Mode::Standard])],
            WatcherType::Data => &[(Table::Data, &[Mode::Standard])],
            WatcherType::Persistent => &[(Table::Child, &[Mode::Persistent]), (Table::Data, &[Mode::Persistent])],
            WatcherType::PersistentRecursive => &[(Table::Data, &[Mode::PersistentRecursive])],
            WatcherType::Any => &[(Table::Child, &ALL_MODES), (Table::Data, &ALL_MODES)],
        };
        let mut is_removed = false;
        for (table, modes) in what {
            for mode in *modes {
                is_removed |= self.take(id, watcher, *table, *mode);
            }
        }
        if is_removed {
            self.settle(id, watcher);
            self.drop_unwatched(id);
        }
        is_removed
    }

    /// Takes one watch out of its set and keeps the counts.
    fn take(&mut self, id: u32, watcher: u32, table: Table, mode: Mode) -> bool {
        if mode == Mode::PersistentRecursive && table == Table::Child {
            return false;
        }
        let watched = self.paths.get_mut(id);
        if !watched.contains(table, mode, watcher) {
            return false;
        }
        watched.set_mut(table, mode).remove(watcher);
        let is_still_in = watched.is_in(table, watcher);
        self.recursive -= usize::from(mode == Mode::PersistentRecursive);
        if !is_still_in {
            *self.count_mut(table) -= 1;
        }
        true
    }

    /// Forgets that the watcher has this path, if it has no watch of it left.
    fn settle(&mut self, id: u32, watcher: u32) {
        if !self.paths.get(id).is_watched_by(watcher) {
            self.watchers[watcher as usize].ids.remove(id);
        }
    }

    /// The connection that has this slot now, `generation`, has gone: no watch may be set for it any more. Its slot is used
    /// again, with later generations.
    pub fn close(&mut self, watcher: u32, generation: u32) {
        self.remove_watcher(watcher);
        if self.gone.len() <= watcher as usize {
            self.gone.resize(watcher as usize + 1, None);
        }
        self.gone[watcher as usize] = Some(generation);
    }

    /// Whether this connection has gone, and another has its slot or will.
    pub fn is_closed(&self, watcher: u32, generation: u32) -> bool {
        let gone = self.gone.get(watcher as usize).copied().flatten();
        gone.is_some_and(|gone| gone.wrapping_sub(generation) as i32 >= 0)
    }

    /// A connection has gone: so have its watches.
    pub fn remove_watcher(&mut self, watcher: u32) {
        let Some(own) = self.watchers.get_mut(watcher as usize) else { return };
        for id in std::mem::take(own).ids.iter() {
            let mut is_removed = false;
            for table in [Table::Data, Table::Child] {
                for mode in ALL_MODES {
                    is_removed |= self.take(id, watcher, table, mode);
                }
            }
            if is_removed {
                self.drop_unwatched(id);
            }
        }
    }

    /// Tells `fired` of each event that a change is to someone, in the order of the protocol, and
    /// takes out the watches that fire once.
    pub fn fire(&mut self, change: &Change<'_>, fired: &mut dyn FnMut(Fired<'_>)) {
        if self.is_empty() {
            return;
        }
        match *change {
            Change::Created { path, acl, parent_acl } => {
                self.fire_at(Table::Data, EventType::NodeCreated, path, acl, fired);
                self.fire_at(Table::Child, EventType::NodeChildrenChanged, parent(path), parent_acl, fired);
            }
            Change::Deleted { path, acl, parent_acl } => {
                self.fire_at(Table::Data, EventType::NodeDeleted, path, acl, fired);
                // Who has heard of it from the first table does not hear of it again.
                std::mem::swap(&mut self.fired, &mut self.suppressed);
                self.consume(Table::Child, path);
                let heard = &self.suppressed;
                self.fired.retain(|watcher| heard.binary_search(watcher).is_err());
                if !self.fired.is_empty() {
                    fired(Fired { kind: EventType::NodeDeleted, path, acl, watchers: &self.fired });
                }
                self.fire_at(Table::Child, EventType::NodeChildrenChanged, parent(path), parent_acl, fired);
            }
            Change::DataChanged { path, acl } => {
                let path = if path.is_empty() { "/" } else { path };
                self.fire_at(Table::Data, EventType::NodeDataChanged, path, acl, fired);
            }
        }
    }

    fn fire_at(&mut self, table: Table, kind: EventType, path: &str, acl: &AclList, fired: &mut dyn FnMut(Fired<'_>)) {
        self.consume(table, path);
        if !self.fired.is_empty() {
            fired(Fired { kind, path, acl, watchers: &self.fired });
        }
    }

    /// Leaves in `self.fired` the watchers of an event at a path, and takes out those that fire once.
    fn consume(&mut self, table: Table, path: &str) {
        self.fired.clear();
        if let Some(id) = self.find(path) {
            let watched = self.paths.get_mut(id);
            watched.watchers(table, &mut self.fired);
            let once = std::mem::take(watched.set_mut(table, Mode::Standard));
            if !once.is_empty() {
                let watched = self.paths.get(id);
                // A watcher that has nothing else here keeps the path in its own set until it is swept:
                // an event for ten thousand touches one set, not ten thousand.
                let gone = match &watched.persistent {
                    None => once.len(),
                    Some(_) => once.iter().filter(|watcher| !watched.is_in(table, *watcher)).count(),
                };
                *self.count_mut(table) -= gone;
                self.drop_unwatched(id);
            }
        }
        if table == Table::Data && self.recursive > 0 {
            let mut above = path;
            while above.len() > 1 {
                above = parent(above);
                if let Some(id) = self.find(above)
                    && let Some(persistent) = &self.paths.get(id).persistent
                {
                    self.fired.extend(persistent.recursive.iter());
                }
            }
            sort_once(&mut self.fired);
        }
    }

    /// Registers again what a client watched on its last connection, and tells of what it missed:
    /// lists in their order, `relative_zxid` being the last that it has seen.
    pub fn set_watches<'r>(&mut self, tree: &Tree, request: &'r SetWatches2<'_>, watcher: u32, relative_zxid: Zxid) -> Vec<CatchUp<'r>> {
        let mut missed = Vec::new();
        for path in list(&request.data_watches) {
            match tree.get(path) {
                None => missed.push(CatchUp { kind: EventType::NodeDeleted, path }),
                Some(node) if node.persisted().mzxid > relative_zxid.0 => missed.push(CatchUp { kind: EventType::NodeDataChanged, path }),
                Some(_) => {
                    self.add(path, watcher, Mode::Standard, Table::Data);
                }
            }
        }
        for path in list(&request.exist_watches) {
            match tree.get(path) {
                Some(_) => missed.push(CatchUp { kind: EventType::NodeCreated, path }),
                None => {
                    self.add(path, watcher, Mode::Standard, Table::Data);
                }
            }
        }
        for path in list(&request.child_watches) {
            match tree.get(path) {
                None => missed.push(CatchUp { kind: EventType::NodeDeleted, path }),
                Some(node) if node.persisted().pzxid > relative_zxid.0 => {
                    missed.push(CatchUp { kind: EventType::NodeChildrenChanged, path });
                }
                Some(_) => {
                    self.add(path, watcher, Mode::Standard, Table::Child);
                }
            }
        }
        for path in list(&request.persistent_watches) {
            self.add_persistent(path, watcher, false);
        }
        for path in list(&request.persistent_recursive_watches) {
            self.add_persistent(path, watcher, true);
        }
        missed
    }

    // ------------------------------------------------------------------------------ reports

    /// The counts of `wchs`. Visits every watched path.
    pub fn summary(&self) -> WatchSummary {
        let paths = self.paths.iter().filter(|watched| has_data_watcher(watched)).count();
        let connections = self.watchers.iter().enumerate().filter(|(watcher, _)| self.paths_of(*watcher as u32).next().is_some());
        WatchSummary { connections: connections.count(), paths, watches: self.data_watches }
    }

    /// The paths that a watcher has in the data table (`wchc`).
    pub fn paths_of(&self, watcher: u32) -> impl Iterator<Item = &str> {
        let ids = self.watchers.get(watcher as usize).into_iter().flat_map(|own| own.ids.iter());
        ids.map(|id| self.paths.get(id)).filter(move |w| w.is_in(Table::Data, watcher)).map(|w| &*w.path)
    }

    /// Every path of the data table with its watchers (`wchp`).
    pub fn by_path(&self) -> impl Iterator<Item = (&str, Vec<u32>)> {
        self.paths.iter().filter(|watched| has_data_watcher(watched)).map(|watched| {
            let mut watchers = Vec::new();
            watched.watchers(Table::Data, &mut watchers);
            (&*watched.path, watchers)
        })
    }
}

fn has_data_watcher(watched: &Watched) -> bool {
    !watched.data.is_empty() || watched.persistent.as_ref().is_some_and(|p| !p.data.is_empty() || !p.recursive.is_empty())
}

/// The path above; "/" above top-level nodes and above itself.
fn parent(path: &str) -> &str {
    match path.rfind('/') {
        Some(0) | None => "/",
        Some(at) => &path[..at],
    }
}

fn hash(hasher: &Seeded, path: &str) -> u64 {
    let mut state = hasher.build_hasher();
    state.write(path.as_bytes());
    state.finish()
}

/// The strings of a list; null ones stand for no path at all.
fn list<'r>(list: &'r Option<Vec<Option<std::borrow::Cow<'_, str>>>>) -> impl Iterator<Item = &'r str> {
    list.iter().flatten().flatten().map(|path| &**path)
}
