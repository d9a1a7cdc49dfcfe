//! A session with the ensemble, with calls as Java's `ZooKeeper` has them: paths are checked here, and an error carries
//! the path that Java's exception names. The wire is the driver's.

use crate::console::Console;
use crate::failure::{CallError, Failure};
use crate::{path, text};
use oxkeeper_driver::client::{AddWatchMode, CreateMode, Level, Operation, State, TableKind, WatchesToRemove, reply, wire_text};
use oxkeeper_driver::{Acl, Builder, Error, Event, Identity, Pending, ZooKeeper};
use oxkeeper_proto::records::{DeleteRequest, GetEphemeralsRequest, Stat};
use oxkeeper_proto::{ErrorCode, OpCode, Record};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

/// What a call gives.
pub type Answer<T> = Result<T, CallError>;

/// How to reach the ensemble.
#[derive(Clone, Debug)]
pub struct Target {
    /// `host:port,host:port/chroot`
    pub servers: String,
    /// The session timeout to ask for.
    pub timeout_ms: i32,
    /// Whether a read-only server will do.
    pub can_be_read_only: bool,
    /// Whether nothing is done before the session is open, and nothing at all if it is not in time.
    pub waits_for_connection: bool,
}

/// A session.
pub struct Session {
    zk: ZooKeeper,
    console: Arc<Console>,
    /// Once, however many threads close.
    is_closed: AtomicBool,
    /// Whether there has been a connection.
    has_connected: Arc<AtomicBool>,
}

impl Session {
    /// Starts a session; it opens by itself, unless the target says to wait.
    ///
    /// # Errors
    /// A list of servers that is none, or no session in time where that is waited for.
    pub fn open(target: &Target, console: &Arc<Console>) -> Result<Self, Failure> {
        check_servers(&target.servers)?;
        let (listener, reporter) = (console.clone(), console.clone());
        let has_connected = Arc::new(AtomicBool::new(false));
        let (connecting, reporting) = (has_connected.clone(), has_connected.clone());
        let mut reported = BTreeSet::new();
        let (opened, opening) = channel();
        let zk = Builder::new(&target.servers, target.timeout_ms)
            .map_err(|error| Failure::uncaught("IllegalArgumentException", &error.to_string()))?
            .can_be_read_only(target.can_be_read_only)
            .on_event(move |event| {
                let state = event.state;
                connecting.fetch_or(state.is_connected(), Ordering::Relaxed);
                listener.event(event);
                if state.is_connected() || state.is_over() {
                    // Nobody waits any more, most of the time.
                    let _ = opened.send(state);
                }
            })
            .on_log(move |level, line| {
                // Why there is no connection; once there has been one, the screen is the user's.
                if level <= Level::Warn
                    && !reporting.load(Ordering::Relaxed)
                    && let Some(reason) = reason(line)
                    && reported.insert(reason.clone())
                {
                    reporter.error(&format!("oxkeeper cli: {reason}"));
                }
            })
            .start()
            .map_err(|error| Failure::refused(format!("no connection can be made: {error}")))?;
        let session = Self { zk, console: console.clone(), is_closed: AtomicBool::new(false), has_connected };
        let wait = Duration::from_millis(u64::try_from(target.timeout_ms).unwrap_or(0));
        // Not before the event has been printed.
        if target.waits_for_connection && !opening.recv_timeout(wait).is_ok_and(State::is_connected) {
            session.close();
            let loss = CallError::Keeper(ErrorCode::CONNECTION_LOSS, None).text();
            let exception = "org.apache.zookeeper.KeeperException$ConnectionLossException";
            return Err(Failure::Uncaught(format!("java.io.IOException: {exception}: {loss}")));
        }
        Ok(session)
    }

    /// Where it stands.
    pub fn state(&self) -> State {
        if self.is_closed.load(Ordering::Relaxed) { State::Closed } else { self.zk.state() }
    }

    /// Whether it is open, or may become so.
    pub fn is_alive(&self) -> bool {
        !self.state().is_over()
    }

    /// Ends the session and waits for the server to know.
    pub fn close(&self) {
        if self.is_alive() && !self.is_closed.swap(true, Ordering::Relaxed) {
            self.zk.close();
            self.console.event(Event { kind: text::SESSION_EVENT, state: State::Closed, path: String::new(), zxid: -1 });
        }
    }

    /// Creates a znode; gives its path.
    ///
    /// # Errors
    /// See [`CallError`], here and below.
    pub fn create(&self, path: &str, data: Option<&[u8]>, acl: &[Acl], mode: CreateMode, ttl_ms: i64) -> Answer<String> {
        path::validate(path, mode.is_sequential()).map_err(CallError::Path)?;
        check_acl(acl)?;
        self.zk.create(path, data, acl, mode, ttl_ms).map_err(self.at(path))
    }

    /// Deletes a znode.
    pub fn delete(&self, path: &str, version: i32) -> Answer<()> {
        check(path)?;
        if path == "/" {
            // Of the server's root, whatever the chroot is: it never goes, and says so.
            let mut body = Vec::new();
            DeleteRequest { path: Some(path.into()), version }.write(&mut body);
            return self.zk.call(&Operation::Raw { op: OpCode::DELETE, body: &body, watch: None }).map(drop).map_err(self.at(path));
        }
        self.zk.delete(path, version).map_err(self.at(path))
    }

    /// The Stat of a znode, if it is there.
    pub fn exists(&self, path: &str, watch: bool) -> Answer<Option<Stat>> {
        check(path)?;
        self.zk.exists(path, watch).map_err(self.at(path))
    }

    /// Data and Stat.
    pub fn get(&self, path: &str, watch: bool) -> Answer<(Option<Vec<u8>>, Stat)> {
        check(path)?;
        self.zk.get(path, watch).map_err(self.at(path))
    }

    /// The ensemble's configuration.
    pub fn get_config(&self, watch: bool) -> Answer<(Option<Vec<u8>>, Stat)> {
        self.zk.get_config(watch).map_err(self.at(oxkeeper_proto::path::CONFIG))
    }

    /// Replaces data.
    pub fn set(&self, path: &str, data: &[u8], version: i32) -> Answer<Stat> {
        check(path)?;
        self.zk.set(path, Some(data), version).map_err(self.at(path))
    }

    /// The ACL.
    pub fn get_acl(&self, path: &str) -> Answer<(Vec<Acl>, Stat)> {
        check(path)?;
        self.zk.get_acl(path).map_err(self.at(path))
    }

    /// Replaces the ACL.
    pub fn set_acl(&self, path: &str, acl: &[Acl], version: i32) -> Answer<Stat> {
        check(path)?;
        check_acl(acl)?;
        self.zk.set_acl(path, acl, version).map_err(self.at(path))
    }

    /// Names of children, in the server's order, and the Stat.
    pub fn children(&self, path: &str, watch: bool) -> Answer<(Vec<String>, Stat)> {
        check(path)?;
        self.zk.children(path, watch).map_err(self.at(path))
    }

    /// Asks for the names of children and does not wait; [`Self::names`] reads the answer.
    pub fn send_children(&self, path: &str, watch: bool) -> Answer<Pending> {
        let watch = watch.then_some(Default::default());
        self.zk.send(&Operation::GetChildren { path: &wire_text(path), watch, with_stat: false }).map_err(self.at(path))
    }

    /// Sends a request and does not wait; `path` is for the error.
    pub fn send(&self, operation: &Operation<'_>, path: &str) -> Answer<Pending> {
        self.zk.send(operation).map_err(self.at(path))
    }

    /// Waits until the leader's state has come to the server: the result code.
    pub fn sync(&self, path: &str) -> Answer<ErrorCode> {
        check(path)?;
        Ok(self.zk.sync(path).map_or_else(|error| error.code(), |_| ErrorCode::OK))
    }

    /// Changes the ensemble; gives the new configuration.
    pub fn reconfig(
        &self,
        joining: Option<&str>,
        leaving: Option<&str>,
        members: Option<&str>,
        from_config: i64,
    ) -> Answer<(Option<Vec<u8>>, Stat)> {
        // Java names a path here, an empty one.
        self.zk.reconfig(joining, leaving, members, from_config).map_err(|error| match self.at("")(error) {
            CallError::Keeper(code, None) => CallError::Keeper(code, Some(String::new())),
            other => other,
        })
    }

    /// Whom the server takes this connection for.
    pub fn who_am_i(&self) -> Answer<Vec<Identity>> {
        self.zk.who_am_i().map_err(self.at(""))
    }

    /// Paths of this session's ephemerals below a path. As Java's client does it, neither the prefix nor what comes
    /// knows of a chroot.
    pub fn ephemerals(&self, prefix: &str) -> Answer<Vec<String>> {
        check(prefix)?;
        let mut body = Vec::new();
        GetEphemeralsRequest { prefix_path: Some(prefix.into()) }.write(&mut body);
        let pending = self.send(&Operation::Raw { op: OpCode::GET_EPHEMERALS, body: &body, watch: None }, "")?;
        self.names(pending, "")
    }

    /// How many znodes there are below one.
    pub fn all_children_number(&self, path: &str) -> Answer<i32> {
        check(path)?;
        self.zk.all_children_number(path).map_err(self.at(path))
    }

    /// Adds a watch that stays.
    pub fn add_watch(&self, path: &str, mode: AddWatchMode) -> Answer<()> {
        check(path)?;
        self.zk.add_watch(path, mode).map_err(self.at(path))
    }

    /// Takes watches back, and makes the events that say so. `is_local`: also when the server cannot be told.
    pub fn remove_watches(&self, path: &str, which: WatchesToRemove, is_local: bool) -> Answer<()> {
        check(path)?;
        let tables = self.zk.remove_watches(path, which, is_local).map_err(self.at(path))?;
        if tables.is_empty() {
            return Err(CallError::Keeper(ErrorCode::NO_WATCHER, Some(path.to_owned())));
        }
        let mut kinds: Vec<i32> = tables
            .iter()
            .map(|table| match table {
                TableKind::Child => text::CHILD_WATCH_REMOVED,
                TableKind::Data | TableKind::Exist => text::DATA_WATCH_REMOVED,
                TableKind::Persistent | TableKind::PersistentRecursive => text::PERSISTENT_WATCH_REMOVED,
            })
            .collect();
        kinds.dedup();
        let state = self.state();
        for kind in kinds {
            self.console.event(Event { kind, state, path: path.to_owned(), zxid: -1 });
        }
        Ok(())
    }

    /// Shows the server credentials, and does not wait for what it thinks of them: a refusal is an event.
    pub fn add_auth(&self, scheme: &str, credentials: &[u8]) {
        // A session that is over takes none, and the caller has been told that it is over.
        let _ = self.zk.send_auth(scheme, credentials);
    }

    /// Waits for the names of children, which come in the server's order; `path` is for the error.
    ///
    /// # Errors
    /// As of any call.
    pub fn names(&self, pending: Pending, path: &str) -> Answer<Vec<String>> {
        let body = pending.wait().map_err(self.at(path))?;
        let (strings, _) = reply::strings(&body).map_err(|_| CallError::Keeper(ErrorCode::MARSHALLING_ERROR, Some(path.to_owned())))?;
        Ok(strings.map(|name| text::data(name).into_owned()).collect())
    }

    /// The error of a call with that path.
    pub fn at<'a>(&'a self, path: &'a str) -> impl Fn(Error) -> CallError + 'a {
        move |error| {
            let code = match error.code() {
                // C's name for a list of servers none of which can be resolved; Java has no other than this.
                ErrorCode::SYSTEM_ERROR if !self.has_connected.load(Ordering::Relaxed) => ErrorCode::CONNECTION_LOSS,
                code => code,
            };
            CallError::Keeper(code, (!path.is_empty()).then(|| path.to_owned()))
        }
    }
}

/// Sorts as Java sorts strings: by UTF-16 units.
pub fn sort(names: &mut [String]) {
    if names.iter().all(|name| name.bytes().all(|byte| byte < 0xee)) {
        // Below U+E000 the orders of bytes and of units are the same.
        names.sort_unstable();
    } else {
        names.sort_by(|a, b| a.encode_utf16().cmp(b.encode_utf16()));
    }
}

fn check(path: &str) -> Answer<()> {
    path::validate(path, false).map_err(CallError::Path)
}

/// An ACL without entries is refused before it is sent, and Java's exception then names no path.
fn check_acl(acl: &[Acl]) -> Answer<()> {
    if acl.is_empty() { Err(CallError::Keeper(ErrorCode::INVALID_ACL, None)) } else { Ok(()) }
}

/// What a line of the client's log says to whoever waits for a connection; nothing if it is about how it goes on.
fn reason(line: &str) -> Option<String> {
    if line.starts_with("Delaying connection") {
        return None;
    }
    // `Socket 127.0.0.1:1 zk retcode=-4, errno=111(Connection refused): ...`
    let socket = line.strip_prefix("Socket ").and_then(|rest| rest.split_once(" zk retcode="));
    let system = socket.and_then(|(server, rest)| Some((server, rest.split_once('(')?.1.split_once(')')?.0)));
    Some(system.map_or_else(|| line.to_owned(), |(server, text)| format!("{server}: {text}")))
}

/// What Java's constructor refuses, in its words.
fn check_servers(servers: &str) -> Result<(), Failure> {
    let (hosts, chroot) = servers.split_at(servers.find('/').unwrap_or(servers.len()));
    let refuse = |message: &str| Err(Failure::uncaught("IllegalArgumentException", message));
    if chroot.len() > 1
        && let Err(message) = path::validate(chroot, false)
    {
        return refuse(&message);
    }
    let mut is_empty = true;
    for entry in hosts.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
        is_empty = false;
        let port = match entry.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((_, rest)) => rest.strip_prefix(':').unwrap_or(""),
            None => entry.rsplit_once(':').map_or("", |(_, port)| port),
        };
        if port.is_empty() {
            continue;
        }
        match text::java_number::<i32>(port, 10) {
            Ok(number) if u16::try_from(number).is_ok() => {}
            Ok(number) => return refuse(&format!("port out of range:{number}")),
            Err(message) => return Err(Failure::uncaught("NumberFormatException", &message)),
        }
    }
    if is_empty { refuse("A HostProvider may not be empty!") } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_servers_are_refused_as_java_refuses() {
        for good in ["h", "h:1", "h:,g:2", "[::1]:5/a/b", "h:1/", " h:1 , g"] {
            assert_eq!(check_servers(good), Ok(()), "{good}");
        }
        for (bad, exception) in [
            ("", "IllegalArgumentException: A HostProvider may not be empty!"),
            (",/a", "IllegalArgumentException: A HostProvider may not be empty!"),
            ("h:1/a/", "IllegalArgumentException: Path must not end with / character"),
            ("h:x", "NumberFormatException: For input string: \"x\""),
            ("h:70000", "IllegalArgumentException: port out of range:70000"),
        ] {
            assert_eq!(check_servers(bad), Err(Failure::Uncaught(format!("java.lang.{exception}"))), "{bad}");
        }
    }

    #[test]
    fn reasons_are_short() {
        for (line, short) in [
            ("Socket 127.0.0.1:1 zk retcode=-4, errno=111(Connection refused): server refused", Some("127.0.0.1:1: Connection refused")),
            ("could not resolve nobody.invalid:1", Some("could not resolve nobody.invalid:1")),
            ("Delaying connection after exhaustively trying all servers [127.0.0.1:1]", None),
        ] {
            assert_eq!(reason(line).as_deref(), short);
        }
    }

    #[test]
    fn names_are_sorted_by_utf16_units() {
        let mut names = ["\u{ffee}", "\u{10000}", "b", "B", "a"].map(str::to_owned);
        sort(&mut names);
        assert_eq!(names, ["B", "a", "b", "\u{10000}", "\u{ffee}"]);
    }
}
