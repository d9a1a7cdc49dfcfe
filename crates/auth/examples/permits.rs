//! What a check costs: `cargo run --release -p oxkeeper-auth --example permits`.

#![allow(clippy::disallowed_methods, reason = "a measurement reads the clock")]

use oxkeeper_auth::{Identity, SchemeOptions, Schemes};
use oxkeeper_proto::acl::{self, AclEntry};
use oxkeeper_proto::perms;
use std::hint::black_box;
use std::time::Instant;

fn main() {
    let schemes = Schemes::new(&SchemeOptions::default()).expect("SHA1 is known");
    let ids = [Identity::new("ip", "10.1.2.3"), Identity::new("digest", "user:tpUq/4Pn5A64fVZyQ0gOJ8ZWqkY=")];
    let entry = |scheme: &str, id: &str| [AclEntry { perms: perms::ALL, scheme: scheme.into(), id: id.into() }];
    let cases: [(&str, &[AclEntry]); 4] = [
        ("open", &acl::open()),
        ("digest", &entry("digest", &ids[1].id)),
        ("ip", &entry("ip", "10.0.0.0/8")),
        ("refused", &entry("digest", "other:tpUq/4Pn5A64fVZyQ0gOJ8ZWqkY=")),
    ];
    for (name, acl) in cases {
        const ROUNDS: u32 = 20_000_000;
        let begun = Instant::now();
        let granted = (0..ROUNDS).filter(|_| schemes.permits(black_box(acl), black_box(perms::READ), black_box(&ids))).count();
        println!("{name:>8}: {:>6.1} ns, {granted} granted", begun.elapsed().as_secs_f64() * 1e9 / f64::from(ROUNDS));
    }
}
