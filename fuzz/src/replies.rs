//! A hostile server and link against the client's machine.
//!
//! The input is a row of messages: a byte that says what it is, two bytes of length, and so many bytes. Beside panics:
//! every request that was taken ends exactly once and in order, one link is there at a time, and the memory stays
//! within what the input bears out.

use oxkeeper_client::{
    AddWatchMode, Chroot, Client, HostPort, Input, Operation, Options, Output, PendingRequests, WatcherId, WatchesToRemove, reply,
};
use oxkeeper_proto::{ErrorCode, SessionId, Write};
use std::collections::VecDeque;

pub(crate) struct Machine {
    client: Client,
    now_ms: u64,
    next_tag: u64,
    open: VecDeque<u64>,
    open_auth: Vec<u64>,
    is_linked: bool,
    is_primed: bool,
    /// xids that the server owes a reply.
    due: VecDeque<i32>,
}

impl Machine {
    pub fn new() -> Self {
        let hosts = [1, 2].map(|port| HostPort { host: "127.0.0.1".to_string(), port }).to_vec();
        let mut options = Options::new(hosts, Chroot::new(b"/x").expect("a path"), 6000, 1);
        options.can_be_read_only = true;
        let mut machine = Self {
            client: Client::new(0, options),
            now_ms: 0,
            next_tag: 0,
            open: VecDeque::new(),
            open_auth: Vec::new(),
            is_linked: false,
            is_primed: false,
            due: VecDeque::new(),
        };
        machine.input(Input::Tick);
        machine
    }

    pub fn message(&mut self, control: u8, bytes: &[u8]) {
        match control % 10 {
            0 => self.input(Input::Received(bytes)),
            1 => self.input(Input::Received(&frame(bytes))),
            2 | 3 => {
                let xid = self.due.pop_front().unwrap_or(1);
                let error = if control & 0x80 == 0 { ErrorCode::OK } else { ErrorCode::NO_NODE };
                self.input(Input::Received(&answer(xid, error, bytes)));
            }
            4 => {
                let mut body = Vec::new();
                body.int(i32::from(control >> 4));
                body.int(3);
                body.buffer(Some(bytes));
                self.input(Input::Received(&answer(-1, ErrorCode::OK, &body)));
            }
            5 => self.submit(control >> 4, bytes),
            6 => {
                self.now_ms += u64::from(control) * 20;
                self.input(Input::Tick);
            }
            7 if self.is_linked => {
                self.is_linked = false;
                self.input(Input::LinkDown { errno: 104, reason: "", tls: false });
            }
            _ => self.prime(control & 0x80 != 0),
        }
        self.take_sent();
    }

    /// Makes the link and answers the handshake, as far as that has not been done.
    fn prime(&mut self, is_read_only: bool) {
        if let Some(timer_ms) = self.client.next_timer_ms().filter(|_| !self.is_linked) {
            self.now_ms = self.now_ms.max(timer_ms);
            self.input(Input::Tick);
        }
        self.input(Input::LinkUp);
        self.take_sent();
        if !self.is_primed {
            self.is_primed = true;
            let mut body = Vec::new();
            body.int(0);
            body.int(6000);
            body.long(7);
            body.buffer(Some(&SessionId(7).password()));
            body.boolean(is_read_only);
            self.input(Input::Received(&frame(&body)));
        }
    }

    fn submit(&mut self, kind: u8, path: &[u8]) {
        self.next_tag += 1;
        let tag = self.next_tag;
        let watch = Some(WatcherId(u128::from(kind)));
        let operation = match kind {
            0 => Operation::GetData { path, watch },
            1 => Operation::Exists { path, watch },
            2 => Operation::GetChildren { path, watch, with_stat: true },
            3 => Operation::AddWatch { path, mode: AddWatchMode::PersistentRecursive, watcher: WatcherId(3) },
            4 => Operation::Multi(&[]),
            5 => {
                self.open_auth.push(tag);
                if self.client.add_auth(self.now_ms, tag, b"digest", path).is_err() {
                    self.open_auth.pop();
                }
                return self.drain();
            }
            6 => {
                self.open.push_back(tag);
                if self.client.remove_watches(self.now_ms, tag, path, WatchesToRemove::Any, None, false).is_err() {
                    self.open.pop_back();
                }
                return self.drain();
            }
            7 => {
                self.client.close(self.now_ms, PendingRequests::Await);
                return self.drain();
            }
            _ => Operation::WhoAmI,
        };
        self.open.push_back(tag);
        if self.client.submit(self.now_ms, tag, &operation).is_err() {
            self.open.pop_back();
        }
        self.drain();
    }

    fn input(&mut self, input: Input<'_>) {
        self.client.handle(self.now_ms, input);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(output) = self.client.poll() {
            match output {
                Output::Completed(completion) => {
                    read_all(completion.body);
                    if let Some(at) = self.open_auth.iter().position(|tag| *tag == completion.tag) {
                        self.open_auth.remove(at);
                    } else {
                        assert_eq!(self.open.pop_front(), Some(completion.tag), "requests end in order, each once");
                    }
                }
                Output::Connect(_) => {
                    assert!(!std::mem::replace(&mut self.is_linked, true), "one link at a time");
                    self.is_primed = false;
                    self.due.clear();
                }
                Output::Disconnect => assert!(std::mem::take(&mut self.is_linked), "only a link is dropped"),
                Output::Watch(event) => assert!(!event.watchers.is_empty()),
                _ => {}
            }
        }
    }

    fn take_sent(&mut self) {
        let sent = self.client.unsent().to_vec();
        self.client.sent(self.now_ms, sent.len());
        let mut rest = &sent[..];
        while let Some((length, more)) = rest.split_first_chunk() {
            let (frame, more) = more.split_at(u32::from_be_bytes(*length) as usize);
            if self.is_primed {
                self.due.push_back(i32::from_be_bytes(*frame.first_chunk().expect("a header")));
            }
            rest = more;
        }
    }

    pub fn finish(mut self) {
        self.client.abandon();
        self.drain();
        assert!(self.open.is_empty() && self.open_auth.is_empty(), "everything has ended");
        assert!(!self.is_linked, "no link is left");
        assert_eq!(self.client.next_timer_ms(), None);
    }
}

fn frame(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    out.buffer(Some(body));
    out
}

fn answer(xid: i32, error: ErrorCode, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    out.int(xid);
    out.long(5);
    out.int(error.0);
    out.extend_from_slice(body);
    frame(&out)
}

/// Every reader of bodies on the same bytes.
fn read_all(body: &[u8]) {
    let _ = (reply::created(body), reply::stat(body), reply::data(body), reply::path(body), reply::number(body), reply::acl(body));
    let _ = reply::identities(body);
    if let Ok((strings, _)) = reply::strings(body) {
        assert_eq!(strings.len(), strings.count());
    }
    for result in reply::multi(body).unwrap_or_default() {
        if let reply::MultiResult::Children(names) = result {
            assert_eq!(names.len(), names.count());
        }
    }
}
