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
