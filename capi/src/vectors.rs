//! Vectors of a reply in libc's memory: what synchronous calls give away, and what completions are lent.

use crate::errors::{ZOK, ZSYSTEMERROR};
use crate::memory::copy_string;
use crate::records::{
    ACL_vector, ClientInfo_vector, String_vector, allocate_ACL_vector, allocate_ClientInfo_vector, allocate_String_vector,
    deallocate_ACL_vector, deallocate_ClientInfo_vector, deallocate_String_vector,
};
use oxkeeper_client::reply;
use std::ffi::c_int;

/// Strings into a vector of libc's memory, if one is wanted.
///
/// # Safety
/// Null or a vector that may be overwritten.
pub unsafe fn put_strings(strings: reply::Strings<'_>, to: *mut String_vector) -> c_int {
    // SAFETY: the caller's promise, and the elements that have just been allocated.
    unsafe {
        let Some(to) = to.as_mut() else { return ZOK };
        let count = c_int::try_from(strings.len()).unwrap_or(c_int::MAX);
        allocate_String_vector(to, count);
        if to.count != count {
            return ZSYSTEMERROR;
        }
        for (i, text) in strings.take(count as usize).enumerate() {
            let copy = copy_string(text);
            if copy.is_null() {
                deallocate_String_vector(to);
                return ZSYSTEMERROR;
            }
            *to.data.add(i) = copy;
        }
    }
    ZOK
}

/// An ACL into a vector of libc's memory, if one is wanted.
///
/// # Safety
/// Null or a vector that may be overwritten.
pub unsafe fn put_acl(acl: &[reply::AclEntry<'_>], to: *mut ACL_vector) -> c_int {
    // SAFETY: the caller's promise, and the elements that have just been allocated.
    unsafe {
        let Some(to) = to.as_mut() else { return ZOK };
        let count = c_int::try_from(acl.len()).unwrap_or(c_int::MAX);
        allocate_ACL_vector(to, count);
        if to.count != count {
            return ZSYSTEMERROR;
        }
        for (i, entry) in acl.iter().take(count as usize).enumerate() {
            let to_entry = &mut *to.data.add(i);
            to_entry.perms = entry.perms;
            to_entry.id.scheme = copy_string(entry.scheme);
            to_entry.id.id = copy_string(entry.id);
            if to_entry.id.scheme.is_null() || to_entry.id.id.is_null() {
                deallocate_ACL_vector(to);
                return ZSYSTEMERROR;
            }
        }
    }
    ZOK
}

/// Identities into a vector of libc's memory, if one is wanted.
///
/// # Safety
/// Null or a vector that may be overwritten.
pub unsafe fn put_identities(identities: &[(&[u8], &[u8])], to: *mut ClientInfo_vector) -> c_int {
    // SAFETY: the caller's promise, and the elements that have just been allocated.
    unsafe {
        let Some(to) = to.as_mut() else { return ZOK };
        let count = c_int::try_from(identities.len()).unwrap_or(c_int::MAX);
        allocate_ClientInfo_vector(to, count);
        if to.count != count {
            return ZSYSTEMERROR;
        }
        for (i, (scheme, user)) in identities.iter().take(count as usize).enumerate() {
            let entry = &mut *to.data.add(i);
            entry.authScheme = copy_string(scheme);
            entry.user = copy_string(user);
            if entry.authScheme.is_null() || entry.user.is_null() {
                deallocate_ClientInfo_vector(to);
                return ZSYSTEMERROR;
            }
        }
    }
    ZOK
}
