//! A run that fails, made as small as it gets: faults and clients are left out for as long as it still fails.
//!
//! How a run is made and watched is the caller's business: in a process of its own where a panic ends it.

use crate::cluster::Scenario;

/// So many runs at most: a few seconds.
const MOST_RUNS: usize = 400;

/// How a run has failed.
#[derive(Clone, Debug)]
pub struct Failure {
    /// What was violated.
    pub violation: String,
    /// Each fault that there was: its number, and what it was.
    pub faults: Vec<(usize, String)>,
}

/// Makes a failing run smaller. `run` tells how a scenario fails, or that it does not.
pub fn shrink(scenario: Scenario, failure: Failure, mut run: impl FnMut(&Scenario) -> Option<Failure>) -> (Scenario, Failure) {
    let (mut smallest, mut best) = (scenario, failure);
    let mut left = MOST_RUNS;
    let mut attempt = |scenario: Scenario, smallest: &mut Scenario, best: &mut Failure| {
        if left == 0 {
            return false;
        }
        left -= 1;
        let Some(failure) = run(&scenario) else { return false };
        (*smallest, *best) = (scenario, failure);
        true
    };
    let mut length = best.faults.len().div_ceil(2);
    while length > 0 {
        let mut from = 0;
        while from < best.faults.len() {
            let mut fewer = smallest.clone();
            fewer.without.extend(best.faults.iter().skip(from).take(length).map(|(number, _)| *number));
            if !attempt(fewer, &mut smallest, &mut best) {
                from += length;
            }
        }
        length = if length == 1 { 0 } else { length.div_ceil(2) };
    }
    while smallest.clients > 1 {
        let fewer = Scenario { clients: smallest.clients - 1, ..smallest.clone() };
        if !attempt(fewer, &mut smallest, &mut best) {
            break;
        }
    }
    (smallest, best)
}
