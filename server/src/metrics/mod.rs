//! Metrics: what the server counts and times, under ZooKeeper's names.
//!
//! - `table`: every metric with its name, kind and meaning here.
//! - `registry`: where threads record and how the parts are merged.
//! - `histogram`: the distribution behind a percentile.
//! - `report`: the list of keys and values that `mntr` and the admin server print.
//! - `prometheus`: the same in the names and the text format of ZooKeeper's Prometheus provider.
//! - `paths`: the busiest paths, sampled.
//! - `number`: numbers as Java prints them.
//!
//! Each thread that records asks [`Metrics::recorder`] for its own [`Recorder`] once and keeps it: it
//! writes to memory of its own with plain loads and stores, no locked instruction. Readers merge. Rare
//! events without a recorder at hand go through [`Metrics::record`]. Clocks stay with the caller: values
//! in ms come in as numbers.

pub mod histogram;
pub mod number;
pub mod paths;
pub mod prometheus;
pub mod registry;
pub mod report;
pub mod table;

pub use histogram::Distribution;
pub use number::JavaDouble;
pub use paths::{BusyPaths, PathRate};
pub use prometheus::{Exporter, Family};
pub use registry::{Distributions, Lasting, Metrics, Reading, Recorder, RequestKind, ResponseSizes, Stage, SummaryReading};
pub use report::{GaugeValues, Value, report};
pub use table::{Counter, CounterSet, Detail, Gauge, GaugeKind, GaugeSet, Summary, SummarySet};
