//! A reactor: one thread, one poll, its share of the connections.
//!
//! It reads what there is, lets its front answer, and writes what came of it, one write for each
//! connection. Reads never leave this thread; writes go to the core once per turn. While the thread sleeps, whoever
//! applied a few writes may send their replies in its place ([`Reactor::stand_in`]).

use super::shared::{Shared, unpoisoned};
use crate::four_letter::{Command, JavaAddress};
use crate::metrics::{Counter, Recorder, RequestKind, Summary, SummarySet};
use log::{debug, error, info, warn};
use oxkeeper_net::mio::event::Event;
use oxkeeper_net::mio::event::Source;
use oxkeeper_net::mio::{Events, Interest, Poll, Registry, Token};
use oxkeeper_net::{Admission, ConnectionLimits, FlushOutcome, Listener, Prefix, ReadBuffer, ReadOutcome, Refusal, Stream, WriteBuffer};
use oxkeeper_proto::SessionId;
use oxkeeper_replica::front::{Flow, Front, Outlets};
use oxkeeper_replica::inbox::Item;
use oxkeeper_replica::request::Now;
use std::collections::VecDeque;
use std::io::Read;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::words::Question;

/// The token of the reactor's waker.
pub const WAKE: Token = Token(usize::MAX);
/// The token of the listener.
const LISTEN: Token = Token(usize::MAX - 1);
/// Scratch space that all reads of a reactor share.
const SCRATCH_BYTES: usize = 256 << 10;
/// A connection whose peer does not take its replies is not read beyond this.
const PENDING_LIMIT_BYTES: usize = 1 << 20;
/// After an accept that failed (no file descriptors) it is tried again.
const ACCEPT_PAUSE_MS: u64 = 100;
/// After a port that could not be moved to.
const MOVE_PAUSE_MS: u64 = 1000;
/// Connections taken in one turn, so that a storm does not starve those that are there.
const ACCEPTS_PER_TURN: usize = 256;
/// As many replies are sent in place of a sleeping reactor; for more it is worth its waking.
const STAND_IN_REPLIES: usize = 4;

/// Bytes of an answer to a four-letter word, counted in the sum of all that have not been sent.
/// Dropping it takes them out again.
pub struct Lease {
    sum: Arc<AtomicUsize>,
    bytes: usize,
}

impl Lease {
    pub fn new(sum: &Arc<AtomicUsize>, bytes: usize) -> Self {
        sum.fetch_add(bytes, Ordering::Relaxed);
        Self { sum: sum.clone(), bytes }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.sum.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// What other threads ask of a reactor.
pub enum Errand {
    /// Take over a connection.
    Serve { stream: Stream, peer: SocketAddr, admission: Admission },
    /// Listen here instead.
    Move(SocketAddr),
    /// The answer to a four-letter word: send it and close.
    Answer { slot: u32, serial: u64, text: Vec<u8>, lease: Lease },
}

/// The listening side, which the first reactor has.
pub struct Door {
    /// None while it moves to another address of the same port.
    pub listener: Option<Listener>,
    pub limits: Arc<ConnectionLimits>,
}

struct Connection {
    stream: Stream,
    input: ReadBuffer,
    peer: SocketAddr,
    _admission: Admission,
    /// Unlike the slot, never used again.
    serial: u64,
    /// The first four bytes have been looked at.
    past_prefix: bool,
    /// A four-letter word is being answered, or the end is near: nothing more is read.
    deaf: bool,
    /// Not to be read until the front says so.
    paused: bool,
    /// Something may be there to be read.
    readable: bool,
    peer_closed: bool,
    /// The socket took less than was offered.
    blocked: bool,
    /// To be closed when everything has been sent.
    closing: bool,
    /// Its answer has been sent and our side is closed; what the peer still says is thrown away, so
    /// that closing does not turn into a reset that takes the answer back.
    lingering: bool,
    /// It stands in the list of those to be read.
    listed: bool,
    /// The answer to a four-letter word that it has not taken yet.
    _lease: Option<Lease>,
    /// While a four-letter word is being answered.
    asker: Option<Arc<()>>,
}

/// The connections' outputs, apart from the rest so that a front can fill them while one
/// connection is being read.
#[derive(Default)]
struct Outputs {
    buffers: Vec<WriteBuffer>,
    dirty: Vec<u32>,
    is_dirty: Vec<bool>,
    closes: Vec<u32>,
    resumes: Vec<u32>,
}

impl Outputs {
    fn mark(&mut self, slot: u32) {
        if !std::mem::replace(&mut self.is_dirty[slot as usize], true) {
            self.dirty.push(slot);
        }
    }
}

impl Outlets for Outputs {
    fn out(&mut self, slot: u32) -> &mut Vec<u8> {
        self.mark(slot);
        self.buffers[slot as usize].tail()
    }

    fn close(&mut self, slot: u32) {
        self.closes.push(slot);
        self.mark(slot);
    }

    fn resume(&mut self, slot: u32) {
        self.resumes.push(slot);
    }
}

/// See the module.
pub struct Reactor {
    shared: Arc<Shared>,
    index: usize,
    registry: Registry,
    door: Option<Door>,
    accept_again_ms: Option<u64>,
    /// Where the door is to be, and when to try that again.
    moving: Option<(SocketAddr, u64)>,
    next_reactor: usize,
    words: Sender<Question>,
    recorder: Recorder,
    connections: Vec<Option<Connection>>,
    outputs: Outputs,
    /// Connections to be read in the next turn.
    ready: VecDeque<u32>,
    /// Connections without a session, oldest first, and when they have to go.
    handshakes: VecDeque<(u64, u32, u64)>,
    errands: Vec<Errand>,
    scratch: Vec<u8>,
    next_serial: u64,
    received_before: u64,
    sent_before: u64,
}

impl Reactor {
    pub fn new(shared: Arc<Shared>, index: usize, registry: Registry, door: Option<Door>, words: Sender<Question>) -> Self {
        let recorder = shared.metrics.recorder();
        Self {
            shared,
            index,
            registry,
            door,
            accept_again_ms: None,
            moving: None,
            next_reactor: 0,
            words,
            recorder,
            connections: Vec::new(),
            outputs: Outputs::default(),
            ready: VecDeque::new(),
            handshakes: VecDeque::new(),
            errands: Vec::new(),
            scratch: vec![0; SCRATCH_BYTES],
            next_serial: 0,
            received_before: 0,
            sent_before: 0,
        }
    }

    /// Runs until the server stops, in the poll that the registry belongs to.
    pub fn run(mut self, mut poll: Poll) {
        if let Some(door) = &mut self.door {
            let listener = door.listener.as_mut().expect("a door begins open");
            listener.register(&self.registry, LISTEN, Interest::READABLE).expect("a listener can be polled");
        }
        let shared = self.shared.clone();
        let handle = &shared.reactors[self.index];
        let mut timeout = self.timeout();
        let reactor = Arc::new(Mutex::new(self));
        handle.reactor.set(Arc::downgrade(&reactor)).expect("it runs once");
        let mut events = Events::with_capacity(1024);
        while !shared.stopping() {
            let has_work = || !handle.errands.is_empty() || !unpoisoned(handle.shared.inbox.lock()).is_empty() || shared.stopping();
            let may_sleep = timeout != Some(Duration::ZERO) && handle.wakeup.fall_asleep(has_work);
            let polled = poll.poll(&mut events, if may_sleep { timeout } else { Some(Duration::ZERO) });
            handle.wakeup.awake();
            match polled {
                Err(e) if e.kind() != std::io::ErrorKind::Interrupted => panic!("epoll: {e}"),
                _ => {}
            }
            let now = shared.now();
            let mut reactor = unpoisoned(reactor.lock());
            let mut front = unpoisoned(handle.front.lock());
            reactor.turn(now, &mut front, &events);
            timeout = reactor.timeout();
        }
    }

    /// In place of the reactor's thread, which sleeps: sends what waits for it, if that is a few replies, and spares the
    /// waking of a thread. Nothing here waits, so whoever calls it may be in a turn of another reactor. Returns whether
    /// nothing is left to be done.
    pub fn stand_in(&mut self) -> bool {
        let shared = self.shared.clone();
        let handle = &shared.reactors[self.index];
        let is_little = |items: &[Item]| items.len() <= STAND_IN_REPLIES && items.iter().all(|item| matches!(item, Item::Reply { .. }));
        if !is_little(&unpoisoned(handle.shared.inbox.lock()).items) {
            return false;
        }
        let Ok(mut front) = handle.front.try_lock() else { return false };
        let now = shared.now();
        self.drain(now, &mut front);
        self.finish_outputs(&mut front);
        self.count(now, &mut front);
        self.ready.is_empty() && front.submissions.is_empty()
    }

    fn timeout(&self) -> Option<Duration> {
        if !self.ready.is_empty() {
            return Some(Duration::ZERO);
        }
        let deadline_ms = self.handshakes.front().map(|(at, ..)| *at).into_iter().chain(self.accept_again_ms);
        let deadline_ms = deadline_ms.chain(self.moving.map(|(_, at_ms)| at_ms)).min();
        let now_ms = self.shared.now().mono_ms;
        deadline_ms.map(|at| Duration::from_millis(at.saturating_sub(now_ms).max(1)))
    }

    fn turn(&mut self, now: Now, front: &mut Front, events: &Events) {
        for event in events {
            match event.token() {
                WAKE => {}
                LISTEN => self.accept_again_ms = Some(0),
                Token(slot) => self.note(slot as u32, event),
            }
        }
        self.drain(now, front);
        if self.accept_again_ms.is_some_and(|at| at <= now.mono_ms) {
            self.accept(now, front);
        }
        self.run_errands(now, front);
        if let Some((address, _)) = self.moving.take_if(|(_, at_ms)| *at_ms <= now.mono_ms) {
            self.move_door(now, address);
        }
        self.read_ready(now, front);
        self.submit(now, front);
        self.finish_outputs(front);
        self.drop_late_handshakes(now, front);
        // Those that were closed have something for the core, too.
        self.submit(now, front);
        self.count(now, front);
    }

    fn note(&mut self, slot: u32, event: &Event) {
        let Some(connection) = self.connections.get_mut(slot as usize).and_then(Option::as_mut) else { return };
        if event.is_readable() || event.is_read_closed() || event.is_error() {
            connection.readable = true;
            connection.peer_closed |= event.is_read_closed() || event.is_error();
            list(&mut self.ready, connection, slot);
        }
        if event.is_writable() && connection.blocked {
            connection.blocked = false;
            self.outputs.mark(slot);
        }
    }

    fn drain(&mut self, now: Now, front: &mut Front) {
        if !front.has_limbo() && unpoisoned(self.shared.reactors[self.index].shared.inbox.lock()).is_empty() {
            return;
        }
        let tree = self.shared.tree();
        front.drain(now, &tree, &mut self.outputs);
        drop(tree);
        self.resume();
    }

    fn resume(&mut self) {
        for slot in self.outputs.resumes.drain(..) {
            if let Some(connection) = self.connections[slot as usize].as_mut() {
                connection.paused = false;
                connection.readable = true;
                list(&mut self.ready, connection, slot);
            }
        }
    }

    fn read_ready(&mut self, now: Now, front: &mut Front) {
        // Each listed connection has one turn; what they list again waits for the next.
        for _ in 0..self.ready.len() {
            let Some(slot) = self.ready.pop_front() else { break };
            let Some(mut connection) = self.connections[slot as usize].take() else { continue };
            connection.listed = false;
            let keep = self.read(now, front, slot, &mut connection);
            self.connections[slot as usize] = Some(connection);
            if !keep {
                self.close(front, slot);
            }
        }
        self.resume();
    }

    /// Reads one connection. Returns whether it lives.
    fn read(&mut self, now: Now, front: &mut Front, slot: u32, connection: &mut Connection) -> bool {
        if connection.lingering {
            return self.linger(connection);
        }
        let is_full = self.outputs.buffers[slot as usize].pending_bytes() > PENDING_LIMIT_BYTES;
        if !is_full && front.has_backlog(slot) {
            let tree = self.shared.tree();
            if !unpoisoned(self.shared.reactors[self.index].shared.inbox.lock()).is_empty() {
                front.drain(now, &tree, &mut self.outputs);
            }
            front.work_off(now, &tree, slot, &mut self.outputs);
            return true;
        }
        if connection.paused || connection.deaf || connection.closing || !connection.readable {
            // A peer that has closed its side may still wait for an answer (`nc -N`).
            return true;
        }
        if is_full {
            return true;
        }
        if !connection.past_prefix {
            match self.read_word(front, slot, connection) {
                Some(true) => {}
                Some(false) => return true,
                None => return false,
            }
        }
        let Connection { stream, input, peer_closed, .. } = connection;
        let (shared, outputs) = (&self.shared, &mut self.outputs);
        let mut flow = Flow::Continue;
        let mut tree = None;
        let max_frame = shared.config.jute_max_buffer_bytes as usize;
        let outcome = input.read_frames(stream, &mut self.scratch, max_frame, *peer_closed, |frame| {
            let tree = tree.get_or_insert_with(|| {
                let tree = shared.tree();
                if !unpoisoned(shared.reactors[self.index].shared.inbox.lock()).is_empty() {
                    front.drain(now, &tree, outputs);
                }
                tree
            });
            let out = &mut outputs.buffers[slot as usize];
            flow = front.frame(now, tree, slot, frame, out.tail());
            // One read can bring thousands of requests, each of them answered with a megabyte.
            let goes_on = flow == Flow::Continue && out.pending_bytes() <= PENDING_LIMIT_BYTES;
            if goes_on { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        drop(tree);
        self.outputs.mark(slot);
        match flow {
            Flow::Continue => {}
            Flow::Pause => connection.paused = true,
            Flow::Drop => return false,
            Flow::Close => connection.closing = true,
        }
        match outcome {
            Ok(ReadOutcome::WouldBlock) => connection.readable = false,
            Ok(ReadOutcome::Stopped) => {}
            Ok(ReadOutcome::More) => list(&mut self.ready, connection, slot),
            Ok(ReadOutcome::Closed) => {
                info!(
                    "Unable to read additional data from client, it probably closed the socket: address = {}, session = {}",
                    JavaAddress(connection.peer),
                    front.session(slot)
                );
                self.recorder.add(Counter::ConnectionDropCount, 1);
                return false;
            }
            Ok(ReadOutcome::BadLength(length)) => {
                warn!(
                    "Close of session {}: Len error. A message from {} with advertised length of {length} is either a malformed message or too large to process (length is greater than jute.maxbuffer={max_frame})",
                    front.session(slot),
                    JavaAddress(connection.peer)
                );
                return false;
            }
            Err(failure) => {
                debug!("Close of session {} of {}: {failure}", front.session(slot), JavaAddress(connection.peer));
                self.recorder.add(Counter::ConnectionDropCount, 1);
                return false;
            }
        }
        true
    }

    /// Throws away what the peer says until it closes its side. The handshake's deadline bounds it.
    fn linger(&mut self, connection: &mut Connection) -> bool {
        loop {
            match connection.stream.read(&mut self.scratch) {
                Ok(0) => return false,
                Ok(_) => {}
                Err(e) => return e.kind() == std::io::ErrorKind::WouldBlock,
            }
        }
    }

    /// Looks whether the connection begins with a four-letter word. `Some(true)`: it does not, read
    /// on; `Some(false)`: nothing more to do now; `None`: close it.
    fn read_word(&mut self, front: &mut Front, slot: u32, connection: &mut Connection) -> Option<bool> {
        match connection.input.read_prefix(&mut connection.stream, 4) {
            Ok(Prefix::Ready) => {}
            Ok(Prefix::WouldBlock) => {
                connection.readable = false;
                return Some(false);
            }
            Ok(Prefix::Closed) | Err(_) => return None,
        }
        let word: [u8; 4] = connection.input.prefix()[..4].try_into().expect("four bytes");
        let Some(command) = Command::parse(&word) else {
            connection.past_prefix = true;
            return Some(true);
        };
        let mut mask = None;
        if command == Command::Stmk {
            match connection.input.read_prefix(&mut connection.stream, 12) {
                Ok(Prefix::Ready) => {
                    let bytes = connection.input.prefix()[4..12].try_into().expect("eight bytes");
                    mask = Some(i64::from_be_bytes(bytes));
                }
                Ok(Prefix::WouldBlock) => {
                    connection.readable = false;
                    return Some(false);
                }
                Ok(Prefix::Closed) | Err(_) => return None,
            }
        }
        connection.past_prefix = true;
        connection.deaf = true;
        connection.input.discard_prefix();
        front.count_received(slot, word.len());
        // The answer counts its own question.
        self.count(self.shared.now(), front);
        info!("Processing {} command from {}", String::from_utf8_lossy(&word), JavaAddress(connection.peer));
        let asker = Arc::downgrade(connection.asker.insert(Arc::new(())));
        let question = Question { reactor: self.index, slot, serial: connection.serial, command, mask, asker };
        self.words.send(question).ok().map(|()| false)
    }

    fn submit(&mut self, now: Now, front: &mut Front) {
        if !front.submissions.is_empty() {
            self.shared.bring(now, front.submissions.drain(..));
        }
    }

    fn finish_outputs(&mut self, front: &mut Front) {
        // Before the replies go out: nobody is told of what is not in the audit log.
        if let (Some(audit), Some(auditor)) = (&self.shared.audit, &mut front.audit) {
            auditor.lines.drain(..).for_each(|line| audit.change(&line));
        }
        for slot in std::mem::take(&mut self.outputs.closes) {
            if let Some(connection) = self.connections[slot as usize].as_mut() {
                connection.closing = true;
            }
        }
        let mut dirty = std::mem::take(&mut self.outputs.dirty);
        for slot in dirty.drain(..) {
            self.outputs.is_dirty[slot as usize] = false;
            let Some(connection) = self.connections[slot as usize].as_mut() else { continue };
            if connection.blocked {
                continue;
            }
            let buffer = &mut self.outputs.buffers[slot as usize];
            let was_full = buffer.pending_bytes() > PENDING_LIMIT_BYTES;
            let keep = match buffer.flush(&mut connection.stream) {
                Ok(FlushOutcome::Done) if connection.closing && connection.deaf && !connection.lingering => {
                    connection.lingering = true;
                    front.hide(slot);
                    list(&mut self.ready, connection, slot);
                    connection.stream.shutdown_write().is_ok()
                }
                Ok(FlushOutcome::Done) => connection.lingering || !connection.closing,
                Ok(FlushOutcome::WouldBlock) => {
                    connection.blocked = true;
                    true
                }
                Err(_) => false,
            };
            if !keep {
                self.close(front, slot);
            } else if was_full || connection.readable || front.has_backlog(slot) {
                list(&mut self.ready, connection, slot);
            }
        }
        self.outputs.dirty = dirty;
    }

    fn accept(&mut self, now: Now, front: &mut Front) {
        self.accept_again_ms = None;
        for turn in 0.. {
            if turn == ACCEPTS_PER_TURN {
                self.accept_again_ms = Some(now.mono_ms);
                return;
            }
            let Some(door) = &self.door else { return };
            let Some(listener) = &door.listener else { return };
            let (stream, peer) = match listener.accept() {
                Ok(Some(accepted)) => accepted,
                Ok(None) => return,
                Err(failure) => {
                    warn!("Error accepting new connection: {failure}");
                    self.accept_again_ms = Some(now.mono_ms + ACCEPT_PAUSE_MS);
                    return;
                }
            };
            let admission = match door.limits.admit(peer.ip()) {
                Ok(admission) => admission,
                Err(refusal) => {
                    match refusal {
                        Refusal::PerAddress(count) => warn!("Too many connections from /{} - max is {count}", peer.ip()),
                        Refusal::Total(count) => warn!("Too many connections: {count}; the one from /{} is closed", peer.ip()),
                    }
                    self.recorder.add(Counter::ConnectionRejected, 1);
                    stream.abort();
                    continue;
                }
            };
            if let Err(failure) = stream.set_client_options(self.shared.config.client_tcp_keep_alive) {
                debug!("Closing the connection from {}: {failure}", JavaAddress(peer));
                continue;
            }
            let reactor = self.next_reactor;
            self.next_reactor = (reactor + 1) % self.shared.reactors.len();
            if reactor == self.index {
                self.serve(now, front, stream, peer, admission);
            } else {
                let errand = Errand::Serve { stream, peer, admission };
                if self.shared.reactors[reactor].errands.push(errand).is_err() {
                    warn!("Too many connections at once: the one from {} is closed", JavaAddress(peer));
                }
            }
        }
    }

    /// Unlike Java's, the old door stays open until the new one is, if their ports differ; it is tried again.
    fn move_door(&mut self, now: Now, address: SocketAddr) {
        let Some(door) = &mut self.door else { return };
        let before = door.listener.as_ref().and_then(|listener| listener.local_address().ok());
        let is_wild = |address: &SocketAddr| address.ip().is_unspecified();
        if before.is_some_and(|before| before == address || before.port() == address.port() && is_wild(&before) && is_wild(&address)) {
            return;
        }
        info!("binding to port {address}");
        if before.is_some_and(|before| before.port() == address.port()) {
            door.listener = None;
        }
        let moved = Listener::bind(address, self.shared.config.client_port_listen_backlog).and_then(|mut listener| {
            listener.register(&self.registry, LISTEN, Interest::READABLE)?;
            Ok(listener)
        });
        match moved {
            Ok(listener) => {
                self.shared.clients_have_moved(listener.local_address().map_or(address.port(), |address| address.port()));
                door.listener = Some(listener);
                self.accept_again_ms = Some(now.mono_ms);
            }
            Err(failure) => {
                error!("Error reconfiguring client port to {address}: {failure}");
                self.moving = Some((address, now.mono_ms + MOVE_PAUSE_MS));
            }
        }
    }

    fn serve(&mut self, now: Now, front: &mut Front, mut stream: Stream, peer: SocketAddr, admission: Admission) {
        let slot = front.accept(now, peer);
        let interest = Interest::READABLE | Interest::WRITABLE;
        if let Err(failure) = stream.register(&self.registry, Token(slot as usize), interest) {
            warn!("The connection from {} cannot be polled: {failure}", JavaAddress(peer));
            front.closed(slot);
            return;
        }
        let serial = self.next_serial;
        self.next_serial += 1;
        let connection = Connection {
            stream,
            input: ReadBuffer::default(),
            peer,
            _admission: admission,
            serial,
            past_prefix: false,
            deaf: false,
            paused: false,
            // What a client sends at once is here already more often than not.
            readable: true,
            peer_closed: false,
            blocked: false,
            closing: false,
            lingering: false,
            listed: false,
            _lease: None,
            asker: None,
        };
        let at = slot as usize;
        if at >= self.connections.len() {
            self.connections.resize_with(at + 1, || None);
            self.outputs.buffers.resize_with(at + 1, WriteBuffer::default);
            self.outputs.is_dirty.resize(at + 1, false);
        }
        self.outputs.buffers[at] = WriteBuffer::default();
        let connection = self.connections[at].insert(connection);
        list(&mut self.ready, connection, slot);
        let deadline_ms = now.mono_ms + u64::from(self.shared.config.sessionless_cnxn_timeout_ms);
        self.handshakes.push_back((deadline_ms, slot, serial));
    }

    fn run_errands(&mut self, now: Now, front: &mut Front) {
        let mut errands = std::mem::take(&mut self.errands);
        self.shared.reactors[self.index].errands.take(&mut errands);
        for errand in errands.drain(..) {
            match errand {
                Errand::Serve { stream, peer, admission } => self.serve(now, front, stream, peer, admission),
                Errand::Move(address) => self.moving = Some((address, now.mono_ms)),
                Errand::Answer { slot, serial, text, lease } => {
                    let Some(connection) = self.connections[slot as usize].as_mut().filter(|c| c.serial == serial) else { continue };
                    connection.closing = true;
                    connection._lease = Some(lease);
                    let out = self.outputs.out(slot);
                    if out.is_empty() {
                        *out = text;
                    } else {
                        out.extend_from_slice(&text);
                    }
                }
            }
        }
        self.errands = errands;
    }

    /// A deadline that no byte moves: a connection has a session by then or goes. What is being
    /// answered counts as well, so that nobody can keep one open by not reading.
    fn drop_late_handshakes(&mut self, now: Now, front: &mut Front) {
        while let Some((deadline_ms, slot, serial)) = self.handshakes.front().copied() {
            let connection = self.connections[slot as usize].as_ref().filter(|c| c.serial == serial);
            let waits = connection.is_some() && !front.has_session(slot);
            if waits && deadline_ms > now.mono_ms {
                return;
            }
            self.handshakes.pop_front();
            if waits {
                self.recorder.add(Counter::SessionlessConnectionsExpired, 1);
                self.close(front, slot);
            }
        }
    }

    fn close(&mut self, front: &mut Front, slot: u32) {
        if let Some(mut connection) = self.connections[slot as usize].take() {
            let session = front.session(slot);
            if session != SessionId::NONE {
                debug!("Closed socket connection for client {} which had sessionid {session}", JavaAddress(connection.peer));
            }
            let _ = connection.stream.deregister(&self.registry);
            self.outputs.buffers[slot as usize] = WriteBuffer::default();
            front.closed(slot);
        }
    }

    fn count(&mut self, now: Now, front: &mut Front) {
        self.recorder.packets_received(front.stats.received - self.received_before);
        self.recorder.packets_sent(front.stats.sent - self.sent_before);
        (self.received_before, self.sent_before) = (front.stats.received, front.stats.sent);
        let stats = &mut front.stats;
        for (counter, count) in [
            (Counter::BytesReceivedCount, &mut stats.received_bytes),
            (Counter::ResponseBytes, &mut stats.response_bytes),
            (Counter::WatchBytes, &mut stats.watch_bytes),
            (Counter::ConnectionRequestCount, &mut stats.connects),
            (Counter::ConnectionRevalidateCount, &mut stats.revalidations),
            (Counter::StaleReplies, &mut stats.stale_replies),
        ] {
            if *count > 0 {
                self.recorder.add(counter, std::mem::take(count));
            }
        }
        if let Some(sizes) = stats.sizes.take() {
            for bytes in [sizes.min, sizes.max, sizes.last] {
                self.recorder.response_size(bytes as i64);
            }
        }
        self.shared.note_paths(now, &mut stats.reads.paths);
        stats.reads.paths.note_one_of(self.shared.busy_paths.one_of());
        stats.reads.drain(|name, bytes| self.recorder.observe_for(SummarySet::ReadPerNamespace, name, bytes as i64));
        self.recorder.add(Counter::ConnectionRejected, std::mem::take(&mut front.stats.throttled_connects));
        self.recorder.add(Counter::LargeRequestsRejected, std::mem::take(&mut front.stats.large_rejected));
        for deficit in front.stats.token_deficits.drain(..) {
            self.recorder.observe(Summary::ConnectionTokenDeficit, deficit as i64);
        }
        let mut slowest = None;
        for (op, latency_ms) in front.stats.answered.drain(..) {
            let kind = match op {
                op if oxkeeper_replica::read::is_read(op) => RequestKind::Read,
                _ => RequestKind::Update,
            };
            self.recorder.request_done(kind, latency_ms as i64);
            if slowest.is_none_or(|(most_ms, _)| latency_ms > most_ms) {
                slowest = Some((latency_ms, op));
            }
        }
        if let Some((latency_ms, op)) = slowest
            && self.shared.config.operator.slow_request_ms.is_some_and(|limit_ms| latency_ms > u64::from(limit_ms))
        {
            self.shared.tell_slow(op, latency_ms);
        }
    }
}

fn list(ready: &mut VecDeque<u32>, connection: &mut Connection, slot: u32) {
    if !std::mem::replace(&mut connection.listed, true) {
        ready.push_back(slot);
    }
}
