//! One server among its peers: the doors of this room.
//!
//! [`Peer`] is everything about peers and zxids of one server: election, discovery, synchronisation, broadcast, with
//! payloads that are opaque bytes. Bring it inputs with [`Peer::handle`] and carry out what [`Peer::poll`] gives, in
//! order, before the next input. It has no clock, file or socket; what must be durable first comes back as an input.

use crate::config::{Config, Member};
use crate::election::{Candidate, Election, ElectionOptions, ElectionOutput};
use crate::feeding::Feeding;
use crate::following::Following;
use crate::history::History;
use crate::leading::Leading;
use crate::masters::Masters;
use crate::packet::{self, AuthId, Packet, PacketKind, RequestData};
use crate::quorum::Sid;
use crate::reconfig::{self, Change, Refusal, Rules};
use crate::shared::{Reason, Shared};
use crate::sync::SyncJob;
use crate::vote::PeerState;
use bytes::Bytes;
use log::{info, warn};
use oxkeeper_proto::{OpCode, SessionId, Zxid};

/// One connection on the quorum port, numbered by whoever owns the sockets, except that [`Output::Dial`] names its own
/// (top bit set). A number is never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u64);

impl LinkId {
    /// Marks the numbers that the peer gives out itself.
    pub const DIALLED: u64 = 1 << 63;
}

/// Which of a member's ports learners use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// The quorum port, of a leader.
    Quorum,
    /// `observerMasterPort`, of a follower that feeds observers.
    Observers,
}

/// What the peer has to know from the configuration.
#[derive(Clone, Debug)]
pub struct PeerOptions {
    /// Our number.
    pub me: Sid,
    /// What we are if the configuration does not name us.
    pub is_observer: bool,
    /// `tickTime`, milliseconds.
    pub tick_ms: u64,
    /// `initLimit`, ticks.
    pub init_limit: u32,
    /// `syncLimit`, ticks.
    pub sync_limit: u32,
    /// `connectToLearnerMasterLimit`, ticks; 0 stands for `initLimit`.
    pub connect_limit: u32,
    /// How many committed transactions are kept in memory for learners (`zookeeper.commitLogCount`).
    pub cache_entries: usize,
    /// How many bytes of them.
    pub cache_bytes: usize,
    /// For the delays of observers.
    pub seed: u64,
    /// How long an observer waits at most before it looks for a leader again (`zookeeper.observer.election.DelayMs`),
    /// milliseconds.
    pub observer_delay_ms: u64,
    /// How long it waits at most before it connects again (`zookeeper.observer.reconnectDelayMs`), milliseconds.
    pub reconnect_delay_ms: u64,
    /// There is an `observerMasterPort`: as a follower we feed observers there, as an observer we look for a follower
    /// that does.
    pub observer_masters: bool,
    /// The pause between two attempts to reach the leader (`zookeeper.leaderConnectDelayDuringRetryMs`), milliseconds.
    pub dial_pause_ms: u64,
    /// `zookeeper.forceSnapshotSync`.
    pub force_snapshot_sync: bool,
    /// How many learners may be brought here from the files when an observer comes that needs it, too
    /// (`zookeeper.leader.maxConcurrentSnapSyncs`).
    pub max_snap_syncs: usize,
    /// The same, from memory (`zookeeper.leader.maxConcurrentDiffSyncs`).
    pub max_diff_syncs: usize,
    /// `zookeeper.fastleader.minNotificationInterval`, milliseconds.
    pub min_notification_ms: u64,
    /// `zookeeper.fastleader.maxNotificationInterval`, milliseconds.
    pub max_notification_ms: u64,
    /// How long a winning vote must stand unchallenged, milliseconds (200 in Java).
    pub finalize_wait_ms: u64,
    /// Who has been elected and has waited longer than this for a quorum gives up when a voter that elected it looks for a leader
    /// again (`zookeeper.leader.maxTimeToWaitForEpoch`), milliseconds; `None`: only `init_limit` counts.
    pub epoch_patience_ms: Option<u64>,
    /// A member that leads asks for a new epoch instead of proposing this counter: the last there is, unless a test of the
    /// rollover cannot wait for it.
    pub last_counter: u32,
    /// `reconfigEnabled`.
    pub reconfig_enabled: bool,
    /// `standaloneEnabled`: no reconfiguration may leave fewer than two voters.
    pub standalone_enabled: bool,
    /// `multiAddress.enabled`.
    pub multi_address_enabled: bool,
    /// The last configuration that was proposed, if it is later than the one in force.
    pub last_seen: Option<Box<Config>>,
}

impl PeerOptions {
    /// ZooKeeper's defaults for the member with this number.
    pub fn new(me: Sid) -> Self {
        Self {
            me,
            is_observer: false,
            tick_ms: 2000,
            init_limit: 10,
            sync_limit: 5,
            connect_limit: 0,
            cache_entries: 500,
            cache_bytes: 16 << 20,
            seed: 1,
            observer_delay_ms: 200,
            reconnect_delay_ms: 0,
            observer_masters: false,
            dial_pause_ms: 100,
            force_snapshot_sync: false,
            max_snap_syncs: 10,
            max_diff_syncs: 100,
            min_notification_ms: 200,
            max_notification_ms: 60_000,
            finalize_wait_ms: 200,
            epoch_patience_ms: None,
            last_counter: u32::MAX,
            reconfig_enabled: false,
            standalone_enabled: true,
            multi_address_enabled: false,
            last_seen: None,
        }
    }
}

/// What the disk says at the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Durable {
    /// The last zxid of the history; all of it is durable.
    pub last_zxid: Zxid,
    /// The highest epoch that was promised (`acceptedEpoch`).
    pub accepted: i64,
    /// The epoch of the history (`currentEpoch`).
    pub current: i64,
    /// The history may lack something that was acknowledged (design rule 6).
    pub in_doubt: bool,
}

/// What the server is at the moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// Nobody's: an election is on, or the end of the last role is being made durable.
    #[default]
    Looking,
    /// Elected, perhaps not established yet ([`Peer::is_serving`] tells).
    Leading,
    /// Follows a leader, perhaps not synchronised yet.
    Following,
    /// As [`Role::Following`], without a vote.
    Observing,
}

/// Who waits for a sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncOrigin {
    /// A learner; answered by a SYNC packet.
    Link(LinkId),
    /// A client of our own; answered by [`Output::SyncDone`] with this ticket.
    Local(u64),
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A transaction was prepared under [`Peer::next_zxid`], while leading and established.
    Propose {
        /// Its zxid.
        zxid: Zxid,
        /// Its bytes, as they go to the log and to learners.
        payload: Bytes,
    },
    /// Our log is durable up to and including this zxid.
    LogSynced {
        /// The last durable zxid.
        through: Zxid,
    },
    /// Our log refused everything from this zxid on; nothing of it was written. Only a standalone server may take
    /// proposals back.
    LogRefused {
        /// The first zxid that was not written.
        from: Zxid,
    },
    /// Everything before [`Output::Barrier`] is durable.
    Done {
        /// The barrier's number.
        step: u64,
    },
    /// The election connection with a server has come or ended.
    ElectionLink {
        /// The server.
        peer: Sid,
        /// Whether it is there.
        is_up: bool,
    },
    /// An election message, without its length.
    Notification {
        /// Who sent it.
        from: Sid,
        /// Its bytes.
        message: Bytes,
    },
    /// A learner has connected to our quorum port, or the leader that we dialled has answered.
    LinkUp {
        /// The link.
        link: LinkId,
    },
    /// A packet came in.
    Packet {
        /// On this link.
        link: LinkId,
        /// The packet.
        packet: Packet,
    },
    /// A link is broken, or could not be made. Not sent for links that [`Output::Close`] has closed.
    LinkDown {
        /// The link.
        link: LinkId,
    },
    /// The body behind a SNAP packet has come in whole.
    SnapshotReceived {
        /// On this link.
        link: LinkId,
    },
    /// Bytes of a snapshot's body came in, or bytes of a [`Output::Synchronise`] went out: the link lives. Enough once
    /// every quarter of `tickTime`.
    Progress {
        /// The link.
        link: LinkId,
    },
    /// [`Output::Truncate`] could not be carried out, since the log does not reach down to it. Nothing was changed, and
    /// nothing that came behind is carried out; barriers are answered all the same. The tree is to be built from the
    /// whole log, as at a start.
    CutRefused,
    /// While leading and established: answer when everything that was proposed so far is committed and a quorum has
    /// confirmed us since.
    Sync {
        /// Who asks.
        origin: SyncOrigin,
    },
    /// What the oracle of an ensemble of two says (`oraclePath`: the first character of the file is `1`): whether one
    /// of the two may go on alone. `None`: there is none. Given again whenever it may have changed.
    Oracle {
        /// Its word.
        says: Option<bool>,
    },
    /// Time has passed; due at [`Peer::next_timer_ms`].
    Tick,
}

/// What has to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Append to the log; answered by [`Input::LogSynced`].
    Append {
        /// The transaction's zxid.
        zxid: Zxid,
        /// Its bytes.
        payload: Bytes,
    },
    /// Make `acceptedEpoch` durable.
    SaveAccepted {
        /// The epoch.
        epoch: i64,
    },
    /// Make `currentEpoch.tmp` durable, once everything before is: the first record of this epoch comes next, and
    /// `currentEpoch` is lower. If it still is at the next start, and the history has
    /// got there, this becomes the current epoch.
    AnnounceEpoch {
        /// The epoch of the record that comes next.
        epoch: i64,
    },
    /// Write `currentEpoch`, once everything before is durable; the history is not in doubt any longer, and an installed
    /// snapshot takes the place of the old one.
    CommitEpoch {
        /// The epoch.
        epoch: i64,
    },
    /// Cut the log behind this zxid; if the log does not reach down to it, [`Input::CutRefused`].
    Truncate {
        /// The last zxid that stays.
        zxid: Zxid,
    },
    /// The body that was received becomes the tree, and it and what is appended from now on will be the only history:
    /// with [`Output::CommitEpoch`]. Until then the old one must stay what a restart begins with, since it may hold
    /// what was acknowledged (traps 15 and 24). Zxid 0 comes without a body: an empty history.
    InstallSnapshot {
        /// The zxid of the SNAP packet.
        zxid: Zxid,
    },
    /// The role has ended before that: the old history counts again, and the tree is built from it as at a start.
    AbandonSnapshot,
    /// Answer with [`Input::Done`] when everything above, appends included, is durable.
    Barrier {
        /// Its number; they grow.
        step: u64,
    },
    /// A configuration was proposed: keep it, as Java does in `<configuration file>.dynamic.next`. If it is the one in
    /// force, what was kept is of no use any more.
    SeenConfig {
        /// It.
        config: Box<Config>,
    },
    /// A configuration is in force: write it, show it, and connect by it.
    ActivateConfig {
        /// It.
        config: Box<Config>,
    },
    /// The transaction is committed: apply it. In zxid order, each once.
    Commit {
        /// Its zxid.
        zxid: Zxid,
        /// Its bytes.
        payload: Bytes,
    },
    /// Everything from this zxid on was taken back: it is not in the log and never will be.
    Withdrawn {
        /// The first zxid, which will be given out again.
        zxid: Zxid,
    },
    /// Send an election message.
    Notify {
        /// To this member (never to ourselves).
        to: Sid,
        /// Its bytes, without the length.
        message: Bytes,
    },
    /// Connect to the leader's quorum port, or to an observer master's; answered by [`Input::LinkUp`] or
    /// [`Input::LinkDown`].
    Dial {
        /// The new link's number.
        link: LinkId,
        /// Whom.
        leader: Sid,
        /// Where.
        door: Door,
    },
    /// Accept learners on a port of ours, or stop.
    Listen {
        /// Whether.
        on: bool,
        /// Where.
        door: Door,
    },
    /// Send a packet.
    Send {
        /// On this link.
        link: LinkId,
        /// The packet.
        packet: Packet,
    },
    /// Close a link; nothing of it comes in after this.
    Close {
        /// The link.
        link: LinkId,
    },
    /// Bring a learner to the end of our committed history from the files. Everything sent to the link afterwards
    /// comes behind it on the wire.
    Synchronise {
        /// The learner's link.
        link: LinkId,
        /// From where to where.
        job: SyncJob,
    },
    /// The role has ended: no request can be carried out until [`Output::Lead`] or [`Output::Serve`].
    Look {
        /// Why.
        reason: &'static str,
    },
    /// Established as leader: everything before is committed and has been put out.
    Lead {
        /// The epoch.
        epoch: i64,
    },
    /// A learner is up to date: likewise.
    Serve,
    /// Leading: a learner's client wants something.
    Request {
        /// The learner's link.
        link: LinkId,
        /// The client's session.
        session: SessionId,
        /// Its number of the request.
        cxid: i32,
        /// The operation; for [`OpCode::SYNC`] answer with [`Input::Sync`].
        op: OpCode,
        /// The request's record.
        body: Bytes,
        /// The client's identities.
        auth: Vec<AuthId>,
    },
    /// Leading, or feeding observers: these sessions were heard of by a learner; timeouts in milliseconds.
    Touched {
        /// The sessions.
        sessions: Vec<(SessionId, i32)>,
    },
    /// Leading: a learner asks whether a session lives; answer with [`Peer::answer_revalidate`].
    Revalidate {
        /// The learner's link.
        link: LinkId,
        /// The session.
        session: SessionId,
        /// The timeout of its connection, milliseconds.
        timeout_ms: i32,
    },
    /// Feeding observers: this session has moved to one of them. A connection of ours that had it is to be closed.
    Moved {
        /// The session.
        session: SessionId,
    },
    /// Learner: answer with [`Peer::answer_ping`] and the sessions that were heard of.
    Ping {
        /// To be given back.
        zxid: Zxid,
    },
    /// Learner: the answer to [`Peer::revalidate`].
    Revalidated {
        /// The session.
        session: SessionId,
        /// Whether it lives.
        is_valid: bool,
    },
    /// Learner: the oldest of our syncs is answered, behind everything that came before this.
    Synced,
    /// Leading: the answer to [`SyncOrigin::Local`].
    SyncDone {
        /// Its ticket.
        ticket: u64,
    },
}

enum State {
    /// The last role has ended; the election begins when everything it left behind is durable, so that a vote is what
    /// the disk holds and no report about an earlier role comes in during the next (trap 22).
    Ending {
        step: u64,
    },
    /// An observer, which lets those that vote find each other first.
    Resting {
        until_ms: u64,
    },
    Looking,
    Leading(Leading),
    Following(Following),
}

/// See the module.
pub struct Peer {
    shared: Shared,
    /// None for a standalone server.
    election: Option<Election>,
    state: State,
    /// The epoch that answers to servers that are looking speak of already.
    announced: Option<i64>,
    /// Since when we have looked for a leader, while we do, milliseconds.
    looking_since_ms: Option<u64>,
    /// Whom an observer asks to feed it.
    masters: Masters,
}

impl Peer {
    /// The established leader of an ensemble of one: no election, no epoch files, no timers. It keeps the epoch of its
    /// last zxid and rolls over into the next one.
    pub fn standalone(me: Sid, last_zxid: Zxid) -> Self {
        let options = PeerOptions { cache_entries: 0, ..PeerOptions::new(me) };
        let config = Config::majority([(me, Member::participant("localhost", 0, 0))].into());
        let shared = Shared::new(options, config, History::new(last_zxid, 0, 0), 0, 0, false).without_epochs();
        Self {
            state: State::Leading(Leading::standalone(&shared)),
            shared,
            election: None,
            announced: None,
            looking_since_ms: None,
            masters: Masters::default(),
        }
    }

    /// A member of an ensemble, which begins with an election.
    pub fn member(options: PeerOptions, config: Config, durable: Durable, now_ms: u64) -> Self {
        let times = ElectionOptions {
            finalize_wait_ms: options.finalize_wait_ms,
            min_notification_ms: options.min_notification_ms,
            max_notification_ms: options.max_notification_ms,
        };
        let (me, last_seen) = (options.me, options.last_seen.clone());
        let history = History::new(durable.last_zxid, options.cache_entries, options.cache_bytes);
        let mut shared = Shared::new(options, config, history, durable.accepted, durable.current, durable.in_doubt);
        if let Some(last_seen) = last_seen {
            shared.see(*last_seen);
            shared.outputs.clear();
        }
        let mut election = Election::new(me, shared.is_observer(), times, &shared.config);
        election.set_config(&shared.config, Some(shared.last_seen()));
        let mut peer = Self {
            shared,
            election: Some(election),
            state: State::Looking,
            announced: None,
            looking_since_ms: None,
            masters: Masters::default(),
        };
        peer.look(now_ms);
        peer.follow_election(now_ms);
        peer
    }

    /// Takes in one thing that happened.
    ///
    /// # Panics
    /// When a proposal does not carry [`Peer::next_zxid`], or its leader is not established. One that comes after the role
    /// has ended is lost.
    pub fn handle(&mut self, now_ms: u64, input: Input) {
        if let Input::Notification { from, message } = &input {
            if let Some(election) = &mut self.election
                && let Err(error) = election.receive(now_ms, *from, message)
            {
                warn!("A message from server {from} is not a notification: {error}");
            }
            return self.follow_election(now_ms);
        }
        if let Input::Oracle { says } = input {
            self.shared.oracle = says;
            if let Some(election) = &mut self.election {
                election.set_oracle(says);
            }
            return self.follow_election(now_ms);
        }
        if let Input::ElectionLink { peer, is_up } = input {
            if let Some(election) = &mut self.election {
                election.set_gone(peer, !is_up);
            }
            return self.follow_election(now_ms);
        }
        let result = match &mut self.state {
            State::Leading(leading) => leading.handle(now_ms, &mut self.shared, input),
            State::Following(following) => following.handle(now_ms, &mut self.shared, input),
            State::Ending { .. } | State::Resting { .. } | State::Looking => {
                self.handle_alone(now_ms, input);
                Ok(())
            }
        };
        if let Err(reason) = result {
            self.leave(now_ms, reason);
        }
        self.tell_election();
        self.follow_state();
        self.follow_election(now_ms);
    }

    /// The next thing to do.
    pub fn poll(&mut self) -> Option<Output> {
        self.shared.outputs.pop_front()
    }

    /// When [`Input::Tick`] is due, milliseconds on the clock of [`Peer::handle`].
    pub fn next_timer_ms(&self) -> Option<u64> {
        match &self.state {
            State::Ending { .. } => None,
            State::Resting { until_ms } => Some(*until_ms),
            State::Looking => self.election.as_ref().and_then(Election::next_timer_ms),
            State::Leading(leading) => Some(leading.next_timer_ms(&self.shared)).filter(|at| *at != u64::MAX),
            State::Following(following) => Some(following.next_timer_ms(&self.shared)),
        }
    }

    /// Sends a learner's request to the leader; lost, with its connection, if there is none.
    pub fn request(&mut self, session: SessionId, cxid: i32, op: OpCode, body: Bytes, auth: Option<Vec<AuthId>>) {
        let data = RequestData { session, cxid, op, body }.encode();
        if let State::Following(following) = &mut self.state
            && op == OpCode::SYNC
        {
            following.own_sync();
        }
        self.send_to_leader(Packet { kind: PacketKind::REQUEST, zxid: Zxid(-1), data: Some(data), auth });
    }

    /// Asks the leader whether a session lives; answered by [`Output::Revalidated`].
    pub fn revalidate(&mut self, session: SessionId, timeout_ms: i32) {
        if let State::Following(following) = &mut self.state {
            following.own_revalidation(session, timeout_ms);
        }
        let data = packet::encode_revalidate(session, timeout_ms);
        self.send_to_leader(Packet::with_data(PacketKind::REVALIDATE, Zxid(-1), data));
    }

    /// See [`Output::Ping`].
    pub fn answer_ping(&mut self, zxid: Zxid, touched: &[(SessionId, i32)]) {
        self.send_to_leader(Packet::with_data(PacketKind::PING, zxid, packet::encode_touched(touched)));
    }

    fn send_to_leader(&mut self, packet: Packet) {
        if let State::Following(following) = &self.state
            && following.is_serving()
            && let Some(link) = following.link()
        {
            self.shared.send(link, packet);
        }
    }

    /// See [`Output::Revalidate`].
    pub fn answer_revalidate(&mut self, link: LinkId, session: SessionId, is_valid: bool) {
        if let State::Leading(leading) = &self.state
            && leading.links().any(|learner| learner == link)
        {
            let data = packet::encode_revalidated(session, is_valid);
            self.shared.send(link, Packet::with_data(PacketKind::REVALIDATE, Zxid(-1), data));
        }
    }

    /// What the server is.
    pub fn role(&self) -> Role {
        match &self.state {
            State::Ending { .. } | State::Resting { .. } | State::Looking => Role::Looking,
            State::Leading(_) => Role::Leading,
            State::Following(following) if following.is_observer() => Role::Observing,
            State::Following(_) => Role::Following,
        }
    }

    /// Whether a leader is being looked for: what came before is over, and nothing has begun.
    pub fn is_looking(&self) -> bool {
        matches!(self.state, State::Looking)
    }

    /// Whether clients can be served: an established leader, or a learner that is up to date.
    pub fn is_serving(&self) -> bool {
        match &self.state {
            State::Ending { .. } | State::Resting { .. } | State::Looking => false,
            State::Leading(leading) => leading.is_established(),
            State::Following(following) => following.is_serving(),
        }
    }

    /// The leader, ourselves included, while there is one.
    pub fn leader(&self) -> Option<Sid> {
        match &self.state {
            State::Ending { .. } | State::Resting { .. } | State::Looking => None,
            State::Leading(_) => Some(self.shared.me()),
            State::Following(following) => Some(following.leader()),
        }
    }

    /// The epoch of our history (`currentEpoch`; a standalone server's is that of its last zxid).
    pub fn epoch(&self) -> i64 {
        match &self.state {
            State::Leading(leading) if self.election.is_none() => leading.last_proposed().0 >> 32,
            _ => self.shared.current,
        }
    }

    /// The zxid of the next proposal.
    pub fn next_zxid(&self) -> Zxid {
        match &self.state {
            State::Leading(leading) => leading.next_zxid(),
            _ => self.shared.history.last_logged().next(),
        }
    }

    /// The last zxid that was proposed, or logged by a learner; (epoch,0) before the first proposal of a leader.
    pub fn last_proposed(&self) -> Zxid {
        match &self.state {
            State::Leading(leading) => leading.last_proposed(),
            _ => self.shared.history.last_logged(),
        }
    }

    /// The last zxid of the log, durable or on its way.
    pub fn last_logged(&self) -> Zxid {
        self.shared.history.last_logged()
    }

    /// The last zxid that was put out as committed.
    pub fn last_committed(&self) -> Zxid {
        self.shared.history.last_committed()
    }

    /// How many proposals are logged and not committed.
    pub fn outstanding(&self) -> usize {
        self.shared.history.outstanding()
    }

    /// The configuration in force.
    pub fn config(&self) -> &Config {
        &self.shared.config
    }

    /// The last configuration that was proposed: while it is not the one in force, no other may be.
    pub fn last_seen_config(&self) -> &Config {
        self.shared.last_seen()
    }

    /// What a change makes of the ensemble, under the zxid that will be its version. The checks are Java's, in its order.
    ///
    /// # Errors
    /// Why it may not be proposed now.
    pub fn plan(&self, change: &Change<'_>, zxid: Zxid) -> Result<Config, Refusal> {
        let last_seen = self.shared.last_seen();
        if self.election.is_none() {
            return Err(Refusal::Standalone);
        }
        if last_seen.version != self.shared.config.version {
            return Err(Refusal::InProgress);
        }
        let options = &self.shared.options;
        let rules = Rules { standalone_enabled: options.standalone_enabled, multi_address_enabled: options.multi_address_enabled };
        let config = Config { version: zxid.0.cast_unsigned(), ..reconfig::changed(last_seen, change, rules)? };
        if self.is_led(&config) { Ok(config) } else { Err(Refusal::NoQuorum) }
    }

    /// Whether a quorum of this configuration follows us and has been heard of: what a new one has to be before it may
    /// be proposed.
    pub fn is_led(&self, config: &Config) -> bool {
        match &self.state {
            State::Leading(leading) => leading.is_established() && leading.is_led(&self.shared, &config.quorum()),
            _ => false,
        }
    }

    /// Our own number.
    pub fn me(&self) -> Sid {
        self.shared.me()
    }

    /// Whether the history may lack something (design rule 6).
    pub fn is_in_doubt(&self) -> bool {
        self.shared.in_doubt
    }

    /// The learners that have said who they are, while leading or feeding observers: for `mntr` and the admin pages.
    pub fn learners(&self) -> Vec<LearnerView> {
        match &self.state {
            State::Leading(leading) => leading.views().collect(),
            State::Following(following) => following.feeding().into_iter().flat_map(Feeding::views).collect(),
            _ => Vec::new(),
        }
    }

    /// Whether observers are fed here.
    pub fn is_observer_master(&self) -> bool {
        matches!(&self.state, State::Following(following) if following.feeding().is_some())
    }

    /// What has been done, ever.
    pub fn counts(&self) -> PeerCounts {
        self.shared.counts
    }

    /// What an established leader tells of itself.
    pub fn leading(&self) -> Option<LeaderView> {
        match &self.state {
            State::Leading(leading) if leading.is_established() => Some(leading.view()),
            _ => None,
        }
    }

    /// Forgets the sizes in [`LeaderView`], as `srst` does.
    pub fn forget_proposal_sizes(&mut self) {
        if let State::Leading(leading) = &mut self.state {
            leading.forget_proposal_sizes();
        }
    }

    /// While there is no role.
    fn handle_alone(&mut self, now_ms: u64, input: Input) {
        match input {
            Input::Done { step } => {
                self.shared.done(step);
                if matches!(self.state, State::Ending { step: awaited } if awaited <= step) {
                    match self.rest_ms() {
                        0 => self.look(now_ms),
                        rest_ms => self.state = State::Resting { until_ms: now_ms + rest_ms },
                    }
                }
            }
            Input::LogSynced { through } => self.shared.history.synced(through),
            Input::CutRefused => self.shared.cut_refused(),
            Input::LogRefused { from } => {
                self.shared.history.withdraw(from, &mut self.shared.outputs);
            }
            // Nobody is to be led.
            Input::LinkUp { link } => self.shared.outputs.push_back(Output::Close { link }),
            // The role has ended with the proposal before, and whoever makes them hears of it after this one. Its place is
            // forgotten with the others.
            Input::Propose { .. } => {}
            Input::Tick if matches!(self.state, State::Resting { until_ms } if now_ms >= until_ms) => self.look(now_ms),
            Input::Tick => {
                if let (State::Looking, Some(election)) = (&self.state, &mut self.election) {
                    election.tick(now_ms);
                }
            }
            _ => {}
        }
    }

    /// By chance, so that a thousand observers do not come at once.
    fn rest_ms(&mut self) -> u64 {
        if !self.shared.is_observer() {
            return 0;
        }
        let before_election_ms = self.shared.below(self.shared.options.observer_delay_ms);
        // As Java: only when every master has been tried.
        let is_next_master = self.shared.options.observer_masters && !self.masters.is_exhausted();
        let reconnect_ms = if is_next_master { 0 } else { self.shared.options.reconnect_delay_ms };
        before_election_ms + self.shared.below(reconnect_ms)
    }

    fn look(&mut self, now_ms: u64) {
        let Some(election) = &mut self.election else { return };
        self.shared.history.all_synced();
        self.state = State::Looking;
        self.shared.counts.lookings += 1;
        self.looking_since_ms.get_or_insert(now_ms);
        let candidate = Candidate { zxid: self.shared.history.last_logged().0, epoch: self.shared.current, in_doubt: self.shared.in_doubt };
        election.start(now_ms, candidate);
    }

    fn leave(&mut self, _now_ms: u64, reason: Reason) {
        info!("Back to the election: {reason}");
        let links: Vec<LinkId> = match &self.state {
            State::Leading(leading) => leading.links().collect(),
            State::Following(following) => {
                let observers = following.feeding().into_iter().flat_map(Feeding::links);
                following.link().into_iter().chain(observers).collect()
            }
            State::Ending { .. } | State::Resting { .. } | State::Looking => Vec::new(),
        };
        self.shared.outputs.extend(links.into_iter().map(|link| Output::Close { link }));
        match &self.state {
            State::Leading(_) => self.shared.outputs.push_back(Output::Listen { on: false, door: Door::Quorum }),
            State::Following(following) if following.feeding().is_some() => {
                self.shared.outputs.push_back(Output::Listen { on: false, door: Door::Observers });
            }
            _ => {}
        }
        if let Some(election) = &mut self.election {
            election.stop();
        }
        self.shared.abandon_snapshot();
        self.shared.outputs.push_back(Output::Look { reason });
        self.state = State::Ending { step: self.shared.barrier() };
    }

    fn elected(&mut self, now_ms: u64, leader: Sid) {
        // One that a new configuration has begun again meanwhile is not decided.
        let is_decided = self.election.as_ref().is_some_and(|e| e.state() != PeerState::Looking && e.vote().leader == leader);
        if !is_decided || !matches!(self.state, State::Looking) {
            return;
        }
        self.count_election(now_ms);
        self.state = if leader == self.shared.me() {
            State::Leading(Leading::begin(now_ms, &mut self.shared))
        } else {
            let is_observer = self.shared.is_observer();
            let (master, door) = match is_observer && self.shared.options.observer_masters {
                true => self.masters.next(&mut self.shared, leader),
                false => (leader, Door::Quorum),
            };
            State::Following(Following::begin(now_ms, &mut self.shared, master, door, is_observer))
        };
    }

    fn tell_election(&mut self) {
        if let Some(election) = &mut self.election
            && std::mem::take(&mut self.shared.config_is_news)
        {
            election.set_config(&self.shared.config, Some(self.shared.last_seen()));
            election.set_observer(self.shared.is_observer());
        }
    }

    /// Once the epoch is that of our history, it goes into the answers to servers that are looking.
    fn follow_state(&mut self) {
        let Some(election) = &mut self.election else { return };
        let epoch = match &self.state {
            State::Leading(leading) if leading.is_established() => Some(leading.epoch()),
            State::Following(following) if following.is_serving() => following.settled_epoch(),
            _ => None,
        };
        if self.announced != epoch
            && let Some(epoch) = epoch
        {
            election.established(epoch);
            self.masters.found();
        }
        self.announced = epoch;
    }

    fn count_election(&mut self, now_ms: u64) {
        let since_ms = self.looking_since_ms.take().unwrap_or(now_ms);
        // As Java, which does not count what an observer waits for.
        if !self.shared.is_observer() {
            self.shared.counts.elections += 1;
            self.shared.counts.last_election_ms = now_ms.saturating_sub(since_ms);
        }
    }

    fn follow_election(&mut self, now_ms: u64) {
        while let Some(output) = self.election.as_mut().and_then(Election::poll) {
            match output {
                ElectionOutput::Send { to, message } => self.shared.outputs.push_back(Output::Notify { to, message }),
                ElectionOutput::Elected { leader, .. } => self.elected(now_ms, leader),
                ElectionOutput::VoterLooks { from } => {
                    let patience_ms = self.shared.options.epoch_patience_ms;
                    if let State::Leading(leading) = &self.state
                        && patience_ms.is_some_and(|patience_ms| leading.has_waited_longer(now_ms, patience_ms))
                    {
                        info!("Server {from} has elected us and looks for a leader again");
                        self.shared.counts.disloyal_voters += 1;
                        self.leave(now_ms, "a voter that elected us looks for a leader again");
                    }
                }
                ElectionOutput::NewerConfig { config, .. } => {
                    if matches!(self.state, State::Looking | State::Resting { .. } | State::Ending { .. }) {
                        let is_other = self.shared.activate(config);
                        self.tell_election();
                        if is_other && matches!(self.state, State::Looking) {
                            self.look(now_ms);
                        }
                    }
                }
            }
        }
    }
}

/// What a member of an ensemble has done, ever: for the metrics. A standalone server counts nothing here, as in Java.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PeerCounts {
    /// Proposals made as leader.
    pub proposals: u64,
    /// Commits made as leader.
    pub commits: u64,
    /// PROPOSALs that came in as an up-to-date follower.
    pub proposals_received: u64,
    /// COMMITs and INFORMs that came in as an up-to-date learner.
    pub commits_received: u64,
    /// Sessions that learners asked us for.
    pub revalidations: u64,
    /// Learners that were brought to our history from memory alone, without a snapshot.
    pub diffs: u64,
    /// Times that we began to look for a leader.
    pub lookings: u64,
    /// Times that we were elected, waited too long for a quorum and gave up because of a voter that looked for a leader again.
    pub disloyal_voters: u64,
    /// Elections that ended with a leader, but for those that an observer waited for.
    pub elections: u64,
    /// How long the last of them took, milliseconds.
    pub last_election_ms: u64,
    /// Times that we were brought up to date by a leader as a follower, and as an observer.
    pub follower_syncs: u64,
    /// See `follower_syncs`.
    pub observer_syncs: u64,
    /// How long the last of them took, from the first attempt to connect, milliseconds.
    pub last_sync_ms: u64,
}

/// What an established leader tells of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaderView {
    /// Since when it leads, milliseconds on the clock of [`Peer::handle`].
    pub since_ms: u64,
    /// Syncs that wait for a commit or for the word of a quorum.
    pub pending_syncs: usize,
    /// Bytes of the last, the smallest and the largest proposal; `None` before the first.
    pub proposal_sizes: Option<[usize; 3]>,
}

/// One learner of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LearnerView {
    /// Its link.
    pub link: LinkId,
    /// Its number.
    pub sid: Sid,
    /// Whether it is an observer.
    pub is_observer: bool,
    /// Whether it has acknowledged NEWLEADER and has been heard of within the limit.
    pub is_synced: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Member;

    /// Several sessions expire at one time, and the epoch's counter is at its end with the first of them.
    #[test]
    fn proposals_behind_the_one_that_ends_a_role_are_lost_with_it() {
        let mut options = PeerOptions::new(Sid(1));
        options.last_counter = 2;
        let config = Config::majority([(Sid(1), Member::participant("localhost", 2888, 3888))].into());
        let durable = Durable { last_zxid: Zxid::ZERO, accepted: 0, current: 0, in_doubt: false };
        let mut peer = Peer::member(options, config, durable, 0);
        let (mut now_ms, mut led) = (0, 0);
        let mut appended = Vec::new();
        for _ in 0..100 {
            let outputs: Vec<Output> = std::iter::from_fn(|| peer.poll()).collect();
            for output in outputs {
                match output {
                    Output::Barrier { step } => peer.handle(now_ms, Input::Done { step }),
                    Output::Append { zxid, .. } => {
                        appended.push(zxid);
                        peer.handle(now_ms, Input::LogSynced { through: zxid });
                    }
                    Output::Lead { .. } => {
                        led += 1;
                        for _ in 0..3 {
                            let zxid = peer.next_zxid();
                            peer.handle(now_ms, Input::Propose { zxid, payload: Bytes::from_static(b"payload") });
                        }
                    }
                    _ => {}
                }
            }
            now_ms = peer.next_timer_ms().unwrap_or(now_ms);
            peer.handle(now_ms, Input::Tick);
        }
        assert!(led > 2, "it leads again: {led}");
        let expected: Vec<Zxid> = (1..=led).map(|epoch| Zxid::new(epoch, 1)).collect();
        assert_eq!(appended, expected);
    }
}
