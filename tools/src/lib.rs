//! The operator's tools for files: transaction logs and snapshots, ours and Java's, are read, checked, repaired,
//! compared, summarised, backed up and restored. What Java's tools do is done with their output and exit codes.
//!
//! The two formats are `store`'s, what they mean is `tree`'s. Options, help and the choice of a tool belong to the
//! `oxkeeper` program, and so do time zones ([`Calendar`]). Nothing here talks to a server.

#![forbid(unsafe_code)]

pub mod backup;
pub mod commons_cli;
pub mod comparer;
pub mod formatter;
pub mod initialize;
pub mod java_order;
pub mod purge;
pub mod restore;
pub mod snapshot;
pub mod summary;
pub mod txn_text;
pub mod txnlog;

use std::fmt;
use std::io;
use std::path::Path;

/// Java's exit code for an uncaught exception, and for what has no code of its own.
pub const EXIT_UNEXPECTED_ERROR: u8 = 1;
/// Java's exit code for a wrong invocation.
pub const EXIT_INVALID_INVOCATION: u8 = 2;

/// Why a tool stops, as the process shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The exit code of the process: that of Java's tool.
    pub exit_code: u8,
    /// Says what is wrong and what to do, for standard error.
    pub message: String,
}

impl Failure {
    /// With the exit code of an uncaught exception.
    pub fn unexpected(message: impl Into<String>) -> Self {
        Self { exit_code: EXIT_UNEXPECTED_ERROR, message: message.into() }
    }

    /// With the exit code of a wrong invocation.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { exit_code: EXIT_INVALID_INVOCATION, message: message.into() }
    }

    /// A file that cannot be read or written.
    pub fn of_file(path: &Path, error: &io::Error) -> Self {
        Self::unexpected(format!("{}: {}", path.display(), without_code(error)))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// Of writing the output. A reader that has gone (`| head`) has seen what it wanted: that is no failure.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self { exit_code: 0, message: String::new() };
        }
        Self::unexpected(format!("the output cannot be written: {}", without_code(&error)))
    }
}

/// The text of an error of the system without Rust's `(os error N)`.
fn without_code(error: &io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((before, _)) => before.to_owned(),
        None => text,
    }
}

/// Times as Java prints them, in the zone of the user.
pub trait Calendar {
    /// As `Date.toString`: `Mon Nov 23 03:45:32 UTC 2026`.
    fn date(&self, epoch_ms: i64) -> String;
    /// As `DateFormat` with a short date and a long time in English: `11/23/26, 3:45:32 AM UTC`.
    fn short_date_long_time(&self, epoch_ms: i64) -> String;
    /// As `DateFormat` with medium date and time in English: `Nov 23, 2026, 3:45:32 AM`.
    fn medium(&self, epoch_ms: i64) -> String;
}
