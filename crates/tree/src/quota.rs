//! Quotas: which subtrees have one, how much they hold, and the text that says so.
//!
//! A quota on `/a` is `/zookeeper/quota/a/zookeeper_limits`; what `/a` holds is counted in
//! `zookeeper_stats` beside it, which every server rewrites for itself. Whether a request goes beyond
//! a limit is asked in preparation.

use crate::tree::{Node, Tree};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

const QUOTAS: &str = "/zookeeper/quota";
const LIMITS: &str = "zookeeper_limits";
const STATS: &str = "zookeeper_stats";

const COUNT: &str = "count";
const BYTES: &str = "bytes";
const COUNT_HARD_LIMIT: &str = "countHardLimit";
const BYTE_HARD_LIMIT: &str = "byteHardLimit";

/// Why a text is no [`StatsTrack`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatsTrackError;

impl fmt::Display for StatsTrackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a part that is not key=number")
    }
}

impl std::error::Error for StatsTrackError {}

/// Numbers by name: the limits of a quota, or what it holds. A number that is not there reads as -1.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StatsTrack {
    values: BTreeMap<String, i64>,
}

impl StatsTrack {
    /// Reads `count=2,bytes=5=;byteHardLimit=7` as Java does: parts between runs of `,` and `;`, in
    /// each the first two pieces between `=`; the last of two equal keys counts.
    ///
    /// # Errors
    /// A part without a value, or whose value is no 64-bit number.
    pub fn parse(text: &str) -> Result<Self, StatsTrackError> {
        let mut values = BTreeMap::new();
        if text.is_empty() {
            return Ok(Self { values });
        }
        // A run of separators is one; one at the very beginning leaves an empty part before it, none
        // are left at the end.
        let rest = text.trim_end_matches([',', ';']);
        let has_empty_first = !rest.is_empty() && rest.starts_with([',', ';']);
        let parts = rest.split([',', ';']).filter(|part| !part.is_empty());
        let parts = has_empty_first.then_some("").into_iter().chain(parts);
        for part in parts {
            // Java drops empty pieces at the end, so "a=" has no value at all.
            let part = part.trim_end_matches('=');
            let mut pieces = part.split('=');
            let key = pieces.next().unwrap_or_default();
            let value = pieces.next().ok_or(StatsTrackError)?;
            let value = if value.is_empty() { -1 } else { java_long(value).ok_or(StatsTrackError)? };
            values.insert(key.to_string(), value);
        }
        Ok(Self { values })
    }

    /// [`StatsTrack::parse`] of a node's data.
    ///
    /// # Errors
    /// As [`StatsTrack::parse`]; null data too.
    pub fn of_data(data: Option<&[u8]>) -> Result<Self, StatsTrackError> {
        Self::parse(&oxkeeper_proto::java_string::decode(data.ok_or(StatsTrackError)?))
    }

    fn value(&self, key: &str) -> i64 {
        self.values.get(key).copied().unwrap_or(-1)
    }

    /// Nodes: held, or the soft limit.
    pub fn count(&self) -> i64 {
        self.value(COUNT)
    }

    /// Sets [`StatsTrack::count`].
    pub fn set_count(&mut self, count: i64) {
        self.values.insert(COUNT.to_string(), count);
    }

    /// Bytes of data: held, or the soft limit.
    pub fn bytes(&self) -> i64 {
        self.value(BYTES)
    }

    /// Sets [`StatsTrack::bytes`].
    pub fn set_bytes(&mut self, bytes: i64) {
        self.values.insert(BYTES.to_string(), bytes);
    }

    /// The hard limit of nodes.
    pub fn count_hard_limit(&self) -> i64 {
        self.value(COUNT_HARD_LIMIT)
    }

    /// Sets [`StatsTrack::count_hard_limit`].
    pub fn set_count_hard_limit(&mut self, count: i64) {
        self.values.insert(COUNT_HARD_LIMIT.to_string(), count);
    }

    /// The hard limit of bytes.
    pub fn byte_hard_limit(&self) -> i64 {
        self.value(BYTE_HARD_LIMIT)
    }

    /// Sets [`StatsTrack::byte_hard_limit`].
    pub fn set_byte_hard_limit(&mut self, bytes: i64) {
        self.values.insert(BYTE_HARD_LIMIT.to_string(), bytes);
    }
}

/// What Java's `Long.parseLong` takes: a sign and decimal digits.
fn java_long(text: &str) -> Option<i64> {
    text.parse().ok()
}

impl fmt::Display for StatsTrack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{COUNT}={},{BYTES}={}", self.count(), self.bytes())?;
        let mut others = self.values.iter().filter(|(key, _)| *key != COUNT && *key != BYTES).peekable();
        if others.peek().is_some() {
            // So that a release that knows only the first two still reads them.
            f.write_str("=")?;
        }
        for (key, value) in others {
            write!(f, ";{key}={value}")?;
        }
        Ok(())
    }
}

/// The quota that a path comes under.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuotaStatus {
    /// The path that has the quota.
    pub root: String,
    /// Its limits.
    pub limit: StatsTrack,
    /// What it holds.
    pub usage: StatsTrack,
}

/// The paths that have a quota.
#[derive(Clone, Debug, Default)]
pub(crate) struct QuotaRoots {
    roots: BTreeSet<String>,
}

/// A path as the table of quotas knows it: names that are blank do not count.
fn canonical(path: &str) -> String {
    let mut canonical = String::with_capacity(path.len());
    for name in path.split('/').filter(|name| !name.trim_matches(|c| c <= ' ').is_empty()) {
        canonical.push('/');
        canonical.push_str(name);
    }
    canonical
}

impl QuotaRoots {
    fn insert(&mut self, path: &str) {
        let path = canonical(path);
        if !path.is_empty() {
            self.roots.insert(path);
        }
    }

    fn remove(&mut self, path: &str) {
        self.roots.remove(&canonical(path));
    }

    /// The longest path with a quota that is `path` or above it; never the root.
    fn of(&self, path: &str) -> Option<&str> {
        if self.roots.is_empty() {
            return None;
        }
        let path = canonical(path);
        let mut prefix = &*path;
        while !prefix.is_empty() {
            if let Some(root) = self.roots.get(prefix) {
                return Some(root);
            }
            prefix = &prefix[..prefix.rfind('/').unwrap_or(0)];
        }
        None
    }
}

fn limits_path(root: &str) -> String {
    format!("{QUOTAS}{root}/{LIMITS}")
}

fn stats_path(root: &str) -> String {
    format!("{QUOTAS}{root}/{STATS}")
}

impl Tree {
    /// The path with a quota that `path` comes under.
    pub fn quota_root(&self, path: &str) -> Option<&str> {
        self.quotas.of(path)
    }

    /// The quota that `path` comes under, with its limits and what it holds; `None` also where one of
    /// its two nodes is missing or cannot be read.
    pub fn quota(&self, path: &str) -> Option<QuotaStatus> {
        let root = self.quotas.of(path)?;
        let read = |path: String| StatsTrack::of_data(self.get(&path)?.data()).ok();
        Some(QuotaStatus { root: root.to_string(), limit: read(limits_path(root))?, usage: read(stats_path(root))? })
    }

    /// All quotas, for the gauges per namespace.
    pub fn quotas(&self) -> impl Iterator<Item = QuotaStatus> {
        self.quotas.roots.iter().filter_map(|root| self.quota(root))
    }

    /// A node was created: it may be a quota's.
    pub(crate) fn quota_created(&mut self, parent_path: &str, name: &str) {
        let Some(root) = parent_path.strip_prefix(QUOTAS) else { return };
        if name == LIMITS {
            self.quotas.insert(root);
        } else if name == STATS {
            self.recount(root);
        }
    }

    /// A node was deleted: it may be a quota's.
    pub(crate) fn quota_deleted(&mut self, parent_path: &str, name: &str) {
        if name == LIMITS
            && let Some(root) = parent_path.strip_prefix(QUOTAS)
        {
            self.quotas.remove(root);
        }
    }

    /// Something within a quota came, went or changed its length.
    pub(crate) fn quota_changed(&mut self, path: &str, bytes: i64, count: i64) {
        let Some(root) = self.quotas.of(path) else { return };
        let path = stats_path(root);
        let Some(slot) = self.find(&path) else { return };
        // Statistics that somebody has overwritten with something else stay as they are.
        let Ok(mut usage) = StatsTrack::of_data(self.node(slot).data()) else { return };
        usage.set_count(usage.count().wrapping_add(count));
        usage.set_bytes(usage.bytes().wrapping_add(bytes));
        self.rewrite(slot, &path, usage.to_string().as_bytes());
    }

    /// Counts a quota's subtree anew.
    fn recount(&mut self, root: &str) {
        let (mut count, mut bytes) = (0, 0);
        if let Some(slot) = self.find(root) {
            self.walk(slot, |slot| {
                count += 1;
                bytes += self.node(slot).data().map_or(0, <[u8]>::len) as i64;
            });
        }
        let mut usage = StatsTrack::default();
        usage.set_count(count);
        usage.set_bytes(bytes);
        let path = stats_path(root);
        if let Some(slot) = self.find(&path) {
            self.rewrite(slot, &path, usage.to_string().as_bytes());
        }
    }

    /// After loading: finds the quotas and counts them all anew.
    pub(crate) fn load_quotas(&mut self) {
        let Some(top) = self.find(QUOTAS) else { return };
        let mut limits = Vec::new();
        self.walk(top, |slot| {
            let node: Node<'_> = self.node(slot);
            if node.child_count() == 0 && self.records.get(slot).name() == LIMITS.as_bytes() {
                limits.push(self.path_of(slot));
            }
        });
        for path in limits {
            // Java cuts at the first "/zookeeper_limits" of the path.
            let end = path.find("/zookeeper_limits").unwrap_or(path.len());
            let root = path.get(QUOTAS.len()..end).unwrap_or_default().to_string();
            self.recount(&root);
            self.quotas.insert(&root);
        }
    }
}
