//! Multi-Paxos for one group on one node, as a pure state machine.
//!
//! Messages, time and disk completions go in; an [`Outbox`] of messages to send, records to write
//! and commands to execute comes out. There is no I/O, clock, thread or hidden randomness, so the
//! same code runs in production and, seeded, in the simulator.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

#[macro_use]
pub mod marks;

mod acceptor;
mod asking;
mod checkpoints;
mod clocks;
mod code;
mod config;
mod digests;
mod election;
mod entries;
mod env;
mod executor;
mod fetches;
mod forming;
mod founding;
mod group;
mod ids;
mod input;
mod journal;
mod learner;
mod lease;
mod master;
mod membership;
mod mender;
mod message;
mod origin;
mod outbox;
mod proposer;
mod reads;
mod recall;
mod sessions;
mod show;
mod snapshot;
#[cfg(test)]
mod testing;
mod time;
mod transfer;
mod tuning;
mod value;
mod write;

pub use config::{Config, ConfigError};
pub use forming::{
    Bootstrap, Forming, FormingConflict, FormingInput, FormingOutbox, FormingStart, FormingState,
};
pub use founding::{ClusterId, Founder, Founding, FoundingMessage};
pub use group::{ChosenAt, Group, Usage, Wanted};
pub use ids::{
    Ballot, ChangeId, FetchId, GroupId, Incarnation, Instance, Member, NodeId, Position,
    ProposalId, ReadId, SmId, WriteSeq,
};
pub use input::{Input, Role, Start, StartError, Status};
pub use master::{Holder, Master, MasterAsk, Mastership};
pub use membership::{History, Membership, MembershipEntry, MembershipError, VoterSet};
pub use message::{Gate, Message, Promise, Report, Reported};
pub use outbox::{
    Apply, ChangeRefusal, Event, Fetch, Outbox, Outcome, ReadRefusal, Refusal, StepDown,
};
pub use sessions::SESSION_WINDOW;
pub use snapshot::is_checkpoint_state;
pub use time::Time;
pub use transfer::{
    CheckpointId, FILES_MAX, MANIFEST_BYTES_MAX, Manifest, ManifestFile, Receiver, ReceiverAction,
    Sender, SenderAction, TransferConfig, TransferMessage,
};
pub use tuning::Tuning;
pub use value::{
    COMMAND_OVERHEAD, Command, CommandKey, Commands, VALUE_OVERHEAD, Value, ValueError, ValueKind,
    ValueWriter,
};
pub use write::{Durable, Record, Recovered, Stored, WriteBatch};
