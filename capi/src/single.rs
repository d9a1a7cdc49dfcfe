//! The engine of `libzookeeper_st`: no thread, the application's loop instead. `zookeeper_interest` says what to wait
//! for, `zookeeper_process` takes what came; callbacks run inside these two and inside `zookeeper_close`.

use crate::completion::Scratch;
use crate::engine::{Engine, Interest};
use crate::errors::{
    ZAUTHFAILED, ZBADARGUMENTS, ZCONNECTIONLOSS, ZINVALIDSTATE, ZNOTHING, ZOK, ZOPERATIONTIMEOUT, ZRUNTIMEINCONSISTENCY, ZSESSIONEXPIRED,
};
use crate::handle::{Common, Handle, StartOptions, now_ms};
use crate::resolve;
use oxkeeper_client::{
    Batch, Client, Completion, Delivery, HostPort, Input, Level, Operation, Output, PendingRequests, State, SubmitError, WatcherId,
    WatchesToRemove,
};
use oxkeeper_proto::{ErrorCode, OpCode};
use std::ffi::c_int;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Bits of the header: `ZOOKEEPER_WRITE` and `ZOOKEEPER_READ`.
const WRITE: c_int = 1;
const READ: c_int = 2;

/// What is read from the socket at once. The socket is asked again in the next round of the loop if there is more, so
/// that a flood does not starve the application.
const READ_BYTES: usize = 64 << 10;

/// How long a close waits for its bytes to go out, and for the server's answer: as the original.
const CLOSE_WAIT_MS: u64 = 4500;

/// How long a read-only probe may take for each of its steps: as the original.
const PROBE_STEP: Duration = Duration::from_secs(1);

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
    client: Client,
    link: Option<Link>,
    happened: Batch,
    lines: Vec<(Level, String)>,
    received: Box<[u8]>,
    is_closed: bool,
    /// When `interest` wanted to be called again at the latest.
    due_ms: Option<u64>,
    hosts: Vec<HostPort>,
    /// Addresses from `zookeeper_init`, for the first question.
    first_addresses: Option<Vec<Vec<SocketAddr>>>,
}

struct Link {
    stream: TcpStream,
    is_connecting: bool,
    frames: Frames,
}

/// Counts the messages in a stream of bytes, for `zookeeper_process` says whether there was one.
#[derive(Default)]
struct Frames {
    header: [u8; 4],
    header_bytes: usize,
    body_left: usize,
}

impl Frames {
    /// How many messages end in these bytes.
    fn count(&mut self, mut bytes: &[u8]) -> usize {
        let mut whole = 0;
        while !bytes.is_empty() {
            if self.header_bytes < 4 {
                let taken = bytes.len().min(4 - self.header_bytes);
                self.header[self.header_bytes..self.header_bytes + taken].copy_from_slice(&bytes[..taken]);
                self.header_bytes += taken;
                bytes = &bytes[taken..];
                if self.header_bytes == 4 {
                    self.body_left = u32::from_be_bytes(self.header) as usize;
                }
            } else {
                let taken = bytes.len().min(self.body_left);
                self.body_left -= taken;
                bytes = &bytes[taken..];
            }
            if self.header_bytes == 4 && self.body_left == 0 {
                whole += 1;
                self.header_bytes = 0;
            }
        }
        whole
    }
}

/// Makes the engine. Nothing is connected before the first `zookeeper_interest`.
///
/// # Errors
/// None.
pub fn make(options: StartOptions) -> io::Result<Box<dyn Engine>> {
    let hosts = options.client.hosts.clone();
    let inner = Inner {
        client: Client::new(now_ms(), options.client),
        link: None,
        happened: Batch::default(),
        lines: Vec::new(),
        received: vec![0; READ_BYTES].into(),
        is_closed: false,
        due_ms: None,
        hosts,
        first_addresses: Some(options.addresses),
    };
    Ok(Box::new(Single {
        inner: Mutex::new(inner),
        common: options.common,
        depth: AtomicUsize::new(0),
        must_close: AtomicBool::new(false),
    }))
}

impl Inner {
    /// Brings the machine what happened, and does what it asks for.
    fn handle(&mut self, input: Input<'_>) {
        self.client.handle(now_ms(), input);
        self.drain();
    }

    fn drain(&mut self) {
        // What the machine asks for, when the answer is known at once. The loop ends: each answer lets it go on, and
        // an attempt to connect that fails at once is followed by a delay when all servers have been tried.
        while let Some(output) = self.client.poll() {
            let Some(output) = self.happened.take_output(output) else { continue };
            match output {
                Output::Resolve(hosts) => {
                    self.hosts.clear();
                    self.hosts.extend_from_slice(hosts);
                    let addresses = self.first_addresses.take().filter(|known| known.len() == self.hosts.len()).unwrap_or_else(|| {
                        self.hosts.iter().map(|host| resolve::one(host).unwrap_or_default()).collect()
                    });
                    self.client.handle(now_ms(), Input::Resolved(addresses));
                }
                Output::Connect(address) => match connect(address) {
                    Ok(stream) => self.link = Some(Link { stream, is_connecting: true, frames: Frames::default() }),
                    Err(error) => self.link_down(&error),
                },
                Output::Disconnect => self.link = None,
                Output::Probe(address) => {
                    let is_read_write = probe(address).unwrap_or(false);
                    self.client.handle(now_ms(), Input::Probed { is_read_write });
                }
                Output::Log(level, text) => self.lines.push((level, text)),
                Output::Closed => self.is_closed = true,
                // Asked for only with options that are not set here.
                Output::StartTls(_) | Output::SaslStart(_) | Output::SaslToken(_) => {}
                Output::Completed(_) | Output::Watch(_) | Output::Session(_) => {}
            }
        }
    }

    /// Only tells the machine: the caller drains.
    fn link_down(&mut self, error: &io::Error) {
        self.link = None;
        let errno = error.raw_os_error().unwrap_or(0);
        let reason = error.to_string();
        self.client.handle(now_ms(), Input::LinkDown { errno, reason: &reason, tls: false });
    }

    /// Writes what the socket takes.
    fn flush(&mut self) {
        while let Some(link) = self.link.as_mut().filter(|link| !link.is_connecting)
            && !self.client.unsent().is_empty()
        {
            match link.stream.write(self.client.unsent()) {
                Ok(count) => self.client.sent(now_ms(), count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.link_down(&error);
                    self.drain();
                }
            }
        }
    }

    /// Whether the attempt to connect has succeeded; the machine is told.
    fn finish_connecting(&mut self) {
        let Some(link) = &mut self.link else { return };
        match link.stream.take_error() {
            Ok(None) => {
                link.is_connecting = false;
                self.handle(Input::LinkUp);
            }
            Ok(Some(error)) | Err(error) => {
                self.link_down(&error);
                self.drain();
            }
        }
    }

    /// Reads once; how many messages came to their end.
    fn receive(&mut self) -> usize {
        let Some(link) = &mut self.link else { return 0 };
        match link.stream.read(&mut self.received) {
            Ok(0) => {
                self.link_down(&io::Error::new(io::ErrorKind::UnexpectedEof, "server closed the connection"));
                self.drain();
                0
            }
            Ok(count) => {
                let messages = link.frames.count(&self.received[..count]);
                self.client.handle(now_ms(), Input::Received(&self.received[..count]));
                self.drain();
                messages
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => 0,
            Err(error) => {
                self.link_down(&error);
                self.drain();
                0
            }
        }
    }

    /// What to wait for now.
    fn wanted(&self) -> Interest {
        let wait_ms = self.client.next_timer_ms().map_or(u64::from(u32::MAX), |due| due.saturating_sub(now_ms()));
        let Some(link) = &self.link else { return Interest { descriptor: -1, events: 0, wait_ms } };
        let writes = link.is_connecting || !self.client.unsent().is_empty();
        Interest { descriptor: link.stream.as_raw_fd(), events: READ | if writes { WRITE } else { 0 }, wait_ms }
    }

    /// The code for a link that went: by the ends of requests if there were any, else by the state.
    fn loss(&self) -> c_int {
        match self.client.state() {
            State::Expired => ZSESSIONEXPIRED,
            State::AuthFailed => ZAUTHFAILED,
            _ => {
                let is_out_of_order = self.happened.iter().any(|delivery| {
                    matches!(delivery, Delivery::Completed(completion) if completion.error == ErrorCode::RUNTIME_INCONSISTENCY)
                });
                if is_out_of_order { ZRUNTIMEINCONSISTENCY } else { ZCONNECTIONLOSS }
            }
        }
    }
}

/// A socket that is being connected.
fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let family = if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    // SAFETY: no pointers; the descriptor is owned from here on.
    let socket = unsafe {
        let socket = libc::socket(family, libc::SOCK_STREAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC, 0);
        if socket < 0 {
            return Err(io::Error::last_os_error());
        }
        OwnedFd::from_raw_fd(socket)
    };
    let stream = TcpStream::from(socket);
    stream.set_nodelay(true)?;
    // SAFETY: all of its members may be zero.
    let mut raw: libc::sockaddr_storage = unsafe { std::mem::zeroed() };
    let mut length = size_of_val(&raw) as libc::socklen_t;
    // SAFETY: the storage has room for every address, and `connect` gets its length.
    let failed = unsafe {
        resolve::write_address(address, (&raw mut raw).cast(), &mut length);
        libc::connect(stream.as_raw_fd(), (&raw const raw).cast(), length) != 0
    };
    if failed {
        let error = io::Error::last_os_error();
        if error.raw_os_error() != Some(libc::EINPROGRESS) {
            return Err(error);
        }
    }
    Ok(stream)
}

/// Asks a server whether it takes writes.
fn probe(address: SocketAddr) -> io::Result<bool> {
    let mut stream = TcpStream::connect_timeout(&address, PROBE_STEP)?;
    stream.set_read_timeout(Some(PROBE_STEP))?;
    stream.set_write_timeout(Some(PROBE_STEP))?;
    stream.write_all(b"isro")?;
    let mut answer = [0; 2];
    stream.read_exact(&mut answer)?;
    Ok(answer == *b"rw")
}

impl Single {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A thread that panicked here would have ended the program.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something under the lock, then writes the log lines that came of it.
    fn with<T>(&self, act: impl FnOnce(&mut Inner) -> T) -> T {
        let mut inner = self.lock();
        let result = act(&mut inner);
        let lines = std::mem::take(&mut inner.lines);
        drop(inner);
        for (level, text) in lines {
            self.common.log_machine(level, &text);
        }
        result
    }

    /// Calls back what happened, until nothing more has.
    fn deliver(&self, handle: &Handle) {
        let mut scratch = Scratch::default();
        let mut batch = Batch::default();
        loop {
            batch.clear();
            std::mem::swap(&mut batch, &mut self.lock().happened);
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
            inner.client.close(now_ms(), PendingRequests::Fail);
            inner.drain();
            inner.flush();
        });
        self.deliver(handle);
        let give_up_ms = now_ms() + CLOSE_WAIT_MS;
        loop {
            let (is_closed, wanted) = self.with(|inner| (inner.is_closed, inner.wanted()));
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
                if poll.revents & libc::POLLOUT != 0 && inner.link.as_ref().is_some_and(|link| link.is_connecting) {
                    inner.finish_connecting();
                } else if poll.revents != 0 {
                    inner.receive();
                }
                inner.handle(Input::Tick);
                inner.flush();
            });
        }
        self.deliver(handle);
        self.with(|inner| inner.link = None);
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
            inner.client.submit(now_ms(), tag, operation)?;
            inner.drain();
            // Within a callback the outer call writes, all at once.
            if !is_within_callback {
                inner.flush();
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
            inner.client.remove_watches(now_ms(), tag, path, which, watcher, is_local)?;
            inner.drain();
            inner.flush();
            Ok(())
        })
    }

    fn add_auth(&self, tag: u64, scheme: &[u8], credentials: &[u8]) -> Result<(), SubmitError> {
        self.with(|inner| {
            inner.client.add_auth(now_ms(), tag, scheme, credentials)?;
            inner.drain();
            inner.flush();
            Ok(())
        })
    }

    fn complete_locally(&self, tag: u64) {
        let completion = Completion { tag, op: OpCode::CHECK_WATCHES, error: ErrorCode::OK, zxid: -1, body: &[] };
        self.lock().happened.push(Delivery::Completed(completion));
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
            inner.first_addresses = Some(addresses);
            inner.client.set_servers(now_ms(), hosts);
            inner.drain();
        });
    }

    fn set_resolution_delay_ms(&self, delay_ms: i64) {
        self.lock().client.set_resolution_delay_ms(delay_ms);
    }

    fn cycle_next_server(&self) {
        self.with(|inner| {
            inner.client.cycle_next_server();
            inner.drain();
        });
    }

    fn set_default_watcher(&self, watcher: WatcherId) {
        self.lock().client.set_default_watcher(watcher);
    }

    fn state(&self) -> State {
        self.lock().client.state()
    }

    fn session_timeout_ms(&self) -> i32 {
        self.lock().client.session_timeout_ms()
    }

    fn server(&self) -> Option<SocketAddr> {
        self.lock().client.server()
    }

    fn interest(&self, handle: &Arc<Handle>) -> (c_int, Interest) {
        let mut wanted = Interest::default();
        let rc = self.outer(handle, || {
            if self.common.is_closing() || self.state().is_over() {
                return ZINVALIDSTATE;
            }
            let (rc, first) = self.with(|inner| {
                let now = now_ms();
                if let Some(late_ms) = inner.due_ms.take().and_then(|due| now.checked_sub(due))
                    && late_ms > (inner.client.session_timeout_ms().max(0) as u64 / 10).min(200)
                {
                    inner.lines.push((Level::Warn, format!("Exceeded deadline by {late_ms}ms")));
                }
                let had_link = inner.link.is_some();
                inner.handle(Input::Tick);
                inner.flush();
                let rc = if had_link && inner.link.is_none() && inner.client.state() == State::Lost { ZOPERATIONTIMEOUT } else { ZOK };
                (rc, inner.wanted())
            });
            wanted = first;
            self.deliver(handle);
            // Callbacks may have asked for more.
            self.with(|inner| {
                inner.flush();
                wanted = inner.wanted();
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
                let Some(link) = &inner.link else { return ZINVALIDSTATE };
                if link.is_connecting {
                    if events & WRITE == 0 {
                        return ZOK;
                    }
                    inner.finish_connecting();
                    inner.flush();
                    return if inner.link.is_some() { ZOK } else { inner.loss() };
                }
                if events & WRITE != 0 {
                    inner.flush();
                }
                let messages = if events & READ != 0 { inner.receive() } else { 0 };
                if inner.link.is_none() {
                    return inner.loss();
                }
                if events & READ != 0 && messages == 0 { ZNOTHING } else { ZOK }
            });
            self.deliver(handle);
            self.with(Inner::flush);
            rc
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_counted_however_they_are_cut() {
        let stream = [&[0, 0, 0, 2, 1, 2][..], &[0, 0, 0, 0], &[0, 0, 0, 1, 9], &[0, 0]].concat();
        for step in 1..=stream.len() {
            let mut frames = Frames::default();
            assert_eq!(stream.chunks(step).map(|chunk| frames.count(chunk)).sum::<usize>(), 3, "cut into {step}");
        }
    }
}
