//! Arguments of C functions as Rust has them. A null or a length that is none gives `None`: ZBADARGUMENTS.

use crate::records::ACL_vector;
use oxkeeper_client::AclRef;
use std::ffi::{CStr, c_char, c_int};

/// A string that must be there.
///
/// # Safety
/// Null or NUL-terminated, for as long as it is lent.
pub unsafe fn string<'a>(text: *const c_char) -> Option<&'a [u8]> {
    // SAFETY: the caller's promise.
    if text.is_null() { None } else { Some(unsafe { CStr::from_ptr(text) }.to_bytes()) }
}

/// Data: a length of -1 is null data. Bytes that are announced must be there. (The outer option says whether it is an
/// argument, the inner whether it is null data.)
///
/// # Safety
/// Null or `length` bytes, for as long as it is lent.
pub unsafe fn data<'a>(bytes: *const c_char, length: c_int) -> Option<Option<&'a [u8]>> {
    match usize::try_from(length) {
        Ok(0) => Some(Some(&[])),
        Ok(_) if bytes.is_null() => None,
        // SAFETY: the caller's promise.
        Ok(length) => Some(Some(unsafe { std::slice::from_raw_parts(bytes.cast(), length) })),
        Err(_) if length == -1 => Some(None),
        Err(_) => None,
    }
}

/// An ACL; null is an empty one, as in the original.
///
/// # Safety
/// Null or a valid vector, for as long as it is lent.
pub unsafe fn acl<'a>(acl: *const ACL_vector) -> Option<Vec<AclRef<'a>>> {
    // SAFETY: the caller's promise, here and below.
    let Some(acl) = (unsafe { acl.as_ref() }) else { return Some(Vec::new()) };
    let count = usize::try_from(acl.count).unwrap_or(0);
    if count > 0 && acl.data.is_null() {
        return None;
    }
    let mut entries = Vec::with_capacity(count);
    for i in 0..count {
        // SAFETY: within the count. A null scheme or id is as good as an empty one: servers refuse both.
        entries.push(unsafe {
            let entry = &*acl.data.add(i);
            AclRef { perms: entry.perms, scheme: string(entry.id.scheme).unwrap_or_default(), id: string(entry.id.id).unwrap_or_default() }
        });
    }
    Some(entries)
}
