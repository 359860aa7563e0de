//! Disks that are emptied, or replaced by an older copy of themselves.

use std::time::Duration;

use super::{Fault, Shape, down, lasting};
use crate::rng::Rng;

pub(super) fn draw(rng: &mut Rng, shape: &Shape) -> Vec<(Duration, Fault)> {
    let node = rng.index(shape.nodes);
    let down = down(rng, shape);
    if rng.percent(50) {
        return vec![(Duration::ZERO, Fault::WipedDisk { node, down })];
    }
    let later = lasting(rng, shape);
    vec![(Duration::ZERO, Fault::SavedDisk { node }), (later, Fault::RestoredDisk { node, down })]
}
