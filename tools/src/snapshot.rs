//! One snapshot file as a tree, for the tools that show, compare and verify it.

use crate::{EXIT_INVALID_INVOCATION, EXIT_UNEXPECTED_ERROR, Failure, without_code};
use oxkeeper_proto::{SessionId, Zxid};
use oxkeeper_store::names;
use oxkeeper_store::snapshot::{SnapshotDigest, SnapshotEnd, SnapshotReader};
use oxkeeper_store::{DiskRef, RealDisk};
use oxkeeper_tree::{Tree, TreeOptions};
use std::io::{self, BufRead as _, Read as _};
use std::path::Path;

/// A snapshot that was read.
pub struct Snapshot {
    /// What it holds.
    pub tree: Tree,
    /// Sessions with their timeouts in milliseconds, as they stand in the file.
    pub sessions: Vec<(SessionId, i32)>,
    /// The zxid in the file's name, if there is one.
    pub name_zxid: Option<Zxid>,
    /// Checksums and sections behind the nodes, or what is wrong with them.
    pub end: Result<SnapshotEnd, String>,
}

/// Reads a snapshot, compressed ones by the end of their name. Damage behind the nodes does not keep it from being shown
/// (Java's tools do not look there at all) and is left in [`Snapshot::end`].
///
/// # Errors
/// A file that cannot be read (its message and the exit code of an uncaught exception), or that is no snapshot.
pub fn load(path: &Path) -> Result<Snapshot, Failure> {
    load_on(&RealDisk::shared(), path, TreeOptions::default())
}

pub(crate) fn load_on(disk: &DiskRef, path: &Path, options: TreeOptions) -> Result<Snapshot, Failure> {
    let refused = |error: io::Error| match error.kind() {
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => damaged(path, &without_code(&error)),
        _ => Failure::of_file(path, &error),
    };
    if path.is_dir() {
        return Err(Failure::unexpected(format!("{} is a directory; name one of the snapshot files in it", path.display())));
    }
    let sessions = read_sessions(SnapshotReader::open(disk, path).map_err(refused)?).map_err(refused)?;
    let mut reader = SnapshotReader::open(disk, path).map_err(refused)?;
    let mut tree = oxkeeper_tree::snapshot::load(&mut reader, options).map_err(|error| damaged(path, &error.to_string()))?;
    let end = reader.finish().map_err(|error| without_code(&error));
    let name_zxid = path.file_name().and_then(|name| names::snapshot_zxid(&name.to_string_lossy()));
    tree.set_last_zxid(name_zxid.unwrap_or(Zxid::ZERO));
    Ok(Snapshot { tree, sessions, name_zxid, end })
}

fn damaged(path: &Path, reason: &str) -> Failure {
    Failure {
        exit_code: EXIT_UNEXPECTED_ERROR,
        message: format!("{} is no snapshot, or a damaged one: {reason}. Take another one; the server does so by itself.", path.display()),
    }
}

/// The order of the sessions in the file decides in which order Java lists them; the tree does not keep it.
fn read_sessions(mut reader: SnapshotReader) -> io::Result<Vec<(SessionId, i32)>> {
    let mut sessions: Vec<(SessionId, i32)> = Vec::new();
    for _ in 0..int(&mut reader)? {
        sessions.push((SessionId(long(&mut reader)?), int(&mut reader)?));
    }
    Ok(sessions)
}

/// The latest zxid that any node of a snapshot bears, read without making a tree of it.
pub(crate) fn latest_zxid(disk: &DiskRef, path: &Path) -> Result<Zxid, Failure> {
    let read = || -> io::Result<i64> {
        let mut reader = SnapshotReader::open(disk, path)?;
        let sessions = int(&mut reader)?;
        skip(&mut reader, i64::from(sessions) * 12)?;
        for _ in 0..int(&mut reader)? {
            long(&mut reader)?;
            for _ in 0..int(&mut reader)? {
                int(&mut reader)?;
                // Scheme and id.
                for _ in 0..2 {
                    let length = int(&mut reader)?;
                    skip(&mut reader, i64::from(length))?;
                }
            }
        }
        let mut latest = 0;
        loop {
            let length = int(&mut reader)?;
            if length == 1 {
                // No node but the end has a path of one character.
                return Ok(latest);
            }
            skip(&mut reader, i64::from(length))?;
            let length = int(&mut reader)?;
            skip(&mut reader, i64::from(length))?;
            // The ACL's number; then, of the Stat, two zxids, two times, three versions, the owner and a zxid.
            skip(&mut reader, 8)?;
            latest = latest.max(long(&mut reader)?).max(long(&mut reader)?);
            skip(&mut reader, 8 + 8 + 4 + 4 + 4 + 8)?;
            latest = latest.max(long(&mut reader)?);
        }
    };
    read().map(Zxid).map_err(|error| damaged(path, &without_code(&error)))
}

fn int(reader: &mut SnapshotReader) -> io::Result<i32> {
    let mut bytes = [0; 4];
    reader.read_exact(&mut bytes)?;
    Ok(i32::from_be_bytes(bytes))
}

fn long(reader: &mut SnapshotReader) -> io::Result<i64> {
    let mut bytes = [0; 8];
    reader.read_exact(&mut bytes)?;
    Ok(i64::from_be_bytes(bytes))
}

/// Reads over bytes; a negative number is jute's null, and none.
fn skip(reader: &mut SnapshotReader, count: i64) -> io::Result<()> {
    let mut left = usize::try_from(count).unwrap_or(0);
    while left > 0 {
        let ready = reader.fill_buf()?.len().min(left);
        if ready == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the snapshot ends too early"));
        }
        reader.consume(ready);
        left -= ready;
    }
    Ok(())
}

/// What Java says of a file that is named on a command line and is none, with the exit code 2.
///
/// # Errors
/// A missing or unreadable file, or a directory.
pub fn require_file(name: &str) -> Result<(), Failure> {
    let path = Path::new(name);
    let shown = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let shown = shown.display();
    let message = match std::fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => format!("Read permission is denied on the file '{shown}'"),
        Err(_) => format!("File '{shown}' does not exist."),
        Ok(metadata) => match std::fs::File::open(path) {
            Err(_) => format!("Read permission is denied on the file '{shown}'"),
            Ok(_) if metadata.is_dir() => format!("'{shown}' is a directory. it must be a file."),
            Ok(_) => return Ok(()),
        },
    };
    Err(Failure { exit_code: EXIT_INVALID_INVOCATION, message })
}

/// What our own rules say of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Nodes, the root once.
    pub nodes: usize,
    /// Sessions.
    pub sessions: usize,
    /// The zxid in the name.
    pub zxid: Option<Zxid>,
    /// The digest that the file carries.
    pub digest: Option<SnapshotDigest>,
    /// The first zxid whose state this snapshot surely is, or a later one: a snapshot of Java's is taken while
    /// transactions go on, and holds part of what came after the zxid in its name.
    pub exact_from: Zxid,
    /// What is odd but harmless.
    pub note: Option<String>,
    /// What is wrong; `None` for a healthy one.
    pub problem: Option<String>,
}

/// Judges a snapshot: header, every node, checksums, digest.
///
/// # Errors
/// An unreadable file. What is no snapshot is a verdict.
pub fn verify(path: &Path) -> Result<Verdict, Failure> {
    let disk = RealDisk::shared();
    if let Err(error) = std::fs::File::open(path) {
        return Err(Failure::of_file(path, &error));
    }
    let none = Verdict { nodes: 0, sessions: 0, zxid: None, digest: None, exact_from: Zxid::ZERO, note: None, problem: None };
    let snapshot = match load_on(&disk, path, TreeOptions::default()) {
        Ok(snapshot) => snapshot,
        Err(failure) => return Ok(Verdict { problem: Some(failure.message), ..none }),
    };
    let end = snapshot.end.clone().unwrap_or_default();
    let mut verdict = Verdict {
        nodes: snapshot.tree.node_count() - 1,
        sessions: snapshot.sessions.len(),
        zxid: snapshot.name_zxid,
        digest: end.digest,
        exact_from: exact_from(&disk, path, &snapshot)?,
        note: None,
        problem: snapshot.end.as_ref().err().cloned(),
    };
    let Some(zxid) = verdict.zxid else {
        verdict.note = Some("its name says no zxid: a server would not read it".to_owned());
        return Ok(verdict);
    };
    // A writer that had applied nothing knows no digest and writes zeros.
    let is_known = |digest: &SnapshotDigest| digest.version == oxkeeper_proto::txn::DIGEST_VERSION && digest.zxid > Zxid::ZERO;
    if let Some(digest) = end.digest.filter(is_known) {
        let actual = snapshot.tree.digest();
        if digest.digest == actual {
        } else if digest.zxid < zxid {
            // Java counts a transaction as applied before it notes the digest, and notes none until it has caught up
            // with a snapshot that was taken while transactions went on.
            verdict.note = Some(format!("its digest is that of {}, before the last transaction, so it cannot be compared", digest.zxid));
        } else if verdict.exact_from > zxid || digest.zxid > zxid {
            verdict.note = Some(format!(
                "it was taken while transactions went on (up to {}), so its digest can only be compared once the log has been replayed",
                verdict.exact_from.max(digest.zxid)
            ));
        } else {
            verdict.problem = verdict.problem.or(Some(format!(
                "its digest is {:#x}, and the nodes have {actual:#x}: the writer's memory or the file was damaged",
                digest.digest
            )));
        }
    }
    Ok(verdict)
}

/// See [`Verdict::exact_from`].
pub(crate) fn exact_from(disk: &DiskRef, path: &Path, snapshot: &Snapshot) -> Result<Zxid, Failure> {
    let end = snapshot.end.clone().unwrap_or_default();
    let named = snapshot.name_zxid.unwrap_or(Zxid::ZERO).max(end.last_zxid.unwrap_or(Zxid::ZERO));
    Ok(latest_zxid(disk, path)?.max(named).max(end.digest.map_or(Zxid::ZERO, |digest| digest.zxid)))
}

/// A step of [`visit`].
pub(crate) enum Visit<'a> {
    /// A node, before its children.
    Enter {
        path: &'a str,
        depth: usize,
        /// Whether it has children.
        is_parent: bool,
    },
    /// After the children of a node that has some.
    Leave { depth: usize },
}

/// Walks a subtree in the order in which Java's tools do; without recursion, since paths may be very deep. A path that
/// does not exist is not visited.
pub(crate) fn visit(tree: &Tree, from: &str, mut step: impl FnMut(Visit<'_>)) {
    let children = |path: &str| {
        let names = tree.get(path).map(|node| node.children().collect::<Vec<&str>>()).unwrap_or_default();
        // In a snapshot that was just read the names stand in the order of the file, as they came into Java's tables.
        let mut names = crate::java_order::strings(names, 8, |name| name);
        names.reverse();
        names
    };
    if tree.get(from).is_none() {
        return;
    }
    let mut path = from.to_owned();
    let top = children(&path);
    step(Visit::Enter { path: &path, depth: 0, is_parent: !top.is_empty() });
    // For each open parent: its path's length, and the children that are still to come.
    let mut open = vec![(path.len(), top)];
    while let Some((length, left)) = open.last_mut() {
        path.truncate(*length);
        let Some(name) = left.pop() else {
            open.pop();
            step(Visit::Leave { depth: open.len() });
            continue;
        };
        if path != "/" {
            path.push('/');
        }
        path.push_str(name);
        let below = children(&path);
        step(Visit::Enter { path: &path, depth: open.len(), is_parent: !below.is_empty() });
        if !below.is_empty() {
            open.push((path.len(), below));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use oxkeeper_store::names::Compression;
    use oxkeeper_store::snapshot::SnapshotWriter;
    use std::io::Write as _;

    /// A snapshot of an empty tree, named after zxid 0x57.
    fn snapshot_with(digest: SnapshotDigest) -> Verdict {
        let directory = std::env::temp_dir().join(format!("oxkeeper-verify-{}-{}", std::process::id(), digest.zxid.0));
        std::fs::create_dir_all(&directory).unwrap();
        let mut tree = Tree::new(TreeOptions::default());
        let mut view = tree.begin_view().unwrap();
        let mut writer = SnapshotWriter::create(&RealDisk::shared(), &directory, Zxid(0x57), Compression::None).unwrap();
        let mut chunk = Vec::new();
        while !view.next_chunk(&tree, &mut chunk, 1 << 20) {}
        writer.write_all(&chunk).unwrap();
        let end = SnapshotEnd { digest: Some(digest), last_zxid: None };
        let verdict = verify(&directory.join(writer.finish(end).unwrap().name)).unwrap();
        std::fs::remove_dir_all(&directory).unwrap();
        verdict
    }

    /// Java counts a transaction as applied before it notes the digest: a snapshot of a healthy server may carry the
    /// digest from before its last transaction.
    #[test]
    fn only_the_digest_of_the_last_transaction_convicts() {
        let wrong = |zxid| SnapshotDigest { zxid: Zxid(zxid), version: oxkeeper_proto::txn::DIGEST_VERSION, digest: 1 };
        let same = snapshot_with(wrong(0x57));
        assert!(same.problem.is_some_and(|problem| problem.contains("digest")), "another digest of the same zxid");
        for (zxid, part) in [(0x56, "before the last transaction"), (0x58, "while transactions went on")] {
            let verdict = snapshot_with(wrong(zxid));
            assert_eq!(verdict.problem, None, "{zxid:#x}");
            assert!(verdict.note.as_deref().is_some_and(|note| note.contains(part)), "{zxid:#x}: {:?}", verdict.note);
        }
    }
}
