//! Calls that wait, for Rust programs.

use crate::handle::{lock, to_log_crate};
use crate::{Batch, Delivery, Handle, Sink};
use oxkeeper_client::reply::{self, MultiResult};
use oxkeeper_client::{
    AclRef, AddWatchMode, CreateMode, Level, Operation, PendingRequests, State, SubmitError, TableKind, WatcherId, WatchesToRemove,
    text_of_wire, wire_text,
};
use oxkeeper_proto::records::Stat;
use oxkeeper_proto::{ErrorCode, JuteError, OpCode, SessionId};
use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Why a call failed.
#[derive(Debug)]
pub enum Error {
    /// The server said so, or the client when the connection went; see [`ErrorCode`].
    Code(ErrorCode),
    /// A reply that is not what the request asks for.
    BadReply(JuteError),
    /// The list of servers.
    Hosts(oxkeeper_client::HostError),
    /// The system gave no thread or poll.
    Io(std::io::Error),
}

impl Error {
    /// The number, as the server's or C's.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Code(code) => *code,
            Self::BadReply(_) => ErrorCode::MARSHALLING_ERROR,
            Self::Hosts(_) => ErrorCode::BAD_ARGUMENTS,
            Self::Io(_) => ErrorCode::SYSTEM_ERROR,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "{} ({})", code.name().unwrap_or("error"), code.0),
            Self::BadReply(error) => write!(f, "the reply cannot be read: {error}"),
            Self::Hosts(error) => write!(f, "{error}"),
            Self::Io(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for Error {}

impl From<JuteError> for Error {
    fn from(error: JuteError) -> Self {
        Self::BadReply(error)
    }
}

/// Something happened: to a znode, or to the session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// 1 to 4 (see [`oxkeeper_proto::EventType`]), or -1: the session changed its state.
    pub kind: i32,
    /// The session's state.
    pub state: State,
    /// The znode, without the chroot; empty for the session.
    pub path: String,
    /// zxid of the change where the server tells it, else -1.
    pub zxid: i64,
}

/// An entry of an ACL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acl {
    /// Bits of [`oxkeeper_proto::perms`].
    pub perms: i32,
    /// The scheme.
    pub scheme: String,
    /// The id.
    pub id: String,
}

impl Acl {
    /// All permissions for anyone.
    pub fn open() -> Vec<Self> {
        vec![Self { perms: oxkeeper_proto::perms::ALL, scheme: "world".to_string(), id: "anyone".to_string() }]
    }
}

/// An identity of the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The scheme.
    pub scheme: String,
    /// The user.
    pub user: String,
}

/// What one operation of a multi came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MultiOutcome {
    /// The path, without the chroot; the Stat if it was asked for.
    Created(String, Option<Stat>),
    /// Deleted.
    Deleted,
    /// Its new Stat.
    Set(Stat),
    /// The version was right.
    Checked,
    /// getData of a multiRead.
    Data(Option<Vec<u8>>, Stat),
    /// getChildren of a multiRead.
    Children(Vec<String>),
    /// It failed, or another one is to blame.
    Error(ErrorCode),
}

/// Gets log lines.
type OnLog = Box<dyn FnMut(Level, &str) + Send>;

/// How to connect.
pub struct Builder {
    options: crate::StartOptions,
    on_event: Box<dyn FnMut(Event) + Send>,
    on_log: Option<OnLog>,
}

impl Builder {
    /// Servers as Java's client takes them (`host:port,host/chroot`), session timeout asked for.
    ///
    /// # Errors
    /// A bad list.
    pub fn new(connect_string: &str, session_timeout_ms: i32) -> Result<Self, Error> {
        let parsed = oxkeeper_client::ConnectString::parse_like_java(connect_string).map_err(Error::Hosts)?;
        if parsed.hosts.is_empty() {
            return Err(Error::Hosts(oxkeeper_client::HostError::NoHosts));
        }
        let seed = std::hash::BuildHasher::hash_one(&std::collections::hash_map::RandomState::new(), connect_string);
        let client = oxkeeper_client::Options::new(parsed.hosts, parsed.chroot, session_timeout_ms, seed);
        Ok(Self { options: crate::StartOptions::new(client), on_event: Box::new(|_| {}), on_log: None })
    }

    /// The handle's options, to change any.
    pub fn options(&mut self) -> &mut crate::StartOptions {
        &mut self.options
    }

    /// Who is told of events: those of watches and of the session alike, in order, on the handle's thread. It must not
    /// wait for a call of the same client.
    #[must_use]
    pub fn on_event(mut self, on_event: impl FnMut(Event) + Send + 'static) -> Self {
        self.on_event = Box::new(on_event);
        self
    }

    /// Who gets log lines, in place of the `log` crate.
    #[must_use]
    pub fn on_log(mut self, on_log: impl FnMut(Level, &str) + Send + 'static) -> Self {
        self.on_log = Some(Box::new(on_log));
        self
    }

    /// Takes read-only servers too.
    #[must_use]
    pub fn can_be_read_only(mut self, can_be_read_only: bool) -> Self {
        self.options.client.can_be_read_only = can_be_read_only;
        self
    }

    /// Resumes a session.
    #[must_use]
    pub fn session(mut self, session: SessionId, password: [u8; 16]) -> Self {
        self.options.client.session = session;
        self.options.client.password = password;
        self
    }

    /// Starts; does not wait for the connection.
    ///
    /// # Errors
    /// When the system gives no poll or no thread.
    pub fn start(self) -> Result<ZooKeeper, Error> {
        let shared = Arc::new(Shared { slots: Mutex::default(), state: Mutex::new(State::NotConnected), changed: Condvar::new() });
        let sink = Caller { shared: Arc::clone(&shared), on_event: self.on_event, on_log: self.on_log };
        let mut options = self.options;
        options.client.default_watcher = SESSION_WATCHER;
        let handle = Handle::start(options, Box::new(sink)).map_err(Error::Io)?;
        Ok(ZooKeeper { handle, shared, next_tag: AtomicU64::new(1) })
    }
}

/// All events go to one callback, so two watchers are enough.
const SESSION_WATCHER: WatcherId = WatcherId(0);
const NODE_WATCHER: WatcherId = WatcherId(1);

/// How a request ended: with the reply's body, or not.
type End = Result<Vec<u8>, ErrorCode>;

struct Shared {
    /// Of the requests that have not ended.
    slots: Mutex<HashMap<u64, Arc<Slot>>>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct Slot {
    end: Mutex<Option<End>>,
    ended: Condvar,
}

/// The sink below the calls.
struct Caller {
    shared: Arc<Shared>,
    on_event: Box<dyn FnMut(Event) + Send>,
    on_log: Option<OnLog>,
}

impl Caller {
    fn set_state(&self, state: State) {
        *lock(&self.shared.state) = state;
        self.shared.changed.notify_all();
    }
}

impl Sink for Caller {
    fn deliver(&mut self, batch: &mut Batch) {
        for delivery in batch.iter() {
            match delivery {
                Delivery::Completed(completion) => {
                    let slot = lock(&self.shared.slots).remove(&completion.tag);
                    let Some(slot) = slot else { continue };
                    let is_multi = matches!(completion.op, OpCode::MULTI | OpCode::MULTI_READ) && !completion.body.is_empty();
                    let end =
                        if completion.error == ErrorCode::OK || is_multi { Ok(completion.body.to_vec()) } else { Err(completion.error) };
                    *lock(&slot.end) = Some(end);
                    slot.ended.notify_all();
                }
                Delivery::Watch(event) => {
                    let path = text_of_wire(event.path).into_owned();
                    (self.on_event)(Event { kind: event.kind, state: State::from_code(event.state), path, zxid: event.zxid });
                }
                Delivery::Session(event) => {
                    self.set_state(event.state);
                    (self.on_event)(Event { kind: -1, state: event.state, path: String::new(), zxid: -1 });
                }
                Delivery::Closed => self.set_state(State::Closed),
            }
        }
    }

    fn log(&mut self, level: Level, text: &str) {
        match &mut self.on_log {
            Some(on_log) => on_log(level, text),
            None => to_log_crate(level, text),
        }
    }
}

/// A reply on its way. Dropping it does no harm: the request ends all the same.
pub struct Pending(Arc<Slot>);

impl Pending {
    /// Waits for its end: the reply's body, chroot and all.
    ///
    /// # Errors
    /// The server's, or ours when the connection went.
    pub fn wait(self) -> Result<Vec<u8>, Error> {
        let mut end = lock(&self.0.end);
        loop {
            match end.take() {
                Some(end) => return end.map_err(Error::Code),
                None => end = self.0.ended.wait(end).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }
}

/// A client with calls that wait. All paths are the client's own, without the chroot. A call ends with the reply or
/// with the connection; there is no other time limit.
pub struct ZooKeeper {
    handle: Handle,
    shared: Arc<Shared>,
    next_tag: AtomicU64,
}

type Answer<T> = Result<T, Error>;

#[allow(clippy::missing_errors_doc, reason = "every call fails with the server's error or the connection's")]
impl ZooKeeper {
    /// Connects with nothing special; see [`Builder`].
    pub fn connect(connect_string: &str, session_timeout_ms: i32) -> Answer<Self> {
        Builder::new(connect_string, session_timeout_ms)?.start()
    }

    /// The handle below, for anything that is not here. Tags from 2^63 on are free there.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Waits until the session is open, or over, or the time has passed; gives the state.
    pub fn wait_connected(&self, at_most: Duration) -> State {
        let state = lock(&self.shared.state);
        let is_waiting = |state: &mut State| !state.is_connected() && !state.is_over();
        let waited = self.shared.changed.wait_timeout_while(state, at_most, is_waiting);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// Where the session stands.
    pub fn state(&self) -> State {
        self.handle.state()
    }

    /// Sends a request and does not wait. Many may be under way; they end in the order of their sending.
    pub fn send(&self, operation: &Operation<'_>) -> Answer<Pending> {
        self.start_request(|tag| self.handle.submit(tag, operation))
    }

    /// Sends a request and waits for the reply's body, chroot and all (see [`oxkeeper_client::reply`]).
    pub fn call(&self, operation: &Operation<'_>) -> Answer<Vec<u8>> {
        self.waiting(|tag| self.handle.submit_now(tag, operation))
    }

    fn start_request(&self, submit: impl FnOnce(u64) -> Result<(), SubmitError>) -> Answer<Pending> {
        let tag = self.next_tag.fetch_add(1, Ordering::Relaxed);
        let slot = Arc::new(Slot::default());
        lock(&self.shared.slots).insert(tag, Arc::clone(&slot));
        match submit(tag) {
            Ok(()) => Ok(Pending(slot)),
            Err(error) => {
                lock(&self.shared.slots).remove(&tag);
                Err(Error::Code(error.code()))
            }
        }
    }

    fn waiting(&self, submit: impl FnOnce(u64) -> Result<(), SubmitError>) -> Answer<Vec<u8>> {
        if self.handle.is_own_thread() {
            // The reply would come on this very thread.
            return Err(Error::Code(ErrorCode::INVALID_CALLBACK));
        }
        self.start_request(submit)?.wait()
    }

    fn client_path(&self, server_path: &[u8]) -> String {
        text_of_wire(self.handle.chroot().cut_or_keep(server_path)).into_owned()
    }

    fn create_with(
        &self,
        path: &str,
        data: Option<&[u8]>,
        acl: &[Acl],
        mode: CreateMode,
        ttl_ms: i64,
        with_stat: bool,
    ) -> Answer<(String, Option<Stat>)> {
        let acl = wire_acl(acl);
        let acl = refs(&acl);
        let body = self.call(&Operation::Create { path: &wire_text(path), data, acl: Some(&acl), mode, ttl_ms, with_stat })?;
        let (path, stat) = reply::created(&body)?;
        Ok((self.client_path(path), stat))
    }

    /// create; `ttl_ms` -1 where the mode has none. Gives the path.
    pub fn create(&self, path: &str, data: Option<&[u8]>, acl: &[Acl], mode: CreateMode, ttl_ms: i64) -> Answer<String> {
        Ok(self.create_with(path, data, acl, mode, ttl_ms, false)?.0)
    }

    /// create2: gives the Stat too.
    pub fn create2(&self, path: &str, data: Option<&[u8]>, acl: &[Acl], mode: CreateMode, ttl_ms: i64) -> Answer<(String, Stat)> {
        let (path, stat) = self.create_with(path, data, acl, mode, ttl_ms, true)?;
        Ok((path, stat.ok_or(Error::BadReply(JuteError::EndOfInput))?))
    }

    /// delete; version -1 for any.
    pub fn delete(&self, path: &str, version: i32) -> Answer<()> {
        self.call(&Operation::Delete { path: &wire_text(path), version }).map(drop)
    }

    /// exists; `None` where there is no such znode.
    pub fn exists(&self, path: &str, watch: bool) -> Answer<Option<Stat>> {
        match self.call(&Operation::Exists { path: &wire_text(path), watch: watcher(watch) }) {
            Ok(body) => Ok(Some(reply::stat(&body)?)),
            Err(Error::Code(ErrorCode::NO_NODE)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// getData
    pub fn get(&self, path: &str, watch: bool) -> Answer<(Option<Vec<u8>>, Stat)> {
        data_of(&self.call(&Operation::GetData { path: &wire_text(path), watch: watcher(watch) })?)
    }

    /// getData of the ensemble's configuration
    pub fn get_config(&self, watch: bool) -> Answer<(Option<Vec<u8>>, Stat)> {
        data_of(&self.call(&Operation::GetConfig { watch: watcher(watch) })?)
    }

    /// setData; version -1 for any.
    pub fn set(&self, path: &str, data: Option<&[u8]>, version: i32) -> Answer<Stat> {
        Ok(reply::stat(&self.call(&Operation::SetData { path: &wire_text(path), data, version })?)?)
    }

    /// getACL
    pub fn get_acl(&self, path: &str) -> Answer<(Vec<Acl>, Stat)> {
        let body = self.call(&Operation::GetAcl { path: &wire_text(path) })?;
        let (entries, stat) = reply::acl(&body)?;
        let text = |bytes| text_of_wire(bytes).into_owned();
        Ok((entries.iter().map(|entry| Acl { perms: entry.perms, scheme: text(entry.scheme), id: text(entry.id) }).collect(), stat))
    }

    /// setACL; version -1 for any.
    pub fn set_acl(&self, path: &str, acl: &[Acl], version: i32) -> Answer<Stat> {
        let acl = wire_acl(acl);
        let acl = refs(&acl);
        Ok(reply::stat(&self.call(&Operation::SetAcl { path: &wire_text(path), acl: Some(&acl), version })?)?)
    }

    /// getChildren2; in the server's order.
    pub fn children(&self, path: &str, watch: bool) -> Answer<(Vec<String>, Stat)> {
        let body = self.call(&Operation::GetChildren { path: &wire_text(path), watch: watcher(watch), with_stat: true })?;
        let (names, stat) = reply::strings(&body)?;
        Ok((names.map(|name| text_of_wire(name).into_owned()).collect(), stat.ok_or(Error::BadReply(JuteError::EndOfInput))?))
    }

    /// sync
    pub fn sync(&self, path: &str) -> Answer<String> {
        let body = self.call(&Operation::Sync { path: &wire_text(path) })?;
        Ok(self.client_path(reply::path(&body)?))
    }

    /// multi, or multiRead with [`Operation::MultiRead`]. A multi that failed is an answer too: its outcomes say which
    /// operation is to blame.
    pub fn multi(&self, operation: &Operation<'_>) -> Answer<Vec<MultiOutcome>> {
        let body = self.call(operation)?;
        let outcomes = reply::multi(&body)?.into_iter().map(|result| match result {
            MultiResult::Created { path, stat } => MultiOutcome::Created(self.client_path(path), stat),
            MultiResult::Deleted => MultiOutcome::Deleted,
            MultiResult::Set(stat) => MultiOutcome::Set(stat),
            MultiResult::Checked => MultiOutcome::Checked,
            MultiResult::Data(data, stat) => MultiOutcome::Data(data.map(<[u8]>::to_vec), stat),
            MultiResult::Children(names) => MultiOutcome::Children(names.map(|name| text_of_wire(name).into_owned()).collect()),
            MultiResult::Error(code) => MultiOutcome::Error(code),
        });
        Ok(outcomes.collect())
    }

    /// reconfig; gives the new configuration.
    pub fn reconfig(
        &self,
        joining: Option<&str>,
        leaving: Option<&str>,
        members: Option<&str>,
        from_config: i64,
    ) -> Answer<(Option<Vec<u8>>, Stat)> {
        let [joining, leaving, members] = [joining, leaving, members].map(|text| text.map(wire_text));
        let operation =
            Operation::Reconfig { joining: joining.as_deref(), leaving: leaving.as_deref(), members: members.as_deref(), from_config };
        data_of(&self.call(&operation)?)
    }

    /// whoAmI
    pub fn who_am_i(&self) -> Answer<Vec<Identity>> {
        let body = self.call(&Operation::WhoAmI)?;
        let text = |bytes| text_of_wire(bytes).into_owned();
        Ok(reply::identities(&body)?.into_iter().map(|(scheme, user)| Identity { scheme: text(scheme), user: text(user) }).collect())
    }

    /// getEphemerals of this session below a path.
    pub fn ephemerals(&self, prefix: &str) -> Answer<Vec<String>> {
        let body = self.call(&Operation::GetEphemerals { prefix: &wire_text(prefix) })?;
        Ok(reply::strings(&body)?.0.map(|path| self.client_path(path)).collect())
    }

    /// getAllChildrenNumber
    pub fn all_children_number(&self, path: &str) -> Answer<i32> {
        Ok(reply::number(&self.call(&Operation::GetAllChildrenNumber { path: &wire_text(path) })?)?)
    }

    /// addWatch
    pub fn add_watch(&self, path: &str, mode: AddWatchMode) -> Answer<()> {
        self.call(&Operation::AddWatch { path: &wire_text(path), mode, watcher: NODE_WATCHER }).map(drop)
    }

    /// removeWatches: all of the kind on that path. Gives the tables in which there were any. With `is_local` they go
    /// even if the server cannot be asked or says no. Where there is none the server is asked all the same.
    pub fn remove_watches(&self, path: &str, which: WatchesToRemove, is_local: bool) -> Answer<Vec<TableKind>> {
        let path = wire_text(path);
        let mut tables = self.handle.watched(&path);
        tables.retain(|table| {
            matches!(
                (which, table),
                (WatchesToRemove::Any, _)
                    | (WatchesToRemove::Children, TableKind::Child)
                    | (WatchesToRemove::Data, TableKind::Data | TableKind::Exist)
                    | (WatchesToRemove::Persistent, TableKind::Persistent)
                    | (WatchesToRemove::PersistentRecursive, TableKind::PersistentRecursive)
            )
        });
        let removed = self.waiting(|tag| self.handle.remove_watches(tag, &path, which, None, false));
        match removed {
            Ok(_) => {}
            Err(_) if is_local && !tables.is_empty() => {
                // It completes nothing, so its tag is nobody's.
                self.handle.remove_watches(0, &path, which, None, true).map_err(|error| Error::Code(error.code()))?;
            }
            Err(error) => return Err(error),
        }
        Ok(tables)
    }

    /// Sends credentials and does not wait for the answer. Requests that are made afterwards are behind them on the wire.
    pub fn send_auth(&self, scheme: &str, credentials: &[u8]) -> Answer<Pending> {
        self.start_request(|tag| self.handle.add_auth(tag, &wire_text(scheme), credentials))
    }

    /// Adds credentials and waits for the answer.
    pub fn add_auth(&self, scheme: &str, credentials: &[u8]) -> Answer<()> {
        self.waiting(|tag| self.handle.add_auth(tag, &wire_text(scheme), credentials)).map(drop)
    }

    /// Closes the session, after the requests that are under way, and waits for the end: some seconds at most, then the
    /// connection is dropped.
    pub fn close(&self) {
        self.handle.close(PendingRequests::Await);
        self.handle.join(CLOSE_WAIT);
    }
}

/// Longer than a server that lives takes.
const CLOSE_WAIT: Duration = Duration::from_secs(5);

fn watcher(is_wanted: bool) -> Option<WatcherId> {
    is_wanted.then_some(NODE_WATCHER)
}

fn data_of(body: &[u8]) -> Answer<(Option<Vec<u8>>, Stat)> {
    let (data, stat) = reply::data(body)?;
    Ok((data.map(<[u8]>::to_vec), stat))
}

/// The parts of an ACL as bytes of the wire.
type WireAcl<'a> = Vec<(i32, Cow<'a, [u8]>, Cow<'a, [u8]>)>;

fn wire_acl(acl: &[Acl]) -> WireAcl<'_> {
    acl.iter().map(|entry| (entry.perms, wire_text(&entry.scheme), wire_text(&entry.id))).collect()
}

fn refs<'a>(acl: &'a WireAcl<'_>) -> Vec<AclRef<'a>> {
    acl.iter().map(|(perms, scheme, id)| AclRef { perms: *perms, scheme, id }).collect()
}
