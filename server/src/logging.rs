//! The log: lines to standard error, and to a file that is put aside when it is large, in the layout of ZooKeeper's
//! logback.xml.
//!
//! `2026-11-23 01:39:00,123 [myid:1] - INFO  [main:server@42] - message`, with the thread's name, and the last
//! word of the Rust module in place of the Java class. Time is that of the local zone, as Java's. Control characters in messages are
//! escaped, so that nothing that a client sends can forge a line. Which messages there are is not decided
//! here. The level can be changed while the server runs ([`set_level`]).

use std::cell::RefCell;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use log::{Level, LevelFilter, Log, Metadata, Record};

use crate::four_letter::date::Civil;
use crate::four_letter::zone::Zone;

/// Where the log goes, and how.
#[derive(Clone, Debug, Default)]
pub struct LogOptions {
    /// The value of `-Dzookeeper.root.logger`: a level, and appenders. `DEBUG,CONSOLE` is standard error,
    /// `INFO,ROLLINGFILE` the file, both are both. None that is known is standard error.
    pub root_logger: Option<String>,
    /// The server's number, in every line.
    pub my_id: Option<i64>,
    /// The file.
    pub file: PathBuf,
    /// Its size when it is put aside.
    pub file_bytes: u64,
    /// How many old ones stay.
    pub files_kept: u32,
    /// A JSON object a line instead of ZooKeeper's layout.
    pub json: bool,
}

/// Starts the log. `RUST_LOG` decides the level; without it the root logger; without either it is INFO. A second
/// call does nothing.
pub fn start(options: &LogOptions) {
    let mut builder = env_logger::Builder::new();
    match std::env::var("RUST_LOG") {
        Ok(filter) if !filter.is_empty() => builder.parse_filters(&filter),
        _ => builder.filter_level(level_of(options.root_logger.as_deref())),
    };
    let (to_stderr, to_file) = appenders_of(options.root_logger.as_deref());
    let mut problem = None;
    let file = to_file.then(|| RollingFile::open(&options.file, options.file_bytes, options.files_kept));
    let file = file.and_then(|opened| opened.map_err(|error| problem = Some(error)).ok());
    let server_log = ServerLog {
        filter: builder.build(),
        level: AtomicUsize::new(UNSET),
        to_stderr: to_stderr || file.is_none(),
        file: file.map(Mutex::new),
        json: options.json,
        my_id: options.my_id.map_or(String::new(), |my_id| my_id.to_string()),
        zone: Zone::local(),
    };
    let mut is_first = false;
    let server_log = LOG.get_or_init(|| {
        is_first = true;
        server_log
    });
    if is_first && log::set_logger(server_log).is_ok() {
        log::set_max_level(server_log.filter.filter());
    }
    if let Some(error) = problem {
        log::warn!("The log file {} cannot be written, the log goes to standard error: {error}", options.file.display());
    }
}

/// Changes the level of everything until the server ends; `None` goes back to what it was started with.
pub fn set_level(level: Option<LevelFilter>) {
    let Some(server_log) = LOG.get() else { return };
    server_log.level.store(level.map_or(UNSET, |level| level as usize), Ordering::Relaxed);
    log::set_max_level(level.unwrap_or_else(|| server_log.filter.filter()));
}

static LOG: OnceLock<ServerLog> = OnceLock::new();
/// No level was set while running.
const UNSET: usize = usize::MAX;

struct ServerLog {
    filter: env_logger::Logger,
    /// A [`LevelFilter`] as a number.
    level: AtomicUsize,
    to_stderr: bool,
    file: Option<Mutex<RollingFile>>,
    json: bool,
    my_id: String,
    zone: Zone,
}

thread_local! {
    static LINE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl Log for ServerLog {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        match self.level.load(Ordering::Relaxed) {
            UNSET => self.filter.enabled(metadata),
            level => metadata.level() as usize <= level,
        }
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        LINE.with(|line| {
            // A message that logs while it is formatted would find the line taken.
            let Ok(mut line) = line.try_borrow_mut() else { return };
            line.clear();
            let thread = std::thread::current();
            let thread = thread.name().unwrap_or("unnamed");
            let written = if self.json {
                write_json(&mut *line, SystemTime::now(), &self.my_id, thread, record)
            } else {
                write_line(&mut *line, SystemTime::now(), &self.zone, &self.my_id, thread, record)
            };
            if written.is_err() {
                return;
            }
            if self.to_stderr {
                // Nobody could be told.
                let _ = io::stderr().write_all(&line);
            }
            if let Some(file) = &self.file {
                file.lock().unwrap_or_else(PoisonError::into_inner).write(&line);
            }
        });
    }

    fn flush(&self) {}
}

/// A file that is put aside as `<name>.1` when it is large; older ones move on to `.2` and so on.
pub struct RollingFile {
    path: PathBuf,
    most_bytes: u64,
    kept: u32,
    file: Option<File>,
    bytes: u64,
}

impl RollingFile {
    /// Opens the file to append, and makes its directory if there is none.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(path: &Path, most_bytes: u64, kept: u32) -> io::Result<Self> {
        if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
            fs::create_dir_all(directory)?;
        }
        let file = File::options().create(true).append(true).open(path)?;
        let bytes = file.metadata()?.len();
        Ok(Self { path: path.to_owned(), most_bytes, kept, file: Some(file), bytes })
    }

    /// Writes a line. What cannot be written is lost, and tried again with the next line.
    pub fn write(&mut self, line: &[u8]) {
        if self.bytes > 0 && self.bytes + line.len() as u64 > self.most_bytes {
            self.roll();
        }
        if self.file.is_none()
            && let Ok(again) = Self::open(&self.path, self.most_bytes, self.kept)
        {
            *self = again;
        }
        if let Some(file) = &mut self.file
            && file.write_all(line).is_ok()
        {
            self.bytes += line.len() as u64;
        }
    }

    /// Whatever fails here fails again with the next file at the latest; the log goes on meanwhile.
    fn roll(&mut self) {
        let name = |number: u32| PathBuf::from(format!("{}.{number}", self.path.display()));
        for number in (1..self.kept).rev() {
            let _ = fs::rename(name(number), name(number + 1));
        }
        self.file = None;
        let aside = if self.kept > 0 { fs::rename(&self.path, name(1)) } else { fs::remove_file(&self.path) };
        if aside.is_err() {
            // It grows instead of being lost, until it has doubled.
            self.most_bytes = self.most_bytes.saturating_mul(2);
        }
    }
}

/// Whether a root logger asks for standard error, and for the file.
fn appenders_of(root_logger: Option<&str>) -> (bool, bool) {
    let mut words = root_logger.unwrap_or_default().split(',').skip(1).map(|word| word.trim().to_ascii_uppercase());
    let (mut console, mut file) = (false, false);
    words.by_ref().for_each(|word| match word.as_str() {
        "ROLLINGFILE" => file = true,
        "CONSOLE" => console = true,
        _ => {}
    });
    (console || !file, file)
}

/// The level of a value of `zookeeper.root.logger`; INFO if there is none or it is not a level.
#[must_use]
pub fn level_of(root_logger: Option<&str>) -> LevelFilter {
    let word = root_logger.and_then(|value| value.split(',').next()).unwrap_or_default().trim();
    match word.to_ascii_uppercase().as_str() {
        "ALL" => LevelFilter::Trace,
        "FATAL" => LevelFilter::Error,
        other => other.parse().unwrap_or(LevelFilter::Info),
    }
}

/// Writes one line. Nothing is allocated.
fn write_line(out: &mut impl io::Write, at: SystemTime, zone: &Zone, my_id: &str, thread: &str, record: &Record<'_>) -> io::Result<()> {
    let module = record.module_path().unwrap_or_default();
    let module = module.rsplit("::").next().unwrap_or(module);
    write!(
        out,
        "{} [myid:{my_id}] - {:<5} [{}:{module}@{}] - ",
        Timestamp(at, zone),
        record.level(),
        Escaped(format_args!("{thread}")),
        record.line().unwrap_or(0),
    )?;
    writeln!(out, "{}", Escaped(*record.args()))
}

/// Writes one line of JSON; times are UTC.
fn write_json(out: &mut impl io::Write, at: SystemTime, my_id: &str, thread: &str, record: &Record<'_>) -> io::Result<()> {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let Civil { year, month, day, hour, minute, second, .. } = Civil::from_epoch_seconds(since.as_secs() as i64);
    write!(out, "{{\"time\":\"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z\"", since.subsec_millis())?;
    write!(out, ",\"level\":\"{}\",\"myid\":\"{my_id}\"", record.level())?;
    for (key, text) in [("thread", format_args!("{thread}")), ("module", format_args!("{}", record.module_path().unwrap_or_default()))] {
        write!(out, ",\"{key}\":\"{}\"", JsonEscaped(text))?;
    }
    writeln!(out, ",\"line\":{},\"message\":\"{}\"}}", record.line().unwrap_or(0), JsonEscaped(*record.args()))
}

/// A text within quotes of JSON.
struct JsonEscaped<'a>(fmt::Arguments<'a>);

impl fmt::Display for JsonEscaped<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        struct Escaper<'a, 'b>(&'a mut fmt::Formatter<'b>);
        impl fmt::Write for Escaper<'_, '_> {
            fn write_str(&mut self, text: &str) -> fmt::Result {
                text.chars().try_for_each(|character| match character {
                    '"' | '\\' => write!(self.0, "\\{character}"),
                    other if breaks_lines(other) || other == '\t' => write!(self.0, "\\u{:04x}", u32::from(other)),
                    other => fmt::Write::write_char(self.0, other),
                })
            }
        }
        fmt::Write::write_fmt(&mut Escaper(formatter), self.0)
    }
}

/// Writes a line of the audit log in the layout that ZooKeeper's logback.xml has for its file.
pub fn write_audit_line(out: &mut Vec<u8>, at: SystemTime, zone: &Zone, level: Level, message: &str) {
    let _ = writeln!(out, "{} {level} o.a.z.a.Slf4jAuditLogger: {}", Timestamp(at, zone), Escaped(format_args!("{message}")));
}

/// `2026-11-23 01:39:00,123`, in this zone.
pub(crate) struct Timestamp<'a>(pub SystemTime, pub &'a Zone);

impl fmt::Display for Timestamp<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A clock before 1970 is shown as 1970.
        let since = self.0.duration_since(UNIX_EPOCH).unwrap_or_default();
        let seconds = since.as_secs() as i64;
        let local = seconds + i64::from(self.1.offset_seconds(seconds));
        let Civil { year, month, day, hour, minute, second, .. } = Civil::from_epoch_seconds(local);
        write!(formatter, "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02},{:03}", since.subsec_millis())
    }
}

/// Shows control characters as escapes.
struct Escaped<'a>(fmt::Arguments<'a>);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Write::write_fmt(&mut Escaper(formatter), self.0)
    }
}

struct Escaper<'a, 'b>(&'a mut fmt::Formatter<'b>);

impl fmt::Write for Escaper<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut clean = 0;
        for (index, character) in text.char_indices().filter(|&(_, character)| breaks_lines(character)) {
            self.0.write_str(&text[clean..index])?;
            clean = index + character.len_utf8();
            write!(self.0, "{}", character.escape_default())?;
        }
        self.0.write_str(&text[clean..])
    }
}

/// Control characters (a tab is harmless, and Java has one in a message that tools read), and those that terminals and viewers take for a line's end or for a change of
/// direction.
fn breaks_lines(character: char) -> bool {
    (character.is_control() && character != '\t')
        || matches!(character, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn line(at_ms: u64, my_id: &str, thread: &str, level: Level, message: &str) -> String {
        let mut out = Vec::new();
        let at = UNIX_EPOCH + Duration::from_millis(at_ms);
        write_line(
            &mut out,
            at,
            &Zone::utc(),
            my_id,
            thread,
            &Record::builder()
                .level(level)
                .module_path(Some("oxkeeper_server::config::build"))
                .line(Some(42))
                .args(format_args!("{message}"))
                .build(),
        )
        .unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn lines_have_the_layout_of_java() {
        assert_eq!(
            line(1_795_397_940_007, "1", "main", Level::Info, "binding to port 2181"),
            "2026-11-23 01:39:00,007 [myid:1] - INFO  [main:build@42] - binding to port 2181\n"
        );
        assert_eq!(line(0, "", "log", Level::Error, "a\\b é"), "1970-01-01 00:00:00,000 [myid:] - ERROR [log:build@42] - a\\b é\n");
    }

    #[test]
    fn no_message_makes_a_second_line() {
        for (message, shown) in [
            ("a\nb", "a\\nb"),
            ("\r\n", "\\r\\n"),
            ("x\u{1b}[2Jy\0", "x\\u{1b}[2Jy\\u{0}"),
            ("\u{85}\u{2028}\u{202e}é", "\\u{85}\\u{2028}\\u{202e}é"),
            ("tab\there\u{7f}", "tab\there\\u{7f}"),
        ] {
            let line = line(0, "", "a\nb", Level::Warn, message);
            assert!(line.ends_with(&format!("[a\\nb:build@42] - {shown}\n")), "{line:?}");
            assert_eq!(line.matches('\n').count(), 1);
        }
    }

    #[test]
    fn json_is_one_line_that_can_be_read() {
        let mut out = Vec::new();
        let record = Record::builder()
            .level(Level::Warn)
            .module_path(Some("oxkeeper_server::config"))
            .line(Some(7))
            .args(format_args!("a \"b\" \\ \n\t\u{1b}\u{2028}é"))
            .build();
        write_json(&mut out, UNIX_EPOCH + Duration::from_millis(1_795_397_940_007), "1", "main", &record).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "{\"time\":\"2026-11-23T01:39:00.007Z\",\"level\":\"WARN\",\"myid\":\"1\",\"thread\":\"main\",\
             \"module\":\"oxkeeper_server::config\",\"line\":7,\"message\":\"a \\\"b\\\" \\\\ \\u000a\\u0009\\u001b\\u2028é\"}\n"
        );
    }

    #[test]
    fn the_root_logger_names_its_appenders() {
        for (value, appenders) in [
            (None, (true, false)),
            (Some("INFO"), (true, false)),
            (Some("INFO,CONSOLE"), (true, false)),
            (Some("INFO, rollingfile"), (false, true)),
            (Some("INFO,CONSOLE,ROLLINGFILE"), (true, true)),
            (Some("ROLLINGFILE"), (true, false)),
            (Some("INFO,TRACEFILE"), (true, false)),
        ] {
            assert_eq!(appenders_of(value), appenders, "{value:?}");
        }
    }

    #[test]
    fn files_are_put_aside() {
        let directory = std::env::temp_dir().join(format!("oxkeeper-log-{}", std::process::id()));
        let path = directory.join("deep/zookeeper.log");
        let mut file = RollingFile::open(&path, 10, 2).unwrap();
        for line in ["one\n", "two\n", "three\n", "a line that is too long for any file\n", "four\n", "five\n"] {
            file.write(line.as_bytes());
        }
        let read = |suffix: &str| fs::read_to_string(format!("{}{suffix}", path.display())).ok();
        assert_eq!(read("").as_deref(), Some("four\nfive\n"));
        assert_eq!(read(".1").as_deref(), Some("a line that is too long for any file\n"));
        assert_eq!(read(".2").as_deref(), Some("three\n"));
        assert_eq!(read(".3"), None);
        drop(file);
        // A later run goes on where this one ended, and the file comes back when somebody has taken it away.
        let mut file = RollingFile::open(&path, 10, 2).unwrap();
        file.write(b"six\n");
        assert_eq!(read("").as_deref(), Some("six\n"));
        assert_eq!(read(".1").as_deref(), Some("four\nfive\n"));
        fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    fn time_is_local() {
        // Two hours east in summer, one in winter.
        let zone = Zone::named("CET-1CEST,M3.5.0,M10.5.0/3").expect("a rule");
        for (seconds, text) in [
            (1_795_397_940, "2026-11-23 02:39:00,000"),
            (1_782_863_999, "2026-07-01 01:59:59,000"),
            (1_798_757_999, "2026-12-31 23:59:59,000"),
        ] {
            assert_eq!(Timestamp(UNIX_EPOCH + Duration::from_secs(seconds), &zone).to_string(), text);
        }
    }

    #[test]
    fn levels_are_read_as_log4j_writes_them() {
        for (value, level) in [
            (None, LevelFilter::Info),
            (Some("DEBUG,CONSOLE"), LevelFilter::Debug),
            (Some("warn, ROLLINGFILE"), LevelFilter::Warn),
            (Some("ALL"), LevelFilter::Trace),
            (Some("FATAL"), LevelFilter::Error),
            (Some("OFF"), LevelFilter::Off),
            (Some("frobnicate"), LevelFilter::Info),
        ] {
            assert_eq!(level_of(value), level, "{value:?}");
        }
    }
}
