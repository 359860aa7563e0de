//! What can go wrong, for whoever embeds a node.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use synod_core::{ConfigError, GroupId, Instance, Membership, MembershipError, NodeId, SmId};
use thiserror::Error;

use crate::MachineError;
use crate::log::RestartError;

/// Why a node did not start. Nothing was changed but what a log's recovery may do.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StartError {
    /// The builder was not told something that has no default.
    #[error("{0} is missing: set it on the builder")]
    Missing(&'static str),
    /// Node ids start at 1.
    #[error("0 is no node id: number nodes from 1")]
    ZeroId,
    /// A node is listed twice, or as its own peer.
    #[error("node {0} is listed twice")]
    PeerTwice(NodeId),
    /// More nodes are listed than can vote.
    #[error("{0} peers are more than the {max} that can vote beside this node", max = Membership::VOTERS_MAX - 1)]
    TooManyPeers(usize),
    /// A group is listed twice.
    #[error("group {0} is listed twice")]
    GroupTwice(GroupId),
    /// A cluster of one that nobody asked for might be a second one beside an existing cluster.
    #[error(
        "node {0} was given no peers: list them, \
         or found a cluster of one with `bootstrap(Bootstrap::Found)`"
    )]
    Alone(NodeId),
    /// The settings cannot work.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The cluster is too small to restart its nodes like this.
    #[error(transparent)]
    Restart(#[from] RestartError),
    /// The cluster secret is too short.
    #[error(transparent)]
    Secret(#[from] synod_proto::SecretTooShort),
    /// The TLS configuration is not this node's, or can be nobody's.
    #[cfg(feature = "tls")]
    #[error(transparent)]
    Tls(#[from] crate::tls::TlsError),
    /// A group's state machines cannot work.
    #[error("group {0}: {1}")]
    Machines(GroupId, MachineError),
    /// The address to listen at cannot be resolved or bound.
    #[error("cannot listen at {0:?}: {1}")]
    Listen(String, #[source] io::Error),
    /// The transport that the node was given did not start.
    #[error("the transport did not start: {0}")]
    Transport(#[source] io::Error),
    /// Something was set that only the built-in transport heeds, and the node was given another.
    #[error("{0} is for the built-in transport, and the node was given another: leave one out")]
    NotTcp(&'static str),
    /// The data directory cannot be opened or read; the message says what to do.
    #[error("data directory {0:?}: {1}")]
    Log(PathBuf, String),
    /// The disk of the data directory is full. Free so many bytes there, or move the directory to a larger
    /// disk, and start the node again: nothing is lost.
    #[error(
        "data directory {dir:?}: the disk is full, and the log needs at least {needed} more bytes: free \
         them, or move the directory to a larger disk, and start the node again"
    )]
    DiskFull {
        /// The data directory.
        dir: PathBuf,
        /// What the log needs, in bytes.
        needed: u64,
    },
    /// What the log gave back contradicts itself: the directory must not be used any more.
    #[error("group {0}: {1}")]
    Recovered(GroupId, String),
    /// The operating system gives no random numbers, threads or sockets.
    #[error("cannot set up the node: {0}")]
    System(#[source] io::Error),
}

/// Why a proposal was not answered with an output.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ProposeError {
    /// More is under way here or at the leader than can be finished soon. The command was not taken
    /// and never will be: try again after a while, with fewer at a time.
    #[error(
        "overloaded: more is under way than can be finished soon; try again in {retry_after:?}"
    )]
    Overloaded {
        /// From when on it is worth trying again; spread the tries of many clients around it.
        retry_after: Duration,
    },
    /// The command is larger than `Config::command_bytes_max`. It was not taken.
    #[error("a command of {bytes} bytes is above the limit of {max}: raise command_bytes_max")]
    TooLarge {
        /// The command's size.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// No state machine of the group has this id. The command was not taken.
    #[error("the group has no state machine {}", .0.0)]
    NoMachine(SmId),
    /// The [`before_propose`](crate::NodeBuilder::before_propose) hook refused the command. It was
    /// not taken.
    #[error("refused before it was proposed: {reason}")]
    Rejected {
        /// What the hook said.
        reason: Arc<str>,
    },
    /// This node's memory is not a member of the group: it was wiped, or removed. The command was
    /// not taken; propose at another node. The same on every node if the cluster was founded without
    /// the group: see [`NodeBuilder::group`](crate::NodeBuilder::group).
    #[error("this node's memory is not in the membership of the group: propose at another node")]
    NotMember,
    /// The cluster has not formed within the time given. The command was not taken.
    #[error("the cluster has not formed yet: {0}")]
    Forming(String),
    /// The time given has passed. The command may still be executed, once, or never. Mostly no
    /// quorum of the group could be reached: see the status of the nodes.
    #[error("no answer in time: the command may still be executed, once, or never")]
    Unknown,
    /// The command was executed, once, and its output is not known here: this node was too far behind
    /// for the log and went on from a checkpoint that the command is part of. Do not propose it again;
    /// read what it did.
    #[error(
        "executed, but this node got it within a checkpoint and has no output: read what it did"
    )]
    OutputLost {
        /// The command stands at or below this instance.
        by: Instance,
    },
    /// The node is being shut down. A command that it had taken may still be executed, once.
    #[error("the node is shutting down: the command may still be executed, once, or never")]
    ShuttingDown,
    /// The group or node has stopped here; the status says the same. A command that it had taken may
    /// still be executed by the other nodes, once.
    #[error("stopped: {reason}")]
    Failed {
        /// Why.
        reason: Arc<str>,
    },
}

/// Why a read was not answered. A read changes nothing, so it can always be tried again.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ReadError {
    /// Too many reads wait here: try again after a while, with fewer at a time.
    #[error("overloaded: too many reads wait; try again later")]
    Overloaded,
    /// No state machine of the group has this id.
    #[error("the group has no state machine {}", .0.0)]
    NoMachine(SmId),
    /// This node's memory is not a member of the group: read at another node.
    #[error("this node's memory is not in the membership of the group: read at another node")]
    NotMember,
    /// The cluster has not formed within the time given.
    #[error("the cluster has not formed yet: {0}")]
    Forming(String),
    /// No leader was confirmed by a quorum within the time given.
    #[error("no quorum confirmed a leader in time")]
    TimedOut,
    /// The node is being shut down.
    #[error("the node is shutting down")]
    ShuttingDown,
    /// The group or node has stopped here; the status says the same.
    #[error("stopped: {reason}")]
    Failed {
        /// Why.
        reason: Arc<str>,
    },
}

/// Why the membership was not changed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ChangeError {
    /// What is asked for is no membership.
    #[error(transparent)]
    Membership(#[from] MembershipError),
    /// The membership is of another version than the change was made for: somebody else has changed
    /// it. Nothing was done; look at it, and ask again if the change is still wanted.
    #[error(
        "the membership has version {version} and not the one that the change was made for: look at \
         it and ask again"
    )]
    VersionConflict {
        /// The version now.
        version: Instance,
    },
    /// The node is no member.
    #[error("node {0} is no member")]
    NoMember(NodeId),
    /// The node is a member already.
    #[error("node {0} is a member already")]
    IsMember(NodeId),
    /// The node's memory was a member before. A memory that has left never comes back: start the node
    /// on an empty directory, or with `Restart::Rejoin`.
    #[error("node {0} has left the group with the memory it has: start it on an empty directory")]
    HasLeft(NodeId),
    /// Too many changes wait here: one at a time is made.
    #[error("overloaded: too many changes wait; try again later")]
    Overloaded,
    /// The cluster has not formed within the time given. Nothing was done.
    #[error("the cluster has not formed yet: {0}")]
    Forming(String),
    /// The time given has passed. The change may still be made, once, or never: look at the
    /// membership. If a node is named, the leader waits for that one's log: see whether it runs and
    /// can be reached at its address.
    #[error("not made in time, and may still be: {}", awaited(*waits_for))]
    Unknown {
        /// Whose log the leader waits for; none if it said nothing, or another change comes first.
        waits_for: Option<NodeId>,
    },
    /// The node is being shut down. The change may still be made.
    #[error("the node is shutting down: the change may still be made")]
    ShuttingDown,
    /// The group or node has stopped here; ask another node.
    #[error("stopped: {reason}")]
    Failed {
        /// Why.
        reason: Arc<str>,
    },
}

impl From<ProposeError> for ChangeError {
    fn from(error: ProposeError) -> Self {
        match error {
            ProposeError::Overloaded { retry_after: _ } => Self::Overloaded,
            ProposeError::Forming(waits) => Self::Forming(waits),
            ProposeError::ShuttingDown => Self::ShuttingDown,
            ProposeError::Failed { reason } => Self::Failed { reason },
            ProposeError::TooLarge { .. }
            | ProposeError::NoMachine(_)
            | ProposeError::Rejected { .. }
            | ProposeError::NotMember
            | ProposeError::OutputLost { .. }
            | ProposeError::Unknown => Self::Unknown { waits_for: None },
        }
    }
}

impl From<NodeError> for ChangeError {
    fn from(error: NodeError) -> Self {
        match error {
            NodeError::Overloaded => Self::Overloaded,
            NodeError::ShuttingDown => Self::ShuttingDown,
            NodeError::Failed { reason } => Self::Failed { reason },
            NodeError::NoGroup(_)
            | NodeError::TimedOut
            | NodeError::NotLeader(_)
            | NodeError::NoCheckpoint { .. } => Self::Unknown { waits_for: None },
        }
    }
}

/// Why the answer to a request other than a proposal or read is missing.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NodeError {
    /// The node has no such group.
    #[error("the node has no group {0}")]
    NoGroup(GroupId),
    /// It did not happen within the time given.
    #[error("not within the time given")]
    TimedOut,
    /// This node does not lead the group, so it cannot hand over: ask the leader.
    #[error("this node does not lead the group: {}", leader(*.0))]
    NotLeader(Option<NodeId>),
    /// The checkpoint did not come about: a machine has none, or it could not be written.
    #[error("no checkpoint at {at}: {reason}")]
    NoCheckpoint {
        /// Where it would be.
        at: Instance,
        /// Why not.
        reason: Arc<str>,
    },
    /// Too many requests wait: try again later.
    #[error("overloaded: too many requests wait; try again later")]
    Overloaded,
    /// The node is shutting down, or has.
    #[error("the node is shutting down")]
    ShuttingDown,
    /// The node or group has stopped.
    #[error("stopped: {reason}")]
    Failed {
        /// Why.
        reason: Arc<str>,
    },
}

fn awaited(node: Option<NodeId>) -> String {
    node.map_or_else(
        || "no leader said what it waits for".to_owned(),
        |node| format!("the leader waits until the disk of node {node} holds the log"),
    )
}

fn leader(leader: Option<NodeId>) -> String {
    leader.map_or_else(
        || "nobody does, as far as it knows".to_owned(),
        |node| format!("ask node {node}, which does"),
    )
}
