//! Three members with everything against them that a machine can do to a process: lines cut, each direction by itself, in
//! every combination; thin and lossy lines; SIGSTOP, kill -9; a full disk. What the clients saw is judged as a whole, and
//! whenever members that are a majority reach each other again, something must be committed again.
//!
//! How long that took is printed in ticks, beside the bound that we state, 2 * initLimit + syncLimit + 5; no test fails
//! because of a clock, but one that waits in vain does. Namespaces and mounts want root. `OXKEEPER_CASES`,
//! `OXKEEPER_SEED`, `OXKEEPER_ENSEMBLE_SUBJECT`: see `mixed`.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use oxkeeper_compat_tests::chronicle::{Chronicle, Shape, missing_on};
use oxkeeper_compat_tests::connection::{Connect, Connected, Connection};
use oxkeeper_compat_tests::ensemble::{Ensemble, Mark, PATIENCE, Plan, draw, ours};
use oxkeeper_compat_tests::load::{Random, connect, header};
use oxkeeper_compat_tests::network::Network;
use oxkeeper_compat_tests::subject::Subject;
use oxkeeper_compat_tests::verdict::{Syncs, judge};
use oxkeeper_compat_tests::wire::request;

fn plan() -> Plan {
    Plan { init_limit: 10, sync_limit: 4, ..Plan::new(&[ours(); 3], &[]).tick_ms(250) }
}

fn bound_ticks(plan: &Plan) -> u32 {
    2 * plan.init_limit + plan.sync_limit + 5
}

fn shape(seed: u64) -> Shape {
    Shape { clients: 5, seed, patience: Duration::from_secs(2), pause: Duration::from_millis(8), ..Shape::default() }
}

fn syncs() -> Syncs {
    if ours() == Subject::Oxkeeper { Syncs::Linearizable } else { Syncs::AsJava }
}

/// Tries to get something committed through these members until it works; how many ticks that took. The session is closed
/// at once, and the node is always the same.
fn ticks_to_commit(ensemble: &Ensemble, members: &BTreeSet<usize>, why: &str) -> f64 {
    let begun = Instant::now();
    let patience = Duration::from_secs(2);
    loop {
        for index in members {
            let attempt = || {
                let mut connection = Connection::open(ensemble.address(*index)).ok()?;
                connection.send(&Connect { timeout_ms: 4000, ..Connect::default() }.frame());
                let connected = Connected::parse(&connection.receive(patience).ok()?).ok()?;
                connection.send(&request::set_data("/registers", Some(b"probe"), -1).frame(1));
                let answer = header(&connection.receive(patience).ok()?);
                (connected.session != 0 && answer.2 == 0).then_some(())
            };
            if attempt().is_some() {
                return begun.elapsed().as_secs_f64() * 1000.0 / f64::from(ensemble.plan.tick_ms);
            }
        }
        assert!(begun.elapsed() < PATIENCE, "nothing is committed: {why}; {}", ensemble.modes());
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Judges everything after all has been healed.
fn settle(ensemble: &mut Ensemble, load: Chronicle) {
    for index in ensemble.everyone() {
        if !ensemble.is_running(index) {
            ensemble.spawn(index);
        }
    }
    for index in ensemble.everyone() {
        ensemble.wait_until_serving(index);
    }
    ensemble.wait_for_leader();
    load.wait_for(100, "all is healed");
    let history = load.end();
    let mut wrong = judge(&history, syncs());
    for address in ensemble.addresses() {
        wrong.extend(missing_on(address, &history));
    }
    assert!(wrong.is_empty(), "{}\n{}", ensemble.modes(), wrong.join("\n"));
    let nodes = ensemble.assert_same_everywhere();
    let unknown = history.events.iter().filter(|event| event.outcome == oxkeeper_compat_tests::chronicle::Outcome::Unknown).count();
    println!(
        "  {} writes acknowledged, {unknown} without an answer, {} requests, {nodes} nodes",
        history.acknowledged(),
        history.events.len()
    );
}

fn cut_of(mask: u64) -> BTreeSet<(usize, usize)> {
    Network::lines(3).into_iter().enumerate().filter(|(at, _)| mask & (1 << at) != 0).map(|(_, line)| line).collect()
}

fn show(cut: &BTreeSet<(usize, usize)>) -> String {
    cut.iter().map(|(from, to)| format!("{}>{}", from + 1, to + 1)).collect::<Vec<_>>().join(" ")
}

/// Every mask from a network that was whole before.
#[test]
fn whichever_lines_are_cut_a_whole_majority_commits() {
    let cases: Vec<(String, u64)> = (1..64).map(|mask| (format!("mask {mask} [{}]", show(&cut_of(mask))), mask)).collect();
    let mut network = Network::new(3);
    let plan = plan();
    let mut ensemble = Ensemble::at("chaos of lines", &plan, network.site());
    ensemble.start_all();
    let load = Chronicle::begin(&ensemble.addresses(), &shape(1));
    let (mut slowest, mut late) = (0.0f64, Vec::new());
    draw("lines cut", cases, 5, Duration::from_secs(40), |name, mask| {
        let cut = cut_of(mask);
        network.cut_only(&cut);
        let members: BTreeSet<usize> = Network::majorities(3, &cut).into_iter().flatten().collect();
        // At once, and when every limit of leader and followers has run out: what works on what is already on its way
        // may stop working.
        for when in ["at once", "later"] {
            if members.is_empty() {
                println!("  no majority");
            } else {
                let ticks = ticks_to_commit(&ensemble, &members, name);
                println!("  {when} {ticks:.1} ticks, members {members:?}");
                slowest = slowest.max(ticks);
                if ticks > f64::from(bound_ticks(&plan)) {
                    late.push(format!("{name}, {when}: {ticks:.1}"));
                }
            }
            std::thread::sleep(Duration::from_millis(u64::from(plan.tick_ms * (plan.sync_limit + 1))));
        }
        network.heal();
        let ticks = ticks_to_commit(&ensemble, &(0..3).collect(), "healed");
        println!("  healed: {ticks:.1} ticks");
    });
    println!("  slowest {slowest:.1} ticks, stated bound {} ticks, later than that: {late:?}", bound_ticks(&plan));
    settle(&mut ensemble, load);
}

/// One thing after the other, drawn, some at the same time.
#[test]
fn whatever_happens_history_is_linearizable() {
    let cases: Vec<(String, u64)> = (0..20).map(|seed| (format!("walk {seed}"), seed)).collect();
    draw("chaos", cases, 1, Duration::from_secs(20), |name, seed| {
        let mut random = Random(seed);
        let mut network = Network::new(3);
        let plan = plan();
        let mut ensemble = Ensemble::at(&format!("chaos {name}"), &plan, network.site());
        ensemble.start_all();
        let load = Chronicle::begin(&ensemble.addresses(), &shape(seed));
        let mut paused = BTreeSet::new();
        for _ in 0..12 {
            let member = random.below(3) as usize;
            let act = match random.below(8) {
                0 | 1 => {
                    let cut = cut_of(random.below(64));
                    network.cut_only(&cut);
                    format!("cut [{}]", show(&cut))
                }
                2 => format!("slow {} by {}", member + 1, network.slow_down(member)),
                3 | 4 if ensemble.is_running(member) && paused.insert(member) => {
                    ensemble.pause(member);
                    format!("SIGSTOP {}", member + 1)
                }
                5 if ensemble.is_running(member) => {
                    paused.remove(&member);
                    ensemble.kill(member);
                    format!("kill -9 {}", member + 1)
                }
                6 if !ensemble.is_running(member) => {
                    ensemble.spawn(member);
                    format!("start {}", member + 1)
                }
                _ => {
                    network.heal();
                    paused.iter().for_each(|index| ensemble.resume(*index));
                    paused.clear();
                    "heal and resume".to_owned()
                }
            };
            println!("  {act}");
            std::thread::sleep(Duration::from_millis(200 + random.below(2500)));
        }
        network.heal();
        paused.iter().for_each(|index| ensemble.resume(*index));
        settle(&mut ensemble, load);
    });
}

/// A leader that stops and goes on long after: it must not answer anybody from what it thinks it knows.
#[test]
fn a_leader_that_slept_leads_no_more() {
    let plan = plan();
    let mut ensemble = Ensemble::new("chaos of sleep", &plan);
    ensemble.start_all();
    let load = Chronicle::begin(&ensemble.addresses(), &shape(3));
    for round in 0..3 {
        let leader = ensemble.wait_for_leader();
        load.wait_for(50, "awake");
        ensemble.pause(leader);
        let others: BTreeSet<usize> = ensemble.everyone().into_iter().filter(|index| *index != leader).collect();
        let ticks = ticks_to_commit(&ensemble, &others, "the leader sleeps");
        println!("  round {round}: {ticks:.1} ticks without server {}, bound {}", leader + 1, bound_ticks(&plan));
        load.wait_for(50, "another one leads");
        ensemble.resume(leader);
        load.wait_for(50, "the sleeper is awake");
    }
    settle(&mut ensemble, load);
}

/// A file system of 32 MiB for one member; gone with the value.
struct SmallDisk {
    path: PathBuf,
}

impl SmallDisk {
    fn mount(path: PathBuf) -> SmallDisk {
        let status = Command::new("mount").args(["-t", "tmpfs", "-o", "size=32m", "tmpfs"]).arg(&path).status().expect("mount runs");
        assert!(status.success(), "this test mounts a tmpfs and needs root for it");
        SmallDisk { path }
    }

    fn fill(&self) {
        let mut file = File::options().create(true).append(true).open(self.path.join("ballast")).expect("ballast");
        for size in [1 << 20, 1 << 12, 1] {
            let block = vec![1; size];
            loop {
                match file.write(&block) {
                    Ok(_) => {}
                    Err(error) if error.kind() == ErrorKind::StorageFull => break,
                    Err(error) => panic!("{error}"),
                }
            }
        }
    }

    fn make_room(&self) {
        fs::remove_file(self.path.join("ballast")).expect("ballast");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.path).status();
    }
}

/// Whether a member says, or shows by its end, that its disk is full.
fn has_noticed(ensemble: &mut Ensemble, victim: usize, mark: &Mark) -> bool {
    let said = ensemble.said_since(victim, mark).to_lowercase();
    said.contains("no space left") || said.contains("disk is full") || ensemble.members[victim].server.ended().is_some()
}

/// Half a megabyte of nodes, acknowledged or not.
fn feed(ensemble: &Ensemble, members: &BTreeSet<usize>, number: u64) {
    for index in members {
        let Some((mut connection, _)) = connect(ensemble.address(*index), None, 4000) else { continue };
        let data = "x".repeat(50_000);
        for xid in 1..=10 {
            connection.send(&request::create(&format!("/feed{number}-{xid}"), &data).frame(xid));
        }
        if (1..=10).all(|_| connection.receive(Duration::from_secs(2)).is_ok()) {
            return;
        }
    }
}

/// The disk of a follower runs full, then the leader's: the others go on, and when there is room again it comes back.
#[test]
fn a_member_with_a_full_disk_stops_nobody() {
    for leads in [false, true] {
        let mut ensemble = Ensemble::new("chaos of disks", &plan());
        let victim = if leads { 2 } else { 0 };
        let disk = SmallDisk::mount(ensemble.members[victim].server.data_directory());
        fs::write(disk.path.join("myid"), format!("{}\n", victim + 1)).expect("myid");
        ensemble.start_led_by(2);
        let load = Chronicle::begin(&ensemble.addresses(), &shape(4));
        load.wait_for(100, "there is room");
        disk.fill();
        let mark = ensemble.mark();
        let begun = Instant::now();
        // More than any file had been given in advance, through whoever takes it.
        let mut feeder = Random(5);
        let others: BTreeSet<usize> = ensemble.everyone().into_iter().filter(|index| *index != victim).collect();
        while !has_noticed(&mut ensemble, victim, &mark) {
            feed(&ensemble, &others, feeder.below(1 << 40));
            assert!(begun.elapsed() < PATIENCE, "nobody notices that a disk is full; {}", ensemble.modes());
        }
        load.wait_for(100, "one disk is full");
        ticks_to_commit(&ensemble, &others, "one disk is full");
        disk.make_room();
        // Java's server ends at once or when it next has something to write; ours may go on by itself.
        let begun = Instant::now();
        let ended = loop {
            let ended = ensemble.members[victim].server.ended();
            if ended.is_some() || ensemble.mode(victim).is_some() {
                break ended;
            }
            assert!(begun.elapsed() < PATIENCE, "neither back nor gone; {}", ensemble.modes());
            std::thread::sleep(Duration::from_millis(100));
        };
        println!("  the server with the full disk led: {leads}; with room again it is {:?}, ended: {ended:?}", ensemble.mode(victim));
        if ended.is_some() {
            ensemble.kill(victim);
            ensemble.start(victim);
        }
        settle(&mut ensemble, load);
        drop(ensemble);
        drop(disk);
    }
}
