//! Servers in one thread: the machines that `server` runs, on disks and clocks that a seed drives.
//!
//! - `machine`: what every process is made of: reactors, a tree from files, a snapshot being written.
//! - `process`: one life of a server process, its threads taken apart into steps.
//! - `client`: a client that keeps writing, and what it was told.
//! - `hearing`: what it read, and what its watches told it; `model`: the naive tree that it is compared with.
//! - `oracle`: what must be there after every recovery.
//! - `member`, `config_files`, `cluster_oracle`, `faults`, `cluster`: the same for an ensemble.
//! - `shrink`: a failing run of it, made as small as it gets.
//! - `standalone`: the world of one server: who does the next step, and what goes wrong.
//!
//! Nothing here opens a socket or a file, starts a thread, or looks at a clock: one seed, one run.

#![forbid(unsafe_code)]

mod client;
mod cluster;
mod cluster_oracle;
mod config_files;
mod faults;
mod hearing;
mod machine;
mod member;
mod model;
mod oracle;
mod process;
mod quorums;
mod random;
mod shrink;
mod standalone;
mod trace;

pub use cluster::{Cluster, ClusterReport, Scenario, ToldFaults};
pub use faults::{ClusterFaults, FaultKind};
pub use random::Random;
pub use shrink::{Failure, shrink};
pub use standalone::{Faults, Report, Standalone};
