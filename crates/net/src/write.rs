//! Output of one connection: encoded bytes that the socket has not taken yet.

use std::io::{self, ErrorKind, Write};

/// An emptied buffer this small is kept for the next answers; a larger one is given back.
const KEPT_CAPACITY: usize = 4096;

/// Sent bytes at the front are cut off when they are at least this many and half of all.
const COMPACT_FROM: usize = 64 * 1024;

/// Output of one connection. Unbounded: the caller compares [`Self::pending_bytes`] with its budget.
#[derive(Debug, Default)]
pub struct WriteBuffer {
    bytes: Vec<u8>,
    /// Bytes at the front that have been sent.
    sent: usize,
}

/// Whether everything went out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlushOutcome {
    /// Nothing is pending.
    Done,
    /// The rest waits for a writable event.
    WouldBlock,
}

impl WriteBuffer {
    /// Where the caller appends, and does nothing but append.
    #[inline]
    pub fn tail(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Appends what `encode` appends, with its length before it (four bytes, the high one first).
    #[inline]
    pub fn frame<T>(&mut self, encode: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        let at = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 4]);
        let result = encode(&mut self.bytes);
        let length = i32::try_from(self.bytes.len() - at - 4).expect("a frame is shorter than 2 GiB");
        self.bytes[at..at + 4].copy_from_slice(&length.to_be_bytes());
        result
    }

    /// Bytes that the socket has not taken.
    #[inline]
    pub fn pending_bytes(&self) -> usize {
        self.bytes.len() - self.sent
    }

    /// Bytes of memory held.
    pub fn held_bytes(&self) -> usize {
        self.bytes.capacity()
    }

    /// Writes all that is pending, in one call where the socket takes it. Call it once per batch.
    /// After an error the connection is of no use.
    pub fn flush(&mut self, stream: &mut impl Write) -> io::Result<FlushOutcome> {
        while self.sent < self.bytes.len() {
            match stream.write(&self.bytes[self.sent..]) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if self.sent >= COMPACT_FROM && self.sent * 2 >= self.bytes.len() {
                        self.bytes.drain(..self.sent);
                        self.sent = 0;
                    }
                    return Ok(FlushOutcome::WouldBlock);
                }
                Err(error) => return Err(error),
            }
        }
        self.bytes.clear();
        self.sent = 0;
        if self.bytes.capacity() > KEPT_CAPACITY {
            self.bytes = Vec::new();
        }
        Ok(FlushOutcome::Done)
    }

    /// Gives back the memory of a buffer with nothing pending: for connections found idle.
    pub fn release(&mut self) {
        if self.pending_bytes() == 0 {
            *self = Self::default();
        }
    }
}
