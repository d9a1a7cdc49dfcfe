//! Jute: big-endian primitives, and strings, buffers and vectors behind a length or count.

use crate::java_string;
use std::borrow::Cow;
use std::fmt;

/// Why bytes are not the record that they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JuteError {
    /// The bytes end before the record does.
    EndOfInput,
    /// A length that is negative (and not -1) or beyond the limit.
    UnreasonableLength(i32),
}

impl fmt::Display for JuteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JuteError::EndOfInput => write!(f, "the bytes end within a record"),
            JuteError::UnreasonableLength(length) => write!(f, "Unreasonable length = {length}"),
        }
    }
}

impl std::error::Error for JuteError {}

/// The default of `jute.maxbuffer`, bytes.
pub const DEFAULT_MAX_BUFFER: i32 = 0xf_ffff;
/// What Java accepts for one string or buffer: `jute.maxbuffer` and as much again, bytes.
pub const DEFAULT_MAX_LENGTH: i32 = 2 * DEFAULT_MAX_BUFFER;

/// Something that has jute bytes.
pub trait Record<'a>: Sized {
    /// Reads one; trailing bytes are left alone.
    ///
    /// # Errors
    /// When the bytes end early or hold an unreasonable length.
    fn read(r: &mut Reader<'a>) -> Result<Self, JuteError>;

    /// Appends its bytes.
    fn write(&self, out: &mut Vec<u8>);

    /// Its bytes alone.
    fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(&mut out);
        out
    }
}

/// Reads primitives from bytes.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
    max_length: i32,
}

impl<'a> Reader<'a> {
    /// A reader with the default limit for strings and buffers.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self::with_max_length(bytes, DEFAULT_MAX_LENGTH)
    }

    /// A reader that refuses strings and buffers of more than `max_length` bytes.
    pub fn with_max_length(bytes: &'a [u8], max_length: i32) -> Self {
        Self { rest: bytes, max_length }
    }

    /// What has not been read yet.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Takes `n` bytes as they are.
    ///
    /// # Errors
    /// When fewer are left.
    #[inline]
    pub fn bytes(&mut self, n: usize) -> Result<&'a [u8], JuteError> {
        if n > self.rest.len() {
            return Err(JuteError::EndOfInput);
        }
        let (taken, rest) = self.rest.split_at(n);
        self.rest = rest;
        Ok(taken)
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], JuteError> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(JuteError::EndOfInput)?;
        self.rest = rest;
        Ok(*taken)
    }

    /// One byte.
    ///
    /// # Errors
    /// When none is left.
    #[inline]
    pub fn byte(&mut self) -> Result<u8, JuteError> {
        Ok(self.array::<1>()?[0])
    }

    /// One byte; everything but 0 is true.
    ///
    /// # Errors
    /// When none is left.
    #[inline]
    pub fn boolean(&mut self) -> Result<bool, JuteError> {
        Ok(self.byte()? != 0)
    }

    /// Four bytes.
    ///
    /// # Errors
    /// When fewer are left.
    #[inline]
    pub fn int(&mut self) -> Result<i32, JuteError> {
        Ok(i32::from_be_bytes(self.array()?))
    }

    /// Eight bytes.
    ///
    /// # Errors
    /// When fewer are left.
    #[inline]
    pub fn long(&mut self) -> Result<i64, JuteError> {
        Ok(i64::from_be_bytes(self.array()?))
    }

    /// A length and as many bytes; null is a length of -1.
    ///
    /// # Errors
    /// When the bytes end early or the length is unreasonable.
    #[inline]
    pub fn buffer(&mut self) -> Result<Option<&'a [u8]>, JuteError> {
        let length = self.int()?;
        if length == -1 {
            return Ok(None);
        }
        if length < 0 || length > self.max_length {
            return Err(JuteError::UnreasonableLength(length));
        }
        self.bytes(length as usize).map(Some)
    }

    /// A string as Java reads it: what is not UTF-8 becomes U+FFFD.
    ///
    /// # Errors
    /// As [`Reader::buffer`].
    #[inline]
    pub fn ustring(&mut self) -> Result<Option<Cow<'a, str>>, JuteError> {
        Ok(self.buffer()?.map(java_string::decode))
    }

    /// A count and as many elements; null is a count of -1. No memory is taken for a count that
    /// the bytes do not bear out.
    ///
    /// # Errors
    /// The first error of an element.
    pub fn vector<T>(&mut self, mut element: impl FnMut(&mut Self) -> Result<T, JuteError>) -> Result<Option<Vec<T>>, JuteError> {
        let count = self.int()?;
        if count == -1 {
            return Ok(None);
        }
        let mut elements = Vec::new();
        for _ in 0..count {
            elements.push(element(self)?);
        }
        Ok(Some(elements))
    }
}

/// Appends primitives to bytes.
pub trait Write {
    /// One byte, 0 or 1.
    fn boolean(&mut self, value: bool);
    /// Four bytes.
    fn int(&mut self, value: i32);
    /// Eight bytes.
    fn long(&mut self, value: i64);
    /// A length and bytes.
    fn buffer(&mut self, value: Option<&[u8]>);
    /// A length and a string as Java writes it (CESU-8).
    fn ustring(&mut self, value: Option<&str>);
    /// A count and elements.
    fn vector<T>(&mut self, value: Option<&[T]>, element: impl FnMut(&mut Self, &T));
}

impl Write for Vec<u8> {
    #[inline]
    fn boolean(&mut self, value: bool) {
        self.push(u8::from(value));
    }

    #[inline]
    fn int(&mut self, value: i32) {
        self.extend_from_slice(&value.to_be_bytes());
    }

    #[inline]
    fn long(&mut self, value: i64) {
        self.extend_from_slice(&value.to_be_bytes());
    }

    #[inline]
    fn buffer(&mut self, value: Option<&[u8]>) {
        match value {
            None => self.int(-1),
            Some(bytes) => {
                self.int(length(bytes.len()));
                self.extend_from_slice(bytes);
            }
        }
    }

    #[inline]
    fn ustring(&mut self, value: Option<&str>) {
        match value {
            None => self.int(-1),
            Some(text) => {
                let encoded = java_string::encode(text);
                self.int(length(encoded.len()));
                self.extend_from_slice(&encoded);
            }
        }
    }

    fn vector<T>(&mut self, value: Option<&[T]>, mut element: impl FnMut(&mut Self, &T)) {
        match value {
            None => self.int(-1),
            Some(elements) => {
                self.int(length(elements.len()));
                for e in elements {
                    element(self, e);
                }
            }
        }
    }
}

/// Lengths come from frames, nodes and counts that were bounded at the door.
#[inline]
fn length(n: usize) -> i32 {
    i32::try_from(n).expect("no record holds 2 GiB")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_and_empty_are_different() {
        let mut out = Vec::new();
        out.buffer(None);
        out.buffer(Some(b""));
        out.ustring(None);
        out.ustring(Some(""));
        let mut r = Reader::new(&out);
        assert_eq!(r.buffer(), Ok(None));
        assert_eq!(r.buffer(), Ok(Some(&b""[..])));
        assert_eq!(r.ustring(), Ok(None));
        assert_eq!(r.ustring(), Ok(Some("".into())));
        assert!(r.rest().is_empty());
    }

    #[test]
    fn lengths_are_checked_before_bytes_are_taken() {
        for (length, expected) in [
            (-2, JuteError::UnreasonableLength(-2)),
            (DEFAULT_MAX_LENGTH + 1, JuteError::UnreasonableLength(DEFAULT_MAX_LENGTH + 1)),
            (DEFAULT_MAX_LENGTH, JuteError::EndOfInput),
        ] {
            let bytes = i32::to_be_bytes(length);
            assert_eq!(Reader::new(&bytes).buffer(), Err(expected));
        }
    }

    #[test]
    fn a_vector_that_announces_too_much_fails_when_the_bytes_end() {
        let bytes = i32::MAX.to_be_bytes();
        assert_eq!(Reader::new(&bytes).vector(Reader::long), Err(JuteError::EndOfInput));
        let negative = (-7i32).to_be_bytes();
        assert_eq!(Reader::new(&negative).vector(Reader::long), Ok(Some(vec![])));
    }
}
