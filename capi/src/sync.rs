//! Synchronous calls: a request whose caller waits. Only the threaded library has C names for them.

use crate::completion::SYNCHRONOUS;
use oxkeeper_client::SubmitError;
use std::ffi::c_int;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, Thread};

/// What becomes of the end of a request: its code and the reply's body, to the call's code.
type Finish<'a> = dyn FnMut(c_int, &[u8]) -> c_int + 'a;

/// A caller that waits.
#[repr(align(8))]
pub struct SyncCall<'a> {
    finish: &'a mut Finish<'a>,
    rc: c_int,
    caller: Thread,
    is_done: AtomicBool,
}

impl SyncCall<'_> {
    /// Ends the call of a tag, on the thread that reads from the server.
    ///
    /// # Safety
    /// The tag was given out by [`call`], whose caller still waits.
    pub unsafe fn finish(tag: u64, rc: c_int, body: &[u8]) {
        let call = std::ptr::with_exposed_provenance_mut::<SyncCall<'static>>((tag & !SYNCHRONOUS) as usize);
        // SAFETY: the caller waits until `is_done`, so the call is there; nobody else touches its parts meanwhile.
        unsafe {
            (*call).rc = ((*call).finish)(rc, body);
            let caller = (*call).caller.clone();
            // From here on the call may be gone.
            (*call).is_done.store(true, Ordering::Release);
            caller.unpark();
        }
    }
}

/// Submits by `submit`, which is given the tag, and waits. `finish` runs on another thread while the caller waits.
pub fn call(
    submit: impl FnOnce(u64) -> Result<(), SubmitError>,
    finish: &mut dyn FnMut(c_int, &[u8]) -> c_int,
) -> c_int {
    let mut call = SyncCall { finish, rc: 0, caller: thread::current(), is_done: AtomicBool::new(false) };
    let call = &raw mut call;
    if let Err(refused) = submit(call.expose_provenance() as u64 | SYNCHRONOUS) {
        return refused.code().0;
    }
    // SAFETY: the call lives here; `is_done` is atomic, and `rc` is read only after it.
    unsafe {
        while !(*call).is_done.load(Ordering::Acquire) {
            thread::park();
        }
        (*call).rc
    }
}

