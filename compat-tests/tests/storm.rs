//! Floods, bombs and slow readers against our server: what they may cost, and that a well-behaved client is served
//! all the while. Memory is measured; nothing here measures time. Run it with `--test-threads=1`: ten thousand
//! sockets leave no room for neighbours.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use oxkeeper_compat_tests::connection::{Connect, Connection};
use oxkeeper_compat_tests::subject::{Options, Server, Subject, four_letter};
use oxkeeper_compat_tests::wire::{Writer, op, reply_header, request};
use socket2::{Domain, Socket, Type};

/// Generous: the machine may be busy with other things.
const PATIENCE: Duration = Duration::from_secs(120);
const MEGABYTE: u64 = 1 << 20;

/// Bytes of memory that the server has.
fn resident(server: &Server) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", server.process_id())).expect("a running server");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("it has memory");
    line.split_whitespace().nth(1).and_then(|number| number.parse::<u64>().ok()).expect("a number") * 1024
}

fn assert_grown_by_at_most(server: &Server, before: u64, most: u64, what: &str) {
    let grown = resident(server).saturating_sub(before);
    println!("{what}: {:.1} MB", grown as f64 / MEGABYTE as f64);
    assert!(grown <= most, "{what}: {} MB, {} MB are allowed", grown / MEGABYTE, most / MEGABYTE);
}

/// The test itself needs as many descriptors as the server.
fn raise_own_file_limit(wanted: usize) {
    let raised = Command::new("prlimit").args(["--pid", &std::process::id().to_string(), &format!("--nofile={wanted}:")]).status();
    assert!(raised.expect("prlimit of util-linux runs").success(), "{wanted} open files are not to be had: raise the hard limit");
}

/// A client as it should be.
struct Client {
    connection: Connection,
    xid: i32,
}

impl Client {
    fn new(server: &Server) -> Client {
        let mut connection = Connection::open(server.address()).expect("a socket");
        connection.send(&Connect::default().frame());
        connection.receive(PATIENCE).expect("a session");
        Client { connection, xid: 0 }
    }

    fn ask(&mut self, request: &oxkeeper_compat_tests::wire::Request) -> Vec<u8> {
        self.xid += 1;
        self.connection.send(&request.frame(self.xid));
        let frame = self.connection.receive(PATIENCE).expect("a reply");
        let header = reply_header(&frame).expect("a header");
        assert_eq!((header.xid, header.error), (self.xid, 0), "{}", request.label);
        frame
    }

    /// It writes and reads what it wrote.
    fn is_served(&mut self) {
        let text = format!("value {}", self.xid);
        self.ask(&request::set_data("/served", Some(text.as_bytes()), -1));
        let frame = self.ask(&request::read(op::DATA, "/served", false));
        assert!(frame.windows(text.len()).any(|part| part == text.as_bytes()));
    }
}

fn start(options: &Options) -> (Server, Client) {
    let server = Server::start(Subject::Oxkeeper, options);
    let mut client = Client::new(&server);
    client.ask(&request::create("/served", ""));
    // What every server takes at its first requests is no cost of the storm.
    for _ in 0..200 {
        client.is_served();
    }
    (server, client)
}

/// A socket from an address of 127/8.
fn from(server: &Server, address: Ipv4Addr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.bind(&SocketAddr::V4(SocketAddrV4::new(address, 0)).into()).expect("127/8 is ours");
    socket.connect(&server.address().into()).expect("the server listens");
    socket.into()
}

fn mntr(server: &Server, key: &str) -> u64 {
    let text = four_letter(server.address(), b"mntr").expect("an answer");
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("{key}\t"))).expect("the key");
    line.parse::<f64>().expect("a number") as u64
}

#[test]
fn ten_thousand_sockets_that_announce_a_megabyte() {
    raise_own_file_limit(12_000);
    // Long enough that all of them are there at the same time.
    let options = Options::usual().property("zookeeper.nio.sessionlessCnxnTimeout", "600000");
    let (server, mut client) = start(&options);
    let before = resident(&server);
    let mut storm = Vec::new();
    for address in 1..=200u8 {
        for number in 0..50 {
            let mut socket = from(&server, Ipv4Addr::new(127, 1, address, 1));
            let beginning: &[u8] = match number % 4 {
                0 => b"\x00\x0f\xff\xff",
                1 => b"\x00\x0f\xff\xff\x00\x00\x00\x00half of a connect request",
                2 => b"\x00",
                _ => b"stmk\x00",
            };
            let _ = socket.write_all(beginning);
            storm.push(socket);
        }
        client.is_served();
    }
    let start = Instant::now();
    while mntr(&server, "zk_num_alive_connections") < 10_000 {
        assert!(start.elapsed() < PATIENCE, "the server does not take them all: {}", mntr(&server, "zk_num_alive_connections"));
    }
    client.is_served();
    assert_grown_by_at_most(&server, before, 200 * MEGABYTE, "10,000 sockets that announce 1 MiB");
    drop(storm);
    let start = Instant::now();
    while mntr(&server, "zk_num_alive_connections") > 10 {
        assert!(start.elapsed() < PATIENCE, "closed sockets stay");
    }
    client.is_served();
}

#[test]
fn a_flood_of_watches() {
    let (server, mut client) = start(&Options::usual());
    let before = resident(&server);
    let mut flooder = Client::new(&server);
    let count = 200_000;
    for chunk in 0..count / 1000 {
        let paths: Vec<String> = (0..1000).map(|at| format!("/no/such/node/{chunk}/{at}")).collect();
        let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
        let frame = request::set_watches(i64::MAX, &[&[], &paths, &[]]);
        flooder.ask(&frame);
        client.is_served();
    }
    assert_eq!(mntr(&server, "zk_watch_count"), count);
    assert_grown_by_at_most(&server, before, count * 400, "200,000 watches of one connection");
    drop(flooder);
    let start = Instant::now();
    while mntr(&server, "zk_watch_count") > 0 {
        assert!(start.elapsed() < PATIENCE, "watches outlive their connection");
    }
}

/// The largest data that a request carries by default, nearly.
const LARGE: usize = 1_000_000;

/// Sends as much as the socket takes without reading an answer.
fn stuff(stream: &mut TcpStream, bytes: &[u8]) -> usize {
    stream.set_nonblocking(true).expect("nonblocking");
    let (mut sent, mut refusals) = (0, 0);
    while sent < bytes.len() && refusals < 50 {
        match stream.write(&bytes[sent..]) {
            Ok(count) => sent += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                refusals += 1;
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(error) => panic!("{error}"),
        }
    }
    stream.set_nonblocking(false).expect("blocking");
    sent
}

#[test]
fn a_reader_of_huge_replies_that_does_not_read() {
    let (server, mut client) = start(&Options::usual());
    client.ask(&request::create("/large", &"x".repeat(LARGE)));
    client.is_served();
    let before = resident(&server);
    let mut readers = Vec::new();
    let requests = 2000;
    for _ in 0..5 {
        let reader = Client::new(&server);
        let mut stream = reader.connection.writer().expect("a handle");
        let bytes: Vec<u8> = (1..=requests).flat_map(|xid| request::read(op::DATA, "/large", false).frame(xid)).collect();
        let sent = stuff(&mut stream, &bytes);
        readers.push((reader, stream, bytes, sent));
        client.is_served();
    }
    assert_grown_by_at_most(&server, before, 64 * MEGABYTE, "5 connections with 2,000 unread megabytes each");
    // Whoever reads in the end gets everything, in order.
    let (reader, stream, bytes, sent) = &mut readers[0];
    let rest = bytes[*sent..].to_vec();
    let mut writer = stream.try_clone().expect("a handle");
    let sender = std::thread::spawn(move || writer.write_all(&rest));
    for xid in 1..=requests {
        let frame = reader.connection.receive(PATIENCE).expect("a reply");
        assert_eq!(reply_header(&frame).expect("a header").xid, xid);
        assert!(frame.len() > LARGE);
    }
    sender.join().expect("the sender").expect("all is sent");
    client.is_served();
    assert_grown_by_at_most(&server, before, 64 * MEGABYTE, "the same after one of them has read all");
}

/// Reads behind a write wait for it, and are then answered all together.
#[test]
fn huge_replies_behind_writes() {
    let (server, mut client) = start(&Options::usual());
    client.ask(&request::create("/large", &"x".repeat(LARGE)));
    client.ask(&request::create("/small", ""));
    client.is_served();
    let before = resident(&server);
    let mut reader = Client::new(&server);
    let mut stream = reader.connection.writer().expect("a handle");
    let mut bytes = Vec::new();
    let mut expected = Vec::new();
    for xid in 1..=1500 {
        // Every 500 requests a write; and one at the beginning.
        let request = if xid % 500 == 1 { request::set_data("/small", None, -1) } else { request::read(op::DATA, "/large", false) };
        bytes.extend(request.frame(xid));
        expected.push(xid);
    }
    let sent = stuff(&mut stream, &bytes);
    client.is_served();
    // 128 reads may stand before a write.
    assert_grown_by_at_most(&server, before, 300 * MEGABYTE, "1,500 megabytes behind 3 writes, unread");
    let rest = bytes[sent..].to_vec();
    let sender = std::thread::spawn(move || stream.write_all(&rest));
    for xid in expected {
        let frame = reader.connection.receive(PATIENCE).expect("a reply");
        assert_eq!(reply_header(&frame).expect("a header").xid, xid);
    }
    sender.join().expect("the sender").expect("all is sent");
    client.is_served();
}

/// A megabyte of `getData` of one large node would be answered with more than a frame's length can say.
#[test]
fn a_multi_read_of_tens_of_gigabytes() {
    let (server, mut client) = start(&Options::usual());
    client.ask(&request::create("/large", &"x".repeat(LARGE)));
    let mut attacker = Client::new(&server);
    let parts: Vec<_> = (0..3000).map(|_| request::read(op::DATA, "/large", false)).collect();
    let multi = request::multi(op::MULTI_READ, &parts);
    attacker.connection.send(&multi.frame(1));
    let frame = attacker.connection.receive(PATIENCE).expect("a reply");
    assert!(frame.len() > 50 * LARGE && frame.len() < 80 * LARGE, "{} bytes", frame.len());
    // The last op before the end mark was not done.
    let end = &frame[frame.len() - 9 - 13..];
    assert_eq!(end[..13], Writer::new().int(-1).byte(0).int(-127).int(-127).bytes[..]);
    client.is_served();
}

#[test]
fn large_writes_of_many_connections() {
    let (server, mut client) = start(&Options::usual());
    client.ask(&request::create("/large", ""));
    let before = resident(&server);
    let mut writers = Vec::new();
    let data = vec![b'x'; LARGE];
    for _ in 0..20 {
        let writer = Client::new(&server);
        let mut stream = writer.connection.writer().expect("a handle");
        let bytes: Vec<u8> = (1..=8).flat_map(|xid| request::set_data("/large", Some(&data), -1).frame(xid)).collect();
        writers.push((writer, std::thread::spawn(move || stream.write_all(&bytes))));
    }
    for (writer, sender) in &mut writers {
        for xid in 1..=8 {
            let frame = writer.connection.receive(PATIENCE).expect("a reply");
            let header = reply_header(&frame).expect("a header");
            assert_eq!((header.xid, header.error), (xid, 0));
        }
        assert!(sender.is_finished() || sender.thread().id() != std::thread::current().id());
    }
    for (_, sender) in writers {
        sender.join().expect("the sender").expect("all is sent");
    }
    client.is_served();
    assert_grown_by_at_most(&server, before, 256 * MEGABYTE, "160 writes of a megabyte on 20 connections");
}

/// Words whose answers are long, asked by many who do not read.
#[test]
fn a_flood_of_words_with_slow_readers() {
    let options = Options::usual().line("maxClientCnxns", "0").property("zookeeper.nio.sessionlessCnxnTimeout", "3000");
    let (server, mut client) = start(&options);
    let mut watcher = Client::new(&server);
    for chunk in 0..100 {
        let paths: Vec<String> = (0..1000).map(|at| format!("/a/rather/long/path/that/is/printed/again/and/again/{chunk}/{at}")).collect();
        let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
        watcher.ask(&request::set_watches(i64::MAX, &[&[], &paths, &[]]));
    }
    let answer = four_letter(server.address(), b"wchp").expect("an answer");
    assert!(answer.len() > 5_000_000, "{}", answer.len());
    client.is_served();
    let before = resident(&server);
    let askers: Vec<TcpStream> = (0..200)
        .map(|_| {
            let mut stream = TcpStream::connect(server.address()).expect("a socket");
            stream.write_all(b"wchp").expect("sent");
            stream
        })
        .collect();
    let start = Instant::now();
    let mut most = 0;
    // Until the deadline has closed them all, short words and requests are answered.
    loop {
        client.is_served();
        assert!(four_letter(server.address(), b"srvr").expect("an answer").contains("Mode:"));
        most = most.max(resident(&server).saturating_sub(before));
        if mntr(&server, "zk_num_alive_connections") <= 4 {
            break;
        }
        assert!(start.elapsed() < PATIENCE, "slow readers stay for ever");
    }
    println!("200 unread answers of 7 MB: {} MB", most / MEGABYTE);
    assert!(most <= 256 * MEGABYTE, "{} MB", most / MEGABYTE);
    for mut asker in askers {
        asker.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let _ = asker.read_to_end(&mut Vec::new());
    }
    watcher.ask(&request::read(op::EXISTS, "/served", false));
}
