//! The oxkeeper program: only dispatches to the libraries.
//!
//! - `oxkeeper <subcommand> ...`: the table in [`commands`].
//! - `oxkeeper [-D...] [-cp ...] org.apache.zookeeper.<class> ...`: what `java` did in scripts, in [`java`].
//! - Called by the name of one of the scripts of the container image: [`container`].
//! - Anything else is a server, as `oxkeeper`, `oxkeeper zoo.cfg` and `oxkeeper 2181 /data` always were.

#![forbid(unsafe_code)]

/// Prints a line. A reader that has gone (`| head`, `| grep -q`) has seen what it wanted: that is no failure.
macro_rules! say {
    ($($text:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stdout(), $($text)*);
    }};
}

mod calendar;
mod commands;
mod container;
mod java;
mod members;
mod preflight;
mod words;

use oxkeeper_tools::Failure;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = Vec::new();
    let mut words = std::env::args_os();
    let program = words.next().unwrap_or_default().to_string_lossy().into_owned();
    for argument in words {
        match argument.into_string() {
            Ok(argument) => arguments.push(argument),
            Err(odd) => {
                eprintln!("oxkeeper: the argument {} is not UTF-8: give the file another name", odd.display());
                return ExitCode::from(2);
            }
        }
    }
    if let Some(code) = container::run(&program, &arguments) {
        return code;
    }
    if let Some(code) = commands::run(&arguments) {
        return code;
    }
    if let Some(code) = java::run(&arguments) {
        return code;
    }
    oxkeeper_server::main(arguments)
}

/// The end of a tool.
fn ended(result: Result<u8, Failure>) -> ExitCode {
    match result {
        Ok(code) => ExitCode::from(code),
        Err(Failure { exit_code, message }) => {
            if !message.is_empty() {
                eprintln!("{message}");
            }
            ExitCode::from(exit_code)
        }
    }
}
