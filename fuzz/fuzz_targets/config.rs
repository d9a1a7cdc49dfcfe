//! See `oxkeeper_fuzz::config`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| oxkeeper_fuzz::config(bytes));
