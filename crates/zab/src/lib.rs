//! Peers and zxids: how transactions, opaque here, become committed.
//!
//! Today this room holds the quorum rule and the broadcast of an established leader. A standalone
//! server is the leader of an ensemble of one: it skips election, discovery and synchronisation and
//! acknowledges its own proposals, through the same machine that counts the acknowledgements of
//! followers.

#![forbid(unsafe_code)]

mod broadcast;
mod config;
mod election;
mod notification;
mod quorum;
mod vote;

pub use broadcast::{Broadcast, Input, Output};
pub use config::{Config, ConfigError, HostPort, Member, MemberAddress, MemberRole};
pub use election::{Candidate, Election, ElectionOptions, ElectionOutput};
pub use notification::{ANONYMOUS, MAX_ADDRESS_BYTES, MAX_MESSAGE_BYTES, Notification, Opening, WireError, encode_notification};
pub use quorum::{Hierarchy, Quorum, Sid};
pub use vote::{PeerState, Vote};
