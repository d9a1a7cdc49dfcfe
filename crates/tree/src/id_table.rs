//! A hash table whose entries are 4-byte ids: the keys stand where the ids point to.
//!
//! It grows by splitting one segment at a time (extendible hashing), so no insert costs more than
//! one segment, however large the table is. A bucket of ten ids is one cache line; 16 bits of each
//! hash stand beside the id, so that a look-up visits next to no wrong node and a split next to none
//! at all.

const BUCKETS: usize = 64;
const PLACES: usize = 10;
/// A fuller segment is split: few ids then stand outside of their bucket.
const MOST_LIVE: u16 = (BUCKETS * PLACES / 8 * 7) as u16;

/// No id is in a place with this tag.
const EMPTY: u16 = 0;
/// So many splits are decided by the tags; the next one asks for the hashes and takes new tags.
const SPLITS_PER_TAG: u8 = 8;

#[derive(Clone, Copy)]
#[repr(align(64))]
struct Bucket {
    tags: [u16; PLACES],
    /// How many ids would have come here or passed here, had there been room.
    passed: u16,
    /// A bit for each place whose id belongs to an earlier bucket.
    strangers: u16,
    ids: [u32; PLACES],
}

const EMPTY_BUCKET: Bucket = Bucket { tags: [EMPTY; PLACES], passed: 0, strangers: 0, ids: [0; PLACES] };

/// What is asked of a segment before its buckets stands apart from them, beside that of the other segments: the
/// processor has it at hand, and a look-up waits for memory once.
#[derive(Clone)]
struct Segment {
    buckets: Box<[Bucket; BUCKETS]>,
    /// How many leading bits of the hash all entries share.
    depth: u8,
    /// The tags are the 16 bits of the hash after so many leading ones.
    tags_from: u8,
    live: u16,
}

impl Segment {
    fn new(depth: u8, tags_from: u8) -> Self {
        Self { buckets: Box::new([EMPTY_BUCKET; BUCKETS]), depth, tags_from, live: 0 }
    }

    /// Splits spend the tag's leading bits; the last one stands for "not empty".
    #[inline]
    fn tag(&self, hash: u64) -> u16 {
        (hash << self.tags_from >> 48) as u16 | 1
    }

    fn place(&mut self, home: usize, tag: u16, id: u32) {
        let mut at = home;
        loop {
            let bucket = &mut self.buckets[at];
            if let Some(place) = bucket.tags.iter().position(|t| *t == EMPTY) {
                bucket.tags[place] = tag;
                bucket.ids[place] = id;
                bucket.strangers |= u16::from(at != home) << place;
                self.live += 1;
                return;
            }
            bucket.passed += 1;
            at = (at + 1) % BUCKETS;
        }
    }
}

#[inline]
fn home(hash: u64) -> usize {
    hash as usize % BUCKETS
}

/// Ids by hash.
#[derive(Clone)]
pub(crate) struct IdTable {
    /// Segment numbers by the leading `depth` bits of the hash.
    directory: Vec<u32>,
    depth: u8,
    segments: Vec<Segment>,
}

impl std::fmt::Debug for IdTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IdTable").field("segments", &self.segments.len()).finish_non_exhaustive()
    }
}

impl Default for IdTable {
    fn default() -> Self {
        Self { directory: vec![0], depth: 0, segments: vec![Segment::new(0, 0)] }
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
        let tag = segment.tag(hash);
        let mut at = home(hash);
        // The bound ends the search where every bucket was passed at some time.
        for _ in 0..BUCKETS {
            let bucket = &segment.buckets[at];
            for place in 0..PLACES {
                if bucket.tags[place] == tag && is_it(bucket.ids[place]) {
                    return Some(bucket.ids[place]);
                }
            }
            if bucket.passed == 0 {
                return None;
            }
            at = (at + 1) % BUCKETS;
        }
        None
    }

    /// Adds an id that is not there. `hash_of` gives the hash of any id in the table.
    pub fn insert(&mut self, hash: u64, id: u32, hash_of: impl Fn(u32) -> u64) {
        loop {
            let number = self.segment_number(hash);
            let segment = &mut self.segments[number];
            if segment.live < MOST_LIVE {
                segment.place(home(hash), segment.tag(hash), id);
                return;
            }
            self.split(number, hash, &hash_of);
        }
    }

    /// Takes an id out that is there.
    pub fn remove(&mut self, hash: u64, id: u32) {
        let number = self.segment_number(hash);
        let segment = &mut self.segments[number];
        let mut at = home(hash);
        for _ in 0..BUCKETS {
            let bucket = &mut segment.buckets[at];
            let place = (0..PLACES).find(|place| bucket.tags[*place] != EMPTY && bucket.ids[*place] == id);
            if let Some(place) = place {
                bucket.tags[place] = EMPTY;
                bucket.strangers &= !(1 << place);
                segment.live -= 1;
                return;
            }
            bucket.passed -= 1;
            at = (at + 1) % BUCKETS;
        }
        unreachable!("id {id} is in the table");
    }

    /// Splits a full segment in two by the next bit of the hash.
    fn split(&mut self, number: usize, hash: u64, hash_of: &impl Fn(u32) -> u64) {
        let depth = self.segments[number].depth;
        assert!(depth < 32, "the hash does not spread");
        if depth == self.depth {
            self.directory = self.directory.iter().flat_map(|s| [*s, *s]).collect();
            self.depth += 1;
        }
        let old_from = self.segments[number].tags_from;
        let has_bits = depth - old_from < SPLITS_PER_TAG;
        let tags_from = if has_bits { old_from } else { depth };
        let old = std::mem::replace(&mut self.segments[number], Segment::new(depth + 1, tags_from));
        let mut upper = Segment::new(depth + 1, tags_from);
        let lower = &mut self.segments[number];
        for (at, bucket) in old.buckets.iter().enumerate() {
            for place in 0..PLACES {
                let (tag, id) = (bucket.tags[place], bucket.ids[place]);
                if tag == EMPTY {
                    continue;
                }
                let is_at_home = bucket.strangers >> place & 1 == 0;
                let (home, tag) = if has_bits && is_at_home {
                    (at, tag)
                } else {
                    let hash = hash_of(id);
                    (home(hash), lower.tag(hash))
                };
                let half = if tag << (depth - tags_from) >> 15 == 0 { &mut *lower } else { &mut upper };
                half.place(home, tag, id);
            }
        }
        let span = 1usize << (self.depth - depth);
        let first = ((hash >> 1) >> (63 - self.depth)) as usize / span * span;
        self.directory[first + span / 2..first + span].fill(self.segments.len() as u32);
        self.segments.push(upper);
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
        for id in 0..300_000 {
            table.insert(hash_of(id), id, hash_of);
        }
        for round in 0..4u32 {
            for id in (0..300_000).filter(|id| id % 4 == round) {
                table.remove(hash_of(id), id);
            }
            for id in 0..300_000 {
                let expected = (id % 4 != round).then_some(id);
                assert_eq!(table.find(hash_of(id), |found| found == id), expected, "id {id} in round {round}");
            }
            for id in (0..300_000).filter(|id| id % 4 == round) {
                table.insert(hash_of(id), id, hash_of);
            }
        }
        // Deep enough that tags were taken anew.
        assert!((500..1500).contains(&table.segments.len()) && table.segments[0].tags_from > 0);
    }
}
