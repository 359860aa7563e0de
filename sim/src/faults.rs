//! What goes wrong, as data: a plan lists faults with their times before the run starts.
//!
//! A file per family draws that family's faults; the world carries them out. Faults say what
//! happens, not to whom if that depends on the run: "the leader" is looked up when it is time.

mod blackouts;
mod changes;
mod clocks;
mod copies;
mod crashes;
mod disks;
mod draws;
mod echoes;
mod family;
mod flaps;
mod full;
mod images;
mod kind;
mod laggards;
mod latecomers;
mod lies;
mod lonely;
mod loops;
mod machines;
mod masters;
mod partitions;
mod pauses;
mod recalls;
mod relays;
mod relearns;
mod rot;
mod show;
mod sleepers;
mod stops;
mod tenures;
mod topologies;
mod transfers;
mod walls;
mod windows;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use synod_core::Time;

use crate::plan::text;

use draws::{down, duel, lasting, victim};

pub use family::{Appetite, Family, Shape, draw};

/// A fault and when it strikes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Planned {
    /// When.
    #[serde(with = "text::time")]
    pub at: Time,
    /// What.
    pub what: Fault,
}

/// One thing that goes wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Fault {
    /// These one-way links lose everything for a while.
    Cut {
        /// From and to, as node indices.
        #[serde(with = "text::links")]
        links: Vec<(usize, usize)>,
        /// What the pattern is called.
        pattern: Pattern,
        /// For how long.
        #[serde(with = "text::duration")]
        lasting: Duration,
    },
    /// Whoever leads a group loses touch with the others for a while.
    CutLeader {
        /// Which of the groups, as an index.
        group: usize,
        /// Whether the leader is not heard.
        out: bool,
        /// Whether the leader does not hear.
        into: bool,
        /// For how long.
        #[serde(with = "text::duration")]
        lasting: Duration,
    },
    /// What is said to whoever leads a group is slow for a while.
    SlowAnswers {
        /// Which of the groups, as an index.
        group: usize,
        /// How many times slower.
        factor: u32,
        /// For how long.
        #[serde(with = "text::duration")]
        lasting: Duration,
    },
    /// These one-way links are slow for a while.
    SlowLinks {
        /// From and to, as node indices.
        #[serde(with = "text::links")]
        links: Vec<(usize, usize)>,
        /// How many times slower.
        factor: u32,
        /// For how long.
        #[serde(with = "text::duration")]
        lasting: Duration,
    },
    /// A node stops, and starts again later.
    Crash {
        /// Who.
        victim: Victim,
        /// What survives.
        how: Crash,
        /// In the middle of what.
        moment: Moment,
        /// How long it stays down.
        #[serde(with = "text::duration")]
        down: Duration,
    },
    /// All nodes lose power at once, and come back one after the other.
    Blackout {
        /// How long each stays down.
        #[serde(with = "text::durations")]
        down: Vec<Duration>,
    },
    /// The next sync of a node fails, which ends it; it starts again later.
    FailedSync {
        /// Who.
        #[serde(with = "text::node")]
        node: usize,
        /// How long it stays down.
        #[serde(with = "text::duration")]
        down: Duration,
    },
    /// A disk takes longer for everything, for a while.
    SlowDisk {
        /// Whose.
        #[serde(with = "text::node")]
        node: usize,
        /// How many times slower.
        factor: u32,
        /// For how long.
        #[serde(with = "text::duration")]
        lasting: Duration,
    },
    /// A disk finishes nothing for a while.
    StalledDisk {
        /// Whose.
        #[serde(with = "text::node")]
        node: usize,
        /// For how long.
        #[serde(with = "text::duration")]
        lasting: Duration,
    },
    /// A disk finishes so many more syncs, and then nothing for a while.
    StallingDisk {
        /// Whose.
        #[serde(with = "text::node")]
        node: usize,
        /// How many it finishes.
        syncs: u64,
        /// For how long it finishes nothing after that.
        #[serde(with = "text::duration")]
        lasting: Duration,
    },
    /// A disk takes so long for whatever is read of its log, for a while.
    SlowReads {
        /// Whose.
        #[serde(with = "text::node")]
        node: usize,
        /// How long each takes on top.
        #[serde(with = "text::duration")]
        delay: Duration,
        /// For how long.
        #[serde(with = "text::duration")]
        lasting: Duration,
    },
    /// Of the space on a disk only that of so many segments is left, for a while.
    FullDisk {
        /// Whose.
        #[serde(with = "text::node")]
        node: usize,
        /// How many more segments there is room for.
        segments: u64,
        /// For how long.
        #[serde(with = "text::duration")]
        lasting: Duration,
    },
    /// A place in use on a disk changes, on its own.
    Rot {
        /// Whose.
        #[serde(with = "text::node")]
        node: usize,
        /// Which place: its number, modulo how many there are then.
        place: u64,
        /// How much of it.
        extent: Extent,
    },
    /// A disk says that it synced, and does not, for a while.
    LyingDisk {
        /// Whose.
        #[serde(with = "text::node")]
        node: usize,
        /// For how long.
        #[serde(with = "text::duration")]
        lasting: Duration,
    },
    /// A write lands elsewhere on its disk, and its own place keeps what it had.
    Astray {
        /// Whose disk.
        #[serde(with = "text::node")]
        node: usize,
        /// After so many more writes.
        writes: u64,
        /// Where it lands, at random.
        place: u64,
    },
    /// A node loses power and everything on its disk, and starts again later.
    WipedDisk {
        /// Who.
        #[serde(with = "text::node")]
        node: usize,
        /// How long it stays down.
        #[serde(with = "text::duration")]
        down: Duration,
    },
    /// Somebody copies a disk.
    SavedDisk {
        /// Whose.
        #[serde(with = "text::node")]
        node: usize,
    },
    /// A node loses power, and starts again later with the copy of its disk.
    RestoredDisk {
        /// Who.
        #[serde(with = "text::node")]
        node: usize,
        /// How long it stays down.
        #[serde(with = "text::duration")]
        down: Duration,
    },
    /// A second process of the same directory and start says hello to everyone.
    SecondProcess {
        /// Whose directory it is.
        #[serde(with = "text::node")]
        node: usize,
    },
    /// State machines take so long for each step, for a while.
    SlowMachines {
        /// Whose.
        #[serde(with = "text::node")]
        node: usize,
        /// How long each step takes on top.
        #[serde(with = "text::duration")]
        delay: Duration,
        /// For how long.
        #[serde(with = "text::duration")]
        lasting: Duration,
    },
    /// Nodes reach each other only in a shape around whoever leads a group, for a while.
    Around {
        /// Which of the groups, as an index.
        group: usize,
        /// What is left of the network.
        shape: Topology,
        /// Which of the other nodes comes first in it, in the order of their indices.
        first: usize,
        /// For how long.
        #[serde(with = "text::duration")]
        lasting: Duration,
    },
    /// A process does nothing for a while, and finds what came meanwhile all at once.
    Pause {
        /// Whose.
        victim: Victim,
        /// Whether the whole machine stands still, its disk and its clock, too.
        is_frozen: bool,
        /// For how long.
        #[serde(with = "text::duration")]
        lasting: Duration,
    },
    /// A process takes so long for each thing that happens to it, for a while.
    SlowProcess {
        /// Whose.
        victim: Victim,
        /// How long.
        #[serde(with = "text::duration")]
        cost: Duration,
        /// For how long.
        #[serde(with = "text::duration")]
        lasting: Duration,
    },
    /// A clock runs at another rate for a while.
    ClockRate {
        /// Whose.
        victim: Victim,
        /// How much faster than true time, in millionths; slower if negative.
        ppm: i32,
        /// For how long.
        #[serde(with = "text::duration")]
        lasting: Duration,
    },
    /// Clients and a node lose what they say to each other, for a while.
    Wall {
        /// Which node.
        victim: Victim,
        /// Whether requests are lost.
        asks: bool,
        /// Whether answers are lost.
        answers: bool,
        /// For how long.
        #[serde(with = "text::duration")]
        lasting: Duration,
    },
    /// Whoever is master of a group is asked to let go.
    Release {
        /// Which of the groups, as an index.
        group: usize,
    },
    /// An operator asks a node for another membership of a group: of the one that the node knows, or,
    /// late, of the one before it.
    Change {
        /// Which of the groups, as an index.
        group: usize,
        /// Whom it asks; if that one is down, the next one.
        asked: Victim,
        /// What is to be different, all of it in one step.
        what: Vec<Alteration>,
        /// Whether somebody else was faster since it looked.
        is_late: bool,
        /// For how long the node tries.
        #[serde(with = "text::duration")]
        patience: Duration,
    },
    /// A machine that belongs to no membership loses power and everything on its disk, and comes
    /// back as a new one.
    Renewal {
        /// Which.
        #[serde(with = "text::node")]
        node: usize,
        /// How long it stays down.
        #[serde(with = "text::duration")]
        down: Duration,
    },
    /// Whoever leads a group is asked to hand over.
    Transfer {
        /// Which of the groups, as an index.
        group: usize,
        /// To whom.
        #[serde(with = "text::node")]
        to: usize,
    },
}

/// What an operator wants different in a membership; see `synodctl membership`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Alteration {
    /// A node that is no member votes.
    Add(#[serde(with = "text::node")] usize),
    /// A node that is no member follows.
    AddFollower(#[serde(with = "text::node")] usize),
    /// A member is none any more.
    Remove(Victim),
    /// A node that is no member comes in the place of a member.
    Replace(Victim, #[serde(with = "text::node")] usize),
    /// A follower votes.
    Promote(#[serde(with = "text::node")] usize),
    /// A member listens elsewhere.
    Move(#[serde(with = "text::node")] usize),
}

/// How much rots at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Extent {
    /// One bit.
    Bit,
    /// A sector.
    Sector,
    /// A sector, which cannot be read at all until it is written anew.
    Unreadable,
    /// Up to 16 KiB one after the other: more than one block of a batch. Of what may be the last one, a
    /// sector.
    Stretch,
}

/// Who a fault strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Victim {
    /// This node.
    Node(#[serde(with = "text::node")] usize),
    /// Whoever leads this group (an index) when it happens; nobody if nobody does.
    Leader(usize),
    /// The node that comes first, of those beside the leader of a group, in a shape around it: the group
    /// and the number, as [`Fault::Around`] counts.
    Beside(usize, usize),
}

/// What survives a crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Crash {
    /// `kill -9`: everything written, synced or not.
    Kill,
    /// Power loss: what was synced, and any part of the rest.
    Power,
    /// `kill -9`, and the power fails while the process is starting again, or soon after: what was
    /// read back may never have been on the disk.
    KillThenPower,
}

/// In the middle of what a node crashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Moment {
    /// At the planned time, whatever happens.
    Now,
    /// At the next write after that time: it is written, and not synced.
    Written,
    /// At the next sync after that time: it is durable, and nobody was told.
    Synced,
    /// Right after a sync's completion let messages go.
    Told,
    /// After so many more changes to its disk: the next one does not take place.
    Middle(u64),
    /// After so many more things have happened to it, messages and all, and one more.
    Event(u64),
    /// After so many more messages that ask to accept, and one more: none leaves after that, so that
    /// some peers are asked and others are not.
    Accepts(u64),
}

/// How a partition looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pattern {
    /// Two sides that do not reach each other.
    Split,
    /// One node alone.
    Isolated,
    /// One side hears the other and is not heard.
    OneWay,
    /// Everyone reaches only one hub.
    Star,
    /// Everyone reaches its two neighbours.
    Ring,
    /// Everyone reaches its neighbours in a row.
    Chain,
    /// Each link is cut or not by chance.
    Random,
}

/// What is left of the network around a leader: the three cases of the Omni-Paxos paper, in which
/// some node reaches a quorum and naive elections never end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Topology {
    /// Everyone, the leader included, reaches only a hub. Of five, the leader has lost its quorum and
    /// still hears the hub.
    QuorumLoss,
    /// The leader is alone, and all others reach only a hub, which may not know what was chosen last.
    Constrained,
    /// A row with the leader at one end: two nodes that do not hear each other each hear a third.
    Chained,
    /// Only the leader and a hub do not reach each other: the hub falls behind.
    Behind,
    /// The leader and one follower reach each other and nobody else.
    Paired,
    /// One follower reaches the leader and nobody else.
    Clinging,
    /// Only one follower hears the leader, which hears everyone.
    Whispering,
}

impl Fault {
    /// Whether every node and group that it names is one of so many.
    #[must_use]
    pub fn fits(&self, nodes: usize, groups: usize) -> bool {
        let links_fit = |links: &[(usize, usize)]| {
            links.iter().all(|&(from, to)| from < nodes && to < nodes && from != to)
        };
        let victim_fits = |victim: &Victim| match victim {
            Victim::Node(node) => *node < nodes,
            Victim::Leader(group) | Victim::Beside(group, _) => *group < groups,
        };
        match self {
            Self::Cut { links, .. } | Self::SlowLinks { links, .. } => links_fit(links),
            Self::CutLeader { group, .. } | Self::SlowAnswers { group, .. } => *group < groups,
            Self::Around { group, first, .. } => *group < groups && *first < nodes,
            Self::Crash { victim, .. }
            | Self::Pause { victim, .. }
            | Self::SlowProcess { victim, .. }
            | Self::ClockRate { victim, .. }
            | Self::Wall { victim, .. } => victim_fits(victim),
            Self::Change { group, asked, what, .. } => {
                let alteration_fits = |it: &Alteration| match it {
                    Alteration::Remove(old) => victim_fits(old),
                    Alteration::Replace(old, new) => victim_fits(old) && *new < nodes,
                    Alteration::Add(node)
                    | Alteration::AddFollower(node)
                    | Alteration::Promote(node)
                    | Alteration::Move(node) => *node < nodes,
                };
                *group < groups && victim_fits(asked) && what.iter().all(alteration_fits)
            }
            Self::FailedSync { node, .. }
            | Self::SlowDisk { node, .. }
            | Self::StalledDisk { node, .. }
            | Self::StallingDisk { node, .. }
            | Self::SlowReads { node, .. }
            | Self::FullDisk { node, .. }
            | Self::Rot { node, .. }
            | Self::LyingDisk { node, .. }
            | Self::Astray { node, .. }
            | Self::WipedDisk { node, .. }
            | Self::SavedDisk { node }
            | Self::RestoredDisk { node, .. }
            | Self::SecondProcess { node }
            | Self::Renewal { node, .. }
            | Self::SlowMachines { node, .. } => *node < nodes,
            Self::Blackout { down } => down.len() == nodes,
            Self::Release { group } => *group < groups,
            Self::Transfer { group, to } => *group < groups && *to < nodes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(nodes: usize) -> Shape {
        Shape {
            nodes,
            founders: nodes / 2 + 1,
            groups: 2,
            election: Duration::from_millis(100),
            until: Time::from_millis(5_000),
        }
    }

    #[test]
    fn faults_come_in_order_of_time_and_every_kind_comes_up() {
        let all = Family::ALL.map(|family| (family, 20)).into();
        let mut kinds = std::collections::BTreeSet::new();
        for seed in 0..100 {
            let faults = draw(seed, &all, &shape(5));
            assert!(faults.windows(2).all(|pair| pair[0].at <= pair[1].at));
            kinds.extend(faults.iter().map(|planned| planned.what.kind()));
        }
        assert_eq!(kinds.len(), 38, "{kinds:?}");
    }

    #[test]
    fn one_family_more_does_not_change_the_others() {
        let few = draw(3, &[(Family::Crashes, 5)].into(), &shape(3));
        let more = [(Family::Crashes, 5), (Family::Disks, 5)].into();
        let more = draw(3, &more, &shape(3));
        assert!(few.iter().all(|fault| more.contains(fault)));
        assert!(more.len() > few.len());
    }

    #[test]
    fn a_lone_node_has_no_links_to_cut() {
        let faults = draw(1, &[(Family::Partitions, 20)].into(), &shape(1));
        for planned in faults {
            if let Fault::Cut { links, .. } | Fault::SlowLinks { links, .. } = planned.what {
                assert_eq!(links, []);
            }
        }
    }
}
