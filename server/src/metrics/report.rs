//! The list of keys and values that `mntr` (with `zk_` before each key) and the admin server print.
//!
//! Order: gauges, sets of gauges, counters, sets of counters, summaries, sets of summaries, each as in
//! the table. ZooKeeper has the same groups and no defined order within one.

use std::collections::BTreeMap;
use std::fmt;

use super::number::JavaDouble;
use super::registry::{Lasting, Reading, SummaryReading};
use super::table::{Counter, CounterSet, Gauge, GaugeKind, GaugeSet, Summary, SummarySet};

/// A value as it is printed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// Printed as it is.
    Integer(i64),
    /// Printed as Java prints a double.
    Decimal(f64),
    /// Printed as it is.
    Text(&'a str),
}

impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Integer(value) => value.fmt(f),
            Value::Decimal(value) => JavaDouble(*value).fmt(f),
            Value::Text(value) => f.write_str(value),
        }
    }
}

/// The gauges as the running server sees them. Those that the table marks as filled by the registry
/// need not be set, nor those counted as [`Lasting`].
#[derive(Clone, Debug)]
pub struct GaugeValues {
    values: [Option<Value<'static>>; Gauge::ALL.len()],
    sets: [BTreeMap<String, i64>; GaugeSet::ALL.len()],
}

impl Default for GaugeValues {
    fn default() -> Self {
        Self { values: [None; Gauge::ALL.len()], sets: [const { BTreeMap::new() }; GaugeSet::ALL.len()] }
    }
}

impl GaugeValues {
    /// Sets a gauge. A gauge that only some roles have is printed from then on.
    pub fn set(&mut self, gauge: Gauge, value: i64) -> &mut Self {
        self.values[gauge.index()] = Some(match gauge.detail() {
            GaugeKind::Decimal => Value::Decimal(value as f64),
            GaugeKind::Integer | GaugeKind::RoleInteger => Value::Integer(value),
        });
        self
    }

    /// Sets a gauge that is a decimal.
    pub fn set_decimal(&mut self, gauge: Gauge, value: f64) -> &mut Self {
        assert_eq!(gauge.detail(), GaugeKind::Decimal, "{} is an integer", gauge.name());
        self.values[gauge.index()] = Some(Value::Decimal(value));
        self
    }

    /// Sets the gauge of a key.
    pub fn set_for(&mut self, set: GaugeSet, key: &str, value: i64) -> &mut Self {
        self.sets[set.index()].insert(key.to_owned(), value);
        self
    }

    /// Calls `each` with every gauge that is there and its value.
    pub(super) fn each_filled(&self, reading: &Reading, mut each: impl FnMut(Gauge, f64)) {
        let mut filled = self.clone();
        filled.fill(reading);
        for gauge in Gauge::ALL {
            match (gauge.detail(), filled.values[gauge.index()]) {
                (_, Some(Value::Integer(value))) => each(*gauge, value as f64),
                (_, Some(Value::Decimal(value))) => each(*gauge, value),
                (GaugeKind::RoleInteger, None) | (_, Some(Value::Text(_))) => {}
                (_, None) => each(*gauge, 0.0),
            }
        }
    }

    /// The values of a set by key.
    pub(super) fn set_values(&self, set: GaugeSet) -> impl Iterator<Item = (&str, i64)> {
        self.sets[set.index()].iter().map(|(key, value)| (key.as_str(), *value))
    }

    /// What the table calls filled by the registry.
    fn fill(&mut self, reading: &Reading) {
        self.set_decimal(Gauge::AvgLatency, reading.latency.average())
            .set(Gauge::MinLatency, reading.latency.min)
            .set(Gauge::MaxLatency, reading.latency.max)
            .set(Gauge::PacketsReceived, reading.packets_received as i64)
            .set(Gauge::PacketsSent, reading.packets_sent as i64)
            .set(Gauge::LastClientResponseSize, reading.response_sizes.last)
            .set(Gauge::MinClientResponseSize, reading.response_sizes.min)
            .set(Gauge::MaxClientResponseSize, reading.response_sizes.max)
            .set(Gauge::AuthFailedCount, reading.lasting(Lasting::AuthFailed) as i64)
            .set(Gauge::NonMtlsRemoteConnCount, reading.lasting(Lasting::NonMtlsRemote) as i64)
            .set(Gauge::NonMtlsLocalConnCount, reading.lasting(Lasting::NonMtlsLocal) as i64);
    }
}

/// Calls `each` with every key (without prefix) and value. Stops at the first error and returns it.
pub fn report<E>(reading: &Reading, gauges: &GaugeValues, mut each: impl FnMut(&str, Value<'_>) -> Result<(), E>) -> Result<(), E> {
    let mut gauges = gauges.clone();
    gauges.fill(reading);
    for gauge in Gauge::ALL {
        match (gauge.detail(), gauges.values[gauge.index()]) {
            (_, Some(value)) => each(gauge.name(), value)?,
            (GaugeKind::Integer, None) => each(gauge.name(), Value::Integer(0))?,
            (GaugeKind::Decimal, None) => each(gauge.name(), Value::Decimal(0.0))?,
            (GaugeKind::RoleInteger, None) => {}
        }
    }
    for set in GaugeSet::ALL {
        for (key, value) in &gauges.sets[set.index()] {
            each(&format!("{key}_{}", set.name()), Value::Integer(*value))?;
        }
    }
    for counter in Counter::ALL {
        each(counter.name(), Value::Integer(reading.counter(*counter) as i64))?;
    }
    for set in CounterSet::ALL {
        for (key, value) in reading.counter_set(*set) {
            each(&format!("{key}_{}", set.name()), Value::Integer(*value as i64))?;
        }
    }
    for summary in Summary::ALL {
        report_summary(summary.name(), reading.summary(*summary), &mut each)?;
    }
    for set in SummarySet::ALL {
        for (key, summary) in reading.summary_set(*set) {
            report_summary(&format!("{key}_{}", set.name()), summary, &mut each)?;
        }
    }
    Ok(())
}

fn report_summary<E>(name: &str, summary: &SummaryReading, each: &mut impl FnMut(&str, Value<'_>) -> Result<(), E>) -> Result<(), E> {
    each(&format!("avg_{name}"), Value::Decimal(summary.average()))?;
    each(&format!("min_{name}"), Value::Integer(summary.min))?;
    each(&format!("max_{name}"), Value::Integer(summary.max))?;
    each(&format!("cnt_{name}"), Value::Integer(summary.count as i64))?;
    each(&format!("sum_{name}"), Value::Integer(summary.sum))?;
    for (prefix, value) in ["p50", "p95", "p99", "p999"].iter().zip(summary.percentiles.iter().flatten()) {
        each(&format!("{prefix}_{name}"), Value::Integer(*value))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::registry::Metrics;
    use super::*;

    fn lines(metrics: &Metrics, gauges: &GaugeValues) -> Vec<String> {
        let mut lines = Vec::new();
        report(&metrics.read(), gauges, |key, value| {
            lines.push(format!("{key} {value}"));
            Ok::<(), ()>(())
        })
        .expect("no error was given");
        lines
    }

    #[test]
    fn gauges_are_printed_by_their_kind_and_role() {
        let metrics = Metrics::new();
        let mut gauges = GaugeValues::default();
        let fresh = lines(&metrics, &gauges);
        for present in ["znode_count 0", "avg_latency 0.0", "connection_drop_probability 0.0", "last_client_response_size -1"] {
            assert!(fresh.iter().any(|line| line == present), "{present}");
        }
        assert!(!fresh.iter().any(|line| line.starts_with("learners ")));
        metrics.count_lasting(Lasting::NonMtlsLocal);
        metrics.record(|recorder| recorder.request_done(super::super::RequestKind::Read, 3));
        gauges.set(Gauge::ZnodeCount, 5).set(Gauge::Learners, 0).set(Gauge::ConnectionDropProbability, 1);
        gauges.set_for(GaugeSet::QuotaCountLimitPerNamespace, "app", 10);
        let filled = lines(&metrics, &gauges);
        for present in [
            "znode_count 5",
            "learners 0",
            "connection_drop_probability 1.0",
            "app_quota_count_limit_per_namespace 10",
            "non_mtls_local_conn_count 1",
            "avg_latency 3.0",
            "max_latency 3",
            "avg_readlatency 3.0",
            "p999_readlatency 3",
        ] {
            assert!(filled.iter().any(|line| line == present), "{present}");
        }
        assert_eq!(filled.len(), fresh.len() + 2);
    }

    #[test]
    fn the_first_error_ends_the_report() {
        let mut calls = 0;
        let ended = report(&Metrics::new().read(), &GaugeValues::default(), |_, _| {
            calls += 1;
            if calls == 3 { Err("full") } else { Ok(()) }
        });
        assert_eq!((ended, calls), (Err("full"), 3));
    }
}
