//! Partitions that come and go, faster or slower than elections.

use std::time::Duration;

use super::{Fault, Pattern, Shape, partitions};
use crate::rng::Rng;

pub(super) fn draw(rng: &mut Rng, shape: &Shape) -> Vec<(Duration, Fault)> {
    let pattern = rng.pick(&[
        Pattern::Split,
        Pattern::Isolated,
        Pattern::OneWay,
        Pattern::Star,
        Pattern::Chain,
        Pattern::Random,
    ]);
    let links = partitions::links(rng, shape.nodes, pattern);
    let election = u64::try_from(shape.election.as_micros()).unwrap_or(u64::MAX);
    // Long enough for an election, or hardly noticed.
    let cut = Duration::from_micros(rng.spread(election / 16, election * 3));
    let whole = Duration::from_micros(rng.spread(election / 16, election * 3));
    let flap = |n| ((cut + whole) * n, Fault::Cut { links: links.clone(), pattern, lasting: cut });
    let times = u32::try_from(rng.within(3, 12)).expect("small");
    (0..times).map(flap).collect()
}
