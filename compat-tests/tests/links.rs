//! What members see of each other beyond the plain case, on Java's servers and ours and on both together: a leader that takes
//! no clients, the oracle of two, followers that feed observers, how learners are synchronised when the options say how, and
//! ports that are taken, open to all, or silent, and access lists that are checked before the order.
//!
//! CI runs cases drawn by the commit; `OXKEEPER_CASES`, `OXKEEPER_SEED`, `OXKEEPER_ENSEMBLE_SUBJECT`: see `mixed`.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use oxkeeper_compat_tests::chronicle::{Chronicle, Shape};
use oxkeeper_compat_tests::connection::{Connect, Connection, Silence};
use oxkeeper_compat_tests::ensemble::{Ensemble, Mode, PATIENCE, Plan, Site, Synchronisation, draw, ours};
use oxkeeper_compat_tests::load::{connect, header};
use oxkeeper_compat_tests::pen::{Pen, assert_present, settle, settle_among};
use oxkeeper_compat_tests::subject::{Subject, TemporaryDirectory, four_letter, free_port};
use oxkeeper_compat_tests::wire::{acl, op, open, request};
use serde_json::Value;

/// Looks again and again until there is something.
fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// What the AdminServer of a member says to a command, null if it says nothing.
fn page(ensemble: &Ensemble, index: usize, command: &str) -> Value {
    serde_json::from_str(&ensemble.admin(index, command)).unwrap_or_default()
}

// --- leaderServes ---

/// What a client and a probe see of a leader that takes no clients.
fn seen_of_silent_leader(ensemble: &Ensemble, leader: usize) -> Vec<String> {
    let mut seen = Vec::new();
    for word in ["ruok", "srvr", "stat", "mntr", "conf", "cons", "isro", "dump", "wchs", "envi", "crst", "srst", "dirs", "hash", "gtmk"] {
        let answer = four_letter(ensemble.address(leader), word.as_bytes());
        let answer = answer.map_or_else(|error| format!("{:?}", error.kind()), |text| text.lines().next().unwrap_or("nothing").to_owned());
        seen.push(format!("{word}: {answer}"));
    }
    let connected = Connection::open(ensemble.address(leader)).map(|mut connection| {
        connection.send(&Connect::default().frame());
        connection.receive(Duration::from_secs(20)).map(|_| "a session")
    });
    seen.push(match connected {
        Ok(Err(Silence::Closed)) => "connect: closed".to_owned(),
        other => format!("connect: {:?}", other.map_err(|error| error.kind())),
    });
    let pages = [("leader", "is_leader"), ("leader", "leader_id"), ("leader", "error"), ("stats", "error"), ("zabstate", "zabstate")];
    for (command, key) in pages {
        seen.push(format!("{command} {key}: {}", page(ensemble, leader, command)[key]));
    }
    seen
}

/// The member that leads, by what the AdminServers say: its client port does not.
fn silent_leader(ensemble: &Ensemble) -> usize {
    let leads = |index: &usize| ensemble.is_running(*index) && page(ensemble, *index, "leader")["is_leader"] == true;
    wait_for("nobody leads", || ensemble.voters().into_iter().find(leads))
}

fn start_with_silent_leader(name: &str, voters: [Subject; 3]) -> Ensemble {
    let mut ensemble = Ensemble::new(name, &Plan::new(&voters, &[]).with_admin().line("leaderServes", "no"));
    [0, 2].into_iter().for_each(|index| ensemble.spawn(index));
    ensemble.wait_until_serving(0);
    assert_eq!(silent_leader(&ensemble), 2);
    ensemble.start(1);
    ensemble
}

fn leave_clients_to_others(name: &str, voters: [Subject; 3], judged: &[String]) {
    let mut ensemble = start_with_silent_leader(&format!("silent leader {name}"), voters);
    // A Java server that has just begun to lead tells its pages later than its followers.
    assert_eq!(seen_of_silent_leader(&ensemble, 2), judged, "{name}");
    let load = Chronicle::begin(&ensemble.addresses(), &Shape::default());
    load.wait_for(200, "the followers take clients");
    // Who took clients as a follower takes none as the leader.
    ensemble.kill(2);
    load.wait_for(1, "the leader is dead");
    let leader = silent_leader(&ensemble);
    assert_eq!(ensemble.mode(leader), None, "it leads and serves");
    load.wait_for(200, "another one leads");
    // And the other way round.
    ensemble.start(2);
    assert_eq!(silent_leader(&ensemble), leader);
    load.wait_for(100, "all are back");
    settle_among(&ensemble, load, &[2, 1 - leader]);
}

#[test]
fn a_leader_may_take_no_clients() {
    let (ox, java) = (ours(), Subject::Java39);
    let cases = [[ox, ox, ox], [ox, java, java], [java, java, ox], [java, ox, ox]];
    let cases = cases.map(|voters| (format!("{} {} led by {}", voters[0], voters[1], voters[2]), voters));
    let judge = start_with_silent_leader("judge of silent leaders", [java; 3]);
    let judged = seen_of_silent_leader(&judge, 2);
    judged.iter().for_each(|line| println!("  {line}"));
    drop(judge);
    draw("silent leader", cases.to_vec(), 1, Duration::ZERO, |name, voters| leave_clients_to_others(name, voters, &judged));
}

// --- The oracle ---

fn live_by_the_oracle(name: &str, voters: [Subject; 2]) {
    let words = TemporaryDirectory::new();
    let file = |index: usize| words.path.join(format!("oracle{index}"));
    let say = |index: usize, text: &str| fs::write(file(index), text).expect("the oracle's file");
    let mut plan = Plan::new(&voters, &[]);
    for index in 0..2 {
        say(index, "0");
        plan = plan.own_line(index, "oraclePath", &file(index).display().to_string());
    }
    let mut ensemble = Ensemble::new(&format!("oracle {name}"), &plan);
    ensemble.start_all();
    assert_eq!(ensemble.wait_for_leader(), 1);
    let mut pen = Pen::open(&ensemble, 1, "both");
    pen.write(20);

    // Without the word one of the two is none.
    ensemble.kill(0);
    wait_for("the leader goes on alone, without the oracle's word", || ensemble.mode(1).is_none().then_some(()));
    // With it, it is; the file is read again and again.
    say(1, "1\n");
    wait_for("with the oracle's word it does not lead", || (ensemble.mode(1) == Some(Mode::Leader)).then_some(()));
    let mut alone = Pen::open(&ensemble, 1, "alone");
    alone.write(20);
    // The other comes back, and must not be believed without the word.
    ensemble.start(0);
    assert_eq!(ensemble.wait_for_leader(), 1);
    let mut back = Pen::open(&ensemble, 0, "back");
    back.write(20);

    // A leader that has the word when its follower dies goes on; and stops when it is taken away.
    ensemble.kill(0);
    let mut still = Pen::open(&ensemble, 1, "still");
    still.write(20);
    say(1, "no");
    wait_for("it goes on though the word is taken back", || ensemble.mode(1).is_none().then_some(()));
    ensemble.start_all();
    ensemble.wait_for_leader();
    let written = [pen, alone, back, still].into_iter().flat_map(|pen| pen.acknowledged).collect::<Vec<_>>();
    assert_present(&ensemble, &written);
    ensemble.assert_same_everywhere();
}

#[test]
fn one_of_two_lives_by_the_oracle() {
    let (ox, java) = (ours(), Subject::Java39);
    let cases = [[ox, ox], [java, ox], [ox, java]].map(|voters| (format!("{} and {}", voters[0], voters[1]), voters));
    draw("oracle", cases.to_vec(), 1, Duration::ZERO, live_by_the_oracle);
}

// --- Followers that feed observers ---

#[derive(Clone, Debug)]
struct Fed {
    voters: [Subject; 3],
    observers: Vec<Subject>,
}

/// Which member feeds an observer.
fn master(ensemble: &Ensemble, observer: usize) -> Option<usize> {
    let id: usize = ensemble.monitor(observer).get("observer_master_id")?.parse().ok()?;
    id.checked_sub(1)
}

/// Waits until the observer is fed by a follower, and checks what both tell of it.
fn wait_until_fed(ensemble: &Ensemble, observer: usize) -> usize {
    let is_follower = |index: &usize| ensemble.mode(*index) == Some(Mode::Follower);
    let follower = wait_for("the observer is not fed by a follower", || {
        (ensemble.mode(observer) == Some(Mode::Observer)).then(|| master(ensemble, observer).filter(is_follower)).flatten()
    });
    wait_for("the follower does not show it", || {
        let shown = page(ensemble, follower, "observers");
        let count: u64 = ensemble.monitor(follower).get("synced_observers")?.parse().ok()?;
        let is_shown = shown["observers"].as_array()?.iter().any(|one| one["sid"] == observer + 1);
        (is_shown && shown["synced_observers"] == count).then_some(())
    });
    follower
}

fn be_fed(name: &str, fed: &Fed) {
    let plan = Plan::new(&fed.voters, &fed.observers).with_admin().line("observerMasterPort", "2191");
    let mut ensemble = Ensemble::new(&format!("fed {name}"), &plan);
    ensemble.start_led_by(2);
    let observers: Vec<usize> = (3..ensemble.members.len()).collect();
    let masters: Vec<usize> = observers.iter().map(|observer| wait_until_fed(&ensemble, *observer)).collect();
    assert_eq!(ensemble.monitor(2).get("synced_observers").map(String::as_str), Some("0"), "nobody follows the leader itself");
    println!("  fed by {masters:?}");
    let load = Chronicle::begin(&ensemble.addresses(), &Shape::default());
    load.wait_for(300, "everyone is there");

    // Who feeds dies: the other follower takes over.
    let first = masters[0];
    ensemble.kill(first);
    load.wait_for(100, "a follower that feeds is dead");
    for observer in &observers {
        assert_eq!(wait_until_fed(&ensemble, *observer), 1 - first, "there is no other");
    }
    load.wait_for(200, "the observers are fed by another");
    ensemble.start(first);

    // The leader dies: one of those that feed leads, and feeds no longer.
    ensemble.kill(2);
    load.wait_for(100, "the leader is dead");
    let leader = ensemble.wait_for_leader();
    ensemble.start(2);
    for observer in &observers {
        assert_ne!(wait_until_fed(&ensemble, *observer), leader);
    }
    load.wait_for(200, "all are back");

    // An observer comes back with less, and with nothing.
    let observer = observers[0];
    ensemble.kill(observer);
    load.wait_for(100, "an observer is dead");
    ensemble.start(observer);
    wait_until_fed(&ensemble, observer);
    ensemble.terminate(observer);
    ensemble.empty(observer);
    ensemble.start(observer);
    wait_until_fed(&ensemble, observer);
    load.wait_for(100, "the observer is back");
    settle(&ensemble, load);
}

#[test]
fn followers_feed_observers() {
    let (ox, java) = (ours(), Subject::Java39);
    let cases = [
        ([ox, ox, java], vec![java, ox]),
        ([java, java, ox], vec![ox, java]),
        ([ox, ox, ox], vec![ox, java]),
        ([java, java, java], vec![ox]),
        ([ox, java, ox], vec![ox, java]),
    ];
    let cases = cases.map(|(voters, observers)| {
        let name = format!("{} {} led by {}, observers {observers:?}", voters[0], voters[1], voters[2]);
        (name, Fed { voters, observers })
    });
    draw("fed", cases.to_vec(), 1, Duration::ZERO, |name, fed| be_fed(name, &fed));
}

// --- What a leader tells of its observers ---

/// The page `observers` of a leader after a counted number of requests, without what depends on time and pings.
fn told_of_observer(ensemble: &Ensemble, feeder: usize, observer: usize) -> Vec<String> {
    let mut pen = Pen::open(ensemble, observer, "counted");
    pen.write(10);
    pen.xid += 1;
    pen.connection.send(&request::path(op::SYNC, "/").frame(pen.xid));
    pen.connection.receive(PATIENCE).expect("an answer");
    let told = |asked: u64| {
        wait_for("the requests are not counted", || {
            let page = page(ensemble, feeder, "observers");
            let link = page["observers"].as_array()?.iter().find(|link| link["sid"] == observer + 1)?.clone();
            (link["requests"] == asked).then_some(link)
        })
    };
    // The session, ten nodes, the sync.
    let link = told(12);
    let number = |key: &str| link[key].as_i64().unwrap_or_else(|| panic!("{key}: {}", link[key]));
    let now_ms = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("now").as_millis() as i64;
    let address = link["remote_socket_address"].as_str().expect("text");
    let mut lines = vec![
        format!("keys {:?}", link.as_object().expect("an object").keys().collect::<Vec<_>>()),
        format!("a session, ten nodes and a sync: {} requests", number("requests")),
        format!("received as many at least: {}", number("packets_received") >= 12),
        format!("sent as many at least: {}", number("packets_sent") >= 12),
        // Java's count of their bytes gets below zero.
        format!("nothing waits: {}", number("queued_packets")),
        format!("established within a few minutes: {}", (now_ms - number("established")).abs() < 600_000),
        format!("the last zxid is of epoch {}", number("last_zxid") >> 32),
        format!("address: {}", address.starts_with("/127.") && address.contains(':')),
    ];
    ensemble.admin(feeder, "observer_connection_stat_reset");
    let link = told(0);
    lines.push(format!(
        "after a reset fewer than a dozen: {}",
        link["packets_received"].as_i64() < Some(12) && link["packets_sent"].as_i64() < Some(12)
    ));
    lines
}

#[test]
fn observers_are_told_of_as_java_tells() {
    let told = |voter: Subject, masters: bool| {
        let mut plan = Plan::new(&[voter; 3], &[Subject::Java39]).with_admin();
        if masters {
            plan = plan.line("observerMasterPort", "2191");
        }
        let mut ensemble = Ensemble::new(&format!("told of observers by {voter}, {masters}"), &plan);
        ensemble.start_led_by(2);
        let feeder = if masters { wait_until_fed(&ensemble, 3) } else { 2 };
        told_of_observer(&ensemble, feeder, 3)
    };
    let cases = [("by the leader".to_owned(), false), ("by an observer master".to_owned(), true)];
    draw("observers told", cases.to_vec(), 1, Duration::ZERO, |name, masters| {
        let judged = told(Subject::Java39, masters);
        judged.iter().for_each(|line| println!("  {line}"));
        assert_eq!(told(ours(), masters), judged, "{name}");
    });
}

// --- How learners are synchronised ---

#[test]
fn options_say_how_learners_are_synchronised() {
    let (ox, java) = (ours(), Subject::Java39);
    let cases = [
        ("a snapshot is forced", "forceSnapshotSync", "true", 20, Synchronisation::Snap),
        ("nothing is forced", "forceSnapshotSync", "false", 20, Synchronisation::Diff),
        ("the log on disk is not to be used", "snapshotSizeFactor", "-1", 700, Synchronisation::Snap),
        ("as much of the log as is wanted", "snapshotSizeFactor", "1000000", 700, Synchronisation::Diff),
    ];
    let with_leaders = |case: (&'static str, &'static str, &'static str, usize, Synchronisation)| {
        [java, ox].map(|leader| (format!("{}, {leader} leads", case.0), (case, leader)))
    };
    let cases: Vec<_> = cases.into_iter().flat_map(with_leaders).collect();
    draw("synchronised", cases, 1, Duration::ZERO, |name, ((_, key, value, absent_for, wanted), leader)| {
        let learner = if leader == ox { java } else { ox };
        let plan = Plan::new(&[learner, leader, leader], &[]).line(key, value).line("forceSync", "no");
        let mut ensemble = Ensemble::new(&format!("synchronised {name}"), &plan);
        ensemble.start_led_by(2);
        let mut pen = Pen::open(&ensemble, 2, "present");
        pen.write(20);
        ensemble.terminate(0);
        pen.write(absent_for);
        let mark = ensemble.mark();
        ensemble.start(0);
        assert_eq!(ensemble.synchronisation(2, 0, &mark), wanted, "{name}");
        assert_present(&ensemble, &pen.acknowledged);
        ensemble.assert_same_everywhere();
    });
}

// --- Several addresses ---

#[test]
fn a_member_is_reached_by_the_address_that_lives() {
    let (ox, java) = (ours(), Subject::Java39);
    let cases = [[ox, ox, ox], [java, ox, java], [ox, java, ox]];
    let cases = cases.map(|voters| (format!("{} {} led by {}", voters[0], voters[1], voters[2]), voters));
    draw("several addresses", cases.to_vec(), 1, Duration::ZERO, |name, voters| {
        let mut plan = Plan { has_dead_addresses: true, ..Plan::new(&voters, &[]) };
        // Java does not take it from zoo.cfg when it reads the lines of servers.
        plan.options = plan.options.property("zookeeper.multiAddress.enabled", "true");
        let mut ensemble = Ensemble::new(&format!("several addresses {name}"), &plan);
        ensemble.start_led_by(2);
        let load = Chronicle::begin(&ensemble.addresses(), &Shape::default());
        load.wait_for(200, "all are there");
        ensemble.kill(2);
        load.wait_for(100, "the leader is dead");
        ensemble.start(2);
        load.wait_for(100, "all are back");
        settle(&ensemble, load);
    });
}

/// A port of this host that neither answers nor refuses, as long as what is returned lives: its queue is full.
fn silent_port(host: Ipv4Addr, port: u16) -> (socket2::Socket, TcpStream) {
    let silent = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    silent.bind(&SocketAddr::from((host, port)).into()).expect("nobody else uses the address");
    silent.listen(0).expect("listens");
    let queued = TcpStream::connect((host, port)).expect("the first is taken");
    (silent, queued)
}

/// The first addresses of the leader are silent, which takes longer to find out than that they are dead.
#[test]
fn a_leader_is_reached_behind_a_silent_address() {
    for voters in [[Subject::Java39; 2], [ours(); 2], [ours(), Subject::Java39]] {
        let site = Site::loopback(2);
        let host = site.hosts[1];
        let _silent = [2889, 3889].map(|port| silent_port(host, port));
        let lines = format!("{host}:2889:3889|{host}:2888:3888;{host}:2181");
        let mut plan = Plan::new(&voters, &[]).own_line(0, "server.2", &lines);
        plan.options = plan.options.property("zookeeper.multiAddress.enabled", "true");
        let mut ensemble = Ensemble::at(&format!("silent address {} {}", voters[0], voters[1]), &plan, site);
        ensemble.start_all();
        assert_eq!(ensemble.wait_for_leader(), 1, "it has the higher number");
        ensemble.wait_until_serving(0);
        let load = Chronicle::begin(&ensemble.addresses(), &Shape::default());
        load.wait_for(200, "both are there");
        settle(&ensemble, load);
    }
}

// --- The end of an epoch ---

/// The epoch of what a member has applied last.
fn epoch(ensemble: &Ensemble, index: usize) -> Option<i64> {
    let text = four_letter(ensemble.address(index), b"srvr").ok()?;
    let zxid = text.lines().find_map(|line| line.strip_prefix("Zxid: 0x"))?;
    i64::from_str_radix(zxid, 16).ok().map(|zxid| zxid >> 32)
}

fn roll_over(name: &str, voters: &[Subject]) {
    // So many transactions are left in each epoch that one of ours leads.
    const LEFT: u32 = 300;
    let mut plan = Plan::new(voters, &[]);
    for (index, _) in voters.iter().enumerate().filter(|(_, subject)| **subject == Subject::Oxkeeper) {
        plan = plan.own_line(index, "testingonly.initialZxid", &(u32::MAX - LEFT).to_string());
    }
    let mut ensemble = Ensemble::new(&format!("rollover {name}"), &plan);
    let last = voters.len() - 1;
    ensemble.start_led_by(last);
    let load = Chronicle::begin(&ensemble.addresses(), &Shape::default());
    let wait_for_epochs = |ensemble: &Ensemble, more: i64, why: &str| {
        let first = wait_for("no epoch", || epoch(ensemble, last));
        wait_for(why, || epoch(ensemble, last).filter(|epoch| *epoch >= first + more));
        load.wait_for(50, why);
    };
    wait_for_epochs(&ensemble, 1, "no new epoch");
    let killed: Vec<usize> = (0..voters.len() / 2).collect();
    killed.iter().for_each(|index| ensemble.kill(*index));
    wait_for_epochs(&ensemble, 1, "no new epoch with a bare majority");
    killed.iter().for_each(|index| ensemble.start(*index));
    wait_for_epochs(&ensemble, 1, "no new epoch when all are back");
    settle(&ensemble, load);
}

#[test]
fn epochs_end_under_load() {
    let (ox, java) = (ours(), Subject::Java39);
    let cases = [vec![java, ox, java, ox, ox], vec![ox; 5], vec![ox; 7]];
    let cases = cases.map(|voters| (format!("{} voters, {}", voters.len(), voters[0]), voters));
    draw("rollover", cases.to_vec(), 1, Duration::ZERO, |name, voters| roll_over(name, &voters));
}

// --- Ports ---

/// An election port that somebody else has is tried so many times, and with 0 until it is free.
#[test]
fn an_election_port_is_tried_as_often_as_is_said() {
    let judge = |subject: Subject, complaint: &str| {
        let site = Site::loopback(2);
        let taken = TcpListener::bind((site.hosts[0], 3888)).expect("nobody else uses the address");
        let plan = Plan::new(&[subject; 2], &[]).own_line(0, "electionPortBindRetry", "2");
        let mut ensemble = Ensemble::at(&format!("taken port {subject}"), &plan, site);
        ensemble.spawn(0);
        let status = ensemble.members[0].server.wait_for_exit();
        let log = ensemble.members[0].server.log_path();
        let complaints = fs::read_to_string(&log).expect("a log").matches(complaint).count();

        let key = ("electionPortBindRetry".to_owned(), "0".to_owned());
        ensemble.members[0].server.options.lines.push(key);
        ensemble.members[0].server.write_configuration();
        ensemble.members[0].server.spawn();
        ensemble.spawn(1);
        // More often than Java's usual three times, and than the two of before.
        let more = complaints + 4;
        wait_for("it tries no more", || (fs::read_to_string(&log).ok()?.matches(complaint).count() >= more).then_some(()));
        drop(taken);
        wait_for("it does not serve with the port", || ensemble.mode(0));
        (status.code(), complaints)
    };
    // Both at the same time: most of it is waiting.
    std::thread::scope(|scope| {
        let own = scope.spawn(|| judge(ours(), "Cannot listen on the election address"));
        let judged = judge(Subject::Java39, "Exception while listening to address");
        assert_eq!(judged, (Some(14), 2));
        assert_eq!(own.join().expect("it does as Java"), judged);
    });
}

/// The ports of a member that listens on all addresses are reached by an address that nobody was told, those of another are not.
#[test]
fn members_may_listen_on_all_addresses() {
    let (ox, java) = (ours(), Subject::Java39);
    for voters in [[java, ox], [ox, java]] {
        let site = Site::loopback(2);
        let ports: [[u16; 2]; 2] = std::array::from_fn(|_| std::array::from_fn(|_| free_port()));
        let mut plan = Plan::new(&voters, &[]).own_line(1, "quorumListenOnAllIPs", "true");
        for (index, [quorum, election]) in ports.iter().enumerate() {
            let host = site.hosts[index];
            plan = plan.line(&format!("server.{}", index + 1), &format!("{host}:{quorum}:{election};{host}:2181"));
        }
        let mut ensemble = Ensemble::at(&format!("all addresses {} {}", voters[0], voters[1]), &plan, site);
        ensemble.start_all();
        // It has the higher number, and an empty history as the other.
        assert_eq!(ensemble.wait_for_leader(), 1);
        let is_reached = |port: u16| TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok();
        assert_eq!(ports[1].map(is_reached), [true; 2], "{} has all addresses", voters[1]);
        assert!(!is_reached(ports[0][1]), "{} has its own address", voters[0]);
    }
}

/// A follower gives up a leader whose port does not answer after this many ticks, long before initLimit; and a leader that has
/// waited long enough gives up when that follower looks for another one.
#[test]
fn a_leader_is_not_waited_for_longer_than_is_said() {
    for subject in [Subject::Java39, ours()] {
        let site = Site::loopback(2);
        // Who connects is not answered: the one place in the queue is taken.
        let _silent = silent_port(site.hosts[1], 2889);
        let mut plan = Plan::new(&[subject; 2], &[]).line("connectToLearnerMasterLimit", "1").line("leader.maxTimeToWaitForEpoch", "1");
        plan.init_limit = 1200;
        let lies = format!("{0}:2889:3888;{0}:2181", site.hosts[1]);
        let mut ensemble = Ensemble::at(&format!("silent port {subject}"), &plan.own_line(0, "server.2", &lies), site);
        [0, 1].into_iter().for_each(|index| ensemble.spawn(index));
        // Without the limits there would be a second election only after ten minutes.
        for index in 0..2 {
            let log = ensemble.members[index].server.log_path();
            let elections = || fs::read_to_string(&log).map_or(0, |text| text.matches("New election. My id").count());
            wait_for(&format!("server {} does not give up", index + 1), || (elections() >= 2).then_some(()));
        }
    }
}

// --- The last packets of a link ---

/// The kinds of packets that this log names for one direction of links, in each block that it has; blocks are checked to be
/// as long as their heads say, and no longer than the limit.
fn packets_told(log: &str, way: &str, most: usize) -> Vec<Vec<String>> {
    let mut blocks = Vec::new();
    let lines: Vec<&str> = log.lines().collect();
    for (index, line) in lines.iter().enumerate() {
        let Some((head, peer)) = line.split_once(&format!(" timestamps for messages {way} ")) else { continue };
        let Some((_, count)) = head.split_once("- Last ") else { continue };
        let count: usize = count.parse().expect("a number");
        assert!((1..=most).contains(&count), "{line}");
        let begin = format!("- {way} {}  TimeStamp: ", peer.strip_suffix(':').expect("a colon"));
        let kinds = lines[index + 1..].iter().filter_map(|line| line.split_once(&begin)).take(count).map(|(_, rest)| {
            let (at, kind) = rest.split_once(" Type: ").expect("a time and a kind");
            let shape: String = at.chars().map(|one| if one.is_ascii_digit() { '0' } else { one }).collect();
            assert_eq!(shape, "0000-00-00 00:00:00,000", "{line}");
            kind.trim_end().to_owned()
        });
        let kinds: Vec<String> = kinds.collect();
        assert_eq!(kinds.len(), count, "{line}");
        blocks.push(kinds);
    }
    blocks
}

/// Both ends of a link that ends name its last packets, if that was asked for (messageTracker.*).
#[test]
fn the_last_packets_of_a_broken_link_are_named() {
    for subject in [Subject::Java39, ours()] {
        let plan = Plan::new(&[subject; 2], &[]).line("messageTracker.Enabled", "true").line("messageTracker.BufferSize", "3");
        let mut ensemble = Ensemble::new(&format!("packets {subject}"), &plan);
        ensemble.start_all();
        for kills_leader in [false, true] {
            let leader = ensemble.wait_for_leader();
            let (killed, other) = if kills_leader { (leader, 1 - leader) } else { (1 - leader, leader) };
            let log = ensemble.members[other].server.log_path();
            let before = fs::read_to_string(&log).map_or(0, |text| text.len());
            ensemble.kill(killed);
            let told = wait_for(&format!("{subject}: server {} tells nothing", other + 1), || {
                let text = fs::read_to_string(&log).ok()?;
                let text = text.get(before..)?;
                // The second direction is written last.
                let (head, rest) = text.rsplit_once(" timestamps for messages sentBuffer to ")?;
                let count: usize = head.rsplit_once("- Last ")?.1.parse().ok()?;
                let is_whole = rest.ends_with('\n') && rest.matches("TimeStamp: ").count() == count;
                is_whole.then(|| text.to_owned())
            });
            // A learner of Java keeps ten whatever is said.
            let most = if kills_leader && subject == Subject::Java39 { 10 } else { 3 };
            for way in ["receivedBuffer from", "sentBuffer to"] {
                let blocks = packets_told(&told, way, most);
                assert_eq!(blocks.len(), 1, "{subject}: {told}");
                // Behind a synchronisation there are pings, and what a member acknowledges.
                let expected = [
                    "PING",
                    "ACK",
                    "ACKEPOCH",
                    "FOLLOWERINFO",
                    "LEADERINFO",
                    "DIFF",
                    "SNAP",
                    "NEWLEADER",
                    "UPTODATE",
                    "PROPOSAL",
                    "COMMIT",
                ];
                assert!(blocks[0].iter().all(|kind| expected.contains(&kind.as_str())), "{subject}: {blocks:?}");
            }
            ensemble.start(killed);
        }
    }
}

// --- Access lists that are checked before the order ---

/// What a client of a member gets for writes that the access lists do not allow: the error, and whether there is a zxid.
fn refusals(ensemble: &Ensemble, index: usize) -> Vec<String> {
    let (mut connection, _) = wait_for("no session", || connect(ensemble.address(index), None, 20_000));
    let shut = format!("/shut{index}");
    let own = format!("/own{index}");
    let read_only = [acl(1, "world", "anyone")];
    let requests = [
        request::create_acl(&shut, &read_only),
        request::create(&own, ""),
        request::set_data(&shut, Some(b"x"), -1),
        request::create(&format!("{shut}/a"), ""),
        request::create2(&format!("{shut}/a"), ""),
        request::delete(&format!("{shut}/a"), -1),
        request::set_acl(&shut, &open(), -1),
        request::set_acl(&own, &[], -1),
        request::create_acl(&format!("{own}/a"), &[]),
        request::set_data(&format!("{own}/none"), None, -1),
        request::create_ttl(&format!("{shut}/a"), &open(), 4, 0),
        request::multi(op::MULTI, &[request::set_data(&shut, Some(b"x"), -1)]),
        request::set_data(&own, Some(b"x"), -1),
    ];
    let mut seen = Vec::new();
    for (xid, request) in (1..).zip(&requests) {
        connection.send(&request.frame(xid));
        let (answered, zxid, error) = header(&connection.receive(PATIENCE).expect("an answer"));
        assert_eq!(answered, xid);
        seen.push(format!("{xid}: {error}{}", if zxid == 0 { ", no zxid" } else { "" }));
    }
    seen
}

#[test]
fn members_refuse_before_the_order_if_they_are_told_to() {
    let (ox, java) = (ours(), Subject::Java39);
    let cases = [[ox, java, ox], [java, ox, java]].map(|voters| (format!("led by {}", voters[2]), voters));
    draw("refused before the order", cases.to_vec(), 1, Duration::ZERO, |name, voters| {
        let plan = Plan::new(&voters, &[]).line("enableEagerACLCheck", "true");
        let mut ensemble = Ensemble::new(&format!("refused before the order {name}"), &plan);
        ensemble.start_led_by(2);
        let seen: Vec<Vec<String>> = (0..3).map(|index| refusals(&ensemble, index)).collect();
        let is_java = |index: &usize| voters[*index] == java;
        let judged = &seen[(0..3).find(is_java).expect("one is Java's")];
        judged.iter().for_each(|line| println!("  {line}"));
        assert!(judged.iter().any(|line| line.ends_with("no zxid")), "{judged:?}");
        assert!(seen.iter().all(|member| member == judged), "{name}: {seen:#?}");
        ensemble.assert_same_everywhere();
    });
}
