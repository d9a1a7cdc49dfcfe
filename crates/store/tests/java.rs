//! Directories that Java servers made (compat-tests/vectors/store/make.sh) are read, continued and written alike.

mod common;

use oxkeeper_proto::Zxid;
use oxkeeper_store::log_format::{FILE_HEADER, decode_log, write_record};
use oxkeeper_store::names::{Compression, is_plain_log, is_plain_snapshot, snapshot_zxid};
use oxkeeper_store::recovery::{read_opaque_body, recover};
use oxkeeper_store::sim_disk::SimDisk;
use oxkeeper_store::snapshot::{SnapshotDigest, SnapshotEnd, SnapshotReader, TERMINATOR, decode_snapshot_framing, verify};
use oxkeeper_store::{DiskRef, OpenOptions, RealDisk};
use std::io::Write;
use std::path::{Path, PathBuf};

fn vectors() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../compat-tests/vectors/store")
}

fn files(state: &str) -> Vec<(String, Vec<u8>)> {
    let directory = vectors().join(state);
    let disk = RealDisk::shared();
    let entries = disk.list(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    entries.into_iter().map(|entry| (entry.name.clone(), disk.read(&directory.join(&entry.name)).unwrap())).collect()
}

fn recovered(files: &[(String, Vec<u8>)]) -> (Zxid, Zxid) {
    let borrowed: Vec<_> = files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
    let found = recover(&borrowed, &OpenOptions::default()).unwrap_or_else(|damaged| panic!("{damaged}"));
    (found.snapshot.expect("there is one").zxid, found.history.last)
}

#[test]
fn every_directory_has_the_history_that_java_gave_it() {
    // State, zxid of the newest snapshot, last zxid.
    let expected =
        [("empty", 0, 0), ("once", 0, 10), ("twice", 10, 14), ("plain", 10, 14), ("gz", 10, 14), ("snappy", 10, 14), ("rolled", 0, 0x19)];
    for version in ["3.8.0", "3.9.5"] {
        for (state, snapshot, last) in expected {
            let state = format!("{version}-{state}");
            let (found_snapshot, found_last) = recovered(&files(&state));
            if state.ends_with("rolled") {
                // Java draws at random when it takes a snapshot.
                assert_eq!(found_last, Zxid(last), "{state}");
            } else {
                assert_eq!((found_snapshot, found_last), (Zxid(snapshot), Zxid(last)), "{state}");
            }
        }
    }
}

#[test]
fn logs_are_written_byte_for_byte_as_java_writes_them() {
    let mut seen = 0;
    for version in ["3.8.0", "3.9.5"] {
        for state in ["once", "twice", "plain", "rolled"] {
            for (name, bytes) in files(&format!("{version}-{state}")).into_iter().filter(|(name, _)| is_plain_log(name)) {
                let (records, scan) = decode_log(&bytes);
                let mut ours = FILE_HEADER.to_vec();
                records.iter().for_each(|record| write_record(&mut ours, record.payload));
                assert_eq!(scan.data_end, ours.len(), "{version}-{state} {name}");
                ours.resize(bytes.len(), 0);
                assert!(ours == bytes, "{version}-{state} {name}");
                seen += 1;
            }
        }
    }
    assert!(seen >= 20, "{seen}");
}

#[test]
fn snapshots_are_written_byte_for_byte_as_java_writes_them() {
    let sim = SimDisk::new();
    let mut store = common::open(&sim).unwrap().store;
    let disk: DiskRef = common::shared(&sim);
    for version in ["3.8.0", "3.9.5"] {
        for state in ["empty", "once", "twice", "plain", "gz", "snappy", "rolled"] {
            let directory = vectors().join(format!("{version}-{state}"));
            for (name, bytes) in files(&format!("{version}-{state}")).into_iter().filter(|(name, _)| is_plain_snapshot(name)) {
                let (body, end) = SnapshotReader::open(&RealDisk::shared(), &directory.join(&name))
                    .map_err(|error| error.to_string())
                    .and_then(read_opaque_body)
                    .unwrap();
                assert_eq!(verify(&RealDisk::shared(), &directory.join(&name)).unwrap(), end, "{name}");
                let expected = match (version, state) {
                    (_, "plain") => (false, false),
                    ("3.8.0", _) => (true, false),
                    _ => (true, true),
                };
                assert_eq!((end.digest.is_some(), end.last_zxid.is_some()), expected, "{version}-{state} {name}");
                let compression = Compression::of_name(&name);
                let mut writer = store.snapshot_writer(snapshot_zxid(&name).unwrap(), compression).unwrap();
                writer.write_all(&body).unwrap();
                let file = writer.finish(end).unwrap();
                store.note_verified(&file);
                assert_eq!(file.name, name);
                let ours = disk.read(&Path::new("/data/version-2").join(&name)).unwrap();
                if compression == Compression::None {
                    assert!(ours == bytes, "{version}-{state} {name}");
                    assert_eq!(decode_snapshot_framing(&bytes).unwrap().end, end);
                } else {
                    // Two compressors need not agree; the content does.
                    let reader = SnapshotReader::open(&disk, &Path::new("/data/version-2").join(&name)).unwrap();
                    assert_eq!(read_opaque_body(reader).unwrap(), (body, end));
                }
            }
        }
    }
}

#[test]
fn a_damaged_byte_in_a_directory_of_java_is_noticed_or_harmless() {
    for state in ["3.9.5-twice", "3.8.0-snappy", "3.9.5-gz"] {
        let whole = files(state);
        let truth = |files: &[(String, Vec<u8>)]| {
            let borrowed: Vec<_> = files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
            recover(&borrowed, &OpenOptions::default()).ok().map(|found| {
                let snapshot = found.snapshot.expect("there is one");
                (snapshot.zxid, snapshot.state, found.history.last)
            })
        };
        let good = truth(&whole).unwrap();
        for (index, (name, bytes)) in whole.iter().enumerate() {
            let used = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
            for (at, old) in bytes.iter().enumerate().take(used) {
                for change in [|byte: u8| byte ^ 1, |byte: u8| byte ^ 0x80, |_| 0] {
                    let mut files = whole.clone();
                    files[index].1[at] = change(*old);
                    if let Some(found) = truth(&files) {
                        assert_eq!(found.2, good.2, "{state} {name} at {at}");
                        assert!(found.0 != good.0 || found.1 == good.1, "{state} {name} at {at}");
                    }
                }
            }
        }
    }
}

#[test]
fn all_kinds_of_ends_are_read_back() {
    let sim = SimDisk::new();
    let store = common::open(&sim).unwrap().store;
    let disk = common::shared(&sim);
    let digest = Some(SnapshotDigest { zxid: Zxid(7), version: 2, digest: u64::MAX });
    for size in [0, 100, 600_000, 5_000_000] {
        for compression in [Compression::None, Compression::Gz, Compression::Snappy] {
            for (digest, last_zxid) in [(None, None), (digest, None), (None, Some(Zxid(7))), (digest, Some(Zxid(7)))] {
                let end = SnapshotEnd { digest, last_zxid };
                let mut body: Vec<u8> = (0..size).map(|i: usize| (i ^ (i >> 9)) as u8).collect();
                body.extend_from_slice(&TERMINATOR);
                let mut writer = store.snapshot_writer(Zxid(7), compression).unwrap();
                body.chunks(70_001).for_each(|chunk| writer.write_all(chunk).unwrap());
                let name = writer.finish(end).unwrap().name;
                // Read as the tree does: the body first, then the rest.
                let mut reader = SnapshotReader::open(&disk, &Path::new("/data/version-2").join(name)).unwrap();
                let mut read = vec![0; body.len()];
                std::io::Read::read_exact(&mut reader, &mut read).unwrap();
                assert!(read == body);
                assert_eq!(reader.finish().unwrap(), end);
            }
        }
    }
}

#[test]
fn a_full_disk_leaves_no_half_snapshot() {
    let sim = SimDisk::new();
    let mut store = common::open(&sim).unwrap().store;
    common::write_snapshot(&mut store, Zxid(1), Compression::None, 100).unwrap();
    sim.set_capacity(Some(sim.used_bytes() + 300_000));
    let error = common::write_snapshot(&mut store, Zxid(2), Compression::None, 1_000_000).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
    let names: Vec<_> = common::shared(&sim).list(Path::new("/data/version-2")).unwrap().into_iter().map(|entry| entry.name).collect();
    assert_eq!(names, ["snapshot.1"]);
    sim.set_capacity(None);
    common::write_snapshot(&mut store, Zxid(2), Compression::None, 1_000_000).unwrap();
}
