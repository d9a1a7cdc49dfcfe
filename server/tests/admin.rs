//! What a member of an ensemble answers to the AdminServer's commands, against answers of ZooKeeper 3.9.5 (see
//! `vectors/admin/capture.sh`). Commands of a standalone server are compared live in compat-tests.

use std::path::Path;

use oxkeeper_proto::Zxid;
use oxkeeper_server::admin::commands::{AdminCommand, AdminView, MemberView, ObserverView, QuorumView, answer, data, own_error};
use oxkeeper_server::four_letter::{MetricsView, Mode, ServerView, Statistics};
use oxkeeper_server::metrics::{GaugeValues, Metrics};
use oxkeeper_server::peers::links::Traffic;
use serde_json::Value;

fn member(sid: i64) -> MemberView {
    MemberView {
        sid,
        server_addresses: vec![format!("127.0.0.1:{}", 21880 + sid)],
        election_addresses: vec![format!("127.0.0.1:{}", 21890 + sid)],
        client_address: format!("127.0.0.1:{}", 21820 + sid),
        is_observer: false,
    }
}

fn quorum(my_id: i64) -> QuorumView {
    let port = |base: u16| vec![("127.0.0.1".to_owned(), base + my_id as u16)];
    QuorumView {
        my_id,
        is_leader: my_id == 2,
        leader_id: 2,
        leader_host: "127.0.0.1".to_owned(),
        zab_state: "broadcast".to_owned(),
        is_voting: my_id < 3,
        quorum_addresses: port(21880),
        election_addresses: port(21890),
        client_address: format!("127.0.0.1:{}", 21820 + my_id),
        voters: vec![member(1), member(2)],
        observers: Vec::new(),
    }
}

fn said(command: AdminCommand, quorum: &QuorumView, server: &ServerView<'_>) -> String {
    let view = AdminView {
        server,
        quorum: Some(quorum),
        initial_configuration: None,
        properties: &[],
        last_snapshot: None,
        uptime_ms: 0,
        monotonic_less_wall_ms: 0,
    };
    answer(command.name(), own_error(command, &view), None, |json| data(command, &view, json))
}

fn captured(role: &str, command: AdminCommand) -> String {
    let name = format!("tests/vectors/admin/3.9.5-{role}-{}.json", command.name());
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).expect("captured")
}

#[test]
fn members_answer_as_java() {
    for (role, my_id, zxid) in [("follower", 1, 0), ("leader", 2, 0x1_0000_0000), ("observer", 3, 0x1_0000_0000)] {
        let server = ServerView { statistics: Statistics { zxid: Zxid(zxid), ..Statistics::default() }, ..ServerView::default() };
        let quorum = quorum(my_id);
        for command in [AdminCommand::Leader, AdminCommand::VotingView] {
            assert_eq!(said(command, &quorum, &server), captured(role, command), "{role}");
        }
        // The order of an address's parts is that of Java's reflection, which no run promises to the next.
        let mine: Value = serde_json::from_str(&said(AdminCommand::ZabState, &quorum, &server)).expect("JSON");
        let theirs: Value = serde_json::from_str(&captured(role, AdminCommand::ZabState)).expect("JSON");
        assert_eq!(mine, theirs, "{role}");
    }
}

#[test]
fn a_leader_names_its_observers() {
    let theirs: Value = serde_json::from_str(&captured("leader", AdminCommand::Observers)).expect("JSON");
    let seen = &theirs["observers"][0];
    let number = |key: &str| seen[key].as_i64().expect("a number");
    let mut quorum = quorum(2);
    quorum.observers.push(ObserverView {
        remote_address: seen["remote_socket_address"].as_str().expect("a text").to_owned(),
        sid: 3,
        traffic: Traffic {
            established_ms: number("established"),
            queued: (0, 0),
            received: number("packets_received") as u64,
            sent: number("packets_sent") as u64,
            requests: 0,
            last_zxid: Zxid(number("last_zxid")),
        },
    });
    let mine = said(AdminCommand::Observers, &quorum, &ServerView::default());
    // Java counts its queue's bytes below zero: packets that never were in it are taken out.
    let size = number("queued_packets_size");
    assert_eq!(
        mine,
        captured("leader", AdminCommand::Observers).replace(&format!("\"queued_packets_size\" : {size}"), "\"queued_packets_size\" : 0")
    );
    for role in ["follower", "observer"] {
        let mine = said(AdminCommand::Observers, &QuorumView::default(), &ServerView::default());
        assert_eq!(mine, captured(role, AdminCommand::Observers));
    }
}

#[test]
fn a_leader_shows_its_proposals() {
    let (reading, gauges) = (Metrics::new().read(), GaugeValues::default());
    let metrics = MetricsView {
        reading: &reading,
        gauges: &gauges,
        families: None,
        peer_state: Some("leading - broadcast"),
        observer_master_id: None,
    };
    let statistics = Statistics { proposal_sizes: [-1; 3], ..Statistics::default() };
    let server = ServerView { mode: Mode::Leader, metrics: Some(metrics), statistics, ..ServerView::default() };
    let mine: Value = serde_json::from_str(&said(AdminCommand::ServerStats, &quorum(2), &server)).expect("JSON");
    let theirs: Value = serde_json::from_str(&captured("leader", AdminCommand::ServerStats)).expect("JSON");
    let keys = |value: &Value| value.as_object().expect("an object").keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&mine), keys(&theirs));
    assert_eq!(keys(&mine["server_stats"]), keys(&theirs["server_stats"]));
    for key in ["proposal_stats", "client_response", "error", "command", "read_only"] {
        assert_eq!(mine[key], theirs[key], "{key}");
    }
    assert_eq!(mine["server_stats"]["server_state"], theirs["server_stats"]["server_state"]);
    let monitor: Value = serde_json::from_str(&said(AdminCommand::Monitor, &quorum(2), &server)).expect("JSON");
    assert_eq!(monitor["peer_state"], Value::String("leading - broadcast".to_owned()));
}
