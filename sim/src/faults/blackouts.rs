//! All nodes lose power at once: together they forget everything that was not synced anywhere.

use super::{Fault, Shape, down};
use crate::rng::Rng;

pub(super) fn draw(rng: &mut Rng, shape: &Shape) -> Fault {
    // Back together, or one after the other, or all but one, which comes much later.
    let base = down(rng, shape);
    let kind = rng.below(3);
    let late = rng.index(shape.nodes);
    let down = (0..shape.nodes).map(|node| match kind {
        0 => base,
        1 => down(rng, shape),
        _ => base + shape.election * if node == late { 6 } else { 0 },
    });
    Fault::Blackout { down: down.collect() }
}
