//! Placeholder until the branch `election` brings the real one.

use crate::quorum::{Quorum, Sid};
use std::collections::BTreeMap;

/// What a member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberRole {
    /// Votes.
    Participant,
    /// Does not vote.
    Observer,
}

/// A member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// What it is.
    pub role: MemberRole,
}

/// The members of the ensemble.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Its version.
    pub version: u64,
    /// The members.
    pub members: BTreeMap<Sid, Member>,
}

impl Config {
    /// One.
    pub fn alone(sid: Sid) -> Self {
        Self { version: 0, members: BTreeMap::from([(sid, Member { role: MemberRole::Participant })]) }
    }

    /// The rule.
    pub fn quorum(&self) -> Quorum {
        Quorum::Majority(self.members.iter().filter(|(_, m)| m.role == MemberRole::Participant).map(|(s, _)| *s).collect())
    }

    /// Whether it votes.
    pub fn is_voter(&self, sid: Sid) -> bool {
        self.quorum().is_voter(sid)
    }

    /// As text.
    pub fn to_text(&self) -> String {
        String::new()
    }
}
