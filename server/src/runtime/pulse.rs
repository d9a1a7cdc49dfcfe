//! Notices that the whole process stood still: stopped by a signal, or starved by its machine.

use oxkeeper_replica::core::Input;

/// One for each thread that ends sessions, beaten before it looks at them.
pub struct Pulse {
    last_ms: u64,
    most_ms: u64,
}

impl Pulse {
    /// Begins. Whoever beats it sleeps for `grain_ms` at most; half a tick later than that is called standing still.
    pub fn new(now_ms: u64, grain_ms: u64, tick_ms: u64) -> Self {
        Self { last_ms: now_ms, most_ms: grain_ms + tick_ms / 2 }
    }

    /// It is now. What the core must be told before time passes for it, if anything.
    pub fn beat(&mut self, now_ms: u64) -> Option<Input> {
        let since_ms = std::mem::replace(&mut self.last_ms, now_ms);
        (now_ms.saturating_sub(since_ms) > self.most_ms).then_some(Input::StoodStill { since_ms })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_beat_is_told_and_a_timely_one_not() {
        let mut pulse = Pulse::new(1_000, 50, 2_000);
        assert!(pulse.beat(2_050).is_none());
        assert!(matches!(pulse.beat(3_101), Some(Input::StoodStill { since_ms: 2_050 })));
        assert!(pulse.beat(3_150).is_none());
    }
}
