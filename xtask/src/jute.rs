//! `cargo xtask jute`: writes the records of `oxkeeper-proto` from our `zookeeper.jute`.

use std::path::Path;

/// Rewrites `crates/proto/src/records.rs`.
///
/// # Errors
/// What could not be read, parsed or written.
pub fn run(root: &Path) -> Result<(), String> {
    let idl = root.join("crates/proto/zookeeper.jute");
    let out = root.join("crates/proto/src/records.rs");
    let text = std::fs::read_to_string(&idl).map_err(|e| format!("{}: {e}", idl.display()))?;
    let file = oxkeeper_jute_gen::parse(&text).map_err(|e| format!("{}: {e}", idl.display()))?;
    std::fs::write(&out, oxkeeper_jute_gen::rust_records(&file)).map_err(|e| format!("{}: {e}", out.display()))
}
