//! The subcommands: one table, from which arguments are read and help, completions and manual pages are made.
//!
//! A first word that is in the table is a subcommand; to start a server on a file that bears such a name, say
//! `oxkeeper server <name>` or `./<name>`. What a subcommand does is done by the libraries.

use crate::calendar::{Local, parse_time_ms};
use crate::{ended, java, preflight, words};
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use oxkeeper_proto::Zxid;
use oxkeeper_server::config::properties;
use oxkeeper_server::version;
use oxkeeper_store::Directories;
use oxkeeper_tools::txnlog::{self, Recovery};
use oxkeeper_tools::{Calendar as _, Failure, backup, comparer, initialize, restore, snapshot};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// How a subcommand is run.
enum Run {
    /// With arguments that clap has read.
    Parsed(fn(&ArgMatches) -> Result<u8, Failure>),
    /// With the arguments as they stand, by a library that reads them itself.
    Raw(fn(&[String]) -> ExitCode),
}

struct Subcommand {
    name: &'static str,
    about: &'static str,
    arguments: fn(Command) -> Command,
    run: Run,
}

const SUBCOMMANDS: &[Subcommand] = &[
    Subcommand {
        name: "server",
        about: "Run a server",
        arguments: server_arguments,
        run: Run::Raw(|rest| oxkeeper_server::main(rest.to_vec())),
    },
    Subcommand {
        name: "cli",
        about: "Talk to servers as zkCli.sh does: a shell, or a single command",
        arguments: raw_arguments,
        run: Run::Raw(|rest| oxkeeper_cli::main(rest.to_vec(), &version::full())),
    },
    Subcommand { name: "status", about: "Show how servers do, a line for each", arguments: status_arguments, run: Run::Parsed(status) },
    Subcommand { name: "4lw", about: "Ask a server a four-letter word", arguments: word_arguments, run: Run::Parsed(word) },
    Subcommand {
        name: "txnlog",
        about: "Show, check, repair and cut transaction logs",
        arguments: txnlog_arguments,
        run: Run::Parsed(txnlog),
    },
    Subcommand {
        name: "snapshot",
        about: "Show, check, compare and sum up snapshots",
        arguments: snapshot_arguments,
        run: Run::Parsed(snapshots),
    },
    Subcommand {
        name: "backup",
        about: "Ship a server's snapshots and logs to another directory, continuously",
        arguments: backup_arguments,
        run: Run::Parsed(back_up),
    },
    Subcommand {
        name: "restore",
        about: "Restore the end, a zxid or a time of a backup",
        arguments: restore_arguments,
        run: Run::Parsed(restore_state),
    },
    Subcommand { name: "cleanup", about: "Delete old snapshots and logs", arguments: cleanup_arguments, run: Run::Parsed(clean_up) },
    Subcommand {
        name: "initialize",
        about: "Make empty data directories for a new server",
        arguments: initialize_arguments,
        run: Run::Parsed(initialise),
    },
    Subcommand {
        name: "preflight",
        about: "Check a configuration and its directories before a start or an upgrade",
        arguments: preflight_arguments,
        run: Run::Parsed(check),
    },
    Subcommand {
        name: "bench",
        about: "Put a server under load and measure it",
        arguments: raw_arguments,
        run: Run::Raw(oxkeeper_bench::command::main),
    },
    Subcommand {
        name: "completions",
        about: "Print completions for a shell",
        arguments: completions_arguments,
        run: Run::Parsed(completions),
    },
    Subcommand { name: "man", about: "Write the manual pages", arguments: man_arguments, run: Run::Parsed(manual) },
];

/// Runs a subcommand, or shows the help of all; `None` leaves the arguments to others.
pub fn run(arguments: &[String]) -> Option<ExitCode> {
    let first = arguments.first()?.as_str();
    match first {
        "--help" | "-h" | "help" if arguments.len() == 1 => {
            let _ = program().print_long_help();
            return Some(ExitCode::SUCCESS);
        }
        "help" if SUBCOMMANDS.iter().any(|subcommand| subcommand.name == arguments[1]) => {
            return run(&[arguments[1].clone(), "--help".to_owned()]);
        }
        _ => {}
    }
    let subcommand = SUBCOMMANDS.iter().find(|subcommand| subcommand.name == first)?;
    Some(match &subcommand.run {
        Run::Raw(main) => main(&arguments[1..]),
        Run::Parsed(main) => {
            let words = std::iter::once(format!("oxkeeper {first}")).chain(arguments[1..].iter().cloned());
            match command_of(subcommand).no_binary_name(false).bin_name(format!("oxkeeper {first}")).try_get_matches_from(words) {
                Ok(matches) => ended(main(&matches)),
                Err(error) => {
                    let _ = error.print();
                    // A wrong option: Java's code for a wrong invocation, which is clap's, too.
                    ExitCode::from(if error.use_stderr() { oxkeeper_tools::EXIT_INVALID_INVOCATION } else { 0 })
                }
            }
        }
    })
}

fn command_of(subcommand: &Subcommand) -> Command {
    (subcommand.arguments)(Command::new(subcommand.name).about(subcommand.about).arg_required_else_help(false))
}

/// The whole program, for help, completions and manual pages.
fn program() -> Command {
    Command::new("oxkeeper")
        .version(version::OXKEEPER)
        .about("A drop-in for Apache ZooKeeper: the server and everything an operator needs")
        .override_usage("oxkeeper <COMMAND> [...]\n       oxkeeper [-Dkey=value ...] [zoo.cfg]\n       oxkeeper [-Dkey=value ...] <port> <dataDir> [tickTime] [maxClientCnxns]")
        .after_help(
            "Without a command, a server is run: on zoo.cfg, or without any argument standalone on port 2181 with its data in ./data.\n\
             `oxkeeper help <COMMAND>` tells more. Variables: SERVER_JVMFLAGS and JVMFLAGS (their -D words count), RUST_LOG.",
        )
        .disable_help_subcommand(true)
        .subcommands(SUBCOMMANDS.iter().map(command_of))
}

// ---------------------------------------------------------------------------------------- arguments

fn flag(name: &'static str, short: char, help: &'static str) -> Arg {
    Arg::new(name).long(name).short(short).action(ArgAction::SetTrue).help(help)
}

fn switch(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).action(ArgAction::SetTrue).help(help)
}

fn option(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).value_name(value).help(help)
}

fn path_option(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    option(name, value, help).value_parser(value_parser!(PathBuf)).value_hint(clap::ValueHint::AnyPath)
}

fn files(help: &'static str) -> Arg {
    Arg::new("file").value_name("FILE").num_args(1..).required(true).value_hint(clap::ValueHint::FilePath).help(help)
}

fn timeout() -> Arg {
    option("timeout", "MS", "How long to wait for an answer").value_parser(value_parser!(u64).range(1..)).default_value("5000")
}

fn raw_arguments(command: Command) -> Command {
    command.arg(Arg::new("arguments").num_args(0..).trailing_var_arg(true).allow_hyphen_values(true).help("See --help"))
}

fn server_arguments(command: Command) -> Command {
    command
        .override_usage("oxkeeper server [-Dkey=value ...] [zoo.cfg]\n       oxkeeper server [-Dkey=value ...] <port> <dataDir> [tickTime] [maxClientCnxns]")
        .arg(Arg::new("arguments").num_args(0..).trailing_var_arg(true).allow_hyphen_values(true).value_hint(clap::ValueHint::FilePath).help("zoo.cfg, or port and data directory"))
}

fn status_arguments(command: Command) -> Command {
    command
        .arg(Arg::new("server").value_name("HOST:PORT").num_args(0..).default_value("localhost:2181").help("Servers to ask"))
        .arg(timeout())
        .after_help("The exit code is 1 if any of them does not serve.")
}

fn word_arguments(command: Command) -> Command {
    command
        .arg(Arg::new("word").value_name("WORD").required(true).help("ruok, srvr, stat, mntr, conf, cons, dump, envi, wchs, isro, ..."))
        .arg(Arg::new("server").value_name("HOST:PORT").default_value("localhost:2181").help("The server"))
        .arg(timeout())
}

fn txnlog_arguments(command: Command) -> Command {
    command
        .arg(flag("dump", 'd', "Print every transaction (what is done without options)"))
        .arg(flag("recover", 'r', "Write a copy with right checksums to FILE.fixed"))
        .arg(flag("verbose", 'v', "With --recover: print every transaction, not just repaired ones"))
        .arg(flag("yes", 'y', "With --recover: repair every checksum without asking"))
        .arg(flag("chop", 'c', "Write the transactions up to --zxid to FILE.chopped<zxid>").requires("zxid"))
        .arg(option("zxid", "ZXID", "With --chop: the last one to keep, as 0x100000005 or in decimal").short('z'))
        .arg(
            switch("verify", "Judge each file: checksums, end marks, an order without holes")
                .conflicts_with_all(["dump", "recover", "chop"]),
        )
        .arg(files("log.<zxid>"))
}

fn snapshot_arguments(command: Command) -> Command {
    command
        .arg(flag("data", 'd', "Show each node's data as base64"))
        .arg(switch("json", "Show sizes in the format of ncdu").conflicts_with("data"))
        .arg(switch("verify", "Judge each file: header, nodes, checksums, digest").conflicts_with_all(["data", "json"]))
        .arg(switch("compare", "Show which subtrees of two files differ").conflicts_with_all(["data", "json", "verify"]))
        .arg(option("bytes", "N", "With --compare: by more bytes of data than this").value_parser(value_parser!(i32)).default_value("0"))
        .arg(option("nodes", "N", "With --compare: by more nodes than this").value_parser(value_parser!(i32)).default_value("0"))
        .arg(
            option("summary", "PATH", "Show how many nodes and bytes lie below PATH and its children")
                .conflicts_with_all(["data", "json", "verify", "compare"]),
        )
        .arg(option("depth", "N", "With --summary: levels that are shown, 0 for all").value_parser(value_parser!(i32)).default_value("1"))
        .arg(files("snapshot.<zxid>, also with .gz or .snappy"))
}

fn backup_arguments(command: Command) -> Command {
    command
        .arg(path_option("from", "DIR", "The server's dataDir").required(true))
        .arg(path_option("log-dir", "DIR", "The server's dataLogDir, if it has one"))
        .arg(path_option("to", "DIR", "Where the backup is, or is to be").required(true))
        .arg(switch("once", "Ship what is there, and end"))
        .arg(option("interval", "MS", "How often to look for more").value_parser(value_parser!(u64).range(1..)).default_value("1000"))
        .arg(
            option("retain", "N", "Keep the newest N snapshots and what comes after them (at least 3); without it, all")
                .value_parser(value_parser!(i32).range(3..)),
        )
        .after_help(
            "The backup is a data directory: every tool reads it, and `oxkeeper restore` makes any state since its oldest snapshot of it.",
        )
}

fn restore_arguments(command: Command) -> Command {
    command
        .arg(path_option("from", "DIR", "The backup, or any dataDir").required(true))
        .arg(path_option("from-log-dir", "DIR", "The dataLogDir that belongs to it, if it has one"))
        .arg(path_option("to", "DIR", "The dataDir to write; must hold no state").required_unless_present("check"))
        .arg(path_option("log-dir", "DIR", "The dataLogDir of the new server, if it has one"))
        .arg(option("to-zxid", "ZXID", "The state after this transaction, as 0x100000005 or in decimal").conflicts_with("to-time"))
        .arg(option("to-time", "TIME", "The state at 2026-11-23T03:45:32Z (or +01:00; without, local time), or ms since 1970"))
        .arg(switch(
            "member",
            "DIR is a member's of an ensemble, all of which are restored: its epoch files stay, so that clients go on. Move log.* and snapshot.* away first",
        ))
        .arg(switch("check", "Only find out whether that state can be restored").conflicts_with_all(["to", "member"]))
        .arg(switch("ignore-digests", "Restore even if the transactions announce another digest than the tree has"))
}

fn cleanup_arguments(command: Command) -> Command {
    command
        .arg(path_option("config", "ZOO.CFG", "The server's configuration"))
        .arg(path_option("data-dir", "DIR", "The server's dataDir").conflicts_with("config").required_unless_present("config"))
        .arg(path_option("log-dir", "DIR", "The server's dataLogDir, if it has one").conflicts_with("config"))
        .arg(
            option("count", "N", "Keep the newest N snapshots and the logs they need")
                .short('n')
                .value_parser(value_parser!(i32).range(3..))
                .default_value("3"),
        )
}

fn initialize_arguments(command: Command) -> Command {
    command
        .arg(path_option("configfile", "ZOO.CFG", "The server's configuration; without it, $ZOOCFG"))
        .arg(option("myid", "N", "The server's number in its ensemble, 0 to 255"))
        .arg(switch("force", "Throw away what is there"))
}

fn preflight_arguments(command: Command) -> Command {
    command
        .arg(
            Arg::new("config").value_name("ZOO.CFG").required(true).value_hint(clap::ValueHint::FilePath).help("The server's configuration"),
        )
        .arg(switch("offline", "Look at this member's files only, and ask no other member"))
        .after_help(
            "Nothing is changed. Where zoo.cfg names an ensemble, its members are asked for versions, roles and configuration. The exit code \
             is that of a start with this configuration, or 1 if the ensemble speaks against stopping this member now.",
        )
}

fn completions_arguments(command: Command) -> Command {
    command.arg(Arg::new("shell").required(true).value_parser(value_parser!(clap_complete::Shell)).help("Which shell"))
}

fn man_arguments(command: Command) -> Command {
    command.arg(path_option("to", "DIR", "Where to write them").default_value("."))
}

// ---------------------------------------------------------------------------------------- what they do

fn text<'a>(matches: &'a ArgMatches, name: &str) -> Option<&'a str> {
    matches.get_one::<String>(name).map(String::as_str)
}

fn texts(matches: &ArgMatches, name: &str) -> Vec<String> {
    matches.get_many::<String>(name).into_iter().flatten().cloned().collect()
}

fn path<'a>(matches: &'a ArgMatches, name: &str) -> Option<&'a Path> {
    matches.get_one::<PathBuf>(name).map(PathBuf::as_path)
}

fn wait(matches: &ArgMatches) -> Duration {
    Duration::from_millis(*matches.get_one::<u64>("timeout").expect("it has a default"))
}

fn directories(data: Option<&Path>, log: Option<&Path>) -> Directories {
    let data = data.expect("required").to_owned();
    Directories { log: log.map_or_else(|| data.clone(), Path::to_owned), data }
}

fn zxid(text: &str) -> Result<Zxid, Failure> {
    let zxid = txnlog::decode_long(text).filter(|zxid| *zxid >= 0).map(Zxid);
    zxid.ok_or_else(|| Failure::usage(format!("{text} is no zxid: give it as 0x100000005 or in decimal")))
}

fn status(matches: &ArgMatches) -> Result<u8, Failure> {
    words::status(&texts(matches, "server"), wait(matches))
}

fn word(matches: &ArgMatches) -> Result<u8, Failure> {
    let (host, port) = words::address(text(matches, "server").expect("it has a default"))?;
    let word = text(matches, "word").expect("required");
    if word.len() != 4 {
        return Err(Failure::usage(format!("{word} has not four letters")));
    }
    let answer = words::ask(&host, port, word, wait(matches))?;
    let end = if answer.ends_with('\n') || answer.is_empty() { "" } else { "\n" };
    io::stdout().write_all(format!("{answer}{end}").as_bytes())?;
    Ok(0)
}

fn txnlog(matches: &ArgMatches) -> Result<u8, Failure> {
    let calendar = Local::new();
    let mut out = BufWriter::with_capacity(64 << 10, io::stdout().lock());
    let mut code = 0;
    for file in texts(matches, "file") {
        let path = Path::new(&file);
        let done = if matches.get_flag("verify") {
            txnlog::verify(path).and_then(|verdict| {
                let range = verdict.zxids.map_or(String::new(), |(first, last)| format!(", zxid {first} to {last}"));
                let word = if verdict.problem.is_some() { "DAMAGED" } else { "ok" };
                writeln!(out, "{file}: {word}: {} transactions{range}", verdict.records)?;
                for line in verdict.problem.iter().chain(&verdict.note) {
                    writeln!(out, "  {line}")?;
                }
                Ok(u8::from(verdict.problem.is_some()))
            })
        } else if matches.get_flag("chop") {
            let zxid = zxid(text(matches, "zxid").expect("required by --chop"))?;
            txnlog::chop(path, zxid, &mut out, &mut io::stderr()).map(|done| if done { 0 } else { oxkeeper_tools::EXIT_INVALID_INVOCATION })
        } else if matches.get_flag("recover") {
            let recovery = Recovery { yes: matches.get_flag("yes"), verbose: matches.get_flag("verbose") };
            txnlog::recover(path, recovery, &calendar, &mut io::stdin().lock(), &mut out).map(|()| 0)
        } else {
            txnlog::dump(path, &calendar, &mut out).map(|()| 0)
        };
        out.flush()?;
        code = code.max(done?);
    }
    Ok(code)
}

fn snapshots(matches: &ArgMatches) -> Result<u8, Failure> {
    let files = texts(matches, "file");
    if matches.get_flag("compare") {
        let [left, right] = files.as_slice() else {
            return Err(Failure::usage("--compare takes two files"));
        };
        let number = |name| *matches.get_one::<i32>(name).expect("it has a default");
        let options = comparer::Options { bytes: number("bytes"), nodes: number("nodes"), debug: false, interactive: false };
        java::compare_snapshots([left, right], options)?;
        return Ok(0);
    }
    let mut code = 0;
    for file in files {
        if matches.get_flag("verify") {
            let verdict = snapshot::verify(Path::new(&file))?;
            let word = if verdict.problem.is_some() { "DAMAGED" } else { "ok" };
            let digest = verdict.digest.map_or(String::new(), |digest| format!(", digest {:#x} at {}", digest.digest, digest.zxid));
            say!("{file}: {word}: {} nodes, {} sessions{digest}", verdict.nodes, verdict.sessions);
            for line in verdict.problem.iter().chain(&verdict.note) {
                say!("  {line}");
            }
            code = code.max(u8::from(verdict.problem.is_some()));
        } else if let Some(start) = text(matches, "summary") {
            java::summarise(&file, start, *matches.get_one::<i32>("depth").expect("it has a default"))?;
        } else {
            java::show_snapshot(&file, matches.get_flag("data"), matches.get_flag("json"))?;
        }
    }
    Ok(code)
}

fn back_up(matches: &ArgMatches) -> Result<u8, Failure> {
    let source = directories(path(matches, "from"), path(matches, "log-dir"));
    let target = path(matches, "to").expect("required");
    let mut shipping = backup::Backup::open(source, target)?;
    let is_once = matches.get_flag("once");
    let interval = Duration::from_millis(*matches.get_one::<u64>("interval").expect("it has a default"));
    let retain = matches.get_one::<i32>("retain").and_then(|count| usize::try_from(*count).ok());
    loop {
        let pass = shipping.pass()?;
        for note in &pass.notes {
            eprintln!("{note}");
        }
        if let Some(retain) = retain.filter(|_| !pass.snapshots.is_empty()) {
            shipping.retain(retain, &Local::new())?;
        }
        if is_once || !pass.snapshots.is_empty() || pass.transactions > 0 {
            let through = pass.through.map_or("nothing yet".to_owned(), |zxid| format!("through zxid {zxid}"));
            say!("{through}: {} transactions and {} snapshots shipped", pass.transactions, pass.snapshots.len());
            io::stdout().flush()?;
        }
        if is_once {
            return Ok(0);
        }
        std::thread::sleep(interval);
    }
}

fn restore_state(matches: &ArgMatches) -> Result<u8, Failure> {
    let local = Local::new();
    let from = directories(path(matches, "from"), path(matches, "from-log-dir"));
    let point = match (text(matches, "to-zxid"), text(matches, "to-time")) {
        (Some(text), _) => restore::Point::Zxid(zxid(text)?),
        (_, Some(text)) => restore::Point::Time(
            parse_time_ms(text, &local).ok_or_else(|| Failure::usage(format!("{text} is no time: give it as 2026-11-23T03:45:32Z")))?,
        ),
        _ => restore::Point::End,
    };
    let mut restored = restore::build(&from, point, matches.get_flag("ignore-digests"), &local)?;
    for note in &restored.notes {
        eprintln!("{note}");
    }
    let at = restored.time_ms.map_or(String::new(), |time_ms| format!(" of {}", local.date(time_ms)));
    say!(
        "zxid {}{at}: {} nodes, {} sessions, digest {:#x}; from {} and {} transactions, {} digests of which match",
        restored.zxid,
        restored.tree.node_count() - 1,
        restored.tree.session_count(),
        restored.tree.digest(),
        restored.snapshot,
        restored.transactions,
        restored.digests_matched
    );
    if let Some(to) = path(matches, "to") {
        let written = restore::write(&mut restored, &directories(Some(to), path(matches, "log-dir")), matches.get_flag("member"))?;
        say!("written and read back: {}", written.display());
    }
    Ok(0)
}

/// The directories that a configuration names, whatever else stands in it: it need not be complete, and servers of later
/// versions may understand more of it.
pub fn directories_of(file: &Path) -> Result<Directories, Failure> {
    let bytes = std::fs::read(file).map_err(|error| Failure::of_file(file, &error))?;
    let entries = properties::parse(&bytes).map_err(|error| Failure::usage(format!("{}:{}: {error}", file.display(), error.line)))?;
    let value = |key: &str| {
        let entry = entries.iter().rev().find(|entry| properties::trim(&entry.key) == key)?;
        let value = properties::trim(&entry.value);
        (!value.is_empty()).then(|| PathBuf::from(value))
    };
    let Some(data) = value("dataDir") else {
        return Err(Failure::usage(format!("Unable to determine dataDir from {}", file.display())));
    };
    Ok(Directories { log: value("dataLogDir").unwrap_or_else(|| data.clone()), data })
}

fn clean_up(matches: &ArgMatches) -> Result<u8, Failure> {
    let places = match path(matches, "config") {
        Some(config) => directories_of(config)?,
        None => directories(path(matches, "data-dir"), path(matches, "log-dir")),
    };
    for directory in [&places.data, &places.log] {
        if !directory.is_dir() {
            return Err(Failure::unexpected(format!("Path '{}' does not exist. ", directory.display())));
        }
    }
    java::clean_up(&places.log, &places.data, *matches.get_one::<i32>("count").expect("it has a default"))?;
    Ok(0)
}

fn initialise(matches: &ArgMatches) -> Result<u8, Failure> {
    let config = match path(matches, "configfile") {
        Some(config) => config.to_owned(),
        // What the scripts set.
        None => match std::env::var_os("ZOOCFG").filter(|file| !file.is_empty()) {
            Some(config) => config.into(),
            None => return Err(Failure::usage("say which configuration: --configfile=zoo.cfg")),
        },
    };
    // The original's words, and on standard output as there.
    if !config.exists() {
        say!("Unable to find config file at {}", config.display());
        return Ok(1);
    }
    let places = match directories_of(&config) {
        Ok(places) => places,
        Err(failure) => {
            say!("{failure}");
            return Ok(1);
        }
    };
    let log = (places.log != places.data).then_some(places.log.as_path());
    let request = initialize::Request { data: &places.data, log, my_id: text(matches, "myid"), force: matches.get_flag("force") };
    match initialize::initialize(&request, &mut io::stdout()) {
        // As the original: its messages are output.
        Err(failure) if failure.exit_code != 0 => {
            say!("{failure}");
            Ok(failure.exit_code)
        }
        _ => Ok(0),
    }
}

fn check(matches: &ArgMatches) -> Result<u8, Failure> {
    preflight::run(Path::new(text(matches, "config").expect("required")), !matches.get_flag("offline"))
}

fn completions(matches: &ArgMatches) -> Result<u8, Failure> {
    let shell = *matches.get_one::<clap_complete::Shell>("shell").expect("required");
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut program(), "oxkeeper", &mut text);
    io::stdout().write_all(&text)?;
    Ok(0)
}

fn manual(matches: &ArgMatches) -> Result<u8, Failure> {
    let directory = path(matches, "to").expect("it has a default");
    let failed = |error: io::Error| Failure::of_file(directory, &error);
    std::fs::create_dir_all(directory).map_err(failed)?;
    // The date would be that of the build's machine: none.
    let page = |command: Command, name: &str| -> Result<(), Failure> {
        let mut text = Vec::new();
        let man =
            clap_mangen::Man::new(command.name(name.to_owned()).version(version::OXKEEPER)).date("").source("oxkeeper").manual("ZooKeeper");
        man.render(&mut text).map_err(failed)?;
        std::fs::write(directory.join(format!("{name}.1")), text).map_err(failed)
    };
    page(program(), "oxkeeper")?;
    for subcommand in SUBCOMMANDS {
        page(command_of(subcommand), &format!("oxkeeper-{}", subcommand.name))?;
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_consistent() {
        program().debug_assert();
    }

    #[test]
    fn what_is_no_subcommand_is_left_to_the_server() {
        for words in [&[][..], &["zoo.cfg"], &["2181", "/d"], &["-Dx=y", "zoo.cfg"], &["./status"]] {
            let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
            assert!(run(&words).is_none(), "{words:?}");
        }
    }
}
