//! The AdminServer as it runs: takes requests from HTTP, asks the running server, answers.
//!
//! It listens from the first moment of a start, when there is not yet a server to ask, to the last of a stop;
//! in between [`AdminServer::attach`] gives it one. What commands print is `admin::commands`', the console page is
//! `admin::console`'s. Nothing here is trusted: addresses are those of the socket, and whoever wants a snapshot
//! must prove an identity that `/` grants everything.

use super::shared::{Shared, unpoisoned};
use super::snapshots::{Job, SnapshotDoor};
use super::start::Failure;
use super::words::Words;
use super::{console, restore};
use crate::admin::commands::{self, AdminCommand, AdminView, MemberView, NOT_SERVING, ObserverView, QuorumView};
use crate::admin::http::{self, Body, Handler, Request, Response};
use crate::admin::json::Json;
use crate::admin::page::Page;
use crate::config::{self, AdminConfig, ServerConfig};
use crate::four_letter::{Mode, environment};
use crate::metrics::{Counter, Summary};
use log::{info, warn};
use oxkeeper_auth::{AuthOutcome, Identity};
use oxkeeper_proto::{Zxid, perms};
use oxkeeper_replica::java_address::JavaAddress;
use oxkeeper_zab::{Member, MemberAddress, Role};
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant, UNIX_EPOCH};

/// Java's code for an AdminServer that cannot start.
pub const EXIT_ADMIN_SERVER: i32 = 4;

/// See the module.
pub struct AdminServer {
    config: AdminConfig,
    attached: RwLock<Option<Arc<Attached>>>,
    /// How often there was a server to ask; after a restore there is another.
    attachments: Mutex<u64>,
    attached_again: Condvar,
    /// One at a time: a long answer costs memory.
    turn: Mutex<()>,
    snapshots: Mutex<RateLimiter>,
    restores: Mutex<RateLimiter>,
    page: Page,
}

/// A server that can be asked.
pub struct Attached {
    pub shared: Arc<Shared>,
    pub words: Words,
    pub snapshots: SnapshotDoor,
    pub largest: console::Largest,
    /// Ends the server, for a restore.
    pub stop: signal_hook::iterator::Handle,
}

impl AdminServer {
    /// Listens and serves from now on, if the configuration says so.
    ///
    /// # Errors
    /// Exit code 4, as Java: the port cannot be had.
    pub fn start(config: &ServerConfig) -> Result<Option<Arc<Self>>, Failure> {
        let Some(config) = &config.operator.admin else { return Ok(None) };
        let shown = config.address.map_or("0.0.0.0".to_owned(), |address| address.to_string());
        let refuse = |error: io::Error| Failure {
            exit_code: EXIT_ADMIN_SERVER,
            message: format!(
                "Unable to start AdminServer, exiting abnormally: Problem starting AdminServer on address {shown}, port {} and command URL \
                 {}: {error} (admin.serverPort sets another port, admin.enableServer=false does without)",
                config.port, config.command_url
            ),
        };
        let listener = http::bind(config.address, config.port).map_err(refuse)?;
        let port = listener.local_addr().map_err(refuse)?.port();
        // Java takes the number for milliseconds with restore, and for microseconds with snapshot.
        let interval = config.rate_limiter_interval;
        let server = Arc::new(Self {
            attached: RwLock::default(),
            attachments: Mutex::default(),
            attached_again: Condvar::new(),
            turn: Mutex::default(),
            snapshots: Mutex::new(RateLimiter::new(Duration::from_micros(interval))),
            restores: Mutex::new(RateLimiter::new(Duration::from_millis(interval))),
            page: Page::new(),
            config: config.clone(),
        });
        let idle_time = Duration::from_millis(u64::from(config.idle_timeout_ms));
        let handler: Arc<dyn Handler> = server.clone();
        std::thread::Builder::new().name("admin".to_owned()).spawn(move || http::serve(&listener, idle_time, &handler)).map_err(refuse)?;
        info!("Started AdminServer on address {shown}, port {port} and command URL {}", config.command_url);
        Ok(Some(server))
    }

    /// From now on there is a server to ask.
    pub fn attach(&self, attached: Attached) {
        *self.attached.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(attached));
        *unpoisoned(self.attachments.lock()) += 1;
        self.attached_again.notify_all();
    }

    /// There is none any more. Waits for the command that is being answered.
    pub fn detach(&self) {
        *self.attached.write().unwrap_or_else(PoisonError::into_inner) = None;
        drop(unpoisoned(self.turn.lock()));
    }

    fn attached(&self) -> Option<Arc<Attached>> {
        self.attached.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn command(&self, name: &str, request: &Request, body: &mut Body<'_, '_>) -> Response {
        let refuse = |status, error: &str| json(status, commands::answer(name, None, Some(error), |_| {}));
        let Some(command) = AdminCommand::find(name) else {
            return refuse(200, &format!("Unknown command: {name}"));
        };
        let attached = self.attached();
        let serving = attached.as_ref().filter(|attached| !attached.shared.stopping());
        if command.needs_service() && serving.is_none() {
            return refuse(200, NOT_SERVING);
        }
        if command.is_guarded()
            && let Some(attached) = serving
            && let Err((status, error)) = attached.admit(request)
        {
            return refuse(status, error);
        }
        if command.is_posted() != (request.method == "POST") {
            // Java fails with a null pointer here.
            let wanted = if command.is_posted() { "POST" } else { "GET, HEAD" };
            return refuse(405, &format!("{name} is asked with {wanted}")).with("Allow", wanted);
        }
        if command.acts() && request.field("sec-fetch-site") == Some("cross-site") {
            return refuse(403, "A page of another site may not ask for this");
        }
        match (command, serving) {
            (AdminCommand::Snapshot, Some(attached)) => self.snapshot(attached, request),
            (AdminCommand::Restore, Some(_)) => match attached {
                Some(attached) => self.restore(attached, body),
                None => refuse(200, NOT_SERVING),
            },
            (AdminCommand::SetTraceMask, _) => set_trace_mask(attached.as_deref(), request),
            _ => self.print(command, attached.as_deref()),
        }
    }

    fn print(&self, command: AdminCommand, attached: Option<&Attached>) -> Response {
        let _turn = unpoisoned(self.turn.lock());
        let Some(attached) = attached else { return json(200, without_server(command)) };
        match command {
            AdminCommand::StatReset => attached.shared.metrics.reset(),
            AdminCommand::ConnectionStatReset => attached.words.reset_connections(),
            AdminCommand::ObserverConnectionStatReset => attached.forget_traffic(),
            _ => {}
        }
        json(200, attached.print(command))
    }

    fn snapshot(&self, attached: &Attached, request: &Request) -> Response {
        let name = AdminCommand::Snapshot.name();
        let refuse = |status, why: &str| {
            warn!("{why}");
            json(status, commands::answer(name, None, None, |_| {}))
        };
        let shared = &attached.shared;
        if !self.config.snapshot_enabled {
            return refuse(503, "Snapshot command is disabled");
        }
        if !shared.config.serialize_last_processed_zxid {
            return refuse(500, "Snapshot command requires serializeLastProcessedZxidEnable flag is set to true");
        }
        if !unpoisoned(self.snapshots.lock()).allow(Instant::now()) {
            shared.metrics.record(|recorder| recorder.add(Counter::SnapshotRateLimitedCount, 1));
            return refuse(429, "Snapshot request was rate limited");
        }
        let streaming = request.parameter("streaming").is_none_or(|value| value.eq_ignore_ascii_case("true"));
        let taken = attached.snapshots.take(shared).and_then(|(zxid, path)| {
            let file = File::open(path)?;
            let length = file.metadata()?.len();
            Ok((zxid, file, length))
        });
        match taken {
            Ok((zxid, file, length)) => {
                let response = if streaming {
                    let content = http::Content::File(file, length);
                    Response { status: 200, fields: vec![("Content-Type", "application/octet-stream".to_owned())], content }
                } else {
                    json(200, commands::answer(name, None, None, |_| {}))
                };
                response.with("last_zxid", zxid.to_string()).with("snapshot_size", length.to_string())
            }
            Err(failure) => {
                shared.metrics.record(|recorder| recorder.add(Counter::SnapshotErrorCount, 1));
                refuse(500, &format!("Exception occurred when taking the snapshot via the snapshot admin command: {failure}"))
            }
        }
    }

    fn restore(&self, attached: Arc<Attached>, body: &mut Body<'_, '_>) -> Response {
        let name = AdminCommand::Restore.name();
        let refuse = |status, why: &str| {
            warn!("{why}");
            json(status, commands::answer(name, None, None, |_| {}))
        };
        let shared = &attached.shared;
        if !self.config.restore_enabled {
            return refuse(503, "Restore command is disabled");
        }
        if !shared.config.serialize_last_processed_zxid {
            return refuse(500, "Restore command requires serializeLastProcessedZxidEnable flag is set to true");
        }
        if !unpoisoned(self.restores.lock()).allow(Instant::now()) {
            shared.metrics.record(|recorder| recorder.add(Counter::RestoreRateLimitedCount, 1));
            return refuse(429, "Restore request was rate limited");
        }
        if shared.config.ensemble.is_some() {
            shared.metrics.record(|recorder| recorder.add(Counter::RestoreErrorCount, 1));
            return json(500, commands::answer(name, None, Some(RESTORE_BY_HAND), |_| {}));
        }
        let begun = Instant::now();
        body.allow(RESTORE_TIME);
        let staged = match restore::stage(shared, body) {
            Ok(staged) => staged,
            Err(failure) => {
                shared.metrics.record(|recorder| recorder.add(Counter::RestoreErrorCount, 1));
                return refuse(500, &format!("Exception occurred when restore snapshot via the restore command: {failure}"));
            }
        };
        let zxid = staged.zxid;
        let before = *unpoisoned(self.attachments.lock());
        *unpoisoned(shared.to_restore.lock()) = Some(staged);
        attached.stop.close();
        // The old server must go before the new one can come.
        drop(attached);
        let mut attachments = unpoisoned(self.attachments.lock());
        while *attachments == before && begun.elapsed() < RESTORE_TIME {
            attachments = self.attached_again.wait_timeout(attachments, Duration::from_secs(1)).unwrap_or_else(PoisonError::into_inner).0;
        }
        drop(attachments);
        if let Some(restored) = self.attached() {
            let elapsed_ms = begun.elapsed().as_millis() as i64;
            restored.shared.metrics.record(|recorder| recorder.observe(Summary::RestoreTime, elapsed_ms));
        }
        json(200, commands::answer(name, None, None, |json| json.key("last_zxid").integer(zxid.0)))
    }
}

/// How long a snapshot may take to come in and to be read.
const RESTORE_TIME: Duration = Duration::from_secs(3600);

/// A member that goes back alone holds what the others do not, or is brought forward again by its leader.
const RESTORE_BY_HAND: &str = "Members of an ensemble are restored together, and at a start only: stop all of them, move log.* and snapshot.* out of \
     version-2 on each (the epoch files stay), run `oxkeeper restore --member --from BACKUP --to DATADIR` on each, start them (docs/backup.md)";

impl Handler for AdminServer {
    fn handle(&self, request: &Request, body: &mut Body<'_, '_>) -> Response {
        let commands = self.config.command_url.as_str();
        let path = request.path.as_str();
        let under_commands = path.strip_prefix(commands).filter(|rest| rest.is_empty() || rest.starts_with('/'));
        match request.method.as_str() {
            "GET" | "HEAD" | "POST" => {}
            "OPTIONS" if under_commands.is_some() => return Response::empty(200).with("Allow", "GET, HEAD, POST, OPTIONS"),
            "TRACE" => return Response::empty(403),
            _ => return Response::empty(405).with("Allow", "GET, HEAD, POST, OPTIONS"),
        }
        match under_commands {
            Some("" | "/") => return list(commands),
            Some(rest) => return self.command(&rest[1..], request, body),
            None => {}
        }
        let attached = self.attached();
        match path {
            "/livez" => Response::text(200, PLAIN, "ok\n"),
            "/readyz" => probe(attached.as_deref(), false),
            "/quorumz" => probe(attached.as_deref(), true),
            "/api/log_level" => log_level(attached.as_deref(), request),
            _ if self.config.console_enabled => console::handle(&self.page, &self.config, attached.as_deref(), &self.turn, request, body),
            _ => Response::failure(404, "There is nothing here."),
        }
    }
}

const PLAIN: &str = "text/plain;charset=utf-8";

fn json(status: u16, text: String) -> Response {
    Response::text(status, "application/json", text)
}

/// Links to all commands, as Java lists them.
fn list(commands: &str) -> Response {
    let line = |command: &AdminCommand| format!("<a href=\"{commands}/{name}\">{name}</a>\n<br/>\n", name = command.name());
    let page: String = AdminCommand::ALL.iter().map(line).collect();
    Response::text(200, "text/html;charset=utf-8", page)
}

/// `/readyz`: whether requests are answered. `/quorumz`: whether writes can be, by a quorum.
fn probe(attached: Option<&Attached>, needs_quorum: bool) -> Response {
    let serving = attached.filter(|attached| !attached.shared.stopping());
    let Some(attached) = serving else { return Response::text(503, PLAIN, "not serving requests\n") };
    let shared = &attached.shared;
    let mode = attached.words.gather(Default::default(), |view| view.serving.then_some(view.mode));
    match mode {
        None => Response::text(503, PLAIN, "not serving requests\n"),
        Some(Mode::ReadOnly) if needs_quorum => Response::text(503, PLAIN, "no quorum: reads only\n"),
        Some(_) if shared.core().out_of_space() => Response::text(503, PLAIN, "the disk is full: reads only\n"),
        Some(mode) => Response::text(200, PLAIN, format!("ok, {}\n", mode.word())),
    }
}

/// The level of the log; POST changes it until the server ends, for those who may have a snapshot.
fn log_level(attached: Option<&Attached>, request: &Request) -> Response {
    let answer = |status, key: &str, text: &str| {
        let mut out = Json::default();
        out.object(|json| json.key(key).text(text));
        json(status, out.into_text())
    };
    if request.method == "POST" {
        let Some(attached) = attached else { return answer(503, "error", NOT_SERVING) };
        if let Err((status, error)) = attached.admit(request) {
            return answer(status, "error", error);
        }
        let level = match request.parameter("level") {
            None | Some("") => None,
            Some(word) => match word.parse() {
                Ok(level) => Some(level),
                Err(_) => return answer(400, "error", "level is off, error, warn, info, debug or trace, or empty for that of the start"),
            },
        };
        crate::logging::set_level(level);
        info!("The level of the log is {} now, as {} asked", log::max_level(), request.peer);
    }
    answer(200, "level", &log::max_level().to_string().to_ascii_lowercase())
}

fn set_trace_mask(attached: Option<&Attached>, request: &Request) -> Response {
    let name = AdminCommand::SetTraceMask.name();
    let refuse = |error: String| json(200, commands::answer(name, Some(&error), None, |_| {}));
    let Some(text) = request.parameter("traceMask") else { return refuse("setTraceMask requires long traceMask argument".to_owned()) };
    let Ok(mask) = text.parse::<i64>() else { return refuse(format!("setTraceMask requires long traceMask argument, got {text}")) };
    if let Some(attached) = attached {
        attached.shared.counters.trace_mask.store(mask as u64, Ordering::Relaxed);
    }
    json(200, commands::answer(name, None, None, |json| json.key("tracemask").integer(mask)))
}

/// The commands that need no server, when there is none.
fn without_server(command: AdminCommand) -> String {
    let version = crate::version::full();
    let environment = environment::gather(&version);
    let server = crate::four_letter::ServerView {
        version: &version,
        environment,
        trace_mask: crate::four_letter::TRACE_MASK_DEFAULT,
        ..Default::default()
    };
    let view = AdminView {
        server: &server,
        quorum: None,
        initial_configuration: None,
        properties: &[],
        last_snapshot: None,
        uptime_ms: 0,
        monotonic_less_wall_ms: 0,
    };
    commands::answer(command.name(), None, None, |json| commands::data(command, &view, json))
}

impl Attached {
    /// What a command prints.
    pub fn print(&self, command: AdminCommand) -> String {
        let shared = &self.shared;
        let quorum = self.quorum();
        let properties = if command == AdminCommand::SystemProperties { self.properties() } else { Vec::new() };
        let initial = (command == AdminCommand::InitialConfiguration && quorum.is_none()).then(|| masked_configuration(&shared.config));
        let now = shared.now();
        self.words.gather(command.needs(), |server| {
            if command.needs_service() && !server.serving {
                return commands::answer(command.name(), None, Some(NOT_SERVING), |_| {});
            }
            let view = AdminView {
                server,
                // Java's has forgotten its server while it looks for a leader, and one that only reads knows no ensemble.
                quorum: quorum.as_ref().filter(|_| server.serving && server.mode != Mode::ReadOnly),
                initial_configuration: initial.as_ref().and_then(Option::as_deref),
                properties: &properties,
                last_snapshot: if command == AdminCommand::LastSnapshot { last_snapshot(&shared.config) } else { None },
                uptime_ms: shared.started.elapsed().as_millis() as u64,
                monotonic_less_wall_ms: now.mono_ms as i64 - now.wall_ms,
            };
            commands::answer(command.name(), commands::own_error(command, &view), None, |json| commands::data(command, &view, json))
        })
    }

    /// What a member knows of its ensemble; a standalone server has none.
    pub fn quorum(&self) -> Option<QuorumView> {
        self.shared.config.ensemble.as_ref()?;
        let core = self.shared.core();
        let peer = core.peer();
        let config = peer.config();
        let own = config.members.get(&peer.me());
        let addresses = |port: fn(&MemberAddress) -> u16| {
            own.iter().flat_map(|member| &member.addresses).map(|address| (address.host.clone(), port(address))).collect()
        };
        let client = |member: Option<&Member>| {
            let client = member.and_then(|member| member.client.as_ref());
            client.map_or_else(String::new, |client| format!("{}:{}", client.host, client.port))
        };
        let leader = peer.leader().and_then(|leader| config.members.get(&leader));
        let voters = config.voters().map(|sid| {
            let member = config.members.get(&sid);
            let texts = |port: fn(&MemberAddress) -> u16| {
                member.iter().flat_map(|member| &member.addresses).map(|address| format!("{}:{}", address.host, port(address))).collect()
            };
            MemberView {
                sid: sid.0,
                server_addresses: texts(|address| address.quorum_port),
                election_addresses: texts(|address| address.election_port),
                client_address: client(member),
                is_observer: false,
            }
        });
        let observers = peer.learners().into_iter().filter(|learner| learner.is_observer && learner.is_synced);
        let observers = observers.filter_map(|learner| {
            let link = self.shared.links.as_ref()?.get(learner.link)?;
            Some(ObserverView { remote_address: JavaAddress(link.peer).to_string(), sid: learner.sid.0, traffic: link.traffic() })
        });
        Some(QuorumView {
            my_id: peer.me().0,
            is_leader: peer.role() == Role::Leading,
            leader_id: peer.leader().map_or(-1, |leader| leader.0),
            leader_host: leader.and_then(|leader| leader.addresses.first()).map_or_else(String::new, |address| address.host.clone()),
            zab_state: match peer.role() {
                Role::Looking => "election",
                _ if peer.is_serving() => "broadcast",
                _ => "synchronization",
            }
            .to_owned(),
            is_voting: config.is_voter(peer.me()),
            quorum_addresses: addresses(|address| address.quorum_port),
            election_addresses: addresses(|address| address.election_port),
            client_address: client(own),
            voters: voters.collect(),
            observers: observers.collect(),
        })
    }

    /// Observers' links count from here on.
    fn forget_traffic(&self) {
        let Some(links) = &self.shared.links else { return };
        let learners = self.shared.core().peer().learners();
        learners
            .iter()
            .filter(|learner| learner.is_observer)
            .filter_map(|learner| links.get(learner.link))
            .for_each(|link| link.forget_traffic());
    }

    /// Properties as Java lists them: those of the server that were set, and of the system what has a meaning here.
    fn properties(&self) -> Vec<(String, String)> {
        let environment = environment::gather(&crate::version::full());
        let of_system =
            environment.into_iter().filter(|(key, _)| key.starts_with("os.") || key.starts_with("user.") || key.starts_with("java.io."));
        let mut properties: std::collections::BTreeMap<String, String> =
            of_system.filter(|(key, _)| !key.starts_with("os.memory")).map(|(key, value)| (key.to_owned(), value)).collect();
        properties.insert("file.separator".to_owned(), "/".to_owned());
        properties.insert("line.separator".to_owned(), "\n".to_owned());
        properties.insert("path.separator".to_owned(), ":".to_owned());
        properties.extend(self.shared.config.raw.shown().map(|(key, value)| (key.to_owned(), value.to_owned())));
        properties.into_iter().collect()
    }

    /// Who asks, by the address of the socket and the field `Authorization: scheme data`; `None` if the scheme is
    /// unknown, or nothing is proven by it.
    pub fn identities(&self, request: &Request, proof: &str) -> Option<Vec<Identity>> {
        let mut words = proof.split(' ');
        let (scheme, data, end) = (words.next()?, words.next(), words.next());
        if end.is_some() || scheme == "ensemble" {
            return None;
        }
        let mut ids = Vec::new();
        match self.shared.schemes.authenticate(scheme, data.map(str::as_bytes), request.peer.ip(), &mut ids) {
            AuthOutcome::Ok if !ids.is_empty() => Some(ids),
            _ => None,
        }
    }

    /// Whether the one who asks has all permissions on `/`; the error is status and text.
    fn admit(&self, request: &Request) -> Result<(), (u16, &'static str)> {
        let proof = request.field("authorization").ok_or((401, "Auth info is missing for the command"))?;
        let ids = self.identities(request, proof).ok_or((401, "Not authenticated"))?;
        let tree = self.shared.tree();
        let root = tree.get("/").ok_or((500, "Error occurred during auth"))?;
        let every = [perms::READ, perms::WRITE, perms::CREATE, perms::DELETE, perms::ADMIN];
        if every.into_iter().all(|perm| self.shared.schemes.permits(root.acl(), perm, &ids)) {
            Ok(())
        } else {
            Err((403, "Not authorized"))
        }
    }
}

/// The text of zoo.cfg with secrets masked, which Java shows as they are.
fn masked_configuration(config: &ServerConfig) -> Option<String> {
    let text = config.initial_config.as_ref()?.reveal();
    let mut masks = false;
    let mut out = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let continues = line.trim_end_matches(['\r', '\n']).ends_with('\\');
        if masks {
            // The rest of a secret that goes over several lines.
            masks = continues;
            continue;
        }
        let start = line.trim_start();
        let end_of_key = start.find(['=', ':', ' ', '\t']).unwrap_or(start.len());
        if !start.starts_with(['#', '!']) && config::is_secret(&start[..end_of_key]) {
            out.push_str(&start[..end_of_key]);
            out.push_str("=***\n");
            masks = continues;
        } else {
            out.push_str(line);
        }
    }
    Some(out)
}

/// The newest snapshot there is.
fn last_snapshot(config: &ServerConfig) -> Option<(Zxid, i64)> {
    let files = std::fs::read_dir(config.snap_dir()).ok()?.flatten();
    let newest: Option<(Zxid, PathBuf)> = files
        .filter_map(|file| Some((oxkeeper_store::names::snapshot_zxid(file.file_name().to_str()?)?, file.path())))
        .max_by_key(|(zxid, _)| *zxid);
    let (zxid, path) = newest?;
    let written = std::fs::metadata(path).ok()?.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    Some((zxid, written.as_secs() as i64))
}

/// One in each interval.
struct RateLimiter {
    interval: Duration,
    last: Option<Instant>,
}

impl RateLimiter {
    fn new(interval: Duration) -> Self {
        Self { interval, last: None }
    }

    fn allow(&mut self, now: Instant) -> bool {
        let free = self.last.is_none_or(|last| now.saturating_duration_since(last) > self.interval);
        if free {
            self.last = Some(now);
        }
        free
    }
}

/// Takes snapshots for whoever asks: the newest state, durable in a file.
impl SnapshotDoor {
    /// How long a snapshot that is being written may hold up the next.
    const PATIENCE: Duration = Duration::from_secs(600);

    /// Writes a snapshot and waits for it.
    fn take(&self, shared: &Shared) -> io::Result<(Zxid, PathBuf)> {
        let begun = Instant::now();
        while self.running.swap(true, Ordering::SeqCst) {
            if begun.elapsed() > Self::PATIENCE || shared.stopping() {
                return Err(io::Error::new(io::ErrorKind::ResourceBusy, "another snapshot is being written"));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let (done, outcome) = std::sync::mpsc::sync_channel(1);
        let job = Job::begin_newest(shared, done);
        if self.jobs.try_send(job).is_err() {
            unreachable!("one snapshot runs at a time, so its queue is empty");
        }
        outcome.recv().map_err(|_| io::Error::other("the snapshot's thread has ended"))?
    }
}
