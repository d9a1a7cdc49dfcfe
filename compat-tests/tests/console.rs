//! The console page in Debian's Chromium, by `clients/console/console.js`: on a server that is under load and holds
//! nodes whose names and data would be dangerous if they were taken for HTML.

use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use oxkeeper_compat_tests::conversation::Conversation;
use oxkeeper_compat_tests::subject::{Options, Server, Subject, free_port, workspace};
use oxkeeper_compat_tests::wire::{acl, op, request};

fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), PathBuf::from)
}

#[test]
fn the_console_works_in_a_browser() {
    let modules = target().join("clients/console/node_modules");
    assert!(modules.exists(), "{} is missing: run `cargo xtask prerequisites`", modules.display());
    let port = free_port();
    let options = Options::usual()
        .line("admin.enableServer", "true")
        .line("admin.serverPort", &port.to_string())
        .line("oxkeeper.console.edit", "true");
    let server = Server::start(Subject::Oxkeeper, &options);
    let mut talk = Conversation::begin(server.address());
    talk.connect("a");
    for path in ["/<script>window.hacked = 1", "/<img src=x onerror=\"window.hacked = 1\">"] {
        talk.ask("a", &request::create(path, "<b onclick=\"hacked = 1\">&amp;</b>"));
    }
    talk.ask("a", &request::create("/big", &"x".repeat(50_000)));
    talk.ask("a", &request::create("/load", ""));
    talk.ask("a", &request::auth("digest", b"user:password"));
    talk.ask("a", &request::create("/users", "of the user"));
    talk.ask("a", &request::set_acl("/users", &[acl(31, "digest", "user:tpUq/4Pn5A64fVZyQ0gOJ8ZWqkY=")], -1));
    talk.ask("a", &request::read(op::DATA, "/load", true));
    assert!(!talk.is_lost());
    // The pictures stay, for whoever wants to see what was seen.
    let pictures = target().join("console-pictures");
    std::fs::create_dir_all(&pictures).expect("a directory");
    let done = AtomicBool::new(false);
    let output = std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut load = Conversation::begin(server.address());
            load.connect("load");
            while !done.load(Ordering::Relaxed) {
                load.ask("load", &request::create("/load/x", "data"));
                load.ask("load", &request::read(op::DATA, "/load/x", false));
                load.ask("load", &request::delete("/load/x", -1));
                load.transcript.clear();
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
        });
        let output = Command::new("node")
            .env("NODE_PATH", &modules)
            .arg(workspace().join("compat-tests/clients/console/console.js"))
            .arg(format!("http://127.0.0.1:{port}"))
            .arg(&pictures)
            .output();
        done.store(true, Ordering::Relaxed);
        output.expect("node runs")
    });
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("the console works"), "{said}");
}
