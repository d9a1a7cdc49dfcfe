//! Memory that crosses the boundary: it is libc's, so that callers may `free` it and mix it with their own.
//! Which records there are is in `records.rs`.

use std::ffi::{c_char, c_int};
use std::ptr;

/// `struct buffer` of `recordio.h`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Buffer {
    /// Bytes; -1 for null.
    pub len: i32,
    /// The bytes.
    pub buff: *mut c_char,
}

/// Frees a string and sets it to null.
///
/// # Safety
/// `s` is null or points to a string of libc's memory, or to null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn deallocate_String(s: *mut *mut c_char) {
    // SAFETY: the caller's promise.
    if let Some(s) = unsafe { s.as_mut() } {
        // SAFETY: null or libc's memory; nobody else frees it, for it becomes null.
        unsafe { libc::free((*s).cast()) };
        *s = ptr::null_mut();
    }
}

/// Frees the bytes and sets them to null; the length stays, as in the original.
///
/// # Safety
/// `b` is null or points to a buffer of libc's memory.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn deallocate_Buffer(b: *mut Buffer) {
    // SAFETY: the caller's promise.
    if let Some(b) = unsafe { b.as_mut() } {
        // SAFETY: as above.
        unsafe { libc::free(b.buff.cast()) };
        b.buff = ptr::null_mut();
    }
}

/// Swaps the bytes of a 64-bit number between the machine's and the network's order.
#[unsafe(no_mangle)]
pub extern "C" fn zoo_htonll(v: i64) -> i64 {
    v.to_be()
}

/// Room for `len` elements of zeros: count 0 and null when `len` is not positive; null also without memory, and then
/// the count is 0 too, so that nobody walks over what is not there.
pub(crate) fn allocate_elements<T>(count: &mut i32, data: &mut *mut T, len: i32) -> c_int {
    *count = 0;
    *data = ptr::null_mut();
    if let Ok(elements) = usize::try_from(len)
        && elements > 0
    {
        // SAFETY: calloc checks the product for overflow.
        let room = unsafe { libc::calloc(elements, size_of::<T>()) }.cast::<T>();
        if !room.is_null() {
            *count = len;
            *data = room;
        }
    }
    0
}

/// Gives back the elements, then their room; the count stays, as in the original.
///
/// # Safety
/// `data` is null or holds `count` elements in libc's memory, and `free` fits them.
pub(crate) unsafe fn deallocate_elements<T>(count: i32, data: &mut *mut T, free: unsafe extern "C" fn(*mut T)) -> c_int {
    if !data.is_null() {
        for i in 0..usize::try_from(count).unwrap_or(0) {
            // SAFETY: within the count; the caller's promise.
            unsafe { free(data.add(i)) };
        }
        // SAFETY: libc's memory.
        unsafe { libc::free((*data).cast()) };
        *data = ptr::null_mut();
    }
    0
}

/// A NUL-terminated copy of `bytes` in libc's memory; null when there is no memory.
pub fn copy_string(bytes: &[u8]) -> *mut c_char {
    // SAFETY: room for the bytes and the NUL is taken before both are written.
    unsafe {
        let room = libc::malloc(bytes.len() + 1).cast::<u8>();
        if !room.is_null() {
            ptr::copy_nonoverlapping(bytes.as_ptr(), room, bytes.len());
            *room.add(bytes.len()) = 0;
        }
        room.cast()
    }
}

/// A record: its structure, and what gives back the memory of its members.
macro_rules! record {
    ($name:ident, $deallocate:ident { $($field:ident: $kind:ty $(=> $free:ident)?,)* }) => {
        #[doc = concat!("`struct ", stringify!($name), "` of the header.")]
        #[repr(C)]
        #[derive(Clone, Copy, Debug)]
        pub struct $name {
            $(#[doc = concat!("`", stringify!($field), "`")] pub $field: $kind,)*
        }

        /// Gives back what the members hold.
        ///
        /// # Safety
        /// `v` is null or points to a record whose members hold libc's memory.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $deallocate(v: *mut $name) {
            let _ = v;
            $($(
                // SAFETY: the caller's promise; a null record is left alone.
                unsafe {
                    if !v.is_null() {
                        $free(&raw mut (*v).$field);
                    }
                }
            )?)*
        }
    };
}

/// A vector of records or strings: its structure, and what gives and takes its memory.
macro_rules! vector {
    ($name:ident of $element:ty, $allocate:ident, $deallocate:ident, $free:ident) => {
        #[doc = concat!("`struct ", stringify!($name), "` of the header.")]
        #[repr(C)]
        #[derive(Clone, Copy, Debug)]
        pub struct $name {
            /// How many.
            pub count: i32,
            /// The elements.
            pub data: *mut $element,
        }

        /// Makes room for `len` elements of zeros; always 0.
        ///
        /// # Safety
        /// `v` is null or points to a vector that may be overwritten.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $allocate(v: *mut $name, len: i32) -> std::ffi::c_int {
            // SAFETY: the caller's promise.
            unsafe { v.as_mut() }.map_or(0, |v| crate::memory::allocate_elements(&mut v.count, &mut v.data, len))
        }

        /// Gives back the elements; always 0.
        ///
        /// # Safety
        /// `v` is null or points to a vector of libc's memory.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $deallocate(v: *mut $name) -> std::ffi::c_int {
            unsafe extern "C" fn free(element: *mut $element) {
                // SAFETY: called for the elements of the vector only.
                unsafe { $free(element) };
            }
            // SAFETY: the caller's promise.
            unsafe { v.as_mut() }.map_or(0, |v| unsafe { crate::memory::deallocate_elements(v.count, &mut v.data, free) })
        }
    };
}

/// Copies a text into a caller's buffer: cut to the room, and always ended by NUL; without room nothing happens.
///
/// # Safety
/// `to` is null or has `room` bytes.
pub unsafe fn copy_out(text: &[u8], to: *mut c_char, room: c_int) {
    let Ok(room @ 1..) = usize::try_from(room) else { return };
    if !to.is_null() {
        let length = text.len().min(room - 1);
        // SAFETY: `length` and the NUL fit into the room.
        unsafe {
            ptr::copy_nonoverlapping(text.as_ptr(), to.cast(), length);
            *to.add(length) = 0;
        }
    }
}
