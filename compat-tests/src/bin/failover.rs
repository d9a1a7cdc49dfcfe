//! Measures failover: how long it takes from kill -9 of the leader of three to the next acknowledged write of a client
//! that was there all the time. Java's servers and ours stand side by side and take turns, so that the ratio is one of
//! the same minutes on the same machine. A figure, and no test.
//!
//!     cargo run --release -p oxkeeper-compat-tests --bin failover -- [--rounds 9] [--znodes 0] [--heap-mib 1024]
//!         [--servers java-3.8.0,oxkeeper] [--tick-ms 2000]
//!
//! A `+` in a name makes a mixture: `java-3.9.5+oxkeeper+oxkeeper` has a server of each in that order.

#![forbid(unsafe_code)]

use std::process::ExitCode;
use std::time::{Duration, Instant};

use oxkeeper_compat_tests::connection::{Connect, Connected, Connection};
use oxkeeper_compat_tests::ensemble::{Ensemble, PATIENCE, Plan};
use oxkeeper_compat_tests::load::{Session, header};
use oxkeeper_compat_tests::subject::Subject;
use oxkeeper_compat_tests::wire::{op, request};

struct Arguments {
    rounds: usize,
    znodes: usize,
    heap_mib: u32,
    tick_ms: u32,
    servers: Vec<(String, [Subject; 3])>,
}

fn subject(name: &str) -> Result<Subject, String> {
    match name {
        "java-3.8.0" => Ok(Subject::Java38),
        "java-3.9.5" => Ok(Subject::Java39),
        "oxkeeper" => Ok(Subject::Oxkeeper),
        other => Err(format!("{other}: not java-3.8.0, java-3.9.5 or oxkeeper")),
    }
}

fn arguments() -> Result<Arguments, String> {
    let mut arguments = Arguments { rounds: 9, znodes: 0, heap_mib: 1024, tick_ms: 2000, servers: Vec::new() };
    let mut names = "java-3.8.0,oxkeeper".to_owned();
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let value = words.next().ok_or(format!("{word}: a value is missing"))?;
        let number = || value.parse::<usize>().map_err(|error| format!("{word} {value}: {error}"));
        match word.as_str() {
            "--rounds" => arguments.rounds = number()?.max(1),
            "--znodes" => arguments.znodes = number()?,
            "--heap-mib" => arguments.heap_mib = number()? as u32,
            "--tick-ms" => arguments.tick_ms = number()? as u32,
            "--servers" => names = value,
            other => return Err(format!("{other}: no such option")),
        }
    }
    for name in names.split(',') {
        let kinds = name.split('+').map(subject).collect::<Result<Vec<_>, _>>()?;
        let voters = match kinds[..] {
            [one] => [one; 3],
            [one, two, three] => [one, two, three],
            _ => return Err(format!("{name}: one kind or three")),
        };
        arguments.servers.push((name.to_owned(), voters));
    }
    Ok(arguments)
}

/// A client with one write in flight that goes wherever it is let in.
struct Writer<'a> {
    ensemble: &'a Ensemble,
    connection: Option<Connection>,
    session: Session,
    next_member: usize,
    xid: i32,
}

impl<'a> Writer<'a> {
    fn new(ensemble: &'a Ensemble) -> Writer<'a> {
        Writer { ensemble, connection: None, session: Session { id: 0, password: vec![0; 16] }, next_member: 0, xid: 0 }
    }

    fn connect(&mut self) -> Option<()> {
        self.next_member += 1;
        let members = self.ensemble.members.len();
        let mut connection = Connection::open(self.ensemble.address(self.next_member % members)).ok()?;
        let request =
            Connect { timeout_ms: 40_000, session: self.session.id, password: Some(self.session.password.clone()), ..Connect::default() };
        connection.send(&request.frame());
        let answer = Connected::parse(&connection.receive(Duration::from_secs(10)).ok()?).ok()?;
        assert!(answer.session != 0, "the session expired");
        self.session = Session { id: answer.session, password: answer.password };
        self.connection = Some(connection);
        Some(())
    }

    /// One write; whether it was acknowledged.
    fn write(&mut self) -> bool {
        if self.connection.is_none() && self.connect().is_none() {
            std::thread::sleep(Duration::from_millis(1));
            return false;
        }
        self.xid += 1;
        let Some(connection) = &mut self.connection else { return false };
        connection.send(&request::set_data("/failover", Some(&self.xid.to_be_bytes()), -1).frame(self.xid));
        match connection.receive(Duration::from_secs(20)) {
            Ok(payload) => {
                assert_eq!(header(&payload).2, 0, "a write fails");
                true
            }
            Err(_) => {
                self.connection = None;
                false
            }
        }
    }
}

/// Fills the tree, many nodes at once.
fn populate(ensemble: &Ensemble, znodes: usize) {
    let leader = ensemble.wait_for_leader();
    let (mut connection, _) = oxkeeper_compat_tests::load::connect(ensemble.address(leader), None, 40_000).expect("a session");
    let mut xid = 0;
    let mut sent = std::collections::VecDeque::new();
    let mut next = |connection: &mut Connection, request: oxkeeper_compat_tests::wire::Request| {
        xid += 1;
        connection.send(&request.frame(xid));
        sent.push_back(xid);
        if sent.len() >= 8 {
            sent.pop_front();
            assert_eq!(header(&connection.receive(PATIENCE).expect("an answer")).2, 0, "populating");
        }
    };
    next(&mut connection, request::create("/failover", ""));
    for top in 0..znodes.div_ceil(1000) {
        next(&mut connection, request::create(&format!("/tree{top:05}"), ""));
        let parts: Vec<_> = (0..999).map(|at| request::create(&format!("/tree{top:05}/node{at:04}"), &"x".repeat(100))).collect();
        next(&mut connection, request::multi(op::MULTI, &parts));
    }
    while sent.pop_front().is_some() {
        assert_eq!(header(&connection.receive(PATIENCE).expect("an answer")).2, 0, "populating");
    }
}

/// Kills the leader under a writing client. Milliseconds to the next acknowledged write.
fn measure(ensemble: &mut Ensemble) -> f64 {
    let leader = ensemble.wait_for_leader();
    let gap = std::thread::scope(|scope| {
        let victim = ensemble.members[leader].server.process_id().to_string();
        let mut writer = Writer::new(ensemble);
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(1) {
            writer.write();
        }
        // Killed from aside, so that the client is in the middle of something.
        let killed = scope.spawn(move || {
            let now = Instant::now();
            let status = std::process::Command::new("kill").args(["-9", &victim]).status().expect("kill runs");
            assert!(status.success());
            now
        });
        let killed = loop {
            writer.write();
            if killed.is_finished() {
                break killed.join().expect("kill");
            }
        };
        // A write that was on its way may still have been acknowledged: from here on nothing of the old leader can be.
        std::thread::sleep(Duration::from_millis(2));
        writer.write();
        // The next acknowledged one.
        while !writer.write() {
            assert!(killed.elapsed() < PATIENCE, "nothing is acknowledged any more");
        }
        killed.elapsed()
    });
    ensemble.kill(leader);
    ensemble.start(leader);
    gap.as_secs_f64() * 1000.0
}

fn main() -> ExitCode {
    let arguments = match arguments() {
        Ok(arguments) => arguments,
        Err(reason) => {
            eprintln!("failover: {reason}");
            return ExitCode::from(2);
        }
    };
    let mut ensembles = Vec::new();
    for (name, voters) in &arguments.servers {
        let mut plan = Plan { init_limit: 10, sync_limit: 5, ..Plan::new(voters, &[]).tick_ms(arguments.tick_ms) };
        plan.options.lines.retain(|(key, _)| key != "preAllocSize");
        plan.options.heap_mib = Some(arguments.heap_mib);
        let mut ensemble = Ensemble::new(&format!("failover {name}"), &plan);
        ensemble.start_all();
        populate(&ensemble, arguments.znodes);
        ensembles.push((name, ensemble, Vec::new()));
    }
    for round in 0..=arguments.rounds {
        for (name, ensemble, samples) in &mut ensembles {
            let gap = measure(ensemble);
            eprintln!("round {round}: {name} {gap:.0} ms");
            // The first one warms up.
            if round > 0 {
                samples.push(gap);
            }
        }
    }
    let median = |samples: &mut Vec<f64>| {
        samples.sort_by(f64::total_cmp);
        samples[samples.len() / 2]
    };
    let mut baseline = None;
    println!(
        "kill -9 of the leader to the next acknowledged write, ms, {} rounds, {} znodes, tick {} ms",
        arguments.rounds, arguments.znodes, arguments.tick_ms
    );
    println!("| servers | median | least | most | ratio to the first |");
    println!("|---|---|---|---|---|");
    for (name, _, samples) in &mut ensembles {
        let middle = median(samples);
        let first = *baseline.get_or_insert(middle);
        println!("| {name} | {middle:.0} | {:.0} | {:.0} | {:.2} |", samples[0], samples[samples.len() - 1], middle / first);
    }
    ExitCode::SUCCESS
}
