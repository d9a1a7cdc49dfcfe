//! Ensembles of Java's servers and ours in every mixture, each leading in turn, under a load of which every answer is
//! kept and judged: kill -9 of leaders and followers, and every way of synchronisation in every direction. Who leads
//! and which synchronisation ran is asserted, not hoped for.
//!
//! CI runs cases drawn by the commit; `OXKEEPER_CASES=all` runs all, `OXKEEPER_CASES=<text>` those with the text in their
//! name, `OXKEEPER_SEED` draws others. `OXKEEPER_ENSEMBLE_SUBJECT=java395` puts a Java server in place of ours.

use std::time::{Duration, Instant};

use oxkeeper_compat_tests::chronicle::{Chronicle, Shape};
use oxkeeper_compat_tests::ensemble::{Ensemble, Mode, Plan, Synchronisation, draw, ours, tree_of};
use oxkeeper_compat_tests::pen::{Pen, assert_present, settle};
use oxkeeper_compat_tests::subject::{Subject, four_letter};

/// What CI has for the mixtures, and for the synchronisations.
const MIXTURES_BUDGET: Duration = Duration::from_secs(60);
const SYNCHRONISATIONS_BUDGET: Duration = Duration::from_secs(60);

/// Voters, of which the last one shall lead, and observers.
#[derive(Clone, Debug)]
struct Mixture {
    voters: Vec<Subject>,
    observers: Vec<Subject>,
}

fn mixtures() -> Vec<(String, Mixture)> {
    let ox = ours();
    let mut voters = vec![[ox, ox, ox]];
    for java in [Subject::Java39, Subject::Java38] {
        voters.extend([[java, java, ox], [ox, java, java], [java, ox, java], [java, ox, ox], [ox, java, ox], [ox, ox, java]]);
    }
    let mut cases = Vec::new();
    for voters in voters {
        for observers in [vec![], vec![Subject::Java39], vec![ox]] {
            let name = format!("{} {} led by {}, observers {observers:?}", voters[0], voters[1], voters[2]);
            cases.push((name, Mixture { voters: voters.to_vec(), observers }));
        }
    }
    cases
}

/// Five and seven voters.
fn large_mixtures() -> Vec<(String, Mixture)> {
    let (ox, java, old) = (ours(), Subject::Java39, Subject::Java38);
    let cases = [
        (vec![ox; 5], vec![java]),
        (vec![java, ox, java, ox, ox], vec![]),
        (vec![ox, ox, java, ox, java], vec![ox]),
        (vec![old, java, ox, java, ox], vec![]),
        (vec![ox, java, java, old, old], vec![ox]),
        (vec![ox; 7], vec![]),
        (vec![java, ox, java, ox, java, ox, ox], vec![ox]),
        (vec![ox, java, ox, java, ox, ox, java], vec![]),
        (vec![java, java, ox, old, java, old, ox], vec![]),
    ];
    let named = cases.map(|(voters, observers)| {
        let names: Vec<String> = voters.iter().map(Subject::to_string).collect();
        (format!("of {}: {}, observers {observers:?}", voters.len(), names.join(" ")), Mixture { voters, observers })
    });
    named.to_vec()
}

/// What every mixture must live through.
fn live_through(name: &str, mixture: &Mixture) {
    let mut ensemble = Ensemble::new(&format!("mixture {name}"), &Plan::new(&mixture.voters, &mixture.observers));
    let last = mixture.voters.len() - 1;
    ensemble.start_led_by(last);
    for (index, member) in ensemble.members.iter().enumerate() {
        let wanted = if member.is_observer {
            Mode::Observer
        } else if index == last {
            Mode::Leader
        } else {
            Mode::Follower
        };
        assert_eq!(ensemble.mode(index), Some(wanted), "{}", ensemble.modes());
    }
    let load = Chronicle::begin(&ensemble.addresses(), &Shape::default());
    load.wait_for(300, "everyone is there");

    let mark = ensemble.mark();
    ensemble.kill(0);
    load.wait_for(100, "a follower is dead");
    ensemble.start(0);
    assert_eq!(ensemble.synchronisation(last, 0, &mark), Synchronisation::Diff, "a short absence");
    load.wait_for(100, "the follower is back");

    ensemble.kill(last);
    let gap = load.wait_for(1, "the leader is dead");
    println!("  {:.0} ms from kill -9 of the leader to the next acknowledged write", gap.as_secs_f64() * 1000.0);
    let leader = ensemble.wait_for_leader();
    assert_ne!(leader, last);
    load.wait_for(100, "another one leads");
    let mark = ensemble.mark();
    ensemble.start(last);
    let back = ensemble.synchronisation(leader, last, &mark);
    println!("  the former leader was synchronised by {back:?}");
    assert_eq!(ensemble.mode(last), Some(Mode::Follower), "{}", ensemble.modes());
    assert_eq!(ensemble.wait_for_leader(), leader, "nothing happened to the leader");
    load.wait_for(100, "all are back");

    for index in ensemble.voters().len()..ensemble.members.len() {
        let mark = ensemble.mark();
        ensemble.kill(index);
        load.wait_for(100, "the observer is dead");
        ensemble.start(index);
        assert_eq!(ensemble.synchronisation(leader, index, &mark), Synchronisation::Diff, "a short absence");
        load.wait_for(50, "the observer is back");
    }
    settle(&ensemble, load);
}

#[test]
fn mixtures_under_load_lose_nothing() {
    draw("mixture", mixtures(), 2, MIXTURES_BUDGET, |name, mixture| live_through(name, &mixture));
}

#[test]
fn larger_mixtures_lose_nothing_either() {
    draw("large mixture", large_mixtures(), 1, Duration::ZERO, |name, mixture| live_through(name, &mixture));
}

/// How a learner is made to need a certain synchronisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    /// It was away while little was written.
    ShortAbsence,
    /// All it had is gone.
    EmptyDirectory,
    /// It led alone and logged what nobody else has; the others have a new leader, and nothing new.
    UncommittedTail,
    /// The same, and the others have gone on.
    UncommittedTailAndNews,
}

#[derive(Clone, Copy, Debug)]
struct Need {
    leader: Subject,
    learner: Subject,
    is_observer: bool,
    cause: Cause,
}

impl Need {
    /// What the leader must choose.
    fn wanted(&self) -> Synchronisation {
        match self.cause {
            Cause::ShortAbsence => Synchronisation::Diff,
            Cause::EmptyDirectory => Synchronisation::Snap,
            Cause::UncommittedTail => Synchronisation::Trunc,
            // Java truncates nothing across an epoch that has begun.
            Cause::UncommittedTailAndNews if self.leader != Subject::Oxkeeper => Synchronisation::Snap,
            Cause::UncommittedTailAndNews => Synchronisation::Trunc,
        }
    }
}

fn needs() -> Vec<(String, Need)> {
    let ox = ours();
    let mut cases = Vec::new();
    let pairs = [(Subject::Java39, ox), (ox, Subject::Java39), (Subject::Java38, ox), (ox, Subject::Java38), (ox, ox)];
    for (leader, learner) in pairs {
        for (cause, is_observer) in [
            (Cause::ShortAbsence, false),
            (Cause::ShortAbsence, true),
            (Cause::EmptyDirectory, false),
            (Cause::EmptyDirectory, true),
            (Cause::UncommittedTail, false),
            (Cause::UncommittedTailAndNews, false),
        ] {
            let role = if is_observer { "observer" } else { "follower" };
            let need = Need { leader, learner, is_observer, cause };
            cases.push((format!("{cause:?} of {role} {learner} under {leader}: {:?}", need.wanted()), need));
        }
    }
    cases
}

fn satisfy(name: &str, need: &Need) {
    match need.cause {
        Cause::ShortAbsence | Cause::EmptyDirectory => synchronise_after_absence(name, need),
        Cause::UncommittedTail | Cause::UncommittedTailAndNews => synchronise_former_leader(name, need),
    }
}

fn synchronise_after_absence(name: &str, need: &Need) {
    let (voters, observers) =
        if need.is_observer { ([need.leader; 3], vec![need.learner]) } else { ([need.learner, need.leader, need.leader], vec![]) };
    let learner = if need.is_observer { 3 } else { 0 };
    let mut ensemble = Ensemble::new(name, &Plan::new(&voters, &observers));
    ensemble.start_led_by(2);
    let mut pen = Pen::open(&ensemble, 2, "before");
    pen.write(20);
    ensemble.terminate(learner);
    pen.write(20);
    if need.cause == Cause::EmptyDirectory {
        ensemble.empty(learner);
    }
    let mark = ensemble.mark();
    ensemble.start(learner);
    assert_eq!(ensemble.synchronisation(2, learner, &mark), need.wanted());
    assert_eq!(ensemble.wait_for_leader(), 2);
    // It takes part afterwards, and starts by itself on what it was given.
    pen.write(20);
    ensemble.kill(learner);
    let mark = ensemble.mark();
    ensemble.start(learner);
    assert_eq!(ensemble.synchronisation(2, learner, &mark), Synchronisation::Diff);
    Pen::open(&ensemble, learner, "through-learner").write(20);
    assert_present(&ensemble, &pen.acknowledged);
    ensemble.assert_same_everywhere();
    // With what it has it can lead, too.
    if !need.is_observer {
        ensemble.kill(2);
        ensemble.wait_for_leader();
        Pen::open(&ensemble, learner, "after-leader").write(20);
        assert_present(&ensemble, &pen.acknowledged);
        ensemble.assert_same_everywhere();
    }
}

fn synchronise_former_leader(name: &str, need: &Need) {
    // Long ticks: a leader notices only at the next one that it is alone.
    let plan = Plan::new(&[need.leader, need.leader, need.learner], &[]).tick_ms(2000);
    let mut ensemble = Ensemble::new(name, &plan);
    ensemble.start_led_by(2);
    let mut pen = Pen::open(&ensemble, 2, "before");
    pen.write(20);
    // Some of its log is below the point where it will be cut.
    ensemble.assert_same_everywhere();
    let lost = loop {
        ensemble.kill(0);
        ensemble.kill(1);
        let lost = pen.send(5);
        let marker = lost[4].clone().into_bytes();
        let begun = Instant::now();
        while !ensemble.has_logged(2, &marker) && begun.elapsed() < Duration::from_secs(5) {
            std::thread::sleep(Duration::from_millis(5));
        }
        if ensemble.has_logged(2, &marker) {
            break lost;
        }
        // Its tick came between.
        ensemble.start_all();
        assert_eq!(ensemble.wait_for_leader(), 2);
        let acknowledged = std::mem::take(&mut pen.acknowledged);
        pen = Pen { acknowledged, xid: pen.xid, ..Pen::open(&ensemble, 2, "before") };
    };
    ensemble.kill(2);
    let marker = lost[4].as_bytes();
    assert!(!ensemble.has_logged(0, marker) && !ensemble.has_logged(1, marker), "nobody else may have logged it");
    ensemble.spawn(0);
    ensemble.start(1);
    assert_eq!(ensemble.wait_for_leader(), 1, "{}", ensemble.modes());
    let mut acknowledged = pen.acknowledged;
    if need.cause == Cause::UncommittedTailAndNews {
        let mut pen = Pen::open(&ensemble, 1, "news");
        pen.write(20);
        acknowledged.extend(pen.acknowledged);
    }
    let mark = ensemble.mark();
    ensemble.start(2);
    assert_eq!(ensemble.synchronisation(1, 2, &mark), need.wanted());
    assert_eq!(ensemble.wait_for_leader(), 1);
    let mut pen = Pen::open(&ensemble, 2, "through-former-leader");
    pen.write(20);
    acknowledged.extend(pen.acknowledged);
    assert_present(&ensemble, &acknowledged);
    let tree = tree_of(ensemble.address(2));
    let back: Vec<&String> = lost.iter().filter(|path| tree.contains_key(*path)).collect();
    assert!(back.is_empty(), "what was cut off is there: {back:?}");
    ensemble.assert_same_everywhere();
    // What was cut off stays off, and what came after it stays: from its own disk, as leader.
    ensemble.kill(2);
    ensemble.start(2);
    ensemble.kill(1);
    assert_eq!(ensemble.wait_for_leader(), 2, "{}", ensemble.modes());
    assert_present(&ensemble, &acknowledged);
    ensemble.assert_same_everywhere();
}

#[test]
fn every_synchronisation_in_every_direction() {
    draw("synchronisation", needs(), 2, SYNCHRONISATIONS_BUDGET, |name, need| satisfy(name, &need));
}

/// The digests that a server has told of, by zxid.
fn digests(ensemble: &Ensemble, index: usize) -> Vec<String> {
    four_letter(ensemble.address(index), b"hash").unwrap_or_default().lines().map(str::to_owned).collect()
}

/// What `docs/shadow.md` says: an observer that the members do not know of follows them, and tells of digests.
fn shadow(name: &str, java: Subject) {
    let plan = Plan { observers_are_shadows: true, ..Plan::new(&[java; 3], &[ours()]) };
    let mut ensemble = Ensemble::new(&format!("shadow of {name}"), &plan);
    ensemble.start_led_by(2);
    let load = Chronicle::begin(&ensemble.addresses()[..3], &Shape::default());
    load.wait_for(300, "the members are there");
    let mark = ensemble.mark();
    ensemble.start(3);
    assert_eq!(ensemble.mode(3), Some(Mode::Observer), "{}", ensemble.modes());
    assert_eq!(ensemble.synchronisation(2, 3, &mark), Synchronisation::Snap, "it begins with nothing");
    // It may come and go: nobody waits for it.
    load.wait_for(300, "it follows");
    ensemble.pause(3);
    load.wait_for(300, "it sleeps");
    ensemble.resume(3);
    ensemble.kill(2);
    load.wait_for(300, "another member leads");
    ensemble.start(2);
    ensemble.wait_until_serving(3);
    let mut pen = Pen::open(&ensemble, 3, "through-shadow");
    pen.write(150);
    settle(&ensemble, load);
    let mismatches = ensemble.monitor(3).get("digest_mismatches_count").cloned();
    assert_eq!(mismatches.as_deref(), Some("0"), "the shadow compares digests");
    let (leader, shadow) = (digests(&ensemble, ensemble.wait_for_leader()), digests(&ensemble, 3));
    let shared = shadow.iter().filter(|line| leader.contains(line)).count();
    assert!(shared > 0, "digests at zxids that both know: {leader:?} and {shadow:?}");
    let counts = |index: usize| ensemble.monitor(index).get("znode_count").cloned();
    assert_eq!(counts(3), counts(0));
}

#[test]
fn a_shadow_follows_members_that_do_not_know_of_it() {
    let cases = [Subject::Java39, Subject::Java38].map(|java| (java.to_string(), java));
    draw("shadow", cases.to_vec(), 1, Duration::ZERO, shadow);
}
