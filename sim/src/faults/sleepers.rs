//! Leaders that sleep through the election of another, and a follower that knows of no other either.
//!
//! A leader and one follower lose touch with the rest, and then the leader's machine stands still, its
//! clock too. The others elect a second leader, which chooses something else where the first one has
//! proposed. It is cut off shortly before the first one wakes, so that the rest ask around whether
//! they could lead: thus the first one hears how far the log is chosen, and learns it, before it hears
//! of a higher ballot. What it still says in its own one, to a follower that voted in it, is the test
//! (I5). Without the sleep it would have given up long before: whoever elects another has not heard it
//! for as long as it waits for answers itself.

use std::time::Duration;

use super::{Crash, Fault, Moment, Shape, Topology, Victim};
use crate::rng::Rng;

pub(super) fn draw(rng: &mut Rng, shape: &Shape) -> Vec<(Duration, Fault)> {
    let group = rng.index(shape.groups);
    let first = rng.index(shape.nodes.saturating_sub(1).max(1));
    let election = u64::try_from(shape.election.as_micros()).unwrap_or(u64::MAX);
    let mut between = |least: u64, most: u64| {
        Duration::from_micros(rng.within(election * least / 8, election * most / 8))
    };
    // Where starts take new memories, this changes the membership: from then on whoever asks to be
    // elected says how far it knows the log to be chosen.
    let (restart, down, settled) = (between(0, 8), between(1, 4), between(16, 40));
    let asleep = between(1, 6); // since it lost touch: until then its proposals reach the follower
    let (alone, awake) = (between(20, 40), between(8, 20));
    let early = between(0, 2);
    let sleep = (alone + awake).saturating_sub(asleep);
    let around = |shape, lasting| Fault::Around { group, shape, first, lasting };
    let paired = around(Topology::Paired, alone);
    let clinging = around(Topology::Clinging, alone + awake + shape.election * 2);
    let pause = Fault::Pause { victim: Victim::Leader(group), is_frozen: true, lasting: sleep };
    let cut =
        Fault::CutLeader { group, out: true, into: true, lasting: awake + shape.election * 2 };
    let crash = Fault::Crash {
        victim: Victim::Node(rng.index(shape.nodes)),
        how: rng.pick(&[Crash::Kill, Crash::Power]),
        moment: Moment::Now,
        down,
    };
    vec![
        (restart, crash),
        (settled, paired),
        (settled, clinging),
        (settled + asleep, pause),
        (settled + alone.saturating_sub(early), cut),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_are_back_and_their_leader_is_gone_when_the_sleeper_wakes() {
        let election = Duration::from_millis(100);
        let until = synod_core::Time::from_millis(5_000);
        let shape = Shape { nodes: 5, founders: 5, groups: 2, election, until };
        let mut rng = Rng::stream(1, "sleepers");
        for _ in 0..100 {
            let parts = draw(&mut rng, &shape);
            let [_, (lost, paired), _, (sleep, pause), (gone, cut)] = parts.as_slice() else {
                panic!("five parts: {parts:?}")
            };
            let (Fault::Around { lasting: alone, .. }, Fault::Pause { lasting: asleep, .. }) =
                (paired, pause)
            else {
                panic!("a pair, and a sleep: {parts:?}")
            };
            assert!(matches!(cut, Fault::CutLeader { out: true, into: true, .. }));
            let (back, wakes) = (*lost + *alone, *sleep + *asleep);
            assert!(*lost < *sleep && *gone <= back, "{parts:?}");
            assert!(back + election <= wakes, "there is time to miss the second leader: {parts:?}");
        }
    }
}
