//! A screen of the ensemble that renews itself: each server's role, latency, throughput, and the busiest paths and clients, from
//! what the four-letter words `mntr`, `srvr`, `cons`, `wchs` and, of servers of ours, `busy` say. No session is needed. What is asked is in
//! `question`, what is drawn in `picture`; here are time, keys and the terminal.

mod picture;
mod question;

use crate::failure::Failure;
use crate::options::{self, OptionRow, OptionTable};
use crate::text;
use picture::Picture;
use question::Server;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use std::io::{Read, Write};
use std::time::{Duration, Instant};

/// What it takes, for the usage.
pub const ARGUMENTS: &str = "[-i seconds] [-n count] [-b]";

const OPTIONS: OptionTable = OptionTable::free(&[
    OptionRow { name: "i", has_value: true, description: "Seconds between two pictures, default 2" },
    OptionRow { name: "n", has_value: true, description: "End after so many pictures" },
    OptionRow { name: "b", has_value: false, description: "Print one picture after the other, for a file or a pipe" },
]);

/// Shows the ensemble until a key ends it. Without a terminal one picture is printed, unless a count is given.
///
/// # Errors
/// Wrong options; no terminal mode; no server that answers when a picture is printed.
pub fn run(servers: &str, words: &[String], is_terminal: bool) -> Result<(), Failure> {
    let usage = || Failure::refused(format!("top {ARGUMENTS}\n{}", OPTIONS.help()));
    let given = options::parse(&OPTIONS, words).map_err(Failure::refused)?;
    if !given.words.is_empty() {
        return Err(usage());
    }
    let interval: f64 = given.value("i").map_or(Ok(2.0), str::parse).map_err(|_| usage())?;
    if !(0.1..=86_400.0).contains(&interval) {
        return Err(usage());
    }
    let interval = Duration::from_secs_f64(interval);
    let is_batch = given.has("b") || !is_terminal;
    let count: Option<u64> =
        given.value("n").map(|count| text::java_number(count, 10)).transpose().map_err(|_| usage())?.or((!is_terminal).then_some(1));
    let mut servers: Vec<Server> = question::servers(servers).into_iter().map(Server::new).collect();
    if servers.is_empty() {
        return Err(Failure::refused("top: no server is named"));
    }
    if is_batch { print_pictures(&mut servers, interval, count) } else { show(&mut servers, interval, count) }
}

fn print_pictures(servers: &mut [Server], interval: Duration, count: Option<u64>) -> Result<(), Failure> {
    let mut printed = 0;
    while count.is_none_or(|count| printed < count) {
        if printed > 0 {
            std::thread::sleep(interval);
        }
        question::ask_all(servers);
        if let Some(reason) = nobody_answers(servers) {
            return Err(Failure::refused(reason));
        }
        let picture = Picture { servers, width: usize::MAX, height: usize::MAX, interval, has_colours: false };
        let mut out = std::io::stdout().lock();
        if picture.lines().iter().try_for_each(|line| writeln!(out, "{line}")).and_then(|()| out.flush()).is_err() {
            // Nobody reads any more.
            return Ok(());
        }
        printed += 1;
    }
    Ok(())
}

/// Why, if no server answers.
fn nobody_answers(servers: &[Server]) -> Option<String> {
    let reasons: Vec<String> = servers
        .iter()
        .map(|server| server.answer.as_ref().err().map(|reason| format!("{}: {reason}", server.name)))
        .collect::<Option<_>>()?;
    Some(format!("top: no server answers ({})", reasons.join("; ")))
}

fn show(servers: &mut [Server], interval: Duration, count: Option<u64>) -> Result<(), Failure> {
    let _screen = Screen::enter().map_err(|error| Failure::refused(format!("top: no terminal: {error}")))?;
    let mut shown = 0;
    while count.is_none_or(|count| shown < count) {
        let next = Instant::now() + interval;
        question::ask_all(servers);
        draw(servers, interval);
        shown += 1;
        loop {
            let left = next.saturating_duration_since(Instant::now());
            match wait_for_key(left) {
                Some(b'q' | b'Q' | 3 | 27) => return Ok(()),
                Some(b' ') => break,
                // The window may have another size now.
                Some(_) => draw(servers, interval),
                None => break,
            }
        }
    }
    Ok(())
}

fn draw(servers: &[Server], interval: Duration) {
    let size = tcgetwinsize(std::io::stdout()).map_or((80, 24), |size| (usize::from(size.ws_col), usize::from(size.ws_row)));
    let (width, height) = (if size.0 == 0 { 80 } else { size.0 }, if size.1 == 0 { 24 } else { size.1 });
    let lines = Picture { servers, width, height, interval, has_colours: true }.lines();
    let mut text = String::from("\x1b[H");
    for line in lines.iter().take(height) {
        text += line;
        text += "\x1b[K\r\n";
    }
    // The last line gets no newline, or the screen would scroll.
    text.truncate(text.len() - 2);
    text += "\x1b[J";
    let mut out = std::io::stdout().lock();
    // A terminal that has gone ends the program by its signal.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// The key that was pressed, if one was in time; the end of the input counts as `q`.
fn wait_for_key(at_most: Duration) -> Option<u8> {
    let input = std::io::stdin();
    let limit = Timespec { tv_sec: at_most.as_secs() as i64, tv_nsec: i64::from(at_most.subsec_nanos()) };
    let is_ready = poll(&mut [PollFd::new(&input, PollFlags::IN)], Some(&limit)).is_ok_and(|ready| ready > 0);
    let mut keys = [0; 64];
    let length = if is_ready { input.lock().read(&mut keys).unwrap_or(0) } else { return None };
    // Arrows and the like begin with an escape and have more bytes.
    if length > 1 && keys[0] == 27 { Some(b'.') } else { Some(if length == 0 { b'q' } else { keys[0] }) }
}

/// The terminal while a picture is shown: another screen, no cursor, keys as they are pressed.
struct Screen {
    before: Termios,
}

impl Screen {
    fn enter() -> std::io::Result<Self> {
        let before = tcgetattr(std::io::stdin())?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(std::io::stdin(), OptionalActions::Flush, &raw)?;
        print!("\x1b[?1049h\x1b[?25l\x1b[2J");
        Ok(Self { before })
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        print!("\x1b[?25h\x1b[?1049l");
        let _ = std::io::stdout().flush();
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Flush, &self.before);
    }
}
