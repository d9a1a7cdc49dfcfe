//! Ports for servers that are started later: free now, given to nobody else, and not taken by an outgoing connection
//! meanwhile.
//!
//! A port that the kernel chooses comes from the range out of which it also serves whoever connects, so that it may be gone by
//! the time a server wants it. These ports lie below that range. They come in blocks; a process owns a block as long as it
//! holds the lock of the block's file in the directory for temporary files, and the kernel takes the lock back when the process ends.

use rustix::fs::{FlockOperation, flock};
use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// Below are ports of well-known programs, and some that tests name themselves.
const FIRST: u16 = 24_000;

/// Ports of a block. One file is open for each.
const BLOCK: u16 = 40;

/// Where the range of outgoing connections usually begins.
const USUAL_END: u16 = 32_768;

struct Ports {
    /// What this process owns, and the locks that say so.
    blocks: Vec<(Range<u16>, File)>,
    /// Of the newest block, what was not given yet.
    left: Range<u16>,
    /// The block of our own that is given again when there is no other.
    again: usize,
}

static PORTS: Mutex<Ports> = Mutex::new(Ports { blocks: Vec::new(), left: 0..0, again: 0 });

/// A port of the loopback that nobody listens at, and that no other call gets, in whichever process, before this one has ended.
///
/// # Errors
/// When the locks cannot be made, or no port is free.
pub fn free_port() -> io::Result<u16> {
    let mut ports = PORTS.lock().unwrap_or_else(PoisonError::into_inner);
    ports.next(&std::env::temp_dir().join("oxkeeper-ports"), FIRST..end())
}

impl Ports {
    fn next(&mut self, directory: &Path, all: Range<u16>) -> io::Result<u16> {
        // Each port once, and each block, and once more those that are given again.
        for _ in 0..=4 * all.len() {
            let Some(port) = self.left.next() else {
                self.left = self.block(directory, all.clone())?;
                continue;
            };
            // Whoever knows nothing of the locks may listen there.
            if TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok() {
                return Ok(port);
            }
        }
        Err(io::Error::new(io::ErrorKind::AddrNotAvailable, format!("no port from {} to {} is free", all.start, all.end)))
    }

    /// A block that nobody owns, or if there is none, one that is ours.
    fn block(&mut self, directory: &Path, all: Range<u16>) -> io::Result<Range<u16>> {
        fs::create_dir_all(directory)?;
        for first in all.clone().step_by(usize::from(BLOCK)) {
            if self.blocks.iter().any(|(block, _)| block.start == first) {
                continue;
            }
            let file = File::options().create(true).truncate(false).write(true).open(directory.join(first.to_string()))?;
            if flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
                let block = first..all.end.min(first + BLOCK);
                self.blocks.push((block.clone(), file));
                return Ok(block);
            }
        }
        self.again += 1;
        let own = self.blocks.get((self.again - 1) % self.blocks.len().max(1)).map(|(block, _)| block.clone());
        own.ok_or_else(|| io::Error::new(io::ErrorKind::AddrNotAvailable, "other processes own all blocks of ports"))
    }
}

/// Where the range of outgoing connections begins on this machine.
fn end() -> u16 {
    let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let first = range.split_whitespace().next().and_then(|first| first.parse().ok());
    // A machine that leaves no room below has to do with what is usual.
    first.filter(|first| *first > FIRST + BLOCK).unwrap_or(USUAL_END)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::Scratch;

    fn none() -> Ports {
        Ports { blocks: Vec::new(), left: 0..0, again: 0 }
    }

    #[test]
    fn two_processes_get_different_blocks_and_each_port_once() {
        let scratch = Scratch::new(&std::env::temp_dir()).expect("a directory");
        // Two of a process each: a lock belongs to the open file.
        let (mut one, mut other) = (none(), none());
        let all = FIRST..FIRST + 2 * BLOCK;
        let mut given = Vec::new();
        for _ in 0..BLOCK / 4 {
            given.extend([&mut one, &mut other].map(|ports| ports.next(scratch.path(), all.clone()).expect("free")));
        }
        let mut different = given.clone();
        different.sort_unstable();
        different.dedup();
        assert_eq!(different.len(), given.len(), "{given:?}");
        assert!(given.iter().all(|port| all.contains(port)));
        // A third has to wait until one of them has ended.
        let mut third = none();
        assert_eq!(third.next(scratch.path(), all.clone()).map_err(|error| error.kind()), Err(io::ErrorKind::AddrNotAvailable));
        drop(one);
        assert!(third.next(scratch.path(), all).is_ok());
    }

    #[test]
    fn a_port_that_somebody_listens_at_is_not_given_and_ours_come_again() {
        let scratch = Scratch::new(&std::env::temp_dir()).expect("a directory");
        let port = free_port().expect("a port");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("it is free");
        let mut ports = none();
        let mut next = || ports.next(scratch.path(), port..port + 1).map_err(|error| error.kind());
        assert_eq!(next(), Err(io::ErrorKind::AddrNotAvailable));
        drop(listener);
        assert_eq!([next(), next()], [Ok(port), Ok(port)]);
    }

    #[test]
    fn they_lie_below_those_of_outgoing_connections() {
        let port = free_port().expect("a port");
        assert!((FIRST..end()).contains(&port), "{port}");
        let chosen = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr()).expect("bound").port();
        assert!(chosen >= end(), "{chosen} is below {}", end());
    }
}
