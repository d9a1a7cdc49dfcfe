//! Four-letter words asked from the command line: `oxkeeper 4lw`, `oxkeeper status`, and Java's FourLetterWordMain.

use oxkeeper_tools::Failure;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpStream, ToSocketAddrs as _};
use std::time::{Duration, Instant};

/// As Java's.
pub const TIMEOUT_MS: u64 = 5000;

/// A server's name and port; `localhost` and 2181 where they are missing.
pub fn address(text: &str) -> Result<(String, u16), Failure> {
    let wrong = || Failure::usage(format!("{text} is no host:port"));
    let port = |text: &str| text.parse::<u16>().ok().filter(|port| *port > 0).ok_or_else(wrong);
    if let Some(rest) = text.strip_prefix('[') {
        let (host, after) = rest.split_once(']').ok_or_else(wrong)?;
        return match after.strip_prefix(':') {
            Some(number) => Ok((host.to_owned(), port(number)?)),
            None if after.is_empty() => Ok((host.to_owned(), 2181)),
            None => Err(wrong()),
        };
    }
    match text.rsplit_once(':') {
        Some((host, number)) if !host.contains(':') => Ok((if host.is_empty() { "localhost" } else { host }.to_owned(), port(number)?)),
        // An address of IPv6 without a port.
        Some(_) => Ok((text.to_owned(), 2181)),
        None if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) => Ok(("localhost".to_owned(), port(text)?)),
        None if text.is_empty() => Err(wrong()),
        None => Ok((text.to_owned(), 2181)),
    }
}

/// Sends a word and reads until the server closes.
///
/// # Errors
/// A server that does not answer in time, with what to do.
pub fn ask(host: &str, port: u16, word: &str, timeout: Duration) -> Result<String, Failure> {
    let shown = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    let addresses: Vec<SocketAddr> = match (host, port).to_socket_addrs() {
        Ok(addresses) => addresses.collect(),
        // Where there is no /etc/hosts, as in bare roots and containers.
        Err(_) if host == "localhost" => vec![(Ipv4Addr::LOCALHOST, port).into(), (Ipv6Addr::LOCALHOST, port).into()],
        Err(_) => return Err(Failure::unexpected(format!("{host}: no address is known for this name"))),
    };
    let mut reason = format!("{host}: no address is known for this name");
    for address in addresses {
        match TcpStream::connect_timeout(&address, timeout) {
            Ok(stream) => return talk(stream, word, timeout).map_err(|why| Failure::unexpected(format!("{shown}: {why}"))),
            Err(error) => {
                reason = match error.kind() {
                    ErrorKind::ConnectionRefused => {
                        format!("{shown}: nothing listens there. Is the server running, and is this its clientPort?")
                    }
                    ErrorKind::TimedOut => format!("{shown}: no answer within {} ms", timeout.as_millis()),
                    _ => format!("{shown}: {error}"),
                };
            }
        }
    }
    Err(Failure::unexpected(reason))
}

fn talk(mut stream: TcpStream, word: &str, timeout: Duration) -> Result<String, String> {
    let deadline = Instant::now() + timeout;
    let text = |error: std::io::Error| match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => {
            format!("it took the connection but does not answer within {} ms", timeout.as_millis())
        }
        _ => error.to_string(),
    };
    let _ = stream.set_nodelay(true);
    stream.set_write_timeout(Some(timeout)).map_err(text)?;
    stream.write_all(word.as_bytes()).map_err(text)?;
    // Like nc: some servers answer only a stream that has ended.
    let _ = stream.shutdown(Shutdown::Write);
    let mut answer = Vec::new();
    let mut chunk = [0; 16 << 10];
    loop {
        let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        stream.set_read_timeout(Some(left)).map_err(text)?;
        match stream.read(&mut chunk) {
            Ok(0) => return Ok(String::from_utf8_lossy(&answer).into_owned()),
            Ok(n) => answer.extend_from_slice(&chunk[..n]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // A server that closes with unread input in its buffer resets; what it said before counts.
            Err(error) if error.kind() == ErrorKind::ConnectionReset && !answer.is_empty() => {
                return Ok(String::from_utf8_lossy(&answer).into_owned());
            }
            Err(error) => return Err(text(error)),
        }
    }
}

/// Java's FourLetterWordMain: `<host> <port> <word> [secure]`.
pub fn java(arguments: &[String]) -> Result<u8, Failure> {
    let [host, port, word, rest @ ..] = arguments else {
        say!("Usage: FourLetterWordMain <host> <port> <cmd> <secure(optional)>");
        return Ok(0);
    };
    if rest.len() > 1 {
        say!("Usage: FourLetterWordMain <host> <port> <cmd> <secure(optional)>");
        return Ok(0);
    }
    if rest.first().is_some_and(|secure| secure.eq_ignore_ascii_case("true")) {
        return Err(Failure::unexpected("four-letter words over TLS are not there yet: use the clientPort, or the AdminServer"));
    }
    let number = port.parse::<u16>().map_err(|_| Failure::unexpected(format!("{port} is no port")))?;
    let answer = ask(host, number, word, Duration::from_millis(TIMEOUT_MS))?;
    // Java ends each line of the answer, and the answer, with a newline.
    let end = if answer.is_empty() || answer.ends_with('\n') { "" } else { "\n" };
    say!("{answer}{end}");
    Ok(0)
}

/// One line for each server: who it is and how it does. The exit code is 1 if any does not answer.
pub fn status(servers: &[String], timeout: Duration) -> Result<u8, Failure> {
    let addresses = servers.iter().map(|server| Ok((server, address(server)?))).collect::<Result<Vec<_>, Failure>>()?;
    let width = servers.iter().map(String::len).max().unwrap_or(0);
    let mut code = 0;
    for (server, (host, port)) in addresses {
        match ask(&host, port, "srvr", timeout) {
            Ok(answer) if value(&answer, "Mode").is_some() => {
                let field = |name: &str| value(&answer, name).unwrap_or("?").to_owned();
                let version = field("Zookeeper version");
                say!(
                    "{server:width$}  {:10}  {:>6} connections  {:>8} nodes  zxid {}  latency {} ms (min/avg/max)  {}",
                    field("Mode"),
                    field("Connections"),
                    field("Node count"),
                    field("Zxid"),
                    field("Latency min/avg/max"),
                    version.split(',').next().unwrap_or_default()
                );
            }
            Ok(answer) => {
                say!("{server:width$}  not serving: {}", answer.lines().next().unwrap_or("it closed the connection without an answer"));
                code = 1;
            }
            Err(failure) => {
                say!("{server:width$}  down  ({failure})");
                code = 1;
            }
        }
    }
    Ok(code)
}

/// The value of a line `name: value`.
pub fn value<'a>(answer: &'a str, name: &str) -> Option<&'a str> {
    answer.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read() {
        for (text, expected) in [
            ("host", Some(("host", 2181))),
            ("host:1", Some(("host", 1))),
            ("2182", Some(("localhost", 2182))),
            (":2183", Some(("localhost", 2183))),
            ("[::1]:5", Some(("::1", 5))),
            ("::1", Some(("::1", 2181))),
            ("[::1]", Some(("::1", 2181))),
            ("host:0", None),
            ("host:70000", None),
            ("host:x", None),
            ("[::1]5", None),
            ("", None),
        ] {
            assert_eq!(address(text).ok(), expected.map(|(host, port)| (host.to_owned(), port)), "{text}");
        }
    }
}
