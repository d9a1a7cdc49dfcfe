//! Access lists: every scheme, every permission, every operation, addauth, and what getACL shows to whom.

use super::{Script, Setup};
use crate::conversation::Conversation;
use crate::wire::{Acl, Request, Writer, acl, op, open, request};

pub const SCRIPTS: &[Script] = &[
    Script::new("access: valid and invalid lists", Setup::Usual, lists),
    Script::new("access: valid and invalid lists, checked eagerly", Setup::EagerAcl, lists),
    Script::new("access: valid and invalid lists, none checked", Setup::SkipAcl, lists),
    Script::new("access: valid and invalid lists without digest", Setup::NoDigestScheme, lists),
    Script::new("access: each permission for each operation", Setup::Usual, permissions),
    Script::new("access: each permission, checked eagerly", Setup::EagerAcl, permissions),
    Script::new("access: each permission, none checked", Setup::SkipAcl, permissions),
    Script::new("access: addauth", Setup::Usual, add_auth),
    Script::new("access: addauth with SHA-256", Setup::DigestSha256, add_auth),
    Script::new("access: addauth without digest", Setup::NoDigestScheme, add_auth),
    Script::new("access: addauth without a super user", Setup::Defaults, add_auth),
    Script::new("access: ip ranges", Setup::Usual, ip_ranges),
    Script::new("access: getACL shows hashes to admins only", Setup::Usual, masking),
    Script::new("access: setACL versions", Setup::Usual, versions),
    Script::new("access: super", Setup::Usual, super_user),
    Script::new("access: delivery of events", Setup::Usual, events),
];

fn lists(talk: &mut Conversation) {
    talk.connect("a");
    talk.ask("a", &request::create("/lists", ""));
    let ids = [
        ("world", "anyone"),
        ("world", "Anyone"),
        ("world", ""),
        ("world", "anyone "),
        ("World", "anyone"),
        ("", ""),
        ("ip", "127.0.0.1"),
        ("ip", "127.0.0.1/8"),
        ("ip", "10.0.0.0/33"),
        ("ip", "10.0.0.0/32"),
        ("ip", "10.0.0.0/-1"),
        ("ip", "10.0.0.0/0"),
        ("ip", "10.0.0.0/"),
        ("ip", "10.0.0.0/x"),
        ("ip", "10.0.0.256"),
        ("ip", "10.0.0"),
        ("ip", "10.0.0.0.0"),
        ("ip", "::1"),
        ("ip", "::1/128"),
        ("ip", "::1/129"),
        ("ip", "fe80::1/64"),
        ("ip", "1::2::3"),
        ("ip", ""),
        ("ip", "localhost"),
        ("ip", "10.0.0.0/8/8"),
        ("ip", "010.0.0.1"),
        ("ip", "+1.0.0.1"),
        ("ip", " 1.0.0.1"),
        ("ip", "::ffff:1.2.3.4"),
        ("ip", "2001:db8:0:0:0:0:0:1"),
        ("ip", "2001:db8::g"),
        ("ip", "/8"),
        ("ip", "%eth0"),
        ("digest", "u:p"),
        ("digest", "u"),
        ("digest", ""),
        ("digest", ":"),
        ("digest", "u:"),
        ("digest", ":p"),
        ("digest", "a:b:c"),
        ("digest", "::"),
        ("digest", "u:p:"),
        ("digest", "u::"),
        ("digest", "a b:c d"),
        ("auth", ""),
        ("auth", "anything"),
        ("sasl", "user"),
        ("sasl", "user@REALM"),
        ("sasl", "user/host@REALM"),
        ("sasl", ""),
        ("sasl", "a/b/c@d"),
        ("sasl", "@"),
        ("x509", "CN=a"),
        ("x509", "nonsense"),
        ("x509", ""),
        ("x509", "CN=a,O=b,C=DE"),
        ("super", ""),
        ("super", "x"),
        ("ensemble", "x"),
        ("key", "1"),
        ("nonsense", "x"),
    ];
    for authenticated in [false, true] {
        if authenticated {
            talk.ask_as("a", -4, &request::auth("digest", b"u:p"));
            talk.ask_as("a", -4, &request::auth("digest", b"v:q"));
            if !talk.lines.contains_key("a") {
                talk.connect("a");
            }
        }
        for (scheme, id) in ids {
            let list = [acl(31, scheme, id)];
            talk.ask("a", &request::create_acl("/lists/n", &list));
            talk.ask("a", &request::path(op::ACL, "/lists/n"));
            talk.ask("a", &request::delete("/lists/n", -1));
            talk.ask("a", &request::create("/lists/o", ""));
            talk.ask("a", &request::set_acl("/lists/o", &list, -1));
            talk.ask("a", &request::path(op::ACL, "/lists/o"));
            talk.ask("a", &request::set_acl("/lists/o", &open(), -1));
            talk.ask("a", &request::delete("/lists/o", -1));
            talk.ask("a", &request::multi(op::MULTI, &[request::create_acl("/lists/m", &list), request::delete("/lists/m", 0)]));
        }
    }
    let one = |permissions| acl(permissions, "world", "anyone");
    let combinations: [Vec<Acl>; 9] = [
        vec![],
        vec![one(0)],
        vec![one(-1)],
        vec![one(32)],
        vec![one(i32::MAX), one(31)],
        vec![one(31), one(31), one(1)],
        vec![acl(31, "auth", ""), acl(1, "auth", "x"), one(1)],
        vec![acl(31, "digest", "u:p"), acl(31, "digest", "u:p"), acl(30, "digest", "u:p"), one(31)],
        vec![one(31), acl(31, "nonsense", "x")],
    ];
    for list in combinations {
        talk.ask("a", &request::create_acl("/lists/n", &list));
        talk.ask("a", &request::path(op::ACL, "/lists/n"));
        talk.ask("a", &request::create("/lists/o", ""));
        talk.ask("a", &request::set_acl("/lists/o", &list, -1));
        talk.ask("a", &request::path(op::ACL, "/lists/o"));
        talk.ask("a", &request::delete("/lists/o", -1));
        talk.ask("a", &request::delete("/lists/n", -1));
    }
    talk.become_super_if_possible("a");
    talk.remove_tree("a", "/lists");
}

/// Everything that may be done to `/perm/n` and its child, none of which changes a thing for the next.
fn operations(path: &str) -> Vec<Request> {
    let child = format!("{path}/child");
    let new = format!("{path}/new");
    vec![
        request::read(op::EXISTS, path, true),
        request::read(op::DATA, path, true),
        request::read(op::CHILDREN, path, true),
        request::read(op::CHILDREN2, path, true),
        request::path(op::ACL, path),
        request::path(op::ALL_CHILDREN_NUMBER, path),
        request::watches(op::CHECK_WATCHES, path, 3),
        request::add_watch(path, 0),
        request::watches(op::REMOVE_WATCHES, path, 3),
        request::set_data(path, Some(b"x"), 99),
        request::set_data(path, Some(b"x"), -1),
        request::set_acl(path, &open(), 99),
        request::create(&new, ""),
        request::create_flags(&new, 2),
        request::create(&child, ""),
        request::delete(&new, -1),
        request::delete(&child, 99),
        request::delete(&format!("{path}/none"), -1),
        request::multi(op::MULTI, &[request::check(path, -1)]),
        request::multi(op::MULTI, &[request::check(path, 99)]),
        request::multi(op::MULTI, &[request::set_data(path, Some(b"x"), -1)]),
        request::multi(op::MULTI, &[request::create(&new, ""), request::delete(&new, -1)]),
        request::multi(
            op::MULTI_READ,
            &[request::read(op::DATA, path, false), request::read(op::CHILDREN, path, false), request::read(op::DATA, &child, false)],
        ),
    ]
}

fn permissions(talk: &mut Conversation) {
    talk.connect("admin");
    talk.become_super("admin");
    talk.connect("plain");
    talk.connect("user");
    talk.ask_as("user", -4, &request::auth("digest", b"u:p"));
    talk.ask("admin", &request::create("/perm", ""));
    for bits in [0, 1, 2, 4, 8, 16, 30, 29, 27, 23, 15, 31, 32] {
        talk.note(format!("permissions {bits}"));
        let hashed = "u:Jq7wMyA/w2Vd5WIDAKdu4OIIFEQ=";
        talk.ask("admin", &request::create_acl("/perm/n", &[acl(bits, "digest", hashed), acl(1, "ip", "10.0.0.0/8")]));
        talk.ask("admin", &request::create("/perm/n/child", ""));
        for one in operations("/perm/n") {
            talk.ask("user", &one);
            talk.ask("plain", &one);
        }
        talk.ask("admin", &request::read(op::CHILDREN2, "/perm/n", false));
        talk.remove_tree("admin", "/perm/n");
        talk.drain("user");
        talk.drain("plain");
        talk.ask("admin", &request::create_acl("/perm/n", &[acl(bits, "ip", "127.0.0.0/8")]));
        for one in operations("/perm/n") {
            talk.ask("plain", &one);
        }
        talk.remove_tree("admin", "/perm/n");
        talk.drain("plain");
    }
    talk.remove_tree("admin", "/perm");
}

fn add_auth(talk: &mut Conversation) {
    let cases: &[(&str, &[u8])] = &[
        ("digest", b"u:p"),
        ("digest", b"u:p"),
        ("digest", b"v:q"),
        ("digest", b"nocolon"),
        ("digest", b""),
        ("digest", b":"),
        ("digest", b"a:b:c"),
        ("digest", b"super:wrong"),
        ("digest", b"super:secret"),
        ("digest", b"\xff\xfe:x"),
        ("ip", b""),
        ("ip", b"10.0.0.1"),
        ("auth", b"x"),
        ("world", b"anyone"),
        ("sasl", b""),
        ("sasl", b"user"),
        ("x509", b"CN=a"),
        ("super", b""),
        ("nonsense", b"x"),
        ("", b""),
        ("Digest", b"u:p"),
        ("ensemble", b"x"),
        ("key", b"1"),
    ];
    for (scheme, data) in cases {
        talk.connect("a");
        talk.ask_as("a", -4, &request::auth(scheme, data));
        talk.ask("a", &request::bare(op::WHO_AM_I));
        talk.ask("a", &request::create_acl("/auth", &[acl(31, "auth", "")]));
        talk.ask("a", &request::path(op::ACL, "/auth"));
        talk.ask("a", &request::delete("/auth", -1));
        talk.connect("b");
        talk.ask("b", &request::bare(op::CLOSE_SESSION));
    }
    talk.note("ids add up");
    talk.connect("a");
    for (scheme, data) in cases.iter().take(4) {
        talk.ask("a", &request::auth(scheme, data));
        talk.ask("a", &request::bare(op::WHO_AM_I));
    }
    talk.note("other xids and packet types");
    talk.connect("a");
    for (xid, kind) in [(-4, 1), (5, -1), (0, 100), (-2, 0)] {
        let body = Writer::new().int(kind).string("digest").string("u:p");
        talk.ask_as("a", xid, &Request::raw(op::AUTH, format!("type {kind}"), body));
    }
    talk.ask("a", &request::bare(op::WHO_AM_I));
    talk.note("a failure closes the connection, not the session");
    talk.ask("a", &request::create_flags("/auth-e", 1));
    let kept = talk.lines.get("a").map(|line| (line.session, line.password.clone()));
    talk.ask_as("a", -4, &request::auth("nonsense", b"x"));
    talk.expect_close("a");
    if let Some((session, password)) = kept {
        let connect = crate::connection::Connect { session, password: Some(password), ..Default::default() };
        talk.connect_with("a", &connect);
        talk.ask("a", &request::read(op::EXISTS, "/auth-e", false));
        talk.ask("a", &request::delete("/auth-e", -1));
    }
}

fn ip_ranges(talk: &mut Conversation) {
    talk.connect("a");
    talk.ask("a", &request::create("/ip", ""));
    for (at, range) in [
        "127.0.0.1",
        "127.0.0.2",
        "127.0.0.1/32",
        "127.0.0.0/31",
        "127.0.0.2/31",
        "127.255.0.0/8",
        "128.0.0.0/1",
        "0.0.0.0/1",
        "255.0.0.0/0",
        "126.0.0.0/7",
        "::1",
        "::ffff:127.0.0.1",
        "0:0:0:0:0:ffff:7f00:1",
        "::/0",
        "127.1.2.3/9",
    ]
    .iter()
    .enumerate()
    {
        let path = format!("/ip/{at}");
        talk.ask("a", &request::create_acl(&path, &[acl(1, "ip", range), acl(24, "world", "anyone")]));
        talk.ask("a", &request::read(op::DATA, &path, false));
        talk.ask("a", &request::path(op::ACL, &path));
    }
    talk.remove_tree("a", "/ip");
}

fn masking(talk: &mut Conversation) {
    talk.connect("admin");
    talk.become_super("admin");
    talk.connect("plain");
    talk.connect("user");
    talk.ask_as("user", -4, &request::auth("digest", b"u:p"));
    for (at, everybody) in [0, 1, 2, 16, 17, 31].into_iter().enumerate() {
        let path = format!("/mask{at}");
        let list = [
            acl(everybody, "world", "anyone"),
            acl(31, "digest", "u:Jq7wMyA/w2Vd5WIDAKdu4OIIFEQ="),
            acl(1, "digest", ":odd"),
            acl(1, "digest", "other:hash"),
            acl(1, "ip", "10.0.0.1/8"),
            acl(1, "sasl", "somebody"),
        ];
        talk.ask("admin", &request::create_acl(&path, &list));
        for name in ["admin", "plain", "user"] {
            talk.ask(name, &request::path(op::ACL, &path));
        }
        talk.ask("admin", &request::delete(&path, -1));
    }
}

fn versions(talk: &mut Conversation) {
    talk.connect("a");
    talk.ask("a", &request::create("/versions", ""));
    for version in [-1, 0, 1, 1, 2, -2, i32::MAX, i32::MIN, -1] {
        talk.ask("a", &request::set_acl("/versions", &open(), version));
        talk.ask("a", &request::path(op::ACL, "/versions"));
    }
    talk.ask("a", &request::set_acl("/versions/none", &open(), -1));
    talk.ask("a", &request::set_acl("/versions/none", &[], -1));
    talk.ask("a", &request::delete("/versions", 0));
}

fn super_user(talk: &mut Conversation) {
    talk.connect("a");
    talk.ask("a", &request::create_acl("/super", &[acl(0, "world", "anyone")]));
    for one in operations("/super") {
        talk.ask("a", &one);
    }
    talk.become_super("a");
    talk.ask("a", &request::bare(op::WHO_AM_I));
    for one in operations("/super") {
        talk.ask("a", &one);
    }
    talk.ask("a", &request::create_acl("/super/auth", &[acl(31, "auth", "")]));
    talk.ask("a", &request::path(op::ACL, "/super/auth"));
    talk.remove_tree("a", "/super");
}

/// An event goes only to those who may read the node; a one-shot watch is used up all the same.
fn events(talk: &mut Conversation) {
    let hashed = "u:Jq7wMyA/w2Vd5WIDAKdu4OIIFEQ=";
    let private = [acl(31, "digest", hashed)];
    talk.connect("writer");
    talk.ask_as("writer", -4, &request::auth("digest", b"u:p"));
    talk.connect("reader");
    talk.ask_as("reader", -4, &request::auth("digest", b"u:p"));
    talk.connect("stranger");
    talk.ask("writer", &request::create("/ev", ""));
    let everybody = ["reader", "stranger"];
    talk.note("a node that is not there yet, made for some eyes only");
    for name in everybody {
        talk.ask(name, &request::read(op::EXISTS, "/ev/n", true));
        talk.ask(name, &request::read(op::CHILDREN, "/ev", true));
    }
    talk.ask("writer", &request::create_acl("/ev/n", &private));
    everybody.iter().for_each(|name| talk.drain(name));
    talk.note("the watch of the stranger is used up");
    for name in everybody {
        talk.ask(name, &request::watches(op::CHECK_WATCHES, "/ev/n", 3));
    }
    talk.note("a list that closes after the watch was set");
    talk.ask("writer", &request::create("/ev/m", ""));
    for name in everybody {
        talk.ask(name, &request::read(op::DATA, "/ev/m", true));
        talk.ask(name, &request::read(op::CHILDREN, "/ev/m", true));
        talk.ask(name, &request::add_watch("/ev", 1));
        talk.ask(name, &request::add_watch("/ev/m", 0));
    }
    for one in [
        request::set_acl("/ev/m", &private, -1),
        request::set_data("/ev/m", Some(b"secret"), -1),
        request::create_acl("/ev/m/child", &open()),
        request::create_acl("/ev/m/hidden", &private),
        request::set_data("/ev/m/child", Some(b"x"), -1),
        request::set_data("/ev/m/hidden", Some(b"x"), -1),
        request::delete("/ev/m/child", -1),
        request::delete("/ev/m/hidden", -1),
        request::multi(op::MULTI, &[request::set_data("/ev/m", None, -1), request::create_acl("/ev/m/k", &private)]),
        request::delete("/ev/m/k", -1),
        request::delete("/ev/m", -1),
        request::delete("/ev/n", -1),
    ] {
        talk.ask("writer", &one);
        everybody.iter().for_each(|name| talk.drain(name));
    }
    talk.note("who becomes somebody later sees what comes later");
    talk.ask("writer", &request::create_acl("/ev/l", &private));
    talk.ask_as("stranger", -4, &request::auth("digest", b"u:p"));
    talk.ask("writer", &request::set_data("/ev/l", None, -1));
    everybody.iter().for_each(|name| talk.drain(name));
    talk.note("WRITE alone does not show an event");
    talk.ask("writer", &request::create_acl("/ev/w", &[acl(2, "world", "anyone"), acl(31, "digest", "z:z")]));
    everybody.iter().for_each(|name| talk.drain(name));
    talk.become_super("writer");
    talk.remove_tree("writer", "/ev");
    everybody.iter().for_each(|name| talk.drain(name));
}
