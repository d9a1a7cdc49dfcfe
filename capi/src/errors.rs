//! Return codes and their texts.

use std::ffi::{CStr, c_char, c_int};

macro_rules! codes {
    ($($name:ident = $value:expr, $text:expr;)*) => {
        $(#[doc = concat!("\"", $text, "\"")] pub const $name: c_int = $value;)*

        fn text(code: c_int) -> Option<&'static CStr> {
            Some(match code {
                // `concat!` makes the NUL part of the literal.
                $($value => const { match CStr::from_bytes_with_nul(concat!($text, "\0").as_bytes()) {
                    Ok(text) => text,
                    Err(_) => panic!("a text holds no NUL"),
                } },)*
                _ => return None,
            })
        }
    };
}

codes! {
    ZOK = 0, "ok";
    ZSYSTEMERROR = -1, "system error";
    ZRUNTIMEINCONSISTENCY = -2, "run time inconsistency";
    ZDATAINCONSISTENCY = -3, "data inconsistency";
    ZCONNECTIONLOSS = -4, "connection loss";
    ZMARSHALLINGERROR = -5, "marshalling error";
    ZUNIMPLEMENTED = -6, "unimplemented";
    ZOPERATIONTIMEOUT = -7, "operation timeout";
    ZBADARGUMENTS = -8, "bad arguments";
    ZINVALIDSTATE = -9, "invalid zhandle state";
    ZNEWCONFIGNOQUORUM = -13, "no quorum of new config is connected and up-to-date with the leader of last committed config - try invoking reconfiguration after new servers are connected and synced";
    ZRECONFIGINPROGRESS = -14, "Another reconfiguration is in progress -- concurrent reconfigs not supported (yet)";
    ZAPIERROR = -100, "api error";
    ZNONODE = -101, "no node";
    ZNOAUTH = -102, "not authenticated";
    ZBADVERSION = -103, "bad version";
    ZNOCHILDRENFOREPHEMERALS = -108, "no children for ephemerals";
    ZNODEEXISTS = -110, "node exists";
    ZNOTEMPTY = -111, "not empty";
    ZSESSIONEXPIRED = -112, "session expired";
    ZINVALIDCALLBACK = -113, "invalid callback";
    ZINVALIDACL = -114, "invalid acl";
    ZAUTHFAILED = -115, "authentication failed";
    ZCLOSING = -116, "zookeeper is closing";
    ZNOTHING = -117, "(not error) no server responses to process";
    ZSESSIONMOVED = -118, "session moved to another server, so operation is ignored";
    ZNOTREADONLY = -119, "state-changing request is passed to read-only server";
    ZEPHEMERALONLOCALSESSION = -120, "attempt to create ephemeral node on a local session";
    ZNOWATCHER = -121, "the watcher couldn't be found";
    ZRECONFIGDISABLED = -123, "attempts to perform a reconfiguration operation when reconfiguration feature is disable";
    ZSESSIONCLOSEDREQUIRESASLAUTH = -124, "session closed by server because client is required to do SASL authentication";
    ZTHROTTLEDOP = -127, "Operation was throttled due to high load";
}

/// The text of a return code; of `errno` when it is positive. It belongs to the library.
#[unsafe(no_mangle)]
pub extern "C" fn zerror(code: c_int) -> *const c_char {
    if code > 0 {
        // SAFETY: any number may be asked for.
        return unsafe { libc::strerror(code) };
    }
    text(code).unwrap_or(c"unknown error").as_ptr()
}
