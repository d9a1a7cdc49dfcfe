//! Where lines go: standard output and standard error, in the order in which they are said, by whatever thread. While
//! a line is being edited, what comes in between goes through the editor, which draws its line again.

use crate::text;
use oxkeeper_driver::Event;
use serde_json::{Value, json};
use std::io::{BufWriter, Stdout, Write};
use std::process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Mutex, PoisonError};

/// The two streams of the program.
pub struct Console {
    streams: Mutex<Streams>,
    /// Whether events are printed.
    pub prints_watches: AtomicBool,
    /// Whether values are printed, and errors, in place of text.
    pub is_json: bool,
}

struct Streams {
    out: BufWriter<Stdout>,
    /// The line that is being edited.
    editing: Option<Editing>,
    /// Who gets events in place of the screen.
    events: Option<Sender<Event>>,
}

impl Console {
    /// The streams of this process.
    pub fn new(is_json: bool) -> Self {
        let streams = Streams { out: BufWriter::new(std::io::stdout()), editing: None, events: None };
        Self { streams: Mutex::new(streams), prints_watches: AtomicBool::new(true), is_json }
    }

    fn with<T>(&self, work: impl FnOnce(&mut Streams) -> T) -> T {
        work(&mut self.streams.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Prints text as it is. It may stay in a buffer until [`Self::flush`], or until something else is said.
    pub fn print(&self, text: &str) {
        self.with(|streams| ok_or_end(streams.out.write_all(text.as_bytes())));
    }

    /// Prints a line.
    pub fn line(&self, text: &str) {
        self.with(|streams| {
            ok_or_end(streams.out.write_all(text.as_bytes()));
            ok_or_end(streams.out.write_all(b"\n"));
        });
    }

    /// Prints a value on a line of its own.
    pub fn value(&self, value: &Value) {
        self.line(&value.to_string());
    }

    /// Prints a line on standard error.
    pub fn error(&self, text: &str) {
        self.with(|streams| {
            ok_or_end(streams.out.flush());
            // Nobody is left to be told that nobody listens.
            let _ = writeln!(std::io::stderr(), "{text}");
        });
    }

    /// Hands everything to the system.
    pub fn flush(&self) {
        self.with(|streams| ok_or_end(streams.out.flush()));
    }

    /// A line is being edited, or none any more.
    pub fn edit(&self, editing: Option<Editing>) {
        self.with(|streams| streams.editing = editing);
    }

    /// Sends events to someone, or to the screen again.
    pub fn events_to(&self, events: Option<Sender<Event>>) {
        self.with(|streams| streams.events = events);
    }

    /// Something happened. Called on the client's thread.
    pub fn event(&self, event: Event) {
        self.with(|streams| {
            if let Some(receiver) = &streams.events {
                let _ = receiver.send(event);
                return;
            }
            // Who wants values wants those of the commands, and changes of znodes that were asked for.
            if !self.prints_watches.load(Ordering::Relaxed) || (self.is_json && event.kind == text::SESSION_EVENT) {
                return;
            }
            let text =
                if self.is_json { format!("{}\n", event_value(&event)) } else { format!("\nWATCHER::\n\n{}\n", text::event(&event)) };
            let (before, after) = streams.editing.as_ref().map_or_else(Default::default, Editing::around);
            ok_or_end(streams.out.write_all(format!("{before}{text}{after}").as_bytes()));
            ok_or_end(streams.out.flush());
        });
    }
}

/// What stands on the last line of the terminal while somebody types.
#[derive(Clone, Debug)]
pub struct Editing {
    /// The prompt.
    pub prompt: String,
    /// What has been typed.
    pub line: String,
    /// Where the cursor stands in it, bytes.
    pub cursor: usize,
    /// How wide the terminal is.
    pub columns: usize,
}

impl Editing {
    /// What to print before and after a text that comes in between: the line goes, and stands there again below it. A
    /// line that is longer than the terminal stays where it is.
    fn around(&self) -> (String, String) {
        let width = |text: &str| text.chars().count();
        let is_short = width(&self.prompt) + width(&self.line) < self.columns;
        let back = width(&self.line[self.cursor..]);
        let back = if back == 0 { String::new() } else { format!("\x1b[{back}D") };
        let before = if is_short { "\r\x1b[J" } else { "\n" };
        (before.to_owned(), format!("{}{}{back}", self.prompt, self.line))
    }
}

/// An event as JSON.
pub fn event_value(event: &Event) -> Value {
    let path = if event.kind == text::SESSION_EVENT { Value::Null } else { event.path.clone().into() };
    let zxid = if event.zxid < 0 { Value::Null } else { format!("{:#x}", event.zxid).into() };
    json!({"event": text::event_type(event.kind), "state": text::event_state(event.state), "path": path, "zxid": zxid})
}

/// Whoever reads has gone (`oxkeeper cli ls -R / | head`): there is nothing left to do, and nothing failed. Java's
/// client ends with 0 too.
fn ok_or_end(written: std::io::Result<()>) {
    if written.is_err() {
        process::exit(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_typed_stands_there_again() {
        let mut editing = Editing { prompt: "> ".to_owned(), line: "get /ü".to_owned(), cursor: 4, columns: 80 };
        assert_eq!(editing.around(), ("\r\x1b[J".to_owned(), "> get /ü\x1b[2D".to_owned()));
        editing.columns = 8;
        editing.cursor = editing.line.len();
        assert_eq!(editing.around(), ("\n".to_owned(), "> get /ü".to_owned()));
    }
}
