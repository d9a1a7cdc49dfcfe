//! What only the static archives have: archives over buffers, and the functions that carry each record through them
//! (`records.rs`). The records themselves are in `oxkeeper-capi`.

use oxkeeper_capi::memory::Buffer;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;

/// `struct iarchive` of `recordio.h`.
#[repr(C)]
#[expect(missing_docs, reason = "the names of the header, shorter")]
pub struct InArchive {
    pub start_record: unsafe extern "C" fn(*mut InArchive, *const c_char) -> c_int,
    pub end_record: unsafe extern "C" fn(*mut InArchive, *const c_char) -> c_int,
    pub start_vector: unsafe extern "C" fn(*mut InArchive, *const c_char, *mut i32) -> c_int,
    pub end_vector: unsafe extern "C" fn(*mut InArchive, *const c_char) -> c_int,
    pub boolean: unsafe extern "C" fn(*mut InArchive, *const c_char, *mut i32) -> c_int,
    pub int: unsafe extern "C" fn(*mut InArchive, *const c_char, *mut i32) -> c_int,
    pub long: unsafe extern "C" fn(*mut InArchive, *const c_char, *mut i64) -> c_int,
    pub buffer: unsafe extern "C" fn(*mut InArchive, *const c_char, *mut Buffer) -> c_int,
    pub string: unsafe extern "C" fn(*mut InArchive, *const c_char, *mut *mut c_char) -> c_int,
    pub priv_: *mut c_void,
}

/// `struct oarchive` of `recordio.h`.
#[repr(C)]
#[expect(missing_docs, reason = "the names of the header, shorter")]
pub struct OutArchive {
    pub start_record: unsafe extern "C" fn(*mut OutArchive, *const c_char) -> c_int,
    pub end_record: unsafe extern "C" fn(*mut OutArchive, *const c_char) -> c_int,
    pub start_vector: unsafe extern "C" fn(*mut OutArchive, *const c_char, *const i32) -> c_int,
    pub end_vector: unsafe extern "C" fn(*mut OutArchive, *const c_char) -> c_int,
    pub boolean: unsafe extern "C" fn(*mut OutArchive, *const c_char, *const i32) -> c_int,
    pub int: unsafe extern "C" fn(*mut OutArchive, *const c_char, *const i32) -> c_int,
    pub long: unsafe extern "C" fn(*mut OutArchive, *const c_char, *const i64) -> c_int,
    pub buffer: unsafe extern "C" fn(*mut OutArchive, *const c_char, *const Buffer) -> c_int,
    pub string: unsafe extern "C" fn(*mut OutArchive, *const c_char, *mut *mut c_char) -> c_int,
    pub priv_: *mut c_void,
}

/// Goes on with 0, returns anything else.
macro_rules! attempt {
    ($result:expr) => {
        match $result {
            0 => {}
            failure => return failure,
        }
    };
}

/// One member of a record: by the archive's own function, or by those of its record.
macro_rules! member {
    ([$serialize:ident $deserialize:ident] $_verb:ident serialize $archive:expr, $tag:expr, $value:expr) => {
        attempt!($serialize($archive, $tag, $value))
    };
    ([$serialize:ident $deserialize:ident] $_verb:ident deserialize $archive:expr, $tag:expr, $value:expr) => {
        attempt!($deserialize($archive, $tag, $value))
    };
    ($primitive:ident $_verb:ident $_direction:ident $archive:expr, $tag:expr, $value:expr) => {
        attempt!(((*$archive).$primitive)($archive, $tag, $value))
    };
}

/// The two functions of a record.
macro_rules! record {
    ($name:ident, $serialize:ident, $deserialize:ident { $($kind:tt $field:ident,)* }) => {
        /// Writes the record; 0 or the archive's error.
        ///
        /// # Safety
        /// The archive and the record are valid.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $serialize(out: *mut crate::OutArchive, tag: *const std::ffi::c_char, v: *mut $name) -> std::ffi::c_int {
            // SAFETY: the caller's promise; the archive's functions keep theirs.
            unsafe {
                attempt!(((*out).start_record)(out, tag));
                $(member!($kind verb serialize out, concat!(stringify!($field), "\0").as_ptr().cast(), &raw mut (*v).$field);)*
                ((*out).end_record)(out, tag)
            }
        }

        /// Reads the record; 0 or the archive's error. What was read before an error is the caller's to deallocate.
        ///
        /// # Safety
        /// The archive is valid, the record may be overwritten.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $deserialize(input: *mut crate::InArchive, tag: *const std::ffi::c_char, v: *mut $name) -> std::ffi::c_int {
            // SAFETY: as above. All members are plain numbers and pointers, for which zeros are values.
            unsafe {
                std::ptr::write_bytes(v, 0, 1);
                attempt!(((*input).start_record)(input, tag));
                $(member!($kind verb deserialize input, concat!(stringify!($field), "\0").as_ptr().cast(), &raw mut (*v).$field);)*
                ((*input).end_record)(input, tag)
            }
        }
    };
}

/// The two functions of a vector.
macro_rules! vector {
    ($name:ident, $serialize:ident, $deserialize:ident, $allocate:ident, $kind:tt) => {
        /// Writes the vector; 0 or the archive's error.
        ///
        /// # Safety
        /// The archive and the vector are valid.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $serialize(out: *mut crate::OutArchive, tag: *const std::ffi::c_char, v: *mut $name) -> std::ffi::c_int {
            // SAFETY: the caller's promise; the elements are within the count.
            unsafe {
                attempt!(((*out).start_vector)(out, tag, &raw const (*v).count));
                for i in 0..usize::try_from((*v).count).unwrap_or(0) {
                    member!($kind verb serialize out, c"data".as_ptr(), (*v).data.add(i));
                }
                ((*out).end_vector)(out, tag)
            }
        }

        /// Reads the vector; 0 or an error. What was read before an error is the caller's to deallocate.
        ///
        /// # Safety
        /// The archive is valid, the vector may be overwritten.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $deserialize(input: *mut crate::InArchive, tag: *const std::ffi::c_char, v: *mut $name) -> std::ffi::c_int {
            // SAFETY: the caller's promise; as many elements as were allocated.
            unsafe {
                let mut count = 0;
                std::ptr::write_bytes(v, 0, 1);
                attempt!(((*input).start_vector)(input, tag, &raw mut count));
                attempt!(crate::check_count(input, count));
                $allocate(v, count);
                if (*v).count != count.max(0) {
                    return -libc::ENOMEM;
                }
                for i in 0..usize::try_from(count).unwrap_or(0) {
                    member!($kind verb deserialize input, c"data".as_ptr(), (*v).data.add(i));
                }
                ((*input).end_vector)(input, tag)
            }
        }
    };
}

#[rustfmt::skip]
pub mod records;

/// The bytes behind an archive of this library.
struct Bytes {
    start: *mut c_char,
    length: usize,
    at: usize,
}

/// Of a new archive for writing, as in the original.
const FIRST_ROOM_BYTES: usize = 128;

/// # Safety
/// An archive of [`create_buffer_oarchive`].
unsafe fn written<'a>(archive: *mut OutArchive) -> &'a mut Bytes {
    // SAFETY: the caller's promise.
    unsafe { &mut *(*archive).priv_.cast() }
}

/// # Safety
/// An archive of [`create_buffer_iarchive`].
unsafe fn read<'a>(archive: *mut InArchive) -> &'a mut Bytes {
    // SAFETY: the caller's promise.
    unsafe { &mut *(*archive).priv_.cast() }
}

impl Bytes {
    fn append(&mut self, bytes: &[u8]) -> c_int {
        let end = self.at + bytes.len();
        if end > self.length {
            let room = end.max(self.length * 2);
            // SAFETY: libc's memory, or null.
            let grown = unsafe { libc::realloc(self.start.cast(), room) };
            if grown.is_null() {
                return -libc::ENOMEM;
            }
            (self.start, self.length) = (grown.cast(), room);
        }
        // SAFETY: there is room.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), self.start.add(self.at).cast(), bytes.len()) };
        self.at = end;
        0
    }

    fn take(&mut self, count: usize) -> Option<&[u8]> {
        if count > self.length - self.at {
            return None;
        }
        // SAFETY: within the length.
        let bytes = unsafe { std::slice::from_raw_parts(self.start.add(self.at).cast(), count) };
        self.at += count;
        Some(bytes)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }
}

/// A count cannot be more than the bytes that are left, where that can be known: every element takes one at least.
///
/// # Safety
/// A valid archive.
unsafe fn check_count(archive: *mut InArchive, count: i32) -> c_int {
    // SAFETY: the caller's promise; only an archive with our function has our bytes.
    let left = unsafe {
        if !ptr::fn_addr_eq((*archive).int, in_int as unsafe extern "C" fn(*mut InArchive, *const c_char, *mut i32) -> c_int) {
            return 0;
        }
        let bytes = read(archive);
        bytes.length - bytes.at
    };
    if usize::try_from(count).is_ok_and(|count| count > left) { -libc::E2BIG } else { 0 }
}

unsafe extern "C" fn out_nothing(_: *mut OutArchive, _: *const c_char) -> c_int {
    0
}

unsafe extern "C" fn out_int(archive: *mut OutArchive, _: *const c_char, value: *const i32) -> c_int {
    // SAFETY: an archive of ours and a value of the caller's.
    unsafe { written(archive).append(&(*value).to_be_bytes()) }
}

unsafe extern "C" fn out_long(archive: *mut OutArchive, _: *const c_char, value: *const i64) -> c_int {
    // SAFETY: as above.
    unsafe { written(archive).append(&(*value).to_be_bytes()) }
}

unsafe extern "C" fn out_boolean(archive: *mut OutArchive, _: *const c_char, value: *const i32) -> c_int {
    // SAFETY: as above.
    unsafe { written(archive).append(&[u8::from(*value != 0)]) }
}

unsafe extern "C" fn out_buffer(archive: *mut OutArchive, _: *const c_char, value: *const Buffer) -> c_int {
    // SAFETY: as above; the buffer has as many bytes as it says.
    unsafe {
        let Some(buffer) = value.as_ref() else { return written(archive).append(&(-1_i32).to_be_bytes()) };
        attempt!(written(archive).append(&buffer.len.to_be_bytes()));
        match usize::try_from(buffer.len) {
            Ok(length) if length > 0 && !buffer.buff.is_null() => {
                written(archive).append(std::slice::from_raw_parts(buffer.buff.cast(), length))
            }
            _ => 0,
        }
    }
}

unsafe extern "C" fn out_string(archive: *mut OutArchive, _: *const c_char, value: *mut *mut c_char) -> c_int {
    // SAFETY: as above; a string of C or null.
    unsafe {
        if (*value).is_null() {
            return written(archive).append(&(-1_i32).to_be_bytes());
        }
        let text = CStr::from_ptr(*value).to_bytes();
        let Ok(length) = i32::try_from(text.len()) else { return -libc::E2BIG };
        attempt!(written(archive).append(&length.to_be_bytes()));
        written(archive).append(text)
    }
}

unsafe extern "C" fn in_nothing(_: *mut InArchive, _: *const c_char) -> c_int {
    0
}

unsafe extern "C" fn in_int(archive: *mut InArchive, _: *const c_char, value: *mut i32) -> c_int {
    // SAFETY: an archive of ours and room of the caller's.
    unsafe {
        let Some(bytes) = read(archive).array() else { return -libc::E2BIG };
        *value = i32::from_be_bytes(bytes);
    }
    0
}

unsafe extern "C" fn in_long(archive: *mut InArchive, _: *const c_char, value: *mut i64) -> c_int {
    // SAFETY: as above.
    unsafe {
        let Some(bytes) = read(archive).array() else { return -libc::E2BIG };
        *value = i64::from_be_bytes(bytes);
    }
    0
}

unsafe extern "C" fn in_boolean(archive: *mut InArchive, _: *const c_char, value: *mut i32) -> c_int {
    // SAFETY: as above.
    unsafe {
        let Some([byte]) = read(archive).array() else { return -libc::E2BIG };
        *value = i32::from(byte as i8);
    }
    0
}

/// Reads a length and as many bytes into libc's memory, with a NUL behind them; `None` for a length of -1.
///
/// # Safety
/// An archive of ours.
unsafe fn in_bytes(archive: *mut InArchive) -> Result<Option<(i32, *mut c_char)>, c_int> {
    // SAFETY: the caller's promise.
    let from = unsafe { read(archive) };
    let length = i32::from_be_bytes(from.array().ok_or(-libc::E2BIG)?);
    let Ok(count) = usize::try_from(length) else { return if length == -1 { Ok(None) } else { Err(-libc::EINVAL) } };
    let copy = oxkeeper_capi::memory::copy_string(from.take(count).ok_or(-libc::E2BIG)?);
    if copy.is_null() { Err(-libc::ENOMEM) } else { Ok(Some((length, copy))) }
}

unsafe extern "C" fn in_buffer(archive: *mut InArchive, _: *const c_char, value: *mut Buffer) -> c_int {
    // SAFETY: as above.
    unsafe {
        match in_bytes(archive) {
            Ok(bytes) => {
                let (len, buff) = bytes.unwrap_or((-1, ptr::null_mut()));
                *value = Buffer { len, buff };
                0
            }
            Err(error) => error,
        }
    }
}

unsafe extern "C" fn in_string(archive: *mut InArchive, _: *const c_char, value: *mut *mut c_char) -> c_int {
    // SAFETY: as above.
    unsafe {
        match in_bytes(archive) {
            Ok(Some((_, text))) => {
                *value = text;
                0
            }
            // The original has no null strings.
            Ok(None) => -libc::EINVAL,
            Err(error) => error,
        }
    }
}

/// Room for a `T` in libc's memory, filled; null when there is none.
fn allocate<T>(value: T) -> *mut T {
    // SAFETY: libc's memory is aligned for all of C's types, of which these are.
    unsafe {
        let room = libc::malloc(size_of::<T>()).cast::<T>();
        if !room.is_null() {
            room.write(value);
        }
        room
    }
}

/// See `recordio.h`.
#[unsafe(no_mangle)]
pub extern "C" fn create_buffer_oarchive() -> *mut OutArchive {
    // SAFETY: nothing is asked of a size.
    let start = unsafe { libc::malloc(FIRST_ROOM_BYTES) }.cast();
    let bytes = allocate(Bytes { start, length: if start.is_null() { 0 } else { FIRST_ROOM_BYTES }, at: 0 });
    let archive = allocate(OutArchive {
        start_record: out_nothing,
        end_record: out_nothing,
        start_vector: out_int,
        end_vector: out_nothing,
        boolean: out_boolean,
        int: out_int,
        long: out_long,
        buffer: out_buffer,
        string: out_string,
        priv_: bytes.cast(),
    });
    if bytes.is_null() || archive.is_null() {
        // SAFETY: null or libc's.
        unsafe {
            libc::free(start.cast());
            libc::free(bytes.cast());
            libc::free(archive.cast());
        }
        return ptr::null_mut();
    }
    archive
}

/// See `recordio.h`.
///
/// # Safety
/// A place with an archive of [`create_buffer_oarchive`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn close_buffer_oarchive(archive: *mut *mut OutArchive, free_buffer: c_int) {
    // SAFETY: the caller's promise.
    unsafe {
        let bytes = (**archive).priv_.cast::<Bytes>();
        if free_buffer != 0 {
            libc::free((*bytes).start.cast());
        }
        libc::free(bytes.cast());
        libc::free((*archive).cast());
        *archive = ptr::null_mut();
    }
}

/// See `recordio.h`.
#[unsafe(no_mangle)]
pub extern "C" fn create_buffer_iarchive(buffer: *mut c_char, len: c_int) -> *mut InArchive {
    let length = if buffer.is_null() { 0 } else { usize::try_from(len).unwrap_or(0) };
    let bytes = allocate(Bytes { start: buffer, length, at: 0 });
    let archive = allocate(InArchive {
        start_record: in_nothing,
        end_record: in_nothing,
        start_vector: in_int,
        end_vector: in_nothing,
        boolean: in_boolean,
        int: in_int,
        long: in_long,
        buffer: in_buffer,
        string: in_string,
        priv_: bytes.cast(),
    });
    if bytes.is_null() || archive.is_null() {
        // SAFETY: null or libc's.
        unsafe {
            libc::free(bytes.cast());
            libc::free(archive.cast());
        }
        return ptr::null_mut();
    }
    archive
}

/// See `recordio.h`.
///
/// # Safety
/// A place with an archive of [`create_buffer_iarchive`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn close_buffer_iarchive(archive: *mut *mut InArchive) {
    // SAFETY: the caller's promise.
    unsafe {
        libc::free((**archive).priv_);
        libc::free((*archive).cast());
        *archive = ptr::null_mut();
    }
}

/// See `recordio.h`.
///
/// # Safety
/// An archive of [`create_buffer_oarchive`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn get_buffer(archive: *mut OutArchive) -> *mut c_char {
    // SAFETY: the caller's promise.
    unsafe { written(archive).start }
}

/// See `recordio.h`.
///
/// # Safety
/// An archive of [`create_buffer_oarchive`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn get_buffer_len(archive: *mut OutArchive) -> c_int {
    // SAFETY: the caller's promise.
    c_int::try_from(unsafe { written(archive).at }).unwrap_or(c_int::MAX)
}
