//! Leaders that crash with instances proposed and not chosen: some peers are asked to accept, others
//! will never hear of it.

use super::{Crash, Fault, Moment, Shape, Victim, down};
use crate::rng::Rng;

pub(super) fn draw(rng: &mut Rng, shape: &Shape) -> Fault {
    Fault::Crash {
        victim: Victim::Leader(rng.index(shape.groups)),
        how: rng.pick(&[Crash::Kill, Crash::Power, Crash::Power]),
        moment: Moment::Accepts(rng.spread(1, ACCEPTS_MAX) - 1),
        down: down(rng, shape),
    }
}

/// Often at once, sometimes after a window has filled.
const ACCEPTS_MAX: u64 = 100;
