//! What version this server says it is.
//!
//! `srvr`, `stat`, `mntr` and `envi` must look like ZooKeeper 3.9.5: `3.9.5-<revision>, built on <date>`.
//! Known readers, all of which accept it: `X.Y.Z-` followed by anything (Datadog, aiozk, zoonado), letters,
//! digits, points and hyphens up to the comma (go-zookeeper, telegraf's `zk_version`), the text up to the
//! comma (`check_zookeeper`, node clients), the part before the first hyphen split at points (kazoo).
//! So the revision has no underscore, blank or comma.
//!
//! Two environment variables of the build set revision and date, and nothing else of the machine enters,
//! so a build can be repeated: `OXKEEPER_REVISION` (40 hexadecimal digits, as ZooKeeper's own) and
//! `SOURCE_DATE_EPOCH` (seconds since 1970).

use crate::four_letter::date::Civil;

/// The release of ZooKeeper that this server behaves as.
pub const ZOOKEEPER: &str = "3.9.5";
/// Our own version.
pub const OXKEEPER: &str = env!("CARGO_PKG_VERSION");
/// When a build does not say: the day of this version's release, 2026-11-23 00:00 UTC.
const RELEASED_EPOCH_SECONDS: i64 = 1_795_392_000;

/// `3.9.5-<revision>, built on <date>`, as ZooKeeper's `Version` prints it.
pub fn full() -> String {
    text(option_env!("OXKEEPER_REVISION"), option_env!("SOURCE_DATE_EPOCH"))
}

/// What `oxkeeper --version` prints, without a newline.
pub fn banner() -> String {
    format!("oxkeeper {OXKEEPER} (Apache ZooKeeper {})", full())
}

fn text(revision: Option<&str>, built_epoch_seconds: Option<&str>) -> String {
    let revision = match revision {
        Some(hash) if hash.len() == 40 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()) => hash.to_owned(),
        _ => format!("oxkeeper-{OXKEEPER}"),
    };
    let built = built_epoch_seconds.and_then(|seconds| seconds.parse().ok()).unwrap_or(RELEASED_EPOCH_SECONDS);
    let Civil { year, month, day, hour, minute, .. } = Civil::from_epoch_seconds(built);
    format!("{ZOOKEEPER}-{revision}, built on {year:04}-{month:02}-{day:02} {hour:02}:{minute:02} UTC")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_zookeepers() {
        let hash = "293c895a8d966a3ecb92872be4a1daf87d725da2";
        let ours = format!("3.9.5-oxkeeper-{OXKEEPER}, built on 2026-11-23 00:00 UTC");
        for (revision, built, expected) in [
            // That of ZooKeeper 3.9.5 itself.
            (Some(hash), Some("1770841080"), format!("3.9.5-{hash}, built on 2026-02-11 20:18 UTC")),
            (None, None, ours.clone()),
            (Some("v1, dirty"), Some("yesterday"), ours),
        ] {
            assert_eq!(text(revision, built), expected);
        }
    }

    #[test]
    fn readers_find_what_they_look_for() {
        let full = full();
        let (version, date) = full.split_once(", built on ").expect("the separator");
        assert!(version.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'-'), "{version}");
        let numbers: Vec<u32> = version.split('-').next().unwrap().split('.').map(|part| part.parse().unwrap()).collect();
        assert_eq!(numbers, [3, 9, 5]);
        assert_eq!(date.len(), "2026-02-11 20:18 UTC".len());
        assert!(banner().starts_with("oxkeeper ") && banner().contains(&full));
    }
}
