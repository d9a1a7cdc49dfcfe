//! Reads a snapshot's body, ours or Java's: sessions, ACLs, nodes, terminator. The header before it
//! and the seals after it are `store`'s; `view` writes such a body.

use crate::tree::{Tree, TreeOptions};
use std::fmt;
use std::io;

/// Why bytes are no snapshot's body.
#[derive(Debug)]
pub enum LoadError {
    /// The source failed, or ended too early.
    Io(io::Error),
    /// A length or count that no writer writes: what of, and its value.
    Length(&'static str, i32),
    /// The first node is not the root.
    NoRoot,
    /// A path that does not begin with `/`, or that came before.
    BadPath(String),
    /// A node before its parent.
    NoParent(String),
    /// An extended type of node that is not known, and its owner.
    UnknownOwner(String, i64),
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LoadError::Io(error) => error.fmt(f),
            LoadError::Length(what, length) => write!(f, "a {what} of {length}"),
            LoadError::NoRoot => write!(f, "the first node is not the root"),
            LoadError::BadPath(path) => write!(f, "a second node, or none at all, can have the path {path:?}"),
            LoadError::NoParent(path) => write!(f, "Invalid Datatree, unable to find parent of path {path}"),
            LoadError::UnknownOwner(path, owner) => write!(f, "Invalid ephemeralOwner. [{owner:x}] of {path}"),
        }
    }
}

impl std::error::Error for LoadError {}

impl From<io::Error> for LoadError {
    fn from(error: io::Error) -> Self {
        LoadError::Io(error)
    }
}

/// Reads a body up to and including its terminator; what follows stays in the reader. The zxid of
/// the state stands elsewhere: see [`Tree::set_last_zxid`].
///
/// # Errors
/// When the bytes end early or cannot be what a server wrote.
pub fn load(reader: &mut impl io::BufRead, options: TreeOptions) -> Result<Tree, LoadError> {
    let _ = (reader, options);
    Err(LoadError::NoRoot)
}
