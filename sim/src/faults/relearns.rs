//! Leaders that wake beside a follower that lost a value below others that it had learned.
//!
//! A leader is cut off while it proposes, and its machine stands still. The others elect another one
//! and choose other values there. One of them missed all that, and learns it from one that does not
//! lead: so it never hears the new leader ask for its vote, and its promise stays below the ballot that
//! chose these values. It starts again and again, each time in a new segment of its log, until what it
//! learned lies where rot may take more than one place; there it does, and what was learned above the
//! lost values lies above a gap. Then the first leader wakes, reaches this follower and nobody else,
//! and asks it once more for votes in its old ballot.
//!
//! Needs a quorum beside these two, so five nodes.

use std::time::Duration;

use super::{Crash, Extent, Fault, Moment, Pattern, Shape, Victim, duel};
use crate::rng::Rng;

pub(super) fn draw(rng: &mut Rng, shape: &Shape) -> Vec<(Duration, Fault)> {
    let group = rng.index(shape.groups);
    let Some((first, second, others)) = duel(rng, shape) else { return Vec::new() };
    let teacher = rng.pick(&others);
    let election = u64::try_from(shape.election.as_micros()).unwrap_or(u64::MAX);
    let mut between = |least: u64, most: u64| {
        Duration::from_micros(rng.within(election * least / 8, election * most / 8))
    };
    // It has voted in the ballot of the first one.
    let apart = between(3, 8);
    let alone = apart + between(1, 6);
    let asleep = alone + between(2, 5);
    // The others have elected one of them, and gone on.
    let back = alone + between(24, 36);
    // Somebody else leads them than who teaches.
    let led = back.saturating_sub(between(4, 8));
    // The two greet each other again first, and it asks around only now and then.
    let again = back + between(24, 36);
    let rots = again + shape.election * STARTS + between(2, 8);
    // It has entered, though nobody answered it.
    let meet = rots + shape.election + between(1, 8);
    let over = meet + shape.election * 2;

    let cut = |from: usize, to: &[usize], begin: Duration, end: Duration| {
        let links = to.iter().flat_map(|&to| [(from, to), (to, from)]).collect();
        (begin, Fault::Cut { links, pattern: Pattern::Split, lasting: end.saturating_sub(begin) })
    };
    let kill = || Fault::Crash {
        victim: Victim::Node(second),
        how: Crash::Kill,
        moment: Moment::Now,
        down: Duration::from_micros(1_000),
    };
    let rest: Vec<usize> = others.iter().copied().filter(|&n| n != teacher).collect();
    let chief = rng.pick(&rest);
    let pause =
        Fault::Pause { victim: Victim::Node(first), is_frozen: true, lasting: meet - asleep };
    let mut parts = vec![
        (Duration::ZERO, Fault::Transfer { group, to: first }),
        cut(second, &[first], apart, meet),
        cut(second, &rest, apart, over),
        cut(second, &[teacher], apart, back),
        cut(first, &others, alone, over),
        (asleep, pause),
        (led, Fault::Transfer { group, to: chief }),
        cut(second, &[teacher], again, over),
    ];
    parts.extend((0..STARTS).map(|n| (again + shape.election * n, kill())));
    let strikes = rng.within(8, STRIKES);
    parts.extend((0..strikes).map(|_| {
        let place = rng.bits() >> 32;
        (rots, Fault::Rot { node: second, place, extent: Extent::Sector })
    }));
    parts.push((rots + Duration::from_micros(1), kill()));
    parts
}

/// Rot takes no more than one place in each of the two newest segments.
const STARTS: u32 = 2;

/// Enough to hit two blocks of one large batch; many more would hit both copies of a small one, which
/// costs the memory of all.
const STRIKES: u64 = 32;
