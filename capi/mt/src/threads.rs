//! The threads of a handle: the driver's, which talks to the server, and one on which all callbacks run.

use oxkeeper_capi::completion::Scratch;
use oxkeeper_capi::engine::Engine;
use oxkeeper_capi::errors::ZOK;
use oxkeeper_capi::handle::{Common, Handle, StartOptions, finish_sync_calls};
use oxkeeper_capi::resolve;
use oxkeeper_client::{
    Batch, Completion, Delivery, HostPort, Level, Operation, PendingRequests, State, SubmitError, WatcherId, WatchesToRemove,
};
use oxkeeper_driver as driver;
use oxkeeper_proto::{ErrorCode, OpCode};
use std::ffi::c_int;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle, ThreadId};
use std::time::Duration;

/// The driver closes within 4.5 s; more would only be a machine that stands still.
const CLOSE_WAIT: Duration = Duration::from_secs(30);

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

/// Takes what the driver's thread delivers.
struct Sink {
    common: Arc<Common>,
    queue: Arc<Queue>,
}

impl driver::Sink for Sink {
    fn deliver(&mut self, batch: &mut Batch) {
        // SAFETY: all tags are given out by this library.
        if unsafe { finish_sync_calls(&self.common, batch) } {
            *batch = self.queue.push(std::mem::take(batch));
        }
    }

    fn log(&mut self, level: Level, text: &str) {
        self.common.log_machine(level, text);
    }
}

/// Resolves as `zookeeper_init` does.
struct Resolver;

impl driver::Resolve for Resolver {
    fn resolve(&self, host: &HostPort) -> io::Result<Vec<SocketAddr>> {
        resolve::one(host).map_err(|failure| io::Error::new(io::ErrorKind::NotFound, failure.reason))
    }
}

/// The engine.
struct Threads {
    driver: driver::Handle,
    queue: Arc<Queue>,
    callbacks: Mutex<Option<(ThreadId, JoinHandle<()>)>>,
    process: u32,
}

/// Starts the thread that talks to the server.
///
/// # Errors
/// When the system gives no thread or no poll.
pub fn make(options: StartOptions) -> io::Result<Box<dyn Engine>> {
    let queue = Arc::new(Queue::default());
    let sink = Sink { common: options.common.clone(), queue: queue.clone() };
    let mut start = driver::StartOptions::new(options.client);
    start.resolver = Arc::new(Resolver);
    start.resolved = Some(options.addresses);
    let driver = driver::Handle::start(start, Box::new(sink))?;
    Ok(Box::new(Threads { driver, queue, callbacks: Mutex::new(None), process: std::process::id() }))
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

impl Engine for Threads {
    fn start_callbacks(&self, handle: &Arc<Handle>) -> io::Result<()> {
        // The lock is held until the thread is noted: its first callback may already close the handle.
        let mut callbacks = self.callbacks.lock().unwrap_or_else(PoisonError::into_inner);
        let (handle, queue) = (handle.clone(), self.queue.clone());
        let thread = thread::Builder::new().spawn(move || call_back(&handle, &queue))?;
        *callbacks = Some((thread.thread().id(), thread));
        Ok(())
    }

    fn submit(&self, tag: u64, operation: &Operation<'_>) -> Result<(), SubmitError> {
        self.driver.submit(tag, operation)
    }

    fn remove_watches(
        &self,
        tag: u64,
        path: &[u8],
        which: WatchesToRemove,
        watcher: Option<WatcherId>,
        is_local: bool,
    ) -> Result<(), SubmitError> {
        self.driver.remove_watches(tag, path, which, watcher, is_local)
    }

    fn add_auth(&self, tag: u64, scheme: &[u8], credentials: &[u8]) -> Result<(), SubmitError> {
        self.driver.add_auth(tag, scheme, credentials)
    }

    fn complete_locally(&self, tag: u64) {
        let mut batch = Batch::default();
        let completion = Completion { tag, op: OpCode::CHECK_WATCHES, error: ErrorCode::OK, zxid: -1, body: &[] };
        batch.push(Delivery::Completed(completion));
        self.queue.push(batch);
    }

    fn close(&self, _: &Arc<Handle>) -> c_int {
        if self.process != std::process::id() {
            // A child after fork: the threads are the parent's, and so is the session. The memory stays.
            self.driver.abandon();
            return ZOK;
        }
        self.driver.close(PendingRequests::Fail);
        self.driver.join(CLOSE_WAIT);
        self.queue.end();
        let callbacks = self.callbacks.lock().unwrap_or_else(PoisonError::into_inner).take();
        // Called from a callback, the thread calls what is left when that has returned, and then ends by itself.
        if let Some((id, thread)) = callbacks
            && id != thread::current().id()
        {
            // It only fails when a callback has panicked, which ends the program.
            let _ = thread.join();
        }
        ZOK
    }

    fn set_servers(&self, hosts: Vec<HostPort>, addresses: Vec<Vec<SocketAddr>>) {
        self.driver.set_resolved_servers(hosts, addresses);
    }

    fn set_resolution_delay_ms(&self, delay_ms: i64) {
        self.driver.set_resolution_delay_ms(delay_ms);
    }

    fn cycle_next_server(&self) {
        self.driver.cycle_next_server();
    }

    fn set_default_watcher(&self, watcher: WatcherId) {
        self.driver.set_default_watcher(watcher);
    }

    fn state(&self) -> State {
        self.driver.state()
    }

    fn session_timeout_ms(&self) -> i32 {
        self.driver.session_timeout_ms()
    }

    fn server(&self) -> Option<SocketAddr> {
        self.driver.server()
    }
}
