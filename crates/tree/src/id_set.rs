//! Sets of 32-bit numbers: up to three inline, more as a roaring bitmap.

use roaring::RoaringBitmap;

const INLINE: usize = 3;

/// A set of numbers in 16 bytes, plus a bitmap where it is large.
#[derive(Clone, Debug)]
pub(crate) enum IdSet {
    Few { length: u8, ids: [u32; INLINE] },
    Many(Box<RoaringBitmap>),
}

impl Default for IdSet {
    fn default() -> Self {
        IdSet::Few { length: 0, ids: [0; INLINE] }
    }
}

impl IdSet {
    pub fn len(&self) -> usize {
        match self {
            IdSet::Few { length, .. } => usize::from(*length),
            IdSet::Many(bits) => bits.len() as usize,
        }
    }

    #[inline]
    pub fn is_empty(&self) -> bool {
        match self {
            IdSet::Few { length, .. } => *length == 0,
            IdSet::Many(bits) => bits.is_empty(),
        }
    }

    #[inline]
    pub fn contains(&self, id: u32) -> bool {
        match self {
            IdSet::Few { length, ids } => ids[..usize::from(*length)].contains(&id),
            IdSet::Many(bits) => bits.contains(id),
        }
    }

    /// Puts a number in; false when it was there.
    pub fn insert(&mut self, id: u32) -> bool {
        match self {
            IdSet::Few { length, ids } => {
                let n = usize::from(*length);
                if ids[..n].contains(&id) {
                    return false;
                }
                if n < INLINE {
                    ids[n] = id;
                    *length += 1;
                } else {
                    let mut bits: RoaringBitmap = ids.iter().copied().collect();
                    bits.insert(id);
                    *self = IdSet::Many(Box::new(bits));
                }
                true
            }
            IdSet::Many(bits) => bits.insert(id),
        }
    }

    /// Takes a number out; false when it was not there.
    pub fn remove(&mut self, id: u32) -> bool {
        match self {
            IdSet::Few { length, ids } => {
                let n = usize::from(*length);
                let Some(at) = ids[..n].iter().position(|i| *i == id) else { return false };
                ids[at] = ids[n - 1];
                *length -= 1;
                true
            }
            IdSet::Many(bits) => {
                let removed = bits.remove(id);
                if bits.is_empty() {
                    *self = IdSet::default();
                }
                removed
            }
        }
    }

    pub fn iter(&self) -> Iter<'_> {
        match self {
            IdSet::Few { length, ids } => Iter::Few(ids[..usize::from(*length)].iter()),
            IdSet::Many(bits) => Iter::Many(bits.iter()),
        }
    }
}

pub(crate) enum Iter<'a> {
    Few(std::slice::Iter<'a, u32>),
    Many(roaring::bitmap::Iter<'a>),
}

impl Iterator for Iter<'_> {
    type Item = u32;

    #[inline]
    fn next(&mut self) -> Option<u32> {
        match self {
            Iter::Few(ids) => ids.next().copied(),
            Iter::Many(bits) => bits.next(),
        }
    }
}
