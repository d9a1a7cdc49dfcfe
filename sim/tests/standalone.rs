//! A standalone server on a disk that forgets what was not synced: whatever goes wrong, and whenever, nothing that a
//! client was told is missing afterwards, nothing is there twice, and the tree is the one that the history makes.
//!
//! `OXKEEPER_SEEDS` asks for more than CI's seeds, `OXKEEPER_SEED` for another first one. A failure names its seed.

use oxkeeper_sim::{Faults, Report, Standalone};

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{variable}={text}")))
}

/// Prints the seed if the run panics.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("seed {}: OXKEEPER_SEED={} OXKEEPER_SEEDS=1 repeats it", self.0, self.0);
        }
    }
}

fn run(seeds: u64, steps: usize, faults: Option<Faults>) -> Report {
    let first = number("OXKEEPER_SEED", 1);
    let mut all = Report::default();
    let seeds = number("OXKEEPER_SEEDS", seeds);
    for seed in first..first + seeds {
        let _named = Seed(seed);
        all += Standalone::new(seed, faults).run(steps);
    }
    println!("{all:?}");
    assert!(all.undecided <= 1 + seeds as usize / 50, "{all:?}");
    all
}

#[test]
fn whatever_goes_wrong_nothing_acknowledged_is_lost() {
    let all = run(200, 1500, None);
    if std::env::var_os("OXKEEPER_SEEDS").is_none() {
        // A run that never meets the faults would prove nothing.
        for (count, least) in [
            (all.acknowledged, 50_000),
            (all.power_cuts, 1000),
            (all.failed_logs, 200),
            (all.refusals, 1000),
            (all.snapshots, 1000),
            (all.failed_starts, 3),
            (all.watches, 1000),
            (all.silences, 10),
        ] {
            assert!(count >= least, "{count} of at least {least}: {all:?}");
        }
    }
}

#[test]
fn power_cuts_alone() {
    run(60, 1500, Some(Faults { power_cut: 40, ..Faults::default() }));
}

#[test]
fn failing_syncs_end_the_process_before_anything_is_acknowledged() {
    let all = run(60, 1500, Some(Faults { sync: 60, power_cut: 400, ..Faults::default() }));
    assert!(all.failed_logs > 0);
}

#[test]
fn a_disk_that_is_full_again_and_again() {
    let all = run(60, 1500, Some(Faults { space: 60, power_cut: 200, ..Faults::default() }));
    assert!(all.refusals > 0);
}

#[test]
fn one_seed_one_run() {
    let report = |seed| Standalone::new(seed, None).run(800);
    assert_eq!(report(5), report(5));
    assert_ne!(report(5), report(6));
}
