//! The black box: runs each behaviour test on Java and on ours.
//!
//! The judge is Apache ZooKeeper 3.9.5, started live beside the server under test: no transcript is stored. A test
//! talks to both in raw bytes (`wire`, `connection`), keeps what comes back as a transcript (`conversation`) in which
//! only what `mask` lists is hidden, and compares the two. `scripts` are the cases by hand, `random` the generated ones,
//! `directory` the ones on disk.

#![forbid(unsafe_code)]

pub mod c_library;
pub mod connection;
pub mod conversation;
pub mod directory;
pub mod four_letter;
pub mod http;
pub mod load;
pub mod mask;
pub mod random;
pub mod scripts;
pub mod subject;
pub mod tools;
pub mod wire;
