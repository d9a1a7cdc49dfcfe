//! Input of one connection: length-prefixed frames out of bytes.
//!
//! The socket is read into a buffer that all connections of a reactor share. Frames that came whole
//! are handed out where they lie; only the bytes of an incomplete frame, or those behind a stop,
//! are kept per connection. A length that was merely announced costs nothing.

use std::io::{self, ErrorKind, Read};
use std::ops::ControlFlow;

/// Bytes of a length.
const PREFIX: usize = 4;

/// An emptied buffer this small is kept; a larger one is given back.
const KEPT_CAPACITY: usize = 512;

/// Full shared buffers that one connection may take before the others have their turn.
const READS_PER_TURN: usize = 4;

/// Input of one connection. Idle, it holds no memory, or at most half a kilobyte.
#[derive(Debug, Default)]
pub struct ReadBuffer {
    kept: Vec<u8>,
    /// Bytes of `kept` that have been handed out. Not zero only after a stop.
    start: usize,
}

/// Why [`ReadBuffer::read_frames`] came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadOutcome {
    /// The socket is empty; an event will tell of more.
    WouldBlock,
    /// There may be more, and no event will tell: call again after the other connections' turn.
    More,
    /// The peer has closed its side. Bytes of an unfinished frame are lost.
    Closed,
    /// A length below zero or above the limit. Nothing after it can be understood.
    BadLength(i32),
    /// The callback stopped. Nothing is lost; no event will tell: call again when ready.
    Stopped,
}

/// What [`ReadBuffer::read_prefix`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prefix {
    /// That many bytes are there. More may be on the socket, and no event will tell.
    Ready,
    /// Not yet.
    WouldBlock,
    /// The peer has closed its side before.
    Closed,
}

enum Parsed {
    /// All of the input is used, or kept.
    All,
    Stopped,
    BadLength(i32),
}

impl ReadBuffer {
    /// Bytes held for this connection, and not only lent.
    pub fn held_bytes(&self) -> usize {
        self.kept.capacity()
    }

    /// Whether bytes are waiting that have not been handed out.
    pub fn is_empty(&self) -> bool {
        self.kept.len() == self.start
    }

    /// Reads until this many bytes of the connection's beginning are there, and not one more, for
    /// a caller that must look at them before they are taken for a length. Only before the first
    /// frame. Afterwards [`Self::prefix`] shows them; they are read as a length unless discarded.
    pub fn read_prefix(&mut self, stream: &mut impl Read, wanted: usize) -> io::Result<Prefix> {
        assert_eq!(self.start, 0, "a prefix is read before any frame");
        let mut small = [0; 16];
        while self.kept.len() < wanted {
            let most = small.len().min(wanted - self.kept.len());
            match read_some(stream, &mut small[..most])? {
                None => return Ok(Prefix::WouldBlock),
                Some(0) => return Ok(Prefix::Closed),
                Some(count) => self.kept.extend_from_slice(&small[..count]),
            }
        }
        Ok(Prefix::Ready)
    }

    /// The bytes that are kept.
    pub fn prefix(&self) -> &[u8] {
        &self.kept[self.start..]
    }

    /// Forgets what [`Self::prefix`] shows.
    pub fn discard_prefix(&mut self) {
        self.kept.clear();
        self.start = 0;
    }

    /// Reads what is there and hands out each whole frame without its length. First come frames
    /// that an earlier stop left behind.
    ///
    /// `shared` is scratch space (64 KiB or more; its content means nothing). `max_frame` is the
    /// longest frame in bytes that is let in. `peer_closed` is what the event said
    /// (`is_read_closed`): then, and only then, a short read does not end the reading.
    /// The callback's `Break` stops *after* its frame.
    pub fn read_frames(
        &mut self,
        stream: &mut impl Read,
        shared: &mut [u8],
        max_frame: usize,
        peer_closed: bool,
        mut each: impl FnMut(&[u8]) -> ControlFlow<()>,
    ) -> io::Result<ReadOutcome> {
        match self.take_kept(max_frame, &mut each) {
            Parsed::All => {}
            Parsed::Stopped => return Ok(ReadOutcome::Stopped),
            Parsed::BadLength(length) => return Ok(ReadOutcome::BadLength(length)),
        }
        for _ in 0..READS_PER_TURN {
            let count = match read_some(stream, shared)? {
                None => return Ok(ReadOutcome::WouldBlock),
                Some(0) => return Ok(ReadOutcome::Closed),
                Some(count) => count,
            };
            match self.take_bytes(&shared[..count], max_frame, &mut each) {
                Parsed::All => {}
                Parsed::Stopped => return Ok(ReadOutcome::Stopped),
                Parsed::BadLength(length) => return Ok(ReadOutcome::BadLength(length)),
            }
            // The socket gave less than there was room for, so it is empty: epoll(7) allows to
            // spare the read that would say so. The end of the stream does not show that way.
            if count < shared.len() && !peer_closed {
                return Ok(ReadOutcome::WouldBlock);
            }
        }
        Ok(ReadOutcome::More)
    }

    /// Hands out the whole frames among the kept bytes.
    fn take_kept(&mut self, max_frame: usize, each: &mut impl FnMut(&[u8]) -> ControlFlow<()>) -> Parsed {
        let (used, parsed) = split(&self.kept[self.start..], max_frame, each);
        self.start += used;
        if self.start == self.kept.len() {
            self.start = 0;
            self.empty();
        } else if matches!(parsed, Parsed::All) && self.start > 0 {
            // An incomplete frame is left; it alone stays. It is short beside what was kept.
            let rest = self.kept[self.start..].to_vec();
            (self.kept, self.start) = (rest, 0);
        }
        parsed
    }

    /// Takes bytes that just came; `start` is zero and what is kept is an incomplete frame.
    fn take_bytes(&mut self, mut bytes: &[u8], max_frame: usize, each: &mut impl FnMut(&[u8]) -> ControlFlow<()>) -> Parsed {
        if !self.kept.is_empty() {
            bytes = self.complete_length(bytes);
            let length = match length_at(&self.kept, max_frame) {
                None => return Parsed::All,
                Some(Err(length)) => return Parsed::BadLength(length),
                Some(Ok(length)) => length,
            };
            let (more, rest) = bytes.split_at(bytes.len().min(PREFIX + length - self.kept.len()));
            self.keep(more, PREFIX + length);
            if self.kept.len() < PREFIX + length {
                return Parsed::All;
            }
            let flow = each(&self.kept[PREFIX..]);
            self.empty();
            bytes = rest;
            if flow.is_break() {
                self.kept.extend_from_slice(bytes);
                return Parsed::Stopped;
            }
        }
        let (used, parsed) = split(bytes, max_frame, each);
        let rest = &bytes[used..];
        if !rest.is_empty() && !matches!(parsed, Parsed::BadLength(_)) {
            self.kept.reserve_exact(rest.len());
            self.kept.extend_from_slice(rest);
        }
        parsed
    }

    /// Moves what is missing of the length from `bytes` to the kept ones; gives what is left.
    fn complete_length<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let missing = PREFIX.saturating_sub(self.kept.len()).min(bytes.len());
        self.kept.extend_from_slice(&bytes[..missing]);
        &bytes[missing..]
    }

    /// Appends; the memory doubles, though never beyond the frame's `whole` length.
    fn keep(&mut self, more: &[u8], whole: usize) {
        let needed = self.kept.len() + more.len();
        if needed > self.kept.capacity() {
            let capacity = needed.max((self.kept.capacity() * 2).min(whole));
            self.kept.reserve_exact(capacity - self.kept.len());
        }
        self.kept.extend_from_slice(more);
    }

    fn empty(&mut self) {
        self.kept.clear();
        if self.kept.capacity() > KEPT_CAPACITY {
            self.kept = Vec::new();
        }
    }
}

/// Hands out whole frames; tells how many bytes they took and why it ended.
fn split(bytes: &[u8], max_frame: usize, each: &mut impl FnMut(&[u8]) -> ControlFlow<()>) -> (usize, Parsed) {
    let mut used = 0;
    loop {
        let rest = &bytes[used..];
        let length = match length_at(rest, max_frame) {
            None => return (used, Parsed::All),
            Some(Err(length)) => return (used, Parsed::BadLength(length)),
            Some(Ok(length)) => length,
        };
        let Some(frame) = rest.get(PREFIX..PREFIX + length) else { return (used, Parsed::All) };
        used += PREFIX + length;
        if each(frame).is_break() {
            return (used, Parsed::Stopped);
        }
    }
}

/// The length at the beginning, or the number that is none; `None` before four bytes are there.
#[inline]
fn length_at(bytes: &[u8], max_frame: usize) -> Option<Result<usize, i32>> {
    let announced = i32::from_be_bytes(*bytes.first_chunk::<PREFIX>()?);
    Some(usize::try_from(announced).ok().filter(|length| *length <= max_frame).ok_or(announced))
}

/// `None` where it would block.
fn read_some(stream: &mut impl Read, into: &mut [u8]) -> io::Result<Option<usize>> {
    loop {
        match stream.read(into) {
            Ok(count) => return Ok(Some(count)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
