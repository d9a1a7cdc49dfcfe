//! The engine of `libzookeeper_st`: no thread, the application's loop instead. `zookeeper_interest` says what to wait
//! for, `zookeeper_process` takes what came; callbacks run inside these two and inside `zookeeper_close`.

use crate::completion::Scratch;
use crate::connection::{Connection, Errand, READ, Room, WRITE};
use crate::engine::{Engine, Interest};
use crate::errors::{
    ZAUTHFAILED, ZBADARGUMENTS, ZCONNECTIONLOSS, ZINVALIDSTATE, ZNOTHING, ZOK, ZOPERATIONTIMEOUT, ZRUNTIMEINCONSISTENCY, ZSESSIONEXPIRED,
};
use crate::handle::{Common, Handle, StartOptions, now_ms};
use crate::lock::{Mutex, MutexGuard};
use oxkeeper_client::{
    Batch, Completion, Delivery, HostPort, Input, Level, Operation, PendingRequests, State, SubmitError, WatcherId, WatchesToRemove,
};
use oxkeeper_proto::{ErrorCode, OpCode};
use std::ffi::c_int;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError};

/// How long a close waits for its bytes to go out, and for the server's answer: as the original.
const CLOSE_WAIT_MS: u64 = 4500;

/// The engine.
pub struct Single {
    inner: Mutex<Inner>,
    common: Arc<Common>,
    /// Calls of `interest`, `process` and `close` that are under way, one within another.
    depth: AtomicUsize,
    /// The application asked for the end while one of them was.
    must_close: AtomicBool,
}

struct Inner {
    connection: Connection,
    room: Room,
    /// When `interest` wanted to be called again at the latest.
    due_ms: Option<u64>,
}

/// Makes the engine. Nothing is connected before the first `zookeeper_interest`.
///
/// # Errors
/// None.
pub fn make(options: StartOptions) -> io::Result<Box<dyn Engine>> {
    let common = options.common.clone();
    let inner = Inner { connection: Connection::new(options), room: Room::default(), due_ms: None };
    Ok(Box::new(Single { inner: Mutex::new(inner), common, depth: AtomicUsize::new(0), must_close: AtomicBool::new(false) }))
}

/// The code for a link that went: by the ends of requests if there were any, else by the state.
fn loss(connection: &Connection) -> c_int {
    match connection.client.state() {
        State::Expired => ZSESSIONEXPIRED,
        State::AuthFailed => ZAUTHFAILED,
        _ => {
            let is_out_of_order = connection.happened.iter().any(
                |delivery| matches!(delivery, Delivery::Completed(completion) if completion.error == ErrorCode::RUNTIME_INCONSISTENCY),
            );
            if is_out_of_order { ZRUNTIMEINCONSISTENCY } else { ZCONNECTIONLOSS }
        }
    }
}

impl Single {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A thread that panicked here would have ended the program.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something under the lock, then runs the errands and writes the log lines that came of it.
    fn with<T>(&self, act: impl FnOnce(&mut Inner) -> T) -> T {
        let mut inner = self.lock();
        let result = act(&mut inner);
        loop {
            let lines = std::mem::take(&mut inner.connection.lines);
            let errands = std::mem::take(&mut inner.connection.errands);
            drop(inner);
            for (level, text) in &lines {
                self.common.log_machine(*level, text);
            }
            // An errand may bring the next one: a name, then a delay; so this ends.
            if errands.is_empty() {
                return result;
            }
            let found: Vec<_> = errands.iter().map(Errand::run).collect();
            inner = self.lock();
            found.into_iter().for_each(|found| inner.connection.found(found));
        }
    }

    /// Calls back what happened, until nothing more has.
    fn deliver(&self, handle: &Handle) {
        let mut scratch = Scratch::default();
        let mut batch = Batch::default();
        loop {
            batch.clear();
            std::mem::swap(&mut batch, &mut self.lock().connection.happened);
            if batch.is_empty() {
                return;
            }
            for delivery in batch.iter() {
                if let Delivery::Session(event) = delivery {
                    self.common.note_session(&event);
                }
            }
            // SAFETY: no lock is held, and the application calls from one thread.
            unsafe { handle.deliver(&batch, &mut scratch) };
        }
    }

    /// Runs one of the outer calls; the last of them to return does what a callback's `zookeeper_close` asked for.
    fn outer(&self, handle: &Handle, act: impl FnOnce() -> c_int) -> c_int {
        self.depth.fetch_add(1, Ordering::AcqRel);
        let rc = act();
        if self.depth.fetch_sub(1, Ordering::AcqRel) == 1 && self.must_close.swap(false, Ordering::AcqRel) {
            self.finish(handle);
        }
        rc
    }

    /// Fails what is outstanding, tells the server, and waits for its answer.
    fn finish(&self, handle: &Handle) {
        self.depth.fetch_add(1, Ordering::AcqRel);
        self.with(|inner| {
            let connection = &mut inner.connection;
            connection.client.close(now_ms(), PendingRequests::Fail);
            connection.drain();
            connection.flush();
        });
        self.deliver(handle);
        let give_up_ms = now_ms() + CLOSE_WAIT_MS;
        loop {
            let (is_closed, wanted) = self.with(|inner| (inner.connection.is_closed, inner.connection.wanted()));
            let now = now_ms();
            if is_closed || now >= give_up_ms {
                break;
            }
            let wait_ms = wanted.wait_ms.min(give_up_ms - now).min(1000) as c_int;
            let mut poll = libc::pollfd { fd: wanted.descriptor, events: libc::POLLIN, revents: 0 };
            if wanted.events & WRITE != 0 {
                poll.events |= libc::POLLOUT;
            }
            // SAFETY: one valid structure; a descriptor of -1 is passed over.
            unsafe { libc::poll(&mut poll, 1, wait_ms) };
            self.with(|inner| {
                let Inner { connection, room, .. } = inner;
                if poll.revents & libc::POLLOUT != 0 && connection.is_connecting() {
                    connection.finish_connecting();
                } else if poll.revents != 0 {
                    connection.receive(room);
                }
                connection.handle(Input::Tick);
                connection.flush();
            });
        }
        self.deliver(handle);
        self.with(|inner| inner.connection.drop_link());
        self.depth.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Engine for Single {
    fn submit(&self, tag: u64, operation: &Operation<'_>) -> Result<(), SubmitError> {
        if self.common.is_closing() {
            return Err(SubmitError::Closing);
        }
        let is_within_callback = self.depth.load(Ordering::Acquire) != 0;
        self.with(|inner| {
            inner.connection.client.submit(now_ms(), tag, operation)?;
            inner.connection.drain();
            // Within a callback the outer call writes, all at once.
            if !is_within_callback {
                inner.connection.flush();
            }
            Ok(())
        })
    }

    fn remove_watches(
        &self,
        tag: u64,
        path: &[u8],
        which: WatchesToRemove,
        watcher: Option<WatcherId>,
        is_local: bool,
    ) -> Result<(), SubmitError> {
        self.with(|inner| {
            inner.connection.client.remove_watches(now_ms(), tag, path, which, watcher, is_local)?;
            inner.connection.drain();
            inner.connection.flush();
            Ok(())
        })
    }

    fn add_auth(&self, tag: u64, scheme: &[u8], credentials: &[u8]) -> Result<(), SubmitError> {
        self.with(|inner| {
            inner.connection.client.add_auth(now_ms(), tag, scheme, credentials)?;
            inner.connection.drain();
            inner.connection.flush();
            Ok(())
        })
    }

    fn complete_locally(&self, tag: u64) {
        let completion = Completion { tag, op: OpCode::CHECK_WATCHES, error: ErrorCode::OK, zxid: -1, body: &[] };
        self.lock().connection.happened.push(Delivery::Completed(completion));
    }

    fn close(&self, handle: &Arc<Handle>) -> c_int {
        if self.depth.load(Ordering::Acquire) != 0 {
            self.must_close.store(true, Ordering::Release);
        } else {
            self.finish(handle);
        }
        ZOK
    }

    fn set_servers(&self, hosts: Vec<HostPort>, addresses: Vec<Vec<SocketAddr>>) {
        self.with(|inner| {
            inner.connection.client.set_resolved_servers(now_ms(), hosts, addresses);
            inner.connection.drain();
        });
    }

    fn set_resolution_delay_ms(&self, delay_ms: i64) {
        self.lock().connection.client.set_resolution_delay_ms(delay_ms);
    }

    fn cycle_next_server(&self) {
        self.with(|inner| {
            inner.connection.client.cycle_next_server();
            inner.connection.drain();
        });
    }

    fn set_default_watcher(&self, watcher: WatcherId) {
        self.lock().connection.client.set_default_watcher(watcher);
    }

    fn state(&self) -> State {
        self.lock().connection.client.state()
    }

    fn session_timeout_ms(&self) -> i32 {
        self.lock().connection.client.session_timeout_ms()
    }

    fn server(&self) -> Option<SocketAddr> {
        self.lock().connection.client.server()
    }

    fn interest(&self, handle: &Arc<Handle>) -> (c_int, Interest) {
        let mut wanted = Interest::default();
        let rc = self.outer(handle, || {
            if self.common.is_closing() || self.state().is_over() {
                return ZINVALIDSTATE;
            }
            let rc = self.with(|inner| {
                let connection = &mut inner.connection;
                if let Some(late_ms) = inner.due_ms.take().and_then(|due| now_ms().checked_sub(due))
                    && late_ms > (connection.client.session_timeout_ms().max(0) as u64 / 10).min(200)
                {
                    connection.lines.push((Level::Warn, format!("Exceeded deadline by {late_ms}ms")));
                }
                let had_link = connection.has_link();
                connection.handle(Input::Tick);
                connection.flush();
                if had_link && !connection.has_link() && connection.client.state() == State::Lost { ZOPERATIONTIMEOUT } else { ZOK }
            });
            self.deliver(handle);
            // Callbacks may have asked for more.
            self.with(|inner| {
                inner.connection.flush();
                wanted = inner.connection.wanted();
                inner.due_ms = Some(now_ms() + wanted.wait_ms);
            });
            if rc != ZOK {
                wanted = Interest::default();
            }
            rc
        });
        (rc, wanted)
    }

    fn process(&self, handle: &Arc<Handle>, events: c_int) -> c_int {
        self.outer(handle, || {
            if self.common.is_closing() || self.state().is_over() {
                return ZINVALIDSTATE;
            }
            if events & !(READ | WRITE) != 0 && events & (READ | WRITE) == 0 {
                return ZBADARGUMENTS;
            }
            let rc = self.with(|inner| {
                let Inner { connection, room, .. } = inner;
                if !connection.has_link() {
                    return ZINVALIDSTATE;
                }
                if connection.is_connecting() {
                    if events & WRITE == 0 {
                        return ZOK;
                    }
                    connection.finish_connecting();
                    connection.flush();
                    return if connection.has_link() { ZOK } else { loss(connection) };
                }
                if events & WRITE != 0 {
                    connection.flush();
                }
                let messages = if events & READ != 0 { connection.receive(room) } else { 0 };
                if !connection.has_link() {
                    return loss(connection);
                }
                if events & READ != 0 && messages == 0 { ZNOTHING } else { ZOK }
            });
            self.deliver(handle);
            self.with(|inner| inner.connection.flush());
            rc
        })
    }
}
