//! What read leases rest on, one after the other: a leader that one follower never hears, while the
//! others do; then nobody hears it any more, and one of those that granted its lease restarts and has
//! forgotten. Random faults hardly ever come in this order: a lease is no longer than an election
//! timeout, so whoever heard the leader refuses others for as long anyway.

use std::time::Duration;

use super::{Crash, Fault, Moment, Shape, Topology, Victim};
use crate::rng::Rng;

pub(super) fn draw(rng: &mut Rng, shape: &Shape) -> Vec<(Duration, Fault)> {
    let group = rng.index(shape.groups);
    let first = rng.index(shape.nodes.saturating_sub(1).max(1));
    let election = u64::try_from(shape.election.as_micros()).unwrap_or(u64::MAX);
    let micros = Duration::from_micros;
    // The far end of the chain asks again and again to be elected, and is refused in the middle.
    let chained = micros(rng.within(election * 4, election * 8));
    let around = Fault::Around { group, shape: Topology::Chained, first, lasting: chained };
    let mut parts = vec![(Duration::ZERO, around)];
    let last = micros(rng.within(election * 2, election * 3));
    let is_slow = rng.percent(40);
    if is_slow {
        // Answers come late, when what they grant has nearly run out.
        let factor = u32::try_from(rng.spread(20, 2_000)).expect("small");
        let early = micros(rng.within(election, election * 2));
        let lasting = last + micros(election * 2) - early;
        parts.push((early, Fault::SlowAnswers { group, factor, lasting }));
    }
    let lasting = micros(rng.within(election, election * 3));
    parts.push((last, Fault::CutLeader { group, out: true, into: !is_slow, lasting }));
    let blip = Fault::Crash {
        victim: Victim::Beside(group, first),
        how: rng.pick(&[Crash::Kill, Crash::Power]),
        moment: Moment::Now,
        down: micros(1_000),
    };
    if rng.percent(if is_slow { 30 } else { 80 }) {
        parts.push((last + micros(rng.below(election / 8)), blip));
    }
    parts
}
