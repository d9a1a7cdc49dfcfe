//! Sockets: mio, buffers and listeners; no ZooKeeper in it.
//!
//! What a frame says, when to close and what to answer belongs to the caller, and so does the
//! event loop: here are its parts.

#![forbid(unsafe_code)]

mod limits;
mod listener;
mod queue;
mod read;
mod stream;
mod write;

pub use limits::{Admission, ConnectionLimits, Refusal};
pub use listener::Listener;
pub use queue::{Full, Queue, Wakeup};
pub use read::{Prefix, ReadBuffer, ReadOutcome};
pub use stream::Stream;
pub use write::{FlushOutcome, WriteBuffer};

/// The event loop's own types, so that callers need no dependency of their own.
pub use mio;
