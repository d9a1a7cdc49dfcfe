//! A typed line into words, as zkCli splits it: at blanks, except within a pair of quotes that a word begins with.
//! No escapes. What the words mean is left to `shell` and `table`.

/// The blanks of Java's regular expressions.
fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\u{b}' | '\u{c}' | '\r')
}

/// The words of a line; none for an empty line. A line of blanks only is one word, the last blank, since a word is at
/// least one character that is not a quote; and a quote that nothing closes is skipped, or joined with a blank before it.
pub fn split(line: &str) -> Vec<String> {
    let characters: Vec<char> = line.chars().collect();
    let mut words = Vec::new();
    let mut at = 0;
    while at < characters.len() {
        let first = at + characters[at..].iter().take_while(|c| is_blank(**c)).count();
        let bare_end = |from: usize| from + characters[from..].iter().take_while(|c| !is_blank(**c)).count();
        let (word, end) = match characters.get(first) {
            Some(&quote @ ('"' | '\'')) => match characters[first + 1..].iter().position(|c| *c == quote) {
                Some(length) => (first + 1..first + 1 + length, first + length + 2),
                None if first > at => (first - 1..bare_end(first), bare_end(first)),
                None => {
                    at += 1;
                    continue;
                }
            },
            Some(_) => (first..bare_end(first), bare_end(first)),
            None => (first - 1..first, first),
        };
        words.push(characters[word].iter().collect());
        at = end + characters[end..].iter().take_while(|c| is_blank(**c)).count();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_split_as_zkcli_does() {
        for (line, words) in [
            ("", &[] as &[&str]),
            ("ls /", &["ls", "/"]),
            ("  ls \t / ", &["ls", "/"]),
            (" ", &[" "]),
            ("  \t", &["\t"]),
            ("create \"/with space\" 'some \"data\"'", &["create", "/with space", "some \"data\""]),
            ("set /a \"\"", &["set", "/a", ""]),
            ("set /a b\"c d\"", &["set", "/a", "b\"c", "d\""]),
            ("\"a\"b", &["a", "b"]),
            ("set /a \"open end", &["set", "/a", "open", "end"]),
            (" \"open end", &[" \"open", "end"]),
            ("'", &[]),
            ("get /ü", &["get", "/ü"]),
        ] {
            assert_eq!(split(line), words, "{line:?}");
        }
    }
}
