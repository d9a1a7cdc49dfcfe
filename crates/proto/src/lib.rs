//! Bytes: the jute runtime, the records, frames, operation and error codes, paths and zxids.

#![forbid(unsafe_code)]
