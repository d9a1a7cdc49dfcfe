//! What an operator's doors are told: the AdminServer, the metrics provider, the log and the audit log.
//! How the texts are read is in [`super::build`].

use std::net::IpAddr;
use std::path::PathBuf;

/// Everything for operators. Each field is an option of [`super::table::TABLE`].
#[derive(Debug, Clone, PartialEq)]
pub struct OperatorConfig {
    /// admin.enableServer with the rest of `admin.*`; `None`: there is no AdminServer.
    pub admin: Option<AdminConfig>,
    /// metricsProvider.*.
    pub metrics: MetricsProvider,
    /// audit.enable.
    pub audit: bool,
    /// auditlog.file in log.dir; `None`: the audit log goes into the log.
    pub audit_file: Option<PathBuf>,
    /// log.file in log.dir.
    pub log_file: PathBuf,
    /// log.maxfilesize.
    pub log_file_bytes: u64,
    /// log.maxbackupindex.
    pub log_files_kept: u32,
    /// oxkeeper.log.format is json.
    pub log_json: bool,
    /// oxkeeper.slowRequestMs; `None`: off.
    pub slow_request_ms: Option<u32>,
    /// oxkeeper.busyPaths.enabled.
    pub busy_paths: bool,
}

/// The AdminServer.
#[derive(Debug, Clone, PartialEq)]
pub struct AdminConfig {
    /// admin.serverAddress; `None` means all addresses.
    pub address: Option<IpAddr>,
    /// admin.serverPort; 0 means any free one.
    pub port: u16,
    /// admin.idleTimeout, at least 1.
    pub idle_timeout_ms: u32,
    /// admin.commandURL: begins with a slash and does not end with one.
    pub command_url: String,
    /// admin.rateLimiterIntervalInMS, as it is written.
    pub rate_limiter_interval: u64,
    /// admin.snapshot.enabled.
    pub snapshot_enabled: bool,
    /// admin.restore.enabled.
    pub restore_enabled: bool,
    /// oxkeeper.console.enabled.
    pub console_enabled: bool,
    /// oxkeeper.console.edit.
    pub console_edit: bool,
}

/// metricsProvider.className and the options of that provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MetricsProvider {
    /// Metrics are shown by `mntr` and the AdminServer.
    Default,
    /// No metrics are shown.
    Null,
    /// They are served to Prometheus, too, and `mntr` spells them as that does.
    Prometheus {
        /// metricsProvider.httpHost; `None` means all addresses.
        address: Option<IpAddr>,
        /// metricsProvider.httpPort; 0 means any free one.
        port: u16,
        /// metricsProvider.exportJvmInfo.
        process_info: bool,
    },
}
