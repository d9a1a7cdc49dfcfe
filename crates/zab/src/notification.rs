//! The bytes of the election port: the message that opens a connection, and the notifications that follow,
//! each behind its length.
//!
//! A decoder gets bytes of whoever connected: it answers with a reason, never with a panic, and keeps no more
//! than the limits here.

use crate::config::{Config, ConfigError, HostPort};
use crate::quorum::Sid;
use crate::vote::PeerState;
use bytes::{BufMut, Bytes, BytesMut};
use oxkeeper_proto::java_string;
use std::fmt;

/// The longest notification that a connection may announce.
pub const MAX_MESSAGE_BYTES: usize = 512 * 1024;
/// The longest list of addresses in the opening message.
pub const MAX_ADDRESS_BYTES: usize = 2048;
/// The number that peers without one of their own give; whoever accepts them invents one.
pub const ANONYMOUS: Sid = Sid(i64::MAX);

/// The opening message with one address.
const VERSION_1: i64 = -65536;
/// The opening message with several addresses, only if all members have `multiAddress.enabled`.
const VERSION_2: i64 = -65535;
/// The version of a notification that carries a configuration.
const NOTIFICATION_VERSION: i32 = 2;
/// The fields before the configuration's text.
const HEAD_BYTES: usize = 44;

/// Why bytes of the election port were refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireError(pub String);

impl fmt::Display for WireError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for WireError {}

/// What a server tells another about its vote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// What the sender is doing; `None` for a number that has no meaning.
    pub state: Option<PeerState>,
    /// The leader it is for.
    pub leader: Sid,
    /// That leader's last zxid, or -1 or `i64::MIN`, see [`crate::Vote`].
    pub zxid: i64,
    /// The sender's round.
    pub election_epoch: i64,
    /// The leader's epoch.
    pub peer_epoch: i64,
    /// 0: before 3.4.6; 1: before 3.5, without a configuration; 2.
    pub version: i32,
    /// The sender's configuration, or why it cannot be read: the vote counts all the same.
    pub config: Option<Result<Config, ConfigError>>,
}

impl Notification {
    /// Reads a message without its length.
    ///
    /// # Errors
    /// What Java ignores: fewer than 28 bytes, or less than the message promises.
    pub fn decode(message: &[u8]) -> Result<Self, WireError> {
        let length = message.len();
        let short = || WireError(format!("a notification of {length} bytes breaks off"));
        let mut rest = Reader(message);
        if length < 28 {
            return Err(WireError(format!("a notification of {length} bytes is too short")));
        }
        let state = PeerState::from_wire(rest.i32().ok_or_else(short)?);
        let leader = Sid(rest.i64().ok_or_else(short)?);
        let zxid = rest.i64().ok_or_else(short)?;
        let election_epoch = rest.i64().ok_or_else(short)?;
        // The two lengths of old are known by nothing else.
        let peer_epoch = if length == 28 { zxid >> 32 } else { rest.i64().ok_or_else(short)? };
        let version = if length == 28 || length == 40 { 0 } else { rest.i32().ok_or_else(short)? };
        let config = if version > 1 {
            let promised = rest.i32().ok_or_else(short)?;
            let text = usize::try_from(promised).ok().and_then(|promised| rest.bytes(promised));
            let text = text.ok_or_else(|| WireError(format!("a notification of {length} bytes promises a configuration of {promised}")))?;
            Some(Config::parse(&java_string::decode(text)))
        } else {
            None
        };
        Ok(Self { state, leader, zxid, election_epoch, peer_epoch, version, config })
    }
}

/// Writes a notification of the version that Java 3.5 and later have, without its length.
pub fn encode_notification(state: PeerState, leader: Sid, zxid: i64, election_epoch: i64, peer_epoch: i64, config_text: &str) -> Bytes {
    let mut message = BytesMut::with_capacity(HEAD_BYTES + config_text.len());
    message.put_i32(state as i32);
    message.put_i64(leader.0);
    message.put_i64(zxid);
    message.put_i64(election_epoch);
    message.put_i64(peer_epoch);
    message.put_i32(NOTIFICATION_VERSION);
    message.put_i32(i32::try_from(config_text.len()).expect("a configuration is short"));
    message.put_slice(config_text.as_bytes());
    message.freeze()
}

/// What opens a connection to the election port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opening {
    /// Who connects.
    pub sid: Sid,
    /// Where its own election port is; empty from peers before 3.5.
    pub addresses: Vec<HostPort>,
}

impl Opening {
    /// Writes the message. Several addresses go out only if `several` is set; who does not have that set
    /// reads them, but must not be made to rely on it.
    pub fn encode(&self, several: bool) -> Vec<u8> {
        let addresses = if several { &self.addresses[..] } else { &self.addresses[..self.addresses.len().min(1)] };
        let text = addresses.iter().map(HostPort::to_string).collect::<Vec<_>>().join("|");
        let mut message = Vec::with_capacity(20 + text.len());
        message.put_i64(if several { VERSION_2 } else { VERSION_1 });
        message.put_i64(self.sid.0);
        message.put_i32(i32::try_from(text.len()).expect("addresses are short"));
        message.put_slice(text.as_bytes());
        message
    }

    /// Reads the message from what has come in so far; gives it with its length, or `None` if more is to come.
    /// A wildcard among the addresses is of no use to the reader and left out.
    ///
    /// # Errors
    /// What Java refuses: another version, an unreasonable length, an address without a port.
    pub fn decode(received: &[u8]) -> Result<Option<(Self, usize)>, WireError> {
        let mut rest = Reader(received);
        let Some(first) = rest.i64() else {
            return Ok(None);
        };
        if first >= 0 {
            // Before 3.5 the number itself stood here.
            return Ok(Some((Self { sid: Sid(first), addresses: Vec::new() }, 8)));
        }
        if first != VERSION_1 && first != VERSION_2 {
            return Err(WireError(format!("unknown protocol version {first}")));
        }
        let (Some(sid), Some(promised)) = (rest.i64(), rest.i32()) else {
            return Ok(None);
        };
        let length = usize::try_from(promised)
            .ok()
            .filter(|length| (1..=MAX_ADDRESS_BYTES).contains(length))
            .ok_or_else(|| WireError(format!("addresses of {promised} bytes")))?;
        let Some(text) = rest.bytes(length) else {
            return Ok(None);
        };
        let text = java_string::decode(text);
        let mut addresses = Vec::new();
        for address in text.trim_end_matches('|').split('|') {
            let address = host_port(address).ok_or_else(|| WireError(format!("not an address: {address:?}")))?;
            if !matches!(&*address.host, "0.0.0.0" | "::" | "0:0:0:0:0:0:0:0") {
                addresses.push(address);
            }
        }
        Ok(Some((Self { sid: Sid(sid), addresses }, 20 + length)))
    }
}

fn host_port(text: &str) -> Option<HostPort> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => rest.split_once("]:")?,
        None => text.split_once(':')?,
    };
    (!host.is_empty()).then_some(())?;
    Some(HostPort { host: host.to_owned(), port: port.parse().ok()? })
}

/// Takes numbers off the front of bytes, as long as there are enough.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn i32(&mut self) -> Option<i32> {
        self.bytes(4).map(|bytes| i32::from_be_bytes(bytes.try_into().expect("4 bytes")))
    }

    fn i64(&mut self) -> Option<i64> {
        self.bytes(8).map(|bytes| i64::from_be_bytes(bytes.try_into().expect("8 bytes")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a Java server sent; `capture.py` beside it wrote it.
    const JAVA_NOTIFICATION: &[u8] = include_bytes!("../tests/vectors/notification.bin");
    const JAVA_OPENING: &[u8] = include_bytes!("../tests/vectors/opening.bin");

    #[test]
    fn javas_notification_is_read_and_written() {
        let read = Notification::decode(JAVA_NOTIFICATION).unwrap();
        let config = read.config.clone().unwrap().unwrap();
        assert_eq!(config.members.len(), 3);
        assert_eq!(config.members[&Sid(2)].addresses[0].election().to_string(), "127.0.0.1:22892");
        assert_eq!((read.state, read.leader, read.version), (Some(PeerState::Looking), Sid(1), 2));
        assert_eq!((read.zxid, read.election_epoch, read.peer_epoch), (0, 1, 0));
        let written = encode_notification(PeerState::Looking, Sid(1), 0, 1, 0, &config.to_text());
        assert_eq!(written, JAVA_NOTIFICATION);
    }

    #[test]
    fn every_length_and_version_is_read_by_javas_rules() {
        let zxid = 0x5_0000_0007;
        let whole = encode_notification(PeerState::Leading, Sid(3), zxid, 9, 6, "server.1=a:1:2\nversion=a");
        let with = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut message = whole.to_vec();
            change(&mut message);
            Notification::decode(&message)
        };
        // (what is done to it, version and epoch that are read; none: refused)
        let version_at = |version: i32, length: usize| {
            move |message: &mut Vec<u8>| {
                message[36..40].copy_from_slice(&version.to_be_bytes());
                message.truncate(length);
            }
        };
        let config_length = |length: i32| move |message: &mut Vec<u8>| message[40..44].copy_from_slice(&length.to_be_bytes());
        type Change<'a> = &'a dyn Fn(&mut Vec<u8>);
        let cases: [(Change, Option<(i32, i64)>); 15] = [
            (&|_| (), Some((2, 6))),
            (&version_at(2, 0), None),
            (&version_at(2, 27), None),
            (&version_at(2, 28), Some((0, 5))),
            (&version_at(2, 29), None),
            (&version_at(2, 36), None),
            (&version_at(2, 39), None),
            (&version_at(1, 40), Some((0, 6))),
            (&version_at(1, 44), Some((1, 6))),
            (&version_at(-7, 44), Some((-7, 6))),
            (&version_at(2, 43), None),
            (&version_at(2, 44), None),
            (&config_length(-1), None),
            (&config_length(i32::MAX), None),
            (&config_length(0), Some((2, 6))),
        ];
        for (index, (change, expected)) in cases.iter().enumerate() {
            let read = with(change);
            assert_eq!(read.as_ref().ok().map(|read| (read.version, read.peer_epoch)), *expected, "{index}: {read:?}");
            if let Ok(read) = read {
                assert_eq!((read.state, read.leader, read.zxid, read.election_epoch), (Some(PeerState::Leading), Sid(3), zxid, 9));
                assert_eq!(read.config.is_some(), read.version >= 2);
            }
        }
        // A configuration that makes no sense does not take the vote with it; nor does a state without a meaning.
        let read = with(&|message| message[44] = b'x').unwrap();
        assert!(read.config.unwrap().is_err());
        let read = with(&|message| message[3] = 4).unwrap();
        assert_eq!(read.state, None);
        let read = with(&|message| message[44] = 0xff).unwrap();
        assert!(read.config.unwrap().is_err());
        // What stands behind the configuration is left alone.
        assert!(with(&|message| message.extend([1, 2, 3])).unwrap().config.unwrap().is_ok());
    }

    #[test]
    fn no_bytes_make_a_decoder_panic() {
        let mut seed = 7u64;
        let mut next = || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) as usize
        };
        for origin in [JAVA_NOTIFICATION, JAVA_OPENING] {
            for _ in 0..20_000 {
                let mut bytes = origin.to_vec();
                for _ in 0..next() % 6 {
                    let at = next() % bytes.len();
                    bytes[at] = next() as u8;
                }
                bytes.truncate(if next() % 3 == 0 { next() % bytes.len() } else { bytes.len() });
                let _ = Notification::decode(&bytes);
                if let Ok(Some((_, length))) = Opening::decode(&bytes) {
                    assert!(length <= bytes.len());
                }
            }
        }
    }

    fn host(host: &str, port: u16) -> HostPort {
        HostPort { host: host.to_owned(), port }
    }

    #[test]
    fn javas_opening_is_read_from_any_prefix_and_written() {
        let opening = Opening { sid: Sid(1), addresses: vec![host("127.0.0.1", 22891)] };
        for length in 0..JAVA_OPENING.len() {
            assert_eq!(Opening::decode(&JAVA_OPENING[..length]), Ok(None), "{length}");
        }
        let mut more = JAVA_OPENING.to_vec();
        more.push(0);
        assert_eq!(Opening::decode(&more), Ok(Some((opening.clone(), JAVA_OPENING.len()))));
        assert_eq!(opening.encode(false), JAVA_OPENING);
    }

    #[test]
    fn openings_of_all_versions_are_read() {
        let opening = Opening { sid: Sid(-5), addresses: vec![host("a", 1), host("0:0:0:0:0:0:0:1", 2)] };
        assert_eq!(opening.encode(true)[..8], (-65535i64).to_be_bytes());
        assert_eq!(opening.encode(true)[20..], *b"a:1|[0:0:0:0:0:0:0:1]:2");
        assert_eq!(Opening::decode(&opening.encode(true)), Ok(Some((opening.clone(), 43))));
        let first = Opening { sid: Sid(-5), addresses: vec![host("a", 1)] };
        assert_eq!(Opening::decode(&opening.encode(false)), Ok(Some((first, 23))));
        let bare = Opening { sid: Sid(7), addresses: Vec::new() };
        assert_eq!(Opening::decode(&[0, 0, 0, 0, 0, 0, 0, 7, 1]), Ok(Some((bare, 8))));
        let raw = |version: i64, length: i32, text: &str| {
            let mut bytes = version.to_be_bytes().to_vec();
            bytes.extend(3i64.to_be_bytes());
            bytes.extend(length.to_be_bytes());
            bytes.extend(text.bytes());
            Opening::decode(&bytes).map(|read| read.map(|(read, _)| read.addresses.iter().map(HostPort::to_string).collect::<Vec<_>>()))
        };
        for (version, length, text, expected) in [
            (-65536, 3, "a:1", Ok(Some(vec!["a:1".to_owned()]))),
            (-65536, 13, "a:1|0.0.0.0:2", Ok(Some(vec!["a:1".to_owned()]))),
            (-65536, 8, "[::]:123", Ok(Some(vec![]))),
            (-65536, 4, "a:1", Ok(None)),
            (-65536, 2048, "", Ok(None)),
            (-65537, 3, "a:1", Err(())),
            (-1, 3, "a:1", Err(())),
            (-65536, 0, "", Err(())),
            (-65536, -1, "", Err(())),
            (-65536, 2049, "", Err(())),
            (-65536, 1, "a", Err(())),
            (-65536, 4, "a:1x", Err(())),
            (-65536, 7, "a:70000", Err(())),
        ] {
            assert_eq!(raw(version, length, text).map_err(|_| ()), expected, "{version} {length} {text}");
        }
    }
}
