//! One server among its peers: the doors of this room.
//!
//! [`Peer`] is everything about peers and zxids of one server: election, discovery, synchronisation, broadcast, with
//! payloads that are opaque bytes. Bring it inputs with [`Peer::handle`] and carry out what [`Peer::poll`] gives, in
//! order, before the next input. It has no clock, file or socket; what must be durable first comes back as an input.

use crate::config::Config;
use crate::packet::{AuthId, Packet};
use crate::quorum::Sid;
use crate::sync::SyncJob;
use bytes::Bytes;
use oxkeeper_proto::{OpCode, SessionId, Zxid};
use std::collections::VecDeque;

/// One connection on the quorum port, numbered by whoever owns the sockets, except that [`Output::Dial`] names its own
/// (top bit set). A number is never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u64);

impl LinkId {
    /// Marks the numbers that the peer gives out itself.
    pub const DIALLED: u64 = 1 << 63;
}

/// What the peer has to know from the configuration.
#[derive(Clone, Debug)]
pub struct PeerOptions {
    /// Our number.
    pub me: Sid,
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
    /// For the delays of the election.
    pub seed: u64,
    /// `zookeeper.fastleader.minNotificationInterval`, milliseconds.
    pub min_notification_ms: u64,
    /// `zookeeper.fastleader.maxNotificationInterval`, milliseconds.
    pub max_notification_ms: u64,
    /// How long a winning vote must stand unchallenged, milliseconds (200 in Java).
    pub finalize_wait_ms: u64,
    /// `reconfigEnabled`.
    pub reconfig_enabled: bool,
}

impl PeerOptions {
    /// ZooKeeper's defaults for the member with this number.
    pub fn new(me: Sid) -> Self {
        Self {
            me,
            tick_ms: 2000,
            init_limit: 10,
            sync_limit: 5,
            connect_limit: 0,
            cache_entries: 500,
            cache_bytes: 16 << 20,
            seed: 1,
            min_notification_ms: 200,
            max_notification_ms: 60_000,
            finalize_wait_ms: 200,
            reconfig_enabled: false,
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
    /// While leading and established: answer when everything that was proposed so far is committed and a quorum has
    /// confirmed us since.
    Sync {
        /// Who asks.
        origin: SyncOrigin,
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
    /// Make `currentEpoch.tmp` durable: history of this epoch is going to be written.
    AnnounceEpoch {
        /// The epoch.
        epoch: i64,
    },
    /// Rename it to `currentEpoch`, once everything before is durable.
    CommitEpoch {
        /// The epoch.
        epoch: i64,
    },
    /// Cut the log behind this zxid. If the log does not reach down to it, there is no way on but to restart with an
    /// empty directory or in doubt.
    Truncate {
        /// The last zxid that stays.
        zxid: Zxid,
    },
    /// The body that was received becomes the only history.
    InstallSnapshot {
        /// The zxid of the SNAP packet.
        zxid: Zxid,
    },
    /// Answer with [`Input::Done`] when everything above, appends included, is durable.
    Barrier {
        /// Its number; they grow.
        step: u64,
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
    /// Connect to the leader's quorum port; answered by [`Input::LinkUp`] or [`Input::LinkDown`].
    Dial {
        /// The new link's number.
        link: LinkId,
        /// Whom.
        leader: Sid,
    },
    /// Accept learners on our quorum port, or stop.
    Listen {
        /// Whether.
        on: bool,
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
    /// Leading: these sessions were heard of by a learner; timeouts in milliseconds.
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

/// See the module.
pub struct Peer {
    outputs: VecDeque<Output>,
}

impl Peer {
    /// The established leader of an ensemble of one: no election, no epoch files, no timers. It keeps the epoch of its
    /// last zxid and rolls over into the next one.
    pub fn standalone(_me: Sid, _last_zxid: Zxid) -> Self {
        Self { outputs: VecDeque::new() }
    }

    /// A member of an ensemble, which begins with an election.
    pub fn member(_options: PeerOptions, _config: Config, _durable: Durable, _now_ms: u64) -> Self {
        Self { outputs: VecDeque::new() }
    }

    /// Takes in one thing that happened.
    pub fn handle(&mut self, _now_ms: u64, _input: Input) {}

    /// The next thing to do.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Input::Tick`] is due, milliseconds on the clock of [`Peer::handle`].
    pub fn next_timer_ms(&self) -> Option<u64> {
        None
    }

    /// Sends a learner's request to the leader; lost, with its connection, if there is none.
    pub fn request(&mut self, _session: SessionId, _cxid: i32, _op: OpCode, _body: &[u8], _auth: Option<Vec<AuthId>>) {}

    /// Asks the leader whether a session lives.
    pub fn revalidate(&mut self, _session: SessionId, _timeout_ms: i32) {}

    /// See [`Output::Revalidate`].
    pub fn answer_revalidate(&mut self, _link: LinkId, _session: SessionId, _is_valid: bool) {}

    /// See [`Output::Ping`].
    pub fn answer_ping(&mut self, _zxid: Zxid, _touched: &[(SessionId, i32)]) {}

    /// What the server is.
    pub fn role(&self) -> Role {
        Role::Looking
    }

    /// Whether clients can be served: an established leader, or a learner that is up to date.
    pub fn is_serving(&self) -> bool {
        false
    }

    /// The leader, ourselves included, while there is one.
    pub fn leader(&self) -> Option<Sid> {
        None
    }

    /// The current epoch.
    pub fn epoch(&self) -> i64 {
        0
    }

    /// The zxid of the next proposal.
    pub fn next_zxid(&self) -> Zxid {
        Zxid::ZERO
    }

    /// The last zxid that was proposed, or logged.
    pub fn last_proposed(&self) -> Zxid {
        Zxid::ZERO
    }

    /// The last zxid of the log, durable or on its way.
    pub fn last_logged(&self) -> Zxid {
        Zxid::ZERO
    }

    /// The last zxid that was put out as committed.
    pub fn last_committed(&self) -> Zxid {
        Zxid::ZERO
    }

    /// How many proposals wait for their quorum.
    pub fn outstanding(&self) -> usize {
        0
    }

    /// The learners' links, while leading, for `mntr` and the admin pages.
    pub fn learners(&self) -> Vec<LearnerView> {
        Vec::new()
    }
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
