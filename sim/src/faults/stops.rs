//! Crashes between two changes to the disk: in the middle of a write, of a change of segments, of
//! upkeep, of a founding.

use super::{Crash, Fault, Moment, Shape, Victim, down};
use crate::rng::Rng;

pub(super) fn draw(rng: &mut Rng, shape: &Shape) -> Fault {
    let victim = if rng.percent(30) {
        Victim::Leader(rng.index(shape.groups))
    } else {
        Victim::Node(rng.index(shape.nodes))
    };
    let how = rng.pick(&[Crash::Kill, Crash::Power, Crash::Power, Crash::KillThenPower]);
    let changes = rng.spread(1, CHANGES_MAX) - 1;
    Fault::Crash { victim, how, moment: Moment::Middle(changes), down: down(rng, shape) }
}

/// Often few, sometimes enough for a log of the smallest segments to prepare and begin another.
const CHANGES_MAX: u64 = 400;
