//! How a transaction changes the tree, and what it tells those who watch.
//!
//! A log is also replayed over snapshots that Java wrote while it went on: they may hold effects of
//! the very transactions that follow. So nothing here is an error of ours; a create may find its
//! node, a delete may find none, and the rules say what is done then.

use crate::digest;
use crate::owners::{self, OwnerKind};
use crate::tree::{NewNode, ROOT, Tree, utf16_length};
use oxkeeper_proto::records::{Acl, Stat, StatPersisted};
use oxkeeper_proto::txn::{DIGEST_VERSION, LoggedTxn, Txn};
use oxkeeper_proto::{AclList, ErrorCode, OpCode, SessionId, Zxid, path};
use std::borrow::Cow;

/// What happened to one node, in the words of a watcher.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change<'a> {
    /// A node came into being.
    Created {
        /// Its path.
        path: &'a str,
        /// Its ACL, which watchers must pass.
        acl: &'a AclList,
        /// Its parent's ACL.
        parent_acl: &'a AclList,
    },
    /// A node has gone.
    Deleted {
        /// Its path.
        path: &'a str,
        /// The ACL that it had.
        acl: &'a AclList,
        /// Its parent's ACL.
        parent_acl: &'a AclList,
    },
    /// A node's data was set.
    DataChanged {
        /// Its path.
        path: &'a str,
        /// Its ACL.
        acl: &'a AclList,
    },
}

/// Whoever wants to know of changes, in the order in which they happen.
pub trait ChangeSink {
    /// One change by the transaction `zxid`; it is in the tree already.
    fn change(&mut self, zxid: Zxid, change: &Change<'_>);
}

/// For replay: nobody watches.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoopSink;

impl ChangeSink for NoopSink {
    fn change(&mut self, _zxid: Zxid, _change: &Change<'_>) {}
}

/// What a transaction came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// OK; the code of an error transaction; or why it had no effect (replay only).
    pub err: ErrorCode,
    /// What the reply needs.
    pub result: OpResult,
    /// The tree's digest is not the one that the transaction announces.
    pub digest_mismatch: Option<DigestMismatch>,
}

/// Two digests that should be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DigestMismatch {
    /// After this transaction.
    pub zxid: Zxid,
    /// What the leader, or the snapshot, says.
    pub announced: u64,
    /// What the tree has.
    pub actual: u64,
}

/// What a reply needs beside the transaction itself (a created path is in that).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpResult {
    /// Nothing: deletes, checks, sessions, errors.
    Nothing,
    /// The node's Stat right after it: creates, setData, reconfig, setACL.
    Stat(Stat),
    /// One for each operation of a multi.
    Multi(Vec<SubResult>),
}

/// What an operation of a multi came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubResult {
    /// Its type; ERROR for every one of a multi that failed.
    pub op: OpCode,
    /// OK, or its code.
    pub err: ErrorCode,
    /// The node's Stat right after it: creates and setData.
    pub stat: Option<Stat>,
}

/// The path of a parent: "/" for top-level nodes.
fn split(path: &str) -> Option<(&str, &str)> {
    let at = path.rfind('/')?;
    Some((if at == 0 { "/" } else { &path[..at] }, &path[at + 1..]))
}

/// A create in any of its forms.
struct Create<'a> {
    path: &'a str,
    data: Option<&'a [u8]>,
    acl: Option<&'a [Acl<'a>]>,
    parent_cversion: i32,
    owner: i64,
}

/// A transaction's zxid and time.
#[derive(Clone, Copy)]
struct When {
    zxid: i64,
    time: i64,
}

impl Tree {
    /// Applies a transaction and tells `sink` of each change.
    pub fn apply(&mut self, txn: &LoggedTxn<'_>, sink: &mut impl ChangeSink) -> Applied {
        let header = &txn.header;
        let when = When { zxid: header.zxid, time: header.time };
        let (err, result) = match &txn.txn {
            Txn::Multi(txns) => {
                let (err, results) = self.apply_multi(txns, SessionId(header.client_id), when, sink);
                (err, OpResult::Multi(results))
            }
            Txn::SetAcl(t) => match self.set_acl(text(&t.path), t.acl.as_deref(), t.version) {
                Ok(stat) => (ErrorCode::OK, OpResult::Stat(stat)),
                Err(err) => (err, OpResult::Nothing),
            },
            Txn::CreateSession(t) => {
                self.preserve_session(header.client_id);
                self.sessions.insert(header.client_id, t.time_out);
                (ErrorCode::OK, OpResult::Nothing)
            }
            Txn::CloseSession(t) => {
                let listed = t.as_ref().and_then(|t| t.paths2_delete.as_deref()).unwrap_or_default();
                self.close_session(SessionId(header.client_id), listed, header.zxid, sink);
                (ErrorCode::OK, OpResult::Nothing)
            }
            single => match self.apply_one(single, SessionId(header.client_id), when, sink) {
                (err, Some(stat)) => (err, OpResult::Stat(stat)),
                (err, None) => (err, OpResult::Nothing),
            },
        };
        let zxid = Zxid(header.zxid);
        self.last_zxid = self.last_zxid.max(zxid);
        let digest_mismatch = self.compare_digest(zxid, txn);
        Applied { err, result, digest_mismatch }
    }

    fn compare_digest(&mut self, zxid: Zxid, txn: &LoggedTxn<'_>) -> Option<DigestMismatch> {
        let actual = self.digest;
        let mismatch = |announced: u64| (announced != actual).then_some(DigestMismatch { zxid, announced, actual });
        if let Some((target, expected)) = self.fuzzy_until {
            if zxid < target {
                return None;
            }
            self.fuzzy_until = None;
            if zxid == target {
                return if self.options.digest_enabled { expected.and_then(mismatch) } else { None };
            }
        }
        if zxid.0 % 128 == 0 {
            if self.history.len() == 1024 {
                self.history.pop_front();
            }
            self.history.push_back((zxid, actual));
        }
        let announced = txn.digest.filter(|d| self.options.digest_enabled && d.version == DIGEST_VERSION)?;
        mismatch(announced.tree_digest as u64)
    }

    fn apply_multi(&mut self, txns: &[Txn<'_>], session: SessionId, when: When, sink: &mut impl ChangeSink) -> (ErrorCode, Vec<SubResult>) {
        let has_failed = txns.iter().any(|t| matches!(t, Txn::Error(_)));
        let mut first_error = ErrorCode::OK;
        let mut is_past_error = false;
        let results = txns.iter().map(|txn| {
            let result = match txn {
                Txn::Error(error) => {
                    is_past_error = true;
                    SubResult { op: OpCode::ERROR, err: ErrorCode(error.err), stat: None }
                }
                _ if has_failed => {
                    let err = if is_past_error { ErrorCode::RUNTIME_INCONSISTENCY } else { ErrorCode::OK };
                    SubResult { op: OpCode::ERROR, err, stat: None }
                }
                txn => {
                    let (err, stat) = self.apply_one(txn, session, when, sink);
                    SubResult { op: txn.op(), err, stat }
                }
            };
            if first_error == ErrorCode::OK {
                first_error = result.err;
            }
            result
        });
        let results = results.collect();
        (first_error, results)
    }

    /// One that may also stand in a multi.
    fn apply_one(&mut self, txn: &Txn<'_>, session: SessionId, when: When, sink: &mut impl ChangeSink) -> (ErrorCode, Option<Stat>) {
        let create = |path, data, acl, parent_cversion, owner| Create { path, data, acl, parent_cversion, owner };
        let result = match txn {
            Txn::Create(t) | Txn::Create2(t) => {
                let owner = if t.ephemeral { session.0 } else { 0 };
                let new = create(text(&t.path), t.data, t.acl.as_deref(), t.parent_c_version, owner);
                let result = self.create(&new, when, sink);
                if matches!((txn, &result), (Txn::Create(_), Err(ErrorCode::NODE_EXISTS))) {
                    self.bump_parent(new.path, new.parent_cversion, when.zxid);
                }
                result.map(Some)
            }
            Txn::CreateTtl(t) => match owners::ttl_owner(t.ttl) {
                Some(owner) => {
                    let new = create(text(&t.path), t.data, t.acl.as_deref(), t.parent_c_version, owner);
                    self.create(&new, when, sink).map(Some)
                }
                // Java's server dies of it; no leader of ours writes it.
                None => Err(ErrorCode::BAD_ARGUMENTS),
            },
            Txn::CreateContainer(t) => {
                let new = create(text(&t.path), t.data, t.acl.as_deref(), t.parent_c_version, owners::CONTAINER);
                self.create(&new, when, sink).map(Some)
            }
            Txn::Delete(t) | Txn::DeleteContainer(t) => self.delete(text(&t.path), when.zxid, sink).map(|()| None),
            Txn::SetData(t) | Txn::Reconfig(t) => self.set_data(text(&t.path), t.data, t.version, when, sink).map(Some),
            Txn::Check(_) => Ok(None),
            Txn::Error(t) => Err(ErrorCode(t.err)),
            // Never in a multi, and taken apart before when alone.
            Txn::SetAcl(_) | Txn::CreateSession(_) | Txn::CloseSession(_) | Txn::Multi(_) => Err(ErrorCode::UNIMPLEMENTED),
        };
        match result {
            Ok(stat) => (ErrorCode::OK, stat),
            Err(err) => (err, None),
        }
    }

    fn create(&mut self, new: &Create<'_>, when: When, sink: &mut impl ChangeSink) -> Result<Stat, ErrorCode> {
        let path = new.path;
        let (parent_path, name) = split(path).ok_or(ErrorCode::BAD_ARGUMENTS)?;
        let owner_kind = OwnerKind::of(new.owner, self.options).ok_or(ErrorCode::BAD_ARGUMENTS)?;
        let parent = self.find(parent_path).ok_or(ErrorCode::NO_NODE)?;
        // "/" is a path of the root, not of a child without a name.
        let existing = if path.len() == 1 { Some(ROOT) } else { self.find_child(parent, name.as_bytes()) };
        let acl = self.acls.acquire(new.acl);
        if let Some(existing) = existing {
            self.preserve(existing);
            let old = std::mem::replace(&mut self.records.get_mut(existing).acl, acl);
            self.acls.release(old);
            return Err(ErrorCode::NODE_EXISTS);
        }
        self.preserve(parent);
        self.subtract_digest(parent, parent_path);
        let extra = self.extra_mut(parent);
        let cversion = if new.parent_cversion == -1 { extra.cversion.wrapping_add(1) } else { new.parent_cversion };
        if cversion > extra.cversion {
            extra.cversion = cversion;
            extra.pzxid = when.zxid;
        }
        self.add_digest(parent, parent_path);
        let stat = StatPersisted {
            czxid: when.zxid,
            mzxid: when.zxid,
            ctime: when.time,
            mtime: when.time,
            version: 0,
            cversion: 0,
            aversion: 0,
            ephemeral_owner: new.owner,
            pzxid: when.zxid,
        };
        let content = digest::content_crc(path, new.data);
        let slot = self.insert(&NewNode { parent, name: name.as_bytes(), data: new.data, content, acl, owner_kind, stat }, path);
        let data_length = new.data.map_or(0, <[u8]>::len) as i64;
        self.data_size += utf16_length(path) + data_length;
        self.quota_created(parent_path, name);
        self.quota_changed(path, data_length, 1);
        let (acl, parent_acl) = (self.acls.list(acl), self.node(parent).acl());
        sink.change(Zxid(when.zxid), &Change::Created { path, acl, parent_acl });
        Ok(self.node(slot).stat())
    }

    /// A replayed `create` that found its node still counts for the parent.
    fn bump_parent(&mut self, path: &str, cversion: i32, zxid: i64) {
        let Some((parent_path, _)) = split(path) else { return };
        let Some(parent) = self.find(parent_path) else { return };
        let current = self.node(parent).cversion();
        let cversion = if cversion == -1 { current.wrapping_add(1) } else { cversion };
        if cversion > current {
            self.preserve(parent);
            self.subtract_digest(parent, parent_path);
            let extra = self.extra_mut(parent);
            (extra.cversion, extra.pzxid) = (cversion, zxid);
            self.add_digest(parent, parent_path);
        }
    }

    fn delete(&mut self, path: &str, zxid: i64, sink: &mut impl ChangeSink) -> Result<(), ErrorCode> {
        let (parent_path, name) = split(path).ok_or(ErrorCode::BAD_ARGUMENTS)?;
        let parent = self.find(parent_path).ok_or(ErrorCode::NO_NODE)?;
        // Even where the node has gone already: its delete may be in the snapshot without its effect
        // on the parent.
        let pzxid = self.extra(parent).map_or(self.records.get(parent).czxid, |extra| extra.pzxid);
        if zxid > pzxid {
            self.preserve(parent);
            self.subtract_digest(parent, parent_path);
            self.extra_mut(parent).pzxid = zxid;
            self.add_digest(parent, parent_path);
        }
        let slot = self.find_child(parent, name.as_bytes()).ok_or(ErrorCode::NO_NODE)?;
        self.preserve(parent);
        if self.node(slot).child_count() != 0 {
            self.delete_below(slot);
        }
        let acl = self.node(slot).acl().clone();
        let data_length = self.remove_counted(slot, path);
        let parent_acl = self.node(parent).acl().clone();
        self.quota_deleted(parent_path, name);
        self.quota_changed(path, -data_length, -1);
        sink.change(Zxid(zxid), &Change::Deleted { path, acl: &acl, parent_acl: &parent_acl });
        Ok(())
    }

    fn remove_counted(&mut self, slot: u32, path: &str) -> i64 {
        let data_length = self.records.get(slot).data_length() as i64;
        self.data_size -= utf16_length(path) + data_length;
        self.remove(slot, path);
        data_length
    }

    /// A leader deletes nothing that has children; a replay may, where the snapshot already holds a
    /// later node of the same path. What hangs below it belongs to that later node, and its own
    /// transactions, still to come, bring it back. (Java keeps it, unlisted by any parent.)
    fn delete_below(&mut self, slot: u32) {
        let mut below = Vec::new();
        self.walk(slot, |child| below.push(child));
        for child in below[1..].iter().rev() {
            let path = self.path_of(*child);
            let parent = self.records.get(*child).parent;
            self.preserve(parent);
            let data_length = self.remove_counted(*child, &path);
            let (parent_path, name) = split(&path).expect("a path of a node");
            self.quota_deleted(parent_path, name);
            self.quota_changed(&path, -data_length, -1);
        }
    }

    /// Writes the members of the ensemble into `/zookeeper/config` without a transaction, as a Java member does at its
    /// start: each has its own text there, under the version of the configuration. No digest covers this node.
    pub fn show_config(&mut self, config: &str, version: Zxid, time_ms: i64) {
        self.write_config(config, version, time_ms, &mut NoopSink);
    }

    /// As [`Tree::show_config`], if the node shows an earlier configuration or none; tells its watchers.
    pub fn show_newer_config(&mut self, config: &str, version: Zxid, time_ms: i64, sink: &mut impl ChangeSink) {
        let is_shown =
            self.get(path::CONFIG).is_some_and(|node| node.data().is_some_and(|data| !data.is_empty()) && node.stat().mzxid >= version.0);
        if !is_shown {
            self.write_config(config, version, time_ms, sink);
        }
    }

    fn write_config(&mut self, config: &str, version: Zxid, time_ms: i64, sink: &mut impl ChangeSink) {
        self.ensure_config_node();
        let when = When { zxid: version.0, time: time_ms };
        let shown = self.set_data(path::CONFIG, Some(config.as_bytes()), -1, when, sink);
        debug_assert!(shown.is_ok(), "it was made just now");
    }

    fn set_data(
        &mut self,
        path: &str,
        data: Option<&[u8]>,
        version: i32,
        when: When,
        sink: &mut impl ChangeSink,
    ) -> Result<Stat, ErrorCode> {
        let slot = self.find(path).ok_or(ErrorCode::NO_NODE)?;
        self.preserve(slot);
        self.subtract_digest(slot, path);
        let content = digest::content_crc(path, data);
        let record = self.records.get_mut(slot);
        let old_length = record.data_length() as i64;
        record.set_data(data, content, version);
        record.mtime = when.time;
        record.mzxid = when.zxid;
        let difference = record.data_length() as i64 - old_length;
        self.add_digest(slot, path);
        self.data_size += difference;
        let stat = self.node(slot).stat();
        self.quota_changed(path, difference, 0);
        sink.change(Zxid(when.zxid), &Change::DataChanged { path, acl: self.node(slot).acl() });
        Ok(stat)
    }

    fn set_acl(&mut self, path: &str, acl: Option<&[Acl<'_>]>, version: i32) -> Result<Stat, ErrorCode> {
        let slot = self.find(path).ok_or(ErrorCode::NO_NODE)?;
        self.preserve(slot);
        self.subtract_digest(slot, path);
        let acl = self.acls.acquire(acl);
        let old = std::mem::replace(&mut self.records.get_mut(slot).acl, acl);
        self.acls.release(old);
        if version != 0 || self.extra(slot).is_some() {
            self.extra_mut(slot).aversion = version;
        }
        self.add_digest(slot, path);
        Ok(self.node(slot).stat())
    }

    /// The listed paths go whoever owns them, then what else the session has.
    fn close_session(&mut self, session: SessionId, listed: &[Option<Cow<'_, str>>], zxid: i64, sink: &mut impl ChangeSink) {
        self.preserve_session(session.0);
        self.sessions.remove(&session.0);
        for path in listed {
            let _ = self.delete(text(path), zxid, sink);
        }
        let own: Vec<String> = self.ephemerals(session).collect();
        for path in own {
            let _ = self.delete(&path, zxid, sink);
        }
    }

    /// Ends a session, or deletes what an unknown one has left, outside of any transaction: what a
    /// server does once it has loaded. `zxid` is what the parents' `pzxid` is raised to.
    pub fn kill_session(&mut self, session: SessionId, zxid: Zxid, sink: &mut impl ChangeSink) {
        self.close_session(session, &[], zxid.0, sink);
    }

    /// Sets the configuration node's data without a transaction, as every server does when it takes
    /// up a role. False where there is no such node.
    pub fn set_config(&mut self, data: &[u8], version: i32, zxid: Zxid, time_ms: i64, sink: &mut impl ChangeSink) -> bool {
        let when = When { zxid: zxid.0, time: time_ms };
        self.set_data("/zookeeper/config", Some(data), version, when, sink).is_ok()
    }

    /// Replaces a quota's statistics in place: no version, no zxid, no watch, no digest.
    pub(crate) fn rewrite(&mut self, slot: u32, path: &str, data: &[u8]) {
        self.preserve(slot);
        self.subtract_digest(slot, path);
        let record = self.records.get_mut(slot);
        record.set_data(Some(data), digest::content_crc(path, Some(data)), record.version());
        self.add_digest(slot, path);
    }
}

/// Paths are never null in what a leader writes; null is taken as the path of no node.
fn text<'a>(path: &'a Option<Cow<'a, str>>) -> &'a str {
    path.as_deref().unwrap_or("\0")
}
