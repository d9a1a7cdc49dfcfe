//! The connections of the election port over real sockets, with peers that keep to the protocol and peers that do
//! not. Time is an argument: nothing here waits for a timeout.

use bytes::Bytes;
use oxkeeper_net::mio::{Events, Poll};
use oxkeeper_server::config::args::{self, Invocation};
use oxkeeper_server::config::{self, EnsembleConfig};
use oxkeeper_server::peers::election_links::ElectionLinks;
use oxkeeper_zab::{HostPort, Opening, Sid};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Long enough for whatever is expected to come.
const PATIENCE: Duration = Duration::from_secs(30);

/// A file of server lines, as a member reads it.
fn ensemble(my_id: i64, lines: &str) -> EnsembleConfig {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let directory = std::env::temp_dir().join(format!("oxkeeper-links-{}-{count}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    std::fs::write(directory.join("myid"), my_id.to_string()).unwrap();
    let file: PathBuf = directory.join("zoo.cfg");
    let text = format!("dataDir={}\nclientPort=0\ninitLimit=5\nsyncLimit=2\ntickTime=2000\n{lines}", directory.display());
    std::fs::write(&file, text).unwrap();
    let parsed = args::parse([file.display().to_string()], |_| None).unwrap();
    let Invocation::Serve(request) = parsed else { panic!("{parsed:?}") };
    let loaded = config::load(&request).unwrap();
    std::fs::remove_dir_all(&directory).unwrap();
    loaded.config.ensemble.expect("an ensemble")
}

/// Ports that are free now.
fn ports<const N: usize>() -> [u16; N] {
    let listeners = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}

fn lines(ports: &[u16]) -> String {
    ports.iter().enumerate().map(|(index, port)| format!("server.{}=127.0.0.1:1:{port}\n", index + 1)).collect()
}

struct Node {
    poll: Poll,
    links: ElectionLinks,
    received: Vec<(Sid, Bytes)>,
    now_ms: u64,
}

impl Node {
    fn new(ensemble: &EnsembleConfig) -> Self {
        let poll = Poll::new().unwrap();
        let links = ElectionLinks::open(ensemble, poll.registry()).unwrap();
        let mut node = Self { poll, links, received: Vec::new(), now_ms: 1000 };
        node.turn();
        node
    }

    /// One round of its thread; 5 ms pass.
    fn turn(&mut self) {
        let mut events = Events::with_capacity(16);
        let due = self.links.next_timer_ms().is_some_and(|at| at <= self.now_ms);
        self.poll.poll(&mut events, Some(Duration::from_millis(if due { 0 } else { 5 }))).unwrap();
        self.now_ms += 5;
        for event in &events {
            self.links.on_event(self.poll.registry(), event, self.now_ms);
        }
        self.links.tick(self.poll.registry(), self.now_ms);
        self.received.extend(self.links.take_received());
    }

    fn send(&mut self, to: i64, message: &str) {
        self.links.send(self.poll.registry(), Sid(to), Bytes::copy_from_slice(message.as_bytes()), self.now_ms);
    }

    fn has(&self, from: i64, message: &str) -> bool {
        self.received.iter().any(|(sid, bytes)| (sid.0, &bytes[..]) == (from, message.as_bytes()))
    }

    fn address(&self) -> SocketAddr {
        self.links.listening().next().expect("it listens")
    }
}

fn until(nodes: &mut [&mut Node], mut holds: impl FnMut(&[&mut Node]) -> bool) {
    let begin = Instant::now();
    while !holds(nodes) {
        assert!(begin.elapsed() < PATIENCE, "it did not happen");
        nodes.iter_mut().for_each(|node| node.turn());
    }
}

/// A peer that is only a socket.
struct Fake(TcpStream);

impl Fake {
    fn call(node: &Node, bytes: &[u8]) -> Self {
        let mut stream = TcpStream::connect(node.address()).unwrap();
        stream.set_nonblocking(true).unwrap();
        stream.write_all(bytes).unwrap();
        Self(stream)
    }

    fn accept(node: &mut Node, listener: &TcpListener) -> Self {
        listener.set_nonblocking(true).unwrap();
        let mut accepted = None;
        until(&mut [node], |_| {
            accepted = listener.accept().ok();
            accepted.is_some()
        });
        let (stream, _) = accepted.unwrap();
        stream.set_nonblocking(true).unwrap();
        Self(stream)
    }

    /// Whether it has been closed; what is read is thrown away.
    fn is_closed(&mut self) -> bool {
        match self.0.read(&mut [0; 1024]) {
            Ok(count) => count == 0,
            Err(error) => error.kind() != ErrorKind::WouldBlock,
        }
    }

    fn read(&mut self, node: &mut Node, count: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        until(&mut [node], |_| {
            let mut part = vec![0; count - bytes.len()];
            match self.0.read(&mut part) {
                Ok(0) => panic!("closed after {bytes:?}"),
                Ok(read) => bytes.extend_from_slice(&part[..read]),
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}"),
            }
            bytes.len() == count
        });
        bytes
    }

    fn message(&mut self, node: &mut Node) -> String {
        let head = self.read(node, 4);
        let length = u32::from_be_bytes(head.try_into().unwrap());
        String::from_utf8(self.read(node, length as usize)).unwrap()
    }
}

fn opening(sid: i64, port: u16) -> Vec<u8> {
    Opening { sid: Sid(sid), addresses: vec![HostPort { host: "127.0.0.1".to_owned(), port }] }.encode(false)
}

fn framed(message: &str) -> Vec<u8> {
    let mut bytes = (message.len() as u32).to_be_bytes().to_vec();
    bytes.extend(message.bytes());
    bytes
}

#[test]
fn everybody_hears_everybody_whoever_begins() {
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
        let text = lines(&ports::<3>());
        let mut nodes: Vec<Node> = (1..=3).map(|sid| Node::new(&ensemble(sid, &text))).collect();
        for sender in order {
            for to in (1..=3).filter(|to| *to != sender as i64 + 1) {
                nodes[sender].send(to, &format!("from {}", sender + 1));
            }
        }
        let mut nodes: Vec<&mut Node> = nodes.iter_mut().collect();
        until(&mut nodes, |nodes| {
            (1..=3).all(|from| (1..=3).all(|to| from == to || nodes[to as usize - 1].has(from, &format!("from {from}"))))
        });
        // Over what is there now nothing is lost or doubled, in either direction.
        nodes.iter_mut().for_each(|node| node.received.clear());
        for count in 0..20 {
            let message = format!("again {count}");
            nodes[0].send(3, &message);
            nodes[2].send(1, &message);
            until(&mut nodes, |nodes| nodes[0].has(3, &message) && nodes[2].has(1, &message));
        }
        assert_eq!((nodes[0].received.len(), nodes[2].received.len()), (20, 20));
    }
}

#[test]
fn the_newest_message_waits_and_the_last_is_sent_again() {
    for me in [1, 2] {
        let (other, text) = (3 - me, lines(&ports::<2>()));
        let mut node = Node::new(&ensemble(me, &text));
        for message in ["old", "older", "newest"] {
            node.send(other, message);
            node.turn();
        }
        let mut peer = Node::new(&ensemble(other, &text));
        until(&mut [&mut node, &mut peer], |nodes| nodes[1].has(me, "newest"));
        assert_eq!(peer.received.len(), 1, "{:?}", peer.received);
        // It goes, comes back and hears it again, without anybody sending anything.
        for _ in 0..3 {
            drop(peer);
            for _ in 0..10 {
                node.turn();
            }
            peer = Node::new(&ensemble(other, &text));
            until(&mut [&mut node, &mut peer], |nodes| nodes[1].has(me, "newest"));
        }
        assert!(node.received.is_empty());
    }
}

#[test]
fn a_higher_number_keeps_its_connection_and_replaces_an_earlier_one() {
    let mut node = Node::new(&ensemble(1, &lines(&ports::<3>())));
    let mut first = Fake::call(&node, &opening(3, 1));
    first.0.write_all(&framed("one")).unwrap();
    until(&mut [&mut node], |nodes| nodes[0].has(3, "one"));
    node.send(3, "hello");
    assert_eq!(first.message(&mut node), "hello");
    let mut second = Fake::call(&node, &opening(3, 1));
    assert_eq!(second.message(&mut node), "hello");
    until(&mut [&mut node], |_| first.is_closed());
    node.send(3, "there");
    assert_eq!(second.message(&mut node), "there");
}

#[test]
fn a_lower_number_is_called_back_where_the_configuration_or_it_says() {
    let [own, configured, said] = ports::<3>();
    let text = format!("server.2=127.0.0.1:1:{configured}\nserver.3=127.0.0.1:1:{own}\nserver.5=127.0.0.1:1:2\n");
    for (sid, port) in [(2, configured), (1, said)] {
        let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let mut node = Node::new(&ensemble(3, &text));
        let mut caller = Fake::call(&node, &opening(sid, port));
        let mut back = Fake::accept(&mut node, &listener);
        assert_eq!(back.read(&mut node, opening(3, own).len()), opening(3, own));
        until(&mut [&mut node], |_| caller.is_closed());
        back.0.write_all(&framed("hi")).unwrap();
        until(&mut [&mut node], |nodes| nodes[0].has(sid, "hi"));
        // It calls again: what there was is given up, and made anew.
        let _caller = Fake::call(&node, &opening(sid, port));
        let mut again = Fake::accept(&mut node, &listener);
        again.read(&mut node, opening(3, own).len());
        until(&mut [&mut node], |_| back.is_closed());
        node.send(sid, "yes");
        assert_eq!(again.message(&mut node), "yes");
    }
}

#[test]
fn who_has_the_lower_number_calls_says_who_it_is_and_hangs_up() {
    let [own, other] = ports::<2>();
    let listener = TcpListener::bind(("127.0.0.1", other)).unwrap();
    let mut node = Node::new(&ensemble(1, &lines(&[own, other])));
    node.send(2, "vote");
    let mut called = Fake::accept(&mut node, &listener);
    assert_eq!(called.read(&mut node, opening(1, own).len()), opening(1, own));
    until(&mut [&mut node], |_| called.is_closed());
    // More to say is no reason to call again at once; the message goes when the other has connected.
    node.send(2, "newer");
    node.turn();
    assert!(listener.accept().is_err());
    let mut back = Fake::call(&node, &opening(2, other));
    assert_eq!(back.message(&mut node), "newer");
}

#[test]
fn who_comes_and_goes_is_told() {
    let mut node = Node::new(&ensemble(1, &lines(&ports::<3>())));
    let mut changes = Vec::new();
    let fake = Fake::call(&node, &opening(3, 1));
    let mut expect = |node: &mut Node, expected: &[(i64, bool)]| {
        let begin = Instant::now();
        while changes.len() < expected.len() {
            assert!(begin.elapsed() < PATIENCE, "{changes:?}");
            node.turn();
            changes.extend(node.links.take_changes().into_iter().map(|(sid, is_up)| (sid.0, is_up)));
        }
        assert_eq!(changes, expected);
        changes.clear();
    };
    expect(&mut node, &[(3, true)]);
    // Another connection of the same server is no end.
    let again = Fake::call(&node, &opening(3, 1));
    expect(&mut node, &[(3, true)]);
    drop(fake);
    drop(again);
    expect(&mut node, &[(3, false)]);
    // One who could never be reached has not gone.
    node.send(2, "hello");
    for _ in 0..20 {
        node.turn();
    }
    assert_eq!(node.links.take_changes(), []);
}

#[test]
fn any_pieces_make_a_message() {
    let mut node = Node::new(&ensemble(1, &lines(&ports::<3>())));
    let big = "x".repeat(100_000);
    let mut all = opening(3, 1);
    all.extend(framed("small"));
    all.extend(framed(&big));
    all.extend(framed("end"));
    let mut fake = Fake::call(&node, &[]);
    fake.0.set_nodelay(true).unwrap();
    for (index, piece) in all.chunks(1).take(60).chain(all[60..].chunks(30_000)).enumerate() {
        fake.0.set_nonblocking(false).unwrap();
        fake.0.write_all(piece).unwrap();
        if index % 2 == 0 {
            node.turn();
        }
    }
    until(&mut [&mut node], |nodes| nodes[0].has(3, "end"));
    assert!(node.has(3, "small") && node.has(3, &big));
    assert_eq!(node.received.len(), 3);
}

#[test]
fn peers_of_old_and_those_without_a_number_are_served() {
    let mut node = Node::new(&ensemble(1, &lines(&ports::<3>())));
    // Before 3.5: the number alone.
    let mut old = Fake::call(&node, &2i64.to_be_bytes());
    old.0.write_all(&framed("old")).unwrap();
    until(&mut [&mut node], |nodes| nodes[0].has(2, "old"));
    // Several addresses, whatever our own configuration says.
    let several = [HostPort { host: "a".to_owned(), port: 1 }, HostPort { host: "b".to_owned(), port: 2 }];
    let mut fake = Fake::call(&node, &Opening { sid: Sid(3), addresses: several.to_vec() }.encode(true));
    fake.0.write_all(&framed("several")).unwrap();
    until(&mut [&mut node], |nodes| nodes[0].has(3, "several"));
    // Each gets a number below zero and is called back.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    for sid in [-1, -2] {
        let _fake = Fake::call(&node, &opening(i64::MAX, listener.local_addr().unwrap().port()));
        let mut back = Fake::accept(&mut node, &listener);
        back.read(&mut node, opening(1, 12345).len());
        back.0.write_all(&framed("observer")).unwrap();
        until(&mut [&mut node], |nodes| nodes[0].has(sid, "observer"));
    }
}

#[test]
fn hostile_bytes_cost_only_their_own_connection() {
    let mut node = Node::new(&ensemble(1, &lines(&ports::<3>())));
    let mut good = Fake::call(&node, &opening(3, 1));
    let with = |tail: &[u8]| [&opening(2, 1)[..], tail].concat();
    let raw =
        |version: i64, length: i32, text: &[u8]| [&version.to_be_bytes()[..], &2i64.to_be_bytes(), &length.to_be_bytes(), text].concat();
    for bytes in [
        raw(-65537, 3, b"a:1"),
        raw(-65536, 0, b""),
        raw(-65536, -1, b""),
        raw(-65536, 2049, b""),
        raw(-65536, 3, b"aaa"),
        raw(-65536, 3, b"\xff\xff\xff"),
        opening(1, 1),
        with(&[0, 0, 0, 0]),
        with(&[0xff; 4]),
        with(&(512 * 1024 + 1u32).to_be_bytes()),
        b"GET / HTTP/1.1\r\n\r\n".iter().map(|byte| byte | 0x80).collect(),
    ] {
        let mut fake = Fake::call(&node, &bytes);
        until(&mut [&mut node], |_| fake.is_closed());
    }
    // One that goes away in the middle.
    drop(Fake::call(&node, &opening(2, 1)[..15]));
    good.0.write_all(&framed("still here")).unwrap();
    until(&mut [&mut node], |nodes| nodes[0].has(3, "still here"));
    node.send(3, "me too");
    assert_eq!(good.message(&mut node), "me too");
    assert_eq!(node.received.len(), 1);
}

#[test]
fn who_does_not_say_who_it_is_is_not_waited_for() {
    let mut node = Node::new(&ensemble(1, &lines(&ports::<3>())));
    let mut silent = Fake::call(&node, &[]);
    let mut slow = Fake::call(&node, &opening(3, 1)[..1]);
    let mut known = Fake::call(&node, &opening(2, 1));
    known.0.write_all(&framed("known")).unwrap();
    until(&mut [&mut node], |nodes| nodes[0].has(2, "known"));
    // A byte now and then does not help: the limit is tickTime times syncLimit for all of it.
    let begin = node.now_ms;
    for (index, byte) in opening(3, 1)[1..5].iter().enumerate() {
        node.now_ms = begin + 900 * (index as u64 + 1);
        slow.0.write_all(&[*byte]).unwrap();
        node.turn();
        assert!(!slow.is_closed() && !silent.is_closed());
    }
    node.now_ms = begin + 4000;
    until(&mut [&mut node], |_| silent.is_closed());
    until(&mut [&mut node], |_| slow.is_closed());
    assert!(!known.is_closed());
}

#[test]
fn a_crowd_of_strangers_does_not_keep_a_server_out() {
    let mut node = Node::new(&ensemble(1, &lines(&ports::<3>())));
    let mut crowd = Vec::new();
    for _ in 0..300 {
        crowd.push(Fake::call(&node, &[0xff]));
        node.turn();
    }
    let mut fake = Fake::call(&node, &opening(3, 1));
    fake.0.write_all(&framed("in")).unwrap();
    until(&mut [&mut node], |nodes| nodes[0].has(3, "in"));
    let open = crowd.iter_mut().filter_map(|fake| (!fake.is_closed()).then_some(())).count();
    assert!(open <= 64, "{open}");
}

#[test]
fn messages_that_nobody_takes_are_bounded() {
    let mut node = Node::new(&ensemble(1, &lines(&ports::<3>())));
    let mut fake = Fake::call(&node, &opening(3, 1));
    node.turn();
    let all: Vec<u8> = (0..1000).flat_map(|count| framed(&format!("{count:04}"))).collect();
    fake.0.set_nonblocking(false).unwrap();
    fake.0.write_all(&all).unwrap();
    let mut most = 0;
    until(&mut [&mut node], |nodes| {
        most = most.max(nodes[0].received.len());
        nodes[0].has(3, "0999")
    });
    // The newest are there, in order, at most a hundred of a turn.
    let last: Vec<String> = node.received.iter().rev().take(50).map(|(_, bytes)| String::from_utf8(bytes.to_vec()).unwrap()).collect();
    assert_eq!(last, (950..1000).rev().map(|count| format!("{count:04}")).collect::<Vec<_>>());
}

#[test]
fn a_port_that_is_taken_is_tried_again_and_then_the_server_stops() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    for (more, attempts) in [("", 3), ("electionPortBindRetry=5\n", 5), ("electionPortBindRetry=-1\n", 3)] {
        let mut node = Node::new(&ensemble(1, &format!("{}{more}", lines(&[port, 2, 3]))));
        for attempt in 1..attempts {
            assert_eq!(node.links.failure(), None, "{more} {attempt}");
            node.now_ms += 1000;
            node.turn();
        }
        let failure = node.links.failure().unwrap_or_else(|| panic!("{more}: it goes on"));
        assert_eq!(failure.exit_code, 14);
        assert!(failure.message.contains(&format!("127.0.0.1:{port}")), "{}", failure.message);
    }
    let mut node = Node::new(&ensemble(1, &format!("{}electionPortBindRetry=0\n", lines(&[port, 2, 3]))));
    for _ in 0..50 {
        node.now_ms += 1000;
        node.turn();
        assert_eq!((node.links.failure(), node.links.listening().count()), (None, 0));
    }
    drop(taken);
    node.now_ms += 1000;
    until(&mut [&mut node], |nodes| nodes[0].links.listening().count() == 1);
}

#[test]
fn names_are_looked_up_and_all_addresses_tried() {
    let [own, dead, other] = ports::<3>();
    let listener = TcpListener::bind(("127.0.0.1", other)).unwrap();
    let text = format!(
        "multiAddress.enabled=true\nserver.1=localhost:1:{dead}|127.0.0.1:1:{other}|no.such.host.invalid:1:3\nserver.2=localhost:1:{own}\n"
    );
    let mut node = Node::new(&ensemble(2, &text));
    until(&mut [&mut node], |nodes| nodes[0].links.listening().any(|address| address.port() == own));
    node.send(1, "hello");
    let mut called = Fake::accept(&mut node, &listener);
    let opening = Opening { sid: Sid(2), addresses: vec![HostPort { host: "localhost".to_owned(), port: own }] }.encode(true);
    assert_eq!(called.read(&mut node, opening.len()), opening);
    assert_eq!(called.message(&mut node), "hello");
}

#[test]
fn all_addresses_are_listened_on_if_asked_and_move_with_the_configuration() {
    let [first, second] = ports::<2>();
    let ensemble = ensemble(1, &format!("quorumListenOnAllIPs=true\nserver.1=192.0.2.1:1:{first}\nserver.2=127.0.0.1:1:2\n"));
    let mut node = Node::new(&ensemble);
    // A connection of another test may hold the port for a moment.
    until(&mut [&mut node], |nodes| nodes[0].links.listening().next().is_some());
    assert!(node.address().ip().is_unspecified() && node.address().port() == first);
    let mut moved = ensemble.config.clone();
    moved.members.get_mut(&Sid(1)).unwrap().addresses[0].election_port = second;
    node.links.set_config(node.poll.registry(), &moved, None);
    until(&mut [&mut node], |nodes| nodes[0].links.listening().any(|address| address.port() == second));
    assert!(TcpStream::connect(("127.0.0.1", first)).is_err());
}
