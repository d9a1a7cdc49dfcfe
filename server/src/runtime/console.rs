//! What the console's page asks for, as JSON below `/api/`: an overview, watches, a znode, the largest znodes; and,
//! where the configuration allows it, changes of a znode.
//!
//! Data and children are shown only to whom the znode's ACL grants READ: the address of the socket, and the digest of
//! a login that comes with each request. Nothing is kept of a login.

use super::admin::Attached;
use super::loopback::{self, Change};
use super::shared::unpoisoned;
use crate::admin::http::{Body, Request, Response};
use crate::admin::json::Json;
use crate::admin::page::Page;
use crate::config::AdminConfig;
use crate::four_letter::{Entry, Needs};
use crate::metrics::{Reading, Summary, SummaryReading, SummarySet};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use oxkeeper_auth::{Identity, add_identity};
use oxkeeper_proto::{AclList, ErrorCode, perms};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Lists are cut off here.
const MOST_CONNECTIONS: usize = 500;
const MOST_WATCHED_PATHS: usize = 200;
const MOST_CHILDREN: usize = 5000;
const MOST_NAMESPACES: usize = 20;
const MOST_BUSY_PATHS: usize = 50;
/// Bytes of data that are shown, and that can be written.
const MOST_DATA_BYTES: usize = 64 << 10;
/// How many of the largest znodes are shown.
const LARGEST: usize = 20;
/// Znodes that a search for the largest ones looks at, and for how long its outcome serves.
const MOST_SEARCHED: usize = 200_000;
const SEARCH_LASTS: Duration = Duration::from_secs(60);
/// Znodes that are looked at under one lock: some tens of microseconds.
const SEARCHED_AT_ONCE: usize = 200;

/// Answers what is not a command.
pub fn handle(
    page: &Page,
    config: &AdminConfig,
    attached: Option<&Attached>,
    turn: &Mutex<()>,
    request: &Request,
    body: &mut Body<'_, '_>,
) -> Response {
    let path = request.path.as_str();
    if path == "/" || path == "/index.html" {
        return if request.method == "POST" { Response::empty(405).with("Allow", "GET, HEAD") } else { page.response() };
    }
    let Some(name) = path.strip_prefix("/api/") else { return Response::failure(404, "There is nothing here.") };
    let Some(attached) = attached.filter(|attached| !attached.shared.stopping()) else { return refuse(503, "The server is not serving.") };
    if request.field("sec-fetch-site") == Some("cross-site") {
        return refuse(403, "A page of another site may not ask.");
    }
    match (request.method.as_str(), name) {
        ("POST", "node") if config.console_edit => edit(attached, request, body),
        ("POST", "node") => refuse(403, "Changes are off: oxkeeper.console.edit=true in zoo.cfg allows them."),
        ("POST", _) => Response::empty(405).with("Allow", "GET, HEAD"),
        (_, "overview") => {
            let _turn = unpoisoned(turn.lock());
            overview(attached, config)
        }
        (_, "watches") => {
            let _turn = unpoisoned(turn.lock());
            watches(attached)
        }
        (_, "largest") => largest(attached),
        (_, "node") => node(attached, request),
        _ => Response::failure(404, "There is nothing here."),
    }
}

fn answer(status: u16, fill: impl FnOnce(&mut Json)) -> Response {
    let mut json = Json::default();
    json.object(fill);
    Response::text(status, "application/json", json.into_text())
}

fn refuse(status: u16, error: &str) -> Response {
    answer(status, |json| json.key("error").text(error))
}

fn overview(attached: &Attached, config: &AdminConfig) -> Response {
    let shared = &attached.shared;
    let needs =
        Needs { connections: true, statistics: true, watch_summary: true, directory_sizes: true, busy_paths: true, ..Needs::default() };
    let (ephemerals, data_bytes) = {
        let tree = shared.tree();
        (tree.ephemeral_count(), tree.approximate_data_size())
    };
    let sessions = shared.core().sessions().len();
    let reading = shared.metrics.read();
    let quorum = attached.quorum();
    attached.words.gather(needs, |view| {
        answer(200, |json| {
            let statistics = &view.statistics;
            json.key("version").text(view.version);
            json.key("serving").boolean(view.serving);
            json.key("mode").text(view.mode.word());
            json.key("edit").boolean(config.console_edit);
            json.key("commands").text(&config.command_url);
            json.key("uptime_ms").integer(shared.started.elapsed().as_millis() as u64);
            json.key("zxid").text(&statistics.zxid.to_string());
            json.key("nodes").integer(statistics.nodes);
            json.key("ephemerals").integer(ephemerals as u64);
            json.key("data_bytes").integer(data_bytes);
            json.key("snapshot_dir_bytes").integer(view.data_dir_size_bytes);
            json.key("log_dir_bytes").integer(view.log_dir_size_bytes);
            json.key("sessions").integer(sessions as u64);
            json.key("outstanding").integer(statistics.outstanding);
            json.key("received").integer(statistics.packets_received);
            json.key("sent").integer(statistics.packets_sent);
            json.key("watches").integer(view.watch_summary.watches as u64);
            json.key("watched_paths").integer(view.watch_summary.paths as u64);
            for (key, summary) in [("reads", Summary::ReadLatency), ("updates", Summary::UpdateLatency), ("fsyncs", Summary::FsyncTime)] {
                distribution(json, key, reading.summary(summary));
            }
            json.key("connection_count").integer(view.connections.len() as u64);
            json.key("connections").array(|json| {
                // Where not all can be shown, those that have asked for most.
                let mut connections: Vec<_> = view.connections.iter().collect();
                if connections.len() > MOST_CONNECTIONS {
                    connections.sort_by_key(|connection| Reverse(connection.received));
                }
                for connection in connections.into_iter().take(MOST_CONNECTIONS) {
                    json.object(|json| {
                        json.key("address").text(&connection.address.to_string());
                        json.key("queued").integer(connection.queued);
                        json.key("received").integer(connection.received);
                        json.key("sent").integer(connection.sent);
                        let session = connection.session.as_ref();
                        json.key("session").text(&session.map_or("none".to_owned(), |session| session.id.to_string()));
                        json.key("last_operation").text(session.map_or("NA", |session| session.last_operation));
                        json.key("timeout_ms").integer(session.map_or(0, |session| session.timeout_ms));
                        json.key("average_ms").integer(session.map_or(0, |session| session.average_latency_ms));
                        json.key("max_ms").integer(session.map_or(0, |session| session.max_latency_ms));
                    });
                }
            });
            busiest(json, &reading);
            json.key("busy_paths_on").boolean(shared.busy_paths.is_on());
            json.key("busy_paths").array(|json| {
                for busy in view.busy_paths.iter().take(MOST_BUSY_PATHS) {
                    json.object(|json| {
                        json.key("path").text(&busy.path);
                        json.key("reads").decimal(busy.reads);
                        json.key("writes").decimal(busy.writes);
                    });
                }
            });
            json.key("members").array(|json| {
                let Some(quorum) = &quorum else { return };
                for member in &quorum.voters {
                    json.object(|json| {
                        json.key("sid").integer(member.sid);
                        json.key("address").text(member.server_addresses.first().map_or("", String::as_str));
                        json.key("client").text(&member.client_address);
                        json.key("role").text(if member.sid == quorum.leader_id { "leader" } else { "follower" });
                        json.key("self").boolean(member.sid == quorum.my_id);
                    });
                }
                for observer in &quorum.observers {
                    json.object(|json| {
                        json.key("sid").integer(observer.sid);
                        json.key("address").text(&observer.remote_address);
                        json.key("client").text("");
                        json.key("role").text("observer");
                        json.key("self").boolean(observer.sid == quorum.my_id);
                    });
                }
            });
        })
    })
}

fn distribution(json: &mut Json, key: &str, summary: &SummaryReading) {
    json.key(key).object(|json| {
        json.key("count").integer(summary.count);
        json.key("sum_ms").integer(summary.sum);
        json.key("max_ms").integer(summary.max);
        if let Some([p50, p95, p99, p999]) = summary.percentiles {
            for (key, value) in [("p50_ms", p50), ("p95_ms", p95), ("p99_ms", p99), ("p999_ms", p999)] {
                json.key(key).integer(value);
            }
        }
    });
}

/// First parts of paths by their requests.
fn busiest(json: &mut Json, reading: &Reading) {
    let mut names: std::collections::BTreeMap<&str, [i128; 4]> = Default::default();
    for (set, at) in [(SummarySet::ReadPerNamespace, 0), (SummarySet::WritePerNamespace, 2)] {
        for (name, summary) in reading.summary_set(set) {
            let row = names.entry(name).or_default();
            row[at] = i128::from(summary.count);
            row[at + 1] = i128::from(summary.sum);
        }
    }
    let mut sorted: Vec<_> = names.into_iter().collect();
    sorted.sort_by_key(|(_, row)| Reverse(row[0] + row[2]));
    json.key("busiest").array(|json| {
        for (name, row) in sorted.into_iter().take(MOST_NAMESPACES) {
            json.object(|json| {
                json.key("path").text(&format!("/{name}"));
                for (key, value) in ["reads", "read_bytes", "writes", "write_bytes"].iter().zip(row) {
                    json.key(key).integer(value);
                }
            });
        }
    });
}

fn watches(attached: &Attached) -> Response {
    attached.words.gather(Needs { watches_by_path: true, ..Needs::default() }, |view| {
        let mut counts: Vec<(String, u64)> = Vec::new();
        let walked = view.watches_by_path.map(|listing| {
            listing.walk(&mut |entry| {
                match entry {
                    Entry::Path(path) => counts.push((path.to_owned(), 0)),
                    Entry::Session(_) => counts.last_mut().expect("a path comes first").1 += 1,
                }
                Ok(())
            })
        });
        debug_assert!(walked.is_none_or(|walked| walked.is_ok()));
        counts.sort_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
        answer(200, |json| {
            json.key("paths").integer(counts.len() as u64);
            json.key("watches").array(|json| {
                for (path, watchers) in counts.iter().take(MOST_WATCHED_PATHS) {
                    json.object(|json| {
                        json.key("path").text(path);
                        json.key("watchers").integer(*watchers);
                    });
                }
            });
        })
    })
}

/// As whom a request comes: its address, and the login that it carries. `None` if that proves nothing.
fn identities(attached: &Attached, request: &Request) -> Option<Vec<Identity>> {
    let mut ids = vec![Identity::ip(request.peer.ip())];
    if let Some(proof) = request.field("authorization") {
        attached.identities(request, proof)?.into_iter().for_each(|identity| add_identity(&mut ids, identity));
    }
    Some(ids)
}

fn node(attached: &Attached, request: &Request) -> Response {
    let path = request.parameter("path").unwrap_or("/");
    let Some(ids) = identities(attached, request) else { return refuse(401, "That login is not accepted.") };
    let schemes = &attached.shared.schemes;
    let tree = attached.shared.tree();
    let Some(node) = tree.get(path).filter(|_| path.starts_with('/')) else {
        drop(tree);
        return refuse(404, "There is no such znode.");
    };
    let may_read = schemes.permits(node.acl(), perms::READ, &ids);
    let may_see_acl = may_read || schemes.permits(node.acl(), perms::ADMIN, &ids);
    let stat = node.stat();
    let child_count = node.child_count();
    let data: Option<Vec<u8>> = may_read.then(|| node.data().map(|data| data[..data.len().min(MOST_DATA_BYTES)].to_vec())).flatten();
    let acl: Option<AclList> = may_see_acl.then(|| schemes.mask_digests(node.acl(), &ids));
    let mut children: Vec<String> = if may_read { node.children().take(MOST_CHILDREN).map(str::to_owned).collect() } else { Vec::new() };
    drop(tree);
    children.sort_unstable();
    answer(200, |json| {
        json.key("path").text(path);
        json.key("may_read").boolean(may_read);
        json.key("stat").object(|json| {
            // Texts, since a browser's numbers do not hold 64 bits.
            for (key, value) in
                [("czxid", stat.czxid), ("mzxid", stat.mzxid), ("pzxid", stat.pzxid), ("ephemeralOwner", stat.ephemeral_owner)]
            {
                json.key(key).text(&format!("{value:#x}"));
            }
            json.key("ctime").integer(stat.ctime);
            json.key("mtime").integer(stat.mtime);
            for (key, value) in
                [("version", stat.version), ("cversion", stat.cversion), ("aclVersion", stat.aversion), ("dataLength", stat.data_length)]
            {
                json.key(key).integer(value);
            }
            json.key("numChildren").integer(stat.num_children);
        });
        match &data {
            None => json.key("data").null(),
            Some(data) => match std::str::from_utf8(data) {
                Ok(text) => {
                    json.key("encoding").text("text");
                    json.key("data").text(text);
                }
                Err(_) => {
                    json.key("encoding").text("base64");
                    json.key("data").text(&STANDARD.encode(data));
                }
            },
        }
        json.key("is_cut_off").boolean(data.as_ref().is_some_and(|data| (data.len() as i64) < i64::from(stat.data_length)));
        json.key("acl").array(|json| {
            for entry in acl.iter().flat_map(|acl| acl.iter()) {
                json.text(&format!("{}:{}:{}", entry.scheme, entry.id, letters(entry.perms)));
            }
        });
        json.key("child_count").integer(child_count as u64);
        json.key("children").array(|json| children.iter().for_each(|child| json.text(child)));
    })
}

/// Permissions as zkCli writes them.
fn letters(bits: i32) -> String {
    [(perms::CREATE, 'c'), (perms::DELETE, 'd'), (perms::READ, 'r'), (perms::WRITE, 'w'), (perms::ADMIN, 'a')]
        .into_iter()
        .filter(|(bit, _)| bits & bit != 0)
        .map(|(_, letter)| letter)
        .collect()
}

fn edit(attached: &Attached, request: &Request, body: &mut Body<'_, '_>) -> Response {
    let (Some(path), Some(what)) = (request.parameter("path"), request.parameter("do")) else {
        return refuse(400, "path and do are wanted.");
    };
    // A login, and not an address alone, so that no page of another site can have a browser do this.
    let Some(login) = request.field("authorization").and_then(|proof| proof.strip_prefix("digest ")) else {
        return refuse(401, "Log in first: changes are made as a user.");
    };
    let Some(ids) = identities(attached, request) else { return refuse(401, "That login is not accepted.") };
    if !path.starts_with('/') || path.len() < 2 {
        return refuse(400, "The path must begin with a slash, and the root cannot be changed.");
    }
    let version = match request.parameter("version").map_or(Ok(-1), str::parse) {
        Ok(version) => version,
        Err(_) => return refuse(400, "The version is no number."),
    };
    let Ok(data) = body.read_all(MOST_DATA_BYTES) else { return refuse(413, "The data cannot be read, or is longer than 64 KB.") };
    let parent = match path.rfind('/') {
        Some(0) | None => "/",
        Some(slash) => &path[..slash],
    };
    let (guard, needed, change) = match what {
        "create" => (parent, perms::CREATE, Change::Create { data: &data }),
        "set" => (path, perms::WRITE, Change::Set { data: &data, version }),
        "delete" => (parent, perms::DELETE, Change::Delete { version }),
        _ => return refuse(400, "do is create, set or delete."),
    };
    {
        let tree = attached.shared.tree();
        let Some(node) = tree.get(guard) else { return refuse(404, "There is no such znode.") };
        if !attached.shared.schemes.permits(node.acl(), needed, &ids) {
            return refuse(403, "The ACL does not grant that to you.");
        }
    }
    let host = attached.shared.config.client_port_address.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let server = SocketAddr::new(host, attached.shared.client_port());
    log::info!("Console: {} {what}s {path} as {}", request.peer, login.split(':').next().unwrap_or_default());
    match loopback::change(server, &[("digest", login.as_bytes())], path, &change) {
        Ok(Ok(())) => answer(200, |json| json.key("done").boolean(true)),
        Ok(Err(ErrorCode::BAD_VERSION)) => refuse(409, "Somebody has changed it since: load it again."),
        Ok(Err(ErrorCode::NODE_EXISTS)) => refuse(409, "It exists already."),
        Ok(Err(ErrorCode::NO_NODE)) => refuse(404, "There is no such znode."),
        Ok(Err(ErrorCode::NOT_EMPTY)) => refuse(409, "It has children."),
        Ok(Err(ErrorCode::NO_AUTH)) => refuse(403, "The ACL does not grant that to you."),
        Ok(Err(error)) => refuse(409, &format!("The server refused it: error {}.", error.0)),
        Err(error) => refuse(500, &format!("The server could not be asked: {error}.")),
    }
}

/// The last search for the largest znodes.
#[derive(Default)]
pub struct Largest(Mutex<Option<Found>>);

struct Found {
    at: Instant,
    searched: usize,
    is_whole: bool,
    by_data: Vec<(usize, String)>,
    by_children: Vec<(usize, String)>,
}

fn largest(attached: &Attached) -> Response {
    let mut found = unpoisoned(attached.largest.0.lock());
    if found.as_ref().is_none_or(|found| found.at.elapsed() > SEARCH_LASTS) {
        *found = Some(search(attached));
    }
    let found = found.as_ref().expect("made above");
    let list = |json: &mut Json, key: &str, list: &[(usize, String)]| {
        json.key(key).array(|json| {
            for (size, path) in list {
                json.object(|json| {
                    json.key("path").text(path);
                    json.key("size").integer(*size as u64);
                });
            }
        });
    };
    answer(200, |json| {
        json.key("searched").integer(found.searched as u64);
        json.key("is_whole").boolean(found.is_whole);
        list(json, "by_data", &found.by_data);
        list(json, "by_children", &found.by_children);
    })
}

/// Walks through what everybody may read, a little under each lock.
fn search(attached: &Attached) -> Found {
    let mut by_data = Best::default();
    let mut by_children = Best::default();
    let mut open = vec!["/".to_owned()];
    let mut searched = 0;
    while searched < MOST_SEARCHED && !open.is_empty() && !attached.shared.stopping() {
        let tree = attached.shared.tree();
        let mut looked_at = 0;
        while looked_at < SEARCHED_AT_ONCE
            && let Some(path) = open.pop()
        {
            looked_at += 1;
            let Some(node) = tree.get(&path) else { continue };
            by_data.offer(node.data().map_or(0, <[u8]>::len), &path);
            by_children.offer(node.child_count(), &path);
            if attached.shared.schemes.permits(node.acl(), perms::READ, &[]) {
                let base = if path == "/" { "" } else { &path };
                let room = MOST_SEARCHED.saturating_sub(searched + open.len());
                let before = open.len();
                open.extend(node.children().take(room.min(MOST_CHILDREN)).map(|child| format!("{base}/{child}")));
                looked_at += (open.len() - before) / 8;
            }
        }
        drop(tree);
        searched += looked_at;
    }
    let is_whole = open.is_empty() && searched < MOST_SEARCHED;
    Found { at: Instant::now(), searched, is_whole, by_data: by_data.sorted(), by_children: by_children.sorted() }
}

/// The greatest few.
#[derive(Default)]
struct Best(BinaryHeap<Reverse<(usize, String)>>);

impl Best {
    fn offer(&mut self, size: usize, path: &str) {
        if size > 0 && (self.0.len() < LARGEST || self.0.peek().is_some_and(|Reverse((least, _))| *least < size)) {
            self.0.push(Reverse((size, path.to_owned())));
            if self.0.len() > LARGEST {
                self.0.pop();
            }
        }
    }

    fn sorted(self) -> Vec<(usize, String)> {
        self.0.into_sorted_vec().into_iter().map(|Reverse(entry)| entry).collect()
    }
}
