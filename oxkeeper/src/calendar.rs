//! Times as Java prints them, in the zone of the user; and times as users write them.

use oxkeeper_server::four_letter::date::{Civil, JavaDate};
use oxkeeper_server::four_letter::zone::Zone;
use oxkeeper_tools::Calendar;

/// The zone of the user.
pub struct Local(Zone);

impl Local {
    pub fn new() -> Self {
        Self(Zone::local())
    }

    fn civil(&self, epoch_ms: i64) -> (Civil, String) {
        let seconds = epoch_ms.div_euclid(1000);
        let (offset_seconds, name) = self.0.at(seconds);
        (Civil::from_epoch_seconds(seconds + i64::from(offset_seconds)), name)
    }
}

/// `3:45:32 AM`.
fn twelve_hours(civil: &Civil) -> String {
    let half = if civil.hour < 12 { "AM" } else { "PM" };
    format!("{}:{:02}:{:02} {half}", (civil.hour + 11) % 12 + 1, civil.minute, civil.second)
}

impl Calendar for Local {
    fn date(&self, epoch_ms: i64) -> String {
        JavaDate { epoch_ms, zone: &self.0 }.to_string()
    }

    fn short_date_long_time(&self, epoch_ms: i64) -> String {
        let (civil, zone) = self.civil(epoch_ms);
        format!("{}/{}/{:02}, {} {zone}", civil.month, civil.day, civil.year.rem_euclid(100), twelve_hours(&civil))
    }

    fn medium(&self, epoch_ms: i64) -> String {
        const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        let (civil, _) = self.civil(epoch_ms);
        format!("{} {}, {}, {}", MONTHS[civil.month as usize - 1], civil.day, civil.year, twelve_hours(&civil))
    }
}

/// Reads `2026-11-23T03:45:32Z` (or a blank for the T, a fraction of a second, `+01:00`; without a zone, the user's), or
/// milliseconds since 1970. `None` for anything else.
pub fn parse_time_ms(text: &str, local: &Local) -> Option<i64> {
    if text.len() > 10 && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().ok();
    }
    let number = |range: std::ops::Range<usize>| -> Option<i64> {
        let digits = text.get(range)?;
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
    };
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    if text.get(4..5)? != "-" || text.get(7..8)? != "-" || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let (mut hour, mut minute, mut second, mut fraction_ms) = (0, 0, 0, 0);
    let mut rest = text.get(10..)?;
    if !rest.is_empty() {
        if !matches!(text.as_bytes()[10], b'T' | b't' | b' ') || text.get(13..14)? != ":" {
            return None;
        }
        (hour, minute) = (number(11..13)?, number(14..16)?);
        rest = text.get(16..)?;
        if rest.starts_with(':') {
            second = number(17..19)?;
            rest = text.get(19..)?;
        }
        if let Some(fraction) = rest.strip_prefix('.') {
            let digits: String = fraction.chars().take_while(char::is_ascii_digit).collect();
            rest = &fraction[digits.len()..];
            fraction_ms = format!("{digits:0<3}").get(..3)?.parse().ok()?;
        }
    }
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    // Days before a month in a year that begins in March.
    let (from_march, year) = if month > 2 { (month - 3, year) } else { (month + 9, year - 1) };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * from_march + 2) / 5 + day - 1;
    let days = era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468;
    let seconds = days * 86_400 + hour * 3600 + minute * 60 + second;
    let offset_seconds = match rest.as_bytes() {
        [] => {
            // The offset in force then; asked twice, since it depends on the answer.
            let guess = i64::from(local.0.offset_seconds(seconds));
            i64::from(local.0.offset_seconds(seconds - guess))
        }
        b"Z" | b"z" => 0,
        [sign @ (b'+' | b'-'), zone @ ..] => {
            let digits: String = std::str::from_utf8(zone).ok()?.chars().filter(|c| *c != ':').collect();
            if digits.len() != 4 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                return None;
            }
            let offset = digits[..2].parse::<i64>().ok()? * 3600 + digits[2..].parse::<i64>().ok()? * 60;
            if *sign == b'-' { -offset } else { offset }
        }
        _ => return None,
    };
    Some((seconds - offset_seconds) * 1000 + fraction_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_printed_as_java_prints_them() {
        let calendar = Local(Zone::utc());
        for (epoch_ms, date, short, medium) in [
            (0, "Thu Jan 01 00:00:00 UTC 1970", "1/1/70, 12:00:00 AM UTC", "Jan 1, 1970, 12:00:00 AM"),
            (1_795_405_532_999, "Mon Nov 23 03:45:32 UTC 2026", "11/23/26, 3:45:32 AM UTC", "Nov 23, 2026, 3:45:32 AM"),
            (1_795_437_000_000, "Mon Nov 23 12:30:00 UTC 2026", "11/23/26, 12:30:00 PM UTC", "Nov 23, 2026, 12:30:00 PM"),
        ] {
            assert_eq!(calendar.date(epoch_ms), date);
            assert_eq!(calendar.short_date_long_time(epoch_ms), short);
            assert_eq!(calendar.medium(epoch_ms), medium);
        }
    }

    #[test]
    fn times_are_read_as_users_write_them() {
        let local = Local(Zone::utc());
        for (text, expected) in [
            ("1970-01-01", Some(0)),
            ("1795405532999", Some(1_795_405_532_999)),
            ("2026-11-23T03:45:32Z", Some(1_795_405_532_000)),
            ("2026-11-23 03:45:32.5", Some(1_795_405_532_500)),
            ("2026-11-23T04:45:32+01:00", Some(1_795_405_532_000)),
            ("2026-11-22T22:15:32-0530", Some(1_795_405_532_000)),
            ("2024-02-29T00:00", Some(1_709_164_800_000)),
            ("yesterday", None),
            ("2026-13-01", None),
            ("2026-11-23T25:00", None),
            ("2026-11-23T03:45:32Zulu", None),
            ("", None),
        ] {
            assert_eq!(parse_time_ms(text, &local), expected, "{text}");
        }
    }
}
