//! Requests: what a user may ask for, and its bytes.

use crate::{Chroot, WatcherId, path};
use oxkeeper_proto::{ErrorCode, OpCode, Write};

/// An entry of an ACL, as bytes of the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AclRef<'a> {
    /// Bits of [`oxkeeper_proto::perms`].
    pub perms: i32,
    /// `world`, `auth`, `digest`, ...
    pub scheme: &'a [u8],
    /// Who, in that scheme.
    pub id: &'a [u8],
}

impl AclRef<'static> {
    /// All permissions for anyone.
    pub const OPEN: &'static [AclRef<'static>] = &[AclRef { perms: oxkeeper_proto::perms::ALL, scheme: b"world", id: b"anyone" }];
    /// Reading for anyone.
    pub const READ: &'static [AclRef<'static>] = &[AclRef { perms: oxkeeper_proto::perms::READ, scheme: b"world", id: b"anyone" }];
    /// All permissions for whoever creates it.
    pub const CREATOR: &'static [AclRef<'static>] = &[AclRef { perms: oxkeeper_proto::perms::ALL, scheme: b"auth", id: b"" }];
}

/// What kind of znode a create makes: the `flags` of the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CreateMode(pub i32);

impl CreateMode {
    /// Stays.
    pub const PERSISTENT: Self = Self(0);
    /// Goes with the session.
    pub const EPHEMERAL: Self = Self(1);
    /// Stays; the server appends a number.
    pub const PERSISTENT_SEQUENTIAL: Self = Self(2);
    /// Goes with the session; the server appends a number.
    pub const EPHEMERAL_SEQUENTIAL: Self = Self(3);
    /// Goes when its last child has gone.
    pub const CONTAINER: Self = Self(4);
    /// Goes when nobody has touched it for its time to live.
    pub const PERSISTENT_WITH_TTL: Self = Self(5);
    /// The same, with a number.
    pub const PERSISTENT_SEQUENTIAL_WITH_TTL: Self = Self(6);

    /// Whether the server appends a number.
    pub fn is_sequential(self) -> bool {
        matches!(self, Self::PERSISTENT_SEQUENTIAL | Self::EPHEMERAL_SEQUENTIAL | Self::PERSISTENT_SEQUENTIAL_WITH_TTL)
    }

    /// Whether it has a time to live.
    pub fn is_ttl(self) -> bool {
        matches!(self, Self::PERSISTENT_WITH_TTL | Self::PERSISTENT_SEQUENTIAL_WITH_TTL)
    }

    /// The operation that creates it: containers and times to live have their own.
    fn op(self, with_stat: bool) -> OpCode {
        match self {
            Self::CONTAINER => OpCode::CREATE_CONTAINER,
            mode if mode.is_ttl() => OpCode::CREATE_TTL,
            _ if with_stat => OpCode::CREATE2,
            _ => OpCode::CREATE,
        }
    }
}

/// The longest time to live that a server takes, milliseconds (40 bits).
const LONGEST_TTL_MS: i64 = 0xff_ffff_ffff;

/// What a persistent watch watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum AddWatchMode {
    /// The znode: all four kinds of events.
    Persistent = 0,
    /// The znode and all below it: created, deleted, data.
    PersistentRecursive = 1,
}

/// The tables of watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableKind {
    /// getData, and exists on a znode that is there.
    Data,
    /// exists on a znode that is not there.
    Exist,
    /// getChildren.
    Child,
    /// addWatch.
    Persistent,
    /// addWatch, with all below.
    PersistentRecursive,
}

/// Which watches of a path to remove: the numbers of the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum WatchesToRemove {
    /// Child watches.
    Children = 1,
    /// Data and exist watches.
    Data = 2,
    /// All, persistent ones too.
    Any = 3,
    /// Persistent ones that are not recursive.
    Persistent = 4,
    /// Persistent recursive ones.
    PersistentRecursive = 5,
}

/// A request. Paths are the client's own, the chroot is put before them here. A watcher asked for is registered when
/// the reply comes, by C's rules.
#[derive(Clone, Copy, Debug)]
pub enum Operation<'a> {
    /// create, create2, createContainer or createTTL, as the mode says.
    Create {
        /// Where.
        path: &'a [u8],
        /// What; null and empty are different.
        data: Option<&'a [u8]>,
        /// Who may do what; `None` is a null vector.
        acl: Option<&'a [AclRef<'a>]>,
        /// Which kind.
        mode: CreateMode,
        /// For the modes that have it: 1 to 2^40 - 1; for others below 0.
        ttl_ms: i64,
        /// create2: the reply has a Stat. Containers and TTL znodes always have one.
        with_stat: bool,
    },
    /// delete
    Delete {
        /// Which.
        path: &'a [u8],
        /// Its version, -1 for any.
        version: i32,
    },
    /// exists
    Exists {
        /// Which.
        path: &'a [u8],
        /// Who is told of the next change.
        watch: Option<WatcherId>,
    },
    /// getData
    GetData {
        /// Which.
        path: &'a [u8],
        /// Who is told of the next change.
        watch: Option<WatcherId>,
    },
    /// getData of `/zookeeper/config`, which no chroot moves
    GetConfig {
        /// Who is told of the next change.
        watch: Option<WatcherId>,
    },
    /// setData
    SetData {
        /// Which.
        path: &'a [u8],
        /// What.
        data: Option<&'a [u8]>,
        /// The version it has, -1 for any.
        version: i32,
    },
    /// getACL
    GetAcl {
        /// Which.
        path: &'a [u8],
    },
    /// setACL
    SetAcl {
        /// Which.
        path: &'a [u8],
        /// Who may do what; `None` is a null vector.
        acl: Option<&'a [AclRef<'a>]>,
        /// The ACL version it has, -1 for any.
        version: i32,
    },
    /// getChildren, or getChildren2 when `with_stat`
    GetChildren {
        /// Whose.
        path: &'a [u8],
        /// Who is told of the next change.
        watch: Option<WatcherId>,
        /// Whether the reply has a Stat.
        with_stat: bool,
    },
    /// sync
    Sync {
        /// Any path; it comes back.
        path: &'a [u8],
    },
    /// check, alone
    Check {
        /// Which.
        path: &'a [u8],
        /// The version it must have, -1 for any.
        version: i32,
    },
    /// multi
    Multi(&'a [MultiOp<'a>]),
    /// multiRead
    MultiRead(&'a [ReadOp<'a>]),
    /// reconfig
    Reconfig {
        /// Servers to add or change, `server.N=...` joined by commas.
        joining: Option<&'a [u8]>,
        /// Numbers of servers to remove.
        leaving: Option<&'a [u8]>,
        /// The whole new membership, in place of the other two.
        members: Option<&'a [u8]>,
        /// The configuration that it changes, -1 for any.
        from_config: i64,
    },
    /// whoAmI
    WhoAmI,
    /// getEphemerals
    GetEphemerals {
        /// What they begin with.
        prefix: &'a [u8],
    },
    /// getAllChildrenNumber
    GetAllChildrenNumber {
        /// Below which.
        path: &'a [u8],
    },
    /// addWatch
    AddWatch {
        /// Where.
        path: &'a [u8],
        /// With or without all below.
        mode: AddWatchMode,
        /// Who is told.
        watcher: WatcherId,
    },
    /// Any other, encoded by the caller, chroot and all.
    Raw {
        /// Which.
        op: OpCode,
        /// What comes after the request's header.
        body: &'a [u8],
        /// The watch that it asks for, if any.
        watch: Option<RawWatch<'a>>,
    },
}

/// The watch that a raw request asks for.
#[derive(Clone, Copy, Debug)]
pub struct RawWatch<'a> {
    /// Which request's rule holds: `Data` for getData, `Exist` for exists, `Child`, or one of the persistent ones.
    pub rule: TableKind,
    /// The server's path, chroot and all.
    pub server_path: &'a [u8],
    /// Who is told.
    pub watcher: WatcherId,
}

/// An operation of a multi.
#[derive(Clone, Copy, Debug)]
pub enum MultiOp<'a> {
    /// See [`Operation::Create`].
    Create {
        /// Where.
        path: &'a [u8],
        /// What.
        data: Option<&'a [u8]>,
        /// Who may do what; `None` is a null vector.
        acl: Option<&'a [AclRef<'a>]>,
        /// Which kind.
        mode: CreateMode,
        /// For the modes that have it; for others below 0.
        ttl_ms: i64,
        /// create2: the result has a Stat.
        with_stat: bool,
    },
    /// See [`Operation::Delete`].
    Delete {
        /// Which.
        path: &'a [u8],
        /// Its version, -1 for any.
        version: i32,
    },
    /// See [`Operation::SetData`].
    SetData {
        /// Which.
        path: &'a [u8],
        /// What.
        data: Option<&'a [u8]>,
        /// The version it has, -1 for any.
        version: i32,
    },
    /// See [`Operation::Check`].
    Check {
        /// Which.
        path: &'a [u8],
        /// The version it must have, -1 for any.
        version: i32,
    },
}

/// An operation of a multiRead.
#[derive(Clone, Copy, Debug)]
pub enum ReadOp<'a> {
    /// See [`Operation::GetData`].
    GetData {
        /// Which.
        path: &'a [u8],
    },
    /// See [`Operation::GetChildren`].
    GetChildren {
        /// Whose.
        path: &'a [u8],
    },
}

/// Why a request is not taken. Nothing will complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubmitError {
    /// A bad path or another bad argument.
    BadArguments,
    /// The session is over.
    InvalidState,
    /// It is being closed.
    Closing,
    /// No such watch is known here.
    NoWatcher,
}

impl SubmitError {
    /// C's ZINVALIDSTATE.
    pub const INVALID_STATE: ErrorCode = ErrorCode(-9);
    /// C's ZCLOSING; also the end of requests that were under way when the client was closed.
    pub const CLOSING: ErrorCode = ErrorCode(-116);
    /// C's ZSSLCONNECTIONERROR; the end of requests when TLS failed.
    pub const TLS: ErrorCode = ErrorCode(-15);

    /// The number.
    pub fn code(self) -> ErrorCode {
        match self {
            Self::BadArguments => ErrorCode::BAD_ARGUMENTS,
            Self::InvalidState => Self::INVALID_STATE,
            Self::Closing => Self::CLOSING,
            Self::NoWatcher => ErrorCode::NO_WATCHER,
        }
    }
}

/// What a reply does to the tables of watches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Adds a watch, if the reply is of the kind.
    Arm { rule: TableKind, path: Box<[u8]>, watcher: WatcherId },
    /// Removes watches of a path; `None` all, else one watcher's.
    Disarm { which: WatchesToRemove, path: Box<[u8]>, watcher: Option<WatcherId> },
}

/// A request whose reply has not come.
#[derive(Debug)]
pub(crate) struct Pending {
    pub tag: u64,
    pub xid: i32,
    pub op: OpCode,
    pub effect: Option<Box<Effect>>,
}

/// Requests encoded apart from the machine, so that many threads can prepare them without its lock:
/// [`Client::submit_batch`](crate::Client::submit_batch) takes them all at once.
#[derive(Debug, Default)]
pub struct RequestBatch {
    /// Whole frames, with xids still to be written.
    pub(crate) bytes: Vec<u8>,
    /// In the order of the frames: where each begins, and what it is.
    pub(crate) requests: Vec<(usize, Pending)>,
}

impl RequestBatch {
    /// Appends one.
    ///
    /// # Errors
    /// Bad arguments; nothing is appended then.
    #[inline]
    pub fn push(&mut self, chroot: &Chroot, tag: u64, operation: &Operation<'_>) -> Result<(), SubmitError> {
        let at = self.bytes.len();
        let (op, effect) = encode_frame(&mut self.bytes, chroot, 0, operation)?;
        self.requests.push((at, Pending { tag, xid: 0, op, effect }));
        Ok(())
    }

    /// How many are in it.
    pub fn len(&self) -> usize {
        self.requests.len()
    }

    /// Whether none is in it.
    pub fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }

    /// Bytes of their frames.
    pub fn byte_count(&self) -> usize {
        self.bytes.len()
    }
}

/// Where the xid stands in a frame: behind its length.
pub(crate) const XID_OFFSET: usize = 4;

/// Appends a whole frame; on an error the buffer is as before.
#[inline]
pub(crate) fn encode_frame(
    out: &mut Vec<u8>,
    chroot: &Chroot,
    xid: i32,
    operation: &Operation<'_>,
) -> Result<(OpCode, Option<Box<Effect>>), SubmitError> {
    let at = out.len();
    out.extend_from_slice(&[0; 4]);
    out.int(xid);
    let op = operation.op();
    out.int(op.0);
    let encoded = encode_body(out, chroot, operation).and_then(|effect| finish_frame(out, at).map(|()| (op, effect)));
    if encoded.is_err() {
        out.truncate(at);
    }
    encoded
}

/// Writes the length before a frame that began there; one that has no length is nobody's request.
pub(crate) fn finish_frame(out: &mut [u8], at: usize) -> Result<(), SubmitError> {
    let length = i32::try_from(out.len() - at - 4).map_err(|_| SubmitError::BadArguments)?;
    out[at..at + 4].copy_from_slice(&length.to_be_bytes());
    Ok(())
}

impl Operation<'_> {
    /// The code on the wire.
    pub fn op(&self) -> OpCode {
        match self {
            Self::Create { mode, with_stat, .. } => mode.op(*with_stat),
            Self::Delete { .. } => OpCode::DELETE,
            Self::Exists { .. } => OpCode::EXISTS,
            Self::GetData { .. } | Self::GetConfig { .. } => OpCode::GET_DATA,
            Self::SetData { .. } => OpCode::SET_DATA,
            Self::GetAcl { .. } => OpCode::GET_ACL,
            Self::SetAcl { .. } => OpCode::SET_ACL,
            Self::GetChildren { with_stat: false, .. } => OpCode::GET_CHILDREN,
            Self::GetChildren { with_stat: true, .. } => OpCode::GET_CHILDREN2,
            Self::Sync { .. } => OpCode::SYNC,
            Self::Check { .. } => OpCode::CHECK,
            Self::Multi(_) => OpCode::MULTI,
            Self::MultiRead(_) => OpCode::MULTI_READ,
            Self::Reconfig { .. } => OpCode::RECONFIG,
            Self::WhoAmI => OpCode::WHO_AM_I,
            Self::GetEphemerals { .. } => OpCode::GET_EPHEMERALS,
            Self::GetAllChildrenNumber { .. } => OpCode::GET_ALL_CHILDREN_NUMBER,
            Self::AddWatch { .. } => OpCode::ADD_WATCH,
            Self::Raw { op, .. } => *op,
        }
    }
}

fn encode_body(out: &mut Vec<u8>, chroot: &Chroot, operation: &Operation<'_>) -> Result<Option<Box<Effect>>, SubmitError> {
    match *operation {
        Operation::Create { path, data, acl, mode, ttl_ms, with_stat: _ } => put_create(out, chroot, path, data, acl, mode, ttl_ms)?,
        Operation::Delete { path, version } | Operation::Check { path, version } => {
            put_path(out, chroot, path, false)?;
            out.int(version);
        }
        Operation::Exists { path, watch } => return put_watched(out, chroot, path, watch, TableKind::Exist),
        Operation::GetData { path, watch } => return put_watched(out, chroot, path, watch, TableKind::Data),
        Operation::GetConfig { watch } => {
            return put_watched(out, &Chroot::default(), oxkeeper_proto::path::CONFIG.as_bytes(), watch, TableKind::Data);
        }
        Operation::SetData { path, data, version } => {
            put_path(out, chroot, path, false)?;
            put_data(out, data)?;
            out.int(version);
        }
        Operation::GetAcl { path } | Operation::Sync { path } | Operation::GetAllChildrenNumber { path } => {
            put_path(out, chroot, path, false)?
        }
        Operation::GetEphemerals { prefix } => put_path(out, chroot, prefix, false)?,
        Operation::SetAcl { path, acl, version } => {
            put_path(out, chroot, path, false)?;
            put_acl(out, acl);
            out.int(version);
        }
        Operation::GetChildren { path, watch, with_stat: _ } => return put_watched(out, chroot, path, watch, TableKind::Child),
        Operation::Multi(operations) => {
            for operation in operations {
                put_multi_op(out, chroot, operation)?;
            }
            put_multi_header(out, -1, true);
        }
        Operation::MultiRead(operations) => {
            for operation in operations {
                let (op, path) = match *operation {
                    ReadOp::GetData { path } => (OpCode::GET_DATA, path),
                    ReadOp::GetChildren { path } => (OpCode::GET_CHILDREN, path),
                };
                put_multi_header(out, op.0, false);
                put_path(out, chroot, path, false)?;
                out.boolean(false);
            }
            put_multi_header(out, -1, true);
        }
        Operation::Reconfig { joining, leaving, members, from_config } => {
            out.buffer(joining);
            out.buffer(leaving);
            out.buffer(members);
            out.long(from_config);
        }
        Operation::WhoAmI => {}
        Operation::AddWatch { path, mode, watcher } => {
            put_path(out, chroot, path, false)?;
            out.int(mode as i32);
            let rule = match mode {
                AddWatchMode::Persistent => TableKind::Persistent,
                AddWatchMode::PersistentRecursive => TableKind::PersistentRecursive,
            };
            return Ok(Some(arm(rule, server_path(chroot, path), watcher)));
        }
        Operation::Raw { op: _, body, watch } => {
            if body.len() > LONGEST_BODY_BYTES {
                return Err(SubmitError::BadArguments);
            }
            out.extend_from_slice(body);
            return Ok(watch.map(|watch| arm(watch.rule, watch.server_path.into(), watch.watcher)));
        }
    }
    Ok(None)
}

/// Data and raw bodies beyond this are refused here: no server takes them, and a frame's length has 31 bits.
const LONGEST_BODY_BYTES: usize = 1 << 30;

fn arm(rule: TableKind, path: Box<[u8]>, watcher: WatcherId) -> Box<Effect> {
    Box::new(Effect::Arm { rule, path, watcher })
}

pub(crate) fn server_path(chroot: &Chroot, path: &[u8]) -> Box<[u8]> {
    let mut out = Vec::with_capacity(chroot.pushed_length(path));
    chroot.push(path, &mut out);
    out.into()
}

#[inline]
fn put_watched(
    out: &mut Vec<u8>,
    chroot: &Chroot,
    path: &[u8],
    watch: Option<WatcherId>,
    rule: TableKind,
) -> Result<Option<Box<Effect>>, SubmitError> {
    put_path(out, chroot, path, false)?;
    out.boolean(watch.is_some());
    Ok(watch.map(|watcher| arm(rule, server_path(chroot, path), watcher)))
}

#[inline]
pub(crate) fn put_path(out: &mut Vec<u8>, chroot: &Chroot, path: &[u8], is_sequential: bool) -> Result<(), SubmitError> {
    if path.len() > LONGEST_BODY_BYTES || !path::is_valid(path, is_sequential) {
        return Err(SubmitError::BadArguments);
    }
    out.int(chroot.pushed_length(path) as i32);
    chroot.push(path, out);
    Ok(())
}

fn put_data(out: &mut Vec<u8>, data: Option<&[u8]>) -> Result<(), SubmitError> {
    if data.is_some_and(|data| data.len() > LONGEST_BODY_BYTES) {
        return Err(SubmitError::BadArguments);
    }
    out.buffer(data);
    Ok(())
}

fn put_acl(out: &mut Vec<u8>, acl: Option<&[AclRef<'_>]>) {
    out.vector(acl, |out, entry| {
        out.int(entry.perms);
        out.buffer(Some(entry.scheme));
        out.buffer(Some(entry.id));
    });
}

fn put_create(
    out: &mut Vec<u8>,
    chroot: &Chroot,
    path: &[u8],
    data: Option<&[u8]>,
    acl: Option<&[AclRef<'_>]>,
    mode: CreateMode,
    ttl_ms: i64,
) -> Result<(), SubmitError> {
    let ttl_fits = if mode.is_ttl() { (1..=LONGEST_TTL_MS).contains(&ttl_ms) } else { ttl_ms < 0 };
    if !ttl_fits {
        return Err(SubmitError::BadArguments);
    }
    put_path(out, chroot, path, mode.is_sequential())?;
    put_data(out, data)?;
    put_acl(out, acl);
    out.int(mode.0);
    if mode.is_ttl() {
        out.long(ttl_ms);
    }
    Ok(())
}

fn put_multi_header(out: &mut Vec<u8>, kind: i32, is_last: bool) {
    out.int(kind);
    out.boolean(is_last);
    out.int(-1);
}

fn put_multi_op(out: &mut Vec<u8>, chroot: &Chroot, operation: &MultiOp<'_>) -> Result<(), SubmitError> {
    match *operation {
        MultiOp::Create { path, data, acl, mode, ttl_ms, with_stat } => {
            put_multi_header(out, mode.op(with_stat).0, false);
            put_create(out, chroot, path, data, acl, mode, ttl_ms)
        }
        MultiOp::Delete { path, version } => {
            put_multi_header(out, OpCode::DELETE.0, false);
            put_path(out, chroot, path, false)?;
            out.int(version);
            Ok(())
        }
        MultiOp::SetData { path, data, version } => {
            put_multi_header(out, OpCode::SET_DATA.0, false);
            put_path(out, chroot, path, false)?;
            put_data(out, data)?;
            out.int(version);
            Ok(())
        }
        MultiOp::Check { path, version } => {
            put_multi_header(out, OpCode::CHECK.0, false);
            put_path(out, chroot, path, false)?;
            out.int(version);
            Ok(())
        }
    }
}
