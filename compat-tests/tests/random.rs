//! Random operations: Java 3.9.5 beside another server, in both directions. `OXKEEPER_OPERATIONS` and
//! `OXKEEPER_SEED` ask for more or others.

use oxkeeper_compat_tests::random::{Reached, compare, table};
use oxkeeper_compat_tests::subject::{Options, Server, Subject};

/// Cells of op, flag and error that 20,000 operations reach on Java: one that is missing fails the run.
const REACHABLE: &str = include_str!("random_cells.txt");

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().map_or(default, |text| text.parse().expect("a number"))
}

fn options() -> Options {
    Options::usual().property("zookeeper.extendedTypesEnabled", "true")
}

/// All operations at once on `free`, one by one in the same order on `replay`.
fn run(free: Subject, replay: Subject) -> Reached {
    let (seed, operations) = (number("OXKEEPER_SEED", 1), number("OXKEEPER_OPERATIONS", 20_000));
    let (free_server, replay_server) = (Server::start(free, &options()), Server::start(replay, &options()));
    match compare(free_server.address(), replay_server.address(), seed, operations as usize) {
        Err(difference) => panic!("{free} at once, {replay} in order: {difference}"),
        Ok(outcome) => {
            println!(
                "{free} at once, {replay} in order: seed {seed}, {} operations and {} events alike\n{}",
                outcome.operations,
                outcome.events,
                table(&outcome.reached)
            );
            assert!(outcome.events > 0, "no watch ever fired");
            outcome.reached
        }
    }
}

/// Every cell of the list must be among the reached.
fn check_reached(reached: &Reached) {
    let wanted: Vec<(String, i32, i32)> = REACHABLE
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| {
            let mut fields = line.split_whitespace();
            let name = fields.next().expect("operation").to_owned();
            let mut number = || fields.next().expect("flag and error").parse().expect("a number");
            (name, number(), number())
        })
        .collect();
    let missing: Vec<_> = wanted.iter().filter(|cell| !reached.contains_key(cell)).collect();
    let fresh: Vec<_> = reached.keys().filter(|cell| !wanted.contains(cell)).collect();
    println!("cells reached that are not on the list: {fresh:?}");
    assert!(missing.is_empty(), "not reached: {missing:?}");
    assert!(!wanted.is_empty(), "the list is empty");
}

/// Proves the method: Java at once is like Java in order.
#[test]
#[ignore = "waits for cargo xtask soak: Java against itself"]
fn java_39_is_like_itself() {
    check_reached(&run(Subject::Java39, Subject::Java39));
}

#[test]
fn oxkeeper_at_once_is_like_java_in_order() {
    check_reached(&run(Subject::Oxkeeper, Subject::Java39));
}

#[test]
fn java_at_once_is_like_oxkeeper_in_order() {
    check_reached(&run(Subject::Java39, Subject::Oxkeeper));
}
