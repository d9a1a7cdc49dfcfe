//! The duty of a learner (follower or observer): what its clients want written goes to the leader, in one queue, and is
//! answered from the committed transaction that carries the same session and cxid. It decides nothing.

use super::{Awaits, Core, Duty, InFlight, Output, draw_session};
use crate::apply::{Commit, Origin, Outcome};
use crate::request::{ConnId, MultiRequest, Now, Write, WriteRequest, read_multi};
use bytes::Bytes;
use log::warn;
use oxkeeper_auth::Identity;
use oxkeeper_proto::collections::HashMap;
use oxkeeper_proto::records::{CreateSessionTxn, SyncRequest, TxnHeader};
use oxkeeper_proto::txn::{LoggedTxn, Txn};
use oxkeeper_proto::{ErrorCode, OpCode, Reader, Record as _, SessionId, Zxid};
use oxkeeper_tree::Tree;
use std::collections::VecDeque;

/// What a learner knows of the sessions of its own connections.
#[derive(Default)]
pub(super) struct Learning {
    /// The connection that each session uses here, but for those that only this server knows.
    attached: HashMap<SessionId, ConnId>,
    /// Sessions heard from since the leader was told last, and their timeouts in milliseconds.
    touched: HashMap<SessionId, i32>,
    /// Clients that came back to a session and wait for the leader's word, in the order in which it was asked.
    returning: HashMap<SessionId, VecDeque<(ConnId, i32)>>,
}

impl Learning {
    pub(super) fn touch(&mut self, session: SessionId, timeout_ms: i32) {
        self.touched.insert(session, timeout_ms);
    }

    pub(super) fn knows(&self, session: SessionId) -> bool {
        self.attached.contains_key(&session)
    }

    pub(super) fn attach(&mut self, session: SessionId, connection: ConnId) {
        self.attached.insert(session, connection);
    }

    pub(super) fn detach(&mut self, session: SessionId, connection: ConnId) {
        if self.attached.get(&session) == Some(&connection) {
            self.attached.remove(&session);
        }
    }
}

impl Core {
    fn learning(&mut self) -> &mut Learning {
        match &mut self.duty {
            Duty::Learning(learning) => learning,
            _ => unreachable!("only a learner is asked for this"),
        }
    }

    pub(super) fn forward_session(&mut self, now: Now, tree: &Tree, connection: ConnId, timeout_ms: i32) {
        let Duty::Learning(learning) = &self.duty else { return };
        let is_taken = |id| tree.session_timeout_ms(id).is_some() || learning.knows(id);
        let session = draw_session(&mut self.next_session, is_taken);
        let learning = self.learning();
        learning.attached.insert(session, connection);
        learning.touch(session, timeout_ms);
        let mut body = Vec::new();
        CreateSessionTxn { time_out: timeout_ms }.write(&mut body);
        let origin = Origin { connection, session, xid: 0, op: OpCode::CREATE_SESSION, before: Vec::new(), received_ms: now.mono_ms };
        self.send_request(body, None, origin, Awaits::Forwarded);
    }

    pub(super) fn revalidate(&mut self, connection: ConnId, session: SessionId, timeout_ms: i32) {
        self.learning().returning.entry(session).or_default().push_back((connection, timeout_ms));
        self.zab.revalidate(session, timeout_ms);
    }

    /// The leader's word on a session whose client has come here.
    pub(super) fn revalidated(&mut self, session: SessionId, valid: bool) {
        let Duty::Learning(learning) = &mut self.duty else { return };
        let Some(waiting) = learning.returning.get_mut(&session) else {
            return warn!("The leader speaks of session {session}, of which it was not asked");
        };
        let (connection, timeout_ms) = waiting.pop_front().expect("an empty queue is removed");
        if waiting.is_empty() {
            learning.returning.remove(&session);
        }
        if valid {
            learning.touch(session, timeout_ms);
            if let Some(old) = learning.attached.insert(session, connection).filter(|old| *old != connection) {
                self.close(old);
            }
        }
        let (session, timeout_ms) = if valid { (session, timeout_ms) } else { (SessionId::NONE, 0) };
        self.tell_session(connection, session, timeout_ms);
    }

    /// The session has gone to an observer that we feed.
    pub(super) fn moved(&mut self, session: SessionId) {
        let Duty::Learning(learning) = &mut self.duty else { return };
        if let Some(old) = learning.attached.remove(&session) {
            self.close(old);
        }
    }

    /// Passes a write on. What cannot be decoded is refused here: it would bring a Java leader down.
    pub(super) fn forward(&mut self, now: Now, tree: &Tree, write: Write) {
        let Write { connection, session, xid, op, body, identities, before, received_ms } = write;
        let origin = Origin { connection, session, xid, op, before, received_ms };
        let speaks_through = match self.local.get(session) {
            Some(local) => local.connection(),
            None => self.learning().attached.get(&session).copied(),
        };
        if speaks_through != Some(connection) {
            // The session has moved to another connection: this one is closed.
            self.answer(ErrorCode::SESSION_MOVED, origin);
            return self.close(connection);
        }
        if !can_be_decoded(op, &body, self.options.max_length) {
            warn!("Failed to process a request of session {session}: it cannot be decoded");
            return self.answer(ErrorCode::MARSHALLING_ERROR, origin);
        }
        let Some(origin) = self.local_first(now, op, &body, origin) else { return };
        if let Some(error) = self.eager_refusal(tree, op, &body, &identities) {
            return self.refuse_eagerly(error, origin);
        }
        let awaits = if op == OpCode::SYNC { Awaits::Sync } else { Awaits::Forwarded };
        self.send_request(body, Some(&identities), origin, awaits);
    }

    fn send_request(&mut self, body: Vec<u8>, identities: Option<&[Identity]>, origin: Origin, awaits: Awaits) {
        let auth = identities.map(|all| all.iter().map(|one| (one.scheme.to_string(), one.id.to_string())).collect());
        let body = Bytes::from(body);
        self.zab.request(origin.session, origin.xid, origin.op, body.clone(), auth);
        let payload = if matches!(awaits, Awaits::Sync) { body } else { Bytes::new() };
        self.in_flight.push_back(InFlight { awaits, payload, origin: Some(origin), opens: None, closes: None });
    }

    /// A transaction is committed: ours if it is the one that the first in our queue waits for.
    pub(super) fn commit_foreign(&mut self, zxid: Zxid, payload: Bytes) {
        self.take_turns();
        let header = TxnHeader::read(&mut Reader::new(&payload)).expect("a committed payload is a transaction");
        let session = SessionId(header.client_id);
        let is_ours = self
            .in_flight
            .front()
            .is_some_and(|place| matches!(place.awaits, Awaits::Forwarded) && place.asked_by() == (session, header.cxid));
        let place = if is_ours { self.in_flight.pop_front() } else { None };
        let is_upgrade = place.as_ref().is_some_and(|place| place.opens.is_some());
        let origin = place.and_then(|place| place.origin);
        let mut close = None;
        if header.kind == OpCode::CLOSE_SESSION.0 {
            let learning = self.learning();
            learning.touched.remove(&session);
            let held = learning.attached.remove(&session);
            // A client that asked for the end gets its reply first and is closed after it.
            close = origin.as_ref().map(|origin| origin.connection).or(held);
        } else if let Some(origin) = &origin
            && header.kind == OpCode::ERROR.0
            && is_session_moved(&payload)
        {
            close = Some(origin.connection);
        } else if is_upgrade && header.kind == OpCode::ERROR.0 {
            close = self.learning().attached.remove(&session);
        }
        self.outputs.push_back(Output::Apply(Commit { outcome: Outcome::Txn { zxid, payload }, origin, close }));
    }

    /// The leader asks who is still there.
    pub(super) fn report(&mut self, zxid: Zxid) {
        let touched = match &mut self.duty {
            Duty::Learning(learning) => std::mem::take(&mut learning.touched),
            _ => HashMap::default(),
        };
        let touched: Vec<(SessionId, i32)> = touched.into_iter().collect();
        self.zab.answer_ping(zxid, &touched);
    }
}

fn can_be_decoded(op: OpCode, body: &[u8], max_length: i32) -> bool {
    let mut r = Reader::with_max_length(body, max_length);
    match op {
        OpCode::CLOSE_SESSION => true,
        OpCode::SYNC => SyncRequest::read(&mut r).is_ok(),
        OpCode::MULTI => matches!(read_multi(&mut r), Ok(MultiRequest::Writes(_))),
        op => WriteRequest::read(op, &mut r).is_ok_and(|request| request.has_path()),
    }
}

fn is_session_moved(payload: &[u8]) -> bool {
    matches!(LoggedTxn::read(payload), Ok(LoggedTxn { txn: Txn::Error(error), .. }) if error.err == ErrorCode::SESSION_MOVED.0)
}
