//! The thread that looks at the clock: expires sessions, reaps containers and TTL nodes, purges.

use super::pulse::Pulse;
use super::shared::Shared;
use super::snapshots::purge;
use oxkeeper_replica::core::Input;
use std::sync::Arc;
use std::time::Duration;

/// The longest sleep: how late a stop is seen, and the grain of everything here.
const GRAIN_MS: u64 = 50;

/// See the module.
pub struct Clock {
    pub shared: Arc<Shared>,
}

impl Clock {
    /// Runs until the server stops.
    pub fn run(self) {
        let reaping = self.shared.config.container_reaping.clone();
        let check_ms = u64::from(reaping.check_interval_ms).max(1);
        let begun_ms = self.shared.now().mono_ms;
        let mut next_check_ms = begun_ms + check_ms;
        let purge_ms = self.shared.config.autopurge_interval_ms;
        let mut next_purge_ms = begun_ms;
        // Nodes that are due, latest last, and when the next one may go: a storm of deletions would
        // hold up the clients.
        let mut due: Vec<String> = Vec::new();
        let pause_ms = 60_000.0 / f64::from(reaping.max_per_minute.max(1));
        let mut next_reap_ms = 0.0;
        let mut pulse = Pulse::new(begun_ms, GRAIN_MS, u64::from(self.shared.config.tick_time_ms));
        while !self.shared.stopping() {
            let now = self.shared.now();
            if let Some(stood_still) = pulse.beat(now.mono_ms) {
                self.shared.bring(now, [stood_still]);
            }
            let expiring = self.shared.core().sessions().next_expiry_ms().is_some_and(|at| at <= now.mono_ms);
            if expiring {
                self.shared.bring(now, [Input::Tick]);
            }
            if now.mono_ms >= next_check_ms && due.is_empty() && self.shared.leads() {
                next_check_ms = now.mono_ms + check_ms;
                due = self.shared.tree().reapable(now.wall_ms, reaping.max_never_used_interval_ms.map_or(0, |ms| ms as i64));
                due.reverse();
                next_reap_ms = now.mono_ms as f64;
            }
            while next_reap_ms <= now.mono_ms as f64 {
                let Some(path) = due.pop() else { break };
                self.shared.bring(now, [Input::Reap { path }]);
                next_reap_ms += pause_ms;
            }
            if let Some(interval_ms) = purge_ms
                && now.mono_ms >= next_purge_ms
            {
                next_purge_ms = now.mono_ms + interval_ms;
                purge(&self.shared);
            }
            std::thread::sleep(Duration::from_millis(GRAIN_MS));
        }
    }
}
