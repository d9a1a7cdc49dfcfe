//! The synchronous calls: the same requests as the asynchronous ones, waiting for their end. They may be made from
//! within callbacks: their ends do not pass through the thread that calls back.

use oxkeeper_capi::arguments::{acl, data as bytes, string};
use oxkeeper_capi::completion::stat as c_stat;
use oxkeeper_capi::errors::{ZBADARGUMENTS, ZMARSHALLINGERROR, ZNOWATCHER, ZOK};
use oxkeeper_capi::handle::{Handle, handle};
use oxkeeper_capi::memory::copy_out;
use oxkeeper_capi::multi::{Op, OpResult};
use oxkeeper_capi::records::{ACL_vector, ClientInfo_vector, Stat, String_vector};
use oxkeeper_capi::requests::{AddMode, WatcherType, add_watch_mode, create_operation, flagged, named, watches_to_remove, with_multi};
use oxkeeper_capi::sync;
use oxkeeper_capi::vectors::{put_acl, put_identities, put_strings};
use oxkeeper_capi::watchers::WatcherFn;
use oxkeeper_client::{Operation, WatcherId, reply};
use oxkeeper_proto::JuteError;
use oxkeeper_proto::records as wire;
use std::ffi::{c_char, c_int, c_void};

/// Submits, waits, and gives the reply of a success to `found`.
fn call(zh: &Handle, operation: &Operation<'_>, found: &mut dyn FnMut(&[u8]) -> Result<c_int, JuteError>) -> c_int {
    sync::call(|tag| zh.engine.submit(tag, operation), &mut |rc, body| {
        if rc == ZOK { found(body).unwrap_or(ZMARSHALLINGERROR) } else { rc }
    })
}

/// Writes a Stat where one is wanted.
///
/// # Safety
/// Null or room for a Stat.
unsafe fn put_stat(to: *mut Stat, found: &wire::Stat) {
    if !to.is_null() {
        // SAFETY: the caller's promise.
        unsafe { *to = c_stat(found) };
    }
}

/// Data into the caller's buffer: as much as there is room for; -1 stands for null data.
///
/// # Safety
/// `to` is null or has `*length` bytes.
unsafe fn put_data(data: Option<&[u8]>, to: *mut c_char, length: &mut c_int) {
    *length = match data {
        None => -1,
        Some(_) if to.is_null() => 0,
        // A room of less than nothing stays what it is.
        Some(_) if *length < 0 => *length,
        Some(data) => {
            let count = data.len().min(*length as usize);
            // SAFETY: within the room.
            unsafe { std::ptr::copy_nonoverlapping(data.as_ptr(), to.cast(), count) };
            count as c_int
        }
    };
}

/// See `zookeeper.h`.
///
/// # Safety
/// As the header says: valid or null pointers, a handle that has not been closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zoo_create(
    zh: *mut Handle,
    path: *const c_char,
    value: *const c_char,
    valuelen: c_int,
    entries: *const ACL_vector,
    mode: c_int,
    path_buffer: *mut c_char,
    path_buffer_len: c_int,
) -> c_int {
    // SAFETY: the caller's promise.
    unsafe {
        let new = NewNode { path, value, valuelen, entries, mode, ttl_ms: -1 };
        create(zh, &new, &NamePlace { path_buffer, path_buffer_len, stat: None })
    }
}

/// See `zookeeper.h`.
///
/// # Safety
/// As the header says: valid or null pointers, a handle that has not been closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zoo_create_ttl(
    zh: *mut Handle,
    path: *const c_char,
    value: *const c_char,
    valuelen: c_int,
    entries: *const ACL_vector,
    mode: c_int,
    ttl: i64,
    path_buffer: *mut c_char,
    path_buffer_len: c_int,
) -> c_int {
    // SAFETY: the caller's promise.
    unsafe {
        let new = NewNode { path, value, valuelen, entries, mode, ttl_ms: ttl };
        create(zh, &new, &NamePlace { path_buffer, path_buffer_len, stat: None })
    }
}

/// See `zookeeper.h`.
///
/// # Safety
/// As the header says: valid or null pointers, a handle that has not been closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zoo_create2(
    zh: *mut Handle,
    path: *const c_char,
    value: *const c_char,
    valuelen: c_int,
    entries: *const ACL_vector,
    mode: c_int,
    path_buffer: *mut c_char,
    path_buffer_len: c_int,
    stat: *mut Stat,
) -> c_int {
    // SAFETY: the caller's promise.
    unsafe {
        let new = NewNode { path, value, valuelen, entries, mode, ttl_ms: -1 };
        create(zh, &new, &NamePlace { path_buffer, path_buffer_len, stat: Some(stat) })
    }
}

/// See `zookeeper.h`.
///
/// # Safety
/// As the header says: valid or null pointers, a handle that has not been closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zoo_create2_ttl(
    zh: *mut Handle,
    path: *const c_char,
    value: *const c_char,
    valuelen: c_int,
    entries: *const ACL_vector,
    mode: c_int,
    ttl: i64,
    path_buffer: *mut c_char,
    path_buffer_len: c_int,
    stat: *mut Stat,
) -> c_int {
    // SAFETY: the caller's promise.
    unsafe {
        let new = NewNode { path, value, valuelen, entries, mode, ttl_ms: ttl };
        create(zh, &new, &NamePlace { path_buffer, path_buffer_len, stat: Some(stat) })
    }
}

/// What is to be created, as C says it.
struct NewNode {
    path: *const c_char,
    value: *const c_char,
    valuelen: c_int,
    entries: *const ACL_vector,
    mode: c_int,
    ttl_ms: i64,
}

/// Where its name goes; with a place for a Stat it is create2.
struct NamePlace {
    path_buffer: *mut c_char,
    path_buffer_len: c_int,
    stat: Option<*mut Stat>,
}

/// The four creates.
///
/// # Safety
/// As the header says.
unsafe fn create(zh: *mut Handle, new: &NewNode, to: &NamePlace) -> c_int {
    // SAFETY: the caller's promise.
    let (Some(zh), Some(acl)) = (unsafe { (handle(zh), acl(new.entries)) }) else { return ZBADARGUMENTS };
    // SAFETY: the caller's promise.
    let operation = unsafe { create_operation(new.path, new.value, new.valuelen, &acl, new.mode, new.ttl_ms, to.stat.is_some()) };
    let Some(operation) = operation else { return ZBADARGUMENTS };
    call(zh, &operation, &mut |body| {
        let (path, found) = reply::created(body)?;
        // SAFETY: the caller's promise, and it waits.
        unsafe {
            copy_out(zh.chroot.cut_or_keep(path), to.path_buffer, to.path_buffer_len);
            if let (Some(stat), Some(found)) = (to.stat, found) {
                put_stat(stat, &found);
            }
        }
        Ok(ZOK)
    })
}

/// See `zookeeper.h`.
///
/// # Safety
/// As the header says: valid or null pointers, a handle that has not been closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zoo_delete(zh: *mut Handle, path: *const c_char, version: c_int) -> c_int {
    // SAFETY: the caller's promise.
    let (Some(zh), Some(path)) = (unsafe { (handle(zh), string(path)) }) else { return ZBADARGUMENTS };
    call(zh, &Operation::Delete { path, version }, &mut |_| Ok(ZOK))
}

/// See `zookeeper.h`.
///
/// # Safety
/// As the header says: valid or null pointers, a handle that has not been closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zoo_exists(zh: *mut Handle, path: *const c_char, watch: c_int, stat: *mut Stat) -> c_int {
    // SAFETY: the caller's promise.
    let (Some(zh), Some(path)) = (unsafe { (handle(zh), string(path)) }) else { return ZBADARGUMENTS };
    call(zh, &Operation::Exists { path, watch: flagged(zh, watch) }, &mut |body| {
        // SAFETY: the caller's promise, and it waits.
        unsafe { put_stat(stat, &reply::stat(body)?) };
        Ok(ZOK)
    })
}

/// See `zookeeper.h`.
///
/// # Safety
/// As the header says: valid or null pointers, a handle that has not been closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zoo_wexists(
    zh: *mut Handle,
    path: *const c_char,
    watcher: WatcherFn,
    context: *mut c_void,
    stat: *mut Stat,
) -> c_int {
    // SAFETY: the caller's promise.
    let (Some(zh), Some(path)) = (unsafe { (handle(zh), string(path)) }) else { return ZBADARGUMENTS };
    call(zh, &Operation::Exists { path, watch: named(watcher, context) }, &mut |body| {
        // SAFETY: the caller's promise, and it waits.
        unsafe { put_stat(stat, &reply::stat(body)?) };
        Ok(ZOK)
    })
}

/// See `zookeeper.h`.
///
/// # Safety
/// As the header says: valid or null pointers, a handle that has not been closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zoo_get(
    zh: *mut Handle,
    path: *const c_char,
    watch: c_int,
    buffer: *mut c_char,
    buffer_len: *mut c_int,
    stat: *mut Stat,
) -> c_int {
    // SAFETY: the caller's promise.
    let (Some(zh), Some(path), Some(length)) = (unsafe { (handle(zh), string(path), buffer_len.as_mut()) }) else { return ZBADARGUMENTS };
    call(zh, &Operation::GetData { path, watch: flagged(zh, watch) }, &mut |body| {
        let (data, found) = reply::data(body)?;
        // SAFETY: the caller's promise, and it waits.
        unsafe {
            put_data(data, buffer, length);
            put_stat(stat, &found);
        }
        Ok(ZOK)
    })
}

/// See `zookeeper.h`.
///
/// # Safety
/// As the header says: valid or null pointers, a handle that has not been closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zoo_wget(
    zh: *mut Handle,
    path: *const c_char,
    watcher: WatcherFn,
    context: *mut c_void,
    buffer: *mut c_char,
    buffer_len: *mut c_int,
    stat: *mut Stat,
) -> c_int {
    // SAFETY: the caller's promise.
    let (Some(zh), Some(path), Some(length)) = (unsafe { (handle(zh), string(path), buffer_len.as_mut()) }) else { return ZBADARGUMENTS };
    call(zh, &Operation::GetData { path, watch: named(watcher, context) }, &mut |body| {
        let (data, found) = reply::data(body)?;
        // SAFETY: the caller's promise, and it waits.
        unsafe {
            put_data(data, buffer, length);
            put_stat(stat, &found);
        }
        Ok(ZOK)
    })
}

/// See `zookeeper.h`.
///
/// # Safety
/// As the header says: valid or null pointers, a handle that has not been closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zoo_getconfig(
    zh: *mut Handle,
    watch: c_int,
    buffer: *mut c_char,
    buffer_len: *mut c_int,
    stat: *mut Stat,
) -> c_int {
    // SAFETY: the caller's promise.
    let (Some(zh), Some(length)) = (unsafe { (handle(zh), buffer_len.as_mut()) }) else { return ZBADARGUMENTS };
    call(zh, &Operation::GetConfig { watch: flagged(zh, watch) }, &mut |body| {
        let (data, found) = reply::data(body)?;
        // SAFETY: the caller's promise, and it waits.
        unsafe {
            put_data(data, buffer, length);
            put_stat(stat, &found);
        }
        Ok(ZOK)
    })
}

/// See `zookeeper.h`.
///
/// # Safety
/// As the header says: valid or null pointers, a handle that has not been closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zoo_wgetconfig(
    zh: *mut Handle,
    watcher: WatcherFn,
    context: *mut c_void,
    buffer: *mut c_char,
    buffer_len: *mut c_int,
    stat: *mut Stat,
) -> c_int {
    // SAFETY: the caller's promise.
    let (Some(zh), Some(length)) = (unsafe { (handle(zh), buffer_len.as_mut()) }) else { return ZBADARGUMENTS };
    call(zh, &Operation::GetConfig { watch: named(watcher, context) }, &mut |body| {
        let (data, found) = reply::data(body)?;
        // SAFETY: the caller's promise, and it waits.
        unsafe {
            put_data(data, buffer, length);
            put_stat(stat, &found);
        }
        Ok(ZOK)
    })
}

/// See `zookeeper.h`.
///
/// # Safety
/// As the header says: valid or null pointers, a handle that has not been closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zoo_reconfig(
    zh: *mut Handle,
    joining: *const c_char,
    leaving: *const c_char,
    members: *const c_char,
    version: i64,
    buffer: *mut c_char,
    buffer_len: *mut c_int,
    stat: *mut Stat,
) -> c_int {
    // SAFETY: the caller's promise.
    let (Some(zh), Some(length)) = (unsafe { (handle(zh), buffer_len.as_mut()) }) else { return ZBADARGUMENTS };
    // SAFETY: the caller's promise.
    let (joining, leaving, members) = unsafe { (string(joining), string(leaving), string(members)) };
    call(zh, &Operation::Reconfig { joining, leaving, members, from_config: version }, &mut |body| {
        let (data, found) = reply::data(body)?;
        // SAFETY: the caller's promise, and it waits.
        unsafe {
            put_data(data, buffer, length);
            put_stat(stat, &found);
        }
        Ok(ZOK)
    })
}

/// See `zookeeper.h`.
///
/// # Safety
/// As the header says: valid or null pointers, a handle that has not been closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zoo_set(zh: *mut Handle, path: *const c_char, buffer: *const c_char, buflen: c_int, version: c_int) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { zoo_set2(zh, path, buffer, buflen, version, std::ptr::null_mut()) }
}

/// See `zookeeper.h`.
///
/// # Safety
/// As the header says: valid or null pointers, a handle that has not been closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zoo_set2(
    zh: *mut Handle,
    path: *const c_char,
    buffer: *const c_char,
    buflen: c_int,
    version: c_int,
    stat: *mut Stat,
) -> c_int {
    // SAFETY: the caller's promise.
    let (Some(zh), Some(path), Some(data)) = (unsafe { (handle(zh), string(path), bytes(buffer, buflen)) }) else { return ZBADARGUMENTS };
    call(zh, &Operation::SetData { path, data, version }, &mut |body| {
        // SAFETY: the caller's promise, and it waits.
        unsafe { put_stat(stat, &reply::stat(body)?) };
        Ok(ZOK)
    })
}

/// See `zookeeper.h`.
///
/// # Safety
/// As the header says: valid or null pointers, a handle that has not been closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zoo_get_children(zh: *mut Handle, path: *const c_char, watch: c_int, strings: *mut String_vector) -> c_int {
    // SAFETY: the caller's promise.
    let (Some(zh), Some(path)) = (unsafe { (handle(zh), string(path)) }) else { return ZBADARGUMENTS };
    call(zh, &Operation::GetChildren { path, watch: flagged(zh, watch), with_stat: false }, &mut |body| {
        let (names, _) = reply::strings(body)?;
        // SAFETY: the caller's promise, and it waits.
        Ok(unsafe { put_strings(names, strings) })
    })
}

/// See `zookeeper.h`.
///
/// # Safety
/// As the header says: valid or null pointers, a handle that has not been closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zoo_wget_children(
    zh: *mut Handle,
    path: *const c_char,
    watcher: WatcherFn,
    context: *mut c_void,
    strings: *mut String_vector,
) -> c_int {
    // SAFETY: the caller's promise.
    let (Some(zh), Some(path)) = (unsafe { (handle(zh), string(path)) }) else { return ZBADARGUMENTS };
    call(zh, &Operation::GetChildren { path, watch: named(watcher, context), with_stat: false }, &mut |body| {
        let (names, _) = reply::strings(body)?;
        // SAFETY: the caller's promise, and it waits.
        Ok(unsafe { put_strings(names, strings) })
    })
}

/// See `zookeeper.h`.
///
/// # Safety
/// As the header says: valid or null pointers, a handle that has not been closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zoo_get_children2(
    zh: *mut Handle,
    path: *const c_char,
    watch: c_int,
    strings: *mut String_vector,
    stat: *mut Stat,
) -> c_int {
    // SAFETY: the caller's promise.
    let (Some(zh), Some(path)) = (unsafe { (handle(zh), string(path)) }) else { return ZBADARGUMENTS };
    call(zh, &Operation::GetChildren { path, watch: flagged(zh, watch), with_stat: true }, &mut |body| {
        let (names, found) = reply::strings(body)?;
        let found = found.ok_or(JuteError::EndOfInput)?;
        // SAFETY: the caller's promise, and it waits.
        unsafe {
            put_stat(stat, &found);
            Ok(put_strings(names, strings))
        }
    })
}

/// See `zookeeper.h`.
///
/// # Safety
/// As the header says: valid or null pointers, a handle that has not been closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zoo_wget_children2(
    zh: *mut Handle,
    path: *const c_char,
    watcher: WatcherFn,
    context: *mut c_void,
    strings: *mut String_vector,
    stat: *mut Stat,
) -> c_int {
    // SAFETY: the caller's promise.
    let (Some(zh), Some(path)) = (unsafe { (handle(zh), string(path)) }) else { return ZBADARGUMENTS };
    call(zh, &Operation::GetChildren { path, watch: named(watcher, context), with_stat: true }, &mut |body| {
        let (names, found) = reply::strings(body)?;
        let found = found.ok_or(JuteError::EndOfInput)?;
        // SAFETY: the caller's promise, and it waits.
        unsafe {
            put_stat(stat, &found);
            Ok(put_strings(names, strings))
        }
    })
}

/// See `zookeeper.h`.
///
/// # Safety
/// As the header says: valid or null pointers, a handle that has not been closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zoo_get_acl(zh: *mut Handle, path: *const c_char, entries: *mut ACL_vector, stat: *mut Stat) -> c_int {
    // SAFETY: the caller's promise.
    let (Some(zh), Some(path)) = (unsafe { (handle(zh), string(path)) }) else { return ZBADARGUMENTS };
    call(zh, &Operation::GetAcl { path }, &mut |body| {
        let (acl, found) = reply::acl(body)?;
        // SAFETY: the caller's promise, and it waits.
        unsafe {
            put_stat(stat, &found);
            Ok(put_acl(&acl, entries))
        }
    })
}

/// See `zookeeper.h`.
///
/// # Safety
/// As the header says: valid or null pointers, a handle that has not been closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zoo_set_acl(zh: *mut Handle, path: *const c_char, version: c_int, entries: *const ACL_vector) -> c_int {
    // SAFETY: the caller's promise.
    let (Some(zh), Some(path), Some(acl)) = (unsafe { (handle(zh), string(path), acl(entries)) }) else { return ZBADARGUMENTS };
    call(zh, &Operation::SetAcl { path, acl: Some(&acl), version }, &mut |_| Ok(ZOK))
}

/// See `zookeeper.h`.
///
/// # Safety
/// As the header says: valid or null pointers, a handle that has not been closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zoo_multi(zh: *mut Handle, count: c_int, ops: *const Op, results: *mut OpResult) -> c_int {
    // SAFETY: the caller's promise.
    let Some(zh) = (unsafe { handle(zh) }) else { return ZBADARGUMENTS };
    // SAFETY: the caller's promise, and it waits.
    unsafe {
        with_multi(zh, count, ops, results, |operation, plan| {
            sync::call(|tag| zh.engine.submit(tag, operation), &mut |rc, body| plan.finish(&zh.chroot, rc, body))
        })
    }
}

/// Removes one watcher, or all; local removal is done at once.
fn remove(zh: &Handle, path: &[u8], kind: c_int, watcher: Option<WatcherId>, is_local: bool) -> c_int {
    let Some(which) = watches_to_remove(kind) else { return ZNOWATCHER };
    if is_local {
        return zh.engine.remove_watches(0, path, which, watcher, true).map_or_else(|refused| refused.code().0, |()| ZOK);
    }
    sync::call(|tag| zh.engine.remove_watches(tag, path, which, watcher, false), &mut |rc, _| rc)
}

/// See `zookeeper.h`.
///
/// # Safety
/// As the header says: valid or null pointers, a handle that has not been closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zoo_remove_watches(
    zh: *mut Handle,
    path: *const c_char,
    kind: WatcherType,
    watcher: WatcherFn,
    context: *mut c_void,
    local: c_int,
) -> c_int {
    // SAFETY: the caller's promise.
    let (Some(zh), Some(path)) = (unsafe { (handle(zh), string(path)) }) else { return ZBADARGUMENTS };
    remove(zh, path, kind, named(watcher, context), local != 0)
}

/// See `zookeeper.h`.
///
/// # Safety
/// As the header says: valid or null pointers, a handle that has not been closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zoo_remove_all_watches(zh: *mut Handle, path: *const c_char, kind: WatcherType, local: c_int) -> c_int {
    // SAFETY: the caller's promise.
    let (Some(zh), Some(path)) = (unsafe { (handle(zh), string(path)) }) else { return ZBADARGUMENTS };
    remove(zh, path, kind, None, local != 0)
}

/// See `zookeeper_ext.h`.
///
/// # Safety
/// As the header says: valid or null pointers, a handle that has not been closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zoo_add_watch(
    zh: *mut Handle,
    path: *const c_char,
    mode: AddMode,
    watcher: WatcherFn,
    context: *mut c_void,
) -> c_int {
    // SAFETY: the caller's promise.
    let (Some(zh), Some(path)) = (unsafe { (handle(zh), string(path)) }) else { return ZBADARGUMENTS };
    let (Some(mode), Some(watcher)) = (add_watch_mode(mode), named(watcher, context)) else { return ZBADARGUMENTS };
    call(zh, &Operation::AddWatch { path, mode, watcher }, &mut |_| Ok(ZOK))
}

/// See `zookeeper_ext.h`.
///
/// # Safety
/// As the header says: valid or null pointers, a handle that has not been closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zoo_who_am_i(zh: *mut Handle, infos: *mut ClientInfo_vector) -> c_int {
    // SAFETY: the caller's promise.
    let Some(zh) = (unsafe { handle(zh) }) else { return ZBADARGUMENTS };
    call(zh, &Operation::WhoAmI, &mut |body| {
        let identities = reply::identities(body)?;
        // SAFETY: the caller's promise, and it waits.
        Ok(unsafe { put_identities(&identities, infos) })
    })
}

/// See `zookeeper_ext.h`.
///
/// # Safety
/// As the header says: valid or null pointers, a handle that has not been closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zoo_get_ephemerals(zh: *mut Handle, prefix: *const c_char, strings: *mut String_vector) -> c_int {
    // SAFETY: the caller's promise.
    let (Some(zh), Some(prefix)) = (unsafe { (handle(zh), string(prefix)) }) else { return ZBADARGUMENTS };
    call(zh, &Operation::GetEphemerals { prefix }, &mut |body| {
        let (names, _) = reply::strings(body)?;
        // SAFETY: the caller's promise, and it waits.
        Ok(unsafe { put_strings(names, strings) })
    })
}

/// See `zookeeper_ext.h`.
///
/// # Safety
/// As the header says: valid or null pointers, a handle that has not been closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zoo_get_all_children_number(zh: *mut Handle, path: *const c_char, number: *mut c_int) -> c_int {
    // SAFETY: the caller's promise.
    let (Some(zh), Some(path)) = (unsafe { (handle(zh), string(path)) }) else { return ZBADARGUMENTS };
    call(zh, &Operation::GetAllChildrenNumber { path }, &mut |body| {
        let found = reply::number(body)?;
        if !number.is_null() {
            // SAFETY: the caller's promise, and it waits.
            unsafe { *number = found };
        }
        Ok(ZOK)
    })
}
