//! Runs ensembles in the simulator, seed after seed: `cargo run --release -p oxkeeper-sim -- --seeds 1000`. A seed that
//! fails is named with what repeats it, and shrunk to the faults that it needs.
//!
//! A violation is a panic, and in a release that ends the process. So the runs are made by a process of their own (this
//! program with `--worker`), which tells its sums when it ends, and at a panic before that.

#![forbid(unsafe_code)]

use oxkeeper_sim::{Cluster, ClusterReport, Failure, Scenario, ToldFaults, shrink};
use std::collections::BTreeSet;
use std::process::{Command, ExitCode};
use std::sync::{Arc, Mutex};
use std::time::Instant;

const STEPS: usize = 4_000;
const USAGE: &str = "oxkeeper-sim [--seeds COUNT] [--from SEED] [--steps STEPS] [--without NUMBER,...] [--clients COUNT]";

#[derive(Clone)]
struct Wanted {
    from: u64,
    seeds: u64,
    steps: usize,
    without: BTreeSet<usize>,
    clients: usize,
    is_worker: bool,
}

impl Wanted {
    fn scenario(&self, seed: u64) -> Scenario {
        Scenario { without: self.without.clone(), clients: self.clients, ..Scenario::new(seed) }
    }

    /// The arguments that repeat a scenario.
    fn arguments(&self, scenario: &Scenario) -> Vec<String> {
        let mut arguments = vec!["--from".to_owned(), scenario.seed.to_string(), "--seeds".to_owned(), "1".to_owned()];
        arguments.extend(["--steps".to_owned(), self.steps.to_string(), "--clients".to_owned(), scenario.clients.to_string()]);
        if !scenario.without.is_empty() {
            let numbers: Vec<String> = scenario.without.iter().map(usize::to_string).collect();
            arguments.extend(["--without".to_owned(), numbers.join(",")]);
        }
        arguments
    }
}

fn wanted(arguments: impl Iterator<Item = String>) -> Option<Wanted> {
    let mut wanted =
        Wanted { from: 1, seeds: 1000, steps: STEPS, without: BTreeSet::new(), clients: Scenario::new(0).clients, is_worker: false };
    let mut arguments = arguments;
    while let Some(argument) = arguments.next() {
        if argument == "--worker" {
            wanted.is_worker = true;
            continue;
        }
        let value = arguments.next()?;
        match argument.as_str() {
            "--seeds" => wanted.seeds = value.parse().ok()?,
            "--from" => wanted.from = value.parse().ok()?,
            "--steps" => wanted.steps = value.parse().ok()?,
            "--clients" => wanted.clients = value.parse().ok()?,
            "--without" => wanted.without = value.split(',').map(|number| number.parse().ok()).collect::<Option<_>>()?,
            _ => return None,
        }
    }
    Some(wanted)
}

/// What a worker has to tell, a line each: `row <name> <number>`, `stuck <seed>`, `trace <number>`,
/// `fault <number> <text>`, `seed <number>` and `violation <text>`, with tabs between.
#[derive(Default)]
struct Told {
    rows: Vec<(String, u64)>,
    stuck: Vec<String>,
    trace: u64,
    failed_seed: Option<u64>,
    failure: Option<Failure>,
}

impl Told {
    fn read(text: &str) -> Self {
        let mut told = Self::default();
        let (mut violation, mut faults) = (None, Vec::new());
        for line in text.lines() {
            match line.split('\t').collect::<Vec<_>>()[..] {
                ["row", name, number] => told.rows.push((name.to_owned(), number.parse().unwrap_or(0))),
                ["stuck", seed] => told.stuck.push(seed.to_owned()),
                ["trace", number] => told.trace = number.parse().unwrap_or(0),
                ["seed", number] => told.failed_seed = number.parse().ok(),
                ["fault", number, text] => faults.push((number.parse().unwrap_or(0), text.to_owned())),
                ["violation", text] => violation = Some(text.to_owned()),
                _ => {}
            }
        }
        told.failure = violation.map(|violation| Failure { violation, faults });
        told
    }

    fn add(&mut self, other: &Self) {
        for (name, number) in &other.rows {
            match self.rows.iter_mut().find(|(known, _)| known == name) {
                Some((_, sum)) => *sum += number,
                None => self.rows.push((name.clone(), *number)),
            }
        }
        self.stuck.extend_from_slice(&other.stuck);
        self.trace = self.trace.rotate_left(7) ^ other.trace;
    }
}

/// The runs themselves.
fn work(wanted: &Wanted) {
    let progress: Arc<Mutex<(u64, ClusterReport)>> = Arc::default();
    let faults: ToldFaults = Arc::default();
    let (of_hook, faults_of_hook) = (progress.clone(), faults.clone());
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        // The first one counts; nothing here may panic again.
        if let (Ok(mut progress), Ok(faults)) = (of_hook.lock(), faults_of_hook.lock()) {
            let payload = panic.payload();
            let text = payload.downcast_ref::<String>().map(String::as_str).or_else(|| payload.downcast_ref::<&str>().copied());
            let place = panic.location().map(ToString::to_string).unwrap_or_default();
            tell(&std::mem::take(&mut progress.1));
            faults.iter().for_each(|(number, text)| println!("fault\t{number}\t{text}"));
            println!("violation\t{} ({place})", text.unwrap_or("a panic").replace(['\t', '\n'], " "));
            println!("seed\t{}", progress.0);
        }
        usual(panic);
    }));
    for seed in wanted.from..wanted.from + wanted.seeds {
        progress.lock().expect("no holder panics").0 = seed;
        faults.lock().expect("no holder panics").clear();
        let report = Cluster::of(wanted.scenario(seed)).telling(&faults).run(wanted.steps);
        progress.lock().expect("no holder panics").1 += report;
    }
    tell(&progress.lock().expect("no holder panics").1);
}

fn tell(report: &ClusterReport) {
    report.rows().iter().for_each(|(name, number)| println!("row\t{name}\t{number}"));
    report.stuck.iter().for_each(|seed| println!("stuck\t{seed}"));
    println!("trace\t{}", report.trace);
}

fn hire(arguments: &[String]) -> std::io::Result<Told> {
    let output = Command::new(std::env::current_exe()?).arg("--worker").args(arguments).env("RUST_BACKTRACE", "0").output()?;
    let told = Told::read(&String::from_utf8_lossy(&output.stdout));
    if !output.status.success() && told.failure.is_none() {
        return Err(std::io::Error::other(format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr))));
    }
    Ok(told)
}

fn report_failure(wanted: &Wanted, seed: u64, failure: Failure, commit: &str) -> std::io::Result<()> {
    println!("seed {seed} fails on commit {commit}: {}", failure.violation);
    println!("  oxkeeper-sim {}", wanted.arguments(&wanted.scenario(seed)).join(" "));
    let all = failure.faults.len();
    let mut broken = None;
    let (scenario, failure) = shrink(wanted.scenario(seed), failure, |scenario| match hire(&wanted.arguments(scenario)) {
        Ok(told) => told.failure,
        Err(error) => {
            broken = Some(error);
            None
        }
    });
    if let Some(error) = broken {
        return Err(error);
    }
    println!("shrunk from {all} faults to {}, {} clients: {}", failure.faults.len(), scenario.clients, failure.violation);
    failure.faults.iter().for_each(|(_, fault)| println!("  {fault}"));
    println!("  oxkeeper-sim {}", wanted.arguments(&scenario).join(" "));
    Ok(())
}

fn supervise(wanted: &Wanted) -> std::io::Result<bool> {
    let begun = Instant::now();
    let commit = Command::new("git").args(["rev-parse", "--short", "HEAD"]).output();
    let commit = commit.map_or_else(|_| "unknown".to_owned(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    let end = wanted.from + wanted.seeds;
    let (mut sum, mut from, mut failures) = (Told::default(), wanted.from, 0);
    let mut elapsed = std::time::Duration::ZERO;
    while from < end {
        let at = Instant::now();
        let range = Wanted { from, seeds: end - from, ..wanted.clone() };
        let mut arguments = range.arguments(&range.scenario(from));
        arguments[3] = range.seeds.to_string();
        let told = hire(&arguments)?;
        elapsed += at.elapsed();
        sum.add(&told);
        let (Some(seed), Some(failure)) = (told.failed_seed, told.failure) else { break };
        failures += 1;
        report_failure(wanted, seed, failure, &commit)?;
        from = seed + 1;
    }
    println!("commit                                   {commit}");
    println!("seeds                                    {}..{end} of {} steps", wanted.from, wanted.steps);
    println!("violations                               {failures}");
    println!(
        "cost of a seed                           {:.1} ms ({:.0} s in all)",
        elapsed.as_secs_f64() * 1000.0 / wanted.seeds.max(1) as f64,
        begun.elapsed().as_secs_f64()
    );
    for (name, number) in &sum.rows {
        match name.as_str() {
            "simulated ms" => println!("simulated hours                          {:.1}", *number as f64 / 3_600_000.0),
            _ => println!("{name:<40} {number}"),
        }
    }
    if !sum.stuck.is_empty() {
        println!("seeds stuck in a change                  {}", sum.stuck.join(" "));
    }
    println!("trace                                    {:016x}", sum.trace);
    Ok(failures == 0)
}

fn main() -> ExitCode {
    let Some(wanted) = wanted(std::env::args().skip(1)) else {
        eprintln!("usage: {USAGE}");
        return ExitCode::from(2);
    };
    if wanted.is_worker {
        work(&wanted);
        return ExitCode::SUCCESS;
    }
    match supervise(&wanted) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("the runs cannot be made: {error}");
            ExitCode::from(2)
        }
    }
}
