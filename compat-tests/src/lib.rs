//! The black box: runs each behaviour test on Java and on ours.

#![forbid(unsafe_code)]
