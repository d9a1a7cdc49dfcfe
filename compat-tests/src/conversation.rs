//! A scripted conversation with one server: named connections, requests, and a transcript of all that came back.
//! Two servers are alike when their transcripts are.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use crate::connection::{Connect, Connected, Connection, Silence};
use crate::mask::{Names, session_password};
use crate::wire::{self, ReplyHeader, Request, hex, op, op_name, render_reply, request};

/// How long a reply may take before the transcript says that none came.
const PATIENCE: Duration = Duration::from_secs(8);
/// After this many missing replies a script is given up: it has gone wrong and would only cost time.
const MISSING_LIMIT: u32 = 3;

/// What a connection stands for in a script.
pub struct Line {
    pub connection: Connection,
    pub session: i64,
    pub password: Vec<u8>,
    next_xid: i32,
    events: Vec<(i64, String)>,
}

/// A script's talk with one server.
pub struct Conversation {
    pub address: SocketAddr,
    pub names: Names,
    pub transcript: Vec<String>,
    pub lines: BTreeMap<String, Line>,
    /// Sessions whose connection is gone, under the name the script keeps them by.
    kept: BTreeMap<String, (i64, Vec<u8>)>,
    /// Sessions that have begun and not been seen to end, oldest first.
    unfinished: Vec<i64>,
    missing: u32,
}

/// A reply as the script may look at it.
#[derive(Clone, Debug)]
pub struct Reply {
    pub header: ReplyHeader,
    pub frame: Vec<u8>,
}

impl Conversation {
    /// Begins: finds the zxid from which the transcript counts, with a session that is closed again.
    pub fn begin(address: SocketAddr) -> Conversation {
        let mut conversation = Conversation {
            address,
            names: Names::new(0),
            transcript: Vec::new(),
            lines: BTreeMap::new(),
            kept: BTreeMap::new(),
            unfinished: Vec::new(),
            missing: 0,
        };
        conversation.connect("probe");
        let reply = conversation.ask("probe", &request::bare(op::CLOSE_SESSION));
        let base = reply.map_or(0, |reply| reply.header.zxid);
        conversation.lines.clear();
        conversation.transcript.clear();
        conversation.names = Names::new(base);
        conversation
    }

    /// A remark in the transcript: tells where in a table of cases a difference is.
    pub fn note(&mut self, text: impl Into<String>) {
        self.transcript.push(text.into());
    }

    /// True when too much has gone missing for the rest to mean anything.
    pub fn is_lost(&self) -> bool {
        self.missing >= MISSING_LIMIT
    }

    /// A new session with a timeout of 30 s, the usual way.
    pub fn connect(&mut self, name: &str) {
        self.connect_with(name, &Connect::default());
    }

    /// A connect request of the script's making. The session, if there is one, gets the connection's name.
    pub fn connect_with(&mut self, name: &str, connect: &Connect) -> Option<Connected> {
        let mut connection = match Connection::open(self.address) {
            Ok(connection) => connection,
            // Taken and closed before this side looked: no other than one closed a moment later.
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {
                self.note(format!("< {name} {:?} instead of a connect response", Silence::Closed));
                return None;
            }
            Err(_) => {
                self.note(format!("< {name} CONNECTION REFUSED"));
                self.missing += 1;
                return None;
            }
        };
        connection.send(&connect.frame());
        self.accept(name, connection)
    }

    /// Waits for the connect response on a connection whose request has been sent.
    pub fn accept(&mut self, name: &str, mut connection: Connection) -> Option<Connected> {
        match connection.receive(PATIENCE) {
            Err(silence) => {
                self.note(format!("< {name} {silence:?} instead of a connect response"));
                if silence == Silence::Timeout {
                    self.missing += 1;
                }
                None
            }
            Ok(payload) => {
                let Ok(connected) = Connected::parse(&payload) else {
                    self.note(format!("< {name} unreadable connect response {}", hex(&payload)));
                    return None;
                };
                if connected.session != 0 {
                    if !self.unfinished.contains(&connected.session) {
                        self.unfinished.push(connected.session);
                    }
                    self.names.name_session(connected.session, &format!("session-{name}"));
                }
                let good = connected.password == session_password(connected.session) && connected.session != 0;
                self.note(format!(
                    "< {name} connected protocol {} timeout {} session {} password {} rest {}",
                    connected.protocol_version,
                    connected.timeout_ms,
                    self.names.session(connected.session),
                    if good { "good".to_owned() } else { hex(&connected.password) },
                    hex(&connected.rest),
                ));
                let line =
                    Line { connection, session: connected.session, password: connected.password.clone(), next_xid: 1, events: Vec::new() };
                self.lines.insert(name.to_owned(), line);
                Some(connected)
            }
        }
    }

    /// Takes the session of `from` (or its last holder) over to a new connection.
    pub fn reconnect(&mut self, name: &str, from: &str) -> Option<Connected> {
        let (session, password) = match (self.lines.get(from), self.kept.get(from)) {
            (Some(line), _) => (line.session, line.password.clone()),
            (None, Some(kept)) => kept.clone(),
            (None, None) => (0, vec![0; 16]),
        };
        self.connect_with(name, &Connect { session, password: Some(password), ..Connect::default() })
    }

    /// Drops the socket without a word.
    pub fn hang_up(&mut self, name: &str) {
        self.lines.remove(name);
    }

    /// Drops the socket without a word and keeps the session for `reconnect`.
    pub fn hang_up_and_keep(&mut self, name: &str, kept: &str) {
        if let Some(line) = self.lines.remove(name) {
            self.kept.insert(kept.to_owned(), (line.session, line.password));
        }
    }

    /// Ends every session that the script left open, so that none expires into the next script's zxids.
    pub fn finish(&mut self) {
        self.transcript.push("(end)".to_owned());
        let mark = self.transcript.len();
        for session in std::mem::take(&mut self.unfinished) {
            if self.missing >= MISSING_LIMIT {
                break;
            }
            let holder = self.lines.iter().find(|(_, line)| line.session == session).map(|(name, _)| name.clone());
            let name = holder.unwrap_or_else(|| "finish".to_owned());
            if name == "finish" {
                let password = Some(session_password(session).to_vec());
                self.connect_with("finish", &Connect { session, password, ..Connect::default() });
            }
            self.ask(&name, &request::bare(op::CLOSE_SESSION));
            self.lines.remove(&name);
        }
        self.transcript.truncate(mark);
    }

    /// Waits for one event that no request of this connection causes.
    pub fn wait_for_event(&mut self, name: &str) {
        let Some(line) = self.lines.get_mut(name) else {
            return self.note(format!("< {name} NO CONNECTION"));
        };
        let text = match line.connection.receive(PATIENCE) {
            Ok(frame) => render_reply(op::PING, &frame, &self.names),
            Err(silence) => {
                self.missing += 1;
                format!("{silence:?} instead of an event")
            }
        };
        self.note(format!("< {name} {text}"));
    }

    /// Sends a request with the connection's next xid and waits for its reply; events that come before are noted.
    pub fn ask(&mut self, name: &str, request: &Request) -> Option<Reply> {
        self.pipeline(name, std::slice::from_ref(request)).pop().flatten()
    }

    /// Like `ask`, with an xid of the script's choice.
    pub fn ask_as(&mut self, name: &str, xid: i32, request: &Request) -> Option<Reply> {
        self.pipeline_as(name, &[(xid, request.clone())]).pop().flatten()
    }

    /// Sends several requests in one write and waits for all replies.
    pub fn pipeline(&mut self, name: &str, requests: &[Request]) -> Vec<Option<Reply>> {
        let mut first = 1;
        if let Some(line) = self.lines.get_mut(name) {
            first = line.next_xid;
            line.next_xid += requests.len() as i32;
        }
        let numbered: Vec<(i32, Request)> = (first..).zip(requests.iter().cloned()).collect();
        self.pipeline_as(name, &numbered)
    }

    /// Like `pipeline`, with xids of the script's choice.
    pub fn pipeline_as(&mut self, name: &str, requests: &[(i32, Request)]) -> Vec<Option<Reply>> {
        let mut bytes = Vec::new();
        for (xid, request) in requests {
            self.note(format!("> {name} {} {} (xid {xid})", op_name(request.op), request.label));
            bytes.extend(request.frame(*xid));
        }
        let Some(line) = self.lines.get_mut(name) else {
            self.note(format!("< {name} NO CONNECTION"));
            return vec![None; requests.len()];
        };
        line.connection.send(&bytes);
        requests.iter().map(|(_, request)| self.reply(name, request.op)).collect()
    }

    /// Sends without waiting; `reply` or `expect_close` follow.
    pub fn send(&mut self, name: &str, bytes: &[u8], label: &str) {
        self.note(format!("> {name} {label}"));
        if let Some(line) = self.lines.get_mut(name) {
            line.connection.send(bytes);
        }
    }

    /// Notes everything up to and including the next reply, which answers an operation `code`.
    pub fn reply(&mut self, name: &str, code: i32) -> Option<Reply> {
        loop {
            let Some(line) = self.lines.get_mut(name) else {
                self.note(format!("< {name} NO CONNECTION"));
                return None;
            };
            let patience = if self.missing >= MISSING_LIMIT { Duration::from_millis(200) } else { PATIENCE };
            match line.connection.receive(patience) {
                Err(silence) => {
                    self.flush_events(name);
                    self.note(format!("< {name} {silence:?}"));
                    if silence == Silence::Timeout {
                        self.missing += 1;
                    } else {
                        self.lines.remove(name);
                    }
                    return None;
                }
                Ok(frame) => {
                    let text = render_reply(code, &frame, &self.names);
                    match wire::reply_header(&frame) {
                        Ok(header) if header.xid == -1 => line.events.push((header.zxid, text)),
                        Ok(header) => {
                            self.flush_events(name);
                            self.note(format!("< {name} {text}"));
                            return Some(Reply { header, frame });
                        }
                        Err(_) => {
                            self.flush_events(name);
                            self.note(format!("< {name} {text}"));
                            return None;
                        }
                    }
                }
            }
        }
    }

    /// Notes the events that came in, in their order. See mask 6 for `sort_events_of_close`.
    fn flush_events(&mut self, name: &str) {
        let Some(line) = self.lines.get_mut(name) else {
            return;
        };
        for (_, text) in std::mem::take(&mut line.events) {
            self.transcript.push(format!("< {name} {text}"));
        }
    }

    /// Collects the events of a connection by a ping: what the ping's reply does not follow has not happened.
    pub fn drain(&mut self, name: &str) {
        self.ask_as(name, -2, &request::ping());
    }

    /// Like `drain` after the end of a session: its ephemerals die in the order of a hash set (mask 6).
    pub fn drain_sorted(&mut self, name: &str) {
        let from = self.transcript.len() + 1;
        self.drain(name);
        let to = self.transcript.len().saturating_sub(1);
        if from < to {
            self.transcript[from..to].sort();
        }
    }

    /// The server must close the connection now; what it sends before is noted.
    pub fn expect_close(&mut self, name: &str) {
        let patience = if self.missing >= MISSING_LIMIT { Duration::from_millis(200) } else { PATIENCE };
        loop {
            let Some(line) = self.lines.get_mut(name) else {
                self.note(format!("< {name} Closed"));
                return;
            };
            match line.connection.receive(patience) {
                Ok(frame) => self.note(format!("< {name} unexpected {}", hex(&frame))),
                Err(Silence::Timeout) => {
                    self.missing += 1;
                    self.note(format!("< {name} STILL OPEN"));
                    return;
                }
                Err(Silence::Closed) => {
                    let rest = hex(line.connection.leftover());
                    self.note(format!("< {name} Closed {rest}"));
                    self.lines.remove(name);
                    return;
                }
            }
        }
    }

    /// Becomes the super user of `Options::usual`.
    pub fn become_super(&mut self, name: &str) {
        self.ask_as(name, -4, &request::auth("digest", b"super:secret"));
    }

    /// Becomes the super user where the server knows one; a server that refuses closes the connection, which is
    /// then opened anew.
    pub fn become_super_if_possible(&mut self, name: &str) {
        self.become_super(name);
        self.drain(name);
        if !self.lines.contains_key(name) {
            self.connect(name);
        }
    }

    /// Removes a subtree without a trace in the transcript but the zxids it uses.
    pub fn remove_tree(&mut self, name: &str, path: &str) {
        let mark = self.transcript.len();
        self.remove_below(name, path);
        self.transcript.truncate(mark);
    }

    fn remove_below(&mut self, name: &str, path: &str) {
        let Some(reply) = self.ask(name, &request::read(op::CHILDREN, path, false)) else {
            return;
        };
        if reply.header.error != 0 {
            return;
        }
        let children = wire::Reader::new(&reply.frame[16..]).strings();
        let mut children: Vec<_> = children.ok().flatten().unwrap_or_default().into_iter().flatten().collect();
        children.sort_unstable();
        for child in children {
            let child = String::from_utf8_lossy(child);
            self.remove_below(name, &format!("{path}/{child}"));
        }
        self.ask(name, &request::delete(path, -1));
    }
}

/// What a server answered to one step: the step's line and the lines that came back.
fn steps(transcript: &[String]) -> Vec<(&str, &[String])> {
    let mut starts: Vec<usize> = (0..transcript.len()).filter(|&at| !transcript[at].starts_with('<')).collect();
    if starts.first() != Some(&0) {
        starts.insert(0, 0);
    }
    let ends = starts.iter().skip(1).copied().chain([transcript.len()]);
    starts
        .iter()
        .zip(ends)
        .filter(|(from, to)| *from < to)
        .map(|(&from, to)| {
            let is_step = !transcript[from].starts_with('<');
            let step = if is_step { transcript[from].as_str() } else { "(start)" };
            (step, &transcript[from + usize::from(is_step)..to])
        })
        .collect()
}

/// Every step that the two servers answered differently, as text; empty if they are alike.
pub fn differences(judge: &[String], subject: &[String]) -> Vec<String> {
    let (judge, subject) = (steps(judge), steps(subject));
    let mut found = Vec::new();
    for at in 0..judge.len().max(subject.len()) {
        let (ours, theirs) = (subject.get(at), judge.get(at));
        if ours == theirs {
            continue;
        }
        let mut text = String::new();
        for (who, side) in [("judge  ", theirs), ("subject", ours)] {
            match side {
                None => text += &format!("    {who} (nothing)\n"),
                Some((step, lines)) => {
                    if !text.contains(step) {
                        text += &format!("  {step}\n");
                    }
                    lines.iter().for_each(|line| text += &format!("    {who} {line}\n"));
                    if lines.is_empty() {
                        text += &format!("    {who} (no answer)\n");
                    }
                }
            }
        }
        found.push(text);
    }
    found
}
