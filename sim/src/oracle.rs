//! What must be there after every recovery: everything that any reply showed, byte for byte, once, in order, and
//! nothing that was never proposed or was refused.

use crate::client::Told;
use crate::hearing::Hearing;
use crate::machine::Start;
use crate::model::Model;
use crate::process::Event;
use bytes::Bytes;
use oxkeeper_proto::txn::LoggedTxn;
use oxkeeper_proto::{OpCode, SessionId, Zxid};
use oxkeeper_tree::{NoopSink, Tree};
use std::collections::{BTreeMap, BTreeSet};

const SYSTEM_ERROR: i32 = -1;
const SESSION_EXPIRED: i32 = -112;
const SESSION_MOVED: i32 = -118;

/// See the module.
pub struct Oracle {
    /// Every transaction of the history as it was proposed, by zxid; the tail may not be durable.
    history: BTreeMap<i64, Bytes>,
    /// The highest zxid that anybody outside was shown.
    pub shown: i64,
    /// Session and cxid of writes that got an error because the log had no room.
    refused: BTreeSet<(i64, i32)>,
    /// Sessions whose end was refused: they may have been denied while it was on its way.
    refused_ends: BTreeSet<i64>,
    /// The history up to the last recovery, applied one by one and never saved.
    reference: Tree,
    /// All of that history.
    kept: Vec<(i64, Bytes)>,
    /// Session and cxid of everything in `reference`.
    done: BTreeSet<(i64, i32)>,
    /// Writes that clients were told of.
    pub acknowledged: usize,
    /// Writes that got an error because the log had no room.
    pub refusals: usize,
}

impl Oracle {
    /// Of an empty directory.
    pub fn new(reference: Tree) -> Self {
        Self {
            history: BTreeMap::new(),
            shown: 0,
            refused: BTreeSet::new(),
            refused_ends: BTreeSet::new(),
            reference,
            kept: Vec::new(),
            done: BTreeSet::new(),
            acknowledged: 0,
            refusals: 0,
        }
    }

    /// The process did something.
    pub fn event(&mut self, event: Event) {
        match event {
            Event::Proposed(zxid, payload) => {
                assert!(self.history.insert(zxid.0, payload).is_none(), "{zxid} was given out twice");
            }
            Event::Refused(from) => {
                assert!(from.0 > self.shown, "{from} was refused, {:#x} had been shown", self.shown);
                let gone = self.history.split_off(&from.0);
                let headers = gone.values().map(|payload| LoggedTxn::read(payload).expect("a transaction").header);
                self.refused_ends.extend(headers.filter(|header| header.kind == OpCode::CLOSE_SESSION.0).map(|header| header.client_id));
            }
        }
    }

    /// A client was told something.
    pub fn told(&mut self, told: Told) {
        match told {
            Told::Write { session, xid, error: SYSTEM_ERROR, .. } => {
                self.refusals += 1;
                self.refused.insert((session.0, xid));
            }
            // Answers that spend no transaction.
            Told::Write { zxid, error: SESSION_EXPIRED | SESSION_MOVED, .. } => self.shown = self.shown.max(zxid),
            Told::Write { session, xid, zxid, .. } => {
                self.acknowledged += 1;
                let payload = self.history.get(&zxid).unwrap_or_else(|| panic!("{zxid:#x} was acknowledged and never proposed"));
                assert_eq!(name(payload), (session.0, xid), "{zxid:#x} was acknowledged to another");
                self.shown = self.shown.max(zxid);
            }
            Told::Zxid(zxid) => self.shown = self.shown.max(zxid),
            Told::Session(session) => {
                // One from before the last recovery is in the reference.
                if let Some(zxid) = self.find(session, OpCode::CREATE_SESSION) {
                    self.shown = self.shown.max(zxid);
                }
            }
            Told::NoSession(session) => {
                // Only one that ended or was never opened durably; the end may be in the reference or after it.
                let lives = self.reference.session_timeout_ms(session).is_some();
                assert!(!lives || self.has_ended(session) || self.refused_ends.contains(&session.0), "{session} lives and was denied");
            }
        }
    }

    fn has_ended(&self, session: SessionId) -> bool {
        self.find(session, OpCode::CLOSE_SESSION).is_some()
    }

    /// The zxid of this transaction of a session since the last recovery.
    fn find(&self, session: SessionId, kind: OpCode) -> Option<i64> {
        let is_it = |payload: &Bytes| {
            let header = LoggedTxn::read(payload).expect("a transaction").header;
            header.client_id == session.0 && header.kind == kind.0
        };
        self.history.iter().find(|(_, payload)| is_it(payload)).map(|(zxid, _)| *zxid)
    }

    /// A process has recovered: what it found becomes the history.
    ///
    /// # Panics
    /// When something is missing, invented, or different.
    pub fn recovered(&mut self, start: &Start, tree: &Tree) {
        let last = start.last.0;
        assert!(last >= self.shown, "{:#x} had been shown, the history ends with {last:#x}", self.shown);
        let mut next = start.snapshot;
        for (zxid, payload) in &start.records {
            next = next.next();
            assert_eq!(*zxid, next, "records are consecutive");
            // What lies before the last recovery has been compared and dropped.
            if let Some(proposed) = self.history.get(&zxid.0) {
                assert!(proposed == payload, "{zxid} has other bytes than were proposed");
            } else {
                assert!(*zxid <= self.reference.last_zxid(), "{zxid} was never proposed");
            }
        }
        assert_eq!(next, start.last, "the last record is the end of the history");
        assert_eq!(start.mismatches, 0, "digests agree");
        let mut lost = self.history.split_off(&(last + 1));
        lost.clear();
        for (zxid, payload) in std::mem::take(&mut self.history) {
            let name = name(&payload);
            assert!(!self.refused.contains(&name), "{zxid:#x} was refused and is there");
            assert!(name.1 == 0 || self.done.insert(name), "session {:#x} cxid {} is there twice", name.0, name.1);
            let logged = LoggedTxn::read(&payload).expect("a transaction");
            self.reference.apply(&logged, &mut NoopSink);
            self.kept.push((zxid, payload));
        }
        self.shown = last;
        assert_eq!(self.reference.last_zxid(), Zxid(last), "a history without holes");
        self.compare(tree);
    }

    /// The history up to the last recovery on a naive tree, and what clients have heard compared with it.
    pub fn replay(&self, heard: &[&Hearing]) {
        let txns = self.kept.iter().map(|(zxid, payload)| (*zxid, payload));
        Model::replay(txns, heard).compare(&self.reference);
    }

    fn compare(&self, tree: &Tree) {
        assert_eq!(tree.last_zxid(), self.reference.last_zxid());
        assert_eq!(tree.digest(), self.reference.digest(), "the digest at {}", tree.last_zxid());
        let sessions = |tree: &Tree| tree.sessions().collect::<BTreeSet<_>>();
        assert_eq!(sessions(tree), sessions(&self.reference));
        for (session, _) in tree.sessions() {
            let ephemerals = |tree: &Tree| tree.ephemerals(session).collect::<BTreeSet<_>>();
            assert_eq!(ephemerals(tree), ephemerals(&self.reference));
        }
        self.compare_node(tree, "/");
    }

    fn compare_node(&self, tree: &Tree, path: &str) {
        let (mine, theirs) = (self.reference.get(path).expect("walked"), tree.get(path));
        let Some(theirs) = theirs else { panic!("{path} is missing") };
        assert_eq!(mine.stat(), theirs.stat(), "{path}");
        assert_eq!(mine.data(), theirs.data(), "{path}");
        let names = |node: oxkeeper_tree::Node<'_>| node.children().map(str::to_owned).collect::<BTreeSet<_>>();
        let children = names(mine);
        assert_eq!(children, names(theirs), "{path}");
        for child in children {
            let path = if path == "/" { format!("/{child}") } else { format!("{path}/{child}") };
            self.compare_node(tree, &path);
        }
    }
}

/// Session and cxid of a transaction.
fn name(payload: &[u8]) -> (i64, i32) {
    let header = LoggedTxn::read(payload).expect("a transaction").header;
    (header.client_id, header.cxid)
}
