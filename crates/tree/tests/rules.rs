//! Rules of the protocol as tables: what Java does, with the numbers that it was seen to give.

use oxkeeper_proto::records::{
    Acl, CheckVersionTxn, CloseSessionTxn, CreateContainerTxn, CreateSessionTxn, CreateTtlTxn, CreateTxn, DeleteTxn, ErrorTxn, Id,
    SetAclTxn, SetDataTxn, StatPersisted, TxnDigest, TxnHeader,
};
use oxkeeper_proto::txn::{DIGEST_VERSION, LoggedTxn, Txn};
use oxkeeper_proto::{ErrorCode, OpCode, Record as _, SessionId, Write as _, Zxid, acl};
use oxkeeper_tree::snapshot::{self, LoadError};
use oxkeeper_tree::{Applied, DigestMismatch, NoopSink, OpResult, StatsTrack, Tree, TreeOptions};

fn tree() -> Tree {
    Tree::new(TreeOptions::default())
}

fn apply_by(tree: &mut Tree, session: i64, zxid: i64, txn: Txn<'_>) -> Applied {
    let header = TxnHeader { client_id: session, zxid, time: 1000 * zxid, ..TxnHeader::default() };
    tree.apply(&LoggedTxn { header, txn, digest: None }, &mut NoopSink)
}

fn apply(tree: &mut Tree, zxid: i64, txn: Txn<'_>) -> ErrorCode {
    apply_by(tree, 7, zxid, txn).err
}

fn new<'a>(path: &'a str, data: &'a [u8], parent_c_version: i32) -> CreateTxn<'a> {
    CreateTxn { path: Some(path.into()), data: Some(data), acl: None, ephemeral: false, parent_c_version }
}

fn create<'a>(path: &'a str, data: &'a [u8]) -> Txn<'a> {
    Txn::Create(new(path, data, -1))
}

fn set<'a>(path: &'a str, data: &'a [u8]) -> Txn<'a> {
    Txn::SetData(SetDataTxn { path: Some(path.into()), data: Some(data), version: 1 })
}

fn delete(path: &str) -> Txn<'_> {
    Txn::Delete(DeleteTxn { path: Some(path.into()) })
}

fn text<'a>(tree: &'a Tree, path: &str) -> &'a str {
    std::str::from_utf8(tree.get(path).unwrap().data().unwrap()).unwrap()
}

fn body(tree: &mut Tree) -> Vec<u8> {
    let mut out = Vec::new();
    let mut view = tree.begin_view().unwrap();
    while !view.next_chunk(tree, &mut out, 50) {}
    tree.end_view(view);
    out
}

fn load(mut bytes: &[u8]) -> Result<Tree, LoadError> {
    snapshot::load(&mut bytes, TreeOptions::default())
}

fn adler32(bytes: &[u8]) -> u32 {
    let (a, b) = bytes.iter().fold((1u32, 0u32), |(a, b), byte| ((a + u32::from(*byte)) % 65521, (b + a + u32::from(*byte)) % 65521));
    b << 16 | a
}

/// A fresh Java server's `snapshot.0` has the first seal 0xb8a23b49 over header and body.
#[test]
fn a_fresh_body_is_javas_but_for_the_order_of_siblings() {
    let body = body(&mut tree());
    let config_at = body.windows(21).position(|w| w == b"\0\0\0\x11/zookeeper/config").unwrap();
    let quota_at = body.windows(20).position(|w| w == b"\0\0\0\x10/zookeeper/quota").unwrap();
    let end = body.len() - 5;
    assert!(quota_at < config_at && config_at < end);
    let mut java = b"ZKSN\0\0\0\x02\xff\xff\xff\xff\xff\xff\xff\xff".to_vec();
    java.extend_from_slice(&body[..quota_at]);
    java.extend_from_slice(&body[config_at..end]);
    java.extend_from_slice(&body[quota_at..config_at]);
    java.extend_from_slice(&body[end..]);
    assert_eq!(adler32(&java), 0xb8a2_3b49);
    let loaded = load(&java[16..]).unwrap();
    assert_eq!((loaded.node_count(), loaded.approximate_data_size(), loaded.digest()), (5, 44, 1_371_985_504));
}

#[test]
fn digests_of_further_kinds_of_transactions_are_those_that_java_announced() {
    // Times are not in the vector that has the digests, but each is the next within a few ms.
    let base = 0x1a2_015b_f1e5;
    let session = 0x0100_0012_6cb8_0000;
    let open = || Some(acl::to_records(&acl::open()).into_iter().map(|a| Acl { perms: a.perms, id: id_of(&a) }).collect());
    fn id_of(a: &Acl<'_>) -> Id<'static> {
        let own = |t: &Option<std::borrow::Cow<'_, str>>| t.as_ref().map(|t| t.to_string().into());
        Id { scheme: own(&a.id.scheme), id: own(&a.id.id) }
    }
    let steps: [(i64, Txn<'static>, u64); 4] = [
        (3, Txn::Create2(CreateTxn { acl: open(), ..new("/a/b", b"x", 1) }), 0x8f00_a4bb),
        (4, Txn::Create(CreateTxn { acl: open(), ..new("/a/s-0000000001", b"", 2) }), 0x1_a2f0_a322),
        (5, Txn::Create2(CreateTxn { acl: open(), data: None, ephemeral: true, ..new("/a/s-0000000002", b"", 3) }), 0x2_8d03_541d),
        (6, Txn::SetData(SetDataTxn { path: Some("/a".into()), data: Some(b"world"), version: 1 }), 0x1_c216_e11a),
    ];
    let first = Txn::Create(CreateTxn { acl: open(), ..new("/a", b"hello", 1) });
    let mut payloads = Vec::new();
    let header = |zxid, time| TxnHeader { client_id: session, zxid, time, ..TxnHeader::default() };
    payloads.push(LoggedTxn { header: header(2, base), txn: first, digest: None });
    let mut found = 0;
    for (zxid, txn, announced) in steps {
        // The time is looked for: only the right one gives the announced digest.
        let hit = (0..200).find(|ms| {
            let mut tree = tree();
            for before in &payloads {
                tree.apply(before, &mut NoopSink);
            }
            let time = payloads.last().unwrap().header.time + ms;
            tree.apply(&LoggedTxn { header: header(zxid, time), txn: txn.clone(), digest: None }, &mut NoopSink);
            tree.digest() == announced
        });
        let Some(ms) = hit else { break };
        found += 1;
        let time = payloads.last().unwrap().header.time + ms;
        payloads.push(LoggedTxn { header: header(zxid, time), txn, digest: None });
    }
    assert_eq!(found, 4, "all four digests are ones that Java announced");
}

#[test]
fn stats_tracks_are_read_and_written_as_java_does() {
    // Text; count, bytes, hard count, hard bytes; written again.
    type Row = (&'static str, Option<([i64; 4], &'static str)>);
    let rows: [Row; 20] = [
        ("", Some(([-1; 4], "count=-1,bytes=-1"))),
        ("count=2,bytes=5", Some(([2, 5, -1, -1], "count=2,bytes=5"))),
        ("bytes=5,count=2", Some(([2, 5, -1, -1], "count=2,bytes=5"))),
        ("count=2,bytes=5=;byteHardLimit=7", Some(([2, 5, -1, 7], "count=2,bytes=5=;byteHardLimit=7"))),
        ("count=2,bytes=5=;countHardLimit=9;byteHardLimit=7", Some(([2, 5, 9, 7], "count=2,bytes=5=;byteHardLimit=7;countHardLimit=9"))),
        ("countHardLimit=9", Some(([-1, -1, 9, -1], "count=-1,bytes=-1=;countHardLimit=9"))),
        ("count=1,,;;bytes=2", Some(([1, 2, -1, -1], "count=1,bytes=2"))),
        ("count=1,count=3", Some(([3, -1, -1, -1], "count=3,bytes=-1"))),
        ("count=1,other=4", Some(([1, -1, -1, -1], "count=1,bytes=-1=;other=4"))),
        ("count==4", Some(([-1, -1, -1, -1], "count=-1,bytes=-1"))),
        ("count=+4;", Some(([4, -1, -1, -1], "count=4,bytes=-1"))),
        ("count=1=2=3", Some(([1, -1, -1, -1], "count=1,bytes=-1"))),
        (",;,", Some(([-1; 4], "count=-1,bytes=-1"))),
        (",count=1", None),
        ("count", None),
        ("count=", None),
        ("count=x", None),
        ("count= 1", None),
        ("count=9223372036854775808", None),
        ("=", None),
    ];
    for (text, expected) in rows {
        let read = StatsTrack::parse(text).ok().map(|s| ([s.count(), s.bytes(), s.count_hard_limit(), s.byte_hard_limit()], s.to_string()));
        assert_eq!(read, expected.map(|(values, text)| (values, text.to_string())), "{text:?}");
    }
}

#[test]
fn quotas_count_what_comes_and_goes() {
    let mut tree = tree();
    let stats = "/zookeeper/quota/a/zookeeper_stats";
    let mut zxid = 0;
    let mut step = |tree: &mut Tree, txn| {
        zxid += 1;
        assert_eq!(apply(tree, zxid, txn), ErrorCode::OK);
    };
    for (path, data) in [("/a", "x"), ("/a/b", "yz"), ("/ab", "no part"), ("/zookeeper/quota/a", "")] {
        step(&mut tree, create(path, data.as_bytes()));
    }
    assert_eq!(tree.quota("/a/b"), None);
    step(&mut tree, create("/zookeeper/quota/a/zookeeper_limits", b"count=3,bytes=-1=;byteHardLimit=100"));
    assert_eq!((tree.quota_root("/a"), tree.quota("/a")), (Some("/a"), None));
    step(&mut tree, create(stats, b"count=0,bytes=0"));
    assert_eq!(text(&tree, stats), "count=2,bytes=3");
    let before = (tree.get(stats).unwrap().persisted(), tree.digest(), tree.approximate_data_size());
    let rows: [(Txn<'static>, &str); 6] = [
        (create("/a/c", b"12345"), "count=3,bytes=8"),
        (set("/a/c", b"1"), "count=3,bytes=4"),
        (create("/ab/c", b"12345"), "count=3,bytes=4"),
        (delete("/a/b"), "count=2,bytes=2"),
        (set("/a", b""), "count=2,bytes=1"),
        (Txn::SetAcl(SetAclTxn { path: Some("/a".into()), acl: None, version: 1 }), "count=2,bytes=1"),
    ];
    for (txn, expected) in rows {
        step(&mut tree, txn);
        assert_eq!(text(&tree, stats), expected);
    }
    assert_eq!(tree.get(stats).unwrap().persisted(), before.0);
    assert_eq!(tree.approximate_data_size(), before.2 + 9 - 4 + 10 - 6 - 1);
    let quota = tree.quota("/a/c/d").unwrap();
    assert_eq!((&*quota.root, quota.limit.count(), quota.limit.byte_hard_limit(), quota.usage.count()), ("/a", 3, 100, 2));
    assert_eq!(tree.quotas().count(), 1);
    assert_eq!((tree.quota_root("/ab"), tree.quota_root("/"), tree.quota_root("/a")), (None, None, Some("/a")));
    // A quota below takes over; loading counts anew.
    step(&mut tree, create("/zookeeper/quota/a/c", b""));
    step(&mut tree, create("/zookeeper/quota/a/c/zookeeper_limits", b"count=9,bytes=9"));
    step(&mut tree, create("/zookeeper/quota/a/c/zookeeper_stats", b""));
    step(&mut tree, create("/a/c/e", b"ee"));
    assert_eq!((text(&tree, stats), text(&tree, "/zookeeper/quota/a/c/zookeeper_stats")), ("count=2,bytes=1", "count=2,bytes=3"));
    let loaded = load(&body(&mut tree)).unwrap();
    assert_eq!((text(&loaded, stats), text(&loaded, "/zookeeper/quota/a/c/zookeeper_stats")), ("count=3,bytes=3", "count=2,bytes=3"));
    assert_eq!((loaded.quota_root("/a/c/x"), loaded.quota_root("/a/x"), loaded.digest()), (Some("/a/c"), Some("/a"), tree.digest()));
    step(&mut tree, delete("/zookeeper/quota/a/c/zookeeper_limits"));
    assert_eq!(tree.quota_root("/a/c/e"), Some("/a"));
    step(&mut tree, delete("/zookeeper/quota/a/zookeeper_limits"));
    assert_eq!(tree.quota_root("/a/c/e"), None);
}

#[test]
fn replay_over_a_snapshot_that_holds_later_effects() {
    // The transaction; its code; then cversion and pzxid of /p, which begin as 5 and 50.
    let container = CreateContainerTxn { path: Some("/p/x".into()), data: None, acl: None, parent_c_version: 9 };
    let rows: [(Txn<'static>, i32, i32, i64); 11] = [
        (Txn::Create(new("/p/x", b"", 9)), -110, 9, 60),
        (Txn::Create(new("/p/x", b"", 5)), -110, 5, 50),
        (Txn::Create(new("/p/x", b"", -1)), -110, 6, 60),
        (Txn::Create2(new("/p/x", b"", 9)), -110, 5, 50),
        (Txn::CreateContainer(container), -110, 5, 50),
        (Txn::Create(new("/p/y", b"", 4)), 0, 5, 50),
        (Txn::Create(new("/p/y", b"", -1)), 0, 6, 60),
        (Txn::Create(new("/q/y", b"", 1)), -101, 5, 50),
        (delete("/p/none"), -101, 5, 60),
        (set("/p/none", b""), -101, 5, 50),
        (Txn::Multi(vec![Txn::Create(new("/p/x", b"", 9))]), -110, 9, 60),
    ];
    for (txn, err, cversion, pzxid) in rows {
        let mut tree = tree();
        apply(&mut tree, 1, create("/p", b""));
        apply(&mut tree, 50, Txn::Create(new("/p/x", b"", 5)));
        let what = format!("{txn:?}");
        assert_eq!(apply(&mut tree, 60, txn), ErrorCode(err), "{what}");
        let stat = tree.get("/p").unwrap().persisted();
        assert_eq!((stat.cversion, stat.pzxid), (cversion, pzxid), "{what}");
    }
    // A late delete does not take pzxid back.
    let mut tree = tree();
    apply(&mut tree, 1, create("/p", b""));
    apply(&mut tree, 50, create("/p/x", b""));
    assert_eq!(apply(&mut tree, 40, delete("/p/x")), ErrorCode::OK);
    assert_eq!((tree.get("/p").unwrap().stat().pzxid, tree.last_zxid()), (50, Zxid(50)));
    // A session's end deletes what is listed whoever owns it, then what else is its own.
    apply(&mut tree, 51, create("/p/listed", b""));
    apply_by(&mut tree, 7, 52, Txn::Create(CreateTxn { ephemeral: true, ..new("/p/own", b"", -1) }));
    let listed = CloseSessionTxn { paths2_delete: Some(vec![Some("/p/listed".into()), Some("/p/gone".into())]) };
    apply_by(&mut tree, 7, 53, Txn::CloseSession(Some(listed)));
    assert_eq!(tree.get("/p").unwrap().child_count(), 0);
}

#[test]
fn the_sequence_counter_sticks_at_its_highest() {
    let mut tree = tree();
    apply(&mut tree, 1, create("/p", b""));
    apply(&mut tree, 2, Txn::Create(new("/p/a", b"", i32::MAX)));
    apply(&mut tree, 3, Txn::Create(new("/p/b", b"", i32::MIN)));
    apply(&mut tree, 4, create("/p/c", b""));
    let node = tree.get("/p").unwrap();
    assert_eq!((node.cversion(), node.stat().cversion, node.stat().num_children), (i32::MAX, -5, 3));
}

#[test]
fn a_multi_gives_one_result_for_each_part_or_applies_nothing() {
    let mut tree = tree();
    let check = || Txn::Check(CheckVersionTxn { path: Some("/m".into()), version: 0 });
    let applied = apply_by(
        &mut tree,
        7,
        9,
        Txn::Multi(vec![create("/m", b"1"), check(), set("/m", b"22"), Txn::Create2(new("/m/n", b"", 1)), delete("/m/n")]),
    );
    let OpResult::Multi(results) = applied.result else { panic!("{applied:?}") };
    let seen: Vec<_> = results.iter().map(|r| (r.op, r.err.0, r.stat.map(|s| (s.czxid, s.version, s.data_length)))).collect();
    let expected = [
        (OpCode::CREATE, 0, Some((9, 0, 1))),
        (OpCode::CHECK, 0, None),
        (OpCode::SET_DATA, 0, Some((9, 1, 2))),
        (OpCode::CREATE2, 0, Some((9, 0, 0))),
        (OpCode::DELETE, 0, None),
    ];
    assert_eq!(seen, expected);
    assert_eq!(tree.get("/m").unwrap().stat().cversion, 2);
    let before = (tree.digest(), tree.node_count());
    let error = |err| Txn::Error(ErrorTxn { err });
    let applied = apply_by(&mut tree, 7, 10, Txn::Multi(vec![create("/k", b""), error(-101), error(-2)]));
    let OpResult::Multi(results) = &applied.result else { panic!("{applied:?}") };
    let seen: Vec<_> = results.iter().map(|r| (r.op, r.err.0)).collect();
    assert_eq!((applied.err.0, seen), (-101, vec![(OpCode::ERROR, 0), (OpCode::ERROR, -101), (OpCode::ERROR, -2)]));
    assert_eq!((tree.digest(), tree.node_count()), before);
    let empty = apply_by(&mut tree, 7, 11, Txn::Multi(vec![]));
    assert_eq!((empty.err, empty.result, tree.last_zxid()), (ErrorCode::OK, OpResult::Multi(vec![]), Zxid(11)));
}

#[test]
fn containers_and_times_to_live_are_reaped_by_their_rules() {
    let options = TreeOptions { extended_types: true, ..TreeOptions::default() };
    let mut tree = Tree::new(options);
    let container = |path: &'static str| {
        Txn::CreateContainer(CreateContainerTxn { path: Some(path.into()), data: None, acl: None, parent_c_version: -1 })
    };
    let ttl = |path: &'static str, ttl| {
        Txn::CreateTtl(CreateTtlTxn { path: Some(path.into()), data: None, acl: None, parent_c_version: -1, ttl })
    };
    // Times are 1000 ms for each zxid.
    for (zxid, txn) in [
        (1, container("/used")),
        (2, create("/used/x", b"")),
        (3, delete("/used/x")),
        (4, container("/full")),
        (5, create("/full/x", b"")),
        (6, container("/fresh")),
        (7, ttl("/short", 500)),
        (8, ttl("/long", 60_000)),
        (9, ttl("/parent", 1)),
        (10, create("/parent/x", b"")),
        (11, create("/plain", b"")),
    ] {
        assert_eq!(apply(&mut tree, zxid, txn), ErrorCode::OK);
    }
    for bad in [0, -1, 1 << 40] {
        assert_eq!(apply(&mut tree, 12, ttl("/bad", bad)), ErrorCode::BAD_ARGUMENTS);
    }
    assert_eq!(tree.get("/short").unwrap().stat().ephemeral_owner, 0);
    assert_eq!(tree.get("/short").unwrap().persisted().ephemeral_owner, (0xff << 56) | 500);
    assert_eq!(tree.get("/full").unwrap().persisted().ephemeral_owner, i64::MIN);
    assert_eq!(tree.ephemeral_count(), 0);
    let rows: [(i64, i64, &[&str]); 5] = [
        (7_400, 0, &["/used"]),
        (7_500, 0, &["/used"]),
        (7_501, 0, &["/short", "/used"]),
        (7_501, 1_500, &["/fresh", "/short", "/used"]),
        (68_001, 0, &["/long", "/short", "/used"]),
    ];
    for (now_ms, never_used_ms, expected) in rows {
        let mut paths = tree.reapable(now_ms, never_used_ms);
        paths.sort();
        assert_eq!(paths, expected, "at {now_ms} with {never_used_ms}");
    }
    let whole = body(&mut tree);
    let mut loaded = snapshot::load(&mut &*whole, options).unwrap();
    assert_eq!(loaded.reapable(68_001, 0).len(), 3);
    apply(&mut loaded, 20, Txn::DeleteContainer(DeleteTxn { path: Some("/used".into()) }));
    apply(&mut loaded, 21, set("/short", b""));
    assert_eq!(loaded.reapable(21_400, 0), Vec::<String>::new());
    // Without the option the very same owners are sessions that nobody knows.
    let plain = load(&whole).unwrap();
    assert_eq!((plain.ephemeral_count(), plain.orphaned_owners().len()), (3, 3));
    assert_eq!(plain.reapable(68_001, 0), ["/used"]);
    let emulating = TreeOptions { emulate_353_ttl: true, ..options };
    assert_eq!(snapshot::load(&mut &*whole, emulating).unwrap().reapable(68_001, 0).len(), 3);
}

#[test]
fn sessions_and_their_ephemerals() {
    let mut tree = tree();
    let ephemeral = |path| Txn::Create(CreateTxn { ephemeral: true, ..new(path, b"", -1) });
    apply_by(&mut tree, 7, 1, Txn::CreateSession(CreateSessionTxn { time_out: 4000 }));
    for (zxid, session, path) in [(2, 7, "/a"), (3, 7, "/ab"), (4, 7, "/b"), (5, 8, "/orphan")] {
        apply_by(&mut tree, session, zxid, ephemeral(path));
    }
    assert_eq!(tree.get("/a").unwrap().stat().ephemeral_owner, 7);
    for (prefix, expected) in [("", 3), ("/", 3), (" ", 3), ("/a", 2), ("/ab", 1), ("/x", 0)] {
        assert_eq!(tree.ephemerals_with_prefix(SessionId(7), prefix).len(), expected, "{prefix:?}");
    }
    assert_eq!((tree.ephemeral_count(), tree.orphaned_owners()), (4, vec![SessionId(8)]));
    let loaded = load(&body(&mut tree)).unwrap();
    assert_eq!((loaded.session_timeout_ms(SessionId(7)), loaded.orphaned_owners()), (Some(4000), vec![SessionId(8)]));
    tree.kill_session(SessionId(8), Zxid(5), &mut NoopSink);
    assert!(tree.get("/orphan").is_none() && tree.orphaned_owners().is_empty());
    apply_by(&mut tree, 7, 6, Txn::CloseSession(None));
    assert_eq!((tree.ephemeral_count(), tree.session_count(), tree.node_count()), (0, 0, 5));
}

#[test]
fn digests_are_compared_kept_and_left_alone_while_fuzzy() {
    let mut tree = tree();
    let with = |zxid, version, tree_digest| LoggedTxn {
        header: TxnHeader { zxid, ..TxnHeader::default() },
        txn: Txn::Error(ErrorTxn { err: -101 }),
        digest: Some(TxnDigest { version, tree_digest }),
    };
    let actual = tree.digest();
    let wrong = |zxid| Some(DigestMismatch { zxid: Zxid(zxid), announced: 1, actual });
    assert_eq!(tree.apply(&with(1, DIGEST_VERSION, actual as i64), &mut NoopSink).digest_mismatch, None);
    assert_eq!(tree.apply(&with(2, DIGEST_VERSION, 1), &mut NoopSink).digest_mismatch, wrong(2));
    assert_eq!(tree.apply(&with(3, 1, 1), &mut NoopSink).digest_mismatch, None);
    tree.expect_digest_at(Zxid(5), Some(1));
    assert_eq!(tree.apply(&with(4, DIGEST_VERSION, 1), &mut NoopSink).digest_mismatch, None);
    assert_eq!(tree.apply(&with(5, DIGEST_VERSION, actual as i64), &mut NoopSink).digest_mismatch, wrong(5));
    assert_eq!(tree.apply(&with(6, DIGEST_VERSION, 1), &mut NoopSink).digest_mismatch, wrong(6));
    for zxid in 7..=128 * 1026 {
        tree.apply(&with(zxid, DIGEST_VERSION, actual as i64), &mut NoopSink);
    }
    let history: Vec<_> = tree.digest_history().collect();
    assert_eq!((history.len(), history[0], history[1023].0), (1024, (Zxid(128 * 3), actual), Zxid(128 * 1026)));
    let mut off = Tree::new(TreeOptions { digest_enabled: false, ..TreeOptions::default() });
    assert_eq!(off.apply(&with(1, DIGEST_VERSION, 1), &mut NoopSink).digest_mismatch, None);
    assert_eq!(off.digest(), 0);
}

fn raw_node(out: &mut Vec<u8>, path: &str, acl: i64, owner: i64) {
    out.ustring(Some(path));
    out.buffer(Some(b""));
    out.long(acl);
    StatPersisted { ephemeral_owner: owner, ..StatPersisted::default() }.write(out);
}

fn raw_body(nodes: &[(&str, i64, i64)]) -> Vec<u8> {
    let mut out = Vec::new();
    out.int(0);
    out.int(2);
    for id in [4, 9] {
        out.long(id);
        out.vector(Some(&acl::to_records(&acl::read_only())), |out, a| a.write(out));
    }
    for (path, acl, owner) in nodes {
        raw_node(&mut out, path, *acl, *owner);
    }
    out.ustring(Some("/"));
    out
}

#[test]
fn bodies_that_cannot_be_are_refused_and_say_why() {
    type Row = (&'static [(&'static str, i64, i64)], &'static str);
    let rows: [Row; 7] = [
        (&[], "the first node is not the root"),
        (&[("/a", 4, 0)], "the first node is not the root"),
        (&[("", 4, 0), ("/a/b", 4, 0)], "Invalid Datatree, unable to find parent of path /a/b"),
        (&[("", 4, 0), ("/a", 4, 0), ("/a", 4, 0)], "a second node, or none at all, can have the path \"/a\""),
        (&[("", 4, 0), ("", 4, 0)], "a second node, or none at all, can have the path \"\""),
        (&[("", 4, 0), ("a", 4, 0)], "a second node, or none at all, can have the path \"a\""),
        (&[("", 4, 0), ("//a", 4, 0)], "Invalid Datatree, unable to find parent of path //a"),
    ];
    for (nodes, expected) in rows {
        assert_eq!(load(&raw_body(nodes)).unwrap_err().to_string(), expected);
    }
    let extended = TreeOptions { extended_types: true, ..TreeOptions::default() };
    let unknown = raw_body(&[("", 4, 0), ("/a", 4, (0xff << 56) | (1 << 40))]);
    assert!(matches!(snapshot::load(&mut &*unknown, extended), Err(LoadError::UnknownOwner(..))));
    assert!(load(&unknown).is_ok());
}

#[test]
fn acls_keep_their_ids_and_unknown_ones_let_nobody_in() {
    let whole = raw_body(&[("", -1, 0), ("/a", 9, 0), ("/b", 77, 0), ("/b/c", 9, 0), ("/d", 9, 0)]);
    let mut tree = load(&whole).unwrap();
    assert_eq!(**tree.get("/a").unwrap().acl(), *acl::read_only());
    assert_eq!(tree.get("/b").unwrap().acl()[0].perms, 0);
    // Entry 4 is used by nobody and has gone; 77 stays unexplained; the next new one is 10.
    let list = vec![Acl { perms: 3, id: Id { scheme: Some("ip".into()), id: Some("::1".into()) } }];
    apply(&mut tree, 1, Txn::SetAcl(SetAclTxn { path: Some("/d".into()), acl: Some(list), version: 1 }));
    let written = body(&mut tree);
    let mut r = oxkeeper_proto::Reader::new(&written);
    assert_eq!((r.int(), r.int()), (Ok(0), Ok(2)));
    let mut ids = Vec::new();
    for _ in 0..2 {
        ids.push(r.long().unwrap());
        r.vector(Acl::read).unwrap();
    }
    ids.sort_unstable();
    assert_eq!(ids, [9, 10]);
    let mut nodes = Vec::new();
    loop {
        let path = r.ustring().unwrap().unwrap();
        if path == "/" {
            break;
        }
        r.buffer().unwrap();
        nodes.push((path.into_owned(), r.long().unwrap()));
        StatPersisted::read(&mut r).unwrap();
    }
    nodes.sort();
    let expected = [("", -1), ("/a", 9), ("/b", 77), ("/b/c", 9), ("/d", 10)].map(|(p, id)| (p.to_string(), id));
    assert_eq!(nodes, expected);
    assert!(r.rest().is_empty());
}

#[test]
fn the_config_node_is_set_without_a_transaction_and_added_to_old_snapshots() {
    let mut tree = tree();
    let digest = tree.digest();
    assert!(tree.set_config(b"server.1=x", -1, Zxid(3), 77, &mut NoopSink));
    let stat = tree.get("/zookeeper/config").unwrap().stat();
    assert_eq!((stat.version, stat.mzxid, stat.mtime, stat.data_length, tree.digest()), (-1, 3, 77, 10, digest));
    let mut old = load(&raw_body(&[("", -1, 0), ("/zookeeper", -1, 0)])).unwrap();
    old.ensure_config_node();
    old.ensure_config_node();
    assert_eq!((old.node_count(), old.get("/zookeeper/config").unwrap().stat().aversion), (4, -1));
}
