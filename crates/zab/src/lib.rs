//! Peers and zxids: how transactions, opaque here, become committed.
//!
//! [`Peer`] is the machine of one server: it looks for a leader, leads or learns, and broadcasts. A standalone server
//! is the leader of an ensemble of one: it skips election, discovery and synchronisation and acknowledges its own
//! proposals, through the same machine that counts the acknowledgements of followers.

#![forbid(unsafe_code)]

mod config;
mod election;
mod feeding;
mod following;
mod history;
mod kept;
mod leading;
mod masters;
mod notification;
pub mod packet;
pub mod peer;
mod quorum;
mod reconfig;
mod shared;
mod sync;
mod vote;

pub use config::{Config, ConfigError, HostPort, Member, MemberAddress, MemberRole};
pub use election::{Candidate, Election, ElectionOptions, ElectionOutput};
pub use kept::{Keep, KeptConfigs};
pub use notification::{ANONYMOUS, MAX_ADDRESS_BYTES, MAX_MESSAGE_BYTES, Notification, Opening, WireError, encode_notification};
pub use packet::{Packet, PacketError, PacketKind};
pub use peer::{Door, Durable, Input, LeaderView, LearnerView, LinkId, Output, Peer, PeerCounts, PeerOptions, Role, SyncOrigin};
pub use quorum::{Hierarchy, Quorum, Sid};
pub use reconfig::{Change, Refusal};
pub use sync::{SyncJob, SyncPlan, committed_packets, plan_from_log};
pub use vote::{PeerState, Vote};
