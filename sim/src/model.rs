//! A second, naive tree: every path a row of a map, every number counted by itself, nothing taken from `crates/tree`.
//! The committed transactions are replayed on it in zxid order; what clients have read, and what their watches have told
//! them, must be what it says.

use crate::hearing::{Answer, Hearing, Read, Stretch, Table, Watch};
use crate::trace::trace;
use bytes::Bytes;
use oxkeeper_proto::EventType;
use oxkeeper_proto::records::Stat;
use oxkeeper_proto::txn::{LoggedTxn, Txn};
use oxkeeper_tree::Tree;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

/// Beneath it the server writes by itself.
const OWN: &str = "/zookeeper";

struct Node {
    data: Option<Vec<u8>>,
    stat: Stat,
}

/// A change, as watches tell of it.
struct Change {
    zxid: i64,
    kind: EventType,
    path: String,
}

/// See the module.
#[derive(Default)]
pub struct Model {
    nodes: BTreeMap<String, Node>,
    sessions: BTreeMap<i64, i32>,
    changes: Vec<Change>,
}

impl Model {
    /// What these transactions make, the oldest first; each read is compared with what was there at its zxid.
    ///
    /// # Panics
    /// When somebody has read something else.
    pub fn replay<'a>(txns: impl Iterator<Item = (i64, &'a Bytes)>, heard: &[&Hearing]) -> Self {
        let mut model = Self::default();
        let mut reads: Vec<(usize, &Read)> = heard.iter().flat_map(|h| h.reads.iter().map(|read| (h.client, read))).collect();
        reads.sort_by_key(|(_, read)| read.zxid);
        let mut reads = reads.into_iter().peekable();
        for (zxid, payload) in txns {
            while let Some((client, read)) = reads.next_if(|(_, read)| read.zxid < zxid) {
                model.check_read(client, read);
            }
            let logged = LoggedTxn::read(payload).expect("a transaction");
            trace!("model: {logged:?}");
            model.apply(&logged);
        }
        reads.for_each(|(client, read)| model.check_read(client, read));
        for hearing in heard {
            hearing.watches.iter().for_each(|watch| model.check_watch(hearing.client, watch));
            hearing.stretches.iter().for_each(|stretch| model.check_stretch(hearing.client, stretch));
        }
        model
    }

    fn apply(&mut self, logged: &LoggedTxn<'_>) {
        let header = &logged.header;
        match &logged.txn {
            Txn::CreateSession(t) => drop(self.sessions.insert(header.client_id, t.time_out)),
            Txn::CloseSession(_) => {
                self.sessions.remove(&header.client_id);
                let is_own = |node: &Node| node.stat.ephemeral_owner == header.client_id;
                let own: Vec<String> = self.nodes.iter().filter(|(_, node)| is_own(node)).map(|(path, _)| path.clone()).collect();
                own.iter().for_each(|path| self.delete(path, header.zxid));
            }
            // All or nothing.
            Txn::Multi(parts) if parts.iter().any(|part| matches!(part, Txn::Error(_))) => {}
            Txn::Multi(parts) => parts.iter().for_each(|part| self.change(part, header.client_id, header.zxid, header.time)),
            txn => self.change(txn, header.client_id, header.zxid, header.time),
        }
    }

    fn change(&mut self, txn: &Txn<'_>, session: i64, zxid: i64, time: i64) {
        match txn {
            Txn::Create(t) | Txn::Create2(t) => {
                let owner = if t.ephemeral { session } else { 0 };
                assert!(owner == 0 || self.sessions.contains_key(&owner), "{zxid:#x}: an ephemeral of {owner:#x}, which has ended");
                self.create(text(&t.path), t.data.map(<[u8]>::to_vec), owner, zxid, time);
            }
            Txn::Delete(t) => self.delete(text(&t.path), zxid),
            Txn::SetData(t) => {
                let path = text(&t.path);
                let node = self.nodes.get_mut(path).unwrap_or_else(|| panic!("{zxid:#x} sets {path}, which is not there"));
                node.data = t.data.map(<[u8]>::to_vec);
                let stat = &mut node.stat;
                stat.version += 1;
                assert_eq!(stat.version, t.version, "{zxid:#x}: the version of {path}");
                (stat.mzxid, stat.mtime, stat.data_length) = (zxid, time, t.data.map_or(0, <[u8]>::len) as i32);
                self.tell(zxid, EventType::NodeDataChanged, path);
            }
            Txn::Error(_) | Txn::Check(_) | Txn::Reconfig(_) => {}
            other => panic!("{zxid:#x}: nobody asks for {other:?}"),
        }
    }

    fn create(&mut self, path: &str, data: Option<Vec<u8>>, owner: i64, zxid: i64, time: i64) {
        let data_length = data.as_ref().map_or(0, Vec::len) as i32;
        let stat = Stat {
            czxid: zxid,
            mzxid: zxid,
            ctime: time,
            mtime: time,
            version: 0,
            cversion: 0,
            aversion: 0,
            ephemeral_owner: owner,
            data_length,
            num_children: 0,
            pzxid: zxid,
        };
        let before = self.nodes.insert(path.to_owned(), Node { data, stat });
        assert!(before.is_none(), "{zxid:#x} creates {path}, which is there");
        self.tell(zxid, EventType::NodeCreated, path);
        self.children_changed(path, 1, zxid);
    }

    fn delete(&mut self, path: &str, zxid: i64) {
        let node = self.nodes.remove(path).unwrap_or_else(|| panic!("{zxid:#x} deletes {path}, which is not there"));
        assert_eq!(node.stat.num_children, 0, "{zxid:#x} deletes {path}, which has children");
        self.tell(zxid, EventType::NodeDeleted, path);
        self.children_changed(path, -1, zxid);
    }

    fn children_changed(&mut self, path: &str, difference: i32, zxid: i64) {
        let parent = parent(path);
        if let Some(node) = self.nodes.get_mut(parent) {
            node.stat.num_children += difference;
            node.stat.cversion += 1;
            node.stat.pzxid = zxid;
        } else {
            assert_eq!(parent, "/", "{zxid:#x}: {path} has no parent");
        }
        self.tell(zxid, EventType::NodeChildrenChanged, parent);
    }

    fn tell(&mut self, zxid: i64, kind: EventType, path: &str) {
        self.changes.push(Change { zxid, kind, path: path.to_owned() });
    }

    fn children(&self, path: &str) -> Vec<String> {
        let prefix = if path == "/" { "/".to_owned() } else { format!("{path}/") };
        let below = self.nodes.range(prefix.clone()..).take_while(|(path, _)| path.starts_with(&prefix));
        below.map(|(path, _)| &path[prefix.len()..]).filter(|name| !name.contains('/')).map(str::to_owned).collect()
    }

    fn check_read(&self, client: usize, read: &Read) {
        let node = self.nodes.get(&read.path);
        let expected = match (&read.answer, node) {
            (_, None) => Answer::NoNode,
            (Answer::NoNode | Answer::Stat(_), Some(node)) => Answer::Stat(node.stat),
            (Answer::Data(..), Some(node)) => Answer::Data(node.data.clone(), node.stat),
            (Answer::Children(_, stat), Some(node)) => Answer::Children(self.children(&read.path), stat.as_ref().map(|_| node.stat)),
        };
        assert!(
            expected == read.answer,
            "client {client} has read at {:#x} of {}: {:?}, not {expected:?}",
            read.zxid,
            read.path,
            read.answer
        );
    }

    /// The zxids at which this one-shot watch is due.
    fn due<'a>(&'a self, watch: &'a Watch) -> impl Iterator<Item = i64> + 'a {
        let is_due = |change: &&Change| {
            let is_children = change.kind == EventType::NodeChildrenChanged;
            let is_kind = match watch.table {
                Table::Node | Table::Exist => !is_children,
                Table::Child => is_children || change.kind == EventType::NodeDeleted,
            };
            is_kind && change.path == watch.path
        };
        self.changes.iter().filter(is_due).map(|change| change.zxid)
    }

    fn check_watch(&self, client: usize, watch: &Watch) {
        match (watch.since, watch.told) {
            (Some(since), Some(told)) if told >= 0 => {
                let first = self.due(watch).find(|zxid| *zxid > since);
                assert_eq!(first, Some(told), "client {client}: when {watch:?} is due");
            }
            (None, Some(told)) if told >= 0 => assert!(self.due(watch).any(|zxid| zxid == told), "client {client}: {watch:?} is not due"),
            (Some(since), told) => {
                let missed = self.due(watch).find(|zxid| *zxid > since && *zxid <= watch.until);
                assert_eq!(missed, None, "client {client}: {watch:?} was not told before something later");
                // What a new connection has missed comes without a zxid.
                let is_due = told.is_none() || self.due(watch).any(|zxid| zxid > watch.until);
                assert!(is_due, "client {client}: {watch:?} is not due");
            }
            (None, _) => {}
        }
    }

    /// Between two replies a watch that stays tells of every change, and of nothing else.
    fn check_stretch(&self, client: usize, stretch: &Stretch) {
        let Some(since) = stretch.since else { return };
        let is_told = |change: &&Change| {
            let is_kind = !stretch.is_recursive || change.kind != EventType::NodeChildrenChanged;
            let is_below = stretch.is_recursive && change.path.strip_prefix(&stretch.path).is_some_and(|rest| rest.starts_with('/'));
            is_kind && change.zxid > since && change.zxid <= stretch.until && (is_below || change.path == stretch.path)
        };
        let sorted = |mut events: Vec<(i64, i32, String)>| {
            events.sort();
            events
        };
        let expected = self.changes.iter().filter(is_told).map(|change| (change.zxid, change.kind as i32, change.path.clone())).collect();
        // One of which the reply has not come yet is checked as far as it goes.
        let told: Vec<_> = stretch.events.iter().filter(|(zxid, ..)| *zxid <= stretch.until).cloned().collect();
        assert_eq!(
            sorted(told),
            sorted(expected),
            "client {client}: what the watch of {} tells, {since:#x}..{:#x}",
            stretch.path,
            stretch.until
        );
        let later = stretch.events.iter().filter(|(zxid, ..)| *zxid > stretch.until);
        for (zxid, kind, path) in later {
            let is_it = |change: &Change| change.zxid == *zxid && change.kind as i32 == *kind && change.path == *path;
            assert!(self.changes.iter().any(is_it), "client {client}: told of {path} at {zxid:#x}, where nothing was");
        }
    }

    /// A server's tree is this one: nodes, sessions, and who owns what.
    ///
    /// # Panics
    /// When it is not.
    pub fn compare(&self, tree: &Tree) {
        assert_eq!(tree.sessions().map(|(id, timeout)| (id.0, timeout)).collect::<BTreeMap<_, _>>(), self.sessions, "sessions");
        for (session, _) in tree.sessions() {
            let is_own = |node: &Node| node.stat.ephemeral_owner == session.0;
            let own: BTreeSet<&String> = self.nodes.iter().filter(|(_, node)| is_own(node)).map(|(path, _)| path).collect();
            let theirs: BTreeSet<String> = tree.ephemerals(session).collect();
            assert!(theirs.iter().eq(own), "ephemerals of {session}: {theirs:?}");
        }
        let names = |node: oxkeeper_tree::Node<'_>| node.children().map(str::to_owned).collect::<BTreeSet<_>>();
        let mut top = names(tree.get("/").expect("the root"));
        top.remove(&OWN[1..]);
        assert!(top.iter().eq(&self.children("/")), "{top:?}");
        for (path, node) in &self.nodes {
            let Some(theirs) = tree.get(path) else { panic!("{path} is missing") };
            assert_eq!(theirs.stat(), node.stat, "{path}");
            assert_eq!(theirs.data(), node.data.as_deref(), "{path}");
            assert!(names(theirs).iter().eq(&self.children(path)), "{path}");
        }
    }
}

fn text<'a>(path: &'a Option<Cow<'a, str>>) -> &'a str {
    path.as_deref().expect("a path")
}

fn parent(path: &str) -> &str {
    match path.rsplit_once('/') {
        Some(("", _)) | None => "/",
        Some((parent, _)) => parent,
    }
}
