//! Identities: the schemes (world, ip, digest, super, auth) and the evaluation of ACLs.
//!
//! Pure. Which permission a request needs is the replica's business; replies, closing and the
//! counting of outcomes are the server's.

#![forbid(unsafe_code)]

mod address;
mod digest;
mod identity;
mod mechanism;
mod schemes;

pub use digest::{DigestAlgorithm, UnknownAlgorithm};
pub use identity::{Identity, add_identity, user_name};
pub use mechanism::{Mechanism, MechanismStep};
pub use schemes::{AuthOutcome, Ensemble, SchemeOptions, Schemes};
