//! Two snapshots side by side, as Java's SnapshotComparer shows them: which subtrees grew, shrank, came or went.

use crate::Failure;
use crate::snapshot::Snapshot;
use std::cmp::Ordering;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{BufRead, Write};
use std::time::{Duration, Instant};

/// What is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Subtrees whose sizes differ by more bytes are shown.
    pub bytes: i32,
    /// Subtrees whose numbers of nodes differ by more are shown.
    pub nodes: i32,
    /// Each comparison is shown.
    pub debug: bool,
    /// Depths and paths are asked for.
    pub interactive: bool,
}

/// A subtree.
struct Subtree {
    path: String,
    /// Bytes of data in it.
    bytes: i64,
    /// Nodes below it.
    nodes: i64,
    children: Vec<usize>,
}

/// A tree, prepared for comparison. The root's path is empty.
pub struct Prepared {
    subtrees: Vec<Subtree>,
    by_depth: Vec<Vec<usize>>,
    by_path: HashMap<String, usize>,
}

/// By UTF-16 units, as Java compares strings.
fn compare_paths(left: &str, right: &str) -> Ordering {
    if left.is_ascii() && right.is_ascii() { left.cmp(right) } else { left.encode_utf16().cmp(right.encode_utf16()) }
}

/// What Java says while it reads: the times in seconds.
///
/// # Errors
/// When the output cannot be written.
pub fn prepare(snapshot: &Snapshot, file_name: &str, reading: Duration, out: &mut dyn Write) -> Result<Prepared, Failure> {
    writeln!(out, "Deserialized snapshot in {file_name} in {:.6} seconds", reading.as_secs_f64())?;
    let begun = Instant::now();
    let tree = &snapshot.tree;
    let mut prepared = Prepared { subtrees: Vec::new(), by_depth: Vec::new(), by_path: HashMap::new() };
    let size = |path: &str| tree.get(path).and_then(|node| node.data()).map_or(0, |data| data.len() as i64);
    prepared.subtrees.push(Subtree { path: String::new(), bytes: size(""), nodes: 0, children: Vec::new() });
    prepared.by_depth.push(vec![0]);
    // Level by level: a parent stands before its children.
    for depth in 0.. {
        let mut below = Vec::new();
        for &parent in &prepared.by_depth[depth] {
            let path = prepared.subtrees[parent].path.clone();
            let Some(node) = tree.get(&path) else { continue };
            let mut names: Vec<&str> = node.children().collect();
            names.sort_by(|left, right| compare_paths(left, right));
            for name in names {
                let child = format!("{path}/{name}");
                let bytes = size(&child);
                let at = prepared.subtrees.len();
                below.push(at);
                prepared.subtrees[parent].children.push(at);
                prepared.subtrees.push(Subtree { path: child, bytes, nodes: 0, children: Vec::new() });
            }
        }
        if below.is_empty() {
            break;
        }
        below.sort_by(|left, right| compare_paths(&prepared.subtrees[*left].path, &prepared.subtrees[*right].path));
        prepared.by_depth.push(below);
    }
    for at in (0..prepared.subtrees.len()).rev() {
        let (mut bytes, mut nodes) = (0, prepared.subtrees[at].children.len() as i64);
        for &child in &prepared.subtrees[at].children {
            bytes += prepared.subtrees[child].bytes;
            nodes += prepared.subtrees[child].nodes;
        }
        prepared.subtrees[at].bytes += bytes;
        prepared.subtrees[at].nodes = nodes;
    }
    prepared.by_path = prepared.subtrees.iter().enumerate().map(|(at, subtree)| (subtree.path.clone(), at)).collect();
    writeln!(out, "Processed data tree in {:.6} seconds", begun.elapsed().as_secs_f64())?;
    Ok(prepared)
}

impl Prepared {
    /// How many nodes there are at which depth.
    fn table(&self) -> String {
        let mut text =
            format!("Node count: {}\nTotal size: {}\nMax depth: {}\n", self.subtrees.len(), self.subtrees[0].bytes, self.by_depth.len());
        for (depth, nodes) in self.by_depth.iter().enumerate() {
            let _ = writeln!(text, "Count of nodes at depth {depth}: {}", nodes.len());
        }
        text
    }

    fn at_depth(&self, depth: usize) -> &[usize] {
        self.by_depth.get(depth).map_or(&[], Vec::as_slice)
    }
}

/// The tables of both, then the differences, depth by depth or as asked for.
///
/// # Errors
/// When the output cannot be written, or the questions are not answered.
pub fn compare(left: &Prepared, right: &Prepared, options: Options, input: &mut dyn BufRead, out: &mut dyn Write) -> Result<(), Failure> {
    writeln!(out, "{}\n{}", left.table(), right.table())?;
    let depths = left.by_depth.len().max(right.by_depth.len());
    let threshold = format!(
        "Printing analysis for nodes difference larger than {} bytes or node count difference larger than {}.",
        options.bytes, options.nodes
    );
    let pair = Pair { left, right, options };
    if !options.interactive {
        writeln!(out, "{threshold}")?;
        for depth in 0..depths {
            writeln!(out, "Analysis for depth {depth}")?;
            pair.nodes(left.at_depth(depth), right.at_depth(depth), out)?;
        }
        writeln!(out, "All layers compared.")?;
        return Ok(());
    }
    let mut current = 0;
    while current < depths {
        writeln!(out, "Current depth is {current}")?;
        writeln!(
            out,
            "- Press enter to move to print current depth layer;\n- Type a number to jump to and print all nodes at a given depth;\n\
             - Enter an ABSOLUTE path to print the immediate subtree of a node. Path must start with '/'."
        )?;
        out.flush()?;
        let mut answer = String::new();
        if input.read_line(&mut answer)? == 0 {
            return Err(Failure::unexpected("no answer: standard input has ended"));
        }
        let answer = answer.trim_end_matches(['\n', '\r']);
        writeln!(out, "{threshold}")?;
        let last = depths - 1;
        if answer.is_empty() {
            writeln!(out, "Analysis for depth {current}")?;
            pair.nodes(left.at_depth(current), right.at_depth(current), out)?;
            current += 1;
        } else if answer.starts_with('/') {
            writeln!(out, "Analysis for node {answer}")?;
            let found = (left.by_path.get(answer), right.by_path.get(answer));
            if found == (None, None) {
                writeln!(out, "Path {answer} is neither found in left tree nor right tree.")?;
            } else {
                let children = |tree: &'_ Prepared, at: Option<&usize>| at.map_or(Vec::new(), |at| tree.subtrees[*at].children.clone());
                pair.nodes(&children(left, found.0), &children(right, found.1), out)?;
            }
        } else {
            match answer.parse::<i32>() {
                Ok(depth) => match usize::try_from(depth).ok().filter(|depth| *depth < depths) {
                    Some(depth) => {
                        current = depth;
                        writeln!(out, "Analysis for depth {depth}")?;
                        pair.nodes(left.at_depth(depth), right.at_depth(depth), out)?;
                    }
                    None => {
                        writeln!(out, "Depth must be in range [0, {last}]")?;
                        continue;
                    }
                },
                Err(_) => writeln!(
                    out,
                    "Input {answer} is not valid. Depth must be in range [0, {last}]. Path must be an absolute path which starts with '/'."
                )?,
            }
        }
        writeln!(out)?;
    }
    writeln!(out, "All layers compared.")?;
    Ok(())
}

struct Pair<'a> {
    left: &'a Prepared,
    right: &'a Prepared,
    options: Options,
}

impl Pair<'_> {
    /// Two sorted lists of subtrees, merged.
    fn nodes(&self, left: &[usize], right: &[usize], out: &mut dyn Write) -> Result<(), Failure> {
        let Options { bytes, nodes, debug, interactive } = self.options;
        let is_large = |a: i64, b: i64| a > i64::from(bytes) || b > i64::from(nodes);
        let shows_all = debug || interactive;
        let only = |side: &str, subtree: &Subtree, out: &mut dyn Write| -> Result<(), Failure> {
            let Subtree { path, bytes, nodes, .. } = subtree;
            if is_large(*bytes, *nodes) {
                writeln!(out, "Node {path} found only in {side} tree. Descendant size: {bytes}. Descendant count: {nodes}")?;
            } else if shows_all {
                writeln!(out, "Filtered {side} node {path} of size {bytes}")?;
            }
            Ok(())
        };
        let (mut left, mut right) = (left.iter().peekable(), right.iter().peekable());
        loop {
            let (a, b) = (left.peek().map(|at| &self.left.subtrees[**at]), right.peek().map(|at| &self.right.subtrees[**at]));
            match (a, b) {
                (None, None) => return Ok(()),
                (Some(a), None) => {
                    only("left", a, out)?;
                    left.next();
                }
                (None, Some(b)) => {
                    only("right", b, out)?;
                    right.next();
                }
                (Some(a), Some(b)) => {
                    let order = compare_paths(&a.path, &b.path);
                    if debug {
                        let word = match order {
                            Ordering::Less => "left is less",
                            Ordering::Equal => "same",
                            Ordering::Greater => "right is less",
                        };
                        writeln!(out, "Comparing {} to {}\n{word}", a.path, b.path)?;
                    }
                    match order {
                        Ordering::Less => only("left", a, out)?,
                        Ordering::Greater => only("right", b, out)?,
                        Ordering::Equal => {
                            let (bytes, nodes) = (b.bytes - a.bytes, b.nodes - a.nodes);
                            if is_large(bytes.abs(), nodes.abs()) {
                                writeln!(out, "Node {} found in both trees. Delta: {bytes} bytes, {nodes} descendants", a.path)?;
                            } else if shows_all {
                                writeln!(out, "Filtered node {} of left size {}, right size {}", a.path, a.bytes, b.bytes)?;
                            }
                        }
                    }
                    if order != Ordering::Greater {
                        left.next();
                    }
                    if order != Ordering::Less {
                        right.next();
                    }
                }
            }
        }
    }
}
