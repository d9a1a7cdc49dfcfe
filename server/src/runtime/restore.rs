//! Restoring a snapshot that somebody sends to the AdminServer: taken in and checked while the server goes on; then the
//! server stops in good order, the snapshot takes the place of all files, and it starts anew in the same process.
//!
//! Java exchanges the database under its connections, and leaves logs on the disk that do not follow it. Here connections
//! are cut for that moment, and what the disk holds is what is served. Old files are put aside, not deleted.

use super::shared::{Shared, unpoisoned};
use log::info;
use oxkeeper_proto::Zxid;
use oxkeeper_proto::txn::DIGEST_VERSION;
use oxkeeper_store::RealDisk;
use oxkeeper_store::names::{self, Compression};
use oxkeeper_store::snapshot::SnapshotReader;
use oxkeeper_tree::TreeOptions;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::PathBuf;

/// A whole and checked snapshot in a file that no server reads, and the next start removes.
#[derive(Debug)]
pub struct Staged {
    path: PathBuf,
    /// The zxid that it is of.
    pub zxid: Zxid,
}

/// Takes a snapshot in, and checks all of it.
///
/// # Errors
/// What is wrong with the bytes, or the disk. Nothing has changed then.
pub fn stage(shared: &Shared, from: &mut dyn Read) -> io::Result<Staged> {
    let path = shared.config.snap_dir().join(format!("{}restore", names::TEMPORARY_PREFIX));
    let staged = receive(shared, from, path.clone());
    if staged.is_err() {
        // The next start would do it, too.
        let _ = fs::remove_file(&path);
    }
    staged
}

fn receive(shared: &Shared, from: &mut dyn Read, path: PathBuf) -> io::Result<Staged> {
    let mut file = File::create(&path)?;
    let bytes = io::copy(from, &mut file)?;
    file.sync_all()?;
    drop(file);
    let config = &shared.config;
    let options = TreeOptions {
        extended_types: config.extended_types_enabled,
        emulate_353_ttl: config.emulate_353_ttl_nodes,
        digest_enabled: config.digest_enabled,
    };
    let wrong = |reason: String| io::Error::new(io::ErrorKind::InvalidData, reason);
    let mut reader = SnapshotReader::open(&RealDisk::shared(), &path)?;
    let tree = oxkeeper_tree::snapshot::load(&mut reader, options).map_err(|error| wrong(error.to_string()))?;
    let end = reader.finish()?;
    let zxid = end.last_zxid.ok_or_else(|| wrong("the snapshot does not say of which zxid it is".to_owned()))?;
    if let Some(digest) = end.digest.filter(|digest| config.digest_enabled && digest.version == DIGEST_VERSION && digest.zxid == zxid)
        && digest.digest != tree.digest()
    {
        return Err(wrong(format!("the digest of the snapshot is {:#x}, and it says {:#x}", tree.digest(), digest.digest)));
    }
    info!("The snapshot {zxid} to be restored has come: {bytes} bytes, {} znodes, {} sessions", tree.node_count(), tree.session_count());
    Ok(Staged { path, zxid })
}

/// Makes a staged snapshot the only history. All threads that write files have ended.
///
/// As Java's, our zxids never go back: clients take no server that is behind what they have seen. So the state of the
/// snapshot counts as that of the last transaction there was, if that is the later one.
///
/// # Errors
/// What the disk says.
pub fn install(shared: &Shared, staged: &Staged) -> io::Result<()> {
    let directory = shared.config.snap_dir();
    let zxid = staged.zxid.max(shared.tree().last_zxid());
    fs::rename(&staged.path, directory.join(format!("{}{}", names::STAGED_PREFIX, names::snapshot_name(zxid, Compression::None))))?;
    File::open(&directory)?.sync_all()?;
    unpoisoned(shared.store.lock()).adopt_staged(zxid)?;
    info!("Restored to {}, which follows {zxid}: the files from before were put aside", staged.zxid);
    Ok(())
}
