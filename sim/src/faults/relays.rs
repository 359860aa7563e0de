//! Leaders that fall one after the other, each with something accepted that the next may not know.
//!
//! A leader is cut off and goes on accepting what its own clients ask. The others elect a second one,
//! which crashes with votes under way, about when the first one comes back. A third leader then meets
//! different values at the same instances, and has to take over the right ones (Paxos Made Simple
//! §2.2, P2c). Faults that strike independently bring that about once in a thousand runs.

use std::time::Duration;

use super::{Crash, Fault, Moment, Shape, Victim};
use crate::rng::Rng;

pub(super) fn draw(rng: &mut Rng, shape: &Shape) -> [(Duration, Fault); 2] {
    let group = rng.index(shape.groups);
    let election = u64::try_from(shape.election.as_micros()).unwrap_or(u64::MAX);
    let lasting = Duration::from_micros(rng.within(election * 2, election * 4));
    // A little before or after the first leader is back.
    let shift = Duration::from_micros(rng.within(0, election / 2));
    let strikes = if rng.percent(70) { lasting.saturating_sub(shift) } else { lasting + shift };
    let cut = Fault::CutLeader { group, out: true, into: rng.percent(70), lasting };
    let crash = Fault::Crash {
        victim: Victim::Leader(group),
        how: rng.pick(&[Crash::Kill, Crash::Power]),
        moment: rng.pick(&[Moment::Now, Moment::Synced, Moment::Told]),
        down: shape.election * u32::try_from(rng.within(2, 6)).expect("small"),
    };
    [(Duration::ZERO, cut), (strikes, crash)]
}
