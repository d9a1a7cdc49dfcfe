//! The machine: one link after the other, and the session that outlives them.
//!
//! A link goes Connect -> [TLS] -> handshake -> [SASL] -> open. Requests that come earlier wait in `held`; the loss of a
//! link ends all of them, sent or not. Timers are those of the C client (T is the session timeout): silence for 2/3 T
//! ends a link, a ping follows T/3 without sending, T/60 is the pause after a round of servers that all failed.

use crate::operation::{Effect, Pending, RequestBatch, XID_OFFSET, encode_frame, finish_frame, server_path};
use crate::servers::{Servers, Update};
use crate::watches::Watches;
use crate::{
    Chroot, Completion, HostPort, Input, Level, Operation, Options, Output, Password, PendingRequests, SaslStep, SessionEvent, State,
    SubmitError, TableKind, WatchEvent, WatcherId, WatchesToRemove, path,
};
use core::net::{IpAddr, SocketAddr};
use oxkeeper_proto::{ErrorCode, JuteError, OpCode, Reader, SessionId, Write};
use std::collections::VecDeque;

/// xids with a meaning of their own.
const EVENT_XID: i32 = -1;
const PING_XID: i32 = -2;
const AUTH_XID: i32 = -4;
const SET_WATCHES_XID: i32 = -8;

/// A read-only client asks another server after this long, then after twice as long, and so on (C's numbers).
const FIRST_PROBE_MS: u64 = 200;
const LONGEST_PROBE_MS: u64 = 60_000;

/// How long the answer to closeSession is waited for, and how long the bytes before it may take to go out (C's numbers).
const CLOSE_ANSWER_MS: u64 = 1500;
const CLOSE_FLUSH_MS: u64 = 3000;

/// A time that does not come.
const NEVER_MS: u64 = u64::MAX;

/// No server takes more, and a frame's length has 31 bits.
const LONGEST_CREDENTIALS_BYTES: usize = 1 << 30;

/// The shortest pause after a round of servers that all failed: a session timeout of 0 is allowed, and must not make a
/// busy loop.
const SHORTEST_PAUSE_MS: u64 = 10;

/// Empty buffers larger than this are given back.
const KEPT_BYTES: usize = 256 * 1024;

/// Consumed bytes in front of unconsumed ones are cut off from here on.
const COMPACT_BYTES: usize = 64 * 1024;

/// Where the link is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The next attempt begins at that time.
    Waiting { until_ms: u64 },
    /// Names are being resolved before an attempt, which begins at that time even without them.
    Resolving { until_ms: u64 },
    /// TCP.
    Connecting,
    /// TLS.
    Tls,
    /// The connect request is on its way.
    Handshake,
    /// `awaits`: xid of a token of ours that is to be answered. `is_last`: after which the link is open.
    Sasl { awaits: Option<i32>, is_last: bool },
    /// Requests flow.
    Open,
    /// Nothing happens any more.
    Over,
}

/// Credentials, sent on every link; `waiting` is the tag of an add that has not been answered.
#[derive(Debug)]
struct Credentials {
    scheme: Box<[u8]>,
    secret: Box<[u8]>,
    waiting: Option<u64>,
}

/// A closing session.
#[derive(Clone, Copy, Debug)]
struct Closing {
    /// xid of the closeSession that was sent.
    xid: i32,
    pending: PendingRequests,
    deadline_ms: u64,
}

/// What waits to be polled. Replies are not among it: they wait as bytes.
#[derive(Debug)]
enum Queued {
    Resolve,
    Connect(SocketAddr),
    StartTls(SocketAddr),
    Disconnect,
    Probe(SocketAddr),
    SaslStart(SocketAddr),
    SaslToken(Vec<u8>),
    Session(State),
    /// Requests that end without a reply, and then credentials.
    Failed {
        requests: VecDeque<Pending>,
        error: ErrorCode,
    },
    AuthDone {
        tag: u64,
        error: ErrorCode,
    },
    Closed,
    Log(Level, String),
}

/// Bytes consumed from the front.
#[derive(Debug, Default)]
struct Buffer {
    bytes: Vec<u8>,
    start: usize,
}

impl Buffer {
    fn rest(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    fn is_empty(&self) -> bool {
        self.start == self.bytes.len()
    }

    fn consume(&mut self, count: usize) {
        self.start += count;
        assert!(self.start <= self.bytes.len(), "no more is consumed than is there");
        if self.is_empty() {
            self.clear();
        }
    }

    /// Where to append.
    fn tail(&mut self) -> &mut Vec<u8> {
        if self.start >= COMPACT_BYTES && self.start * 2 >= self.bytes.len() {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        &mut self.bytes
    }

    fn clear(&mut self) {
        self.start = 0;
        if self.bytes.capacity() > KEPT_BYTES {
            self.bytes = Vec::new();
        } else {
            self.bytes.clear();
        }
    }
}

/// One client. `now_ms` counts from any beginning, and never goes back.
#[derive(Debug)]
pub struct Client {
    options: Options,
    phase: Phase,
    state: State,
    servers: Servers,
    watches: Watches,
    credentials: Vec<Credentials>,

    session: SessionId,
    password: Password,
    timeout_ms: u64,
    /// Only a session that a read-write server has confirmed is asked for again: those of read-only servers are not real.
    has_seen_read_write: bool,
    last_zxid: i64,
    next_xid: i32,

    /// In the order of their xids; while the link is not open none of them is sent.
    pending: VecDeque<Pending>,
    /// Frames that wait for the link to open.
    held: Vec<u8>,
    unsent: Buffer,
    received: Buffer,
    queue: VecDeque<Queued>,
    /// Lent with an event.
    called: Vec<WatcherId>,
    /// Lent to the SASL mechanism.
    token: Vec<u8>,
    /// What the handshake said of the server.
    is_read_only: bool,

    now_ms: u64,
    last_received_ms: u64,
    last_sent_ms: u64,
    /// Before the next attempt names are to be resolved.
    resolve_is_due: bool,
    last_resolved_ms: u64,
    /// Answers to come; only that of the last question counts.
    resolves_asked: u32,
    last_probe_ms: u64,
    probe_after_ms: u64,
    probed: Option<SocketAddr>,
    closing: Option<Closing>,
}

impl Client {
    /// A client that has not done anything yet: its first [`Input::Tick`] starts it.
    pub fn new(now_ms: u64, options: Options) -> Self {
        let servers = Servers::new(options.shuffle, options.seed);
        Self {
            phase: Phase::Waiting { until_ms: now_ms },
            state: State::NotConnected,
            servers,
            watches: Watches::default(),
            credentials: Vec::new(),
            session: options.session,
            password: options.password,
            timeout_ms: u64::try_from(options.session_timeout_ms).unwrap_or(0),
            has_seen_read_write: options.session != SessionId::NONE,
            last_zxid: 0,
            next_xid: options.first_xid.max(1),
            pending: VecDeque::new(),
            held: Vec::new(),
            unsent: Buffer::default(),
            received: Buffer::default(),
            queue: VecDeque::new(),
            called: Vec::new(),
            token: Vec::new(),
            is_read_only: false,
            now_ms,
            last_received_ms: now_ms,
            last_sent_ms: now_ms,
            resolve_is_due: true,
            last_resolved_ms: now_ms,
            resolves_asked: 0,
            last_probe_ms: now_ms,
            probe_after_ms: FIRST_PROBE_MS,
            probed: None,
            closing: None,
            options,
        }
    }

    /// Takes what happened. Drain [`Self::poll`] afterwards, then write [`Self::unsent`].
    pub fn handle(&mut self, now_ms: u64, input: Input<'_>) {
        self.now_ms = self.now_ms.max(now_ms);
        match input {
            Input::Tick => self.tick(),
            Input::Resolved(addresses) => self.resolved(addresses),
            Input::LinkUp => self.link_up(),
            Input::TlsUp => {
                if self.phase == Phase::Tls {
                    self.begin_handshake();
                }
            }
            Input::Received(bytes) => {
                if matches!(self.phase, Phase::Handshake | Phase::Sasl { .. } | Phase::Open) {
                    self.last_received_ms = self.now_ms;
                    self.received.tail().extend_from_slice(bytes);
                }
            }
            Input::LinkDown { errno, reason, tls } => self.link_down(errno, reason, tls),
            Input::Probed { is_read_write } => self.probe_answered(is_read_write),
            Input::Sasl(step) => self.sasl_step(step),
        }
    }

    /// What to do or to know next; `None` when there is nothing more. Replies are read from the received bytes here,
    /// one a call, and lent without a copy.
    #[inline]
    pub fn poll(&mut self) -> Option<Output<'_>> {
        loop {
            if !self.queue.is_empty() {
                return self.poll_queue();
            }
            match self.next_frame()? {
                Frame::Reply { length, pending, error, zxid, body } => {
                    let start = self.received.start;
                    self.received.start += length;
                    return Some(Output::Completed(Completion {
                        tag: pending.tag,
                        op: pending.op,
                        error,
                        zxid,
                        body: &self.received.bytes[start + body..start + length],
                    }));
                }
                Frame::Event { length, path, kind, state, zxid } => {
                    let start = self.received.start;
                    self.received.start += length;
                    let path = start + path.start..start + path.end;
                    self.watches.fire(kind, &self.received.bytes[path.clone()], &mut self.called);
                    if !self.called.is_empty() {
                        let path = self.options.chroot.cut_or_keep(&self.received.bytes[path]);
                        return Some(Output::Watch(WatchEvent { kind, state, path, zxid, watchers: &self.called }));
                    }
                }
                Frame::Done => {}
            }
        }
    }

    /// Takes a request; [`Output::Completed`] with the tag follows exactly once. It is sent at once, or when the
    /// session is open; a lost connection ends it in either case.
    ///
    /// # Errors
    /// When it is not taken; nothing follows then.
    #[inline]
    pub fn submit(&mut self, now_ms: u64, tag: u64, operation: &Operation<'_>) -> Result<(), SubmitError> {
        self.now_ms = self.now_ms.max(now_ms);
        self.check_open()?;
        let xid = self.next_xid;
        let is_open = self.phase == Phase::Open;
        let out = if is_open { self.unsent.tail() } else { &mut self.held };
        let (op, effect) = encode_frame(out, &self.options.chroot, xid, operation)?;
        self.take_xid();
        self.pending.push_back(Pending { tag, xid, op, effect });
        if !is_open {
            self.hurry();
        }
        Ok(())
    }

    /// Takes requests that were encoded before, and empties the batch. When the session is over or closing they
    /// complete with that error, at once: before those whose replies a closing client still awaits.
    pub fn submit_batch(&mut self, now_ms: u64, batch: &mut RequestBatch) {
        self.now_ms = self.now_ms.max(now_ms);
        if batch.is_empty() {
            return;
        }
        if let Err(error) = self.check_open() {
            let requests = batch.requests.drain(..).map(|(_, pending)| pending).collect();
            batch.bytes.clear();
            self.queue.push_back(Queued::Failed { requests, error: error.code() });
            return;
        }
        let is_open = self.phase == Phase::Open;
        let out = if is_open { self.unsent.tail() } else { &mut self.held };
        let base = out.len();
        if out.is_empty() {
            std::mem::swap(out, &mut batch.bytes);
        } else {
            out.append(&mut batch.bytes);
        }
        self.pending.reserve(batch.requests.len());
        for (at, mut pending) in batch.requests.drain(..) {
            pending.xid = self.next_xid;
            self.next_xid = following_xid(self.next_xid);
            let at = base + at + XID_OFFSET;
            out[at..at + 4].copy_from_slice(&pending.xid.to_be_bytes());
            self.pending.push_back(pending);
        }
        batch.bytes.clear();
        if !is_open {
            self.hurry();
        }
    }

    /// Removes watches of a path: one watcher's, or all with `None`. Asks the server first (checkWatches, or
    /// removeWatches for all), unless `is_local`, which completes nothing. All of a path where nobody waits are C's case
    /// of nothing to do, and left to the server; [`Self::watched`] tells.
    ///
    /// # Errors
    /// As [`Self::submit`], and when no such watch is known.
    pub fn remove_watches(
        &mut self,
        now_ms: u64,
        tag: u64,
        path: &[u8],
        which: WatchesToRemove,
        watcher: Option<WatcherId>,
        is_local: bool,
    ) -> Result<(), SubmitError> {
        self.now_ms = self.now_ms.max(now_ms);
        if !path::is_valid(path, false) {
            return Err(SubmitError::BadArguments);
        }
        if !is_local {
            self.check_open()?;
        }
        let path = server_path(&self.options.chroot, path);
        if !self.watches.knows(&path, which, watcher) {
            return Err(SubmitError::NoWatcher);
        }
        if is_local {
            self.watches.disarm(&path, which, watcher);
            return Ok(());
        }
        let mut body = Vec::with_capacity(path.len() + 8);
        body.buffer(Some(&path));
        body.int(which as i32);
        let op = if watcher.is_some() { OpCode::CHECK_WATCHES } else { OpCode::REMOVE_WATCHES };
        self.submit(now_ms, tag, &Operation::Raw { op, body: &body, watch: None })?;
        let pending = self.pending.back_mut().expect("it was just put there");
        pending.effect = Some(Box::new(Effect::Disarm { which, path, watcher }));
        Ok(())
    }

    /// The tables in which anyone waits for this path: child, data, exist, persistent, persistent recursive.
    pub fn watched(&self, path: &[u8]) -> Vec<TableKind> {
        self.watches.tables(&server_path(&self.options.chroot, path))
    }

    /// Adds credentials: sent at once if there is a connection, and at each new one. Completes (op `AUTH`) with the
    /// next answer to any credentials, or with the connection.
    ///
    /// # Errors
    /// When the session is over or closing.
    pub fn add_auth(&mut self, now_ms: u64, tag: u64, scheme: &[u8], credentials: &[u8]) -> Result<(), SubmitError> {
        self.now_ms = self.now_ms.max(now_ms);
        self.check_open()?;
        if scheme.len() + credentials.len() > LONGEST_CREDENTIALS_BYTES {
            return Err(SubmitError::BadArguments);
        }
        let added = Credentials { scheme: scheme.into(), secret: credentials.into(), waiting: Some(tag) };
        if self.phase == Phase::Open {
            push_auth(self.unsent.tail(), &added);
        }
        self.credentials.push(added);
        Ok(())
    }

    /// Ends the session. [`Output::Closed`] comes when the server has answered or hung up, or at once where there is no
    /// connection (the session then lives on until it times out). A server that does not answer is waited for for 3 s
    /// while bytes are to be written and 1.5 s afterwards, or with [`PendingRequests::Await`] until it has been silent
    /// for two thirds of the session timeout.
    pub fn close(&mut self, now_ms: u64, pending: PendingRequests) {
        self.now_ms = self.now_ms.max(now_ms);
        if self.closing.is_some() || self.state == State::Closed {
            return;
        }
        if self.phase != Phase::Open {
            self.fail_all(SubmitError::CLOSING);
            self.finish_close();
            return;
        }
        let server = self.server_text();
        self.log(Level::Info, format!("Closing zookeeper sessionId={:#x} to {server}\n", self.session.0));
        if pending == PendingRequests::Fail {
            self.fail_all(SubmitError::CLOSING);
        }
        let xid = self.take_xid();
        let out = self.unsent.tail();
        out.int(8);
        out.int(xid);
        out.int(OpCode::CLOSE_SESSION.0);
        let deadline_ms = match pending {
            PendingRequests::Fail => self.now_ms + CLOSE_FLUSH_MS,
            // Replies may take their time; silence is what ends it.
            PendingRequests::Await => NEVER_MS,
        };
        self.closing = Some(Closing { xid, pending, deadline_ms });
    }

    /// Ends without a word to the server: the session lives on there until it times out. Requests under way end with
    /// [`SubmitError::CLOSING`]; [`Output::Closed`] follows at once.
    pub fn abandon(&mut self) {
        if self.state != State::Closed {
            self.fail_all(SubmitError::CLOSING);
            self.finish_close();
        }
    }

    /// Other servers. When they are resolved the client may move, so that the load stays even.
    pub fn set_servers(&mut self, now_ms: u64, hosts: Vec<HostPort>) {
        self.now_ms = self.now_ms.max(now_ms);
        self.options.hosts = hosts;
        match literal_addresses(&self.options.hosts) {
            Some(addresses) => self.take_addresses(addresses),
            None if self.phase == Phase::Over => {}
            None => self.ask_to_resolve(),
        }
    }

    /// The same where their addresses are known already, one list for each host.
    pub fn set_resolved_servers(&mut self, now_ms: u64, hosts: Vec<HostPort>, addresses: Vec<Vec<SocketAddr>>) {
        self.now_ms = self.now_ms.max(now_ms);
        self.options.hosts = hosts;
        self.take_addresses(addresses.into_iter().flatten().collect());
    }

    /// How often names are resolved again while connected, see [`Options::resolution_delay_ms`].
    pub fn set_resolution_delay_ms(&mut self, delay_ms: i64) {
        self.options.resolution_delay_ms = delay_ms;
    }

    /// Goes on to the next server of the list without touching the connection.
    pub fn cycle_next_server(&mut self) {
        self.servers.advance();
    }

    /// Another default watcher.
    pub fn set_default_watcher(&mut self, watcher: WatcherId) {
        self.options.default_watcher = watcher;
    }

    /// Bytes for the link, in order. After a write call [`Self::sent`].
    #[inline]
    pub fn unsent(&self) -> &[u8] {
        self.unsent.rest()
    }

    /// So many of [`Self::unsent`] are on the link.
    #[inline]
    pub fn sent(&mut self, now_ms: u64, count: usize) {
        self.now_ms = self.now_ms.max(now_ms);
        if count > 0 {
            self.last_sent_ms = self.now_ms;
            self.unsent.consume(count);
            if let Some(closing) = self.closing.as_mut().filter(|closing| closing.pending == PendingRequests::Fail)
                && self.unsent.is_empty()
            {
                closing.deadline_ms = self.now_ms + CLOSE_ANSWER_MS;
            }
        }
    }

    /// When [`Input::Tick`] is due; `None`: only an input or a request makes anything happen.
    pub fn next_timer_ms(&self) -> Option<u64> {
        let silence = self.last_received_ms + self.timeout_ms * 2 / 3;
        let timer = match self.phase {
            Phase::Waiting { until_ms } | Phase::Resolving { until_ms } => until_ms,
            Phase::Connecting | Phase::Tls | Phase::Handshake | Phase::Sasl { .. } => silence,
            Phase::Open => {
                let mut timer = silence;
                if let Some(closing) = self.closing {
                    return Some(timer.min(closing.deadline_ms));
                }
                if self.pending.is_empty() {
                    timer = timer.min(self.last_sent_ms + self.timeout_ms / 3);
                }
                if self.state == State::ReadOnly && self.probed.is_none() {
                    timer = timer.min(self.last_probe_ms + self.probe_after_ms);
                }
                timer.min(self.next_resolve_ms().unwrap_or(NEVER_MS))
            }
            Phase::Over => NEVER_MS,
        };
        (timer != NEVER_MS).then_some(timer)
    }

    /// Where the session stands.
    pub fn state(&self) -> State {
        self.state
    }

    /// The session's id, [`SessionId::NONE`] before the first.
    pub fn session(&self) -> SessionId {
        self.session
    }

    /// Its password.
    pub fn password(&self) -> &Password {
        &self.password
    }

    /// The session timeout: asked for, or given by the server.
    pub fn session_timeout_ms(&self) -> i32 {
        i32::try_from(self.timeout_ms).unwrap_or(i32::MAX)
    }

    /// The server of the connection, or of the last attempt.
    pub fn server(&self) -> Option<SocketAddr> {
        self.servers.current()
    }

    /// What goes before every path.
    pub fn chroot(&self) -> &Chroot {
        &self.options.chroot
    }

    /// Requests that have been taken and not failed, and whose reply has not come.
    pub fn pending_count(&self) -> usize {
        self.pending.len()
    }

    /// zxid of the newest reply.
    pub fn last_zxid(&self) -> i64 {
        self.last_zxid
    }

    /// Memory of the buffers for bytes in and out.
    pub fn held_bytes(&self) -> usize {
        self.held.capacity() + self.unsent.bytes.capacity() + self.received.bytes.capacity()
    }
}

/// What the next frame has come to.
enum Frame {
    /// `length`: of the frame with its prefix; `body`: where its body begins.
    Reply {
        length: usize,
        pending: Pending,
        error: ErrorCode,
        zxid: i64,
        body: usize,
    },
    Event {
        length: usize,
        path: std::ops::Range<usize>,
        kind: i32,
        state: i32,
        zxid: i64,
    },
    /// Nothing for the user, or it is in the queue.
    Done,
}

/// Bytes of a frame's length, and of a reply's header.
const PREFIX: usize = 4;
const REPLY_HEADER: usize = 16;

/// Frames.
impl Client {
    /// Reads the next whole frame; `None` when there is none.
    #[inline]
    fn next_frame(&mut self) -> Option<Frame> {
        let rest = self.received.rest();
        let Some(prefix) = rest.first_chunk::<PREFIX>() else {
            if rest.is_empty() && self.received.start != 0 {
                self.received.clear();
            }
            return None;
        };
        let announced = i32::from_be_bytes(*prefix);
        let Some(length) = usize::try_from(announced).ok().filter(|length| *length <= self.options.max_frame_bytes) else {
            self.garbage(&format!("a frame of {announced} bytes"));
            return Some(Frame::Done);
        };
        if rest.len() < PREFIX + length {
            return None;
        }
        if self.phase != Phase::Open {
            return Some(self.early_frame(length));
        }
        let frame = &rest[PREFIX..PREFIX + length];
        let Some(header) = frame.first_chunk::<REPLY_HEADER>() else {
            self.garbage(&format!("a reply of {length} bytes"));
            return Some(Frame::Done);
        };
        let xid = i32::from_be_bytes(header[..4].try_into().expect("four bytes"));
        let zxid = i64::from_be_bytes(header[4..12].try_into().expect("eight bytes"));
        let error = ErrorCode(i32::from_be_bytes(header[12..].try_into().expect("four bytes")));
        let length = PREFIX + length;
        if xid >= 0 {
            return Some(self.reply(length, xid, zxid, error));
        }
        Some(match xid {
            EVENT_XID => self.event(length, zxid),
            AUTH_XID => {
                self.received.start += length;
                self.auth_answered(error);
                Frame::Done
            }
            PING_XID | SET_WATCHES_XID => {
                self.received.start += length;
                Frame::Done
            }
            // xids from a counter that began below zero do not exist here: this is no reply to anything.
            _ => self.reply(length, xid, zxid, error),
        })
    }

    fn reply(&mut self, length: usize, xid: i32, zxid: i64, error: ErrorCode) -> Frame {
        if let Some(closing) = self.closing {
            if xid == closing.xid && self.pending.is_empty() {
                self.finish_close();
                return Frame::Done;
            }
            if closing.pending == PendingRequests::Fail {
                // Its request has been ended already.
                self.received.start += length;
                return Frame::Done;
            }
        }
        let expected = self.pending.front().map(|pending| pending.xid);
        if expected != Some(xid) {
            let server = self.server_text();
            let expected = expected.unwrap_or(0);
            self.log_failure(
                ErrorCode::RUNTIME_INCONSISTENCY,
                (0, "Success"),
                &format!("unexpected server response: expected {xid:#x}, but received {expected:#x}"),
                &server,
            );
            self.lose(ErrorCode::RUNTIME_INCONSISTENCY);
            return Frame::Done;
        }
        let mut pending = self.pending.pop_front().expect("it was looked at");
        if zxid > 0 {
            self.last_zxid = zxid;
        }
        if let Some(effect) = pending.effect.take() {
            match *effect {
                Effect::Arm { rule, path, watcher } => self.watches.arm(rule, error, &path, watcher),
                Effect::Disarm { which, path, watcher } if error == ErrorCode::OK => self.watches.disarm(&path, which, watcher),
                Effect::Disarm { .. } => {}
            }
        }
        Frame::Reply { length, pending, error, zxid, body: PREFIX + REPLY_HEADER }
    }

    fn event(&mut self, length: usize, zxid: i64) -> Frame {
        let body = PREFIX + REPLY_HEADER;
        let bytes = &self.received.rest()[body..length];
        let mut r = Reader::with_max_length(bytes, i32::MAX);
        let read = (|| Ok::<_, JuteError>((r.int()?, r.int()?, r.buffer()?.unwrap_or_default())))();
        let Ok((kind, state, path)) = read else {
            self.garbage("an event that cannot be read");
            return Frame::Done;
        };
        // The path's bytes end where the reader stands.
        let end = length - r.rest().len();
        Frame::Event { length, path: end - path.len()..end, kind, state, zxid }
    }

    /// A frame before the link is open.
    fn early_frame(&mut self, length: usize) -> Frame {
        let start = self.received.start + PREFIX;
        let range = start..start + length;
        self.received.start += PREFIX + length;
        match self.phase {
            Phase::Handshake => match read_connect_response(&self.received.bytes[range]) {
                Some(response) => self.connect_answered(response),
                None => self.garbage("no answer to a connect request"),
            },
            Phase::Sasl { awaits: Some(xid), is_last } => {
                let mut r = Reader::with_max_length(&self.received.bytes[range], i32::MAX);
                let read = (|| Ok::<_, JuteError>((r.int()?, r.long()?, r.int()?)))();
                match read {
                    Ok((answered, _, error)) if answered == xid => {
                        let token = r.buffer().ok().flatten().unwrap_or_default().to_vec();
                        self.sasl_answered(ErrorCode(error), token, is_last);
                    }
                    // A ping's answer, or an event: nothing to wait for during SASL.
                    Ok((answered, _, _)) if answered < 0 => {}
                    _ => self.garbage("no answer to a SASL token"),
                }
            }
            // A server that talks before it is spoken to.
            _ => self.garbage("a frame that nobody asked for"),
        }
        Frame::Done
    }

    fn poll_queue(&mut self) -> Option<Output<'_>> {
        if let Some(Queued::Failed { requests, error }) = self.queue.front_mut() {
            let error = *error;
            let pending = requests.pop_front().expect("an empty one is not kept");
            if requests.is_empty() {
                self.queue.pop_front();
            }
            return Some(Output::Completed(Completion { tag: pending.tag, op: pending.op, error, zxid: -1, body: &[] }));
        }
        Some(match self.queue.pop_front()? {
            Queued::Resolve => Output::Resolve(&self.options.hosts),
            Queued::Connect(address) => Output::Connect(address),
            Queued::StartTls(address) => Output::StartTls(address),
            Queued::Disconnect => Output::Disconnect,
            Queued::Probe(address) => Output::Probe(address),
            Queued::SaslStart(address) => Output::SaslStart(address),
            Queued::SaslToken(token) => {
                self.token = token;
                Output::SaslToken(&self.token)
            }
            Queued::Session(state) => {
                self.watches.all(self.options.default_watcher, &mut self.called);
                Output::Session(SessionEvent { state, watchers: &self.called, session: self.session, password: &self.password })
            }
            Queued::Failed { .. } => unreachable!("looked at above"),
            Queued::AuthDone { tag, error } => Output::Completed(Completion { tag, op: OpCode::AUTH, error, zxid: -1, body: &[] }),
            Queued::Closed => Output::Closed,
            Queued::Log(level, text) => Output::Log(level, text),
        })
    }
}

/// The link's stages.
impl Client {
    fn tick(&mut self) {
        match self.phase {
            Phase::Waiting { until_ms } => {
                if self.now_ms >= until_ms {
                    self.begin_attempt();
                }
            }
            Phase::Resolving { until_ms } => {
                if self.now_ms >= until_ms {
                    self.connect_next();
                }
            }
            Phase::Connecting | Phase::Tls | Phase::Handshake | Phase::Sasl { .. } => drop(self.check_silence()),
            Phase::Open => self.tick_open(),
            Phase::Over => {}
        }
    }

    fn tick_open(&mut self) {
        if self.closing.is_some_and(|closing| self.now_ms >= closing.deadline_ms) {
            self.fail_all(SubmitError::CLOSING);
            self.finish_close();
            return;
        }
        if self.check_silence() {
            return;
        }
        if self.closing.is_some() {
            return;
        }
        if self.pending.is_empty() && self.now_ms >= self.last_sent_ms + self.timeout_ms / 3 {
            self.release();
            let out = self.unsent.tail();
            out.int(8);
            out.int(PING_XID);
            out.int(OpCode::PING.0);
            // The socket may be full: one ping in T/3 is enough even so.
            self.last_sent_ms = self.now_ms;
        }
        if self.state == State::ReadOnly && self.probed.is_none() && self.now_ms >= self.last_probe_ms + self.probe_after_ms {
            self.last_probe_ms = self.now_ms;
            self.probe_after_ms = (self.probe_after_ms * 2).min(LONGEST_PROBE_MS);
            self.probed = self.servers.peek();
            if let Some(address) = self.probed {
                self.queue.push_back(Queued::Probe(address));
            }
        }
        if self.next_resolve_ms().is_some_and(|due_ms| self.now_ms >= due_ms) {
            self.ask_to_resolve();
        }
    }

    /// Drops a link that has been silent for too long; whether it did.
    fn check_silence(&mut self) -> bool {
        let due_ms = self.last_received_ms + self.timeout_ms * 2 / 3;
        if self.now_ms < due_ms {
            return false;
        }
        let server = self.server_text();
        let late_ms = self.now_ms - due_ms;
        let text = format!("connection to {server} timed out (exceeded timeout by {late_ms}ms)");
        self.log_failure(ErrorCode::OPERATION_TIMEOUT, (110, "Connection timed out"), &text, &server);
        self.lose(ErrorCode::OPERATION_TIMEOUT);
        true
    }

    fn begin_attempt(&mut self) {
        if self.resolve_is_due {
            match literal_addresses(&self.options.hosts) {
                Some(addresses) => {
                    self.resolve_is_due = false;
                    self.servers.update(addresses);
                }
                None => {
                    // With addresses at hand, a resolver that does not answer is not waited for without end.
                    let until_ms = if self.servers.is_empty() { NEVER_MS } else { self.now_ms + (self.timeout_ms / 3).max(1) };
                    self.phase = Phase::Resolving { until_ms };
                    if self.resolves_asked == 0 {
                        self.ask_to_resolve();
                    }
                    return;
                }
            }
        }
        self.connect_next();
    }

    fn connect_next(&mut self) {
        let Some(address) = self.servers.advance() else {
            // Nobody to connect to. What waits ends; without any host with C's error.
            let is_hopeless = self.options.hosts.is_empty();
            self.fail_all(if is_hopeless { ErrorCode::SYSTEM_ERROR } else { ErrorCode::CONNECTION_LOSS });
            self.pause();
            return;
        };
        self.last_received_ms = self.now_ms;
        self.last_sent_ms = self.now_ms;
        self.phase = Phase::Connecting;
        self.state = if self.options.tls { State::TlsConnecting } else { State::Connecting };
        self.queue.push_back(Queued::Connect(address));
    }

    fn link_up(&mut self) {
        if self.phase != Phase::Connecting {
            return;
        }
        if self.options.tls {
            self.phase = Phase::Tls;
            let address = self.servers.current().expect("it is connected to");
            self.queue.push_back(Queued::StartTls(address));
        } else {
            self.begin_handshake();
        }
    }

    fn begin_handshake(&mut self) {
        self.phase = Phase::Handshake;
        self.state = State::Associating;
        let server = self.server_text();
        self.log(Level::Info, format!("initiated connection to server {server}"));
        let session = if self.has_seen_read_write { self.session } else { SessionId::NONE };
        let out = self.unsent.tail();
        let at = out.len();
        out.int(0);
        out.int(0);
        out.long(self.last_zxid);
        out.int(i32::try_from(self.timeout_ms).unwrap_or(i32::MAX));
        out.long(session.0);
        out.buffer(Some(&self.password));
        out.boolean(self.options.can_be_read_only);
        finish_frame(out, at).expect("45 bytes");
    }

    fn connect_answered(&mut self, response: ConnectResponse) {
        let expected = if self.has_seen_read_write { self.session } else { SessionId::NONE };
        if expected != SessionId::NONE && expected != response.session {
            let server = self.server_text();
            let text = format!("sessionId={:#x} has expired.", expected.0);
            self.log_failure(ErrorCode::SESSION_EXPIRED, (116, "Stale file handle"), &text, &server);
            self.end(State::Expired, ErrorCode::SESSION_EXPIRED);
            return;
        }
        let Ok(timeout_ms @ 1..) = u64::try_from(response.timeout_ms) else {
            self.garbage("a session without a timeout");
            return;
        };
        self.has_seen_read_write |= !response.is_read_only;
        self.session = response.session;
        self.password = response.password;
        self.timeout_ms = timeout_ms;
        self.is_read_only = response.is_read_only;
        if self.options.sasl {
            self.phase = Phase::Sasl { awaits: None, is_last: false };
            let address = self.servers.current().expect("it is connected to");
            self.queue.push_back(Queued::SaslStart(address));
        } else {
            self.open();
        }
    }

    fn open(&mut self) {
        self.phase = Phase::Open;
        self.state = if self.is_read_only { State::ReadOnly } else { State::Connected };
        self.servers.succeeded();
        let text = format!(
            "session establishment complete on server {}, sessionId={:#x}, negotiated timeout={} {}",
            self.server_text(),
            self.session.0,
            self.timeout_ms,
            if self.is_read_only { "(READ-ONLY mode)" } else { "" },
        );
        self.log(Level::Info, text);
        self.last_probe_ms = self.now_ms;
        self.probe_after_ms = FIRST_PROBE_MS;
        self.last_resolved_ms = self.now_ms;
        // The next loss begins a new round.
        self.resolve_is_due = true;
        let out = self.unsent.tail();
        for credentials in self.credentials.iter().rev() {
            push_auth(out, credentials);
        }
        self.watches.push_set_watches(self.last_zxid, SET_WATCHES_XID, out);
        out.append(&mut self.held);
        if self.held.capacity() > KEPT_BYTES {
            self.held = Vec::new();
        }
        self.queue.push_back(Queued::Session(self.state));
    }

    fn sasl_step(&mut self, step: SaslStep<'_>) {
        if !matches!(self.phase, Phase::Sasl { awaits: None, .. }) {
            return;
        }
        match step {
            SaslStep::Continue(token) => self.send_sasl(token, false),
            SaslStep::Done(Some(token)) => self.send_sasl(token, true),
            SaslStep::Done(None) => self.open(),
            SaslStep::Failed => self.end(State::AuthFailed, ErrorCode::AUTH_FAILED),
        }
    }

    fn send_sasl(&mut self, token: &[u8], is_last: bool) {
        let xid = self.take_xid();
        let out = self.unsent.tail();
        let at = out.len();
        out.int(0);
        out.int(xid);
        out.int(OpCode::SASL.0);
        out.buffer(Some(token));
        finish_frame(out, at).expect("a token is short");
        self.phase = Phase::Sasl { awaits: Some(xid), is_last };
    }

    fn sasl_answered(&mut self, error: ErrorCode, token: Vec<u8>, is_last: bool) {
        if error != ErrorCode::OK {
            self.end(State::AuthFailed, ErrorCode::AUTH_FAILED);
        } else if is_last {
            self.open();
        } else {
            self.phase = Phase::Sasl { awaits: None, is_last: false };
            self.queue.push_back(Queued::SaslToken(token));
        }
    }

    fn auth_answered(&mut self, error: ErrorCode) {
        let scheme =
            self.credentials.first().map(|added| oxkeeper_proto::java_string::decode(&added.scheme).into_owned()).unwrap_or_default();
        if error == ErrorCode::OK {
            self.log(Level::Info, format!("Authentication scheme {scheme} succeeded"));
            self.end_auth(ErrorCode::OK);
        } else {
            self.log(Level::Error, format!("Authentication scheme {scheme} failed. Connection closed."));
            self.end_auth(error);
            self.end(State::AuthFailed, ErrorCode::AUTH_FAILED);
        }
    }

    fn link_down(&mut self, errno: i32, reason: &str, tls: bool) {
        let text = match self.phase {
            Phase::Connecting => "server refused to accept the client",
            Phase::Tls => "error in ssl connect",
            Phase::Handshake | Phase::Sasl { .. } | Phase::Open => "failed while receiving a server response",
            Phase::Waiting { .. } | Phase::Resolving { .. } | Phase::Over => return,
        };
        let code = if tls { SubmitError::TLS } else { ErrorCode::CONNECTION_LOSS };
        let server = self.server_text();
        self.log_failure(code, (errno, reason), text, &server);
        self.lost(code);
    }

    /// Bytes that no server sends.
    fn garbage(&mut self, what: &str) {
        let server = self.server_text();
        self.log_failure(ErrorCode::CONNECTION_LOSS, (0, "Success"), &format!("the server sent {what}"), &server);
        self.lose(ErrorCode::CONNECTION_LOSS);
    }

    /// Drops the link; all that waits ends with this error, and the next server is tried.
    fn lose(&mut self, error: ErrorCode) {
        self.queue.push_back(Queued::Disconnect);
        self.lost(error);
    }

    /// The link is gone.
    fn lost(&mut self, error: ErrorCode) {
        self.unlink();
        self.phase = Phase::Waiting { until_ms: self.now_ms };
        if self.closing.is_some() {
            self.fail_all(error);
            self.finish_close();
            return;
        }
        if self.state.is_connected() {
            self.queue.push_back(Queued::Session(State::Connecting));
        }
        self.fail_all(error);
        self.state = State::Lost;
        if self.servers.failed() {
            self.pause();
        }
    }

    /// The pause after a round of servers that all failed.
    fn pause(&mut self) {
        let hosts = self.options.hosts.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        self.resolve_is_due = true;
        if hosts.is_empty() {
            // Only other servers, or a request that cannot be served, end this.
            self.phase = Phase::Waiting { until_ms: NEVER_MS };
            return;
        }
        self.log(Level::Warn, format!("Delaying connection after exhaustively trying all servers [{hosts}]"));
        self.phase = Phase::Waiting { until_ms: self.now_ms + (self.timeout_ms / 60).max(SHORTEST_PAUSE_MS) };
    }

    /// A request does not wait for the end of a pause: it is better told soon that there is nobody (C's rule).
    fn hurry(&mut self) {
        if let Phase::Waiting { until_ms } = &mut self.phase {
            *until_ms = (*until_ms).min(self.now_ms);
        }
    }

    /// The session is over for good.
    fn end(&mut self, state: State, error: ErrorCode) {
        self.queue.push_back(Queued::Disconnect);
        self.unlink();
        self.state = state;
        self.phase = Phase::Over;
        self.queue.push_back(Queued::Session(state));
        self.fail_all(error);
        if self.closing.is_some() {
            self.queue.push_back(Queued::Closed);
        }
    }

    fn finish_close(&mut self) {
        if !matches!(self.phase, Phase::Waiting { .. } | Phase::Resolving { .. } | Phase::Over) {
            self.queue.push_back(Queued::Disconnect);
        }
        self.unlink();
        self.state = State::Closed;
        self.phase = Phase::Over;
        self.queue.push_back(Queued::Closed);
    }

    /// Gives back the memory of what was busier than now.
    fn release(&mut self) {
        for buffer in [&mut self.unsent, &mut self.received] {
            if buffer.is_empty() {
                *buffer = Buffer::default();
            }
        }
        self.held = Vec::new();
        self.pending.shrink_to_fit();
        self.queue.shrink_to_fit();
    }

    /// Forgets all that belongs to one link.
    fn unlink(&mut self) {
        self.unsent.clear();
        self.received.clear();
        self.probed = None;
    }

    /// Ends all requests, and credentials that wait for an answer.
    fn fail_all(&mut self, error: ErrorCode) {
        self.held.clear();
        if !self.pending.is_empty() {
            let requests = std::mem::take(&mut self.pending);
            self.queue.push_back(Queued::Failed { requests, error });
        }
        self.end_auth(error);
    }

    fn end_auth(&mut self, error: ErrorCode) {
        for credentials in &mut self.credentials {
            if let Some(tag) = credentials.waiting.take() {
                self.queue.push_back(Queued::AuthDone { tag, error });
            }
        }
    }

    fn probe_answered(&mut self, is_read_write: bool) {
        let Some(address) = self.probed.take() else { return };
        if self.state != State::ReadOnly || self.closing.is_some() {
            return;
        }
        if !is_read_write {
            self.servers.skip();
            return;
        }
        self.log(Level::Info, format!("r/w server found at {address}"));
        self.queue.push_back(Queued::Disconnect);
        self.unlink();
        self.queue.push_back(Queued::Session(State::Connecting));
        self.fail_all(ErrorCode::CONNECTION_LOSS);
        self.servers.prefer(address);
        self.state = State::Lost;
        self.resolve_is_due = false;
        self.phase = Phase::Waiting { until_ms: self.now_ms };
    }
}

/// Names.
impl Client {
    fn ask_to_resolve(&mut self) {
        self.last_resolved_ms = self.now_ms;
        self.resolves_asked += 1;
        self.queue.push_back(Queued::Resolve);
    }

    /// When names are resolved again although all is well.
    fn next_resolve_ms(&self) -> Option<u64> {
        let delay_ms = u64::try_from(self.options.resolution_delay_ms).ok()?;
        if self.resolves_asked > 0 || self.options.hosts.iter().all(|host| literal(host).is_some()) {
            return None;
        }
        Some(self.last_resolved_ms + delay_ms.max(self.timeout_ms / 3).max(1))
    }

    fn resolved(&mut self, addresses: Vec<Vec<SocketAddr>>) {
        self.resolves_asked = self.resolves_asked.saturating_sub(1);
        if self.resolves_asked > 0 {
            return;
        }
        for (host, addresses) in self.options.hosts.iter().zip(&addresses) {
            if addresses.is_empty() {
                self.queue.push_back(Queued::Log(Level::Warn, format!("could not resolve {host}")));
            }
        }
        let addresses: Vec<_> = addresses.into_iter().flatten().collect();
        if addresses.is_empty() && !self.options.hosts.is_empty() {
            // The old ones stay in use.
            if matches!(self.phase, Phase::Resolving { .. }) {
                self.connect_next();
            }
            return;
        }
        self.take_addresses(addresses);
    }

    fn take_addresses(&mut self, addresses: Vec<SocketAddr>) {
        self.resolve_is_due = false;
        let update = self.servers.update(addresses);
        match self.phase {
            Phase::Resolving { .. } => self.connect_next(),
            Phase::Connecting | Phase::Tls | Phase::Handshake | Phase::Sasl { .. } | Phase::Open
                if update == Update::Move && self.closing.is_none() =>
            {
                // No session event: the user sees the next CONNECTED (C's behaviour).
                self.queue.push_back(Queued::Disconnect);
                self.unlink();
                self.fail_all(ErrorCode::CONNECTION_LOSS);
                self.state = State::NotConnected;
                self.phase = Phase::Waiting { until_ms: self.now_ms };
            }
            Phase::Open => self.resolve_is_due = true,
            Phase::Waiting { .. } => self.hurry(),
            _ => {}
        }
    }
}

/// Small things.
impl Client {
    #[inline]
    fn check_open(&self) -> Result<(), SubmitError> {
        if self.closing.is_some() || self.state == State::Closed {
            return Err(SubmitError::Closing);
        }
        if self.state.is_over() { Err(SubmitError::InvalidState) } else { Ok(()) }
    }

    #[inline]
    fn take_xid(&mut self) -> i32 {
        let xid = self.next_xid;
        self.next_xid = following_xid(xid);
        xid
    }

    fn server_text(&self) -> String {
        self.servers.current().map_or_else(|| ":0".to_string(), |address| address.to_string())
    }

    fn log(&mut self, level: Level, text: String) {
        self.queue.push_back(Queued::Log(level, text));
    }

    fn log_failure(&mut self, code: ErrorCode, (errno, reason): (i32, &str), what: &str, server: &str) {
        self.log(Level::Error, format!("Socket {server} zk retcode={}, errno={errno}({reason}): {what}", code.0));
    }
}

/// xids are positive: the others have meanings of their own.
#[inline]
fn following_xid(xid: i32) -> i32 {
    xid.checked_add(1).unwrap_or(1)
}

fn push_auth(out: &mut Vec<u8>, credentials: &Credentials) {
    let at = out.len();
    out.int(0);
    out.int(AUTH_XID);
    out.int(OpCode::AUTH.0);
    out.int(0);
    out.buffer(Some(&credentials.scheme));
    out.buffer(Some(&credentials.secret));
    finish_frame(out, at).expect("it was measured when it was added");
}

struct ConnectResponse {
    timeout_ms: i32,
    session: SessionId,
    password: Password,
    is_read_only: bool,
}

/// Servers before 3.4 send no read-only flag.
fn read_connect_response(frame: &[u8]) -> Option<ConnectResponse> {
    let mut r = Reader::new(frame);
    let _protocol_version = r.int().ok()?;
    let timeout_ms = r.int().ok()?;
    let session = SessionId(r.long().ok()?);
    let password = r.buffer().ok()?.unwrap_or_default();
    let password = if password.is_empty() { [0; 16] } else { password.try_into().ok()? };
    let is_read_only = r.boolean().unwrap_or(false);
    Some(ConnectResponse { timeout_ms, session, password, is_read_only })
}

fn literal(host: &HostPort) -> Option<SocketAddr> {
    let address: IpAddr = host.host.parse().ok()?;
    Some(SocketAddr::new(address, host.port))
}

/// The addresses where all hosts are numbers.
fn literal_addresses(hosts: &[HostPort]) -> Option<Vec<SocketAddr>> {
    hosts.iter().map(literal).collect()
}
