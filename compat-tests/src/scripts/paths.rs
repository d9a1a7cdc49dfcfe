//! Path rules: a table of paths through every operation that takes one.

use super::{Script, Setup};
use crate::conversation::Conversation;
use crate::wire::{op, open, request};

pub const SCRIPTS: &[Script] = &[
    Script::new("paths: the rules", Setup::Fresh, rules),
    Script::new("paths: every character", Setup::Usual, characters),
    Script::new("paths: sequence suffixes", Setup::Fresh, suffixes),
    Script::new("paths: special nodes", Setup::Usual, special),
];

const PATHS: &[&str] = &[
    "",
    "/",
    "//",
    "///",
    "/.",
    "/..",
    "/./",
    "/../",
    "/a",
    "/a/",
    "a",
    "a/b",
    " ",
    "/ ",
    "/ /",
    "/a b",
    "\0",
    "/\0",
    "/a\0b",
    "/a/\0",
    ".",
    "..",
    "/...",
    "/.a",
    "/a.",
    "/..a",
    "/a..",
    "/p/.",
    "/p/..",
    "/p/./x",
    "/p/../x",
    "/p//x",
    "/p/x/",
    "//p",
    "//p/x",
    "/p/x//",
    "/p/ ",
    "/p/\t",
    "/p/\n",
    "/p/\r\n",
    "/p/x\ny",
    "/p/\u{1}",
    "/p/\u{1f}",
    "/p/\u{20}",
    "/p/\u{7e}",
    "/p/\u{7f}",
    "/p/\u{80}",
    "/p/\u{9f}",
    "/p/\u{a0}",
    "/p/ü",
    "/p/日本",
    "/p/\u{d7ff}",
    "/p/\u{e000}",
    "/p/\u{f8ff}",
    "/p/\u{f900}",
    "/p/\u{ffef}",
    "/p/\u{fff0}",
    "/p/\u{fffd}",
    "/p/\u{ffff}",
    "/p/\u{10000}",
    "/p/😀",
    "/p/x.y",
    "/p/-",
    "/p/0000000001",
    "/p/%2F",
    "/p/\\",
    "/p/'",
    "/p/\"",
    "/p/$",
    "/p/*",
    "/p/:",
    "/p/x/y",
    "/none/x",
    "/none/x/",
    "/none//x",
    "/p/e",
    "/p/e/x",
    "/p/e/x/",
    "/p/e/.",
    "/p/e/\u{1}",
];

fn rules(talk: &mut Conversation) {
    talk.connect("a");
    for path in PATHS {
        talk.ask("a", &request::create("/p", ""));
        talk.ask("a", &request::create_flags("/p/e", 1));
        for code in [op::CREATE, op::CREATE2, op::CREATE_CONTAINER] {
            talk.ask("a", &request::create_as(code, path, Some(b"d"), &open(), if code == 19 { 4 } else { 0 }));
            talk.ask("a", &request::delete(path, -1));
        }
        for flags in [1, 2, 3] {
            talk.ask("a", &request::create_flags(path, flags));
        }
        talk.ask("a", &request::set_data(path, Some(b"d"), -1));
        talk.ask("a", &request::set_data(path, Some(b"d"), 99));
        talk.ask("a", &request::set_acl(path, &open(), 99));
        talk.ask("a", &request::set_acl(path, &[], 99));
        for code in [op::EXISTS, op::DATA, op::CHILDREN, op::CHILDREN2] {
            talk.ask("a", &request::read(code, path, true));
        }
        for code in [op::ACL, op::SYNC, op::EPHEMERALS, op::ALL_CHILDREN_NUMBER] {
            talk.ask("a", &request::path(code, path));
        }
        for mode in [0, 1] {
            talk.ask("a", &request::add_watch(path, mode));
        }
        for kind in [1, 2, 3, 4, 5] {
            talk.ask("a", &request::watches(op::CHECK_WATCHES, path, kind));
        }
        talk.ask("a", &request::watches(op::REMOVE_WATCHES, path, 3));
        talk.ask("a", &request::multi(op::MULTI, &[request::check(path, -1)]));
        talk.ask("a", &request::multi(op::MULTI, &[request::create(path, "m"), request::delete(path, 0)]));
        talk.ask("a", &request::multi(op::MULTI, &[request::set_data(path, None, 0)]));
        let reads = [request::read(op::DATA, path, false), request::read(op::CHILDREN, path, false)];
        talk.ask("a", &request::multi(op::MULTI_READ, &reads));
        talk.ask("a", &request::set_watches(0, &[&[path], &[path], &[path]]));
        talk.ask("a", &request::delete(path, 7));
        talk.ask("a", &request::delete(path, -1));
        talk.remove_tree("a", "/p");
        // A fresh connection, so that no watch of this path is left.
        talk.ask("a", &request::bare(op::CLOSE_SESSION));
        talk.connect("a");
        talk.become_super("a");
    }
    for name in ["/a", "/ ", "/a b", "/...", "/.a", "/a.", "/..a", "/a.."] {
        talk.remove_tree("a", name);
    }
    talk.ask("a", &request::read(op::CHILDREN, "/", false));
}

fn characters(talk: &mut Conversation) {
    talk.connect("a");
    talk.ask("a", &request::create("/p", ""));
    let interesting = (0..0x180)
        .chain((0x2000..0x2070).step_by(7))
        .chain([0xd7fe, 0xd7ff, 0xe000, 0xe001, 0xf000, 0xf8fe, 0xf8ff, 0xf900, 0xfefe, 0xfeff])
        .chain(0xffe8..=0xffff)
        .chain([0x10000, 0x1f600, 0x10ffff]);
    for character in interesting.filter_map(char::from_u32) {
        talk.ask("a", &request::create(&format!("/p/x{character}"), ""));
    }
    talk.ask("a", &request::read(op::CHILDREN2, "/p", false));
    talk.remove_tree("a", "/p");
}

fn suffixes(talk: &mut Conversation) {
    talk.connect("a");
    talk.ask("a", &request::create("/p", ""));
    for (name, flags) in [
        ("/p/s-", 2),
        ("/p/s-", 3),
        ("/p/", 2),
        ("/p/", 3),
        ("/p/n", 0),
        ("/p/s-", 2),
        ("/p//", 2),
        ("/p/..", 2),
        ("/p/.", 3),
        ("/p/s", 7),
        ("/p/\u{1}", 2),
        ("/", 2),
        ("/", 3),
        ("s", 2),
        ("", 2),
        ("/none/s-", 2),
    ] {
        talk.ask("a", &request::create_flags(name, flags));
    }
    talk.note("deleting does not turn the counter back");
    talk.ask("a", &request::delete("/p/n", 0));
    talk.ask("a", &request::create_flags("/p/s-", 2));
    talk.ask("a", &request::read(op::EXISTS, "/p", false));
    talk.note("within a multi");
    talk.ask(
        "a",
        &request::multi(
            op::MULTI,
            &[
                request::create_flags("/p/m-", 2),
                request::create_flags("/p/m-", 3),
                request::create("/p/plain", ""),
                request::create_flags("/p/m-", 2),
            ],
        ),
    );
    talk.note("a failed multi does not count");
    talk.ask("a", &request::multi(op::MULTI, &[request::create_flags("/p/f-", 2), request::delete("/none", 0)]));
    talk.ask("a", &request::create_flags("/p/after-", 2));
    talk.note("pipelined");
    let many: Vec<_> = (0..16).map(|at| request::create_flags("/p/q-", if at % 2 == 0 { 2 } else { 3 })).collect();
    talk.pipeline("a", &many);
    talk.ask("a", &request::read(op::CHILDREN2, "/p", false));
    talk.remove_tree("a", "/p");
    talk.ask("a", &request::read(op::CHILDREN2, "/", false));
}

fn special(talk: &mut Conversation) {
    talk.connect("a");
    for super_user in [false, true] {
        if super_user {
            talk.become_super("a");
        }
        for path in ["/", "/zookeeper", "/zookeeper/quota", "/zookeeper/config", "/zookeeper/other"] {
            talk.ask("a", &request::create(path, ""));
            talk.ask("a", &request::read(op::EXISTS, path, false));
            talk.ask("a", &request::path(op::ACL, path));
            talk.ask("a", &request::read(op::CHILDREN, path, false));
            talk.ask("a", &request::set_data(path, Some(b"x"), -1));
            talk.ask("a", &request::set_data(path, Some(b""), -1));
            talk.ask("a", &request::set_acl(path, &open(), 77));
            talk.ask("a", &request::delete(path, -1));
            talk.ask("a", &request::multi(op::MULTI, &[request::delete(path, -1)]));
            talk.ask("a", &request::multi(op::MULTI, &[request::check(path, -1)]));
        }
    }
}
