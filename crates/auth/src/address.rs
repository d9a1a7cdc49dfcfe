//! Addresses as text: how Java prints them, and how the `ip` scheme reads and compares them.
//! Rust's own parser is stricter in places and laxer in others, hence this one.

use core::net::IpAddr;

/// What `InetAddress.getHostAddress` gives.
pub fn java_text(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => {
            let s = v6.segments();
            format!("{:x}:{:x}:{:x}:{:x}:{:x}:{:x}:{:x}:{:x}", s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7])
        }
    }
}

/// Whether an ACL may name this: an address, or an address, a slash and a number of bits.
pub fn is_valid(expression: &str) -> bool {
    Prefix::parse(expression).is_some()
}

/// Whether the client's address lies in the ACL's prefix; the families must be the same.
pub fn matches(client: &str, expression: &str) -> bool {
    let (Some(prefix), Some(address)) = (Prefix::parse(expression), Address::parse(client)) else { return false };
    prefix.address.length == address.length && (address.bits ^ prefix.address.bits) & prefix.mask() == 0
}

/// An address left-aligned in 128 bits.
struct Address {
    bits: u128,
    /// 32 or 128.
    length: u32,
}

struct Prefix {
    address: Address,
    /// At most the address's length.
    bits: u32,
}

impl Prefix {
    fn parse(expression: &str) -> Option<Self> {
        let (text, bits) = match expression.split_once('/') {
            Some((text, bits)) => (text, Some(bits)),
            None => (expression, None),
        };
        let address = Address::parse(text)?;
        let bits = match bits {
            None => address.length,
            Some(bits) => u32::try_from(java_int(bits, 10)?).ok().filter(|bits| *bits <= address.length)?,
        };
        Some(Self { address, bits })
    }

    fn mask(&self) -> u128 {
        u128::MAX.checked_shl(128 - self.bits).unwrap_or(0)
    }
}

impl Address {
    fn parse(text: &str) -> Option<Self> {
        if text.contains(':') { Self::parse_v6(text) } else { Self::parse_v4(text) }
    }

    fn parse_v4(text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        let mut bits = 0;
        for _ in 0..4 {
            let octet = u8::try_from(java_int(parts.next()?, 10)?).ok()?;
            bits = bits << 8 | u128::from(octet);
        }
        parts.next().is_none().then_some(Self { bits: bits << 96, length: 32 })
    }

    fn parse_v6(text: &str) -> Option<Self> {
        let mut halves = text.split("::");
        let (head, tail) = (halves.next()?, halves.next());
        if halves.next().is_some() {
            return None;
        }
        let Some(tail) = tail else {
            let (bits, groups) = groups(head)?;
            return (groups == 8).then_some(Self { bits, length: 128 });
        };
        let (head, head_groups) = groups_or_none(head)?;
        let (tail, tail_groups) = groups_or_none(tail)?;
        // A "::" stands for at least one group.
        if head_groups + tail_groups >= 8 {
            return None;
        }
        let head = head.checked_shl(128 - 16 * head_groups).unwrap_or(0);
        Some(Self { bits: head | tail, length: 128 })
    }
}

fn groups_or_none(text: &str) -> Option<(u128, u32)> {
    if text.is_empty() { Some((0, 0)) } else { groups(text) }
}

/// Groups between colons, right-aligned, and how many; more than eight are no address.
fn groups(text: &str) -> Option<(u128, u32)> {
    let (mut bits, mut count) = (0_u128, 0);
    for group in text.split(':') {
        if group.is_empty() || group.encode_utf16().count() > 4 || count == 8 {
            return None;
        }
        // A sign is let through, and "-1" is ffff: the low sixteen bits are taken.
        bits = bits << 16 | u128::from(java_int(group, 16)? as u16);
        count += 1;
    }
    Some((bits, count))
}

/// `Integer.parseInt`, of ASCII digits: with a sign, without spaces.
fn java_int(text: &str, radix: u32) -> Option<i32> {
    i32::from_str_radix(text, radix).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_acl_may_name() {
        for valid in [
            "1.2.3.4",
            "1.2.3.4/0",
            "1.2.3.4/32",
            "+1.2.3.004/+8",
            "-0.0.0.0",
            "::",
            "::1",
            "1::",
            "1:2:3:4:5:6:7:8",
            "1::8/128",
            "::/0",
            "FE80::a/10",
            "-1::",
            "+abc::",
            "1:2:3:4:5:6:7::",
            "::/-0",
        ] {
            assert!(is_valid(valid), "{valid}");
        }
        for invalid in [
            "",
            "/8",
            "1",
            "1.2.3",
            "1.2.3.4.5",
            "1.2.3.256",
            "1.2.3.-1",
            "1.2.3.",
            "1.2.3.4/",
            "1.2.3.4/33",
            "1.2.3.4/-1",
            "1.2.3.4/8/8",
            "1.2.3.4 ",
            ":",
            ":::",
            "1:2",
            "1::2::3",
            "1:2:3:4:5:6:7:8:9",
            "1:2:3:4:5:6:7:8::",
            "12345::",
            "g::",
            "::1/129",
            "::1/x",
            "::ffff:1.2.3.4",
            "fe80::1%eth0",
            "::-",
            "host.name.or.so",
            "1.2.3.4/0x8",
        ] {
            assert!(!is_valid(invalid), "{invalid}");
        }
    }

    #[test]
    fn prefixes_compare_within_a_family() {
        for (client, expression, expected) in [
            ("10.1.2.3", "10.1.2.3", true),
            ("10.1.2.3", "10.1.2.4", false),
            ("10.1.2.3", "10.0.0.0/8", true),
            ("10.1.2.3", "10.1.2.0/31", false),
            ("10.1.2.3", "10.1.2.2/31", true),
            ("10.1.2.3", "99.9.9.9/0", true),
            ("10.1.2.3", "::/0", false),
            ("0:0:0:0:0:0:0:1", "::1", true),
            ("0:0:0:0:0:0:0:1", "::2/126", true),
            ("0:0:0:0:0:0:0:1", "::2/127", false),
            ("2001:db8:0:0:0:0:0:1", "2001:db8::/32", true),
            ("2001:db9:0:0:0:0:0:1", "2001:db8::/32", false),
            ("2001:db9:0:0:0:0:0:1", "0.0.0.0/0", false),
            ("ffff:0:0:0:0:0:0:0", "-1::", true),
            ("fe80:0:0:0:0:0:0:1%eth0", "fe80::/10", false),
            ("10.1.2.3", "nonsense", false),
        ] {
            assert_eq!(matches(client, expression), expected, "{client} {expression}");
        }
    }

    #[test]
    fn addresses_print_as_java_prints_them() {
        for (address, expected) in [
            ("127.0.0.1", "127.0.0.1"),
            ("::1", "0:0:0:0:0:0:0:1"),
            ("::ffff:10.0.0.1", "10.0.0.1"),
            ("2001:DB8::A0", "2001:db8:0:0:0:0:0:a0"),
        ] {
            assert_eq!(java_text(address.parse().unwrap()), expected);
        }
    }
}
