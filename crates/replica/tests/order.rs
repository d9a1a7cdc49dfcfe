//! The order in which a connection is answered: writes, reads behind them, events, sessions. The
//! world here has no log: a test says when everything proposed is durable.

use oxkeeper_auth::{SchemeOptions, Schemes};
use oxkeeper_proto::acl::{open, to_records};
use oxkeeper_proto::records::{
    Acl, ConnectRequest, CreateRequest, DeleteRequest, GetDataRequest, MultiHeader, ReplyHeader, RequestHeader, SetAclRequest,
    SetDataRequest,
};
use oxkeeper_proto::{ErrorCode, EventType, OpCode, Reader, Record, SessionId, Write, Zxid, perms};
use oxkeeper_replica::apply::{Commit, apply};
use oxkeeper_replica::core::{Core, CoreOptions, Input, LocalSessions, Output};
use oxkeeper_replica::front::{Flow, Front, FrontOptions, Outlets, Sizes};
use oxkeeper_replica::inbox::{FrontShared, Item, Service};
use oxkeeper_replica::meter::Meter;
use oxkeeper_replica::prepare::PrepareOptions;
use oxkeeper_replica::request::Now;
use oxkeeper_tree::{Tree, TreeOptions};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

const MAX_LENGTH: i32 = 1 << 21;

#[derive(Default)]
struct Wires {
    out: Vec<Vec<u8>>,
    closed: Vec<u32>,
    resumed: Vec<u32>,
}

impl Outlets for Wires {
    fn out(&mut self, slot: u32) -> &mut Vec<u8> {
        let at = slot as usize;
        if self.out.len() <= at {
            self.out.resize(at + 1, Vec::new());
        }
        &mut self.out[at]
    }
    fn close(&mut self, slot: u32) {
        self.closed.push(slot);
    }
    fn resume(&mut self, slot: u32) {
        self.resumed.push(slot);
    }
}

struct World {
    now: Now,
    tree: Tree,
    core: Core,
    front: Front,
    shared: Arc<FrontShared>,
    schemes: Arc<Schemes>,
    wires: Wires,
    proposed: Zxid,
    commits: Vec<Commit>,
    tally: Tally,
}

/// What the metrics would have been told.
#[derive(Default)]
struct Tally {
    written: Vec<(String, usize)>,
    told: Vec<(EventType, usize)>,
    applied: usize,
}

impl Meter for Tally {
    fn written(&mut self, path: &str, bytes: usize) {
        self.written.push((path.to_owned(), bytes));
    }

    fn applied(&mut self, _time_ms: i64) {
        self.applied += 1;
    }

    fn told(&mut self, kind: EventType, watchers: usize) {
        self.told.push((kind, watchers));
    }
}

impl World {
    fn new() -> Self {
        let schemes = Arc::new(Schemes::new(&SchemeOptions::default()).unwrap());
        let tree = Tree::new(TreeOptions::default());
        let now = Now { mono_ms: 1_000_000, wall_ms: 1_700_000_000_000 };
        let core = Core::standalone(options(), schemes.clone(), &tree, now);
        let shared = Arc::new(FrontShared::default());
        let front_options = FrontOptions {
            tick_ms: 1000,
            min_session_timeout_ms: 2000,
            max_session_timeout_ms: 20_000,
            max_length: MAX_LENGTH,
            outstanding_limit: 1000,
            limits: Default::default(),
            serves: true,
            local_sessions: false,
            syncs: false,
        };
        let front = Front::new(0, shared.clone(), schemes.clone(), front_options, Arc::new(AtomicUsize::new(0)));
        Self {
            now,
            tree,
            core,
            front,
            shared,
            schemes,
            wires: Wires::default(),
            proposed: Zxid::ZERO,
            commits: Vec::new(),
            tally: Tally::default(),
        }
    }

    fn accept(&mut self) -> u32 {
        self.front.accept(self.now, "127.0.0.1:4000".parse().unwrap())
    }

    fn frame(&mut self, slot: u32, bytes: &[u8]) -> Flow {
        let flow = self.front.frame(self.now, &self.tree, slot, bytes, self.wires.out(slot));
        self.bring();
        flow
    }

    fn bring(&mut self) {
        let submissions: Vec<Input> = self.front.submissions.drain(..).collect();
        for input in submissions {
            self.tell(input);
        }
    }

    fn tell(&mut self, input: Input) {
        self.core.handle(self.now, &self.tree, input);
        while let Some(output) = self.core.poll() {
            match output {
                Output::Append { zxid, .. } => self.proposed = zxid,
                Output::Apply(commit) => self.commits.push(commit),
                Output::Front { item, .. } => self.shared.inbox.lock().unwrap().items.push(item),
                other => unreachable!("a standalone server has no peers: {other:?}"),
            }
        }
    }

    /// Applies what is committed and lets the front tell of it.
    fn apply(&mut self) {
        let commits = std::mem::take(&mut self.commits);
        let effects = apply(&mut self.tree, &[&self.shared], commits, &self.schemes, MAX_LENGTH, &mut self.tally);
        assert_eq!(effects.digest_mismatches, [], "the announced digest is the tree's");
        self.tell(Input::Applied { through: self.tree.last_zxid() });
        self.front.drain(self.now, &self.tree, &mut self.wires);
        self.bring();
    }

    /// Everything proposed is durable.
    fn sync(&mut self) {
        self.tell(Input::LogSynced { through: self.proposed });
        self.apply();
    }

    fn connect(&mut self, session: SessionId, password: [u8; 16]) -> u32 {
        self.connect_for(4000, session, password)
    }

    fn connect_for(&mut self, time_out: i32, session: SessionId, password: [u8; 16]) -> u32 {
        let slot = self.accept();
        let request = ConnectRequest { protocol_version: 0, last_zxid_seen: 0, time_out, session_id: session.0, passwd: Some(&password) };
        self.frame(slot, &request.to_bytes());
        self.sync();
        slot
    }

    /// A new session on a new connection; what was sent so far is forgotten.
    fn client(&mut self) -> (u32, SessionId) {
        let slot = self.connect(SessionId::NONE, [0; 16]);
        let reply = std::mem::take(self.wires.out(slot));
        let session = SessionId(i64::from_be_bytes(reply[12..20].try_into().unwrap()));
        (slot, session)
    }

    /// The headers of what was sent since the last call: xid, zxid, error.
    fn replies(&mut self, slot: u32) -> Vec<(i32, i64, i32)> {
        frames(&std::mem::take(self.wires.out(slot))).into_iter().map(|(h, _)| (h.xid, h.zxid, h.err)).collect()
    }

    /// The data that the `getData`s among what was sent found.
    fn data(&mut self, slot: u32) -> Vec<String> {
        frames(&std::mem::take(self.wires.out(slot)))
            .into_iter()
            .filter(|(h, body)| h.err == 0 && !body.is_empty() && h.xid >= 100)
            .map(|(_, body)| String::from_utf8(Reader::new(&body).buffer().unwrap().unwrap().to_vec()).unwrap())
            .collect()
    }
}

fn options() -> CoreOptions {
    CoreOptions {
        tick_ms: 1000,
        sid: 1,
        prepare: PrepareOptions { extended_types: false, emulate_353_ttl: false, enforce_quota: false, reconfig_enabled: false },
        digest_enabled: true,
        close_session_txn: true,
        max_length: MAX_LENGTH,
        local_sessions: LocalSessions::Off,
        read_only_after_ms: None,
    }
}

fn frames(mut bytes: &[u8]) -> Vec<(ReplyHeader, Vec<u8>)> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let length = i32::from_be_bytes(bytes[..4].try_into().unwrap()) as usize;
        let mut r = Reader::new(&bytes[4..4 + length]);
        let header = ReplyHeader::read(&mut r).unwrap();
        found.push((header, r.rest().to_vec()));
        bytes = &bytes[4 + length..];
    }
    found
}

fn request(xid: i32, op: OpCode, record: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = RequestHeader { xid, kind: op.0 }.to_bytes();
    record(&mut out);
    out
}

fn create(xid: i32, path: &str, flags: i32) -> Vec<u8> {
    let acl = open();
    request(xid, OpCode::CREATE, |out| {
        CreateRequest { path: Some(path.into()), data: Some(b"0"), acl: Some(to_records(&acl)), flags }.write(out);
    })
}

fn set(xid: i32, path: &str, data: &[u8], version: i32) -> Vec<u8> {
    request(xid, OpCode::SET_DATA, |out| SetDataRequest { path: Some(path.into()), data: Some(data), version }.write(out))
}

fn get(xid: i32, path: &str, watch: bool) -> Vec<u8> {
    request(xid, OpCode::GET_DATA, |out| GetDataRequest { path: Some(path.into()), watch }.write(out))
}

#[test]
fn nothing_is_answered_before_it_is_durable() {
    let mut world = World::new();
    let (slot, _) = world.client();
    world.frame(slot, &create(1, "/a", 0));
    world.apply();
    assert_eq!(world.replies(slot), []);
    world.sync();
    assert_eq!(world.replies(slot), [(1, 2, 0)]);
}

#[test]
fn reads_between_writes_see_what_stands_between_them() {
    let mut world = World::new();
    let (slot, _) = world.client();
    world.frame(slot, &create(1, "/a", 0));
    world.frame(slot, &get(100, "/a", false));
    world.frame(slot, &set(2, "/a", b"1", -1));
    world.frame(slot, &get(101, "/a", false));
    world.frame(slot, &set(3, "/a", b"2", -1));
    world.frame(slot, &get(102, "/a", false));
    // All in one batch.
    world.sync();
    let sent = world.wires.out(slot).clone();
    let xids: Vec<i32> = frames(&sent).iter().map(|(h, _)| h.xid).collect();
    assert_eq!(xids, [1, 100, 2, 101, 3, 102]);
    assert_eq!(world.data(slot), ["0", "1", "2"]);
}

#[test]
fn a_write_that_is_not_first_in_line_keeps_its_own_zxid() {
    let mut world = World::new();
    let (a, _) = world.client();
    let (b, _) = world.client();
    world.frame(a, &create(1, "/a", 0));
    world.frame(b, &create(1, "/b", 0));
    world.frame(a, &create(2, "/a", 0));
    world.sync();
    assert_eq!(world.replies(a), [(1, 3, 0), (2, 5, ErrorCode::NODE_EXISTS.0)]);
    assert_eq!(world.replies(b), [(1, 4, 0)]);
}

#[test]
fn an_answer_without_a_transaction_waits_for_its_turn() {
    let mut world = World::new();
    let (slot, _) = world.client();
    world.frame(slot, &create(1, "/a", 0));
    world.frame(slot, &request(2, OpCode::SET_DATA, |out| out.int(7)));
    world.frame(slot, &set(3, "/a", b"x", 5));
    world.apply();
    assert_eq!(world.replies(slot), []);
    world.sync();
    let (marshalling, bad_version) = (ErrorCode::MARSHALLING_ERROR.0, ErrorCode::BAD_VERSION.0);
    assert_eq!(world.replies(slot), [(1, 2, 0), (2, 2, marshalling), (3, 3, bad_version)]);
}

/// `create` with this permission for everybody.
fn create_for(xid: i32, path: &str, perms: i32) -> Vec<u8> {
    let open = open();
    let acl = to_records(&open).into_iter().map(|entry| Acl { perms, ..entry }).collect();
    request(xid, OpCode::CREATE, |out| CreateRequest { path: Some(path.into()), data: None, acl: Some(acl), flags: 0 }.write(out))
}

#[test]
fn a_write_that_is_checked_eagerly_takes_no_zxid_when_it_is_refused() {
    let (no_auth, no_node, invalid) = (ErrorCode::NO_AUTH.0, ErrorCode::NO_NODE.0, ErrorCode::INVALID_ACL.0);
    for eager in [false, true] {
        let mut world = World::new();
        world.core.check_acls_eagerly(eager);
        let (slot, _) = world.client();
        world.frame(slot, &create_for(1, "/shut", perms::READ));
        // What is not committed is not seen: in the order it is refused all the same.
        world.frame(slot, &set(2, "/shut", b"x", -1));
        world.sync();
        assert_eq!(world.replies(slot), [(1, 2, 0), (2, 3, no_auth)]);

        world.frame(slot, &create(3, "/a", 0));
        world.frame(slot, &set(4, "/shut", b"x", -1));
        world.frame(slot, &create(5, "/shut/b", 0));
        world.frame(slot, &request(6, OpCode::DELETE, |out| DeleteRequest { path: Some("/shut/b".into()), version: -1 }.write(out)));
        let none = SetAclRequest { path: Some("/a".into()), acl: Some(Vec::new()), version: -1 };
        world.frame(slot, &request(7, OpCode::SET_ACL, |out| none.write(out)));
        world.frame(slot, &set(8, "/none", b"x", -1));
        world.apply();
        assert_eq!(world.replies(slot), [], "each waits for its turn");
        world.sync();
        let refused = if eager { [0; 4] } else { [5, 6, 7, 8] };
        let last = if eager { 5 } else { 9 };
        // Nothing is known of what is not there: that is found out in the order.
        let wanted = [
            (3, 4, 0),
            (4, refused[0], no_auth),
            (5, refused[1], no_auth),
            (6, refused[2], no_auth),
            (7, refused[3], invalid),
            (8, last, no_node),
        ];
        assert_eq!(world.replies(slot), wanted, "eagerly: {eager}");
    }
}

#[test]
fn an_event_goes_out_before_the_reply_of_the_write_that_caused_it() {
    let mut world = World::new();
    let (slot, _) = world.client();
    world.frame(slot, &create(1, "/a", 0));
    world.sync();
    world.frame(slot, &get(100, "/a", true));
    world.frame(slot, &set(2, "/a", b"1", -1));
    world.frame(slot, &set(3, "/a", b"2", -1));
    world.sync();
    // One event: the watch fires once.
    assert_eq!(world.replies(slot), [(1, 2, 0), (100, 2, 0), (-1, 3, 0), (2, 3, 0), (3, 4, 0)]);
}

#[test]
fn a_watch_is_set_by_a_read_that_waited() {
    let mut world = World::new();
    let (a, _) = world.client();
    let (b, _) = world.client();
    world.frame(a, &create(1, "/a", 0));
    world.sync();
    world.replies(a);
    world.frame(a, &set(2, "/a", b"1", -1));
    world.frame(a, &get(100, "/a", true));
    world.frame(b, &set(1, "/a", b"2", -1));
    world.sync();
    // The read runs when its write is answered, and by then b's write is applied too: no event.
    assert_eq!(world.replies(a), [(2, 4, 0), (100, 5, 0)]);
    world.frame(b, &set(2, "/a", b"3", -1));
    world.sync();
    assert_eq!(world.replies(a), [(-1, 6, 0)]);
}

#[test]
fn a_read_that_waited_comes_after_the_events_of_what_it_shows() {
    let mut world = World::new();
    let (a, _) = world.client();
    let (b, _) = world.client();
    world.frame(a, &create(1, "/a", 0));
    world.frame(a, &create(2, "/x", 0));
    world.sync();
    world.frame(a, &get(100, "/x", true));
    world.replies(a);
    world.frame(a, &set(3, "/a", b"1", -1));
    world.frame(a, &get(101, "/x", false));
    world.frame(b, &set(1, "/x", b"seen", -1));
    world.sync();
    assert_eq!(world.replies(a), [(3, 5, 0), (-1, 6, 0), (101, 6, 0)]);
}

/// A new leader's snapshot may put an earlier tree in the place of the one that the write was applied to.
#[test]
fn a_read_that_waited_is_not_answered_when_nobody_is_served_any_more() {
    let mut world = World::new();
    let (slot, _) = world.client();
    world.frame(slot, &create(1, "/a", 0));
    world.frame(slot, &get(100, "/a", false));
    world.tell(Input::LogSynced { through: world.proposed });
    let commits = std::mem::take(&mut world.commits);
    apply(&mut world.tree, &[&world.shared], commits, &world.schemes, MAX_LENGTH, &mut world.tally);
    world.shared.inbox.lock().unwrap().items.push(Item::Serve(Service::None));
    let earlier = Tree::new(TreeOptions::default());
    world.front.drain(world.now, &earlier, &mut world.wires);
    let answered: Vec<i32> = world.replies(slot).into_iter().map(|(xid, ..)| xid).collect();
    assert_eq!((answered, &world.wires.closed[..]), (vec![1], &[slot][..]));
}

/// It may be told again what it was told before, by the earlier tree that catches up.
#[test]
fn nothing_is_told_to_a_watcher_when_nobody_is_served_any_more() {
    let mut world = World::new();
    let (slot, _) = world.client();
    world.frame(slot, &create(1, "/a", 0));
    world.sync();
    world.frame(slot, &get(100, "/a", true));
    world.replies(slot);
    let (writer, _) = world.client();
    world.frame(writer, &set(2, "/a", b"1", -1));
    world.shared.inbox.lock().unwrap().items.push(Item::Serve(Service::None));
    world.sync();
    assert_eq!(world.replies(slot), []);
}

#[test]
fn the_end_of_a_session_takes_its_ephemerals_and_comes_last() {
    let mut world = World::new();
    let (slot, session) = world.client();
    world.frame(slot, &create(1, "/e", 1));
    world.frame(slot, &create(2, "/e2", 1));
    world.frame(slot, &get(100, "/e", false));
    world.frame(slot, &request(3, OpCode::CLOSE_SESSION, |_| {}));
    world.sync();
    assert_eq!(world.replies(slot), [(1, 2, 0), (2, 3, 0), (100, 3, 0), (3, 4, 0)]);
    assert_eq!(world.wires.closed, [slot, slot]);
    assert!(world.tree.get("/e").is_none() && world.tree.get("/e2").is_none());
    assert_eq!(world.tree.session_timeout_ms(session), None);
}

#[test]
fn a_silent_session_expires_with_its_ephemerals() {
    let mut world = World::new();
    let (slot, _) = world.client();
    world.frame(slot, &create(1, "/e", 1));
    world.sync();
    world.now.mono_ms += 4000;
    world.tell(Input::Tick);
    world.sync();
    assert!(world.tree.get("/e").is_some(), "not before its time");
    world.now.mono_ms += 2000;
    world.tell(Input::Tick);
    world.sync();
    assert!(world.tree.get("/e").is_none());
    assert_eq!(world.wires.closed, [slot]);
}

/// Seed 2830 of the simulator of one server on 480f4d0: a read was answered that had waited when its session ended, from a state
/// of which the session's watches should have told first.
#[test]
fn nothing_is_answered_behind_the_end_of_a_session() {
    let mut world = World::new();
    let (a, _) = world.client();
    world.frame(a, &create(1, "/a", 0));
    world.sync();
    world.replies(a);
    world.frame(a, &set(2, "/a", b"1", -1));
    world.now.mono_ms += 10_000;
    world.tell(Input::Tick);
    world.frame(a, &set(3, "/a", b"2", -1));
    world.frame(a, &get(100, "/a", true));
    world.frame(a, &set(4, "/a", b"3", -1));
    world.sync();
    assert_eq!(world.replies(a), [(2, 3, 0)]);
    assert_eq!(world.wires.closed, [a]);
}

#[test]
fn a_session_that_comes_back_with_a_shorter_timeout_expires_by_it() {
    let mut world = World::new();
    let (old, session) = world.client();
    world.frame(old, &create(1, "/e", 1));
    world.sync();
    let slot = world.connect_for(20_000, session, session.password());
    let slot = world.connect_for(2000, session, session.password()).max(slot);
    world.now.mono_ms += 4000;
    world.tell(Input::Tick);
    world.sync();
    assert!(world.tree.get("/e").is_none());
    assert_eq!(world.wires.closed.last(), Some(&slot));
}

#[test]
fn a_ping_keeps_a_session() {
    let mut world = World::new();
    let (slot, session) = world.client();
    for _ in 0..10 {
        world.now.mono_ms += 3000;
        world.frame(slot, &request(-2, OpCode::PING, |_| {}));
        world.tell(Input::Tick);
        world.sync();
    }
    assert_eq!(world.replies(slot).len(), 10);
    assert_eq!(world.tree.session_timeout_ms(session), Some(4000));
}

#[test]
fn a_session_moves_to_the_connection_that_knows_its_password() {
    let mut world = World::new();
    let (old, session) = world.client();
    let wrong = world.connect(session, [7; 16]);
    let refused = std::mem::take(world.wires.out(wrong));
    assert_eq!(refused[4..20], [0; 16], "no session");
    assert_eq!(world.wires.closed, [], "and nobody is disturbed");
    let new = world.connect(session, session.password());
    assert_eq!(world.wires.closed, [old]);
    let granted = std::mem::take(world.wires.out(new));
    assert_eq!(granted[12..20], session.0.to_be_bytes());
    world.frame(new, &create(1, "/a", 0));
    world.sync();
    assert_eq!(world.replies(new), [(1, 2, 0)]);
}

#[test]
fn a_restart_does_not_give_out_the_id_of_a_living_session() {
    let mut world = World::new();
    let (_, before) = world.client();
    // The clock stands where it stood.
    world.core = Core::standalone(options(), world.schemes.clone(), &world.tree, world.now);
    let (_, after) = world.client();
    assert_ne!(before, after);
    assert_eq!(world.tree.session_count(), 2);
}

#[test]
fn a_full_disk_refuses_writes_serves_reads_and_takes_nothing_back_that_was_told() {
    let mut world = World::new();
    let (slot, _) = world.client();
    world.frame(slot, &create(1, "/a", 0));
    world.sync();
    world.replies(slot);
    world.frame(slot, &set(2, "/a", b"lost", -1));
    world.frame(slot, &get(100, "/a", false));
    world.frame(slot, &create(3, "/b", 0));
    let first = Zxid(3);
    world.tell(Input::LogRefused { from: first });
    world.apply();
    let system = ErrorCode::SYSTEM_ERROR.0;
    let headers: Vec<_> = frames(&world.wires.out(slot).clone()).iter().map(|(h, _)| (h.xid, h.err)).collect();
    assert_eq!(headers, [(2, system), (100, 0), (3, system)]);
    assert_eq!(world.data(slot), ["0"]);
    world.frame(slot, &set(4, "/a", b"no", -1));
    world.apply();
    assert_eq!(world.replies(slot), [(4, 2, system)]);
    world.tell(Input::SpaceIsBack);
    world.frame(slot, &set(5, "/a", b"yes", 0));
    world.sync();
    // The zxid that was taken back is given out again.
    assert_eq!(world.replies(slot), [(5, 3, 0)]);
}

#[test]
fn a_connection_without_credit_is_not_read() {
    let mut world = World::new();
    let (slot, _) = world.client();
    let flows: Vec<Flow> = (0..1000).map(|i| world.frame(slot, &create(i, &format!("/n{i}"), 0))).collect();
    assert!(flows[..999].iter().all(|f| *f == Flow::Continue));
    assert_eq!(flows[999], Flow::Pause);
    world.wires.resumed.clear();
    world.sync();
    assert_eq!(world.wires.resumed, [slot]);
    assert_eq!(world.replies(slot).len(), 1000);
}

#[test]
fn mail_for_a_closed_connection_does_not_reach_the_next_one() {
    let mut world = World::new();
    let (slot, session) = world.client();
    world.frame(slot, &create(1, "/a", 0));
    world.front.closed(slot);
    world.bring();
    let other = world.accept();
    assert_ne!(other, slot, "the slot is not free while mail may be on its way");
    world.sync();
    assert!(world.wires.out(slot).is_empty() && world.wires.out(other).is_empty());
    assert_eq!(world.tree.session_timeout_ms(session), Some(4000), "the session lives on");
    assert_eq!(world.accept(), slot);
}

/// Seed 1796 of the simulator of one server on 02000c8: the next connection with the slot was told of what it did not watch.
#[test]
fn a_read_that_waited_leaves_no_watch_to_the_next_connection_with_the_slot() {
    let mut world = World::new();
    let (a, _) = world.client();
    let (b, _) = world.client();
    world.frame(a, &create(1, "/a", 0));
    world.frame(b, &create(1, "/x", 0));
    world.sync();
    world.frame(a, &set(2, "/a", b"1", -1));
    world.frame(a, &get(100, "/a", true));
    world.frame(a, &set(3, "/x", b"1", -1));
    world.front.closed(a);
    world.bring();
    world.front.drain(world.now, &world.tree, &mut world.wires);
    world.wires.out(a).clear();
    let c = world.connect(SessionId::NONE, [0; 16]);
    assert_eq!(c, a, "the slot is used again");
    assert_eq!(world.shared.watches.lock().unwrap().watch_count(), 0);
    world.wires.out(c).clear();
    world.frame(b, &set(2, "/a", b"2", -1));
    world.sync();
    assert_eq!(world.replies(c), []);
    // Its own watches are its own.
    world.frame(c, &set(1, "/a", b"3", -1));
    world.frame(c, &get(100, "/a", true));
    world.sync();
    world.replies(c);
    world.frame(b, &set(3, "/a", b"4", -1));
    world.sync();
    assert_eq!(world.replies(c).len(), 1);
}

#[test]
fn the_metrics_are_told_what_was_done() {
    let mut world = World::new();
    let (writer, _) = world.client();
    let (watcher, _) = world.client();
    let counts = world.core.counts();
    assert_eq!((counts.prepared, counts.closes, counts.expired), (2, 0, 0));
    world.frame(writer, &create(1, "/a", 1));
    world.sync();
    world.frame(watcher, &get(1, "/a", true));
    world.frame(writer, &get(2, "/a", true));
    world.front.stats.reads.drain(|name, bytes| assert_eq!((name, bytes), ("a", 2 + 1 + 68)));
    world.front.stats.sizes = None;
    let (received, responses) = (world.front.stats.received_bytes, world.front.stats.response_bytes);
    let frame = set(3, "/a", b"abc", -1);
    world.frame(writer, &frame);
    world.frame(writer, &set(4, "/a", b"", 77));
    world.sync();
    let stats = &world.front.stats;
    // The frame of the refused write is three bytes shorter.
    assert_eq!(stats.received_bytes - received, 2 * (frame.len() as u64 + 4) - 3);
    // A header and a Stat, and a header.
    assert_eq!(stats.response_bytes - responses, 16 + 68 + 16);
    let notification = 16 + 4 + 4 + 4 + 2;
    assert_eq!(stats.watch_bytes, 2 * notification);
    assert_eq!(stats.sizes, Some(Sizes { last: 16, min: 16, max: 84 }));
    assert_eq!((stats.connects, stats.revalidations, stats.stale_replies), (2, 0, 0));
    assert_eq!(world.tally.told, [(EventType::NodeDataChanged, 2)]);
    world.frame(writer, &request(5, OpCode::CLOSE_SESSION, |_| {}));
    world.sync();
    let written = [("/a".to_owned(), 1), ("/a".to_owned(), 3), ("/a".to_owned(), 0)];
    assert_eq!(world.tally.written, written, "create, set, and the end of the session; not the refused write");
    assert_eq!(world.tally.applied, 6);
    let counts = world.core.counts();
    assert_eq!((counts.prepared, counts.closes), (6, 1));
    assert_eq!(counts.changes_queued, counts.changes_removed);
}

#[test]
fn a_null_path_makes_the_whole_of_a_multi_fail_and_takes_everything_back() {
    let mut world = World::new();
    let (slot, _) = world.client();
    let multi = request(1, OpCode::MULTI, |out| {
        let acl = open();
        MultiHeader { kind: OpCode::CREATE.0, done: false, err: -1 }.write(out);
        CreateRequest { path: Some("/a".into()), data: None, acl: Some(to_records(&acl)), flags: 1 }.write(out);
        MultiHeader { kind: OpCode::SET_DATA.0, done: false, err: -1 }.write(out);
        SetDataRequest { path: None, data: None, version: -1 }.write(out);
        MultiHeader { kind: -1, done: true, err: -1 }.write(out);
    });
    world.frame(slot, &multi);
    world.frame(slot, &get(100, "/a", false));
    world.sync();
    assert_eq!(world.replies(slot), [(1, 2, ErrorCode::MARSHALLING_ERROR.0), (100, 2, ErrorCode::NO_NODE.0)]);
}
