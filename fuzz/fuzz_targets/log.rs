//! See `oxkeeper_fuzz::log`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| oxkeeper_fuzz::log(bytes));
