//! Quotas, reconfig on a server that stands alone, SASL packets without SASL, identities.

use super::{Script, Setup};
use crate::conversation::Conversation;
use crate::wire::{Request, Writer, acl, op, open, request};

pub const SCRIPTS: &[Script] = &[
    Script::new("quota: soft limits", Setup::Usual, quota),
    Script::new("quota: enforced", Setup::EnforceQuota, quota),
    Script::new("quota: texts of the limits node", Setup::EnforceQuota, quota_texts),
    Script::new("reconfig: switched off", Setup::Usual, reconfig),
    Script::new("reconfig: switched on", Setup::Reconfig, reconfig),
    Script::new("sasl: packets without a JAAS section", Setup::Usual, sasl),
    Script::new("whoAmI", Setup::Usual, who_am_i),
];

fn stats(talk: &mut Conversation, path: &str) {
    talk.ask("a", &request::read(op::DATA, &format!("/zookeeper/quota{path}/zookeeper_stats"), false));
    talk.ask("a", &request::read(op::DATA, &format!("/zookeeper/quota{path}/zookeeper_limits"), false));
}

fn set_quota(talk: &mut Conversation, path: &str, limits: &str) {
    let mut so_far = "/zookeeper/quota".to_owned();
    for part in path.split('/').skip(1) {
        so_far += &format!("/{part}");
        talk.ask("a", &request::create(&so_far, ""));
    }
    talk.ask("a", &request::create(&format!("{so_far}/zookeeper_limits"), limits));
    talk.ask("a", &request::create(&format!("{so_far}/zookeeper_stats"), "count=0,bytes=0"));
}

fn quota(talk: &mut Conversation) {
    talk.connect("a");
    talk.become_super("a");
    talk.connect("w");
    for limits in [
        "count=3,bytes=10",
        "count=3,bytes=10=;byteHardLimit=10;countHardLimit=3",
        "count=-1,bytes=-1=;countHardLimit=2",
        "count=-1,bytes=-1=;byteHardLimit=5",
        "count=-1,bytes=-1",
        "count=0,bytes=0=;byteHardLimit=0;countHardLimit=0",
    ] {
        talk.note(format!("limits {limits}"));
        talk.ask("a", &request::create("/q", "xy"));
        set_quota(talk, "/q", limits);
        stats(talk, "/q");
        talk.ask("w", &request::read(op::DATA, "/zookeeper/quota/q/zookeeper_stats", true));
        for one in [
            request::create("/q/1", "123"),
            request::create("/q/2", "4567"),
            request::create("/q/3", ""),
            request::create("/q/1/below", "z"),
            request::create_flags("/q/e", 1),
            request::set_data("/q/1", Some(b"1234567890"), -1),
            request::set_data("/q/1", Some(b"1"), -1),
            request::set_data("/q/1", None, -1),
            request::set_data("/q", Some(b"changed"), -1),
            request::set_data("/q/1", Some(b"wrong version"), 99),
            request::multi(op::MULTI, &[request::create("/q/m1", "aaaa"), request::create("/q/m2", "bbbb")]),
            request::multi(op::MULTI, &[request::set_data("/q/1", Some(b"mmmmmmmmmmmm"), -1)]),
            request::delete("/q/2", -1),
            request::create("/q/3", "after"),
            request::create("/q/3", "exists, and over the limit?"),
            request::create("/other", "outside"),
            request::delete("/other", -1),
        ] {
            talk.ask("a", &one);
            stats(talk, "/q");
        }
        talk.drain("w");
        talk.note("changed limits count at once");
        talk.ask("a", &request::set_data("/zookeeper/quota/q/zookeeper_limits", Some(b"count=100,bytes=100=;countHardLimit=100"), -1));
        talk.ask("a", &request::create("/q/later", "x"));
        stats(talk, "/q");
        talk.note("without limits");
        talk.ask("a", &request::delete("/zookeeper/quota/q/zookeeper_limits", -1));
        talk.ask("a", &request::create("/q/unlimited", "a long piece of data"));
        stats(talk, "/q");
        talk.remove_tree("a", "/q");
        stats(talk, "/q");
        talk.remove_tree("a", "/zookeeper/quota/q");
    }
    talk.note("nested quotas: the longest path counts");
    talk.ask("a", &request::create("/q", ""));
    talk.ask("a", &request::create("/q/in", ""));
    set_quota(talk, "/q", "count=2,bytes=100=;countHardLimit=2");
    set_quota(talk, "/q/in", "count=5,bytes=100=;countHardLimit=5");
    for path in ["/q/in/1", "/q/in/2", "/q/out", "/qx", "/q/inx"] {
        talk.ask("a", &request::create(path, "d"));
        stats(talk, "/q");
        stats(talk, "/q/in");
    }
    talk.remove_tree("a", "/q");
    talk.remove_tree("a", "/qx");
    talk.remove_tree("a", "/zookeeper/quota/q");
}

fn quota_texts(talk: &mut Conversation) {
    talk.connect("a");
    talk.become_super("a");
    for limits in [
        "",
        "count=1",
        "bytes=1",
        "count=2,bytes=3",
        "count=2;bytes=3",
        "bytes=3,count=2",
        "count=2,bytes=3,",
        "count=2,,bytes=3",
        "count=2,bytes=3=",
        "count=2,bytes=3=;countHardLimit=2",
        "countHardLimit=2",
        "count=2,count=9,bytes=1",
        "other=7,countHardLimit=3",
        "x",
        "count",
        "count=x",
        ",count=1",
        "count=99999999999999999999",
        "=",
    ] {
        talk.note(format!("limits {limits:?}"));
        talk.ask("a", &request::create("/q", ""));
        set_quota(talk, "/q", limits);
        for path in ["/q/1", "/q/2", "/q/3"] {
            talk.ask("a", &request::create(path, "data"));
            stats(talk, "/q");
        }
        talk.note("the stats node as the client left it");
        talk.ask("a", &request::set_data("/zookeeper/quota/q/zookeeper_stats", Some(b"count=7,bytes=7"), -1));
        talk.ask("a", &request::create("/q/4", "data"));
        stats(talk, "/q");
        talk.remove_tree("a", "/q");
        talk.remove_tree("a", "/zookeeper/quota/q");
    }
}

fn reconfig(talk: &mut Conversation) {
    talk.connect("a");
    talk.connect("s");
    talk.become_super("s");
    for name in ["a", "s"] {
        for (joining, leaving, members, version) in [
            (None, None, None, -1),
            (Some("server.1=127.0.0.1:1:2:participant;127.0.0.1:3"), None, None, -1),
            (None, Some("1"), None, -1),
            (None, None, Some("server.1=127.0.0.1:1:2:participant;127.0.0.1:3"), -1),
            (Some("nonsense"), None, None, -1),
            (Some("server.1=127.0.0.1:1:2:participant;127.0.0.1:3"), None, None, 7),
            (None, None, Some("nonsense"), 0),
            (Some(""), Some(""), Some(""), -1),
        ] {
            if !talk.lines.contains_key(name) {
                talk.connect(name);
            }
            talk.ask(name, &request::reconfig(joining, leaving, members, version));
            talk.drain(name);
        }
        talk.ask(name, &request::read(op::DATA, "/zookeeper/config", true));
        talk.ask(name, &request::path(op::ACL, "/zookeeper/config"));
        talk.ask(name, &request::set_data("/zookeeper/config", Some(b"x"), -1));
        talk.ask(name, &request::set_acl("/zookeeper/config", &open(), 5));
        talk.ask(name, &request::create("/zookeeper/config/x", ""));
        talk.ask(name, &request::delete("/zookeeper/config/x", -1));
    }
    talk.ask("s", &request::set_data("/zookeeper/config", Some(b""), -1));
}

fn sasl(talk: &mut Conversation) {
    for token in [None, Some(&b""[..]), Some(b"token"), Some(b"n,,n=user,r=fyko")] {
        talk.connect("a");
        let body = Writer::new().buffer(token);
        talk.ask("a", &Request::raw(op::SASL, format!("{token:?}"), body));
        talk.ask("a", &request::bare(op::WHO_AM_I));
        talk.ask("a", &request::create_acl("/sasl", &[acl(31, "sasl", "user")]));
        talk.ask("a", &request::delete("/sasl", -1));
    }
    talk.note("malformed");
    for body in [Writer::new(), Writer::new().int(100), Writer::new().int(-2)] {
        talk.connect("a");
        talk.ask("a", &Request::raw(op::SASL, "malformed", body));
        talk.drain("a");
        talk.connect("b");
    }
}

fn who_am_i(talk: &mut Conversation) {
    talk.connect("a");
    talk.ask("a", &request::bare(op::WHO_AM_I));
    talk.ask("a", &Request::raw(op::WHO_AM_I, "junk", Writer::new().raw(b"junk")));
    for (scheme, data) in [("digest", &b"u:p"[..]), ("digest", b"u:other"), ("digest", b"super:secret"), ("ip", b"")] {
        talk.ask_as("a", -4, &request::auth(scheme, data));
        talk.ask("a", &request::bare(op::WHO_AM_I));
    }
}
