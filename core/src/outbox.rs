//! What a group wants done.

use alloc::vec::Vec;

use bytes::Bytes;

use crate::ids::{
    Ballot, ChangeId, FetchId, Instance, Member, NodeId, Position, ProposalId, ReadId, SmId,
};
use crate::message::Message;
use crate::value::CommandKey;
use crate::write::WriteBatch;

/// Caller-owned and reused from step to step. All of it may be acted on at once, in any order
/// between the queues and in the given order within each: whatever had to wait for the disk was
/// withheld until now.
#[derive(Debug, Default)]
pub struct Outbox {
    /// To send, each to a node's member of this group.
    pub messages: Vec<(NodeId, Message)>,
    /// To execute, ascending by position, each command once.
    pub applies: Vec<Apply>,
    /// Proposals and reads that were resolved without executing anything.
    pub outcomes: Vec<Outcome>,
    /// Older log entries to read from disk; answer with [`Input::Fetched`](crate::Input::Fetched).
    pub fetches: Vec<Fetch>,
    /// What changed, for logs, metrics and status. Nothing depends on reading it.
    pub events: Vec<Event>,
    pub(crate) writes: Option<WriteBatch>,
}

impl Outbox {
    /// What to write to disk next. Batches may queue up; write them in the order taken.
    #[must_use = "the group falls silent until the batch is durable"]
    pub fn take_writes(&mut self) -> Option<WriteBatch> {
        self.writes.take()
    }

    /// Whether a batch waits in [`take_writes`](Self::take_writes).
    #[must_use]
    pub const fn has_writes(&self) -> bool {
        self.writes.is_some()
    }

    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
            && self.applies.is_empty()
            && self.outcomes.is_empty()
            && self.fetches.is_empty()
            && self.events.is_empty()
            && self.writes.is_none()
    }
}

/// What to hand to the state machines next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Apply {
    /// A command to execute, for the first time in this process life. A state machine that keeps its
    /// own state across restarts skips positions that it has already executed.
    Command {
        /// Where it stands in the order of execution.
        position: Position,
        /// Which command.
        key: CommandKey,
        /// Which state machine executes it.
        sm: SmId,
        /// What it executes; shares the bytes of the log entry.
        payload: Bytes,
        /// The proposal to resolve with the result, if it was made here and still waits.
        proposal: Option<ProposalId>,
    },
    /// Every command up to and including this instance has been handed out. Answer with
    /// [`Input::Applied`](crate::Input::Applied) once they are executed; one answer for several of
    /// these is enough.
    Through(Instance),
    /// The state machines are to be digested as they are when they come to this: every command up to and
    /// including this instance was handed out before, and none above it. Answer with
    /// [`Input::Digested`](crate::Input).
    Digest(Instance),
    /// A checkpoint is to be taken of the state machines as they are when they come to this: every
    /// command up to and including this instance was handed out before, and none above it. Answer
    /// with [`Input::Checkpointed`](crate::Input) when it is durable, or
    /// [`Input::CheckpointFailed`](crate::Input); executing goes on meanwhile.
    Checkpoint {
        /// At which instance.
        at: Instance,
        /// The group's own state there, for peers that are sent the checkpoint.
        state: Bytes,
    },
    /// The state machines are to go on from the checkpoint at this instance that
    /// [`Input::Install`](crate::Input) named. Answer with [`Input::Applied`](crate::Input).
    Install(Instance),
}

/// How a proposal or read ended without an execution here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The proposal was not accepted and never will be; safe to retry.
    Refused(ProposalId, Refusal),
    /// The deadline passed. The command may still be executed, once, or never.
    Unknown(ProposalId),
    /// The command was executed, once, at or below this instance, and not here: this node was too far
    /// behind and got a checkpoint in its place. What the command gave is not known.
    Executed(ProposalId, Instance),
    /// The read may be served from a state machine that has applied this instance.
    ReadAt(ReadId, Instance),
    /// The read's deadline passed, or too many wait (`Overloaded`).
    ReadFailed(ReadId, ReadRefusal),
    /// The membership was changed, by the entry at this instance, and the change is complete.
    Changed(ChangeId, Instance),
    /// The membership was not changed and never will be by this request.
    ChangeRefused(ChangeId, ChangeRefusal),
    /// The deadline passed. The change may still be made, once, or never. The leader waited for this
    /// node's log last, if it said so.
    ChangeUnknown(ChangeId, Option<NodeId>),
}

/// Why the membership was not changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeRefusal {
    /// The membership is of this version, another one than the request was made for. Look at it, and
    /// ask again if the change is still wanted.
    VersionConflict(Instance),
    /// This node's memory was a member before and has left; it needs a new one to come back.
    HasLeft(NodeId),
    /// Too many changes wait at this node.
    Overloaded,
    /// The group is in its fatal state here.
    Failed,
}

/// Why a proposal was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A queue here or at the leader is at its limit.
    Overloaded,
    /// The command is larger than [`Config::command_bytes_max`](crate::Config::command_bytes_max).
    TooLarge,
    /// This node's memory is not (or no longer) a member of the group.
    NotMember,
    /// The group is in its fatal state here.
    Failed,
}

/// Why a read was not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadRefusal {
    /// Too many reads wait already.
    Overloaded,
    /// The deadline passed before a quorum confirmed a leader.
    TimedOut,
    /// This node was removed from the membership: nobody here answers it any more.
    NotMember,
    /// The group is in its fatal state here.
    Failed,
}

/// A request for chosen entries that are no longer in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fetch {
    /// Names the request.
    pub id: FetchId,
    /// The first instance wanted.
    pub from: Instance,
    /// The last instance wanted; answering fewer, from the front, is allowed.
    pub to: Instance,
    /// Stop after the value that reaches this many bytes.
    pub bytes_max: usize,
}

/// Something that happened inside the group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// This node would like to lead and asks around.
    Canvassing(Ballot),
    /// This node runs phase 1.
    Preparing(Ballot),
    /// This node leads; its phase 1 is done.
    Leading(Ballot),
    /// This node no longer leads in this ballot.
    SteppedDown(Ballot, StepDown),
    /// A leader was heard, other than the last one.
    Following(Ballot),
    /// Every instance up to here is known chosen here.
    Chosen(Instance),
    /// A peer was found too far behind to be sent accepts; it catches up by learning.
    PeerLearns(Member),
    /// The disk no longer gives the values of these instances, which are chosen and still have to be
    /// executed: peers are asked for them.
    ValuesLost(Instance, Instance),
    /// The checkpoint at this instance is durable, and the group would start from it.
    Checkpointed(Instance),
    /// The log is cleaned up to here.
    Cleaned(Instance),
    /// A peer's checkpoint at this instance counts now; the state machines are to take it over.
    Installed(Instance),
    /// A checkpoint at this instance was offered for installation and is of no use: this node is as
    /// far without it, or it makes no sense.
    InstallRefused(Instance),
    /// Somebody else holds the mastership, or nobody does, since this instance. A lease that runs out is
    /// no event: look at [`Group::master`](crate::Group::master).
    Master(Option<Member>, Instance),
    /// A membership entry is chosen at this instance: it decides what comes above.
    MembershipChosen(Instance),
    /// The change of the membership at this instance is complete: who left it may stop.
    MembershipChanged(Instance),
    /// This node's memory is no member any more.
    Removed(Instance),
    /// This node had another log or state at this instance than we. If a majority is on its side, more
    /// follows; else nobody can tell who is wrong.
    DigestsDiffer(NodeId, Instance),
    /// The state machines' state at this instance is not that of a majority: the machines are not
    /// deterministic, or something changed memory. The group executes and answers nothing here any
    /// more, and votes on.
    Diverged(Instance),
    /// The group has stopped here, for this reason; other groups go on.
    Failed(&'static str, Instance),
}

/// Why a leader stopped leading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepDown {
    /// A higher ballot is promised somewhere.
    Outbid,
    /// No quorum has answered for an election timeout.
    NoQuorum,
    /// Its own disk has not finished a write for an election timeout.
    DiskStalled,
    /// This node's disk is full, so it can propose nothing.
    DiskFull,
    /// It handed over.
    Transferred,
    /// The membership that it completed has no vote for it.
    Removed,
    /// It learned a value that it had not proposed in its own window (I5).
    Deposed,
}
