//! A value that is chosen, lost where it was only learned, and of which the one within reach voted for
//! another.
//!
//! A leader is cut off while it proposes, and keeps votes of its own that nobody else has. The others
//! elect another one and choose other values there. One of them is down meanwhile, and learns these
//! values when it is back: it never voted for them, so that no ballot of its own tells what they were.
//! It starts again and again, each time in a new segment of its log, until they lie where rot may take
//! more than one place, and there it does. Then these two reach each other, and nobody else: the first
//! asks for what it missed, the second has lost it, and may ask only the first.
//!
//! Needs a quorum beside these two, so five nodes.

use std::time::Duration;

use super::{Crash, Extent, Fault, Moment, Pattern, Shape, Victim, duel};
use crate::rng::Rng;

pub(super) fn draw(rng: &mut Rng, shape: &Shape) -> Vec<(Duration, Fault)> {
    let group = rng.index(shape.groups);
    let Some((first, second, others)) = duel(rng, shape) else { return Vec::new() };
    let election = u64::try_from(shape.election.as_micros()).unwrap_or(u64::MAX);
    let micros = Duration::from_micros;
    let alone = micros(rng.within(election / 4, election));
    // The others have elected one of them, and gone on.
    let back = alone + micros(rng.within(election * 5 / 2, election * 7 / 2));
    let again = back + micros(rng.within(election, election * 2));
    let start = micros(election / 4);
    // By then it has executed everything once more: what is lost later it does not need itself.
    let rots = again + start * STARTS + micros(rng.within(election / 4, election));
    let meet = rots + micros(1);
    let over = meet + micros(election * 4);
    let extent = rng.pick(&[Extent::Bit, Extent::Sector]);

    let from_others = |node: usize, lasting| {
        let links = others.iter().flat_map(|&other| [(node, other), (other, node)]).collect();
        Fault::Cut { links, pattern: Pattern::Split, lasting }
    };
    let apart = Fault::Cut {
        links: vec![(first, second), (second, first)],
        pattern: Pattern::Split,
        lasting: meet - alone,
    };
    let kill = |down| {
        let victim = Victim::Node(second);
        Fault::Crash { victim, how: Crash::Kill, moment: Moment::Now, down }
    };
    let mut parts = vec![
        (Duration::ZERO, Fault::Transfer { group, to: first }),
        (alone, kill(back - alone)),
        (alone, from_others(first, over - alone)),
        (alone, apart),
        (meet, from_others(second, over - meet)),
    ];
    parts.extend((0..STARTS).map(|n| (again + start * n, kill(micros(1_000)))));
    parts.extend((0..ROTS).map(|_| {
        let place = rng.bits() >> 32;
        (rots, Fault::Rot { node: second, place, extent })
    }));
    parts
}

/// Rot takes no more than one place in each of the two newest segments.
const STARTS: u32 = 3;

/// Enough to hit what was learned.
const ROTS: u32 = 40;
