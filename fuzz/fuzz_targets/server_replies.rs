//! See `oxkeeper_fuzz::server_replies`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| oxkeeper_fuzz::server_replies(bytes));
