//! The commands under `/commands`: which there are, and what each prints, to the field as ZooKeeper 3.9.5 does.
//!
//! What a command does beside printing (reset, snapshot, restore) and who may run it is the runtime's.

use std::collections::BTreeMap;

use oxkeeper_proto::txn::DIGEST_VERSION;
use oxkeeper_proto::{SessionId, Zxid};

use super::json::Json;
use crate::four_letter::{ConnectionView, Entry, Listing, Mode, Needs, ServerView, SessionsView, WatchSummary};
use crate::metrics::{Lasting, ResponseSizes, Value, report};
use crate::peers::links::Traffic;

/// What a command prints instead while nobody is served.
pub const NOT_SERVING: &str = "This ZooKeeper instance is not currently serving requests";

macro_rules! commands {
    ($($variant:ident $names:expr;)*) => {
        /// A command.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum AdminCommand { $(#[doc = concat!("See the table: ", stringify!($variant), ".")] $variant,)* }

        impl AdminCommand {
            /// Every one, sorted by its first name.
            pub const ALL: &'static [AdminCommand] = &[$(AdminCommand::$variant,)*];

            /// All names, the one that answers show first.
            #[must_use]
            pub const fn names(self) -> &'static [&'static str] {
                match self { $(AdminCommand::$variant => &$names,)* }
            }
        }
    };
}

commands! {
    Configuration ["configuration", "conf", "config"];
    ConnectionStatReset ["connection_stat_reset", "crst"];
    Connections ["connections", "cons"];
    Dirs ["dirs"];
    Dump ["dump"];
    Environment ["environment", "env", "envi"];
    GetTraceMask ["get_trace_mask", "gtmk"];
    Hash ["hash"];
    InitialConfiguration ["initial_configuration", "icfg"];
    IsReadOnly ["is_read_only", "isro"];
    LastSnapshot ["last_snapshot", "lsnp"];
    Leader ["leader", "lead"];
    Monitor ["monitor", "mntr"];
    ObserverConnectionStatReset ["observer_connection_stat_reset", "orst"];
    Observers ["observers", "obsr"];
    Restore ["restore", "rest"];
    Ruok ["ruok"];
    ServerStats ["server_stats", "srvr"];
    SetTraceMask ["set_trace_mask", "stmk"];
    Snapshot ["snapshot", "snap"];
    StatReset ["stat_reset", "srst"];
    Stats ["stats", "stat"];
    SystemProperties ["system_properties", "sysp"];
    VotingView ["voting_view"];
    WatchSummary ["watch_summary", "wchs"];
    Watches ["watches", "wchc"];
    WatchesByPath ["watches_by_path", "wchp"];
    ZabState ["zabstate"];
}

use AdminCommand as C;

impl AdminCommand {
    /// The command of this name.
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|command| command.names().contains(&name))
    }

    /// The name that answers show.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.names()[0]
    }

    /// Whether it needs a server that serves.
    #[must_use]
    pub const fn needs_service(self) -> bool {
        !matches!(self, C::Environment | C::GetTraceMask | C::Monitor | C::SetTraceMask | C::SystemProperties | C::ZabState)
    }

    /// Whether who asks must have all permissions on `/`.
    #[must_use]
    pub const fn is_guarded(self) -> bool {
        matches!(self, C::Snapshot | C::Restore)
    }

    /// Whether it is asked with POST.
    #[must_use]
    pub const fn is_posted(self) -> bool {
        matches!(self, C::Restore)
    }

    /// Whether it changes anything, if only a counter.
    #[must_use]
    pub const fn acts(self) -> bool {
        matches!(self, C::ConnectionStatReset | C::ObserverConnectionStatReset | C::Restore | C::SetTraceMask | C::Snapshot | C::StatReset)
    }

    /// What the view must hold.
    #[must_use]
    pub const fn needs(self) -> Needs {
        let statistics = matches!(self, C::ServerStats | C::Stats);
        Needs {
            connections: matches!(self, C::Connections | C::Stats),
            statistics: statistics || matches!(self, C::ZabState),
            configuration: matches!(self, C::Configuration),
            directory_sizes: statistics || matches!(self, C::Dirs),
            sessions: matches!(self, C::Dump),
            digests: matches!(self, C::Hash),
            watch_summary: matches!(self, C::WatchSummary),
            watches_by_path: matches!(self, C::WatchesByPath),
            watches_by_session: matches!(self, C::Watches),
            environment: matches!(self, C::Environment | C::SystemProperties),
            metrics: statistics || matches!(self, C::Monitor),
            busy_paths: false,
        }
    }
}

/// All that a command may print.
#[derive(Clone)]
pub struct AdminView<'a> {
    /// What the four-letter words print, too.
    pub server: &'a ServerView<'a>,
    /// What a member of an ensemble knows of it; `None` on a standalone server.
    pub quorum: Option<&'a QuorumView>,
    /// The zoo.cfg that was read, with secrets masked; members of an ensemble have none, as in Java.
    pub initial_configuration: Option<&'a str>,
    /// Properties in force, secrets masked.
    pub properties: &'a [(String, String)],
    /// The newest snapshot: its zxid, and when it was written in seconds since 1970.
    pub last_snapshot: Option<(Zxid, i64)>,
    /// Since the server began to serve.
    pub uptime_ms: u64,
    /// The monotonic clock less that of the wall: Java shows expiry in the former.
    pub monotonic_less_wall_ms: i64,
}

/// What a member knows of its ensemble. Filled by the roles.
#[derive(Clone, Debug, Default)]
pub struct QuorumView {
    /// This server's number.
    pub my_id: i64,
    /// Whether it leads.
    pub is_leader: bool,
    /// The leader's number, -1 if there is none.
    pub leader_id: i64,
    /// The leader's host; empty if there is none.
    pub leader_host: String,
    /// `election`, `discovery`, `synchronization` or `broadcast`.
    pub zab_state: String,
    /// Whether this server votes in the configuration in force, under the addresses that it has.
    pub is_voting: bool,
    /// This server's addresses.
    pub quorum_addresses: Vec<(String, u16)>,
    /// This server's addresses for elections.
    pub election_addresses: Vec<(String, u16)>,
    /// This server's address for clients, `host:port`.
    pub client_address: String,
    /// The members that vote.
    pub voters: Vec<MemberView>,
    /// On a leader, and a follower with an observer master: its observers.
    pub observers: Vec<ObserverView>,
}

/// A member that votes.
#[derive(Clone, Debug, Default)]
pub struct MemberView {
    /// Its number.
    pub sid: i64,
    /// `host:port`.
    pub server_addresses: Vec<String>,
    /// `host:port`.
    pub election_addresses: Vec<String>,
    /// `host:port`; empty if it has none.
    pub client_address: String,
    /// Whether it observes, which then is its role only: those listed vote.
    pub is_observer: bool,
}

/// An observer that is connected here.
#[derive(Clone, Debug, Default)]
pub struct ObserverView {
    /// As Java prints a socket address: `/127.0.0.1:36996`.
    pub remote_address: String,
    /// Its number.
    pub sid: i64,
    /// What has gone over its link.
    pub traffic: Traffic,
}

/// The whole answer of a command: what `fill` writes, the command's name, and the error, if any. An error that
/// belongs to the command's own data comes first, as Java has it.
#[must_use]
pub fn answer(name: &str, own_error: Option<&str>, error: Option<&str>, fill: impl FnOnce(&mut Json)) -> String {
    let mut json = Json::default();
    json.object(|json| {
        if let Some(error) = own_error {
            json.key("error").text(error);
        }
        fill(json);
        json.key("command").text(name);
        match error {
            Some(error) => json.key("error").text(error),
            None if own_error.is_none() => json.key("error").null(),
            None => {}
        }
    });
    json.into_text()
}

/// An error that a command finds by itself, which depends only on what server it is.
#[must_use]
pub fn own_error(command: AdminCommand, view: &AdminView<'_>) -> Option<&'static str> {
    (command == C::Leader && view.quorum.is_none()).then_some("server is not initialized")
}

/// Writes the data of a command into the answer's object. Commands that do something were carried out before.
pub fn data(command: AdminCommand, view: &AdminView<'_>, json: &mut Json) {
    let server = view.server;
    match command {
        C::ConnectionStatReset | C::ObserverConnectionStatReset | C::Ruok | C::StatReset | C::Snapshot | C::Restore => {}
        C::Configuration => configuration(server, json),
        C::Connections => connections(server, false, json),
        C::Dirs => {
            json.key("datadir_size").integer(server.data_dir_size_bytes);
            json.key("logdir_size").integer(server.log_dir_size_bytes);
        }
        C::Dump => dump(view, json),
        C::Environment => server.environment.iter().for_each(|(key, value)| json.key(key).text(value)),
        C::GetTraceMask | C::SetTraceMask => json.key("tracemask").integer(server.trace_mask),
        C::Hash => json.key("digests").array(|json| {
            for entry in &server.digests {
                json.object(|json| {
                    json.key("zxid").integer(entry.zxid.0);
                    json.key("digest").integer(entry.digest);
                    json.key("digest_version").integer(DIGEST_VERSION);
                });
            }
        }),
        C::InitialConfiguration => match view.initial_configuration {
            Some(text) => json.key("initial_configuration").text(text),
            None => json.key("initial_configuration").null(),
        },
        C::IsReadOnly => json.key("read_only").boolean(server.mode == Mode::ReadOnly),
        C::LastSnapshot => {
            let (zxid, at_s) = view.last_snapshot.unwrap_or((Zxid(-1), -1));
            json.key("zxid").text(&format!("{:x}", zxid.0));
            json.key("timestamp").integer(at_s);
        }
        C::Leader => {
            if let Some(quorum) = view.quorum {
                json.key("is_leader").boolean(quorum.is_leader);
                json.key("leader_id").integer(quorum.leader_id);
                json.key("leader_ip").text(&quorum.leader_host);
            }
        }
        C::Monitor => monitor(view, json),
        C::Observers => observers(view.quorum.map_or(&[], |quorum| &quorum.observers), json),
        C::ServerStats => statistics(view, json),
        C::Stats => {
            statistics(view, json);
            connections(server, true, json);
        }
        C::SystemProperties => view.properties.iter().for_each(|(key, value)| json.key(key).text(value)),
        C::VotingView => json.key("current_config").object(|json| {
            for member in view.quorum.map_or(&[][..], |quorum| &quorum.voters) {
                json.key(member.sid).object(|json| {
                    texts(json, "server_addresses", &member.server_addresses);
                    texts(json, "election_addresses", &member.election_addresses);
                    json.key("client_address").text(&member.client_address);
                    json.key("learner_type").text(if member.is_observer { "observer" } else { "participant" });
                });
            }
        }),
        C::WatchSummary => {
            let WatchSummary { connections, paths, watches } = server.watch_summary;
            json.key("num_connections").integer(connections as u64);
            json.key("num_paths").integer(paths as u64);
            json.key("num_total_watches").integer(watches as u64);
        }
        C::Watches => listing(json, "session_id_to_watched_paths", server.watches_by_session),
        C::WatchesByPath => listing(json, "path_to_session_ids", server.watches_by_path),
        C::ZabState => zab_state(view, json),
    }
}

fn texts(json: &mut Json, key: &str, texts: &[String]) {
    json.key(key).array(|json| texts.iter().for_each(|text| json.text(text)));
}

fn configuration(server: &ServerView<'_>, json: &mut Json) {
    let row = &server.configuration;
    // The port of either kind, the plain one first.
    json.key("client_port").integer(row.client_port);
    json.key("data_dir").text(&row.data_dir);
    json.key("data_log_dir").text(&row.data_log_dir);
    json.key("tick_time").integer(row.tick_time_ms);
    json.key("max_client_cnxns").integer(row.max_client_connections);
    json.key("min_session_timeout").integer(row.min_session_timeout_ms);
    json.key("max_session_timeout").integer(row.max_session_timeout_ms);
    json.key("server_id").integer(row.server_id);
    json.key("client_port_listen_backlog").integer(row.client_port_listen_backlog);
}

fn connections(server: &ServerView<'_>, is_brief: bool, json: &mut Json) {
    json.key("connections").array(|json| {
        for connection in &server.connections {
            json.object(|json| self::connection(connection, is_brief, json));
        }
    });
    json.key("secure_connections").array(|_| {});
}

fn connection(connection: &ConnectionView, is_brief: bool, json: &mut Json) {
    json.key("remote_socket_address").text(&connection.address.to_string());
    json.key("interest_ops").integer(connection.interest_ops);
    json.key("outstanding_requests").integer(connection.queued);
    json.key("packets_received").integer(connection.received);
    json.key("packets_sent").integer(connection.sent);
    if is_brief {
        return;
    }
    let session = connection.session.as_ref();
    json.key("session_id").integer(session.map_or(0, |session| session.id.0));
    json.key("last_operation").text(session.map_or("NA", |session| session.last_operation));
    json.key("established").integer(session.map_or(0, |session| session.established_ms));
    json.key("session_timeout").integer(session.map_or(0, |session| session.timeout_ms));
    json.key("last_cxid").integer(session.map_or(-1, |session| session.last_cxid));
    json.key("last_zxid").integer(session.map_or(-1, |session| session.last_zxid));
    json.key("last_response_time").integer(session.map_or(0, |session| session.last_response_ms));
    json.key("last_latency").integer(session.map_or(0, |session| session.last_latency_ms));
    json.key("min_latency").integer(session.map_or(0, |session| session.min_latency_ms));
    json.key("avg_latency").integer(session.map_or(0, |session| session.average_latency_ms));
    json.key("max_latency").integer(session.map_or(0, |session| session.max_latency_ms));
}

fn dump(view: &AdminView<'_>, json: &mut Json) {
    json.key("expiry_time_to_session_ids").object(|json| {
        // A learner does not know when its sessions expire, and shows none, its own included.
        let SessionsView::Tracked { local, global } = &view.server.sessions else { return };
        let mut buckets: BTreeMap<i64, Vec<SessionId>> = BTreeMap::new();
        for bucket in local.iter().flatten().chain(global) {
            buckets.entry(bucket.expires_ms).or_default().extend(&bucket.sessions);
        }
        for (expires_ms, sessions) in buckets {
            json.key(expires_ms + view.monotonic_less_wall_ms).array(|json| sessions.iter().for_each(|session| json.integer(session.0)));
        }
    });
    listing(json, "session_id_to_ephemeral_paths", view.server.ephemerals);
}

/// A list of two levels as an object of arrays.
fn listing(json: &mut Json, key: &str, listing: Option<&dyn Listing>) {
    /// What was read of the head at hand.
    enum Members {
        None,
        Sessions(String, Vec<SessionId>),
        Paths(SessionId, Vec<String>),
    }
    fn write(members: Members, json: &mut Json) {
        match members {
            Members::None => {}
            Members::Sessions(path, sessions) => {
                json.key(path).array(|json| sessions.iter().for_each(|session| json.integer(session.0)));
            }
            Members::Paths(session, paths) => json.key(session.0).array(|json| paths.iter().for_each(|path| json.text(path))),
        }
    }
    json.key(key).object(|json| {
        let mut members = Members::None;
        let Some(listing) = listing else { return };
        let walked = listing.walk(&mut |entry| {
            match (entry, &mut members) {
                (Entry::Session(session), Members::Sessions(_, sessions)) => sessions.push(session),
                (Entry::Path(path), Members::Paths(_, paths)) => paths.push(path.to_owned()),
                (Entry::Session(session), _) => write(std::mem::replace(&mut members, Members::Paths(session, Vec::new())), json),
                (Entry::Path(path), _) => write(std::mem::replace(&mut members, Members::Sessions(path.to_owned(), Vec::new())), json),
            }
            Ok(())
        });
        debug_assert!(walked.is_ok());
        write(members, json);
    });
}

fn response_sizes(json: &mut Json, key: &str, [last, min, max]: [i64; 3]) {
    json.key(key).object(|json| {
        json.key("last_buffer_size").integer(last);
        json.key("min_buffer_size").integer(min);
        json.key("max_buffer_size").integer(max);
    });
}

fn statistics(view: &AdminView<'_>, json: &mut Json) {
    let (server, statistics) = (view.server, &view.server.statistics);
    let sizes = server.metrics.map_or(ResponseSizes::NONE, |metrics| metrics.reading.response_sizes);
    let sizes = [sizes.last, sizes.min, sizes.max];
    let lasting = |what| server.metrics.map_or(0, |metrics| metrics.reading.lasting(what));
    json.key("version").text(server.version);
    json.key("read_only").boolean(server.mode == Mode::ReadOnly);
    json.key("server_stats").object(|json| {
        json.key("packets_sent").integer(statistics.packets_sent);
        json.key("packets_received").integer(statistics.packets_received);
        json.key("fsync_threshold_exceed_count").integer(lasting(Lasting::FsyncThresholdExceeded));
        response_sizes(json, "client_response_stats", sizes);
        json.key("uptime").integer(view.uptime_ms);
        json.key("data_dir_size").integer(server.data_dir_size_bytes);
        json.key("log_dir_size").integer(server.log_dir_size_bytes);
        json.key("provider_null").boolean(false);
        json.key("last_processed_zxid").integer(statistics.zxid.0);
        json.key("outstanding_requests").integer(statistics.outstanding);
        json.key("server_state").text(server.mode.word());
        json.key("avg_latency").decimal(statistics.latency_average_ms);
        json.key("max_latency").integer(statistics.latency_max_ms);
        json.key("min_latency").integer(statistics.latency_min_ms);
        json.key("num_alive_client_connections").integer(statistics.connections as u64);
        json.key("auth_failed_count").integer(lasting(Lasting::AuthFailed));
        // Jackson finds no second word in these names.
        json.key("non_mtlsremote_conn_count").integer(lasting(Lasting::NonMtlsRemote));
        json.key("non_mtlslocal_conn_count").integer(lasting(Lasting::NonMtlsLocal));
    });
    response_sizes(json, "client_response", sizes);
    if server.mode == Mode::Leader {
        response_sizes(json, "proposal_stats", statistics.proposal_sizes);
    }
    json.key("node_count").integer(statistics.nodes);
}

fn monitor(view: &AdminView<'_>, json: &mut Json) {
    json.key("version").text(view.server.version);
    json.key("server_state").text(view.server.mode.word());
    let Some(metrics) = view.server.metrics else { return };
    if let Some(peer_state) = metrics.peer_state {
        json.key("peer_state").text(peer_state);
    }
    if let Some(id) = metrics.observer_master_id {
        json.key("observer_master_id").integer(id);
    }
    if let Some(families) = metrics.families {
        families.iter().filter(|family| !family.is_own()).for_each(|family| family.each_key(|key, value| json.key(key).decimal(value)));
        return;
    }
    let told = report(metrics.reading, metrics.gauges, |key, value| {
        let json = json.key(key);
        match value {
            Value::Integer(number) => json.integer(number),
            Value::Decimal(number) => json.decimal(number),
            Value::Text(text) => json.text(text),
        }
        Ok::<(), std::convert::Infallible>(())
    });
    debug_assert!(told.is_ok());
}

fn observers(observers: &[ObserverView], json: &mut Json) {
    json.key("synced_observers").integer(observers.len() as u64);
    json.key("observers").array(|json| {
        for observer in observers {
            json.object(|json| {
                json.key("remote_socket_address").text(&observer.remote_address);
                json.key("sid").integer(observer.sid);
                json.key("established").integer(observer.traffic.established_ms);
                json.key("queued_packets").integer(observer.traffic.queued.0);
                json.key("queued_packets_size").integer(observer.traffic.queued.1);
                json.key("packets_received").integer(observer.traffic.received);
                json.key("packets_sent").integer(observer.traffic.sent);
                json.key("requests").integer(observer.traffic.requests);
                json.key("last_zxid").integer(observer.traffic.last_zxid.0);
            });
        }
    });
}

fn zab_state(view: &AdminView<'_>, json: &mut Json) {
    let Some(quorum) = view.quorum else {
        json.key("voting").boolean(false);
        json.key("zabstate").text("");
        return;
    };
    let zxid = view.server.statistics.zxid;
    json.key("myid").integer(quorum.my_id);
    json.key("is_leader").boolean(quorum.is_leader);
    addresses(json, "quorum_address", &quorum.quorum_addresses);
    addresses(json, "election_address", &quorum.election_addresses);
    json.key("client_address").text(&quorum.client_address);
    json.key("voting").boolean(quorum.is_voting);
    json.key("last_zxid").text(&zxid.to_string());
    json.key("zab_epoch").integer(zxid.0 >> 32);
    json.key("zab_counter").integer(zxid.0 & 0xffff_ffff);
    json.key("zabstate").text(&quorum.zab_state);
}

/// A set of addresses as Jackson shows Java's. Reachability is not probed: every address counts as reachable, which
/// is what Java shows for a single one without asking.
fn addresses(json: &mut Json, key: &str, addresses: &[(String, u16)]) {
    let all: Vec<String> = addresses.iter().map(|(host, port)| format!("{host}:{port}")).collect();
    let wildcards: Vec<String> = addresses.iter().map(|(_, port)| format!("0.0.0.0:{port}")).collect();
    let hosts: Vec<String> = addresses.iter().map(|(host, _)| host.clone()).collect();
    let one = all.first().cloned().unwrap_or_default();
    json.key(key).object(|json| {
        json.key("empty").boolean(addresses.is_empty());
        texts(json, "all_addresses", &all);
        texts(json, "wildcard_addresses", &wildcards);
        json.key("all_ports").array(|json| addresses.iter().for_each(|(_, port)| json.integer(*port)));
        texts(json, "all_host_strings", &hosts);
        json.key("reachable_address").text(&one);
        texts(json, "all_reachable_addresses", &all);
        texts(json, "all_reachable_addresses_or_all", &all);
        json.key("reachable_or_one").text(&one);
        json.key("one").text(&one);
    });
}
