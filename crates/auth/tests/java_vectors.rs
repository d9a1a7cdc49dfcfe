//! Everything in `vectors/auth.tsv`, which Java made, must come out of ours.

use oxkeeper_auth::{AuthOutcome, Identity, SchemeOptions, Schemes, add_identity, user_name};
use oxkeeper_proto::acl::{self, AclList};
use oxkeeper_proto::records::{Acl, Id};
use oxkeeper_proto::{ErrorCode, perms};
use std::net::{IpAddr, Ipv4Addr};

const VECTORS: &str = include_str!("vectors/auth.tsv");
const PEER: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Runs the check on every line of that kind; there must be at least as many as named.
fn each(kind: &str, at_least: usize, check: impl Fn(&[&str])) {
    let mut seen = 0;
    for line in VECTORS.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        if fields[0] == kind {
            check(&fields[1..]);
            seen += 1;
        }
    }
    assert!(seen >= at_least, "{kind}: {seen} lines");
}

fn schemes() -> Schemes {
    Schemes::new(&SchemeOptions::default()).unwrap()
}

/// `%xx` back to bytes.
fn text(field: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = field.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first == b'%' {
            bytes.push(u8::from_str_radix(std::str::from_utf8(&tail[..2]).unwrap(), 16).unwrap());
            rest = &tail[2..];
        } else {
            bytes.push(*first);
        }
    }
    String::from_utf8(bytes).unwrap()
}

fn nullable(field: &str) -> Option<String> {
    (field != "~").then(|| text(field))
}

fn items(field: &str) -> impl Iterator<Item = &str> {
    field.split(';').filter(|item| !item.is_empty() && *item != "~")
}

fn identities(field: &str) -> Vec<Identity> {
    let identity = |item: &str| {
        let (scheme, id) = item.split_once('|').unwrap();
        Identity::new(&text(scheme), &text(id))
    };
    items(field).map(identity).collect()
}

fn records(field: &str) -> Vec<Acl<'static>> {
    let record = |item: &str| {
        let parts: Vec<&str> = item.split('|').collect();
        let id = Id { scheme: nullable(parts[1]).map(Into::into), id: nullable(parts[2]).map(Into::into) };
        Acl { perms: parts[0].parse().unwrap(), id }
    };
    items(field).map(record).collect()
}

fn list(field: &str) -> AclList {
    acl::from_records(&records(field))
}

fn one(scheme: &str, id: &str) -> Vec<Acl<'static>> {
    vec![Acl { perms: perms::ALL, id: Id { scheme: Some(scheme.to_owned().into()), id: Some(id.to_owned().into()) } }]
}

#[test]
fn passwords_become_the_same_ids() {
    each("digest", 13 * 20, |fields| {
        let hex = fields[1];
        let password: Vec<u8> = (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect();
        let options = SchemeOptions { digest_algorithm: fields[0].to_owned(), ..SchemeOptions::default() };
        let mut ids = Vec::new();
        assert_eq!(Schemes::new(&options).unwrap().authenticate("digest", Some(&password), PEER, &mut ids), AuthOutcome::Ok);
        assert_eq!(ids, [Identity::new("digest", &text(fields[2]))]);
        assert_eq!(user_name(&ids[0]), text(fields[3]));
    });
}

#[test]
fn the_same_ids_are_valid() {
    for scheme in ["digest", "ip"] {
        each(&format!("{scheme}-valid"), 50, |fields| {
            let id = text(fields[0]);
            assert_eq!(schemes().fix_acl(Some(&one(scheme, &id)), &[]).is_ok(), fields[1] == "true", "{scheme} {id:?}");
        });
    }
}

#[test]
fn the_same_addresses_match() {
    each("ip-match", 2000, |fields| {
        let acl = acl::from_records(&one("ip", &text(fields[1])));
        let ids = [Identity::new("ip", &text(fields[0]))];
        assert_eq!(schemes().permits(&acl, perms::READ, &ids), fields[2] == "true", "{fields:?}");
    });
}

#[test]
fn digests_are_masked_alike() {
    each("masked", 50, |fields| {
        let mut records = one("digest", &text(fields[0]));
        records[0].perms = perms::READ;
        let shown = schemes().mask_digests(&acl::from_records(&records), &[]);
        assert_eq!(*shown[0].id, text(fields[1]));
    });
}

#[test]
fn acls_are_fixed_alike() {
    each("fix", 500, |fields| {
        let records = records(fields[1]);
        let given = (fields[1] != "~").then_some(&records[..]);
        let fixed = schemes().fix_acl(given, &identities(fields[0]));
        let expected = match fields[2] {
            "invalid" => Err(ErrorCode::INVALID_ACL),
            "null-pointer" => Err(ErrorCode::MARSHALLING_ERROR),
            stored => Ok(list(stored)),
        };
        assert_eq!(fixed, expected, "{fields:?}");
    });
}

#[test]
fn permissions_are_granted_alike() {
    each("check", 4000, |fields| {
        let (ids, acl) = (identities(fields[0]), list(fields[1]));
        assert_eq!(schemes().permits(&acl, fields[2].parse().unwrap(), &ids), fields[3] == "true", "{fields:?}");
    });
}

#[test]
fn identities_are_listed_in_the_same_order() {
    each("order", 100, |fields| {
        let mut ids = Vec::new();
        for identity in identities(fields[0]) {
            add_identity(&mut ids, identity);
        }
        assert_eq!(ids, identities(fields[1]), "{fields:?}");
    });
}
