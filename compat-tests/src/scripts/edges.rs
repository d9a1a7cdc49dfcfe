//! Counters at their ends: versions, the counter of children behind sequential names. No client can count so far in a
//! test, so the server starts on a log that says it has been done.

use std::fs;
use std::path::Path;

use super::{Script, Setup};
use crate::conversation::Conversation;
use crate::wire::{Writer, op, open, request};

pub const SCRIPTS: &[Script] = &[
    Script::new("edges: versions of data", Setup::NearOverflow, data_versions),
    Script::new("edges: versions of access lists", Setup::NearOverflow, acl_versions),
    Script::new("edges: counter of children", Setup::NearOverflow, children),
    Script::new("edges: counter of children, in a multi", Setup::NearOverflow, children_in_a_multi),
];

/// The transactions of `write_log`.
fn transactions() -> Vec<(i32, Writer)> {
    let create = |path: &str, parent_c_version: i32| {
        (op::CREATE, Writer::new().string(path).buffer(Some(b"d")).acls(&open()).boolean(false).int(parent_c_version))
    };
    let set_data = |path: &str, version: i32| (op::SET_DATA, Writer::new().string(path).buffer(Some(b"d")).int(version));
    let set_acl = |path: &str, version: i32| (op::SET_ACL, Writer::new().string(path).acls(&open()).int(version));
    vec![
        create("/edge", 1),
        create("/edge/last", 1),
        set_data("/edge/last", i32::MAX - 1),
        set_acl("/edge/last", i32::MAX - 1),
        create("/edge/minus", 2),
        set_data("/edge/minus", -3),
        set_acl("/edge/minus", -3),
        create("/edge/children", 3),
        create("/edge/children/first", i32::MAX - 3),
        create("/edge/multi", 4),
        create("/edge/multi/first", i32::MAX - 1),
    ]
}

/// Writes a server's first log, without the digests that a server would add.
pub fn write_log(directory: &Path) {
    let mut log = Writer::new().raw(b"ZKLG").int(2).long(0);
    for (zxid, (kind, body)) in (1..).zip(transactions()) {
        const TIME_MS: i64 = 1_000_000_000_000;
        let header = Writer::new().long(0).int(0).long(zxid).long(TIME_MS).int(kind);
        let payload = header.raw(&body.bytes).bytes;
        log = log.long(i64::from(adler32(&payload))).buffer(Some(&payload)).byte(b'B');
    }
    fs::create_dir_all(directory).expect("writable");
    fs::write(directory.join("log.1"), log.bytes).expect("writable");
}

/// The checksum of a log's records (RFC 1950).
fn adler32(bytes: &[u8]) -> u32 {
    const MODULUS: u32 = 65521;
    let (low, high) = bytes.iter().fold((1, 0), |(low, high), byte| {
        let low = (low + u32::from(*byte)) % MODULUS;
        (low, (high + low) % MODULUS)
    });
    high << 16 | low
}

fn data_versions(talk: &mut Conversation) {
    talk.connect("a");
    for path in ["/edge/last", "/edge/minus"] {
        talk.ask("a", &request::read(op::DATA, path, false));
        for expected in [-1, i32::MAX, i32::MIN, i32::MIN + 1, -2, -1, 0, -1, 1, i32::MAX - 1] {
            talk.ask("a", &request::set_data(path, Some(b"x"), expected));
            talk.ask("a", &request::multi(op::MULTI, &[request::check(path, expected)]));
            talk.ask("a", &request::read(op::EXISTS, path, false));
        }
        talk.ask("a", &request::delete(path, i32::MAX));
        talk.ask("a", &request::multi(op::MULTI, &[request::set_data(path, Some(b"y"), -1), request::set_data(path, Some(b"z"), -1)]));
        talk.ask("a", &request::read(op::EXISTS, path, false));
    }
}

fn acl_versions(talk: &mut Conversation) {
    talk.connect("a");
    for path in ["/edge/last", "/edge/minus"] {
        talk.ask("a", &request::path(op::ACL, path));
        for expected in [-1, i32::MAX, i32::MIN, i32::MIN + 1, -2, -1, 0, -1, 1] {
            talk.ask("a", &request::set_acl(path, &open(), expected));
            talk.ask("a", &request::path(op::ACL, path));
        }
    }
}

fn children(talk: &mut Conversation) {
    talk.connect("a");
    let parent = "/edge/children";
    talk.ask("a", &request::read(op::CHILDREN2, parent, false));
    for at in 0..7 {
        talk.note(format!("round {at}"));
        talk.ask("a", &request::create_flags(&format!("{parent}/s-"), 2));
        talk.ask("a", &request::read(op::CHILDREN2, parent, false));
        talk.ask("a", &request::create(&format!("{parent}/plain-{at}"), ""));
        talk.ask("a", &request::create_flags(&format!("{parent}/e-"), 3));
        talk.ask("a", &request::read(op::CHILDREN2, parent, false));
        talk.ask("a", &request::delete(&format!("{parent}/plain-{at}"), -1));
        talk.ask("a", &request::read(op::EXISTS, parent, false));
    }
}

fn children_in_a_multi(talk: &mut Conversation) {
    talk.connect("a");
    let parent = "/edge/multi";
    for at in 0..3 {
        let parts: Vec<_> = (0..4).map(|part| request::create_flags(&format!("{parent}/{at}-{part}-"), 2)).collect();
        talk.ask("a", &request::multi(op::MULTI, &parts));
        talk.ask("a", &request::read(op::CHILDREN2, parent, false));
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn adler32_of_known_texts() {
        assert_eq!(super::adler32(b""), 1);
        assert_eq!(super::adler32(b"Wikipedia"), 0x11E6_0398);
    }
}
