//! The schemes a server knows: who a client becomes by an auth packet, which ACLs may be stored,
//! and what an ACL lets whom do.

use crate::digest::{self, DigestAlgorithm, UnknownAlgorithm};
use crate::{Identity, add_identity, address};
use core::net::IpAddr;
use oxkeeper_proto::acl::{AclEntry, AclList};
use oxkeeper_proto::records::Acl;
use oxkeeper_proto::{ErrorCode, java_string, perms};
use std::sync::Arc;

/// Options as they stand in configuration files and system properties.
#[derive(Clone, Debug)]
pub struct SchemeOptions {
    /// `DigestAuthenticationProvider.enabled`; without it `digest` is an unknown scheme.
    pub digest_enabled: bool,
    /// `DigestAuthenticationProvider.digestAlg`: a name of [`DigestAlgorithm`].
    pub digest_algorithm: String,
    /// `DigestAuthenticationProvider.superDigest`: the digest id, `user:hash`, that is the superuser's.
    pub super_digest: Option<String>,
    /// `skipACL`: every check passes.
    pub skip_acl: bool,
    /// `Some` where an `authProvider` names the ensemble provider.
    pub ensemble: Option<Ensemble>,
}

impl Default for SchemeOptions {
    fn default() -> Self {
        Self { digest_enabled: true, digest_algorithm: "SHA1".to_owned(), super_digest: None, skip_acl: false, ensemble: None }
    }
}

/// The `ensemble` scheme: a client says which ensemble it means to talk to.
#[derive(Clone, Debug, Default)]
pub struct Ensemble {
    /// `ensembleAuthName`, split at commas and trimmed. `None`: every name is welcome.
    pub names: Option<Vec<Box<str>>>,
}

impl Ensemble {
    /// From the option's text.
    pub fn from_option(names: Option<&str>) -> Self {
        let is_blank = |c: char| c <= ' ';
        Self { names: names.map(|text| text.split(',').map(|name| name.trim_matches(is_blank).into()).collect()) }
    }
}

/// What an auth packet brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthOutcome {
    /// Reply OK with zxid 0.
    Ok,
    /// Reply AuthFailed with zxid 0, then close.
    Failed,
    /// As `Failed`; the log says that no provider has this scheme.
    UnknownScheme,
    /// Close at once without a reply, so that the client tries another server.
    Close,
}

/// The schemes of one server; shared by its threads, never changed.
#[derive(Clone, Debug)]
pub struct Schemes {
    /// `None`: digest is disabled.
    digest: Option<DigestAlgorithm>,
    super_digest: Option<Box<str>>,
    skip_acl: bool,
    ensemble: Option<Ensemble>,
}

impl Schemes {
    /// Fails on a digest algorithm that has no implementation, even where Java, with digest
    /// disabled, would not have looked at the name.
    pub fn new(options: &SchemeOptions) -> Result<Self, UnknownAlgorithm> {
        let algorithm: DigestAlgorithm = options.digest_algorithm.parse()?;
        Ok(Self {
            digest: options.digest_enabled.then_some(algorithm),
            super_digest: options.super_digest.as_deref().map(Into::into),
            skip_acl: options.skip_acl,
            ensemble: options.ensemble.clone(),
        })
    }

    /// An auth packet. `data` is `None` where the buffer on the wire was null; a null scheme is
    /// the empty one. Identities are added to those that are there already.
    ///
    /// Schemes that no auth packet can prove (`world`, `auth`, `super`, `sasl`, `x509`) are unknown.
    pub fn authenticate(&self, scheme: &str, data: Option<&[u8]>, peer: IpAddr, ids: &mut Vec<Identity>) -> AuthOutcome {
        match scheme {
            "ip" => {
                add_identity(ids, Identity::ip(peer));
                AuthOutcome::Ok
            }
            "digest" => {
                let Some(algorithm) = self.digest else { return AuthOutcome::UnknownScheme };
                let Some(data) = data else { return AuthOutcome::Failed };
                let id = algorithm.id_of(data);
                if self.super_digest.as_deref().is_some_and(|wanted| digest::same_secret(wanted, &id)) {
                    add_identity(ids, Identity::super_user());
                }
                add_identity(ids, Identity::new("digest", &id));
                AuthOutcome::Ok
            }
            "ensemble" => {
                let Some(ensemble) = &self.ensemble else { return AuthOutcome::UnknownScheme };
                let (Some(data), Some(names)) = (data.filter(|data| !data.is_empty()), &ensemble.names) else { return AuthOutcome::Ok };
                let name = java_string::decode(data);
                if names.iter().any(|known| **known == *name) { AuthOutcome::Ok } else { AuthOutcome::Close }
            }
            _ => AuthOutcome::UnknownScheme,
        }
    }

    /// The ACL of a create or setACL as it is stored: without repeated entries, with `auth`
    /// replaced by the caller's proven identities. `None` is a null vector.
    ///
    /// `INVALID_ACL` for an empty ACL, an unknown scheme, an id its scheme refuses, or `auth` of a
    /// caller who has proven nothing; `MARSHALLING_ERROR` where a null id trips Java up.
    pub fn fix_acl(&self, acl: Option<&[Acl<'_>]>, ids: &[Identity]) -> Result<AclList, ErrorCode> {
        let acl = acl.unwrap_or_default();
        // What nearly every client sends; there is nothing to be checked in it.
        let open = oxkeeper_proto::acl::open();
        if oxkeeper_proto::acl::is_same(&open, acl) {
            return Ok(open);
        }
        let mut kept: Vec<&Acl<'_>> = Vec::with_capacity(acl.len());
        for entry in acl {
            if !is_repeated(entry, &kept)? {
                kept.push(entry);
            }
        }
        if kept.is_empty() {
            return Err(ErrorCode::INVALID_ACL);
        }
        let mut fixed = Vec::with_capacity(kept.len());
        for entry in kept {
            let scheme = entry.id.scheme.as_deref().ok_or(ErrorCode::INVALID_ACL)?;
            if scheme == "auth" {
                let proven = ids.iter().filter(|identity| self.is_proof(&identity.scheme));
                let before = fixed.len();
                fixed.extend(proven.map(|i| AclEntry { perms: entry.perms, scheme: i.scheme.clone(), id: i.id.clone() }));
                if fixed.len() == before {
                    return Err(ErrorCode::INVALID_ACL);
                }
                continue;
            }
            // An unknown scheme is found before its id is looked at.
            let is_valid: fn(&str) -> bool = match scheme {
                "world" => |id| id == "anyone",
                "ip" => address::is_valid,
                "digest" if self.digest.is_some() => digest::is_valid,
                _ => return Err(ErrorCode::INVALID_ACL),
            };
            let id = entry.id.id.as_deref().ok_or(ErrorCode::MARSHALLING_ERROR)?;
            if !is_valid(id) {
                return Err(ErrorCode::INVALID_ACL);
            }
            fixed.push(AclEntry { perms: entry.perms, scheme: scheme.into(), id: id.into() });
        }
        Ok(fixed.into())
    }

    /// Whether one of these identities may do *any* of the things whose bits are in `perm`
    /// (so `READ | ADMIN` passes with either: ask for one bit where one is meant).
    /// An empty ACL lets everybody do everything; a super identity may do everything.
    #[inline]
    pub fn permits(&self, acl: &[AclEntry], perm: i32, ids: &[Identity]) -> bool {
        // The common ACL first; whether the caller is a superuser does not matter then.
        let is_open = acl.first().is_some_and(|first| first.perms & perm != 0 && is_anyone(first));
        is_open || self.permits_slowly(acl, perm, ids)
    }

    fn permits_slowly(&self, acl: &[AclEntry], perm: i32, ids: &[Identity]) -> bool {
        self.skip_acl
            || acl.is_empty()
            || ids.iter().any(|identity| &*identity.scheme == "super")
            || acl
                .iter()
                .filter(|entry| entry.perms & perm != 0)
                .any(|entry| is_anyone(entry) || ids.iter().any(|identity| self.matches(identity, entry)))
    }

    /// The ACL as getACL shows it: whoever lacks ADMIN sees of digests only the user.
    pub fn mask_digests(&self, acl: &AclList, ids: &[Identity]) -> AclList {
        if !acl.iter().any(|entry| &*entry.scheme == "digest") || self.permits(acl, perms::ADMIN, ids) {
            return Arc::clone(acl);
        }
        let mask = |entry: &AclEntry| match &*entry.scheme {
            "digest" => AclEntry { id: digest::masked(&entry.id).into(), ..entry.clone() },
            _ => entry.clone(),
        };
        acl.iter().map(mask).collect()
    }

    /// Whether `auth` in an ACL stands for identities of this scheme.
    fn is_proof(&self, scheme: &str) -> bool {
        scheme == "digest" && self.digest.is_some()
    }

    fn matches(&self, identity: &Identity, entry: &AclEntry) -> bool {
        identity.scheme == entry.scheme
            && match &*entry.scheme {
                "ip" => address::matches(&identity.id, &entry.id),
                "digest" => self.digest.is_some() && digest::same_secret(&identity.id, &entry.id),
                _ => false,
            }
    }
}

#[inline]
fn is_anyone(entry: &AclEntry) -> bool {
    &*entry.scheme == "world" && &*entry.id == "anyone"
}

/// Whether an equal entry has been kept. Java compares field by field and trips over a null of
/// the newer entry as soon as it gets there.
fn is_repeated(entry: &Acl<'_>, kept: &[&Acl<'_>]) -> Result<bool, ErrorCode> {
    for other in kept.iter().filter(|other| other.perms == entry.perms) {
        let scheme = entry.id.scheme.as_deref().ok_or(ErrorCode::MARSHALLING_ERROR)?;
        if other.id.scheme.as_deref() != Some(scheme) {
            continue;
        }
        let id = entry.id.id.as_deref().ok_or(ErrorCode::MARSHALLING_ERROR)?;
        if other.id.id.as_deref() == Some(id) {
            return Ok(true);
        }
    }
    Ok(false)
}
