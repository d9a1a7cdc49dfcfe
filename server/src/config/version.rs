//! The versions that the server gives of itself.

/// The ZooKeeper release whose behaviour this server has. Clients and scripts take their decisions by it.
pub const ZOOKEEPER_VERSION: &str = "3.9.5";

/// Our own version.
pub const OXKEEPER_VERSION: &str = env!("CARGO_PKG_VERSION");

/// What `srvr`, `envi` and `mntr` report: Java's layout `<version>-<revision>, built on <time> UTC`, with our
/// name and version in place of the revision, and a fixed time, so that equal sources give equal programs.
pub const FULL_VERSION: &str = concat!("3.9.5-oxkeeper-", env!("CARGO_PKG_VERSION"), ", built on 2026-01-01 00:00 UTC");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_as_monitoring_scripts_parse_it() {
        let (version, built) = FULL_VERSION.split_once(", built on ").expect("Java's layout");
        let (numbers, revision) = version.split_once('-').expect("a revision");
        assert_eq!(numbers, ZOOKEEPER_VERSION);
        assert_eq!(revision, format!("oxkeeper-{OXKEEPER_VERSION}"));
        let numbers: Vec<u32> = numbers.split('.').map(|number| number.parse().unwrap()).collect();
        assert_eq!(numbers[..2], [3, 9]);
        assert_eq!(numbers.len(), 3);
        assert!(built.ends_with(" UTC"));
        // kazoo and exporters take the longest beginning of digits and dots.
        let beginning = FULL_VERSION.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap();
        assert_eq!(&FULL_VERSION[..beginning], ZOOKEEPER_VERSION);
    }
}
