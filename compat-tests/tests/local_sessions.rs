//! Sessions that only their server knows (`localSessionsEnabled`), and how they become known to all
//! (`localSessionsUpgradingEnabled`): one conversation through follower, leader and observer, each compared with the same
//! seat of an ensemble of Java's servers.
//!
//! CI runs cases drawn by the commit; `OXKEEPER_CASES`, `OXKEEPER_SEED`, `OXKEEPER_ENSEMBLE_SUBJECT`: see `mixed`.

use std::time::Duration;

use oxkeeper_compat_tests::connection::Connect;
use oxkeeper_compat_tests::conversation::{Conversation, differences};
use oxkeeper_compat_tests::ensemble::{Ensemble, Plan, draw, ours};
use oxkeeper_compat_tests::subject::{Subject, four_letter};
use oxkeeper_compat_tests::wire::{acl, op, open, request};

/// Three voters, the last of which leads, and an observer.
type Members = [Subject; 4];

const LEADER: usize = 2;
const SEATS: [(usize, &str); 3] = [(0, "follower"), (LEADER, "leader"), (3, "observer")];

fn start(name: &str, members: Members, upgrading: bool) -> Ensemble {
    let mut plan = Plan::new(&members[..3], &members[3..]);
    plan.options.lines.retain(|(key, _)| key != "forceSync");
    let plan = plan.line("forceSync", "no").line("localSessionsEnabled", "true");
    let plan = plan.line("localSessionsUpgradingEnabled", if upgrading { "true" } else { "false" });
    let mut ensemble = Ensemble::new(name, &plan);
    ensemble.start_led_by(LEADER);
    ensemble
}

/// What the probes say of sessions.
fn counts(talk: &mut Conversation, ensemble: &Ensemble, seat: usize) {
    let lines_of = |word: &[u8], begins: &[&str]| -> Vec<String> {
        let text = four_letter(ensemble.address(seat), word).unwrap_or_default();
        let mut lines: Vec<String> =
            text.lines().filter(|line| begins.iter().any(|begin| line.starts_with(begin))).map(str::to_owned).collect();
        lines.sort();
        lines
    };
    let sessions = ["zk_global_sessions", "zk_local_sessions", "zk_ephemerals_count"];
    let mut lines = lines_of(b"mntr", &sessions);
    // The number of buckets is the clock's affair.
    let sets = lines_of(b"dump", &["Local Session Sets", "Global Session", "Sessions with"]);
    lines.extend(sets.into_iter().map(|line| {
        line.split_once("Sets (").map_or(line.clone(), |(before, behind)| {
            format!("{before}Sets {}", behind.split_once('/').map_or(behind, |(_, sessions)| sessions))
        })
    }));
    talk.note("what the probes count");
    lines.into_iter().for_each(|line| talk.note(format!("< {line}")));
}

fn close(talk: &mut Conversation, name: &str) {
    talk.ask(name, &request::bare(op::CLOSE_SESSION));
    talk.expect_close(name);
}

/// Has nothing that makes it known to others.
fn plain(talk: &mut Conversation, ensemble: &Ensemble, seat: usize) {
    talk.note("no transaction opens it");
    talk.drain("probe");
    talk.connect("a");
    talk.drain("a");
    talk.ask("a", &request::create("/local", "x"));
    talk.ask("a", &request::read(op::DATA, "/local", true));
    talk.ask("a", &request::set_data("/local", Some(b"y"), -1));
    talk.ask("a", &request::create_as(op::CREATE_CONTAINER, "/local/c", None, &open(), 4));
    talk.ask("a", &request::create_flags("/local/s", 2));
    talk.ask("a", &request::multi(op::MULTI, &[request::create("/local/m", "x"), request::check("/local", 1)]));
    talk.ask("a", &request::path(op::SYNC, "/"));
    talk.ask("a", &request::path(op::EPHEMERALS, "/"));
    talk.ask("a", &request::bare(op::WHO_AM_I));
    counts(talk, ensemble, seat);
    talk.note("taken over at the same server");
    talk.reconnect("b", "a");
    talk.expect_close("a");
    talk.drain("b");
    talk.ask("b", &request::set_data("/local", Some(b"z"), -1));
    talk.note("unknown at another");
    for (other, role) in SEATS.into_iter().filter(|(other, _)| *other != seat) {
        talk.note(role);
        talk.address = ensemble.address(other);
        talk.reconnect("elsewhere", "b");
        talk.expect_close("elsewhere");
    }
    talk.address = ensemble.address(seat);
    talk.note("and still known here");
    talk.drain("b");
    talk.note("no transaction ends it");
    close(talk, "b");
    talk.drain("probe");
    talk.note("a silent one expires, without a transaction");
    talk.connect_with("silent", &Connect { timeout_ms: 1000, ..Connect::default() });
    talk.hang_up_and_keep("silent", "gone");
    std::thread::sleep(Duration::from_secs(3));
    talk.reconnect("late", "gone");
    talk.expect_close("late");
    talk.connect_with("silent", &Connect { timeout_ms: 1000, ..Connect::default() });
    talk.expect_close("silent");
    talk.drain("probe");
}

/// The first ephemeral node.
fn ephemerals(talk: &mut Conversation, ensemble: &Ensemble, seat: usize, upgrading: bool) {
    let others = |talk: &mut Conversation, name: &str, from: &str| {
        let (other, role) = SEATS.into_iter().find(|(other, _)| *other != seat).expect("there are three");
        talk.note(format!("at the {role}"));
        talk.address = ensemble.address(other);
        talk.reconnect(name, from);
        talk.address = ensemble.address(seat);
    };
    for (what, write) in [
        ("create", request::create_flags("/local/e", 1)),
        ("sequential", request::create_flags("/local/q", 3)),
        ("create2", request::create_as(op::CREATE2, "/local/e2", None, &open(), 1)),
        ("in a multi", request::multi(op::MULTI, &[request::create("/local/n", "x"), request::create_flags("/local/em", 1)])),
        ("below nothing", request::create_flags("/nowhere/e", 1)),
        ("without a right", request::create_as(op::CREATE, "/local/e", None, &[acl(31, "nobody", "x")], 1)),
        ("at a wrong path", request::create_flags("/local//e", 1)),
        ("with a wrong flag", request::create_flags("/local/w", 9)),
        ("a container with the flag", request::create_as(op::CREATE_CONTAINER, "/local/k", None, &open(), 1)),
    ] {
        talk.note(format!("ephemeral: {what}"));
        talk.connect("e");
        let behind = [write.clone(), request::read(op::EXISTS, "/local/e", false), request::set_data("/local", Some(b"1"), -1), write];
        talk.pipeline("e", &behind);
        talk.ask("e", &request::path(op::EPHEMERALS, "/"));
        counts(talk, ensemble, seat);
        if upgrading {
            others(talk, "moved", "e");
            talk.drain("moved");
            talk.hang_up("moved");
            talk.reconnect("back", "e");
        }
        let name = if talk.lines.contains_key("back") { "back" } else { "e" };
        close(talk, name);
        talk.hang_up("e");
        talk.ask("probe", &request::path(op::SYNC, "/"));
        talk.ask("probe", &request::read(op::CHILDREN, "/local", false));
    }
    talk.connect("last");
    talk.remove_tree("last", "/local");
    close(talk, "last");
}

/// A transcript without what the two may disagree about: for who does not lead, how far zxids have come. A learner of
/// ours refuses by itself what a Java learner lets the leader refuse, which spends a zxid.
fn comparable(transcript: &[String], is_leader: bool) -> Vec<String> {
    let masked = |line: &String| match line.find(" z+") {
        Some(at) if !is_leader => {
            let behind = line[at + 3..].trim_start_matches(|c: char| c.is_ascii_digit());
            let behind = comparable(&[behind.to_owned()], false).concat();
            format!("{} z{behind}", &line[..at])
        }
        _ => line.clone(),
    };
    transcript.iter().map(masked).collect()
}

fn transcript(ensemble: &Ensemble, seat: usize, upgrading: bool) -> Vec<String> {
    let mut talk = Conversation::begin(ensemble.address(seat));
    talk.connect("probe");
    plain(&mut talk, ensemble, seat);
    ephemerals(&mut talk, ensemble, seat, upgrading);
    talk.finish();
    talk.transcript
}

fn compare(name: &str, members: Members, upgrading: bool) {
    let judge = start(&format!("judge of {name}"), [Subject::Java39; 4], upgrading);
    let subject = start(name, members, upgrading);
    let mut report = String::new();
    for (seat, role) in SEATS {
        let (theirs, mine) = std::thread::scope(|scope| {
            let judged = scope.spawn(|| transcript(&judge, seat, upgrading));
            let mine = transcript(&subject, seat, upgrading);
            (judged.join().expect("the judge"), mine)
        });
        println!("  {role}: {} lines compared", theirs.len());
        let [theirs, mine] = [theirs, mine].map(|transcript| comparable(&transcript, seat == LEADER));
        for text in differences(&theirs, &mine) {
            report += &format!("{role}\n{text}");
        }
    }
    assert!(report.is_empty(), "{name}\n{report}");
    subject.assert_same_everywhere();
}

#[test]
fn a_session_of_one_server_is_as_javas() {
    let (ox, java) = (ours(), Subject::Java39);
    let mixtures: [(&str, Members); 3] =
        [("ours alone", [ox; 4]), ("ours under java", [ox, java, java, ox]), ("java under ours", [java, java, ox, java])];
    let mut cases = Vec::new();
    for (what, members) in mixtures {
        for upgrading in [true, false] {
            let how = if upgrading { "upgraded" } else { "not upgraded" };
            cases.push((format!("{what}, {how}"), (members, upgrading)));
        }
    }
    draw("ensemble", cases, 1, Duration::from_secs(10), |name, (members, upgrading)| compare(name, members, upgrading));
}
