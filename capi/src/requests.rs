//! The asynchronous calls. Each only translates: arguments to an operation, the end of it to a callback.

use crate::arguments::{acl, data as bytes, string};
use crate::completion::{
    AclFn, Callback, ClientInfoFn, DataFn, NumberFn, Pending, StatFn, StringFn, StringStatFn, StringsFn, StringsStatFn, VoidFn,
};
use crate::errors::{ZBADARGUMENTS, ZINVALIDSTATE, ZNOWATCHER, ZOK, ZUNIMPLEMENTED};
use crate::handle::{Handle, handle};
use crate::log::log;
use crate::multi::{self, Op, OpResult, Refused};
use crate::records::ACL_vector;
use crate::watchers::{self, WatcherFn};
use oxkeeper_client::{AclRef, AddWatchMode, CreateMode, Operation, SubmitError, WatcherId, WatchesToRemove};
use std::ffi::{c_char, c_int, c_void};

/// `ZooWatcherType` of the header; any number may come.
pub type WatcherType = c_int;

/// `ZooAddWatchMode` of `zookeeper_ext.h`; any number may come.
pub type AddMode = c_int;

/// Submits, with a callback.
fn start(zh: &Handle, operation: &Operation<'_>, callback: Callback, data: *const c_void) -> c_int {
    begin(callback, data, |tag| zh.engine.submit(tag, operation))
}

/// Makes the completion and takes it back when the request is refused.
fn begin(callback: Callback, data: *const c_void, submit: impl FnOnce(u64) -> Result<(), SubmitError>) -> c_int {
    let tag = Pending { callback, data }.into_tag();
    match submit(tag) {
        Ok(()) => ZOK,
        Err(refused) => {
            // SAFETY: refused: nobody else has the tag.
            drop(unsafe { Pending::from_tag(tag) });
            refused.code().0
        }
    }
}

/// The watcher of a call with a watch flag.
pub fn flagged(zh: &Handle, watch: c_int) -> Option<WatcherId> {
    (watch != 0).then(|| zh.default_watcher())
}

/// The watcher of a call that names one.
pub fn named(watcher: WatcherFn, context: *mut c_void) -> Option<WatcherId> {
    watcher.map(|watcher| watchers::id(watcher, context))
}

/// The create operation of the arguments.
///
/// # Safety
/// The pointers are null or valid for as long as the operation is used.
pub unsafe fn create_operation<'a>(
    path: *const c_char,
    value: *const c_char,
    length: c_int,
    acl: &'a [AclRef<'a>],
    mode: c_int,
    ttl_ms: i64,
    with_stat: bool,
) -> Option<Operation<'a>> {
    // SAFETY: the caller's promise.
    unsafe {
        Some(Operation::Create {
            path: string(path)?,
            data: bytes(value, length)?,
            acl: Some(acl),
            mode: CreateMode(mode),
            ttl_ms,
            with_stat,
        })
    }
}

/// See `zookeeper.h`.
///
/// # Safety
/// As the header says: valid or null pointers, a handle that has not been closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zoo_acreate(
    zh: *mut Handle,
    path: *const c_char,
    value: *const c_char,
    valuelen: c_int,
    acl_entries: *const ACL_vector,
    mode: c_int,
    completion: StringFn,
    data: *const c_void,
) -> c_int {
    // SAFETY: the caller's promise.
    let (Some(zh), Some(acl)) = (unsafe { (handle(zh), acl(acl_entries)) }) else { return ZBADARGUMENTS };
    // SAFETY: the caller's promise.
    let Some(operation) = (unsafe { create_operation(path, value, valuelen, &acl, mode, -1, false) }) else {
        return ZBADARGUMENTS;
    };
    start(zh, &operation, Callback::String(completion), data)
}

/// See `zookeeper.h`.
///
/// # Safety
/// As the header says: valid or null pointers, a handle that has not been closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zoo_acreate_ttl(
    zh: *mut Handle,
    path: *const c_char,
    value: *const c_char,
    valuelen: c_int,
    acl_entries: *const ACL_vector,
    mode: c_int,
    ttl: i64,
    completion: StringFn,
    data: *const c_void,
) -> c_int {
    // SAFETY: the caller's promise.
    let (Some(zh), Some(acl)) = (unsafe { (handle(zh), acl(acl_entries)) }) else { return ZBADARGUMENTS };
    // SAFETY: the caller's promise.
    let Some(operation) = (unsafe { create_operation(path, value, valuelen, &acl, mode, ttl, false) }) else {
        return ZBADARGUMENTS;
    };
    start(zh, &operation, Callback::String(completion), data)
}

/// See `zookeeper.h`.
///
/// # Safety
/// As the header says: valid or null pointers, a handle that has not been closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zoo_acreate2(
    zh: *mut Handle,
    path: *const c_char,
    value: *const c_char,
    valuelen: c_int,
    acl_entries: *const ACL_vector,
    mode: c_int,
    completion: StringStatFn,
    data: *const c_void,
) -> c_int {
    // SAFETY: the caller's promise.
    let (Some(zh), Some(acl)) = (unsafe { (handle(zh), acl(acl_entries)) }) else { return ZBADARGUMENTS };
    // SAFETY: the caller's promise.
    let Some(operation) = (unsafe { create_operation(path, value, valuelen, &acl, mode, -1, true) }) else {
        return ZBADARGUMENTS;
    };
    start(zh, &operation, Callback::StringStat(completion), data)
}

/// See `zookeeper.h`.
///
/// # Safety
/// As the header says: valid or null pointers, a handle that has not been closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zoo_acreate2_ttl(
    zh: *mut Handle,
    path: *const c_char,
    value: *const c_char,
    valuelen: c_int,
    acl_entries: *const ACL_vector,
    mode: c_int,
    ttl: i64,
    completion: StringStatFn,
    data: *const c_void,
) -> c_int {
    // SAFETY: the caller's promise.
    let (Some(zh), Some(acl)) = (unsafe { (handle(zh), acl(acl_entries)) }) else { return ZBADARGUMENTS };
    // SAFETY: the caller's promise.
    let Some(operation) = (unsafe { create_operation(path, value, valuelen, &acl, mode, ttl, true) }) else {
        return ZBADARGUMENTS;
    };
    start(zh, &operation, Callback::StringStat(completion), data)
}

/// See `zookeeper.h`.
///
/// # Safety
/// As the header says: valid or null pointers, a handle that has not been closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zoo_adelete(
    zh: *mut Handle,
    path: *const c_char,
    version: c_int,
    completion: VoidFn,
    data: *const c_void,
) -> c_int {
    // SAFETY: the caller's promise.
    let (Some(zh), Some(path)) = (unsafe { (handle(zh), string(path)) }) else { return ZBADARGUMENTS };
    start(zh, &Operation::Delete { path, version }, Callback::Void(completion), data)
}

/// See `zookeeper.h`.
///
/// # Safety
/// As the header says: valid or null pointers, a handle that has not been closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zoo_aexists(zh: *mut Handle, path: *const c_char, watch: c_int, completion: StatFn, data: *const c_void) -> c_int {
    // SAFETY: the caller's promise.
    let (Some(zh), Some(path)) = (unsafe { (handle(zh), string(path)) }) else { return ZBADARGUMENTS };
    start(zh, &Operation::Exists { path, watch: flagged(zh, watch) }, Callback::Stat(completion), data)
}

/// See `zookeeper.h`.
///
/// # Safety
/// As the header says: valid or null pointers, a handle that has not been closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zoo_awexists(
    zh: *mut Handle,
    path: *const c_char,
    watcher: WatcherFn,
    context: *mut c_void,
    completion: StatFn,
    data: *const c_void,
) -> c_int {
    // SAFETY: the caller's promise.
    let (Some(zh), Some(path)) = (unsafe { (handle(zh), string(path)) }) else { return ZBADARGUMENTS };
    start(zh, &Operation::Exists { path, watch: named(watcher, context) }, Callback::Stat(completion), data)
}

/// See `zookeeper.h`.
///
/// # Safety
/// As the header says: valid or null pointers, a handle that has not been closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zoo_aget(zh: *mut Handle, path: *const c_char, watch: c_int, completion: DataFn, data: *const c_void) -> c_int {
    // SAFETY: the caller's promise.
    let (Some(zh), Some(path)) = (unsafe { (handle(zh), string(path)) }) else { return ZBADARGUMENTS };
    start(zh, &Operation::GetData { path, watch: flagged(zh, watch) }, Callback::Data(completion), data)
}

/// See `zookeeper.h`.
///
/// # Safety
/// As the header says: valid or null pointers, a handle that has not been closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zoo_awget(
    zh: *mut Handle,
    path: *const c_char,
    watcher: WatcherFn,
    context: *mut c_void,
    completion: DataFn,
    data: *const c_void,
) -> c_int {
    // SAFETY: the caller's promise.
    let (Some(zh), Some(path)) = (unsafe { (handle(zh), string(path)) }) else { return ZBADARGUMENTS };
    start(zh, &Operation::GetData { path, watch: named(watcher, context) }, Callback::Data(completion), data)
}

/// See `zookeeper.h`.
///
/// # Safety
/// As the header says: valid or null pointers, a handle that has not been closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zoo_aget_children(
    zh: *mut Handle,
    path: *const c_char,
    watch: c_int,
    completion: StringsFn,
    data: *const c_void,
) -> c_int {
    // SAFETY: the caller's promise.
    let (Some(zh), Some(path)) = (unsafe { (handle(zh), string(path)) }) else { return ZBADARGUMENTS };
    start(zh, &Operation::GetChildren { path, watch: flagged(zh, watch), with_stat: false }, Callback::Strings(completion), data)
}

/// See `zookeeper.h`.
///
/// # Safety
/// As the header says: valid or null pointers, a handle that has not been closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zoo_awget_children(
    zh: *mut Handle,
    path: *const c_char,
    watcher: WatcherFn,
    context: *mut c_void,
    completion: StringsFn,
    data: *const c_void,
) -> c_int {
    // SAFETY: the caller's promise.
    let (Some(zh), Some(path)) = (unsafe { (handle(zh), string(path)) }) else { return ZBADARGUMENTS };
    start(zh, &Operation::GetChildren { path, watch: named(watcher, context), with_stat: false }, Callback::Strings(completion), data)
}

/// See `zookeeper.h`.
///
/// # Safety
/// As the header says: valid or null pointers, a handle that has not been closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zoo_aget_children2(
    zh: *mut Handle,
    path: *const c_char,
    watch: c_int,
    completion: StringsStatFn,
    data: *const c_void,
) -> c_int {
    // SAFETY: the caller's promise.
    let (Some(zh), Some(path)) = (unsafe { (handle(zh), string(path)) }) else { return ZBADARGUMENTS };
    start(zh, &Operation::GetChildren { path, watch: flagged(zh, watch), with_stat: true }, Callback::StringsStat(completion), data)
}

/// See `zookeeper.h`.
///
/// # Safety
/// As the header says: valid or null pointers, a handle that has not been closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zoo_awget_children2(
    zh: *mut Handle,
    path: *const c_char,
    watcher: WatcherFn,
    context: *mut c_void,
    completion: StringsStatFn,
    data: *const c_void,
) -> c_int {
    // SAFETY: the caller's promise.
    let (Some(zh), Some(path)) = (unsafe { (handle(zh), string(path)) }) else { return ZBADARGUMENTS };
    start(zh, &Operation::GetChildren { path, watch: named(watcher, context), with_stat: true }, Callback::StringsStat(completion), data)
}

/// See `zookeeper.h`.
///
/// # Safety
/// As the header says: valid or null pointers, a handle that has not been closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zoo_agetconfig(zh: *mut Handle, watch: c_int, completion: DataFn, data: *const c_void) -> c_int {
    // SAFETY: the caller's promise.
    let Some(zh) = (unsafe { handle(zh) }) else { return ZBADARGUMENTS };
    start(zh, &Operation::GetConfig { watch: flagged(zh, watch) }, Callback::Data(completion), data)
}

/// See `zookeeper.h`.
///
/// # Safety
/// As the header says: valid or null pointers, a handle that has not been closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zoo_awgetconfig(
    zh: *mut Handle,
    watcher: WatcherFn,
    context: *mut c_void,
    completion: DataFn,
    data: *const c_void,
) -> c_int {
    // SAFETY: the caller's promise.
    let Some(zh) = (unsafe { handle(zh) }) else { return ZBADARGUMENTS };
    start(zh, &Operation::GetConfig { watch: named(watcher, context) }, Callback::Data(completion), data)
}

/// See `zookeeper.h`.
///
/// # Safety
/// As the header says: valid or null pointers, a handle that has not been closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zoo_areconfig(
    zh: *mut Handle,
    joining: *const c_char,
    leaving: *const c_char,
    members: *const c_char,
    version: i64,
    completion: DataFn,
    data: *const c_void,
) -> c_int {
    // SAFETY: the caller's promise; each list may be null.
    let (Some(zh), joining, leaving, members) = (unsafe { (handle(zh), string(joining), string(leaving), string(members)) }) else {
        return ZBADARGUMENTS;
    };
    start(zh, &Operation::Reconfig { joining, leaving, members, from_config: version }, Callback::Data(completion), data)
}

/// See `zookeeper.h`.
///
/// # Safety
/// As the header says: valid or null pointers, a handle that has not been closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zoo_aset(
    zh: *mut Handle,
    path: *const c_char,
    buffer: *const c_char,
    buflen: c_int,
    version: c_int,
    completion: StatFn,
    data: *const c_void,
) -> c_int {
    // SAFETY: the caller's promise.
    let (Some(zh), Some(path), Some(value)) = (unsafe { (handle(zh), string(path), bytes(buffer, buflen)) }) else { return ZBADARGUMENTS };
    start(zh, &Operation::SetData { path, data: value, version }, Callback::Stat(completion), data)
}

/// See `zookeeper.h`.
///
/// # Safety
/// As the header says: valid or null pointers, a handle that has not been closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zoo_async(zh: *mut Handle, path: *const c_char, completion: StringFn, data: *const c_void) -> c_int {
    // SAFETY: the caller's promise.
    let (Some(zh), Some(path)) = (unsafe { (handle(zh), string(path)) }) else { return ZBADARGUMENTS };
    start(zh, &Operation::Sync { path }, Callback::String(completion), data)
}

/// See `zookeeper.h`.
///
/// # Safety
/// As the header says: valid or null pointers, a handle that has not been closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zoo_aget_acl(zh: *mut Handle, path: *const c_char, completion: AclFn, data: *const c_void) -> c_int {
    // SAFETY: the caller's promise.
    let (Some(zh), Some(path)) = (unsafe { (handle(zh), string(path)) }) else { return ZBADARGUMENTS };
    start(zh, &Operation::GetAcl { path }, Callback::Acl(completion), data)
}

/// See `zookeeper.h`.
///
/// # Safety
/// As the header says: valid or null pointers, a handle that has not been closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zoo_aset_acl(
    zh: *mut Handle,
    path: *const c_char,
    version: c_int,
    entries: *mut ACL_vector,
    completion: VoidFn,
    data: *const c_void,
) -> c_int {
    // SAFETY: the caller's promise.
    let (Some(zh), Some(path), Some(acl)) = (unsafe { (handle(zh), string(path), acl(entries)) }) else { return ZBADARGUMENTS };
    start(zh, &Operation::SetAcl { path, acl: Some(&acl), version }, Callback::Void(completion), data)
}

/// Reads the operations of a multi and submits them by `submit`, with the plan for their results.
///
/// # Safety
/// As the header says of `zoo_multi`.
pub unsafe fn with_multi(
    zh: &Handle,
    count: c_int,
    ops: *const Op,
    results: *mut OpResult,
    submit: impl FnOnce(&Operation<'_>, multi::Plan) -> c_int,
) -> c_int {
    let mut acls = Vec::new();
    // SAFETY: the caller's promise.
    match unsafe { multi::read(count, ops, results, &mut acls) } {
        Ok((operations, plan)) => submit(&Operation::Multi(&operations), plan),
        Err(Refused::BadArguments) => ZBADARGUMENTS,
        Err(Refused::Unimplemented(kind)) => {
            log!(zh.common.log(), Error, c"zoo_amulti", "Unimplemented sub-op type={kind} in multi-op");
            ZUNIMPLEMENTED
        }
    }
}

/// See `zookeeper.h`.
///
/// # Safety
/// As the header says: valid or null pointers, a handle that has not been closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zoo_amulti(
    zh: *mut Handle,
    count: c_int,
    ops: *const Op,
    results: *mut OpResult,
    completion: VoidFn,
    data: *const c_void,
) -> c_int {
    // SAFETY: the caller's promise.
    let Some(zh) = (unsafe { handle(zh) }) else { return ZBADARGUMENTS };
    // SAFETY: the caller's promise.
    unsafe {
        with_multi(zh, count, ops, results, |operation, plan| start(zh, operation, Callback::Multi(completion, Box::new(plan)), data))
    }
}

/// See `zookeeper.h`.
///
/// # Safety
/// As the header says: valid or null pointers, a handle that has not been closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zoo_add_auth(
    zh: *mut Handle,
    scheme: *const c_char,
    cert: *const c_char,
    cert_len: c_int,
    completion: VoidFn,
    data: *const c_void,
) -> c_int {
    // SAFETY: the caller's promise.
    let (Some(zh), Some(scheme)) = (unsafe { (handle(zh), string(scheme)) }) else { return ZBADARGUMENTS };
    let state = zh.engine.state().code();
    // 0: the connection was lost. The original refuses then, and callers rely on trying again (ZOOKEEPER-800).
    if state <= 0 {
        return ZINVALIDSTATE;
    }
    let credentials = if cert.is_null() {
        &[][..]
    } else {
        // SAFETY: the caller's promise.
        match unsafe { bytes(cert, cert_len) } {
            Some(credentials) => credentials.unwrap_or_default(),
            None => return ZBADARGUMENTS,
        }
    };
    begin(Callback::Void(completion), data, |tag| zh.engine.add_auth(tag, scheme, credentials))
}

/// Which watches a type of the headers means.
pub fn watches_to_remove(kind: c_int) -> Option<WatchesToRemove> {
    [
        WatchesToRemove::Children,
        WatchesToRemove::Data,
        WatchesToRemove::Any,
        WatchesToRemove::Persistent,
        WatchesToRemove::PersistentRecursive,
    ]
    .into_iter()
    .find(|which| *which as c_int == kind)
}

/// Removes watches; with `is_local` it is done when this returns, and the completion follows.
fn start_removal(
    zh: &Handle,
    path: &[u8],
    kind: c_int,
    watcher: Option<WatcherId>,
    is_local: bool,
    completion: VoidFn,
    data: *const c_void,
) -> c_int {
    let Some(which) = watches_to_remove(kind) else { return ZNOWATCHER };
    begin(Callback::Void(completion), data, |tag| {
        zh.engine.remove_watches(tag, path, which, watcher, is_local)?;
        if is_local {
            zh.engine.complete_locally(tag);
        }
        Ok(())
    })
}

/// See `zookeeper.h`.
///
/// # Safety
/// As the header says: valid or null pointers, a handle that has not been closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zoo_aremove_watches(
    zh: *mut Handle,
    path: *const c_char,
    kind: WatcherType,
    watcher: WatcherFn,
    context: *mut c_void,
    local: c_int,
    completion: VoidFn,
    data: *const c_void,
) -> c_int {
    // SAFETY: the caller's promise. The header's `void_completion_t *` is the function itself.
    let (Some(zh), Some(path)) = (unsafe { (handle(zh), string(path)) }) else { return ZBADARGUMENTS };
    start_removal(zh, path, kind, named(watcher, context), local != 0, completion, data)
}

/// See `zookeeper.h`.
///
/// # Safety
/// As the header says: valid or null pointers, a handle that has not been closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zoo_aremove_all_watches(
    zh: *mut Handle,
    path: *const c_char,
    kind: WatcherType,
    local: c_int,
    completion: VoidFn,
    data: *const c_void,
) -> c_int {
    // SAFETY: as above.
    let (Some(zh), Some(path)) = (unsafe { (handle(zh), string(path)) }) else { return ZBADARGUMENTS };
    start_removal(zh, path, kind, None, local != 0, completion, data)
}

/// See `zookeeper_ext.h`.
///
/// # Safety
/// As the header says: valid or null pointers, a handle that has not been closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zoo_aadd_watch(
    zh: *mut Handle,
    path: *const c_char,
    mode: AddMode,
    watcher: WatcherFn,
    context: *mut c_void,
    completion: VoidFn,
    data: *const c_void,
) -> c_int {
    // SAFETY: the caller's promise.
    let (Some(zh), Some(path)) = (unsafe { (handle(zh), string(path)) }) else { return ZBADARGUMENTS };
    let (Some(mode), Some(watcher)) = (add_watch_mode(mode), named(watcher, context)) else { return ZBADARGUMENTS };
    start(zh, &Operation::AddWatch { path, mode, watcher }, Callback::Void(completion), data)
}

/// See `zookeeper_ext.h`.
///
/// # Safety
/// As the header says: valid or null pointers, a handle that has not been closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zoo_awho_am_i(zh: *mut Handle, completion: ClientInfoFn, data: *const c_void) -> c_int {
    // SAFETY: the caller's promise.
    let Some(zh) = (unsafe { handle(zh) }) else { return ZBADARGUMENTS };
    start(zh, &Operation::WhoAmI, Callback::ClientInfo(completion), data)
}

/// See `zookeeper_ext.h`.
///
/// # Safety
/// As the header says: valid or null pointers, a handle that has not been closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zoo_aget_ephemerals(zh: *mut Handle, prefix: *const c_char, completion: StringsFn, data: *const c_void) -> c_int {
    // SAFETY: the caller's promise.
    let (Some(zh), Some(prefix)) = (unsafe { (handle(zh), string(prefix)) }) else { return ZBADARGUMENTS };
    start(zh, &Operation::GetEphemerals { prefix }, Callback::Strings(completion), data)
}

/// See `zookeeper_ext.h`.
///
/// # Safety
/// As the header says: valid or null pointers, a handle that has not been closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zoo_aget_all_children_number(
    zh: *mut Handle,
    path: *const c_char,
    completion: NumberFn,
    data: *const c_void,
) -> c_int {
    // SAFETY: the caller's promise.
    let (Some(zh), Some(path)) = (unsafe { (handle(zh), string(path)) }) else { return ZBADARGUMENTS };
    start(zh, &Operation::GetAllChildrenNumber { path }, Callback::Number(completion), data)
}

/// The mode of a persistent watch.
pub fn add_watch_mode(mode: c_int) -> Option<AddWatchMode> {
    [AddWatchMode::Persistent, AddWatchMode::PersistentRecursive].into_iter().find(|known| *known as c_int == mode)
}
