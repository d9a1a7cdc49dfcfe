//! Metrics for Prometheus: names, types and labels as those of Java 3.9.5, live and as captured from the roles of an
//! ensemble; what promtool says; `mntr` and `monitor` under that provider; and that values are what happened.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use oxkeeper_compat_tests::conversation::Conversation;
use oxkeeper_compat_tests::http;
use oxkeeper_compat_tests::load::{Eye, Load};
use oxkeeper_compat_tests::subject::{Options, Server, Subject, TemporaryDirectory, four_letter, free_port, workspace};
use oxkeeper_compat_tests::wire::{op, request};

const PROVIDER: &str = "org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider";

struct Started {
    server: Server,
    metrics: u16,
    admin: u16,
}

fn start(subject: Subject) -> Started {
    start_with(subject, Options::usual())
}

fn start_with(subject: Subject, options: Options) -> Started {
    let (metrics, admin) = (free_port(), free_port());
    let options = options
        .line("metricsProvider.className", PROVIDER)
        .line("metricsProvider.httpHost", "127.0.0.1")
        .line("metricsProvider.httpPort", &metrics.to_string())
        .line("admin.enableServer", "true")
        .line("admin.serverPort", &admin.to_string());
    Started { server: Server::start(subject, &options), metrics, admin }
}

fn history(talk: &mut Conversation) {
    talk.connect("a");
    talk.ask("a", &request::create("/words", "data"));
    talk.ask("a", &request::create("/odd \"<script>&\\é", "x"));
    talk.ask("a", &request::create("/odd \"<script>&\\é/child", "x"));
    let many: Vec<_> = (0..100).map(|_| request::set_data("/words", Some(b"x"), -1)).collect();
    talk.pipeline("a", &many);
    for _ in 0..20 {
        talk.ask("a", &request::read(op::DATA, "/words", true));
    }
    assert!(!talk.is_lost());
}

/// A family: its type, the labels of its samples, and the samples' names and values.
#[derive(Debug, Default)]
struct Family {
    kind: String,
    labels: BTreeSet<String>,
    samples: BTreeMap<String, f64>,
}

/// The page once it shows as many reads and sets as `history` made: both servers count a moment after they answer.
fn settled(port: u16) -> BTreeMap<String, Family> {
    let begun = std::time::Instant::now();
    loop {
        let seen = families(&page(port));
        let is_counted = |name: &str, key: &str, count: f64| seen[name].samples.get(key).is_some_and(|counted| *counted >= count);
        if is_counted("read_per_namespace", "read_per_namespace_count{key=\"words\"}", 20.0)
            && is_counted("write_per_namespace", "write_per_namespace_count{key=\"words\"}", 101.0)
            && is_counted("readlatency", "readlatency_count", 20.0)
        {
            return seen;
        }
        assert!(begun.elapsed().as_secs() < 30, "{seen:#?}");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

fn page(port: u16) -> String {
    let answer = http::get(port, "/metrics").expect("an answer");
    assert_eq!((answer.status, answer.field("content-type")), (200, Some("text/plain; version=0.0.4; charset=utf-8")));
    answer.text()
}

/// Reads the text format. Commas behind the last label, which Java writes, do not count.
fn families(text: &str) -> BTreeMap<String, Family> {
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let mut current = String::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("a type");
            current = name.to_owned();
            families.entry(current.clone()).or_default().kind = kind.to_owned();
        } else if !line.starts_with('#') {
            let (key, value) = line.rsplit_once(' ').expect("a value");
            let family = families.get_mut(&current).expect("a type comes first");
            let key = key.replace(",}", "}");
            assert!(key.starts_with(&current), "{key} under {current}");
            if let Some((_, labels)) = key.split_once('{') {
                let mut rest = labels;
                while let Some((label, text)) = rest.split_once("=\"") {
                    family.labels.insert(label.trim_start_matches(',').to_owned());
                    let bytes = text.as_bytes();
                    let end = (0..bytes.len()).find(|at| bytes[*at] == b'"' && !text[..*at].ends_with('\\')).expect("an end");
                    rest = &text[end + 1..];
                }
            }
            family.samples.insert(key, value.parse().expect("a number"));
        }
    }
    families
}

/// Families of Java's that have no meaning here, by their beginning: the machine that they tell of is not there.
const JVM: &[&str] = &["jvm_threads", "jvm_memory", "jvm_gc", "jvm_classes", "jvm_buffer", "jvm_info"];

#[test]
fn names_types_and_labels_are_those_of_java() {
    let seen: Vec<BTreeMap<String, Family>> = [Subject::Java39, Subject::Oxkeeper]
        .into_iter()
        .map(|subject| {
            let started = start(subject);
            history(&mut Conversation::begin(started.server.address()));
            settled(started.metrics)
        })
        .collect();
    let (judge, mine) = (&seen[0], &seen[1]);
    for (name, theirs) in judge.iter().filter(|(name, _)| !JVM.iter().any(|beginning| name.starts_with(beginning))) {
        let ours = mine.get(name).unwrap_or_else(|| panic!("{name} is missing"));
        assert_eq!(ours.kind, theirs.kind, "{name}");
        // The end of a summary's keys: all that have labels.
        assert_eq!(ours.labels, theirs.labels, "{name}");
        let keys = |family: &Family| family.samples.keys().cloned().collect::<BTreeSet<_>>();
        assert_eq!(keys(ours), keys(theirs), "{name}");
    }
    for name in mine.keys() {
        assert!(judge.contains_key(name) || name.starts_with("oxkeeper_"), "{name} is neither Java's nor marked as ours");
    }
    // Whatever does not depend on time is equal.
    for name in ["znode_count", "ephemerals_count", "approximate_data_size", "global_sessions", "write_per_namespace", "read_per_namespace"]
    {
        assert_eq!(mine[name].samples, judge[name].samples, "{name}");
    }
    assert_eq!(mine["readlatency"].samples["readlatency_count"], judge["readlatency"].samples["readlatency_count"]);
}

/// What the roles of an ensemble show is in our table of metrics with the same type, or is the JVM's.
#[test]
fn the_table_has_what_the_roles_show() {
    let started = start(Subject::Oxkeeper);
    let mine = families(&page(started.metrics));
    let mut compared = 0;
    for role in ["standalone", "leader", "follower", "observer"] {
        let path = workspace().join(format!("compat-tests/vectors/metrics/3.9.5-{role}.txt"));
        for line in std::fs::read_to_string(path).expect("captured").lines() {
            let mut words = line.split(' ');
            let (kind, name) = (words.next().expect("a type"), words.next().expect("a name"));
            let by_role = oxkeeper_role_gauges();
            match mine.get(name) {
                Some(family) => assert_eq!(family.kind, kind, "{name}"),
                None => assert!(role != "standalone" && kind == "gauge" && by_role.contains(&name), "{name} of a {role} is missing"),
            }
            compared += 1;
        }
    }
    assert!(compared > 600, "{compared}");
}

/// Gauges that only members of an ensemble have; the server's own table has them.
fn oxkeeper_role_gauges() -> BTreeSet<&'static str> {
    use oxkeeper_server::metrics::{Gauge, GaugeKind};
    Gauge::ALL.iter().filter(|gauge| gauge.detail() == GaugeKind::RoleInteger).map(|gauge| gauge.name()).collect()
}

/// promtool reads the page, and finds nothing that it does not find in Java's.
#[test]
fn promtool_reads_it() {
    let complaints = |subject| {
        let started = start(subject);
        history(&mut Conversation::begin(started.server.address()));
        let text = page(started.metrics);
        let mut promtool = Command::new("promtool")
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("promtool is there: run `cargo xtask prerequisites`");
        promtool.stdin.take().expect("piped").write_all(text.as_bytes()).expect("taken");
        let output = promtool.wait_with_output().expect("it ends");
        let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
        // 3 are matters of style; anything else would be a page that cannot be read.
        assert!(matches!(output.status.code(), Some(0 | 3)), "{subject}: {said}");
        said.lines().map(str::to_owned).collect::<BTreeSet<_>>()
    };
    let (judge, mine) = (complaints(Subject::Java39), complaints(Subject::Oxkeeper));
    let new: Vec<&String> = mine.difference(&judge).collect();
    assert!(new.is_empty(), "{new:#?}");
}

/// With this provider `mntr` and `monitor` spell metrics as it does.
#[test]
fn mntr_spells_as_the_provider_does() {
    let keys: Vec<(BTreeSet<String>, BTreeSet<String>)> = [Subject::Java39, Subject::Oxkeeper]
        .into_iter()
        .map(|subject| {
            let started = start(subject);
            history(&mut Conversation::begin(started.server.address()));
            let is_known = |key: &String| !JVM.iter().any(|beginning| key.trim_start_matches("zk_").starts_with(beginning));
            let mntr = four_letter(started.server.address(), b"mntr").expect("an answer");
            let mntr = mntr.lines().map(|line| line.split('\t').next().unwrap_or_default().to_owned()).filter(is_known).collect();
            let monitor: serde_json::Value =
                serde_json::from_slice(&http::get(started.admin, "/commands/monitor").expect("an answer").body).expect("JSON");
            let kind = |value: &serde_json::Value| if value.is_f64() { "decimal" } else { "other" };
            let latency = &monitor["max_latency"];
            assert!(latency.is_f64(), "{subject}: {latency}");
            let quantile = &monitor["snapshottime{quantile=\"0.5\"}"];
            assert!(quantile.is_string() || quantile.is_f64(), "{subject}: {quantile}");
            let monitor = monitor.as_object().expect("an object").iter().map(|(key, value)| format!("{key} {}", kind(value)));
            // Without values a quantile is the text NaN, and which have values is the clock's affair.
            let monitor = monitor.map(|key| if key.contains("quantile") { key.replace(" other", "").replace(" decimal", "") } else { key });
            (mntr, monitor.filter(is_known).collect())
        })
        .collect();
    for (what, judge, mine) in [("mntr", &keys[0].0, &keys[1].0), ("monitor", &keys[0].1, &keys[1].1)] {
        let (missing, more): (Vec<_>, Vec<_>) = (judge.difference(mine).collect(), mine.difference(judge).collect());
        assert!(missing.is_empty() && more.is_empty(), "{what}: missing {missing:#?}, more {more:#?}");
        assert!(judge.len() > 250, "{what}: {}", judge.len());
    }
}

/// The door itself: other paths and methods, names alone, a port in use, no provider.
#[test]
fn the_door_is_that_of_java() {
    let taken = std::net::TcpListener::bind(("0.0.0.0", 0)).expect("a port");
    let port = taken.local_addr().expect("bound").port().to_string();
    for subject in [Subject::Java39, Subject::Oxkeeper] {
        let started = start(subject);
        for (method, target, status) in [
            ("GET", "/", 404),
            ("GET", "/metrics/", 404),
            ("GET", "/nothing", 404),
            ("POST", "/metrics", 200),
            ("HEAD", "/metrics", 200),
            ("TRACE", "/metrics", 403),
            ("PUT", "/metrics", 405),
        ] {
            let answer = http::ask(started.metrics, method, target, &[], &[]).expect("an answer");
            assert_eq!(answer.status, status, "{subject} {method} {target}");
        }
        let named = http::get(started.metrics, "/metrics?name[]=znode_count&name%5B%5D=readlatency_count").expect("an answer").text();
        let lines: BTreeSet<&str> = named.lines().filter(|line| !line.starts_with('#')).collect();
        let wanted: BTreeSet<&str> = ["znode_count 5.0", "readlatency_count 0.0"].into();
        assert_eq!(lines, wanted, "{subject}");

        let directory = TemporaryDirectory::new();
        let options = Options::usual().line("metricsProvider.className", PROVIDER).line("metricsProvider.httpPort", &port);
        let mut server = Server::spawn_in(subject, &options, &directory.path);
        assert_eq!(server.wait_for_exit().code(), Some(1), "{subject}: {}", server.log_tail());

        let options = Options::usual().line("metricsProvider.className", "org.apache.zookeeper.metrics.impl.NullMetricsProvider");
        let server = Server::start(subject, &options);
        let mntr = four_letter(server.address(), b"mntr").expect("an answer");
        let keys: Vec<&str> = mntr.lines().map(|line| line.split('\t').next().unwrap_or_default()).collect();
        assert_eq!(keys, ["zk_version", "zk_server_state"], "{subject}");
    }
}

/// Our own histograms count what happened.
#[test]
fn histograms_add_up() {
    let started = start(Subject::Oxkeeper);
    history(&mut Conversation::begin(started.server.address()));
    let mine = settled(started.metrics);
    let requests = &mine["oxkeeper_request_duration_seconds"];
    assert_eq!(requests.kind, "histogram");
    let value = |key: &str| requests.samples[&format!("oxkeeper_request_duration_seconds{key}")];
    assert_eq!(value("_count{kind=\"read\"}"), 20.0);
    assert_eq!(value("_bucket{kind=\"read\",le=\"+Inf\"}"), 20.0);
    // Three creates, a hundred sets, sessions.
    assert!(value("_count{kind=\"update\"}") >= 103.0);
    let mut before = 0.0;
    for bound in ["1.0E-4", "0.001", "0.01", "0.1", "1.0", "10.0", "+Inf"] {
        let now = value(&format!("_bucket{{kind=\"update\",le=\"{bound}\"}}"));
        assert!(now >= before, "{bound}");
        before = now;
    }
    let syncs = mine["oxkeeper_stage_duration_seconds"].samples["oxkeeper_stage_duration_seconds_count{stage=\"log_sync\"}"];
    assert_eq!(syncs, mine["fsynctime"].samples["fsynctime_count"]);
    assert!(syncs > 0.0);
}

/// A write that waits for a slow disk is named in the log with its cause.
#[test]
fn slow_requests_are_named() {
    let options = Options::usual().line("oxkeeper.slowRequestMs", "150").line("forceSync", "yes");
    let server = Server::start(Subject::Oxkeeper, &options);
    let mut talk = Conversation::begin(server.address());
    talk.connect("a");
    let mut strace = Command::new("strace")
        .args(["-f", "-qq", "-e", "trace=fdatasync,fsync", "-e", "inject=fdatasync,fsync:delay_enter=400000", "-p"])
        .arg(server.process_id().to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("strace is there: run `cargo xtask prerequisites`");
    let begun = std::time::Instant::now();
    let mut number = 0;
    let log = loop {
        // The first ones may come before strace has taken hold.
        talk.ask("a", &request::create(&format!("/slow{number}"), ""));
        number += 1;
        let log = std::fs::read_to_string(server.log_path()).expect("a log");
        if log.contains("Slow request: ") || begun.elapsed().as_secs() > 30 {
            break log;
        }
    };
    let _ = Command::new("kill").arg(strace.id().to_string()).status();
    let _ = strace.wait();
    let line = log.lines().find(|line| line.contains("Slow request: ")).unwrap_or_else(|| panic!("{log}"));
    assert!(line.contains("Slow request: CREA took ") && line.contains(" ms: a sync of the log took "), "{line}");
}

/// Whoever reports looks at the tree, the sessions and each reactor's connections, all of which are in use: at no moment
/// may one wait for another that waits for it. A server of ours stood still for good when `mntr` came between a read and
/// a write.
#[test]
fn reports_under_load_hold_nobody_up() {
    for subject in [Subject::Java39, Subject::Oxkeeper] {
        let started = start_with(subject, Options::usual().line("admin.rateLimiterIntervalInMS", "0"));
        let address = started.server.address();
        let mut load = Load::new(4, 16, 7);
        // Java's reports take longest.
        let rounds = if subject == Subject::Oxkeeper { 150 } else { 15 };
        load.run(address, |progress| {
            let is_over = AtomicBool::new(false);
            std::thread::scope(|scope| {
                for reader in 0..2 {
                    let is_over = &is_over;
                    scope.spawn(move || {
                        let mut eye = Eye::open(address);
                        let base = format!("/client{reader}");
                        let reads = [op::DATA, op::EXISTS, op::CHILDREN].map(|code| request::read(code, &base, false));
                        let many: Vec<_> = reads.iter().cycle().take(60).cloned().collect();
                        while !is_over.load(Ordering::Relaxed) {
                            eye.ask(&many);
                        }
                    });
                }
                let askers = [
                    scope.spawn(|| {
                        for word in ["mntr", "srvr", "stat", "cons", "dump", "wchs", "wchp", "dirs"].repeat(rounds) {
                            let text = four_letter(address, word.as_bytes()).unwrap_or_else(|error| panic!("{word}: {error}"));
                            assert!(!text.is_empty(), "{word}");
                        }
                    }),
                    scope.spawn(|| {
                        for command in ["monitor", "stats", "connections", "sessions", "watch_summary", "hash"].repeat(rounds) {
                            let answer = http::get(started.admin, &format!("/commands/{command}"));
                            assert_eq!(answer.unwrap_or_else(|error| panic!("{command}: {error}")).status, 200, "{command}");
                        }
                    }),
                    scope.spawn(|| {
                        for _ in 0..rounds {
                            page(started.metrics);
                        }
                    }),
                ];
                let ends: Vec<_> = askers.into_iter().map(|asker| asker.join()).collect();
                is_over.store(true, Ordering::Relaxed);
                assert!(ends.iter().all(Result::is_ok), "a report of {subject} did not come");
            });
            assert!(progress.load(Ordering::Relaxed) > 0, "no write was answered meanwhile");
        });
        load.verify(address);
    }
}
