//! The server as a process: how it starts, how it ends, and with which exit code when it cannot start.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Duration;

use oxkeeper_compat_tests::conversation::Conversation;
use oxkeeper_compat_tests::directory::dump;
use oxkeeper_compat_tests::load::{connect, header};
use oxkeeper_compat_tests::subject::{Options, Server, Subject, TemporaryDirectory, free_port, oxkeeper_program};
use oxkeeper_compat_tests::wire::request;

/// A start that must fail: what is changed before it.
struct Failure {
    name: &'static str,
    options: fn() -> Options,
    /// Changes the directory, or the text of zoo.cfg.
    prepare: fn(&Server),
    /// Our exit code where it is not Java's, with the reason.
    ours: Option<(i32, &'static str)>,
}

const fn configured(name: &'static str, options: fn() -> Options) -> Failure {
    Failure { name, options, prepare: |_| {}, ours: None }
}

const FAILURES: &[Failure] = &[
    configured("tickTime is no number", || Options::default().line("tickTime", "abc")),
    configured("clientPort is no number", || Options::default().line("clientPort", "abc")),
    configured("clientPort out of range", || Options::default().line("clientPort", "70000")),
    configured("minSessionTimeout above maxSessionTimeout", || {
        Options::default().line("minSessionTimeout", "9000").line("maxSessionTimeout", "4000")
    }),
    configured("a boolean that is none", || Options::default().line("reconfigEnabled", "maybe")),
    configured("an address that is none", || Options::default().line("clientPortAddress", "no.such.host.invalid")),
    configured("snapRetainCount is no number", || Options::default().line("autopurge.snapRetainCount", "x")),
    configured("standaloneEnabled is no boolean", || Options::default().line("standaloneEnabled", "x")),
    Failure {
        name: "no zoo.cfg",
        options: Options::default,
        prepare: |server| fs::remove_file(server.configuration()).expect("removable"),
        ours: None,
    },
    Failure {
        name: "zoo.cfg without dataDir",
        options: Options::default,
        prepare: |server| fs::write(server.configuration(), "clientPort=1\ntickTime=500\n").expect("writable"),
        ours: None,
    },
    Failure {
        name: "zoo.cfg is a directory",
        options: Options::default,
        prepare: |server| {
            fs::remove_file(server.configuration()).expect("removable");
            fs::create_dir(server.configuration()).expect("writable");
        },
        ours: None,
    },
    Failure {
        name: "the data directory is a file",
        options: Options::default,
        prepare: |server| fs::write(server.data_directory(), "x").expect("writable"),
        ours: None,
    },
    Failure {
        name: "version-2 is a file",
        options: Options::default,
        prepare: |server| {
            fs::create_dir(server.data_directory()).expect("writable");
            fs::write(server.data_directory().join("version-2"), "x").expect("writable");
        },
        ours: Some((3, "a data directory that cannot be used, which is what 3 means")),
    },
    Failure {
        name: "no directory, and none to be made",
        options: || Options::default().property("zookeeper.datadir.autocreate", "false"),
        prepare: |_| {},
        ours: None,
    },
    Failure {
        name: "a snapshot that is none, and nothing else",
        options: Options::default,
        prepare: |server| {
            let directory = server.data_directory().join("version-2");
            fs::create_dir_all(&directory).expect("writable");
            fs::write(directory.join("snapshot.0"), "nonsense").expect("writable");
        },
        ours: None,
    },
];

fn fail(subject: Subject, failure: &Failure) -> (Option<i32>, String) {
    let directory = TemporaryDirectory::new();
    let mut server = Server::prepare(subject, &(failure.options)(), &directory.path);
    (failure.prepare)(&server);
    server.spawn();
    let status = server.wait_until_serving_or_ended();
    (status.and_then(|status| status.code()), server.log_tail())
}

fn compare_failures(subject: Subject) {
    let mut report = String::new();
    for failure in FAILURES {
        let (judged, _) = fail(Subject::Java39, failure);
        let (ended, log) = fail(subject, failure);
        let wanted = match failure.ours {
            Some((code, _)) if subject == Subject::Oxkeeper => Some(code),
            _ => judged,
        };
        if ended != wanted {
            report += &format!("== {}: exit code {ended:?}, wanted {wanted:?} (Java {judged:?})\n{log}\n", failure.name);
        }
        if subject == Subject::Oxkeeper && ended.is_some() && log.trim().is_empty() {
            report += &format!("== {}: ended without a word\n", failure.name);
        }
    }
    assert!(report.is_empty(), "\n{report}");
}

#[test]
#[ignore = "waits for cargo xtask soak: Java against itself"]
fn java_39_fails_like_itself() {
    compare_failures(Subject::Java39);
}

#[test]
fn oxkeeper_fails_like_java_39() {
    compare_failures(Subject::Oxkeeper);
}

#[test]
fn taken_port_ends_with_the_code_of_java() {
    let codes = [Subject::Java39, Subject::Oxkeeper].map(|subject| {
        let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = taken.local_addr().expect("bound").port();
        let directory = TemporaryDirectory::new();
        let options = Options::default().line("clientPort", &port.to_string());
        let mut server = Server::spawn_in(subject, &options, &directory.path);
        let code = server.wait_for_exit().code();
        let log = server.log_tail();
        assert!(subject != Subject::Oxkeeper || log.contains(&port.to_string()), "the port is not named: {log}");
        code
    });
    assert_eq!(codes[0], codes[1]);
}

#[test]
fn oxkeeper_ends_with_0_on_sigterm_and_keeps_everything() {
    let mut server = Server::start(Subject::Oxkeeper, &Options::usual());
    let mut talk = Conversation::begin(server.address());
    talk.connect("a");
    let creates: Vec<_> = (0..100).map(|at| request::create(&format!("/n{at}"), "data")).collect();
    let replies = talk.pipeline("a", &creates);
    assert!(replies.iter().flatten().all(|reply| reply.header.error == 0) && replies.len() == 100);
    let before = dump(server.address());
    let status = server.terminate();
    assert_eq!(status.code(), Some(0), "{}", server.log_tail());
    server.restart();
    assert_eq!(before, dump(server.address()));
}

#[test]
fn oxkeeper_keeps_everything_over_kill_9() {
    let options = Options::usual().line("forceSync", "yes");
    let mut server = Server::start(Subject::Oxkeeper, &options);
    for round in 0..5 {
        let mut talk = Conversation::begin(server.address());
        talk.connect("a");
        let creates: Vec<_> = (0..50).map(|at| request::create(&format!("/n{round}-{at}"), "data")).collect();
        talk.pipeline("a", &creates);
        let before = dump(server.address());
        assert!(before.len() > 150 * (round + 1));
        server.kill();
        server.restart();
        assert_eq!(before, dump(server.address()));
    }
}

/// A stopped server hears nobody. When it goes on, it must not take that for the silence of its clients.
#[test]
fn oxkeeper_ends_no_session_because_it_stood_still_itself() {
    let server = Server::start(Subject::Oxkeeper, &Options::usual().line("tickTime", "500"));
    let (mut connection, _) = connect(server.address(), None, 4000).expect("a session");
    let signal = |name: &str| {
        let status = Command::new("kill").args([name, &server.process_id().to_string()]).status().expect("kill runs");
        assert!(status.success(), "kill {name}");
    };
    signal("-STOP");
    std::thread::sleep(Duration::from_secs(6));
    signal("-CONT");
    // Time enough for a server that ends sessions to do so.
    std::thread::sleep(Duration::from_millis(300));
    connection.send(&request::create("/after", "data").frame(1));
    let reply = connection.receive(Duration::from_secs(10)).expect("an answer");
    let (xid, _, error) = header(&reply);
    assert_eq!((xid, error), (1, 0), "{}", server.log_tail());
    assert!(server.log_tail().contains("Nothing was heard or done for"), "{}", server.log_tail());
}

#[test]
fn oxkeeper_refuses_a_directory_in_use() {
    let directory = TemporaryDirectory::new();
    let first = Server::start_in(Subject::Oxkeeper, &Options::usual(), &directory.path);
    let other = TemporaryDirectory::new();
    let options = Options::usual().line("dataDir", &first.data_directory().display().to_string());
    let mut second = Server::spawn_in(Subject::Oxkeeper, &options, &other.path);
    let code = second.wait_for_exit().code();
    assert!(code.is_some_and(|code| code != 0), "{}", second.log_tail());
    assert!(!dump(first.address()).is_empty(), "the first one goes on");
}

/// `<port> <dataDir> [tickTime] [maxClientCnxns]`, as Java takes them.
#[test]
fn port_and_directory_as_arguments() {
    for subject in [Subject::Java39, Subject::Oxkeeper] {
        for more in [&[][..], &["700"], &["700", "5"]] {
            let directory = TemporaryDirectory::new();
            let options = Options::default().property("zookeeper.admin.enableServer", "false");
            let mut server = Server::prepare(subject, &options, &directory.path);
            let port = free_port();
            server.port = port;
            let data = directory.path.join("other");
            let mut arguments = vec![port.to_string(), data.display().to_string()];
            arguments.extend(more.iter().map(|more| (*more).to_owned()));
            server.spawn_with(&arguments);
            server.wait_until_serving();
            assert!(data.join("version-2").exists());
        }
    }
}

#[test]
fn an_unreadable_data_directory_ends_the_start() {
    // Root may read anything: as another user only.
    let directory = TemporaryDirectory::new();
    let server = Server::prepare(Subject::Oxkeeper, &Options::usual(), &directory.path);
    fs::create_dir_all(server.data_directory()).expect("writable");
    fs::set_permissions(&directory.path, fs::Permissions::from_mode(0o755)).expect("permitted");
    fs::set_permissions(server.data_directory(), fs::Permissions::from_mode(0o000)).expect("permitted");
    let program = oxkeeper_program();
    let copy = directory.path.join("oxkeeper");
    fs::copy(program, &copy).expect("copy");
    let output = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(&copy)
        .arg(server.configuration())
        .current_dir("/")
        .output()
        .expect("setpriv runs");
    let code = output.status.code();
    assert_eq!(code, Some(3), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn version_is_told() {
    let output = Command::new(oxkeeper_program()).arg("--version").output().expect("runs");
    assert!(output.status.success());
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.to_lowercase().contains("oxkeeper"), "{text}");
}
