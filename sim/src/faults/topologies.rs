//! Networks in which only some node reaches a quorum, for much longer than an election takes.

use std::time::Duration;

use super::{Fault, Shape, Topology};
use crate::rng::Rng;

pub(super) fn draw(rng: &mut Rng, shape: &Shape) -> Vec<(Duration, Fault)> {
    let group = rng.index(shape.groups);
    let first = rng.index(shape.nodes.saturating_sub(1).max(1));
    let election = u64::try_from(shape.election.as_micros()).unwrap_or(u64::MAX);
    let lasting = Duration::from_micros(rng.within(election * 3, election * 15));
    let kinds = [Topology::QuorumLoss, Topology::Constrained, Topology::Chained];
    let kind = rng.pick(&kinds);
    let around = |shape| Fault::Around { group, shape, first, lasting };
    if kind == Topology::Constrained && rng.percent(60) {
        // First the hub falls behind: only its link to the leader is cut.
        let behind = Duration::from_micros(rng.within(election / 4, election / 2));
        let alone = Fault::Around { group, shape: Topology::Behind, first, lasting: behind };
        return vec![(Duration::ZERO, alone), (behind, around(kind))];
    }
    vec![(Duration::ZERO, around(kind))]
}

/// The one-way links that a shape around a leader cuts.
pub(super) fn cut(
    shape: Topology,
    leader: usize,
    first: usize,
    nodes: usize,
) -> Vec<(usize, usize)> {
    let others: Vec<usize> = (0..nodes).filter(|&node| node != leader).collect();
    let Some(&hub) = others.get(first % others.len().max(1)) else { return Vec::new() };
    // The leader, the hub, and the others in turn.
    let place = |node: usize| {
        if node == leader { 0 } else { 1 + (node + nodes - hub) % nodes }
    };
    let is_cut = |from: usize, to: usize| match shape {
        Topology::QuorumLoss => from != hub && to != hub,
        Topology::Constrained => from == leader || to == leader || (from != hub && to != hub),
        Topology::Chained => {
            let row = {
                let mut row: Vec<usize> = (0..nodes).collect();
                row.sort_by_key(|&node| place(node));
                row
            };
            let at = |node| row.iter().position(|&other| other == node);
            at(from).zip(at(to)).is_some_and(|(from, to)| from.abs_diff(to) > 1)
        }
        Topology::Behind => [(leader, hub), (hub, leader)].contains(&(from, to)),
        Topology::Paired => {
            let is_paired = |node: usize| node == leader || node == hub;
            is_paired(from) != is_paired(to)
        }
        Topology::Clinging => (from == hub && to != leader) || (to == hub && from != leader),
        Topology::Whispering => from == leader && to != hub,
    };
    let all = (0..nodes).flat_map(|from| (0..nodes).map(move |to| (from, to)));
    all.filter(|&(from, to)| from != to && is_cut(from, to)).collect()
}

impl Topology {
    /// The one-way links that it cuts, if that node leads and the `first` of the others is the hub.
    #[must_use]
    pub fn links(self, leader: usize, first: usize, nodes: usize) -> Vec<(usize, usize)> {
        cut(self, leader, first, nodes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// Who reaches whom, both ways.
    fn left(
        shape: Topology,
        leader: usize,
        first: usize,
        nodes: usize,
    ) -> BTreeSet<(usize, usize)> {
        let cut = cut(shape, leader, first, nodes);
        let all = (0..nodes).flat_map(|from| (0..nodes).map(move |to| (from, to)));
        all.filter(|link| link.0 < link.1 && !cut.contains(link)).collect()
    }

    #[test]
    fn each_shape_leaves_a_node_that_reaches_a_quorum() {
        for nodes in [3, 5] {
            for (leader, first) in (0..nodes).flat_map(|l| (0..nodes - 1).map(move |f| (l, f))) {
                for shape in [Topology::QuorumLoss, Topology::Constrained, Topology::Chained] {
                    let left = left(shape, leader, first, nodes);
                    let reaches =
                        |node| 1 + left.iter().filter(|l| l.0 == node || l.1 == node).count();
                    assert!(
                        (0..nodes).any(|node| reaches(node) > nodes / 2),
                        "{shape:?}: {left:?}"
                    );
                    if shape == Topology::Constrained {
                        assert_eq!(reaches(leader), 1);
                    }
                    if nodes == 5 {
                        assert!(reaches(leader) <= 2, "the leader has no quorum");
                    }
                }
            }
        }
    }

    #[test]
    fn a_chain_has_the_leader_at_its_end() {
        assert_eq!(left(Topology::Chained, 2, 1, 5), [(0, 4), (1, 2), (1, 3), (3, 4)].into());
        assert_eq!(left(Topology::QuorumLoss, 0, 0, 3), [(0, 1), (1, 2)].into());
        assert_eq!(left(Topology::Behind, 0, 1, 3), [(0, 1), (1, 2)].into());
        assert_eq!(cut(Topology::Chained, 0, 0, 1), []);
    }

    #[test]
    fn a_leader_keeps_one_follower() {
        let others = [(1, 3), (1, 4), (3, 4)];
        let paired = left(Topology::Paired, 0, 1, 5);
        assert_eq!(paired, [(0, 2)].into_iter().chain(others).collect());
        let clinging = left(Topology::Clinging, 0, 1, 5);
        assert!(clinging.is_superset(&paired));
        assert_eq!(clinging.len(), paired.len() + 3, "the leader reaches the others too");
        assert_eq!(cut(Topology::Whispering, 0, 1, 5), [(0, 1), (0, 3), (0, 4)]);
    }
}
