//! Operation codes, error codes, permissions and event types: numbers with names.

/// What a request asks for, and the kind of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OpCode(pub i32);

macro_rules! codes {
    ($kind:ident { $($(#[$doc:meta])* $name:ident = $value:expr, $text:expr;)* }) => {
        impl $kind {
            $($(#[$doc])* pub const $name: $kind = $kind($value);)*

            /// The name that ZooKeeper prints, if the code is a known one.
            pub fn name(self) -> Option<&'static str> {
                $(if self == Self::$name { return Some($text); })*
                None
            }
        }
    };
}

codes!(OpCode {
    /// Not a request: the type of a notification.
    NOTIFICATION = 0, "notification";
    /// Creates a znode.
    CREATE = 1, "create";
    /// Deletes a znode.
    DELETE = 2, "delete";
    /// Asks for a Stat.
    EXISTS = 3, "exists";
    /// Asks for data.
    GET_DATA = 4, "getData";
    /// Replaces data.
    SET_DATA = 5, "setData";
    /// Asks for an ACL.
    GET_ACL = 6, "getACL";
    /// Replaces an ACL.
    SET_ACL = 7, "setACL";
    /// Asks for names of children.
    GET_CHILDREN = 8, "getChildren";
    /// Waits for the leader.
    SYNC = 9, "sync";
    /// Keeps a session.
    PING = 11, "ping";
    /// Asks for names of children and the Stat.
    GET_CHILDREN2 = 12, "getChildren2";
    /// Compares a version; only within a multi.
    CHECK = 13, "check";
    /// Several writes or none.
    MULTI = 14, "multi";
    /// Creates a znode and asks for its Stat.
    CREATE2 = 15, "create2";
    /// Changes the ensemble.
    RECONFIG = 16, "reconfig";
    /// Asks whether a watch is there.
    CHECK_WATCHES = 17, "checkWatches";
    /// Takes watches back.
    REMOVE_WATCHES = 18, "removeWatches";
    /// Creates a container.
    CREATE_CONTAINER = 19, "createContainer";
    /// Reaps a container or TTL znode.
    DELETE_CONTAINER = 20, "deleteContainer";
    /// Creates a znode with a time to live.
    CREATE_TTL = 21, "createTTL";
    /// Several reads.
    MULTI_READ = 22, "multiRead";
    /// Adds an identity.
    AUTH = 100, "auth";
    /// Registers watches again after a reconnect.
    SET_WATCHES = 101, "setWatches";
    /// A step of a SASL exchange.
    SASL = 102, "sasl";
    /// Asks for the session's ephemerals.
    GET_EPHEMERALS = 103, "getEphemerals";
    /// Asks for the number of descendants.
    GET_ALL_CHILDREN_NUMBER = 104, "getAllChildrenNumber";
    /// Registers watches again after a reconnect, persistent ones too.
    SET_WATCHES2 = 105, "setWatches2";
    /// Adds a persistent watch.
    ADD_WATCH = 106, "addWatch";
    /// Asks for the connection's identities.
    WHO_AM_I = 107, "whoAmI";
    /// Opens a session; a transaction only.
    CREATE_SESSION = -10, "createSession";
    /// Ends a session.
    CLOSE_SESSION = -11, "closeSession";
    /// A refused write; a transaction only.
    ERROR = -1, "error";
});

/// The result of a request. 0 is success, others are negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ErrorCode(pub i32);

codes!(ErrorCode {
    /// Success.
    OK = 0, "OK";
    /// Something unexpected in the server.
    SYSTEM_ERROR = -1, "SystemError";
    /// In a failed multi: an operation after the one that failed.
    RUNTIME_INCONSISTENCY = -2, "RuntimeInconsistency";
    /// The database contradicts itself.
    DATA_INCONSISTENCY = -3, "DataInconsistency";
    /// The link broke; made by clients.
    CONNECTION_LOSS = -4, "ConnectionLoss";
    /// A request that cannot be decoded.
    MARSHALLING_ERROR = -5, "MarshallingError";
    /// An operation that the server does not have.
    UNIMPLEMENTED = -6, "Unimplemented";
    /// Made by clients.
    OPERATION_TIMEOUT = -7, "OperationTimeout";
    /// A wrong argument.
    BAD_ARGUMENTS = -8, "BadArguments";
    /// The session is not known.
    UNKNOWN_SESSION = -12, "UnknownSession";
    /// The new configuration has no quorum of synced members.
    NEW_CONFIG_NO_QUORUM = -13, "NewConfigNoQuorum";
    /// Another reconfiguration is going on.
    RECONFIG_IN_PROGRESS = -14, "ReconfigInProgress";
    /// The first of the API errors.
    API_ERROR = -100, "APIError";
    /// No such znode.
    NO_NODE = -101, "NoNode";
    /// Not permitted.
    NO_AUTH = -102, "NoAuth";
    /// Another version.
    BAD_VERSION = -103, "BadVersion";
    /// An ephemeral has no children.
    NO_CHILDREN_FOR_EPHEMERALS = -108, "NoChildrenForEphemerals";
    /// The znode is there already.
    NODE_EXISTS = -110, "NodeExists";
    /// The znode has children.
    NOT_EMPTY = -111, "NotEmpty";
    /// The session is over.
    SESSION_EXPIRED = -112, "SessionExpired";
    /// Made by clients.
    INVALID_CALLBACK = -113, "InvalidCallback";
    /// A wrong ACL.
    INVALID_ACL = -114, "InvalidACL";
    /// Authentication failed.
    AUTH_FAILED = -115, "AuthFailed";
    /// The session is on another server now.
    SESSION_MOVED = -118, "SessionMoved";
    /// A write on a read-only server.
    NOT_READ_ONLY = -119, "NotReadOnly";
    /// An ephemeral on a local session.
    EPHEMERAL_ON_LOCAL_SESSION = -120, "EphemeralOnLocalSession";
    /// No such watch.
    NO_WATCHER = -121, "NoWatcher";
    /// Made by clients.
    REQUEST_TIMEOUT = -122, "RequestTimeout";
    /// Reconfiguration is switched off.
    RECONFIG_DISABLED = -123, "ReconfigDisabled";
    /// The server asks for SASL first.
    SESSION_CLOSED_REQUIRE_SASL_AUTH = -124, "SessionClosedRequireSaslAuth";
    /// A hard quota.
    QUOTA_EXCEEDED = -125, "QuotaExceeded";
    /// The server was too busy.
    THROTTLED_OP = -127, "ThrottledOp";
});

/// What happened to a watched znode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(i32)]
pub enum EventType {
    /// It was created.
    NodeCreated = 1,
    /// It was deleted.
    NodeDeleted = 2,
    /// Its data was set.
    NodeDataChanged = 3,
    /// A child came or went.
    NodeChildrenChanged = 4,
}

/// The state of a session that every event of a server carries: connected.
pub const STATE_SYNC_CONNECTED: i32 = 3;

/// The permission bits of an ACL entry.
pub mod perms {
    /// May read data, children and ACL.
    pub const READ: i32 = 1;
    /// May set data.
    pub const WRITE: i32 = 2;
    /// May create children.
    pub const CREATE: i32 = 4;
    /// May delete children.
    pub const DELETE: i32 = 8;
    /// May set the ACL.
    pub const ADMIN: i32 = 16;
    /// All of them.
    pub const ALL: i32 = 31;
}
