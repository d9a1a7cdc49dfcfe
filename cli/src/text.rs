//! How zkCli prints what the server says, and reads what a user writes in an argument: Stats, ACLs, numbers, data.

use crate::failure::Failure;
use oxkeeper_driver::{Acl, Event, client::State};
use oxkeeper_proto::perms;
use oxkeeper_proto::records::Stat;
use oxkeeper_server::four_letter::date::JavaDate;
use oxkeeper_server::four_letter::zone::Zone;
use std::fmt::Write as _;

/// A Stat in eleven lines, without the last newline.
pub fn stat(stat: &Stat, zone: &Zone) -> String {
    format!(
        "cZxid = {:#x}\nctime = {}\nmZxid = {:#x}\nmtime = {}\npZxid = {:#x}\ncversion = {}\ndataVersion = {}\naclVersion = {}\n\
         ephemeralOwner = {:#x}\ndataLength = {}\nnumChildren = {}",
        stat.czxid,
        JavaDate { epoch_ms: stat.ctime, zone },
        stat.mzxid,
        JavaDate { epoch_ms: stat.mtime, zone },
        stat.pzxid,
        stat.cversion,
        stat.version,
        stat.aversion,
        stat.ephemeral_owner,
        stat.data_length,
        stat.num_children,
    )
}

/// Permissions as letters, in the order that zkCli prints.
pub fn permissions(bits: i32) -> String {
    PERMISSIONS.iter().filter(|(_, bit)| bits & bit != 0).map(|(letter, _)| *letter).collect()
}

const PERMISSIONS: [(char, i32); 5] =
    [('c', perms::CREATE), ('d', perms::DELETE), ('r', perms::READ), ('w', perms::WRITE), ('a', perms::ADMIN)];

/// An entry of an ACL as `getAcl` prints it: two lines.
pub fn acl_entry(entry: &Acl) -> String {
    format!("'{},'{}\n: {}", entry.scheme, entry.id, permissions(entry.perms))
}

/// Reads `scheme:id:permissions,...`; the id may hold colons. What is wrong is said in `complaints`: an entry of
/// another form is left out, an unknown letter too.
pub fn parse_acl(text: &str, complaints: &mut Vec<String>) -> Vec<Acl> {
    let mut acl = Vec::new();
    for entry in java_split(text, ',') {
        let parts = entry.split_once(':').and_then(|(scheme, rest)| Some((scheme, rest.rsplit_once(':')?)));
        let Some((scheme, (id, letters))) = parts else {
            complaints.push(format!("{entry} does not have the form scheme:id:perm"));
            continue;
        };
        let mut bits = 0;
        for letter in letters.chars() {
            match PERMISSIONS.iter().find(|(known, _)| *known == letter) {
                Some((_, bit)) => bits |= bit,
                None => complaints.push(format!("Unknown perm type: {letter}")),
            }
        }
        acl.push(Acl { perms: bits, scheme: scheme.to_owned(), id: id.to_owned() });
    }
    acl
}

/// `String.split` of Java for one character: empty pieces at the end do not count, except in an empty text.
pub fn java_split(text: &str, separator: char) -> Vec<&str> {
    let mut pieces: Vec<&str> = text.split(separator).collect();
    while pieces.len() > 1 && pieces.last() == Some(&"") {
        pieces.pop();
    }
    if pieces == [""] && !text.is_empty() {
        pieces.pop();
    }
    pieces
}

/// A whole number as Java's `parseInt`, `parseLong` read it.
///
/// # Errors
/// The exception's message.
pub fn java_number<T: TryFrom<i128>>(text: &str, radix: u32) -> Result<T, String> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let is_number = !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix));
    let parsed = if is_number { i128::from_str_radix(text, radix).ok() } else { None };
    parsed.and_then(|number| T::try_from(number).ok()).ok_or_else(|| number_complaint(text, radix))
}

fn number_complaint(text: &str, radix: u32) -> String {
    let under = if radix == 10 { String::new() } else { format!(" under radix {radix}") };
    format!("For input string: \"{text}\"{under}")
}

/// A version given as an option, or any.
///
/// # Errors
/// Java's exception, which zkCli does not catch.
pub fn version(text: Option<&str>) -> Result<i32, Failure> {
    text.map_or(Ok(-1), |text| java_number(text, 10).map_err(|message| Failure::uncaught("NumberFormatException", &message)))
}

/// A number as Java's `Integer.decode` reads it: decimal, `0x`, `#` or `0`.
///
/// # Errors
/// Java's exception, which zkCli does not catch.
pub fn decode_number(text: &str) -> Result<i32, Failure> {
    let complain = |message: &str| Failure::uncaught("NumberFormatException", message);
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (digits, radix) = match unsigned {
        "" if text.is_empty() => return Err(complain("Zero length string")),
        _ => match unsigned.strip_prefix("0x").or_else(|| unsigned.strip_prefix("0X")).or_else(|| unsigned.strip_prefix('#')) {
            Some(digits) => (digits, 16),
            None if unsigned.len() > 1 && unsigned.starts_with('0') => (&unsigned[1..], 8),
            None => (unsigned, 10),
        },
    };
    if digits.starts_with(['-', '+']) {
        return Err(complain("Sign character in wrong position"));
    }
    let signed = if text.starts_with('-') { format!("-{digits}") } else { digits.to_owned() };
    java_number(&signed, radix).map_err(|message| complain(&message))
}

/// Bytes of data as text, as Java decodes it.
pub fn data(bytes: &[u8]) -> std::borrow::Cow<'_, str> {
    oxkeeper_proto::java_string::decode(bytes)
}

/// Bytes in a box, sixteen a row, hexadecimal and as text, as Netty draws it; nothing for no bytes.
pub fn hex_dump(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return String::new();
    }
    let rule = format!("+--------+{}+----------------+", "-".repeat(49));
    let digits: String = (0..16).map(|digit| format!("  {digit:x}")).collect();
    let mut out = format!("{:9}+{}+\n{:9}|{digits} |\n{rule}", "", "-".repeat(49), "");
    for (row, chunk) in bytes.chunks(16).enumerate() {
        write!(out, "\n|{:08x}|", row * 16).expect("write to a string");
        for byte in chunk {
            write!(out, " {byte:02x}").expect("write to a string");
        }
        write!(out, "{} |", "   ".repeat(16 - chunk.len())).expect("write to a string");
        out.extend(chunk.iter().map(|byte| if (0x20..0x7f).contains(byte) { char::from(*byte) } else { '.' }));
        write!(out, "{}|", " ".repeat(16 - chunk.len())).expect("write to a string");
    }
    write!(out, "\n{rule}").expect("write to a string");
    out
}

/// Names of children or paths as Java prints a list.
pub fn list(items: &[String]) -> String {
    format!("[{}]", items.join(", "))
}

/// An event as Java prints it.
pub fn event(event: &Event) -> String {
    let path = if event.kind == SESSION_EVENT { "null" } else { &event.path };
    format!("WatchedEvent state:{} type:{} path:{path} zxid: {}", event_state(event.state), event_type(event.kind), event.zxid)
}

/// The kind of an event that is about the session.
pub const SESSION_EVENT: i32 = -1;
/// Kinds of events that the client makes when a watch is taken back.
pub const DATA_WATCH_REMOVED: i32 = 5;
/// See [`DATA_WATCH_REMOVED`].
pub const CHILD_WATCH_REMOVED: i32 = 6;
/// See [`DATA_WATCH_REMOVED`].
pub const PERSISTENT_WATCH_REMOVED: i32 = 7;

/// The kind of an event as Java names it.
pub fn event_type(kind: i32) -> &'static str {
    match kind {
        SESSION_EVENT => "None",
        1 => "NodeCreated",
        2 => "NodeDeleted",
        3 => "NodeDataChanged",
        4 => "NodeChildrenChanged",
        DATA_WATCH_REMOVED => "DataWatchRemoved",
        CHILD_WATCH_REMOVED => "ChildWatchRemoved",
        PERSISTENT_WATCH_REMOVED => "PersistentWatchRemoved",
        _ => "Unknown",
    }
}

/// The state of a session as Java's events name it.
pub fn event_state(state: State) -> &'static str {
    match state {
        State::Connected => "SyncConnected",
        State::ReadOnly => "ConnectedReadOnly",
        State::Expired => "Expired",
        State::AuthFailed => "AuthFailed",
        State::Closed => "Closed",
        _ => "Disconnected",
    }
}

/// The state of a session as Java's prompt names it.
pub fn prompt_state(state: State) -> &'static str {
    match state {
        State::Connected => "CONNECTED",
        State::ReadOnly => "CONNECTEDREADONLY",
        State::Expired | State::Closed => "CLOSED",
        State::AuthFailed => "AUTH_FAILED",
        State::Associating => "ASSOCIATING",
        _ => "CONNECTING",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stat_has_eleven_lines() {
        let shown = stat(
            &Stat { czxid: 0x1_0000_0002, mzxid: 3, ephemeral_owner: i64::MIN, cversion: -1, data_length: 5, ..Stat::default() },
            &Zone::utc(),
        );
        assert_eq!(
            shown.lines().collect::<Vec<_>>(),
            [
                "cZxid = 0x100000002",
                "ctime = Thu Jan 01 00:00:00 UTC 1970",
                "mZxid = 0x3",
                "mtime = Thu Jan 01 00:00:00 UTC 1970",
                "pZxid = 0x0",
                "cversion = -1",
                "dataVersion = 0",
                "aclVersion = 0",
                "ephemeralOwner = 0x8000000000000000",
                "dataLength = 5",
                "numChildren = 0",
            ]
        );
    }

    #[test]
    fn acls_are_read_and_printed() {
        let mut complaints = Vec::new();
        let acl = parse_acl("world:anyone:r,digest:a:b=:cdrwa,nonsense,ip:1.2.3.4:rx,,a:b", &mut complaints);
        let shown: Vec<String> = acl.iter().map(acl_entry).collect();
        assert_eq!(shown, ["'world,'anyone\n: r", "'digest,'a:b=\n: cdrwa", "'ip,'1.2.3.4\n: r"]);
        assert_eq!(
            complaints,
            [
                "nonsense does not have the form scheme:id:perm",
                "Unknown perm type: x",
                " does not have the form scheme:id:perm",
                "a:b does not have the form scheme:id:perm"
            ]
        );
    }

    #[test]
    fn texts_are_split_as_java_splits() {
        for (text, pieces) in [("", &[""] as &[&str]), (",", &[]), ("a,,", &["a"]), (",a", &["", "a"]), ("a,b", &["a", "b"])] {
            assert_eq!(java_split(text, ','), pieces, "{text:?}");
        }
    }

    #[test]
    fn numbers_are_read_as_java_reads() {
        assert_eq!(java_number::<i32>("-1", 10), Ok(-1));
        assert_eq!(java_number::<i32>("+7", 10), Ok(7));
        assert_eq!(java_number::<i64>("10000000A", 16), Ok(0x1_0000_000a));
        for (text, radix, complaint) in [
            ("2147483648", 10, "For input string: \"2147483648\""),
            ("", 10, "For input string: \"\""),
            ("-", 10, "For input string: \"-\""),
            (" 1", 10, "For input string: \" 1\""),
            ("g", 16, "For input string: \"g\" under radix 16"),
        ] {
            assert_eq!(java_number::<i32>(text, radix), Err(complaint.to_owned()));
        }
        for (text, number) in [("10", 10), ("0x10", 16), ("#a", 10), ("010", 8), ("-0x1", -1), ("0", 0)] {
            assert_eq!(decode_number(text), Ok(number), "{text}");
        }
        for text in ["", "x", "0x", "08", "--1"] {
            assert!(decode_number(text).is_err(), "{text}");
        }
    }

    #[test]
    fn bytes_are_dumped_as_netty_dumps() {
        assert_eq!(hex_dump(b""), "");
        assert_eq!(
            hex_dump(b"hello, world\n\xff~ and more"),
            concat!(
                "         +-------------------------------------------------+\n",
                "         |  0  1  2  3  4  5  6  7  8  9  a  b  c  d  e  f |\n",
                "+--------+-------------------------------------------------+----------------+\n",
                "|00000000| 68 65 6c 6c 6f 2c 20 77 6f 72 6c 64 0a ff 7e 20 |hello, world..~ |\n",
                "|00000010| 61 6e 64 20 6d 6f 72 65                         |and more        |\n",
                "+--------+-------------------------------------------------+----------------+"
            )
        );
    }
}
