//! The command line: `oxkeeper-bench compare | ensemble | document | load | storm | echo`.

use crate::compare::{self, Settings};
use crate::echo::Echo;
use crate::frame::op;
use crate::pool::{Opening, Pace, Pool, Stop};
use crate::report::{Document, SERVERS, Subject, TRIOS};
use crate::server::{self, Kind, Scratch};
use crate::source::{self, Creates, Source};
use crate::trio;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const HELP: &str = "\
oxkeeper-bench compare [workload...] [options]   servers in alternation, expected against measured
  --quick               5 alternations of 0.5 s, one of the heavy ones (default: 5 of 5 s, 5)
  --servers LIST        of java-<version>, oxkeeper, echo; the first Java is the baseline
                        (default java-3.8.0,oxkeeper,echo; oxkeeper is left out if it is not built)
  --oxkeeper PROGRAM    (default target/release/oxkeeper)
  --alternations N      --heavy-alternations N      --seconds S      --warm S
  --heap SIZE           of Java (default 4g; collector G1)
  --directory DIR       where the servers keep their data (default the system's temporary directory)
  --write FILE          replace the measured workloads' pieces of this document
oxkeeper-bench ensemble [workload...] [options]  the same with three servers of each kind; options as above, but for
                        --quick (3 alternations of 1 s, one of the heavy ones) and --heap (chosen by the size of the tree)
oxkeeper-bench document [ensemble] --write FILE  write the document anew from the pieces it holds, measuring nothing
oxkeeper-bench load --address A:P [options]      one load on any server
  --op get|exists|set|create|mixed|multi|children   --path PARENT (default /bench, 1000 children made if missing)
  --sessions N          --outstanding N      --rate PER_SECOND (open loop)      --seconds S      --bytes N
oxkeeper-bench storm --address A:P --sessions N
oxkeeper-bench echo --port P --directory DIR
";

/// Runs one command; what it has to say goes to standard output and error.
pub fn main(arguments: &[String]) -> ExitCode {
    let outcome = match arguments.split_first() {
        Some((command, rest)) => Options::parse(rest).and_then(|options| match command.as_str() {
            _ if options.flag("help") => {
                println!("{}", help());
                Ok(())
            }
            "compare" => run_compare(&options, &SERVERS),
            "ensemble" => run_compare(&options, &TRIOS),
            "document" => run_document(&options),
            "load" => run_load(&options),
            "storm" => run_storm(&options),
            "echo" => run_echo(&options),
            _ => Err(help()),
        }),
        None => Err(help()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            eprintln!("{text}");
            ExitCode::FAILURE
        }
    }
}

fn help() -> String {
    let mut text = HELP.to_string();
    for (name, subject) in [("compare", &SERVERS), ("ensemble", &TRIOS)] {
        text.push_str(&format!("\nworkloads of {name}:\n"));
        for workload in subject.workloads {
            let note = if workload.work.is_optional() { " (only if named)" } else { "" };
            text.push_str(&format!("  {:18} {}; expected {}{note}\n", workload.key, workload.title, workload.expected));
        }
    }
    text
}

const FLAGS: [&str; 2] = ["quick", "help"];
const VALUES: [&str; 18] = [
    "servers",
    "oxkeeper",
    "alternations",
    "heavy-alternations",
    "seconds",
    "warm",
    "heap",
    "directory",
    "write",
    "address",
    "op",
    "sessions",
    "outstanding",
    "rate",
    "bytes",
    "port",
    "path",
    "addresses",
];

/// `--name value`, `--flag` and words, in any order.
struct Options {
    values: Vec<(String, String)>,
    words: Vec<String>,
}

impl Options {
    fn parse(arguments: &[String]) -> Result<Self, String> {
        let mut options = Self { values: Vec::new(), words: Vec::new() };
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            match argument.strip_prefix("--") {
                None => options.words.push(argument.clone()),
                Some(name) if FLAGS.contains(&name) => options.values.push((name.to_string(), String::new())),
                Some(name) if VALUES.contains(&name) => {
                    let value = rest.next().ok_or(format!("--{name} wants a value"))?;
                    options.values.push((name.to_string(), value.clone()));
                }
                Some(name) => return Err(format!("--{name} is not an option\n\n{HELP}")),
            }
        }
        Ok(options)
    }

    fn flag(&self, name: &str) -> bool {
        self.text(name).is_some()
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.values.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    fn value<T: std::str::FromStr>(&self, name: &str, default: T) -> Result<T, String> {
        match self.text(name) {
            None => Ok(default),
            Some(text) => text.parse().map_err(|_| format!("--{name} {text}: not a number")),
        }
    }

    fn seconds(&self, name: &str, default: f64) -> Result<Duration, String> {
        let seconds: f64 = self.value(name, default)?;
        Duration::try_from_secs_f64(seconds).map_err(|error| format!("--{name} {seconds}: {error}"))
    }

    fn address(&self) -> Result<SocketAddr, String> {
        let text = self.text("address").ok_or("--address is missing")?;
        text.parse().map_err(|_| format!("--address {text}: not <ip>:<port>"))
    }
}

fn run_compare(options: &Options, subject: &'static Subject) -> Result<(), String> {
    let of_three = std::ptr::eq(subject, &TRIOS);
    let quick = options.flag("quick");
    let directory = options.text("directory").map_or_else(std::env::temp_dir, PathBuf::from);
    std::fs::create_dir_all(&directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    let scratch = Scratch::new(&directory).map_err(|error| error.to_string())?;
    let oxkeeper = PathBuf::from(options.text("oxkeeper").unwrap_or("target/release/oxkeeper"));
    let heap = options.text("heap").unwrap_or("4g");
    let names: Vec<&str> = match options.text("servers") {
        Some(list) => list.split(',').collect(),
        None if oxkeeper.is_file() => vec!["java-3.8.0", "oxkeeper", "echo"],
        None => {
            eprintln!("{} is not there: measuring without Oxkeeper", oxkeeper.display());
            vec!["java-3.8.0", "echo"]
        }
    };
    let servers: Vec<Kind> = names.iter().map(|name| Kind::named(name, &oxkeeper, heap, scratch.path())).collect::<Result<_, _>>()?;
    let workloads = match options.words.is_empty() {
        true => subject.workloads.iter().filter(|workload| !workload.work.is_optional()).collect(),
        false => options
            .words
            .iter()
            .map(|key| subject.named(key).ok_or_else(|| format!("{key} is not a workload\n\n{}", help())))
            .collect::<Result<_, _>>()?,
    };
    let settings = Settings {
        servers,
        workloads,
        alternations: options.value("alternations", if quick && of_three { 3 } else { 5 })?,
        heavy_alternations: options.value("heavy-alternations", if quick { 1 } else { 5 })?,
        duration: options.seconds(
            "seconds",
            if !quick {
                5.0
            } else if of_three {
                1.0
            } else {
                0.5
            },
        )?,
        warm_up: options.seconds("warm", 20.0)?,
        directory: directory.clone(),
    };
    if settings.servers.iter().all(Kind::is_echo) && settings.workloads.iter().any(|each| !each.work.suits_echo()) {
        return Err("the echo server alone cannot run these workloads".into());
    }
    let heap = if of_three { "by the size of the tree" } else { heap };
    let conditions = conditions(&settings, of_three, heap, &directory)?;
    println!("{conditions}");
    let document = options.text("write").map(Path::new);
    let mut failure = None;
    let done = |outcome: &compare::Outcome| {
        println!("{}", outcome.section());
        if let Some(path) = document
            && let Err(error) = write_document(path, subject, outcome, &conditions)
        {
            failure = Some(format!("{}: {error}", path.display()));
        }
    };
    let run = if of_three { trio::run(&settings, done) } else { compare::run(&settings, done) };
    run.map_err(|error| error.to_string())?;
    failure.map_or(Ok(()), Err)
}

fn run_document(options: &Options) -> Result<(), String> {
    let path = options.text("write").ok_or("--write is missing")?;
    let subject = if options.words.iter().any(|word| word == "ensemble") { &TRIOS } else { &SERVERS };
    let document = Document::parse(subject, &std::fs::read_to_string(path).unwrap_or_default());
    std::fs::write(path, document.text()).map_err(|error| format!("{path}: {error}"))
}

/// Written after each workload, so that a run that is cut off leaves what it had.
fn write_document(path: &Path, subject: &'static Subject, outcome: &compare::Outcome, conditions: &str) -> std::io::Result<()> {
    let mut document = Document::parse(subject, &std::fs::read_to_string(path).unwrap_or_default());
    document.put(outcome, conditions);
    std::fs::write(path, document.text())
}

/// Where and how: one line.
fn conditions(settings: &Settings, of_three: bool, heap: &str, directory: &Path) -> Result<String, String> {
    let wrong = |error: std::io::Error| format!("{}: {error}", directory.display());
    let sync = server::disk_sync_p50(directory).map_err(wrong)?;
    let three = if of_three {
        let times = server::disk_syncs_of_three(directory, Duration::from_secs(5)).map_err(wrong)?;
        let millis = |fraction| times.quantile(fraction) as f64 / 1e6;
        format!(
            "; of 16 KB in each of three files side by side, with nothing else running, p50 {:.2} ms, p99 {:.1} ms, p99.9 {:.1} ms",
            millis(0.5),
            millis(0.99),
            millis(0.999)
        )
    } else {
        String::new()
    };
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let java = if settings.servers.iter().any(Kind::is_java) {
        let version = Command::new("java").arg("-version").output().map_err(|error| format!("java: {error}"))?;
        let version = String::from_utf8_lossy(&version.stderr).lines().next().unwrap_or_default().to_string();
        format!(", {version}, -Xmx{heap}, G1, warmed {:?}", settings.warm_up)
    } else {
        String::new()
    };
    let commit = Command::new("git").args(["rev-parse", "--short", "HEAD"]).output().ok();
    let commit = commit.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_string()).unwrap_or_default();
    let day = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs() / 86_400);
    let (year, month, day) = civil(day as i64);
    Ok(format!(
        "Measured {year}-{month:02}-{day:02} at commit {commit}: {cores} cores, Linux {}, fdatasync of 4 KB appended p50 \
         {:.0} us{three}{java}; {} alternations ({} of the heavy workloads) of {:?}; servers {}.\n",
        kernel.trim(),
        sync.as_secs_f64() * 1e6,
        settings.alternations,
        settings.heavy_alternations,
        settings.duration,
        settings.servers.iter().map(Kind::name).collect::<Vec<_>>().join(", "),
    ))
}

/// Year, month and day of a day counted from 1970-01-01, in the Gregorian calendar.
fn civil(days: i64) -> (i64, i64, i64) {
    let mut year = 1970;
    let mut left = days;
    let leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    while left >= 365 + i64::from(leap(year)) {
        left -= 365 + i64::from(leap(year));
        year += 1;
    }
    let lengths = [31, 28 + i64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while left >= lengths[month] {
        left -= lengths[month];
        month += 1;
    }
    (year, month as i64 + 1, left + 1)
}

fn run_load(options: &Options) -> Result<(), String> {
    let address = options.address()?;
    let text = |error: std::io::Error| error.to_string();
    let data = vec![b'x'; options.value("bytes", 100)?];
    let parent = options.text("path").unwrap_or("/bench");
    let count = 1000;
    let mut session = server::Plain::open(address).map_err(text)?;
    // -110: they are there from an earlier load.
    let made = session.call(crate::frame::create(parent, b"")).map_err(text)?;
    for group in source::paths(parent, count).chunks(50).filter(|_| made == 0) {
        session.must(crate::frame::multi_create(group.iter().map(String::as_str), &data)).map_err(text)?;
    }
    let paths = source::paths(parent, count);
    let read = |op| source::Repeat::new(paths.iter().map(|path| crate::frame::read(op, path, false)).collect());
    let mut source: Box<dyn Source> = match options.text("op").unwrap_or("get") {
        "get" => Box::new(read(op::GET_DATA)),
        "exists" => Box::new(read(op::EXISTS)),
        "set" => Box::new(source::writes(parent, count, &data)),
        "mixed" => Box::new(source::mixed(parent, count, &data)),
        "multi" => Box::new(source::multis(parent, count, 10, &data)),
        "children" => Box::new(source::Repeat::new(vec![crate::frame::read(op::GET_CHILDREN, parent, false)])),
        "create" => {
            let directory = format!("/created-{}", std::process::id());
            session.must(crate::frame::create(&directory, b"")).map_err(text)?;
            Box::new(Creates::new(&format!("{directory}/"), false, &data, 1, 0))
        }
        other => return Err(format!("--op {other} is not known\n\n{HELP}")),
    };
    let pace = match options.text("rate") {
        Some(_) => Pace::Open { per_second: options.value("rate", 0.0)? },
        None => Pace::Closed { outstanding: options.value("outstanding", 16)? },
    };
    let opening = Opening { addresses: options.value("addresses", 200)?, ..Opening::gently(options.value("sessions", 16)?) };
    let (mut pool, _) = Pool::open(address, opening).map_err(text)?;
    let report = pool.run(&mut *source, pace, Stop::After(options.seconds("seconds", 5.0)?)).map_err(text)?;
    let micros = |fraction| report.latency.quantile(fraction) as f64 / 1e3;
    println!(
        "{:.0} ops/s; p50 {:.0} us, p99 {:.0} us, p99.9 {:.0} us, max {:.0} us; errors {} (last {}); \
         generator CPU {:.2} us/op",
        report.per_second(),
        micros(0.5),
        micros(0.99),
        micros(0.999),
        report.latency.max() as f64 / 1e3,
        report.errors,
        report.last_error,
        report.generator_cpu.as_secs_f64() * 1e6 / report.completed.max(1) as f64,
    );
    pool.close().map_err(text)
}

fn run_storm(options: &Options) -> Result<(), String> {
    let opening = Opening::storm(options.value("sessions", 5000)?);
    let (pool, opened) = Pool::open(options.address()?, opening).map_err(|error| error.to_string())?;
    println!("{} sessions open after {:?}, {} retries", pool.len(), opened.took, opened.retries);
    pool.close().map_err(|error| error.to_string())
}

fn run_echo(options: &Options) -> Result<(), String> {
    let directory = PathBuf::from(options.text("directory").ok_or("--directory is missing")?);
    let address = SocketAddr::from((Ipv4Addr::UNSPECIFIED, options.value("port", 2181)?));
    let echo = Echo::bind(address, &directory).map_err(|error| format!("{address}: {error}"))?;
    echo.run(&Arc::new(AtomicBool::new(false))).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_in_any_order() {
        let words: Vec<String> = ["storm", "--seconds", "0.5", "--quick", "fill"].map(String::from).to_vec();
        let options = Options::parse(&words).unwrap();
        assert_eq!(options.words, ["storm", "fill"]);
        assert!(options.flag("quick") && !options.flag("help"));
        assert_eq!(options.seconds("seconds", 5.0), Ok(Duration::from_millis(500)));
        assert_eq!(options.value("sessions", 7), Ok(7));
        assert!(Options::parse(&["--colour".to_string()]).is_err());
        assert!(Options::parse(&["--seconds".to_string()]).is_err());
    }

    #[test]
    fn days_of_the_calendar() {
        assert_eq!(civil(0), (1970, 1, 1));
        assert_eq!(civil(11_016), (2000, 2, 29));
        assert_eq!(civil(20_780), (2026, 11, 23));
    }
}
