//! What becomes of a configuration: each rule with its cases as data.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use log::Level;
use oxkeeper_server::config::args::{self, Invocation};
use oxkeeper_server::config::table::{Place, Status, TABLE};
use oxkeeper_server::config::{self, ConfigError, EnsembleConfig, Loaded, MetricsProvider, ServerConfig, SnapshotCompression, value::Kind};
use oxkeeper_server::four_letter::{Command, ConfigurationView, ServerView, render};
use oxkeeper_zab::Sid;

/// A directory of its own for each case.
struct Sandbox(PathBuf);

impl Sandbox {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("oxkeeper-config-{}-{count}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        // Properties are ISO-8859-1; the tests write ASCII.
        std::fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn run(arguments: &[String], flags: &str) -> Result<Loaded, ConfigError> {
    let variable = |name: &str| (name == "SERVER_JVMFLAGS").then(|| flags.to_owned());
    match args::parse(arguments.iter().cloned(), variable)? {
        Invocation::Serve(request) => config::load(&request),
        other => panic!("{other:?}"),
    }
}

/// Loads a file of these lines behind `dataDir` and `clientPort`, with these flags.
fn load(lines: &str, flags: &str) -> Result<Loaded, ConfigError> {
    load_whole(&format!("dataDir=/nonexistent/data\nclientPort=2181\n{lines}"), flags)
}

fn load_whole(text: &str, flags: &str) -> Result<Loaded, ConfigError> {
    let sandbox = Sandbox::new();
    let file = sandbox.write("zoo.cfg", text);
    run(&[file.display().to_string()], flags)
}

fn config(lines: &str, flags: &str) -> ServerConfig {
    load(lines, flags).unwrap_or_else(|error| panic!("{lines:?} {flags:?}: {error}")).config
}

/// The warnings, without those that every configuration has.
fn warnings(lines: &str, flags: &str) -> Vec<String> {
    load(lines, flags)
        .unwrap_or_else(|error| panic!("{lines:?} {flags:?}: {error}"))
        .notices
        .into_iter()
        .filter(|notice| notice.level == Level::Warn)
        .map(|notice| notice.message)
        .collect()
}

#[test]
fn every_default_is_one_that_its_row_allows() {
    for row in TABLE {
        if !row.default.is_empty() {
            assert!(row.kind.parse(row.default).is_some(), "{}={}", row.name, row.default);
        }
        assert_eq!(TABLE.iter().filter(|other| other.name == row.name).count(), 1, "{}", row.name);
        assert!(!row.effect.is_empty(), "{}", row.name);
        assert!(!row.effect.contains('\n'), "{}", row.name);
    }
}

#[test]
fn a_lean_file_has_the_defaults_of_java() {
    let config = config("", "");
    assert_eq!(config.data_log_dir, config.data_dir);
    assert_eq!(config.tick_time_ms, 3000);
    assert_eq!((config.min_session_timeout_ms, config.max_session_timeout_ms), (6000, 60_000));
    assert_eq!((config.max_client_cnxns, config.max_cnxns), (60, None));
    assert_eq!((config.client_port, config.client_port_address), (2181, None));
    assert_eq!(config.jute_max_buffer_bytes, 1_048_575);
    assert_eq!(config.jute_max_buffer_extra_bytes, 1_048_575);
    assert_eq!(config.snap_count, 100_000);
    assert_eq!(config.snap_size_limit_bytes, Some(4_194_304 * 1024));
    assert_eq!(config.pre_alloc_bytes, 64 << 20);
    assert_eq!(config.txn_log_size_limit_bytes, None);
    assert_eq!(config.autopurge_interval_ms, None);
    assert_eq!(config.autopurge_snap_retain_count, 3);
    assert_eq!(config.container_reaping.max_never_used_interval_ms, None);
    assert!(config.force_sync && config.digest_enabled && config.digest_auth_enabled);
    assert!(!config.skip_acl && !config.extended_types_enabled && !config.enforce_quota);
    assert!(config.four_letter_whitelist.allows("srvr"));
    assert!(!config.four_letter_whitelist.allows("ruok"));
    assert!(!config.four_letter_whitelist.allows("isro"));
    assert_eq!(config.digest_algorithm, "SHA1");
    assert_eq!(config.raw.0.len(), 0);
}

#[test]
fn no_configuration_is_a_sensible_standalone_server() {
    let config = run(&[], "").unwrap().config;
    assert_eq!(config.data_dir, Path::new("./data"));
    assert_eq!((config.client_port, config.tick_time_ms), (2181, 2000));
    assert_eq!((config.min_session_timeout_ms, config.max_session_timeout_ms), (4000, 40_000));
    assert_eq!(config.max_client_cnxns, 60);
    assert_eq!(config.config_file, None);
}

#[test]
fn words_in_place_of_a_file() {
    let words = |text: &str| run(&text.split(' ').map(str::to_owned).collect::<Vec<_>>(), "");
    let config = words("2182 /d").unwrap().config;
    assert_eq!((config.client_port, config.tick_time_ms, config.max_client_cnxns), (2182, 3000, 0));
    assert_eq!(config.data_dir, Path::new("/d"));
    let config = words("server 0 d 500 -1").unwrap().config;
    assert_eq!((config.client_port, config.tick_time_ms, config.max_client_cnxns), (0, 500, -1));
    for wrong in ["xx /d", "70000 /d", "2181 /d xx", "2181 /d 0", "2181 /d 2000 xx"] {
        let error = words(wrong).unwrap_err();
        assert_eq!(error.exit_code, 2, "{wrong}");
        assert!(error.message.contains("Usage: "), "{wrong}: {error}");
    }
}

#[test]
fn options_reach_their_fields() {
    type Field = fn(&ServerConfig) -> bool;
    let cases: &[(&str, &str, Field)] = &[
        ("dataLogDir=/l", "", |c| c.log_dir() == Path::new("/l/version-2")),
        ("clientPortAddress=127.0.0.1", "", |c| c.client_port_address == Some(IpAddr::V4(Ipv4Addr::LOCALHOST))),
        ("clientPortAddress=[::1]", "", |c| c.client_port_address.unwrap().is_ipv6()),
        ("clientPortAddress=0.0.0.0", "", |c| c.client_port_address.is_none()),
        ("clientPortListenBacklog=7", "", |c| c.client_port_listen_backlog == 7),
        ("tickTime=100\nminSessionTimeout=5", "", |c| {
            (c.tick_time_ms, c.min_session_timeout_ms, c.max_session_timeout_ms) == (100, 5, 2000)
        }),
        ("maxClientCnxns=0", "", |c| c.max_client_cnxns == 0),
        ("maxCnxns=9", "", |c| c.max_cnxns == Some(9)),
        ("maxCnxns=-9", "", |c| c.max_cnxns.is_none()),
        ("", "-Dzookeeper.maxCnxns=0x10", |c| c.max_cnxns == Some(16)),
        // zoo.cfg wins over -D, as in Java.
        ("maxCnxns=9", "-Dzookeeper.maxCnxns=8", |c| c.max_cnxns == Some(9)),
        ("snapCount=1", "", |c| c.snap_count == 2),
        ("snapSizeLimitInKb=-1", "", |c| c.snap_size_limit_bytes.is_none()),
        ("preAllocSize=128", "", |c| c.pre_alloc_bytes == 131_072),
        ("preAllocSize=0", "", |c| c.pre_alloc_bytes == 0),
        ("txnLogSizeLimitInKb=1", "", |c| c.txn_log_size_limit_bytes == Some(1024)),
        ("forceSync=no", "", |c| !c.force_sync),
        ("fsync.warningthresholdms=20", "-Dfsync.warningthresholdms=30", |c| c.fsync_warning_threshold_ms == 20),
        ("", "-Dfsync.warningthresholdms=30", |c| c.fsync_warning_threshold_ms == 30),
        ("", "-Dfsync.warningthresholdms=30 -Dzookeeper.fsync.warningthresholdms=40", |c| c.fsync_warning_threshold_ms == 40),
        ("autopurge.purgeInterval=2", "", |c| c.autopurge_interval_ms == Some(7_200_000)),
        ("autopurge.purgeInterval=-1", "", |c| c.autopurge_interval_ms.is_none()),
        ("autopurge.snapRetainCount=2", "", |c| c.autopurge_snap_retain_count == 3),
        ("snapshot.compression.method=snappy", "", |c| c.snapshot_compression == SnapshotCompression::Snappy),
        ("", "-Djute.maxbuffer=0xffffff", |c| (c.jute_max_buffer_bytes, c.jute_max_buffer_extra_bytes) == (0xff_ffff, 0xff_ffff)),
        ("jute.maxbuffer.extrasize=1", "-Djute.maxbuffer=2000", |c| {
            (c.jute_max_buffer_bytes, c.jute_max_buffer_extra_bytes) == (2000, 1024)
        }),
        // Not read from zoo.cfg, as in Java.
        ("jute.maxbuffer=5", "", |c| c.jute_max_buffer_bytes == 1_048_575),
        ("4lw.commands.whitelist= ruok , stat", "", |c| {
            let words = &c.four_letter_whitelist;
            words.allows("ruok") && words.allows("stat") && words.allows("srvr") && !words.allows("mntr")
        }),
        ("4lw.commands.whitelist=*", "", |c| c.four_letter_whitelist.allows("wchp")),
        ("", "-Dreadonlymode.enabled=true", |c| c.read_only_mode_enabled && c.four_letter_whitelist.allows("isro")),
        ("extendedTypesEnabled=true\nemulate353TTLNodes=TRUE", "", |c| c.extended_types_enabled && c.emulate_353_ttl_nodes),
        ("skipACL=yes", "", |c| c.skip_acl),
        ("DigestAuthenticationProvider.superDigest=super:abc=", "", |c| c.super_digest.as_ref().unwrap().reveal() == "super:abc="),
        ("largeRequestThreshold=0", "", |c| c.large_requests.threshold_bytes.is_none()),
        ("largeRequestThreshold=10", "", |c| c.large_requests.threshold_bytes == Some(10)),
        ("connection_throttle_drop_increase=0.5", "", |c| c.connection_throttle.drop_increase == 0.5),
        ("request_throttle_max_requests=-1", "", |c| c.request_throttle.max_requests.is_none()),
        ("digest.enabled=", "", |c| !c.digest_enabled),
        ("nio.sessionlessCnxnTimeout=", "", |c| c.sessionless_cnxn_timeout_ms == 10_000),
        ("", "-Dznode.container.maxNeverUsedIntervalMs=5", |c| c.container_reaping.max_never_used_interval_ms == Some(5)),
        ("server.1=localhost:2888:3888", "", |c| c.client_port == 2181),
        ("authProvider.1=org.apache.zookeeper.server.auth.DigestAuthenticationProvider", "", |_| true),
        ("sslQuorum=false\nquorum.auth.enableSasl=false\nssl.clientAuth=none", "", |_| true),
        ("enforce.auth.enabled=false\nsessionRequireClientSASLAuth=false", "", |_| true),
        ("clientPort=2182", "", |c| c.client_port == 2182),
    ];
    for (lines, flags, holds) in cases {
        assert!(holds(&config(lines, flags)), "{lines:?} {flags:?}");
    }
}

#[test]
fn what_is_wrong_is_named_with_exit_code_2() {
    for (lines, flags, part) in [
        ("clientPort=2181x", "", "zoo.cfg:3: clientPort=2181x is wrong; allowed: integer from 0 to 65535"),
        ("\n\nclientPort=70000", "", "zoo.cfg:5: clientPort=70000"),
        ("clientPort=-1", "", "clientPort=-1"),
        ("tickTime=0", "", "tickTime=0 is wrong; allowed: integer from 1"),
        ("tickTime=", "", "tickTime= is wrong"),
        ("standaloneEnabled=yes", "", "standaloneEnabled=yes is wrong; allowed: true, false"),
        ("electionAlg=1", "", "electionAlg=1 is wrong; allowed: 3"),
        ("peerType=leader", "", "allowed: participant, observer"),
        ("minSessionTimeout=5\nmaxSessionTimeout=4", "", "minSessionTimeout (5 ms)"),
        ("tickTime=10\nminSessionTimeout=500", "", "maxSessionTimeout (200 ms)"),
        ("clientPortAddress=no.such.host.invalid", "", "no.such.host.invalid has no address"),
        ("snapSizeLimitInKb=0", "", "snapSizeLimitInKb=0"),
        ("skipACL=true", "", "skipACL=true is wrong; allowed: yes, no"),
        ("skipACL=yes # for now", "", "skipACL=yes # for now is wrong"),
        ("forceSync=false", "", "forceSync=false"),
        ("maxCnxns=many", "", "maxCnxns=many"),
        ("", "-Dzookeeper.maxCnxns=many", "-D (SERVER_JVMFLAGS): maxCnxns=many"),
        ("dataDir=", "", "dataDir= is wrong"),
        ("a=\\u00zz", "", "zoo.cfg:3: malformed"),
        ("autopurge.purgeInterval=1w", "", "allowed: integer with ms, s, m, h, d, or hours"),
        ("metricsProvider.className=", "", "metricsProvider.className= is wrong"),
        ("metricsProvider.className=my.Provider", "", "there is no metricsProvider.className=my.Provider"),
        ("metricsProvider.httpsPort=7001", "", "metricsProvider.httpsPort=7001 asks for protection"),
        ("admin.commandURL=commands", "", "admin.commandURL=commands is wrong"),
        ("admin.commandURL=/", "", "admin.commandURL=/ is wrong"),
        ("admin.forceHttps=true", "", "admin.forceHttps=true asks for protection"),
        ("admin.portUnification=true", "", "admin.portUnification=true asks"),
        ("log.maxfilesize=many", "", "log.maxfilesize=many is wrong"),
        // Protection.
        ("secureClientPort=2281", "", "secureClientPort=2281 asks for protection"),
        ("ssl.keyStore.location=/k", "", "TLS is not supported yet"),
        ("ssl.keyStore.password=hunter2", "", "ssl.keyStore.password=*** asks"),
        ("ssl.some.new.thing=x", "", "ssl.some.new.thing=x asks"),
        ("sslQuorum=true", "", "sslQuorum=true asks"),
        ("client.portUnification=true", "", "asks for protection"),
        ("enforce.auth.enabled=true\nenforce.auth.schemes=digest", "", "enforce.auth.enabled=true asks"),
        ("sessionRequireClientSASLAuth=true", "", "SASL is not supported yet"),
        ("", "-Dzookeeper.sessionRequireClientSASLAuth=true", "SASL is not supported yet"),
        ("", "-Djava.security.auth.login.config=/j", "java.security.auth.login.config=/j asks"),
        ("authProvider.1=org.apache.zookeeper.server.auth.SASLAuthenticationProvider", "", "authProvider.1="),
        ("quorum.auth.enableSasl=true", "", "quorum.auth.enableSasl=true asks"),
        ("ensembleAuthName=a", "", "ensembleAuthName=a asks"),
        // Ensembles.
        ("server.1=a:1:2\nserver.2=b:1:2\ninitLimit=5\nsyncLimit=2", "", "myid file is missing"),
        ("server.1=a:1:2\nserver.2=b:1:2\nsyncLimit=2", "", "initLimit is not set"),
        ("server.1=a:1:2\nserver.2=b:1:2\ninitLimit=2", "", "syncLimit is not set"),
        ("server.1=a:1:2\nstandaloneEnabled=false", "", "myid file is missing"),
        ("server.1=a:1:2|b:1:2\nserver.2=b:1:2", "", "zoo.cfg:3: server.1=a:1:2|b:1:2: several addresses need multiAddress.enabled=true"),
        ("server.1=a:1:2\nserver.2=b:1:2\ngroup.1=1", "", "zoo.cfg:5: Server 2 is not in a group"),
        ("server.1=a:1:2\nserver.2=b:1:2\nweight.1=x", "", "zoo.cfg:5: weight.1"),
        ("server.1=a:1:2\ngroup.1=1\ndynamicConfigFile=/d", "", "/d cannot be read"),
        ("standaloneEnabled=false", "", "standaloneEnabled=false without"),
        ("server.1=a:1:2:observer", "", "observers without an ensemble"),
        ("server.1=a:1:2\nserver.2=b:1:2:observer", "", "observers without an ensemble"),
        ("server.1=foo", "", "zoo.cfg:3: server.1=foo is wrong"),
        ("server.x=a:1:2", "", "server.x=a:1:2 is wrong"),
        ("server.1=a:1:2\ndynamicConfigFile=/d", "", "/d cannot be read"),
    ] {
        let error = load(lines, flags).err().unwrap_or_else(|| panic!("{lines:?} {flags:?} started"));
        assert_eq!(error.exit_code, 2, "{lines:?}");
        assert!(error.message.contains(part), "{lines:?} {flags:?}: {error}");
        assert!(!error.message.contains("hunter2"), "{error}");
    }
    for (text, part) in [
        ("clientPort=2181\n", "dataDir is not set"),
        ("dataDir=/d\n", "clientPort is not set"),
        ("dataDir=/d\nclientPortAddress=127.0.0.1\n", "clientPortAddress is set but clientPort is not"),
        ("dataDir=/d\nclientPort=x\ntickTime=y\n", "tickTime=y is wrong"),
    ] {
        let error = load_whole(text, "").unwrap_err();
        assert_eq!(error.exit_code, 2);
        assert!(error.message.contains(part), "{text:?}: {error}");
    }
    for path in ["/nonexistent/zoo.cfg", "/"] {
        let error = run(&[path.to_owned()], "").unwrap_err();
        assert_eq!(error.exit_code, 2);
        assert!(error.message.starts_with(&format!("{path} cannot be read")), "{error}");
    }
}

#[test]
fn what_is_odd_is_warned_of() {
    for (lines, flags, part) in [
        ("tickTime=2000 # ms", "", "tickTime=2000 # ms: a comment cannot stand behind a value; read as 2000"),
        ("reconfigEnabled=true\t#x", "", "read as true"),
        ("maxCnxns=5 # x", "", "read as 5"),
        ("dataLogDir=/nonexistent/l # x", "", "a path with # in it"),
        ("tickTme=5", "", "tickTme is not an option that ZooKeeper knows; is tickTime meant?"),
        ("datadir=/x", "", "is dataDir meant?"),
        ("frobnicate=5", "", "zoo.cfg:3: frobnicate is not an option that ZooKeeper knows"),
        ("", "-Dzookeeper.snapcount=5", "zookeeper.snapcount is not an option that ZooKeeper knows; is snapCount"),
        ("", "-Dzookeeper.tickTime=5", "tickTime is read from zoo.cfg only"),
        ("", "-DtickTime=5", "tickTime has no effect"),
        ("", "-DsnapCount=5", "its name is zookeeper.snapCount"),
        ("", "-Dzookeeper.jute.maxbuffer=5", "its name is jute.maxbuffer"),
        ("jute.maxbuffer=5", "", "give it as -Djute.maxbuffer"),
        ("zookeeper.snapCount=5", "", "its name there is snapCount"),
        ("snapCount=1", "", "snapCount=1 is too small; raised to 2"),
        ("autopurge.snapRetainCount=1", "", "raised to 3"),
        ("maxCnxns=-1", "", "maxCnxns is negative"),
        ("largeRequestThreshold=-7", "", "taken as -1"),
        ("4lw.commands.whitelist=ruok,rouk", "", "no four-letter word rouk"),
        ("digest.enabled=", "", "digest.enabled is empty, which Java takes for false"),
        ("audit.impl.class=my.Logger", "", "audit.impl.class=my.Logger is not supported yet"),
        ("IPAuthenticationProvider.usexforwardedfor=true", "", "That field is never trusted"),
        ("metricsProvider.ssl.keyStore.password=hunter2", "", "metricsProvider.ssl.keyStore.password=***"),
        ("superUser.a=b", "", "superUser.a=b is not supported yet"),
        ("server.1=a:1:2", "", "runs standalone"),
        ("clientPort=2182", "", "clientPort was set before on line 2"),
        ("DigestAuthenticationProvider.superDigest=hunter2", "", "is not user:hash"),
    ] {
        let found = warnings(lines, flags);
        assert!(found.iter().any(|warning| warning.contains(part)), "{lines:?} {flags:?}: {found:?}");
        assert!(!found.iter().any(|warning| warning.contains("hunter2")), "{found:?}");
    }
}

#[test]
fn what_is_ordinary_is_not_warned_of() {
    for (lines, flags) in [
        ("tickTime=2000\ninitLimit=10\nsyncLimit=5\n", ""),
        ("admin.enableServer=false\nadmin.serverPort=8081\nadmin.forceHttps=true", ""),
        ("admin.serverPort=8081\nadmin.commandURL=/zk/\naudit.enable=true", ""),
        ("audit.enable=false\nmetricsProvider.className=org.apache.zookeeper.metrics.impl.DefaultMetricsProvider", ""),
        ("fips-mode=true\nmaxResponseCacheSize=0", ""),
        ("4lw.commands.whitelist=*", ""),
        ("", "-Xmx1g -Dzookeeper.log.dir=/l -Dzookeeper.log.file=f -Djava.net.preferIPv4Stack=true -Dcom.sun.x=y"),
        ("clientPort=2181", ""),
    ] {
        assert_eq!(warnings(lines, flags), Vec::<String>::new(), "{lines:?} {flags:?}");
    }
}

#[test]
fn a_path_loses_its_comment_only_if_the_shorter_one_exists() {
    let sandbox = Sandbox::new();
    let exists = sandbox.0.display();
    let text = format!("clientPort=2181\ndataDir={exists} # data\n");
    assert_eq!(load_whole(&text, "").unwrap().config.data_dir, sandbox.0);
    let both = sandbox.0.join("a # b");
    std::fs::create_dir_all(&both).unwrap();
    std::fs::create_dir_all(sandbox.0.join("a")).unwrap();
    let text = format!("clientPort=2181\ndataDir={}\n", both.display());
    assert_eq!(load_whole(&text, "").unwrap().config.data_dir, both);
}

#[test]
fn every_known_option_does_what_its_status_says() {
    for row in TABLE.iter().filter(|row| !row.name.starts_with("server")) {
        let name = row.name.replace('*', "example");
        let text = match row.kind {
            Kind::Int { .. } | Kind::JavaInt { .. } if row.kind.parse("64").is_some() => "64".to_owned(),
            Kind::Int { .. } | Kind::JavaInt { .. } => "3".to_owned(),
            Kind::Real { .. } => "0.5".to_owned(),
            Kind::StrictBool | Kind::Bool => "true".to_owned(),
            Kind::YesNo => "yes".to_owned(),
            Kind::Choice(choices) => choices.last().unwrap().to_string(),
            Kind::HoursOrDuration => "5h".to_owned(),
            Kind::Host => "127.0.0.1".to_owned(),
            _ if row.name == "metricsProvider.className" => row.default.to_owned(),
            _ if row.name == "log.maxfilesize" => "5MB".to_owned(),
            _ => "/nonexistent/example".to_owned(),
        };
        if matches!(row.name, "dynamicConfigFile" | "minSessionTimeout" | "maxSessionTimeout" | "group*" | "weight*") {
            continue;
        }
        let (lines, flags) = match row.place {
            Place::BareProperty => (String::new(), format!("-D{name}={text}")),
            _ => (format!("{name}={text}"), String::new()),
        };
        let loaded = load(&lines, &flags);
        match row.status {
            Status::Protective(_) => {
                // The only ones that protect nothing are timeouts.
                if row.name.ends_with("handshakeDetectionTimeoutMillis") {
                    assert!(loaded.is_ok(), "{name}");
                } else {
                    assert!(loaded.unwrap_err().message.contains(&name), "{name}");
                }
            }
            _ => assert!(loaded.is_ok(), "{name}={text}: {}", loaded.unwrap_err()),
        }
    }
}

#[test]
fn doors_for_operators_are_read() {
    let operator = load("", "").unwrap().config.operator;
    let admin = operator.admin.expect("on by default");
    assert_eq!((admin.address, admin.port, admin.command_url.as_str(), admin.idle_timeout_ms), (None, 8080, "/commands", 30_000));
    assert!(admin.console_enabled && !admin.console_edit && !operator.audit);
    assert_eq!((operator.metrics, operator.log_file_bytes), (MetricsProvider::Default, 256 << 20));
    assert_eq!(load("admin.enableServer=false", "").unwrap().config.operator.admin, None);
    let lines = "metricsProvider.className=org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider\nmetricsProvider.exportJvmInfo=false\n\
                 admin.serverAddress=127.0.0.1\nadmin.serverPort=0x50\nadmin.commandURL=/zk/\nlog.maxfilesize=10 kb\nauditlog.file=a.log\nlog.dir=/l";
    let operator = load(lines, "").unwrap().config.operator;
    assert_eq!(operator.metrics, MetricsProvider::Prometheus { address: None, port: 7000, process_info: false });
    let admin = operator.admin.expect("on");
    assert_eq!((admin.address, admin.port, admin.command_url.as_str()), (Some(IpAddr::V4(Ipv4Addr::LOCALHOST)), 80, "/zk"));
    assert_eq!((operator.log_file_bytes, operator.audit_file), (10 << 10, Some("/l/a.log".into())));
}

#[test]
fn the_own_line_gives_the_client_port() {
    let sandbox = Sandbox::new();
    sandbox.write("myid", "3\n");
    let dynamic = sandbox.write("zoo.cfg.dynamic", "server.3=localhost:2888:3888;127.0.0.1:2199\n");
    let text = format!("dataDir={}\ndynamicConfigFile={}\n", sandbox.0.display(), dynamic.display());
    let config = load_whole(&text, "").unwrap().config;
    assert_eq!((config.client_port, config.my_id), (2199, Some(3)));
    assert_eq!(config.client_port_address, Some(IpAddr::V4(Ipv4Addr::LOCALHOST)));
    let error = load_whole(&format!("{text}clientPort=2181\n"), "").unwrap_err();
    assert!(error.message.contains("differ"), "{error}");
    let error = load_whole(&format!("{text}server.3=a:1:2\n"), "").unwrap_err();
    assert!(error.message.contains("must stand in the dynamicConfigFile"), "{error}");
    sandbox.write("myid", " 3\n");
    let error = load_whole(&text, "").unwrap_err();
    assert!(error.message.contains("myid:1"), "{error}");
}

/// A member's configuration: myid, the lines behind dataDir, initLimit and syncLimit, other files.
fn member(my_id: &str, lines: &str, files: &[(&str, &str)]) -> Result<Loaded, ConfigError> {
    let sandbox = Sandbox::new();
    sandbox.write("myid", my_id);
    for (name, text) in files {
        sandbox.write(name, text);
    }
    let lines = lines.replace("{D}", &sandbox.0.display().to_string());
    let file = sandbox.write("zoo.cfg", &format!("dataDir={}\ninitLimit=5\nsyncLimit=2\n{lines}", sandbox.0.display()));
    run(&[file.display().to_string()], "")
}

const THREE: &str = "server.1=a:2888:3888\nserver.2=b:2888:3888;2182\nserver.3=c:2888:3888:observer;127.0.0.1:2183\n";

#[test]
fn a_member_is_told_its_ensemble() {
    let config = member("2\n", THREE, &[]).unwrap().config;
    let ensemble = config.ensemble.unwrap();
    assert_eq!((config.my_id, ensemble.my_id, config.client_port), (Some(2), Sid(2), 2182));
    assert!(!ensemble.is_observer && ensemble.takes_clients && !ensemble.client_port_is_static);
    assert_eq!((ensemble.init_limit, ensemble.sync_limit, ensemble.connect_to_learner_master_limit), (5, 2, 0));
    assert_eq!((ensemble.election_port_bind_retry, ensemble.cnx_timeout_ms, ensemble.quorum_cnxn_timeout_ms), (3, 5000, 6000));
    assert_eq!(ensemble.election, oxkeeper_zab::ElectionOptions::default());
    assert!(ensemble.leader_serves && ensemble.sync_enabled && ensemble.leader_no_delay && ensemble.follower_no_delay);
    assert!(!ensemble.quorum_listen_on_all_ips && !ensemble.local_sessions_enabled && !ensemble.multi_address_enabled);
    assert_eq!((ensemble.observer_master_port, ensemble.max_time_to_wait_for_epoch_ms, ensemble.oracle_path), (None, None, None));
    assert_eq!((ensemble.commit_log_count, ensemble.snapshot_size_factor), (500, None));
    assert_eq!((ensemble.dynamic_config_file, ensemble.last_seen), (None, None));
    assert_eq!(
        ensemble.config.to_text(),
        "server.1=a:2888:3888:participant\nserver.2=b:2888:3888:participant;0.0.0.0:2182\n\
         server.3=c:2888:3888:observer;127.0.0.1:2183\nversion=0"
    );
    type Holds = fn(&ServerConfig, &EnsembleConfig) -> bool;
    let cases: &[(&str, &str, Holds)] = &[
        ("3", "", |c, e| e.is_observer && c.client_port_address == Some(IpAddr::V4(Ipv4Addr::LOCALHOST))),
        // Without a port it serves no clients; one in the file is not part of the configuration that others see.
        ("1", "", |_, e| !e.takes_clients),
        ("1", "clientPort=2181", |c, e| {
            c.client_port == 2181 && e.takes_clients && e.client_port_is_static && e.config.members[&Sid(1)].client.is_none()
        }),
        ("2", "tickTime=100\nconnectToLearnerMasterLimit=7", |_, e| {
            (e.quorum_cnxn_timeout_ms, e.connect_to_learner_master_limit) == (200, 7)
        }),
        ("2", "quorumCnxnTimeoutMs=77\ncnxTimeout=5\nelectionPortBindRetry=0", |_, e| {
            (e.quorum_cnxn_timeout_ms, e.cnx_timeout_ms, e.election_port_bind_retry) == (77, 5, 0)
        }),
        ("2", "electionPortBindRetry=-1", |_, e| e.election_port_bind_retry == 3),
        ("2", "leaderServes=no\nquorumListenOnAllIPs=true\ntcpKeepAlive=true", |_, e| {
            !e.leader_serves && e.quorum_listen_on_all_ips && e.tcp_keep_alive
        }),
        ("2", "localSessionsEnabled=true\nlocalSessionsUpgradingEnabled=true", |_, e| {
            e.local_sessions_enabled && e.local_sessions_upgrading_enabled
        }),
        ("3", "syncEnabled=false", |_, e| !e.sync_enabled),
        ("3", "syncEnabled=false\nobserver.syncEnabled=true", |_, e| e.sync_enabled),
        ("3", "observerMasterPort=2191\nobserver.election.DelayMs=7\nobserver.reconnectDelayMs=8", |_, e| {
            (e.observer_master_port, e.observer_election_delay_ms, e.observer_reconnect_delay_ms) == (Some(2191), 7, 8)
        }),
        ("2", "commitLogCount=5\nsnapshotSizeFactor=-1\nforceSnapshotSync=true", |_, e| {
            e.commit_log_count == 500 && e.snapshot_size_factor == Some(-1.0) && e.force_snapshot_sync
        }),
        ("2", "fastleader.minNotificationInterval=10\nfastleader.maxNotificationInterval=20", |_, e| {
            (e.election.min_notification_ms, e.election.max_notification_ms, e.election.finalize_wait_ms) == (10, 20, 200)
        }),
        ("2", "leader.maxTimeToWaitForEpoch=9\noraclePath=/o", |_, e| {
            e.max_time_to_wait_for_epoch_ms == Some(9) && e.oracle_path.as_deref() == Some(Path::new("/o"))
        }),
        ("1", "group.1=1\ngroup.2=2\nweight.1=5", |_, e| e.config.is_hierarchical() && e.config.quorum().weight(Sid(1)) == 5),
        ("1", "multiAddress.enabled=true\nserver.1=a:1:2|b:3:4", |_, e| {
            e.multi_address_enabled && e.config.members[&Sid(1)].addresses.len() == 2
        }),
        ("2", "standaloneEnabled=false\nserver.1=a:1:2:observer", |_, e| e.config.voters().count() == 1 && !e.standalone_enabled),
    ];
    for (my_id, lines, holds) in cases {
        let config = member(my_id, &format!("{THREE}{lines}"), &[]).unwrap_or_else(|error| panic!("{lines}: {error}")).config;
        let ensemble = config.ensemble.clone().unwrap_or_else(|| panic!("{lines}: standalone"));
        assert!(holds(&config, &ensemble), "{lines}: {ensemble:?}");
    }
}

#[test]
fn one_server_is_standalone_unless_told_otherwise() {
    for (lines, is_member) in [
        ("clientPort=1\n", false),
        ("clientPort=1\nserver.1=a:1:2\n", false),
        ("clientPort=1\nserver.1=a:1:2\nstandaloneEnabled=false\n", true),
        ("clientPort=1\nserver.1=a:1:2\nserver.2=a:1:2:observer\nstandaloneEnabled=false\n", true),
        ("clientPort=1\nserver.1=a:1:2\nserver.2=a:1:2\n", true),
    ] {
        assert_eq!(member("1", lines, &[]).unwrap().config.ensemble.is_some(), is_member, "{lines}");
    }
}

#[test]
fn the_dynamic_files_give_members_and_versions() {
    let lines = "dynamicConfigFile={D}/zoo.cfg.dynamic.10000000a\nclientPort=2181\n";
    let next = format!("{THREE}server.4=d:1:2\nversion=20000000b");
    let files = [("zoo.cfg.dynamic.10000000a", THREE), ("zoo.cfg.dynamic.next", &next)];
    let ensemble = member("1", lines, &files).unwrap().config.ensemble.unwrap();
    assert_eq!((ensemble.config.version, ensemble.config.members.len()), (0x1_0000_000a, 3));
    assert!(ensemble.dynamic_config_file.unwrap().ends_with("zoo.cfg.dynamic.10000000a"));
    let last_seen = ensemble.last_seen.unwrap();
    assert_eq!((last_seen.version, last_seen.members.len()), (0x2_0000_000b, 4));
    for (file, text, part) in [
        ("zoo.cfg.dynamic.10000000a", "server.1=a:1:2\nversion=5", "version is not allowed in a dynamic configuration"),
        ("zoo.cfg.dynamic.10000000a", "server.1=a:1:2\nclientPort=5", "clientPort is not allowed"),
        ("zoo.cfg.dynamic.next", "server.1=a", "zoo.cfg.dynamic.next: server.1=a is wrong"),
    ] {
        let mut files = files.to_vec();
        files.push((file, text));
        let error = member("1", lines, &files).unwrap_err();
        assert!(error.message.contains(part), "{error}");
    }
    for (name, version) in [("x.dynamic", 0), ("x", 0), ("a.b/c", 0), ("x.dynamic.0", 0), ("x.dynamic.1001", 0x1001), ("x.-1", 0)] {
        assert_eq!(config::ensemble::version_of(Path::new(name)), version, "{name}");
    }
}

#[test]
fn a_member_that_cannot_be_one_does_not_start() {
    for (my_id, lines, exit_code, part) in [
        ("9", "", 1, "My id 9 not in the peer list"),
        ("x", "", 2, "myid:1: \"x\" is wrong"),
        ("", "", 2, "myid:1"),
        ("1", "initLimit=0", 2, "initLimit is not set"),
        ("1", "syncLimit=-1", 2, "syncLimit is not set"),
        ("9", "syncLimit=0", 2, "syncLimit is not set"),
        ("2", "clientPort=2181", 2, "differ from those of this server's server.N line"),
        ("1", "sslQuorum=true", 2, "sslQuorum=true asks for protection"),
        ("1", "quorum.auth.enableSasl=true", 2, "quorum.auth.enableSasl=true asks for protection"),
        ("1", "server.2=b:1:2:leader", 2, "zoo.cfg:7: Unrecognised peertype: leader"),
        ("1", "server.2=b:1:1", 2, "must be different"),
        ("1", "server.2=b:1:x", 2, "x is not a port"),
    ] {
        let error = member(my_id, &format!("{THREE}{lines}"), &[]).unwrap_err();
        assert_eq!(error.exit_code, exit_code, "{lines}: {error}");
        assert!(error.message.contains(part), "{lines}: {error}");
    }
}

#[test]
fn what_is_odd_about_an_ensemble_is_warned_of() {
    for (my_id, lines, part) in [
        ("1", "", "2 servers that vote: none of them may fail"),
        ("1", "server.4=d:1:2\nserver.5=e:1:2", "4 servers that vote tolerate no more failures than 3"),
        ("1", "peerType=observer", "peerType=observer does not fit the list of servers, by which this is a participant"),
        ("3", "", "peerType=participant does not fit the list of servers, by which this is a observer"),
        ("1000", "server.1000=a:1:2", "myid 1000 is not from 1 to 255"),
        ("1", "electionPortBindRetry=-5", "taken as 3"),
        ("1", "oraclePath=/o\ngroup.1=1:2", "with groups it has no effect"),
        ("1", "audit.impl.class=org.example.Log", "audit.impl.class=org.example.Log is not supported yet"),
    ] {
        let notices = member(my_id, &format!("{THREE}{lines}"), &[]).unwrap().notices;
        assert!(notices.iter().any(|one| one.level == Level::Warn && one.message.contains(part)), "{lines}: {notices:?}");
    }
}

#[test]
fn secrets_are_not_shown() {
    let lines = "DigestAuthenticationProvider.superDigest=super:hunter2=\nmy.own.password=hunter2\n";
    let loaded = load(lines, "-Dzookeeper.SASLAuthenticationProvider.superPassword=hunter2").unwrap();
    assert!(!format!("{loaded:?}").contains("hunter2"));
    let config = loaded.config;
    assert!(config.initial_config.unwrap().reveal().contains("hunter2"));
    assert_eq!(config.raw.0["zookeeper.my.own.password"], "hunter2");
    assert!(config.raw.shown().all(|(_, shown)| shown == "***"));
}

#[test]
fn conf_prints_options_of_the_table_in_javas_order() {
    let config = config("tickTime=2000\nmaxClientCnxns=0", "");
    let view = ServerView {
        serving: true,
        configuration: ConfigurationView::of(&config, 31181),
        data_dir_size_bytes: 478,
        log_dir_size_bytes: 479,
        ..ServerView::default()
    };
    let mut text = String::new();
    render(Command::Conf, &view, &mut text).unwrap();
    assert_eq!(
        text,
        "clientPort=31181\nsecureClientPort=-1\ndataDir=/nonexistent/data/version-2\ndataDirSize=478\n\
         dataLogDir=/nonexistent/data/version-2\ndataLogSize=479\ntickTime=2000\nmaxClientCnxns=0\n\
         minSessionTimeout=4000\nmaxSessionTimeout=40000\nclientPortListenBacklog=-1\nserverId=0\n"
    );
    for (name, _) in text.lines().map(|line| line.split_once('=').unwrap()) {
        let computed = matches!(name, "dataDirSize" | "dataLogSize" | "serverId");
        assert!(computed || TABLE.iter().any(|row| row.name == name), "{name}");
    }
}

#[test]
fn directories_that_cannot_be_used_give_exit_code_3() {
    let sandbox = Sandbox::new();
    let base = sandbox.0.display().to_string();
    let prepare = |lines: &str| load_whole(&format!("clientPort=2181\n{lines}"), "").unwrap().config.prepare_directories();
    prepare(&format!("dataDir={base}/a\ndataLogDir={base}/b\n")).unwrap();
    assert!(sandbox.0.join("a/version-2").is_dir() && sandbox.0.join("b/version-2").is_dir());
    assert_eq!(std::fs::read_dir(sandbox.0.join("a/version-2")).unwrap().count(), 0);
    sandbox.write("file", "");
    sandbox.write("a/version-2/log.1", "");
    sandbox.write("b/version-2/snapshot.0", "");
    std::fs::create_dir_all(sandbox.0.join("c/version-2")).unwrap();
    for (lines, part) in [
        (format!("dataDir={base}/file\n"), "cannot be made"),
        (format!("dataDir={base}/none\ndatadir.autocreate=false\n"), "is missing"),
        (format!("dataDir={base}/a\ndataLogDir={base}/c\n"), "holds transaction logs"),
        (format!("dataDir={base}/c\ndataLogDir={base}/b\n"), "holds snapshots"),
        ("dataDir=/proc/none\n".to_owned(), "cannot be made"),
    ] {
        let error = prepare(&lines).unwrap_err();
        assert_eq!(error.exit_code, 3, "{lines}");
        assert!(error.message.contains(part), "{lines}: {error}");
    }
    // One directory for both holds both.
    prepare(&format!("dataDir={base}/a\n")).unwrap();
}

#[test]
fn every_digest_algorithm_is_one_that_we_can_compute() {
    let row = TABLE.iter().find(|row| row.name == "DigestAuthenticationProvider.digestAlg").unwrap();
    let Kind::Choice(names) = row.kind else { panic!("{row:?}") };
    for name in names {
        assert!(name.parse::<oxkeeper_auth::DigestAlgorithm>().is_ok(), "{name}");
    }
}
