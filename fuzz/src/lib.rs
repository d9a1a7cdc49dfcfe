//! What the fuzz targets do with their input, and what must hold: no panic, and no memory beyond what the input
//! bears out. Finding inputs is libFuzzer's work, starting it that of `cargo xtask fuzz`.

#![forbid(unsafe_code)]

mod replies;

use oxkeeper_auth::{SchemeOptions, Schemes};
use oxkeeper_proto::records::{
    AuthPacket, CheckVersionRequest, ConnectRequest, CreateRequest, CreateTtlRequest, DeleteRequest, GetDataRequest, ReconfigRequest,
    RequestHeader, SetAclRequest, SetDataRequest, SetWatches, SetWatches2,
};
use oxkeeper_proto::txn::{self, LoggedTxn};
use oxkeeper_proto::{Reader, Record, SessionId, Zxid, java_string};
use oxkeeper_replica::apply::{Commit, apply};
use oxkeeper_replica::core::{Core, CoreOptions, Input, LocalSessions, Output};
use oxkeeper_replica::front::{Flow, Front, FrontOptions, Outlets};
use oxkeeper_replica::inbox::FrontShared;
use oxkeeper_replica::prepare::PrepareOptions;
use oxkeeper_replica::request::{Now, read_multi};
use oxkeeper_server::config;
use oxkeeper_store::{OpenOptions, log_format, recovery, snapshot as store_snapshot};
use oxkeeper_tree::{NoopSink, Tree, TreeOptions};
use oxkeeper_zab::{Candidate, Config, Election, ElectionOptions, ElectionOutput, Notification, Opening, Sid};
use peak_alloc::PeakAlloc;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// What any decoder may allocate beside what its input bears out.
const SPARE_BYTES: usize = 64 << 10;

/// Runs a decoder, whose memory must stay within `factor` times its input and 64 KiB. A factor above 1 is for what the
/// wire writes shorter than memory holds it: an absent string in a vector takes 4 bytes there and 24 here, twice
/// while a vector grows.
fn within<T>(bytes: &[u8], factor: usize, decode: impl FnOnce(&[u8]) -> T) -> T {
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    let result = decode(bytes);
    let most = MEMORY.peak_usage().saturating_sub(before);
    let allowed = bytes.len() * factor + SPARE_BYTES;
    assert!(most <= allowed, "{} bytes of input took {most} bytes of memory", bytes.len());
    result
}

const MAX_LENGTH: i32 = 2_097_150;
/// Vectors of absent strings, doubled while they grow.
const RECORD_FACTOR: usize = 64;

/// Records of requests and transactions.
pub fn records(bytes: &[u8]) {
    within(bytes, RECORD_FACTOR, |bytes| {
        fn one<'a, R: Record<'a>>(bytes: &'a [u8]) {
            let _ = R::read(&mut Reader::with_max_length(bytes, MAX_LENGTH));
        }
        one::<ConnectRequest>(bytes);
        one::<RequestHeader>(bytes);
        one::<CreateRequest>(bytes);
        one::<CreateTtlRequest>(bytes);
        one::<DeleteRequest>(bytes);
        one::<GetDataRequest>(bytes);
        one::<SetDataRequest>(bytes);
        one::<SetAclRequest>(bytes);
        one::<CheckVersionRequest>(bytes);
        one::<ReconfigRequest>(bytes);
        one::<AuthPacket>(bytes);
        one::<SetWatches>(bytes);
        one::<SetWatches2>(bytes);
    });
    let _ = within(bytes, RECORD_FACTOR, |bytes| read_multi(&mut Reader::with_max_length(bytes, MAX_LENGTH)).map(|_| ()));
    let written = within(bytes, RECORD_FACTOR, |bytes| {
        LoggedTxn::read(bytes).ok().map(|logged| txn::encode(&logged.header, &logged.txn, logged.digest.map(|d| d.tree_digest as u64)))
    });
    // What we write of it is read again.
    if let Some(written) = written {
        assert!(LoggedTxn::read(&written).is_ok());
        let mut tree = Tree::new(TreeOptions::default());
        if let Ok(logged) = LoggedTxn::read(bytes) {
            tree.apply(&logged, &mut NoopSink);
        }
    }
}

/// A transaction log: as it is, as the newest of a directory, and its bytes as the payload of a good record.
pub fn log(bytes: &[u8]) {
    within(bytes, 24, |bytes| {
        let (records, _) = log_format::decode_log(bytes);
        for record in records {
            let _ = LoggedTxn::read(record.payload);
        }
    });
    let trust_empty = OpenOptions { autocreate_directories: true, autocreate_database: true, trust_empty_snapshot: true };
    for first in [1u64, 0x1_0000_0001] {
        let name = format!("log.{first:x}");
        if let Ok(recovered) = recovery::recover(&[(&name, bytes)], &trust_empty) {
            for piece in &recovered.history.pieces {
                assert!(piece.from <= piece.to && piece.to <= bytes.len(), "a piece lies in its file");
            }
        }
    }
    let mut good = Vec::new();
    log_format::write_record(&mut good, bytes);
    // An empty record is the end of a log.
    if !bytes.is_empty() {
        let mut found = 0;
        let file = [&b"ZKLG\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x00"[..], &good].concat();
        log_format::scan(&file, |record| {
            found += 1;
            assert_eq!(record.payload, bytes);
        });
        assert!(found <= 1);
    }
}

/// A snapshot's framing, its body as a tree, and the file in a directory.
pub fn snapshot(bytes: &[u8]) {
    let _ = within(bytes, 2, store_snapshot::decode_snapshot_framing);
    // A node of 60 bytes takes a record, a place in the table and one among its parent's children; tables grow by
    // pieces.
    let options = TreeOptions::default();
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    let loaded = oxkeeper_tree::snapshot::load(&mut &bytes[..], options);
    let most = MEMORY.peak_usage().saturating_sub(before);
    assert!(most <= bytes.len() * 64 + (2 << 20), "{} bytes of input took {most} bytes of memory", bytes.len());
    if let Ok(tree) = loaded {
        let _ = (tree.digest(), tree.node_count());
    }
    for name in ["snapshot.0", "snapshot.1.gz", "snapshot.1.snappy"] {
        let _ = recovery::recover(
            &[(name, bytes)],
            &OpenOptions { autocreate_directories: true, autocreate_database: true, trust_empty_snapshot: false },
        );
    }
}

/// A zoo.cfg.
pub fn config(bytes: &[u8]) {
    let entries = within(bytes, 64, config::properties::parse);
    if entries.is_err() {
        return;
    }
    let path = std::env::temp_dir().join(format!("oxkeeper-fuzz-{}.cfg", std::process::id()));
    std::fs::write(&path, bytes).expect("a temporary file can be written");
    let request = config::args::Request { source: config::args::Source::File(path), ..Default::default() };
    match config::load(&request) {
        Ok(loaded) => assert!(loaded.config.tick_time_ms > 0),
        Err(refused) => assert!(!refused.message.is_empty() && refused.exit_code != 0),
    }
}

/// The election port: what opens a connection, a notification with its configuration, and a whole election that gets
/// it (the first byte says from whom, and how much later).
pub fn election(bytes: &[u8]) {
    let _ = within(bytes, 64, Opening::decode);
    let Some((control, message)) = bytes.split_first() else { return };
    let read = within(message, 64, Notification::decode);
    if let Ok(Notification { config: Some(Ok(config)), .. }) = &read {
        let text = config.to_text();
        // A blank at a value's beginning belongs to the line, here as in Java.
        if !text.contains(['\t', '\x0c', ' ']) {
            let again = Config::parse(&text).expect("what we write ourselves");
            assert_eq!(again.to_text(), text);
        }
        let _ = config.quorum().is_reached(|sid| sid.0 % 2 == 0);
    }
    let config = Config::parse("server.1=a:1:2\nserver.2=b:1:2\nserver.3=c:1:2").expect("a configuration");
    let mut election = Election::new(Sid(2), false, ElectionOptions::default(), &config);
    election.start(0, Candidate { zxid: 5, epoch: 1, in_doubt: control & 0x80 != 0 });
    for round in 0..3 {
        let refused = election.receive(10 * round, Sid(i64::from(control & 3)), message).is_err();
        assert_eq!(refused, read.is_err());
        election.tick(10 * round + u64::from(control & 0x7c) * 10);
        while let Some(output) = election.poll() {
            if let ElectionOutput::Send { message, .. } = output {
                Notification::decode(&message).expect("what we write ourselves");
            }
        }
    }
}

/// Strings: valid ones are taken as they are, and everything else becomes something that can be written.
pub fn java_string(bytes: &[u8]) {
    let text = within(bytes, 8, |bytes| java_string::decode(bytes).into_owned());
    match std::str::from_utf8(bytes) {
        Ok(valid) => assert_eq!(text, valid),
        Err(_) => assert!(text.contains('\u{fffd}')),
    }
    let written = java_string::encode(&text);
    // The writer's units one by one, by its definition.
    let mut expected = Vec::new();
    for unit in text.encode_utf16() {
        match unit {
            0..=0x7f => expected.push(unit as u8),
            0x80..=0x7ff => expected.extend([0xc0 | (unit >> 6) as u8, 0x80 | (unit & 0x3f) as u8]),
            _ => expected.extend([0xe0 | (unit >> 12) as u8, 0x80 | (unit >> 6 & 0x3f) as u8, 0x80 | (unit & 0x3f) as u8]),
        }
    }
    assert_eq!(&*written, expected);
}

/// Frames of clients through a whole standalone server without its sockets and disk.
///
/// The input is a row of messages: a byte that says to which of four connections it goes and whether it waits for
/// what is in work, two bytes of length, and so many bytes, the frame's. A connection's first frame is a good connect
/// request unless the byte says that this one is it. Beside panics: each reply is a whole frame, each connection gets
/// at most one reply for each of its requests, and a second tree fed with the logged bytes becomes the same.
pub fn client_frames(bytes: &[u8]) {
    let before = MEMORY.current_usage();
    let mut machine = Machine::new();
    MEMORY.reset_peak_usage();
    let mut rest = bytes;
    while let [control, high, low, more @ ..] = rest {
        let length = (usize::from(*high) << 8 | usize::from(*low)).min(more.len());
        machine.message(*control, &more[..length]);
        rest = &more[length..];
    }
    machine.settle();
    machine.check();
    let most = MEMORY.peak_usage().saturating_sub(before);
    // A tree begins with tables of some hundred kilobytes, and each node may be read by each of the requests.
    let allowed = bytes.len() * 256 + (4 << 20);
    assert!(most <= allowed, "{} bytes of input took {most} bytes of memory", bytes.len());
}

/// Whatever a server and a link do to the client's machine; see `replies`.
pub fn server_replies(bytes: &[u8]) {
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    let mut machine = replies::Machine::new();
    let mut rest = bytes;
    while let [control, high, low, more @ ..] = rest {
        let length = (usize::from(*high) << 8 | usize::from(*low)).min(more.len());
        machine.message(*control, &more[..length]);
        rest = &more[length..];
    }
    machine.finish();
    let most = MEMORY.peak_usage().saturating_sub(before);
    // A result of a multi takes 9 bytes there and a Stat here; each path is kept for a watch, sent and sent again.
    let allowed = bytes.len() * 128 + (256 << 10);
    assert!(most <= allowed, "{} bytes of input took {most} bytes of memory", bytes.len());
}

const CONNECTIONS: usize = 4;

struct Line {
    slot: u32,
    asked: usize,
    connected: bool,
    open: bool,
}

#[derive(Default)]
struct Wires {
    out: Vec<Vec<u8>>,
    closing: Vec<u32>,
}

impl Outlets for Wires {
    fn out(&mut self, slot: u32) -> &mut Vec<u8> {
        let at = slot as usize;
        if at >= self.out.len() {
            self.out.resize_with(at + 1, Vec::new);
        }
        &mut self.out[at]
    }

    fn close(&mut self, slot: u32) {
        self.closing.push(slot);
    }

    fn resume(&mut self, _: u32) {}
}

struct Machine {
    now: Now,
    tree: Tree,
    second: Tree,
    core: Core,
    front: Front,
    shared: Arc<FrontShared>,
    schemes: Arc<Schemes>,
    wires: Wires,
    lines: [Option<Line>; CONNECTIONS],
    logged: Vec<(Zxid, bytes::Bytes)>,
    commits: Vec<Commit>,
}

impl Machine {
    fn new() -> Self {
        let now = Now { mono_ms: 1_000_000, wall_ms: 1_700_000_000_000 };
        let options = TreeOptions { extended_types: true, ..TreeOptions::default() };
        let (tree, second) = (Tree::new(options), Tree::new(options));
        let schemes = Arc::new(Schemes::new(&SchemeOptions::default()).expect("SHA1 is known"));
        let prepare = PrepareOptions { extended_types: true, emulate_353_ttl: false, enforce_quota: true, reconfig_enabled: true };
        let core_options = CoreOptions {
            tick_ms: 500,
            sid: 1,
            prepare,
            digest_enabled: true,
            close_session_txn: true,
            max_length: MAX_LENGTH,
            local_sessions: LocalSessions::Off,
            read_only_after_ms: None,
        };
        let core = Core::standalone(core_options, schemes.clone(), &tree, now);
        let shared = Arc::new(FrontShared::default());
        let options = FrontOptions {
            tick_ms: 500,
            min_session_timeout_ms: 1000,
            max_session_timeout_ms: 10_000,
            max_length: MAX_LENGTH,
            outstanding_limit: 16,
            limits: Arc::default(),
            serves: true,
            local_sessions: false,
            syncs: false,
        };
        let front = Front::new(0, shared.clone(), schemes.clone(), options, Arc::new(AtomicUsize::new(0)));
        Self {
            now,
            tree,
            second,
            core,
            front,
            shared,
            schemes,
            wires: Wires::default(),
            lines: [const { None }; CONNECTIONS],
            logged: Vec::new(),
            commits: Vec::new(),
        }
    }

    fn message(&mut self, control: u8, frame: &[u8]) {
        let at = usize::from(control) % CONNECTIONS;
        if self.lines[at].is_none() {
            let peer = "127.0.0.1:1".parse().expect("an address");
            let slot = self.front.accept(self.now, peer);
            self.wires.out(slot).clear();
            self.lines[at] = Some(Line { slot, asked: 0, connected: false, open: true });
            if control & 0x40 == 0 {
                let mut connect = Vec::new();
                ConnectRequest { protocol_version: 0, last_zxid_seen: 0, time_out: 5000, session_id: 0, passwd: Some(&[0; 16]) }
                    .write(&mut connect);
                self.frame(at, &connect);
                self.settle();
            }
        }
        self.frame(at, frame);
        if control & 0x80 == 0 {
            self.settle();
        }
        if control & 0x20 != 0 {
            self.now.mono_ms += 700;
            self.now.wall_ms += 700;
            self.core.handle(self.now, &self.tree, Input::Tick);
        }
    }

    fn frame(&mut self, at: usize, frame: &[u8]) {
        let Some(line) = self.lines[at].as_mut().filter(|line| line.open) else { return };
        let slot = line.slot;
        line.asked += 1;
        let first = !std::mem::replace(&mut line.connected, true);
        let flow = self.front.frame(self.now, &self.tree, slot, frame, self.wires.out(slot));
        if frame.len() < 8 && !matches!(flow, Flow::Pause) {
            assert_eq!(flow, Flow::Drop, "what is too short for a header ends its connection (first: {first})");
        }
        match flow {
            Flow::Continue => {}
            Flow::Pause => {
                // The reactor would wait for the core, so that nothing overtakes.
                self.settle();
            }
            Flow::Drop | Flow::Close => self.close(at),
        }
    }

    fn close(&mut self, at: usize) {
        // Its slot may have another's bytes soon.
        self.check_line(at);
        if let Some(line) = &mut self.lines[at]
            && std::mem::take(&mut line.open)
        {
            self.front.closed(line.slot);
        }
    }

    /// Carries out all that is in work.
    fn settle(&mut self) {
        loop {
            let inputs: Vec<Input> = self.front.submissions.drain(..).collect();
            for input in inputs {
                self.core.handle(self.now, &self.tree, input);
            }
            let mut synced = None;
            let mut busy = false;
            while let Some(output) = self.core.poll() {
                busy = true;
                match output {
                    Output::Append { zxid, payload } => {
                        synced = Some(zxid);
                        self.logged.push((zxid, payload));
                    }
                    Output::Apply(commit) => self.commits.push(commit),
                    Output::Front { item, .. } => self.shared.inbox.lock().expect("nobody panics").items.push(item),
                    other => unreachable!("a standalone server has no peers: {other:?}"),
                }
            }
            if let Some(through) = synced {
                self.core.handle(self.now, &self.tree, Input::LogSynced { through });
            }
            if !self.commits.is_empty() {
                apply(&mut self.tree, &[&self.shared], std::mem::take(&mut self.commits), &self.schemes, MAX_LENGTH, &mut ());
                self.core.handle(self.now, &self.tree, Input::Applied { through: self.tree.last_zxid() });
            }
            self.front.drain(self.now, &self.tree, &mut self.wires);
            let mut worked_off = false;
            for at in 0..CONNECTIONS {
                let Some(slot) = self.lines[at].as_ref().filter(|line| line.open).map(|line| line.slot) else { continue };
                if self.front.has_backlog(slot) {
                    self.check_line(at);
                    self.front.work_off(self.now, &self.tree, slot, &mut self.wires);
                    worked_off = true;
                }
                if self.wires.closing.contains(&slot) {
                    self.check_line(at);
                    self.close(at);
                }
            }
            self.wires.closing.clear();
            if !busy && !worked_off && synced.is_none() && self.front.submissions.is_empty() {
                return;
            }
        }
    }

    /// The bytes for a connection are whole frames, and the replies no more than its requests.
    fn check_line(&mut self, at: usize) {
        let Some(line) = self.lines[at].as_mut().filter(|line| line.open) else { return };
        let mut out = &std::mem::take(self.wires.out(line.slot))[..];
        while !out.is_empty() {
            let length = i32::from_be_bytes(*out.first_chunk().expect("a length"));
            let frame = &out[4..4 + usize::try_from(length).expect("a length that is none")];
            out = &out[4 + frame.len()..];
            assert!(frame.len() >= 16, "every reply and every connect response has 16 bytes at least");
            // Clients may number a request -1, as events are.
            if i32::from_be_bytes(*frame.first_chunk().expect("an xid")) != -1 {
                line.asked = line.asked.checked_sub(1).expect("no more replies than requests");
            }
        }
    }

    fn check(&mut self) {
        for at in 0..CONNECTIONS {
            self.check_line(at);
        }
        let mut last = Zxid(0);
        for (zxid, payload) in &self.logged {
            assert!(*zxid > last);
            last = *zxid;
            let logged = LoggedTxn::read(payload).expect("what we log can be read");
            assert!(payload.len() <= MAX_LENGTH as usize);
            let applied = self.second.apply(&logged, &mut NoopSink);
            assert!(applied.digest_mismatch.is_none(), "{:?}", applied.digest_mismatch);
        }
        assert_eq!(self.second.digest(), self.tree.digest());
        assert_eq!(self.second.node_count(), self.tree.node_count());
        let sessions: Vec<(SessionId, i32)> = self.tree.sessions().collect();
        assert_eq!(self.second.sessions().count(), sessions.len());
    }
}
