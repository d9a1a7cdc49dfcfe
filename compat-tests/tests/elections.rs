//! A voter of ours among two live Java servers, over real sockets: it learns the leader that they have, whatever its
//! number, and leads if it has the highest number or the best history. Only the election takes place here: nobody
//! of ours leads or follows in earnest.

use oxkeeper_compat_tests::subject::{Options, Server, Subject, TemporaryDirectory, free_port};
use oxkeeper_net::mio::{Events, Poll};
use oxkeeper_server::config::args::{self, Invocation};
use oxkeeper_server::config::{self, EnsembleConfig};
use oxkeeper_server::peers::election_links::ElectionLinks;
use oxkeeper_zab::{Candidate, Election, ElectionOutput, PeerState, Sid};
use std::fs;
use std::io::Read;
use std::net::TcpListener;
use std::time::{Duration, Instant};

/// For whatever Java has to do; the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(90);
/// A quorum port's first packet: FOLLOWERINFO.
const FOLLOWER_INFO: i32 = 11;

/// The lines of all members: three that vote and an observer.
struct Ensemble {
    directory: TemporaryDirectory,
    lines: Vec<(String, String)>,
    quorum_ports: Vec<u16>,
}

impl Ensemble {
    fn new() -> Self {
        let mut lines: Vec<(String, String)> =
            [("initLimit", "10"), ("syncLimit", "5")].map(|(key, value)| (key.into(), value.into())).into();
        let quorum_ports: Vec<u16> = (0..4).map(|_| free_port()).collect();
        for (index, port) in quorum_ports.iter().enumerate() {
            let role = if index == 3 { ":observer" } else { "" };
            lines.push((format!("server.{}", index + 1), format!("127.0.0.1:{port}:{}{role}", free_port())));
        }
        Self { directory: TemporaryDirectory::new(), lines, quorum_ports }
    }

    fn java(&self, subject: Subject, sid: i64) -> Server {
        let mut options = Options::usual();
        options.lines.extend(self.lines.iter().cloned());
        let directory = self.directory.path.join(format!("java-{sid}"));
        fs::create_dir_all(directory.join("data")).expect("a directory");
        fs::write(directory.join("data/myid"), sid.to_string()).expect("myid");
        Server::spawn_in(subject, &options, &directory)
    }

    fn ours(&self, sid: i64) -> EnsembleConfig {
        let directory = self.directory.path.join(format!("ours-{sid}"));
        fs::create_dir_all(&directory).expect("a directory");
        fs::write(directory.join("myid"), sid.to_string()).expect("myid");
        let mut text = format!("dataDir={}\ntickTime=500\nclientPort=0\n", directory.display());
        self.lines.iter().for_each(|(key, value)| text.push_str(&format!("{key}={value}\n")));
        let file = directory.join("zoo.cfg");
        fs::write(&file, text).expect("zoo.cfg");
        let parsed = args::parse([file.display().to_string()], |_| None).expect("arguments");
        let Invocation::Serve(request) = parsed else { panic!("{parsed:?}") };
        config::load(&request).expect("a configuration").config.ensemble.expect("an ensemble")
    }
}

/// Our voter: the election and its links, with a thread's loop around them.
struct Voter {
    poll: Poll,
    links: ElectionLinks,
    election: Election,
    begin: Instant,
}

impl Voter {
    fn new(ensemble: &EnsembleConfig, candidate: Candidate) -> Self {
        let poll = Poll::new().expect("a poll");
        let links = ElectionLinks::open(ensemble, poll.registry()).expect("links");
        let mut election = Election::new(ensemble.my_id, ensemble.is_observer, ensemble.election, &ensemble.config);
        election.start(0, candidate);
        Self { poll, links, election, begin: Instant::now() }
    }

    fn turn(&mut self) -> Option<ElectionOutput> {
        let now = |begin: Instant| begin.elapsed().as_millis() as u64;
        let mut events = Events::with_capacity(16);
        self.poll.poll(&mut events, Some(Duration::from_millis(5))).expect("poll");
        let now_ms = now(self.begin);
        for event in &events {
            self.links.on_event(self.poll.registry(), event, now_ms);
        }
        self.links.tick(self.poll.registry(), now_ms);
        assert_eq!(self.links.failure(), None);
        for (from, message) in self.links.take_received() {
            self.election.receive(now_ms, from, &message).unwrap_or_else(|error| panic!("{from}: {error}: {message:?}"));
        }
        if self.election.next_timer_ms().is_some_and(|at| at <= now_ms) {
            self.election.tick(now_ms);
        }
        let mut elected = None;
        while let Some(output) = self.election.poll() {
            match output {
                ElectionOutput::Send { to, message } => self.links.send(self.poll.registry(), to, message, now_ms),
                ElectionOutput::Elected { .. } => elected = Some(output),
                // There is no leader behind this election that could give up.
                ElectionOutput::VoterLooks { .. } => {}
                ElectionOutput::NewerConfig { from, config } => panic!("{from} has {config:?}"),
            }
        }
        elected
    }

    /// The state and the leader that the election ends with, and the epoch of the vote.
    fn elect(&mut self) -> (PeerState, i64, i64) {
        let begin = Instant::now();
        loop {
            if let Some(ElectionOutput::Elected { state, leader, peer_epoch, .. }) = self.turn() {
                return (state, leader.0, peer_epoch);
            }
            assert!(begin.elapsed() < PATIENCE, "nobody is elected: {:?}", self.election.vote());
        }
    }
}

const EMPTY: Candidate = Candidate { zxid: 0, epoch: 0, in_doubt: false };

fn joins_the_leader_that_two_have(subject: Subject, sid: i64) {
    let ensemble = Ensemble::new();
    let others: Vec<i64> = (1..=3).filter(|other| *other != sid).collect();
    let mut servers: Vec<Server> = others.iter().map(|other| ensemble.java(subject, *other)).collect();
    servers.iter_mut().for_each(Server::wait_until_serving);
    // Of two without any history the higher number leads.
    let leader = others[1];
    let mode = oxkeeper_compat_tests::subject::four_letter(servers[1].address(), b"srvr").expect("an answer");
    assert!(mode.contains("Mode: leader"), "{mode}");
    // Whatever we have to offer, an established leader with a quorum stays: its epoch is told.
    let better = Candidate { zxid: 0x7_0000_0000, epoch: 7, in_doubt: false };
    for candidate in [EMPTY, Candidate { in_doubt: true, ..EMPTY }, better] {
        let mut voter = Voter::new(&ensemble.ours(sid), candidate);
        assert_eq!(voter.elect(), (PeerState::Following, leader, 1), "{candidate:?}");
    }
    let mut observer = Voter::new(&ensemble.ours(4), EMPTY);
    assert_eq!(observer.elect(), (PeerState::Observing, leader, 1));
}

/// Our voter is elected by two Java servers that are still looking, and they come to follow it.
fn is_elected(subject: Subject, sid: i64, candidate: Candidate) {
    let ensemble = Ensemble::new();
    let followers = TcpListener::bind(("127.0.0.1", ensemble.quorum_ports[sid as usize - 1])).expect("our quorum port");
    followers.set_nonblocking(true).expect("nonblocking");
    let mut voter = Voter::new(&ensemble.ours(sid), candidate);
    let servers: Vec<Server> = (1..=3).filter(|other| *other != sid).map(|other| ensemble.java(subject, other)).collect();
    assert_eq!(voter.elect(), (PeerState::Leading, sid, candidate.epoch));
    let begin = Instant::now();
    let (mut follower, _) = loop {
        if let Ok(accepted) = followers.accept() {
            break accepted;
        }
        voter.turn();
        assert!(begin.elapsed() < PATIENCE, "nobody follows: {}", servers[0].log_tail());
    };
    follower.set_nonblocking(false).expect("blocking");
    follower.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let mut kind = [0; 4];
    follower.read_exact(&mut kind).expect("a packet");
    assert_eq!(i32::from_be_bytes(kind), FOLLOWER_INFO);
    assert_eq!(voter.election.vote().leader, Sid(sid));
}

#[test]
fn the_lowest_joins_java_39() {
    joins_the_leader_that_two_have(Subject::Java39, 1);
}

#[test]
fn the_one_between_joins_java_39() {
    joins_the_leader_that_two_have(Subject::Java39, 2);
}

#[test]
fn the_highest_joins_java_39() {
    joins_the_leader_that_two_have(Subject::Java39, 3);
}

#[test]
fn the_lowest_joins_java_38() {
    joins_the_leader_that_two_have(Subject::Java38, 1);
}

#[test]
fn the_highest_joins_java_38() {
    joins_the_leader_that_two_have(Subject::Java38, 3);
}

#[test]
fn the_highest_is_elected_by_java_39() {
    is_elected(Subject::Java39, 3, EMPTY);
}

#[test]
fn the_highest_is_elected_by_java_38() {
    is_elected(Subject::Java38, 3, EMPTY);
}

#[test]
fn the_best_history_is_elected_by_java_39() {
    is_elected(Subject::Java39, 1, Candidate { zxid: 0x1_0000_0005, epoch: 1, in_doubt: false });
}

#[test]
fn the_best_history_is_elected_by_java_38() {
    is_elected(Subject::Java38, 2, Candidate { zxid: 5, epoch: 0, in_doubt: false });
}
