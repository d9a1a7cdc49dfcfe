//! Addresses as Java prints them: log lines and four-letter words are parsed by tools.

use core::net::{IpAddr, SocketAddr};
use std::fmt;

/// Displays an address as Java (14 and later) prints one whose name was never asked for:
/// `/127.0.0.1:2181`, `/[0:0:0:0:0:0:0:1]:2181`. An IPv4 address in IPv6 clothes prints as IPv4.
#[derive(Clone, Copy, Debug)]
pub struct JavaAddress(pub SocketAddr);

impl fmt::Display for JavaAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.ip().to_canonical() {
            IpAddr::V4(ip) => write!(f, "/{ip}:{}", self.0.port()),
            IpAddr::V6(ip) => {
                let [a, b, c, d, e, g, h, i] = ip.segments();
                write!(f, "/[{a:x}:{b:x}:{c:x}:{d:x}:{e:x}:{g:x}:{h:x}:{i:x}")?;
                match self.0 {
                    SocketAddr::V6(address) if address.scope_id() != 0 => write!(f, "%{}", address.scope_id())?,
                    _ => {}
                }
                write!(f, "]:{}", self.0.port())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_print_as_java_prints_them() {
        for (address, text) in [
            ("127.0.0.1:51036", "/127.0.0.1:51036"),
            ("[::1]:40002", "/[0:0:0:0:0:0:0:1]:40002"),
            ("[::ffff:10.1.2.3]:7", "/10.1.2.3:7"),
            ("[2001:db8::ab:0]:65535", "/[2001:db8:0:0:0:0:ab:0]:65535"),
        ] {
            assert_eq!(JavaAddress(address.parse().unwrap()).to_string(), text);
        }
    }
}
