//! The `digest` scheme: ids of the form `user:base64(hash(user:password))`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use md5::Md5;
use oxkeeper_proto::java_string;
use sha1::Sha1;
use sha2::{Digest, Sha224, Sha256, Sha384, Sha512, Sha512_224, Sha512_256};
use sha3::{Sha3_224, Sha3_256, Sha3_384, Sha3_512};
use std::fmt;
use std::str::FromStr;

/// The hash behind a digest id, named as Java names it (`digestAlg`); letters' case is ignored.
/// All servers and clients of an ensemble must agree on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DigestAlgorithm {
    /// `MD5`
    Md5,
    /// `SHA1`, `SHA-1` or `SHA`
    #[default]
    Sha1,
    /// `SHA-224`
    Sha224,
    /// `SHA-256`
    Sha256,
    /// `SHA-384`
    Sha384,
    /// `SHA-512`
    Sha512,
    /// `SHA-512/224`
    Sha512For224,
    /// `SHA-512/256`
    Sha512For256,
    /// `SHA3-224`
    Sha3For224,
    /// `SHA3-256`
    Sha3For256,
    /// `SHA3-384`
    Sha3For384,
    /// `SHA3-512`
    Sha3For512,
}

const NAMES: &[(&str, DigestAlgorithm)] = &[
    ("MD5", DigestAlgorithm::Md5),
    ("SHA1", DigestAlgorithm::Sha1),
    ("SHA-1", DigestAlgorithm::Sha1),
    ("SHA", DigestAlgorithm::Sha1),
    ("SHA-224", DigestAlgorithm::Sha224),
    ("SHA224", DigestAlgorithm::Sha224),
    ("SHA-256", DigestAlgorithm::Sha256),
    ("SHA256", DigestAlgorithm::Sha256),
    ("SHA-384", DigestAlgorithm::Sha384),
    ("SHA384", DigestAlgorithm::Sha384),
    ("SHA-512", DigestAlgorithm::Sha512),
    ("SHA512", DigestAlgorithm::Sha512),
    ("SHA-512/224", DigestAlgorithm::Sha512For224),
    ("SHA512/224", DigestAlgorithm::Sha512For224),
    ("SHA-512/256", DigestAlgorithm::Sha512For256),
    ("SHA512/256", DigestAlgorithm::Sha512For256),
    ("SHA3-224", DigestAlgorithm::Sha3For224),
    ("SHA3-256", DigestAlgorithm::Sha3For256),
    ("SHA3-384", DigestAlgorithm::Sha3For384),
    ("SHA3-512", DigestAlgorithm::Sha3For512),
];

/// A name that is none of [`DigestAlgorithm`]'s; the server must not start with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownAlgorithm(pub String);

impl fmt::Display for UnknownAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no ACL digest algorithm is named {:?}", self.0)
    }
}

impl std::error::Error for UnknownAlgorithm {}

impl FromStr for DigestAlgorithm {
    type Err = UnknownAlgorithm;

    fn from_str(name: &str) -> Result<Self, UnknownAlgorithm> {
        let found = NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, algorithm)| *algorithm).ok_or_else(|| UnknownAlgorithm(name.to_owned()))
    }
}

impl DigestAlgorithm {
    /// The id of whoever sends this in an auth packet: the text before the first colon (all of it
    /// where there is none), a colon, and the base64 of the hash of everything.
    pub fn id_of(self, user_and_password: &[u8]) -> String {
        let text = java_string::decode(user_and_password);
        let user = text.split(':').next().unwrap_or_default();
        let mut id = String::with_capacity(user.len() + 1 + 88);
        id.push_str(user);
        id.push(':');
        match self {
            Self::Md5 => append::<Md5>(&text, &mut id),
            Self::Sha1 => append::<Sha1>(&text, &mut id),
            Self::Sha224 => append::<Sha224>(&text, &mut id),
            Self::Sha256 => append::<Sha256>(&text, &mut id),
            Self::Sha384 => append::<Sha384>(&text, &mut id),
            Self::Sha512 => append::<Sha512>(&text, &mut id),
            Self::Sha512For224 => append::<Sha512_224>(&text, &mut id),
            Self::Sha512For256 => append::<Sha512_256>(&text, &mut id),
            Self::Sha3For224 => append::<Sha3_224>(&text, &mut id),
            Self::Sha3For256 => append::<Sha3_256>(&text, &mut id),
            Self::Sha3For384 => append::<Sha3_384>(&text, &mut id),
            Self::Sha3For512 => append::<Sha3_512>(&text, &mut id),
        }
        id
    }
}

fn append<D: Digest>(text: &str, id: &mut String) {
    STANDARD.encode_string(D::digest(text.as_bytes()), id);
}

/// Whether an ACL may name this: Java's `split(":")`, which forgets empty parts at the end, must
/// give exactly two parts. So `:h` and `a:b::` may stand, `a:` and `a:b:c` may not.
pub fn is_valid(id: &str) -> bool {
    let trimmed = id.trim_end_matches(':');
    // Nothing but colons has no parts at all; an empty text has one.
    !trimmed.is_empty() && trimmed.split(':').count() == 2
}

/// Equality that takes as long for a near miss as for a far one.
pub fn same_secret(left: &str, right: &str) -> bool {
    let (left, right) = (left.as_bytes(), right.as_bytes());
    // No way out of the loop before its end; the compiler must not see that only zero is asked for.
    left.len() == right.len() && std::hint::black_box(left.iter().zip(right).fold(0, |difference, (l, r)| difference | (l ^ r))) == 0
}

/// What a caller without ADMIN sees: each run from a colon to the end of its line becomes `:x`.
pub fn masked(id: &str) -> String {
    // Java's "." stops at these.
    const LINE_ENDS: [char; 5] = ['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}'];
    let mut out = String::with_capacity(id.len());
    let mut rest = id;
    while let Some(colon) = rest.find(':') {
        out.push_str(&rest[..colon]);
        out.push_str(":x");
        rest = &rest[colon..];
        rest = rest.find(LINE_ENDS).map_or("", |end| &rest[end..]);
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_acl_may_name() {
        for (id, expected) in [
            ("u:h", true),
            (":h", true),
            ("a:b:", true),
            ("a:b:::", true),
            ("a", false),
            ("", false),
            (":", false),
            ("::", false),
            ("a:", false),
            ("a:b:c", false),
            ("::b", false),
            ("a::b", false),
        ] {
            assert_eq!(is_valid(id), expected, "{id:?}");
        }
    }

    #[test]
    fn masks_keep_the_user() {
        for (id, expected) in [("user:hash=", "user:x"), (":h", ":x"), ("a:b:c", "a:x"), ("a:b\nc:d\n", "a:x\nc:x\n"), ("plain", "plain")] {
            assert_eq!(masked(id), expected);
        }
    }

    #[test]
    fn names_are_javas() {
        for (name, algorithm) in NAMES {
            assert_eq!(name.to_lowercase().parse(), Ok(*algorithm));
        }
        for unknown in ["", "SHA-2", "SHA-1 ", "CRC32"] {
            assert_eq!(unknown.parse::<DigestAlgorithm>(), Err(UnknownAlgorithm(unknown.to_owned())));
        }
    }

    #[test]
    fn secrets_are_the_same_only_as_a_whole() {
        assert!(same_secret("", "") && same_secret("abc", "abc"));
        assert!(!same_secret("abc", "abd") && !same_secret("abc", "ab") && !same_secret("xbc", "abc"));
    }
}
