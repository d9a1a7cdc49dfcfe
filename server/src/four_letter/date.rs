//! Dates: the civil calendar, and text as `java.util.Date.toString` gives it.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use super::zone::Zone;

pub(crate) const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

pub(crate) const WEEKDAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];

/// A moment in the Gregorian calendar, without zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Civil {
    /// Year, negative before year 0.
    pub year: i64,
    /// 1 to 12.
    pub month: u32,
    /// 1 to 31.
    pub day: u32,
    /// 0 to 23.
    pub hour: u32,
    /// 0 to 59.
    pub minute: u32,
    /// 0 to 59.
    pub second: u32,
    /// 0 is Sunday.
    pub weekday: u32,
}

impl Civil {
    /// The moment that lies so many seconds after 1970-01-01 00:00.
    pub fn from_epoch_seconds(seconds: i64) -> Self {
        let (days, rest) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400) as u32);
        // Years that begin in March have their leap day at the end; 400 of them have 146,097 days.
        let from_march = days + 719_468;
        let (era, day_of_era) = (from_march.div_euclid(146_097), from_march.rem_euclid(146_097));
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let march_month = (5 * day_of_year + 2) / 153;
        let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
        Self {
            year: era * 400 + year_of_era + i64::from(month <= 2),
            month: month as u32,
            day: (day_of_year - (153 * march_month + 2) / 5 + 1) as u32,
            hour: rest / 3600,
            minute: rest / 60 % 60,
            second: rest % 60,
            weekday: (days + 4).rem_euclid(7) as u32,
        }
    }
}

/// Displays ms since 1970 as Java prints a `Date`: `Mon Nov 23 01:40:00 UTC 2026`.
pub struct JavaDate<'a> {
    /// Ms since 1970.
    pub epoch_ms: i64,
    /// The zone to print it in.
    pub zone: &'a Zone,
}

impl fmt::Display for JavaDate<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.epoch_ms.div_euclid(1000);
        let (offset_seconds, name) = self.zone.at(seconds);
        let Civil { year, month, day, hour, minute, second, weekday } = Civil::from_epoch_seconds(seconds + i64::from(offset_seconds));
        let (weekday, month) = (WEEKDAYS[weekday as usize], MONTHS[month as usize - 1]);
        write!(f, "{weekday} {month} {day:02} {hour:02}:{minute:02}:{second:02} {name} {year}")
    }
}

/// Displays a time as Java's `DateFormat.getDateTimeInstance()` does in the locale en_US (Java 9 to 19;
/// later ones have a narrow space before AM and PM): `Nov 23, 2026, 1:40:00 AM`.
pub struct JavaDateTime<'a> {
    /// The time.
    pub at: SystemTime,
    /// The zone to print it in.
    pub zone: &'a Zone,
}

impl fmt::Display for JavaDateTime<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() as i64;
        let local = seconds + i64::from(self.zone.offset_seconds(seconds));
        let Civil { year, month, day, hour, minute, second, .. } = Civil::from_epoch_seconds(local);
        let (month, half) = (MONTHS[month as usize - 1], if hour < 12 { "AM" } else { "PM" });
        write!(f, "{month} {day}, {year}, {}:{minute:02}:{second:02} {half}", (hour + 11) % 12 + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_with_halves_of_the_day() {
        for (seconds, text) in [
            (0, "Jan 1, 1970, 12:00:00 AM"),
            (1_795_398_000, "Nov 23, 2026, 1:40:00 AM"),
            (1_795_436_045, "Nov 23, 2026, 12:14:05 PM"),
            (1_795_478_399, "Nov 23, 2026, 11:59:59 PM"),
        ] {
            let at = UNIX_EPOCH + std::time::Duration::from_secs(seconds);
            assert_eq!(JavaDateTime { at, zone: &Zone::utc() }.to_string(), text);
        }
    }

    #[test]
    fn dates_print_as_java_prints_them() {
        for (epoch_ms, text) in [
            (1_795_398_000_123, "Mon Nov 23 01:40:00 UTC 2026"),
            (1_782_000_000_000, "Sun Jun 21 00:00:00 UTC 2026"),
            (4_102_444_800_000, "Fri Jan 01 00:00:00 UTC 2100"),
            (0, "Thu Jan 01 00:00:00 UTC 1970"),
            (-1, "Wed Dec 31 23:59:59 UTC 1969"),
            (1_709_164_800_000, "Thu Feb 29 00:00:00 UTC 2024"),
        ] {
            assert_eq!(JavaDate { epoch_ms, zone: &Zone::utc() }.to_string(), text);
        }
    }

    #[test]
    fn every_day_of_eight_centuries_follows_the_one_before() {
        let mut before = Civil::from_epoch_seconds(-86_400 * 200_000);
        for day in -199_999..100_000 {
            let next = Civil::from_epoch_seconds(day * 86_400);
            assert_eq!(next.weekday, (before.weekday + 1) % 7);
            let same_month = (next.year, next.month, next.day) == (before.year, before.month, before.day + 1);
            let new_month = (next.year, next.month, next.day) == (before.year, before.month + 1, 1) && before.day >= 28;
            let new_year = (next.year, next.month, next.day) == (before.year + 1, 1, 1) && (before.month, before.day) == (12, 31);
            assert!(same_month || new_month || new_year, "{before:?} {next:?}");
            before = next;
        }
    }
}
