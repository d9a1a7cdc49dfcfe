//! What goes wrong, in zkCli's words and with its exit codes.

use oxkeeper_proto::ErrorCode;

/// Why a command did not do what it was asked to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// A line on the error stream; a shell goes on.
    Refused {
        /// The line.
        message: String,
        /// For whoever started a single command.
        exit_code: u8,
        /// The server's or the client's error, if it was one.
        error: Option<(ErrorCode, Option<String>)>,
    },
    /// What Java lets fall through as an exception: its name and message. The program ends with 1, unless somebody sits
    /// at a terminal.
    Uncaught(String),
}

impl Failure {
    /// A line and exit code 1.
    pub fn refused(message: impl Into<String>) -> Self {
        Self::Refused { message: message.into(), exit_code: 1, error: None }
    }

    /// A word that is no command: 127, as shells say it.
    pub fn unknown_command(command: &str) -> Self {
        Self::Refused { message: format!("Command not found: Command not found {command}"), exit_code: 127, error: None }
    }

    /// An exception of Java's package `java.lang`.
    pub fn uncaught(exception: &str, message: &str) -> Self {
        Self::Uncaught(format!("java.lang.{exception}: {message}"))
    }

    /// The line to print.
    pub fn message(&self) -> String {
        match self {
            Self::Refused { message, .. } => message.clone(),
            Self::Uncaught(exception) => format!("Exception in thread \"main\" {exception}"),
        }
    }

    /// What a single command ends with.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Refused { exit_code, .. } => *exit_code,
            Self::Uncaught(_) => 1,
        }
    }
}

/// How a call to the server fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallError {
    /// The path is none: nothing was sent.
    Path(String),
    /// The server's error, or the client's own when the connection went; the path that Java's exception names.
    Keeper(ErrorCode, Option<String>),
}

impl CallError {
    /// Whether it is that error.
    pub fn is(&self, code: ErrorCode) -> bool {
        matches!(self, Self::Keeper(found, _) if *found == code)
    }

    /// The message of Java's exception itself.
    pub fn text(&self) -> String {
        match self {
            Self::Path(text) => text.clone(),
            Self::Keeper(code, path) => {
                let path = path.as_deref().filter(|path| !path.is_empty());
                format!("KeeperErrorCode = {}{}", code_text(*code), path.map(|path| format!(" for {path}")).unwrap_or_default())
            }
        }
    }
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        let text = error.text();
        match error {
            CallError::Path(_) => Self::refused(text),
            CallError::Keeper(code, path) => {
                let message = match (friendly(code), &path) {
                    (Some(Friendly::WithPath(words)), path) => format!("{words}: {}", path.as_deref().unwrap_or("null")),
                    (Some(Friendly::Alone(words)), _) => words.to_owned(),
                    (None, _) => text,
                };
                Self::Refused { message, exit_code: 1, error: Some((code, path)) }
            }
        }
    }
}

enum Friendly {
    WithPath(&'static str),
    Alone(&'static str),
}

/// The errors that zkCli has words of its own for.
fn friendly(code: ErrorCode) -> Option<Friendly> {
    Some(match code {
        ErrorCode::NO_NODE => Friendly::WithPath("Node does not exist"),
        ErrorCode::NO_CHILDREN_FOR_EPHEMERALS => Friendly::WithPath("Ephemerals cannot have children"),
        ErrorCode::NODE_EXISTS => Friendly::WithPath("Node already exists"),
        ErrorCode::NOT_EMPTY => Friendly::WithPath("Node not empty"),
        ErrorCode::NOT_READ_ONLY => Friendly::WithPath("Not a read-only call"),
        ErrorCode::INVALID_ACL => Friendly::WithPath("Acl is not valid "),
        ErrorCode::NO_AUTH => Friendly::WithPath("Insufficient permission "),
        ErrorCode::BAD_ARGUMENTS => Friendly::WithPath("Arguments are not valid "),
        ErrorCode::BAD_VERSION => Friendly::WithPath("version No is not valid "),
        ErrorCode::QUOTA_EXCEEDED => Friendly::WithPath("Quota has exceeded "),
        ErrorCode::RECONFIG_IN_PROGRESS => {
            Friendly::Alone("Another reconfiguration is in progress -- concurrent reconfigs not supported (yet)")
        }
        ErrorCode::NEW_CONFIG_NO_QUORUM => Friendly::Alone(
            "No quorum of new config is connected and up-to-date with the leader of last commmitted config - \
             try invoking reconfiguration after new servers are connected and synced",
        ),
        _ => return None,
    })
}

/// The error as Java's client names it in a message.
fn code_text(code: ErrorCode) -> String {
    let text = match code {
        ErrorCode::OK => "ok",
        ErrorCode::NOT_EMPTY => "Directory not empty",
        ErrorCode::SESSION_EXPIRED => "Session expired",
        ErrorCode::INVALID_CALLBACK => "Invalid callback",
        ErrorCode::SESSION_MOVED => "Session moved",
        ErrorCode::NOT_READ_ONLY => "Not a read-only call",
        ErrorCode::EPHEMERAL_ON_LOCAL_SESSION => "Ephemeral node on local session",
        ErrorCode::NO_WATCHER => "No such watcher",
        ErrorCode::RECONFIG_DISABLED => "Reconfig is disabled",
        ErrorCode::SESSION_CLOSED_REQUIRE_SASL_AUTH => "Session closed because client failed to authenticate",
        ErrorCode::QUOTA_EXCEEDED => "Quota has exceeded",
        ErrorCode::THROTTLED_OP => "Op throttled due to high load",
        // Java has no words for these two and prints the name of its constant.
        ErrorCode::REQUEST_TIMEOUT => "Unknown error REQUESTTIMEOUT",
        ErrorCode::UNKNOWN_SESSION => "Unknown error UNKNOWNSESSION",
        other => return other.name().map_or_else(|| format!("Unknown error {}", other.0), str::to_owned),
    };
    text.to_owned()
}

/// The system's words for an error, without Rust's number.
pub fn system_text(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_have_zkclis_words() {
        for (code, path, message) in [
            (ErrorCode::NO_NODE, Some("/a"), "Node does not exist: /a"),
            (ErrorCode::NO_NODE, None, "Node does not exist: null"),
            (ErrorCode::INVALID_ACL, None, "Acl is not valid : null"),
            (ErrorCode::CONNECTION_LOSS, Some("/a"), "KeeperErrorCode = ConnectionLoss for /a"),
            (ErrorCode::CONNECTION_LOSS, None, "KeeperErrorCode = ConnectionLoss"),
            (ErrorCode::RECONFIG_DISABLED, Some(""), "KeeperErrorCode = Reconfig is disabled"),
            (ErrorCode::SESSION_EXPIRED, Some("/"), "KeeperErrorCode = Session expired for /"),
            (ErrorCode(-77), Some("/"), "KeeperErrorCode = Unknown error -77 for /"),
        ] {
            let failure = Failure::from(CallError::Keeper(code, path.map(str::to_owned)));
            assert_eq!((failure.message().as_str(), failure.exit_code()), (message, 1));
        }
    }

    #[test]
    fn exit_codes_are_zkclis() {
        assert_eq!(Failure::unknown_command("x").exit_code(), 127);
        let uncaught = Failure::uncaught("NumberFormatException", "For input string: \"x\"");
        assert_eq!(uncaught.message(), "Exception in thread \"main\" java.lang.NumberFormatException: For input string: \"x\"");
        assert_eq!(uncaught.exit_code(), 1);
    }
}
