//! What many families draw alike.

use std::time::Duration;

use super::{Shape, Victim};
use crate::rng::Rng;

/// How long something lasts: often shorter than an election timeout, sometimes much longer.
pub(super) fn lasting(rng: &mut Rng, shape: &Shape) -> Duration {
    let election = u64::try_from(shape.election.as_nanos()).unwrap_or(u64::MAX);
    Duration::from_nanos(rng.spread(election / 8, election.saturating_mul(12)))
}

/// Whoever leads some group, so often out of a hundred, or any node.
pub(super) fn victim(rng: &mut Rng, shape: &Shape, leader_percent: u64) -> Victim {
    if rng.percent(leader_percent) {
        Victim::Leader(rng.index(shape.groups))
    } else {
        Victim::Node(rng.index(shape.nodes))
    }
}

/// How long a node stays down: from a millisecond, which is faster than its disk, to what feels like
/// minutes.
pub(super) fn down(rng: &mut Rng, shape: &Shape) -> Duration {
    let election = u64::try_from(shape.election.as_micros()).unwrap_or(u64::MAX);
    Duration::from_micros(rng.spread(1_000, election * 8))
}

/// Two nodes that a play is about, and the others, which are a quorum: so five nodes at least, or
/// nothing.
pub(super) fn duel(rng: &mut Rng, shape: &Shape) -> Option<(usize, usize, Vec<usize>)> {
    if shape.nodes < 5 {
        return None;
    }
    let first = rng.index(shape.nodes);
    let second = (first + 1 + rng.index(shape.nodes - 1)) % shape.nodes;
    let others = (0..shape.nodes).filter(|&node| node != first && node != second).collect();
    Some((first, second, others))
}
