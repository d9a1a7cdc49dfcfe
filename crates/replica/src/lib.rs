//! Sessions and requests: one whole server as two deterministic machines.
//!
//! [`core::Core`] takes writes, sessions and what the log and the quorum say, and decides the order
//! of everything; [`front::Front`], one for each reactor, has the connections, answers reads in
//! place from the committed tree, and keeps each connection's replies in order. [`apply::apply`]
//! joins them: it puts committed transactions into the tree and their events and replies into the
//! inboxes of the fronts. Threads, sockets and files are the server's.

#![forbid(unsafe_code)]

pub mod apply;
pub mod audit;
pub mod core;
pub mod frame;
pub mod front;
pub mod inbox;
pub mod java_address;
pub mod limits;
pub mod meter;
mod overlay;
pub mod prepare;
pub mod read;
pub mod request;
pub mod sessions;
