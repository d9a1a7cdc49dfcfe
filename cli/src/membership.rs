//! The ensemble's membership as text: what `config -c` makes of the configuration, and what `reconfig -file` makes of a
//! file. Java's rules and words; what a membership means is the server's.

use crate::text;
use oxkeeper_server::config::properties::{self, trim};
use std::net::Ipv6Addr;

/// One `server.N` line.
struct Member {
    host: String,
    quorum_port: i32,
    election_port: i32,
    is_observer: bool,
    client: Option<(String, i32)>,
}

impl Member {
    /// Reads the value of a `server.N` line.
    fn parse(number: i64, value: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "{value} does not have the form server_config or server_config;client_config where server_config is the pipe \
                 separated list of host:port:port or host:port:port:type and client_config is port or host:port"
            )
        };
        let parts = text::java_split(value, ';');
        let [server, client @ ..] = &parts[..] else { return Err(wrong()) };
        let client = match client {
            [client] => Some(parse_client(client, wrong)?),
            _ => None,
        };
        if server.contains('|') {
            return Err(format!("Multiple address feature is disabled, but multiple addresses were specified for sid {number}"));
        }
        let fields = host_and_rest(server)?;
        if parts.len() > 2 || !(3..=4).contains(&fields.len()) {
            return Err(wrong());
        }
        let port = |text: &str| text::java_number(text, 10).map_err(|_| format!("Address unresolved: {}:{text}", fields[0]));
        let (quorum_port, election_port) = (port(&fields[1])?, port(&fields[2])?);
        if quorum_port == election_port {
            return Err(format!("Client and election port must be different! Please update the configuration file on server.{number}"));
        }
        let is_observer = match fields.get(3).map(|role| trim(role).to_lowercase()).as_deref() {
            None | Some("participant") => false,
            Some("observer") => true,
            Some(_) => return Err(format!("Unrecognised peertype: {}", fields[3])),
        };
        Ok(Self { host: shown_host(&fields[0]), quorum_port, election_port, is_observer, client })
    }

    /// The value of the line as servers write it.
    fn text(&self) -> String {
        let role = if self.is_observer { "observer" } else { "participant" };
        let client = self.client.as_ref().map(|(host, port)| format!(";{}:{port}", delimited(host))).unwrap_or_default();
        format!("{}:{}:{}:{role}{client}", delimited(&self.host), self.quorum_port, self.election_port)
    }
}

fn parse_client(text: &str, wrong: impl Fn() -> String) -> Result<(String, i32), String> {
    let fields = host_and_rest(text)?;
    let (host, port) = match &fields[..] {
        [port] => ("0.0.0.0", port),
        [host, port] => (host.as_str(), port),
        _ => return Err(wrong()),
    };
    // Java names the wrong variable here, which is still null.
    let port = text::java_number(port, 10).map_err(|_| format!("Address unresolved: null:{port}"))?;
    Ok((shown_host(host), port))
}

/// A host, perhaps in brackets, and what stands after it between colons.
fn host_and_rest(text: &str) -> Result<Vec<String>, String> {
    let Some(bracketed) = text.strip_prefix('[') else {
        return Ok(text::java_split(text, ':').into_iter().map(str::to_owned).collect());
    };
    let Some((host, rest)) = bracketed.split_once(']') else {
        return Err(format!("{text} starts with '[' but has no matching ']:'"));
    };
    let mut fields = vec![host.to_owned()];
    match rest.char_indices().nth(1) {
        Some((at, _)) => fields.extend(text::java_split(&rest[at..], ':').into_iter().map(str::to_owned)),
        None if rest.is_empty() => {}
        None => return Err(format!("{text} doesn't have a port after colon")),
    }
    Ok(fields)
}

/// Java shows an IPv6 address with all of its groups.
fn shown_host(host: &str) -> String {
    match host.parse::<Ipv6Addr>() {
        Ok(address) => address.segments().map(|group| format!("{group:x}")).join(":"),
        Err(_) => host.to_owned(),
    }
}

fn delimited(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

/// `<version> host:port,host:port`: where clients go, from the text of the configuration.
pub fn client_addresses(configuration: &str) -> String {
    let mut version = String::new();
    let mut servers = Vec::new();
    let entries = entries(configuration.as_bytes()).unwrap_or_default();
    // Java goes through its hash table of properties: 16 places, and twice as many when it is three quarters full.
    let mut places = 16;
    while entries.len() * 4 >= places * 3 {
        places *= 2;
    }
    for (key, value) in entries {
        if key == "version" {
            version = value;
        } else if key.starts_with("server.")
            && let Ok(member) = Member::parse(-1, &value)
        {
            servers.push((key, member.client.map(|(host, port)| format!("{host}:{port}")).unwrap_or_default()));
        }
    }
    servers.sort_by_key(|(key, _)| place(key) & (places - 1));
    let addresses: Vec<String> = servers.into_iter().map(|(_, address)| address).collect();
    format!("{version} {}", addresses.join(","))
}

/// A string's place in Java's hash table.
fn place(key: &str) -> usize {
    let hash = key.encode_utf16().fold(0u32, |hash, unit| hash.wrapping_mul(31).wrapping_add(u32::from(unit)));
    (hash ^ (hash >> 16)) as usize
}

/// What `reconfig -file` sends: the file's members and version, as servers write them.
///
/// # Errors
/// Java's message.
pub fn from_file(file: &[u8]) -> Result<String, String> {
    let entries = entries(file).map_err(|()| "Malformed \\uxxxx encoding.".to_owned())?;
    let mut version = 0;
    let (mut members, mut groups, mut weights) = (Vec::new(), Vec::new(), Vec::new());
    let number = |key: &str| text::java_number::<i64>(key.split_once('.').map_or("", |(_, number)| number), 10);
    for (key, value) in entries {
        if key.starts_with("server.") {
            let sid = number(&key)?;
            members.push((sid, Member::parse(sid, &value)?));
        } else if key.starts_with("group") {
            groups.push((number(&key)?, value));
        } else if key.starts_with("weight") {
            weights.push((number(&key)?, text::java_number::<i64>(&value, 10)?));
        } else if key == "version" {
            version = text::java_number(&value, 16)?;
        } else {
            return Err(format!("Unrecognised parameter: {key}"));
        }
    }
    let observers = members.iter().filter(|(_, member)| member.is_observer).count();
    match members.len() - observers {
        0 if observers > 0 => return Err("Observers w/o participants is an invalid configuration".to_owned()),
        1 if observers > 0 => return Err("Observers w/o quorum is an invalid configuration".to_owned()),
        _ => {}
    }
    members.sort_by_key(|(sid, _)| *sid);
    groups.sort();
    weights.sort_unstable();
    let mut lines: Vec<String> = members.iter().map(|(sid, member)| format!("server.{sid}={}", member.text())).collect();
    lines.extend(groups.iter().map(|(group, value)| format!("group.{group}={value}")));
    lines.extend(weights.iter().map(|(sid, weight)| format!("weight.{sid}={weight}")));
    lines.push(format!("version={version:x}"));
    Ok(lines.join("\n"))
}

/// Keys and values, trimmed; the last of a key wins.
fn entries(text: &[u8]) -> Result<Vec<(String, String)>, ()> {
    let mut entries: Vec<(String, String)> = Vec::new();
    for entry in properties::parse(text).map_err(|_| ())? {
        let (key, value) = (trim(&entry.key).to_owned(), trim(&entry.value).to_owned());
        match entries.iter_mut().find(|(known, _)| *known == key) {
            Some((_, last)) => *last = value,
            None => entries.push((key, value)),
        }
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_clients_go() {
        let text = "server.1=a:2888:3888:participant;0.0.0.0:2181\nserver.2=b:2888:3888:observer;[::1]:2182\nserver.3=c:1:2\nversion=1f\n";
        assert_eq!(client_addresses(text), "1f 0:0:0:0:0:0:0:1:2182,0.0.0.0:2181,");
        assert_eq!(client_addresses(""), " ");
        // The order in which Java 17 lists fourteen servers.
        let fourteen: String = (1..=14).map(|n| format!("server.{n}=a:2888:3888:participant;b:{n}\n")).collect();
        let order = [10, 11, 2, 14, 1, 12, 13, 6, 5, 4, 3, 9, 8, 7].map(|n| format!("b:{n}")).join(",");
        assert_eq!(client_addresses(&(fourteen + "version=0")), format!("0 {order}"));
    }

    #[test]
    fn a_file_of_members() {
        let file = b"server.2=b:2888:3888:OBSERVER\nserver.1=a:2888:3888;2181\nserver.3=[::1]:1:2\nversion=ff\n";
        assert_eq!(
            from_file(file).as_deref(),
            Ok("server.1=a:2888:3888:participant;0.0.0.0:2181\nserver.2=b:2888:3888:observer\n\
                server.3=[0:0:0:0:0:0:0:1]:1:2:participant\nversion=ff")
        );
        for (file, message) in [
            ("tickTime=1", "Unrecognised parameter: tickTime"),
            ("server.x=a:1:2", "For input string: \"x\""),
            ("server.1=a:1:1", "Client and election port must be different! Please update the configuration file on server.1"),
            ("server.1=a:1:2:king", "Unrecognised peertype: king"),
            ("server.1=a:1:2:observer", "Observers w/o participants is an invalid configuration"),
            ("server.1=a:x:2", "Address unresolved: a:x"),
            ("server.1=a:1:2;x", "Address unresolved: null:x"),
            ("server.1=[::1", "[::1 starts with '[' but has no matching ']:'"),
        ] {
            assert_eq!(from_file(file.as_bytes()), Err(message.to_owned()), "{file}");
        }
        assert!(from_file(b"server.1=a:1").unwrap_err().starts_with("a:1 does not have the form server_config"));
    }
}
