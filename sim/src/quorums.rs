//! The rule of quorums once more, from the configuration and nothing else of `zab`; and groups and weights that a run draws.

use crate::random::Random;
use oxkeeper_zab::{Config, Sid};
use std::collections::BTreeMap;

/// Whether those that are in favour decide: more than half of the voters, or, where there are groups, more than half of
/// the groups that weigh something, each by more than half of its weight.
pub fn decide(config: &Config, in_favour: impl Fn(Sid) -> bool) -> bool {
    let for_it = |sid: &Sid| config.is_voter(*sid) && in_favour(*sid);
    if config.groups.is_empty() {
        return 2 * config.voters().filter(for_it).count() > config.voters().count();
    }
    let (mut groups, mut won) = (0, 0);
    for (_, members) in &config.groups {
        let weight_of = |sid: &Sid| config.weights.get(sid).copied().unwrap_or(0);
        let weight: i64 = members.iter().map(weight_of).sum();
        let in_favour: i64 = members.iter().filter(|sid| for_it(sid)).map(weight_of).sum();
        groups += i32::from(weight > 0);
        won += i32::from(2 * in_favour > weight);
    }
    2 * won > groups
}

/// Whether the others decide without any one of the voters.
pub fn any_can_be_spared(config: &Config) -> bool {
    config.voters().all(|sid| decide(config, |other| other != sid))
}

/// The same members in groups, with weights; some weigh nothing, but not all.
pub fn in_groups(config: &Config, random: &mut Random) -> Config {
    loop {
        let count = 1 + random.below(3);
        let mut groups: BTreeMap<u64, Vec<Sid>> = BTreeMap::new();
        let mut config = Config { groups: Vec::new(), weights: BTreeMap::new(), ..config.clone() };
        for sid in config.voters().collect::<Vec<_>>() {
            groups.entry(1 + random.below(count)).or_default().push(sid);
            config.weights.insert(sid, [0, 1, 1, 1, 2, 3][random.below(6) as usize]);
        }
        config.groups = groups.into_iter().map(|(group, members)| (group as i64, members)).collect();
        if config.weights.values().any(|weight| *weight > 0) {
            // Each in the order that the text gives it.
            return Config::parse(&config.to_text()).expect("voters in groups");
        }
    }
}

/// The lines that make such a configuration, as a client gives them.
pub fn lines(config: &Config) -> String {
    let text = config.to_text();
    text.lines().filter(|line| !line.starts_with("version=")).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_and_weights_decide_where_there_are_groups() {
        let members: String = (1..=5).map(|sid| format!("server.{sid}=h:1:2\n")).collect();
        for (groups, servers, enough) in [
            ("", &[1, 2][..], false),
            ("", &[1, 2, 3], true),
            ("group.1=1:2:3\ngroup.2=4:5", &[1, 2, 3, 4], false),
            ("group.1=1:2:3\ngroup.2=4:5", &[1, 2, 4, 5], true),
            ("group.1=1:2:3\ngroup.2=4:5\nweight.1=3", &[1, 4, 5], true),
            ("group.1=1:2:3\ngroup.2=4:5\nweight.4=0\nweight.5=0", &[1, 2], true),
            ("group.1=1:2:3\ngroup.2=4:5\nweight.4=0\nweight.5=0", &[3, 4, 5], false),
        ] {
            let config = Config::parse(&format!("{members}{groups}")).unwrap();
            assert_eq!(decide(&config, |sid| servers.contains(&sid.0)), enough, "{groups} {servers:?}");
        }
    }

    #[test]
    fn whoever_is_needed_cannot_be_spared() {
        for (text, can_be) in [
            ("server.1=h:1:2\nserver.2=h:1:2\nserver.3=h:1:2", true),
            ("server.1=h:1:2\nserver.2=h:1:2", false),
            ("server.1=h:1:2\nserver.2=h:1:2\nserver.3=h:1:2\ngroup.1=1:2:3\nweight.3=2", false),
        ] {
            assert_eq!(any_can_be_spared(&Config::parse(text).unwrap()), can_be, "{text}");
        }
    }
}
