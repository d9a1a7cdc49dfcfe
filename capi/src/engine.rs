//! What stands between the C functions and the client's machine: threads of its own (`capi/mt`), or the application's
//! loop (`single.rs`).

use oxkeeper_client::{HostPort, Operation, State, SubmitError, WatcherId, WatchesToRemove};
use std::ffi::c_int;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::errors::ZINVALIDSTATE;
use crate::handle::Handle;

/// Carries requests to the machine and what happens back to the callbacks. Every method may be called from a callback.
pub trait Engine: Send + Sync {
    /// See [`oxkeeper_client::Client::submit`].
    ///
    /// # Errors
    /// As there.
    fn submit(&self, tag: u64, operation: &Operation<'_>) -> Result<(), SubmitError>;

    /// See [`oxkeeper_client::Client::remove_watches`].
    ///
    /// # Errors
    /// As there.
    fn remove_watches(
        &self,
        tag: u64,
        path: &[u8],
        which: WatchesToRemove,
        watcher: Option<WatcherId>,
        is_local: bool,
    ) -> Result<(), SubmitError>;

    /// See [`oxkeeper_client::Client::add_auth`].
    ///
    /// # Errors
    /// As there.
    fn add_auth(&self, tag: u64, scheme: &[u8], credentials: &[u8]) -> Result<(), SubmitError>;

    /// Completes a request that needed no server, with success, behind what has happened before.
    fn complete_locally(&self, tag: u64);

    /// The handle is complete: callbacks may begin.
    ///
    /// # Errors
    /// When the system gives no thread for them.
    fn start_callbacks(&self, handle: &Arc<Handle>) -> std::io::Result<()> {
        let _ = handle;
        Ok(())
    }

    /// Ends everything: completions of what is outstanding are called before it returns, unless it is called from a
    /// callback. The handle's memory is the caller's.
    fn close(&self, handle: &Arc<Handle>) -> c_int;

    /// Other servers, with their addresses.
    fn set_servers(&self, hosts: Vec<HostPort>, addresses: Vec<Vec<SocketAddr>>);
    /// See [`oxkeeper_client::Client::set_resolution_delay_ms`].
    fn set_resolution_delay_ms(&self, delay_ms: i64);
    /// See [`oxkeeper_client::Client::cycle_next_server`].
    fn cycle_next_server(&self);
    /// See [`oxkeeper_client::Client::set_default_watcher`].
    fn set_default_watcher(&self, watcher: WatcherId);
    /// Where the session stands.
    fn state(&self) -> State;
    /// The session timeout: asked for, or given by the server.
    fn session_timeout_ms(&self) -> i32;
    /// The server of the connection, or of the last attempt.
    fn server(&self) -> Option<SocketAddr>;

    /// `zookeeper_interest`: nothing for a handle that has threads of its own.
    ///
    /// # Errors
    /// The return code.
    fn interest(&self, handle: &Arc<Handle>) -> (c_int, Interest) {
        let _ = handle;
        (ZINVALIDSTATE, Interest::default())
    }

    /// `zookeeper_process`: the same.
    fn process(&self, handle: &Arc<Handle>, events: c_int) -> c_int {
        let _ = (handle, events);
        ZINVALIDSTATE
    }
}

/// What `zookeeper_interest` tells the application to wait for.
#[derive(Clone, Copy, Debug)]
pub struct Interest {
    /// The socket, -1 for none.
    pub descriptor: c_int,
    /// Bits 2 (read) and 1 (write).
    pub events: c_int,
    /// How long to wait at most.
    pub wait_ms: u64,
}

impl Default for Interest {
    fn default() -> Self {
        Self { descriptor: -1, events: 0, wait_ms: 0 }
    }
}
