//! First start: how fresh nodes become a cluster, without flags.

use alloc::vec::Vec;
use core::fmt;

use crate::ids::{GroupId, Incarnation, NodeId};
use crate::membership::Membership;

/// Which cluster: drawn at random when it is founded. Nodes of different clusters do not talk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterId(pub u64);

/// What a cluster starts from: decided once, by the lowest founder. Durable before it is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Founding {
    /// The cluster's name for itself.
    pub cluster: ClusterId,
    /// Each group's founding membership, ascending by group.
    pub groups: Vec<(GroupId, Membership)>,
}

/// What a node says of itself while clusters form: who it thinks founds one, and its memories.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Founder {
    /// The nodes that it was told to found a cluster with, itself included, ascending.
    pub founders: Vec<NodeId>,
    /// The incarnation it has of each group, ascending by group.
    pub memories: Vec<(GroupId, Incarnation)>,
}

/// What nodes say to each other until each has a founding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FoundingMessage {
    /// Who are you?
    Ask {
        /// Comes back with the answer, so that an old answer is not taken for a new one.
        nonce: u64,
    },
    /// Answers an [`Ask`](Self::Ask): nobody's yet.
    Fresh {
        /// The question answered.
        nonce: u64,
        /// Who answers.
        founder: Founder,
    },
    /// Answers an [`Ask`](Self::Ask), or tells the founders unasked: there is a cluster.
    Founded {
        /// The question answered; 0 if none was asked.
        nonce: u64,
        /// What it started from.
        founding: Founding,
    },
}

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}
