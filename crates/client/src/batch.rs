//! What happened, kept so that it can be handed to another thread: one memory for all bodies, nothing per reply.

use crate::{Completion, Output, Password, SessionEvent, State, WatchEvent, WatcherId};
use oxkeeper_proto::{ErrorCode, OpCode, SessionId};
use std::ops::Range;

/// What happened, in order. `std::mem::take` it to keep it; [`Batch::clear`] and reuse it to spare allocations.
#[derive(Debug, Default)]
pub struct Batch {
    entries: Vec<Entry>,
    bytes: Vec<u8>,
    watchers: Vec<WatcherId>,
}

#[derive(Debug)]
enum Entry {
    Completed { tag: u64, op: OpCode, error: ErrorCode, zxid: i64, body: Range<usize> },
    Watch { kind: i32, state: i32, path: Range<usize>, zxid: i64, watchers: Range<usize> },
    Session { state: State, watchers: Range<usize>, session: SessionId, password: Box<Password> },
    Closed,
}

/// One thing that happened.
#[derive(Clone, Copy, Debug)]
pub enum Delivery<'a> {
    /// A request has come to its end.
    Completed(Completion<'a>),
    /// Something happened to a watched znode.
    Watch(WatchEvent<'a>),
    /// The session changed its state.
    Session(SessionEvent<'a>),
    /// The handle is closed: the last delivery of all.
    Closed,
}

impl Batch {
    /// All of it, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Delivery<'_>> {
        self.entries.iter().map(|entry| match entry {
            Entry::Completed { tag, op, error, zxid, body } => {
                Delivery::Completed(Completion { tag: *tag, op: *op, error: *error, zxid: *zxid, body: &self.bytes[body.clone()] })
            }
            Entry::Watch { kind, state, path, zxid, watchers } => Delivery::Watch(WatchEvent {
                kind: *kind,
                state: *state,
                path: &self.bytes[path.clone()],
                zxid: *zxid,
                watchers: &self.watchers[watchers.clone()],
            }),
            Entry::Session { state, watchers, session, password } => {
                Delivery::Session(SessionEvent { state: *state, watchers: &self.watchers[watchers.clone()], session: *session, password })
            }
            Entry::Closed => Delivery::Closed,
        })
    }

    /// How many things happened.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing happened.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes of bodies and paths.
    pub fn byte_count(&self) -> usize {
        self.bytes.len()
    }

    /// Forgets all, keeps the memory.
    pub fn clear(&mut self) {
        self.entries.clear();
        self.bytes.clear();
        self.watchers.clear();
    }

    /// Appends what another one would deliver.
    pub fn push(&mut self, delivery: Delivery<'_>) {
        match delivery {
            Delivery::Completed(Completion { tag, op, error, zxid, body }) => {
                let body = append(&mut self.bytes, body);
                self.entries.push(Entry::Completed { tag, op, error, zxid, body });
            }
            Delivery::Watch(WatchEvent { kind, state, path, zxid, watchers }) => {
                let path = append(&mut self.bytes, path);
                let watchers = append(&mut self.watchers, watchers);
                self.entries.push(Entry::Watch { kind, state, path, zxid, watchers });
            }
            Delivery::Session(SessionEvent { state, watchers, session, password }) => {
                let watchers = append(&mut self.watchers, watchers);
                self.entries.push(Entry::Session { state, watchers, session, password: Box::new(*password) });
            }
            Delivery::Closed => self.entries.push(Entry::Closed),
        }
    }

    /// Appends an output of the machine if it is for the user; else gives it back.
    pub fn take_output<'a>(&mut self, output: Output<'a>) -> Option<Output<'a>> {
        match output {
            Output::Completed(completion) => self.push(Delivery::Completed(completion)),
            Output::Watch(event) => self.push(Delivery::Watch(event)),
            Output::Session(event) => self.push(Delivery::Session(event)),
            other => return Some(other),
        }
        None
    }
}

fn append<T: Copy>(to: &mut Vec<T>, items: &[T]) -> Range<usize> {
    let start = to.len();
    to.extend_from_slice(items);
    start..to.len()
}
