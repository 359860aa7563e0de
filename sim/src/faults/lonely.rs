//! A leader that its peers do not reach and its clients do: what it still says to them is the test.
//!
//! It goes on being asked for reads and writes while the others elect another and serve without it.
//! Its clock may be slow meanwhile, which is what makes it believe in itself for longer; a follower
//! may restart, and forget whatever it has not on its disk that keeps it from electing another.

use std::time::Duration;

use super::{Crash, Fault, Moment, Shape, Victim};
use crate::clock::rate;
use crate::rng::Rng;

pub(super) fn draw(rng: &mut Rng, shape: &Shape) -> Vec<(Duration, Fault)> {
    let group = rng.index(shape.groups);
    let election = u64::try_from(shape.election.as_micros()).unwrap_or(u64::MAX);
    let lasting = Duration::from_micros(rng.within(election / 2, election * 6));
    let (out, into) = rng.pick(&[(true, true), (true, true), (true, false), (false, true)]);
    let mut parts = Vec::new();
    if rng.percent(40) {
        let is_wild = rng.percent(30);
        let ppm = -rate(rng, is_wild).abs();
        let clock = Fault::ClockRate { victim: Victim::Leader(group), ppm, lasting: lasting * 2 };
        parts.push((Duration::ZERO, clock));
    }
    let cut = Fault::CutLeader { group, out, into, lasting };
    let begin = Duration::from_micros(rng.below(election));
    parts.push((begin, cut));
    if rng.percent(40) {
        let blip = Fault::Crash {
            victim: Victim::Node(rng.index(shape.nodes)),
            how: rng.pick(&[Crash::Kill, Crash::Power]),
            moment: Moment::Now,
            down: Duration::from_millis(1),
        };
        let later = Duration::from_micros(rng.below(election));
        parts.push((begin + later, blip));
    }
    parts
}
