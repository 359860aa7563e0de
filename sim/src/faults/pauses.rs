//! Processes that stand still, and processes that are slow.

use std::time::Duration;

use super::{Fault, Shape, lasting, victim};
use crate::rng::Rng;

pub(super) fn draw(rng: &mut Rng, shape: &Shape) -> Fault {
    let victim = victim(rng, shape, 40);
    match rng.below(3) {
        // Stopped by a signal or by a collector of garbage, or swapped out.
        0 => Fault::Pause { victim, is_frozen: false, lasting: lasting(rng, shape) },
        // A virtual machine that is moved.
        1 => Fault::Pause { victim, is_frozen: true, lasting: lasting(rng, shape) },
        _ => Fault::SlowProcess {
            victim,
            cost: Duration::from_micros(rng.spread(20, 5_000)),
            lasting: lasting(rng, shape),
        },
    }
}
