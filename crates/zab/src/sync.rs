//! How a learner is brought to the end of the leader's history: by what follows its own, by cutting first, or anew.

use bytes::Bytes;
use oxkeeper_proto::Zxid;

/// A learner that the leader's memory cannot serve: whoever reads the files does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncJob {
    /// The end of the learner's history.
    pub peer_last: Zxid,
    /// The end of the committed history: nothing behind it may be read from the files.
    pub through: Zxid,
    /// The last committed transactions, contiguous, ending with `through`: they need not be read from files.
    pub cached: Vec<(Zxid, Bytes)>,
}

/// What a learner gets first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncPlan {
    /// Everything after this zxid, which is the end of its own history.
    Diff {
        /// The zxid.
        after: Zxid,
    },
    /// Its history is cut behind this zxid; then everything after it.
    Trunc {
        /// The zxid.
        to: Zxid,
    },
    /// A snapshot, then everything after it.
    Snap,
}
