//! Peers and zxids: how transactions, opaque here, become committed.
//!
//! Today this room holds the quorum rule and the broadcast of an established leader. A standalone
//! server is the leader of an ensemble of one: it skips election, discovery and synchronisation and
//! acknowledges its own proposals, through the same machine that counts the acknowledgements of
//! followers.

#![forbid(unsafe_code)]

mod broadcast;
mod config;
mod election_placeholder;
mod following;
mod history;
mod leading;
pub mod packet;
pub mod peer;
mod quorum;
mod shared;
mod sync;

// `peer::Input` and `peer::Output` take these names over when `replica` stands on `Peer`.
pub use broadcast::{Broadcast, Input, Output};
pub use config::{Config, Member, MemberRole};
pub use packet::{Packet, PacketError, PacketKind};
pub use peer::{Durable, LearnerView, LinkId, Peer, PeerOptions, Role, SyncOrigin};
pub use quorum::{Quorum, Sid};
pub use sync::{SyncJob, SyncPlan, committed_packets, plan_from_log};
