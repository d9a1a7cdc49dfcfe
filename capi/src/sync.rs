//! Synchronous calls: a request whose caller waits. Only the threaded library has C names for them.

use crate::completion::SYNCHRONOUS;
use oxkeeper_client::SubmitError;
use std::ffi::c_int;
use std::sync::atomic::{AtomicU32, Ordering};

/// What becomes of the end of a request: its code and the reply's body, to the call's code.
type Finish<'a> = dyn FnMut(c_int, &[u8]) -> c_int + 'a;

/// A caller that waits.
#[repr(align(8))]
pub struct SyncCall<'a> {
    finish: &'a mut Finish<'a>,
    rc: c_int,
    is_done: AtomicU32,
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
            let is_done = &raw const (*call).is_done;
            // From here on the call may be gone: the kernel is given its address and no more. At worst a stranger is
            // woken too early, which every waiter must bear.
            (*is_done).store(1, Ordering::Release);
            libc::syscall(libc::SYS_futex, is_done, libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG, 1);
        }
    }
}

/// Submits by `submit`, which is given the tag, and waits. `finish` runs on another thread while the caller waits.
pub fn call(submit: impl FnOnce(u64) -> Result<(), SubmitError>, finish: &mut dyn FnMut(c_int, &[u8]) -> c_int) -> c_int {
    let mut call = SyncCall { finish, rc: 0, is_done: AtomicU32::new(0) };
    let call = &raw mut call;
    if let Err(refused) = submit(call.expose_provenance() as u64 | SYNCHRONOUS) {
        return refused.code().0;
    }
    // SAFETY: the call lives here; `is_done` is atomic, and `rc` is read only after it.
    unsafe {
        let is_done = &raw const (*call).is_done;
        while (*is_done).load(Ordering::Acquire) == 0 {
            // Sleeps only while it is 0. (std's park would leave memory with each thread of the application.)
            libc::syscall(libc::SYS_futex, is_done, libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG, 0, std::ptr::null::<libc::timespec>());
        }
        (*call).rc
    }
}
