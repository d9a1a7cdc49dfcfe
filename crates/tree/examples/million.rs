//! Measures the tree: `cargo run --release -p oxkeeper-tree --example million [nodes]` creates that
//! many nodes `/bench/n0000001` of 100 bytes, writes a snapshot's body and loads it again.
//! Linux only: memory is what `/proc/self/statm` says, time is this thread's on a processor, so that
//! a busy machine disturbs less.

#![forbid(unsafe_code)]
#![allow(clippy::disallowed_methods, reason = "a measurement has a clock and a file")]

use oxkeeper_proto::records::{CreateTxn, SetDataTxn, TxnHeader};
use oxkeeper_proto::txn::{LoggedTxn, Txn};
use oxkeeper_tree::watches::{Mode, Table, Watches};
use oxkeeper_tree::{Change, NoopSink, Tree, TreeOptions, snapshot};
use std::hint::black_box;

fn resident_bytes() -> usize {
    let text = std::fs::read("/proc/self/statm").expect("Linux");
    let text = String::from_utf8(text).expect("digits");
    text.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).expect("a number") * 4096
}

/// Nanoseconds that this thread has had a processor for.
fn busy_ns() -> u64 {
    let text = std::fs::read("/proc/thread-self/schedstat").expect("Linux");
    String::from_utf8(text).ok().and_then(|t| t.split(' ').next()?.parse().ok()).expect("a number")
}

fn create(tree: &mut Tree, path: &str, data: &[u8], zxid: i64) {
    let header = TxnHeader { zxid, time: 1_700_000_000_000 + zxid, kind: 1, ..TxnHeader::default() };
    let txn =
        Txn::Create(CreateTxn { path: Some(path.into()), data: Some(data), acl: None, ephemeral: false, parent_c_version: zxid as i32 });
    tree.apply(&LoggedTxn { header, txn, digest: None }, &mut NoopSink);
}

fn main() {
    let nodes: usize = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(1_000_000);
    let per_node = |bytes: usize| bytes as f64 / nodes as f64;
    let data = [b'x'; 100];
    let before = resident_bytes();
    let start = busy_ns();
    let mut tree = Tree::new(TreeOptions::default());
    create(&mut tree, "/bench", b"", 1);
    for n in 0..nodes {
        let path = format!("/bench/n{n:07}");
        create(&mut tree, &path, &data, n as i64 + 2);
    }
    let seconds = (busy_ns() - start) as f64 / 1e9;
    println!("create: {:.0} nodes/s", nodes as f64 / seconds);
    let used = resident_bytes() - before;
    println!("memory: {:.1} bytes/node, of them {:.1} beside name and data", per_node(used), per_node(used) - 108.0);

    let start = busy_ns();
    let mut found = 0;
    for n in 0..nodes {
        let path = format!("/bench/n{:07}", n * 7919 % nodes);
        found += usize::from(tree.get(&path).is_some());
    }
    println!("get: {:.0} ns", (busy_ns() - start) as f64 / found as f64);

    let mut out = Vec::new();
    tree.get("/bench").expect("created").write_children(&mut out);
    let start = busy_ns();
    out.clear();
    tree.get("/bench").expect("created").write_children(&mut out);
    println!("write_children: {:.2} ns/name", (busy_ns() - start) as f64 / nodes as f64);
    drop(out);

    let start = busy_ns();
    for n in 0..nodes {
        let header = TxnHeader { zxid: (nodes + n) as i64 + 2, kind: 5, ..TxnHeader::default() };
        let path = format!("/bench/n{:07}", n * 7919 % nodes);
        let txn = Txn::SetData(SetDataTxn { path: Some(path.into()), data: Some(&data), version: 1 });
        tree.apply(&LoggedTxn { header, txn, digest: None }, &mut NoopSink);
    }
    println!("setData: {:.0} /s", nodes as f64 / ((busy_ns() - start) as f64 / 1e9));

    let mut view = tree.begin_view().expect("the only one");
    let mut body = Vec::with_capacity(nodes * 200);
    let start = busy_ns();
    while !view.next_chunk(&tree, &mut body, 1 << 18) {}
    println!("view: {:.0} nodes/s", nodes as f64 / ((busy_ns() - start) as f64 / 1e9));
    tree.end_view(view);
    let digest = tree.digest();
    drop(black_box(tree));

    let start = busy_ns();
    let loaded = snapshot::load(&mut std::io::BufReader::with_capacity(1 << 18, &*body), TreeOptions::default()).expect("our own");
    println!("load: {:.0} nodes/s", nodes as f64 / ((busy_ns() - start) as f64 / 1e9));
    assert_eq!((loaded.digest(), loaded.node_count()), (digest, nodes + 6));
    drop(loaded);

    let mut watches = Watches::new();
    let before = resident_bytes();
    for watcher in 0..10_000 {
        for path in 0..100 {
            watches.add(&format!("/service/{path}"), watcher, Mode::Standard, Table::Data);
        }
    }
    println!("watches: {:.1} MB for {}", (resident_bytes().saturating_sub(before)) as f64 / 1e6, watches.watch_count());
    let acl = oxkeeper_proto::acl::open();
    let start = busy_ns();
    let mut heard = 0;
    watches.fire(&Change::DataChanged { path: "/service/7", acl: &acl }, &mut |fired| heard += fired.watchers.len());
    println!("fire: {heard} watchers in {} us", (busy_ns() - start) / 1000);
}
