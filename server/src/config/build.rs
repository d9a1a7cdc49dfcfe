//! From a [`Request`] to a [`ServerConfig`]: collects what was set, reads the values, checks them against each
//! other.
//!
//! Everything that is wrong is collected and told at once. The rules of single values are in
//! [`super::value`], the options in [`super::table`].

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};

use log::Level;
use oxkeeper_zab::{Config, ElectionOptions, HostPort, KeptConfigs, Member, Sid};

use super::args::{self, Request, Source};
use super::dynamic;
use super::ensemble;
use super::properties::{self, trim};
use super::table::{self, OptionRow, Place, Status};
use super::value::{self, Kind, Value};
use super::{
    AdminConfig, ConfigError, ConnectionThrottle, ContainerReaping, EXIT_INVALID_INVOCATION, EXIT_UNEXPECTED_ERROR, EffectiveProperties,
    EnsembleConfig, FourLetterWhitelist, LargeRequests, Loaded, MetricsProvider, Notice, OperatorConfig, RequestThrottle, Secret,
    ServerConfig, SnapshotCompression, shown,
};

/// Reads the configuration that a command line asks for: files are read, host names looked up, nothing
/// is written.
///
/// # Errors
/// Exit code 2 with a line for each thing that is wrong.
pub fn load(request: &Request) -> Result<Loaded, ConfigError> {
    let mut loader = Loader { notices: request.notices.clone(), ..Loader::default() };
    let mut config_file = None;
    let mut initial_config = None;
    loader.add_definitions(request);
    match &request.source {
        Source::Defaults => {
            loader.info("no configuration given: standalone on port 2181, data in ./data, tickTime 2000".to_owned());
            for (key, text) in [("dataDir", "./data"), ("clientPort", "2181"), ("tickTime", "2000")] {
                loader.set(key, text, Origin::Default);
            }
        }
        Source::File(path) => {
            initial_config = Some(Secret(loader.add_file(path)?));
            config_file = Some(path.clone());
        }
        Source::Words(words) => loader.add_words(words)?,
    }
    let config = loader.build(config_file, initial_config);
    match config {
        Some(config) if loader.problems.is_empty() => match loader.stranger {
            None => Ok(Loaded { config, notices: loader.notices }),
            Some(message) => Err(ConfigError { exit_code: EXIT_UNEXPECTED_ERROR, message }),
        },
        _ => Err(ConfigError { exit_code: EXIT_INVALID_INVOCATION, message: loader.problems.join("\n") }),
    }
}

/// Where a text was set.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Origin {
    /// A line of a file.
    File { path: PathBuf, line: usize },
    /// `-D` on the command line or in a variable.
    Definition(&'static str),
    /// A word of the command line.
    Word,
    /// Our default for a server without configuration.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::File { path, line } => write!(formatter, "{}:{line}", path.display()),
            Origin::Definition(origin) => write!(formatter, "-D ({origin})"),
            Origin::Word => formatter.write_str("command line"),
            Origin::Default => formatter.write_str("default"),
        }
    }
}

/// A text that was set, before its value is read.
#[derive(Debug)]
struct Setting {
    row: &'static OptionRow,
    text: String,
    origin: Origin,
    /// The property's name, for what is a property.
    property: Option<String>,
}

#[derive(Default)]
struct Loader {
    /// By the name in zoo.cfg spelling.
    settings: BTreeMap<String, Setting>,
    values: BTreeMap<String, Value>,
    raw: BTreeMap<String, String>,
    /// `server.N`, `group.N` and `weight.N` lines: key, text, origin.
    quorum_lines: BTreeMap<String, (String, Origin)>,
    /// dynamicConfigFile.
    dynamic_file: Option<PathBuf>,
    /// What `<zoo.cfg>.dynamic.next` holds.
    last_seen: Option<Config>,
    /// Said if this server is not among its own members, which has another exit code.
    stranger: Option<String>,
    notices: Vec<Notice>,
    problems: Vec<String>,
}

impl Loader {
    fn warn(&mut self, message: String) {
        self.notices.push(Notice { level: Level::Warn, message });
    }

    fn info(&mut self, message: String) {
        self.notices.push(Notice { level: Level::Info, message });
    }

    fn set(&mut self, name: &'static str, text: &str, origin: Origin) {
        let row = table::find(name).expect("only names of the table are set from inside");
        self.settings.insert(name.to_owned(), Setting { row, text: text.to_owned(), origin, property: None });
    }

    /// `-D` words. Of equal keys the last wins; `zookeeper.x` wins over a bare `x`.
    fn add_definitions(&mut self, request: &Request) {
        let mut last: BTreeMap<&str, (&str, &'static str)> = BTreeMap::new();
        for definition in &request.definitions {
            last.insert(&definition.key, (&definition.value, definition.origin));
        }
        for (&key, &(text, origin)) in &last {
            let text = trim(text);
            let place = Origin::Definition(origin);
            self.raw.insert(key.to_owned(), text.to_owned());
            let (name, prefixed) = match key.strip_prefix("zookeeper.") {
                Some(name) => (name, true),
                None => (key, false),
            };
            match table::find(name) {
                Some(row) if prefixed => match row.place {
                    Place::FileOrProperty | Place::FileOrEitherProperty => {
                        self.insert(name, row, text, place, key);
                    }
                    Place::File => self.warn(format!("{place}: {key} has no effect: {name} is read from zoo.cfg only")),
                    Place::BareProperty => self.warn(format!("{place}: {key} has no effect: its name is {name}, as -D{name}")),
                },
                None if prefixed => self.warn_unknown(&place, key, name),
                Some(row) if row.place == Place::BareProperty => {
                    self.insert(name, row, text, place, key);
                }
                Some(row) if row.place == Place::FileOrEitherProperty => {
                    if !last.contains_key(format!("zookeeper.{name}").as_str()) {
                        self.insert(name, row, text, place, key);
                    }
                }
                Some(row) if row.place == Place::FileOrProperty && !row.name.ends_with('*') => {
                    self.warn(format!("{place}: {key} has no effect: its name is zookeeper.{name}"))
                }
                Some(row) if row.place == Place::File && !row.name.ends_with('*') => {
                    self.warn(format!("{place}: {key} has no effect: it is read from zoo.cfg only"))
                }
                // Properties of the JVM and of other programs.
                Some(_) | None => {}
            }
        }
    }

    fn insert(&mut self, name: &str, row: &'static OptionRow, text: &str, origin: Origin, key: &str) {
        self.settings.insert(name.to_owned(), Setting { row, text: text.to_owned(), origin, property: Some(key.to_owned()) });
    }

    fn warn_unknown(&mut self, place: &Origin, key: &str, name: &str) {
        let meant = match table::nearest(name) {
            Some(nearest) => format!("; is {nearest} meant?"),
            None => String::new(),
        };
        self.warn(format!("{place}: {key} is not an option that ZooKeeper knows{meant}"));
    }

    /// Reads a zoo.cfg; gives its text.
    fn add_file(&mut self, path: &Path) -> Result<String, ConfigError> {
        if path.is_relative() && !path.starts_with(".") {
            self.info(format!("{} is a relative path; ./ in front says that it is meant", path.display()));
        }
        let (bytes, entries) = read_properties(path)?;
        if bytes.starts_with(b"\xef\xbb\xbf") {
            self.warn(format!(
                "{}:1: the file begins with a byte order mark, which Java takes for a part of the first key",
                path.display()
            ));
        }
        let mut last: BTreeMap<&str, (&str, usize)> = BTreeMap::new();
        for entry in &entries {
            let (key, text) = (trim(&entry.key), trim(&entry.value));
            if let Some((earlier, line)) = last.insert(key, (text, entry.line))
                && earlier != text
            {
                self.warn(format!("{}:{}: {key} was set before on line {line}; the last one wins", path.display(), entry.line));
            }
        }
        let dynamic = last.get("dynamicConfigFile").map(|&(text, _)| PathBuf::from(text));
        for (&key, &(text, line)) in &last {
            self.add_file_entry(key, text, Origin::File { path: path.to_owned(), line }, dynamic.is_some());
        }
        if let Some(dynamic) = dynamic {
            self.add_dynamic_file(&dynamic)?;
            self.dynamic_file = Some(dynamic);
            self.read_last_seen(path);
        }
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn add_file_entry(&mut self, key: &str, text: &str, origin: Origin, has_dynamic_file: bool) {
        if is_quorum_key(key) {
            if has_dynamic_file {
                self.problems.push(format!("{origin}: {key} must stand in the dynamicConfigFile"));
            } else {
                self.quorum_lines.insert(key.to_owned(), (text.to_owned(), origin));
            }
            return;
        }
        match table::find(key) {
            Some(row) if row.place == Place::File => {
                self.settings.insert(key.to_owned(), Setting { row, text: text.to_owned(), origin, property: None });
            }
            Some(row) if row.place != Place::BareProperty => {
                let property = format!("zookeeper.{key}");
                if let Some(earlier) = self.settings.get(key).filter(|earlier| earlier.text != text) {
                    let message = format!("{origin}: {key} overrides the one of {}", earlier.origin);
                    self.info(message);
                }
                self.raw.insert(property.clone(), text.to_owned());
                self.insert(key, row, text, origin, &property);
            }
            bare_or_unknown => {
                self.raw.insert(format!("zookeeper.{key}"), text.to_owned());
                let short = key.strip_prefix("zookeeper.").filter(|name| table::find(name).is_some());
                if bare_or_unknown.is_some() {
                    self.warn(format!("{origin}: {key} has no effect in zoo.cfg; give it as -D{key}=..."));
                } else if let Some(name) = short {
                    self.warn(format!("{origin}: {key} has no effect in zoo.cfg; its name there is {name}"));
                } else {
                    self.warn_unknown(&origin, key, key);
                }
            }
        }
    }

    /// The dynamic configuration: `server.N`, `group.N` and `weight.N` only.
    fn add_dynamic_file(&mut self, path: &Path) -> Result<(), ConfigError> {
        let (_, entries) = read_properties(path)?;
        for entry in entries {
            let (key, text) = (trim(&entry.key), trim(&entry.value));
            let origin = Origin::File { path: path.to_owned(), line: entry.line };
            if is_quorum_key(key) {
                self.quorum_lines.insert(key.to_owned(), (text.to_owned(), origin));
            } else {
                self.problems.push(format!("{origin}: {key} is not allowed in a dynamic configuration: only server.N, group.N, weight.N"));
            }
        }
        Ok(())
    }

    /// What was proposed before the last stop. A file that cannot be read does not keep Java from starting; one
    /// that makes no sense does.
    fn read_last_seen(&mut self, config_file: &Path) {
        let path = dynamic::beside(config_file, KeptConfigs::NEXT);
        if !path.exists() {
            return;
        }
        match read_properties(&path) {
            Ok((_, entries)) => {
                let pairs = entries.iter().map(|entry| (trim(&entry.key), trim(&entry.value)));
                match Config::from_entries(pairs) {
                    Ok(config) => self.last_seen = Some(config),
                    Err(error) => self.problems.push(format!("{}: {error}", path.display())),
                }
            }
            Err(error) => self.warn(format!("{error}; going on without it")),
        }
    }

    /// `<port> <dataDir> [tickTime] [maxClientCnxns]`. Java has no limit of connections for an address here.
    fn add_words(&mut self, words: &[String]) -> Result<(), ConfigError> {
        self.set("maxClientCnxns", "0", Origin::Default);
        for (name, text) in ["clientPort", "dataDir", "tickTime", "maxClientCnxns"].iter().zip(words) {
            let row = table::find(name).expect("a name of the table");
            if row.kind.parse(text).is_none() {
                return Err(args::usage(&format!("{name}={text} is wrong; allowed: {}", row.kind.allowed())));
            }
            self.set(name, text, Origin::Word);
        }
        Ok(())
    }

    /// Reads all values and puts the configuration together; `None`, or `problems` not empty, if something is
    /// wrong.
    fn build(&mut self, config_file: Option<PathBuf>, initial_config: Option<Secret>) -> Option<ServerConfig> {
        self.read_values();
        self.judge_statuses();
        if self.optional("dataDir").is_none() && !self.settings.contains_key("dataDir") {
            self.problems.push("dataDir is not set".to_owned());
        }
        let members = self.read_members();
        let is_distributed = members.as_ref().is_some_and(|members| self.is_distributed(members));
        let data_dir = self.path("dataDir");
        let my_id = match (&config_file, &data_dir) {
            (Some(_), Some(data_dir)) => self.read_my_id(data_dir),
            _ => None,
        };
        let own = members.as_ref().and_then(|members| members.members.get(&Sid(my_id?)));
        let client_port_is_static = own.is_none_or(|own| own.client.is_none());
        let (client_port, client_port_address) = self.client_address(own, my_id);
        if client_port.is_none() && !is_distributed && (members.is_some() || self.quorum_lines.is_empty()) {
            self.problems.push("clientPort is not set".to_owned());
        }
        let takes_clients = client_port.is_some();
        let ensemble = members
            .filter(|_| is_distributed)
            .and_then(|members| self.ensemble(members, my_id))
            .map(|ensemble| EnsembleConfig { takes_clients, client_port_is_static, ..ensemble });
        let (min_session_timeout_ms, max_session_timeout_ms) = self.session_timeouts();
        let snap_count = self.at_least("snapCount", 2);
        let autopurge_snap_retain_count = self.at_least("autopurge.snapRetainCount", 3);
        let jute_max_buffer_bytes = self.u32("jute.maxbuffer");
        let jute_max_buffer_extra_bytes = match self.optional("jute.maxbuffer.extrasize") {
            Some(_) => self.at_least("jute.maxbuffer.extrasize", 1024),
            None => jute_max_buffer_bytes.max(1024),
        };
        let snap_size_limit_kb = self.int("snapSizeLimitInKb");
        if snap_size_limit_kb == 0 {
            let origin = self.origin("snapSizeLimitInKb");
            self.problems.push(format!(
                "{origin}: snapSizeLimitInKb=0 is wrong (it stops Java with a division by zero); allowed: a \
                 positive number, or a negative one for no limit"
            ));
        }
        if self.int("maxCnxns") < 0 {
            self.warn(format!("{}: maxCnxns is negative; taken as 0, no limit", self.origin("maxCnxns")));
        }
        let threshold = self.int("largeRequestThreshold");
        if threshold == 0 || threshold < -1 {
            let origin = self.origin("largeRequestThreshold");
            self.warn(format!("{origin}: largeRequestThreshold={threshold} is not positive; taken as -1, off"));
        }
        let four_letter_whitelist = self.four_letter_whitelist();
        let super_digest = self.super_digest();
        let operator = self.operator();
        let data_dir = data_dir?;
        Some(ServerConfig {
            config_file,
            initial_config,
            my_id,
            data_log_dir: self.path("dataLogDir").unwrap_or_else(|| data_dir.clone()),
            data_dir,
            client_port: client_port.unwrap_or(0),
            client_port_address,
            client_port_listen_backlog: self.i32("clientPortListenBacklog"),
            client_tcp_keep_alive: self.bool("clientTcpKeepAlive"),
            tick_time_ms: self.u32("tickTime"),
            min_session_timeout_ms,
            max_session_timeout_ms,
            max_client_cnxns: self.i32("maxClientCnxns"),
            max_cnxns: self.positive("maxCnxns"),
            sessionless_cnxn_timeout_ms: self.u32("nio.sessionlessCnxnTimeout"),
            four_letter_whitelist,
            read_only_mode_enabled: self.bool("readonlymode.enabled"),
            reconfig_enabled: self.bool("reconfigEnabled"),
            jute_max_buffer_bytes,
            jute_max_buffer_extra_bytes,
            global_outstanding_limit: self.i32("globalOutstandingLimit"),
            request_throttle: RequestThrottle {
                max_requests: self.positive("request_throttle_max_requests"),
                stall_time_ms: self.u32("request_throttle_stall_time"),
                drop_stale: self.bool("request_throttle_drop_stale"),
                stale_connection_check: self.bool("request_stale_connection_check"),
                stale_latency_check: self.bool("request_stale_latency_check"),
                shutdown_timeout_ms: self.u32("request_throttler.shutdownTimeout"),
                throttled_op_wait_time_ms: self.positive("throttled_op_wait_time"),
            },
            connection_throttle: ConnectionThrottle {
                tokens: self.positive("connection_throttle_tokens"),
                fill_time_ms: self.u32("connection_throttle_fill_time"),
                fill_count: self.u32("connection_throttle_fill_count"),
                freeze_time_ms: self.positive("connection_throttle_freeze_time"),
                drop_increase: self.real("connection_throttle_drop_increase"),
                drop_decrease: self.real("connection_throttle_drop_decrease"),
                decrease_ratio: self.real("connection_throttle_decrease_ratio"),
                weight_enabled: self.bool("connection_throttle_weight_enabled"),
                global_session_weight: self.u32("connection_throttle_global_session_weight"),
                local_session_weight: self.u32("connection_throttle_local_session_weight"),
                renew_session_weight: self.u32("connection_throttle_renew_session_weight"),
            },
            large_requests: LargeRequests {
                threshold_bytes: self.positive("largeRequestThreshold"),
                max_bytes: self.u32("largeRequestMaxBytes"),
            },
            snap_count,
            snap_size_limit_bytes: bytes_of_kb(snap_size_limit_kb),
            autopurge_snap_retain_count,
            autopurge_interval_ms: self.positive_ms("autopurge.purgeInterval"),
            pre_alloc_bytes: bytes_of_kb(self.int("preAllocSize")).unwrap_or(0),
            txn_log_size_limit_bytes: bytes_of_kb(self.int("txnLogSizeLimitInKb")),
            force_sync: self.bool("forceSync"),
            fsync_warning_threshold_ms: self.int("fsync.warningthresholdms"),
            snapshot_compression: match self.text("snapshot.compression.method").as_str() {
                "gz" => SnapshotCompression::Gzip,
                "snappy" => SnapshotCompression::Snappy,
                _ => SnapshotCompression::None,
            },
            trust_empty_snapshot: self.bool("snapshot.trust.empty"),
            serialize_last_processed_zxid: self.bool("serializeLastProcessedZxid.enabled"),
            data_dir_autocreate: self.bool("datadir.autocreate"),
            db_autocreate: self.bool("db.autocreate"),
            digest_enabled: self.bool("digest.enabled"),
            close_session_txn_enabled: self.bool("closeSessionTxn.enabled"),
            extended_types_enabled: self.bool("extendedTypesEnabled"),
            emulate_353_ttl_nodes: self.bool("emulate353TTLNodes"),
            enforce_quota: self.bool("enforceQuota"),
            container_reaping: ContainerReaping {
                check_interval_ms: self.u32("znode.container.checkIntervalMs"),
                max_per_minute: self.u32("znode.container.maxPerMinute"),
                max_never_used_interval_ms: u64::try_from(self.int("znode.container.maxNeverUsedIntervalMs"))
                    .ok()
                    .filter(|&age_ms| age_ms > 0),
            },
            skip_acl: self.bool("skipACL"),
            eager_acl_check: self.bool("enableEagerACLCheck"),
            digest_auth_enabled: self.bool("DigestAuthenticationProvider.enabled"),
            digest_algorithm: self.text("DigestAuthenticationProvider.digestAlg"),
            super_digest,
            operator,
            ensemble,
            raw: EffectiveProperties(std::mem::take(&mut self.raw)),
        })
    }

    /// Every text becomes a value, or a problem.
    fn read_values(&mut self) {
        for (name, setting) in std::mem::take(&mut self.settings) {
            if let Some(value) = self.read_value(&name, &setting) {
                self.values.insert(name.clone(), value);
            }
            self.settings.insert(name, setting);
        }
    }

    fn read_value(&mut self, name: &str, setting: &Setting) -> Option<Value> {
        let Setting { row, text, origin, property } = setting;
        if text.is_empty() && row.place != Place::File {
            let read = row.kind.parse(text);
            return match row.kind {
                // Boolean.getBoolean and Boolean.parseBoolean: everything but "true" is false.
                Kind::Bool => {
                    self.warn(format!("{origin}: {name} is empty, which Java takes for false"));
                    Some(Value::Bool(false))
                }
                _ if read.is_some() => read,
                _ => {
                    self.warn(format!("{origin}: {name} is empty; its default stands"));
                    None
                }
            };
        }
        let head = value::before_comment(text);
        let mut kept = text.as_str();
        if row.kind == Kind::Path {
            match head {
                Some(head) if !head.is_empty() && !Path::new(kept).exists() && Path::new(head).exists() => {
                    kept = head;
                }
                Some(_) if !Path::new(kept).exists() => {
                    self.warn(format!("{origin}: {name}={kept}: a comment cannot stand behind a value; this is a path with # in it"))
                }
                _ => {}
            }
        } else if let (Some(head), true) = (head, row.kind.tail_is_comment()) {
            kept = head;
        }
        if kept.len() < text.len() {
            self.warn(format!(
                "{origin}: {name}={}: a comment cannot stand behind a value; read as {}",
                shown(name, text),
                shown(name, kept)
            ));
            if let Some(property) = property {
                self.raw.insert(property.clone(), kept.to_owned());
            }
        }
        let read = row.kind.parse(kept);
        if read.is_none() {
            let more = if name == "autopurge.purgeInterval" { "" } else { unit_hint(row) };
            self.problems.push(format!("{origin}: {name}={} is wrong; allowed: {}{more}", shown(name, text), row.kind.allowed()));
        }
        read
    }

    /// Stops what asks for protection, names what is not there yet.
    fn judge_statuses(&mut self) {
        let no_admin = self.values.get("admin.enableServer") == Some(&Value::Bool(false));
        let mut notices = Vec::new();
        for (name, setting) in &self.settings {
            let Some(value) = self.values.get(name) else {
                continue;
            };
            let Setting { row, text, origin, .. } = setting;
            let text = shown(name, text);
            match row.status {
                // Without an AdminServer nobody comes in there, protected or not.
                Status::Protective(why) if asks_for_protection(name, value) && !(no_admin && name.starts_with("admin.")) => {
                    self.problems.push(format!(
                        "{origin}: {name}={text} asks for protection that this version cannot give: {why} The \
                         server does not start without it"
                    ));
                }
                Status::KnownNotYet(why) if *value != Value::Bool(false) && row.kind.parse(row.default).as_ref() != Some(value) => {
                    notices.push(format!("{origin}: {name}={text} is not supported yet: {why}"));
                }
                Status::Ignored(why) => {
                    self.notices.push(Notice { level: Level::Info, message: format!("{origin}: {name}={text} has no effect: {why}") });
                }
                _ => {}
            }
        }
        notices.into_iter().for_each(|message| self.warn(message));
    }

    /// The members, groups and weights; `None`, with the reasons in `problems`, if a line is wrong.
    fn read_members(&mut self) -> Option<Config> {
        let several = self.bool("multiAddress.enabled");
        let mut problems = Vec::new();
        for (key, (text, origin)) in &self.quorum_lines {
            let Some(number) = key.strip_prefix("server.") else {
                continue;
            };
            match number.parse().map(|sid| Member::parse(Sid(sid), text)) {
                Ok(Ok(member)) if several || member.addresses.len() == 1 => {}
                Ok(Ok(_)) => problems.push(format!("{origin}: {key}={text}: several addresses need multiAddress.enabled=true")),
                Ok(Err(error)) => problems.push(format!("{origin}: {error}")),
                Err(_) => problems.push(format!("{origin}: {key}={text} is wrong; allowed: server.N, with a number")),
            }
        }
        if problems.is_empty() {
            match Config::from_entries(self.quorum_lines.iter().map(|(key, (text, _))| (key.as_str(), text.as_str()))) {
                Ok(config) => {
                    let version = self.dynamic_file.as_deref().map_or(0, ensemble::version_of);
                    return Some(Config { version, ..config });
                }
                // Groups and weights are judged together; the file is the last of them named.
                Err(error) => {
                    let origin = self.quorum_lines.iter().rfind(|(key, _)| !key.starts_with("server.")).map(|(_, (_, origin))| origin);
                    problems.push(origin.map_or_else(|| error.to_string(), |origin| format!("{origin}: {error}")));
                }
            }
        }
        self.problems.append(&mut problems);
        None
    }

    /// Java's way of telling an ensemble from a standalone server, with its checks of the list of members.
    fn is_distributed(&mut self, members: &Config) -> bool {
        let (voters, observers) = (members.voters().count(), members.observers().count());
        let standalone_enabled = self.bool("standaloneEnabled");
        if voters == 0 && !standalone_enabled {
            self.problems.push("standaloneEnabled=false without any server.N that votes".to_owned());
        } else if voters <= 1 && standalone_enabled && observers > 0 {
            self.problems.push(format!("{observers} observers without an ensemble that they could observe"));
        } else if voters == 1 && standalone_enabled {
            self.warn("only one server.N: it runs standalone, and the line is ignored".to_owned());
        } else if voters == 1 || voters == 2 {
            self.warn(format!("{voters} servers that vote: none of them may fail. At least 3 are needed"));
        } else if voters > 0 && voters % 2 == 0 {
            self.warn(format!("{voters} servers that vote tolerate no more failures than {}; an odd number is better", voters - 1));
        }
        voters > 1 || (voters == 1 && !standalone_enabled)
    }

    /// What a member is told; `None`, with the reasons in `problems`, if something is missing.
    fn ensemble(&mut self, config: Config, my_id: Option<i64>) -> Option<EnsembleConfig> {
        let init_limit = self.limit("initLimit");
        let sync_limit = self.limit("syncLimit");
        let Some(my_id) = my_id else {
            // A file that makes no sense has been named already.
            if !self.problems.iter().any(|problem| problem.contains("myid")) {
                self.problems.push("myid file is missing".to_owned());
            }
            return None;
        };
        let my_id = Sid(my_id);
        if !config.members.contains_key(&my_id) {
            self.stranger = Some(format!("My id {my_id} not in the peer list: {}", config.to_text().replace('\n', ", ")));
        }
        if !(1..=255).contains(&my_id.0) {
            self.warn(format!("myid {my_id} is not from 1 to 255: sessions of several servers may get the same number"));
        }
        let is_observer = config.observers().any(|sid| sid == my_id);
        let named = self.text("peerType");
        if (named == "observer") != is_observer {
            let role = if is_observer { "observer" } else { "participant" };
            self.warn(format!("peerType={named} does not fit the list of servers, by which this is a {role}; the list counts"));
        }
        let sync_enabled = match self.optional("observer.syncEnabled") {
            Some(Value::Bool(enabled)) => enabled,
            _ => self.bool("syncEnabled"),
        };
        let tick_time_ms = self.u32("tickTime");
        let election_port_bind_retry = u32::try_from(self.int("electionPortBindRetry")).unwrap_or_else(|_| {
            let origin = self.origin("electionPortBindRetry");
            self.warn(format!("{origin}: electionPortBindRetry is negative; taken as 3"));
            3
        });
        let oracle_path = self.path("oraclePath");
        if oracle_path.is_some() && config.is_hierarchical() {
            let origin = self.origin("oraclePath");
            self.warn(format!("{origin}: oraclePath is for two servers that vote; with groups it has no effect"));
        }
        Some(EnsembleConfig {
            my_id,
            config,
            last_seen: self.last_seen.take(),
            dynamic_config_file: self.dynamic_file.clone(),
            is_observer,
            takes_clients: true,
            client_port_is_static: true,
            init_limit,
            sync_limit,
            connect_to_learner_master_limit: self.positive("connectToLearnerMasterLimit").unwrap_or(0),
            standalone_enabled: self.bool("standaloneEnabled"),
            quorum_listen_on_all_ips: self.bool("quorumListenOnAllIPs"),
            election_port_bind_retry,
            cnx_timeout_ms: self.positive("cnxTimeout").unwrap_or(u32::MAX),
            quorum_cnxn_timeout_ms: self.positive("quorumCnxnTimeoutMs").unwrap_or_else(|| tick_time_ms.saturating_mul(sync_limit)),
            tcp_keep_alive: self.bool("tcpKeepAlive"),
            election: ElectionOptions {
                min_notification_ms: self.positive("fastleader.minNotificationInterval").unwrap_or(1).into(),
                max_notification_ms: self.positive("fastleader.maxNotificationInterval").unwrap_or(1).into(),
                ..ElectionOptions::default()
            },
            leader_serves: self.bool("leaderServes"),
            local_sessions_enabled: self.bool("localSessionsEnabled"),
            local_sessions_upgrading_enabled: self.bool("localSessionsUpgradingEnabled"),
            sync_enabled,
            observer_master_port: self.positive("observerMasterPort").and_then(|port| u16::try_from(port).ok()),
            observer_master_size_limit_bytes: self.positive("observerMaster.sizeLimit").unwrap_or(0),
            observer_election_delay_ms: u64::try_from(self.int("observer.election.DelayMs")).unwrap_or(0),
            observer_reconnect_delay_ms: u64::try_from(self.int("observer.reconnectDelayMs")).unwrap_or(0),
            commit_log_count: self.at_least("commitLogCount", 500),
            // As Java, 0 is no limit.
            snapshot_size_factor: match self.optional("snapshotSizeFactor") {
                Some(Value::Real(factor)) if factor != 0.0 => Some(factor),
                _ => None,
            },
            force_snapshot_sync: self.bool("forceSnapshotSync"),
            max_concurrent_snap_syncs: self.positive("leader.maxConcurrentSnapSyncs").unwrap_or(1),
            max_concurrent_diff_syncs: self.positive("leader.maxConcurrentDiffSyncs").unwrap_or(1),
            max_time_to_wait_for_epoch_ms: u32::try_from(self.int("leader.maxTimeToWaitForEpoch")).ok(),
            tracked_packets: if self.bool("messageTracker.Enabled") { self.positive("messageTracker.BufferSize") } else { None },
            leader_connect_delay_ms: self.positive("leaderConnectDelayDuringRetryMs").unwrap_or(0),
            multi_address_enabled: self.bool("multiAddress.enabled"),
            leader_no_delay: self.bool("leader.nodelay"),
            follower_no_delay: self.bool("follower.nodelay"),
            unused_counters: match self.optional("testingonly.initialZxid") {
                // As Java: the lower half.
                Some(Value::Int(zxid)) => zxid as u32,
                _ => 0,
            },
            oracle_path,
        })
    }

    /// initLimit or syncLimit, which a member must have.
    fn limit(&mut self, name: &'static str) -> u32 {
        let ticks = self.positive(name);
        if ticks.is_none() {
            self.problems.push(format!("{name} is not set"));
        }
        ticks.unwrap_or(1)
    }

    fn read_my_id(&mut self, data_dir: &Path) -> Option<i64> {
        let path = data_dir.join("myid");
        if !path.is_file() {
            return None;
        }
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) => {
                self.problems.push(format!("{} cannot be read: {error}", path.display()));
                return None;
            }
        };
        let first_line = text.split(['\n', '\r']).next().unwrap_or_default();
        let my_id = first_line.parse().ok();
        if my_id.is_none() {
            self.problems.push(format!("{}:1: {first_line:?} is wrong; allowed: a number, and nothing else on the line", path.display()));
        }
        my_id
    }

    /// The port and address for clients: of the file, or of this server's own line. No port: neither says one.
    fn client_address(&mut self, own: Option<&Member>, my_id: Option<i64>) -> (Option<u16>, Option<IpAddr>) {
        let port = self.optional_int("clientPort").and_then(|port| u16::try_from(port).ok());
        let set = self.settings.contains_key("clientPort");
        let host = self.optional("clientPortAddress").map(|_| self.text("clientPortAddress"));
        let address = host.and_then(|host| {
            let origin = self.origin("clientPortAddress");
            if !set {
                self.problems.push(format!("{origin}: clientPortAddress is set but clientPort is not"));
                return None;
            }
            self.resolve(&origin, "clientPortAddress", &host)
        });
        let Some(HostPort { host: own_host, port: own_port }) = own.and_then(|own| own.client.as_ref()) else {
            return (port, address);
        };
        let key = format!("server.{}", my_id.unwrap_or_default());
        let line = self.quorum_lines.iter().find(|(line, _)| **line == key);
        let origin = line.map_or(Origin::Default, |(_, (_, origin))| origin.clone());
        let own_address = self.resolve(&origin, &key, own_host);
        // What is left of Java's check: an address in the file must be the line's own.
        if port.is_some_and(|port| port != *own_port) || (address.is_some() && address != own_address) {
            let origin = self.origin("clientPort");
            self.problems.push(format!("{origin}: clientPort and clientPortAddress differ from those of this server's server.N line"));
        }
        (Some(*own_port), own_address)
    }

    /// Looks a host name up; of several addresses the first IPv4 one, as Java does. The wildcard becomes
    /// `None`.
    fn resolve(&mut self, origin: &Origin, name: &str, host: &str) -> Option<IpAddr> {
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let found: Vec<IpAddr> = match (bare, 0).to_socket_addrs() {
            Ok(addresses) => addresses.map(|address| address.ip()).collect(),
            Err(_) => Vec::new(),
        };
        let chosen = found.iter().find(|address| address.is_ipv4()).or(found.first()).copied();
        if chosen.is_none() {
            self.problems.push(format!("{origin}: {name}: the host {host} has no address"));
        }
        chosen.filter(|address| !address.is_unspecified())
    }

    /// Both limits with their defaults of 2 and 20 ticks.
    fn session_timeouts(&mut self) -> (u32, u32) {
        let tick = self.int("tickTime");
        let min = Some(self.int("minSessionTimeout")).filter(|&ms| ms != -1).unwrap_or(tick * 2);
        let max = Some(self.int("maxSessionTimeout")).filter(|&ms| ms != -1).unwrap_or(tick * 20);
        if min > max {
            self.problems.push(format!("minSessionTimeout ({min} ms) must not be larger than maxSessionTimeout ({max} ms)"));
        }
        (clamp(min), clamp(max))
    }

    fn four_letter_whitelist(&mut self) -> FourLetterWhitelist {
        const KNOWN: [&str; 19] = [
            "busy", "conf", "cons", "crst", "dirs", "dump", "envi", "gtmk", "hash", "isro", "mntr", "ruok", "srst", "srvr", "stat", "stmk",
            "wchc", "wchp", "wchs",
        ];
        let listed = match self.optional("4lw.commands.whitelist") {
            Some(Value::List(words)) => words,
            _ => Vec::new(),
        };
        // Java stops at the star, and so takes no word behind it; all are in it anyhow.
        let all = listed.iter().any(|word| word == "*");
        let mut words: BTreeSet<String> = listed.into_iter().filter(|word| word != "*").collect();
        for word in words.iter().filter(|word| !KNOWN.contains(&word.as_str())).cloned().collect::<Vec<_>>() {
            let origin = self.origin("4lw.commands.whitelist");
            self.warn(format!("{origin}: 4lw.commands.whitelist: there is no four-letter word {word}"));
        }
        words.insert("srvr".to_owned());
        if self.bool("readonlymode.enabled") {
            words.insert("isro".to_owned());
        }
        FourLetterWhitelist { all, words }
    }

    fn super_digest(&mut self) -> Option<Secret> {
        const NAME: &str = "DigestAuthenticationProvider.superDigest";
        self.optional(NAME)?;
        let digest = self.text(NAME);
        if !digest.contains(':') {
            let origin = self.origin(NAME);
            self.warn(format!("{origin}: {NAME} is not user:hash, so nobody can be super"));
        }
        Some(Secret(digest)).filter(|digest| !digest.0.is_empty())
    }

    /// What the doors for operators are told.
    fn operator(&mut self) -> OperatorConfig {
        let admin = self.bool("admin.enableServer").then(|| self.admin());
        let log_dir = PathBuf::from(self.text("log.dir"));
        let audit_file = self.optional("auditlog.file").map(|_| log_dir.join(self.text("auditlog.file")));
        OperatorConfig {
            admin,
            metrics: self.metrics_provider(),
            audit: self.bool("audit.enable"),
            audit_file,
            log_file: log_dir.join(self.text("log.file")),
            log_file_bytes: self.file_size("log.maxfilesize"),
            log_files_kept: self.u32("log.maxbackupindex"),
            log_json: self.text("oxkeeper.log.format") == "json",
            slow_request_ms: self.positive("oxkeeper.slowRequestMs"),
            busy_paths: self.bool("oxkeeper.busyPaths.enabled"),
        }
    }

    fn admin(&mut self) -> AdminConfig {
        let written = self.text("admin.commandURL");
        let command_url = written.trim_end_matches('/').to_owned();
        if !command_url.starts_with('/') || command_url.contains(['?', '#', '%', '*']) {
            let origin = self.origin("admin.commandURL");
            self.problems.push(format!("{origin}: admin.commandURL={written} is wrong; allowed: a path such as /commands"));
        }
        AdminConfig {
            address: self.host("admin.serverAddress"),
            port: u16::try_from(self.int("admin.serverPort")).expect("a row whose range is that of ports"),
            // Java takes 0 and less for no limit; nobody may keep a connection for ever here.
            idle_timeout_ms: match clamp(self.int("admin.idleTimeout")) {
                0 => 30_000,
                timeout_ms => timeout_ms,
            },
            command_url,
            rate_limiter_interval: u64::try_from(self.int("admin.rateLimiterIntervalInMS")).unwrap_or(0),
            snapshot_enabled: self.bool("admin.snapshot.enabled"),
            restore_enabled: self.bool("admin.restore.enabled"),
            console_enabled: self.bool("oxkeeper.console.enabled"),
            console_edit: self.bool("oxkeeper.console.edit"),
        }
    }

    fn metrics_provider(&mut self) -> MetricsProvider {
        let class = self.text("metricsProvider.className");
        match class.as_str() {
            "org.apache.zookeeper.metrics.impl.DefaultMetricsProvider" => MetricsProvider::Default,
            "org.apache.zookeeper.metrics.impl.NullMetricsProvider" => MetricsProvider::Null,
            "org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider" => MetricsProvider::Prometheus {
                address: self.host("metricsProvider.httpHost"),
                port: u16::try_from(self.int("metricsProvider.httpPort")).expect("a row whose range is that of ports"),
                process_info: self.bool("metricsProvider.exportJvmInfo"),
            },
            _ => {
                let origin = self.origin("metricsProvider.className");
                self.problems.push(format!(
                    "{origin}: there is no metricsProvider.className={class}; allowed: DefaultMetricsProvider and NullMetricsProvider \
                     of org.apache.zookeeper.metrics.impl, org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider"
                ));
                MetricsProvider::Default
            }
        }
    }

    fn host(&mut self, name: &'static str) -> Option<IpAddr> {
        let (origin, host) = (self.origin(name), self.text(name));
        self.resolve(&origin, name, &host)
    }

    /// As logback reads a size: a number of bytes, or with KB, MB or GB.
    fn file_size(&mut self, name: &'static str) -> u64 {
        let text = self.text(name);
        let upper = text.to_ascii_uppercase();
        let (digits, factor) = [("KB", 1u64 << 10), ("MB", 1 << 20), ("GB", 1 << 30)]
            .into_iter()
            .find_map(|(unit, factor)| Some((upper.strip_suffix(unit)?.trim_end(), factor)))
            .unwrap_or((&upper, 1));
        let bytes = digits.parse::<u64>().ok().and_then(|count| count.checked_mul(factor)).filter(|bytes| *bytes > 0);
        bytes.unwrap_or_else(|| {
            let origin = self.origin(name);
            self.problems.push(format!("{origin}: {name}={text} is wrong; allowed: a number of bytes, or with KB, MB or GB"));
            1
        })
    }

    /// A value that Java raises to a smallest one with a warning.
    fn at_least(&mut self, name: &'static str, smallest: u32) -> u32 {
        let value = self.int(name);
        if value < i64::from(smallest) {
            let origin = self.origin(name);
            self.warn(format!("{origin}: {name}={value} is too small; raised to {smallest}"));
        }
        clamp(value).max(smallest)
    }

    fn origin(&self, name: &str) -> Origin {
        self.settings.get(name).map_or(Origin::Default, |setting| setting.origin.clone())
    }

    /// What was set.
    fn optional(&self, name: &'static str) -> Option<Value> {
        self.values.get(name).cloned()
    }

    fn optional_int(&self, name: &'static str) -> Option<i64> {
        match self.optional(name) {
            Some(Value::Int(value)) => Some(value),
            _ => None,
        }
    }

    /// What was set, or the default of the table.
    fn value(&self, name: &'static str) -> Value {
        self.optional(name).unwrap_or_else(|| {
            let row = table::find(name).expect("an option of the table");
            row.kind.parse(row.default).expect("a default that its own row allows")
        })
    }

    fn int(&self, name: &'static str) -> i64 {
        match self.value(name) {
            Value::Int(value) => value,
            other => unreachable!("{name} is a number, not {other:?}"),
        }
    }

    fn i32(&self, name: &'static str) -> i32 {
        i32::try_from(self.int(name)).expect("a row whose range is Java's int")
    }

    fn u32(&self, name: &'static str) -> u32 {
        u32::try_from(self.int(name)).expect("a row whose range begins at 0")
    }

    /// A number above 0; 0 and less mean off.
    fn positive(&self, name: &'static str) -> Option<u32> {
        Some(clamp(self.int(name))).filter(|&value| value > 0)
    }

    fn positive_ms(&self, name: &'static str) -> Option<u64> {
        match self.value(name) {
            Value::DurationMs(ms) => u64::try_from(ms).ok().filter(|&ms| ms > 0),
            other => unreachable!("{name} is a duration, not {other:?}"),
        }
    }

    fn real(&self, name: &'static str) -> f64 {
        match self.value(name) {
            Value::Real(value) => value,
            other => unreachable!("{name} is a fraction, not {other:?}"),
        }
    }

    fn bool(&self, name: &'static str) -> bool {
        match self.value(name) {
            Value::Bool(value) => value,
            other => unreachable!("{name} is a boolean, not {other:?}"),
        }
    }

    fn text(&self, name: &'static str) -> String {
        match self.value(name) {
            Value::Text(value) => value,
            other => unreachable!("{name} is a text, not {other:?}"),
        }
    }

    fn path(&self, name: &'static str) -> Option<PathBuf> {
        self.optional(name).map(|_| PathBuf::from(self.text(name)))
    }
}

/// Whether a key is one of the ensemble's membership.
fn is_quorum_key(key: &str) -> bool {
    ["server.", "group", "weight"].iter().any(|beginning| key.starts_with(beginning))
}

/// The file's bytes and its entries.
fn read_properties(path: &Path) -> Result<(Vec<u8>, Vec<properties::Entry>), ConfigError> {
    let refuse = |message: String| ConfigError { exit_code: EXIT_INVALID_INVOCATION, message };
    let bytes = std::fs::read(path).map_err(|error| refuse(format!("{} cannot be read: {error}", path.display())))?;
    let entries = properties::parse(&bytes).map_err(|error| refuse(format!("{}:{}: {error}", path.display(), error.line)))?;
    Ok((bytes, entries))
}

/// Whether this value of a protective option asks for anything.
fn asks_for_protection(name: &str, value: &Value) -> bool {
    const BUILT_IN: [&str; 2] =
        ["org.apache.zookeeper.server.auth.DigestAuthenticationProvider", "org.apache.zookeeper.server.auth.IPAuthenticationProvider"];
    match value {
        Value::Bool(asked) => *asked,
        Value::List(words) => !words.is_empty(),
        Value::Text(class) if name.starts_with("authProvider.") => !BUILT_IN.contains(&class.as_str()),
        Value::Text(text) => !text.is_empty() && text != "none",
        // A timeout or a size protects nothing; a TLS port does.
        Value::Int(port) => name == "secureClientPort" || (name == "metricsProvider.httpsPort" && *port > 0),
        Value::Real(_) | Value::DurationMs(_) => false,
    }
}

fn unit_hint(row: &OptionRow) -> &'static str {
    match row.unit {
        "ms" => " (milliseconds)",
        "bytes" => " (bytes)",
        "KB" => " (kilobytes)",
        "ticks" => " (ticks)",
        _ => "",
    }
}

/// Kilobytes as bytes; 0 and less mean off.
fn bytes_of_kb(kilobytes: i64) -> Option<u64> {
    u64::try_from(kilobytes).ok().filter(|&kilobytes| kilobytes > 0).map(|kb| kb.saturating_mul(1024))
}

/// What does not fit becomes the nearest that does; the table's ranges let nothing larger through.
fn clamp(value: i64) -> u32 {
    u32::try_from(value.max(0)).unwrap_or(u32::MAX)
}
