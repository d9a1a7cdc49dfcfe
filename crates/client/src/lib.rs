//! One server connection: the client half of the protocol as a pure machine. Empty until the C library (which needs it) is built.

#![forbid(unsafe_code)]
