//! Histories: what the files of a server and its tree say together. The one owner of a member's files ([`Ledger`])
//! carries out what the core asks of the disk; a learner gets what it lacks from the files ([`synchronise`]); and a
//! leader's snapshot is taken in as it comes ([`SnapshotReceiver`]); what it says of the ensemble is [`last_seen`].
//!
//! `store` knows files and not what is in them, `tree` knows no files; here they meet, without threads and sockets, so
//! that the server and the simulator run the same code.

#![forbid(unsafe_code)]

mod ledger;
mod members;
mod reader;
mod receive;
mod replay;
mod sync;

pub use ledger::{Ledger, LedgerError, LedgerOptions, Stepped, load_tree};
pub use members::last_seen;
pub use reader::{Arrival, LinkReader};
pub use receive::{Received, SnapshotReceiver};
pub use replay::{place, replay, write_whole};
pub use sync::{SyncError, synchronise, synchronise_within};
