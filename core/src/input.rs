//! What goes into a group, and what it shows of itself.

use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;
use thiserror::Error;

use crate::config::{Config, ConfigError};
use crate::founding::ClusterId;
use crate::ids::{
    Ballot, ChangeId, FetchId, GroupId, Instance, Member, NodeId, ProposalId, ReadId, SmId,
};
use crate::master::MasterAsk;
use crate::membership::Membership;
use crate::message::Message;
use crate::time::Time;
use crate::write::{Durable, Recovered, Stored};

/// Everything that can happen to a group.
#[derive(Debug)]
pub enum Input {
    /// A message came from a peer: from this node, with this memory.
    Receive {
        /// Who sent it.
        from: Member,
        /// What it says.
        message: Message,
    },
    /// A client wants a command executed.
    Propose {
        /// Names the proposal until it is resolved.
        id: ProposalId,
        /// Which state machine.
        sm: SmId,
        /// What to execute.
        command: Bytes,
        /// When to give up: the outcome is then unknown.
        deadline: Time,
    },
    /// A client wants to read.
    Read {
        /// Names the read until it is resolved.
        id: ReadId,
        /// When to give up.
        deadline: Time,
        /// How old the state may be: it contains at least everything that was acknowledged, anywhere,
        /// longer ago than that. Zero for the latest state (linearizable).
        stale: Duration,
    },
    /// A batch reached the disk; in the order taken.
    Durable(Durable),
    /// Answers an [`Outbox::fetches`](crate::Outbox) request.
    Fetched {
        /// Which request.
        id: FetchId,
        /// Entries from the asked instance on, ascending, without gaps; fewer than asked is fine.
        entries: Vec<Stored>,
    },
    /// The state machines have executed everything up to this instance.
    ///
    /// It makes room for more to be handed out ([`Config::apply_ahead_max`], in instances, and
    /// [`Config::apply_bytes_max`]) and to be cleaned, and nothing else waits for it. So one report
    /// may cover many instances and come late: every quarter of `apply_ahead_max` or so, and always
    /// when nothing is left to execute. To step one for each instance costs a good part of what the
    /// instance itself does.
    Applied(Instance),
    /// Answers [`Apply::Digest`](crate::Apply): a digest of the state of all machines after everything up
    /// to `at`; none if they give none, or are further already.
    Digested {
        /// After which instance.
        at: Instance,
        /// The digest.
        state: Option<u64>,
    },
    /// Take a checkpoint now: at what is handed out, once none is being written any more.
    Checkpoint,
    /// A peer needs a checkpoint at or above this instance, since it has lost its own: one is taken if so
    /// much is handed out here and there is none as high. Without that a peer would wait for the next one
    /// that is due, which in a group without work is never.
    CheckpointFor(Instance),
    /// The files of the checkpoint at this instance are not what was written, though the state machines
    /// are well: another one is taken in its place, at the same instance if need be.
    CheckpointLost(Instance),
    /// Answers [`Apply::Checkpoint`](crate::Apply): the checkpoint of every state machine at this
    /// instance is durable. Once the group has written that down, it starts from it, and cleans its
    /// log below it.
    Checkpointed(Instance),
    /// Answers [`Apply::Checkpoint`](crate::Apply): it did not come about. The next one may.
    CheckpointFailed(Instance),
    /// Never clean the log above this instance, until another word comes: `Instance::ZERO` pauses
    /// cleaning, `Instance::MAX` lets it go on. Not remembered across restarts.
    CleanLimit(Instance),
    /// A checkpoint of a peer is here, durable and verified, and is to replace the state below it.
    ///
    /// If that leads further the group writes it down, which is the moment from which it counts, and
    /// then hands out [`Apply::Install`](crate::Apply). Otherwise
    /// [`Event::InstallRefused`](crate::Event) says that it is of no use.
    Install {
        /// Everything up to here is in it.
        at: Instance,
        /// The group's own part of it: see [`is_checkpoint_state`](crate::is_checkpoint_state).
        state: Bytes,
    },
    /// The user asks something of this node's part in the mastership.
    Master(MasterAsk),
    /// Whether the log has room for values; it has, until it says otherwise.
    ///
    /// A log whose disk is full keeps what is left for promises, hints and cleaning. So without room
    /// a group takes no value, from whomever it comes: an `Accept` is ignored and nothing is learned,
    /// as if the messages were lost; proposals made here are refused as overloaded; a leader hands
    /// over, and the node does not run for leadership. It goes on promising and reporting what it
    /// holds, so that others can lead.
    Room(bool),
    /// A client wants another membership.
    Change {
        /// Names the change until it is resolved.
        id: ChangeId,
        /// The version that it replaces; see [`Group::history`](crate::Group::history).
        version: Instance,
        /// What is to be. A member whose incarnation is zero stands for whatever memory that node
        /// has.
        membership: Membership,
        /// When to give up: the outcome is then unknown.
        deadline: Time,
    },
    /// Hand leadership over to this node, if this node leads.
    Transfer(NodeId),
    /// Time passed. Step one at [`Group::deadline`](crate::Group::deadline).
    Tick,
}

/// Who a group is, and where it stands after its log was read.
#[derive(Clone, Debug)]
pub struct Start {
    /// The cluster, so that no membership entry of another one ever counts.
    pub cluster: ClusterId,
    /// The group.
    pub group: GroupId,
    /// This node and the memory it has of the group.
    pub me: Member,
    /// The durable count of process starts, this one included.
    pub boot: u64,
    /// The founding membership.
    pub membership: Membership,
    /// What the log gave back.
    pub recovered: Recovered,
    /// Settings.
    pub config: Config,
    /// The time now.
    pub now: Time,
}

/// Why a group cannot start.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum StartError {
    /// The settings cannot work.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// What the log gave back contradicts itself.
    #[error("the log contradicts itself at instance {0}: {1}")]
    Log(Instance, &'static str),
}

/// What a group does, for people and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Hears a leader, or waits for one.
    Follower,
    /// Asks whether it could lead.
    Canvassing,
    /// Runs phase 1.
    Preparing,
    /// Leads.
    Leader,
    /// Stopped; the reason was given as an event.
    Failed,
}

/// A snapshot of a group's state, for people and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// What this node does in the group.
    pub role: Role,
    /// Whether this node, with the memory that it has, votes in the group. One that does not learns,
    /// reads through the leader, and refuses proposals; if it should vote, a membership change has
    /// to swap it in.
    pub votes: bool,
    /// Whether this memory was a member and is not any more. It never is again: the node has to take
    /// a new one to come back.
    pub removed: bool,
    /// The version of the newest membership: the instance of its entry, zero for the founding.
    pub version: Instance,
    /// Whether a change of the membership is known here that is not complete.
    pub changing: bool,
    /// The ballot of the leader last heard, this node's own included; `Ballot::ZERO` if none is live.
    pub leader: Ballot,
    /// The promise.
    pub promised: Ballot,
    /// Every instance up to here is known chosen here.
    pub chosen: Instance,
    /// Every instance up to here was handed to the state machines.
    pub handed_out: Instance,
    /// The state machines have executed everything up to here.
    pub applied: Instance,
    /// Every instance up to here is cleaned.
    pub cleaned: Instance,
    /// Where the newest checkpoint is that is durable here; zero if there is none.
    pub checkpoint: Instance,
    /// The newest instance at which a quorum of the voters told the digests that this node has, itself
    /// counted; zero if none did since this node started. It stays behind `applied` by up to
    /// [`digest_interval`](crate::Config::digest_interval), and by more while messages are lost or
    /// peers are slow.
    pub digests_agreed: Instance,
    /// Where this node's log was found not to be that of a majority, if it was: the group has stopped
    /// here.
    pub log_differs: Option<Instance>,
    /// Where the state machines' state was found not to be that of a majority, if it was: the group
    /// votes, and executes and answers nothing here any more.
    pub diverged: Option<Instance>,
    /// Records handed out and not yet durable.
    pub writes_in_flight: u64,
    /// Proposals made here and not yet resolved.
    pub proposals: usize,
    /// Commands waiting here to be proposed, if this node leads.
    pub queued: usize,
    /// Instances proposed and not yet chosen, if this node leads.
    pub window: usize,
}
