//! Bugs of the past that can be put back, one at a time, to see whether the simulator finds them.
//!
//! Only in a build with debug assertions, and only in the thread that asks for it: elsewhere [`is`] is `false` at compile
//! time and costs nothing. A mutant is the smallest change that brings its bug back, at the place where the rule stands
//! that keeps it out. The table is read by the simulator's test.

/// A bug that can be put back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// A learner with a tail of its own gets DIFF instead of TRUNC.
    TailNotCut,
    /// A cut log's new end is not synced.
    CutNotSynced,
    /// The log gets ahead of `currentEpoch` without a word.
    EpochNotAnnounced,
    /// A snapshot gets its name before its bytes are durable.
    SnapshotNotSynced,
    /// A promise of an epoch that was given to another leader counts again.
    PromiseCountedTwice,
    /// What a SNAP brought stays in memory when the synchronisation ends early.
    SnapKeptInMemory,
    /// What a DIFF brought is logged only after UPTODATE.
    LoggedAfterUpToDate,
    /// NEWLEADER is acknowledged without waiting for the disk.
    NewLeaderNotAwaited,
    /// `currentEpoch` is written before the history.
    EpochBeforeHistory,
    /// What the log has reported of an earlier role counts for what is written again after a cut.
    StaleReportCounts,
    /// What is committed at the end of a synchronisation is left out of the memory for learners.
    HoleInMemory,
    /// The tree stays ahead of a log that was cut.
    TreeNotCut,
    /// A snapshot newer than the cut stays.
    SnapshotNotCut,
    /// Proposals that are not committed are sent to a learner as if they were.
    UncommittedServed,
    /// An empty learner gets what memory holds instead of a snapshot.
    EmptyGetsDiff,
    /// A cut that fails is taken for done.
    FailedCutIgnored,
    /// Old files stay beside a history that took their place.
    OldFilesStay,
    /// A failed sync is tried again.
    SyncRetried,
    /// A start trusts what the page cache says.
    PageCacheTrusted,
    /// The name of a log is not made durable before its first acknowledgement.
    LogNotNamed,
    /// A leader counts its own log before it is synced.
    OwnLogNotAwaited,
    /// A follower acknowledges before its log is synced.
    LogNotAwaited,
    /// A member goes on after the last counter of its epoch.
    CounterRunsOver,
    /// The end of a session overlooks ephemerals that are on their way.
    PendingEphemeralsOverlooked,
    /// Groups and weights are read and shown, and more than half of the voters decide.
    WeightsIgnored,
    /// A follower brings observers to the end of its log, and not to the end of what is committed.
    FedUncommitted,
    /// A leader answers a sync without having a quorum confirm that it leads.
    SyncNotConfirmed,
}

impl Mutant {
    /// All of them, each with its row in the trap table (of ZooKeeper's issues where it has one).
    pub const ALL: &[(Self, &str)] = &[
        (Self::TailNotCut, "1 (ZOOKEEPER-1154, 1156)"),
        (Self::CutNotSynced, "5 (ZOOKEEPER-1489)"),
        (Self::EpochNotAnnounced, "7 (ZOOKEEPER-1653)"),
        (Self::SnapshotNotSynced, "13 (ZOOKEEPER-2872)"),
        (Self::PromiseCountedTwice, "I2"),
        (Self::SnapKeptInMemory, "15 (ZOOKEEPER-3642)"),
        (Self::LoggedAfterUpToDate, "16 (ZOOKEEPER-3911)"),
        (Self::NewLeaderNotAwaited, "17 (ZOOKEEPER-4646)"),
        (Self::EpochBeforeHistory, "18 (ZOOKEEPER-4643)"),
        (Self::StaleReportCounts, "22 (ZOOKEEPER-4712, 4541)"),
        (Self::HoleInMemory, "23 (ZOOKEEPER-4925)"),
        (Self::TreeNotCut, "24 (ZOOKEEPER-5094)"),
        (Self::SnapshotNotCut, "26 (ZOOKEEPER-4837)"),
        (Self::UncommittedServed, "28 (ZOOKEEPER-2846)"),
        (Self::EmptyGetsDiff, "30 (ZOOKEEPER-4352)"),
        (Self::FailedCutIgnored, "31 (ZOOKEEPER-3701)"),
        (Self::OldFilesStay, "32"),
        (Self::SyncRetried, "33"),
        (Self::PageCacheTrusted, "46"),
        (Self::LogNotNamed, "ZOOKEEPER-2003"),
        (Self::OwnLogNotAwaited, "I3, leader"),
        (Self::LogNotAwaited, "I3, follower"),
        (Self::CounterRunsOver, "43"),
        (Self::PendingEphemeralsOverlooked, "4, 10 (ZOOKEEPER-2355)"),
        (Self::WeightsIgnored, "hierarchical quorums"),
        (Self::FedUncommitted, "observer masters"),
        (Self::SyncNotConfirmed, "rule 9 (ZOOKEEPER-1675)"),
    ];
}

#[cfg(debug_assertions)]
thread_local! {
    static SELECTED: std::cell::Cell<Option<Mutant>> = const { std::cell::Cell::new(None) };
}

/// Whether this bug is to be there.
#[cfg(debug_assertions)]
pub fn is(mutant: Mutant) -> bool {
    SELECTED.get() == Some(mutant)
}

/// Whether this bug is to be there: never in this build.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub const fn is(_: Mutant) -> bool {
    false
}

/// Puts a bug into whatever this thread runs from here on, or takes it out.
#[cfg(debug_assertions)]
pub fn select(mutant: Option<Mutant>) {
    SELECTED.set(mutant);
}
