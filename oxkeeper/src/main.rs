//! The oxkeeper program: only dispatches to the libraries.

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    oxkeeper_server::main(std::env::args().skip(1))
}
