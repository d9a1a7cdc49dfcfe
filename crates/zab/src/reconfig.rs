//! A change of the ensemble that a client asks for: the configuration that it makes, or why it is refused.
//!
//! Whether the change may be proposed at this moment, and by whom, is for [`crate::Peer::plan`] and the access list of
//! `/zookeeper/config`.

use crate::config::{Config, ConfigError, HostPort, Member};
use crate::quorum::Sid;
use core::net::IpAddr;
use log::warn;

/// What the client asks for: either whole new `members`, or servers that join and leave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Change<'a> {
    /// `server.N=...`, separated by commas; one that is a member already is changed.
    pub joining: Option<&'a str>,
    /// Numbers, separated by commas.
    pub leaving: Option<&'a str>,
    /// A whole configuration, its lines separated by commas or newlines. The others do not count then.
    pub members: Option<&'a str>,
    /// The version that the client has seen; -1 if it does not matter.
    pub from_version: i64,
}

/// Why a change is not proposed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is no ensemble.
    Standalone,
    /// Another change was proposed and is not committed.
    InProgress,
    /// The ensemble is not the one that the client has seen.
    OtherVersion,
    /// What it says makes no ensemble.
    BadArguments,
    /// What it says stops the preparation of a Java leader half-way.
    Unreadable,
    /// The new ensemble has no quorum among those that follow the leader.
    NoQuorum,
}

/// What the leader's own configuration has to say about it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    pub standalone_enabled: bool,
    pub multi_address_enabled: bool,
}

/// The configuration that a change makes of another one, still with that one's version.
pub(crate) fn changed(from: &Config, change: &Change<'_>, rules: Rules) -> Result<Config, Refusal> {
    if change.from_version != -1 && change.from_version != from.version.cast_signed() {
        return Err(Refusal::OtherVersion);
    }
    let config = match change.members {
        Some(members) => replaced(members, rules)?,
        None => adjusted(from, change, rules)?,
    };
    let least = if rules.standalone_enabled { 2 } else { 1 };
    match config.voters().count() < least {
        true => refuse(&format!("the new configuration must have at least {least} participants")),
        false => Ok(config),
    }
}

fn replaced(members: &str, rules: Rules) -> Result<Config, Refusal> {
    let config = Config::parse(&members.replace(',', "\n")).or_else(wrong)?;
    for (sid, member) in &config.members {
        permit(*sid, member, rules)?;
    }
    // Java's check of a file at a start, whose refusals it does not expect here.
    let (voters, observers) = (config.voters().count(), config.observers().count());
    let is_impossible = match voters {
        0 => !rules.standalone_enabled || observers > 0,
        1 => rules.standalone_enabled && observers > 0,
        _ => false,
    };
    if is_impossible { Err(Refusal::Unreadable) } else { Ok(config) }
}

fn adjusted(from: &Config, change: &Change<'_>, rules: Rules) -> Result<Config, Refusal> {
    if from.is_hierarchical() {
        return refuse("an ensemble with groups can only be replaced as a whole");
    }
    let mut config = from.clone();
    for sid in change.leaving.into_iter().flat_map(words) {
        config.members.remove(&Sid(sid.parse().map_err(|_| Refusal::Unreadable)?));
    }
    for joiner in change.joining.into_iter().flat_map(words) {
        let (sid, member) = joining(joiner, rules)?;
        if let Some((other, _)) = config.members.iter().find(|(other, there)| **other != sid && collides(&member, there)) {
            return refuse(&format!("server {sid} has an address of server {other}"));
        }
        config.members.insert(sid, member);
    }
    Ok(config)
}

fn joining(joiner: &str, rules: Rules) -> Result<(Sid, Member), Refusal> {
    let parts: Vec<&str> = joiner.split('=').map(str::trim).filter(|part| !part.is_empty()).collect();
    let [name, value] = parts[..] else {
        return refuse(&format!("{joiner} is not of the form server.N=..."));
    };
    let number = name.rsplit_once('.').map_or(name, |(_, number)| number);
    let sid = Sid(number.parse().map_err(|_| Refusal::Unreadable)?);
    let member = Member::parse(sid, value).or_else(wrong)?;
    permit(sid, &member, rules)?;
    if member.client.is_none() {
        return refuse(&format!("server {sid}: a server that joins must name its port for clients"));
    }
    Ok((sid, member))
}

/// What a line may say and this ensemble cannot do.
fn permit(sid: Sid, member: &Member, rules: Rules) -> Result<(), Refusal> {
    if !rules.multi_address_enabled && member.addresses.len() > 1 {
        return refuse(&format!("server {sid}: several addresses need multiAddress.enabled=true"));
    }
    if member.secure_client.is_some() {
        return refuse(&format!("server {sid}: a port for clients with TLS is not for an ensemble of this version"));
    }
    Ok(())
}

fn wrong<T>(error: ConfigError) -> Result<T, Refusal> {
    if error.is_unchecked { Err(Refusal::Unreadable) } else { refuse(&error.message) }
}

/// Whether both would listen in one place. Addresses that every machine has say nothing.
fn collides(one: &Member, other: &Member) -> bool {
    let taken: Vec<HostPort> = places(other).into_iter().filter(|place| !is_everywhere(&place.host)).collect();
    places(one).iter().any(|place| taken.contains(place))
}

fn places(member: &Member) -> Vec<HostPort> {
    let peers = member.addresses.iter().flat_map(|address| [address.quorum(), address.election()]);
    peers.chain(member.client.clone()).collect()
}

fn is_everywhere(host: &str) -> bool {
    host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback() || address.is_unspecified())
}

/// As Java splits: blanks around a word do not belong to it, and an empty one is none.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|word| !word.is_empty())
}

fn refuse<T>(why: &str) -> Result<T, Refusal> {
    warn!("A reconfiguration is refused: {why}");
    Err(Refusal::BadArguments)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FROM: &str = "server.1=10.0.0.1:1:2:participant;10.0.0.1:3\nserver.2=10.0.0.2:1:2:participant\nversion=5";

    fn change<'a>(joining: &'a str, leaving: &'a str) -> Change<'a> {
        Change { joining: Some(joining).filter(|text| !text.is_empty()), leaving: Some(leaving), members: None, from_version: -1 }
    }

    #[test]
    fn servers_join_leave_and_change() {
        let rules = Rules { standalone_enabled: false, multi_address_enabled: false };
        let from = Config::parse(FROM).unwrap();
        for (change, expected) in [
            (Change { from_version: -1, ..Change::default() }, Ok(vec![1, 2])),
            (Change { from_version: 5, ..Change::default() }, Ok(vec![1, 2])),
            (Change { from_version: 4, ..Change::default() }, Err(Refusal::OtherVersion)),
            (change("", "2"), Ok(vec![1])),
            (change("", " 2 ,9,,"), Ok(vec![1])),
            (change("", "1,2"), Err(Refusal::BadArguments)),
            (change("", "x"), Err(Refusal::Unreadable)),
            (change("server.3=10.0.0.3:1:2;3 , server.4=10.0.0.4:1:2:observer;3", "1"), Ok(vec![2, 3])),
            (change("anything.3 = h:1:2;3", ""), Ok(vec![1, 2, 3])),
            (change("server.3=h:1:2;3=", ""), Ok(vec![1, 2, 3])),
            (change("server.3=h:1:2", ""), Err(Refusal::BadArguments)),
            (change("server.3", ""), Err(Refusal::BadArguments)),
            (change("server.x=h:1:2;3", ""), Err(Refusal::Unreadable)),
            (change("server.3=h:1:1;3", ""), Err(Refusal::BadArguments)),
            (change("server.3=h:1:70000;3", ""), Err(Refusal::Unreadable)),
            (change("server.3=h:1:a;3", ""), Err(Refusal::BadArguments)),
            (change("server.3=h:1:2;3;4", ""), Err(Refusal::BadArguments)),
            (change("server.3=h:1:2;;4", ""), Err(Refusal::BadArguments)),
            (change("server.3=h:1:2|i:1:2;3", ""), Err(Refusal::BadArguments)),
            // Its client port is the election port of server 1, and then that one has gone.
            (change("server.3=h:1:2;10.0.0.1:2", ""), Err(Refusal::BadArguments)),
            (change("server.3=h:1:2;10.0.0.1:2", "1"), Ok(vec![2, 3])),
            (change("server.1=10.0.0.1:1:2:observer;3", ""), Ok(vec![2])),
            (change("server.3=127.0.0.1:1:2;3,server.4=127.0.0.1:1:2;3", ""), Ok(vec![1, 2, 3, 4])),
        ] {
            let voters = changed(&from, &change, rules).map(|config| config.voters().map(|sid| sid.0).collect());
            assert_eq!(voters, expected, "{change:?}");
        }
    }

    #[test]
    fn an_ensemble_is_replaced_as_a_whole() {
        let two = "server.1=h:1:2,server.2=i:1:2";
        for (members, standalone_enabled, expected) in [
            (two, true, Ok(2)),
            ("server.1=h:1:2\nserver.2=i:1:2:observer\nserver.3=j:1:2", true, Ok(2)),
            ("server.1=h:1:2,server.2=i:1:2,group.1=1:2,weight.1=1", true, Ok(2)),
            ("server.1=h:1:2,server.2=i:1:2,group.1=1", true, Err(Refusal::BadArguments)),
            ("server.1=h:1:2,server.2=i:1:2,group.1=1:2:3", true, Err(Refusal::Unreadable)),
            ("server.1=h:1:2,server.2=i:1:2,group.1=1:2:3,weight.3=1", true, Ok(2)),
            ("server.1=h:1:2,colour=red", true, Err(Refusal::BadArguments)),
            ("server.1=h:1:2,server.x=i:1:2", true, Err(Refusal::Unreadable)),
            ("", true, Err(Refusal::BadArguments)),
            ("", false, Err(Refusal::Unreadable)),
            ("server.1=h:1:2", true, Err(Refusal::BadArguments)),
            ("server.1=h:1:2", false, Ok(1)),
            ("server.1=h:1:2,server.2=i:1:2:observer", true, Err(Refusal::Unreadable)),
            ("server.1=h:1:2:observer,server.2=i:1:2:observer", true, Err(Refusal::Unreadable)),
        ] {
            let rules = Rules { standalone_enabled, multi_address_enabled: false };
            let change = Change { members: Some(members), joining: Some("nonsense"), leaving: Some("x"), from_version: -1 };
            let voters = changed(&Config::parse(FROM).unwrap(), &change, rules).map(|config| config.voters().count());
            assert_eq!(voters, expected, "{members} {standalone_enabled}");
        }
        let groups = Config::parse("server.1=h:1:2\nserver.2=i:1:2\ngroup.1=1:2\nversion=1").unwrap();
        let rules = Rules { standalone_enabled: true, multi_address_enabled: false };
        assert_eq!(changed(&groups, &change("", "9"), rules), Err(Refusal::BadArguments));
    }
}
