//! A client that keeps writing, in bytes: what it sends, and what it was told. Its xids go on over reconnects, so that
//! session and cxid name one write for good.

use crate::random::Random;
use oxkeeper_proto::{OpCode, Reader, SessionId, Write as _};
use std::collections::VecDeque;

/// What a client learned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// A write took effect, or failed, under this zxid.
    Write { session: SessionId, xid: i32, zxid: i64, error: i32 },
    /// The server is at this zxid.
    Zxid(i64),
    /// The session is its own now.
    Session(SessionId),
    /// The session that it asked for is gone.
    NoSession(SessionId),
}

/// Where the client stands with its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    /// No connection.
    Down,
    /// Asked for a session.
    Asking { front: usize, slot: u32 },
    /// Has one.
    Up { front: usize, slot: u32 },
}

/// See the module.
pub struct Client {
    index: usize,
    pub line: Line,
    pub session: SessionId,
    /// The server reads the connection.
    pub readable: bool,
    next_xid: i32,
    number: u64,
    /// Xid and op of what was not answered.
    unanswered: VecDeque<(i32, OpCode)>,
    closing: bool,
    seen_zxid: i64,
    /// It asks for nothing more.
    pub is_done: bool,
}

impl Client {
    /// A client without a session.
    pub fn new(index: usize) -> Self {
        Self {
            index,
            line: Line::Down,
            session: SessionId::NONE,
            readable: true,
            next_xid: 1,
            number: 0,
            unanswered: VecDeque::new(),
            closing: false,
            seen_zxid: 0,
            is_done: false,
        }
    }

    /// The connect request, for the session that it had or a new one.
    pub fn connect(&mut self, front: usize, slot: u32) -> Vec<u8> {
        self.line = Line::Asking { front, slot };
        self.readable = true;
        self.closing = false;
        self.unanswered.clear();
        let mut out = Vec::new();
        out.int(0);
        out.long(self.seen_zxid);
        out.int(4000);
        out.long(self.session.0);
        let password = if self.session == SessionId::NONE { [0; 16] } else { self.session.password() };
        out.buffer(Some(&password));
        out.boolean(false);
        out
    }

    /// The connection is gone.
    pub fn hung_up(&mut self) {
        self.line = Line::Down;
        self.unanswered.clear();
    }

    /// Whether it may send.
    pub fn can_send(&self) -> bool {
        matches!(self.line, Line::Up { .. }) && self.readable && !self.closing && self.unanswered.len() < 24
    }

    /// The next request.
    pub fn request(&mut self, random: &mut Random) -> Vec<u8> {
        self.number += 1;
        let number = self.number;
        let (index, node) = (self.index, random.below(12));
        let own = format!("/client{index}");
        let some = format!("{own}/n{node}");
        let size = [0, 10, 300, 700, 3000][random.below(5) as usize];
        let data = vec![b'a' + (number % 26) as u8; size as usize];
        let mut out = Vec::new();
        let op = match random.below(100) {
            _ if number == 1 => write_create(&mut out, &own, &data, 0),
            0..25 => write_create(&mut out, &some, &data, 0),
            25..50 => write_set(&mut out, &some, &data),
            50..60 => write_delete(&mut out, &some),
            60..65 => write_create(&mut out, &format!("{own}/n{node}/s-"), &data, 2),
            65..72 => write_create(&mut out, &format!("{own}/n{}", 20 + node), &data, 1),
            72..75 => write_create(&mut out, &format!("/shared{}", random.below(4)), &data, 1),
            75..85 => write_multi(&mut out, random, &own),
            85..97 => {
                out.ustring(Some(&some));
                out.boolean(random.one_in(3));
                OpCode::GET_DATA
            }
            97 if random.one_in(3) => {
                self.closing = true;
                OpCode::CLOSE_SESSION
            }
            _ => write_set(&mut out, &own, &data),
        };
        let xid = self.next_xid;
        self.next_xid += 1;
        self.unanswered.push_back((xid, op));
        let mut frame = Vec::with_capacity(out.len() + 8);
        frame.int(xid);
        frame.int(op.0);
        frame.extend_from_slice(&out);
        frame
    }

    /// Takes whole frames from the server.
    ///
    /// # Panics
    /// When they are not what is owed.
    pub fn receive(&mut self, mut bytes: &[u8]) -> Vec<Told> {
        let mut told = Vec::new();
        while !bytes.is_empty() {
            let length = u32::from_be_bytes(bytes[..4].try_into().expect("four bytes")) as usize;
            let (payload, rest) = bytes[4..].split_at(length);
            self.frame(payload, &mut told);
            bytes = rest;
        }
        told
    }

    fn frame(&mut self, payload: &[u8], told: &mut Vec<Told>) {
        let mut r = Reader::new(payload);
        if let Line::Asking { front, slot } = self.line {
            r.int().expect("a protocol version");
            r.int().expect("a timeout");
            let session = SessionId(r.long().expect("a session"));
            if session == SessionId::NONE {
                told.push(Told::NoSession(self.session));
                self.session = SessionId::NONE;
                return;
            }
            assert!(self.session == SessionId::NONE || self.session == session, "another session than was asked for");
            if self.session == SessionId::NONE {
                self.next_xid = 1;
            }
            self.session = session;
            self.line = Line::Up { front, slot };
            told.push(Told::Session(session));
            return;
        }
        let (xid, zxid, error) = (r.int().expect("xid"), r.long().expect("zxid"), r.int().expect("error"));
        if xid == -1 {
            told.push(Told::Zxid(zxid));
            return;
        }
        let (expected, op) = self.unanswered.pop_front().expect("no reply without a request");
        assert_eq!(xid, expected, "client {}: replies come in the order of the requests", self.index);
        assert!(zxid >= self.seen_zxid, "client {}: zxid {zxid:#x} after {:#x}", self.index, self.seen_zxid);
        self.seen_zxid = zxid;
        if op == OpCode::GET_DATA {
            told.push(Told::Zxid(zxid));
            return;
        }
        told.push(Told::Write { session: self.session, xid, zxid, error });
        if op == OpCode::CLOSE_SESSION && error == 0 {
            self.session = SessionId::NONE;
        }
    }
}

fn write_create(out: &mut Vec<u8>, path: &str, data: &[u8], flags: i32) -> OpCode {
    out.ustring(Some(path));
    out.buffer(Some(data));
    out.int(1);
    out.int(31);
    out.ustring(Some("world"));
    out.ustring(Some("anyone"));
    out.int(flags);
    OpCode::CREATE
}

fn write_set(out: &mut Vec<u8>, path: &str, data: &[u8]) -> OpCode {
    write_delete(out, path);
    let version = out.split_off(out.len() - 4);
    out.buffer(Some(data));
    out.extend_from_slice(&version);
    OpCode::SET_DATA
}

fn write_delete(out: &mut Vec<u8>, path: &str) -> OpCode {
    out.ustring(Some(path));
    out.int(-1);
    OpCode::DELETE
}

fn write_multi(out: &mut Vec<u8>, random: &mut Random, own: &str) -> OpCode {
    for _ in 0..1 + random.below(3) {
        let mut part = Vec::new();
        let path = format!("{own}/n{}", random.below(12));
        let op = match random.below(3) {
            0 => write_create(&mut part, &path, b"multi", 0),
            1 => write_set(&mut part, &path, b"multi"),
            _ => write_set(&mut part, own, b"multi"),
        };
        out.int(op.0);
        out.boolean(false);
        out.int(-1);
        out.extend_from_slice(&part);
    }
    out.int(-1);
    out.boolean(true);
    out.int(-1);
    OpCode::MULTI
}
