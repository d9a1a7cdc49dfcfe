//! Fast leader election of one server: from notifications to the vote that a quorum shares.
//!
//! The rules are Java's, since its servers vote with ours: which vote is better, when a round is joined, how
//! long silence must last before a decision, what a server that has decided answers to one that still looks.
//! A decision is only a vote: whether the elected leader can lead is found out by who follows it, and a server
//! that cannot get on comes back here.
//!
//! Sending is for others: a message for a server replaces any earlier one that is still waiting for it.

use crate::config::Config;
use crate::notification::{Notification, WireError, encode_notification};
use crate::quorum::{Quorum, Sid};
use crate::vote::{PeerState, Vote};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Times of an election.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ElectionOptions {
    /// How long nothing better may come in before a decision stands.
    pub finalize_wait_ms: u64,
    /// How long to wait for a vote before all are notified again, at first; doubled each time.
    pub min_notification_ms: u64,
    /// The longest such wait.
    pub max_notification_ms: u64,
}

impl Default for ElectionOptions {
    fn default() -> Self {
        Self { finalize_wait_ms: 200, min_notification_ms: 200, max_notification_ms: 60_000 }
    }
}

/// What a server has to offer as leader: what its disk says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The last zxid of its log.
    pub zxid: i64,
    /// Its current epoch.
    pub epoch: i64,
    /// Whether its history is in doubt: then it votes for nobody, cannot be elected, and joins only a leader
    /// that a quorum without it follows.
    pub in_doubt: bool,
}

/// What an election wants done.
#[derive(Clone, Debug, PartialEq)]
pub enum ElectionOutput {
    /// Send the message, without its length, to the server; it replaces one that is still waiting.
    Send {
        /// To whom; never to ourselves.
        to: Sid,
        /// A notification.
        message: Bytes,
    },
    /// The election has ended; the machine answers with this vote until [`Election::stop`].
    Elected {
        /// `Leading`, `Following` or `Observing`.
        state: PeerState,
        /// The leader.
        leader: Sid,
        /// The leader's last zxid when it was elected.
        zxid: i64,
        /// The leader's epoch then.
        peer_epoch: i64,
        /// The round.
        election_epoch: i64,
    },
    /// While looking: a server has a newer configuration than ours. Whether it is to be adopted is for the
    /// owner to decide, with [`Election::set_config`].
    NewerConfig {
        /// Who has it.
        from: Sid,
        /// The configuration.
        config: Config,
    },
}

/// Where the machine stands.
#[derive(Clone, Debug)]
enum Phase {
    /// Looking, but without knowing yet what it can offer. The last notification of each server is kept.
    Idle,
    /// Looking.
    Voting,
    /// A quorum shares the proposal, until this time nothing better came in.
    Finalizing { until_ms: u64 },
    /// Decided.
    Settled { state: PeerState, vote: Vote },
}

/// The election of one server. All times are those of the caller's clock, in ms.
#[derive(Debug)]
pub struct Election {
    me: Sid,
    is_observer: bool,
    options: ElectionOptions,
    quorum: Quorum,
    /// The rule of a configuration that was proposed and is not committed yet.
    next_quorum: Option<Quorum>,
    config_version: u64,
    config_text: String,
    /// Who votes by either rule.
    voters: BTreeSet<Sid>,
    phase: Phase,
    /// The round; grows as long as the process lives.
    round: i64,
    candidate: Candidate,
    proposal: Vote,
    /// Votes of this round, one for each voter.
    received: BTreeMap<Sid, Vote>,
    /// Votes of servers that have decided, one for each voter.
    settled: BTreeMap<Sid, Vote>,
    /// Notifications that wait to be handled: our own to ourselves, and while idle the last of each server.
    waiting: VecDeque<(Sid, Notification)>,
    wait_ms: u64,
    /// When all are notified again.
    resend_at_ms: u64,
    outputs: VecDeque<ElectionOutput>,
}

impl Election {
    /// A machine that looks for a leader as soon as [`Self::start`] tells it what it has to offer.
    pub fn new(me: Sid, is_observer: bool, options: ElectionOptions, config: &Config) -> Self {
        let nobody = Vote { leader: Sid(-1), zxid: -1, election_epoch: 0, peer_epoch: -1, state: PeerState::Looking, version: 0 };
        let mut election = Self {
            me,
            is_observer,
            options,
            quorum: config.quorum(),
            next_quorum: None,
            config_version: 0,
            config_text: String::new(),
            voters: BTreeSet::new(),
            phase: Phase::Idle,
            round: 0,
            candidate: Candidate { zxid: -1, epoch: -1, in_doubt: true },
            proposal: nobody,
            received: BTreeMap::new(),
            settled: BTreeMap::new(),
            waiting: VecDeque::new(),
            wait_ms: options.min_notification_ms,
            resend_at_ms: 0,
            outputs: VecDeque::new(),
        };
        election.set_config(config, None);
        election
    }

    /// The committed configuration, and a newer one that was proposed, if there is one. Takes effect at once; an
    /// election that is under way should be started again if members have changed.
    pub fn set_config(&mut self, config: &Config, next: Option<&Config>) {
        self.quorum = config.quorum();
        self.next_quorum = next.filter(|next| next.version > config.version).map(Config::quorum);
        self.config_version = config.version;
        self.config_text = config.to_text();
        self.voters = config.voters().chain(next.into_iter().flat_map(Config::voters)).collect();
    }

    /// Changes the role, when a configuration has changed it.
    pub fn set_observer(&mut self, is_observer: bool) {
        self.is_observer = is_observer;
    }

    /// Begins a new round. Called when the log is known, and again after [`Self::stop`].
    pub fn start(&mut self, now_ms: u64, candidate: Candidate) {
        self.candidate = candidate;
        self.phase = Phase::Voting;
        self.round = self.round.wrapping_add(1);
        self.received.clear();
        self.settled.clear();
        self.wait_ms = self.options.min_notification_ms;
        self.resend_at_ms = now_ms.saturating_add(self.wait_ms);
        self.proposal = self.own_vote();
        self.notify_all();
        self.drain(now_ms);
    }

    /// Ends the role that an election has given, or the election itself. The server looks for a leader, but
    /// votes only when [`Self::start`] says what it has to offer.
    pub fn stop(&mut self) {
        self.phase = Phase::Idle;
        self.waiting.clear();
    }

    /// The epoch of the established leader: the vote that others are told carries it from now on. Its zxid and
    /// round stay those of the election, as in Java.
    pub fn established(&mut self, epoch: i64) {
        if let Phase::Settled { vote, .. } = &mut self.phase {
            vote.peer_epoch = epoch;
        }
    }

    /// A message, without its length, has come in.
    ///
    /// # Errors
    /// What cannot be read; nothing has changed.
    pub fn receive(&mut self, now_ms: u64, from: Sid, message: &[u8]) -> Result<(), WireError> {
        self.notification(now_ms, from, Notification::decode(message)?);
        Ok(())
    }

    /// A notification has come in.
    pub fn notification(&mut self, now_ms: u64, from: Sid, mut notification: Notification) {
        if let Some(Ok(config)) = notification.config.take()
            && config.version > self.config_version
            && !matches!(self.phase, Phase::Settled { .. })
        {
            self.outputs.push_back(ElectionOutput::NewerConfig { from, config });
        }
        self.take(from, notification);
        self.drain(now_ms);
    }

    /// Time has passed.
    pub fn tick(&mut self, now_ms: u64) {
        match self.phase {
            Phase::Finalizing { until_ms } if now_ms >= until_ms => self.settle(self.proposal),
            Phase::Voting if now_ms >= self.resend_at_ms => {
                self.wait_ms = self.wait_ms.saturating_mul(2).min(self.options.max_notification_ms);
                self.resend_at_ms = now_ms.saturating_add(self.wait_ms);
                self.notify_all();
                self.drain(now_ms);
            }
            _ => {}
        }
    }

    /// When [`Self::tick`] has something to do.
    pub fn next_timer_ms(&self) -> Option<u64> {
        match self.phase {
            Phase::Finalizing { until_ms } => Some(until_ms),
            Phase::Voting => Some(self.resend_at_ms),
            Phase::Idle | Phase::Settled { .. } => None,
        }
    }

    /// The next thing to do, in order.
    pub fn poll(&mut self) -> Option<ElectionOutput> {
        self.outputs.pop_front()
    }

    /// What this server says it is doing.
    pub fn state(&self) -> PeerState {
        match self.phase {
            Phase::Settled { state, .. } => state,
            _ => PeerState::Looking,
        }
    }

    /// The vote that others are told.
    pub fn vote(&self) -> Vote {
        match self.phase {
            Phase::Settled { vote, .. } => vote,
            _ => self.proposal,
        }
    }

    /// The round.
    pub fn round(&self) -> i64 {
        self.round
    }

    /// The first steps with a notification: answers, and who is heard at all.
    fn take(&mut self, from: Sid, notification: Notification) {
        if !self.voters.contains(&from) {
            // An observer, or a server that we do not know: it may learn who leads, and has no say.
            self.send(from, self.round);
            return;
        }
        let Some(state) = notification.state else {
            return;
        };
        let looks = state == PeerState::Looking;
        match self.phase {
            Phase::Settled { vote, .. } => {
                if looks && from != self.me {
                    self.send(from, vote.election_epoch);
                }
            }
            Phase::Idle => {
                self.waiting.retain(|(other, _)| *other != from);
                self.waiting.push_back((from, notification));
            }
            Phase::Voting | Phase::Finalizing { .. } => {
                if looks && notification.election_epoch < self.round && from != self.me {
                    self.send(from, self.round);
                }
                self.waiting.push_back((from, notification));
            }
        }
    }

    /// Handles what waits, until nothing does or the election has ended.
    fn drain(&mut self, now_ms: u64) {
        while let Some((from, notification)) = self.next_waiting() {
            if matches!(self.phase, Phase::Finalizing { .. }) {
                if !self.is_better(&vote_of(&notification, 0)) {
                    self.phase = Phase::Finalizing { until_ms: now_ms.saturating_add(self.options.finalize_wait_ms) };
                    continue;
                }
                self.phase = Phase::Voting;
            }
            self.resend_at_ms = now_ms.saturating_add(self.wait_ms);
            self.handle(now_ms, from, &notification);
        }
    }

    fn next_waiting(&mut self) -> Option<(Sid, Notification)> {
        match self.phase {
            Phase::Voting | Phase::Finalizing { .. } => self.waiting.pop_front(),
            Phase::Idle | Phase::Settled { .. } => None,
        }
    }

    fn handle(&mut self, now_ms: u64, from: Sid, notification: &Notification) {
        if !self.voters.contains(&notification.leader) {
            return;
        }
        match notification.state {
            Some(PeerState::Looking) => self.looking(now_ms, from, notification),
            Some(PeerState::Following | PeerState::Leading) => self.decided(from, notification),
            Some(PeerState::Observing) | None => {}
        }
    }

    /// Another server's vote of an election that is under way.
    fn looking(&mut self, now_ms: u64, from: Sid, notification: &Notification) {
        // Whose history is in doubt has no say, and takes none.
        if self.own_vote().zxid == -1 || notification.zxid == -1 {
            return;
        }
        let vote = Vote { state: PeerState::Looking, ..vote_of(notification, 0) };
        if vote.election_epoch < self.round {
            return;
        }
        if vote.election_epoch > self.round {
            self.round = vote.election_epoch;
            self.received.clear();
            self.proposal = self.own_vote();
            if self.is_better(&vote) {
                self.propose(&vote);
            }
            self.notify_all();
        } else if self.is_better(&vote) {
            self.propose(&vote);
            self.notify_all();
        }
        self.received.insert(from, vote);
        if self.is_shared(&self.received, &self.proposal) {
            self.phase = Phase::Finalizing { until_ms: now_ms.saturating_add(self.options.finalize_wait_ms) };
        }
    }

    /// The vote of a server that follows or leads.
    fn decided(&mut self, from: Sid, notification: &Notification) {
        let vote = vote_of(notification, notification.version);
        // The leader that Java returns keeps the round and the epoch of the notification.
        let ends = Vote { state: PeerState::Looking, version: 0, ..vote };
        if vote.election_epoch == self.round {
            self.received.insert(from, Vote { version: 0, ..vote });
            if self.is_shared(&self.received, &vote) && self.can_lead(&self.received, &vote) {
                self.settle(ends);
                return;
            }
        }
        self.settled.insert(from, vote);
        if self.is_shared(&self.settled, &vote) && self.can_lead(&self.settled, &vote) {
            self.round = vote.election_epoch;
            self.settle(ends);
        }
    }

    /// Whether the votes that agree with this one are a quorum, by both rules if two are in force.
    fn is_shared(&self, votes: &BTreeMap<Sid, Vote>, vote: &Vote) -> bool {
        let agrees = |sid| votes.get(&sid).is_some_and(|other| vote.agrees_with(other));
        self.quorum.is_reached(agrees) && self.next_quorum.as_ref().is_none_or(|quorum| quorum.is_reached(agrees))
    }

    /// Whether the leader of a vote says itself that it leads. Others may still believe in one that is gone; and
    /// that we lead can only be true in our own round, and not with a history in doubt.
    fn can_lead(&self, votes: &BTreeMap<Sid, Vote>, vote: &Vote) -> bool {
        if vote.leader == self.me {
            return self.round == vote.election_epoch && !self.candidate.in_doubt;
        }
        votes.get(&vote.leader).is_some_and(|own| own.state == PeerState::Leading)
    }

    fn is_better(&self, vote: &Vote) -> bool {
        self.quorum.weight(vote.leader) != 0 && vote.rank() > self.proposal.rank()
    }

    /// What we have to offer: an observer nothing, so that anything is better.
    fn own_vote(&self) -> Vote {
        let leader = if self.quorum.is_voter(self.me) { self.me } else { Sid(i64::MIN) };
        let (zxid, peer_epoch) = match (self.is_observer, self.candidate.in_doubt) {
            (true, _) => (i64::MIN, i64::MIN),
            (false, true) => (-1, self.candidate.epoch),
            (false, false) => (self.candidate.zxid, self.candidate.epoch),
        };
        Vote { leader, zxid, election_epoch: self.round, peer_epoch, state: PeerState::Looking, version: 0 }
    }

    fn propose(&mut self, vote: &Vote) {
        self.proposal = Vote { election_epoch: self.round, ..*vote };
    }

    fn settle(&mut self, vote: Vote) {
        let state = match (vote.leader == self.me, self.is_observer) {
            (true, _) => PeerState::Leading,
            (false, false) => PeerState::Following,
            (false, true) => PeerState::Observing,
        };
        self.phase = Phase::Settled { state, vote };
        self.waiting.clear();
        self.outputs.push_back(ElectionOutput::Elected {
            state,
            leader: vote.leader,
            zxid: vote.zxid,
            peer_epoch: vote.peer_epoch,
            election_epoch: vote.election_epoch,
        });
    }

    /// Tells every voter the proposal, ourselves included.
    fn notify_all(&mut self) {
        self.proposal.election_epoch = self.round;
        for to in self.voters.clone() {
            if to != self.me {
                self.send(to, self.round);
            }
        }
        if self.voters.contains(&self.me) {
            let own = self.proposal;
            self.waiting.push_back((
                self.me,
                Notification {
                    state: Some(PeerState::Looking),
                    leader: own.leader,
                    zxid: own.zxid,
                    election_epoch: own.election_epoch,
                    peer_epoch: own.peer_epoch,
                    version: 2,
                    config: None,
                },
            ));
        }
    }

    fn send(&mut self, to: Sid, election_epoch: i64) {
        let vote = self.vote();
        let message = encode_notification(self.state(), vote.leader, vote.zxid, election_epoch, vote.peer_epoch, &self.config_text);
        self.outputs.push_back(ElectionOutput::Send { to, message });
    }
}

fn vote_of(notification: &Notification, version: i32) -> Vote {
    Vote {
        leader: notification.leader,
        zxid: notification.zxid,
        election_epoch: notification.election_epoch,
        peer_epoch: notification.peer_epoch,
        state: notification.state.unwrap_or(PeerState::Looking),
        version,
    }
}
