//! The core: writes, sessions and the order of everything, as one deterministic machine.
//!
//! Bring it inputs with [`Core::handle`] and carry out what [`Core::poll`] gives, in order, before
//! the next input. It knows neither sockets nor files: what it wants in the log is
//! [`Output::Append`], and only [`Input::LogSynced`] makes a commit of it.
//!
//! What the server is at the moment is its [`Duty`]: a leader (a standalone server is one without
//! followers) prepares and proposes, a learner forwards to its leader, and one that looks for a leader
//! serves nobody, or, after a while and where that is wanted, readers only. Here is what all of them share; [`leading`],
//! [`learning`] and [`reading`] are the duties, [`local`] the sessions that no other server knows.
//! Who leads, and what is committed, is decided by [`oxkeeper_zab::Peer`].

mod leading;
mod learning;
mod local;
mod reading;

use self::learning::Learning;
use crate::apply::{Commit, Origin, Outcome};
use crate::inbox::{Item, Service};
use crate::overlay::Overlay;
use crate::prepare::{PrepareOptions, ephemeral_cost, refusal};
use crate::request::{ConnId, Now, Write};
use crate::sessions::{Owner, Session, SessionTracker};
use bytes::{Bytes, BytesMut};
use log::info;
use oxkeeper_auth::{Identity, Schemes};
use oxkeeper_proto::collections::HashMap;
use oxkeeper_proto::records::TxnHeader;
use oxkeeper_proto::txn::{self, Txn};
use oxkeeper_proto::{ErrorCode, OpCode, Reader, SessionId, Zxid};
use oxkeeper_tree::Tree;
use oxkeeper_zab::{Config, Door, LinkId, Packet, Peer, PeerCounts, Sid, SyncJob};
use std::collections::VecDeque;
use std::sync::Arc;

/// What the core has to know from the configuration.
#[derive(Clone, Debug)]
pub struct CoreOptions {
    /// The width of the expiry buckets, milliseconds.
    pub tick_ms: u64,
    /// The server's number; 1 for a standalone server, as in Java.
    pub sid: u8,
    /// How writes are checked.
    pub prepare: PrepareOptions,
    /// Transactions carry the tree's digest (`zookeeper.digest.enabled`).
    pub digest_enabled: bool,
    /// The end of a session lists its ephemerals (`zookeeper.closeSessionTxn.enabled`).
    pub close_session_txn: bool,
    /// The largest transaction that every reader accepts, bytes (`jute.maxbuffer` and its extra).
    pub max_length: i32,
    /// Sessions that no other server knows.
    pub local_sessions: LocalSessions,
    /// A member that looks for a leader so long, milliseconds, serves readers meanwhile (`readonlymode.enabled`).
    pub read_only_after_ms: Option<u64>,
}

/// Whether new sessions are known to their own server only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LocalSessions {
    /// The whole ensemble knows each.
    #[default]
    Off,
    /// They are (`localSessionsEnabled`).
    On,
    /// The same, and the first ephemeral node makes the session known to all (`localSessionsUpgradingEnabled`).
    Upgraded,
}

/// What happened.
#[derive(Debug)]
pub enum Input {
    /// A client asks for a new session.
    OpenSession {
        /// Its connection.
        connection: ConnId,
        /// The negotiated timeout, milliseconds.
        timeout_ms: i32,
    },
    /// A client whose password was right comes back to its session.
    ReopenSession {
        /// Its connection.
        connection: ConnId,
        /// The session.
        session: SessionId,
        /// The negotiated timeout, milliseconds.
        timeout_ms: i32,
    },
    /// A write.
    Write(Write),
    /// The session was heard from.
    Touch {
        /// The session.
        session: SessionId,
        /// The timeout that its connection negotiated, milliseconds.
        timeout_ms: i32,
    },
    /// A connection is gone; its session lives on.
    Detach {
        /// The connection.
        connection: ConnId,
        /// Its session.
        session: SessionId,
    },
    /// The log is durable through this zxid.
    LogSynced {
        /// The last durable zxid.
        through: Zxid,
    },
    /// There is no room for the log: nothing from this zxid on was written, and nothing will be
    /// until [`Input::SpaceIsBack`].
    LogRefused {
        /// The first zxid that was not written.
        from: Zxid,
    },
    /// There is room again.
    SpaceIsBack,
    /// The tree holds everything through this zxid.
    Applied {
        /// The last applied zxid.
        through: Zxid,
    },
    /// Time has passed: expires sessions.
    Tick,
    /// A container or TTL node is due.
    Reap {
        /// Its path.
        path: String,
    },
    /// Everything that was to be written before this step is durable, see [`Output::Disk`].
    Done {
        /// The number of the step.
        step: u64,
    },
    /// An election message of another member.
    Notification {
        /// Who sent it.
        from: Sid,
        /// Its bytes, without the length.
        message: Bytes,
    },
    /// The election connection with another member has come or ended.
    ElectionLink {
        /// The member.
        peer: Sid,
        /// Whether it is there.
        is_up: bool,
    },
    /// A link between a learner and a leader is up.
    LinkUp {
        /// Its number.
        link: LinkId,
    },
    /// A packet came in on a link.
    Packet {
        /// The link.
        link: LinkId,
        /// What came.
        packet: Packet,
    },
    /// The body of a snapshot has come in whole.
    SnapshotReceived {
        /// The link.
        link: LinkId,
    },
    /// Part of a snapshot has come in on this link, or of a synchronisation has gone out: it lives.
    Progress {
        /// The link.
        link: LinkId,
    },
    /// Nothing was read or done from then on until now, milliseconds of the monotonic clock: sessions could not be heard.
    /// To be told before [`Input::Tick`].
    StoodStill {
        /// Since when.
        since_ms: u64,
    },
    /// The log could not be cut where the leader wanted it: nothing was changed, and nothing is done for the disk, but
    /// for barriers, before [`DiskStep::Resume`].
    CutRefused,
    /// A link is gone.
    LinkDown {
        /// Which.
        link: LinkId,
    },
    /// What the oracle of an ensemble of two says now; `None`: nothing that could be read.
    Oracle {
        /// Its word.
        says: Option<bool>,
    },
}

/// What has to be done.
#[derive(Debug)]
pub enum Output {
    /// Append to the log; answered by [`Input::LogSynced`] or [`Input::LogRefused`].
    Append {
        /// The transaction's zxid.
        zxid: Zxid,
        /// Its bytes.
        payload: Bytes,
    },
    /// Apply; answered by [`Input::Applied`].
    Apply(Commit),
    /// Tell a front.
    Front {
        /// The front's index.
        front: u16,
        /// What.
        item: Item,
    },
    /// From here on these clients are served; if none, each front closes all its connections.
    Serve(Service),
    /// Bring [`Input::Applied`] as soon as what is committed has been applied: the server becomes the leader
    /// when its tree is up to date.
    CatchUp,
    /// To the owner of the files, in one order with [`Output::Append`].
    Disk(DiskStep),
    /// An election message to another member.
    Notify {
        /// To whom.
        to: Sid,
        /// Its bytes, without the length.
        message: Bytes,
    },
    /// Connect to the leader, or to a follower that feeds observers; answered by [`Input::LinkUp`] or [`Input::LinkDown`].
    Dial {
        /// The number of the link to be.
        link: LinkId,
        /// The leader.
        leader: Sid,
        /// Its port.
        door: Door,
    },
    /// Accept learners, or no longer.
    Listen {
        /// Whether.
        on: bool,
        /// On which port.
        door: Door,
    },
    /// A configuration was proposed: connect to who is new in it, and keep it, before what is appended later.
    SeenMembers(Box<Config>),
    /// The members have changed: connect by this, and keep it, likewise.
    Members(Box<Config>),
    /// Send a packet.
    Send {
        /// On which link.
        link: LinkId,
        /// What.
        packet: Packet,
    },
    /// Send the history that a learner lacks from the files. What is sent on the link afterwards comes behind it.
    Synchronise {
        /// On which link.
        link: LinkId,
        /// From where on.
        job: SyncJob,
    },
    /// Close a link when what is before it has been sent.
    HangUp {
        /// Which.
        link: LinkId,
    },
}

/// What the owner of the files has to do, each thing after what was asked before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskStep {
    /// Promise an epoch, durably.
    SaveAccepted(i64),
    /// Say durably that history of this epoch is going to be written.
    AnnounceEpoch(i64),
    /// Make this the current epoch, after everything appended is durable; a snapshot that was installed, and what was
    /// appended behind it, take the place of the old history.
    CommitEpoch(i64),
    /// Cut the log behind this zxid; build the tree anew if it is ahead of it.
    Truncate(Zxid),
    /// The body that was received (of zxid 0: nothing at all) becomes the tree; the history is to follow with
    /// [`DiskStep::CommitEpoch`].
    InstallSnapshot(Zxid),
    /// It will not: the tree is built anew from the old history.
    AbandonSnapshot,
    /// Answer with [`Input::Done`] when everything before is durable.
    Barrier(u64),
    /// What was asked before was to follow a cut that could not be made, and is not to be done; what comes behind is.
    Resume,
}

/// Makes payloads of transactions. They share blocks of memory, so that most cost no allocation; a block goes, or is
/// filled again, when the last of its payloads has gone.
#[derive(Default)]
struct Encoder {
    scratch: Vec<u8>,
    block: BytesMut,
}

impl Encoder {
    const BLOCK_BYTES: usize = 64 << 10;

    /// `None` if it is longer than `max_length` bytes.
    fn encode(&mut self, header: &TxnHeader, txn: &Txn<'_>, digest: Option<u64>, max_length: usize) -> Option<Bytes> {
        self.scratch.clear();
        txn::encode_into(&mut self.scratch, header, txn, digest);
        if self.scratch.len() > max_length {
            self.scratch = Vec::new();
            return None;
        }
        if self.scratch.len() > Self::BLOCK_BYTES / 8 {
            // A large one would waste the rest of a block, and keep small ones alive beside it.
            return Some(std::mem::take(&mut self.scratch).into());
        }
        if self.block.capacity() < self.scratch.len() {
            self.block.reserve(Self::BLOCK_BYTES);
        }
        self.block.extend_from_slice(&self.scratch);
        Some(self.block.split().freeze())
    }
}

/// What the core has done, ever: for the metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CoreCounts {
    /// Transactions begun, refused ones included.
    pub prepared: u64,
    /// Ends of sessions.
    pub closes: u64,
    /// Sessions that expired.
    pub expired: u64,
    /// Changes of nodes prepared.
    pub changes_queued: u64,
    /// Changes of nodes applied, or taken back.
    pub changes_removed: u64,
    /// Among the peers.
    pub peer: PeerCounts,
}

/// What a place in the order waits for.
enum Awaits {
    /// The commit of a transaction that was proposed here.
    Txn(Zxid),
    /// The commit of a transaction that the leader makes of it.
    Forwarded,
    /// The leader's word that everything before is committed.
    Sync,
    /// Only its turn: an answer without a transaction.
    Turn(ErrorCode),
    /// Only its turn: the refusal of a write that was not put into the order.
    Refused(ErrorCode),
    /// Only its turn: a sync that is done.
    Synced,
}

struct InFlight {
    awaits: Awaits,
    /// The bytes of the transaction; the body of a sync.
    payload: Bytes,
    origin: Option<Origin>,
    /// The session that this transaction opens or ends.
    opens: Option<SessionId>,
    closes: Option<SessionId>,
}

impl InFlight {
    /// The session and cxid of the transaction that a learner waits for.
    fn asked_by(&self) -> (SessionId, i32) {
        match (&self.origin, self.opens) {
            (Some(origin), _) => (origin.session, origin.xid),
            // Nobody waits for the upgrade of a session.
            (None, Some(session)) => (session, 0),
            (None, None) => unreachable!("whoever waits on a learner is a client"),
        }
    }
}

/// What the server is.
enum Duty {
    /// Nobody is served.
    Idle,
    /// Without a leader: readers are served from the committed tree.
    ReadOnly,
    /// The leader, but the tree is not up to date yet; what learners have asked meanwhile.
    Taking(Vec<leading::Asked>),
    /// The leader.
    Leading,
    /// A follower or an observer.
    Learning(Learning),
}

/// See the module.
pub struct Core {
    options: CoreOptions,
    schemes: Arc<Schemes>,
    zab: Peer,
    duty: Duty,
    overlay: Overlay,
    sessions: SessionTracker,
    /// Sessions of this server's connections that no other server knows.
    local: SessionTracker,
    /// When readers are served unless a leader is found, milliseconds of the monotonic clock.
    read_only_at_ms: Option<u64>,
    next_session: SessionId,
    /// Everything that waits for a commit, in order. Bounded by the credits of the connections, here and on the learners.
    in_flight: VecDeque<InFlight>,
    /// Sessions that are not known here and whose clients are to be told so, once it is certain that we still lead.
    denials: VecDeque<leading::Denial>,
    /// Until when sessions have been excused for what could not be heard of them, milliseconds of the monotonic clock.
    excused_ms: u64,
    /// How many bytes of ephemeral paths each session may still add.
    ephemeral_budgets: HashMap<SessionId, usize>,
    outputs: VecDeque<Output>,
    encoder: Encoder,
    no_space: bool,
    /// See [`Core::check_acls_eagerly`].
    checks_eagerly: bool,
    counts: CoreCounts,
}

impl Core {
    /// A standalone server's core over a recovered tree: every session of the tree begins anew with
    /// its whole timeout.
    pub fn standalone(options: CoreOptions, schemes: Arc<Schemes>, tree: &Tree, now: Now) -> Self {
        let zab = Peer::standalone(Sid(i64::from(options.sid)), tree.last_zxid());
        let mut core = Self::new(options, schemes, zab, tree, now);
        core.lead(now, tree);
        core
    }

    /// The core of a member of an ensemble over a recovered tree. It serves nobody before it says so
    /// with [`Output::Serve`].
    pub fn member(options: CoreOptions, schemes: Arc<Schemes>, zab: Peer, tree: &Tree, now: Now) -> Self {
        let mut core = Self::new(options, schemes, zab, tree, now);
        core.follow_zab(now, tree);
        core
    }

    fn new(options: CoreOptions, schemes: Arc<Schemes>, zab: Peer, tree: &Tree, now: Now) -> Self {
        Self {
            zab,
            duty: Duty::Idle,
            overlay: Overlay::new(tree.digest()),
            sessions: SessionTracker::new(options.tick_ms),
            local: SessionTracker::new(options.tick_ms),
            read_only_at_ms: None,
            next_session: SessionId::first(options.sid, now.wall_ms as u64),
            in_flight: VecDeque::new(),
            denials: VecDeque::new(),
            excused_ms: 0,
            ephemeral_budgets: HashMap::default(),
            outputs: VecDeque::new(),
            encoder: Encoder::default(),
            no_space: false,
            checks_eagerly: false,
            counts: CoreCounts::default(),
            options,
            schemes,
        }
    }

    /// A member refuses a write of its own clients that the committed tree's access lists do not allow before it goes into the
    /// order (`zookeeper.enableEagerACLCheck`). A standalone server of Java's does not, whatever the option says.
    pub fn check_acls_eagerly(&mut self, on: bool) {
        self.checks_eagerly = on;
    }

    fn count_ephemerals(&mut self, tree: &Tree) {
        self.ephemeral_budgets.clear();
        for (session, _) in tree.sessions() {
            let used: usize = tree.ephemerals(session).map(|p| ephemeral_cost(&p)).sum();
            if used > 0 {
                self.ephemeral_budgets.insert(session, self.whole_budget().saturating_sub(used));
            }
        }
    }

    /// A closing session's transaction: the header, a count, the paths and the digest.
    fn whole_budget(&self) -> usize {
        (self.options.max_length as usize).saturating_sub(txn::HEADER_LENGTH + 4 + txn::DIGEST_LENGTH)
    }

    /// The sessions, for `dump` and metrics.
    pub fn sessions(&self) -> &SessionTracker {
        &self.sessions
    }

    /// The sessions that no other server knows; `None` where there are none by configuration.
    pub fn local_sessions(&self) -> Option<&SessionTracker> {
        (self.options.local_sessions != LocalSessions::Off).then_some(&self.local)
    }

    /// Whether readers only are served, for want of a leader.
    pub fn is_read_only(&self) -> bool {
        matches!(self.duty, Duty::ReadOnly)
    }

    /// What has been done so far.
    pub fn counts(&self) -> CoreCounts {
        let (changes_queued, changes_removed) = (self.overlay.queued, self.overlay.removed);
        CoreCounts { changes_queued, changes_removed, peer: self.zab.counts(), ..self.counts }
    }

    /// The paths of writes that a hard quota refused since the last call.
    pub fn take_over_quota(&mut self) -> Vec<String> {
        std::mem::take(&mut self.overlay.over_quota)
    }

    /// How many requests wait for a commit.
    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// The last zxid that was given out.
    pub fn last_proposed(&self) -> Zxid {
        self.zab.last_proposed()
    }

    /// Peers and zxids: the role, the epoch, who follows.
    pub fn peer(&self) -> &Peer {
        &self.zab
    }

    /// As `srst` does: see [`oxkeeper_zab::LeaderView`].
    pub fn forget_proposal_sizes(&mut self) {
        self.zab.forget_proposal_sizes();
    }

    /// When [`Input::Tick`] is due, milliseconds of the monotonic clock.
    pub fn next_timer_ms(&self) -> Option<u64> {
        let expiry = matches!(self.duty, Duty::Leading).then(|| self.sessions.next_expiry_ms()).flatten();
        expiry.into_iter().chain(self.local.next_expiry_ms()).chain(self.read_only_at_ms).chain(self.zab.next_timer_ms()).min()
    }

    /// Whether writes are refused because the disk is full.
    pub fn out_of_space(&self) -> bool {
        self.no_space
    }

    /// The next thing to do.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Takes in one thing that happened. `tree` is the committed state.
    pub fn handle(&mut self, now: Now, tree: &Tree, input: Input) {
        use oxkeeper_zab::peer::Input as Zab;
        let at = now.mono_ms;
        match input {
            Input::OpenSession { connection, timeout_ms } => match &self.duty {
                Duty::ReadOnly => self.open_local(now, tree, connection, timeout_ms),
                Duty::Leading | Duty::Learning(_) if self.options.local_sessions != LocalSessions::Off => {
                    self.open_local(now, tree, connection, timeout_ms);
                }
                Duty::Leading => self.open_session(now, connection, timeout_ms),
                Duty::Learning(_) => self.forward_session(now, tree, connection, timeout_ms),
                _ => self.close(connection),
            },
            Input::ReopenSession { connection, session, timeout_ms } => match &self.duty {
                Duty::ReadOnly => self.reopen_to_read(now, connection, session, timeout_ms),
                Duty::Leading | Duty::Learning(_) if self.local.get(session).is_some() => {
                    self.reopen_local(now, connection, session, timeout_ms);
                }
                Duty::Leading => self.reopen_session(now, connection, session, timeout_ms),
                Duty::Learning(_) => self.revalidate(connection, session, timeout_ms),
                _ => self.close(connection),
            },
            Input::Write(write) => match &self.duty {
                Duty::ReadOnly => self.close_reader(write),
                Duty::Leading => self.write(now, tree, write),
                Duty::Learning(_) => self.forward(now, tree, write),
                _ => {
                    let connection = write.connection;
                    self.outputs.push_back(Output::Front { front: connection.front, item: Item::Forgotten { writes: 1 } });
                    self.close(connection);
                }
            },
            Input::Touch { session, timeout_ms } => match &mut self.duty {
                _ if self.local.touch(now.mono_ms, session, timeout_ms) => {}
                Duty::Leading => {
                    self.sessions.touch(now.mono_ms, session, timeout_ms);
                }
                Duty::Learning(learning) => learning.touch(session, timeout_ms),
                _ => {}
            },
            Input::Detach { connection, session } => match &mut self.duty {
                _ if self.local.get(session).is_some() => self.local.detach(session, Owner::Connection(connection)),
                Duty::Leading => self.sessions.detach(session, Owner::Connection(connection)),
                Duty::Learning(learning) => learning.detach(session, connection),
                _ => {}
            },
            Input::LogSynced { through } => self.zab.handle(at, Zab::LogSynced { through }),
            Input::LogRefused { from } => self.refuse(now, tree, from),
            Input::SpaceIsBack => {
                if self.no_space {
                    info!("There is room for the transaction log again: writes are accepted");
                }
                self.no_space = false;
            }
            Input::Applied { through } => self.overlay.applied(through),
            Input::Tick => {
                if matches!(self.duty, Duty::Leading) {
                    self.expire(now, tree);
                }
                self.expire_local(now);
                self.zab.handle(at, Zab::Tick);
            }
            Input::StoodStill { since_ms } => self.excuse(now, since_ms),
            Input::Reap { path } => {
                if matches!(self.duty, Duty::Leading) {
                    self.reap(now, tree, &path);
                }
            }
            Input::Done { step } => self.zab.handle(at, Zab::Done { step }),
            Input::Notification { from, message } => self.zab.handle(at, Zab::Notification { from, message }),
            Input::ElectionLink { peer, is_up } => self.zab.handle(at, Zab::ElectionLink { peer, is_up }),
            Input::LinkUp { link } => self.zab.handle(at, Zab::LinkUp { link }),
            Input::Packet { link, packet } => self.zab.handle(at, Zab::Packet { link, packet }),
            Input::SnapshotReceived { link } => self.zab.handle(at, Zab::SnapshotReceived { link }),
            Input::Progress { link } => self.zab.handle(at, Zab::Progress { link }),
            Input::CutRefused => {
                self.outputs.push_back(Output::Disk(DiskStep::Resume));
                self.zab.handle(at, Zab::CutRefused);
            }
            Input::LinkDown { link } => self.zab.handle(at, Zab::LinkDown { link }),
            Input::Oracle { says } => self.zab.handle(at, Zab::Oracle { says }),
        }
        self.follow_zab(now, tree);
    }

    fn follow_zab(&mut self, now: Now, tree: &Tree) {
        use oxkeeper_zab::peer::Output as Zab;
        // Before anything is done that a found leader wants done.
        self.serve_readers_while_looking(now);
        loop {
            // The new leader's tree holds all that was committed before: now its writes can be prepared.
            if let Duty::Taking(waiting) = &mut self.duty
                && tree.last_zxid() >= self.zab.last_committed()
            {
                let waiting = std::mem::take(waiting);
                self.serve(now, tree, waiting);
            }
            let Some(output) = self.zab.poll() else { break };
            match output {
                Zab::Append { zxid, payload } => self.outputs.push_back(Output::Append { zxid, payload }),
                Zab::Commit { zxid, payload } => self.commit(zxid, payload),
                Zab::Withdrawn { .. } => {}
                Zab::SaveAccepted { epoch } => self.outputs.push_back(Output::Disk(DiskStep::SaveAccepted(epoch))),
                Zab::AnnounceEpoch { epoch } => self.outputs.push_back(Output::Disk(DiskStep::AnnounceEpoch(epoch))),
                Zab::CommitEpoch { epoch } => self.outputs.push_back(Output::Disk(DiskStep::CommitEpoch(epoch))),
                Zab::Truncate { zxid } => self.outputs.push_back(Output::Disk(DiskStep::Truncate(zxid))),
                Zab::InstallSnapshot { zxid } => self.outputs.push_back(Output::Disk(DiskStep::InstallSnapshot(zxid))),
                Zab::ActivateConfig { config } => {
                    self.show_config(now);
                    self.outputs.push_back(Output::Members(config));
                }
                Zab::SeenConfig { config } => self.outputs.push_back(Output::SeenMembers(config)),
                Zab::AbandonSnapshot => self.outputs.push_back(Output::Disk(DiskStep::AbandonSnapshot)),
                Zab::Barrier { step } => self.outputs.push_back(Output::Disk(DiskStep::Barrier(step))),
                Zab::Notify { to, message } => self.outputs.push_back(Output::Notify { to, message }),
                Zab::Dial { link, leader, door } => self.outputs.push_back(Output::Dial { link, leader, door }),
                Zab::Listen { on, door } => self.outputs.push_back(Output::Listen { on, door }),
                Zab::Send { link, packet } => self.outputs.push_back(Output::Send { link, packet }),
                Zab::Close { link } => self.outputs.push_back(Output::HangUp { link }),
                Zab::Synchronise { link, job } => self.outputs.push_back(Output::Synchronise { link, job }),
                Zab::Look { reason } => self.retire(reason),
                Zab::Lead { .. } => {
                    self.duty = Duty::Taking(Vec::new());
                    self.outputs.push_back(Output::CatchUp);
                }
                Zab::Serve => {
                    self.duty = Duty::Learning(Learning::default());
                    self.outputs.push_back(Output::Serve(Service::Full));
                }
                Zab::Request { link, session, cxid, op, body, auth } => {
                    self.asked(now, tree, leading::Asked::Request(leading::Request { link, session, cxid, op, body, auth }));
                }
                Zab::Touched { sessions } => match &mut self.duty {
                    Duty::Learning(learning) => sessions.into_iter().for_each(|(session, timeout_ms)| learning.touch(session, timeout_ms)),
                    _ => self.asked(now, tree, leading::Asked::Touch(sessions)),
                },
                Zab::Moved { session } => self.moved(session),
                Zab::Revalidate { link, session, timeout_ms } => {
                    self.asked(now, tree, leading::Asked::Revalidate(link, session, timeout_ms));
                }
                Zab::Ping { zxid } => self.report(zxid),
                Zab::Revalidated { session, is_valid } => self.revalidated(session, is_valid),
                Zab::SyncDone { ticket: leading::DENIAL } => self.deny(),
                Zab::Synced | Zab::SyncDone { .. } => {
                    if let Some(sync) = self.in_flight.iter_mut().find(|place| matches!(place.awaits, Awaits::Sync)) {
                        sync.awaits = Awaits::Synced;
                    }
                }
            }
            self.take_turns();
        }
        self.take_turns();
    }

    /// Answers without a transaction go out once everything before them has.
    fn take_turns(&mut self) {
        while self.in_flight.front().is_some_and(|first| matches!(first.awaits, Awaits::Turn(_) | Awaits::Refused(_) | Awaits::Synced)) {
            let mut place = self.in_flight.pop_front().expect("there is a first");
            let outcome = match place.awaits {
                Awaits::Turn(error) => Outcome::Answer(error),
                Awaits::Refused(error) => Outcome::Refusal(error),
                _ => Outcome::Synced { body: std::mem::take(&mut place.payload) },
            };
            self.apply(place, outcome);
        }
    }

    fn commit(&mut self, zxid: Zxid, payload: Bytes) {
        match &self.duty {
            Duty::Leading => self.commit_own(zxid, payload),
            Duty::Learning(_) => self.commit_foreign(zxid, payload),
            // History that a new role begins with: nobody waits for it.
            _ => self.outputs.push_back(Output::Apply(Commit { outcome: Outcome::Txn { zxid, payload }, origin: None, close: None })),
        }
    }

    /// A configuration may come into force without a transaction: with an election, or with a leader.
    fn show_config(&mut self, now: Now) {
        let config = self.zab.config();
        let (version, text) = (Zxid(config.version.cast_signed()), config.to_text());
        let outcome = Outcome::Config { version, text, time_ms: now.wall_ms };
        self.outputs.push_back(Output::Apply(Commit { outcome, origin: None, close: None }));
    }

    fn apply(&mut self, place: InFlight, outcome: Outcome) {
        let mut close = None;
        if let Some(session) = place.closes {
            self.ephemeral_budgets.remove(&session);
            let connection = self.sessions.remove(session).and_then(|s: Session| s.connection());
            let asked = place.origin.as_ref().map(|o| o.connection);
            // A client that asked for the end gets its reply first and is closed after it.
            close = asked.or(connection);
        }
        self.outputs.push_back(Output::Apply(Commit { outcome, origin: place.origin, close }));
    }

    /// The role is over: nobody is served, and what waited is not answered. Its fate is unknown to the clients, who
    /// lose their connections.
    fn retire(&mut self, reason: &str) {
        if !matches!(self.duty, Duty::Idle) {
            info!("No longer serving clients: {reason}");
        }
        self.duty = Duty::Idle;
        for place in std::mem::take(&mut self.in_flight) {
            if let Some(origin) = place.origin.filter(|origin| origin.op != OpCode::CREATE_SESSION) {
                self.outputs.push_back(Output::Front { front: origin.connection.front, item: Item::Forgotten { writes: 1 } });
            }
        }
        self.sessions = SessionTracker::new(self.options.tick_ms);
        // As in Java they end with the role: whoever comes back to one is told that it has expired.
        self.local = SessionTracker::new(self.options.tick_ms);
        self.ephemeral_budgets.clear();
        // Who leads now may know them: their clients lose this connection and ask there.
        self.denials.clear();
        self.outputs.push_back(Output::Serve(Service::None));
    }

    /// What clients sent while we stood still lies in the sockets yet: nobody's session ends for it. (Java's end.)
    fn excuse(&mut self, now: Now, since_ms: u64) {
        let ms = now.mono_ms.saturating_sub(since_ms.max(self.excused_ms));
        self.excused_ms = now.mono_ms;
        if ms > 0 && !(self.local.is_empty() && self.sessions.is_empty()) {
            info!("Nothing was heard or done for {ms} ms: sessions live for as much longer");
            self.local.postpone(ms);
            self.sessions.postpone(ms);
        }
    }

    fn close(&mut self, connection: ConnId) {
        self.outputs.push_back(Output::Front { front: connection.front, item: Item::Close { connection } });
    }

    /// Why the committed tree does not allow a write, if it is checked before it goes into the order.
    fn eager_refusal(&self, tree: &Tree, op: OpCode, body: &[u8], identities: &[Identity]) -> Option<ErrorCode> {
        if !self.checks_eagerly {
            return None;
        }
        refusal(tree, &self.schemes, op, &mut Reader::with_max_length(body, self.options.max_length), identities)
    }

    fn refuse_eagerly(&mut self, error: ErrorCode, origin: Origin) {
        self.take_place(Awaits::Refused(error), origin);
    }

    fn answer(&mut self, error: ErrorCode, origin: Origin) {
        self.take_place(Awaits::Turn(error), origin);
    }

    /// An answer without a transaction keeps its place behind what is in flight.
    fn take_place(&mut self, awaits: Awaits, origin: Origin) {
        self.in_flight.push_back(InFlight { awaits, payload: Bytes::new(), origin: Some(origin), opens: None, closes: None });
    }
}

/// Ids begin with the time of the start, so they are not those of an earlier run; but clocks are set, and a living
/// session's id must not be given to another.
fn draw_session(next: &mut SessionId, is_taken: impl Fn(SessionId) -> bool) -> SessionId {
    while *next == SessionId::NONE || is_taken(*next) {
        *next = next.next();
    }
    let session = *next;
    *next = session.next();
    session
}
