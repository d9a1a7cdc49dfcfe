//! What has been proposed and is not applied yet, on top of the tree: the state that the next write
//! is checked against.

use oxkeeper_proto::collections::HashMap;
use oxkeeper_proto::records::StatPersisted;
use oxkeeper_proto::{AclList, Zxid};
use oxkeeper_tree::Tree;
use oxkeeper_tree::digest::{ContentCrc, node_digest};
use std::collections::VecDeque;
use std::sync::Arc;

/// A node as it will be.
#[derive(Clone, Debug)]
pub struct Record {
    /// Its Stat as it will be stored.
    pub stat: StatPersisted,
    /// How many children it will have.
    pub child_count: i32,
    /// The number of the next sequential child: the counter of its Stat. Where that one is at its end and stays, this
    /// one goes on until the end of the transaction, as in Java.
    pub next_child: i32,
    /// Its ACL.
    pub acl: AclList,
    /// The CRC of its path and data.
    pub content: ContentCrc,
    /// The length of its data; 0 for null.
    pub data_length: usize,
}

struct Pending {
    zxid: Zxid,
    /// `None`: it will be gone.
    record: Option<Record>,
}

/// The changes that are on their way, and the digest that the tree will have after them.
pub struct Overlay {
    by_path: HashMap<Arc<str>, Pending>,
    /// Which zxid changed which path, oldest first.
    order: VecDeque<(Zxid, Arc<str>)>,
    digest: u64,
    /// What the transaction in preparation has replaced, in order.
    undo: Vec<(Arc<str>, Option<Pending>)>,
    digest_before: u64,
    zxid: Zxid,
    /// Changes noted and forgotten, ever.
    pub queued: u64,
    pub removed: u64,
    /// Paths that a hard quota refused, until somebody takes them.
    pub over_quota: Vec<String>,
}

/// The root is stored under the empty string.
fn key(path: &str) -> &str {
    if path == "/" { "" } else { path }
}

impl Overlay {
    /// Nothing pending on a tree with this digest.
    pub fn new(digest: u64) -> Self {
        Self {
            by_path: HashMap::default(),
            order: VecDeque::new(),
            digest,
            undo: Vec::new(),
            digest_before: digest,
            zxid: Zxid::ZERO,
            queued: 0,
            removed: 0,
            over_quota: Vec::new(),
        }
    }

    /// The digest of the tree after everything pending.
    pub fn digest(&self) -> u64 {
        self.digest
    }

    /// Begins a transaction: its changes can be taken back until the next one begins.
    pub fn begin(&mut self, zxid: Zxid) {
        self.undo.clear();
        self.digest_before = self.digest;
        self.zxid = zxid;
    }

    /// Takes back the changes since [`Overlay::begin`].
    pub fn roll_back(&mut self) {
        while let Some((path, previous)) = self.undo.pop() {
            match previous {
                Some(previous) => self.by_path.insert(path, previous),
                None => self.by_path.remove(&path),
            };
            self.order.pop_back();
            self.removed += 1;
        }
        self.digest = self.digest_before;
    }

    /// The node as it will be when all that is pending has been applied.
    pub fn get(&self, tree: &Tree, path: &str) -> Option<Record> {
        let Some(pending) = self.by_path.get(key(path)) else { return from_tree(tree, path) };
        let mut record = pending.record.clone()?;
        if pending.zxid != self.zxid {
            record.next_child = record.stat.cversion;
        }
        Some(record)
    }

    /// Sets what a node will be; `before` is what [`Overlay::get`] gave.
    pub fn set(&mut self, path: &str, before: Option<&Record>, record: Option<Record>) {
        let path = key(path);
        if let Some(before) = before {
            self.digest = self.digest.wrapping_sub(node_digest(path, before.content, &before.stat));
        }
        if let Some(record) = &record {
            self.digest = self.digest.wrapping_add(node_digest(path, record.content, &record.stat));
        }
        let path: Arc<str> = path.into();
        let previous = self.by_path.insert(path.clone(), Pending { zxid: self.zxid, record });
        self.order.push_back((self.zxid, path.clone()));
        self.undo.push((path, previous));
        self.queued += 1;
    }

    /// Forgets what the tree holds now.
    pub fn applied(&mut self, through: Zxid) {
        self.undo.clear();
        while let Some((zxid, path)) = self.order.front() {
            if *zxid > through {
                break;
            }
            if self.by_path.get(path).is_some_and(|p| p.zxid <= through) {
                self.by_path.remove(path);
            }
            self.order.pop_front();
            self.removed += 1;
        }
    }

    /// Forgets everything that is pending: it was withdrawn, and the tree has this digest.
    pub fn reset(&mut self, digest: u64) {
        let (queued, removed) = (self.queued, self.removed + self.order.len() as u64);
        *self = Self { queued, removed, ..Self::new(digest) };
    }

    /// The changes that are pending, by path; `None` where the node will be gone.
    pub fn pending(&self) -> impl Iterator<Item = (&str, Option<&Record>)> {
        self.by_path.iter().map(|(path, pending)| (&**path, pending.record.as_ref()))
    }
}

fn from_tree(tree: &Tree, path: &str) -> Option<Record> {
    let node = tree.get(path)?;
    let stat = node.persisted();
    Some(Record {
        next_child: stat.cversion,
        stat,
        child_count: node.child_count() as i32,
        acl: node.acl().clone(),
        content: node.content_crc(),
        data_length: node.data().map_or(0, <[u8]>::len),
    })
}
