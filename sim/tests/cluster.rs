//! Ensembles in the simulator: one list of committed transactions, whatever goes wrong.
//!
//! CI's seeds are always the same, so that a violation there is of the change that is tested. `OXKEEPER_SEEDS` is another
//! count of them, from a number made of the commit's hash on; `OXKEEPER_SEED` is another first one. A failure names its
//! seed; `oxkeeper-sim --from SEED --seeds 1` repeats and shrinks it.

use oxkeeper_sim::{Cluster, ClusterFaults, ClusterReport};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

const STEPS: usize = 4_000;
const SEEDS: u64 = 2_000;

/// What so many seeds must have come across at least: the power went while a learner was there, or right before that
/// operation of its disk. Half of what is usual, and less of what is rare, as other seeds have less.
const FLOORS: &[(&str, usize)] = &[
    ("DIFF", 25),
    ("TRUNC", 1),
    ("SNAP", 7),
    ("NEWLEADER", 600),
    ("rename acceptedEpoch", 80),
    ("rename currentEpoch", 15),
    ("rename currentEpoch.tmp", 1),
    ("rename oxkeeper.epochs", 130),
    ("rename oxkeeper.adopting", 1),
    ("rename oxkeeper.aside.snapshot", 1),
    ("rename oxkeeper.tmp.staged.snapshot", 4),
    ("rename snapshot", 8),
    ("rename log", 1),
];

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{variable}={text}")))
}

/// A number made of the commit's hash.
fn of_commit() -> u64 {
    let output = Command::new("git").args(["rev-parse", "HEAD"]).output();
    let hash = output.ok().and_then(|output| u64::from_str_radix(String::from_utf8_lossy(&output.stdout).get(..10)?, 16).ok());
    hash.unwrap_or(1)
}

fn seeds(from: u64, count: u64, faults: Option<ClusterFaults>) -> ClusterReport {
    let (next, sum) = (AtomicU64::new(from), Mutex::new(ClusterReport::default()));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, Into::into) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= from + count {
                        return;
                    }
                    let run = std::panic::catch_unwind(|| Cluster::new(seed, faults).run(STEPS));
                    let report = run.unwrap_or_else(|_| panic!("seed {seed} fails: oxkeeper-sim --from {seed} --seeds 1 shrinks it"));
                    *sum.lock().expect("no holder panics") += report;
                }
            });
        }
    });
    let sum = sum.into_inner().expect("no holder panics");
    println!("seeds {from}..{}", from + count);
    sum.rows().iter().for_each(|(name, number)| println!("{name}: {number}"));
    sum
}

#[test]
fn without_faults_everything_is_answered() {
    let sum = seeds(1, 10, Some(ClusterFaults::default()));
    assert!(sum.acknowledged > 1_000, "{sum:?}");
}

#[test]
fn whatever_goes_wrong() {
    let wanted = number("OXKEEPER_SEEDS");
    let count = wanted.unwrap_or(SEEDS);
    let first = number("OXKEEPER_SEED").unwrap_or_else(|| wanted.map_or(1, |_| of_commit()));
    let sum = seeds(first, count, None);
    if count < SEEDS {
        return;
    }
    for (moment, floor) in FLOORS {
        let count = sum.power_gone.get(*moment).copied().unwrap_or(0);
        assert!(count >= *floor, "power cuts at {moment}: {count}, and at least {floor} are wanted");
    }
    for (what, count, floor) in [("DIFF", sum.diffs, 1_000), ("TRUNC", sum.truncs, 15), ("SNAP", sum.snaps, 1_700)] {
        assert!(count >= floor, "{what} from files: {count}, and at least {floor} are wanted");
    }
    assert!(sum.faults.iter().all(|count| *count > 1_000), "{:?}", sum.faults);
    // Clients that never moved, waited or were told would prove nothing of the client.
    assert!(sum.watches > 0 && sum.silences > 20, "{sum:?}");
}

#[test]
fn a_run_repeats_itself() {
    let run = |seed| Cluster::new(seed, None).run(STEPS);
    assert_eq!(run(7), run(7));
    assert_ne!(run(7).trace, run(8).trace);
}
