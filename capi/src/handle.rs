//! The handle: what `zhandle_t` is, how it is made and closed, and what may be asked of it.

use crate::arguments;
use crate::completion::{Pending, SYNCHRONOUS, Scratch};
use crate::constants::ZOO_CONNECTED_STATE;
use crate::engine::Engine;
use crate::errors::{ZBADARGUMENTS, ZINVALIDSTATE, ZOK, ZSYSTEMERROR};
use crate::lock::Mutex;
use crate::log::{Level, Log, LogCallback, log};
use crate::resolve;
use crate::sync::SyncCall;
use crate::watchers::{self, Watcher, WatcherFn, no_watcher};
use oxkeeper_client::{Batch, Chroot, ConnectString, Delivery, HostPort, Options, SessionEvent, WatcherId};
use oxkeeper_proto::SessionId;
use std::cell::{RefCell, UnsafeCell};
use std::ffi::{CStr, c_char, c_int, c_void};
use std::net::SocketAddr;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// `ZOO_READONLY` of the header.
const READ_ONLY_FLAG: c_int = 1;
/// `ZOO_NO_LOG_CLIENTENV` of the header.
const NO_ENVIRONMENT_FLAG: c_int = 2;

/// The version that the headers name.
pub const VERSION: &CStr = c"3.9.5";

/// `clientid_t`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ClientId {
    client_id: i64,
    passwd: [u8; 16],
}

/// What the engine's threads and the functions of C both need.
pub struct Common {
    log_callback: AtomicPtr<c_void>,
    threaded: bool,
    client_id: UnsafeCell<ClientId>,
    is_closing: AtomicBool,
}

// SAFETY: all is atomic but the session's id, which C reads at an address that it keeps: that is a race by the header's
// own making. It is written only when a session is established, before the event that tells of it.
unsafe impl Sync for Common {}
// SAFETY: as above.
unsafe impl Send for Common {}

impl Common {
    /// Where log lines go now.
    pub fn log(&self) -> Log {
        let callback = self.log_callback.load(Ordering::Relaxed);
        // SAFETY: only `set_log_callback` and `new` store here, and null is `None`.
        let callback = unsafe { std::mem::transmute::<*mut c_void, LogCallback>(callback) };
        Log { callback, threaded: self.threaded }
    }

    fn set_log_callback(&self, callback: LogCallback) {
        self.log_callback.store(callback.map_or(ptr::null_mut(), |f| f as *mut c_void), Ordering::Relaxed);
    }

    /// A line of the machine.
    pub fn log_machine(&self, level: oxkeeper_client::Level, text: &str) {
        let level = match level {
            oxkeeper_client::Level::Error => Level::Error,
            oxkeeper_client::Level::Warn => Level::Warn,
            oxkeeper_client::Level::Info => Level::Info,
            oxkeeper_client::Level::Debug => Level::Debug,
        };
        self.log().write(level, c"client", line!(), text);
    }

    /// Notes the session that an event tells of, for `zoo_client_id`.
    pub fn note_session(&self, event: &SessionEvent<'_>) {
        if event.state.is_connected() {
            // SAFETY: see `Sync`.
            unsafe { *self.client_id.get() = ClientId { client_id: event.session.0, passwd: *event.password } };
        }
    }

    /// Whether the handle is being closed.
    pub fn is_closing(&self) -> bool {
        self.is_closing.load(Ordering::Acquire)
    }
}

/// `zhandle_t`. C has a pointer to it that stands for one count of an `Arc`.
pub struct Handle {
    /// What the engine's threads have too.
    pub common: Arc<Common>,
    /// What carries the requests.
    pub engine: Box<dyn Engine>,
    /// What goes before every path.
    pub chroot: Chroot,
    default_watcher: Mutex<(Watcher, SendPointer)>,
}

/// The application's pointer: it is carried, never followed.
#[derive(Clone, Copy)]
struct SendPointer(*mut c_void);

// SAFETY: it is never followed here.
unsafe impl Send for SendPointer {}

impl Handle {
    /// The pointer that C has.
    pub fn as_c(&self) -> *mut Handle {
        ptr::from_ref(self).cast_mut()
    }

    /// The watcher of a request with a watch flag: the handle's own.
    pub fn default_watcher(&self) -> WatcherId {
        let (watcher, context) = *self.default_watcher.lock().unwrap_or_else(PoisonError::into_inner);
        watchers::id(watcher, context.0)
    }

    fn change_default_watcher(&self, change: impl FnOnce(&mut (Watcher, SendPointer))) {
        let mut held = self.default_watcher.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut held);
        let id = watchers::id(held.0, held.1.0);
        drop(held);
        self.engine.set_default_watcher(id);
    }

    /// Calls back what happened, in order, save synchronous calls: their callers have been told.
    ///
    /// # Safety
    /// Called without a lock, and by one thread at a time.
    pub unsafe fn deliver(&self, batch: &Batch, scratch: &mut Scratch) {
        for delivery in batch.iter() {
            match delivery {
                Delivery::Completed(completion) => {
                    if completion.tag != 0 && completion.tag & SYNCHRONOUS == 0 {
                        // SAFETY: the tag of an asynchronous request, which comes back once.
                        unsafe { Pending::from_tag(completion.tag).call(&self.chroot, completion.error.0, completion.body, scratch) };
                    }
                }
                Delivery::Watch(event) => {
                    let path = scratch.string(event.path);
                    for watcher in event.watchers {
                        // SAFETY: `path` is good until the scratch is used again.
                        unsafe { self.call_watcher(*watcher, event.kind, event.state, path) };
                    }
                }
                Delivery::Session(event) => {
                    for watcher in event.watchers {
                        // SAFETY: a literal.
                        unsafe { self.call_watcher(*watcher, crate::constants::ZOO_SESSION_EVENT, event.state.code(), c"".as_ptr()) };
                    }
                }
                Delivery::Closed => {}
            }
        }
    }

    /// # Safety
    /// `path` is a string of C.
    unsafe fn call_watcher(&self, watcher: WatcherId, kind: c_int, state: c_int, path: *const c_char) {
        if let (Some(function), context) = watchers::parts(watcher) {
            // SAFETY: the application's function and context.
            unsafe { function(self.as_c(), kind, state, path, context) };
        }
    }
}

/// Tells the callers of synchronous calls in the batch, and notes sessions. Whether there is anything left for callbacks.
///
/// # Safety
/// The tags are this library's.
pub unsafe fn finish_sync_calls(common: &Common, batch: &Batch) -> bool {
    let mut is_more = false;
    for delivery in batch.iter() {
        match delivery {
            Delivery::Completed(completion) if completion.tag & SYNCHRONOUS != 0 => {
                // SAFETY: the caller waits until it is told, which happens once.
                unsafe { SyncCall::finish(completion.tag, completion.error.0, completion.body) };
            }
            Delivery::Completed(completion) => is_more |= completion.tag != 0,
            Delivery::Session(event) => {
                common.note_session(&event);
                is_more = true;
            }
            Delivery::Watch(_) => is_more = true,
            Delivery::Closed => {}
        }
    }
    is_more
}

/// Makes an engine from what `zookeeper_init` was told.
pub type MakeEngine = fn(StartOptions) -> std::io::Result<Box<dyn Engine>>;

/// What an engine is made of.
pub struct StartOptions {
    /// For the machine.
    pub client: Options,
    /// The servers' addresses, one list for each host.
    pub addresses: Vec<Vec<SocketAddr>>,
    /// Shared with the handle.
    pub common: Arc<Common>,
}

/// The arguments of `zookeeper_init2`.
pub struct InitArguments {
    /// `host`
    pub host: *const c_char,
    /// `fn`
    pub watcher: WatcherFn,
    /// `recv_timeout`
    pub timeout_ms: c_int,
    /// `clientid`
    pub client_id: *const ClientId,
    /// `context`
    pub context: *mut c_void,
    /// `flags`
    pub flags: c_int,
    /// `log_callback`
    pub log_callback: LogCallback,
}

static KEEPS_ORDER: AtomicBool = AtomicBool::new(false);

/// `zookeeper_init2` for both libraries; null with errno when it fails.
///
/// # Safety
/// The pointers are null or valid.
pub unsafe fn init(arguments: &InitArguments, threaded: bool, make: MakeEngine) -> *mut Handle {
    // SAFETY: the caller's promise.
    match unsafe { try_init(arguments, threaded, make) } {
        Ok(handle) => match handle.engine.start_callbacks(&handle) {
            Ok(()) => Arc::into_raw(handle).cast_mut(),
            Err(error) => {
                handle.engine.close(&handle);
                set_errno(error.raw_os_error().unwrap_or(libc::ENOMEM));
                ptr::null_mut()
            }
        },
        Err(errno) => {
            set_errno(errno);
            ptr::null_mut()
        }
    }
}

/// # Safety
/// As [`init`].
unsafe fn try_init(arguments: &InitArguments, threaded: bool, make: MakeEngine) -> Result<Arc<Handle>, c_int> {
    // SAFETY: the caller's promise.
    let client_id = unsafe { arguments.client_id.as_ref() };
    let common = Arc::new(Common {
        log_callback: AtomicPtr::new(ptr::null_mut()),
        threaded,
        client_id: UnsafeCell::new(client_id.copied().unwrap_or(ClientId { client_id: 0, passwd: [0; 16] })),
        is_closing: AtomicBool::new(false),
    });
    common.set_log_callback(arguments.log_callback);
    if arguments.flags & NO_ENVIRONMENT_FLAG == 0 {
        crate::environment::log(common.log());
    }
    // SAFETY: the caller's promise.
    let host = unsafe { arguments::string(arguments.host) };
    let session = client_id.map_or(0, |id| id.client_id);
    log!(
        common.log(),
        Info,
        c"zookeeper_init",
        "Initiating client connection, host={} sessionTimeout={} watcher={:p} sessionId={session:#x} sessionPasswd={} context={:p} flags={}",
        host.map_or("(null)".into(), String::from_utf8_lossy),
        arguments.timeout_ms,
        arguments.watcher.map_or(ptr::null(), |f| f as *const ()),
        if client_id.is_some_and(|id| id.passwd[0] != 0) { "<hidden>" } else { "<null>" },
        arguments.context,
        arguments.flags,
    );
    let host = host.filter(|host| !host.is_empty()).ok_or(libc::EINVAL)?;
    let servers = ConnectString::parse_like_c(host).map_err(|error| {
        log!(common.log(), Error, c"resolve_hosts", "{error}");
        libc::EINVAL
    })?;
    // Commas alone; a chroot alone is let through, as in the original.
    if servers.hosts.is_empty() && host[0] != b'/' {
        return Err(libc::EINVAL);
    }
    let addresses = resolve::all(&servers.hosts, common.log())?;
    let watcher = arguments.watcher.unwrap_or(no_watcher);
    let mut client = Options::new(servers.hosts, servers.chroot.clone(), arguments.timeout_ms, seed());
    client.session = SessionId(session);
    client.password = client_id.map_or([0; 16], |id| id.passwd);
    client.can_be_read_only = arguments.flags & READ_ONLY_FLAG != 0;
    client.shuffle = !KEEPS_ORDER.load(Ordering::Relaxed);
    client.first_xid = first_xid();
    client.default_watcher = watchers::id(watcher, arguments.context);
    let engine =
        make(StartOptions { client, addresses, common: common.clone() }).map_err(|error| error.raw_os_error().unwrap_or(libc::ENOMEM))?;
    Ok(Arc::new(Handle { common, engine, chroot: servers.chroot, default_watcher: Mutex::new((watcher, SendPointer(arguments.context))) }))
}

/// Milliseconds since some moment, never going back.
pub fn now_ms() -> u64 {
    static BEGINNING: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    let beginning = *BEGINNING.get_or_init(|| Instant::now() - Duration::from_millis(1));
    u64::try_from(beginning.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// The time of day, as in the original; it tells the sessions of one program apart in a server's log.
fn first_xid() -> i32 {
    let seconds = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(1, |since| since.as_secs());
    // Within 31 bits, and far enough from their end for a long life.
    i32::try_from(seconds & 0x3fff_ffff).unwrap_or(1).max(1)
}

/// For shuffling: from the system's randomness, which std's hasher is seeded with.
fn seed() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::collections::hash_map::RandomState::new().build_hasher().finish()
}

fn set_errno(errno: c_int) {
    // SAFETY: the calling thread's own errno.
    unsafe { *libc::__errno_location() = errno };
}

/// What a pointer of C stands for.
///
/// # Safety
/// Null or a handle that has not been closed.
pub unsafe fn handle<'a>(zh: *const Handle) -> Option<&'a Handle> {
    // SAFETY: the caller's promise.
    unsafe { zh.as_ref() }
}

/// The same, kept alive even if a callback closes it meanwhile.
///
/// # Safety
/// As [`handle`].
pub unsafe fn keep(zh: *const Handle) -> Option<Arc<Handle>> {
    if zh.is_null() {
        return None;
    }
    // SAFETY: the pointer came from `Arc::into_raw` and stands for a count that only `zookeeper_close` takes.
    unsafe {
        Arc::increment_strong_count(zh);
        Some(Arc::from_raw(zh))
    }
}

/// See `zookeeper.h`.
///
/// # Safety
/// A handle that has not been closed, or null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zookeeper_close(zh: *mut Handle) -> c_int {
    if zh.is_null() {
        return ZBADARGUMENTS;
    }
    // SAFETY: takes the count that `init` gave to C.
    let handle = unsafe { Arc::from_raw(zh.cast_const()) };
    handle.common.is_closing.store(true, Ordering::Release);
    handle.engine.close(&handle)
}

/// See `zookeeper.h`.
///
/// # Safety
/// A handle or null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zoo_state(zh: *mut Handle) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { handle(zh) }.map_or(0, |zh| zh.engine.state().code())
}

/// See `zookeeper.h`.
///
/// # Safety
/// A handle or null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn is_unrecoverable(zh: *mut Handle) -> c_int {
    // SAFETY: the caller's promise.
    if unsafe { zoo_state(zh) } < 0 { ZINVALIDSTATE } else { ZOK }
}

/// See `zookeeper.h`.
///
/// # Safety
/// A handle or null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zoo_recv_timeout(zh: *mut Handle) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { handle(zh) }.map_or(0, |zh| zh.engine.session_timeout_ms())
}

/// See `zookeeper.h`.
///
/// # Safety
/// A handle or null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zoo_client_id(zh: *mut Handle) -> *const ClientId {
    // SAFETY: the caller's promise.
    unsafe { handle(zh) }.map_or(ptr::null(), |zh| zh.common.client_id.get().cast_const())
}

/// See `zookeeper.h`.
///
/// # Safety
/// A handle or null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zoo_get_context(zh: *mut Handle) -> *const c_void {
    // SAFETY: the caller's promise.
    unsafe { handle(zh) }.map_or(ptr::null(), |zh| zh.default_watcher.lock().unwrap_or_else(PoisonError::into_inner).1.0.cast_const())
}

/// See `zookeeper.h`.
///
/// # Safety
/// A handle or null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zoo_set_context(zh: *mut Handle, context: *mut c_void) {
    // SAFETY: the caller's promise.
    if let Some(zh) = unsafe { handle(zh) } {
        zh.change_default_watcher(|held| held.1 = SendPointer(context));
    }
}

/// See `zookeeper.h`.
///
/// # Safety
/// A handle or null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zoo_set_watcher(zh: *mut Handle, watcher: WatcherFn) -> WatcherFn {
    // SAFETY: the caller's promise.
    let zh = unsafe { handle(zh) }?;
    let mut old = None;
    zh.change_default_watcher(|held| old = Some(std::mem::replace(&mut held.0, watcher.unwrap_or(no_watcher))));
    old
}

/// See `zookeeper.h`.
///
/// # Safety
/// A handle or null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zoo_get_log_callback(zh: *const Handle) -> LogCallback {
    // SAFETY: the caller's promise.
    unsafe { handle(zh) }.and_then(|zh| zh.common.log().callback)
}

/// See `zookeeper.h`.
///
/// # Safety
/// A handle or null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zoo_set_log_callback(zh: *mut Handle, callback: LogCallback) {
    // SAFETY: the caller's promise.
    if let Some(zh) = unsafe { handle(zh) } {
        zh.common.set_log_callback(callback);
    }
}

/// See `zookeeper.h`.
#[unsafe(no_mangle)]
pub extern "C" fn zoo_deterministic_conn_order(yes_or_no: c_int) {
    KEEPS_ORDER.store(yes_or_no != 0, Ordering::Relaxed);
}

/// See `zookeeper.h`.
#[unsafe(no_mangle)]
pub extern "C" fn zoo_version_str() -> *const c_char {
    VERSION.as_ptr()
}

/// See `zookeeper.h`.
///
/// # Safety
/// A handle and a string, or null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zoo_set_servers(zh: *mut Handle, hosts: *const c_char) -> c_int {
    // SAFETY: the caller's promise.
    let (Some(zh), Some(hosts)) = (unsafe { handle(zh) }, unsafe { arguments::string(hosts) }) else { return ZBADARGUMENTS };
    let log = zh.common.log();
    let hosts: Vec<HostPort> = match ConnectString::hosts_like_c(hosts) {
        Ok(hosts) => hosts,
        Err(error) => {
            log!(log, Error, c"resolve_hosts", "{error}");
            return ZBADARGUMENTS;
        }
    };
    match resolve::all(&hosts, log) {
        Ok(addresses) => {
            zh.engine.set_servers(hosts, addresses);
            ZOK
        }
        Err(_) => ZSYSTEMERROR,
    }
}

/// See `zookeeper.h`.
///
/// # Safety
/// A handle or null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zoo_set_servers_resolution_delay(zh: *mut Handle, delay_ms: c_int) -> c_int {
    // SAFETY: the caller's promise.
    match unsafe { handle(zh) } {
        Some(zh) if delay_ms >= -1 => {
            zh.engine.set_resolution_delay_ms(i64::from(delay_ms));
            ZOK
        }
        _ => ZBADARGUMENTS,
    }
}

/// See `zookeeper.h`.
///
/// # Safety
/// A handle or null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zoo_cycle_next_server(zh: *mut Handle) {
    // SAFETY: the caller's promise.
    if let Some(zh) = unsafe { handle(zh) } {
        zh.engine.cycle_next_server();
    }
}

/// Of the longest address with a scope, port and NUL.
const ADDRESS_TEXT_BYTES: usize = 134;

/// See `zookeeper.h`.
///
/// # Safety
/// A handle or null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zoo_get_current_server(zh: *mut Handle) -> *const c_char {
    thread_local! {
        static TEXT: RefCell<[u8; ADDRESS_TEXT_BYTES]> = const { RefCell::new([0; ADDRESS_TEXT_BYTES]) };
    }
    // SAFETY: the caller's promise.
    let server = unsafe { handle(zh) }.and_then(|zh| zh.engine.server());
    let text = server.map_or_else(|| ":0".to_owned(), |server| server.to_string());
    TEXT.try_with(|buffer| {
        let mut buffer = buffer.borrow_mut();
        let length = text.len().min(ADDRESS_TEXT_BYTES - 1);
        buffer[..length].copy_from_slice(&text.as_bytes()[..length]);
        buffer[length] = 0;
        buffer.as_ptr().cast()
    })
    // A thread that is ending has no such memory any more.
    .unwrap_or(c":0".as_ptr())
}

/// See `zookeeper.h`.
///
/// # Safety
/// A handle and room for an address of `addr_len` bytes, or null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zookeeper_get_connected_host(
    zh: *mut Handle,
    addr: *mut libc::sockaddr,
    addr_len: *mut libc::socklen_t,
) -> *mut libc::sockaddr {
    // SAFETY: the caller's promise.
    let Some(zh) = (unsafe { handle(zh) }) else { return ptr::null_mut() };
    if addr.is_null() || addr_len.is_null() || zh.engine.state().code() != ZOO_CONNECTED_STATE {
        return ptr::null_mut();
    }
    let Some(server) = zh.engine.server() else { return ptr::null_mut() };
    // SAFETY: the caller's promise; `write_address` keeps to the room.
    unsafe { resolve::write_address(server, addr, &mut *addr_len) };
    addr
}

/// Exported by the original, for its own use: held while credentials are changed. There is nothing to hold here.
#[unsafe(no_mangle)]
pub extern "C" fn zoo_lock_auth(_: *mut Handle) -> c_int {
    ZOK
}

/// See [`zoo_lock_auth`].
#[unsafe(no_mangle)]
pub extern "C" fn zoo_unlock_auth(_: *mut Handle) -> c_int {
    ZOK
}

/// See `zookeeper.h`.
///
/// # Safety
/// A handle and room for the answers, or null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zookeeper_interest(zh: *mut Handle, fd: *mut c_int, interest: *mut c_int, tv: *mut libc::timeval) -> c_int {
    // SAFETY: the caller's promise.
    let (Some(zh), Some(fd), Some(interest), Some(tv)) = (unsafe { (keep(zh), fd.as_mut(), interest.as_mut(), tv.as_mut()) }) else {
        return ZBADARGUMENTS;
    };
    let (rc, wanted) = zh.engine.interest(&zh);
    *fd = wanted.descriptor;
    *interest = wanted.events;
    tv.tv_sec = libc::time_t::try_from(wanted.wait_ms / 1000).unwrap_or(libc::time_t::MAX);
    tv.tv_usec = libc::suseconds_t::try_from(wanted.wait_ms % 1000 * 1000).unwrap_or(0);
    rc
}

/// See `zookeeper.h`.
///
/// # Safety
/// A handle or null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zookeeper_process(zh: *mut Handle, events: c_int) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { keep(zh) }.map_or(ZBADARGUMENTS, |zh| zh.engine.process(&zh, events))
}
