//! What keeps a storm of clients from growing into memory: the throttle of new sessions and the
//! byte budgets of requests in work. Shared by all fronts of a server; who is delayed or turned
//! away for it is the front's.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Requests smaller than this are bounded by their number; larger ones also by their bytes.
pub const HEAVY_FROM_BYTES: usize = 4096;

/// Bytes of heavy requests in work beyond which a connection that waits for one of its own is not
/// read. A request is at most a megabyte by default, so that each connection goes beyond it by that.
const HEAVY_LIMIT_BYTES: usize = 64 << 20;

/// The throttle of connect requests (`zookeeper.connection_throttle_*`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ThrottleOptions {
    /// Size of the token bucket.
    pub tokens: u64,
    /// Time between refills, milliseconds.
    pub fill_time_ms: u64,
    /// Tokens of one refill.
    pub fill_count: u64,
    /// Least time between changes of the drop probability, milliseconds; `None`: nothing is
    /// dropped by chance.
    pub freeze_time_ms: Option<u64>,
    /// The probability's step upwards, taken while the bucket is empty.
    pub drop_increase: f64,
    /// Its step downwards.
    pub drop_decrease: f64,
    /// It goes down while no more than this share of the tokens is used.
    pub decrease_ratio: f64,
    /// `None`: each connect request takes one token.
    pub weights: Option<Weights>,
}

/// What connect requests cost, tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weights {
    /// A new session that the ensemble knows. The bucket and its refills are counted in these.
    pub global: u64,
    /// A new session, of the kind that there is.
    pub fresh: u64,
    /// One that comes back.
    pub renewal: u64,
}

/// A token bucket with a random early drop (the BLUE scheme), as Java's `BlueThrottle` counts.
#[derive(Debug)]
pub struct Throttle {
    options: ThrottleOptions,
    tokens: u64,
    filled_ms: u64,
    frozen_ms: u64,
    drop: f64,
    /// State of a xorshift generator, never 0.
    random: u64,
}

impl Throttle {
    /// A full bucket. With weights the bucket and its refills are counted in new sessions.
    pub fn new(options: ThrottleOptions, now_ms: u64, seed: u64) -> Self {
        let mut options = options;
        if let Some(Weights { global, .. }) = options.weights {
            options.tokens *= global;
            options.fill_count *= global;
        }
        Self { tokens: options.tokens, filled_ms: now_ms, frozen_ms: now_ms, drop: 0.0, random: seed | 1, options }
    }

    /// Takes the tokens for a connect request; `false`: it has to go.
    pub fn admit(&mut self, now_ms: u64, renewal: bool) -> bool {
        let need = self.options.weights.map_or(1, |weights| if renewal { weights.renewal } else { weights.fresh });
        let elapsed_ms = now_ms.saturating_sub(self.filled_ms);
        if elapsed_ms > self.options.fill_time_ms {
            let refill = elapsed_ms.saturating_mul(self.options.fill_count) / self.options.fill_time_ms.max(1);
            self.tokens = self.tokens.saturating_add(refill).min(self.options.tokens);
            self.filled_ms = now_ms;
        }
        if let Some(freeze_ms) = self.options.freeze_time_ms {
            self.adapt(now_ms, freeze_ms);
            if self.next_fraction() < self.drop {
                return false;
            }
        }
        if self.tokens < need {
            return false;
        }
        self.tokens -= need;
        true
    }

    fn adapt(&mut self, now_ms: u64, freeze_ms: u64) {
        if now_ms.saturating_sub(self.frozen_ms) <= freeze_ms {
            return;
        }
        let used = self.options.tokens - self.tokens;
        let threshold = (self.options.tokens as f64 * self.options.decrease_ratio).round() as u64;
        if self.tokens == 0 && self.drop < 1.0 {
            self.drop = (self.drop + self.options.drop_increase).min(1.0);
        } else if used <= threshold && self.drop > 0.0 {
            self.drop = (self.drop - self.options.drop_decrease).max(0.0);
        }
        self.frozen_ms = now_ms;
    }

    /// The chance that a connect request is dropped although there are tokens.
    pub fn drop_chance(&self) -> f64 {
        self.drop
    }

    /// Tokens that are missing from a full bucket.
    pub fn deficit(&self) -> u64 {
        self.options.tokens - self.tokens
    }

    /// In 0..1.
    fn next_fraction(&mut self) -> f64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// See the module.
#[derive(Debug)]
pub struct Limits {
    throttle: Option<Mutex<Throttle>>,
    /// Frames of more bytes count as large (`zookeeper.largeRequestThreshold`).
    large_from: usize,
    /// Bytes of large frames in work beyond which one more closes its connection.
    large_limit: usize,
    large: AtomicUsize,
    heavy: AtomicUsize,
}

impl Default for Limits {
    fn default() -> Self {
        Self::new(None, None)
    }
}

impl Limits {
    /// `large` is the threshold above which a frame is large, and the most bytes of those in work.
    pub fn new(throttle: Option<Throttle>, large: Option<(usize, usize)>) -> Self {
        let (large_from, large_limit) = large.unwrap_or((usize::MAX, usize::MAX));
        Self { throttle: throttle.map(Mutex::new), large_from, large_limit, large: AtomicUsize::new(0), heavy: AtomicUsize::new(0) }
    }

    /// Whether a connect request may go on, and the tokens that are missing then.
    pub fn admit(&self, now_ms: u64, renewal: bool) -> Result<u64, u64> {
        let Some(throttle) = &self.throttle else { return Ok(0) };
        let mut throttle = throttle.lock().expect("no holder of the throttle panics");
        if throttle.admit(now_ms, renewal) { Ok(throttle.deficit()) } else { Err(throttle.deficit()) }
    }

    /// The chance that a connect request is dropped now.
    pub fn drop_chance(&self) -> f64 {
        self.throttle.as_ref().map_or(0.0, |t| t.lock().expect("no holder of the throttle panics").drop_chance())
    }

    /// Takes a request of that frame length into work. `None`: it is large and there are too many
    /// of those.
    pub(crate) fn take(&self, length: usize) -> Option<Load> {
        let mut load = Load { heavy: 0, large: 0 };
        if length > self.large_from {
            if self.large.fetch_add(length, Ordering::Relaxed) + length > self.large_limit {
                self.large.fetch_sub(length, Ordering::Relaxed);
                return None;
            }
            load.large = length;
        }
        if length >= HEAVY_FROM_BYTES {
            self.heavy.fetch_add(length, Ordering::Relaxed);
            load.heavy = length;
        }
        Some(load)
    }

    /// A request has been answered, or its connection is gone.
    pub(crate) fn give_back(&self, load: Load) {
        if load.large != 0 {
            self.large.fetch_sub(load.large, Ordering::Relaxed);
        }
        if load.heavy != 0 {
            self.heavy.fetch_sub(load.heavy, Ordering::Relaxed);
        }
    }

    /// Whether heavy requests fill their budget.
    pub(crate) fn crowded(&self) -> bool {
        self.heavy.load(Ordering::Relaxed) > HEAVY_LIMIT_BYTES
    }
}

/// What one request weighs in the budgets, bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Load {
    heavy: usize,
    large: usize,
}

impl Load {
    pub(crate) fn is_nothing(self) -> bool {
        self == Load::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> ThrottleOptions {
        ThrottleOptions {
            tokens: 4,
            fill_time_ms: 10,
            fill_count: 1,
            freeze_time_ms: None,
            drop_increase: 0.5,
            drop_decrease: 0.25,
            decrease_ratio: 0.0,
            weights: None,
        }
    }

    #[test]
    fn a_bucket_empties_and_fills() {
        let mut throttle = Throttle::new(options(), 100, 1);
        assert!((0..4).all(|_| throttle.admit(100, false)));
        assert!(!throttle.admit(110, false), "the refill comes after its time, not at it");
        assert_eq!(throttle.deficit(), 4);
        assert!((0..2).all(|_| throttle.admit(121, false)));
        assert!(!throttle.admit(121, false));
        assert!((0..4).all(|_| throttle.admit(10_000, false)));
        assert!(!throttle.admit(10_000, false), "it holds no more than its size");
    }

    #[test]
    fn weights_count_in_new_sessions() {
        let with = |fresh| Some(Weights { global: 3, fresh, renewal: 2 });
        let mut throttle = Throttle::new(ThrottleOptions { weights: with(3), ..options() }, 0, 1);
        assert!((0..6).all(|_| throttle.admit(0, true)));
        assert!(!throttle.admit(0, false));
        // Local ones are cheaper; the bucket stays what it is.
        let mut throttle = Throttle::new(ThrottleOptions { weights: with(1), ..options() }, 0, 1);
        assert!((0..12).all(|_| throttle.admit(0, false)));
        assert!(!throttle.admit(0, false));
    }

    #[test]
    fn an_empty_bucket_raises_the_chance_and_a_full_one_lowers_it() {
        let mut throttle = Throttle::new(ThrottleOptions { freeze_time_ms: Some(1), ..options() }, 0, 7);
        assert!((0..4).all(|_| throttle.admit(0, false)));
        assert!(!throttle.admit(5, false));
        assert_eq!(throttle.drop_chance(), 0.5);
        throttle.admit(8, false);
        assert_eq!(throttle.drop_chance(), 1.0);
        assert!(!throttle.admit(9, false), "now all are dropped");
        assert!(!throttle.admit(1000, false));
        assert_eq!(throttle.drop_chance(), 0.75);
    }

    #[test]
    fn large_requests_have_a_sum() {
        let limits = Limits::new(None, Some((100, 1000)));
        let small = limits.take(100).expect("not large");
        assert!(small.is_nothing());
        let first = limits.take(600).expect("room");
        assert_eq!(limits.take(401), None);
        limits.give_back(first);
        assert!(limits.take(401).is_some());
    }
}
