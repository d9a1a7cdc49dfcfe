//! The answers to the four-letter words, to the byte those of ZooKeeper 3.9.5.

use std::fmt::{self, Write};

use oxkeeper_proto::SessionId;

use super::Command;
use super::date::JavaDate;
use super::view::*;
use super::zone::Zone;
use crate::metrics::{JavaDouble, PathRate, Value, report};

const NOT_SERVING: &str = "This ZooKeeper instance is not currently serving requests";

/// Writes the answer to a word that the white list allows. A `String` can take it, or [`Chunks`] where it
/// may be long. `srst`, `crst` and `stmk` only print: the caller has acted already. [`Command::TelnetClose`]
/// has no answer. The only errors are those of `out`.
pub fn render(command: Command, view: &ServerView<'_>, out: &mut impl Write) -> fmt::Result {
    match command {
        Command::Ruok => return out.write_str("imok"),
        Command::Envi => return environment(view, out),
        Command::Gtmk | Command::Stmk => return write!(out, "{}", view.trace_mask),
        Command::TelnetClose => return Ok(()),
        Command::Isro if !view.serving => return out.write_str("null"),
        Command::Hash if !view.serving => return out.write_str(NOT_SERVING),
        _ if !view.serving => return writeln!(out, "{NOT_SERVING}"),
        _ => {}
    }
    match command {
        Command::Busy => {
            view.busy_paths.iter().try_for_each(|PathRate { path, reads, writes }| writeln!(out, "{reads:.1}\t{writes:.1}\t{path}"))
        }
        Command::Conf => configuration(view, out),
        Command::Cons => {
            view.connections.iter().try_for_each(|connection| self::connection(connection, false, out))?;
            writeln!(out)
        }
        Command::Crst => writeln!(out, "Connection stats reset."),
        Command::Dirs => writeln!(out, "datadir_size: {}\nlogdir_size: {}", view.data_dir_size_bytes, view.log_dir_size_bytes),
        Command::Dump => dump(view, out),
        Command::Hash => view.digests.iter().try_for_each(|entry| writeln!(out, "{:x}: {}", entry.zxid, entry.digest)),
        Command::Isro => out.write_str(if view.mode == Mode::ReadOnly { "ro" } else { "rw" }),
        Command::Mntr => monitor(view, out),
        Command::Srst => writeln!(out, "Server stats reset."),
        Command::Srvr => statistics(view, false, out),
        Command::Stat => statistics(view, true, out),
        Command::Wchc => watches(view.watches_by_session, false, out),
        Command::Wchp => watches(view.watches_by_path, true, out),
        Command::Wchs => {
            let WatchSummary { connections, paths, watches } = view.watch_summary;
            writeln!(out, "{connections} connections watching {paths} paths\nTotal watches:{watches}")
        }
        Command::Ruok | Command::Envi | Command::Gtmk | Command::Stmk | Command::TelnetClose => {
            unreachable!("answered before the server's state was asked for")
        }
    }
}

fn environment(view: &ServerView<'_>, out: &mut impl Write) -> fmt::Result {
    writeln!(out, "Environment:")?;
    view.environment.iter().try_for_each(|(key, value)| writeln!(out, "{key}={value}"))
}

fn configuration(view: &ServerView<'_>, out: &mut impl Write) -> fmt::Result {
    let row = &view.configuration;
    writeln!(out, "clientPort={}", row.client_port)?;
    writeln!(out, "secureClientPort={}", row.secure_client_port)?;
    writeln!(out, "dataDir={}", row.data_dir)?;
    writeln!(out, "dataDirSize={}", view.data_dir_size_bytes)?;
    writeln!(out, "dataLogDir={}", row.data_log_dir)?;
    writeln!(out, "dataLogSize={}", view.log_dir_size_bytes)?;
    writeln!(out, "tickTime={}", row.tick_time_ms)?;
    writeln!(out, "maxClientCnxns={}", row.max_client_connections)?;
    writeln!(out, "minSessionTimeout={}", row.min_session_timeout_ms)?;
    writeln!(out, "maxSessionTimeout={}", row.max_session_timeout_ms)?;
    writeln!(out, "clientPortListenBacklog={}", row.client_port_listen_backlog)?;
    writeln!(out, "serverId={}", row.server_id)?;
    let Some(quorum) = &row.quorum else { return Ok(()) };
    let ports = |ports: &[u16]| ports.iter().map(u16::to_string).collect::<Vec<_>>().join("|");
    writeln!(out, "initLimit={}", quorum.init_limit)?;
    writeln!(out, "syncLimit={}", quorum.sync_limit)?;
    writeln!(out, "electionAlg={}", quorum.election_algorithm)?;
    writeln!(out, "electionPort={}", ports(&quorum.election_ports))?;
    writeln!(out, "quorumPort={}", ports(&quorum.quorum_ports))?;
    writeln!(out, "peerType={}", u8::from(quorum.observer))?;
    match &quorum.membership {
        // The blank after the colon is there, the newline at the very end is not.
        Some(membership) => write!(out, "membership: \n{membership}"),
        None => Ok(()),
    }
}

fn connection(view: &ConnectionView, brief: bool, out: &mut impl Write) -> fmt::Result {
    let ConnectionView { address, interest_ops, queued, received, sent, .. } = view;
    write!(out, " {}[{interest_ops:x}](queued={queued},recved={received},sent={sent}", JavaAddress(*address))?;
    if let Some(session) = view.session.as_ref().filter(|session| !brief && session.id != SessionId::NONE) {
        let ConnectionSession { id, last_operation, established_ms, timeout_ms, .. } = session;
        write!(out, ",sid={id},lop={last_operation},est={established_ms},to={timeout_ms}")?;
        if session.last_cxid >= 0 {
            write!(out, ",lcxid={:#x}", session.last_cxid)?;
        }
        write!(out, ",lzxid={:#x},lresp={}", session.last_zxid, session.last_response_ms)?;
        let (last, min) = (session.last_latency_ms, session.min_latency_ms);
        write!(out, ",llat={last},minlat={min},avglat={},maxlat={}", session.average_latency_ms, session.max_latency_ms)?;
    }
    out.write_str(")\n")
}

fn statistics(view: &ServerView<'_>, with_clients: bool, out: &mut impl Write) -> fmt::Result {
    let statistics = &view.statistics;
    writeln!(out, "Zookeeper version: {}", view.version)?;
    if view.mode == Mode::ReadOnly {
        writeln!(out, "READ-ONLY mode; serving only read-only clients")?;
    }
    if with_clients {
        writeln!(out, "Clients:")?;
        view.connections.iter().try_for_each(|connection| self::connection(connection, true, out))?;
        writeln!(out)?;
    }
    let (min, average, max) = (statistics.latency_min_ms, JavaDouble(statistics.latency_average_ms), statistics.latency_max_ms);
    writeln!(out, "Latency min/avg/max: {min}/{average}/{max}")?;
    writeln!(out, "Received: {}", statistics.packets_received)?;
    writeln!(out, "Sent: {}", statistics.packets_sent)?;
    writeln!(out, "Connections: {}", statistics.connections)?;
    writeln!(out, "Outstanding: {}", statistics.outstanding)?;
    writeln!(out, "Zxid: {}", statistics.zxid)?;
    writeln!(out, "Mode: {}", view.mode.word())?;
    writeln!(out, "Node count: {}", statistics.nodes)?;
    if view.mode == Mode::Leader {
        let [last, min, max] = statistics.proposal_sizes;
        writeln!(out, "Proposal sizes last/min/max: {last}/{min}/{max}")?;
    }
    Ok(())
}

fn dump(view: &ServerView<'_>, out: &mut impl Write) -> fmt::Result {
    let utc;
    let zone = match view.zone {
        Some(zone) => zone,
        None => {
            utc = Zone::utc();
            &utc
        }
    };
    writeln!(out, "SessionTracker dump:")?;
    match &view.sessions {
        SessionsView::Tracked { local, global } => {
            if let Some(local) = local {
                out.write_str("Local ")?;
                session_sets(local, zone, out)?;
                out.write_str("Global ")?;
            }
            session_sets(global, zone, out)?;
        }
        SessionsView::Learner { local, global } => {
            if let Some(local) = local {
                out.write_str("Local ")?;
                session_sets(local, zone, out)?;
            }
            writeln!(out, "Global Sessions({}):", global.len())?;
            let mut sorted = global.clone();
            sorted.sort_unstable();
            sorted.iter().try_for_each(|(session, timeout_ms)| writeln!(out, "{session}\t{timeout_ms}ms"))?;
        }
    }
    writeln!(out, "ephemeral nodes dump:")?;
    writeln!(out, "Sessions with Ephemerals ({}):", view.ephemeral_sessions)?;
    if let Some(ephemerals) = view.ephemerals {
        ephemerals.walk(&mut |entry| match entry {
            Entry::Session(session) => writeln!(out, "{session}:"),
            Entry::Path(path) => writeln!(out, "\t{path}"),
        })?;
    }
    writeln!(out, "Connections dump:")?;
    let connections: usize = view.connection_buckets.iter().map(|bucket| bucket.connections.len()).sum();
    writeln!(out, "Connections Sets ({})/({connections}):", view.connection_buckets.len())?;
    let mut buckets: Vec<&ConnectionBucket> = view.connection_buckets.iter().collect();
    buckets.sort_by_key(|bucket| bucket.expires_ms);
    buckets.iter().try_for_each(|bucket| {
        bucket_head(bucket.connections.len(), bucket.expires_ms, zone, out)?;
        bucket.connections.iter().try_for_each(|(address, session)| writeln!(out, "\tip: {} sessionId: {session}", JavaAddress(*address)))
    })
}

fn session_sets(buckets: &[SessionBucket], zone: &Zone, out: &mut impl Write) -> fmt::Result {
    let sessions: usize = buckets.iter().map(|bucket| bucket.sessions.len()).sum();
    writeln!(out, "Session Sets ({})/({sessions}):", buckets.len())?;
    let mut sorted: Vec<&SessionBucket> = buckets.iter().collect();
    sorted.sort_by_key(|bucket| bucket.expires_ms);
    sorted.iter().try_for_each(|bucket| {
        bucket_head(bucket.sessions.len(), bucket.expires_ms, zone, out)?;
        bucket.sessions.iter().try_for_each(|session| writeln!(out, "\t{session}"))
    })
}

fn bucket_head(members: usize, expires_ms: i64, zone: &Zone, out: &mut impl Write) -> fmt::Result {
    writeln!(out, "{members} expire at {}:", JavaDate { epoch_ms: expires_ms, zone })
}

fn watches(listing: Option<&dyn Listing>, by_path: bool, out: &mut impl Write) -> fmt::Result {
    if let Some(listing) = listing {
        listing.walk(&mut |entry| match (entry, by_path) {
            (Entry::Path(path), true) => writeln!(out, "{path}"),
            (Entry::Session(session), true) => writeln!(out, "\t{session}"),
            (Entry::Session(session), false) => writeln!(out, "{session}"),
            (Entry::Path(path), false) => writeln!(out, "\t{path}"),
        })?;
    }
    writeln!(out)
}

fn monitor(view: &ServerView<'_>, out: &mut impl Write) -> fmt::Result {
    let mut line = |key: &str, value: Value<'_>| writeln!(out, "zk_{key}\t{value}");
    line("version", Value::Text(view.version))?;
    line("server_state", Value::Text(view.mode.word()))?;
    let Some(metrics) = view.metrics else { return Ok(()) };
    if let Some(peer_state) = metrics.peer_state {
        line("peer_state", Value::Text(peer_state))?;
    }
    if let Some(id) = metrics.observer_master_id {
        line("observer_master_id", Value::Integer(id))?;
    }
    let Some(families) = metrics.families else { return report(metrics.reading, metrics.gauges, line) };
    let mut written = Ok(());
    for family in families.iter().filter(|family| !family.is_own()) {
        family.each_key(|key, value| written = written.and_then(|()| line(key, Value::Decimal(value))));
    }
    written
}

/// Collects text and hands it on in pieces, so that an answer of any length needs little memory here:
/// whoever takes the pieces sets the pace, and ends the answer with an error when its bound is reached
/// or the client has gone.
pub struct Chunks<F: FnMut(&[u8]) -> fmt::Result> {
    buffer: String,
    take: F,
}

impl<F: FnMut(&[u8]) -> fmt::Result> Chunks<F> {
    /// A piece is handed on once it has this many bytes; it is longer by at most one line.
    pub const CHUNK_BYTES: usize = 16 * 1024;

    /// Hands pieces to `take`.
    pub fn new(take: F) -> Self {
        Self { buffer: String::new(), take }
    }

    /// Hands on what is left. Not called, it is lost.
    pub fn finish(mut self) -> fmt::Result {
        if self.buffer.is_empty() { Ok(()) } else { (self.take)(self.buffer.as_bytes()) }
    }
}

impl<F: FnMut(&[u8]) -> fmt::Result> Write for Chunks<F> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.buffer.push_str(text);
        if self.buffer.len() < Self::CHUNK_BYTES {
            return Ok(());
        }
        let handed = (self.take)(self.buffer.as_bytes());
        self.buffer.clear();
        handed
    }
}
