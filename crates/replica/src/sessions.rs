//! Sessions: who lives, until when, and on which connection.
//!
//! Expiry goes by buckets one tick wide, as Java's: a session lives at least its timeout and at
//! most a tick longer after it was last heard.

use crate::request::ConnId;
use oxkeeper_proto::SessionId;
use oxkeeper_proto::collections::HashMap;
use oxkeeper_zab::LinkId;
use std::collections::{BTreeMap, BTreeSet};

/// Through whom a session speaks. What comes from another is refused: the session has moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// A connection of this server.
    Connection(ConnId),
    /// A learner.
    Link(LinkId),
}

/// What the tracker knows of one session.
#[derive(Clone, Debug)]
pub struct Session {
    /// The timeout that its transaction carries, milliseconds.
    pub timeout_ms: i32,
    /// When it expires, unless it is heard, milliseconds of the monotonic clock.
    pub deadline_ms: u64,
    /// It is being closed: nothing more is accepted.
    pub closing: bool,
    /// Through whom it speaks now.
    pub owner: Option<Owner>,
}

impl Session {
    /// The connection of this server that it uses.
    pub fn connection(&self) -> Option<ConnId> {
        match self.owner {
            Some(Owner::Connection(connection)) => Some(connection),
            _ => None,
        }
    }
}

/// All sessions of the ensemble.
pub struct SessionTracker {
    tick_ms: u64,
    sessions: HashMap<SessionId, Session>,
    buckets: BTreeMap<u64, BTreeSet<SessionId>>,
}

impl SessionTracker {
    /// A tracker whose buckets are `tick_ms` wide.
    pub fn new(tick_ms: u64) -> Self {
        Self { tick_ms: tick_ms.max(1), sessions: HashMap::default(), buckets: BTreeMap::new() }
    }

    /// The end of the bucket in which a session expires that was heard now.
    pub fn deadline(&self, now_ms: u64, timeout_ms: i32) -> u64 {
        deadline(self.tick_ms, now_ms, timeout_ms)
    }

    /// Begins to track a session.
    pub fn open(&mut self, now_ms: u64, id: SessionId, timeout_ms: i32, owner: Option<Owner>) {
        let deadline_ms = self.deadline(now_ms, timeout_ms);
        if let Some(old) = self.sessions.insert(id, Session { timeout_ms, deadline_ms, closing: false, owner }) {
            self.leave_bucket(id, old.deadline_ms);
        }
        self.buckets.entry(deadline_ms).or_default().insert(id);
    }

    /// The session was heard from. Returns whether it lives.
    pub fn touch(&mut self, now_ms: u64, id: SessionId, timeout_ms: i32) -> bool {
        let deadline_ms = self.deadline(now_ms, timeout_ms);
        let Some(session) = self.sessions.get_mut(&id) else { return false };
        if session.closing {
            return false;
        }
        // Only ever later: two connections may report in either order.
        if deadline_ms > session.deadline_ms {
            self.move_to(id, deadline_ms);
        }
        true
    }

    /// The client has come back to its session and negotiated a timeout, which may be shorter than the one before.
    /// Returns whether the session lives.
    pub fn renew(&mut self, now_ms: u64, id: SessionId, timeout_ms: i32) -> bool {
        let lives = self.sessions.get(&id).is_some_and(|session| !session.closing);
        if lives {
            self.move_to(id, self.deadline(now_ms, timeout_ms));
        }
        lives
    }

    /// The session, if it is tracked.
    pub fn get(&self, id: SessionId) -> Option<&Session> {
        self.sessions.get(&id)
    }

    /// Sets through whom a session speaks and returns through whom it did.
    pub fn attach(&mut self, id: SessionId, owner: Option<Owner>) -> Option<Owner> {
        self.sessions.get_mut(&id).and_then(|s| std::mem::replace(&mut s.owner, owner))
    }

    /// The session speaks through nobody, if it did through this owner.
    pub fn detach(&mut self, id: SessionId, owner: Owner) {
        if let Some(session) = self.sessions.get_mut(&id).filter(|session| session.owner == Some(owner)) {
            session.owner = None;
        }
    }

    /// Nothing more is accepted from the session.
    pub fn set_closing(&mut self, id: SessionId) {
        if let Some(session) = self.sessions.get_mut(&id) {
            session.closing = true;
            let deadline_ms = session.deadline_ms;
            self.leave_bucket(id, deadline_ms);
        }
    }

    /// The session's end failed (no space for its transaction): it lives on and is tried again.
    pub fn reopen(&mut self, now_ms: u64, id: SessionId) {
        let tick_ms = self.tick_ms;
        if let Some(session) = self.sessions.get_mut(&id) {
            session.closing = false;
            session.deadline_ms = deadline(tick_ms, now_ms, 0);
            let deadline_ms = session.deadline_ms;
            self.buckets.entry(deadline_ms).or_default().insert(id);
        }
    }

    /// Forgets the session.
    pub fn remove(&mut self, id: SessionId) -> Option<Session> {
        let session = self.sessions.remove(&id)?;
        self.leave_bucket(id, session.deadline_ms);
        Some(session)
    }

    /// Takes out the sessions whose bucket is over.
    pub fn expired(&mut self, now_ms: u64) -> Vec<(SessionId, i32)> {
        let mut expired = Vec::new();
        while let Some(bucket) = self.buckets.first_entry() {
            if *bucket.key() > now_ms {
                break;
            }
            expired.extend(bucket.remove().into_iter().map(|id| (id, self.sessions[&id].timeout_ms)));
        }
        expired
    }

    /// Nobody was heard for so long, for reasons of our own: all live for as much longer, and up to a tick more.
    pub fn postpone(&mut self, ms: u64) {
        for (deadline_ms, ids) in std::mem::take(&mut self.buckets) {
            let later_ms = (deadline_ms + ms).div_ceil(self.tick_ms) * self.tick_ms;
            for id in &ids {
                self.sessions.get_mut(id).expect("what is in a bucket is tracked").deadline_ms = later_ms;
            }
            self.buckets.entry(later_ms).or_default().extend(ids);
        }
    }

    /// When the next bucket is over, milliseconds of the monotonic clock.
    pub fn next_expiry_ms(&self) -> Option<u64> {
        self.buckets.keys().next().copied()
    }

    /// How many sessions are tracked.
    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    /// The buckets by deadline, for `dump`.
    pub fn buckets(&self) -> impl Iterator<Item = (u64, &BTreeSet<SessionId>)> {
        self.buckets.iter().map(|(deadline_ms, ids)| (*deadline_ms, ids))
    }

    fn move_to(&mut self, id: SessionId, deadline_ms: u64) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let old = std::mem::replace(&mut session.deadline_ms, deadline_ms);
        self.leave_bucket(id, old);
        self.buckets.entry(deadline_ms).or_default().insert(id);
    }

    fn leave_bucket(&mut self, id: SessionId, deadline_ms: u64) {
        if let Some(bucket) = self.buckets.get_mut(&deadline_ms) {
            bucket.remove(&id);
            if bucket.is_empty() {
                self.buckets.remove(&deadline_ms);
            }
        }
    }
}

/// The end of the bucket in which a session expires that was heard now.
pub fn deadline(tick_ms: u64, now_ms: u64, timeout_ms: i32) -> u64 {
    let timeout_ms = u64::try_from(timeout_ms).unwrap_or(0);
    ((now_ms + timeout_ms) / tick_ms + 1) * tick_ms
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_lives_its_timeout_and_at_most_a_tick_more() {
        for heard_ms in [0, 1, 999, 1000, 12_345] {
            let mut tracker = SessionTracker::new(1000);
            let id = SessionId(7);
            tracker.open(0, id, 4000, None);
            assert!(tracker.touch(heard_ms, id, 4000));
            let end = tracker.next_expiry_ms().unwrap();
            assert!(end > heard_ms + 4000 && end <= heard_ms + 5000, "{heard_ms} -> {end}");
            assert_eq!(tracker.expired(end - 1), []);
            assert_eq!(tracker.expired(end), [(id, 4000)]);
        }
    }

    #[test]
    fn all_live_longer_if_none_could_be_heard() {
        let mut tracker = SessionTracker::new(1000);
        tracker.open(0, SessionId(1), 1000, None);
        tracker.open(0, SessionId(2), 1400, None);
        tracker.open(0, SessionId(3), 7000, None);
        tracker.postpone(2300);
        assert_eq!(tracker.expired(4999).iter().map(|(id, _)| id.0).collect::<Vec<_>>(), []);
        assert_eq!(tracker.expired(5000).iter().map(|(id, _)| id.0).collect::<Vec<_>>(), [1, 2]);
        assert!(tracker.touch(6000, SessionId(3), 7000));
        assert_eq!(tracker.next_expiry_ms(), Some(14_000));
    }

    #[test]
    fn a_closing_session_is_not_touched_and_does_not_expire_again() {
        let mut tracker = SessionTracker::new(1000);
        tracker.open(0, SessionId(1), 1000, None);
        tracker.set_closing(SessionId(1));
        assert!(!tracker.touch(10, SessionId(1), 1000));
        assert_eq!(tracker.expired(1_000_000), []);
        assert!(tracker.remove(SessionId(1)).is_some());
        assert!(tracker.is_empty());
    }
}
