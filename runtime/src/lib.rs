//! An embeddable replicated log: Multi-Paxos with a file log and a network, for your own state
//! machine.

pub mod log;
mod machines;
mod state_machine;
pub mod vfs;

pub use machines::{Executed, MachineError, Machines};
pub use state_machine::{CheckpointError, StateMachine};
pub use synod_core::{
    Apply, CommandKey, Config, ConfigError, GroupId, Instance, NodeId, Position, ProposalId, SmId,
};
