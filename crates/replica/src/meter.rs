//! What reading and applying tell the metrics: plain numbers, for whoever counts to keep.
//!
//! Nothing here keeps a clock or a registry; the names of the metrics are the server's.

use oxkeeper_proto::txn::Txn;
use oxkeeper_proto::{EventType, SessionId};

/// Told of what is read and applied. All of it is optional; `()` counts nothing.
pub trait Meter {
    /// A read found the node at this path; `bytes` of data or of children's names.
    fn read(&mut self, _path: &str, _bytes: usize) {}

    /// A committed write was applied at this path; `bytes` of data.
    fn written(&mut self, _path: &str, _bytes: usize) {}

    /// A transaction with this time (milliseconds since 1970) was applied.
    fn applied(&mut self, _time_ms: i64) {}

    /// An ephemeral node went with its session.
    fn ephemeral_gone(&mut self, _session: SessionId, _path: &str) {}

    /// One change had so many watchers of this event.
    fn told(&mut self, _kind: EventType, _watchers: usize) {}
}

impl Meter for () {}

/// What is done at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathUse {
    /// Data, children or the Stat were read.
    Read,
    /// Created, changed or deleted.
    Written,
}

/// Whole paths, waiting for whoever finds the busiest: all of them, or on average one of so many, at distances that no
/// pattern of requests keeps step with. Filling it allocates nothing once it has grown.
#[derive(Clone, Debug, Default)]
pub struct PathLog {
    /// 0: none is noted.
    one_of: u32,
    /// How many are passed over before the next is noted.
    skip: u32,
    chance: u32,
    text: String,
    /// Where each ends in `text`, what was done, and how many it stands for.
    entries: Vec<(u32, PathUse, u32)>,
}

/// Of a longer path its beginning is noted.
const LONGEST_PATH_BYTES: usize = 512;

impl PathLog {
    /// From now on one of so many is noted; 1: all, 0: none.
    pub fn note_one_of(&mut self, one_of: u32) {
        if self.one_of != one_of {
            (self.one_of, self.skip) = (one_of, 0);
        }
    }

    /// Something was done at this path.
    #[inline]
    pub fn note(&mut self, path: &str, what: PathUse) {
        if self.skip > 0 {
            self.skip -= 1;
        } else if self.one_of > 0 {
            self.keep(path, what);
        }
    }

    fn keep(&mut self, path: &str, what: PathUse) {
        if self.one_of > 1 {
            // Marsaglia's xorshift: cheap, and irregular enough.
            let mut chance = self.chance | 1;
            chance ^= chance << 13;
            chance ^= chance >> 17;
            chance ^= chance << 5;
            self.chance = chance;
            // 0 to 2 (n - 1): one of n on average.
            self.skip = chance % (2 * self.one_of - 1);
        }
        let end = (0..=path.len().min(LONGEST_PATH_BYTES)).rev().find(|end| path.is_char_boundary(*end)).unwrap_or(0);
        self.text.push_str(&path[..end]);
        self.entries.push((self.text.len() as u32, what, self.one_of));
    }

    /// Whether none is waiting.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Gives each path, what was done, and how many of its kind it stands for, and forgets them.
    pub fn drain(&mut self, mut each: impl FnMut(&str, PathUse, u32)) {
        let mut start = 0;
        for (end, what, count) in self.entries.drain(..) {
            each(&self.text[start..end as usize], what, count);
            start = end as usize;
        }
        self.text.clear();
    }
}

/// Reads of one front, waiting for the metrics. Filling it allocates nothing once it has grown.
#[derive(Clone, Debug, Default)]
pub struct ReadLog {
    /// Whole paths of some of them.
    pub paths: PathLog,
    names: String,
    /// Where the first part of the path begins and ends in `names`, and the value.
    entries: Vec<(u32, u32, u64)>,
}

/// What a Stat adds to a read, bytes: Java's constant.
pub const STAT_BYTES: u64 = 68;

/// The first part of a path; `None` for the root.
pub fn namespace(path: &str) -> Option<&str> {
    let rest = path.strip_prefix('/')?;
    let name = rest.split('/').next().unwrap_or(rest);
    (!name.is_empty()).then_some(name)
}

impl Meter for ReadLog {
    fn read(&mut self, path: &str, bytes: usize) {
        self.paths.note(path, PathUse::Read);
        let Some(name) = namespace(path) else { return };
        let value = path.encode_utf16().count() as u64 + bytes as u64 + STAT_BYTES;
        // Neighbours are mostly of the same part.
        if let Some(&(start, end, _)) = self.entries.last()
            && self.names[start as usize..end as usize] == *name
        {
            self.entries.push((start, end, value));
            return;
        }
        let start = self.names.len() as u32;
        self.names.push_str(name);
        self.entries.push((start, self.names.len() as u32, value));
    }
}

impl ReadLog {
    /// Gives each first part of a path and the bytes of one read, in order, and forgets them.
    pub fn drain(&mut self, mut each: impl FnMut(&str, u64)) {
        for (start, end, value) in self.entries.drain(..) {
            each(&self.names[start as usize..end as usize], value);
        }
        self.names.clear();
    }
}

/// Tells of the writes of a transaction that was carried out.
pub(crate) fn note_writes(meter: &mut dyn Meter, txn: &Txn<'_>) {
    let length = |data: &Option<&[u8]>| data.map_or(0, <[u8]>::len);
    let (path, bytes) = match txn {
        Txn::Create(t) | Txn::Create2(t) => (&t.path, length(&t.data)),
        Txn::CreateTtl(t) => (&t.path, length(&t.data)),
        Txn::CreateContainer(t) => (&t.path, length(&t.data)),
        Txn::Delete(t) | Txn::DeleteContainer(t) => (&t.path, 0),
        Txn::SetData(t) => (&t.path, length(&t.data)),
        Txn::Multi(txns) => return txns.iter().for_each(|txn| note_writes(meter, txn)),
        Txn::CloseSession(Some(t)) => {
            for path in t.paths2_delete.iter().flatten().flatten() {
                meter.written(path, 0);
            }
            return;
        }
        _ => return,
    };
    if let Some(path) = path.as_deref() {
        meter.written(path, bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_are_kept_by_the_first_part_of_their_path() {
        let mut log = ReadLog::default();
        log.read("/", 5);
        log.read("/app", 10);
        log.read("/app/node", 0);
        log.read("/b", 1);
        log.read("/app", 2);
        let mut seen = Vec::new();
        log.drain(|name, value| seen.push((name.to_owned(), value)));
        let expected = [("app", 82), ("app", 77), ("b", 71), ("app", 74)];
        assert_eq!(seen, expected.map(|(name, value)| (name.to_owned(), value)));
        log.drain(|_, _| panic!("it was emptied"));
    }

    #[test]
    fn paths_are_noted_all_or_one_of_so_many() {
        let mut log = PathLog::default();
        log.note("/off", PathUse::Read);
        assert!(log.is_empty());
        log.note_one_of(1);
        let long = "ä".repeat(400);
        log.note(&long, PathUse::Read);
        log.note("/b", PathUse::Written);
        let mut seen = Vec::new();
        log.drain(|path, what, count| seen.push((path.to_owned(), what, count)));
        assert_eq!(seen, [("ä".repeat(256), PathUse::Read, 1), ("/b".to_owned(), PathUse::Written, 1)]);
        log.note_one_of(16);
        // Two paths in turn: who took every sixteenth would see one of them alone.
        let mut sums = [0_u32; 2];
        for at in 0..160_000 {
            log.note(["/a", "/b"][at % 2], PathUse::Read);
        }
        log.drain(|path, _, count| sums[usize::from(path == "/b")] += count);
        assert!(sums.iter().all(|sum| (70_000..90_000).contains(sum)), "{sums:?}");
    }
}
