//! Stands in for `election.rs` until its branch comes: votes, newest history first, no rounds.

use crate::config::Config;
use crate::quorum::Sid;
use bytes::{Buf, Bytes};
use oxkeeper_proto::Zxid;
use oxkeeper_proto::jute::Write;
use std::collections::{BTreeMap, VecDeque};

type Vote = (i64, i64, i64); // epoch, zxid, leader

pub(crate) enum ElectionOutput {
    Notify { to: Sid, message: Bytes },
    Elected { leader: Sid },
}

pub(crate) struct Election {
    me: Sid,
    config: Config,
    finalize_ms: u64,
    is_looking: bool,
    vote: Vote,
    votes: BTreeMap<Sid, Vote>,
    settled: BTreeMap<Sid, Sid>,
    leader: Sid,
    decide_ms: Option<u64>,
    resend_ms: u64,
    outputs: VecDeque<ElectionOutput>,
}

impl Election {
    pub fn new(me: Sid, config: Config, finalize_ms: u64) -> Self {
        let settled = BTreeMap::new();
        Self {
            me,
            config,
            finalize_ms,
            is_looking: false,
            vote: (0, 0, 0),
            votes: BTreeMap::new(),
            settled,
            leader: me,
            decide_ms: None,
            resend_ms: 0,
            outputs: VecDeque::new(),
        }
    }

    pub fn begin(&mut self, now_ms: u64, last: Zxid, epoch: i64, _in_doubt: bool) {
        self.is_looking = true;
        self.votes.clear();
        self.settled.clear();
        self.decide_ms = None;
        let is_voter = self.config.is_voter(self.me);
        self.vote = if is_voter { (epoch, last.0, self.me.0) } else { (i64::MIN, i64::MIN, i64::MIN) };
        self.send_all(now_ms);
        self.count(now_ms);
    }

    fn message(&self) -> Bytes {
        let mut out = Vec::new();
        out.int(if self.is_looking { 0 } else { 1 });
        out.long(self.vote.0);
        out.long(self.vote.1);
        out.long(if self.is_looking { self.vote.2 } else { self.leader.0 });
        out.into()
    }

    fn send_all(&mut self, now_ms: u64) {
        self.resend_ms = now_ms + 300;
        let message = self.message();
        for sid in self.config.members.keys().filter(|sid| **sid != self.me) {
            self.outputs.push_back(ElectionOutput::Notify { to: *sid, message: message.clone() });
        }
    }

    fn count(&mut self, now_ms: u64) {
        if self.config.is_voter(self.me) {
            self.votes.insert(self.me, self.vote);
        }
        let reached = self.config.quorum().is_reached(|sid| self.votes.get(&sid) == Some(&self.vote));
        if reached && self.config.is_voter(self.me) {
            self.decide_ms.get_or_insert(now_ms + self.finalize_ms);
        } else {
            self.decide_ms = None;
        }
    }

    fn decide(&mut self, leader: Sid) {
        self.is_looking = false;
        self.leader = leader;
        self.outputs.push_back(ElectionOutput::Elected { leader });
    }

    pub fn handle(&mut self, now_ms: u64, from: Sid, message: &Bytes) {
        let mut m = message.clone();
        let (state, vote) = (m.get_i32(), (m.get_i64(), m.get_i64(), m.get_i64()));
        if !self.is_looking {
            if state == 0 {
                self.outputs.push_back(ElectionOutput::Notify { to: from, message: self.message() });
            }
            return;
        }
        if !self.config.is_voter(from) {
            return;
        }
        if state == 0 {
            self.settled.remove(&from);
            if self.config.is_voter(self.me) && vote > self.vote {
                self.vote = vote;
                self.decide_ms = None;
                self.send_all(now_ms);
            }
            self.votes.insert(from, vote);
            self.count(now_ms);
        } else {
            let leader = Sid(vote.2);
            self.settled.insert(from, leader);
            let agree = self.config.quorum().is_reached(|sid| self.settled.get(&sid) == Some(&leader));
            if agree && self.settled.get(&leader) == Some(&leader) && leader != self.me {
                self.decide(leader);
            }
        }
    }

    pub fn tick(&mut self, now_ms: u64) {
        if !self.is_looking {
            return;
        }
        if self.decide_ms.is_some_and(|at| now_ms >= at) {
            return self.decide(Sid(self.vote.2));
        }
        if now_ms >= self.resend_ms {
            self.send_all(now_ms);
        }
    }

    pub fn next_timer_ms(&self) -> Option<u64> {
        self.is_looking.then(|| self.decide_ms.unwrap_or(u64::MAX).min(self.resend_ms))
    }

    pub fn settled(&mut self, _epoch: i64) {}

    pub fn poll(&mut self) -> Option<ElectionOutput> {
        self.outputs.pop_front()
    }
}
