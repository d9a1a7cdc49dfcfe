//! Latencies counted in buckets of constant relative width.
//!
//! Values are nanoseconds. Below 128 every value has its bucket; above, each power of two is cut into 128 buckets,
//! so a quantile is at most 1/128 (0.8 %) above the value that was recorded. Recording is an index computation and
//! one addition; nothing allocates after `new`.

const SUB_BUCKET_BITS: u32 = 7;
const SUB_BUCKETS: usize = 1 << SUB_BUCKET_BITS;
const BUCKETS: usize = (64 - SUB_BUCKET_BITS as usize + 1) * SUB_BUCKETS;

/// Counts of values in nanoseconds, with exact minimum, maximum and sum.
#[derive(Clone)]
pub struct Histogram {
    counts: Box<[u64]>,
    total: u64,
    sum: u128,
    min: u64,
    max: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self::new()
    }
}

impl Histogram {
    pub fn new() -> Self {
        Self { counts: vec![0; BUCKETS].into_boxed_slice(), total: 0, sum: 0, min: u64::MAX, max: 0 }
    }

    #[inline]
    pub fn record(&mut self, value: u64) {
        self.counts[bucket_of(value)] += 1;
        self.total += 1;
        self.sum += u128::from(value);
        self.min = self.min.min(value);
        self.max = self.max.max(value);
    }

    pub fn merge(&mut self, other: &Histogram) {
        for (mine, theirs) in self.counts.iter_mut().zip(other.counts.iter()) {
            *mine += theirs;
        }
        self.total += other.total;
        self.sum += other.sum;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
    }

    /// Number of values recorded.
    pub fn len(&self) -> u64 {
        self.total
    }

    pub fn is_empty(&self) -> bool {
        self.total == 0
    }

    /// The largest value recorded; 0 if there is none.
    pub fn max(&self) -> u64 {
        self.max
    }

    /// The smallest value recorded; 0 if there is none.
    pub fn min(&self) -> u64 {
        if self.is_empty() { 0 } else { self.min }
    }

    /// The mean of the values recorded; 0 if there is none.
    pub fn mean(&self) -> f64 {
        if self.is_empty() { 0.0 } else { self.sum as f64 / self.total as f64 }
    }

    /// The upper edge of the bucket that holds the value of rank `ceil(fraction * len)`, never above the maximum;
    /// 0 if nothing was recorded. `fraction` is from 0 to 1: 0.5 is the median.
    pub fn quantile(&self, fraction: f64) -> u64 {
        let rank = ((fraction * self.total as f64).ceil() as u64).clamp(1, self.total.max(1));
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return upper_edge(bucket).min(self.max);
            }
        }
        0
    }
}

#[inline]
fn bucket_of(value: u64) -> usize {
    if value < SUB_BUCKETS as u64 {
        return value as usize;
    }
    let shift = 63 - SUB_BUCKET_BITS - value.leading_zeros();
    (shift as usize + 1) * SUB_BUCKETS + ((value >> shift) as usize - SUB_BUCKETS)
}

fn upper_edge(bucket: usize) -> u64 {
    if bucket < SUB_BUCKETS {
        return bucket as u64;
    }
    let shift = bucket / SUB_BUCKETS - 1;
    let lower = ((bucket % SUB_BUCKETS + SUB_BUCKETS) as u64) << shift;
    lower + ((1u64 << shift) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_lies_in_a_bucket_at_most_one_part_in_128_wide() {
        let mut value = 1u64;
        while value < u64::MAX / 3 {
            for near in [value - 1, value, value + 1] {
                let edge = upper_edge(bucket_of(near));
                assert!(edge >= near, "{near} lies above its bucket's edge {edge}");
                assert!(edge - near <= near / 128, "{near} is told as {edge}");
            }
            value = value * 3 / 2 + 1;
        }
        assert_eq!(upper_edge(bucket_of(u64::MAX)), u64::MAX);
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn quantiles_of_one_to_a_thousand() {
        let mut histogram = Histogram::new();
        (1..=1000).for_each(|value| histogram.record(value));
        assert_eq!(histogram.len(), 1000);
        assert_eq!((histogram.min(), histogram.max()), (1, 1000));
        assert_eq!(histogram.mean(), 500.5);
        for (fraction, exact) in [(0.0, 1), (0.1, 100), (0.5, 500), (0.99, 990), (0.999, 999), (1.0, 1000)] {
            let told = histogram.quantile(fraction);
            assert!(told >= exact && told - exact <= exact / 128, "{fraction}: {told} for {exact}");
        }
    }

    #[test]
    fn merging_is_recording_both() {
        let (mut left, mut right, mut both) = (Histogram::new(), Histogram::new(), Histogram::new());
        for value in 0..500u64 {
            let value = value * value;
            if value % 2 == 0 {
                left.record(value)
            } else {
                right.record(value)
            }
            both.record(value);
        }
        left.merge(&right);
        assert_eq!(left.counts, both.counts);
        assert_eq!((left.len(), left.min(), left.max(), left.mean()), (both.len(), both.min(), both.max(), both.mean()));
    }

    #[test]
    fn an_empty_histogram_answers_zero() {
        let histogram = Histogram::new();
        assert_eq!((histogram.quantile(0.5), histogram.min(), histogram.max(), histogram.mean()), (0, 0, 0, 0.0));
    }
}
