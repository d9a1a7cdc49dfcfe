//! A bare server with ZooKeeper's framing: what this machine allows at most.
//!
//! It has no tree. Each request is answered with a reply of the right form and a fixed size; a write's bytes are
//! appended to a log, and one fdatasync per round of events covers them before any reply of that round leaves. The log
//! is overwritten in place in a file that was filled with zeros at the start, which is the cheapest durable append a
//! disk offers. One thread, one poll. It is a yardstick and not a server: nothing is checked.

use crate::frame::{FrameWriter, NOTIFICATION_XID, op};
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const LISTENER: Token = Token(usize::MAX);
const LOG_BYTES: u64 = 64 << 20;
const READ_BYTES: usize = 256 * 1024;
/// Children in the answer to getChildren, and bytes of data in the answer to getData: those of the workloads.
pub const CHILDREN: usize = 10_000;
pub const DATA_BYTES: usize = 100;

/// The server; `run` serves until told to stop.
pub struct Echo {
    poll: Poll,
    listener: TcpListener,
    log: Log,
    clients: Vec<Option<Client>>,
    free: Vec<usize>,
    /// Clients whose getData asked for a watch; the next setData tells them all.
    watchers: Vec<usize>,
    zxid: i64,
    sessions: i64,
    children: Vec<u8>,
}

struct Client {
    stream: TcpStream,
    /// The beginning of a frame that has not arrived whole.
    partial: Vec<u8>,
    out: Vec<u8>,
    written: usize,
    connected: bool,
    closing: bool,
    dirty: bool,
}

impl Echo {
    /// Listens and prepares the log in `directory`.
    pub fn bind(address: SocketAddr, directory: &Path) -> io::Result<Self> {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(16 * 1024)?;
        let mut listener = TcpListener::from_std(socket.into());
        let poll = Poll::new()?;
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        let mut children = Vec::new();
        let mut writer = FrameWriter::bare(&mut children);
        writer.int(CHILDREN as i32);
        for child in 0..CHILDREN {
            writer.bytes(format!("n{child:08}").as_bytes());
        }
        Ok(Self {
            poll,
            listener,
            log: Log::create(directory)?,
            clients: Vec::new(),
            free: Vec::new(),
            watchers: Vec::new(),
            zxid: 0,
            sessions: 0,
            children: children.split_off(4),
        })
    }

    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `stop` is set (looked at several times a second).
    pub fn run(mut self, stop: &Arc<AtomicBool>) -> io::Result<()> {
        let mut events = Events::with_capacity(1024);
        let mut buffer = vec![0; READ_BYTES];
        let mut dirty = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            match self.poll.poll(&mut events, Some(Duration::from_millis(200))) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other?,
            }
            for event in &events {
                match event.token() {
                    LISTENER => self.accept()?,
                    Token(index) => self.read(index, event.is_read_closed(), &mut buffer, &mut dirty),
                }
            }
            self.log.sync()?;
            for index in dirty.drain(..) {
                self.flush(index);
            }
        }
        Ok(())
    }

    fn accept(&mut self) -> io::Result<()> {
        loop {
            let mut stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                // Out of descriptors or the peer gone: the next event tries again.
                Err(_) => return Ok(()),
            };
            let _ = stream.set_nodelay(true);
            let index = self.free.pop().unwrap_or_else(|| {
                self.clients.push(None);
                self.clients.len() - 1
            });
            self.poll.registry().register(&mut stream, Token(index), Interest::READABLE | Interest::WRITABLE)?;
            self.clients[index] =
                Some(Client { stream, partial: Vec::new(), out: Vec::new(), written: 0, connected: false, closing: false, dirty: false });
        }
    }

    fn read(&mut self, index: usize, ended: bool, buffer: &mut [u8], dirty: &mut Vec<usize>) {
        loop {
            let Some(client) = &mut self.clients[index] else {
                return;
            };
            let count = match client.stream.read(buffer) {
                Ok(0) => return self.drop_client(index),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => return self.drop_client(index),
            };
            let mut partial = std::mem::take(&mut client.partial);
            let rest = if partial.is_empty() {
                let used = self.frames(index, &buffer[..count], dirty);
                partial.extend_from_slice(&buffer[used..count]);
                partial
            } else {
                partial.extend_from_slice(&buffer[..count]);
                let used = self.frames(index, &partial, dirty);
                partial.drain(..used);
                partial
            };
            if let Some(client) = &mut self.clients[index] {
                client.partial = rest;
            }
            // An end that has come already makes no further edge.
            if count < buffer.len() && !ended {
                break;
            }
        }
        if let Some(client) = &mut self.clients[index]
            && !client.out.is_empty()
            && !client.dirty
        {
            client.dirty = true;
            dirty.push(index);
        }
    }

    /// Answers every whole frame in `bytes`; returns how many bytes they took.
    fn frames(&mut self, index: usize, bytes: &[u8], dirty: &mut Vec<usize>) -> usize {
        let mut used = 0;
        while let Some(head) = bytes.get(used..used + 4) {
            let length = u32::from_be_bytes(head.try_into().expect("4 bytes")) as usize;
            let Some(frame) = bytes.get(used + 4..used + 4 + length) else {
                break;
            };
            self.answer(index, frame, dirty);
            used += 4 + length;
        }
        used
    }

    fn answer(&mut self, index: usize, frame: &[u8], dirty: &mut Vec<usize>) {
        let Some(client) = &mut self.clients[index] else {
            return;
        };
        let mut out = std::mem::take(&mut client.out);
        if !client.connected {
            client.connected = true;
            self.sessions += 1;
            // A session is a transaction too.
            self.log.append(frame);
            let timeout_ms = frame.get(12..16).map_or(30_000, |field| i32::from_be_bytes(field.try_into().expect("4")));
            FrameWriter::bare(&mut out).int(0).int(timeout_ms).long(self.sessions).bytes(&[0; 16]).byte(0).end();
        } else if frame.len() >= 8 {
            let xid = i32::from_be_bytes(frame[..4].try_into().expect("4"));
            let operation = i32::from_be_bytes(frame[4..8].try_into().expect("4"));
            if matches!(operation, op::CREATE | op::SET_DATA | op::MULTI | op::CLOSE_SESSION) {
                self.zxid += 1;
                self.log.append(frame);
            }
            client.closing = operation == op::CLOSE_SESSION;
            if operation == op::GET_DATA && frame.last() == Some(&1) {
                self.watchers.push(index);
            }
            let unknown = !matches!(
                operation,
                op::CREATE | op::SET_DATA | op::MULTI | op::CLOSE_SESSION | op::PING | op::EXISTS | op::GET_DATA | op::GET_CHILDREN
            );
            let mut writer = FrameWriter::bare(&mut out);
            writer.int(xid).long(self.zxid).int(if unknown { -6 } else { 0 });
            match operation {
                op::CREATE => {
                    let length = u32::from_be_bytes(frame[8..12].try_into().expect("4")) as usize;
                    writer.bytes(&frame[12..12 + length]);
                }
                op::EXISTS | op::SET_DATA => stat(&mut writer),
                op::GET_DATA => {
                    writer.bytes(&[b'x'; DATA_BYTES]);
                    stat(&mut writer);
                }
                op::GET_CHILDREN => {
                    writer.raw(&self.children);
                }
                op::MULTI => {
                    for _ in 0..operations_of(&frame[8..]) {
                        writer.int(op::SET_DATA).byte(0).int(0);
                        stat(&mut writer);
                    }
                    writer.multi_header(-1, true);
                }
                _ => {}
            }
            writer.end();
            if operation == op::SET_DATA && !self.watchers.is_empty() {
                self.tell(frame, dirty);
            }
        }
        if let Some(client) = &mut self.clients[index] {
            // `tell` may have put the writer's own event there; the order of the two does not matter here.
            let event = std::mem::replace(&mut client.out, out);
            client.out.extend_from_slice(&event);
        }
    }

    fn tell(&mut self, frame: &[u8], dirty: &mut Vec<usize>) {
        let length = u32::from_be_bytes(frame[8..12].try_into().expect("4")) as usize;
        let mut event = Vec::new();
        FrameWriter::bare(&mut event).int(NOTIFICATION_XID).long(self.zxid).int(0).int(3).int(3).bytes(&frame[12..12 + length]).end();
        for watcher in std::mem::take(&mut self.watchers) {
            if let Some(client) = &mut self.clients[watcher] {
                client.out.extend_from_slice(&event);
                if !client.dirty {
                    client.dirty = true;
                    dirty.push(watcher);
                }
            }
        }
    }

    fn flush(&mut self, index: usize) {
        let Some(client) = &mut self.clients[index] else {
            return;
        };
        client.dirty = false;
        while client.written < client.out.len() {
            match client.stream.write(&client.out[client.written..]) {
                Ok(count) => client.written += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return self.drop_client(index),
            }
        }
        client.out.clear();
        client.written = 0;
        if client.closing {
            self.drop_client(index);
        }
    }

    fn drop_client(&mut self, index: usize) {
        if self.clients[index].take().is_some() {
            self.free.push(index);
            self.watchers.retain(|watcher| *watcher != index);
        }
    }
}

fn stat(writer: &mut FrameWriter<'_>) {
    writer.raw(&[0; 68]);
}

/// How many operations a multi holds, if all are setData: each is a header of 9 bytes, path, data and version.
fn operations_of(mut body: &[u8]) -> usize {
    let mut count = 0;
    while body.len() > 9 && body[4] == 0 {
        body = &body[9..];
        for _ in 0..2 {
            let length = u32::from_be_bytes(body[..4].try_into().expect("4")) as usize;
            body = &body[4 + length..];
        }
        body = &body[4..];
        count += 1;
    }
    count
}

/// The log: a file of zeros overwritten round and round.
struct Log {
    file: File,
    at: u64,
    waiting: Vec<u8>,
}

impl Log {
    fn create(directory: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(directory)?;
        let mut file = File::create(directory.join("echo.log"))?;
        let zeros = vec![0; 1 << 20];
        for _ in 0..LOG_BYTES >> 20 {
            file.write_all(&zeros)?;
        }
        file.sync_all()?;
        file.rewind()?;
        Ok(Self { file, at: 0, waiting: Vec::new() })
    }

    fn append(&mut self, record: &[u8]) {
        self.waiting.extend_from_slice(record);
    }

    fn sync(&mut self) -> io::Result<()> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        if self.at + self.waiting.len() as u64 > LOG_BYTES {
            self.file.seek(SeekFrom::Start(0))?;
            self.at = 0;
        }
        self.file.write_all(&self.waiting)?;
        self.at += self.waiting.len() as u64;
        self.waiting.clear();
        self.file.sync_data()
    }
}
