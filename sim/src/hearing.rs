//! What one client has read, and what its watches have told it, in an order that can be compared with the history later.

use oxkeeper_proto::EventType;
use oxkeeper_proto::records::Stat;
use std::collections::BTreeMap;

/// A reply to a read.
#[derive(Clone, Debug)]
pub struct Read {
    /// Of the state that was read.
    pub zxid: i64,
    pub path: String,
    pub answer: Answer,
}

/// What it says; names are sorted.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    NoNode,
    Stat(Stat),
    Data(Option<Vec<u8>>, Stat),
    Children(Vec<String>, Option<Stat>),
}

/// Where a client keeps a one-shot watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Table {
    /// On a znode that is there.
    Node,
    /// On one that is not there.
    Exist,
    /// On its children.
    Child,
}

/// A one-shot watch.
#[derive(Clone, Debug)]
pub struct Watch {
    pub table: Table,
    pub path: String,
    /// The zxid of the reply that armed it; `None` if it is not known since when the server watches.
    pub since: Option<i64>,
    /// The last reply before it was told, or forgotten.
    pub until: i64,
    /// The zxid of its event; -1 if that came with a new connection.
    pub told: Option<i64>,
}

/// What a watch that stays has told between two replies of one connection.
#[derive(Clone, Debug)]
pub struct Stretch {
    pub path: String,
    pub is_recursive: bool,
    pub since: Option<i64>,
    pub until: i64,
    /// zxid, kind and path.
    pub events: Vec<(i64, i32, String)>,
}

/// See the module.
#[derive(Default)]
pub struct Hearing {
    pub client: usize,
    pub reads: Vec<Read>,
    /// What is over.
    pub watches: Vec<Watch>,
    pub stretches: Vec<Stretch>,
    open: BTreeMap<(Table, String), Watch>,
    staying: BTreeMap<(String, bool), Stretch>,
    /// The zxid of the last reply.
    last: i64,
}

impl Hearing {
    /// Of this client, which has heard nothing.
    pub fn of(client: usize) -> Self {
        Self { client, ..Self::default() }
    }

    /// A reply has come, whatever it was to.
    pub fn replied(&mut self, zxid: i64) {
        self.last = zxid;
        for watch in self.open.values_mut() {
            watch.since.get_or_insert(zxid);
        }
        for stretch in self.staying.values_mut() {
            if stretch.since.is_none() {
                stretch.since = Some(zxid);
                stretch.events.retain(|(at, ..)| *at > zxid);
            }
            stretch.until = zxid;
        }
    }

    /// The last reply has armed a watch, unless one was armed.
    pub fn armed(&mut self, table: Table, path: &str) {
        let watch = Watch { table, path: path.to_owned(), since: Some(self.last), until: self.last, told: None };
        self.open.entry((table, path.to_owned())).or_insert(watch);
    }

    /// The last reply has set a watch that stays.
    pub fn stays(&mut self, path: &str, is_recursive: bool) {
        let stretch = Stretch { path: path.to_owned(), is_recursive, since: Some(self.last), until: self.last, events: Vec::new() };
        self.staying.entry((path.to_owned(), is_recursive)).or_insert(stretch);
    }

    /// An event has come for a one-shot watch.
    ///
    /// # Panics
    /// When there is none, or a later reply has come before.
    pub fn told(&mut self, kind: i32, path: &str, zxid: i64) {
        self.is_in_order(path, zxid);
        let tables: &[Table] = match kind {
            _ if kind == EventType::NodeChildrenChanged as i32 => &[Table::Child],
            _ if kind == EventType::NodeDeleted as i32 => &[Table::Node, Table::Exist, Table::Child],
            _ => &[Table::Node, Table::Exist],
        };
        let mut any = false;
        for table in tables {
            if let Some(watch) = self.open.remove(&(*table, path.to_owned())) {
                any = true;
                self.watches.push(Watch { until: self.last, told: Some(zxid), ..watch });
            }
        }
        assert!(any, "client {}: event {kind} of {path}, which nothing watches", self.client);
    }

    /// An event has come for one that stays.
    ///
    /// # Panics
    /// As [`Hearing::told`].
    pub fn told_again(&mut self, kind: i32, path: &str, zxid: i64, is_recursive: bool) {
        self.is_in_order(path, zxid);
        let is_below = |stretch: &Stretch| path.strip_prefix(&stretch.path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        let of_it =
            self.staying.values_mut().filter(|s| s.is_recursive == is_recursive && if is_recursive { is_below(s) } else { s.path == path });
        let mut any = false;
        for stretch in of_it {
            any = true;
            stretch.events.push((zxid, kind, path.to_owned()));
        }
        assert!(any, "client {}: event {kind} of {path}, which nothing watches for long", self.client);
    }

    fn is_in_order(&self, path: &str, zxid: i64) {
        assert!(zxid < 0 || zxid > self.last, "client {}: told of {path} at {zxid:#x} after a reply at {:#x}", self.client, self.last);
    }

    /// A new connection has the session. The server is asked to watch again: what was created and deleted meanwhile is
    /// not told, nor is anything that a watch that stays has missed.
    pub fn reconnected(&mut self) {
        for stretch in self.staying.values_mut() {
            self.stretches.push(stretch.clone());
            (stretch.since, stretch.events) = (None, Vec::new());
        }
        for watch in self.open.values_mut().filter(|watch| watch.table == Table::Exist) {
            self.watches.push(Watch { until: self.last, ..watch.clone() });
            watch.since = None;
        }
    }

    /// The session is over, or the run: nothing more is told.
    pub fn ended(&mut self) {
        self.stretches.extend(std::mem::take(&mut self.staying).into_values());
        let last = self.last;
        self.watches.extend(std::mem::take(&mut self.open).into_values().map(|watch| Watch { until: last, ..watch }));
        self.last = 0;
    }
}
