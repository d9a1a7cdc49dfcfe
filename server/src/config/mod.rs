//! Configuration of the server: zoo.cfg, properties and the command line become one typed
//! [`ServerConfig`].
//!
//! [`args`] reads the command line, [`properties`] the file's text, [`table`] knows the options, [`value`]
//! their values, [`ensemble`] what members of an ensemble are told, [`dynamic`] keeps what changes while they run. Here they are put together by Java's rules: a key of zoo.cfg
//! that is no option of its own there becomes the property `zookeeper.<key>` and overrides `-D`. Errors are
//! values with the exit code that Java has; what is only to be noticed comes back as [`Notice`]s, since the log
//! starts later. Nothing here opens a socket or touches the data.

pub mod args;
mod build;
pub mod dynamic;
pub mod ensemble;
mod operator;
pub mod properties;
pub mod table;
pub mod value;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

pub use build::load;
pub use ensemble::EnsembleConfig;
pub use operator::{AdminConfig, MetricsProvider, OperatorConfig};

/// Exit code for what no other code is for (Java's `UNEXPECTED_ERROR`): a server that is not among its own members.
pub const EXIT_UNEXPECTED_ERROR: i32 = 1;
/// Exit code for a wrong invocation or configuration (Java's `INVALID_INVOCATION`).
pub const EXIT_INVALID_INVOCATION: i32 = 2;
/// Exit code for a data directory that cannot be used (Java's `UNABLE_TO_ACCESS_DATADIR`).
pub const EXIT_UNABLE_TO_ACCESS_DATADIR: i32 = 3;
/// Exit code for an election port that cannot be bound (Java's `UNABLE_TO_BIND_QUORUM_PORT`).
pub const EXIT_UNABLE_TO_BIND_QUORUM_PORT: i32 = 14;

/// Why the server does not start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The exit code of the process.
    pub exit_code: i32,
    /// One line for each thing that is wrong; no secrets in it.
    pub message: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for ConfigError {}

/// Something to log about the configuration once the log is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// How loud.
    pub level: log::Level,
    /// One line; no secrets in it.
    pub message: String,
}

impl Notice {
    /// Logs it.
    pub fn log(&self) {
        log::log!(self.level, "{}", self.message);
    }
}

/// A configuration that was read, and what is to be logged about it.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: ServerConfig,
    /// To be logged as soon as the log is there.
    pub notices: Vec<Notice>,
}

/// A text that `Debug` does not show.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The text itself.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("***")
    }
}

/// The properties in force that were set, by the name that `-D` has for them. `Debug` and
/// [`Self::shown`] hide secrets.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct EffectiveProperties(pub BTreeMap<String, String>);

impl EffectiveProperties {
    /// Name and value of each, secrets as `***`: for logs and the AdminServer.
    pub fn shown(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), shown(key, value)))
    }
}

impl fmt::Debug for EffectiveProperties {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_map().entries(self.shown()).finish()
    }
}

/// The value as it may be shown: `***` if the name is one of a secret (CVE-2026-24308).
#[must_use]
pub fn shown<'a>(key: &str, value: &'a str) -> &'a str {
    if is_secret(key) { "***" } else { value }
}

/// Whether an option of this name, known or not, holds a secret.
#[must_use]
pub fn is_secret(key: &str) -> bool {
    let name = key.strip_prefix("zookeeper.").unwrap_or(key);
    if table::find(name).is_some_and(|row| matches!(row.kind, value::Kind::Secret)) {
        return true;
    }
    let lower = name.to_ascii_lowercase();
    !lower.ends_with("passwordpath")
        && ["password", "passwd", "passphrase", "secret", "superdigest", "credential"].iter().any(|word| lower.contains(word))
}

/// Which four-letter words are answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FourLetterWhitelist {
    /// `*`: every one that exists.
    pub all: bool,
    /// The words listed, `srvr`, and `isro` in read-only mode.
    pub words: BTreeSet<String>,
}

impl FourLetterWhitelist {
    /// Whether this word is answered, if it exists.
    #[must_use]
    pub fn allows(&self, word: &str) -> bool {
        self.all || self.words.contains(word)
    }
}

/// The request throttler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestThrottle {
    /// Requests in work beyond which new ones wait; `None`: off.
    pub max_requests: Option<u32>,
    /// Longest time of one wait.
    pub stall_time_ms: u32,
    /// Drop requests that are stale when their turn comes.
    pub drop_stale: bool,
    /// A request is stale if its connection is closed.
    pub stale_connection_check: bool,
    /// A request is stale if it is older than its session's timeout.
    pub stale_latency_check: bool,
    /// Time to finish requests in work when the server stops.
    pub shutdown_timeout_ms: u32,
    /// Requests that waited longer are answered with ThrottledOp; `None`: off.
    pub throttled_op_wait_time_ms: Option<u32>,
}

/// The throttle of new connections (Java's `BlueThrottle`).
#[derive(Debug, Clone, PartialEq)]
pub struct ConnectionThrottle {
    /// Size of the token bucket; `None`: off.
    pub tokens: Option<u32>,
    /// Time between refills.
    pub fill_time_ms: u32,
    /// Tokens of one refill.
    pub fill_count: u32,
    /// Time between changes of the drop probability; `None`: off.
    pub freeze_time_ms: Option<u32>,
    /// Step upwards of that probability.
    pub drop_increase: f64,
    /// Step downwards.
    pub drop_decrease: f64,
    /// Share of free tokens above which it goes downwards.
    pub decrease_ratio: f64,
    /// Connections cost tokens by their kind.
    pub weight_enabled: bool,
    /// Tokens for a new session.
    pub global_session_weight: u32,
    /// Tokens for a new local session.
    pub local_session_weight: u32,
    /// Tokens for a session that comes back.
    pub renew_session_weight: u32,
}

/// The budget of large requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LargeRequests {
    /// Requests of more bytes count as large; `None`: off.
    pub threshold_bytes: Option<u32>,
    /// Most bytes of large requests in work.
    pub max_bytes: u32,
}

/// Reaping of empty containers and outlived TTL nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerReaping {
    /// Time between looks.
    pub check_interval_ms: u32,
    /// Most nodes deleted in a minute.
    pub max_per_minute: u32,
    /// Age at which a container that never had a child goes; `None`: never.
    pub max_never_used_interval_ms: Option<u64>,
}

/// Compression of snapshots that are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SnapshotCompression {
    /// `snapshot.<zxid>`.
    None,
    /// `snapshot.<zxid>.gz`.
    Gzip,
    /// `snapshot.<zxid>.snappy`.
    Snappy,
}

/// Everything that a server is told. Each field is an option of [`table::TABLE`]; what it does is
/// said there.
#[derive(Debug, Clone, PartialEq)]
pub struct ServerConfig {
    /// The zoo.cfg that was read.
    pub config_file: Option<PathBuf>,
    /// Its text, for the AdminServer's initial_configuration; it may hold passwords.
    pub initial_config: Option<Secret>,
    /// The number in `<dataDir>/myid`, if that file is there.
    pub my_id: Option<i64>,
    /// dataDir: the directory that holds `version-2` with snapshots.
    pub data_dir: PathBuf,
    /// dataLogDir: the directory that holds `version-2` with transaction logs.
    pub data_log_dir: PathBuf,
    /// clientPort; 0 means any free one.
    pub client_port: u16,
    /// clientPortAddress; `None` means all addresses.
    pub client_port_address: Option<IpAddr>,
    /// clientPortListenBacklog; -1 if not set.
    pub client_port_listen_backlog: i32,
    /// clientTcpKeepAlive.
    pub client_tcp_keep_alive: bool,
    /// tickTime, at least 1.
    pub tick_time_ms: u32,
    /// minSessionTimeout, with the default worked out.
    pub min_session_timeout_ms: u32,
    /// maxSessionTimeout, with the default worked out; not below the minimum.
    pub max_session_timeout_ms: u32,
    /// maxClientCnxns as written (`conf` prints it); 0 or less means no limit.
    pub max_client_cnxns: i32,
    /// maxCnxns; `None` means no limit.
    pub max_cnxns: Option<u32>,
    /// nio.sessionlessCnxnTimeout.
    pub sessionless_cnxn_timeout_ms: u32,
    /// 4lw.commands.whitelist.
    pub four_letter_whitelist: FourLetterWhitelist,
    /// readonlymode.enabled.
    pub read_only_mode_enabled: bool,
    /// reconfigEnabled.
    pub reconfig_enabled: bool,
    /// jute.maxbuffer.
    pub jute_max_buffer_bytes: u32,
    /// jute.maxbuffer.extrasize, at least 1024.
    pub jute_max_buffer_extra_bytes: u32,
    /// globalOutstandingLimit.
    pub global_outstanding_limit: i32,
    /// request_throttle_* and their like.
    pub request_throttle: RequestThrottle,
    /// connection_throttle_*.
    pub connection_throttle: ConnectionThrottle,
    /// largeRequest*.
    pub large_requests: LargeRequests,
    /// snapCount, at least 2.
    pub snap_count: u32,
    /// snapSizeLimitInKb in bytes; `None`: off.
    pub snap_size_limit_bytes: Option<u64>,
    /// autopurge.snapRetainCount, at least 3.
    pub autopurge_snap_retain_count: u32,
    /// autopurge.purgeInterval; `None`: never.
    pub autopurge_interval_ms: Option<u64>,
    /// preAllocSize in bytes; 0: off.
    pub pre_alloc_bytes: u64,
    /// txnLogSizeLimitInKb in bytes; `None`: off.
    pub txn_log_size_limit_bytes: Option<u64>,
    /// forceSync.
    pub force_sync: bool,
    /// fsync.warningthresholdms.
    pub fsync_warning_threshold_ms: i64,
    /// snapshot.compression.method.
    pub snapshot_compression: SnapshotCompression,
    /// snapshot.trust.empty.
    pub trust_empty_snapshot: bool,
    /// serializeLastProcessedZxid.enabled.
    pub serialize_last_processed_zxid: bool,
    /// datadir.autocreate.
    pub data_dir_autocreate: bool,
    /// db.autocreate.
    pub db_autocreate: bool,
    /// digest.enabled.
    pub digest_enabled: bool,
    /// closeSessionTxn.enabled.
    pub close_session_txn_enabled: bool,
    /// extendedTypesEnabled.
    pub extended_types_enabled: bool,
    /// emulate353TTLNodes.
    pub emulate_353_ttl_nodes: bool,
    /// enforceQuota.
    pub enforce_quota: bool,
    /// znode.container.*.
    pub container_reaping: ContainerReaping,
    /// skipACL.
    pub skip_acl: bool,
    /// enableEagerACLCheck.
    pub eager_acl_check: bool,
    /// DigestAuthenticationProvider.enabled.
    pub digest_auth_enabled: bool,
    /// DigestAuthenticationProvider.digestAlg, in the spelling of the table.
    pub digest_algorithm: String,
    /// DigestAuthenticationProvider.superDigest.
    pub super_digest: Option<Secret>,
    /// Doors for operators.
    pub operator: OperatorConfig,
    /// What a member of an ensemble is told; `None`: this server is standalone.
    pub ensemble: Option<EnsembleConfig>,
    /// Every property that was set.
    pub raw: EffectiveProperties,
}

impl ServerConfig {
    /// `<dataDir>/version-2`, which holds snapshots.
    #[must_use]
    pub fn snap_dir(&self) -> PathBuf {
        self.data_dir.join("version-2")
    }

    /// `<dataLogDir>/version-2`, which holds transaction logs.
    #[must_use]
    pub fn log_dir(&self) -> PathBuf {
        self.data_log_dir.join("version-2")
    }

    /// Makes the directories if that is allowed, and looks whether they can be used: Java's checks before it
    /// opens its files.
    ///
    /// # Errors
    /// Exit code 3: a directory is missing and may not or cannot be made, cannot be written to, or, with two
    /// directories, holds the other kind of files.
    pub fn prepare_directories(&self) -> Result<(), ConfigError> {
        let refuse = |message: String| ConfigError {
            exit_code: EXIT_UNABLE_TO_ACCESS_DATADIR,
            message: format!("Unable to access datadir: {message}"),
        };
        for (option, directory) in [("dataLogDir", self.log_dir()), ("dataDir", self.snap_dir())] {
            let shown = directory.display();
            if !directory.exists() {
                if !self.data_dir_autocreate {
                    return Err(refuse(format!("{shown} ({option}) is missing, and zookeeper.datadir.autocreate is false")));
                }
                std::fs::create_dir_all(&directory).map_err(|error| refuse(format!("{shown} ({option}) cannot be made: {error}")))?;
            }
            if !directory.is_dir() {
                return Err(refuse(format!("{shown} ({option}) is not a directory")));
            }
            probe_writable(&directory).map_err(|error| refuse(format!("{shown} ({option}) cannot be written to: {error}")))?;
        }
        if self.data_dir != self.data_log_dir {
            for (directory, beginning, kind, option) in
                [(self.log_dir(), "snapshot.", "snapshots", "dataLogDir"), (self.snap_dir(), "log.", "transaction logs", "dataDir")]
            {
                if holds(&directory, beginning).map_err(|error| refuse(format!("{} cannot be read: {error}", directory.display())))? {
                    return Err(refuse(format!(
                        "{} ({option}) holds {kind}; dataDir and dataLogDir may have been changed: move the \
                         files",
                        directory.display()
                    )));
                }
            }
        }
        Ok(())
    }
}

/// Whether files can be made here. Only a denial counts: a full disk must not keep a server from starting and
/// serving reads.
fn probe_writable(directory: &Path) -> io::Result<()> {
    let probe = directory.join(format!(".oxkeeper-probe.{}", std::process::id()));
    match std::fs::File::create(&probe) {
        Ok(_) => {
            // Best effort: an empty file of this name disturbs nobody.
            let _ = std::fs::remove_file(&probe);
            Ok(())
        }
        Err(error) if matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem) => Err(error),
        Err(_) => Ok(()),
    }
}

fn holds(directory: &Path, beginning: &str) -> io::Result<bool> {
    for file in std::fs::read_dir(directory)? {
        if file?.file_name().to_string_lossy().starts_with(beginning) {
            return Ok(true);
        }
    }
    Ok(false)
}
