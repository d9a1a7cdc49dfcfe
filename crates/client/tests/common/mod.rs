//! A client and a server that is played by the test: what the machine asks for is written down, and what it sends is cut
//! into frames.

#![allow(dead_code, reason = "each test file uses its own part")]

use oxkeeper_client::{Chroot, Client, ConnectString, Input, Operation, Options, Output, State, SubmitError, WatcherId};
use oxkeeper_proto::{ErrorCode, OpCode, SessionId, Write};
use std::collections::VecDeque;
use std::net::SocketAddr;

/// An output, kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    Resolve(usize),
    Connect(SocketAddr),
    StartTls(SocketAddr),
    Disconnect,
    Probe(SocketAddr),
    SaslStart,
    SaslToken(Vec<u8>),
    Completed(u64, i32, Vec<u8>),
    Watch(i32, String, Vec<u128>),
    Session(State, Vec<u128>),
    Closed,
}

pub const TIMEOUT_MS: u64 = 6000;
pub const SESSION: i64 = 0x1234_5678;

pub struct World {
    pub client: Client,
    pub now_ms: u64,
    pub seen: VecDeque<Seen>,
    pub log: Vec<String>,
}

pub fn options(connect_string: &str) -> Options {
    let parsed = ConnectString::parse_like_c(connect_string.as_bytes()).expect("a good list");
    let mut options = Options::new(parsed.hosts, parsed.chroot, TIMEOUT_MS as i32, 1);
    options.shuffle = false;
    options.default_watcher = WatcherId(1000);
    options
}

impl World {
    pub fn new(options: Options) -> Self {
        let mut world = Self { client: Client::new(0, options), now_ms: 0, seen: VecDeque::new(), log: Vec::new() };
        world.input(Input::Tick);
        world
    }

    /// One server, open.
    pub fn open(connect_string: &str) -> Self {
        let mut world = Self::new(options(connect_string));
        assert!(matches!(world.next(), Seen::Connect(_)));
        world.accept(SESSION, false);
        assert_eq!(world.next(), Seen::Session(State::Connected, vec![1000]));
        world.assert_quiet();
        world
    }

    pub fn input(&mut self, input: Input<'_>) {
        self.client.handle(self.now_ms, input);
        self.drain();
    }

    pub fn drain(&mut self) {
        while let Some(output) = self.client.poll() {
            let seen = match output {
                Output::Resolve(hosts) => Seen::Resolve(hosts.len()),
                Output::Connect(address) => Seen::Connect(address),
                Output::StartTls(address) => Seen::StartTls(address),
                Output::Disconnect => Seen::Disconnect,
                Output::Probe(address) => Seen::Probe(address),
                Output::SaslStart(_) => Seen::SaslStart,
                Output::SaslToken(token) => Seen::SaslToken(token.to_vec()),
                Output::Completed(c) => Seen::Completed(c.tag, c.error.0, c.body.to_vec()),
                Output::Watch(e) => Seen::Watch(e.kind, text(e.path), e.watchers.iter().map(|w| w.0).collect()),
                Output::Session(e) => Seen::Session(e.state, e.watchers.iter().map(|w| w.0).collect()),
                Output::Closed => Seen::Closed,
                Output::Log(_, text) => {
                    self.log.push(text);
                    continue;
                }
            };
            self.seen.push_back(seen);
        }
    }

    pub fn next(&mut self) -> Seen {
        self.seen.pop_front().expect("something has come out")
    }

    pub fn assert_quiet(&self) {
        assert_eq!(self.seen, [], "nothing more has come out");
    }

    /// Lets the time pass up to the next timer, which must be there.
    pub fn until_timer(&mut self) {
        self.now_ms = self.client.next_timer_ms().expect("a timer").max(self.now_ms);
        self.input(Input::Tick);
    }

    pub fn pass(&mut self, ms: u64) {
        self.now_ms += ms;
        self.input(Input::Tick);
    }

    pub fn submit(&mut self, tag: u64, operation: &Operation<'_>) -> Result<(), SubmitError> {
        let result = self.client.submit(self.now_ms, tag, operation);
        self.drain();
        result
    }

    /// What the client has sent since the last time, without lengths.
    pub fn sent(&mut self) -> Vec<Vec<u8>> {
        let bytes = self.client.unsent().to_vec();
        self.client.sent(self.now_ms, bytes.len());
        let mut rest = &bytes[..];
        let mut frames = Vec::new();
        while !rest.is_empty() {
            let length = u32::from_be_bytes(*rest.first_chunk().expect("a length")) as usize;
            frames.push(rest[4..4 + length].to_vec());
            rest = &rest[4 + length..];
        }
        frames
    }

    /// xid and operation of what has been sent.
    pub fn sent_headers(&mut self) -> Vec<(i32, OpCode)> {
        self.sent().iter().map(|frame| header(frame)).collect()
    }

    /// Makes the link and answers the handshake; gives the connect request.
    pub fn accept(&mut self, session: i64, is_read_only: bool) -> Vec<u8> {
        self.input(Input::LinkUp);
        let sent = self.sent();
        assert_eq!(sent.len(), 1, "a connect request and nothing else");
        self.input(Input::Received(&connect_response(TIMEOUT_MS as i32, session, is_read_only)));
        sent.into_iter().next().expect("it was counted")
    }

    pub fn reply(&mut self, xid: i32, zxid: i64, error: ErrorCode, body: &[u8]) {
        self.input(Input::Received(&reply(xid, zxid, error, body)));
    }

    pub fn event(&mut self, kind: i32, path: &str) {
        self.input(Input::Received(&event(kind, path)));
    }

    pub fn link_down(&mut self) {
        self.input(Input::LinkDown { errno: 104, reason: "Connection reset by peer", tls: false });
    }
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("text")
}

pub fn header(frame: &[u8]) -> (i32, OpCode) {
    let number = |at: usize| i32::from_be_bytes(frame[at..at + 4].try_into().expect("four bytes"));
    (number(0), OpCode(number(4)))
}

pub fn frame(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    out.buffer(Some(body));
    out
}

pub fn reply(xid: i32, zxid: i64, error: ErrorCode, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    out.int(xid);
    out.long(zxid);
    out.int(error.0);
    out.extend_from_slice(body);
    frame(&out)
}

pub fn event(kind: i32, path: &str) -> Vec<u8> {
    let mut body = Vec::new();
    body.int(kind);
    body.int(3);
    body.ustring(Some(path));
    reply(-1, -1, ErrorCode::OK, &body)
}

pub fn connect_response(timeout_ms: i32, session: i64, is_read_only: bool) -> Vec<u8> {
    let mut body = Vec::new();
    body.int(0);
    body.int(timeout_ms);
    body.long(session);
    body.buffer(Some(&SessionId(session).password()));
    body.boolean(is_read_only);
    frame(&body)
}

pub fn no_chroot() -> Chroot {
    Chroot::default()
}

/// A number from a seed, for random runs that can be repeated.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}
