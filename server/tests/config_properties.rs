//! Our reader of `java.util.Properties` text against what Java read from the same files
//! (`compat-tests/vectors/config`, see the README there).

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use oxkeeper_server::config::args::{Request, Source};
use oxkeeper_server::config::{self, properties};

#[test]
fn reads_every_vector_as_java_does() {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../compat-tests/vectors/config");
    let mut compared = 0;
    for file in std::fs::read_dir(&directory).expect("vectors") {
        let path = file.expect("directory entry").path();
        if path.extension().is_none_or(|extension| extension != "properties") {
            continue;
        }
        let expected = std::fs::read_to_string(path.with_extension("expected")).expect("answer");
        let ours = dump(&std::fs::read(&path).expect("vector"));
        assert_eq!(ours, expected, "{}", path.display());
        compared += 1;
    }
    assert!(compared >= 60, "only {compared} vectors found in {}", directory.display());
}

/// The layout of `DumpProperties.java`.
fn dump(text: &[u8]) -> String {
    let Ok(entries) = properties::parse(text) else {
        return "ERROR\n".to_owned();
    };
    // Java sorts by UTF-16 unit, which is this order as long as no key leaves the BMP.
    let last: BTreeMap<String, String> = entries.into_iter().map(|entry| (entry.key, entry.value)).collect();
    let mut dump = String::new();
    for (key, value) in last {
        writeln!(dump, "{}\t{}", escape(&key), escape(&value)).expect("write to a string");
    }
    dump
}

fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for unit in text.encode_utf16() {
        match u8::try_from(unit) {
            Ok(byte @ b' '..=b'~') if byte != b'\\' => escaped.push(char::from(byte)),
            _ => write!(escaped, "\\u{unit:04X}").expect("write to a string"),
        }
    }
    escaped
}

/// None of these files is a configuration for us, and none may be more than an error with a reason.
#[test]
fn no_vector_is_more_than_an_error() {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../compat-tests/vectors/config");
    for file in std::fs::read_dir(&directory).expect("vectors") {
        let path = file.expect("directory entry").path();
        if path.extension().is_none_or(|extension| extension != "properties") {
            continue;
        }
        let request = Request { source: Source::File(path.clone()), ..Request::default() };
        let error = config::load(&request).expect_err("no dataDir and clientPort, or two servers");
        assert_eq!(error.exit_code, 2, "{}", path.display());
        assert!(!error.message.is_empty(), "{}", path.display());
    }
}
