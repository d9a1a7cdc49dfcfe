//! Random operations over several connections at once, compared soundly although nobody knows the order in which a
//! server takes what comes in on different connections.
//!
//! The trick: a server tells the order itself. Every write's reply carries the write's own zxid, every read's reply the
//! zxid of the state it saw. So one server (the free one) is given all connections at once, 16 requests outstanding on
//! each, and its replies are sorted by zxid. In exactly that order the other server (the replaying one) gets the
//! same requests one at a time, and every reply and event must be the same, byte for byte. A free server whose
//! zxids do not describe one order, or that shows a state from the future or the past, fails as well.
//!
//! Between phases of free running are quiet moments for what names no zxid: new sessions, authentication, sessions
//! taken over, sessions that die by expiry. Hard quotas are left to the scripts: Java checks them against a tree that
//! lags behind, so their outcome is no function of the order. For the same reason lists of access change in quiet moments
//! only: a Java server checks what is queued behind a setACL against the old list while the setACL is not yet applied.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::net::SocketAddr;
use std::time::Duration;

use crate::connection::{Connect, Connected, Connection};
use crate::mask::{Names, session_password};
use crate::wire::{self, Acl, Request, acl, multi_errors, op, op_name, open, render_reply, request};

/// Connections of a run: one plain, two with identities, one super user.
pub const CONNECTIONS: usize = 4;
/// Requests outstanding on each.
pub const WINDOW: usize = 16;
/// Requests of a connection between two quiet moments.
const PHASE: usize = 64;
const PATIENCE: Duration = Duration::from_secs(20);

/// A small generator (splitmix64): the same numbers from the same seed, here and for ever.
pub struct Random {
    state: u64,
}

impl Random {
    pub fn new(seed: u64) -> Random {
        Random { state: seed }
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// True `percent` times in a hundred.
    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    /// An index, each as often as its weight says.
    fn weighted(&mut self, weights: &[usize]) -> usize {
        let mut at = self.below(weights.iter().sum());
        for (index, weight) in weights.iter().enumerate() {
            if at < *weight {
                return index;
            }
            at -= weight;
        }
        unreachable!("below the sum")
    }
}

const HASHED_U: &str = "u:Jq7wMyA/w2Vd5WIDAKdu4OIIFEQ=";

fn path(random: &mut Random) -> String {
    if random.chance(4) {
        let odd = ["/none/x", "nonsense", "/r/a/", "/", "/r//a", "", "/zookeeper", "/r/\u{1}", "/r/a/.", "/r/e/x/y"];
        return (*random.pick(&odd)).to_owned();
    }
    let mut path = "/r".to_owned();
    for _ in 0..1 + random.weighted(&[4, 4, 2]) {
        path += ["/a", "/b", "/c"][random.below(3)];
    }
    path
}

fn access(random: &mut Random) -> Vec<Acl> {
    match random.weighted(&[84, 2, 3, 2, 2, 2, 2, 3]) {
        0 => open(),
        1 => vec![acl(31, "digest", HASHED_U)],
        2 => vec![acl(1 + random.below(31) as i32, "world", "anyone")],
        3 => vec![acl(31, "auth", "")],
        4 => vec![],
        5 => vec![acl(31, "nonsense", "x")],
        6 => vec![acl(1, "world", "anyone"), acl(30, "digest", HASHED_U), acl(31, "ip", "10.0.0.0/8")],
        _ => vec![acl(29, "ip", "127.0.0.0/16"), acl(29, "ip", "127.0.0.0/16")],
    }
}

fn data(random: &mut Random) -> Option<Vec<u8>> {
    match random.below(8) {
        0 => None,
        1 => Some(vec![]),
        2 => Some(vec![b'x'; random.below(2000)]),
        _ => Some(format!("data-{}", random.below(1000)).into_bytes()),
    }
}

fn version(random: &mut Random) -> i32 {
    [-1, -1, -1, 0, 0, 1, 2, 77][random.below(8)]
}

fn create(random: &mut Random) -> Request {
    let flags = [0, 1, 2, 3, 4, 5, 9][random.weighted(&[40, 20, 10, 8, 5, 2, 2])];
    let (path, data, access) = (path(random), data(random), access(random));
    match random.weighted(&[50, 25, 12, 13]) {
        0 => request::create_as(op::CREATE, &path, data.as_deref(), &access, flags),
        1 => request::create_as(op::CREATE2, &path, data.as_deref(), &access, flags),
        2 => {
            // An ephemeral mode makes a container, which a Java server still deletes with the session if it happens
            // not to be applied when the session ends.
            let flags = if random.chance(80) || matches!(flags, 1 | 3) { 4 } else { flags };
            request::create_as(op::CREATE_CONTAINER, &path, data.as_deref(), &access, flags)
        }
        _ => {
            // With a flag that is no TTL mode only ttl >= 0: a negative one ends a Java server (hazards).
            let flags = [5, 6, 0, 9][random.weighted(&[8, 4, 1, 1])];
            let ttl_ms = if flags == 5 || flags == 6 { [1_000_000, 1, 0, -1, 1 << 40][random.weighted(&[12, 0, 1, 1, 1])] } else { 5 };
            request::create_ttl(&path, &access, flags, ttl_ms)
        }
    }
}

fn change(random: &mut Random) -> Request {
    match random.weighted(&[40, 25, 20, 15]) {
        0 => create(random),
        1 => request::delete(&path(random), version(random)),
        2 => request::set_data(&path(random), data(random).as_deref(), version(random)),
        _ => request::check(&path(random), version(random)),
    }
}

fn multi(random: &mut Random) -> Request {
    let count = 1 + random.below(4);
    let mut parts: Vec<Request> = (0..count).map(|_| change(random)).collect();
    if random.chance(4) {
        parts.push(request::read(op::DATA, &path(random), false));
    }
    request::multi(op::MULTI, &parts)
}

fn multi_read(random: &mut Random) -> Request {
    let count = random.below(4);
    let mut parts: Vec<Request> =
        (0..count).map(|_| request::read(*random.pick(&[op::DATA, op::CHILDREN]), &path(random), random.chance(30))).collect();
    if random.chance(4) {
        parts.push(change(random));
    }
    request::multi(op::MULTI_READ, &parts)
}

fn set_watches(random: &mut Random) -> Request {
    let count = [3, 5][random.below(2)];
    let lists: Vec<Vec<String>> = (0..count).map(|_| (0..random.below(3)).map(|_| path(random)).collect()).collect();
    let lists: Vec<Vec<&str>> = lists.iter().map(|list| list.iter().map(String::as_str).collect()).collect();
    let lists: Vec<&[&str]> = lists.iter().map(Vec::as_slice).collect();
    request::set_watches(*random.pick(&[0, i64::MAX]), &lists)
}

/// One request of any kind. Weights favour what changes the tree.
fn any(random: &mut Random) -> Request {
    let watch = random.chance(40);
    match random.weighted(&[24, 16, 10, 5, 8, 4, 6, 6, 4, 4, 4, 3, 4, 1, 1, 1, 1, 1, 1, 1]) {
        0 => create(random),
        1 => request::delete(&path(random), version(random)),
        2 => request::set_data(&path(random), data(random).as_deref(), version(random)),
        // Never one that succeeds: see above.
        3 => request::set_acl(&path(random), &access(random), 77),
        4 => multi(random),
        5 => multi_read(random),
        6 => request::read(op::EXISTS, &path(random), watch),
        7 => request::read(op::DATA, &path(random), watch),
        8 => request::read(op::CHILDREN, &path(random), watch),
        9 => request::read(op::CHILDREN2, &path(random), watch),
        10 => request::path(op::ACL, &path(random)),
        11 => request::add_watch(&path(random), [0, 1, 2][random.weighted(&[5, 5, 1])]),
        12 => {
            let code = *random.pick(&[op::CHECK_WATCHES, op::REMOVE_WATCHES]);
            request::watches(code, &path(random), random.below(7) as i32)
        }
        13 => set_watches(random),
        14 => request::path(op::EPHEMERALS, ["/", "/r/a", "/r/b/", ""][random.below(4)]),
        15 => request::path(op::ALL_CHILDREN_NUMBER, &path(random)),
        16 => request::path(op::SYNC, &path(random)),
        17 => request::bare(op::WHO_AM_I),
        18 => request::read(op::DATA, "/zookeeper/quota/r/zookeeper_stats", watch),
        _ => request::ping(),
    }
}

/// Conversations about what chance hardly ever asks: every operation with every flag meets every error, each on one
/// connection and in this order, below `/t`, where nobody else works. A run goes through the list again and again.
fn directed() -> Vec<Vec<Request>> {
    let mut all = Vec::new();
    for (code, flags) in [
        (op::CREATE, &[0, 1, 2, 3, 4, 5, 6, 9][..]),
        (op::CREATE2, &[0, 1, 2, 3, 4, 5, 6, 9]),
        (op::CREATE_CONTAINER, &[0, 2, 4, 5, 6, 9]),
        (op::CREATE_TTL, &[0, 5, 6, 9]),
    ] {
        for &flags in flags {
            let create = |path: &str, access: &[Acl]| match code {
                op::CREATE_TTL => request::create_ttl(path, access, flags, 1_000_000),
                _ => request::create_as(code, path, Some(b"d"), access, flags),
            };
            let creates = |name: &str| {
                let new = format!("/t/new-{code}-{flags}-{name}");
                vec![
                    create(&new, &open()),
                    create(&new, &open()),
                    create(&new, &[]),
                    create("/t/closed/x", &open()),
                    create("/t/none/x", &open()),
                    create("/t/ephemeral/x", &open()),
                    create("/t/\u{1}", &open()),
                ]
            };
            all.push(creates("alone"));
            all.push(creates("part").into_iter().map(|part| request::multi(op::MULTI, &[part])).collect());
            let behind = [request::check("/t/none", -1), create("/t/never", &open())];
            all.push(vec![request::multi(op::MULTI, &behind)]);
        }
    }
    for watch in [false, true] {
        for code in [op::EXISTS, op::DATA, op::CHILDREN, op::CHILDREN2] {
            all.push(["/t/full", "/t/hidden", "/t/none"].map(|path| request::read(code, path, watch)).to_vec());
        }
        for code in [op::DATA, op::CHILDREN] {
            let parts = ["/t/full", "/t/hidden", "/t/none"].map(|path| request::read(code, path, watch));
            all.push(vec![request::multi(op::MULTI_READ, &parts)]);
        }
    }
    for code in [op::ACL, op::ALL_CHILDREN_NUMBER] {
        all.push(["/t/full", "/t/hidden", "/t/none"].map(|path| request::path(code, path)).to_vec());
    }
    let writes = vec![
        request::create("/t/written", ""),
        request::set_data("/t/written", None, 0),
        request::set_data("/t/written", None, 77),
        request::set_data("/t/closed", None, -1),
        request::set_data("/t/none", None, -1),
        request::set_data("/t/", None, -1),
        request::check("/t/written", 1),
        request::check("/t/written", 77),
        request::check("/t/hidden", -1),
        request::check("/t/none", -1),
        request::check("/t/", -1),
        request::delete("/t/written", 77),
        request::delete("/t/full", -1),
        request::delete("/t/closed/child", -1),
        request::delete("/t/none", -1),
        request::delete("/", -1),
        request::delete("/t/written", 1),
    ];
    all.push(writes.iter().map(|part| request::multi(op::MULTI, std::slice::from_ref(part))).collect());
    all.push(writes.into_iter().filter(|write| write.op != op::CHECK).collect());
    let lists = [("/t/closed", open()), ("/t/none", open()), ("/t/", open()), ("/t/full", vec![])];
    all.push(lists.iter().map(|(path, list)| request::set_acl(path, list, 77)).collect());
    for code in [op::CHECK_WATCHES, op::REMOVE_WATCHES] {
        // Types: children, data, any, persistent, recursive, and two that there are not.
        for (kind, arm) in [
            (1, request::read(op::CHILDREN, "/t/full", true)),
            (2, request::read(op::DATA, "/t/full", true)),
            (3, request::read(op::EXISTS, "/t/full", true)),
            (4, request::add_watch("/t/full", 0)),
            (5, request::add_watch("/t/full", 1)),
            (0, request::ping()),
            (6, request::ping()),
        ] {
            let remove = request::watches(op::REMOVE_WATCHES, "/t/full", 3);
            let ask = request::watches(code, "/t/full", kind);
            all.push(vec![remove.clone(), ask.clone(), arm, ask, remove]);
        }
    }
    all
}

/// Conversations of the list in each phase: 20,000 operations go through it at least once.
const DIRECTED: usize = 2;

/// True for what takes a zxid, whether it succeeds or not.
fn takes_zxid(request: &Request) -> bool {
    matches!(
        request.op,
        op::CREATE
            | op::CREATE2
            | op::CREATE_CONTAINER
            | op::CREATE_TTL
            | op::DELETE
            | op::SET_DATA
            | op::SET_ACL
            | op::MULTI
            | op::CLOSE_SESSION
    )
}

/// What happens in a quiet moment.
#[derive(Clone, Debug)]
enum Quiet {
    /// A new session for a connection that has none.
    Begin { connection: usize, timeout_ms: i32 },
    /// The socket is dropped and the session taken over by a new one.
    TakeOver { connection: usize },
    /// The socket is dropped and the session left to expire.
    Expire { connection: usize },
    /// A request whose effect on others that are in flight Java leaves to chance.
    Ask { connection: usize, request: Box<Request> },
    /// Identities for a connection.
    Authenticate { connection: usize, data: &'static str },
    /// The super user empties the tree and lays its roots again.
    Clear,
}

/// One line of what a connection received.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Line {
    zxid: i64,
    is_event: bool,
    text: String,
}

/// A server with its connections.
struct Side {
    address: SocketAddr,
    names: Names,
    connections: Vec<Option<Connection>>,
    sessions: Vec<i64>,
    generation: Vec<u32>,
    next_xid: Vec<i32>,
    streams: Vec<Vec<Line>>,
    closes: BTreeSet<i64>,
}

type Failure = String;

/// All that a connection received, and the frames of its replies alone.
type Received = (Vec<Line>, Vec<Vec<u8>>);

impl Side {
    fn new(address: SocketAddr) -> Side {
        Side {
            address,
            names: Names::new(0),
            connections: (0..CONNECTIONS).map(|_| None).collect(),
            sessions: vec![0; CONNECTIONS],
            generation: vec![0; CONNECTIONS],
            next_xid: vec![1; CONNECTIONS],
            streams: vec![Vec::new(); CONNECTIONS],
            closes: BTreeSet::new(),
        }
    }

    fn connect(&mut self, at: usize, connect: &Connect) -> Result<Connected, Failure> {
        let mut connection = Connection::open(self.address).map_err(|error| error.to_string())?;
        connection.send(&connect.frame());
        let payload = connection.receive(PATIENCE).map_err(|silence| format!("connect: {silence:?}"))?;
        let connected = Connected::parse(&payload).map_err(|short| format!("connect: {short:?}"))?;
        self.connections[at] = Some(connection);
        self.next_xid[at] = 1;
        Ok(connected)
    }

    /// Reads up to the next reply; events go to the stream before it.
    fn reply(&mut self, at: usize, request: &Request) -> Result<Vec<u8>, Failure> {
        loop {
            let connection = self.connections[at].as_mut().ok_or("no connection")?;
            let frame = connection.receive(PATIENCE).map_err(|silence| {
                format!("connection {at}: {silence:?} instead of the reply to {} {}", op_name(request.op), request.label)
            })?;
            let header = wire::reply_header(&frame).map_err(|_| format!("short frame {}", wire::hex(&frame)))?;
            let is_event = header.xid == -1;
            let text = render_reply(request.op, &frame, &self.names);
            self.streams[at].push(Line { zxid: header.zxid, is_event, text });
            if !is_event {
                return Ok(frame);
            }
        }
    }

    fn ask(&mut self, at: usize, request: &Request) -> Result<Vec<u8>, Failure> {
        let xid = if request.op == op::PING { -2 } else { self.next_xid[at] };
        self.next_xid[at] += 1;
        self.connections[at].as_mut().ok_or("no connection")?.send(&request.frame(xid));
        self.reply(at, request)
    }

    /// A ping on every connection: all events of what has happened have then come in.
    fn settle(&mut self) -> Result<i64, Failure> {
        let mut zxid = 0;
        for at in 0..CONNECTIONS {
            if self.connections[at].is_some() {
                let ping = request::ping();
                self.connections[at].as_mut().ok_or("no connection")?.send(&ping.frame(-2));
                let frame = self.reply(at, &ping)?;
                zxid = wire::reply_header(&frame).map_or(zxid, |header| header.zxid);
            }
        }
        Ok(zxid)
    }

    fn quiet(&mut self, what: &Quiet) -> Result<Option<Vec<u8>>, Failure> {
        match what.clone() {
            Quiet::Ask { connection, request } => return self.ask(connection, &request).map(Some),
            Quiet::Begin { connection, timeout_ms } => {
                let connected = self.connect(connection, &Connect { timeout_ms, ..Connect::default() })?;
                self.generation[connection] += 1;
                self.sessions[connection] = connected.session;
                let name = format!("session-{connection}.{}", self.generation[connection]);
                self.names.name_session(connected.session, &name);
                if connected.timeout_ms != timeout_ms {
                    return Err(format!("timeout {timeout_ms} was granted as {}", connected.timeout_ms));
                }
            }
            Quiet::TakeOver { connection } => {
                let session = self.sessions[connection];
                let password = Some(session_password(session).to_vec());
                self.connections[connection] = None;
                let connected = self.connect(connection, &Connect { session, password, ..Connect::default() })?;
                if connected.session != session {
                    return Err(format!("session {session:x} could not be taken over"));
                }
            }
            Quiet::Expire { connection } => {
                let session = self.sessions[connection];
                let password = Some(session_password(session).to_vec());
                let short = Connect { session, password, timeout_ms: 1000, ..Connect::default() };
                let connected = self.connect(connection, &short)?;
                if connected.session != session || connected.timeout_ms != 1000 {
                    return Err(format!("session {session:x} to let expire: {connected:?}"));
                }
                let before = self.settle()?;
                self.connections[connection] = None;
                let start = std::time::Instant::now();
                loop {
                    std::thread::sleep(Duration::from_millis(50));
                    let mark: Vec<usize> = self.streams.iter().map(Vec::len).collect();
                    let now = self.settle()?;
                    // How many pings it took is the clock's affair: of these rounds only the events stay.
                    for (stream, mark) in self.streams.iter_mut().zip(mark) {
                        let events: Vec<Line> = stream.drain(mark..).filter(|line| line.is_event).collect();
                        stream.extend(events);
                    }
                    if now > before {
                        self.closes.insert(now);
                        self.settle()?;
                        break;
                    }
                    if start.elapsed() > PATIENCE {
                        return Err("a session does not expire".to_owned());
                    }
                }
            }
            Quiet::Authenticate { connection, data } => {
                let request = request::auth("digest", data.as_bytes());
                self.connections[connection].as_mut().ok_or("no connection")?.send(&request.frame(-4));
                self.reply(connection, &request)?;
            }
            Quiet::Clear => {
                self.remove_below("/r")?;
                self.remove_below("/t")?;
                let top = CONNECTIONS - 1;
                let nobody_may = |permissions: i32| vec![acl(31 & !permissions, "world", "anyone")];
                for create in [
                    request::create("/t", ""),
                    request::create("/t/full", ""),
                    request::create("/t/full/child", ""),
                    // All but READ is closed, then READ alone.
                    request::create_acl("/t/closed", &nobody_may(30)),
                    request::create("/t/closed/child", ""),
                    request::create_acl("/t/hidden", &nobody_may(17)),
                    request::create_flags("/t/ephemeral", 1),
                ] {
                    self.ask(top, &create)?;
                }
                for path in ["/r", "/r/a", "/r/b", "/zookeeper/quota/r"] {
                    self.ask(top, &request::create(path, ""))?;
                }
                self.ask(top, &request::create("/zookeeper/quota/r/zookeeper_limits", "count=50,bytes=5000"))?;
                self.ask(top, &request::create("/zookeeper/quota/r/zookeeper_stats", "count=0,bytes=0"))?;
            }
        }
        Ok(None)
    }

    fn remove_below(&mut self, path: &str) -> Result<(), Failure> {
        let top = CONNECTIONS - 1;
        let frame = self.ask(top, &request::read(op::CHILDREN, path, false))?;
        if let Ok(Some(mut children)) = wire::Reader::new(frame.get(16..).unwrap_or_default()).strings() {
            children.sort();
            for child in children.into_iter().flatten() {
                self.remove_below(&format!("{path}/{}", String::from_utf8_lossy(child)))?;
            }
        }
        self.ask(top, &request::delete(path, -1))?;
        Ok(())
    }

    /// The streams of the phase that ends, events of one dying session sorted among themselves (mask 6).
    fn take_streams(&mut self) -> Vec<Vec<Line>> {
        let closes = std::mem::take(&mut self.closes);
        let mut streams = std::mem::replace(&mut self.streams, vec![Vec::new(); CONNECTIONS]);
        for stream in &mut streams {
            let mut from = 0;
            while from < stream.len() {
                let zxid = stream[from].zxid;
                let same = |line: &Line| line.is_event && line.zxid == zxid;
                let count = stream[from..].iter().take_while(|line| same(line)).count();
                if count > 1 && closes.contains(&zxid) {
                    stream[from..from + count].sort_by(|one, other| one.text.cmp(&other.text));
                }
                from += count.max(1);
            }
        }
        streams
    }
}

/// How often each cell of op x flag x error was reached.
pub type Reached = BTreeMap<(String, i32, i32), u64>;

fn count(reached: &mut Reached, request: &Request, frame: &[u8]) {
    let Ok(header) = wire::reply_header(frame) else {
        return;
    };
    *reached.entry((op_name(request.op), request.flag, header.error)).or_default() += 1;
    if header.error == 0 && !request.parts.is_empty() {
        for ((code, flag), error) in request.parts.iter().zip(multi_errors(frame)) {
            *reached.entry((format!("{}/{}", op_name(request.op), op_name(*code)), *flag, error)).or_default() += 1;
        }
    }
}

/// What a phase did on the free server: requests in the order its zxids tell.
struct Phase {
    quiet: Vec<Quiet>,
    order: Vec<(usize, Request)>,
    streams: Vec<Vec<Line>>,
}

/// Runs `requests[at]` on connection `at`, all at once, `WINDOW` outstanding on each; then sorts them.
fn run_freely(side: &mut Side, requests: &[Vec<Request>], reached: &mut Reached) -> Result<Vec<(usize, Request)>, Failure> {
    let mut replies: Vec<Vec<Vec<u8>>> = Vec::new();
    let first_xids = side.next_xid.clone();
    let names = &side.names;
    let outcome: Vec<Result<Received, Failure>> = std::thread::scope(|scope| {
        let running: Vec<_> = side
            .connections
            .iter_mut()
            .zip(requests)
            .zip(first_xids)
            .map(|((connection, requests), first_xid)| scope.spawn(move || run_connection(connection, requests, first_xid, names)))
            .collect();
        running.into_iter().map(|thread| thread.join().unwrap_or_else(|_| Err("a thread failed".to_owned()))).collect()
    });
    for (at, one) in outcome.into_iter().enumerate() {
        let (lines, frames) = one.map_err(|reason| format!("connection {at}: {reason}"))?;
        side.streams[at].extend(lines);
        side.next_xid[at] += requests[at].len() as i32;
        replies.push(frames);
    }
    let mut keyed = Vec::new();
    for (at, (requests, frames)) in requests.iter().zip(&replies).enumerate() {
        let mut last = (i64::MIN, false);
        for (index, (request, frame)) in requests.iter().zip(frames).enumerate() {
            let zxid = wire::reply_header(frame).map_err(|_| "short frame".to_owned())?.zxid;
            // A write comes before the reads that saw its state.
            let key = (zxid, !takes_zxid(request));
            if key < last || (takes_zxid(request) && zxid == last.0) {
                return Err(format!(
                    "connection {at}, {} {}: zxid {zxid:x} after {:x}: the replies describe no order",
                    op_name(request.op),
                    request.label,
                    last.0
                ));
            }
            last = key;
            count(reached, request, frame);
            if request.op == op::CLOSE_SESSION {
                side.closes.insert(zxid);
            }
            keyed.push((key, at, index));
        }
    }
    keyed.sort_unstable();
    if let Some(pair) = keyed.windows(2).find(|pair| pair[0].0 == pair[1].0 && !pair[0].0.1) {
        return Err(format!("two writes have the zxid {:x}", pair[0].0.0));
    }
    Ok(keyed.into_iter().map(|(_, at, index)| (at, requests[at][index].clone())).collect())
}

fn run_connection(connection: &mut Option<Connection>, requests: &[Request], first_xid: i32, names: &Names) -> Result<Received, Failure> {
    let connection = connection.as_mut().ok_or("no connection")?;
    let mut writer = connection.writer().map_err(|error| error.to_string())?;
    let frame = |at: usize| {
        let xid = if requests[at].op == op::PING { -2 } else { first_xid + at as i32 };
        requests[at].frame(xid)
    };
    let (mut lines, mut frames) = (Vec::new(), Vec::new());
    let first: Vec<u8> = (0..requests.len().min(WINDOW)).flat_map(frame).collect();
    let _ = writer.write_all(&first);
    let mut sent = requests.len().min(WINDOW);
    while frames.len() < requests.len() {
        let request = &requests[frames.len()];
        let payload = connection
            .receive(PATIENCE)
            .map_err(|silence| format!("{silence:?} instead of the reply to {} {}", op_name(request.op), request.label))?;
        let header = wire::reply_header(&payload).map_err(|_| format!("short frame {}", wire::hex(&payload)))?;
        let is_event = header.xid == -1;
        lines.push(Line { zxid: header.zxid, is_event, text: render_reply(request.op, &payload, names) });
        if !is_event {
            frames.push(payload);
            if sent < requests.len() {
                let _ = writer.write_all(&frame(sent));
                sent += 1;
            }
        }
    }
    Ok((lines, frames))
}

/// What a run found out.
pub struct Outcome {
    pub operations: usize,
    pub events: usize,
    pub reached: Reached,
}

/// Runs `operations` from `seed`: at once on `free`, replayed on `replay`.
///
/// # Errors
/// The first difference, with the requests that led to it.
pub fn compare(free: SocketAddr, replay: SocketAddr, seed: u64, operations: usize) -> Result<Outcome, String> {
    let mut random = Random::new(seed);
    let (mut free, mut replay) = (Side::new(free), Side::new(replay));
    let mut outcome = Outcome { operations: 0, events: 0, reached: Reached::new() };
    // Sessions use up zxids, so both sides count from their first quiet moment.
    let mut alive = [false; CONNECTIONS];
    let mut is_first = true;
    let directed = directed();
    let mut number = 0;
    while outcome.operations < operations {
        let phase = free_phase(&mut free, &mut random, &mut alive, number, &mut is_first, &directed, &mut outcome.reached)?;
        outcome.operations += phase.order.len();
        outcome.events += phase.streams.iter().flatten().filter(|line| line.is_event).count();
        replay_phase(&mut replay, &phase, number == 0).map_err(|reason| format!("seed {seed}, phase {number}, replaying: {reason}"))?;
        let theirs = replay.take_streams();
        for (at, (ours, theirs)) in phase.streams.iter().zip(&theirs).enumerate() {
            if let Some(difference) = first_difference(ours, theirs) {
                return Err(format!(
                    "seed {seed}, phase {number}, connection {at}:\n{difference}\nrequests of this phase in order:\n{}",
                    tell(&phase)
                ));
            }
        }
        number += 1;
    }
    end_sessions(&mut free, &alive);
    end_sessions(&mut replay, &alive);
    Ok(outcome)
}

fn end_sessions(side: &mut Side, alive: &[bool]) {
    for (at, alive) in alive.iter().enumerate() {
        if *alive {
            let _ = side.ask(at, &request::bare(op::CLOSE_SESSION));
        }
    }
}

fn free_phase(
    side: &mut Side,
    random: &mut Random,
    alive: &mut [bool; CONNECTIONS],
    number: usize,
    is_first: &mut bool,
    directed: &[Vec<Request>],
    reached: &mut Reached,
) -> Result<Phase, String> {
    let mut quiet = Vec::new();
    if !*is_first {
        let connection = random.below(CONNECTIONS - 1);
        if alive[connection] {
            match random.below(24) {
                0 => {
                    quiet.push(Quiet::TakeOver { connection });
                    authenticate(&mut quiet, connection);
                }
                1 if number.is_multiple_of(3) => {
                    quiet.push(Quiet::Expire { connection });
                    alive[connection] = false;
                }
                2 => quiet.push(Quiet::Authenticate { connection, data: "w:w" }),
                _ => {}
            }
        }
    }
    for (connection, alive) in alive.iter_mut().enumerate() {
        if !*alive {
            *alive = true;
            // Long enough that no stall of a busy machine ends a session by chance.
            let timeout_ms = 50_000 + connection as i32;
            quiet.push(Quiet::Begin { connection, timeout_ms });
            authenticate(&mut quiet, connection);
        }
    }
    if number.is_multiple_of(8) {
        quiet.push(Quiet::Clear);
    }
    for _ in 0..6 {
        let request = request::set_acl(&path(random), &access(random), version(random));
        quiet.push(Quiet::Ask { connection: random.below(CONNECTIONS), request: Box::new(request) });
    }
    *is_first = false;
    let mut requests: Vec<Vec<Request>> = (0..CONNECTIONS).map(|_| (0..PHASE).map(|_| any(random)).collect()).collect();
    for index in 0..DIRECTED {
        // Not on the super user's, for whom no list is closed, and in one piece.
        let list = &mut requests[random.below(CONNECTIONS - 1)];
        let at = random.below(list.len());
        list.splice(at..at, directed[(number * DIRECTED + index) % directed.len()].iter().cloned());
    }
    let mut ending = Vec::new();
    for (connection, list) in requests.iter_mut().enumerate().take(CONNECTIONS - 1) {
        if random.chance(12) {
            list.push(request::bare(op::CLOSE_SESSION));
            ending.push(connection);
        }
    }
    let mut run = |side: &mut Side| -> Result<Vec<(usize, Request)>, String> {
        for what in &quiet {
            let frame = side.quiet(what).map_err(|reason| format!("{what:?}: {reason}"))?;
            if let (Quiet::Ask { request, .. }, Some(frame)) = (what, frame) {
                count(reached, request, &frame);
            }
        }
        if number == 0 {
            rebase(side)?;
        }
        let order = run_freely(side, &requests, reached)?;
        for &connection in &ending {
            side.connections[connection] = None;
        }
        side.settle()?;
        Ok(order)
    };
    let order = run(side).map_err(|reason| format!("phase {number}, running freely: {reason}"))?;
    for &connection in &ending {
        alive[connection] = false;
    }
    let streams = side.take_streams();
    Ok(Phase { quiet, order, streams })
}

/// From here on zxids are counted from the present one, and what came before is forgotten.
fn rebase(side: &mut Side) -> Result<(), String> {
    let zxid = side.settle()?;
    side.names.set_base(zxid);
    side.streams.iter_mut().for_each(Vec::clear);
    Ok(())
}

fn authenticate(quiet: &mut Vec<Quiet>, connection: usize) {
    if let Some(data) = [None, Some("u:p"), Some("v:q"), Some("super:secret")][connection] {
        quiet.push(Quiet::Authenticate { connection, data });
    }
}

fn replay_phase(side: &mut Side, phase: &Phase, is_first: bool) -> Result<(), String> {
    for what in &phase.quiet {
        side.quiet(what).map_err(|reason| format!("{what:?}: {reason}"))?;
    }
    if is_first {
        rebase(side)?;
    }
    for (at, request) in &phase.order {
        let frame = side.ask(*at, request)?;
        if request.op == op::CLOSE_SESSION {
            side.closes.extend(wire::reply_header(&frame).map(|header| header.zxid).ok());
            side.connections[*at] = None;
        }
    }
    side.settle()?;
    Ok(())
}

fn first_difference(free: &[Line], replay: &[Line]) -> Option<String> {
    let text = |lines: &[Line], at: usize| lines.get(at).map_or("(nothing)".to_owned(), |line| line.text.clone());
    let at = (0..free.len().max(replay.len())).find(|&at| text(free, at) != text(replay, at))?;
    let mut told = String::new();
    for before in at.saturating_sub(3)..at {
        told += &format!("         {}\n", text(free, before));
    }
    for after in at..at + 3 {
        told += &format!("  free   {}\n  replay {}\n", text(free, after), text(replay, after));
    }
    Some(told)
}

fn tell(phase: &Phase) -> String {
    let quiet = phase.quiet.iter().map(|what| format!("  {what:?}\n"));
    let order = phase.order.iter().map(|(at, request)| format!("  {at}: {} {}\n", op_name(request.op), request.label));
    quiet.chain(order).collect()
}

/// The table of what was reached: one line per operation and flag, with each error and how often.
pub fn table(reached: &Reached) -> String {
    let mut lines: BTreeMap<(&str, i32), String> = BTreeMap::new();
    for ((name, flag, error), times) in reached {
        *lines.entry((name, *flag)).or_default() += &format!(" {error}:{times}");
    }
    lines
        .into_iter()
        .map(|((name, flag), errors)| {
            let flag = if flag == -1 { "-".to_owned() } else { flag.to_string() };
            format!("{name:24} {flag:>3} {errors}\n")
        })
        .collect()
}
