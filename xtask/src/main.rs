//! Helper commands of the project: `cargo xtask <command>`.

mod bench;
mod jute;

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the workspace");
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = match arguments.first().map(String::as_str) {
        Some("jute") => jute::run(root),
        Some("bench") => bench::run(root, &arguments[1..]),
        _ => Err("usage: cargo xtask jute | bench [workload...] [options]".to_owned()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("xtask: {message}");
            ExitCode::FAILURE
        }
    }
}
