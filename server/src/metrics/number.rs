//! Numbers as Java prints them: doubles, and averages rounded to four places.

use std::fmt;

/// The mean as ZooKeeper reports it: rounded half away from zero at the fourth decimal place of the
/// exact binary value of the quotient; 0 when nothing was counted.
pub fn average(sum: i64, count: u64) -> f64 {
    if count == 0 { 0.0 } else { round_to_four_places(sum as f64 / count as f64) }
}

fn round_to_four_places(value: f64) -> f64 {
    const PLACES: u128 = 10_000;
    let bits = value.abs().to_bits();
    let exponent = ((bits >> 52) & 0x7ff) as i32 - 1075;
    // From 2^52 on a double is a whole number already; infinities and NaN cannot come from a mean.
    if exponent >= 0 {
        return value;
    }
    let mantissa = (bits & ((1 << 52) - 1)) | if bits >> 52 == 0 { 0 } else { 1 << 52 };
    let shift = exponent.unsigned_abs();
    // Twice the scaled value, cut off; adding one and halving rounds half up, exactly.
    let doubled = if shift > 127 { 0 } else { (u128::from(mantissa) * PLACES * 2) >> shift };
    let scaled = doubled.div_ceil(2);
    let text = format!("{}.{:04}", scaled / PLACES, scaled % PLACES);
    text.parse::<f64>().expect("digits, a point, digits").copysign(value)
}

/// Displays a double as Java's `Double.toString` does: shortest digits that read back the same, at
/// least one after the point, `E` notation below 0.001 and from 10,000,000 on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct JavaDouble(pub f64);

impl fmt::Display for JavaDouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.0;
        if value.is_nan() {
            return f.write_str("NaN");
        }
        if value.is_infinite() {
            return f.write_str(if value > 0.0 { "Infinity" } else { "-Infinity" });
        }
        if value == 0.0 || (1e-3..1e7).contains(&value.abs()) {
            return write!(f, "{value:?}");
        }
        let text = format!("{value:e}");
        let (digits, exponent) = text.split_once('e').expect("exponent notation");
        let point = if digits.contains('.') { "" } else { ".0" };
        write!(f, "{digits}{point}E{exponent}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_print_as_java_prints_them() {
        for (value, text) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (12.5714, "12.5714"),
            (0.1625, "0.1625"),
            (100.0, "100.0"),
            (9_999_999.0, "9999999.0"),
            (9_999_999.5, "9999999.5"),
            (1e7, "1.0E7"),
            (12_345_678.9, "1.23456789E7"),
            (1e10, "1.0E10"),
            (1.5e300, "1.5E300"),
            (0.001, "0.001"),
            (0.0038, "0.0038"),
            (0.0009, "9.0E-4"),
            (0.00012, "1.2E-4"),
            (-0.0001, "-1.0E-4"),
            (9.223_372_036_854_776e18, "9.223372036854776E18"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "Infinity"),
            (f64::NEG_INFINITY, "-Infinity"),
        ] {
            assert_eq!(JavaDouble(value).to_string(), text);
        }
    }

    #[test]
    fn averages_round_half_up_at_the_fourth_place() {
        for (sum, count, text) in [
            (0, 0, "0.0"),
            (5, 0, "0.0"),
            (0, 7, "0.0"),
            (88, 7, "12.5714"),
            (7, 1, "7.0"),
            (2, 3, "0.6667"),
            (1, 3, "0.3333"),
            (173, 270, "0.6407"),
            (214, 3, "71.3333"),
            // Exact ties: 1/32 = 0.03125 and 3/32 = 0.09375, where half to even would differ on one.
            (1, 32, "0.0313"),
            (3, 32, "0.0938"),
            (-1, 32, "-0.0313"),
            (1, 20_000, "1.0E-4"),
            (1, 20_001, "0.0"),
            (1, 1_000_000, "0.0"),
            (10_000_000, 1, "1.0E7"),
            (i64::MAX, 1, "9.223372036854776E18"),
            ((1 << 45) + 1, 4, "8.79609302220825E12"),
            (123_456_789, 1000, "123456.789"),
        ] {
            assert_eq!(JavaDouble(average(sum, count)).to_string(), text, "{sum}/{count}");
        }
    }
}
