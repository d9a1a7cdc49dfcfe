//! The machine of one client with its socket, as both libraries have it: `single.rs` runs it in the application's
//! loop, `capi/mt` on a thread. Neither a lock nor a callback is known here.

use crate::engine::Interest;
use crate::handle::{StartOptions, now_ms};
use crate::resolve;
use oxkeeper_client::{Batch, Client, HostPort, Input, Level, Output};
use std::ffi::c_int;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

/// Bits of the header: `ZOOKEEPER_WRITE` and `ZOOKEEPER_READ`.
pub const WRITE: c_int = 1;
/// See [`WRITE`].
pub const READ: c_int = 2;

/// What is read from the socket at once, at first: most handles never need more.
const FIRST_READ_BYTES: usize = 4 << 10;

/// The same at most. The socket is asked again in the next round of the loop if there is more, so that a flood starves
/// nothing.
const MOST_READ_BYTES: usize = 64 << 10;

/// Where received bytes are put first. It grows with what comes.
pub struct Room(Vec<u8>);

impl Default for Room {
    fn default() -> Self {
        Self(vec![0; FIRST_READ_BYTES])
    }
}

/// How long a read-only probe may take for each of its steps: as the original.
const PROBE_STEP: Duration = Duration::from_secs(1);

/// What the machine asks for and what may block: the caller does it when nothing is locked, and tells the machine.
#[derive(Debug)]
pub enum Errand {
    /// Resolve these.
    Resolve(Vec<HostPort>),
    /// Ask this server whether it takes writes.
    Probe(SocketAddr),
}

/// What came of an errand.
#[derive(Debug)]
pub enum Found {
    /// Addresses of each host.
    Addresses(Vec<Vec<SocketAddr>>),
    /// Whether the server takes writes.
    IsReadWrite(bool),
}

impl Errand {
    /// Does it. It may take seconds.
    pub fn run(&self) -> Found {
        match self {
            Errand::Resolve(hosts) => Found::Addresses(hosts.iter().map(|host| resolve::one(host).unwrap_or_default()).collect()),
            Errand::Probe(address) => Found::IsReadWrite(probe(*address).unwrap_or(false)),
        }
    }
}

/// The machine and its socket.
pub struct Connection {
    /// The machine. After each call of it that may have made it want something: [`Connection::drain`].
    pub client: Client,
    link: Option<Link>,
    /// For callbacks, in order.
    pub happened: Batch,
    /// For the log, in order.
    pub lines: Vec<(Level, String)>,
    /// What has to be done outside, in order.
    pub errands: Vec<Errand>,
    /// The machine has closed the session.
    pub is_closed: bool,
    /// Addresses that are known already, for the next question.
    known: Option<Vec<Vec<SocketAddr>>>,
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

impl Connection {
    /// Nothing is connected before the first [`Input::Tick`].
    pub fn new(options: StartOptions) -> Self {
        Self {
            client: Client::new(now_ms(), options.client),
            link: None,
            happened: Batch::default(),
            lines: Vec::new(),
            errands: Vec::new(),
            is_closed: false,
            known: Some(options.addresses),
        }
    }

    /// Brings the machine what happened, and does what it asks for.
    pub fn handle(&mut self, input: Input<'_>) {
        self.client.handle(now_ms(), input);
        self.drain();
    }

    /// Brings the machine what an errand found.
    pub fn found(&mut self, found: Found) {
        match found {
            Found::Addresses(addresses) => self.handle(Input::Resolved(addresses)),
            Found::IsReadWrite(is_read_write) => self.handle(Input::Probed { is_read_write }),
        }
    }

    /// Does what the machine asks for, save what may block. It ends: an attempt to connect that fails at once is
    /// followed by a delay when all servers have been tried.
    pub fn drain(&mut self) {
        while let Some(output) = self.client.poll() {
            let Some(output) = self.happened.take_output(output) else { continue };
            match output {
                Output::Resolve(hosts) => match self.known.take_if(|known| known.len() == hosts.len()) {
                    Some(addresses) => self.client.handle(now_ms(), Input::Resolved(addresses)),
                    None => self.errands.push(Errand::Resolve(hosts.to_vec())),
                },
                Output::Connect(address) => match connect(address) {
                    Ok(stream) => self.link = Some(Link { stream, is_connecting: true, frames: Frames::default() }),
                    Err(error) => self.tell_link_down(&error),
                },
                Output::Disconnect => self.link = None,
                Output::Probe(address) => self.errands.push(Errand::Probe(address)),
                Output::Log(level, text) => self.lines.push((level, text)),
                Output::Closed => self.is_closed = true,
                // Asked for only with options that are not set here.
                Output::StartTls(_) | Output::SaslStart(_) | Output::SaslToken(_) => {}
                // Taken above.
                Output::Completed(_) | Output::Watch(_) | Output::Session(_) => {}
            }
        }
    }

    fn tell_link_down(&mut self, error: &io::Error) {
        self.link = None;
        let errno = error.raw_os_error().unwrap_or(0);
        // As C says it, without Rust's "(os error ..)".
        let mut reason = error.to_string();
        if let Some(end) = reason.find(" (os error ") {
            reason.truncate(end);
        }
        self.client.handle(now_ms(), Input::LinkDown { errno, reason: &reason, tls: false });
    }

    fn link_down(&mut self, error: &io::Error) {
        self.tell_link_down(error);
        self.drain();
    }

    /// Whether there is a socket.
    pub fn has_link(&self) -> bool {
        self.link.is_some()
    }

    /// Whether the socket is still being connected.
    pub fn is_connecting(&self) -> bool {
        self.link.as_ref().is_some_and(|link| link.is_connecting)
    }

    /// Drops the socket without a word to the machine.
    pub fn drop_link(&mut self) {
        self.link = None;
    }

    /// Writes what the socket takes now, and leaves errors to whoever reads from it; whether all is written.
    pub fn write_some(&mut self) -> bool {
        let Some(link) = self.link.as_mut().filter(|link| !link.is_connecting) else { return false };
        while !self.client.unsent().is_empty() {
            match link.stream.write(self.client.unsent()) {
                Ok(count) => self.client.sent(now_ms(), count),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
        true
    }

    /// Writes what the socket takes.
    pub fn flush(&mut self) {
        while let Some(link) = self.link.as_mut().filter(|link| !link.is_connecting)
            && !self.client.unsent().is_empty()
        {
            match link.stream.write(self.client.unsent()) {
                Ok(count) => self.client.sent(now_ms(), count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => self.link_down(&error),
            }
        }
    }

    /// Asks whether the attempt to connect has succeeded, and tells the machine.
    pub fn finish_connecting(&mut self) {
        let Some(link) = &mut self.link else { return };
        match link.stream.take_error() {
            Ok(None) => {
                link.is_connecting = false;
                self.handle(Input::LinkUp);
            }
            Ok(Some(error)) | Err(error) => self.link_down(&error),
        }
    }

    /// Reads once, by way of `room`; how many messages came to their end.
    pub fn receive(&mut self, room: &mut Room) -> usize {
        let Some(link) = &mut self.link else { return 0 };
        match link.stream.read(&mut room.0) {
            Ok(0) => {
                self.link_down(&io::Error::new(io::ErrorKind::UnexpectedEof, "server closed the connection"));
                0
            }
            Ok(count) => {
                let messages = link.frames.count(&room.0[..count]);
                self.handle(Input::Received(&room.0[..count]));
                if count == room.0.len() && count < MOST_READ_BYTES {
                    room.0.resize(count * 4, 0);
                }
                messages
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => 0,
            Err(error) => {
                self.link_down(&error);
                0
            }
        }
    }

    /// What to wait for now.
    pub fn wanted(&self) -> Interest {
        let wait_ms = self.client.next_timer_ms().map_or(u64::from(u32::MAX), |due| due.saturating_sub(now_ms()));
        let Some(link) = &self.link else { return Interest { descriptor: -1, events: 0, wait_ms } };
        let writes = link.is_connecting || !self.client.unsent().is_empty();
        Interest { descriptor: link.stream.as_raw_fd(), events: READ | if writes { WRITE } else { 0 }, wait_ms }
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
