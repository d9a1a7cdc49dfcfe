//! `oxkeeper preflight zoo.cfg`: would a server start with this configuration, on these directories? Nothing is changed.
//!
//! The configuration and the files are looked at here; what an ensemble must agree on is asked of its members by `members`.

use crate::commands::directories_of;
use crate::members;
use oxkeeper_server::config::args::{Request, Source};
use oxkeeper_server::config::{self, EXIT_UNABLE_TO_ACCESS_DATADIR};
use oxkeeper_store::{Directories, Disk as _, RealDisk, names};
use oxkeeper_tools::{EXIT_UNEXPECTED_ERROR, Failure, snapshot, txnlog};
use std::fs;
use std::net::{IpAddr, Ipv6Addr, TcpListener};
use std::path::Path;

/// What was found.
#[derive(Default)]
pub struct Report {
    /// The exit code of the first thing that keeps a server from starting.
    code: u8,
}

impl Report {
    pub fn good(&self, what: &str) {
        say!("ok       {what}");
    }

    pub fn odd(&self, what: &str) {
        say!("warning  {what}");
    }

    pub fn bad(&mut self, code: u8, what: &str) {
        say!("PROBLEM  {what}");
        if self.code == 0 {
            self.code = code;
        }
    }
}

/// Checks, prints a line for each thing looked at, and returns the exit code that the server would end with; 1 if only the
/// ensemble, which is asked if `asks_members`, speaks against an exchange now.
pub fn run(file: &Path, asks_members: bool) -> Result<u8, Failure> {
    let mut report = Report::default();
    let request = Request { source: Source::File(file.to_owned()), ..Request::default() };
    let loaded = match config::load(&request) {
        Ok(loaded) => Some(loaded),
        Err(error) => {
            let code = u8::try_from(error.exit_code).unwrap_or(EXIT_UNEXPECTED_ERROR);
            for line in error.message.lines() {
                report.bad(code, line);
            }
            None
        }
    };
    let places = match &loaded {
        Some(loaded) => {
            report.good(&format!("{} can be read", file.display()));
            for notice in loaded.notices.iter().filter(|notice| notice.level <= log::Level::Warn) {
                report.odd(&notice.message);
            }
            let config = &loaded.config;
            check_port(&mut report, config.client_port_address, config.client_port);
            Some(Directories { data: config.data_dir.clone(), log: config.data_log_dir.clone() })
        }
        // The directories can be looked at even so.
        None => directories_of(file).ok(),
    };
    if let Some(places) = places {
        check_directories(&mut report, &places)?;
    }
    if let Some(config) = loaded.as_ref().map(|loaded| &loaded.config).filter(|_| asks_members)
        && let Some(ensemble) = &config.ensemble
    {
        members::check(&mut report, config, ensemble);
    }
    Ok(report.code)
}

fn check_port(report: &mut Report, address: Option<IpAddr>, port: u16) {
    if port == 0 {
        return;
    }
    match TcpListener::bind((address.unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED)), port)) {
        Ok(_) => report.good(&format!("clientPort {port} is free")),
        Err(error) => {
            report.odd(&format!("clientPort {port} cannot be bound now ({error}): the server to be replaced may still be running"));
        }
    }
}

fn check_directories(report: &mut Report, places: &Directories) -> Result<(), Failure> {
    let unusable = u8::try_from(EXIT_UNABLE_TO_ACCESS_DATADIR).unwrap_or(EXIT_UNEXPECTED_ERROR);
    let (snapshots, logs) = (places.snapshots(), places.logs());
    let mut directories = vec![&snapshots];
    if logs != snapshots {
        directories.push(&logs);
    }
    let mut are_there = true;
    for directory in directories {
        match fs::metadata(directory) {
            Err(_) => {
                are_there = false;
                report.odd(&format!("{} does not exist: a start makes it, and begins with an empty database", directory.display()));
                continue;
            }
            Ok(metadata) if !metadata.is_dir() => {
                are_there = false;
                report.bad(unusable, &format!("{} is no directory", directory.display()));
                continue;
            }
            Ok(_) => {}
        }
        let lock = directory.join(names::LOCK);
        match RealDisk.list(directory) {
            Err(error) => {
                are_there = false;
                report.bad(unusable, &format!("{} cannot be read ({error}): run this as the server's user", directory.display()));
            }
            Ok(_) if lock.exists() && matches!(RealDisk.lock(&lock), Ok(None)) => {
                report.odd(&format!("{} is in use by a running server", directory.display()));
            }
            Ok(_) => report.good(&format!("{} can be read", directory.display())),
        }
    }
    if !are_there {
        return Ok(());
    }
    check_snapshots(report, places)?;
    for entry in RealDisk.list(&logs).unwrap_or_default() {
        if names::is_plain_log(&entry.name) {
            let verdict = txnlog::verify(&logs.join(&entry.name))?;
            match (verdict.problem, verdict.note) {
                (Some(problem), _) => report.bad(EXIT_UNEXPECTED_ERROR, &format!("{}: {problem}", entry.name)),
                (None, Some(note)) => report.odd(&format!("{}: {note}", entry.name)),
                (None, None) => report.good(&format!("{}: {} transactions", entry.name, verdict.records)),
            }
        }
    }
    Ok(())
}

/// The newest snapshot that is whole is the one that counts.
fn check_snapshots(report: &mut Report, places: &Directories) -> Result<(), Failure> {
    let directory = places.snapshots();
    let mut found: Vec<_> = RealDisk
        .list(&directory)
        .unwrap_or_default()
        .into_iter()
        .filter(|entry| names::is_plain_snapshot(&entry.name))
        .filter_map(|entry| Some((names::snapshot_zxid(&entry.name)?, entry.name)))
        .collect();
    found.sort();
    let count = found.len();
    for (_, name) in found.into_iter().rev() {
        let verdict = snapshot::verify(&directory.join(&name))?;
        match verdict.problem {
            Some(problem) => report.odd(&format!("{name} cannot be used: {problem}")),
            None => {
                report.good(&format!("{name}: {} nodes, {} sessions", verdict.nodes, verdict.sessions));
                return Ok(());
            }
        }
    }
    if count > 0 {
        report.bad(EXIT_UNEXPECTED_ERROR, "no snapshot can be used: restore one from a backup");
    }
    Ok(())
}
