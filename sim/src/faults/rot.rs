//! Disks that forget: one bit, or a sector, of what they hold.
//!
//! One place in use rots at a time, on any node, at any time; whether it may is asked of the atlas
//! when it strikes. What rotted stays so until it is written anew.

use super::{Extent, Fault, Shape};
use crate::rng::Rng;

pub(super) fn draw(rng: &mut Rng, shape: &Shape) -> Fault {
    let extent = if rng.percent(50) { Extent::Bit } else { Extent::Sector };
    Fault::Rot { node: rng.index(shape.nodes), place: rng.bits() >> 32, extent }
}
