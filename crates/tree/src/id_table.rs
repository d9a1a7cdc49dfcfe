//! A hash table whose entries are 4-byte ids: the keys stand where the ids point to.
//!
//! It grows by splitting one segment of 1024 places at a time (extendible hashing), so no insert
//! costs more than one segment, however large the table is. One byte of each hash stands beside
//! the id: a look-up visits next to no wrong node.

const SEGMENT: usize = 1024;
/// A fuller segment is split: linear probing stays short.
const MOST_USED: u16 = 820;

const EMPTY: u8 = 0;
const DELETED: u8 = 1;

#[derive(Clone)]
struct Segment {
    /// How many leading bits of the hash all entries share.
    depth: u8,
    live: u16,
    /// Live and deleted places.
    used: u16,
    tags: [u8; SEGMENT],
    ids: [u32; SEGMENT],
}

impl Segment {
    fn new(depth: u8) -> Box<Self> {
        Box::new(Self { depth, live: 0, used: 0, tags: [EMPTY; SEGMENT], ids: [0; SEGMENT] })
    }

    fn place(&mut self, hash: u64, id: u32) {
        let mut at = position(hash);
        while self.tags[at] > DELETED {
            at = (at + 1) % SEGMENT;
        }
        self.used += u16::from(self.tags[at] == EMPTY);
        self.live += 1;
        self.tags[at] = tag(hash);
        self.ids[at] = id;
    }
}

#[inline]
fn position(hash: u64) -> usize {
    hash as usize % SEGMENT
}

#[inline]
fn tag(hash: u64) -> u8 {
    ((hash >> 10) as u8).max(DELETED + 1)
}

/// Ids by hash.
#[derive(Clone)]
pub(crate) struct IdTable {
    /// Segment numbers by the leading `depth` bits of the hash.
    directory: Vec<u32>,
    depth: u8,
    segments: Vec<Box<Segment>>,
}

impl std::fmt::Debug for IdTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IdTable").field("segments", &self.segments.len()).finish_non_exhaustive()
    }
}

impl Default for IdTable {
    fn default() -> Self {
        Self { directory: vec![0], depth: 0, segments: vec![Segment::new(0)] }
    }
}

impl IdTable {
    #[inline]
    fn segment_number(&self, hash: u64) -> usize {
        // Two shifts, since one by 64 (depth 0) is not allowed.
        self.directory[((hash >> 1) >> (63 - self.depth)) as usize] as usize
    }

    /// The id with this hash that `is_it` accepts.
    #[inline]
    pub fn find(&self, hash: u64, mut is_it: impl FnMut(u32) -> bool) -> Option<u32> {
        let segment = &self.segments[self.segment_number(hash)];
        let tag = tag(hash);
        let mut at = position(hash);
        loop {
            let found = segment.tags[at];
            if found == tag {
                let id = segment.ids[at];
                if is_it(id) {
                    return Some(id);
                }
            } else if found == EMPTY {
                return None;
            }
            at = (at + 1) % SEGMENT;
        }
    }

    /// Adds an id that is not there. `hash_of` gives the hash of any id in the table.
    pub fn insert(&mut self, hash: u64, id: u32, hash_of: impl Fn(u32) -> u64) {
        loop {
            let number = self.segment_number(hash);
            let segment = &mut self.segments[number];
            if segment.used < MOST_USED {
                segment.place(hash, id);
                return;
            }
            self.make_room(number, hash, &hash_of);
        }
    }

    /// Takes an id out that is there.
    pub fn remove(&mut self, hash: u64, id: u32) {
        let number = self.segment_number(hash);
        let segment = &mut self.segments[number];
        let tag = tag(hash);
        let mut at = position(hash);
        while segment.tags[at] != tag || segment.ids[at] != id {
            assert!(segment.tags[at] != EMPTY, "id {id} is in the table");
            at = (at + 1) % SEGMENT;
        }
        segment.live -= 1;
        segment.tags[at] = DELETED;
        // Nothing was ever placed beyond an empty place: deleted ones before it are empty too.
        if segment.tags[(at + 1) % SEGMENT] == EMPTY {
            while segment.tags[at] == DELETED {
                segment.tags[at] = EMPTY;
                segment.used -= 1;
                at = (at + SEGMENT - 1) % SEGMENT;
            }
        }
    }

    /// Splits a full segment in two, or only sweeps out what was deleted.
    fn make_room(&mut self, number: usize, hash: u64, hash_of: &impl Fn(u32) -> u64) {
        let depth = self.segments[number].depth;
        if self.segments[number].live < MOST_USED / 4 * 3 {
            let old = std::mem::replace(&mut self.segments[number], Segment::new(depth));
            for (tag, id) in old.tags.iter().zip(old.ids) {
                if *tag > DELETED {
                    self.segments[number].place(hash_of(id), id);
                }
            }
            return;
        }
        assert!(depth < 32, "the hash does not spread");
        if depth == self.depth {
            self.directory = self.directory.iter().flat_map(|s| [*s, *s]).collect();
            self.depth += 1;
        }
        let old = std::mem::replace(&mut self.segments[number], Segment::new(depth + 1));
        let upper = self.segments.len();
        self.segments.push(Segment::new(depth + 1));
        for (tag, id) in old.tags.iter().zip(old.ids) {
            if *tag > DELETED {
                let hash = hash_of(id);
                let half = if hash >> (63 - depth) & 1 == 0 { number } else { upper };
                self.segments[half].place(hash, id);
            }
        }
        let span = 1usize << (self.depth - depth);
        let first = ((hash >> 1) >> (63 - self.depth)) as usize / span * span;
        self.directory[first + span / 2..first + span].fill(upper as u32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_finds_what_is_in_it_through_splits_and_deletions() {
        let hash_of = |id: u32| {
            let wide = u128::from(u64::from(id) ^ 0x9e37_79b9_7f4a_7c15) * 0xd6e8_feb8_6659_fd93_u128;
            ((wide as u64) ^ (wide >> 64) as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
        };
        let mut table = IdTable::default();
        for id in 0..50_000 {
            table.insert(hash_of(id), id, hash_of);
        }
        for round in 0..4u32 {
            for id in (0..50_000).filter(|id| id % 4 == round) {
                table.remove(hash_of(id), id);
            }
            for id in 0..50_000 {
                let expected = (id % 4 != round).then_some(id);
                assert_eq!(table.find(hash_of(id), |found| found == id), expected, "id {id} in round {round}");
            }
            for id in (0..50_000).filter(|id| id % 4 == round) {
                table.insert(hash_of(id), id, hash_of);
            }
        }
        assert!(table.segments.len() > 60 && table.segments.len() < 200);
    }
}
