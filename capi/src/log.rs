//! The log: its level, its stream and its lines. The formatting itself is in `log_message.c`.

use crate::constants::logLevel;
use std::ffi::{CString, c_char, c_int};
use std::sync::atomic::Ordering;

/// `log_callback_fn` of the header.
pub type LogCallback = Option<unsafe extern "C" fn(message: *const c_char)>;

unsafe extern "C" {
    fn oxkeeper_log_stream_set(stream: *mut libc::FILE);
    fn oxkeeper_log_stream() -> *mut libc::FILE;
    fn oxkeeper_log_message_mt(callback: LogCallback, level: c_int, line: c_int, function: *const c_char, format: *const c_char, ...);
    fn oxkeeper_log_message_st(callback: LogCallback, level: c_int, line: c_int, function: *const c_char, format: *const c_char, ...);
}

/// `ZooLogLevel` of the header; any number may come.
pub type LevelNumber = c_int;

/// How grave a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(i32)]
pub enum Level {
    /// Something failed.
    Error = 1,
    /// Something is odd.
    Warn = 2,
    /// Something happened.
    Info = 3,
    /// Everything.
    Debug = 4,
}

/// Where the lines of a handle go, and in which form.
#[derive(Clone, Copy, Debug)]
pub struct Log {
    /// The application's function; none: the stream.
    pub callback: LogCallback,
    /// Whether a line names its thread: it does in the threaded library.
    pub threaded: bool,
}

impl Log {
    /// Whether a line of this level is wanted now. Executables and `zoo_set_debug_level` change it at any time.
    pub fn wants(level: Level) -> bool {
        logLevel.load(Ordering::Relaxed) >= level as i32
    }

    /// Writes one line. `function` and `line` stand where the original names its own.
    pub fn write(self, level: Level, function: &std::ffi::CStr, line: u32, text: &str) {
        if !Self::wants(level) {
            return;
        }
        let text = CString::new(text.replace('\0', "?")).unwrap_or_default();
        let to = if self.threaded { oxkeeper_log_message_mt } else { oxkeeper_log_message_st };
        let line = c_int::try_from(line).unwrap_or(0);
        // SAFETY: the format takes one string, which is NUL-terminated.
        unsafe { to(self.callback, level as c_int, line, function.as_ptr(), c"%s".as_ptr(), text.as_ptr()) };
    }
}

/// `log!(log, Level, c"function", "format", ...)`: formats only what is wanted.
macro_rules! log {
    ($log:expr, $level:ident, $function:expr, $($format:tt)*) => {
        if $crate::log::Log::wants($crate::log::Level::$level) {
            $log.write($crate::log::Level::$level, $function, line!(), &format!($($format)*));
        }
    };
}
pub(crate) use log;

/// Sets the level: 0 is silence, all else is brought into 1 to 4.
#[unsafe(no_mangle)]
pub extern "C" fn zoo_set_debug_level(level: LevelNumber) {
    // An enum without negative members is unsigned in C: what seems negative is above all levels.
    let level = if level == 0 { 0 } else { (level as u32).clamp(1, 4) as i32 };
    logLevel.store(level, Ordering::Relaxed);
}

/// Sets the stream of lines; null is stderr. The library never closes it.
///
/// # Safety
/// The stream stays open until it is replaced.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zoo_set_log_stream(stream: *mut libc::FILE) {
    // SAFETY: only stored.
    unsafe { oxkeeper_log_stream_set(stream) };
}

/// The stream of lines.
#[unsafe(no_mangle)]
pub extern "C" fn zoo_get_log_stream() -> *mut libc::FILE {
    // SAFETY: no arguments.
    unsafe { oxkeeper_log_stream() }
}

/// For `shell!`: the C functions behind `log_message`.
pub mod variadic {
    use super::{LogCallback, c_char, c_int};
    unsafe extern "C" {
        /// With the thread.
        #[link_name = "oxkeeper_log_message_mt"]
        pub fn mt(callback: LogCallback, level: c_int, line: c_int, function: *const c_char, format: *const c_char, ...);
        /// Without.
        #[link_name = "oxkeeper_log_message_st"]
        pub fn st(callback: LogCallback, level: c_int, line: c_int, function: *const c_char, format: *const c_char, ...);
    }
}
