//! The tree against a naive one: a sorted map of whole paths, changed by the rules of the protocol
//! written down once more, with everything else (counts, digests, children) computed from scratch.
//! And views: whatever happens between two chunks, the body is the state at the beginning.

use oxkeeper_proto::records::{
    Acl, CloseSessionTxn, CreateContainerTxn, CreateSessionTxn, CreateTtlTxn, CreateTxn, DeleteTxn, ErrorTxn, Id, SetAclTxn, SetDataTxn,
    Stat, StatPersisted, TxnHeader,
};
use oxkeeper_proto::txn::{LoggedTxn, Txn};
use oxkeeper_proto::{AclList, ErrorCode, SessionId, Write as _, Zxid, acl};
use oxkeeper_tree::{Change, ChangeSink, NoopSink, Tree, TreeOptions, View, digest, snapshot};
use std::collections::{BTreeMap, BTreeSet};

struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

#[derive(Clone, Debug, PartialEq)]
struct Node {
    data: Option<Vec<u8>>,
    acl: AclList,
    stat: StatPersisted,
}

#[derive(Clone, Debug)]
struct Model {
    /// The root is "".
    nodes: BTreeMap<String, Node>,
    sessions: BTreeMap<i64, i32>,
    changes: Vec<String>,
}

fn parent(path: &str) -> &str {
    &path[..path.rfind('/').unwrap()]
}

impl Model {
    fn new() -> Self {
        let node = |acl, aversion| Node { data: Some(vec![]), acl, stat: StatPersisted { aversion, ..StatPersisted::default() } };
        let nodes = [
            (String::new(), node(acl::open(), 0)),
            ("/zookeeper".into(), node(acl::open(), 0)),
            ("/zookeeper/quota".into(), node(acl::open(), 0)),
            ("/zookeeper/config".into(), node(acl::read_only(), -1)),
        ];
        Self { nodes: nodes.into(), sessions: BTreeMap::new(), changes: vec![] }
    }

    fn children(&self, path: &str) -> Vec<&str> {
        let prefix = format!("{path}/");
        let below = self.nodes.range(prefix.clone()..).take_while(|(p, _)| p.starts_with(&prefix));
        below.map(|(p, _)| &p[prefix.len()..]).filter(|name| !name.contains('/')).collect()
    }

    fn stat(&self, path: &str) -> Stat {
        let node = &self.nodes[path];
        let n = self.children(path).len() as i32;
        let s = node.stat;
        Stat {
            czxid: s.czxid,
            mzxid: s.mzxid,
            ctime: s.ctime,
            mtime: s.mtime,
            version: s.version,
            cversion: s.cversion * 2 - n,
            aversion: s.aversion,
            ephemeral_owner: if s.ephemeral_owner > 0 { s.ephemeral_owner } else { 0 },
            data_length: node.data.as_ref().map_or(0, Vec::len) as i32,
            num_children: n,
            pzxid: s.pzxid,
        }
    }

    fn digest(&self) -> u64 {
        let digest =
            |(path, node): (&String, &Node)| digest::node_digest(path, digest::content_crc(path, node.data.as_deref()), &node.stat);
        self.nodes.iter().map(digest).fold(0, u64::wrapping_add)
    }

    fn size(&self) -> i64 {
        let size = |(path, node): (&String, &Node)| path.encode_utf16().count() + node.data.as_ref().map_or(0, Vec::len);
        1 + self.nodes.iter().map(size).sum::<usize>() as i64
    }

    #[allow(clippy::too_many_arguments)]
    fn create(
        &mut self,
        path: &str,
        data: Option<&[u8]>,
        list: Option<&Vec<Acl<'_>>>,
        cversion: i32,
        owner: i64,
        h: &TxnHeader,
        bump: bool,
    ) -> ErrorCode {
        let list = list.map_or_else(acl::open, |l| acl::from_records(l));
        let above = parent(path).to_string();
        let Some(parent_now) = self.nodes.get(&above).cloned() else { return ErrorCode::NO_NODE };
        let exists = self.nodes.contains_key(path);
        if let Some(node) = self.nodes.get_mut(path) {
            node.acl = list.clone();
        }
        if !exists || bump {
            let above = self.nodes.get_mut(&above).unwrap();
            let cversion = if cversion == -1 { above.stat.cversion + 1 } else { cversion };
            if cversion > above.stat.cversion {
                above.stat.cversion = cversion;
                above.stat.pzxid = h.zxid;
            }
        }
        if exists {
            return ErrorCode::NODE_EXISTS;
        }
        let stat = StatPersisted {
            czxid: h.zxid,
            mzxid: h.zxid,
            pzxid: h.zxid,
            ctime: h.time,
            mtime: h.time,
            ephemeral_owner: owner,
            ..StatPersisted::default()
        };
        self.changes.push(format!("{} created {path} {list:?} {:?}", h.zxid, parent_now.acl));
        self.nodes.insert(path.into(), Node { data: data.map(<[u8]>::to_vec), acl: list, stat });
        ErrorCode::OK
    }

    fn delete(&mut self, path: &str, zxid: i64) -> ErrorCode {
        let Some(above) = self.nodes.get_mut(parent(path)) else { return ErrorCode::NO_NODE };
        above.stat.pzxid = above.stat.pzxid.max(zxid);
        let parent_acl = above.acl.clone();
        let Some(node) = self.nodes.remove(path) else { return ErrorCode::NO_NODE };
        let prefix = format!("{path}/");
        self.nodes.retain(|p, _| !p.starts_with(&prefix));
        self.changes.push(format!("{zxid} deleted {path} {:?} {parent_acl:?}", node.acl));
        ErrorCode::OK
    }

    fn apply(&mut self, h: &TxnHeader, txn: &Txn<'_>) -> ErrorCode {
        match txn {
            Txn::CreateSession(t) => {
                self.sessions.insert(h.client_id, t.time_out);
                ErrorCode::OK
            }
            Txn::CloseSession(t) => {
                self.sessions.remove(&h.client_id);
                for path in t.iter().flat_map(|t| t.paths2_delete.iter().flatten().flatten()) {
                    self.delete(path, h.zxid);
                }
                let mut own = self.owned(h.client_id);
                // The order of what is not listed is nobody's promise: only the last change is checked.
                own.sort();
                for path in own {
                    self.delete(&path, h.zxid);
                }
                ErrorCode::OK
            }
            Txn::Create(t) | Txn::Create2(t) => {
                let owner = if t.ephemeral { h.client_id } else { 0 };
                let bump = matches!(txn, Txn::Create(_));
                self.create(t.path.as_ref().unwrap(), t.data, t.acl.as_ref(), t.parent_c_version, owner, h, bump)
            }
            Txn::CreateTtl(t) => {
                let owner = (0xff << 56) | t.ttl;
                self.create(t.path.as_ref().unwrap(), t.data, t.acl.as_ref(), t.parent_c_version, owner, h, false)
            }
            Txn::CreateContainer(t) => {
                self.create(t.path.as_ref().unwrap(), t.data, t.acl.as_ref(), t.parent_c_version, i64::MIN, h, false)
            }
            Txn::Delete(t) | Txn::DeleteContainer(t) => self.delete(t.path.as_ref().unwrap(), h.zxid),
            Txn::SetData(t) | Txn::Reconfig(t) => {
                let path = t.path.as_ref().unwrap();
                let key = if path == "/" { "" } else { path };
                let Some(node) = self.nodes.get_mut(key) else { return ErrorCode::NO_NODE };
                node.data = t.data.map(<[u8]>::to_vec);
                node.stat.version = t.version;
                node.stat.mzxid = h.zxid;
                node.stat.mtime = h.time;
                self.changes.push(format!("{} set {path} {:?}", h.zxid, node.acl));
                ErrorCode::OK
            }
            Txn::SetAcl(t) => {
                let Some(node) = self.nodes.get_mut(&**t.path.as_ref().unwrap()) else { return ErrorCode::NO_NODE };
                node.acl = t.acl.as_ref().map_or_else(acl::open, |l| acl::from_records(l));
                node.stat.aversion = t.version;
                ErrorCode::OK
            }
            Txn::Check(_) => ErrorCode::OK,
            Txn::Error(t) => ErrorCode(t.err),
            Txn::Multi(txns) => {
                if let Some(at) = txns.iter().position(|t| matches!(t, Txn::Error(_))) {
                    let Txn::Error(t) = &txns[at] else { unreachable!() };
                    return ErrorCode(t.err);
                }
                txns.iter().map(|t| self.apply(h, t)).fold(ErrorCode::OK, |first, err| if first == ErrorCode::OK { err } else { first })
            }
        }
    }

    fn owned(&self, owner: i64) -> Vec<String> {
        self.nodes.iter().filter(|(_, n)| n.stat.ephemeral_owner == owner).map(|(p, _)| p.clone()).collect()
    }

    fn compare(&self, tree: &Tree) {
        assert_eq!(tree.node_count(), self.nodes.len() + 1);
        assert_eq!(tree.digest(), self.digest());
        for (path, node) in &self.nodes {
            let found = tree.get(path).unwrap_or_else(|| panic!("{path} is missing"));
            assert_eq!(found.stat(), self.stat(path), "{path}");
            assert_eq!(found.persisted(), node.stat, "{path}");
            assert_eq!(found.data(), node.data.as_deref(), "{path}");
            assert_eq!(*found.acl(), node.acl, "{path}");
            assert_eq!(found.path(), if path.is_empty() { "/" } else { path });
            assert_eq!(found.content_crc(), digest::content_crc(path, node.data.as_deref()));
            let listed: BTreeSet<&str> = found.children().collect();
            assert_eq!(listed, self.children(path).into_iter().collect(), "{path}");
            let below = self.nodes.keys().filter(|p| p.starts_with(&format!("{path}/"))).count();
            assert_eq!(tree.all_children_number(path), below + usize::from(path.is_empty()), "{path}");
        }
        assert!(tree.sessions().map(|(id, timeout_ms)| (id.0, timeout_ms)).eq(self.sessions.iter().map(|(a, b)| (*a, *b))));
        let mut ephemerals = 0;
        for owner in 1..6 {
            let mut own: Vec<String> = tree.ephemerals(SessionId(owner)).collect();
            own.sort();
            ephemerals += own.len();
            assert_eq!(own, self.owned(owner));
            let is_orphan = !own.is_empty() && !self.sessions.contains_key(&owner);
            assert_eq!(tree.orphaned_owners().contains(&SessionId(owner)), is_orphan);
        }
        assert_eq!(tree.ephemeral_count(), ephemerals);
    }

    /// The body that Java would write: depth first.
    fn body(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.int(self.sessions.len() as i32);
        for (id, timeout_ms) in &self.sessions {
            out.long(*id);
            out.int(*timeout_ms);
        }
        let lists: Vec<AclList> =
            self.nodes.values().map(|n| n.acl.clone()).collect::<oxkeeper_proto::collections::HashSet<_>>().into_iter().collect();
        out.int(lists.len() as i32);
        for (id, list) in lists.iter().enumerate() {
            out.long(id as i64 * 3 + 1);
            out.vector(Some(&acl::to_records(list)), |out, a| oxkeeper_proto::Record::write(a, out));
        }
        let mut left = vec![String::new()];
        while let Some(path) = left.pop() {
            let node = &self.nodes[&path];
            out.ustring(Some(&path));
            out.buffer(node.data.as_deref());
            out.long(lists.iter().position(|l| *l == node.acl).unwrap() as i64 * 3 + 1);
            oxkeeper_proto::Record::write(&node.stat, &mut out);
            left.extend(self.children(&path).into_iter().map(|name| format!("{path}/{name}")));
        }
        out.ustring(Some("/"));
        out
    }
}

#[derive(Default)]
struct Heard(Vec<String>);

impl ChangeSink for Heard {
    fn change(&mut self, zxid: Zxid, change: &Change<'_>) {
        self.0.push(match change {
            Change::Created { path, acl, parent_acl } => format!("{} created {path} {acl:?} {parent_acl:?}", zxid.0),
            Change::Deleted { path, acl, parent_acl } => format!("{} deleted {path} {acl:?} {parent_acl:?}", zxid.0),
            Change::DataChanged { path, acl } => format!("{} set {path} {acl:?}", zxid.0),
        });
    }
}

const OPTIONS: TreeOptions = TreeOptions { extended_types: true, emulate_353_ttl: false, digest_enabled: true };

fn some_path(r: &mut Random) -> String {
    // Few names, so that transactions meet; some under a parent with many children.
    if r.below(3) == 0 {
        return format!("/big/child-{}", r.below(900));
    }
    let depth = 1 + r.below(4);
    let mut path = String::new();
    for _ in 0..depth {
        path += ["/a", "/b", "/big", "/\u{fc}nicode", "/\u{20ac}uro", "/zookeeper"][r.below(6) as usize];
    }
    path
}

const DATA: &[u8] = &[b'd'; 3000];

fn some_data(r: &mut Random) -> Option<&'static [u8]> {
    match r.below(6) {
        0 => None,
        1 => Some(&DATA[..r.below(3000) as usize]),
        _ => Some(&DATA[..r.below(4) as usize]),
    }
}

fn some_acl(r: &mut Random) -> Option<Vec<Acl<'static>>> {
    let entry = |perms, id: String| Acl { perms, id: Id { scheme: Some("digest".into()), id: Some(id.into()) } };
    match r.below(4) {
        0 => None,
        1 => Some(vec![]),
        _ => Some((0..r.below(3)).map(|_| entry(r.below(32) as i32, format!("user{}", r.below(5)))).collect()),
    }
}

/// Any transaction, also such as only a replay over a fuzzy snapshot meets.
fn some_txn(r: &mut Random, model: &Model, in_multi: bool) -> Txn<'static> {
    let path = some_path(r);
    let current = model.nodes.get(parent(&path)).map_or(0, |n| n.stat.cversion);
    let parent_c_version = match r.below(8) {
        0 => -1,
        1 => current - r.below(3) as i32,
        _ => current + 1,
    };
    let (data, acl, ephemeral) = (some_data(r), some_acl(r), r.below(4) == 0);
    let path = Some(path.into());
    match r.below(if in_multi { 12 } else { 17 }) {
        0..=3 => Txn::Create(CreateTxn { path, data, acl, ephemeral, parent_c_version }),
        4 => Txn::Create2(CreateTxn { path, data, acl, ephemeral, parent_c_version }),
        5 => Txn::CreateContainer(CreateContainerTxn { path, data, acl, parent_c_version }),
        6 => Txn::CreateTtl(CreateTtlTxn { path, data, acl, parent_c_version, ttl: 1 + r.below(3) as i64 }),
        7..=8 => Txn::Delete(DeleteTxn { path }),
        9..=10 => Txn::SetData(SetDataTxn { path, data, version: r.below(9) as i32 }),
        11 if in_multi && r.below(8) == 0 => Txn::Error(ErrorTxn { err: -101 }),
        11 => Txn::SetData(SetDataTxn { path: Some("/".into()), data, version: 3 }),
        12 => Txn::SetAcl(SetAclTxn { path, acl, version: r.below(3) as i32 }),
        13 => Txn::CreateSession(CreateSessionTxn { time_out: 1000 + r.below(5) as i32 }),
        14 => {
            let listed = (0..r.below(3)).map(|_| Some(some_path(r).into())).collect();
            Txn::CloseSession((r.below(2) == 0).then_some(CloseSessionTxn { paths2_delete: Some(listed) }))
        }
        15 => Txn::Error(ErrorTxn { err: -110 }),
        _ => Txn::Multi((0..r.below(5)).map(|_| some_txn(r, model, true)).collect()),
    }
}

fn finish(mut view: View, tree: &mut Tree, mut body: Vec<u8>, at: &(Model, i64)) {
    while !view.next_chunk(tree, &mut body, 4096) {}
    assert_eq!((view.zxid(), view.digest()), (Zxid(at.1), at.0.digest()));
    tree.end_view(view);
    let mut rest = &body[..];
    let loaded = snapshot::load(&mut rest, OPTIONS).unwrap();
    assert!(rest.is_empty());
    at.0.compare(&loaded);
    assert_eq!(loaded.approximate_data_size(), at.0.size() + at.0.nodes[""].data.as_ref().map_or(0, Vec::len) as i64);
}

fn run(seed: u64, steps: u32) {
    let mut r = Random(seed);
    let mut model = Model::new();
    let mut tree = Tree::new(OPTIONS);
    let mut view: Option<(View, Vec<u8>, (Model, i64))> = None;
    let mut views = 0;
    for step in 1..=steps {
        let header =
            TxnHeader { client_id: 1 + r.below(5) as i64, zxid: i64::from(step), time: 7_000 + i64::from(step), ..TxnHeader::default() };
        let txn = if step == 1 {
            Txn::Create(CreateTxn { path: Some("/big".into()), parent_c_version: 1, ..CreateTxn::default() })
        } else {
            some_txn(&mut r, &model, false)
        };
        let mut heard = Heard::default();
        model.changes.clear();
        let expected = model.apply(&header, &txn);
        let is_close = matches!(txn, Txn::CloseSession(_));
        let logged = LoggedTxn { header, txn, digest: None };
        let applied = tree.apply(&logged, &mut heard);
        assert_eq!((applied.err, applied.digest_mismatch), (expected, None), "{logged:?}");
        if is_close {
            heard.0.sort();
            model.changes.sort();
        }
        assert_eq!(heard.0, model.changes, "{logged:?}");
        assert_eq!(tree.last_zxid(), Zxid(i64::from(step)));
        let root_data = |m: &Model| m.nodes[""].data.as_ref().map_or(0, Vec::len) as i64;
        // In a tree that runs, Java counts the root's data once.
        assert_eq!(tree.approximate_data_size(), model.size(), "root {}", root_data(&model));
        if step % 97 == 0 {
            model.compare(&tree);
        }
        match &mut view {
            None if r.below(20) == 0 => {
                view = Some((tree.begin_view().unwrap(), Vec::new(), (model.clone(), i64::from(step))));
                assert!(tree.begin_view().is_err());
            }
            None => {}
            Some((it, body, _)) => {
                let is_done = r.below(2) == 0 && it.next_chunk(&tree, body, 1 + r.below(1000) as usize);
                if is_done || r.below(200) == 0 {
                    let (it, body, at) = view.take().unwrap();
                    finish(it, &mut tree, body, &at);
                    views += 1;
                }
            }
        }
    }
    assert!(views > 5, "{views} views");
    if let Some((it, body, at)) = view {
        finish(it, &mut tree, body, &at);
    }
    model.compare(&tree);
    let loaded = snapshot::load(&mut &*model.body(), OPTIONS).unwrap();
    model.compare(&loaded);
    // Every kind of change after loading works on the loaded tree too.
    let mut loaded = loaded;
    for step in steps + 1..steps + 300 {
        let header = TxnHeader { client_id: 1 + r.below(5) as i64, zxid: i64::from(step), ..TxnHeader::default() };
        let txn = some_txn(&mut r, &model, false);
        let expected = model.apply(&header, &txn);
        assert_eq!(loaded.apply(&LoggedTxn { header, txn, digest: None }, &mut NoopSink).err, expected);
    }
    model.compare(&loaded);
}

#[test]
fn random_transactions_do_what_they_do_in_the_model() {
    for seed in 0..12 {
        run(seed, 2500);
    }
}

#[test]
fn damaged_bodies_are_refused_or_read_but_never_break_the_loader() {
    let mut r = Random(99);
    let mut model = Model::new();
    for step in 1..400 {
        let header = TxnHeader { client_id: 1 + r.below(5) as i64, zxid: step, ..TxnHeader::default() };
        let txn = some_txn(&mut r, &model, false);
        model.apply(&header, &txn);
    }
    let body = model.body();
    for end in (0..body.len()).step_by(7) {
        assert!(snapshot::load(&mut &body[..end], OPTIONS).is_err(), "cut at {end}");
    }
    for _ in 0..3000 {
        let mut damaged = body.clone();
        for _ in 0..=r.below(3) {
            let at = r.below(damaged.len() as u64) as usize;
            damaged[at] = match r.below(3) {
                0 => 0xff,
                1 => 0,
                _ => r.below(256) as u8,
            };
        }
        if let Ok(tree) = snapshot::load(&mut std::io::BufReader::with_capacity(300, &*damaged), OPTIONS) {
            // What loads is a tree: every node is listed by its parent and found by its path.
            let mut left = vec![String::new()];
            let mut seen = 0;
            while let Some(path) = left.pop() {
                seen += 1;
                left.extend(tree.get(&path).expect("listed").children().map(|name| format!("{path}/{name}")));
            }
            assert_eq!(seen + 1, tree.node_count());
        }
    }
}
