//! The running server: configuration, threads, ports, signals, four-letter words, metrics.

#![forbid(unsafe_code)]

pub mod admin;
pub mod audit;
pub mod config;
pub mod four_letter;
pub mod logging;
pub mod metrics;
pub mod peers;
pub mod runtime;
pub mod version;

use config::args::{self, Invocation};
use std::process::ExitCode;

/// The program: reads the command line and the environment, and serves. Returns the exit code.
pub fn main(arguments: impl IntoIterator<Item = String>) -> ExitCode {
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(runtime::Failure { exit_code, message }) => {
            eprintln!("oxkeeper: {message}");
            ExitCode::from(u8::try_from(exit_code).unwrap_or(1))
        }
    }
}

fn run(arguments: impl IntoIterator<Item = String>) -> Result<(), runtime::Failure> {
    let failed = |e: config::ConfigError| runtime::Failure { exit_code: e.exit_code, message: e.message };
    let request = match args::parse(arguments, |name| std::env::var(name).ok()).map_err(failed)? {
        Invocation::Help => {
            println!("{}", args::USAGE);
            return Ok(());
        }
        Invocation::Version => {
            println!("{}", version::banner());
            return Ok(());
        }
        Invocation::Serve(request) => request,
    };
    let config::Loaded { config, notices } = config::load(&request).map_err(failed)?;
    let operator = &config.operator;
    logging::start(&logging::LogOptions {
        root_logger: request.root_logger().map(str::to_owned),
        my_id: config.my_id,
        file: operator.log_file.clone(),
        file_bytes: operator.log_file_bytes,
        files_kept: operator.log_files_kept,
        json: operator.log_json,
    });
    notices.iter().for_each(config::Notice::log);
    runtime::serve(config)
}
