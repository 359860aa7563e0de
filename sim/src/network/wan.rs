//! Nodes in three regions far from each other.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::plan::text;
use crate::rng::{Rng, mix, scale};

/// Which region each node is in, and how far apart the regions are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Wan {
    /// The region of each node, 0 to 2; those beyond the end are in region 0.
    pub regions: Vec<usize>,
    /// The shortest way between the regions 0 and 1, 0 and 2, 1 and 2; inside a region there is
    /// nothing to add.
    #[serde(with = "text::durations")]
    pub ways: Vec<Duration>,
    /// Up to so many hundredths of the way come on top.
    pub jitter_percent: u64,
}

impl Wan {
    /// Regions that are a few to a hundred and twenty milliseconds apart.
    #[must_use]
    pub fn draw(rng: &mut Rng, nodes: usize) -> Self {
        Self {
            // Dealt out in turn, so that as a rule no region has a quorum; or as it comes.
            regions: if rng.percent(50) {
                (0..nodes).map(|node| node % 3).collect()
            } else {
                (0..nodes).map(|_| rng.index(3)).collect()
            },
            ways: (0..3).map(|_| Duration::from_micros(rng.spread(2_000, 120_000))).collect(),
            jitter_percent: rng.pick(&[1, 5, 25]),
        }
    }

    /// Whether it has three regions and three ways.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.ways.len() == 3 && self.regions.iter().all(|&region| region < 3)
    }

    /// The shortest way from one node to another.
    #[must_use]
    pub fn way(&self, from: usize, to: usize) -> Duration {
        let region = |node: usize| self.regions.get(node).copied().unwrap_or_default();
        match (region(from).min(region(to)), region(from).max(region(to))) {
            (0, 1) => self.ways[0],
            (0, 2) => self.ways[1],
            (1, 2) => self.ways[2],
            _ => Duration::ZERO,
        }
    }

    /// What comes on top of a way this time.
    #[must_use]
    pub fn jitter(&self, bits: u64, way: Duration) -> Duration {
        let nanos = u64::try_from(way.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(scale(mix(bits), nanos / 100 * self.jitter_percent))
    }

    /// The election timeout that fits: several times the longest way there and back.
    #[must_use]
    pub fn election(&self, rng: &mut Rng, election: Duration) -> Duration {
        let longest = self.ways.iter().max().copied().unwrap_or_default();
        election.max(longest * u32::try_from(rng.within(5, 12)).expect("small"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_are_the_same_in_both_directions_and_nothing_inside_a_region() {
        let mut rng = Rng::stream(1, "wan");
        for _ in 0..100 {
            let wan = Wan::draw(&mut rng, 5);
            for (from, to) in (0..5).flat_map(|from| (0..5).map(move |to| (from, to))) {
                assert_eq!(wan.way(from, to), wan.way(to, from));
                let is_near = wan.regions[from] == wan.regions[to];
                assert_eq!(wan.way(from, to) == Duration::ZERO, is_near);
            }
            let election = wan.election(&mut rng, Duration::from_millis(10));
            assert!(wan.ways.iter().all(|&way| election >= way * 4));
        }
    }
}
