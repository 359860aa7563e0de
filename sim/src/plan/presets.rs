//! Kinds of runs.
//!
//! Which kind finds a given bug is not known in advance, so the default is a mix of them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::faults::{Appetite, Family};
use crate::rng::Rng;

/// A kind of run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// One of the others, by the seed.
    #[default]
    Mix,
    /// Nothing goes wrong.
    Calm,
    /// Each feature by the toss of a coin, so that what remains can go far.
    Swarm,
    /// Limits as tight as they go.
    Tight,
    /// Partitions and leader changes, many of them.
    Network,
    /// Disks that fail, stall and lose what was not synced.
    Disk,
    /// Crashes, many of them.
    Churn,
    /// Clocks that are off, processes that stand still or are slow.
    Clock,
    /// Nodes in three regions.
    Wan,
    /// Leaders cut off from their peers and not from their clients, who read a lot.
    LonelyLeader,
    /// Leaders that crash with some of a full window sent out.
    RestartsInWindow,
    /// All nodes losing power, again and again.
    Blackouts,
    /// Small checkpoints all the time, logs that keep nothing, and nodes that fall behind.
    Checkpoints,
    /// Everything at once.
    Hell,
    /// Disks that rot or are lost, as far as the protocol must survive it.
    Worn,
    /// Disks that lie about syncs or are replaced by older copies, and nodes that know better than to
    /// trust them.
    Liars,
    /// Older copies of a disk that come back, and directories of two processes, while all peers are
    /// there to tell.
    Copies,
    /// More disks that rot or are lost than the protocol must survive: it may refuse to serve.
    Beyond,
    /// Disks that lie about syncs, and nodes that trust them: outside of every promise, so agreement
    /// is expected to break.
    Trusting,
    /// Short leases, and everything that could let two nodes believe in one at once.
    Leases,
    /// Memories that are lost one after the other, each swapped in, while leaders fall; on half of the
    /// seeds an operator changes who votes.
    Reconfiguration,
    /// Several who lead or ask to at once, and what is left over of earlier ballots: leaders that
    /// slept, votes that come late, candidates that are behind, followers that lost some of what they
    /// learned. No part of the mix: hundreds of its
    /// seeds are needed for what it is there for, and a share in the mix would move other plans.
    Rivals,
}

impl Preset {
    /// All of them.
    pub const ALL: [Self; 22] = [
        Self::Mix,
        Self::Calm,
        Self::Swarm,
        Self::Tight,
        Self::Network,
        Self::Disk,
        Self::Churn,
        Self::Clock,
        Self::Wan,
        Self::LonelyLeader,
        Self::RestartsInWindow,
        Self::Blackouts,
        Self::Checkpoints,
        Self::Hell,
        Self::Worn,
        Self::Liars,
        Self::Copies,
        Self::Beyond,
        Self::Trusting,
        Self::Leases,
        Self::Reconfiguration,
        Self::Rivals,
    ];

    /// What it is called.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mix => "mix",
            Self::Calm => "calm",
            Self::Swarm => "swarm",
            Self::Tight => "tight",
            Self::Network => "network",
            Self::Disk => "disk",
            Self::Churn => "churn",
            Self::Clock => "clock",
            Self::Wan => "wan",
            Self::LonelyLeader => "lonely-leader",
            Self::RestartsInWindow => "restarts-in-window",
            Self::Blackouts => "blackouts",
            Self::Checkpoints => "checkpoints",
            Self::Hell => "hell",
            Self::Worn => "worn",
            Self::Liars => "liars",
            Self::Copies => "copies",
            Self::Beyond => "beyond",
            Self::Trusting => "trusting",
            Self::Leases => "leases",
            Self::Reconfiguration => "reconfiguration",
            Self::Rivals => "rivals",
        }
    }

    /// What it does, in a line.
    #[must_use]
    pub const fn about(self) -> &'static str {
        match self {
            Self::Mix => "one of the others, by the seed",
            Self::Calm => "nothing goes wrong",
            Self::Swarm => "each feature by the toss of a coin",
            Self::Tight => "limits as tight as they go",
            Self::Network => "partitions and leader changes, many of them",
            Self::Disk => "disks that fail, stall and lose what was not synced",
            Self::Churn => "crashes, many of them",
            Self::Clock => "clocks that are off, processes that stand still or are slow",
            Self::Wan => "nodes in three regions",
            Self::LonelyLeader => "leaders cut off from their peers and not from their clients",
            Self::RestartsInWindow => "leaders that crash with some of a full window sent out",
            Self::Blackouts => "all nodes losing power, again and again",
            Self::Checkpoints => "checkpoints all the time, no log to learn from, nodes behind",
            Self::Hell => "everything at once",
            Self::Worn => "disks that rot or are wiped",
            Self::Liars => "disks that lie or are replaced, and nobody who trusts them",
            Self::Copies => "disks replaced by older copies while all peers remember more",
            Self::Beyond => "more lost disks than must be survived: may refuse, never serves wrong",
            Self::Trusting => "disks that lie, trusted all the same: EXPECTED TO BREAK rules",
            Self::Leases => "short leases, and everything that could let two nodes believe in one",
            Self::Reconfiguration => {
                "memories lost and swapped in, members added and removed, while leaders fall"
            }
            Self::Rivals => "several who lead at once, and what is left over of earlier ballots",
        }
    }

    /// Which of the others a seed of the mix is.
    pub(super) fn settle(self, rng: &mut Rng) -> Self {
        let draw = rng.below(100);
        match (self, draw) {
            (Self::Mix, 0..=27) => Self::Swarm,
            (Self::Mix, 28..=33) => Self::Checkpoints,
            (Self::Mix, 34..=35) => Self::Copies,
            (Self::Mix, 36..=39) => Self::Worn,
            (Self::Mix, 40..=43) => Self::Liars,
            (Self::Mix, 44..=52) => Self::Hell,
            (Self::Mix, 53..=65) => Self::Tight,
            (Self::Mix, 66..=72) => Self::Churn,
            (Self::Mix, 73..=80) => Self::Network,
            (Self::Mix, 81..=84) => Self::Disk,
            (Self::Mix, 85..=88) => Self::Clock,
            (Self::Mix, 89..=90) => Self::Wan,
            (Self::Mix, 91..=94) => Self::LonelyLeader,
            (Self::Mix, 95..=96) => Self::RestartsInWindow,
            (Self::Mix, 97) => Self::Blackouts,
            (Self::Mix, 98) => Self::Leases,
            (Self::Mix, _) => Self::Calm,
            (settled, _) => settled,
        }
    }

    /// Whether a feature that is no fault of its own (loss, slow machines) is on.
    pub(super) fn is_on(self, rng: &mut Rng) -> bool {
        let coin = rng.percent(50);
        match self {
            Self::Hell => true,
            Self::Calm | Self::Copies | Self::Rivals => false,
            Self::Mix
            | Self::Swarm
            | Self::Tight
            | Self::Network
            | Self::Disk
            | Self::Churn
            | Self::Worn
            | Self::Liars
            | Self::Beyond
            | Self::Trusting
            | Self::Leases
            | Self::Reconfiguration
            | Self::Clock
            | Self::Wan
            | Self::LonelyLeader
            | Self::RestartsInWindow
            | Self::Blackouts
            | Self::Checkpoints => coin,
        }
    }

    /// How many faults of each family a run of this kind may have.
    pub(super) fn appetite(self, rng: &mut Rng) -> Appetite {
        use Family::{
            Blackouts, Clocks, Copies, Crashes, Disks, Echoes, Flaps, Full, Images, Laggards,
            Latecomers, Lies, Lonely, Loops, Masters, Partitions, Pauses, Recalls, Relays,
            Relearns, Rot, Sleepers, Stops, Tenures, Topologies, Transfers, Walls, Windows,
        };
        match self {
            Self::Calm => Appetite::new(),
            Self::Network => [
                (Partitions, 8),
                (Crashes, 1),
                (Relays, rng.pick(&[0, 12])),
                (Transfers, 8),
                (Topologies, rng.pick(&[0, 4])),
                (Flaps, rng.pick(&[0, 3])),
                (Walls, rng.pick(&[0, 4])),
            ]
            .into(),
            Self::Disk => [(Disks, 20), (Crashes, 6), (Stops, 10), (Full, 4)].into(),
            Self::Churn => [(Crashes, 30), (Stops, 15), (Loops, rng.pick(&[0, 5]))].into(),
            Self::Worn => {
                [(Rot, 40), (Images, 2), (Crashes, 12), (Stops, 6), (Partitions, 4)].into()
            }
            Self::Copies => [(Copies, 1)].into(),
            Self::Reconfiguration => [
                (Images, 40),
                (Crashes, rng.pick(&[2, 10])),
                (Relays, rng.pick(&[0, 6])),
                (Transfers, rng.pick(&[0, 4])),
                (Partitions, rng.pick(&[0, 6])),
                (Stops, rng.pick(&[0, 6])),
                (Pauses, rng.pick(&[0, 4])),
            ]
            .into(),
            Self::Rivals => match rng.below(4) {
                0 => [(Sleepers, 2), (Transfers, rng.pick(&[0, 2]))].into(),
                1 => [(Echoes, 8), (Transfers, rng.pick(&[0, 4]))].into(),
                2 => [(Laggards, 6), (Transfers, rng.pick(&[0, 4]))].into(),
                _ => [(Relearns, 1)].into(),
            },
            // With nothing else that rots, so that what this needs is there.
            Self::Beyond if rng.percent(40) => [(Recalls, 3)].into(),
            Self::Beyond => {
                [(Rot, 60), (Images, 6), (Crashes, 12), (Stops, 6), (Partitions, 4)].into()
            }
            Self::Trusting => [(Lies, 12), (Blackouts, 4), (Crashes, 10), (Partitions, 4)].into(),
            Self::Liars => [(Lies, 8), (Images, 3), (Crashes, 2), (Partitions, 4)].into(),
            Self::Clock => [(Clocks, 8), (Pauses, 10), (Partitions, 4), (Crashes, 3)].into(),
            Self::Wan => [(Partitions, 5), (Crashes, 4), (Transfers, 3), (Topologies, 2)].into(),
            Self::LonelyLeader => [(Lonely, 8), (Transfers, 2), (Walls, 2), (Pauses, 2)].into(),
            Self::RestartsInWindow => [(Windows, 20), (Relays, 3), (Loops, 2)].into(),
            Self::Blackouts => [(Blackouts, 8), (Crashes, 4)].into(),
            Self::Checkpoints => [
                (Crashes, 12),
                (Stops, 16),
                (Partitions, 8),
                (Walls, rng.pick(&[0, 3])),
                (Loops, rng.pick(&[0, 3])),
                (Pauses, rng.pick(&[0, 4])),
                (Transfers, rng.pick(&[0, 4])),
            ]
            .into(),
            Self::Leases => [
                (Masters, rng.pick(&[0, 10])),
                (Tenures, rng.pick(&[0, 2, 6])),
                (Lonely, rng.pick(&[0, 4])),
                (Partitions, rng.pick(&[0, 6])),
                (Crashes, rng.pick(&[0, 8])),
                (Transfers, rng.pick(&[0, 4])),
                (Disks, rng.pick(&[0, 6])),
                (Latecomers, rng.pick(&[0, 3])),
            ]
            .into(),
            Self::Hell => Family::HARMLESS.map(|family| (family, most(family))).into(),
            Self::Mix | Self::Swarm | Self::Tight => {
                let some = Family::HARMLESS.map(|family| {
                    let count = rng.within(1, most(family));
                    (family, if rng.percent(often(family)) { count } else { 0 })
                });
                some.into()
            }
        }
    }
}

/// How many faults of a family an ordinary run has at most.
const fn most(family: Family) -> u64 {
    match family {
        Family::Partitions | Family::Crashes | Family::Disks => 14,
        Family::Transfers | Family::Stops => 10,
        Family::Masters => 3,
        Family::Tenures => 1,
        Family::Machines | Family::Relays => 4,
        Family::Rot | Family::Lies | Family::Images => 8,
        Family::Pauses | Family::Walls => 5,
        Family::Clocks | Family::Windows | Family::Full => 3,
        Family::Topologies | Family::Flaps | Family::Loops | Family::Lonely => 2,
        Family::Blackouts | Family::Copies | Family::Latecomers | Family::Recalls => 1,
        Family::Sleepers | Family::Echoes | Family::Laggards | Family::Relearns => 1,
        Family::Changes => 6,
    }
}

/// Out of a hundred, how often a swarm has a family: what costs much or cuts runs short is rarer.
const fn often(family: Family) -> u64 {
    match family {
        Family::Partitions
        | Family::Crashes
        | Family::Disks
        | Family::Machines
        | Family::Relays
        | Family::Transfers
        | Family::Stops
        | Family::Rot
        | Family::Lies
        | Family::Images => 50,
        Family::Masters => 25,
        Family::Tenures => 10,
        Family::Pauses | Family::Walls | Family::Clocks | Family::Full => 25,
        Family::Topologies | Family::Flaps | Family::Loops | Family::Windows | Family::Lonely => 15,
        Family::Blackouts
        | Family::Copies
        | Family::Latecomers
        | Family::Recalls
        | Family::Changes => 5,
        Family::Sleepers | Family::Echoes | Family::Laggards | Family::Relearns => 5,
    }
}

impl fmt::Display for Preset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Preset {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|preset| preset.name() == name).ok_or_else(|| {
            let names: Vec<&str> = Self::ALL.iter().map(|preset| preset.name()).collect();
            format!("there is no preset {name:?}; there are {}", names.join(", "))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Plan;
    use std::collections::BTreeSet;

    #[test]
    fn the_mix_has_all_kinds() {
        let presets: BTreeSet<Preset> = (0..300).map(|seed| Plan::of(seed).preset).collect();
        assert_eq!(presets.len(), Preset::ALL.len() - 5, "{presets:?}");
        assert!(!presets.contains(&Preset::Mix));
    }

    #[test]
    fn names_are_read_back() {
        for preset in Preset::ALL {
            assert_eq!(preset.name().parse(), Ok(preset));
        }
        assert!("quiet".parse::<Preset>().unwrap_err().contains("calm"));
    }
}
