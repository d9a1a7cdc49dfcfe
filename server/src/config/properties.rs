//! A reader of `java.util.Properties` text that keeps line numbers.
//!
//! zoo.cfg and the dynamic configuration file are read with `Properties.load(InputStream)`, so this
//! follows that method's rules (JDK 17), checked against the real one by the vectors in
//! `compat-tests/vectors/config`. It knows nothing of options: what a key means is said by
//! [`super::table`].

use std::fmt;

/// One `key = value` of a file, in file order; a key may occur more than once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key with its escapes resolved, not trimmed.
    pub key: String,
    /// The value with its escapes resolved, not trimmed.
    pub value: String,
    /// Number of the line on which the entry begins, from 1.
    pub line: usize,
}

/// The text is one that `Properties.load` refuses. The only such case is a bad `\uXXXX`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PropertiesError {
    /// Number of the line on which the broken entry begins, from 1.
    pub line: usize,
}

impl fmt::Display for PropertiesError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "malformed \\uXXXX escape: four hexadecimal digits must follow \\u")
    }
}

impl std::error::Error for PropertiesError {}

/// Reads the whole text. Bytes are ISO-8859-1, as Java takes them. Half surrogate pairs, which a
/// Java string may hold and ours may not, become U+FFFD.
///
/// # Errors
/// A `\u` escape without four hexadecimal digits.
pub fn parse(text: &[u8]) -> Result<Vec<Entry>, PropertiesError> {
    let mut lines = LogicalLines { text, position: 0, line: 1 };
    let mut units = Vec::new();
    let mut entries = Vec::new();
    while let Some(line) = lines.next_into(&mut units) {
        let (key_end, value_start) = split(&units);
        let broken = || PropertiesError { line };
        entries.push(Entry {
            key: unescape(&units[..key_end]).ok_or_else(broken)?,
            value: unescape(&units[value_start..]).ok_or_else(broken)?,
            line,
        });
    }
    Ok(entries)
}

/// `String.trim()` of Java: cuts every character up to U+0020 from both ends, control characters
/// included, and no other kind of blank.
#[must_use]
pub fn trim(text: &str) -> &str {
    text.trim_matches(|character| character <= ' ')
}

/// Joins continued lines, leaves out comments and blank lines.
struct LogicalLines<'a> {
    text: &'a [u8],
    position: usize,
    line: usize,
}

impl LogicalLines<'_> {
    /// Fills `logical` with the bytes of the next entry (escapes still in it) and returns the number
    /// of its first line; `None` at the end of the text.
    fn next_into(&mut self, logical: &mut Vec<u8>) -> Option<usize> {
        logical.clear();
        let mut skip_blanks = true;
        let mut continued = false;
        let mut after_backslash = false;
        let mut first_line = self.line;
        while let Some(&byte) = self.text.get(self.position) {
            self.position += 1;
            let last_byte = self.position == self.text.len();
            if byte == b'\n' || byte == b'\r' {
                if byte == b'\r' && self.text.get(self.position) == Some(&b'\n') {
                    self.position += 1;
                }
                self.line += 1;
            }
            if skip_blanks {
                if matches!(byte, b' ' | b'\t' | b'\x0c') {
                    continue;
                }
                if !continued && matches!(byte, b'\r' | b'\n') {
                    continue;
                }
                skip_blanks = false;
                continued = false;
            }
            if logical.is_empty() {
                if matches!(byte, b'#' | b'!') {
                    self.skip_comment();
                    skip_blanks = true;
                    continue;
                }
                first_line = self.line;
            }
            if byte != b'\n' && byte != b'\r' {
                logical.push(byte);
                after_backslash = byte == b'\\' && !after_backslash;
            } else if logical.is_empty() {
                skip_blanks = true;
            } else if after_backslash {
                logical.pop();
                if last_byte {
                    // Java sees the end of the file before it sees the continuation, and so makes an
                    // entry of `\` alone; after `\` CR LF it does not.
                    return Some(first_line);
                }
                skip_blanks = true;
                continued = true;
                after_backslash = false;
            } else {
                return Some(first_line);
            }
        }
        if logical.is_empty() {
            return None;
        }
        if after_backslash {
            logical.pop();
        }
        Some(first_line)
    }

    /// Moves behind the end of the current physical line.
    fn skip_comment(&mut self) {
        while let Some(&byte) = self.text.get(self.position) {
            self.position += 1;
            if byte == b'\n' || byte == b'\r' {
                if byte == b'\r' && self.text.get(self.position) == Some(&b'\n') {
                    self.position += 1;
                }
                self.line += 1;
                return;
            }
        }
    }
}

/// Where the key ends and where the value begins. The separator is one `=` or `:` with blanks on
/// either side, or blanks alone.
fn split(logical: &[u8]) -> (usize, usize) {
    let mut after_backslash = false;
    let mut key_end = logical.len();
    for (index, &byte) in logical.iter().enumerate() {
        if !after_backslash && matches!(byte, b'=' | b':' | b' ' | b'\t' | b'\x0c') {
            key_end = index;
            break;
        }
        after_backslash = byte == b'\\' && !after_backslash;
    }
    let mut value_start = key_end;
    let mut separated = false;
    while let Some(&byte) = logical.get(value_start) {
        match byte {
            b' ' | b'\t' | b'\x0c' => {}
            b'=' | b':' if !separated => separated = true,
            _ => break,
        }
        value_start += 1;
    }
    (key_end, value_start)
}

/// Resolves escapes; `None` for a malformed `\u`.
fn unescape(escaped: &[u8]) -> Option<String> {
    if !escaped.contains(&b'\\') {
        return Some(escaped.iter().map(|&byte| char::from(byte)).collect());
    }
    let mut units: Vec<u16> = Vec::with_capacity(escaped.len());
    let mut bytes = escaped.iter().copied();
    while let Some(byte) = bytes.next() {
        if byte != b'\\' {
            units.push(u16::from(byte));
            continue;
        }
        match bytes.next() {
            None => break,
            Some(b'u') => {
                let mut unit = 0;
                for _ in 0..4 {
                    let digit = char::from(bytes.next()?).to_digit(16)?;
                    unit = unit << 4 | u16::try_from(digit).ok()?;
                }
                units.push(unit);
            }
            Some(b't') => units.push(u16::from(b'\t')),
            Some(b'n') => units.push(u16::from(b'\n')),
            Some(b'r') => units.push(u16::from(b'\r')),
            Some(b'f') => units.push(0x0c),
            Some(other) => units.push(u16::from(other)),
        }
    }
    Some(String::from_utf16_lossy(&units))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_know_the_line_on_which_they_begin() {
        let text = b"# one\n\na=1\r\nb=\\\r\n   2\n!c\n\\\n\\\nd=\\\n\\\n3\r\re=5";
        let found: Vec<_> = parse(text).unwrap().into_iter().map(|entry| (entry.key, entry.value, entry.line)).collect();
        let expected = [("a", "1", 3), ("b", "2", 4), ("d", "3", 9), ("e", "5", 13)];
        assert_eq!(found, expected.map(|(key, value, line)| (key.into(), value.into(), line)));
    }

    #[test]
    fn a_broken_escape_names_its_line() {
        assert_eq!(parse(b"a=1\nb=\\u12g4\n"), Err(PropertiesError { line: 2 }));
        assert_eq!(parse(b"a=1\n\nb\\u12=4\n"), Err(PropertiesError { line: 3 }));
    }

    #[test]
    fn trims_as_java_does() {
        for (text, trimmed) in [(" a ", "a"), ("\u{1}\ta b\u{b}\n", "a b"), ("\u{a0}a\u{a0}", "\u{a0}a\u{a0}"), (" ", "")] {
            assert_eq!(trim(text), trimmed, "{text:?}");
        }
    }
}
