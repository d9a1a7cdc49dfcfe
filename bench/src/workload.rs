//! The tables of workloads: what each does and what is expected of it. Data only; `compare` and `trio` run them.

/// A number that a measurement gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Metric {
    PerSecond,
    P50Us,
    P99Us,
    P999Us,
    ServerCpuUs,
    GeneratorCpuUs,
    /// Of all cores' time, used by neither the server nor the generator.
    OthersCpuPercent,
    Milliseconds,
    Megabytes,
    ZnodeBytes,
    P99Growth,
    Retries,
}

impl Metric {
    pub fn title(self) -> &'static str {
        match self {
            Self::PerSecond => "ops/s",
            Self::P50Us => "p50 us",
            Self::P99Us => "p99 us",
            Self::P999Us => "p99.9 us",
            Self::ServerCpuUs => "server CPU us/op",
            Self::GeneratorCpuUs => "generator CPU us/op",
            Self::OthersCpuPercent => "others' CPU %",
            Self::Milliseconds => "ms",
            Self::Megabytes => "memory MB",
            Self::ZnodeBytes => "bytes/znode beside name and data",
            Self::P99Growth => "p99 during / before",
            Self::Retries => "retries",
        }
    }

    pub fn more_is_better(self) -> bool {
        self == Self::PerSecond
    }
}

/// What is expected of our server.
#[derive(Clone, Copy, Debug)]
pub enum Bound {
    AtLeastTimesJava(f64),
    AtMostTimesJava(f64),
    AtLeastTimesEcho(f64),
    AtMost(f64),
    /// At most `limit` on a machine where the echo server gives `echo`; scaled by what it gives here.
    AtMostOnEchoScale {
        limit: f64,
        echo: f64,
    },
}

#[derive(Clone, Copy, Debug)]
pub struct Expectation {
    pub metric: Metric,
    pub bound: Bound,
}

/// The requests of a load.
#[derive(Clone, Copy, Debug)]
pub enum Requests {
    GetData,
    Exists,
    /// setData of so many bytes.
    SetData(usize),
    Mixed,
    Multi10,
    GetChildren10k,
    Create,
}

#[derive(Clone, Copy, Debug)]
pub enum Work {
    Closed { requests: Requests, sessions: usize, outstanding: usize },
    Open { requests: Requests, sessions: usize, per_second: f64 },
    FanOut { watchers: usize },
    Storm { sessions: usize },
    Fill { znodes: u64 },
    StartFull { znodes: u64, transactions: u64 },
    StartEmpty,
    Hostile { sockets: usize },
    Trio(Trio),
}

/// What is done with an ensemble of three.
#[derive(Clone, Copy, Debug)]
pub enum Trio {
    Load {
        requests: Requests,
        sessions: usize,
        outstanding: usize,
        through: Seat,
    },
    Memory {
        znodes: u64,
    },
    /// The leader is killed: the time to the next acknowledged write.
    Failover {
        znodes: u64,
    },
    /// The leader is killed every ten seconds, beside writes at a fixed pace.
    FailoverAgain,
    /// Members write snapshots, beside writes at a fixed pace.
    Snapshots {
        znodes: u64,
    },
    /// An empty member comes in, beside writes at a fixed pace.
    Join {
        znodes: u64,
    },
}

impl Trio {
    /// What the tree holds before it begins.
    pub fn znodes(self) -> u64 {
        match self {
            Self::Load { .. } | Self::FailoverAgain => 0,
            Self::Memory { znodes } | Self::Failover { znodes } | Self::Snapshots { znodes } | Self::Join { znodes } => znodes,
        }
    }
}

/// Through which member a load goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seat {
    Leader,
    Follower,
}

impl Work {
    /// Runs on the long-lived servers; the others each start one of their own.
    pub fn shares_server(self) -> bool {
        matches!(self, Self::Closed { .. } | Self::Open { .. } | Self::FanOut { .. } | Self::Storm { .. })
    }

    /// Takes many seconds whatever the duration asked for.
    pub fn is_heavy(self) -> bool {
        match self {
            Self::Trio(trio) => !matches!(trio, Trio::Load { .. } | Trio::Failover { znodes: 0 }),
            work => !matches!(work, Self::Closed { .. } | Self::Open { .. } | Self::StartEmpty),
        }
    }

    /// The echo server has no tree: it cannot be filled or recovered. It has no peers either, but for reads that makes no
    /// difference.
    pub fn suits_echo(self) -> bool {
        match self {
            Self::Trio(trio) => matches!(trio, Trio::Load { requests: Requests::GetData, .. }),
            work => work.shares_server(),
        }
    }

    /// Runs only if it is asked for by name.
    pub fn is_optional(self) -> bool {
        matches!(self, Self::Trio(trio) if trio.znodes() > 1_000_000)
    }
}

pub struct Workload {
    pub key: &'static str,
    pub title: &'static str,
    pub work: Work,
    /// What Java 3.8.0 gave on a machine of two cores.
    pub java_reference: &'static str,
    pub expected: &'static str,
    pub main: Metric,
    pub expectations: &'static [Expectation],
}

const fn expect(metric: Metric, bound: Bound) -> Expectation {
    Expectation { metric, bound }
}

use Bound::{AtLeastTimesEcho, AtLeastTimesJava, AtMost, AtMostOnEchoScale, AtMostTimesJava};
use Metric::{Megabytes, Milliseconds, P50Us, P99Growth, P99Us, P999Us, PerSecond, ServerCpuUs, ZnodeBytes};

/// "No latency worse than Java's at any concurrency"; under 10 % is no difference.
const NO_WORSE: Expectation = expect(P99Us, AtMostTimesJava(1.1));

/// Every row of the report, in its order.
pub const WORKLOADS: &[Workload] = &[
    Workload {
        key: "get-16x16",
        title: "getData 100 B, 16 sessions x 16 outstanding",
        work: Work::Closed { requests: Requests::GetData, sessions: 16, outstanding: 16 },
        java_reference: "106 k/s, 12.7 us CPU",
        expected: ">= 8 x Java, CPU <= 1/8",
        main: PerSecond,
        expectations: &[expect(PerSecond, AtLeastTimesJava(8.0)), expect(ServerCpuUs, AtMostTimesJava(1.0 / 8.0)), NO_WORSE],
    },
    Workload {
        key: "get-200x1",
        title: "getData 100 B, 200 sessions x 1 outstanding",
        work: Work::Closed { requests: Requests::GetData, sessions: 200, outstanding: 1 },
        java_reference: "73 k/s",
        expected: ">= 2.2 x Java, >= 80 % of echo",
        main: PerSecond,
        expectations: &[expect(PerSecond, AtLeastTimesJava(2.2)), expect(PerSecond, AtLeastTimesEcho(0.8)), NO_WORSE],
    },
    Workload {
        key: "exists-16x16",
        title: "exists, 16 x 16",
        work: Work::Closed { requests: Requests::Exists, sessions: 16, outstanding: 16 },
        java_reference: "",
        expected: "no latency worse",
        main: PerSecond,
        expectations: &[NO_WORSE],
    },
    Workload {
        key: "set-16x16",
        title: "setData 100 B, fsync on, 16 x 16",
        work: Work::Closed { requests: Requests::SetData(100), sessions: 16, outstanding: 16 },
        java_reference: "76 k/s, 19 us CPU",
        expected: ">= 3.5 x Java",
        main: PerSecond,
        expectations: &[expect(PerSecond, AtLeastTimesJava(3.5)), NO_WORSE],
    },
    Workload {
        key: "set1k-16x16",
        title: "setData 1 KB, 16 x 16",
        work: Work::Closed { requests: Requests::SetData(1024), sessions: 16, outstanding: 16 },
        java_reference: "58 k/s",
        expected: ">= 2.3 x Java",
        main: PerSecond,
        expectations: &[expect(PerSecond, AtLeastTimesJava(2.3)), NO_WORSE],
    },
    Workload {
        key: "set-200x1",
        title: "setData 100 B, 200 x 1",
        work: Work::Closed { requests: Requests::SetData(100), sessions: 200, outstanding: 1 },
        java_reference: "36 k/s",
        expected: ">= 2.3 x Java",
        main: PerSecond,
        expectations: &[expect(PerSecond, AtLeastTimesJava(2.3)), NO_WORSE],
    },
    Workload {
        key: "get-1x1",
        title: "getData, one outstanding",
        work: Work::Closed { requests: Requests::GetData, sessions: 1, outstanding: 1 },
        java_reference: "p50 157 us (echo 70)",
        expected: "p50 <= 90 us where echo takes 70",
        main: P50Us,
        expectations: &[expect(P50Us, AtMostOnEchoScale { limit: 90.0, echo: 70.0 }), NO_WORSE],
    },
    Workload {
        key: "set-1x1",
        title: "setData 100 B, one outstanding",
        work: Work::Closed { requests: Requests::SetData(100), sessions: 1, outstanding: 1 },
        java_reference: "p50 333 us (echo 115)",
        expected: "p50 <= 165 us where echo takes 115",
        main: P50Us,
        expectations: &[expect(P50Us, AtMostOnEchoScale { limit: 165.0, echo: 115.0 }), NO_WORSE],
    },
    Workload {
        key: "mixed-16x16",
        title: "80 % getData, 20 % setData, 16 x 16",
        work: Work::Closed { requests: Requests::Mixed, sessions: 16, outstanding: 16 },
        java_reference: "",
        expected: "no latency worse",
        main: PerSecond,
        expectations: &[NO_WORSE],
    },
    Workload {
        key: "get-open",
        title: "getData at a fixed 20 k/s (open loop), 16 sessions",
        work: Work::Open { requests: Requests::GetData, sessions: 16, per_second: 20_000.0 },
        java_reference: "",
        expected: "no latency worse",
        main: P99Us,
        expectations: &[NO_WORSE],
    },
    Workload {
        key: "set-open",
        title: "setData at a fixed 10 k/s (open loop), 16 sessions",
        work: Work::Open { requests: Requests::SetData(100), sessions: 16, per_second: 10_000.0 },
        java_reference: "",
        expected: "no latency worse",
        main: P99Us,
        expectations: &[NO_WORSE],
    },
    Workload {
        key: "multi10",
        title: "multi of 10 setData 100 B, 16 x 16 (multis)",
        work: Work::Closed { requests: Requests::Multi10, sessions: 16, outstanding: 16 },
        java_reference: "24 k/s",
        expected: ">= 5 x Java",
        main: PerSecond,
        expectations: &[expect(PerSecond, AtLeastTimesJava(5.0)), NO_WORSE],
    },
    Workload {
        key: "children10k",
        title: "getChildren of 10,000 names, 16 x 1",
        work: Work::Closed { requests: Requests::GetChildren10k, sessions: 16, outstanding: 1 },
        java_reference: "1.5 k/s",
        expected: ">= 7 x Java",
        main: PerSecond,
        expectations: &[expect(PerSecond, AtLeastTimesJava(7.0)), NO_WORSE],
    },
    Workload {
        key: "create-16x16",
        title: "create 100 B, 16 x 16",
        work: Work::Closed { requests: Requests::Create, sessions: 16, outstanding: 16 },
        java_reference: "",
        expected: "no latency worse",
        main: PerSecond,
        expectations: &[NO_WORSE],
    },
    Workload {
        key: "fan-out",
        title: "10,000 watchers of one node told",
        work: Work::FanOut { watchers: 10_000 },
        java_reference: "200 ms",
        expected: "<= 100 ms",
        main: Milliseconds,
        expectations: &[expect(Milliseconds, AtMost(100.0))],
    },
    Workload {
        key: "storm",
        title: "storm of 5,000 sessions from 200 addresses, default settings",
        work: Work::Storm { sessions: 5_000 },
        java_reference: "4 to 75 s",
        expected: "< 0.5 s",
        main: Milliseconds,
        expectations: &[expect(Milliseconds, AtMost(500.0))],
    },
    Workload {
        key: "fill",
        title: "filling 1,000,000 znodes of 100 B (create, 16 x 16)",
        work: Work::Fill { znodes: 1_000_000 },
        java_reference: "2,589 MB, p99.9 200 ms",
        expected: "<= 260 MB, <= 120 B a znode beside name and data, p99.9 <= 10 ms",
        main: Megabytes,
        expectations: &[expect(Megabytes, AtMost(260.0)), expect(ZnodeBytes, AtMost(120.0)), expect(P999Us, AtMost(10_000.0))],
    },
    Workload {
        key: "start-full",
        title: "start to the first write: 1,000,000 znodes after kill -9, snapshot + 124,000 transactions",
        work: Work::StartFull { znodes: 1_000_000, transactions: 124_000 },
        java_reference: "5.1 s",
        expected: "<= 0.8 s",
        main: Milliseconds,
        expectations: &[expect(Milliseconds, AtMost(800.0))],
    },
    Workload {
        key: "start-empty",
        title: "start, empty, to the first write",
        work: Work::StartEmpty,
        java_reference: "650 ms",
        expected: "<= 30 ms",
        main: Milliseconds,
        expectations: &[expect(Milliseconds, AtMost(30.0))],
    },
    Workload {
        key: "hostile",
        title: "10,000 sockets from 200 addresses announce 1 MiB frames; 4 clients x 1 getData beside them",
        work: Work::Hostile { sockets: 10_000 },
        java_reference: "",
        expected: "memory grows <= 200 MB, p99 does not double",
        main: Megabytes,
        expectations: &[expect(Megabytes, AtMost(200.0)), expect(P99Growth, AtMost(2.0))],
    },
];

/// A load on an ensemble, and what is expected of it.
const fn trio(
    key: &'static str,
    title: &'static str,
    trio: Trio,
    main: Metric,
    java_reference: &'static str,
    expected: &'static str,
    expectations: &'static [Expectation],
) -> Workload {
    Workload { key, title, work: Work::Trio(trio), java_reference, expected, main, expectations }
}

const fn through(requests: Requests, sessions: usize, outstanding: usize, through: Seat) -> Trio {
    Trio::Load { requests, sessions, outstanding, through }
}

/// "At least ten times better than Java's."
const TENTH: Expectation = expect(P999Us, AtMostTimesJava(0.1));
const SET_16: &[Expectation] = &[expect(PerSecond, AtLeastTimesJava(5.0)), TENTH];
const GET_16: &[Expectation] = &[expect(PerSecond, AtLeastTimesJava(10.0)), NO_WORSE];
const GET_200: &[Expectation] = &[expect(PerSecond, AtLeastTimesJava(5.0)), NO_WORSE];
/// 350 us where Java has 720 to 890.
const SET_1: &[Expectation] = &[expect(P50Us, AtMostTimesJava(350.0 / 800.0)), NO_WORSE];
const FAILOVER: &[Expectation] = &[expect(Milliseconds, AtMost(250.0))];
const MILLION: u64 = 1_000_000;

/// Every row of the report on ensembles, in its order.
pub const ENSEMBLES: &[Workload] = &[
    trio(
        "set-16x16-leader",
        "setData 100 B, fsync on, 16 x 16, through the leader",
        through(Requests::SetData(100), 16, 16, Seat::Leader),
        PerSecond,
        "17.6 k/s, 94 us CPU, p99.9 247 ms",
        ">= 5 x, p99.9 <= 1/10",
        SET_16,
    ),
    trio(
        "set-16x16-follower",
        "the same through a follower",
        through(Requests::SetData(100), 16, 16, Seat::Follower),
        PerSecond,
        "",
        ">= 5 x, p99.9 <= 1/10",
        SET_16,
    ),
    trio(
        "get-16x16-leader",
        "getData 100 B, 16 x 16, through the leader",
        through(Requests::GetData, 16, 16, Seat::Leader),
        PerSecond,
        "40 k/s",
        ">= 10 x",
        GET_16,
    ),
    trio(
        "get-16x16-follower",
        "the same through a follower",
        through(Requests::GetData, 16, 16, Seat::Follower),
        PerSecond,
        "",
        ">= 10 x",
        GET_16,
    ),
    trio(
        "get-200x1-leader",
        "getData 100 B, 200 x 1, through the leader",
        through(Requests::GetData, 200, 1, Seat::Leader),
        PerSecond,
        "17 k/s",
        ">= 5 x",
        GET_200,
    ),
    trio(
        "get-200x1-follower",
        "the same through a follower",
        through(Requests::GetData, 200, 1, Seat::Follower),
        PerSecond,
        "",
        ">= 5 x",
        GET_200,
    ),
    trio(
        "set-1x1-leader",
        "setData 100 B, one outstanding, through the leader",
        through(Requests::SetData(100), 1, 1, Seat::Leader),
        P50Us,
        "p50 720 to 890 us",
        "p50 <= 350 us on the same scale",
        SET_1,
    ),
    trio(
        "set-1x1-follower",
        "the same through a follower",
        through(Requests::SetData(100), 1, 1, Seat::Follower),
        P50Us,
        "",
        "p50 <= 350 us on the same scale",
        SET_1,
    ),
    trio(
        "memory",
        "memory of the three after these loads",
        Trio::Memory { znodes: 0 },
        Megabytes,
        "950 to 1,050 MB",
        "<= 60 MB",
        &[expect(Megabytes, AtMost(60.0))],
    ),
    trio(
        "failover",
        "leader killed with -9: to the next acknowledged write",
        Trio::Failover { znodes: 0 },
        Milliseconds,
        "430 ms",
        "<= 250 ms",
        FAILOVER,
    ),
    trio(
        "failover-again",
        "400 writes a second while the leader is killed every 10 s: p99.9",
        Trio::FailoverAgain,
        P999Us,
        "",
        "<= 1/10",
        &[TENTH],
    ),
    trio(
        "memory-1m",
        "memory of the three with 1,000,000 znodes",
        Trio::Memory { znodes: MILLION },
        Megabytes,
        "",
        "no more than Java's third",
        &[expect(Megabytes, AtMostTimesJava(1.0 / 3.0))],
    ),
    trio(
        "join-1m",
        "250 writes a second while an empty member comes in with 1,000,000 znodes: p99.9",
        Trio::Join { znodes: MILLION },
        P999Us,
        "",
        "<= 1/10",
        &[TENTH],
    ),
    trio(
        "snapshots-1m",
        "2,000 writes a second while snapshots of 1,000,000 znodes are written: p99.9",
        Trio::Snapshots { znodes: MILLION },
        P999Us,
        "",
        "<= 1/10",
        &[TENTH],
    ),
    trio(
        "failover-1m",
        "leader killed with -9: to the next acknowledged write, 1,000,000 znodes",
        Trio::Failover { znodes: MILLION },
        Milliseconds,
        "",
        "no slower than with a small tree",
        FAILOVER,
    ),
    trio(
        "failover-5m",
        "the same with 5,000,000 znodes",
        Trio::Failover { znodes: 5 * MILLION },
        Milliseconds,
        "",
        "no slower than with a small tree",
        FAILOVER,
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn keys_are_unique_and_every_row_expects_something() {
        for table in [WORKLOADS, ENSEMBLES] {
            let keys: BTreeSet<_> = table.iter().map(|workload| workload.key).collect();
            assert_eq!(keys.len(), table.len());
            assert!(table.iter().all(|workload| !workload.expectations.is_empty()));
        }
        assert!(WORKLOADS.iter().all(|workload| !matches!(workload.work, Work::Trio(_))));
        assert!(ENSEMBLES.iter().all(|workload| matches!(workload.work, Work::Trio(_))));
    }
}
