//! Frames of the client protocol as the generator needs them: requests written whole, replies looked at only as far
//! as their header. Records are written by hand, big-endian, in the order of the protocol's record definitions.

use std::fmt;

/// Where the xid stands in a whole request frame: after the 4 bytes of length.
pub const XID_OFFSET: usize = 4;
/// The xid of watch events.
pub const NOTIFICATION_XID: i32 = -1;
/// The xid of pings and of their replies.
pub const PING_XID: i32 = -2;
/// The largest frame a server takes with its default `jute.maxbuffer`.
pub const MAX_FRAME: usize = 0xfffff;

/// Operation codes of the requests used here.
pub mod op {
    pub const CREATE: i32 = 1;
    pub const EXISTS: i32 = 3;
    pub const GET_DATA: i32 = 4;
    pub const SET_DATA: i32 = 5;
    pub const GET_CHILDREN: i32 = 8;
    pub const PING: i32 = 11;
    pub const MULTI: i32 = 14;
    pub const CLOSE_SESSION: i32 = -11;
}

/// Appends one frame to a buffer: the length is filled in by `end`.
pub struct FrameWriter<'a> {
    out: &'a mut Vec<u8>,
    start: usize,
}

impl<'a> FrameWriter<'a> {
    /// A frame without a header (connect).
    pub fn bare(out: &'a mut Vec<u8>) -> Self {
        let start = out.len();
        out.extend_from_slice(&[0; 4]);
        Self { out, start }
    }

    /// A request frame: xid and operation come first.
    pub fn request(out: &'a mut Vec<u8>, xid: i32, op: i32) -> Self {
        let mut writer = Self::bare(out);
        writer.int(xid).int(op);
        writer
    }

    pub fn byte(&mut self, value: u8) -> &mut Self {
        self.out.push(value);
        self
    }

    pub fn int(&mut self, value: i32) -> &mut Self {
        self.out.extend_from_slice(&value.to_be_bytes());
        self
    }

    pub fn long(&mut self, value: i64) -> &mut Self {
        self.out.extend_from_slice(&value.to_be_bytes());
        self
    }

    /// A string or a buffer: length and bytes.
    pub fn bytes(&mut self, value: &[u8]) -> &mut Self {
        self.int(value.len() as i32);
        self.out.extend_from_slice(value);
        self
    }

    /// Bytes as they are, without a length.
    pub fn raw(&mut self, value: &[u8]) -> &mut Self {
        self.out.extend_from_slice(value);
        self
    }

    /// The ACL list that lets anyone do all: perms 31, world, anyone.
    pub fn open_acl(&mut self) -> &mut Self {
        self.int(1).int(31).bytes(b"world").bytes(b"anyone")
    }

    /// The header that comes before each operation of a multi.
    pub fn multi_header(&mut self, op: i32, done: bool) -> &mut Self {
        self.int(op).byte(u8::from(done)).int(-1)
    }

    /// Fills in the length; returns where the frame begins in the buffer.
    pub fn end(&mut self) -> usize {
        let length = (self.out.len() - self.start - 4) as u32;
        self.out[self.start..self.start + 4].copy_from_slice(&length.to_be_bytes());
        self.start
    }
}

/// A connect frame for a new session.
pub fn connect(timeout_ms: i32) -> Vec<u8> {
    let mut out = Vec::new();
    FrameWriter::bare(&mut out).int(0).long(0).int(timeout_ms).long(0).bytes(&[0; 16]).byte(0).end();
    out
}

pub fn ping() -> Vec<u8> {
    let mut out = Vec::new();
    FrameWriter::request(&mut out, PING_XID, op::PING).end();
    out
}

pub fn close_session(xid: i32) -> Vec<u8> {
    let mut out = Vec::new();
    FrameWriter::request(&mut out, xid, op::CLOSE_SESSION).end();
    out
}

/// getData, exists or getChildren, which share one record.
pub fn read(op: i32, path: &str, watch: bool) -> Vec<u8> {
    let mut out = Vec::new();
    FrameWriter::request(&mut out, 0, op).bytes(path.as_bytes()).byte(u8::from(watch)).end();
    out
}

/// setData with any version.
pub fn set_data(path: &str, data: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    FrameWriter::request(&mut out, 0, op::SET_DATA).bytes(path.as_bytes()).bytes(data).int(-1).end();
    out
}

/// Creation of a persistent node, open to all.
pub fn create(path: &str, data: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    FrameWriter::request(&mut out, 0, op::CREATE).bytes(path.as_bytes()).bytes(data).open_acl().int(0).end();
    out
}

/// One multi with a setData of each path.
pub fn multi_set_data<'p>(paths: impl Iterator<Item = &'p str>, data: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = FrameWriter::request(&mut out, 0, op::MULTI);
    for path in paths {
        writer.multi_header(op::SET_DATA, false).bytes(path.as_bytes()).bytes(data).int(-1);
    }
    writer.multi_header(-1, true).end();
    out
}

/// One multi with a create of each path.
pub fn multi_create<'p>(paths: impl Iterator<Item = &'p str>, data: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = FrameWriter::request(&mut out, 0, op::MULTI);
    for path in paths {
        writer.multi_header(op::CREATE, false).bytes(path.as_bytes()).bytes(data).open_acl().int(0);
    }
    writer.multi_header(-1, true).end();
    out
}

/// Writes the xid into a whole request frame.
#[inline]
pub fn set_xid(frame: &mut [u8], xid: i32) {
    frame[XID_OFFSET..XID_OFFSET + 4].copy_from_slice(&xid.to_be_bytes());
}

/// The first 16 bytes of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply {
    pub xid: i32,
    pub zxid: i64,
    pub err: i32,
    /// Bytes of the frame after those 16.
    pub body_len: usize,
}

impl Reply {
    /// The first answer on a connection is a ConnectResponse, which has no reply header: its first 16 bytes are
    /// protocol version, negotiated timeout (ms; 0 = refused) and session id. Returns the last two.
    pub fn as_connect(&self) -> (i32, i64) {
        ((self.zxid >> 32) as i32, (self.zxid << 32) | i64::from(self.err as u32))
    }
}

/// What a server sent cannot be an answer.
#[derive(Debug, PartialEq, Eq)]
pub struct BadFrame(pub i32);

impl fmt::Display for BadFrame {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "a reply frame of length {}", self.0)
    }
}

impl std::error::Error for BadFrame {}

impl From<BadFrame> for std::io::Error {
    fn from(error: BadFrame) -> Self {
        std::io::Error::new(std::io::ErrorKind::InvalidData, error)
    }
}

const HEAD: usize = 20;

/// Cuts a stream of bytes into replies without keeping the bodies: only a header that arrives in pieces is copied.
#[derive(Default)]
pub struct ReplyScanner {
    head: [u8; HEAD],
    have: usize,
    skip: usize,
}

impl ReplyScanner {
    /// The next reply whose last byte lies in `input`; `input` moves behind what was used. None: all is used, the
    /// rest of the frame is still to come.
    #[inline]
    pub fn next(&mut self, input: &mut &[u8]) -> Result<Option<Reply>, BadFrame> {
        if self.have < HEAD {
            let take = input.len().min(HEAD - self.have);
            self.head[self.have..self.have + take].copy_from_slice(&input[..take]);
            self.have += take;
            *input = &input[take..];
            if self.have < HEAD {
                return Ok(None);
            }
            let length = self.int_at(0);
            // Every answer has at least a header; a ConnectResponse is longer still.
            if length < 16 {
                return Err(BadFrame(length));
            }
            self.skip = length as usize - 16;
        }
        let take = input.len().min(self.skip);
        self.skip -= take;
        *input = &input[take..];
        if self.skip > 0 {
            return Ok(None);
        }
        self.have = 0;
        let zxid = i64::from_be_bytes(self.head[8..16].try_into().expect("8 bytes"));
        let body_len = self.int_at(0) as usize - 16;
        Ok(Some(Reply { xid: self.int_at(4), zxid, err: self.int_at(16), body_len }))
    }

    fn int_at(&self, at: usize) -> i32 {
        i32::from_be_bytes(self.head[at..at + 4].try_into().expect("4 bytes"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
        digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
    }

    #[test]
    fn requests_have_the_bytes_of_the_protocol() {
        let mut get = read(op::GET_DATA, "/a", true);
        set_xid(&mut get, 7);
        assert_eq!(get, hex("0000000f 00000007 00000004 00000002 2f61 01"));
        assert_eq!(set_data("/a", b"xy"), hex("00000018 00000000 00000005 00000002 2f61 00000002 7879 ffffffff"));
        assert_eq!(
            create("/a", b""),
            hex("00000031 00000000 00000001 00000002 2f61 00000000
                 00000001 0000001f 00000005 776f726c64 00000006 616e796f6e65 00000000")
        );
        assert_eq!(ping(), hex("00000008 fffffffe 0000000b"));
        assert_eq!(
            connect(10_000),
            hex("0000002d 00000000 0000000000000000 00002710 0000000000000000
                 00000010 00000000000000000000000000000000 00")
        );
        assert_eq!(
            multi_set_data(["/a"].into_iter(), b"x"),
            hex("00000029 00000000 0000000e 00000005 00 ffffffff 00000002 2f61 00000001 78 ffffffff
                 ffffffff 01 ffffffff")
        );
        let one = create("/a", b"");
        let many = multi_create(["/a", "/a"].into_iter(), b"");
        // Each operation is the record of the single request behind a multi header of 9 bytes.
        assert_eq!(many.len(), 12 + 2 * (9 + one.len() - 12) + 9);
    }

    #[test]
    fn replies_are_found_however_the_bytes_arrive() {
        let mut stream = hex("00000010 00000001 0000000000000002 00000000");
        stream.extend(hex("00000012 ffffffff ffffffffffffffff 00000000 aabb"));
        stream.extend(hex("00000010 00000002 0000000000000003 ffffff9b"));
        let expected = [
            Reply { xid: 1, zxid: 2, err: 0, body_len: 0 },
            Reply { xid: -1, zxid: -1, err: 0, body_len: 2 },
            Reply { xid: 2, zxid: 3, err: -101, body_len: 0 },
        ];
        for piece in 1..=stream.len() {
            let mut scanner = ReplyScanner::default();
            let mut found = Vec::new();
            for mut chunk in stream.chunks(piece) {
                while let Some(reply) = scanner.next(&mut chunk).unwrap() {
                    found.push(reply);
                }
            }
            assert_eq!(found, expected, "in pieces of {piece}");
        }
    }

    #[test]
    fn a_connect_response_is_read_through_the_same_window() {
        let bytes = hex("00000025 00000000 00002710 010000126cb80000 00000010 3a5e98303f6c958ba87cf4c1204c9a6d 00");
        let mut input = &bytes[..];
        let reply = ReplyScanner::default().next(&mut input).unwrap().unwrap();
        assert_eq!(reply.as_connect(), (10_000, 0x0100_0012_6cb8_0000));
        assert!(input.is_empty());
    }

    #[test]
    fn a_length_that_no_answer_has_is_an_error() {
        let bytes = hex("0000000f 00000001 0000000000000002 00000000");
        assert_eq!(ReplyScanner::default().next(&mut &bytes[..]), Err(BadFrame(15)));
    }
}
