//! A directory that is not what it was while the peers remember it: a copy is put back after the
//! original ran on, or two processes use one directory.

use std::time::Duration;

use super::{Crash, Fault, Moment, Pattern, Shape, Victim};
use crate::rng::Rng;

/// Between the copy and its return, something makes the node say hello anew: it starts again, once
/// or twice, or it loses touch with the others for a moment.
pub(super) fn draw(rng: &mut Rng, shape: &Shape) -> Vec<(Duration, Fault)> {
    let Shape { nodes, election, .. } = *shape;
    let node = rng.index(nodes);
    let down = election / u32::try_from(rng.within(2, 40)).unwrap_or(2);
    if rng.percent(25) {
        return vec![(Duration::ZERO, Fault::SecondProcess { node })];
    }
    let mut faults = vec![(Duration::ZERO, Fault::SavedDisk { node })];
    let mut later = election * u32::try_from(rng.within(1, 3)).unwrap_or(1);
    if rng.percent(40) {
        let others = (0..nodes).filter(|&other| other != node);
        let links = others.flat_map(|other| [(node, other), (other, node)]).collect();
        faults.push((later, Fault::Cut { links, pattern: Pattern::Isolated, lasting: down }));
    } else {
        for _ in 0..rng.within(1, 2) {
            let how = rng.pick(&[Crash::Kill, Crash::Power]);
            let victim = Victim::Node(node);
            faults.push((later, Fault::Crash { victim, how, moment: Moment::Now, down }));
            later += election * 2;
        }
    }
    later += election * 2;
    faults.push((later, Fault::RestoredDisk { node, down }));
    faults
}
