//! A leader's snapshot, as it comes over a link: to a file that no server reads before it is whole.

use log::info;
use oxkeeper_proto::Zxid;
use oxkeeper_store::Store;
use oxkeeper_store::snapshot::SnapshotWriter;
use oxkeeper_tree::body_scanner::BodyScanner;
use std::fmt;
use std::io::{self, Write};

/// What a leader sends behind the body, as a jute string.
pub(crate) const SIGNATURE: &[u8] = b"\0\0\0\x0aBenWasHere";

/// A whole body, in a file without a name of its own yet.
pub struct Received {
    /// The zxid that the leader announced.
    pub zxid: Zxid,
    pub(crate) writer: SnapshotWriter,
}

impl fmt::Debug for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Received({})", self.zxid)
    }
}

/// Takes in a snapshot piece by piece.
pub struct SnapshotReceiver {
    zxid: Zxid,
    scanner: BodyScanner,
    writer: SnapshotWriter,
    /// How much of the signature has come, once the body has ended.
    signed: Option<usize>,
    bytes: u64,
}

impl SnapshotReceiver {
    /// Begins with the snapshot that a SNAP packet of this zxid announces.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn new(store: &Store, zxid: Zxid) -> io::Result<Self> {
        info!("Getting a snapshot from leader {zxid}");
        let writer = store.staged_snapshot_writer(zxid)?;
        Ok(Self { zxid, scanner: BodyScanner::default(), writer, signed: None, bytes: 0 })
    }

    /// Takes the next piece. `Some(n)`: all is there, with the first n bytes of it.
    ///
    /// # Errors
    /// When these bytes are no snapshot, or cannot be written.
    pub fn feed(&mut self, piece: &[u8]) -> io::Result<Option<usize>> {
        let mut at = 0;
        if self.signed.is_none() {
            let end = self.scanner.feed(piece).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            at = end.unwrap_or(piece.len());
            self.writer.write_all(&piece[..at])?;
            self.bytes += at as u64;
            self.signed = end.map(|_| 0);
        }
        let Some(signed) = &mut self.signed else { return Ok(None) };
        let taken = (SIGNATURE.len() - *signed).min(piece.len() - at);
        if piece[at..at + taken] != SIGNATURE[*signed..*signed + taken] {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the snapshot does not end with the leader's signature"));
        }
        *signed += taken;
        Ok((*signed == SIGNATURE.len()).then_some(at + taken))
    }

    /// The whole body.
    ///
    /// # Panics
    /// If [`SnapshotReceiver::feed`] has not said that all is there.
    pub fn finish(self) -> Received {
        assert_eq!(self.signed, Some(SIGNATURE.len()), "only a whole snapshot is finished");
        info!("The snapshot {} has come, {} bytes", self.zxid, self.bytes);
        Received { zxid: self.zxid, writer: self.writer }
    }
}
