//! State machines that take their time.

use std::time::Duration;

use super::{Fault, Shape, lasting};
use crate::rng::Rng;

pub(super) fn draw(rng: &mut Rng, shape: &Shape) -> Fault {
    Fault::SlowMachines {
        node: rng.index(shape.nodes),
        delay: Duration::from_micros(rng.spread(500, 200_000)),
        lasting: lasting(rng, shape),
    }
}
