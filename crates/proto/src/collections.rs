//! Hash tables whose order of iteration is the same in every run: the seed is fixed, so that a
//! simulated run can be repeated.
//!
//! Paths are chosen by clients, who could look for collisions under a known seed: the server draws
//! one per process with [`set_seed`]; the simulator leaves the default.

use std::hash::{BuildHasher, Hasher};

#[allow(clippy::disallowed_types, reason = "this is where the fence's gate stands")]
/// A hash map with a repeatable order.
pub type HashMap<K, V> = std::collections::hash_map::HashMap<K, V, Seeded>;
#[allow(clippy::disallowed_types, reason = "this is where the fence's gate stands")]
/// A hash set with a repeatable order.
pub type HashSet<K> = std::collections::hash_set::HashSet<K, Seeded>;

static SEED: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0x9e37_79b9_7f4a_7c15);

/// Sets the seed of all tables that are made from now on. The server draws it at start; the
/// simulator leaves it alone.
pub fn set_seed(seed: u64) {
    SEED.store(seed | 1, std::sync::atomic::Ordering::Relaxed);
}

/// The seed that [`set_seed`] has set.
pub fn seed() -> u64 {
    SEED.load(std::sync::atomic::Ordering::Relaxed)
}

/// Builds [`Mixer`]s with the process's seed.
#[derive(Clone, Copy, Debug)]
pub struct Seeded(u64);

impl Default for Seeded {
    fn default() -> Self {
        Self(seed())
    }
}

impl BuildHasher for Seeded {
    type Hasher = Mixer;

    fn build_hasher(&self) -> Mixer {
        Mixer { state: self.0 }
    }
}

/// A hasher that folds eight bytes at a time by one 64 x 64 -> 128 bit multiplication.
#[derive(Clone, Copy, Debug)]
pub struct Mixer {
    state: u64,
}

const MULTIPLIER: u64 = 0xd6e8_feb8_6659_fd93;

impl Mixer {
    #[inline]
    fn fold(&mut self, word: u64) {
        let wide = u128::from(self.state ^ word) * u128::from(MULTIPLIER);
        self.state = (wide as u64) ^ ((wide >> 64) as u64) ^ word.rotate_left(32);
    }
}

impl Hasher for Mixer {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        let mut chunks = bytes.chunks_exact(8);
        for chunk in &mut chunks {
            self.fold(u64::from_le_bytes(chunk.try_into().expect("eight bytes")));
        }
        let rest = chunks.remainder();
        let mut last = [0u8; 8];
        last[..rest.len()].copy_from_slice(rest);
        self.fold(u64::from_le_bytes(last) ^ (bytes.len() as u64) << 56);
    }

    #[inline]
    fn write_u8(&mut self, value: u8) {
        self.fold(u64::from(value));
    }

    #[inline]
    fn write_u32(&mut self, value: u32) {
        self.fold(u64::from(value));
    }

    #[inline]
    fn write_u64(&mut self, value: u64) {
        self.fold(value);
    }

    #[inline]
    fn write_i64(&mut self, value: i64) {
        self.fold(value as u64);
    }

    #[inline]
    fn write_usize(&mut self, value: usize) {
        self.fold(value as u64);
    }

    #[inline]
    fn finish(&self) -> u64 {
        let wide = u128::from(self.state) * u128::from(MULTIPLIER);
        (wide as u64) ^ ((wide >> 64) as u64)
    }
}
