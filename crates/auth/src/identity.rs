//! Who a connection is known as.

use crate::address;
use core::net::IpAddr;

/// One thing a connection is known as. A connection holds several; none is ever taken back.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// `ip`, `digest`, `super` ...
    pub scheme: Box<str>,
    /// What the scheme compares: the address, `user:hash`, empty for `super`.
    pub id: Box<str>,
}

impl Identity {
    /// Any scheme and id.
    pub fn new(scheme: &str, id: &str) -> Self {
        Self { scheme: scheme.into(), id: id.into() }
    }

    /// What every connection is born with: `("ip", peer)`, the address as Java prints it
    /// (IPv6 as eight groups without `::`, a v4-mapped address as IPv4).
    pub fn ip(peer: IpAddr) -> Self {
        Self { scheme: "ip".into(), id: address::java_text(peer).into() }
    }

    /// `("super", "")`: whoever knows the password behind `superDigest`; passes every check.
    pub fn super_user() -> Self {
        Self::new("super", "")
    }
}

/// Adds what is not there yet, at the place where Java would show it.
///
/// A connection of ours keeps its identities in the order in which Java's concurrent hash set
/// iterates, because clients see it: in `whoAmI` and in an ACL made from `auth`.
pub fn add_identity(ids: &mut Vec<Identity>, identity: Identity) {
    if ids.contains(&identity) {
        return;
    }
    ids.push(identity);
    // The table starts with 16 bins and doubles when the count reaches three quarters of it.
    let mut bins = 16_usize;
    while ids.len() >= bins / 4 * 3 {
        bins *= 2;
    }
    // A stable sort: within a bin the later one is behind.
    ids.sort_by_key(|identity| bin(identity, bins));
}

/// The user that `whoAmI` shows: of a digest what stands before the first colon, of `super`, which
/// no provider answers for, nothing, of all others the id.
pub fn user_name(identity: &Identity) -> &str {
    match &*identity.scheme {
        "digest" => identity.id.split(':').next().unwrap_or_default(),
        "super" => "",
        _ => &identity.id,
    }
}

fn bin(identity: &Identity, bins: usize) -> usize {
    let hash = 17_i32.wrapping_mul(37).wrapping_add(java_hash(&identity.scheme));
    let hash = hash.wrapping_mul(37).wrapping_add(java_hash(&identity.id)) as u32;
    ((hash ^ (hash >> 16)) & 0x7fff_ffff) as usize & (bins - 1)
}

fn java_hash(text: &str) -> i32 {
    text.encode_utf16().fold(0, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)))
}
