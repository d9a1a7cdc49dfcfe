//! `cargo xtask bench [workload...] [options]`: builds the programs in release and runs the comparison.
//!
//! The measuring itself is in `oxkeeper-bench`, which must be a release build and a process of its own. All workloads
//! at once, or those named, also replace their pieces of docs/performance.md.

use std::path::Path;
use std::process::{Command, ExitCode};

/// Runs the comparison with the arguments behind `bench`; run it from the workspace's root.
pub fn run(arguments: &[String]) -> ExitCode {
    let build = Command::new(env!("CARGO"))
        .args(["build", "--release", "--quiet", "-p", "oxkeeper", "-p", "oxkeeper-bench"])
        .status();
    if !build.as_ref().is_ok_and(|status| status.success()) {
        eprintln!("cargo build --release failed: {build:?}");
        return ExitCode::FAILURE;
    }
    let mut command = Command::new(Path::new("target/release/oxkeeper-bench"));
    command.arg("compare").args(arguments);
    if !arguments.iter().any(|argument| argument == "--write") {
        command.args(["--write", "docs/performance.md"]);
    }
    match command.status() {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        Ok(status) => {
            eprintln!("oxkeeper-bench: {status}");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("oxkeeper-bench: {error}");
            ExitCode::FAILURE
        }
    }
}
