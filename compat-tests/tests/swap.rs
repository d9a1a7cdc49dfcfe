//! A running ensemble of Java's servers is exchanged, member by member and each on its own directory, for ours, and
//! back, while kazoo, Curator and our own clients write: no acknowledged write is lost, no session expires, and no client
//! sees another error than ConnectionLoss. Also the way from a server that stands alone to three members and back, on
//! one directory. `docs/rolling-swap.md` tells the operator of the same steps.
//!
//! `OXKEEPER_ENSEMBLE_SUBJECT`, `OXKEEPER_CASES` and `OXKEEPER_SEED`: see `mixed`.

use std::process::Command;
use std::time::Duration;

use oxkeeper_compat_tests::background::Background;
use oxkeeper_compat_tests::chronicle::{Chronicle, Shape, missing_on};
use oxkeeper_compat_tests::connection::{Connect, Connected, Connection};
use oxkeeper_compat_tests::ensemble::{Ensemble, Mode, Plan, draw, ours, tree_of};
use oxkeeper_compat_tests::load::{connect, header};
use oxkeeper_compat_tests::subject::{Server, Subject, TemporaryDirectory, oxkeeper_program};
use oxkeeper_compat_tests::tools::{Outcome, run};
use oxkeeper_compat_tests::verdict::{Syncs, judge};
use oxkeeper_compat_tests::wire::request;

/// What `oxkeeper preflight` says of a member, and how it ends; with a line of its configuration changed, if one is given.
fn preflight(ensemble: &Ensemble, index: usize, change: Option<(&str, &str)>) -> Outcome {
    let directory = TemporaryDirectory::new();
    let own = std::fs::read_to_string(ensemble.members[index].server.configuration()).expect("its zoo.cfg");
    let (from, to) = change.unwrap_or_default();
    assert!(own.contains(from), "{own}");
    let file = directory.path.join("zoo.cfg");
    std::fs::write(&file, own.replace(from, to)).expect("writable");
    let mut command = Command::new(oxkeeper_program());
    command.arg("preflight").arg(&file);
    run(command, &directory.path, "")
}

/// Before anything is stopped the ensemble is healthy; what speaks against an exchange is told.
fn look_before(ensemble: &Ensemble, leader: usize) {
    for index in ensemble.everyone() {
        let said = preflight(ensemble, index, None);
        let of_leader = said.output.contains("this member leads: exchange it last");
        assert!(said.code == Some(0) && !said.output.contains("PROBLEM") && of_leader == (index == leader), "{said:?}");
        assert!(said.output.contains("all 2 other voters serve: this member can be stopped"), "{said:?}");
        assert_eq!(said.output.matches("the same members").count(), 3, "{said:?}");
    }
    // Its own line names another port for votes than the others know.
    let said = preflight(ensemble, 0, Some((":3888:", ":3889:")));
    assert!(said.code == Some(1) && said.output.contains("PROBLEM  server.2 means another ensemble: server.1 is "), "{said:?}");
    let said = preflight(ensemble, 0, Some(("syncLimit=10", "syncLimit=9")));
    assert!(said.code == Some(0) && said.output.contains("server.3 has syncLimit=10, this configuration 9"), "{said:?}");
}

/// With one member away no other one may go.
fn look_while_one_is_away(ensemble: &Ensemble, away: usize) {
    let other = ensemble.everyone().into_iter().find(|index| *index != away).expect("three members");
    let said = preflight(ensemble, other, None);
    assert!(
        said.code == Some(1) && said.output.contains("without this member 1 of the 2 other voters serve, which is no quorum"),
        "{said:?}"
    );
    assert!(said.output.contains(&format!("server.{}: ", away + 1)) && said.output.contains("nothing listens there"), "{said:?}");
}

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
        look_before(&ensemble, leader);
        // As an operator does it: followers first, the leader last.
        let order: Vec<usize> = ensemble.everyone().into_iter().filter(|index| *index != leader).chain([leader]).collect();
        for &index in &order {
            let mark = ensemble.mark();
            let before = ensemble.mode(index);
            ensemble.terminate(index);
            if order.first() == Some(&index) {
                look_while_one_is_away(&ensemble, index);
            }
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

/// What `docs/backup.md` tells the operator to do: all members go back to a backup together, and clients that have seen more are
/// taken even so.
#[test]
fn an_ensemble_goes_back_to_a_backup() {
    let plan = Plan::new(&[Subject::Java39, ours(), ours()], &[]);
    let mut ensemble = Ensemble::new("back to a backup", &plan);
    ensemble.start_all();
    let kept = write(&ensemble.members[1].server, "kept");
    let directory = TemporaryDirectory::new();
    let backup = directory.path.join("backup");
    let oxkeeper = |arguments: &[&std::ffi::OsStr]| {
        let mut command = Command::new(oxkeeper_program());
        command.args(arguments);
        run(command, &directory.path, "")
    };
    let data = |ensemble: &Ensemble, index: usize| ensemble.members[index].server.data_directory();
    let shipped =
        oxkeeper(&["backup".as_ref(), "--once".as_ref(), "--from".as_ref(), data(&ensemble, 1).as_ref(), "--to".as_ref(), backup.as_ref()]);
    assert_eq!(shipped.code, Some(0), "{shipped:?}");
    let leader = ensemble.wait_for_leader();
    ensemble.kill(leader);
    let other = ensemble.everyone().into_iter().find(|index| *index != leader).expect("three members");
    ensemble.wait_for_leader_among(&ensemble.everyone().into_iter().filter(|index| *index != leader).collect::<Vec<_>>());
    ensemble.wait_until_serving(other);
    let lost = write(&ensemble.members[other].server, "lost");
    let (mut client, session) = connect(ensemble.address(other), None, 30_000).expect("a session");
    client.send(&request::create("/seen", "").frame(1));
    let seen = header(&client.receive(Duration::from_secs(60)).expect("an answer")).1;
    drop(client);
    for index in ensemble.everyone() {
        if ensemble.is_running(index) {
            ensemble.terminate(index);
        }
    }
    for index in ensemble.everyone() {
        let restore = |how: &str| {
            let to = data(&ensemble, index);
            oxkeeper(&["restore".as_ref(), how.as_ref(), "--from".as_ref(), backup.as_ref(), "--to".as_ref(), to.as_ref()])
        };
        let refused = restore("--member");
        assert!(refused.code == Some(1) && refused.errors.contains("holds a state already"), "{refused:?}");
        let aside = directory.path.join(format!("aside{index}"));
        std::fs::create_dir(&aside).expect("writable");
        for entry in std::fs::read_dir(data(&ensemble, index).join("version-2")).expect("there").flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with("log.") || name.starts_with("snapshot.") {
                std::fs::rename(entry.path(), aside.join(name)).expect("writable");
            }
        }
        let refused = restore("--ignore-digests");
        assert!(refused.code == Some(1) && refused.errors.contains("Epoch"), "only for members may it stand beside an epoch: {refused:?}");
        let restored = restore("--member");
        assert!(restored.code == Some(0) && restored.output.contains("written and read back"), "{restored:?}");
    }
    ensemble.start_all();
    for index in ensemble.everyone() {
        let tree = tree_of(ensemble.address(index));
        assert!(kept.iter().all(|path| tree.contains_key(path)), "server {} lacks what was in the backup", index + 1);
        assert!(!lost.iter().any(|path| tree.contains_key(path)), "server {} has what came after the backup", index + 1);
        let mut connection = Connection::open(ensemble.address(index)).expect("it listens");
        connection.send(&Connect { last_zxid_seen: seen, ..Connect::default() }.frame());
        let answer =
            Connected::parse(&connection.receive(Duration::from_secs(60)).expect("a client that has seen more")).expect("an answer");
        assert_ne!(answer.session, 0);
    }
    assert!(connect(ensemble.address(1), Some(&session), 30_000).is_none(), "a session of what was given up");
    write(&ensemble.members[0].server, "after");
    ensemble.assert_same_everywhere();
}
