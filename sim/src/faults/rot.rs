//! Disks that forget: one bit, a sector, or a stretch of what they hold; or that can no longer read a
//! sector.
//!
//! One place in use rots at a time, on any node, at any time; whether it may is asked of the atlas
//! when it strikes. What rotted stays so until it is written anew. A sector that cannot be read is the
//! same damage, told apart by the error.

use super::{Extent, Fault, Shape};
use crate::rng::{Rng, mix};

pub(super) fn draw(rng: &mut Rng, shape: &Shape) -> Fault {
    let is_bit = rng.percent(50);
    let (node, place) = (rng.index(shape.nodes), rng.bits() >> 32);
    let extent = match mix(place ^ 2) % 10 {
        0..=2 => Extent::Unreadable,
        3..=5 => Extent::Stretch,
        _ if is_bit => Extent::Bit,
        _ => Extent::Sector,
    };
    Fault::Rot { node, place, extent }
}
