//! Znodes: applies transactions, answers reads, remembers watches, counts quotas, keeps the digest,
//! turns the whole state into a snapshot's bytes and back.
//!
//! [`Tree`] is everything that the servers of an ensemble share: nodes, ACLs, sessions. What each
//! server has for itself (connections, watches) stands beside it: [`watches::Watches`]. Who may do
//! what, and which transaction a request becomes, is left to `replica`; files to `store`.

#![forbid(unsafe_code)]

mod acls;
mod apply;
pub mod body_scanner;
mod children;
pub mod digest;
mod free_slots;
mod id_set;
mod id_table;
mod owners;
pub mod quota;
mod slab;
pub mod snapshot;
mod tree;
mod view;
pub mod watches;

pub use apply::{Applied, Change, ChangeSink, DigestMismatch, NoopSink, OpResult, SubResult};
pub use digest::ContentCrc;
pub use owners::{CONTAINER as CONTAINER_OWNER, OwnerKind, ttl_owner};
pub use quota::{QuotaStatus, StatsTrack};
pub use tree::{Node, Tree, TreeOptions};
pub use view::{KeptAside, View, ViewInUse};
