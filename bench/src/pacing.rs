//! The clock of the open loop: which requests are due, and when each was meant to leave.
//!
//! Requests arrive in small bursts, one burst a tick, at a fixed mean rate whatever the server does. A latency is
//! counted from the burst's tick and not from the moment the generator got to it, so a server that stalls is charged
//! for every request that had to wait (no coordinated omission). Time comes in as an argument.

/// A schedule of `per_second` requests a second, grouped into ticks.
pub struct Pacer {
    per_second: f64,
    tick_ns: u64,
    next_tick: u64,
    released: u64,
}

impl Pacer {
    /// The first burst is due one tick after time 0.
    pub fn new(per_second: f64, tick_ns: u64) -> Self {
        assert!(per_second > 0.0 && tick_ns > 0);
        Self { per_second, tick_ns, next_tick: 1, released: 0 }
    }

    /// The next burst due at or before `now_ns`: the time it was meant for and how many requests it holds (0 at a
    /// rate below one a tick). None when all that is due has been handed out.
    pub fn due(&mut self, now_ns: u64) -> Option<(u64, u64)> {
        let at = self.next_tick * self.tick_ns;
        if at > now_ns {
            return None;
        }
        let through = (at as f64 * self.per_second / 1e9) as u64;
        let burst = through - self.released;
        self.released = through;
        self.next_tick += 1;
        Some((at, burst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_kept_at_any_tick() {
        for (per_second, tick_ns) in [(20_000.0, 200_000), (1.0, 200_000), (333_333.0, 1_000_000), (7.5, 50_000_000)] {
            let mut pacer = Pacer::new(per_second, tick_ns);
            let mut released = 0;
            while let Some((_, burst)) = pacer.due(10_000_000_000) {
                released += burst;
            }
            assert_eq!(released, (per_second * 10.0) as u64);
        }
    }

    #[test]
    fn a_late_caller_is_told_the_time_that_was_meant() {
        let mut pacer = Pacer::new(10_000.0, 1_000_000);
        assert_eq!(pacer.due(999_999), None);
        assert_eq!(pacer.due(3_500_000), Some((1_000_000, 10)));
        assert_eq!(pacer.due(3_500_000), Some((2_000_000, 10)));
        assert_eq!(pacer.due(3_500_000), Some((3_000_000, 10)));
        assert_eq!(pacer.due(3_500_000), None);
    }
}
