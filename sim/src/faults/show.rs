//! Faults in words.

use std::fmt;

use super::{Alteration, Fault, Victim};

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cut { links, pattern, lasting } => {
                write!(f, "cut {pattern:?} for {lasting:?}: {}", Links(links))
            }
            Self::CutLeader { group, out, into, lasting } => {
                let how = match (out, into) {
                    (true, true) => "is isolated",
                    (true, false) => "is not heard",
                    (false, true) => "hears nobody",
                    (false, false) => "stays",
                };
                write!(f, "the leader of group {group} {how} for {lasting:?}")
            }
            Self::SlowAnswers { group, factor, lasting } => {
                write!(
                    f,
                    "what the leader of group {group} is told slow by {factor} for {lasting:?}"
                )
            }
            Self::SlowLinks { links, factor, lasting } => {
                write!(f, "slow x{factor} for {lasting:?}: {}", Links(links))
            }
            Self::Crash { victim, how, moment, down } => {
                write!(f, "crash {victim}: {how:?} at {moment:?}, down for {down:?}")
            }
            Self::Blackout { down } => write!(f, "blackout, down for {down:?}"),
            Self::FailedSync { node, down } => {
                write!(f, "next sync of n{} fails, down for {down:?}", node + 1)
            }
            Self::SlowDisk { node, factor, lasting } => {
                write!(f, "disk of n{} slow x{factor} for {lasting:?}", node + 1)
            }
            Self::StalledDisk { node, lasting } => {
                write!(f, "disk of n{} stalled for {lasting:?}", node + 1)
            }
            Self::StallingDisk { node, syncs, lasting } => {
                write!(f, "disk of n{} stalled after {syncs} syncs, for {lasting:?}", node + 1)
            }
            Self::SlowReads { node, delay, lasting } => {
                write!(f, "reads of the log of n{} slow by {delay:?} for {lasting:?}", node + 1)
            }
            Self::FullDisk { node, segments, lasting } => {
                write!(f, "disk of n{} full but for {segments} segments, for {lasting:?}", node + 1)
            }
            Self::Rot { node, place, extent } => {
                write!(f, "one {extent:?} of the disk of n{} rots, place {place}", node + 1)
            }
            Self::LyingDisk { node, lasting } => {
                write!(f, "syncs of the disk of n{} lie for {lasting:?}", node + 1)
            }
            Self::Astray { node, writes, place } => {
                write!(f, "a write of n{} goes astray after {writes}, to {place}", node + 1)
            }
            Self::WipedDisk { node, down } => {
                write!(f, "the disk of n{} is wiped, down for {down:?}", node + 1)
            }
            Self::SavedDisk { node } => write!(f, "the disk of n{} is copied", node + 1),
            Self::RestoredDisk { node, down } => {
                write!(f, "the disk of n{} is replaced by its copy, down for {down:?}", node + 1)
            }
            Self::SecondProcess { node } => {
                write!(f, "a second process speaks for the directory of n{}", node + 1)
            }
            Self::SlowMachines { node, delay, lasting } => {
                write!(f, "machines of n{} slow by {delay:?} for {lasting:?}", node + 1)
            }
            Self::Around { group, shape, first, lasting } => {
                write!(f, "{shape:?} around the leader of group {group}, {first} first, ")?;
                write!(f, "for {lasting:?}")
            }
            Self::Pause { victim, is_frozen, lasting } => {
                let what = if *is_frozen { "the machine" } else { "the process" };
                write!(f, "{what} of {victim} stands still for {lasting:?}")
            }
            Self::SlowProcess { victim, cost, lasting } => {
                write!(f, "{victim} takes {cost:?} for everything, for {lasting:?}")
            }
            Self::ClockRate { victim, ppm, lasting } => {
                write!(f, "the clock of {victim} is {ppm:+} ppm fast for {lasting:?}")
            }
            Self::Wall { victim, asks, answers, lasting } => {
                let what = match (asks, answers) {
                    (true, true) => "lose touch with",
                    (true, false) => "do not reach",
                    (false, true) => "do not hear",
                    (false, false) => "stay with",
                };
                write!(f, "clients {what} {victim} for {lasting:?}")
            }
            Self::Release { group } => write!(f, "the master of group {group} is to let go"),
            Self::Transfer { group, to } => {
                write!(f, "the leader of group {group} is to hand over to n{}", to + 1)
            }
            Self::Change { group, asked, what, is_late, patience } => {
                write!(f, "{asked} is asked to change group {group}")?;
                for (n, alteration) in what.iter().enumerate() {
                    write!(f, "{} {alteration}", if n > 0 { "," } else { ":" })?;
                }
                write!(f, "; {}for {patience:?}", if *is_late { "too late, " } else { "" })
            }
            Self::Renewal { node, down } => {
                write!(f, "n{} is renewed if it is no member, down for {down:?}", node + 1)
            }
        }
    }
}

impl fmt::Display for Alteration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Add(node) => write!(f, "add n{}", node + 1),
            Self::AddFollower(node) => write!(f, "add the follower n{}", node + 1),
            Self::Remove(old) => write!(f, "remove {old}"),
            Self::Replace(old, new) => write!(f, "replace {old} by n{}", new + 1),
            Self::Promote(node) => write!(f, "promote n{}", node + 1),
            Self::Move(node) => write!(f, "move n{}", node + 1),
        }
    }
}

impl fmt::Display for Victim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(node) => write!(f, "n{}", node + 1),
            Self::Leader(group) => write!(f, "the leader of group {group}"),
            Self::Beside(group, first) => {
                write!(f, "follower {first} of the leader of group {group}")
            }
        }
    }
}

struct Links<'a>(&'a [(usize, usize)]);

impl fmt::Display for Links<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, (from, to)) in self.0.iter().enumerate() {
            let gap = if n > 0 { " " } else { "" };
            write!(f, "{gap}{}>{}", from + 1, to + 1)?;
        }
        Ok(())
    }
}
