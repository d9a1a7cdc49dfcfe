//! The program in a container from scratch, where there is no shell: by the names `docker-entrypoint.sh`, `zkServer.sh` and
//! `zkCli.sh` (links to it) it does what those scripts of the official image do.
//!
//! The variables are the official image's: `ZOO_MY_ID`, `ZOO_SERVERS`, `ZOO_CFG_EXTRA` and the rest in [`configuration`].
//! zoo.cfg and myid are written only where there are none. Started as root, the directories are given to the user 1000
//! and the server runs as that user.

use crate::{ended, words};
use oxkeeper_tools::Failure;
use std::fs;
use std::io;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

/// User and group of the official image.
const USER: u32 = 1000;

type Variable<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Acts by the name that the program was called by; `None` for any other name.
pub fn run(program: &str, arguments: &[String]) -> Option<ExitCode> {
    let name = Path::new(program).file_name()?.to_str()?;
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    Some(match name {
        "docker-entrypoint.sh" => ended(enter(arguments, &variable)),
        "zkServer.sh" => server(arguments, &variable),
        "zkCli.sh" => {
            let words: Vec<String> = std::iter::once("cli".to_owned()).chain(arguments.iter().cloned()).collect();
            crate::commands::run(&words).unwrap_or_else(|| {
                eprintln!("zkCli.sh: this build has no command line client");
                ExitCode::FAILURE
            })
        }
        _ => return None,
    })
}

fn configuration_file(variable: Variable<'_>) -> PathBuf {
    let directory = variable("ZOOCFGDIR").or_else(|| variable("ZOO_CONF_DIR")).unwrap_or_else(|| "/conf".to_owned());
    Path::new(&directory).join("zoo.cfg")
}

/// zoo.cfg, from the variables.
fn configuration(variable: Variable<'_>) -> String {
    let value = |name: &str, default: &str| variable(name).unwrap_or_else(|| default.to_owned());
    let mut lines = vec![
        format!("dataDir={}", value("ZOO_DATA_DIR", "/data")),
        format!("dataLogDir={}", value("ZOO_DATA_LOG_DIR", "/datalog")),
        format!("tickTime={}", value("ZOO_TICK_TIME", "2000")),
        format!("initLimit={}", value("ZOO_INIT_LIMIT", "5")),
        format!("syncLimit={}", value("ZOO_SYNC_LIMIT", "2")),
        format!("autopurge.snapRetainCount={}", value("ZOO_AUTOPURGE_SNAPRETAINCOUNT", "3")),
        format!("autopurge.purgeInterval={}", value("ZOO_AUTOPURGE_PURGEINTERVAL", "0")),
        format!("maxClientCnxns={}", value("ZOO_MAX_CLIENT_CNXNS", "60")),
        format!("standaloneEnabled={}", value("ZOO_STANDALONE_ENABLED", "true")),
        format!("admin.enableServer={}", value("ZOO_ADMINSERVER_ENABLED", "true")),
    ];
    // The client port stands in the server's own line.
    let servers = value("ZOO_SERVERS", "server.1=localhost:2888:3888;2181");
    lines.extend(servers.split_whitespace().map(str::to_owned));
    lines.extend(variable("ZOO_4LW_COMMANDS_WHITELIST").map(|words| format!("4lw.commands.whitelist={words}")));
    lines.extend(variable("ZOO_CFG_EXTRA").iter().flat_map(|extra| extra.split_whitespace()).map(str::to_owned));
    lines.join("\n") + "\n"
}

/// Prepares the directories and runs the command.
fn enter(arguments: &[String], variable: Variable<'_>) -> Result<u8, Failure> {
    let default = ["zkServer.sh".to_owned(), "start-foreground".to_owned()];
    let arguments = if arguments.is_empty() { &default[..] } else { arguments };
    let value = |name: &str, default: &str| PathBuf::from(variable(name).unwrap_or_else(|| default.to_owned()));
    let data = value("ZOO_DATA_DIR", "/data");
    let is_server = Path::new(&arguments[0]).file_name().is_some_and(|name| name == "zkServer.sh");
    let mut command = Command::new(&arguments[0]);
    command.args(&arguments[1..]);
    let is_root = rustix::process::geteuid().is_root();
    if is_server && is_root {
        for directory in [&data, &value("ZOO_DATA_LOG_DIR", "/datalog"), &value("ZOO_LOG_DIR", "/logs")] {
            fs::create_dir_all(directory).map_err(|error| Failure::of_file(directory, &error))?;
            give_away(directory).map_err(|error| Failure::of_file(directory, &error))?;
        }
        command.uid(USER).gid(USER);
    }
    let file = configuration_file(variable);
    write_once(&file, &configuration(variable), is_server && is_root)?;
    let my_id = variable("ZOO_MY_ID").unwrap_or_else(|| "1".to_owned());
    write_once(&data.join("myid"), &format!("{my_id}\n"), is_server && is_root)?;
    // Only comes back if the command cannot be run.
    let error = command.exec();
    Err(Failure { exit_code: 127, message: format!("{}: {error}", arguments[0]) })
}

fn write_once(file: &Path, text: &str, is_given_away: bool) -> Result<(), Failure> {
    if file.exists() {
        return Ok(());
    }
    let failed = |error: io::Error| Failure::of_file(file, &error);
    if let Some(directory) = file.parent() {
        fs::create_dir_all(directory).map_err(failed)?;
    }
    fs::write(file, text).map_err(failed)?;
    if is_given_away {
        chown(file, Some(USER), Some(USER)).map_err(failed)?;
    }
    Ok(())
}

/// Gives a directory and what is in it to the server's user. Links are not followed.
fn give_away(directory: &Path) -> io::Result<()> {
    chown(directory, Some(USER), Some(USER))?;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            give_away(&entry.path())?;
        } else if !entry.file_type()?.is_symlink() {
            chown(entry.path(), Some(USER), Some(USER))?;
        }
    }
    Ok(())
}

/// zkServer.sh, as far as it makes sense in a container.
fn server(arguments: &[String], variable: Variable<'_>) -> ExitCode {
    let file = match arguments.get(1) {
        Some(path) if path.contains('/') => PathBuf::from(path),
        Some(name) => configuration_file(variable).with_file_name(name),
        None => configuration_file(variable),
    };
    match arguments.first().map(String::as_str) {
        Some("start-foreground") => {
            eprintln!("ZooKeeper JMX enabled by default\nUsing config: {}", file.display());
            oxkeeper_server::main([file.display().to_string()])
        }
        Some("status") => {
            eprintln!("ZooKeeper JMX enabled by default\nUsing config: {}", file.display());
            ended(status(&file, variable))
        }
        Some("version") => crate::java::run(&["org.apache.zookeeper.version.VersionInfoMain".to_owned()]).expect("a known class"),
        _ => {
            eprintln!("Usage: zkServer.sh {{start-foreground|status|version}} [zoo.cfg]");
            ExitCode::from(2)
        }
    }
}

fn status(file: &Path, variable: Variable<'_>) -> Result<u8, Failure> {
    let text = fs::read_to_string(file).map_err(|error| Failure::of_file(file, &error))?;
    let value =
        |key: &str| text.lines().rev().find_map(|line| line.trim().strip_prefix(key)?.trim_start().strip_prefix('=').map(str::trim));
    let data = value("dataDir").map_or_else(|| variable("ZOO_DATA_DIR").unwrap_or_default(), str::to_owned);
    let my_id = fs::read_to_string(Path::new(&data).join("myid")).unwrap_or_default();
    let member = value(&format!("server.{}", my_id.trim())).and_then(|line| line.rsplit_once(';')).map(|(_, client)| client.trim());
    let Some(client) = value("clientPort").or(member) else {
        say!("Unable to find either secure or unsecure client port in any configs. Terminating.");
        return Ok(1);
    };
    let (host, port) = words::address(client)?;
    say!("Client port found: {port}. Client address: {host}. Client SSL: false.");
    let answer = words::ask(&host, port, "srvr", Duration::from_millis(words::TIMEOUT_MS)).unwrap_or_default();
    match answer.lines().find(|line| line.contains("Mode")) {
        Some(mode) => {
            say!("{mode}");
            Ok(0)
        }
        None => {
            say!("Error contacting service. It is probably not running.");
            Ok(1)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_is_the_official_images() {
        let none = configuration(&|_| None);
        for line in ["dataDir=/data", "dataLogDir=/datalog", "initLimit=5", "maxClientCnxns=60", "server.1=localhost:2888:3888;2181"] {
            assert!(none.lines().any(|one| one == line), "{line}: {none}");
        }
        assert!(!none.contains("clientPort"), "{none}");
        let set = configuration(&|name| {
            Some(match name {
                "ZOO_SERVERS" => "server.1=a:1:2;3 server.2=b:1:2;3".to_owned(),
                "ZOO_CFG_EXTRA" => "x=1 y=2".to_owned(),
                "ZOO_4LW_COMMANDS_WHITELIST" => "ruok, stat".to_owned(),
                "ZOO_TICK_TIME" => "500".to_owned(),
                _ => return None,
            })
        });
        for line in ["server.1=a:1:2;3", "server.2=b:1:2;3", "x=1", "y=2", "4lw.commands.whitelist=ruok, stat", "tickTime=500"] {
            assert!(set.lines().any(|one| one == line), "{line}: {set}");
        }
    }
}
