//! The running server: configuration, threads, ports, signals, four-letter words, metrics.

#![forbid(unsafe_code)]

pub mod config;
pub mod four_letter;
pub mod logging;
pub mod metrics;
pub mod version;
