//! Appending: the bytes on the disk, padding, rolling, failures of the disk.

mod common;

use common::{directories, history, open, options, payload, shared};
use oxkeeper_proto::Zxid;
use oxkeeper_store::log_format::decode_log;
use oxkeeper_store::sim_disk::SimDisk;
use oxkeeper_store::txn_log::padded_size;
use oxkeeper_store::{AppendError, LogOptions, Synced, TxnLog};
use std::path::Path;
use std::time::Duration;

const DIRECTORY: &str = "/data/version-2";

fn started(disk: &SimDisk, options: LogOptions) -> TxnLog {
    let opened = open(disk).expect("opens");
    let mut store = opened.store;
    if opened.needs_snapshot {
        common::write_snapshot(&mut store, Zxid(0), Default::default(), 50).expect("space");
    }
    store.txn_log(options).expect("lists")
}

#[test]
fn padded_lengths_are_those_of_java() {
    let java = 64 << 20;
    let cases = [
        (16, 16, java, 16 + (64 << 20)),
        (16 + (64 << 20) - 4096, 16 + (64 << 20), java, 16 + (128 << 20)),
        (16 + (64 << 20) - 4097, 16 + (64 << 20), java, 16 + (64 << 20)),
        (200 << 20, 16 + (64 << 20), java, 256 << 20),
        (16, 16, 0, 16),
        (16, 16, -1024, 16),
    ];
    for (position, size, pre_alloc, expected) in cases {
        assert_eq!(padded_size(position, size, pre_alloc), expected, "{position} {size} {pre_alloc}");
    }
}

#[test]
fn a_log_is_header_records_and_zeros_of_the_padded_length() {
    let disk = SimDisk::new();
    let mut log = started(&disk, options());
    let payloads: Vec<_> = (1..=3).map(|zxid| payload(zxid, b"data")).collect();
    log.append(&payloads[..1]).unwrap();
    log.append(&payloads[1..]).unwrap();
    assert_eq!(log.sync().unwrap().through, Some(Zxid(3)));
    let bytes = shared(&disk).read(&Path::new(DIRECTORY).join("log.1")).unwrap();
    assert_eq!(bytes.len(), 16 + (16 << 10));
    assert_eq!(log.current_bytes(), bytes.len() as u64);
    let (records, scan) = decode_log(&bytes);
    assert_eq!(records.iter().map(|record| record.payload).collect::<Vec<_>>(), payloads);
    assert_eq!(scan.data_end, scan.good_end);
}

#[test]
fn filling_ahead_never_touches_a_record() {
    let disk = SimDisk::new();
    let mut log = started(&disk, LogOptions { pre_alloc_bytes: 1 << 20, ..options() });
    let mut expected = Vec::new();
    for zxid in 1..=60 {
        let transaction = payload(zxid, &vec![zxid as u8; 10_000]);
        let helper = log.prepare_ahead();
        log.append(std::slice::from_ref(&transaction)).unwrap();
        expected.push((Zxid(zxid), transaction));
        if let Some(helper) = helper {
            helper.run().unwrap();
        }
        log.sync().unwrap();
    }
    disk.crash();
    assert_eq!(history(&open(&disk).unwrap()), expected);
}

#[test]
fn a_log_rolls_by_size_and_on_demand() {
    let disk = SimDisk::new();
    let mut log = started(&disk, LogOptions { size_limit_bytes: Some(20 << 10), ..options() });
    for zxid in 1..=40 {
        log.append(&[payload(zxid, &[1; 1000])]).unwrap();
        log.sync().unwrap();
        if zxid == 5 {
            log.roll().unwrap();
        }
    }
    drop(log);
    disk.crash();
    let names: Vec<_> = shared(&disk)
        .list(Path::new(DIRECTORY))
        .unwrap()
        .into_iter()
        .map(|entry| entry.name)
        .filter(|name| name.starts_with("log."))
        .collect();
    // The thirteenth record of 1,045 bytes begins less than 4,096 bytes before the end of the first 16 KiB.
    assert_eq!(names, ["log.1", "log.13", "log.20", "log.6"]);
    assert_eq!(history(&open(&disk).unwrap()).len(), 40);
}

#[test]
fn after_a_failed_sync_nothing_is_written_or_synced_again() {
    for nth in 0..3 {
        let disk = SimDisk::new();
        let mut log = started(&disk, options());
        disk.fail_sync(nth);
        let mut acknowledged = 0;
        for zxid in 1..=5 {
            log.append(&[payload(zxid, b"x")]).unwrap();
            match log.sync() {
                Ok(synced) => acknowledged = synced.through.unwrap().0,
                Err(_) => break,
            }
        }
        // The first acknowledgement needs two syncs: the file and its name.
        assert_eq!(acknowledged, [0, 0, 1][nth as usize]);
        let before = disk.counts();
        assert!(matches!(log.append(&[payload(9, b"x")]), Err(AppendError::Fatal(_))));
        assert!(log.sync().is_err());
        assert!(log.roll().is_err());
        assert!(log.prepare_ahead().is_none());
        assert!(log.close().is_err());
        assert_eq!(disk.counts(), before, "the disk was touched after a failed sync");
    }
}

#[test]
fn a_full_disk_refuses_a_batch_whole_and_takes_it_later() {
    for tight in (0..40).map(|i| i * 512) {
        let disk = SimDisk::new();
        let mut log = started(&disk, options());
        disk.set_capacity(Some(disk.used_bytes() + tight));
        let mut zxid = 0;
        let mut kept = Vec::new();
        loop {
            let batch: Vec<_> = (1..=3).map(|i| payload(zxid + i, &[i as u8; 700])).collect();
            match log.append(&batch) {
                Ok(()) => {
                    log.sync().unwrap();
                    zxid += 3;
                    kept.extend(batch);
                }
                Err(error) => {
                    assert_eq!(error, AppendError::NoSpace);
                    break;
                }
            }
        }
        // A crash here finds what was acknowledged.
        let copy = disk.fork();
        copy.set_capacity(None);
        copy.power_cut(tight);
        assert_eq!(history(&open(&copy).unwrap()).len(), kept.len());
        disk.set_capacity(None);
        let more = payload(zxid + 1, b"after");
        log.append(std::slice::from_ref(&more)).unwrap();
        log.sync().unwrap();
        kept.push(more);
        disk.power_cut(tight);
        assert_eq!(history(&open(&disk).unwrap()).into_iter().map(|(_, payload)| payload).collect::<Vec<_>>(), kept);
    }
}

#[test]
fn the_reserve_gives_space_back() {
    let disk = SimDisk::new();
    let mut log = started(&disk, LogOptions { reserve_bytes: 1 << 20, ..options() });
    assert!(log.hold_reserve().unwrap());
    disk.set_capacity(Some(disk.used_bytes()));
    assert_eq!(log.append(&[payload(1, b"x")]), Err(AppendError::NoSpace));
    assert!(log.release_reserve().unwrap());
    log.append(&[payload(1, b"x")]).unwrap();
    assert_eq!(log.sync().unwrap().through, Some(Zxid(1)));
    assert!(!log.hold_reserve().unwrap(), "there is no space for it");
    disk.set_capacity(None);
    assert!(log.hold_reserve().unwrap());
}

#[test]
fn force_sync_off_syncs_nothing() {
    let disk = SimDisk::new();
    let mut log = started(&disk, LogOptions { force_sync: false, ..options() });
    let before = disk.counts().syncs;
    log.append(&[payload(1, b"x")]).unwrap();
    assert_eq!(log.sync().unwrap().through, Some(Zxid(1)));
    assert_eq!(disk.counts().syncs, before);
}

#[test]
fn a_slow_sync_is_reported_in_the_words_that_tools_look_for() {
    let synced = Synced { through: None, elapsed: Duration::from_millis(1001), file_bytes: 67108880 };
    let expected = "fsync-ing the write ahead log in SyncThread:0 took 1001ms which will adversely effect operation latency.File size is 67108880 bytes. \
                    See the ZooKeeper troubleshooting guide";
    assert_eq!(synced.warning("SyncThread:0", 1000).as_deref(), Some(expected));
    assert_eq!(synced.warning("SyncThread:0", 1001), None);
}

#[test]
fn a_directory_in_use_is_refused() {
    let disk = SimDisk::new();
    let first = open(&disk).unwrap();
    assert!(matches!(open(&disk), Err(oxkeeper_store::OpenError::InUse(_))));
    drop(first);
    assert!(open(&disk).is_ok());
    let _ = directories();
}
