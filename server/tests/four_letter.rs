//! The answers to the four-letter words against those that a Java 3.9.5 standalone server gave.
//! The vectors and the script that captured them are in `vectors/four_letter`; each test builds the state
//! that the script brought the Java server into.

use std::collections::BTreeSet;
use std::fmt::{self, Write};

use oxkeeper_proto::{SessionId, Zxid};
use oxkeeper_server::four_letter::*;
use oxkeeper_server::metrics::*;

macro_rules! vector {
    ($name:literal) => {
        include_str!(concat!("vectors/four_letter/", $name, ".txt"))
    };
}

const ONE: SessionId = SessionId(0x0100_0000_0000_000a);
const TWO: SessionId = SessionId(0x0100_0000_0000_000b);
/// 2026-11-23 01:40:00 UTC, the date that the script puts in place of every expiry.
const EXPIRY_MS: i64 = 1_795_398_000_000;
const JAVA_VERSION: &str = "3.9.5-293c895a8d966a3ecb92872be4a1daf87d725da2, built on 2026-02-11 20:18 UTC";

fn answer(command: Command, view: &ServerView<'_>) -> String {
    let mut out = String::new();
    render(command, view, &mut out).expect("a string takes everything");
    out
}

fn serving<'a>() -> ServerView<'a> {
    ServerView { serving: true, version: JAVA_VERSION, trace_mask: TRACE_MASK_DEFAULT, ..ServerView::default() }
}

fn session(id: SessionId, last_operation: &'static str, last_cxid: i64, last_zxid: i64) -> Option<ConnectionSession> {
    Some(ConnectionSession {
        id,
        last_operation,
        established_ms: 1_795_398_000_123,
        timeout_ms: 30_000,
        last_cxid,
        last_zxid,
        last_response_ms: 987_654,
        last_latency_ms: 7,
        min_latency_ms: 7,
        average_latency_ms: 7,
        max_latency_ms: 7,
    })
}

fn connection(address: &str, interest_ops: u32, received: u64, sent: u64, session: Option<ConnectionSession>) -> ConnectionView {
    ConnectionView { address: address.parse().expect("an address"), interest_ops, queued: 0, received, sent, session }
}

fn connections() -> Vec<ConnectionView> {
    vec![
        connection("[::1]:40002", 1, 4, 5, session(TWO, last_operation(oxkeeper_proto::OpCode::GET_CHILDREN), 3, 6)),
        connection("127.0.0.1:49999", 0, 1, 0, None),
        connection("127.0.0.1:40001", 1, 266, 267, session(ONE, last_operation(oxkeeper_proto::OpCode::SET_DATA), 0x109, 0x10a)),
        connection("127.0.0.1:40003", 1, 0, 0, session(SessionId::NONE, "NA", -1, -1)),
    ]
}

#[test]
fn short_answers() {
    let view = serving();
    for (command, expected) in [
        (Command::Ruok, vector!("ruok")),
        (Command::Isro, vector!("isro")),
        (Command::Gtmk, vector!("gtmk")),
        (Command::Crst, vector!("crst")),
        (Command::Srst, vector!("srst")),
        (Command::Hash, vector!("hash.fresh")),
        (Command::Wchs, vector!("wchs.fresh")),
        (Command::Wchp, vector!("wchp.fresh")),
        (Command::TelnetClose, vector!("allowed.telnet")),
    ] {
        assert_eq!(answer(command, &view), expected, "{command:?}");
    }
    let view = ServerView { trace_mask: 1 << 40 | 306, ..serving() };
    assert_eq!(answer(Command::Stmk, &view), vector!("stmk"));
    assert_eq!(answer(Command::Isro, &ServerView { mode: Mode::ReadOnly, ..serving() }), "ro");
    assert_eq!(Command::Ruok.refusal(), vector!("refused.ruok"));
    assert_eq!(Command::TelnetClose.refusal(), vector!("refused.telnet"));
}

#[test]
fn a_server_that_does_not_serve_says_so() {
    let view = ServerView { serving: false, ..serving() };
    let sentence = "This ZooKeeper instance is not currently serving requests";
    for command in Command::ALL {
        let expected = match command {
            Command::Ruok => "imok".to_owned(),
            Command::Isro => "null".to_owned(),
            Command::Gtmk | Command::Stmk => "306".to_owned(),
            Command::Envi => "Environment:\n".to_owned(),
            Command::Hash => sentence.to_owned(),
            Command::TelnetClose => String::new(),
            _ => format!("{sentence}\n"),
        };
        assert_eq!(answer(command, &view), expected, "{command:?}");
    }
}

#[test]
fn srvr_and_stat() {
    let statistics = Statistics {
        latency_average_ms: 0.1625,
        latency_max_ms: 7,
        packets_received: 286,
        packets_sent: 288,
        connections: 4,
        zxid: Zxid(0x10a),
        nodes: 9,
        ..Statistics::default()
    };
    assert_eq!(answer(Command::Srvr, &ServerView { statistics, ..serving() }), vector!("srvr"));
    let later = Statistics { packets_received: 287, packets_sent: 289, ..statistics };
    assert_eq!(answer(Command::Stat, &ServerView { statistics: later, connections: connections_of_stat(), ..serving() }), vector!("stat"));

    let metrics = Metrics::new();
    metrics.record(|recorder| recorder.request_done(RequestKind::Update, 30));
    metrics.reset();
    metrics.record(|recorder| {
        recorder.packets_received(1);
        recorder.packets_sent(1);
    });
    let reset = Statistics { connections: 4, zxid: Zxid(0x10a), nodes: 9, ..Statistics::from_reading(&metrics.read()) };
    assert_eq!(answer(Command::Srvr, &ServerView { statistics: reset, ..serving() }), vector!("srvr.reset"));
}

/// The order in which the Java server had them at that moment.
fn connections_of_stat() -> Vec<ConnectionView> {
    let mut connections = connections();
    connections.swap(0, 1);
    connections
}

#[test]
fn srvr_of_other_roles() {
    let view = ServerView { mode: Mode::ReadOnly, ..serving() };
    assert!(answer(Command::Srvr, &view).contains("UTC\nREAD-ONLY mode; serving only read-only clients\nLatency"));
    assert!(answer(Command::Srvr, &view).contains("\nMode: read-only\n"));
    let statistics = Statistics { proposal_sizes: [48, 32, 112], ..Statistics::default() };
    let leader = answer(Command::Srvr, &ServerView { mode: Mode::Leader, statistics, ..serving() });
    assert!(leader.ends_with("Mode: leader\nNode count: 0\nProposal sizes last/min/max: 48/32/112\n"));
}

#[test]
fn cons() {
    assert_eq!(answer(Command::Cons, &ServerView { connections: connections(), ..serving() }), vector!("cons"));
    let reset = vec![
        connection("127.0.0.1:49999", 0, 1, 0, None),
        connection("[::1]:40002", 1, 0, 0, session(TWO, "NA", -1, -1)),
        connection("127.0.0.1:40001", 1, 0, 0, session(ONE, "NA", -1, -1)),
        connection("127.0.0.1:40003", 1, 0, 0, None),
    ];
    assert_eq!(answer(Command::Cons, &ServerView { connections: reset, ..serving() }), vector!("cons.reset"));
}

fn configuration() -> ConfigurationView {
    ConfigurationView {
        client_port: 2181,
        secure_client_port: -1,
        data_dir: "/data/version-2".to_owned(),
        data_log_dir: "/data/version-2".to_owned(),
        tick_time_ms: 3000,
        max_client_connections: 0,
        min_session_timeout_ms: 6000,
        max_session_timeout_ms: 60_000,
        client_port_listen_backlog: -1,
        server_id: 0,
        quorum: None,
    }
}

#[test]
fn conf_and_dirs() {
    let mut view =
        ServerView { configuration: configuration(), data_dir_size_bytes: 67_108_880, log_dir_size_bytes: 67_108_880, ..serving() };
    assert_eq!(answer(Command::Conf, &view), vector!("conf"));
    assert_eq!(answer(Command::Dirs, &view), vector!("dirs"));
    let membership = "server.1=127.0.0.1:32121:32131:participant;127.0.0.1:32111\nversion=100000000";
    view.configuration.quorum = Some(QuorumConfigurationView {
        init_limit: 10,
        sync_limit: 5,
        election_algorithm: 3,
        election_ports: vec![32131, 32132],
        quorum_ports: vec![32121],
        observer: false,
        membership: Some(membership.to_owned()),
    });
    let rows = "initLimit=10\nsyncLimit=5\nelectionAlg=3\nelectionPort=32131|32132\nquorumPort=32121\npeerType=0\nmembership: \n";
    assert_eq!(answer(Command::Conf, &view), format!("{}{rows}{membership}", vector!("conf")));
}

#[test]
fn dump() {
    let ephemerals = vec![(ONE, vec!["/a/e2".to_owned(), "/a/e1".to_owned()]), (TWO, vec!["/q\u{e9}".to_owned()])];
    let address = |text: &str| text.parse().expect("an address");
    let view = ServerView {
        sessions: SessionsView::Tracked { local: None, global: vec![SessionBucket { expires_ms: EXPIRY_MS, sessions: vec![ONE, TWO] }] },
        ephemerals: Some(&ephemerals),
        ephemeral_sessions: 2,
        // Not in order of time: the answer is.
        connection_buckets: vec![
            ConnectionBucket {
                expires_ms: EXPIRY_MS + 999,
                connections: vec![(address("[::1]:40002"), TWO), (address("127.0.0.1:40001"), ONE)],
            },
            ConnectionBucket {
                expires_ms: EXPIRY_MS,
                connections: vec![(address("127.0.0.1:49999"), SessionId::NONE), (address("127.0.0.1:40003"), SessionId::NONE)],
            },
        ],
        ..serving()
    };
    assert_eq!(answer(Command::Dump, &view), vector!("dump"));
}

#[test]
fn dump_of_other_roles() {
    let bucket = |session| vec![SessionBucket { expires_ms: EXPIRY_MS, sessions: vec![session] }];
    let sets = |session| format!("Session Sets (1)/(1):\n1 expire at Mon Nov 23 01:40:00 UTC 2026:\n\t{session}\n");
    for (sessions, expected) in [
        (SessionsView::Tracked { local: Some(bucket(ONE)), global: bucket(TWO) }, format!("Local {}Global {}", sets(ONE), sets(TWO))),
        (
            SessionsView::Learner { local: None, global: vec![(TWO, 4000), (ONE, 30_000)] },
            format!("Global Sessions(2):\n{ONE}\t30000ms\n{TWO}\t4000ms\n"),
        ),
        (SessionsView::Learner { local: Some(bucket(ONE)), global: Vec::new() }, format!("Local {}Global Sessions(0):\n", sets(ONE))),
    ] {
        let text = answer(Command::Dump, &ServerView { sessions, ..serving() });
        let rest = "ephemeral nodes dump:\nSessions with Ephemerals (0):\nConnections dump:\nConnections Sets (0)/(0):\n";
        assert_eq!(text, format!("SessionTracker dump:\n{expected}{rest}"));
    }
}

#[test]
fn busy_tells_rates_and_paths() {
    let rate = |path: &str, reads, writes| PathRate { path: path.to_owned(), reads, writes };
    let view = ServerView { busy_paths: vec![rate("/a b", 1500.04, 0.5), rate("/c", 0.0, 2.0)], ..serving() };
    assert_eq!(answer(Command::Busy, &view), "1500.0\t0.5\t/a b\n0.0\t2.0\t/c\n");
}

#[test]
fn hash_and_watches() {
    let by_path = vec![("/missing".to_owned(), vec![ONE])];
    // Java keeps a session whose watches have all fired.
    let by_session = vec![(TWO, vec![]), (ONE, vec!["/missing".to_owned()])];
    let view = ServerView {
        watch_summary: WatchSummary { connections: 2, paths: 1, watches: 1 },
        watches_by_path: Some(&by_path),
        watches_by_session: Some(&by_session),
        ..serving()
    };
    assert_eq!(answer(Command::Wchs, &view), vector!("wchs"));
    assert_eq!(answer(Command::Wchp, &view), vector!("wchp"));
    assert_eq!(answer(Command::Wchc, &view), vector!("wchc"));
    // The digests themselves depend on times: take the zxids and the layout from Java.
    let captured: Vec<DigestView> = vector!("hash")
        .lines()
        .map(|line| line.split_once(": ").expect("two parts"))
        .map(|(zxid, digest)| DigestView {
            zxid: Zxid(i64::from_str_radix(zxid, 16).expect("hexadecimal")),
            digest: digest.parse().expect("decimal"),
        })
        .collect();
    assert_eq!(captured.iter().map(|entry| entry.zxid).collect::<Vec<_>>(), [Zxid(0x80), Zxid(0x100)]);
    assert_eq!(answer(Command::Hash, &ServerView { digests: captured, ..serving() }), vector!("hash"));
}

#[test]
fn envi_has_java_s_keys_in_java_s_order() {
    let view = ServerView { environment: environment::gather(JAVA_VERSION), ..serving() };
    let text = answer(Command::Envi, &view);
    let masked: String = text
        .lines()
        .map(|line| match line.split_once('=') {
            Some((key, _)) if key.starts_with("os.memory.") => format!("{key}=*MB\n"),
            Some((key, _)) => format!("{key}=*\n"),
            None => format!("{line}\n"),
        })
        .collect();
    assert_eq!(masked, vector!("envi"));
}

fn monitor(metrics: &Metrics, gauges: &GaugeValues, peer_state: Option<&str>) -> String {
    let reading = metrics.read();
    answer(
        Command::Mntr,
        &ServerView {
            metrics: Some(MetricsView { reading: &reading, gauges, families: None, peer_state, observer_master_id: None }),
            ..serving()
        },
    )
}

/// What a value looks like, not what it is.
fn shape(value: &str) -> &'static str {
    match value.parse::<f64>() {
        Err(_) => "text",
        Ok(_) if value.parse::<i64>().is_ok() => "integer",
        Ok(_) => "decimal",
    }
}

fn keys(text: &str) -> BTreeSet<(String, &'static str)> {
    let keys: Vec<_> = text
        .lines()
        .map(|line| line.split_once('\t').unwrap_or_else(|| panic!("no tab in {line}")))
        .map(|(key, value)| (key.to_owned(), shape(value)))
        .collect();
    let set: BTreeSet<_> = keys.iter().cloned().collect();
    assert_eq!(set.len(), keys.len(), "a key is printed twice");
    set
}

#[test]
fn mntr_of_a_fresh_server_has_java_s_keys_and_kinds_of_values() {
    let ours = monitor(&Metrics::new(), &GaugeValues::default(), None);
    assert_eq!(keys(&ours), keys(vector!("mntr.fresh")));
    // Whatever Java has at zero or -1 on a fresh server is so here; the rest depends on the run.
    let values: BTreeSet<&str> = ours.lines().collect();
    let neutral: Vec<&str> =
        vector!("mntr.fresh").lines().filter(|line| line.ends_with("\t0") || line.ends_with("\t0.0") || line.ends_with("\t-1")).collect();
    assert!(neutral.len() > 450);
    for line in neutral {
        assert!(values.contains(line), "{line}");
    }
}

#[test]
fn mntr_after_requests_and_after_a_reset_has_java_s_keys() {
    let metrics = Metrics::new();
    let recorder = metrics.recorder();
    for bytes in [70, 70, 74] {
        recorder.observe_for(SummarySet::ReadPerNamespace, "a", bytes);
    }
    recorder.observe_for(SummarySet::WritePerNamespace, "a", 7);
    recorder.observe_for(SummarySet::WritePerNamespace, "q\u{e9}", 3);
    let text = monitor(&metrics, &GaugeValues::default(), None);
    assert_eq!(keys(&text), keys(vector!("mntr")));
    for suffix in ["a_read_per_namespace", "q\u{e9}_write_per_namespace"] {
        let of = |text: &str| {
            let mut lines: Vec<String> = text.lines().filter(|line| line.contains(&format!("_{suffix}\t"))).map(str::to_owned).collect();
            lines.sort_unstable();
            lines
        };
        assert_eq!(of(&text), of(vector!("mntr")));
    }
    metrics.reset();
    assert_eq!(keys(&monitor(&metrics, &GaugeValues::default(), None)), keys(vector!("mntr.reset")));
}

#[test]
fn mntr_begins_with_version_and_state() {
    let text = monitor(&Metrics::new(), &GaugeValues::default(), Some("following - broadcast"));
    let head =
        format!("zk_version\t{JAVA_VERSION}\nzk_server_state\tstandalone\nzk_peer_state\tfollowing - broadcast\nzk_avg_latency\t0.0\n");
    assert!(text.starts_with(&head), "{text}");
}

#[test]
fn an_observer_names_the_member_that_it_follows() {
    let metrics = Metrics::new();
    let (reading, gauges) = (metrics.read(), GaugeValues::default());
    for (master, line) in [(Some(3), "\nzk_observer_master_id\t3\n"), (Some(-1), "\nzk_observer_master_id\t-1\n"), (None, "")] {
        let view = MetricsView { reading: &reading, gauges: &gauges, families: None, peer_state: None, observer_master_id: master };
        let text = answer(Command::Mntr, &ServerView { metrics: Some(view), ..serving() });
        assert!(text.contains(line), "{text}");
        assert_eq!(text.contains("observer_master_id"), master.is_some());
    }
}

/// A million watches, made as they are walked.
struct ManyWatches {
    paths: usize,
}

impl Listing for ManyWatches {
    fn walk(&self, each: &mut dyn FnMut(Entry<'_>) -> fmt::Result) -> fmt::Result {
        let mut path = String::new();
        for number in 0..self.paths {
            path.clear();
            write!(path, "/application/node-{number:07}")?;
            each(Entry::Path(&path))?;
            each(Entry::Session(ONE))?;
        }
        Ok(())
    }
}

#[test]
fn a_long_answer_comes_in_pieces_and_can_be_cut_short() {
    let many = ManyWatches { paths: 1_000_000 };
    let view = ServerView { watches_by_path: Some(&many), ..serving() };
    let (mut bytes, mut longest) = (0, 0);
    let mut chunks = Chunks::new(|piece: &[u8]| {
        bytes += piece.len();
        longest = longest.max(piece.len());
        Ok(())
    });
    render(Command::Wchp, &view, &mut chunks).expect("all is taken");
    chunks.finish().expect("all is taken");
    assert_eq!(bytes, 1_000_000 * ("/application/node-0000000\n".len() + "\t0x10000000000000a\n".len()) + 1);
    assert!(longest < 17 * 1024, "{longest}");

    let mut pieces = 0;
    let mut chunks = Chunks::new(|_: &[u8]| {
        pieces += 1;
        if pieces == 3 { Err(fmt::Error) } else { Ok(()) }
    });
    assert!(render(Command::Wchp, &view, &mut chunks).is_err());
    assert_eq!(pieces, 3);
}

#[test]
fn needs_name_all_that_a_word_prints() {
    // A view with only what `needs` names answers as a full one does.
    let ephemerals = vec![(ONE, vec!["/e".to_owned()])];
    let by_path = vec![("/w".to_owned(), vec![ONE])];
    let by_session = vec![(ONE, vec!["/w".to_owned()])];
    let reading = Metrics::new().read();
    let gauges = GaugeValues::default();
    for command in Command::ALL {
        let view = |needs: Needs| {
            let mut view = serving();
            if needs.connections {
                view.connections = connections();
            }
            if needs.statistics {
                view.statistics = Statistics { nodes: 9, connections: 3, ..Statistics::default() };
            }
            if needs.configuration {
                view.configuration = configuration();
            }
            if needs.directory_sizes {
                (view.data_dir_size_bytes, view.log_dir_size_bytes) = (5, 6);
            }
            if needs.sessions {
                view.sessions = SessionsView::Learner { local: None, global: vec![(ONE, 1)] };
                view.ephemerals = Some(&ephemerals);
                view.ephemeral_sessions = 1;
                view.connection_buckets = vec![ConnectionBucket { expires_ms: 0, connections: vec![] }];
            }
            if needs.digests {
                view.digests = vec![DigestView { zxid: Zxid(1), digest: 2 }];
            }
            if needs.watch_summary {
                view.watch_summary = WatchSummary { connections: 1, paths: 2, watches: 3 };
            }
            if needs.watches_by_path {
                view.watches_by_path = Some(&by_path);
            }
            if needs.watches_by_session {
                view.watches_by_session = Some(&by_session);
            }
            if needs.environment {
                view.environment = vec![("user.name", "x".to_owned())];
            }
            if needs.busy_paths {
                view.busy_paths = vec![PathRate { path: "/a".to_owned(), reads: 1.0, writes: 0.0 }];
            }
            if needs.metrics {
                view.metrics =
                    Some(MetricsView { reading: &reading, gauges: &gauges, families: None, peer_state: None, observer_master_id: None });
            }
            view
        };
        let all = Needs {
            connections: true,
            statistics: true,
            configuration: true,
            directory_sizes: true,
            sessions: true,
            digests: true,
            watch_summary: true,
            watches_by_path: true,
            watches_by_session: true,
            environment: true,
            metrics: true,
            busy_paths: true,
        };
        assert_eq!(answer(command, &view(command.needs())), answer(command, &view(all)), "{command:?}");
    }
}
