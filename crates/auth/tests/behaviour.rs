//! Auth packets, the superuser, and what options change.

use oxkeeper_auth::{AuthOutcome, Ensemble, Identity, SchemeOptions, Schemes, user_name};
use oxkeeper_proto::acl::{self, AclEntry, AclList};
use oxkeeper_proto::records::{Acl, Id};
use oxkeeper_proto::{ErrorCode, perms};
use std::net::IpAddr;
use std::sync::Arc;

fn peer() -> IpAddr {
    "::ffff:10.1.2.3".parse().unwrap()
}

fn with(change: impl FnOnce(&mut SchemeOptions)) -> Schemes {
    let mut options = SchemeOptions::default();
    change(&mut options);
    Schemes::new(&options).unwrap()
}

fn list(entries: &[(i32, &str, &str)]) -> AclList {
    entries.iter().map(|(perms, scheme, id)| AclEntry { perms: *perms, scheme: (*scheme).into(), id: (*id).into() }).collect()
}

#[test]
fn outcomes_of_auth_packets() {
    let plain = with(|_| ());
    let no_digest = with(|o| o.digest_enabled = false);
    let any_ensemble = with(|o| o.ensemble = Some(Ensemble::from_option(None)));
    let ensembles = with(|o| o.ensemble = Some(Ensemble::from_option(Some("one, two"))));
    let cases: &[(&Schemes, &str, Option<&[u8]>, AuthOutcome)] = &[
        (&plain, "ip", None, AuthOutcome::Ok),
        (&plain, "digest", Some(b"u:p"), AuthOutcome::Ok),
        (&plain, "digest", Some(b"no colon"), AuthOutcome::Ok),
        (&plain, "digest", Some(b""), AuthOutcome::Ok),
        (&plain, "digest", None, AuthOutcome::Failed),
        (&no_digest, "digest", Some(b"u:p"), AuthOutcome::UnknownScheme),
        (&plain, "world", Some(b"anyone"), AuthOutcome::UnknownScheme),
        (&plain, "auth", Some(b""), AuthOutcome::UnknownScheme),
        (&plain, "super", Some(b""), AuthOutcome::UnknownScheme),
        (&plain, "sasl", Some(b""), AuthOutcome::UnknownScheme),
        (&plain, "x509", Some(b""), AuthOutcome::UnknownScheme),
        (&plain, "Digest", Some(b"u:p"), AuthOutcome::UnknownScheme),
        (&plain, "", None, AuthOutcome::UnknownScheme),
        (&plain, "ensemble", Some(b"one"), AuthOutcome::UnknownScheme),
        (&any_ensemble, "ensemble", Some(b"whatever"), AuthOutcome::Ok),
        (&ensembles, "ensemble", Some(b"two"), AuthOutcome::Ok),
        (&ensembles, "ensemble", Some(b""), AuthOutcome::Ok),
        (&ensembles, "ensemble", None, AuthOutcome::Ok),
        (&ensembles, "ensemble", Some(b"three"), AuthOutcome::Close),
    ];
    for (schemes, scheme, data, expected) in cases {
        let mut ids = vec![Identity::ip(peer())];
        assert_eq!(schemes.authenticate(scheme, *data, peer(), &mut ids), *expected, "{scheme} {data:?}");
        let gains = usize::from(*scheme == "digest" && *expected == AuthOutcome::Ok);
        assert_eq!(ids.len(), 1 + gains, "{scheme} {data:?}");
    }
}

#[test]
fn nothing_is_added_twice() {
    let schemes = with(|_| ());
    let mut ids = vec![Identity::ip(peer())];
    for _ in 0..3 {
        assert_eq!(schemes.authenticate("ip", Some(b"6.6.6.6"), peer(), &mut ids), AuthOutcome::Ok);
        assert_eq!(schemes.authenticate("digest", Some(b"u:p"), peer(), &mut ids), AuthOutcome::Ok);
    }
    assert_eq!(ids.len(), 2);
    assert!(ids.contains(&Identity::new("ip", "10.1.2.3")));
}

#[test]
fn the_super_digest_makes_a_superuser_who_may_do_all() {
    // super:admin by SHA1, as Java's generateDigest prints it.
    let schemes = with(|o| o.super_digest = Some("super:xQJmxLMiHGwaqBvst5y6rkB6HQs=".to_owned()));
    let acl = list(&[(perms::READ, "digest", "someone:else=")]);
    let (mut ids, mut wrong) = (Vec::new(), Vec::new());
    schemes.authenticate("digest", Some(b"super:admin"), peer(), &mut ids);
    schemes.authenticate("digest", Some(b"super:wrong"), peer(), &mut wrong);
    assert!(ids.contains(&Identity::super_user()) && ids.len() == 2);
    assert_eq!(user_name(&Identity::super_user()), "");
    assert!(!wrong.contains(&Identity::super_user()) && wrong.len() == 1);
    assert!(schemes.permits(&acl, perms::DELETE, &ids));
    assert!(!schemes.permits(&acl, perms::DELETE, &wrong));
}

#[test]
fn each_bit_alone_must_be_granted() {
    // CVE-2025-58457 was a check that asked for several bits where it meant each.
    let schemes = with(|_| ());
    for granted in [perms::READ, perms::WRITE, perms::CREATE, perms::DELETE, perms::ADMIN] {
        let acl = list(&[(granted, "world", "anyone")]);
        for asked in [perms::READ, perms::WRITE, perms::CREATE, perms::DELETE, perms::ADMIN] {
            assert_eq!(schemes.permits(&acl, asked, &[]), asked == granted);
        }
        assert!(schemes.permits(&acl, perms::ALL, &[]), "any bit of those asked for is enough");
    }
}

#[test]
fn options_change_what_an_acl_means() {
    let ids = [Identity::new("digest", "u:h")];
    let acl = list(&[(perms::ALL, "digest", "u:h")]);
    let none = list(&[(0, "world", "anyone")]);
    assert!(with(|_| ()).permits(&acl, perms::READ, &ids));
    assert!(!with(|o| o.digest_enabled = false).permits(&acl, perms::READ, &ids));
    assert!(!with(|_| ()).permits(&none, perms::READ, &ids));
    assert!(with(|o| o.skip_acl = true).permits(&none, perms::READ, &ids));
    assert!(with(|_| ()).permits(&list(&[]), perms::ADMIN, &[]), "no ACL, no limits");

    let id = |scheme: &'static str, id: &'static str| Id { scheme: Some(scheme.into()), id: Some(id.into()) };
    let auth = [Acl { perms: perms::ALL, id: id("auth", "") }];
    assert_eq!(with(|_| ()).fix_acl(Some(&auth), &ids), Ok(acl));
    assert_eq!(with(|o| o.digest_enabled = false).fix_acl(Some(&auth), &ids), Err(ErrorCode::INVALID_ACL));
    let ensemble = [Acl { perms: perms::ALL, id: id("ensemble", "one") }];
    assert_eq!(with(|o| o.ensemble = Some(Ensemble::default())).fix_acl(Some(&ensemble), &ids), Err(ErrorCode::INVALID_ACL));
}

#[test]
fn an_acl_that_hides_nothing_is_shared() {
    let schemes = with(|_| ());
    let open = acl::open();
    assert!(Arc::ptr_eq(&open, &schemes.mask_digests(&open, &[])));
    let owned = list(&[(perms::ALL, "digest", "u:h"), (perms::READ, "world", "anyone")]);
    assert!(Arc::ptr_eq(&owned, &schemes.mask_digests(&owned, &[Identity::new("digest", "u:h")])));
    assert_eq!(schemes.mask_digests(&owned, &[]), list(&[(perms::ALL, "digest", "u:x"), (perms::READ, "world", "anyone")]));
}

#[test]
fn an_unknown_algorithm_stops_the_start() {
    let options = SchemeOptions { digest_algorithm: "ROT13".to_owned(), ..SchemeOptions::default() };
    assert!(Schemes::new(&options).unwrap_err().to_string().contains("ROT13"));
}

#[test]
fn identities_stand_as_a_live_server_listed_them() {
    // whoAmI of a 3.9.5 server after addauth("digest", "super:admin") from the loopback address.
    let schemes = with(|o| o.super_digest = Some("super:xQJmxLMiHGwaqBvst5y6rkB6HQs=".to_owned()));
    let mut ids = vec![Identity::ip("127.0.0.1".parse().unwrap())];
    schemes.authenticate("digest", Some(b"super:admin"), peer(), &mut ids);
    let shown: Vec<_> = ids.iter().map(|identity| (&*identity.scheme, user_name(identity))).collect();
    assert_eq!(shown, [("digest", "super"), ("super", ""), ("ip", "127.0.0.1")]);
}
