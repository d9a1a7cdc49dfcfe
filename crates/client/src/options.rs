//! What a client is told once, at its making.

use crate::{Chroot, HostPort, WatcherId};
use oxkeeper_proto::SessionId;

/// The password of a session, at most as long as servers make them.
pub type Password = [u8; 16];

/// What a client is told once, at its making.
#[derive(Clone, Debug)]
pub struct Options {
    /// Servers, not yet resolved.
    pub hosts: Vec<HostPort>,
    /// What goes before every path.
    pub chroot: Chroot,
    /// The session timeout to ask for; the server answers with the one that holds.
    pub session_timeout_ms: i32,
    /// A session to resume, or [`SessionId::NONE`].
    pub session: SessionId,
    /// Its password.
    pub password: Password,
    /// Whether a read-only server will do.
    pub can_be_read_only: bool,
    /// Whether the list of servers is shuffled, or taken in the order given.
    pub shuffle: bool,
    /// Seed of shuffling and rebalancing.
    pub seed: u64,
    /// xid of the first request; 1 in Java, the time of day in C.
    pub first_xid: i32,
    /// The longest frame taken from a server; beyond it the connection is dropped.
    pub max_frame_bytes: usize,
    /// While connected, names are resolved again at most this often; 0: with every ping, below 0: never.
    pub resolution_delay_ms: i64,
    /// Who gets the session events, besides every watcher that waits for something.
    pub default_watcher: WatcherId,
    /// Whether the link is a TLS one: [`crate::Output::StartTls`] comes before the handshake.
    pub tls: bool,
    /// Whether SASL comes after the handshake: [`crate::Output::SaslStart`].
    pub sasl: bool,
}

impl Options {
    /// Servers and a timeout, and for the rest: a new session, shuffled, read-write.
    pub fn new(hosts: Vec<HostPort>, chroot: Chroot, session_timeout_ms: i32, seed: u64) -> Self {
        Self {
            hosts,
            chroot,
            session_timeout_ms,
            session: SessionId::NONE,
            password: [0; 16],
            can_be_read_only: false,
            shuffle: true,
            seed,
            first_xid: 1,
            max_frame_bytes: 256 << 20,
            resolution_delay_ms: 0,
            default_watcher: WatcherId(0),
            tls: false,
            sasl: false,
        }
    }
}
