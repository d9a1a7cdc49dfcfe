//! Known bugs, put back one at a time: the simulator has to find each. What it does not find is a hole in it.
//!
//! CI looks for each in one range of seeds. `OXKEEPER_CASES=all` does it in several and tells the median of how many seeds
//! it took; `OXKEEPER_MUTANT` names the only one to be looked for. Mutants are there only with debug assertions.

#![cfg(debug_assertions)]

use oxkeeper_proto::{Mutant, mutant};
use oxkeeper_sim::Cluster;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

const STEPS: usize = 4_000;
/// A bug that hides for longer is as good as not found.
const MOST_SEEDS: u64 = 1_500;
/// Where the ranges begin; the first is CI's.
const RANGES: [u64; 5] = [1, 100_000, 200_000, 300_000, 400_000];

/// How many seeds from here on it takes, and what the last one violates.
fn hunt(bug: Mutant, from: u64) -> Option<(u64, String)> {
    (from..from + MOST_SEEDS).find_map(|seed| {
        let run = std::panic::catch_unwind(|| {
            mutant::select(Some(bug));
            Cluster::new(seed, None).run(STEPS)
        });
        mutant::select(None);
        let panic = run.err()?;
        let text = panic.downcast_ref::<String>().cloned().or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Some((seed - from + 1, text.unwrap_or_default()))
    })
}

#[test]
fn each_bug_that_is_put_back_is_found() {
    let is_all = std::env::var("OXKEEPER_CASES").is_ok_and(|cases| cases == "all");
    let only = std::env::var("OXKEEPER_MUTANT").ok();
    let wanted: Vec<_> = Mutant::ALL.iter().filter(|(bug, _)| only.as_ref().is_none_or(|only| *only == format!("{bug:?}"))).collect();
    let ranges = if is_all { &RANGES[..] } else { &RANGES[..1] };
    // Each violation that is found is a panic.
    let told = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let (next, lines) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, Into::into) {
            scope.spawn(|| {
                while let Some((bug, row)) = wanted.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let mut found: Vec<_> = ranges.iter().map(|from| hunt(*bug, *from)).collect();
                    found.sort_by_key(|found| found.as_ref().map_or(u64::MAX, |(seeds, _)| *seeds));
                    let is_found = found.iter().all(Option::is_some);
                    let line = match &found[found.len() / 2] {
                        Some((seeds, violation)) => format!("{bug:?} | {row} | {seeds} | {}", violation.lines().next().unwrap_or_default()),
                        None => format!("{bug:?} | {row} | not in {MOST_SEEDS} seeds"),
                    };
                    let each: Vec<_> =
                        found.iter().map(|found| found.as_ref().map_or("-".to_owned(), |(seeds, _)| seeds.to_string())).collect();
                    println!("{line} ({})", each.join(", "));
                    lines.lock().expect("no holder panics").push((is_found, line));
                }
            });
        }
    });
    std::panic::set_hook(told);
    let missed: Vec<_> = lines.into_inner().expect("no holder panics").into_iter().filter(|(is_found, _)| !is_found).collect();
    assert!(missed.is_empty() && !wanted.is_empty(), "not found: {missed:#?}");
}
