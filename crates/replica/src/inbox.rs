//! What a front is told by whoever applies transactions: events and replies in the order in which
//! they must go out.

use crate::request::ConnId;
use oxkeeper_proto::{AclList, EventType, OpCode, SessionId};
use oxkeeper_tree::watches::Watches;
use std::ops::Range;
use std::sync::Mutex;

/// Which clients are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// None.
    None,
    /// Those that are content with a server that only answers reads.
    ReadOnly,
    /// All.
    Full,
}

/// One thing for a front to do.
#[derive(Debug)]
pub enum Item {
    /// Send these bytes of [`Inbox::bytes`].
    Reply {
        /// To whom.
        connection: ConnId,
        /// Which bytes.
        bytes: Range<usize>,
        /// What they answer.
        answers: Answered,
    },
    /// Tell the watchers that pass the ACL.
    Event {
        /// What happened.
        kind: EventType,
        /// To which node.
        path: Box<str>,
        /// By which transaction.
        zxid: i64,
        /// The ACL that a watcher must be allowed to read under; the node may be gone.
        acl: AclList,
        /// The slots of the watching connections.
        watchers: Vec<u32>,
    },
    /// A session was opened or found again, or not.
    Session {
        /// The connection that asked.
        connection: ConnId,
        /// The session; [`SessionId::NONE`] if there is none to be had.
        session: SessionId,
        /// The negotiated timeout, milliseconds; 0 if there is no session.
        timeout_ms: i32,
        /// When a new session was asked for, milliseconds of the monotonic clock; `None` for one
        /// that was asked for again.
        created_ms: Option<u64>,
    },
    /// Close the connection when what is before it has been sent.
    Close {
        /// Which.
        connection: ConnId,
    },
    /// Writes that will not be answered: the server has lost its role before it knew their fate.
    Forgotten {
        /// How many.
        writes: usize,
    },
    /// From here on these clients are served; if none, all connections are closed.
    Serve(Service),
}

/// What a reply answers, for the order and the statistics of the connection.
#[derive(Clone, Copy, Debug)]
pub struct Answered {
    /// The client's number.
    pub xid: i32,
    /// The op.
    pub op: OpCode,
    /// The zxid in the header.
    pub zxid: i64,
    /// When the request came in, milliseconds of the monotonic clock.
    pub received_ms: u64,
    /// It was a write: one less is outstanding on the connection.
    pub write: bool,
}

/// The queue of one front. Its length is bounded by the credits of the front's connections and by
/// the watches that they hold.
#[derive(Debug, Default)]
pub struct Inbox {
    /// What to do, in order.
    pub items: Vec<Item>,
    /// The bytes of the replies.
    pub bytes: Vec<u8>,
}

impl Inbox {
    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Appends a reply whose frame `fill` writes.
    pub fn reply(&mut self, connection: ConnId, answers: Answered, fill: impl FnOnce(&mut Vec<u8>)) {
        let start = self.bytes.len();
        fill(&mut self.bytes);
        self.items.push(Item::Reply { connection, bytes: start..self.bytes.len(), answers });
    }
}

/// The part of a front that others reach. Lock order: the tree, the watches, the inbox.
#[derive(Default)]
pub struct FrontShared {
    /// The watches of the front's connections.
    pub watches: Mutex<Watches>,
    /// The front's queue.
    pub inbox: Mutex<Inbox>,
}
