//! The plain operations on nodes: delete, setData, the reads, sync, ephemerals, counts, and what a fresh tree holds.

use super::{Script, Setup};
use crate::conversation::Conversation;
use crate::wire::{op, open, request};

pub const SCRIPTS: &[Script] = &[
    Script::new("nodes: a fresh tree", Setup::Fresh, fresh),
    Script::new("nodes: the golden conversation", Setup::Fresh, golden),
    Script::new("nodes: delete", Setup::Usual, delete),
    Script::new("nodes: setData", Setup::Usual, set_data),
    Script::new("nodes: reads", Setup::Usual, reads),
    Script::new("nodes: many children", Setup::Usual, many_children),
    Script::new("nodes: getEphemerals", Setup::Usual, ephemerals),
    Script::new("nodes: getAllChildrenNumber", Setup::Fresh, all_children),
    Script::new("nodes: sync", Setup::Usual, sync),
    Script::new("nodes: pipelined", Setup::Usual, pipelined),
];

const READS: [i32; 4] = [op::EXISTS, op::DATA, op::CHILDREN, op::CHILDREN2];

fn fresh(talk: &mut Conversation) {
    talk.connect("a");
    for path in ["/", "", "/zookeeper", "/zookeeper/quota", "/zookeeper/config"] {
        for code in READS {
            talk.ask("a", &request::read(code, path, false));
        }
        talk.ask("a", &request::path(op::ACL, path));
        talk.ask("a", &request::path(op::ALL_CHILDREN_NUMBER, path));
    }
    talk.note("the first nodes");
    talk.ask("a", &request::create_flags("/", 2));
    talk.ask("a", &request::create_flags("/s-", 2));
    talk.ask("a", &request::create2("/a", "x"));
    talk.ask("a", &request::read(op::CHILDREN2, "/", false));
    talk.ask("a", &request::delete("/a", -1));
    talk.ask("a", &request::read(op::CHILDREN2, "/", false));
}

fn golden(talk: &mut Conversation) {
    talk.connect("a");
    for one in [
        request::create("/a", "hello"),
        request::create2("/a/b", "x"),
        request::create_flags("/a/s-", 2),
        request::create_as(op::CREATE2, "/a/s-", None, &open(), 3),
        request::read(op::DATA, "/a/s-0000000002", false),
        request::set_data("/a", Some(b"w"), 0),
        request::set_data("/a", Some(b"w"), 0),
        request::delete("/a", -1),
        request::delete("/nope", -1),
        request::read(op::EXISTS, "/nope", false),
        request::path(op::SYNC, "/a"),
        request::bare(op::WHO_AM_I),
        request::add_watch("/a", 1),
        request::multi(op::MULTI, &[]),
        request::multi(op::MULTI, &[request::create("/m", ""), request::delete("/nope", -1), request::create("/m2", "")]),
    ] {
        talk.ask("a", &one);
    }
}

fn delete(talk: &mut Conversation) {
    talk.connect("a");
    talk.ask("a", &request::create("/delete", ""));
    talk.ask("a", &request::create("/delete/n", ""));
    talk.ask("a", &request::create("/delete/n/child", ""));
    for version in [1, i32::MAX, i32::MIN, -2] {
        talk.ask("a", &request::delete("/delete/n", version));
        talk.ask("a", &request::delete("/delete/n/child", version));
        talk.ask("a", &request::delete("/delete/none", version));
        talk.ask("a", &request::delete("/none/none", version));
    }
    for version in [0, -1] {
        talk.ask("a", &request::delete("/delete/n", version));
        talk.ask("a", &request::delete("/delete/none", version));
    }
    talk.ask("a", &request::set_data("/delete/n/child", None, 0));
    talk.ask("a", &request::delete("/delete/n/child", 0));
    talk.ask("a", &request::delete("/delete/n/child", 1));
    talk.ask("a", &request::delete("/delete/n/child", 1));
    talk.ask("a", &request::delete("/delete/n", 0));
    talk.ask("a", &request::read(op::CHILDREN2, "/delete", false));
    talk.ask("a", &request::delete("/delete", -1));
}

fn set_data(talk: &mut Conversation) {
    talk.connect("a");
    talk.ask("a", &request::set_data("/set", Some(b"x"), -1));
    talk.ask("a", &request::create("/set", "0"));
    for (version, data) in [
        (-1, Some(&b"1"[..])),
        (1, Some(b"22")),
        (1, Some(b"x")),
        (2, None),
        (0, None),
        (-2, None),
        (i32::MIN, None),
        (i32::MAX, None),
        (3, Some(b"")),
        (4, Some(b"22")),
        (-1, None),
    ] {
        talk.ask("a", &request::set_data("/set", data, version));
        talk.ask("a", &request::read(op::DATA, "/set", false));
    }
    talk.ask(
        "a",
        &request::multi(
            op::MULTI,
            &[
                request::set_data("/set", Some(b"m1"), 6),
                request::set_data("/set", Some(b"m2"), 7),
                request::check("/set", 8),
                request::set_data("/set", Some(b"m3"), -1),
            ],
        ),
    );
    talk.ask("a", &request::read(op::DATA, "/set", false));
    talk.ask("a", &request::delete("/set", 9));
}

fn reads(talk: &mut Conversation) {
    talk.connect("a");
    talk.ask("a", &request::create("/reads", "data"));
    for name in ["b", "a", "c"] {
        talk.ask("a", &request::create(&format!("/reads/{name}"), name));
    }
    talk.ask("a", &request::create_flags("/reads/e", 1));
    for path in ["/reads", "/reads/a", "/reads/e", "/reads/none", "/none/none", "/", ""] {
        for code in READS {
            talk.ask("a", &request::read(code, path, false));
            talk.ask("a", &request::read(code, path, false));
        }
        talk.ask("a", &request::path(op::ACL, path));
    }
    talk.note("an answer that was given before must not be given after a change");
    for data in ["1", "2"] {
        talk.ask("a", &request::set_data("/reads/a", Some(data.as_bytes()), -1));
        talk.ask("a", &request::read(op::DATA, "/reads/a", false));
        talk.ask("a", &request::delete("/reads/c", -1));
        talk.ask("a", &request::read(op::CHILDREN2, "/reads", false));
        talk.ask("a", &request::create("/reads/c", data));
        talk.ask("a", &request::read(op::CHILDREN2, "/reads", false));
        talk.ask("a", &request::read(op::DATA, "/reads/c", false));
    }
    talk.note("boolean bytes that are neither 0 nor 1");
    for byte in [2, 255] {
        let body = crate::wire::Writer::new().string("/reads/a").byte(byte);
        talk.ask("a", &crate::wire::Request::raw(op::DATA, format!("watch byte {byte}"), body));
        talk.ask("a", &request::watches(op::CHECK_WATCHES, "/reads/a", 2));
        talk.ask("a", &request::watches(op::REMOVE_WATCHES, "/reads/a", 2));
    }
    talk.remove_tree("a", "/reads");
}

fn many_children(talk: &mut Conversation) {
    talk.connect("a");
    talk.ask("a", &request::create("/many", ""));
    let creates: Vec<_> = (0..500).map(|at| request::create(&format!("/many/child-{at}"), "x")).collect();
    talk.pipeline("a", &creates);
    talk.ask("a", &request::read(op::CHILDREN, "/many", false));
    talk.ask("a", &request::read(op::CHILDREN2, "/many", false));
    talk.ask("a", &request::path(op::ALL_CHILDREN_NUMBER, "/many"));
    let deletes: Vec<_> = (0..500).step_by(2).map(|at| request::delete(&format!("/many/child-{at}"), -1)).collect();
    talk.pipeline("a", &deletes);
    talk.ask("a", &request::read(op::CHILDREN2, "/many", false));
    talk.remove_tree("a", "/many");
}

fn ephemerals(talk: &mut Conversation) {
    talk.connect("a");
    talk.connect("b");
    talk.ask("a", &request::create("/eph", ""));
    talk.ask("a", &request::create("/eph/x", ""));
    for path in ["/eph/a1", "/eph/a2", "/eph/x/a3", "/ephemeral-top"] {
        talk.ask("a", &request::create_flags(path, 1));
    }
    talk.ask("b", &request::create_flags("/eph/b1", 1));
    for prefix in ["/", "", " ", "/eph", "/eph/", "/eph/a", "/eph/x", "/e", "eph", "/none", "/eph/b1", "/eph/a1/x", "\t"] {
        talk.ask("a", &request::path(op::EPHEMERALS, prefix));
        talk.ask("b", &request::path(op::EPHEMERALS, prefix));
    }
    talk.note("an ephemeral that another session deletes");
    talk.ask("b", &request::delete("/eph/a1", -1));
    talk.ask("a", &request::path(op::EPHEMERALS, "/"));
    talk.ask("a", &request::delete("/ephemeral-top", -1));
    talk.remove_tree("a", "/eph");
}

fn all_children(talk: &mut Conversation) {
    talk.connect("a");
    for path in ["/n", "/n/a", "/n/a/b", "/n/ab", "/nn", "/nn/x"] {
        talk.ask("a", &request::create(path, ""));
        for path in ["/", "", "/n", "/n/", "/n/a", "/nn", "/none", "n", "/zookeeper", "/zookeeper/quota"] {
            talk.ask("a", &request::path(op::ALL_CHILDREN_NUMBER, path));
        }
    }
}

fn sync(talk: &mut Conversation) {
    talk.connect("a");
    for path in ["/", "/none", "", "not a path", "/zookeeper"] {
        talk.ask("a", &request::path(op::SYNC, path));
    }
    talk.pipeline(
        "a",
        &[
            request::create("/sync", ""),
            request::path(op::SYNC, "/sync"),
            request::read(op::EXISTS, "/sync", false),
            request::delete("/sync", -1),
            request::path(op::SYNC, "/sync"),
        ],
    );
}

/// Writes and reads in one go: each read sees the writes before it and none behind it, headers included.
fn pipelined(talk: &mut Conversation) {
    talk.connect("a");
    talk.connect("b");
    talk.ask("a", &request::create("/pipe", ""));
    for round in 0..5 {
        let value = round.to_string();
        talk.pipeline(
            "a",
            &[
                request::set_data("/pipe", Some(value.as_bytes()), -1),
                request::read(op::DATA, "/pipe", true),
                request::set_data("/pipe", Some(b"next"), -1),
                request::read(op::DATA, "/pipe", false),
                request::set_data("/pipe", Some(b"wrong"), 9999),
                request::read(op::EXISTS, "/pipe", false),
                request::create("/pipe/c", ""),
                request::read(op::CHILDREN2, "/pipe", true),
                request::ping(),
                request::delete("/pipe/c", 0),
                request::read(op::CHILDREN2, "/pipe", false),
                request::multi(op::MULTI, &[request::set_data("/pipe", Some(b"m"), -1), request::check("/none", 0)]),
                request::read(op::DATA, "/pipe", false),
                request::path(op::SYNC, "/pipe"),
                request::read(op::EXISTS, "/pipe/c", true),
            ],
        );
        talk.drain("b");
    }
    talk.remove_tree("a", "/pipe");
}
