//! The data symbols. Executables hold copies of them (COPY relocations), so each has the original's exact size, and
//! what can change is read through the symbol only.

use crate::records::{ACL, ACL_vector, Id};
use std::cell::UnsafeCell;
use std::ffi::{c_char, c_int};
use std::sync::atomic::AtomicI32;

/// Something that C may write to; the library itself never reads it.
#[repr(transparent)]
pub struct Shared<T>(UnsafeCell<T>);

// SAFETY: the library does not touch the contents; what C does with them is C's.
unsafe impl<T> Sync for Shared<T> {}

macro_rules! numbers {
    ($($name:ident = $value:expr;)*) => {
        $(#[doc = "A constant of `zookeeper.h`."] #[unsafe(no_mangle)] pub static $name: c_int = $value;)*
    };
}

numbers! {
    ZOO_PERM_READ = 1;
    ZOO_PERM_WRITE = 2;
    ZOO_PERM_CREATE = 4;
    ZOO_PERM_DELETE = 8;
    ZOO_PERM_ADMIN = 16;
    ZOO_PERM_ALL = 31;
    ZOOKEEPER_WRITE = 1;
    ZOOKEEPER_READ = 2;
    ZOO_PERSISTENT = 0;
    ZOO_EPHEMERAL = 1;
    ZOO_PERSISTENT_SEQUENTIAL = 2;
    ZOO_EPHEMERAL_SEQUENTIAL = 3;
    ZOO_CONTAINER = 4;
    ZOO_PERSISTENT_WITH_TTL = 5;
    ZOO_PERSISTENT_SEQUENTIAL_WITH_TTL = 6;
    ZOO_SEQUENCE = 2;
    ZOO_EXPIRED_SESSION_STATE = -112;
    ZOO_AUTH_FAILED_STATE = -113;
    ZOO_CONNECTING_STATE = 1;
    ZOO_ASSOCIATING_STATE = 2;
    ZOO_CONNECTED_STATE = 3;
    ZOO_READONLY_STATE = 5;
    ZOO_SSL_CONNECTING_STATE = 7;
    ZOO_NOTCONNECTED_STATE = 999;
    ZOO_CREATED_EVENT = 1;
    ZOO_DELETED_EVENT = 2;
    ZOO_CHANGED_EVENT = 3;
    ZOO_CHILD_EVENT = 4;
    ZOO_SESSION_EVENT = -1;
    ZOO_NOTWATCHING_EVENT = -2;
}

/// The level up to which lines are logged: 0 (none) to 4. The `LOG_` macros of executables read it.
#[unsafe(no_mangle)]
pub static logLevel: AtomicI32 = AtomicI32::new(3);

const fn id(scheme: *const c_char, id: *const c_char) -> Id {
    Id { scheme: scheme.cast_mut(), id: id.cast_mut() }
}

const fn one(entry: &Shared<ACL>) -> Shared<ACL_vector> {
    Shared(UnsafeCell::new(ACL_vector { count: 1, data: entry.0.get() }))
}

const fn entry(perms: i32, id: Id) -> Shared<ACL> {
    Shared(UnsafeCell::new(ACL { perms, id }))
}

const ANYONE: Id = id(c"world".as_ptr(), c"anyone".as_ptr());
const AUTHENTICATED: Id = id(c"auth".as_ptr(), c"".as_ptr());

static OPEN_ACL: Shared<ACL> = entry(31, ANYONE);
static READ_ACL: Shared<ACL> = entry(1, ANYONE);
static CREATOR_ACL: Shared<ACL> = entry(31, AUTHENTICATED);

/// Anyone.
#[unsafe(no_mangle)]
pub static ZOO_ANYONE_ID_UNSAFE: Shared<Id> = Shared(UnsafeCell::new(ANYONE));
/// Whoever the client has authenticated as.
#[unsafe(no_mangle)]
pub static ZOO_AUTH_IDS: Shared<Id> = Shared(UnsafeCell::new(AUTHENTICATED));
/// Everything to anyone.
#[unsafe(no_mangle)]
pub static ZOO_OPEN_ACL_UNSAFE: Shared<ACL_vector> = one(&OPEN_ACL);
/// Reading to anyone.
#[unsafe(no_mangle)]
pub static ZOO_READ_ACL_UNSAFE: Shared<ACL_vector> = one(&READ_ACL);
/// Everything to the identities of the creator.
#[unsafe(no_mangle)]
pub static ZOO_CREATOR_ALL_ACL: Shared<ACL_vector> = one(&CREATOR_ACL);
