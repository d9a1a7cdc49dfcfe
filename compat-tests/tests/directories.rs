//! Directories in every state: made by one server, read by two.

use std::path::Path;
use std::process::Command;

use oxkeeper_compat_tests::directory::{EPOCH_STATES, MAY_START_WHERE_JAVA_REFUSES, Made, STATES, State, files, read};
use oxkeeper_compat_tests::subject::{Subject, TemporaryDirectory, class_path, copy_directory};

/// Lets `maker` make each state and compares what `judge` and `subject` read.
fn compare<'a>(maker: Subject, states: impl Iterator<Item = &'a State>, judge: Subject, subject: Subject) {
    let filter = std::env::var("OXKEEPER_STATE").unwrap_or_default();
    let mut report = String::new();
    let (mut compared, mut nodes) = (0, 0);
    for state in states.filter(|state| state.name.contains(&filter)) {
        let directory = TemporaryDirectory::new();
        let (made, copies) = (directory.path.join("made"), ["judge", "subject"].map(|name| directory.path.join(name)));
        std::fs::create_dir_all(&made).expect("writable");
        (state.make)(maker, &made);
        // zoo.cfg names the directory it was made in: each reader writes its own.
        copies.iter().for_each(|copy| copy_directory(&made, copy));
        let options = (state.read)();
        let [judged, ours] = [(judge, &copies[0]), (subject, &copies[1])].map(|(who, at)| read(who, &options, at));
        compared += 1;
        match (&judged.0, &ours.0) {
            (Made::Tree(theirs), Made::Tree(mine)) => {
                nodes += theirs.len() / 3;
                let differing: Vec<usize> = (0..theirs.len().max(mine.len())).filter(|&at| theirs.get(at) != mine.get(at)).collect();
                if !differing.is_empty() {
                    report += &format!("== {}: {} of {} lines differ\n", state.name, differing.len(), theirs.len());
                }
                for at in differing.into_iter().take(5) {
                    report += &format!("  {judge} {:?}\n  {subject} {:?}\n", theirs.get(at), mine.get(at));
                }
            }
            (Made::Refused(_), Made::Refused(_)) if judged.0 == ours.0 => {}
            (Made::Refused(_), Made::Tree(_)) if MAY_START_WHERE_JAVA_REFUSES.contains(&state.name) => {}
            // The same the other way round: a file that the test itself has cut.
            (Made::Tree(_), Made::Refused(_)) if judge == Subject::Oxkeeper && MAY_START_WHERE_JAVA_REFUSES.contains(&state.name) => {}
            (theirs, mine) => {
                let short = |made: &Made| match made {
                    Made::Tree(lines) => format!("a tree of {} nodes", lines.len() / 3),
                    Made::Refused(code) => format!("refused with {code:?}"),
                };
                report += &format!("== {}: {judge} {}, {subject} {}\n{}{}\n", state.name, short(theirs), short(mine), judged.1, ours.1);
            }
        }
    }
    println!("{compared} states made by {maker}, {nodes} nodes compared between {judge} and {subject}");
    assert!(compared > 0, "no state matches OXKEEPER_STATE");
    assert!(report.is_empty(), "\n{report}");
}

fn all() -> impl Iterator<Item = &'static State> {
    STATES.iter().chain(EPOCH_STATES)
}

/// Proves the method, and that every state is one that can be made.
#[test]
#[ignore = "waits for cargo xtask soak: Java against itself"]
fn java_39_reads_what_java_39_left() {
    compare(Subject::Java39, all(), Subject::Java39, Subject::Java39);
}

#[test]
fn oxkeeper_reads_what_java_39_left() {
    compare(Subject::Java39, all(), Subject::Java39, Subject::Oxkeeper);
}

#[test]
#[ignore = "waits for cargo xtask soak: the states of 3.8.0"]
fn oxkeeper_reads_what_java_38_left() {
    compare(Subject::Java38, all(), Subject::Java39, Subject::Oxkeeper);
}

#[test]
fn java_reads_what_oxkeeper_left() {
    compare(Subject::Oxkeeper, STATES.iter(), Subject::Oxkeeper, Subject::Java39);
}

#[test]
#[ignore = "waits for cargo xtask soak: read by 3.8.0"]
fn java_38_reads_what_oxkeeper_left() {
    compare(Subject::Oxkeeper, STATES.iter(), Subject::Oxkeeper, Subject::Java38);
}

/// Java's own tools read every file that `maker` leaves, and find nothing wrong.
fn tools_read(maker: Subject) {
    let mut looked_at = 0;
    for state in STATES.iter().filter(|state| state.name.contains("many snapshots") || state.name.contains("killed")) {
        let directory = TemporaryDirectory::new();
        (state.make)(maker, &directory.path);
        for log in files(&directory.path, "log.") {
            let text = tool("org.apache.zookeeper.server.persistence.TxnLogToolkit", &log);
            assert!(text.contains("EOF reached after"), "{}: {text}", log.display());
            assert!(!text.contains("CRC ERROR"), "{}: {text}", log.display());
            looked_at += 1;
        }
        for snapshot in files(&directory.path, "snapshot.") {
            let text = tool("org.apache.zookeeper.server.SnapshotFormatter", &snapshot);
            for wanted in ["ZNode Details (count=", "/zookeeper/quota", "Session Details", "Last zxid: 0x"] {
                assert!(text.contains(wanted), "{}: {text}", snapshot.display());
            }
            looked_at += 1;
        }
    }
    println!("{looked_at} files of {maker} read by Java's tools");
    assert!(looked_at > 4, "hardly any file");
}

fn tool(class: &str, file: &Path) -> String {
    let output = Command::new("java")
        .args(["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", &class_path(Subject::Java39), class])
        .arg(file)
        .output()
        .expect("java runs");
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{class} {}: {text}", file.display());
    text
}

#[test]
#[ignore = "waits for cargo xtask soak: Java against itself"]
fn java_tools_read_what_java_left() {
    tools_read(Subject::Java39);
}

#[test]
fn java_tools_read_what_oxkeeper_left() {
    tools_read(Subject::Oxkeeper);
}
