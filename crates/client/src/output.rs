//! What goes into the machine besides requests, and what comes out.

use crate::{HostPort, Password};
use core::net::SocketAddr;
use oxkeeper_proto::{ErrorCode, OpCode, SessionId};

/// A watcher, in the caller's own numbering. 128 bits hold a C function and its context.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WatcherId(pub u128);

/// Where a session stands. The codes are those of `zoo_state`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum State {
    /// Before the first attempt, and after a move to another server.
    NotConnected = 999,
    /// A TCP connection is being made.
    Connecting = 1,
    /// A TLS session is being made.
    TlsConnecting = 7,
    /// The handshake is on its way, or SASL.
    Associating = 2,
    /// Open.
    Connected = 3,
    /// Open at a read-only server.
    ReadOnly = 5,
    /// The connection was lost; the next attempt has not begun.
    Lost = 0,
    /// Over: the server has forgotten the session.
    Expired = -112,
    /// Over: credentials were refused.
    AuthFailed = -113,
    /// Over: closed by the user. (No code of C's: the handle is gone there. The number is Java's for "Closed".)
    Closed = 7 << 8,
}

impl State {
    /// The number that `zoo_state` gives.
    pub fn code(self) -> i32 {
        self as i32
    }

    /// The state of that number; what is none counts as not connected.
    pub fn from_code(code: i32) -> Self {
        let all = [
            Self::Connecting,
            Self::TlsConnecting,
            Self::Associating,
            Self::Connected,
            Self::ReadOnly,
            Self::Lost,
            Self::Expired,
            Self::AuthFailed,
            Self::Closed,
        ];
        all.into_iter().find(|state| state.code() == code).unwrap_or(Self::NotConnected)
    }

    /// Requests flow.
    pub fn is_connected(self) -> bool {
        matches!(self, Self::Connected | Self::ReadOnly)
    }

    /// No way back: expired, authentication failed or closed.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Expired | Self::AuthFailed | Self::Closed)
    }
}

/// What happened outside. After each one [`crate::Client::poll`] is drained.
#[derive(Debug)]
pub enum Input<'a> {
    /// Time has passed: [`crate::Client::next_timer_ms`] is reached. Harmless at any other time.
    Tick,
    /// The answer to [`Output::Resolve`]: what each host of it gave, in its order; empty where the name is not known.
    /// Each question is answered once; only the answer to the last one counts.
    Resolved(Vec<Vec<SocketAddr>>),
    /// The TCP connection that [`Output::Connect`] asked for is there.
    LinkUp,
    /// The TLS session that [`Output::StartTls`] asked for is there.
    TlsUp,
    /// Bytes of the link.
    Received(&'a [u8]),
    /// The link could not be made, or is gone. Not to be sent after [`Output::Disconnect`].
    LinkDown {
        /// The system's number, 0 where there is none.
        errno: i32,
        /// For the log line.
        reason: &'a str,
        /// Whether the TLS handshake is to blame.
        tls: bool,
    },
    /// The answer to [`Output::Probe`]: whether a read-write server said so there.
    Probed {
        /// It answered `rw`.
        is_read_write: bool,
    },
    /// The answer to [`Output::SaslStart`] and [`Output::SaslToken`].
    Sasl(SaslStep<'a>),
}

/// What a SASL mechanism made of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SaslStep<'a> {
    /// Send this token and wait for the server's.
    Continue(&'a [u8]),
    /// Done: a last token to send, if any.
    Done(Option<&'a [u8]>),
    /// Refused: the session is over.
    Failed,
}

/// What the caller has to do or to know, in order. Borrowed parts hold until the next call.
#[derive(Debug)]
pub enum Output<'a> {
    /// Resolve these and answer with [`Input::Resolved`].
    Resolve(&'a [HostPort]),
    /// Connect, and answer with [`Input::LinkUp`] or [`Input::LinkDown`].
    Connect(SocketAddr),
    /// Make a TLS session on the link; answer with [`Input::TlsUp`] or [`Input::LinkDown`].
    StartTls(SocketAddr),
    /// Drop the link, whatever is in it. No [`Input::LinkDown`] follows.
    Disconnect,
    /// Ask that server on a connection of its own with `isro`; answer with [`Input::Probed`].
    Probe(SocketAddr),
    /// Begin a SASL exchange; answer with [`Input::Sasl`].
    SaslStart(SocketAddr),
    /// The server's token; answer with [`Input::Sasl`].
    SaslToken(&'a [u8]),
    /// A request has come to its end. Each one does exactly once.
    Completed(Completion<'a>),
    /// Something happened to a watched znode.
    Watch(WatchEvent<'a>),
    /// The session changed its state.
    Session(SessionEvent<'a>),
    /// [`crate::Client::close`] is done: the link may be dropped and the machine forgotten.
    Closed,
    /// A line for the log.
    Log(Level, String),
}

/// The end of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Completion<'a> {
    /// The caller's.
    pub tag: u64,
    /// What was asked.
    pub op: OpCode,
    /// 0, the server's error, or one of ours when the connection went (`CONNECTION_LOSS`, `OPERATION_TIMEOUT`,
    /// `SESSION_EXPIRED`, `AUTH_FAILED`, [`SubmitError::CLOSING`](crate::SubmitError::CLOSING), ...).
    pub error: ErrorCode,
    /// The server's, -1 when it is we who end it.
    pub zxid: i64,
    /// The reply's body as it came, with the chroot still in its paths; [`crate::reply`] reads it. Empty on failure
    /// (a multi's body tells of each operation even then).
    pub body: &'a [u8],
}

/// Something happened to a watched znode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WatchEvent<'a> {
    /// As the server sent it; 1 to 4, see [`oxkeeper_proto::EventType`].
    pub kind: i32,
    /// As the server sent it; 3.
    pub state: i32,
    /// The znode as the user sees it, without the chroot.
    pub path: &'a [u8],
    /// zxid of the change where the server tells it (from 3.9.0 on), else -1.
    pub zxid: i64,
    /// Whom to call, in this order, each once.
    pub watchers: &'a [WatcherId],
}

/// The session changed its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionEvent<'a> {
    /// `Connected`, `ReadOnly`, `Connecting` (an open connection was lost), `Expired` or `AuthFailed`.
    pub state: State,
    /// Whom to call, each once: all that wait for something, and last the default watcher.
    pub watchers: &'a [WatcherId],
    /// The session as it stands.
    pub session: SessionId,
    /// Its password.
    pub password: &'a Password,
}

/// How much a log line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Something failed.
    Error = 1,
    /// Something may be wrong.
    Warn = 2,
    /// What happens in a session's life.
    Info = 3,
    /// Steps.
    Debug = 4,
}

/// What [`crate::Client::close`] does with requests under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PendingRequests {
    /// They end at once with [`crate::SubmitError::CLOSING`], as in C.
    Fail,
    /// Their replies are waited for, as in Java.
    Await,
}
