//! The front of one reactor: its connections, the order of their replies, and the reads.
//!
//! Bytes come in as whole frames and go out into the buffers that [`Outlets`] lends; sockets are the
//! reactor's. What has to go to the core is collected in [`Front::submissions`].

use crate::audit::Auditor;
use crate::core::Input;
use crate::frame;
use crate::inbox::{Answered, FrontShared, Inbox, Item, Service};
use crate::java_address::JavaAddress;
use crate::limits::{Limits, Load};
use crate::meter::ReadLog;
use crate::read::{Reading, WatchesAccess, is_read};
use crate::request::{ConnId, Identities, Now, Parked, Write, is_write};
use crate::sessions::deadline;
use core::net::SocketAddr;
use log::{debug, info, warn};
use oxkeeper_auth::{AuthOutcome, Identity, Schemes};
use oxkeeper_proto::records::{AuthPacket, ConnectRequest, ConnectResponse, GetSaslRequest, RequestHeader, SetSaslResponse};
use oxkeeper_proto::{ErrorCode, OpCode, Reader, Record, SessionId, Write as _, perms};
use oxkeeper_tree::Tree;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What a front has to know from the configuration.
#[derive(Clone, Debug)]
pub struct FrontOptions {
    /// The width of the expiry buckets, milliseconds.
    pub tick_ms: u64,
    /// The shortest timeout that a client gets, milliseconds.
    pub min_session_timeout_ms: i32,
    /// The longest, milliseconds.
    pub max_session_timeout_ms: i32,
    /// The largest string or buffer in a request, bytes.
    pub max_length: i32,
    /// So many writes may be in flight on the whole server before connections that wait for one of
    /// theirs are no longer read (`zookeeper.globalOutstandingLimit`).
    pub outstanding_limit: usize,
    /// The throttle of new sessions and the byte budgets.
    pub limits: Arc<Limits>,
    /// Whether clients are served from the start; a member of an ensemble waits for its role.
    pub serves: bool,
    /// Whether sessions are known to their server only: others can be neither opened nor closed without a leader.
    pub local_sessions: bool,
    /// Whether a `sync` has to go through the core: in an ensemble it asks the leader.
    pub syncs: bool,
}

/// The bytes of a request in front of its body: xid and op.
const REQUEST_HEADER_BYTES: usize = 8;
/// The length field before each frame.
const LENGTH_BYTES: usize = 4;
/// A reply without a body: xid, zxid and error.
const HEADER_BYTES: usize = 16;
/// Reads that a connection may have waiting behind a write: each may be answered with a megabyte,
/// and all of them at the same time.
const PARKED_LIMIT: usize = 128;
/// The same, in bytes of the requests.
const PARKED_LIMIT_BYTES: usize = 1 << 20;
/// Answers to waiting reads are made up to here; the rest waits until these have been sent.
const BURST_BYTES: usize = 1 << 20;

/// The reactor's side of the connections.
pub trait Outlets {
    /// The bytes that wait to be sent on a connection.
    fn out(&mut self, slot: u32) -> &mut Vec<u8>;
    /// Close the connection when what it waits for has been sent.
    fn close(&mut self, slot: u32);
    /// The connection may be read again.
    fn resume(&mut self, slot: u32);
}

/// What comes after a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// The next frame.
    Continue,
    /// Nothing more until [`Outlets::resume`].
    Pause,
    /// Close the connection at once, without a word.
    Drop,
    /// Close the connection when its bytes have been sent.
    Close,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The slot is free.
    Free,
    /// The next frame is a ConnectRequest.
    Connect,
    /// The core has been asked for the session.
    Opening,
    /// Requests are served.
    Open,
    /// Nothing more is read.
    Closing,
}

/// Counts of one connection, for `cons` and `stat`.
#[derive(Clone, Debug)]
pub struct ConnectionStats {
    /// Frames that came in.
    pub received: u64,
    /// Frames that went out.
    pub sent: u64,
    /// The last op that was answered.
    pub last_op: Option<OpCode>,
    /// The xid of the last request that was answered.
    pub last_cxid: i64,
    /// The zxid in the last reply.
    pub last_zxid: i64,
    /// When the last reply was made, milliseconds of the monotonic clock.
    pub last_response_ms: u64,
    /// The last latency, milliseconds.
    pub last_latency_ms: u64,
    /// All latencies.
    pub latency: Latency,
}

impl Default for ConnectionStats {
    fn default() -> Self {
        Self {
            received: 0,
            sent: 0,
            last_op: None,
            last_cxid: -1,
            last_zxid: -1,
            last_response_ms: 0,
            last_latency_ms: 0,
            latency: Latency::default(),
        }
    }
}

/// Least, most and sum of latencies, milliseconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Latency {
    /// How many.
    pub count: u64,
    /// Their sum.
    pub total_ms: u64,
    /// The least; 0 if there is none.
    pub min_ms: u64,
    /// The most.
    pub max_ms: u64,
}

impl Latency {
    fn add(&mut self, ms: u64) {
        self.min_ms = if self.count == 0 { ms } else { self.min_ms.min(ms) };
        self.max_ms = self.max_ms.max(ms);
        self.count += 1;
        self.total_ms += ms;
    }

    /// Both together.
    #[must_use]
    pub fn merge(self, other: Latency) -> Latency {
        match (self.count, other.count) {
            (_, 0) => self,
            (0, _) => other,
            _ => Latency {
                count: self.count + other.count,
                total_ms: self.total_ms + other.total_ms,
                min_ms: self.min_ms.min(other.min_ms),
                max_ms: self.max_ms.max(other.max_ms),
            },
        }
    }
}

/// Counts of one front.
#[derive(Clone, Debug, Default)]
pub struct FrontStats {
    /// Frames that came in.
    pub received: u64,
    /// Frames that went out.
    pub sent: u64,
    /// Latencies of all requests.
    pub latency: Latency,
    /// Bytes of frames that came in, their length fields included.
    pub received_bytes: u64,
    /// Bytes of replies to requests, without length fields.
    pub response_bytes: u64,
    /// Bytes of notifications, without length fields.
    pub watch_bytes: u64,
    /// Sizes of replies and notifications since the metrics took them.
    pub sizes: Option<Sizes>,
    /// Connect requests.
    pub connects: u64,
    /// Those of them that named a session.
    pub revalidations: u64,
    /// Replies whose connection had gone.
    pub stale_replies: u64,
    /// Reads, not yet taken by the server's metrics.
    pub reads: ReadLog,
    /// Answered requests and their latency, not yet taken by the server's metrics.
    pub answered: Vec<(OpCode, u64)>,
    /// Connect requests that the throttle turned away.
    pub throttled_connects: u64,
    /// Connections closed because there were too many large requests.
    pub large_rejected: u64,
    /// Tokens missing from the throttle at each connect request, not yet taken by the metrics.
    pub token_deficits: Vec<u64>,
}

/// Sizes of packets sent, bytes without length fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// The last.
    pub last: usize,
    /// The smallest.
    pub min: usize,
    /// The largest.
    pub max: usize,
}

impl FrontStats {
    fn size(&mut self, bytes: usize) {
        self.sizes = Some(match self.sizes {
            Some(Sizes { min, max, .. }) => Sizes { last: bytes, min: min.min(bytes), max: max.max(bytes) },
            None => Sizes { last: bytes, min: bytes, max: bytes },
        });
    }
}

/// What `cons`, `stat` and `dump` show of a connection.
#[derive(Clone, Debug)]
pub struct ConnectionInfo {
    /// The peer.
    pub peer: SocketAddr,
    /// Its session, 0 if it has none yet.
    pub session: SessionId,
    /// The negotiated timeout, milliseconds.
    pub timeout_ms: i32,
    /// When it was accepted, milliseconds since 1970.
    pub established_ms: i64,
    /// Requests that wait.
    pub queued: usize,
    /// Whether it is being read.
    pub reading: bool,
    /// Its counts.
    pub stats: ConnectionStats,
}

struct Connection {
    generation: u32,
    stage: Stage,
    peer: SocketAddr,
    identities: Identities,
    session: SessionId,
    timeout_ms: i32,
    /// The client knows of read-only servers and expects the flag in the answer.
    knows_read_only: bool,
    /// The end of the last bucket that the core was told of.
    touched_ms: u64,
    /// Writes that the core has and has not answered.
    outstanding: usize,
    /// Reads behind the last write.
    parked: VecDeque<Parked>,
    /// Bytes of them.
    parked_bytes: usize,
    /// Writes handed to the core and writes answered, since the connection began.
    writes: u64,
    writes_answered: u64,
    /// Which of the writes in between weigh something in the budgets.
    loads: VecDeque<(u64, Load)>,
    paused: bool,
    /// It has had its answer and only waits for the peer to hang up: nobody is told of it.
    hidden: bool,
    /// We have ended it, not its client: nothing more is said.
    ended: bool,
    established_ms: i64,
    stats: ConnectionStats,
}

/// See the module.
pub struct Front {
    index: u16,
    shared: Arc<FrontShared>,
    schemes: Arc<Schemes>,
    options: FrontOptions,
    /// Writes in flight on the whole server.
    in_flight: Arc<AtomicUsize>,
    connections: Vec<Connection>,
    service: Service,
    free: Vec<u32>,
    /// Slots that are free once what the inbox holds for them has been dropped.
    limbo: Vec<u32>,
    paused: Vec<u32>,
    /// Connections whose parked reads can run once the inbox is empty.
    runnable: Vec<u32>,
    /// What the core is to be told, in order.
    pub submissions: Vec<Input>,
    /// The front's counts.
    pub stats: FrontStats,
    /// Who asked for what, where there is an audit log.
    pub audit: Option<Auditor>,
    /// The inbox that was emptied last, kept for its memory.
    spare: Inbox,
    scratch: Vec<u8>,
}

impl Front {
    /// A front without connections.
    pub fn new(index: u16, shared: Arc<FrontShared>, schemes: Arc<Schemes>, options: FrontOptions, in_flight: Arc<AtomicUsize>) -> Self {
        let service = if options.serves { Service::Full } else { Service::None };
        Self {
            index,
            shared,
            schemes,
            options,
            in_flight,
            connections: Vec::new(),
            service,
            free: Vec::new(),
            limbo: Vec::new(),
            paused: Vec::new(),
            runnable: Vec::new(),
            submissions: Vec::new(),
            stats: FrontStats::default(),
            audit: None,
            spare: Inbox::default(),
            scratch: Vec::new(),
        }
    }

    /// Takes in a new connection and returns its slot.
    pub fn accept(&mut self, now: Now, peer: SocketAddr) -> u32 {
        let mut connection = Connection {
            generation: 0,
            stage: Stage::Connect,
            peer,
            identities: Arc::new(vec![Identity::ip(peer.ip())]),
            session: SessionId::NONE,
            timeout_ms: 0,
            knows_read_only: false,
            touched_ms: 0,
            outstanding: 0,
            parked: VecDeque::new(),
            parked_bytes: 0,
            writes: 0,
            writes_answered: 0,
            loads: VecDeque::new(),
            paused: false,
            hidden: false,
            ended: false,
            established_ms: now.wall_ms,
            stats: ConnectionStats::default(),
        };
        if let Some(slot) = self.free.pop() {
            connection.generation = self.connections[slot as usize].generation.wrapping_add(1);
            self.connections[slot as usize] = connection;
            slot
        } else {
            self.connections.push(connection);
            u32::try_from(self.connections.len() - 1).expect("fewer connections than 2^32")
        }
    }

    /// Whether the connection has, or asks for, a session.
    pub fn has_session(&self, slot: u32) -> bool {
        !matches!(self.connections[slot as usize].stage, Stage::Free | Stage::Connect)
    }

    /// Whether slots wait for the next [`Front::drain`] to be free again.
    pub fn has_limbo(&self) -> bool {
        !self.limbo.is_empty()
    }

    /// The connection's session; [`SessionId::NONE`] before it has one.
    pub fn session(&self, slot: u32) -> SessionId {
        self.connections[slot as usize].session
    }

    /// The connection is gone. Its slot is used again after the next [`Front::drain`].
    pub fn closed(&mut self, slot: u32) {
        let id = self.id(slot);
        let connection = &mut self.connections[slot as usize];
        if connection.stage == Stage::Free {
            return;
        }
        if connection.session != SessionId::NONE {
            self.submissions.push(Input::Detach { connection: id, session: connection.session });
        }
        connection.stage = Stage::Free;
        connection.generation = connection.generation.wrapping_add(1);
        connection.parked = VecDeque::new();
        for (_, load) in std::mem::take(&mut connection.loads) {
            self.options.limits.give_back(load);
        }
        connection.identities = Arc::default();
        self.shared.watches.lock().expect("no holder of the watches panics").close(slot, id.generation);
        self.limbo.push(slot);
    }

    /// All connections, for the four-letter words.
    pub fn connections(&self) -> impl Iterator<Item = ConnectionInfo> {
        self.connections.iter().filter(|c| c.stage != Stage::Free && !c.hidden).map(|c| ConnectionInfo {
            peer: c.peer,
            session: c.session,
            timeout_ms: c.timeout_ms,
            established_ms: c.established_ms,
            queued: c.outstanding + c.parked.len(),
            reading: !c.paused,
            stats: c.stats.clone(),
        })
    }

    /// The connection of a four-letter word has had its answer: it is no longer among the
    /// [`Front::connections`], though its peer has not hung up yet.
    pub fn hide(&mut self, slot: u32) {
        self.connections[slot as usize].hidden = true;
    }

    /// The session of each watching slot, for `wchc` and `wchp`.
    pub fn sessions_by_slot(&self) -> Vec<SessionId> {
        self.connections.iter().map(|c| c.session).collect()
    }

    /// Sets the counts of all connections back (`crst`).
    pub fn reset_connection_stats(&mut self) {
        for connection in &mut self.connections {
            connection.stats = ConnectionStats::default();
        }
    }

    /// A frame that is no request was received on the connection (a four-letter word).
    /// `bytes` are those on the wire.
    pub fn count_received(&mut self, slot: u32, bytes: usize) {
        self.connections[slot as usize].stats.received += 1;
        self.stats.received += 1;
        self.stats.received_bytes += bytes as u64;
    }

    fn id(&self, slot: u32) -> ConnId {
        ConnId { front: self.index, slot, generation: self.connections[slot as usize].generation }
    }

    fn living(&mut self, id: ConnId) -> Option<&mut Connection> {
        self.connections.get_mut(id.slot as usize).filter(|c| c.generation == id.generation && c.stage != Stage::Free)
    }

    /// Takes in one frame. `tree` is held for reading, and the inbox has been drained under the
    /// same hold.
    pub fn frame(&mut self, now: Now, tree: &Tree, slot: u32, bytes: &[u8], out: &mut Vec<u8>) -> Flow {
        self.count_received(slot, bytes.len() + LENGTH_BYTES);
        match self.connections[slot as usize].stage {
            Stage::Connect => self.connect(now, tree, slot, bytes, out),
            Stage::Open => self.request(now, tree, slot, bytes, out),
            Stage::Opening | Stage::Closing | Stage::Free => Flow::Pause,
        }
    }

    fn connect(&mut self, now: Now, tree: &Tree, slot: u32, bytes: &[u8], out: &mut Vec<u8>) -> Flow {
        let id = self.id(slot);
        let mut r = Reader::with_max_length(bytes, self.options.max_length);
        let connection = &mut self.connections[slot as usize];
        let peer = JavaAddress(connection.peer);
        if self.service == Service::None {
            info!("Closing the connection from {peer}: ZooKeeperServer not running");
            return Flow::Drop;
        }
        let Ok(request) = ConnectRequest::read(&mut r) else {
            warn!("Closing the connection from {peer}: its first frame is no connect request");
            return Flow::Drop;
        };
        let can_be_read_only = r.boolean().ok();
        connection.knows_read_only = can_be_read_only.is_some();
        self.stats.connects += 1;
        match self.options.limits.admit(now.mono_ms, request.session_id != 0) {
            Ok(deficit) => self.stats.token_deficits.push(deficit),
            Err(_) => {
                self.stats.throttled_connects += 1;
                warn!("Closing the connection from {peer}: there are more connect requests than connection_throttle_tokens allows");
                return Flow::Drop;
            }
        }
        if self.service == Service::ReadOnly && can_be_read_only != Some(true) {
            info!("Refusing session request for not-read-only client {peer}");
            return Flow::Drop;
        }
        if request.last_zxid_seen > tree.last_zxid().0 {
            info!(
                "Refusing session(0x{:x}) request for client {peer} as it has seen zxid 0x{:x} our last zxid is {} client must try another server",
                request.session_id,
                request.last_zxid_seen,
                tree.last_zxid()
            );
            return Flow::Drop;
        }
        let timeout_ms = request.time_out.max(self.options.min_session_timeout_ms).min(self.options.max_session_timeout_ms);
        connection.timeout_ms = timeout_ms;
        let session = SessionId(request.session_id);
        self.stats.revalidations += u64::from(session != SessionId::NONE);
        debug!(
            "Client attempting to {} session: session = 0x{:x}, zxid = 0x{:x}, timeout = {}, address = {peer}",
            if session == SessionId::NONE { "establish new" } else { "renew" },
            request.session_id,
            request.last_zxid_seen,
            request.time_out
        );
        if self.service == Service::ReadOnly {
            match session {
                SessionId::NONE if !self.options.local_sessions => {
                    // As Java, an answer to a request in place of one to a connect request; but it leaves the connection open.
                    info!("Refusing a new session to {peer}: without a leader there are only local ones");
                    return self.refuse_write(tree, slot, 0, Flow::Close, out);
                }
                SessionId::NONE => {}
                session if tree.session_timeout_ms(session).is_some() => {
                    info!("Refusing global session reconnection in RO mode {peer}");
                    return Flow::Drop;
                }
                _ => {}
            }
        }
        let connection = &mut self.connections[slot as usize];
        if session == SessionId::NONE {
            connection.stage = Stage::Opening;
            self.submissions.push(Input::OpenSession { connection: id, timeout_ms });
            return Flow::Pause;
        }
        let is_read_only = self.service == Service::ReadOnly;
        // Java closes the session's other connection before it looks at the password; here a wrong
        // password disturbs nobody.
        if request.passwd != Some(&session.password()[..]) {
            warn!("Incorrect password from {peer} for session {session}");
            info!("Invalid session {session} for client {peer}, probably expired");
            write_connect_response(out, SessionId::NONE, 0, connection.knows_read_only.then_some(is_read_only));
            connection.stage = Stage::Closing;
            self.sent(slot);
            return Flow::Close;
        }
        connection.stage = Stage::Opening;
        connection.session = session;
        self.submissions.push(Input::ReopenSession { connection: id, session, timeout_ms });
        Flow::Pause
    }

    fn request(&mut self, now: Now, tree: &Tree, slot: u32, bytes: &[u8], out: &mut Vec<u8>) -> Flow {
        let mut r = Reader::with_max_length(bytes, self.options.max_length);
        let Ok(RequestHeader { xid, kind }) = RequestHeader::read(&mut r) else {
            let connection = &self.connections[slot as usize];
            warn!("Close of session {}: a frame from {} is too short for a request", connection.session, JavaAddress(connection.peer));
            return Flow::Drop;
        };
        let op = OpCode(kind);
        let body = r.rest();
        if self.service == Service::ReadOnly && self.is_refused_to_readers(op) {
            self.touch(now, slot);
            return self.refuse_write(tree, slot, xid, Flow::Continue, out);
        }
        if is_read(op) && !(op == OpCode::SYNC && self.options.syncs) {
            self.touch(now, slot);
            let connection = &mut self.connections[slot as usize];
            if connection.outstanding > 0 || !connection.parked.is_empty() {
                let identities = connection.identities.clone();
                connection.parked_bytes += body.len();
                connection.parked.push_back(Parked { xid, op, body: body.to_vec(), identities, received_ms: now.mono_ms });
                return self.credit(slot);
            }
            let start = out.len();
            serve(
                &self.shared,
                &self.schemes,
                self.options.max_length,
                tree,
                slot,
                connection.session,
                &connection.identities,
                (xid, op, body),
                &mut self.stats.reads,
                out,
            );
            let answers = Answered { xid, op, zxid: tree.last_zxid().0, received_ms: now.mono_ms, write: false };
            self.answered(slot, now, answers, out.len() - start);
            return Flow::Continue;
        }
        match op {
            op if is_write(op) || matches!(op, OpCode::SYNC | OpCode::CLOSE_SESSION) => {
                self.touch(now, slot);
                self.submit(now, slot, xid, op, body)
            }
            OpCode::AUTH => self.auth(slot, xid, &mut r, out),
            OpCode::SASL => self.sasl(slot, xid, &mut r, out),
            _ => {
                warn!("Received packet at server of unknown type {kind}");
                frame::header(out, xid, -1, ErrorCode::UNIMPLEMENTED);
                self.stats.size(HEADER_BYTES);
                self.sent(slot);
                self.connections[slot as usize].stage = Stage::Closing;
                Flow::Close
            }
        }
    }

    /// Java refuses these before it has looked at them.
    fn is_refused_to_readers(&self, op: OpCode) -> bool {
        let is_end = op == OpCode::CLOSE_SESSION && !self.options.local_sessions;
        is_end || is_write(op) || matches!(op, OpCode::SYNC | OpCode::DELETE_CONTAINER)
    }

    fn refuse_write(&mut self, tree: &Tree, slot: u32, xid: i32, flow: Flow, out: &mut Vec<u8>) -> Flow {
        frame::header(out, xid, tree.last_zxid().0, ErrorCode::NOT_READ_ONLY);
        self.stats.size(HEADER_BYTES);
        self.sent(slot);
        if flow == Flow::Close {
            self.connections[slot as usize].stage = Stage::Closing;
        }
        flow
    }

    fn submit(&mut self, now: Now, slot: u32, xid: i32, op: OpCode, body: &[u8]) -> Flow {
        let id = self.id(slot);
        let connection = &mut self.connections[slot as usize];
        let Some(load) = self.options.limits.take(body.len() + REQUEST_HEADER_BYTES) else {
            warn!(
                "Close of session {}: a request of {} bytes from {} is one too many beyond largeRequestMaxBytes",
                connection.session,
                body.len() + REQUEST_HEADER_BYTES,
                JavaAddress(connection.peer)
            );
            self.stats.large_rejected += 1;
            return Flow::Drop;
        };
        connection.writes += 1;
        if !load.is_nothing() {
            connection.loads.push_back((connection.writes, load));
        }
        connection.parked_bytes = 0;
        connection.outstanding += 1;
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        if let Some(audit) = &mut self.audit {
            audit.submitted(id, connection.session, &connection.identities, connection.peer.ip(), op, body);
        }
        self.submissions.push(Input::Write(Write {
            connection: id,
            session: connection.session,
            xid,
            op,
            body: body.to_vec(),
            identities: connection.identities.clone(),
            before: std::mem::take(&mut connection.parked).into(),
            received_ms: now.mono_ms,
        }));
        if op == OpCode::CLOSE_SESSION {
            connection.stage = Stage::Closing;
            return Flow::Pause;
        }
        self.credit(slot)
    }

    /// A connection that waits for something of its own is not read while too much is in flight.
    fn credit(&mut self, slot: u32) -> Flow {
        let connection = &mut self.connections[slot as usize];
        let mine = connection.outstanding + connection.parked.len();
        let limit = self.options.outstanding_limit;
        let crowded = self.in_flight.load(Ordering::Relaxed) > limit || self.options.limits.crowded();
        let parks_too_much = connection.parked.len() >= PARKED_LIMIT || connection.parked_bytes > PARKED_LIMIT_BYTES;
        if mine < limit && !crowded && !parks_too_much {
            return Flow::Continue;
        }
        if !connection.paused {
            connection.paused = true;
            self.paused.push(slot);
        }
        Flow::Pause
    }

    fn auth(&mut self, slot: u32, xid: i32, r: &mut Reader<'_>, out: &mut Vec<u8>) -> Flow {
        let connection = &mut self.connections[slot as usize];
        let Ok(packet) = AuthPacket::read(r) else {
            warn!("Close of session {}: an auth packet from {} cannot be decoded", connection.session, JavaAddress(connection.peer));
            return Flow::Drop;
        };
        info!("got auth packet {}", JavaAddress(connection.peer));
        let scheme = packet.scheme.as_deref().unwrap_or_default();
        let outcome = self.schemes.authenticate(scheme, packet.auth, connection.peer.ip(), Arc::make_mut(&mut connection.identities));
        let (session, peer) = (connection.session, JavaAddress(connection.peer));
        match outcome {
            AuthOutcome::Ok => {
                info!("Session {session}: auth success for scheme {scheme} and address {peer}");
                frame::header(out, xid, 0, ErrorCode::OK);
                self.stats.size(HEADER_BYTES);
                self.sent(slot);
                return Flow::Continue;
            }
            AuthOutcome::UnknownScheme => warn!("No authentication provider for scheme: {scheme}"),
            AuthOutcome::Failed => warn!("Authentication failed for scheme: {scheme}"),
            AuthOutcome::Close => return Flow::Drop,
        }
        frame::header(out, xid, 0, ErrorCode::AUTH_FAILED);
        self.stats.size(HEADER_BYTES);
        self.sent(slot);
        self.connections[slot as usize].stage = Stage::Closing;
        Flow::Close
    }

    /// Without a login section a Java server has no SASL server either, and says yes to everything
    /// without giving an identity for it.
    fn sasl(&mut self, slot: u32, xid: i32, r: &mut Reader<'_>, out: &mut Vec<u8>) -> Flow {
        if !matches!(GetSaslRequest::read(r), Ok(GetSaslRequest { token: Some(_) })) {
            let connection = &self.connections[slot as usize];
            warn!("Close of session {}: a SASL packet from {} cannot be decoded", connection.session, JavaAddress(connection.peer));
            return Flow::Drop;
        }
        frame::reply(out, xid, 0, |out| SetSaslResponse { token: None }.write(out));
        self.sent(slot);
        Flow::Continue
    }

    fn touch(&mut self, now: Now, slot: u32) {
        let connection = &mut self.connections[slot as usize];
        let bucket_ms = deadline(self.options.tick_ms, now.mono_ms, connection.timeout_ms);
        if bucket_ms > connection.touched_ms {
            connection.touched_ms = bucket_ms;
            self.submissions.push(Input::Touch { session: connection.session, timeout_ms: connection.timeout_ms });
        }
    }

    fn sent(&mut self, slot: u32) {
        self.connections[slot as usize].stats.sent += 1;
        self.stats.sent += 1;
    }

    /// A request was answered with a frame of `bytes`, its length field included.
    fn answered(&mut self, slot: u32, now: Now, answers: Answered, bytes: usize) {
        let bytes = bytes.saturating_sub(LENGTH_BYTES);
        self.stats.response_bytes += bytes as u64;
        self.stats.size(bytes);
        self.done(slot, now, answers);
    }

    fn done(&mut self, slot: u32, now: Now, answers: Answered) {
        let latency_ms = now.mono_ms.saturating_sub(answers.received_ms);
        let stats = &mut self.connections[slot as usize].stats;
        stats.sent += 1;
        stats.last_op = Some(answers.op);
        // Special xids (pings, SetWatches) are no operation of the client's.
        if answers.xid >= 0 {
            stats.last_cxid = i64::from(answers.xid);
        }
        stats.last_zxid = answers.zxid;
        stats.last_response_ms = now.mono_ms;
        stats.last_latency_ms = latency_ms;
        stats.latency.add(latency_ms);
        self.stats.sent += 1;
        self.stats.latency.add(latency_ms);
        self.stats.answered.push((answers.op, latency_ms));
    }

    /// Carries out what the inbox holds, and then the reads that waited for it. `tree` is held for
    /// reading.
    pub fn drain(&mut self, now: Now, tree: &Tree, outlets: &mut impl Outlets) {
        let mut inbox = std::mem::take(&mut self.spare);
        std::mem::swap(&mut inbox, &mut self.shared.inbox.lock().expect("no holder of an inbox panics"));
        for item in inbox.items.drain(..) {
            self.item(now, item, &inbox.bytes, outlets);
        }
        // Only now: the tree is ahead of every event that was still in the inbox. But if the inbox also said that nobody is
        // served any more, it may be an earlier one that has been put in its place.
        for slot in std::mem::take(&mut self.runnable) {
            let connection = &self.connections[slot as usize];
            if connection.outstanding == 0 && !connection.ended {
                self.run_parked(now, tree, slot, outlets.out(slot));
            }
        }
        inbox.bytes.clear();
        // One burst of large replies must not keep its memory for good.
        inbox.bytes.shrink_to(1 << 20);
        self.spare = inbox;
        self.free.append(&mut self.limbo);
        self.resume_paused(outlets);
    }

    fn item(&mut self, now: Now, item: Item, bytes: &[u8], outlets: &mut impl Outlets) {
        match item {
            Item::Reply { connection: id, bytes: range, answers } => {
                if answers.write {
                    self.in_flight.fetch_sub(1, Ordering::Relaxed);
                    if let Some(audit) = &mut self.audit {
                        audit.answered(id, &bytes[range.clone()]);
                    }
                }
                // Behind the end of its session a connection is told nothing: it has no watches any more, and would see what
                // they should have told first.
                if self.living(id).is_none_or(|connection| connection.ended) {
                    self.stats.stale_replies += 1;
                    return;
                }
                let bytes = &bytes[range];
                outlets.out(id.slot).extend_from_slice(bytes);
                self.answered(id.slot, now, answers, bytes.len());
                let connection = &mut self.connections[id.slot as usize];
                if answers.write {
                    connection.outstanding -= 1;
                    connection.writes_answered += 1;
                    if connection.loads.front().is_some_and(|(number, _)| *number == connection.writes_answered) {
                        let (_, load) = connection.loads.pop_front().expect("it has a first");
                        self.options.limits.give_back(load);
                    }
                }
                if answers.op == OpCode::CLOSE_SESSION {
                    connection.session = SessionId::NONE;
                    outlets.close(id.slot);
                } else if connection.outstanding == 0 && !connection.parked.is_empty() {
                    self.runnable.push(id.slot);
                }
            }
            Item::Event { kind, path, zxid, acl, watchers } => {
                self.scratch.clear();
                frame::notification(&mut self.scratch, zxid, kind, &path);
                for slot in watchers {
                    let connection = &self.connections[slot as usize];
                    // What comes after a connection's end may be an earlier tree that is catching up.
                    if connection.stage == Stage::Free
                        || connection.ended
                        || !self.schemes.permits(&acl, perms::READ, &connection.identities)
                    {
                        continue;
                    }
                    outlets.out(slot).extend_from_slice(&self.scratch);
                    let bytes = self.scratch.len() - LENGTH_BYTES;
                    self.stats.watch_bytes += bytes as u64;
                    self.stats.size(bytes);
                    self.sent(slot);
                }
            }
            Item::Session { connection: id, session, timeout_ms, created_ms } => {
                self.session_item(now, id, session, timeout_ms, created_ms, outlets);
            }
            Item::Close { connection: id } => {
                if let Some(connection) = self.living(id) {
                    (connection.stage, connection.ended) = (Stage::Closing, true);
                    outlets.close(id.slot);
                }
            }
            Item::Forgotten { writes } => {
                self.in_flight.fetch_sub(writes, Ordering::Relaxed);
            }
            Item::Serve(service) => {
                self.service = service;
                if service != Service::None {
                    return;
                }
                for (slot, connection) in self.connections.iter_mut().enumerate() {
                    // Whoever has no session yet is told when it asks for one; whoever has asked for the end gets no answer.
                    if matches!(connection.stage, Stage::Opening | Stage::Open | Stage::Closing) {
                        (connection.stage, connection.ended) = (Stage::Closing, true);
                        outlets.close(slot as u32);
                    }
                }
            }
        }
    }

    fn session_item(
        &mut self,
        now: Now,
        id: ConnId,
        session: SessionId,
        timeout_ms: i32,
        created_ms: Option<u64>,
        outlets: &mut impl Outlets,
    ) {
        let (tick_ms, valid) = (self.options.tick_ms, session != SessionId::NONE);
        let is_read_only = self.service == Service::ReadOnly;
        let Some(connection) = self.living(id) else {
            if valid {
                self.submissions.push(Input::Detach { connection: id, session });
            }
            return;
        };
        write_connect_response(outlets.out(id.slot), session, timeout_ms, connection.knows_read_only.then_some(is_read_only));
        if valid {
            debug!("Established session {session} with negotiated timeout {timeout_ms} for client {}", JavaAddress(connection.peer));
            connection.stage = Stage::Open;
            connection.session = session;
            connection.timeout_ms = timeout_ms;
            connection.touched_ms = deadline(tick_ms, now.mono_ms, timeout_ms);
            outlets.resume(id.slot);
        } else {
            info!("Invalid session {} for client {}, probably expired", connection.session, JavaAddress(connection.peer));
            connection.session = SessionId::NONE;
            connection.stage = Stage::Closing;
            outlets.close(id.slot);
        }
        // As in Java, only a new session counts as a request.
        match created_ms {
            Some(received_ms) => {
                let answers = Answered { xid: 0, op: OpCode::CREATE_SESSION, zxid: 0, received_ms, write: false };
                self.done(id.slot, now, answers);
            }
            None => self.sent(id.slot),
        }
    }

    /// Answers reads that waited for a write, until enough bytes are on their way.
    fn run_parked(&mut self, now: Now, tree: &Tree, slot: u32, out: &mut Vec<u8>) {
        let session = self.connections[slot as usize].session;
        while out.len() <= BURST_BYTES {
            let Some(Parked { xid, op, body, identities, received_ms }) = self.connections[slot as usize].parked.pop_front() else {
                self.connections[slot as usize].parked_bytes = 0;
                return;
            };
            let start = out.len();
            let reads = &mut self.stats.reads;
            serve(&self.shared, &self.schemes, self.options.max_length, tree, slot, session, &identities, (xid, op, &body), reads, out);
            let answers = Answered { xid, op, zxid: tree.last_zxid().0, received_ms, write: false };
            self.answered(slot, now, answers, out.len() - start);
        }
        // A connection with reads left is not read, so that nothing overtakes them.
        let connection = &mut self.connections[slot as usize];
        if !connection.parked.is_empty() && !connection.paused {
            connection.paused = true;
            self.paused.push(slot);
        }
    }

    /// Whether answers wait for room: nothing else holds them up, and [`Front::work_off`] makes them.
    pub fn has_backlog(&self, slot: u32) -> bool {
        let connection = &self.connections[slot as usize];
        connection.outstanding == 0 && !connection.parked.is_empty() && connection.stage == Stage::Open
    }

    /// Goes on with a backlog, now that earlier answers have been sent. `tree` is held for reading,
    /// and the inbox has been drained under the same hold.
    pub fn work_off(&mut self, now: Now, tree: &Tree, slot: u32, outlets: &mut impl Outlets) {
        self.run_parked(now, tree, slot, outlets.out(slot));
        self.resume_paused(outlets);
    }

    /// The chance that a connect request is turned away now although there are tokens.
    pub fn connection_drop_chance(&self) -> f64 {
        self.options.limits.drop_chance()
    }

    fn resume_paused(&mut self, outlets: &mut impl Outlets) {
        let limit = self.options.outstanding_limit;
        let crowded = self.in_flight.load(Ordering::Relaxed) > limit || self.options.limits.crowded();
        let connections = &mut self.connections;
        self.paused.retain(|slot| {
            let connection = &mut connections[*slot as usize];
            if connection.stage == Stage::Free {
                return false;
            }
            let mine = connection.outstanding + connection.parked.len();
            // Half of the limit, so that a connection is not stopped and started for each frame.
            let go = mine == 0
                || (connection.outstanding > 0
                    && !crowded
                    && mine <= limit / 2
                    && connection.parked.len() <= PARKED_LIMIT / 2
                    && connection.parked_bytes <= PARKED_LIMIT_BYTES / 2);
            if go {
                connection.paused = false;
                outlets.resume(*slot);
            }
            !go
        });
    }
}

#[allow(clippy::too_many_arguments, reason = "the parts of a front that a read needs, borrowed one by one")]
fn serve(
    shared: &FrontShared,
    schemes: &Schemes,
    max_length: i32,
    tree: &Tree,
    watcher: u32,
    session: SessionId,
    identities: &Identities,
    (xid, op, body): (i32, OpCode, &[u8]),
    meter: &mut ReadLog,
    out: &mut Vec<u8>,
) {
    Reading { tree, watches: WatchesAccess::Shared(&shared.watches), watcher, session, identities, schemes, meter }
        .serve(xid, op, body, max_length, out);
}

fn write_connect_response(out: &mut Vec<u8>, session: SessionId, time_out: i32, is_read_only: Option<bool>) {
    let password = if session == SessionId::NONE { [0; 16] } else { session.password() };
    frame::frame(out, |out| {
        ConnectResponse { protocol_version: 0, time_out, session_id: session.0, passwd: Some(&password) }.write(out);
        if let Some(is_read_only) = is_read_only {
            out.boolean(is_read_only);
        }
    });
}
