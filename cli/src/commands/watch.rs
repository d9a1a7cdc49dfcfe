//! Commands about watches: `addWatch`, `removewatches`, and ours that stays and reports: `watch`.

use super::read::data_member;
use super::{Arguments, Context};
use crate::console::event_value;
use crate::failure::Failure;
use crate::text;
use oxkeeper_driver::Event;
use oxkeeper_driver::client::{AddWatchMode, WatchesToRemove};
use oxkeeper_proto::ErrorCode;
use oxkeeper_server::four_letter::date::JavaDate;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub(super) fn add_watch(context: &Context<'_>, arguments: Arguments) -> Result<(), Failure> {
    let mode = match arguments.given.value("m").map(str::to_uppercase).as_deref() {
        None | Some("PERSISTENT_RECURSIVE") => AddWatchMode::PersistentRecursive,
        Some("PERSISTENT") => AddWatchMode::Persistent,
        Some(_) => return Err(arguments.usage()),
    };
    context.session.add_watch(arguments.word(1), mode).map_err(|error| match error {
        // zkCli does not catch this one.
        crate::failure::CallError::Path(message) => Failure::uncaught("IllegalArgumentException", &message),
        error => error.into(),
    })
}

pub(super) fn remove_watches(context: &Context<'_>, arguments: Arguments) -> Result<(), Failure> {
    let given = &arguments.given;
    let kinds = [
        ("c", WatchesToRemove::Children),
        ("d", WatchesToRemove::Data),
        ("p", WatchesToRemove::Persistent),
        ("r", WatchesToRemove::PersistentRecursive),
    ];
    let which = kinds.iter().find(|(name, _)| given.has(name)).map_or(WatchesToRemove::Any, |(_, which)| *which);
    Ok(context.session.remove_watches(arguments.word(1), which, given.has("l"))?)
}

/// Prints every change below a path until it is stopped: by a key, by the number of changes wanted, or with the session.
pub(super) fn watch(context: &Context<'_>, arguments: Arguments) -> Result<(), Failure> {
    let path = arguments.word(1);
    let count: Option<u64> = arguments
        .given
        .value("n")
        .map(|count| text::java_number(count, 10))
        .transpose()
        .map_err(|_| Failure::refused("-n argument must be a number"))?;
    let mode = if arguments.given.has("o") { AddWatchMode::Persistent } else { AddWatchMode::PersistentRecursive };
    if context.is_terminal {
        context.console.error("Watching; press Enter to stop.");
    }
    let (sender, events) = channel();
    context.console.events_to(Some(sender));
    let outcome = context.session.add_watch(path, mode).map_err(Failure::from).and_then(|()| {
        let reporter = Reporter { context, path, has_data: arguments.given.has("d") };
        reporter.run(&events, count)
    });
    context.console.events_to(None);
    let which = if mode == AddWatchMode::Persistent { WatchesToRemove::Persistent } else { WatchesToRemove::PersistentRecursive };
    if context.session.is_alive() && outcome.is_ok() {
        // Gone with the connection, or taken back: either will do.
        context.console.events_to(Some(channel().0));
        let _ = context.session.remove_watches(path, which, true);
        context.console.events_to(None);
    }
    outcome
}

/// How long a key that stops a watch may wait.
const KEY_CHECK_INTERVAL: Duration = Duration::from_millis(200);

/// Whether somebody has pressed Enter, or the input has ended; takes the line.
fn is_line_typed() -> bool {
    let input = std::io::stdin();
    let mut descriptors = [PollFd::new(&input, PollFlags::IN)];
    let is_ready = poll(&mut descriptors, Some(&Timespec::default())).is_ok_and(|ready| ready > 0);
    is_ready && input.read_line(&mut String::new()).is_ok()
}

struct Reporter<'a> {
    context: &'a Context<'a>,
    path: &'a str,
    has_data: bool,
}

impl Reporter<'_> {
    fn run(&self, events: &Receiver<Event>, count: Option<u64>) -> Result<(), Failure> {
        let mut seen = 0;
        while count.is_none_or(|count| seen < count) {
            let event = match events.recv_timeout(KEY_CHECK_INTERVAL) {
                Ok(event) => event,
                Err(RecvTimeoutError::Timeout) if self.context.is_terminal && is_line_typed() => return Ok(()),
                Err(RecvTimeoutError::Timeout) => continue,
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            };
            if event.kind != text::SESSION_EVENT && !self.is_below(&event.path) {
                continue;
            }
            self.report(&event)?;
            if event.state.is_over() {
                return Err(Failure::refused(format!("The session is over: {}", text::event_state(event.state))));
            }
            seen += u64::from(event.kind != text::SESSION_EVENT);
        }
        Ok(())
    }

    /// Whether a path is the watched one or below it; the shell may have other watches.
    fn is_below(&self, path: &str) -> bool {
        let rest = path.strip_prefix(self.path);
        self.path == "/" || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    fn report(&self, event: &Event) -> Result<(), Failure> {
        let console = self.context.console;
        let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_millis() as i64);
        let date = JavaDate { epoch_ms: now_ms, zone: self.context.zone };
        // Created or changed.
        let data = match event.kind {
            1 | 3 if self.has_data => match self.context.session.get(&event.path, false) {
                Ok((data, _)) => Some(data),
                Err(error) if error.is(ErrorCode::NO_NODE) || error.is(ErrorCode::NO_AUTH) => None,
                Err(error) => return Err(error.into()),
            },
            _ => None,
        };
        if console.is_json {
            let mut value = event_value(event);
            value["timeMs"] = now_ms.into();
            if let Some(data) = data {
                let (key, data) = data_member(data.as_deref(), false);
                value[key] = data;
            }
            console.value(&value);
        } else if event.kind == text::SESSION_EVENT {
            console.line(&format!("{date} session {}", text::event_state(event.state)));
        } else {
            let zxid = if event.zxid < 0 { String::new() } else { format!(" zxid {:#x}", event.zxid) };
            console.line(&format!("{date} {} {}{zxid}", text::event_type(event.kind), event.path));
            if let Some(data) = data {
                console.line(&text::data(data.as_deref().unwrap_or(b"null")));
            }
        }
        console.flush();
        Ok(())
    }
}
