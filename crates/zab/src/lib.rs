//! Peers and zxids: how transactions, opaque here, become committed.

#![forbid(unsafe_code)]
