//! What a run does, told to standard error when `OXKEEPER_SIM_TRACE` is set: for whoever looks into a seed.

use std::sync::LazyLock;

/// Whether anybody wants to know; asked once.
pub static IS_ON: LazyLock<bool> = LazyLock::new(|| std::env::var_os("OXKEEPER_SIM_TRACE").is_some());

/// Tells, if anybody wants to know.
macro_rules! trace {
    ($($words:tt)*) => {
        if *crate::trace::IS_ON {
            eprintln!($($words)*);
        }
    };
}

pub(crate) use trace;
