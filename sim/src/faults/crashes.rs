//! Crashes: of one node, of whoever leads, of all at once; at a planned time or in the middle of a
//! write.

use super::{Crash, Fault, Moment, Shape, Victim, down};
use crate::rng::Rng;

pub(super) fn draw(rng: &mut Rng, shape: &Shape) -> Fault {
    if rng.percent(8) {
        // Together, or one after the other.
        let base = down(rng, shape);
        let down = (0..shape.nodes).map(|_| if rng.percent(50) { base } else { down(rng, shape) });
        return Fault::Blackout { down: down.collect() };
    }
    let victim = if rng.percent(40) {
        Victim::Leader(rng.index(shape.groups))
    } else {
        Victim::Node(rng.index(shape.nodes))
    };
    let how = rng.pick(&[Crash::Kill, Crash::Power, Crash::Power, Crash::KillThenPower]);
    let moment = match how {
        // Only what was written and not synced can be read back and then lost.
        Crash::KillThenPower => Moment::Written,
        Crash::Kill | Crash::Power => {
            rng.pick(&[Moment::Now, Moment::Written, Moment::Synced, Moment::Told])
        }
    };
    Fault::Crash { victim, how, moment, down: down(rng, shape) }
}
