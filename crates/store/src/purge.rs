//! Deleting snapshots and logs that are no longer needed (`autopurge`). When, is the caller's business.

use crate::names;
use crate::snapshot;
use crate::store::Store;
use oxkeeper_proto::zxid::Zxid;
use std::io;
use std::path::PathBuf;

/// Java keeps no fewer.
pub const LEAST_RETAINED: usize = 3;

impl Store {
    /// Notes that a snapshot is whole, because it has just been written and read back.
    pub fn note_verified(&mut self, file: &snapshot::SnapshotFile) {
        self.verified.insert((file.name.clone(), file.size_bytes));
    }

    /// Deletes all but the newest `retain` snapshots (at least three) and the logs that only older ones need; returns
    /// what was deleted. A snapshot counts only when it has been read and found whole: one that is damaged neither
    /// pushes a good one out nor is it deleted as long as it is newer than the oldest good one that stays.
    pub fn purge(&mut self, retain: usize) -> io::Result<Vec<PathBuf>> {
        let (snapshots, logs) = (self.directories.snapshots(), self.directories.logs());
        let entries = self.disk.list(&snapshots)?;
        self.verified.retain(|(name, size)| entries.iter().any(|entry| entry.name == *name && entry.size == *size));
        let mut found: Vec<(Zxid, &crate::disk::Entry)> =
            entries.iter().filter_map(|entry| Some((names::snapshot_zxid(&entry.name)?, entry))).collect();
        found.sort_by_key(|(zxid, entry)| (std::cmp::Reverse(*zxid), entry.name.clone()));
        let mut oldest_kept = None;
        let mut good = 0;
        for (zxid, entry) in &found {
            if good == retain.max(LEAST_RETAINED) {
                break;
            }
            let key = (entry.name.clone(), entry.size);
            if !names::is_plain_snapshot(&entry.name) {
                continue;
            }
            if !self.verified.contains(&key) {
                if let Err(error) = snapshot::verify(&self.disk, &snapshots.join(&entry.name)) {
                    log::warn!("invalid snapshot {}: {error}", snapshots.join(&entry.name).display());
                    continue;
                }
                self.verified.insert(key);
            }
            good += 1;
            oldest_kept = Some(*zxid);
        }
        let Some(oldest_kept) = oldest_kept else { return Ok(Vec::new()) };
        let mut removed = Vec::new();
        // Snapshots before logs: no snapshot is ever left without the log it needs.
        for (_, entry) in found.iter().rev().filter(|(zxid, _)| *zxid < oldest_kept) {
            removed.push(snapshots.join(&entry.name));
        }
        let mut found: Vec<(Zxid, String)> =
            self.disk.list(&logs)?.into_iter().filter_map(|entry| Some((names::log_zxid(&entry.name)?, entry.name))).collect();
        found.sort();
        // The newest log that begins at or before the snapshot may hold what comes after it.
        let needed = found.iter().filter(|(zxid, _)| *zxid <= oldest_kept).map(|(zxid, _)| *zxid).max();
        removed.extend(found.iter().filter(|(zxid, _)| *zxid < oldest_kept && Some(*zxid) != needed).map(|(_, name)| logs.join(name)));
        for path in &removed {
            self.disk.remove(path)?;
        }
        if !removed.is_empty() {
            self.disk.sync_directory(&snapshots)?;
            self.disk.sync_directory(&logs)?;
        }
        Ok(removed)
    }
}
