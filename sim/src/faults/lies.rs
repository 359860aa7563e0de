//! Disks whose word is not good: syncs that lie for a while, and writes that go astray.

use super::{Fault, Shape, lasting};
use crate::rng::Rng;

pub(super) fn draw(rng: &mut Rng, shape: &Shape) -> Fault {
    let node = rng.index(shape.nodes);
    if rng.percent(70) {
        Fault::LyingDisk { node, lasting: lasting(rng, shape) }
    } else {
        Fault::Astray { node, writes: rng.spread(1, 30) - 1, place: rng.bits() >> 32 }
    }
}
