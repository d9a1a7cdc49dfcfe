//! Sessions survive the leader: thousands of clients with a watch each, spread over three servers of ours, of which the one
//! that leads is killed. All of them come back to another with their watch, none expires, and each watch fires.
//!
//! The clients are raw connections that one thread looks after, so that it is the servers that are tried. With
//! `OXKEEPER_CASES=all` there are 10,000 of them.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};

use oxkeeper_compat_tests::connection::{Connect, Connected};
use oxkeeper_compat_tests::ensemble::{Ensemble, PATIENCE, Plan, ours};
use oxkeeper_compat_tests::load::Session;
use oxkeeper_compat_tests::pen::Pen;
use oxkeeper_compat_tests::wire::{Reader, Request, op, reply_header, request};
use oxkeeper_net::mio::net::TcpStream;
use oxkeeper_net::mio::{Events, Interest, Poll, Token};

/// Nodes that the clients wait for, each for one.
const NODES: usize = 100;
const TIMEOUT_MS: i32 = 60_000;
/// A client is heard of so often.
const PING: Duration = Duration::from_secs(15);
/// Between two attempts to connect, as ZooKeeper's clients wait.
const PAUSE: Duration = Duration::from_millis(500);
/// Clients that connect at the same time: what a server's backlog takes.
const CONNECTING: usize = 200;

/// What a client waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// To be connected, not before this moment.
    Away(Instant),
    /// The answer to its connect request.
    Connecting,
    /// The answer to the request that sets its watch.
    Watching,
    /// Its node.
    Waiting,
    /// Nothing more: the watch has fired.
    Fired,
}

struct Client {
    stage: Stage,
    stream: Option<TcpStream>,
    input: Vec<u8>,
    session: Option<Session>,
    last_zxid: i64,
    /// The server that it tries next.
    next: usize,
    /// It has come back so often.
    returns: u32,
    pinged: Instant,
}

/// All of them.
struct Crowd {
    poll: Poll,
    clients: Vec<Client>,
    servers: Vec<SocketAddr>,
}

impl Crowd {
    fn new(count: usize, servers: &[SocketAddr]) -> Crowd {
        let now = Instant::now();
        let client = |index: usize| Client {
            stage: Stage::Away(now),
            stream: None,
            input: Vec::new(),
            session: None,
            last_zxid: 0,
            next: index % servers.len(),
            returns: 0,
            pinged: now,
        };
        Crowd { poll: Poll::new().expect("epoll"), clients: (0..count).map(client).collect(), servers: servers.to_vec() }
    }

    fn count(&self, is_wanted: impl Fn(&Client) -> bool) -> usize {
        self.clients.iter().filter(|client| is_wanted(client)).count()
    }

    /// Looks after the clients until this is true of all of them.
    fn run_until(&mut self, what: &str, is_done: impl Fn(&Client) -> bool) {
        let begun = Instant::now();
        let mut events = Events::with_capacity(1024);
        while self.count(&is_done) < self.clients.len() {
            let stages: Vec<Stage> = self.clients.iter().filter(|client| !is_done(client)).map(|client| client.stage).take(5).collect();
            assert!(begun.elapsed() < PATIENCE, "{what}: {} of {}; some others: {stages:?}", self.count(&is_done), self.clients.len());
            self.connect_some();
            self.ping();
            self.poll.poll(&mut events, Some(Duration::from_millis(20))).expect("epoll");
            for index in events.iter().map(|event| event.token().0).collect::<Vec<_>>() {
                if self.read(index).is_none() {
                    self.lose(index);
                }
            }
        }
    }

    fn lose(&mut self, index: usize) {
        let client = &mut self.clients[index];
        if let Some(mut stream) = client.stream.take() {
            let _ = self.poll.registry().deregister(&mut stream);
        }
        client.input.clear();
        client.next += 1;
        client.stage = Stage::Away(Instant::now() + PAUSE);
    }

    fn connect_some(&mut self) {
        let now = Instant::now();
        let room = CONNECTING.saturating_sub(self.count(|client| matches!(client.stage, Stage::Connecting)));
        let is_due = |client: &Client| matches!(client.stage, Stage::Away(at) if at <= now);
        let due: Vec<usize> = (0..self.clients.len()).filter(|index| is_due(&self.clients[*index])).take(room).collect();
        for index in due {
            if self.connect(index).is_none() {
                self.lose(index);
            }
        }
    }

    fn connect(&mut self, index: usize) -> Option<()> {
        let client = &mut self.clients[index];
        let mut stream =
            std::net::TcpStream::connect_timeout(&self.servers[client.next % self.servers.len()], Duration::from_secs(5)).ok()?;
        let connect = Connect {
            last_zxid_seen: client.last_zxid,
            timeout_ms: TIMEOUT_MS,
            session: client.session.as_ref().map_or(0, |session| session.id),
            password: Some(client.session.as_ref().map_or(vec![0; 16], |session| session.password.clone())),
            ..Connect::default()
        };
        stream.write_all(&connect.frame()).ok()?;
        stream.set_nonblocking(true).ok()?;
        let mut stream = TcpStream::from_std(stream);
        self.poll.registry().register(&mut stream, Token(index), Interest::READABLE).ok()?;
        (client.stream, client.stage) = (Some(stream), Stage::Connecting);
        Some(())
    }

    fn ping(&mut self) {
        for client in &mut self.clients {
            if matches!(client.stage, Stage::Waiting | Stage::Fired) && client.pinged.elapsed() > PING {
                client.send(-2, &request::ping());
                client.pinged = Instant::now();
            }
        }
    }

    /// Reads what there is; `None`: the connection is lost.
    fn read(&mut self, index: usize) -> Option<()> {
        let client = &mut self.clients[index];
        let mut scratch = [0; 4096];
        loop {
            match client.stream.as_mut()?.read(&mut scratch) {
                Ok(0) => return None,
                Ok(count) => client.input.extend_from_slice(&scratch[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => return None,
            }
        }
        let mut frames = VecDeque::new();
        while let Some(length) = client.input.get(..4).map(|bytes| i32::from_be_bytes(bytes.try_into().expect("four")) as usize)
            && client.input.len() >= 4 + length
        {
            frames.push_back(client.input[4..4 + length].to_vec());
            client.input.drain(..4 + length);
        }
        frames.iter().for_each(|frame| client.take(index, frame));
        Some(())
    }
}

impl Client {
    fn send(&mut self, xid: i32, request: &Request) {
        // Short, on a socket that has nothing else to do; a lost connection shows when it is read.
        let _ = self.stream.as_mut().map(|stream| stream.write_all(&request.frame(xid)));
    }

    fn take(&mut self, index: usize, frame: &[u8]) {
        if self.stage == Stage::Connecting {
            let answer = Connected::parse(frame).expect("a connect response");
            assert_ne!(answer.session, 0, "client {index}: session {:x?} has expired", self.session);
            if let Some(session) = &self.session {
                assert_eq!(session.id, answer.session, "client {index} was given another session");
                self.returns += 1;
            }
            self.session = Some(Session { id: answer.session, password: answer.password });
            self.pinged = Instant::now();
            let path = path(index);
            let watch = match self.returns {
                0 => request::read(op::EXISTS, &path, true),
                _ => request::set_watches(self.last_zxid, &[&[], &[&path], &[]]),
            };
            self.stage = Stage::Watching;
            return self.send(if self.returns == 0 { 1 } else { -8 }, &watch);
        }
        let header = reply_header(frame).expect("a header");
        self.last_zxid = self.last_zxid.max(header.zxid);
        if header.xid == -1 {
            let mut reader = Reader::new(&frame[16..]);
            let (kind, _, found) = (reader.int().expect("type"), reader.int().expect("state"), reader.buffer().expect("path"));
            assert_eq!((kind, found), (1, Some(path(index).as_bytes())), "client {index}: another event");
            assert_eq!(self.stage, Stage::Waiting, "client {index}: an event that was not waited for");
            self.stage = Stage::Fired;
        } else if self.stage == Stage::Watching {
            self.stage = Stage::Waiting;
        }
    }
}

fn path(index: usize) -> String {
    format!("/watched{}", index % NODES)
}

#[test]
fn sessions_and_their_watches_survive_the_leader() {
    let count = if std::env::var("OXKEEPER_CASES").is_ok_and(|wanted| wanted == "all") { 10_000 } else { 2_000 };
    let raised = Command::new("prlimit").args(["--pid", &std::process::id().to_string(), &format!("--nofile={}:", count + 2000)]).status();
    assert!(raised.expect("prlimit of util-linux runs").success(), "{count} open files are not to be had: raise the hard limit");
    let plan = Plan::new(&[ours(); 3], &[]).line("maxClientCnxns", "0");
    let mut ensemble = Ensemble::new("sessions", &plan);
    ensemble.start_led_by(2);
    let mut crowd = Crowd::new(count, &ensemble.addresses());
    crowd.run_until("with a session and a watch", |client| client.stage == Stage::Waiting);
    for index in ensemble.everyone() {
        let watches: usize = ensemble.monitor(index)["watch_count"].parse().expect("a number");
        assert!(watches >= NODES / 3, "server {} has clients with watches: {watches}", index + 1);
    }

    let begun = Instant::now();
    ensemble.kill(2);
    crowd.run_until("back with their watches", |client| client.stage == Stage::Waiting && client.returns > 0);
    println!("  {count} clients were back {:.1} s after the leader's death", begun.elapsed().as_secs_f64());
    let leader = ensemble.wait_for_leader();
    let mut pen = Pen::open(&ensemble, leader, "watched");
    for node in 0..NODES as i32 {
        pen.xid += 1;
        pen.connection.send(&request::create(&path(node as usize), "").frame(pen.xid));
        pen.connection.receive(PATIENCE).expect("an answer");
    }
    crowd.run_until("told of their node", |client| client.stage == Stage::Fired);
    let monitor = ensemble.monitor(leader);
    assert_eq!(monitor["stale_sessions_expired"], "0", "sessions have expired");
    assert_eq!(monitor["global_sessions"], (count + 1).to_string(), "the leader knows them all, and the pen's");
}
