//! The command line client: every command, message and exit code of Apache ZooKeeper's zkCli 3.9, and what it does not
//! have: JSON, whole subtrees, watches that stay, and a screen of the ensemble. The connection is `driver`'s.
//!
//! Output that tools and scripts parse is Java's to the letter; where the two differ, COMPAT.md says so.

#![forbid(unsafe_code)]

mod commands;
mod console;
mod failure;
mod invocation;
mod membership;
mod options;
mod path;
mod session;
mod shell;
mod text;
mod top;
mod words;

use console::Console;
use invocation::Invocation;
use session::Session;
use shell::Shell;
use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::Arc;

/// The program, with the words after `oxkeeper cli`: those of `zkCli.sh`. `version` is what the command of that name
/// prints. Returns the exit code: that of the last command, 127 for a word that is none, 2 for a client configuration
/// that is no good.
pub fn main(words: impl IntoIterator<Item = String>, version: &str) -> ExitCode {
    ExitCode::from(run(words, version))
}

fn run(words: impl IntoIterator<Item = String>, version: &str) -> u8 {
    let mut invocation = Invocation::parse(words).with_environment(|name| std::env::var(name).ok());
    let console = Arc::new(Console::new(invocation.is_json));
    if invocation.wants_help {
        console.line(&commands::help());
        console.flush();
        return 0;
    }
    if let Some(complaint) = &invocation.complaint {
        console.error(complaint);
    }
    let is_terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    let command = std::mem::take(&mut invocation.command);
    // These two ask for no session.
    let done = match command.first().map(String::as_str) {
        Some("top") => Some(top::run(&invocation.servers, &command[1..], is_terminal)),
        Some("help") => {
            console.line(&commands::help());
            Some(Ok(()))
        }
        _ => None,
    };
    if let Some(done) = done {
        console.flush();
        return done.map_or_else(|failure| fail(&console, &failure), |()| 0);
    }
    if !invocation.is_json {
        console.line(&format!("Connecting to {}", invocation.servers));
        console.flush();
    }
    let opened = invocation.target().and_then(|target| Ok((Session::open(&target, &console)?, target)));
    let (session, target) = match opened {
        Ok(opened) => opened,
        Err(failure) => return fail(&console, &failure),
    };
    let shell = Shell::new(target, session, console, version.to_owned(), is_terminal);
    if command.is_empty() { shell.run_lines() } else { shell.run_single(command) }
}

fn fail(console: &Console, failure: &failure::Failure) -> u8 {
    console.error(&failure.message());
    failure.exit_code()
}
