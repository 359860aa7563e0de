//! What a node does, for people and metrics.

use std::fmt;
use std::sync::Arc;

use synod_core::{ClusterId, GroupId, Instance, Member, NodeId, Role, Status};

pub use crate::transport::{LinkStatus, Refused};

/// A snapshot of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NodeStatus {
    /// The node.
    pub node: NodeId,
    /// The cluster, once the node belongs to one.
    pub cluster: Option<ClusterId>,
    /// What the node does as a whole.
    pub state: NodeState,
    /// Its groups, ascending.
    pub groups: Vec<GroupStatus>,
    /// Its ways out to its peers, ascending by node.
    pub peers: Vec<(NodeId, LinkStatus)>,
    /// Connections to it that were turned away or broken off.
    pub refused: Refused,
}

/// What a node does as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NodeState {
    /// The cluster is not founded yet, as far as this node knows; the text says for whom it waits.
    Forming(String),
    /// It learns and answers reads, and in some groups it does not vote and takes no proposals: its
    /// memory is not in their membership, and waits to be swapped in. Where it was removed it answers no
    /// reads either. The text says so in full; each group's [`Status::votes`] says which.
    NotMember(String),
    /// It takes part.
    Running,
    /// It is being shut down.
    ShuttingDown,
    /// It has stopped for this reason, a disk that failed a write; start it again.
    Failed(Arc<str>),
}

/// A snapshot of one group on one node.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GroupStatus {
    /// The group.
    pub group: GroupId,
    /// This node, and the memory that it has of the group.
    pub member: Member,
    /// The protocol's state; none while the node does not take part.
    pub core: Option<Status>,
    /// Why the group has stopped here, if it has.
    pub failed: Option<Arc<str>>,
}

/// What changes seldom in a group, as [`GroupHandle::watch`](crate::GroupHandle::watch) tells it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct GroupState {
    /// Who leads, as far as this node knows.
    pub leader: Option<NodeId>,
    /// What this node does in the group; none while it does not take part.
    pub role: Option<Role>,
    /// Whether this node's memory votes in the group.
    pub votes: bool,
    /// The version of the newest membership; zero for the founding.
    pub version: Instance,
    /// Whether a change of the membership is known here that is not complete.
    pub changing: bool,
    /// Why the group has stopped here, if it has. It stays so until the node is started again.
    pub failed: Option<Arc<str>>,
}

impl fmt::Display for NodeState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Forming(waits) => write!(f, "forming: {waits}"),
            Self::NotMember(waits) => f.write_str(waits),
            Self::Running => f.write_str("running"),
            Self::ShuttingDown => f.write_str("shutting down"),
            Self::Failed(reason) => write!(f, "stopped: {reason}"),
        }
    }
}
