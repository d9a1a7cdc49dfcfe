//! Where lines go: standard output and standard error, in the order in which they are said, by whatever thread. While
//! a line is being edited, what comes in between goes through the editor, which draws its line again.

use crate::text;
use oxkeeper_driver::Event;
use rustyline::ExternalPrinter;
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
    /// Prints around a line that is being edited.
    editor: Option<Box<dyn ExternalPrinter + Send>>,
    /// Who gets events in place of the screen.
    events: Option<Sender<Event>>,
}

impl Console {
    /// The streams of this process.
    pub fn new(is_json: bool) -> Self {
        let streams = Streams { out: BufWriter::new(std::io::stdout()), editor: None, events: None };
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

    /// While a line is being edited, the editor prints.
    pub fn edit_with(&self, editor: Option<Box<dyn ExternalPrinter + Send>>) {
        self.with(|streams| streams.editor = editor);
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
            if !self.prints_watches.load(Ordering::Relaxed) {
                return;
            }
            let text =
                if self.is_json { format!("{}\n", event_value(&event)) } else { format!("\nWATCHER::\n\n{}\n", text::event(&event)) };
            match &mut streams.editor {
                Some(editor) => {
                    let _ = editor.print(text);
                }
                None => {
                    ok_or_end(streams.out.write_all(text.as_bytes()));
                    ok_or_end(streams.out.flush());
                }
            }
        });
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
