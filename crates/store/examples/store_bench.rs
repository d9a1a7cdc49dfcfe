//! How fast the disk paths of this room are here: append and sync, first write, snapshot and recovery.
//!
//! `cargo run --release -p oxkeeper-store --example store_bench -- <directory> [transactions]`. The directory is made, and
//! emptied of what this program puts there.

use oxkeeper_proto::Zxid;
use oxkeeper_store::names::Compression;
use oxkeeper_store::snapshot::{SnapshotEnd, SnapshotReader, TERMINATOR};
use oxkeeper_store::{Directories, LogOptions, OpenOptions, RealDisk, Store};
use std::io::{BufRead, Write};
use std::time::{Duration, Instant};

const SNAPSHOT_BYTES: usize = 200 << 20;

fn payload(zxid: i64, length: usize) -> Vec<u8> {
    let mut payload = vec![7; length];
    payload[12..20].copy_from_slice(&zxid.to_be_bytes());
    payload[28..32].copy_from_slice(&5i32.to_be_bytes());
    payload
}

/// Reads a body of known length, as the tree would.
fn load(reader: &mut SnapshotReader) -> Result<u64, String> {
    let mut left = SNAPSHOT_BYTES + TERMINATOR.len();
    let mut sum = 0;
    while left > 0 {
        let bytes = reader.fill_buf().map_err(|error| error.to_string())?;
        if bytes.is_empty() {
            return Err("the end".to_owned());
        }
        let n = bytes.len().min(left);
        sum += u64::from(bytes[n - 1]);
        reader.consume(n);
        left -= n;
    }
    Ok(sum)
}

fn percentiles(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_micros();
    println!("{what}: p50 {} us, p99 {} us, p99.9 {} us, max {} us", at(0.5), at(0.99), at(0.999), at(1.0));
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let directory = arguments.next().expect("a directory");
    let transactions: i64 = arguments.next().map_or(124_000, |text| text.parse().expect("a number"));
    let disk = RealDisk::shared();
    let directories = Directories::one(&directory);
    let _ = std::fs::remove_dir_all(directories.snapshots());

    let begun = Instant::now();
    let opened = Store::open(&disk, &directories, &OpenOptions::default(), load).expect("opens");
    let store = opened.store;
    println!("open an empty directory: {} us", begun.elapsed().as_micros());
    let begun = Instant::now();
    let mut writer = store.snapshot_writer(Zxid(0), Compression::None).expect("a file");
    let chunk: Vec<u8> = (0..1 << 20).map(|i: u32| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    for _ in 0..SNAPSHOT_BYTES >> 20 {
        writer.write_all(&chunk).expect("space");
    }
    writer.write_all(&TERMINATOR).expect("space");
    writer.finish(SnapshotEnd { digest: None, last_zxid: None }).expect("space");
    println!("snapshot of {} MB written, synced, read back: {} ms", SNAPSHOT_BYTES >> 20, begun.elapsed().as_millis());

    let mut log = store.txn_log(LogOptions::default()).expect("lists");
    let begun = Instant::now();
    log.append(&[payload(1, 150)]).expect("space");
    log.sync().expect("syncs");
    println!("first append and sync: {} us", begun.elapsed().as_micros());
    let mut zxid = 1;
    for (what, batch, rounds) in [("one at a time", 1, 3000), ("batches of 100", 100, 1_000_000)] {
        let mut times = Vec::new();
        let begun = Instant::now();
        let first = zxid;
        for _ in 0..rounds {
            if zxid + batch > transactions {
                break;
            }
            let payloads: Vec<_> = (1..=batch).map(|i| payload(zxid + i, 150)).collect();
            zxid += batch;
            let begun = Instant::now();
            log.append(&payloads).expect("space");
            if let Some(helper) = log.prepare_ahead() {
                std::thread::spawn(move || helper.run());
            }
            log.sync().expect("syncs");
            times.push(begun.elapsed());
        }
        println!("{what}: {:.0} transactions/s", (zxid - first) as f64 / begun.elapsed().as_secs_f64());
        percentiles(what, times);
    }
    drop((log, store));

    for round in ["after kill -9", "again"] {
        let begun = Instant::now();
        let opened = Store::open(&disk, &directories, &OpenOptions::default(), load).expect("opens");
        let open_ms = begun.elapsed().as_millis();
        let count = opened.log.records().count();
        println!("open with the snapshot and {count} transactions, {round}: {open_ms} ms, all iterated {} ms", begun.elapsed().as_millis());
    }
    let _ = std::fs::remove_dir_all(directories.snapshots());
}
