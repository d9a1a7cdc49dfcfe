//! The numbers of free slots, asked for the smallest one after a given number.
//!
//! A parent's slot must come before its children's (the snapshot's scan relies on it), so a plain
//! stack of free slots would not do. Three levels of bits answer in a few steps.

const LEVELS: usize = 3;

/// A set of small numbers with a fast successor.
#[derive(Clone, Debug, Default)]
pub(crate) struct FreeSlots {
    /// Bit i of a level says that word i of the level below is not zero.
    levels: [Vec<u64>; LEVELS],
}

impl FreeSlots {
    /// Puts a number in.
    pub fn insert(&mut self, number: u32) {
        let mut at = number as usize;
        for level in &mut self.levels {
            let word = at / 64;
            if word >= level.len() {
                level.resize(word + 1, 0);
            }
            level[word] |= 1 << (at % 64);
            at = word;
        }
    }

    /// Takes out the smallest number that is greater than `after`.
    pub fn take_after(&mut self, after: u32) -> Option<u32> {
        let number = self.find(0, after as usize + 1)?;
        let mut at = number;
        for level in &mut self.levels {
            let word = at / 64;
            level[word] &= !(1 << (at % 64));
            if level[word] != 0 {
                break;
            }
            at = word;
        }
        Some(number as u32)
    }

    fn find(&self, level: usize, from: usize) -> Option<usize> {
        let words = &self.levels[level];
        let word = from / 64;
        let first = words.get(word)? & (u64::MAX << (from % 64));
        if first != 0 {
            return Some(word * 64 + first.trailing_zeros() as usize);
        }
        let next =
            if level + 1 == LEVELS { word + 1 + words[word + 1..].iter().position(|w| *w != 0)? } else { self.find(level + 1, word + 1)? };
        Some(next * 64 + words[next].trailing_zeros() as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn it_is_an_ordered_set() {
        let mut model = BTreeSet::new();
        let mut free = FreeSlots::default();
        let mut state = 12345u64;
        for round in 0..200_000u32 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let number = (state >> 33) as u32 % if round % 3 == 0 { 3_000_000 } else { 5000 };
            if state >> 20 & 1 == 0 {
                model.insert(number);
                free.insert(number);
            } else {
                let expected = model.range(number + 1..).next().copied();
                if let Some(taken) = expected {
                    model.remove(&taken);
                }
                assert_eq!(free.take_after(number), expected);
            }
        }
    }
}
