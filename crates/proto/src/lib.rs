//! Bytes: the jute runtime, the records, operation and error codes, paths, zxids and the encoding
//! of transactions. What the bytes mean to a tree, a session or a peer belongs to later rooms.

#![forbid(unsafe_code)]

pub mod acl;
pub mod code;
pub mod collections;
pub mod java_string;
pub mod jute;
pub mod mutant;
pub mod path;
#[rustfmt::skip]
pub mod records;
pub mod session;
pub mod txn;
pub mod zxid;

pub use acl::{AclEntry, AclList};
pub use code::{ErrorCode, EventType, OpCode, perms};
pub use jute::{JuteError, Reader, Record, Write};
pub use mutant::Mutant;
pub use session::SessionId;
pub use zxid::Zxid;
