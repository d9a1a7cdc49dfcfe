//! Frames from the server to a client: a length, a reply header and a record.

use oxkeeper_proto::code::STATE_SYNC_CONNECTED;
use oxkeeper_proto::records::{ReplyHeader, WatcherEvent};
use oxkeeper_proto::{ErrorCode, EventType, Record, Write};

/// The xid of notifications.
pub const NOTIFICATION_XID: i32 = -1;
/// The xid of every answer to a ping.
pub const PING_XID: i32 = -2;

/// Appends one frame whose content `fill` writes.
pub fn frame(out: &mut Vec<u8>, fill: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.int(0);
    fill(out);
    let length = i32::try_from(out.len() - start - 4).expect("a reply is far below 2 GiB");
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
}

/// Appends a reply without a record.
pub fn header(out: &mut Vec<u8>, xid: i32, zxid: i64, err: ErrorCode) {
    frame(out, |out| ReplyHeader { xid, zxid, err: err.0 }.write(out));
}

/// Appends a successful reply with what `fill` writes behind the header.
pub fn reply(out: &mut Vec<u8>, xid: i32, zxid: i64, fill: impl FnOnce(&mut Vec<u8>)) {
    frame(out, |out| {
        ReplyHeader { xid, zxid, err: 0 }.write(out);
        fill(out);
    });
}

/// Appends a watch event. `zxid` is that of the transaction, or -1 for what a reconnecting client
/// missed.
pub fn notification(out: &mut Vec<u8>, zxid: i64, kind: EventType, path: &str) {
    reply(out, NOTIFICATION_XID, zxid, |out| {
        WatcherEvent { kind: kind as i32, state: STATE_SYNC_CONNECTED, path: Some(path.into()) }.write(out);
    });
}
