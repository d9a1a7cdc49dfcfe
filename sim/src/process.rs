//! One life of a server process: `Core`, `Front`s, tree, log and snapshots as `server` joins them, with what its
//! threads do taken apart into steps that the world calls in any order.
//!
//! The order within a step is that of the server's threads: outputs of the core are carried out before the next
//! input, an inbox is drained before a frame is read, and everything the log thread does between two waits for the
//! disk is one step.

use crate::random::Random;
use oxkeeper_auth::{SchemeOptions, Schemes};
use oxkeeper_proto::Zxid;
use oxkeeper_proto::txn::{DIGEST_VERSION, LoggedTxn};
use oxkeeper_replica::apply::{Commit, apply};
use oxkeeper_replica::core::{Core, CoreOptions, Input, Output};
use oxkeeper_replica::front::{Flow, Front, FrontOptions, Outlets};
use oxkeeper_replica::inbox::FrontShared;
use oxkeeper_replica::prepare::PrepareOptions;
use oxkeeper_replica::request::Now;
use oxkeeper_store::names::Compression;
use oxkeeper_store::snapshot::{SnapshotDigest, SnapshotEnd, SnapshotWriter};
use oxkeeper_store::txn_log::ZeroAhead;
use oxkeeper_store::{AppendError, Directories, DiskRef, LogOptions, OpenError, OpenOptions, Store, TxnLog};
use oxkeeper_tree::{NoopSink, Tree, TreeOptions, View};
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

/// Reactors of the simulated server.
pub const FRONTS: usize = 2;
const TICK_MS: u64 = 500;
const MAX_LENGTH: i32 = 1 << 20;
/// The disk keeps every sector in memory, so files are short.
const PRE_ALLOC_BYTES: i64 = 32 << 10;
const RESERVE_BYTES: u64 = 16 << 10;

/// A transaction on its way into the log.
pub struct Entry {
    pub zxid: Zxid,
    pub payload: bytes::Bytes,
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

/// What the history says right after a start.
pub struct Start {
    /// The zxid of the snapshot that was loaded.
    pub snapshot: Zxid,
    /// The records after it.
    pub records: Vec<(Zxid, Vec<u8>)>,
    /// The last zxid.
    pub last: Zxid,
    /// Transactions whose digest was not the tree's.
    pub mismatches: usize,
}

#[derive(Default)]
pub struct Outputs {
    buffers: Vec<Vec<u8>>,
    closes: Vec<u32>,
    resumes: Vec<u32>,
}

impl Outputs {
    pub fn buffer(&mut self, slot: u32) -> &mut Vec<u8> {
        let slot = slot as usize;
        if self.buffers.len() <= slot {
            self.buffers.resize_with(slot + 1, Vec::new);
        }
        &mut self.buffers[slot]
    }

    /// What there is for the sockets.
    pub fn take_seen(&mut self) -> Vec<Seen> {
        let mut seen = Vec::new();
        for (slot, buffer) in self.buffers.iter_mut().enumerate() {
            if !buffer.is_empty() {
                seen.push(Seen::Bytes(slot as u32, std::mem::take(buffer)));
            }
        }
        seen.extend(self.resumes.drain(..).map(Seen::Resume));
        seen.extend(self.closes.drain(..).map(Seen::Close));
        seen
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

struct Snapshotting {
    view: View,
    zxid: Zxid,
    digest: u64,
    writer: Option<SnapshotWriter>,
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

/// What the outside is shown of a step, for the oracle.
pub enum Event {
    /// The core proposed this.
    Proposed(Zxid, bytes::Bytes),
    /// The log refused everything from here on, for want of space.
    Refused(Zxid),
}

/// See the module.
pub struct Process {
    schemes: Arc<Schemes>,
    store: Store,
    log: TxnLog,
    tree: Tree,
    core: Core,
    reactors: Vec<Reactor>,
    waiting: Vec<Entry>,
    commits: Vec<Commit>,
    applied: Zxid,
    snapshot: Option<Snapshotting>,
    zeros: Option<ZeroAhead>,
    pub events: Vec<Event>,
    /// Snapshots finished in this life.
    pub snapshots: usize,
}

fn tree_options() -> TreeOptions {
    TreeOptions { extended_types: true, ..TreeOptions::default() }
}

impl Process {
    /// Starts on a disk: recovery as the server does it.
    ///
    /// # Errors
    /// What ends the server.
    pub fn start(disk: &DiskRef, now: Now) -> Result<(Self, Start), Death> {
        let directories = Directories::one("/data");
        let opened = Store::open(disk, &directories, &OpenOptions::default(), |reader| {
            oxkeeper_tree::snapshot::load(reader, tree_options()).map_err(|error| error.to_string())
        })
        .map_err(|error| match error {
            OpenError::Damaged(damaged) => Death::Damaged(damaged.to_string()),
            other => Death::Start(other.to_string()),
        })?;
        let mut tree = match opened.snapshot {
            Some(snapshot) => {
                let mut tree: Tree = snapshot.state;
                tree.set_last_zxid(snapshot.zxid);
                if let Some(digest) = snapshot.digest.filter(|digest| digest.version == DIGEST_VERSION) {
                    tree.expect_digest_at(digest.zxid, Some(digest.digest));
                }
                tree
            }
            None => Tree::new(tree_options()),
        };
        let mut start = Start { snapshot: tree.last_zxid(), records: Vec::new(), last: opened.last_zxid, mismatches: 0 };
        for record in opened.log.records() {
            let logged = LoggedTxn::read(record.payload).expect("a logged transaction can be read");
            let applied = tree.apply(&logged, &mut NoopSink);
            start.mismatches += usize::from(applied.digest_mismatch.is_some());
            start.records.push((record.zxid, record.payload.to_vec()));
        }
        tree.set_last_zxid(opened.last_zxid);
        assert!(tree.orphaned_owners().is_empty(), "an exact snapshot and its log leave no ephemerals without a session");
        let mut store = opened.store;
        if opened.needs_snapshot {
            first_snapshot(&mut store, &mut tree).map_err(|error| Death::Start(error.to_string()))?;
        }
        let log_options =
            LogOptions { pre_alloc_bytes: PRE_ALLOC_BYTES, size_limit_bytes: None, force_sync: true, reserve_bytes: RESERVE_BYTES };
        let mut log = store.txn_log(log_options).map_err(|error| Death::Start(error.to_string()))?;
        let _ = log.hold_reserve();
        let schemes = Arc::new(Schemes::new(&SchemeOptions::default()).expect("the defaults are good"));
        let core_options = CoreOptions {
            tick_ms: TICK_MS,
            sid: 1,
            prepare: PrepareOptions { extended_types: true, emulate_353_ttl: false, enforce_quota: false, reconfig_enabled: false },
            digest_enabled: true,
            close_session_txn: true,
            max_length: MAX_LENGTH,
        };
        let core = Core::standalone(core_options, schemes.clone(), &tree, now);
        let in_flight = Arc::new(AtomicUsize::new(0));
        let front_options = FrontOptions {
            tick_ms: TICK_MS,
            min_session_timeout_ms: 1000,
            max_session_timeout_ms: 20_000,
            max_length: MAX_LENGTH,
            outstanding_limit: 1000,
            limits: Arc::default(),
            serves: true,
            syncs: false,
        };
        let reactor = |index: usize| {
            let shared = Arc::new(FrontShared::default());
            let front = Front::new(index as u16, shared.clone(), schemes.clone(), front_options.clone(), in_flight.clone());
            Reactor { front, shared, outputs: Outputs::default() }
        };
        let process = Self {
            reactors: (0..FRONTS).map(reactor).collect(),
            schemes,
            store,
            log,
            applied: Zxid::ZERO,
            tree,
            core,
            waiting: Vec::new(),
            commits: Vec::new(),
            snapshot: None,
            zeros: None,
            events: Vec::new(),
            snapshots: 0,
        };
        Ok((process, start))
    }

    /// The committed tree.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// Whether writes are refused for want of space.
    pub fn out_of_space(&self) -> bool {
        self.core.out_of_space()
    }

    /// A connection comes in; its slot.
    pub fn accept(&mut self, now: Now, front: usize) -> u32 {
        self.reactors[front].front.accept(now, SocketAddr::from((Ipv4Addr::LOCALHOST, 1)))
    }

    /// A connection is gone.
    pub fn hang_up(&mut self, now: Now, front: usize, slot: u32) {
        let reactor = &mut self.reactors[front];
        reactor.front.closed(slot);
        reactor.outputs.buffer(slot).clear();
        self.submit(now, front);
    }

    /// A reactor reads one frame.
    pub fn frame(&mut self, now: Now, front: usize, slot: u32, bytes: &[u8]) -> Flow {
        let reactor = &mut self.reactors[front];
        reactor.front.drain(now, &self.tree, &mut reactor.outputs);
        let mut out = std::mem::take(reactor.outputs.buffer(slot));
        let flow = reactor.front.frame(now, &self.tree, slot, bytes, &mut out);
        *reactor.outputs.buffer(slot) = out;
        self.submit(now, front);
        flow
    }

    /// A reactor looks into its inbox.
    pub fn drain(&mut self, now: Now, front: usize) {
        let reactor = &mut self.reactors[front];
        reactor.front.drain(now, &self.tree, &mut reactor.outputs);
        self.submit(now, front);
    }

    /// What a reactor has for its sockets.
    pub fn take_seen(&mut self, front: usize) -> Vec<Seen> {
        self.reactors[front].outputs.take_seen()
    }

    fn submit(&mut self, now: Now, front: usize) {
        let inputs = std::mem::take(&mut self.reactors[front].front.submissions);
        self.bring(now, inputs);
    }

    /// Time passes for the core.
    pub fn tick(&mut self, now: Now) {
        if self.core.sessions().next_expiry_ms().is_some_and(|at| at <= now.mono_ms) {
            self.bring(now, vec![Input::Tick]);
        }
    }

    fn bring(&mut self, now: Now, inputs: Vec<Input>) {
        for input in inputs {
            self.core.handle(now, &self.tree, input);
        }
        while let Some(output) = self.core.poll() {
            match output {
                Output::Append { zxid, payload } => {
                    self.events.push(Event::Proposed(zxid, payload.clone()));
                    self.waiting.push(Entry { zxid, payload });
                }
                Output::Apply(commit) => self.commits.push(commit),
                Output::Front { front, item } => {
                    self.reactors[usize::from(front)].shared.inbox.lock().expect("one thread").items.push(item);
                }
                other => unreachable!("a standalone server has no peers: {other:?}"),
            }
        }
        if !self.commits.is_empty() {
            let commits = std::mem::take(&mut self.commits);
            let fronts: Vec<&FrontShared> = self.reactors.iter().map(|reactor| &*reactor.shared).collect();
            let effects = apply(&mut self.tree, &fronts, commits, &self.schemes, MAX_LENGTH, &mut ());
            assert!(effects.digest_mismatches.is_empty(), "the overlay and the tree agree: {:?}", effects.digest_mismatches);
        }
    }

    /// The log thread's turn: append what waits, sync, apply.
    ///
    /// # Errors
    /// What ends the process.
    pub fn log(&mut self, now: Now) -> Result<(), Death> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let entries = std::mem::take(&mut self.waiting);
        match self.log.append(&entries) {
            Ok(()) => {}
            Err(AppendError::NoSpace) => {
                let from = entries[0].zxid;
                self.events.push(Event::Refused(from));
                self.bring(now, vec![Input::Applied { through: self.applied }, Input::LogRefused { from }]);
                return Ok(());
            }
            Err(AppendError::Fatal(reason)) => return Err(Death::Log(reason)),
        }
        let synced = self.log.sync().map_err(|error| Death::Log(error.0))?;
        let through = synced.through.expect("something was appended");
        self.bring(now, vec![Input::Applied { through: self.applied }, Input::LogSynced { through }]);
        self.applied = through;
        if self.zeros.is_none() {
            self.zeros = self.log.prepare_ahead();
        }
        Ok(())
    }

    /// The helper that fills space ahead.
    pub fn fill_ahead(&mut self) {
        if let Some(work) = self.zeros.take() {
            // As the server: a warning and no more.
            let _ = work.run();
        }
    }

    /// A full disk has room again.
    pub fn space_is_back(&mut self, now: Now) {
        self.bring(now, vec![Input::SpaceIsBack]);
    }

    /// One step of a snapshot: begins one, writes a piece, or finishes.
    ///
    /// # Errors
    /// What ends the process. A snapshot that fails does not.
    pub fn snapshot(&mut self, random: &mut Random) -> Result<(), Death> {
        let Some(current) = &mut self.snapshot else {
            self.log.roll().map_err(|error| Death::Log(error.0))?;
            let (zxid, digest) = (self.tree.last_zxid(), self.tree.digest());
            let view = self.tree.begin_view().expect("one at a time");
            let compression = [Compression::None, Compression::Gz, Compression::Snappy][random.below(3) as usize];
            let writer = self.store.snapshot_writer(zxid, compression).ok();
            self.snapshot = Some(Snapshotting { view, zxid, digest, writer });
            return Ok(());
        };
        let mut chunk = Vec::new();
        let done = current.view.next_chunk(&self.tree, &mut chunk, 1024);
        let written = current.writer.as_mut().is_some_and(|writer| writer.write_all(&chunk).is_ok());
        if done || !written {
            let Snapshotting { view, zxid, digest, writer } = self.snapshot.take().expect("checked");
            self.tree.end_view(view);
            if written && let Some(Ok(file)) = writer.map(|writer| writer.finish(end(zxid, digest))) {
                self.store.note_verified(&file);
                self.snapshots += 1;
            }
        }
        Ok(())
    }

    /// Old snapshots and logs go.
    pub fn purge(&mut self) {
        let _ = self.store.purge(3);
    }

    /// The orderly end: everything that waits is logged, the log is closed.
    ///
    /// # Errors
    /// As [`Process::log`].
    pub fn close(mut self, now: Now) -> Result<(), Death> {
        self.log(now)?;
        self.log.close().map_err(|error| Death::Log(error.0))
    }
}

fn end(zxid: Zxid, digest: u64) -> SnapshotEnd {
    SnapshotEnd { digest: Some(SnapshotDigest { zxid, version: DIGEST_VERSION, digest }), last_zxid: Some(zxid) }
}

fn first_snapshot(store: &mut Store, tree: &mut Tree) -> std::io::Result<()> {
    let mut view = tree.begin_view().expect("nobody has a view yet");
    let (zxid, digest) = (tree.last_zxid(), tree.digest());
    let mut chunk = Vec::new();
    while !view.next_chunk(tree, &mut chunk, 1 << 20) {}
    tree.end_view(view);
    let mut writer = store.snapshot_writer(zxid, Compression::None)?;
    writer.write_all(&chunk)?;
    let file = writer.finish(end(zxid, digest))?;
    store.note_verified(&file);
    Ok(())
}
