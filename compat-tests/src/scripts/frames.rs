//! What a session's connection does with frames that are no proper request.

use super::{Script, Setup};
use crate::conversation::Conversation;
use crate::wire::{Request, Writer, frame, op, op_name, open, request};

pub const SCRIPTS: &[Script] = &[
    Script::new("frames: unknown operations", Setup::Usual, unknown),
    Script::new("frames: lengths", Setup::Usual, lengths),
    Script::new("frames: lengths under a small jute.maxbuffer", Setup::Limits, small_limit),
    Script::new("frames: lengths under a large jute.maxbuffer", Setup::LargeFrames, large_limit),
    Script::new("frames: records cut short", Setup::Usual, cut_short),
    Script::new("frames: bytes behind the record", Setup::Usual, trailing),
    Script::new("frames: null strings and vectors", Setup::Usual, nulls),
    Script::new("frames: lengths inside records", Setup::Usual, inner_lengths),
    Script::new("frames: strings that are no UTF-8", Setup::Usual, strings),
    Script::new("frames: a character above U+FFFF", Setup::Usual, beyond_the_plane),
];

fn unknown(talk: &mut Conversation) {
    for code in [0, -1, 10, op::CHECK, 23, 24, 50, 99, 108, 109, 999, -2, -9, -12, i32::MAX, i32::MIN] {
        talk.connect("a");
        talk.ask("a", &Request::raw(code, "", Writer::new().string("/x").int(0)));
        talk.expect_close("a");
    }
    // Behind requests that are still under way Java's answer may overtake theirs: no order to compare.
}

fn lengths(talk: &mut Conversation) {
    for length in [-1, i32::MIN, 1_048_576, i32::MAX] {
        talk.connect("a");
        talk.send("a", &Writer::new().int(length).int(1).bytes, &format!("frame length {length}"));
        talk.expect_close("a");
    }
    for length in 0..8 {
        talk.connect("a");
        talk.send("a", &frame(&[0; 8][..length]), &format!("frame of {length} bytes"));
        talk.expect_close("a");
    }
    talk.note("the longest frame that is allowed");
    talk.connect("a");
    // Header 8, path 4 + 5, data length 4, ACL vector 4 + 4 + 4 + 5 + 4 + 6, flags 4.
    let overhead = 8 + 9 + 4 + 27 + 4;
    let data = vec![b'x'; 1_048_575 - overhead];
    talk.ask("a", &request::create_as(op::CREATE, "/long", Some(&data), &open(), 0));
    talk.ask("a", &request::read(op::DATA, "/long", false));
    talk.ask("a", &request::delete("/long", 0));
    let data = vec![b'x'; 1_048_576 - overhead];
    talk.ask("a", &request::create_as(op::CREATE, "/long", Some(&data), &open(), 0));
}

fn small_limit(talk: &mut Conversation) {
    for length in [4096, 4097] {
        talk.connect("a");
        let data = vec![b'x'; length - (8 + 9 + 4 + 27 + 4)];
        talk.ask("a", &request::create_as(op::CREATE, "/long", Some(&data), &open(), 0));
        talk.ask("a", &request::read(op::DATA, "/long", false));
        talk.ask("a", &request::delete("/long", 0));
        talk.ask("a", &request::bare(op::CLOSE_SESSION));
    }
}

/// A well-formed request of every operation that takes a record.
fn large_limit(talk: &mut Conversation) {
    talk.connect("a");
    let create = |path: &str, length: usize| request::create_as(op::CREATE2, path, Some(&vec![b'x'; length]), &crate::wire::open(), 0);
    let around = create("/large", 0).frame(0).len() - 4;
    for length in [1_048_575, 1_048_576, 2_097_152, 2_900_000, 3_000_000 - around - 1, 3_000_000 - around, 3_000_000 - around + 1] {
        talk.note(format!("data of {length} bytes"));
        talk.ask("a", &create("/large", length));
        if !talk.lines.contains_key("a") {
            talk.connect("a");
        }
        talk.ask("a", &request::set_data("/large", Some(b"small"), -1));
        talk.ask("a", &request::delete("/large", -1));
    }
    talk.note("read again, and many in one reply");
    for name in ["/large1", "/large2"] {
        talk.ask("a", &create(name, 2_000_000));
        let reply = talk.ask("a", &request::read(op::EXISTS, name, false));
        talk.note(format!("{:?}", reply.map(|reply| reply.frame.len())));
    }
    let both = ["/large1", "/large2"].map(|path| request::read(op::DATA, path, false));
    let mark = talk.transcript.len();
    let reply = talk.ask("a", &request::multi(op::MULTI_READ, &both));
    // Megabytes of the same letter: what matters is how many.
    talk.transcript.truncate(mark);
    talk.note(format!("{:?}", reply.map(|reply| reply.frame.len())));
    for name in ["/large1", "/large2"] {
        talk.ask("a", &request::delete(name, -1));
    }
}

fn examples() -> Vec<Request> {
    let path = "/frames/n";
    vec![
        request::create("/frames/c", "data"),
        request::create2("/frames/c2", "data"),
        request::create_as(op::CREATE_CONTAINER, "/frames/cc", Some(b"d"), &open(), 4),
        request::create_ttl("/frames/ct", &open(), 5, 60_000),
        request::delete("/frames/none", 0),
        request::read(op::EXISTS, path, false),
        request::read(op::DATA, path, false),
        request::set_data(path, Some(b"data"), -1),
        request::path(op::ACL, path),
        request::set_acl(path, &open(), -1),
        request::read(op::CHILDREN, path, false),
        request::read(op::CHILDREN2, path, false),
        request::path(op::SYNC, path),
        request::watches(op::CHECK_WATCHES, path, 3),
        request::watches(op::REMOVE_WATCHES, path, 3),
        request::path(op::EPHEMERALS, path),
        request::path(op::ALL_CHILDREN_NUMBER, path),
        request::add_watch(path, 0),
        request::set_watches(i64::MAX, &[&[path], &[], &[]]),
        request::set_watches(i64::MAX, &[&[path], &[], &[], &[], &[]]),
        request::multi(op::MULTI, &[request::check(path, -1)]),
        request::multi(op::MULTI_READ, &[request::read(op::DATA, path, false)]),
        Request::raw(op::RECONFIG, "null x3 0", Writer::new().buffer(None).buffer(None).buffer(None).long(0)),
    ]
}

fn prepare(talk: &mut Conversation) {
    talk.connect("a");
    talk.ask("a", &request::create("/frames", ""));
    talk.ask("a", &request::create("/frames/n", ""));
}

fn clean_up(talk: &mut Conversation) {
    talk.connect("z");
    talk.remove_tree("z", "/frames");
}

/// Asks on a connection of its own, since some answers are a closed connection.
fn ask_afresh(talk: &mut Conversation, request: &Request) {
    if !talk.lines.contains_key("x") {
        talk.connect("x");
    }
    talk.ask("x", request);
    talk.drain("x");
}

fn cut_short(talk: &mut Conversation) {
    prepare(talk);
    for example in examples() {
        let length = example.body.len();
        for keep in [0, 1, 3, 4, 6, length / 2, length - 5, length - 1] {
            if keep >= length || talk.is_lost() {
                continue;
            }
            let cut = Request { body: example.body[..keep].to_vec(), ..example.clone() };
            talk.note(format!("{} cut to {keep} of {length}", op_name(cut.op)));
            ask_afresh(talk, &cut);
        }
    }
    clean_up(talk);
}

fn trailing(talk: &mut Conversation) {
    prepare(talk);
    for example in examples() {
        let mut longer = example.clone();
        longer.body.extend([1, 2, 3, 4]);
        longer.label += " + 4 bytes";
        ask_afresh(talk, &longer);
    }
    clean_up(talk);
}

fn nulls(talk: &mut Conversation) {
    prepare(talk);
    for code in [op::EXISTS, op::DATA, op::CHILDREN, op::CHILDREN2] {
        ask_afresh(talk, &Request::raw(code, "null path", Writer::new().int(-1).boolean(false)));
        ask_afresh(talk, &Request::raw(code, "null path, watch", Writer::new().int(-1).boolean(true)));
    }
    for code in [op::ACL, op::SYNC, op::EPHEMERALS, op::ALL_CHILDREN_NUMBER] {
        ask_afresh(talk, &Request::raw(code, "null path", Writer::new().int(-1)));
    }
    for code in [op::DELETE, op::CHECK_WATCHES, op::REMOVE_WATCHES] {
        ask_afresh(talk, &Request::raw(code, "null path", Writer::new().int(-1).int(3)));
    }
    for mode in [0, 1] {
        ask_afresh(talk, &Request::raw(op::ADD_WATCH, format!("null path mode {mode}"), Writer::new().int(-1).int(mode)));
    }
    for code in [op::CREATE, op::CREATE2, op::CREATE_CONTAINER] {
        let label = "null path";
        ask_afresh(talk, &Request::raw(code, label, Writer::new().int(-1).string("d").acls(&open()).int(0)));
        let label = "null data";
        ask_afresh(talk, &Request::raw(code, label, Writer::new().string("/frames/d").int(-1).acls(&open()).int(0)));
        ask_afresh(talk, &request::read(op::DATA, "/frames/d", false));
        ask_afresh(talk, &request::delete("/frames/d", 0));
        let label = "null access list";
        ask_afresh(talk, &Request::raw(code, label, Writer::new().string("/frames/d").int(-1).int(-1).int(0)));
        let label = "null scheme and id";
        let writer = Writer::new().string("/frames/d").int(-1).int(1).int(31);
        ask_afresh(talk, &Request::raw(code, label, writer.int(-1).int(-1).int(0)));
        let label = "null id";
        let writer = Writer::new().string("/frames/d").int(-1).int(1).int(31).string("world");
        ask_afresh(talk, &Request::raw(code, label, writer.int(-1).int(0)));
        let label = "null id of digest";
        let writer = Writer::new().string("/frames/d").int(-1).int(1).int(31).string("digest");
        ask_afresh(talk, &Request::raw(code, label, writer.int(-1).int(0)));
        let label = "null id of ip";
        let writer = Writer::new().string("/frames/d").int(-1).int(1).int(31).string("ip");
        ask_afresh(talk, &Request::raw(code, label, writer.int(-1).int(0)));
        ask_afresh(talk, &request::delete("/frames/d", 0));
    }
    ask_afresh(talk, &Request::raw(op::SET_DATA, "null path", Writer::new().int(-1).int(-1).int(-1)));
    ask_afresh(talk, &Request::raw(op::SET_DATA, "null data", Writer::new().string("/frames/n").int(-1).int(-1)));
    ask_afresh(talk, &request::read(op::DATA, "/frames/n", false));
    ask_afresh(talk, &Request::raw(op::SET_ACL, "null path", Writer::new().int(-1).acls(&open()).int(-1)));
    ask_afresh(talk, &Request::raw(op::SET_ACL, "null list", Writer::new().string("/frames/n").int(-1).int(-1)));
    ask_afresh(talk, &Request::raw(op::SET_WATCHES, "null lists", Writer::new().long(0).int(-1).int(-1).int(-1)));
    ask_afresh(talk, &Request::raw(op::SET_WATCHES2, "null lists", Writer::new().long(0).int(-1).int(-1).int(-1).int(-1).int(-1)));
    ask_afresh(talk, &Request::raw(op::AUTH, "null scheme", Writer::new().int(0).int(-1).string("u:p")));
    ask_afresh(talk, &Request::raw(op::AUTH, "null data", Writer::new().int(0).string("digest").int(-1)));
    ask_afresh(talk, &Request::raw(op::AUTH, "null data, ip", Writer::new().int(0).string("ip").int(-1)));
    for code in [op::CREATE, op::DELETE, op::CHECK] {
        let part = match code {
            op::CREATE => Writer::new().int(-1).string("d").acls(&open()).int(0),
            _ => Writer::new().int(-1).int(0),
        };
        let part = Request::raw(code, "null path", part);
        ask_afresh(talk, &request::multi(op::MULTI, &[part]));
    }
    clean_up(talk);
}

fn inner_lengths(talk: &mut Conversation) {
    prepare(talk);
    for length in [-2, i32::MIN, i32::MAX, 2_097_151, 100] {
        for (code, fields) in [
            (op::EXISTS, Writer::new().int(length).raw(b"/frames/n\0")),
            (op::SET_DATA, Writer::new().string("/frames/n").int(length).raw(b"data").int(-1)),
            (op::CREATE, Writer::new().string("/frames/l").string("d").int(length).int(31).string("world").string("anyone").int(0)),
            (op::SET_WATCHES, Writer::new().long(0).int(length).string("/frames/n")),
            (op::AUTH, Writer::new().int(0).int(length).raw(b"digest")),
            (op::AUTH, Writer::new().int(0).string("digest").int(length).raw(b"u:p")),
        ] {
            ask_afresh(talk, &Request::raw(code, format!("inner length {length}"), fields));
        }
    }
    talk.note("what is left of it");
    ask_afresh(talk, &request::read(op::CHILDREN2, "/frames", false));
    clean_up(talk);
}

/// Java decodes with replacement characters and encodes UTF-16 units one by one; both show in sync's echo, in access
/// list ids and in paths.
/// Java keeps two surrogates in memory, and what it writes of them into its files is something else.
fn beyond_the_plane(talk: &mut Conversation) {
    use_strings(talk, &["/😀".as_bytes()]);
}

fn strings(talk: &mut Conversation) {
    let samples: &[&[u8]] = &[
        "/ä/€".as_bytes(),
        b"/\xED\xA0\xBD\xED\xB8\x80",
        b"/\xED\xA0\x80",
        b"/\xC3",
        b"/\xC3\x28",
        b"/\xE2\x82",
        b"/\xE2\x28\xA1",
        b"/\xF0\x9F\x98",
        b"/\xF0\x28\x8C\xBC",
        b"/\xF8\x88\x80\x80\x80",
        b"/\xFF\xFE",
        b"/\xC0\x80",
        b"/\xC0\xAF",
        b"/\xE0\x80\xAF",
        b"/\xF4\x90\x80\x80",
        b"/\x80\x80\x80",
        b"/\xEF\xBF\xBD",
        b"/a\0b",
        b"\xEF\xBB\xBF/bom",
    ];
    use_strings(talk, samples);
}

/// Each as a path and as an id, wherever one comes in or goes out.
fn use_strings(talk: &mut Conversation, samples: &[&[u8]]) {
    prepare(talk);
    for sample in samples {
        let shown = sample.escape_ascii().to_string();
        let with_path = |code, fields: Writer| Request::raw(code, shown.clone(), fields);
        ask_afresh(talk, &with_path(op::SYNC, Writer::new().buffer(Some(sample))));
        ask_afresh(talk, &with_path(op::EXISTS, Writer::new().buffer(Some(sample)).boolean(true)));
        let below = [b"/frames", *sample].concat();
        let create = Writer::new().buffer(Some(&below)).string("d").acls(&open()).int(0);
        ask_afresh(talk, &with_path(op::CREATE, create));
        ask_afresh(talk, &with_path(op::DELETE, Writer::new().buffer(Some(&below)).int(-1)));
        let id = [&sample[1..], b":h"].concat();
        let list = Writer::new().string("/frames/n").int(2).int(31).string("world").string("anyone");
        let list = list.int(1).string("digest").buffer(Some(&id)).int(-1);
        ask_afresh(talk, &with_path(op::SET_ACL, list));
        ask_afresh(talk, &request::path(op::ACL, "/frames/n"));
        talk.connect("u");
        let auth = Writer::new().int(0).string("digest").buffer(Some(&[&sample[1..], b":pw"].concat()));
        talk.ask_as("u", -4, &with_path(op::AUTH, auth));
        talk.ask("u", &request::bare(op::WHO_AM_I));
        let mine = vec![crate::wire::acl(31, "auth", ""), crate::wire::acl(31, "world", "anyone")];
        talk.ask("u", &request::set_acl("/frames/n", &mine, -1));
        talk.ask("u", &request::path(op::ACL, "/frames/n"));
        talk.ask("u", &request::bare(op::CLOSE_SESSION));
    }
    clean_up(talk);
}
