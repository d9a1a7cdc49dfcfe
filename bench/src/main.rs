//! `oxkeeper-bench`: the load generator as a program of its own. All is in the library.

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    oxkeeper_bench::command::main(&arguments)
}
