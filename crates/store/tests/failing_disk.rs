//! Disks that fail once: each of these lost something, or kept something it should not have, before.

mod common;

use common::{open, payload};
use oxkeeper_proto::Zxid;
use oxkeeper_store::names::{Compression, VERSION_DIRECTORY};
use oxkeeper_store::sim_disk::SimDisk;
use oxkeeper_store::{AppendError, Disk, LogOptions, OpenError, TxnLog};
use std::path::Path;

fn begin(disk: &SimDisk) -> TxnLog {
    let mut opened = open(disk).expect("starts");
    if opened.needs_snapshot {
        common::write_snapshot(&mut opened.store, Zxid(0), Compression::None, 40).expect("space");
    }
    let log = opened.store.txn_log(LogOptions { pre_alloc_bytes: 256 << 10, reserve_bytes: 0, ..LogOptions::default() });
    log.expect("lists")
}

fn last(disk: &SimDisk) -> i64 {
    open(disk).expect("starts").last_zxid.0
}

#[test]
fn a_failed_sync_of_the_zeros_is_not_kept_from_the_log() {
    let disk = SimDisk::new();
    let mut log = begin(&disk);
    log.append(&[payload(1, b"one")]).expect("space");
    log.sync().expect("syncs");
    let helper = log.prepare_ahead().expect("there is space to fill");
    log.append(&[payload(2, b"two")]).expect("space");
    // The disk fails while the helper syncs: what the log has written is as lost as the zeros.
    disk.fail_sync(0);
    helper.run().expect_err("the helper is told");
    log.sync().expect_err("and the log is told, too");
    log.append(&[payload(3, b"three")]).expect_err("nothing more is written");
}

#[test]
fn what_was_refused_for_want_of_space_is_not_there_after_a_power_cut() {
    for seed in 0..200 {
        let disk = SimDisk::new();
        let mut log = begin(&disk);
        let first = if seed % 2 == 0 { 1 } else { 2 };
        if first == 2 {
            log.append(&[payload(1, b"one")]).expect("space");
            log.sync().expect("syncs");
        }
        disk.set_capacity(Some(disk.used_bytes() + 80_000));
        let batch: Vec<_> = (first..first + 40).map(|zxid| payload(zxid, &[7; 4000])).collect();
        assert_eq!(log.append(&batch), Err(AppendError::NoSpace), "seed {seed}");
        drop(log);
        disk.power_cut(seed);
        assert_eq!(last(&disk), first - 1, "seed {seed}");
    }
}

#[test]
fn a_tail_in_doubt_is_written_again_even_without_space_for_a_copy() {
    for seed in 0..50 {
        let disk = SimDisk::new();
        let mut log = begin(&disk);
        log.append(&(1..30).map(|zxid| payload(zxid, &[7; 1000])).collect::<Vec<_>>()).expect("space");
        disk.fail_sync(0);
        log.sync().expect_err("fails");
        drop(log);
        // The pages look clean and are not on the disk. The next start finds everything in them.
        disk.crash();
        disk.set_capacity(Some(disk.used_bytes()));
        assert_eq!(last(&disk), 29);
        disk.power_cut(seed);
        assert_eq!(last(&disk), 29, "seed {seed}: what one start has counted is there at the next");
    }
}

#[test]
fn a_sync_that_fails_at_the_start_is_no_damage() {
    let disk = SimDisk::new();
    let mut log = begin(&disk);
    log.append(&[payload(1, b"one")]).expect("space");
    log.sync().expect("syncs");
    drop(log);
    let directory = Path::new("/data").join(VERSION_DIRECTORY);
    let mut failures = 0;
    for nth in 0..6 {
        disk.crash();
        disk.fail_sync(nth);
        match open(&disk) {
            Ok(_) => {}
            Err(OpenError::Io(..)) => failures += 1,
            Err(other) => panic!("sync {nth}: {other}"),
        }
    }
    assert!(failures > 0, "{:?}", disk.list(&directory));
}
