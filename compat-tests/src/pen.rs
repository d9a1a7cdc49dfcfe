//! What tests of ensembles have in common around a load: a pen that writes one node after the other, and the reckoning at
//! the end.

use std::time::{Duration, Instant};

use crate::chronicle::{Chronicle, missing_on};
use crate::connection::Connection;
use crate::ensemble::{Ensemble, PATIENCE, tree_of};
use crate::load::{connect, header};
use crate::subject::Subject;
use crate::verdict::{Syncs, judge};
use crate::wire::request;

/// Reads behind a sync are judged as linearizable where no Java server ever leads.
fn syncs(ensemble: &Ensemble) -> Syncs {
    let all_ours = ensemble.plan.voters.iter().all(|subject| *subject == Subject::Oxkeeper);
    if all_ours { Syncs::Linearizable } else { Syncs::AsJava }
}

/// Judges what the clients saw, and what every running member has.
///
/// # Panics
/// At anything that is wrong.
pub fn settle(ensemble: &Ensemble, load: Chronicle) {
    let running: Vec<usize> = ensemble.everyone().into_iter().filter(|index| ensemble.is_running(*index)).collect();
    settle_among(ensemble, load, &running);
}

/// As [`settle`], with the members that clients can ask.
///
/// # Panics
/// At anything that is wrong.
pub fn settle_among(ensemble: &Ensemble, load: Chronicle, members: &[usize]) {
    let history = load.end();
    let mut wrong = judge(&history, syncs(ensemble));
    for index in members {
        wrong.extend(missing_on(ensemble.address(*index), &history));
    }
    assert!(wrong.is_empty(), "{}\n{}", ensemble.modes(), wrong.join("\n"));
    let nodes = ensemble.assert_same_among(members);
    let reconnections: u64 = history.lives.iter().map(|life| life.reconnections).sum();
    println!(
        "  {} writes acknowledged, {} requests, {reconnections} reconnections, {nodes} nodes",
        history.acknowledged(),
        history.events.len()
    );
}

/// A session that writes one node after the other.
pub struct Pen {
    pub connection: Connection,
    pub xid: i32,
    pub prefix: &'static str,
    pub acknowledged: Vec<String>,
}

impl Pen {
    /// A session at this member, as soon as there is one to be had.
    ///
    /// # Panics
    /// If there is none in time.
    pub fn open(ensemble: &Ensemble, index: usize, prefix: &'static str) -> Pen {
        let begun = Instant::now();
        loop {
            if let Some((connection, _)) = connect(ensemble.address(index), None, 30_000) {
                return Pen { connection, xid: 0, prefix, acknowledged: Vec::new() };
            }
            assert!(begun.elapsed() < PATIENCE, "server {} gives no session; {}", index + 1, ensemble.modes());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Sends so many writes and does not wait; their paths.
    pub fn send(&mut self, count: usize) -> Vec<String> {
        let paths: Vec<String> = (0..count as i32).map(|at| format!("/{}{:04}", self.prefix, self.xid + 1 + at)).collect();
        let frames: Vec<u8> = (self.xid + 1..).zip(&paths).flat_map(|(xid, path)| request::create(path, path).frame(xid)).collect();
        self.xid += count as i32;
        self.connection.send(&frames);
        paths
    }

    /// Writes so many nodes.
    ///
    /// # Panics
    /// If one of them is not acknowledged.
    pub fn write(&mut self, count: usize) {
        let first = self.xid + 1;
        for (xid, path) in (first..).zip(self.send(count)) {
            let payload = self.connection.receive(PATIENCE).expect("an answer");
            let (found, _, error) = header(&payload);
            assert_eq!((found, error), (xid, 0), "{path}");
            self.acknowledged.push(path);
        }
    }
}

/// Every running member has these nodes.
///
/// # Panics
/// If one lacks any.
pub fn assert_present(ensemble: &Ensemble, paths: &[String]) {
    for index in ensemble.everyone().into_iter().filter(|index| ensemble.is_running(*index)) {
        let tree = tree_of(ensemble.address(index));
        let missing: Vec<&String> = paths.iter().filter(|path| !tree.contains_key(*path)).collect();
        assert!(missing.is_empty(), "server {} lacks {missing:?}; {}", index + 1, ensemble.modes());
    }
}
