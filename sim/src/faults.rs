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
}

impl FaultKind {
    /// All of them: the name, in how many runs of so many it is absent, and about how many steps lie between two.
    pub const ALL: [(Self, &'static str, u64, u64); 14] = [
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
        Self(FaultKind::ALL.map(|(_, _, absent, steps)| if random.one_in(absent) { 0 } else { steps / 2 + random.below(steps) }))
    }

    /// How rare a kind is.
    pub fn of(&self, kind: FaultKind) -> u64 {
        self.0[kind as usize]
    }
}
