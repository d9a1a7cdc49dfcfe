//! Calls that wait, for Rust programs.

use crate::Handle;
use oxkeeper_client::{AddWatchMode, CreateMode, Operation, PendingRequests, State, WatchesToRemove};
use oxkeeper_proto::records::Stat;
use oxkeeper_proto::{ErrorCode, SessionId};
use std::fmt;
use std::time::Duration;

/// Why a call failed.
#[derive(Debug)]
pub enum Error {
    /// The server said so, or the client when the connection went; see [`ErrorCode`].
    Code(ErrorCode),
    /// A reply that is not what the request asks for.
    BadReply(oxkeeper_proto::JuteError),
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

/// How to connect.
pub struct Builder {
    options: crate::StartOptions,
    on_event: Box<dyn FnMut(Event) + Send>,
    on_log: Option<Box<dyn FnMut(oxkeeper_client::Level, &str) + Send>>,
}

impl Builder {
    /// Servers as Java's client takes them (`host:port,host/chroot`), session timeout asked for.
    ///
    /// # Errors
    /// A bad list.
    pub fn new(connect_string: &str, session_timeout_ms: i32) -> Result<Self, Error> {
        let parsed = oxkeeper_client::ConnectString::parse_like_java(connect_string).map_err(Error::Hosts)?;
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
    pub fn on_log(mut self, on_log: impl FnMut(oxkeeper_client::Level, &str) + Send + 'static) -> Self {
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
        drop((self.on_event, self.on_log));
        struct Nobody;
        impl crate::Sink for Nobody {
            fn deliver(&mut self, _: &mut crate::Batch) {}
        }
        Handle::start(self.options, Box::new(Nobody)).map(|handle| ZooKeeper { handle }).map_err(Error::Io)
    }
}

/// A reply on its way.
pub struct Pending(());

impl Pending {
    /// Waits for its end.
    ///
    /// # Errors
    /// The server's, or ours when the connection went.
    pub fn wait(self) -> Result<Vec<u8>, Error> {
        Err(Error::Code(ErrorCode::UNIMPLEMENTED))
    }
}

/// A client with calls that wait. All paths are the client's own, without the chroot. A call ends with the reply or
/// with the connection; there is no other time limit.
pub struct ZooKeeper {
    handle: Handle,
}

type Answer<T> = Result<T, Error>;

#[allow(unused_variables, clippy::missing_errors_doc, reason = "every call fails with the server's error or the connection's")]
impl ZooKeeper {
    /// Connects with nothing special; see [`Builder`].
    pub fn connect(connect_string: &str, session_timeout_ms: i32) -> Answer<Self> {
        Builder::new(connect_string, session_timeout_ms)?.start()
    }

    /// The handle below, for anything that is not here.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Waits until the session is open, or over, or the time has passed; gives the state.
    pub fn wait_connected(&self, at_most: Duration) -> State {
        self.handle.state()
    }

    /// Where the session stands.
    pub fn state(&self) -> State {
        self.handle.state()
    }

    /// Sends a request and does not wait. The end of it is the reply's body, chroot and all (see
    /// [`oxkeeper_client::reply`]).
    pub fn send(&self, operation: &Operation<'_>) -> Answer<Pending> {
        Err(Error::Code(ErrorCode::UNIMPLEMENTED))
    }

    /// Sends a request and waits for the reply's body, chroot and all.
    pub fn call(&self, operation: &Operation<'_>) -> Answer<Vec<u8>> {
        self.send(operation)?.wait()
    }

    /// create; `ttl_ms` -1 where the mode has none. Gives the path.
    pub fn create(&self, path: &str, data: Option<&[u8]>, acl: &[Acl], mode: CreateMode, ttl_ms: i64) -> Answer<String> {
        Err(Error::Code(ErrorCode::UNIMPLEMENTED))
    }

    /// create2: gives the Stat too.
    pub fn create2(&self, path: &str, data: Option<&[u8]>, acl: &[Acl], mode: CreateMode, ttl_ms: i64) -> Answer<(String, Stat)> {
        Err(Error::Code(ErrorCode::UNIMPLEMENTED))
    }

    /// delete; version -1 for any.
    pub fn delete(&self, path: &str, version: i32) -> Answer<()> {
        Err(Error::Code(ErrorCode::UNIMPLEMENTED))
    }

    /// exists; `None` where there is no such znode.
    pub fn exists(&self, path: &str, watch: bool) -> Answer<Option<Stat>> {
        Err(Error::Code(ErrorCode::UNIMPLEMENTED))
    }

    /// getData
    pub fn get(&self, path: &str, watch: bool) -> Answer<(Option<Vec<u8>>, Stat)> {
        Err(Error::Code(ErrorCode::UNIMPLEMENTED))
    }

    /// getData of the ensemble's configuration
    pub fn get_config(&self, watch: bool) -> Answer<(Option<Vec<u8>>, Stat)> {
        Err(Error::Code(ErrorCode::UNIMPLEMENTED))
    }

    /// setData; version -1 for any.
    pub fn set(&self, path: &str, data: Option<&[u8]>, version: i32) -> Answer<Stat> {
        Err(Error::Code(ErrorCode::UNIMPLEMENTED))
    }

    /// getACL
    pub fn get_acl(&self, path: &str) -> Answer<(Vec<Acl>, Stat)> {
        Err(Error::Code(ErrorCode::UNIMPLEMENTED))
    }

    /// setACL; version -1 for any.
    pub fn set_acl(&self, path: &str, acl: &[Acl], version: i32) -> Answer<Stat> {
        Err(Error::Code(ErrorCode::UNIMPLEMENTED))
    }

    /// getChildren2; in the server's order.
    pub fn children(&self, path: &str, watch: bool) -> Answer<(Vec<String>, Stat)> {
        Err(Error::Code(ErrorCode::UNIMPLEMENTED))
    }

    /// sync
    pub fn sync(&self, path: &str) -> Answer<String> {
        Err(Error::Code(ErrorCode::UNIMPLEMENTED))
    }

    /// multi, or multiRead with [`Operation::MultiRead`].
    pub fn multi(&self, operation: &Operation<'_>) -> Answer<Vec<MultiOutcome>> {
        Err(Error::Code(ErrorCode::UNIMPLEMENTED))
    }

    /// reconfig; gives the new configuration.
    pub fn reconfig(
        &self,
        joining: Option<&str>,
        leaving: Option<&str>,
        members: Option<&str>,
        from_config: i64,
    ) -> Answer<(Option<Vec<u8>>, Stat)> {
        Err(Error::Code(ErrorCode::UNIMPLEMENTED))
    }

    /// whoAmI
    pub fn who_am_i(&self) -> Answer<Vec<Identity>> {
        Err(Error::Code(ErrorCode::UNIMPLEMENTED))
    }

    /// getEphemerals of this session below a path.
    pub fn ephemerals(&self, prefix: &str) -> Answer<Vec<String>> {
        Err(Error::Code(ErrorCode::UNIMPLEMENTED))
    }

    /// getAllChildrenNumber
    pub fn all_children_number(&self, path: &str) -> Answer<i32> {
        Err(Error::Code(ErrorCode::UNIMPLEMENTED))
    }

    /// addWatch
    pub fn add_watch(&self, path: &str, mode: AddWatchMode) -> Answer<()> {
        Err(Error::Code(ErrorCode::UNIMPLEMENTED))
    }

    /// removeWatches: all of the kind on that path.
    pub fn remove_watches(&self, path: &str, which: WatchesToRemove, is_local: bool) -> Answer<()> {
        Err(Error::Code(ErrorCode::UNIMPLEMENTED))
    }

    /// Adds credentials and waits for the answer.
    pub fn add_auth(&self, scheme: &str, credentials: &[u8]) -> Answer<()> {
        Err(Error::Code(ErrorCode::UNIMPLEMENTED))
    }

    /// Closes the session and waits for the end, at most 4.5 s.
    pub fn close(self) {
        self.handle.close(PendingRequests::Await);
        self.handle.join(Duration::from_secs(5));
    }
}
