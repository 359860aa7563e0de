//! Disks that others fill: space for a few segments is left, or for none, and comes back later.
//!
//! - `node`: whose disk;
//! - `segments`: how many more segments fit, from none (what is allocated is all there is) to three
//!   (the log gets full in the middle of the fault, under load);
//! - `lasting`: usually long beside an election timeout, so that the log does get full, and the node
//!   has to go on without room: nobody ends because of it, and afterwards everybody serves.
//!
//! Now and then all disks fill at the same time, as equal disks do.

use std::time::Duration;

use super::{Fault, Shape, lasting};
use crate::rng::Rng;

pub(super) fn draw(rng: &mut Rng, shape: &Shape) -> Vec<(Duration, Fault)> {
    let nodes = if rng.percent(20) { 0..shape.nodes } else { one(rng.index(shape.nodes)) };
    let lasting = lasting(rng, shape) * 3;
    let fill = |node| {
        let segments = rng.below(SEGMENTS_MAX + 1);
        (Duration::ZERO, Fault::FullDisk { node, segments, lasting })
    };
    nodes.map(fill).collect()
}

const fn one(node: usize) -> std::ops::Range<usize> {
    node..node + 1
}

/// Segments are small here, and fill within a few election timeouts.
const SEGMENTS_MAX: u64 = 3;
