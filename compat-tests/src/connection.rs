//! One raw client connection: bytes out, frames in, nothing automatic. No pings, no retries, no watches kept.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::wire::{Reader, Short, Writer, frame};

/// A connect request, every field free.
#[derive(Clone, Debug)]
pub struct Connect {
    pub protocol_version: i32,
    pub last_zxid_seen: i64,
    pub timeout_ms: i32,
    pub session: i64,
    pub password: Option<Vec<u8>>,
    /// `None`: the byte is left out, as clients before 3.4 did.
    pub read_only: Option<u8>,
}

impl Default for Connect {
    fn default() -> Connect {
        Connect { protocol_version: 0, last_zxid_seen: 0, timeout_ms: 30_000, session: 0, password: Some(vec![0; 16]), read_only: Some(0) }
    }
}

impl Connect {
    /// The frame, length included.
    pub fn frame(&self) -> Vec<u8> {
        let writer = Writer::new()
            .int(self.protocol_version)
            .long(self.last_zxid_seen)
            .int(self.timeout_ms)
            .long(self.session)
            .buffer(self.password.as_deref());
        let writer = match self.read_only {
            Some(byte) => writer.byte(byte),
            None => writer,
        };
        frame(&writer.bytes)
    }
}

/// The answer to a connect request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connected {
    pub protocol_version: i32,
    pub timeout_ms: i32,
    pub session: i64,
    pub password: Vec<u8>,
    /// What follows the password: nothing, or the read-only byte.
    pub rest: Vec<u8>,
}

impl Connected {
    /// Reads the payload of a connect response.
    ///
    /// # Errors
    /// `Short` if bytes are missing.
    pub fn parse(payload: &[u8]) -> Result<Connected, Short> {
        let mut reader = Reader::new(payload);
        Ok(Connected {
            protocol_version: reader.int()?,
            timeout_ms: reader.int()?,
            session: reader.long()?,
            password: reader.buffer()?.ok_or(Short)?.to_owned(),
            rest: reader.rest.to_owned(),
        })
    }
}

/// What came instead of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Silence {
    /// The server closed the connection, by end of stream or reset.
    Closed,
    /// Nothing within the time allowed.
    Timeout,
}

/// A socket and what has been read from it.
pub struct Connection {
    stream: TcpStream,
    inbox: Vec<u8>,
    read_up_to: usize,
}

impl Connection {
    /// Opens the socket; no byte is sent.
    ///
    /// # Errors
    /// The socket's.
    pub fn open(address: SocketAddr) -> io::Result<Connection> {
        let stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
        // Fails if the server has closed the connection already, which the first read will tell.
        let _ = stream.set_nodelay(true);
        Ok(Connection { stream, inbox: Vec::new(), read_up_to: 0 })
    }

    /// Sends bytes as they are. An error is left to be noticed by the next read, as a client would.
    pub fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    /// No more bytes from this side.
    pub fn shut_write(&mut self) {
        let _ = self.stream.shutdown(std::net::Shutdown::Write);
    }

    /// A second handle on the socket, for writing while another thread reads.
    ///
    /// # Errors
    /// The socket's.
    pub fn writer(&self) -> io::Result<TcpStream> {
        self.stream.try_clone()
    }

    /// The payload of the next frame.
    ///
    /// # Errors
    /// `Silence` if none comes within `patience`.
    pub fn receive(&mut self, patience: Duration) -> Result<Vec<u8>, Silence> {
        self.stream.set_read_timeout(Some(patience)).map_err(|_| Silence::Closed)?;
        loop {
            let waiting = &self.inbox[self.read_up_to..];
            if let Some(head) = waiting.first_chunk::<4>() {
                let length = u32::from_be_bytes(*head) as usize;
                if waiting.len() >= 4 + length {
                    let payload = waiting[4..4 + length].to_vec();
                    self.read_up_to += 4 + length;
                    return Ok(payload);
                }
            }
            self.inbox.drain(..self.read_up_to);
            self.read_up_to = 0;
            let mut chunk = [0; 65536];
            match self.stream.read(&mut chunk) {
                Ok(0) => return Err(Silence::Closed),
                Ok(count) => self.inbox.extend_from_slice(&chunk[..count]),
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock | ErrorKind::TimedOut => return Err(Silence::Timeout),
                    ErrorKind::Interrupted => {}
                    _ => return Err(Silence::Closed),
                },
            }
        }
    }

    /// Bytes received that do not make a whole frame.
    pub fn leftover(&self) -> &[u8] {
        &self.inbox[self.read_up_to..]
    }
}
