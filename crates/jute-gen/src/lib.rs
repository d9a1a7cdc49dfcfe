//! The IDL: reads .jute and writes Rust records.

#![forbid(unsafe_code)]
