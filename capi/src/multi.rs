//! Multis: operations as the header has them, and where their results go.

use crate::completion::stat;
use crate::errors::{ZMARSHALLINGERROR, ZOK, ZRUNTIMEINCONSISTENCY};
use crate::memory::copy_out;
use crate::records::{ACL_vector, Stat};
use oxkeeper_client::reply::{self, MultiResult};
use oxkeeper_client::{AclRef, Chroot, CreateMode, MultiOp};
use std::ffi::{c_char, c_int};
use std::ptr;

/// Operation codes of the header that a multi may have.
mod op {
    pub const CREATE: i32 = 1;
    pub const DELETE: i32 = 2;
    pub const SET_DATA: i32 = 5;
    pub const CHECK: i32 = 13;
    pub const CREATE2: i32 = 15;
    pub const CREATE_CONTAINER: i32 = 19;
    pub const CREATE_TTL: i32 = 21;
}

/// `create_op` of `zoo_op_t`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct CreateOp {
    path: *const c_char,
    data: *const c_char,
    datalen: c_int,
    buf: *mut c_char,
    buflen: c_int,
    acl: *const ACL_vector,
    flags: c_int,
    ttl: i64,
}

/// `delete_op` and `check_op`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct VersionOp {
    path: *const c_char,
    version: c_int,
}

/// `set_op`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct SetOp {
    path: *const c_char,
    data: *const c_char,
    datalen: c_int,
    version: c_int,
    stat: *mut Stat,
}

/// What `zoo_op_t` holds, by its type.
#[repr(C)]
pub union OpBody {
    create: CreateOp,
    version: VersionOp,
    set: SetOp,
}

/// `zoo_op_t`.
#[repr(C)]
pub struct Op {
    kind: c_int,
    body: OpBody,
}

/// `zoo_op_result_t`.
#[repr(C)]
pub struct OpResult {
    err: c_int,
    value: *mut c_char,
    valuelen: c_int,
    stat: *mut Stat,
}

/// The layout that programs were compiled with.
const _: () = assert!(size_of::<Op>() == 72 && size_of::<OpResult>() == 32);

/// What an operation's result has besides its code.
#[derive(Clone, Copy)]
enum Slot {
    Path,
    /// Of our extension: a path, and the Stat that the result points to.
    PathAndStat,
    Stat,
    Nothing,
}

/// Where the results of a multi go.
pub struct Plan {
    results: *mut OpResult,
    slots: Box<[Slot]>,
}

/// Why a multi is not sent.
pub enum Refused {
    /// An operation that multis do not have: its type.
    Unimplemented(c_int),
    /// A null pointer, or a length that is none.
    BadArguments,
}

/// Reads the operations and prepares the results. What is lent lives as long as the caller's memory.
///
/// # Safety
/// `ops` and `results` hold `count` elements, and what the operations point to is valid.
pub unsafe fn read<'a, 'b>(
    count: c_int,
    ops: *const Op,
    results: *mut OpResult,
    acls: &'b mut Vec<Vec<AclRef<'a>>>,
) -> Result<(Vec<MultiOp<'b>>, Plan), Refused>
where
    'a: 'b,
{
    let count = usize::try_from(count).unwrap_or(0);
    if count > 0 && (ops.is_null() || results.is_null()) {
        return Err(Refused::BadArguments);
    }
    // SAFETY: the caller's promise; never made from null.
    let ops = if count == 0 { &[] } else { unsafe { std::slice::from_raw_parts(ops, count) } };
    for op in ops {
        if !matches!(op.kind, op::CREATE | op::CREATE2 | op::CREATE_CONTAINER | op::CREATE_TTL | op::DELETE | op::SET_DATA | op::CHECK) {
            return Err(Refused::Unimplemented(op.kind));
        }
    }
    for op in ops {
        acls.push(match op.kind {
            op::DELETE | op::SET_DATA | op::CHECK => Vec::new(),
            // SAFETY: `create` is the member of these types; the caller's promise for the ACL.
            _ => unsafe { crate::arguments::acl(op.body.create.acl).ok_or(Refused::BadArguments)? },
        });
    }
    let acls: &'b [Vec<AclRef<'a>>] = acls;
    let mut slots = Vec::with_capacity(count);
    let mut operations = Vec::with_capacity(count);
    for (i, (op, acl)) in ops.iter().zip(acls).enumerate() {
        // SAFETY: within `count`; the member that belongs to the type; the caller's promise for its pointers.
        let (operation, slot) = unsafe {
            let result = results.add(i);
            match op.kind {
                op::DELETE | op::CHECK => {
                    let VersionOp { path, version } = op.body.version;
                    let path = crate::arguments::string(path).ok_or(Refused::BadArguments)?;
                    let operation =
                        if op.kind == op::DELETE { MultiOp::Delete { path, version } } else { MultiOp::Check { path, version } };
                    (operation, Slot::Nothing)
                }
                op::SET_DATA => {
                    let SetOp { path, data, datalen, version, stat } = op.body.set;
                    let path = crate::arguments::string(path).ok_or(Refused::BadArguments)?;
                    let data = crate::arguments::data(data, datalen).ok_or(Refused::BadArguments)?;
                    (*result).stat = stat;
                    (MultiOp::SetData { path, data, version }, Slot::Stat)
                }
                _ => {
                    let CreateOp { path, data, datalen, buf, buflen, acl: _, flags, ttl } = op.body.create;
                    let path = crate::arguments::string(path).ok_or(Refused::BadArguments)?;
                    let data = crate::arguments::data(data, datalen).ok_or(Refused::BadArguments)?;
                    let mode = CreateMode(flags);
                    (*result).value = buf;
                    (*result).valuelen = buflen;
                    let with_stat = op.kind == op::CREATE2;
                    let ttl_ms = if mode.is_ttl() { ttl } else { -1 };
                    let slot = if with_stat || mode.is_ttl() { Slot::PathAndStat } else { Slot::Path };
                    (MultiOp::Create { path, data, acl: Some(acl), mode, ttl_ms, with_stat }, slot)
                }
            }
        };
        operations.push(operation);
        slots.push(slot);
    }
    Ok((operations, Plan { results, slots: slots.into() }))
}

impl Plan {
    /// Fills the results and gives the code of the whole: the first that is neither success nor -2.
    ///
    /// # Safety
    /// The results are still there, as the header asks.
    pub unsafe fn finish(&self, chroot: &Chroot, rc: c_int, body: &[u8]) -> c_int {
        let read = if rc == ZOK { reply::multi(body).map_err(|_| ZMARSHALLINGERROR) } else { Err(rc) };
        let results = match read {
            Ok(results) if results.len() == self.slots.len() => results,
            // Nothing can be said of any operation, so each has the code of the whole.
            other => {
                let rc = other.err().unwrap_or(ZMARSHALLINGERROR);
                for i in 0..self.slots.len() {
                    // SAFETY: the caller's promise.
                    unsafe { self.fail(i, rc) };
                }
                return rc;
            }
        };
        let mut whole = ZOK;
        for (i, result) in results.iter().enumerate() {
            // SAFETY: the caller's promise; within the count.
            unsafe {
                let to = &mut *self.results.add(i);
                match (self.slots[i], result) {
                    (_, MultiResult::Error(code)) => {
                        if whole == ZOK && code.0 != ZRUNTIMEINCONSISTENCY {
                            whole = code.0;
                        }
                        self.fail(i, code.0);
                    }
                    (Slot::Path | Slot::PathAndStat, MultiResult::Created { path, stat: found }) => {
                        to.err = ZOK;
                        if !to.value.is_null() {
                            copy_out(chroot.cut_or_keep(path), to.value, to.valuelen);
                        }
                        if let (Slot::PathAndStat, Some(found), false) = (self.slots[i], found, to.stat.is_null()) {
                            *to.stat = stat(found);
                        }
                    }
                    (Slot::Stat, MultiResult::Set(found)) => {
                        to.err = ZOK;
                        if !to.stat.is_null() {
                            *to.stat = stat(found);
                        }
                    }
                    (Slot::Nothing, MultiResult::Deleted | MultiResult::Checked) => to.err = ZOK,
                    _ => {
                        whole = ZMARSHALLINGERROR;
                        self.fail(i, whole);
                    }
                }
            }
        }
        whole
    }

    /// # Safety
    /// As [`Plan::finish`].
    unsafe fn fail(&self, i: usize, rc: c_int) {
        // SAFETY: the caller's promise.
        let to = unsafe { &mut *self.results.add(i) };
        to.err = rc;
        match self.slots[i] {
            Slot::Path => to.value = ptr::null_mut(),
            Slot::Stat => to.stat = ptr::null_mut(),
            Slot::PathAndStat => (to.value, to.stat) = (ptr::null_mut(), ptr::null_mut()),
            Slot::Nothing => {}
        }
    }
}

fn create_kind(mode: c_int, ordinary: c_int) -> c_int {
    match CreateMode(mode) {
        CreateMode::CONTAINER => op::CREATE_CONTAINER,
        mode if mode.is_ttl() => op::CREATE_TTL,
        _ => ordinary,
    }
}

/// # Safety
/// `op` is null or points to an operation.
unsafe fn init(to: *mut Op, kind: c_int, body: OpBody) {
    if !to.is_null() {
        // SAFETY: the caller's promise. Only what is known is written: the padding and the rest of the union stay.
        unsafe {
            (*to).kind = kind;
            match kind {
                op::DELETE | op::CHECK => (*to).body.version = body.version,
                op::SET_DATA => (*to).body.set = body.set,
                _ => (*to).body.create = body.create,
            }
        }
    }
}

/// See `zookeeper.h`.
///
/// # Safety
/// `op` is null or points to an operation; what it will point to outlives the multi.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zoo_create_op_init(
    op: *mut Op,
    path: *const c_char,
    value: *const c_char,
    valuelen: c_int,
    acl: *const ACL_vector,
    mode: c_int,
    path_buffer: *mut c_char,
    path_buffer_len: c_int,
) {
    let create = CreateOp { path, data: value, datalen: valuelen, buf: path_buffer, buflen: path_buffer_len, acl, flags: mode, ttl: 0 };
    // SAFETY: the caller's promise.
    unsafe { init(op, create_kind(mode, op::CREATE), OpBody { create }) };
}

/// See `zookeeper_ext.h`.
///
/// # Safety
/// As [`zoo_create_op_init`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zoo_create2_op_init(
    op: *mut Op,
    path: *const c_char,
    value: *const c_char,
    valuelen: c_int,
    acl: *const ACL_vector,
    mode: c_int,
    path_buffer: *mut c_char,
    path_buffer_len: c_int,
) {
    let create = CreateOp { path, data: value, datalen: valuelen, buf: path_buffer, buflen: path_buffer_len, acl, flags: mode, ttl: 0 };
    // SAFETY: the caller's promise.
    unsafe { init(op, create_kind(mode, op::CREATE2), OpBody { create }) };
}

/// See `zookeeper_ext.h`.
///
/// # Safety
/// As [`zoo_create_op_init`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zoo_create_ttl_op_init(
    op: *mut Op,
    path: *const c_char,
    value: *const c_char,
    valuelen: c_int,
    acl: *const ACL_vector,
    mode: c_int,
    ttl: i64,
    path_buffer: *mut c_char,
    path_buffer_len: c_int,
) {
    let create = CreateOp { path, data: value, datalen: valuelen, buf: path_buffer, buflen: path_buffer_len, acl, flags: mode, ttl };
    // SAFETY: the caller's promise.
    unsafe { init(op, create_kind(mode, op::CREATE2), OpBody { create }) };
}

/// See `zookeeper.h`.
///
/// # Safety
/// As [`zoo_create_op_init`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zoo_delete_op_init(op: *mut Op, path: *const c_char, version: c_int) {
    // SAFETY: the caller's promise.
    unsafe { init(op, op::DELETE, OpBody { version: VersionOp { path, version } }) };
}

/// See `zookeeper.h`.
///
/// # Safety
/// As [`zoo_create_op_init`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zoo_set_op_init(
    op: *mut Op,
    path: *const c_char,
    buffer: *const c_char,
    buflen: c_int,
    version: c_int,
    stat: *mut Stat,
) {
    // SAFETY: the caller's promise.
    unsafe { init(op, op::SET_DATA, OpBody { set: SetOp { path, data: buffer, datalen: buflen, version, stat } }) };
}

/// See `zookeeper.h`.
///
/// # Safety
/// As [`zoo_create_op_init`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zoo_check_op_init(op: *mut Op, path: *const c_char, version: c_int) {
    // SAFETY: the caller's promise.
    unsafe { init(op, op::CHECK, OpBody { version: VersionOp { path, version } }) };
}
