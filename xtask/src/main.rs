//! Helper commands of the project: `cargo xtask <command>`. What each command does is in a file of its own; this
//! one only chooses.

#![forbid(unsafe_code)]

use std::process::ExitCode;

mod prerequisites;
mod test;

type Command = fn() -> Result<(), String>;

/// What can be asked for: name, what it does, how.
const COMMANDS: &[(&str, &str, Command)] = &[
    (
        "test",
        "everything that CI checks, on a bare Debian 12 with Rust",
        test::run,
    ),
    (
        "prerequisites",
        "installs what the tests need and nothing else",
        prerequisites::install,
    ),
    ("soak", "the long forms of the tests", test::soak),
];

fn main() -> ExitCode {
    let wanted = std::env::args().nth(1).unwrap_or_default();
    let Some((_, _, command)) = COMMANDS.iter().find(|(name, _, _)| *name == wanted) else {
        eprintln!("usage: cargo xtask <command>");
        for (name, what, _) in COMMANDS {
            eprintln!("  {name:14} {what}");
        }
        return ExitCode::from(2);
    };
    match command() {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("xtask {wanted}: {reason}");
            ExitCode::FAILURE
        }
    }
}
