//! The picture of the ensemble: lines of text, no longer than the window is wide.

use super::question::{Answer, Busy, Client, Server};
use std::collections::BTreeMap;
use std::time::Duration;

/// What is drawn.
pub struct Picture<'a> {
    /// Of whom.
    pub servers: &'a [Server],
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Between two pictures.
    pub interval: Duration,
    /// Whether a terminal shows it.
    pub has_colours: bool,
}

const BOLD: &str = "\x1b[1m";
const GREEN: &str = "\x1b[32m";
const RED: &str = "\x1b[31m";
const YELLOW: &str = "\x1b[33m";
const PLAIN: &str = "\x1b[0m";

/// Columns of the table of servers: title and width; the first is to the left, the others to the right.
const SERVER_COLUMNS: &[(&str, usize)] = &[
    ("SERVER", 22),
    ("ROLE", 10),
    ("REQ/S", 8),
    ("SENT/S", 8),
    ("LAT avg", 8),
    ("max ms", 7),
    ("QUEUED", 7),
    ("CLIENTS", 8),
    ("WATCHES", 8),
    ("ZNODES", 9),
    ("DATA", 8),
    ("EPHEM", 7),
    ("IN SYNC", 8),
    ("ANSWER", 8),
    ("ZXID", 14),
    ("VERSION", 10),
];

const CLIENT_COLUMNS: &[(&str, usize)] =
    &[("CLIENT", 22), ("REQ/S", 10), ("QUEUED", 8), ("LAT avg", 8), ("max ms", 7), ("LAST", 6), ("SESSION", 20), ("SERVER", 24)];

const PATH_COLUMNS: &[(&str, usize)] = &[("PATH", 60), ("READ/S", 10), ("WRITE/S", 10)];

impl Picture<'_> {
    /// Its lines.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![
            self.headline(),
            String::new(),
            self.styled(BOLD, row(SERVER_COLUMNS, SERVER_COLUMNS.iter().map(|(title, _)| (*title).to_owned()))),
        ];
        lines.extend(self.servers.iter().map(|server| self.server(server)));
        let refused: Vec<String> = self.servers.iter().filter_map(refusals).collect();
        if !refused.is_empty() {
            lines.push(String::new());
            lines.extend(refused.into_iter().map(|line| self.styled(YELLOW, line)));
        }
        // On paper the twenty busiest are enough.
        let is_paper = self.height == usize::MAX;
        let clients = self.busiest_clients();
        let paths = self.busiest_paths();
        if !paths.is_empty() {
            // Half of what is left, or more if there are few clients.
            let left = self.height.saturating_sub(lines.len() + 4);
            let room = if is_paper { 20 } else { (left / 2).max(left.saturating_sub(clients.len())) };
            lines.extend(self.table(PATH_COLUMNS, paths.iter().take(room).map(path_row)));
        }
        let room = if is_paper { 20 } else { self.height.saturating_sub(lines.len() + 2) };
        lines.extend(
            self.table(CLIENT_COLUMNS, clients.into_iter().take(room).map(|(rate, client, server)| client_row(rate, client, server))),
        );
        lines
    }

    fn headline(&self) -> String {
        let answers: Vec<&Answer> = self.servers.iter().filter_map(|server| server.answer.as_ref().ok()).collect();
        // Rust's sum of nothing is -0.
        let rate = self.servers.iter().filter_map(|server| Some(server.change.as_ref()?.received_rate)).fold(0.0, |sum, rate| sum + rate);
        let clients: u64 = answers.iter().map(|answer| answer.connections).sum();
        let leader = self.servers.iter().find(|server| server.answer.as_ref().is_ok_and(|answer| answer.role == "leader"));
        let leader = leader.map(|server| format!(", leader {}", server.name)).unwrap_or_default();
        let quit = if self.has_colours { ", q quits" } else { "" };
        let text = format!(
            "{} of {} servers answer{leader}, {clients} clients, {} requests/s, every {:.1} s{quit}",
            answers.len(),
            self.servers.len(),
            short(rate),
            self.interval.as_secs_f64()
        );
        self.styled(BOLD, text)
    }

    fn server(&self, server: &Server) -> String {
        let answer = match &server.answer {
            Ok(answer) => answer,
            Err(reason) => return self.styled(RED, format!("{:<22}{:>10}  {reason}", server.name, "no answer")),
        };
        let rate = |of: fn(&super::question::Change) -> f64| server.change.as_ref().map_or("-".to_owned(), |change| short(of(change)));
        let optional = |number: Option<u64>| number.map_or("-".to_owned(), |number| short(number as f64));
        let cells = [
            server.name.clone(),
            answer.role.clone(),
            rate(|change| change.received_rate),
            rate(|change| change.sent_rate),
            answer.latency[1].clone(),
            answer.latency[2].clone(),
            short(answer.outstanding as f64),
            short(answer.connections as f64),
            optional(answer.watches),
            short(answer.znodes as f64),
            optional(answer.data_bytes),
            optional(answer.ephemerals),
            answer.learners.map_or("-".to_owned(), |(all, synced)| format!("{synced}/{all}")),
            format!("{:.1} ms", answer.answered_in.as_secs_f64() * 1000.0),
            answer.zxid.clone(),
            answer.version.clone(),
        ];
        let style = match answer.role.as_str() {
            "leader" | "standalone" => GREEN,
            "read-only" => YELLOW,
            _ => "",
        };
        self.styled(style, row(SERVER_COLUMNS, cells.into_iter()))
    }

    fn table(&self, columns: &[(&str, usize)], rows: impl Iterator<Item = String>) -> Vec<String> {
        let titles = row(columns, columns.iter().map(|(title, _)| (*title).to_owned()));
        let mut lines = vec![String::new(), self.styled(BOLD, titles)];
        lines.extend(rows.map(|row| self.styled("", row)));
        lines
    }

    /// Paths with their reads and writes a second, the busiest first. Each server has its own reads; every member carries out
    /// every write, so the one that has counted most of them counts.
    fn busiest_paths(&self) -> Vec<Busy> {
        let mut paths: BTreeMap<&str, (f64, f64)> = BTreeMap::new();
        for busy in self.servers.iter().filter_map(|server| server.answer.as_ref().ok()).flat_map(|answer| &answer.paths) {
            let (reads, writes) = paths.entry(&busy.path).or_default();
            *reads += busy.reads;
            *writes = writes.max(busy.writes);
        }
        let mut paths: Vec<Busy> = paths.into_iter().map(|(path, (reads, writes))| Busy { path: path.to_owned(), reads, writes }).collect();
        paths.sort_by(|a, b| (b.reads + b.writes).total_cmp(&(a.reads + a.writes)));
        paths
    }

    /// Clients with their requests a second, the busiest first; before there is a rate, those with the most requests.
    fn busiest_clients(&self) -> Vec<(Option<f64>, &Client, &str)> {
        let mut clients: Vec<(Option<f64>, &Client, &str)> = Vec::new();
        for server in self.servers {
            let Ok(answer) = &server.answer else { continue };
            for client in &answer.clients {
                // Who has no session asks with a four-letter word: that is us.
                if !client.session.is_empty() {
                    let rate = server.change.as_ref().and_then(|change| change.clients.get(&client.address).copied());
                    clients.push((rate, client, &server.name));
                }
            }
        }
        clients.sort_by(|a, b| {
            b.0.unwrap_or(0.0).total_cmp(&a.0.unwrap_or(0.0)).then(b.1.received.cmp(&a.1.received)).then(a.1.address.cmp(&b.1.address))
        });
        clients
    }

    /// A line in a style, cut to the width. The text is printable: what servers say is not trusted with a terminal.
    fn styled(&self, style: &str, text: String) -> String {
        let text: String = text.chars().map(|c| if c.is_control() { '.' } else { c }).take(self.width).collect();
        let text = text.trim_end();
        if self.has_colours && !style.is_empty() { format!("{style}{text}{PLAIN}") } else { text.to_owned() }
    }
}

fn refusals(server: &Server) -> Option<String> {
    let answer = server.answer.as_ref().ok().filter(|answer| !answer.refused.is_empty())?;
    Some(format!(
        "{} does not allow {}: add them to 4lw.commands.whitelist in its zoo.cfg to see more",
        server.name,
        answer.refused.join(", ")
    ))
}

fn path_row(busy: &Busy) -> String {
    row(PATH_COLUMNS, [busy.path.clone(), short(busy.reads), short(busy.writes)].into_iter())
}

fn client_row(rate: Option<f64>, client: &Client, server: &str) -> String {
    let cells = [
        client.address.clone(),
        rate.map_or("-".to_owned(), short),
        client.queued.to_string(),
        client.average_latency.clone(),
        client.maximum_latency.clone(),
        client.last_operation.clone(),
        client.session.clone(),
        server.to_owned(),
    ];
    row(CLIENT_COLUMNS, cells.into_iter())
}

fn row(columns: &[(&str, usize)], cells: impl Iterator<Item = String>) -> String {
    let mut line = String::new();
    for (at, ((_, width), cell)) in columns.iter().zip(cells).enumerate() {
        if at == 0 {
            line += &format!("{cell:<width$}");
        } else {
            // Never glued to the cell before.
            line += &format!(" {cell:>0$}", width - 1);
        }
    }
    line
}

/// A number in at most five characters or so: `1234`, `12.3k`, `4.5M`.
fn short(number: f64) -> String {
    match number {
        n if n < 10.0 && n.fract() != 0.0 => format!("{n:.1}"),
        n if n < 10_000.0 => format!("{n:.0}"),
        n if n < 1e6 => format!("{:.1}k", n / 1e3),
        n if n < 1e9 => format!("{:.1}M", n / 1e6),
        n => format!("{:.1}G", n / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::super::question::{Change, tests::answer};
    use super::*;

    fn servers() -> Vec<Server> {
        let change = Change { received_rate: 12_345.0, sent_rate: 0.5, clients: [("127.0.0.1:5000".to_owned(), 7.0)].into() };
        vec![
            Server { name: "a:2181".to_owned(), answer: Ok(answer()), change: Some(change) },
            Server { name: "b:2181".to_owned(), answer: Err("Connection refused".to_owned()), change: None },
        ]
    }

    #[test]
    fn a_picture_on_paper() {
        let servers = servers();
        let interval = Duration::from_secs(2);
        let lines = Picture { servers: &servers, width: usize::MAX, height: usize::MAX, interval, has_colours: false }.lines();
        assert_eq!(lines[0], "1 of 2 servers answer, leader a:2181, 2 clients, 12.3k requests/s, every 2.0 s");
        let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>().join(" ");
        assert_eq!(words(&lines[3]), "a:2181 leader 12.3k 0.5 0.5 12 1 2 9 5 99 7 1/2 0.0 ms 0x100000003 3.9.5 ox");
        assert_eq!(words(&lines[4]), "b:2181 no answer Connection refused");
        assert!(lines.iter().any(|line| words(line) == "/d 1 0"), "{lines:?}");
        assert_eq!(words(lines.last().expect("a client")), "127.0.0.1:5000 7 2 1 7 GETD 0x1000 a:2181");
    }

    #[test]
    fn a_picture_fits_its_window_and_escapes_nothing_to_the_terminal() {
        let mut servers = servers();
        servers[1].answer = Err("evil \x1b]0;title\x07".to_owned());
        let lines = Picture { servers: &servers, width: 40, height: 9, interval: Duration::from_secs(1), has_colours: true }.lines();
        assert!(lines.len() <= 9);
        for line in &lines {
            let text = [BOLD, GREEN, RED, YELLOW, PLAIN].iter().fold(line.clone(), |line, style| line.replace(style, ""));
            assert!(text.chars().count() <= 40 && !text.chars().any(char::is_control), "{line:?}");
        }
    }

    #[test]
    fn numbers_are_short() {
        for (number, text) in
            [(0.0, "0"), (0.5, "0.5"), (12.0, "12"), (9999.0, "9999"), (12_345.0, "12.3k"), (4.5e6, "4.5M"), (2e9, "2.0G")]
        {
            assert_eq!(short(number), text);
        }
    }
}
