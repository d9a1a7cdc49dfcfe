//! Applying: committed transactions to the tree, their events and replies to the fronts.
//!
//! Whoever applies holds the tree for writing. Reads that stand between two writes of a connection
//! run here, between those two.

use crate::frame;
use crate::inbox::{Answered, FrontShared, Inbox, Item};
use crate::meter::{Meter, note_writes};
use crate::read::{Reading, WatchesAccess};
use crate::request::{ConnId, Parked};
use bytes::Bytes;
use oxkeeper_auth::Schemes;
use oxkeeper_proto::records::{GetDataResponse, MultiHeader, Stat, SyncRequest, SyncResponse};
use oxkeeper_proto::txn::{LoggedTxn, Txn};
use oxkeeper_proto::{ErrorCode, EventType, OpCode, Reader, Record, SessionId, Write, Zxid};
use oxkeeper_tree::watches::Watches;
use oxkeeper_tree::{Applied, Change, ChangeSink, DigestMismatch, OpResult, SubResult, Tree};
use std::sync::MutexGuard;

/// Who waits for a write.
#[derive(Debug)]
pub struct Origin {
    /// The connection.
    pub connection: ConnId,
    /// Its session.
    pub session: SessionId,
    /// The client's number.
    pub xid: i32,
    /// The op.
    pub op: OpCode,
    /// Reads that come first.
    pub before: Vec<Parked>,
    /// When it came in, milliseconds of the monotonic clock.
    pub received_ms: u64,
}

/// What a place in the order of commits stands for.
#[derive(Debug)]
pub enum Outcome {
    /// A committed transaction.
    Txn {
        /// Its zxid.
        zxid: Zxid,
        /// Its bytes.
        payload: Bytes,
    },
    /// No transaction: only an answer that keeps its place.
    Answer(ErrorCode),
    /// The same, of a write that was never put into the order: its answer carries no zxid.
    Refusal(ErrorCode),
    /// No transaction: `/zookeeper/config` is to show this configuration, unless it shows a later one.
    Config {
        /// The version of the configuration.
        version: Zxid,
        /// It.
        text: String,
        /// The node's mtime, milliseconds since 1970.
        time_ms: i64,
    },
    /// No transaction: a sync is done.
    Synced {
        /// Its request, which names the path that the answer repeats.
        body: Bytes,
    },
}

/// One place in the order of commits.
#[derive(Debug)]
pub struct Commit {
    /// What to apply.
    pub outcome: Outcome,
    /// Who waits.
    pub origin: Option<Origin>,
    /// A connection to be closed after it: that of a session that ended.
    pub close: Option<ConnId>,
}

/// What applying a batch did, for metrics and wake-ups.
#[derive(Debug, Default)]
pub struct Effects {
    /// Fronts that have something in their inbox now, one bit each.
    pub fronts: u64,
    /// Transactions whose announced digest was not the tree's.
    pub digest_mismatches: Vec<DigestMismatch>,
}

struct Hands<'a> {
    fronts: Vec<(MutexGuard<'a, Watches>, MutexGuard<'a, Inbox>)>,
    touched: u64,
    /// The session that ends with the transaction that is being applied.
    ending: Option<SessionId>,
    meter: &'a mut dyn Meter,
}

impl ChangeSink for Hands<'_> {
    fn change(&mut self, zxid: Zxid, change: &Change<'_>) {
        if let (Some(session), Change::Deleted { path, .. }) = (self.ending, change) {
            self.meter.ephemeral_gone(session, path);
        }
        // Over all fronts: a change is one to its watchers, wherever they are connected.
        let mut told = [(EventType::NodeCreated, 0); 4];
        for (index, (watches, inbox)) in self.fronts.iter_mut().enumerate() {
            if watches.is_empty() {
                continue;
            }
            let touched = &mut self.touched;
            watches.fire(change, &mut |fired| {
                *touched |= 1 << index;
                let place = told.iter_mut().find(|(kind, count)| *count == 0 || *kind == fired.kind).expect("there are four kinds");
                *place = (fired.kind, place.1 + fired.watchers.len());
                inbox.items.push(Item::Event {
                    kind: fired.kind,
                    path: fired.path.into(),
                    zxid: zxid.0,
                    acl: fired.acl.clone(),
                    watchers: fired.watchers.to_vec(),
                });
            });
        }
        for (kind, watchers) in told.into_iter().filter(|(_, watchers)| *watchers > 0) {
            self.meter.told(kind, watchers);
        }
    }
}

/// Applies what is committed, in order.
///
/// # Panics
/// When a committed payload is no transaction: it was made or checked by this program.
pub fn apply(
    tree: &mut Tree,
    fronts: &[&FrontShared],
    commits: Vec<Commit>,
    schemes: &Schemes,
    max_length: i32,
    meter: &mut dyn Meter,
) -> Effects {
    let mut effects = Effects::default();
    let mut hands = Hands {
        fronts: fronts
            .iter()
            .map(|f| (f.watches.lock().expect("no holder of the watches panics"), f.inbox.lock().expect("no holder of an inbox panics")))
            .collect(),
        touched: 0,
        ending: None,
        meter,
    };
    for Commit { outcome, mut origin, close } in commits {
        if let Some(origin) = &mut origin {
            run_parked(tree, &mut hands, origin, schemes, max_length);
        }
        match outcome {
            Outcome::Txn { zxid, payload } => {
                let logged = LoggedTxn::read(&payload).expect("a committed payload is a transaction");
                hands.ending = (logged.header.kind == OpCode::CLOSE_SESSION.0).then_some(SessionId(logged.header.client_id));
                let applied = tree.apply(&logged, &mut hands);
                effects.digest_mismatches.extend(applied.digest_mismatch);
                hands.meter.applied(logged.header.time);
                if applied.err == ErrorCode::OK {
                    note_writes(hands.meter, &logged.txn);
                }
                if let Some(origin) = &origin {
                    answer(&mut hands, origin, zxid, &logged, &applied);
                }
            }
            Outcome::Answer(err) => {
                if let Some(origin) = &origin {
                    let zxid = tree.last_zxid().0;
                    hands.reply(origin, zxid, |out| frame::header(out, origin.xid, zxid, err));
                }
            }
            Outcome::Refusal(err) => {
                if let Some(origin) = &origin {
                    hands.reply(origin, 0, |out| frame::header(out, origin.xid, 0, err));
                }
            }
            Outcome::Config { version, text, time_ms } => tree.show_newer_config(&text, version, time_ms, &mut hands),
            Outcome::Synced { body } => {
                if let Some(origin) = &origin {
                    let zxid = tree.last_zxid().0;
                    let path = SyncRequest::read(&mut Reader::new(&body)).ok().and_then(|request| request.path);
                    hands.reply(origin, zxid, |out| frame::reply(out, origin.xid, zxid, |out| SyncResponse { path }.write(out)));
                }
            }
        }
        if let Some(connection) = close {
            hands.push(connection.front, Item::Close { connection });
        }
    }
    effects.fronts = hands.touched;
    effects
}

impl Hands<'_> {
    fn push(&mut self, front: u16, item: Item) {
        self.touched |= 1 << front;
        self.fronts[usize::from(front)].1.items.push(item);
    }

    fn reply(&mut self, origin: &Origin, zxid: i64, fill: impl FnOnce(&mut Vec<u8>)) {
        let front = origin.connection.front;
        self.touched |= 1 << front;
        let answers = Answered { xid: origin.xid, op: origin.op, zxid, received_ms: origin.received_ms, write: true };
        self.fronts[usize::from(front)].1.reply(origin.connection, answers, fill);
    }
}

fn run_parked(tree: &Tree, hands: &mut Hands<'_>, origin: &mut Origin, schemes: &Schemes, max_length: i32) {
    let connection = origin.connection;
    for parked in std::mem::take(&mut origin.before) {
        let (watches, inbox) = &mut hands.fronts[usize::from(connection.front)];
        if watches.is_closed(connection.slot, connection.generation) {
            // Its watches would be those of the next connection with this slot.
            return;
        }
        hands.touched |= 1 << connection.front;
        let mut reading = Reading {
            tree,
            watches: WatchesAccess::Held(watches),
            watcher: connection.slot,
            session: origin.session,
            identities: &parked.identities,
            schemes,
            meter: hands.meter,
        };
        let zxid = tree.last_zxid().0;
        let answers = Answered { xid: parked.xid, op: parked.op, zxid, received_ms: parked.received_ms, write: false };
        inbox.reply(connection, answers, |out| reading.serve(parked.xid, parked.op, &parked.body, max_length, out));
    }
}

fn answer(hands: &mut Hands<'_>, origin: &Origin, zxid: Zxid, logged: &LoggedTxn<'_>, applied: &Applied) {
    if let Txn::CreateSession(txn) = &logged.txn {
        let (session, created_ms) = (SessionId(logged.header.client_id), Some(origin.received_ms));
        let item = Item::Session { connection: origin.connection, session, timeout_ms: txn.time_out, created_ms };
        hands.push(origin.connection.front, item);
        return;
    }
    let err = applied.err;
    hands.reply(origin, zxid.0, |out| match &applied.result {
        // A multi that failed says so for each of its ops.
        OpResult::Multi(results) => frame::reply(out, origin.xid, zxid.0, |out| write_multi(out, &logged.txn, results)),
        _ if err != ErrorCode::OK => frame::header(out, origin.xid, zxid.0, err),
        OpResult::Nothing => frame::header(out, origin.xid, zxid.0, ErrorCode::OK),
        OpResult::Stat(stat) => frame::reply(out, origin.xid, zxid.0, |out| write_result(out, origin.op, &logged.txn, stat)),
    });
}

/// What `create` answers with is the path alone, what the other creates do both, sets the Stat, and `reconfig` what a
/// read of the configuration would.
fn write_result(out: &mut Vec<u8>, op: OpCode, txn: &Txn<'_>, stat: &Stat) {
    let path = match txn {
        Txn::Create(t) | Txn::Create2(t) => &t.path,
        Txn::CreateContainer(t) => &t.path,
        Txn::CreateTtl(t) => &t.path,
        Txn::Reconfig(t) => return GetDataResponse { data: t.data, stat: *stat }.write(out),
        _ => return stat.write(out),
    };
    out.ustring(path.as_deref());
    if op != OpCode::CREATE {
        stat.write(out);
    }
}

fn write_multi(out: &mut Vec<u8>, txn: &Txn<'_>, results: &[SubResult]) {
    let Txn::Multi(txns) = txn else { unreachable!("only a multi has many results") };
    for (txn, result) in txns.iter().zip(results) {
        if result.op == OpCode::ERROR {
            MultiHeader { kind: OpCode::ERROR.0, done: false, err: result.err.0 }.write(out);
            out.int(result.err.0);
            continue;
        }
        let kind = match result.op {
            OpCode::CREATE_TTL | OpCode::CREATE_CONTAINER => OpCode::CREATE2,
            OpCode::DELETE_CONTAINER => OpCode::DELETE,
            op => op,
        };
        MultiHeader { kind: kind.0, done: false, err: 0 }.write(out);
        if let Some(stat) = &result.stat {
            write_result(out, kind, txn, stat);
        }
    }
    MultiHeader { kind: -1, done: true, err: -1 }.write(out);
}
