//! Every C name of the ZooKeeper library, as Rust. Two crates complete it: `capi/mt`, with threads and the
//! synchronous calls, and `capi/st`, where the application owns the loop. Shells without code of their own (`capi/mt-shared`,
//! `capi/mt-static`, ...) make the libraries.
//!
//! Each function only translates: pointers to arguments, arguments to a request of the client's machine
//! (`oxkeeper-client`), and what happened to callbacks. No callback runs while a lock is held, and no input may panic:
//! a panic would end the application.

pub mod arguments;
pub mod completion;
pub mod connection;
pub mod constants;
pub mod engine;
mod environment;
pub mod errors;
pub mod handle;
pub mod lock;
pub mod log;
#[macro_use]
pub mod memory;
pub mod multi;
#[rustfmt::skip]
#[expect(non_snake_case, reason = "names of C")]
pub mod records;
pub mod requests;
pub mod resolve;
pub mod single;
pub mod sync;
pub mod vectors;
pub mod watchers;

/// What a shell has in its own way: the functions that make a handle, and `log_message`. `$make` is of
/// [`handle::init`]; `$log` is in [`log::variadic`].
#[macro_export]
macro_rules! shell {
    (threaded: $threaded:expr, make: $make:path, log: $log:path) => {
        /// See `zookeeper.h`.
        ///
        /// # Safety
        /// As the header says: valid or null pointers.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn zookeeper_init(
            host: *const std::ffi::c_char,
            watcher: $crate::watchers::WatcherFn,
            recv_timeout: std::ffi::c_int,
            client_id: *const $crate::handle::ClientId,
            context: *mut std::ffi::c_void,
            flags: std::ffi::c_int,
        ) -> *mut $crate::handle::Handle {
            // SAFETY: the caller's promise.
            unsafe { zookeeper_init2(host, watcher, recv_timeout, client_id, context, flags, None) }
        }

        /// See `zookeeper.h`.
        ///
        /// # Safety
        /// As the header says: valid or null pointers.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn zookeeper_init2(
            host: *const std::ffi::c_char,
            watcher: $crate::watchers::WatcherFn,
            recv_timeout: std::ffi::c_int,
            client_id: *const $crate::handle::ClientId,
            context: *mut std::ffi::c_void,
            flags: std::ffi::c_int,
            log_callback: $crate::log::LogCallback,
        ) -> *mut $crate::handle::Handle {
            let timeout_ms = recv_timeout;
            let arguments = $crate::handle::InitArguments { host, watcher, timeout_ms, client_id, context, flags, log_callback };
            // SAFETY: the caller's promise.
            unsafe { $crate::handle::init(&arguments, $threaded, $make) }
        }

        /// See `zookeeper_log.h`. It is variadic, which stable Rust cannot write: it jumps to the function of C with
        /// all registers and the stack as they came.
        #[unsafe(no_mangle)]
        #[unsafe(naked)]
        pub unsafe extern "C" fn log_message() {
            #[cfg(any(target_arch = "x86_64", target_arch = "x86"))]
            std::arch::naked_asm!("jmp {}", sym $log);
            #[cfg(any(target_arch = "aarch64", target_arch = "arm"))]
            std::arch::naked_asm!("b {}", sym $log);
            #[cfg(any(target_arch = "riscv64", target_arch = "riscv32"))]
            std::arch::naked_asm!("tail {}", sym $log);
        }
    };
}
