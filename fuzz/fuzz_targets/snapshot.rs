//! See `oxkeeper_fuzz::snapshot`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| oxkeeper_fuzz::snapshot(bytes));
