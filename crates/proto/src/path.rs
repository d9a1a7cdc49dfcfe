//! Paths: which are allowed, and their parts.

use std::fmt;

/// Why a path is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathError {
    /// No characters at all.
    Empty,
    /// The first character is not `/`.
    NotAbsolute,
    /// The last character is `/`.
    EndsWithSlash,
    /// `//` at this character.
    EmptyComponent(usize),
    /// `.` or `..` before this character.
    RelativeComponent(usize),
    /// A character that is not allowed, at this place.
    BadCharacter(usize),
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PathError::Empty => write!(f, "the path is empty"),
            PathError::NotAbsolute => write!(f, "the path does not begin with /"),
            PathError::EndsWithSlash => write!(f, "the path ends with /"),
            PathError::EmptyComponent(at) => write!(f, "an empty component at character {at}"),
            PathError::RelativeComponent(at) => write!(f, ". or .. before character {at}"),
            PathError::BadCharacter(at) => write!(f, "a character that is not allowed at {at}"),
        }
    }
}

impl std::error::Error for PathError {}

/// Checks a path by the rules for created nodes.
///
/// # Errors
/// The first rule that it breaks.
pub fn validate(path: &str) -> Result<(), PathError> {
    if is_plain(path.as_bytes()) {
        return Ok(());
    }
    if path.is_empty() {
        return Err(PathError::Empty);
    }
    if !path.starts_with('/') {
        return Err(PathError::NotAbsolute);
    }
    if path.len() == 1 {
        return Ok(());
    }
    if path.ends_with('/') {
        return Err(PathError::EndsWithSlash);
    }
    for (at, c) in path.char_indices() {
        let forbidden = matches!(c,
            '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{e000}'..='\u{f8ff}' | '\u{fff0}'..);
        if forbidden {
            return Err(PathError::BadCharacter(at));
        }
    }
    let mut at = 1;
    for component in path[1..].split('/') {
        match component {
            "" => return Err(PathError::EmptyComponent(at)),
            "." | ".." => return Err(PathError::RelativeComponent(at + component.len())),
            _ => at += component.len() + 1,
        }
    }
    Ok(())
}

/// Whether a path is good at a glance: printable ASCII, with no component that is empty or begins with a dot. Without
/// branches, so that the compiler looks at many bytes at once.
fn is_plain(path: &[u8]) -> bool {
    let is_printable = path.iter().fold(true, |all, byte| all & (0x20..0x7f).contains(byte));
    let begins_well = path.windows(2).fold(true, |all, pair| all & !(pair[0] == b'/' && (pair[1] == b'/' || pair[1] == b'.')));
    is_printable && begins_well && path.first() == Some(&b'/') && path.len() > 1 && path.last() != Some(&b'/')
}

/// The parent and the last component of a path that holds a `/`; the parent of `/a` is the empty
/// string, which is the root's other name.
pub fn split(path: &str) -> Option<(&str, &str)> {
    let slash = path.rfind('/')?;
    Some((&path[..slash], &path[slash + 1..]))
}

/// The components from the root down; none for the root.
pub fn components(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').skip(1).filter(|c| !c.is_empty())
}

/// The root of the quota nodes.
pub const QUOTA: &str = "/zookeeper/quota";
/// The node that holds the ensemble's configuration.
pub const CONFIG: &str = "/zookeeper/config";
/// The server's own subtree.
pub const SYSTEM: &str = "/zookeeper";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_judged_as_java_does() {
        for good in ["/", "/a", "/a/b c", "/.a", "/a.", "/...", "/\u{a0}", "/\u{d7ff}", "/\u{f900}", "/\u{ffef}"] {
            assert_eq!(validate(good), Ok(()), "{good:?}");
        }
        for bad in [
            "",
            "a",
            "a/b",
            "/a/",
            "//",
            "/a//b",
            "/.",
            "/..",
            "/./a",
            "/a/../b",
            "/a/..",
            "/\0",
            "/a\u{1}",
            "/\u{1f}",
            "/\u{7f}",
            "/\u{9f}",
            "/\u{e000}",
            "/\u{f8ff}",
            "/\u{fff0}",
            "/\u{fffd}",
            "/\u{ffff}",
            "/\u{10000}",
        ] {
            assert!(validate(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_parent_of_a_top_level_path_is_the_empty_string() {
        assert_eq!(split("/a"), Some(("", "a")));
        assert_eq!(split("/a/b"), Some(("/a", "b")));
        assert_eq!(split("a"), None);
        assert_eq!(components("/").count(), 0);
        assert_eq!(components("/a/b").collect::<Vec<_>>(), ["a", "b"]);
    }
}
