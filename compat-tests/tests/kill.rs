//! kill -9 under write load, again and again on the same directory: no acknowledged write is missing, none is done
//! twice, sessions go on with their ephemerals, dead ones take theirs with them. Java takes over the directory and
//! gives it back now and then. Also the orderly ends: SIGTERM, SIGSTOP.
//!
//! `OXKEEPER_KILL_CYCLES` asks for more than the 100 of CI, `OXKEEPER_SEED` for other ones. kill -9 proves nothing
//! about syncs: that is left to `syncs` and to the simulator.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use oxkeeper_compat_tests::load::{Load, Random};
use oxkeeper_compat_tests::subject::{Options, Server, Subject, TemporaryDirectory};

const CLIENTS: usize = 6;
const DEPTH: usize = 32;
/// A load that does not get on is waited for no longer.
const PATIENCE: Duration = Duration::from_secs(60);

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{variable}={text}")))
}

/// Short files and many snapshots, so that a kill meets all of them.
fn options() -> Options {
    Options::usual().line("forceSync", "yes").line("preAllocSize", "64").line("snapCount", "500")
}

/// Until the load has so many replies.
fn wait_for(progress: &AtomicU64, replies: u64) {
    let begun = Instant::now();
    while progress.load(Ordering::Relaxed) < replies {
        assert!(begun.elapsed() < PATIENCE, "{} replies of {replies}", progress.load(Ordering::Relaxed));
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn send_signal(server: &Server, name: &str) {
    let status = Command::new("kill").args([name, &server.process_id().to_string()]).status().expect("kill runs");
    assert!(status.success(), "kill {name}");
}

/// Another server may have left its zoo.cfg in the directory.
fn restart(server: &mut Server) {
    server.write_configuration();
    server.restart();
}

/// One life of a Java server on the directory: it must find what we left, and leave something to find.
fn java_in_between(load: &mut Load, directory: &Path, replies: u64) {
    let mut java = Server::start_in(Subject::Java39, &options(), directory);
    load.verify(java.address());
    let address = java.address();
    load.run(address, |progress| {
        wait_for(progress, replies);
        java.kill();
    });
}

#[test]
fn nothing_acknowledged_is_lost_or_done_twice_by_kill_9() {
    let cycles = number("OXKEEPER_KILL_CYCLES", 100);
    let seed = number("OXKEEPER_SEED", 1);
    let mut random = Random(seed);
    let directory = TemporaryDirectory::new();
    let mut load = Load::new(CLIENTS, DEPTH, seed);
    let mut server = Server::start_in(Subject::Oxkeeper, &options(), &directory.path);
    for cycle in 0..cycles {
        let address = server.address();
        load.verify(address);
        let is_long = cycle % 33 == 10;
        if cycle % 11 == 5 {
            load.doom(address);
        }
        let replies = random.below(1500);
        load.run(address, |progress| {
            wait_for(progress, replies);
            if is_long {
                // Long enough for those left alone to expire in the middle of it, and perhaps not all.
                std::thread::sleep(Duration::from_millis(1200 + random.below(800)));
            }
            server.kill();
        });
        if cycle % 5 == 3 {
            // Killed again while it starts.
            let mut early = Server::spawn_in(Subject::Oxkeeper, &options(), &directory.path);
            std::thread::sleep(Duration::from_millis(random.below(25)));
            early.kill();
        }
        if cycle % 33 == 20 {
            java_in_between(&mut load, &directory.path, 200 + random.below(500));
        }
        restart(&mut server);
    }
    // The sessions that were left alone expire in the end, and only their nodes go.
    let begun = Instant::now();
    load.verify(server.address());
    while load.anyone_still_doomed() {
        assert!(begun.elapsed() < PATIENCE, "sessions do not expire");
        std::thread::sleep(Duration::from_millis(100));
        load.verify(server.address());
    }
    println!("{cycles} kills, {} acknowledged writes, {} sessions expired", load.acknowledged(), load.buried());
    assert!(load.acknowledged() > cycles * 100, "a load of {} writes proves nothing", load.acknowledged());
    assert_eq!(server.terminate().code(), Some(0));
}

#[test]
fn sigterm_under_load_ends_with_0_and_everything_on_disk() {
    let directory = TemporaryDirectory::new();
    let mut load = Load::new(CLIENTS, DEPTH, 7);
    let mut server = Server::start_in(Subject::Oxkeeper, &options(), &directory.path);
    for round in 0..5 {
        let address = server.address();
        load.run(address, |progress| {
            wait_for(progress, 300 * round);
            let status = server.terminate();
            assert_eq!(status.code(), Some(0), "{}", server.log_tail());
        });
        if round == 2 {
            java_in_between(&mut load, &directory.path, 300);
        }
        restart(&mut server);
        load.verify(server.address());
    }
}

#[test]
fn a_stopped_server_goes_on_where_it_was() {
    let mut load = Load::new(CLIENTS, DEPTH, 8);
    let mut server = Server::start(Subject::Oxkeeper, &options());
    let address = server.address();
    for _ in 0..3 {
        load.run(address, |progress| {
            wait_for(progress, 300);
            send_signal(&server, "-STOP");
            let before = progress.load(Ordering::Relaxed);
            // Longer than the shortest session lives, shorter than those of the load.
            std::thread::sleep(Duration::from_millis(1500));
            send_signal(&server, "-CONT");
            wait_for(progress, before + 1000);
        });
        load.verify(address);
    }
    server.kill();
    server.restart();
    load.verify(address);
}

#[test]
fn a_second_server_on_the_same_port_or_directory_does_not_start() {
    let directory = TemporaryDirectory::new();
    let server = Server::start_in(Subject::Oxkeeper, &options(), &directory.path);
    let other = TemporaryDirectory::new();
    let taken = options().line("clientPort", &server.port.to_string());
    let status = Server::spawn_in(Subject::Oxkeeper, &taken, &other.path).wait_for_exit();
    assert_eq!(status.code(), Some(1), "a taken port, as Java");
    let mut second = Server::spawn_in(Subject::Oxkeeper, &options(), &directory.path);
    assert_eq!(second.wait_for_exit().code(), Some(3), "a directory in use: {}", second.log_tail());
    // The first one was not disturbed.
    let mut load = Load::new(2, 8, 9);
    load.run(server.address(), |progress| wait_for(progress, 100));
    load.verify(server.address());
}
