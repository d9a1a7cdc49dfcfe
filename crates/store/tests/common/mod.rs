//! What the tests of this room share: payloads, a tree that is a list of zxids, and directories on a simulated disk.
#![allow(dead_code)] // each test program uses its part

use oxkeeper_proto::Zxid;
use oxkeeper_store::names::Compression;
use oxkeeper_store::recovery::read_opaque_body;
use oxkeeper_store::sim_disk::SimDisk;
use oxkeeper_store::snapshot::{SnapshotDigest, SnapshotEnd, TERMINATOR};
use oxkeeper_store::{Directories, DiskRef, LogOptions, OpenError, OpenOptions, Opened, Store};
use std::io::Write;
use std::sync::Arc;

/// A transaction: header with this zxid, and data.
pub fn payload(zxid: i64, data: &[u8]) -> Vec<u8> {
    let mut payload = vec![0; 32];
    payload[12..20].copy_from_slice(&zxid.to_be_bytes());
    payload[20..28].copy_from_slice(&0x1a2_015b_f1e5i64.to_be_bytes());
    payload[28..32].copy_from_slice(&5i32.to_be_bytes());
    payload.extend_from_slice(data);
    payload
}

/// Small logs, so that padding and rolling are met.
pub fn options() -> LogOptions {
    LogOptions { pre_alloc_bytes: 16 << 10, size_limit_bytes: None, force_sync: true, reserve_bytes: 0 }
}

pub fn directories() -> Directories {
    Directories::one("/data")
}

pub fn shared(disk: &SimDisk) -> DiskRef {
    Arc::new(disk.clone())
}

/// Opens with bodies taken as they are.
pub fn open(disk: &SimDisk) -> Result<Opened<Vec<u8>>, OpenError> {
    Store::open_with(&shared(disk), &directories(), &OpenOptions::default(), read_opaque_body)
}

/// Writes a snapshot whose body says its zxid.
pub fn write_snapshot(store: &mut Store, zxid: Zxid, compression: Compression, size: usize) -> std::io::Result<()> {
    let mut writer = store.snapshot_writer(zxid, compression)?;
    writer.write_all(&body(zxid, size))?;
    let digest = SnapshotDigest { zxid, version: 2, digest: 0x51c6_d660 };
    let file = writer.finish(SnapshotEnd { digest: Some(digest), last_zxid: Some(zxid) })?;
    store.note_verified(&file);
    Ok(())
}

/// The body of a snapshot: its zxid, bytes, the terminator.
pub fn body(zxid: Zxid, size: usize) -> Vec<u8> {
    let mut body = zxid.0.to_be_bytes().to_vec();
    body.extend((0..size).map(|i| (i * 7 + zxid.0 as usize) as u8));
    body.extend_from_slice(&TERMINATOR);
    body
}

/// The zxid and payload of every transaction in an opened log.
pub fn history(opened: &Opened<Vec<u8>>) -> Vec<(Zxid, Vec<u8>)> {
    opened.log.records().map(|record| (record.zxid, record.payload.to_vec())).collect()
}
