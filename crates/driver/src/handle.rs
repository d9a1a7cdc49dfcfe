//! A client on a thread of its own.
//!
//! Requests are encoded by the thread that makes them, into an outbox behind a lock of its own; the handle's thread takes
//! all of them at once, reads all that the socket has, and writes once per turn. It sleeps in one poll and is woken only
//! when it sleeps.

use crate::Batch;
use crate::engine::{Engine, Incoming, LINK, PROBE, Turn, WAKE};
use oxkeeper_client::{
    Chroot, Client, HostPort, Level, Operation, Options, Password, PendingRequests, RequestBatch, State, SubmitError, TableKind, WatcherId,
    WatchesToRemove,
};
use oxkeeper_net::Wakeup;
use oxkeeper_net::mio::{Events, Poll};
use oxkeeper_proto::SessionId;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle, ThreadId};
use std::time::{Duration, Instant};

/// Gets everything that happens, on the handle's thread, with no lock held: any method of the handle may be called from
/// within, save that [`Handle::join`] does not wait there.
pub trait Sink: Send {
    /// What happened since the last time, in order; never empty. Whatever is left in the batch afterwards is forgotten
    /// and its memory used again; a sink that hands it on takes it with `std::mem::take`.
    fn deliver(&mut self, batch: &mut Batch);

    /// A line for the log, before what it tells of is delivered.
    fn log(&mut self, level: Level, text: &str) {
        to_log_crate(level, text);
    }
}

pub(crate) fn to_log_crate(level: Level, text: &str) {
    let level = match level {
        Level::Error => log::Level::Error,
        Level::Warn => log::Level::Warn,
        Level::Info => log::Level::Info,
        Level::Debug => log::Level::Debug,
    };
    log::log!(target: "oxkeeper::client", level, "{text}");
}

/// Turns names into addresses. It may block: it is called on a thread of its own, and not at all where all hosts are
/// numbers.
pub trait Resolve: Send + Sync {
    /// The addresses of a host, each with its port.
    ///
    /// # Errors
    /// When it is not known, or nobody can say.
    fn resolve(&self, host: &HostPort) -> io::Result<Vec<SocketAddr>>;
}

/// Asks the system (`getaddrinfo`).
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve(&self, host: &HostPort) -> io::Result<Vec<SocketAddr>> {
        use std::net::ToSocketAddrs;
        Ok((host.host.as_str(), host.port).to_socket_addrs()?.collect())
    }
}

/// What a handle is started with.
pub struct StartOptions {
    /// The machine's.
    pub client: Options,
    /// Name of the thread; at most 15 bytes are shown.
    pub thread_name: String,
    /// Who resolves names.
    pub resolver: Arc<dyn Resolve>,
    /// Addresses that are known already, for each host of the options in its order; `None`: the resolver is asked first.
    pub resolved: Option<Vec<Vec<SocketAddr>>>,
}

impl StartOptions {
    /// The system's resolver, an ordinary name.
    pub fn new(client: Options) -> Self {
        Self { client, thread_name: "zk-io".to_string(), resolver: Arc::new(SystemResolver), resolved: None }
    }
}

/// A client on a thread of its own. Clones are the same client. Dropping the last one drops the connection without
/// closing the session, as a program that dies does; [`Handle::close`] closes it.
#[derive(Clone)]
pub struct Handle {
    shared: Arc<Shared>,
    /// The thread has no part in this count: when it is 0, nobody can call any more.
    _owners: Arc<Owner>,
}

struct Owner(Arc<Shared>);

impl Drop for Owner {
    fn drop(&mut self) {
        self.0.with_client(|client, _| client.abandon());
    }
}

/// What the handle's users and its thread share. Lock order: engine, outbox or inbox.
pub(crate) struct Shared {
    chroot: Chroot,
    wakeup: Arc<Wakeup>,
    outbox: Mutex<Outbox>,
    engine: Mutex<Engine>,
    /// Answers of the resolver.
    inbox: Arc<Inbox>,
    /// Something was done to the machine that the thread has to look after.
    attention: AtomicBool,
    state: AtomicI32,
    begin: Instant,
    end: End,
}

/// What comes in from helpers of the thread.
pub(crate) struct Inbox {
    pub items: Mutex<Vec<Incoming>>,
    pub wakeup: Arc<Wakeup>,
}

impl Inbox {
    pub fn push(&self, item: Incoming) {
        lock(&self.items).push(item);
        self.wakeup.wake();
    }
}

#[derive(Default)]
struct Outbox {
    batch: RequestBatch,
    /// Why nothing more is taken.
    refusal: Option<SubmitError>,
}

struct End {
    thread: Mutex<Option<JoinHandle<()>>>,
    id: Mutex<Option<ThreadId>>,
    is_over: Mutex<bool>,
    over: Condvar,
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is behind these locks is never left half done: the machine asserts only what is its own fault.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    fn now_ms(&self) -> u64 {
        self.begin.elapsed().as_millis() as u64
    }

    /// Does something with the machine, after all requests that were made before, and lets the thread look after it.
    fn with_client<T>(&self, work: impl FnOnce(&mut Client, u64) -> T) -> T {
        let now_ms = self.now_ms();
        let mut engine = lock(&self.engine);
        self.take_requests(&mut engine, now_ms);
        let result = work(engine.client(), now_ms);
        self.publish(&mut engine);
        drop(engine);
        self.attention.store(true, Ordering::SeqCst);
        self.wakeup.wake();
        result
    }

    /// Gives the machine what is in the outbox.
    fn take_requests(&self, engine: &mut Engine, now_ms: u64) {
        let spare = engine.spare();
        {
            let mut outbox = lock(&self.outbox);
            if outbox.batch.is_empty() {
                return;
            }
            std::mem::swap(&mut outbox.batch, spare);
        }
        engine.submit_spare(now_ms);
    }

    /// Lets callers see the state without the engine's lock.
    fn publish(&self, engine: &mut Engine) {
        let state = engine.client().state();
        if self.state.swap(state.code(), Ordering::SeqCst) != state.code() && state.is_over() {
            lock(&self.outbox).refusal.get_or_insert(SubmitError::InvalidState);
        }
    }

    fn has_work(&self) -> bool {
        self.attention.load(Ordering::SeqCst) || !lock(&self.outbox).batch.is_empty() || !lock(&self.inbox.items).is_empty()
    }

    fn is_own_thread(&self) -> bool {
        *lock(&self.end.id) == Some(thread::current().id())
    }
}

impl Handle {
    /// Starts the thread. It connects by itself.
    ///
    /// # Errors
    /// When the system gives no poll or no thread.
    pub fn start(options: StartOptions, sink: Box<dyn Sink>) -> io::Result<Self> {
        let poll = Poll::new()?;
        let wakeup = Wakeup::of_poll(poll.registry(), WAKE)?;
        let inbox = Arc::new(Inbox { items: Mutex::default(), wakeup: Arc::clone(&wakeup) });
        let chroot = options.client.chroot.clone();
        let hosts = options.client.hosts.clone();
        let mut client = Client::new(0, options.client);
        if let Some(resolved) = options.resolved {
            client.set_resolved_servers(0, hosts, resolved);
        }
        let registry = poll.registry().try_clone()?;
        let engine = Engine::new(client, registry, options.resolver, Arc::clone(&inbox));
        let shared = Arc::new(Shared {
            chroot,
            wakeup,
            outbox: Mutex::default(),
            engine: Mutex::new(engine),
            inbox,
            attention: AtomicBool::new(true),
            state: AtomicI32::new(State::NotConnected.code()),
            begin: Instant::now(),
            end: End { thread: Mutex::default(), id: Mutex::default(), is_over: Mutex::new(false), over: Condvar::new() },
        });
        let on_thread = Arc::clone(&shared);
        let thread = thread::Builder::new().name(options.thread_name).spawn(move || {
            let over = OnDrop(&on_thread);
            *lock(&on_thread.end.id) = Some(thread::current().id());
            run(&on_thread, poll, sink);
            drop(over);
        })?;
        *lock(&shared.end.thread) = Some(thread);
        Ok(Self { _owners: Arc::new(Owner(Arc::clone(&shared))), shared })
    }

    /// Takes a request; a completion with the tag is delivered exactly once, and requests of one thread end in the
    /// order in which they were taken.
    ///
    /// # Errors
    /// When it is not taken; nothing is delivered then.
    #[inline]
    pub fn submit(&self, tag: u64, operation: &Operation<'_>) -> Result<(), SubmitError> {
        {
            let mut outbox = lock(&self.shared.outbox);
            if let Some(refusal) = outbox.refusal {
                return Err(refusal);
            }
            outbox.batch.push(&self.shared.chroot, tag, operation)?;
        }
        self.shared.wakeup.wake();
        Ok(())
    }

    /// The same for a caller that will wait for the end: where it can, it writes to the socket itself, which saves the
    /// waking of the handle's thread. For many requests one after the other [`Self::submit`] is cheaper.
    ///
    /// # Errors
    /// As [`Self::submit`].
    pub fn submit_now(&self, tag: u64, operation: &Operation<'_>) -> Result<(), SubmitError> {
        {
            let mut outbox = lock(&self.shared.outbox);
            if let Some(refusal) = outbox.refusal {
                return Err(refusal);
            }
            outbox.batch.push(&self.shared.chroot, tag, operation)?;
        }
        if let Ok(mut engine) = self.shared.engine.try_lock()
            && engine.can_write()
        {
            let now_ms = self.shared.now_ms();
            self.shared.take_requests(&mut engine, now_ms);
            if engine.write(now_ms) {
                return Ok(());
            }
            drop(engine);
            // What could not be written, or how it failed, is the thread's to look after.
            self.shared.attention.store(true, Ordering::SeqCst);
        }
        self.shared.wakeup.wake();
        Ok(())
    }

    /// See [`Client::remove_watches`].
    ///
    /// # Errors
    /// As there.
    pub fn remove_watches(
        &self,
        tag: u64,
        path: &[u8],
        which: WatchesToRemove,
        watcher: Option<WatcherId>,
        is_local: bool,
    ) -> Result<(), SubmitError> {
        self.shared.with_client(|client, now_ms| client.remove_watches(now_ms, tag, path, which, watcher, is_local))
    }

    /// See [`Client::watched`].
    pub fn watched(&self, path: &[u8]) -> Vec<TableKind> {
        lock(&self.shared.engine).client().watched(path)
    }

    /// See [`Client::add_auth`].
    ///
    /// # Errors
    /// As there.
    pub fn add_auth(&self, tag: u64, scheme: &[u8], credentials: &[u8]) -> Result<(), SubmitError> {
        self.shared.with_client(|client, now_ms| client.add_auth(now_ms, tag, scheme, credentials))
    }

    /// Begins to end the session: later requests are refused. `Delivery::Closed` is the last delivery, and the thread
    /// ends after it; [`Client::close`] says how long it may take. May be called from the sink and more than once.
    pub fn close(&self, pending: PendingRequests) {
        lock(&self.shared.outbox).refusal = Some(SubmitError::Closing);
        self.shared.with_client(|client, now_ms| client.close(now_ms, pending));
    }

    /// Waits until the thread has ended, at most so long; whether it has. Called from the sink it says `false` at once.
    pub fn join(&self, at_most: Duration) -> bool {
        let end = &self.shared.end;
        if self.shared.is_own_thread() {
            return false;
        }
        let is_over = lock(&end.is_over);
        let waited = end.over.wait_timeout_while(is_over, at_most, |is_over| !*is_over);
        let is_over = *waited.unwrap_or_else(PoisonError::into_inner).0;
        if is_over && let Some(thread) = lock(&end.thread).take() {
            // It has said its last word: this takes no time. A panic of the sink has been reported by the thread.
            drop(thread.join());
        }
        is_over
    }

    /// See [`Client::set_servers`].
    pub fn set_servers(&self, hosts: Vec<HostPort>) {
        self.shared.with_client(|client, now_ms| client.set_servers(now_ms, hosts));
    }

    /// The same with addresses that are known already, one list for each host.
    pub fn set_resolved_servers(&self, hosts: Vec<HostPort>, addresses: Vec<Vec<SocketAddr>>) {
        self.shared.with_client(|client, now_ms| client.set_resolved_servers(now_ms, hosts, addresses));
    }

    /// See [`Options::resolution_delay_ms`].
    pub fn set_resolution_delay_ms(&self, delay_ms: i64) {
        self.shared.with_client(|client, _| client.set_resolution_delay_ms(delay_ms));
    }

    /// See [`Client::cycle_next_server`].
    pub fn cycle_next_server(&self) {
        self.shared.with_client(|client, _| client.cycle_next_server());
    }

    /// See [`Client::set_default_watcher`].
    pub fn set_default_watcher(&self, watcher: WatcherId) {
        self.shared.with_client(|client, _| client.set_default_watcher(watcher));
    }

    /// Where the session stands.
    pub fn state(&self) -> State {
        State::from_code(self.shared.state.load(Ordering::SeqCst))
    }

    /// The session and its password.
    pub fn session(&self) -> (SessionId, Password) {
        let mut engine = lock(&self.shared.engine);
        let client = engine.client();
        (client.session(), *client.password())
    }

    /// The session timeout: asked for, or given by the server.
    pub fn session_timeout_ms(&self) -> i32 {
        lock(&self.shared.engine).client().session_timeout_ms()
    }

    /// The server of the connection, or of the last attempt.
    pub fn server(&self) -> Option<SocketAddr> {
        lock(&self.shared.engine).client().server()
    }

    /// What goes before every path.
    pub fn chroot(&self) -> &Chroot {
        &self.shared.chroot
    }

    /// Requests that have been taken and whose end has not come to the machine.
    pub fn pending_count(&self) -> usize {
        let pending = lock(&self.shared.engine).client().pending_count();
        pending + lock(&self.shared.outbox).batch.len()
    }

    /// Drops the connection at once, without a word to the server, and stops the thread; requests under way end with
    /// [`SubmitError::CLOSING`]. The session lives on until it times out.
    pub fn abandon(&self) {
        lock(&self.shared.outbox).refusal = Some(SubmitError::Closing);
        self.shared.with_client(|client, _| client.abandon());
    }

    /// Whether this is the handle's own thread, where waiting for it would never end.
    pub fn is_own_thread(&self) -> bool {
        self.shared.is_own_thread()
    }
}

/// Says that the thread is over, also when the sink has panicked.
struct OnDrop<'a>(&'a Shared);

impl Drop for OnDrop<'_> {
    fn drop(&mut self) {
        lock(&self.0.outbox).refusal = Some(SubmitError::Closing);
        *lock(&self.0.end.is_over) = true;
        self.0.end.over.notify_all();
    }
}

/// Bytes read at a time.
const READ_BYTES: usize = 64 * 1024;

fn run(shared: &Shared, mut poll: Poll, mut sink: Box<dyn Sink>) {
    let mut events = Events::with_capacity(16);
    let mut turn = Turn::new(READ_BYTES);
    loop {
        shared.attention.store(false, Ordering::SeqCst);
        let now_ms = shared.now_ms();
        let (timer_ms, is_over);
        {
            let mut engine = lock(&shared.engine);
            for item in std::mem::take(&mut *lock(&shared.inbox.items)) {
                engine.incoming(now_ms, item, &mut turn);
            }
            engine.read(now_ms, &mut turn);
            shared.take_requests(&mut engine, now_ms);
            engine.finish_turn(now_ms, &mut turn);
            is_over = engine.is_closed();
            if is_over {
                // Nothing may be taken after this: it would never end.
                lock(&shared.outbox).refusal = Some(SubmitError::Closing);
                shared.take_requests(&mut engine, now_ms);
                engine.finish_turn(now_ms, &mut turn);
                turn.batch.push(crate::Delivery::Closed);
            }
            shared.publish(&mut engine);
            timer_ms = engine.next_timer_ms();
        }
        for (level, text) in turn.log.drain(..) {
            sink.log(level, &text);
        }
        if !turn.batch.is_empty() {
            sink.deliver(&mut turn.batch);
            turn.batch.clear();
        }
        if is_over {
            return;
        }
        let may_sleep = !turn.has_more && shared.wakeup.fall_asleep(|| shared.has_work());
        let timeout = if may_sleep {
            timer_ms.map(|timer_ms| Duration::from_millis(timer_ms.saturating_sub(shared.now_ms())))
        } else {
            Some(Duration::ZERO)
        };
        if let Err(error) = poll.poll(&mut events, timeout)
            && error.kind() != io::ErrorKind::Interrupted
        {
            // Only a broken poll: nothing can be heard any more.
            sink.log(Level::Error, &format!("poll: {error}"));
            lock(&shared.engine).client().abandon();
        }
        shared.wakeup.awake();
        for event in &events {
            match event.token() {
                LINK => {
                    turn.is_link_ended |= event.is_read_closed() || event.is_error();
                    turn.is_link_readable |= event.is_readable() || turn.is_link_ended;
                    turn.is_link_writable |= event.is_writable() || event.is_error();
                }
                PROBE => turn.is_probe_ready = true,
                _ => {}
            }
        }
    }
}
