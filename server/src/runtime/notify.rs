//! What systemd is told of a unit of `Type=notify`: that the server serves, that it is alive, that it ends.
//!
//! The protocol is datagrams of `KEY=value` lines to the socket in `NOTIFY_SOCKET`; without that variable nothing is
//! done. Whoever calls decides what being alive means.

use log::warn;
use std::env;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// The longest sleep of the watchdog's thread: how late it sees the end.
const GRAIN: Duration = Duration::from_millis(100);

/// The line to the service manager; its end tells that the server stops.
pub struct Notifier {
    line: Option<Line>,
    ended: Arc<AtomicBool>,
}

struct Line {
    socket: UnixDatagram,
    address: SocketAddr,
}

impl Line {
    /// The socket that the environment names, if it names one.
    fn open() -> Option<Self> {
        let name = env::var_os("NOTIFY_SOCKET")?;
        let bytes = name.as_encoded_bytes();
        let address = match bytes.strip_prefix(b"@") {
            Some(abstract_name) => SocketAddr::from_abstract_name(abstract_name),
            None => SocketAddr::from_pathname(&name),
        };
        match address.and_then(|address| Ok(Self { socket: UnixDatagram::unbound()?, address })) {
            Ok(line) => Some(line),
            Err(error) => {
                warn!("NOTIFY_SOCKET cannot be used: {error}");
                None
            }
        }
    }

    fn say(&self, text: &str) {
        if let Err(error) = self.socket.send_to_addr(text.as_bytes(), &self.address) {
            warn!("The service manager does not take {text:?}: {error}");
        }
    }
}

/// Tells that the server serves, and from then on, where a watchdog asks for it, that it is alive: whenever `look` comes back.
/// A `look` that waits for a lock that is never given back lets the watchdog bite.
pub fn serving(status: &str, look: impl Fn() + Send + 'static) -> Notifier {
    let ended = Arc::new(AtomicBool::new(false));
    let Some(line) = Line::open() else { return Notifier { line: None, ended } };
    line.say(&format!("READY=1\nSTATUS={status}"));
    if let (Some(interval), Some(line)) = (watchdog_interval(), Line::open()) {
        let ended = ended.clone();
        let watch = move || {
            // Two looks in the time that is allowed for one.
            let pause = interval / 2;
            let mut last = Instant::now();
            while !ended.load(Ordering::SeqCst) {
                if last.elapsed() >= pause {
                    last = Instant::now();
                    look();
                    line.say("WATCHDOG=1");
                }
                thread::sleep(GRAIN.min(pause));
            }
        };
        if let Err(error) = thread::Builder::new().name("Watchdog".to_owned()).spawn(watch) {
            warn!("The watchdog's thread cannot be started: {error}");
        }
    }
    Notifier { line: Some(line), ended }
}

impl Notifier {
    /// Another one speaks for the process from now on: the end of this one tells nothing.
    pub fn let_go(mut self) {
        self.line = None;
    }
}

/// How long the service manager waits for a sign of life of this process.
fn watchdog_interval() -> Option<Duration> {
    let microseconds: u64 = env::var("WATCHDOG_USEC").ok()?.parse().ok().filter(|interval| *interval > 0)?;
    let is_for_us = env::var("WATCHDOG_PID").ok().is_none_or(|id| id == std::process::id().to_string());
    is_for_us.then_some(Duration::from_micros(microseconds))
}

impl Drop for Notifier {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        if let Some(line) = &self.line {
            line.say("STOPPING=1");
        }
    }
}
