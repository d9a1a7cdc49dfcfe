//! The one table of options: a row for each zoo.cfg key and each property of ZooKeeper 3.9.
//!
//! The rows feed the parser ([`super::load`]), the four-letter word `conf` and the manual
//! (`docs/configuration.md`, see [`render_markdown`]). Defaults are those of Java 3.9.5 unless the
//! row says otherwise. How a value is read from text is in [`super::value`]; what the server does with
//! it is not here.

use std::fmt::Write as _;

use super::value::Kind;

/// One option.
#[derive(Debug, Clone, Copy)]
pub struct OptionRow {
    /// The key as zoo.cfg has it, or a property's name without `zookeeper.`. A name that ends in `*` stands
    /// for every name with that beginning.
    pub name: &'static str,
    /// Where the option may be set.
    pub place: Place,
    /// How its value is read.
    pub kind: Kind,
    /// The value if it is not set, as one would write it; empty if there is none.
    pub default: &'static str,
    /// Unit of the value; empty if it has none.
    pub unit: &'static str,
    /// What it does, in one line.
    pub effect: &'static str,
    /// What this version makes of it.
    pub status: Status,
}

/// Where an option may be set. A zoo.cfg key that is no option of its own there becomes the property
/// `zookeeper.<key>`, and overrides one given with `-D`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// zoo.cfg only.
    File,
    /// zoo.cfg, or `-Dzookeeper.<name>`.
    FileOrProperty,
    /// zoo.cfg, `-Dzookeeper.<name>`, or the older `-D<name>`; the first two win.
    FileOrEitherProperty,
    /// `-D<name>` only: in zoo.cfg it would become `zookeeper.<name>`, which nobody reads.
    BareProperty,
}

/// What this version makes of an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It does what it says.
    Supported,
    /// It does what it says on a member of an ensemble; on a standalone server it does nothing, as in Java.
    EnsembleOnly,
    /// Named in a warning at start; the text says what happens instead.
    KnownNotYet(&'static str),
    /// It asks for protection that this version cannot give: set to anything that asks for it, it stops the
    /// start.
    Protective(&'static str),
    /// Read and left alone, with the reason.
    Ignored(&'static str),
}

impl OptionRow {
    /// Whether the row stands for the option of this name (zoo.cfg spelling).
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        match self.name.strip_suffix('*') {
            Some(beginning) => name.len() > beginning.len() && name.starts_with(beginning),
            None => name == self.name,
        }
    }
}

/// The row for a name in zoo.cfg spelling; a row with the whole name wins over one with a beginning.
#[must_use]
pub fn find(name: &str) -> Option<&'static OptionRow> {
    TABLE.iter().find(|row| row.name == name).or_else(|| TABLE.iter().find(|row| row.matches(name)))
}

/// The known name nearest to a mistyped one, if any is near enough to be meant.
#[must_use]
pub fn nearest(name: &str) -> Option<&'static str> {
    let lower = name.to_ascii_lowercase();
    let allowed = (name.chars().count() / 4).clamp(1, 4);
    TABLE
        .iter()
        .filter(|row| !row.name.ends_with('*'))
        .map(|row| (edit_distance(&lower, &row.name.to_ascii_lowercase()), row.name))
        .filter(|&(distance, _)| distance <= allowed)
        .min()
        .map(|(_, nearest)| nearest)
}

/// Levenshtein's distance; names are short and this runs once for each unknown name at start.
fn edit_distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (left_index, left_char) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = left_index + 1;
        for (right_index, &right_char) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(left_char != right_char);
            diagonal = row[right_index + 1];
            row[right_index + 1] = replaced.min(diagonal + 1).min(row[right_index] + 1);
        }
    }
    row[right.len()]
}

/// The table as the text of `docs/configuration.md`.
#[must_use]
pub fn render_markdown() -> String {
    let mut text = String::from(MANUAL_HEAD);
    for (title, introduction, belongs) in SECTIONS {
        let rows: Vec<_> = TABLE.iter().filter(|row| belongs(&row.status)).collect();
        write!(text, "\n## {title}\n\n{introduction}\n\n").expect("write to a string");
        text.push_str("| Option | Where | Values | Default | Unit | Effect |\n|---|---|---|---|---|---|\n");
        for row in rows {
            let place = match row.place {
                Place::File => "file",
                Place::FileOrProperty => "file, -D",
                Place::FileOrEitherProperty => "file, -D, -D bare",
                Place::BareProperty => "-D bare",
            };
            let note = match row.status {
                Status::Supported | Status::EnsembleOnly => String::new(),
                Status::KnownNotYet(note) | Status::Protective(note) | Status::Ignored(note) => {
                    format!(" *{note}*")
                }
            };
            let default = if row.default.is_empty() { String::new() } else { format!("`{}`", row.default) };
            writeln!(
                text,
                "| `{}` | {place} | {} | {default} | {} | {}{note} |",
                row.name,
                row.kind.allowed().replace('|', "\\|"),
                row.unit,
                row.effect.replace('|', "\\|"),
            )
            .expect("write to a string");
        }
    }
    text
}

const MANUAL_HEAD: &str = "\
# Configuration

<!-- Made from server/src/config/table.rs; `OXKEEPER_BLESS=1 cargo test -p oxkeeper-server --test config_manual` writes it anew. -->

Oxkeeper reads ZooKeeper's zoo.cfg (the format of `java.util.Properties`: ISO-8859-1, `key=value`, `#` and `!`
comments, `\\` at the end of a line continues it, the last of equal keys wins) and ZooKeeper's properties. A property is
given with `-Dname=value` on the command line, or in the environment variables `SERVER_JVMFLAGS` and `JVMFLAGS`, of
which only the `-D` words are used.

The column *Where*:

- *file*: only in zoo.cfg.
- *file, -D*: in zoo.cfg under the name shown, or as `-Dzookeeper.<name>=value`. zoo.cfg wins, as in Java.
- *file, -D, -D bare*: as before, or `-D<name>=value`, which loses against the others.
- *-D bare*: only as `-D<name>=value`, without `zookeeper.` in front. In zoo.cfg it has no effect, as in Java.

Defaults are those of ZooKeeper 3.9. Without any configuration the server is standalone on port 2181, keeps its data
in `./data` and takes the tickTime of 2000 ms that ZooKeeper's sample file has; a zoo.cfg without tickTime means 3000,
as in Java.

A wrong value stops the start with exit code 2 and names the file, the line and what is allowed. A number or boolean
followed by a blank and `# a comment` loses that tail with a warning (Java refuses it); so does a path if only the shorter one
exists. A name that nobody knows is named in a warning, with the nearest one known.
";

type Section = (&'static str, &'static str, fn(&Status) -> bool);

const SECTIONS: [Section; 5] = [
    ("Supported", "These do what they say.", |status| matches!(status, Status::Supported)),
    (
        "Protection that is not there yet",
        "Asking for one of these stops the start with exit code 2: a server that was told to protect itself never \
         starts open.",
        |status| matches!(status, Status::Protective(_)),
    ),
    ("Known, not supported yet", "Each one that is set is named in a warning at start; the server runs without it.", |status| {
        matches!(status, Status::KnownNotYet(_))
    }),
    (
        "For members of an ensemble",
        "These do what they say on a member of an ensemble, and nothing on a standalone server, as in Java.",
        |status| matches!(status, Status::EnsembleOnly),
    ),
    ("Ignored", "These steer the inside of the Java program and have nothing to steer here; each states why.", |status| {
        matches!(status, Status::Ignored(_))
    }),
];

const fn row(
    name: &'static str,
    place: Place,
    kind: Kind,
    default: &'static str,
    unit: &'static str,
    effect: &'static str,
    status: Status,
) -> OptionRow {
    OptionRow { name, place, kind, default, unit, effect, status }
}

use Kind::{Bool, Class, Host, HoursOrDuration, Int, JavaInt, List, Path, Real, Secret, StrictBool, Text, YesNo};
use Place::{BareProperty, File, FileOrEitherProperty, FileOrProperty};
use Status::{EnsembleOnly, Ignored, KnownNotYet, Protective, Supported};

/// `Integer` of Java: zoo.cfg keys, decimal only.
const fn int(min: i64, max: i64) -> Kind {
    Int { min, max }
}

/// A property read with `Integer.getInteger` or `Long.getLong`: also `0x10`, `#10`, `010`.
const fn java_int(min: i64, max: i64) -> Kind {
    JavaInt { min, max }
}

const PORT: Kind = int(0, 65535);
const ANY_INT: Kind = int(i32::MIN as i64, i32::MAX as i64);
const ANY_JAVA_INT: Kind = java_int(i32::MIN as i64, i32::MAX as i64);
const COUNT: Kind = java_int(0, i32::MAX as i64);
const POSITIVE: Kind = java_int(1, i32::MAX as i64);
const LONG: Kind = java_int(i64::MIN, i64::MAX);

const NO_TLS: &str = "TLS is not supported yet.";
const NO_SASL: &str = "SASL is not supported yet.";
const NO_SASL_EFFECT: &str = "Without SASL it has no effect.";
const NO_QUORUM_AUTH: &str = "Authentication between servers is not supported yet.";
const OBSERVERS_SYNC: &str = "Observers always write a log and snapshots: after a restart they need only what they missed.";
const NO_DELAY: &str = "TCP_NODELAY is always on.";
const OWN_THREADS: &str = "Threads here are one reactor per core and one log thread.";
const NO_NETTY: &str = "There is one network layer, and it is not Netty.";
const JVM_ONLY: &str = "There is no JVM here.";
const CLIENT_ONLY: &str = "A client's option; scripts share JVMFLAGS between client and server.";
const LOGS_TO_STDERR: &str = "There is no trace log.";
const OWN_ADDRESSES: &str = "All addresses of a server are tried: for elections a quarter of a second apart, for a leader a second.";
const NEVER_BLOCKS: &str = "Sockets never block here.";
const OWN_CHAIN: &str = "There are no chains of processors here.";
const TEST_ONLY: &str = "Only Java's own tests use it.";

/// The largest tickTime whose default session timeouts (2 and 20 ticks) still fit Java's int.
pub const MAX_TICK_TIME_MS: i64 = i32::MAX as i64 / 20;

#[rustfmt::skip] // One row, one line.
/// Every option. Order within a status is the order of the manual.
pub const TABLE: &[OptionRow] = &[
    // Zoo.cfg keys.
    row("dataDir", File, Path, "", "", "Directory of snapshots, `myid` and epoch files. Required in a zoo.cfg.", Supported),
    row("dataLogDir", File, Path, "", "", "Directory of the transaction logs; dataDir if not set.", Supported),
    row("clientPort", File, PORT, "", "", "TCP port for clients, 0 for any free one. Required in a zoo.cfg unless the `server.N` line of this server has one.", Supported),
    row("clientPortAddress", File, Host, "", "", "Address to listen on; all addresses if not set. Needs clientPort.", Supported),
    row("clientPortListenBacklog", File, ANY_INT, "-1", "connections", "Length of the queue of connections that wait to be accepted. Java leaves -1 to the JDK (50); here -1 means a deep queue.", Supported),
    row("tickTime", File, int(1, MAX_TICK_TIME_MS), "3000", "ms", "Basic unit of time: session timeouts are rounded up to it.", Supported),
    row("minSessionTimeout", File, int(-1, i32::MAX as i64), "-1", "ms", "Smallest session timeout granted; -1 is 2 ticks.", Supported),
    row("maxSessionTimeout", File, int(-1, i32::MAX as i64), "-1", "ms", "Largest session timeout granted; -1 is 20 ticks.", Supported),
    row("maxClientCnxns", File, ANY_INT, "60", "connections", "Most connections from one address, 0 or less for no limit.", Supported),
    row("autopurge.snapRetainCount", File, ANY_INT, "3", "snapshots", "Snapshots that purging keeps; less than 3 is raised to 3 with a warning.", Supported),
    row("autopurge.purgeInterval", File, HoursOrDuration, "0", "hours, or with a suffix ms, s, m, h, d", "Time between purges of old snapshots and logs; 0 or less: never. (The suffixes are of ZooKeeper 3.10.)", Supported),
    row("standaloneEnabled", File, StrictBool, "true", "", "Whether a configuration with one voting server runs standalone.", Supported),
    row("reconfigEnabled", File, StrictBool, "false", "", "Whether reconfig is answered at all; a standalone server refuses it either way, with the error that fits.", Supported),
    row("server.*", File, Text, "", "", "A member of the ensemble: `host:port:port[:role][;[address:]port]`, with multiAddress.enabled several addresses joined by `|`. A single one that votes means standalone, unless standaloneEnabled is false.", Supported),
    row("dynamicConfigFile", File, Path, "", "", "File that holds the `server.N`, `group.N` and `weight.N` lines; a hexadecimal number behind the last dot of its name is the version.", Supported),
    row("initLimit", File, ANY_INT, "0", "ticks", "Time a follower has to connect and synchronise.", EnsembleOnly),
    row("syncLimit", File, ANY_INT, "0", "ticks", "Time a follower may lag behind.", EnsembleOnly),
    row("connectToLearnerMasterLimit", File, ANY_INT, "0", "ticks", "Time to connect to the leader; 0 is initLimit.", EnsembleOnly),
    row("electionAlg", File, int(3, 3), "3", "", "Election algorithm; 3 is the only one.", EnsembleOnly),
    row("peerType", File, Kind::Choice(&["participant", "observer"]), "participant", "", "Role of this server; the `server.N` lines overrule it.", EnsembleOnly),
    row("group*", File, Text, "", "", "`group.N=sid:sid:...`: a group of a hierarchical quorum.", EnsembleOnly),
    row("weight*", File, Text, "", "", "`weight.N=n`: the weight of server N in a hierarchical quorum, 1 if not given; who weighs 0 cannot lead.", EnsembleOnly),
    row("localSessionsEnabled", File, StrictBool, "false", "", "Sessions that only their server knows.", EnsembleOnly),
    row("localSessionsUpgradingEnabled", File, StrictBool, "false", "", "Such sessions become global at their first ephemeral node.", EnsembleOnly),
    row("syncEnabled", File, StrictBool, "true", "", "Observers write a log and snapshots.", Ignored(OBSERVERS_SYNC)),
    row("quorumListenOnAllIPs", File, StrictBool, "false", "", "Quorum and election ports listen on all addresses.", EnsembleOnly),
    row("observerMasterPort", File, int(i32::MIN as i64, 65535), "0", "", "Port on which each follower feeds observers, and on which observers look for one; 0 or less: off.", EnsembleOnly),
    row("quorum.cnxn.threads.size", File, ANY_INT, "0", "threads", "Threads for election connections.", Ignored(OWN_THREADS)),
    row("multiAddress.enabled", FileOrProperty, StrictBool, "false", "", "Several addresses for one server.", EnsembleOnly),
    row("multiAddress.reachabilityCheckEnabled", FileOrProperty, StrictBool, "true", "", "Look for the reachable one with ICMP.", Ignored(OWN_ADDRESSES)),
    row("multiAddress.reachabilityCheckTimeoutMs", FileOrProperty, ANY_INT, "1000", "ms", "Time for that.", Ignored(OWN_ADDRESSES)),
    row("oraclePath", File, Path, "", "", "File with the word of an outside oracle, for ensembles of two: if its first character is `1`, one of the two may go on alone. Read again and again.", EnsembleOnly),
    row("secureClientPort", File, PORT, "", "", "TLS port for clients.", Protective(NO_TLS)),
    row("secureClientPortAddress", File, Host, "", "", "Address of the TLS port.", Protective(NO_TLS)),
    row("sslQuorum", File, StrictBool, "false", "", "TLS between servers.", Protective(NO_TLS)),
    row("portUnification", File, StrictBool, "false", "", "TLS and plain on one quorum port.", Protective(NO_TLS)),
    row("sslQuorumReloadCertFiles", File, StrictBool, "false", "", "Read changed certificates anew.", Protective(NO_TLS)),
    row("quorum.auth.enableSasl", File, StrictBool, "false", "", "SASL between servers.", Protective(NO_QUORUM_AUTH)),
    row("quorum.auth.learnerRequireSasl", File, StrictBool, "false", "", "A learner must authenticate.", Protective(NO_QUORUM_AUTH)),
    row("quorum.auth.serverRequireSasl", File, StrictBool, "false", "", "A server accepts only authenticated learners.", Protective(NO_QUORUM_AUTH)),
    row("quorum.auth.learner.saslLoginContext", File, Text, "QuorumLearner", "", "JAAS section of a learner.", KnownNotYet(NO_QUORUM_AUTH)),
    row("quorum.auth.server.saslLoginContext", File, Text, "QuorumServer", "", "JAAS section of a server.", KnownNotYet(NO_QUORUM_AUTH)),
    row("quorum.auth.kerberos.servicePrincipal", File, Text, "zkquorum/localhost", "", "Kerberos principal of the servers.", KnownNotYet(NO_QUORUM_AUTH)),
    row("metricsProvider.className", File, Class, "org.apache.zookeeper.metrics.impl.DefaultMetricsProvider", "", "Where metrics go: `org.apache.zookeeper.metrics.impl.DefaultMetricsProvider` (mntr and the AdminServer), `org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider` (those, in its own spelling, and `/metrics`), `org.apache.zookeeper.metrics.impl.NullMetricsProvider` (none).", Supported),
    row("metricsProvider.httpHost", File, Host, "0.0.0.0", "", "Address of the Prometheus provider's `/metrics`.", Supported),
    row("metricsProvider.httpPort", File, PORT, "7000", "", "Its port; 0 for any free one.", Supported),
    row("metricsProvider.exportJvmInfo", File, Bool, "true", "", "Whether it shows the process, too (`process_*`; there is no JVM whose state `jvm_*` could tell).", Supported),
    row("metricsProvider.numWorkerThreads", File, ANY_INT, "1", "threads", "Threads that take values into summaries.", Ignored(OWN_THREADS)),
    row("metricsProvider.maxQueueSize", File, ANY_INT, "1000000", "values", "Values that wait for these threads.", Ignored(OWN_THREADS)),
    row("metricsProvider.workerShutdownTimeoutMs", File, ANY_INT, "1000", "ms", "Time for these threads to end.", Ignored(OWN_THREADS)),
    row("metricsProvider.httpsPort", File, PORT, "0", "", "TLS port of `/metrics`.", Protective(NO_TLS)),
    row("metricsProvider.*", File, Text, "", "", "Options of other metrics providers.", KnownNotYet("There are no other providers.")),
    row("jvm.pause.monitor", File, StrictBool, "false", "", "Watches for pauses of the JVM.", Ignored(JVM_ONLY)),
    row("jvm.pause.info-threshold.ms", File, int(i64::MIN, i64::MAX), "1000", "ms", "Pause that is logged.", Ignored(JVM_ONLY)),
    row("jvm.pause.warn-threshold.ms", File, int(i64::MIN, i64::MAX), "10000", "ms", "Pause that is warned of.", Ignored(JVM_ONLY)),
    row("jvm.pause.sleep.time.ms", File, int(i64::MIN, i64::MAX), "500", "ms", "How often to look.", Ignored(JVM_ONLY)),
    // Clients and administration.
    row("4lw.commands.whitelist", FileOrProperty, List, "", "", "Four-letter words that are answered; `*` for all. `srvr` always is. `busy` (reads a second, writes a second, path) is not of ZooKeeper.", Supported),
    row("readonlymode.enabled", BareProperty, Bool, "false", "", "A member that finds no leader for two seconds, or a tickTime if that is longer, serves reads; on a standalone server it only allows the four-letter word `isro`.", Supported),
    row("clientTcpKeepAlive", FileOrProperty, Bool, "false", "", "TCP keep-alive on client connections.", Supported),
    row("maxCnxns", FileOrProperty, ANY_JAVA_INT, "0", "connections", "Most connections in all; 0 for no limit.", Supported),
    row("nio.sessionlessCnxnTimeout", FileOrProperty, POSITIVE, "10000", "ms", "Time after which a connection without a session is closed.", Supported),
    row("jute.maxbuffer", BareProperty, POSITIVE, "1048575", "bytes", "Largest request, and largest data of a node.", Supported),
    row("jute.maxbuffer.extrasize", FileOrProperty, COUNT, "", "bytes", "Room beside jute.maxbuffer when reading files and quorum packets; jute.maxbuffer if not set, at least 1024.", Supported),
    row("globalOutstandingLimit", FileOrProperty, ANY_JAVA_INT, "1000", "requests", "Requests in work beyond which connections are read no further.", Supported),
    row("request_throttle_max_requests", FileOrProperty, ANY_JAVA_INT, "0", "requests", "Requests in work beyond which a connection that waits for one of its own is read no further, as with the smaller of this and globalOutstandingLimit; 0: off.", Supported),
    row("request_throttle_stall_time", FileOrProperty, COUNT, "100", "ms", "Longest time of one such wait.", Ignored("A connection that is held back goes on as soon as there is room.")),
    row("request_throttle_drop_stale", FileOrProperty, Bool, "true", "", "The throttler drops requests of closed connections.", Ignored("Requests that are held back lie unread in their socket and go with it.")),
    row("request_stale_connection_check", FileOrProperty, Bool, "true", "", "A request is stale if its connection is closed.", Ignored("Requests that are held back lie unread in their socket and go with it.")),
    row("request_stale_latency_check", FileOrProperty, Bool, "false", "", "A request is stale if it is older than its session's timeout.", Ignored("A request is read when there is room for it and carried out: none waits here and grows old.")),
    row("request_throttler.shutdownTimeout", FileOrProperty, COUNT, "10000", "ms", "Time to finish requests in work at the end.", Ignored("What is in work at the end is finished: it takes one sync.")),
    row("throttled_op_wait_time", FileOrProperty, ANY_JAVA_INT, "0", "ms", "Requests that waited longer in the throttler are answered with ThrottledOp; 0: off.", Ignored("Requests that are held back lie unread in their socket: since when is not known, and all are carried out.")),
    row("largeRequestThreshold", FileOrProperty, ANY_JAVA_INT, "-1", "bytes", "Requests above it count as large; -1: off.", Supported),
    row("largeRequestMaxBytes", FileOrProperty, POSITIVE, "104857600", "bytes", "Most bytes of large requests in work; one more closes its connection.", Supported),
    row("connection_throttle_tokens", FileOrProperty, ANY_JAVA_INT, "0", "tokens", "Size of the token bucket for new connections; 0: off.", Supported),
    row("connection_throttle_fill_time", FileOrProperty, POSITIVE, "1", "ms", "Time between refills.", Supported),
    row("connection_throttle_fill_count", FileOrProperty, POSITIVE, "1", "tokens", "Tokens of one refill.", Supported),
    row("connection_throttle_freeze_time", FileOrProperty, ANY_JAVA_INT, "-1", "ms", "Time between changes of the drop probability; -1: off.", Supported),
    row("connection_throttle_drop_increase", FileOrProperty, Real { min: 0.0, max: 1.0 }, "0.02", "", "Its step upwards.", Supported),
    row("connection_throttle_drop_decrease", FileOrProperty, Real { min: 0.0, max: 1.0 }, "0.002", "", "Its step downwards.", Supported),
    row("connection_throttle_decrease_ratio", FileOrProperty, Real { min: 0.0, max: 1.0 }, "0", "", "Share of free tokens above which it goes downwards.", Supported),
    row("connection_throttle_weight_enabled", FileOrProperty, Bool, "false", "", "Connections cost tokens by their kind.", Supported),
    row("connection_throttle_global_session_weight", FileOrProperty, POSITIVE, "3", "tokens", "Cost of a new session.", Supported),
    row("connection_throttle_local_session_weight", FileOrProperty, POSITIVE, "1", "tokens", "Cost of a new local session.", Supported),
    row("connection_throttle_renew_session_weight", FileOrProperty, POSITIVE, "2", "tokens", "Cost of a session that comes back.", Supported),
    // Files.
    row("snapCount", FileOrProperty, ANY_JAVA_INT, "100000", "transactions", "A snapshot is taken after between half of it and all of it; at least 2.", Supported),
    row("snapSizeLimitInKb", FileOrProperty, LONG, "4194304", "KB", "A snapshot is taken after between half of it and all of it in log bytes; negative: off.", Supported),
    row("preAllocSize", FileOrProperty, int(i64::MIN / 1024, i64::MAX / 1024), "65536", "KB", "Log files grow by this much; 0 or less: as they are written.", Supported),
    row("txnLogSizeLimitInKb", FileOrProperty, java_int(i64::MIN / 1024, i64::MAX / 1024), "-1", "KB", "A log file larger than this is closed and a new one begun; 0 or less: off.", Supported),
    row("forceSync", FileOrProperty, YesNo, "yes", "", "`no`: transactions are not synced to disk. Dangerous.", Supported),
    row("fsync.warningthresholdms", FileOrEitherProperty, LONG, "1000", "ms", "A slower sync is warned of.", Supported),
    row("snapshot.compression.method", FileOrProperty, Kind::Choice(&["", "gz", "snappy"]), "", "", "Compression of snapshots; empty: none.", Supported),
    row("snapshot.trust.empty", FileOrProperty, Bool, "false", "", "Start on logs without any snapshot. Dangerous.", Supported),
    row("serializeLastProcessedZxid.enabled", FileOrProperty, Bool, "true", "", "Snapshots carry their zxid.", Supported),
    row("datadir.autocreate", FileOrProperty, Bool, "true", "", "Missing data directories are made.", Supported),
    row("db.autocreate", FileOrProperty, Bool, "true", "", "An empty directory becomes an empty database.", Supported),
    row("digest.enabled", FileOrProperty, Bool, "true", "", "The tree's digest is kept, logged and checked.", Supported),
    row("closeSessionTxn.enabled", FileOrProperty, Bool, "true", "", "The end of a session is logged with the ephemeral nodes that it deletes.", Supported),
    // Nodes.
    row("extendedTypesEnabled", FileOrProperty, Bool, "false", "", "TTL nodes.", Supported),
    row("emulate353TTLNodes", FileOrProperty, Bool, "false", "", "TTL nodes in the encoding of ZooKeeper 3.5.3.", Supported),
    row("enforceQuota", FileOrProperty, Bool, "false", "", "Hard quotas refuse writes.", Supported),
    row("znode.container.checkIntervalMs", BareProperty, POSITIVE, "60000", "ms", "Time between looks for empty containers and outlived TTL nodes.", Supported),
    row("znode.container.maxPerMinute", BareProperty, POSITIVE, "10000", "nodes", "Most of them deleted in a minute.", Supported),
    row("znode.container.maxNeverUsedIntervalMs", BareProperty, java_int(0, i64::MAX), "0", "ms", "Age at which a container that never had a child is deleted; 0: never. (300000 in ZooKeeper 3.10.)", Supported),
    // Access.
    row("skipACL", FileOrProperty, YesNo, "no", "", "`yes`: ACLs are not checked. Dangerous.", Supported),
    row("enableEagerACLCheck", FileOrProperty, Bool, "false", "", "A member refuses a write that the committed tree does not allow before the write goes into the order: it takes no zxid.", EnsembleOnly),
    row("DigestAuthenticationProvider.enabled", FileOrProperty, Bool, "true", "", "Scheme `digest`.", Supported),
    row("DigestAuthenticationProvider.digestAlg", FileOrProperty, Kind::Choice(&["SHA1", "SHA-1", "SHA-224", "SHA-256", "SHA-384", "SHA-512", "SHA-512/224", "SHA-512/256", "SHA3-224", "SHA3-256", "SHA3-384", "SHA3-512", "MD5", "SHA", "SHA224", "SHA256", "SHA384", "SHA512", "SHA512/224", "SHA512/256"]), "SHA1", "", "Hash of the scheme `digest`.", Supported),
    row("DigestAuthenticationProvider.superDigest", FileOrProperty, Secret, "", "", "`super:<hash>`: who authenticates with that user and password may do everything.", Supported),
    row("IPAuthenticationProvider.usexforwardedfor", FileOrProperty, Bool, "false", "", "The AdminServer takes the address from X-Forwarded-For.", KnownNotYet("That field is never trusted: whoever sends a request writes it.")),
    row("authProvider.*", FileOrProperty, Class, "", "", "A further authentication scheme. The classes of the built-in schemes ip and digest are accepted.", Protective("Further authentication providers are not supported yet.")),
    row("ensembleAuthName", FileOrProperty, List, "", "", "Names by which clients must ask for this ensemble.", Protective("The ensemble authentication provider is not supported yet.")),
    row("enforce.auth.enabled", FileOrProperty, Bool, "false", "", "Only authenticated clients are served.", Protective("Enforced authentication is not supported yet.")),
    row("enforce.auth.schemes", FileOrProperty, List, "", "", "Schemes that count for it.", Protective("Enforced authentication is not supported yet.")),
    row("sessionRequireClientSASLAuth", FileOrProperty, Bool, "false", "", "Only clients authenticated by SASL are served.", Protective(NO_SASL)),
    row("sasl.serverconfig", FileOrProperty, Text, "", "", "JAAS section of the server.", Protective(NO_SASL)),
    row("java.security.auth.login.config", BareProperty, Path, "", "", "JAAS file.", Protective(NO_SASL)),
    row("requireKerberosConfig", FileOrProperty, Bool, "false", "", "A Kerberos configuration must be there.", Protective(NO_SASL)),
    row("allowSaslFailedClients", FileOrProperty, Bool, "false", "", "Clients that fail SASL are served as strangers.", KnownNotYet(NO_SASL_EFFECT)),
    row("SASLAuthenticationProvider.superPassword", FileOrProperty, Secret, "", "", "Password of the SASL user `super`.", KnownNotYet(NO_SASL_EFFECT)),
    row("superUser", FileOrProperty, Text, "", "", "SASL user who may do everything.", KnownNotYet(NO_SASL_EFFECT)),
    row("superUser.*", FileOrProperty, Text, "", "", "More of them.", KnownNotYet(NO_SASL_EFFECT)),
    row("letAnySaslUserDoX", FileOrProperty, Text, "", "", "ACL id that every SASL user has.", KnownNotYet(NO_SASL_EFFECT)),
    row("X509AuthenticationProvider.superUser", FileOrProperty, Text, "", "", "Certificate subject that may do everything.", KnownNotYet("Without TLS it has no effect.")),
    row("security.auth_to_local", FileOrProperty, Text, "DEFAULT", "", "Rules from Kerberos principals to short names.", KnownNotYet(NO_SASL_EFFECT)),
    row("server.realm", FileOrProperty, Text, "", "", "Kerberos realm of the server; only as -D, since zoo.cfg takes `server.` for a member.", KnownNotYet(NO_SASL_EFFECT)),
    row("kerberos.canonicalizeHostNames", FileOrProperty, Bool, "false", "", "Host names are looked up for Kerberos.", KnownNotYet(NO_SASL_EFFECT)),
    row("kerberos.minReLoginTimeMs", FileOrProperty, ANY_JAVA_INT, "60000", "ms", "Shortest time between logins.", KnownNotYet(NO_SASL_EFFECT)),
    row("kerberos.removeHostFromPrincipal", FileOrProperty, Bool, "false", "", "Short names without the host.", KnownNotYet(NO_SASL_EFFECT)),
    row("kerberos.removeRealmFromPrincipal", FileOrProperty, Bool, "false", "", "Short names without the realm.", KnownNotYet(NO_SASL_EFFECT)),
    row("kinit", FileOrProperty, Path, "/usr/bin/kinit", "", "Program that renews tickets.", KnownNotYet(NO_SASL_EFFECT)),
    row("fips-mode", FileOrProperty, Bool, "true", "", "Restricts TLS and SASL to what FIPS allows.", KnownNotYet("There is no TLS or SASL yet that it could restrict.")),
    row("client.portUnification", FileOrProperty, Bool, "false", "", "TLS and plain on one client port.", Protective(NO_TLS)),
    row("client.certReload", FileOrProperty, Bool, "false", "", "Read changed certificates anew.", Protective(NO_TLS)),
    row("ssl.keyStore.location", FileOrProperty, Path, "", "", "TLS, client port: key store.", Protective(NO_TLS)),
    row("ssl.keyStore.password", FileOrProperty, Secret, "", "", "TLS, client port: its password.", Protective(NO_TLS)),
    row("ssl.keyStore.passwordPath", FileOrProperty, Path, "", "", "TLS, client port: file with its password.", Protective(NO_TLS)),
    row("ssl.keyStore.type", FileOrProperty, Text, "", "", "TLS, client port: its type.", Protective(NO_TLS)),
    row("ssl.trustStore.location", FileOrProperty, Path, "", "", "TLS, client port: trust store.", Protective(NO_TLS)),
    row("ssl.trustStore.password", FileOrProperty, Secret, "", "", "TLS, client port: its password.", Protective(NO_TLS)),
    row("ssl.trustStore.passwordPath", FileOrProperty, Path, "", "", "TLS, client port: file with its password.", Protective(NO_TLS)),
    row("ssl.trustStore.type", FileOrProperty, Text, "", "", "TLS, client port: its type.", Protective(NO_TLS)),
    row("ssl.protocol", FileOrProperty, Text, "", "", "TLS, client port: protocol; TLSv1.2 in FIPS mode, otherwise TLSv1.3.", Protective(NO_TLS)),
    row("ssl.enabledProtocols", FileOrProperty, List, "", "", "TLS, client port: protocols; those of protocol if not set.", Protective(NO_TLS)),
    row("ssl.ciphersuites", FileOrProperty, List, "", "", "TLS, client port: cipher suites.", Protective(NO_TLS)),
    row("ssl.clientAuth", FileOrProperty, Kind::Choice(&["none", "want", "need"]), "need", "", "TLS, client port: whether the other side must show a certificate.", Protective(NO_TLS)),
    row("ssl.hostnameVerification", FileOrProperty, Bool, "true", "", "TLS, client port: certificates must name the host.", Protective(NO_TLS)),
    row("ssl.clientHostnameVerification", FileOrProperty, Bool, "false", "", "TLS, client port: the same for the clients' side of a connection.", Protective(NO_TLS)),
    row("ssl.allowReverseDnsLookup", FileOrProperty, Bool, "", "", "TLS, client port: host names may come from reverse DNS.", Protective(NO_TLS)),
    row("ssl.crl", FileOrProperty, Bool, "false", "", "TLS, client port: Revocation lists.", Protective(NO_TLS)),
    row("ssl.ocsp", FileOrProperty, Bool, "false", "", "TLS, client port: Revocation by OCSP.", Protective(NO_TLS)),
    row("ssl.handshakeDetectionTimeoutMillis", FileOrProperty, ANY_INT, "5000", "ms", "TLS, client port: time to tell TLS from plain.", Protective(NO_TLS)),
    row("ssl.context.supplier.class", FileOrProperty, Class, "", "", "TLS, client port: class that supplies the TLS context.", Protective(NO_TLS)),
    row("ssl.quorum.keyStore.location", FileOrProperty, Path, "", "", "TLS, between servers: key store.", Protective(NO_TLS)),
    row("ssl.quorum.keyStore.password", FileOrProperty, Secret, "", "", "TLS, between servers: its password.", Protective(NO_TLS)),
    row("ssl.quorum.keyStore.passwordPath", FileOrProperty, Path, "", "", "TLS, between servers: file with its password.", Protective(NO_TLS)),
    row("ssl.quorum.keyStore.type", FileOrProperty, Text, "", "", "TLS, between servers: its type.", Protective(NO_TLS)),
    row("ssl.quorum.trustStore.location", FileOrProperty, Path, "", "", "TLS, between servers: trust store.", Protective(NO_TLS)),
    row("ssl.quorum.trustStore.password", FileOrProperty, Secret, "", "", "TLS, between servers: its password.", Protective(NO_TLS)),
    row("ssl.quorum.trustStore.passwordPath", FileOrProperty, Path, "", "", "TLS, between servers: file with its password.", Protective(NO_TLS)),
    row("ssl.quorum.trustStore.type", FileOrProperty, Text, "", "", "TLS, between servers: its type.", Protective(NO_TLS)),
    row("ssl.quorum.protocol", FileOrProperty, Text, "", "", "TLS, between servers: protocol; TLSv1.2 in FIPS mode, otherwise TLSv1.3.", Protective(NO_TLS)),
    row("ssl.quorum.enabledProtocols", FileOrProperty, List, "", "", "TLS, between servers: protocols; those of protocol if not set.", Protective(NO_TLS)),
    row("ssl.quorum.ciphersuites", FileOrProperty, List, "", "", "TLS, between servers: cipher suites.", Protective(NO_TLS)),
    row("ssl.quorum.clientAuth", FileOrProperty, Kind::Choice(&["none", "want", "need"]), "need", "", "TLS, between servers: whether the other side must show a certificate.", Protective(NO_TLS)),
    row("ssl.quorum.hostnameVerification", FileOrProperty, Bool, "true", "", "TLS, between servers: certificates must name the host.", Protective(NO_TLS)),
    row("ssl.quorum.clientHostnameVerification", FileOrProperty, Bool, "true", "", "TLS, between servers: the same for the clients' side of a connection.", Protective(NO_TLS)),
    row("ssl.quorum.allowReverseDnsLookup", FileOrProperty, Bool, "", "", "TLS, between servers: host names may come from reverse DNS.", Protective(NO_TLS)),
    row("ssl.quorum.crl", FileOrProperty, Bool, "false", "", "TLS, between servers: Revocation lists.", Protective(NO_TLS)),
    row("ssl.quorum.ocsp", FileOrProperty, Bool, "false", "", "TLS, between servers: Revocation by OCSP.", Protective(NO_TLS)),
    row("ssl.quorum.handshakeDetectionTimeoutMillis", FileOrProperty, ANY_INT, "5000", "ms", "TLS, between servers: time to tell TLS from plain.", Protective(NO_TLS)),
    row("ssl.quorum.context.supplier.class", FileOrProperty, Class, "", "", "TLS, between servers: class that supplies the TLS context.", Protective(NO_TLS)),
    row("ssl.authProvider", FileOrProperty, Text, "x509", "", "TLS, client port: scheme of client certificates.", Protective(NO_TLS)),
    row("ssl.sslProvider", FileOrProperty, Text, "JDK", "", "TLS, client port: library.", Protective(NO_TLS)),
    row("ssl.*", FileOrProperty, Text, "", "", "Any other option of TLS.", Protective(NO_TLS)),
    // Administration that is not there yet.
    row("admin.enableServer", FileOrProperty, Bool, "true", "", "The HTTP server for administration and the console page. (false in ZooKeeper 3.10.)", Supported),
    row("admin.serverAddress", FileOrProperty, Host, "0.0.0.0", "", "Its address.", Supported),
    row("admin.serverPort", FileOrProperty, java_int(0, 65535), "8080", "", "Its port.", Supported),
    row("admin.idleTimeout", FileOrProperty, ANY_JAVA_INT, "30000", "ms", "Time after which it closes an idle connection.", Supported),
    row("admin.commandURL", FileOrProperty, Text, "/commands", "", "Path of its commands.", Supported),
    row("admin.httpVersion", FileOrProperty, ANY_JAVA_INT, "11", "", "HTTP version of its TLS port, 10 or 11.", Ignored("Each answer speaks HTTP/1.1, which clients of 1.0 understand.")),
    row("admin.portUnification", FileOrProperty, Bool, "false", "", "TLS and plain on its port.", Protective(NO_TLS)),
    row("admin.forceHttps", FileOrProperty, Bool, "false", "", "TLS only on its port.", Protective(NO_TLS)),
    row("admin.needClientAuth", FileOrProperty, Bool, "false", "", "Clients must show a certificate.", Protective(NO_TLS)),
    row("admin.rateLimiterIntervalInMS", FileOrProperty, ANY_INT, "300000", "ms", "Shortest time between snapshots asked of it.", Supported),
    row("admin.snapshot.enabled", FileOrProperty, Bool, "true", "", "Its command snapshot.", Supported),
    row("admin.restore.enabled", FileOrProperty, Bool, "true", "", "Its command restore.", Supported),
    row("oxkeeper.console.enabled", FileOrProperty, Bool, "true", "", "The console page at `/` of the AdminServer. (Not of ZooKeeper.)", Supported),
    row("oxkeeper.console.edit", FileOrProperty, Bool, "false", "", "Whether the console may create, change and delete znodes, as the user who logs in there. (Not of ZooKeeper.)", Supported),
    row("oxkeeper.busyPaths.enabled", FileOrProperty, Bool, "true", "", "The busiest paths are found, for the word `busy`, `oxkeeper cli top` and the console. (Not of ZooKeeper.)", Supported),
    row("oxkeeper.slowRequestMs", FileOrProperty, int(0, i32::MAX as i64), "0", "ms", "A request that takes longer is named in the log with what held it up; 0: off. (Not of ZooKeeper.)", Supported),
    row("oxkeeper.log.format", FileOrProperty, Kind::Choice(&["text", "json"]), "text", "", "Layout of the log: lines as ZooKeeper's, or a JSON object a line. (Not of ZooKeeper.)", Supported),
    row("audit.enable", FileOrProperty, Bool, "false", "", "The audit log: a line for each change, its author and its outcome.", Supported),
    row("audit.impl.class", FileOrProperty, Class, "org.apache.zookeeper.audit.Slf4jAuditLogger", "", "Where it goes.", KnownNotYet("There is one audit log, that of Slf4jAuditLogger.")),
    row("auditlog.file", FileOrProperty, Path, "", "", "File of the audit log in log.dir, ten old ones of 10 MB kept; the log itself if not set.", Supported),
    row("pathStats.enabled", FileOrProperty, Bool, "false", "", "Statistics of the busiest paths in the log.", KnownNotYet("The busiest paths are told by the word `busy`, `oxkeeper cli top` and the console, not in the log.")),
    row("pathStats.*", FileOrProperty, Text, "", "", "Options of these statistics.", KnownNotYet("The busiest paths are told by the word `busy`, `oxkeeper cli top` and the console, not in the log.")),
    row("messageTracker.Enabled", FileOrProperty, Bool, "false", "", "The last packets of each link between a learner and a leader are named in the log when it ends.", EnsembleOnly),
    row("messageTracker.BufferSize", FileOrProperty, POSITIVE, "10", "packets", "How many of them each way.", EnsembleOnly),
    // Ensemble.
    row("cnxTimeout", FileOrProperty, ANY_INT, "5000", "ms", "Time for an election connection.", EnsembleOnly),
    row("commitLogCount", FileOrProperty, ANY_INT, "500", "transactions", "Transactions kept in memory for learners; at least 500.", EnsembleOnly),
    row("snapshotSizeFactor", FileOrProperty, Real { min: f64::MIN, max: f64::MAX }, "", "", "Bytes of the log on disk, as a share of the newest snapshot's, up to which a learner gets the log and no snapshot; negative: never. Not set, or 0: whenever the log reaches back to its history. (0.33 in ZooKeeper, of whole files.)", EnsembleOnly),
    row("commitProcessor.numWorkerThreads", FileOrProperty, ANY_JAVA_INT, "", "threads", "Threads that answer reads; the number of cores if not set.", Ignored(OWN_THREADS)),
    row("commitProcessor.maxReadBatchSize", FileOrProperty, ANY_JAVA_INT, "-1", "requests", "Reads between two writes.", Ignored(OWN_THREADS)),
    row("commitProcessor.maxCommitBatchSize", FileOrProperty, ANY_JAVA_INT, "1", "requests", "Writes between two reads.", Ignored(OWN_THREADS)),
    row("commitProcessor.shutdownTimeout", FileOrProperty, LONG, "5000", "ms", "Time for these threads to end.", Ignored(OWN_THREADS)),
    row("electionPortBindRetry", FileOrProperty, ANY_JAVA_INT, "3", "", "Tries to bind the election port; 0: for ever.", EnsembleOnly),
    row("fastleader.minNotificationInterval", FileOrProperty, ANY_JAVA_INT, "200", "ms", "Shortest wait for votes.", EnsembleOnly),
    row("fastleader.maxNotificationInterval", FileOrProperty, ANY_JAVA_INT, "60000", "ms", "Longest wait for votes.", EnsembleOnly),
    row("follower.skipLearnerRequestToNextProcessor", FileOrProperty, Bool, "false", "", "A follower's own writes skip its commit processor.", Ignored(OWN_CHAIN)),
    row("forceSnapshotSync", FileOrProperty, Bool, "false", "", "Learners always get a snapshot.", EnsembleOnly),
    row("forward_learner_requests_to_commit_processor_disabled", FileOrProperty, Bool, "false", "", "Learners' writes skip the leader's commit processor.", Ignored(OWN_CHAIN)),
    row("leader.ackLoggingFrequency", FileOrProperty, ANY_JAVA_INT, "1000", "ACKs", "How often the leader logs an ACK.", Ignored("ACKs are not logged.")),
    row("leader.closeSocketAsync", FileOrEitherProperty, Bool, "false", "", "The leader closes learners' sockets in the background.", Ignored(NEVER_BLOCKS)),
    row("learner.closeSocketAsync", FileOrEitherProperty, Bool, "false", "", "A learner closes its socket in the background.", Ignored(NEVER_BLOCKS)),
    row("learner.asyncSending", FileOrEitherProperty, Bool, "false", "", "A learner sends in the background.", Ignored(NEVER_BLOCKS)),
    row("leader.maxConcurrentSnapSyncs", FileOrProperty, ANY_JAVA_INT, "10", "learners", "Learners brought up from the files at the same time; an observer that comes then is sent away, a follower never.", EnsembleOnly),
    row("leader.maxConcurrentDiffSyncs", FileOrProperty, ANY_JAVA_INT, "100", "learners", "The same, of those brought up from memory.", EnsembleOnly),
    row("leader.maxTimeToWaitForEpoch", FileOrProperty, ANY_JAVA_INT, "-1", "ms", "An elected leader that has waited longer for a quorum to come gives up when a voter that elected it looks for a leader again; -1: it waits for initLimit.", EnsembleOnly),
    row("leaderConnectDelayDuringRetryMs", FileOrProperty, ANY_JAVA_INT, "100", "ms", "Wait between tries to reach the leader.", EnsembleOnly),
    row("leaderServes", FileOrProperty, YesNo, "yes", "", "`no`: the leader takes no clients.", EnsembleOnly),
    row("observer.election.DelayMs", FileOrProperty, LONG, "200", "ms", "An observer's wait before an election.", EnsembleOnly),
    row("observer.reconnectDelayMs", FileOrProperty, LONG, "0", "ms", "An observer's longest wait before it connects again; with observer masters, when all have been tried.", EnsembleOnly),
    row("observer.syncEnabled", FileOrProperty, Bool, "", "", "Overrides syncEnabled.", Ignored(OBSERVERS_SYNC)),
    row("observerMaster.sizeLimit", FileOrProperty, ANY_JAVA_INT, "33554432", "bytes", "Packets kept for observers.", Ignored("Nothing is kept for observers that the transactions in memory (commitLogCount) and the log do not hold anyway.")),
    row("quorumCnxnTimeoutMs", FileOrProperty, ANY_JAVA_INT, "-1", "ms", "Time for whoever connects to the election port to say who it is; -1 is tickTime times syncLimit.", EnsembleOnly),
    row("tcpKeepAlive", FileOrProperty, Bool, "false", "", "TCP keep-alive on election links.", EnsembleOnly),
    row("leader.nodelay", BareProperty, Bool, "true", "", "TCP_NODELAY on the leader's links.", Ignored(NO_DELAY)),
    row("follower.nodelay", BareProperty, Bool, "true", "", "TCP_NODELAY on a follower's link.", Ignored(NO_DELAY)),
    // Inside of Java.
    row("bitHashCacheSize", FileOrProperty, ANY_JAVA_INT, "10", "", "Cache of a watch set.", Ignored("Watch sets here need no such cache.")),
    row("flushDelay", FileOrProperty, LONG, "0", "ms", "Time to collect writes for one sync.", Ignored("The log thread syncs what is waiting, and collects while it syncs.")),
    row("maxWriteQueuePollTime", FileOrProperty, LONG, "", "ms", "Time to wait for one more write; a third of flushDelay if not set.", Ignored("The log thread syncs what is waiting, and collects while it syncs.")),
    row("maxBatchSize", FileOrProperty, ANY_JAVA_INT, "1000", "transactions", "Most writes of one sync.", Ignored("The log thread syncs what is waiting, and collects while it syncs.")),
    row("intBufferStartingSizeBytes", FileOrProperty, java_int(32, i32::MAX as i64), "1024", "bytes", "First size of a buffer.", Ignored("Buffers here grow with the bytes that arrive.")),
    row("maxResponseCacheSize", FileOrProperty, ANY_JAVA_INT, "400", "entries", "Cache of encoded getData replies.", Ignored("Replies are encoded faster than they would be looked up.")),
    row("maxGetChildrenResponseCacheSize", FileOrProperty, ANY_JAVA_INT, "400", "entries", "Cache of encoded getChildren replies.", Ignored("Replies are encoded faster than they would be looked up.")),
    row("watchManagerName", FileOrProperty, Class, "", "", "Class of the watch tables.", Ignored("There is one kind of watch table, compact, and it knows persistent watches.")),
    row("maxInProcessingDeadWatchers", FileOrProperty, ANY_JAVA_INT, "-1", "", "Dead watchers not yet removed.", Ignored("Dead watchers are removed at once.")),
    row("watcherCleanThreshold", FileOrProperty, ANY_JAVA_INT, "1000", "", "Dead watchers that start a removal.", Ignored("Dead watchers are removed at once.")),
    row("watcherCleanIntervalInSeconds", FileOrProperty, ANY_JAVA_INT, "600", "s", "Time between removals.", Ignored("Dead watchers are removed at once.")),
    row("watcherCleanThreadsNum", FileOrProperty, ANY_JAVA_INT, "2", "threads", "Threads that remove them.", Ignored("Dead watchers are removed at once.")),
    row("nio.numSelectorThreads", FileOrProperty, ANY_JAVA_INT, "", "threads", "Threads that wait for sockets.", Ignored(OWN_THREADS)),
    row("nio.numWorkerThreads", FileOrProperty, ANY_JAVA_INT, "", "threads", "Threads that read and write them.", Ignored(OWN_THREADS)),
    row("nio.directBufferBytes", FileOrProperty, ANY_JAVA_INT, "65536", "bytes", "Buffer for joined writes.", Ignored(OWN_THREADS)),
    row("nio.shutdownTimeout", FileOrProperty, LONG, "5000", "ms", "Time for these threads to end.", Ignored(OWN_THREADS)),
    row("serverCnxnFactory", FileOrProperty, Class, "org.apache.zookeeper.server.NIOServerCnxnFactory", "", "Class of the network layer.", Ignored(NO_NETTY)),
    row("netty.advancedFlowControl.enabled", FileOrProperty, Bool, "false", "", "Netty's flow control.", Ignored(NO_NETTY)),
    row("netty.server.outstandingHandshake.limit", FileOrProperty, ANY_JAVA_INT, "-1", "handshakes", "TLS handshakes at the same time.", Ignored(NO_NETTY)),
    row("netty.server.earlyDropSecureConnectionHandshakes", FileOrProperty, Bool, "false", "", "Drops TLS handshakes early.", Ignored(NO_NETTY)),
    row("jmx.log4j.disable", FileOrProperty, Bool, "false", "", "No JMX beans of log4j.", Ignored(JVM_ONLY)),
    row("jmx.log4j.mbean", FileOrProperty, Text, "", "", "Name of such a bean.", Ignored(JVM_ONLY)),
    row("root.logger", FileOrProperty, Text, "INFO", "", "`LEVEL[,APPENDER]`: the level of the log; RUST_LOG wins. Only as -D: the log begins before zoo.cfg is read.", Supported),
    row("log.dir", FileOrProperty, Path, ".", "", "Directory of the log file.", Supported),
    row("log.file", FileOrProperty, Path, "zookeeper.log", "", "Name of the log file, which is written if `zookeeper.root.logger` names ROLLINGFILE.", Supported),
    row("log.threshold", FileOrProperty, Text, "", "", "Level of the log file.", Ignored("The level is root.logger's.")),
    row("log.maxfilesize", FileOrProperty, Text, "256MB", "bytes, or with KB, MB, GB", "Size at which the log file is put aside and a new one begun.", Supported),
    row("log.maxbackupindex", FileOrProperty, int(0, 1000), "20", "files", "Number of old log files.", Supported),
    row("console.threshold", FileOrProperty, Text, "", "", "Level on the console.", Ignored("The level is root.logger's.")),
    row("tracelog.dir", FileOrProperty, Path, "", "", "Directory of the trace log.", Ignored(LOGS_TO_STDERR)),
    row("tracelog.file", FileOrProperty, Path, "", "", "Name of the trace log.", Ignored(LOGS_TO_STDERR)),
    row("auditlog.threshold", FileOrProperty, Text, "INFO", "", "Level of the audit log.", Ignored("All of it is written.")),
    row("test.allowDiscontinuousProposals", FileOrProperty, Bool, "false", "", "Gaps in zxids.", Ignored(TEST_ONLY)),
    row("testingonly.initialZxid", FileOrProperty, LONG, "", "", "The first counter of each epoch, for tests of what happens after the last. Here the epoch ends as many transactions earlier, and no counter is left out.", EnsembleOnly),
    row("controllerPort", FileOrProperty, java_int(0, 65535), "", "", "Port of the fault-injection server.", Ignored(TEST_ONLY)),
    row("client.secure", FileOrProperty, Bool, "false", "", "A client uses TLS.", Ignored(CLIENT_ONLY)),
    row("clientCnxnSocket", FileOrProperty, Class, "", "", "A client's network layer.", Ignored(CLIENT_ONLY)),
    row("disableAutoWatchReset", FileOrProperty, Bool, "false", "", "A client does not set its watches again.", Ignored(CLIENT_ONLY)),
    row("request.timeout", FileOrProperty, LONG, "0", "ms", "A client's request timeout.", Ignored(CLIENT_ONLY)),
    row("sasl.client", FileOrProperty, Bool, "true", "", "A client uses SASL.", Ignored(CLIENT_ONLY)),
    row("sasl.client.*", FileOrProperty, Text, "", "", "A client's SASL.", Ignored(CLIENT_ONLY)),
    row("sasl.clientconfig", FileOrProperty, Text, "Client", "", "A client's JAAS section.", Ignored(CLIENT_ONLY)),
    row("server.principal", FileOrProperty, Text, "", "", "The principal a client expects; only as -D.", Ignored(CLIENT_ONLY)),
];
