//! See `oxkeeper_fuzz::java_string`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| oxkeeper_fuzz::java_string(bytes));
