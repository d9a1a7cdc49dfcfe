//! The way of a request through `Front`, `Core` and `apply`, without sockets, files and threads: to be run under a
//! profiler that counts instructions, which no busy machine disturbs.
//!
//!     valgrind --tool=callgrind --toggle-collect='hot_paths::rounds' target/release/examples/hot_paths set 200
//!
//! A round is a turn of 16 connections with 16 requests each. `get`, `set`, `create` and `multi` (of 10 setData).

use oxkeeper_auth::{SchemeOptions, Schemes};
use oxkeeper_proto::records::{Acl, ConnectRequest, CreateRequest, GetDataRequest, Id, MultiHeader, RequestHeader, SetDataRequest};
use oxkeeper_proto::{OpCode, Record, Write, Zxid, perms};
use oxkeeper_replica::apply::apply;
use oxkeeper_replica::core::{Core, CoreOptions, Input, LocalSessions, Output};
use oxkeeper_replica::front::{Front, FrontOptions, Outlets};
use oxkeeper_replica::inbox::FrontShared;
use oxkeeper_replica::prepare::PrepareOptions;
use oxkeeper_replica::request::Now;
use oxkeeper_tree::{Tree, TreeOptions};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

const CONNECTIONS: u32 = 16;
const OUTSTANDING: u32 = 16;
const NODES: u32 = 1000;
const NOW: Now = Now { mono_ms: 1_000_000, wall_ms: 1_700_000_000_000 };
const MAX_LENGTH: i32 = 0xfffff;

struct Sockets {
    out: Vec<Vec<u8>>,
    sent: usize,
}

impl Outlets for Sockets {
    fn out(&mut self, slot: u32) -> &mut Vec<u8> {
        &mut self.out[slot as usize]
    }

    fn close(&mut self, _: u32) {
        unreachable!("nothing is closed here")
    }

    fn resume(&mut self, _: u32) {}
}

struct World {
    core: Core,
    tree: Tree,
    front: Front,
    shared: Arc<FrontShared>,
    schemes: Schemes,
    sockets: Sockets,
    logged: usize,
}

impl World {
    fn new() -> Self {
        let schemes = Schemes::new(&SchemeOptions::default()).expect("the default algorithm is there");
        let tree = Tree::new(TreeOptions::default());
        let options = CoreOptions {
            tick_ms: 2000,
            sid: 1,
            prepare: PrepareOptions { extended_types: false, emulate_353_ttl: false, enforce_quota: false, reconfig_enabled: false },
            digest_enabled: true,
            close_session_txn: true,
            max_length: MAX_LENGTH,
            local_sessions: LocalSessions::Off,
            read_only_after_ms: None,
        };
        let core = Core::standalone(options, Arc::new(schemes.clone()), &tree, NOW);
        let shared = Arc::new(FrontShared::default());
        let options = FrontOptions {
            tick_ms: 2000,
            min_session_timeout_ms: 4000,
            max_session_timeout_ms: 40_000,
            max_length: MAX_LENGTH,
            outstanding_limit: 1000,
            limits: Default::default(),
            serves: true,
            local_sessions: false,
            syncs: false,
        };
        let front = Front::new(0, shared.clone(), Arc::new(schemes.clone()), options, Arc::new(AtomicUsize::new(0)));
        let sockets = Sockets { out: vec![Vec::new(); CONNECTIONS as usize], sent: 0 };
        let mut world = Self { core, tree, front, shared, schemes, sockets, logged: 0 };
        for _ in 0..CONNECTIONS {
            let slot = world.front.accept(NOW, "10.0.0.1:2181".parse().expect("an address"));
            let mut frame = Vec::new();
            ConnectRequest { protocol_version: 0, last_zxid_seen: 0, time_out: 30_000, session_id: 0, passwd: Some(&[0; 16]) }
                .write(&mut frame);
            frame.boolean(false);
            world.frame(slot, &frame);
        }
        world.finish_turn();
        world
    }

    fn frame(&mut self, slot: u32, frame: &[u8]) {
        let out = &mut self.sockets.out[slot as usize];
        self.front.frame(NOW, &self.tree, slot, frame, out);
    }

    /// What a reactor, the log thread and the reactor again do.
    fn finish_turn(&mut self) {
        let (mut commits, mut through) = (Vec::new(), Zxid::ZERO);
        for input in self.front.submissions.drain(..) {
            self.core.handle(NOW, &self.tree, input);
        }
        let mut poll = |core: &mut Core| {
            while let Some(output) = core.poll() {
                match output {
                    Output::Append { zxid, payload } => {
                        through = zxid;
                        self.logged += payload.len();
                    }
                    Output::Apply(commit) => commits.push(commit),
                    Output::Front { .. } => unreachable!("nobody moves"),
                    other => unreachable!("a standalone server has no peers: {other:?}"),
                }
            }
            through
        };
        let through = poll(&mut self.core);
        let applied = self.tree.last_zxid();
        self.core.handle(NOW, &self.tree, Input::Applied { through: applied });
        if through != Zxid::ZERO {
            self.core.handle(NOW, &self.tree, Input::LogSynced { through });
            poll(&mut self.core);
        }
        let effects = apply(&mut self.tree, &[&*self.shared], commits, &self.schemes, MAX_LENGTH, &mut ());
        assert!(effects.digest_mismatches.is_empty());
        self.front.drain(NOW, &self.tree, &mut self.sockets);
        for out in &mut self.sockets.out {
            self.sockets.sent += out.len();
            out.clear();
        }
        self.front.stats.answered.clear();
    }
}

fn path(number: u32) -> String {
    format!("/bench/{number:08}")
}

fn request(xid: i32, op: OpCode) -> Vec<u8> {
    let mut frame = Vec::with_capacity(256);
    RequestHeader { xid, kind: op.0 }.write(&mut frame);
    frame
}

fn create(xid: i32, path: &str) -> Vec<u8> {
    let mut frame = request(xid, OpCode::CREATE);
    let open = Acl { perms: perms::ALL, id: Id { scheme: Some("world".into()), id: Some("anyone".into()) } };
    CreateRequest { path: Some(path.into()), data: Some(&[7; 100]), acl: Some(vec![open]), flags: 0 }.write(&mut frame);
    frame
}

fn set(frame: &mut Vec<u8>, number: u32, version: i32) {
    SetDataRequest { path: Some(path(number).into()), data: Some(&[8; 100]), version }.write(frame);
}

/// The frames of one round, made outside of what is measured.
fn frames(kind: &str, round: u32) -> Vec<(u32, Vec<u8>)> {
    let mut frames = Vec::new();
    for i in 0..CONNECTIONS * OUTSTANDING {
        let xid = (round * OUTSTANDING + i / CONNECTIONS) as i32 + 2;
        let number = (i * 7 + round * 13) % NODES;
        let frame = match kind {
            "get" => {
                let mut frame = request(xid, OpCode::GET_DATA);
                GetDataRequest { path: Some(path(number).into()), watch: false }.write(&mut frame);
                frame
            }
            "set" => {
                let mut frame = request(xid, OpCode::SET_DATA);
                set(&mut frame, number, -1);
                frame
            }
            "multi" => {
                let mut frame = request(xid, OpCode::MULTI);
                for part in 0..10 {
                    MultiHeader { kind: OpCode::SET_DATA.0, done: false, err: -1 }.write(&mut frame);
                    set(&mut frame, (number + part * 97) % NODES, -1);
                }
                MultiHeader { kind: -1, done: true, err: -1 }.write(&mut frame);
                frame
            }
            "create" => create(xid, &path(NODES + round * CONNECTIONS * OUTSTANDING + i)),
            other => panic!("{other:?} is none of get, set, create and multi"),
        };
        frames.push((i % CONNECTIONS, frame));
    }
    frames
}

#[inline(never)]
fn rounds(world: &mut World, rounds: &[Vec<(u32, Vec<u8>)>]) {
    for frames in rounds {
        for (slot, frame) in frames {
            world.frame(*slot, frame);
        }
        world.finish_turn();
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let kind = arguments.get(1).map_or("set", String::as_str);
    let count: u32 = arguments.get(2).map_or(100, |text| text.parse().expect("a number of rounds"));
    let mut world = World::new();
    world.frame(0, &create(0, "/bench"));
    world.finish_turn();
    for number in 0..NODES {
        world.frame(0, &create(1, &path(number)));
        if number % 100 == 99 {
            world.finish_turn();
        }
    }
    world.finish_turn();
    let frames: Vec<_> = (0..count).map(|round| frames(kind, round)).collect();
    let (sent, logged) = (world.sockets.sent, world.logged);
    rounds(&mut world, &frames);
    let requests = count * CONNECTIONS * OUTSTANDING;
    println!("{requests} x {kind}: {} bytes sent, {} logged", world.sockets.sent - sent, world.logged - logged);
}
