//! Which paths zkCli lets through to the server, and what it says of the others.

/// Checks a path by the rules of Java's client. With `is_sequential` a number will follow.
///
/// # Errors
/// Its message. Places are counted in UTF-16 units, as Java counts.
pub fn validate(path: &str, is_sequential: bool) -> Result<(), String> {
    let numbered;
    let path = if is_sequential {
        numbered = format!("{path}1");
        &numbered
    } else {
        path
    };
    if path.is_empty() {
        return Err("Path length must be > 0".to_owned());
    }
    if !path.starts_with('/') {
        return Err("Path must start with / character".to_owned());
    }
    if path.len() == 1 {
        return Ok(());
    }
    if path.ends_with('/') {
        return Err("Path must not end with / character".to_owned());
    }
    match fault(path) {
        Some((at, reason)) => Err(format!("Invalid path string \"{path}\" caused by {reason} @{at}")),
        None => Ok(()),
    }
}

/// The first thing that is wrong after the leading slash, and where.
fn fault(path: &str) -> Option<(usize, &'static str)> {
    let units: Vec<u16> = path.encode_utf16().collect();
    let slash = u16::from(b'/');
    let dot = u16::from(b'.');
    for at in 1..units.len() {
        let ends = units.get(at + 1).is_none_or(|unit| *unit == slash);
        let reason = match units[at] {
            0 => "null character not allowed",
            unit if unit == slash && units[at - 1] == slash => "empty node name specified",
            unit if unit == dot && ends && units[at - 1] == slash => "relative paths not allowed",
            unit if unit == dot && ends && units[at - 1] == dot && units[at - 2] == slash => "relative paths not allowed",
            0x01..=0x1f | 0x7f..=0x9f | 0xd800..=0xf8ff | 0xfff0.. => "invalid character",
            _ => continue,
        };
        return Some((at, reason));
    }
    None
}

/// The path of a child.
pub fn child(parent: &str, name: &str) -> String {
    let parent = if parent == "/" { "" } else { parent };
    format!("{parent}/{name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_judged_with_javas_texts() {
        for good in ["/", "/a", "/a/b c", "/.a", "/a.", "/...", "/a..b/c", "/zookeeper/config"] {
            assert_eq!(validate(good, false), Ok(()), "{good:?}");
        }
        for (bad, text) in [
            ("", "Path length must be > 0"),
            ("a", "Path must start with / character"),
            ("/a/", "Path must not end with / character"),
            ("//", "Path must not end with / character"),
            ("/a//b", "Invalid path string \"/a//b\" caused by empty node name specified @3"),
            ("/a/./b", "Invalid path string \"/a/./b\" caused by relative paths not allowed @3"),
            ("/a/..", "Invalid path string \"/a/..\" caused by relative paths not allowed @4"),
            ("/..", "Invalid path string \"/..\" caused by relative paths not allowed @2"),
            ("/a\0", "Invalid path string \"/a\0\" caused by null character not allowed @2"),
            ("/ü\u{1f}", "Invalid path string \"/ü\u{1f}\" caused by invalid character @2"),
            ("/\u{10000}", "Invalid path string \"/\u{10000}\" caused by invalid character @1"),
        ] {
            assert_eq!(validate(bad, false), Err(text.to_owned()), "{bad:?}");
        }
        for sequential in ["/a/", "/a/.", "/a"] {
            assert_eq!(validate(sequential, true), Ok(()), "{sequential:?}");
        }
        assert!(validate("", true).is_err());
    }

    #[test]
    fn children_of_the_root_have_one_slash() {
        assert_eq!((child("/", "a"), child("/a", "b")), ("/a".to_owned(), "/a/b".to_owned()));
    }
}
