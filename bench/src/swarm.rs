//! Hostile sockets: they announce a large frame each, send a few bytes of it and then say nothing.

use crate::frame::MAX_FRAME;
use crate::pool::{Jitter, connect_from, source_address};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Attempts under way at once, so that the swarm does not drown in its own SYN queue.
const WINDOW: usize = 256;

/// Sockets that hold a server's memory if it lets them. Ends when dropped.
pub struct Swarm {
    state: Arc<State>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

#[derive(Default)]
struct State {
    stop: AtomicBool,
    standing: AtomicUsize,
    closed: AtomicU64,
}

impl Swarm {
    /// Sends `sockets` of them from `addresses` addresses; whatever the server closes comes back within a second.
    pub fn send(server: SocketAddr, sockets: usize, addresses: usize) -> Self {
        let state = Arc::new(State::default());
        let shared = state.clone();
        let thread = std::thread::spawn(move || swarm(server, sockets, addresses, &shared));
        Self { state, thread: Some(thread) }
    }

    /// Sockets that are connected and have announced their frame.
    pub fn standing(&self) -> usize {
        self.state.standing.load(Ordering::Relaxed)
    }

    /// How often the server closed one.
    pub fn closed(&self) -> u64 {
        self.state.closed.load(Ordering::Relaxed)
    }

    /// Waits until all stand, at most so long.
    pub fn wait(&self, sockets: usize, within: Duration) -> bool {
        let begin = Instant::now();
        while self.standing() < sockets && begin.elapsed() < within {
            std::thread::sleep(Duration::from_millis(20));
        }
        self.standing() >= sockets
    }
}

impl Drop for Swarm {
    fn drop(&mut self) {
        self.state.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Hostile {
    stream: TcpStream,
    standing: bool,
}

fn swarm(server: SocketAddr, sockets: usize, addresses: usize, state: &State) -> io::Result<()> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(1024);
    let mut hostiles: Vec<Option<Hostile>> = (0..sockets).map(|_| None).collect();
    let mut waiting: VecDeque<(Instant, usize)> = (0..sockets).map(|index| (Instant::now(), index)).collect();
    let mut under_way = 0;
    let mut announcement = (MAX_FRAME as u32).to_be_bytes().to_vec();
    announcement.extend_from_slice(&[0; 12]);
    let mut jitter = Jitter::new(sockets as u64);
    let mut buffer = [0; 512];
    while !state.stop.load(Ordering::Relaxed) {
        // The delays differ, so the queue is only roughly in order; that is good enough here.
        while under_way < WINDOW && waiting.front().is_some_and(|(due, _)| *due <= Instant::now()) {
            let (_, index) = waiting.pop_front().expect("one was seen");
            let mut stream = connect_from(source_address(index, addresses), server)?;
            poll.registry().register(&mut stream, Token(index), Interest::READABLE | Interest::WRITABLE)?;
            hostiles[index] = Some(Hostile { stream, standing: false });
            under_way += 1;
        }
        match poll.poll(&mut events, Some(Duration::from_millis(50))) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            other => other?,
        }
        for event in &events {
            let index = event.token().0;
            let Some(hostile) = &mut hostiles[index] else {
                continue;
            };
            let was_standing = hostile.standing;
            match step(hostile, &announcement, &mut buffer) {
                Ok(()) if hostile.standing && !was_standing => {
                    under_way -= 1;
                    state.standing.fetch_add(1, Ordering::Relaxed);
                }
                Ok(()) => {}
                Err(_) => {
                    hostiles[index] = None;
                    state.closed.fetch_add(1, Ordering::Relaxed);
                    if was_standing {
                        state.standing.fetch_sub(1, Ordering::Relaxed);
                    } else {
                        under_way -= 1;
                    }
                    waiting.push_back((Instant::now() + Duration::from_millis(jitter.below(1000)), index));
                }
            }
        }
    }
    Ok(())
}

fn step(hostile: &mut Hostile, announcement: &[u8], buffer: &mut [u8]) -> io::Result<()> {
    if !hostile.standing {
        if let Some(error) = hostile.stream.take_error()? {
            return Err(error);
        }
        match hostile.stream.peer_addr() {
            Err(error) if error.kind() == io::ErrorKind::NotConnected => return Ok(()),
            other => other?,
        };
        // A fresh socket takes these few bytes whole.
        hostile.stream.write_all(announcement)?;
        hostile.standing = true;
    }
    match hostile.stream.read(buffer) {
        Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
        Err(error) => Err(error),
    }
}
