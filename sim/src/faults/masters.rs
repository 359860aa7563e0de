//! Masters asked to let go, while everything else goes on.

use super::{Fault, Shape};
use crate::rng::Rng;

pub(super) fn draw(rng: &mut Rng, shape: &Shape) -> Fault {
    Fault::Release { group: rng.index(shape.groups) }
}
