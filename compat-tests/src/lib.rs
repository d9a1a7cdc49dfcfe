//! The black box: runs each behaviour test on Java and on ours.
//!
//! The judge is Apache ZooKeeper 3.9.5, started live beside the server under test: no transcript is stored. A test
//! talks to both in raw bytes (`wire`, `connection`), keeps what comes back as a transcript (`conversation`) in which
//! only what `mask` lists is hidden, and compares the two. `scripts` are the cases by hand, `random` the generated ones,
//! `directory` the ones on disk.
//!
//! Ensembles, of Java's servers and ours in any mixture: `ensemble` starts, stops and exchanges the members, `chronicle`
//! is a load whose every answer is kept, `verdict` judges what was kept, and `network` cuts the lines between members.

#![forbid(unsafe_code)]

pub mod background;
pub mod c_library;
pub mod chronicle;
pub mod connection;
pub mod conversation;
pub mod directory;
pub mod ensemble;
pub mod four_letter;
pub mod http;
pub mod load;
pub mod mask;
pub mod network;
pub mod pen;
pub mod random;
pub mod scripts;
pub mod subject;
pub mod tools;
pub mod verdict;
pub mod wire;
