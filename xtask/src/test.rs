//! `cargo xtask test`: what CI runs. The steps are the table below, in order; the first that fails ends the run.
//! A step that others own (clients, fuzzing) is a row like any other.

use std::process::Command;
use std::time::Instant;

use crate::prerequisites;

/// A step: its name and the command that does it.
struct Step {
    name: &'static str,
    command: &'static [&'static str],
}

const fn step(name: &'static str, command: &'static [&'static str]) -> Step {
    Step { name, command }
}

/// Everything that CI checks. The budget on two cores is 8 minutes for the builds and 10 for the tests.
const STEPS: &[Step] = &[
    step("format", &["cargo", "fmt", "--all", "--check"]),
    step("build", &["cargo", "build", "--release", "--workspace"]),
    step("lint", &["cargo", "clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]),
    step("unit tests", &["cargo", "test", "--workspace", "--exclude", "oxkeeper-compat-tests"]),
    step("build of the black box", &["cargo", "test", "--release", "-p", "oxkeeper-compat-tests", "--no-run"]),
    step("black box: helpers", &["cargo", "test", "--release", "-p", "oxkeeper-compat-tests", "--lib"]),
    step("black box: scripts", &["cargo", "test", "--release", "-p", "oxkeeper-compat-tests", "--test", "scripts"]),
    step("black box: random", &["cargo", "test", "--release", "-p", "oxkeeper-compat-tests", "--test", "random"]),
    step("black box: directories", &["cargo", "test", "--release", "-p", "oxkeeper-compat-tests", "--test", "directories"]),
    step("black box: four-letter words", &["cargo", "test", "--release", "-p", "oxkeeper-compat-tests", "--test", "four_letter_words"]),
    step("black box: process", &["cargo", "test", "--release", "-p", "oxkeeper-compat-tests", "--test", "process"]),
    step("black box: kill -9", &["cargo", "test", "--release", "-p", "oxkeeper-compat-tests", "--test", "kill"]),
    step("black box: syncs", &["cargo", "test", "--release", "-p", "oxkeeper-compat-tests", "--test", "syncs"]),
    step("black box: full disk", &["cargo", "test", "--release", "-p", "oxkeeper-compat-tests", "--test", "full_disk"]),
    step("black box: damage", &["cargo", "test", "--release", "-p", "oxkeeper-compat-tests", "--test", "damage"]),
    // Real clients: a row for each goes here.
    step(
        "black box: past vulnerabilities",
        &[
            "cargo",
            "test",
            "--release",
            "-p",
            "oxkeeper-compat-tests",
            "--test",
            "cves",
        ],
    ),
    step(
        "black box: storms",
        &[
            "cargo",
            "test",
            "--release",
            "-p",
            "oxkeeper-compat-tests",
            "--test",
            "storm",
            "--",
            "--test-threads=1",
        ],
    ),
    // All targets; with `--seconds 3600` a soak.
    step("fuzz", &["cargo", "xtask", "fuzz", "--seconds", "5"]),
];

/// The long forms, hours if wanted: `OXKEEPER_OPERATIONS` and `OXKEEPER_SEED` steer the random test.
const LONG_STEPS: &[Step] = &[
    step(
        "simulator",
        &["env", "OXKEEPER_SEEDS=20000", "cargo", "test", "--release", "-p", "oxkeeper-sim", "--test", "standalone", "--", "--nocapture"],
    ),
    step(
        "kill -9, thousands",
        &[
            "env",
            "OXKEEPER_KILL_CYCLES=5000",
            "cargo",
            "test",
            "--release",
            "-p",
            "oxkeeper-compat-tests",
            "--test",
            "kill",
            "--",
            "--nocapture",
        ],
    ),
    step("black box, all of it", &["cargo", "test", "--release", "-p", "oxkeeper-compat-tests", "--", "--include-ignored", "--nocapture"]),
];

/// What CI runs.
///
/// # Errors
/// The first step that failed.
pub fn run() -> Result<(), String> {
    run_steps(STEPS)
}

/// The long forms.
///
/// # Errors
/// The first step that failed.
pub fn soak() -> Result<(), String> {
    run_steps(LONG_STEPS)
}

fn run_steps(steps: &[Step]) -> Result<(), String> {
    let mut durations = Vec::new();
    let mut outcome = Ok(());
    let start = Instant::now();
    let prepared = prerequisites::install();
    durations.push(("prerequisites", start.elapsed()));
    if let Err(reason) = prepared {
        outcome = Err(reason);
    }
    for Step { name, command } in steps {
        if outcome.is_err() {
            break;
        }
        println!("== {name}: {}", command.join(" "));
        let start = Instant::now();
        let status = Command::new(command[0]).args(&command[1..]).status();
        durations.push((name, start.elapsed()));
        outcome = match status {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(format!("{name} ended with {status}")),
            Err(error) => Err(format!("{name}: {}: {error}", command[0])),
        };
    }
    println!("== durations");
    for (name, duration) in &durations {
        println!("{:8.1} s  {name}", duration.as_secs_f64());
    }
    println!("{:8.1} s  in all", durations.iter().map(|(_, duration)| duration.as_secs_f64()).sum::<f64>());
    outcome
}
