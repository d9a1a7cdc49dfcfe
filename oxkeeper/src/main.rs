//! The oxkeeper program: only dispatches to the libraries.

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1).peekable();
    if arguments.next_if(|first| first == "cli").is_some() {
        return oxkeeper_cli::main(arguments, &oxkeeper_server::version::full());
    }
    oxkeeper_server::main(arguments)
}
