//! A thread for a client: joins client and net. Empty until the C library (which needs it) is built.

#![forbid(unsafe_code)]
