//! A value that is chosen, lost where it was only learned, and of which the one within reach voted for
//! another.
//!
//! A leader is cut off while it proposes, and keeps votes of its own that nobody else has. The others
//! elect another one and choose other values there. One of them is down meanwhile, and learns these
//! values when it is back: it never voted for them, so that no ballot of its own tells what they were.
//! It starts once more, so that they are on its disk alone, and there something rots. Then these two
//! reach each other, and nobody else: the first asks for what it missed, the second has lost it, and
//! may ask only the first.
//!
//! Needs a quorum beside these two.

use std::time::Duration;

use super::{Crash, Extent, Fault, Moment, Pattern, Shape, Victim};
use crate::rng::Rng;

pub(super) fn draw(rng: &mut Rng, shape: &Shape) -> Vec<(Duration, Fault)> {
    let group = rng.index(shape.groups);
    let first = rng.index(shape.nodes);
    let second = (first + 1 + rng.index(shape.nodes.saturating_sub(1).max(1))) % shape.nodes;
    if shape.nodes < 5 {
        return Vec::new();
    }
    let election = u64::try_from(shape.election.as_micros()).unwrap_or(u64::MAX);
    let micros = Duration::from_micros;
    let others: Vec<usize> = (0..shape.nodes).filter(|&n| n != first && n != second).collect();
    let cut = |node: usize, lasting| {
        let links = others.iter().flat_map(|&other| [(node, other), (other, node)]).collect();
        Fault::Cut { links, pattern: Pattern::Split, lasting }
    };
    let alone = micros(rng.within(election / 4, election));
    let back = alone + micros(rng.within(election * 5 / 2, election * 7 / 2));
    let again = back + micros(rng.within(election, election * 2));
    let restarts = election / 4;
    let rots = again + micros(restarts * 3 + rng.within(election / 4, election));
    let meet = rots + micros(1);
    let over = meet + micros(election * 4);
    let links = vec![(first, second), (second, first)];
    let down = |down| Fault::Crash {
        victim: Victim::Node(second),
        how: Crash::Kill,
        moment: Moment::Now,
        down,
    };
    let extent = rng.pick(&[Extent::Bit, Extent::Sector]);
    let rot = |place| Fault::Rot { node: second, place, extent };
    let mut parts = vec![
        (Duration::ZERO, Fault::Transfer { group, to: first }),
        (alone, down(back - alone)),
        (alone, cut(first, over - alone)),
        (alone, Fault::Cut { links, pattern: Pattern::Split, lasting: meet - alone }),
        (again, down(micros(1_000))),
        (again + micros(restarts), down(micros(1_000))),
        (again + micros(restarts * 2), down(micros(1_000))),
        (meet, cut(second, over - meet)),
    ];
    parts.extend((0..40).map(|_| (rots, rot(rng.bits() >> 32))));
    parts
}
