//! The plain data that an answer is made of. The runtime gathers what [`super::Command::needs`] names.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use oxkeeper_proto::{SessionId, Zxid};
pub use oxkeeper_replica::java_address::JavaAddress;
use oxkeeper_zab::{MemberRole, Peer};

use super::zone::Zone;
use crate::config::ServerConfig;
use crate::metrics::{Family, GaugeValues, PathRate, Reading};

/// The trace mask of a fresh server: client requests, server packets, sessions, warnings.
pub const TRACE_MASK_DEFAULT: i64 = 0x132;

/// All that a word may print.
#[derive(Default)]
pub struct ServerView<'a> {
    /// Whether the server answers requests; if not, most words print one line that says so.
    pub serving: bool,
    /// What [`crate::version::full`] gives.
    pub version: &'a str,
    /// The role.
    pub mode: Mode,
    /// For `srvr` and `stat`.
    pub statistics: Statistics,
    /// For `cons` and `stat`, in any order.
    pub connections: Vec<ConnectionView>,
    /// For `conf`.
    pub configuration: ConfigurationView,
    /// Bytes of the snapshot directory's files, for `conf` and `dirs`.
    pub data_dir_size_bytes: u64,
    /// Bytes of the log directory's files; equal to the other when it is the same directory.
    pub log_dir_size_bytes: u64,
    /// For `dump`.
    pub sessions: SessionsView,
    /// For `dump`: each session followed by its paths.
    pub ephemerals: Option<&'a dyn Listing>,
    /// For `dump`: sessions that have ephemerals.
    pub ephemeral_sessions: usize,
    /// For `dump`: connections by the time at which they are closed if silent.
    pub connection_buckets: Vec<ConnectionBucket>,
    /// For `dump`: the zone in which dates are printed.
    pub zone: Option<&'a Zone>,
    /// For `hash`: oldest first.
    pub digests: Vec<DigestView>,
    /// For `wchs`.
    pub watch_summary: WatchSummary,
    /// For `wchp`: each path followed by its sessions.
    pub watches_by_path: Option<&'a dyn Listing>,
    /// For `wchc`: each session followed by its paths.
    pub watches_by_session: Option<&'a dyn Listing>,
    /// For `envi`: what [`super::environment::gather`] gives.
    pub environment: Vec<(&'static str, String)>,
    /// For `busy`: the busiest first.
    pub busy_paths: Vec<PathRate>,
    /// For `gtmk` and, already changed, for `stmk`.
    pub trace_mask: i64,
    /// For `mntr`.
    pub metrics: Option<MetricsView<'a>>,
}

/// The role, in the words of `srvr` and `mntr`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Alone.
    #[default]
    Standalone,
    /// Leads an ensemble.
    Leader,
    /// Follows and votes.
    Follower,
    /// Follows without a vote.
    Observer,
    /// Without quorum, for read-only clients.
    ReadOnly,
}

impl Mode {
    /// The word after `Mode: `.
    pub const fn word(self) -> &'static str {
        match self {
            Mode::Standalone => "standalone",
            Mode::Leader => "leader",
            Mode::Follower => "follower",
            Mode::Observer => "observer",
            Mode::ReadOnly => "read-only",
        }
    }
}

/// What `srvr` prints.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Statistics {
    /// Least ms of a request since the last reset, 0 before the first.
    pub latency_min_ms: i64,
    /// Mean ms, rounded as [`crate::metrics::SummaryReading::average`] does.
    pub latency_average_ms: f64,
    /// Greatest ms.
    pub latency_max_ms: i64,
    /// Packets received, this word included.
    pub packets_received: u64,
    /// Packets sent.
    pub packets_sent: u64,
    /// Open connections, this one included.
    pub connections: usize,
    /// Requests admitted and not answered.
    pub outstanding: u64,
    /// The last transaction applied.
    pub zxid: Zxid,
    /// Znodes.
    pub nodes: u64,
    /// On a leader: bytes of the last, smallest, largest proposal, -1 before the first.
    pub proposal_sizes: [i64; 3],
}

impl Statistics {
    /// With what the metrics know filled in.
    pub fn from_reading(reading: &Reading) -> Self {
        Self {
            latency_min_ms: reading.latency.min,
            latency_average_ms: reading.latency.average(),
            latency_max_ms: reading.latency.max,
            packets_received: reading.packets_received,
            packets_sent: reading.packets_sent,
            proposal_sizes: [-1; 3],
            ..Self::default()
        }
    }
}

/// One connection.
#[derive(Clone, Debug)]
pub struct ConnectionView {
    /// The client's end.
    pub address: SocketAddr,
    /// What Java's selector waits for: 0 nothing (as for a four-letter word), 1 read, 4 write, 5 both.
    pub interest_ops: u32,
    /// Requests admitted and not answered.
    pub queued: u64,
    /// Packets received.
    pub received: u64,
    /// Packets sent.
    pub sent: u64,
    /// What is known once there is a session.
    pub session: Option<ConnectionSession>,
}

/// A connection's session and statistics. A fresh or reset one (`crst`) has `NA`, -1, -1 and zeros.
#[derive(Clone, Debug)]
pub struct ConnectionSession {
    /// The session; 0 counts as none.
    pub id: SessionId,
    /// What [`super::last_operation`] gives.
    pub last_operation: &'static str,
    /// When the connection was made, ms since 1970.
    pub established_ms: i64,
    /// The negotiated timeout.
    pub timeout_ms: i32,
    /// The last xid of a request that is not negative; -1 before the first, then it is left out.
    pub last_cxid: i64,
    /// The zxid of the last reply, -1 before the first.
    pub last_zxid: i64,
    /// When the last reply was made, in ms of the monotonic clock.
    pub last_response_ms: i64,
    /// Ms of the last request.
    pub last_latency_ms: i64,
    /// Least ms; 0 before the first.
    pub min_latency_ms: i64,
    /// Mean ms, cut off to a whole number.
    pub average_latency_ms: i64,
    /// Greatest ms.
    pub max_latency_ms: i64,
}

/// What `conf` prints beside the sizes.
#[derive(Clone, Debug, Default)]
pub struct ConfigurationView {
    /// Plain port, -1 for none.
    pub client_port: i32,
    /// TLS port, -1 for none.
    pub secure_client_port: i32,
    /// Absolute, `version-2` included.
    pub data_dir: String,
    /// Absolute, `version-2` included.
    pub data_log_dir: String,
    /// Length of a tick.
    pub tick_time_ms: i32,
    /// Connections from one address; 0 for no limit.
    pub max_client_connections: i32,
    /// Least session timeout granted.
    pub min_session_timeout_ms: i32,
    /// Greatest session timeout granted.
    pub max_session_timeout_ms: i32,
    /// -1 for the system's.
    pub client_port_listen_backlog: i32,
    /// `myid`; 0 standalone.
    pub server_id: i64,
    /// What members of an ensemble add.
    pub quorum: Option<QuorumConfigurationView>,
}

impl ConfigurationView {
    /// Of a standalone server that listens on this port.
    pub fn of(config: &ServerConfig, client_port: u16) -> Self {
        // Java prints absolute paths and resolves nothing in them.
        let absolute = |path: PathBuf| std::path::absolute(&path).unwrap_or(path).display().to_string();
        Self {
            client_port: i32::from(client_port),
            secure_client_port: -1,
            data_dir: absolute(config.snap_dir()),
            data_log_dir: absolute(config.log_dir()),
            tick_time_ms: config.tick_time_ms as i32,
            max_client_connections: config.max_client_cnxns,
            min_session_timeout_ms: config.min_session_timeout_ms as i32,
            max_session_timeout_ms: config.max_session_timeout_ms as i32,
            client_port_listen_backlog: config.client_port_listen_backlog,
            // Java's standalone server has 0 here, whatever myid says.
            server_id: config.ensemble.as_ref().map_or(0, |ensemble| ensemble.my_id.0),
            quorum: config.ensemble.as_ref().map(|ensemble| QuorumConfigurationView {
                init_limit: ensemble.init_limit as i32,
                sync_limit: ensemble.sync_limit as i32,
                election_algorithm: 3,
                election_ports: ensemble.own_addresses().iter().map(|address| address.election_port).collect(),
                quorum_ports: ensemble.own_addresses().iter().map(|address| address.quorum_port).collect(),
                observer: ensemble.is_observer,
                membership: None,
            }),
        }
    }
}

/// The further rows of a member.
#[derive(Clone, Debug)]
pub struct QuorumConfigurationView {
    /// In ticks.
    pub init_limit: i32,
    /// In ticks.
    pub sync_limit: i32,
    /// Always 3 today.
    pub election_algorithm: i32,
    /// Ports of this server's election addresses.
    pub election_ports: Vec<u16>,
    /// Ports of this server's quorum addresses.
    pub quorum_ports: Vec<u16>,
    /// Whether this server observes.
    pub observer: bool,
    /// The text of the quorum configuration; a read-only server prints none.
    pub membership: Option<String>,
}

impl QuorumConfigurationView {
    /// What the configuration in force says; one that has left the ensemble stays where it was.
    pub fn show(&mut self, peer: &Peer) {
        let config = peer.config();
        if let Some(own) = config.members.get(&peer.me()) {
            self.election_ports = own.addresses.iter().map(|address| address.election_port).collect();
            self.quorum_ports = own.addresses.iter().map(|address| address.quorum_port).collect();
            self.observer = own.role == MemberRole::Observer;
        }
        self.membership = Some(config.to_text());
    }
}

/// Sessions as `dump` prints them.
#[derive(Clone, Debug)]
pub enum SessionsView {
    /// A standalone server or a leader: `(local, global)` buckets, local ones only if the server has them.
    Tracked {
        /// Sessions of this server only, where `localSessionsEnabled` is set.
        local: Option<Vec<SessionBucket>>,
        /// Sessions of the ensemble.
        global: Vec<SessionBucket>,
    },
    /// A learner: timeouts instead of buckets.
    Learner {
        /// Sessions of this server only, where `localSessionsEnabled` is set.
        local: Option<Vec<SessionBucket>>,
        /// Sessions of the ensemble with their timeouts in ms, in any order.
        global: Vec<(SessionId, i32)>,
    },
}

impl Default for SessionsView {
    fn default() -> Self {
        SessionsView::Tracked { local: None, global: Vec::new() }
    }
}

/// Sessions that expire together.
#[derive(Clone, Debug, Default)]
pub struct SessionBucket {
    /// Ms since 1970.
    pub expires_ms: i64,
    /// The sessions.
    pub sessions: Vec<SessionId>,
}

/// Connections that are closed together if they stay silent.
#[derive(Clone, Debug)]
pub struct ConnectionBucket {
    /// Ms since 1970.
    pub expires_ms: i64,
    /// The connections, with session 0 while they have none.
    pub connections: Vec<(SocketAddr, SessionId)>,
}

/// A line of `hash`.
#[derive(Clone, Copy, Debug)]
pub struct DigestView {
    /// The transaction.
    pub zxid: Zxid,
    /// The tree's digest after it. Java prints a signed number.
    pub digest: i64,
}

/// Numbers of `wchs`. Watches of data and existence; those of children do not count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WatchSummary {
    /// Connections that ever watched and are still there, as Java counts them.
    pub connections: usize,
    /// Watched paths.
    pub paths: usize,
    /// Pairs of both.
    pub watches: usize,
}

/// For `mntr`.
#[derive(Clone, Copy)]
pub struct MetricsView<'a> {
    /// What the registry held.
    pub reading: &'a Reading,
    /// What the runtime knows.
    pub gauges: &'a GaugeValues,
    /// The same in the spelling of a provider other than the default one.
    pub families: Option<&'a [Family]>,
    /// On a member of an ensemble, for example `following - broadcast`.
    pub peer_state: Option<&'a str>,
    /// On an observer: the number of the member that it follows, -1 while there is none.
    pub observer_master_id: Option<i64>,
}

/// A line of a list of two levels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry<'a> {
    /// A session.
    Session(SessionId),
    /// A path.
    Path(&'a str),
}

/// A list of two levels that is too long to be copied: whoever holds the data walks it.
pub trait Listing {
    /// Calls `each` for every head and, after it, each of its members; an error ends the walk.
    fn walk(&self, each: &mut dyn FnMut(Entry<'_>) -> fmt::Result) -> fmt::Result;
}

/// Sessions with their paths.
impl Listing for Vec<(SessionId, Vec<String>)> {
    fn walk(&self, each: &mut dyn FnMut(Entry<'_>) -> fmt::Result) -> fmt::Result {
        self.iter().try_for_each(|(session, paths)| {
            each(Entry::Session(*session))?;
            paths.iter().try_for_each(|path| each(Entry::Path(path)))
        })
    }
}

/// Paths with their sessions.
impl Listing for Vec<(String, Vec<SessionId>)> {
    fn walk(&self, each: &mut dyn FnMut(Entry<'_>) -> fmt::Result) -> fmt::Result {
        self.iter().try_for_each(|(path, sessions)| {
            each(Entry::Path(path))?;
            sessions.iter().try_for_each(|session| each(Entry::Session(*session)))
        })
    }
}
