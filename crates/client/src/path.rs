//! Which paths the C client lets through. It is laxer than the servers: bytes from 0x7f up are not looked at.

/// Whether the C client would send this path. With `is_sequential` a number will follow, so the last component may be
/// empty, `.` or `..`.
pub fn is_valid(path: &[u8], is_sequential: bool) -> bool {
    if path == b"/" {
        return true;
    }
    if path.first() != Some(&b'/') || path.iter().any(|byte| *byte < 0x1f) {
        return false;
    }
    let mut components = path[1..].split(|byte| *byte == b'/').peekable();
    while let Some(component) = components.next() {
        let may_be_anything = is_sequential && components.peek().is_none();
        if !may_be_anything && matches!(component, b"" | b"." | b"..") {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules_of_c() {
        for good in [&b"/"[..], b"/a", b"/a/b", b"/a.", b"/...", b"/.a", b"/a..b", b"/\x1f", b"/\x7f\xff", b"/a b"] {
            assert!(is_valid(good, false), "{good:?}");
            assert!(is_valid(good, true), "{good:?}");
        }
        for sequential in [&b"/a/"[..], b"/a/.", b"/.."] {
            assert!(!is_valid(sequential, false), "{sequential:?}");
            assert!(is_valid(sequential, true), "{sequential:?}");
        }
        for bad in [&b""[..], b"a", b"//", b"/a//b", b"/./a", b"/a/../b", b"/a\0", b"/\x01", b"/\x1e"] {
            assert!(!is_valid(bad, false), "{bad:?}");
        }
        assert!(!is_valid(b"/a//", true));
    }
}
