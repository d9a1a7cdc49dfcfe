//! Nodes that end by themselves: containers and TTL nodes that are reaped, ephemerals whose session dies.
//!
//! Nothing here looks at a clock: an event tells when a node has gone, and only one thing at a time is due, since Java
//! takes what is due in the order of a hash set.

use super::{Script, Setup};
use crate::connection::Connect;
use crate::conversation::Conversation;
use crate::wire::{Request, acl, op, open, request};

pub const SCRIPTS: &[Script] = &[
    Script::new("reaping: containers", Setup::Reaping, containers),
    Script::new("reaping: TTL nodes", Setup::Reaping, ttl_nodes),
    Script::new("reaping: what stays", Setup::Reaping, stays),
    Script::new("reaping: containers that were never used", Setup::ReapingUnused, never_used),
    Script::new("session: ephemerals of the dead", Setup::Usual, of_the_dead),
    Script::new("session: expiry, without the list of ephemerals", Setup::PlainTransactions, of_the_dead),
];

/// What is reaped.
#[derive(Clone, Copy)]
enum Node {
    Container,
    /// With its time to live, milliseconds.
    Ttl(i64),
}

fn create(node: Node, path: &str) -> Request {
    match node {
        Node::Container => request::create_as(op::CREATE_CONTAINER, path, Some(b"c"), &open(), 4),
        Node::Ttl(ttl_ms) => request::create_ttl(path, &open(), 5, ttl_ms),
    }
}

/// A container or TTL node with a child, made at once: an empty one may be due before the child comes.
fn with_child(talk: &mut Conversation, node: Node, path: &str) {
    talk.ask("a", &request::multi(op::MULTI, &[create(node, path), request::create(&format!("{path}/child"), "")]));
}

/// Every kind of watch on a node and its parent, each on a connection of its own.
fn watch(talk: &mut Conversation, parent: &str, path: &str) {
    for (name, request) in [
        ("exists", request::read(op::EXISTS, path, true)),
        ("data", request::read(op::DATA, path, true)),
        ("children", request::read(op::CHILDREN, path, true)),
        ("of parent", request::read(op::CHILDREN2, parent, true)),
        ("persistent", request::add_watch(path, 0)),
        ("persistent parent", request::add_watch(parent, 0)),
        ("recursive", request::add_watch(parent, 1)),
    ] {
        talk.connect(name);
        talk.ask(name, &request);
    }
}

const WATCHERS: [&str; 7] = ["exists", "data", "children", "of parent", "persistent", "persistent parent", "recursive"];

/// The last child of `path` goes, then `path` itself: every watcher is told, and the tree shows it.
fn empty_and_wait(talk: &mut Conversation, parent: &str, path: &str) {
    // Its own watch tells when the node is gone: the others have had their events by then, and are drained.
    talk.connect("gone");
    talk.ask("gone", &request::read(op::EXISTS, path, true));
    talk.ask("a", &request::delete(&format!("{path}/child"), -1));
    talk.wait_for_event("gone");
    for name in WATCHERS {
        talk.drain(name);
    }
    talk.ask("a", &request::read(op::EXISTS, path, false));
    talk.ask("a", &request::read(op::CHILDREN2, parent, false));
    for name in WATCHERS.into_iter().chain(["gone"]) {
        talk.ask(name, &request::bare(op::CLOSE_SESSION));
        talk.expect_close(name);
    }
}

fn containers(talk: &mut Conversation) {
    talk.connect("a");
    talk.ask("a", &request::create("/reap", ""));
    with_child(talk, Node::Container, "/reap/c");
    watch(talk, "/reap", "/reap/c");
    empty_and_wait(talk, "/reap", "/reap/c");
    talk.note("the same name again");
    with_child(talk, Node::Container, "/reap/c");
    watch(talk, "/reap", "/reap/c");
    empty_and_wait(talk, "/reap", "/reap/c");
    talk.note("a container in a container: the outer one goes after the inner one");
    talk.ask(
        "a",
        &request::multi(
            op::MULTI,
            &[
                create(Node::Container, "/reap/outer"),
                create(Node::Container, "/reap/outer/inner"),
                request::create_flags("/reap/outer/inner/child-", 2),
            ],
        ),
    );
    talk.ask("a", &request::read(op::EXISTS, "/reap/outer", true));
    talk.ask("a", &request::read(op::EXISTS, "/reap/outer/inner", true));
    talk.ask("a", &request::delete("/reap/outer/inner/child-0000000000", -1));
    talk.wait_for_event("a");
    talk.wait_for_event("a");
    talk.ask("a", &request::read(op::CHILDREN2, "/reap", false));
    talk.note("its only child was an ephemeral");
    talk.connect("owner");
    talk.ask("owner", &request::multi(op::MULTI, &[create(Node::Container, "/reap/e"), request::create_flags("/reap/e/child", 1)]));
    talk.ask("a", &request::read(op::EXISTS, "/reap/e", true));
    talk.ask("owner", &request::bare(op::CLOSE_SESSION));
    talk.expect_close("owner");
    talk.wait_for_event("a");
    talk.ask("a", &request::read(op::CHILDREN2, "/reap", false));
    talk.note("the access lists of container and parent do not hinder");
    talk.ask(
        "a",
        &request::multi(
            op::MULTI,
            &[
                request::create_as(op::CREATE_CONTAINER, "/reap/closed", None, &[acl(5, "world", "anyone")], 4),
                request::create("/reap/closed/child", ""),
            ],
        ),
    );
    talk.ask("a", &request::create("/reap/closed/other", ""));
    talk.ask("a", &request::delete("/reap/closed/child", -1));
    talk.become_super("a");
    talk.ask("a", &request::read(op::EXISTS, "/reap/closed", true));
    talk.ask("a", &request::delete("/reap/closed/other", -1));
    talk.ask("a", &request::delete("/reap/closed/child", -1));
    talk.wait_for_event("a");
    talk.ask("a", &request::read(op::CHILDREN2, "/reap", false));
    talk.remove_tree("a", "/reap");
}

fn ttl_nodes(talk: &mut Conversation) {
    talk.connect("a");
    talk.ask("a", &request::create("/reap", ""));
    talk.note("alone: the watch is set in time, since the node lives longer than a round trip");
    talk.ask("a", &create(Node::Ttl(1500), "/reap/alone"));
    talk.ask("a", &request::read(op::EXISTS, "/reap/alone", true));
    talk.wait_for_event("a");
    talk.ask("a", &request::read(op::CHILDREN2, "/reap", false));
    talk.note("with a child, which it outlives");
    with_child(talk, Node::Ttl(1), "/reap/t");
    watch(talk, "/reap", "/reap/t");
    empty_and_wait(talk, "/reap", "/reap/t");
    talk.note("sequential");
    talk.ask("a", &request::create_ttl("/reap/s-", &open(), 6, 1500));
    talk.ask("a", &request::read(op::EXISTS, "/reap/s-0000000002", true));
    talk.wait_for_event("a");
    talk.ask("a", &request::read(op::CHILDREN2, "/reap", false));
    talk.note("a TTL node below a TTL node: the outer one goes after the inner one");
    talk.ask(
        "a",
        &request::multi(
            op::MULTI,
            &[
                create(Node::Ttl(1), "/reap/outer"),
                create(Node::Ttl(1), "/reap/outer/inner"),
                request::create("/reap/outer/inner/child", ""),
            ],
        ),
    );
    talk.ask("a", &request::read(op::EXISTS, "/reap/outer", true));
    talk.ask("a", &request::read(op::EXISTS, "/reap/outer/inner", true));
    talk.ask("a", &request::delete("/reap/outer/inner/child", -1));
    talk.wait_for_event("a");
    talk.wait_for_event("a");
    talk.ask("a", &request::read(op::CHILDREN2, "/reap", false));
    talk.remove_tree("a", "/reap");
}

/// One node of each kind that must stay, and one that must go: when that one has gone, a round has been made.
fn stays(talk: &mut Conversation) {
    talk.connect("a");
    talk.ask("a", &request::create("/reap", ""));
    talk.note("never used, full, made by the wrong operation, with time left, plain");
    talk.ask("a", &create(Node::Container, "/reap/unused"));
    with_child(talk, Node::Container, "/reap/full");
    with_child(talk, Node::Ttl(1), "/reap/full-ttl");
    talk.ask("a", &create(Node::Ttl(1_000_000), "/reap/later"));
    talk.ask("a", &request::create("/reap/plain", ""));
    talk.ask("a", &request::create("/reap/plain/child", ""));
    talk.ask("a", &request::delete("/reap/plain/child", -1));
    talk.ask("a", &request::create_flags("/reap/e", 1));
    for name in ["round-1", "round-2"] {
        let path = format!("/reap/{name}");
        with_child(talk, Node::Container, &path);
        talk.ask("a", &request::read(op::EXISTS, &path, true));
        talk.ask("a", &request::delete(&format!("{path}/child"), -1));
        talk.wait_for_event("a");
        talk.ask("a", &request::read(op::CHILDREN2, "/reap", false));
    }
    for name in ["unused", "full", "full-ttl", "later", "plain", "e"] {
        talk.ask("a", &request::read(op::DATA, &format!("/reap/{name}"), false));
    }
    talk.remove_tree("a", "/reap");
}

fn never_used(talk: &mut Conversation) {
    talk.connect("a");
    talk.ask("a", &request::create("/unused", ""));
    talk.ask("a", &request::read(op::CHILDREN, "/unused", true));
    talk.note("a container that never had a child goes when it is old enough");
    talk.ask("a", &create(Node::Container, "/unused/c"));
    talk.ask("a", &request::read(op::EXISTS, "/unused/c", true));
    talk.wait_for_event("a");
    talk.ask("a", &request::read(op::CHILDREN2, "/unused", false));
    talk.remove_tree("a", "/unused");
}

fn of_the_dead(talk: &mut Conversation) {
    talk.connect("a");
    talk.ask("a", &request::create("/dead", ""));
    talk.note("each has one ephemeral: one hangs up, one is silent, one says goodbye, one moves and lives");
    let short = Connect { timeout_ms: 1000, ..Connect::default() };
    for name in ["hangs-up", "silent", "polite", "moves"] {
        let connect = if name == "moves" || name == "polite" { Connect::default() } else { short.clone() };
        let watcher = format!("watcher of {name}");
        talk.connect(&watcher);
        talk.connect_with(name, &connect);
        talk.ask(name, &request::create_flags(&format!("/dead/{name}"), 1));
        talk.ask(&watcher, &request::read(op::DATA, &format!("/dead/{name}"), true));
        talk.ask(&watcher, &request::read(op::CHILDREN, &format!("/dead/{name}"), true));
        talk.ask(&watcher, &request::add_watch(&format!("/dead/{name}"), 1));
        match name {
            "hangs-up" => {
                talk.hang_up_and_keep(name, "kept");
                talk.wait_for_event(&watcher);
            }
            "silent" => {
                talk.expect_close(name);
            }
            "polite" => {
                talk.ask(name, &request::bare(op::CLOSE_SESSION));
                talk.expect_close(name);
            }
            _ => {
                talk.reconnect("moved", name);
                talk.expect_close(name);
                talk.ask("moved", &request::path(op::EPHEMERALS, "/dead"));
            }
        }
        talk.drain(&watcher);
        talk.ask("a", &request::read(op::EXISTS, &format!("/dead/{name}"), false));
        talk.ask("a", &request::read(op::CHILDREN2, "/dead", false));
    }
    talk.note("the dead do not come back, and their names are free");
    talk.reconnect("ghost", "kept");
    talk.expect_close("ghost");
    talk.ask("a", &request::create_flags("/dead/hangs-up", 1));
    talk.note("another session may delete an ephemeral, and take its name");
    talk.ask("a", &request::delete("/dead/moves", -1));
    talk.ask("a", &request::create("/dead/moves", "mine now"));
    talk.ask("moved", &request::path(op::EPHEMERALS, "/"));
    talk.ask("moved", &request::bare(op::CLOSE_SESSION));
    talk.expect_close("moved");
    talk.ask("a", &request::read(op::DATA, "/dead/moves", false));
    talk.remove_tree("a", "/dead");
}
