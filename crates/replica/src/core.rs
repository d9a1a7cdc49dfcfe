//! The core: writes, sessions and the order of everything, as one deterministic machine.
//!
//! Bring it inputs with [`Core::handle`] and carry out what [`Core::poll`] gives, in order, before
//! the next input. It knows neither sockets nor files: what it wants in the log is
//! [`Output::Append`], and only [`Input::LogSynced`] makes a commit of it.

use crate::apply::{Commit, Origin, Outcome};
use crate::inbox::Item;
use crate::overlay::Overlay;
use crate::prepare::{Preparation, PrepareOptions, ephemeral_cost};
use crate::request::{BadMulti, ConnId, MultiRequest, Now, Write, WriteRequest, read_multi};
use crate::sessions::{Session, SessionTracker};
use bytes::{Bytes, BytesMut};
use log::{info, warn};
use oxkeeper_auth::{Identity, Schemes};
use oxkeeper_proto::collections::HashMap;
use oxkeeper_proto::records::{CreateSessionTxn, ErrorTxn, TxnHeader};
use oxkeeper_proto::txn::{self, Txn};
use oxkeeper_proto::{ErrorCode, OpCode, Reader, SessionId, Zxid};
use oxkeeper_tree::Tree;
use oxkeeper_zab::{Broadcast, Quorum, Sid};
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
}

struct InFlight {
    /// `None`: an answer that only keeps its place.
    zxid: Option<Zxid>,
    payload: Bytes,
    error: ErrorCode,
    origin: Option<Origin>,
    /// The session that this transaction opens or ends.
    opens: Option<SessionId>,
    closes: Option<SessionId>,
}

/// See the module.
pub struct Core {
    options: CoreOptions,
    schemes: Arc<Schemes>,
    zab: Broadcast,
    overlay: Overlay,
    sessions: SessionTracker,
    next_session: SessionId,
    /// Everything that waits for a commit, in order. Bounded by the credits of the connections.
    in_flight: VecDeque<InFlight>,
    /// How many bytes of ephemeral paths each session may still add.
    ephemeral_budgets: HashMap<SessionId, usize>,
    outputs: VecDeque<Output>,
    encoder: Encoder,
    no_space: bool,
    counts: CoreCounts,
}

impl Core {
    /// A standalone server's core over a recovered tree: every session of the tree begins anew with
    /// its whole timeout.
    pub fn standalone(options: CoreOptions, schemes: Arc<Schemes>, tree: &Tree, now: Now) -> Self {
        let mut sessions = SessionTracker::new(options.tick_ms);
        for (session, timeout_ms) in tree.sessions() {
            sessions.open(now.mono_ms, session, timeout_ms, None);
        }
        let sid = Sid(i64::from(options.sid));
        let mut core = Self {
            zab: Broadcast::new(sid, Quorum::alone(sid), tree.last_zxid()),
            overlay: Overlay::new(tree.digest()),
            sessions,
            next_session: SessionId::first(options.sid, now.wall_ms as u64),
            in_flight: VecDeque::new(),
            ephemeral_budgets: HashMap::default(),
            outputs: VecDeque::new(),
            encoder: Encoder::default(),
            no_space: false,
            counts: CoreCounts::default(),
            options,
            schemes,
        };
        core.count_ephemerals(tree);
        core
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

    /// What has been done so far.
    pub fn counts(&self) -> CoreCounts {
        CoreCounts { changes_queued: self.overlay.queued, changes_removed: self.overlay.removed, ..self.counts }
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
        match input {
            Input::OpenSession { connection, timeout_ms } => self.open_session(now, connection, timeout_ms),
            Input::ReopenSession { connection, session, timeout_ms } => self.reopen_session(now, connection, session, timeout_ms),
            Input::Write(write) => self.write(now, tree, write),
            Input::Touch { session, timeout_ms } => {
                self.sessions.touch(now.mono_ms, session, timeout_ms);
            }
            Input::Detach { connection, session } => {
                if self.sessions.get(session).is_some_and(|s| s.connection == Some(connection)) {
                    self.sessions.attach(session, None);
                }
            }
            Input::LogSynced { through } => self.zab.handle(oxkeeper_zab::Input::LogSynced { through }),
            Input::LogRefused { from } => self.refuse(now, tree, from),
            Input::SpaceIsBack => {
                if self.no_space {
                    info!("There is room for the transaction log again: writes are accepted");
                }
                self.no_space = false;
            }
            Input::Applied { through } => self.overlay.applied(through),
            Input::Tick => self.expire(now, tree),
            Input::Reap { path } => self.reap(now, tree, &path),
        }
        self.follow_zab();
    }

    fn follow_zab(&mut self) {
        while let Some(output) = self.zab.poll() {
            match output {
                oxkeeper_zab::Output::Append { zxid, payload } => self.outputs.push_back(Output::Append { zxid, payload }),
                oxkeeper_zab::Output::Commit { zxid } => self.commit(zxid),
                oxkeeper_zab::Output::Withdrawn { .. } => {}
            }
        }
        // Answers without a transaction go out once everything before them has.
        while self.in_flight.front().is_some_and(|first| first.zxid.is_none()) {
            let answer = self.in_flight.pop_front().expect("there is a first");
            self.apply(answer, Outcome::Answer);
        }
    }

    fn commit(&mut self, zxid: Zxid) {
        while let Some(mut first) = self.in_flight.pop_front() {
            let done = first.zxid == Some(zxid);
            let payload = std::mem::take(&mut first.payload);
            self.apply(first, |error| match done {
                true => Outcome::Txn { zxid, payload },
                false => Outcome::Answer(error),
            });
            if done {
                return;
            }
        }
        unreachable!("{zxid} was committed and never proposed");
    }

    fn apply(&mut self, place: InFlight, outcome: impl FnOnce(ErrorCode) -> Outcome) {
        let mut close = None;
        if let Some(session) = place.closes {
            self.ephemeral_budgets.remove(&session);
            let connection = self.sessions.remove(session).and_then(|s: Session| s.connection);
            let asked = place.origin.as_ref().map(|o| o.connection);
            // A client that asked for the end gets its reply first and is closed after it.
            close = asked.or(connection);
        }
        self.outputs.push_back(Output::Apply(Commit { outcome: outcome(place.error), origin: place.origin, close }));
    }

    fn open_session(&mut self, now: Now, connection: ConnId, timeout_ms: i32) {
        if self.no_space {
            self.outputs.push_back(Output::Front { front: connection.front, item: Item::Close { connection } });
            return;
        }
        let session = self.draw_session();
        self.sessions.open(now.mono_ms, session, timeout_ms, Some(connection));
        let zxid = self.begin();
        let header = TxnHeader { client_id: session.0, cxid: 0, zxid: zxid.0, time: now.wall_ms, kind: OpCode::CREATE_SESSION.0 };
        let payload = self.encode(&header, &Txn::CreateSession(CreateSessionTxn { time_out: timeout_ms }));
        let origin = Origin { connection, session, xid: 0, op: OpCode::CREATE_SESSION, before: Vec::new(), received_ms: now.mono_ms };
        self.propose(zxid, payload, Some(origin), Some(session), None);
    }

    /// Ids begin with the time of the start, so they are not those of an earlier run; but clocks
    /// are set, and a living session's id must not be given to another.
    fn draw_session(&mut self) -> SessionId {
        while self.next_session == SessionId::NONE || self.sessions.get(self.next_session).is_some() {
            self.next_session = self.next_session.next();
        }
        let session = self.next_session;
        self.next_session = session.next();
        session
    }

    fn reopen_session(&mut self, now: Now, connection: ConnId, session: SessionId, timeout_ms: i32) {
        let lives = self.sessions.renew(now.mono_ms, session, timeout_ms);
        if lives && let Some(old) = self.sessions.attach(session, Some(connection)).filter(|old| *old != connection) {
            self.outputs.push_back(Output::Front { front: old.front, item: Item::Close { connection: old } });
        }
        let (session, timeout_ms) = if lives { (session, timeout_ms) } else { (SessionId::NONE, 0) };
        self.outputs.push_back(Output::Front {
            front: connection.front,
            item: Item::Session { connection, session, timeout_ms, created_ms: None },
        });
    }

    fn write(&mut self, now: Now, tree: &Tree, write: Write) {
        let Write { connection, session, xid, op, body, identities, before, received_ms } = write;
        let origin = Origin { connection, session, xid, op, before, received_ms };
        match self.sessions.get(session) {
            Some(s) if s.connection != Some(connection) => {
                // The session has moved to another connection: this one is closed.
                self.answer(ErrorCode::SESSION_MOVED, origin);
                self.outputs.push_back(Output::Front { front: connection.front, item: Item::Close { connection } });
                return;
            }
            Some(s) if !s.closing => {}
            _ => return self.answer(ErrorCode::SESSION_EXPIRED, origin),
        }
        if self.no_space {
            let close = op == OpCode::CLOSE_SESSION;
            self.answer(ErrorCode::SYSTEM_ERROR, origin);
            if close {
                self.outputs.push_back(Output::Front { front: connection.front, item: Item::Close { connection } });
            }
            return;
        }
        if op == OpCode::CLOSE_SESSION {
            return self.close_session(now, tree, session, xid, Some(origin));
        }
        let mut r = Reader::with_max_length(&body, self.options.max_length);
        let request = if op == OpCode::MULTI {
            match read_multi(&mut r) {
                Ok(MultiRequest::Writes(writes)) => Ok(WriteRequest::Multi(writes)),
                // Not to be decoded, but in Java it has taken its zxid by then.
                Ok(MultiRequest::Reads(_)) | Err(BadMulti) => Err(true),
            }
        } else {
            WriteRequest::read(op, &mut r).map_err(|_| false)
        };
        if let Err(false) = request {
            warn!("Failed to process a request of session {session}: it cannot be decoded");
            return self.answer(ErrorCode::MARSHALLING_ERROR, origin);
        }
        let zxid = self.begin();
        let mut header = TxnHeader { client_id: session.0, cxid: xid, zxid: zxid.0, time: now.wall_ms, kind: op.0 };
        let whole_budget = self.whole_budget();
        let mut budget = self.ephemeral_budgets.get(&session).copied().unwrap_or(whole_budget);
        let budget_before = budget;
        let prepared = request.map_err(|_| ErrorCode::MARSHALLING_ERROR).and_then(|request| {
            let txn = self.preparation(now, tree, zxid, session, &identities, &mut budget).write(&request)?;
            let digest = self.options.digest_enabled.then(|| self.overlay.digest());
            // What cannot be read again must not be written (ZOOKEEPER-4306).
            self.encoder.encode(&header, &txn, digest, self.options.max_length as usize).ok_or(ErrorCode::BAD_ARGUMENTS)
        });
        let payload = match prepared {
            Ok(payload) => {
                if budget != budget_before {
                    self.ephemeral_budgets.insert(session, budget);
                }
                payload
            }
            Err(error) => {
                self.overlay.roll_back();
                header.kind = OpCode::ERROR.0;
                txn::encode(&header, &Txn::Error(ErrorTxn { err: error.0 }), None).into()
            }
        };
        self.propose(zxid, payload, Some(origin), None, None);
    }

    fn close_session(&mut self, now: Now, tree: &Tree, session: SessionId, cxid: i32, origin: Option<Origin>) {
        self.sessions.set_closing(session);
        self.counts.closes += 1;
        let zxid = self.begin();
        let any_pending = !self.in_flight.is_empty();
        let mut budget = 0;
        let txn = self.preparation(now, tree, zxid, session, &[], &mut budget).close_session(session, any_pending);
        let header = TxnHeader { client_id: session.0, cxid, zxid: zxid.0, time: now.wall_ms, kind: OpCode::CLOSE_SESSION.0 };
        let txn = if self.options.close_session_txn { txn } else { Txn::CloseSession(None) };
        let payload = self.encode(&header, &txn);
        self.propose(zxid, payload, origin, None, Some(session));
    }

    fn expire(&mut self, now: Now, tree: &Tree) {
        for (session, timeout_ms) in self.sessions.expired(now.mono_ms) {
            if self.no_space {
                self.sessions.reopen(now.mono_ms, session);
                continue;
            }
            self.counts.expired += 1;
            info!("Expiring session {session}, timeout of {timeout_ms}ms exceeded");
            self.close_session(now, tree, session, 0, None);
        }
    }

    fn reap(&mut self, now: Now, tree: &Tree, path: &str) {
        if self.no_space {
            return;
        }
        let zxid = self.begin();
        let mut budget = 0;
        let reaped = self.preparation(now, tree, zxid, SessionId::NONE, &[], &mut budget).reap(path);
        // One that has children again, or is gone, is left alone; no transaction is spent on it.
        if let Ok(txn) = reaped {
            info!("Attempting to delete candidate container: {path}");
            let header = TxnHeader { client_id: 0, cxid: 0, zxid: zxid.0, time: now.wall_ms, kind: OpCode::DELETE_CONTAINER.0 };
            let payload = self.encode(&header, &txn);
            self.propose(zxid, payload, None, None, None);
        }
    }

    /// Everything from this zxid on is taken back and answered with an error; the sessions that it
    /// would have opened are closed, those that it would have ended live on.
    fn refuse(&mut self, now: Now, tree: &Tree, from: Zxid) {
        if !self.no_space {
            warn!("No space left for the transaction log: writes are refused until there is room again");
        }
        self.no_space = true;
        self.zab.handle(oxkeeper_zab::Input::LogRefused { from });
        let first = self.in_flight.iter().position(|f| f.zxid.is_some_and(|z| z >= from)).unwrap_or(self.in_flight.len());
        for mut refused in self.in_flight.split_off(first) {
            if let Some(session) = refused.closes.take() {
                self.sessions.reopen(now.mono_ms, session);
            }
            if let Some(session) = refused.opens.take() {
                self.sessions.remove(session);
                if let Some(Origin { connection, .. }) = refused.origin {
                    self.outputs.push_back(Output::Front { front: connection.front, item: Item::Close { connection } });
                }
                continue;
            }
            if refused.zxid.take().is_some() {
                refused.error = ErrorCode::SYSTEM_ERROR;
            }
            self.in_flight.push_back(refused);
        }
        self.overlay.reset(tree.digest());
        self.count_ephemerals(tree);
    }

    fn preparation<'a>(
        &'a mut self,
        now: Now,
        tree: &'a Tree,
        zxid: Zxid,
        session: SessionId,
        identities: &'a [Identity],
        ephemeral_budget: &'a mut usize,
    ) -> Preparation<'a> {
        let (schemes, options) = (&*self.schemes, &self.options.prepare);
        let overlay = &mut self.overlay;
        Preparation { tree, overlay, schemes, options, zxid, time_ms: now.wall_ms, session, identities, ephemeral_budget }
    }

    fn begin(&mut self) -> Zxid {
        let zxid = self.zab.next_zxid();
        self.counts.prepared += 1;
        self.overlay.begin(zxid);
        zxid
    }

    fn encode(&self, header: &TxnHeader, txn: &Txn<'_>) -> Bytes {
        txn::encode(header, txn, self.options.digest_enabled.then(|| self.overlay.digest())).into()
    }

    fn propose(&mut self, zxid: Zxid, payload: Bytes, origin: Option<Origin>, opens: Option<SessionId>, closes: Option<SessionId>) {
        self.zab.handle(oxkeeper_zab::Input::Propose { zxid, payload: payload.clone() });
        self.in_flight.push_back(InFlight { zxid: Some(zxid), payload, error: ErrorCode::OK, origin, opens, closes });
    }

    /// An answer without a transaction keeps its place behind what is in flight.
    fn answer(&mut self, error: ErrorCode, origin: Origin) {
        self.in_flight.push_back(InFlight { zxid: None, payload: Bytes::new(), error, origin: Some(origin), opens: None, closes: None });
    }
}
