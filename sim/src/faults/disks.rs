//! Disks that fail a sync, are slow, or finish nothing for a while.

use super::{Fault, Shape, down, lasting};
use crate::rng::Rng;

pub(super) fn draw(rng: &mut Rng, shape: &Shape) -> Fault {
    let node = rng.index(shape.nodes);
    match rng.below(3) {
        0 => Fault::FailedSync { node, down: down(rng, shape) },
        1 => {
            Fault::SlowDisk { node, factor: rng.pick(&[5, 20, 100]), lasting: lasting(rng, shape) }
        }
        _ => Fault::StalledDisk { node, lasting: lasting(rng, shape) },
    }
}
