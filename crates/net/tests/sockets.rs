//! Frames, pressure and limits over real loopback sockets.

use mio::{Events, Interest, Poll, Token};
use oxkeeper_net::{
    ConnectionLimits, FlushOutcome, Full, Listener, Prefix, Queue, ReadBuffer, ReadOutcome, Refusal, Stream, Wakeup, WriteBuffer, mio,
};
use std::io::{Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::ops::ControlFlow::{self, Break, Continue};
use std::time::Duration;

const PATIENCE: Option<Duration> = Some(Duration::from_secs(20));
const MAX_FRAME: usize = 1 << 20;

/// One accepted connection, its poll, and the far end.
struct Pair {
    poll: Poll,
    near: Stream,
    far: TcpStream,
    shared: Vec<u8>,
    input: ReadBuffer,
    frames: Vec<Vec<u8>>,
}

fn accept(listener: &mut Listener) -> (Stream, SocketAddr) {
    let mut poll = Poll::new().unwrap();
    poll.registry().register(listener, Token(0), Interest::READABLE).unwrap();
    loop {
        if let Some(accepted) = listener.accept().unwrap() {
            poll.registry().deregister(listener).unwrap();
            return accepted;
        }
        let mut events = Events::with_capacity(4);
        poll.poll(&mut events, PATIENCE).unwrap();
        assert!(!events.is_empty(), "nobody came");
    }
}

impl Pair {
    fn new(shared_bytes: usize) -> Self {
        let mut listener = Listener::bind("127.0.0.1:0".parse().unwrap(), -1).unwrap();
        let far = TcpStream::connect(listener.local_address().unwrap()).unwrap();
        far.set_nodelay(true).unwrap();
        let (mut near, _) = accept(&mut listener);
        near.set_client_options(true).unwrap();
        let poll = Poll::new().unwrap();
        poll.registry().register(&mut near, Token(1), Interest::READABLE | Interest::WRITABLE).unwrap();
        Self { poll, near, far, shared: vec![0; shared_bytes], input: ReadBuffer::default(), frames: Vec::new() }
    }

    /// Reads until something other than WouldBlock or More comes of it, or `enough` frames are in.
    fn read(&mut self, enough: usize, mut flow: impl FnMut(usize) -> ControlFlow<()>) -> ReadOutcome {
        let mut peer_closed = false;
        loop {
            let frames = &mut self.frames;
            let each = |frame: &[u8]| {
                frames.push(frame.to_vec());
                flow(frames.len())
            };
            let outcome = self.input.read_frames(&mut self.near, &mut self.shared, MAX_FRAME, peer_closed, each).unwrap();
            match outcome {
                ReadOutcome::More => continue,
                ReadOutcome::WouldBlock if self.frames.len() < enough => {}
                outcome => return outcome,
            }
            peer_closed |= self.wait();
        }
    }

    /// Waits for an event; whether it says that the peer has closed.
    fn wait(&mut self) -> bool {
        let mut events = Events::with_capacity(4);
        self.poll.poll(&mut events, PATIENCE).unwrap();
        assert!(!events.is_empty(), "nothing happened");
        events.iter().any(|event| event.is_read_closed())
    }
}

fn framed(frames: &[&[u8]]) -> Vec<u8> {
    let mut out = WriteBuffer::default();
    for frame in frames {
        out.frame(|bytes| bytes.extend_from_slice(frame));
    }
    out.tail().clone()
}

#[test]
fn frames_split_at_every_byte_come_out_whole() {
    let expected: [&[u8]; 4] = [b"first", b"", b"x", b"the last one"];
    let bytes = framed(&expected);
    for shared_bytes in [1, 3, 64] {
        for cut in 0..=bytes.len() {
            let mut pair = Pair::new(shared_bytes);
            pair.far.write_all(&bytes[..cut]).unwrap();
            // What is there is taken before the rest is sent, so that the cut is a real one.
            let whole_before = (0..4).filter(|n| framed(&expected[..=*n]).len() <= cut).count();
            pair.read(whole_before, |_| Continue(()));
            pair.far.write_all(&bytes[cut..]).unwrap();
            pair.read(4, |_| Continue(()));
            assert_eq!(pair.frames, expected, "cut at {cut}, {shared_bytes} at a time");
        }
    }
}

#[test]
fn many_frames_in_one_segment_and_more_than_a_turn_holds() {
    let frames: Vec<Vec<u8>> = (0..5000_u32).map(|n| n.to_be_bytes().repeat(n as usize % 30)).collect();
    let bytes = framed(&frames.iter().map(Vec::as_slice).collect::<Vec<_>>());
    let mut pair = Pair::new(1000);
    let mut far = pair.far.try_clone().unwrap();
    let writer = std::thread::spawn(move || far.write_all(&bytes).unwrap());
    pair.read(frames.len(), |_| Continue(()));
    writer.join().unwrap();
    assert_eq!(pair.frames, frames);
    assert!(pair.input.held_bytes() <= 512, "{}", pair.input.held_bytes());
}

#[test]
fn a_large_frame_grows_by_what_comes_and_is_given_back() {
    let mut pair = Pair::new(4096);
    let frame: Vec<u8> = (0..MAX_FRAME).map(|n| (n % 251) as u8).collect();
    let bytes = framed(&[&frame]);
    pair.far.write_all(&bytes[..104]).unwrap();
    pair.wait();
    while pair.input.prefix().len() < 104 {
        pair.read(0, |_| Continue(()));
    }
    assert!(pair.input.held_bytes() <= 512, "an announced mebibyte costs {} bytes", pair.input.held_bytes());
    let mut far = pair.far.try_clone().unwrap();
    let writer = std::thread::spawn(move || far.write_all(&bytes[104..]).unwrap());
    pair.read(1, |_| Continue(()));
    writer.join().unwrap();
    assert!(pair.frames == [frame]);
    assert!(pair.input.held_bytes() <= 512);
}

#[test]
fn bad_lengths_end_it_after_the_frames_before() {
    for (length, in_pieces) in [(-1, false), (i32::MIN, true), (MAX_FRAME as i32 + 1, false), (i32::MAX, true)] {
        let mut pair = Pair::new(4096);
        let mut bytes = framed(&[b"good"]);
        bytes.extend_from_slice(&length.to_be_bytes());
        if in_pieces {
            pair.far.write_all(&bytes[..10]).unwrap();
            pair.read(1, |_| Continue(()));
            bytes.drain(..10);
        }
        pair.far.write_all(&bytes).unwrap();
        assert_eq!(pair.read(usize::MAX, |_| Continue(())), ReadOutcome::BadLength(length));
        assert_eq!(pair.frames, [b"good"]);
    }
}

#[test]
fn half_a_frame_then_the_end() {
    let mut pair = Pair::new(4096);
    let bytes = framed(&[b"whole", b"never whole"]);
    pair.far.write_all(&bytes[..bytes.len() - 1]).unwrap();
    pair.far.shutdown(Shutdown::Write).unwrap();
    assert_eq!(pair.read(usize::MAX, |_| Continue(())), ReadOutcome::Closed);
    assert_eq!(pair.frames, [b"whole"]);
}

#[test]
fn a_stop_loses_nothing() {
    for shared_bytes in [1, 7, 4096] {
        let frames: Vec<Vec<u8>> = (0..50_u8).map(|n| vec![n; n as usize]).collect();
        let bytes = framed(&frames.iter().map(Vec::as_slice).collect::<Vec<_>>());
        let mut pair = Pair::new(shared_bytes);
        pair.far.write_all(&bytes).unwrap();
        for n in 1..=frames.len() {
            assert_eq!(pair.read(usize::MAX, |_| Break(())), ReadOutcome::Stopped);
            assert_eq!(pair.frames.len(), n, "one frame a call");
        }
        assert_eq!(pair.read(0, |_| Continue(())), ReadOutcome::WouldBlock);
        assert_eq!(pair.frames, frames);
        assert!(pair.input.is_empty());
    }
}

#[test]
fn the_first_bytes_can_be_looked_at_before_they_are_a_length() {
    let mut pair = Pair::new(4096);
    pair.far.write_all(b"st").unwrap();
    pair.wait();
    let Pair { near, input, .. } = &mut pair;
    assert_eq!(input.read_prefix(near, 4).unwrap(), Prefix::WouldBlock);
    pair.far.write_all(b"mk\x01\x02\x03\x04\x05\x06\x07\x08rest").unwrap();
    pair.wait();
    let Pair { near, input, .. } = &mut pair;
    assert_eq!(input.read_prefix(near, 4).unwrap(), Prefix::Ready);
    assert_eq!(input.prefix(), b"stmk");
    assert_eq!(input.read_prefix(near, 12).unwrap(), Prefix::Ready);
    assert_eq!(input.prefix(), b"stmk\x01\x02\x03\x04\x05\x06\x07\x08");
    input.discard_prefix();
    assert_eq!(input.read_prefix(near, 4).unwrap(), Prefix::Ready);
    assert_eq!(input.prefix(), b"rest");

    // No word: the same bytes are the length of the first frame.
    let mut pair = Pair::new(4096);
    pair.far.write_all(&framed(&[b"hello", b"again"])).unwrap();
    pair.wait();
    assert_eq!(pair.input.read_prefix(&mut pair.near, 4).unwrap(), Prefix::Ready);
    assert_eq!(pair.input.prefix(), [0, 0, 0, 5]);
    pair.read(2, |_| Continue(()));
    assert_eq!(pair.frames, [b"hello", b"again"]);

    let mut pair = Pair::new(4096);
    pair.far.write_all(b"ru").unwrap();
    pair.far.shutdown(Shutdown::Write).unwrap();
    loop {
        pair.wait();
        match pair.input.read_prefix(&mut pair.near, 4).unwrap() {
            Prefix::WouldBlock => {}
            outcome => break assert_eq!(outcome, Prefix::Closed),
        }
    }
}

#[test]
fn a_slow_reader_gets_every_byte_in_the_end() {
    let mut pair = Pair::new(4096);
    let bytes: Vec<u8> = (0..32 << 20).map(|n: u32| (n % 253) as u8).collect();
    let mut output = WriteBuffer::default();
    output.tail().extend_from_slice(&bytes);
    assert_eq!(output.flush(&mut pair.near).unwrap(), FlushOutcome::WouldBlock, "more than the kernel buffers");
    let pending = output.pending_bytes();
    assert!(pending > 0 && pending < bytes.len());
    output.tail().extend_from_slice(b"the end");
    let mut far = pair.far.try_clone().unwrap();
    let reader = std::thread::spawn(move || {
        let mut all = Vec::new();
        far.read_to_end(&mut all).unwrap();
        all
    });
    while output.flush(&mut pair.near).unwrap() == FlushOutcome::WouldBlock {
        pair.wait();
    }
    assert_eq!(output.pending_bytes(), 0);
    assert!(output.held_bytes() <= 4096);
    pair.near.shutdown_write().unwrap();
    let all = reader.join().unwrap();
    assert!(all.len() == bytes.len() + 7 && all[..bytes.len()] == bytes && all.ends_with(b"the end"));
}

#[test]
fn a_wildcard_hears_both_families_and_tells_ipv4_as_ipv4() {
    for wildcard in ["0.0.0.0:0", "[::]:0"] {
        let mut listener = Listener::bind(wildcard.parse().unwrap(), 16).unwrap();
        let port = listener.local_address().unwrap().port();
        let v4 = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let (near, peer) = accept(&mut listener);
        assert_eq!(peer, v4.local_addr().unwrap());
        assert_eq!(near.peer_address().unwrap(), peer);
        assert_eq!(near.local_address().unwrap(), v4.peer_addr().unwrap());
        // Where the machine has no IPv6 the listener is an IPv4 one.
        if listener.local_address().unwrap().is_ipv6()
            && let Ok(v6) = TcpStream::connect(("::1", port))
        {
            assert_eq!(accept(&mut listener).1, v6.local_addr().unwrap());
        }
        assert!(listener.accept().unwrap().is_none());
    }
}

#[test]
fn an_aborted_connection_is_reset() {
    let mut pair = Pair::new(16);
    pair.near.abort();
    let error = pair.far.read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

#[test]
fn connecting_tells_success_and_failure() {
    let mut listener = Listener::bind("127.0.0.1:0".parse().unwrap(), -1).unwrap();
    let address = listener.local_address().unwrap();
    let poll_for = |stream: &mut Stream| {
        let mut poll = Poll::new().unwrap();
        poll.registry().register(stream, Token(0), Interest::WRITABLE).unwrap();
        let mut events = Events::with_capacity(4);
        poll.poll(&mut events, PATIENCE).unwrap();
        assert!(!events.is_empty());
    };
    let mut stream = Stream::connect(address).unwrap();
    poll_for(&mut stream);
    assert!(stream.take_error().unwrap().is_none());
    assert_eq!(stream.peer_address().unwrap(), address);
    accept(&mut listener);
    drop(listener);
    if let Ok(mut refused) = Stream::connect(address) {
        poll_for(&mut refused);
        assert!(refused.take_error().unwrap().is_some() || refused.peer_address().is_err());
    }
}

#[test]
fn limits_count_and_make_room_again() {
    let (one, two): (IpAddr, IpAddr) = ("10.0.0.1".parse().unwrap(), "::1".parse().unwrap());
    let limits = ConnectionLimits::new(2, 3);
    let first = limits.admit(one).unwrap();
    let _second = limits.admit(one).unwrap();
    assert_eq!(limits.admit(one).unwrap_err(), Refusal::PerAddress(2));
    let _third = limits.admit(two).unwrap();
    assert_eq!(limits.admit(two).unwrap_err(), Refusal::Total(3));
    drop(first);
    assert_eq!((limits.total(), limits.of_address(one), limits.of_address(two)), (2, 1, 1));
    let _again = limits.admit(one).unwrap();
    let unlimited = ConnectionLimits::new(0, 0);
    let all: Vec<_> = (0..1000).map(|_| unlimited.admit(one).unwrap()).collect();
    assert_eq!(unlimited.total(), 1000);
    drop(all);
    assert_eq!(unlimited.of_address(one), 0);
}

#[test]
fn only_a_sleeper_is_woken() {
    let mut poll = Poll::new().unwrap();
    let wakeup = Wakeup::of_poll(poll.registry(), Token(7)).unwrap();
    let queue = Queue::new(3, wakeup.clone());
    let mut events = Events::with_capacity(4);

    queue.push(1).unwrap();
    poll.poll(&mut events, Some(Duration::ZERO)).unwrap();
    assert!(events.is_empty(), "the reader is awake");
    assert!(!wakeup.fall_asleep(|| !queue.is_empty()), "there is work");
    let mut taken = Vec::new();
    queue.take(&mut taken);
    assert_eq!(taken, [1]);
    taken.clear();

    assert!(wakeup.fall_asleep(|| !queue.is_empty()));
    queue.push(2).unwrap();
    queue.put_all(&mut vec![3, 4]).unwrap();
    poll.poll(&mut events, PATIENCE).unwrap();
    assert_eq!(events.iter().map(|event| event.token()).collect::<Vec<_>>(), [Token(7)]);
    wakeup.awake();

    assert_eq!(queue.push(5), Err(Full(5)));
    let mut too_many = vec![6];
    assert_eq!(queue.put_all(&mut too_many), Err(Full(())));
    assert_eq!(too_many, [6]);
    queue.take(&mut taken);
    assert_eq!(taken, [2, 3, 4]);
    taken.clear();

    // What is put without a word is seen before the reader sleeps, and else waits until somebody wakes it.
    queue.put_all(&mut vec![5]).unwrap();
    assert!(!wakeup.fall_asleep(|| !queue.is_empty()), "there is work");
    queue.take(&mut taken);
    assert!(wakeup.fall_asleep(|| !queue.is_empty()) && wakeup.is_asleep());
    queue.put_all(&mut vec![6]).unwrap();
    poll.poll(&mut events, Some(Duration::ZERO)).unwrap();
    assert!(events.is_empty());
    queue.wake();
    poll.poll(&mut events, PATIENCE).unwrap();
    assert_eq!(events.iter().map(|event| event.token()).collect::<Vec<_>>(), [Token(7)]);
    assert!(!wakeup.is_asleep());
}

#[test]
fn nothing_pushed_is_slept_over() {
    const EACH: usize = 20_000;
    let mut poll = Poll::new().unwrap();
    let mut events = Events::with_capacity(4);
    let wakeup = Wakeup::of_poll(poll.registry(), Token(7)).unwrap();
    let queue = Queue::new(usize::MAX, wakeup.clone());
    let feeders: Vec<_> = (0..3)
        .map(|_| {
            let queue = queue.clone();
            std::thread::spawn(move || (0..EACH).for_each(|n| queue.push(n).unwrap()))
        })
        .collect();
    let (mut seen, mut taken) = (0, Vec::new());
    while seen < 3 * EACH {
        if wakeup.fall_asleep(|| !queue.is_empty()) {
            poll.poll(&mut events, PATIENCE).unwrap();
            assert!(!events.is_empty(), "a waking was lost after {seen} items");
            wakeup.awake();
        }
        queue.take(&mut taken);
        seen += taken.drain(..).count();
    }
    feeders.into_iter().for_each(|feeder| feeder.join().unwrap());
    assert_eq!(seen, 3 * EACH);
}

#[test]
fn a_parked_thread_is_woken() {
    let sleeper = std::thread::spawn(|| {
        let wakeup = Wakeup::of_thread(std::thread::current());
        let queue = Queue::new(1, wakeup.clone());
        let feeder = std::thread::spawn({
            let queue = queue.clone();
            move || queue.push("work").unwrap()
        });
        while wakeup.fall_asleep(|| !queue.is_empty()) {
            std::thread::park();
        }
        feeder.join().unwrap();
        let mut taken = Vec::new();
        queue.take(&mut taken);
        taken
    });
    assert_eq!(sleeper.join().unwrap(), ["work"]);
}
