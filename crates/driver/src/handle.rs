//! A client on a thread of its own.

use crate::Batch;
use oxkeeper_client::{
    Chroot, HostPort, Level, Operation, Options, Password, PendingRequests, State, SubmitError, WatcherId, WatchesToRemove,
};
use oxkeeper_proto::SessionId;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// Gets everything that happens, on the handle's thread, with no lock held: any method of the handle may be called from
/// within, save [`Handle::join`].
pub trait Sink: Send {
    /// What happened since the last time, in order; never empty. Whatever is left in the batch afterwards is forgotten
    /// and its memory used again; a sink that hands it on takes it with `std::mem::take`.
    fn deliver(&mut self, batch: &mut Batch);

    /// A line for the log, in the order of happening, before what it tells of is delivered.
    fn log(&mut self, level: Level, text: &str) {
        let level = match level {
            Level::Error => log::Level::Error,
            Level::Warn => log::Level::Warn,
            Level::Info => log::Level::Info,
            Level::Debug => log::Level::Debug,
        };
        log::log!(target: "oxkeeper::client", level, "{text}");
    }
}

/// Turns names into addresses. It may block: it is called on a thread of its own, unless all hosts are numbers.
pub trait Resolve: Send + Sync {
    /// The addresses of a host, each with its port.
    ///
    /// # Errors
    /// When it is not known, or nobody can say.
    fn resolve(&self, host: &HostPort) -> io::Result<Vec<SocketAddr>>;
}

/// Asks the system (`getaddrinfo`).
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve(&self, host: &HostPort) -> io::Result<Vec<SocketAddr>> {
        use std::net::ToSocketAddrs;
        Ok((host.host.as_str(), host.port).to_socket_addrs()?.collect())
    }
}

/// What a handle is started with.
pub struct StartOptions {
    /// The machine's.
    pub client: Options,
    /// Name of the thread; at most 15 bytes are shown.
    pub thread_name: String,
    /// Who resolves names.
    pub resolver: Arc<dyn Resolve>,
    /// Addresses that are known already, for each host of the options in its order; `None`: the resolver is asked first.
    pub resolved: Option<Vec<Vec<SocketAddr>>>,
}

impl StartOptions {
    /// The system's resolver, an ordinary name.
    pub fn new(client: Options) -> Self {
        Self { client, thread_name: "zk-io".to_string(), resolver: Arc::new(SystemResolver), resolved: None }
    }
}

/// A client on a thread of its own. Clones are the same client. Dropping the last one drops the connection without
/// closing the session, as a program that dies does; [`Handle::close`] closes it.
#[derive(Clone)]
pub struct Handle {
    shared: Arc<Shared>,
}

struct Shared {
    chroot: Chroot,
}

impl Handle {
    /// Starts the thread. It connects by itself.
    ///
    /// # Errors
    /// When the system gives no poll or no thread.
    pub fn start(options: StartOptions, sink: Box<dyn Sink>) -> io::Result<Self> {
        drop(sink);
        Ok(Self { shared: Arc::new(Shared { chroot: options.client.chroot }) })
    }

    /// Takes a request; a completion with the tag is delivered exactly once, and requests of one thread end in the
    /// order in which they were taken.
    ///
    /// # Errors
    /// When it is not taken; nothing is delivered then.
    pub fn submit(&self, tag: u64, operation: &Operation<'_>) -> Result<(), SubmitError> {
        let _ = (tag, operation);
        Err(SubmitError::InvalidState)
    }

    /// See [`oxkeeper_client::Client::remove_watches`].
    ///
    /// # Errors
    /// As there.
    pub fn remove_watches(
        &self,
        tag: u64,
        path: &[u8],
        which: WatchesToRemove,
        watcher: Option<WatcherId>,
        is_local: bool,
    ) -> Result<(), SubmitError> {
        let _ = (tag, path, which, watcher, is_local);
        Err(SubmitError::InvalidState)
    }

    /// See [`oxkeeper_client::Client::add_auth`].
    ///
    /// # Errors
    /// As there.
    pub fn add_auth(&self, tag: u64, scheme: &[u8], credentials: &[u8]) -> Result<(), SubmitError> {
        let _ = (tag, scheme, credentials);
        Err(SubmitError::InvalidState)
    }

    /// Begins to end the session: later requests are refused. `Delivery::Closed` is the last delivery, and the thread
    /// ends after it, at most 4.5 s later (3 s for what has to be written before, 1.5 s for the answer).
    /// May be called from the sink and more than once.
    pub fn close(&self, pending: PendingRequests) {
        let _ = pending;
    }

    /// Waits until the thread has ended, at most so long; whether it has. Called from the sink it says `false` at once.
    pub fn join(&self, at_most: Duration) -> bool {
        let _ = at_most;
        true
    }

    /// See [`oxkeeper_client::Client::set_servers`].
    pub fn set_servers(&self, hosts: Vec<HostPort>) {
        let _ = hosts;
    }

    /// The same with addresses that are known already, one list for each host.
    pub fn set_resolved_servers(&self, hosts: Vec<HostPort>, addresses: Vec<Vec<SocketAddr>>) {
        let _ = (hosts, addresses);
    }

    /// See [`Options::resolution_delay_ms`].
    pub fn set_resolution_delay_ms(&self, delay_ms: i64) {
        let _ = delay_ms;
    }

    /// See [`oxkeeper_client::Client::cycle_next_server`].
    pub fn cycle_next_server(&self) {}

    /// See [`oxkeeper_client::Client::set_default_watcher`].
    pub fn set_default_watcher(&self, watcher: WatcherId) {
        let _ = watcher;
    }

    /// Where the session stands.
    pub fn state(&self) -> State {
        State::NotConnected
    }

    /// The session and its password.
    pub fn session(&self) -> (SessionId, Password) {
        (SessionId::NONE, [0; 16])
    }

    /// The session timeout: asked for, or given by the server.
    pub fn session_timeout_ms(&self) -> i32 {
        0
    }

    /// The server of the connection, or of the last attempt.
    pub fn server(&self) -> Option<SocketAddr> {
        None
    }

    /// What goes before every path.
    pub fn chroot(&self) -> &Chroot {
        &self.shared.chroot
    }

    /// Requests whose end has not been delivered.
    pub fn pending_count(&self) -> usize {
        0
    }

    /// Drops the connection at once, without a word to the server, and stops the thread; requests under way end with
    /// [`SubmitError::CLOSING`]. The session lives on until it times out.
    pub fn abandon(&self) {}
}
