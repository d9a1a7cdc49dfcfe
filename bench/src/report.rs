//! What the samples say: medians, ratios of the same alternation, expected against measured; and docs/performance.md
//! and docs/performance-ensembles.md.
//!
//! A document has one row in its summary and one section for each workload. A run replaces those of the workloads
//! it measured and leaves the others, so that a table that takes long can be measured in pieces; every section says
//! when, where and how its numbers were taken.

use crate::compare::{Outcome, Sample, Series};
use crate::workload::{Bound, ENSEMBLES, Expectation, Metric, WORKLOADS, Workload};
use std::collections::BTreeMap;
use std::fmt::Write;

/// Below this a ratio is no difference.
const DIFFERENCE: f64 = 0.10;
/// Above this share of the machine taken by other programs a section is marked.
const DISTURBED_PERCENT: f64 = 10.0;

/// The middle value; the mean of the two middle ones of an even number; NaN of none.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        length if length % 2 == 1 => sorted[length / 2],
        length => (sorted[length / 2 - 1] + sorted[length / 2]) / 2.0,
    }
}

/// Median, least and greatest.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    pub median: f64,
    pub min: f64,
    pub max: f64,
}

impl Spread {
    pub fn of(values: &[f64]) -> Option<Self> {
        (!values.is_empty()).then(|| Self {
            median: median(values),
            min: values.iter().copied().fold(f64::INFINITY, f64::min),
            max: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        })
    }
}

fn value(sample: &Result<Sample, String>, metric: Metric) -> Option<f64> {
    sample.as_ref().ok()?.iter().find(|(name, _)| *name == metric).map(|(_, value)| *value)
}

/// The values of one metric in a series, failures left out.
pub fn values(series: &Series, metric: Metric) -> Vec<f64> {
    series.samples.iter().filter_map(|sample| value(sample, metric)).collect()
}

/// Ratios of the samples of the same alternation.
pub fn ratios(series: &Series, to: &Series, metric: Metric) -> Vec<f64> {
    let pairs = series.samples.iter().zip(&to.samples);
    pairs.filter_map(|(one, other)| Some(value(one, metric)? / value(other, metric)?)).collect()
}

/// Whether an expectation is met, and what was measured for it.
#[derive(Debug, PartialEq)]
pub enum Verdict {
    Met(String),
    Short(String),
    NotMeasured,
}

impl Outcome {
    pub fn series_of(&self, name: impl Fn(&str) -> bool) -> Option<&Series> {
        self.series.iter().find(|series| name(&series.server))
    }

    fn java(&self) -> Option<&Series> {
        self.series_of(|name| name.starts_with("java"))
    }

    fn echo(&self) -> Option<&Series> {
        self.series_of(|name| name == "echo")
    }

    fn ours(&self) -> Option<&Series> {
        self.series_of(|name| name == "oxkeeper")
    }

    pub fn judge(&self, expectation: &Expectation) -> Verdict {
        self.judged(expectation).unwrap_or(Verdict::NotMeasured)
    }

    fn judged(&self, expectation: &Expectation) -> Option<Verdict> {
        let ours = self.ours()?;
        let metric = expectation.metric;
        let title = metric.title();
        // A failed sample of ours is never met, whatever the others say.
        if let Some(Err(error)) = ours.samples.iter().find(|sample| sample.is_err()) {
            return Some(Verdict::Short(format!("failed: {error}")));
        }
        let (met, text) = match expectation.bound {
            Bound::AtLeastTimesJava(times) => {
                let ratio = Spread::of(&ratios(ours, self.java()?, metric))?;
                (ratio.median >= times, format!("{title} {:.2} x Java, expected >= {times}", ratio.median))
            }
            Bound::AtMostTimesJava(times) => {
                let ratio = Spread::of(&ratios(ours, self.java()?, metric))?;
                (ratio.median <= times, format!("{title} {:.3} x Java, expected <= {times}", ratio.median))
            }
            Bound::AtLeastTimesEcho(times) => {
                let ratio = Spread::of(&ratios(ours, self.echo()?, metric))?;
                (ratio.median >= times, format!("{title} {:.2} x echo, expected >= {times}", ratio.median))
            }
            Bound::AtMost(limit) => {
                let measured = Spread::of(&values(ours, metric))?.median;
                (measured <= limit, format!("{title} {}, expected <= {limit}", number(measured)))
            }
            Bound::AtMostOnEchoScale { limit, echo } => {
                let measured = Spread::of(&values(ours, metric))?.median;
                let scaled = limit * Spread::of(&values(self.echo()?, metric))?.median / echo;
                (measured <= scaled, format!("{title} {}, expected <= {}", number(measured), number(scaled)))
            }
        };
        Some(if met { Verdict::Met(text) } else { Verdict::Short(text) })
    }

    /// The section: a table of the servers, the ratios, and expected against measured.
    pub fn section(&self) -> String {
        let main = self.workload.main;
        let mut text = format!("### {}\n\n", self.workload.title);
        let mut metrics: Vec<Metric> =
            self.series.iter().flat_map(|series| &series.samples).flatten().flatten().map(|(metric, _)| *metric).collect();
        metrics.sort();
        metrics.dedup();
        let mut header = "| server | n |".to_string();
        for metric in &metrics {
            let _ = write!(header, " {} |", metric.title());
        }
        let _ = writeln!(text, "{header} {0} / Java | {0} / echo |", main.title());
        let _ = writeln!(text, "|---|---|{}---|---|", "---|".repeat(metrics.len()));
        for series in &self.series {
            let _ = write!(text, "| {} | {} |", series.server, series.samples.iter().flatten().count());
            for metric in &metrics {
                let cell = Spread::of(&values(series, *metric))
                    .map_or("-".to_string(), |spread| if *metric == main { ranged(spread) } else { number(spread.median) });
                let _ = write!(text, " {cell} |");
            }
            for other in [self.java(), self.echo()] {
                let ratio = other.filter(|other| !std::ptr::eq(*other, series)).and_then(|other| Spread::of(&ratios(series, other, main)));
                let _ = write!(text, " {} |", ratio.map_or("-".to_string(), told_ratio));
            }
            text.push('\n');
        }
        text.push('\n');
        if let Some(again) = &self.again
            && let Some(first) = self.series_of(|name| name == again.server)
            && let Some(spread) = Spread::of(&ratios(again, first, main))
        {
            let _ = writeln!(text, "A/A ({} measured twice): {}.\n", again.server, told_ratio(spread));
        }
        for series in &self.series {
            for error in series.samples.iter().filter_map(|sample| sample.as_ref().err()) {
                let _ = writeln!(text, "- {} failed: {error}", series.server);
            }
        }
        let disturbances: Vec<f64> = self.series.iter().flat_map(|series| values(series, Metric::OthersCpuPercent)).collect();
        if let Some(spread) = Spread::of(&disturbances).filter(|spread| spread.median > DISTURBED_PERCENT) {
            let _ = writeln!(
                text,
                "**Disturbed**: others took {:.0} % of the machine ({:.0} to {:.0}); these numbers prove little.\n",
                spread.median, spread.min, spread.max
            );
        }
        for expectation in self.workload.expectations {
            let _ = match self.judge(expectation) {
                Verdict::Met(text_of) => writeln!(text, "- met: {text_of}"),
                Verdict::Short(text_of) => writeln!(text, "- **falls short**: {text_of}"),
                Verdict::NotMeasured => {
                    writeln!(text, "- not measured: {}", expectation.metric.title())
                }
            };
        }
        text
    }

    /// One row of the summary.
    pub fn summary_row(&self) -> String {
        let main = self.workload.main;
        let cell = |series: Option<&Series>| {
            let spread = series.and_then(|series| Spread::of(&values(series, main)));
            spread.map_or("-".to_string(), |spread| format!("{} {}", number(spread.median), main.title()))
        };
        let ratio = |other: Option<&Series>| {
            let spread = self.ours().zip(other).and_then(|(ours, other)| Spread::of(&ratios(ours, other, main)));
            spread.map_or("-".to_string(), told_ratio)
        };
        let verdicts: Vec<Verdict> = self.workload.expectations.iter().map(|each| self.judge(each)).collect();
        let short: Vec<&str> = verdicts
            .iter()
            .filter_map(|verdict| match verdict {
                Verdict::Short(text) => Some(text.as_str()),
                _ => None,
            })
            .collect();
        let verdict = match () {
            () if !short.is_empty() => format!("**falls short**: {}", short.join("; ")),
            () if verdicts.contains(&Verdict::NotMeasured) => "not measured".to_string(),
            () => "met".to_string(),
        };
        format!(
            "| {} | {} | {} | {} | {} | {} | {} | {} | {verdict} |",
            self.workload.title,
            self.workload.java_reference,
            cell(self.java()),
            cell(self.echo()),
            cell(self.ours()),
            ratio(self.java()),
            ratio(self.echo()),
            self.workload.expected,
        )
    }
}

/// Three significant figures above one, thousands in k.
fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 10_000.0 => format!("{:.1} k", value / 1000.0),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

fn ranged(spread: Spread) -> String {
    format!("{} ({} to {})", number(spread.median), number(spread.min), number(spread.max))
}

fn told_ratio(spread: Spread) -> String {
    let range = format!("{:.2} ({:.2} to {:.2})", spread.median, spread.min, spread.max);
    match (spread.median - 1.0).abs() < DIFFERENCE {
        true => format!("{range}, no difference"),
        false => range,
    }
}

/// What a document is about.
pub struct Subject {
    pub workloads: &'static [Workload],
    introduction: &'static str,
}

/// docs/performance.md: single servers.
pub const SERVERS: Subject = Subject { workloads: WORKLOADS, introduction: INTRODUCTION };
/// docs/performance-ensembles.md: three servers.
pub const TRIOS: Subject = Subject { workloads: ENSEMBLES, introduction: INTRODUCTION_OF_ENSEMBLES };

impl Subject {
    pub fn named(&self, key: &str) -> Option<&'static Workload> {
        self.workloads.iter().find(|workload| workload.key == key)
    }
}

/// The pieces of a document that runs write, by workload.
pub struct Document {
    subject: &'static Subject,
    rows: BTreeMap<&'static str, String>,
    sections: BTreeMap<&'static str, String>,
}

const INTRODUCTION: &str = "\
# Performance

Generated by `cargo xtask bench`; what it did not measure in its last run keeps the numbers of the run before. Do not
edit by hand: texts between the marks are replaced.

    cargo xtask bench                    # everything, 5 alternations of 5 s (three quarters of an hour)
    cargo xtask bench --quick            # everything, 5 alternations of 0.5 s (under 10 minutes)
    cargo xtask bench get-16x16 storm    # some workloads
    cargo xtask bench --help             # servers, durations, heap, directory

How it is measured: Java, Oxkeeper and a bare echo server with ZooKeeper's framing stand side by side with default
settings, with their data on the same disk; each alternation loads them one after the other, and the ratios are taken
within an alternation. Java is warmed for 20 s first. A/A is the baseline measured twice in each alternation (not for
the workloads that take a minute each). A ratio within 10 % of 1 is called no difference. The generator runs in one
thread on the same machine; its own CPU is stated beside the server's, and so is the share of the machine that others
took meanwhile: a section where that is above 10 % is marked as disturbed. The echo server appends the bytes of each
write to a log in a file of zeros and makes one fdatasync per batch before it replies: it is what the machine allows.
Numbers in brackets are the least and the greatest; the others are medians.

";
const INTRODUCTION_OF_ENSEMBLES: &str = "\
# Three servers on one machine

Generated by `cargo xtask bench ensemble`; what it did not measure in its last run keeps the numbers of the run before. Do
not edit by hand: texts between the marks are replaced.

    cargo xtask bench ensemble                 # everything but five million znodes, 5 alternations of 5 s
    cargo xtask bench ensemble --quick         # the same, 3 alternations of 1 s, one of the heavy ones (about 7 minutes)
    cargo xtask bench ensemble failover-5m     # some rows

How it is measured: three Java servers and three of ours stand side by side with default settings, their data on the same
disk, and take turns; the ratios are taken within an alternation. CPU is that of all three. Java has a heap of 1 GB (3 GB for
one million znodes, 6 GB for five). The load generator is ours and runs on the same machine; its CPU is stated, and so is the
share of the machine that others took. The echo server is one alone: what the machine allows for a read that one server
answers. With 200 sessions of one outstanding request nearly all the time of server and generator goes into the kernel, one
send and one receive for each request on either side, so no server can be far from the echo server's figure.

`failover` and `failover-again`: the session that writes is a new one on a member that lives. In `failover-again` each of
sixteen writers has a write due every 40 ms, which counts from that moment until it is acknowledged, however often it had to be
tried. `join` and `snapshots`: an open loop; `ms` of `join` is the time until the new member serves; what it had was removed
long enough before for the file system to have given back the space (with discards that alone holds up a log for 130 ms).

All members share a disk, and its own tail is a floor under that of every write: beside each row stands how long an fdatasync
takes in three files side by side when nothing else runs. A single outstanding write waits for two of three syncs that begin
at nearly the same time, and such a disk makes them one after the other; that is Java's share as well as ours.

";
const TABLE_HEAD: &str = "\
| workload | Java 3.8.0, reference | Java | echo | Oxkeeper | ratio to Java | ratio to echo | expected | verdict |
|---|---|---|---|---|---|---|---|---|
";

impl Document {
    /// Reads what earlier runs left; text outside the marks is not kept.
    pub fn parse(subject: &'static Subject, text: &str) -> Self {
        let mut document = Self { subject, rows: BTreeMap::new(), sections: BTreeMap::new() };
        for workload in subject.workloads {
            let key = workload.key;
            let mark = row_mark(key);
            if let Some(line) = text.lines().find(|line| line.ends_with(&mark)) {
                document.rows.insert(key, line[..line.len() - mark.len()].trim_end().to_string());
            }
            let (begin, end) = section_marks(key);
            if let Some((_, rest)) = text.split_once(&begin)
                && let Some((section, _)) = rest.split_once(&end)
            {
                document.sections.insert(key, section.trim().to_string());
            }
        }
        document
    }

    /// Replaces a workload's pieces. `conditions` says where and how it was measured.
    pub fn put(&mut self, outcome: &Outcome, conditions: &str) {
        self.rows.insert(outcome.workload.key, outcome.summary_row());
        self.sections.insert(outcome.workload.key, format!("{}\n{}", outcome.section(), conditions.trim()));
    }

    pub fn text(&self) -> String {
        let mut text = format!("{}{TABLE_HEAD}", self.subject.introduction);
        for workload in self.subject.workloads {
            let unmeasured = || {
                let (title, java, expected) = (workload.title, workload.java_reference, workload.expected);
                format!("| {title} | {java} | - | - | - | - | - | {expected} | not measured |")
            };
            let row = self.rows.get(workload.key).cloned().unwrap_or_else(unmeasured);
            let _ = writeln!(text, "{row} {}", row_mark(workload.key));
        }
        for workload in self.subject.workloads {
            if let Some(section) = self.sections.get(workload.key) {
                let (begin, end) = section_marks(workload.key);
                let _ = write!(text, "\n{begin}\n{section}\n{end}\n");
            }
        }
        text
    }
}

fn row_mark(key: &str) -> String {
    format!("<!-- row {key} -->")
}

fn section_marks(key: &str) -> (String, String) {
    (format!("<!-- begin {key} -->"), format!("<!-- end {key} -->"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(server: &str, metric: Metric, values: &[f64]) -> Series {
        Series { server: server.to_string(), samples: values.iter().map(|value| Ok(vec![(metric, *value)])).collect() }
    }

    fn outcome(key: &str, metric: Metric, java: &[f64], ours: &[f64], echo: &[f64]) -> Outcome {
        Outcome {
            workload: SERVERS.named(key).unwrap(),
            series: vec![series("java-3.8.0", metric, java), series("oxkeeper", metric, ours), series("echo", metric, echo)],
            again: Some(series("java-3.8.0", metric, java)),
        }
    }

    #[test]
    fn medians() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median(&[]).is_nan());
        assert_eq!(Spread::of(&[]), None);
    }

    #[test]
    fn ratios_are_taken_within_an_alternation_and_failures_left_out() {
        let java = series("java", Metric::PerSecond, &[10.0, 20.0, 40.0]);
        let mut ours = series("oxkeeper", Metric::PerSecond, &[20.0, 60.0, 40.0]);
        ours.samples[1] = Err("gone".into());
        assert_eq!(ratios(&ours, &java, Metric::PerSecond), [2.0, 1.0]);
        assert_eq!(values(&ours, Metric::PerSecond), [20.0, 40.0]);
    }

    #[test]
    fn expected_against_measured() {
        let times = |bound| Expectation { metric: Metric::PerSecond, bound };
        let good = outcome("get-200x1", Metric::PerSecond, &[10.0, 11.0], &[30.0, 33.0], &[35.0, 35.0]);
        assert!(matches!(good.judge(&times(Bound::AtLeastTimesJava(2.2))), Verdict::Met(_)));
        assert!(matches!(good.judge(&times(Bound::AtLeastTimesJava(3.1))), Verdict::Short(_)));
        assert!(matches!(good.judge(&times(Bound::AtLeastTimesEcho(0.8))), Verdict::Met(_)));
        assert!(matches!(good.judge(&times(Bound::AtMost(30.0))), Verdict::Short(_)));
        let latency = |limit| Expectation { metric: Metric::P50Us, bound: Bound::AtMostOnEchoScale { limit, echo: 70.0 } };
        // The echo server takes half of the reference's 70 us here, so the limit is halved too.
        let scaled = outcome("get-1x1", Metric::P50Us, &[80.0], &[44.0], &[35.0]);
        assert!(matches!(scaled.judge(&latency(90.0)), Verdict::Met(_)));
        assert!(matches!(scaled.judge(&latency(80.0)), Verdict::Short(_)));
    }

    #[test]
    fn what_is_missing_or_failed_is_never_met() {
        let expectation = Expectation { metric: Metric::PerSecond, bound: Bound::AtLeastTimesJava(0.0) };
        let mut outcome = outcome("get-200x1", Metric::PerSecond, &[1.0], &[1.0], &[1.0]);
        outcome.series[1].samples.push(Err("gone".into()));
        assert_eq!(outcome.judge(&expectation), Verdict::Short("failed: gone".into()));
        outcome.series.remove(1);
        assert_eq!(outcome.judge(&expectation), Verdict::NotMeasured);
        assert!(outcome.summary_row().contains("not measured"));
    }

    #[test]
    fn a_busy_machine_is_told() {
        for (percent, told) in [(9.0, false), (30.0, true)] {
            let busy = outcome("get-200x1", Metric::OthersCpuPercent, &[percent], &[percent], &[percent]);
            assert_eq!(busy.section().contains("**Disturbed**"), told);
        }
    }

    #[test]
    fn a_document_lists_what_was_never_measured() {
        for subject in [&SERVERS, &TRIOS] {
            let text = Document::parse(subject, "").text();
            assert_eq!(text.matches("not measured |").count(), subject.workloads.len());
        }
    }

    #[test]
    fn under_ten_percent_is_no_difference() {
        assert!(told_ratio(Spread { median: 1.09, min: 0.9, max: 1.2 }).ends_with("no difference"));
        assert!(!told_ratio(Spread { median: 0.89, min: 0.8, max: 1.2 }).ends_with("no difference"));
    }

    #[test]
    fn a_run_replaces_its_own_pieces_of_the_document_only() {
        let mut document = Document::parse(&SERVERS, "");
        document.put(&outcome("storm", Metric::Milliseconds, &[9.0], &[1.0], &[1.0]), "here");
        document.put(&outcome("fan-out", Metric::Milliseconds, &[9.0], &[1.0], &[1.0]), "here");
        let mut read = Document::parse(&SERVERS, &document.text());
        assert_eq!(read.text(), document.text());
        read.put(&outcome("storm", Metric::Milliseconds, &[7.0], &[1.0], &[1.0]), "there");
        let text = read.text();
        assert_eq!((text.matches("there").count(), text.matches("\nhere").count()), (1, 1));
        assert_eq!(text.matches("### storm").count(), 1);
    }
}
