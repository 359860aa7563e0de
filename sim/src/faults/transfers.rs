//! Leadership handed over on request, to any node: one that is down, cut off or far behind, too.

use super::{Fault, Shape};
use crate::rng::Rng;

pub(super) fn draw(rng: &mut Rng, shape: &Shape) -> Fault {
    Fault::Transfer { group: rng.index(shape.groups), to: rng.index(shape.nodes) }
}
