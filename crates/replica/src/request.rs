//! Requests: what a client asks for, taken apart, and who it is that asks.

use oxkeeper_auth::Identity;
use oxkeeper_proto::records::{
    CheckVersionRequest, CreateRequest, CreateTtlRequest, DeleteRequest, GetChildrenRequest, GetDataRequest, MultiHeader, ReconfigRequest,
    SetAclRequest, SetDataRequest,
};
use oxkeeper_proto::{JuteError, OpCode, Reader, Record, SessionId};
use std::sync::Arc;

/// A connection of one front. A slot is used again; its generation says by whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId {
    /// The front's index.
    pub front: u16,
    /// The connection's slot in its front.
    pub slot: u32,
    /// How often the slot has been used before.
    pub generation: u32,
}

/// Both clocks at the beginning of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// The monotonic clock, milliseconds.
    pub mono_ms: u64,
    /// The wall clock since 1970, milliseconds: for the times in Stats and nothing else.
    pub wall_ms: i64,
}

/// The identities of a connection.
pub type Identities = Arc<Vec<Identity>>;

/// A request that waits for earlier writes of its connection.
#[derive(Clone, Debug)]
pub struct Parked {
    /// The client's number for it.
    pub xid: i32,
    /// What it asks for.
    pub op: OpCode,
    /// The bytes behind the header.
    pub body: Vec<u8>,
    /// Who asks, at the time the request came in.
    pub identities: Identities,
    /// When it came in, milliseconds of the monotonic clock.
    pub received_ms: u64,
}

/// A write on its way to the core.
#[derive(Debug)]
pub struct Write {
    /// The connection that waits for the reply.
    pub connection: ConnId,
    /// The connection's session.
    pub session: SessionId,
    /// The client's number for it.
    pub xid: i32,
    /// What it asks for.
    pub op: OpCode,
    /// The bytes behind the header.
    pub body: Vec<u8>,
    /// Who asks.
    pub identities: Identities,
    /// Reads of the connection that come before this write and after the one before it.
    pub before: Vec<Parked>,
    /// When it came in, milliseconds of the monotonic clock.
    pub received_ms: u64,
}

/// A write taken apart.
#[derive(Debug)]
pub enum WriteRequest<'a> {
    /// `create`, `create2` and `createContainer`; the ttl is -1 in all but `createTTL`.
    Create {
        /// The op that decides the kind of transaction.
        op: OpCode,
        /// The fields.
        request: CreateTtlRequest<'a>,
    },
    /// `delete`
    Delete(DeleteRequest<'a>),
    /// `setData`
    SetData(SetDataRequest<'a>),
    /// `setACL`
    SetAcl(SetAclRequest<'a>),
    /// `check`; only in a multi.
    Check(CheckVersionRequest<'a>),
    /// `reconfig`
    Reconfig(ReconfigRequest<'a>),
    /// `multi` of writes.
    Multi(Vec<WriteRequest<'a>>),
}

/// One op of a multiRead.
#[derive(Debug)]
pub enum ReadRequest<'a> {
    /// `getData`
    GetData(GetDataRequest<'a>),
    /// `getChildren`
    GetChildren(GetChildrenRequest<'a>),
}

/// The writes of clients, besides the ends of their sessions. A check alone, or the end of a container, is none.
pub fn is_write(op: OpCode) -> bool {
    matches!(
        op,
        OpCode::CREATE
            | OpCode::CREATE2
            | OpCode::CREATE_CONTAINER
            | OpCode::CREATE_TTL
            | OpCode::DELETE
            | OpCode::SET_DATA
            | OpCode::SET_ACL
            | OpCode::MULTI
            | OpCode::RECONFIG
    )
}

/// Why a multi cannot be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadMulti;

impl From<JuteError> for BadMulti {
    fn from(_: JuteError) -> Self {
        BadMulti
    }
}

fn with_ttl(request: CreateRequest<'_>) -> CreateTtlRequest<'_> {
    let CreateRequest { path, data, acl, flags } = request;
    CreateTtlRequest { path, data, acl, flags, ttl: -1 }
}

impl<'a> WriteRequest<'a> {
    /// Reads a single write. `multi` has [`read_multi`].
    ///
    /// # Errors
    /// When the bytes are not the op's record.
    pub fn read(op: OpCode, r: &mut Reader<'a>) -> Result<Self, JuteError> {
        Ok(match op {
            OpCode::CREATE | OpCode::CREATE2 | OpCode::CREATE_CONTAINER => {
                WriteRequest::Create { op, request: with_ttl(CreateRequest::read(r)?) }
            }
            OpCode::CREATE_TTL => WriteRequest::Create { op, request: CreateTtlRequest::read(r)? },
            OpCode::DELETE => WriteRequest::Delete(DeleteRequest::read(r)?),
            OpCode::SET_DATA => WriteRequest::SetData(SetDataRequest::read(r)?),
            OpCode::SET_ACL => WriteRequest::SetAcl(SetAclRequest::read(r)?),
            OpCode::CHECK => WriteRequest::Check(CheckVersionRequest::read(r)?),
            OpCode::RECONFIG => WriteRequest::Reconfig(ReconfigRequest::read(r)?),
            other => unreachable!("{other:?} is no single write"),
        })
    }
}

impl WriteRequest<'_> {
    /// Whether the path, where the op has one, is there and not null.
    pub fn has_path(&self) -> bool {
        match self {
            WriteRequest::Create { request, .. } => request.path.is_some(),
            WriteRequest::Delete(request) => request.path.is_some(),
            WriteRequest::SetData(request) => request.path.is_some(),
            WriteRequest::SetAcl(request) => request.path.is_some(),
            WriteRequest::Check(request) => request.path.is_some(),
            WriteRequest::Reconfig(_) | WriteRequest::Multi(_) => true,
        }
    }
}

/// The ops of a multi, which are all of one kind.
#[derive(Debug)]
pub enum MultiRequest<'a> {
    /// Writes; an empty list counts as this.
    Writes(Vec<WriteRequest<'a>>),
    /// Reads.
    Reads(Vec<ReadRequest<'a>>),
}

/// Create mode flags with names.
pub mod create_flags {
    /// The largest flag there is.
    pub const LAST: i32 = 6;
    /// A container.
    pub const CONTAINER: i32 = 4;

    /// Whether the node goes with its session.
    pub fn is_ephemeral(flags: i32) -> bool {
        flags == 1 || flags == 3
    }

    /// Whether the name gets a number.
    pub fn is_sequential(flags: i32) -> bool {
        matches!(flags, 2 | 3 | 6)
    }

    /// Whether the node has a time to live.
    pub fn is_ttl(flags: i32) -> bool {
        flags == 5 || flags == 6
    }
}

/// Reads the ops of a multi or multiRead, with the op that counts derived from the flags as Java's
/// client classes do.
///
/// # Errors
/// When a header or record cannot be read, an op is of no such kind, kinds are mixed, or a flag
/// does not fit its op.
pub fn read_multi<'a>(r: &mut Reader<'a>) -> Result<MultiRequest<'a>, BadMulti> {
    let mut writes = Vec::new();
    let mut reads = Vec::new();
    loop {
        let header = MultiHeader::read(r)?;
        if header.done {
            break;
        }
        match OpCode(header.kind) {
            op @ (OpCode::CREATE | OpCode::CREATE2 | OpCode::CREATE_CONTAINER) => {
                let request = with_ttl(CreateRequest::read(r)?);
                if !(0..=create_flags::LAST).contains(&request.flags) || create_flags::is_ttl(request.flags) {
                    return Err(BadMulti);
                }
                let op = if request.flags == create_flags::CONTAINER { OpCode::CREATE_CONTAINER } else { op };
                writes.push(WriteRequest::Create { op, request });
            }
            op @ OpCode::CREATE_TTL => {
                let mut request = CreateTtlRequest::read(r)?;
                // A flag without a time to live makes another create of it; an unknown one fails
                // later, for itself.
                let op = match request.flags {
                    flags if create_flags::is_ttl(flags) => op,
                    create_flags::CONTAINER => OpCode::CREATE_CONTAINER,
                    _ => OpCode::CREATE,
                };
                if op != OpCode::CREATE_TTL {
                    request.ttl = -1;
                }
                writes.push(WriteRequest::Create { op, request });
            }
            op @ (OpCode::DELETE | OpCode::SET_DATA | OpCode::CHECK) => writes.push(WriteRequest::read(op, r)?),
            OpCode::GET_DATA => reads.push(ReadRequest::GetData(GetDataRequest::read(r)?)),
            OpCode::GET_CHILDREN => reads.push(ReadRequest::GetChildren(GetChildrenRequest::read(r)?)),
            _ => return Err(BadMulti),
        }
    }
    match (writes.is_empty(), reads.is_empty()) {
        (_, true) => Ok(MultiRequest::Writes(writes)),
        (true, false) => Ok(MultiRequest::Reads(reads)),
        (false, false) => Err(BadMulti),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use oxkeeper_proto::Write as _;

    fn header(out: &mut Vec<u8>, kind: i32, done: bool) {
        MultiHeader { kind, done, err: -1 }.write(out);
    }

    #[test]
    fn kinds_do_not_mix() {
        let mut bytes = Vec::new();
        header(&mut bytes, OpCode::GET_DATA.0, false);
        GetDataRequest { path: Some("/".into()), watch: false }.write(&mut bytes);
        let reads_end = bytes.len();
        header(&mut bytes, -1, true);
        assert!(matches!(read_multi(&mut Reader::new(&bytes)), Ok(MultiRequest::Reads(r)) if r.len() == 1));
        bytes.truncate(reads_end);
        header(&mut bytes, OpCode::DELETE.0, false);
        DeleteRequest { path: Some("/".into()), version: -1 }.write(&mut bytes);
        header(&mut bytes, -1, true);
        assert_eq!(read_multi(&mut Reader::new(&bytes)).err(), Some(BadMulti));
    }

    #[test]
    fn a_list_that_does_not_end_is_refused() {
        let mut bytes = Vec::new();
        header(&mut bytes, OpCode::DELETE.0, false);
        DeleteRequest { path: Some("/".into()), version: -1 }.write(&mut bytes);
        assert_eq!(read_multi(&mut Reader::new(&bytes)).err(), Some(BadMulti));
        bytes.clear();
        bytes.int(3);
        assert_eq!(read_multi(&mut Reader::new(&bytes)).err(), Some(BadMulti));
    }
}
