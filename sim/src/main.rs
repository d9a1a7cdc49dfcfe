//! Runs ensembles in the simulator, seed after seed: `cargo run --release -p oxkeeper-sim -- --seeds 1000`. A seed that fails is named with
//! what repeats it.

#![forbid(unsafe_code)]

use oxkeeper_sim::{Cluster, ClusterReport};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};

const STEPS: usize = 4_000;
const USAGE: &str = "oxkeeper-sim [--seeds COUNT] [--from SEED] [--steps STEPS]";

struct Wanted {
    from: u64,
    seeds: u64,
    steps: usize,
}

fn wanted(arguments: impl Iterator<Item = String>) -> Option<Wanted> {
    let mut wanted = Wanted { from: 1, seeds: 1000, steps: STEPS };
    let mut arguments = arguments;
    while let Some(argument) = arguments.next() {
        let number = arguments.next()?.parse::<u64>().ok()?;
        match argument.as_str() {
            "--seeds" => wanted.seeds = number,
            "--from" => wanted.from = number,
            "--steps" => wanted.steps = usize::try_from(number).ok()?,
            _ => return None,
        }
    }
    Some(wanted)
}

fn main() -> ExitCode {
    let Some(Wanted { from, seeds, steps }) = wanted(std::env::args().skip(1)) else {
        eprintln!("usage: {USAGE}");
        return ExitCode::from(2);
    };
    // Where a panic ends the process, the seed must still be named.
    static SEED: AtomicU64 = AtomicU64::new(0);
    let told = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        told(panic);
        let seed = SEED.load(Ordering::Relaxed);
        eprintln!("seed {seed} fails: oxkeeper-sim --from {seed} --seeds 1 --steps {steps}, on this commit");
    }));
    let mut sum = ClusterReport::default();
    let mut failed = Vec::new();
    for seed in from..from + seeds {
        SEED.store(seed, Ordering::Relaxed);
        // The panic's own message goes to standard error and says what was violated.
        match std::panic::catch_unwind(|| Cluster::new(seed, None).run(steps)) {
            Ok(report) => sum += report,
            Err(_) => failed.push(seed),
        }
    }
    println!("seeds            {from}..{} of {steps} steps", from + seeds);
    println!("violations       {}", failed.len());
    println!("simulated hours  {:.1}", sum.virtual_ms as f64 / 3_600_000.0);
    for (what, count) in [
        ("acknowledged", sum.acknowledged),
        ("leaders", sum.leads),
        ("learners", sum.follows),
        ("starts", sum.starts),
        ("power cuts", sum.power_cuts),
        ("kills", sum.kills),
        ("pauses", sum.pauses),
        ("cuts of links", sum.cuts),
        ("resets", sum.resets),
        ("failed logs", sum.failed_logs),
        ("clock steps", sum.clock_steps),
        ("snapshots", sum.snapshots),
        ("from files: DIFF", sum.diffs),
        ("from files: TRUNC", sum.truncs),
        ("from files: SNAP", sum.snaps),
    ] {
        println!("{what:<17}{count}");
    }
    println!("trace            {:016x}", sum.trace);
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
