//! How a learner is brought to the end of the leader's history: by what follows its own, by cutting first, or anew.
//!
//! The decision goes by the common prefix, never by "its zxid lies between our first and our last" (traps 1, 25 and 27
//! of the reliability reference), and never by anything that is not committed (trap 28).

use crate::history::History;
use crate::packet::{Packet, PacketKind};
use crate::peer::{LinkId, Output};
use crate::quorum::Sid;
use crate::shared::Shared;
use bytes::Bytes;
use log::info;
use oxkeeper_proto::{Mutant, Zxid, mutant};

/// A learner that the leader's memory cannot serve: whoever reads the files does.
///
/// What it sends: DIFF{through}, TRUNC{to} or SNAP{zxid} with a body; then all that follows up to `through` as
/// [`committed_packets`], from the log up to `files_through`, and behind it from `cached`. A snapshot must not be
/// newer than `through`; what it already holds is left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncJob {
    /// The end of the learner's history.
    pub peer_last: Zxid,
    /// Memory has decided that only a snapshot will do; otherwise ask [`plan_from_log`].
    pub must_snap: bool,
    /// Nothing behind this zxid need be, or may be, read from the files.
    pub files_through: Zxid,
    /// The transactions behind it, contiguous.
    pub cached: Vec<(Zxid, Bytes)>,
    /// The end of the history that the learner is brought to.
    pub through: Zxid,
}

/// What a learner gets first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncPlan {
    /// Everything after this zxid, which is the end of its own history.
    Diff {
        /// The zxid.
        after: Zxid,
    },
    /// Its history is cut behind this zxid; then everything after it.
    Trunc {
        /// The zxid.
        to: Zxid,
    },
    /// A snapshot, then everything after it.
    Snap,
}

/// The plan by the transactions of the log, oldest first, read only as far as needed.
pub fn plan_from_log(peer_last: Zxid, log: impl IntoIterator<Item = Zxid>) -> SyncPlan {
    if !is_transaction(peer_last) {
        return SyncPlan::Snap;
    }
    let mut before = None;
    for zxid in log {
        if zxid == peer_last {
            return SyncPlan::Diff { after: zxid };
        }
        if zxid > peer_last {
            break;
        }
        before = Some(zxid);
    }
    before.map_or(SyncPlan::Snap, |before| cut(peer_last, before))
}

/// Brings a learner to the end of a committed history: from memory, or by a job for whoever reads the files, which the
/// answer tells. `under_way`: how many are being brought by files and from memory already, if the learner is one that
/// may be sent away, an observer.
///
/// # Errors
/// Why it is sent away.
pub(crate) fn bring(
    shared: &mut Shared,
    link: LinkId,
    sid: Sid,
    peer_last: Zxid,
    through: Zxid,
    under_way: Option<[usize; 2]>,
) -> Result<bool, &'static str> {
    let plan = match shared.options.force_snapshot_sync {
        true => Some(SyncPlan::Snap),
        false => plan_from_memory(&shared.history, through, peer_last),
    };
    info!("Synchronising learner {} from {peer_last} to {through}: {plan:?}", sid.0);
    let first = match plan {
        Some(SyncPlan::Diff { after }) => Some((PacketKind::DIFF, through, after)),
        Some(SyncPlan::Trunc { to }) => Some((PacketKind::TRUNC, to, to)),
        Some(SyncPlan::Snap) | None => None,
    };
    let limits = [shared.options.max_snap_syncs, shared.options.max_diff_syncs];
    let which = usize::from(first.is_some());
    if under_way.is_some_and(|under_way| under_way[which] >= limits[which]) {
        return Err("too many are being synchronised");
    }
    let Shared { history, outputs, counts, .. } = shared;
    let Some((kind, zxid, after)) = first else {
        let cached: Vec<_> = history.known(through).cloned().collect();
        let job = SyncJob { peer_last, must_snap: plan.is_some(), files_through: history.base().min(through), cached, through };
        outputs.push_back(Output::Synchronise { link, job });
        return Ok(true);
    };
    counts.diffs += 1;
    outputs.push_back(Output::Send { link, packet: Packet::new(kind, zxid) });
    let through = if mutant::is(Mutant::UncommittedServed) { history.last_logged() } else { through };
    for (zxid, payload) in history.known(through).filter(|(zxid, _)| *zxid > after) {
        outputs.extend(committed_packets(*zxid, payload.clone()).map(|packet| Output::Send { link, packet }));
    }
    Ok(false)
}

/// A committed transaction as a learner gets it while it is synchronised.
pub fn committed_packets(zxid: Zxid, payload: Bytes) -> [Packet; 2] {
    [Packet::with_data(PacketKind::PROPOSAL, zxid, payload), Packet::new(PacketKind::COMMIT, zxid)]
}

/// The plan by memory alone, for a history that ends, committed, with `through`; `None` if only files can tell.
pub(crate) fn plan_from_memory(history: &History, through: Zxid, peer_last: Zxid) -> Option<SyncPlan> {
    if peer_last == through {
        return Some(SyncPlan::Diff { after: peer_last });
    }
    // (e,0) is not a transaction: nobody can tell which history it stands for (trap 27). Nothing at all is a history
    // that ours may not begin with: a directory may have been filled otherwise (trap 30).
    if !is_transaction(peer_last) {
        if mutant::is(Mutant::EmptyGetsDiff) {
            return Some(SyncPlan::Diff { after: history.base() });
        }
        return Some(SyncPlan::Snap);
    }
    if peer_last < history.base() {
        return None;
    }
    // One of our own proposals that is not committed: what comes before it is ours, whatever its epoch.
    if peer_last > through && is_transaction(through) && history.tail_after(through).any(|(zxid, _)| *zxid == peer_last) {
        return Some(SyncPlan::Trunc { to: through });
    }
    let zxids = || std::iter::once(history.base()).chain(history.known(through).map(|(zxid, _)| *zxid));
    Some(plan_from_log(peer_last, zxids()))
}

/// The learner has something behind `before` that we do not know. Within one epoch its history up to there is ours: the
/// leader of an epoch proposes in order. Across epochs Java cannot cut, and (e,0) is in no log.
fn cut(peer_last: Zxid, before: Zxid) -> SyncPlan {
    if mutant::is(Mutant::TailNotCut) {
        return SyncPlan::Diff { after: before };
    }
    if before.epoch() == peer_last.epoch() && is_transaction(before) { SyncPlan::Trunc { to: before } } else { SyncPlan::Snap }
}

fn is_transaction(zxid: Zxid) -> bool {
    zxid.0 > 0 && zxid.counter() != 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    const fn z(epoch: u32, counter: u32) -> Zxid {
        Zxid::new(epoch, counter)
    }

    #[test]
    fn the_log_decides_by_the_common_prefix() {
        let log = [z(1, 3), z(1, 4), z(2, 1), z(2, 2), z(4, 1)];
        for (peer, plan) in [
            (z(1, 3), SyncPlan::Diff { after: z(1, 3) }),
            (z(2, 2), SyncPlan::Diff { after: z(2, 2) }),
            (z(4, 1), SyncPlan::Diff { after: z(4, 1) }),
            // Its own tail, never committed (trap 1).
            (z(1, 5), SyncPlan::Trunc { to: z(1, 4) }),
            (z(2, 9), SyncPlan::Trunc { to: z(2, 2) }),
            (z(4, 2), SyncPlan::Trunc { to: z(4, 1) }),
            // Of an epoch that we know nothing of.
            (z(3, 1), SyncPlan::Snap),
            (z(5, 1), SyncPlan::Snap),
            // Before the log.
            (z(1, 2), SyncPlan::Snap),
            (z(0, 7), SyncPlan::Snap),
            // No transactions (traps 27 and 30).
            (z(2, 0), SyncPlan::Snap),
            (z(0, 0), SyncPlan::Snap),
            (Zxid(-1), SyncPlan::Snap),
        ] {
            assert_eq!(plan_from_log(peer, log), plan, "{peer}");
        }
        assert_eq!(plan_from_log(z(1, 1), []), SyncPlan::Snap);
    }

    #[test]
    fn memory_decides_where_it_reaches() {
        let (mut history, mut outputs) = (History::new(z(1, 2), 3, 1000), VecDeque::new());
        for zxid in [z(1, 3), z(1, 4), z(2, 1), z(2, 2), z(4, 1), z(4, 2)] {
            history.append(zxid, Bytes::new(), &mut outputs);
        }
        history.commit_through(z(4, 1), &mut outputs);
        // Base (1,4); committed (2,1) (2,2) (4,1); tail (4,2).
        for (through, peer, plan) in [
            (z(4, 1), z(4, 1), Some(SyncPlan::Diff { after: z(4, 1) })),
            (z(4, 1), z(1, 4), Some(SyncPlan::Diff { after: z(1, 4) })),
            (z(4, 1), z(2, 1), Some(SyncPlan::Diff { after: z(2, 1) })),
            // A proposal that is not committed is not a common prefix yet.
            (z(4, 1), z(4, 2), Some(SyncPlan::Trunc { to: z(4, 1) })),
            // For a leader that is not established its whole log is the history.
            (z(4, 2), z(4, 2), Some(SyncPlan::Diff { after: z(4, 2) })),
            (z(4, 2), z(4, 1), Some(SyncPlan::Diff { after: z(4, 1) })),
            (z(4, 1), z(1, 5), Some(SyncPlan::Trunc { to: z(1, 4) })),
            (z(4, 1), z(2, 3), Some(SyncPlan::Trunc { to: z(2, 2) })),
            (z(4, 1), z(3, 1), Some(SyncPlan::Snap)),
            (z(4, 1), z(5, 1), Some(SyncPlan::Snap)),
            (z(4, 1), z(4, 0), Some(SyncPlan::Snap)),
            (z(4, 1), z(0, 0), Some(SyncPlan::Snap)),
            (z(4, 1), z(1, 3), None),
            (z(4, 1), z(0, 3), None),
        ] {
            assert_eq!(plan_from_memory(&history, through, peer), plan, "{peer} against {through}");
        }
        history.append(z(5, 1), Bytes::new(), &mut outputs);
        assert_eq!(plan_from_memory(&history, z(4, 2), z(5, 1)), Some(SyncPlan::Trunc { to: z(4, 2) }), "our own proposal");
        let empty = History::new(z(0, 0), 3, 1000);
        assert_eq!(plan_from_memory(&empty, z(0, 0), z(0, 0)), Some(SyncPlan::Diff { after: z(0, 0) }));
        assert_eq!(plan_from_memory(&empty, z(0, 0), z(0, 5)), Some(SyncPlan::Snap), "nothing of ours to cut it to");
        let from_java = History::new(z(3, 0), 3, 1000);
        assert_eq!(plan_from_memory(&from_java, z(3, 0), z(3, 0)), Some(SyncPlan::Diff { after: z(3, 0) }));
        assert_eq!(plan_from_memory(&from_java, z(3, 0), z(3, 2)), Some(SyncPlan::Snap), "(3,0) is in no log");
    }
}
