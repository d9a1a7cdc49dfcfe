//! The distribution behind a percentile: buckets of growing width, exact for small values.
//!
//! ZooKeeper keeps a random sample of 4,096 values; here every value counts, and a value of 32 or more
//! is known to one part in 16. Written by one thread and read by any.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Values below this have a bucket each.
const EXACT: u64 = 32;
const EXACT_BITS: u32 = EXACT.trailing_zeros();
/// Buckets for each doubling above.
const STEPS: u64 = 16;
/// Values are cut off at 2^40: in ms that is 34 years, in bytes a tebibyte.
const TOP_BIT: u32 = 40;
/// Number of buckets: 4.6 KB for each distribution.
pub(super) const BUCKETS: usize = (EXACT + (TOP_BIT - EXACT_BITS) as u64 * STEPS) as usize;

/// Counts of values by bucket.
pub(super) struct Histogram {
    counts: [AtomicU64; BUCKETS],
}

impl Histogram {
    pub(super) fn new() -> Box<Self> {
        Box::new(Self { counts: [const { AtomicU64::new(0) }; BUCKETS] })
    }

    /// Counts one value. Only the owning thread may call this: the addition is not atomic.
    pub(super) fn observe(&self, value: i64) {
        let cell = &self.counts[bucket(value)];
        cell.store(cell.load(Relaxed) + 1, Relaxed);
    }

    /// Forgets everything. Only for the owning thread.
    pub(super) fn clear(&self) {
        for cell in &self.counts {
            cell.store(0, Relaxed);
        }
    }

    /// Adds these counts to a reader's own.
    pub(super) fn add_to(&self, merged: &mut Merged) {
        for (sum, cell) in merged.counts.iter_mut().zip(&self.counts) {
            *sum += cell.load(Relaxed);
        }
    }
}

fn bucket(value: i64) -> usize {
    let value = value.clamp(0, (1 << TOP_BIT) - 1) as u64;
    if value < EXACT {
        return value as usize;
    }
    let top = value.ilog2();
    let step = (value >> (top - STEPS.trailing_zeros())) & (STEPS - 1);
    (EXACT + u64::from(top - EXACT_BITS) * STEPS + step) as usize
}

/// The middle of a bucket's values.
fn middle(bucket: usize) -> i64 {
    let bucket = bucket as u64;
    if bucket < EXACT {
        return bucket as i64;
    }
    let above = bucket - EXACT;
    let top = (above / STEPS) as u32 + EXACT_BITS;
    let width = 1u64 << (top - STEPS.trailing_zeros());
    ((1u64 << top) + (above % STEPS) * width + (width - 1) / 2) as i64
}

/// The sum of several threads' distributions.
pub(super) struct Merged {
    counts: Box<[u64; BUCKETS]>,
}

impl Merged {
    pub(super) fn new() -> Self {
        Self { counts: Box::new([0; BUCKETS]) }
    }

    /// Only what is there.
    pub(super) fn distribution(&self) -> Distribution {
        let there = self.counts.iter().enumerate().filter(|(_, count)| **count > 0);
        Distribution(there.map(|(bucket, count)| (bucket as u16, *count)).collect())
    }

    /// The value below which the part `quantile` (0 to 1) lies, with the interpolation between two
    /// neighbours that ZooKeeper's library applies; 0 without values.
    pub(super) fn quantile(&self, quantile: f64) -> i64 {
        let count: u64 = self.counts.iter().sum();
        if count == 0 {
            return 0;
        }
        let position = quantile * (count + 1) as f64;
        if position < 1.0 {
            return self.ranked(1);
        }
        if position >= count as f64 {
            return self.ranked(count);
        }
        let lower = self.ranked(position as u64) as f64;
        let upper = self.ranked(position as u64 + 1) as f64;
        (lower + (position - position.floor()) * (upper - lower) + 0.5).floor() as i64
    }

    /// The value of a rank, counted from 1.
    fn ranked(&self, rank: u64) -> i64 {
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return middle(bucket);
            }
        }
        0
    }
}

/// Counts of values by bucket, without the empty ones: to be kept, and to be compared with a later one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Distribution(Vec<(u16, u64)>);

impl Distribution {
    /// Number of values.
    pub fn count(&self) -> u64 {
        self.0.iter().map(|(_, count)| count).sum()
    }

    /// What came after `earlier`, which is all if something has been forgotten in between.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut later = Vec::with_capacity(self.0.len());
        let mut before = earlier.0.iter().peekable();
        for (bucket, count) in &self.0 {
            let known = match before.peek() {
                Some((earlier, known)) if earlier == bucket => {
                    before.next();
                    *known
                }
                Some((earlier, _)) if earlier < bucket => return self.clone(),
                _ => 0,
            };
            match count.checked_sub(known) {
                None => return self.clone(),
                Some(0) => {}
                Some(more) => later.push((*bucket, more)),
            }
        }
        if before.next().is_some() { self.clone() } else { Self(later) }
    }

    /// The value that the part `quantile` (0 to 1) does not exceed; not a number without values.
    pub fn quantile(&self, quantile: f64) -> f64 {
        let rank = ((quantile * self.count() as f64).ceil() as u64).max(1);
        let mut seen = 0;
        for (bucket, count) in &self.0 {
            seen += count;
            if seen >= rank {
                return middle(usize::from(*bucket)) as f64;
            }
        }
        f64::NAN
    }

    /// How many values do not exceed a bound.
    pub fn up_to(&self, bound: i64) -> u64 {
        self.0.iter().filter(|(bucket, _)| middle(usize::from(*bucket)) <= bound).map(|(_, count)| count).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quantiles(values: impl IntoIterator<Item = i64>) -> [i64; 4] {
        let histogram = Histogram::new();
        for value in values {
            histogram.observe(value);
        }
        let mut merged = Merged::new();
        histogram.add_to(&mut merged);
        [0.5, 0.95, 0.99, 0.999].map(|q| merged.quantile(q))
    }

    #[test]
    fn small_values_give_the_percentiles_that_java_gives() {
        assert_eq!(quantiles([]), [0, 0, 0, 0]);
        assert_eq!(quantiles([7]), [7, 7, 7, 7]);
        // The four reads of the captured run: 0..3 ms, whose median prints as 2.
        assert_eq!(quantiles([0, 1, 2, 3]), [2, 3, 3, 3]);
        // 1..=20: the median lies between 10 and 11; 0.95 * 21 = 19.95.
        assert_eq!(quantiles(1..=20), [11, 20, 20, 20]);
        assert_eq!(quantiles([-5, -1]), [0, 0, 0, 0]);
    }

    #[test]
    fn every_value_stays_within_one_sixteenth() {
        let mut value = 0i64;
        while value < 1 << TOP_BIT {
            let shown = middle(bucket(value));
            assert!((shown - value).abs() * 16 <= value, "{value} is shown as {shown}");
            value += 1 + value / 37;
        }
        assert_eq!(bucket(i64::MAX), BUCKETS - 1);
    }

    #[test]
    fn distributions_are_compared_with_earlier_ones() {
        let histogram = Histogram::new();
        let taken = |histogram: &Histogram| {
            let mut merged = Merged::new();
            histogram.add_to(&mut merged);
            merged.distribution()
        };
        let nothing = taken(&histogram);
        assert!(nothing.quantile(0.5).is_nan());
        [1, 1, 5, 300].iter().for_each(|value| histogram.observe(*value));
        let earlier = taken(&histogram);
        assert_eq!((earlier.count(), earlier.up_to(5), earlier.up_to(0)), (4, 3, 0));
        assert_eq!((earlier.quantile(0.5), earlier.quantile(0.75)), (1.0, 5.0));
        assert_eq!(earlier.since(&nothing), earlier);
        [5, 7, 9].iter().for_each(|value| histogram.observe(*value));
        let later = taken(&histogram).since(&earlier);
        assert_eq!((later.count(), later.quantile(0.5), later.quantile(1.0)), (3, 7.0, 9.0));
        histogram.clear();
        histogram.observe(2);
        // Something was forgotten: all that is left counts.
        assert_eq!(taken(&histogram).since(&earlier).count(), 1);
    }

    #[test]
    fn buckets_follow_each_other_without_gaps() {
        for next in 1..BUCKETS {
            assert!(middle(next) > middle(next - 1));
            assert_eq!(bucket(middle(next)), next);
        }
    }
}
