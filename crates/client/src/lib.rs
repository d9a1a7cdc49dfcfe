//! The client's half of a ZooKeeper session as a pure machine: [`Client`].
//!
//! It knows xids, watches, the chroot, the list of servers, pings, timeouts and reconnecting. Sockets, time, names
//! and threads are the caller's: it brings what happened with [`Client::handle`] and user requests with
//! [`Client::submit`], drains [`Client::poll`] after each of them, and writes [`Client::unsent`] to the link.
//! `driver` does that on a thread for Rust programs and for the C library's `mt`; `st` does it in its caller's loop.
//!
//! Paths, schemes and ids are bytes as they go over the wire: C programs may use any. Rust text goes through
//! [`wire_text`] first.

#![forbid(unsafe_code)]

mod batch;
mod chroot;
mod client;
mod connect_string;
mod operation;
mod options;
mod output;
mod path;
pub mod reply;
mod servers;
mod watches;

pub use batch::{Batch, Delivery};
pub use chroot::Chroot;
pub use client::Client;
pub use connect_string::{ConnectString, HostError, HostPort};
pub use operation::{
    AclRef, AddWatchMode, CreateMode, MultiOp, Operation, RawWatch, ReadOp, RequestBatch, SubmitError, TableKind, WatchesToRemove,
};
pub use options::{Options, Password};
pub use output::{Completion, Input, Level, Output, PendingRequests, SaslStep, SessionEvent, State, WatchEvent, WatcherId};
pub use path::is_valid as is_valid_path;

/// The bytes that ZooKeeper's own string writer makes of a text (CESU-8).
pub fn wire_text(text: &str) -> std::borrow::Cow<'_, [u8]> {
    oxkeeper_proto::java_string::encode(text)
}

/// The text that Java would read from these bytes.
pub fn text_of_wire(bytes: &[u8]) -> std::borrow::Cow<'_, str> {
    oxkeeper_proto::java_string::decode(bytes)
}
