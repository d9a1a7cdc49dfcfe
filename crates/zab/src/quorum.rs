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

    /// Whether the voters that are `in_favour` are enough.
    pub fn is_reached(&self, in_favour: impl Fn(Sid) -> bool) -> bool {
        match self {
            Quorum::Majority(voters) => voters.iter().filter(|sid| in_favour(**sid)).count() > voters.len() / 2,
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
        for (voters, servers, enough) in [
            (&[1][..], &[][..], false),
            (&[1], &[1], true),
            (&[1], &[2], false),
            (&[1, 2], &[1], false),
            (&[1, 2, 3], &[1, 3], true),
            (&[1, 2, 3], &[1, 4, 5], false),
            (&[1, 2, 3, 4], &[1, 2], false),
        ] {
            let quorum = Quorum::Majority(voters.iter().map(|sid| Sid(*sid)).collect());
            assert_eq!(quorum.is_reached(|sid| servers.contains(&sid.0)), enough, "{servers:?} of {voters:?}");
        }
    }
}
