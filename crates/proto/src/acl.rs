//! ACLs as they are held: shared, so that a million nodes with the same ACL hold it once.

use crate::records::{Acl, Id};
use std::sync::{Arc, LazyLock};

/// One line of an ACL: what whoever matches `scheme:id` may do.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AclEntry {
    /// Bits of [`crate::perms`]; ZooKeeper stores whatever bits a client sent.
    pub perms: i32,
    /// `world`, `ip`, `digest` ...
    pub scheme: Box<str>,
    /// What the scheme compares.
    pub id: Box<str>,
}

/// A whole ACL. Cloning shares.
pub type AclList = Arc<[AclEntry]>;

/// Holds a decoded ACL; a null scheme or id, which no server lets in, becomes the empty string.
pub fn from_records(acl: &[Acl<'_>]) -> AclList {
    acl.iter()
        .map(|a| AclEntry {
            perms: a.perms,
            scheme: a.id.scheme.as_deref().unwrap_or_default().into(),
            id: a.id.id.as_deref().unwrap_or_default().into(),
        })
        .collect()
}

/// Whether [`from_records`] would make this ACL of the records.
pub fn is_same(acl: &[AclEntry], records: &[Acl<'_>]) -> bool {
    acl.len() == records.len()
        && acl.iter().zip(records).all(|(entry, record)| {
            entry.perms == record.perms
                && *entry.scheme == *record.id.scheme.as_deref().unwrap_or_default()
                && *entry.id == *record.id.id.as_deref().unwrap_or_default()
        })
}

/// The same ACL as records that borrow from it.
pub fn to_records(acl: &[AclEntry]) -> Vec<Acl<'_>> {
    acl.iter().map(|a| Acl { perms: a.perms, id: Id { scheme: Some((&*a.scheme).into()), id: Some((&*a.id).into()) } }).collect()
}

/// `[world:anyone, all permissions]`: what clients call OPEN_ACL_UNSAFE. Shared by all who ask.
pub fn open() -> AclList {
    static OPEN: LazyLock<AclList> =
        LazyLock::new(|| Arc::new([AclEntry { perms: crate::perms::ALL, scheme: "world".into(), id: "anyone".into() }]));
    OPEN.clone()
}

/// `[world:anyone, read]`: what the configuration node is born with.
pub fn read_only() -> AclList {
    Arc::new([AclEntry { perms: crate::perms::READ, scheme: "world".into(), id: "anyone".into() }])
}
