//! A write load that can be judged after the server died under it.
//!
//! Each client owns a part of the tree and a session, keeps many writes in flight and knows what each must do. The
//! writes of a session take effect in the order in which they were sent, so whatever happened to the server, what is
//! left of a client's part must be what its first n writes make, n being at least the number of those acknowledged:
//! nothing acknowledged is missing, nothing was done twice, nothing out of order. Killing servers, filling disks and
//! the rest is left to the tests.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::connection::{Connect, Connected, Connection, Silence};
use crate::wire::{Reader, Request, Writer, frame, multi_errors, op, open, request};

/// ZooKeeper's SystemError: what a server without space for its log answers.
pub const SYSTEM_ERROR: i32 = -1;
const NO_NODE: i32 = -101;
const BAD_VERSION: i32 = -103;
const NODE_EXISTS: i32 = -110;
/// How long a reply may take. Generous: the machine may be busy with other things, or the server under strace.
const PATIENCE: Duration = Duration::from_secs(60);
/// Children that a client keeps, so that reading everything after each restart stays quick.
const MOST_CHILDREN: usize = 60;
/// Session timeout of the living: no restart takes so long. Milliseconds.
const LONG_TIMEOUT_MS: i32 = 60_000;
/// Session timeout of those that are left alone, the least that the tests' servers grant. Milliseconds.
pub const SHORT_TIMEOUT_MS: i32 = 1000;

/// SplitMix64: one seed, one load.
#[derive(Clone, Debug)]
pub struct Random(pub u64);

impl Random {
    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

/// A write. Paths are names below the client's base.
#[derive(Clone, Debug)]
enum Op {
    Create(String, String),
    Ephemeral(String),
    Sequential(String),
    /// The base's data, with the version that it must have, or -1.
    Set(String, i32),
    Delete(String),
    Multi(Vec<Op>),
    CloseSession,
}

/// What is known of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Node {
    data: Vec<u8>,
    version: i32,
    is_ephemeral: bool,
}

/// A client's part of the tree.
#[derive(Clone, Debug, Default)]
struct Model {
    exists: bool,
    data: Vec<u8>,
    version: i32,
    /// Children made so far: numbers the sequential ones.
    creates: i32,
    children: BTreeMap<String, Node>,
    /// The zxids of acknowledged writes of a node's data; none for those that were not acknowledged.
    zxids: BTreeMap<String, i64>,
}

impl Model {
    /// The number of changes that a Stat shows: deletions count too.
    fn cversion(&self) -> i32 {
        self.creates.wrapping_mul(2).wrapping_sub(self.children.len() as i32)
    }

    /// The error that the write must get here.
    fn judge(&self, op: &Op) -> i32 {
        match op {
            Op::Create(name, _) if name.is_empty() => {
                if self.exists {
                    NODE_EXISTS
                } else {
                    0
                }
            }
            Op::CloseSession => 0,
            _ if !self.exists => NO_NODE,
            Op::Create(name, _) | Op::Ephemeral(name) => {
                if self.children.contains_key(name) {
                    NODE_EXISTS
                } else {
                    0
                }
            }
            Op::Sequential(_) => 0,
            Op::Set(_, version) => {
                if *version == -1 || *version == self.version {
                    0
                } else {
                    BAD_VERSION
                }
            }
            Op::Delete(name) => {
                if self.children.contains_key(name) {
                    0
                } else {
                    NO_NODE
                }
            }
            // The parts of our multis do not depend on each other.
            Op::Multi(parts) => parts.iter().map(|part| self.judge(part)).find(|error| *error != 0).unwrap_or(0),
        }
    }

    /// Does it, if it must succeed; returns the error otherwise. `zxid` if the server told it.
    fn apply(&mut self, op: &Op, zxid: Option<i64>) -> i32 {
        let error = self.judge(op);
        if error != 0 {
            return error;
        }
        let mut touched = None;
        match op {
            Op::Create(name, data) if name.is_empty() => {
                (self.exists, self.data) = (true, data.as_bytes().to_vec());
                touched = Some(String::new());
            }
            Op::Create(name, data) => touched = Some(self.add(name.clone(), data, false)),
            Op::Ephemeral(name) => touched = Some(self.add(name.clone(), "d", true)),
            Op::Sequential(name) => touched = Some(self.add(format!("{name}{:010}", self.creates), "d", false)),
            Op::Set(data, _) => {
                self.data = data.as_bytes().to_vec();
                self.version += 1;
                touched = Some(String::new());
            }
            Op::Delete(name) => {
                self.children.remove(name);
                self.zxids.remove(name);
            }
            Op::Multi(parts) => parts.iter().for_each(|part| {
                self.apply(part, zxid);
            }),
            Op::CloseSession => self.children.retain(|name, node| {
                if node.is_ephemeral {
                    self.zxids.remove(name);
                }
                !node.is_ephemeral
            }),
        }
        if let Some(name) = touched {
            match zxid {
                Some(zxid) => self.zxids.insert(name, zxid),
                None => self.zxids.remove(&name),
            };
        }
        0
    }

    fn add(&mut self, name: String, data: &str, is_ephemeral: bool) -> String {
        self.creates += 1;
        self.children.insert(name.clone(), Node { data: data.as_bytes().to_vec(), version: 0, is_ephemeral });
        name
    }
}

/// A session that can be taken up again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    pub id: i64,
    pub password: Vec<u8>,
}

/// Connects with a new session or an old one. `None`: the server closed instead of answering, or says that the session
/// is none.
pub fn connect(address: SocketAddr, session: Option<&Session>, timeout_ms: i32) -> Option<(Connection, Session)> {
    let mut connection = Connection::open(address).ok()?;
    let request = Connect {
        timeout_ms,
        session: session.map_or(0, |session| session.id),
        password: Some(session.map_or(vec![0; 16], |session| session.password.clone())),
        ..Connect::default()
    };
    connection.send(&request.frame());
    let answer = Connected::parse(&connection.receive(PATIENCE).ok()?).expect("a connect response");
    (answer.session != 0).then_some((connection, Session { id: answer.session, password: answer.password }))
}

/// The header of a reply: xid, zxid, error.
pub fn header(payload: &[u8]) -> (i32, i64, i32) {
    let mut reader = Reader::new(payload);
    let header = (|| Ok::<_, crate::wire::Short>((reader.int()?, reader.long()?, reader.int()?)))();
    header.expect("a reply header")
}

/// One client of the load.
struct Client {
    name: String,
    random: Random,
    session: Option<Session>,
    /// What the acknowledged writes made.
    model: Model,
    /// What all that were sent would make: only steers what comes next.
    projected: Model,
    /// Sent and not answered, oldest first.
    unanswered: VecDeque<(i32, Op)>,
    next_xid: i32,
    next_number: u64,
    last_zxid: i64,
    acknowledged: u64,
    refused: u64,
    zxids: Vec<i64>,
    can_close: bool,
}

impl Client {
    fn path(&self, name: &str) -> String {
        if name.is_empty() { self.name.clone() } else { format!("{}/{name}", self.name) }
    }

    fn next_op(&mut self) -> Op {
        self.next_number += 1;
        let number = self.next_number;
        let model = &self.projected;
        if !model.exists {
            return Op::Create(String::new(), format!("base {number}"));
        }
        let any = |random: &mut Random, model: &Model| {
            let at = random.below(model.children.len() as u64) as usize;
            model.children.keys().nth(at).expect("within").clone()
        };
        if model.children.len() >= MOST_CHILDREN {
            return Op::Delete(any(&mut self.random, model));
        }
        match self.random.below(100) {
            0..20 => Op::Create(format!("n{number}"), "x".repeat(self.random.below(300) as usize)),
            20..50 => Op::Set(format!("set {number} {}", "y".repeat(self.random.below(500) as usize)), -1),
            50..60 => Op::Set(format!("versioned {number}"), model.version),
            60..70 => Op::Sequential("s-".to_owned()),
            70..80 => Op::Ephemeral(format!("e{number}")),
            80..86 => Op::Multi(vec![Op::Create(format!("m{number}"), "m".to_owned()), Op::Set(format!("multi {number}"), -1)]),
            86..90 if !model.children.is_empty() => {
                let there = any(&mut self.random, model);
                Op::Multi(vec![Op::Set(format!("never {number}"), -1), Op::Create(there, "never".to_owned())])
            }
            90..99 if !model.children.is_empty() => Op::Delete(any(&mut self.random, model)),
            // A close is followed by a new session, so not too often.
            99 if self.can_close && self.random.below(8) == 0 => Op::CloseSession,
            _ => Op::Set(format!("other {number}"), -1),
        }
    }

    fn request(&self, op: &Op) -> Request {
        match op {
            Op::Create(name, data) => request::create(&self.path(name), data),
            Op::Ephemeral(name) => request::create_as(op::CREATE, &self.path(name), Some(b"d"), &open(), 1),
            Op::Sequential(name) => request::create_as(op::CREATE, &self.path(name), Some(b"d"), &open(), 2),
            Op::Set(data, version) => request::set_data(&self.name, Some(data.as_bytes()), *version),
            Op::Delete(name) => request::delete(&self.path(name), -1),
            Op::Multi(parts) => request::multi(op::MULTI, &parts.iter().map(|part| self.request(part)).collect::<Vec<_>>()),
            Op::CloseSession => request::bare(op::CLOSE_SESSION),
        }
    }

    /// Writes until the connection ends or `stop` is set; then takes what is still owed.
    fn run(&mut self, address: SocketAddr, depth: usize, stop: &AtomicBool, progress: &AtomicU64) {
        assert!(self.unanswered.is_empty(), "verify first");
        self.projected = self.model.clone();
        while !stop.load(Ordering::Relaxed) {
            let known = self.session.clone();
            let Some((mut connection, session)) = connect(address, known.as_ref(), LONG_TIMEOUT_MS) else {
                return self.note_lost_session(address, known.as_ref());
            };
            assert!(known.is_none_or(|known| known == session), "{}: another session than was asked for", self.name);
            self.session = Some(session);
            self.next_xid = 1;
            if self.converse(&mut connection, depth, stop, progress).is_err() {
                return;
            }
        }
    }

    /// A server that is alive must know the session.
    fn note_lost_session(&self, address: SocketAddr, known: Option<&Session>) {
        if let Some(known) = known
            && connect(address, None, LONG_TIMEOUT_MS).is_some()
        {
            panic!("{}: session {:#x} cannot be taken up again", self.name, known.id);
        }
    }

    /// Until the session was closed (`Ok`), or the connection ended, or all was answered after `stop` (`Err`).
    fn converse(&mut self, connection: &mut Connection, depth: usize, stop: &AtomicBool, progress: &AtomicU64) -> Result<(), Silence> {
        let mut closing = false;
        loop {
            let mut bytes = Vec::new();
            while self.unanswered.len() < depth && !closing && !stop.load(Ordering::Relaxed) {
                let op = self.next_op();
                closing = matches!(op, Op::CloseSession);
                bytes.extend(self.request(&op).frame(self.next_xid));
                self.projected.apply(&op, None);
                self.unanswered.push_back((self.next_xid, op));
                self.next_xid += 1;
            }
            if !bytes.is_empty() {
                connection.send(&bytes);
            }
            if self.unanswered.is_empty() {
                return Err(Silence::Closed);
            }
            let payload = match connection.receive(PATIENCE) {
                Ok(payload) => payload,
                Err(Silence::Timeout) => panic!("{}: no reply to {:?}", self.name, self.unanswered.front()),
                Err(Silence::Closed) => return Err(Silence::Closed),
            };
            let closed = self.reply(&payload);
            progress.fetch_add(1, Ordering::Relaxed);
            if closed {
                return Ok(());
            }
        }
    }

    /// Takes a reply to the oldest unanswered write. Whether it was the end of the session.
    fn reply(&mut self, payload: &[u8]) -> bool {
        let (xid, zxid, error) = header(payload);
        let (expected, op) = self.unanswered.pop_front().expect("no reply without a request");
        assert_eq!(xid, expected, "{}: replies come in order", self.name);
        if error == SYSTEM_ERROR {
            self.refused += 1;
            return false;
        }
        assert!(zxid > self.last_zxid, "{}: zxid {zxid:#x} after {:#x}", self.name, self.last_zxid);
        self.last_zxid = zxid;
        self.zxids.push(zxid);
        self.acknowledged += 1;
        let number = self.model.creates;
        let due = self.model.apply(&op, Some(zxid));
        match &op {
            Op::Multi(_) => {
                let failed = multi_errors(payload).iter().any(|error| *error != 0);
                assert_eq!(failed, due != 0, "{}: {op:?}: {:?}", self.name, multi_errors(payload));
            }
            Op::Sequential(name) => {
                let path = Reader::new(&payload[16..]).buffer().ok().flatten().map(|path| String::from_utf8_lossy(path).into_owned());
                assert_eq!(path, Some(self.path(&format!("{name}{number:010}"))), "{}", self.name);
            }
            _ => assert_eq!(error, due, "{}: {op:?}", self.name),
        }
        if matches!(op, Op::CloseSession) {
            self.session = None;
            return true;
        }
        false
    }

    /// Reads the client's part of the tree and finds how many of the unanswered writes took effect.
    fn verify(&mut self, reader: &mut Eye) {
        let found = reader.part(&self.name, self.session.as_ref().map(|session| session.id));
        let owed = self.unanswered.len();
        let acknowledged = self.model.clone();
        let mut sessions_end = false;
        loop {
            if Found::of(&self.model) == found.without_zxids() {
                break;
            }
            let Some((_, op)) = self.unanswered.pop_front() else {
                panic!(
                    "{}: what is there is not what the acknowledged writes and any number of the {owed} unanswered ones make.\nthere: {found:?}\nacknowledged: {acknowledged:?}",
                    self.name
                );
            };
            sessions_end |= matches!(op, Op::CloseSession);
            self.model.apply(&op, None);
        }
        if sessions_end {
            self.session = None;
        }
        self.unanswered.clear();
        for (name, zxid) in &self.model.zxids {
            assert_eq!(found.zxids.get(name), Some(zxid), "{}: zxid of the last write of {name:?}", self.name);
        }
        for (name, zxid) in &found.zxids {
            let is_acknowledged = self.model.zxids.contains_key(name);
            assert!(is_acknowledged || *zxid > self.last_zxid, "{}: {name:?} was not acknowledged and bears {zxid:#x}", self.name);
        }
        self.model.zxids = found.zxids;
    }
}

/// A part of the tree as a server shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Found {
    exists: bool,
    data: Vec<u8>,
    version: i32,
    cversion: i32,
    children: BTreeMap<String, Node>,
    zxids: BTreeMap<String, i64>,
}

impl Found {
    fn of(model: &Model) -> Found {
        Found {
            exists: model.exists,
            data: model.data.clone(),
            version: model.version,
            cversion: model.cversion(),
            children: model.children.clone(),
            zxids: BTreeMap::new(),
        }
    }

    fn without_zxids(&self) -> Found {
        Found { zxids: BTreeMap::new(), ..self.clone() }
    }
}

struct Stat {
    mzxid: i64,
    version: i32,
    cversion: i32,
    owner: i64,
}

fn stat(reader: &mut Reader) -> Stat {
    let mut read = || {
        reader.long()?;
        let mzxid = reader.long()?;
        reader.take(16)?;
        let (version, cversion) = (reader.int()?, reader.int()?);
        reader.int()?;
        let owner = reader.long()?;
        reader.take(16)?;
        Ok::<_, crate::wire::Short>(Stat { mzxid, version, cversion, owner })
    };
    read().expect("a Stat")
}

/// A session that only reads.
pub struct Eye {
    connection: Connection,
    session: Session,
    xid: i32,
    /// The highest zxid in a reply.
    pub zxid: i64,
}

impl Eye {
    /// # Panics
    /// If the server gives no session.
    pub fn open(address: SocketAddr) -> Eye {
        let (connection, session) = connect(address, None, LONG_TIMEOUT_MS).expect("a session for reading");
        Eye::over(connection, session)
    }

    /// A session that was made already.
    pub fn over(connection: Connection, session: Session) -> Eye {
        Eye { connection, session, xid: 0, zxid: 0 }
    }

    /// Takes its session up again, on a server that may be unable to give a new one.
    ///
    /// # Panics
    /// If the server does not know the session.
    pub fn reopen(&mut self, address: SocketAddr) {
        let found = connect(address, Some(&self.session), LONG_TIMEOUT_MS);
        (self.connection, self.session) = found.expect("the session for reading lives");
    }

    /// Sends all, then takes all replies: the error and what follows the header.
    ///
    /// # Panics
    /// If one is not answered.
    pub fn ask(&mut self, requests: &[Request]) -> Vec<(i32, Vec<u8>)> {
        self.try_ask(requests).unwrap_or_else(|| panic!("no answer to one of {requests:?}"))
    }

    /// As [`Eye::ask`]; nothing if a reply does not come.
    pub fn try_ask(&mut self, requests: &[Request]) -> Option<Vec<(i32, Vec<u8>)>> {
        let mut bytes = Vec::new();
        for request in requests {
            self.xid += 1;
            bytes.extend(request.frame(self.xid));
        }
        self.connection.send(&bytes);
        let first = self.xid - requests.len() as i32;
        let replies = (first + 1..=self.xid).map(|expected| {
            let payload = self.connection.receive(PATIENCE).ok()?;
            let (xid, zxid, error) = header(&payload);
            assert_eq!(xid, expected, "replies come in order");
            self.zxid = self.zxid.max(zxid);
            Some((error, payload[16..].to_vec()))
        });
        replies.collect()
    }

    /// Becomes the super user of [`crate::subject::Options::usual`].
    ///
    /// # Panics
    /// If it may not.
    pub fn become_super(&mut self) {
        self.connection.send(&request::auth("digest", b"super:secret").frame(-4));
        let payload = self.connection.receive(PATIENCE).expect("an answer");
        assert_eq!(header(&payload).2, 0, "not the super user");
    }

    /// Whether a node is there.
    pub fn exists(&mut self, path: &str) -> bool {
        self.ask(&[request::read(op::EXISTS, path, false)])[0].0 == 0
    }

    fn part(&mut self, base: &str, session: Option<i64>) -> Found {
        let replies = self.ask(&[request::read(op::DATA, base, false), request::read(op::CHILDREN, base, false)]);
        if replies[0].0 == NO_NODE {
            return Found::default();
        }
        let mut body = Reader::new(&replies[0].1);
        let mut found = Found { exists: true, data: body.buffer().expect("data").unwrap_or_default().to_vec(), ..Found::default() };
        let base_stat = stat(&mut body);
        (found.version, found.cversion) = (base_stat.version, base_stat.cversion);
        found.zxids.insert(String::new(), base_stat.mzxid);
        let names = Reader::new(&replies[1].1).strings().expect("children").unwrap_or_default();
        let names: Vec<String> = names.into_iter().map(|name| String::from_utf8(name.expect("a name").to_vec()).expect("ASCII")).collect();
        let requests: Vec<Request> = names.iter().map(|name| request::read(op::DATA, &format!("{base}/{name}"), false)).collect();
        for (name, (error, body)) in names.into_iter().zip(self.ask(&requests)) {
            assert_eq!(error, 0, "{base}/{name}");
            let mut body = Reader::new(&body);
            let data = body.buffer().expect("data").unwrap_or_default().to_vec();
            let stat = stat(&mut body);
            assert!(stat.owner == 0 || Some(stat.owner) == session, "{base}/{name} belongs to {:#x}, not {session:x?}", stat.owner);
            found.zxids.insert(name.clone(), stat.mzxid);
            found.children.insert(name, Node { data, version: stat.version, is_ephemeral: stat.owner != 0 });
        }
        found
    }
}

/// A session that was left alone, and its ephemeral node.
struct Doomed {
    path: String,
    seen_gone: bool,
}

/// All clients of a load and what they know.
pub struct Load {
    clients: Vec<Client>,
    doomed: Vec<Doomed>,
    /// The highest zxid that any reply showed.
    highest: i64,
    every_zxid: BTreeSet<i64>,
    depth: usize,
}

impl Load {
    /// `clients` sessions with up to `depth` writes in flight each.
    pub fn new(clients: usize, depth: usize, seed: u64) -> Load {
        let client = |index: usize| Client {
            name: format!("/client{index}"),
            random: Random(seed.wrapping_mul(1000) + index as u64),
            session: None,
            model: Model::default(),
            projected: Model::default(),
            unanswered: VecDeque::new(),
            next_xid: 1,
            next_number: 0,
            last_zxid: 0,
            acknowledged: 0,
            refused: 0,
            zxids: Vec::new(),
            can_close: index.is_multiple_of(2),
        };
        Load { clients: (0..clients).map(client).collect(), doomed: Vec::new(), highest: 0, every_zxid: BTreeSet::new(), depth }
    }

    /// Writes acknowledged so far.
    pub fn acknowledged(&self) -> u64 {
        self.clients.iter().map(|client| client.acknowledged).sum()
    }

    /// Writes refused for want of space so far.
    pub fn refused(&self) -> u64 {
        self.clients.iter().map(|client| client.refused).sum()
    }

    /// Ephemerals of sessions left alone that have been seen to be gone.
    pub fn buried(&self) -> usize {
        self.doomed.iter().filter(|doomed| doomed.seen_gone).count()
    }

    /// Writes on all connections while `meanwhile` runs, which is shown the replies so far. Afterwards no more is
    /// sent; clients whose connection still stands wait for what is owed to them.
    pub fn run(&mut self, address: SocketAddr, meanwhile: impl FnOnce(&AtomicU64)) {
        let (stop, progress) = (AtomicBool::new(false), AtomicU64::new(0));
        let before = self.highest;
        std::thread::scope(|scope| {
            for client in &mut self.clients {
                let (stop, progress, depth) = (&stop, &progress, self.depth);
                scope.spawn(move || client.run(address, depth, stop, progress));
            }
            meanwhile(&progress);
            stop.store(true, Ordering::Relaxed);
        });
        for client in &mut self.clients {
            for zxid in client.zxids.drain(..) {
                assert!(zxid > before, "{}: zxid {zxid:#x} was given out again, {before:#x} had been shown", client.name);
                assert!(self.every_zxid.insert(zxid), "{}: zxid {zxid:#x} was given to two writes", client.name);
                self.highest = self.highest.max(zxid);
            }
        }
    }

    /// Leaves a session alone that has an ephemeral node. The server must be up.
    pub fn doom(&mut self, address: SocketAddr) {
        let path = format!("/doomed{}", self.doomed.len());
        let (mut connection, _) = connect(address, None, SHORT_TIMEOUT_MS).expect("a session");
        connection.send(&request::create_as(op::CREATE, &path, Some(b"d"), &open(), 1).frame(1));
        let (_, zxid, error) = header(&connection.receive(PATIENCE).expect("a reply"));
        assert_eq!(error, 0, "{path}");
        self.highest = self.highest.max(zxid);
        self.doomed.push(Doomed { path, seen_gone: false });
    }

    /// Compares everything with what the server shows.
    ///
    /// # Panics
    /// At the first difference.
    pub fn verify(&mut self, address: SocketAddr) {
        let mut eye = Eye::open(address);
        self.verify_with(&mut eye);
        eye.connection.send(&frame(&Writer::new().int(eye.xid + 1).int(op::CLOSE_SESSION).bytes));
    }

    /// As [`Load::verify`], with a session that is there already.
    ///
    /// # Panics
    /// At the first difference.
    pub fn verify_with(&mut self, eye: &mut Eye) {
        for client in &mut self.clients {
            client.verify(eye);
        }
        for doomed in &mut self.doomed {
            let there = eye.exists(&doomed.path);
            assert!(!(there && doomed.seen_gone), "{} was gone and is back", doomed.path);
            doomed.seen_gone = !there;
        }
        assert!(eye.zxid >= self.highest, "the server is at {:#x}, {:#x} had been shown", eye.zxid, self.highest);
        self.highest = eye.zxid;
    }

    /// Whether any session left alone still has its node, as of the last [`Load::verify`].
    pub fn anyone_still_doomed(&self) -> bool {
        self.doomed.iter().any(|doomed| !doomed.seen_gone)
    }
}
