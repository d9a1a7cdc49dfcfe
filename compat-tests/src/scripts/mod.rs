//! The cases by hand: each script is a conversation that any two servers must answer alike. A script works below a
//! path of its own and starts from whatever the scripts before it left, so a difference stays in its own script.

use std::path::Path;

use crate::conversation::Conversation;
use crate::subject::Options;

mod access;
mod connect;
mod create;
pub mod edges;
mod frames;
mod lifetimes;
mod multi;
mod nodes;
mod paths;
mod special;
mod watches;

/// A server set-up that a group of scripts shares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setup {
    /// Nothing has happened on the server yet; each script gets a server of its own.
    Fresh,
    /// `Options::usual`.
    Usual,
    /// TTL nodes switched on.
    ExtendedTypes,
    /// TTL nodes in the encoding of 3.5.3.
    Emulate353,
    /// Hard quotas are enforced.
    EnforceQuota,
    /// No access lists are checked.
    SkipAcl,
    /// The server's own defaults: no super user, no four-letter word but srvr.
    Defaults,
    /// Small limits for connections and frames.
    Limits,
    /// reconfig is switched on, though the server stands alone.
    Reconfig,
    /// Access lists are checked before a request is queued.
    EagerAcl,
    /// Digest identities hashed with SHA-256.
    DigestSha256,
    /// The digest scheme switched off.
    NoDigestScheme,
    /// closeSession without its list of paths, and no tree digest.
    PlainTransactions,
    /// Containers and TTL nodes are looked after several times a second.
    Reaping,
    /// The same, and containers that never had a child go soon.
    ReapingUnused,
    /// Frames of three megabytes.
    LargeFrames,
    /// A log that counts close to the end of every counter lies in the directory.
    NearOverflow,
}

impl Setup {
    pub const ALL: [Setup; 17] = [
        Setup::Fresh,
        Setup::Usual,
        Setup::ExtendedTypes,
        Setup::Emulate353,
        Setup::EnforceQuota,
        Setup::SkipAcl,
        Setup::Defaults,
        Setup::Limits,
        Setup::Reconfig,
        Setup::EagerAcl,
        Setup::DigestSha256,
        Setup::NoDigestScheme,
        Setup::PlainTransactions,
        Setup::Reaping,
        Setup::ReapingUnused,
        Setup::LargeFrames,
        Setup::NearOverflow,
    ];

    /// What lies in the server's directory before it starts.
    pub fn prepare(self, directory: &Path) {
        if self == Setup::NearOverflow {
            edges::write_log(&directory.join("data/version-2"));
        }
    }

    pub fn options(self) -> Options {
        let usual = Options::usual();
        match self {
            Setup::Fresh | Setup::Usual => usual,
            Setup::ExtendedTypes => usual.property("zookeeper.extendedTypesEnabled", "true"),
            Setup::Emulate353 => usual.property("zookeeper.extendedTypesEnabled", "true").property("zookeeper.emulate353TTLNodes", "true"),
            Setup::EnforceQuota => usual.line("enforceQuota", "true"),
            Setup::SkipAcl => usual.line("skipACL", "yes"),
            Setup::Defaults => Options::default(),
            Setup::Limits => usual
                .line("maxClientCnxns", "4")
                .line("minSessionTimeout", "3000")
                .line("maxSessionTimeout", "7000")
                .property("jute.maxbuffer", "4096")
                .property("zookeeper.nio.sessionlessCnxnTimeout", "700"),
            Setup::Reconfig => usual.line("reconfigEnabled", "true"),
            Setup::EagerAcl => usual.property("zookeeper.enableEagerACLCheck", "true"),
            Setup::DigestSha256 => usual.property("zookeeper.DigestAuthenticationProvider.digestAlg", "SHA-256"),
            Setup::NoDigestScheme => usual.property("zookeeper.DigestAuthenticationProvider.enabled", "false"),
            Setup::PlainTransactions => {
                usual.property("zookeeper.closeSessionTxn.enabled", "false").property("zookeeper.digest.enabled", "false")
            }
            Setup::Reaping => {
                usual.property("zookeeper.extendedTypesEnabled", "true").property("znode.container.checkIntervalMs", REAPING_INTERVAL_MS)
            }
            Setup::ReapingUnused => usual
                .property("znode.container.checkIntervalMs", REAPING_INTERVAL_MS)
                // Long enough for the script to set its watch.
                .property("znode.container.maxNeverUsedIntervalMs", "1500"),
            Setup::LargeFrames => usual.property("jute.maxbuffer", "3000000"),
            // A log without the snapshot that it follows.
            Setup::NearOverflow => usual.property("zookeeper.snapshot.trust.empty", "true"),
        }
    }
}

/// Milliseconds between two rounds; a round that comes before the last one's deletion is applied would spend a zxid.
const REAPING_INTERVAL_MS: &str = "300";

/// One conversation.
pub struct Script {
    pub name: &'static str,
    pub setup: Setup,
    pub run: fn(&mut Conversation),
}

impl Script {
    const fn new(name: &'static str, setup: Setup, run: fn(&mut Conversation)) -> Script {
        Script { name, setup, run }
    }
}

/// All scripts, in the order they run.
pub fn all() -> Vec<Script> {
    [
        connect::SCRIPTS,
        frames::SCRIPTS,
        paths::SCRIPTS,
        create::SCRIPTS,
        nodes::SCRIPTS,
        access::SCRIPTS,
        multi::SCRIPTS,
        watches::SCRIPTS,
        special::SCRIPTS,
        lifetimes::SCRIPTS,
        edges::SCRIPTS,
    ]
    .into_iter()
    .flatten()
    .map(|script| Script { ..*script })
    .collect()
}

/// What 3.8.0 answers differently from 3.9.5, as reasons and the scripts that show each. 3.9 is followed.
pub const UNLIKE_38: &[(&str, &[&str])] = &[
    (
        "events carry the zxid of their cause only since 3.9; before, -1",
        &[
            "watches: container and root",
            "watches: each kind against each change",
            "watches: order of events",
            "watches: setWatches",
            "watches: recursive at several depths",
            "watches: one connection, many kinds on one path",
            "watches: many watchers",
            "session: close",
            "session: close, without the list of ephemerals",
            "session: expiry",
            "nodes: pipelined",
            "multi: events",
            "access: delivery of events",
            "quota: soft limits",
            "quota: enforced",
            "reconfig: switched off",
            "reconfig: switched on",
        ],
    ),
    (
        "checkWatches and removeWatches know the types Persistent and PersistentRecursive only since 3.9, and type Any \
         then looks at the persistent tables too",
        &[
            "paths: the rules",
            "watches: checkWatches and removeWatches",
            "watches: setWatches2",
            "watches: setWatches relative to a zxid",
            "watches: addWatch modes",
        ],
    ),
    (
        "exists needs READ only since the fix of CVE-2024-23944",
        &["access: each permission for each operation", "access: each permission, checked eagerly", "access: super"],
    ),
    ("a write that cannot be decoded uses up a zxid only before 3.9", &["frames: records cut short", "frames: lengths inside records"]),
    ("check outside of a multi is executed, and never answered, before 3.9", &["frames: unknown operations"]),
    ("null paths and lists fail in other places before 3.9", &["frames: null strings and vectors"]),
    (
        "create2 and createContainer inside a multi come back as plain create before 3.9",
        &[
            "create: modes of each operation",
            "create: modes with TTL nodes switched on",
            "create: modes with TTL nodes of 3.5.3",
            "multi: results of each part",
        ],
    ),
    (
        "an unknown create flag inside a multi is an error of its part, not of the whole multi, before 3.9",
        &["create: order of checks", "create: order of checks with eager access checks", "multi: each error in each place"],
    ),
    (
        "access lists of scheme ip take IPv6 addresses only since 3.9",
        &[
            "access: valid and invalid lists",
            "access: valid and invalid lists, checked eagerly",
            "access: valid and invalid lists, none checked",
            "access: valid and invalid lists without digest",
            "access: ip ranges",
        ],
    ),
    (
        "shows the child counter of the root, which the differences before it have moved",
        &["paths: special nodes", "nodes: reads", "multi: reads"],
    ),
];
