//! What a life of a process is made of, whether it stands alone or is a member: reactors, a tree from files, and a snapshot that is
//! written piece by piece.

use crate::random::Random;
use bytes::Bytes;
use oxkeeper_auth::{SchemeOptions, Schemes};
use oxkeeper_ledger::{place, replay, write_whole};
use oxkeeper_proto::Zxid;
use oxkeeper_proto::txn::DIGEST_VERSION;
use oxkeeper_replica::core::{CoreOptions, Input, LocalSessions};
use oxkeeper_replica::front::{Flow, Front, FrontOptions, Outlets};
use oxkeeper_replica::inbox::{FrontShared, Item};
use oxkeeper_replica::prepare::PrepareOptions;
use oxkeeper_replica::request::Now;
use oxkeeper_store::names::Compression;
use oxkeeper_store::sim_disk::SimDisk;
use oxkeeper_store::snapshot::{SnapshotDigest, SnapshotEnd, SnapshotWriter};
use oxkeeper_store::{Directories, DiskRef, OpenError, OpenOptions, Store};
use oxkeeper_tree::{Tree, TreeOptions, View};
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

/// Reactors of a simulated server.
pub const FRONTS: usize = 2;
pub const MAX_LENGTH: i32 = 1 << 20;
/// The disk keeps every sector in memory, so files are short.
pub const PRE_ALLOC_BYTES: i64 = 32 << 10;

/// A transaction on its way into the log.
pub struct Entry {
    pub zxid: Zxid,
    pub payload: Bytes,
}

impl AsRef<[u8]> for Entry {
    fn as_ref(&self) -> &[u8] {
        &self.payload
    }
}

/// Why a life ended by itself, in words.
#[derive(Debug)]
pub enum Death {
    /// The directory could not be opened or the first snapshot not be written.
    Start(#[allow(dead_code, reason = "for the eye")] String),
    /// The directory was found damaged.
    Damaged(String),
    /// The log was in doubt.
    Log(#[allow(dead_code, reason = "for the eye")] String),
}

/// What the files say right after a start.
pub struct Start {
    /// The zxid of the snapshot that was loaded.
    pub snapshot: Zxid,
    /// The records after it.
    pub records: Vec<(Zxid, Bytes)>,
    /// The last zxid.
    pub last: Zxid,
    /// Transactions whose digest was not the tree's.
    pub mismatches: usize,
}

/// When a power cut keeps the second sector of a batch and loses the first, in which only five bytes of the batch lie,
/// what is left is byte for byte a log in which somebody zeroed one byte of a record's checksum. The server refuses, as
/// it must for the latter.
pub fn is_undecidable(reason: &str) -> bool {
    let offset =
        reason.split_once("(its checksum does not fit) at offset ").and_then(|(_, rest)| rest.split(' ').next()?.parse::<u64>().ok());
    offset.is_some_and(|offset| offset % 512 == 512 - 5)
}

pub fn tree_options() -> TreeOptions {
    TreeOptions { extended_types: true, ..TreeOptions::default() }
}

/// Opens a directory as the server does, with a first snapshot where one is needed.
///
/// # Errors
/// What ends the server.
pub fn open(disk: &DiskRef, options: &OpenOptions) -> Result<(Store, Tree, Start), Death> {
    let opened = Store::open(disk, &Directories::one("/data"), options, |reader| {
        oxkeeper_tree::snapshot::load(reader, tree_options()).map_err(|error| error.to_string())
    })
    .map_err(|error| match error {
        OpenError::Damaged(damaged) => Death::Damaged(damaged.to_string()),
        other => Death::Start(other.to_string()),
    })?;
    let mut tree = match opened.snapshot {
        Some(snapshot) => {
            let mut tree: Tree = snapshot.state;
            place(&mut tree, snapshot.zxid, snapshot.digest);
            tree
        }
        None => Tree::new(tree_options()),
    };
    let mut start = Start { snapshot: tree.last_zxid(), records: Vec::new(), last: opened.last_zxid, mismatches: 0 };
    let (records, mismatches) = (&mut start.records, &mut start.mismatches);
    replay(&mut tree, &opened.log, |zxid, payload| records.push((zxid, Bytes::copy_from_slice(payload))), |_| *mismatches += 1)
        .expect("a logged transaction can be read");
    tree.set_last_zxid(opened.last_zxid);
    assert!(tree.orphaned_owners().is_empty(), "an exact snapshot and its log leave no ephemerals without a session");
    let mut store = opened.store;
    if opened.needs_snapshot {
        first_snapshot(&mut store, &mut tree).map_err(|error| Death::Start(error.to_string()))?;
    }
    Ok((store, tree, start))
}

/// Writes a snapshot of the tree as it is.
///
/// # Errors
/// The disk's.
pub fn first_snapshot(store: &mut Store, tree: &mut Tree) -> std::io::Result<()> {
    let (zxid, digest) = (tree.last_zxid(), tree.digest());
    let writer = store.snapshot_writer(zxid, Compression::None)?;
    let file = write_whole(tree, writer, end(zxid, digest))?;
    store.note_verified(&file);
    Ok(())
}

/// Makes a directory whose history ends here without a single transaction in it.
///
/// # Panics
/// When the disk fails.
pub fn begin_at(disk: &SimDisk, zxid: Zxid) {
    let shared: DiskRef = Arc::new(disk.clone());
    let (mut store, mut tree, _) = open(&shared, &OpenOptions::default()).expect("an empty disk");
    tree.set_last_zxid(zxid);
    first_snapshot(&mut store, &mut tree).expect("a disk without faults");
    let epoch = i64::from(zxid.epoch());
    store.epochs().set_accepted(epoch).and_then(|()| store.epochs().set_current(epoch)).expect("a disk without faults");
    drop(store);
    disk.crash();
}

fn end(zxid: Zxid, digest: u64) -> SnapshotEnd {
    SnapshotEnd { digest: Some(SnapshotDigest { zxid, version: DIGEST_VERSION, digest }), last_zxid: Some(zxid) }
}

/// Rules of identities; with `skip_acl` everybody may do everything, reconfigure for instance.
pub fn schemes(skip_acl: bool) -> Arc<Schemes> {
    Arc::new(Schemes::new(&SchemeOptions { skip_acl, ..SchemeOptions::default() }).expect("the defaults are good"))
}

pub fn core_options(tick_ms: u64, sid: u8, reconfig_enabled: bool) -> CoreOptions {
    CoreOptions {
        tick_ms,
        sid,
        prepare: PrepareOptions { extended_types: true, emulate_353_ttl: false, enforce_quota: false, reconfig_enabled },
        digest_enabled: true,
        close_session_txn: true,
        max_length: MAX_LENGTH,
        local_sessions: LocalSessions::Off,
        read_only_after_ms: None,
    }
}

/// What a connection gets to see.
pub enum Seen {
    /// Bytes.
    Bytes(u32, Vec<u8>),
    /// The server closes it.
    Close(u32),
    /// It is read again.
    Resume(u32),
}

#[derive(Default)]
struct Outputs {
    buffers: Vec<Vec<u8>>,
    closes: Vec<u32>,
    resumes: Vec<u32>,
}

impl Outputs {
    fn buffer(&mut self, slot: u32) -> &mut Vec<u8> {
        let slot = slot as usize;
        if self.buffers.len() <= slot {
            self.buffers.resize_with(slot + 1, Vec::new);
        }
        &mut self.buffers[slot]
    }
}

impl Outlets for Outputs {
    fn out(&mut self, slot: u32) -> &mut Vec<u8> {
        self.buffer(slot)
    }

    fn close(&mut self, slot: u32) {
        self.closes.push(slot);
    }

    fn resume(&mut self, slot: u32) {
        self.resumes.push(slot);
    }
}

struct Reactor {
    front: Front,
    shared: Arc<FrontShared>,
    outputs: Outputs,
}

/// The reactors of one process.
pub struct Reactors(Vec<Reactor>);

impl Reactors {
    /// Reactors of a member, which serve when they are told to and ask the leader for a sync; or of a server alone.
    pub fn new(schemes: &Arc<Schemes>, tick_ms: u64, is_member: bool) -> Self {
        let in_flight = Arc::new(AtomicUsize::new(0));
        let options = FrontOptions {
            tick_ms,
            min_session_timeout_ms: 1000,
            max_session_timeout_ms: 20_000,
            max_length: MAX_LENGTH,
            outstanding_limit: 1000,
            limits: Arc::default(),
            serves: !is_member,
            local_sessions: false,
            syncs: is_member,
        };
        let reactor = |index: usize| {
            let shared = Arc::new(FrontShared::default());
            let front = Front::new(index as u16, shared.clone(), schemes.clone(), options.clone(), in_flight.clone());
            Reactor { front, shared, outputs: Outputs::default() }
        };
        Self((0..FRONTS).map(reactor).collect())
    }

    /// A connection comes in; its slot.
    pub fn accept(&mut self, now: Now, front: usize) -> u32 {
        self.0[front].front.accept(now, SocketAddr::from((Ipv4Addr::LOCALHOST, 1)))
    }

    /// A connection is gone. Returns what the core is to be told.
    pub fn hang_up(&mut self, front: usize, slot: u32) -> Vec<Input> {
        let reactor = &mut self.0[front];
        reactor.front.closed(slot);
        reactor.outputs.buffer(slot).clear();
        std::mem::take(&mut reactor.front.submissions)
    }

    /// A reactor reads one frame. Returns what the core is to be told, too.
    pub fn frame(&mut self, now: Now, tree: &Tree, front: usize, slot: u32, bytes: &[u8]) -> (Flow, Vec<Input>) {
        let reactor = &mut self.0[front];
        reactor.front.drain(now, tree, &mut reactor.outputs);
        let mut out = std::mem::take(reactor.outputs.buffer(slot));
        let flow = reactor.front.frame(now, tree, slot, bytes, &mut out);
        *reactor.outputs.buffer(slot) = out;
        (flow, std::mem::take(&mut reactor.front.submissions))
    }

    /// A reactor looks into its inbox. Returns what the core is to be told.
    pub fn drain(&mut self, now: Now, tree: &Tree, front: usize) -> Vec<Input> {
        let reactor = &mut self.0[front];
        reactor.front.drain(now, tree, &mut reactor.outputs);
        std::mem::take(&mut reactor.front.submissions)
    }

    /// What a reactor has for its sockets.
    pub fn take_seen(&mut self, front: usize) -> Vec<Seen> {
        let outputs = &mut self.0[front].outputs;
        let mut seen = Vec::new();
        for (slot, buffer) in outputs.buffers.iter_mut().enumerate() {
            if !buffer.is_empty() {
                seen.push(Seen::Bytes(slot as u32, std::mem::take(buffer)));
            }
        }
        seen.extend(outputs.resumes.drain(..).map(Seen::Resume));
        seen.extend(outputs.closes.drain(..).map(Seen::Close));
        seen
    }

    /// Puts something into the inbox of a front.
    pub fn tell(&self, front: usize, item: Item) {
        self.0[front].shared.inbox.lock().expect("one thread").items.push(item);
    }

    /// What whoever applies needs of them.
    pub fn shared(&self) -> Vec<&FrontShared> {
        self.0.iter().map(|reactor| &*reactor.shared).collect()
    }
}

/// A snapshot that is being written.
pub struct Snapshotting {
    view: View,
    zxid: Zxid,
    digest: u64,
    writer: Option<SnapshotWriter>,
}

impl Snapshotting {
    /// Begins one of the tree as it is.
    pub fn begin(tree: &mut Tree, store: &Store, random: &mut Random) -> Self {
        let (zxid, digest) = (tree.last_zxid(), tree.digest());
        let view = tree.begin_view().expect("one at a time");
        let compression = [Compression::None, Compression::Gz, Compression::Snappy][random.below(3) as usize];
        Self { view, zxid, digest, writer: store.snapshot_writer(zxid, compression).ok() }
    }

    /// Writes a piece. Returns whether that was the last one, or one that could not be written.
    pub fn piece(&mut self, tree: &Tree) -> bool {
        let mut chunk = Vec::new();
        let done = self.view.next_chunk(tree, &mut chunk, 1024);
        if self.writer.as_mut().is_some_and(|writer| writer.write_all(&chunk).is_err()) {
            self.writer = None;
        }
        done || self.writer.is_none()
    }

    /// Lets the tree go and finishes the file. Returns whether there is one.
    pub fn finish(self, tree: &mut Tree, store: &mut Store) -> bool {
        let Self { view, zxid, digest, writer } = self;
        tree.end_view(view);
        let Some(Ok(file)) = writer.map(|writer| writer.finish(end(zxid, digest))) else { return false };
        store.note_verified(&file);
        true
    }

    /// Lets the tree go; nothing comes of it.
    pub fn abandon(self, tree: &mut Tree) {
        tree.end_view(self.view);
    }
}
