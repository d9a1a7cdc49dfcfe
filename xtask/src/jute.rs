//! `cargo xtask jute`: writes what is made from our `zookeeper.jute`: the records of `oxkeeper-proto`, and the C
//! library's header, structures and archive functions.

use oxkeeper_jute_gen::{JuteFile, c, rust_records};
use std::path::Path;

/// What writes a file.
type Writer = fn(&JuteFile) -> String;

/// What is written, and by what.
const OUTPUTS: &[(&str, Writer)] = &[
    ("crates/proto/src/records.rs", rust_records),
    ("include/zookeeper/zookeeper.jute.h", c::header),
    ("capi/src/records.rs", c::rust_structures),
    ("capi/archive/src/records.rs", c::rust_archive),
];

/// Rewrites every file that comes from the IDL.
///
/// # Errors
/// What could not be read, parsed or written.
pub fn run(root: &Path) -> Result<(), String> {
    let idl = root.join("crates/proto/zookeeper.jute");
    let text = std::fs::read_to_string(&idl).map_err(|e| format!("{}: {e}", idl.display()))?;
    let file = oxkeeper_jute_gen::parse(&text).map_err(|e| format!("{}: {e}", idl.display()))?;
    for (path, write) in OUTPUTS {
        let out = root.join(path);
        std::fs::write(&out, write(&file)).map_err(|e| format!("{}: {e}", out.display()))?;
    }
    Ok(())
}
