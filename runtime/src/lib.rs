//! An embeddable replicated log: Multi-Paxos with a file log and a network, for your own state
//! machine.

pub mod checkpoints;
pub mod log;
mod machines;
pub mod marks;
#[cfg(feature = "node")]
mod node;
mod state_machine;
#[cfg(feature = "node")]
mod transport;
pub mod vfs;

pub use machines::{Executed, Handles, MachineError, Machines};
#[cfg(feature = "node")]
pub use node::{
    CheckpointPolicy, Committed, GroupHandle, GroupStatus, LinkStatus, Node, NodeBuilder,
    NodeError, NodeState, NodeStatus, ProposeError, ReadError, StartError,
};
pub use state_machine::{Checkpoint, CheckpointError, Directory, StateMachine, Stream};
pub use synod_core::{
    Apply, Bootstrap, ClusterId, CommandKey, Config, ConfigError, GroupId, Instance, NodeId,
    Position, ProposalId, Role, SmId, Status, TransferConfig,
};

/// Compiles the README's example.
#[cfg(all(doctest, feature = "node"))]
#[doc = include_str!("../../README.md")]
struct Readme;
