//! The thread of the peers: election links, links between learners and a leader, and the time that passes for them.
//!
//! It reads packets and brings them to the core in batches; most of what is sent is sent by whoever brought the core
//! the reason for it ([`links`]).

pub mod election_links;
pub mod links;

use crate::config::EnsembleConfig;
use crate::runtime::pulse::Pulse;
use crate::runtime::shared::{Shared, unpoisoned};
use election_links::ElectionLinks;
use links::{Link, Links, Work};
use log::{debug, error, info, warn};
use oxkeeper_ledger::{Arrival, LinkReader};
use oxkeeper_net::mio::event::{Event, Source};
use oxkeeper_net::mio::{Events, Interest, Poll, Token};
use oxkeeper_net::{Listener, Stream};
use oxkeeper_replica::core::Input;
use oxkeeper_zab::packet::LearnerInfo;
use oxkeeper_zab::{Door, LinkId, PacketKind, Sid};
use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::io::{self, Read as _};
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

/// The token of the waker.
pub const WAKE: Token = Token(usize::MAX);
/// Tokens of listeners on quorum ports begin here.
const LISTEN: usize = 1 << 48;
/// Tokens of links begin here; below are those of the election.
const LINKS: usize = 1 << 32;
const SCRATCH_BYTES: usize = 256 << 10;
/// Read of one link in one turn.
const TURN_BYTES: usize = 4 << 20;
/// A packet is longer than the longest transaction by its own fields.
const PACKET_ROOM_BYTES: usize = 64 << 10;
/// The longest sleep: how late a stop is seen.
const GRAIN_MS: u64 = 50;
/// Learners, and those who only pretend to be.
const MOST_LINKS: usize = 1024;
/// A leader's address that does not answer for so long is given up for its next one.
const NEXT_ADDRESS_MS: u64 = 1000;
/// After a quorum port that could not be bound.
const BIND_AGAIN_MS: u64 = 200;

/// A link as its reader sees it.
struct Reading {
    link: Arc<Link>,
    token: Token,
    input: LinkReader,
    /// The connect is not finished; the addresses that are left to be tried.
    connecting: Option<VecDeque<SocketAddr>>,
    /// When it was begun, milliseconds.
    begun_ms: u64,
    readable: bool,
    /// The peer has closed its side, or the link has failed: reading goes on until it says so.
    peer_closed: bool,
}

/// See the module.
pub struct Peers {
    shared: Arc<Shared>,
    links: Arc<Links>,
    ensemble: EnsembleConfig,
    poll: Poll,
    election: ElectionLinks,
    listeners: Vec<Listener>,
    /// Which port is to be listened on, if any: a leader's, or that of a follower that feeds observers.
    door: Option<Door>,
    /// What the oracle has said last, and when it is asked again at the latest.
    oracle: Option<bool>,
    oracle_ms: u64,
    /// Listening was asked for and did not succeed yet: when to try again.
    bind_again_ms: Option<u64>,
    reading: HashMap<LinkId, Reading>,
    by_token: HashMap<Token, LinkId>,
    next_token: usize,
    next_link: u64,
    /// Links that may have more to be read.
    ready: VecDeque<LinkId>,
    scratch: Vec<u8>,
    inputs: Vec<Input>,
}

impl Peers {
    pub fn new(shared: Arc<Shared>, links: Arc<Links>, ensemble: EnsembleConfig, poll: Poll, election: ElectionLinks) -> Self {
        Self {
            shared,
            links,
            ensemble,
            poll,
            election,
            listeners: Vec::new(),
            door: None,
            oracle: None,
            oracle_ms: 0,
            bind_again_ms: None,
            reading: HashMap::new(),
            by_token: HashMap::new(),
            next_token: LINKS,
            next_link: 1,
            ready: VecDeque::new(),
            scratch: vec![0; SCRATCH_BYTES],
            inputs: Vec::new(),
        }
    }

    /// Runs until the server stops.
    pub fn run(mut self) {
        let shared = self.shared.clone();
        let links = self.links.clone();
        let mut events = Events::with_capacity(256);
        let mut work = Vec::new();
        let mut pulse = Pulse::new(shared.now().mono_ms, GRAIN_MS, u64::from(shared.config.tick_time_ms));
        // What the core wanted from the first moment on.
        shared.bring(shared.now(), []);
        while !shared.stopping() {
            let before = shared.now();
            let core_timer = shared.core().next_timer_ms();
            let timers = core_timer.into_iter().chain(self.election.next_timer_ms()).chain(self.bind_again_ms);
            let wait_ms = timers.min().map_or(GRAIN_MS, |at| at.saturating_sub(before.mono_ms).min(GRAIN_MS));
            let may_sleep =
                self.ready.is_empty() && wait_ms > 0 && links.wakeup.fall_asleep(|| !links.work.is_empty() || shared.stopping());
            let polled = self.poll.poll(&mut events, Some(Duration::from_millis(if may_sleep { wait_ms } else { 0 })));
            links.wakeup.awake();
            match polled {
                Err(failure) if failure.kind() != io::ErrorKind::Interrupted => panic!("epoll: {failure}"),
                _ => {}
            }
            let now = shared.now();
            self.inputs.extend(pulse.beat(now.mono_ms));
            for event in &events {
                let token = event.token();
                if token == WAKE {
                    continue;
                } else if token.0 >= LISTEN {
                    self.accept();
                } else if token.0 >= LINKS {
                    self.note(token, event);
                } else {
                    self.election.on_event(self.poll.registry(), event, now.mono_ms);
                }
            }
            links.work.take(&mut work);
            for work in work.drain(..) {
                self.carry_out(work, now.mono_ms);
            }
            if self.bind_again_ms.is_some_and(|at| at <= now.mono_ms) {
                self.listen(now.mono_ms);
            }
            self.read_ready();
            self.try_next_addresses(now.mono_ms);
            self.election.tick(self.poll.registry(), now.mono_ms);
            let received = self.election.take_received();
            let has_come_due = core_timer.is_some_and(|at| at <= now.mono_ms);
            self.ask_oracle(now.mono_ms, has_come_due || !received.is_empty());
            for (from, message) in received {
                self.inputs.push(Input::Notification { from, message });
            }
            for (peer, is_up) in self.election.take_changes() {
                self.inputs.push(Input::ElectionLink { peer, is_up });
            }
            if let Some(failure) = self.election.failure() {
                // As Java: without its election port a member can never come back into the ensemble.
                error!("{}", failure.message);
                std::process::exit(failure.exit_code);
            }
            if has_come_due {
                self.inputs.push(Input::Tick);
            }
            if !self.inputs.is_empty() {
                shared.bring(now, self.inputs.drain(..));
            }
        }
        for reading in self.reading.values() {
            reading.link.flush();
            reading.link.fail();
            reading.link.tell_tracked();
        }
    }

    /// What the oracle of an ensemble of two says, before anything is decided that may depend on it; as Java, a file that
    /// cannot be read says no.
    fn ask_oracle(&mut self, now_ms: u64, is_wanted: bool) {
        let Some(path) = &self.ensemble.oracle_path else { return };
        if !is_wanted && now_ms < self.oracle_ms {
            return;
        }
        self.oracle_ms = now_ms + GRAIN_MS;
        let mut first = [0];
        let read = File::open(path).and_then(|mut file| file.read(&mut first));
        let says = Some(matches!(read, Ok(1)) && first[0] == b'1');
        if self.oracle != says {
            match read {
                Ok(_) => info!("The oracle {} says {}", path.display(), says == Some(true)),
                Err(failure) => warn!("The oracle {} cannot be read: {failure}", path.display()),
            }
            self.oracle = says;
            self.inputs.push(Input::Oracle { says });
        }
    }

    fn carry_out(&mut self, work: Work, now_ms: u64) {
        match work {
            Work::Notify { to, message } => self.election.send(self.poll.registry(), to, message, now_ms),
            Work::Dial { link, leader, door } => self.dial(link, leader, door),
            Work::Resolved { link, addresses } => self.connect(link, addresses.into()),
            Work::Listen { on: true, door } => {
                self.door = Some(door);
                self.listen(now_ms);
            }
            Work::Listen { on: false, .. } => {
                self.door = None;
                self.bind_again_ms = None;
                for mut listener in self.listeners.drain(..) {
                    let _ = listener.deregister(self.poll.registry());
                }
            }
            Work::HangUp(id) => {
                if let Some(link) = self.links.get(id) {
                    link.flush();
                }
                // The core has forgotten it already; what is still on its way goes out while the socket is kept.
                self.forget(id);
            }
            Work::Members(config) => {
                info!(
                    "The members are now, in version {:x}: {:?}",
                    config.version,
                    config.members.keys().map(|sid| sid.0).collect::<Vec<_>>()
                );
                self.ensemble.last_seen.take_if(|seen| seen.version <= config.version);
                self.ensemble.config = *config;
                self.election.set_config(self.poll.registry(), &self.ensemble.config, self.ensemble.last_seen.as_ref());
                self.move_clients();
            }
            Work::SeenMembers(config) => {
                self.ensemble.last_seen = Some(*config).filter(|config| config.version > self.ensemble.config.version);
                self.election.set_config(self.poll.registry(), &self.ensemble.config, self.ensemble.last_seen.as_ref());
            }
            Work::Progress(link) => self.inputs.push(Input::Progress { link }),
            Work::Failed(id) => self.lost(id, "it could not be sent to"),
        }
    }

    /// The configuration may say that clients come to another port from now on; those that are connected stay. Names are
    /// looked up on a thread of their own.
    fn move_clients(&mut self) {
        let own = self.ensemble.config.members.get(&self.ensemble.my_id);
        let Some(client) = own.and_then(|own| own.client.clone()) else { return };
        let shared = self.shared.clone();
        let looked_up = std::thread::Builder::new().name("Resolver".to_owned()).spawn(move || {
            match (client.host.as_str(), client.port).to_socket_addrs().map(|mut found| found.next()) {
                Ok(Some(address)) => shared.move_clients(address),
                _ => error!("The configuration's address for clients, {client}, is not one of this machine"),
            }
        });
        if let Err(failure) = looked_up {
            error!("No thread to look up the address for clients: {failure}");
        }
    }

    /// The quorum ports of this server, which are open only while it leads, or those for observers while it feeds some, as
    /// with Java: a learner finds out at once.
    fn listen(&mut self, now_ms: u64) {
        self.bind_again_ms = None;
        let Some(door) = self.door.filter(|_| self.listeners.is_empty()) else { return };
        for address in self.ensemble.own_learner_addresses(door) {
            match Listener::bind(address, -1) {
                Ok(mut listener) => {
                    let token = Token(LISTEN + self.listeners.len());
                    if let Err(failure) = listener.register(self.poll.registry(), token, Interest::READABLE) {
                        warn!("The port for learners {address} cannot be polled: {failure}");
                        continue;
                    }
                    info!("Listening for learners on {address}");
                    self.listeners.push(listener);
                }
                Err(failure) => warn!("Couldn't bind to the port for learners {address}: {failure}"),
            }
        }
        if self.listeners.is_empty() {
            self.bind_again_ms = Some(now_ms + BIND_AGAIN_MS);
        }
    }

    fn accept(&mut self) {
        let mut accepted = Vec::new();
        for listener in &self.listeners {
            while let Ok(Some(new)) = listener.accept() {
                accepted.push(new);
            }
        }
        for (stream, peer) in accepted {
            if self.reading.len() >= MOST_LINKS {
                warn!("Too many links: the one from {peer} is refused");
                continue;
            }
            let id = LinkId(self.next_link);
            self.next_link += 1;
            if self.begin(id, stream, peer, None) {
                self.inputs.push(Input::LinkUp { link: id });
            }
        }
    }

    /// Names are looked up on a thread of their own: that can take long. They are looked up again at each connect.
    fn dial(&mut self, id: LinkId, leader: Sid, door: Door) {
        let hosts = self.ensemble.learner_hosts(leader, door);
        let links = self.links.clone();
        let looked_up = std::thread::Builder::new().name("Resolver".to_owned()).spawn(move || {
            let addresses = hosts.iter().filter_map(|(host, port)| (host.as_str(), *port).to_socket_addrs().ok()).flatten().collect();
            links.ask(Work::Resolved { link: id, addresses });
        });
        if looked_up.is_err() {
            self.inputs.push(Input::LinkDown { link: id });
        }
    }

    fn connect(&mut self, id: LinkId, mut addresses: VecDeque<SocketAddr>) {
        while let Some(address) = addresses.pop_front() {
            match Stream::connect(address) {
                Ok(stream) => {
                    if self.begin(id, stream, address, Some(addresses.clone())) {
                        return;
                    }
                }
                Err(failure) => warn!("Unexpected exception, when connecting to the leader at {address}: {failure}"),
            }
        }
        self.inputs.push(Input::LinkDown { link: id });
    }

    /// An address that does not answer must not keep us from the next one: packets to it may go nowhere.
    fn try_next_addresses(&mut self, now_ms: u64) {
        let is_slow = |reading: &Reading| {
            reading.connecting.as_ref().is_some_and(|rest| !rest.is_empty()) && now_ms >= reading.begun_ms + NEXT_ADDRESS_MS
        };
        let slow: Vec<LinkId> = self.reading.iter().filter(|(_, reading)| is_slow(reading)).map(|(id, _)| *id).collect();
        for id in slow {
            let Some(reading) = self.reading.get_mut(&id) else { continue };
            warn!("{} does not answer: the next address is tried", reading.link.peer);
            let rest = reading.connecting.take().unwrap_or_default();
            self.forget(id);
            self.connect(id, rest);
        }
    }

    fn begin(&mut self, id: LinkId, mut stream: Stream, peer: SocketAddr, connecting: Option<VecDeque<SocketAddr>>) -> bool {
        let token = Token(self.next_token);
        self.next_token += 1;
        let _ = stream.set_client_options(self.ensemble.tcp_keep_alive);
        if let Err(failure) = stream.register(self.poll.registry(), token, Interest::READABLE | Interest::WRITABLE) {
            warn!("The link with {peer} cannot be polled: {failure}");
            return false;
        }
        let link = Link::new(id, peer, stream, self.ensemble.tracked_packets);
        if connecting.is_none() {
            self.links.insert(link.clone());
        }
        self.by_token.insert(token, id);
        let begun_ms = self.shared.now().mono_ms;
        let reading = Reading { link, token, input: LinkReader::default(), connecting, begun_ms, readable: false, peer_closed: false };
        self.reading.insert(id, reading);
        true
    }

    fn note(&mut self, token: Token, event: &Event) {
        let Some(id) = self.by_token.get(&token).copied() else { return };
        let Some(reading) = self.reading.get_mut(&id) else { return };
        reading.peer_closed |= event.is_read_closed() || event.is_error();
        let readable = event.is_readable() || reading.peer_closed;
        if let Some(rest) = &mut reading.connecting {
            let rest = std::mem::take(rest);
            match reading.link.with_stream(|stream| (stream.take_error(), stream.peer_address())) {
                (Ok(None), Ok(_)) => {
                    reading.connecting = None;
                    self.links.insert(reading.link.clone());
                    self.inputs.push(Input::LinkUp { link: id });
                }
                (Ok(None), Err(_)) if !readable => {
                    // Not connected yet.
                    reading.connecting = Some(rest);
                    return;
                }
                (outcome, _) => {
                    let failure = outcome.ok().flatten().map_or("refused".to_owned(), |failure| failure.to_string());
                    warn!("Unexpected exception, when connecting to the leader at {}: {failure}", reading.link.peer);
                    self.forget(id);
                    self.connect(id, rest);
                    return;
                }
            }
        }
        if event.is_writable() && !reading.link.flush() {
            return self.lost(id, "it could not be sent to");
        }
        if readable && !std::mem::replace(&mut reading.readable, true) {
            self.ready.push_back(id);
        }
    }

    fn read_ready(&mut self) {
        for _ in 0..self.ready.len() {
            let Some(id) = self.ready.pop_front() else { break };
            match self.read(id) {
                Ok(true) => self.ready.push_back(id),
                Ok(false) => {}
                Err(failure) => self.lost(id, &failure.to_string()),
            }
        }
    }

    /// Reads one link for a turn. Returns whether there may be more.
    fn read(&mut self, id: LinkId) -> io::Result<bool> {
        let Some(reading) = self.reading.get_mut(&id) else { return Ok(false) };
        let longest = usize::try_from(self.shared.max_length).unwrap_or(usize::MAX).saturating_add(PACKET_ROOM_BYTES);
        // Only a leader sends snapshots, on a link that was dialled.
        let store = (id.0 >> 63 == 1).then_some(&*self.shared.store);
        let (links, inputs) = (&self.links, &mut self.inputs);
        let mut total = 0;
        loop {
            match reading.link.read(&mut self.scratch) {
                Ok(0) => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the peer has closed it")),
                Ok(n) => {
                    total += n;
                    reading.input.feed(&self.scratch[..n], longest, store, |arrival| match arrival {
                        Arrival::Packet(packet) => {
                            reading.link.count(packet.kind);
                            if matches!(packet.kind, PacketKind::FOLLOWERINFO | PacketKind::OBSERVERINFO)
                                && let Some(sid) = LearnerInfo::decode(packet.data.as_deref()).sid
                            {
                                reading.link.name(Sid(sid), &links.metrics);
                            }
                            inputs.push(Input::Packet { link: id, packet });
                        }
                        Arrival::Snapshot(received) => {
                            *unpoisoned(links.received.lock()) = Some(received);
                            inputs.push(Input::SnapshotReceived { link: id });
                        }
                    })?;
                    if reading.input.is_receiving() {
                        inputs.push(Input::Progress { link: id });
                    }
                    // A short read has emptied the socket, save for an end that came with it.
                    if n < self.scratch.len() && !reading.peer_closed {
                        reading.readable = false;
                        return Ok(false);
                    }
                    if total >= TURN_BYTES {
                        return Ok(true);
                    }
                }
                Err(failure) if failure.kind() == io::ErrorKind::WouldBlock => {
                    reading.readable = false;
                    return Ok(false);
                }
                Err(failure) if failure.kind() == io::ErrorKind::Interrupted => {}
                Err(failure) => return Err(failure),
            }
        }
    }

    /// The link is gone, and the core has to know.
    fn lost(&mut self, id: LinkId, why: &str) {
        if let Some(reading) = self.reading.get(&id) {
            debug!("The link with {} is closed: {why}", reading.link.peer);
            self.forget(id);
            self.inputs.push(Input::LinkDown { link: id });
        }
    }

    fn forget(&mut self, id: LinkId) {
        self.links.remove(id);
        if let Some(reading) = self.reading.remove(&id) {
            self.by_token.remove(&reading.token);
            reading.link.with_stream(|stream| {
                let _ = stream.deregister(self.poll.registry());
            });
            reading.link.fail();
            // An address that was not reached has nothing to tell.
            if reading.connecting.is_none() {
                reading.link.tell_tracked();
            }
        }
    }
}
