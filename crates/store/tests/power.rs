//! Power cuts: whatever a cut leaves of what was not synced, nothing acknowledged is missing and the server starts, also
//! when the power goes again while it starts.

mod common;

use common::{open, options, payload};
use oxkeeper_proto::Zxid;
use oxkeeper_store::disk::OpenMode;
use oxkeeper_store::log_format::{FILE_HEADER, write_record};
use oxkeeper_store::names::Compression;
use oxkeeper_store::sim_disk::SimDisk;
use oxkeeper_store::{LogOptions, TxnLog};
use std::path::Path;

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) % bound
    }
}

fn data(zxid: i64, random: &mut Random) -> Vec<u8> {
    let length = [10, 200, 600, 3000, 20_000][random.below(5) as usize];
    let mut payload = payload(zxid, &vec![(zxid % 251) as u8 + 1; length]);
    // The zxid decides the rest, so that an invented history shows.
    payload.extend_from_slice(&zxid.to_be_bytes());
    payload
}

/// One life of a server; returns the last acknowledged zxid and the last one appended.
fn live(disk: &SimDisk, seed: u64, random: &mut Random, expect_at_least: i64, at_most: i64) -> (i64, i64) {
    let mut opened = open(disk).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    let base = opened.snapshot.as_ref().map_or(0, |snapshot| snapshot.zxid.0);
    let last = opened.last_zxid.0;
    assert!((expect_at_least..=at_most).contains(&last), "seed {seed}: acknowledged {expect_at_least}, appended {at_most}, found {last}");
    let found: Vec<_> = common::history(&opened);
    assert_eq!(found.iter().map(|(zxid, _)| zxid.0).collect::<Vec<_>>(), (base + 1..=last).collect::<Vec<_>>(), "seed {seed}");
    for (zxid, payload) in &found {
        assert!(payload.ends_with(&zxid.0.to_be_bytes()), "seed {seed}: {zxid} has other content");
    }
    if opened.needs_snapshot {
        common::write_snapshot(&mut opened.store, Zxid(0), Compression::None, 40).expect("space");
    }
    let mut log = opened.store.txn_log(LogOptions { pre_alloc_bytes: 64 << 10, ..options() }).expect("lists");
    let mut zxid = last;
    let mut acknowledged = last;
    for _ in 0..random.below(25) {
        let batch: Vec<_> = (0..1 + random.below(12)).map(|i| data(zxid + 1 + i as i64, random)).collect();
        log.append(&batch).expect("space");
        zxid += batch.len() as i64;
        match random.below(12) {
            0..=7 => acknowledged = sync(&mut log),
            8 => acknowledged = log.roll().expect("syncs").through.map_or(acknowledged, |through| through.0),
            9 => {
                acknowledged = sync(&mut log);
                let compression = [Compression::None, Compression::Gz, Compression::Snappy][random.below(3) as usize];
                common::write_snapshot(&mut opened.store, Zxid(acknowledged), compression, 5000).expect("space");
                opened.store.purge(3).expect("purges");
            }
            10 => {
                if let Some(helper) = log.prepare_ahead() {
                    helper.run().expect("space");
                }
            }
            _ => {}
        }
    }
    if random.below(10) == 0 {
        acknowledged = zxid;
        log.close().expect("closes");
    }
    (acknowledged, zxid)
}

fn sync(log: &mut TxnLog) -> i64 {
    log.sync().expect("syncs").through.expect("appended").0
}

#[test]
fn nothing_acknowledged_is_lost_in_a_power_cut() {
    for seed in 0..250 {
        let disk = SimDisk::new();
        let random = &mut Random(seed);
        let (mut acknowledged, mut appended) = (0, 0);
        for life in 0..6 {
            (acknowledged, appended) = live(&disk, seed, random, acknowledged, appended);
            // A crash of the process alone loses nothing that was appended, unless the power goes afterwards.
            let only_the_process = random.below(4) == 0;
            if only_the_process {
                disk.crash()
            } else {
                disk.power_cut(seed * 100 + life)
            }
            // The power goes again while the server starts, at some write or sync.
            if random.below(2) == 0 {
                let nth = random.below(4);
                if random.below(2) == 0 {
                    disk.fail_sync(nth)
                } else {
                    disk.fail_write(nth)
                }
                if let Ok(opened) = open(&disk) {
                    // A start that came through counts: what it found is acknowledged to others.
                    acknowledged = opened.last_zxid.0;
                    appended = acknowledged;
                }
                disk.power_cut(seed * 100 + life + 50);
            } else if only_the_process {
                acknowledged = appended;
            }
        }
    }
}

#[test]
fn a_start_makes_what_it_found_durable() {
    // Bytes written but never synced, a process that dies, a server that starts and acknowledges, then a power cut.
    for seed in 0..100 {
        let disk = SimDisk::new();
        let mut opened = open(&disk).unwrap();
        common::write_snapshot(&mut opened.store, Zxid(0), Compression::None, 40).unwrap();
        let mut log = opened.store.txn_log(options()).unwrap();
        log.append(&(1..=20).map(|zxid| payload(zxid, &[9; 300])).collect::<Vec<_>>()).unwrap();
        if seed % 2 == 0 {
            // The worst case: the sync fails, and the pages look clean from then on.
            disk.fail_sync(0);
            assert!(log.sync().is_err());
        }
        drop((log, opened));
        disk.crash();
        let found = open(&disk).unwrap().last_zxid;
        assert_eq!(found, Zxid(20));
        disk.power_cut(seed);
        assert_eq!(open(&disk).unwrap().last_zxid, found, "seed {seed}");
    }
}

#[test]
fn a_log_closed_in_good_order_is_not_written_again() {
    let disk = SimDisk::new();
    let mut opened = open(&disk).unwrap();
    common::write_snapshot(&mut opened.store, Zxid(0), Compression::None, 40).unwrap();
    let mut log = opened.store.txn_log(options()).unwrap();
    log.append(&[payload(1, b"x")]).unwrap();
    log.close().unwrap();
    drop(opened);
    let before = disk.counts().writes;
    assert_eq!(open(&disk).unwrap().last_zxid, Zxid(1));
    assert_eq!(disk.counts().writes, before);
}

#[test]
fn earlier_logs_are_made_durable_too() {
    // Java creates a new log before it has synced the one before.
    for seed in 0..40 {
        let disk = SimDisk::new();
        let mut opened = open(&disk).unwrap();
        common::write_snapshot(&mut opened.store, Zxid(0), Compression::None, 40).unwrap();
        drop(opened);
        let files = common::shared(&disk);
        for first in [1, 4] {
            let mut bytes = FILE_HEADER.to_vec();
            (first..first + 3).for_each(|zxid| write_record(&mut bytes, &payload(zxid, &[5; 400])));
            let file = files.open(&Path::new("/data/version-2").join(format!("log.{first}")), OpenMode::Create).unwrap();
            file.write_all_at(&bytes, 0).unwrap();
        }
        disk.crash();
        assert_eq!(open(&disk).unwrap().last_zxid, Zxid(6));
        disk.power_cut(seed);
        assert_eq!(open(&disk).unwrap().last_zxid, Zxid(6), "seed {seed}");
    }
}

#[test]
fn a_snapshot_that_was_never_synced_is_made_durable() {
    // As Java writes it: straight to its name, without a sync of file or directory.
    let source = SimDisk::new();
    let mut opened = open(&source).unwrap();
    common::write_snapshot(&mut opened.store, Zxid(9), Compression::None, 3000).unwrap();
    let path = Path::new("/data/version-2/snapshot.9");
    let bytes = common::shared(&source).read(path).unwrap();
    for seed in 0..40 {
        let disk = SimDisk::new();
        drop(open(&disk).unwrap());
        common::shared(&disk).open(path, OpenMode::Create).unwrap().write_all_at(&bytes, 0).unwrap();
        assert_eq!(open(&disk).unwrap().last_zxid, Zxid(9));
        disk.power_cut(seed);
        assert_eq!(open(&disk).unwrap().last_zxid, Zxid(9), "seed {seed}");
    }
}
