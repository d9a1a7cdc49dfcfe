//! The log: lines to standard error in the layout of ZooKeeper's logback.xml.
//!
//! `2026-11-23 01:39:00,123 [myid:1] - INFO  [main:server@42] - message`, with the thread's name, and the last
//! word of the Rust module in place of the Java class. Time is UTC. Control characters in messages are
//! escaped, so that nothing that a client sends can forge a line. Which messages there are is not decided
//! here.

use std::fmt;
use std::io;
use std::time::{SystemTime, UNIX_EPOCH};

use log::{LevelFilter, Record};

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
    builder.target(env_logger::Target::Stderr);
    builder.format(move |out, record| {
        let thread = std::thread::current();
        write_line(out, SystemTime::now(), &my_id, thread.name().unwrap_or("unnamed"), record)
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
fn write_line(out: &mut impl io::Write, at: SystemTime, my_id: &str, thread: &str, record: &Record<'_>) -> io::Result<()> {
    let module = record.module_path().unwrap_or_default();
    let module = module.rsplit("::").next().unwrap_or(module);
    write!(
        out,
        "{} [myid:{my_id}] - {:<5} [{}:{module}@{}] - ",
        Timestamp(at),
        record.level(),
        Escaped(format_args!("{thread}")),
        record.line().unwrap_or(0),
    )?;
    writeln!(out, "{}", Escaped(*record.args()))
}

/// `2026-11-23 01:39:00,123`, UTC.
struct Timestamp(SystemTime);

impl fmt::Display for Timestamp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A clock before 1970 is shown as 1970.
        let since = self.0.duration_since(UNIX_EPOCH).unwrap_or_default();
        let seconds = since.as_secs();
        let (year, month, day) = civil(seconds / 86_400);
        let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
        write!(formatter, "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02},{:03}", since.subsec_millis())
    }
}

/// Year, month and day of a day counted from 1970-01-01, in the Gregorian calendar. Years are counted from
/// March, so that the leap day is the last one.
fn civil(day: u64) -> (u64, u64, u64) {
    const DAYS_OF_400_YEARS: u64 = 146_097;
    // From 0000-03-01 to 1970-01-01.
    let day = day + 719_468;
    let era = day / DAYS_OF_400_YEARS;
    let day_of_era = day % DAYS_OF_400_YEARS;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // Months from March: 31, 30, 31, 30, 31 days, and again; five of them have 153.
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day_of_month)
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

/// Control characters, and those that terminals and viewers take for a line's end or for a change of
/// direction.
fn breaks_lines(character: char) -> bool {
    character.is_control() || matches!(character, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
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
            ("tab\there\u{7f}", "tab\\there\\u{7f}"),
        ] {
            let line = line(0, "", "a\nb", Level::Warn, message);
            assert!(line.ends_with(&format!("[a\\nb:build@42] - {shown}\n")), "{line:?}");
            assert_eq!(line.matches('\n').count(), 1);
        }
    }

    #[test]
    fn days_become_dates() {
        for (day, date) in [
            (0, (1970, 1, 1)),
            (58, (1970, 2, 28)),
            (59, (1970, 3, 1)),
            (11_016, (2000, 2, 29)),
            (11_017, (2000, 3, 1)),
            (19_722, (2023, 12, 31)),
            (19_782, (2024, 2, 29)),
            (47_540, (2100, 2, 28)),
            (47_541, (2100, 3, 1)),
        ] {
            assert_eq!(civil(day), date, "{day}");
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
