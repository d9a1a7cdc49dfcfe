//! The main classes of ZooKeeper, for scripts that put this program in the place of `java`: options, output and exit
//! codes are those of the classes. Flags of the JVM are overlooked.

use crate::calendar::Local;
use crate::{ended, words};
use oxkeeper_proto::Zxid;
use oxkeeper_server::version;
use oxkeeper_tools::commons_cli::{self, CliOption};
use oxkeeper_tools::txnlog::{self, Recovery};
use oxkeeper_tools::{EXIT_INVALID_INVOCATION, EXIT_UNEXPECTED_ERROR, Failure, comparer, formatter, purge, snapshot, summary};
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

type Class = fn(&[String]) -> Result<u8, Failure>;

/// What is not a server. (`QuorumPeerMain` and `ZooKeeperServerMain` are the server's own words.)
const CLASSES: &[(&str, Class)] = &[
    ("server.persistence.TxnLogToolkit", txn_log_toolkit),
    ("server.SnapshotFormatter", snapshot_formatter),
    ("server.SnapshotComparer", snapshot_comparer),
    ("server.SnapshotRecursiveSummary", snapshot_recursive_summary),
    ("server.PurgeTxnLog", purge_txn_log),
    ("client.FourLetterWordMain", words::java),
    ("version.VersionInfoMain", version_info),
];

/// Runs a class, if the arguments name one.
pub fn run(arguments: &[String]) -> Option<ExitCode> {
    let mut at = 0;
    while let Some(argument) = arguments.get(at) {
        match argument.as_str() {
            "-cp" | "-classpath" | "--class-path" => at += 2,
            flag if flag.starts_with('-') => at += 1,
            _ => break,
        }
    }
    let class = arguments.get(at)?.strip_prefix("org.apache.zookeeper.")?;
    if class == "ZooKeeperMain" {
        // The client's properties stand before the class.
        let properties = arguments[..at].iter().filter(|flag| flag.starts_with("-D"));
        let words = properties.chain(&arguments[at + 1..]).cloned();
        return Some(oxkeeper_cli::main(words, &version::full()));
    }
    let (_, main) = CLASSES.iter().find(|(name, _)| *name == class)?;
    Some(ended(main(&arguments[at + 1..])))
}

/// Standard output with a buffer; what is left in it is written by `flush`.
fn output() -> BufWriter<io::StdoutLock<'static>> {
    BufWriter::with_capacity(64 << 10, io::stdout().lock())
}

const TXN_LOG_OPTIONS: &[CliOption] = &[
    CliOption { short: 'h', long: "help", value: None, required: false, about: "Show these options" },
    CliOption { short: 'r', long: "recover", value: None, required: false, about: "Write a copy with right checksums to <file>.fixed" },
    CliOption { short: 'v', long: "verbose", value: None, required: false, about: "With -r: print every entry, not just repaired ones" },
    CliOption { short: 'd', long: "dump", value: None, required: false, about: "Print every entry (what is done without options)" },
    CliOption { short: 'y', long: "yes", value: None, required: false, about: "With -r: repair every checksum without asking" },
    CliOption { short: 'c', long: "chop", value: None, required: false, about: "Write the entries up to a zxid to <file>.chopped<zxid>" },
    CliOption { short: 'z', long: "zxid", value: Some("arg"), required: false, about: "With -c: the last zxid to keep" },
];
const TXN_LOG_USAGE: &str = "TxnLogToolkit [-dhrvc] <txn_log_file_name> (-z <zxid>)";

fn txn_log_toolkit(arguments: &[String]) -> Result<u8, Failure> {
    let help = || say!("{}", commons_cli::help(TXN_LOG_USAGE, TXN_LOG_OPTIONS).trim_end());
    let parsed = match commons_cli::parse(TXN_LOG_OPTIONS, arguments) {
        Ok(parsed) => parsed,
        Err(complaint) => {
            eprintln!("{complaint}\n");
            help();
            return Ok(EXIT_UNEXPECTED_ERROR);
        }
    };
    if parsed.has('h') {
        help();
        return Ok(0);
    }
    let Some(file) = parsed.arguments.first() else {
        help();
        return Ok(EXIT_UNEXPECTED_ERROR);
    };
    let path = Path::new(file);
    let calendar = Local::new();
    let mut out = output();
    if let (true, Some(text)) = (parsed.has('c'), parsed.value('z')) {
        let zxid = txnlog::decode_long(text).filter(|zxid| *zxid >= 0);
        let zxid = zxid.ok_or_else(|| Failure::unexpected(format!("{text} is no zxid: give it as 0x100000005 or in decimal")))?;
        // Java says what went wrong and ends with 0 even so.
        txnlog::chop(path, Zxid(zxid), &mut out, &mut io::stderr())?;
    } else if parsed.has('r') {
        let recovery = Recovery { yes: parsed.has('y'), verbose: parsed.has('v') };
        let done = txnlog::recover(path, recovery, &calendar, &mut io::stdin().lock(), &mut out);
        out.flush()?;
        done?;
    } else {
        let done = txnlog::dump(path, &calendar, &mut out);
        out.flush()?;
        done?;
    }
    out.flush()?;
    Ok(0)
}

fn snapshot_formatter(arguments: &[String]) -> Result<u8, Failure> {
    let (mut data, mut json, mut file, mut rest) = (false, false, None, arguments.iter());
    for argument in rest.by_ref() {
        match argument.as_str() {
            "-d" => data = true,
            "-json" => json = true,
            _ => {
                file = Some(argument);
                break;
            }
        }
    }
    let (Some(file), None) = (file, rest.next()) else {
        return Err(Failure::usage(
            "USAGE: SnapshotFormatter [-d|-json] snapshot_file\n       -d dump the data for each znode\n       -json dump znode info in json format",
        ));
    };
    snapshot::require_file(file)?;
    if data && json {
        return Err(Failure::usage("Cannot specify both data dump (-d) and json mode (-json) in same call"));
    }
    show_snapshot(file, data, json)?;
    Ok(0)
}

/// Prints a snapshot; says what is wrong behind its nodes, which Java's tool does not look at.
pub fn show_snapshot(file: &str, data: bool, json: bool) -> Result<(), Failure> {
    let loaded = snapshot::load(Path::new(file))?;
    let mut out = output();
    if json {
        let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64);
        formatter::json(&loaded, now_ms, &mut out)?;
    } else {
        formatter::text(&loaded, data, &Local::new(), &mut out)?;
    }
    out.flush()?;
    if let Err(reason) = loaded.end {
        eprintln!("{file}: what is shown cannot be trusted: {reason}");
    }
    Ok(())
}

const COMPARER_OPTIONS: &[CliOption] = &[
    CliOption { short: 'l', long: "left", value: Some("LEFT"), required: true, about: "(Required) One snapshot" },
    CliOption { short: 'r', long: "right", value: Some("RIGHT"), required: true, about: "(Required) The other snapshot" },
    CliOption {
        short: 'b',
        long: "bytes",
        value: Some("BYTETHRESHOLD"),
        required: true,
        about: "(Required) Show subtrees that differ by more bytes of data",
    },
    CliOption {
        short: 'n',
        long: "nodes",
        value: Some("NODETHRESHOLD"),
        required: true,
        about: "(Required) Show subtrees that differ by more nodes",
    },
    CliOption { short: 'd', long: "debug", value: None, required: false, about: "Show every comparison" },
    CliOption { short: 'i', long: "interactive", value: None, required: false, about: "Ask for depths and paths" },
];

fn snapshot_comparer(arguments: &[String]) -> Result<u8, Failure> {
    let parsed = match commons_cli::parse(COMPARER_OPTIONS, arguments) {
        Ok(parsed) => parsed,
        Err(complaint) => {
            eprintln!("{complaint}");
            say!("{}", commons_cli::help("java -cp <classPath> org.apache.zookeeper.server.SnapshotComparer", COMPARER_OPTIONS).trim_end());
            return Ok(EXIT_INVALID_INVOCATION);
        }
    };
    let number = |option| {
        let text = parsed.value(option).unwrap_or_default();
        text.parse::<i32>().map_err(|_| Failure::unexpected(format!("-{option}: {text} is no number")))
    };
    let options = comparer::Options { bytes: number('b')?, nodes: number('n')?, debug: parsed.has('d'), interactive: parsed.has('i') };
    say!("Successfully parsed options!");
    compare_snapshots([parsed.value('l').unwrap_or_default(), parsed.value('r').unwrap_or_default()], options)?;
    Ok(0)
}

/// Compares two files.
pub fn compare_snapshots(files: [&str; 2], options: comparer::Options) -> Result<(), Failure> {
    let mut out = output();
    let mut prepared = Vec::new();
    for file in files {
        let begun = Instant::now();
        let path = Path::new(file);
        let loaded = snapshot::load(path)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        prepared.push(comparer::prepare(&loaded, &name, begun.elapsed(), &mut out)?);
    }
    let done = comparer::compare(&prepared[0], &prepared[1], options, &mut io::stdin().lock(), &mut out);
    out.flush()?;
    done
}

fn snapshot_recursive_summary(arguments: &[String]) -> Result<u8, Failure> {
    let usage = || {
        Failure::usage(
            "USAGE:\nSnapshotRecursiveSummary  <snapshot_file>  <starting_node>  <max_depth>\n\
             snapshot_file:    a snapshot\n\
             starting_node:    the node whose subtree is summed up\n\
             max_depth:        how many levels below it are shown; 0 shows all. All levels are counted in any case.",
        )
    };
    let [file, start, depth] = arguments else { return Err(usage()) };
    let depth = depth.parse::<i32>().map_err(|_| usage())?;
    summarise(file, start, depth)?;
    Ok(0)
}

/// Sums up one file.
pub fn summarise(file: &str, start: &str, depth: i32) -> Result<(), Failure> {
    let loaded = snapshot::load(Path::new(file))?;
    let mut out = output();
    summary::print(&loaded, start, depth, &mut out)?;
    out.flush()?;
    Ok(())
}

fn purge_txn_log(arguments: &[String]) -> Result<u8, Failure> {
    let usage = |complaint: &str| {
        if !complaint.is_empty() {
            eprintln!("{complaint}");
        }
        say!(
            "Usage:\nPurgeTxnLog dataLogDir [snapDir] -n count\n\tdataLogDir -- where the transaction logs are\n\
             \tsnapDir -- where the snapshots are, if not there\n\tcount -- how many snapshots to keep, with the logs they need; at least 3"
        );
        Ok(EXIT_UNEXPECTED_ERROR)
    };
    let (log, snap, option, count) = match arguments {
        [log, option, count] => (log, log, option, count),
        [log, snap, option, count] => (log, snap, option, count),
        _ => return usage(""),
    };
    for path in [log, snap] {
        if !Path::new(path).exists() {
            let absolute = std::path::absolute(path).unwrap_or_else(|_| path.into());
            return usage(&format!("Path '{}' does not exist. ", absolute.display()));
        }
    }
    let Ok(number) = count.parse::<i32>() else {
        return usage(&format!("'{count}' can not be parsed to integer."));
    };
    if number < purge::LEAST_RETAINED {
        return usage("count should be greater than or equal to 3");
    }
    if option != "-n" {
        return usage("");
    }
    clean_up(Path::new(log), Path::new(snap), number)?;
    Ok(0)
}

/// Deletes old files.
pub fn clean_up(log: &Path, snap: &Path, retain: i32) -> Result<(), Failure> {
    let retain = usize::try_from(retain).unwrap_or(usize::MAX);
    purge::purge(log, snap, retain, &Local::new(), &mut io::stdout(), &mut io::stderr())
}

fn version_info(_: &[String]) -> Result<u8, Failure> {
    // `3.9.5-<revision>, built on <date>`; the class shows release and date.
    let full = version::full();
    let built = full.split_once(", built on ").map_or("", |(_, date)| date);
    say!("Apache ZooKeeper, version {} {built}", version::ZOOKEEPER);
    Ok(0)
}
