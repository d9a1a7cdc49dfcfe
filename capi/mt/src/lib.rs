//! What `libzookeeper_mt` is made of: the names of `oxkeeper-capi`, threads for each handle, and the synchronous calls.

pub use oxkeeper_capi as capi;

mod calls;
mod threads;

oxkeeper_capi::shell! {
    threaded: true,
    make: threads::make,
    log: oxkeeper_capi::log::variadic::mt
}
