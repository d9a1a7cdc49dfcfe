//! `libzookeeper_mt.a`: all that the shared library has, and what only archives have.

pub use oxkeeper_capi_archive as archive;
pub use oxkeeper_capi_mt as library;
