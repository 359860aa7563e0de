//! How a run ends: what is still wrong while a quorum must serve already, and whether the cluster is
//! watched doing nothing once everything works again.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::text;
use crate::rng::{Rng, to_index, to_u64};

/// How a run ends, once faults no longer come.
///
/// First only some of the cluster is healed, and that must serve: waiting for a node that never comes
/// back is no way to be live. Then all of it is, and must agree.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ending {
    /// What is healed first.
    pub first: First,
    /// For how many election timeouts the cluster is watched doing nothing, at the very end.
    pub idle: u32,
}

/// What is healed first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum First {
    /// Everything at once.
    #[default]
    All,
    /// Whoever is not listed: a quorum of every group.
    Quorum(Vec<Impairment>),
    /// All nodes, and only some of the links between them: some node reaches a quorum.
    Links(Links),
}

/// A node that is not healed first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Impairment {
    /// Which.
    #[serde(with = "text::node")]
    pub node: usize,
    /// What is wrong with it.
    pub is: Impaired,
}

/// What is wrong with a node while a quorum must serve without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Impaired {
    /// It is down.
    Down,
    /// It neither hears nor is heard.
    Isolated,
    /// It is heard, and hears nobody.
    Deaf,
    /// It hears, and is not heard.
    Mute,
}

/// The links that are left, both ways.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Links {
    /// Those of one hub.
    Star(#[serde(with = "text::node")] usize),
    /// Those between neighbours, the last and the first included.
    Ring,
    /// Those between neighbours in this order.
    Chain(#[serde(with = "text::nodes")] Vec<usize>),
}

impl Ending {
    /// How the run of a seed ends; from a stream of its own.
    #[must_use]
    pub fn draw(seed: u64, nodes: usize, is_forming: bool) -> Self {
        let mut rng = Rng::stream(seed, "ending");
        let idle = if rng.percent(20) { 8 } else { 0 };
        // A cluster that is not founded yet needs everyone.
        let first = match rng.below(100) {
            _ if nodes < 3 || is_forming => First::All,
            0..=34 => First::All,
            35..=74 => quorum(&mut rng, nodes),
            _ => First::Links(match rng.below(3) {
                0 => Links::Star(rng.index(nodes)),
                1 if nodes > 3 => Links::Ring,
                _ => Links::Chain(shuffled(&mut rng, nodes)),
            }),
        };
        Self { first, idle }
    }
}

/// At least one node is impaired, and at most as many as a quorum can spare.
fn quorum(rng: &mut Rng, nodes: usize) -> First {
    let spare = to_index(rng.within(1, to_u64((nodes - 1) / 2)));
    let mut impaired: Vec<Impairment> = shuffled(rng, nodes)
        .into_iter()
        .take(spare)
        .map(|node| Impairment { node, is: rng.pick(&Impaired::ALL) })
        .collect();
    impaired.sort_unstable_by_key(|impairment| impairment.node);
    First::Quorum(impaired)
}

fn shuffled(rng: &mut Rng, nodes: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..nodes).collect();
    for last in (1..nodes).rev() {
        order.swap(last, rng.index(last + 1));
    }
    order
}

impl First {
    /// What its times are listed under.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::All => "all healed",
            Self::Quorum(_) => "a quorum healed",
            Self::Links(Links::Star(_)) => "a star",
            Self::Links(Links::Ring) => "a ring",
            Self::Links(Links::Chain(_)) => "a chain",
        }
    }

    /// What is wrong with a node.
    #[must_use]
    pub fn impaired(&self, node: usize) -> Option<Impaired> {
        let Self::Quorum(impaired) = self else { return None };
        impaired.iter().find(|impairment| impairment.node == node).map(|impairment| impairment.is)
    }

    /// Whether anything gets from one node to another.
    #[must_use]
    pub fn reaches(&self, from: usize, to: usize, nodes: usize) -> bool {
        match self {
            Self::All => true,
            Self::Quorum(_) => {
                let is_heard =
                    matches!(self.impaired(from), None | Some(Impaired::Down | Impaired::Deaf));
                let hears =
                    matches!(self.impaired(to), None | Some(Impaired::Down | Impaired::Mute));
                is_heard && hears
            }
            Self::Links(Links::Star(hub)) => from == *hub || to == *hub,
            Self::Links(Links::Ring) => (from + 1) % nodes == to || (to + 1) % nodes == from,
            Self::Links(Links::Chain(order)) => {
                order.windows(2).any(|pair| pair == [from, to] || pair == [to, from])
            }
        }
    }
}

impl Impaired {
    const ALL: [Self; 4] = [Self::Down, Self::Isolated, Self::Deaf, Self::Mute];
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.first {
            First::All => write!(f, "everything is healed at once")?,
            First::Quorum(impaired) => {
                write!(f, "first without")?;
                for Impairment { node, is } in impaired {
                    write!(f, " n{} ({is:?})", node + 1)?;
                }
            }
            First::Links(Links::Star(hub)) => write!(f, "first only the links of n{}", hub + 1)?,
            First::Links(Links::Ring) => write!(f, "first only the links of a ring")?,
            First::Links(Links::Chain(order)) => {
                write!(f, "first only the links of the chain")?;
                for node in order {
                    write!(f, " n{}", node + 1)?;
                }
            }
        }
        match self.idle {
            0 => Ok(()),
            idle => write!(f, "; watched for {idle} election timeouts at the end"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_kind_of_ending_comes_up_and_leaves_a_quorum() {
        let mut kinds = BTreeSet::new();
        for seed in 0..400 {
            let nodes = [3, 5][to_index(seed % 2)];
            let Ending { first, .. } = Ending::draw(seed, nodes, false);
            kinds.insert(first.kind());
            let whole = (0..nodes).filter(|&node| first.impaired(node).is_none());
            assert!(whole.count() > nodes / 2, "seed {seed}: {first:?}");
            let reaches_a_quorum = |node: usize| {
                let reached = (0..nodes).filter(|&other| {
                    other == node
                        || first.reaches(node, other, nodes) && first.reaches(other, node, nodes)
                });
                reached.count() > nodes / 2
            };
            assert!((0..nodes).any(reaches_a_quorum), "seed {seed}: {first:?}");
        }
        assert_eq!(kinds.len(), 5, "{kinds:?}");
        assert_eq!(Ending::draw(1, 1, false).first, First::All);
        assert!((0..99).all(|seed| Ending::draw(seed, 3, true).first == First::All));
    }

    #[test]
    fn the_deaf_are_heard_and_the_mute_hear() {
        let first = First::Quorum(vec![
            Impairment { node: 0, is: Impaired::Deaf },
            Impairment { node: 1, is: Impaired::Mute },
        ]);
        assert!(first.reaches(0, 4, 5) && !first.reaches(4, 0, 5));
        assert!(!first.reaches(1, 4, 5) && first.reaches(4, 1, 5));
        assert!(first.reaches(3, 4, 5) && first.reaches(0, 1, 5) && !first.reaches(1, 0, 5));
        let chain = First::Links(Links::Chain(vec![2, 0, 1]));
        assert!(chain.reaches(2, 0, 3) && chain.reaches(1, 0, 3) && !chain.reaches(1, 2, 3));
        let ring = First::Links(Links::Ring);
        assert!(ring.reaches(4, 0, 5) && !ring.reaches(0, 2, 5));
    }
}
