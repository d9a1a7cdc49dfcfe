//! Which server is next: the list in its (shuffled) order, and the move to another one when the list has changed.

use core::net::SocketAddr;
use std::collections::VecDeque;

/// The resolved servers.
#[derive(Debug)]
pub(crate) struct Servers {
    addresses: Vec<SocketAddr>,
    /// Index of the next one in the ordinary round.
    next: usize,
    /// The one connected to, or tried last.
    current: Option<SocketAddr>,
    /// Taken before any other: a read-write server that was found.
    preferred: Option<SocketAddr>,
    /// Those to try first, after a change of the list that calls for a move.
    moving: Option<Move>,
    /// Attempts that failed since the last pause or success.
    failed: usize,
    shuffle: bool,
    random: Random,
}

/// A move: servers that were in the list before and those that were not, each tried once.
#[derive(Debug)]
struct Move {
    old: VecDeque<SocketAddr>,
    new: VecDeque<SocketAddr>,
    /// Probability of taking a new one.
    new_share: f64,
}

/// What a new list means for the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Update {
    /// Nothing has changed, or the connection may stay.
    Stay,
    /// It has to go to another server.
    Move,
}

impl Servers {
    pub fn new(shuffle: bool, seed: u64) -> Self {
        Self { addresses: Vec::new(), next: 0, current: None, preferred: None, moving: None, failed: 0, shuffle, random: Random(seed) }
    }

    pub fn is_empty(&self) -> bool {
        self.addresses.is_empty()
    }

    pub fn current(&self) -> Option<SocketAddr> {
        self.current
    }

    /// Takes another list. Its order counts only if its members are others than before. The probabilities keep the
    /// load even when many clients do the same: ZooKeeper's rule (reference of `zoo_set_servers`).
    pub fn update(&mut self, mut list: Vec<SocketAddr>) -> Update {
        let mut seen = oxkeeper_proto::collections::HashSet::default();
        list.retain(|address| seen.insert(*address));
        if list.len() == self.addresses.len() && self.addresses.iter().all(|address| seen.contains(address)) {
            return Update::Stay;
        }
        if self.shuffle {
            self.random.shuffle(&mut list);
        }
        let before = std::mem::replace(&mut self.addresses, list);
        self.next = 0;
        self.failed = 0;
        self.moving = None;
        if before.is_empty() {
            return Update::Stay;
        }
        let (old, new): (VecDeque<_>, VecDeque<_>) = self.addresses.iter().partition(|address| before.contains(address));
        let (old_count, before_count, count) = (old.len() as f64, before.len() as f64, self.addresses.len() as f64);
        let is_here = self.current.is_some_and(|current| seen.contains(&current));
        let new_share = if count > before_count {
            if is_here && self.random.unit() >= 1.0 - before_count / count {
                return Update::Stay;
            }
            1.0
        } else if is_here {
            return Update::Stay;
        } else if before_count > old_count {
            1.0 - old_count * (before_count - count) / (count * (before_count - old_count))
        } else {
            // An empty new list; nothing to choose.
            1.0
        };
        self.moving = Some(Move { old, new, new_share });
        Update::Move
    }

    /// Goes on to the next server and gives it; `None` when there are none.
    pub fn advance(&mut self) -> Option<SocketAddr> {
        self.current = self.take_next();
        self.current
    }

    fn take_next(&mut self) -> Option<SocketAddr> {
        if let Some(preferred) = self.preferred.take() {
            return Some(preferred);
        }
        if let Some(moving) = &mut self.moving {
            let wants_new = self.random.unit() < moving.new_share;
            let taken = if wants_new || moving.old.is_empty() { moving.new.pop_front() } else { None };
            if let Some(address) = taken.or_else(|| moving.old.pop_front()).or_else(|| moving.new.pop_front()) {
                return Some(address);
            }
            self.moving = None;
        }
        let address = *self.addresses.get(self.next)?;
        self.next = (self.next + 1) % self.addresses.len();
        Some(address)
    }

    /// The server that would be next in the ordinary round: to be asked whether it is read-write.
    pub fn peek(&self) -> Option<SocketAddr> {
        self.addresses.get(self.next).copied()
    }

    /// The one that [`Self::peek`] gave is not what is wanted.
    pub fn skip(&mut self) {
        if !self.addresses.is_empty() {
            self.next = (self.next + 1) % self.addresses.len();
        }
    }

    /// The next attempt goes there.
    pub fn prefer(&mut self, address: SocketAddr) {
        self.preferred = Some(address);
    }

    /// The current one works.
    pub fn succeeded(&mut self) {
        self.failed = 0;
        self.moving = None;
    }

    /// The current one does not, or no longer; whether all have been tried since the last pause, so that one is due.
    /// (C pauses at the end of its list, and skips every other server after the first round: not copied.)
    pub fn failed(&mut self) -> bool {
        self.failed += 1;
        let is_round_over = self.failed >= self.addresses.len();
        if is_round_over {
            self.failed = 0;
        }
        is_round_over
    }
}

/// splitmix64: for spreading load, not for secrets.
#[derive(Debug)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// In [0, 1).
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let other = (u128::from(self.next()) * (last as u128 + 1)) >> 64;
            items.swap(last, other as usize);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(hosts: impl IntoIterator<Item = u8>) -> Vec<SocketAddr> {
        hosts.into_iter().map(|host| SocketAddr::from(([10, 0, 0, host], 2181))).collect()
    }

    fn connected(before: &[SocketAddr], to: SocketAddr, seed: u64) -> Servers {
        let mut servers = Servers::new(false, seed);
        assert_eq!(servers.update(before.to_vec()), Update::Stay);
        while servers.advance() != Some(to) {}
        servers.succeeded();
        servers
    }

    #[test]
    fn every_server_is_tried_and_a_pause_follows_each_round() {
        for count in 1..6u8 {
            let addresses = list(0..count);
            let mut servers = Servers::new(false, 1);
            servers.update(addresses.clone());
            for _ in 0..3 {
                for (number, address) in addresses.iter().enumerate() {
                    assert_eq!(servers.advance(), Some(*address));
                    assert_eq!(servers.failed(), number + 1 == addresses.len());
                }
            }
        }
    }

    #[test]
    fn an_empty_list_has_no_next() {
        let mut servers = Servers::new(true, 1);
        assert_eq!(servers.advance(), None);
        assert!(servers.failed());
        servers.update(list(0..2));
        servers.advance();
        assert_eq!(servers.update(Vec::new()), Update::Move);
        assert_eq!(servers.advance(), None);
        servers.skip();
        assert_eq!(servers.peek(), None);
    }

    #[test]
    fn the_same_members_in_another_order_change_nothing() {
        let mut servers = connected(&list(0..3), list([1])[0], 1);
        assert_eq!(servers.update(list([2, 1, 0, 0])), Update::Stay);
        assert_eq!(servers.advance(), Some(list([2])[0]));
    }

    #[test]
    fn shuffling_moves_every_place_and_loses_nobody() {
        let mut first = [0; 5];
        for seed in 0..5000 {
            let mut servers = Servers::new(true, seed);
            servers.update(list(0..5));
            let mut got: Vec<_> = (0..5).map(|_| servers.advance().unwrap()).collect();
            first[list(0..5).iter().position(|address| *address == got[0]).unwrap()] += 1;
            got.sort();
            assert_eq!(got, list(0..5));
        }
        assert!(first.iter().all(|count| (800..1200).contains(count)), "{first:?}");
    }

    /// Which share of the clients ends on which server after a change of the list, each connected evenly before.
    fn shares(before: &[SocketAddr], after: &[SocketAddr]) -> Vec<f64> {
        const CLIENTS: usize = 20_000;
        let mut counts = vec![0; after.len()];
        for client in 0..CLIENTS {
            let to = before[client % before.len()];
            let mut servers = connected(before, to, client as u64 * 7919);
            servers.shuffle = true;
            let at = match servers.update(after.to_vec()) {
                Update::Stay => to,
                Update::Move => servers.advance().unwrap(),
            };
            counts[after.iter().position(|address| *address == at).unwrap()] += 1;
        }
        counts.into_iter().map(|count| f64::from(count) / CLIENTS as f64).collect()
    }

    #[test]
    fn a_change_of_the_list_leaves_the_load_even() {
        for (before, after) in [
            (list(0..3), list(0..5)),
            (list(0..5), list(0..3)),
            (list(0..5), list(2..5)),
            (list(0..9), list(0..1)),
            (list(0..3), list(3..6)),
            (list(0..4), list(2..6)),
            (list(0..4), list([2, 3, 9])),
            (list(0..1), list(0..9)),
        ] {
            let even = 1.0 / after.len() as f64;
            for share in shares(&before, &after) {
                assert!((share - even).abs() < even * 0.12, "{before:?} -> {after:?}: {share} is not {even}");
            }
        }
    }

    #[test]
    fn a_move_tries_each_server_once_before_the_ordinary_round() {
        let mut servers = connected(&list(0..3), list([0])[0], 3);
        assert_eq!(servers.update(list(1..5)), Update::Move);
        let mut tried: Vec<_> = (0..4).map(|_| servers.advance().unwrap()).collect();
        assert_eq!(
            {
                tried[..2].sort();
                &tried[..2]
            },
            list([3, 4]),
            "new ones first: the list has grown"
        );
        assert_eq!(&tried[2..], list([1, 2]));
        assert_eq!(servers.advance(), Some(list([1])[0]), "the ordinary round");
    }

    #[test]
    fn a_server_that_was_found_read_write_comes_first() {
        let mut servers = connected(&list(0..3), list([0])[0], 3);
        assert_eq!(servers.peek(), Some(list([1])[0]));
        servers.skip();
        servers.prefer(list([2])[0]);
        assert_eq!(servers.advance(), Some(list([2])[0]));
        assert_eq!(servers.advance(), Some(list([2])[0]));
        assert_eq!(servers.advance(), Some(list([0])[0]));
    }
}
