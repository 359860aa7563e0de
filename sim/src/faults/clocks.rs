//! Clocks that run at another rate for a while: as a rule within what clocks may do, sometimes far
//! beyond.

use super::{Fault, Shape, lasting, victim};
use crate::clock::rate;
use crate::rng::Rng;

pub(super) fn draw(rng: &mut Rng, shape: &Shape) -> Fault {
    let is_wild = rng.percent(40);
    Fault::ClockRate {
        victim: victim(rng, shape, 40),
        ppm: rate(rng, is_wild),
        lasting: lasting(rng, shape),
    }
}
