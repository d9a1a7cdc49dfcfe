//! Which sets of servers decide for the ensemble.

use oxkeeper_proto::{Mutant, mutant};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// A server's number in the ensemble (`myid`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sid(pub i64);

impl fmt::Display for Sid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// The rule that says whether a set of servers is a quorum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Quorum {
    /// More than half of the voters.
    Majority(BTreeSet<Sid>),
    /// More than half of the groups, each by more than half of its weight.
    Hierarchical(Hierarchy),
}

/// Groups and weights of a hierarchical quorum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hierarchy {
    voters: BTreeSet<Sid>,
    /// The members of each group that counts: its weight is not 0.
    groups: Vec<BTreeMap<Sid, i64>>,
    weights: BTreeMap<Sid, i64>,
}

impl Hierarchy {
    /// Builds the rule. A server in a group that has no weight given weighs nothing. Who does not vote may
    /// have weight in its group: it makes the group harder to win and never helps, as in Java.
    pub fn new(voters: BTreeSet<Sid>, groups: &[(i64, Vec<Sid>)], weights: &BTreeMap<Sid, i64>) -> Self {
        let groups = groups
            .iter()
            .map(|(_, members)| members.iter().map(|sid| (*sid, weights.get(sid).copied().unwrap_or(0))).collect())
            .filter(|group: &BTreeMap<Sid, i64>| total(group.values()) != 0)
            .collect();
        Self { voters, groups, weights: weights.clone() }
    }

    fn is_reached(&self, in_favour: impl Fn(Sid) -> bool) -> bool {
        if mutant::is(Mutant::WeightsIgnored) {
            return self.voters.iter().filter(|sid| in_favour(**sid)).count() > self.voters.len() / 2;
        }
        let won = self.groups.iter().filter(|group| {
            let weight = total(group.iter().filter(|(sid, _)| self.voters.contains(sid) && in_favour(**sid)).map(|(_, weight)| weight));
            weight > total(group.values()) / 2
        });
        won.count() > self.groups.len() / 2
    }
}

/// Weights are a file's numbers: their sum must not overflow.
fn total<'a>(weights: impl Iterator<Item = &'a i64>) -> i128 {
    weights.map(|weight| i128::from(*weight)).sum()
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
            Quorum::Hierarchical(hierarchy) => hierarchy.is_reached(in_favour),
        }
    }

    /// Whether the server has a vote.
    pub fn is_voter(&self, sid: Sid) -> bool {
        self.voters().contains(&sid)
    }

    /// Who has a vote.
    pub fn voters(&self) -> &BTreeSet<Sid> {
        match self {
            Quorum::Majority(voters) => voters,
            Quorum::Hierarchical(hierarchy) => &hierarchy.voters,
        }
    }

    /// What a server weighs: who weighs nothing cannot be elected. In a majority everybody weighs 1.
    pub fn weight(&self, sid: Sid) -> i64 {
        match self {
            Quorum::Majority(_) => 1,
            Quorum::Hierarchical(hierarchy) => hierarchy.weights.get(&sid).copied().unwrap_or(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sids(numbers: &[i64]) -> BTreeSet<Sid> {
        numbers.iter().map(|sid| Sid(*sid)).collect()
    }

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
            let quorum = Quorum::Majority(sids(voters));
            assert_eq!(quorum.is_reached(|sid| servers.contains(&sid.0)), enough, "{servers:?} of {voters:?}");
        }
    }

    #[test]
    fn groups_win_by_weight_and_the_ensemble_by_groups() {
        let groups: Vec<(i64, Vec<Sid>)> =
            [(1, [1, 2, 3]), (2, [4, 5, 6]), (3, [7, 8, 9])].map(|(group, members)| (group, members.map(Sid).to_vec())).into();
        let all: Vec<i64> = (1..=9).collect();
        let rule = |voters: &[i64], weights: &[(i64, i64)]| {
            let mut all: BTreeMap<Sid, i64> = (1..=9).map(|sid| (Sid(sid), 1)).collect();
            all.extend(weights.iter().map(|(sid, weight)| (Sid(*sid), *weight)));
            Quorum::Hierarchical(Hierarchy::new(sids(voters), &groups, &all))
        };
        for (voters, weights, servers, enough) in [
            (&all[..], &[][..], &[1, 2, 4, 5][..], true),
            (&all, &[], &[1, 2, 4], false),
            (&all, &[], &[1, 4, 7], false),
            (&all, &[], &[], false),
            // A heavy server decides for its group.
            (&all, &[(1, 3), (4, 3)], &[1, 4], true),
            // Groups that weigh nothing do not count: one of the two that are left is not enough.
            (&all, &[(7, 0), (8, 0), (9, 0)], &[1, 2, 7, 8, 9], false),
            (&all, &[(7, 0), (8, 0), (9, 0), (4, 0), (5, 0), (6, 0)], &[1, 2], true),
            // Who does not vote helps nobody, and its weight is still in the way.
            (&[1, 2, 4, 5, 6, 7, 8, 9], &[], &[1, 3, 4, 5], false),
            (&[1, 2, 4, 5, 6, 7, 8, 9], &[(3, i64::MAX), (2, i64::MAX)], &[1, 2, 4, 5], true),
        ] {
            let quorum = rule(voters, weights);
            assert_eq!(quorum.is_reached(|sid| servers.contains(&sid.0)), enough, "{servers:?} with {weights:?}");
        }
        assert_eq!(rule(&all, &[(4, 0)]).weight(Sid(4)), 0);
        assert_eq!(rule(&all, &[(4, 0)]).weight(Sid(i64::MIN)), 0);
        assert!(!rule(&[1], &[]).is_voter(Sid(2)));
    }
}
