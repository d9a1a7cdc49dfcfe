//! What can go wrong in an ensemble, and how often: one table for drawing, counting, telling and shrinking.

use crate::random::Random;

/// One kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// A member loses its power.
    PowerCut,
    /// A member loses its power between two operations of its disk.
    PowerCutInside,
    /// All members lose their power.
    Blackout,
    /// kill -9.
    Kill,
    /// A member stands still for a while.
    Pause,
    /// A direction between two members is cut, or heals.
    Cut,
    /// A connection between two members is reset.
    Reset,
    /// A sync to come fails.
    Sync,
    /// A write to come fails.
    Write,
    /// A disk takes its time.
    Slow,
    /// A disk is full, or has room again.
    Space,
    /// A clock is set.
    Clock,
    /// A byte rots on the disk of a member that is down.
    Rot,
    /// Java runs on a directory between two of our lives, and takes a snapshot of all that the log holds.
    Java,
    /// A member loses its power at a moment that is rare otherwise, the next time that it comes to it.
    PowerCutAt,
    /// A leader without anything that is not committed stands still, and is cut off from all others: when it goes on it does
    /// not know that there may be another leader.
    Isolation,
    /// A client asks for another ensemble, or the owner of a server that has left makes a new one of it.
    Reconfig,
}

/// A moment at which the power is to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Between two operations of the disk while a leader brings the member to its history so.
    During(&'static str),
    /// From NEWLEADER on, in a life in which a leader has cut the member's log: whichever member comes to it, each once.
    AfterCut,
    /// Right before a file gets this name; one that ends with a dot begins several.
    Rename(&'static str),
}

impl Moment {
    /// All that [`FaultKind::PowerCutAt`] draws from; what is rarest several times.
    pub const ALL: [Self; 19] = [
        Self::During("DIFF"),
        Self::During("TRUNC"),
        Self::During("TRUNC"),
        Self::During("TRUNC"),
        Self::During("TRUNC"),
        Self::During("SNAP"),
        Self::AfterCut,
        Self::AfterCut,
        Self::Rename("acceptedEpoch"),
        Self::Rename("currentEpoch"),
        Self::Rename("currentEpoch.tmp"),
        Self::Rename("oxkeeper.epochs"),
        Self::Rename("oxkeeper.adopting"),
        Self::Rename("oxkeeper.aside.snapshot."),
        Self::Rename("oxkeeper.tmp.staged.snapshot."),
        Self::Rename("snapshot."),
        Self::Rename("log."),
        Self::Rename("zoo.cfg"),
        Self::Rename("zoo.cfg.dynamic."),
    ];
}

impl FaultKind {
    /// All of them: the name, in one of how many runs it is absent, and about how many steps lie between two. The last one is
    /// in one run of three, less those.
    pub const ALL: [(Self, &'static str, u64, u64); 17] = [
        (Self::PowerCut, "power cuts", 3, 600),
        (Self::PowerCutInside, "power cuts inside", 3, 500),
        (Self::Blackout, "blackouts", 2, 2000),
        (Self::Kill, "kills", 3, 500),
        (Self::Pause, "pauses", 2, 600),
        (Self::Cut, "cuts of links", 3, 300),
        (Self::Reset, "resets", 3, 400),
        (Self::Sync, "failed syncs", 2, 1500),
        (Self::Write, "failed writes", 2, 2000),
        (Self::Slow, "slow disks", 2, 600),
        (Self::Space, "full disks", 3, 1200),
        (Self::Clock, "clock steps", 2, 800),
        (Self::Rot, "rotten bytes", 2, 1500),
        (Self::Java, "starts of Java", 2, 1000),
        (Self::PowerCutAt, "power cuts at a moment", 3, 500),
        (Self::Isolation, "leaders cut off", 3, 1200),
        (Self::Reconfig, "changes of the ensemble", 10, 40),
    ];
    /// How many kinds there are.
    pub const COUNT: usize = Self::ALL.len();
}

/// Each kind happens once in so many steps; 0 for never.
#[derive(Clone, Copy, Debug, Default)]
pub struct ClusterFaults(pub [u64; FaultKind::COUNT]);

impl ClusterFaults {
    /// Kinds and rates drawn from a seed: no two runs are alike, and none has everything.
    pub fn draw(random: &mut Random) -> Self {
        let mut drawn = FaultKind::ALL.map(|(_, _, absent, steps)| if random.one_in(absent) { 0 } else { steps / 2 + random.below(steps) });
        let (all_others, reconfig) = drawn.split_at_mut(FaultKind::Reconfig as usize);
        let changes = random.one_in(3);
        if changes {
            // Whose history is gone has no vote, and two that change might be all that there are.
            all_others[FaultKind::Rot as usize] = 0;
        } else {
            reconfig[0] = 0;
        }
        // Now and then there is time to get on between them; a change of the ensemble needs it more often.
        if random.one_in(if changes { 2 } else { 5 }) {
            all_others.iter_mut().for_each(|steps| *steps *= 4);
        }
        Self(drawn)
    }

    /// How rare a kind is.
    pub fn of(&self, kind: FaultKind) -> u64 {
        self.0[kind as usize]
    }
}
