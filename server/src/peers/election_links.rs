//! The connections of the election port: one for each pair of servers, kept by the one with the higher number.
//!
//! Whoever has something to say connects and says who it is. If the other has the higher number, the connection
//! has done its work and is closed: the other connects back. Notifications go over what is left, each behind its
//! length. Only the newest message for a server is kept, and the last one is sent again over a new connection.
//!
//! What the messages mean is for `oxkeeper_zab::Election`. Everything here runs in the thread of the peers and
//! never waits; names are looked up in threads of their own. Whoever connects may be anybody: what does not keep
//! to the protocol costs its own connection, and all memory is bounded by the limits below.

use crate::config::{EXIT_UNABLE_TO_BIND_QUORUM_PORT, EnsembleConfig};
use bytes::Bytes;
use log::{debug, error, info, warn};
use oxkeeper_net::mio::event::{Event, Source};
use oxkeeper_net::mio::{Interest, Registry, Token};
use oxkeeper_net::{Listener, Stream};
use oxkeeper_zab::{ANONYMOUS, Config, HostPort, MAX_ADDRESS_BYTES, MAX_MESSAGE_BYTES, Opening, Sid};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

/// Tokens of connections and listeners are below this.
pub const TOKENS: usize = 1 << 32;
/// Connections of whoever has not said yet who it is; the oldest goes when one more comes.
const MOST_STRANGERS: usize = 64;
/// Servers that are not in the configuration (joiners, observers without a number); the oldest goes.
const MOST_GUESTS: usize = 64;
/// Messages that nobody has taken; the oldest go, as in Java.
const MOST_RECEIVED: usize = 100;
/// Addresses that one name is tried with.
const MOST_ADDRESSES: usize = 8;
/// Reads of one connection in one turn, so that one that never ends lets the others have theirs.
const READS_PER_TURN: usize = 16;
/// Connections accepted in one turn.
const ACCEPTS_PER_TURN: usize = 64;
const SCRATCH_BYTES: usize = 16 << 10;
/// Java's pause between attempts to bind.
const BIND_PAUSE_MS: u64 = 1000;
/// After an accept that failed for lack of descriptors.
const ACCEPT_PAUSE_MS: u64 = 100;
/// If a server has several addresses the next one is tried after this, without giving up on those before.
const NEXT_ADDRESS_MS: u64 = 250;
/// How often it is looked whether a name has been found.
const LOOKUP_GRAIN_MS: u64 = 5;
/// A server that knows of us is not dialed again before it had this time to connect back: calling it once more would
/// make it give up the connection that it is about to make.
const CONNECT_BACK_MS: u64 = 500;
/// A message that could not be delivered has the server dialed again after an eighth of its age, within these.
/// Java waits for the next notification, which may be a minute away when a partition ends.
const REDIAL_MS: (u64, u64) = (250, 5000);
/// That a server cannot be reached is said in the log at most so often.
const COMPLAINT_MS: u64 = 10_000;
/// A message this old is not worth dialing for: the server it was for comes by itself.
const STALE_MS: u64 = 120_000;

/// Why the server cannot go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ElectionFailure {
    /// The exit code of the process.
    pub exit_code: i32,
    /// What happened.
    pub message: String,
}

/// See the module.
pub struct ElectionLinks {
    me: Sid,
    settings: Settings,
    /// What we say of ourselves.
    opening: Opening,
    /// The election addresses of the members.
    members: BTreeMap<Sid, Vec<HostPort>>,
    peers: BTreeMap<Sid, Peer>,
    connections: BTreeMap<usize, Connection>,
    doors: Vec<Door>,
    lookups: Lookups,
    /// Connections with more to read than one turn allows.
    unfinished: BTreeSet<usize>,
    next_token: usize,
    /// The number for the next server without one.
    next_anonymous: i64,
    received: VecDeque<(Sid, Bytes)>,
    /// Servers whose connection has come or gone.
    changed: BTreeSet<Sid>,
    failure: Option<ElectionFailure>,
    scratch: Vec<u8>,
}

/// What the configuration says.
#[derive(Clone, Debug)]
struct Settings {
    several_addresses: bool,
    listen_on_all: bool,
    bind_retries: u32,
    connect_timeout_ms: u64,
    opening_timeout_ms: u64,
    keep_alive: bool,
}

/// One other server.
#[derive(Default)]
struct Peer {
    /// The message that waits to be sent, and since when.
    waiting: Option<(Bytes, u64)>,
    /// The last one sent, and when.
    last: Option<(Bytes, u64)>,
    /// The connection that was kept.
    connection: Option<usize>,
    dial: Option<Dial>,
    redial_at_ms: Option<u64>,
    /// Until when it is given time to connect back, after we have told it of us.
    called_until_ms: u64,
    /// When it was last said in the log that it cannot be reached.
    complained_at_ms: Option<u64>,
    /// Where it says that it is, if it has connected to us.
    said: Vec<HostPort>,
}

/// An attempt to reach a server: its addresses are tried one after another, each for the whole timeout.
#[derive(Default)]
struct Dial {
    /// Names that are being looked up.
    lookups: usize,
    /// Addresses that are left.
    left: VecDeque<SocketAddr>,
    connecting: BTreeSet<usize>,
    /// When the next address is tried, if those before have not failed by then.
    next_at_ms: u64,
}

struct Connection {
    stream: Stream,
    address: SocketAddr,
    stage: Stage,
    input: Vec<u8>,
    output: Vec<u8>,
    written: usize,
}

enum Stage {
    /// We connect to this server.
    Connecting { to: Sid, deadline_ms: u64 },
    /// We say who we are to a server with a higher number; then it is closed.
    Introducing { to: Sid, deadline_ms: u64 },
    /// Somebody has connected and has not said who it is.
    Stranger { deadline_ms: u64 },
    /// Messages.
    Open { peer: Sid },
}

/// A listener, or the attempt to have one.
struct Door {
    address: HostPort,
    listener: Option<(usize, Listener)>,
    attempts: u32,
    lookup: bool,
    /// When it is bound, or accepts, again.
    again_at_ms: Option<u64>,
    given_up: bool,
}

/// What a name was looked up for.
#[derive(Clone, Copy)]
enum Purpose {
    Dial(Sid),
    Door(usize),
}

/// Threads that look names up, at most one for each name that is wanted now.
struct Lookups {
    sender: Sender<(Purpose, io::Result<Vec<SocketAddr>>)>,
    receiver: Receiver<(Purpose, io::Result<Vec<SocketAddr>>)>,
    pending: usize,
    look_at_ms: u64,
}

impl ElectionLinks {
    /// Listens on this server's election addresses from the first [`Self::tick`] on. A port that is taken is tried
    /// again; see [`Self::failure`].
    ///
    /// # Errors
    /// None of today; the caller need not rely on it.
    pub fn open(ensemble: &EnsembleConfig, registry: &Registry) -> io::Result<Self> {
        let (sender, receiver) = channel();
        let mut links = Self {
            me: ensemble.my_id,
            settings: Settings {
                several_addresses: ensemble.multi_address_enabled,
                listen_on_all: ensemble.quorum_listen_on_all_ips,
                bind_retries: ensemble.election_port_bind_retry,
                connect_timeout_ms: ensemble.cnx_timeout_ms.into(),
                opening_timeout_ms: ensemble.quorum_cnxn_timeout_ms.into(),
                keep_alive: ensemble.tcp_keep_alive,
            },
            opening: Opening { sid: ensemble.my_id, addresses: Vec::new() },
            members: BTreeMap::new(),
            peers: BTreeMap::new(),
            connections: BTreeMap::new(),
            doors: Vec::new(),
            lookups: Lookups { sender, receiver, pending: 0, look_at_ms: 0 },
            unfinished: BTreeSet::new(),
            next_token: 0,
            next_anonymous: -1,
            received: VecDeque::new(),
            changed: BTreeSet::new(),
            failure: None,
            scratch: vec![0; SCRATCH_BYTES],
        };
        links.set_config(registry, &ensemble.config, ensemble.last_seen.as_ref());
        Ok(links)
    }

    /// The members have changed: the committed configuration, and one that was proposed. Listeners move if our own
    /// addresses have changed; connections stay. One that has left the ensemble stays where it was, as with Java.
    pub fn set_config(&mut self, registry: &Registry, config: &Config, next: Option<&Config>) {
        self.members.clear();
        for (sid, member) in next.into_iter().flat_map(|next| &next.members).chain(&config.members) {
            self.members.insert(*sid, member.addresses.iter().map(|address| address.election()).collect());
        }
        let Some(own) = self.members.get(&self.me).cloned().filter(|own| *own != self.opening.addresses) else {
            return;
        };
        self.opening.addresses = own.clone();
        for door in self.doors.drain(..) {
            if let Some((_, mut listener)) = door.listener {
                let _ = listener.deregister(registry);
            }
        }
        let mut addresses: Vec<HostPort> = own;
        if self.settings.listen_on_all {
            addresses.iter_mut().for_each(|address| address.host = Ipv4Addr::UNSPECIFIED.to_string());
            addresses.sort();
            addresses.dedup();
        }
        self.doors = addresses
            .into_iter()
            .map(|address| Door { address, listener: None, attempts: 0, lookup: false, again_at_ms: Some(0), given_up: false })
            .collect();
    }

    /// Why the server has to stop, if it has to: none of its election addresses could be bound.
    pub fn failure(&self) -> Option<&ElectionFailure> {
        self.failure.as_ref()
    }

    /// Where it listens; with the real ports.
    pub fn listening(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        self.doors.iter().filter_map(|door| door.listener.as_ref()?.1.local_address().ok())
    }

    /// Sends a message, without its length, to a server as soon as that is possible. One that still waits for
    /// this server is replaced.
    pub fn send(&mut self, registry: &Registry, to: Sid, message: Bytes, now_ms: u64) {
        debug_assert!(message.len() <= MAX_MESSAGE_BYTES);
        if to == self.me {
            return;
        }
        let peer = self.peer(registry, to);
        peer.waiting = Some((message, now_ms));
        match peer.connection {
            Some(token) => self.flush(registry, token, now_ms),
            None if peer.called_until_ms > now_ms => peer.redial_at_ms = Some(peer.called_until_ms),
            None => self.dial(registry, to, now_ms),
        }
    }

    /// What has come in since the last call, in order for each server.
    pub fn take_received(&mut self) -> Vec<(Sid, Bytes)> {
        self.received.drain(..).collect()
    }

    /// Servers whose connection has come (`true`) or ended since the last call, each once, as it is now.
    pub fn take_changes(&mut self) -> Vec<(Sid, bool)> {
        let is_connected = |sid: &Sid| self.peers.get(sid).is_some_and(|peer| peer.connection.is_some());
        std::mem::take(&mut self.changed).into_iter().map(|sid| (sid, is_connected(&sid))).collect()
    }

    /// When [`Self::tick`] has something to do.
    pub fn next_timer_ms(&self) -> Option<u64> {
        if !self.unfinished.is_empty() {
            return Some(0);
        }
        let lookups = (self.lookups.pending > 0).then_some(self.lookups.look_at_ms);
        let doors = self.doors.iter().filter_map(|door| door.again_at_ms);
        let deadlines = self.connections.values().filter_map(|connection| connection.stage.deadline_ms());
        let peers = self.peers.values().flat_map(|peer| {
            let dial = peer.dial.as_ref().filter(|dial| !dial.left.is_empty()).map(|dial| dial.next_at_ms);
            [dial, peer.redial_at_ms]
        });
        lookups.into_iter().chain(doors).chain(deadlines).chain(peers.flatten()).min()
    }

    /// Time has passed, or [`Self::next_timer_ms`] was now.
    pub fn tick(&mut self, registry: &Registry, now_ms: u64) {
        if self.lookups.pending > 0 {
            self.lookups.look_at_ms = now_ms + LOOKUP_GRAIN_MS;
            while let Ok((purpose, found)) = self.lookups.receiver.try_recv() {
                self.lookups.pending -= 1;
                match purpose {
                    Purpose::Dial(sid) => self.found(registry, sid, found, now_ms),
                    Purpose::Door(index) => self.open_door(registry, index, found, now_ms),
                }
            }
        }
        for token in std::mem::take(&mut self.unfinished) {
            self.readable(registry, token, now_ms);
        }
        self.bind(registry, now_ms);
        for index in 0..self.doors.len() {
            if self.doors[index].listener.is_some() && self.doors[index].again_at_ms.is_some_and(|at| at <= now_ms) {
                self.doors[index].again_at_ms = None;
                self.accept(registry, index, now_ms);
            }
        }
        let late = |connection: &Connection| connection.stage.deadline_ms().is_some_and(|deadline| deadline <= now_ms);
        for token in self.connections.iter().filter(|(_, connection)| late(connection)).map(|(token, _)| *token).collect::<Vec<_>>() {
            self.close(registry, token, "it took too long", now_ms);
        }
        for sid in self.peers.keys().copied().collect::<Vec<_>>() {
            let peer = self.peers.get_mut(&sid).expect("a server that is there");
            if peer.dial.as_ref().is_some_and(|dial| !dial.left.is_empty() && dial.next_at_ms <= now_ms) {
                self.try_next(registry, sid, now_ms);
            } else if peer.redial_at_ms.is_some_and(|at| at <= now_ms) {
                peer.redial_at_ms = None;
                if peer.connection.is_none() {
                    self.dial(registry, sid, now_ms);
                }
            }
        }
    }

    /// An event of one of our tokens.
    pub fn on_event(&mut self, registry: &Registry, event: &Event, now_ms: u64) {
        let token = event.token().0;
        if let Some(index) = self.doors.iter().position(|door| door.listener.as_ref().is_some_and(|(own, _)| *own == token)) {
            self.accept(registry, index, now_ms);
            return;
        }
        let Some(connection) = self.connections.get(&token) else {
            return;
        };
        if let Stage::Connecting { to, .. } = connection.stage {
            let done = match connection.stream.take_error() {
                Ok(None) => connection.stream.peer_address().map(|_| ()),
                Ok(Some(error)) | Err(error) => Err(error),
            };
            match done {
                Ok(()) => {
                    self.connected(registry, token, to, now_ms);
                    self.readable(registry, token, now_ms);
                }
                Err(error) if error.kind() == ErrorKind::NotConnected => {}
                Err(error) => self.close(registry, token, &error.to_string(), now_ms),
            }
            return;
        }
        if event.is_writable() {
            self.flush(registry, token, now_ms);
        }
        if event.is_readable() || event.is_read_closed() || event.is_error() {
            self.readable(registry, token, now_ms);
        }
    }

    /// The server of this number; room is made for it if it is not a member.
    fn peer(&mut self, registry: &Registry, sid: Sid) -> &mut Peer {
        if !self.peers.contains_key(&sid) && !self.members.contains_key(&sid) {
            let guests: Vec<Sid> = self.peers.keys().filter(|sid| !self.members.contains_key(sid)).copied().collect();
            if guests.len() >= MOST_GUESTS {
                // Those without a message of late first.
                let age = |sid: &Sid| self.peers[sid].last.as_ref().map_or(0, |(_, at_ms)| *at_ms);
                let oldest = guests.into_iter().min_by_key(age).expect("guests");
                self.forget(registry, oldest);
            }
        }
        self.peers.entry(sid).or_default()
    }

    fn forget(&mut self, registry: &Registry, sid: Sid) {
        if let Some(peer) = self.peers.remove(&sid) {
            self.changed.insert(sid);
            let connecting = peer.dial.map(|dial| dial.connecting).unwrap_or_default();
            for token in connecting.into_iter().chain(peer.connection) {
                self.drop_connection(registry, token);
            }
            let introducing = |connection: &Connection| matches!(connection.stage, Stage::Introducing { to, .. } if to == sid);
            let tokens: Vec<usize> =
                self.connections.iter().filter(|(_, connection)| introducing(connection)).map(|(token, _)| *token).collect();
            tokens.into_iter().for_each(|token| self.drop_connection(registry, token));
        }
    }

    // Connecting.

    /// Begins to connect, unless that is under way.
    fn dial(&mut self, registry: &Registry, sid: Sid, now_ms: u64) {
        let Some(peer) = self.peers.get_mut(&sid).filter(|peer| peer.dial.is_none()) else {
            return;
        };
        // What it says of itself comes behind the configuration: anybody can say anything.
        let mut addresses = self.members.get(&sid).cloned().unwrap_or_default();
        addresses.extend(peer.said.iter().filter(|address| !addresses.contains(address)).cloned().collect::<Vec<_>>());
        addresses.truncate(MOST_ADDRESSES);
        if addresses.is_empty() {
            debug!("There is no address for server {sid}");
            return;
        }
        peer.redial_at_ms = None;
        let mut dial = Dial { next_at_ms: now_ms, ..Dial::default() };
        for HostPort { host, port } in addresses {
            match host.parse::<IpAddr>() {
                Ok(address) => dial.left.push_back(SocketAddr::new(address, port)),
                Err(_) => {
                    dial.lookups += 1;
                    self.lookups.begin(Purpose::Dial(sid), host, port, now_ms);
                }
            }
        }
        peer.dial = Some(dial);
        self.try_next(registry, sid, now_ms);
    }

    /// A name of a server that is dialed has been looked up.
    fn found(&mut self, registry: &Registry, sid: Sid, found: io::Result<Vec<SocketAddr>>, now_ms: u64) {
        let Some(dial) = self.peers.get_mut(&sid).and_then(|peer| peer.dial.as_mut()).filter(|dial| dial.lookups > 0) else {
            return;
        };
        dial.lookups -= 1;
        match found {
            Ok(addresses) => dial.left.extend(addresses.into_iter().take(MOST_ADDRESSES)),
            Err(error) => warn!("Cannot find an address of server {sid}: {error}"),
        }
        self.try_next(registry, sid, now_ms);
    }

    /// Tries addresses until one is on its way; ends the dial if there is nothing left to wait for.
    fn try_next(&mut self, registry: &Registry, sid: Sid, now_ms: u64) {
        loop {
            let Some(dial) = self.peers.get_mut(&sid).and_then(|peer| peer.dial.as_mut()) else {
                return;
            };
            if !dial.connecting.is_empty() && dial.next_at_ms > now_ms {
                return;
            }
            let Some(address) = dial.left.pop_front() else {
                if dial.connecting.is_empty() && dial.lookups == 0 {
                    self.dial_failed(sid, now_ms);
                }
                return;
            };
            dial.next_at_ms = now_ms + NEXT_ADDRESS_MS;
            let deadline_ms = now_ms.saturating_add(self.settings.connect_timeout_ms);
            let begun =
                Stream::connect(address).and_then(|stream| self.add(registry, stream, address, Stage::Connecting { to: sid, deadline_ms }));
            match begun {
                Ok(token) => {
                    if let Some(dial) = self.peers.get_mut(&sid).and_then(|peer| peer.dial.as_mut()) {
                        dial.connecting.insert(token);
                    }
                    return;
                }
                Err(error) => debug!("Cannot open a channel to server {sid} at {address}: {error}"),
            }
        }
    }

    fn dial_failed(&mut self, sid: Sid, now_ms: u64) {
        if let Some(peer) = self.peers.get_mut(&sid) {
            peer.dial = None;
            peer.plan_redial(now_ms);
        }
    }

    /// A connection that we wanted is there: say who we are.
    fn connected(&mut self, registry: &Registry, token: usize, to: Sid, now_ms: u64) {
        let others = self.peers.get_mut(&to).and_then(|peer| peer.dial.take()).map(|dial| dial.connecting).unwrap_or_default();
        for other in others.into_iter().filter(|other| *other != token) {
            self.drop_connection(registry, other);
        }
        let opening = self.opening.encode(self.settings.several_addresses);
        let Some(connection) = self.connections.get_mut(&token) else {
            return;
        };
        // In one piece: Java reads the addresses with one call, and a part is not enough for it.
        connection.output = opening;
        if to > self.me {
            let deadline_ms = now_ms.saturating_add(self.settings.opening_timeout_ms);
            connection.stage = Stage::Introducing { to, deadline_ms };
            self.flush(registry, token, now_ms);
        } else {
            self.keep(registry, token, to, now_ms);
        }
    }

    /// A connection becomes the one with this server; an earlier one ends.
    fn keep(&mut self, registry: &Registry, token: usize, sid: Sid, now_ms: u64) {
        let peer = self.peer(registry, sid);
        let before = peer.connection.replace(token);
        peer.redial_at_ms = None;
        peer.complained_at_ms = None;
        if peer.waiting.is_none() {
            peer.waiting = peer.last.clone();
        }
        self.changed.insert(sid);
        if let Some(before) = before.filter(|before| *before != token) {
            self.drop_connection(registry, before);
        }
        if let Some(connection) = self.connections.get_mut(&token) {
            connection.stage = Stage::Open { peer: sid };
            debug!("Server {sid} is connected, at {}", connection.address);
        }
        self.flush(registry, token, now_ms);
    }

    // Accepting.

    /// Binds what is due.
    fn bind(&mut self, registry: &Registry, now_ms: u64) {
        for index in 0..self.doors.len() {
            let door = &mut self.doors[index];
            if door.listener.is_some() || door.lookup || door.given_up || door.again_at_ms.is_none_or(|at| at > now_ms) {
                continue;
            }
            door.again_at_ms = None;
            let HostPort { host, port } = door.address.clone();
            match host.parse::<IpAddr>() {
                Ok(address) => self.open_door(registry, index, Ok(vec![SocketAddr::new(address, port)]), now_ms),
                Err(_) => {
                    door.lookup = true;
                    self.lookups.begin(Purpose::Door(index), host, port, now_ms);
                }
            }
        }
    }

    fn open_door(&mut self, registry: &Registry, index: usize, found: io::Result<Vec<SocketAddr>>, now_ms: u64) {
        let token = self.fresh_token();
        let Some(door) = self.doors.get_mut(index).filter(|door| door.listener.is_none()) else {
            return;
        };
        door.lookup = false;
        let bound = found.and_then(|found| {
            let address = first_choice(&found).ok_or_else(|| io::Error::from(ErrorKind::NotFound))?;
            let mut listener = Listener::bind(address, -1)?;
            registry.register(&mut listener, Token(token), Interest::READABLE)?;
            Ok(listener)
        });
        match bound {
            Ok(listener) => {
                info!("{} is accepting connections now, my election bind port: {}", self.me, door.address);
                door.listener = Some((token, listener));
                door.attempts = 0;
            }
            Err(error) => {
                error!("Cannot listen on the election address {}: {error}", door.address);
                door.attempts += 1;
                door.given_up = self.settings.bind_retries > 0 && door.attempts >= self.settings.bind_retries;
                door.again_at_ms = (!door.given_up).then_some(now_ms + BIND_PAUSE_MS);
            }
        }
        if self.doors.iter().all(|door| door.given_up) {
            let tries = self.settings.bind_retries;
            let message = format!(
                "the election port cannot be bound after {tries} attempts (zookeeper.electionPortBindRetry): {}",
                self.doors.iter().map(|door| door.address.to_string()).collect::<Vec<_>>().join(", ")
            );
            self.failure = Some(ElectionFailure { exit_code: EXIT_UNABLE_TO_BIND_QUORUM_PORT, message });
        }
    }

    fn accept(&mut self, registry: &Registry, index: usize, now_ms: u64) {
        for _ in 0..ACCEPTS_PER_TURN {
            let Some((_, listener)) = &self.doors[index].listener else {
                return;
            };
            match listener.accept() {
                Ok(None) => return,
                Ok(Some((stream, address))) => {
                    debug!("Received connection request from {address}");
                    self.make_room(registry);
                    let deadline_ms = now_ms.saturating_add(self.settings.opening_timeout_ms);
                    if let Err(error) = self.add(registry, stream, address, Stage::Stranger { deadline_ms }) {
                        warn!("The connection of {address} cannot be served: {error}");
                    }
                }
                Err(error) => {
                    warn!("A connection to the election port cannot be accepted: {error}");
                    self.doors[index].again_at_ms = Some(now_ms + ACCEPT_PAUSE_MS);
                    return;
                }
            }
        }
        self.doors[index].again_at_ms = Some(now_ms);
    }

    /// Whoever has waited longest without saying who it is has to go when too many do.
    fn make_room(&mut self, registry: &Registry) {
        let strangers = || {
            self.connections.iter().filter_map(|(token, connection)| match connection.stage {
                Stage::Stranger { deadline_ms } => Some((deadline_ms, *token)),
                _ => None,
            })
        };
        if strangers().count() >= MOST_STRANGERS
            && let Some((_, oldest)) = strangers().min()
        {
            self.drop_connection(registry, oldest);
        }
    }

    /// Somebody has said who it is.
    fn introduced(&mut self, registry: &Registry, token: usize, opening: Opening, now_ms: u64) {
        let Opening { mut sid, addresses } = opening;
        if sid == ANONYMOUS {
            sid = Sid(self.next_anonymous);
            self.next_anonymous = self.next_anonymous.checked_sub(1).unwrap_or(-1);
            info!("An observer without a number gets {sid}");
        }
        if sid == self.me {
            let from = self.connections.get(&token).map(|connection| connection.address);
            warn!("A server with our own number {sid} has connected from {from:?}: the configuration of one of us is wrong");
            self.drop_connection(registry, token);
        } else if sid > self.me {
            self.keep(registry, token, sid, now_ms);
        } else {
            // It was to wake us: connections are those of the higher number. What there was is worth nothing to it.
            self.drop_connection(registry, token);
            let peer = self.peer(registry, sid);
            peer.said = addresses;
            if let Some(before) = peer.connection.take() {
                self.drop_connection(registry, before);
                self.changed.insert(sid);
            }
            self.dial(registry, sid, now_ms);
        }
    }

    // Bytes.

    fn readable(&mut self, registry: &Registry, token: usize, now_ms: u64) {
        for _ in 0..READS_PER_TURN {
            let Some(connection) = self.connections.get_mut(&token) else {
                return;
            };
            match connection.stream.read(&mut self.scratch) {
                Ok(0) => {
                    self.close(registry, token, "the other side has closed it", now_ms);
                    return;
                }
                Ok(count) => {
                    connection.input.extend_from_slice(&self.scratch[..count]);
                    if let Err(reason) = self.parse(registry, token, now_ms) {
                        self.close(registry, token, &reason, now_ms);
                        return;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    self.close(registry, token, &error.to_string(), now_ms);
                    return;
                }
            }
        }
        self.unfinished.insert(token);
    }

    /// Takes what is whole out of what has come in.
    fn parse(&mut self, registry: &Registry, token: usize, now_ms: u64) -> Result<(), String> {
        let Some(connection) = self.connections.get_mut(&token) else {
            return Ok(());
        };
        if let Stage::Stranger { .. } = connection.stage {
            debug_assert!(connection.input.len() <= 20 + MAX_ADDRESS_BYTES + SCRATCH_BYTES);
            match Opening::decode(&connection.input) {
                Ok(None) => return Ok(()),
                Ok(Some((opening, length))) => {
                    connection.input.drain(..length);
                    self.introduced(registry, token, opening, now_ms);
                }
                Err(error) => return Err(error.to_string()),
            }
        }
        let Some(connection) = self.connections.get_mut(&token) else {
            return Ok(());
        };
        let peer = match connection.stage {
            Stage::Open { peer } => peer,
            // Whom we only tell who we are has nothing to say to that.
            _ => {
                connection.input.clear();
                return Ok(());
            }
        };
        let mut rest = &connection.input[..];
        while let Some((head, body)) = rest.split_first_chunk::<4>() {
            let announced = i32::from_be_bytes(*head);
            let length = usize::try_from(announced).ok().filter(|length| (1..=MAX_MESSAGE_BYTES).contains(length));
            let Some(length) = length else {
                return Err(format!("it announces a message of {announced} bytes"));
            };
            let Some((message, behind)) = body.split_at_checked(length) else {
                break;
            };
            if self.received.len() >= MOST_RECEIVED {
                self.received.pop_front();
            }
            self.received.push_back((peer, Bytes::copy_from_slice(message)));
            rest = behind;
        }
        let taken = connection.input.len() - rest.len();
        connection.input.drain(..taken);
        if connection.input.is_empty() {
            connection.input = Vec::new();
        }
        Ok(())
    }

    /// Sends what the socket takes.
    fn flush(&mut self, registry: &Registry, token: usize, now_ms: u64) {
        loop {
            let Some(connection) = self.connections.get_mut(&token) else {
                return;
            };
            while connection.written < connection.output.len() {
                match connection.stream.write(&connection.output[connection.written..]) {
                    Ok(0) => return self.close(registry, token, "nothing can be written", now_ms),
                    Ok(count) => connection.written += count,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) => return self.close(registry, token, &error.to_string(), now_ms),
                }
            }
            connection.output = Vec::new();
            connection.written = 0;
            match connection.stage {
                Stage::Introducing { to, .. } => {
                    debug!("Server {to} knows of us; it has the higher number and connects back");
                    self.drop_connection(registry, token);
                    if let Some(peer) = self.peers.get_mut(&to).filter(|peer| peer.connection.is_none()) {
                        peer.called_until_ms = now_ms + CONNECT_BACK_MS;
                        peer.redial_at_ms = peer.waiting.as_ref().map(|_| peer.called_until_ms);
                    }
                    return;
                }
                Stage::Open { peer } => {
                    let Some((message, _)) = self.peers.get_mut(&peer).and_then(|peer| peer.waiting.take()) else {
                        return;
                    };
                    let length = u32::try_from(message.len()).expect("a message is short");
                    connection.output.reserve_exact(4 + message.len());
                    connection.output.extend_from_slice(&length.to_be_bytes());
                    connection.output.extend_from_slice(&message);
                    if let Some(peer) = self.peers.get_mut(&peer) {
                        peer.last = Some((message, now_ms));
                    }
                }
                Stage::Connecting { .. } | Stage::Stranger { .. } => return,
            }
        }
    }

    // Connections.

    fn add(&mut self, registry: &Registry, mut stream: Stream, address: SocketAddr, stage: Stage) -> io::Result<usize> {
        stream.set_client_options(self.settings.keep_alive)?;
        // An address behind a dead router must not hold up the next election for the system's quarter of an hour.
        stream.set_patience(Duration::from_millis(self.settings.opening_timeout_ms.max(1000)))?;
        let token = self.fresh_token();
        registry.register(&mut stream, Token(token), Interest::READABLE | Interest::WRITABLE)?;
        let connection = Connection { stream, address, stage, input: Vec::new(), output: Vec::new(), written: 0 };
        self.connections.insert(token, connection);
        Ok(token)
    }

    fn fresh_token(&mut self) -> usize {
        loop {
            self.next_token = (self.next_token + 1) % TOKENS;
            let is_door = |door: &Door| door.listener.as_ref().is_some_and(|(token, _)| *token == self.next_token);
            if !self.connections.contains_key(&self.next_token) && !self.doors.iter().any(is_door) {
                return self.next_token;
            }
        }
    }

    fn drop_connection(&mut self, registry: &Registry, token: usize) {
        drop(self.take_connection(registry, token));
    }

    fn take_connection(&mut self, registry: &Registry, token: usize) -> Option<Connection> {
        let mut connection = self.connections.remove(&token)?;
        // The socket is closed in a moment, and the poll forgets it then at the latest.
        let _ = connection.stream.deregister(registry);
        self.unfinished.remove(&token);
        Some(connection)
    }

    /// Ends a connection, with what follows from that for its server.
    fn close(&mut self, registry: &Registry, token: usize, reason: &str, now_ms: u64) {
        let Some(connection) = self.take_connection(registry, token) else {
            return;
        };
        let address = connection.address;
        match connection.stage {
            // Whoever only looks whether the port is open.
            Stage::Stranger { .. } if connection.input.is_empty() => debug!("The connection of {address} has ended: {reason}"),
            Stage::Stranger { .. } => warn!("The connection of {address} to the election port is closed: {reason}"),
            Stage::Connecting { to, .. } => {
                let Some(peer) = self.peers.get_mut(&to) else { return };
                if peer.complained_at_ms.is_none_or(|at| at + COMPLAINT_MS <= now_ms) {
                    peer.complained_at_ms = Some(now_ms);
                    warn!("Cannot open channel to {to} at election address {address}: {reason}");
                }
                if let Some(dial) = &mut peer.dial {
                    dial.connecting.remove(&token);
                    dial.next_at_ms = now_ms;
                    self.try_next(registry, to, now_ms);
                }
            }
            Stage::Introducing { to, .. } => {
                debug!("Server {to} at {address} has not been told of us: {reason}");
                self.dial_failed(to, now_ms);
            }
            Stage::Open { peer: sid } => {
                info!("Connection broken for id {sid}, my id = {}: {reason}", self.me);
                let Some(peer) = self.peers.get_mut(&sid).filter(|peer| peer.connection == Some(token)) else { return };
                peer.connection = None;
                self.changed.insert(sid);
                // What was sent last may be lost.
                if peer.waiting.is_none() {
                    peer.waiting = peer.last.clone();
                }
                peer.plan_redial(now_ms);
            }
        }
    }
}

impl Peer {
    /// If a message waits that is not too old, the server is dialed again.
    fn plan_redial(&mut self, now_ms: u64) {
        let Some((_, since_ms)) = &self.waiting else {
            return;
        };
        let age_ms = now_ms.saturating_sub(*since_ms);
        if age_ms < STALE_MS {
            self.redial_at_ms = Some(now_ms + (age_ms / 8).clamp(REDIAL_MS.0, REDIAL_MS.1));
        }
    }
}

impl Stage {
    fn deadline_ms(&self) -> Option<u64> {
        match self {
            Stage::Connecting { deadline_ms, .. } | Stage::Introducing { deadline_ms, .. } | Stage::Stranger { deadline_ms } => {
                Some(*deadline_ms)
            }
            Stage::Open { .. } => None,
        }
    }
}

impl Lookups {
    fn begin(&mut self, purpose: Purpose, host: String, port: u16, now_ms: u64) {
        self.pending += 1;
        self.look_at_ms = now_ms;
        let sender = self.sender.clone();
        let lookup = move || {
            let found = (host.as_str(), port).to_socket_addrs().map(|found| found.collect());
            // Nobody listens any more only when the server ends.
            let _ = sender.send((purpose, found));
        };
        if let Err(error) = std::thread::Builder::new().name("ElectionLookup".to_owned()).spawn(lookup) {
            let _ = self.sender.send((purpose, Err(error)));
        }
    }
}

/// Of several addresses the first IPv4 one, as Java.
fn first_choice(addresses: &[SocketAddr]) -> Option<SocketAddr> {
    addresses.iter().find(|address| address.is_ipv4()).or(addresses.first()).copied()
}
