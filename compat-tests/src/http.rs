//! A client for HTTP, as plain as the tests need it: one request on one connection, the answer as it came.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    /// Names in small letters, and values.
    pub fields: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    /// The value of a field; the name in small letters.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Sends a request with these fields beside `Host` and `Connection: close`, and reads the answer.
///
/// # Errors
/// Whatever the socket says, or an answer that is none.
pub fn ask(port: u16, method: &str, target: &str, fields: &[(&str, &str)], body: &[u8]) -> io::Result<Answer> {
    let mut request = format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
    for (name, value) in fields {
        request += &format!("{name}: {value}\r\n");
    }
    if !body.is_empty() {
        request += &format!("Content-Length: {}\r\n", body.len());
    }
    request += "\r\n";
    let mut bytes = request.into_bytes();
    bytes.extend_from_slice(body);
    parse(&exchange(port, &bytes)?)
}

/// GET without more.
///
/// # Errors
/// As [`ask`].
pub fn get(port: u16, target: &str) -> io::Result<Answer> {
    ask(port, "GET", target, &[], &[])
}

/// Sends bytes and reads all that comes until the server closes.
///
/// # Errors
/// Whatever the socket says; ten seconds of silence are a timeout.
pub fn exchange(port: u16, bytes: &[u8]) -> io::Result<Vec<u8>> {
    exchange_at(SocketAddr::from((Ipv4Addr::LOCALHOST, port)), bytes)
}

/// GET without more, of a server that is not on 127.0.0.1.
///
/// # Errors
/// As [`ask`].
pub fn get_at(address: SocketAddr, target: &str) -> io::Result<Answer> {
    parse(&exchange_at(address, format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").as_bytes())?)
}

fn exchange_at(address: SocketAddr, bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    stream.write_all(bytes)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(answer)
}

/// Reads an answer; chunks are put together.
///
/// # Errors
/// What is no answer.
pub fn parse(bytes: &[u8]) -> io::Result<Answer> {
    let wrong =
        || io::Error::new(io::ErrorKind::InvalidData, format!("no answer: {}", String::from_utf8_lossy(&bytes[..bytes.len().min(200)])));
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").ok_or_else(wrong)?;
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok()).ok_or_else(wrong)?;
    let fields: Vec<(String, String)> =
        lines.filter_map(|line| line.split_once(':')).map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned())).collect();
    let mut body = bytes[end + 4..].to_vec();
    if fields.iter().any(|(name, value)| name == "transfer-encoding" && value == "chunked") {
        let mut rest = std::mem::take(&mut body);
        loop {
            let line_end = rest.windows(2).position(|two| two == b"\r\n").ok_or_else(wrong)?;
            let size =
                std::str::from_utf8(&rest[..line_end]).ok().and_then(|text| usize::from_str_radix(text, 16).ok()).ok_or_else(wrong)?;
            if size == 0 {
                break;
            }
            body.extend_from_slice(rest.get(line_end + 2..line_end + 2 + size).ok_or_else(wrong)?);
            rest = rest[line_end + 4 + size..].to_vec();
        }
    }
    Ok(Answer { status, fields, body })
}
