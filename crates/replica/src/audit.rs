//! The audit log's lines: who asked for which change, and what came of it. Made at the front that holds the
//! connection, from the request and its reply. Where the lines go is the server's affair.

use crate::request::{ConnId, Identities, MultiRequest, WriteRequest, create_flags, is_write, read_multi};
use core::net::IpAddr;
use oxkeeper_auth::user_name;
use oxkeeper_proto::collections::HashMap;
use oxkeeper_proto::records::{Acl, MultiHeader, ReplyHeader, Stat};
use oxkeeper_proto::{OpCode, Reader, Record, SessionId, perms};
use std::collections::VecDeque;

/// The length field of a frame.
const LENGTH_BYTES: usize = 4;

/// One line. What is `None` is left out of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditLine {
    /// Whose request it was.
    pub session: SessionId,
    /// The names of the identities of the connection, with commas between.
    pub users: Option<String>,
    /// The client's address.
    pub peer: IpAddr,
    /// `create`, `delete`, `setData`, `setAcl`, `reconfig` or `multiOperation`.
    pub operation: &'static str,
    /// The znode; with its number if it got one.
    pub path: Option<String>,
    /// The kind of znode that was asked for.
    pub mode: Option<&'static str>,
    /// The ACL that was asked for.
    pub acl: Option<String>,
    /// Whether it was done.
    pub success: bool,
}

/// Writes that wait for their replies, and lines that wait for whoever writes them down. Bounded by the credits, as the
/// writes are.
#[derive(Debug, Default)]
pub struct Auditor {
    /// Of each connection in order; those of a connection that has gone stay until their replies come.
    waiting: HashMap<ConnId, VecDeque<Waiting>>,
    /// Finished lines, oldest first.
    pub lines: Vec<AuditLine>,
}

#[derive(Debug)]
struct Waiting {
    session: SessionId,
    identities: Identities,
    peer: IpAddr,
    op: OpCode,
    body: Vec<u8>,
}

impl Auditor {
    /// A write was handed to the core.
    pub(crate) fn submitted(
        &mut self,
        connection: ConnId,
        session: SessionId,
        identities: &Identities,
        peer: IpAddr,
        op: OpCode,
        body: &[u8],
    ) {
        let body = if is_write(op) { body.to_vec() } else { Vec::new() };
        let waiting = Waiting { session, identities: identities.clone(), peer, op, body };
        self.waiting.entry(connection).or_default().push_back(waiting);
    }

    /// The reply to the connection's oldest write has come; a whole frame.
    pub(crate) fn answered(&mut self, connection: ConnId, frame: &[u8]) {
        let Some(queue) = self.waiting.get_mut(&connection) else { return };
        let write = queue.pop_front();
        if queue.is_empty() {
            self.waiting.remove(&connection);
        }
        if let Some(write) = write {
            write.finish(frame.get(LENGTH_BYTES..).unwrap_or_default(), &mut self.lines);
        }
    }
}

impl Waiting {
    fn line(&self, operation: &'static str, success: bool) -> AuditLine {
        let names: Vec<&str> = self.identities.iter().map(user_name).filter(|name| !name.trim().is_empty()).collect();
        let users = (!names.is_empty()).then(|| names.join(","));
        AuditLine { session: self.session, users, peer: self.peer, operation, path: None, mode: None, acl: None, success }
    }

    /// Nothing is said of what cannot be read: no client was told that it was done.
    fn finish(&self, reply: &[u8], lines: &mut Vec<AuditLine>) {
        let mut reply = Reader::new(reply);
        let Ok(header) = ReplyHeader::read(&mut reply) else { return };
        let success = header.err == 0;
        if !is_write(self.op) {
            return;
        }
        let mut request = Reader::new(&self.body);
        if self.op == OpCode::MULTI {
            return self.finish_multi(&mut request, success, &mut reply, lines);
        }
        if self.op == OpCode::RECONFIG {
            return lines.push(self.line("reconfig", success));
        }
        let Ok(request) = WriteRequest::read(self.op, &mut request) else { return };
        match request {
            WriteRequest::Create { request, .. } => {
                let Some(mode) = create_mode(request.flags) else { return };
                let created = if success { reply.ustring().ok().flatten() } else { request.path };
                lines.push(AuditLine { path: created.map(Into::into), mode: Some(mode), ..self.line("create", success) });
            }
            WriteRequest::Delete(request) => {
                lines.push(AuditLine { path: request.path.map(Into::into), ..self.line("delete", success) });
            }
            WriteRequest::SetData(request) => {
                lines.push(AuditLine { path: request.path.map(Into::into), ..self.line("setData", success) });
            }
            WriteRequest::SetAcl(request) => {
                let acl = Some(acl_text(request.acl.as_deref().unwrap_or_default()));
                lines.push(AuditLine { path: request.path.map(Into::into), acl, ..self.line("setAcl", success) });
            }
            WriteRequest::Check(_) | WriteRequest::Reconfig(_) | WriteRequest::Multi(_) => {}
        }
    }

    /// A multi that was done is its parts; one that was not is one line.
    fn finish_multi(&self, request: &mut Reader<'_>, success: bool, reply: &mut Reader<'_>, lines: &mut Vec<AuditLine>) {
        let Ok(MultiRequest::Writes(writes)) = read_multi(request) else { return };
        let mut parts = Vec::new();
        for write in &writes {
            let header = MultiHeader::read(reply);
            if !success || !header.is_ok_and(|header| !header.done && header.kind != OpCode::ERROR.0) {
                return lines.push(self.line("multiOperation", false));
            }
            match write {
                WriteRequest::Create { op, request } => {
                    let path = reply.ustring().ok().flatten().map(Into::into);
                    if *op != OpCode::CREATE {
                        let _ = Stat::read(reply);
                    }
                    // Java looks the kind up by the path, which a sequential node's is not.
                    let is_looked_up = !create_flags::is_sequential(request.flags) && *op != OpCode::CREATE_TTL;
                    let mode = if is_looked_up { create_mode(request.flags) } else { None };
                    parts.push(AuditLine { path, mode, ..self.line("create", true) });
                }
                WriteRequest::Delete(request) => {
                    parts.push(AuditLine { path: request.path.as_deref().map(Into::into), ..self.line("delete", true) });
                }
                WriteRequest::SetData(request) => {
                    let _ = Stat::read(reply);
                    parts.push(AuditLine { path: request.path.as_deref().map(Into::into), ..self.line("setData", true) });
                }
                _ => {}
            }
        }
        lines.append(&mut parts);
    }
}

fn create_mode(flags: i32) -> Option<&'static str> {
    Some(match flags {
        0 => "persistent",
        1 => "ephemeral",
        2 => "persistent_sequential",
        3 => "ephemeral_sequential",
        4 => "container",
        5 => "persistent_with_ttl",
        6 => "persistent_sequential_with_ttl",
        _ => return None,
    })
}

/// As Java writes it: `scheme:id:perms`, with nothing in between.
fn acl_text(acl: &[Acl<'_>]) -> String {
    let mut text = String::new();
    for entry in acl {
        text.push_str(entry.id.scheme.as_deref().unwrap_or("null"));
        text.push(':');
        text.push_str(entry.id.id.as_deref().unwrap_or("null"));
        text.push(':');
        let letters = [(perms::CREATE, 'c'), (perms::DELETE, 'd'), (perms::READ, 'r'), (perms::WRITE, 'w'), (perms::ADMIN, 'a')];
        text.extend(letters.iter().filter(|(bit, _)| entry.perms & bit != 0).map(|(_, letter)| letter));
    }
    text
}
