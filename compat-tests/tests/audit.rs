//! The audit log of Java 3.9.5 and ours after the same requests, line by line.

use oxkeeper_compat_tests::conversation::Conversation;
use oxkeeper_compat_tests::subject::{Options, Server, Subject};
use oxkeeper_compat_tests::wire::{acl, op, open, request};

const SEQUENTIAL: i32 = 2;
const EPHEMERAL_SEQUENTIAL: i32 = 3;

fn history(talk: &mut Conversation) {
    talk.connect("a");
    talk.connect("b");
    talk.ask("b", &request::auth("digest", b"user:password"));
    talk.become_super("b");
    talk.ask("a", &request::create("/audit", "data"));
    talk.ask("a", &request::create("/audit", "data"));
    talk.ask("b", &request::create2("/audit/two <é>\"\\", "data"));
    talk.ask("a", &request::create_flags("/audit/e", 1));
    talk.ask("a", &request::create_flags("/audit/s", SEQUENTIAL));
    talk.ask("a", &request::create_flags("/audit/es", EPHEMERAL_SEQUENTIAL));
    talk.ask("a", &request::create_flags("/audit/s", 9));
    talk.ask("a", &request::create_as(op::CREATE_CONTAINER, "/audit/c", Some(b""), &open(), 4));
    talk.ask("a", &request::create_ttl("/audit/ttl", &open(), 5, 100_000));
    talk.ask("a", &request::create_ttl("/audit/ttls", &open(), 6, 100_000));
    talk.ask("a", &request::create("/audit/c/child", ""));
    talk.ask("a", &request::create("/none/child", ""));
    talk.ask("a", &request::create("/bad//path", ""));
    talk.ask("a", &request::create_acl("/audit/noacl", &[]));
    talk.ask("a", &request::set_data("/audit", Some(b"x"), -1));
    talk.ask("a", &request::set_data("/audit", Some(b"x"), 77));
    talk.ask("a", &request::set_data("/none", None, -1));
    talk.ask("b", &request::set_acl("/audit/c", &[acl(31, "world", "anyone"), acl(3, "ip", "127.0.0.1")], -1));
    talk.ask("a", &request::set_acl("/none", &[acl(31, "world", "anyone")], -1));
    talk.ask("b", &request::set_acl("/audit/c/child", &[acl(31, "auth", "")], -1));
    talk.ask("a", &request::set_data("/audit/c/child", Some(b"x"), -1));
    talk.ask("a", &request::delete("/audit/c", -1));
    talk.ask("a", &request::delete("/none", -1));
    // Reads and checks are no changes.
    talk.ask("a", &request::read(op::DATA, "/audit", true));
    talk.ask("a", &request::path(op::SYNC, "/audit"));
    talk.ask(
        "a",
        &request::multi(
            op::MULTI,
            &[
                request::create("/audit/m", "x"),
                request::create_flags("/audit/ms", SEQUENTIAL),
                request::create2("/audit/m2", "x"),
                request::set_data("/audit/m", Some(b"y"), -1),
                request::check("/audit/m", 1),
                request::delete("/audit/m", -1),
            ],
        ),
    );
    talk.ask("a", &request::multi(op::MULTI, &[request::create("/audit/m", "x"), request::check("/audit", 99)]));
    talk.ask("a", &request::multi(op::MULTI, &[]));
    let many: Vec<_> = (0..20).map(|number| request::create(&format!("/audit/p{number}"), "")).collect();
    talk.pipeline("a", &many);
    talk.ask("a", &request::delete("/audit/two <é>\"\\", -1));
    talk.ask("a", &request::bare(op::CLOSE_SESSION));
    talk.drain("b");
    assert!(!talk.is_lost());
}

/// The audited lines, with session ids masked.
fn lines(subject: Subject) -> Vec<String> {
    // The judge's log of the tests shows WARN; a set-up of its own shows the audit log as well.
    let mut server = Server::start(subject, &options(subject));
    let mut talk = Conversation::begin(server.address());
    history(&mut talk);
    // The sessions' own ends: a second one by hanging up would take a timeout.
    talk.ask("b", &request::bare(op::CLOSE_SESSION));
    let _ = server.terminate();
    let log = std::fs::read_to_string(server.log_path()).expect("a log");
    let mut names: Vec<String> = Vec::new();
    log.lines()
        .filter(|line| line.contains("Slf4jAuditLogger"))
        .map(|line| {
            let level = ["INFO", "ERROR"].into_iter().find(|level| line.contains(level)).unwrap_or("?");
            let text = line.splitn(3, "] - ").nth(2).unwrap_or(line);
            let mut shown = format!("{level} {text}");
            if let Some(session) = text.strip_prefix("session=").and_then(|rest| rest.split('\t').next()) {
                if !names.iter().any(|name| name == session) {
                    names.push(session.to_owned());
                }
                let number = names.iter().position(|name| name == session).expect("just put there");
                shown = shown.replace(session, &format!("#{number}"));
            }
            shown
        })
        .collect()
}

fn options(subject: Subject) -> Options {
    let options = Options::usual().line("audit.enable", "true").line("extendedTypesEnabled", "true");
    match subject {
        Subject::Oxkeeper => options,
        // Logback takes this before the one of the class path.
        _ => {
            let file = oxkeeper_compat_tests::subject::workspace().join("compat-tests/java/logback-audit.xml");
            options.property("logback.configurationFile", &file.display().to_string())
        }
    }
}

#[test]
fn oxkeeper_is_like_java_39() {
    let (judge, mine) = (lines(Subject::Java39), lines(Subject::Oxkeeper));
    // Which ephemeral goes first is a hash set's affair.
    let sorted = |lines: &[String]| {
        let mut lines: Vec<String> = lines.to_vec();
        let is_gone = |line: &String| line.contains("ephemeralZNodeDeletion");
        let at: Vec<usize> = (0..lines.len()).filter(|at| is_gone(&lines[*at])).collect();
        let mut gone: Vec<String> = at.iter().map(|at| lines[*at].clone()).collect();
        gone.sort();
        at.into_iter().zip(gone).for_each(|(at, line)| lines[at] = line);
        lines
    };
    let (judge, mine) = (sorted(&judge), sorted(&mine));
    assert!(judge.len() > 50, "{judge:#?}");
    for (theirs, ours) in judge.iter().zip(&mine) {
        assert_eq!(ours, theirs);
    }
    assert_eq!(mine.len(), judge.len(), "{mine:#?}");
}

/// A file of its own, in the layout of ZooKeeper's logback.xml, and a start that fails.
#[test]
fn the_file_has_its_own_layout() {
    let server = Server::start(
        Subject::Oxkeeper,
        &Options::usual().line("audit.enable", "true").line("auditlog.file", "zookeeper_audit.log").line("log.dir", "logs/deep"),
    );
    let mut talk = Conversation::begin(server.address());
    talk.connect("a");
    talk.ask("a", &request::create("/x", ""));
    let text = std::fs::read_to_string(server.directory.join("logs/deep/zookeeper_audit.log")).expect("the file");
    let line = text.lines().find(|line| line.contains("znode=/x\t")).unwrap_or_else(|| panic!("{text}"));
    let (time, rest) = line.split_at(23);
    assert!(
        time.chars()
            .enumerate()
            .all(|(at, character)| character == "0000-00-00 00:00:00,000".chars().nth(at).unwrap() || character.is_ascii_digit())
    );
    assert!(rest.starts_with(" INFO o.a.z.a.Slf4jAuditLogger: session=0x"), "{line}");
    assert!(!std::fs::read_to_string(server.log_path()).expect("a log").contains("operation=create"), "it is in the log as well");

    let directory = oxkeeper_compat_tests::subject::TemporaryDirectory::new();
    let taken = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let port = taken.local_addr().expect("bound").port().to_string();
    let options = Options::usual().line("audit.enable", "true").line("clientPort", &port);
    let mut server = Server::spawn_in(Subject::Oxkeeper, &options, &directory.path);
    assert_eq!(server.wait_for_exit().code(), Some(1));
    assert!(server.log_tail().contains("operation=serverStart\tresult=failure"), "{}", server.log_tail());
}
