//! The world of one standalone server: clients that write, a disk that fails, power that goes, all from one seed.

use crate::client::{Client, Line, Told};
use crate::hearing::Hearing;
use crate::machine::{Death, FRONTS, Seen, is_undecidable};
use crate::oracle::Oracle;
use crate::process::Process;
use crate::random::Random;
use oxkeeper_proto::SessionId;
use oxkeeper_replica::front::Flow;
use oxkeeper_replica::request::Now;
use oxkeeper_store::DiskRef;
use oxkeeper_store::sim_disk::SimDisk;
use oxkeeper_tree::{Tree, TreeOptions};
use std::sync::Arc;

const CLIENTS: usize = 5;
/// Starts that may fail in a row while faults are on.
const MOST_FAILED_STARTS: usize = 50;

/// What goes wrong, each once in so many steps; 0 for never.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// The power goes: what was not synced is left in part.
    pub power_cut: u64,
    /// kill -9.
    pub kill: u64,
    /// SIGTERM.
    pub terminate: u64,
    /// A sync to come fails.
    pub sync: u64,
    /// A write to come fails.
    pub write: u64,
    /// The disk is full, or has room again.
    pub space: u64,
}

impl Faults {
    /// Kinds and rates drawn from a seed: no two runs are alike, and none has everything.
    pub fn draw(random: &mut Random) -> Self {
        let mut rate = |one_in: u64, steps: u64| if random.one_in(one_in) { 0 } else { steps / 2 + random.below(steps) };
        Self {
            power_cut: rate(4, 150),
            kill: rate(2, 200),
            terminate: rate(2, 600),
            sync: rate(2, 200),
            write: rate(2, 300),
            space: rate(2, 80),
        }
    }
}

/// What a run has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    pub steps: usize,
    pub acknowledged: usize,
    pub refusals: usize,
    pub starts: usize,
    pub power_cuts: usize,
    pub failed_logs: usize,
    pub failed_starts: usize,
    pub snapshots: usize,
    /// Watches that clients were told of.
    pub watches: usize,
    /// Connections that a client gave up because nothing came.
    pub silences: usize,
    /// Runs that ended with a refusal to start, see `is_undecidable`.
    pub undecided: usize,
}

impl std::ops::AddAssign for Report {
    fn add_assign(&mut self, other: Self) {
        self.steps += other.steps;
        self.acknowledged += other.acknowledged;
        self.refusals += other.refusals;
        self.starts += other.starts;
        self.power_cuts += other.power_cuts;
        self.failed_logs += other.failed_logs;
        self.failed_starts += other.failed_starts;
        self.snapshots += other.snapshots;
        self.watches += other.watches;
        self.silences += other.silences;
        self.undecided += other.undecided;
    }
}

/// See the module.
pub struct Standalone {
    seed: u64,
    random: Random,
    faults: Faults,
    disk: SimDisk,
    process: Option<Process>,
    clients: Vec<Client>,
    oracle: Oracle,
    now: Now,
    is_full: bool,
    report: Report,
}

impl Standalone {
    /// An empty directory and clients without sessions.
    pub fn new(seed: u64, faults: Option<Faults>) -> Self {
        let mut random = Random::new(seed);
        let drawn = Faults::draw(&mut random);
        let reference = Tree::new(TreeOptions { extended_types: true, ..TreeOptions::default() });
        Self {
            seed,
            faults: faults.unwrap_or(drawn),
            clients: (0..CLIENTS).map(|index| Client::new(index, 1, random.bits())).collect(),
            random,
            disk: SimDisk::new(),
            process: None,
            oracle: Oracle::new(reference),
            now: Now { mono_ms: 86_400_000, wall_ms: 1_700_000_000_000 },
            is_full: false,
            report: Report::default(),
        }
    }

    /// Runs so many steps with faults, then heals everything and demands progress.
    ///
    /// # Panics
    /// At the first violation; the message names it, the caller the seed.
    pub fn run(mut self, steps: usize) -> Report {
        for _ in 0..steps {
            self.report.steps += 1;
            self.fault();
            if !self.step() {
                return self.finish();
            }
        }
        self.heal();
        self.finish()
    }

    fn finish(mut self) -> Report {
        self.clients.iter_mut().for_each(|client| client.hearing.ended());
        if self.report.undecided == 0 {
            let heard: Vec<&Hearing> = self.clients.iter().map(|client| &client.hearing).collect();
            self.oracle.replay(&heard);
        }
        self.report.acknowledged = self.oracle.acknowledged;
        self.report.refusals = self.oracle.refusals;
        self.report.watches = self.clients.iter().map(|client| client.events).sum();
        self.report.silences = self.clients.iter().map(|client| client.given_up).sum();
        self.report
    }

    fn heal(&mut self) {
        self.faults = Faults::default();
        self.disk.set_capacity(None);
        self.is_full = false;
        self.end(None);
        let before = self.oracle.acknowledged;
        for _ in 0..400 {
            if !self.step() {
                return;
            }
        }
        assert!(self.oracle.acknowledged > before, "seed {}: healed and yet no progress", self.seed);
        self.end(None);
        self.start();
    }

    fn fault(&mut self) {
        let Faults { power_cut, kill, terminate, sync, write, space } = self.faults;
        if self.random.one_in(power_cut) {
            self.report.power_cuts += 1;
            let seed = self.random.bits();
            self.end(Some(seed));
        }
        if self.random.one_in(kill) {
            self.end(None);
        }
        if self.random.one_in(terminate)
            && let Some(process) = self.process.take()
        {
            // What the reactors got to see counts; the log's last replies are not sent any more.
            let _ = process.close(self.now);
            self.end(None);
        }
        if self.random.one_in(sync) {
            self.disk.fail_sync(self.random.below(6));
        }
        if self.random.one_in(write) {
            self.disk.fail_write(self.random.below(10));
        }
        if self.random.one_in(space) {
            self.is_full = !self.is_full;
            let room = self.random.below(24 << 10);
            self.disk.set_capacity(self.is_full.then(|| self.disk.used_bytes() + room));
            let now = self.now;
            if let Some(process) = self.process.as_mut().filter(|process| !self.is_full && process.out_of_space()) {
                process.space_is_back(now);
                self.look();
            }
        }
    }

    /// The process is gone; with a seed, the power too.
    fn end(&mut self, power_cut: Option<u64>) {
        self.process = None;
        self.disk.crash();
        if let Some(seed) = power_cut {
            self.disk.power_cut(seed);
        }
        let now_ms = self.now.mono_ms;
        self.clients.iter_mut().for_each(|client| client.hung_up(now_ms));
    }

    /// Starts, in the end. `false`: the directory cannot be told from a damaged one, and the run is over.
    fn start(&mut self) -> bool {
        for _ in 0..MOST_FAILED_STARTS {
            let disk: DiskRef = Arc::new(self.disk.clone());
            match Process::start(&disk, self.now) {
                Ok((process, start)) => {
                    self.oracle.recovered(&start, process.tree());
                    self.process = Some(process);
                    self.report.starts += 1;
                    return true;
                }
                Err(Death::Damaged(reason)) if is_undecidable(&reason) => {
                    self.report.undecided += 1;
                    return false;
                }
                Err(Death::Damaged(reason)) => panic!("seed {}: nothing rots here, and yet: {reason}", self.seed),
                Err(death) => {
                    self.report.failed_starts += 1;
                    let is_faulty = self.faults.sync + self.faults.write + self.faults.space > 0;
                    assert!(is_faulty, "seed {}: {death:?}", self.seed);
                    // A disk that stays full would keep it down for good.
                    if self.is_full {
                        (self.is_full, _) = (false, self.disk.set_capacity(None));
                    }
                    let power_cut = self.random.one_in(2).then(|| self.random.bits());
                    self.end(power_cut);
                }
            }
        }
        panic!("seed {}: does not start", self.seed);
    }

    fn step(&mut self) -> bool {
        if self.process.is_none() && !self.start() {
            return false;
        }
        let passed_ms = if self.random.one_in(40) { self.random.below(3000) } else { self.random.below(10) };
        self.now.mono_ms += passed_ms;
        self.now.wall_ms += passed_ms as i64;
        let now = self.now;
        self.tick_clients();
        let process = self.process.as_mut().expect("started");
        let outcome = match self.random.below(100) {
            0..50 => {
                let client = self.random.below(CLIENTS as u64) as usize;
                self.client_step(client);
                Ok(())
            }
            50..65 => process.log(now),
            65..78 => {
                process.drain(now, self.random.below(FRONTS as u64) as usize);
                Ok(())
            }
            78..84 => {
                process.tick(now);
                Ok(())
            }
            84..88 => {
                process.fill_ahead();
                Ok(())
            }
            88..98 => process.snapshot(&mut self.random),
            98 => {
                process.purge();
                Ok(())
            }
            _ => {
                let client = self.random.below(CLIENTS as u64) as usize;
                self.hang_up(client);
                Ok(())
            }
        };
        self.look();
        if outcome.is_err() {
            self.report.failed_logs += 1;
            let power_cut = self.random.one_in(2).then(|| self.random.bits());
            self.end(power_cut);
        }
        true
    }

    /// Time passes for the clients, too.
    fn tick_clients(&mut self) {
        let now_ms = self.now.mono_ms;
        for index in 0..CLIENTS {
            if self.clients[index].next_timer_ms().is_some_and(|at| at <= now_ms) {
                self.clients[index].tick(now_ms);
                self.let_go(index);
            }
        }
    }

    /// A connection that a client has dropped is gone for the server, too.
    fn let_go(&mut self, index: usize) {
        if let Some((front, slot)) = self.clients[index].take_dropped()
            && let Some(process) = self.process.as_mut()
        {
            process.hang_up(self.now, front, slot);
        }
    }

    fn client_step(&mut self, index: usize) {
        let (client, now) = (&mut self.clients[index], self.now);
        match client.line {
            Line::Down if client.wanted.is_some() => {
                let front = self.random.below(FRONTS as u64) as usize;
                let slot = self.process.as_mut().expect("started").accept(now, front);
                client.connect(now.mono_ms, front, slot);
            }
            Line::Up { .. } => {
                for _ in 0..1 + self.random.below(4) {
                    if client.can_ask() {
                        client.ask(now.mono_ms, &mut self.random, self.oracle.shown);
                    }
                }
            }
            Line::Down | Line::Asking { .. } => {}
        }
        self.carry(index);
    }

    /// What a client has to send goes to the server.
    fn carry(&mut self, index: usize) {
        while let Line::Up { front, slot } | Line::Asking { front, slot } = self.clients[index].line {
            let Some(frame) = self.clients[index].frame(self.now.mono_ms) else { return };
            let flow = self.process.as_mut().expect("started").frame(self.now, front, slot, &frame);
            self.follow(index, front, slot, flow);
        }
    }

    fn follow(&mut self, index: usize, front: usize, slot: u32, flow: Flow) {
        match flow {
            Flow::Continue => {}
            Flow::Pause => self.clients[index].readable = false,
            Flow::Drop | Flow::Close => {
                self.look();
                if matches!(self.clients[index].line, Line::Up { .. } | Line::Asking { .. }) {
                    self.process.as_mut().expect("started").hang_up(self.now, front, slot);
                    self.clients[index].hung_up(self.now.mono_ms);
                }
            }
        }
    }

    fn hang_up(&mut self, index: usize) {
        if let Line::Up { front, slot } | Line::Asking { front, slot } = self.clients[index].line {
            self.process.as_mut().expect("started").hang_up(self.now, front, slot);
            self.clients[index].hung_up(self.now.mono_ms);
        }
    }

    fn client_at(&self, front: usize, slot: u32) -> Option<usize> {
        self.clients.iter().position(
            |client| matches!(client.line, Line::Up { front: f, slot: s } | Line::Asking { front: f, slot: s } if (f, s) == (front, slot)),
        )
    }

    /// Whatever the reactors have for their sockets goes out.
    fn look(&mut self) {
        let Some(process) = self.process.as_mut() else { return };
        for event in process.events.drain(..) {
            self.oracle.event(event);
        }
        for front in 0..FRONTS {
            for seen in self.process.as_mut().expect("started").take_seen(front) {
                match seen {
                    Seen::Bytes(slot, bytes) => {
                        if let Some(index) = self.client_at(front, slot) {
                            for told in self.clients[index].receive(self.now.mono_ms, &bytes) {
                                self.tell(told);
                            }
                            self.let_go(index);
                        }
                    }
                    Seen::Resume(slot) => {
                        if let Some(index) = self.client_at(front, slot) {
                            self.clients[index].readable = true;
                        }
                    }
                    Seen::Close(slot) => {
                        if let Some(index) = self.client_at(front, slot) {
                            self.hang_up(index);
                        }
                    }
                }
            }
        }
        self.report.snapshots += self.process.as_mut().map_or(0, |process| std::mem::take(&mut process.snapshots));
    }

    fn tell(&mut self, told: Told) {
        if let Told::Session(session) = told {
            assert_ne!(session, SessionId::NONE);
            let holders = self.clients.iter().filter(|client| client.session == session).count();
            assert_eq!(holders, 1, "seed {}: {session} was given to two clients", self.seed);
        }
        self.oracle.told(told);
    }
}
