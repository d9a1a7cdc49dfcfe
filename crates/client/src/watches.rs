//! The tables of watches that a client keeps: who waits for what, whom an event is for, and what a new connection has
//! to be told. Paths are the server's, chroot and all.

use crate::operation::{TableKind, WatchesToRemove};
use crate::output::WatcherId;
use oxkeeper_proto::collections::{HashMap, HashSet};
use oxkeeper_proto::{ErrorCode, EventType, OpCode, Write};

/// The tables.
#[derive(Debug, Default)]
pub(crate) struct Watches {
    data: Table,
    exist: Table,
    child: Table,
    persistent: Table,
    recursive: Table,
}

type Table = HashMap<Box<[u8]>, Watchers>;

/// Most paths have one watcher: no memory of its own for it.
#[derive(Debug)]
enum Watchers {
    One(WatcherId),
    Many(Vec<WatcherId>),
}

impl Watchers {
    fn as_slice(&self) -> &[WatcherId] {
        match self {
            Self::One(watcher) => std::slice::from_ref(watcher),
            Self::Many(watchers) => watchers,
        }
    }

    /// Each is kept once, the oldest first.
    fn add(&mut self, watcher: WatcherId) {
        match self {
            Self::One(one) if *one == watcher => {}
            Self::One(one) => *self = Self::Many(vec![*one, watcher]),
            Self::Many(many) if many.contains(&watcher) => {}
            Self::Many(many) => many.push(watcher),
        }
    }

    /// Whether none is left.
    fn remove(&mut self, watcher: WatcherId) -> bool {
        match self {
            Self::One(one) => *one == watcher,
            Self::Many(many) => {
                many.retain(|other| *other != watcher);
                many.is_empty()
            }
        }
    }
}

/// So many bytes of paths go into one SetWatches, and not the path after it (Java's limit; C sends all in one, which a
/// server refuses from `jute.maxbuffer` on).
const SET_WATCHES_BYTES: usize = 128 * 1024;

/// Lists shorter than this are searched through where they must not repeat.
const SHORT: usize = 16;

impl Watches {
    /// Registers what a request asked for, if its reply is of the kind that does.
    pub fn arm(&mut self, rule: TableKind, error: ErrorCode, path: &[u8], watcher: WatcherId) {
        let table = match (rule, error) {
            (TableKind::Data | TableKind::Exist, ErrorCode::OK) => &mut self.data,
            (TableKind::Exist, ErrorCode::NO_NODE) => &mut self.exist,
            (TableKind::Child, ErrorCode::OK) => &mut self.child,
            (TableKind::Persistent, ErrorCode::OK) => &mut self.persistent,
            (TableKind::PersistentRecursive, ErrorCode::OK) => &mut self.recursive,
            _ => return,
        };
        match table.get_mut(path) {
            Some(watchers) => watchers.add(watcher),
            None => drop(table.insert(path.into(), Watchers::One(watcher))),
        }
    }

    /// Whether such a watch is known; with no watcher named, always: then the server is asked (C's rule).
    pub fn knows(&self, path: &[u8], which: WatchesToRemove, watcher: Option<WatcherId>) -> bool {
        let Some(watcher) = watcher else { return true };
        let all = [&self.child, &self.data, &self.exist, &self.persistent, &self.recursive];
        all.iter()
            .zip(chosen(which))
            .any(|(table, is_chosen)| is_chosen && table.get(path).is_some_and(|w| w.as_slice().contains(&watcher)))
    }

    /// The tables in which anyone waits for this path.
    pub fn tables(&self, path: &[u8]) -> Vec<TableKind> {
        let all = [
            (TableKind::Child, &self.child),
            (TableKind::Data, &self.data),
            (TableKind::Exist, &self.exist),
            (TableKind::Persistent, &self.persistent),
            (TableKind::PersistentRecursive, &self.recursive),
        ];
        all.into_iter().filter(|(_, table)| table.contains_key(path)).map(|(kind, _)| kind).collect()
    }

    /// Forgets one watcher of a path, or all of them.
    pub fn disarm(&mut self, path: &[u8], which: WatchesToRemove, watcher: Option<WatcherId>) {
        let all = [&mut self.child, &mut self.data, &mut self.exist, &mut self.persistent, &mut self.recursive];
        for (table, is_chosen) in all.into_iter().zip(chosen(which)) {
            if !is_chosen {
                continue;
            }
            let is_empty = match (table.get_mut(path), watcher) {
                (None, _) => false,
                (Some(_), None) => true,
                (Some(watchers), Some(watcher)) => watchers.remove(watcher),
            };
            if is_empty {
                table.remove(path);
            }
        }
    }

    /// Whom an event of the server is for, in the order to call them, each once: those of child watches, then exist,
    /// then data, the oldest first (C's order), then persistent ones. One-shot watches are consumed.
    pub fn fire(&mut self, kind: i32, path: &[u8], fired: &mut Vec<WatcherId>) {
        fired.clear();
        let is_change = kind == EventType::NodeCreated as i32 || kind == EventType::NodeDataChanged as i32;
        let is_delete = kind == EventType::NodeDeleted as i32;
        let is_child = kind == EventType::NodeChildrenChanged as i32;
        // A watcher in several tables is called in its place of the later group.
        let data = if is_change || is_delete { self.data.remove(path) } else { None };
        let exist = if is_change || is_delete { self.exist.remove(path) } else { None };
        let child = if is_child || is_delete { self.child.remove(path) } else { None };
        let slice = |watchers: &'_ Option<Watchers>| watchers.as_ref().map_or(0, |watchers| watchers.as_slice().len());
        if slice(&data) + slice(&exist) + slice(&child) == 1 {
            let one = data.or(exist).or(child).expect("one of them has it");
            fired.extend_from_slice(one.as_slice());
        } else {
            let mut seen = Seen::default();
            for group in [data, exist, child].into_iter().flatten() {
                // Later groups are called first: gather backwards, then turn all of it round.
                let at = fired.len();
                fired.extend(group.as_slice().iter().filter(|watcher| seen.is_new(**watcher)));
                fired[at..].reverse();
            }
            fired.reverse();
        }
        if self.persistent.is_empty() && self.recursive.is_empty() || !(is_change || is_delete || is_child) {
            return;
        }
        let mut seen = Seen::default();
        for watcher in fired.iter() {
            seen.is_new(*watcher);
        }
        let own = self.persistent.get(path).into_iter();
        // A recursive watch never hears of children: it hears of the children themselves.
        let above = if is_child || self.recursive.is_empty() { None } else { Some(with_ancestors(path)) };
        let above = above.into_iter().flatten().filter_map(|path| self.recursive.get(path));
        for watchers in own.chain(above) {
            fired.extend(watchers.as_slice().iter().filter(|watcher| seen.is_new(**watcher)));
        }
    }

    /// Everyone who waits for anything, each once; `last` comes at the end.
    pub fn all(&self, last: WatcherId, all: &mut Vec<WatcherId>) {
        all.clear();
        let mut seen = Seen::default();
        seen.is_new(last);
        for table in [&self.child, &self.exist, &self.data, &self.persistent, &self.recursive] {
            for watchers in table.values() {
                all.extend(watchers.as_slice().iter().filter(|watcher| seen.is_new(**watcher)));
            }
        }
        all.push(last);
    }

    /// Appends the frames that make a server watch all of it again: setWatches, and setWatches2 where persistent
    /// watches are in it (older servers know only the first).
    pub fn push_set_watches(&self, last_zxid: i64, xid: i32, out: &mut Vec<u8>) {
        let tables = [&self.data, &self.exist, &self.child, &self.persistent, &self.recursive];
        let mut paths = tables.iter().enumerate().flat_map(|(number, table)| table.keys().map(move |path| (number, path))).peekable();
        while paths.peek().is_some() {
            let mut lists: [(i32, Vec<u8>); 5] = Default::default();
            let mut bytes = 0;
            while bytes < SET_WATCHES_BYTES {
                let Some((number, path)) = paths.next() else { break };
                bytes += path.len();
                lists[number].0 += 1;
                lists[number].1.buffer(Some(path));
            }
            let is_classic = lists[3].0 == 0 && lists[4].0 == 0;
            let lists = if is_classic { &lists[..3] } else { &lists[..] };
            let length = 4 + 4 + 8 + lists.iter().map(|(_, bytes)| 4 + bytes.len()).sum::<usize>();
            out.int(i32::try_from(length).expect("a path is shorter than 2 GiB"));
            out.int(xid);
            out.int(if is_classic { OpCode::SET_WATCHES.0 } else { OpCode::SET_WATCHES2.0 });
            out.long(last_zxid);
            for (count, bytes) in lists {
                out.int(*count);
                out.extend_from_slice(bytes);
            }
        }
    }
}

/// For the tables child, data, exist, persistent, recursive.
fn chosen(which: WatchesToRemove) -> [bool; 5] {
    match which {
        WatchesToRemove::Children => [true, false, false, false, false],
        WatchesToRemove::Data => [false, true, true, false, false],
        WatchesToRemove::Any => [true; 5],
        WatchesToRemove::Persistent => [false, false, false, true, false],
        WatchesToRemove::PersistentRecursive => [false, false, false, false, true],
    }
}

/// The path and all above it, the root last.
fn with_ancestors(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::successors(Some(path), |path| {
        if *path == b"/" {
            return None;
        }
        match path.iter().rposition(|byte| *byte == b'/') {
            None => None,
            Some(0) => Some(&path[..1]),
            Some(slash) => Some(&path[..slash]),
        }
    })
}

/// Which watchers have been seen: a list while it is short.
#[derive(Default)]
struct Seen {
    few: Vec<WatcherId>,
    many: HashSet<WatcherId>,
}

impl Seen {
    fn is_new(&mut self, watcher: WatcherId) -> bool {
        if self.many.is_empty() {
            if self.few.contains(&watcher) {
                return false;
            }
            self.few.push(watcher);
            if self.few.len() > SHORT {
                self.many.extend(self.few.drain(..));
            }
            return true;
        }
        self.many.insert(watcher)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATA: i32 = EventType::NodeDataChanged as i32;
    const DELETED: i32 = EventType::NodeDeleted as i32;
    const CHILDREN: i32 = EventType::NodeChildrenChanged as i32;

    fn armed(list: &[(TableKind, ErrorCode, &str, u128)]) -> Watches {
        let mut watches = Watches::default();
        for (rule, error, path, watcher) in list {
            watches.arm(*rule, *error, path.as_bytes(), WatcherId(*watcher));
        }
        watches
    }

    fn fired(watches: &mut Watches, kind: i32, path: &str) -> Vec<u128> {
        let mut fired = Vec::new();
        watches.fire(kind, path.as_bytes(), &mut fired);
        fired.iter().map(|watcher| watcher.0).collect()
    }

    #[test]
    fn watchers_are_called_in_the_order_of_c_and_once() {
        use TableKind::{Child, Data, Exist};
        let mut watches = armed(&[
            (Data, ErrorCode::OK, "/a", 1),
            (Data, ErrorCode::OK, "/a", 2),
            (Data, ErrorCode::OK, "/a", 1),
            (Exist, ErrorCode::NO_NODE, "/a", 3),
            (Exist, ErrorCode::OK, "/a", 4),
            (Exist, ErrorCode::NO_NODE, "/a", 2),
            (Child, ErrorCode::OK, "/a", 5),
            (Child, ErrorCode::OK, "/a", 6),
            (Child, ErrorCode::OK, "/a", 1),
            (Child, ErrorCode::NO_NODE, "/a", 7),
        ]);
        assert_eq!(fired(&mut watches, DELETED, "/a"), [5, 6, 3, 1, 2, 4]);
        assert_eq!(fired(&mut watches, DELETED, "/a"), []);
    }

    #[test]
    fn an_event_takes_only_its_tables() {
        use TableKind::{Child, Data};
        let mut watches = armed(&[(Data, ErrorCode::OK, "/a", 1), (Child, ErrorCode::OK, "/a", 2), (Data, ErrorCode::NO_NODE, "/a", 3)]);
        assert_eq!(fired(&mut watches, CHILDREN, "/a"), [2]);
        assert_eq!(fired(&mut watches, 99, "/a"), []);
        assert_eq!(fired(&mut watches, DATA, "/b"), []);
        assert_eq!(fired(&mut watches, DATA, "/a"), [1]);
    }

    #[test]
    fn persistent_watches_stay_and_recursive_ones_hear_from_below() {
        use TableKind::{Data, Persistent, PersistentRecursive};
        let mut watches = armed(&[
            (Persistent, ErrorCode::OK, "/a/b", 1),
            (PersistentRecursive, ErrorCode::OK, "/a", 2),
            (PersistentRecursive, ErrorCode::OK, "/", 3),
            (Data, ErrorCode::OK, "/a/b", 3),
        ]);
        assert_eq!(fired(&mut watches, DATA, "/a/b"), [3, 1, 2]);
        assert_eq!(fired(&mut watches, DATA, "/a/b"), [1, 2, 3]);
        assert_eq!(fired(&mut watches, CHILDREN, "/a/b"), [1]);
        assert_eq!(fired(&mut watches, DELETED, "/ab"), [3]);
        watches.disarm(b"/a", WatchesToRemove::PersistentRecursive, None);
        watches.disarm(b"/a/b", WatchesToRemove::Persistent, Some(WatcherId(9)));
        assert_eq!(fired(&mut watches, DATA, "/a/b"), [1, 3]);
    }

    #[test]
    fn everyone_hears_of_the_session_once_and_the_default_watcher_last() {
        use TableKind::{Child, Data, PersistentRecursive};
        let mut list = vec![(Child, ErrorCode::OK, "/a", 7), (PersistentRecursive, ErrorCode::OK, "/a", 8)];
        list.extend((0..100).map(|number| (Data, ErrorCode::OK, "/a", number % 50)));
        let watches = armed(&list);
        let mut all = Vec::new();
        watches.all(WatcherId(7), &mut all);
        assert_eq!(all.last(), Some(&WatcherId(7)));
        all.sort();
        assert_eq!(all, (0..50).map(WatcherId).collect::<Vec<_>>());
    }

    #[test]
    fn watches_are_known_by_watcher_and_kind() {
        let watches = armed(&[(TableKind::Exist, ErrorCode::NO_NODE, "/a", 1)]);
        assert!(watches.knows(b"/a", WatchesToRemove::Data, Some(WatcherId(1))));
        assert!(watches.knows(b"/a", WatchesToRemove::Any, Some(WatcherId(1))));
        assert!(!watches.knows(b"/a", WatchesToRemove::Children, Some(WatcherId(1))));
        assert!(!watches.knows(b"/a", WatchesToRemove::Any, Some(WatcherId(2))));
        assert!(watches.knows(b"/b", WatchesToRemove::Any, None));
    }

    #[test]
    fn set_watches_is_split_by_size_and_version() {
        let mut watches = Watches::default();
        let mut out = Vec::new();
        watches.push_set_watches(5, -8, &mut out);
        assert_eq!(out, []);
        for number in 0..300 {
            watches.arm(TableKind::Data, ErrorCode::OK, format!("/{number:01000}").as_bytes(), WatcherId(1));
        }
        watches.arm(TableKind::Persistent, ErrorCode::OK, b"/p", WatcherId(1));
        watches.push_set_watches(5, -8, &mut out);
        let mut kinds = Vec::new();
        let mut count = 0;
        let mut rest = &out[..];
        while !rest.is_empty() {
            let length = u32::from_be_bytes(*rest.first_chunk().unwrap()) as usize;
            let frame = &rest[4..4 + length];
            assert!(length < SET_WATCHES_BYTES + 4096);
            assert_eq!(&frame[..4], (-8i32).to_be_bytes());
            let kind = OpCode(i32::from_be_bytes(*frame[4..].first_chunk().unwrap()));
            kinds.push(kind);
            let mut r = oxkeeper_proto::Reader::new(&frame[8..]);
            assert_eq!(r.long(), Ok(5));
            for _ in 0..if kind == OpCode::SET_WATCHES { 3 } else { 5 } {
                count += r.vector(|r| r.buffer()).unwrap().unwrap().len();
            }
            assert!(r.rest().is_empty());
            rest = &rest[4 + length..];
        }
        assert_eq!(kinds, [OpCode::SET_WATCHES, OpCode::SET_WATCHES, OpCode::SET_WATCHES2]);
        assert_eq!(count, 301);
    }
}
