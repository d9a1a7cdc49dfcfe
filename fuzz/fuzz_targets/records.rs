//! See `oxkeeper_fuzz::records`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| oxkeeper_fuzz::records(bytes));
