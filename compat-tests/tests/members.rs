//! What a client and a probe see through one member of an ensemble: the scripts of the usual set-up and the four-letter
//! words, through leader, follower and observer, each compared with the same seat of an ensemble of Java's servers. In
//! a mixture, Java's members are looked at, too: what they answer depends on a leader that may be ours.
//!
//! CI runs seats drawn by the commit; `OXKEEPER_CASES`, `OXKEEPER_SEED`, `OXKEEPER_ENSEMBLE_SUBJECT`: see `mixed`.
//! `OXKEEPER_SCRIPT` names a part of the names of the scripts wanted, `OXKEEPER_SHOWN` how many differences are shown.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use oxkeeper_compat_tests::conversation::{Conversation, differences};
use oxkeeper_compat_tests::ensemble::{Ensemble, Plan, draw, ours};
use oxkeeper_compat_tests::four_letter::{WORDS, bytes, shaped};
use oxkeeper_compat_tests::scripts::{self, Script, Setup};
use oxkeeper_compat_tests::subject::{Subject, four_letter};
use oxkeeper_compat_tests::wire::{op, request};

/// Three voters, the last of which leads, and an observer.
type Members = [Subject; 4];

/// The members of the ensemble by their index.
const FOLLOWER: usize = 0;
const LEADER: usize = 2;
const OBSERVER: usize = 3;

/// Scripts of frames that are no requests: a Java leader answers no learner what it cannot read, and the learner, and
/// every session on it that writes, waits for ever. Left to `scripts`, which asks servers that stand alone.
const UNSTABLE: &str = "frames: ";

/// Scripts that ours answers differently on purpose, and why (COMPAT.md).
const KNOWN: &[(&str, &str)] =
    &[("connect: wrong passwords at a take-over", "a wrong password does not close the connection that holds the session")];

fn start(name: &str, members: Members) -> Ensemble {
    let mut plan = Plan::new(&members[..3], &members[3..]);
    plan.options.lines.retain(|(key, _)| key != "forceSync");
    let mut ensemble = Ensemble::new(name, &plan.line("forceSync", "no"));
    ensemble.start_led_by(LEADER);
    ensemble
}

fn chosen_scripts() -> Vec<Script> {
    let filter = std::env::var("OXKEEPER_SCRIPT").unwrap_or_default();
    let mut chosen = scripts::all();
    chosen.retain(|script| script.setup == Setup::Usual && script.name.contains(&filter));
    chosen.retain(|script| !script.name.starts_with(UNSTABLE));
    assert!(!chosen.is_empty(), "no script matches OXKEEPER_SCRIPT");
    chosen
}

fn transcripts(address: SocketAddr) -> BTreeMap<&'static str, Vec<String>> {
    let run = |script: Script| {
        let begun = Instant::now();
        let mut talk = Conversation::begin(address);
        (script.run)(&mut talk);
        talk.finish();
        if begun.elapsed() > Duration::from_secs(4) {
            println!("  {}: {:.1} s (patience of a reply is 8 s)", script.name, begun.elapsed().as_secs_f32());
        }
        (script.name, talk.transcript)
    };
    chosen_scripts().into_iter().map(run).collect()
}

/// The metrics of a member's part in the ensemble that have counted anything. How much is the clock's affair.
fn counted(mntr: &str) -> Vec<String> {
    const KEYS: [&str; 12] = [
        "zk_proposal_count",
        "zk_commit_count",
        "zk_learner_proposal_received_count",
        "zk_learner_commit_received_count",
        "zk_looking_count",
        "zk_leader_uptime",
        "zk_cnt_election_time",
        "zk_cnt_follower_sync_time",
        "zk_cnt_observer_sync_time",
        "zk_cnt_quorum_ack_latency",
        "zk_sum_zookeeper_write_per_namespace",
        "zk_sum_words1_write_per_namespace",
    ];
    let is_wanted = |key: &str| KEYS.contains(&key) || (key.starts_with("zk_cnt_") && key.contains("_learner_handler_qp_"));
    let lines = mntr.lines().filter_map(|line| line.split_once('\t'));
    let mut found: Vec<String> = lines.filter(|(key, value)| is_wanted(key) && *value != "0").map(|(key, _)| key.to_owned()).collect();
    found.sort();
    found
}

/// The words' answers when something has happened on each of the members.
fn words(ensemble: &Ensemble, seat: usize) -> BTreeMap<&'static str, Vec<String>> {
    let mut talks: Vec<Conversation> = ensemble.addresses().into_iter().map(Conversation::begin).collect();
    for (index, talk) in talks.iter_mut().enumerate() {
        talk.connect("a");
        let base = format!("/words{index}");
        talk.ask("a", &request::create(&base, "data"));
        talk.ask("a", &request::create_flags(&format!("{base}/e"), 1));
        let many: Vec<_> = (0..40).map(|_| request::set_data(&base, Some(b"x"), -1)).collect();
        talk.pipeline("a", &many);
        talk.ask("a", &request::path(op::SYNC, "/"));
        talk.ask("a", &request::read(op::DATA, &base, true));
        talk.ask("a", &request::read(op::CHILDREN, &base, true));
        talk.ask("a", &request::add_watch(&format!("{base}/e"), 0));
        talk.drain("a");
        assert!(!talk.is_lost(), "server {} stopped answering", index + 1);
    }
    talks[seat].ask("a", &request::path(op::SYNC, "/"));
    let answer =
        |word: &'static str| four_letter(ensemble.address(seat), &bytes(word)).unwrap_or_else(|error| format!("{:?}", error.kind()));
    // Before srst sets it all back.
    let (srvr, mntr) = (answer("srvr"), answer("mntr"));
    let mut answers: BTreeMap<&str, Vec<String>> = WORDS.iter().map(|(word, shape)| (*word, shaped(*shape, &answer(word)))).collect();
    // What the masks hide of it and must not differ.
    let exact = |text: &str, wanted: &[&str]| -> Vec<String> {
        let mut lines: Vec<String> =
            text.lines().filter(|line| wanted.iter().any(|begin| line.starts_with(begin))).map(str::to_owned).collect();
        lines.sort();
        lines
    };
    answers.insert("srvr: role and size", exact(&answer("srvr"), &["Mode: ", "Node count: ", "Outstanding: "]));
    answers.insert(
        "mntr: the quorum",
        exact(
            &answer("mntr"),
            &[
                "zk_server_state",
                "zk_peer_state",
                "zk_quorum_size",
                "zk_learners",
                "zk_synced_followers",
                "zk_synced_non_voting_followers",
                "zk_synced_observers",
                "zk_pending_syncs",
                "zk_observer_master_id",
                "zk_znode_count",
                "zk_watch_count",
                "zk_ephemerals_count",
                "zk_digest_mismatches_count",
            ],
        ),
    );
    answers.insert("srvr: proposals", exact(&srvr, &["Proposal sizes "]));
    answers.insert(
        "mntr: proposals",
        exact(&mntr, &["zk_last_proposal_size", "zk_min_proposal_size", "zk_max_proposal_size", "zk_avg_zookeeper_write_per_namespace"]),
    );
    answers.insert("mntr: what is counted", counted(&mntr));
    let conf =
        exact(&answer("conf"), &["serverId", "initLimit", "syncLimit", "electionAlg", "peerType", "membership", "tickTime", "minSession"]);
    answers.insert("conf: the quorum", conf);
    answers
}

/// A transcript without what the two may disagree about: zxids of before, and, for who does not lead, how far zxids have
/// come. A learner of ours refuses by itself what a Java learner lets the leader refuse, which spends a zxid.
fn comparable(transcript: &[String], is_leader: bool) -> Vec<String> {
    let line = |line: &String| {
        let mut out = String::new();
        let mut rest = line.as_str();
        while let Some(at) = rest.find(" z") {
            let (before, behind) = rest.split_at(at + 2);
            out += before;
            let digits = behind.get(1..).map_or(0, |text| text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
            let hides = match behind.chars().next() {
                Some('-') => digits > 0,
                Some('+') => digits > 0 && !is_leader,
                _ => false,
            };
            rest = if hides { &behind[1 + digits..] } else { behind };
        }
        out + rest
    };
    transcript.iter().map(line).collect()
}

fn compare(name: &str, members: Members, seat: usize) {
    let judge = start(&format!("judge of {name}"), [Subject::Java39; 4]);
    let subject = start(&format!("members {name}"), members);
    let mut report = String::new();
    let shown: usize = std::env::var("OXKEEPER_SHOWN").ok().and_then(|text| text.parse().ok()).unwrap_or(6);
    let (theirs, mine) = (words(&judge, seat), words(&subject, seat));
    for (word, theirs) in &theirs {
        let mine = &mine[word];
        if theirs != mine {
            report += &format!("== {word}\n");
            theirs.iter().filter(|line| !mine.contains(line)).for_each(|line| report += &format!("  judge   {line}\n"));
            mine.iter().filter(|line| !theirs.contains(line)).for_each(|line| report += &format!("  subject {line}\n"));
        }
    }
    // Both at once: much of it is waiting.
    let (theirs, mine) = std::thread::scope(|scope| {
        let judged = scope.spawn(|| transcripts(judge.address(seat)));
        let mine = transcripts(subject.address(seat));
        (judged.join().expect("the judge's scripts"), mine)
    });
    let mut steps = 0;
    for (script, theirs) in &theirs {
        steps += theirs.len();
        let [theirs, mine] = [theirs, &mine[script]].map(|transcript| comparable(transcript, seat == LEADER));
        let found = differences(&theirs, &mine);
        let is_known = members[seat] == Subject::Oxkeeper && KNOWN.iter().any(|(name, _)| name == script);
        if is_known && found.is_empty() {
            report += &format!("== {script}: no longer differs\n");
        } else if !is_known && !found.is_empty() {
            report += &format!("== {script}: {} of {} differ\n", found.len(), theirs.len());
            found.iter().take(shown).for_each(|text| report += text);
        }
    }
    println!("  {} scripts, {steps} lines of transcript compared", theirs.len());
    assert!(report.is_empty(), "{name}\n{report}");
    subject.assert_same_everywhere();
}

#[test]
fn every_seat_is_like_the_same_seat_among_javas_servers() {
    let (ox, java) = (ours(), Subject::Java39);
    let seats = [(FOLLOWER, "follower"), (LEADER, "leader"), (OBSERVER, "observer")];
    let ensembles: [(&str, Members); 3] =
        [("ours under java", [ox, java, java, ox]), ("java under ours", [java, java, ox, java]), ("ours alone", [ox; 4])];
    let mut cases = Vec::new();
    for (what, members) in ensembles {
        for (seat, role) in seats {
            // A Java server that leads answers as the judge does.
            if members[LEADER] == ox || seat != LEADER {
                cases.push((format!("{what}, {role}"), (members, seat)));
            }
        }
    }
    draw("seat", cases, 1, Duration::from_secs(20), |name, (members, seat)| compare(name, members, seat));
}
