//! Votes that come when the leader they were given leads again, in a later ballot.
//!
//! A leader is heard by one follower only, and answers to it are so slow that it gives up. It asks to
//! be elected again at once, and is, since the others have not missed it for as long. It proposes the
//! same instances in its new ballot, heard by another follower only. Now the votes of the first one
//! come: with them there seems to be a quorum, of which no two voted in the same ballot as the third
//! (I4). Votes are rarely so late, and a node rarely leads twice in a row with the same instances open.

use std::time::Duration;

use super::{Fault, Shape, Topology};
use crate::rng::Rng;

pub(super) fn draw(rng: &mut Rng, shape: &Shape) -> Vec<(Duration, Fault)> {
    let group = rng.index(shape.groups);
    let others = shape.nodes.saturating_sub(1).max(1);
    let first = rng.index(others);
    let second = (first + 1 + rng.index(others.saturating_sub(1).max(1))) % others;
    let election = u64::try_from(shape.election.as_micros()).unwrap_or(u64::MAX);
    let mut between = |least: u64, most: u64| {
        Duration::from_micros(rng.within(election * least / 8, election * most / 8))
    };
    let (slow, heard) = (between(4, 9), between(3, 8));
    let (again, lasting) = (between(7, 12), between(3, 8));
    let factor = u32::try_from(rng.spread(20, 400)).expect("small");
    let whispers =
        |first, lasting| Fault::Around { group, shape: Topology::Whispering, first, lasting };
    vec![
        (Duration::ZERO, Fault::SlowAnswers { group, factor, lasting: slow }),
        (Duration::ZERO, whispers(first, heard)),
        (again, whispers(second, lasting)),
    ]
}
