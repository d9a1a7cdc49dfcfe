//! Metrics as ZooKeeper's Prometheus provider (3.9) names and types them: what its `/metrics` shows, and, with that
//! provider, `mntr` and the AdminServer's `monitor`.
//!
//! A counter has its plain name (no `_total`), a summary quantiles, `_count` and `_sum`, a set the label `key`. Java's
//! quantiles are those of the last ten minutes; here they are those since the oldest of the scrapes of that time.
//! Families that begin with `oxkeeper_` are ours. The text format is written here: it is five rules long, the names
//! are not those that a library would let pass, and promtool reads it in the tests.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::histogram::Distribution;
use super::number::JavaDouble;
use super::registry::{Distributions, Metrics, Reading, Stage, SummaryReading};
use super::report::GaugeValues;
use super::table::{Counter, CounterSet, Detail, GaugeSet, Summary, SummarySet};

/// How far back quantiles look, and in how many steps the past moves on.
const WINDOW: Duration = Duration::from_secs(600);
const STEPS: u32 = 10;

/// Bounds of our histograms, microseconds.
const BOUNDS_US: [i64; 16] =
    [100, 250, 500, 1000, 2500, 5000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000, 10_000_000];

/// A metric with all its samples.
#[derive(Clone, Debug, PartialEq)]
pub struct Family {
    /// Its name.
    pub name: String,
    /// `counter`, `gauge`, `summary` or `histogram`.
    pub kind: &'static str,
    /// What it says.
    pub help: String,
    /// Its values.
    pub samples: Vec<Sample>,
}

/// One value of a metric.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// What stands behind the family's name: nothing, `_count`, `_sum` or `_bucket`.
    pub suffix: &'static str,
    /// Names and values.
    pub labels: Vec<(&'static str, String)>,
    /// The value.
    pub value: f64,
}

impl Family {
    /// A family as Java names it: its help is its name.
    fn java(name: &str, kind: &'static str) -> Self {
        Self { name: name.to_owned(), kind, help: name.to_owned(), samples: Vec::new() }
    }

    fn plain(mut self, value: f64) -> Self {
        self.samples.push(Sample { suffix: "", labels: Vec::new(), value });
        self
    }

    fn push(&mut self, suffix: &'static str, labels: &[(&'static str, &str)], value: f64) {
        let labels = labels.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        self.samples.push(Sample { suffix, labels, value });
    }

    /// Whether ZooKeeper has no such family.
    #[must_use]
    pub fn is_own(&self) -> bool {
        self.name.starts_with("oxkeeper_")
    }

    /// Calls `each` with the key of each sample as `mntr` shows it, and its value.
    pub fn each_key(&self, mut each: impl FnMut(&str, f64)) {
        for sample in &self.samples {
            let mut key = format!("{}{}", self.name, sample.suffix);
            if !sample.labels.is_empty() {
                let labels: Vec<String> = sample.labels.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
                let _ = write!(key, "{{{}}}", labels.join(","));
            }
            each(&key, sample.value);
        }
    }
}

/// The families in the text format, version 0.0.4.
#[must_use]
pub fn text(families: &[Family]) -> String {
    let mut out = String::new();
    for Family { name, kind, help, samples } in families {
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        let _ = write!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
        for Sample { suffix, labels, value } in samples {
            let _ = write!(out, "{name}{suffix}");
            for (index, (label, text)) in labels.iter().enumerate() {
                let escaped = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
                let _ = write!(out, "{}{label}=\"{escaped}\"", if index == 0 { '{' } else { ',' });
            }
            let close = if labels.is_empty() { "" } else { "}" };
            // Infinity is spelled in Go's way.
            let _ = match value {
                value if value.is_infinite() => writeln!(out, "{close} {}Inf", if *value > 0.0 { '+' } else { '-' }),
                value => writeln!(out, "{close} {}", JavaDouble(*value)),
            };
        }
    }
    out
}

/// Makes families, and remembers the distributions of some time ago for the quantiles.
#[derive(Default)]
pub struct Exporter {
    past: Mutex<VecDeque<(Instant, Distributions)>>,
}

impl Exporter {
    /// All families but those of the process.
    pub fn families(&self, metrics: &Metrics, reading: &Reading, gauges: &GaugeValues, now: Instant) -> Vec<Family> {
        let current = metrics.distributions();
        let earlier = self.earlier(&current, now);
        let mut families = Vec::new();
        gauges.each_filled(reading, |gauge, value| families.push(Family::java(gauge.name(), "gauge").plain(value)));
        for set in GaugeSet::ALL {
            let mut family = Family::java(set.name(), "gauge");
            gauges.set_values(*set).for_each(|(key, value)| family.push("", &[("key", key)], value as f64));
            families.push(family);
        }
        for counter in Counter::ALL {
            families.push(Family::java(counter.name(), "counter").plain(reading.counter(*counter) as f64));
        }
        for set in CounterSet::ALL {
            let mut family = Family::java(set.name(), "counter");
            reading.counter_set(*set).iter().for_each(|(key, value)| family.push("", &[("key", key)], *value as f64));
            families.push(family);
        }
        for summary in Summary::ALL {
            let mut family = Family::java(summary.name(), "summary");
            let recent = current.summary(*summary).since(&earlier.summary(*summary));
            push_summary(&mut family, None, summary.detail(), &recent, reading.summary(*summary));
            families.push(family);
        }
        for set in SummarySet::ALL {
            let mut family = Family::java(set.name(), "summary");
            for (key, summary) in reading.summary_set(*set) {
                let recent = current.of_key(*set, key).since(&earlier.of_key(*set, key));
                push_summary(&mut family, Some(key), set.detail(), &recent, summary);
            }
            families.push(family);
        }
        families.extend(own(&current, reading));
        families
    }

    /// The distributions that quantiles are counted from. `current` is remembered in its turn.
    fn earlier(&self, current: &Distributions, now: Instant) -> Distributions {
        let mut past = self.past.lock().unwrap_or_else(PoisonError::into_inner);
        // Of all that are too old the youngest stays, so that the window is never shorter than it should be.
        while past.get(1).is_some_and(|(at, _)| now.saturating_duration_since(*at) >= WINDOW) {
            past.pop_front();
        }
        if past.back().is_none_or(|(at, _)| now.saturating_duration_since(*at) >= WINDOW / STEPS) {
            past.push_back((now, current.clone()));
        }
        match past.front() {
            Some((at, earlier)) if now.saturating_duration_since(*at) >= WINDOW => earlier.clone(),
            _ => Distributions::default(),
        }
    }
}

fn push_summary(family: &mut Family, key: Option<&str>, detail: Detail, recent: &Distribution, summary: &SummaryReading) {
    let quantiles: &[(f64, &str)] = match detail {
        Detail::Basic => &[(0.5, "0.5")],
        Detail::Advanced => &[(0.5, "0.5"), (0.9, "0.9"), (0.99, "0.99")],
    };
    let key = key.map(|key| ("key", key));
    for (quantile, name) in quantiles {
        let labels: Vec<_> = key.into_iter().chain([("quantile", *name)]).collect();
        // The middle of a bucket may lie outside of what was seen.
        let value = recent.quantile(*quantile);
        let value = if value.is_nan() { value } else { value.clamp(summary.min as f64, summary.max.max(summary.min) as f64) };
        family.push("", &labels, value);
    }
    let labels: Vec<_> = key.into_iter().collect();
    family.push("_count", &labels, summary.count as f64);
    family.push("_sum", &labels, summary.sum as f64);
}

/// Histograms, which unlike quantiles can be added up over an ensemble: requests and their stages.
fn own(current: &Distributions, reading: &Reading) -> Vec<Family> {
    let histogram =
        |name: &str, help: &str| Family { name: name.to_owned(), kind: "histogram", help: help.to_owned(), samples: Vec::new() };
    let mut requests =
        histogram("oxkeeper_request_duration_seconds", "Time from receiving a request to its reply, in steps of a millisecond.");
    for (kind, summary) in [("read", Summary::ReadLatency), ("update", Summary::UpdateLatency)] {
        push_histogram(&mut requests, ("kind", kind), &current.summary(summary), 1000, reading.summary(summary).sum);
    }
    let mut stages = histogram(
        "oxkeeper_stage_duration_seconds",
        "Time of a stage of a write; log_write and log_sync are measured in microseconds, all others in milliseconds.",
    );
    for (stage, summary) in [
        ("prepare_queue", Summary::PrepProcessorQueueTime),
        ("log_queue", Summary::SyncProcessorQueueTime),
        ("log_queue_and_sync", Summary::SyncProcessorQueueAndFlushTime),
    ] {
        push_histogram(&mut stages, ("stage", stage), &current.summary(summary), 1000, reading.summary(summary).sum);
    }
    for stage in Stage::ALL {
        let (distribution, sum) = current.stage(stage);
        push_histogram(&mut stages, ("stage", stage.name()), distribution, 1, *sum);
    }
    vec![requests, stages]
}

/// `unit_us` is the unit of the distribution and of the sum, microseconds.
fn push_histogram(family: &mut Family, label: (&'static str, &str), distribution: &Distribution, unit_us: i64, sum: i64) {
    for bound_us in BOUNDS_US {
        let bound = JavaDouble(bound_us as f64 / 1e6).to_string();
        family.push("_bucket", &[label, ("le", &bound)], distribution.up_to(bound_us / unit_us) as f64);
    }
    let count = distribution.count() as f64;
    family.push("_bucket", &[label, ("le", "+Inf")], count);
    family.push("_sum", &[label], sum as f64 * unit_us as f64 / 1e6);
    family.push("_count", &[label], count);
}

/// What Prometheus' own collector tells of a process: processor time, start, files, memory. Empty where there is
/// no `/proc`.
#[must_use]
pub fn process() -> Vec<Family> {
    let read = |name: &str| std::fs::read_to_string(format!("/proc/{name}")).ok();
    let mut families = Vec::new();
    let mut add = |name: &str, kind: &'static str, help: &str, value: Option<f64>| {
        if let Some(value) = value {
            families.push(Family { help: help.to_owned(), ..Family::java(name, kind).plain(value) });
        }
    };
    let ticks = rustix::param::clock_ticks_per_second() as f64;
    let stat = read("self/stat");
    // The second field is a name in brackets that may hold blanks.
    let fields: Vec<&str> =
        stat.as_deref().and_then(|stat| stat.rsplit_once(')')).map_or(Vec::new(), |(_, rest)| rest.split_whitespace().collect());
    let field = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
    let cpu = field(14).zip(field(15)).map(|(user, system)| (user + system) / ticks);
    add("process_cpu_seconds_total", "counter", "Total user and system CPU time spent in seconds.", cpu);
    let boot = read("stat").and_then(|stat| stat.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse::<f64>().ok()));
    let start = boot.zip(field(22)).map(|(boot, start)| boot + start / ticks);
    add("process_start_time_seconds", "gauge", "Start time of the process since unix epoch in seconds.", start);
    let open = std::fs::read_dir("/proc/self/fd").ok().map(|files| files.count() as f64);
    add("process_open_fds", "gauge", "Number of open file descriptors.", open);
    let most = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.map(|files| files as f64);
    add("process_max_fds", "gauge", "Maximum number of open file descriptors.", most);
    add("process_virtual_memory_bytes", "gauge", "Virtual memory size in bytes.", field(23));
    let resident = field(24).map(|pages| pages * rustix::param::page_size() as f64);
    add("process_resident_memory_bytes", "gauge", "Resident memory size in bytes.", resident);
    families
}

#[cfg(test)]
mod tests {
    use super::super::table::Gauge;
    use super::*;

    fn families(metrics: &Metrics) -> Vec<Family> {
        let mut gauges = GaugeValues::default();
        gauges.set(Gauge::ZnodeCount, 5).set_for(GaugeSet::QuotaCountLimitPerNamespace, "a\"b\\c\nd", 7);
        Exporter::default().families(metrics, &metrics.read(), &gauges, Instant::now())
    }

    #[test]
    fn the_text_is_that_of_java() {
        let metrics = Metrics::new();
        metrics.keep_all_distributions();
        metrics.record(|recorder| {
            recorder.add(Counter::ResponseBytes, 12);
            [0, 0, 1, 2].iter().for_each(|ms| recorder.request_done(super::super::RequestKind::Read, *ms));
            recorder.observe(Summary::FsyncTime, 4);
            recorder.observe_for(SummarySet::ReadPerNamespace, "words", 75);
            recorder.observe_stage(Stage::LogSync, 300);
        });
        let text = text(&families(&metrics));
        for lines in [
            "# HELP znode_count znode_count\n# TYPE znode_count gauge\nznode_count 5.0\n",
            "# TYPE quota_count_limit_per_namespace gauge\nquota_count_limit_per_namespace{key=\"a\\\"b\\\\c\\nd\"} 7.0\n",
            "# TYPE response_bytes counter\nresponse_bytes 12.0\n",
            "# TYPE quota_exceeded_error_per_namespace counter\n# HELP",
            "# TYPE readlatency summary\nreadlatency{quantile=\"0.5\"} 0.0\nreadlatency{quantile=\"0.9\"} 2.0\nreadlatency{quantile=\"0.99\"} 2.0\n\
             readlatency_count 4.0\nreadlatency_sum 3.0\n",
            "# TYPE snapshottime summary\nsnapshottime{quantile=\"0.5\"} NaN\nsnapshottime_count 0.0\nsnapshottime_sum 0.0\n",
            "# TYPE fsynctime summary\nfsynctime{quantile=\"0.5\"} 4.0\nfsynctime_count 1.0\nfsynctime_sum 4.0\n",
            "read_per_namespace{key=\"words\",quantile=\"0.5\"} 75.0\nread_per_namespace_count{key=\"words\"} 1.0\n",
            "oxkeeper_request_duration_seconds_bucket{kind=\"read\",le=\"5.0E-4\"} 2.0\n\
             oxkeeper_request_duration_seconds_bucket{kind=\"read\",le=\"0.001\"} 3.0\n",
            "oxkeeper_stage_duration_seconds_bucket{stage=\"log_sync\",le=\"2.5E-4\"} 0.0\n\
             oxkeeper_stage_duration_seconds_bucket{stage=\"log_sync\",le=\"5.0E-4\"} 1.0\n",
            "oxkeeper_stage_duration_seconds_sum{stage=\"log_sync\"} 3.0E-4\n",
        ] {
            assert!(text.contains(lines), "{lines}\nis not in\n{text}");
        }
        assert!(!text.contains("learners"), "a standalone server has none");
    }

    #[test]
    fn quantiles_forget_what_is_long_ago() {
        let metrics = Metrics::new();
        let exporter = Exporter::default();
        let begun = Instant::now();
        let p50_after = |minutes: u64| {
            let families = exporter.families(&metrics, &metrics.read(), &GaugeValues::default(), begun + Duration::from_secs(60 * minutes));
            families.iter().find(|family| family.name == "readlatency").expect("it is there").samples[0].value
        };
        let observe = |ms| metrics.record(|recorder| (0..9).for_each(|_| recorder.request_done(super::super::RequestKind::Read, ms)));
        observe(3);
        assert_eq!(p50_after(0), 3.0);
        observe(9);
        assert_eq!(p50_after(5), 3.0);
        // What came before the first scrape is more than ten minutes old.
        assert_eq!(p50_after(11), 9.0);
        assert!(p50_after(30).is_nan());
    }

    #[test]
    fn the_process_is_shown() {
        let names: Vec<String> = process().into_iter().map(|family| family.name).collect();
        for name in ["process_cpu_seconds_total", "process_start_time_seconds", "process_open_fds", "process_resident_memory_bytes"] {
            assert!(names.iter().any(|known| known == name), "{names:?}");
        }
    }
}
