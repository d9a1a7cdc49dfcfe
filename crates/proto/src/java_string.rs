//! Strings as Java reads and writes them.
//!
//! Reading: valid UTF-8 is taken as it is; a malformed sequence becomes one U+FFFD where Java's
//! decoder gives one (Rust's own lossy decoder splits differently). Writing: each UTF-16 code unit
//! is encoded for itself, so a character beyond U+FFFF becomes two sequences of three bytes (CESU-8).

use std::borrow::Cow;

/// What Java's `new String(bytes, UTF_8)` holds.
#[inline]
pub fn decode(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(decode_malformed(bytes)),
    }
}

/// The bytes that ZooKeeper's string writer gives.
#[inline]
pub fn encode(text: &str) -> Cow<'_, [u8]> {
    // Only four-byte sequences differ, and they begin with 0xf0 or more.
    if text.is_ascii() || text.bytes().all(|b| b < 0xf0) {
        return Cow::Borrowed(text.as_bytes());
    }
    let mut out = Vec::with_capacity(text.len() * 3 / 2);
    let mut units = [0; 2];
    for c in text.chars() {
        if (c as u32) < 0x1_0000 {
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        } else {
            for unit in c.encode_utf16(&mut units) {
                out.push(0xe0 | (*unit >> 12) as u8);
                out.push(0x80 | (*unit >> 6 & 0x3f) as u8);
                out.push(0x80 | (*unit & 0x3f) as u8);
            }
        }
    }
    Cow::Owned(out)
}

/// What one step of the decoder found.
enum Step {
    /// A character and how many bytes it took.
    Character(char, usize),
    /// A malformed sequence of that many bytes.
    Malformed(usize),
    /// A sequence that the end cuts off: it takes all that is left.
    CutOff,
}

fn decode_malformed(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() + 8);
    let mut rest = bytes;
    while !rest.is_empty() {
        match step(rest) {
            Step::Character(c, taken) => {
                out.push(c);
                rest = &rest[taken..];
            }
            Step::Malformed(taken) => {
                out.push(char::REPLACEMENT_CHARACTER);
                rest = &rest[taken..];
            }
            Step::CutOff => {
                out.push(char::REPLACEMENT_CHARACTER);
                break;
            }
        }
    }
    out
}

fn is_continuation(byte: u8) -> bool {
    byte & 0xc0 == 0x80
}

/// The second byte of a three-byte sequence makes it overlong, or is no continuation.
fn second_of_three_is_wrong(first: u8, second: u8) -> bool {
    (first == 0xe0 && second & 0xe0 == 0x80) || !is_continuation(second)
}

/// The second byte of a four-byte sequence puts it outside U+10000..U+10FFFF, or is no continuation.
fn second_of_four_is_wrong(first: u8, second: u8) -> bool {
    (first == 0xf0 && !(0x90..=0xbf).contains(&second)) || (first == 0xf4 && second & 0xf0 != 0x80) || !is_continuation(second)
}

fn step(bytes: &[u8]) -> Step {
    let first = bytes[0];
    match first {
        0x00..=0x7f => Step::Character(char::from(first), 1),
        0xc2..=0xdf => match bytes.get(1) {
            None => Step::CutOff,
            Some(second) if is_continuation(*second) => character(bytes, 2),
            Some(_) => Step::Malformed(1),
        },
        0xe0..=0xef => match (bytes.get(1), bytes.get(2)) {
            (Some(second), _) if second_of_three_is_wrong(first, *second) => Step::Malformed(1),
            (Some(_), Some(third)) if is_continuation(*third) => character(bytes, 3),
            (Some(_), Some(_)) => Step::Malformed(2),
            _ => Step::CutOff,
        },
        0xf0..=0xf7 => match (bytes.get(1), bytes.get(2), bytes.get(3)) {
            _ if first > 0xf4 => Step::Malformed(1),
            (Some(second), _, _) if second_of_four_is_wrong(first, *second) => Step::Malformed(1),
            (_, Some(third), _) if !is_continuation(*third) => Step::Malformed(2),
            (_, _, Some(fourth)) if is_continuation(*fourth) => character(bytes, 4),
            (_, _, Some(_)) => Step::Malformed(3),
            _ => Step::CutOff,
        },
        _ => Step::Malformed(1),
    }
}

/// A sequence of the right form; an encoded surrogate is malformed as a whole.
fn character(bytes: &[u8], length: usize) -> Step {
    match std::str::from_utf8(&bytes[..length]).ok().and_then(|s| s.chars().next()) {
        Some(c) => Step::Character(c, length),
        None => Step::Malformed(length),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn supplementary_characters_are_written_as_two_surrogates() {
        assert_eq!(&*encode("a\u{1F600}b"), b"a\xed\xa0\xbd\xed\xb8\x80b");
        assert!(matches!(encode("/plain \u{ffff}"), Cow::Borrowed(_)));
    }

    #[test]
    fn malformed_bytes_become_what_java_gives() {
        for (bytes, expected) in [
            (&b"\xed\xa0\x80"[..], "\u{fffd}"),
            (b"\xed\xa0\xbd\xed\xb8\x80", "\u{fffd}\u{fffd}"),
            (b"\xc0\x80", "\u{fffd}\u{fffd}"),
            (b"\xe2\x82", "\u{fffd}"),
            (b"\xe2\x82x", "\u{fffd}x"),
            (b"\xf0\x9f\x98", "\u{fffd}"),
            (b"\xf5\x80\x80\x80", "\u{fffd}\u{fffd}\u{fffd}\u{fffd}"),
            (b"a\xffb", "a\u{fffd}b"),
        ] {
            assert_eq!(decode(bytes), expected, "{bytes:x?}");
        }
    }
}
