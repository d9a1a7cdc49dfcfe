//! Options as Java's tools understand them: the rules of commons-cli's DefaultParser, and its complaints.
//!
//! `-dv` is `-d -v`, `-z5` and `-z=5` are `-z 5`, `--rec` is `--recover` where nothing else begins so, `--` ends the
//! options, and what is no option may stand anywhere.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// One option of a tool.
#[derive(Clone, Copy, Debug)]
pub struct CliOption {
    /// The letter after one hyphen.
    pub short: char,
    /// The name after two.
    pub long: &'static str,
    /// The name of its value, for help; `None` takes no value.
    pub value: Option<&'static str>,
    /// Whether it must be given.
    pub required: bool,
    /// What it does, for help.
    pub about: &'static str,
}

/// What was given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parsed {
    given: BTreeMap<char, Option<String>>,
    /// What is no option.
    pub arguments: Vec<String>,
}

impl Parsed {
    /// Whether an option was given.
    pub fn has(&self, short: char) -> bool {
        self.given.contains_key(&short)
    }

    /// The value that was given first.
    pub fn value(&self, short: char) -> Option<&str> {
        self.given.get(&short)?.as_deref()
    }
}

/// Reads arguments.
///
/// # Errors
/// The complaint, as commons-cli words it.
pub fn parse(options: &[CliOption], arguments: &[String]) -> Result<Parsed, String> {
    let mut parser = Parser { options, parsed: Parsed::default(), open: None };
    let mut rest = arguments.iter();
    while let Some(token) = rest.next() {
        if let Some(option) = parser.open.filter(|_| !parser.is_option(token) || is_negative_number(token)) {
            parser.set_value(option, unquoted(token));
        } else if token == "--" {
            parser.parsed.arguments.extend(rest.by_ref().cloned());
        } else if let Some(name) = token.strip_prefix("--") {
            parser.long(token, name)?;
        } else if token.starts_with('-') && token.len() > 1 {
            parser.short(token)?;
        } else {
            parser.unknown(token)?;
        }
    }
    parser.require_value()?;
    let missing: Vec<String> = options
        .iter()
        .filter(|option| option.required && !parser.parsed.has(option.short))
        .map(|option| option.short.to_string())
        .collect();
    match missing.len() {
        0 => Ok(parser.parsed),
        1 => Err(format!("Missing required option: {}", missing[0])),
        _ => Err(format!("Missing required options: {}", missing.join(", "))),
    }
}

/// The help of a tool.
pub fn help(usage: &str, options: &[CliOption]) -> String {
    let left = |option: &CliOption| {
        let value = option.value.map_or(String::new(), |value| format!(" <{value}>"));
        format!(" -{},--{}{value}", option.short, option.long)
    };
    let mut sorted: Vec<&CliOption> = options.iter().collect();
    sorted.sort_by_key(|option| option.short);
    let width = sorted.iter().map(|option| left(option).len()).max().unwrap_or(0);
    let mut text = format!("usage: {usage}\n");
    for option in sorted {
        let _ = writeln!(text, "{:width$}   {}", left(option), option.about);
    }
    text
}

struct Parser<'a> {
    options: &'a [CliOption],
    parsed: Parsed,
    /// An option that waits for its value.
    open: Option<&'a CliOption>,
}

impl<'a> Parser<'a> {
    fn of_letter(&self, letter: char) -> Option<&'a CliOption> {
        self.options.iter().find(|option| option.short == letter)
    }

    /// Options whose long name is this, or else begins with it.
    fn matching(&self, name: &str) -> Vec<&'a CliOption> {
        if let Some(exact) = self.options.iter().find(|option| option.long == name) {
            return vec![exact];
        }
        if name.is_empty() {
            return Vec::new();
        }
        self.options.iter().filter(|option| option.long.starts_with(name)).collect()
    }

    fn is_option(&self, token: &str) -> bool {
        let Some(name) = token.strip_prefix('-').filter(|name| !name.is_empty()) else { return false };
        let name = name.strip_prefix('-').unwrap_or(name);
        let before = name.split('=').next().unwrap_or(name);
        !self.matching(before).is_empty() || (!token.starts_with("--") && name.chars().next().is_some_and(|c| self.of_letter(c).is_some()))
    }

    fn require_value(&self) -> Result<(), String> {
        match self.open {
            Some(option) => Err(format!("Missing argument for option: {}", option.short)),
            None => Ok(()),
        }
    }

    fn option(&mut self, option: &'a CliOption) -> Result<(), String> {
        self.require_value()?;
        if option.value.is_some() && self.parsed.value(option.short).is_none() {
            self.open = Some(option);
        }
        self.parsed.given.entry(option.short).or_insert(None);
        Ok(())
    }

    fn set_value(&mut self, option: &CliOption, value: &str) {
        self.open = None;
        self.parsed.given.insert(option.short, Some(value.to_owned()));
    }

    /// An option with `=value`, if it takes one.
    fn option_with_value(&mut self, token: &str, option: &'a CliOption, value: &str) -> Result<(), String> {
        if option.value.is_none() {
            return self.unknown(token);
        }
        self.option(option)?;
        self.set_value(option, value);
        Ok(())
    }

    fn unknown(&mut self, token: &str) -> Result<(), String> {
        if token.starts_with('-') && token.len() > 1 {
            return Err(format!("Unrecognized option: {token}"));
        }
        self.parsed.arguments.push(token.to_owned());
        Ok(())
    }

    fn one_of(&self, token: &str, found: &[&'a CliOption]) -> Result<Option<&'a CliOption>, String> {
        match found {
            [] => Ok(None),
            [one] => Ok(Some(one)),
            several => {
                let names: Vec<String> = several.iter().map(|option| format!("'{}'", option.long)).collect();
                Err(format!("Ambiguous option: '{token}'  (could be: {})", names.join(", ")))
            }
        }
    }

    fn long(&mut self, token: &str, name: &str) -> Result<(), String> {
        match name.split_once('=') {
            None => match self.one_of(token, &self.matching(name))? {
                Some(option) => self.option(option),
                None => self.unknown(token),
            },
            Some((before, value)) => {
                let shown = format!("--{before}");
                match self.one_of(&shown, &self.matching(before))? {
                    Some(option) => self.option_with_value(token, option, value),
                    None => self.unknown(token),
                }
            }
        }
    }

    fn short(&mut self, token: &str) -> Result<(), String> {
        let name = &token[1..];
        let mut letters = name.chars();
        let first = letters.next().expect("longer than the hyphen");
        if letters.next().is_none() {
            return match self.of_letter(first) {
                Some(option) => self.option(option),
                None => self.unknown(token),
            };
        }
        if let Some((before, value)) = name.split_once('=') {
            let mut letters = before.chars();
            if let (Some(letter), None) = (letters.next(), letters.next()) {
                return match self.of_letter(letter) {
                    Some(option) => self.option_with_value(token, option, value),
                    None => self.unknown(token),
                };
            }
            return match self.one_of(&format!("-{before}"), &self.matching(before))? {
                Some(option) => self.option_with_value(token, option, value),
                None => self.unknown(token),
            };
        }
        if let Some(option) = self.one_of(token, &self.matching(name))? {
            return self.option(option);
        }
        for (at, letter) in name.char_indices() {
            let Some(option) = self.of_letter(letter) else { return self.unknown(token) };
            self.option(option)?;
            let rest = &name[at + letter.len_utf8()..];
            if self.open.is_some() && !rest.is_empty() {
                self.set_value(option, rest);
                break;
            }
        }
        Ok(())
    }
}

fn is_negative_number(token: &str) -> bool {
    token.parse::<f64>().is_ok()
}

fn unquoted(token: &str) -> &str {
    token.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).filter(|inner| !inner.contains('"')).unwrap_or(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: &[CliOption] = &[
        CliOption { short: 'd', long: "dump", value: None, required: false, about: "" },
        CliOption { short: 'v', long: "verbose", value: None, required: false, about: "" },
        CliOption { short: 'z', long: "zxid", value: Some("arg"), required: false, about: "" },
        CliOption { short: 'r', long: "zeal", value: None, required: false, about: "" },
    ];

    fn run(arguments: &[&str]) -> Result<(String, Option<String>, Vec<String>), String> {
        let arguments: Vec<String> = arguments.iter().map(|&argument| argument.to_owned()).collect();
        let parsed = parse(OPTIONS, &arguments)?;
        let given = OPTIONS.iter().filter(|option| parsed.has(option.short)).map(|option| option.short).collect();
        Ok((given, parsed.value('z').map(str::to_owned), parsed.arguments))
    }

    #[test]
    fn options_are_read_as_commons_cli_does() {
        let ok = |given: &str, value: Option<&str>, arguments: &[&str]| {
            Ok((given.to_owned(), value.map(str::to_owned), arguments.iter().map(|&argument| argument.to_owned()).collect()))
        };
        for (arguments, expected) in [
            (&["file"][..], ok("", None, &["file"])),
            (&["-dv", "file", "-z", "5"], ok("dvz", Some("5"), &["file"])),
            (&["-z5", "a"], ok("z", Some("5"), &["a"])),
            (&["-z=5", "--dump"], ok("dz", Some("5"), &[])),
            (&["--zxid=0x5", "-verb"], ok("vz", Some("0x5"), &[])),
            (&["-z", "-5"], ok("z", Some("-5"), &[])),
            (&["--", "-d"], ok("", None, &["-d"])),
            (&["-"], ok("", None, &["-"])),
            (&["-q", "f"], Err("Unrecognized option: -q".to_owned())),
            (&["--none"], Err("Unrecognized option: --none".to_owned())),
            (&["-z"], Err("Missing argument for option: z".to_owned())),
            (&["-z", "-d"], Err("Missing argument for option: z".to_owned())),
            (&["--z", "1"], Err("Ambiguous option: '--z'  (could be: 'zxid', 'zeal')".to_owned())),
        ] {
            assert_eq!(run(arguments), expected, "{arguments:?}");
        }
    }
}
