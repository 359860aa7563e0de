//! A node that crashes again and again, each time after whatever it is doing, and is soon back.

use std::time::Duration;

use super::{Crash, Fault, Moment, Shape, victim};
use crate::rng::Rng;

pub(super) fn draw(rng: &mut Rng, shape: &Shape) -> Vec<(Duration, Fault)> {
    let victim = victim(rng, shape, 30);
    let election = u64::try_from(shape.election.as_micros()).unwrap_or(u64::MAX);
    // Rarely up long enough to be of use, or now and then.
    let gap = Duration::from_micros(rng.spread(election / 20, election));
    let crash = |n, rng: &mut Rng| {
        let crash = Fault::Crash {
            victim,
            how: rng.pick(&[Crash::Kill, Crash::Power]),
            moment: Moment::Event(rng.spread(1, EVENTS_MAX) - 1),
            down: Duration::from_micros(rng.spread(500, 20_000)),
        };
        (gap * n, crash)
    };
    let times = u32::try_from(rng.within(1, 10)).expect("small");
    (0..times).map(|n| crash(n, rng)).collect()
}

/// Often in the first steps of a life, sometimes well into it.
const EVENTS_MAX: u64 = 200;
