//! The local time zone: compiled zone files (TZif, RFC 9636) with the rule in their last line, and `TZ`.

use std::path::Path;

use super::date::Civil;

/// Where zones are kept on every system that we run on.
const ZONES: &str = "/usr/share/zoneinfo";

/// A time zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone {
    /// From these seconds since 1970 on, the kind of time at this index; ascending.
    changes: Vec<(i64, usize)>,
    /// Kinds of time; the first holds before the first change. Never empty.
    kinds: Vec<Kind>,
    /// What holds after the last change.
    rule: Option<Rule>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Kind {
    /// East of Greenwich.
    offset_seconds: i32,
    name: String,
}

impl Zone {
    /// Coordinated universal time.
    pub fn utc() -> Self {
        Self { changes: Vec::new(), kinds: vec![Kind { offset_seconds: 0, name: "UTC".to_owned() }], rule: None }
    }

    /// That of the process: `TZ` (a name, a file, or a POSIX rule), else `/etc/localtime`, else UTC.
    pub fn local() -> Self {
        let named = match std::env::var("TZ") {
            Ok(name) => Self::named(name.strip_prefix(':').unwrap_or(&name)),
            Err(_) => std::fs::read("/etc/localtime").ok().and_then(|file| Self::from_file(&file)),
        };
        named.unwrap_or_else(Self::utc)
    }

    /// A zone as `TZ` names it.
    pub(crate) fn named(name: &str) -> Option<Self> {
        if name.is_empty() {
            return Some(Self::utc());
        }
        // An absolute name replaces the directory.
        let file = std::fs::read(Path::new(ZONES).join(name)).ok();
        file.and_then(|file| Self::from_file(&file)).or_else(|| Rule::parse(name).map(Self::from_rule))
    }

    fn from_rule(rule: Rule) -> Self {
        Self { changes: Vec::new(), kinds: vec![rule.standard.clone()], rule: Some(rule) }
    }

    /// Reads a compiled zone; `None` if it is not one.
    fn from_file(file: &[u8]) -> Option<Self> {
        let (first, after) = Block::read(file, 4)?;
        if file[4] < b'2' {
            return first.zone(None);
        }
        let (second, rest) = Block::read(after, 8)?;
        let rule = rest.strip_prefix(b"\n")?.split(|byte| *byte == b'\n').next()?;
        second.zone(std::str::from_utf8(rule).ok().and_then(Rule::parse))
    }

    /// Seconds east of Greenwich, and the zone's short name as Java gives it, at a time in seconds since
    /// 1970. Zones whose data has a number for a name print as `GMT-03:00`; Java has names of its own for
    /// some of them.
    pub fn at(&self, epoch_seconds: i64) -> (i32, String) {
        let kind = self.kind(epoch_seconds);
        if kind.name.starts_with(['+', '-']) {
            let (sign, minutes) = (if kind.offset_seconds < 0 { '-' } else { '+' }, kind.offset_seconds.unsigned_abs() / 60);
            return (kind.offset_seconds, format!("GMT{sign}{:02}:{:02}", minutes / 60, minutes % 60));
        }
        (kind.offset_seconds, kind.name.clone())
    }

    /// Seconds east of Greenwich at a time in seconds since 1970. Allocates nothing.
    pub fn offset_seconds(&self, epoch_seconds: i64) -> i32 {
        self.kind(epoch_seconds).offset_seconds
    }

    fn kind(&self, epoch_seconds: i64) -> &Kind {
        let passed = self.changes.partition_point(|(from, _)| *from <= epoch_seconds);
        match (&self.rule, passed) {
            (Some(rule), _) if passed == self.changes.len() => rule.at(epoch_seconds),
            (_, 0) => &self.kinds[0],
            _ => &self.kinds[self.changes[passed - 1].1],
        }
    }
}

/// One data block of a compiled zone.
struct Block<'a> {
    times: &'a [u8],
    time_size: usize,
    indices: &'a [u8],
    kinds: &'a [u8],
    names: &'a [u8],
}

impl<'a> Block<'a> {
    /// The block and what follows it. Sizes in the header are checked against the bytes at hand.
    fn read(bytes: &'a [u8], time_size: usize) -> Option<(Self, &'a [u8])> {
        let (header, rest) = bytes.split_at_checked(44)?;
        if !header.starts_with(b"TZif") {
            return None;
        }
        let count = |index: usize| u32::from_be_bytes(header[20 + 4 * index..][..4].try_into().expect("four bytes")) as usize;
        let [ut, standard, leaps, times, kinds, names] = [0, 1, 2, 3, 4, 5].map(count);
        let (time_bytes, rest) = rest.split_at_checked(times.checked_mul(time_size)?)?;
        let (index_bytes, rest) = rest.split_at_checked(times)?;
        let (kind_bytes, rest) = rest.split_at_checked(kinds.checked_mul(6)?)?;
        let (name_bytes, rest) = rest.split_at_checked(names)?;
        let skipped = leaps.checked_mul(time_size + 4)?.checked_add(standard)?.checked_add(ut)?;
        let (_, rest) = rest.split_at_checked(skipped)?;
        Some((Self { times: time_bytes, time_size, indices: index_bytes, kinds: kind_bytes, names: name_bytes }, rest))
    }

    fn zone(&self, rule: Option<Rule>) -> Option<Zone> {
        let kinds: Vec<Kind> = self
            .kinds
            .chunks_exact(6)
            .map(|kind| {
                let name = self.names.get(usize::from(kind[5])..)?.split(|byte| *byte == 0).next()?;
                Some(Kind {
                    offset_seconds: i32::from_be_bytes(kind[..4].try_into().expect("four bytes")),
                    name: std::str::from_utf8(name).ok()?.to_owned(),
                })
            })
            .collect::<Option<_>>()?;
        let changes: Vec<(i64, usize)> = self
            .times
            .chunks_exact(self.time_size)
            .zip(self.indices)
            .map(|(time, index)| {
                let seconds = match time.try_into() {
                    Ok(eight) => i64::from_be_bytes(eight),
                    Err(_) => i64::from(i32::from_be_bytes(time.try_into().expect("four bytes"))),
                };
                (seconds, usize::from(*index))
            })
            .collect();
        let sound = !kinds.is_empty() && changes.iter().all(|(_, index)| *index < kinds.len());
        sound.then_some(Zone { changes, kinds, rule })
    }
}

/// A POSIX rule: `CET-1CEST,M3.5.0,M10.5.0/3`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    standard: Kind,
    summer: Option<(Kind, Change, Change)>,
}

/// When summer time begins or ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Change {
    day: Day,
    /// After local midnight.
    seconds: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Day {
    /// 1 to 365, 29 February never counted.
    Julian(i64),
    /// 0 to 365.
    OfYear(i64),
    /// Month, week (5 is the last), weekday (0 is Sunday).
    Of(i64, i64, i64),
}

impl Rule {
    fn parse(text: &str) -> Option<Self> {
        let (name, text) = name(text)?;
        let (west, text) = time(text)?;
        let standard = Kind { offset_seconds: -(west as i32), name };
        if text.is_empty() {
            return Some(Self { standard, summer: None });
        }
        let (name, text) = self::name(text)?;
        let (offset_seconds, text) = match time(text) {
            Some((west, text)) => (-(west as i32), text),
            None => (standard.offset_seconds + 3600, text),
        };
        // Without dates, those of the United States, as the C library has it.
        let dates = if text.is_empty() { ",M3.2.0,M11.1.0" } else { text };
        let mut changes = dates.strip_prefix(',')?.split(',').map(Change::parse);
        let (begin, end) = (changes.next()??, changes.next()??);
        if changes.next().is_some() {
            return None;
        }
        Some(Self { standard, summer: Some((Kind { offset_seconds, name }, begin, end)) })
    }

    fn at(&self, epoch_seconds: i64) -> &Kind {
        let Some((summer, begin, end)) = &self.summer else { return &self.standard };
        let year = Civil::from_epoch_seconds(epoch_seconds + i64::from(self.standard.offset_seconds)).year;
        let begin = begin.in_year(year) - i64::from(self.standard.offset_seconds);
        let end = end.in_year(year) - i64::from(summer.offset_seconds);
        let is_summer = if begin < end { (begin..end).contains(&epoch_seconds) } else { !(end..begin).contains(&epoch_seconds) };
        if is_summer { summer } else { &self.standard }
    }
}

impl Change {
    fn parse(text: &str) -> Option<Self> {
        let (day, seconds) = match text.split_once('/') {
            Some((day, at)) => (day, time(at).filter(|(_, rest)| rest.is_empty())?.0),
            None => (text, 7200),
        };
        let day = if let Some(month) = day.strip_prefix('M') {
            let mut parts = month.split('.').map(|part| part.parse::<i64>().ok());
            let (month, week, weekday) = (parts.next()??, parts.next()??, parts.next()??);
            let sound = (1..=12).contains(&month) && (1..=5).contains(&week) && (0..=6).contains(&weekday);
            sound.then_some(Day::Of(month, week, weekday))?
        } else if let Some(day) = day.strip_prefix('J') {
            Day::Julian(day.parse().ok().filter(|day| (1..=365).contains(day))?)
        } else {
            Day::OfYear(day.parse().ok().filter(|day| (0..=365).contains(day))?)
        };
        Some(Self { day, seconds })
    }

    /// Seconds since 1970 as if the local clock were UTC.
    fn in_year(self, year: i64) -> i64 {
        let first = days(year, 1);
        let day = match self.day {
            Day::OfYear(day) => first + day,
            Day::Julian(day) => first + day - 1 + i64::from(day > 59 && days(year, 3) - first == 60),
            Day::Of(month, week, weekday) => {
                let start = days(year, month);
                let next = if month == 12 { days(year + 1, 1) } else { days(year, month + 1) };
                // 1 January 1970 was a Thursday.
                let found = start + (weekday - (start + 4)).rem_euclid(7) + 7 * (week - 1);
                if found >= next { found - 7 } else { found }
            }
        };
        day * 86_400 + self.seconds
    }
}

/// Days from 1970-01-01 to the first of a month.
fn days(year: i64, month: i64) -> i64 {
    let (year, march_month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + (153 * march_month + 2) / 5 - 719_468
}

/// A zone's name, `CET` or `<-03>`, and the rest.
fn name(text: &str) -> Option<(String, &str)> {
    if let Some(quoted) = text.strip_prefix('<') {
        let (name, rest) = quoted.split_once('>')?;
        return Some((name.to_owned(), rest));
    }
    let end = text.find(|character: char| !character.is_ascii_alphabetic()).unwrap_or(text.len());
    (end >= 3).then(|| (text[..end].to_owned(), &text[end..]))
}

/// `[+-]h[:m[:s]]` in seconds, and the rest.
fn time(text: &str) -> Option<(i64, &str)> {
    let end = text.find(|character: char| !matches!(character, '0'..='9' | ':' | '+' | '-')).unwrap_or(text.len());
    let (time, rest) = text.split_at(end);
    let (sign, digits) = match time.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, time.strip_prefix('+').unwrap_or(time)),
    };
    let mut seconds = 0;
    for (part, unit) in digits.split(':').zip([3600, 60, 1]) {
        seconds += part.parse::<u16>().ok().map(i64::from)? * unit;
    }
    Some((sign * seconds, rest))
}

#[cfg(test)]
mod tests {
    use super::super::date::JavaDate;
    use super::*;

    /// Times whose text a Java 17 gave for each zone.
    const TIMES_MS: [i64; 3] = [1_795_398_000_123, 1_782_000_000_000, 4_102_444_800_000];

    fn texts(zone: &Zone) -> [String; 3] {
        TIMES_MS.map(|epoch_ms| JavaDate { epoch_ms, zone }.to_string())
    }

    #[test]
    fn rules_give_what_java_gives() {
        for (rule, expected) in [
            ("UTC0", ["Mon Nov 23 01:40:00 UTC 2026", "Sun Jun 21 00:00:00 UTC 2026", "Fri Jan 01 00:00:00 UTC 2100"]),
            (
                "CET-1CEST,M3.5.0,M10.5.0/3",
                ["Mon Nov 23 02:40:00 CET 2026", "Sun Jun 21 02:00:00 CEST 2026", "Fri Jan 01 01:00:00 CET 2100"],
            ),
            ("EST5EDT,M3.2.0,M11.1.0", ["Sun Nov 22 20:40:00 EST 2026", "Sat Jun 20 20:00:00 EDT 2026", "Thu Dec 31 19:00:00 EST 2099"]),
            ("EST5EDT", ["Sun Nov 22 20:40:00 EST 2026", "Sat Jun 20 20:00:00 EDT 2026", "Thu Dec 31 19:00:00 EST 2099"]),
            ("IST-5:30", ["Mon Nov 23 07:10:00 IST 2026", "Sun Jun 21 05:30:00 IST 2026", "Fri Jan 01 05:30:00 IST 2100"]),
            (
                "AEST-10AEDT,M10.1.0,M4.1.0/3",
                ["Mon Nov 23 12:40:00 AEDT 2026", "Sun Jun 21 10:00:00 AEST 2026", "Fri Jan 01 11:00:00 AEDT 2100"],
            ),
            ("<-03>3", ["Sun Nov 22 22:40:00 GMT-03:00 2026", "Sat Jun 20 21:00:00 GMT-03:00 2026", "Thu Dec 31 21:00:00 GMT-03:00 2099"]),
        ] {
            assert_eq!(texts(&Zone::from_rule(Rule::parse(rule).expect(rule))), expected, "{rule}");
        }
        for wrong in ["", "X", "CET", "CET-1CEST,M13.1.0,M10.5.0", "CET-1CEST,M3.5.0", "CET-1CEST,M3.5.0,M10.5.0,J1", "C1T0"] {
            assert_eq!(Rule::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn summer_time_begins_and_ends_at_its_second() {
        let berlin = Zone::from_rule(Rule::parse("CET-1CEST,M3.5.0,M10.5.0/3").unwrap());
        // 2026-03-29 01:00 UTC and 2026-10-25 01:00 UTC.
        for (change, before, after) in [(1_774_746_000, 3600, 7200), (1_792_890_000, 7200, 3600)] {
            assert_eq!(berlin.at(change - 1).0, before);
            assert_eq!(berlin.at(change).0, after);
        }
    }

    /// A compiled zone of version 2: one kind in the old block, two kinds and one change in the new.
    fn compiled(rule: &str) -> Vec<u8> {
        let block = |times: &[i64], kinds: &[(i32, u8)], names: &[u8], time_size: usize| {
            let mut bytes = b"TZif2".to_vec();
            bytes.resize(20, 0);
            for count in [0, 0, 0, times.len(), kinds.len(), names.len()] {
                bytes.extend((count as u32).to_be_bytes());
            }
            times.iter().for_each(|time| bytes.extend(&time.to_be_bytes()[8 - time_size..]));
            (0..times.len()).for_each(|_| bytes.push(1));
            for (offset, name) in kinds {
                bytes.extend(offset.to_be_bytes());
                bytes.extend([0, *name]);
            }
            bytes.extend(names);
            bytes
        };
        let mut file = block(&[], &[(0, 0)], b"UTC\0", 4);
        file.extend(block(&[1_000_000], &[(1172, 0), (3600, 4)], b"LMT\0CET\0", 8));
        file.extend(format!("\n{rule}\n").bytes());
        file
    }

    #[test]
    fn compiled_zones_are_read() {
        let zone = Zone::from_file(&compiled("CET-1CEST,M3.5.0,M10.5.0/3")).expect("a zone");
        assert_eq!(zone.at(999_999), (1172, "LMT".to_owned()));
        assert_eq!(zone.at(1_000_000), (3600, "CET".to_owned()));
        assert_eq!(zone.at(1_782_000_000), (7200, "CEST".to_owned()));
        let fixed = Zone::from_file(&compiled("")).expect("a zone");
        assert_eq!(fixed.at(1_782_000_000), (3600, "CET".to_owned()));
    }

    #[test]
    fn damaged_zones_are_refused_and_never_read_out_of_bounds() {
        let file = compiled("CET-1CEST,M3.5.0,M10.5.0/3");
        for length in 0..file.len() {
            let _ = Zone::from_file(&file[..length]).map(|zone| zone.at(0));
        }
        for place in 0..file.len() {
            for value in [0, 1, 0x7f, 0xff] {
                let mut damaged = file.clone();
                damaged[place] = value;
                let _ = Zone::from_file(&damaged).map(|zone| zone.at(2_000_000));
            }
        }
        assert_eq!(Zone::from_file(b"TZif"), None);
        assert_eq!(Zone::from_file(b""), None);
    }
}
