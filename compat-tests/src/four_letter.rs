//! Four-letter words: what may differ in their text, line by line. Everything else is compared as it stands.

/// How a word's text is made comparable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// As it stands.
    Exact,
    /// Digits become `#`: counters, times and latencies differ from run to run.
    Numbers,
    /// As `Numbers`, and the lines are sorted: Java prints a hash map's order.
    NumbersSorted,
    /// The keys alone, in order: `key=value`, `key<TAB>value` or `key: value`.
    Keys,
    /// The keys alone, sorted.
    KeysSorted,
}

/// Every word with its shape.
pub const WORDS: &[(&str, Shape)] = &[
    ("ruok", Shape::Exact),
    ("isro", Shape::Exact),
    ("gtmk", Shape::Exact),
    ("srvr", Shape::Numbers),
    ("stat", Shape::NumbersSorted),
    ("conf", Shape::Numbers),
    ("cons", Shape::NumbersSorted),
    ("dump", Shape::NumbersSorted),
    ("dirs", Shape::Numbers),
    ("envi", Shape::Keys),
    ("hash", Shape::Numbers),
    ("mntr", Shape::KeysSorted),
    ("wchs", Shape::Exact),
    ("wchp", Shape::NumbersSorted),
    ("wchc", Shape::NumbersSorted),
    ("srst", Shape::Exact),
    ("crst", Shape::Exact),
    ("telnet close", Shape::Exact),
];

/// The bytes that ask for a word.
pub fn bytes(word: &str) -> Vec<u8> {
    if word == "telnet close" { vec![0xff, 0xf4, 0xff, 0xfd] } else { word.as_bytes().to_vec() }
}

/// The comparable form of an answer.
pub fn shaped(shape: Shape, text: &str) -> Vec<String> {
    let mut lines: Vec<String> = text.split('\n').map(str::to_owned).collect();
    match shape {
        Shape::Exact => {}
        Shape::Numbers | Shape::NumbersSorted => lines.iter_mut().for_each(|line| *line = without_numbers(line)),
        Shape::Keys | Shape::KeysSorted => lines.iter_mut().for_each(|line| *line = key(line)),
    }
    if matches!(shape, Shape::NumbersSorted | Shape::KeysSorted) {
        lines.sort();
        // How many expiry buckets the sessions fall into is the clock's affair.
        lines.dedup_by(|one, other| one == other && one.ends_with(" expire at (date)"));
    }
    lines
}

fn key(line: &str) -> String {
    let end = line.find(['=', '\t']).map_or(line.len(), |at| at + 1);
    line[..end].to_owned()
}

/// Numbers (hex behind `0x` too) become `#`; paths of directories, the version and weekday names are cut off where they
/// stand alone on a line.
fn without_numbers(line: &str) -> String {
    if line.starts_with("Zookeeper version: ") {
        return version_line(line);
    }
    if let Some((before, _)) = line.split_once(" expire at ") {
        return format!("{} expire at (date)", without_numbers(before));
    }
    for directory in ["dataDir=", "dataLogDir="] {
        if line.starts_with(directory) {
            return format!("{directory}{}", if line.ends_with("/version-2") { "(path)/version-2" } else { "(other)" });
        }
    }
    let mut out = String::new();
    let mut rest = line;
    while let Some(first) = rest.chars().next() {
        if let Some(hex) = rest.strip_prefix("0x") {
            rest = hex.trim_start_matches(|character: char| character.is_ascii_hexdigit());
            out += "0x#";
        } else if first.is_ascii_digit() {
            rest = rest.trim_start_matches(|character: char| character.is_ascii_digit() || character == '.');
            out.push('#');
        } else {
            out.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    out
}

/// Scripts take the version as three numbers behind the colon and what follows `built on`.
fn version_line(line: &str) -> String {
    let rest = &line["Zookeeper version: ".len()..];
    let numbers = rest.split(['-', ',']).next().unwrap_or_default();
    let is_39 = numbers.split('.').count() == 3 && numbers.starts_with("3.9.");
    format!("Zookeeper version: {} built on {}", if is_39 { "3.9.x" } else { numbers }, line.contains(", built on "))
}

#[cfg(test)]
mod tests {
    use super::{Shape, shaped};

    #[test]
    fn numbers_are_masked_and_nothing_else() {
        let line = " /127.0.0.1:51036[0](queued=0,recved=1,sid=0x10ab,lop=GETD,avglat=0.5)";
        let masked = " /#:#[#](queued=#,recved=#,sid=0x#,lop=GETD,avglat=#)";
        assert_eq!(shaped(Shape::Numbers, line), [masked]);
        assert_eq!(shaped(Shape::Keys, "a=b\nzk_x\t1\nEnvironment:"), ["a=", "zk_x\t", "Environment:"]);
    }
}
