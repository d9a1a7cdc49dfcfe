//! The load generator and the comparison of servers.
//!
//! [`pool`] holds many ZooKeeper sessions in one thread and drives them in closed or open loop; [`swarm`] has the
//! loads that are not requests on sessions (hostile sockets); [`echo`] is the bare server that shows what the
//! machine allows; [`server`] starts, measures and stops the servers compared; [`workload`] is the table of
//! workloads with what is expected of each, [`compare`] alternates them over the servers and [`report`] writes the
//! outcome; [`ensemble`] and [`trio`] are the same for three servers that form an ensemble; [`ports`] gives all of them their ports, the
//! tests of the black box included. Frames are written by hand and prepared before the clock runs: the generator must stay far cheaper than
//! any server it measures, and it states its own cost in every report.

#![forbid(unsafe_code)]

pub mod command;
pub mod compare;
pub mod echo;
pub mod ensemble;
pub mod frame;
pub mod histogram;
pub mod pacing;
pub mod pool;
pub mod ports;
pub mod report;
pub mod server;
pub mod source;
pub mod swarm;
pub mod trio;
pub mod workload;
