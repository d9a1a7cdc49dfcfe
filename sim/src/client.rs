//! A client that keeps writing: the real machine of `crates/client` on virtual time, and what it was told. The machine
//! chooses the server, resumes the session, sets its watches again, pings, and loses patience; the world carries its
//! frames, one at a time. Its xids go on over reconnects, so that session and cxid name one write for good.

use crate::hearing::{Answer, Hearing, Read, Table};
use crate::random::Random;
use crate::trace::trace;
use oxkeeper_client::{
    AclRef, AddWatchMode, Chroot, Client as Machine, Completion, CreateMode, HostPort, Input, MultiOp, Operation, Options, Output,
    PendingRequests, State, WatchEvent, WatcherId, reply,
};
use oxkeeper_proto::{ErrorCode, OpCode, SessionId};
use std::collections::VecDeque;
use std::net::Ipv4Addr;

/// The shortest session timeout, and how much longer one may be.
const SESSION_TIMEOUT_MS: u64 = 4000;
const SESSION_TIMEOUT_SPREAD_MS: u64 = 12_000;
/// Client ports of the servers, which are numbered from 0.
const FIRST_PORT: u16 = 4001;
const MOST_UNANSWERED: usize = 24;
/// Of a frame's length.
const PREFIX_BYTES: usize = 4;

/// What a client learned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// A write took effect, or failed, under this zxid.
    Write { session: SessionId, xid: i32, zxid: i64, error: i32 },
    /// The server is at this zxid.
    Zxid(i64),
    /// The session is its own now.
    Session(SessionId),
    /// The session that it asked for is gone.
    NoSession(SessionId),
}

/// Where the client stands with its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    /// No connection.
    Down,
    /// Asked for a session.
    Asking { front: usize, slot: u32 },
    /// Has one.
    Up { front: usize, slot: u32 },
}

/// A request that was not answered.
struct Unanswered {
    xid: i32,
    op: OpCode,
    /// A read's.
    read: Option<Reading>,
    /// A sync's: what anybody had been told of when it was asked for.
    least_zxid: Option<i64>,
}

/// A read that was asked for, and whether it leaves a watch.
struct Reading {
    path: String,
    what: What,
    watch: bool,
}

#[derive(Clone, Copy)]
enum What {
    Data,
    Exists,
    Children,
    /// No read but a watch that stays.
    Stays(AddWatchMode),
}

/// Who is told: of one-shot watches, of those that stay, and of those that stay for all below.
const ONCE: WatcherId = WatcherId(1);
const AGAIN: WatcherId = WatcherId(2);
const BELOW: WatcherId = WatcherId(3);

/// See the module.
pub struct Client {
    index: usize,
    servers: usize,
    seed: u64,
    machine: Machine,
    pub line: Line,
    pub session: SessionId,
    /// The server reads the connection.
    pub readable: bool,
    /// The server that the machine wants a connection to.
    pub wanted: Option<usize>,
    /// A connection that the machine has let go and the world has not yet.
    dropped: Option<(usize, u32)>,
    next_xid: i32,
    number: u64,
    unanswered: VecDeque<Unanswered>,
    /// The xid of the end of the session that was asked for.
    closing: Option<i32>,
    /// And was confirmed.
    has_ended: bool,
    seen_zxid: i64,
    /// What it has read and what its watches have told.
    pub hearing: Hearing,
    /// It asks for nothing more.
    pub is_done: bool,
    /// Watches that were told, connections that the machine gave up by itself, and syncs that were answered.
    pub events: usize,
    pub given_up: usize,
    pub syncs: usize,
}

impl Client {
    /// A client without a session, of so many servers.
    pub fn new(index: usize, servers: usize, seed: u64) -> Self {
        Self {
            index,
            servers,
            seed,
            machine: machine(0, servers, seed, SessionId::NONE, 1),
            line: Line::Down,
            session: SessionId::NONE,
            readable: true,
            wanted: None,
            dropped: None,
            next_xid: 1,
            number: 0,
            unanswered: VecDeque::new(),
            closing: None,
            has_ended: false,
            seen_zxid: 0,
            hearing: Hearing::of(index),
            is_done: false,
            events: 0,
            given_up: 0,
            syncs: 0,
        }
    }

    /// When [`Client::tick`] has something to do.
    pub fn next_timer_ms(&self) -> Option<u64> {
        // Nobody waits for one that is done.
        let is_over = self.is_done && self.line == Line::Down;
        if is_over { None } else { self.machine.next_timer_ms() }
    }

    /// Time has passed.
    pub fn tick(&mut self, now_ms: u64) {
        let was_up = self.line != Line::Down;
        let told = self.bring(now_ms, Input::Tick);
        assert_eq!(told, [], "time alone tells nothing");
        self.given_up += usize::from(was_up && self.line == Line::Down);
    }

    /// A connection that the machine has let go: the server's side is to be told.
    pub fn take_dropped(&mut self) -> Option<(usize, u32)> {
        self.dropped.take()
    }

    /// The server that it wanted has accepted; what it says first waits as a frame.
    pub fn connect(&mut self, now_ms: u64, front: usize, slot: u32) {
        self.line = Line::Asking { front, slot };
        self.readable = true;
        self.wanted = None;
        let told = self.bring(now_ms, Input::LinkUp);
        assert_eq!(told, [], "a connection alone tells nothing");
    }

    /// The server that it wanted does not accept.
    pub fn refused(&mut self, now_ms: u64) {
        self.wanted = None;
        self.bring(now_ms, Input::LinkDown { errno: 111, reason: "Connection refused", tls: false });
    }

    /// The connection is gone.
    pub fn hung_up(&mut self, now_ms: u64) {
        if self.line != Line::Down {
            self.line = Line::Down;
            self.bring(now_ms, Input::LinkDown { errno: 104, reason: "Connection reset by peer", tls: false });
        }
    }

    /// The next frame for the server, without its length.
    pub fn frame(&mut self, now_ms: u64) -> Option<Vec<u8>> {
        if self.line == Line::Down || !self.readable {
            return None;
        }
        let unsent = self.machine.unsent();
        let length = u32::from_be_bytes(*unsent.first_chunk()?) as usize;
        let frame = unsent[PREFIX_BYTES..PREFIX_BYTES + length].to_vec();
        self.machine.sent(now_ms, PREFIX_BYTES + length);
        Some(frame)
    }

    /// Whether it may ask for more.
    pub fn can_ask(&self) -> bool {
        self.readable && !self.is_done && self.closing.is_none() && self.unanswered.len() < MOST_UNANSWERED
    }

    /// Asks for something; it waits as a frame. `told` is the highest zxid that any client has been told.
    pub fn ask(&mut self, now_ms: u64, random: &mut Random, told: i64) {
        self.number += 1;
        let number = self.number;
        let (index, node) = (self.index, random.below(12));
        let own = format!("/client{index}");
        let some = format!("{own}/n{node}");
        let size = [0, 10, 300, 700, 3000][random.below(5) as usize];
        let data = vec![b'a' + (number % 26) as u8; size as usize];
        match random.below(100) {
            _ if number == 1 => self.create(now_ms, &own, &data, CreateMode::PERSISTENT),
            0..25 => self.create(now_ms, &some, &data, CreateMode::PERSISTENT),
            25..50 => self.set(now_ms, &some, &data),
            50..60 => self.submit(now_ms, &Operation::Delete { path: some.as_bytes(), version: -1 }, OpCode::DELETE, None),
            60..65 => self.create(now_ms, &format!("{own}/n{node}/s-"), &data, CreateMode::PERSISTENT_SEQUENTIAL),
            65..72 => self.create(now_ms, &format!("{own}/n{}", 20 + node), &data, CreateMode::EPHEMERAL),
            72..75 => self.create(now_ms, &format!("/shared{}", random.below(4)), &data, CreateMode::EPHEMERAL),
            75..81 => self.multi(now_ms, random, &own),
            81..85 => self.ask_watched(now_ms, random, &data),
            95..97 => self.sync(now_ms, &own, told),
            85..95 => {
                // Now and then what another client writes.
                let whose = if random.one_in(3) { random.below(4) } else { index as u64 };
                let path = match random.below(6) {
                    0 => format!("/shared{}", random.below(4)),
                    1..4 => format!("/client{whose}"),
                    _ => format!("/client{whose}/n{node}"),
                };
                let what = [What::Data, What::Data, What::Exists, What::Children][random.below(4) as usize];
                let watch = random.one_in(2);
                self.read(now_ms, path, what, watch, random.one_in(2));
            }
            97 if random.one_in(3) => {
                self.closing = Some(self.next_xid);
                self.next_xid += 1;
                self.machine.close(now_ms, PendingRequests::Await);
            }
            _ => self.set(now_ms, &own, &data),
        }
        let told = self.drain(now_ms);
        assert_eq!(told, [], "a question alone tells nothing");
    }

    /// Asks to be brought up to date; it waits as a frame.
    pub fn ask_for_sync(&mut self, now_ms: u64, told: i64) {
        self.sync(now_ms, "/", told);
        let told = self.drain(now_ms);
        assert_eq!(told, [], "a question alone tells nothing");
    }

    /// Asks for another ensemble; it waits as a frame.
    pub fn reconfigure(&mut self, now_ms: u64, joining: Option<&str>, leaving: Option<&str>, members: Option<&str>, from_config: i64) {
        let [joining, leaving, members] = [joining, leaving, members].map(|text| text.map(str::as_bytes));
        let operation = Operation::Reconfig { joining, leaving, members, from_config };
        self.submit(now_ms, &operation, OpCode::RECONFIG, None);
        let told = self.drain(now_ms);
        assert_eq!(told, [], "a question alone tells nothing");
    }

    /// Something about the znodes that have watches that stay, and those alone.
    fn ask_watched(&mut self, now_ms: u64, random: &mut Random, data: &[u8]) {
        let top = format!("/watched{}", random.below(2));
        let below = format!("{top}/n{}", random.below(3));
        let path = if random.one_in(2) { top.clone() } else { below.clone() };
        match random.below(8) {
            0 => self.create(now_ms, &top, data, CreateMode::PERSISTENT),
            1..3 => self.create(now_ms, &below, data, if random.one_in(2) { CreateMode::EPHEMERAL } else { CreateMode::PERSISTENT }),
            3 => self.submit(now_ms, &Operation::Delete { path: path.as_bytes(), version: -1 }, OpCode::DELETE, None),
            4..6 => self.set(now_ms, &path, data),
            6 => self.read(now_ms, path, What::Children, false, true),
            _ => {
                let is_recursive = random.one_in(2);
                let mode = if is_recursive { AddWatchMode::PersistentRecursive } else { AddWatchMode::Persistent };
                let watcher = if is_recursive { BELOW } else { AGAIN };
                let operation = Operation::AddWatch { path: top.as_bytes(), mode, watcher };
                // One znode has the one, the other has the other.
                if (top == "/watched0") == is_recursive {
                    let read = Some(Reading { path: top.clone(), what: What::Stays(mode), watch: true });
                    self.submit(now_ms, &operation, OpCode::ADD_WATCH, read);
                }
            }
        }
    }

    fn read(&mut self, now_ms: u64, path: String, what: What, watch: bool, with_stat: bool) {
        let (named, watcher) = (path.clone(), watch.then_some(ONCE));
        let path = named.as_bytes();
        let (operation, op) = match what {
            What::Data => (Operation::GetData { path, watch: watcher }, OpCode::GET_DATA),
            What::Exists => (Operation::Exists { path, watch: watcher }, OpCode::EXISTS),
            What::Children if with_stat => (Operation::GetChildren { path, watch: watcher, with_stat }, OpCode::GET_CHILDREN2),
            What::Children => (Operation::GetChildren { path, watch: watcher, with_stat }, OpCode::GET_CHILDREN),
            What::Stays(_) => unreachable!("no read"),
        };
        self.submit(now_ms, &operation, op, Some(Reading { path: named.clone(), what, watch }));
    }

    fn sync(&mut self, now_ms: u64, path: &str, told: i64) {
        self.submit(now_ms, &Operation::Sync { path: path.as_bytes() }, OpCode::SYNC, None);
        self.unanswered.back_mut().expect("it was put there just now").least_zxid = Some(told);
    }

    fn submit(&mut self, now_ms: u64, operation: &Operation<'_>, op: OpCode, read: Option<Reading>) {
        let xid = self.next_xid;
        self.next_xid += 1;
        self.unanswered.push_back(Unanswered { xid, op, read, least_zxid: None });
        self.machine.submit(now_ms, xid as u64, operation).expect("the session is open");
    }

    fn create(&mut self, now_ms: u64, path: &str, data: &[u8], mode: CreateMode) {
        let acl = Some(AclRef::OPEN);
        let operation = Operation::Create { path: path.as_bytes(), data: Some(data), acl, mode, ttl_ms: -1, with_stat: false };
        self.submit(now_ms, &operation, OpCode::CREATE, None);
    }

    fn set(&mut self, now_ms: u64, path: &str, data: &[u8]) {
        self.submit(now_ms, &Operation::SetData { path: path.as_bytes(), data: Some(data), version: -1 }, OpCode::SET_DATA, None);
    }

    fn multi(&mut self, now_ms: u64, random: &mut Random, own: &str) {
        let parts: Vec<(u64, String)> =
            (0..1 + random.below(3)).map(|_| (random.below(3), format!("{own}/n{}", random.below(12)))).collect();
        let data = Some(&b"multi"[..]);
        let operations: Vec<MultiOp<'_>> = parts
            .iter()
            .map(|(kind, path)| match kind {
                0 => MultiOp::Create {
                    path: path.as_bytes(),
                    data,
                    acl: Some(AclRef::OPEN),
                    mode: CreateMode::PERSISTENT,
                    ttl_ms: -1,
                    with_stat: false,
                },
                1 => MultiOp::SetData { path: path.as_bytes(), data, version: -1 },
                _ => MultiOp::SetData { path: own.as_bytes(), data, version: -1 },
            })
            .collect();
        self.submit(now_ms, &Operation::Multi(&operations), OpCode::MULTI, None);
    }

    /// Takes whole frames from the server.
    ///
    /// # Panics
    /// When they are not what is owed.
    pub fn receive(&mut self, now_ms: u64, bytes: &[u8]) -> Vec<Told> {
        let end = self.hear_the_end(bytes);
        // The machine gets them in two pieces.
        let (first, second) = bytes.split_at(bytes.len() / 2);
        let mut told = self.bring(now_ms, Input::Received(first));
        told.extend(self.bring(now_ms, Input::Received(second)));
        told.extend(end);
        told
    }

    /// The machine does not tell under which zxid a session ended.
    fn hear_the_end(&mut self, mut bytes: &[u8]) -> Option<Told> {
        let closing = self.closing?;
        while !bytes.is_empty() {
            let length = u32::from_be_bytes(bytes[..4].try_into().expect("four bytes")) as usize;
            let (frame, rest) = bytes[PREFIX_BYTES..].split_at(length);
            let mut r = oxkeeper_proto::Reader::new(frame);
            let (xid, zxid, error) = (r.int().expect("xid"), r.long().expect("zxid"), r.int().expect("error"));
            if xid == closing {
                self.has_ended = error == 0;
                return Some(Told::Write { session: self.session, xid, zxid, error });
            }
            bytes = rest;
        }
        None
    }

    /// Tells the machine what happened, does what it says, and gives what it was told.
    fn bring(&mut self, now_ms: u64, input: Input<'_>) -> Vec<Told> {
        self.machine.handle(now_ms, input);
        self.drain(now_ms)
    }

    fn drain(&mut self, now_ms: u64) -> Vec<Told> {
        let mut told = Vec::new();
        let mut is_over = false;
        let Self { machine, index, line, session, wanted, dropped, unanswered, seen_zxid, hearing, events, syncs, .. } = self;
        while let Some(output) = machine.poll() {
            match output {
                Output::Connect(address) => *wanted = Some(usize::from(address.port() - FIRST_PORT)),
                Output::Disconnect => {
                    *wanted = None;
                    if let Line::Asking { front, slot } | Line::Up { front, slot } = *line {
                        *dropped = Some((front, slot));
                        *line = Line::Down;
                    }
                }
                Output::Completed(completion) => {
                    let asked = unanswered.pop_front().expect("no completion without a request");
                    assert_eq!(completion.tag, asked.xid as u64, "client {index}: completions come in the order of the requests");
                    if completion.zxid >= 0 {
                        assert!(completion.zxid >= *seen_zxid, "client {index}: zxid {:#x} after {seen_zxid:#x}", completion.zxid);
                        *seen_zxid = completion.zxid;
                        trace!("   client {index}: {:?} is answered at {:#x}: {}", asked.op, completion.zxid, completion.error.0);
                        if let Some(least) = asked.least_zxid.filter(|_| completion.error == ErrorCode::OK) {
                            let zxid = completion.zxid;
                            assert!(zxid >= least, "client {index}: synchronised to {zxid:#x}, and {least:#x} had been told");
                            *syncs += 1;
                        }
                        told.push(answered(&asked, &completion, *session));
                        hear(hearing, &asked, &completion);
                    }
                }
                Output::Watch(event) => {
                    trace!("   client {index}: told {:?} {} at {}", event.kind, String::from_utf8_lossy(event.path), event.zxid);
                    *events += 1;
                    told.extend(told_of(&event, hearing));
                }
                Output::Session(event) => match event.state {
                    State::Connected => {
                        assert!(
                            *session == SessionId::NONE || *session == event.session,
                            "client {index}: another session than was asked for"
                        );
                        *session = event.session;
                        hearing.reconnected();
                        if let Line::Asking { front, slot } = *line {
                            *line = Line::Up { front, slot };
                        }
                        told.push(Told::Session(event.session));
                    }
                    State::Expired => {
                        told.push(Told::NoSession(*session));
                        *session = SessionId::NONE;
                        is_over = true;
                    }
                    State::Connecting => {}
                    other => panic!("client {index}: {other:?}"),
                },
                Output::Closed => is_over = true,
                Output::Log(..) => {}
                other => panic!("client {index}: nobody asked for {other:?}"),
            }
        }
        if is_over {
            self.begin_again(now_ms);
        }
        told
    }

    /// The machine is over: another takes its place, with its session where that may live on.
    fn begin_again(&mut self, now_ms: u64) {
        assert!(self.unanswered.is_empty(), "client {}: requests that were never completed", self.index);
        if std::mem::take(&mut self.has_ended) {
            self.session = SessionId::NONE;
        }
        if self.session == SessionId::NONE {
            self.next_xid = 1;
        }
        self.closing = None;
        self.seen_zxid = 0;
        self.hearing.ended();
        self.seed = self.seed.wrapping_add(1);
        self.machine = machine(now_ms, self.servers, self.seed, self.session, self.next_xid);
    }
}

fn machine(now_ms: u64, servers: usize, seed: u64, session: SessionId, first_xid: i32) -> Machine {
    let hosts = (0..servers).map(|at| HostPort { host: Ipv4Addr::LOCALHOST.to_string(), port: FIRST_PORT + at as u16 }).collect();
    let timeout_ms = SESSION_TIMEOUT_MS + seed % SESSION_TIMEOUT_SPREAD_MS;
    let mut options = Options::new(hosts, Chroot::default(), timeout_ms as i32, seed);
    if session != SessionId::NONE {
        options.session = session;
        options.password = session.password();
    }
    options.first_xid = first_xid;
    Machine::new(now_ms, options)
}

fn answered(asked: &Unanswered, completion: &Completion<'_>, session: SessionId) -> Told {
    if asked.read.is_some() || asked.op == OpCode::SYNC {
        return Told::Zxid(completion.zxid);
    }
    if asked.op == OpCode::RECONFIG {
        trace!("   an answer to a reconfiguration: {} at {:#x}", completion.error.0, completion.zxid);
    }
    Told::Write { session, xid: asked.xid, zxid: completion.zxid, error: completion.error.0 }
}

/// Notes what a reply says.
fn hear(hearing: &mut Hearing, asked: &Unanswered, completion: &Completion<'_>) {
    hearing.replied(completion.zxid);
    let Some(Reading { path, what, watch }) = &asked.read else { return };
    let is_there = match completion.error {
        ErrorCode::OK => true,
        ErrorCode::NO_NODE => false,
        _ => return,
    };
    let body = completion.body;
    let answer = match what {
        What::Stays(mode) => return hearing.stays(path, *mode == AddWatchMode::PersistentRecursive),
        _ if !is_there => Answer::NoNode,
        What::Exists => Answer::Stat(reply::stat(body).expect("a Stat")),
        What::Data => {
            let (data, stat) = reply::data(body).expect("data and a Stat");
            Answer::Data(data.map(<[u8]>::to_vec), stat)
        }
        What::Children => {
            let (names, stat) = reply::strings(body).expect("names");
            let mut names: Vec<String> = names.map(|name| String::from_utf8(name.to_vec()).expect("a name")).collect();
            names.sort();
            Answer::Children(names, stat)
        }
    };
    hearing.reads.push(Read { zxid: completion.zxid, path: path.clone(), answer });
    let table = match what {
        What::Exists if !is_there => Some(Table::Exist),
        What::Data | What::Exists => Some(Table::Node),
        _ => Some(Table::Child),
    };
    if let Some(table) = table.filter(|table| *watch && (is_there || *table == Table::Exist)) {
        hearing.armed(table, path);
    }
}

fn told_of(event: &WatchEvent<'_>, hearing: &mut Hearing) -> Option<Told> {
    let path = std::str::from_utf8(event.path).expect("as it was asked for");
    for watcher in event.watchers {
        match *watcher {
            ONCE => hearing.told(event.kind, path, event.zxid),
            watcher => hearing.told_again(event.kind, path, event.zxid, watcher == BELOW),
        }
    }
    (event.zxid >= 0).then_some(Told::Zxid(event.zxid))
}
