//! One damaged byte: the same history comes back, or none with a reason. Never another one.

mod common;

use common::{body, open, options, payload};
use oxkeeper_proto::Zxid;
use oxkeeper_store::names::Compression;
use oxkeeper_store::recovery::recover;
use oxkeeper_store::sim_disk::SimDisk;
use oxkeeper_store::{Damaged, LogOptions, OpenOptions, Store};
use std::path::Path;

type Files = Vec<(String, Vec<u8>)>;
/// Zxid and body of the snapshot, and the transactions after it.
type History = (Zxid, Vec<u8>, Vec<Vec<u8>>);
/// What a case is about, its files, and how many transactions are read, if any are.
type Case = (&'static str, Files, Result<usize, ()>);

/// Snapshots 0, 10 and 25 and logs 1, b and 1f with 40 transactions of several sizes; `epochs` as an ensemble leaves them.
fn directory() -> Files {
    let disk = SimDisk::new();
    let mut opened = open(&disk).unwrap();
    common::write_snapshot(&mut opened.store, Zxid(0), Compression::None, 40).unwrap();
    let mut log = opened.store.txn_log(LogOptions { pre_alloc_bytes: 4096, ..options() }).unwrap();
    for zxid in 1..=40i64 {
        log.append(&[payload(zxid, &vec![zxid as u8; [0, 3, 90, 520][zxid as usize % 4]])]).unwrap();
        log.sync().unwrap();
        if zxid == 10 || zxid == 30 {
            log.roll().unwrap();
        }
        if zxid == 10 || zxid == 25 {
            common::write_snapshot(&mut opened.store, Zxid(zxid), Compression::None, 300).unwrap();
        }
    }
    files_of(&disk)
}

fn files_of(disk: &SimDisk) -> Files {
    let disk = common::shared(disk);
    let directory = Path::new("/data/version-2");
    let names = disk.list(directory).unwrap().into_iter().map(|entry| entry.name).filter(|name| !name.starts_with("oxkeeper."));
    names.map(|name| (name.clone(), disk.read(&directory.join(&name)).unwrap())).collect()
}

fn read(files: &Files) -> Result<History, Damaged> {
    let borrowed: Vec<_> = files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
    let recovered = recover(&borrowed, &OpenOptions::default())?;
    let snapshot = recovered.snapshot.expect("there is one");
    let mut last = snapshot.zxid;
    let mut payloads = Vec::new();
    for piece in &recovered.history.pieces {
        for record in oxkeeper_store::log_format::trusted_records(&recovered.files[piece.file].1, piece.from, piece.to) {
            if record.zxid > last {
                last = record.zxid;
                payloads.push(record.payload.to_vec());
            }
        }
    }
    assert_eq!(last, recovered.history.last);
    Ok((snapshot.zxid, snapshot.state, payloads))
}

/// Whether a state is the whole history of [`directory`], seen from whatever snapshot.
fn is_whole(state: &History, whole: &[Vec<u8>]) -> bool {
    let (zxid, body_read, payloads) = state;
    *body_read == body(*zxid, if zxid.0 == 0 { 40 } else { 300 }) && *payloads == whole[zxid.0 as usize..]
}

#[test]
fn a_damaged_byte_of_a_log_or_a_snapshot_never_changes_the_history() {
    let files = directory();
    let whole: Vec<Vec<u8>> = (1..=40i64).map(|zxid| payload(zxid, &vec![zxid as u8; [0, 3, 90, 520][zxid as usize % 4]])).collect();
    assert!(is_whole(&read(&files).unwrap(), &whole));
    let mut counts = [0; 2];
    for (index, (name, bytes)) in files.iter().enumerate() {
        let used = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 20;
        for (at, old) in bytes.iter().enumerate().take(used) {
            for change in [|byte: u8| byte ^ 1, |byte: u8| byte ^ 0x80, |_| 0] {
                let mut files = files.clone();
                files[index].1[at] = change(*old);
                match read(&files) {
                    Ok(state) => {
                        assert!(is_whole(&state, &whole), "{name} at {at}: {} transactions from {}", state.2.len(), state.0);
                        counts[0] += 1;
                    }
                    Err(_) => counts[1] += 1,
                }
            }
        }
    }
    assert!(counts[0] > 1000 && counts[1] > 1000, "whole {} damaged {}", counts[0], counts[1]);
}

#[test]
fn a_shortened_log_loses_only_what_is_beyond_the_cut() {
    let files = directory();
    let whole: Vec<Vec<u8>> = (1..=40i64).map(|zxid| payload(zxid, &vec![zxid as u8; [0, 3, 90, 520][zxid as usize % 4]])).collect();
    for (index, (name, bytes)) in files.iter().enumerate() {
        for cut in 0..bytes.iter().rposition(|byte| *byte != 0).unwrap() + 2 {
            let mut files = files.clone();
            files[index].1.truncate(cut);
            let Ok(state) = read(&files) else { continue };
            if name == "log.1f" {
                // The last log: as after a torn write, or after Java's TRUNC.
                let (zxid, _, payloads) = &state;
                assert!(payloads.len() + zxid.0 as usize >= 30 && whole[zxid.0 as usize..].starts_with(payloads), "{cut}");
            } else {
                assert!(is_whole(&state, &whole), "{name} cut at {cut}");
            }
        }
    }
}

#[test]
fn missing_files_are_noticed() {
    let files = directory();
    for (index, (name, _)) in files.iter().enumerate() {
        let mut rest = files.clone();
        rest.remove(index);
        let found = read(&rest);
        match name.as_str() {
            // The newest snapshot makes these superfluous, or an older one takes its place.
            "log.1" | "snapshot.0" | "snapshot.a" | "snapshot.19" => assert!(found.is_ok(), "{name}: {found:?}"),
            "log.b" => assert!(found.is_err(), "{name}"),
            // Nothing tells that there was a later log: as a crash before its first record.
            "log.1f" => assert_eq!(found.unwrap().2.len(), 5),
            other => panic!("{other}"),
        }
    }
    let mut emptied = files.clone();
    emptied[1].1.clear();
    assert_eq!(emptied[1].0, "log.1f");
    assert_eq!(read(&emptied).unwrap().2.len(), 5, "an empty last log was never written to");
    let no_snapshots: Files = files.iter().filter(|(name, _)| name.starts_with("log.")).cloned().collect();
    assert!(read(&no_snapshots).unwrap_err().reason.starts_with("No snapshot found, but there are log entries."));
}

#[test]
fn an_older_snapshot_does_not_bring_back_what_a_leader_replaced() {
    // The history of reliability fact F2: transactions of epoch 1 that were never committed, then a snapshot of epoch
    // 2 from the leader, then its transactions.
    let at = |epoch: u32, counter: u32| Zxid::new(epoch, counter);
    let log = |first: Zxid, zxids: &[Zxid]| {
        let mut bytes = oxkeeper_store::log_format::FILE_HEADER.to_vec();
        zxids.iter().for_each(|zxid| oxkeeper_store::log_format::write_record(&mut bytes, &payload(zxid.0, b"x")));
        (format!("log.{first:x}"), bytes)
    };
    let snapshot = |zxid: Zxid| {
        let disk = SimDisk::new();
        let mut store = open(&disk).unwrap().store;
        common::write_snapshot(&mut store, zxid, Compression::None, 40).unwrap();
        files_of(&disk).remove(0)
    };
    let old = log(at(1, 1), &(1..=12).map(|counter| at(1, counter)).collect::<Vec<_>>());
    for (leaders, next) in [(at(2, 5), at(2, 6)), (at(1, 10), at(2, 1))] {
        let mut files = vec![snapshot(at(0, 0)), old.clone(), snapshot(leaders), log(next, &[next, next.next()])];
        assert_eq!(read(&files).unwrap().0, leaders);
        files[2].1[60] ^= 1;
        let error = read(&files).unwrap_err();
        assert!(!error.reason.is_empty() && !error.remedy.is_empty());
    }
    // Within the last epoch the log proves the history without the snapshot.
    let mut files = vec![snapshot(at(0, 0)), old, snapshot(at(1, 10))];
    files[2].1[60] ^= 1;
    assert_eq!(read(&files).unwrap().2.len(), 12);
}

#[test]
fn what_java_leaves_behind_is_accepted() {
    let snapshot = directory().into_iter().find(|(name, _)| name == "snapshot.0").unwrap();
    let record = |zxid: i64, kind: i32| {
        let mut payload = payload(zxid, b"data");
        payload[28..32].copy_from_slice(&kind.to_be_bytes());
        payload
    };
    let log = |name: &str, records: &[Vec<u8>], tail: &[u8]| {
        let mut bytes = oxkeeper_store::log_format::FILE_HEADER.to_vec();
        records.iter().for_each(|payload| oxkeeper_store::log_format::write_record(&mut bytes, payload));
        bytes.extend_from_slice(tail);
        bytes.resize(bytes.len() + 3000, 0);
        (name.to_owned(), bytes)
    };
    let mut torn = Vec::new();
    oxkeeper_store::log_format::write_record(&mut torn, &record(3, 5));
    let unmarked = torn[..torn.len() - 1].to_vec();
    torn.truncate(30);
    let both = [record(1, 5), record(2, 5)];
    let epoch = 1i64 << 32;
    let cases: Vec<Case> = vec![
        ("torn tail at the end", vec![log("log.1", &both, &torn)], Ok(2)),
        ("torn tail, successor follows", vec![log("log.1", &both, &torn), log("log.3", &[record(3, 5)], &[])], Ok(3)),
        ("torn tail, an epoch follows", vec![log("log.1", &both, &torn), log("log.100000001", &[record(epoch + 1, 5)], &[])], Ok(3)),
        ("torn tail, something is missing", vec![log("log.1", &both, &torn), log("log.4", &[record(4, 5)], &[])], Err(())),
        ("an epoch does not begin with 1", vec![log("log.1", &both, &[]), log("log.100000002", &[record(epoch + 2, 5)], &[])], Err(())),
        ("the mark is missing at the end", vec![log("log.1", &both, &unmarked)], Ok(3)),
        ("the mark is missing, the record counts", vec![log("log.1", &both, &unmarked), log("log.4", &[record(4, 5)], &[])], Ok(4)),
        ("the mark is missing, the record does not count", vec![log("log.1", &both, &unmarked), log("log.3", &[record(3, 1)], &[])], Ok(3)),
        (
            "the mark is missing, nobody knows",
            vec![log("log.1", &both, &unmarked), log("log.100000001", &[record(epoch + 1, 5)], &[])],
            Err(()),
        ),
        ("an error repeats a zxid", vec![log("log.1", &[record(1, 5), record(1, -1), record(2, 5)], &[])], Ok(2)),
        ("an error begins a file", vec![log("log.1", &both, &[]), log("log.2", &[record(2, -1), record(3, 5)], &[])], Ok(3)),
        ("a file repeats records", vec![log("log.1", &both, &[]), log("log.2", &[record(2, 5), record(3, 5)], &[])], Ok(3)),
        (
            "a file repeats a zxid with other content",
            vec![log("log.1", &both, &[]), log("log.2", &[record(2, 1), record(3, 5)], &[])],
            Err(()),
        ),
        ("a file has another name", vec![log("log.1", &both, &[]), log("log.4", &[record(3, 5)], &[])], Err(())),
        ("a file without records at the end", vec![log("log.1", &both, &torn), log("log.3", &[], &[])], Ok(2)),
        ("a file without records tells of lost ones", vec![log("log.1", &both, &[]), log("log.9", &[], &[])], Err(())),
        (
            "an empty file in the middle",
            vec![log("log.1", &both, &[]), ("log.2".into(), vec![]), log("log.3", &[record(3, 5)], &[])],
            Err(()),
        ),
        ("a copy lies about", vec![log("log.1", &both, &[]), log("log.1.bak", &both, &[])], Ok(2)),
        ("a copy is the only one", vec![log("log.1.bak", &both, &[])], Err(())),
        ("counters run over in standalone", vec![log("log.1", &both, &[]), log("log.3", &[record(3, 5), record(5, 5)], &[])], Err(())),
    ];
    for (case, mut files, expected) in cases {
        files.push(snapshot.clone());
        let found = read(&files).map(|state| state.2.len()).map_err(|_| ());
        assert_eq!(found, expected, "{case}");
        // What was accepted is repaired so that it is accepted again, and ends clean.
        if let Ok(count) = found {
            let disk = SimDisk::new();
            for (name, bytes) in &files {
                disk.put(&Path::new("/data/version-2").join(name), bytes);
            }
            assert_eq!(common::history(&open(&disk).unwrap()).len(), count, "{case}");
            let repaired = files_of(&disk);
            assert_eq!(read(&repaired).unwrap().2.len(), count, "{case}");
            let last = repaired
                .iter()
                .filter(|(name, _)| oxkeeper_store::names::is_plain_log(name))
                .max_by_key(|(name, _)| oxkeeper_store::names::log_zxid(name))
                .unwrap();
            let scan = oxkeeper_store::log_format::decode_log(&last.1).1;
            assert!(scan.first.is_some() && scan.data_end == scan.good_end, "{case}");
        }
    }
}

#[test]
fn a_damaged_epoch_file_is_noticed_or_harmless() {
    let disk = SimDisk::new();
    let opened = open(&disk).unwrap();
    let epochs = opened.store.epochs();
    epochs.set_accepted(127).unwrap();
    epochs.set_current(127).unwrap();
    drop(opened);
    let files = files_of(&disk);
    for name in ["acceptedEpoch", "currentEpoch"] {
        let bytes = &files.iter().find(|(found, _)| found == name).unwrap().1;
        assert_eq!(bytes, b"127", "no line end, as Java");
        for at in 0..bytes.len() {
            for change in [|byte: u8| byte ^ 1, |byte: u8| byte ^ 0x80, |_| 0, |_| b'9', |_| b'0'] {
                let disk = disk.fork();
                disk.rot(&Path::new("/data/version-2").join(name), at as u64, change);
                let opened = open(&disk).unwrap();
                if let Ok(epochs) = opened.store.epochs().load(Zxid::new(127, 3)) {
                    // A promise can only have become a stronger one, and the history keeps its epoch.
                    assert!(epochs.accepted >= 127 && epochs.current == 127, "{name} {at}: {epochs:?}");
                }
            }
        }
        for length in 0..bytes.len() {
            let disk = disk.fork();
            disk.put(&Path::new("/data/version-2").join(name), &bytes[..length]);
            assert!(open(&disk).unwrap().store.epochs().load(Zxid::new(127, 3)).is_err(), "{name} cut to {length}");
        }
    }
    let _: fn(&Store) -> _ = Store::epochs;
}
