//! Old snapshots and logs deleted as Java's PurgeTxnLog does it, beside a server that may be running. A snapshot counts
//! only if it has been read and found whole, where Java looks at its last bytes alone.

use crate::{Calendar, Failure};
use oxkeeper_proto::Zxid;
use oxkeeper_store::{DiskRef, RealDisk, names, snapshot};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// Fewer snapshots are never kept.
pub const LEAST_RETAINED: i32 = 3;

/// Deletes all but the newest `retain` good snapshots, and the logs that only older ones need; says of each file that it
/// goes. `log_directory` and `snapshot_directory` are those of zoo.cfg, or their `version-2`.
///
/// # Errors
/// A directory that cannot be read.
pub fn purge(
    log_directory: &Path,
    snapshot_directory: &Path,
    retain: usize,
    calendar: &dyn Calendar,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<(), Failure> {
    let logs = version_directory(log_directory)?;
    let snapshots = version_directory(snapshot_directory)?;
    let disk = RealDisk::shared();
    let found = list(&disk, &snapshots, names::snapshot_zxid)?;
    let mut oldest_kept = None;
    let mut good = 0;
    for (zxid, name) in found.iter().rev() {
        if good == retain {
            break;
        }
        if !names::is_plain_snapshot(name) {
            continue;
        }
        match snapshot::verify(&disk, &snapshots.join(name)) {
            Ok(_) => {
                good += 1;
                oldest_kept = Some(*zxid);
            }
            Err(error) => writeln!(err, "{}: {error}: does not count", snapshots.join(name).display())?,
        }
    }
    let Some(oldest_kept) = oldest_kept else { return Ok(()) };
    // Snapshots before logs: no snapshot is ever left without the log that it needs. (Java deletes in the other order.)
    let mut doomed: Vec<PathBuf> = found.iter().filter(|(zxid, _)| *zxid < oldest_kept).map(|(_, name)| snapshots.join(name)).collect();
    let found = list(&disk, &logs, names::log_zxid)?;
    // The newest log that begins at or before the snapshot may hold what comes after it.
    let needed = found.iter().filter(|(zxid, _)| *zxid <= oldest_kept).map(|(zxid, _)| *zxid).max();
    doomed.extend(found.iter().filter(|(zxid, _)| *zxid < oldest_kept && Some(*zxid) != needed).map(|(_, name)| logs.join(name)));
    for path in doomed {
        let modified = std::fs::metadata(&path).and_then(|metadata| metadata.modified()).unwrap_or(UNIX_EPOCH);
        let epoch_ms = modified.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64);
        writeln!(out, "Removing file: {}\t{}", calendar.medium(epoch_ms), path.display())?;
        if std::fs::remove_file(&path).is_err() {
            writeln!(err, "Failed to remove {}", path.display())?;
        }
    }
    Ok(())
}

/// The directory with the files: `version-2` below, made if it is missing, as Java does; or the directory itself if it is
/// one already.
fn version_directory(directory: &Path) -> Result<PathBuf, Failure> {
    if directory.file_name().is_some_and(|name| name == names::VERSION_DIRECTORY) {
        return Ok(directory.to_owned());
    }
    let below = directory.join(names::VERSION_DIRECTORY);
    if !below.is_dir() {
        std::fs::create_dir_all(&below).map_err(|error| Failure::of_file(&below, &error))?;
    }
    Ok(below)
}

/// Files with a zxid in their names, in order.
fn list(disk: &DiskRef, directory: &Path, zxid: fn(&str) -> Option<Zxid>) -> Result<Vec<(Zxid, String)>, Failure> {
    let entries = disk.list(directory).map_err(|error| Failure::of_file(directory, &error))?;
    let mut found: Vec<(Zxid, String)> = entries.into_iter().filter_map(|entry| Some((zxid(&entry.name)?, entry.name))).collect();
    found.sort();
    Ok(found)
}
