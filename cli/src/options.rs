//! Options of a command, read as Apache Commons CLI 1.5 (`DefaultParser`) reads them, since zkCli's users and scripts
//! rely on what that allows: options anywhere after the command, `-sw` for `-s -w`, `-v3`, `-v=3`, `--` as their end, a
//! negative number as a value. Only short options exist in zkCli. What the options mean is left to the commands.

/// One option of a command.
#[derive(Clone, Copy, Debug)]
pub struct OptionRow {
    /// Its name without the hyphen: one letter, or a word.
    pub name: &'static str,
    /// Whether a value follows.
    pub has_value: bool,
    /// For help.
    pub description: &'static str,
}

/// The options of a command.
#[derive(Clone, Copy, Debug)]
pub struct OptionTable {
    /// Each of them.
    pub rows: &'static [OptionRow],
    /// Whether at most one may be given, and whether one must be.
    pub choice: Choice,
}

/// How many of the options may be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// Any.
    Free,
    /// Not two different ones.
    AtMostOne,
    /// One, perhaps several times.
    ExactlyOne,
}

impl OptionTable {
    /// Any of these.
    pub const fn free(rows: &'static [OptionRow]) -> Self {
        Self { rows, choice: Choice::Free }
    }

    /// The option of that name, which may have hyphens before it.
    fn row(&self, name: &str) -> Option<&'static OptionRow> {
        let name = without_hyphens(name);
        self.rows.iter().find(|row| row.name == name)
    }

    /// The options and their descriptions as help shows them, sorted by name, a line each.
    pub fn help(&self) -> String {
        let label = |row: &OptionRow| format!(" -{}{}", row.name, if row.has_value { " <arg>" } else { "" });
        let width = self.rows.iter().map(|row| label(row).len()).max().unwrap_or(0) + 3;
        let mut rows: Vec<&OptionRow> = self.rows.iter().collect();
        rows.sort_by_key(|row| row.name.to_lowercase());
        rows.iter().map(|row| format!("{:width$}{}\n", label(row), row.description)).collect()
    }
}

/// What was given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Given {
    options: Vec<(&'static str, Option<String>)>,
    /// All that is no option, the command itself first.
    pub words: Vec<String>,
}

impl Given {
    /// Whether an option was given.
    pub fn has(&self, name: &str) -> bool {
        self.options.iter().any(|(given, _)| *given == name)
    }

    /// The value of an option, the first one if it was given several times.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.options.iter().find(|(given, _)| *given == name)?.1.as_deref()
    }
}

/// Reads a command's words, the command itself first.
///
/// # Errors
/// What zkCli prints: the library's exception and its message.
pub fn parse(table: &OptionTable, words: &[String]) -> Result<Given, String> {
    let mut parser = Parser { table, given: Given::default(), waiting: None };
    let mut options_ended = false;
    for word in words {
        if options_ended {
            parser.given.words.push(word.clone());
        } else if word == "--" {
            options_ended = true;
        } else {
            parser.word(word)?;
        }
    }
    parser.check_value()?;
    if table.choice == Choice::ExactlyOne && parser.given.options.is_empty() {
        let all: Vec<String> = table.rows.iter().map(|row| format!("-{} {}", row.name, row.description)).collect();
        return Err(exception("MissingOption", &format!("Missing required option: [{}]", all.join(", "))));
    }
    Ok(parser.given)
}

struct Parser<'a> {
    table: &'a OptionTable,
    given: Given,
    /// The option, already in `given`, that waits for its value.
    waiting: Option<&'static str>,
}

impl Parser<'_> {
    fn word(&mut self, word: &str) -> Result<(), String> {
        if self.waiting.is_some() && (!self.looks_like_option(word) || is_java_number(word)) {
            self.value(without_quotes(word));
            return Ok(());
        }
        let name = match word {
            "-" => None,
            _ if word.starts_with("--") => return Err(unrecognized(word)),
            _ => word.strip_prefix('-'),
        };
        let Some(name) = name else {
            self.given.words.push(word.to_owned());
            return Ok(());
        };
        match name.split_once('=') {
            // `-v=3`, for options of one letter only.
            Some((name, value)) if name.chars().count() == 1 => match self.table.row(name) {
                Some(row) if row.has_value => {
                    self.option(row)?;
                    self.value(value);
                    Ok(())
                }
                _ => Err(unrecognized(word)),
            },
            Some(_) => Err(unrecognized(word)),
            None => match self.table.row(name) {
                Some(row) => self.option(row),
                None => self.several(word, name),
            },
        }
    }

    /// `-sw`, `-v3`, `-sv3`.
    fn several(&mut self, word: &str, letters: &str) -> Result<(), String> {
        let mut buffer = [0; 4];
        for (at, letter) in letters.char_indices() {
            let row = self.table.row(letter.encode_utf8(&mut buffer)).ok_or_else(|| unrecognized(word))?;
            self.option(row)?;
            let rest = &letters[at + letter.len_utf8()..];
            if row.has_value && !rest.is_empty() {
                self.value(rest);
                break;
            }
        }
        Ok(())
    }

    fn option(&mut self, row: &'static OptionRow) -> Result<(), String> {
        self.check_value()?;
        let other = self.given.options.iter().map(|(name, _)| *name).find(|name| *name != row.name);
        if let (true, Some(other)) = (self.table.choice != Choice::Free, other) {
            let text =
                format!("The option '{}' was specified but an option from this group has already been selected: '{other}'", row.name);
            return Err(exception("AlreadySelected", &text));
        }
        self.given.options.push((row.name, None));
        self.waiting = row.has_value.then_some(row.name);
        Ok(())
    }

    fn value(&mut self, value: &str) {
        self.waiting = None;
        self.given.options.last_mut().expect("an option waits for this value").1 = Some(value.to_owned());
    }

    fn check_value(&self) -> Result<(), String> {
        match self.waiting {
            Some(name) => Err(exception("MissingArgument", &format!("Missing argument for option: {name}"))),
            None => Ok(()),
        }
    }

    /// Whether a word names an option, or begins with one of a single letter.
    fn looks_like_option(&self, word: &str) -> bool {
        let Some(name) = word.strip_prefix('-').filter(|name| !name.is_empty()) else { return false };
        let name = name.split_once('=').map_or(name, |(name, _)| name);
        let mut buffer = [0; 4];
        self.table.row(name).is_some()
            || name.chars().next().is_some_and(|letter| letter != '-' && self.table.row(letter.encode_utf8(&mut buffer)).is_some())
    }
}

fn without_hyphens(name: &str) -> &str {
    name.strip_prefix("--").or_else(|| name.strip_prefix('-')).unwrap_or(name)
}

/// One pair of double quotes around a text that has no others.
fn without_quotes(text: &str) -> &str {
    match text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(inner) if !inner.contains('"') => inner,
        _ => text,
    }
}

/// Whether `Double.parseDouble` takes it; such a word is a value even where it looks like an option.
fn is_java_number(word: &str) -> bool {
    let word = word.trim_matches(|c| c <= ' ');
    let digits = word.strip_prefix(['-', '+']).unwrap_or(word);
    if matches!(digits, "NaN" | "Infinity") {
        return true;
    }
    let digits = digits.strip_suffix(['d', 'D', 'f', 'F']).unwrap_or(digits);
    digits.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && digits.bytes().all(|byte| byte.is_ascii_digit() || b".eE+-".contains(&byte))
        && digits.parse::<f64>().is_ok()
}

fn unrecognized(word: &str) -> String {
    exception("UnrecognizedOption", &format!("Unrecognized option: {word}"))
}

fn exception(kind: &str, message: &str) -> String {
    format!("org.apache.commons.cli.{kind}Exception: {message}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn row(name: &'static str, has_value: bool) -> OptionRow {
        OptionRow { name, has_value, description: "text" }
    }

    const TABLE: OptionTable = OptionTable::free(&[row("s", false), row("w", false), row("v", true), row("add", true)]);

    fn words(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn options_are_read_as_commons_cli_reads_them() {
        for (line, options, rest) in [
            ("get /a", "", "get /a"),
            ("get -s /a", "s", "get /a"),
            ("get /a -sw", "s w", "get /a"),
            ("get -sv3 /a", "s v=3", "get /a"),
            ("get -v3 /a", "v=3", "get /a"),
            ("get -v=3 /a", "v=3", "get /a"),
            ("get -v 3 -v 4 /a", "v=3 v=4", "get /a"),
            ("get -v -1 /a", "v=-1", "get /a"),
            ("get -v -z /a", "v=-z", "get /a"),
            ("get -v \"3\" /a", "v=3", "get /a"),
            ("get -- -s /a", "", "get -s /a"),
            ("get - /a", "", "get - /a"),
            ("get -add x=1 /a", "add=x=1", "get /a"),
            ("get -v - /a", "v=-", "get /a"),
        ] {
            let given = parse(&TABLE, &words(line)).unwrap_or_else(|e| panic!("{line:?}: {e}"));
            let shown: Vec<String> =
                given.options.iter().map(|(name, value)| value.as_ref().map_or((*name).to_owned(), |v| format!("{name}={v}"))).collect();
            assert_eq!((shown.join(" "), given.words.join(" ")), (options.to_owned(), rest.to_owned()), "{line:?}");
        }
        let given = parse(&TABLE, &words("get -v 3 -v 4")).expect("good");
        assert_eq!((given.value("v"), given.value("s"), given.has("v"), given.has("s")), (Some("3"), None, true, false));
    }

    #[test]
    fn refusals_have_the_texts_of_commons_cli() {
        for (line, text) in [
            ("get -z /a", "UnrecognizedOptionException: Unrecognized option: -z"),
            ("get -sz /a", "UnrecognizedOptionException: Unrecognized option: -sz"),
            ("get --stat /a", "UnrecognizedOptionException: Unrecognized option: --stat"),
            ("get -s=1 /a", "UnrecognizedOptionException: Unrecognized option: -s=1"),
            ("get -add=1 /a", "UnrecognizedOptionException: Unrecognized option: -add=1"),
            ("get /a -v", "MissingArgumentException: Missing argument for option: v"),
            ("get -v -s /a", "MissingArgumentException: Missing argument for option: v"),
            ("get -v --v /a", "UnrecognizedOptionException: Unrecognized option: --v"),
        ] {
            assert_eq!(parse(&TABLE, &words(line)), Err(format!("org.apache.commons.cli.{text}")), "{line:?}");
        }
    }

    #[test]
    fn one_of_a_group() {
        const ROWS: &[OptionRow] = &[row("n", true), row("B", true)];
        let table = OptionTable { rows: ROWS, choice: Choice::ExactlyOne };
        assert!(parse(&table, &words("setquota -n 3 -n 4 /a")).is_ok());
        for (line, text) in [
            (
                "setquota -n 3 -B 4 /a",
                "AlreadySelectedException: The option 'B' was specified but an option from this group has already been selected: 'n'",
            ),
            ("setquota /a", "MissingOptionException: Missing required option: [-n text, -B text]"),
        ] {
            assert_eq!(parse(&table, &words(line)), Err(format!("org.apache.commons.cli.{text}")), "{line:?}");
        }
    }

    #[test]
    fn help_is_a_column() {
        assert_eq!(TABLE.help(), " -add <arg>   text\n -s           text\n -v <arg>     text\n -w           text\n");
    }
}
