//! The duty of a leader: writes are checked against the tree and what is on its way, become transactions and are
//! proposed; sessions expire here and nowhere else. A standalone server is a leader without learners.

use super::{Awaits, Core, Duty, InFlight, LocalSessions, Output, draw_session};
use crate::apply::{Origin, Outcome};
use crate::inbox::{Item, Service};
use crate::prepare::{CONFIG_VERSION, Preparation};
use crate::request::{BadMulti, ConnId, MultiRequest, Now, Write, WriteRequest, is_write, read_multi};
use crate::sessions::{Owner, SessionTracker};
use bytes::Bytes;
use log::{info, warn};
use oxkeeper_auth::Identity;
use oxkeeper_proto::records::{CreateSessionTxn, ErrorTxn, SetDataTxn, TxnHeader};
use oxkeeper_proto::txn::{self, Txn};
use oxkeeper_proto::{ErrorCode, Mutant, OpCode, Reader, Record as _, SessionId, Zxid, mutant, path};
use oxkeeper_tree::Tree;
use oxkeeper_zab::packet::AuthId;
use oxkeeper_zab::peer::Input as Zab;
use oxkeeper_zab::{LinkId, SyncOrigin};

/// A write or a sync of a learner's client.
pub(super) struct Request {
    pub link: LinkId,
    pub session: SessionId,
    pub cxid: i32,
    pub op: OpCode,
    pub body: Bytes,
    pub auth: Vec<AuthId>,
}

/// The tickets of clients' syncs, and of those behind which a client is told that its session is gone. Either kind is
/// answered in order.
const CLIENTS_SYNC: u64 = 0;
pub(super) const DENIAL: u64 = 1;

/// A client that is to be told that its session is gone.
pub(super) struct Denial {
    session: SessionId,
    asker: Owner,
}

/// What a learner asks of its leader.
pub(super) enum Asked {
    /// On behalf of a client.
    Request(Request),
    /// Sessions that it has heard from, and their timeouts in milliseconds.
    Touch(Vec<(SessionId, i32)>),
    /// Whether a session lives whose client has come to it.
    Revalidate(LinkId, SessionId, i32),
}

impl Core {
    /// The tree of a new leader is up to date: clients are served, and the learners that have asked meanwhile.
    pub(super) fn serve(&mut self, now: Now, tree: &Tree, waiting: Vec<Asked>) {
        self.lead(now, tree);
        self.outputs.push_back(Output::Serve(Service::Full));
        for asked in waiting {
            self.asked(now, tree, asked);
        }
    }

    /// Takes up the duty: every session of the tree begins anew with its whole timeout.
    pub(super) fn lead(&mut self, now: Now, tree: &Tree) {
        self.duty = Duty::Leading;
        self.overlay.reset(tree.digest());
        self.sessions = SessionTracker::new(self.options.tick_ms);
        for (session, timeout_ms) in tree.sessions() {
            self.sessions.open(now.mono_ms, session, timeout_ms, None);
        }
        self.count_ephemerals(tree);
    }

    /// A learner asks. Each request is answered with a transaction, in the order in which they came: a Java learner
    /// waits for it at the head of its queue.
    pub(super) fn asked(&mut self, now: Now, tree: &Tree, asked: Asked) {
        if let Duty::Taking(waiting) = &mut self.duty {
            // Bounded by the credits of the learners' connections.
            waiting.push(asked);
            return;
        }
        match asked {
            Asked::Request(request) => self.request(now, tree, &request),
            Asked::Touch(sessions) => {
                for (session, timeout_ms) in sessions {
                    self.sessions.touch(now.mono_ms, session, timeout_ms);
                }
            }
            Asked::Revalidate(link, session, timeout_ms) => {
                if self.sessions.touch(now.mono_ms, session, timeout_ms) {
                    self.give_to(session, Owner::Link(link));
                    self.zab.answer_revalidate(link, session, true);
                } else {
                    self.doubt(now, session, Owner::Link(link));
                }
            }
        }
    }

    /// From here on the session speaks through this owner; the connection of ours that it had is closed.
    fn give_to(&mut self, session: SessionId, owner: Owner) {
        if let Some(Owner::Connection(old)) = self.sessions.attach(session, Some(owner)).filter(|old| *old != owner) {
            self.close(old);
        }
    }

    fn request(&mut self, now: Now, tree: &Tree, request: &Request) {
        let Request { link, session, cxid, op, ref body, ref auth } = *request;
        match op {
            OpCode::SYNC => return self.zab.handle(now.mono_ms, Zab::Sync { origin: SyncOrigin::Link(link) }),
            OpCode::CREATE_SESSION => return self.create_session(now, link, session, cxid, body),
            _ => {}
        }
        let refusal = match self.sessions.get(session) {
            // It may be local to the learner.
            None if self.options.local_sessions != LocalSessions::Off && session.server_id() != self.options.sid => None,
            None => Some(ErrorCode::SESSION_EXPIRED),
            Some(s) if s.closing => Some(ErrorCode::SESSION_EXPIRED),
            Some(s) if s.owner.is_some_and(|owner| owner != Owner::Link(link)) => Some(ErrorCode::SESSION_MOVED),
            Some(_) => None,
        };
        if refusal.is_none() {
            self.sessions.attach(session, Some(Owner::Link(link)));
        }
        match (refusal, op) {
            (None, OpCode::CLOSE_SESSION) => self.close_session(now, tree, session, cxid, None),
            // As Java, the end of a session that is gone is a transaction like any other.
            (Some(ErrorCode::SESSION_EXPIRED), OpCode::CLOSE_SESSION) if self.sessions.get(session).is_none() => {
                self.close_session(now, tree, session, cxid, None);
            }
            (None, op) if is_write(op) => {
                let identities: Vec<Identity> = auth.iter().map(|a| Identity::new(&a.0, &a.1)).collect();
                self.prepare(now, tree, session, cxid, op, body, &identities, None);
            }
            (None, _) => self.propose_error(now, session, cxid, ErrorCode::UNIMPLEMENTED, None),
            (Some(error), _) => self.propose_error(now, session, cxid, error, None),
        }
    }

    fn create_session(&mut self, now: Now, link: LinkId, session: SessionId, cxid: i32, body: &Bytes) {
        let Ok(CreateSessionTxn { time_out }) = CreateSessionTxn::read(&mut Reader::new(body)) else {
            warn!("A learner asks for session {session} without a timeout");
            return self.propose_error(now, session, cxid, ErrorCode::MARSHALLING_ERROR, None);
        };
        self.sessions.open(now.mono_ms, session, time_out, Some(Owner::Link(link)));
        self.propose_session(now, session, cxid, time_out, None);
    }

    pub(super) fn propose_session(&mut self, now: Now, session: SessionId, cxid: i32, time_out: i32, origin: Option<Origin>) {
        let zxid = self.begin();
        let header = TxnHeader { client_id: session.0, cxid, zxid: zxid.0, time: now.wall_ms, kind: OpCode::CREATE_SESSION.0 };
        let payload = self.encode(&header, &Txn::CreateSession(CreateSessionTxn { time_out }));
        self.propose(now, zxid, payload, origin, Some(session), None);
    }

    /// A request that is refused takes a zxid all the same: the learner waits for it.
    fn propose_error(&mut self, now: Now, session: SessionId, cxid: i32, error: ErrorCode, origin: Option<Origin>) {
        let zxid = self.begin();
        let header = TxnHeader { client_id: session.0, cxid, zxid: zxid.0, time: now.wall_ms, kind: OpCode::ERROR.0 };
        let payload = txn::encode(&header, &Txn::Error(ErrorTxn { err: error.0 }), None).into();
        self.propose(now, zxid, payload, origin, None, None);
    }

    /// A proposal of ours is committed: so are those before it, and what waited between them has its turn.
    pub(super) fn commit_own(&mut self, zxid: Zxid, payload: Bytes) {
        while let Some(first) = self.in_flight.pop_front() {
            match first.awaits {
                Awaits::Txn(at) if at == zxid => return self.apply(first, Outcome::Txn { zxid, payload }),
                Awaits::Turn(error) => self.apply(first, Outcome::Answer(error)),
                Awaits::Refused(error) => self.apply(first, Outcome::Refusal(error)),
                Awaits::Synced => {
                    let body = first.payload.clone();
                    self.apply(first, Outcome::Synced { body });
                }
                Awaits::Txn(_) | Awaits::Forwarded | Awaits::Sync => unreachable!("{zxid} was committed before what came earlier"),
            }
        }
        unreachable!("{zxid} was committed and never proposed");
    }

    pub(super) fn open_session(&mut self, now: Now, connection: ConnId, timeout_ms: i32) {
        if self.no_space {
            return self.close(connection);
        }
        let session = draw_session(&mut self.next_session, |id| self.sessions.get(id).is_some());
        self.sessions.open(now.mono_ms, session, timeout_ms, Some(Owner::Connection(connection)));
        let origin = Origin { connection, session, xid: 0, op: OpCode::CREATE_SESSION, before: Vec::new(), received_ms: now.mono_ms };
        self.propose_session(now, session, 0, timeout_ms, Some(origin));
    }

    pub(super) fn reopen_session(&mut self, now: Now, connection: ConnId, session: SessionId, timeout_ms: i32) {
        if self.sessions.renew(now.mono_ms, session, timeout_ms) {
            self.give_to(session, Owner::Connection(connection));
            self.tell_session(connection, session, timeout_ms);
        } else {
            self.doubt(now, session, Owner::Connection(connection));
        }
    }

    /// A leader that has been deposed and does not know it yet must not declare a session dead that began since: it says
    /// so only when a quorum has confirmed it. (Java's leader says it at once.)
    fn doubt(&mut self, now: Now, session: SessionId, asker: Owner) {
        self.denials.push_back(Denial { session, asker });
        self.zab.handle(now.mono_ms, Zab::Sync { origin: SyncOrigin::Local(DENIAL) });
    }

    /// We lead still, and do not know the oldest of those sessions.
    pub(super) fn deny(&mut self) {
        let Some(denial) = self.denials.pop_front() else { return };
        match denial.asker {
            Owner::Link(link) => self.zab.answer_revalidate(link, denial.session, false),
            Owner::Connection(connection) => self.tell_session(connection, SessionId::NONE, 0),
        }
    }

    pub(super) fn tell_session(&mut self, connection: ConnId, session: SessionId, timeout_ms: i32) {
        self.outputs.push_back(Output::Front {
            front: connection.front,
            item: Item::Session { connection, session, timeout_ms, created_ms: None },
        });
    }

    pub(super) fn write(&mut self, now: Now, tree: &Tree, write: Write) {
        let Write { connection, session, xid, op, body, identities, before, received_ms } = write;
        let origin = Origin { connection, session, xid, op, before, received_ms };
        match self.sessions.get(session).or_else(|| self.local.get(session)) {
            Some(s) if s.owner != Some(Owner::Connection(connection)) => {
                // The session has moved to another connection: this one is closed.
                self.answer(ErrorCode::SESSION_MOVED, origin);
                return self.close(connection);
            }
            Some(s) if !s.closing => {}
            _ => return self.answer(ErrorCode::SESSION_EXPIRED, origin),
        }
        let Some(origin) = self.local_first(now, op, &body, origin) else { return };
        if self.no_space {
            let close = op == OpCode::CLOSE_SESSION;
            self.answer(ErrorCode::SYSTEM_ERROR, origin);
            if close {
                self.close(connection);
            }
            return;
        }
        if let Some(error) = self.eager_refusal(tree, op, &body, &identities) {
            return self.refuse_eagerly(error, origin);
        }
        match op {
            OpCode::CLOSE_SESSION => self.close_session(now, tree, session, xid, Some(origin)),
            OpCode::SYNC => {
                let place = InFlight { awaits: Awaits::Sync, payload: body.into(), origin: Some(origin), opens: None, closes: None };
                self.in_flight.push_back(place);
                self.zab.handle(now.mono_ms, Zab::Sync { origin: SyncOrigin::Local(CLIENTS_SYNC) });
            }
            op => self.prepare(now, tree, session, xid, op, &body, &identities, Some(origin)),
        }
    }

    /// Makes a transaction of a write and proposes it.
    #[allow(clippy::too_many_arguments, reason = "a request, taken apart, from a client or from a learner")]
    fn prepare(
        &mut self,
        now: Now,
        tree: &Tree,
        session: SessionId,
        cxid: i32,
        op: OpCode,
        body: &[u8],
        identities: &[Identity],
        origin: Option<Origin>,
    ) {
        let mut r = Reader::with_max_length(body, self.options.max_length);
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
            return match origin {
                Some(origin) => self.answer(ErrorCode::MARSHALLING_ERROR, origin),
                None => self.propose_error(now, session, cxid, ErrorCode::MARSHALLING_ERROR, None),
            };
        }
        let zxid = self.begin();
        let mut header = TxnHeader { client_id: session.0, cxid, zxid: zxid.0, time: now.wall_ms, kind: op.0 };
        let whole_budget = self.whole_budget();
        let mut budget = self.ephemeral_budgets.get(&session).copied().unwrap_or(whole_budget);
        let budget_before = budget;
        let mut config = String::new();
        let prepared = request.map_err(|_| ErrorCode::MARSHALLING_ERROR).and_then(|request| {
            let mut preparation = self.preparation(now, tree, zxid, session, identities, &mut budget);
            let txn = match &request {
                WriteRequest::Reconfig(request) => {
                    config = preparation.reconfig(request)?;
                    Txn::Reconfig(SetDataTxn { path: Some(path::CONFIG.into()), data: Some(config.as_bytes()), version: CONFIG_VERSION })
                }
                request => preparation.write(request)?,
            };
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
        self.propose(now, zxid, payload, origin, None, None);
    }

    fn close_session(&mut self, now: Now, tree: &Tree, session: SessionId, cxid: i32, origin: Option<Origin>) {
        self.sessions.set_closing(session);
        self.counts.closes += 1;
        let zxid = self.begin();
        let any_pending = !self.in_flight.is_empty() && !mutant::is(Mutant::PendingEphemeralsOverlooked);
        let mut budget = 0;
        let txn = self.preparation(now, tree, zxid, session, &[], &mut budget).close_session(session, any_pending);
        let header = TxnHeader { client_id: session.0, cxid, zxid: zxid.0, time: now.wall_ms, kind: OpCode::CLOSE_SESSION.0 };
        let txn = if self.options.close_session_txn { txn } else { Txn::CloseSession(None) };
        let payload = self.encode(&header, &txn);
        self.propose(now, zxid, payload, origin, None, Some(session));
    }

    pub(super) fn expire(&mut self, now: Now, tree: &Tree) {
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

    pub(super) fn reap(&mut self, now: Now, tree: &Tree, path: &str) {
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
            self.propose(now, zxid, payload, None, None, None);
        }
    }

    /// Everything from this zxid on is taken back and answered with an error; the sessions that it
    /// would have opened are closed, those that it would have ended live on.
    pub(super) fn refuse(&mut self, now: Now, tree: &Tree, from: Zxid) {
        if !self.no_space {
            warn!("No space left for the transaction log: writes are refused until there is room again");
        }
        self.no_space = true;
        self.zab.handle(now.mono_ms, Zab::LogRefused { from });
        let is_refused = |place: &InFlight| matches!(place.awaits, Awaits::Txn(zxid) if zxid >= from);
        let first = self.in_flight.iter().position(is_refused).unwrap_or(self.in_flight.len());
        for mut refused in self.in_flight.split_off(first) {
            if let Some(session) = refused.closes.take() {
                self.sessions.reopen(now.mono_ms, session);
            }
            if let Some(session) = refused.opens.take() {
                if let Some(connection) = self.sessions.remove(session).and_then(|session| session.connection()) {
                    self.close(connection);
                }
                continue;
            }
            if matches!(refused.awaits, Awaits::Txn(_)) {
                refused.awaits = Awaits::Turn(ErrorCode::SYSTEM_ERROR);
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
        let refuses_ephemerals = self.refusal_of_ephemerals(session);
        let (schemes, options, peer) = (&*self.schemes, &self.options.prepare, &self.zab);
        let overlay = &mut self.overlay;
        let time_ms = now.wall_ms;
        Preparation { tree, overlay, schemes, options, peer, zxid, time_ms, session, identities, ephemeral_budget, refuses_ephemerals }
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

    fn propose(
        &mut self,
        now: Now,
        zxid: Zxid,
        payload: Bytes,
        origin: Option<Origin>,
        opens: Option<SessionId>,
        closes: Option<SessionId>,
    ) {
        self.in_flight.push_back(InFlight { awaits: Awaits::Txn(zxid), payload: Bytes::new(), origin, opens, closes });
        self.zab.handle(now.mono_ms, Zab::Propose { zxid, payload });
    }
}
