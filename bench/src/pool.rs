//! Many sessions in one thread: opening them, driving them in closed or open loop, telling their watches.
//!
//! One mio poll, edge-triggered. A connection is read until it has no more, its replies are accounted for, what
//! they set free is appended to its buffer, and that leaves in one write. It leaves to others what the requests are
//! ([`Source`]) and what the numbers mean.

use crate::frame::{self, NOTIFICATION_XID, PING_XID, Reply, ReplyScanner};
use crate::histogram::Histogram;
use crate::pacing::Pacer;
use crate::source::Source;
use mio::net::TcpStream;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec};
use std::collections::{BinaryHeap, VecDeque};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

/// Bytes read at once: large enough that a reply of 10,000 names takes one read.
const READ_BYTES: usize = 256 * 1024;
const EVENTS: usize = 1024;
/// The open loop's burst period: 5,000 wake-ups a second cost the generator about 2 % of a core.
const TICK_NS: u64 = 200_000;
const TIMER: Token = Token(usize::MAX);
/// A session that is idle is pinged this often; a third of the least timeout asked for here.
const PING_EVERY: Duration = Duration::from_secs(10);
/// Nothing at all heard for so long while requests are outstanding: the server is given up.
const SILENCE: Duration = Duration::from_secs(20);
/// A real client gives up a connection attempt after its session timeout.
const ATTEMPT_NS: u64 = 30_000_000_000;

/// Source addresses of client sockets: 127.1.0.1 and so on, so that per-address limits stay in force.
pub fn source_address(index: usize, addresses: usize) -> Ipv4Addr {
    let index = index % addresses.max(1);
    Ipv4Addr::new(127, 1, (index / 250) as u8, 1 + (index % 250) as u8)
}

/// Begins a connection from the given address; it may still be under way when this returns.
pub fn connect_from(source: Ipv4Addr, server: SocketAddr) -> io::Result<TcpStream> {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    socket.bind(&SocketAddr::from((source, 0)).into())?;
    match socket.connect(&server.into()) {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => Err(error),
        _ => Ok(TcpStream::from_std(socket.into())),
    }
}

/// How sessions are opened.
#[derive(Clone, Copy)]
pub struct Opening {
    pub sessions: usize,
    /// Source addresses over which they are spread.
    pub addresses: usize,
    /// Attempts under way at once.
    pub window: usize,
    pub timeout_ms: i32,
    /// All must be open by then.
    pub within: Duration,
}

impl Opening {
    /// Gently: 32 at a time, from 200 addresses, 30 s timeout.
    pub fn gently(sessions: usize) -> Self {
        Self { sessions, addresses: 200, window: 32, timeout_ms: 30_000, within: Duration::from_secs(120) }
    }

    /// All at once, as after a restart of the server.
    pub fn storm(sessions: usize) -> Self {
        Self { window: sessions, ..Self::gently(sessions) }
    }
}

/// What opening took.
#[derive(Clone, Debug)]
pub struct Opened {
    pub took: Duration,
    /// Attempts that the server refused, closed or left unanswered, each tried again.
    pub retries: u64,
}

#[derive(PartialEq, Eq, Clone, Copy)]
enum Phase {
    Connecting,
    Handshaking,
    Open,
    Closing,
}

/// One session on one socket.
pub struct Connection {
    stream: TcpStream,
    scanner: ReplyScanner,
    out: Vec<u8>,
    written: usize,
    last_xid: i32,
    answered_xid: i32,
    /// When each unanswered request was meant to leave, oldest first; ns since the pool began.
    pending: VecDeque<u64>,
    phase: Phase,
    since_ns: u64,
    pub session_id: i64,
}

impl Connection {
    fn new(stream: TcpStream, now_ns: u64) -> Self {
        Self {
            stream,
            scanner: ReplyScanner::default(),
            out: Vec::new(),
            written: 0,
            last_xid: 0,
            answered_xid: 0,
            pending: VecDeque::new(),
            phase: Phase::Connecting,
            since_ns: now_ns,
            session_id: 0,
        }
    }

    /// Queues the source's next request, meant to leave at `at_ns`. `flush` sends it.
    #[inline]
    pub fn push(&mut self, source: &mut dyn Source, at_ns: u64) {
        self.last_xid += 1;
        source.append(&mut self.out, self.last_xid);
        self.pending.push_back(at_ns);
    }

    /// Queues a frame that was prepared whole.
    pub fn push_frame(&mut self, frame: &[u8], at_ns: u64) {
        self.last_xid += 1;
        let start = self.out.len();
        self.out.extend_from_slice(frame);
        frame::set_xid(&mut self.out[start..], self.last_xid);
        self.pending.push_back(at_ns);
    }

    /// Accounts for a reply; returns when its request was meant to leave. An answer that is not to the oldest
    /// request is an error: the protocol answers each connection in order.
    #[inline]
    pub fn answered(&mut self, reply: &Reply) -> io::Result<u64> {
        self.answered_xid += 1;
        match self.pending.pop_front() {
            Some(at_ns) if reply.xid == self.answered_xid => Ok(at_ns),
            _ => Err(io::Error::other(format!("a reply to xid {} where {} is due", reply.xid, self.answered_xid))),
        }
    }

    pub fn outstanding(&self) -> usize {
        self.pending.len()
    }

    /// Writes what the socket takes.
    pub fn flush(&mut self) -> io::Result<()> {
        while self.written < self.out.len() {
            match self.stream.write(&self.out[self.written..]) {
                Ok(count) => self.written += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.out.clear();
        self.written = 0;
        Ok(())
    }
}

/// When the load ends.
#[derive(Clone, Copy)]
pub enum Stop {
    After(Duration),
    /// After so many requests.
    Count(u64),
}

/// How requests are paced.
#[derive(Clone, Copy)]
pub enum Pace {
    /// Each session keeps so many requests outstanding.
    Closed { outstanding: usize },
    /// So many requests a second over all sessions, whatever the server does.
    Open { per_second: f64 },
}

/// What a load gave.
pub struct LoadReport {
    /// Requests answered in time (all of them under `Stop::Count`).
    pub completed: u64,
    pub errors: u64,
    pub last_error: i32,
    /// The time in which those were answered.
    pub elapsed: Duration,
    pub latency: Histogram,
    /// What the generator's own thread used.
    pub generator_cpu: Duration,
}

impl LoadReport {
    pub fn per_second(&self) -> f64 {
        self.completed as f64 / self.elapsed.as_secs_f64()
    }
}

/// Sessions of one thread on one server.
pub struct Pool {
    poll: Poll,
    events: Events,
    buffer: Box<[u8]>,
    connections: Vec<Option<Connection>>,
    origin: Instant,
    last_ping: Instant,
    timer: OwnedFd,
}

impl Pool {
    /// Opens sessions; an attempt that fails is tried again after up to a second, as real clients do.
    pub fn open(server: SocketAddr, opening: Opening) -> io::Result<(Self, Opened)> {
        let timer = rustix::time::timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        let poll = Poll::new()?;
        poll.registry().register(&mut SourceFd(&timer.as_raw_fd()), TIMER, Interest::READABLE)?;
        let origin = Instant::now();
        let mut pool = Self {
            poll,
            events: Events::with_capacity(EVENTS),
            buffer: vec![0; READ_BYTES].into_boxed_slice(),
            connections: (0..opening.sessions).map(|_| None).collect(),
            origin,
            last_ping: origin,
            timer,
        };
        let opened = pool.establish(server, opening)?;
        Ok((pool, opened))
    }

    fn establish(&mut self, server: SocketAddr, opening: Opening) -> io::Result<Opened> {
        let begin = self.now_ns();
        let hello = frame::connect(opening.timeout_ms);
        // Attempts waiting for their time: (negated due time, index), the earliest on top.
        let mut waiting: BinaryHeap<(i64, usize)> = (0..opening.sessions).map(|index| (0, index)).collect();
        let (mut under_way, mut open, mut retries) = (0usize, 0usize, 0u64);
        let mut jitter = Jitter::new(opening.sessions as u64);
        let mut swept = begin;
        while open < opening.sessions {
            let now = self.now_ns();
            if now - begin > opening.within.as_nanos() as u64 {
                return Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    format!("{open} of {} sessions open after {:?}, {retries} retries", opening.sessions, opening.within),
                ));
            }
            while under_way < opening.window && waiting.peek().is_some_and(|(due, _)| -due <= now as i64) {
                let (_, index) = waiting.pop().expect("one was seen");
                let mut stream = connect_from(source_address(index, opening.addresses), server)?;
                self.poll.registry().register(&mut stream, Token(index), Interest::READABLE | Interest::WRITABLE)?;
                self.connections[index] = Some(Connection::new(stream, now));
                under_way += 1;
            }
            self.poll_once(Duration::from_millis(1))?;
            let now = self.now_ns();
            let mut failed = Vec::new();
            for event in self.events.iter().filter(|event| event.token() != TIMER) {
                let index = event.token().0;
                let Some(connection) = &mut self.connections[index] else {
                    continue;
                };
                let before = connection.phase;
                match step_opening(connection, &hello, &mut self.buffer) {
                    Ok(()) if before != Phase::Open && connection.phase == Phase::Open => {
                        under_way -= 1;
                        open += 1;
                    }
                    Ok(()) => {}
                    Err(_) => failed.push((index, before)),
                }
            }
            if now - swept > 1_000_000_000 {
                swept = now;
                for (index, slot) in self.connections.iter().enumerate() {
                    if let Some(connection) = slot
                        && connection.phase != Phase::Open
                        && now - connection.since_ns > ATTEMPT_NS
                    {
                        failed.push((index, connection.phase));
                    }
                }
                failed.sort_by_key(|(index, _)| *index);
                failed.dedup_by_key(|(index, _)| *index);
            }
            for (index, phase) in failed {
                self.connections[index] = None;
                match phase {
                    Phase::Open => open -= 1,
                    _ => under_way -= 1,
                }
                retries += 1;
                waiting.push((-((now + jitter.below(1_000_000_000)) as i64), index));
            }
            self.ping_if_due()?;
        }
        Ok(Opened { took: Duration::from_nanos(self.now_ns() - begin), retries })
    }

    /// Nanoseconds since the pool began.
    pub fn now_ns(&self) -> u64 {
        self.origin.elapsed().as_nanos() as u64
    }

    pub fn len(&self) -> usize {
        self.connections.len()
    }

    pub fn is_empty(&self) -> bool {
        self.connections.is_empty()
    }

    pub fn connection(&mut self, index: usize) -> &mut Connection {
        self.connections[index].as_mut().expect("open")
    }

    fn poll_once(&mut self, timeout: Duration) -> io::Result<()> {
        match self.poll.poll(&mut self.events, Some(timeout)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                self.events.clear();
                Ok(())
            }
            other => other,
        }
    }

    /// Waits for events at most `timeout`; gives every reply to `on_reply` with the time it was read, and sends what
    /// that queued. Answers to pings are kept back. A session closed by the server is an error.
    pub fn pump(
        &mut self,
        timeout: Duration,
        mut on_reply: impl FnMut(usize, &mut Connection, Reply, u64) -> io::Result<()>,
    ) -> io::Result<()> {
        self.poll_once(timeout)?;
        for event in self.events.iter() {
            if event.token() == TIMER {
                // Read so that the next expiry is an edge again; how many there were, the pacer knows better.
                let _ = rustix::io::read(&self.timer, &mut [0u8; 8]);
                continue;
            }
            let index = event.token().0;
            let Some(connection) = &mut self.connections[index] else {
                continue;
            };
            loop {
                let count = match connection.stream.read(&mut self.buffer) {
                    Ok(0) if connection.phase == Phase::Closing => {
                        self.connections[index] = None;
                        break;
                    }
                    Ok(0) => {
                        let text = format!("session {index} closed by the server");
                        return Err(io::Error::new(io::ErrorKind::ConnectionAborted, text));
                    }
                    Ok(count) => count,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(_) if connection.phase == Phase::Closing => {
                        self.connections[index] = None;
                        break;
                    }
                    Err(error) => return Err(error),
                };
                let now = self.origin.elapsed().as_nanos() as u64;
                let mut rest = &self.buffer[..count];
                while let Some(reply) = connection.scanner.next(&mut rest)? {
                    if reply.xid != PING_XID {
                        on_reply(index, connection, reply, now)?;
                    }
                }
                // A short read has drained the socket and later bytes make a new edge; but an end that has come
                // already has made its edge and must be read now.
                if count < self.buffer.len() && !event.is_read_closed() {
                    break;
                }
            }
            if let Some(connection) = &mut self.connections[index]
                && connection.phase != Phase::Closing
            {
                connection.flush()?;
            }
        }
        Ok(())
    }

    /// Keeps idle sessions alive: sends pings if it is time.
    pub fn ping_if_due(&mut self) -> io::Result<()> {
        if self.last_ping.elapsed() < PING_EVERY {
            return Ok(());
        }
        self.last_ping = Instant::now();
        let ping = frame::ping();
        for connection in self.connections.iter_mut().flatten() {
            if connection.phase == Phase::Open {
                connection.out.extend_from_slice(&ping);
                connection.flush()?;
            }
        }
        Ok(())
    }

    /// Sends one prepared frame on every session and waits for all answers; `window` of them at a time. Watch events
    /// that come meanwhile are dropped.
    pub fn on_all(&mut self, frame: &[u8], window: usize) -> io::Result<()> {
        let mut next = 0;
        let mut outstanding = 0;
        let mut heard = Instant::now();
        while next < self.len() || outstanding > 0 {
            while next < self.len() && outstanding < window {
                let now = self.now_ns();
                let connection = self.connection(next);
                connection.push_frame(frame, now);
                connection.flush()?;
                next += 1;
                outstanding += 1;
            }
            let before = outstanding;
            self.pump(Duration::from_millis(100), |_, connection, reply, _| {
                if reply.xid == NOTIFICATION_XID {
                    return Ok(());
                }
                connection.answered(&reply)?;
                outstanding -= 1;
                match reply.err {
                    0 => Ok(()),
                    error => Err(io::Error::other(format!("error {error} from the server"))),
                }
            })?;
            if outstanding < before {
                heard = Instant::now();
            }
            not_silent(heard)?;
            self.ping_if_due()?;
        }
        Ok(())
    }

    /// Session 0 writes; measures from sending that write until every session has been told of it. Each session must
    /// have one watch on what the frame changes.
    pub fn fan_out(&mut self, write: &[u8]) -> io::Result<Duration> {
        let begin = self.now_ns();
        let mut untold = self.len();
        let writer = self.connection(0);
        writer.push_frame(write, begin);
        writer.flush()?;
        let mut last = begin;
        let mut replied = false;
        let heard = Instant::now();
        while untold > 0 || !replied {
            self.pump(Duration::from_millis(100), |_, connection, reply, now| {
                if reply.xid == NOTIFICATION_XID {
                    untold = untold.checked_sub(1).ok_or_else(|| io::Error::other("told more often than watched"))?;
                    last = now;
                } else {
                    connection.answered(&reply)?;
                    replied = true;
                }
                Ok(())
            })?;
            not_silent(heard)?;
        }
        Ok(Duration::from_nanos(last - begin))
    }

    /// Drives the sessions. Returns when every request has been answered; answers after the end of `Stop::After` do
    /// not count. Error replies count as errors and in the latencies.
    pub fn run(&mut self, source: &mut dyn Source, pace: Pace, stop: Stop) -> io::Result<LoadReport> {
        let cpu_before = own_cpu();
        let begin = self.now_ns();
        let (deadline, mut left) = match stop {
            Stop::After(duration) => (begin + duration.as_nanos() as u64, u64::MAX),
            Stop::Count(count) => (u64::MAX, count),
        };
        let mut latency = Histogram::new();
        let (mut completed, mut errors, mut last_error, mut in_flight) = (0u64, 0u64, 0, 0u64);
        let mut last_reply = begin;
        let mut pacer = None;
        match pace {
            Pace::Closed { outstanding } => {
                for connection in self.connections.iter_mut().flatten() {
                    for _ in 0..(outstanding as u64).min(left) {
                        connection.push(source, begin);
                        in_flight += 1;
                        left -= 1;
                    }
                    connection.flush()?;
                }
            }
            Pace::Open { per_second } => {
                pacer = Some(Pacer::new(per_second, TICK_NS));
                self.set_timer(TICK_NS)?;
            }
        }
        let closed_loop = pacer.is_none();
        let mut turn = 0;
        let mut now = begin;
        while in_flight > 0 || (!closed_loop && left > 0 && now < deadline) {
            self.pump(Duration::from_millis(100), |_, connection, reply, now| {
                if reply.xid == NOTIFICATION_XID {
                    return Ok(());
                }
                let sent = connection.answered(&reply)?;
                in_flight -= 1;
                last_reply = now;
                if now <= deadline {
                    completed += 1;
                    latency.record(now.saturating_sub(sent));
                    if reply.err != 0 {
                        errors += 1;
                        last_error = reply.err;
                    }
                    if closed_loop && left > 0 {
                        left -= 1;
                        in_flight += 1;
                        connection.push(source, now);
                    }
                }
                Ok(())
            })?;
            now = self.now_ns();
            if let Some(pacer) = &mut pacer {
                while let Some((at, burst)) = pacer.due(now.min(deadline) - begin) {
                    for _ in 0..burst.min(left) {
                        let connection = self.connections[turn].as_mut().expect("open");
                        connection.push(source, begin + at);
                        connection.flush()?;
                        turn = (turn + 1) % self.connections.len();
                        in_flight += 1;
                        left -= 1;
                    }
                }
            }
            if now.saturating_sub(last_reply) > SILENCE.as_nanos() as u64 {
                return Err(io::Error::new(io::ErrorKind::TimedOut, format!("{in_flight} requests unanswered")));
            }
            // Only sessions without requests need pings, and here none is without for long; but the open loop at a
            // low rate may leave one alone.
            self.ping_if_due()?;
        }
        if !closed_loop {
            self.set_timer(0)?;
        }
        let end = if deadline == u64::MAX { last_reply } else { deadline };
        Ok(LoadReport {
            completed,
            errors,
            last_error,
            elapsed: Duration::from_nanos((end - begin).max(1)),
            latency,
            generator_cpu: own_cpu().saturating_sub(cpu_before),
        })
    }

    fn set_timer(&mut self, period_ns: u64) -> io::Result<()> {
        let period = Timespec { tv_sec: 0, tv_nsec: period_ns as _ };
        let setting = Itimerspec { it_interval: period, it_value: period };
        rustix::time::timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &setting)?;
        Ok(())
    }

    /// Ends the sessions: closeSession on each, then waits a little for the server to close them.
    pub fn close(mut self) -> io::Result<()> {
        for connection in self.connections.iter_mut().flatten() {
            connection.last_xid += 1;
            connection.out.extend_from_slice(&frame::close_session(connection.last_xid));
            let _ = connection.flush();
            connection.phase = Phase::Closing;
        }
        let begin = Instant::now();
        while self.connections.iter().any(Option::is_some) && begin.elapsed() < Duration::from_secs(10) {
            self.pump(Duration::from_millis(100), |_, _, _, _| Ok(()))?;
        }
        Ok(())
    }
}

fn not_silent(heard: Instant) -> io::Result<()> {
    match heard.elapsed() > SILENCE {
        true => Err(io::Error::new(io::ErrorKind::TimedOut, "the server answers nothing")),
        false => Ok(()),
    }
}

/// Takes an opening connection as far as it goes. An error means: try again from the start.
fn step_opening(connection: &mut Connection, hello: &[u8], buffer: &mut [u8]) -> io::Result<()> {
    if connection.phase == Phase::Connecting {
        if let Some(error) = connection.stream.take_error()? {
            return Err(error);
        }
        match connection.stream.peer_addr() {
            Err(error) if error.kind() == io::ErrorKind::NotConnected => return Ok(()),
            Err(error) => return Err(error),
            Ok(_) => {}
        }
        connection.out.extend_from_slice(hello);
        connection.phase = Phase::Handshaking;
    }
    connection.flush()?;
    loop {
        let count = match connection.stream.read(buffer) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        };
        let mut rest = &buffer[..count];
        while let Some(reply) = connection.scanner.next(&mut rest)? {
            // Once open, nothing but answers to pings can come here.
            if connection.phase == Phase::Handshaking {
                let (timeout_ms, session_id) = reply.as_connect();
                if timeout_ms <= 0 {
                    return Err(io::ErrorKind::ConnectionRefused.into());
                }
                connection.session_id = session_id;
                connection.phase = Phase::Open;
            }
        }
    }
}

/// CPU time used by the calling thread so far, to the nanosecond.
pub fn own_cpu() -> Duration {
    // schedstat: "<ns on the CPU> <ns waiting> <slices>".
    let nanoseconds = std::fs::read_to_string("/proc/thread-self/schedstat")
        .ok()
        .and_then(|text| text.split(' ').next().and_then(|field| field.parse().ok()));
    match nanoseconds {
        Some(nanoseconds) => Duration::from_nanos(nanoseconds),
        None => crate::server::process_cpu(std::process::id()).unwrap_or_default(),
    }
}

/// Small reproducible random numbers (xorshift) for the delays of clients that try again.
pub struct Jitter(u64);

impl Jitter {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}
