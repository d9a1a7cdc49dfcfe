//! The running server: its threads and what they share.
//!
//! - `shared`: the core, the tree and the queues, and the order in which they are locked.
//! - `reactor`: sockets and fronts, one thread for each core of the machine.
//! - `logger`: the thread that appends, syncs and applies.
//! - `snapshots`: the thread that writes snapshots and purges old ones.
//! - `clock`: the thread that expires sessions and reaps containers.
//! - `words`: the thread that answers four-letter words.
//! - `notify`: what systemd is told.
//! - `pulse`: whether the process stood still.
//! - `start`: recovery of the directory, and everything in its order up and down.

mod admin;
mod clock;
mod console;
mod huge_pages;
mod logger;
mod loopback;
mod notify;
pub(crate) mod pulse;
mod reactor;
mod restore;
mod scrape;
pub(crate) mod shared;
mod snapshots;
mod start;
mod words;

pub use start::{Failure, serve};
