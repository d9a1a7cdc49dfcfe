//! What is done to whole directories: truncation, purge, putting aside, start-up checks, epochs.

mod common;

use common::{directories, history, open, options, payload, shared};
use oxkeeper_proto::Zxid;
use oxkeeper_store::epochs::{Epochs, read_my_id};
use oxkeeper_store::names::Compression;
use oxkeeper_store::recovery::read_opaque_body;
use oxkeeper_store::sim_disk::SimDisk;
use oxkeeper_store::{Directories, OpenError, OpenOptions, Store};
use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::Path;

const DIRECTORY: &str = "/data/version-2";

fn names(disk: &SimDisk) -> Vec<String> {
    shared(disk).list(Path::new(DIRECTORY)).unwrap().into_iter().map(|entry| entry.name).collect()
}

/// 30 transactions, a new log after every tenth, snapshots at 0 and wherever asked.
fn filled(snapshots: &[i64]) -> SimDisk {
    let disk = SimDisk::new();
    let mut opened = open(&disk).unwrap();
    common::write_snapshot(&mut opened.store, Zxid(0), Compression::None, 40).unwrap();
    let mut log = opened.store.txn_log(options()).unwrap();
    for zxid in 1..=30 {
        log.append(&[payload(zxid, b"data")]).unwrap();
        log.sync().unwrap();
        if snapshots.contains(&zxid) {
            common::write_snapshot(&mut opened.store, Zxid(zxid), Compression::None, 40).unwrap();
        }
        if zxid % 10 == 0 {
            log.roll().unwrap();
        }
    }
    disk
}

#[test]
fn truncation_keeps_the_zxid_and_nothing_above_it() {
    for to in 0..=30 {
        let disk = filled(&[15]);
        disk.crash();
        let mut opened = open(&disk).unwrap();
        opened.store.truncate(Zxid(to)).unwrap();
        let mut log = opened.store.txn_log(options()).unwrap();
        // An epoch of another leader goes on here.
        log.append(&[payload(Zxid::new(1, 1).0, b"new")]).unwrap();
        log.sync().unwrap();
        disk.power_cut(to as u64);
        let opened = open(&disk).unwrap();
        let base = opened.snapshot.as_ref().unwrap().zxid.0;
        assert_eq!(base, if to >= 15 { 15 } else { 0 });
        let mut expected: Vec<i64> = (base + 1..=to).collect();
        expected.push(Zxid::new(1, 1).0);
        assert_eq!(history(&opened).iter().map(|(zxid, _)| zxid.0).collect::<Vec<_>>(), expected, "to {to}");
    }
}

#[test]
fn a_crash_during_truncation_leaves_a_prefix() {
    for seed in 0..200u64 {
        let disk = filled(&[15]);
        disk.crash();
        let mut opened = open(&disk).unwrap();
        if seed % 2 == 0 {
            disk.fail_sync(seed % 7)
        } else {
            disk.fail_write(0)
        }
        let _ = opened.store.truncate(Zxid(4));
        disk.power_cut(seed);
        let last = open(&disk).unwrap().last_zxid.0;
        assert!((4..=30).contains(&last), "seed {seed}: {last}");
    }
}

#[test]
fn truncation_to_what_is_not_there_changes_nothing() {
    let disk = filled(&[]);
    disk.crash();
    let mut opened = open(&disk).unwrap();
    let before = names(&disk);
    assert!(matches!(opened.store.truncate(Zxid(31)), Err(OpenError::Damaged(_))));
    assert!(matches!(opened.store.truncate(Zxid::new(1, 0)), Err(OpenError::Damaged(_))));
    assert_eq!(names(&disk), before);
}

/// The simulator's find: a leader sent what came after such a hole as if nothing were missing.
#[test]
fn a_hole_that_only_a_snapshot_has_filled_is_no_way_for_a_learner() {
    let after = |zxids: &[i64], snapshots: &[i64]| {
        let disk = SimDisk::new();
        let mut opened = open(&disk).unwrap();
        common::write_snapshot(&mut opened.store, Zxid(0), Compression::None, 40).unwrap();
        let mut log = opened.store.txn_log(options()).unwrap();
        for zxid in zxids {
            // Each epoch in a file of its own, as after a start.
            if Zxid(*zxid).counter() == 1 {
                log.roll().unwrap();
            }
            log.append(&[payload(*zxid, b"data")]).unwrap();
        }
        log.roll().unwrap();
        for zxid in snapshots {
            common::write_snapshot(&mut opened.store, Zxid(*zxid), Compression::None, 40).unwrap();
        }
        let found = opened.store.read_from(Zxid(2)).unwrap();
        found.map(|(zxid, replay)| (zxid.0, replay.records().map(|record| record.zxid.0).collect::<Vec<_>>()))
    };
    let next = Zxid::new(1, 1).0;
    let whole = Some((2, vec![3, next, next + 1]));
    let log = [1, 2, 3, next, next + 1];
    assert_eq!(after(&log, &[]), whole);
    assert_eq!(after(&log, &[3]), whole);
    assert_eq!(after(&log, &[3, next + 1]), whole);
    assert_eq!(after(&log, &[Zxid::new(1, 0).0]), whole, "Java names one so when it begins to lead");
    assert_eq!(after(&log, &[next + 5]), whole, "the end is for the caller to judge");
    assert_eq!(after(&log, &[5]), None, "4 and 5 were never in this log");
}

#[test]
fn purge_keeps_good_snapshots_and_the_logs_they_need() {
    let disk = filled(&[5, 12, 18, 25, 28]);
    // The newest is damaged, and so pushes none out.
    disk.rot(&Path::new(DIRECTORY).join("snapshot.1c"), 40, |byte| byte ^ 1);
    disk.crash();
    let mut opened = open(&disk).unwrap();
    let removed = opened.store.purge(1).unwrap();
    let removed: Vec<_> = removed.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(removed, ["snapshot.0", "snapshot.5", "log.1"]);
    drop(opened);
    let opened = open(&disk).unwrap();
    assert_eq!((opened.snapshot.as_ref().unwrap().zxid, opened.last_zxid), (Zxid(25), Zxid(30)));
    assert_eq!(
        opened.store.read_log(Zxid(12)).unwrap().records().map(|record| record.zxid.0).collect::<Vec<_>>(),
        (13..=30).collect::<Vec<_>>()
    );
    assert!(opened.store.read_log(Zxid(9)).is_err(), "the log before is gone");
}

/// The history of a leader: a snapshot, and one record behind it.
fn stage(store: &Store, leaders: Zxid) {
    let mut writer = store.staged_snapshot_writer(leaders).unwrap();
    writer.write_all(&common::body(leaders, 40)).unwrap();
    writer.finish(oxkeeper_store::snapshot::SnapshotEnd::default()).unwrap();
    let mut log = store.staged_log(options(), leaders);
    log.append(&[payload(leaders.next().0, b"x")]).unwrap();
    log.close().unwrap();
}

#[test]
fn a_staged_history_takes_the_place_of_the_old_one_wholly_or_not_at_all() {
    let leaders = Zxid::new(2, 7);
    let disk = filled(&[5]);
    disk.crash();
    let before = open(&disk).unwrap().last_zxid;
    let opened = open(&disk).unwrap();
    stage(&opened.store, leaders);
    drop(opened);
    // Not adopted: nothing of it is there after a start.
    let fork = disk.fork();
    fork.power_cut(1);
    assert_eq!(open(&fork).unwrap().last_zxid, before);
    // A crash at any moment while it is adopted.
    let (mut old, mut new) = (0, 0);
    for failing in 0..60 {
        for seed in 0..3 {
            let disk = filled(&[5]);
            disk.crash();
            let mut opened = open(&disk).unwrap();
            stage(&opened.store, leaders);
            disk.fail_sync(failing);
            let adopted = opened.store.adopt_staged(leaders.next());
            drop(opened);
            disk.power_cut(seed);
            match open(&disk).unwrap().last_zxid {
                last if last == before => {
                    assert!(adopted.is_err());
                    old += 1;
                }
                last => {
                    assert_eq!(last, leaders.next());
                    new += 1;
                }
            }
        }
    }
    assert!(old > 0 && new > 60, "{old} {new}");
}

#[test]
fn what_was_put_aside_does_not_come_back() {
    let disk = filled(&[5]);
    disk.crash();
    let mut opened = open(&disk).unwrap();
    let leaders = Zxid::new(2, 7);
    stage(&opened.store, leaders);
    opened.store.adopt_staged(leaders.next()).unwrap();
    disk.power_cut(3);
    let opened = open(&disk).unwrap();
    assert_eq!((opened.snapshot.as_ref().unwrap().zxid, opened.last_zxid), (leaders, leaders.next()));
    drop(opened);
    disk.rot(&Path::new(DIRECTORY).join(format!("snapshot.{leaders:x}")), 40, |byte| byte ^ 1);
    assert!(matches!(open(&disk), Err(OpenError::Damaged(_))));
}

#[test]
fn an_empty_directory_is_an_empty_database_only_if_that_is_meant() {
    let start = |disk: &SimDisk, autocreate_database| {
        let options = OpenOptions { autocreate_database, ..OpenOptions::default() };
        let opened = Store::open_with(&shared(disk), &directories(), &options, read_opaque_body).unwrap();
        (opened.last_zxid, opened.needs_snapshot)
    };
    let disk = SimDisk::new();
    assert_eq!(start(&disk, true), (Zxid(0), true));
    assert_eq!(start(&disk, false), (Zxid(-1), false));
    disk.put(Path::new("/data/initialize"), b"");
    assert_eq!(start(&disk, false), (Zxid(0), true));
    assert_eq!(start(&disk, false), (Zxid(-1), false), "the mark is used up");
}

#[test]
fn logs_without_a_snapshot_need_the_word_of_the_administrator() {
    let disk = filled(&[]);
    disk.crash();
    shared(&disk).remove(&Path::new(DIRECTORY).join("snapshot.0")).unwrap();
    assert!(matches!(open(&disk), Err(OpenError::Damaged(_))));
    let options = OpenOptions { trust_empty_snapshot: true, ..OpenOptions::default() };
    let opened = Store::open_with(&shared(&disk), &directories(), &options, read_opaque_body).unwrap();
    assert_eq!((opened.last_zxid, opened.needs_snapshot, opened.log.records().count()), (Zxid(30), true, 30));
    // An empty tree is no beginning for a log that lacks its own.
    drop(opened);
    shared(&disk).remove(&Path::new(DIRECTORY).join("log.1")).unwrap();
    assert!(Store::open_with(&shared(&disk), &directories(), &options, read_opaque_body).is_err());
}

#[test]
fn directories_are_checked() {
    let disk = SimDisk::new();
    let two = Directories { data: "/data".into(), log: "/logs".into() };
    let options = OpenOptions { autocreate_directories: false, ..OpenOptions::default() };
    assert!(matches!(Store::open_with(&shared(&disk), &two, &options, read_opaque_body), Err(OpenError::Directory(_))));
    let open_two =
        |disk: &SimDisk| Store::open_with(&shared(disk), &two, &OpenOptions::default(), read_opaque_body).map(|opened| opened.last_zxid);
    assert_eq!(open_two(&disk).unwrap(), Zxid(0));
    for misplaced in ["/data/version-2/log.1", "/logs/version-2/snapshot.0"] {
        let disk = disk.fork();
        disk.put(Path::new(misplaced), b"");
        assert!(matches!(open_two(&disk), Err(OpenError::Misplaced(_))), "{misplaced}");
    }
}

#[test]
fn sizes_leave_out_what_is_ours() {
    let disk = filled(&[]);
    disk.crash();
    let opened = open(&disk).unwrap();
    let all: u64 = shared(&disk)
        .list(Path::new(DIRECTORY))
        .unwrap()
        .iter()
        .filter(|entry| !entry.name.starts_with("oxkeeper."))
        .map(|entry| entry.size)
        .sum();
    assert_eq!(opened.store.sizes().unwrap(), (all, all));
}

#[test]
fn an_announced_epoch_takes_effect_with_its_first_transaction() {
    let disk = SimDisk::new();
    let epochs = open(&disk).unwrap().store.epochs();
    epochs.set_accepted(1).unwrap();
    epochs.set_current(1).unwrap();
    epochs.set_accepted(2).unwrap();
    epochs.announce_current(2).unwrap();
    for seed in 0..20 {
        let disk = disk.fork();
        disk.power_cut(seed);
        let epochs = open(&disk).unwrap().store.epochs();
        assert_eq!(epochs.load(Zxid::new(1, 5)).unwrap(), Epochs { accepted: 2, current: 1, in_doubt: false });
        assert_eq!(epochs.load(Zxid::new(2, 1)).unwrap(), Epochs { accepted: 2, current: 2, in_doubt: false });
        disk.power_cut(seed);
        let epochs = open(&disk).unwrap().store.epochs();
        assert!(epochs.load(Zxid::new(3, 1)).is_err(), "a history beyond its epoch");
    }
    let disk = SimDisk::new();
    let fresh = open(&disk).unwrap().store.epochs();
    assert_eq!(fresh.load(Zxid(0)).unwrap(), Epochs { accepted: 0, current: 0, in_doubt: false });
    // A new member that dies in its first synchronisation has not got the epoch that it was being synchronised for.
    fresh.set_accepted(3).unwrap();
    fresh.announce_current(3).unwrap();
    assert_eq!(fresh.load(Zxid(0)).unwrap(), Epochs { accepted: 3, current: 0, in_doubt: false });
    assert_eq!(fresh.load(Zxid::new(2, 7)).unwrap(), Epochs { accepted: 3, current: 2, in_doubt: false });
}

#[test]
fn a_current_epoch_that_no_promise_explains_is_not_believed() {
    let disk = SimDisk::new();
    let epochs = open(&disk).unwrap().store.epochs();
    epochs.set_accepted(1).unwrap();
    epochs.set_current(1).unwrap();
    epochs.set_accepted(3).unwrap();
    let (last, current) = (Zxid::new(1, 5), Path::new("/data/version-2/currentEpoch"));
    disk.rot(current, 0, |byte| byte ^ 2);
    assert_eq!(shared(&disk).read(current).unwrap(), b"3");
    for seed in 0..20 {
        let disk = disk.fork();
        let epochs = open(&disk).unwrap().store.epochs();
        for round in 0..2 {
            let loaded = epochs.load(last).unwrap();
            assert_eq!(loaded, Epochs { accepted: 3 + round, current: 1, in_doubt: true }, "it says so until a leader has come");
            disk.power_cut(seed);
            epochs.set_accepted(4 + round).unwrap();
        }
        epochs.set_current(5).unwrap();
        disk.power_cut(seed);
        assert_eq!(epochs.load(last).unwrap(), Epochs { accepted: 5, current: 5, in_doubt: false });
    }
    // Without a history there is nothing that it could claim.
    let empty = disk.fork();
    let epochs = open(&empty).unwrap().store.epochs();
    assert_eq!(epochs.load(Zxid(0)).unwrap(), Epochs { accepted: 3, current: 0, in_doubt: false });
    // Java has followed a later leader.
    disk.put(Path::new("/data/version-2/acceptedEpoch"), b"5");
    disk.put(current, b"5");
    let epochs = open(&disk).unwrap().store.epochs();
    assert_eq!(epochs.load(last).unwrap(), Epochs { accepted: 5, current: 5, in_doubt: false });
}

/// The copy may be behind, after a crash or after Java; from the next start on it is not.
#[test]
fn what_was_believed_at_a_start_is_what_later_damage_is_held_against() {
    let disk = SimDisk::new();
    let epochs = open(&disk).unwrap().store.epochs();
    epochs.set_accepted(1).unwrap();
    epochs.set_current(1).unwrap();
    disk.put(Path::new("/data/version-2/acceptedEpoch"), b"3");
    let last = Zxid::new(1, 5);
    assert_eq!(epochs.load(last).unwrap(), Epochs { accepted: 3, current: 1, in_doubt: false });
    disk.power_cut(1);
    disk.rot(Path::new("/data/version-2/currentEpoch"), 0, |byte| byte ^ 2);
    let epochs = open(&disk).unwrap().store.epochs();
    assert_eq!(epochs.load(last).unwrap(), Epochs { accepted: 3, current: 1, in_doubt: true });
}

#[test]
fn an_epoch_that_is_just_becoming_the_current_one_is_believed_before_and_after() {
    let disk = SimDisk::new();
    let epochs = open(&disk).unwrap().store.epochs();
    epochs.set_accepted(1).unwrap();
    epochs.set_current(1).unwrap();
    epochs.set_accepted(2).unwrap();
    let mut found = BTreeSet::new();
    for operation in 0..40 {
        let disk = disk.fork();
        let epochs = open(&disk).unwrap().store.epochs();
        disk.stop_before(operation);
        let _ = epochs.set_current(2);
        disk.crash();
        disk.power_cut(operation);
        let loaded = open(&disk).unwrap().store.epochs().load(Zxid::new(1, 5)).unwrap();
        assert!(!loaded.in_doubt && loaded.accepted == 2, "before operation {operation}: {loaded:?}");
        found.insert(loaded.current);
    }
    assert_eq!(found, BTreeSet::from([1, 2]));
}

#[test]
fn my_id_is_read_without_trimming() {
    for (text, expected) in [("3", Some(3)), ("3\n", Some(3)), ("3\r\nx", Some(3)), (" 3", None), ("3 ", None), ("", None), ("x", None)] {
        let disk = SimDisk::new();
        disk.put(Path::new("/data/myid"), text.as_bytes());
        assert_eq!(read_my_id(&shared(&disk), Path::new("/data")).ok(), expected, "{text:?}");
    }
}
