//! Random lives: whatever a server and a link do, every request that was taken ends exactly once, in order, and nothing
//! panics. The runs are the same each time; a failure names its seed.

mod common;

use common::{Random, SESSION, Seen, World, connect_response, event, options, reply};
use oxkeeper_client::{Input, Operation, PendingRequests, RequestBatch, SaslStep, State, WatcherId, WatchesToRemove};
use oxkeeper_proto::{ErrorCode, OpCode};
use std::collections::VecDeque;

/// What the run knows of requests.
#[derive(Default)]
struct Ledger {
    next_tag: u64,
    /// Taken and not ended; credentials end by themselves.
    open: VecDeque<u64>,
    open_auth: Vec<u64>,
    ended: usize,
    is_linked: bool,
    is_closing: bool,
    is_closed: bool,
    resolves: usize,
    probes: usize,
    sasl: usize,
}

impl Ledger {
    fn take_seen(&mut self, world: &mut World, seed: u64) {
        while let Some(seen) = world.seen.pop_front() {
            match seen {
                Seen::Completed(tag, ..) => {
                    self.ended += 1;
                    if let Some(at) = self.open_auth.iter().position(|open| *open == tag) {
                        self.open_auth.remove(at);
                    } else {
                        assert_eq!(self.open.pop_front(), Some(tag), "seed {seed}: requests end in order, each once");
                    }
                }
                Seen::Connect(_) => {
                    assert!(!self.is_linked, "seed {seed}: one link at a time");
                    self.is_linked = true;
                }
                Seen::Disconnect => {
                    assert!(self.is_linked, "seed {seed}: only a link is dropped");
                    self.is_linked = false;
                }
                Seen::Resolve(_) => self.resolves += 1,
                Seen::Probe(_) => self.probes += 1,
                Seen::SaslStart | Seen::SaslToken(_) => self.sasl += 1,
                Seen::Closed => {
                    assert!(!self.is_closed, "seed {seed}: closed once");
                    self.is_closed = true;
                }
                Seen::Watch(_, _, watchers) => assert!(!watchers.is_empty()),
                Seen::Session(_, watchers) => assert_eq!(watchers.last(), Some(&1000)),
                Seen::StartTls(_) => {}
            }
        }
    }

    fn tag(&mut self) -> u64 {
        self.next_tag += 1;
        self.next_tag
    }
}

/// A server that answers what it got, mostly well.
#[derive(Default)]
struct Server {
    is_primed: bool,
    due: VecDeque<(i32, OpCode)>,
}

impl Server {
    fn answer(&mut self, random: &mut Random) -> Vec<u8> {
        let Some((xid, op)) = self.due.pop_front() else { return event(random.below(6) as i32, "/a") };
        let error = if random.below(5) == 0 { ErrorCode::NO_NODE } else { ErrorCode::OK };
        match op {
            OpCode::AUTH if random.below(40) == 0 => reply(xid, 0, ErrorCode::AUTH_FAILED, b""),
            OpCode::AUTH | OpCode::PING | OpCode::SASL => reply(xid, 0, ErrorCode::OK, b""),
            _ => reply(xid, random.below(100) as i64, error, &vec![7; random.below(50) as usize]),
        }
    }
}

fn live(seed: u64) {
    let mut random = Random(seed);
    let mut options = options(if seed.is_multiple_of(3) { "one:1,127.0.0.1:2/x" } else { "127.0.0.1:1,127.0.0.1:2" });
    options.can_be_read_only = seed.is_multiple_of(2);
    options.sasl = seed.is_multiple_of(7);
    options.tls = seed.is_multiple_of(11);
    let mut world = World::new(options);
    let mut ledger = Ledger::default();
    let mut server = Server::default();
    let mut batch = RequestBatch::default();
    for _ in 0..400 {
        ledger.take_seen(&mut world, seed);
        if !ledger.is_linked {
            server = Server::default();
        }
        match random.below(24) {
            0..=4 => {
                let tag = ledger.tag();
                let watch = (random.below(2) == 0).then_some(WatcherId(u128::from(random.below(4))));
                let path: &[u8] = if random.below(10) == 0 { b"bad" } else { b"/a" };
                // It may end within the call only by what was before it, so it is entered first.
                ledger.open.push_back(tag);
                if world.client.submit(world.now_ms, tag, &Operation::GetData { path, watch }).is_err() {
                    ledger.open.pop_back();
                }
                world.drain();
            }
            // A batch that comes too late ends at once, before those whose replies a closing client still awaits.
            5 if !ledger.is_closing => {
                let chroot = world.client.chroot().clone();
                for _ in 0..random.below(4) {
                    let tag = ledger.tag();
                    batch.push(&chroot, tag, &Operation::Sync { path: b"/a" }).expect("a good path");
                    ledger.open.push_back(tag);
                }
                world.client.submit_batch(world.now_ms, &mut batch);
                world.drain();
            }
            6 => {
                let tag = ledger.tag();
                if world.client.add_auth(world.now_ms, tag, b"digest", b"a:b").is_ok() {
                    ledger.open_auth.push(tag);
                }
                world.drain();
            }
            7 => {
                let tag = ledger.tag();
                ledger.open.push_back(tag);
                if world.client.remove_watches(world.now_ms, tag, b"/a", WatchesToRemove::Any, None, false).is_err() {
                    ledger.open.pop_back();
                }
            }
            8..=10 if matches!(world.client.state(), State::Connecting | State::TlsConnecting) => {
                world.input(Input::LinkUp);
                world.input(Input::TlsUp);
            }
            11..=17 if ledger.is_linked => {
                for frame in world.sent() {
                    if server.is_primed {
                        server.due.push_back(common::header(&frame));
                    } else {
                        server.is_primed = true;
                        let session = if random.below(60) == 0 { 0 } else { SESSION };
                        world.input(Input::Received(&connect_response(6000, session, random.below(3) == 0)));
                    }
                }
                if server.is_primed {
                    let mut bytes = Vec::new();
                    for _ in 0..random.below(6) {
                        bytes.extend(server.answer(&mut random));
                    }
                    let cut = random.below(bytes.len() as u64 + 1) as usize;
                    world.input(Input::Received(&bytes[..cut]));
                    world.input(Input::Received(&bytes[cut..]));
                }
            }
            18 if ledger.is_linked => {
                ledger.is_linked = false;
                world.link_down();
            }
            19 => world.pass(random.below(3000)),
            20 | 21 if world.client.next_timer_ms().is_some() => world.until_timer(),
            22 => {
                if ledger.resolves > 0 {
                    ledger.resolves -= 1;
                    let port = random.below(4) as u16;
                    let known = if port == 0 { vec![] } else { vec![([127, 0, 0, 1], port).into()] };
                    world.input(Input::Resolved(vec![known, vec![([127, 0, 0, 1], 2).into()]]));
                }
                if ledger.probes > 0 {
                    ledger.probes -= 1;
                    world.input(Input::Probed { is_read_write: random.below(2) == 0 });
                }
                if ledger.sasl > 0 {
                    ledger.sasl -= 1;
                    let steps = [
                        SaslStep::Continue(b"t"),
                        SaslStep::Done(Some(b"t")),
                        SaslStep::Done(None),
                        SaslStep::Done(None),
                        SaslStep::Failed,
                    ];
                    world.input(Input::Sasl(steps[random.below(5) as usize]));
                }
            }
            23 => match random.below(12) {
                0 => {
                    let garbage: Vec<u8> = (0..random.below(40)).map(|_| random.next() as u8).collect();
                    world.input(Input::Received(&garbage));
                }
                1 => {
                    let pending = if random.below(2) == 0 { PendingRequests::Fail } else { PendingRequests::Await };
                    ledger.is_closing = true;
                    world.client.close(world.now_ms, pending);
                    world.drain();
                }
                2 => {
                    let hosts = oxkeeper_client::ConnectString::hosts_like_c(format!("127.0.0.1:{}", 1 + random.below(3)).as_bytes());
                    world.client.set_servers(world.now_ms, hosts.expect("a good list"));
                    world.drain();
                }
                _ => {}
            },
            _ => {}
        }
    }
    ledger.take_seen(&mut world, seed);
    world.client.close(world.now_ms, PendingRequests::Await);
    world.drain();
    ledger.take_seen(&mut world, seed);
    for timers in 0.. {
        let Some(timer_ms) = world.client.next_timer_ms() else { break };
        assert!(timers < 1000, "seed {seed}: a timer that comes again and again");
        world.now_ms = world.now_ms.max(timer_ms);
        world.input(Input::Tick);
        ledger.take_seen(&mut world, seed);
    }
    assert!(ledger.is_closed, "seed {seed}: the end comes");
    assert!(ledger.open.is_empty() && ledger.open_auth.is_empty(), "seed {seed}: everything has ended");
    assert!(!ledger.is_linked, "seed {seed}: no link is left");
}

#[test]
fn every_request_ends_exactly_once() {
    for seed in 0..3000 {
        live(seed);
    }
}

#[test]
fn random_bytes_do_no_harm() {
    for seed in 0..3000 {
        let mut random = Random(seed);
        let mut world = World::new(options("127.0.0.1:1"));
        world.seen.clear();
        world.input(Input::LinkUp);
        if !seed.is_multiple_of(4) {
            world.input(Input::Received(&connect_response(6000, SESSION, false)));
        }
        for tag in 0..4 {
            world.submit(tag, &Operation::GetData { path: b"/a", watch: Some(WatcherId(1)) }).expect("it is open");
        }
        for _ in 0..20 {
            // Whole frames of noise with likely headers, and now and then plain noise.
            let mut body: Vec<u8> = (0..random.below(64)).map(|_| random.next() as u8).collect();
            if random.below(3) != 0 && body.len() >= 4 {
                let xid = [-1, -2, -4, -8, 1, 2, 3, 0][random.below(8) as usize];
                body[..4].copy_from_slice(&i32::to_be_bytes(xid));
            }
            let bytes = if random.below(8) == 0 { body } else { common::frame(&body) };
            world.input(Input::Received(&bytes));
        }
        world.client.close(world.now_ms, PendingRequests::Fail);
        world.drain();
        let ended = world.seen.iter().filter(|seen| matches!(seen, Seen::Completed(..))).count();
        assert_eq!(ended, 4, "seed {seed}");
    }
}

#[test]
fn memory_goes_back_after_a_large_reply() {
    let mut world = World::open("127.0.0.1:1");
    world.submit(1, &Operation::GetData { path: b"/a", watch: None }).expect("it is open");
    let large = reply(1, 1, ErrorCode::OK, &vec![0; 8 << 20]);
    for piece in large.chunks(64 * 1024) {
        world.input(Input::Received(piece));
    }
    assert!(matches!(world.next(), Seen::Completed(1, 0, body) if body.len() == 8 << 20));
    assert!(world.client.held_bytes() < 1 << 20, "{}", world.client.held_bytes());
    for tag in 0..1000 {
        world.submit(tag, &Operation::GetData { path: b"/a", watch: None }).expect("it is open");
    }
    world.sent();
    for xid in 2..1002 {
        world.reply(xid, 1, ErrorCode::OK, b"");
    }
    assert!(world.client.held_bytes() > 1 << 10);
    world.until_timer();
    assert_eq!(world.sent_headers(), [(-2, OpCode::PING)]);
    assert!(world.client.held_bytes() < 100, "an idle client holds {} bytes", world.client.held_bytes());
}
