//! Nodes that are asked to lead while they are behind and a disk is in their way.
//!
//! A node misses what is chosen, and then leadership is handed over to it. As a candidate it asks for
//! old entries, which others have on disk only, and writes down what it learns from the answers.
//! Either those reads take long: before they are done somebody else asks for promises, and is answered
//! from memory. Or its own disk stands still as soon as its promise is on it: what it asks the others
//! again waits behind what it has learned, while it wins with the answers that it has, gives up since
//! its disk stands still, and hands over. Then the disk goes on (I3).

use std::time::Duration;

use super::{Fault, Pattern, Shape};
use crate::rng::Rng;

pub(super) fn draw(rng: &mut Rng, shape: &Shape) -> Vec<(Duration, Fault)> {
    let group = rng.index(shape.groups);
    let node = rng.index(shape.nodes);
    let election = u64::try_from(shape.election.as_micros()).unwrap_or(u64::MAX);
    let mut between = |least: u64, most: u64| {
        Duration::from_micros(rng.within(election * least / 8, election * most / 8))
    };
    let behind = between(4, 24);
    let (long, at_most) = (between(8, 24), between(16, 40));
    let others = || (0..shape.nodes).filter(|&other| other != node);
    let into: Vec<(usize, usize)> = others().map(|other| (other, node)).collect();
    let cut = Fault::Cut { links: into.clone(), pattern: Pattern::OneWay, lasting: behind };
    let mut parts = vec![(Duration::ZERO, cut)];
    if rng.percent(35) {
        let slow = |other| Fault::SlowReads { node: other, delay: long, lasting: at_most };
        parts.extend(others().map(|other| (behind, slow(other))));
    } else {
        let syncs = rng.pick(&[1, 1, 2, 2, 3, 5]);
        parts.push((behind, Fault::StallingDisk { node, syncs, lasting: long }));
        // Some answers come after it has asked again.
        for link in into {
            let factor = u32::try_from(rng.spread(2, 200)).expect("small");
            let slow = Fault::SlowLinks { links: vec![link], factor, lasting: at_most };
            parts.push((behind, slow));
        }
    }
    // The window has to be empty first.
    let early = Duration::from_micros(rng.within(0, election / 16));
    parts.push((behind.saturating_sub(early), Fault::Transfer { group, to: node }));
    parts
}
