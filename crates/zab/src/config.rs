//! The configuration of an ensemble: who is in it, in which role, on which addresses, and its text as it
//! stands in notifications, in NEWLEADER, in `/zookeeper/config` and in dynamic configuration files.
//!
//! The text must be Java's to the byte: order of its hash tables, addresses as it prints them. Which file
//! the text is from, and whether this server can keep to it, is for others to say.

use crate::quorum::{Hierarchy, Quorum, Sid};
use core::net::{Ipv4Addr, Ipv6Addr};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Members, groups and weights of an ensemble.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The zxid of the reconfiguration that made it; 0 if it is from a file without one.
    pub version: u64,
    /// The servers.
    pub members: BTreeMap<Sid, Member>,
    /// Groups of a hierarchical quorum, by number and without one in two of them; empty for a majority.
    pub groups: Vec<(i64, Vec<Sid>)>,
    /// Weights of a hierarchical quorum; every participant has one.
    pub weights: BTreeMap<Sid, i64>,
}

/// One server of the ensemble.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Where it is reached by other servers, at least one; in the order of the text.
    pub addresses: Vec<MemberAddress>,
    /// Whether it votes.
    pub role: MemberRole,
    /// Where it takes clients, if the configuration says so.
    pub client: Option<HostPort>,
    /// Where it takes clients with TLS (ZooKeeper 3.10).
    pub secure_client: Option<HostPort>,
}

/// One of a server's addresses.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberAddress {
    /// Name or address, without brackets.
    pub host: String,
    /// Where it listens for learners while it leads.
    pub quorum_port: u16,
    /// Where it listens for votes.
    pub election_port: u16,
}

/// Whether a member votes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MemberRole {
    /// It votes.
    Participant,
    /// It follows without a vote.
    Observer,
}

/// A host, without brackets, and a port; `Display` puts brackets where they belong.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostPort {
    /// Name or address.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// What is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// In words.
    pub message: String,
    /// A Java server takes it for a bug of its own and not for a bad argument: a number that is none, a server without weight.
    pub is_unchecked: bool,
}

impl ConfigError {
    fn new(message: String) -> Self {
        Self { message, is_unchecked: false }
    }

    fn unchecked(message: String) -> Self {
        Self { message, is_unchecked: true }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for ConfigError {}

impl fmt::Display for HostPort {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", bracketed(&self.host), self.port)
    }
}

impl MemberAddress {
    /// Where it listens for votes.
    pub fn election(&self) -> HostPort {
        HostPort { host: self.host.clone(), port: self.election_port }
    }

    /// Where it listens for learners.
    pub fn quorum(&self) -> HostPort {
        HostPort { host: self.host.clone(), port: self.quorum_port }
    }
}

impl Config {
    /// A majority of these members, version 0.
    pub fn majority(members: BTreeMap<Sid, Member>) -> Self {
        Self { version: 0, members, groups: Vec::new(), weights: BTreeMap::new() }
    }

    /// Reads the text that [`Self::to_text`] writes, or one that a user gives to `reconfig`: lines `key=value`
    /// as in a properties file, without continuation lines.
    ///
    /// # Errors
    /// A key that is not `server.N`, `group.N`, `weight.N` or `version`, or a value that Java would refuse. As
    /// in Java nobody has to vote, or to be in it at all.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let mut entries: BTreeMap<&str, &str> = BTreeMap::new();
        for line in text.split(['\n', '\r']) {
            if let Some((key, value)) = property(line)? {
                entries.insert(key, value);
            }
        }
        Self::from_entries(entries)
    }

    /// Puts together the keys `server.N`, `group.N`, `weight.N` and `version` (hexadecimal) with their values.
    /// Of equal keys the last one counts.
    ///
    /// # Errors
    /// Those of [`Self::parse`].
    pub fn from_entries<'a>(entries: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, ConfigError> {
        let mut config = Self::majority(BTreeMap::new());
        let mut groups: BTreeMap<i64, Vec<Sid>> = BTreeMap::new();
        for (key, value) in entries {
            if let Some(number) = key.strip_prefix("server.") {
                let sid = Sid(number_of(key, number)?);
                config.members.insert(sid, Member::parse(sid, value)?);
            } else if key.starts_with("group") {
                let members = split(value, ':').into_iter().map(|sid| number_of(key, sid).map(Sid)).collect::<Result<_, _>>()?;
                groups.insert(number_of(key, behind_dot(key))?, members);
            } else if key.starts_with("weight") {
                config.weights.insert(Sid(number_of(key, behind_dot(key))?), number_of(key, value)?);
            } else if key == "version" {
                config.version = i64::from_str_radix(value, 16)
                    .ok()
                    .and_then(|version| u64::try_from(version).ok())
                    .ok_or_else(|| ConfigError::unchecked(format!("version={value} is not a hexadecimal number")))?;
            } else {
                return Err(ConfigError::new(format!("Unrecognised parameter: {key}")));
            }
        }
        if groups.is_empty() && config.weights.is_empty() {
            return Ok(config);
        }
        config.group(groups)
    }

    fn group(mut self, groups: BTreeMap<i64, Vec<Sid>>) -> Result<Self, ConfigError> {
        let mut grouped = BTreeSet::new();
        if let Some(twice) = groups.values().flatten().find(|sid| !grouped.insert(**sid)) {
            return Err(ConfigError::new(format!("Server {twice} is in multiple groups")));
        }
        for (sid, member) in &self.members {
            if member.role == MemberRole::Participant {
                if !grouped.contains(sid) {
                    return Err(ConfigError::new(format!("Server {sid} is not in a group")));
                }
                self.weights.entry(*sid).or_insert(1);
            }
        }
        if let Some(sid) = grouped.iter().find(|sid| !self.weights.contains_key(sid)) {
            return Err(ConfigError::unchecked(format!("Server {sid} is in a group, but is no participant and has no weight")));
        }
        // In Java a server's group is kept in a table by server, so each group's text is in that table's order.
        let written: Vec<i64> = groups.values().flatten().map(|sid| sid.0).collect();
        let order = hash_map_order(written.iter().copied(), |sid| written.iter().position(|other| other == sid).unwrap_or(0));
        self.groups = groups
            .into_iter()
            .map(|(number, members)| (number, order.iter().map(|sid| Sid(*sid)).filter(|sid| members.contains(sid)).collect()))
            .collect();
        let numbers = hash_map_order(self.groups.iter().map(|(number, _)| *number), |_| 0);
        self.groups.sort_by_key(|(number, _)| numbers.iter().position(|other| other == number));
        Ok(self)
    }

    /// The text, without a newline at its end.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        let keys = self.members.len() + self.groups.len() + self.weights.len() + 1;
        let by_key = |sid: &i64| properties_bucket(&format!("server.{sid}"), keys);
        for sid in hash_map_order(self.members.keys().map(|sid| sid.0), by_key) {
            text.push_str(&format!("server.{sid}={}\n", self.members[&Sid(sid)]));
        }
        for (group, members) in &self.groups {
            let members: Vec<String> = members.iter().map(Sid::to_string).collect();
            text.push_str(&format!("group.{group}={}\n", members.join(":")));
        }
        if self.is_hierarchical() {
            let by_key = |sid: &i64| properties_bucket(&format!("weight.{sid}"), keys);
            for sid in hash_map_order(self.weights.keys().map(|sid| sid.0), by_key) {
                text.push_str(&format!("weight.{sid}={}\n", self.weights[&Sid(sid)]));
            }
        }
        text.push_str(&format!("version={:x}", self.version));
        text
    }

    /// Whether votes are counted by groups and weights.
    pub fn is_hierarchical(&self) -> bool {
        !self.groups.is_empty()
    }

    /// The rule for votes.
    pub fn quorum(&self) -> Quorum {
        let voters = self.voters().collect();
        if self.is_hierarchical() {
            Quorum::Hierarchical(Hierarchy::new(voters, &self.groups, &self.weights))
        } else {
            Quorum::Majority(voters)
        }
    }

    /// Whether the server has a vote.
    pub fn is_voter(&self, sid: Sid) -> bool {
        self.members.get(&sid).is_some_and(|member| member.role == MemberRole::Participant)
    }

    /// Who has a vote.
    pub fn voters(&self) -> impl Iterator<Item = Sid> + '_ {
        self.members.iter().filter(|(_, member)| member.role == MemberRole::Participant).map(|(sid, _)| *sid)
    }

    /// Who follows without a vote.
    pub fn observers(&self) -> impl Iterator<Item = Sid> + '_ {
        self.members.iter().filter(|(_, member)| member.role == MemberRole::Observer).map(|(sid, _)| *sid)
    }

    /// Whether both name the same ensemble: Java compares versions, and looks at the rest only if these differ.
    pub fn is_same(&self, other: &Config) -> bool {
        self.version == other.version
            || (self.members == other.members && self.groups == other.groups && (!self.is_hierarchical() || self.weights == other.weights))
    }
}

impl Member {
    /// A participant with one address.
    pub fn participant(host: &str, quorum_port: u16, election_port: u16) -> Self {
        Self {
            addresses: vec![MemberAddress { host: java_host(host), quorum_port, election_port }],
            role: MemberRole::Participant,
            client: None,
            secure_client: None,
        }
    }

    /// Reads the value of `server.<sid>`: `host:quorumPort:electionPort[:role]`, several of them joined by `|`,
    /// then `[;[host:]clientPort[;[host:]securePort]]`. Whether several addresses are allowed is for the caller.
    ///
    /// # Errors
    /// A value that Java would refuse.
    pub fn parse(sid: Sid, value: &str) -> Result<Self, ConfigError> {
        let wrong = || {
            ConfigError::new(format!(
                "server.{sid}={value} is wrong; allowed: host:port:port[:participant|:observer][;[address:]port], addresses joined by |"
            ))
        };
        let parts = split(value, ';');
        if parts.len() > 3 {
            return Err(wrong());
        }
        let client_at = |index: usize| match parts.get(index) {
            None | Some(&"") => Ok(None),
            Some(text) => client(text).map(Some).ok_or_else(wrong),
        };
        let (client, secure_client) = (client_at(1)?, client_at(2)?);
        let mut addresses: Vec<MemberAddress> = Vec::new();
        let mut role = None;
        for address in split(parts[0], '|') {
            let words = host_and_ports(address).ok_or_else(wrong)?;
            let (host, quorum_port, election_port, named) = match words[..] {
                [host, quorum, election] => (host, quorum, election, None),
                [host, quorum, election, role] => (host, quorum, election, Some(role)),
                _ => return Err(wrong()),
            };
            let port_of = |port: &str| {
                let message = || format!("server.{sid}: {port} is not a port; the address is {host}:{port}");
                // One that is too large Java does not expect.
                let is_number = port.parse::<i32>().is_ok();
                port.parse::<u16>().map_err(|_| ConfigError { message: message(), is_unchecked: is_number })
            };
            let (quorum_port, election_port) = (port_of(quorum_port)?, port_of(election_port)?);
            if quorum_port == election_port {
                return Err(ConfigError::new(format!(
                    "server.{sid}: the quorum and the election port must be different, and both are {quorum_port}"
                )));
            }
            if let Some(named) = named {
                let named = match named.trim().to_ascii_lowercase().as_str() {
                    "participant" => MemberRole::Participant,
                    "observer" => MemberRole::Observer,
                    _ => return Err(ConfigError::new(format!("Unrecognised peertype: {named}"))),
                };
                if role.is_some_and(|role| role != named) {
                    return Err(ConfigError::new(format!("server.{sid}: all addresses must have the same role")));
                }
                role = Some(named);
            }
            let address = MemberAddress { host: java_host(host), quorum_port, election_port };
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        addresses.sort_by(|left, right| left.host.cmp(&right.host));
        Ok(Self { addresses, role: role.unwrap_or(MemberRole::Participant), client, secure_client })
    }
}

/// The value of a `server.N` line.
impl fmt::Display for Member {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, address) in self.addresses.iter().enumerate() {
            let joint = if index == 0 { "" } else { "|" };
            write!(formatter, "{joint}{}:{}:{}", bracketed(&address.host), address.quorum_port, address.election_port)?;
        }
        formatter.write_str(match self.role {
            MemberRole::Participant => ":participant",
            MemberRole::Observer => ":observer",
        })?;
        match (&self.client, &self.secure_client) {
            (None, None) => Ok(()),
            (Some(client), None) => write!(formatter, ";{client}"),
            (Some(client), Some(secure)) => write!(formatter, ";{client};{secure}"),
            (None, Some(secure)) => write!(formatter, ";;{secure}"),
        }
    }
}

/// Key and value of a line of properties; `None` for an empty line or a comment.
fn property(line: &str) -> Result<Option<(&str, &str)>, ConfigError> {
    const BLANK: [char; 3] = [' ', '\t', '\x0c'];
    let line = line.trim_start_matches(BLANK);
    if line.is_empty() || line.starts_with(['#', '!']) {
        return Ok(None);
    }
    if line.contains('\\') {
        return Err(ConfigError::new(format!("a backslash has no meaning here: {line}")));
    }
    let end = line.find([' ', '\t', '\x0c', '=', ':']).unwrap_or(line.len());
    let value = line[end..].trim_start_matches(BLANK);
    let value = value.strip_prefix(['=', ':']).unwrap_or(value);
    Ok(Some((&line[..end], value.trim_start_matches(BLANK))))
}

fn number_of(key: &str, text: &str) -> Result<i64, ConfigError> {
    text.parse().map_err(|_| ConfigError::unchecked(format!("{key}: {text:?} is not a number")))
}

fn behind_dot(key: &str) -> &str {
    key.split_once('.').map_or(key, |(_, number)| number)
}

/// `port` or `host:port`; without a host it is every address.
fn client(text: &str) -> Option<HostPort> {
    let (host, port) = match host_and_ports(text)?[..] {
        [port] => ("0.0.0.0", port),
        [host, port] => (host, port),
        _ => return None,
    };
    Some(HostPort { host: java_host(host), port: port.parse().ok()? })
}

/// Splits at colons, except in an address in brackets; `None` if brackets or port are missing.
fn host_and_ports(text: &str) -> Option<Vec<&str>> {
    let Some(rest) = text.strip_prefix('[') else {
        return Some(split(text, ':'));
    };
    let (host, rest) = rest.split_once(']')?;
    // Java passes over one character here, whatever it is.
    let mut behind = rest.chars();
    match (behind.next(), behind.as_str()) {
        (None, _) => Some(vec![host]),
        (Some(_), "") => None,
        (Some(_), ports) => Some(std::iter::once(host).chain(split(ports, ':')).collect()),
    }
}

/// As `String.split`: empty parts at the end do not count, an empty text is one part.
fn split(text: &str, separator: char) -> Vec<&str> {
    let mut parts: Vec<&str> = text.split(separator).collect();
    while parts.len() > 1 && parts.last().is_some_and(|part| part.is_empty()) {
        parts.pop();
    }
    parts
}

/// What Java prints for a host: names as they are, addresses in its own spelling, no name as this machine.
fn java_host(host: &str) -> String {
    if host.is_empty() {
        return "localhost".to_owned();
    }
    let (address, scope) = match host.split_once('%') {
        Some((address, scope)) => (address, format!("%{scope}")),
        None => (host, String::new()),
    };
    if let Ok(address) = address.parse::<Ipv6Addr>() {
        if let Some(address) = address.to_ipv4_mapped() {
            return address.to_string();
        }
        let words = address.segments().map(|word| format!("{word:x}"));
        return words.join(":") + &scope;
    }
    ipv4(host).map_or_else(|| host.to_owned(), |address| address.to_string())
}

/// An address of one to four decimal numbers, the last of which fills the bytes that are left.
fn ipv4(text: &str) -> Option<Ipv4Addr> {
    let parts: Vec<&str> = text.split('.').collect();
    let (last, bytes) = parts.split_last()?;
    let is_number = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if bytes.len() > 3 || !parts.iter().all(is_number) {
        return None;
    }
    let mut address: u32 = 0;
    for (index, byte) in bytes.iter().enumerate() {
        address |= u32::from(byte.parse::<u8>().ok()?) << (24 - 8 * index);
    }
    let rest: u64 = last.parse().ok()?;
    if rest >> (8 * (4 - bytes.len())) != 0 {
        return None;
    }
    Some(Ipv4Addr::from(address | u32::try_from(rest).ok()?))
}

fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

/// The order in which Java's `HashMap<Long, ?>` gives its keys. Keys of one bucket come as they were put in,
/// which was in the order of another table: `put_order` is their place there.
fn hash_map_order(keys: impl Iterator<Item = i64>, put_order: impl Fn(&i64) -> usize) -> Vec<i64> {
    let mut keys: Vec<i64> = keys.collect();
    let mut buckets = 16;
    while keys.len() > buckets / 4 * 3 {
        buckets *= 2;
    }
    keys.sort_by_cached_key(|key| {
        let hash = (key ^ ((*key as u64) >> 32) as i64) as u32;
        ((hash ^ (hash >> 16)) as usize & (buckets - 1), put_order(key))
    });
    keys
}

/// The bucket of a key in `java.util.Properties` (since Java 9) that holds this many keys.
fn properties_bucket(key: &str, keys: usize) -> usize {
    let mut buckets = 16;
    while keys >= buckets / 4 * 3 {
        buckets *= 2;
    }
    let hash = key.bytes().fold(0u32, |hash, byte| hash.wrapping_mul(31).wrapping_add(u32::from(byte)));
    (hash ^ (hash >> 16)) as usize & 0x7fff_ffff & (buckets - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Texts that were given to Java, and what it made of them; `Configs.java` beside them wrote the answers.
    #[test]
    fn texts_are_those_of_java() {
        let given = include_str!("../tests/vectors/configs-in.txt");
        let answers = include_str!("../tests/vectors/configs.txt");
        let mut count = 0;
        for (text, answer) in given.split("---\n").zip(answers.split_terminator("\n---\n")) {
            let ours = Config::parse(text).map(|config| config.to_text());
            assert_eq!(ours.as_deref().unwrap_or("refused"), answer, "{text}{ours:?}");
            if let Ok(ours) = ours {
                assert_eq!(Config::parse(&ours).map(|config| config.to_text()).as_ref(), Ok(&ours));
            }
            count += 1;
        }
        assert!(count > 50, "{count}");
    }

    #[test]
    fn tls_ports_of_newer_servers_are_understood() {
        for (value, written) in [
            ("a:1:2;3;4", "a:1:2:participant;0.0.0.0:3;0.0.0.0:4"),
            ("a:1:2;;h:4", "a:1:2:participant;;h:4"),
            ("a:1:2:observer;[::1]:3;h:4", "a:1:2:observer;[0:0:0:0:0:0:0:1]:3;h:4"),
        ] {
            assert_eq!(Member::parse(Sid(1), value).unwrap().to_string(), written);
        }
    }

    #[test]
    fn equal_versions_are_the_same_ensemble() {
        let parse = |text: &str| Config::parse(text).unwrap();
        let one = parse("server.1=a:1:2\nversion=1");
        for (other, same) in [
            ("server.2=b:1:2\nversion=1", true),
            ("server.1=a:1:2\nversion=2", true),
            ("server.1=a:1:3\nversion=2", false),
            ("server.1=a:1:2\nserver.2=b:1:2\nversion=2", false),
            ("server.1=a:1:2\ngroup.1=1\nversion=2", false),
        ] {
            assert_eq!(one.is_same(&parse(other)), same, "{other}");
        }
    }
}
