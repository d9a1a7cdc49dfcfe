//! The packets of the quorum port: their kinds, their bytes, and the small records inside them.
//!
//! Packets follow one another on the stream without a frame length (server reference 4.4), so a decoder has to read
//! the packet to find its end. Payloads are slices of the received buffer, never copied.

use bytes::{Buf, Bytes, BytesMut};
use oxkeeper_proto::jute::Write;
use oxkeeper_proto::{OpCode, SessionId, Zxid};
use std::fmt;

/// The kind of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PacketKind(pub i32);

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $number:literal,)*) => {
        impl PacketKind {
            $($(#[$doc])* pub const $name: PacketKind = PacketKind($number);)*

            /// Its name as ZooKeeper prints it.
            pub fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($number => Some(stringify!($name)),)*
                    _ => None,
                }
            }
        }
    };
}

kinds! {
    /// Learner to leader: a write or a sync of a client.
    REQUEST = 1,
    /// Leader to follower: log this transaction and acknowledge it.
    PROPOSAL = 2,
    /// Follower to leader: logged through this zxid.
    ACK = 3,
    /// Leader to follower: committed.
    COMMIT = 4,
    /// Both ways: alive; the learner's answer tells which sessions it heard of.
    PING = 5,
    /// Both ways: does this session live?
    REVALIDATE = 6,
    /// Leader to learner: everything that was proposed before the sync has been sent.
    SYNC = 7,
    /// Leader to observer: a committed transaction.
    INFORM = 8,
    /// Leader to follower: a committed reconfiguration.
    COMMITANDACTIVATE = 9,
    /// Leader to learner: the history is complete; make it durable.
    NEWLEADER = 10,
    /// Follower to leader: its first packet.
    FOLLOWERINFO = 11,
    /// Leader to learner: serve.
    UPTODATE = 12,
    /// Leader to learner: what follows comes behind your history.
    DIFF = 13,
    /// Leader to learner: cut your history here.
    TRUNC = 14,
    /// Leader to learner: a snapshot follows on the stream.
    SNAP = 15,
    /// Observer to leader: its first packet.
    OBSERVERINFO = 16,
    /// Leader to learner: the new epoch.
    LEADERINFO = 17,
    /// Learner to leader: the new epoch is accepted.
    ACKEPOCH = 18,
    /// Leader to observer: a committed reconfiguration.
    INFORMANDACTIVATE = 19,
}

impl fmt::Display for PacketKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "UNKNOWN{}", self.0),
        }
    }
}

/// An identity of a client, scheme and id, as a REQUEST carries it.
pub type AuthId = (String, String);

/// One packet. Cloning shares the data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// What it is.
    pub kind: PacketKind,
    /// A zxid, or what stands in its place.
    pub zxid: Zxid,
    /// Its data; null and empty differ on the wire.
    pub data: Option<Bytes>,
    /// The identities of a REQUEST's client.
    pub auth: Option<Vec<AuthId>>,
}

/// Why bytes are not a packet: the link is of no more use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PacketError {
    /// A length or count that no packet has.
    UnreasonableLength(i32),
}

impl fmt::Display for PacketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PacketError::UnreasonableLength(length) => write!(f, "unreasonable length {length} in a quorum packet"),
        }
    }
}

impl std::error::Error for PacketError {}

/// The kind and the zxid.
const HEAD_LENGTH: usize = 12;
/// Identities of one client; Java has no bound.
const MAX_IDENTITIES: i32 = 10_000;

impl Packet {
    /// A packet without data.
    pub const fn new(kind: PacketKind, zxid: Zxid) -> Self {
        Self { kind, zxid, data: None, auth: None }
    }

    /// A packet with data.
    pub const fn with_data(kind: PacketKind, zxid: Zxid, data: Bytes) -> Self {
        Self { kind, zxid, data: Some(data), auth: None }
    }

    /// Takes the first packet off the buffer; `None` if it has not come in whole. `max_length` bounds each buffer and
    /// string, bytes. After a SNAP the body of the snapshot follows, which is no packet.
    ///
    /// # Errors
    /// When no packet begins so.
    pub fn decode(buffer: &mut BytesMut, max_length: usize) -> Result<Option<Packet>, PacketError> {
        let Some(end) = find_end(buffer, max_length)? else { return Ok(None) };
        let mut head = &buffer[..];
        let (kind, zxid) = (PacketKind(head.get_i32()), Zxid(head.get_i64()));
        if head.get_i64() == -1 {
            // Neither data nor identities: most packets, and no reason to share the buffer.
            buffer.advance(end);
            return Ok(Some(Packet::new(kind, zxid)));
        }
        let mut bytes = buffer.split_to(end).freeze();
        bytes.advance(HEAD_LENGTH);
        let data = match bytes.get_i32() {
            -1 => None,
            length => Some(bytes.split_to(length as usize)),
        };
        let auth = match bytes.get_i32() {
            -1 => None,
            count => Some((0..count).map(|_| (take_string(&mut bytes), take_string(&mut bytes))).collect()),
        };
        Ok(Some(Packet { kind, zxid, data, auth }))
    }

    /// Appends its bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.int(self.kind.0);
        out.long(self.zxid.0);
        out.buffer(self.data.as_deref());
        out.vector(self.auth.as_deref(), |out, (scheme, id)| {
            out.ustring(Some(scheme));
            out.ustring(Some(id));
        });
    }

    /// How many bytes [`Packet::encode`] appends, identities not counted.
    pub fn encoded_length(&self) -> usize {
        HEAD_LENGTH + 8 + self.data.as_ref().map_or(0, Bytes::len)
    }
}

/// Where the first packet ends; `None` if the buffer ends before it.
fn find_end(bytes: &[u8], max_length: usize) -> Result<Option<usize>, PacketError> {
    let mut at = HEAD_LENGTH;
    let int_at = |at: usize| bytes.get(at..at + 4).map(|b| i32::from_be_bytes(b.try_into().expect("four bytes")));
    let length_at = |at: usize| match int_at(at) {
        None => Ok(None),
        Some(-1) => Ok(Some(at + 4)),
        Some(length) if length < 0 || length as usize > max_length => Err(PacketError::UnreasonableLength(length)),
        Some(length) => Ok(Some(at + 4 + length as usize)),
    };
    let Some(end_of_data) = length_at(at)? else { return Ok(None) };
    at = end_of_data;
    let Some(count) = int_at(at) else { return Ok(None) };
    at += 4;
    if !(-1..=MAX_IDENTITIES).contains(&count) {
        return Err(PacketError::UnreasonableLength(count));
    }
    for _ in 0..2 * count.max(0) {
        let Some(end) = length_at(at)? else { return Ok(None) };
        at = end;
    }
    Ok((at <= bytes.len()).then_some(at))
}

fn take_string(bytes: &mut Bytes) -> String {
    match bytes.get_i32() {
        -1 => String::new(),
        length => oxkeeper_proto::java_string::decode(&bytes.split_to(length as usize)).into_owned(),
    }
}

/// What a learner says first (the data of FOLLOWERINFO and OBSERVERINFO).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LearnerInfo {
    /// Its server id; `None` if it says none (the leader then counts down from -1).
    pub sid: Option<i64>,
    /// 0x10000 for every server since 3.4; an older one says less, or nothing (then 1).
    pub protocol_version: i32,
    /// The version of its configuration, if it says it.
    pub config_version: Option<i64>,
}

/// The protocol since ZooKeeper 3.4.
pub const PROTOCOL_VERSION: i32 = 0x10000;

impl LearnerInfo {
    /// From the data of the packet; whatever its length, as older servers write less.
    pub fn decode(data: Option<&[u8]>) -> Self {
        let data = data.unwrap_or_default();
        let long = |at: usize| data.get(at..at + 8).map(|b| i64::from_be_bytes(b.try_into().expect("eight bytes")));
        let version = data.get(8..12).map(|b| i32::from_be_bytes(b.try_into().expect("four bytes")));
        Self { sid: long(0), protocol_version: version.unwrap_or(1), config_version: long(12) }
    }

    /// The data of the packet.
    pub fn encode(&self) -> Bytes {
        let mut out = Vec::with_capacity(20);
        out.long(self.sid.unwrap_or_default());
        out.int(self.protocol_version);
        out.long(self.config_version.unwrap_or_default());
        out.into()
    }
}

/// The data of a REQUEST.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestData {
    /// The client's session.
    pub session: SessionId,
    /// Its number of the request.
    pub cxid: i32,
    /// The operation.
    pub op: OpCode,
    /// The request's record.
    pub body: Bytes,
}

impl RequestData {
    /// `None` if the data is too short.
    pub fn decode(data: Option<&Bytes>) -> Option<Self> {
        let mut data = data.filter(|data| data.len() >= 16)?.clone();
        Some(Self { session: SessionId(data.get_i64()), cxid: data.get_i32(), op: OpCode(data.get_i32()), body: data })
    }

    /// The data of the packet.
    pub fn encode(&self) -> Bytes {
        let mut out = Vec::with_capacity(16 + self.body.len());
        out.long(self.session.0);
        out.int(self.cxid);
        out.int(self.op.0);
        out.extend_from_slice(&self.body);
        out.into()
    }
}

/// The sessions in a learner's answer to a PING, with their timeouts in milliseconds. A torn last entry is left out.
pub fn decode_touched(data: Option<&Bytes>) -> Vec<(SessionId, i32)> {
    let mut data = data.cloned().unwrap_or_default();
    let mut sessions = Vec::with_capacity(data.len() / 12);
    while data.len() >= 12 {
        sessions.push((SessionId(data.get_i64()), data.get_i32()));
    }
    sessions
}

/// See [`decode_touched`].
pub fn encode_touched(sessions: &[(SessionId, i32)]) -> Bytes {
    let mut out = Vec::with_capacity(sessions.len() * 12);
    for (session, timeout_ms) in sessions {
        out.long(session.0);
        out.int(*timeout_ms);
    }
    out.into()
}

/// A learner's question whether a session lives: the session and the timeout of its connection, milliseconds.
pub fn decode_revalidate(data: Option<&Bytes>) -> Option<(SessionId, i32)> {
    let mut data = data.filter(|data| data.len() >= 12)?.clone();
    Some((SessionId(data.get_i64()), data.get_i32()))
}

/// See [`decode_revalidate`].
pub fn encode_revalidate(session: SessionId, timeout_ms: i32) -> Bytes {
    encode_touched(&[(session, timeout_ms)])
}

/// The leader's answer to it.
pub fn decode_revalidated(data: Option<&Bytes>) -> Option<(SessionId, bool)> {
    let mut data = data.filter(|data| data.len() >= 9)?.clone();
    Some((SessionId(data.get_i64()), data.get_u8() != 0))
}

/// See [`decode_revalidated`].
pub fn encode_revalidated(session: SessionId, is_valid: bool) -> Bytes {
    let mut out = Vec::with_capacity(9);
    out.long(session.0);
    out.boolean(is_valid);
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
        digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
    }

    /// Each pair: what Java sent (server reference 8.5, leader sid 3, epoch 1), and the packet.
    fn captured() -> Vec<(Vec<u8>, Packet)> {
        let info = LearnerInfo { sid: Some(2), protocol_version: PROTOCOL_VERSION, config_version: Some(0) };
        let transaction = hex(
            "03000019ece10000 00000002 0000000100000003 000001a2015f890c 00000005 00000002 2f61 00000001 32 00000001 00000002 000000021f9882d9",
        );
        let mut proposal = hex("00000002 0000000100000003");
        proposal.extend_from_slice(&(transaction.len() as i32).to_be_bytes());
        proposal.extend_from_slice(&transaction);
        proposal.extend_from_slice(&hex("ffffffff"));
        vec![
            (
                hex("0000000b 0000000100000000 00000014 0000000000000002 00010000 0000000000000000 ffffffff"),
                Packet::with_data(PacketKind::FOLLOWERINFO, Zxid::new(1, 0), info.encode()),
            ),
            (
                hex("00000010 0000000100000000 00000014 0000000000000002 00010000 0000000000000000 ffffffff"),
                Packet::with_data(PacketKind::OBSERVERINFO, Zxid::new(1, 0), info.encode()),
            ),
            (
                hex("00000011 0000000100000000 00000004 00010000 ffffffff"),
                Packet::with_data(PacketKind::LEADERINFO, Zxid::new(1, 0), Bytes::from_static(&[0, 1, 0, 0])),
            ),
            (
                hex("00000012 0000000100000002 00000004 00000001 ffffffff"),
                Packet::with_data(PacketKind::ACKEPOCH, Zxid::new(1, 2), Bytes::from_static(&[0, 0, 0, 1])),
            ),
            (hex("0000000d 0000000100000006 ffffffff ffffffff"), Packet::new(PacketKind::DIFF, Zxid::new(1, 6))),
            (proposal, Packet::with_data(PacketKind::PROPOSAL, Zxid::new(1, 3), transaction.into())),
            (hex("00000004 0000000100000003 ffffffff ffffffff"), Packet::new(PacketKind::COMMIT, Zxid::new(1, 3))),
            (hex("0000000c ffffffffffffffff ffffffff ffffffff"), Packet::new(PacketKind::UPTODATE, Zxid(-1))),
            (hex("00000005 0000000100000006 ffffffff ffffffff"), Packet::new(PacketKind::PING, Zxid::new(1, 6))),
            (
                hex(
                    "00000001 ffffffffffffffff 00000010 0100000000000007 00000003 00000001 00000001 00000002 6970 00000009 3132372e302e302e31",
                ),
                Packet {
                    kind: PacketKind::REQUEST,
                    zxid: Zxid(-1),
                    data: Some(
                        RequestData { session: SessionId(0x0100_0000_0000_0007), cxid: 3, op: OpCode::CREATE, body: Bytes::new() }.encode(),
                    ),
                    auth: Some(vec![("ip".to_owned(), "127.0.0.1".to_owned())]),
                },
            ),
        ]
    }

    #[test]
    fn packets_have_the_bytes_that_java_writes() {
        for (bytes, packet) in captured() {
            let mut out = Vec::new();
            packet.encode(&mut out);
            assert_eq!(out, bytes, "{packet:?}");
        }
    }

    #[test]
    fn a_stream_may_stop_at_every_byte() {
        let (stream, packets): (Vec<_>, Vec<_>) = captured().into_iter().unzip();
        let stream = stream.concat();
        for chunk in 1..=stream.len() {
            let (mut buffer, mut seen) = (BytesMut::new(), Vec::new());
            for part in stream.chunks(chunk) {
                buffer.extend_from_slice(part);
                while let Some(packet) = Packet::decode(&mut buffer, 1000).unwrap() {
                    seen.push(packet);
                }
            }
            assert_eq!(seen, packets);
            assert!(buffer.is_empty());
        }
    }

    #[test]
    fn lengths_that_no_packet_has_are_refused_before_the_bytes_come() {
        for bytes in [
            "00000005 0000000000000000 fffffffe",
            "00000005 0000000000000000 000003e9",
            "00000005 0000000000000000 ffffffff fffffffe",
            "00000005 0000000000000000 ffffffff 7fffffff",
            "00000005 0000000000000000 ffffffff 00000001 000003e9",
        ] {
            let mut buffer = BytesMut::from(&hex(bytes)[..]);
            assert!(Packet::decode(&mut buffer, 1000).is_err(), "{bytes}");
        }
    }

    #[test]
    fn older_learners_say_less() {
        for (length, sid, version, config) in
            [(0, None, 1, None), (8, Some(2), 1, None), (12, Some(2), PROTOCOL_VERSION, None), (20, Some(2), PROTOCOL_VERSION, Some(5))]
        {
            let whole = LearnerInfo { sid: Some(2), protocol_version: PROTOCOL_VERSION, config_version: Some(5) }.encode();
            let info = LearnerInfo::decode(Some(&whole[..length]));
            assert_eq!(info, LearnerInfo { sid, protocol_version: version, config_version: config });
        }
    }

    #[test]
    fn records_inside_packets_survive_the_wire() {
        let sessions = [(SessionId(7), 4000), (SessionId(-1), 1)];
        assert_eq!(decode_touched(Some(&encode_touched(&sessions))), sessions);
        assert_eq!(decode_touched(Some(&encode_touched(&sessions).slice(..23))), sessions[..1]);
        assert_eq!(decode_touched(None), []);
        assert_eq!(decode_revalidate(Some(&encode_revalidate(SessionId(7), 4000))), Some((SessionId(7), 4000)));
        assert_eq!(decode_revalidated(Some(&encode_revalidated(SessionId(7), true))), Some((SessionId(7), true)));
        assert_eq!(encode_revalidated(SessionId(1), false)[..], hex("000000000000000100")[..]);
        let request = RequestData { session: SessionId(7), cxid: 1, op: OpCode::SYNC, body: Bytes::from_static(b"/a") };
        assert_eq!(RequestData::decode(Some(&request.encode())), Some(request));
        assert_eq!(RequestData::decode(Some(&Bytes::from_static(&[0; 15]))), None);
    }
}
