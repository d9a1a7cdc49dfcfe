//! Whole elections of many servers over links that delay, break and lose: whatever happened before, a connected
//! majority ends up under one leader.
//!
//! A link is what the election port is: one connection for each pair, in order, a queue of one message in each
//! direction whose newest message wins, and the last message again after each reconnect. What follows an
//! election is only hinted at: a leader that enough servers follow for a while is established, everybody else
//! looks again.

use oxkeeper_zab::{Candidate, Config, Election, ElectionOptions, ElectionOutput, PeerState, Quorum, Sid};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Time for a leader to gather followers (Java's initLimit and tickTime).
const GATHER_MS: u64 = 2000;
/// When links stop breaking.
const CALM_MS: u64 = 8000;
/// Until when there must be a leader: the longest wait between notifications is 60 s.
const END_MS: u64 = 400_000;

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn one_in(&mut self, chances: u64) -> bool {
        self.below(chances) == 0
    }
}

/// One direction of a link.
#[derive(Default)]
struct Direction {
    /// The message that waits for the link.
    slot: Option<Vec<u8>>,
    last: Option<Vec<u8>>,
    flying: VecDeque<(u64, Vec<u8>)>,
}

struct Server {
    election: Election,
    candidate: Candidate,
    /// It tells its epoch from before the election, in messages of 40 bytes, as servers before 3.4.6 did.
    is_old: bool,
    /// When it looks after its role again, once elected.
    review_at_ms: Option<u64>,
    established: bool,
    up: bool,
}

struct World {
    random: Random,
    now_ms: u64,
    quorum: Quorum,
    servers: BTreeMap<Sid, Server>,
    /// By pairs, the smaller first: whether they are connected.
    connected: BTreeMap<(Sid, Sid), bool>,
    /// Pairs that stay cut off when it is calm.
    cut: BTreeSet<(Sid, Sid)>,
    directions: BTreeMap<(Sid, Sid), Direction>,
    restarts: u64,
}

fn pair(one: Sid, other: Sid) -> (Sid, Sid) {
    (one.min(other), one.max(other))
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let voters = [1, 2, 3, 3, 4, 5, 5, 7, 9][random.below(9) as usize];
        let observers = random.below(3) as i64;
        let mut text = String::new();
        for sid in 1..=voters + observers {
            let role = if sid > voters { ":observer" } else { "" };
            text.push_str(&format!("server.{sid}=h{sid}:1:2{role}\n"));
        }
        let hierarchical = voters == 9 && random.one_in(2);
        if hierarchical {
            text.push_str("group.1=1:2:3\ngroup.2=4:5:6\ngroup.3=7:8:9\nweight.1=2\nweight.9=0\n");
        }
        let config = Config::parse(&text).expect("a configuration");
        let quorum = config.quorum();
        let fast = ElectionOptions { finalize_wait_ms: 20, min_notification_ms: 50, max_notification_ms: 5000 };
        let options = if random.one_in(2) { ElectionOptions::default() } else { fast };
        let mut servers = BTreeMap::new();
        for sid in config.members.keys() {
            let epoch = random.below(3) as i64;
            let candidate =
                Candidate { zxid: epoch << 32 | random.below(3) as i64, epoch: epoch + random.below(2) as i64, in_doubt: false };
            let election = Election::new(*sid, !config.is_voter(*sid), options, &config);
            servers
                .insert(*sid, Server { election, candidate, is_old: random.one_in(6), review_at_ms: None, established: false, up: true });
        }
        let mut world = Self {
            random,
            now_ms: 0,
            quorum,
            servers,
            connected: BTreeMap::new(),
            cut: BTreeSet::new(),
            directions: BTreeMap::new(),
            restarts: 0,
        };
        let sids: Vec<Sid> = world.servers.keys().copied().collect();
        for one in &sids {
            for other in sids.iter().filter(|other| *other != one) {
                world.connected.insert(pair(*one, *other), false);
                world.directions.insert((*one, *other), Direction::default());
            }
        }
        // Some voters may stay away or be in doubt, as long as the others can decide.
        for sid in sids.iter().filter(|sid| world.quorum.is_voter(**sid)) {
            let others = |world: &World, gone: Sid| {
                world.quorum.is_reached(|sid| sid != gone && world.servers[&sid].up && !world.servers[&sid].candidate.in_doubt)
            };
            if others(&world, *sid) && world.random.one_in(4) {
                let server = world.servers.get_mut(sid).expect("a server");
                if world.random.one_in(2) {
                    server.candidate.in_doubt = true;
                } else {
                    server.up = false;
                    world.cut.extend(sids.iter().map(|other| pair(*sid, *other)));
                }
            }
        }
        world
    }

    fn start(&mut self, sid: Sid) {
        let now_ms = self.now_ms;
        let server = self.servers.get_mut(&sid).expect("a server");
        server.election.stop();
        server.election.start(now_ms, server.candidate);
        server.review_at_ms = None;
        server.established = false;
        self.carry_out(sid);
    }

    fn carry_out(&mut self, from: Sid) {
        let server = self.servers.get_mut(&from).expect("a server");
        let mut sent = Vec::new();
        while let Some(output) = server.election.poll() {
            match output {
                ElectionOutput::Send { to, message } => {
                    let message = if server.is_old { message[..40].to_vec() } else { message.to_vec() };
                    sent.push((to, message));
                }
                ElectionOutput::Elected { .. } => server.review_at_ms = Some(self.now_ms + GATHER_MS),
                // Nobody leads here, and nobody is impatient.
                ElectionOutput::VoterLooks { .. } => {}
                ElectionOutput::NewerConfig { .. } => panic!("there is only one configuration"),
            }
        }
        for (to, message) in sent {
            self.directions.get_mut(&(from, to)).expect("a link").slot = Some(message);
            self.flush(from, to);
        }
    }

    fn flush(&mut self, from: Sid, to: Sid) {
        if !self.connected[&pair(from, to)] {
            return;
        }
        let delay = if self.random.one_in(20) { self.random.below(900) } else { self.random.below(15) };
        let direction = self.directions.get_mut(&(from, to)).expect("a link");
        if let Some(message) = direction.slot.take() {
            let at_ms = direction.flying.back().map_or(0, |(at_ms, _)| *at_ms).max(self.now_ms + delay);
            direction.last = Some(message.clone());
            direction.flying.push_back((at_ms, message));
        }
    }

    fn connect(&mut self, one: Sid, other: Sid) {
        self.connected.insert(pair(one, other), true);
        self.tell(one, other, false);
        for (from, to) in [(one, other), (other, one)] {
            let direction = self.directions.get_mut(&(from, to)).expect("a link");
            if direction.slot.is_none() {
                direction.slot = direction.last.clone();
            }
            self.flush(from, to);
        }
    }

    fn disconnect(&mut self, one: Sid, other: Sid) {
        self.connected.insert(pair(one, other), false);
        // Some ends are noticed, and some only by the silence.
        if self.random.one_in(2) {
            self.tell(one, other, true);
        }
        for ends in [(one, other), (other, one)] {
            self.directions.get_mut(&ends).expect("a link").flying.clear();
        }
    }

    fn tell(&mut self, one: Sid, other: Sid, gone: bool) {
        for (sid, other) in [(one, other), (other, one)] {
            self.servers.get_mut(&sid).expect("a server").election.set_gone(other, gone);
            self.carry_out(sid);
        }
    }

    /// One step of 5 ms.
    fn step(&mut self) {
        self.now_ms += 5;
        let calm = self.now_ms >= CALM_MS;
        for ends in self.connected.keys().copied().collect::<Vec<_>>() {
            let connected = self.connected[&ends];
            if calm {
                if connected == self.cut.contains(&ends) {
                    if connected { self.disconnect(ends.0, ends.1) } else { self.connect(ends.0, ends.1) }
                }
            } else if self.random.one_in(if connected { 300 } else { 60 }) {
                if connected { self.disconnect(ends.0, ends.1) } else { self.connect(ends.0, ends.1) }
            }
        }
        for ends in self.directions.keys().copied().collect::<Vec<_>>() {
            while let Some((at_ms, _)) = self.directions[&ends].flying.front()
                && *at_ms <= self.now_ms
            {
                let (_, message) = self.directions.get_mut(&ends).expect("a link").flying.pop_front().expect("a message");
                let now_ms = self.now_ms;
                self.servers.get_mut(&ends.1).expect("a server").election.receive(now_ms, ends.0, &message).expect("our own bytes");
                self.carry_out(ends.1);
            }
        }
        for sid in self.servers.keys().copied().collect::<Vec<_>>() {
            let now_ms = self.now_ms;
            let server = self.servers.get_mut(&sid).expect("a server");
            if server.election.next_timer_ms().is_some_and(|at_ms| at_ms <= now_ms) {
                server.election.tick(now_ms);
                self.carry_out(sid);
            }
            if self.servers[&sid].review_at_ms.is_some_and(|at_ms| at_ms <= now_ms) {
                self.review(sid);
            }
            if !calm && self.random.one_in(2000) {
                self.restarts += 1;
                self.start(sid);
            }
        }
    }

    /// Whether this server leads, and enough others that it reaches follow it.
    fn is_led_by(&self, leader: Sid) -> bool {
        let follows = |sid: Sid| {
            let election = &self.servers[&sid].election;
            let reached = sid == leader || self.connected[&pair(sid, leader)];
            reached && election.vote().leader == leader && matches!(election.state(), PeerState::Following | PeerState::Leading)
        };
        self.servers[&leader].election.state() == PeerState::Leading && self.quorum.is_reached(follows)
    }

    fn review(&mut self, sid: Sid) {
        let leader = self.servers[&sid].election.vote().leader;
        let reached = sid == leader || self.connected[&pair(sid, leader)];
        if !reached || !self.is_led_by(leader) {
            self.restarts += 1;
            self.start(sid);
            return;
        }
        let now_ms = self.now_ms;
        if leader == sid && !self.servers[&sid].established {
            self.check_leader(sid);
            self.servers.get_mut(&sid).expect("a server").candidate.epoch += 1;
        } else if !self.servers[&leader].established {
            self.servers.get_mut(&sid).expect("a server").review_at_ms = Some(now_ms + 100);
            return;
        }
        let Candidate { zxid, epoch, .. } = self.servers[&leader].candidate;
        let server = self.servers.get_mut(&sid).expect("a server");
        server.candidate.epoch = epoch;
        // Whoever follows has the leader's history now.
        server.candidate.zxid = zxid;
        server.candidate.in_doubt = false;
        server.established = true;
        if !server.is_old {
            server.election.established(epoch);
        }
        server.review_at_ms = Some(now_ms + 500);
    }

    /// A quorum had nothing better than the leader had.
    fn check_leader(&self, leader: Sid) {
        assert!(!self.servers[&leader].candidate.in_doubt, "{leader} is in doubt");
        assert!(self.quorum.is_voter(leader) && self.quorum.weight(leader) > 0, "{leader} cannot lead");
        let rank = |sid: Sid| (self.servers[&sid].candidate.epoch, self.servers[&sid].candidate.zxid);
        assert!(self.quorum.is_reached(|sid| rank(sid) <= rank(leader)), "{leader} leads with {:?}", rank(leader));
    }

    fn is_settled(&self) -> bool {
        let leaders: BTreeSet<Sid> = self
            .servers
            .iter()
            .filter(|(_, server)| server.up)
            .map(|(_, server)| if server.election.state() == PeerState::Looking { Sid(i64::MIN) } else { server.election.vote().leader })
            .collect();
        leaders.len() == 1 && leaders.first().is_some_and(|leader| leader.0 != i64::MIN && self.is_led_by(*leader))
    }
}

#[test]
fn a_connected_majority_always_ends_with_one_leader() {
    let (mut slowest_ms, mut restarts) = (0, 0);
    for seed in 0..300 {
        let mut world = World::new(seed);
        for sid in world.servers.keys().copied().collect::<Vec<_>>() {
            world.start(sid);
        }
        while world.now_ms < CALM_MS || !world.is_settled() {
            assert!(world.now_ms < END_MS, "seed {seed}: no leader of all: {:?}", {
                world
                    .servers
                    .iter()
                    .map(|(sid, server)| (sid, server.up, server.election.state(), server.election.vote()))
                    .collect::<Vec<_>>()
            });
            world.step();
        }
        slowest_ms = slowest_ms.max(world.now_ms);
        restarts += world.restarts;
    }
    // Otherwise nothing of what this is about has happened.
    assert!(restarts > 300, "{restarts}");
    println!("slowest: {slowest_ms} ms; {restarts} elections were begun again");
}
