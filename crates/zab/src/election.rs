//! Fast leader election of one server: from notifications to the vote that a quorum shares.
//!
//! The rules are Java's, since its servers vote with ours: which vote is better, when a round is joined, how
//! long silence must last before a decision, what a server that has decided answers to one that still looks.
//! A decision is only a vote: whether the elected leader can lead is found out by who follows it, and a server
//! that cannot get on comes back here.
//!
//! Among servers of ours the wait for silence is cut short, in a way that Java's do not notice: who would lead does
//! not wait when every voter that is not known to be gone agrees, and says at once that it leads; who would follow
//! it does not wait once it hears that. Whatever the wait is for, nothing hangs on it but a better choice.
//!
//! Sending is for others: a message for a server replaces any earlier one that is still waiting for it.

use crate::config::Config;
use crate::notification::{Notification, WireError, encode_notification};
use crate::quorum::{Quorum, Sid};
use crate::vote::{PeerState, Vote};
use bytes::Bytes;
use log::info;
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
    /// As the leader that was elected: a voter that elected us looks for a leader again.
    VoterLooks {
        /// Who.
        from: Sid,
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
    /// Who was connected and is not any more: its vote is not waited for.
    gone: BTreeSet<Sid>,
    /// What the oracle of an ensemble of two says; `None` without one.
    oracle: Option<bool>,
    phase: Phase,
    /// The round; grows as long as the process lives.
    round: i64,
    candidate: Candidate,
    proposal: Vote,
    /// Votes of this round, one for each voter.
    received: BTreeMap<Sid, Vote>,
    /// Votes of servers that have decided, one for each voter.
    settled: BTreeMap<Sid, Vote>,
    /// The voters whose votes the decision was made from, and were for it.
    backers: BTreeSet<Sid>,
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
            gone: BTreeSet::new(),
            oracle: None,
            phase: Phase::Idle,
            round: 0,
            candidate: Candidate { zxid: -1, epoch: -1, in_doubt: true },
            proposal: nobody,
            received: BTreeMap::new(),
            settled: BTreeMap::new(),
            backers: BTreeSet::new(),
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

    /// The connection with a server has ended (`true`), or is there (`false`). Who was never connected is not gone:
    /// when an ensemble starts, its servers are given the time to appear.
    pub fn set_gone(&mut self, sid: Sid, gone: bool) {
        if gone {
            self.gone.insert(sid);
        } else {
            self.gone.remove(&sid);
        }
        self.decide_early();
    }

    /// What the oracle says now, if there is one (`oraclePath`). It counts only while two servers vote: `true` lets
    /// one vote be enough, `false` lets a server follow a leader that says so without anybody else.
    pub fn set_oracle(&mut self, says: Option<bool>) {
        self.oracle = says;
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
        info!("New election. My id = {}, proposed zxid={:#x}", self.me, self.proposal.zxid);
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
                // The oracle may have changed its mind; a wait for silence has passed already.
                if self.oracle() == Some(true) && !self.candidate.in_doubt && self.is_shared(&self.received, &self.proposal) {
                    self.settle(self.proposal);
                }
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
            // An observer, or a server that we do not know: it may learn who leads, and has no say. One that has found
            // its leader needs no answer; Java gives one, and two such servers write to each other for ever.
            if notification.state == Some(PeerState::Looking) {
                self.send(from, self.round);
            }
            return;
        }
        let Some(state) = notification.state else {
            return;
        };
        // As Java words it, for those who read its log.
        info!(
            "Notification: my state:{}; n.sid:{from}, n.state:{state}, n.leader:{}, n.round:{:#x}, n.peerEpoch:{:#x}, n.zxid:{:#x}, message format version:{:#x}",
            self.state(),
            notification.leader,
            notification.election_epoch,
            notification.peer_epoch,
            notification.zxid,
            notification.version,
        );
        let looks = state == PeerState::Looking;
        match self.phase {
            Phase::Settled { vote, .. } => {
                if looks && from != self.me {
                    self.send(from, vote.election_epoch);
                    if vote.leader == self.me && self.backers.contains(&from) {
                        self.outputs.push_back(ElectionOutput::VoterLooks { from });
                    }
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
                    self.confirm(from, &notification);
                    if matches!(self.phase, Phase::Settled { .. }) {
                        return;
                    }
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
        let is_for_a_voter = self.voters.contains(&notification.leader);
        match notification.state {
            Some(PeerState::Looking) => self.looking(now_ms, from, notification, is_for_a_voter),
            Some(PeerState::Following | PeerState::Leading) if is_for_a_voter => self.decided(from, notification),
            Some(PeerState::Following | PeerState::Leading | PeerState::Observing) | None => {}
        }
    }

    /// Another server's vote of an election that is under way.
    fn looking(&mut self, now_ms: u64, from: Sid, notification: &Notification, is_for_a_voter: bool) {
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
            if is_for_a_voter && self.is_better(&vote) {
                self.propose(&vote);
            }
            self.notify_all();
        } else if is_for_a_voter && self.is_better(&vote) {
            self.propose(&vote);
            self.notify_all();
        } else if is_for_a_voter && from != self.me && vote.rank() < self.proposal.rank() {
            // By rank, so that of two only one answers: one that weighs nothing takes its own vote for the better, and we pass it over.
            // Our better vote may have found it before it looked for a leader: it would hear of that only when one of us grows
            // tired of silence. Java loses 200 or 400 ms so in every third election.
            self.send(from, self.round);
        }
        if !is_for_a_voter {
            // Whom only the next configuration names offers nobody, and hears no vote of an earlier round than its own: where
            // it is needed, its round has to be joined. Java does not, and waits until it begins anew.
            return;
        }
        self.received.insert(from, vote);
        if self.is_shared(&self.received, &self.proposal) {
            self.phase = Phase::Finalizing { until_ms: now_ms.saturating_add(self.options.finalize_wait_ms) };
            self.decide_early();
        }
    }

    /// While silence is waited for: one more agrees, or the leader says that it is one.
    fn confirm(&mut self, from: Sid, notification: &Notification) {
        let vote = vote_of(notification, 0);
        if vote.rank() != self.proposal.rank() || vote.election_epoch != self.round {
            return;
        }
        match notification.state {
            Some(PeerState::Looking) => {
                self.received.insert(from, vote);
                self.decide_early();
            }
            Some(PeerState::Leading) if from == vote.leader => self.settle(self.proposal),
            _ => {}
        }
    }

    /// Who would lead needs no silence when nobody is left who could have something better.
    fn decide_early(&mut self) {
        let agrees = |sid: &Sid| self.received.get(sid).is_some_and(|vote| vote.agrees_with(&self.proposal));
        if matches!(self.phase, Phase::Finalizing { .. })
            && self.proposal.leader == self.me
            && self.voters.iter().all(|sid| agrees(sid) || self.gone.contains(sid))
        {
            self.settle(self.proposal);
            for to in self.voters.clone() {
                if to != self.me {
                    self.send(to, self.round);
                }
            }
        }
    }

    /// The vote of a server that follows or leads.
    fn decided(&mut self, from: Sid, notification: &Notification) {
        let vote = vote_of(notification, notification.version);
        // The leader that Java returns keeps the round and the epoch of the notification.
        let ends = Vote { state: PeerState::Looking, version: 0, ..vote };
        if vote.election_epoch == self.round {
            self.received.insert(from, Vote { version: 0, ..vote });
            if self.is_led(&self.received, &vote) && self.can_lead(&self.received, &vote) {
                self.settle(ends);
                return;
            }
        }
        self.settled.insert(from, vote);
        if self.is_led(&self.settled, &vote) && self.can_lead(&self.settled, &vote) {
            self.round = vote.election_epoch;
            self.settle(ends);
        } else if vote.state == PeerState::Leading && self.oracle() == Some(false) && vote.leader != self.me {
            // The other of the two leads, and with the oracle's word: we have not got it.
            self.settle(ends);
        }
    }

    /// The oracle's word, where it counts.
    fn oracle(&self) -> Option<bool> {
        self.oracle.filter(|_| matches!(&self.quorum, Quorum::Majority(voters) if voters.len() == 2))
    }

    /// Whether the votes that agree with this one are a quorum, by both rules if two are in force.
    fn is_shared(&self, votes: &BTreeMap<Sid, Vote>, vote: &Vote) -> bool {
        let agrees = |sid| votes.get(&sid).is_some_and(|other| vote.agrees_with(other));
        self.is_led(votes, vote) && self.next_quorum.as_ref().is_none_or(|quorum| quorum.is_reached(agrees))
    }

    /// Whether a quorum of the configuration in force has decided so. What was proposed after it, perhaps only to us,
    /// keeps nobody from following a leader that others follow; Java stays outside until enough of the new members
    /// follow it, and those may never.
    fn is_led(&self, votes: &BTreeMap<Sid, Vote>, vote: &Vote) -> bool {
        let agrees = |sid| votes.get(&sid).is_some_and(|other| vote.agrees_with(other));
        let is_granted = self.oracle() == Some(true) && self.quorum.voters().iter().any(|sid| agrees(*sid));
        is_granted || self.quorum.is_reached(agrees)
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
        self.may_lead(vote.leader) && vote.rank() > self.proposal.rank()
    }

    /// Whether somebody weighs anything, in the configuration in force or, unlike with Java, in the next one. Whoever has
    /// more than the others and cannot lead votes for nobody else either; if the next configuration cannot do without
    /// its vote, there would never be a leader.
    fn may_lead(&self, sid: Sid) -> bool {
        self.quorum.weight(sid) != 0 || self.next_quorum.as_ref().is_some_and(|next| next.is_voter(sid) && next.weight(sid) != 0)
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
        let is_for = |other: &Vote| other.leader == vote.leader && other.election_epoch == vote.election_epoch;
        self.backers = self.received.iter().chain(&self.settled).filter(|(_, other)| is_for(other)).map(|(sid, _)| *sid).collect();
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

#[cfg(test)]
mod tests {
    use super::*;
    use PeerState::{Following, Leading, Looking, Observing};

    fn config(text: &str) -> Config {
        Config::parse(text).expect("a configuration")
    }

    fn three() -> Config {
        config("server.1=a:1:2\nserver.2=b:1:2\nserver.3=c:1:2\nserver.9=o:1:2:observer\nversion=5")
    }

    const SOUND: Candidate = Candidate { zxid: 0x1_0000_0005, epoch: 1, in_doubt: false };

    fn notification(state: PeerState, leader: i64, zxid: i64, election_epoch: i64, peer_epoch: i64) -> Notification {
        Notification { state: Some(state), leader: Sid(leader), zxid, election_epoch, peer_epoch, version: 2, config: None }
    }

    fn outputs(election: &mut Election) -> Vec<ElectionOutput> {
        std::iter::from_fn(|| election.poll()).collect()
    }

    /// Who is told what: server, state, leader, zxid, round, epoch.
    fn told(election: &mut Election) -> Vec<(i64, PeerState, i64, i64, i64, i64)> {
        let mut told = Vec::new();
        for output in outputs(election) {
            let ElectionOutput::Send { to, message } = output else { panic!("{output:?}") };
            let read = Notification::decode(&message).expect("our own bytes");
            assert_eq!(read.config.unwrap().unwrap().version, 5);
            told.push((to.0, read.state.unwrap(), read.leader.0, read.zxid, read.election_epoch, read.peer_epoch));
        }
        told
    }

    fn elected(election: &mut Election) -> Option<(PeerState, i64)> {
        outputs(election).into_iter().find_map(|output| match output {
            ElectionOutput::Elected { state, leader, .. } => Some((state, leader.0)),
            _ => None,
        })
    }

    fn looking(me: i64, candidate: Candidate) -> Election {
        let mut election = Election::new(Sid(me), me == 9, ElectionOptions::default(), &three());
        election.start(1000, candidate);
        election
    }

    #[test]
    fn a_better_vote_is_adopted_and_silence_decides() {
        let mut election = looking(1, SOUND);
        let own = (Looking, 1, SOUND.zxid, 1, 1);
        assert_eq!(told(&mut election), [2, 3].map(|to| (to, own.0, own.1, own.2, own.3, own.4)));
        election.notification(1010, Sid(3), notification(Looking, 3, SOUND.zxid, 1, 1));
        assert_eq!(told(&mut election), [2, 3].map(|to| (to, Looking, 3, SOUND.zxid, 1, 1)));
        // Our own vote and theirs are a quorum; now nothing better may come for 200 ms.
        assert_eq!(election.next_timer_ms(), Some(1210));
        election.tick(1209);
        assert_eq!(told(&mut election), []);
        // What is not better begins the wait anew and is not counted.
        election.notification(1209, Sid(2), notification(Looking, 2, SOUND.zxid, 1, 1));
        assert_eq!(election.next_timer_ms(), Some(1409));
        election.tick(1409);
        assert_eq!(elected(&mut election), Some((Following, 3)));
        assert_eq!(election.next_timer_ms(), None);
        assert_eq!((election.state(), election.round()), (Following, 1));
    }

    #[test]
    fn a_better_vote_stops_a_decision() {
        let mut election = looking(1, SOUND);
        election.notification(1010, Sid(2), notification(Looking, 2, SOUND.zxid, 1, 1));
        assert_eq!(election.next_timer_ms(), Some(1210));
        outputs(&mut election);
        election.notification(1100, Sid(3), notification(Looking, 3, SOUND.zxid + 1, 1, 1));
        assert_eq!(told(&mut election), [2, 3].map(|to| (to, Looking, 3, SOUND.zxid + 1, 1, 1)));
        assert_eq!(election.next_timer_ms(), Some(1300));
        election.tick(1300);
        assert_eq!(elected(&mut election), Some((Following, 3)));
    }

    #[test]
    fn who_has_the_better_history_leads() {
        for (zxid, epoch, leads) in [(0, 1, true), (i64::MAX, 0, true), (SOUND.zxid, 1, true), (SOUND.zxid + 1, 1, false), (0, 2, false)] {
            let mut election = looking(3, SOUND);
            election.notification(1000, Sid(1), notification(Looking, 1, zxid, 1, epoch));
            // The other adopts the better one.
            let better = election.vote();
            election.notification(1001, Sid(1), notification(Looking, better.leader.0, better.zxid, 1, better.peer_epoch));
            election.tick(1201);
            let expected = if leads { (Leading, 3) } else { (Following, 1) };
            assert_eq!(elected(&mut election), Some(expected), "{zxid} {epoch}");
        }
    }

    #[test]
    fn rounds_are_merged() {
        let mut election = looking(2, SOUND);
        outputs(&mut election);
        // A later round is joined, with the better of its vote and our own.
        election.notification(1002, Sid(1), notification(Looking, 1, SOUND.zxid, 7, 1));
        assert_eq!(told(&mut election), [1, 3].map(|to| (to, Looking, 2, SOUND.zxid, 7, 1)));
        assert_eq!(election.round(), 7);
        // One of an earlier round is told where we are, and not counted.
        election.notification(1003, Sid(3), notification(Looking, 3, SOUND.zxid + 9, 6, 1));
        assert_eq!(told(&mut election), [(3, Looking, 2, SOUND.zxid, 7, 1)]);
        assert_eq!(election.vote().leader, Sid(2));
        // The next election is a round of its own.
        election.stop();
        election.start(2000, SOUND);
        assert_eq!(election.round(), 8);
    }

    #[test]
    fn a_later_round_forgets_what_was_adopted_before() {
        let five: String = (1..=5).map(|sid| format!("server.{sid}=h{sid}:1:2\n")).collect();
        let mut election = Election::new(Sid(2), false, ElectionOptions::default(), &config(&(five + "version=5")));
        election.start(1000, SOUND);
        election.notification(1001, Sid(5), notification(Looking, 5, SOUND.zxid + 9, 1, 1));
        assert_eq!(election.vote().leader, Sid(5));
        outputs(&mut election);
        election.notification(1002, Sid(1), notification(Looking, 1, SOUND.zxid, 7, 1));
        assert_eq!(told(&mut election), [1, 3, 4, 5].map(|to| (to, Looking, 2, SOUND.zxid, 7, 1)));
        // A better vote of that round is adopted at once.
        election.notification(1003, Sid(4), notification(Looking, 4, SOUND.zxid, 8, 1));
        assert_eq!(told(&mut election), [1, 3, 4, 5].map(|to| (to, Looking, 4, SOUND.zxid, 8, 1)));
    }

    #[test]
    fn waits_double_up_to_the_longest() {
        let mut election = looking(1, SOUND);
        let mut now = 1000;
        let mut waits = Vec::new();
        for _ in 0..11 {
            outputs(&mut election);
            let next = election.next_timer_ms().unwrap();
            waits.push(next - now);
            now = next;
            election.tick(now);
            assert_eq!(told(&mut election).len(), 2);
        }
        assert_eq!(waits, [200, 400, 800, 1600, 3200, 6400, 12800, 25600, 51200, 60000, 60000]);
        // Whatever comes from a voter begins the wait anew; a new round begins with the shortest.
        election.notification(now + 5, Sid(2), notification(Observing, 1, 0, 0, 0));
        assert_eq!(election.next_timer_ms(), Some(now + 5 + 60_000));
        election.start(now + 10, SOUND);
        assert_eq!(election.next_timer_ms(), Some(now + 210));
    }

    #[test]
    fn an_established_ensemble_is_joined_only_if_its_leader_says_so() {
        for (votes, expected) in [
            // (from, state, leader, round, epoch, version)
            (&[(2, Following, 3, 9, 4, 2), (3, Leading, 3, 9, 4, 2)][..], Some((Following, 3))),
            (&[(3, Leading, 3, 9, 4, 2), (2, Following, 3, 9, 4, 2)], Some((Following, 3))),
            // One alone is no quorum.
            (&[(3, Leading, 3, 9, 4, 2)], None),
            // A leader that only others believe in may be gone.
            (&[(2, Following, 3, 9, 4, 2), (3, Following, 3, 9, 4, 2)], None),
            (&[(2, Following, 1, 1, 1, 2), (3, Following, 1, 1, 1, 2)], Some((Leading, 1))),
            // That we lead cannot be true in a round that is not ours.
            (&[(2, Following, 1, 9, 1, 2), (3, Following, 1, 9, 1, 2)], None),
            // Epochs must agree, except with a server that keeps the one from before the election.
            (&[(2, Following, 3, 9, 3, 2), (3, Leading, 3, 9, 4, 2)], None),
            (&[(2, Following, 3, 9, 3, 0), (3, Leading, 3, 9, 4, 2)], Some((Following, 3))),
            (&[(2, Following, 3, 9, 3, 2), (3, Leading, 3, 9, 4, 0)], Some((Following, 3))),
            (&[(2, Following, 3, 9, 3, 0), (3, Leading, 3, 9, 4, 0)], None),
            // In our own round Java forgets the version, and so compares leaders only.
            (&[(2, Following, 3, 1, 3, 2), (3, Leading, 3, 1, 4, 2)], Some((Following, 3))),
            // Rounds of settled servers may differ.
            (&[(2, Following, 3, 8, 4, 2), (3, Leading, 3, 9, 4, 2)], Some((Following, 3))),
            // Observers and strangers have no say, nor is one of them a leader.
            (&[(9, Following, 3, 9, 4, 2), (3, Leading, 3, 9, 4, 2)], None),
            (&[(2, Observing, 3, 9, 4, 2), (3, Leading, 3, 9, 4, 2)], None),
            (&[(2, Following, 9, 9, 4, 2), (3, Following, 9, 9, 4, 2), (9, Leading, 9, 9, 4, 2)], None),
        ] {
            let mut election = looking(1, SOUND);
            for (from, state, leader, round, epoch, version) in votes {
                let vote = Notification { version: *version, ..notification(*state, *leader, SOUND.zxid, *round, *epoch) };
                election.notification(1000, Sid(*from), vote);
            }
            assert_eq!(elected(&mut election), expected, "{votes:?}");
        }
        let mut election = looking(1, SOUND);
        election.notification(1000, Sid(2), notification(Following, 3, 7, 9, 4));
        election.notification(1000, Sid(3), notification(Leading, 3, 8, 9, 4));
        let Some(ElectionOutput::Elected { zxid, peer_epoch, election_epoch, .. }) = outputs(&mut election).pop() else { panic!() };
        assert_eq!((zxid, peer_epoch, election_epoch, election.round()), (8, 4, 9, 9));
    }

    #[test]
    fn who_asks_is_answered_in_every_state() {
        let mut election = looking(1, SOUND);
        outputs(&mut election);
        let ask = |election: &mut Election, from: i64| {
            election.notification(1001, Sid(from), notification(Looking, from, 0, 0, 0));
            told(election)
        };
        // Looking: an observer, a stranger, and a voter of an earlier round learn our vote.
        for from in [9, 77, 2] {
            assert_eq!(ask(&mut election, from), [(from, Looking, 1, SOUND.zxid, 1, 1)]);
        }
        election.notification(1002, Sid(2), notification(Following, 3, 0x1_0000_0009, 4, 1));
        election.notification(1002, Sid(3), notification(Leading, 3, 0x1_0000_0009, 4, 1));
        outputs(&mut election);
        assert_eq!(ask(&mut election, 2), [(2, Following, 3, 0x1_0000_0009, 4, 1)]);
        // Once the leader is established its new epoch is told.
        election.established(2);
        for from in [2, 9, 77] {
            assert_eq!(ask(&mut election, from), [(from, Following, 3, 0x1_0000_0009, 4, 2)]);
        }
        // Others that have decided are not answered, nor is a state that nobody knows.
        for (from, state) in [(2, Some(Following)), (9, Some(Observing)), (77, Some(Following)), (2, None), (77, None)] {
            election.notification(1003, Sid(from), Notification { state, ..notification(Looking, 3, 0, 4, 2) });
            assert_eq!(told(&mut election), []);
        }
    }

    #[test]
    fn a_leader_tells_its_own_vote_with_the_new_epoch() {
        let mut election = looking(3, SOUND);
        election.notification(1000, Sid(1), notification(Looking, 3, SOUND.zxid, 1, 1));
        election.tick(1200);
        assert_eq!(elected(&mut election), Some((Leading, 3)));
        election.established(2);
        election.notification(1300, Sid(2), notification(Looking, 2, 0, 1, 0));
        assert_eq!(told(&mut election), [(2, Leading, 3, SOUND.zxid, 1, 2)]);
    }

    #[test]
    fn when_all_agree_nobody_waits_for_silence() {
        let better = |election: &mut Election, from| election.notification(1000, Sid(from), notification(Looking, 3, SOUND.zxid, 1, 1));
        // All three are there.
        let mut leader = looking(3, SOUND);
        better(&mut leader, 1);
        assert_eq!(leader.state(), Looking);
        better(&mut leader, 2);
        assert_eq!(leader.state(), Leading);
        outputs(&mut leader);
        // One is gone, before or after the other has voted; one that was never there is waited for.
        for early in [true, false] {
            let mut leader = looking(3, SOUND);
            outputs(&mut leader);
            if early {
                leader.set_gone(Sid(2), true);
            }
            better(&mut leader, 1);
            if !early {
                assert_eq!(leader.next_timer_ms(), Some(1200));
                leader.set_gone(Sid(2), true);
            }
            // It leads first, and then says so.
            assert!(matches!(leader.poll(), Some(ElectionOutput::Elected { state: Leading, .. })));
            assert_eq!(told(&mut leader), [1, 2].map(|to| (to, Leading, 3, SOUND.zxid, 1, 1)));
        }
        let mut leader = looking(3, SOUND);
        leader.set_gone(Sid(2), true);
        leader.set_gone(Sid(2), false);
        better(&mut leader, 1);
        assert_eq!(leader.state(), Looking);
        // A quorum is needed all the same.
        let mut alone = looking(3, SOUND);
        alone.set_gone(Sid(1), true);
        alone.set_gone(Sid(2), true);
        assert_eq!(alone.state(), Looking);
        // Who would follow waits, unless the leader says that it leads.
        for (from, state, leader, round, follows) in [
            (3, Looking, 3, 1, false),
            (2, Leading, 3, 1, false),
            (3, Following, 3, 1, false),
            (3, Leading, 3, 2, false),
            (3, Leading, 3, 1, true),
        ] {
            let mut follower = looking(1, SOUND);
            follower.set_gone(Sid(2), true);
            better(&mut follower, 3);
            assert_eq!(follower.next_timer_ms(), Some(1200));
            follower.notification(1001, Sid(from), notification(state, leader, SOUND.zxid, round, 1));
            assert_eq!(follower.state() == Following, follows, "{from} {state} {round}");
        }
    }

    #[test]
    fn the_oracle_of_two_decides_for_one() {
        let two = config("server.1=a:1:2\nserver.2=b:1:2\nserver.9=o:1:2:observer\nversion=5");
        let one_of = |config: &Config, says: Option<bool>| {
            let mut election = Election::new(Sid(1), false, ElectionOptions::default(), config);
            election.set_oracle(says);
            election.start(1000, SOUND);
            election
        };
        // Alone it leads only if the oracle says so, and waits for silence before.
        for (says, leads) in [(Some(true), true), (Some(false), false), (None, false)] {
            let mut election = one_of(&two, says);
            election.tick(1200);
            assert_eq!(elected(&mut election), leads.then_some((Leading, 1)), "{says:?}");
        }
        // The oracle changes its mind.
        let mut election = one_of(&two, Some(false));
        election.tick(1200);
        election.set_oracle(Some(true));
        election.tick(1600);
        assert_eq!(elected(&mut election), Some((Leading, 1)));
        // Without the word it follows the other, which must have it; otherwise one alone is no quorum.
        for (says, state, follows) in
            [(Some(false), Leading, true), (Some(false), Following, false), (None, Leading, false), (Some(true), Leading, true)]
        {
            let mut election = one_of(&two, says);
            outputs(&mut election);
            election.notification(1001, Sid(2), notification(state, 2, SOUND.zxid + 7, 9, 4));
            assert_eq!(elected(&mut election), follows.then_some((Following, 2)), "{says:?} {state}");
        }
        // Of more than two, or with a history in doubt, it decides nothing.
        let mut election = one_of(&three(), Some(true));
        election.tick(1200);
        election.tick(1600);
        assert_eq!(elected(&mut election), None);
        let mut election = Election::new(Sid(1), false, ElectionOptions::default(), &two);
        election.set_oracle(Some(true));
        election.start(1000, Candidate { in_doubt: true, ..SOUND });
        election.tick(1200);
        election.tick(1600);
        assert_eq!(elected(&mut election), None);
    }

    #[test]
    fn who_is_in_doubt_votes_for_nobody_and_joins_only_what_others_have_made() {
        let mut election = looking(3, Candidate { in_doubt: true, ..SOUND });
        assert_eq!(told(&mut election), [1, 2].map(|to| (to, Looking, 3, -1, 1, 1)));
        for from in [1, 2] {
            election.notification(1000, Sid(from), notification(Looking, 2, SOUND.zxid + 1, 5, 1));
        }
        assert_eq!(told(&mut election), []);
        assert_eq!((election.vote().leader, election.round()), (Sid(3), 1));
        // Not even if others say that we lead.
        for from in [1, 2] {
            election.notification(1000, Sid(from), notification(Following, 3, SOUND.zxid, 1, 1));
        }
        assert_eq!(elected(&mut election), None);
        election.notification(1000, Sid(1), notification(Following, 2, SOUND.zxid, 5, 2));
        election.notification(1000, Sid(2), notification(Leading, 2, SOUND.zxid, 5, 2));
        assert_eq!(elected(&mut election), Some((Following, 2)));
        // And others leave it alone.
        let mut other = looking(1, SOUND);
        outputs(&mut other);
        other.notification(1000, Sid(3), notification(Looking, 3, -1, 9, 9));
        assert_eq!((told(&mut other).len(), other.round()), (0, 1));
    }

    #[test]
    fn an_observer_offers_nothing_and_learns_who_leads() {
        let mut election = looking(9, SOUND);
        assert_eq!(told(&mut election), [1, 2, 3].map(|to| (to, Looking, i64::MIN, i64::MIN, 1, i64::MIN)));
        election.notification(1000, Sid(1), notification(Following, 2, SOUND.zxid, 5, 2));
        election.notification(1000, Sid(2), notification(Leading, 2, SOUND.zxid, 5, 2));
        assert_eq!(elected(&mut election), Some((Observing, 2)));
        // It also sees an election end.
        let mut election = looking(9, SOUND);
        for from in [1, 2] {
            election.notification(1000, Sid(from), notification(Looking, 2, SOUND.zxid, 5, 2));
        }
        election.tick(1200);
        assert_eq!(elected(&mut election), Some((Observing, 2)));
    }

    #[test]
    fn both_configurations_must_agree_while_two_are_in_force() {
        let now = three();
        let next = config("server.1=a:1:2\nserver.3=c:1:2\nserver.4=d:1:2\nserver.5=e:1:2\nversion=6");
        for (voters, decides) in [(&[3][..], false), (&[2, 3], false), (&[3, 4], true), (&[4, 5], false), (&[2, 4, 5], true)] {
            let mut election = Election::new(Sid(1), false, ElectionOptions::default(), &now);
            election.set_config(&now, Some(&next));
            election.start(1000, SOUND);
            assert_eq!(told(&mut election).iter().map(|told| told.0).collect::<Vec<_>>(), [2, 3, 4, 5]);
            for from in voters {
                election.notification(1000, Sid(*from), notification(Looking, 1, SOUND.zxid, 1, 1));
            }
            election.tick(1200);
            assert_eq!(elected(&mut election).is_some(), decides, "{voters:?}");
        }
    }

    /// Of two that lose their leader one looks first, and the other does not hear its vote any more in the state in which it
    /// counts.
    #[test]
    fn a_better_vote_answers_a_worse_one_at_once() {
        let mut second = looking(2, SOUND);
        outputs(&mut second);
        second.notification(1000, Sid(1), notification(Looking, 1, SOUND.zxid, 1, 1));
        assert_eq!(told(&mut second), [(1, Looking, 2, SOUND.zxid, 1, 1)]);
        second.notification(1001, Sid(1), notification(Looking, 2, SOUND.zxid, 1, 1));
        assert_eq!(told(&mut second), [], "they agree");
        second.tick(1201);
        assert_eq!(elected(&mut second), Some((Leading, 2)));
    }

    /// Seed 2388 on e5c855e: each answered the other at once, for ever, and neither heard of the leader that there was.
    #[test]
    fn of_two_that_cannot_agree_one_answers() {
        let config = config("server.1=a:1:2\nserver.2=b:1:2\nserver.3=c:1:2\ngroup.1=1:2:3\nweight.3=0\nversion=5");
        for (me, other, answers) in [(3, 1, true), (1, 3, false)] {
            let mut election = Election::new(Sid(me), false, ElectionOptions::default(), &config);
            election.start(1000, SOUND);
            outputs(&mut election);
            election.notification(1000, Sid(other), notification(Looking, other, SOUND.zxid, 1, 1));
            assert_eq!((election.vote().leader, !outputs(&mut election).is_empty()), (Sid(me), answers));
        }
    }

    /// Seed 402192112447 on 5da4849.
    #[test]
    fn whoever_only_the_next_configuration_names_is_joined_in_its_round() {
        let now = config("server.1=a:1:2\nserver.2=b:1:2\nversion=5");
        let next = config("server.1=a:1:2\nserver.5=e:1:2\nversion=6");
        let with_both = |me| {
            let mut election = Election::new(Sid(me), false, ElectionOptions::default(), &now);
            election.set_config(&now, Some(&next));
            election.start(1000, SOUND);
            outputs(&mut election);
            election
        };
        // Server 5 has looked for longer than server 1, which has begun anew; it holds more than that and offers nobody.
        let mut first = with_both(1);
        first.notification(1000, Sid(5), notification(Looking, i64::MIN, SOUND.zxid + 1, 3, 1));
        assert_eq!((first.round(), first.vote().leader), (3, Sid(1)));
        assert_eq!(told(&mut first), [2, 5].map(|to| (to, Looking, 1, SOUND.zxid, 3, 1)));
        // Nor does its voice count for anybody.
        first.notification(1000, Sid(2), notification(Looking, 1, SOUND.zxid, 3, 1));
        first.tick(1200);
        assert_eq!(elected(&mut first), None);
        first.notification(1200, Sid(5), notification(Looking, 1, SOUND.zxid, 3, 1));
        first.tick(1400);
        assert_eq!(elected(&mut first), Some((Leading, 1)));
    }

    #[test]
    fn who_weighs_nothing_is_not_elected() {
        let config = config("server.1=a:1:2\nserver.2=b:1:2\nserver.3=c:1:2\ngroup.1=1:2:3\nweight.3=0\nversion=5");
        let mut election = Election::new(Sid(1), false, ElectionOptions::default(), &config);
        election.start(1000, SOUND);
        election.notification(1000, Sid(3), notification(Looking, 3, SOUND.zxid + 1, 1, 9));
        assert_eq!(election.vote().leader, Sid(1));
        // One and the one without weight are not enough, both that weigh are.
        election.notification(1000, Sid(3), notification(Looking, 1, SOUND.zxid, 1, 1));
        assert_eq!(election.next_timer_ms(), Some(1200));
        election.tick(1200);
        assert_eq!(elected(&mut election), None);
        election.notification(1300, Sid(2), notification(Looking, 1, SOUND.zxid, 1, 1));
        election.tick(1500);
        assert_eq!(elected(&mut election), Some((Leading, 1)));
    }

    /// Seed 9001374 on d4a73b5.
    #[test]
    fn who_weighs_something_in_the_next_configuration_may_be_elected() {
        let now = config("server.1=a:1:2\nserver.2=b:1:2\nserver.3=c:1:2\ngroup.1=1:2:3\nweight.2=0\nversion=5");
        for (next, leader) in [
            (Some("server.1=a:1:2\nserver.2=b:1:2\nserver.3=c:1:2\nserver.6=d:1:2\nversion=6"), 2),
            // There, too, it weighs nothing, or it has no vote.
            (Some("server.1=a:1:2\nserver.2=b:1:2\nserver.3=c:1:2\ngroup.1=1:2:3\nweight.2=0\nweight.3=2\nversion=6"), 1),
            (Some("server.1=a:1:2\nserver.2=b:1:2:observer\nserver.3=c:1:2\nversion=6"), 1),
            (None, 1),
        ] {
            let mut election = Election::new(Sid(1), false, ElectionOptions::default(), &now);
            election.set_config(&now, next.map(config).as_ref());
            election.start(1000, SOUND);
            election.notification(1000, Sid(2), notification(Looking, 2, SOUND.zxid + 1, 1, 1));
            assert_eq!(election.vote().leader, Sid(leader), "{next:?}");
        }
    }

    #[test]
    fn a_newer_configuration_is_offered_while_looking() {
        let offer = |election: &mut Election, version: &str| {
            let text = format!("server.1=a:1:2\nserver.2=b:1:2\nserver.3=c:1:2\nversion={version}");
            let message = encode_notification(Following, Sid(3), 0, 1, 1, &text);
            election.receive(1000, Sid(2), &message).expect("a message");
            outputs(election).into_iter().any(|output| matches!(output, ElectionOutput::NewerConfig { from: Sid(2), .. }))
        };
        let mut election = looking(1, SOUND);
        assert!(!offer(&mut election, "5"));
        assert!(offer(&mut election, "6"));
        election.notification(1002, Sid(3), notification(Leading, 3, 0, 4, 1));
        assert_eq!(election.state(), Following);
        assert!(!offer(&mut election, "7"));
        assert!(election.receive(1000, Sid(2), &[0; 27]).is_err());
    }

    #[test]
    fn what_comes_before_the_start_is_kept_once_for_each_server() {
        let mut election = Election::new(Sid(1), false, ElectionOptions::default(), &three());
        for round in 0..100 {
            election.notification(500, Sid(3), notification(Leading, 3, 0, round, 4));
            election.notification(500, Sid(2), notification(Following, 3, 0, round, 4));
        }
        assert_eq!((election.waiting.len(), outputs(&mut election).len()), (2, 0));
        election.start(1000, SOUND);
        assert_eq!(elected(&mut election), Some((Following, 3)));
        // A role that has ended leaves nothing behind.
        election.stop();
        assert_eq!((election.state(), election.next_timer_ms()), (Looking, None));
        election.start(2000, SOUND);
        assert_eq!(elected(&mut election), None);
    }
}
