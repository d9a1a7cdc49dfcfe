//! What a server knows of its own history: the proposals that are not committed yet, and the last ones that are.
//!
//! It survives role changes. The bytes on disk belong to whoever carries out [`Output::Append`] and its siblings.

use crate::peer::Output;
use bytes::Bytes;
use oxkeeper_proto::{Mutant, Zxid, mutant};
use std::collections::VecDeque;

/// See the module.
pub(crate) struct History {
    /// Committed, contiguous, oldest first; for learners that were briefly away. Bounded by both limits.
    committed: VecDeque<(Zxid, Bytes)>,
    committed_bytes: usize,
    /// The zxid right before the first of `committed`.
    base: Zxid,
    /// Appended and not committed, oldest first. Bounded by the credits of the connections of the ensemble.
    tail: VecDeque<(Zxid, Bytes)>,
    last_logged: Zxid,
    last_committed: Zxid,
    durable: Zxid,
    cache_entries: usize,
    cache_bytes: usize,
}

impl History {
    /// A history that ends here, durable and applied.
    pub fn new(last: Zxid, cache_entries: usize, cache_bytes: usize) -> Self {
        Self {
            committed: VecDeque::new(),
            committed_bytes: 0,
            base: last,
            tail: VecDeque::new(),
            last_logged: last,
            last_committed: last,
            durable: last,
            cache_entries,
            cache_bytes,
        }
    }

    /// The last zxid that was handed to the log.
    pub fn last_logged(&self) -> Zxid {
        self.last_logged
    }

    /// The last zxid that was put out as committed.
    pub fn last_committed(&self) -> Zxid {
        self.last_committed
    }

    /// How far the log is known to be durable.
    pub fn durable(&self) -> Zxid {
        self.durable
    }

    /// How many proposals are not committed.
    pub fn outstanding(&self) -> usize {
        self.tail.len()
    }

    /// The first zxid that is not committed.
    pub fn first_outstanding(&self) -> Option<Zxid> {
        self.tail.front().map(|(zxid, _)| *zxid)
    }

    /// What is not committed, behind a zxid.
    pub fn tail_after(&self, zxid: Zxid) -> impl Iterator<Item = &(Zxid, Bytes)> {
        self.tail.range(self.tail.partition_point(|(z, _)| *z <= zxid)..)
    }

    /// The zxid before everything that memory holds.
    pub fn base(&self) -> Zxid {
        self.base
    }

    /// What memory holds of the history up to a zxid, oldest first.
    pub fn known(&self, through: Zxid) -> impl DoubleEndedIterator<Item = &(Zxid, Bytes)> {
        let committed = self.committed.partition_point(|(z, _)| *z <= through);
        let tail = self.tail.partition_point(|(z, _)| *z <= through);
        self.committed.range(..committed).chain(self.tail.range(..tail))
    }

    /// Whether this zxid may follow the last one: the next of its epoch, or the first of a later one (I4 of the
    /// reliability reference).
    pub fn is_next(&self, zxid: Zxid) -> bool {
        zxid.counter() != 0
            && (zxid.0 == self.last_logged.0.wrapping_add(1)
                || (zxid.counter() == 1 && zxid.0 > self.last_logged.0 && zxid.epoch() > self.last_logged.epoch()))
    }

    /// Hands one to the log.
    pub fn append(&mut self, zxid: Zxid, payload: Bytes, outputs: &mut VecDeque<Output>) {
        debug_assert!(zxid > self.last_logged);
        self.last_logged = zxid;
        self.tail.push_back((zxid, payload.clone()));
        outputs.push_back(Output::Append { zxid, payload });
    }

    /// The log is durable that far. A report about what has been cut off since tells nothing.
    pub fn synced(&mut self, through: Zxid) {
        self.durable = self.durable.max(through.min(self.last_logged));
    }

    /// Everything that was appended is durable.
    pub fn all_synced(&mut self) {
        self.durable = self.last_logged;
    }

    /// Puts out the first of the tail as committed.
    pub fn commit_first(&mut self, outputs: &mut VecDeque<Output>) {
        let (zxid, payload) = self.tail.pop_front().expect("the caller has looked");
        self.last_committed = zxid;
        if self.cache_entries == 0 {
            self.base = zxid;
        } else {
            self.committed_bytes += payload.len();
            self.committed.push_back((zxid, payload.clone()));
            while self.committed.len() > self.cache_entries || self.committed_bytes > self.cache_bytes {
                let Some((zxid, payload)) = self.committed.pop_front() else { break };
                self.committed_bytes -= payload.len();
                self.base = zxid;
            }
        }
        outputs.push_back(Output::Commit { zxid, payload });
    }

    /// Puts out the tail as committed up to a zxid.
    pub fn commit_through(&mut self, through: Zxid, outputs: &mut VecDeque<Output>) {
        while self.first_outstanding().is_some_and(|first| first <= through) {
            if mutant::is(Mutant::HoleInMemory) {
                let (zxid, payload) = self.tail.pop_front().expect("the condition has looked");
                self.last_committed = zxid;
                outputs.push_back(Output::Commit { zxid, payload });
                continue;
            }
            self.commit_first(outputs);
        }
    }

    /// Cuts everything behind a zxid.
    pub fn truncate(&mut self, zxid: Zxid, outputs: &mut VecDeque<Output>) {
        self.cut(zxid);
        outputs.push_back(Output::Truncate { zxid });
    }

    fn cut(&mut self, zxid: Zxid) {
        self.tail.truncate(self.tail.partition_point(|(z, _)| *z <= zxid));
        while self.committed.back().is_some_and(|(z, _)| *z > zxid) {
            let (_, payload) = self.committed.pop_back().expect("there is a last");
            self.committed_bytes -= payload.len();
        }
        if zxid < self.base {
            self.base = zxid;
        }
        self.last_logged = zxid;
        self.last_committed = self.last_committed.min(zxid);
        if !mutant::is(Mutant::StaleReportCounts) {
            self.durable = self.durable.min(zxid);
        }
    }

    /// Another history takes the place of this one.
    pub fn install(&mut self, zxid: Zxid, outputs: &mut VecDeque<Output>) {
        self.reset(zxid);
        outputs.push_back(Output::InstallSnapshot { zxid });
    }

    /// The history is now this, and in memory nothing of it.
    pub fn reset(&mut self, zxid: Zxid) {
        *self = Self::new(zxid, self.cache_entries, self.cache_bytes);
    }

    /// The log has refused everything from this zxid on. Says whether there was anything.
    pub fn withdraw(&mut self, from: Zxid, outputs: &mut VecDeque<Output>) -> bool {
        if self.last_logged < from {
            return false;
        }
        let stays = self.tail.iter().rev().map(|(zxid, _)| *zxid).find(|zxid| *zxid < from).unwrap_or(self.last_committed);
        self.cut(stays);
        outputs.retain(|output| !matches!(output, Output::Append { zxid, .. } if *zxid >= from));
        outputs.push_back(Output::Withdrawn { zxid: from });
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(entries: usize) -> (History, VecDeque<Output>) {
        let (mut history, mut outputs) = (History::new(Zxid::new(1, 2), entries, 1000), VecDeque::new());
        for counter in 3..=8 {
            history.append(Zxid::new(1, counter), Bytes::from_static(b"payload"), &mut outputs);
        }
        history.commit_through(Zxid::new(1, 6), &mut outputs);
        (history, outputs)
    }

    fn counters(history: &History) -> Vec<u32> {
        history.known(history.last_logged()).map(|(zxid, _)| zxid.counter()).collect()
    }

    #[test]
    fn the_cache_is_a_contiguous_suffix_and_the_base_comes_right_before_it() {
        for (entries, base, known) in
            [(0, 6, vec![7, 8]), (1, 5, vec![6, 7, 8]), (3, 3, vec![4, 5, 6, 7, 8]), (9, 2, vec![3, 4, 5, 6, 7, 8])]
        {
            let (history, _) = filled(entries);
            assert_eq!((history.base(), counters(&history)), (Zxid::new(1, base), known), "{entries} entries");
        }
        let (mut history, mut outputs) = (History::new(Zxid::ZERO, 100, 20), VecDeque::new());
        for counter in 1..=5 {
            history.append(Zxid::new(0, counter), Bytes::from_static(b"payload"), &mut outputs);
            history.commit_first(&mut outputs);
        }
        assert_eq!((history.base(), counters(&history)), (Zxid(3), vec![4, 5]), "20 bytes hold two payloads");
    }

    #[test]
    fn a_cut_takes_from_the_tail_the_cache_and_what_lies_before() {
        for (to, base, known, committed) in
            [(7, 3, vec![4, 5, 6, 7], 6), (6, 3, vec![4, 5, 6], 6), (4, 3, vec![4], 4), (3, 3, vec![], 3), (1, 1, vec![], 1)]
        {
            let (mut history, mut outputs) = filled(3);
            history.synced(Zxid::new(1, 8));
            history.truncate(Zxid::new(1, to), &mut outputs);
            assert_eq!((history.base(), counters(&history)), (Zxid::new(1, base), known), "cut behind {to}");
            assert_eq!(history.last_committed(), Zxid::new(1, committed));
            assert_eq!((history.last_logged(), history.durable()), (Zxid::new(1, to), Zxid::new(1, to)));
            history.synced(Zxid::new(1, 8));
            assert_eq!(history.durable(), Zxid::new(1, to), "an old report proves nothing");
        }
    }

    #[test]
    fn the_next_zxid_is_the_successor_or_the_first_of_a_later_epoch() {
        let history = History::new(Zxid::new(2, 7), 0, 0);
        for (zxid, is_next) in [
            (Zxid::new(2, 8), true),
            (Zxid::new(2, 7), false),
            (Zxid::new(2, 9), false),
            (Zxid::new(3, 1), true),
            (Zxid::new(5, 1), true),
            (Zxid::new(3, 0), false),
            (Zxid::new(3, 2), false),
            (Zxid::new(1, 1), false),
            (Zxid(-1), false),
        ] {
            assert_eq!(history.is_next(zxid), is_next, "{zxid}");
        }
        assert!(!History::new(Zxid::new(2, u32::MAX), 0, 0).is_next(Zxid::new(3, 0)), "counter 0 is never a transaction");
        assert!(History::new(Zxid::new(3, 0), 0, 0).is_next(Zxid::new(3, 1)));
    }

    #[test]
    fn what_the_log_refused_is_taken_back() {
        let (mut history, mut outputs) = filled(3);
        assert!(!history.withdraw(Zxid::new(1, 9), &mut outputs));
        assert!(history.withdraw(Zxid::new(1, 8), &mut outputs));
        assert_eq!(history.last_logged(), Zxid::new(1, 7));
        assert!(history.withdraw(Zxid::new(1, 7), &mut outputs));
        assert_eq!((history.last_logged(), history.outstanding()), (Zxid::new(1, 6), 0));
        assert!(!outputs.iter().any(|o| matches!(o, Output::Append { zxid, .. } if *zxid > Zxid::new(1, 6))));
    }
}
