//! The scripts: the original zkServer.sh, started with Java 3.9.5, beside ours. What they print and how they end is
//! compared; process numbers, paths and times are masked. zkEnv.sh of the original is replaced by one that names the
//! judge's jars. The originals are those of Debian's 3.8 and, where a later release of Debian could be asked for them
//! (`cargo xtask prerequisites`), of 3.9.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use oxkeeper_compat_tests::subject::{
    Subject, TemporaryDirectory, class_path, four_letter, free_port, oxkeeper_program, target_directory, workspace,
};
use oxkeeper_compat_tests::tools::{Outcome, first_difference, run};

/// The original scripts that are here, by release, the newest last.
fn originals() -> Vec<PathBuf> {
    let later = target_directory().join("compat-scripts/3.9");
    let mut found = vec![PathBuf::from("/usr/share/zookeeper/bin")];
    if later.join("zkServer.sh").exists() {
        found.push(later);
    } else {
        println!("zkServer.sh of 3.9 is not here: 3.8's alone is the judge");
        assert_ne!(std::env::var("OXKEEPER_CASES").as_deref(), Ok("all"), "the long form needs both: cargo xtask prerequisites");
    }
    found
}

fn newest_original() -> PathBuf {
    originals().pop().expect("there is one")
}

/// Those that a test compares with: the newest, or all if there is time.
fn judges() -> Vec<PathBuf> {
    if std::env::var("OXKEEPER_CASES").as_deref() == Ok("all") { originals() } else { vec![newest_original()] }
}

/// An installation below a directory of its own: `bin`, `conf`, `data`, `logs`.
struct Place {
    subject: Subject,
    home: PathBuf,
    port: u16,
}

impl Place {
    fn new(subject: Subject, home: PathBuf) -> Place {
        Place::with(subject, &newest_original(), home)
    }

    /// With the scripts of this directory, if they are not ours.
    fn with(subject: Subject, originals: &Path, home: PathBuf) -> Place {
        for name in ["bin", "conf", "data"] {
            fs::create_dir_all(home.join(name)).expect("writable");
        }
        let place = Place { subject, home, port: free_port() };
        if subject == Subject::Oxkeeper {
            for entry in fs::read_dir(workspace().join("packaging/bin")).expect("our scripts").flatten() {
                fs::copy(entry.path(), place.home.join("bin").join(entry.file_name())).expect("copy");
            }
        } else {
            for name in ["zkServer.sh", "zkCleanup.sh"] {
                fs::copy(originals.join(name), place.home.join("bin").join(name)).expect("the original's scripts");
            }
            let environment = format!(
                "ZOOCFGDIR=\"${{ZOOCFGDIR:-$ZOOBINDIR/../conf}}\"\n\
                 if [ \"$1\" = --config ] && [ $# -gt 1 ]; then ZOOCFGDIR=$2; shift 2; fi\n\
                 ZOOCFG=\"$ZOOCFGDIR/${{ZOOCFG:-zoo.cfg}}\"\n\
                 ZOO_LOG_DIR=\"${{ZOO_LOG_DIR:-$ZOOBINDIR/../logs}}\"\n\
                 JAVA=java\nCLASSPATH='{}'\ncygwin=false\n\
                 export CLIENT_JVMFLAGS SERVER_JVMFLAGS=\"-XX:TieredStopAtLevel=1 -XX:+UseSerialGC $SERVER_JVMFLAGS\"\n",
                class_path(subject)
            );
            fs::write(place.home.join("bin/zkEnv.sh"), environment).expect("writable");
        }
        place.configure("zoo.cfg", "");
        place
    }

    fn configure(&self, name: &str, more: &str) {
        let text = format!(
            "tickTime=500\ndataDir={}\nclientPort={}\nclientPortAddress=127.0.0.1\nadmin.enableServer=false\nforceSync=no\n{more}",
            self.home.join("data").display(),
            self.port
        );
        fs::write(self.home.join("conf").join(name), text).expect("writable");
    }

    fn script(&self, name: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Outcome {
        let mut command = Command::new("bash");
        command.arg(self.home.join("bin").join(name)).args(arguments);
        command.env_remove("ZOOCFGDIR").env_remove("ZOO_LOG_DIR").env_remove("JVMFLAGS").env_remove("SERVER_JVMFLAGS");
        command.env("OXKEEPER", oxkeeper_program()).env("USER", "tester").env("HOSTNAME", "host").envs(variables.iter().copied());
        run(command, &self.home, "")
    }

    /// Output with what differs from place to place masked.
    fn masked(&self, text: &str) -> String {
        let text = text.replace(&self.home.display().to_string(), "HOME").replace(&self.port.to_string(), "PORT");
        match self.process_id() {
            Some(id) => text.replace(&id.to_string(), "PID"),
            None => text,
        }
    }

    fn process_id_file(&self) -> PathBuf {
        self.home.join("data/zookeeper_server.pid")
    }

    fn process_id(&self) -> Option<u32> {
        fs::read_to_string(self.process_id_file()).ok()?.parse().ok()
    }

    fn wait_until_serving(&self) {
        let start = Instant::now();
        while !four_letter((Ipv4Addr::LOCALHOST, self.port).into(), b"srvr").is_ok_and(|text| text.contains("Mode:")) {
            assert!(start.elapsed() < Duration::from_secs(60), "{} does not serve: {}", self.subject, self.output_file());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn wait_until_gone(&self, id: u32) {
        let start = Instant::now();
        while Path::new(&format!("/proc/{id}/exe")).exists() {
            assert!(start.elapsed() < Duration::from_secs(60), "process {id} does not end");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn output_file(&self) -> String {
        fs::read_to_string(self.home.join("logs/zookeeper-tester-server-host.out")).unwrap_or_default()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(id) = self.process_id() {
            let _ = Command::new("kill").args(["-9", &id.to_string()]).output();
        }
    }
}

fn places(directory: &Path, originals: &Path) -> [Place; 2] {
    [(Subject::Java39, "java"), (Subject::Oxkeeper, "ours")].map(|(subject, name)| Place::with(subject, originals, directory.join(name)))
}

struct Report(String);

impl Report {
    /// Runs a script on both and compares exit code, output and what goes to standard error.
    fn same(&mut self, places: &[Place; 2], name: &str, arguments: &[&str], variables: &[(&str, &str)]) -> [Outcome; 2] {
        let outcomes = [0, 1].map(|side| places[side].script(name, arguments, variables));
        let what = format!("== {name} {arguments:?} {variables:?}");
        if outcomes[0].code != outcomes[1].code {
            self.0 += &format!("{what}: exit code {:?}, ours {:?}\n{:?}\n", outcomes[0].code, outcomes[1].code, outcomes[1]);
        }
        for part in [|outcome: &Outcome| outcome.output.clone(), |outcome: &Outcome| without_shell(&outcome.errors)] {
            let [theirs, ours] = [0, 1].map(|side| places[side].masked(&part(&outcomes[side])));
            if let Some(difference) = first_difference(&theirs, &ours) {
                self.0 += &format!("{what}: {difference}\n");
            }
        }
        outcomes
    }

    fn end(self) {
        assert!(self.0.is_empty(), "\n{}", self.0);
    }
}

/// What bash itself says names the script and the line.
fn without_shell(text: &str) -> String {
    text.lines().filter(|line| !line.contains(": line ")).map(|line| format!("{line}\n")).collect()
}

#[test]
fn a_server_is_started_looked_at_and_stopped_alike() {
    let directory = TemporaryDirectory::new();
    let places = places(&directory.path, &newest_original());
    let mut report = Report(String::new());
    report.same(&places, "zkServer.sh", &["status"], &[]);
    report.same(&places, "zkServer.sh", &["stop"], &[]);
    let started = report.same(&places, "zkServer.sh", &["start"], &[]);
    assert!(started[0].output.contains("STARTED"), "{started:?}");
    places.iter().for_each(Place::wait_until_serving);
    let status = report.same(&places, "zkServer.sh", &["status"], &[]);
    assert!(status[1].output.contains("Mode: standalone"), "{status:?}");
    let again = report.same(&places, "zkServer.sh", &["start"], &[]);
    assert_eq!(again[1].code, Some(1));
    for place in &places {
        let text = fs::read_to_string(place.process_id_file()).expect("written");
        assert!(text.bytes().all(|byte| byte.is_ascii_digit()), "no newline: {text:?}");
    }
    let before = [0, 1].map(|side| places[side].process_id().expect("running"));
    report.same(&places, "zkServer.sh", &["restart"], &[]);
    places.iter().zip(before).for_each(|(place, id)| place.wait_until_gone(id));
    places.iter().for_each(Place::wait_until_serving);
    let running = [0, 1].map(|side| places[side].process_id().expect("running"));
    report.same(&places, "zkServer.sh", &["stop"], &[]);
    places.iter().zip(running).for_each(|(place, id)| place.wait_until_gone(id));
    assert!(places.iter().all(|place| !place.process_id_file().exists()));
    assert!(places.iter().all(|place| place.home.join("logs/zookeeper-tester-server-host.out").exists()));
    assert!(places[1].output_file().contains("binding to port"), "the log goes where it always went");
    report.end();
}

/// A server that answers every connection with one text.
fn answering(port: u16, text: &'static str) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("free");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut stream = stream;
            let mut word = [0; 4];
            let _ = stream.read_exact(&mut word);
            let _ = stream.write_all(text.as_bytes());
        }
    });
}

#[test]
fn roles_are_told_alike() {
    originals().iter().for_each(|originals| tell_roles(originals));
}

fn tell_roles(originals: &Path) {
    let directory = TemporaryDirectory::new();
    let mut places = places(&directory.path, originals);
    let mut report = Report(String::new());
    for (text, code) in [
        ("Zookeeper version: 3.9.5\nMode: leader\nNode count: 5\n", 0),
        ("Mode: follower\n", 0),
        ("Mode: observer\n", 0),
        ("Mode: read-only\n", 0),
        ("This ZooKeeper instance is not currently serving requests\n", 1),
        ("srvr is not executed because it is not in the whitelist.\n", 1),
        ("", 1),
    ] {
        for place in &mut places {
            place.port = free_port();
            place.configure("zoo.cfg", "");
            answering(place.port, text);
        }
        let status = report.same(&places, "zkServer.sh", &["status"], &[]);
        assert_eq!(status[1].code, Some(code), "{text:?}: {status:?}");
    }
    report.end();
}

#[test]
fn words_configurations_and_variables_are_taken_alike() {
    judges().iter().for_each(|originals| take_words(originals));
}

fn take_words(originals: &Path) {
    let directory = TemporaryDirectory::new();
    let places = places(&directory.path, originals);
    let mut report = Report(String::new());
    for place in &places {
        place.configure("other.cfg", "");
        fs::create_dir(place.home.join("elsewhere")).expect("writable");
        fs::copy(place.home.join("conf/zoo.cfg"), place.home.join("elsewhere/zoo.cfg")).expect("copy");
        let member = |name: &str, text: &str| {
            let text = format!("dataDir={}\n{text}", place.home.join("member").display());
            fs::write(place.home.join("conf").join(name), text).expect("writable");
        };
        fs::create_dir_all(place.home.join("member")).expect("writable");
        fs::write(place.home.join("member/myid"), "2").expect("writable");
        let port = place.port;
        member("static.cfg", &format!("server.1=h:1:2;9\nserver.2=127.0.0.1:1:2;127.0.0.1:{port}\n"));
        member("bare.cfg", &format!("server.2=127.0.0.1:1:2;{port}\n"));
        member("six.cfg", &format!("server.2=127.0.0.1:1:2;[::1]:{port}\n"));
        let dynamic = place.home.join("conf/dynamic");
        fs::write(&dynamic, format!("server.2=127.0.0.1:1:2:participant;127.0.0.1:{port}\n")).expect("writable");
        member("dynamic.cfg", &format!("dynamicConfigFile={}\n", dynamic.display()));
        member("nothing.cfg", "server.2=127.0.0.1:1:2\n");
        member("blank.cfg", &format!("clientPort = {port}\nserver.2=127.0.0.1:1:2;{port}\n"));
    }
    type Words = &'static [&'static str];
    type Variables = &'static [(&'static str, &'static str)];
    let cases: &[(Words, Variables)] = &[
        (&[], &[]),
        (&["nonsense"], &[]),
        (&["--config", "elsewhere"], &[]),
        (&["--config", "elsewhere", "status"], &[]),
        (&["--config", "nowhere", "status"], &[]),
        (&["status", "other.cfg"], &[]),
        (&["status", "./elsewhere/zoo.cfg"], &[]),
        (&["status", "missing.cfg"], &[]),
        (&["status", "static.cfg"], &[]),
        (&["status", "bare.cfg"], &[]),
        (&["status", "six.cfg"], &[]),
        (&["status", "dynamic.cfg"], &[]),
        (&["status", "nothing.cfg"], &[]),
        (&["status", "blank.cfg"], &[]),
        (&["status"], &[("ZOOCFG", "other.cfg")]),
        (&["status"], &[("JMXDISABLE", "true")]),
        (&["status"], &[("JMXDISABLE", "false")]),
        (&["stop"], &[("ZOOPIDFILE", "run/deep/pid")]),
        (&["start"], &[("ZOO_DATADIR_AUTOCREATE_DISABLE", "1")]),
        (&["start-foreground"], &[("ZOO_DATADIR_AUTOCREATE_DISABLE", "1")]),
    ];
    for (arguments, variables) in cases {
        report.same(&places, "zkServer.sh", arguments, variables);
    }
    // JMX is announced as it always was; that there is none is one line more.
    let port = [("JMXPORT", "9999"), ("JMXHOSTNAME", "h")];
    let [theirs, ours] = [0, 1].map(|side| places[side].script("zkServer.sh", &["stop"], &port));
    let missing: Vec<&str> = theirs.errors.lines().filter(|line| line.starts_with("ZooKeeper") && !ours.errors.contains(line)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    // The version is 3.9.5; the build is another.
    let versions = [0, 1].map(|side| places[side].script("zkServer.sh", &["version"], &[]));
    for version in &versions {
        assert!(version.output.contains("Apache ZooKeeper, version 3.9.5 20"), "{version:?}");
    }
    // The command is ours; it takes -D words and names the configuration and the log.
    let printed = places[1].script("zkServer.sh", &["print-cmd"], &[("SERVER_JVMFLAGS", "-Da=b"), ("JVMFLAGS", "-Dc=d")]);
    for wanted in [
        "-Da=b",
        "-Dc=d",
        "QuorumPeerMain",
        "conf/zoo.cfg\"",
        "-Dzookeeper.log.dir=",
        "zookeeper-tester-server-host.out\" 2>&1 < /dev/null",
    ] {
        assert!(printed.output.contains(wanted), "{wanted}: {printed:?}");
    }
    report.end();
}

#[test]
fn a_server_in_the_foreground_takes_properties_and_overlooks_flags_of_the_jvm() {
    let directory = TemporaryDirectory::new();
    let place = Place::new(Subject::Oxkeeper, directory.path.join("ours"));
    let variables =
        [("SERVER_JVMFLAGS", "-Xmx1g -XX:+UseG1GC -Dzookeeper.maxCnxns=7"), ("JVMFLAGS", "-Dzookeeper.4lw.commands.whitelist=*")];
    let started = place.script("zkServer.sh", &["start"], &variables);
    assert!(started.output.contains("STARTED"), "{started:?}");
    place.wait_until_serving();
    let answer = four_letter((Ipv4Addr::LOCALHOST, place.port).into(), b"ruok").expect("an answer");
    assert_eq!(answer, "imok");
    let output = place.output_file();
    assert!(output.contains("-Xmx1g is a flag of the JVM; ignored"), "{output}");
    assert_eq!(output.matches("-Xmx1g").count(), 1, "once: {output}");
    // The shell's own process is replaced: the number in the file is the server's.
    let id = place.process_id().expect("written");
    let program = fs::read_link(format!("/proc/{id}/exe")).expect("running");
    assert_eq!(program, fs::canonicalize(oxkeeper_program()).expect("there"));
}

/// Two servers on one machine, as tutorials have them: numbers 0 and 1, a configuration each.
#[test]
fn a_cluster_of_two_on_one_machine_elects_and_tells_its_roles() {
    let directory = TemporaryDirectory::new();
    let place = Place::new(Subject::Oxkeeper, directory.path.join("ours"));
    let clients = [free_port(), free_port()];
    let members: String = (0..2).map(|id| format!("server.{id}=127.0.0.1:{}:{}\n", free_port(), free_port())).collect();
    for (id, port) in clients.iter().enumerate() {
        let data = place.home.join(format!("data_{id}"));
        fs::create_dir(&data).expect("writable");
        // `echo 0 > myid`
        fs::write(data.join("myid"), format!("{id}\n")).expect("writable");
        let text = format!(
            "tickTime=500\ninitLimit=10\nsyncLimit=5\ndataDir={}\nclientPort={port}\nadmin.enableServer=false\nforceSync=no\n{members}",
            data.display()
        );
        fs::write(place.home.join(format!("conf/zoo_{id}.cfg")), text).expect("writable");
    }
    /// Kills what is still there in the end.
    struct Members<'a>(&'a Path);
    impl Drop for Members<'_> {
        fn drop(&mut self) {
            for id in 0..2 {
                if let Ok(process) = fs::read_to_string(self.0.join(format!("data_{id}/zookeeper_server.pid"))) {
                    let _ = Command::new("kill").args(["-9", &process]).output();
                }
            }
        }
    }
    let _members = Members(&place.home);
    let script = |word: &str, id: usize| place.script("zkServer.sh", &[word, &format!("./conf/zoo_{id}.cfg")], &[]);
    for id in 0..2 {
        let started = script("start", id);
        assert!(started.output.contains("STARTED"), "{started:?}");
    }
    let start = Instant::now();
    loop {
        let roles = [0, 1].map(|id| script("status", id));
        let count = |role: &str| roles.iter().filter(|status| status.output.contains(&format!("Mode: {role}\n"))).count();
        if count("leader") == 1 && count("follower") == 1 {
            assert!(roles.iter().all(|status| status.code == Some(0)), "{roles:?}");
            break;
        }
        assert!(start.elapsed() < Duration::from_secs(60), "no leader and follower: {roles:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
    // One of two is no quorum: it says that it does not serve.
    assert!(script("stop", 0).output.contains("STOPPED"));
    let start = Instant::now();
    while script("status", 1).code == Some(0) {
        assert!(start.elapsed() < Duration::from_secs(60), "one of two goes on serving");
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(script("stop", 1).output.contains("STOPPED"));
}

#[test]
fn a_start_that_fails_says_so() {
    let directory = TemporaryDirectory::new();
    let place = Place::new(Subject::Oxkeeper, directory.path.join("ours"));
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, place.port)).expect("free");
    let failed = place.script("zkServer.sh", &["start"], &[]);
    assert_eq!(failed.code, Some(1), "{failed:?}");
    assert!(failed.output.contains("FAILED TO START") && failed.errors.contains("cannot bind"), "{failed:?}");
    drop(taken);
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, place.port)).expect("free");
    let status = place.script("zkServer.sh", &["status"], &[]);
    assert!(status.code == Some(1) && status.output.contains("Error contacting service. It is probably not running."), "{status:?}");
    drop(silent);
    let no_program = place.script("zkServer.sh", &["status"], &[("OXKEEPER", "/nowhere/oxkeeper")]);
    assert!(no_program.code == Some(1) && no_program.errors.contains("set OXKEEPER"), "{no_program:?}");
}

#[test]
fn data_directories_are_initialised_and_cleaned() {
    let directory = TemporaryDirectory::new();
    let place = Place::new(Subject::Oxkeeper, directory.path.join("ours"));
    let data = place.home.join("data");
    let initialize = |arguments: &[&str]| place.script("zkServer-initialize.sh", arguments, &[]);
    for (arguments, code, output) in [
        (&["--myid=7"][..], 0, "Using myid of 7\n".to_owned()),
        (&[], 1, format!("ZooKeeper data directory already exists at {} (or use --force to force re-initialization)\n", data.display())),
        (&["--force", "--myid", "8"], 0, "Force enabled, data/txnlog directories will be re-initialized\nUsing myid of 8\n".to_owned()),
        (&["--configfile=/nowhere"], 1, "Unable to find config file at /nowhere\n".to_owned()),
        (
            &["--force"],
            0,
            format!(
                "Force enabled, data/txnlog directories will be re-initialized\nNo myid provided, be sure to specify it in {}/myid if using non-standalone\n",
                data.display()
            ),
        ),
    ] {
        let outcome = initialize(arguments);
        assert_eq!((outcome.code, outcome.output.as_str()), (Some(code), output.as_str()), "{arguments:?} {}", outcome.errors);
        if arguments.contains(&"--myid=7") {
            assert_eq!(fs::read_to_string(data.join("myid")).expect("written"), "7\n");
            assert!(data.join("initialize").exists() && data.join("version-2").is_dir());
            fs::write(data.join("version-2/log.1"), "old").expect("writable");
        }
    }
    assert!(!data.join("myid").exists() && !data.join("version-2/log.1").exists());
    for wrong in [&["-h"][..], &["--help"], &["--nonsense"]] {
        let outcome = initialize(wrong);
        assert!(outcome.code == Some(1) && outcome.output.contains("usage: "), "{wrong:?}: {outcome:?}");
    }
    // A server that runs keeps its directory.
    let started = place.script("zkServer.sh", &["start"], &[]);
    assert!(started.output.contains("STARTED"), "{started:?}");
    place.wait_until_serving();
    let refused = initialize(&["--force"]);
    assert!(refused.code == Some(1) && refused.output.contains("in use by a running server"), "{refused:?}");
    // Cleaning beside it is fine.
    let cleaned = place.script("zkCleanup.sh", &["-n", "3"], &[]);
    assert_eq!((cleaned.code, cleaned.output.as_str()), (Some(0), ""), "{cleaned:?}");
    let wrong = place.script("zkCleanup.sh", &["-n", "1"], &[]);
    assert!(wrong.code == Some(1) && wrong.errors.contains("count should be greater than or equal to 3"), "{wrong:?}");
}

#[test]
fn directories_that_cannot_be_used_are_told_before_a_start() {
    let directory = TemporaryDirectory::new();
    let place = Place::new(Subject::Oxkeeper, directory.path.join("ours"));
    let check = || {
        let mut command = Command::new(oxkeeper_program());
        command.arg("preflight").arg(place.home.join("conf/zoo.cfg"));
        run(command, &place.home, "")
    };
    let empty = check();
    assert!(empty.code == Some(0) && empty.output.contains("does not exist: a start makes it"), "{empty:?}");
    let started = place.script("zkServer.sh", &["start"], &[]);
    assert!(started.output.contains("STARTED"), "{started:?}");
    place.wait_until_serving();
    let beside = check();
    assert!(beside.code == Some(0) && beside.output.contains("is in use by a running server"), "{beside:?}");
    let id = place.process_id().expect("running");
    place.script("zkServer.sh", &["stop"], &[]);
    place.wait_until_gone(id);
    let snapshot = place.home.join("data/version-2/snapshot.0");
    let healthy = check();
    assert!(healthy.code == Some(0) && healthy.output.contains("snapshot.0: 4 nodes"), "{healthy:?}");
    let mut bytes = fs::read(&snapshot).expect("there");
    bytes[60] ^= 1;
    fs::write(&snapshot, bytes).expect("writable");
    let damaged = check();
    assert!(damaged.code == Some(1) && damaged.output.contains("PROBLEM  no snapshot can be used"), "{damaged:?}");
    place.configure("zoo.cfg", "tickTime=abc\n");
    assert_eq!(check().code, Some(2));
    let missing = run_without(&place.home.join("conf/none.cfg"));
    assert_eq!(missing.code, Some(2), "{missing:?}");
}

fn run_without(config: &Path) -> Outcome {
    let mut command = Command::new(oxkeeper_program());
    command.arg("preflight").arg(config);
    run(command, Path::new("/"), "")
}
