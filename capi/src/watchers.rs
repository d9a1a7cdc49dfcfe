//! A watcher of C is a function and a context; together they are the machine's 128-bit number for it, so that no table
//! is needed to find it again.

use crate::handle::Handle;
use oxkeeper_client::WatcherId;
use std::ffi::{c_char, c_int, c_void};

/// `watcher_fn` of the header, where it may be null.
pub type WatcherFn = Option<unsafe extern "C" fn(zh: *mut Handle, kind: c_int, state: c_int, path: *const c_char, context: *mut c_void)>;

/// A function that is there.
pub type Watcher = unsafe extern "C" fn(zh: *mut Handle, kind: c_int, state: c_int, path: *const c_char, context: *mut c_void);

/// Stands where the application gave no watcher for the handle.
///
/// # Safety
/// None is needed: it looks at nothing.
pub unsafe extern "C" fn no_watcher(_: *mut Handle, _: c_int, _: c_int, _: *const c_char, _: *mut c_void) {}

/// The number of a function and a context.
pub fn id(watcher: Watcher, context: *mut c_void) -> WatcherId {
    WatcherId((watcher as usize as u128) << 64 | context.expose_provenance() as u128)
}

/// The function and the context of a number.
pub fn parts(id: WatcherId) -> (WatcherFn, *mut c_void) {
    let function = (id.0 >> 64) as usize;
    // SAFETY: numbers are made by `id` from a function, or are 0, which is `None`.
    let function = unsafe { std::mem::transmute::<usize, WatcherFn>(function) };
    (function, std::ptr::with_exposed_provenance_mut(id.0 as u64 as usize))
}
