//! `cargo xtask fuzz [--seconds N] [target...]`: the decoders under libFuzzer, all targets at the same time on as many
//! cores as there are. What a target does and what must hold is in `fuzz/src/lib.rs`.
//!
//! The coverage flags are LLVM's own and stable Rust takes them, so that a bare machine needs neither nightly nor
//! cargo-fuzz: a C++ compiler for libFuzzer itself is all. New inputs go to `fuzz/target/found`; an input that
//! breaks something goes to `fuzz/artifacts/<target>-...` and belongs into `fuzz/corpus/<target>` with the repair.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Each target, the longest input it gets in bytes, and directories of vectors that are seeds, too.
const TARGETS: &[(&str, u32, &[&str])] = &[
    ("client_frames", 4096, &[]),
    ("server_replies", 4096, &[]),
    ("records", 4096, &[]),
    ("log", 16_384, &["compat-tests/vectors/store/3.9.5-once", "compat-tests/vectors/store/3.9.5-rolled"]),
    (
        "snapshot",
        16_384,
        &["compat-tests/vectors/store/3.9.5-plain", "compat-tests/vectors/store/3.8.0-gz", "compat-tests/vectors/store/3.9.5-snappy"],
    ),
    ("config", 4096, &["compat-tests/vectors/config"]),
    ("java_string", 64, &[]),
    ("election", 4096, &["crates/zab/tests/vectors"]),
];

/// What CI gives: with the build it stays below a minute and a half on two cores.
const SECONDS: u32 = 5;

/// SanitizerCoverage as cargo-fuzz sets it up, without a sanitizer: safe Rust has nothing for those to find.
const FLAGS: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1 -Cdebug-assertions=on -Coverflow-checks=on";

/// Builds the targets and runs them.
///
/// # Errors
/// A wrong argument, a build that fails, or the names of the targets that found something.
pub fn run(root: &Path, arguments: &[String]) -> Result<(), String> {
    let (seconds, chosen) = parse(arguments)?;
    let fuzz = root.join("fuzz");
    let host = host()?;
    // With a target triple the flags leave build scripts and macros alone.
    let built = Command::new("cargo")
        .args(["build", "--release", "--bins", "--target", &host])
        .current_dir(&fuzz)
        .env("RUSTFLAGS", FLAGS)
        .env_remove("CARGO_TARGET_DIR")
        .status()
        .map_err(|error| format!("cargo: {error}"))?;
    if !built.success() {
        return Err("the fuzz targets do not build".to_owned());
    }
    let artifacts = fuzz.join("artifacts");
    std::fs::create_dir_all(&artifacts).map_err(|error| format!("{}: {error}", artifacts.display()))?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut failed = Vec::new();
    for group in chosen.chunks(cores) {
        let mut running = Vec::new();
        for target in group {
            running.push((target.0, start(root, &host, target, seconds)?));
        }
        for (name, mut child) in running {
            let ended = child.wait().map_err(|error| error.to_string())?;
            let text = std::fs::read(log_of(&fuzz, name)).unwrap_or_default();
            let text = String::from_utf8_lossy(&text);
            let inputs = text.lines().find_map(|line| line.strip_prefix("stat::number_of_executed_units:")).unwrap_or(" ?");
            println!("   {name}: {} inputs, {ended}", inputs.trim());
            if !ended.success() {
                let tail: Vec<&str> = text.lines().filter(|line| !line.contains("NEW_FUNC")).collect();
                println!("{}", tail[tail.len().saturating_sub(60)..].join("\n"));
                failed.push(name);
            }
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(format!("found something: {}; see {}", failed.join(", "), artifacts.display())) }
}

type Target = (&'static str, u32, &'static [&'static str]);

fn parse(arguments: &[String]) -> Result<(u32, Vec<Target>), String> {
    let mut seconds = SECONDS;
    let mut chosen = Vec::new();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        if argument == "--seconds" {
            seconds = rest.next().and_then(|text| text.parse().ok()).ok_or("--seconds wants a number")?;
        } else {
            let known = TARGETS.iter().find(|(name, ..)| name == argument);
            chosen.push(*known.ok_or_else(|| format!("{argument} is no target; there are: {}", names().join(", ")))?);
        }
    }
    Ok((seconds, if chosen.is_empty() { TARGETS.to_vec() } else { chosen }))
}

fn names() -> Vec<&'static str> {
    TARGETS.iter().map(|(name, ..)| *name).collect()
}

fn host() -> Result<String, String> {
    let output = Command::new("rustc").arg("-vV").output().map_err(|error| format!("rustc: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().find_map(|line| line.strip_prefix("host: ")).map(str::to_owned).ok_or_else(|| "rustc names no host".to_owned())
}

/// What libFuzzer says, which is much.
fn log_of(fuzz: &Path, name: &str) -> PathBuf {
    fuzz.join("target").join(format!("{name}.log"))
}

fn start(root: &Path, host: &str, (name, most_bytes, seeds): &Target, seconds: u32) -> Result<Child, String> {
    let fuzz = root.join("fuzz");
    let found = fuzz.join("target/found").join(name);
    std::fs::create_dir_all(&found).map_err(|error| format!("{}: {error}", found.display()))?;
    let mut command = Command::new(fuzz.join("target").join(host).join("release").join(name));
    command.arg(&found).arg(fuzz.join("corpus").join(name)).args(seeds.iter().map(|seed| root.join(seed)));
    command.arg(format!("-max_total_time={seconds}")).arg(format!("-max_len={most_bytes}"));
    command.arg(format!("-artifact_prefix={}/{name}-", fuzz.join("artifacts").display()));
    // A megabyte of input would take less; what takes more is a finding.
    command.args(["-rss_limit_mb=1024", "-timeout=10", "-verbosity=0", "-print_final_stats=1"]);
    let log = std::fs::File::create(log_of(&fuzz, name)).map_err(|error| format!("{name}: {error}"))?;
    command.stdout(Stdio::null()).stderr(log);
    println!("== fuzz {name} for {seconds} s");
    command.spawn().map_err(|error| format!("{name}: {error}"))
}
