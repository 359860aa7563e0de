//! What the statistics call each fault.

use super::{Crash, Extent, Fault, Moment};

impl Fault {
    /// Which line of the statistics counts this fault.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Cut { .. } => "partitions",
            Self::CutLeader { .. } => "leaders cut off",
            Self::SlowLinks { .. } => "slow links",
            Self::SlowAnswers { .. } => "slow answers",
            Self::Crash { moment: Moment::Middle(_), .. } => "stops in the middle",
            Self::Crash { moment: Moment::Event(_), .. } => "crashes after any event",
            Self::Crash { moment: Moment::Accepts(_), .. } => "crashes between accepts",
            Self::Crash { how: Crash::Kill, .. } => "kills",
            Self::Crash { how: Crash::Power, .. } => "power losses",
            Self::Crash { how: Crash::KillThenPower, .. } => "kills before power losses",
            Self::Blackout { .. } => "blackouts",
            Self::FailedSync { .. } => "failed syncs",
            Self::SlowDisk { .. } => "slow disks",
            Self::StalledDisk { .. } => "stalled disks",
            Self::StallingDisk { .. } => "stalling disks",
            Self::SlowReads { .. } => "slow reads",
            Self::FullDisk { .. } => "full disks",
            Self::Rot { extent: Extent::Bit, .. } => "rotted bits",
            Self::Rot { extent: Extent::Sector, .. } => "rotted sectors",
            Self::Rot { extent: Extent::Unreadable, .. } => "unreadable sectors",
            Self::Rot { extent: Extent::Stretch, .. } => "rotted stretches",
            Self::LyingDisk { .. } => "lying disks",
            Self::Astray { .. } => "writes astray",
            Self::WipedDisk { .. } => "wiped disks",
            Self::SavedDisk { .. } => "copied disks",
            Self::RestoredDisk { .. } => "restored disks",
            Self::SecondProcess { .. } => "second processes",
            Self::SlowMachines { .. } => "slow machines",
            Self::Around { .. } => "awkward topologies",
            Self::Pause { is_frozen: false, .. } => "pauses",
            Self::Pause { is_frozen: true, .. } => "frozen machines",
            Self::SlowProcess { .. } => "slow processes",
            Self::ClockRate { .. } => "clock rates",
            Self::Wall { .. } => "clients cut off",
            Self::Release { .. } => "releases",
            Self::Transfer { .. } => "transfers",
            Self::Change { .. } => "membership changes",
            Self::Renewal { .. } => "machines renewed",
        }
    }
}
