//! The duty of a member without a leader that serves readers meanwhile (`readonlymode.enabled`). It answers from the
//! committed tree and changes nothing: its sessions are this server's alone, no write comes further than the front, and
//! nothing of it reaches a vote, a zxid or a file (ZOOKEEPER-3526).

use super::{Core, Duty, Output};
use crate::apply::Origin;
use crate::inbox::Service;
use crate::request::{ConnId, Now, Write};
use crate::sessions::Owner;
use log::info;
use oxkeeper_proto::SessionId;

impl Core {
    /// Takes up the duty when a leader has been looked for long enough, and lays it down as soon as one is found.
    pub(super) fn serve_readers_while_looking(&mut self, now: Now) {
        let Some(after_ms) = self.options.read_only_after_ms else { return };
        if !self.zab.is_looking() {
            self.read_only_at_ms = None;
            if self.is_read_only() {
                self.retire("a leader was found");
            }
            return;
        }
        if !matches!(self.duty, Duty::Idle) {
            return;
        }
        let at_ms = *self.read_only_at_ms.get_or_insert(now.mono_ms + after_ms);
        if now.mono_ms >= at_ms {
            info!("No leader for {after_ms} ms: serving readers");
            self.read_only_at_ms = None;
            self.duty = Duty::ReadOnly;
            self.outputs.push_back(Output::Serve(Service::ReadOnly));
        }
    }

    /// A client comes back to a session that the ensemble does not know (the front has seen to that). Without local
    /// sessions Java takes up any such, whose password is right.
    pub(super) fn reopen_to_read(&mut self, now: Now, connection: ConnId, session: SessionId, timeout_ms: i32) {
        match self.local.get(session) {
            Some(_) => self.reopen_local(now, connection, session, timeout_ms),
            None if self.local_sessions().is_some() => self.give_session(connection, SessionId::NONE, 0, None),
            None => {
                self.local.open(now.mono_ms, session, timeout_ms, Some(Owner::Connection(connection)));
                self.give_session(connection, session, timeout_ms, None);
            }
        }
    }

    /// The only write that a front lets through: a reader's session ends.
    pub(super) fn close_reader(&mut self, write: Write) {
        let Write { connection, session, xid, op, before, received_ms, .. } = write;
        self.close_local(Origin { connection, session, xid, op, before, received_ms });
    }
}
