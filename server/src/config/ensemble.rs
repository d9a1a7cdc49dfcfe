//! What a member of an ensemble is told beside everything else: who the members are, which of them it is, and
//! how long it waits for the others.
//!
//! The members' lines are read by `oxkeeper_zab::Config`; where they stand, and what fits together, is for
//! [`super::load`]. How the numbers are used is for the threads that own links and files.

use std::net::{IpAddr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};

use oxkeeper_zab::{Config, Door, ElectionOptions, KeptConfigs, MemberAddress, Sid};

/// A member's part of the configuration. Each field is an option of [`super::table::TABLE`] unless it says
/// otherwise.
#[derive(Debug, Clone, PartialEq)]
pub struct EnsembleConfig {
    /// The number in `<dataDir>/myid`; one of `config`'s members.
    pub my_id: Sid,
    /// server.N, group.N and weight.N, as they were at the start. The version is from the name of the dynamic file, 0 without one.
    pub config: Config,
    /// What `<zoo.cfg>.dynamic.next` held: a configuration that was proposed before the last stop.
    pub last_seen: Option<Config>,
    /// dynamicConfigFile, as written.
    pub dynamic_config_file: Option<PathBuf>,
    /// Whether `config` says that this server has no vote.
    pub is_observer: bool,
    /// Whether there is a port for clients: without clientPort and without one on its own line a member serves
    /// none, and `ServerConfig::client_port` means nothing.
    pub takes_clients: bool,
    /// Whether the port for clients is from zoo.cfg and not from the server's own line.
    pub client_port_is_static: bool,
    /// initLimit in ticks, at least 1.
    pub init_limit: u32,
    /// syncLimit in ticks, at least 1.
    pub sync_limit: u32,
    /// connectToLearnerMasterLimit in ticks; 0 is initLimit.
    pub connect_to_learner_master_limit: u32,
    /// standaloneEnabled.
    pub standalone_enabled: bool,
    /// quorumListenOnAllIPs.
    pub quorum_listen_on_all_ips: bool,
    /// electionPortBindRetry; 0 is for ever.
    pub election_port_bind_retry: u32,
    /// cnxTimeout: the limit of an election connection's connect.
    pub cnx_timeout_ms: u32,
    /// quorumCnxnTimeoutMs, with the default of tickTime times syncLimit worked out: the limit for what opens
    /// an election connection.
    pub quorum_cnxn_timeout_ms: u32,
    /// tcpKeepAlive, of election connections.
    pub tcp_keep_alive: bool,
    /// fastleader.*, with Java's 200 ms of silence before a decision.
    pub election: ElectionOptions,
    /// leaderServes.
    pub leader_serves: bool,
    /// localSessionsEnabled.
    pub local_sessions_enabled: bool,
    /// localSessionsUpgradingEnabled.
    pub local_sessions_upgrading_enabled: bool,
    /// syncEnabled, or observer.syncEnabled if that is set: an observer writes a log and snapshots.
    pub sync_enabled: bool,
    /// observerMasterPort; `None`: off.
    pub observer_master_port: Option<u16>,
    /// observerMaster.sizeLimit.
    pub observer_master_size_limit_bytes: u32,
    /// observer.election.DelayMs.
    pub observer_election_delay_ms: u64,
    /// observer.reconnectDelayMs.
    pub observer_reconnect_delay_ms: u64,
    /// commitLogCount, at least 500: transactions kept in memory for learners.
    pub commit_log_count: u32,
    /// snapshotSizeFactor, if there is a limit; negative: learners are never synchronised from the log on disk.
    pub snapshot_size_factor: Option<f64>,
    /// forceSnapshotSync.
    pub force_snapshot_sync: bool,
    /// leader.maxConcurrentSnapSyncs.
    pub max_concurrent_snap_syncs: u32,
    /// leader.maxConcurrentDiffSyncs.
    pub max_concurrent_diff_syncs: u32,
    /// leader.maxTimeToWaitForEpoch; `None`: off.
    pub max_time_to_wait_for_epoch_ms: Option<u32>,
    /// messageTracker.BufferSize, if messageTracker.Enabled: packets kept of each link and direction.
    pub tracked_packets: Option<u32>,
    /// leaderConnectDelayDuringRetryMs.
    pub leader_connect_delay_ms: u32,
    /// multiAddress.enabled.
    pub multi_address_enabled: bool,
    /// leader.nodelay.
    pub leader_no_delay: bool,
    /// follower.nodelay.
    pub follower_no_delay: bool,
    /// testingonly.initialZxid: how many counters of each epoch are not used.
    pub unused_counters: u32,
    /// oraclePath.
    pub oracle_path: Option<PathBuf>,
}

impl EnsembleConfig {
    /// Where this server is reached by its peers.
    #[must_use]
    pub fn own_addresses(&self) -> &[MemberAddress] {
        self.config.members.get(&self.my_id).map_or(&[], |member| &member.addresses)
    }

    /// The addresses to be bound for learners. Names are looked up now.
    #[must_use]
    pub fn own_learner_addresses(&self, door: Door) -> Vec<SocketAddr> {
        let mut found = Vec::new();
        for address in self.own_addresses() {
            let port = self.port(address, door);
            if self.quorum_listen_on_all_ips {
                found.push(SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), port));
                continue;
            }
            match (address.host.as_str(), port).to_socket_addrs() {
                Ok(mut all) => found.extend(all.next()),
                Err(failure) => log::warn!("The own address {}:{port} cannot be looked up: {failure}", address.host),
            }
        }
        found.dedup();
        found
    }

    /// Where another member, or one to be, takes learners.
    #[must_use]
    pub fn learner_hosts(&self, sid: Sid, door: Door) -> Vec<(String, u16)> {
        let member = self.config.members.get(&sid).or_else(|| self.last_seen.as_ref()?.members.get(&sid));
        let addresses = member.map_or(&[][..], |member| &member.addresses);
        addresses.iter().map(|address| (address.host.clone(), self.port(address, door))).collect()
    }

    fn port(&self, address: &MemberAddress, door: Door) -> u16 {
        match door {
            Door::Quorum => address.quorum_port,
            // One for all members.
            Door::Observers => self.observer_master_port.unwrap_or(0),
        }
    }
}

/// The version in a dynamic file's name: what stands behind the last dot, as a hexadecimal number.
#[must_use]
pub fn version_of(dynamic_file: &Path) -> u64 {
    KeptConfigs::version_of(&dynamic_file.as_os_str().to_string_lossy())
}
