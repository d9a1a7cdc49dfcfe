//! Votes: who is proposed as leader, how votes are ordered, and which of them count as equal.

use crate::quorum::Sid;
use std::fmt;

/// What a server says it is doing; the number on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(i32)]
pub enum PeerState {
    /// It looks for a leader.
    Looking = 0,
    /// It follows one.
    Following = 1,
    /// It leads.
    Leading = 2,
    /// It follows one without having a vote.
    Observing = 3,
}

impl PeerState {
    /// The state with this number on the wire.
    pub fn from_wire(number: i32) -> Option<Self> {
        [PeerState::Looking, PeerState::Following, PeerState::Leading, PeerState::Observing]
            .into_iter()
            .find(|state| *state as i32 == number)
    }
}

/// As Java writes it in its log.
impl fmt::Display for PeerState {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            PeerState::Looking => "LOOKING",
            PeerState::Following => "FOLLOWING",
            PeerState::Leading => "LEADING",
            PeerState::Observing => "OBSERVING",
        })
    }
}

/// A vote.
#[derive(Clone, Copy, Debug)]
pub struct Vote {
    /// The proposed leader; `i64::MIN` is nobody.
    pub leader: Sid,
    /// The last zxid of the proposed leader; -1 if its history is in doubt, `i64::MIN` for an observer's own.
    pub zxid: i64,
    /// The round of the election in which the vote was given.
    pub election_epoch: i64,
    /// The epoch of the proposed leader.
    pub peer_epoch: i64,
    /// What the voter was doing.
    pub state: PeerState,
    /// The version of the notification that brought the vote; 0 where Java does not keep it.
    pub version: i32,
}

impl Vote {
    /// Whether both are for the same leader, by Java's `Vote.equals`. As long as one of the voters looks for a
    /// leader, everything has to be equal. What settled servers say of zxid and round may differ, and a server
    /// before 3.4.6 (version 0) keeps the epoch from before the election.
    pub fn agrees_with(&self, other: &Vote) -> bool {
        if self.state == PeerState::Looking || other.state == PeerState::Looking {
            return self.rank() == other.rank() && self.election_epoch == other.election_epoch;
        }
        self.leader == other.leader && ((self.version > 0) != (other.version > 0) || self.peer_epoch == other.peer_epoch)
    }

    /// The order of votes: epoch, then zxid, then server.
    pub fn rank(&self) -> (i64, i64, Sid) {
        (self.peer_epoch, self.zxid, self.leader)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use PeerState::{Following, Leading, Looking};

    #[test]
    fn votes_of_those_who_look_agree_wholly_and_of_others_by_leader_and_epoch() {
        let vote = |leader, zxid, election_epoch, peer_epoch, state, version| Vote {
            leader: Sid(leader),
            zxid,
            election_epoch,
            peer_epoch,
            state,
            version,
        };
        let base = vote(3, 10, 1, 5, Looking, 0);
        for (one, other, agree) in [
            (base, base, true),
            (base, vote(3, 10, 1, 5, Following, 2), true),
            (base, vote(2, 10, 1, 5, Looking, 0), false),
            (base, vote(3, 11, 1, 5, Looking, 0), false),
            (base, vote(3, 10, 2, 5, Following, 0), false),
            (base, vote(3, 10, 1, 6, Leading, 0), false),
            (vote(3, 10, 1, 5, Following, 2), vote(3, 99, 9, 5, Leading, 2), true),
            (vote(3, 10, 1, 5, Following, 0), vote(3, 99, 9, 5, Leading, 0), true),
            (vote(3, 10, 1, 5, Following, 2), vote(3, 10, 1, 6, Leading, 2), false),
            // One of them does not keep its epoch: the leader has to do.
            (vote(3, 10, 1, 5, Following, 2), vote(3, 10, 1, 6, Leading, 0), true),
            (vote(3, 10, 1, 5, Following, 2), vote(2, 10, 1, 5, Leading, 0), false),
        ] {
            assert_eq!((one.agrees_with(&other), other.agrees_with(&one)), (agree, agree), "{one:?} {other:?}");
        }
        assert!(vote(1, 0, 0, 1, Looking, 0).rank() > vote(3, 99, 9, 0, Looking, 0).rank());
        assert!(vote(3, 1, 0, 1, Looking, 0).rank() > vote(1, 1, 9, 1, Looking, 0).rank());
        assert!(vote(1, 0, 0, 0, Looking, 0).rank() > vote(3, i64::MIN, 9, 0, Looking, 0).rank());
    }
}
