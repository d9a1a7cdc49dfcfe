//! `cargo xtask bench [ensemble] [workload...] [options]`: builds the programs in release and runs the comparison, of
//! single servers or of ensembles of three; `bench capi [seconds]` measures the C library.
//!
//! The measuring itself is in `oxkeeper-bench`, which must be a release build and a process of its own. What a run
//! measures replaces its pieces of docs/performance.md or docs/performance-ensembles.md, unless `--write` names another file.

use crate::capi;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Runs the comparison with the arguments that follow `bench`; `root` is the workspace's.
pub fn run(root: &Path, arguments: &[String]) -> Result<(), String> {
    if let Some(("capi", arguments)) = arguments.split_first().map(|(first, rest)| (first.as_str(), rest)) {
        return capi::bench(root, arguments);
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut build = Command::new(cargo);
    build.args(["build", "--release", "--quiet", "-p", "oxkeeper", "-p", "oxkeeper-bench"]);
    finish(build.current_dir(root))?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let programs = target.join("release");
    let mut compare = Command::new(programs.join("oxkeeper-bench"));
    let (command, document, arguments) = match arguments.split_first() {
        Some((first, rest)) if first == "ensemble" => ("ensemble", "docs/performance-ensembles.md", rest),
        _ => ("compare", "docs/performance.md", arguments),
    };
    compare.current_dir(root).arg(command).arg("--oxkeeper").arg(programs.join("oxkeeper"));
    if !arguments.iter().any(|argument| argument == "--write") {
        compare.args(["--write", document]);
    }
    finish(compare.args(arguments))
}

fn finish(command: &mut Command) -> Result<(), String> {
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{command:?}: {status}")),
        Err(error) => Err(format!("{command:?}: {error}")),
    }
}
