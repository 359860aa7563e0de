//! An embeddable replicated log: Multi-Paxos with a file log and a network, for your own state
//! machine.

pub mod log;
mod machines;
pub mod marks;
#[cfg(feature = "node")]
mod node;
mod state_machine;
#[cfg(feature = "node")]
mod transport;
pub mod vfs;

pub use machines::{Executed, MachineError, Machines};
#[cfg(feature = "node")]
pub use node::{
    ChangeError, Committed, Draft, GroupHandle, GroupStatus, LinkStatus, MembershipHandle,
    MembershipView, Node, NodeBuilder, NodeError, NodeState, NodeStatus, ProposeError, ReadError,
    StartError,
};
pub use state_machine::{CheckpointError, StateMachine};
pub use synod_core::{
    Apply, Bootstrap, ClusterId, CommandKey, Config, ConfigError, GroupId, Incarnation, Instance,
    Member, Membership, NodeId, Position, ProposalId, Role, SmId, Status,
};

/// Compiles the README's example.
#[cfg(all(doctest, feature = "node"))]
#[doc = include_str!("../../README.md")]
struct Readme;
