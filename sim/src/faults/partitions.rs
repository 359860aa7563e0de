//! Partitions: whole, partial and one-way; leaders cut off; slow links.

use super::{Fault, Pattern, Shape, lasting};
use crate::rng::Rng;

pub(super) fn draw(rng: &mut Rng, shape: &Shape) -> Fault {
    match rng.below(10) {
        0..=2 => Fault::CutLeader {
            group: rng.index(shape.groups),
            out: rng.percent(80),
            into: rng.percent(80),
            lasting: lasting(rng, shape),
        },
        3 => Fault::SlowLinks {
            links: links(rng, shape.nodes, Pattern::Random),
            factor: rng.pick(&[3, 10, 40]),
            lasting: lasting(rng, shape),
        },
        _ => {
            let pattern = rng.pick(&[
                Pattern::Split,
                Pattern::Split,
                Pattern::Isolated,
                Pattern::OneWay,
                Pattern::Star,
                Pattern::Ring,
                Pattern::Chain,
                Pattern::Random,
            ]);
            let links = links(rng, shape.nodes, pattern);
            Fault::Cut { links, pattern, lasting: lasting(rng, shape) }
        }
    }
}

/// The links that a pattern cuts.
pub(super) fn links(rng: &mut Rng, nodes: usize, pattern: Pattern) -> Vec<(usize, usize)> {
    let side = rng.below(1 << nodes);
    let hub = rng.index(nodes);
    let sides = |from: usize, to: usize| (side >> from & 1, side >> to & 1);
    let mut cut = Vec::new();
    for from in 0..nodes {
        for to in (0..nodes).filter(|&to| to != from) {
            let ring = (from + 1) % nodes == to || (to + 1) % nodes == from;
            let is_cut = match pattern {
                Pattern::Split => sides(from, to).0 != sides(from, to).1,
                Pattern::OneWay => sides(from, to) == (1, 0),
                Pattern::Isolated => from == hub || to == hub,
                Pattern::Star => from != hub && to != hub,
                // In a ring of three everyone is a neighbour: cut one link instead.
                Pattern::Ring if nodes <= 3 => from != hub && to != hub,
                Pattern::Ring => !ring,
                // A row that begins anywhere.
                Pattern::Chain => {
                    let place = |node: usize| (node + nodes - hub) % nodes;
                    place(from).abs_diff(place(to)) > 1
                }
                Pattern::Random => rng.percent(35),
            };
            if is_cut {
                cut.push((from, to));
            }
        }
    }
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_cut_what_they_say() {
        let mut rng = Rng::stream(1, "patterns");
        let star = links(&mut rng, 5, Pattern::Star);
        assert_eq!(star.len(), 12, "all but the eight links of the hub");
        let ring = links(&mut rng, 5, Pattern::Ring);
        assert_eq!(ring.len(), 10);
        let chain = links(&mut rng, 5, Pattern::Chain);
        assert_eq!(chain.len(), 12, "all but four links, both ways");
        let alone = links(&mut rng, 5, Pattern::Isolated);
        assert_eq!(alone.len(), 8);
        let split = links(&mut rng, 5, Pattern::Split);
        assert!(split.iter().all(|&(from, to)| split.contains(&(to, from))));
        let one_way = links(&mut rng, 5, Pattern::OneWay);
        assert!(one_way.iter().all(|&(from, to)| !one_way.contains(&(to, from))));
    }
}
