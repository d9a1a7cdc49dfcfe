//! The C library while servers are killed and started again at random: no completion is lost or doubled, no watch is
//! lost, and no memory. `OXKEEPER_FIRE_SECONDS` makes it longer, `OXKEEPER_FIRE_HANDLES` larger.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use oxkeeper_compat_tests::c_library::{Maker, Threading, compile, compile_for_races, on, watched_for_races};
use oxkeeper_compat_tests::load::Random;
use oxkeeper_compat_tests::subject::{Options, Server, Subject};

fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).ok().map_or(otherwise, |text| text.parse().expect("a number"))
}

#[test]
fn reconnecting_under_fire() {
    let program = compile("fire.c", Threading::Multi, Maker::Ours, &["-fsanitize=address", "-fno-omit-frame-pointer"]);
    under_fire(on(&program.path, Threading::Multi, Maker::Ours), number("OXKEEPER_FIRE_SECONDS", 8));
}

#[test]
fn no_races_under_fire() {
    let program = compile_for_races("fire.c");
    under_fire(watched_for_races(&program.path), number("OXKEEPER_FIRE_SECONDS", 5));
}

fn under_fire(mut fire: Command, seconds: u64) {
    let handles = number("OXKEEPER_FIRE_HANDLES", 20);
    let options = Options::usual().line("maxClientCnxns", "0");
    let mut server = Server::start(Subject::Oxkeeper, &options);
    let mut random = Random(number("OXKEEPER_SEED", 7));
    // A port where nobody is, so that there is always another server to try.
    fire.arg(format!("{},127.0.0.1:1", server.address())).args([handles.to_string(), seconds.to_string()]);
    let child = fire.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program runs");
    let over = Instant::now() + Duration::from_secs(seconds);
    let mut kills = 0;
    while Instant::now() < over {
        std::thread::sleep(Duration::from_millis(200 + random.below(1500)));
        server.kill();
        std::thread::sleep(Duration::from_millis(random.below(500)));
        server.spawn();
        server.wait_until_serving();
        kills += 1;
    }
    let output = child.wait_with_output().expect("waitable");
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    println!("{kills} kills, {handles} handles: {text}");
    assert!(output.status.success(), "{}:\n{text}", output.status);
    assert!(kills >= 2 && text.contains(" lost 0"), "{kills} kills:\n{text}");
}
