//! A snapshot as text or JSON, as Java's SnapshotFormatter prints it.

use crate::java_order;
use crate::snapshot::{Snapshot, Visit, visit};
use crate::{Calendar, Failure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use oxkeeper_proto::Zxid;
use std::fmt::Write as _;
use std::io::Write;

/// Nodes, sessions and the last zxid; data as base64 with `with_data`, else their lengths.
///
/// # Errors
/// When the output cannot be written.
pub fn text(snapshot: &Snapshot, with_data: bool, calendar: &dyn Calendar, out: &mut dyn Write) -> Result<(), Failure> {
    let tree = &snapshot.tree;
    let mut last = snapshot.name_zxid.map_or(-1, |zxid| zxid.0);
    let mut buffer = format!("ZNode Details (count={}):\n", tree.node_count());
    let mut result = Ok(());
    visit(tree, "/", |step| {
        let Visit::Enter { path, .. } = step else { return };
        let Some(node) = tree.get(path) else { return };
        let stat = node.persisted();
        last = last.max(stat.mzxid).max(stat.pzxid);
        let _ = writeln!(buffer, "----\n{path}");
        let _ = writeln!(buffer, "  cZxid = {:#016x}\n  ctime = {}", stat.czxid, calendar.date(stat.ctime));
        let _ = writeln!(buffer, "  mZxid = {:#016x}\n  mtime = {}", stat.mzxid, calendar.date(stat.mtime));
        let _ = writeln!(buffer, "  pZxid = {:#016x}\n  cversion = {}", stat.pzxid, stat.cversion);
        let _ = writeln!(buffer, "  dataVersion = {}\n  aclVersion = {}", stat.version, stat.aversion);
        let _ = writeln!(buffer, "  ephemeralOwner = {:#016x}", stat.ephemeral_owner);
        let data = node.data().unwrap_or_default();
        if with_data {
            let _ = writeln!(buffer, "  data = {}", STANDARD.encode(data));
        } else {
            let _ = writeln!(buffer, "  dataLength = {}", data.len());
        }
        if buffer.len() > 1 << 16 && result.is_ok() {
            result = out.write_all(buffer.as_bytes());
            buffer.clear();
        }
    });
    result?;
    buffer.push_str("----\nSession Details (sid, timeout, ephemeralCount):\n");
    for (session, timeout_ms) in java_order::longs(snapshot.sessions.clone(), |(session, _)| session.0) {
        let _ = writeln!(buffer, "{:#016x}, {timeout_ms}, {}", session.0, tree.ephemerals(session).count());
    }
    let _ = writeln!(buffer, "----\nLast zxid: {}", Zxid(last));
    out.write_all(buffer.as_bytes())?;
    Ok(())
}

/// The sizes of all nodes in the format of the program ncdu.
///
/// # Errors
/// When the output cannot be written.
pub fn json(snapshot: &Snapshot, now_ms: i64, out: &mut dyn Write) -> Result<(), Failure> {
    // Java counts its nodes from here on, so that ncdu takes none for a link to another.
    let mut number = 1000;
    let mut buffer = format!("[1,0,{{\"progname\":\"SnapshotFormatter.java\",\"progver\":\"0.01\",\"timestamp\":{now_ms}}}");
    let mut result = Ok(());
    let mut is_open = Vec::new();
    visit(&snapshot.tree, "/", |step| match step {
        Visit::Enter { path, depth, is_parent } => {
            let name = if path == "/" { path } else { path.rsplit('/').next().unwrap_or(path) };
            let size = snapshot.tree.get(path).and_then(|node| node.data().map(<[u8]>::len)).unwrap_or(0);
            number += 1;
            buffer.push(',');
            is_open.truncate(depth);
            is_open.push(is_parent);
            if is_parent {
                buffer.push('[');
            }
            let _ = write!(buffer, "{{\"name\":\"{}\",\"asize\":{size},\"dsize\":{size},\"dev\":0,\"ino\":{number}}}", quoted(name));
            if buffer.len() > 1 << 16 && result.is_ok() {
                result = out.write_all(buffer.as_bytes());
                buffer.clear();
            }
        }
        Visit::Leave { depth } => {
            if is_open.get(depth) == Some(&true) {
                buffer.push(']');
            }
        }
    });
    result?;
    buffer.push(']');
    out.write_all(buffer.as_bytes())?;
    Ok(())
}

/// The inside of a JSON string, escaped as Jackson does.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            '\u{8}' => quoted.push_str("\\b"),
            '\t' => quoted.push_str("\\t"),
            '\n' => quoted.push_str("\\n"),
            '\u{c}' => quoted.push_str("\\f"),
            '\r' => quoted.push_str("\\r"),
            '\0'..='\u{1f}' => {
                let _ = write!(quoted, "\\u{:04X}", character as u32);
            }
            _ => quoted.push(character),
        }
    }
    quoted
}
