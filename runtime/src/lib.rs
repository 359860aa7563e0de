//! An embeddable replicated log: Multi-Paxos with a file log and a network, for your own state
//! machine.

#[cfg(all(feature = "admin", unix))]
mod admin;
pub mod checkpoints;
#[cfg(any(feature = "conformance", test))]
pub mod conformance;
pub mod log;
mod machines;
pub mod marks;
#[cfg(feature = "metrics")]
mod metrics;
#[cfg(feature = "node")]
pub mod mirror;
#[cfg(feature = "node")]
mod node;
#[cfg(feature = "node")]
mod observer;
mod proposal;
mod state_machine;
#[cfg(feature = "tls")]
pub mod tls;
#[cfg(feature = "node")]
pub mod transport;
pub mod vfs;

#[cfg(all(feature = "admin", unix))]
pub use admin::ADMIN_SOCKET;
pub use machines::{Executed, Handles, MachineError, Machines};
#[cfg(feature = "metrics")]
pub use metrics::Metrics;
#[cfg(feature = "node")]
pub use node::{
    ChangeError, CheckpointPolicy, ChosenCommand, Committed, Draft, GetError, GroupHandle,
    GroupState, GroupStatus, GroupWatch, LinkStatus, MasterHandle, MasterState, MembershipHandle,
    MembershipView, Node, NodeBuilder, NodeError, NodeState, NodeStatus, Overload, ProposeError,
    ReadError, Refused, Settings, StartError, TuneError,
};
#[cfg(feature = "node")]
pub use observer::Observer;
pub use proposal::{Context, Proposal};
pub use state_machine::{Checkpoint, CheckpointError, Directory, StateMachine, Stream};
pub use synod_core::{
    Apply, Ballot, Bootstrap, ClusterId, CommandKey, Config, ConfigError, GroupId, Incarnation,
    Instance, Member, Membership, NodeId, Position, ProposalId, Role, SmId, Status, StepDown,
    TransferConfig, Tuning,
};

/// Compiles the README's example.
#[cfg(all(doctest, feature = "node"))]
#[doc = include_str!("../../README.md")]
struct Readme;
