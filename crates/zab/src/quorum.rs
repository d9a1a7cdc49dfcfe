//! Which sets of servers decide for the ensemble.

use std::collections::BTreeSet;

/// A server's number in the ensemble (`myid`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sid(pub i64);

/// The rule that says whether a set of servers is a quorum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Quorum {
    /// More than half of the voters.
    Majority(BTreeSet<Sid>),
}

impl Quorum {
    /// The quorum of an ensemble of one.
    pub fn alone(sid: Sid) -> Self {
        Quorum::Majority(BTreeSet::from([sid]))
    }

    /// Whether these servers are enough. Those that have no vote do not count.
    pub fn contains(&self, servers: &BTreeSet<Sid>) -> bool {
        match self {
            Quorum::Majority(voters) => voters.intersection(servers).count() > voters.len() / 2,
        }
    }

    /// Whether the server has a vote.
    pub fn is_voter(&self, sid: Sid) -> bool {
        match self {
            Quorum::Majority(voters) => voters.contains(&sid),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_majority_is_more_than_half_of_the_voters() {
        let set = |sids: &[i64]| sids.iter().map(|s| Sid(*s)).collect::<BTreeSet<_>>();
        for (voters, servers, enough) in [
            (&[1][..], &[][..], false),
            (&[1], &[1], true),
            (&[1], &[2], false),
            (&[1, 2], &[1], false),
            (&[1, 2, 3], &[1, 3], true),
            (&[1, 2, 3], &[1, 4, 5], false),
            (&[1, 2, 3, 4], &[1, 2], false),
        ] {
            assert_eq!(Quorum::Majority(set(voters)).contains(&set(servers)), enough, "{servers:?} of {voters:?}");
        }
    }
}
