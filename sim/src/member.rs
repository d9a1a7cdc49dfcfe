//! One life of a member of an ensemble: `Core`, `Front`s, tree and ledger as `server` joins them, with what its threads
//! do taken apart into steps that the world calls in any order.

use crate::config_files::ConfigFiles;
use crate::machine::{
    self, Death, Entry, FRONTS, MAX_LENGTH, PRE_ALLOC_BYTES, Reactors, Seen, Snapshotting, Start, core_options, schemes, tree_options,
};
use crate::random::Random;
use crate::trace::trace;
use bytes::Bytes;
use oxkeeper_auth::Schemes;
use oxkeeper_ledger::{Ledger, LedgerOptions, Received, Stepped, last_seen};
use oxkeeper_proto::Zxid;
use oxkeeper_replica::apply::{Commit, Outcome, apply};
use oxkeeper_replica::core::{Core, DiskStep, Input, Output};
use oxkeeper_replica::front::Flow;
use oxkeeper_replica::inbox::{Item, Service};
use oxkeeper_replica::request::Now;
use oxkeeper_store::{AppendError, DiskRef, LogOptions, OpenOptions, Store};
use oxkeeper_tree::{NoopSink, Tree};
use oxkeeper_zab::{Config, Door, Durable, LinkId, Packet, PacketKind, Peer, PeerOptions, Role, Sid, SyncJob};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

/// What all members have in common.
#[derive(Clone, Debug)]
pub struct MemberOptions {
    pub tick_ms: u64,
    pub init_limit: u32,
    pub sync_limit: u32,
    /// How many committed transactions are kept in memory for learners.
    pub cache_entries: usize,
    /// A leader asks for a new epoch instead of proposing this counter.
    pub last_counter: u32,
    /// Whoever comes gets a snapshot.
    pub force_snapshot_sync: bool,
    /// The ensemble may change while it runs.
    pub reconfig_enabled: bool,
    /// Followers feed observers.
    pub observer_masters: bool,
}

/// What waits for the log thread.
enum Work {
    Append(Entry),
    Step(DiskStep),
    /// A configuration was proposed, or is in force: it goes into its file.
    SeenMembers(Box<Config>),
    Members(Box<Config>),
}

/// What a member asks of the world.
#[derive(Debug)]
pub enum Wish {
    Notify { to: Sid, message: Bytes },
    Dial { link: LinkId, leader: Sid, door: Door },
    Listen { on: bool, door: Door },
    Send { link: LinkId, packet: Packet },
    Synchronise { link: LinkId, job: SyncJob },
    HangUp(LinkId),
}

/// What the oracle has to know, in order.
#[derive(Debug)]
pub enum Event {
    /// Given to the log.
    Appended(Zxid, Bytes),
    /// The log ends here now.
    Truncated(Zxid),
    /// A snapshot is to become the history.
    Installing(Zxid),
    /// It has.
    Installed(Zxid, u64),
    /// Put into the tree; the digest after it.
    Applied(Zxid, Bytes, u64),
    /// The log could not be cut.
    CutRefused,
    /// What was installed is to be the history.
    EpochCommitted,
    /// It is, and everything in it is durable.
    EpochDurable,
    /// The log is said to be durable through here.
    Synced(Zxid),
    /// A snapshot is not to become the history after all.
    Abandoned,
    /// The tree was built anew, and ends here.
    Rebuilt(Zxid, u64),
    /// Clients are served: the role, the epoch, the end of the tree, and the configuration in force.
    Serving(Role, i64, Zxid, u64, Box<Config>),
    /// A leader is told that this epoch is promised to it, for its election.
    Promised(i64),
}

/// See the module.
pub struct Member {
    schemes: Arc<Schemes>,
    store: Arc<Mutex<Store>>,
    ledger: Ledger,
    tree: Tree,
    core: Core,
    reactors: Reactors,
    work: VecDeque<Work>,
    commits: Vec<Commit>,
    snapshot: Option<Snapshotting>,
    received: Option<Received>,
    /// The epoch that the leader proposes.
    proposed_epoch: i64,
    /// The log was cut in this life.
    pub was_cut: bool,
    files: ConfigFiles,
    /// Whom it knows: by the configuration in force, and by one that was proposed.
    members: Config,
    last_seen: Option<Config>,
    reconfig_enabled: bool,
    /// What the member is in the middle of, for the counts of power cuts.
    pub moment: &'static str,
    pub events: Vec<Event>,
    pub wishes: Vec<Wish>,
    pub is_serving: bool,
    /// Snapshots finished in this life.
    pub snapshots: usize,
}

impl Member {
    /// Starts on a disk, as the server does it, in the ensemble that the files beside zoo.cfg name.
    ///
    /// `is_lost`: the directory was emptied, and not because it was a new member's.
    ///
    /// # Errors
    /// What ends the server.
    pub fn start(disk: &DiskRef, sid: Sid, options: &MemberOptions, now: Now, seed: u64, is_lost: bool) -> Result<(Self, Start), Death> {
        let (files, config, kept) = ConfigFiles::read(disk, sid);
        let (store, mut tree, begun) = machine::open(disk, &OpenOptions { autocreate_database: !is_lost, ..OpenOptions::default() })?;
        assert_eq!(begun.mismatches, 0, "digests agree");
        let start = |error: &dyn std::fmt::Display| Death::Start(error.to_string());
        let epochs = store.epochs().load(begun.last).map_err(|damaged| match damaged.to_string() {
            // Loading may have to write.
            reason if reason.contains("injected") || reason.contains("cannot be written") => Death::Start(reason),
            reason => Death::Damaged(reason),
        })?;
        let durable = Durable { last_zxid: begun.last, accepted: epochs.accepted, current: epochs.current, in_doubt: epochs.in_doubt };
        let kept = if options.reconfig_enabled { last_seen(&config, kept, &tree) } else { kept };
        let mut peer_options = PeerOptions::new(sid);
        // As Java: who is not named follows, as long as it is let.
        peer_options.is_observer = config.observers().any(|observer| observer == sid);
        peer_options.tick_ms = options.tick_ms;
        peer_options.init_limit = options.init_limit;
        peer_options.sync_limit = options.sync_limit;
        peer_options.cache_entries = options.cache_entries;
        peer_options.last_counter = options.last_counter;
        peer_options.seed = seed;
        peer_options.force_snapshot_sync = options.force_snapshot_sync;
        peer_options.reconfig_enabled = options.reconfig_enabled;
        peer_options.observer_masters = options.observer_masters;
        peer_options.last_seen = kept.clone().map(Box::new);
        let peer = Peer::member(peer_options, config.clone(), durable, now.mono_ms);
        let store = Arc::new(Mutex::new(store));
        let log = LogOptions { pre_alloc_bytes: PRE_ALLOC_BYTES, size_limit_bytes: None, force_sync: true, reserve_bytes: 0 };
        let ledger = Ledger::new(store.clone(), LedgerOptions { tree: tree_options(), log }).map_err(|error| start(&error))?;
        let schemes = schemes(options.reconfig_enabled);
        if options.reconfig_enabled {
            show(&config, &mut tree, now);
        }
        let core = Core::member(core_options(options.tick_ms, sid.0 as u8, options.reconfig_enabled), schemes.clone(), peer, &tree, now);
        let mut member = Self {
            reactors: Reactors::new(&schemes, options.tick_ms, true),
            schemes,
            store,
            ledger,
            tree,
            core,
            work: VecDeque::new(),
            commits: Vec::new(),
            snapshot: None,
            received: None,
            proposed_epoch: 0,
            was_cut: false,
            files,
            members: config,
            last_seen: kept,
            reconfig_enabled: options.reconfig_enabled,
            moment: "looking",
            events: Vec::new(),
            wishes: Vec::new(),
            is_serving: false,
            snapshots: 0,
        };
        member.bring(now, Vec::new());
        Ok((member, begun))
    }

    /// The committed tree.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// The role, and so on.
    pub fn peer(&self) -> &Peer {
        self.core.peer()
    }

    /// Where a snapshot that comes in goes to, and what a learner lacks comes from.
    pub fn store(&self) -> &Arc<Mutex<Store>> {
        &self.store
    }

    /// Whether it knows where another server takes learners.
    pub fn knows(&self, sid: Sid) -> bool {
        let seen = self.last_seen.as_ref().is_some_and(|seen| seen.version > self.members.version && seen.members.contains_key(&sid));
        seen || self.members.members.contains_key(&sid)
    }

    /// When time is of importance again.
    pub fn next_timer_ms(&self) -> Option<u64> {
        self.core.next_timer_ms()
    }

    /// Whether the next thing for the log thread is a step that changes files.
    pub fn is_before_step(&self) -> bool {
        matches!(self.work.front(), Some(Work::Step(step)) if !matches!(step, DiskStep::Barrier(_) | DiskStep::Resume))
    }

    /// Whether the next thing for the log thread is to cut the log.
    pub fn is_before_cut(&self) -> bool {
        matches!(self.work.front(), Some(Work::Step(DiskStep::Truncate(_))))
    }

    /// Whether the log thread has something to do.
    pub fn has_work(&self) -> bool {
        !self.work.is_empty()
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
        if self.core.next_timer_ms().is_some_and(|at| at <= now.mono_ms) {
            self.bring(now, vec![Input::Tick]);
        }
    }

    /// A snapshot has come in on a link.
    pub fn receive(&mut self, now: Now, link: LinkId, received: Received) {
        self.received = Some(received);
        self.bring(now, vec![Input::SnapshotReceived { link }]);
    }

    /// Brings the core what happened and carries out what follows.
    pub fn bring(&mut self, now: Now, inputs: Vec<Input>) {
        let mut inputs = VecDeque::from(inputs);
        loop {
            for input in inputs.drain(..) {
                self.note_moment(&input);
                self.core.handle(now, &self.tree, input);
            }
            let mut catches_up = false;
            while let Some(output) = self.core.poll() {
                match output {
                    Output::Append { zxid, payload } => {
                        self.events.push(Event::Appended(zxid, payload.clone()));
                        self.work.push_back(Work::Append(Entry { zxid, payload }));
                    }
                    Output::Disk(step) => {
                        trace!(
                            "   {:?} wants {step:?} as {:?} of {:?}",
                            self.core.peer().me(),
                            self.core.peer().role(),
                            self.core.peer().leader()
                        );
                        match step {
                            DiskStep::Truncate(zxid) => self.events.push(Event::Truncated(zxid)),
                            DiskStep::InstallSnapshot(zxid) => self.events.push(Event::Installing(zxid)),
                            DiskStep::AbandonSnapshot => self.events.push(Event::Abandoned),
                            DiskStep::CommitEpoch(_) => self.events.push(Event::EpochCommitted),
                            _ => {}
                        }
                        self.work.push_back(Work::Step(step));
                    }
                    Output::Apply(commit) => self.commits.push(commit),
                    Output::Front { front, item } => self.reactors.tell(usize::from(front), item),
                    Output::Serve(service) => {
                        let serves = service == Service::Full;
                        self.is_serving = serves;
                        // What was committed before is in the tree by the time anybody is served.
                        self.apply();
                        if serves && self.core.peer().role() == Role::Leading {
                            self.moment = "leading";
                        }
                        if serves {
                            let peer = self.core.peer();
                            let config = Box::new(peer.config().clone());
                            self.events.push(Event::Serving(peer.role(), peer.epoch(), self.tree.last_zxid(), self.tree.digest(), config));
                        }
                        (0..FRONTS).for_each(|front| self.reactors.tell(front, Item::Serve(service)));
                    }
                    Output::CatchUp => catches_up = true,
                    Output::SeenMembers(config) => {
                        self.last_seen = Some((*config).clone());
                        self.work.push_back(Work::SeenMembers(config));
                    }
                    Output::Members(config) => {
                        self.members = (*config).clone();
                        self.work.push_back(Work::Members(config));
                    }
                    Output::Notify { to, message } => self.wishes.push(Wish::Notify { to, message }),
                    Output::Dial { link, leader, door } => self.wishes.push(Wish::Dial { link, leader, door }),
                    Output::Listen { on, door } => self.wishes.push(Wish::Listen { on, door }),
                    Output::Send { link, packet } => {
                        if packet.kind == PacketKind::ACKEPOCH && packet.data.as_deref() != Some(&(-1i32).to_be_bytes()) {
                            self.events.push(Event::Promised(self.proposed_epoch));
                        }
                        self.wishes.push(Wish::Send { link, packet });
                    }
                    Output::Synchronise { link, job } => self.wishes.push(Wish::Synchronise { link, job }),
                    Output::HangUp { link } => self.wishes.push(Wish::HangUp(link)),
                }
            }
            self.apply();
            if !catches_up {
                return;
            }
            inputs.push_back(Input::Applied { through: self.tree.last_zxid() });
        }
    }

    fn note_moment(&mut self, input: &Input) {
        if self.core.peer().role() == Role::Looking {
            self.moment = "looking";
        }
        if let Input::Packet { packet, .. } = input
            && matches!(self.core.peer().role(), Role::Following | Role::Observing)
        {
            match packet.kind {
                PacketKind::LEADERINFO => {
                    self.moment = "LEADERINFO";
                    self.proposed_epoch = i64::from(packet.zxid.epoch());
                }
                PacketKind::DIFF => self.moment = "DIFF",
                PacketKind::TRUNC => (self.moment, self.was_cut) = ("TRUNC", true),
                PacketKind::SNAP => self.moment = "SNAP",
                PacketKind::NEWLEADER => self.moment = "NEWLEADER",
                PacketKind::UPTODATE => self.moment = "following",
                _ => {}
            }
        }
    }

    /// One by one, so that the digest after each can be compared.
    fn apply(&mut self) {
        for commit in std::mem::take(&mut self.commits) {
            let applied = match &commit.outcome {
                Outcome::Txn { zxid, payload } => Some((*zxid, payload.clone())),
                _ => None,
            };
            let effects = apply(&mut self.tree, &self.reactors.shared(), vec![commit], &self.schemes, MAX_LENGTH, &mut ());
            assert!(effects.digest_mismatches.is_empty(), "the leader and the tree agree: {:?}", effects.digest_mismatches);
            if let Some((zxid, payload)) = applied {
                self.events.push(Event::Applied(zxid, payload, self.tree.digest()));
            }
        }
    }

    /// The log thread's turn: a batch of appends up to the next step, or a step.
    ///
    /// # Errors
    /// What ends the process.
    pub fn log(&mut self, now: Now) -> Result<(), Death> {
        let mut entries = Vec::new();
        while !matches!(self.work.front(), None | Some(Work::Step(_))) {
            // That one cannot be kept is told to the operator, and no more.
            let kept = match self.work.pop_front().expect("looked at just now") {
                Work::Append(entry) => {
                    entries.push(entry);
                    continue;
                }
                Work::SeenMembers(config) => self.files.propose(&config),
                Work::Members(config) => self.files.activate(&config),
                Work::Step(_) => unreachable!("no step, as seen just now"),
            };
            if let Err(failure) = kept {
                trace!("   {:?} cannot keep a configuration: {failure}", self.core.peer().me());
            }
        }
        if !entries.is_empty() {
            return if self.ledger.is_refusing() { Ok(()) } else { self.write(now, entries) };
        }
        match self.work.pop_front() {
            Some(Work::Step(step)) => self.step(now, step),
            _ => Ok(()),
        }
    }

    fn write(&mut self, now: Now, entries: Vec<Entry>) -> Result<(), Death> {
        match self.ledger.append(&entries) {
            Ok(()) => {}
            Err(AppendError::NoSpace) => {
                // It is tried again when there is room; nothing is acknowledged meanwhile.
                entries.into_iter().rev().for_each(|entry| self.work.push_front(Work::Append(entry)));
                return Ok(());
            }
            Err(AppendError::Fatal(reason)) => return Err(Death::Log(reason)),
        }
        let synced = self.ledger.sync().map_err(|error| Death::Log(error.reason))?;
        let through = synced.through.expect("something was appended");
        debug_assert_eq!(Some(through), entries.last().map(|entry| entry.zxid));
        if !self.ledger.is_staging() {
            self.events.push(Event::Synced(through));
        }
        self.bring(now, vec![Input::Applied { through: self.tree.last_zxid() }, Input::LogSynced { through }]);
        if let Some(work) = self.ledger.log().prepare_ahead() {
            let _ = work.run();
        }
        Ok(())
    }

    fn step(&mut self, now: Now, step: DiskStep) -> Result<(), Death> {
        if let DiskStep::Barrier(step) = step {
            self.bring(now, vec![Input::Done { step }]);
            return Ok(());
        }
        if matches!(step, DiskStep::Truncate(_) | DiskStep::InstallSnapshot(_) | DiskStep::AbandonSnapshot)
            && let Some(snapshot) = self.snapshot.take()
        {
            snapshot.abandon(&mut self.tree);
        }
        let received = if matches!(step, DiskStep::InstallSnapshot(_)) { self.received.take() } else { None };
        match self.ledger.step(step, received, self.tree.last_zxid()) {
            Ok(Stepped::Unchanged) => {}
            Ok(Stepped::Replaced(tree)) => {
                self.tree = *tree;
                if self.reconfig_enabled {
                    show(&self.members, &mut self.tree, now);
                }
                let (zxid, digest) = (self.tree.last_zxid(), self.tree.digest());
                self.events.push(match step {
                    DiskStep::InstallSnapshot(zxid) => Event::Installed(zxid, digest),
                    _ => Event::Rebuilt(zxid, digest),
                });
            }
            Ok(Stepped::Adopted(through)) => self.tree.expect_digest_at(through, None),
            Ok(Stepped::CutRefused) => {
                self.events.push(Event::CutRefused);
                self.bring(now, vec![Input::CutRefused]);
            }
            Err(error) => return Err(Death::Log(error.reason)),
        }
        if matches!(step, DiskStep::CommitEpoch(_)) {
            self.events.push(Event::EpochDurable);
        }
        Ok(())
    }

    /// One step of a snapshot: begins one, writes a piece, or finishes.
    ///
    /// # Errors
    /// What ends the process. A snapshot that fails does not.
    pub fn snapshot(&mut self, random: &mut Random) -> Result<(), Death> {
        let Some(current) = &mut self.snapshot else {
            // Before it serves the tree may hold what was never committed.
            if !self.is_serving {
                return Ok(());
            }
            self.ledger.log().roll().map_err(|error| Death::Log(error.0))?;
            let store = self.store.lock().expect("one thread");
            self.snapshot = Some(Snapshotting::begin(&mut self.tree, &store, random));
            return Ok(());
        };
        if current.piece(&self.tree) {
            let mut store = self.store.lock().expect("one thread");
            let finished = self.snapshot.take().expect("checked").finish(&mut self.tree, &mut store);
            self.snapshots += usize::from(finished);
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Store> {
        self.store.lock().expect("one thread")
    }

    /// Old snapshots and logs go.
    pub fn purge(&mut self) {
        let _ = self.lock().purge(3);
    }
}

/// A tree from files shows what the files beside zoo.cfg say, unless it knows better.
fn show(members: &Config, tree: &mut Tree, now: Now) {
    tree.show_newer_config(&members.to_text(), Zxid(members.version.cast_signed()), now.wall_ms, &mut NoopSink);
}
