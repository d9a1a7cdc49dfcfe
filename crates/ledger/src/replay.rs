//! From files to a tree and back: a snapshot, the log behind it, and a snapshot of the whole.

use crate::ledger::LedgerError;
use oxkeeper_proto::Zxid;
use oxkeeper_proto::txn::{DIGEST_VERSION, LoggedTxn};
use oxkeeper_store::recovery::Replay;
use oxkeeper_store::snapshot::{SnapshotDigest, SnapshotEnd, SnapshotFile, SnapshotWriter};
use oxkeeper_tree::{DigestMismatch, NoopSink, Tree};
use std::io::{self, Write as _};

/// Says of a tree from a snapshot's body where it stands. Java's snapshots are fuzzy: until the zxid of the digest that
/// they bear, what transactions announce means nothing.
pub fn place(tree: &mut Tree, zxid: Zxid, digest: Option<SnapshotDigest>) {
    tree.set_last_zxid(zxid);
    if let Some(digest) = digest.filter(|digest| digest.version == DIGEST_VERSION && digest.zxid >= zxid) {
        tree.expect_digest_at(digest.zxid, Some(digest.digest));
    }
}

/// Applies the log behind a snapshot. Each record is shown before; so is each digest that is not the announced one.
///
/// # Errors
/// When a record is no transaction.
pub fn replay(
    tree: &mut Tree,
    log: &Replay,
    mut record: impl FnMut(Zxid, &[u8]),
    mut mismatch: impl FnMut(DigestMismatch),
) -> Result<(), LedgerError> {
    for logged in log.records() {
        let txn = LoggedTxn::read(logged.payload)
            .map_err(|e| LedgerError { reason: format!("transaction {} in the log cannot be read: {e}", logged.zxid) })?;
        record(logged.zxid, logged.payload);
        if let Some(wrong) = tree.apply(&txn, &mut NoopSink).digest_mismatch {
            mismatch(wrong);
        }
    }
    Ok(())
}

/// Writes a snapshot of the whole tree at once, while nobody waits for it.
///
/// # Errors
/// When it cannot be written, or the tree is being read for another one.
pub fn write_whole(tree: &mut Tree, mut writer: SnapshotWriter, end: SnapshotEnd) -> io::Result<SnapshotFile> {
    const CHUNK_BYTES: usize = 1 << 20;
    let mut view = tree.begin_view().map_err(|_| io::Error::other("the tree is being read for another snapshot"))?;
    let mut chunk = Vec::new();
    loop {
        chunk.clear();
        let done = view.next_chunk(tree, &mut chunk, CHUNK_BYTES);
        writer.write_all(&chunk)?;
        if done {
            break;
        }
    }
    tree.end_view(view);
    writer.finish(end)
}
