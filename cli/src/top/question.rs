//! What servers say of themselves when asked with four-letter words, and how it changes from one time to the next.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

/// Behind the version of a server of ours.
const OURS: &str = " ox";
/// For each word: to connect, and again for each read.
const PATIENCE: Duration = Duration::from_secs(2);
/// No answer is read beyond this; 16 MiB hold some 60,000 clients.
const LONGEST_ANSWER_BYTES: u64 = 16 << 20;

/// A server that is asked again and again.
pub struct Server {
    /// `host:port`
    pub name: String,
    /// The last answer, or why there is none.
    pub answer: Result<Answer, String>,
    /// What has happened between the last two answers.
    pub change: Option<Change>,
}

/// What a server says.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    at: Option<Instant>,
    /// `leader`, `follower`, `observer`, `standalone`, `read-only`
    pub role: String,
    /// Up to the first hyphen.
    pub version: String,
    /// As the server prints it.
    pub zxid: String,
    /// Minimum, average, maximum as the server prints them, ms.
    pub latency: [String; 3],
    /// Since the start.
    pub received: u64,
    /// Since the start.
    pub sent: u64,
    /// Client connections.
    pub connections: u64,
    /// Requests that wait.
    pub outstanding: u64,
    /// Znodes.
    pub znodes: u64,
    /// Where `mntr` or `wchs` tells it.
    pub watches: Option<u64>,
    /// Paths and connections with watches, where `wchs` tells it.
    pub watched_paths: Option<u64>,
    /// Where `mntr` tells it.
    pub ephemerals: Option<u64>,
    /// Where `mntr` tells it.
    pub data_bytes: Option<u64>,
    /// Of a leader: learners, and how many of them are in sync.
    pub learners: Option<(u64, u64)>,
    /// How long `srvr` took.
    pub answered_in: Duration,
    /// Connections by their client's address, where `cons` tells it.
    pub clients: Vec<Client>,
    /// The busiest paths, where `busy` tells them: a server of ours.
    pub paths: Vec<Busy>,
    /// Words that the server does not allow.
    pub refused: Vec<&'static str>,
}

/// A client's connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Client {
    /// `address:port`
    pub address: String,
    /// As the server prints it.
    pub session: String,
    /// Requests that wait.
    pub queued: u64,
    /// Since it was made.
    pub received: u64,
    /// The last one's kind.
    pub last_operation: String,
    /// ms
    pub average_latency: String,
    /// ms
    pub maximum_latency: String,
}

/// A path and what it has, a second.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Busy {
    /// The whole path.
    pub path: String,
    /// Of this server.
    pub reads: f64,
    /// Of all servers.
    pub writes: f64,
}

/// What has happened between two answers.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// Packets a second.
    pub received_rate: f64,
    /// Packets a second.
    pub sent_rate: f64,
    /// Packets a second of each client, by its address.
    pub clients: HashMap<String, f64>,
}

/// The servers of a list, with their ports; a chroot is cut off.
pub fn servers(list: &str) -> Vec<String> {
    let hosts = list.split('/').next().unwrap_or_default();
    let with_port = |host: &str| {
        let has_port = host.rsplit_once(':').is_some_and(|(before, _)| !before.starts_with('[') || before.ends_with(']'));
        if has_port { host.to_owned() } else { format!("{host}:2181") }
    };
    hosts.split(',').map(str::trim).filter(|host| !host.is_empty()).map(with_port).collect()
}

impl Server {
    /// Not asked yet.
    pub fn new(name: String) -> Self {
        Self { name, answer: Err("not asked yet".to_owned()), change: None }
    }
}

/// Asks all servers at once.
pub fn ask_all(servers: &mut [Server]) {
    std::thread::scope(|scope| {
        for server in servers {
            scope.spawn(|| {
                let answer = ask(&server.name).map_err(|error| crate::failure::system_text(&error));
                server.change = match (&server.answer, &answer) {
                    (Ok(before), Ok(after)) => change(before, after),
                    _ => None,
                };
                server.answer = answer;
            });
        }
    });
}

fn ask(name: &str) -> io::Result<Answer> {
    let begin = Instant::now();
    let srvr = word(name, "srvr")?;
    let mut answer = Answer { at: Some(begin), answered_in: begin.elapsed(), ..Answer::default() };
    answer.read_srvr(&srvr);
    if answer.role.is_empty() {
        let said = srvr.lines().next().unwrap_or("nothing").trim();
        return Err(io::Error::other(format!("srvr is answered with: {said}")));
    }
    let words = [
        ("mntr", Answer::read_mntr as fn(&mut Answer, &str)),
        ("cons", Answer::read_cons),
        ("wchs", Answer::read_wchs),
        ("busy", Answer::read_busy),
    ];
    for (four, read) in words {
        // Java's servers take it for a message that is too long.
        if four == "busy" && !answer.version.ends_with(OURS) {
            continue;
        }
        let text = word(name, four)?;
        if text.contains("is not executed because") { answer.refused.push(four) } else { read(&mut answer, &text) }
    }
    Ok(answer)
}

fn word(name: &str, word: &str) -> io::Result<String> {
    let mut last_error = io::Error::other("the name has no address");
    for address in name.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(mut stream) => {
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.write_all(word.as_bytes())?;
                let mut answer = Vec::new();
                stream.take(LONGEST_ANSWER_BYTES).read_to_end(&mut answer)?;
                return Ok(String::from_utf8_lossy(&answer).into_owned());
            }
            Err(error) => last_error = error,
        }
    }
    Err(last_error)
}

impl Answer {
    fn read_srvr(&mut self, text: &str) {
        for line in text.lines() {
            let Some((key, value)) = line.split_once(": ") else { continue };
            match key {
                "Zookeeper version" => self.version = short_version(value),
                "Latency min/avg/max" => {
                    let mut parts = value.split('/').map(str::to_owned);
                    self.latency = [(); 3].map(|()| parts.next().unwrap_or_default());
                }
                "Received" => self.received = number(value),
                "Sent" => self.sent = number(value),
                "Connections" => self.connections = number(value),
                "Outstanding" => self.outstanding = number(value),
                "Zxid" => value.clone_into(&mut self.zxid),
                "Mode" => value.clone_into(&mut self.role),
                "Node count" => self.znodes = number(value),
                _ => {}
            }
        }
    }

    fn read_mntr(&mut self, text: &str) {
        let (mut learners, mut synced) = (None, None);
        for line in text.lines() {
            let Some((key, value)) = line.split_once('\t') else { continue };
            match key {
                "zk_watch_count" => self.watches = Some(number(value)),
                "zk_ephemerals_count" => self.ephemerals = Some(number(value)),
                "zk_approximate_data_size" => self.data_bytes = Some(number(value)),
                "zk_learners" | "zk_followers" => learners = Some(number(value)),
                "zk_synced_followers" => synced = Some(number(value)),
                _ => {}
            }
        }
        self.learners = learners.zip(synced);
    }

    fn read_cons(&mut self, text: &str) {
        self.clients.extend(text.lines().filter_map(client));
    }

    fn read_busy(&mut self, text: &str) {
        self.paths.extend(text.lines().filter_map(busy));
    }

    fn read_wchs(&mut self, text: &str) {
        for line in text.lines() {
            if let Some(total) = line.strip_prefix("Total watches:") {
                self.watches = Some(number(total));
            } else if let Some((_, paths)) = line.split_once(" connections watching ") {
                self.watched_paths = Some(number(paths.trim_end_matches(" paths")));
            }
        }
    }
}

/// A line of `busy`: reads a second, writes a second, path.
fn busy(line: &str) -> Option<Busy> {
    let mut fields = line.splitn(3, '\t');
    let mut rate = || fields.next()?.parse::<f64>().ok();
    let (reads, writes) = (rate()?, rate()?);
    Some(Busy { path: fields.next().filter(|path| path.starts_with('/'))?.to_owned(), reads, writes })
}

/// A line of `cons`: ` /127.0.0.1:53306[1](queued=0,recved=10,...)`.
fn client(line: &str) -> Option<Client> {
    let (address, rest) = line.trim_start().strip_prefix('/')?.rsplit_once('[').filter(|(_, rest)| rest.contains("]("))?;
    let (_, fields) = rest.split_once("](")?;
    let fields: HashMap<&str, &str> = fields.trim_end_matches(')').split(',').filter_map(|field| field.split_once('=')).collect();
    let text = |key: &str| fields.get(key).copied().unwrap_or("").to_owned();
    Some(Client {
        address: address.to_owned(),
        session: text("sid"),
        queued: number(&text("queued")),
        received: number(&text("recved")),
        last_operation: text("lop"),
        average_latency: text("avglat"),
        maximum_latency: text("maxlat"),
    })
}

fn number(text: &str) -> u64 {
    text.trim().parse().unwrap_or(0)
}

fn short_version(text: &str) -> String {
    let version = text.split(',').next().unwrap_or_default();
    let release = version.split('-').next().unwrap_or_default();
    if version.contains("-oxkeeper") { format!("{release}{OURS}") } else { release.to_owned() }
}

fn change(before: &Answer, after: &Answer) -> Option<Change> {
    let seconds = after.at?.duration_since(before.at?).as_secs_f64();
    // Counters that fell were reset, or the server is another one.
    let rate = |before: u64, after: u64| after.saturating_sub(before) as f64 / seconds;
    let known: HashMap<&str, u64> = before.clients.iter().map(|client| (client.address.as_str(), client.received)).collect();
    let clients = after.clients.iter().map(|client| {
        let received = known.get(client.address.as_str()).copied().unwrap_or(0);
        (client.address.clone(), rate(received, client.received))
    });
    (seconds > 0.0).then(|| Change {
        received_rate: rate(before.received, after.received),
        sent_rate: rate(before.sent, after.sent),
        clients: clients.collect(),
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::top) const SRVR: &str = "Zookeeper version: 3.9.5-oxkeeper-0.1.0, built on 2026-11-23 00:00 UTC\n\
        Latency min/avg/max: 0/0.5/12\nReceived: 100\nSent: 90\nConnections: 2\nOutstanding: 1\nZxid: 0x100000003\nMode: leader\n\
        Node count: 5\nProposal sizes last/min/max: 32/32/32\n";
    pub(in crate::top) const CONS: &str = " /127.0.0.1:5000[1](queued=2,recved=40,sent=40,sid=0x1000,lop=GETD,est=1,to=30000,lcxid=0x1,\
        lzxid=0x3,lresp=1,llat=0,minlat=0,avglat=1,maxlat=7)\n /0:0:0:0:0:0:0:1:5001[0](queued=0,recved=1,sent=0)\n\nnonsense\n";

    pub(in crate::top) fn answer() -> Answer {
        let mut answer = Answer::default();
        answer.read_srvr(SRVR);
        answer.read_mntr(
            "zk_version\t3.9.5\nzk_followers\t2\nzk_synced_followers\t1\nzk_ephemerals_count\t7\nzk_approximate_data_size\t99\n",
        );
        answer.read_cons(CONS);
        answer.read_wchs("3 connections watching 4 paths\nTotal watches:9\n");
        answer.read_busy("12.5\t0.5\t/a b\tc\n1.0\t0.0\t/d\nnonsense\n");
        answer
    }

    #[test]
    fn answers_are_read() {
        let answer = answer();
        assert_eq!((answer.role.as_str(), answer.version.as_str(), answer.zxid.as_str()), ("leader", "3.9.5 ox", "0x100000003"));
        assert_eq!(answer.latency, ["0", "0.5", "12"]);
        assert_eq!((answer.received, answer.sent, answer.connections, answer.outstanding, answer.znodes), (100, 90, 2, 1, 5));
        assert_eq!((answer.watches, answer.watched_paths, answer.ephemerals), (Some(9), Some(4), Some(7)));
        assert_eq!((answer.data_bytes, answer.learners), (Some(99), Some((2, 1))));
        let busiest = Busy { path: "/a b\tc".into(), reads: 12.5, writes: 0.5 };
        assert_eq!((answer.paths.len(), &answer.paths[0]), (2, &busiest));
        assert_eq!(
            answer.clients[0],
            Client {
                address: "127.0.0.1:5000".into(),
                session: "0x1000".into(),
                queued: 2,
                received: 40,
                last_operation: "GETD".into(),
                average_latency: "1".into(),
                maximum_latency: "7".into()
            }
        );
        assert_eq!((answer.clients.len(), answer.clients[1].address.as_str()), (2, "0:0:0:0:0:0:0:1:5001"));
    }

    #[test]
    fn rates_are_differences() {
        let at = Instant::now();
        let before = Answer { at: Some(at), ..answer() };
        let mut after = Answer { at: Some(at + Duration::from_secs(2)), received: 300, sent: 10, ..answer() };
        after.clients[0].received = 60;
        after.clients.push(Client { address: "10.0.0.1:9".into(), received: 4, ..Client::default() });
        let change = change(&before, &after).expect("time has passed");
        assert!((change.received_rate - 100.0).abs() < 1e-9 && change.sent_rate == 0.0);
        assert!((change.clients["127.0.0.1:5000"] - 10.0).abs() < 1e-9 && (change.clients["10.0.0.1:9"] - 2.0).abs() < 1e-9);
    }

    #[test]
    fn lists_of_servers() {
        assert_eq!(servers("a, b:5,[::1],[::1]:7,/x"), ["a:2181", "b:5", "[::1]:2181", "[::1]:7"]);
        assert!(servers("").is_empty());
    }

    #[test]
    fn a_server_that_is_not_there_has_a_reason() {
        let mut servers = [Server::new("127.0.0.1:1".to_owned())];
        ask_all(&mut servers);
        assert_eq!(servers[0].answer.as_ref().err().map(String::as_str), Some("Connection refused"));
    }
}
