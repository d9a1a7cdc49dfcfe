//! Preparation: checks a write against the tree and what is pending on it, and makes a transaction
//! of it. The order of the checks is part of the protocol.

use crate::overlay::{Overlay, Record};
use crate::request::{WriteRequest, create_flags};
use oxkeeper_auth::{Identity, Schemes};
use oxkeeper_proto::acl::{is_same, to_records};
use oxkeeper_proto::records::{
    Acl, CheckVersionRequest, CheckVersionTxn, CloseSessionTxn, CreateContainerTxn, CreateTtlRequest, CreateTtlTxn, CreateTxn,
    DeleteRequest, DeleteTxn, ErrorTxn, Id, ReconfigRequest, SetAclRequest, SetAclTxn, SetDataRequest, SetDataTxn, StatPersisted,
};
use oxkeeper_proto::txn::Txn;
use oxkeeper_proto::{AclList, ErrorCode, OpCode, Reader, SessionId, Zxid, path, perms};
use oxkeeper_tree::Tree;
use oxkeeper_tree::digest::content_crc;
use oxkeeper_tree::{CONTAINER_OWNER, OwnerKind, StatsTrack, TreeOptions, ttl_owner};
use oxkeeper_zab::{Change, Peer, Refusal};
use std::borrow::Cow;

/// The node below a quota's path that holds its limits.
const QUOTA_LIMITS: &str = "zookeeper_limits";
/// The node beside it that holds what the subtree holds.
const QUOTA_STATISTICS: &str = "zookeeper_stats";
/// The limits of everything: a quota that no Java server can load.
const QUOTA_LIMITS_OF_THE_ROOT: &str = "/zookeeper/quota/zookeeper_limits";

/// The version of `/zookeeper/config` as a node: that of the configuration is in its text.
pub const CONFIG_VERSION: i32 = -1;

/// What the checks depend on besides the state.
#[derive(Clone, Debug)]
pub struct PrepareOptions {
    /// TTL nodes are allowed (`zookeeper.extendedTypesEnabled`).
    pub extended_types: bool,
    /// Old TTL nodes are known by the encoding of 3.5.3 (`zookeeper.emulate353TTLNodes`).
    pub emulate_353_ttl: bool,
    /// Hard quotas refuse writes (`zookeeper.enforceQuota`).
    pub enforce_quota: bool,
    /// `reconfig` is allowed where it means something (`reconfigEnabled`).
    pub reconfig_enabled: bool,
}

/// One write in preparation.
pub struct Preparation<'a> {
    /// The committed state.
    pub tree: &'a Tree,
    /// What is pending on it.
    pub overlay: &'a mut Overlay,
    /// The rules of identities.
    pub schemes: &'a Schemes,
    /// The server's options.
    pub options: &'a PrepareOptions,
    /// The ensemble that a reconfiguration changes.
    pub peer: &'a Peer,
    /// The transaction's zxid.
    pub zxid: Zxid,
    /// The transaction's time, milliseconds since 1970.
    pub time_ms: i64,
    /// The session that asks.
    pub session: SessionId,
    /// Who asks.
    pub identities: &'a [Identity],
    /// How many bytes of ephemeral paths the session may still add, so that its closing fits into
    /// one transaction (ZOOKEEPER-4306).
    pub ephemeral_budget: &'a mut usize,
    /// Why the session may have no ephemeral nodes, if it may not: it is not known to the ensemble.
    pub refuses_ephemerals: Option<ErrorCode>,
}

/// The node that holds an ephemeral's path takes its length and a few bytes in the closing of its session.
pub fn ephemeral_cost(path: &str) -> usize {
    path.len() + 4
}

impl<'a> Preparation<'a> {
    /// Makes the transaction of a write, or says why not.
    ///
    /// # Errors
    /// The error code that the client gets.
    pub fn write<'r>(&mut self, request: &WriteRequest<'r>) -> Result<Txn<'r>, ErrorCode> {
        match request {
            WriteRequest::Create { op, request } => self.create(*op, request),
            WriteRequest::Delete(request) => self.delete(request),
            WriteRequest::SetData(request) => self.set_data(request),
            WriteRequest::SetAcl(request) => self.set_acl(request),
            WriteRequest::Check(request) => self.check(request),
            WriteRequest::Reconfig(_) => unreachable!("no part of a multi; alone it is Preparation::reconfig"),
            WriteRequest::Multi(requests) => self.multi(requests),
        }
    }

    fn create<'r>(&mut self, op: OpCode, request: &CreateTtlRequest<'r>) -> Result<Txn<'r>, ErrorCode> {
        let CreateTtlRequest { path: name, data, acl: asked_acl, flags, ttl } = request;
        let (flags, ttl) = (*flags, *ttl);
        if !(0..=create_flags::LAST).contains(&flags) {
            return Err(ErrorCode::BAD_ARGUMENTS);
        }
        self.check_ttl(op, flags, ttl)?;
        if create_flags::is_ephemeral(flags)
            && let Some(refusal) = self.refuses_ephemerals
        {
            // Other creates with such a flag never make a session known to all.
            return Err(if matches!(op, OpCode::CREATE | OpCode::CREATE2) { refusal } else { ErrorCode::SESSION_EXPIRED });
        }
        let name = name.as_ref().ok_or(ErrorCode::MARSHALLING_ERROR)?;
        let (parent_path, _) = path::split(name).filter(|_| !name.contains('\0')).ok_or(ErrorCode::BAD_ARGUMENTS)?;
        let acl = self.schemes.fix_acl(asked_acl.as_deref(), self.identities)?;
        let parent = self.record(parent_path)?;
        self.permit(&parent.acl, perms::CREATE)?;
        let name: Cow<'r, str> =
            if create_flags::is_sequential(flags) { format!("{name}{:010}", parent.next_child).into() } else { name.clone() };
        path::validate(&name).map_err(|_| ErrorCode::BAD_ARGUMENTS)?;
        if self.overlay.get(self.tree, &name).is_some() {
            return Err(ErrorCode::NODE_EXISTS);
        }
        if matches!(self.owner_kind(parent.stat.ephemeral_owner), OwnerKind::Ephemeral(_)) {
            return Err(ErrorCode::NO_CHILDREN_FOR_EPHEMERALS);
        }
        let data_length = data.map_or(0, <[u8]>::len);
        self.check_quota(&name, data_length as i64, 1)?;
        // A quota of the root ends a Java server, and again at every start.
        if *name == *QUOTA_LIMITS_OF_THE_ROOT {
            return Err(ErrorCode::BAD_ARGUMENTS);
        }
        let ephemeral = create_flags::is_ephemeral(flags) && matches!(op, OpCode::CREATE | OpCode::CREATE2);
        if ephemeral {
            // Java accepts any number and then cannot read the closing of the session.
            let cost = ephemeral_cost(&name);
            *self.ephemeral_budget = self.ephemeral_budget.checked_sub(cost).ok_or(ErrorCode::QUOTA_EXCEEDED)?;
        }
        // The kind of node follows from the op, as in the transaction; Java's announced digest
        // follows from the flag and is wrong where they differ.
        let ephemeral_owner = match op {
            OpCode::CREATE_CONTAINER => CONTAINER_OWNER,
            OpCode::CREATE_TTL => ttl_owner(ttl).ok_or(ErrorCode::BAD_ARGUMENTS)?,
            _ if ephemeral => self.session.0,
            _ => 0,
        };
        let stat = StatPersisted {
            czxid: self.zxid.0,
            mzxid: self.zxid.0,
            ctime: self.time_ms,
            mtime: self.time_ms,
            pzxid: self.zxid.0,
            ephemeral_owner,
            ..StatPersisted::default()
        };
        let parent_c_version = parent.next_child.wrapping_add(1);
        let mut changed = parent.clone();
        changed.child_count += 1;
        changed.next_child = parent_c_version;
        // The tree's counter only ever grows: at its end the node stays as it is.
        if parent_c_version > changed.stat.cversion {
            changed.stat.cversion = parent_c_version;
            changed.stat.pzxid = self.zxid.0;
        }
        self.overlay.set(parent_path, Some(&parent), Some(changed));
        let content = content_crc(&name, *data);
        let records = records_of(&acl, asked_acl.as_deref());
        let record = Record { stat, child_count: 0, next_child: 0, acl, content, data_length };
        self.overlay.set(&name, None, Some(record));
        let (path, data, acl) = (Some(name), *data, Some(records));
        Ok(match op {
            OpCode::CREATE => Txn::Create(CreateTxn { path, data, acl, ephemeral, parent_c_version }),
            OpCode::CREATE2 => Txn::Create2(CreateTxn { path, data, acl, ephemeral, parent_c_version }),
            OpCode::CREATE_CONTAINER => Txn::CreateContainer(CreateContainerTxn { path, data, acl, parent_c_version }),
            OpCode::CREATE_TTL => Txn::CreateTtl(CreateTtlTxn { path, data, acl, parent_c_version, ttl }),
            other => unreachable!("{other:?} does not create"),
        })
    }

    fn check_ttl(&self, op: OpCode, flags: i32, ttl: i64) -> Result<(), ErrorCode> {
        if create_flags::is_ttl(flags) {
            if !self.options.extended_types {
                return Err(ErrorCode::UNIMPLEMENTED);
            }
            return ttl_owner(ttl).map(|_| ()).ok_or(ErrorCode::BAD_ARGUMENTS);
        }
        // A createTTL without a TTL flag kills a Java server and poisons its log.
        if op == OpCode::CREATE_TTL || ttl >= 0 { Err(ErrorCode::BAD_ARGUMENTS) } else { Ok(()) }
    }

    fn delete<'r>(&mut self, request: &DeleteRequest<'r>) -> Result<Txn<'r>, ErrorCode> {
        let name = request.path.as_ref().ok_or(ErrorCode::MARSHALLING_ERROR)?;
        let parent_path = deletable_parent(name)?;
        let parent = self.record(parent_path)?;
        self.permit(&parent.acl, perms::DELETE)?;
        let node = self.record(name)?;
        check_version(node.stat.version, request.version)?;
        if node.child_count > 0 {
            return Err(ErrorCode::NOT_EMPTY);
        }
        self.remove(parent_path, &parent, name, &node);
        Ok(Txn::Delete(DeleteTxn { path: Some(name.clone()) }))
    }

    /// The reaping of a container or of a TTL node, which only the server itself asks for.
    ///
    /// # Errors
    /// When the node has gone, has children again or is no node to be reaped.
    pub fn reap<'r>(&mut self, name: &'r str) -> Result<Txn<'r>, ErrorCode> {
        let parent_path = deletable_parent(name)?;
        let node = self.record(name)?;
        if node.child_count > 0 {
            return Err(ErrorCode::NOT_EMPTY);
        }
        if matches!(self.owner_kind(node.stat.ephemeral_owner), OwnerKind::Ephemeral(_) | OwnerKind::Void) {
            return Err(ErrorCode::BAD_VERSION);
        }
        let parent = self.record(parent_path)?;
        self.remove(parent_path, &parent, name, &node);
        Ok(Txn::DeleteContainer(DeleteTxn { path: Some(name.into()) }))
    }

    fn remove(&mut self, parent_path: &str, parent: &Record, name: &str, node: &Record) {
        let mut changed = parent.clone();
        changed.child_count -= 1;
        changed.stat.pzxid = self.zxid.0;
        self.overlay.set(parent_path, Some(parent), Some(changed));
        self.overlay.set(name, Some(node), None);
        if node.stat.ephemeral_owner == self.session.0 {
            *self.ephemeral_budget = self.ephemeral_budget.saturating_add(ephemeral_cost(name));
        }
    }

    fn set_data<'r>(&mut self, request: &SetDataRequest<'r>) -> Result<Txn<'r>, ErrorCode> {
        let name = valid_path(request.path.as_ref())?;
        let node = self.record(name)?;
        self.permit(&node.acl, perms::WRITE)?;
        let data_length = request.data.map_or(0, <[u8]>::len);
        self.check_quota(name, data_length as i64 - node.data_length as i64, 0)?;
        let version = check_version(node.stat.version, request.version)?;
        // A Java server adds to the statistics of a quota and ends, at every start again, where they are none.
        if is_quota_statistics(name) && StatsTrack::of_data(request.data).is_err() {
            return Err(ErrorCode::BAD_ARGUMENTS);
        }
        self.change_data(name, &node, request.data, version);
        Ok(Txn::SetData(SetDataTxn { path: request.path.clone(), data: request.data, version }))
    }

    fn set_acl<'r>(&mut self, request: &SetAclRequest<'r>) -> Result<Txn<'r>, ErrorCode> {
        let name = valid_path(request.path.as_ref())?;
        let acl = self.schemes.fix_acl(request.acl.as_deref(), self.identities)?;
        let node = self.record(name)?;
        self.permit(&node.acl, perms::ADMIN)?;
        let version = check_version(node.stat.aversion, request.version)?;
        let mut changed = node.clone();
        changed.stat.aversion = version;
        let records = records_of(&acl, request.acl.as_deref());
        changed.acl = acl;
        self.overlay.set(name, Some(&node), Some(changed));
        Ok(Txn::SetAcl(SetAclTxn { path: request.path.clone(), acl: Some(records), version }))
    }

    fn check<'r>(&mut self, request: &CheckVersionRequest<'r>) -> Result<Txn<'r>, ErrorCode> {
        let name = valid_path(request.path.as_ref())?;
        let node = self.record(name)?;
        self.permit(&node.acl, perms::READ)?;
        let version = check_version(node.stat.version, request.version)?;
        Ok(Txn::Check(CheckVersionTxn { path: request.path.clone(), version }))
    }

    /// The text of the configuration that a `reconfig` makes, which its transaction sets as the data of
    /// `/zookeeper/config`. Who may do that is asked last, as in Java: a stranger learns what is wrong with the change
    /// first.
    ///
    /// # Errors
    /// The error code that the client gets.
    pub fn reconfig(&mut self, request: &ReconfigRequest<'_>) -> Result<String, ErrorCode> {
        if !self.options.reconfig_enabled {
            return Err(ErrorCode::RECONFIG_DISABLED);
        }
        let change = Change {
            joining: request.joining_servers.as_deref(),
            leaving: request.leaving_servers.as_deref(),
            members: request.new_members.as_deref(),
            from_version: request.cur_config_id,
        };
        let config = self.peer.plan(&change, self.zxid).map_err(|refusal| match refusal {
            Refusal::Standalone => ErrorCode::UNIMPLEMENTED,
            Refusal::InProgress => ErrorCode::RECONFIG_IN_PROGRESS,
            Refusal::OtherVersion => ErrorCode::BAD_VERSION,
            Refusal::BadArguments => ErrorCode::BAD_ARGUMENTS,
            Refusal::Unreadable => ErrorCode::MARSHALLING_ERROR,
            Refusal::NoQuorum => ErrorCode::NEW_CONFIG_NO_QUORUM,
        })?;
        let node = self.record(path::CONFIG)?;
        self.permit(&node.acl, perms::WRITE)?;
        let text = config.to_text();
        self.change_data(path::CONFIG, &node, Some(text.as_bytes()), CONFIG_VERSION);
        Ok(text)
    }

    fn change_data(&mut self, name: &str, node: &Record, data: Option<&[u8]>, version: i32) {
        let mut changed = node.clone();
        changed.stat.version = version;
        changed.stat.mtime = self.time_ms;
        changed.stat.mzxid = self.zxid.0;
        changed.content = content_crc(name, data);
        changed.data_length = data.map_or(0, <[u8]>::len);
        self.overlay.set(name, Some(node), Some(changed));
    }

    /// All or nothing; after a failure the transaction names it and applies nothing. What Java stumbles over (a null
    /// path, limits of a quota that cannot be read) is no failure of a part but of the whole.
    fn multi<'r>(&mut self, requests: &[WriteRequest<'r>]) -> Result<Txn<'r>, ErrorCode> {
        if requests.iter().any(|request| !request.has_path()) {
            return Err(ErrorCode::MARSHALLING_ERROR);
        }
        let mut failed = false;
        let budget = *self.ephemeral_budget;
        let mut txns = Vec::with_capacity(requests.len());
        for request in requests {
            let prepared = if failed { Err(ErrorCode::RUNTIME_INCONSISTENCY) } else { self.write(request) };
            txns.push(match prepared {
                Err(ErrorCode::MARSHALLING_ERROR) => {
                    *self.ephemeral_budget = budget;
                    return Err(ErrorCode::MARSHALLING_ERROR);
                }
                Err(error) => {
                    failed = true;
                    Txn::Error(ErrorTxn { err: error.0 })
                }
                Ok(txn) => txn,
            });
        }
        if failed {
            self.overlay.roll_back();
            *self.ephemeral_budget = budget;
        }
        Ok(Txn::Multi(txns))
    }

    /// The end of the session: deletes its ephemerals, those that are still on their way too.
    pub fn close_session(&mut self, session: SessionId, any_pending: bool) -> Txn<'static> {
        let mut paths: Vec<String> = self.tree.ephemerals(session).map(|p| p.to_string()).collect();
        if any_pending {
            let pending: Vec<(String, bool)> = self
                .overlay
                .pending()
                .map(|(path, record)| (path.to_owned(), record.is_some_and(|r| r.stat.ephemeral_owner == session.0)))
                .collect();
            for (path, mine) in pending {
                let known = paths.iter().position(|p| *p == path);
                match (mine, known) {
                    (true, None) => paths.push(path),
                    (false, Some(at)) => {
                        paths.swap_remove(at);
                    }
                    _ => {}
                }
            }
            paths.sort_unstable();
        }
        for name in &paths {
            let (parent_path, _) = path::split(name).expect("a node's path holds a /");
            let node = self.overlay.get(self.tree, name).expect("the list was made of what there is");
            let parent = self.overlay.get(self.tree, parent_path).expect("a node has a parent");
            self.remove(parent_path, &parent, name, &node);
        }
        Txn::CloseSession(Some(CloseSessionTxn { paths2_delete: Some(paths.into_iter().map(|p| Some(Cow::Owned(p))).collect()) }))
    }

    fn record(&self, path: &str) -> Result<Record, ErrorCode> {
        self.overlay.get(self.tree, path).ok_or(ErrorCode::NO_NODE)
    }

    fn permit(&self, acl: &AclList, perm: i32) -> Result<(), ErrorCode> {
        if self.schemes.permits(acl, perm, self.identities) { Ok(()) } else { Err(ErrorCode::NO_AUTH) }
    }

    fn owner_kind(&self, ephemeral_owner: i64) -> OwnerKind {
        let PrepareOptions { extended_types, emulate_353_ttl, .. } = *self.options;
        let options = TreeOptions { extended_types, emulate_353_ttl, ..TreeOptions::default() };
        // An extended type that nobody has defined is none that goes with a session.
        OwnerKind::of(ephemeral_owner, options).unwrap_or(OwnerKind::Void)
    }

    /// Hard limits; a limit that is just reached is not exceeded. As in Java the counts are those
    /// of the committed tree, and limits that cannot be read let nothing through.
    fn check_quota(&mut self, name: &str, bytes: i64, count: i64) -> Result<(), ErrorCode> {
        if !self.options.enforce_quota {
            return Ok(());
        }
        let Some(root) = self.tree.quota_root(name) else { return Ok(()) };
        let track = |kind: &str| {
            let node = self.tree.get(&format!("{}{root}/{kind}", path::QUOTA));
            node.map(|node| StatsTrack::of_data(node.data()).map_err(|_| ErrorCode::MARSHALLING_ERROR)).transpose()
        };
        let Some(limit) = track(QUOTA_LIMITS)? else { return Ok(()) };
        let is_limited = |more: i64, soft: i64, hard: i64| more != 0 && (soft > -1 || hard > -1);
        if !is_limited(count, limit.count(), limit.count_hard_limit()) && !is_limited(bytes, limit.bytes(), limit.byte_hard_limit()) {
            return Ok(());
        }
        let Some(usage) = track(QUOTA_STATISTICS)? else { return Ok(()) };
        let over = |usage: i64, more: i64, hard: i64| more != 0 && hard > -1 && usage.wrapping_add(more) > hard;
        if over(usage.count(), count, limit.count_hard_limit()) || over(usage.bytes(), bytes, limit.byte_hard_limit()) {
            self.overlay.over_quota.push(name.to_owned());
            return Err(ErrorCode::QUOTA_EXCEEDED);
        }
        Ok(())
    }
}

/// Why the committed tree does not allow a write, as far as its access lists tell: one part of the checks, done before the write
/// is put into the order. What it cannot judge it lets pass: parts of a multi, nodes that are not there, what cannot be decoded.
pub fn refusal(tree: &Tree, schemes: &Schemes, op: OpCode, body: &mut Reader<'_>, identities: &[Identity]) -> Option<ErrorCode> {
    if !matches!(op, OpCode::CREATE | OpCode::CREATE2 | OpCode::DELETE | OpCode::SET_DATA | OpCode::SET_ACL) {
        return None;
    }
    let parent = |name: &str| Some(path::split(name)?.0.to_owned());
    let is_invalid = |acl: Option<&[Acl<'_>]>| schemes.fix_acl(acl, identities) == Err(ErrorCode::INVALID_ACL);
    let (place, perm) = match WriteRequest::read(op, body).ok()? {
        WriteRequest::Create { request, .. } => {
            let place = parent(&request.path?)?;
            if is_invalid(request.acl.as_deref()) {
                return Some(ErrorCode::INVALID_ACL);
            }
            (place, perms::CREATE)
        }
        WriteRequest::Delete(request) => (parent(&request.path?)?, perms::DELETE),
        WriteRequest::SetData(request) => (request.path?.into_owned(), perms::WRITE),
        WriteRequest::SetAcl(request) => {
            if is_invalid(request.acl.as_deref()) {
                return Some(ErrorCode::INVALID_ACL);
            }
            (request.path?.into_owned(), perms::ADMIN)
        }
        WriteRequest::Check(_) | WriteRequest::Reconfig(_) | WriteRequest::Multi(_) => return None,
    };
    let node = tree.get(&place)?;
    (!schemes.permits(node.acl(), perm, identities)).then_some(ErrorCode::NO_AUTH)
}

fn valid_path<'p, 'r>(path: Option<&'p Cow<'r, str>>) -> Result<&'p Cow<'r, str>, ErrorCode> {
    // Java's check of a path refuses null, too, as a bad argument.
    let path = path.ok_or(ErrorCode::BAD_ARGUMENTS)?;
    path::validate(path).map_err(|_| ErrorCode::BAD_ARGUMENTS)?;
    Ok(path)
}

/// Whether the node holds what a quota's subtree holds.
fn is_quota_statistics(name: &str) -> bool {
    name.strip_prefix(path::QUOTA)
        .and_then(|rest| rest.strip_suffix(QUOTA_STATISTICS))
        .is_some_and(|root| root.starts_with('/') && root.ends_with('/'))
}

fn deletable_parent(name: &str) -> Result<&str, ErrorCode> {
    let special = matches!(name, "/" | path::SYSTEM | path::QUOTA | path::CONFIG);
    let (parent, _) = path::split(name).filter(|_| !special && !name.contains('\0')).ok_or(ErrorCode::BAD_ARGUMENTS)?;
    Ok(parent)
}

fn check_version(current: i32, expected: i32) -> Result<i32, ErrorCode> {
    if expected != -1 && expected != current {
        return Err(ErrorCode::BAD_VERSION);
    }
    Ok(current.wrapping_add(1))
}

/// The records of an ACL for the transaction: those of the request, which borrow from it, where it is what was asked for.
fn records_of<'r>(acl: &AclList, asked: Option<&[Acl<'r>]>) -> Vec<Acl<'r>> {
    match asked {
        Some(asked) if is_same(acl, asked) => asked.to_vec(),
        _ => to_records(acl)
            .into_iter()
            .map(|a| Acl {
                perms: a.perms,
                id: Id { scheme: a.id.scheme.map(|s| s.into_owned().into()), id: a.id.id.map(|s| s.into_owned().into()) },
            })
            .collect(),
    }
}
