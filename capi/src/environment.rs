//! The lines at the beginning of a handle's log: who and where the client is.

use crate::handle::VERSION;
use crate::log::{Log, log};
use std::ffi::{CStr, c_char};

/// Writes the eight "Client environment" lines.
pub fn log(log: Log) {
    if !Log::wants(crate::log::Level::Info) {
        return;
    }
    // SAFETY: all of its members may be zero.
    let mut system: libc::utsname = unsafe { std::mem::zeroed() };
    // SAFETY: a valid structure.
    unsafe { libc::uname(&mut system) };
    let text = |field: &[c_char]| {
        // SAFETY: `c_char` is a byte.
        let bytes = unsafe { std::slice::from_raw_parts(field.as_ptr().cast::<u8>(), field.len()) };
        CStr::from_bytes_until_nul(bytes).unwrap_or_default().to_string_lossy().into_owned()
    };
    let lines = [
        ("zookeeper.version", format!("zookeeper C client {}", VERSION.to_string_lossy())),
        ("host.name", text(&system.nodename)),
        ("os.name", text(&system.sysname)),
        // The original says the release where one would look for the machine.
        ("os.arch", text(&system.release)),
        ("os.version", text(&system.version)),
        ("user.name", login_name()),
        ("user.home", home().unwrap_or_else(|| "<NA>".to_owned())),
        ("user.dir", std::env::current_dir().map_or_else(|_| "<toolong>".to_owned(), |dir| dir.to_string_lossy().into_owned())),
    ];
    for (key, value) in lines {
        log!(log, Info, c"log_env", "Client environment:{key}={value}");
    }
}

unsafe extern "C" {
    /// Not in the libc crate.
    fn getlogin_r(name: *mut c_char, length: usize) -> std::ffi::c_int;
}

fn login_name() -> String {
    let mut name: [c_char; 256] = [0; 256];
    // SAFETY: as many bytes as are announced.
    if unsafe { getlogin_r(name.as_mut_ptr(), name.len()) } != 0 {
        return "(null)".to_owned();
    }
    // SAFETY: the system ended it with NUL.
    unsafe { CStr::from_ptr(name.as_ptr()) }.to_string_lossy().into_owned()
}

fn home() -> Option<String> {
    // SAFETY: all of its members may be zero.
    let mut entry: libc::passwd = unsafe { std::mem::zeroed() };
    let mut memory = [0; 2048];
    let mut found = std::ptr::null_mut();
    // SAFETY: valid pointers, and as many bytes as are announced.
    let failed = unsafe { libc::getpwuid_r(libc::getuid(), &mut entry, memory.as_mut_ptr(), memory.len(), &mut found) } != 0;
    if failed || found.is_null() || entry.pw_dir.is_null() {
        return None;
    }
    // SAFETY: a string within `memory`.
    Some(unsafe { CStr::from_ptr(entry.pw_dir) }.to_string_lossy().into_owned())
}
