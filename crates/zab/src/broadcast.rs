//! The broadcast of an established leader: proposals in zxid order, acknowledgements, commits.
//!
//! An acknowledgement of the leader's own log comes only from [`Input::LogSynced`], and what has to
//! be logged goes out only as [`Output::Append`]: nothing can be committed that was not durable.

use crate::quorum::{Quorum, Sid};
use bytes::Bytes;
use oxkeeper_proto::Zxid;
use std::collections::VecDeque;

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A transaction was prepared under the zxid that [`Broadcast::next_zxid`] gave.
    Propose {
        /// Its zxid.
        zxid: Zxid,
        /// Its bytes, as they go to the log and to followers.
        payload: Bytes,
    },
    /// Our log is durable up to and including this zxid.
    LogSynced {
        /// The last durable zxid.
        through: Zxid,
    },
    /// Our log refused everything from this zxid on; nothing of it was written. Only a leader
    /// without followers may take proposals back.
    LogRefused {
        /// The first zxid that was not written.
        from: Zxid,
    },
}

/// What has to be done, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Append to the log and answer with [`Input::LogSynced`].
    Append {
        /// The transaction's zxid.
        zxid: Zxid,
        /// The transaction's bytes.
        payload: Bytes,
    },
    /// The transaction is committed.
    Commit {
        /// The transaction's zxid.
        zxid: Zxid,
    },
    /// The transaction was taken back: it is not in the log and never will be.
    Withdrawn {
        /// The zxid, which will be given out again.
        zxid: Zxid,
    },
}

/// An established leader.
pub struct Broadcast {
    me: Sid,
    quorum: Quorum,
    last_proposed: Zxid,
    last_committed: Zxid,
    /// Proposals that are not committed, oldest first. Bounded by the credits of the connections.
    outstanding: VecDeque<Zxid>,
    /// How far each voter's log is durable, as far as it has said: a log is durable up to a zxid, and never only at it.
    durable: Vec<(Sid, Zxid)>,
    outputs: VecDeque<Output>,
}

impl Broadcast {
    /// A leader whose history ends, committed, with this zxid.
    pub fn new(me: Sid, quorum: Quorum, last_zxid: Zxid) -> Self {
        Self {
            me,
            quorum,
            last_proposed: last_zxid,
            last_committed: last_zxid,
            outstanding: VecDeque::new(),
            durable: Vec::new(),
            outputs: VecDeque::new(),
        }
    }

    /// The zxid of the next proposal. After the last counter of an epoch comes counter 1 of the
    /// next: counter 0 is never a transaction.
    pub fn next_zxid(&self) -> Zxid {
        if self.last_proposed.counter() == u32::MAX { Zxid::new(self.last_proposed.epoch() + 1, 1) } else { self.last_proposed.next() }
    }

    /// The last zxid that was proposed.
    pub fn last_proposed(&self) -> Zxid {
        self.last_proposed
    }

    /// The last zxid that was committed.
    pub fn last_committed(&self) -> Zxid {
        self.last_committed
    }

    /// How many proposals wait for their quorum.
    pub fn outstanding(&self) -> usize {
        self.outstanding.len()
    }

    /// Takes in one thing that happened; the consequences come from [`Broadcast::poll`].
    ///
    /// # Panics
    /// When a proposal does not carry [`Broadcast::next_zxid`].
    pub fn handle(&mut self, input: Input) {
        match input {
            Input::Propose { zxid, payload } => {
                assert_eq!(zxid, self.next_zxid(), "proposals are consecutive");
                self.last_proposed = zxid;
                self.outstanding.push_back(zxid);
                self.outputs.push_back(Output::Append { zxid, payload });
            }
            Input::LogSynced { through } => self.acknowledge(self.me, through),
            Input::LogRefused { from } => self.withdraw(from),
        }
    }

    /// The next consequence.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    fn acknowledge(&mut self, from: Sid, through: Zxid) {
        if !self.quorum.is_voter(from) {
            return;
        }
        match self.durable.iter_mut().find(|(sid, _)| *sid == from) {
            Some((_, durable)) => *durable = through.max(*durable),
            None => self.durable.push((from, through)),
        }
        while let Some(first) = self.outstanding.front().copied() {
            let has_it = |sid| self.durable.iter().any(|(voter, through)| *voter == sid && *through >= first);
            if !self.quorum.is_reached(has_it) {
                break;
            }
            self.last_committed = first;
            self.outputs.push_back(Output::Commit { zxid: first });
            self.outstanding.pop_front();
        }
    }

    fn withdraw(&mut self, from: Zxid) {
        while self.outstanding.back().is_some_and(|zxid| *zxid >= from) {
            self.outstanding.pop_back();
        }
        let first_gone = self.last_proposed;
        self.last_proposed = self.outstanding.back().copied().unwrap_or(self.last_committed);
        if first_gone >= from {
            self.outputs.retain(|o| !matches!(o, Output::Append { zxid, .. } if *zxid >= from));
            self.outputs.push_back(Output::Withdrawn { zxid: from });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(machine: &mut Broadcast) -> Vec<Output> {
        std::iter::from_fn(|| machine.poll()).collect()
    }

    fn propose(machine: &mut Broadcast) -> Zxid {
        let zxid = machine.next_zxid();
        machine.handle(Input::Propose { zxid, payload: Bytes::new() });
        zxid
    }

    #[test]
    fn nothing_is_committed_before_the_log_is_durable() {
        let me = Sid(1);
        let mut leader = Broadcast::new(me, Quorum::alone(me), Zxid(4));
        let (a, b) = (propose(&mut leader), propose(&mut leader));
        assert!(drain(&mut leader).iter().all(|o| matches!(o, Output::Append { .. })));
        leader.handle(Input::LogSynced { through: a });
        assert_eq!(drain(&mut leader), [Output::Commit { zxid: Zxid(5) }]);
        leader.handle(Input::LogSynced { through: b });
        assert_eq!(drain(&mut leader), [Output::Commit { zxid: Zxid(6) }]);
        assert_eq!(leader.last_committed(), Zxid(6));
    }

    #[test]
    fn without_a_quorum_a_durable_log_commits_nothing() {
        let three = Quorum::Majority([Sid(1), Sid(2), Sid(3)].into());
        let mut leader = Broadcast::new(Sid(1), three, Zxid::ZERO);
        let zxid = propose(&mut leader);
        drain(&mut leader);
        leader.handle(Input::LogSynced { through: zxid });
        assert_eq!(drain(&mut leader), []);
    }

    #[test]
    fn what_the_log_refused_gives_its_zxids_back() {
        let me = Sid(1);
        let mut leader = Broadcast::new(me, Quorum::alone(me), Zxid::ZERO);
        let a = propose(&mut leader);
        let b = propose(&mut leader);
        propose(&mut leader);
        drain(&mut leader);
        leader.handle(Input::LogRefused { from: b });
        assert_eq!(drain(&mut leader), [Output::Withdrawn { zxid: b }]);
        assert_eq!(leader.next_zxid(), b);
        leader.handle(Input::LogSynced { through: a });
        assert_eq!(drain(&mut leader), [Output::Commit { zxid: a }]);
    }

    #[test]
    fn the_counter_rolls_over_into_the_next_epoch() {
        let me = Sid(1);
        let leader = Broadcast::new(me, Quorum::alone(me), Zxid::new(3, u32::MAX));
        assert_eq!(leader.next_zxid(), Zxid::new(4, 1));
    }
}
