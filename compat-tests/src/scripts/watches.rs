//! Watches: what sets them, what fires them, in which order, and how they are checked, removed and set again.

use super::{Script, Setup};
use crate::conversation::Conversation;
use crate::wire::{Request, Writer, op, open, request};

pub const SCRIPTS: &[Script] = &[
    Script::new("watches: each kind against each change", Setup::Usual, matrix),
    Script::new("watches: order of events", Setup::Usual, order),
    Script::new("watches: checkWatches and removeWatches", Setup::Usual, check_and_remove),
    Script::new("watches: setWatches", Setup::Usual, set_watches),
    Script::new("watches: setWatches2", Setup::Usual, set_watches2),
    Script::new("watches: setWatches relative to a zxid", Setup::Usual, relative),
    Script::new("watches: addWatch modes", Setup::Usual, add_watch),
    Script::new("watches: recursive at several depths", Setup::Usual, recursive),
    Script::new("watches: one connection, many kinds on one path", Setup::Usual, stacked),
    Script::new("watches: container and root", Setup::Fresh, root),
    Script::new("watches: many watchers", Setup::Usual, many_watchers),
];

/// Ways to set a watch on `path`.
fn setters(path: &str) -> Vec<(&'static str, Request)> {
    vec![
        ("exists", request::read(op::EXISTS, path, true)),
        ("getData", request::read(op::DATA, path, true)),
        ("getChildren", request::read(op::CHILDREN, path, true)),
        ("getChildren2", request::read(op::CHILDREN2, path, true)),
        ("persistent", request::add_watch(path, 0)),
        ("recursive", request::add_watch(path, 1)),
    ]
}

/// Changes around `/w/n`, each of which undoes what it needs to.
fn changes() -> Vec<Vec<Request>> {
    vec![
        vec![request::set_data("/w/n", Some(b"x"), -1)],
        vec![request::set_data("/w/n", Some(b"x"), 77)],
        vec![request::set_acl("/w/n", &open(), -1)],
        vec![request::create("/w/n/c", ""), request::set_data("/w/n/c", None, -1), request::delete("/w/n/c", -1)],
        vec![
            request::create("/w/n/c", ""),
            request::create("/w/n/c/d", ""),
            request::delete("/w/n/c/d", -1),
            request::delete("/w/n/c", -1),
        ],
        vec![request::delete("/w/n", -1), request::create("/w/n", "")],
        vec![request::set_data("/w/n", Some(b"1"), -1), request::set_data("/w/n", Some(b"2"), -1)],
        vec![request::create_flags("/w/n/e", 1), request::delete("/w/n/e", -1)],
        vec![request::create("/w/other", ""), request::delete("/w/other", -1)],
        vec![request::multi(op::MULTI, &[request::set_data("/w/n", None, -1), request::delete("/w/n", -1), request::create("/w/n", "")])],
        vec![request::multi(op::MULTI, &[request::set_data("/w/n", None, -1), request::check("/none", 0)])],
    ]
}

fn matrix(talk: &mut Conversation) {
    talk.connect("a");
    talk.ask("a", &request::create("/w", ""));
    talk.ask("a", &request::create("/w/n", ""));
    for path in ["/w/n", "/w", "/w/n/c", "/w/none", "/"] {
        for (name, setter) in setters(path) {
            for change in changes() {
                talk.connect("w");
                talk.note(format!("{name} on {path}"));
                talk.ask("w", &setter);
                talk.ask("w", &setter);
                for one in &change {
                    talk.ask("a", one);
                }
                talk.drain("w");
                talk.ask("a", &request::set_data("/w/n", Some(b"y"), -1));
                talk.drain("w");
                talk.ask("w", &request::bare(op::CLOSE_SESSION));
                talk.hang_up("w");
            }
        }
    }
    talk.remove_tree("a", "/w");
}

/// The writer watches too: its event comes before its reply.
fn order(talk: &mut Conversation) {
    talk.connect("a");
    talk.ask("a", &request::create("/w", ""));
    let watch_all = |talk: &mut Conversation| {
        for path in ["/w", "/w/n"] {
            for code in [op::EXISTS, op::CHILDREN] {
                talk.ask("a", &request::read(code, path, true));
            }
        }
    };
    watch_all(talk);
    talk.ask("a", &request::add_watch("/w", 1));
    talk.ask("a", &request::add_watch("/w", 0));
    talk.ask("a", &request::add_watch("/w/n", 0));
    for one in [
        request::create("/w/n", ""),
        request::set_data("/w/n", None, -1),
        request::create("/w/n/c", ""),
        request::delete("/w/n/c", -1),
        request::delete("/w/n", -1),
    ] {
        watch_all(talk);
        talk.pipeline("a", &[request::ping(), one, request::read(op::EXISTS, "/w", false), request::ping()]);
    }
    talk.note("pipelined: set, watch, set");
    talk.pipeline(
        "a",
        &[
            request::create("/w/n", ""),
            request::read(op::DATA, "/w/n", true),
            request::set_data("/w/n", Some(b"1"), -1),
            request::read(op::DATA, "/w/n", true),
            request::set_data("/w/n", Some(b"2"), -1),
            request::read(op::CHILDREN, "/w", true),
            request::delete("/w/n", -1),
            request::ping(),
        ],
    );
    talk.remove_tree("a", "/w");
}

fn check_and_remove(talk: &mut Conversation) {
    talk.connect("a");
    talk.ask("a", &request::create("/w", ""));
    for (name, setter) in setters("/w").into_iter().chain(setters("/w/none")) {
        for remove in [0, 1, 2, 3, 4, 5, 6, -1, i32::MAX] {
            talk.connect("w");
            talk.note(format!("{name}, remove type {remove}"));
            let path = if setter.label.contains("none") { "/w/none" } else { "/w" };
            talk.ask("w", &setter);
            for kind in 0..7 {
                talk.ask("w", &request::watches(op::CHECK_WATCHES, path, kind));
            }
            talk.ask("w", &request::watches(op::REMOVE_WATCHES, path, remove));
            for kind in 1..6 {
                talk.ask("w", &request::watches(op::CHECK_WATCHES, path, kind));
            }
            talk.ask("w", &request::watches(op::REMOVE_WATCHES, path, remove));
            talk.ask("a", &request::set_data("/w", None, -1));
            talk.ask("a", &request::create("/w/c", ""));
            talk.ask("a", &request::delete("/w/c", -1));
            talk.drain("w");
            talk.ask("w", &request::bare(op::CLOSE_SESSION));
            talk.hang_up("w");
        }
    }
    talk.note("all kinds at once");
    for remove in [1, 2, 3, 4, 5] {
        talk.connect("w");
        for (_, setter) in setters("/w") {
            talk.ask("w", &setter);
        }
        talk.ask("w", &request::watches(op::REMOVE_WATCHES, "/w", remove));
        for kind in 1..6 {
            talk.ask("w", &request::watches(op::CHECK_WATCHES, "/w", kind));
        }
        talk.ask("a", &request::set_data("/w", None, -1));
        talk.ask("a", &request::create("/w/c", ""));
        talk.ask("a", &request::delete("/w/c", -1));
        talk.drain("w");
        talk.ask("w", &request::bare(op::CLOSE_SESSION));
        talk.hang_up("w");
    }
    talk.note("the watches of one connection are none of another's");
    talk.connect("w");
    talk.connect("v");
    talk.ask("w", &request::read(op::DATA, "/w", true));
    talk.ask("v", &request::watches(op::CHECK_WATCHES, "/w", 2));
    talk.ask("v", &request::watches(op::REMOVE_WATCHES, "/w", 2));
    talk.ask("w", &request::watches(op::CHECK_WATCHES, "/w", 2));
    talk.remove_tree("a", "/w");
    talk.drain("w");
}

fn set_watches(talk: &mut Conversation) {
    talk.connect("a");
    talk.ask("a", &request::create("/w", ""));
    talk.ask("a", &request::create("/w/n", ""));
    for relative_zxid in [0, i64::MAX, -1, i64::MIN] {
        for lists in [
            [&["/w", "/w/none"][..], &["/w/n", "/w/none"], &["/w", "/w/none"]],
            [&[], &["/w"], &["/w"]],
            [&["/w"], &["/w"], &["/w"]],
            [&["/w", "/w"], &["/w/x", "/w/x"], &["/w", "/w"]],
            [&["", "/", "nonsense"], &["", "/", "nonsense"], &["", "/", "nonsense"]],
            [&[], &[], &[]],
        ] {
            talk.connect("w");
            talk.ask_as("w", -8, &request::set_watches(relative_zxid, &lists));
            for path in ["/w", "/w/n", "/w/none", "/w/x", "/", ""] {
                for kind in [1, 2] {
                    talk.ask("w", &request::watches(op::CHECK_WATCHES, path, kind));
                }
            }
            talk.ask("a", &request::set_data("/w", None, -1));
            talk.ask("a", &request::create("/w/x", ""));
            talk.ask("a", &request::delete("/w/x", -1));
            talk.drain("w");
            talk.ask("w", &request::bare(op::CLOSE_SESSION));
            talk.hang_up("w");
        }
    }
    talk.remove_tree("a", "/w");
}

fn set_watches2(talk: &mut Conversation) {
    talk.connect("a");
    talk.ask("a", &request::create("/w", ""));
    talk.ask("a", &request::create("/w/n", ""));
    for relative_zxid in [0, i64::MAX] {
        for lists in [
            [&[][..], &[], &[], &["/w"], &[]],
            [&[], &[], &[], &[], &["/w"]],
            [&[], &[], &[], &["/w", "/w/none"], &["/w", "/w/none"]],
            [&["/w"], &["/w/x"], &["/w"], &["/w/n"], &["/w"]],
            [&["/w/none"], &["/w"], &["/w/none"], &["/", ""], &["", "nonsense"]],
        ] {
            talk.connect("w");
            talk.ask_as("w", -8, &request::set_watches(relative_zxid, &lists));
            for path in ["/w", "/w/n", "/w/none", "/"] {
                for kind in 1..6 {
                    talk.ask("w", &request::watches(op::CHECK_WATCHES, path, kind));
                }
            }
            talk.ask("a", &request::set_data("/w", None, -1));
            talk.ask("a", &request::create("/w/x", ""));
            talk.ask("a", &request::set_data("/w/n", None, -1));
            talk.ask("a", &request::delete("/w/x", -1));
            talk.drain("w");
            talk.ask("w", &request::bare(op::CLOSE_SESSION));
            talk.hang_up("w");
        }
    }
    talk.remove_tree("a", "/w");
}

/// Every zxid from before the first change to behind the last as the client's last one.
fn relative(talk: &mut Conversation) {
    talk.connect("a");
    let Some(first) = talk.ask("a", &request::create("/w", "")) else {
        return;
    };
    for one in [
        request::create("/w/n", ""),
        request::set_data("/w", None, -1),
        request::set_data("/w/n", None, -1),
        request::create("/w/n/c", ""),
        request::delete("/w/n/c", -1),
        request::set_acl("/w/n", &open(), -1),
    ] {
        talk.ask("a", &one);
    }
    talk.connect("w");
    for offset in -1..9 {
        talk.note(format!("relative zxid z{offset}"));
        let relative_zxid = first.header.zxid + offset;
        let lists: [&[&str]; 5] = [&["/w", "/w/n", "/w/n/c"], &["/w/n", "/w/n/c"], &["/w", "/w/n", "/w/n/c"], &["/w"], &["/w"]];
        for request in [request::set_watches(relative_zxid, &lists[..3]), request::set_watches(relative_zxid, &lists)] {
            talk.ask_as("w", -8, &request);
            for path in ["/w", "/w/n", "/w/n/c"] {
                for kind in [1, 2] {
                    talk.ask("w", &request::watches(op::CHECK_WATCHES, path, kind));
                }
                talk.ask("w", &request::watches(op::REMOVE_WATCHES, path, 3));
            }
        }
    }
    talk.remove_tree("a", "/w");
}

fn add_watch(talk: &mut Conversation) {
    talk.connect("a");
    for mode in [-1, 0, 1, 2, 3, i32::MIN, i32::MAX] {
        for path in ["/", "", "/none", "nonsense", "/zookeeper", "/none/"] {
            talk.ask("a", &request::add_watch(path, mode));
            for kind in 1..6 {
                talk.ask("a", &request::watches(op::CHECK_WATCHES, path, kind));
            }
            talk.ask("a", &request::watches(op::REMOVE_WATCHES, path, 3));
        }
    }
    talk.note("the same path in both modes");
    talk.ask("a", &request::add_watch("/w", 0));
    talk.ask("a", &request::add_watch("/w", 1));
    talk.ask("a", &request::create("/w", ""));
    talk.ask("a", &request::create("/w/c", ""));
    talk.ask("a", &request::watches(op::REMOVE_WATCHES, "/w", 4));
    talk.ask("a", &request::delete("/w/c", -1));
    talk.ask("a", &request::watches(op::REMOVE_WATCHES, "/w", 5));
    talk.ask("a", &request::delete("/w", -1));
}

fn recursive(talk: &mut Conversation) {
    talk.connect("a");
    for path in ["/w", "/w/1", "/w/1/2", "/w/12", "/wx"] {
        talk.ask("a", &request::create(path, ""));
    }
    for path in ["/", "/w", "/w/1", "/w/1/2", "/w/1/2/3"] {
        talk.connect("w");
        talk.note(format!("recursive on {path}"));
        talk.ask("w", &request::add_watch(path, 1));
        talk.ask("w", &request::read(op::DATA, "/w/1", true));
        talk.ask("w", &request::read(op::CHILDREN, "/w/1", true));
        for one in [
            request::set_data("/w", None, -1),
            request::set_data("/w/1", None, -1),
            request::set_data("/w/12", None, -1),
            request::set_data("/wx", None, -1),
            request::create("/w/1/2/3", ""),
            request::create("/w/1/2/3/4", ""),
            request::set_data("/w/1/2/3/4", None, -1),
            request::delete("/w/1/2/3/4", -1),
            request::delete("/w/1/2/3", -1),
            request::delete("/w/1/2", -1),
            request::create("/w/1/2", ""),
        ] {
            talk.ask("a", &one);
        }
        talk.drain("w");
        talk.ask("w", &request::bare(op::CLOSE_SESSION));
        talk.hang_up("w");
    }
    talk.remove_tree("a", "/w");
    talk.remove_tree("a", "/wx");
}

/// At most one copy of an event for a connection, whatever it watches with.
fn stacked(talk: &mut Conversation) {
    talk.connect("a");
    talk.ask("a", &request::create("/w", ""));
    talk.ask("a", &request::create("/w/n", ""));
    talk.connect("w");
    for path in ["/w", "/w/n"] {
        for (_, setter) in setters(path) {
            talk.ask("w", &setter);
        }
    }
    for one in [
        request::set_data("/w/n", None, -1),
        request::create("/w/n/c", ""),
        request::delete("/w/n/c", -1),
        request::delete("/w/n", -1),
        request::create("/w/n", ""),
        request::set_data("/w", None, -1),
        request::delete("/w/n", -1),
        request::delete("/w", -1),
    ] {
        talk.ask("a", &one);
        talk.drain("w");
    }
}

fn root(talk: &mut Conversation) {
    talk.connect("a");
    for (name, setter) in setters("/").into_iter().chain(setters("")) {
        talk.connect("w");
        talk.note(name);
        talk.ask("w", &setter);
        for one in [
            request::create("/top", ""),
            request::set_data("/top", None, -1),
            request::create("/top/c", ""),
            request::delete("/top/c", -1),
            request::set_data("/", Some(b"x"), -1),
            request::set_data("/zookeeper", Some(b"x"), -1),
            request::create_as(op::CREATE_CONTAINER, "/container", None, &open(), 4),
            request::create("/container/c", ""),
            request::delete("/container/c", -1),
            request::delete("/container", -1),
            request::delete("/top", -1),
        ] {
            talk.ask("a", &one);
            talk.drain("w");
        }
    }
    talk.note("null paths in setWatches2");
    let body = Writer::new().long(0).int(1).int(-1).int(0).int(0).int(0).int(0);
    talk.ask("w", &Request::raw(op::SET_WATCHES2, "null in data watches", body));
    talk.drain("w");
}

fn many_watchers(talk: &mut Conversation) {
    talk.connect("a");
    talk.ask("a", &request::create("/w", ""));
    let names: Vec<String> = (0..20).map(|at| format!("w{at}")).collect();
    for name in &names {
        talk.connect(name);
        talk.ask(name, &request::read(op::DATA, "/w", true));
        talk.ask(name, &request::add_watch("/w", 1));
    }
    talk.hang_up("w3");
    for name in ["w5", "w6"] {
        talk.ask(name, &request::watches(op::REMOVE_WATCHES, "/w", 3));
    }
    for one in [request::set_data("/w", None, -1), request::create("/w/c", ""), request::delete("/w/c", -1), request::delete("/w", -1)] {
        talk.ask("a", &one);
        for name in names.iter().filter(|name| *name != "w3") {
            talk.drain(name);
        }
    }
}
