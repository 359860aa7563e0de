//! Votes that come when the leader they were given leads again, in a later ballot.
//!
//! A leader is heard by one follower only, and answers to it are so slow that it gives up. It asks to
//! be elected again at once, and is, since the others have not missed it for as long. In its new
//! ballot it proposes the same instances once more, and most disks are so slow that few have voted yet
//! when the votes of that one follower come at last: with them there seems to be a quorum (I4). Votes
//! are rarely so late, and a node rarely leads twice in a row with the same instances open.
//!
//! Answers are as late as an election takes where a message is under way for about a two-hundredth of
//! that time, as in the preset `rivals`.

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
    let begin = between(0, 8);
    let factor = u32::try_from(rng.within(60, 240)).expect("small");
    let whispers =
        |first, lasting| Fault::Around { group, shape: Topology::Whispering, first, lasting };
    let mut parts = vec![
        (begin, Fault::SlowAnswers { group, factor, lasting: slow }),
        (begin, whispers(first, heard)),
        (begin + again, whispers(second, lasting)),
    ];
    let disk = u32::try_from(rng.spread(5, 200)).expect("small");
    let fast = [rng.index(shape.nodes), rng.index(shape.nodes)];
    let slow_disk = |node| Fault::SlowDisk { node, factor: disk, lasting: shape.election * 3 };
    let slow = (0..shape.nodes).filter(|node| !fast.contains(node));
    parts.extend(slow.map(|node| (Duration::ZERO, slow_disk(node))));
    parts
}
