//! The machine.

use crate::operation::RequestBatch;
use crate::{
    Chroot, HostPort, Input, Operation, Options, Output, Password, PendingRequests, State, SubmitError, WatcherId, WatchesToRemove,
};
use oxkeeper_proto::SessionId;
use std::net::SocketAddr;

/// One client. `now_ms` counts from any beginning, and never goes back.
#[derive(Debug)]
pub struct Client {
    options: Options,
}

impl Client {
    /// A client that has not done anything yet: its first [`Input::Tick`] starts it.
    pub fn new(now_ms: u64, options: Options) -> Self {
        let _ = now_ms;
        Self { options }
    }

    /// Takes what happened. Drain [`Self::poll`] afterwards, then write [`Self::unsent`].
    pub fn handle(&mut self, now_ms: u64, input: Input<'_>) {
        let _ = (now_ms, input);
    }

    /// What to do or to know next; `None` when there is nothing more. Replies are read from the received bytes here,
    /// one a call, and lent without a copy.
    pub fn poll(&mut self) -> Option<Output<'_>> {
        None
    }

    /// Takes a request; [`Output::Completed`] with the tag follows exactly once. It is sent at once, or when the
    /// session is open; a lost connection ends it in either case.
    ///
    /// # Errors
    /// When it is not taken; nothing follows then.
    pub fn submit(&mut self, now_ms: u64, tag: u64, operation: &Operation<'_>) -> Result<(), SubmitError> {
        let _ = (now_ms, tag, operation);
        Err(SubmitError::InvalidState)
    }

    /// Takes requests that were encoded before, and empties the batch. When the session is over or closing they
    /// complete with that error.
    pub fn submit_batch(&mut self, now_ms: u64, batch: &mut RequestBatch) {
        let _ = (now_ms, batch);
    }

    /// Removes watches of a path: one watcher's, or all with `None`. Asks the server first (checkWatches, or
    /// removeWatches for all), unless `is_local`, which completes nothing.
    ///
    /// # Errors
    /// As [`Self::submit`], and when no such watch is known.
    pub fn remove_watches(
        &mut self,
        now_ms: u64,
        tag: u64,
        path: &[u8],
        which: WatchesToRemove,
        watcher: Option<WatcherId>,
        is_local: bool,
    ) -> Result<(), SubmitError> {
        let _ = (now_ms, tag, path, which, watcher, is_local);
        Err(SubmitError::InvalidState)
    }

    /// Adds credentials: sent at once if there is a connection, and at each new one. Completes (op `AUTH`) with the
    /// next answer to any credentials, or with the connection.
    ///
    /// # Errors
    /// When the session is over or closing.
    pub fn add_auth(&mut self, now_ms: u64, tag: u64, scheme: &[u8], credentials: &[u8]) -> Result<(), SubmitError> {
        let _ = (now_ms, tag, scheme, credentials);
        Err(SubmitError::InvalidState)
    }

    /// Ends the session. [`Output::Closed`] comes when the server has answered or hung up, after 1.5 s at most, or at
    /// once where there is no connection (the session then lives on until it times out).
    pub fn close(&mut self, now_ms: u64, pending: PendingRequests) {
        let _ = (now_ms, pending);
    }

    /// Other servers. When they are resolved the client may move, so that the load stays even.
    pub fn set_servers(&mut self, now_ms: u64, hosts: Vec<HostPort>) {
        let _ = now_ms;
        self.options.hosts = hosts;
    }

    /// How often names are resolved again while connected, see [`Options::resolution_delay_ms`].
    pub fn set_resolution_delay_ms(&mut self, delay_ms: i64) {
        self.options.resolution_delay_ms = delay_ms;
    }

    /// Goes on to the next server of the list without touching the connection.
    pub fn cycle_next_server(&mut self) {}

    /// Another default watcher.
    pub fn set_default_watcher(&mut self, watcher: WatcherId) {
        self.options.default_watcher = watcher;
    }

    /// Bytes for the link, in order. After a write call [`Self::sent`].
    pub fn unsent(&self) -> &[u8] {
        &[]
    }

    /// So many of [`Self::unsent`] are on the link.
    pub fn sent(&mut self, now_ms: u64, count: usize) {
        let _ = (now_ms, count);
    }

    /// When [`Input::Tick`] is due; `None`: only an input or a request makes anything happen.
    pub fn next_timer_ms(&self) -> Option<u64> {
        None
    }

    /// Where the session stands.
    pub fn state(&self) -> State {
        State::NotConnected
    }

    /// The session's id, [`SessionId::NONE`] before the first.
    pub fn session(&self) -> SessionId {
        self.options.session
    }

    /// Its password.
    pub fn password(&self) -> &Password {
        &self.options.password
    }

    /// The session timeout: asked for, or given by the server.
    pub fn session_timeout_ms(&self) -> i32 {
        self.options.session_timeout_ms
    }

    /// The server of the connection, or of the last attempt.
    pub fn server(&self) -> Option<SocketAddr> {
        None
    }

    /// What goes before every path.
    pub fn chroot(&self) -> &Chroot {
        &self.options.chroot
    }

    /// Requests whose end has not come.
    pub fn pending_count(&self) -> usize {
        0
    }

    /// zxid of the newest reply.
    pub fn last_zxid(&self) -> i64 {
        0
    }
}
