//! One life of a server process: `Core`, `Front`s, tree, log and snapshots as `server` joins them, with what its
//! threads do taken apart into steps that the world calls in any order.
//!
//! The order within a step is that of the server's threads: outputs of the core are carried out before the next
//! input, an inbox is drained before a frame is read, and everything the log thread does between two waits for the
//! disk is one step.

use crate::machine::{self, Death, Entry, MAX_LENGTH, PRE_ALLOC_BYTES, Reactors, Seen, Snapshotting, Start, core_options, schemes};
use crate::random::Random;
use oxkeeper_auth::Schemes;
use oxkeeper_proto::Zxid;
use oxkeeper_replica::apply::{Commit, apply};
use oxkeeper_replica::core::{Core, Input, Output};
use oxkeeper_replica::front::Flow;
use oxkeeper_replica::request::Now;
use oxkeeper_store::txn_log::ZeroAhead;
use oxkeeper_store::{AppendError, DiskRef, LogOptions, OpenOptions, Store, TxnLog};
use oxkeeper_tree::Tree;
use std::sync::Arc;

const TICK_MS: u64 = 500;
const RESERVE_BYTES: u64 = 16 << 10;

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
    reactors: Reactors,
    waiting: Vec<Entry>,
    commits: Vec<Commit>,
    applied: Zxid,
    snapshot: Option<Snapshotting>,
    zeros: Option<ZeroAhead>,
    pub events: Vec<Event>,
    /// Snapshots finished in this life.
    pub snapshots: usize,
}

impl Process {
    /// Starts on a disk: recovery as the server does it.
    ///
    /// # Errors
    /// What ends the server.
    pub fn start(disk: &DiskRef, now: Now) -> Result<(Self, Start), Death> {
        let (store, tree, start) = machine::open(disk, &OpenOptions::default())?;
        let log_options =
            LogOptions { pre_alloc_bytes: PRE_ALLOC_BYTES, size_limit_bytes: None, force_sync: true, reserve_bytes: RESERVE_BYTES };
        let mut log = store.txn_log(log_options).map_err(|error| Death::Start(error.to_string()))?;
        let _ = log.hold_reserve();
        let schemes = schemes(false);
        let core = Core::standalone(core_options(TICK_MS, 1, false), schemes.clone(), &tree, now);
        let process = Self {
            reactors: Reactors::new(&schemes, TICK_MS, false),
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
        self.reactors.accept(now, front)
    }

    /// A connection is gone.
    pub fn hang_up(&mut self, now: Now, front: usize, slot: u32) {
        let inputs = self.reactors.hang_up(front, slot);
        self.bring(now, inputs);
    }

    /// A reactor reads one frame.
    pub fn frame(&mut self, now: Now, front: usize, slot: u32, bytes: &[u8]) -> Flow {
        let (flow, inputs) = self.reactors.frame(now, &self.tree, front, slot, bytes);
        self.bring(now, inputs);
        flow
    }

    /// A reactor looks into its inbox.
    pub fn drain(&mut self, now: Now, front: usize) {
        let inputs = self.reactors.drain(now, &self.tree, front);
        self.bring(now, inputs);
    }

    /// What a reactor has for its sockets.
    pub fn take_seen(&mut self, front: usize) -> Vec<Seen> {
        self.reactors.take_seen(front)
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
                    self.reactors.tell(usize::from(front), item);
                }
                other => unreachable!("a standalone server has no peers: {other:?}"),
            }
        }
        if !self.commits.is_empty() {
            let commits = std::mem::take(&mut self.commits);
            let effects = apply(&mut self.tree, &self.reactors.shared(), commits, &self.schemes, MAX_LENGTH, &mut ());
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
            self.snapshot = Some(Snapshotting::begin(&mut self.tree, &self.store, random));
            return Ok(());
        };
        if current.piece(&self.tree) {
            let finished = self.snapshot.take().expect("checked").finish(&mut self.tree, &mut self.store);
            self.snapshots += usize::from(finished);
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
