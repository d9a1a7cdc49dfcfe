//! The kinds of values that options have, and how each is read from text.
//!
//! Whether a value makes sense beside others is for [`super`] to say.

/// What texts an option takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// `Integer.parseInt` or `Long.parseLong`: decimal, from `min` to `max`.
    Int {
        /// Smallest value allowed.
        min: i64,
        /// Largest value allowed.
        max: i64,
    },
    /// `Integer.getInteger` or `Long.getLong`: decimal, or hexadecimal after `0x` or `#`, or octal after `0`.
    JavaInt {
        /// Smallest value allowed.
        min: i64,
        /// Largest value allowed.
        max: i64,
    },
    /// A decimal fraction.
    Real {
        /// Smallest value allowed.
        min: f64,
        /// Largest value allowed.
        max: f64,
    },
    /// true or false in any case; Java, too, refuses others.
    StrictBool,
    /// true or false in any case. Java takes everything else for false, we refuse it.
    Bool,
    /// yes or no, in lower case as Java compares them.
    YesNo,
    /// One of these, in any case.
    Choice(&'static [&'static str]),
    /// Plain digits are hours; or a number with ms, s, m, h or d.
    HoursOrDuration,
    /// A file or directory.
    Path,
    /// A host name or address.
    Host,
    /// The name of a Java class.
    Class,
    /// Words separated by commas.
    List,
    /// Any text.
    Text,
    /// Any text that must not be shown.
    Secret,
}

/// A value that was read.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// From `Int` and `JavaInt`.
    Int(i64),
    /// From `Real`.
    Real(f64),
    /// From the kinds of booleans; yes is true.
    Bool(bool),
    /// From `HoursOrDuration`, in ms.
    DurationMs(i64),
    /// From `List`: trimmed, empty ones left out.
    List(Vec<String>),
    /// From the rest; a choice as the row spells it.
    Text(String),
}

impl Kind {
    /// Reads a trimmed text; `None` if it is not allowed.
    #[must_use]
    pub fn parse(self, text: &str) -> Option<Value> {
        match self {
            Kind::Int { min, max } => decimal(text).filter(|value| (min..=max).contains(value)).map(Value::Int),
            Kind::JavaInt { min, max } => decode(text).filter(|value| (min..=max).contains(value)).map(Value::Int),
            Kind::Real { min, max } => {
                text.parse().ok().filter(|value: &f64| value.is_finite() && (min..=max).contains(value)).map(Value::Real)
            }
            Kind::StrictBool | Kind::Bool => match text {
                _ if text.eq_ignore_ascii_case("true") => Some(Value::Bool(true)),
                _ if text.eq_ignore_ascii_case("false") => Some(Value::Bool(false)),
                _ => None,
            },
            Kind::YesNo => match text {
                "yes" => Some(Value::Bool(true)),
                "no" => Some(Value::Bool(false)),
                _ => None,
            },
            Kind::Choice(choices) => {
                choices.iter().find(|choice| choice.eq_ignore_ascii_case(text)).map(|&choice| Value::Text(choice.to_owned()))
            }
            Kind::HoursOrDuration => duration_ms(text).map(Value::DurationMs),
            Kind::Path | Kind::Class => (!text.is_empty()).then(|| Value::Text(text.to_owned())),
            Kind::Host => (!text.is_empty() && !text.contains(char::is_whitespace)).then(|| Value::Text(text.to_owned())),
            Kind::List => {
                Some(Value::List(text.split(',').map(super::properties::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect()))
            }
            Kind::Text | Kind::Secret => Some(Value::Text(text.to_owned())),
        }
    }

    /// What is allowed, in words.
    #[must_use]
    pub fn allowed(self) -> String {
        match self {
            Kind::Int { min, max } if min == max => min.to_string(),
            Kind::Int { min, max } => format!("integer{}", range(min, max)),
            Kind::JavaInt { min, max } => format!("integer, also 0x...{}", range(min, max)),
            Kind::Real { min, max } if min == f64::MIN && max == f64::MAX => "number".to_owned(),
            Kind::Real { min, max } => format!("number from {min} to {max}"),
            Kind::StrictBool | Kind::Bool => "true, false".to_owned(),
            Kind::YesNo => "yes, no".to_owned(),
            Kind::Choice(choices) => {
                choices.iter().map(|choice| if choice.is_empty() { "(empty)" } else { choice }).collect::<Vec<_>>().join(", ")
            }
            Kind::HoursOrDuration => "integer with ms, s, m, h, d, or hours".to_owned(),
            Kind::Path => "path".to_owned(),
            Kind::Host => "host name or address".to_owned(),
            Kind::Class => "class name".to_owned(),
            Kind::List => "comma list".to_owned(),
            Kind::Text => "text".to_owned(),
            Kind::Secret => "text, never logged".to_owned(),
        }
    }

    /// Whether ` # comment` behind such a value can only be a mistake that is safe to mend. Not so with
    /// yes and no: for Java `skipACL=yes # x` is not yes, and mending it would open the server.
    #[must_use]
    pub fn tail_is_comment(self) -> bool {
        matches!(self, Kind::Int { .. } | Kind::JavaInt { .. } | Kind::Real { .. } | Kind::StrictBool | Kind::Bool | Kind::HoursOrDuration)
    }
}

/// What stands before a blank and `#`, without the blanks; `None` if there is no such tail.
#[must_use]
pub fn before_comment(text: &str) -> Option<&str> {
    let tail = text.match_indices('#').find(|&(index, _)| text[..index].ends_with([' ', '\t', '\x0c']))?.0;
    Some(super::properties::trim(&text[..tail]))
}

fn range(min: i64, max: i64) -> String {
    let low = min <= i64::from(i32::MIN);
    match max {
        // Rows without a bound of their own have Java's.
        _ if low && max >= i64::from(i32::MAX) => String::new(),
        _ if max >= i64::from(i32::MAX) => format!(" from {min}"),
        _ if low => format!(" up to {max}"),
        _ => format!(" from {min} to {max}"),
    }
}

/// An optional sign and ASCII digits, as `Long.parseLong`.
fn decimal(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    // Rust's parse takes the same signs; Java also takes digits of other scripts, we do not.
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

/// As `Long.decode`.
fn decode(text: &str) -> Option<i64> {
    let (negative, rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (radix, digits) =
        if let Some(digits) = rest.strip_prefix("0x").or_else(|| rest.strip_prefix("0X")).or_else(|| rest.strip_prefix('#')) {
            (16, digits)
        } else if rest.len() > 1 && rest.starts_with('0') {
            (8, &rest[1..])
        } else {
            (10, rest)
        };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    let magnitude = i128::from(u64::from_str_radix(digits, radix).ok()?);
    i64::try_from(if negative { -magnitude } else { magnitude }).ok()
}

/// The rule of ZooKeeper 3.10 for autopurge.purgeInterval; 3.9 takes hours only.
fn duration_ms(text: &str) -> Option<i64> {
    const HOUR_MS: i64 = 3_600_000;
    if let Some(hours) = decimal(text) {
        return hours.checked_mul(HOUR_MS);
    }
    [("ms", 1), ("s", 1000), ("m", 60_000), ("h", HOUR_MS), ("d", 24 * HOUR_MS)]
        .into_iter()
        .find_map(|(suffix, unit_ms)| decimal(text.strip_suffix(suffix)?)?.checked_mul(unit_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_each_kind() {
        let port = Kind::Int { min: 0, max: 65535 };
        let java = Kind::JavaInt { min: -10, max: 0xf_ffff };
        let ratio = Kind::Real { min: 0.0, max: 1.0 };
        let method = Kind::Choice(&["", "gz"]);
        let text = |text: &str| Some(Value::Text(text.to_owned()));
        for (kind, written, expected) in [
            (port, "2181", Some(Value::Int(2181))),
            (port, "+1", Some(Value::Int(1))),
            (port, "65536", None),
            (port, "-1", None),
            (port, "", None),
            (port, "+", None),
            (port, "0x10", None),
            (port, "2181 # x", None),
            (port, "99999999999999999999", None),
            (java, "0xfffff", Some(Value::Int(1_048_575))),
            (java, "#10", Some(Value::Int(16))),
            (java, "010", Some(Value::Int(8))),
            (java, "-0x9", Some(Value::Int(-9))),
            (java, "0", Some(Value::Int(0))),
            (java, "08", None),
            (java, "0x", None),
            (java, "--1", None),
            (java, "0x+1", None),
            (java, "0x100000", None),
            (ratio, "0.02", Some(Value::Real(0.02))),
            (ratio, "1.1", None),
            (ratio, "NaN", None),
            (Kind::StrictBool, "TRUE", Some(Value::Bool(true))),
            (Kind::StrictBool, "yes", None),
            (Kind::Bool, "False", Some(Value::Bool(false))),
            (Kind::Bool, "1", None),
            (Kind::YesNo, "no", Some(Value::Bool(false))),
            (Kind::YesNo, "NO", None),
            (Kind::YesNo, "false", None),
            (method, "GZ", text("gz")),
            (method, "", text("")),
            (method, "zip", None),
            (Kind::HoursOrDuration, "24", Some(Value::DurationMs(86_400_000))),
            (Kind::HoursOrDuration, "30m", Some(Value::DurationMs(1_800_000))),
            (Kind::HoursOrDuration, "1d", Some(Value::DurationMs(86_400_000))),
            (Kind::HoursOrDuration, "500ms", Some(Value::DurationMs(500))),
            (Kind::HoursOrDuration, "-1", Some(Value::DurationMs(-3_600_000))),
            (Kind::HoursOrDuration, "1w", None),
            (Kind::HoursOrDuration, "m", None),
            (Kind::HoursOrDuration, "9223372036854775807", None),
            (Kind::Path, "", None),
            (Kind::Path, "/a b", text("/a b")),
            (Kind::Host, "a b", None),
            (Kind::Host, "::1", text("::1")),
            (Kind::List, " a, b,,c ", Some(Value::List(["a", "b", "c"].map(String::from).into()))),
            (Kind::Text, "", text("")),
        ] {
            assert_eq!(kind.parse(written), expected, "{kind:?} from {written:?}");
        }
    }

    #[test]
    fn finds_a_comment_behind_a_value() {
        for (text, expected) in [
            ("2181 # port", Some("2181")),
            ("2181\t#", Some("2181")),
            ("2181  ## a # b", Some("2181")),
            ("2181#port", None),
            ("a#b #c", Some("a#b")),
            ("2181", None),
            ("# x", None),
        ] {
            assert_eq!(before_comment(text), expected, "{text:?}");
        }
    }
}
