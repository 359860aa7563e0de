//! Two candidates of the same round, who do not hear each other, and one of them is held up.
//!
//! A leader stands still for longer than an election timeout. The node with the highest number has
//! lost touch with it, asks the others, and is welcome; but its disk stalls, so the question for
//! promises waits for its own. Meanwhile the first one wakes up, sees that it leads no more, and is
//! elected anew, in a ballot just below the other's. Then the disk goes on, and the question comes
//! out at those who have granted a lease.
//!
//! That they heard the leader a moment ago keeps nobody from a promise: only a canvass is refused for
//! it, and that was answered before. So nothing but the lease itself stands in the way here.

use std::time::Duration;

use super::{Fault, Pattern, Shape, Victim};
use crate::rng::Rng;

pub(super) fn draw(rng: &mut Rng, shape: &Shape) -> Vec<(Duration, Fault)> {
    let group = rng.index(shape.groups);
    let rival = shape.nodes - 1;
    if rival < 2 {
        return Vec::new(); // nobody is left whom both could ask
    }
    let first = rng.index(rival);
    let election = u64::try_from(shape.election.as_micros()).unwrap_or(u64::MAX);
    let micros = Duration::from_micros;
    let stop = micros(rng.within(election / 4, election));
    // The other asks after one to two election timeouts, and gives up after two more.
    let asleep = micros(rng.within(election * 5 / 4, election * 9 / 4));
    let woken = stop + asleep;
    // While nothing is to be written, so that the candidate does not wait for its disk beforehand.
    let stalls = stop + micros(rng.within(election / 2, election * 4 / 5));
    let recovers = woken + micros(rng.within(election / 8, election * 3 / 2));
    let links = vec![(first, rival), (rival, first)];
    let lasting = recovers + micros(election) - stop;
    vec![
        (Duration::ZERO, Fault::Transfer { group, to: first }),
        (stop, Fault::Cut { links, pattern: Pattern::Chain, lasting }),
        (stop, Fault::Pause { victim: Victim::Node(first), is_frozen: false, lasting: asleep }),
        (stalls, Fault::StalledDisk { node: rival, lasting: recovers - stalls }),
    ]
}
