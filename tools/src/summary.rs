//! How many nodes and bytes lie below each parent, as Java's SnapshotRecursiveSummary prints it.

use crate::Failure;
use crate::snapshot::{Snapshot, Visit, visit};
use std::fmt::Write as _;
use std::io::Write;

/// Nodes and bytes of one parent and all below it.
struct Sum {
    /// Where its lines stand.
    line: usize,
    nodes: u64,
    bytes: u64,
}

/// Prints the parents from `start` down to `max_depth` levels below it; 0 or less than 0 shows what Java shows for it:
/// all, or none.
///
/// # Errors
/// A start that does not exist; or the output cannot be written.
pub fn print(snapshot: &Snapshot, start: &str, max_depth: i32, out: &mut dyn Write) -> Result<(), Failure> {
    let tree = &snapshot.tree;
    if tree.get(start).is_none() {
        return Err(Failure::unexpected(format!("there is no node {start} in this snapshot")));
    }
    // A parent's lines come before those of its children, but its sums after them: the lines are kept and filled in.
    let mut lines: Vec<String> = Vec::new();
    let mut open: Vec<Sum> = Vec::new();
    let shows = |depth: usize| max_depth == 0 || i64::try_from(depth).is_ok_and(|depth| depth <= i64::from(max_depth));
    visit(tree, start, |step| match step {
        Visit::Enter { path, depth, is_parent } => {
            let bytes = tree.get(path).and_then(|node| node.data().map(|data| data.len() as u64)).unwrap_or(0);
            if !is_parent {
                if let Some(parent) = open.last_mut() {
                    parent.nodes += 1;
                    parent.bytes += bytes;
                }
                return;
            }
            let line = lines.len();
            if shows(depth) {
                lines.push(format!("{} {path}", "--".repeat(depth)));
            }
            open.push(Sum { line, nodes: 1, bytes });
        }
        Visit::Leave { depth } => {
            // A start without children was never opened.
            let Some(sum) = open.pop() else { return };
            if shows(depth) {
                let dashes = "--".repeat(depth);
                let (nodes, bytes) = (sum.nodes - 1, sum.bytes);
                let _ = write!(lines[sum.line], "\n{dashes}   children: {nodes}\n{dashes}   data: {bytes}");
            }
            if let Some(parent) = open.last_mut() {
                parent.nodes += sum.nodes;
                parent.bytes += sum.bytes;
            }
        }
    });
    for line in &lines {
        writeln!(out, "{line}")?;
    }
    writeln!(out)?;
    Ok(())
}
