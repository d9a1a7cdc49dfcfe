//! Ensembles in the simulator: one list of committed transactions, whatever goes wrong.

use oxkeeper_sim::{Cluster, ClusterFaults, ClusterReport};

const STEPS: usize = 4_000;

fn seeds(from: u64, count: u64, faults: Option<ClusterFaults>) -> ClusterReport {
    let mut sum = ClusterReport::default();
    for seed in from..from + count {
        let run = std::panic::catch_unwind(|| Cluster::new(seed, faults).run(STEPS));
        match run {
            Ok(report) => sum += report,
            Err(_) => panic!("seed {seed} fails: cargo test -p oxkeeper-sim --test cluster, SEED={seed}"),
        }
    }
    println!("{sum:?}");
    sum
}

#[test]
fn without_faults_everything_is_answered() {
    let sum = seeds(1, 10, Some(ClusterFaults::default()));
    assert!(sum.acknowledged > 1_000, "{sum:?}");
}

#[test]
fn whatever_goes_wrong() {
    let (from, count) = match std::env::var("SEED") {
        Ok(seed) => (seed.parse().expect("a number"), 1),
        Err(_) => (1_000, std::env::var("SEEDS").map_or(60, |n| n.parse().expect("a number"))),
    };
    let sum = seeds(from, count, None);
    if count >= 60 {
        // Clients that never moved, waited or were told would prove nothing of the client.
        assert!(sum.watches > 0 && sum.silences > 20, "{sum:?}");
    }
}

#[test]
fn a_run_repeats_itself() {
    let run = || Cluster::new(7, None).run(STEPS);
    assert_eq!(run(), run());
}
