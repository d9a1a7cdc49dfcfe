//! The `server.N` lines: who is in the ensemble, and on which port this server takes clients.
//!
//! Only what a standalone server must know of them is kept; grouping, weights and the links between
//! servers come with ensembles.

/// One `server.N = host:port:port[:role][;[address:]port]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The N.
    pub sid: i64,
    /// Whether it votes; observers do not.
    pub votes: bool,
    /// Host (none: all addresses) and port for clients.
    pub client: Option<(Option<String>, u16)>,
}

/// The rules of the line, for error messages.
pub const ALLOWED: &str = "host:port:port[:participant|:observer][;[address:]port], addresses joined by | \
                           if multiAddress.enabled";

/// Reads the N of `server.N` and its value; `None` if Java refuses them.
#[must_use]
pub fn parse(number: &str, value: &str, several_addresses: bool) -> Option<Member> {
    let sid = number.parse().ok()?;
    let (servers, client) = match value.split_once(';') {
        Some((servers, client)) => (servers, Some(client_part(client)?)),
        None => (value, None),
    };
    let mut votes = true;
    for (index, address) in servers.split('|').enumerate() {
        if index > 0 && !several_addresses {
            return None;
        }
        let parts = split_address(address)?;
        let [_, quorum, election, role @ ..] = &parts[..] else {
            return None;
        };
        let (quorum, election): (u16, u16) = (quorum.parse().ok()?, election.parse().ok()?);
        if quorum == election {
            return None;
        }
        votes = match role {
            [] => votes,
            [role] if role.eq_ignore_ascii_case("participant") => true,
            [role] if role.eq_ignore_ascii_case("observer") => false,
            _ => return None,
        };
    }
    Some(Member { sid, votes, client })
}

fn client_part(text: &str) -> Option<(Option<String>, u16)> {
    match &split_address(text)?[..] {
        [port] => Some((None, port.parse().ok()?)),
        [host, port] => Some((Some((*host).to_owned()), port.parse().ok()?)),
        _ => None,
    }
}

/// Splits at colons, except in an address in brackets.
fn split_address(text: &str) -> Option<Vec<&str>> {
    let Some(bracketed) = text.strip_prefix('[') else {
        return Some(text.split(':').collect());
    };
    let (host, rest) = bracketed.split_once(']')?;
    let mut parts = vec![host];
    parts.extend(rest.strip_prefix(':')?.split(':'));
    Some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_forms_of_a_line() {
        let member = |votes, client: Option<(Option<&str>, u16)>| {
            Some(Member { sid: 1, votes, client: client.map(|(host, port)| (host.map(Into::into), port)) })
        };
        for (value, several, expected) in [
            ("a:2888:3888", false, member(true, None)),
            ("a:2888:3888:observer", false, member(false, None)),
            ("a:2888:3888:PARTICIPANT;2181", false, member(true, Some((None, 2181)))),
            ("[::1]:2888:3888;127.0.0.1:2181", false, member(true, Some((Some("127.0.0.1"), 2181)))),
            ("a:2888:3888;[::1]:2181", false, member(true, Some((Some("::1"), 2181)))),
            ("a:1:2|b:1:2;2181", true, member(true, Some((None, 2181)))),
            ("a:1:2|b:1:2;2181", false, None),
            ("a", false, None),
            ("a:2888", false, None),
            ("a:2888:2888", false, None),
            ("a:2888:x", false, None),
            ("a:1:2:leader", false, None),
            ("a:1:2:observer:x", false, None),
            ("a:1:2;x", false, None),
            ("a:1:2;70000", false, None),
            ("[::1:1:2", false, None),
        ] {
            assert_eq!(parse("1", value, several), expected, "{value}");
        }
        assert_eq!(parse("x", "a:1:2", false), None);
    }
}
