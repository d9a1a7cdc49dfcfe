//! Reads: answered in place from the committed tree.

use crate::frame;
use crate::meter::Meter;
use crate::request::{Identities, MultiRequest, ReadRequest, read_multi};
use oxkeeper_auth::{Identity, Schemes, user_name};
use oxkeeper_proto::acl::to_records;
use oxkeeper_proto::records::{
    AddWatchRequest, CheckWatchesRequest, ClientInfo, ErrorResponse, ExistsRequest, GetAclRequest, GetAclResponse,
    GetAllChildrenNumberRequest, GetChildren2Request, GetChildrenRequest, GetDataRequest, GetEphemeralsRequest, GetEphemeralsResponse,
    MultiHeader, ReplyHeader, SetWatches, SetWatches2, SyncRequest, SyncResponse, WhoAmIResponse,
};
use oxkeeper_proto::{ErrorCode, JuteError, OpCode, Reader, Record, SessionId, Write, Zxid, perms};
use oxkeeper_tree::watches::{Mode, Table, WatcherType, Watches};
use oxkeeper_tree::{Node, Tree};
use std::sync::Mutex;

/// The watches of the connection's front: not locked yet, or in the hands of whoever applies.
pub enum WatchesAccess<'a> {
    /// To be locked when a watch is set.
    Shared(&'a Mutex<Watches>),
    /// Locked already.
    Held(&'a mut Watches),
}

impl WatchesAccess<'_> {
    fn with<T>(&mut self, f: impl FnOnce(&mut Watches) -> T) -> T {
        match self {
            WatchesAccess::Shared(mutex) => f(&mut mutex.lock().expect("no holder of the watches panics")),
            WatchesAccess::Held(watches) => f(watches),
        }
    }
}

/// Who reads what.
pub struct Reading<'a> {
    /// The committed state.
    pub tree: &'a Tree,
    /// Where watches are set.
    pub watches: WatchesAccess<'a>,
    /// The connection's slot in its front.
    pub watcher: u32,
    /// The connection's session.
    pub session: SessionId,
    /// Who asks.
    pub identities: &'a Identities,
    /// The rules of identities.
    pub schemes: &'a Schemes,
    /// Told of what is read.
    pub meter: &'a mut dyn Meter,
}

/// Why a read is answered with an error.
enum Refused {
    /// The header alone.
    Empty(ErrorCode),
    /// The header, and behind it what has been written so far.
    WithBody(ErrorCode),
}

impl From<JuteError> for Refused {
    fn from(_: JuteError) -> Self {
        Refused::Empty(ErrorCode::MARSHALLING_ERROR)
    }
}

impl From<ErrorCode> for Refused {
    fn from(code: ErrorCode) -> Self {
        Refused::Empty(code)
    }
}

/// Whether the op is answered here.
pub fn is_read(op: OpCode) -> bool {
    matches!(
        op,
        OpCode::EXISTS
            | OpCode::GET_DATA
            | OpCode::GET_ACL
            | OpCode::GET_CHILDREN
            | OpCode::GET_CHILDREN2
            | OpCode::SYNC
            | OpCode::PING
            | OpCode::CHECK_WATCHES
            | OpCode::REMOVE_WATCHES
            | OpCode::MULTI_READ
            | OpCode::SET_WATCHES
            | OpCode::SET_WATCHES2
            | OpCode::GET_EPHEMERALS
            | OpCode::GET_ALL_CHILDREN_NUMBER
            | OpCode::ADD_WATCH
            | OpCode::WHO_AM_I
    )
}

/// A multiRead gets this many bytes, and the op that goes beyond it in full; those after it are told
/// that they were not done. A megabyte of ops on one large node would fill tens of gigabytes, which
/// ends a Java server; no client takes a packet of this size by default.
const MULTI_READ_LIMIT_BYTES: usize = 64 << 20;

impl<'a> Reading<'a> {
    /// Appends the answer to a read, and before it the events that a SetWatches brings up.
    pub fn serve(&mut self, xid: i32, op: OpCode, body: &[u8], max_length: i32, out: &mut Vec<u8>) {
        let zxid = self.tree.last_zxid().0;
        let mut r = Reader::with_max_length(body, max_length);
        if matches!(op, OpCode::SET_WATCHES | OpCode::SET_WATCHES2) {
            let err = self.set_watches(op, &mut r, out).err().unwrap_or(ErrorCode::OK);
            frame::header(out, xid, zxid, err);
            return;
        }
        let xid = if op == OpCode::PING { frame::PING_XID } else { xid };
        let start = out.len();
        out.int(0);
        ReplyHeader { xid, zxid, err: 0 }.write(out);
        const ERR: usize = 4 + 4 + 8;
        match self.answer(op, &mut r, out) {
            Ok(()) => {}
            Err(Refused::Empty(code)) => {
                out.truncate(start + ERR);
                out.int(code.0);
            }
            Err(Refused::WithBody(code)) => out[start + ERR..start + ERR + 4].copy_from_slice(&code.0.to_be_bytes()),
        }
        let length = i32::try_from(out.len() - start - 4).expect("a multiRead is cut off before 2 GiB, and one node's children are fewer");
        out[start..start + 4].copy_from_slice(&length.to_be_bytes());
    }

    fn answer(&mut self, op: OpCode, r: &mut Reader<'_>, out: &mut Vec<u8>) -> Result<(), Refused> {
        match op {
            OpCode::PING => {}
            OpCode::GET_DATA => {
                let request = GetDataRequest::read(r)?;
                let path = given(request.path.as_deref())?;
                self.get_data(path, out)?;
                if request.watch {
                    self.watch(path, Mode::Standard, Table::Data);
                }
            }
            OpCode::EXISTS => {
                let request = ExistsRequest::read(r)?;
                let path = given(request.path.as_deref())?;
                if path.contains('\0') {
                    return Err(ErrorCode::BAD_ARGUMENTS.into());
                }
                let node = self.tree.get(path);
                if let Some(node) = node {
                    self.permit(node, perms::READ)?;
                }
                if request.watch {
                    self.watch(path, Mode::Standard, Table::Data);
                }
                node.ok_or(ErrorCode::NO_NODE)?.stat().write(out);
                self.meter.read(path, 0);
            }
            OpCode::GET_CHILDREN => {
                let request = GetChildrenRequest::read(r)?;
                let path = given(request.path.as_deref())?;
                self.get_children(path, out)?;
                if request.watch {
                    self.watch(path, Mode::Standard, Table::Child);
                }
            }
            OpCode::GET_CHILDREN2 => {
                let request = GetChildren2Request::read(r)?;
                let path = given(request.path.as_deref())?;
                let node = self.get_children(path, out)?;
                node.stat().write(out);
                if request.watch {
                    self.watch(path, Mode::Standard, Table::Child);
                }
            }
            OpCode::GET_ACL => {
                let request = GetAclRequest::read(r)?;
                let node = self.node(request.path.as_deref())?;
                self.permit(node, perms::READ).or_else(|_| self.permit(node, perms::ADMIN))?;
                let shown = match self.permit(node, perms::ADMIN) {
                    Ok(()) => node.acl().clone(),
                    Err(_) => self.schemes.mask_digests(node.acl(), self.identities),
                };
                GetAclResponse { acl: Some(to_records(&shown)), stat: node.stat() }.write(out);
            }
            OpCode::GET_ALL_CHILDREN_NUMBER => {
                let request = GetAllChildrenNumberRequest::read(r)?;
                let path = given(request.path.as_deref())?;
                self.permit(self.node(Some(path))?, perms::READ)?;
                out.int(self.tree.all_children_number(path) as i32);
            }
            OpCode::GET_EPHEMERALS => {
                let request = GetEphemeralsRequest::read(r)?;
                let prefix = request.prefix_path.as_deref().unwrap_or_default();
                let paths = self.tree.ephemerals_with_prefix(self.session, prefix);
                let ephemerals = paths.into_iter().map(|path| Some(path.into())).collect();
                GetEphemeralsResponse { ephemerals: Some(ephemerals) }.write(out);
            }
            OpCode::SYNC => {
                let request = SyncRequest::read(r)?;
                SyncResponse { path: request.path }.write(out);
            }
            OpCode::WHO_AM_I => {
                let info = |id: &'a Identity| ClientInfo { auth_scheme: Some((&*id.scheme).into()), user: Some(user_name(id).into()) };
                WhoAmIResponse { client_info: Some(self.identities.iter().map(info).collect()) }.write(out);
            }
            OpCode::ADD_WATCH => {
                let request = AddWatchRequest::read(r)?;
                match request.mode {
                    mode @ 0..=1 => {
                        let watcher = self.watcher;
                        // Java watches the null path, too: nothing ever happens to it.
                        if let Some(path) = request.path.as_deref() {
                            self.watches.with(|w| w.add_persistent(path, watcher, mode == 1));
                        }
                    }
                    _ => return Err(ErrorCode::MARSHALLING_ERROR.into()),
                }
                ErrorResponse { err: 0 }.write(out);
            }
            OpCode::CHECK_WATCHES | OpCode::REMOVE_WATCHES => {
                let request = CheckWatchesRequest::read(r)?;
                let kind = WatcherType::from_wire(request.kind).ok_or(ErrorCode::MARSHALLING_ERROR)?;
                // Java looks for the null path and does not find it.
                let path = request.path.as_deref().ok_or(ErrorCode::NO_WATCHER)?;
                let watcher = self.watcher;
                let found = self
                    .watches
                    .with(|w| if op == OpCode::CHECK_WATCHES { w.contains(path, watcher, kind) } else { w.remove(path, watcher, kind) });
                if !found {
                    return Err(ErrorCode::NO_WATCHER.into());
                }
            }
            OpCode::MULTI_READ => self.multi_read(r, out)?,
            other => unreachable!("{other:?} is no read"),
        }
        Ok(())
    }

    fn get_data(&mut self, path: &str, out: &mut Vec<u8>) -> Result<(), Refused> {
        let node = self.node(Some(path))?;
        self.permit(node, perms::READ)?;
        out.buffer(node.data());
        node.stat().write(out);
        self.meter.read(path, node.data().map_or(0, <[u8]>::len));
        Ok(())
    }

    fn get_children(&mut self, path: &str, out: &mut Vec<u8>) -> Result<Node<'a>, Refused> {
        let node = self.node(Some(path))?;
        self.permit(node, perms::READ)?;
        let start = out.len();
        node.write_children(out);
        // A count, and a length before each name.
        self.meter.read(path, (out.len() - start).saturating_sub(4 + 4 * node.child_count()));
        Ok(node)
    }

    /// Each op for itself; watches are never set. What Java stumbles over (writes, a null path) ends
    /// the list, and the results so far are sent with the error.
    fn multi_read(&mut self, r: &mut Reader<'_>, out: &mut Vec<u8>) -> Result<(), Refused> {
        let list = read_multi(r).map_err(|_| ErrorCode::MARSHALLING_ERROR)?;
        let (reads, mut stumbled) = match list {
            MultiRequest::Reads(reads) => (reads, false),
            MultiRequest::Writes(writes) => (Vec::new(), !writes.is_empty()),
        };
        let begin = out.len();
        for read in reads {
            let start = out.len();
            if start - begin > MULTI_READ_LIMIT_BYTES {
                let code = ErrorCode::THROTTLED_OP;
                MultiHeader { kind: OpCode::ERROR.0, done: false, err: code.0 }.write(out);
                ErrorResponse { err: code.0 }.write(out);
                continue;
            }
            let (op, path) = match &read {
                ReadRequest::GetData(request) => (OpCode::GET_DATA, request.path.as_deref()),
                ReadRequest::GetChildren(request) => (OpCode::GET_CHILDREN, request.path.as_deref()),
            };
            let Some(path) = path else {
                stumbled = true;
                break;
            };
            MultiHeader { kind: op.0, done: false, err: 0 }.write(out);
            let result = match read {
                ReadRequest::GetData(_) => self.get_data(path, out),
                ReadRequest::GetChildren(_) => self.get_children(path, out).map(|_| ()),
            };
            if let Err(Refused::Empty(code) | Refused::WithBody(code)) = result {
                out.truncate(start);
                MultiHeader { kind: OpCode::ERROR.0, done: false, err: code.0 }.write(out);
                ErrorResponse { err: code.0 }.write(out);
            }
        }
        MultiHeader { kind: -1, done: true, err: -1 }.write(out);
        if stumbled { Err(Refused::WithBody(ErrorCode::MARSHALLING_ERROR)) } else { Ok(()) }
    }

    /// Watches of a client that comes back; what it missed goes out first, with zxid -1.
    fn set_watches(&mut self, op: OpCode, r: &mut Reader<'_>, out: &mut Vec<u8>) -> Result<(), ErrorCode> {
        let bad = |_| ErrorCode::MARSHALLING_ERROR;
        let mut request = if op == OpCode::SET_WATCHES {
            let SetWatches { relative_zxid, data_watches, exist_watches, child_watches } = SetWatches::read(r).map_err(bad)?;
            let (persistent_watches, persistent_recursive_watches) = (Some(Vec::new()), Some(Vec::new()));
            SetWatches2 { relative_zxid, data_watches, exist_watches, child_watches, persistent_watches, persistent_recursive_watches }
        } else {
            SetWatches2::read(r).map_err(bad)?
        };
        let (tree, watcher, relative_zxid) = (self.tree, self.watcher, request.relative_zxid);
        let stumbled = cut_at_null(&mut request);
        let missed = self.watches.with(|w| w.set_watches(tree, &request, watcher, Zxid(relative_zxid)));
        for event in missed {
            frame::notification(out, -1, event.kind, event.path);
        }
        if stumbled { Err(ErrorCode::MARSHALLING_ERROR) } else { Ok(()) }
    }

    fn watch(&mut self, path: &str, mode: Mode, table: Table) {
        let watcher = self.watcher;
        self.watches.with(|w| w.add(path, watcher, mode, table));
    }

    fn node(&self, path: Option<&str>) -> Result<Node<'a>, Refused> {
        Ok(self.tree.get(given(path)?).ok_or(ErrorCode::NO_NODE)?)
    }

    fn permit(&self, node: Node<'_>, perm: i32) -> Result<(), Refused> {
        if self.schemes.permits(node.acl(), perm, self.identities) { Ok(()) } else { Err(ErrorCode::NO_AUTH.into()) }
    }
}

/// Java goes through the lists in order and stumbles over the first null, of a list or of a path;
/// what came before has its effect. Cuts the lists there and says whether there was one.
fn cut_at_null(request: &mut SetWatches2<'_>) -> bool {
    let lists = [
        &mut request.data_watches,
        &mut request.exist_watches,
        &mut request.child_watches,
        &mut request.persistent_watches,
        &mut request.persistent_recursive_watches,
    ];
    let mut stumbled = false;
    for list in lists {
        match list {
            _ if stumbled => *list = None,
            None => stumbled = true,
            Some(paths) => {
                if let Some(at) = paths.iter().position(Option::is_none) {
                    paths.truncate(at);
                    stumbled = true;
                }
            }
        }
    }
    stumbled
}

/// A null path cannot be looked up: Java stumbles over it and says that it cannot decode it.
fn given(path: Option<&str>) -> Result<&str, Refused> {
    path.ok_or(Refused::Empty(ErrorCode::MARSHALLING_ERROR))
}
