//! The log: lines to standard error in the layout of ZooKeeper's logback.xml.
//!
//! `2026-11-23 01:39:00,123 [myid:1] - INFO  [main:server@42] - message`, with the thread's name, and the last
//! word of the Rust module in place of the Java class. Time is that of the local zone, as Java's. Control characters in messages are
//! escaped, so that nothing that a client sends can forge a line. Which messages there are is not decided
//! here.

use std::fmt;
use std::io;
use std::time::{SystemTime, UNIX_EPOCH};

use log::{LevelFilter, Record};

use crate::four_letter::date::Civil;
use crate::four_letter::zone::Zone;

/// Starts the log. `RUST_LOG` decides the level; without it `root_logger`, the value of
/// `-Dzookeeper.root.logger` (`DEBUG,CONSOLE`: a level and names that have no meaning here); without
/// either it is INFO. A second call does nothing.
pub fn start(root_logger: Option<&str>, my_id: Option<i64>) {
    let mut builder = env_logger::Builder::new();
    match std::env::var("RUST_LOG") {
        Ok(filter) if !filter.is_empty() => builder.parse_filters(&filter),
        _ => builder.filter_level(level_of(root_logger)),
    };
    let my_id = my_id.map_or(String::new(), |my_id| my_id.to_string());
    let zone = Zone::local();
    builder.target(env_logger::Target::Stderr);
    builder.format(move |out, record| {
        let thread = std::thread::current();
        write_line(out, SystemTime::now(), &zone, &my_id, thread.name().unwrap_or("unnamed"), record)
    });
    // Only fails if a logger is there already, and then that one stays.
    let _ = builder.try_init();
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

/// `2026-11-23 01:39:00,123`, in this zone.
struct Timestamp<'a>(SystemTime, &'a Zone);

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
    use log::Level;
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
