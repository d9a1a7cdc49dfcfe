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

/// Reads of one front, waiting for the metrics. Filling it allocates nothing once it has grown.
#[derive(Clone, Debug, Default)]
pub struct ReadLog {
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
}
