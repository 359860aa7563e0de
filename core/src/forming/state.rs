//! How far the forming of a cluster is, for operators.

use alloc::vec::Vec;
use core::fmt;

use super::{Bootstrap, Forming, Phase, groups_of};
use crate::founding::{ClusterId, Founding};
use crate::ids::{GroupId, NodeId};

/// How far a node is on its way into a cluster. Shows as a sentence that says what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FormingState<'a> {
    /// There is no cluster yet: founders are missing, or the decider has not told.
    Waiting {
        /// Who decides, once all founders have been heard.
        decider: NodeId,
        /// Founders not heard lately; the decider alone if all were.
        for_whom: Vec<NodeId>,
    },
    /// The only founder listed is this node, and it was not asked to found alone.
    Alone,
    /// This node founds nothing, and has not heard of a cluster.
    Joining {
        /// Whom it asks.
        asked: Vec<NodeId>,
    },
    /// A founding is on its way to the disk.
    Writing(&'a Founding),
    /// The node belongs to a cluster.
    Founded(&'a Founding),
    /// The node belongs to a cluster, and its memory of some groups is not in their membership: the
    /// data directory is new, was damaged, or is not the newest that there was. It learns, does not
    /// vote, and waits to be swapped in.
    Excluded {
        /// This node.
        me: NodeId,
        /// What the cluster started from.
        founding: &'a Founding,
        /// The groups it is not in.
        groups: &'a [GroupId],
    },
    /// Something contradicts what this node was told. If [`Forming::founding`] is there, the node
    /// goes on in its own cluster all the same.
    Conflict(FormingConflict),
}

/// What contradicts what a node was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FormingConflict {
    /// A founder was given other founders. Nobody founds until that is corrected.
    Founders {
        /// Which one.
        node: NodeId,
        /// What it was given.
        theirs: Vec<NodeId>,
        /// What we were given.
        ours: Vec<NodeId>,
    },
    /// A founder has other groups. Nobody founds until that is corrected.
    Groups {
        /// Which one.
        node: NodeId,
        /// What it has.
        theirs: Vec<GroupId>,
        /// What we have.
        ours: Vec<GroupId>,
    },
    /// A founder knows another cluster than the one that this node knows.
    Clusters {
        /// Which one.
        node: NodeId,
        /// What it knows.
        theirs: ClusterId,
        /// What we know.
        ours: ClusterId,
    },
}

impl Forming {
    /// How far this node is.
    #[must_use]
    pub fn state(&self) -> FormingState<'_> {
        match &self.phase {
            Phase::Writing { founding: ours, .. } | Phase::Founded(ours)
                if let Some((node, theirs)) = self.foreign =>
            {
                FormingState::Conflict(FormingConflict::Clusters {
                    node,
                    theirs,
                    ours: ours.cluster,
                })
            }
            Phase::Fresh => self.fresh_state(),
            Phase::Writing { founding, .. } => FormingState::Writing(founding),
            Phase::Founded(founding) if self.outside.is_empty() => FormingState::Founded(founding),
            Phase::Founded(founding) => {
                FormingState::Excluded { me: self.me, founding, groups: &self.outside }
            }
        }
    }

    fn fresh_state(&self) -> FormingState<'_> {
        let Some(&decider) = self.founder.founders.first() else {
            return FormingState::Joining { asked: Vec::new() };
        };
        if self.bootstrap == Bootstrap::Join || !self.is_founder() {
            return FormingState::Joining { asked: self.others().collect() };
        }
        if self.bootstrap == Bootstrap::Auto && self.founder.founders.len() == 1 {
            return FormingState::Alone;
        }
        let heard = |node| self.round.heard.get(&node).or_else(|| self.previous.heard.get(&node));
        for node in self.others() {
            let Some(theirs) = heard(node) else { continue };
            if theirs.founders != self.founder.founders {
                return FormingState::Conflict(FormingConflict::Founders {
                    node,
                    theirs: theirs.founders.clone(),
                    ours: self.founder.founders.clone(),
                });
            }
            if !self.agrees(theirs) {
                return FormingState::Conflict(FormingConflict::Groups {
                    node,
                    theirs: groups_of(theirs).collect(),
                    ours: groups_of(&self.founder).collect(),
                });
            }
        }
        let mut for_whom: Vec<NodeId> =
            self.others().filter(|&node| heard(node).is_none()).collect();
        if for_whom.is_empty() {
            for_whom.push(decider);
        }
        FormingState::Waiting { decider, for_whom }
    }
}

impl fmt::Display for FormingState<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Waiting { decider, for_whom } => write!(
                f,
                "no cluster yet: waiting for {}; node {decider} founds it once all founders are \
                 up and reach each other",
                List("node", for_whom)
            ),
            Self::Alone => f.write_str(
                "no cluster, and no other founder is listed: to found a new cluster of this node \
                 alone, start it with Bootstrap::Found; if this node belongs to a cluster and lost \
                 its data directory, list its peers",
            ),
            Self::Joining { asked } => write!(
                f,
                "waiting to hear of a cluster from {}; this node founds none itself",
                List("node", asked)
            ),
            Self::Writing(founding) => {
                write!(f, "writing the founding of cluster {} to disk", founding.cluster)
            }
            Self::Founded(founding) => write!(f, "member of cluster {}", founding.cluster),
            Self::Excluded { me, founding, groups } => write!(
                f,
                "cluster {} exists, and this memory of node {me} is not in its {}: the data \
                 directory is new, or lost something that the node had vouched for. The node \
                 learns and does not vote; swap it in by a membership change that replaces its old \
                 memory",
                founding.cluster,
                List("group", groups)
            ),
            Self::Conflict(conflict) => conflict.fmt(f),
        }
    }
}

impl fmt::Display for FormingConflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Founders { node, theirs, ours } => write!(
                f,
                "no cluster: this node was told to found one with {}, and node {node} with {}; \
                 give all founders the same list",
                List("node", ours),
                List("node", theirs)
            ),
            Self::Groups { node, theirs, ours } => write!(
                f,
                "no cluster: this node has {}, and node {node} has {}; give all founders the same \
                 groups",
                List("group", ours),
                List("group", theirs)
            ),
            Self::Clusters { node, theirs, ours } => write!(
                f,
                "node {node} knows cluster {theirs}, and this node cluster {ours}: one of them was \
                 given the wrong peers or the wrong data directory; wipe the one that does not \
                 belong, and swap it in"
            ),
        }
    }
}

/// `node 1`, `nodes 1, 2`, `no node`.
struct List<'a, T>(&'static str, &'a [T]);

impl<T: fmt::Display> fmt::Display for List<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(what, items) = self;
        let Some((first, rest)) = items.split_first() else { return write!(f, "no {what}") };
        write!(f, "{what}{} {first}", if rest.is_empty() { "" } else { "s" })?;
        rest.iter().try_for_each(|item| write!(f, ", {item}"))
    }
}
