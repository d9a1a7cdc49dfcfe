//! JSON as Jackson's default pretty printer lays it out, which is what ZooKeeper's AdminServer sends: objects
//! a member a line, indented by two blanks; arrays on one line. What is written is the caller's affair.

use std::fmt::{self, Write as _};

use crate::metrics::JavaDouble;

/// Writes one value.
#[derive(Default)]
pub struct Json {
    text: String,
    /// For each open object or array: whether it has a member yet.
    open: Vec<(Kind, bool)>,
    /// A key was written and its value is next.
    keyed: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Object,
    Array,
}

impl Json {
    /// The text; complete when everything that was begun has ended.
    #[must_use]
    pub fn into_text(self) -> String {
        debug_assert!(self.open.is_empty());
        self.text
    }

    /// Bytes so far.
    #[must_use]
    pub fn length_bytes(&self) -> usize {
        self.text.len()
    }

    /// An object with what `fill` writes into it.
    pub fn object(&mut self, fill: impl FnOnce(&mut Self)) {
        self.nested(Kind::Object, fill);
    }

    /// An array with what `fill` writes into it.
    pub fn array(&mut self, fill: impl FnOnce(&mut Self)) {
        self.nested(Kind::Array, fill);
    }

    fn nested(&mut self, kind: Kind, fill: impl FnOnce(&mut Self)) {
        self.begin_value();
        self.text.push(if kind == Kind::Object { '{' } else { '[' });
        self.open.push((kind, false));
        fill(self);
        let (_, has_members) = self.open.pop().expect("pushed above");
        match kind {
            Kind::Object if has_members => self.new_line(),
            _ => self.text.push(' '),
        }
        self.text.push(if kind == Kind::Object { '}' } else { ']' });
    }

    /// The key of the next value, in an object.
    pub fn key(&mut self, key: impl fmt::Display) -> &mut Self {
        let (kind, has_members) = self.open.last_mut().expect("in an object");
        debug_assert!(*kind == Kind::Object && !self.keyed);
        if std::mem::replace(has_members, true) {
            self.text.push(',');
        }
        self.new_line();
        self.quote(&key.to_string());
        self.text.push_str(" : ");
        self.keyed = true;
        self
    }

    /// A text.
    pub fn text(&mut self, text: &str) {
        self.begin_value();
        self.quote(text);
    }

    /// A whole number.
    pub fn integer(&mut self, number: impl Into<i128>) {
        self.begin_value();
        let _ = write!(self.text, "{}", number.into());
    }

    /// A decimal, as Java prints a double; those that are no numbers become texts.
    pub fn decimal(&mut self, number: f64) {
        if number.is_finite() {
            self.begin_value();
            let _ = write!(self.text, "{}", JavaDouble(number));
        } else {
            self.text(&JavaDouble(number).to_string());
        }
    }

    /// true or false.
    pub fn boolean(&mut self, value: bool) {
        self.begin_value();
        self.text.push_str(if value { "true" } else { "false" });
    }

    /// null.
    pub fn null(&mut self) {
        self.begin_value();
        self.text.push_str("null");
    }

    fn begin_value(&mut self) {
        if std::mem::take(&mut self.keyed) {
            return;
        }
        if let Some((kind, has_members)) = self.open.last_mut() {
            debug_assert!(*kind == Kind::Array, "a value in an object has a key");
            self.text.push_str(if std::mem::replace(has_members, true) { ", " } else { " " });
        }
    }

    /// Arrays do not indent what is in them.
    fn new_line(&mut self) {
        let depth = self.open.iter().filter(|(kind, _)| *kind == Kind::Object).count();
        self.text.push('\n');
        self.text.extend(std::iter::repeat_n("  ", depth));
    }

    fn quote(&mut self, text: &str) {
        self.text.push('"');
        for character in text.chars() {
            match character {
                '"' => self.text.push_str("\\\""),
                '\\' => self.text.push_str("\\\\"),
                '\u{8}' => self.text.push_str("\\b"),
                '\t' => self.text.push_str("\\t"),
                '\n' => self.text.push_str("\\n"),
                '\u{c}' => self.text.push_str("\\f"),
                '\r' => self.text.push_str("\\r"),
                control if control < ' ' => {
                    let _ = write!(self.text, "\\u{:04X}", u32::from(control));
                }
                other => self.text.push(other),
            }
        }
        self.text.push('"');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout_is_that_of_jackson() {
        let mut json = Json::default();
        json.object(|json| {
            json.key("empty").array(|_| {});
            json.key("none").object(|_| {});
            json.key("numbers").array(|json| [1, -2].into_iter().for_each(|number| json.integer(number)));
            json.key("connections").array(|json| {
                for address in ["a", "b"] {
                    json.object(|json| {
                        json.key("address").text(address);
                        json.key("deep").object(|json| json.key("x").decimal(11.0));
                    });
                }
            });
            json.key("nan").decimal(f64::NAN);
            json.key("large").decimal(1e10);
            json.key("error").null();
        });
        // The layout of what AdminServer 3.9.5 sends for `connections` and `monitor`.
        assert_eq!(
            json.into_text(),
            "{\n  \"empty\" : [ ],\n  \"none\" : { },\n  \"numbers\" : [ 1, -2 ],\n  \"connections\" : [ {\n    \"address\" : \"a\",\n    \
             \"deep\" : {\n      \"x\" : 11.0\n    }\n  }, {\n    \"address\" : \"b\",\n    \"deep\" : {\n      \"x\" : 11.0\n    }\n  } ],\n  \
             \"nan\" : \"NaN\",\n  \"large\" : 1.0E10,\n  \"error\" : null\n}"
        );
    }

    #[test]
    fn texts_are_escaped() {
        let mut json = Json::default();
        json.text("a\"b\\c/\u{8}\t\n\u{c}\r\u{1b}\u{0}é<script>\u{7f}");
        assert_eq!(json.into_text(), "\"a\\\"b\\\\c/\\b\\t\\n\\f\\r\\u001B\\u0000é<script>\u{7f}\"");
    }
}
