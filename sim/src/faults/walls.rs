//! Clients that a node does not hear, or that do not hear it: they learn nothing of what became of
//! their requests, and turn to others.

use super::{Fault, Shape, lasting, victim};
use crate::rng::Rng;

pub(super) fn draw(rng: &mut Rng, shape: &Shape) -> Fault {
    let (asks, answers) = rng.pick(&[(true, true), (false, true), (false, true), (true, false)]);
    Fault::Wall { victim: victim(rng, shape, 60), asks, answers, lasting: lasting(rng, shape) }
}
