//! Whom an observer asks to feed it when there are observer masters: the voters in an order of chance, one after the other,
//! but for the leader, which feeds on its quorum port only.

use crate::peer::Door;
use crate::quorum::Sid;
use crate::shared::Shared;

/// How often all are asked before the leader is.
const ROUNDS: usize = 2;

/// See the module.
#[derive(Default)]
pub(crate) struct Masters {
    order: Vec<Sid>,
    next: usize,
    /// How many were asked in vain since one has fed us.
    asked: usize,
}

impl Masters {
    /// The next to be asked. When all have been asked in vain it is the leader's turn: Java never asks it, and stays outside
    /// as long as no follower has the port open.
    pub fn next(&mut self, shared: &mut Shared, leader: Sid) -> (Sid, Door) {
        if self.order.len() != shared.quorum.voters().len() || !self.order.iter().all(|sid| shared.quorum.is_voter(*sid)) {
            self.order = shared.quorum.voters().iter().copied().collect();
            self.next = 0;
            // Fisher and Yates.
            for at in (1..self.order.len()).rev() {
                let other = shared.below(at as u64 + 1) as usize;
                self.order.swap(at, other);
            }
        }
        let candidates = self.order.iter().filter(|sid| **sid != leader).count();
        if self.asked >= ROUNDS * candidates {
            self.asked = 0;
            return (leader, Door::Quorum);
        }
        self.asked += 1;
        loop {
            let master = self.order[self.next];
            self.next = (self.next + 1) % self.order.len();
            if master != leader {
                return (master, Door::Observers);
            }
        }
    }

    /// We are fed.
    pub fn found(&mut self) {
        self.asked = 0;
    }

    /// Whether all have been asked in vain, once or several times.
    pub fn is_exhausted(&self) -> bool {
        self.asked.is_multiple_of(self.order.len().saturating_sub(1).max(1))
    }
}
