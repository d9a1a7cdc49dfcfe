//! A load on an ensemble whose every request and answer is kept: clients on different members write, read and
//! reconnect with their sessions as real clients do, and afterwards all that happened lies in one `History`. Judging
//! it is left to `verdict`, the members to `ensemble`.
//!
//! The clients share a few registers (nodes whose data is set), where every value is written once, and each client
//! makes nodes of its own that stay. One request at a time and client: what was acknowledged, refused and left without
//! an answer is then known exactly.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::connection::{Connect, Connected, Connection};
use crate::ensemble::PATIENCE;
use crate::load::{Random, Session, header};
use crate::wire::{Reader, Request, Short, op, open, request};

const BAD_VERSION: i32 = -103;
const NODE_EXISTS: i32 = -110;

/// Where the registers are.
pub const REGISTERS: &str = "/registers";
/// Where each client's own nodes are.
pub const OWN: &str = "/own";

/// What a load is like.
#[derive(Clone, Debug)]
pub struct Shape {
    pub clients: usize,
    pub registers: u32,
    pub seed: u64,
    /// Asked for at connecting. Milliseconds.
    pub session_timeout_ms: i32,
    /// How long a client waits for an answer before it goes to another member.
    pub patience: Duration,
    /// Between two requests of a client.
    pub pause: Duration,
    /// Of a hundred requests, those that make a node.
    pub create_percent: u64,
}

impl Default for Shape {
    fn default() -> Shape {
        Shape {
            clients: 6,
            registers: 4,
            seed: 1,
            session_timeout_ms: 60_000,
            patience: Duration::from_secs(8),
            pause: Duration::from_millis(3),
            create_percent: 10,
        }
    }
}

/// What a client asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// setData of a register; with a version, it must be that one.
    Write { register: u32, value: u64, version: Option<i32> },
    /// getData of a register, behind a sync if so.
    Read { register: u32, is_synced: bool },
    /// A node of the client's own that stays.
    Create { number: u64 },
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// No answer: it may have happened, or happen later, or not at all.
    Unknown,
    Written {
        zxid: i64,
        version: i32,
    },
    /// The version was another one.
    Refused {
        zxid: i64,
    },
    /// Value 0 is what the register had at first.
    Seen {
        value: u64,
        mzxid: i64,
        version: i32,
    },
    Created {
        zxid: i64,
    },
}

/// One request of one client. Times count from the beginning of the load.
#[derive(Clone, Debug)]
pub struct Event {
    pub client: usize,
    pub begun: Duration,
    /// When the answer was there, or when the client gave up.
    pub ended: Duration,
    pub action: Action,
    pub outcome: Outcome,
}

/// What became of a client's session.
#[derive(Clone, Debug)]
pub struct Life {
    pub client: usize,
    /// The session at the end.
    pub session: i64,
    /// Zxid of the creation of the ephemeral node of that session.
    pub ephemeral: Option<(String, i64)>,
    /// Sessions that a server said were none.
    pub expired: Vec<i64>,
    pub reconnections: u64,
    /// Things that must not happen, in words.
    pub complaints: Vec<String>,
}

/// All that happened.
#[derive(Clone, Debug, Default)]
pub struct History {
    pub events: Vec<Event>,
    pub lives: Vec<Life>,
    pub registers: u32,
}

impl History {
    /// Acknowledged writes.
    pub fn acknowledged(&self) -> usize {
        let is_write = |event: &&Event| matches!(event.outcome, Outcome::Written { .. } | Outcome::Created { .. });
        self.events.iter().filter(is_write).count()
    }
}

/// The path of a register.
pub fn register_path(register: u32) -> String {
    format!("{REGISTERS}/{register}")
}

/// The path of a node of a client's own.
pub fn own_path(client: usize, number: u64) -> String {
    format!("{OWN}/{client}-{number:06}")
}

/// The value that such a node has.
pub fn own_value(client: usize, number: u64) -> String {
    format!("client {client} number {number}")
}

/// What all clients of a load see.
struct Shared {
    addresses: Mutex<Vec<SocketAddr>>,
    begun: Instant,
    stop: AtomicBool,
    acknowledged: AtomicU64,
    next_value: AtomicU64,
    shape: Shape,
}

/// A running load.
pub struct Chronicle {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<(Vec<Event>, Life)>>,
}

impl Chronicle {
    /// Makes the registers and lets the clients begin, each on another member.
    ///
    /// # Panics
    /// If the ensemble does not let the registers be made.
    pub fn begin(addresses: &[SocketAddr], shape: &Shape) -> Chronicle {
        make_registers(addresses, shape);
        let shared = Arc::new(Shared {
            addresses: Mutex::new(addresses.to_vec()),
            begun: Instant::now(),
            stop: AtomicBool::new(false),
            acknowledged: AtomicU64::new(0),
            next_value: AtomicU64::new(1),
            shape: shape.clone(),
        });
        let thread = |index: usize| {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || Client::new(index, shared).run())
        };
        Chronicle { threads: (0..shape.clients).map(thread).collect(), shared }
    }

    /// Writes acknowledged so far.
    pub fn acknowledged(&self) -> u64 {
        self.shared.acknowledged.load(Ordering::Relaxed)
    }

    /// Waits until so many more writes have been acknowledged; how long that took.
    ///
    /// # Panics
    /// If it takes too long, with `why`.
    pub fn wait_for(&self, more: u64, why: &str) -> Duration {
        let (begun, before) = (Instant::now(), self.acknowledged());
        while self.acknowledged() < before + more {
            assert!(begun.elapsed() < PATIENCE, "{} writes of {more} acknowledged: {why}", self.acknowledged() - before);
            std::thread::sleep(Duration::from_millis(5));
        }
        begun.elapsed()
    }

    /// Ends the load when every client has its answer or has given up.
    ///
    /// # Panics
    /// If a client did.
    pub fn end(self) -> History {
        self.shared.stop.store(true, Ordering::Relaxed);
        let mut history = History { registers: self.shared.shape.registers, ..History::default() };
        for thread in self.threads {
            let (events, life) = thread.join().expect("a client of the load panicked");
            history.events.extend(events);
            history.lives.push(life);
        }
        history.events.sort_by_key(|event| event.begun);
        history
    }
}

fn make_registers(addresses: &[SocketAddr], shape: &Shape) {
    let mut paths = vec![REGISTERS.to_owned(), OWN.to_owned(), "/ephemeral".to_owned()];
    paths.extend((0..shape.registers).map(register_path));
    let begun = Instant::now();
    let mut next = 0;
    'again: loop {
        assert!(begun.elapsed() < PATIENCE, "the registers cannot be made");
        next += 1;
        let Some((mut connection, _)) = crate::load::connect(addresses[next % addresses.len()], None, 10_000) else {
            std::thread::sleep(Duration::from_millis(100));
            continue;
        };
        for (xid, path) in (1..).zip(&paths) {
            connection.send(&request::create(path, "0").frame(xid));
            let Ok(reply) = connection.receive(shape.patience) else { continue 'again };
            let error = header(&reply).2;
            assert!(error == 0 || error == NODE_EXISTS, "{path}: {error}");
        }
        connection.send(&request::bare(op::CLOSE_SESSION).frame(paths.len() as i32 + 1));
        let _ = connection.receive(shape.patience);
        return;
    }
}

struct Client {
    index: usize,
    shared: Arc<Shared>,
    random: Random,
    connection: Option<Connection>,
    session: Option<Session>,
    next_member: usize,
    xid: i32,
    last_zxid: i64,
    next_number: u64,
    /// The version that each register had when this client last knew it.
    versions: BTreeMap<u32, i32>,
    events: Vec<Event>,
    life: Life,
}

/// The connection ended, or no answer came in time.
struct Lost;

impl Client {
    fn new(index: usize, shared: Arc<Shared>) -> Client {
        let life = Life { client: index, session: 0, ephemeral: None, expired: Vec::new(), reconnections: 0, complaints: Vec::new() };
        Client {
            index,
            random: Random(shared.shape.seed.wrapping_mul(1000) + index as u64),
            shared,
            connection: None,
            session: None,
            next_member: index,
            xid: 0,
            last_zxid: 0,
            next_number: 0,
            versions: BTreeMap::new(),
            events: Vec::new(),
            life,
        }
    }

    fn run(mut self) -> (Vec<Event>, Life) {
        while !self.shared.stop.load(Ordering::Relaxed) {
            if self.connection.is_none() && self.connect().is_err() {
                std::thread::sleep(Duration::from_millis(50));
                continue;
            }
            if self.step().is_err() {
                self.connection = None;
                self.life.reconnections += 1;
                continue;
            }
            std::thread::sleep(self.shared.shape.pause);
        }
        self.life.session = self.session.as_ref().map_or(0, |session| session.id);
        (self.events, self.life)
    }

    fn complain(&mut self, text: String) {
        self.life.complaints.push(format!("client {} at {:?}: {text}", self.index, self.shared.begun.elapsed()));
    }

    /// To the next member, with the session if there is one.
    fn connect(&mut self) -> Result<(), Lost> {
        let address = {
            let addresses = self.shared.addresses.lock().expect("no client panics while it looks");
            self.next_member += 1;
            addresses[self.next_member % addresses.len()]
        };
        let mut connection = Connection::open(address).map_err(|_| Lost)?;
        let request = Connect {
            timeout_ms: self.shared.shape.session_timeout_ms,
            session: self.session.as_ref().map_or(0, |session| session.id),
            password: Some(self.session.as_ref().map_or(vec![0; 16], |session| session.password.clone())),
            last_zxid_seen: self.last_zxid,
            ..Connect::default()
        };
        connection.send(&request.frame());
        let payload = connection.receive(self.shared.shape.patience).map_err(|_| Lost)?;
        let answer = Connected::parse(&payload).map_err(|Short| Lost)?;
        if answer.session == 0 {
            // What the client asked for does not live any more.
            if let Some(session) = self.session.take() {
                self.life.expired.push(session.id);
                self.life.ephemeral = None;
            }
            return Err(Lost);
        }
        if let Some(session) = &self.session
            && session.id != answer.session
        {
            self.complain(format!("asked for session {:#x}, got {:#x}", session.id, answer.session));
        }
        self.session = Some(Session { id: answer.session, password: answer.password });
        self.connection = Some(connection);
        Ok(())
    }

    fn step(&mut self) -> Result<(), Lost> {
        if self.life.ephemeral.is_none() {
            self.make_ephemeral()?;
        }
        let register = self.random.below(u64::from(self.shared.shape.registers)) as u32;
        let creates = self.shared.shape.create_percent;
        match self.random.below(100) {
            0..40 => self.write(register, None),
            40..50 => {
                let version = self.versions.get(&register).copied().unwrap_or(0);
                self.write(register, Some(version))
            }
            50..70 => self.read(register, true),
            at if at >= 100 - creates => self.create(),
            _ => self.read(register, false),
        }
    }

    /// Sends requests at once and takes their answers; the header's zxid and error, and the body.
    fn ask(&mut self, requests: &[Request]) -> Result<Vec<(i64, i32, Vec<u8>)>, Lost> {
        let first = self.xid + 1;
        self.xid += requests.len() as i32;
        let frames: Vec<u8> = (first..).zip(requests).flat_map(|(xid, request)| request.frame(xid)).collect();
        let patience = self.shared.shape.patience;
        let Some(connection) = &mut self.connection else { return Err(Lost) };
        connection.send(&frames);
        let mut answers = Vec::new();
        let mut complaints = Vec::new();
        for (expected, request) in (first..).zip(requests) {
            let payload = connection.receive(patience).map_err(|_| Lost)?;
            let (xid, zxid, error) = header(&payload);
            if xid != expected {
                complaints.push(format!("answer {xid} to request {expected} ({request:?})"));
            }
            if zxid < self.last_zxid {
                complaints.push(format!("zxid {zxid:#x} after {:#x} in the answer to {request:?}", self.last_zxid));
            }
            self.last_zxid = self.last_zxid.max(zxid);
            answers.push((zxid, error, payload[16..].to_vec()));
        }
        complaints.into_iter().for_each(|text| self.complain(text));
        Ok(answers)
    }

    fn note(&mut self, begun: Duration, action: Action, outcome: Outcome) {
        if matches!(outcome, Outcome::Written { .. } | Outcome::Created { .. }) {
            self.shared.acknowledged.fetch_add(1, Ordering::Relaxed);
        }
        self.events.push(Event { client: self.index, begun, ended: self.shared.begun.elapsed(), action, outcome });
    }

    fn make_ephemeral(&mut self) -> Result<(), Lost> {
        let session = self.session.as_ref().map_or(0, |session| session.id);
        let path = format!("/ephemeral/{}-{session:x}", self.index);
        let answer = self.ask(&[request::create_as(op::CREATE, &path, Some(b"e"), &open(), 1)])?;
        match answer[0] {
            (zxid, 0, _) => self.life.ephemeral = Some((path, zxid)),
            // The answer to an earlier try was lost; this one's zxid is later.
            (_, NODE_EXISTS, _) => self.life.ephemeral = Some((path, 0)),
            (_, error, _) => {
                self.complain(format!("{path}: error {error}"));
                return Err(Lost);
            }
        }
        Ok(())
    }

    fn write(&mut self, register: u32, version: Option<i32>) -> Result<(), Lost> {
        let value = self.shared.next_value.fetch_add(1, Ordering::Relaxed);
        let action = Action::Write { register, value, version };
        let begun = self.shared.begun.elapsed();
        let text = value.to_string();
        let request = request::set_data(&register_path(register), Some(text.as_bytes()), version.unwrap_or(-1));
        let answer = match self.ask(&[request]) {
            Ok(answer) => answer,
            Err(Lost) => {
                self.note(begun, action, Outcome::Unknown);
                return Err(Lost);
            }
        };
        let (zxid, error, body) = &answer[0];
        match *error {
            0 => {
                let Ok((mzxid, written)) = stat_of(&mut Reader::new(body)) else {
                    self.complain(format!("no Stat in the answer to {action:?}"));
                    return Err(Lost);
                };
                if mzxid != *zxid {
                    self.complain(format!("{action:?} has zxid {zxid:#x} and its Stat {mzxid:#x}"));
                }
                self.versions.insert(register, written);
                self.note(begun, action, Outcome::Written { zxid: *zxid, version: written });
            }
            BAD_VERSION if version.is_some() => {
                self.versions.remove(&register);
                self.note(begun, action, Outcome::Refused { zxid: *zxid });
            }
            other => {
                self.complain(format!("error {other} for {action:?}"));
                // Whatever it means, nothing is known of the write.
                self.note(begun, action, Outcome::Unknown);
                return Err(Lost);
            }
        }
        Ok(())
    }

    fn read(&mut self, register: u32, is_synced: bool) -> Result<(), Lost> {
        let begun = self.shared.begun.elapsed();
        let path = register_path(register);
        let mut requests = vec![request::read(op::DATA, &path, false)];
        if is_synced {
            requests.insert(0, request::path(op::SYNC, &path));
        }
        let answers = self.ask(&requests)?;
        let action = Action::Read { register, is_synced };
        for (_, error, body) in &answers {
            if *error != 0 {
                self.complain(format!("error {error} for {action:?}"));
                return Err(Lost);
            }
            if body.is_empty() {
                self.complain(format!("an empty answer to {action:?}"));
                return Err(Lost);
            }
        }
        let mut reader = Reader::new(&answers[answers.len() - 1].2);
        let value = reader.buffer().ok().flatten().and_then(|bytes| std::str::from_utf8(bytes).ok()?.parse().ok());
        let (Some(value), Ok((mzxid, version))) = (value, stat_of(&mut reader)) else {
            self.complain(format!("unreadable answer to {action:?}"));
            return Err(Lost);
        };
        self.versions.insert(register, version);
        self.note(begun, action, Outcome::Seen { value, mzxid, version });
        Ok(())
    }

    fn create(&mut self) -> Result<(), Lost> {
        self.next_number += 1;
        let number = self.next_number;
        let action = Action::Create { number };
        let begun = self.shared.begun.elapsed();
        let request = request::create(&own_path(self.index, number), &own_value(self.index, number));
        match self.ask(&[request]) {
            Ok(answer) if answer[0].1 == 0 => self.note(begun, action, Outcome::Created { zxid: answer[0].0 }),
            Ok(answer) => {
                self.complain(format!("error {} for {action:?}", answer[0].1));
                self.note(begun, action, Outcome::Unknown);
            }
            Err(Lost) => {
                self.note(begun, action, Outcome::Unknown);
                return Err(Lost);
            }
        }
        Ok(())
    }
}

/// mzxid and version of a Stat.
fn stat_of(reader: &mut Reader) -> Result<(i64, i32), Short> {
    reader.long()?;
    let mzxid = reader.long()?;
    reader.take(16)?;
    let version = reader.int()?;
    Ok((mzxid, version))
}

/// Reads on one member, through its own port and after a sync, everything that the history says must be there.
///
/// # Errors
/// All that is missing or wrong, in words.
pub fn missing_on(address: SocketAddr, history: &History) -> Vec<String> {
    let tree = crate::ensemble::tree_of(address);
    let mut wrong = Vec::new();
    // Of each register: the last acknowledged write, and what else may be there.
    let mut last: BTreeMap<u32, (i64, u64)> = BTreeMap::new();
    let mut unknown: BTreeMap<u32, BTreeSet<u64>> = BTreeMap::new();
    for event in &history.events {
        match (&event.action, &event.outcome) {
            (Action::Write { register, value, .. }, Outcome::Written { zxid, .. }) => {
                let entry = last.entry(*register).or_insert((0, 0));
                *entry = (*entry).max((*zxid, *value));
            }
            (Action::Write { register, value, .. }, Outcome::Unknown) => {
                unknown.entry(*register).or_default().insert(*value);
            }
            (Action::Create { number }, Outcome::Created { zxid }) => {
                let path = own_path(event.client, *number);
                let found = tree.get(&path).map(|bytes| data_and_czxid(bytes));
                let wanted = (own_value(event.client, *number).into_bytes(), *zxid);
                if found.as_ref() != Some(&wanted) {
                    wrong.push(format!("{address}: {path} created with {zxid:#x}: {found:?}"));
                }
            }
            _ => {}
        }
    }
    for register in 0..history.registers {
        let path = register_path(register);
        let Some(bytes) = tree.get(&path) else {
            wrong.push(format!("{address}: {path} is not there"));
            continue;
        };
        let mut reader = Reader::new(bytes);
        let value = reader.buffer().ok().flatten().and_then(|data| std::str::from_utf8(data).ok()?.parse::<u64>().ok());
        let mzxid = stat_of(&mut reader).map_or(-1, |(mzxid, _)| mzxid);
        let (last_zxid, last_value) = last.get(&register).copied().unwrap_or((0, 0));
        let is_last = value == Some(last_value) && (mzxid == last_zxid || last_value == 0);
        let is_unknown = mzxid > last_zxid && value.is_some_and(|value| unknown.get(&register).is_some_and(|set| set.contains(&value)));
        if !is_last && !is_unknown {
            wrong.push(format!(
                "{address}: {path} has {value:?} of {mzxid:#x}; the last acknowledged write was {last_value} with {last_zxid:#x}"
            ));
        }
    }
    for life in &history.lives {
        if let Some((path, zxid)) = &life.ephemeral {
            let czxid = tree.get(path).map(|bytes| data_and_czxid(bytes).1);
            if czxid.is_none() || (*zxid != 0 && czxid != Some(*zxid)) {
                wrong.push(format!("{address}: {path} created with {zxid:#x}: {czxid:x?}"));
            }
        }
    }
    wrong
}

fn data_and_czxid(bytes: &[u8]) -> (Vec<u8>, i64) {
    let mut reader = Reader::new(bytes);
    let data = reader.buffer().ok().flatten().unwrap_or_default().to_vec();
    (data, reader.long().unwrap_or(-1))
}
