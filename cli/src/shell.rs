//! The shell: lines in, commands done, until the input ends or `quit`. On a terminal lines are edited, with completion
//! of commands and live paths; otherwise they are read as they come, without a prompt. A single command of a command
//! line goes the same way.

use crate::commands::{self, Context};
use crate::console::{Console, Editing};
use crate::failure::Failure;
use crate::session::{Session, Target, sort};
use crate::{path, text, top, words};
use oxkeeper_server::four_letter::zone::Zone;
use rustix::termios::tcgetwinsize;
use rustyline::completion::{Completer, Pair};
use rustyline::hint::Hinter;
use rustyline::{CompletionType, Config, Editor};
use std::collections::BTreeMap;
use std::io::BufRead;
use std::ops::ControlFlow;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

/// The shell.
pub struct Shell {
    target: Target,
    session: Shared,
    console: Arc<Console>,
    zone: Zone,
    version: String,
    /// Lines by their number.
    history: BTreeMap<i32, String>,
    command_count: i32,
    /// The words of the last line that had any.
    last_words: Option<Vec<String>>,
    exit_code: u8,
    /// Whether somebody sits there.
    is_terminal: bool,
}

/// The session, which `connect` replaces and the completion asks.
type Shared = Arc<Mutex<Arc<Session>>>;

fn current(shared: &Shared) -> Arc<Session> {
    shared.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// How many lines before the current one `history` shows.
const HISTORY_SHOWN: i32 = 10;

impl Shell {
    /// A shell on a session.
    pub fn new(target: Target, session: Session, console: Arc<Console>, version: String, is_terminal: bool) -> Self {
        Self {
            target,
            session: Arc::new(Mutex::new(Arc::new(session))),
            console,
            zone: Zone::local(),
            version,
            history: BTreeMap::new(),
            command_count: 0,
            last_words: None,
            exit_code: 0,
            is_terminal,
        }
    }

    /// Does one command and gives the exit code.
    pub fn run_single(mut self, words: Vec<String>) -> u8 {
        let _ = self.run(words);
        self.console.flush();
        self.exit_code
    }

    /// Reads lines until the end and gives the exit code.
    pub fn run_lines(mut self) -> u8 {
        if !self.console.is_json {
            self.console.line("Welcome to ZooKeeper!");
            // What scripts know Java's client by: with it there is a prompt, without it there is none.
            self.console.line(if self.is_terminal { "JLine support is enabled" } else { "JLine support is disabled" });
            self.console.flush();
        }
        if self.is_terminal {
            self.edit_lines()
        } else {
            self.read_lines()
        }
        self.console.flush();
        self.exit_code
    }

    fn read_lines(&mut self) {
        let mut input = std::io::stdin().lock();
        let mut line = Vec::new();
        loop {
            line.clear();
            match input.read_until(b'\n', &mut line) {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
            let end = line.iter().rposition(|byte| !matches!(byte, b'\n' | b'\r')).map_or(0, |last| last + 1);
            let text = text::data(&line[..end]).into_owned();
            if self.line(&text).is_break() {
                return;
            }
        }
    }

    fn edit_lines(&mut self) {
        let config = Config::builder().completion_type(CompletionType::List).auto_add_history(true).build();
        let Ok(mut editor) = Editor::<PathHelper, _>::with_config(config) else {
            return self.read_lines();
        };
        let console = self.console.clone();
        editor.set_helper(Some(PathHelper { session: self.session.clone(), console, prompt: String::new(), columns: 0 }));
        loop {
            let prompt =
                format!("[zk: {}({}) {}] ", self.target.servers, text::prompt_state(current(&self.session).state()), self.command_count);
            self.console.flush();
            if let Some(helper) = editor.helper_mut() {
                helper.prompt.clone_from(&prompt);
                helper.columns = tcgetwinsize(std::io::stdout()).map_or(0, |size| usize::from(size.ws_col));
                helper.is_typed("", 0);
            }
            let read = editor.readline(&prompt);
            self.console.edit(None);
            match read {
                Ok(line) if self.line(&line).is_continue() => {}
                _ => return,
            }
        }
    }

    /// One line. Whether to go on.
    fn line(&mut self, line: &str) -> ControlFlow<()> {
        if line.is_empty() {
            return ControlFlow::Continue(());
        }
        self.history.insert(self.command_count, line.to_owned());
        let flow = match self.words_of(line) {
            Ok(words) => self.run(words),
            Err(failure) => self.report(&failure),
        };
        self.command_count += 1;
        self.console.flush();
        flow
    }

    /// The words of a line; a line without any (a lone quote) does the command before it again, as in zkCli.
    fn words_of(&mut self, line: &str) -> Result<Vec<String>, Failure> {
        let words = words::split(line);
        if !words.is_empty() {
            self.last_words = Some(words);
        }
        self.last_words.clone().ok_or_else(|| Failure::uncaught("NullPointerException", "no command"))
    }

    /// One command, and what it leaves as exit code. Whether to go on.
    fn run(&mut self, words: Vec<String>) -> ControlFlow<()> {
        match self.dispatch(words) {
            Ok(flow) => {
                if flow.is_continue() {
                    self.exit_code = 0;
                }
                flow
            }
            Err(failure) => self.report(&failure),
        }
    }

    fn report(&mut self, failure: &Failure) -> ControlFlow<()> {
        self.exit_code = failure.exit_code();
        if let (true, Failure::Refused { error: Some((code, path)), .. }) = (self.console.is_json, failure) {
            let value = serde_json::json!({"error": code.name(), "code": code.0, "path": path, "message": failure.message()});
            self.console.error(&value.to_string());
        } else if self.console.is_json {
            self.console.error(&serde_json::json!({"error": null, "message": failure.message()}).to_string());
        } else {
            self.console.error(&failure.message());
        }
        match failure {
            // Java's program dies of it. Whoever sits there may try again.
            Failure::Uncaught(_) if !self.is_terminal => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    }

    fn dispatch(&mut self, words: Vec<String>) -> Result<ControlFlow<()>, Failure> {
        let name = words.first().map_or("", String::as_str);
        match name {
            "help" => {
                self.console.line(&commands::help());
                return Ok(ControlFlow::Continue(()));
            }
            "top" => {
                top::run(&self.target.servers, &words[1..], self.is_terminal)?;
                return Ok(ControlFlow::Continue(()));
            }
            _ if !commands::is_known(name) => {
                self.console.error(&commands::java_usage());
                return Err(Failure::unknown_command(name));
            }
            "quit" => {
                current(&self.session).close();
                return Ok(ControlFlow::Break(()));
            }
            _ => {}
        }
        if let Some(flow) = self.built_in(name, &words)?
            && flow.is_break()
        {
            return Ok(flow);
        }
        // zkCli looks at this after its own commands too.
        let session = current(&self.session);
        if !session.is_alive() {
            self.console.line("Not connected");
            return Ok(ControlFlow::Continue(()));
        }
        if let Some(command) = commands::find(name) {
            let context = Context {
                session: &session,
                console: &self.console,
                zone: &self.zone,
                version: &self.version,
                is_terminal: self.is_terminal,
            };
            command.run(&context, words)?;
        }
        Ok(ControlFlow::Continue(()))
    }

    /// The shell's own commands; `None` if it is none of them.
    fn built_in(&mut self, name: &str, words: &[String]) -> Result<Option<ControlFlow<()>>, Failure> {
        let argument = words.get(1);
        match (name, argument) {
            ("redo", Some(number)) => return self.redo(number).map(Some),
            ("history", _) => {
                for number in (self.command_count - HISTORY_SHOWN).max(0)..=self.command_count {
                    let line = self.history.get(&number).map_or("null", String::as_str);
                    self.console.line(&format!("{number} - {line}"));
                }
            }
            ("printwatches", None) => {
                let is_on = self.console.prints_watches.load(Ordering::Relaxed);
                self.console.line(&format!("printwatches is {}", if is_on { "on" } else { "off" }));
            }
            ("printwatches", Some(wish)) => self.console.prints_watches.store(wish == "on", Ordering::Relaxed),
            ("connect", _) => {
                current(&self.session).close();
                if let Some(servers) = argument {
                    self.target.servers.clone_from(servers);
                }
                let session = Arc::new(Session::open(&self.target, &self.console)?);
                *self.session.lock().unwrap_or_else(PoisonError::into_inner) = session;
            }
            _ => return Ok(None),
        }
        Ok(Some(ControlFlow::Continue(())))
    }

    fn redo(&mut self, number: &str) -> Result<ControlFlow<()>, Failure> {
        let number = text::decode_number(number)?;
        let line = self.history.get(&number).filter(|_| number < self.command_count).cloned();
        let line = line.ok_or_else(|| Failure::refused("Command index out of range"))?;
        let words = self.words_of(&line)?;
        if words.first().is_some_and(|name| name == "redo") {
            return Err(Failure::refused("No redoing redos"));
        }
        self.history.insert(self.command_count, line);
        Ok(self.run(words))
    }
}

/// Completes commands, and paths from the live tree; tells the console what stands in the line.
#[derive(rustyline::Helper, rustyline::Highlighter, rustyline::Validator)]
struct PathHelper {
    session: Shared,
    console: Arc<Console>,
    prompt: String,
    columns: usize,
}

/// Nothing is hinted: this is where the editor says what is typed, each time that it changes.
impl Hinter for PathHelper {
    type Hint = String;

    fn hint(&self, line: &str, position: usize, _: &rustyline::Context<'_>) -> Option<String> {
        self.is_typed(line, position);
        None
    }
}

impl Completer for PathHelper {
    type Candidate = Pair;

    fn complete(&self, line: &str, position: usize, _: &rustyline::Context<'_>) -> rustyline::Result<(usize, Vec<Pair>)> {
        let typed = &line[..position];
        let start = typed.rfind([' ', '\t']).map_or(0, |at| at + 1);
        let word = &typed[start..];
        if !word.starts_with('/') {
            let names = commands::names().into_iter().filter(|name| start == 0 && name.starts_with(word));
            return Ok((start, names.map(|name| Pair { display: name.to_owned(), replacement: format!("{name} ") }).collect()));
        }
        let (parent, prefix) = word.rsplit_once('/').unwrap_or(("", word));
        let parent = if parent.is_empty() { "/" } else { parent };
        Ok((start, self.children(parent, prefix)))
    }
}

impl PathHelper {
    fn is_typed(&self, line: &str, cursor: usize) {
        self.console.edit(Some(Editing { prompt: self.prompt.clone(), line: line.to_owned(), cursor, columns: self.columns }));
    }

    /// The children that begin so. None while there is no connection: nobody wants to wait for a completion.
    fn children(&self, parent: &str, prefix: &str) -> Vec<Pair> {
        let session = current(&self.session);
        if !session.state().is_connected() {
            return Vec::new();
        }
        let Ok((mut names, _)) = session.children(parent, false) else { return Vec::new() };
        names.retain(|name| name.starts_with(prefix));
        sort(&mut names);
        names.into_iter().map(|name| Pair { replacement: path::child(parent, &name), display: name }).collect()
    }
}
