//! A thread for a client: joins the machine of `client` with the sockets of `net`, the clock and the resolver.
//!
//! [`Handle`] is the door for the C library and the load generator: requests from any thread, everything that happens
//! handed to a [`Sink`] in batches, on the handle's one thread and without a lock held. [`ZooKeeper`] is the door for
//! Rust programs: calls that wait, and a callback for events. There is no state outside the handles.

#![forbid(unsafe_code)]

mod engine;
mod handle;
mod zookeeper;

pub use handle::{Handle, Resolve, Sink, StartOptions, SystemResolver};
pub use oxkeeper_client::{Batch, Delivery};
pub use zookeeper::{Acl, Builder, Error, Event, Identity, MultiOutcome, Pending, ZooKeeper};

/// The machine's own types, so that callers need no dependency of their own.
pub use oxkeeper_client as client;
