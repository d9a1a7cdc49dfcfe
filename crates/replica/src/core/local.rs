//! Sessions that only this server knows (`localSessionsEnabled`): no transaction opens or ends one, they expire here, and
//! they end with the server's role. Where upgrading is on, the first ephemeral node makes a session known to the whole
//! ensemble; from then on it is one like any other.

use super::{Awaits, Core, Duty, InFlight, LocalSessions, Output, draw_session};
use crate::apply::Origin;
use crate::inbox::Item;
use crate::request::{ConnId, MultiRequest, Now, WriteRequest, create_flags, read_multi};
use crate::sessions::Owner;
use bytes::Bytes;
use log::info;
use oxkeeper_proto::records::CreateSessionTxn;
use oxkeeper_proto::{ErrorCode, OpCode, Reader, Record as _, SessionId};
use oxkeeper_tree::Tree;

impl Core {
    pub(super) fn open_local(&mut self, now: Now, tree: &Tree, connection: ConnId, timeout_ms: i32) {
        let is_taken = |id| {
            let is_attached = matches!(&self.duty, Duty::Learning(learning) if learning.knows(id));
            is_attached || self.local.get(id).is_some() || self.sessions.get(id).is_some() || tree.session_timeout_ms(id).is_some()
        };
        let session = draw_session(&mut self.next_session, is_taken);
        self.local.open(now.mono_ms, session, timeout_ms, Some(Owner::Connection(connection)));
        self.give_session(connection, session, timeout_ms, Some(now.mono_ms));
    }

    /// A client comes back to a session of this server.
    pub(super) fn reopen_local(&mut self, now: Now, connection: ConnId, session: SessionId, timeout_ms: i32) {
        self.local.renew(now.mono_ms, session, timeout_ms);
        let old = self.local.attach(session, Some(Owner::Connection(connection)));
        if let Some(Owner::Connection(old)) = old.filter(|old| *old != Owner::Connection(connection)) {
            self.close(old);
        }
        self.give_session(connection, session, timeout_ms, None);
    }

    pub(super) fn give_session(&mut self, connection: ConnId, session: SessionId, timeout_ms: i32, created_ms: Option<u64>) {
        let item = Item::Session { connection, session, timeout_ms, created_ms };
        self.outputs.push_back(Output::Front { front: connection.front, item });
    }

    /// What a write of a local session needs before it goes the way of all writes; `None` if it goes no further. Others'
    /// pass through.
    pub(super) fn local_first(&mut self, now: Now, op: OpCode, body: &[u8], origin: Origin) -> Option<Origin> {
        let session = origin.session;
        let Some(local) = self.local.get(session) else { return Some(origin) };
        let (connection, timeout_ms) = (local.connection(), local.timeout_ms);
        if op == OpCode::CLOSE_SESSION {
            self.close_local(origin);
            return None;
        }
        if !creates_ephemeral(op, body, self.options.max_length) {
            return Some(origin);
        }
        if self.options.local_sessions == LocalSessions::Upgraded {
            if self.no_space {
                // The session stays what it is.
                self.answer(ErrorCode::SYSTEM_ERROR, origin);
                return None;
            }
            info!("Upgrading session {session}");
            self.local.remove(session);
            self.upgrade(now, session, connection, timeout_ms);
            return Some(origin);
        }
        // A leader spends a transaction on the refusal, and of a multi each part is answered.
        if matches!(self.duty, Duty::Leading) || op == OpCode::MULTI {
            return Some(origin);
        }
        self.answer(ErrorCode::EPHEMERAL_ON_LOCAL_SESSION, origin);
        None
    }

    fn upgrade(&mut self, now: Now, session: SessionId, connection: Option<ConnId>, timeout_ms: i32) {
        match &mut self.duty {
            Duty::Leading => {
                self.sessions.open(now.mono_ms, session, timeout_ms, connection.map(Owner::Connection));
                self.propose_session(now, session, 0, timeout_ms, None);
            }
            Duty::Learning(learning) => {
                if let Some(connection) = connection {
                    learning.attach(session, connection);
                }
                learning.touch(session, timeout_ms);
                let mut body = Vec::new();
                CreateSessionTxn { time_out: timeout_ms }.write(&mut body);
                self.zab.request(session, 0, OpCode::CREATE_SESSION, body.into(), None);
                let (awaits, payload) = (Awaits::Forwarded, Bytes::new());
                self.in_flight.push_back(InFlight { awaits, payload, origin: None, opens: Some(session), closes: None });
            }
            _ => unreachable!("nobody else carries out writes"),
        }
    }

    /// The session is over when what it asked before has been answered; no transaction tells of it.
    pub(super) fn close_local(&mut self, origin: Origin) {
        self.local.remove(origin.session);
        self.answer(ErrorCode::OK, origin);
    }

    pub(super) fn expire_local(&mut self, now: Now) {
        for (session, timeout_ms) in self.local.expired(now.mono_ms) {
            self.counts.expired += 1;
            info!("Expiring local session {session}, timeout of {timeout_ms}ms exceeded");
            if let Some(connection) = self.local.remove(session).and_then(|session| session.connection()) {
                self.close(connection);
            }
        }
    }

    /// Why a session may have no ephemeral nodes: its end would have to be known to all.
    pub(super) fn refusal_of_ephemerals(&self, session: SessionId) -> Option<ErrorCode> {
        if self.options.local_sessions == LocalSessions::Off || session == SessionId::NONE || self.sessions.get(session).is_some() {
            return None;
        }
        let is_ours = self.local.get(session).is_some();
        Some(if is_ours { ErrorCode::EPHEMERAL_ON_LOCAL_SESSION } else { ErrorCode::SESSION_EXPIRED })
    }
}

/// Whether a write makes an ephemeral node. What cannot be decoded makes none.
fn creates_ephemeral(op: OpCode, body: &[u8], max_length: i32) -> bool {
    let mut r = Reader::with_max_length(body, max_length);
    match op {
        OpCode::CREATE | OpCode::CREATE2 => WriteRequest::read(op, &mut r).is_ok_and(|write| is_ephemeral(&write)),
        OpCode::MULTI => matches!(read_multi(&mut r), Ok(MultiRequest::Writes(writes)) if writes.iter().any(is_ephemeral)),
        _ => false,
    }
}

fn is_ephemeral(write: &WriteRequest<'_>) -> bool {
    matches!(write, WriteRequest::Create { op: OpCode::CREATE | OpCode::CREATE2, request } if create_flags::is_ephemeral(request.flags))
}
