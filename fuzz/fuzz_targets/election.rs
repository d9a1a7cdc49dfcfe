//! See `oxkeeper_fuzz::election`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| oxkeeper_fuzz::election(bytes));
