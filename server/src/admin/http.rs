//! A small HTTP/1.1 server: connections, deadlines, limits, the framing of requests and answers.
//!
//! It knows no ZooKeeper: what a request is answered with is the [`Handler`]'s affair. Each connection has a
//! thread, and there are at most [`MOST_CONNECTIONS`]. Nobody can pin one: the head of a request has
//! [`HEAD_TIME`] in all, a body and an answer have a least rate, and when all places are taken the connection
//! that has been idle longest makes room. The parsing of heads is `httparse`'s; there is no TLS here.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use log::{debug, warn};

use crate::four_letter::date::{Civil, MONTHS, WEEKDAYS};

/// Connections at the same time. Operators, probes and scrapers are few.
pub const MOST_CONNECTIONS: usize = 64;
/// The longest head of a request, bytes; Jetty has 8 KB.
const LONGEST_HEAD_BYTES: usize = 16 << 10;
/// The most fields of a head.
const MOST_FIELDS: usize = 64;
/// How long a head may take from its first byte on.
const HEAD_TIME: Duration = Duration::from_secs(10);
/// How long a body may take, unless the handler grants more.
const BODY_TIME: Duration = Duration::from_secs(30);
/// How long an answer may take; longer ones are allowed so much more as this rate gives.
const ANSWER_TIME: Duration = Duration::from_secs(60);
const LEAST_BYTES_PER_SECOND: u64 = 64 << 10;
/// What is left of a body that nobody asked for is read up to here, so that the connection can go on.
const DRAINED_BYTES: usize = 64 << 10;
/// Bytes written at once.
const PIECE_BYTES: usize = 64 << 10;
/// Requests on one connection.
const MOST_REQUESTS: usize = 10_000;

/// What a request line and the fields say.
#[derive(Clone, Debug)]
pub struct Request {
    /// In capitals.
    pub method: String,
    /// Decoded; begins with a slash.
    pub path: String,
    /// Keys and values of the query, decoded, in order.
    pub query: Vec<(String, String)>,
    /// Names in small letters, and values.
    fields: Vec<(String, String)>,
    /// The other end of the connection, never what a field claims. IPv4 in IPv6 is shown as IPv4.
    pub peer: SocketAddr,
}

impl Request {
    /// The first field of this name, given in small letters.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The first value of this key of the query.
    #[must_use]
    pub fn parameter(&self, key: &str) -> Option<&str> {
        self.query.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str())
    }
}

/// What an answer carries.
#[derive(Debug)]
pub enum Content {
    /// These bytes.
    Bytes(Vec<u8>),
    /// So many bytes of a file, from its beginning.
    File(File, u64),
}

/// An answer. Fields that every answer has (`Date`, `Content-Length`, those for safety) are added to it.
#[derive(Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// More fields. A name that is given here is not added by itself.
    pub fields: Vec<(&'static str, String)>,
    /// The body.
    pub content: Content,
}

impl Response {
    /// A text of this type.
    pub fn text(status: u16, content_type: &str, text: impl Into<Vec<u8>>) -> Self {
        Self { status, fields: vec![("Content-Type", content_type.to_owned())], content: Content::Bytes(text.into()) }
    }

    /// No body.
    pub fn empty(status: u16) -> Self {
        Self { status, fields: Vec::new(), content: Content::Bytes(Vec::new()) }
    }

    /// A page that says what is wrong. `message` must not come from the request: it is not escaped.
    pub fn failure(status: u16, message: &str) -> Self {
        let reason = reason(status);
        let page =
            format!("<!doctype html><html lang=\"en\"><title>{status} {reason}</title><h1>{status} {reason}</h1><p>{message}</p></html>\n");
        Self::text(status, "text/html;charset=utf-8", page)
    }

    /// With one more field. What would break the head is left out of the value.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        let value: String = value.into();
        self.fields.push((name, value.chars().filter(|character| !character.is_control()).collect()));
        self
    }
}

/// Answers requests. Called by many threads.
pub trait Handler: Send + Sync + 'static {
    /// The answer to a request. `body` is empty if the request has none.
    fn handle(&self, request: &Request, body: &mut Body<'_, '_>) -> Response;
}

/// Listens on an address.
///
/// # Errors
/// What the system says, above all that the port is in use.
pub fn bind(address: Option<IpAddr>, port: u16) -> io::Result<TcpListener> {
    match address {
        Some(address) => TcpListener::bind(SocketAddr::new(address, port)),
        // Both kinds of addresses with one socket, as Java does; without IPv6 the other.
        None => match TcpListener::bind(SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port)) {
            Err(error) if error.kind() != io::ErrorKind::AddrInUse && error.kind() != io::ErrorKind::PermissionDenied => {
                TcpListener::bind(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port))
            }
            bound => bound,
        },
    }
}

/// Serves on a listener until the process ends; does not return.
pub fn serve(listener: &TcpListener, idle_time: Duration, handler: &Arc<dyn Handler>) {
    let places = Arc::new(Places::default());
    loop {
        let (stream, peer) = match listener.accept() {
            Ok(accepted) => accepted,
            Err(error) => {
                // Most likely no file descriptors are left: waiting is all that helps.
                debug!("HTTP: no connection could be taken: {error}");
                std::thread::sleep(Duration::from_millis(50));
                continue;
            }
        };
        let Ok(place) = Place::take(&places, &stream) else {
            debug!("HTTP: all {MOST_CONNECTIONS} connections are busy, {peer} is refused");
            let _ = stream.set_nonblocking(true);
            let _ = (&stream).write(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            continue;
        };
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        let handler = handler.clone();
        let spawned = std::thread::Builder::new().name("admin".to_owned()).stack_size(1 << 20).spawn(move || {
            let mut wire = Wire { stream: &stream, buffer: Vec::new(), idle_time };
            if let Err(error) = converse(&mut wire, peer, &place, &*handler) {
                debug!("HTTP: the connection of {peer} ends: {error}");
            }
            drop(place);
        });
        if let Err(error) = spawned {
            warn!("HTTP: no thread for a connection: {error}");
        }
    }
}

/// The connections there are.
#[derive(Default)]
struct Places(Mutex<Table>);

#[derive(Default)]
struct Table {
    next: u64,
    taken: HashMap<u64, (TcpStream, Option<Instant>)>,
}

impl Places {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One of them; given back when dropped.
struct Place {
    places: Arc<Places>,
    number: u64,
}

impl Place {
    /// Takes a place, at the cost of the connection that has been idle longest if there is no free one.
    fn take(places: &Arc<Places>, stream: &TcpStream) -> io::Result<Self> {
        let mut table = places.table();
        if table.taken.len() >= MOST_CONNECTIONS {
            let idle = table.taken.iter().filter_map(|(number, (_, since))| Some((*since.as_ref()?, *number))).min();
            let (_, number) = idle.ok_or(io::ErrorKind::ResourceBusy)?;
            if let Some((stream, _)) = table.taken.remove(&number) {
                let _ = stream.shutdown(Shutdown::Both);
            }
        }
        let number = table.next;
        table.next += 1;
        table.taken.insert(number, (stream.try_clone()?, Some(Instant::now())));
        Ok(Self { places: places.clone(), number })
    }

    /// Notes whether the connection waits for a request, as it does until the whole head of one is there.
    fn set_idle(&self, idle: bool) {
        if let Some((_, since)) = self.places.table().taken.get_mut(&self.number) {
            *since = idle.then(Instant::now);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.table().taken.remove(&self.number);
    }
}

/// A socket with what was read of it and not yet used.
struct Wire<'a> {
    stream: &'a TcpStream,
    buffer: Vec<u8>,
    idle_time: Duration,
}

impl Wire<'_> {
    /// Reads more; false at the end of the stream.
    fn fill(&mut self, deadline: Instant) -> io::Result<bool> {
        let left = deadline.saturating_duration_since(Instant::now()).min(self.idle_time);
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.stream.set_read_timeout(Some(left))?;
        let mut piece = [0; 16 << 10];
        loop {
            match self.stream.read(&mut piece) {
                Ok(count) => {
                    self.buffer.extend_from_slice(&piece[..count]);
                    return Ok(count > 0);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(io::ErrorKind::TimedOut.into()),
                Err(error) => return Err(error),
            }
        }
    }

    fn send(&mut self, bytes: &[u8], deadline: Instant) -> io::Result<()> {
        for piece in bytes.chunks(PIECE_BYTES) {
            let mut left = piece;
            while !left.is_empty() {
                let time = deadline.saturating_duration_since(Instant::now()).min(self.idle_time);
                if time.is_zero() {
                    return Err(io::ErrorKind::TimedOut.into());
                }
                self.stream.set_write_timeout(Some(time))?;
                match self.stream.write(left) {
                    Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                    Ok(count) => left = &left[count..],
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }
}

/// A head, and what frames the body behind it.
struct Head {
    request: Request,
    framing: Framing,
    keep_alive: bool,
    expects_continue: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    /// So many bytes are left.
    Length(u64),
    /// A chunk's size is next; whether the end of a chunk comes first.
    ChunkSize { after_chunk: bool },
    /// So many bytes of a chunk are left.
    Chunk(u64),
    /// The body is over.
    Done,
}

/// Takes requests and answers them until one side has enough.
fn converse(wire: &mut Wire<'_>, peer: SocketAddr, place: &Place, handler: &dyn Handler) -> io::Result<()> {
    wire.stream.set_nodelay(true)?;
    for _ in 0..MOST_REQUESTS {
        place.set_idle(true);
        if wire.buffer.is_empty() {
            match wire.fill(Instant::now() + wire.idle_time) {
                Ok(true) => {}
                Ok(false) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::TimedOut => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        let head = match read_head(wire, peer, Instant::now() + HEAD_TIME)? {
            Ok(head) => head,
            Err(status) => {
                answer(wire, Response::failure(status, "The request cannot be understood."), false, false)?;
                return hang_up(wire);
            }
        };
        place.set_idle(false);
        let is_head = head.request.method == "HEAD";
        let mut body = Body { wire, framing: head.framing, expects_continue: head.expects_continue, deadline: Instant::now() + BODY_TIME };
        let response = handler.handle(&head.request, &mut body);
        let keep_alive = head.keep_alive && body.drain();
        answer(wire, response, is_head, keep_alive)?;
        if !keep_alive {
            return hang_up(wire);
        }
    }
    Ok(())
}

/// Closes in a way that lets the other side read the answer: what it still sends is thrown away for a
/// moment, else the system would answer it with a reset.
fn hang_up(wire: &mut Wire<'_>) -> io::Result<()> {
    wire.stream.shutdown(Shutdown::Write)?;
    let deadline = Instant::now() + Duration::from_secs(1);
    for _ in 0..64 {
        wire.buffer.clear();
        if !wire.fill(deadline)? {
            break;
        }
    }
    Ok(())
}

/// Reads a head; the inner error is the status to refuse it with.
fn read_head(wire: &mut Wire<'_>, peer: SocketAddr, deadline: Instant) -> io::Result<Result<Head, u16>> {
    loop {
        match parse_head(&wire.buffer, peer) {
            Ok(Some((head, length))) => {
                wire.buffer.drain(..length);
                return Ok(Ok(head));
            }
            Ok(None) if wire.buffer.len() >= LONGEST_HEAD_BYTES => return Ok(Err(431)),
            Ok(None) => {}
            Err(status) => return Ok(Err(status)),
        }
        match wire.fill(deadline) {
            Ok(true) => {}
            Ok(false) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => return Ok(Err(408)),
            Err(error) => return Err(error),
        }
    }
}

/// A head and its length, `None` if it is not all there, or the status to refuse it with.
fn parse_head(bytes: &[u8], peer: SocketAddr) -> Result<Option<(Head, usize)>, u16> {
    let mut fields = [httparse::EMPTY_HEADER; MOST_FIELDS];
    let mut parsed = httparse::Request::new(&mut fields);
    let length = match parsed.parse(bytes) {
        Ok(httparse::Status::Complete(length)) if length <= LONGEST_HEAD_BYTES => length,
        Ok(httparse::Status::Complete(_)) | Err(httparse::Error::TooManyHeaders) => return Err(431),
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::Version) => return Err(505),
        Err(_) => return Err(400),
    };
    let (Some(method), Some(target), Some(version)) = (parsed.method, parsed.path, parsed.version) else { return Err(400) };
    let fields: Vec<(String, String)> = parsed
        .headers
        .iter()
        .map(|field| (field.name.to_ascii_lowercase(), String::from_utf8_lossy(field.value).trim().to_owned()))
        .collect();
    let all = |name: &'static str| fields.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str());
    // Two lengths, or a length and chunks, are how requests are smuggled.
    let framing = match (all("content-length").collect::<Vec<_>>().as_slice(), all("transfer-encoding").collect::<Vec<_>>().as_slice()) {
        ([], []) => Framing::Done,
        ([length], []) if length.bytes().all(|byte| byte.is_ascii_digit()) => match length.parse::<u64>() {
            Ok(0) => Framing::Done,
            Ok(length) => Framing::Length(length),
            Err(_) => return Err(400),
        },
        ([], [coding]) if coding.eq_ignore_ascii_case("chunked") => Framing::ChunkSize { after_chunk: false },
        ([], [_]) => return Err(501),
        _ => return Err(400),
    };
    if version == 1 && all("host").count() != 1 {
        return Err(400);
    }
    let says = |word: &str| all("connection").any(|value| value.split(',').any(|part| part.trim().eq_ignore_ascii_case(word)));
    let keep_alive = if version == 1 { !says("close") } else { says("keep-alive") };
    let expects_continue = version == 1 && all("expect").any(|value| value.eq_ignore_ascii_case("100-continue"));
    let (path, query) = split_target(target).ok_or(400u16)?;
    let request = Request { method: method.to_owned(), path, query, fields, peer };
    Ok(Some((Head { request, framing, keep_alive, expects_continue }, length)))
}

type Query = Vec<(String, String)>;

/// Path and query of a target, decoded.
fn split_target(target: &str) -> Option<(String, Query)> {
    let relative = match target.strip_prefix("http://").or_else(|| target.strip_prefix("https://")) {
        // The form that proxies are sent.
        Some(rest) => rest.find('/').map_or("/", |slash| &rest[slash..]),
        None => target,
    };
    let relative = relative.split('#').next().unwrap_or_default();
    let (path, query) = relative.split_once('?').unwrap_or((relative, ""));
    let query = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((decode(key, true)?, decode(value, true)?))
        })
        .collect::<Option<_>>()?;
    Some((decode(path, false)?, query))
}

/// Takes `%41` for `A`, and in a query `+` for a blank. `None` if that is no text.
fn decode(text: &str, plus_is_blank: bool) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
                let (high, low) = (digit(rest.next())?, digit(rest.next())?);
                (high * 16 + low) as u8
            }
            b'+' if plus_is_blank => b' ',
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

/// The body of a request, read as it comes.
pub struct Body<'a, 'w> {
    wire: &'a mut Wire<'w>,
    framing: Framing,
    expects_continue: bool,
    deadline: Instant,
}

impl Body<'_, '_> {
    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.framing == Framing::Done
    }

    /// Grants more time than a body has by itself, counted from now.
    pub fn allow(&mut self, time: Duration) {
        self.deadline = Instant::now() + time;
    }

    /// All of it, if it has no more bytes than this.
    ///
    /// # Errors
    /// [`io::ErrorKind::FileTooLarge`] if it is longer, or what the connection says.
    pub fn read_all(&mut self, most_bytes: usize) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.take(most_bytes as u64 + 1).read_to_end(&mut bytes)?;
        if bytes.len() > most_bytes { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(bytes) }
    }

    /// Throws away what is left; false if that is too much, and the connection cannot go on.
    fn drain(&mut self) -> bool {
        // Whoever waits for our permission to send has not sent.
        if self.is_empty() || self.expects_continue {
            return self.is_empty();
        }
        let drained = io::copy(&mut self.by_ref().take(DRAINED_BYTES as u64), &mut io::sink());
        drained.is_ok() && self.is_empty()
    }

    fn line(&mut self) -> io::Result<Vec<u8>> {
        /// A chunk's size, its extensions, or a trailing field.
        const LONGEST_LINE_BYTES: usize = 4096;
        loop {
            if let Some(end) = self.wire.buffer.windows(2).position(|pair| pair == b"\r\n") {
                let line = self.wire.buffer.drain(..end + 2).take(end).collect();
                return Ok(line);
            }
            if self.wire.buffer.len() > LONGEST_LINE_BYTES {
                return Err(io::ErrorKind::InvalidData.into());
            }
            self.fill()?;
        }
    }

    fn fill(&mut self) -> io::Result<()> {
        if self.wire.fill(self.deadline)? { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    /// Goes on to the bytes of the next chunk, or to the end.
    fn next_chunk(&mut self, after_chunk: bool) -> io::Result<()> {
        if after_chunk && !self.line()?.is_empty() {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let line = self.line()?;
        let digits = line.split(|byte| *byte == b';').next().unwrap_or_default();
        let size = std::str::from_utf8(digits).ok().map(str::trim).filter(|text| text.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let size = size.and_then(|text| u64::from_str_radix(text, 16).ok()).ok_or(io::ErrorKind::InvalidData)?;
        if size > 0 {
            self.framing = Framing::Chunk(size);
            return Ok(());
        }
        // Trailing fields say nothing that anybody here wants to know.
        for _ in 0..MOST_FIELDS {
            if self.line()?.is_empty() {
                self.framing = Framing::Done;
                return Ok(());
            }
        }
        Err(io::ErrorKind::InvalidData.into())
    }
}

impl Read for Body<'_, '_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if std::mem::take(&mut self.expects_continue) {
            self.wire.send(b"HTTP/1.1 100 Continue\r\n\r\n", self.deadline)?;
        }
        loop {
            match self.framing {
                Framing::Done => return Ok(0),
                Framing::ChunkSize { after_chunk } => self.next_chunk(after_chunk)?,
                Framing::Length(left) | Framing::Chunk(left) => {
                    if out.is_empty() {
                        return Ok(0);
                    }
                    if self.wire.buffer.is_empty() {
                        self.fill()?;
                    }
                    let count = self.wire.buffer.len().min(out.len()).min(usize::try_from(left).unwrap_or(usize::MAX));
                    out[..count].copy_from_slice(&self.wire.buffer[..count]);
                    self.wire.buffer.drain(..count);
                    let left = left - count as u64;
                    self.framing = match self.framing {
                        Framing::Length(_) if left == 0 => Framing::Done,
                        Framing::Length(_) => Framing::Length(left),
                        _ if left == 0 => Framing::ChunkSize { after_chunk: true },
                        _ => Framing::Chunk(left),
                    };
                    return Ok(count);
                }
            }
        }
    }
}

/// Fields for safety, which every answer has: nothing here is to be guessed at, framed, kept, or told to others.
const SAFE_FIELDS: &[(&str, &str)] = &[
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "no-referrer"),
    ("Cache-Control", "no-store"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"),
];

fn answer(wire: &mut Wire<'_>, response: Response, is_head: bool, keep_alive: bool) -> io::Result<()> {
    let Response { status, fields, content } = response;
    let length = match &content {
        Content::Bytes(bytes) => bytes.len() as u64,
        Content::File(_, length) => *length,
    };
    let mut head = format!("HTTP/1.1 {status} {}\r\nDate: {}\r\n", reason(status), http_date(SystemTime::now()));
    let given = |name: &str| fields.iter().any(|(known, _)| known.eq_ignore_ascii_case(name));
    for (name, value) in
        fields.iter().map(|(name, value)| (*name, value.as_str())).chain(SAFE_FIELDS.iter().filter(|(name, _)| !given(name)).copied())
    {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!("Content-Length: {length}\r\n"));
    if !keep_alive {
        head.push_str("Connection: close\r\n");
    }
    head.push_str("\r\n");
    let deadline = Instant::now() + ANSWER_TIME + Duration::from_secs(length / LEAST_BYTES_PER_SECOND);
    let mut head = head.into_bytes();
    match content {
        _ if is_head => wire.send(&head, deadline),
        Content::Bytes(bytes) if bytes.len() <= PIECE_BYTES => {
            head.extend_from_slice(&bytes);
            wire.send(&head, deadline)
        }
        Content::Bytes(bytes) => {
            wire.send(&head, deadline)?;
            wire.send(&bytes, deadline)
        }
        Content::File(mut file, length) => {
            wire.send(&head, deadline)?;
            let mut piece = vec![0; PIECE_BYTES];
            let mut left = length;
            while left > 0 {
                let wanted = piece.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                file.read_exact(&mut piece[..wanted])?;
                wire.send(&piece[..wanted], deadline)?;
                left -= wanted as u64;
            }
            Ok(())
        }
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        204 => "No Content",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        413 => "Content Too Large",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Server Error",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}

/// `Mon, 23 Nov 2026 04:43:36 GMT`.
fn http_date(at: SystemTime) -> String {
    let seconds = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs() as i64;
    let Civil { year, month, day, weekday, hour, minute, second } = Civil::from_epoch_seconds(seconds);
    let (weekday, month) = (WEEKDAYS[weekday as usize], MONTHS[month as usize - 1]);
    format!("{weekday}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT")
}
