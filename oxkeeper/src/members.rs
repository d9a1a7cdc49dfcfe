//! What `oxkeeper preflight` asks of the other members of a running ensemble before one of them is exchanged: versions, roles,
//! who is in sync, whether the rest is a quorum, and whether all mean the same ensemble. What stands in files is `preflight`'s.
//!
//! It asks as an operator would, with four-letter words. Members that do not allow `conf` (the default of Java's servers) are
//! asked for `/zookeeper/config` over a session of a moment, which is the only trace that is left.

use crate::preflight::Report;
use crate::words;
use oxkeeper_driver::ZooKeeper;
use oxkeeper_server::config::table::{self, Status};
use oxkeeper_server::config::{EnsembleConfig, ServerConfig};
use oxkeeper_tools::EXIT_UNEXPECTED_ERROR;
use oxkeeper_zab::{Config, Member, MemberRole, Sid};
use std::collections::BTreeMap;
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::Duration;

/// For each question.
const PATIENCE: Duration = Duration::from_secs(3);
const SESSION_TIMEOUT_MS: i32 = 4000;

/// Versions that were exchanged for ours and back in tests, and the oldest one whose ensembles have versions at all.
const TRIED: [[u32; 2]; 2] = [[3, 8], [3, 9]];
const OLDEST: [u32; 2] = [3, 5];

/// Figures of `mntr` that tell of a feature in use, and the option that switches it on.
const TRACES: &[(&str, &str)] = &[
    ("zk_local_sessions", "localSessionsEnabled"),
    ("zk_observer_master_connections", "observerMasterPort"),
    ("zk_observer_masters_connections", "observerMasterPort"),
];

/// What a member says of itself.
#[derive(Debug)]
struct Seen {
    /// What a client would call it, and what it is called in the report.
    address: String,
    /// Without what stands behind the first hyphen.
    version: String,
    /// `leader`, `follower`, `observer`, `read-only`; empty while it serves nobody.
    mode: String,
    zxid: String,
    /// Who it thinks is in the ensemble, or why it does not say.
    config: Result<Config, String>,
    /// initLimit, syncLimit and tickTime, where it allows `conf`.
    limits: BTreeMap<String, String>,
    /// `mntr`, where it allows it.
    figures: BTreeMap<String, String>,
}

/// Asks all members at once, and says what it means for the exchange of this one.
pub fn check(report: &mut Report, config: &ServerConfig, ensemble: &EnsembleConfig) {
    let members = &ensemble.config.members;
    let answers: BTreeMap<Sid, Result<Seen, String>> = std::thread::scope(|scope| {
        let asked: Vec<_> =
            members.iter().map(|(sid, member)| (*sid, scope.spawn(move || ask(member, client_port(config, ensemble, member))))).collect();
        asked.into_iter().map(|(sid, thread)| (sid, thread.join().expect("asking does not panic"))).collect()
    });
    let name = |sid: Sid| if sid == ensemble.my_id { format!("server.{sid} (this one)") } else { format!("server.{sid}") };
    if answers.values().all(Result::is_err) {
        report.odd("no member of the ensemble answers: it is not running, and there is nothing to compare with");
        return;
    }
    for (sid, answer) in &answers {
        match answer {
            Ok(seen) => judge_member(report, &name(*sid), seen, config, ensemble),
            Err(why) => report.odd(&format!("{}: {why}", name(*sid))),
        }
    }
    judge_whole(report, &answers, ensemble);
}

/// Where clients find a member. Without a port on its own line, the one of this member's zoo.cfg is what all are likely to have.
fn client_port(config: &ServerConfig, ensemble: &EnsembleConfig, member: &Member) -> Option<u16> {
    member.client.as_ref().map(|client| client.port).or((ensemble.takes_clients && config.client_port > 0).then_some(config.client_port))
}

fn ask(member: &Member, client_port: Option<u16>) -> Result<Seen, String> {
    let own = member.addresses.first().ok_or("it has no address")?;
    // 0.0.0.0 and [::] say where it listens, not where it is.
    let named = member.client.as_ref().map(|client| client.host.as_str());
    let host = named.filter(|host| !matches!(*host, "0.0.0.0" | "::" | "0:0:0:0:0:0:0:0")).unwrap_or(&own.host);
    let port = client_port.ok_or("no client port is known of it: its own line names none")?;
    let address = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    let srvr = words::ask(host, port, "srvr", PATIENCE).map_err(|failure| {
        let votes = format!("{}", own.election());
        let is_there = (own.host.as_str(), own.election_port)
            .to_socket_addrs()
            .is_ok_and(|mut addresses| addresses.any(|address| TcpStream::connect_timeout(&address, PATIENCE).is_ok()));
        let whether =
            if is_there { "is open: check its client port" } else { "is closed, too: it is down, or cannot be reached from here" };
        format!("{failure}; its election port {votes} {whether}")
    })?;
    let field = |name: &str| words::value(&srvr, name).unwrap_or_default().to_owned();
    let version = field("Zookeeper version");
    let version = version.split([',', '-']).next().unwrap_or_default().to_owned();
    let mut seen = Seen {
        address,
        version,
        mode: field("Mode"),
        zxid: field("Zxid"),
        config: Err("it serves nobody".to_owned()),
        limits: BTreeMap::new(),
        figures: BTreeMap::new(),
    };
    if seen.mode.is_empty() {
        return Ok(seen);
    }
    let allowed = |word: &str| words::ask(host, port, word, PATIENCE).ok().filter(|text| !text.contains("is not executed because"));
    if let Some(text) = allowed("mntr") {
        seen.figures = text.lines().filter_map(|line| line.split_once('\t')).map(|(key, value)| (key.into(), value.into())).collect();
    }
    seen.config = match allowed("conf") {
        Some(text) => {
            let lines = text.lines().filter_map(|line| line.split_once('='));
            let limits = lines.filter(|(key, _)| matches!(*key, "tickTime" | "initLimit" | "syncLimit"));
            seen.limits = limits.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
            membership(&text)
        }
        None => configured(&seen.address),
    };
    Ok(seen)
}

/// The lines of `conf`, or of `/zookeeper/config`, that name members.
fn membership(text: &str) -> Result<Config, String> {
    let is_ours = |key: &str| ["server.", "group.", "weight."].iter().any(|start| key.starts_with(start)) || key == "version";
    let entries = text.lines().filter_map(|line| line.trim().split_once('=')).filter(|(key, _)| is_ours(key));
    Config::from_entries(entries).map_err(|error| error.to_string())
}

fn configured(address: &str) -> Result<Config, String> {
    let failed = |error: oxkeeper_driver::Error| format!("/zookeeper/config cannot be read there ({error})");
    let session = ZooKeeper::connect(address, SESSION_TIMEOUT_MS).map_err(failed)?;
    if !session.wait_connected(PATIENCE).is_connected() {
        return Err(format!("it opens no session within {} s", PATIENCE.as_secs()));
    }
    let read = session.get_config(false);
    session.close();
    let (data, _) = read.map_err(failed)?;
    membership(&String::from_utf8_lossy(&data.unwrap_or_default()))
}

fn judge_member(report: &mut Report, name: &str, seen: &Seen, config: &ServerConfig, ensemble: &EnsembleConfig) {
    let Seen { address, version, mode, zxid, .. } = seen;
    if mode.is_empty() {
        report.odd(&format!("{name} at {address} runs, and serves nobody: it is in no quorum"));
        return;
    }
    let number = |at: usize| version.split('.').nth(at).and_then(|part| part.parse::<u32>().ok()).unwrap_or(0);
    let release = [number(0), number(1)];
    if release < OLDEST {
        report.bad(EXIT_UNEXPECTED_ERROR, &format!("{name} runs {version}: upgrade the ensemble to 3.8 or 3.9 first"));
    } else if !TRIED.contains(&release) {
        report.odd(&format!("{name} runs {version}: an exchange was tried with 3.8 and 3.9 only"));
    }
    match &seen.config {
        Err(why) => report.odd(&format!("{name} at {address}: {version}, {mode}, zxid {zxid}; its configuration is not known: {why}")),
        Ok(theirs) => match differences(&ensemble.config, theirs) {
            wrong if wrong.is_empty() && theirs.version != ensemble.config.version => report.odd(&format!(
                "{name} at {address}: {version}, {mode}, zxid {zxid}, the same members in version {:x} of the configuration, here {:x}",
                theirs.version, ensemble.config.version
            )),
            wrong if wrong.is_empty() => report.good(&format!("{name} at {address}: {version}, {mode}, zxid {zxid}, the same members")),
            wrong => wrong.iter().for_each(|wrong| report.bad(EXIT_UNEXPECTED_ERROR, &format!("{name} means another ensemble: {wrong}"))),
        },
    }
    let ours = [("tickTime", config.tick_time_ms), ("initLimit", ensemble.init_limit), ("syncLimit", ensemble.sync_limit)];
    for (key, value) in ours {
        if let Some(theirs) = seen.limits.get(key).filter(|theirs| **theirs != value.to_string()) {
            report.odd(&format!("{name} has {key}={theirs}, this configuration {value}"));
        }
    }
    for (figure, option) in TRACES {
        let in_use = seen.figures.get(*figure).is_some_and(|value| value.parse::<f64>().is_ok_and(|value| value > 0.0));
        if in_use && table::find(option).is_some_and(|row| matches!(row.status, Status::KnownNotYet(_))) {
            report.bad(EXIT_UNEXPECTED_ERROR, &format!("{name} has {option} in use ({figure} of mntr), which is not there yet"));
        }
    }
}

/// What two configurations do not agree on. Ports for clients may differ: each member knows its own alone.
fn differences(ours: &Config, theirs: &Config) -> Vec<String> {
    let role = |member: &Member| if member.role == MemberRole::Observer { "observer" } else { "participant" };
    let shown = |member: Option<&Member>| match member {
        None => "absent".to_owned(),
        Some(member) => {
            let places = member.addresses.iter().map(|at| format!("{}:{}:{}", at.host, at.quorum_port, at.election_port));
            format!("{}:{}", places.collect::<Vec<_>>().join("|"), role(member))
        }
    };
    let mut sids: Vec<Sid> = ours.members.keys().chain(theirs.members.keys()).copied().collect();
    sids.sort();
    sids.dedup();
    let mut found = Vec::new();
    for sid in sids {
        let [here, there] = [ours, theirs].map(|config| shown(config.members.get(&sid)));
        if here != there {
            found.push(format!("server.{sid} is {there} there, and {here} in this configuration"));
        }
    }
    if ours.groups != theirs.groups || (ours.is_hierarchical() && ours.weights != theirs.weights) {
        found.push("groups or weights differ".to_owned());
    }
    found
}

fn judge_whole(report: &mut Report, answers: &BTreeMap<Sid, Result<Seen, String>>, ensemble: &EnsembleConfig) {
    let mode = |sid: Sid| answers.get(&sid).and_then(|answer| answer.as_ref().ok()).map_or("", |seen| seen.mode.as_str());
    let leaders: Vec<Sid> = answers.keys().copied().filter(|sid| mode(*sid) == "leader").collect();
    let quorum = ensemble.config.quorum();
    let serves = |sid: Sid| matches!(mode(sid), "leader" | "follower");
    let others = quorum.voters().iter().filter(|sid| **sid != ensemble.my_id);
    let serving = others.clone().filter(|sid| serves(**sid)).count();
    match leaders[..] {
        [leader] => {
            let figures = answers[&leader].as_ref().map(|seen| &seen.figures);
            let figure = |key: &str| figures.ok().and_then(|figures| figures.get(key)?.parse::<f64>().ok());
            let followers = quorum.voters().len() - 1;
            if let Some(synced) = figure("zk_synced_followers").filter(|synced| *synced < followers as f64) {
                report.odd(&format!("leader {leader} has {synced} of {followers} followers in sync"));
            }
            if leader == ensemble.my_id {
                report.odd("this member leads: exchange it last");
            }
        }
        [] => report.bad(
            EXIT_UNEXPECTED_ERROR,
            "no member that answers leads: the ensemble has no quorum, or its leader cannot be asked from here",
        ),
        _ => report.bad(
            EXIT_UNEXPECTED_ERROR,
            &format!("servers {leaders:?} all say that they lead: these are several ensembles, or an election is under way"),
        ),
    }
    let others = others.count();
    if !quorum.is_reached(|sid| sid != ensemble.my_id && serves(sid)) {
        let text = format!(
            "without this member {serving} of the {others} other voters serve, which is no quorum: bring them back before it is stopped"
        );
        report.bad(EXIT_UNEXPECTED_ERROR, &text);
    } else if serving < others {
        report.bad(
            EXIT_UNEXPECTED_ERROR,
            &format!("{} of the other voters is missing: bring it back first, or the next failure stops the ensemble", others - serving),
        );
    } else if leaders.len() == 1 {
        report.good(&format!("all {others} other voters serve: this member can be stopped"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configurations_are_compared_line_by_line() {
        let read = |text: &str| membership(text).expect("a configuration");
        let ours = read("server.1=a:2888:3888\nserver.2=b:2888:3888\n");
        let same = read(
            "clientPort=2181\nmembership: \nserver.1=a:2888:3888:participant;0.0.0.0:2181\nserver.2=b:2888:3888:participant\nversion=0\n",
        );
        assert_eq!(differences(&ours, &same), Vec::<String>::new());
        let other = read("server.1=a:2888:3888:observer\nserver.3=c:1:2:participant\nversion=100000002");
        assert_eq!(
            differences(&ours, &other),
            [
                "server.1 is a:2888:3888:observer there, and a:2888:3888:participant in this configuration",
                "server.2 is absent there, and b:2888:3888:participant in this configuration",
                "server.3 is c:1:2:participant there, and absent in this configuration",
            ]
        );
    }
}
