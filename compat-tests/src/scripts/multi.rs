//! multi and multiRead: results, errors, mixtures, framing.

use super::{Script, Setup};
use crate::conversation::Conversation;
use crate::wire::{Request, Writer, acl, op, open, request};

pub const SCRIPTS: &[Script] = &[
    Script::new("multi: results of each part", Setup::ExtendedTypes, results),
    Script::new("multi: each error in each place", Setup::Usual, errors),
    Script::new("multi: parts see the parts before them", Setup::Usual, inner_state),
    Script::new("multi: kinds that do not mix", Setup::Usual, mixtures),
    Script::new("multi: framing", Setup::Usual, framing),
    Script::new("multi: reads", Setup::Usual, reads),
    Script::new("multi: events", Setup::Usual, events),
    Script::new("multi: many parts", Setup::Usual, many),
];

fn prepare(talk: &mut Conversation) {
    talk.connect("a");
    talk.ask("a", &request::create("/multi", ""));
    talk.ask("a", &request::create("/multi/n", "n"));
    talk.ask("a", &request::create("/multi/full", ""));
    talk.ask("a", &request::create("/multi/full/x", ""));
    talk.ask("a", &request::create_flags("/multi/e", 1));
    talk.ask("a", &request::create_acl("/multi/closed", &[acl(31, "digest", "nobody:x")]));
}

fn clean_up(talk: &mut Conversation) {
    talk.connect("z");
    talk.become_super("z");
    talk.remove_tree("z", "/multi");
}

fn write(talk: &mut Conversation, parts: &[Request]) {
    talk.ask("a", &request::multi(op::MULTI, parts));
}

fn results(talk: &mut Conversation) {
    prepare(talk);
    write(talk, &[]);
    write(
        talk,
        &[
            request::create("/multi/1", "x"),
            request::create2("/multi/2", "x"),
            request::create_as(op::CREATE_CONTAINER, "/multi/3", Some(b"c"), &open(), 4),
            request::create_as(op::CREATE, "/multi/4", Some(b"c"), &open(), 4),
            request::create_as(op::CREATE2, "/multi/5", Some(b"c"), &open(), 4),
            request::create_ttl("/multi/6", &open(), 5, 1_000_000),
            request::create_ttl("/multi/7-", &open(), 6, 1_000_000),
            request::create_as(op::CREATE_CONTAINER, "/multi/8", Some(b"c"), &open(), 0),
            request::create_ttl("/multi/9", &open(), 0, 1000),
            request::create_flags("/multi/10", 1),
            request::create_flags("/multi/11-", 3),
            request::set_data("/multi/n", Some(b"new"), 0),
            request::check("/multi/n", 1),
            request::delete("/multi/n", 1),
        ],
    );
    for one in ["1", "2", "3", "4", "5", "6", "8", "9", "10"] {
        talk.ask("a", &request::read(op::DATA, &format!("/multi/{one}"), false));
    }
    talk.ask("a", &request::read(op::CHILDREN2, "/multi", false));
    talk.note("one part each");
    for part in [
        request::create("/multi/s", ""),
        request::check("/multi/s", 0),
        request::set_data("/multi/s", None, 0),
        request::delete("/multi/s", 1),
    ] {
        write(talk, &[part]);
    }
    clean_up(talk);
}

/// A part for every error a part can have.
fn failing() -> Vec<Request> {
    vec![
        request::create("/multi/n", ""),
        request::create("/multi/none/x", ""),
        request::create("/multi/e/x", ""),
        request::create("/multi/closed/x", ""),
        request::create("/multi/bad/", ""),
        request::create("nonsense", ""),
        request::create_acl("/multi/x", &[]),
        request::create_acl("/multi/x", &[acl(31, "nonsense", "x")]),
        request::create_ttl("/multi/x", &open(), 5, 1000),
        request::create_ttl("/multi/x", &open(), 9, 1000),
        request::create_flags("/multi/x", 5),
        request::create_flags("/multi/x", 9),
        request::delete("/multi/none", -1),
        request::delete("/multi/n", 5),
        request::delete("/multi/full", -1),
        request::delete("/multi/closed/x", -1),
        request::delete("/", -1),
        request::delete("", -1),
        request::set_data("/multi/none", None, -1),
        request::set_data("/multi/n", None, 5),
        request::set_data("/multi/closed", None, -1),
        request::set_data("/multi/n/", None, -1),
        request::check("/multi/none", -1),
        request::check("/multi/n", 5),
        request::check("/multi/closed", -1),
        request::check("/multi//n", -1),
    ]
}

fn errors(talk: &mut Conversation) {
    prepare(talk);
    let good = || [request::create("/multi/good", ""), request::set_data("/multi/n", Some(b"changed"), -1)];
    for bad in failing() {
        let [first, second] = good();
        for parts in [
            vec![bad.clone()],
            vec![bad.clone(), first.clone(), second.clone()],
            vec![first.clone(), bad.clone(), second.clone()],
            vec![first, second, bad.clone()],
            vec![bad.clone(), bad],
        ] {
            write(talk, &parts);
        }
        talk.ask("a", &request::read(op::DATA, "/multi/n", false));
        talk.ask("a", &request::read(op::CHILDREN2, "/multi", false));
    }
    clean_up(talk);
}

fn inner_state(talk: &mut Conversation) {
    prepare(talk);
    let c = |path: &str| request::create(path, "x");
    let cases: Vec<Vec<Request>> = vec![
        vec![c("/multi/p"), c("/multi/p/q"), c("/multi/p/q/r"), request::check("/multi/p/q", 0)],
        vec![request::delete("/multi/p/q/r", 0), request::delete("/multi/p/q", 0), request::delete("/multi/p", 0)],
        vec![c("/multi/p"), request::delete("/multi/p", 0), c("/multi/p"), request::check("/multi/p", 0)],
        vec![request::delete("/multi/p", -1), request::check("/multi/p", -1)],
        vec![c("/multi/p"), c("/multi/p")],
        vec![request::set_data("/multi/p", None, 0), request::set_data("/multi/p", None, 0)],
        vec![request::set_data("/multi/p", Some(b"1"), 0), request::set_data("/multi/p", Some(b"2"), 1), request::check("/multi/p", 2)],
        vec![c("/multi/p/q"), request::delete("/multi/p", -1)],
        vec![c("/multi/p/q"), request::delete("/multi/p/q", -1), request::delete("/multi/p", -1), c("/multi/p")],
        vec![
            request::create_flags("/multi/p/s-", 2),
            request::create_flags("/multi/p/s-", 2),
            request::delete("/multi/p/s-0000000000", -1),
        ],
        vec![request::create_acl("/multi/p/c", &[acl(0, "world", "anyone")]), c("/multi/p/c/x")],
        vec![request::create_acl("/multi/p/c", &[acl(0, "world", "anyone")]), request::check("/multi/p/c", 0)],
        vec![request::create_acl("/multi/p/c", &[acl(0, "world", "anyone")]), request::set_data("/multi/p/c", None, 0)],
        vec![request::create_acl("/multi/p/c", &[acl(0, "world", "anyone")]), request::delete("/multi/p/c", 0)],
        vec![request::create_flags("/multi/p/e", 1), request::delete("/multi/p/e", 0), c("/multi/p/e"), c("/multi/p/e/x")],
        vec![c("/multi/f"), request::set_data("/multi/f", Some(b"ff"), 0), request::check("/none", 0)],
        vec![c("/multi/f"), request::set_data("/multi/f", Some(b"ff"), 0)],
    ];
    for parts in cases {
        write(talk, &parts);
        talk.ask("a", &request::read(op::CHILDREN2, "/multi", false));
        talk.ask("a", &request::read(op::CHILDREN2, "/multi/p", false));
        talk.ask("a", &request::read(op::DATA, "/multi/p", false));
        talk.ask("a", &request::path(op::EPHEMERALS, "/multi"));
    }
    talk.note("a failed multi leaves nothing behind for what is queued after it");
    talk.pipeline(
        "a",
        &[
            request::multi(op::MULTI, &[c("/multi/g"), request::delete("/multi/p", -1), request::check("/none", 0)]),
            c("/multi/g/x"),
            c("/multi/g"),
            request::multi(op::MULTI, &[c("/multi/g/x"), request::check("/multi/g", 1)]),
            c("/multi/g/x"),
            request::read(op::CHILDREN2, "/multi/g", false),
            request::multi(op::MULTI, &[request::delete("/multi/g/x", 0), request::delete("/multi/g", 0)]),
            request::delete("/multi/g", 0),
            request::read(op::CHILDREN2, "/multi", false),
        ],
    );
    clean_up(talk);
}

fn mixtures(talk: &mut Conversation) {
    prepare(talk);
    let read = request::read(op::DATA, "/multi/n", false);
    let change = request::set_data("/multi/n", Some(b"mixed"), -1);
    for (code, parts) in [
        (op::MULTI, vec![read.clone()]),
        (op::MULTI, vec![change.clone(), read.clone()]),
        (op::MULTI, vec![read.clone(), change.clone()]),
        (op::MULTI_READ, vec![change.clone()]),
        (op::MULTI_READ, vec![read.clone(), change.clone()]),
        (op::MULTI_READ, vec![change.clone(), read.clone()]),
        (op::MULTI_READ, vec![request::check("/multi/n", 0)]),
        (op::MULTI_READ, vec![]),
    ] {
        talk.ask("a", &request::multi(code, &parts));
    }
    for other in [
        request::read(op::EXISTS, "/multi/n", false),
        request::read(op::CHILDREN2, "/multi/n", false),
        request::path(op::ACL, "/multi/n"),
        request::set_acl("/multi/n", &open(), -1),
        request::path(op::SYNC, "/"),
        request::path(op::DELETE_CONTAINER, "/multi/n"),
        request::ping(),
        request::bare(999),
        request::bare(0),
        request::bare(op::CLOSE_SESSION),
        request::multi(op::MULTI, std::slice::from_ref(&change)),
    ] {
        for code in [op::MULTI, op::MULTI_READ] {
            if !talk.lines.contains_key("a") {
                talk.connect("a");
            }
            talk.ask("a", &request::multi(code, std::slice::from_ref(&other)));
            talk.ask("a", &request::multi(code, &[change.clone(), other.clone()]));
            talk.ask("a", &request::multi(code, &[read.clone(), other.clone()]));
            talk.drain("a");
        }
    }
    talk.ask("a", &request::read(op::DATA, "/multi/n", false));
    clean_up(talk);
}

fn framing(talk: &mut Conversation) {
    prepare(talk);
    let header = |code: i32, done: bool, error: i32| Writer::new().int(code).boolean(done).int(error).bytes;
    let change = request::set_data("/multi/n", Some(b"framed"), -1);
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("nothing at all", vec![]),
        ("end with another type", header(5, true, -1)),
        ("end with another error", header(-1, true, 0)),
        ("no end", [header(5, false, -1), change.body.clone()].concat()),
        ("header error 0", [header(5, false, 0), change.body.clone(), header(-1, true, -1)].concat()),
        ("type -1, not done", [header(-1, false, -1), Writer::new().int(0).bytes, header(-1, true, -1)].concat()),
        ("done with a part behind", [header(-1, true, -1), header(5, false, -1), change.body.clone()].concat()),
        ("part marked done", [header(5, true, -1), change.body.clone(), header(-1, true, -1)].concat()),
        ("half a header", header(5, false, -1)[..7].to_vec()),
        ("half a part", [header(5, false, -1), change.body[..6].to_vec()].concat()),
        ("done byte 2", [header(5, false, -1), change.body.clone(), vec![255, 255, 255, 255, 2, 255, 255, 255, 255]].concat()),
        ("bytes behind the end", [header(5, false, -1), change.body.clone(), header(-1, true, -1), vec![1, 2, 3]].concat()),
    ];
    for (what, bytes) in cases {
        for code in [op::MULTI, op::MULTI_READ] {
            if !talk.lines.contains_key("a") {
                talk.connect("a");
            }
            talk.ask("a", &Request::raw(code, what, Writer::new().raw(&bytes)));
            talk.drain("a");
        }
    }
    talk.ask("a", &request::read(op::DATA, "/multi/n", false));
    clean_up(talk);
}

fn reads(talk: &mut Conversation) {
    prepare(talk);
    for watch in [false, true] {
        let data = |path| request::read(op::DATA, path, watch);
        let children = |path| request::read(op::CHILDREN, path, watch);
        for parts in [
            vec![data("/multi/n")],
            vec![children("/multi")],
            vec![data("/multi/none"), children("/multi/none"), data("/multi/n"), children("/multi/full")],
            vec![data("/multi/closed"), children("/multi/closed"), data("/multi/n")],
            vec![data(""), children("/"), data("nonsense"), data("/multi/n/")],
        ] {
            talk.ask("a", &request::multi(op::MULTI_READ, &parts));
        }
        talk.note("no watch is set");
        for kind in [1, 2, 3] {
            talk.ask("a", &request::watches(op::CHECK_WATCHES, "/multi/n", kind));
            talk.ask("a", &request::watches(op::CHECK_WATCHES, "/multi", kind));
        }
    }
    clean_up(talk);
}

fn events(talk: &mut Conversation) {
    prepare(talk);
    talk.connect("w");
    for path in ["/multi", "/multi/n", "/multi/new", "/multi/new/x"] {
        talk.ask("w", &request::read(op::EXISTS, path, true));
        talk.ask("w", &request::read(op::CHILDREN, path, true));
        talk.ask("a", &request::read(op::EXISTS, path, true));
    }
    talk.ask("w", &request::add_watch("/multi", 1));
    talk.ask("w", &request::add_watch("/multi/new", 0));
    write(
        talk,
        &[
            request::set_data("/multi/n", Some(b"1"), -1),
            request::set_data("/multi/n", Some(b"2"), -1),
            request::create("/multi/new", ""),
            request::create("/multi/new/x", ""),
            request::delete("/multi/new/x", -1),
            request::delete("/multi/new", -1),
            request::create("/multi/new", ""),
            request::delete("/multi/n", -1),
        ],
    );
    talk.drain("w");
    talk.note("none from one that failed");
    talk.ask("w", &request::read(op::DATA, "/multi/new", true));
    write(talk, &[request::set_data("/multi/new", None, -1), request::check("/none", 0)]);
    talk.drain("w");
    clean_up(talk);
    talk.drain("w");
}

fn many(talk: &mut Conversation) {
    prepare(talk);
    let mut parts = Vec::new();
    for at in 0..300 {
        parts.push(request::create(&format!("/multi/m{at}"), &at.to_string()));
        parts.push(request::set_data(&format!("/multi/m{}", at / 2), Some(b"again"), -1));
    }
    write(talk, &parts);
    talk.ask("a", &request::read(op::CHILDREN2, "/multi", false));
    talk.ask("a", &request::read(op::DATA, "/multi/m7", false));
    parts.push(request::check("/none", 0));
    write(talk, &parts);
    let deletes: Vec<_> = (0..300).map(|at| request::delete(&format!("/multi/m{at}"), -1)).collect();
    write(talk, &deletes);
    talk.ask("a", &request::read(op::CHILDREN2, "/multi", false));
    clean_up(talk);
}
