//! Completions: which C function to call when a request has come to its end, and what it is given.

use crate::errors::{ZMARSHALLINGERROR, ZOK};
use crate::memory::Buffer;
use crate::multi::Plan;
use crate::records::{
    ACL_vector, ClientInfo_vector, Stat, String_vector, deallocate_ACL_vector, deallocate_ClientInfo_vector, deallocate_String_vector,
};
use crate::vectors::{put_acl, put_identities, put_strings};
use oxkeeper_client::{Chroot, reply};
use oxkeeper_proto::JuteError;
use oxkeeper_proto::records as wire;
use std::ffi::{c_char, c_int, c_void};
use std::ptr;

/// The completion types of the headers, null allowed.
pub type VoidFn = Option<unsafe extern "C" fn(rc: c_int, data: *const c_void)>;
/// `stat_completion_t`
pub type StatFn = Option<unsafe extern "C" fn(rc: c_int, stat: *const Stat, data: *const c_void)>;
/// `data_completion_t`
pub type DataFn = Option<unsafe extern "C" fn(rc: c_int, value: *const c_char, length: c_int, stat: *const Stat, data: *const c_void)>;
/// `strings_completion_t`
pub type StringsFn = Option<unsafe extern "C" fn(rc: c_int, strings: *const String_vector, data: *const c_void)>;
/// `strings_stat_completion_t`
pub type StringsStatFn = Option<unsafe extern "C" fn(rc: c_int, strings: *const String_vector, stat: *const Stat, data: *const c_void)>;
/// `string_completion_t`
pub type StringFn = Option<unsafe extern "C" fn(rc: c_int, value: *const c_char, data: *const c_void)>;
/// `string_stat_completion_t`
pub type StringStatFn = Option<unsafe extern "C" fn(rc: c_int, value: *const c_char, stat: *const Stat, data: *const c_void)>;
/// `acl_completion_t`
pub type AclFn = Option<unsafe extern "C" fn(rc: c_int, acl: *mut ACL_vector, stat: *mut Stat, data: *const c_void)>;
/// `client_info_completion_t` of `zookeeper_ext.h`
pub type ClientInfoFn = Option<unsafe extern "C" fn(rc: c_int, infos: *const ClientInfo_vector, data: *const c_void)>;
/// `number_completion_t` of `zookeeper_ext.h`
pub type NumberFn = Option<unsafe extern "C" fn(rc: c_int, number: c_int, data: *const c_void)>;

/// The function to call, by what it is given.
pub enum Callback {
    /// Only the code.
    Void(VoidFn),
    /// A Stat.
    Stat(StatFn),
    /// Data and a Stat.
    Data(DataFn),
    /// Strings.
    Strings(StringsFn),
    /// Strings and a Stat.
    StringsStat(StringsStatFn),
    /// A path.
    String(StringFn),
    /// A path and a Stat.
    StringStat(StringStatFn),
    /// An ACL and a Stat.
    Acl(AclFn),
    /// Results of a multi, filled before the function is called.
    Multi(VoidFn, Box<Plan>),
    /// Identities.
    ClientInfo(ClientInfoFn),
    /// A number.
    Number(NumberFn),
}

/// A request's completion and its data. Its address is the request's tag.
pub struct Pending {
    /// What to call.
    pub callback: Callback,
    /// The application's.
    pub data: *const c_void,
}

/// Sets a tag of a synchronous call apart from the address of a [`Pending`], which is even.
pub const SYNCHRONOUS: u64 = 1;

impl Pending {
    /// The tag. It holds the memory until [`Pending::from_tag`].
    pub fn into_tag(self) -> u64 {
        Box::into_raw(Box::new(self)).expose_provenance() as u64
    }

    /// Takes it back.
    ///
    /// # Safety
    /// The tag is from [`Pending::into_tag`] and has not been taken back before.
    pub unsafe fn from_tag(tag: u64) -> Self {
        // SAFETY: the caller's promise.
        unsafe { *Box::from_raw(ptr::with_exposed_provenance_mut(tag as usize)) }
    }
}

/// Memory for the strings that callbacks are given, used again for each. (Vectors are libc's: a completion may give back what
/// it is lent, see [`lend`].)
#[derive(Default)]
pub struct Scratch {
    bytes: Vec<u8>,
}

impl Scratch {
    /// A NUL-terminated copy, good until the scratch is used again.
    pub fn string(&mut self, text: &[u8]) -> *const c_char {
        self.bytes.clear();
        self.bytes.extend_from_slice(text);
        self.bytes.push(0);
        self.bytes.as_ptr().cast()
    }
}

/// A count for C; what comes from one frame always fits.
pub(crate) fn count(length: usize) -> i32 {
    i32::try_from(length).unwrap_or(i32::MAX)
}

/// A Stat as C has it.
pub fn stat(stat: &wire::Stat) -> Stat {
    Stat {
        czxid: stat.czxid,
        mzxid: stat.mzxid,
        ctime: stat.ctime,
        mtime: stat.mtime,
        version: stat.version,
        cversion: stat.cversion,
        aversion: stat.aversion,
        ephemeralOwner: stat.ephemeral_owner,
        dataLength: stat.data_length,
        numChildren: stat.num_children,
        pzxid: stat.pzxid,
    }
}

/// Data as C has it: null data has length -1.
pub fn buffer(data: Option<&[u8]>) -> Buffer {
    data.map_or(Buffer { len: -1, buff: ptr::null_mut() }, |data| Buffer { len: count(data.len()), buff: data.as_ptr().cast_mut().cast() })
}

/// What came, if the request succeeded and the reply is what it should be; else the code that says why not.
fn read<'a, T>(rc: c_int, body: &'a [u8], read: impl FnOnce(&'a [u8]) -> Result<T, JuteError>) -> Result<T, c_int> {
    if rc == ZOK { read(body).map_err(|_| ZMARSHALLINGERROR) } else { Err(rc) }
}

/// The Stat that must be there.
fn with_stat<T>((value, stat): (T, Option<wire::Stat>)) -> Result<(T, wire::Stat), JuteError> {
    Ok((value, stat.ok_or(JuteError::EndOfInput)?))
}

/// Makes a vector, lends it to a completion, and gives back its memory, unless the completion has done so itself: the
/// original allows that, and the Node addon does it.
///
/// # Safety
/// `deallocate` gives back what `make` has made, and only once.
unsafe fn lend<V>(
    mut vector: V,
    make: impl FnOnce(&mut V) -> c_int,
    function: impl FnOnce(c_int, *mut V),
    deallocate: unsafe extern "C" fn(*mut V) -> c_int,
) {
    let made = make(&mut vector);
    let lent = &raw mut vector;
    function(made, if made == ZOK { lent } else { ptr::null_mut() });
    // SAFETY: the caller's promise.
    unsafe { deallocate(lent) };
}

const NO_STRINGS: String_vector = String_vector { count: 0, data: ptr::null_mut() };
const NO_ACL: ACL_vector = ACL_vector { count: 0, data: ptr::null_mut() };
const NO_IDENTITIES: ClientInfo_vector = ClientInfo_vector { count: 0, data: ptr::null_mut() };

impl Pending {
    /// Calls the application's function with the end of the request: `rc`, and the reply's body where there is one.
    ///
    /// # Safety
    /// The function and its data are what the application said they are. No lock is held.
    pub unsafe fn call(self, chroot: &Chroot, rc: c_int, body: &[u8], scratch: &mut Scratch) {
        let data = self.data;
        // SAFETY: for all of the calls below: the function has the type that its variant says, and what it is given
        // lives until it returns.
        unsafe {
            match self.callback {
                Callback::Void(function) => {
                    if let Some(function) = function {
                        function(rc, data);
                    }
                }
                Callback::Multi(function, plan) => {
                    let rc = plan.finish(chroot, rc, body);
                    if let Some(function) = function {
                        function(rc, data);
                    }
                }
                Callback::Stat(Some(function)) => match read(rc, body, reply::stat) {
                    Ok(found) => function(ZOK, &stat(&found), data),
                    Err(rc) => function(rc, ptr::null(), data),
                },
                Callback::Data(Some(function)) => match read(rc, body, reply::data) {
                    Ok((value, found)) => {
                        let value = buffer(value);
                        function(ZOK, value.buff, value.len, &stat(&found), data);
                    }
                    Err(rc) => function(rc, ptr::null(), 0, ptr::null(), data),
                },
                Callback::Strings(Some(function)) => match read(rc, body, reply::strings) {
                    Ok((strings, _)) => lend(
                        NO_STRINGS,
                        |vector| put_strings(strings, vector),
                        |rc, vector| function(rc, vector, data),
                        deallocate_String_vector,
                    ),
                    Err(rc) => function(rc, ptr::null(), data),
                },
                Callback::StringsStat(Some(function)) => match read(rc, body, |body| with_stat(reply::strings(body)?)) {
                    Ok((strings, found)) => lend(
                        NO_STRINGS,
                        |vector| put_strings(strings, vector),
                        |rc, vector| function(rc, vector, &stat(&found), data),
                        deallocate_String_vector,
                    ),
                    Err(rc) => function(rc, ptr::null(), ptr::null(), data),
                },
                Callback::String(Some(function)) => match read(rc, body, reply::path) {
                    Ok(path) => function(ZOK, scratch.string(chroot.cut_or_keep(path)), data),
                    Err(rc) => function(rc, ptr::null(), data),
                },
                Callback::StringStat(Some(function)) => match read(rc, body, |body| with_stat(reply::created(body)?)) {
                    Ok((path, found)) => function(ZOK, scratch.string(chroot.cut_or_keep(path)), &stat(&found), data),
                    Err(rc) => function(rc, ptr::null(), ptr::null(), data),
                },
                Callback::Acl(Some(function)) => match read(rc, body, reply::acl) {
                    Ok((entries, found)) => lend(
                        NO_ACL,
                        |vector| put_acl(&entries, vector),
                        |rc, vector| function(rc, vector, &mut stat(&found), data),
                        deallocate_ACL_vector,
                    ),
                    Err(rc) => function(rc, ptr::null_mut(), ptr::null_mut(), data),
                },
                Callback::ClientInfo(Some(function)) => match read(rc, body, reply::identities) {
                    Ok(identities) => lend(
                        NO_IDENTITIES,
                        |vector| put_identities(&identities, vector),
                        |rc, vector| function(rc, vector, data),
                        deallocate_ClientInfo_vector,
                    ),
                    Err(rc) => function(rc, ptr::null(), data),
                },
                Callback::Number(Some(function)) => match read(rc, body, reply::number) {
                    Ok(number) => function(ZOK, number, data),
                    Err(rc) => function(rc, 0, data),
                },
                // Without a function there is nobody to tell. (The original crashes here.)
                Callback::Stat(None)
                | Callback::Data(None)
                | Callback::Strings(None)
                | Callback::StringsStat(None)
                | Callback::String(None)
                | Callback::StringStat(None)
                | Callback::Acl(None)
                | Callback::ClientInfo(None)
                | Callback::Number(None) => {}
            }
        }
    }
}
