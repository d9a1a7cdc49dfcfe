//! The machine with its sockets: what it asks for is done here, under the handle's lock; nothing here waits.

use crate::handle::{Inbox, Resolve};
use oxkeeper_client::{Batch, Client, HostPort, Input, Level, Output, RequestBatch, SaslStep};
use oxkeeper_net::Stream;
use oxkeeper_net::mio::{Interest, Registry, Token};
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;

pub(crate) const WAKE: Token = Token(0);
pub(crate) const LINK: Token = Token(1);
pub(crate) const PROBE: Token = Token(2);

/// Full buffers read in one turn, before what they brought is delivered and requests are sent.
const READS_PER_TURN: usize = 4;

/// A read-only client asks a server whether it is read-write, and waits this long (C's number).
const PROBE_MS: u64 = 1000;

/// What one turn of the thread works with, and what it brings.
pub(crate) struct Turn {
    buffer: Box<[u8]>,
    pub batch: Batch,
    pub log: Vec<(Level, String)>,
    /// Events since the last turn. The link's stay true until the socket says that it would block.
    pub is_link_readable: bool,
    /// The end has come behind what there is to read, and no further event will tell of it.
    pub is_link_ended: bool,
    pub is_link_writable: bool,
    pub is_probe_ready: bool,
    /// The socket may have more, and no event will tell.
    pub has_more: bool,
}

impl Turn {
    pub fn new(read_bytes: usize) -> Self {
        Self {
            buffer: vec![0; read_bytes].into(),
            batch: Batch::default(),
            log: Vec::new(),
            is_link_readable: false,
            is_link_ended: false,
            is_link_writable: false,
            is_probe_ready: false,
            has_more: false,
        }
    }
}

/// What a helper of the thread has found out.
pub(crate) enum Incoming {
    /// The resolver's answer.
    Resolved(Vec<Vec<SocketAddr>>),
}

/// The machine with its sockets.
pub(crate) struct Engine {
    client: Client,
    registry: Registry,
    resolver: Arc<dyn Resolve>,
    inbox: Arc<Inbox>,
    link: Option<Link>,
    probe: Option<Probe>,
    /// One question is with the resolver; the newest that waits behind it.
    is_resolving: bool,
    next_question: Option<Vec<HostPort>>,
    /// Takes turns with the outbox's.
    spare: RequestBatch,
    is_closed: bool,
}

struct Link {
    stream: Stream,
    is_up: bool,
    /// The socket took all it was given the last time.
    is_writable: bool,
    /// A write failed: the thread tells the machine.
    failure: Option<io::Error>,
}

struct Probe {
    stream: Stream,
    deadline_ms: u64,
    is_asked: bool,
    answer: Vec<u8>,
}

/// What the machine asks for.
enum Action {
    Resolve(Vec<HostPort>),
    Connect(SocketAddr),
    Disconnect,
    Probe(SocketAddr),
    NoTls,
    NoSasl,
    Closed,
}

impl Engine {
    pub fn new(client: Client, registry: Registry, resolver: Arc<dyn Resolve>, inbox: Arc<Inbox>) -> Self {
        Self {
            client,
            registry,
            resolver,
            inbox,
            link: None,
            probe: None,
            is_resolving: false,
            next_question: None,
            spare: RequestBatch::default(),
            is_closed: false,
        }
    }

    pub fn client(&mut self) -> &mut Client {
        &mut self.client
    }

    /// An empty batch to give away for a full one, which [`Self::submit_spare`] submits.
    pub fn spare(&mut self) -> &mut RequestBatch {
        &mut self.spare
    }

    pub fn submit_spare(&mut self, now_ms: u64) {
        self.client.submit_batch(now_ms, &mut self.spare);
    }

    /// [`Client::close`] or [`Client::abandon`] is done.
    pub fn is_closed(&self) -> bool {
        self.is_closed
    }

    pub fn next_timer_ms(&self) -> Option<u64> {
        let probe = self.probe.as_ref().map(|probe| probe.deadline_ms);
        [self.client.next_timer_ms(), probe].into_iter().flatten().min()
    }

    pub fn incoming(&mut self, now_ms: u64, item: Incoming, turn: &mut Turn) {
        match item {
            Incoming::Resolved(addresses) => {
                self.is_resolving = false;
                self.client.handle(now_ms, Input::Resolved(addresses));
                if let Some(hosts) = self.next_question.take() {
                    self.resolve(hosts);
                }
                self.drain(now_ms, turn);
            }
        }
    }

    /// Takes what the link has brought.
    pub fn read(&mut self, now_ms: u64, turn: &mut Turn) {
        turn.has_more = false;
        if turn.is_link_writable {
            turn.is_link_writable = false;
            self.link_is_writable(now_ms, turn);
        }
        for _ in 0..READS_PER_TURN {
            let Some(link) = self.link.as_mut().filter(|link| link.is_up) else { return };
            if !turn.is_link_readable {
                return;
            }
            let outcome = link.stream.read(&mut turn.buffer);
            match outcome {
                Ok(0) => {
                    turn.is_link_readable = false;
                    // C's words for it.
                    self.link_failed(now_ms, &io::Error::from_raw_os_error(libc::EHOSTDOWN));
                }
                Ok(count) => {
                    // A short read has emptied the socket, and an event tells of more; save for the end, if the event
                    // that told of these bytes was also that of the end.
                    turn.is_link_readable = count == turn.buffer.len() || turn.is_link_ended;
                    self.client.handle(now_ms, Input::Received(&turn.buffer[..count]));
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => turn.is_link_readable = false,
                Err(error) => {
                    turn.is_link_readable = false;
                    self.link_failed(now_ms, &error);
                }
            }
            self.drain(now_ms, turn);
        }
        turn.has_more = turn.is_link_readable;
    }

    /// Timers, the probe, and what is to be written.
    pub fn finish_turn(&mut self, now_ms: u64, turn: &mut Turn) {
        if let Some(error) = self.link.as_mut().and_then(|link| link.failure.take()) {
            self.link_failed(now_ms, &error);
        }
        self.drain(now_ms, turn);
        self.drive_probe(now_ms, turn);
        if self.client.next_timer_ms().is_some_and(|timer_ms| now_ms >= timer_ms) {
            self.client.handle(now_ms, Input::Tick);
            self.drain(now_ms, turn);
        }
        if !self.write(now_ms)
            && let Some(error) = self.link.as_mut().and_then(|link| link.failure.take())
        {
            self.link_failed(now_ms, &error);
            self.drain(now_ms, turn);
        }
    }

    /// Whether requests may be written by whoever brings them: the session is open and the socket not full.
    pub fn can_write(&self) -> bool {
        self.client.state().is_connected()
            && self.link.as_ref().is_some_and(|link| link.is_up && link.is_writable && link.failure.is_none())
    }

    /// Writes what there is; `false` if something is left to look after.
    pub fn write(&mut self, now_ms: u64) -> bool {
        let Some(link) = self.link.as_mut().filter(|link| link.is_up && link.failure.is_none()) else {
            return self.client.unsent().is_empty();
        };
        while link.is_writable && !self.client.unsent().is_empty() {
            match link.stream.write(self.client.unsent()) {
                Ok(0) => link.failure = Some(ErrorKind::WriteZero.into()),
                Ok(count) => {
                    self.client.sent(now_ms, count);
                    continue;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::WouldBlock => link.is_writable = false,
                Err(error) => link.failure = Some(error),
            }
            break;
        }
        link.failure.is_none() && self.client.unsent().is_empty()
    }

    /// Does what the machine asks for, and gathers what is for the user.
    fn drain(&mut self, now_ms: u64, turn: &mut Turn) {
        loop {
            let Some(output) = self.client.poll() else { return };
            let Some(output) = turn.batch.take_output(output) else { continue };
            let action = match output {
                Output::Log(level, text) => {
                    turn.log.push((level, text));
                    continue;
                }
                Output::Resolve(hosts) => Action::Resolve(hosts.to_vec()),
                Output::Connect(address) => Action::Connect(address),
                Output::Disconnect => Action::Disconnect,
                Output::Probe(address) => Action::Probe(address),
                Output::StartTls(_) => Action::NoTls,
                Output::SaslStart(_) | Output::SaslToken(_) => Action::NoSasl,
                Output::Closed => Action::Closed,
                Output::Completed(_) | Output::Watch(_) | Output::Session(_) => unreachable!("the batch has taken it"),
            };
            self.act(now_ms, action, turn);
        }
    }

    fn act(&mut self, now_ms: u64, action: Action, turn: &mut Turn) {
        match action {
            Action::Resolve(hosts) => {
                if self.is_resolving {
                    if self.next_question.replace(hosts).is_some() {
                        // Each question has its answer; of the one replaced nothing depends any more.
                        self.client.handle(now_ms, Input::Resolved(Vec::new()));
                    }
                } else {
                    self.resolve(hosts);
                }
            }
            Action::Connect(address) => {
                turn.is_link_readable = false;
                turn.is_link_ended = false;
                turn.is_link_writable = false;
                match self.connect(address, LINK) {
                    Ok(stream) => self.link = Some(Link { stream, is_up: false, is_writable: false, failure: None }),
                    Err(error) => self.link_failed(now_ms, &error),
                }
            }
            Action::Disconnect => {
                self.unlink();
                self.probe = None;
            }
            Action::Probe(address) => match self.connect(address, PROBE) {
                Ok(stream) => {
                    turn.is_probe_ready = false;
                    self.probe = Some(Probe { stream, deadline_ms: now_ms + PROBE_MS, is_asked: false, answer: Vec::new() });
                }
                Err(_) => self.client.handle(now_ms, Input::Probed { is_read_write: false }),
            },
            // Their stages are doors that nobody has moved in behind yet.
            Action::NoTls => {
                self.unlink();
                self.client.handle(now_ms, Input::LinkDown { errno: 0, reason: "TLS is not supported", tls: true });
            }
            Action::NoSasl => self.client.handle(now_ms, Input::Sasl(SaslStep::Failed)),
            Action::Closed => self.is_closed = true,
        }
    }

    fn connect(&self, address: SocketAddr, token: Token) -> io::Result<Stream> {
        let mut stream = Stream::connect(address)?;
        stream.set_client_options(false)?;
        self.registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        Ok(stream)
    }

    fn unlink(&mut self) {
        if let Some(mut link) = self.link.take() {
            // A socket that is closed is out of the poll in any case.
            let _ = self.registry.deregister(&mut link.stream);
        }
    }

    fn link_failed(&mut self, now_ms: u64, error: &io::Error) {
        self.unlink();
        let text = error.to_string();
        let reason = text.split(" (os error").next().unwrap_or(&text);
        self.client.handle(now_ms, Input::LinkDown { errno: error.raw_os_error().unwrap_or(0), reason, tls: false });
    }

    /// The first such event says how the connect ended; later ones that there is room again.
    fn link_is_writable(&mut self, now_ms: u64, turn: &mut Turn) {
        let Some(link) = &mut self.link else { return };
        if link.is_up {
            link.is_writable = true;
            return;
        }
        match connect_outcome(&link.stream) {
            None => {}
            Some(Ok(())) => {
                link.is_up = true;
                link.is_writable = true;
                self.client.handle(now_ms, Input::LinkUp);
            }
            Some(Err(error)) => self.link_failed(now_ms, &error),
        }
        self.drain(now_ms, turn);
    }

    /// Asks a resolver on a thread of its own: names can take long.
    fn resolve(&mut self, hosts: Vec<HostPort>) {
        self.is_resolving = true;
        let inbox = Arc::clone(&self.inbox);
        let resolver = Arc::clone(&self.resolver);
        let unresolved = vec![Vec::new(); hosts.len()];
        let work = move || {
            let addresses = hosts.iter().map(|host| resolver.resolve(host).unwrap_or_default()).collect();
            inbox.push(Incoming::Resolved(addresses));
        };
        if std::thread::Builder::new().name("zk-dns".to_string()).spawn(work).is_err() {
            self.inbox.push(Incoming::Resolved(unresolved));
        }
    }

    /// The other connection, which asks for read-write servers.
    fn drive_probe(&mut self, now_ms: u64, turn: &mut Turn) {
        let Some(probe) = &mut self.probe else { return };
        let is_ready = std::mem::take(&mut turn.is_probe_ready);
        let outcome = if is_ready { probe.step(&mut turn.buffer) } else { None };
        let is_read_write = match outcome {
            Some(is_read_write) => is_read_write,
            None if now_ms >= probe.deadline_ms => false,
            None => return,
        };
        self.probe = None;
        self.client.handle(now_ms, Input::Probed { is_read_write });
        self.drain(now_ms, turn);
    }
}

impl Probe {
    /// Goes on as far as the socket lets it; the answer when it is there, or when there will be none.
    fn step(&mut self, buffer: &mut [u8]) -> Option<bool> {
        if !self.is_asked {
            match connect_outcome(&self.stream)? {
                Ok(()) => {}
                Err(_) => return Some(false),
            }
            match self.stream.write(b"isro") {
                Ok(4) => self.is_asked = true,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return None,
                _ => return Some(false),
            }
        }
        loop {
            match self.stream.read(buffer) {
                // `rw`, `ro` or `null`, and the end.
                Ok(0) => return Some(self.answer == b"rw"),
                Ok(count) => {
                    self.answer.extend_from_slice(&buffer[..count.min(8)]);
                    if self.answer.len() >= 2 {
                        return Some(self.answer == b"rw");
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return None,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Some(false),
            }
        }
    }
}

/// How a connect ended; `None` while it goes on.
fn connect_outcome(stream: &Stream) -> Option<io::Result<()>> {
    match stream.take_error() {
        Ok(Some(error)) | Err(error) => return Some(Err(error)),
        Ok(None) => {}
    }
    match stream.peer_address() {
        Ok(_) => Some(Ok(())),
        Err(error) if error.kind() == ErrorKind::NotConnected => None,
        Err(error) => Some(Err(error)),
    }
}
