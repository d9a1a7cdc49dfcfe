//! `libzookeeper_mt.so.2`: what `oxkeeper-capi-mt` exports, and nothing else.

pub use oxkeeper_capi_mt as library;
