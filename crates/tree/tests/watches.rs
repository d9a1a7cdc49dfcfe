//! Watch tables against naive ones, and the protocol's own tables (which event goes where, what
//! SetWatches catches up with) as data.

use oxkeeper_proto::records::{CreateTxn, DeleteTxn, SetDataTxn, SetWatches2, TxnHeader};
use oxkeeper_proto::txn::{LoggedTxn, Txn};
use oxkeeper_proto::{EventType, Zxid, acl};
use oxkeeper_tree::watches::{CatchUp, Fired, Mode, Table, WatcherType, Watches};
use oxkeeper_tree::{Change, NoopSink, Tree, TreeOptions};
use std::collections::{BTreeMap, BTreeSet};

use EventType::{NodeChildrenChanged, NodeCreated, NodeDataChanged, NodeDeleted};

type Event = (EventType, String, Vec<u32>);

/// (is child table, path, watcher) -> modes: standard, persistent, recursive.
#[derive(Default)]
struct Model(BTreeMap<(bool, String, u32), BTreeSet<u8>>);

impl Model {
    fn look_up(&mut self, is_child: bool, path: &str) -> BTreeSet<u32> {
        let mut watchers = BTreeSet::new();
        let mut above = path.to_string();
        loop {
            for ((child, at, watcher), modes) in &mut self.0 {
                if *child != is_child || *at != above {
                    continue;
                }
                if above == path {
                    watchers.insert(*watcher);
                    modes.remove(&0);
                } else if modes.contains(&2) {
                    watchers.insert(*watcher);
                }
            }
            if above == "/" {
                break;
            }
            above.truncate(above.rfind('/').unwrap().max(1));
        }
        self.0.retain(|_, modes| !modes.is_empty());
        watchers
    }

    fn fire(&mut self, kind: EventType, path: &str) -> Vec<Event> {
        let above = &path[..path.rfind('/').unwrap().max(1)];
        let mut events = vec![];
        let data = self.look_up(false, path);
        events.push((kind, path.to_string(), data.clone()));
        if kind == NodeDeleted {
            let child = self.look_up(true, path);
            events.push((kind, path.to_string(), &child - &data));
        }
        if kind != NodeDataChanged {
            events.push((NodeChildrenChanged, above.to_string(), self.look_up(true, above)));
        }
        events.retain(|(_, _, w)| !w.is_empty());
        events.into_iter().map(|(k, p, w)| (k, p, w.into_iter().collect())).collect()
    }

    fn matching(&self, path: &str, watcher: u32, kind: WatcherType, is_check: bool) -> Vec<((bool, String, u32), u8)> {
        let wanted: &[(bool, u8)] = match kind {
            WatcherType::Children => &[(true, 0)],
            WatcherType::Data => &[(false, 0)],
            WatcherType::Any => &[(true, 0), (true, 1), (false, 0), (false, 1), (false, 2)],
            WatcherType::Persistent if is_check => &[(false, 1)],
            WatcherType::Persistent => &[(true, 1), (false, 1)],
            WatcherType::PersistentRecursive => &[(false, 2)],
        };
        let key = |is_child| (is_child, path.to_string(), watcher);
        wanted.iter().filter(|(c, mode)| self.0.get(&key(*c)).is_some_and(|m| m.contains(mode))).map(|(c, mode)| (key(*c), *mode)).collect()
    }
}

fn fire(watches: &mut Watches, kind: EventType, path: &str) -> Vec<Event> {
    let (acl, parent_acl) = (acl::open(), acl::read_only());
    let change = match kind {
        NodeCreated => Change::Created { path, acl: &acl, parent_acl: &parent_acl },
        NodeDeleted => Change::Deleted { path, acl: &acl, parent_acl: &parent_acl },
        _ => Change::DataChanged { path, acl: &acl },
    };
    let mut events = vec![];
    watches.fire(&change, &mut |fired: Fired<'_>| {
        let expected = if fired.kind == NodeChildrenChanged { &parent_acl } else { &acl };
        assert_eq!(fired.acl, expected);
        events.push((fired.kind, fired.path.to_string(), fired.watchers.to_vec()));
    });
    events
}

const MODES: [Mode; 3] = [Mode::Standard, Mode::Persistent, Mode::PersistentRecursive];
const TYPES: [WatcherType; 5] =
    [WatcherType::Children, WatcherType::Data, WatcherType::Any, WatcherType::Persistent, WatcherType::PersistentRecursive];

#[test]
fn random_watches_fire_as_in_the_model() {
    for seed in 1..20u64 {
        let mut state = seed;
        let mut below = |n: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % n
        };
        let mut model = Model::default();
        let mut watches = Watches::new();
        let (mut fired, mut removed) = (0, 0);
        for _ in 0..3000 {
            let path = ["/", "/a", "/a/b", "/a/b/c", "/a/d", "/e"][below(6) as usize];
            let watcher = below(12) as u32;
            match below(10) {
                0..=4 => {
                    let mode = below(if seed % 2 == 0 { 2 } else { 3 }) as usize;
                    let is_child = below(2) == 1 && mode != 2;
                    let table = if is_child { Table::Child } else { Table::Data };
                    let is_new = model.0.entry((is_child, path.to_string(), watcher)).or_default().insert(mode as u8);
                    assert_eq!(watches.add(path, watcher, MODES[mode], table), is_new);
                }
                5..=6 if path != "/" => {
                    let kind = [NodeCreated, NodeDeleted, NodeDataChanged][below(3) as usize];
                    let expected = model.fire(kind, path);
                    fired += expected.len();
                    assert_eq!(fire(&mut watches, kind, path), expected);
                }
                7 => {
                    let kind = TYPES[below(5) as usize];
                    assert_eq!(watches.contains(path, watcher, kind), !model.matching(path, watcher, kind, true).is_empty());
                    let gone = model.matching(path, watcher, kind, false);
                    removed += gone.len();
                    assert_eq!(watches.remove(path, watcher, kind), !gone.is_empty());
                    for (key, mode) in gone {
                        model.0.get_mut(&key).unwrap().remove(&mode);
                    }
                    model.0.retain(|_, modes| !modes.is_empty());
                }
                8 if below(4) == 0 => {
                    watches.remove_watcher(watcher);
                    model.0.retain(|(_, _, w), _| *w != watcher);
                }
                _ => {}
            }
            let data: Vec<_> = model.0.keys().filter(|(is_child, ..)| !is_child).collect();
            assert_eq!(watches.watch_count(), model.0.len());
            assert_eq!(watches.is_empty(), model.0.is_empty());
            let summary = watches.summary();
            assert_eq!(summary.watches, data.len());
            assert_eq!(summary.paths, data.iter().map(|k| &k.1).collect::<BTreeSet<_>>().len());
            assert_eq!(summary.connections, data.iter().map(|k| k.2).collect::<BTreeSet<_>>().len());
            let mine: BTreeSet<&str> = watches.paths_of(watcher).collect();
            assert_eq!(mine, data.iter().filter(|k| k.2 == watcher).map(|k| &*k.1).collect());
            let pairs: usize = watches.by_path().map(|(_, watchers)| watchers.len()).sum();
            assert_eq!(pairs, data.len());
        }
        assert!(fired > 300 && removed > 50, "{fired} events, {removed} removals");
    }
}

/// One watcher for each way of watching: what it hears of each change.
#[test]
fn each_way_of_watching_hears_what_the_protocol_says() {
    let created = |at: &str| (NodeCreated, at.to_string());
    let deleted = |at: &str| (NodeDeleted, at.to_string());
    let changed = |at: &str| (NodeDataChanged, at.to_string());
    let children = |at: &str| (NodeChildrenChanged, at.to_string());
    type Add = fn(&mut Watches);
    type Row = (&'static str, Add, [Vec<(EventType, String)>; 3]);
    let rows: [Row; 8] = [
        (
            "data",
            |w| {
                w.add("/p/c", 1, Mode::Standard, Table::Data);
            },
            [vec![created("/p/c")], vec![changed("/p/c")], vec![deleted("/p/c")]],
        ),
        (
            "child",
            |w| {
                w.add("/p/c", 1, Mode::Standard, Table::Child);
            },
            [vec![], vec![], vec![deleted("/p/c")]],
        ),
        (
            "child of parent",
            |w| {
                w.add("/p", 1, Mode::Standard, Table::Child);
            },
            [vec![children("/p")], vec![], vec![children("/p")]],
        ),
        (
            "both tables: deleted once",
            |w| {
                w.add("/p/c", 1, Mode::Standard, Table::Data);
                w.add("/p/c", 1, Mode::Standard, Table::Child);
            },
            [vec![created("/p/c")], vec![changed("/p/c")], vec![deleted("/p/c")]],
        ),
        ("persistent", |w| w.add_persistent("/p/c", 1, false), [vec![created("/p/c")], vec![changed("/p/c")], vec![deleted("/p/c")]]),
        ("persistent on parent", |w| w.add_persistent("/p", 1, false), [vec![children("/p")], vec![], vec![children("/p")]]),
        (
            "recursive at root: no children events",
            |w| w.add_persistent("/", 1, true),
            [vec![created("/p/c")], vec![changed("/p/c")], vec![deleted("/p/c")]],
        ),
        (
            "data of parent",
            |w| {
                w.add("/p", 1, Mode::Standard, Table::Data);
            },
            [vec![], vec![], vec![]],
        ),
    ];
    for (name, add, heard) in rows {
        for (kind, expected) in [NodeCreated, NodeDataChanged, NodeDeleted].into_iter().zip(heard) {
            let mut watches = Watches::new();
            add(&mut watches);
            let count = watches.watch_count();
            let events: Vec<_> = fire(&mut watches, kind, "/p/c").into_iter().map(|(kind, path, _)| (kind, path)).collect();
            assert_eq!(events, expected, "{name}, {kind:?}");
            let lasts = name.starts_with("persistent") || name.starts_with("recursive");
            if lasts || expected.is_empty() {
                assert_eq!(watches.watch_count(), count, "{name}, {kind:?}");
            } else if kind == NodeDeleted {
                assert!(watches.is_empty(), "{name}");
            }
        }
    }
}

#[test]
fn set_watches_catches_up_with_what_was_missed() {
    let mut tree = Tree::new(TreeOptions::default());
    let mut zxid = 0;
    let mut apply = |tree: &mut Tree, txn| {
        zxid += 1;
        tree.apply(&LoggedTxn { header: TxnHeader { zxid, ..TxnHeader::default() }, txn, digest: None }, &mut NoopSink);
    };
    let create = |path: &'static str| Txn::Create(CreateTxn { path: Some(path.into()), parent_c_version: -1, ..CreateTxn::default() });
    apply(&mut tree, create("/old"));
    apply(&mut tree, create("/set"));
    apply(&mut tree, create("/parent"));
    apply(&mut tree, create("/gone"));
    // The client has seen all until here.
    let seen = Zxid(4);
    apply(&mut tree, Txn::SetData(SetDataTxn { path: Some("/set".into()), data: None, version: 1 }));
    apply(&mut tree, create("/parent/new"));
    apply(&mut tree, Txn::Delete(DeleteTxn { path: Some("/gone".into()) }));
    let all: &[&str] = &["/old", "/set", "/parent", "/gone", "/never"];
    let paths = || Some(all.iter().map(|p| Some((*p).into())).collect());
    let none = || Some(vec![]);
    let request = |data, exist, child, persistent, recursive| SetWatches2 {
        relative_zxid: seen.0,
        data_watches: data,
        exist_watches: exist,
        child_watches: child,
        persistent_watches: persistent,
        persistent_recursive_watches: recursive,
    };
    type Row<'a> = (SetWatches2<'a>, &'a [(EventType, &'a str)], &'a [(&'a str, WatcherType)]);
    let rows: [Row<'_>; 4] = [
        (
            request(paths(), none(), none(), none(), none()),
            &[(NodeDataChanged, "/set"), (NodeDeleted, "/gone"), (NodeDeleted, "/never")],
            &[("/old", WatcherType::Data), ("/parent", WatcherType::Data)],
        ),
        (
            request(none(), paths(), none(), none(), none()),
            &[(NodeCreated, "/old"), (NodeCreated, "/set"), (NodeCreated, "/parent")],
            &[("/gone", WatcherType::Data), ("/never", WatcherType::Data)],
        ),
        (
            request(none(), none(), paths(), none(), None),
            &[(NodeChildrenChanged, "/parent"), (NodeDeleted, "/gone"), (NodeDeleted, "/never")],
            &[("/old", WatcherType::Children), ("/set", WatcherType::Children)],
        ),
        (
            request(none(), none(), none(), Some(vec![Some("/never".into())]), Some(vec![Some("/old".into())])),
            &[],
            &[("/never", WatcherType::Persistent), ("/old", WatcherType::PersistentRecursive)],
        ),
    ];
    for (request, expected, registered) in rows {
        let mut watches = Watches::new();
        let missed = watches.set_watches(&tree, &request, 5, seen);
        let expected: Vec<CatchUp<'_>> = expected.iter().map(|(kind, path)| CatchUp { kind: *kind, path }).collect();
        assert_eq!(missed, expected);
        for path in all {
            for kind in TYPES.into_iter().filter(|t| *t != WatcherType::Any) {
                assert_eq!(watches.contains(path, 5, kind), registered.contains(&(path, kind)), "{path} {kind:?}");
            }
        }
    }
}

#[test]
fn many_watchers_of_many_paths_go_with_their_connections() {
    let mut watches = Watches::new();
    for watcher in 0..3000 {
        for path in 0..20 {
            watches.add(&format!("/service/{path}"), watcher, Mode::Standard, Table::Data);
        }
    }
    assert_eq!(watches.watch_count(), 60_000);
    let events = fire(&mut watches, NodeDataChanged, "/service/7");
    assert_eq!(events, [(NodeDataChanged, "/service/7".to_string(), (0..3000).collect::<Vec<_>>())]);
    assert!(fire(&mut watches, NodeDataChanged, "/service/7").is_empty());
    assert_eq!((watches.watch_count(), watches.summary().paths), (57_000, 19));
    for watcher in 0..3000 {
        assert_eq!(watches.paths_of(watcher).count(), 19);
        watches.remove_watcher(watcher);
    }
    assert!(watches.is_empty());
    assert_eq!((watches.summary().paths, watches.summary().connections), (0, 0));
}

/// Paths that fired are swept out of a watcher's own set now and then; what stands must stay.
#[test]
fn a_watcher_of_ever_new_paths_keeps_what_it_still_watches() {
    let mut watches = Watches::new();
    for round in 0..500u32 {
        let fleeting = format!("/fleeting/{round}");
        watches.add(&fleeting, 1, Mode::Standard, Table::Data);
        watches.add(&format!("/standing/{round}"), 1, Mode::Standard, Table::Child);
        watches.add(&format!("/standing/{round}"), 1, Mode::Standard, Table::Data);
        watches.add(&fleeting, 2, Mode::Standard, Table::Data);
        assert_eq!(fire(&mut watches, NodeCreated, &fleeting), [(NodeCreated, fleeting.clone(), vec![1, 2])]);
        assert_eq!(watches.paths_of(1).count(), round as usize + 1);
        assert_eq!(watches.paths_of(2).count(), 0);
    }
    watches.remove_watcher(2);
    assert_eq!(watches.watch_count(), 1000);
    watches.remove_watcher(1);
    assert!(watches.is_empty());
    assert_eq!(watches.summary().paths, 0);
}
