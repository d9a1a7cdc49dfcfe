//! Views: the state at one zxid, written as a snapshot's body while transactions go on.
//!
//! A view is a scan of the tree's slots, which meets parents before their children. Before a
//! transaction first changes a slot that the scan has not reached, the slot's bytes are kept aside
//! and written in its turn. No step under the tree's lock costs more than what it writes or keeps.

use crate::tree::{ROOT, Tree};
use oxkeeper_proto::collections::HashMap;
use oxkeeper_proto::{Record as _, Write as _, Zxid, acl};
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Bound;
use std::sync::atomic::{AtomicI64, AtomicU8, AtomicU32, Ordering};

/// There is a view already; only one is taken at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ViewInUse;

impl fmt::Display for ViewInUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a snapshot is being written already")
    }
}

impl std::error::Error for ViewInUse {}

/// The sections of a body, in their order.
const SESSIONS: u8 = 0;
const ACLS: u8 = 1;
const NODES: u8 = 2;
const DONE: u8 = 3;

/// The tree's half of a view: what was there before, and how far the reader has come.
#[derive(Debug)]
pub(crate) struct ActiveView {
    section: AtomicU8,
    /// Sessions up to this id have been written.
    session: AtomicI64,
    acl: AtomicU32,
    /// Slots below this one have been written.
    slot: AtomicU32,
    session_count: usize,
    acl_count: u32,
    acls_end: u32,
    slots_end: u32,
    /// Sessions as they were at the beginning; `None` was none.
    sessions_before: BTreeMap<i64, Option<i32>>,
    /// Nodes' bytes as they were at the beginning; empty was no node.
    before: HashMap<u32, Box<[u8]>>,
    /// When `before` holds so many, what has been written is thrown out.
    sweep_at: usize,
}

const FIRST_SWEEP: usize = 4096;

/// What a view that has ended had kept aside.
#[derive(Debug)]
pub struct KeptAside {
    _view: Option<ActiveView>,
}

/// The reader's half of a view.
#[derive(Debug)]
pub struct View {
    zxid: Zxid,
    digest: u64,
    has_begun: bool,
    paths: Vec<(u32, String)>,
}

/// Paths of parents that are remembered, by the low bits of their slot.
const PATHS: usize = 64;

impl View {
    /// The zxid whose state it shows.
    pub fn zxid(&self) -> Zxid {
        self.zxid
    }

    /// The digest of that state.
    pub fn digest(&self) -> u64 {
        self.digest
    }

    /// Appends the next bytes of the body to `out`, up to about `max_bytes` (more only by the rest of
    /// one record). True when the body is whole, its terminator included.
    ///
    /// `tree` is the one that the view was begun on; a read lock held for each call is enough.
    pub fn next_chunk(&mut self, tree: &Tree, out: &mut Vec<u8>, max_bytes: usize) -> bool {
        let active = tree.view.as_ref().expect("the view has not been ended");
        let end = out.len().saturating_add(max_bytes);
        if !self.has_begun {
            self.has_begun = true;
            out.int(active.session_count as i32);
        }
        if active.section.load(Ordering::Relaxed) == SESSIONS && active.write_sessions(tree, out, end) {
            out.int(active.acl_count as i32);
            active.section.store(ACLS, Ordering::Relaxed);
        }
        if active.section.load(Ordering::Relaxed) == ACLS && active.write_acls(tree, out, end) {
            active.section.store(NODES, Ordering::Relaxed);
        }
        if active.section.load(Ordering::Relaxed) == NODES && self.write_nodes(active, tree, out, end) {
            out.ustring(Some("/"));
            active.section.store(DONE, Ordering::Relaxed);
        }
        active.section.load(Ordering::Relaxed) == DONE
    }

    fn write_nodes(&mut self, active: &ActiveView, tree: &Tree, out: &mut Vec<u8>, end: usize) -> bool {
        let mut slot = active.slot.load(Ordering::Relaxed);
        while slot < active.slots_end && out.len() < end {
            match active.before.get(&slot) {
                Some(bytes) => out.extend_from_slice(bytes),
                None if tree.records.get(slot).is_vacant() => {}
                None => self.write_node(tree, slot, out),
            }
            slot += 1;
            active.slot.store(slot, Ordering::Relaxed);
        }
        slot == active.slots_end
    }

    fn write_node(&mut self, tree: &Tree, slot: u32, out: &mut Vec<u8>) {
        if slot == ROOT {
            out.ustring(Some(""));
        } else {
            let record = tree.records.get(slot);
            let (parent, path) = &mut self.paths[record.parent as usize % PATHS];
            if *parent != record.parent {
                *parent = record.parent;
                path.clear();
                tree.append_path(record.parent, path);
            }
            let name = std::str::from_utf8(record.name()).expect("names came in as strings");
            let length_at = path.len();
            path.push('/');
            path.push_str(name);
            out.ustring(Some(path));
            path.truncate(length_at);
        }
        write_rest(tree, slot, out);
    }
}

/// A node's record after its path.
fn write_rest(tree: &Tree, slot: u32, out: &mut Vec<u8>) {
    let record = tree.records.get(slot);
    out.buffer(record.data());
    out.long(tree.acls.entry(record.acl).id);
    tree.persisted(slot).write(out);
}

impl ActiveView {
    fn write_sessions(&self, tree: &Tree, out: &mut Vec<u8>, end: usize) -> bool {
        let mut after = Bound::Included(i64::MIN);
        let written = self.session.load(Ordering::Relaxed);
        if written != i64::MIN {
            after = Bound::Excluded(written);
        }
        let mut now = tree.sessions.range((after, Bound::Unbounded)).peekable();
        let mut before = self.sessions_before.range((after, Bound::Unbounded)).peekable();
        while out.len() < end {
            let id = match (now.peek(), before.peek()) {
                (None, None) => return true,
                (Some((id, _)), None) | (None, Some((id, _))) => **id,
                (Some((a, _)), Some((b, _))) => **a.min(b),
            };
            let current = now.next_if(|(i, _)| **i == id).map(|(_, timeout_ms)| *timeout_ms);
            let timeout_ms = before.next_if(|(i, _)| **i == id).map_or(current, |(_, timeout_ms)| *timeout_ms);
            if let Some(timeout_ms) = timeout_ms {
                out.long(id);
                out.int(timeout_ms);
            }
            self.session.store(id, Ordering::Relaxed);
        }
        now.peek().is_none() && before.peek().is_none()
    }

    fn write_acls(&self, tree: &Tree, out: &mut Vec<u8>, end: usize) -> bool {
        let mut place = self.acl.load(Ordering::Relaxed);
        while place < self.acls_end && out.len() < end {
            if let Some(entry) = tree.acls.explained(place) {
                out.long(entry.id);
                out.vector(Some(&acl::to_records(&entry.list)), |out, acl| acl.write(out));
            }
            place += 1;
        }
        self.acl.store(place, Ordering::Relaxed);
        place == self.acls_end
    }
}

impl Tree {
    /// Begins a view of the present state. Costs nothing that grows with the tree.
    ///
    /// # Errors
    /// When there is one already.
    pub fn begin_view(&mut self) -> Result<View, ViewInUse> {
        if self.view.is_some() {
            return Err(ViewInUse);
        }
        let acl_count = self.acls.known_count();
        self.view = Some(ActiveView {
            section: AtomicU8::new(SESSIONS),
            session: AtomicI64::new(i64::MIN),
            acl: AtomicU32::new(0),
            slot: AtomicU32::new(0),
            session_count: self.sessions.len(),
            acl_count,
            acls_end: self.acls.freeze(),
            slots_end: self.records.len(),
            sessions_before: BTreeMap::new(),
            before: HashMap::default(),
            sweep_at: FIRST_SWEEP,
        });
        Ok(View { zxid: self.last_zxid, digest: self.digest, has_begun: false, paths: vec![(u32::MAX, String::new()); PATHS] })
    }

    /// Ends the view, whole or not. What it kept aside comes back, to be dropped when the tree's lock has been given
    /// back: it may be much.
    pub fn end_view(&mut self, view: View) -> KeptAside {
        drop(view);
        self.acls.thaw();
        KeptAside { _view: self.view.take() }
    }

    /// Whether a view is being read.
    pub fn has_view(&self) -> bool {
        self.view.is_some()
    }

    /// To be called before a node's bytes change, or before a node comes into a slot.
    #[inline]
    pub(crate) fn preserve(&mut self, slot: u32) {
        if self.view.is_some() {
            self.keep_aside(slot);
        }
    }

    fn keep_aside(&mut self, slot: u32) {
        let Some(view) = &self.view else { return };
        let written = view.slot.load(Ordering::Relaxed);
        if slot < written || slot >= view.slots_end || view.before.contains_key(&slot) {
            return;
        }
        let mut bytes = Vec::new();
        if !self.records.get(slot).is_vacant() {
            let path = self.path_of(slot);
            bytes.reserve_exact(path.len() + self.records.get(slot).data_length() + 76);
            bytes.ustring(Some(&path));
            write_rest(self, slot, &mut bytes);
        }
        let view = self.view.as_mut().expect("looked at above");
        if view.before.len() >= view.sweep_at {
            view.before.retain(|slot, _| *slot >= written);
            view.sweep_at = FIRST_SWEEP.max(view.before.len() * 2);
        }
        view.before.insert(slot, bytes.into_boxed_slice());
    }

    /// To be called before a session comes, goes or changes its timeout.
    pub(crate) fn preserve_session(&mut self, id: i64) {
        let Some(view) = &mut self.view else { return };
        let written = view.session.load(Ordering::Relaxed);
        if *view.section.get_mut() == SESSIONS && (id > written || written == i64::MIN) {
            view.sessions_before.entry(id).or_insert_with(|| self.sessions.get(&id).copied());
        }
    }
}
