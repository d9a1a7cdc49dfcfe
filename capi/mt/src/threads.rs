//! The threads of a handle: one that talks to the server, and one on which all callbacks run.
//!
//! Callers put requests into a batch of their own lock, which is held only while a request is encoded; the first
//! thread takes the batch over into the machine, writes and reads. A caller that will wait for the reply anyway writes
//! by itself when that thread sleeps: it would only be woken to do the same.

use oxkeeper_capi::completion::{SYNCHRONOUS, Scratch};
use oxkeeper_capi::connection::{Connection, Errand, Room, WRITE};
use oxkeeper_capi::engine::Engine;
use oxkeeper_capi::errors::ZOK;
use oxkeeper_capi::handle::{Common, Handle, StartOptions, finish_sync_calls, now_ms};
use oxkeeper_capi::lock::{Condvar, Mutex, MutexGuard};
use oxkeeper_client::{
    Batch, Chroot, Completion, Delivery, HostPort, Input, Operation, PendingRequests, RequestBatch, State, SubmitError, WatcherId,
    WatchesToRemove,
};
use oxkeeper_proto::{ErrorCode, OpCode};
use std::ffi::c_int;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::thread::JoinHandleExt;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, PoisonError};
use std::thread::{self, JoinHandle};

/// Batches whose memory is kept for the next ones.
const SPARE_BATCHES: usize = 4;

/// A batch that has grown beyond this is not kept.
const SPARE_BYTES: usize = 1 << 20;

/// What has happened and has not been called back yet. It grows with what the application has asked for and its
/// watches; the thread that reads from the server never waits for a callback.
#[derive(Default)]
struct Queue {
    inner: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    batches: Vec<Batch>,
    spare: Vec<Batch>,
    is_ended: bool,
    is_idle: bool,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends, and gives back memory for the next batch.
    fn push(&self, batch: Batch) -> Batch {
        let mut waiting = self.lock();
        waiting.batches.push(batch);
        let spare = waiting.spare.pop().unwrap_or_default();
        self.wake(waiting);
        spare
    }

    /// Nothing more will come.
    fn end(&self) {
        let mut waiting = self.lock();
        waiting.is_ended = true;
        self.wake(waiting);
    }

    fn wake(&self, mut waiting: MutexGuard<'_, Waiting>) {
        // One thread waits, and a signal costs a call of the system: only when it sleeps.
        let is_idle = std::mem::take(&mut waiting.is_idle);
        drop(waiting);
        if is_idle {
            self.changed.notify_one();
        }
    }

    /// Takes all that is there; `false` when nothing is and nothing will come.
    fn take(&self, taken: &mut Vec<Batch>) -> bool {
        let mut waiting = self.lock();
        for mut batch in taken.drain(..) {
            if waiting.spare.len() < SPARE_BATCHES && batch.byte_count() <= SPARE_BYTES {
                batch.clear();
                waiting.spare.push(batch);
            }
        }
        while waiting.batches.is_empty() {
            if waiting.is_ended {
                return false;
            }
            waiting.is_idle = true;
            waiting = self.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner);
            waiting.is_idle = false;
        }
        std::mem::swap(taken, &mut waiting.batches);
        true
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A thread that panicked would have ended the program.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Wakes a thread that waits in `poll`.
struct Bell(OwnedFd);

impl Bell {
    fn new() -> io::Result<Self> {
        // SAFETY: no pointers; the descriptor is owned from here on.
        unsafe {
            let bell = libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC);
            if bell < 0 { Err(io::Error::last_os_error()) } else { Ok(Self(OwnedFd::from_raw_fd(bell))) }
        }
    }

    fn ring(&self) {
        let one = 1_u64;
        // SAFETY: eight bytes, as an eventfd takes them. It is full only when it has been rung often enough.
        unsafe { libc::write(self.0.as_raw_fd(), (&raw const one).cast(), 8) };
    }

    fn silence(&self) {
        let mut count = 0_u64;
        // SAFETY: eight bytes.
        unsafe { libc::read(self.0.as_raw_fd(), (&raw mut count).cast(), 8) };
    }
}

/// What callers leave for the thread that talks to the server.
#[derive(Default)]
struct Requests {
    batch: RequestBatch,
    is_closing: bool,
    /// The machine wants to be drained.
    is_poked: bool,
    /// The thread waits in `poll`, or is about to.
    is_asleep: bool,
}

/// What the threads and the callers share. Lock order: connection, requests.
struct Shared {
    connection: Mutex<Connection>,
    requests: Mutex<Requests>,
    bell: Bell,
    queue: Queue,
    common: Arc<Common>,
    chroot: Chroot,
    state: AtomicI32,
    session_timeout_ms: AtomicI32,
    server: Mutex<Option<SocketAddr>>,
}

/// All states, for the number in which one is kept.
const STATES: [State; 10] = [
    State::NotConnected,
    State::Connecting,
    State::TlsConnecting,
    State::Associating,
    State::Connected,
    State::ReadOnly,
    State::Lost,
    State::Expired,
    State::AuthFailed,
    State::Closed,
];

impl Shared {
    fn state(&self) -> State {
        let code = self.state.load(Ordering::Acquire);
        STATES.into_iter().find(|state| state.code() == code).unwrap_or(State::NotConnected)
    }

    /// Makes known how things stand, before what happened is delivered.
    fn publish(&self, connection: &Connection) {
        let client = &connection.client;
        self.session_timeout_ms.store(client.session_timeout_ms(), Ordering::Relaxed);
        let state = client.state().code();
        if self.state.swap(state, Ordering::AcqRel) != state {
            *lock(&self.server) = client.server();
        }
    }

    /// Makes the thread look at the machine.
    fn poke(&self) {
        let mut requests = lock(&self.requests);
        requests.is_poked = true;
        let is_asleep = std::mem::take(&mut requests.is_asleep);
        drop(requests);
        if is_asleep {
            self.bell.ring();
        }
    }

    fn submit(&self, tag: u64, operation: &Operation<'_>) -> Result<(), SubmitError> {
        let mut requests = lock(&self.requests);
        if requests.is_closing {
            return Err(SubmitError::Closing);
        }
        if self.state.load(Ordering::Acquire) < 0 {
            return Err(SubmitError::InvalidState);
        }
        requests.batch.push(&self.chroot, tag, operation)?;
        if !requests.is_asleep {
            return Ok(());
        }
        if tag & SYNCHRONOUS != 0
            && let Ok(mut connection) = self.connection.try_lock()
            && connection.client.state().is_connected()
        {
            connection.client.submit_batch(now_ms(), &mut requests.batch);
            // Whatever goes wrong is seen by the thread that reads.
            if connection.write_some() {
                return Ok(());
            }
            requests.is_poked = true;
        }
        requests.is_asleep = false;
        drop(requests);
        self.bell.ring();
        Ok(())
    }

    /// Asks the machine for something that the batch does not hold, behind what was asked for before.
    fn ask(&self, ask: impl FnOnce(&mut Connection) -> Result<(), SubmitError>) -> Result<(), SubmitError> {
        let mut connection = lock(&self.connection);
        let mut requests = lock(&self.requests);
        if requests.is_closing {
            return Err(SubmitError::Closing);
        }
        connection.client.submit_batch(now_ms(), &mut requests.batch);
        drop(requests);
        ask(&mut connection)?;
        drop(connection);
        self.poke();
        Ok(())
    }

    /// Tells callers that wait, and hands the rest to the callbacks' thread; memory for the next batch comes back.
    fn deliver(&self, mut batch: Batch) -> Batch {
        if batch.is_empty() {
            return batch;
        }
        // SAFETY: all tags are given out by this library.
        if unsafe { finish_sync_calls(&self.common, &batch) } {
            return self.queue.push(batch);
        }
        batch.clear();
        batch
    }
}

/// Talks to the server until the handle is closed.
fn talk(shared: &Shared) {
    let mut room = Room::default();
    let mut batch = RequestBatch::default();
    let mut spare = Batch::default();
    let mut ready = Ready::default();
    let mut has_begun_closing = false;
    loop {
        let mut connection = lock(&shared.connection);
        let mut requests = lock(&shared.requests);
        std::mem::swap(&mut batch, &mut requests.batch);
        requests.is_poked = false;
        let is_closing = requests.is_closing;
        drop(requests);
        connection.client.submit_batch(now_ms(), &mut batch);
        if is_closing && !has_begun_closing {
            has_begun_closing = true;
            connection.client.close(now_ms(), PendingRequests::Fail);
        }
        if ready.can_write && connection.is_connecting() {
            connection.finish_connecting();
        } else if ready.can_read {
            connection.receive(&mut room);
        }
        connection.handle(Input::Tick);
        connection.flush();
        shared.publish(&connection);
        std::mem::swap(&mut connection.happened, &mut spare);
        let lines = std::mem::take(&mut connection.lines);
        let errands = std::mem::take(&mut connection.errands);
        let is_closed = connection.is_closed;
        let wanted = connection.wanted();
        drop(connection);

        for (level, text) in lines {
            shared.common.log_machine(level, &text);
        }
        spare = shared.deliver(spare);
        if is_closed {
            lock(&shared.connection).drop_link();
            return;
        }
        ready = Ready::default();
        if !errands.is_empty() {
            let found: Vec<_> = errands.iter().map(Errand::run).collect();
            let mut connection = lock(&shared.connection);
            found.into_iter().for_each(|found| connection.found(found));
            continue;
        }
        let mut requests = lock(&shared.requests);
        let has_work = !requests.batch.is_empty() || requests.is_poked || (requests.is_closing && !has_begun_closing);
        requests.is_asleep = !has_work;
        drop(requests);
        ready = wait(&shared.bell, wanted.descriptor, wanted.events, if has_work { 0 } else { wanted.wait_ms });
        if !has_work {
            lock(&shared.requests).is_asleep = false;
        }
    }
}

/// What a wait ended with.
#[derive(Default)]
struct Ready {
    can_read: bool,
    can_write: bool,
}

/// Waits for the socket or the bell.
fn wait(bell: &Bell, socket: c_int, events: c_int, wait_ms: u64) -> Ready {
    let mut wanted = [
        libc::pollfd { fd: bell.0.as_raw_fd(), events: libc::POLLIN, revents: 0 },
        libc::pollfd { fd: socket, events: libc::POLLIN | if events & WRITE != 0 { libc::POLLOUT } else { 0 }, revents: 0 },
    ];
    // SAFETY: two valid structures; a descriptor of -1 is passed over. An error is a wait that ended early.
    unsafe { libc::poll(wanted.as_mut_ptr(), 2, c_int::try_from(wait_ms).unwrap_or(c_int::MAX)) };
    if wanted[0].revents != 0 {
        bell.silence();
    }
    let failed = libc::POLLERR | libc::POLLHUP;
    Ready { can_read: wanted[1].revents & (libc::POLLIN | failed) != 0, can_write: wanted[1].revents & (libc::POLLOUT | failed) != 0 }
}

/// A thread that can be joined once.
type Joinable = JoinHandle<()>;

/// The engine.
struct Threads {
    shared: Arc<Shared>,
    talker: Mutex<Option<Joinable>>,
    callbacks: Mutex<Option<Joinable>>,
    /// Where the threads are: a child after fork has none.
    process: u32,
}

/// Prepares the engine; its threads start with the callbacks.
///
/// # Errors
/// When the system has no more descriptors.
pub fn make(options: StartOptions) -> io::Result<Box<dyn Engine>> {
    let shared = Shared {
        bell: Bell::new()?,
        requests: Mutex::default(),
        queue: Queue::default(),
        common: options.common.clone(),
        chroot: options.client.chroot.clone(),
        state: AtomicI32::new(State::NotConnected.code()),
        session_timeout_ms: AtomicI32::new(options.client.session_timeout_ms),
        server: Mutex::new(None),
        connection: Mutex::new(Connection::new(options)),
    };
    Ok(Box::new(Threads { shared: Arc::new(shared), talker: Mutex::new(None), callbacks: Mutex::new(None), process: std::process::id() }))
}

fn call_back(handle: &Handle, queue: &Queue) {
    let mut scratch = Scratch::default();
    let mut taken = Vec::new();
    while queue.take(&mut taken) {
        for batch in &taken {
            // SAFETY: no lock is held, and this is the one thread that calls back.
            unsafe { handle.deliver(batch, &mut scratch) };
        }
    }
}

/// Starts a thread and notes it. The place is locked meanwhile: the thread's first callback may already close the
/// handle.
fn start(place: &Mutex<Option<Joinable>>, run: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let mut place = lock(place);
    *place = Some(thread::Builder::new().spawn(run)?);
    Ok(())
}

/// Waits for a thread's end, unless it is the one that asks: that ends by itself, soon after.
fn join(place: &Mutex<Option<Joinable>>) {
    let thread = lock(place).take();
    // SAFETY: no pointers.
    let is_self = |thread: &Joinable| unsafe { libc::pthread_equal(thread.as_pthread_t(), libc::pthread_self()) != 0 };
    if let Some(thread) = thread.filter(|thread| !is_self(thread)) {
        // It only fails when a callback has panicked, which ends the program.
        let _ = thread.join();
    }
}

impl Engine for Threads {
    fn start_callbacks(&self, handle: &Arc<Handle>) -> io::Result<()> {
        let shared = self.shared.clone();
        start(&self.talker, move || talk(&shared))?;
        let (handle, shared) = (handle.clone(), self.shared.clone());
        start(&self.callbacks, move || call_back(&handle, &shared.queue))
    }

    fn submit(&self, tag: u64, operation: &Operation<'_>) -> Result<(), SubmitError> {
        self.shared.submit(tag, operation)
    }

    fn remove_watches(
        &self,
        tag: u64,
        path: &[u8],
        which: WatchesToRemove,
        watcher: Option<WatcherId>,
        is_local: bool,
    ) -> Result<(), SubmitError> {
        self.shared.ask(|connection| connection.client.remove_watches(now_ms(), tag, path, which, watcher, is_local))
    }

    fn add_auth(&self, tag: u64, scheme: &[u8], credentials: &[u8]) -> Result<(), SubmitError> {
        self.shared.ask(|connection| connection.client.add_auth(now_ms(), tag, scheme, credentials))
    }

    fn complete_locally(&self, tag: u64) {
        let mut batch = Batch::default();
        let completion = Completion { tag, op: OpCode::CHECK_WATCHES, error: ErrorCode::OK, zxid: -1, body: &[] };
        batch.push(Delivery::Completed(completion));
        self.shared.queue.push(batch);
    }

    fn close(&self, _: &Arc<Handle>) -> c_int {
        if self.process != std::process::id() {
            // A child after fork: the threads and the session are the parent's. Only the child's descriptor is closed,
            // and only if the parent was not just using it; the memory stays.
            if let Ok(mut connection) = self.shared.connection.try_lock() {
                connection.drop_link();
            }
            return ZOK;
        }
        lock(&self.shared.requests).is_closing = true;
        self.shared.poke();
        join(&self.talker);
        self.shared.queue.end();
        // Called from a callback, that thread calls what is left when the callback has returned.
        join(&self.callbacks);
        ZOK
    }

    fn set_servers(&self, hosts: Vec<HostPort>, addresses: Vec<Vec<SocketAddr>>) {
        lock(&self.shared.connection).client.set_resolved_servers(now_ms(), hosts, addresses);
        self.shared.poke();
    }

    fn set_resolution_delay_ms(&self, delay_ms: i64) {
        lock(&self.shared.connection).client.set_resolution_delay_ms(delay_ms);
        self.shared.poke();
    }

    fn cycle_next_server(&self) {
        lock(&self.shared.connection).client.cycle_next_server();
        self.shared.poke();
    }

    fn set_default_watcher(&self, watcher: WatcherId) {
        lock(&self.shared.connection).client.set_default_watcher(watcher);
    }

    fn state(&self) -> State {
        self.shared.state()
    }

    fn session_timeout_ms(&self) -> i32 {
        self.shared.session_timeout_ms.load(Ordering::Relaxed)
    }

    fn server(&self) -> Option<SocketAddr> {
        *lock(&self.shared.server)
    }
}
