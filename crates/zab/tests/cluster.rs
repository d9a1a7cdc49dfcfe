//! Whole ensembles of peers in one thread of virtual time: real elections, FIFO links that stall and break, disks that
//! lose what was not synced, crashes, pauses and partitions, all drawn from one seed; and the invariants of Zab, each
//! for all servers at every step. What a server does beside its peer is kept as small as it can be: a tree is the list
//! of what was applied, a snapshot is a copy of it.
//!
//! `ZAB_SEEDS=from..to` runs other seeds than the usual ones, `ZAB_TRACE=1` tells what happens in them.

#![allow(clippy::disallowed_methods, reason = "the seeds of a test may come from outside")]

use bytes::Bytes;
use oxkeeper_proto::records::{SetDataTxn, TxnHeader};
use oxkeeper_proto::txn::{self, LoggedTxn, Txn as Transaction};
use oxkeeper_proto::{OpCode, SessionId, Zxid};
use oxkeeper_zab::peer::{Input, Output};
use oxkeeper_zab::{
    Config, Durable, LinkId, Member, MemberRole, Packet, PacketKind, Peer, PeerOptions, Role, Sid, SyncJob, SyncOrigin, SyncPlan,
    committed_packets, plan_from_log,
};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};

const TICK_MS: u64 = 200;

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.below(to - from + 1)
    }

    /// Once in `n` times.
    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

type Txn = (Zxid, Bytes);

enum Op {
    Append(Txn),
    SaveAccepted(i64),
    Announce(i64),
    CommitEpoch(i64),
    Truncate(Zxid),
    Install(Zxid, Vec<Txn>),
    Abandon,
    Barrier(u64),
}

/// What is durable.
#[derive(Clone, Default)]
struct Files {
    /// The history before any transaction, as a snapshot of an earlier life.
    origin: Zxid,
    history: Vec<Txn>,
    /// The end of the newest snapshot, an index of `history`: the log begins behind it or before.
    snapshot: usize,
    /// Where the log begins, an index of `history`.
    log: usize,
    accepted: i64,
    announced: Option<i64>,
    current: i64,
    in_doubt: bool,
    /// The configuration in force, and one that was proposed; `None`: those of the beginning.
    config: Option<Config>,
    last_seen: Option<Box<Config>>,
    /// What has been installed and is not the history yet.
    staged: Option<Box<Files>>,
}

impl Files {
    fn last(&self) -> Zxid {
        self.history.last().map_or(self.origin, |(zxid, _)| *zxid)
    }

    fn zxid_before(&self, index: usize) -> Zxid {
        if index == 0 { self.origin } else { self.history[index - 1].0 }
    }

    fn contains(&self, txn: &Txn) -> bool {
        self.history.binary_search_by_key(&txn.0, |(zxid, _)| *zxid).is_ok_and(|at| self.history[at].1 == txn.1)
    }
}

struct Node {
    sid: Sid,
    peer: Option<Peer>,
    incarnation: u64,
    paused_until: u64,
    files: Files,
    ops: VecDeque<Op>,
    disk_is_scheduled: bool,
    disk_is_slow: bool,
    is_listening: bool,
    /// What the tree has seen.
    applied: Vec<Txn>,
    received: Option<Vec<Txn>>,
    was_serving: bool,
    /// Syncs of clients of this learner, with what was committed when they came in.
    syncs: VecDeque<usize>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct End {
    node: usize,
    incarnation: u64,
    link: LinkId,
}

enum Item {
    Up,
    Packet(Packet),
    Body(Vec<Txn>),
    Job(SyncJob),
    Fin,
}

struct Link {
    /// The dialler, the acceptor.
    ends: [End; 2],
    closed: [bool; 2],
    /// What goes to the end with this index.
    queues: [VecDeque<Item>; 2],
    last_ms: [u64; 2],
    is_dead: bool,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Deliver { link: usize, to: usize },
    LinkDown { end: End },
    Notify { from: usize, to: usize },
    Disk { node: usize, incarnation: u64 },
    Start { node: usize },
    Fault,
    Client,
    Unblock { a: usize, b: usize },
    DiskRecovers { node: usize },
}

struct World {
    seed: u64,
    random: Random,
    now_ms: u64,
    sequence: u64,
    events: BinaryHeap<Reverse<(u64, u64, Event)>>,
    nodes: Vec<Node>,
    links: Vec<Link>,
    by_end: BTreeMap<End, (usize, usize)>,
    next_link: u64,
    blocked: BTreeSet<(usize, usize)>,
    /// The last election message from one to another that is on its way.
    notifications: BTreeMap<(usize, usize), Bytes>,
    first_config: Config,
    /// By what was committed.
    config: Config,
    options: PeerOptions,
    is_healing: bool,
    /// The longest pause between two faults, and between two turns of the clients, milliseconds.
    fault_pace_ms: u64,
    client_pace_ms: u64,
    /// Once in how many turns a snapshot is written.
    snapshot_pace: u64,
    /// Everything that was ever committed, in order.
    canonical: Vec<Txn>,
    origin: Zxid,
    leaders: BTreeMap<i64, Sid>,
    promises: BTreeSet<(Sid, i64)>,
    next_payload: u64,
    tickets: BTreeMap<u64, (usize, usize)>,
    next_ticket: u64,
    counts: Counts,
    trace: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    events: u64,
    elections: u64,
    commits: u64,
    diffs: u64,
    truncs: u64,
    snaps: u64,
    jobs: u64,
    refused_cuts: u64,
    syncs: u64,
    crashes: u64,
    informs: u64,
    reconfigurations: u64,
}

macro_rules! tell {
    ($world:expr, $($what:tt)*) => {
        if $world.trace {
            println!("{:>8} {}", $world.now_ms, format!($($what)*));
        }
    };
}

impl World {
    fn new(seed: u64, trace: bool) -> Self {
        let mut random = Random(seed);
        let voters = [3, 3, 5, 4][random.below(4) as usize];
        let observers = random.below(2) as usize;
        let mut members = BTreeMap::new();
        for number in 1..=voters + observers {
            let mut member = Member::participant("localhost", 2888, 3888);
            if number > voters {
                member.role = MemberRole::Observer;
            }
            members.insert(Sid(number as i64), member);
        }
        let config = Config::majority(members);
        let cache_entries = [1, 2, 5, 500][random.below(4) as usize];
        let options = PeerOptions {
            tick_ms: TICK_MS,
            init_limit: 10,
            sync_limit: 5,
            cache_entries,
            cache_bytes: 1 << 20,
            finalize_wait_ms: 50,
            min_notification_ms: 100,
            max_notification_ms: 2000,
            reconfig_enabled: random.one_in(2),
            ..PeerOptions::new(Sid(0))
        };
        // Now and then all have lived before, and the counter is about to overflow.
        let origin = if random.one_in(4) { Zxid::new(3, u32::MAX - 1 - random.between(0, 40) as u32) } else { Zxid::ZERO };
        let fault_pace_ms = [150, 600, 1500, 4000][random.below(4) as usize];
        let client_pace_ms = [10, 60, 500][random.below(3) as usize];
        let snapshot_pace = [5, 30, 200][random.below(3) as usize];
        let epoch = i64::from(origin.epoch());
        let files = Files { origin, accepted: epoch, current: epoch, ..Files::default() };
        let nodes = config
            .members
            .keys()
            .map(|sid| Node {
                sid: *sid,
                peer: None,
                incarnation: 0,
                paused_until: 0,
                files: files.clone(),
                ops: VecDeque::new(),
                disk_is_scheduled: false,
                disk_is_slow: false,
                is_listening: false,
                applied: Vec::new(),
                received: None,
                was_serving: false,
                syncs: VecDeque::new(),
            })
            .collect();
        let mut world = Self {
            seed,
            random,
            now_ms: 1000,
            sequence: 0,
            events: BinaryHeap::new(),
            nodes,
            links: Vec::new(),
            by_end: BTreeMap::new(),
            next_link: 0,
            blocked: BTreeSet::new(),
            notifications: BTreeMap::new(),
            first_config: config.clone(),
            config,
            options,
            is_healing: false,
            fault_pace_ms,
            client_pace_ms,
            snapshot_pace,
            canonical: Vec::new(),
            origin,
            leaders: BTreeMap::new(),
            promises: BTreeSet::new(),
            next_payload: 0,
            tickets: BTreeMap::new(),
            next_ticket: 0,
            counts: Counts::default(),
            trace,
        };
        for node in 0..world.nodes.len() {
            let delay = world.random.below(300);
            world.at(delay, Event::Start { node });
        }
        world.at(500, Event::Client);
        world.at(700, Event::Fault);
        world
    }

    fn at(&mut self, delay_ms: u64, event: Event) {
        self.sequence += 1;
        self.events.push(Reverse((self.now_ms + delay_ms, self.sequence, event)));
    }

    /// Runs until the time has come or the condition holds; says whether it does.
    fn run(&mut self, until_ms: u64, mut is_enough: impl FnMut(&World) -> bool) -> bool {
        loop {
            if is_enough(self) {
                return true;
            }
            let event_ms = self.events.peek().map_or(u64::MAX, |Reverse((at, _, _))| *at);
            let timer = (0..self.nodes.len()).filter_map(|n| self.timer_of(n).map(|at| (at, n))).min();
            let timer_ms = timer.map_or(u64::MAX, |(at, _)| at);
            let next_ms = event_ms.min(timer_ms).max(self.now_ms);
            if next_ms > until_ms {
                self.now_ms = until_ms;
                return false;
            }
            self.now_ms = next_ms;
            self.counts.events += 1;
            if timer_ms <= event_ms {
                let (_, node) = timer.expect("there is one");
                self.give(node, Input::Tick);
            } else {
                let Reverse((_, _, event)) = self.events.pop().expect("there is one");
                self.happen(event);
            }
        }
    }

    fn timer_of(&self, node: usize) -> Option<u64> {
        let node = &self.nodes[node];
        node.peer.as_ref().and_then(Peer::next_timer_ms).map(|at| at.max(node.paused_until))
    }

    fn happen(&mut self, event: Event) {
        // A stopped process does nothing; what comes for it waits.
        let about = match &event {
            Event::Deliver { link, to } => Some(self.links[*link].ends[*to].node),
            Event::LinkDown { end } => Some(end.node),
            Event::Notify { to, .. } => Some(*to),
            Event::Disk { node, .. } => Some(*node),
            _ => None,
        };
        if let Some(node) = about
            && self.nodes[node].paused_until > self.now_ms
        {
            let delay = self.nodes[node].paused_until - self.now_ms;
            return self.at(delay, event);
        }
        match event {
            Event::Deliver { link, to } => self.deliver(link, to),
            Event::LinkDown { end } => self.link_down(end),
            Event::Notify { from, to } => self.notify(from, to),
            Event::Disk { node, incarnation } => {
                if self.nodes[node].incarnation == incarnation {
                    self.disk(node);
                }
            }
            Event::Start { node } => self.start(node),
            Event::Fault => self.fault(),
            Event::Client => self.client(),
            Event::Unblock { a, b } => {
                self.blocked.remove(&(a, b));
                self.blocked.remove(&(b, a));
            }
            Event::DiskRecovers { node } => self.nodes[node].disk_is_slow = false,
        }
    }

    // --- One server ---

    fn start(&mut self, n: usize) {
        if self.nodes[n].peer.is_some() {
            return;
        }
        let now_ms = self.now_ms;
        let config = self.nodes[n].files.config.clone().unwrap_or_else(|| self.first_config.clone());
        let node = &mut self.nodes[n];
        let files = &mut node.files;
        // As `store` loads the epoch files.
        let epoch = i64::from(files.last().epoch());
        if epoch > files.current {
            let announced = files.announced.filter(|announced| *announced >= epoch);
            files.current = announced.expect("a directory that neither program starts on");
        }
        files.announced = None;
        files.staged = None;
        assert!(files.accepted >= files.current, "accepted {} and current {}", files.accepted, files.current);
        let durable = Durable { last_zxid: files.last(), accepted: files.accepted, current: files.current, in_doubt: files.in_doubt };
        node.applied = files.history.clone();
        // A server may write a snapshot when it starts, of all that its log holds, and purge the log.
        if self.random.one_in(4) {
            files.snapshot = files.history.len();
            files.log = if self.random.one_in(3) { files.snapshot } else { files.log };
        }
        let last_seen = files.last_seen.clone();
        let options = PeerOptions { me: node.sid, seed: self.seed, last_seen, ..self.options.clone() };
        node.peer = Some(Peer::member(options, config, durable, now_ms));
        tell!(self, "{} starts with {durable:?}", n + 1);
        self.drain(n);
    }

    fn crash(&mut self, n: usize, silently: bool) {
        if self.nodes[n].peer.take().is_none() {
            return;
        }
        tell!(self, "{} crashes", n + 1);
        self.counts.crashes += 1;
        // Of what waits for the disk, some has got there.
        let kept = self.random.below(self.nodes[n].ops.len() as u64 + 1);
        for _ in 0..kept {
            let op = self.nodes[n].ops.pop_front().expect("counted");
            let files = &self.nodes[n].files;
            if matches!(op, Op::Truncate(zxid) if zxid < files.zxid_before(files.log)) {
                break; // Nothing behind a cut that is refused is carried out.
            }
            self.carry_out(n, op);
        }
        let node = &mut self.nodes[n];
        node.ops.clear();
        node.incarnation += 1;
        node.disk_is_scheduled = false;
        node.is_listening = false;
        node.received = None;
        node.was_serving = false;
        node.paused_until = 0;
        node.syncs.clear();
        self.tickets.retain(|_, (node, _)| *node != n);
        self.notifications.retain(|(from, _), _| *from != n);
        for index in 0..self.links.len() {
            for side in 0..2 {
                let link = &mut self.links[index];
                if link.ends[side].node == n && !link.closed[side] {
                    link.closed[side] = true;
                    if silently {
                        link.is_dead = true;
                    } else {
                        self.push(index, 1 - side, Item::Fin);
                    }
                }
            }
        }
    }

    fn give(&mut self, n: usize, input: Input) {
        let now_ms = self.now_ms;
        if let Some(peer) = &mut self.nodes[n].peer {
            peer.handle(now_ms, input);
            self.drain(n);
        }
    }

    fn drain(&mut self, n: usize) {
        while let Some(output) = self.nodes[n].peer.as_mut().and_then(Peer::poll) {
            self.carry(n, output);
        }
        self.check(n);
    }

    fn carry(&mut self, n: usize, output: Output) {
        if !matches!(output, Output::Notify { .. } | Output::Send { .. }) {
            tell!(self, "{}: {output:?}", n + 1);
        }
        match output {
            Output::Append { zxid, payload } => self.queue(n, Op::Append((zxid, payload))),
            Output::SaveAccepted { epoch } => self.queue(n, Op::SaveAccepted(epoch)),
            Output::AnnounceEpoch { epoch } => self.queue(n, Op::Announce(epoch)),
            Output::CommitEpoch { epoch } => self.queue(n, Op::CommitEpoch(epoch)),
            Output::Truncate { zxid } => {
                self.counts.truncs += 1;
                self.nodes[n].applied.retain(|(z, _)| *z <= zxid);
                self.queue(n, Op::Truncate(zxid));
            }
            Output::InstallSnapshot { zxid } => {
                let body = if zxid == Zxid::ZERO { Vec::new() } else { self.nodes[n].received.take().expect("a body that has come in") };
                self.nodes[n].applied = body.clone();
                self.queue(n, Op::Install(zxid, body));
            }
            Output::AbandonSnapshot => {
                // The disk may still be behind, but not with what was the history before this role.
                self.nodes[n].applied = self.nodes[n].files.history.clone();
                self.queue(n, Op::Abandon);
            }
            Output::Barrier { step } => self.queue(n, Op::Barrier(step)),
            Output::Commit { zxid, payload } => self.commit(n, (zxid, payload)),
            Output::SeenConfig { config } => self.nodes[n].files.last_seen = Some(config),
            Output::ActivateConfig { config } => self.nodes[n].files.config = Some(*config),
            Output::Withdrawn { .. } => unreachable!("no disk is full here"),
            Output::Notify { to, message } => {
                let to = to.0 as usize - 1;
                assert_ne!(to, n, "a message to itself");
                if self.notifications.insert((n, to), message).is_none() {
                    let delay = self.delay();
                    self.at(delay, Event::Notify { from: n, to });
                }
            }
            Output::Dial { link, leader, .. } => self.dial(n, link, leader.0 as usize - 1),
            Output::Listen { on, .. } => self.nodes[n].is_listening = on,
            Output::Send { link, packet } => self.send(n, link, packet),
            Output::Close { link } => {
                let end = End { node: n, incarnation: self.nodes[n].incarnation, link };
                let (index, side) = self.by_end[&end];
                assert!(!self.links[index].closed[side], "closed twice");
                self.links[index].closed[side] = true;
                self.push(index, 1 - side, Item::Fin);
            }
            Output::Synchronise { link, job } => {
                self.counts.jobs += 1;
                let end = End { node: n, incarnation: self.nodes[n].incarnation, link };
                let (index, side) = self.by_end[&end];
                self.push(index, 1 - side, Item::Job(job));
            }
            Output::Look { .. } => {
                self.nodes[n].was_serving = false;
                self.nodes[n].syncs.clear();
                self.tickets.retain(|_, (node, _)| *node != n);
            }
            Output::Lead { epoch } => self.lead(n, epoch),
            Output::Serve => self.serve(n),
            Output::Request { link, op, .. } => {
                assert_eq!(op, OpCode::SYNC);
                self.give(n, Input::Sync { origin: SyncOrigin::Link(link) });
            }
            Output::Touched { sessions } => assert_eq!(sessions, [(SessionId(n as i64), 1)].map(|_| sessions[0])),
            Output::Revalidate { link, session, .. } => {
                if let Some(peer) = &mut self.nodes[n].peer {
                    peer.answer_revalidate(link, session, true);
                }
            }
            Output::Ping { zxid } => {
                if let Some(peer) = &mut self.nodes[n].peer {
                    peer.answer_ping(zxid, &[(SessionId(n as i64), 1)]);
                }
            }
            Output::Revalidated { .. } | Output::Moved { .. } => {}
            Output::Synced => {
                self.counts.syncs += 1;
                let committed = self.nodes[n].syncs.pop_front().expect("a sync was asked for");
                assert!(self.nodes[n].applied.len() >= committed, "{}: a sync that does not show what was committed", n + 1);
            }
            Output::SyncDone { ticket } => {
                self.counts.syncs += 1;
                let (_, committed) = self.tickets.remove(&ticket).expect("a ticket of ours");
                assert!(self.nodes[n].applied.len() >= committed, "{}: a sync that does not show what was committed", n + 1);
            }
        }
    }

    // --- Disks ---

    fn queue(&mut self, n: usize, op: Op) {
        self.nodes[n].ops.push_back(op);
        self.schedule_disk(n);
    }

    fn schedule_disk(&mut self, n: usize) {
        if self.nodes[n].disk_is_scheduled || self.nodes[n].ops.is_empty() {
            return;
        }
        self.nodes[n].disk_is_scheduled = true;
        let delay = if self.nodes[n].disk_is_slow { self.random.between(50, 800) } else { self.random.below(8) };
        let incarnation = self.nodes[n].incarnation;
        self.at(delay, Event::Disk { node: n, incarnation });
    }

    fn disk(&mut self, n: usize) {
        self.nodes[n].disk_is_scheduled = false;
        let mut through = None;
        for _ in 0..self.random.between(1, 20).min(self.nodes[n].ops.len() as u64) {
            let op = self.nodes[n].ops.pop_front().expect("counted");
            match &op {
                Op::Append((zxid, _)) => through = Some(*zxid),
                Op::Truncate(zxid) => {
                    let files = &self.nodes[n].files;
                    if *zxid < files.zxid_before(files.log) {
                        tell!(self, "{} cannot cut its log", n + 1);
                        self.counts.refused_cuts += 1;
                        let node = &mut self.nodes[n];
                        node.applied = node.files.history.clone();
                        // What was to follow the cut follows nothing.
                        let barriers: Vec<u64> =
                            node.ops.drain(..).filter_map(|op| if let Op::Barrier(step) = op { Some(step) } else { None }).collect();
                        self.give(n, Input::CutRefused);
                        for step in barriers {
                            self.give(n, Input::Done { step });
                        }
                        self.schedule_disk(n);
                        return;
                    }
                }
                Op::Barrier(step) => {
                    let step = *step;
                    if let Some(through) = through.take() {
                        self.give(n, Input::LogSynced { through });
                    }
                    self.give(n, Input::Done { step });
                    continue;
                }
                _ => {}
            }
            self.carry_out(n, op);
        }
        if let Some(through) = through {
            self.give(n, Input::LogSynced { through });
        }
        self.schedule_disk(n);
    }

    /// An operation takes place, durably.
    fn carry_out(&mut self, n: usize, op: Op) {
        let files = &mut self.nodes[n].files;
        match op {
            Op::Append(txn) => {
                let files = if files.staged.is_some() { files.staged.as_deref_mut().expect("just seen") } else { &mut *files };
                let last = files.last();
                assert!(txn.0 == last.next() || (txn.0.counter() == 1 && txn.0.epoch() > last.epoch()), "{} behind {last}", txn.0);
                files.history.push(txn);
            }
            Op::SaveAccepted(epoch) => {
                assert!(epoch > files.accepted, "(I1) accepted {} after {}", epoch, files.accepted);
                files.accepted = epoch;
            }
            Op::Announce(epoch) => files.announced = Some(epoch),
            Op::CommitEpoch(epoch) => {
                if let Some(staged) = files.staged.take() {
                    let (config, last_seen) = (files.config.take(), files.last_seen.take());
                    *files = Files { accepted: files.accepted, current: files.current, config, last_seen, ..*staged };
                }
                files.announced = None;
                files.staged = None;
                assert!(epoch >= files.current, "(I1) current {} after {}", epoch, files.current);
                files.current = epoch;
                files.in_doubt = false;
            }
            Op::Truncate(zxid) => {
                assert!(zxid >= files.zxid_before(files.log), "refused before");
                let kept = files.history.partition_point(|(z, _)| *z <= zxid);
                assert_eq!(files.zxid_before(kept), zxid, "cut behind something that is not there");
                files.history.truncate(kept);
                files.snapshot = files.snapshot.min(kept);
            }
            Op::Install(zxid, body) => {
                let origin = if body.is_empty() { zxid } else { Zxid::ZERO };
                let staged = Files { origin, snapshot: body.len(), log: body.len(), history: body, ..Files::default() };
                assert_eq!(staged.last(), zxid);
                files.staged = Some(Box::new(staged));
            }
            Op::Abandon => files.staged = None,
            Op::Barrier(_) => {}
        }
        let epoch = i64::from(files.last().epoch());
        assert!(files.accepted >= files.current, "(I1) accepted {}, current {}", files.accepted, files.current);
        let is_bootable = files.current >= epoch || files.announced.is_some_and(|announced| announced >= epoch);
        assert!(is_bootable, "(I1) a history of epoch {epoch}, current {}, announced {:?}", files.current, files.announced);
    }

    // --- Links ---

    fn delay(&mut self) -> u64 {
        if self.random.one_in(50) { self.random.below(300) } else { self.random.below(5) }
    }

    fn is_blocked(&self, a: usize, b: usize) -> bool {
        self.blocked.contains(&(a, b))
    }

    fn notify(&mut self, from: usize, to: usize) {
        let Some(message) = self.notifications.remove(&(from, to)) else { return };
        if self.is_blocked(from, to) || self.nodes[to].peer.is_none() {
            // The last message to a peer is sent again when it is there again.
            self.notifications.insert((from, to), message);
            return self.at(50, Event::Notify { from, to });
        }
        let from = self.nodes[from].sid;
        self.give(to, Input::Notification { from, message });
    }

    fn dial(&mut self, n: usize, link: LinkId, leader: usize) {
        let end = End { node: n, incarnation: self.nodes[n].incarnation, link };
        assert_ne!(leader, n);
        self.next_link += 1;
        let other = End { node: leader, incarnation: self.nodes[leader].incarnation, link: LinkId(self.next_link) };
        let is_up = !self.is_blocked(n, leader) && self.nodes[leader].peer.is_some() && self.nodes[leader].is_listening;
        let link = Link {
            ends: [end, other],
            closed: [false, !is_up],
            queues: [VecDeque::new(), VecDeque::new()],
            last_ms: [0; 2],
            is_dead: !is_up,
        };
        let index = self.links.len();
        self.links.push(link);
        self.by_end.insert(end, (index, 0));
        self.by_end.insert(other, (index, 1));
        if is_up {
            self.push(index, 1, Item::Up);
            self.push(index, 0, Item::Up);
        } else {
            let delay = if self.is_blocked(n, leader) { 1500 } else { self.delay() };
            self.at(delay, Event::LinkDown { end });
        }
    }

    fn push(&mut self, index: usize, to: usize, item: Item) {
        let delay = self.delay();
        let at = (self.now_ms + delay).max(self.links[index].last_ms[to]);
        let link = &mut self.links[index];
        link.last_ms[to] = at;
        link.queues[to].push_back(item);
        let delay = at - self.now_ms;
        self.at(delay, Event::Deliver { link: index, to });
    }

    fn deliver(&mut self, index: usize, to: usize) {
        let (end, from) = (self.links[index].ends[to], self.links[index].ends[1 - to]);
        if self.links[index].is_dead || self.links[index].queues[to].is_empty() {
            return;
        }
        if self.is_blocked(from.node, end.node) {
            return self.at(40, Event::Deliver { link: index, to });
        }
        if let Some(Item::Job(job)) = self.links[index].queues[to].front() {
            if self.links[index].closed[1 - to] {
                self.links[index].is_dead = true;
                return;
            }
            // What is to be read must have been written.
            if self.nodes[from.node].files.last() < job.files_through {
                return self.at(5, Event::Deliver { link: index, to });
            }
            let Some(Item::Job(job)) = self.links[index].queues[to].pop_front() else { unreachable!("looked at") };
            let items = self.read(from.node, &job);
            for item in items.into_iter().rev() {
                self.links[index].queues[to].push_front(item);
                self.at(0, Event::Deliver { link: index, to });
            }
            return;
        }
        let item = self.links[index].queues[to].pop_front().expect("looked at");
        if self.links[index].closed[to] || self.nodes[end.node].incarnation != end.incarnation {
            return;
        }
        match item {
            Item::Up => self.give(end.node, Input::LinkUp { link: end.link }),
            Item::Packet(packet) => {
                match packet.kind {
                    PacketKind::DIFF => self.counts.diffs += 1,
                    PacketKind::SNAP => self.counts.snaps += 1,
                    PacketKind::INFORM => self.counts.informs += 1,
                    _ => {}
                }
                tell!(self, "{} -> {}: {} {}", from.node + 1, end.node + 1, packet.kind, packet.zxid);
                self.give(end.node, Input::Packet { link: end.link, packet });
            }
            Item::Body(body) => {
                self.nodes[end.node].received = Some(body);
                self.give(end.node, Input::SnapshotReceived { link: end.link });
            }
            Item::Job(_) => unreachable!("read above"),
            Item::Fin => self.link_down(end),
        }
    }

    /// What the owner of a link sends for a job.
    fn read(&mut self, n: usize, job: &SyncJob) -> Vec<Item> {
        let files = &self.nodes[n].files;
        let through = files.history.partition_point(|(zxid, _)| *zxid <= job.files_through);
        let log = files.log.min(through);
        let on_disk = || files.history[log..through].iter();
        let plan = match job.must_snap {
            true => SyncPlan::Snap,
            false => plan_from_log(job.peer_last, on_disk().map(|(zxid, _)| *zxid)),
        };
        let (mut items, after) = match plan {
            SyncPlan::Diff { after } => (vec![Item::Packet(Packet::new(PacketKind::DIFF, job.through))], after),
            SyncPlan::Trunc { to } => (vec![Item::Packet(Packet::new(PacketKind::TRUNC, to))], to),
            SyncPlan::Snap => {
                // The newest snapshot that is not newer than what is committed.
                let at = if files.snapshot <= through { files.snapshot.max(log) } else { log };
                let zxid = files.zxid_before(at);
                (vec![Item::Packet(Packet::new(PacketKind::SNAP, zxid)), Item::Body(files.history[..at].to_vec())], zxid)
            }
        };
        for (zxid, payload) in on_disk().chain(&job.cached).filter(|(zxid, _)| *zxid > after) {
            items.extend(committed_packets(*zxid, payload.clone()).map(Item::Packet));
        }
        items
    }

    fn link_down(&mut self, end: End) {
        let Some((index, side)) = self.by_end.get(&end).copied() else { return };
        if self.links[index].closed[side] || self.nodes[end.node].incarnation != end.incarnation {
            return;
        }
        self.links[index].closed[side] = true;
        self.give(end.node, Input::LinkDown { link: end.link });
    }

    fn send(&mut self, n: usize, link: LinkId, packet: Packet) {
        let end = End { node: n, incarnation: self.nodes[n].incarnation, link };
        let (index, side) = self.by_end[&end];
        assert!(!self.links[index].closed[side], "sent on a closed link");
        let files = &self.nodes[n].files;
        let sid = self.nodes[n].sid;
        match packet.kind {
            PacketKind::ACK if packet.zxid.counter() == 0 => {
                assert_eq!(files.current, i64::from(packet.zxid.epoch()), "(I3) NEWLEADER was acknowledged before its epoch was durable");
            }
            PacketKind::ACK => {
                assert!(files.last() >= packet.zxid, "(I3) {} was acknowledged before it was durable", packet.zxid);
            }
            PacketKind::ACKEPOCH => {
                let current = i32::from_be_bytes(packet.data.as_deref().expect("an epoch").try_into().expect("four bytes"));
                if current != -1 {
                    let accepted = files.accepted;
                    assert!(self.promises.insert((sid, accepted)), "(I2) {sid} has promised epoch {accepted} twice");
                }
            }
            _ => {}
        }
        self.push(index, 1 - side, Item::Packet(packet));
    }

    // --- Invariants ---

    fn commit(&mut self, n: usize, txn: Txn) {
        self.nodes[n].applied.push(txn);
        let is_leader = self.nodes[n].peer.as_ref().is_some_and(|peer| peer.role() == Role::Leading);
        self.agree(n, is_leader);
    }

    /// What a server has applied, once it serves or is about to, is a prefix of what was committed; a leader alone may
    /// add to it, when a quorum has it durable (prefix consistency, I5).
    fn agree(&mut self, n: usize, may_add: bool) {
        let applied = &self.nodes[n].applied;
        let common = applied.len().min(self.canonical.len());
        // Compared in full when a role begins (`lead`, `serve`); its last ones always.
        let from = common.saturating_sub(3);
        assert_eq!(applied[from..common], self.canonical[from..common], "{}: different transactions were committed", n + 1);
        // What is beyond, a leader commits now.
        let new: Vec<Txn> = applied[common..].to_vec();
        for txn in new {
            assert!(may_add, "{}: a learner commits {} first", n + 1, txn.0);
            let last = self.canonical.last().map_or(self.origin, |(zxid, _)| *zxid);
            assert!(txn.0 > last, "committed {} after {last}", txn.0);
            let has_it = |sid: Sid| self.nodes[sid.0 as usize - 1].files.contains(&txn);
            assert!(self.config.quorum().is_reached(has_it), "(I5) {}: {} is committed and not durable on a quorum", n + 1, txn.0);
            if let Some(config) = configuration(&txn.1) {
                let is_reached = config.quorum().is_reached(has_it);
                assert!(is_reached, "(I5) {}: {} is committed and not durable on a new quorum", n + 1, txn.0);
                tell!(self, "{} committed: {}", txn.0, config.to_text().replace('\n', " "));
                self.counts.reconfigurations += 1;
                self.config = config;
            }
            self.counts.commits += 1;
            self.canonical.push(txn);
        }
    }

    fn lead(&mut self, n: usize, epoch: i64) {
        self.counts.elections += 1;
        let sid = self.nodes[n].sid;
        let other = self.leaders.insert(epoch, sid);
        assert_eq!(other, None, "two leaders are established in epoch {epoch}");
        self.agree(n, true);
        // An acknowledgement may have come so late that others are further on, in later epochs.
        let (own, later) = self.canonical.split_at(self.nodes[n].applied.len());
        assert!(self.nodes[n].applied == own, "{}: leads with another history", n + 1);
        let is_later = |(zxid, _): &Txn| i64::from(zxid.epoch()) > epoch;
        assert!(later.iter().all(is_later), "{}: leads without something that was committed", n + 1);
        assert_eq!(self.nodes[n].files.current, epoch);
        // A configuration that was proposed, if only to this server, is finished with the epoch (as in Java).
        let config = self.nodes[n].peer.as_ref().expect("it leads").config();
        if config.version > self.config.version {
            self.config = config.clone();
        }
        self.nodes[n].was_serving = true;
    }

    fn serve(&mut self, n: usize) {
        self.agree(n, false);
        let applied = &self.nodes[n].applied;
        assert!(*applied == self.canonical[..applied.len()], "{}: serves what was not committed", n + 1);
        self.nodes[n].was_serving = true;
    }

    fn check(&self, n: usize) {
        let node = &self.nodes[n];
        if let Some(peer) = &node.peer {
            // (I9) Serving begins with Lead or Serve, and ends with Look.
            assert_eq!(peer.is_serving(), node.was_serving, "{}: {:?}", n + 1, peer.role());
        }
    }

    // --- What happens to an ensemble ---

    fn client(&mut self) {
        let delay = self.random.between(1, self.client_pace_ms);
        self.at(delay, Event::Client);
        for n in 0..self.nodes.len() {
            if self.nodes[n].paused_until > self.now_ms || self.random.one_in(3) {
                continue;
            }
            let Some(peer) = &self.nodes[n].peer else { continue };
            if !peer.is_serving() {
                continue;
            }
            match peer.role() {
                Role::Leading => {
                    for _ in 0..self.random.between(0, 4) {
                        let Some(peer) = self.nodes[n].peer.as_ref().filter(|peer| peer.is_serving()) else { break };
                        let zxid = peer.next_zxid();
                        self.next_payload += 1;
                        let payload = Bytes::copy_from_slice(&self.next_payload.to_be_bytes());
                        let payload = self.reconfiguration(n, zxid).unwrap_or(payload);
                        self.give(n, Input::Propose { zxid, payload });
                        if self.random.one_in(4) {
                            self.sync_here(n);
                        }
                    }
                }
                Role::Following | Role::Observing if self.random.one_in(4) => {
                    self.nodes[n].syncs.push_back(self.canonical.len());
                    let peer = self.nodes[n].peer.as_mut().expect("looked at");
                    peer.request(SessionId(1), 1, OpCode::SYNC, Bytes::new(), None);
                    self.drain(n);
                }
                _ => {}
            }
            // A snapshot of what is applied, and the logs before it may go.
            if self.random.one_in(self.snapshot_pace) {
                let node = &mut self.nodes[n];
                let files = &mut node.files;
                files.snapshot = files.snapshot.max(node.applied.len().min(files.history.len()));
                if self.random.one_in(2) {
                    files.log = files.snapshot.saturating_sub(self.random.below(10) as usize).max(files.log);
                }
            }
        }
    }

    /// Now and then a member gets another role, when the leader may propose that.
    fn reconfiguration(&mut self, n: usize, zxid: Zxid) -> Option<Bytes> {
        if !self.options.reconfig_enabled || !self.random.one_in(40) {
            return None;
        }
        let sid = Sid(self.random.between(1, self.nodes.len() as u64) as i64);
        let peer = self.nodes[n].peer.as_ref()?;
        let mut config = peer.config().clone();
        config.version = zxid.0 as u64;
        let role = &mut config.members.get_mut(&sid).expect("a member").role;
        *role = if *role == MemberRole::Observer { MemberRole::Participant } else { MemberRole::Observer };
        if config.voters().count() < 2 || peer.last_seen_config().version != peer.config().version || !peer.is_led(&config) {
            return None;
        }
        let text = config.to_text();
        let header = TxnHeader { client_id: 1, cxid: 1, zxid: zxid.0, time: 0, kind: OpCode::RECONFIG.0 };
        let change = SetDataTxn { path: Some("/zookeeper/config".into()), data: Some(text.as_bytes()), version: -1 };
        Some(txn::encode(&header, &Transaction::Reconfig(change), None).into())
    }

    fn sync_here(&mut self, n: usize) {
        if self.nodes[n].peer.as_ref().is_some_and(Peer::is_serving) {
            self.next_ticket += 1;
            self.tickets.insert(self.next_ticket, (n, self.canonical.len()));
            self.give(n, Input::Sync { origin: SyncOrigin::Local(self.next_ticket) });
        }
    }

    fn fault(&mut self) {
        if self.is_healing {
            return;
        }
        let delay = self.random.between(20, self.fault_pace_ms);
        self.at(delay, Event::Fault);
        let count = self.nodes.len() as u64;
        let n = self.random.below(count) as usize;
        match self.random.below(10) {
            0..=2 => {
                let silently = self.random.one_in(3);
                self.crash(n, silently);
                let delay = self.random.between(10, 3000);
                self.at(delay, Event::Start { node: n });
            }
            3 => {
                // All at once, as when the power fails.
                if self.random.one_in(3) {
                    for n in 0..self.nodes.len() {
                        self.crash(n, true);
                        let delay = self.random.between(10, 2000);
                        self.at(delay, Event::Start { node: n });
                    }
                }
            }
            4 => {
                let until = self.now_ms + self.random.between(100, 3000);
                self.nodes[n].paused_until = until;
            }
            5 | 6 => {
                let other = self.random.below(count) as usize;
                self.block(n, other);
            }
            7 => {
                for other in 0..self.nodes.len() {
                    self.block(n, other);
                }
            }
            8 => {
                self.nodes[n].disk_is_slow = true;
                let delay = self.random.between(100, 4000);
                self.at(delay, Event::DiskRecovers { node: n });
            }
            _ => {
                if !self.links.is_empty() {
                    // One of the last ones: most of the earlier are dead.
                    let back = self.random.below(self.links.len().min(8) as u64) as usize;
                    let index = self.links.len() - 1 - back;
                    let link = &mut self.links[index];
                    link.is_dead = true;
                    for end in link.ends {
                        if !self.random.one_in(4) {
                            let delay = self.random.below(500);
                            self.at(delay, Event::LinkDown { end });
                        }
                    }
                }
            }
        }
    }

    fn block(&mut self, a: usize, b: usize) {
        if a == b {
            return;
        }
        self.blocked.insert((a, b));
        if !self.random.one_in(4) {
            self.blocked.insert((b, a));
        }
        let delay = self.random.between(100, 5000);
        self.at(delay, Event::Unblock { a, b });
    }

    fn heal(&mut self) {
        self.is_healing = true;
        self.blocked.clear();
        tell!(self, "healed");
        for n in 0..self.nodes.len() {
            self.nodes[n].disk_is_slow = false;
            self.nodes[n].paused_until = 0;
            self.at(0, Event::Start { node: n });
        }
        // A server whose process hangs on to a link that is dead finds out by its time limits, as in life.
    }

    fn all_agree(&self, at_least: usize) -> bool {
        self.canonical.len() >= at_least
            && self.nodes.iter().all(|node| {
                node.peer.as_ref().is_some_and(Peer::is_serving)
                    && node.applied.len() + 50 >= self.canonical.len()
                    && node.applied.len() >= at_least
            })
    }
}

/// The configuration that a transaction makes.
fn configuration(payload: &[u8]) -> Option<Config> {
    match LoggedTxn::read(payload).ok()?.txn {
        Transaction::Reconfig(change) => Config::parse(std::str::from_utf8(change.data?).ok()?).ok(),
        _ => None,
    }
}

fn run(seed: u64, trace: bool) -> Counts {
    let mut world = World::new(seed, trace);
    let faulty_ms = world.random.between(3000, 30_000);
    world.run(faulty_ms, |_| false);
    world.heal();
    let target = world.canonical.len() + 20;
    let limit_ms = world.now_ms + 60_000;
    let is_alive = world.run(limit_ms, |world| world.all_agree(target));
    assert!(
        is_alive,
        "no progress in a minute after all was healed: {:?}",
        world.nodes.iter().map(|n| n.applied.len()).collect::<Vec<_>>()
    );
    for node in &world.nodes {
        assert!(node.applied[..] == world.canonical[..node.applied.len()], "{}: another history", node.sid);
    }
    world.counts
}

fn seeds() -> std::ops::Range<u64> {
    let text = std::env::var("ZAB_SEEDS").unwrap_or_else(|_| "0..200".to_owned());
    let (from, to) = text.split_once("..").expect("from..to");
    from.parse().expect("a number")..to.parse().expect("a number")
}

#[test]
fn ensembles_keep_what_was_committed_and_recover() {
    let trace = std::env::var("ZAB_TRACE").is_ok();
    let mut total = Counts::default();
    let mut failed = Vec::new();
    for seed in seeds() {
        let result = std::panic::catch_unwind(|| run(seed, trace));
        match result {
            Err(_) => {
                println!("seed {seed} failed");
                failed.push(seed);
            }
            Ok(counts) => {
                total.events += counts.events;
                total.elections += counts.elections;
                total.commits += counts.commits;
                total.diffs += counts.diffs;
                total.truncs += counts.truncs;
                total.snaps += counts.snaps;
                total.jobs += counts.jobs;
                total.refused_cuts += counts.refused_cuts;
                total.syncs += counts.syncs;
                total.crashes += counts.crashes;
                total.informs += counts.informs;
                total.reconfigurations += counts.reconfigurations;
            }
        }
    }
    println!("{total:?}");
    assert!(failed.is_empty(), "seeds {failed:?}");
    // What the runs are for has happened in them.
    for (what, count) in [
        ("elections", total.elections),
        ("commits", total.commits),
        ("diffs", total.diffs),
        ("truncs", total.truncs),
        ("snaps", total.snaps),
        ("jobs", total.jobs),
        ("syncs", total.syncs),
        ("crashes", total.crashes),
        ("informs", total.informs),
        ("reconfigurations", total.reconfigurations),
    ] {
        assert!(count > 0 || seeds().count() < 100, "no {what} in these runs");
    }
}
