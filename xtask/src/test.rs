//! `cargo xtask test`: what CI runs. The steps are the table below and one for each file of `compat-tests/tests`, in
//! order; the first that fails ends the run. What a step needs and is not there fails the run, too.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Instant;

use crate::{capi, clients, prerequisites};

/// Begins the names of the steps of the black box.
const BLACK_BOX: &str = "black box: ";

/// A step: its name and the command that does it.
struct Step {
    name: String,
    command: Vec<&'static str>,
}

fn step(name: &str, command: &[&'static str]) -> Step {
    Step { name: name.to_owned(), command: command.to_vec() }
}

/// The server for release, which the black box tests. Its link-time optimization keeps one core busy for minutes and
/// shares no lock with the other builds, so that it goes on beside the steps before the black box.
const RELEASE_BUILD: (&str, &[&str]) = ("build", &["cargo", "build", "--release", "-p", "oxkeeper"]);

/// What comes before the black box, which is itself not built for release: a link-time optimization for each of its
/// programs would take minutes, and it is the server that counts.
const STEPS: &[(&str, &[&str])] = &[
    ("format", &["cargo", "fmt", "--all", "--check"]),
    ("lint", &["cargo", "clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]),
    ("unit tests", &["cargo", "test", "--workspace", "--exclude", "oxkeeper-compat-tests", "--exclude", "oxkeeper-sim"]),
    // The simulator's tests, with counters.
    ("simulator", &["cargo", "xtask", "coverage"]),
    // All targets; with `--seconds 3600` a soak.
    ("fuzz", &["cargo", "xtask", "fuzz", "--seconds", "5"]),
    // Not for release: its checks for overflow are wanted in the tests.
    ("C library", &["cargo", "xtask", "install-capi", "--prefix", "target/capi", "--debug"]),
    ("build of the black box", &["cargo", "test", "-p", "oxkeeper-compat-tests", "--no-run"]),
    ("black box: helpers", &["cargo", "test", "-p", "oxkeeper-compat-tests", "--lib"]),
];

/// Tests that measure what a machine can do, or start whole ensembles: one at a time.
const ALONE: &[&str] = &["chaos", "links", "local_sessions", "members", "mixed", "read_only", "reconfig", "sessions", "storm", "swap"];

/// A step for each file of the black box, so that none is forgotten; the real clients, who take longest, come last.
fn black_box(root: &Path) -> Result<Vec<Step>, String> {
    let directory = root.join("compat-tests/tests");
    let entries = std::fs::read_dir(&directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    let files = entries.flatten().map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|end| end == "rs"));
    let mut names: Vec<String> = files.filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned())).collect();
    names.sort_by_key(|name| (name == "clients", name.clone()));
    let steps = names.into_iter().map(|name| {
        let mut step = step(&format!("{BLACK_BOX}{name}"), &["cargo", "test", "-p", "oxkeeper-compat-tests", "--test"]);
        let is_alone = ALONE.contains(&name.as_str());
        // Lives as long as the program.
        step.command.push(name.leak());
        if is_alone {
            step.command.extend(["--", "--test-threads=1"]);
        }
        step
    });
    Ok(steps.collect())
}

/// The long forms, hours if wanted: `OXKEEPER_OPERATIONS` and `OXKEEPER_SEED` steer the random test.
const LONG_STEPS: &[(&str, &[&str])] = &[
    ("build", &["cargo", "build", "--release", "-p", "oxkeeper"]),
    (
        "simulator",
        &["env", "OXKEEPER_SEEDS=20000", "cargo", "test", "--release", "-p", "oxkeeper-sim", "--test", "standalone", "--", "--nocapture"],
    ),
    ("simulator, ensembles", &["cargo", "run", "--release", "-p", "oxkeeper-sim", "--", "--seeds", "100000"]),
    (
        "simulator, bugs put back",
        &["env", "OXKEEPER_CASES=all", "cargo", "test", "-p", "oxkeeper-sim", "--test", "mutants", "--", "--nocapture"],
    ),
    (
        "kill -9, thousands",
        &["env", "OXKEEPER_KILL_CYCLES=5000", "cargo", "test", "-p", "oxkeeper-compat-tests", "--test", "kill", "--", "--nocapture"],
    ),
    ("C library", &["cargo", "xtask", "install-capi", "--prefix", "target/capi", "--debug"]),
    (
        "ensembles, every case",
        &[
            "env",
            "OXKEEPER_CASES=all",
            "cargo",
            "test",
            "-p",
            "oxkeeper-compat-tests",
            "--no-fail-fast",
            "--test",
            "mixed",
            "--test",
            "swap",
            "--test",
            "chaos",
            "--test",
            "read_only",
            "--test",
            "local_sessions",
            "--test",
            "links",
            "--test",
            "sessions",
            "--test",
            "reconfig",
            "--",
            "--include-ignored",
            "--test-threads=1",
            "--nocapture",
        ],
    ),
    (
        "packages and scripts, every case",
        &[
            "env",
            "OXKEEPER_CASES=all",
            "cargo",
            "test",
            "-p",
            "oxkeeper-compat-tests",
            "--no-fail-fast",
            "--test",
            "packages",
            "--test",
            "zkserver",
            "--",
            "--include-ignored",
        ],
    ),
    (
        "C library under fire, watched, and its bindings",
        &[
            "env",
            "OXKEEPER_CASES=all",
            "OXKEEPER_RACE_ROUNDS=20",
            "OXKEEPER_FIRE_SECONDS=120",
            "OXKEEPER_FIRE_HANDLES=100",
            "OXKEEPER_HOSTILE_ROUNDS=1000",
            "cargo",
            "test",
            "-p",
            "oxkeeper-compat-tests",
            "--no-fail-fast",
            "--test",
            "capi",
            "--test",
            "capi_fire",
            "--test",
            "capi_cases",
            "--test",
            "capi_bindings",
            "--",
            "--nocapture",
        ],
    ),
    ("black box, all of it", &["cargo", "test", "-p", "oxkeeper-compat-tests", "--no-fail-fast", "--", "--include-ignored", "--nocapture"]),
];

/// What CI runs.
///
/// # Errors
/// The first step that failed.
pub fn run(root: &Path) -> Result<(), String> {
    let mut steps: Vec<Step> = STEPS.iter().map(|(name, command)| step(name, command)).collect();
    steps.extend(black_box(root)?);
    run_steps(&steps, Some(&step(RELEASE_BUILD.0, RELEASE_BUILD.1)))
}

/// The long forms.
///
/// # Errors
/// The first step that failed.
pub fn soak() -> Result<(), String> {
    run_steps(&LONG_STEPS.iter().map(|(name, command)| step(name, command)).collect::<Vec<_>>(), None)
}

/// A step that runs beside others: it is waited for before the black box. Its output comes then, so that it stays in one
/// piece; what it started ends with it at a failure elsewhere.
struct Beside<'a> {
    step: &'a Step,
    child: Child,
    output: PathBuf,
}

impl<'a> Beside<'a> {
    fn start(step: &'a Step) -> Result<Self, String> {
        let failed = |error: std::io::Error| format!("{}: {error}", step.name);
        let output = std::env::temp_dir().join(format!("oxkeeper-beside-{}", std::process::id()));
        let file = File::create(&output).map_err(failed)?;
        let mut command = Command::new(step.command[0]);
        command.args(&step.command[1..]).stdout(file.try_clone().map_err(failed)?).stderr(file);
        Ok(Self { step, child: command.spawn().map_err(failed)?, output })
    }

    fn finish(mut self) -> Result<(), String> {
        let status = self.child.wait().map_err(|error| format!("{}: {error}", self.step.name))?;
        println!("== {}, beside the others: {}", self.step.name, self.step.command.join(" "));
        print!("{}", std::fs::read_to_string(&self.output).unwrap_or_default());
        if status.success() { Ok(()) } else { Err(format!("{} ended with {status}", self.step.name)) }
    }
}

impl Drop for Beside<'_> {
    fn drop(&mut self) {
        // Nothing to do if it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_file(&self.output);
    }
}

fn run_steps(steps: &[Step], beside: Option<&Step>) -> Result<(), String> {
    let mut durations = Vec::new();
    let mut outcome = Ok(());
    let start = Instant::now();
    let prepared = prerequisites::install().and_then(|()| clients::prerequisites()).and_then(|()| capi::prerequisites());
    durations.push(("prerequisites", start.elapsed()));
    if let Err(reason) = prepared {
        outcome = Err(reason);
    }
    let mut beside = match (&outcome, beside) {
        (Ok(()), Some(step)) => Some(Beside::start(step)?),
        _ => None,
    };
    let mut second_tries = Vec::new();
    for step in steps {
        if step.name.starts_with(BLACK_BOX)
            && outcome.is_ok()
            && let Some(beside) = beside.take()
        {
            let start = Instant::now();
            outcome = beside.finish();
            durations.push(("waiting for the build", start.elapsed()));
        }
        if outcome.is_err() {
            break;
        }
        let start = Instant::now();
        outcome = run_step(step);
        // Java servers, browsers and real clients miss a deadline now and then on a machine that stands still for a moment.
        // What fails twice fails; what does not is named at the end.
        if outcome.is_err() && step.name.starts_with(BLACK_BOX) {
            second_tries.push(step.name.as_str());
            outcome = run_step(step);
        }
        durations.push((step.name.as_str(), start.elapsed()));
    }
    println!("== durations");
    for (name, duration) in &durations {
        println!("{:8.1} s  {name}", duration.as_secs_f64());
    }
    println!("{:8.1} s  in all", durations.iter().map(|(_, duration)| duration.as_secs_f64()).sum::<f64>());
    if !second_tries.is_empty() {
        println!("== failed once: {}", second_tries.join(", "));
    }
    outcome
}

fn run_step(Step { name, command }: &Step) -> Result<(), String> {
    println!("== {name}: {}", command.join(" "));
    match Command::new(command[0]).args(&command[1..]).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{name} ended with {status}")),
        Err(error) => Err(format!("{name}: {}: {error}", command[0])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_black_box_is_a_step_and_clients_come_last() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the workspace");
        let names: Vec<String> = black_box(root).expect("readable").into_iter().map(|step| step.name).collect();
        for wanted in ["scripts", "random", "directories", "hazards"] {
            assert!(names.contains(&format!("black box: {wanted}")), "{names:?}");
        }
        assert_eq!(names.last().map(String::as_str), Some("black box: clients"));
    }
}
