//! A running ensemble of Java's servers is exchanged, member by member and each on its own directory, for ours, and
//! back, while kazoo, Curator and our own clients write: no acknowledged write is lost, no session expires, and no client
//! sees another error than ConnectionLoss. Also the way from a server that stands alone to three members and back, on
//! one directory. `docs/rolling-swap.md` tells the operator of the same steps.
//!
//! `OXKEEPER_ENSEMBLE_SUBJECT`, `OXKEEPER_CASES` and `OXKEEPER_SEED`: see `mixed`.

use std::time::Duration;

use oxkeeper_compat_tests::background::Background;
use oxkeeper_compat_tests::chronicle::{Chronicle, Shape, missing_on};
use oxkeeper_compat_tests::ensemble::{Ensemble, Mode, Plan, draw, ours, tree_of};
use oxkeeper_compat_tests::load::{connect, header};
use oxkeeper_compat_tests::subject::{Server, Subject};
use oxkeeper_compat_tests::verdict::{Syncs, judge};
use oxkeeper_compat_tests::wire::request;

fn exchange_and_back(java: Subject) {
    let plan = Plan::new(&[java; 3], &[]);
    let mut ensemble = Ensemble::new(&format!("swap of {java}"), &plan);
    ensemble.start_all();
    let addresses = ensemble.addresses();
    let mut kazoo = Background::kazoo(&addresses);
    let mut curator = Background::curator(&addresses);
    let load = Chronicle::begin(&addresses, &Shape { session_timeout_ms: 30_000, ..Shape::default() });
    for subject in [ours(), java] {
        let leader = ensemble.wait_for_leader();
        // As an operator does it: followers first, the leader last.
        let order: Vec<usize> = ensemble.everyone().into_iter().filter(|index| *index != leader).chain([leader]).collect();
        for index in order {
            let mark = ensemble.mark();
            let before = ensemble.mode(index);
            ensemble.terminate(index);
            ensemble.exchange(index, subject);
            ensemble.start(index);
            let leader = ensemble.wait_for_leader();
            let kind = if leader == index { None } else { Some(ensemble.synchronisation(leader, index, &mark)) };
            println!(
                "  server {}, {before:?}: now {subject}, {:?}, by {kind:?}; server {} leads",
                index + 1,
                ensemble.mode(index),
                leader + 1
            );
            let why = format!("server {} has been exchanged", index + 1);
            load.wait_for(200, &why);
            kazoo.wait_for(20, &why);
            curator.wait_for(20, &why);
        }
        assert!(ensemble.plan.voters.iter().all(|kind| *kind == subject));
        let modes: Vec<Option<Mode>> = ensemble.everyone().into_iter().map(|index| ensemble.mode(index)).collect();
        assert_eq!(modes.iter().filter(|mode| **mode == Some(Mode::Leader)).count(), 1, "{modes:?}");
    }
    let (kazoo, curator) = (kazoo.end(), curator.end());
    let history = load.end();
    let mut wrong = judge(&history, Syncs::AsJava);
    wrong.extend(kazoo.complaints("kazoo"));
    wrong.extend(curator.complaints("Curator"));
    for address in ensemble.addresses() {
        wrong.extend(missing_on(address, &history));
        let tree = tree_of(address);
        let nodes = kazoo.acknowledged.iter().chain(&curator.acknowledged);
        wrong.extend(nodes.filter(|path| !tree.contains_key(*path)).map(|path| format!("{address}: {path} is not there")));
        for path in ["/kazoo/ephemeral", "/curator/ephemeral"] {
            wrong.extend((!tree.contains_key(path)).then(|| format!("{address}: {path} is not there")));
        }
    }
    assert!(wrong.is_empty(), "{}\n{}", ensemble.modes(), wrong.join("\n"));
    let nodes = ensemble.assert_same_everywhere();
    println!(
        "  acknowledged: ours {}, kazoo {} ({:?}), Curator {} ({:?}); {nodes} nodes",
        history.acknowledged(),
        kazoo.acknowledged.len(),
        kazoo.errors,
        curator.acknowledged.len(),
        curator.errors
    );
}

#[test]
fn a_running_ensemble_is_exchanged_member_by_member_and_back() {
    let cases = [Subject::Java39, Subject::Java38].map(|java| (format!("{java} to {} and back", ours()), java));
    draw("swap", cases.to_vec(), 1, Duration::ZERO, |_, java| exchange_and_back(java));
}

/// Writes through a server and returns the paths.
fn write(server: &Server, prefix: &str) -> Vec<String> {
    let (mut connection, _) = connect(server.address(), None, 10_000).expect("a session");
    let paths: Vec<String> = (0..50).map(|at| format!("/{prefix}{at:02}")).collect();
    for (xid, path) in (1..).zip(&paths) {
        connection.send(&request::create(path, path).frame(xid));
        assert_eq!(header(&connection.receive(Duration::from_secs(60)).expect("an answer")).2, 0, "{path}");
    }
    paths
}

/// Alone, then with two empty members, then alone again: each time another server, perhaps.
fn grow_and_shrink(name: &str, kinds: [Subject; 5]) {
    let [before, first, second, third, after] = kinds;
    let mut ensemble = Ensemble::new(name, &Plan::new(&[first, second, third], &[]));
    let mut alone = ensemble.alone(0, before);
    alone.spawn();
    alone.wait_until_serving();
    let mut paths = write(&alone, "alone");
    let old = tree_of(alone.address());
    alone.terminate();
    drop(alone);

    ensemble.write_configuration(0);
    // The one that has the data and one empty member: the data leads. Two empty ones would be a quorum, too.
    ensemble.spawn(0);
    ensemble.start(1);
    assert_eq!(ensemble.wait_for_leader(), 0, "who has the data leads; {}", ensemble.modes());
    ensemble.start(2);
    for index in 0..3 {
        let tree = tree_of(ensemble.address(index));
        let differs: Vec<&String> = old.iter().filter(|(path, node)| tree.get(*path) != Some(*node)).map(|(path, _)| path).collect();
        assert!(differs.is_empty(), "server {}: {differs:?}", index + 1);
    }
    for index in 0..3 {
        paths.extend(write(&ensemble.members[index].server, &format!("through{index}-")));
    }
    ensemble.assert_same_everywhere();
    let grown = tree_of(ensemble.address(1));
    for index in 0..3 {
        ensemble.terminate(index);
    }

    for index in [1, 0] {
        let mut alone = ensemble.alone(index, after);
        alone.spawn();
        alone.wait_until_serving();
        let tree = tree_of(alone.address());
        let differs: Vec<&String> = grown.iter().filter(|(path, node)| tree.get(*path) != Some(*node)).map(|(path, _)| path).collect();
        assert!(differs.is_empty(), "alone again on server {}'s directory: {differs:?}", index + 1);
        assert!(paths.iter().all(|path| tree.contains_key(path)));
        write(&alone, "alone-again");
        alone.kill();
        alone.restart();
        assert!(tree_of(alone.address()).contains_key("/alone-again49"));
        alone.terminate();
    }
}

#[test]
fn from_one_server_to_three_and_back_on_one_directory() {
    let (ox, newer, older) = (ours(), Subject::Java39, Subject::Java38);
    let cases = [
        [ox, ox, ox, ox, ox],
        [newer, ox, ox, ox, newer],
        [ox, newer, newer, newer, ox],
        [older, ox, older, newer, ox],
        [ox, older, ox, newer, newer],
        [newer, newer, ox, ox, ox],
        [older, ox, ox, ox, older],
    ];
    let named = cases.iter().map(|kinds| (format!("{} > {} {} {} > {}", kinds[0], kinds[1], kinds[2], kinds[3], kinds[4]), *kinds));
    draw("standalone and back", named.collect(), 2, Duration::from_secs(25), grow_and_shrink);
}
