//! What `libzookeeper_st` is made of: the names of `oxkeeper-capi` without threads.

pub use oxkeeper_capi as capi;

oxkeeper_capi::shell! {
    threaded: false,
    make: oxkeeper_capi::single::make,
    log: oxkeeper_capi::log::variadic::st
}
