//! See `oxkeeper_fuzz::client_frames`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| oxkeeper_fuzz::client_frames(bytes));
