//! Peers and zxids: how transactions, opaque here, become committed.
//!
//! Today this room holds the quorum rule and the broadcast of an established leader. A standalone
//! server is the leader of an ensemble of one: it skips election, discovery and synchronisation and
//! acknowledges its own proposals, through the same machine that counts the acknowledgements of
//! followers.

#![forbid(unsafe_code)]

mod broadcast;
mod quorum;

pub use broadcast::{Broadcast, Input, Output};
pub use quorum::{Quorum, Sid};
