//! Reads a snapshot's body, ours or Java's: sessions, ACLs, nodes, terminator. The header before it
//! and the seals after it are `store`'s; `view` writes such a body.

use crate::acls;
use crate::digest;
use crate::owners::OwnerKind;
use crate::tree::{NewNode, ROOT, Tree, TreeOptions, utf16_length};
use oxkeeper_proto::collections::HashMap;
use oxkeeper_proto::records::StatPersisted;
use oxkeeper_proto::{AclEntry, AclList, Reader, Record as _, java_string};
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
/// the state stands elsewhere: see [`Tree::set_last_zxid`]. Takes no memory for lengths that the
/// bytes do not bear out. A reader with a buffer of a few hundred KiB is fastest.
///
/// # Errors
/// When the bytes end early or cannot be what a server wrote.
pub fn load(reader: &mut impl io::BufRead, options: TreeOptions) -> Result<Tree, LoadError> {
    let mut source = Source { reader, scratch: Vec::new() };
    let mut loader = Loader { tree: Tree::empty(options), acls: HashMap::default(), last_path: Vec::new(), branch: Vec::new() };
    for _ in 0..source.count("number of sessions")? {
        let id = i64::from_be_bytes(source.array()?);
        let timeout_ms = i32::from_be_bytes(source.array()?);
        loader.tree.sessions.insert(id, timeout_ms);
    }
    for _ in 0..source.count("number of ACLs")? {
        let id = i64::from_be_bytes(source.array()?);
        let list = source.acl()?;
        loader.add_acl(id, list);
    }
    loop {
        // Most records lie wholly within the reader's buffer and are taken from there.
        let buffer = source.reader.fill_buf();
        let taken = match buffer {
            Ok(bytes) => match NodeBytes::whole(bytes) {
                Some((node, length)) => {
                    loader.add_node(&node)?;
                    length
                }
                None => 0,
            },
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error.into()),
        };
        if taken != 0 {
            source.reader.consume(taken);
            continue;
        }
        let path_length = source.length("path")?.ok_or(LoadError::Length("path", -1))?;
        let path = source.bytes(path_length)?.to_vec();
        if path == b"/" {
            break;
        }
        let data_length = source.length("data")?;
        let data = match data_length {
            Some(length) => Some(source.bytes(length)?.to_vec()),
            None => None,
        };
        let tail: [u8; TAIL] = source.array()?;
        loader.add_node(&NodeBytes { path: &path, data: data.as_deref(), tail: &tail })?;
    }
    let mut tree = loader.tree;
    if tree.records.len() == 0 {
        return Err(LoadError::NoRoot);
    }
    tree.load_quotas();
    tree.acls.purge_unused();
    Ok(tree)
}

/// The bytes of a node's record after its data: the ACL's id and the Stat.
const TAIL: usize = 8 + 60;

/// A node's record, taken apart but not read.
struct NodeBytes<'a> {
    path: &'a [u8],
    data: Option<&'a [u8]>,
    tail: &'a [u8; TAIL],
}

impl<'a> NodeBytes<'a> {
    /// The record that `bytes` begin with and its length, if it is whole and not the terminator;
    /// lengths that cannot be are left to the slow reader, which says what is wrong.
    fn whole(bytes: &'a [u8]) -> Option<(Self, usize)> {
        let (length, rest) = bytes.split_first_chunk::<4>()?;
        let (path, rest) = rest.split_at_checked(usize::try_from(i32::from_be_bytes(*length)).ok()?)?;
        let (length, rest) = rest.split_first_chunk::<4>()?;
        let (data, rest) = match i32::from_be_bytes(*length) {
            -1 => (None, rest),
            length => {
                let (data, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
                (Some(data), rest)
            }
        };
        let (tail, rest) = rest.split_first_chunk::<TAIL>()?;
        (path != b"/").then_some((Self { path, data, tail }, bytes.len() - rest.len()))
    }
}

/// The reader, for what is not read from its buffer at once.
struct Source<'r, R> {
    reader: &'r mut R,
    scratch: Vec<u8>,
}

impl<R: io::BufRead> Source<'_, R> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], LoadError> {
        let mut array = [0; N];
        self.reader.read_exact(&mut array)?;
        Ok(array)
    }

    fn count(&mut self, what: &'static str) -> Result<u32, LoadError> {
        let count = i32::from_be_bytes(self.array()?);
        u32::try_from(count).map_err(|_| LoadError::Length(what, count))
    }

    /// A length; -1 is null.
    fn length(&mut self, what: &'static str) -> Result<Option<usize>, LoadError> {
        match i32::from_be_bytes(self.array()?) {
            -1 => Ok(None),
            length => usize::try_from(length).map(Some).map_err(|_| LoadError::Length(what, length)),
        }
    }

    /// So many bytes; memory is taken as they come in.
    fn bytes(&mut self, length: usize) -> Result<&[u8], LoadError> {
        self.scratch.clear();
        while self.scratch.len() < length {
            let bytes = match self.reader.fill_buf() {
                Ok([]) => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
                Ok(bytes) => bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.into()),
            };
            let taken = bytes.len().min(length - self.scratch.len());
            self.scratch.extend_from_slice(&bytes[..taken]);
            self.reader.consume(taken);
        }
        Ok(&self.scratch)
    }

    fn text(&mut self) -> Result<Box<str>, LoadError> {
        match self.length("string")? {
            Some(length) => Ok(java_string::decode(self.bytes(length)?).into()),
            None => Ok("".into()),
        }
    }

    fn acl(&mut self) -> Result<AclList, LoadError> {
        let mut list = Vec::new();
        for _ in 0..self.count("number of ACL entries")? {
            let perms = i32::from_be_bytes(self.array()?);
            list.push(AclEntry { perms, scheme: self.text()?, id: self.text()? });
        }
        Ok(list.into())
    }
}

/// The tree that grows.
struct Loader {
    tree: Tree,
    /// Where each ACL of the table stands.
    acls: HashMap<i64, u32>,
    /// The path of the last node, and the length and slot of it and of nodes above it: the next
    /// node's parent is mostly among them.
    last_path: Vec<u8>,
    branch: Vec<(usize, u32)>,
}

impl Loader {
    fn add_acl(&mut self, id: i64, list: AclList) {
        // -1 is the open ACL whatever a table says.
        if id != -1 {
            let place = self.tree.acls.load(id, list);
            self.acls.insert(id, place);
        }
    }

    fn acl(&mut self, id: i64) -> u32 {
        if id == -1 {
            return acls::OPEN;
        }
        let tree = &mut self.tree;
        let place = *self.acls.entry(id).or_insert_with(|| tree.acls.load_unknown(id));
        tree.acls.add_use(place);
        place
    }

    fn add_node(&mut self, node: &NodeBytes<'_>) -> Result<(), LoadError> {
        let path = java_string::decode(node.path);
        let mut r = Reader::new(node.tail);
        let (Ok(acl), Ok(stat)) = (r.long(), StatPersisted::read(&mut r)) else { unreachable!("the tail has their length") };
        let Some(owner_kind) = OwnerKind::of(stat.ephemeral_owner, self.tree.options) else {
            return Err(LoadError::UnknownOwner(path.into_owned(), stat.ephemeral_owner));
        };
        if path.is_empty() {
            if self.tree.records.len() != 0 {
                return Err(LoadError::BadPath(path.into_owned()));
            }
            let acl = self.acl(acl);
            self.tree.add_root(node.data, acl, owner_kind, &stat);
            self.branch.push((0, ROOT));
            return Ok(());
        }
        if self.tree.records.len() == 0 {
            return Err(LoadError::NoRoot);
        }
        let Some(name_at) = path.rfind('/').map(|slash| slash + 1) else {
            return Err(LoadError::BadPath(path.into_owned()));
        };
        let Some(parent) = self.parent(&path[..name_at - 1]) else {
            return Err(LoadError::NoParent(path.into_owned()));
        };
        let name = &path.as_bytes()[name_at..];
        if self.tree.find_child(parent, name).is_some() {
            return Err(LoadError::BadPath(path.into_owned()));
        }
        let acl = self.acl(acl);
        let content = digest::content_crc(&path, node.data);
        let slot = self.tree.insert(&NewNode { parent, name, data: node.data, content, acl, owner_kind, stat }, &path);
        self.tree.data_size += utf16_length(&path) + node.data.map_or(0, <[u8]>::len) as i64;
        self.last_path.truncate(name_at - 1);
        self.last_path.extend_from_slice(&path.as_bytes()[name_at - 1..]);
        self.branch.push((path.len(), slot));
        Ok(())
    }

    /// The slot of a parent's path; `branch` is cut down to it.
    fn parent(&mut self, path: &str) -> Option<u32> {
        if self.last_path.starts_with(path.as_bytes()) {
            while let Some((length, slot)) = self.branch.last().copied() {
                if length == path.len() {
                    return Some(slot);
                }
                if length < path.len() {
                    break;
                }
                self.branch.pop();
            }
        }
        // "/" is no key of a snapshot: only "" is the root.
        let slot = if path == "/" { None } else { self.tree.find(path) }?;
        self.branch.clear();
        self.branch.extend([(0, ROOT), (path.len(), slot)]);
        self.last_path.clear();
        self.last_path.extend_from_slice(path.as_bytes());
        Some(slot)
    }
}
