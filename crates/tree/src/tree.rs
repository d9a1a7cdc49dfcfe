//! The tree itself: nodes in slots, found by (parent's slot, name); reads of every kind.
//!
//! A node is 72 bytes in a slab and one allocation for its name and data. What most nodes do not
//! have (children, an ACL that was set, a pzxid of its own) stands in a second slab. A child's slot is
//! always greater than its parent's, so a scan of the slots meets parents first: that is what a
//! snapshot is written by (`view`). How transactions change it all is in `apply`.

use crate::acls::{self, Acls};
use crate::children::ChildNames;
use crate::digest::{self, ContentCrc};
use crate::free_slots::FreeSlots;
use crate::id_table::IdTable;
use crate::owners::{self, OwnerKind, Owners};
use crate::quota::QuotaRoots;
use crate::slab::Slab;
use crate::view::ActiveView;
use oxkeeper_proto::collections::Seeded;
use oxkeeper_proto::records::{Stat, StatPersisted};
use oxkeeper_proto::{AclList, SessionId, Zxid};
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::hash::{BuildHasher, Hasher};

/// How a tree is to read and count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TreeOptions {
    /// `zookeeper.extendedTypesEnabled`: owners whose top byte is 0xff are times to live.
    pub extended_types: bool,
    /// `zookeeper.emulate353TTLNodes`: negative owners are times to live of release 3.5.3.
    pub emulate_353_ttl: bool,
    /// `zookeeper.digest.enabled`: keep the digest and compare it with the transactions'.
    pub digest_enabled: bool,
}

impl Default for TreeOptions {
    fn default() -> Self {
        Self { extended_types: false, emulate_353_ttl: false, digest_enabled: true }
    }
}

/// No slot: the root's parent.
pub(crate) const NONE: u32 = u32::MAX;
/// The root's slot.
pub(crate) const ROOT: u32 = 0;

/// In `name_length`: the data is null.
const NULL_DATA: u32 = 1 << 31;
/// As `name_length`: no node is in this slot.
const VACANT: u32 = u32::MAX;

/// A node, as it stands in its slot.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    /// Four bytes of CRC, four of version, the name, the data.
    content: Box<[u8]>,
    pub czxid: i64,
    pub mzxid: i64,
    pub ctime: i64,
    pub mtime: i64,
    pub name_length: u32,
    pub parent: u32,
    /// Where the name stands among the parent's.
    pub place: u32,
    pub acl: u32,
    pub owner: u32,
    /// Its number in the slab of extras, or `NONE`.
    pub extra: u32,
}

/// What most nodes do not have.
#[derive(Clone, Debug)]
pub(crate) struct Extra {
    pub pzxid: i64,
    pub cversion: i32,
    pub aversion: i32,
    pub children: ChildNames,
}

impl Record {
    #[inline]
    pub fn is_vacant(&self) -> bool {
        self.name_length == VACANT
    }

    #[inline]
    fn name_end(&self) -> usize {
        HEAD + (self.name_length & !NULL_DATA) as usize
    }

    /// The CRC over path and data.
    #[inline]
    pub fn crc(&self) -> ContentCrc {
        ContentCrc(u32::from_le_bytes(self.content[..4].try_into().expect("four bytes")))
    }

    #[inline]
    pub fn version(&self) -> i32 {
        i32::from_le_bytes(self.content[4..8].try_into().expect("four bytes"))
    }

    #[inline]
    pub fn name(&self) -> &[u8] {
        &self.content[HEAD..self.name_end()]
    }

    #[inline]
    pub fn data(&self) -> Option<&[u8]> {
        if self.name_length & NULL_DATA != 0 { None } else { Some(&self.content[self.name_end()..]) }
    }

    #[inline]
    pub fn data_length(&self) -> usize {
        self.content.len() - self.name_end()
    }

    /// Replaces the data: in place where the length stays, else by one new allocation.
    pub fn set_data(&mut self, data: Option<&[u8]>, crc: ContentCrc, version: i32) {
        let name_end = self.name_end();
        let bytes = data.unwrap_or_default();
        if self.content.len() == name_end + bytes.len() {
            self.content[name_end..].copy_from_slice(bytes);
            self.content[..4].copy_from_slice(&crc.0.to_le_bytes());
            self.content[4..8].copy_from_slice(&version.to_le_bytes());
        } else {
            self.content = join(crc, version, &self.content[HEAD..name_end], bytes);
        }
        self.name_length = (name_end - HEAD) as u32 | if data.is_none() { NULL_DATA } else { 0 };
    }
}

/// What stands before the name. Beside the name it costs no more than in the slot, and a slot stays at
/// 72 bytes.
const HEAD: usize = 8;

fn join(crc: ContentCrc, version: i32, name: &[u8], data: &[u8]) -> Box<[u8]> {
    let mut content = Vec::with_capacity(HEAD + name.len() + data.len());
    content.extend_from_slice(&crc.0.to_le_bytes());
    content.extend_from_slice(&version.to_le_bytes());
    content.extend_from_slice(name);
    content.extend_from_slice(data);
    content.into_boxed_slice()
}

/// What a new node is made of.
pub(crate) struct NewNode<'a> {
    pub parent: u32,
    pub name: &'a [u8],
    pub data: Option<&'a [u8]>,
    pub content: ContentCrc,
    /// In use once more already.
    pub acl: u32,
    pub owner_kind: OwnerKind,
    pub stat: StatPersisted,
}

/// The replicated state of an ensemble: nodes, ACLs and sessions at one zxid.
pub struct Tree {
    pub(crate) options: TreeOptions,
    pub(crate) records: Slab<Record>,
    pub(crate) extras: Slab<Extra>,
    free_extras: Vec<u32>,
    free: FreeSlots,
    table: IdTable,
    hasher: Seeded,
    pub(crate) acls: Acls,
    pub(crate) owners: Owners,
    /// Timeouts in milliseconds.
    pub(crate) sessions: BTreeMap<i64, i32>,
    pub(crate) last_zxid: Zxid,
    pub(crate) digest: u64,
    /// Without the alias of the root that Java counts.
    pub(crate) nodes: usize,
    pub(crate) data_size: i64,
    pub(crate) history: VecDeque<(Zxid, u64)>,
    pub(crate) fuzzy_until: Option<(Zxid, Option<u64>)>,
    pub(crate) quotas: QuotaRoots,
    pub(crate) view: Option<ActiveView>,
}

impl fmt::Debug for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut it = f.debug_struct("Tree");
        it.field("last_zxid", &self.last_zxid).field("digest", &self.digest).field("nodes", &self.nodes).finish_non_exhaustive()
    }
}

impl Tree {
    /// A fresh tree: `/`, `/zookeeper`, `/zookeeper/quota` and `/zookeeper/config`.
    pub fn new(options: TreeOptions) -> Self {
        let mut tree = Self::empty(options);
        tree.add_root(Some(b""), acls::OPEN, OwnerKind::Void, &StatPersisted::default());
        tree.add_built_in(ROOT, "/zookeeper");
        let zookeeper = tree.find("/zookeeper").expect("just added");
        tree.add_built_in(zookeeper, "/zookeeper/quota");
        tree.ensure_config_node();
        tree
    }

    /// No nodes at all, not even a root.
    pub(crate) fn empty(options: TreeOptions) -> Self {
        Self {
            options,
            records: Slab::default(),
            extras: Slab::default(),
            free_extras: Vec::new(),
            free: FreeSlots::default(),
            table: IdTable::default(),
            hasher: Seeded::default(),
            acls: Acls::default(),
            owners: Owners::default(),
            sessions: BTreeMap::new(),
            last_zxid: Zxid::ZERO,
            digest: 0,
            nodes: 0,
            data_size: 0,
            history: VecDeque::new(),
            fuzzy_until: None,
            quotas: QuotaRoots::default(),
            view: None,
        }
    }

    fn add_built_in(&mut self, parent: u32, path: &str) -> u32 {
        let name = &path[path.rfind('/').map_or(0, |at| at + 1)..];
        self.data_size += path.len() as i64;
        self.insert(
            &NewNode {
                parent,
                name: name.as_bytes(),
                data: Some(b""),
                content: digest::content_crc(path, None),
                acl: acls::OPEN,
                owner_kind: OwnerKind::Void,
                stat: StatPersisted::default(),
            },
            path,
        )
    }

    /// Adds `/zookeeper/config` where a snapshot from before 3.5 lacks it: readable by all, with an
    /// aversion of -1.
    pub fn ensure_config_node(&mut self) {
        let Some(parent) = self.find("/zookeeper") else { return };
        if self.find("/zookeeper/config").is_some() {
            return;
        }
        self.preserve(parent);
        let slot = self.add_built_in(parent, "/zookeeper/config");
        self.records.get_mut(slot).acl = self.acls.acquire_list(oxkeeper_proto::acl::read_only());
        self.extra_mut(slot).aversion = -1;
    }

    /// Puts the root into its slot.
    pub(crate) fn add_root(&mut self, data: Option<&[u8]>, acl: u32, owner_kind: OwnerKind, stat: &StatPersisted) {
        assert!(self.records.len() == 0, "the root is the first node");
        // Java counts it under both of its names.
        self.data_size += 1 + 2 * data.map_or(0, <[u8]>::len) as i64;
        let content = digest::content_crc("", data);
        self.insert(&NewNode { parent: NONE, name: b"", data, content, acl, owner_kind, stat: *stat }, "");
    }

    // ------------------------------------------------------------------------------ whole tree

    /// The options that it was made with.
    pub fn options(&self) -> TreeOptions {
        self.options
    }

    /// The zxid of the last transaction applied.
    pub fn last_zxid(&self) -> Zxid {
        self.last_zxid
    }

    /// Says that the state is that after `zxid`: a loaded snapshot's, or a new epoch's first.
    pub fn set_last_zxid(&mut self, zxid: Zxid) {
        self.last_zxid = zxid;
    }

    /// The sum of all nodes' digests; 0 where digests are off.
    pub fn digest(&self) -> u64 {
        self.digest
    }

    /// Digests after the zxids that 128 divides, the last 1024 of them, oldest first.
    pub fn digest_history(&self) -> impl ExactSizeIterator<Item = (Zxid, u64)> {
        self.history.iter().copied()
    }

    /// After a fuzzy snapshot: transactions' digests mean nothing until `zxid` has been applied; then
    /// the digest must be the given one, if one is given.
    pub fn expect_digest_at(&mut self, zxid: Zxid, digest: Option<u64>) {
        self.fuzzy_until = (zxid > self.last_zxid).then_some((zxid, digest));
    }

    /// How many nodes there are, as Java counts: the root twice.
    pub fn node_count(&self) -> usize {
        self.nodes + 1
    }

    /// The lengths of all paths, in UTF-16 units, and of all data, in bytes.
    pub fn approximate_data_size(&self) -> i64 {
        self.data_size
    }

    /// How many nodes belong to sessions.
    pub fn ephemeral_count(&self) -> usize {
        self.owners.ephemeral_count()
    }

    /// Sessions by id, with their timeouts in milliseconds.
    pub fn sessions(&self) -> impl Iterator<Item = (SessionId, i32)> {
        self.sessions.iter().map(|(id, timeout_ms)| (SessionId(*id), *timeout_ms))
    }

    /// A session's timeout in milliseconds.
    pub fn session_timeout_ms(&self, session: SessionId) -> Option<i32> {
        self.sessions.get(&session.0).copied()
    }

    /// How many sessions there are.
    pub fn session_count(&self) -> usize {
        self.sessions.len()
    }

    /// The paths of a session's ephemerals, in no order.
    pub fn ephemerals(&self, session: SessionId) -> impl Iterator<Item = String> {
        self.owners.of_session(session).into_iter().flat_map(|o| o.nodes.iter()).map(|slot| self.path_of(slot))
    }

    /// A session's ephemerals whose path begins with `prefix`, not only at a `/`; all of them where
    /// it is blank or "/".
    pub fn ephemerals_with_prefix(&self, session: SessionId, prefix: &str) -> Vec<String> {
        // Java's trim: everything up to the blank.
        let all = matches!(prefix.trim_matches(|c| c <= ' '), "" | "/");
        self.ephemerals(session).filter(|path| all || path.starts_with(prefix)).collect()
    }

    /// Sessions, known or not, that own nodes, with the number of them.
    pub fn ephemeral_owners(&self) -> impl Iterator<Item = (SessionId, usize)> {
        self.owners.iter().filter_map(|owner| match owner.kind {
            OwnerKind::Ephemeral(session) => Some((session, owner.nodes.len())),
            _ => None,
        })
    }

    /// Owners of ephemerals that are no sessions: what a leader kills once it has loaded.
    pub fn orphaned_owners(&self) -> Vec<SessionId> {
        self.ephemeral_owners().map(|(session, _)| session).filter(|s| !self.sessions.contains_key(&s.0)).collect()
    }

    /// Containers and times to live that are over: without children, and either used once or never
    /// for `max_never_used_ms` (0: for ever), or not set for the node's time to live.
    pub fn reapable(&self, now_ms: i64, max_never_used_ms: i64) -> Vec<String> {
        // Container and TTL owners are negative; so are the sessions of servers from 128 on.
        let is_over = |slot: &u32| {
            let node = self.node(*slot);
            let idle_ms = now_ms.saturating_sub(node.record.mtime);
            node.child_count() == 0
                && match node.owner_kind() {
                    OwnerKind::Container => node.cversion() > 0 || (max_never_used_ms != 0 && idle_ms > max_never_used_ms),
                    OwnerKind::Ttl(ttl_ms) => ttl_ms != 0 && idle_ms > ttl_ms,
                    OwnerKind::Void | OwnerKind::Ephemeral(_) => false,
                }
        };
        let owners = self.owners.iter().filter(|o| matches!(o.kind, OwnerKind::Container | OwnerKind::Ttl(_)));
        owners.flat_map(|owner| owner.nodes.iter()).filter(is_over).map(|slot| self.path_of(slot)).collect()
    }

    /// How many nodes are below a path. Costs a visit of each but for the root.
    pub fn all_children_number(&self, path: &str) -> usize {
        match self.find(path) {
            // Java counts the alias "/" among the paths below "".
            Some(ROOT) => self.nodes - usize::from(path == "/"),
            Some(slot) => {
                let mut below = 0;
                self.walk(slot, |_| below += 1);
                below - 1
            }
            None => 0,
        }
    }

    /// Visits a node and all below it, parents first.
    pub(crate) fn walk(&self, slot: u32, mut visit: impl FnMut(u32)) {
        // A stack of our own: paths may be half a million names deep.
        let mut left = vec![slot];
        while let Some(slot) = left.pop() {
            visit(slot);
            if let Some(extra) = self.extra(slot) {
                left.extend(extra.children.iter().filter_map(|name| self.find_child(slot, name.as_bytes())));
            }
        }
    }

    // ------------------------------------------------------------------------------ one node

    /// The node of a path. "" and "/" are the root; a path that no node can have finds none.
    #[inline]
    pub fn get(&self, path: &str) -> Option<Node<'_>> {
        self.find(path).map(|slot| self.node(slot))
    }

    #[inline]
    pub(crate) fn node(&self, slot: u32) -> Node<'_> {
        Node { tree: self, record: self.records.get(slot), slot }
    }

    pub(crate) fn find(&self, path: &str) -> Option<u32> {
        if path.len() <= 1 {
            return (path.is_empty() || path == "/").then_some(ROOT);
        }
        let mut slot = ROOT;
        for name in path.strip_prefix('/')?.split('/') {
            slot = self.find_child(slot, name.as_bytes())?;
        }
        Some(slot)
    }

    #[inline]
    fn hash(&self, parent: u32, name: &[u8]) -> u64 {
        hash(&self.hasher, parent, name)
    }

    pub(crate) fn find_child(&self, parent: u32, name: &[u8]) -> Option<u32> {
        self.table.find(self.hash(parent, name), |slot| {
            let record = self.records.get(slot);
            record.parent == parent && record.name() == name
        })
    }

    #[inline]
    pub(crate) fn extra(&self, slot: u32) -> Option<&Extra> {
        let extra = self.records.get(slot).extra;
        (extra != NONE).then(|| self.extras.get(extra))
    }

    /// The path of a node; the root's is "".
    pub(crate) fn path_of(&self, slot: u32) -> String {
        let mut path = String::new();
        self.append_path(slot, &mut path);
        path
    }

    pub(crate) fn append_path(&self, slot: u32, path: &mut String) {
        let mut slots = Vec::with_capacity(8);
        let mut at = slot;
        while at != ROOT {
            slots.push(at);
            at = self.records.get(at).parent;
        }
        for slot in slots.iter().rev() {
            path.push('/');
            path.push_str(std::str::from_utf8(self.records.get(*slot).name()).expect("names came in as strings"));
        }
    }

    pub(crate) fn persisted(&self, slot: u32) -> StatPersisted {
        let record = self.records.get(slot);
        let (pzxid, cversion, aversion) = match self.extra(slot) {
            Some(extra) => (extra.pzxid, extra.cversion, extra.aversion),
            None => (record.czxid, 0, 0),
        };
        StatPersisted {
            czxid: record.czxid,
            mzxid: record.mzxid,
            ctime: record.ctime,
            mtime: record.mtime,
            version: record.version(),
            cversion,
            aversion,
            ephemeral_owner: self.owners.get(record.owner).raw,
            pzxid,
        }
    }

    // ------------------------------------------------------------------------------ changes

    /// The extra of a node, made if it has none.
    pub(crate) fn extra_mut(&mut self, slot: u32) -> &mut Extra {
        let record = self.records.get_mut(slot);
        if record.extra == NONE {
            let new = Extra { pzxid: record.czxid, cversion: 0, aversion: 0, children: ChildNames::default() };
            record.extra = match self.free_extras.pop() {
                Some(number) => {
                    *self.extras.get_mut(number) = new;
                    number
                }
                None => self.extras.push(new),
            };
        }
        let number = record.extra;
        self.extras.get_mut(number)
    }

    /// Puts a node where none is. The parent's Stat and the counts of data are the caller's.
    pub(crate) fn insert(&mut self, new: &NewNode<'_>, path: &str) -> u32 {
        let stat = &new.stat;
        let place = if new.parent == NONE { 0 } else { self.extra_mut(new.parent).children.insert(new.name) };
        let mut record = Record {
            content: join(new.content, stat.version, new.name, new.data.unwrap_or_default()),
            czxid: stat.czxid,
            mzxid: stat.mzxid,
            ctime: stat.ctime,
            mtime: stat.mtime,
            name_length: new.name.len() as u32 | if new.data.is_none() { NULL_DATA } else { 0 },
            parent: new.parent,
            place,
            acl: new.acl,
            owner: owners::NOBODY,
            extra: NONE,
        };
        let slot = match if new.parent == NONE { None } else { self.free.take_after(new.parent) } {
            Some(slot) => {
                self.preserve(slot);
                record.owner = self.owners.add(stat.ephemeral_owner, new.owner_kind, slot);
                *self.records.get_mut(slot) = record;
                slot
            }
            None => {
                record.owner = self.owners.add(stat.ephemeral_owner, new.owner_kind, self.records.len());
                self.records.push(record)
            }
        };
        if stat.pzxid != stat.czxid || stat.cversion != 0 || stat.aversion != 0 {
            let extra = self.extra_mut(slot);
            (extra.pzxid, extra.cversion, extra.aversion) = (stat.pzxid, stat.cversion, stat.aversion);
        }
        if new.parent != NONE {
            let (records, hasher) = (&self.records, &self.hasher);
            self.table.insert(hash(hasher, new.parent, new.name), slot, |id| {
                let record = records.get(id);
                hash(hasher, record.parent, record.name())
            });
        }
        self.nodes += 1;
        if self.options.digest_enabled && !digest::is_excluded(path) {
            self.digest = self.digest.wrapping_add(digest::included_node_digest(new.content, stat));
        }
        slot
    }

    /// Takes out a node that has no children. The parent's Stat and the counts of data are the caller's.
    pub(crate) fn remove(&mut self, slot: u32, path: &str) {
        self.preserve(slot);
        self.subtract_digest(slot, path);
        let record = self.records.get_mut(slot);
        let content = std::mem::take(&mut record.content);
        let name = &content[HEAD..HEAD + (record.name_length & !NULL_DATA) as usize];
        let (parent, place, acl, owner, extra) = (record.parent, record.place, record.acl, record.owner, record.extra);
        record.name_length = VACANT;
        record.extra = NONE;
        self.table.remove(hash(&self.hasher, parent, name), slot);
        self.extra_mut(parent).children.remove(place, name);
        self.acls.release(acl);
        self.owners.remove(owner, slot);
        if extra != NONE {
            self.extras.get_mut(extra).children = ChildNames::default();
            self.free_extras.push(extra);
        }
        self.free.insert(slot);
        self.nodes -= 1;
    }

    /// Before a change of a node's Stat or content: takes it out of the digest.
    pub(crate) fn subtract_digest(&mut self, slot: u32, path: &str) {
        if self.options.digest_enabled && !digest::is_excluded(path) {
            let crc = self.records.get(slot).crc();
            self.digest = self.digest.wrapping_sub(digest::included_node_digest(crc, &self.persisted(slot)));
        }
    }

    /// After the change: counts it in again.
    pub(crate) fn add_digest(&mut self, slot: u32, path: &str) {
        if self.options.digest_enabled && !digest::is_excluded(path) {
            let crc = self.records.get(slot).crc();
            self.digest = self.digest.wrapping_add(digest::included_node_digest(crc, &self.persisted(slot)));
        }
    }
}

#[inline]
fn hash(hasher: &Seeded, parent: u32, name: &[u8]) -> u64 {
    let mut state = hasher.build_hasher();
    state.write_u32(parent);
    state.write(name);
    state.finish()
}

/// A node to be read. Copying costs nothing.
#[derive(Clone, Copy, Debug)]
pub struct Node<'a> {
    tree: &'a Tree,
    record: &'a Record,
    slot: u32,
}

impl<'a> Node<'a> {
    /// The Stat that clients see.
    pub fn stat(&self) -> Stat {
        let persisted = self.persisted();
        let num_children = self.child_count() as i32;
        Stat {
            czxid: persisted.czxid,
            mzxid: persisted.mzxid,
            ctime: persisted.ctime,
            mtime: persisted.mtime,
            version: persisted.version,
            // Creates are counted, deletes follow from the children that are left.
            cversion: persisted.cversion.wrapping_mul(2).wrapping_sub(num_children),
            aversion: persisted.aversion,
            ephemeral_owner: match self.owner_kind() {
                OwnerKind::Ephemeral(session) => session.0,
                OwnerKind::Void | OwnerKind::Container | OwnerKind::Ttl(_) => 0,
            },
            data_length: self.record.data_length() as i32,
            num_children,
            pzxid: persisted.pzxid,
        }
    }

    /// The Stat that snapshots and digests hold: `cversion` counts creates, the owner is as it is.
    pub fn persisted(&self) -> StatPersisted {
        self.tree.persisted(self.slot)
    }

    /// The data; null is not the same as empty.
    pub fn data(&self) -> Option<&'a [u8]> {
        self.record.data()
    }

    /// The ACL, shared.
    pub fn acl(&self) -> &'a AclList {
        self.tree.acls.list(self.record.acl)
    }

    /// How many children it has.
    pub fn child_count(&self) -> usize {
        self.tree.extra(self.slot).map_or(0, |extra| extra.children.count() as usize)
    }

    /// The children's names, in no order.
    pub fn children(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.tree.extra(self.slot).into_iter().flat_map(|extra| extra.children.iter())
    }

    /// Appends the children's names as a vector of strings.
    pub fn write_children(&self, out: &mut Vec<u8>) {
        match self.tree.extra(self.slot) {
            Some(extra) => extra.children.write(out),
            None => out.extend_from_slice(&0i32.to_be_bytes()),
        }
    }

    /// What becomes of it when.
    pub fn owner_kind(&self) -> OwnerKind {
        self.tree.owners.get(self.record.owner).kind
    }

    /// The CRC over its path and data.
    pub fn content_crc(&self) -> ContentCrc {
        self.record.crc()
    }

    /// The number of creates below it: what the next sequential name shows.
    pub fn cversion(&self) -> i32 {
        self.tree.extra(self.slot).map_or(0, |extra| extra.cversion)
    }

    /// Its path; the root's is "/". Built on demand.
    pub fn path(&self) -> String {
        if self.slot == ROOT { "/".to_string() } else { self.tree.path_of(self.slot) }
    }
}

/// The length that Java's strings have.
pub(crate) fn utf16_length(path: &str) -> i64 {
    if path.is_ascii() { path.len() as i64 } else { path.encode_utf16().count() as i64 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NoopSink;
    use oxkeeper_proto::txn::LoggedTxn;

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
        digits.chunks(2).map(|p| u8::from_str_radix(std::str::from_utf8(p).unwrap(), 16).unwrap()).collect()
    }

    #[test]
    fn a_fresh_tree_is_as_java_counts_it() {
        let tree = Tree::new(TreeOptions::default());
        assert_eq!((tree.node_count(), tree.approximate_data_size(), tree.digest()), (5, 44, 1_371_985_504));
        for (path, cversion, children, aversion) in
            [("/", -1, 1, 0), ("", -1, 1, 0), ("/zookeeper", -2, 2, 0), ("/zookeeper/config", 0, 0, -1), ("/zookeeper/quota", 0, 0, 0)]
        {
            let stat = tree.get(path).unwrap().stat();
            let expected = Stat { cversion, num_children: children, aversion, ..Stat::default() };
            assert_eq!(stat, expected, "{path:?}");
            assert_eq!(tree.get(path).unwrap().data(), Some(&b""[..]));
        }
        for none in ["/zookeeper/", "//", "zookeeper", "/zookeeper/con", "//zookeeper", "\0"] {
            assert!(tree.get(none).is_none(), "{none:?}");
        }
        assert_eq!(**tree.get("/zookeeper/config").unwrap().acl(), *oxkeeper_proto::acl::read_only());
        assert_eq!(**tree.get("/").unwrap().acl(), *oxkeeper_proto::acl::open());
    }

    /// The first transactions of a log that Java wrote; each announces the digest after it.
    #[test]
    fn digests_are_those_that_java_announced() {
        let mut tree = Tree::new(TreeOptions::default());
        for payload in [
            "010000126cb80000 00000000 0000000000000001 000001a2015bf1c5 fffffff6 00002710 00000002 0000000051c6d660",
            "010000126cb80000 00000001 0000000000000002 000001a2015bf1e5 00000001 00000002 2f61 00000005 68656c6c6f 00000001 0000001f \
             00000005 776f726c64 00000006 616e796f6e65 00 00000001 00000002 00000000caa3a7a5",
        ] {
            let payload = hex(payload);
            let applied = tree.apply(&LoggedTxn::read(&payload).unwrap(), &mut NoopSink);
            assert_eq!((applied.err, applied.digest_mismatch), (oxkeeper_proto::ErrorCode::OK, None));
        }
        assert_eq!(tree.digest(), 0xcaa3_a7a5);
        assert_eq!(tree.session_timeout_ms(SessionId(0x0100_0012_6cb8_0000)), Some(10_000));
        assert_eq!(tree.last_zxid(), Zxid(2));
    }
}
