//! The words before the command: whom to connect to, and how. As zkCli reads them, a word with a hyphen that means
//! nothing is passed over; the first word without one is the command, and all after it is the command's.

use crate::failure::Failure;
use crate::session::Target;
use crate::text;
use oxkeeper_server::config::properties::{self, trim};
use std::path::Path;

/// The options, for `help`.
pub const OPTIONS: &str = "Options, before the command:
\t-server host:port[,host:port...][/chroot]  default localhost:2181
\t-timeout ms                 session timeout, default 30000
\t-r                          a read-only server will do
\t-waitforconnection          end with an error if no session opens in time
\t-client-configuration file  properties of the client
\t-Dkey=value                 one such property
\t--json                      print JSON in place of text
\t--help                      this text
Without a command: a shell. Its end is `quit`, Ctrl-D, or the end of the input.";

/// What the command line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invocation {
    /// `-server`
    pub servers: String,
    /// `-timeout`, as it was typed.
    pub timeout: String,
    /// `-r`
    pub can_be_read_only: bool,
    /// `-waitforconnection`
    pub waits_for_connection: bool,
    /// `-client-configuration`
    pub client_configuration: Option<String>,
    /// `-Dkey=value`
    pub properties: Vec<(String, String)>,
    /// `--json`
    pub is_json: bool,
    /// `--help`
    pub wants_help: bool,
    /// The command and its words; none for a shell.
    pub command: Vec<String>,
    /// An option without its value: a complaint, and nothing behind it is read.
    pub complaint: Option<String>,
}

impl Invocation {
    /// Reads the words after `oxkeeper cli`.
    pub fn parse(words: impl IntoIterator<Item = String>) -> Self {
        let mut invocation = Self {
            servers: "localhost:2181".to_owned(),
            timeout: "30000".to_owned(),
            can_be_read_only: false,
            waits_for_connection: false,
            client_configuration: None,
            properties: Vec::new(),
            is_json: false,
            wants_help: false,
            command: Vec::new(),
            complaint: None,
        };
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            match word.as_str() {
                "-server" | "-timeout" | "-client-configuration" => {
                    let Some(value) = words.next() else {
                        invocation.complaint = Some(format!("Error: no argument found for option {word}"));
                        break;
                    };
                    match word.as_str() {
                        "-server" => invocation.servers = value,
                        "-timeout" => invocation.timeout = value,
                        _ => invocation.client_configuration = Some(value),
                    }
                }
                "-r" => invocation.can_be_read_only = true,
                "-waitforconnection" => invocation.waits_for_connection = true,
                "--json" => invocation.is_json = true,
                "--help" => invocation.wants_help = true,
                _ if word.starts_with("-D") => invocation.properties.push(property(&word[2..])),
                _ if word.starts_with('-') => {}
                _ => {
                    invocation.command.push(word);
                    invocation.command.extend(words);
                    break;
                }
            }
        }
        invocation
    }

    /// Adds the `-D` words of the variables that scripts know a JVM's flags by; what the command line says comes after
    /// them and wins. Flags of a JVM mean nothing here.
    #[must_use]
    pub fn with_environment(mut self, variable: impl Fn(&str) -> Option<String>) -> Self {
        let flags = ["CLIENT_JVMFLAGS", "JVMFLAGS"].into_iter().filter_map(variable).collect::<Vec<_>>().join(" ");
        let of_flags = flags.split_whitespace().filter_map(|word| word.strip_prefix("-D")).map(property);
        self.properties = of_flags.chain(self.properties).collect();
        self
    }

    /// The target that all of this makes.
    ///
    /// # Errors
    /// A timeout that is no number; properties that cannot be read, or that ask for what we do not have.
    pub fn target(&self) -> Result<Target, Failure> {
        let mut properties = self.properties.clone();
        if let Some(file) = &self.client_configuration {
            properties.extend(read_properties(file)?);
        }
        check_properties(&properties)?;
        let timeout_ms = text::java_number(&self.timeout, 10).map_err(|message| Failure::uncaught("NumberFormatException", &message))?;
        Ok(Target {
            servers: self.servers.clone(),
            timeout_ms,
            can_be_read_only: self.can_be_read_only,
            waits_for_connection: self.waits_for_connection,
        })
    }
}

/// `key=value`, without the `-D`.
fn property(text: &str) -> (String, String) {
    let (key, value) = text.split_once('=').unwrap_or((text, ""));
    (key.to_owned(), value.to_owned())
}

/// What zkCli ends with when the client's configuration is no good.
const INVALID_INVOCATION: u8 = 2;

fn invalid(message: String) -> Failure {
    Failure::Refused { message, exit_code: INVALID_INVOCATION, error: None }
}

fn read_properties(file: &str) -> Result<Vec<(String, String)>, Failure> {
    let complain = |reason: &str| invalid(format!("Error while processing {}: {reason}", Path::new(file).display()));
    let bytes = std::fs::read(file).map_err(|error| complain(&crate::failure::system_text(&error)))?;
    let entries = properties::parse(&bytes).map_err(|error| complain(&format!("line {}: {error}", error.line)))?;
    Ok(entries.iter().map(|entry| (trim(&entry.key).to_owned(), trim(&entry.value).to_owned())).collect())
}

/// What asks for protection that this client cannot give stops it: nothing is ever sent in the clear by accident.
fn check_properties(properties: &[(String, String)]) -> Result<(), Failure> {
    let last = |wanted: &str| properties.iter().rev().find(|(key, _)| key == wanted).map(|(_, value)| value.as_str());
    if last("zookeeper.client.secure").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return Err(invalid("zookeeper.client.secure=true: this client has no TLS yet; connect to the server's plain port".to_owned()));
    }
    let wants_login = last("zookeeper.sasl.clientconfig").is_some() || last("java.security.auth.login.config").is_some();
    if wants_login && !last("zookeeper.sasl.client").is_some_and(|value| value.eq_ignore_ascii_case("false")) {
        return Err(invalid(
            "a SASL login is configured: this client has no SASL yet; zookeeper.sasl.client=false goes without".to_owned(),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Invocation {
        Invocation::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn words_before_the_command() {
        let invocation = parse("-server h:1 -r -unknown --json -timeout 5 ls -s -server /");
        assert_eq!((invocation.servers.as_str(), invocation.timeout.as_str()), ("h:1", "5"));
        assert!(invocation.can_be_read_only && invocation.is_json && !invocation.waits_for_connection);
        assert_eq!(invocation.command, ["ls", "-s", "-server", "/"]);
        let nothing = parse("");
        assert_eq!((nothing.servers.as_str(), nothing.timeout.as_str(), nothing.command.len()), ("localhost:2181", "30000", 0));
        let cut = parse("-waitforconnection -server");
        assert_eq!(cut.complaint.as_deref(), Some("Error: no argument found for option -server"));
        assert!(cut.waits_for_connection);
    }

    #[test]
    fn nothing_goes_in_the_clear_that_should_not() {
        for refused in ["-Dzookeeper.client.secure=true", "-Djava.security.auth.login.config=/x", "-Dzookeeper.sasl.clientconfig=Client"] {
            assert_eq!(parse(refused).target().expect_err(refused).exit_code(), 2, "{refused}");
        }
        for accepted in [
            "-Dzookeeper.client.secure=false",
            "-Dzookeeper.client.secure=true -Dzookeeper.client.secure=false",
            "-Djava.security.auth.login.config=/x -Dzookeeper.sasl.client=false",
            "-Djute.maxbuffer=1000",
        ] {
            assert!(parse(accepted).target().is_ok(), "{accepted}");
        }
    }

    #[test]
    fn flags_of_the_environment_count() {
        let with_flags = |line: &str| {
            parse(line).with_environment(|name| (name == "CLIENT_JVMFLAGS").then(|| "-Xmx1g -Dzookeeper.client.secure=true".to_owned()))
        };
        assert!(with_flags("ls /").target().is_err());
        assert!(with_flags("-Dzookeeper.client.secure=false ls /").target().is_ok());
        assert!(parse("ls /").with_environment(|_| None).target().is_ok());
    }

    #[test]
    fn bad_targets() {
        let missing = parse("-client-configuration /nonexistent/file").target().expect_err("missing");
        assert_eq!(missing.message(), "Error while processing /nonexistent/file: No such file or directory");
        assert_eq!(missing.exit_code(), 2);
        let timeout = parse("-timeout soon").target().expect_err("no number");
        assert_eq!(timeout.message(), "Exception in thread \"main\" java.lang.NumberFormatException: For input string: \"soon\"");
    }
}
