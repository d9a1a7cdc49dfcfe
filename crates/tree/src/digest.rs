//! The digest of a tree, version 2 of ZooKeeper's: the sum, modulo 2^64, of one CRC-32 per node over
//! its path, its data and its Stat.
//!
//! [`ContentCrc`] is the CRC up to the Stat; it is kept with each node, so that a change of the Stat
//! alone does not read the data again.

use oxkeeper_proto::records::StatPersisted;

/// The CRC-32 over a node's path and data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ContentCrc(pub u32);

/// The CRC over a path ("/" counts as "") and data (null counts as nothing).
#[inline]
pub fn content_crc(path: &str, data: Option<&[u8]>) -> ContentCrc {
    let mut crc = crc32fast::Hasher::new();
    if path != "/" {
        crc.update(path.as_bytes());
    }
    if let Some(data) = data {
        crc.update(data);
    }
    ContentCrc(crc.finalize())
}

/// Nodes below `/zookeeper` differ between servers for a while (quotas) and stay out of the digest;
/// `/zookeeper` itself is in it.
#[inline]
pub fn is_excluded(path: &str) -> bool {
    path.starts_with("/zookeeper/")
}

/// What one node adds to the tree's digest.
#[inline]
pub fn node_digest(path: &str, content: ContentCrc, stat: &StatPersisted) -> u64 {
    if is_excluded(path) { 0 } else { included_node_digest(content, stat) }
}

/// [`node_digest`] of a node whose path is known not to be excluded.
#[inline]
pub fn included_node_digest(content: ContentCrc, stat: &StatPersisted) -> u64 {
    let mut bytes = [0u8; 60];
    // pzxid is the third here, unlike in the snapshot's record.
    bytes[0..8].copy_from_slice(&stat.czxid.to_be_bytes());
    bytes[8..16].copy_from_slice(&stat.mzxid.to_be_bytes());
    bytes[16..24].copy_from_slice(&stat.pzxid.to_be_bytes());
    bytes[24..32].copy_from_slice(&stat.ctime.to_be_bytes());
    bytes[32..40].copy_from_slice(&stat.mtime.to_be_bytes());
    bytes[40..44].copy_from_slice(&stat.version.to_be_bytes());
    bytes[44..48].copy_from_slice(&stat.cversion.to_be_bytes());
    bytes[48..52].copy_from_slice(&stat.aversion.to_be_bytes());
    bytes[52..60].copy_from_slice(&stat.ephemeral_owner.to_be_bytes());
    let mut crc = crc32fast::Hasher::new_with_initial(content.0);
    crc.update(&bytes);
    u64::from(crc.finalize())
}
