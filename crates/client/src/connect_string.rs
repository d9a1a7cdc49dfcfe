//! `host:port,host:port/chroot`, by the rules of C and of Java. Names are not resolved here.

use crate::Chroot;
use std::fmt;

/// A server by name or by number.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostPort {
    /// A name or an address; IPv6 without brackets.
    pub host: String,
    /// Its client port.
    pub port: u16,
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// Why a list of servers is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostError {
    /// An entry without a port (C).
    NoPort(String),
    /// A port that is none.
    BadPort(String),
    /// The part from the first slash on is no path.
    BadChroot,
    /// No entry at all, where one is needed.
    NoHosts,
}

impl fmt::Display for HostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPort(entry) => write!(f, "no port in {entry}"),
            Self::BadPort(entry) => write!(f, "invalid port in {entry}"),
            Self::BadChroot => write!(f, "invalid chroot"),
            Self::NoHosts => write!(f, "no servers are named"),
        }
    }
}

impl std::error::Error for HostError {}

/// Servers and chroot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConnectString {
    /// In the order given.
    pub hosts: Vec<HostPort>,
    /// What is behind the first slash.
    pub chroot: Chroot,
}

impl ConnectString {
    /// By the rules of C: every entry has a port (decimal, octal with `0`, hexadecimal with `0x`), blanks before a
    /// host are skipped, empty entries too. IPv6 may stand in brackets, or without.
    ///
    /// # Errors
    /// What C's `zookeeper_init` answers with EINVAL.
    pub fn parse_like_c(text: &[u8]) -> Result<Self, HostError> {
        let (hosts, chroot) = split_chroot(text);
        let chroot = Chroot::new(chroot).ok_or(HostError::BadChroot)?;
        Ok(Self { hosts: Self::hosts_like_c(hosts)?, chroot })
    }

    /// Only a list of servers, as `zoo_set_servers` takes it: a slash is no chroot there and spoils the port.
    ///
    /// # Errors
    /// An entry without a good port.
    pub fn hosts_like_c(text: &[u8]) -> Result<Vec<HostPort>, HostError> {
        let mut hosts = Vec::new();
        for entry in text.split(|byte| *byte == b',').filter(|entry| !entry.is_empty()) {
            let entry = oxkeeper_proto::java_string::decode(entry);
            let (host, port) = entry.rsplit_once(':').ok_or_else(|| HostError::NoPort(entry.to_string()))?;
            let port = port_like_strtol(port).ok_or_else(|| HostError::BadPort(entry.to_string()))?;
            let host = host.trim_start_matches([' ', '\t', '\n', '\r', '\x0b', '\x0c']);
            hosts.push(HostPort { host: without_brackets(host).to_string(), port });
        }
        Ok(hosts)
    }

    /// By the rules of Java's client, which zkCli has: the port may be left out (2181).
    ///
    /// # Errors
    /// A port that is no number, or a bad chroot.
    pub fn parse_like_java(text: &str) -> Result<Self, HostError> {
        let (hosts, chroot) = split_chroot(text.as_bytes());
        let hosts = &text[..hosts.len()];
        let chroot = Chroot::new(chroot).ok_or(HostError::BadChroot)?;
        let mut parsed = Vec::new();
        for entry in hosts.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
            let (host, port) = match entry.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
                Some((host, rest)) => (host, rest.strip_prefix(':').unwrap_or("")),
                None => entry.rsplit_once(':').unwrap_or((entry, "")),
            };
            let port = if port.is_empty() { 2181 } else { port.parse().map_err(|_| HostError::BadPort(entry.to_string()))? };
            parsed.push(HostPort { host: host.to_string(), port });
        }
        Ok(Self { hosts: parsed, chroot })
    }
}

fn split_chroot(text: &[u8]) -> (&[u8], &[u8]) {
    text.split_at(text.iter().position(|byte| *byte == b'/').unwrap_or(text.len()))
}

fn without_brackets(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

/// `strtol` with base 0, all of the text, within 1..=65535. (C takes other numbers and keeps their low 16 bits, which
/// no one can mean.)
fn port_like_strtol(text: &str) -> Option<u16> {
    let text = text.trim_start_matches([' ', '\t', '\n', '\r', '\x0b', '\x0c']);
    let text = text.strip_prefix('+').unwrap_or(text);
    let (digits, radix) = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => (digits, 16),
        None if text.len() > 1 && text.starts_with('0') => (&text[1..], 8),
        None => (text, 10),
    };
    if !digits.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    u16::from_str_radix(digits, radix).ok().filter(|port| *port != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(host: &str, port: u16) -> HostPort {
        HostPort { host: host.to_string(), port }
    }

    #[test]
    fn lists_as_c_reads_them() {
        let parsed = ConnectString::parse_like_c(b"a:2181, b:0x56a5,,c:010,::1:5,[::2]:6,/x/y").unwrap();
        assert_eq!(parsed.hosts, [host("a", 2181), host("b", 0x56a5), host("c", 8), host("::1", 5), host("::2", 6)]);
        assert_eq!(parsed.chroot.prefix(), b"/x/y");
        assert_eq!(ConnectString::parse_like_c(b"/x").unwrap().hosts, []);
        assert!(ConnectString::parse_like_c(b"h:1/").unwrap().chroot.is_none());
        for bad in [&b"a"[..], b"a:", b"a:0", b"a:x", b"a:1 ", b"a:1/a/", b"a:1/a//b", b"a:65536", b"a:-1", b"a:+-1", b"a:09"] {
            assert!(ConnectString::parse_like_c(bad).is_err(), "{bad:?}");
        }
        assert!(ConnectString::hosts_like_c(b"a:1/x").is_err());
    }

    #[test]
    fn lists_as_java_reads_them() {
        let parsed = ConnectString::parse_like_java("a,b:5, [::1] ,[::2]:7/x").unwrap();
        assert_eq!(parsed.hosts, [host("a", 2181), host("b", 5), host("::1", 2181), host("::2", 7)]);
        assert_eq!(parsed.chroot.prefix(), b"/x");
        assert!(ConnectString::parse_like_java("a:x").is_err());
    }
}
