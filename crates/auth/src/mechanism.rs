//! The door for SASL: a conversation of tokens on one connection. No mechanism lives here yet.

use crate::Identity;

/// What came of one token of the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MechanismStep {
    /// Send this token; the client has more to say.
    Continue(Vec<u8>),
    /// The client is who it says. The identities are added to the connection in this order
    /// (`sasl`, and `super` where options say so); a last token may go with the reply.
    Done {
        /// Token of the last reply; `None` is a null buffer on the wire.
        token: Option<Vec<u8>>,
        /// What the connection gains.
        identities: Vec<Identity>,
    },
    /// Refused. The server replies and closes, or keeps the client unauthenticated, by its options.
    Failed,
}

/// One authentication conversation. A connection makes a new one at its first SASL packet and
/// drops it after `Done` or `Failed`; nothing may be fed to it after either.
pub trait Mechanism: Send {
    /// Takes the client's token as it came and tells what to do.
    fn step(&mut self, token: &[u8]) -> MechanismStep;
}
