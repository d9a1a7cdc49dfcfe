//! A leader: takes the promises of a quorum for a new epoch, brings learners to its history, and then broadcasts.
//!
//! An acknowledgement of the leader's own log comes only from [`Input::LogSynced`], and what has to be logged goes out
//! only as [`Output::Append`]: nothing can be committed that was not durable on a quorum. A standalone server is the
//! same machine, established from the start, without learners and timers.

use crate::config::Config;
use crate::packet::{self, PROTOCOL_VERSION, Packet, PacketKind, RequestData};
use crate::peer::{Door, Input, LeaderView, LearnerView, LinkId, Output, SyncOrigin};
use crate::quorum::{Quorum, Sid};
use crate::shared::{Reason, Shared, epoch_of, epoch_zxid};
use crate::sync::bring;
use bytes::Bytes;
use log::{info, warn};
use oxkeeper_proto::{Mutant, Zxid, mutant};
use std::collections::VecDeque;

/// Epochs are the upper half of a zxid that is not negative.
const MAX_EPOCH: i64 = i32::MAX as i64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Waiting for a quorum to say what it has promised.
    Discovery,
    /// Our own promise of the new epoch is on its way to the disk.
    Accepting { step: u64 },
    /// Waiting for a quorum to promise it.
    Promises,
    /// Bringing a quorum to our history. `own_step`: our own epoch file is on its way to the disk.
    Synchronising { own_step: Option<u64> },
    /// Broadcasting.
    Established,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    /// Nothing was heard yet.
    Connected,
    /// It has said who it is, and waits for LEADERINFO.
    Registered,
    /// LEADERINFO is sent.
    Informed,
    /// It has promised the epoch, and waits for its synchronisation.
    Promised,
    /// Everything up to NEWLEADER is sent, or behind a job; it gets what is broadcast from here on.
    Synchronising,
    /// NEWLEADER is acknowledged.
    Synchronised,
    /// UPTODATE is sent.
    Serving,
}

struct Learner {
    link: LinkId,
    stage: Stage,
    sid: Sid,
    is_observer: bool,
    /// The epoch that it had promised when it came.
    accepted: i64,
    /// Its promise counts for our election.
    has_promised: bool,
    /// The end of its history before it was synchronised.
    peer_last: Zxid,
    /// It is, or was, synchronised from the files and not from memory.
    by_files: bool,
    /// Its log is durable that far, as it has said on this link. What it said on an earlier link is forgotten, since
    /// its synchronisation may have cut it off.
    durable: Zxid,
    heard_ms: u64,
    /// The oldest proposal that it has not acknowledged, as far as it is tracked, and when it was sent; and the one
    /// that is tracked next.
    oldest: Option<(Zxid, u64)>,
    next_oldest: Option<(Zxid, u64)>,
    /// PINGs since UPTODATE. A learner answers them in order.
    pings_sent: u64,
    pings_answered: u64,
    /// The PING that confirms us in the current round.
    round_ping: Option<u64>,
}

impl Learner {
    fn new(link: LinkId, now_ms: u64) -> Self {
        Self {
            link,
            stage: Stage::Connected,
            sid: Sid(0),
            is_observer: false,
            accepted: 0,
            has_promised: false,
            peer_last: Zxid::ZERO,
            by_files: false,
            durable: Zxid(-1),
            heard_ms: now_ms,
            oldest: None,
            next_oldest: None,
            pings_sent: 0,
            pings_answered: 0,
            round_ping: None,
        }
    }

    fn gets_broadcasts(&self) -> bool {
        self.stage >= Stage::Synchronising
    }

    fn proposed(&mut self, now_ms: u64, zxid: Zxid) {
        let slot = if self.oldest.is_none() { &mut self.oldest } else { &mut self.next_oldest };
        slot.get_or_insert((zxid, now_ms));
    }

    fn acknowledged(&mut self, zxid: Zxid) {
        self.durable = self.durable.max(zxid);
        if self.oldest.is_some_and(|(oldest, _)| oldest <= zxid) {
            self.oldest = self.next_oldest.take().filter(|(next, _)| *next > zxid);
        }
    }

    /// Whether something is expected of it, so that silence means something.
    fn is_awaited(&self) -> bool {
        !matches!(self.stage, Stage::Registered | Stage::Promised)
    }
}

/// Rule 9 of the design: a sync is answered when everything proposed before it is committed and a quorum has confirmed
/// us since it came in.
struct PendingSync {
    origin: SyncOrigin,
    /// The last proposal when it came in.
    after: Zxid,
    /// The round of PINGs whose end confirms it.
    round: u64,
}

/// See the module.
pub(crate) struct Leading {
    phase: Phase,
    is_standalone: bool,
    epoch: i64,
    /// The end of our history when the epoch began: all of it is what learners are brought to.
    initial: Zxid,
    last_proposed: Zxid,
    learners: Vec<Learner>,
    /// When the phase must be over, milliseconds.
    deadline_ms: u64,
    /// When the next PINGs are due, milliseconds.
    ping_ms: u64,
    pings: u64,
    /// Syncs that wait, oldest first. Bounded by the credits of the connections.
    syncs: VecDeque<PendingSync>,
    round: u64,
    round_is_on: bool,
    /// How many learners without a number there were.
    nameless: i64,
    /// The configuration that is being voted on: from its proposal on its quorums are needed, too. At most one.
    reconfiguration: Option<Reconfiguration>,
    /// The configuration in force has another leader: nothing may be committed here any more.
    is_deposed: bool,
    /// The oracle lets us go on without the other of two voters.
    is_granted: bool,
    /// When it was elected, milliseconds.
    begun_ms: u64,
    /// When it was established, milliseconds.
    since_ms: u64,
    /// Bytes of the last, the smallest and the largest proposal.
    proposal_sizes: Option<[usize; 3]>,
}

struct Reconfiguration {
    zxid: Zxid,
    config: Config,
    quorum: Quorum,
}

impl Leading {
    pub fn begin(now_ms: u64, shared: &mut Shared) -> Self {
        shared.outputs.push_back(Output::Listen { on: true, door: Door::Quorum });
        let last = shared.history.last_logged();
        let mut leading = Self {
            phase: Phase::Discovery,
            is_standalone: false,
            epoch: 0,
            initial: last,
            last_proposed: last,
            learners: Vec::new(),
            deadline_ms: now_ms + shared.ticks_ms(shared.options.init_limit),
            ping_ms: now_ms + shared.options.tick_ms / 2,
            pings: 0,
            syncs: VecDeque::new(),
            round: 0,
            round_is_on: false,
            nameless: 0,
            reconfiguration: None,
            is_deposed: false,
            is_granted: false,
            begun_ms: now_ms,
            since_ms: 0,
            proposal_sizes: None,
        };
        // An ensemble of one has its quorum at once.
        let _ = leading.discover(shared);
        leading
    }

    /// The leader of an ensemble of one that skips everything up to the broadcast.
    pub fn standalone(shared: &Shared) -> Self {
        let last = shared.history.last_logged();
        Self {
            phase: Phase::Established,
            is_standalone: true,
            epoch: epoch_of(last),
            initial: last,
            last_proposed: last,
            learners: Vec::new(),
            deadline_ms: u64::MAX,
            ping_ms: u64::MAX,
            pings: 0,
            syncs: VecDeque::new(),
            round: 0,
            round_is_on: false,
            nameless: 0,
            reconfiguration: None,
            is_deposed: false,
            is_granted: false,
            begun_ms: 0,
            since_ms: 0,
            proposal_sizes: None,
        }
    }

    /// Whether it has waited for longer than this for a quorum to say what it has promised, and still does.
    pub fn has_waited_longer(&self, now_ms: u64, patience_ms: u64) -> bool {
        self.phase == Phase::Discovery && now_ms.saturating_sub(self.begun_ms) > patience_ms
    }

    pub fn is_established(&self) -> bool {
        self.phase == Phase::Established
    }

    pub fn epoch(&self) -> i64 {
        self.epoch
    }

    pub fn last_proposed(&self) -> Zxid {
        self.last_proposed
    }

    /// After the last counter of an epoch a standalone server goes on with counter 1 of the next; a member asks for a
    /// new epoch instead. Counter 0 is never a transaction.
    pub fn next_zxid(&self) -> Zxid {
        match self.last_proposed.counter() {
            u32::MAX => Zxid(epoch_zxid(epoch_of(self.last_proposed) + 1).0 + 1),
            _ => self.last_proposed.next(),
        }
    }

    pub fn next_timer_ms(&self, shared: &Shared) -> u64 {
        if self.is_standalone {
            return u64::MAX;
        }
        let silence = self.learners.iter().filter(|l| l.is_awaited()).map(|l| l.heard_ms + limit_ms(shared, l)).min();
        let phase = if self.is_established() { u64::MAX } else { self.deadline_ms };
        self.ping_ms.min(phase).min(silence.unwrap_or(u64::MAX))
    }

    pub fn links(&self) -> impl Iterator<Item = LinkId> {
        self.learners.iter().map(|learner| learner.link)
    }

    pub fn view(&self) -> LeaderView {
        LeaderView { since_ms: self.since_ms, pending_syncs: self.syncs.len(), proposal_sizes: self.proposal_sizes }
    }

    pub fn forget_proposal_sizes(&mut self) {
        self.proposal_sizes = None;
    }

    pub fn views(&self) -> impl Iterator<Item = LearnerView> {
        self.learners.iter().filter(|learner| learner.stage > Stage::Connected).map(|learner| LearnerView {
            link: learner.link,
            sid: learner.sid,
            is_observer: learner.is_observer,
            is_synced: learner.stage >= Stage::Synchronised,
        })
    }

    /// # Errors
    /// When the role ends.
    pub fn handle(&mut self, now_ms: u64, shared: &mut Shared, input: Input) -> Result<(), Reason> {
        match input {
            Input::Propose { zxid, payload } => return self.propose(now_ms, shared, zxid, payload),
            Input::LogSynced { through } => {
                shared.history.synced(through);
                self.commit(shared);
            }
            Input::LogRefused { from } => {
                if shared.history.withdraw(from, &mut shared.outputs) {
                    self.last_proposed = shared.history.last_logged();
                    if !self.is_standalone {
                        return Err("there is no room for the log");
                    }
                }
            }
            Input::Packet { link, packet } => {
                if let Some(at) = self.find(link) {
                    return self.packet(now_ms, shared, at, packet);
                }
            }
            Input::LinkUp { link } if self.is_standalone => shared.outputs.push_back(Output::Close { link }),
            Input::LinkUp { link } => {
                let at = self.learners.partition_point(|learner| learner.link < link);
                self.learners.insert(at, Learner::new(link, now_ms));
            }
            Input::LinkDown { link } => {
                if let Some(at) = self.find(link) {
                    self.learners.remove(at);
                }
            }
            Input::Progress { link } => {
                if let Some(at) = self.find(link) {
                    self.learners[at].heard_ms = now_ms;
                    if let Phase::Synchronising { .. } = self.phase
                        && shared.quorum.is_voter(self.learners[at].sid)
                    {
                        // Java gives up here, and never gets a large tree across (trap 45).
                        self.deadline_ms = now_ms + shared.ticks_ms(shared.options.init_limit);
                    }
                }
            }
            Input::Done { step } => {
                shared.done(step);
                return self.done(now_ms, shared, step);
            }
            Input::Sync { origin } => self.sync(shared, origin),
            Input::Tick => return self.tick(now_ms, shared),
            Input::SnapshotReceived { .. }
            | Input::CutRefused
            | Input::Notification { .. }
            | Input::ElectionLink { .. }
            | Input::Oracle { .. } => {}
        }
        Ok(())
    }

    fn find(&self, link: LinkId) -> Option<usize> {
        self.learners.binary_search_by_key(&link, |learner| learner.link).ok()
    }

    /// Whether we may go on alone; a word that was taken back counts no longer.
    fn is_granted(&self, shared: &Shared) -> bool {
        self.is_granted && shared.oracle == Some(true)
    }

    /// Whether we and these learners are a quorum.
    fn is_quorum(&self, shared: &Shared, is_in: impl Fn(&Learner) -> bool) -> bool {
        self.is_granted(shared) || shared.is_quorum(|sid| sid == shared.me() || self.learners.iter().any(|l| l.sid == sid && is_in(l)))
    }

    /// Whether a quorum by this rule follows us; observers acknowledge nothing, so they cannot make one.
    pub fn is_led(&self, shared: &Shared, quorum: &Quorum) -> bool {
        let follows = |l: &Learner| l.stage >= Stage::Synchronised && !l.is_observer;
        quorum.is_reached(|sid| sid == shared.me() || self.learners.iter().any(|l| l.sid == sid && follows(l)))
    }

    fn drop_learner(&mut self, shared: &mut Shared, at: usize, why: &str) {
        let learner = self.learners.remove(at);
        warn!("Closing the link to learner {}: {why}", learner.sid.0);
        shared.outputs.push_back(Output::Close { link: learner.link });
    }

    // --- Discovery ---

    fn packet(&mut self, now_ms: u64, shared: &mut Shared, at: usize, packet: Packet) -> Result<(), Reason> {
        self.learners[at].heard_ms = now_ms;
        match (self.learners[at].stage, packet.kind) {
            (Stage::Connected, PacketKind::FOLLOWERINFO | PacketKind::OBSERVERINFO) => self.register(now_ms, shared, at, &packet),
            (Stage::Informed, PacketKind::ACKEPOCH) => self.promised(now_ms, shared, at, &packet),
            (Stage::Synchronising, PacketKind::ACK) if packet.zxid == epoch_zxid(self.epoch) => {
                self.learners[at].stage = Stage::Synchronised;
                if self.is_established() {
                    self.up_to_date(shared, at);
                } else {
                    self.establish(now_ms, shared);
                }
                Ok(())
            }
            (Stage::Synchronised | Stage::Serving, kind) => {
                match kind {
                    PacketKind::ACK => self.acknowledged(shared, at, packet.zxid),
                    PacketKind::PING => self.pinged(shared, at, &packet),
                    PacketKind::REQUEST => self.request(shared, at, packet),
                    PacketKind::REVALIDATE => match packet::decode_revalidate(packet.data.as_ref()) {
                        Some((session, timeout_ms)) => {
                            let link = self.learners[at].link;
                            shared.counts.revalidations += 1;
                            shared.outputs.push_back(Output::Revalidate { link, session, timeout_ms });
                        }
                        None => self.drop_learner(shared, at, "a REVALIDATE that cannot be read"),
                    },
                    kind => warn!("Learner {} sent {kind} {}, which is ignored", self.learners[at].sid.0, packet.zxid),
                }
                Ok(())
            }
            (stage, kind) => {
                self.drop_learner(shared, at, &format!("it sent {kind} {} while {stage:?}", packet.zxid));
                Ok(())
            }
        }
    }

    fn register(&mut self, now_ms: u64, shared: &mut Shared, at: usize, packet: &Packet) -> Result<(), Reason> {
        let sid = match shared.introduced(packet, &mut self.nameless) {
            Ok(sid) => sid,
            Err(why) => {
                self.drop_learner(shared, at, why);
                return Ok(());
            }
        };
        let learner = &mut self.learners[at];
        learner.sid = sid;
        learner.is_observer = packet.kind == PacketKind::OBSERVERINFO;
        learner.accepted = epoch_of(packet.zxid);
        let accepted = learner.accepted;
        learner.stage = Stage::Registered;
        self.is_granted &= learner.is_observer;
        match self.phase {
            Phase::Discovery => return self.discover(shared),
            Phase::Accepting { .. } => {}
            _ if shared.quorum.is_voter(sid) && accepted > self.epoch && accepted < MAX_EPOCH / 2 => {
                // It has promised an epoch that never came about, and could not follow us. Java leaves it outside for
                // as long as this leader lives; a new election costs less than a member. (An observer follows all the same.)
                shared.epoch_floor = shared.epoch_floor.max(accepted);
                return Err("a member has promised a later epoch");
            }
            _ => self.inform(now_ms, shared, at),
        }
        Ok(())
    }

    /// A quorum has told us what it has promised: the new epoch is above all of it.
    fn discover(&mut self, shared: &mut Shared) -> Result<(), Reason> {
        if !self.is_quorum(shared, |learner| learner.stage == Stage::Registered) {
            return Ok(());
        }
        let voters = self.learners.iter().filter(|l| l.stage == Stage::Registered && shared.quorum.is_voter(l.sid));
        let promised = voters.map(|l| l.accepted).max().unwrap_or(0).max(shared.accepted).max(shared.epoch_floor);
        if promised >= MAX_EPOCH {
            return Err("there is no later epoch");
        }
        self.epoch = promised + 1;
        if shared.last_seen().version == 0 {
            // The first leader of a dynamic ensemble numbers its configuration, so that it outranks what servers that
            // join later have been given to begin with (ZOOKEEPER-1783).
            shared.see(Config { version: epoch_zxid(self.epoch).0.cast_unsigned(), ..shared.config.clone() });
        }
        self.phase = Phase::Accepting { step: shared.accept(self.epoch) };
        Ok(())
    }

    fn done(&mut self, now_ms: u64, shared: &mut Shared, step: u64) -> Result<(), Reason> {
        match self.phase {
            Phase::Accepting { step: awaited } if awaited <= step => {
                self.phase = Phase::Promises;
                self.deadline_ms = now_ms + shared.ticks_ms(shared.options.init_limit);
                for at in (0..self.learners.len()).filter(|at| self.learners[*at].stage == Stage::Registered).collect::<Vec<_>>() {
                    self.inform(now_ms, shared, at);
                }
                self.finish_election(now_ms, shared);
            }
            Phase::Synchronising { own_step: Some(awaited) } if awaited <= step => {
                self.phase = Phase::Synchronising { own_step: None };
                self.establish(now_ms, shared);
            }
            _ => {}
        }
        Ok(())
    }

    fn inform(&mut self, now_ms: u64, shared: &mut Shared, at: usize) {
        let learner = &mut self.learners[at];
        learner.stage = Stage::Informed;
        learner.heard_ms = now_ms;
        const VERSION: [u8; 4] = PROTOCOL_VERSION.to_be_bytes();
        let version = Bytes::from_static(&VERSION);
        shared.send(learner.link, Packet::with_data(PacketKind::LEADERINFO, epoch_zxid(self.epoch), version));
    }

    fn promised(&mut self, now_ms: u64, shared: &mut Shared, at: usize, packet: &Packet) -> Result<(), Reason> {
        let Some(current) = packet.data.as_ref().and_then(|data| data.get(..4)).map(|b| i32::from_be_bytes(b.try_into().expect("four")))
        else {
            self.drop_learner(shared, at, "an ACKEPOCH that cannot be read");
            return Ok(());
        };
        let learner = &mut self.learners[at];
        learner.peer_last = packet.zxid;
        learner.stage = Stage::Promised;
        if self.phase != Phase::Promises {
            self.synchronise(now_ms, shared, at);
            return Ok(());
        }
        if current != -1 {
            let ours = (shared.current, shared.history.last_logged());
            if (i64::from(current), packet.zxid) > ours {
                self.drop_learner(shared, at, &format!("it is ahead of us, with epoch {current:x} and zxid {}", packet.zxid));
                return Ok(());
            }
            self.learners[at].has_promised = packet.zxid != Zxid(-1);
        }
        self.finish_election(now_ms, shared);
        Ok(())
    }

    /// Once a quorum has promised the epoch, our history is that of the epoch.
    fn finish_election(&mut self, now_ms: u64, shared: &mut Shared) {
        if self.phase != Phase::Promises || !self.is_quorum(shared, |learner| learner.has_promised) {
            return;
        }
        self.initial = shared.history.last_logged();
        self.deadline_ms = now_ms + shared.ticks_ms(shared.options.init_limit);
        self.phase = Phase::Synchronising { own_step: Some(shared.commit_epoch(self.epoch)) };
        info!("Epoch {:x} is promised by a quorum; its history ends with {}", self.epoch, self.initial);
        while let Some(at) = self.learners.iter().position(|learner| learner.stage == Stage::Promised) {
            self.synchronise(now_ms, shared, at);
        }
    }

    // --- Synchronisation ---

    /// The end of the history that learners are brought to: what is committed, or will be when we are established.
    fn committed(&self, shared: &Shared) -> Zxid {
        self.initial.max(shared.history.last_committed())
    }

    fn synchronise(&mut self, now_ms: u64, shared: &mut Shared, at: usize) {
        // It has come again: what it says on an old link would count for a log that we may be about to cut.
        let (link, sid) = (self.learners[at].link, self.learners[at].sid);
        while let Some(older) = self.learners.iter().position(|l| l.sid == sid && l.link < link && l.stage > Stage::Connected) {
            self.drop_learner(shared, older, "it has come again on another");
        }
        let at = self.find(link).expect("it is there");
        let through = self.committed(shared);
        let Learner { peer_last, is_observer, .. } = self.learners[at];
        match bring(shared, link, sid, peer_last, through, is_observer.then(|| self.under_way())) {
            Ok(by_files) => self.learners[at].by_files = by_files,
            Err(why) => return self.drop_learner(shared, at, why),
        }
        // NEWLEADER stands before the proposals that are not committed: a follower of 3.8 forgets the place of those
        // that come before it (ZOOKEEPER-4394), and it must not acknowledge them first (4685).
        // Before we are established what was proposed last is what the epoch begins with. Afterwards it may never be
        // committed, and a learner puts it in force with UPTODATE (which Java does to it all the same).
        let config = if self.is_established() { &shared.config } else { shared.last_seen() };
        let config = Bytes::from(config.to_text());
        shared.send(link, Packet::with_data(PacketKind::NEWLEADER, epoch_zxid(self.epoch), config));
        let learner = &mut self.learners[at];
        learner.stage = Stage::Synchronising;
        learner.heard_ms = now_ms;
        learner.durable = Zxid(-1);
        if !learner.is_observer {
            let Shared { history, outputs, .. } = shared;
            for (zxid, payload) in history.tail_after(through) {
                learner.proposed(now_ms, *zxid);
                outputs.push_back(Output::Send { link, packet: Packet::with_data(PacketKind::PROPOSAL, *zxid, payload.clone()) });
            }
        }
    }

    /// How many learners are being synchronised: from the files, and from memory.
    fn under_way(&self) -> [usize; 2] {
        [true, false].map(|by_files| self.learners.iter().filter(|l| l.stage == Stage::Synchronising && l.by_files == by_files).count())
    }

    /// When a quorum has our history, durably, it is committed.
    fn establish(&mut self, now_ms: u64, shared: &mut Shared) {
        if self.phase != (Phase::Synchronising { own_step: None }) || !self.is_quorum(shared, |l| l.stage >= Stage::Synchronised) {
            return;
        }
        self.phase = Phase::Established;
        self.since_ms = now_ms;
        self.ping_ms = now_ms + shared.options.tick_ms / 2;
        self.last_proposed = epoch_zxid(self.epoch);
        shared.commit_through(self.initial);
        info!("Leading in epoch {:x} from {}", self.epoch, self.initial);
        // A configuration that was left unfinished is finished with the epoch.
        self.is_deposed = !self.activate(shared, shared.last_seen().clone(), self.initial);
        shared.outputs.push_back(Output::Lead { epoch: self.epoch });
        for at in 0..self.learners.len() {
            if self.learners[at].stage == Stage::Synchronised {
                self.up_to_date(shared, at);
            }
        }
    }

    fn up_to_date(&mut self, shared: &mut Shared, at: usize) {
        self.learners[at].stage = Stage::Serving;
        shared.send_plain(self.learners[at].link, PacketKind::UPTODATE, Zxid(-1));
    }

    // --- Broadcast ---

    fn propose(&mut self, now_ms: u64, shared: &mut Shared, zxid: Zxid, payload: Bytes) -> Result<(), Reason> {
        assert!(self.is_established(), "proposals need an established leader");
        assert_eq!(zxid, self.next_zxid(), "proposals are consecutive");
        if zxid.counter() >= shared.options.last_counter && !self.is_standalone && !mutant::is(Mutant::CounterRunsOver) {
            return Err("the zxid's lower 32 bits have rolled over: a new epoch is needed");
        }
        if let Some(config) = shared.reconfiguration(&payload) {
            shared.see(config.clone());
            self.reconfiguration = Some(Reconfiguration { zxid, quorum: config.quorum(), config });
        }
        self.last_proposed = zxid;
        if !self.is_standalone {
            let size = payload.len();
            let [_, least, most] = self.proposal_sizes.unwrap_or([size; 3]);
            self.proposal_sizes = Some([size, least.min(size), most.max(size)]);
            shared.counts.proposals += 1;
        }
        for learner in self.learners.iter_mut().filter(|l| l.gets_broadcasts() && !l.is_observer) {
            learner.proposed(now_ms, zxid);
            shared
                .outputs
                .push_back(Output::Send { link: learner.link, packet: Packet::with_data(PacketKind::PROPOSAL, zxid, payload.clone()) });
        }
        shared.append(zxid, payload);
        Ok(())
    }

    fn acknowledged(&mut self, shared: &mut Shared, at: usize, zxid: Zxid) {
        // Counter 0 is the second acknowledgement of NEWLEADER.
        if zxid.counter() == 0 {
            return;
        }
        if zxid > self.last_proposed || epoch_of(zxid) != self.epoch {
            return self.drop_learner(shared, at, &format!("it acknowledged {zxid}, and the last proposal is {}", self.last_proposed));
        }
        self.learners[at].acknowledged(zxid);
        if shared.history.first_outstanding().is_some_and(|first| first <= zxid) {
            self.commit(shared);
        }
    }

    fn commit(&mut self, shared: &mut Shared) {
        if !self.is_established() || self.is_deposed {
            return;
        }
        while let Some(first) = shared.history.first_outstanding() {
            let history = &shared.history;
            let own = if mutant::is(Mutant::OwnLogNotAwaited) { history.last_logged() } else { history.durable() };
            let has_it = |sid| {
                if sid == shared.options.me { own >= first } else { self.learners.iter().any(|l| l.sid == sid && l.durable >= first) }
            };
            let is_enough_later = self.reconfiguration.as_ref().is_none_or(|next| first < next.zxid || next.quorum.is_reached(has_it));
            let is_enough = shared.quorum.is_reached(has_it) && is_enough_later;
            let is_granted = self.is_granted(shared) && own >= first;
            if !is_enough && !is_granted {
                break;
            }
            // A quorum has acknowledged something that came after these syncs. Their answers go before its COMMIT:
            // what a learner reads then may not be later than what it asked for.
            self.answer_syncs(shared, |sync| sync.after < first);
            shared.history.commit_first(&mut shared.outputs);
            shared.counts.commits += u64::from(!self.is_standalone);
            if let Some(next) = self.reconfiguration.take_if(|next| next.zxid == first) {
                return self.reconfigure(shared, next);
            }
            if !self.learners.is_empty() {
                self.tell_committed(shared, first);
            }
            let round = self.round;
            let round_is_on = self.round_is_on;
            self.answer_syncs(shared, |sync| sync.after <= first && is_confirmed(sync, round, round_is_on));
        }
    }

    fn tell_committed(&self, shared: &mut Shared, zxid: Zxid) {
        let Some(Output::Commit { payload, .. }) = shared.outputs.back() else { unreachable!("it was put out just now") };
        let payload = payload.clone();
        for learner in self.learners.iter().filter(|l| l.gets_broadcasts()) {
            let packet = match learner.is_observer {
                true => Packet::with_data(PacketKind::INFORM, zxid, payload.clone()),
                false => Packet::new(PacketKind::COMMIT, zxid),
            };
            shared.outputs.push_back(Output::Send { link: learner.link, packet });
        }
    }

    /// A reconfiguration was committed just now.
    fn reconfigure(&mut self, shared: &mut Shared, next: Reconfiguration) {
        let Some(Output::Commit { payload, .. }) = shared.outputs.back() else { unreachable!("it was put out just now") };
        let payload = payload.clone();
        let designated = self.designated_leader(shared, &next.config, next.zxid);
        let number = designated.0.to_be_bytes();
        let (committed, informed) = (Bytes::copy_from_slice(&number), Bytes::from([&number[..], &payload].concat()));
        for learner in self.learners.iter().filter(|l| l.gets_broadcasts()) {
            let packet = match learner.is_observer {
                true => Packet::with_data(PacketKind::INFORMANDACTIVATE, next.zxid, informed.clone()),
                false => Packet::with_data(PacketKind::COMMITANDACTIVATE, next.zxid, committed.clone()),
            };
            shared.outputs.push_back(Output::Send { link: learner.link, packet });
        }
        self.is_deposed = !self.activate(shared, next.config, next.zxid);
        let (round, round_is_on) = (self.round, self.round_is_on);
        self.answer_syncs(shared, |sync| sync.after <= next.zxid && is_confirmed(sync, round, round_is_on));
        self.commit(shared);
    }

    /// Puts a configuration in force; says whether we remain its leader.
    fn activate(&self, shared: &mut Shared, config: Config, zxid: Zxid) -> bool {
        let remains = !shared.options.reconfig_enabled || self.designated_leader(shared, &config, zxid) == shared.me();
        shared.activate(config);
        remains
    }

    /// Who is to lead in a configuration: we, if it has us as a voter where we are now; otherwise the voter that has
    /// acknowledged most, so that as little as possible is proposed again.
    fn designated_leader(&self, shared: &Shared, config: &Config, zxid: Zxid) -> Sid {
        let me = shared.me();
        let address = |config: &Config| config.members.get(&me).and_then(|member| member.addresses.first()).map(|a| a.quorum());
        if config.is_voter(me) && address(config) == address(&shared.config) {
            return me;
        }
        let has_it = |l: &&Learner| config.is_voter(l.sid) && l.stage >= Stage::Synchronised && (l.durable >= zxid || zxid <= self.initial);
        self.learners.iter().filter(has_it).max_by_key(|l| l.durable).map_or(me, |l| l.sid)
    }

    fn request(&mut self, shared: &mut Shared, at: usize, packet: Packet) {
        let Some(request) = RequestData::decode(packet.data.as_ref()) else {
            return self.drop_learner(shared, at, "a REQUEST that cannot be read");
        };
        shared.outputs.push_back(Output::Request {
            link: self.learners[at].link,
            session: request.session,
            cxid: request.cxid,
            op: request.op,
            body: request.body,
            auth: packet.auth.unwrap_or_default(),
        });
    }

    // --- Syncs and life signs ---

    fn sync(&mut self, shared: &mut Shared, origin: SyncOrigin) {
        if !self.is_established() {
            return;
        }
        let round = self.round + 1;
        self.syncs.push_back(PendingSync { origin, after: self.last_proposed, round });
        if !self.round_is_on {
            self.begin_round(shared);
        }
    }

    fn begin_round(&mut self, shared: &mut Shared) {
        self.round += 1;
        self.round_is_on = true;
        for learner in &mut self.learners {
            learner.round_ping = None;
            if learner.stage == Stage::Serving && shared.quorum.is_voter(learner.sid) {
                learner.pings_sent += 1;
                learner.round_ping = Some(learner.pings_sent);
                shared.send_plain(learner.link, PacketKind::PING, self.last_proposed);
            }
        }
        self.end_round(shared);
    }

    fn end_round(&mut self, shared: &mut Shared) {
        let has_answered = |l: &Learner| l.round_ping.is_some_and(|ping| l.pings_answered >= ping);
        if !self.round_is_on || !(self.is_quorum(shared, has_answered) || mutant::is(Mutant::SyncNotConfirmed)) {
            return;
        }
        self.round_is_on = false;
        let (round, committed) = (self.round, shared.history.last_committed().max(epoch_zxid(self.epoch)));
        self.answer_syncs(shared, |sync| sync.after <= committed && is_confirmed(sync, round, false));
        if self.syncs.iter().any(|sync| sync.round > round) {
            self.begin_round(shared);
        }
    }

    /// Answers the oldest syncs for as long as they may be.
    fn answer_syncs(&mut self, shared: &mut Shared, may_be: impl Fn(&PendingSync) -> bool) {
        while self.syncs.front().is_some_and(&may_be) {
            let sync = self.syncs.pop_front().expect("there is a first");
            match sync.origin {
                SyncOrigin::Local(ticket) => shared.outputs.push_back(Output::SyncDone { ticket }),
                SyncOrigin::Link(link) if self.find(link).is_some() => shared.send_plain(link, PacketKind::SYNC, Zxid::ZERO),
                SyncOrigin::Link(_) => {}
            }
        }
    }

    fn pinged(&mut self, shared: &mut Shared, at: usize, packet: &Packet) {
        let learner = &mut self.learners[at];
        learner.pings_answered += u64::from(learner.pings_answered < learner.pings_sent);
        let sessions = packet::decode_touched(packet.data.as_ref());
        if !sessions.is_empty() {
            shared.outputs.push_back(Output::Touched { sessions });
        }
        self.end_round(shared);
    }

    /// In an ensemble of two the oracle may say that one of them is enough, as long as nobody follows. Asked only here,
    /// so that the other has had the time to come.
    fn ask_oracle(&mut self, now_ms: u64, shared: &mut Shared) -> Result<(), Reason> {
        let is_followed = self.learners.iter().any(|l| l.stage > Stage::Connected && !l.is_observer);
        let are_two = matches!(&shared.quorum, Quorum::Majority(voters) if voters.len() == 2);
        if now_ms < self.ping_ms {
            return Ok(());
        }
        self.is_granted = are_two && !is_followed && shared.oracle == Some(true);
        if self.is_granted {
            if self.phase == Phase::Discovery {
                self.discover(shared)?;
            }
            self.finish_election(now_ms, shared);
            self.establish(now_ms, shared);
            self.commit(shared);
        }
        Ok(())
    }

    fn tick(&mut self, now_ms: u64, shared: &mut Shared) -> Result<(), Reason> {
        if self.is_standalone {
            return Ok(());
        }
        self.ask_oracle(now_ms, shared)?;
        if !self.is_established() && now_ms >= self.deadline_ms {
            return Err(match self.phase {
                Phase::Discovery | Phase::Accepting { .. } => "no quorum has connected in time",
                Phase::Promises => "no quorum has promised the epoch in time",
                _ => "no quorum was synchronised in time",
            });
        }
        while let Some(at) = self.learners.iter().position(|l| l.is_awaited() && now_ms >= l.heard_ms + limit_ms(shared, l)) {
            self.drop_learner(shared, at, "nothing was heard from it in time");
        }
        if now_ms < self.ping_ms {
            return Ok(());
        }
        if self.is_deposed {
            return Err("the new configuration has another leader");
        }
        self.ping_ms = now_ms + shared.options.tick_ms / 2;
        self.pings += 1;
        let patience_ms = shared.ticks_ms(shared.options.sync_limit);
        let is_late = |l: &Learner| l.stage >= Stage::Synchronised && l.oldest.is_some_and(|(_, sent_ms)| now_ms >= sent_ms + patience_ms);
        while let Some(at) = self.learners.iter().position(is_late) {
            self.drop_learner(shared, at, "a proposal was not acknowledged in time");
        }
        // As Java: with every second round of PINGs.
        if self.is_established() && self.pings.is_multiple_of(2) && !self.is_quorum(shared, Learner::gets_broadcasts) {
            return Err("not enough followers are synchronised");
        }
        for learner in self.learners.iter_mut().filter(|l| l.gets_broadcasts()) {
            if learner.stage == Stage::Serving {
                learner.pings_sent += 1;
                if self.round_is_on && shared.quorum.is_voter(learner.sid) {
                    // Those that the round began with may have gone.
                    learner.round_ping.get_or_insert(learner.pings_sent);
                }
            }
            shared.send_plain(learner.link, PacketKind::PING, self.last_proposed);
        }
        Ok(())
    }
}

/// How long a learner may be silent: as the read timeouts of Java's sockets.
fn limit_ms(shared: &Shared, learner: &Learner) -> u64 {
    let limit = if learner.stage >= Stage::Synchronised { shared.options.sync_limit } else { shared.options.init_limit };
    shared.ticks_ms(limit)
}

fn is_confirmed(sync: &PendingSync, round: u64, round_is_on: bool) -> bool {
    sync.round < round || (sync.round == round && !round_is_on)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Member;
    use crate::history::History;
    use crate::peer::PeerOptions;

    /// Four thousand million proposals before this test would take too long.
    #[test]
    fn the_counter_of_a_member_asks_for_a_new_epoch() {
        let config = Config::majority([(Sid(1), Member::participant("localhost", 2888, 3888))].into());
        let last = Zxid::new(3, u32::MAX - 2);
        let mut shared = Shared::new(PeerOptions::new(Sid(1)), config, History::new(last, 500, 1000), 3, 3, false);
        let mut leading = Leading { is_standalone: false, epoch: 3, ..Leading::standalone(&shared) };
        let mut propose = |shared: &mut Shared| {
            let input = Input::Propose { zxid: leading.next_zxid(), payload: Bytes::new() };
            leading.handle(0, shared, input)
        };
        assert_eq!(propose(&mut shared), Ok(()));
        assert!(propose(&mut shared).is_err(), "the last counter is never proposed, as in Java");
        assert_eq!(shared.history.last_logged(), Zxid::new(3, u32::MAX - 1));
    }
}
