//! Families of faults, and how the faults of a run are drawn from them.

use std::collections::BTreeMap;
use std::time::Duration;

use synod_core::Time;

use super::{
    Fault, Planned, blackouts, changes, clocks, copies, crashes, disks, echoes, flaps, full,
    images, laggards, latecomers, lies, lonely, loops, machines, masters, partitions, pauses,
    recalls, relays, relearns, rot, sleepers, stops, tenures, topologies, transfers, walls,
    windows,
};
use crate::rng::Rng;

/// Faults that are drawn alike, each from a stream of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// Partitions and slow links.
    Partitions,
    /// Crashes and restarts.
    Crashes,
    /// Failed syncs, slow and stalled disks.
    Disks,
    /// Slow state machines.
    Machines,
    /// Masters asked to let go.
    Masters,
    /// Leaders asked to hand over.
    Transfers,
    /// Crashes between two changes to a disk.
    Stops,
    /// Leaders that fall one after the other.
    Relays,
    /// Bits and sectors that change.
    Rot,
    /// Disks that lie about syncs, and writes that go astray.
    Lies,
    /// Disks that are emptied, or replaced by an older copy.
    Images,
    /// Awkward shapes around a leader, for long.
    Topologies,
    /// Partitions that come and go.
    Flaps,
    /// Paused, frozen and slow processes.
    Pauses,
    /// Clocks that run at another rate.
    Clocks,
    /// Nodes that crash again and again, after any event.
    Loops,
    /// Clients cut off from a node.
    Walls,
    /// Leaders that crash with some peers asked to accept and others not.
    Windows,
    /// Leaders cut off from their peers and not from their clients, for long.
    Lonely,
    /// What read leases rest on, taken away piece by piece.
    Tenures,
    /// All nodes losing power, again and again.
    Blackouts,
    /// Disks that get full.
    Full,
    /// Older copies of a disk that come back, and directories of two processes.
    Copies,
    /// Leaders that sleep through the election of another.
    Sleepers,
    /// Leaders that lead again before the votes for their last proposals come.
    Echoes,
    /// Nodes asked to lead while they are behind and a disk is in their way.
    Laggards,
    /// Two candidates at once, one of whom is held up.
    Latecomers,
    /// Chosen values that rot where they were only learned, beside an older vote for another one.
    Recalls,
    /// Leaders that wake beside a follower that lost a value below others that it had learned.
    Relearns,
    /// An operator who changes who votes.
    Changes,
}

/// How many faults of each family a plan may have at most; none of those that are not there.
pub type Appetite = BTreeMap<Family, u64>;

/// What a family of faults has to know of the cluster.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// How many nodes.
    pub nodes: usize,
    /// How many of them, the first ones, vote from the beginning.
    pub founders: usize,
    /// How many groups.
    pub groups: usize,
    /// The election timeout: what counts as long.
    pub election: Duration,
    /// When faults end.
    pub until: Time,
}

impl Family {
    /// All of them.
    pub const ALL: [Self; 30] = [
        Self::Partitions,
        Self::Crashes,
        Self::Disks,
        Self::Machines,
        Self::Transfers,
        Self::Stops,
        Self::Relays,
        Self::Rot,
        Self::Lies,
        Self::Images,
        Self::Topologies,
        Self::Flaps,
        Self::Pauses,
        Self::Clocks,
        Self::Loops,
        Self::Walls,
        Self::Windows,
        Self::Lonely,
        Self::Tenures,
        Self::Blackouts,
        Self::Masters,
        Self::Full,
        Self::Copies,
        Self::Sleepers,
        Self::Echoes,
        Self::Laggards,
        Self::Latecomers,
        Self::Recalls,
        Self::Relearns,
        Self::Changes,
    ];

    /// Those that leave on every disk what was synced, and are of use in any run.
    pub const HARMLESS: [Self; 19] = [
        Self::Partitions,
        Self::Crashes,
        Self::Disks,
        Self::Machines,
        Self::Transfers,
        Self::Stops,
        Self::Relays,
        Self::Topologies,
        Self::Flaps,
        Self::Pauses,
        Self::Clocks,
        Self::Loops,
        Self::Walls,
        Self::Windows,
        Self::Lonely,
        Self::Tenures,
        Self::Blackouts,
        Self::Masters,
        Self::Full,
    ];

    /// The name of its stream of random numbers, and how one of its faults is drawn: usually one
    /// thing, sometimes several, each so long after the first.
    fn table(self) -> (&'static str, Draw) {
        match self {
            Self::Partitions => ("partitions", |rng, shape| once(partitions::draw(rng, shape))),
            Self::Crashes => ("crashes", |rng, shape| once(crashes::draw(rng, shape))),
            Self::Disks => ("disks", |rng, shape| once(disks::draw(rng, shape))),
            Self::Machines => ("machines", |rng, shape| once(machines::draw(rng, shape))),
            Self::Masters => ("masters", |rng, shape| once(masters::draw(rng, shape))),
            Self::Transfers => ("transfers", |rng, shape| once(transfers::draw(rng, shape))),
            Self::Stops => ("stops", |rng, shape| once(stops::draw(rng, shape))),
            Self::Relays => ("relays", |rng, shape| relays::draw(rng, shape).into()),
            Self::Rot => ("rot", |rng, shape| once(rot::draw(rng, shape))),
            Self::Lies => ("lies", |rng, shape| once(lies::draw(rng, shape))),
            Self::Images => ("images", |rng, shape| images::draw(rng, shape)),
            Self::Topologies => ("topologies", topologies::draw),
            Self::Flaps => ("flaps", flaps::draw),
            Self::Pauses => ("pauses", |rng, shape| once(pauses::draw(rng, shape))),
            Self::Clocks => ("clock rates", |rng, shape| once(clocks::draw(rng, shape))),
            Self::Loops => ("loops", loops::draw),
            Self::Walls => ("walls", |rng, shape| once(walls::draw(rng, shape))),
            Self::Windows => ("windows", |rng, shape| once(windows::draw(rng, shape))),
            Self::Lonely => ("lonely", lonely::draw),
            Self::Tenures => ("tenures", tenures::draw),
            Self::Full => ("full disks", full::draw),
            Self::Copies => ("copies", copies::draw),
            Self::Sleepers => ("sleepers", sleepers::draw),
            Self::Echoes => ("echoes", echoes::draw),
            Self::Laggards => ("laggards", laggards::draw),
            Self::Latecomers => ("latecomers", latecomers::draw),
            Self::Recalls => ("recalls", recalls::draw),
            Self::Relearns => ("relearns", relearns::draw),
            Self::Changes => ("membership changes", changes::draw),
            Self::Blackouts => ("blackouts", |rng, shape| once(blackouts::draw(rng, shape))),
        }
    }
}

type Draw = fn(&mut Rng, &Shape) -> Vec<(Duration, Fault)>;

fn once(fault: Fault) -> Vec<(Duration, Fault)> {
    vec![(Duration::ZERO, fault)]
}

/// Draws the faults of one run, in order of time. Each family has its own stream.
#[must_use]
pub fn draw(seed: u64, appetite: &Appetite, shape: &Shape) -> Vec<Planned> {
    let mut all = Vec::new();
    for (family, &max) in appetite {
        let (stream, draw) = family.table();
        let mut rng = Rng::stream(seed, stream);
        for _ in 0..rng.within(max.min(1), max) {
            let at = Time::from_nanos(rng.below(shape.until.as_nanos()));
            let parts = draw(&mut rng, shape).into_iter();
            all.extend(
                parts.map(|(later, what)| Planned { at: (at + later).min(shape.until), what }),
            );
        }
    }
    all.sort_by_key(|planned| planned.at);
    all
}
