//! What nodes say to each other about one group, and which of it waits for the disk.
//!
//! | message | from → to | says |
//! | --- | --- | --- |
//! | [`Canvass`](Message::Canvass) | would-be candidate → voters | would you promise me this ballot? |
//! | [`CanvassReply`](Message::CanvassReply) | voter → asker | yes, or no and who leads |
//! | [`Prepare`](Message::Prepare) | candidate → voters | phase 1a, for all instances from one on |
//! | [`Promise`](Message::Promise) | acceptor → candidate | phase 1b, a page of what it accepted |
//! | [`Behind`](Message::Behind) | acceptor → candidate | those instances are cleaned here |
//! | [`Nack`](Message::Nack) | acceptor → proposer | that ballot is below my promise |
//! | [`Accept`](Message::Accept) | leader → acceptors | phase 2a |
//! | [`Accepted`](Message::Accepted) | acceptor → leader | phase 2b, for a range |
//! | [`Heartbeat`](Message::Heartbeat) | leader → all | I lead; this much is chosen |
//! | [`HeartbeatAck`](Message::HeartbeatAck) | member → leader | I have promised nobody higher |
//! | [`Learn`](Message::Learn) / [`Learned`](Message::Learned) | learner ↔ anyone | chosen values |
//! | [`Voted`](Message::Voted) | voter → who lost a chosen value | what I accepted there |
//! | [`Forward`](Message::Forward) / [`Refused`](Message::Refused) | origin ↔ leader | proposals |
//! | [`ReadIndex`](Message::ReadIndex) / [`ReadPoint`](Message::ReadPoint) | reader ↔ leader | up to where to apply before reading |
//! | [`Lease`](Message::Lease) / [`Granted`](Message::Granted) | leader ↔ voters | refuse other ballots for so long |
//! | [`Release`](Message::Release) | former leader → all | its lease is over |
//! | [`Transfer`](Message::Transfer) | leader → successor | take over now |
//! | [`Hold`](Message::Hold) / [`Held`](Message::Held) | leader ↔ anyone | how much of the log is on your disk? |
//! | [`Digest`](Message::Digest) | anyone → all | what my log and state are |
//! | [`Change`](Message::Change) / [`Waits`](Message::Waits) | asker ↔ leader, leader → members | a membership to be |

use alloc::vec::Vec;
use core::time::Duration;

use crate::ids::{Ballot, Instance, NodeId};
use crate::value::{CommandKey, Value};

/// A message between two nodes about one group. Who sent it stands beside it, not in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Asks, before phase 1, whether a voter would promise `ballot`. Changes nothing at the voter.
    Canvass {
        /// The ballot that the asker would run for.
        ballot: Ballot,
    },
    /// Answers a [`Canvass`](Self::Canvass).
    CanvassReply {
        /// The ballot asked about.
        ballot: Ballot,
        /// Whether the voter would promise it: it hears no live leader, and has promised none higher.
        granted: bool,
        /// The voter's promise, so that the asker can ask higher.
        promised: Ballot,
        /// The voter's chosen prefix, so that the asker can catch up from it.
        chosen: Instance,
    },
    /// Phase 1a, for every instance from `from` on; or the request for a further page of a promise.
    Prepare {
        /// The candidate's ballot.
        ballot: Ballot,
        /// The first instance asked about.
        from: Instance,
    },
    /// Phase 1b: what this acceptor has accepted in `from..=to`. See [`Promise`].
    Promise(Promise),
    /// The acceptor has cleaned instances at or above the asked one, so it has nothing to report
    /// about them: the candidate has to catch up first, and must not take silence for emptiness.
    Behind {
        /// The ballot asked about.
        ballot: Ballot,
        /// Every instance up to here is cleaned, durably.
        cleaned: Instance,
    },
    /// The acceptor has promised a higher ballot. Only a hint: giving up a ballot is always safe.
    Nack {
        /// The ballot refused.
        ballot: Ballot,
        /// The acceptor's promise.
        promised: Ballot,
    },
    /// Phase 2a.
    Accept {
        /// The leader's ballot.
        ballot: Ballot,
        /// The instance that the value is for.
        instance: Instance,
        /// The value.
        value: Value,
        /// The leader's chosen prefix.
        chosen: Instance,
    },
    /// Phase 2b, for every instance in `first..=last`.
    Accepted {
        /// The ballot accepted in.
        ballot: Ballot,
        /// The lowest instance voted for.
        first: Instance,
        /// The highest instance voted for.
        last: Instance,
    },
    /// The leader is alive. A probe that a quorum acknowledges also confirms the reads that were
    /// waiting when it left.
    Heartbeat {
        /// The leader's ballot.
        ballot: Ballot,
        /// Counts the leader's probes, from 1; 0 asks for no answer (what is chosen is told at once).
        probe: u64,
        /// The leader's chosen prefix.
        chosen: Instance,
    },
    /// Answers a [`Heartbeat`](Self::Heartbeat) whose ballot is not below the promise.
    HeartbeatAck {
        /// The leader's ballot.
        ballot: Ballot,
        /// The probe answered; 0 answers none (an `Accept` for an instance already chosen here).
        probe: u64,
        /// The chosen prefix here.
        chosen: Instance,
    },
    /// Asks how much of the log a node holds, and says how much there is to learn. Anybody may be
    /// asked, who is no member yet above all, and anybody may ask: it is a hint whom to learn from.
    Hold {
        /// The asker's ballot.
        ballot: Ballot,
        /// The asker's chosen prefix.
        chosen: Instance,
    },
    /// How much of the log this node's disk holds. No vote: it says nothing about ballots.
    Held {
        /// The ballot of the leader that it is for.
        ballot: Ballot,
        /// Every instance up to here is chosen, and durable here.
        held: Instance,
    },
    /// What the sender has executed, as digests: to find out whether all have the same.
    Digest {
        /// After which instance.
        at: Instance,
        /// Of all values up to there.
        log: u64,
        /// Of the state machines' state there, if they give one.
        state: Option<u64>,
    },
    /// Asks the leader to change the membership; and from the leader, with its ballot, tells the members
    /// of nodes that are to join them: whoever carries the messages learns from it where those are.
    Change {
        /// Which leadership is to do it; another one ignores it.
        ballot: Ballot,
        /// The entry to be; members may be without a memory.
        entry: Value,
    },
    /// The leader has not made the change yet, and says what it waits for.
    Waits {
        /// Which change.
        key: CommandKey,
        /// Whose log is too far behind, or who does not answer; none if another change comes first.
        on: Option<NodeId>,
    },
    /// Asks for chosen values.
    Learn {
        /// The first instance wanted.
        from: Instance,
        /// The asker knows that an instance so far is chosen, and its disk lost the value: where it is
        /// not known to be chosen, a vote helps too.
        lost: bool,
    },
    /// Answers a [`Learn`](Self::Learn) of a lost value where the instance is not known to be chosen:
    /// what this acceptor accepted there last.
    Voted {
        /// The instance asked about.
        instance: Instance,
        /// The ballot accepted in.
        ballot: Ballot,
        /// The value accepted.
        value: Value,
    },
    /// Chosen values, without gaps. No values means that none are to be had here now.
    Learned {
        /// The instance of the first value.
        from: Instance,
        /// The values of `from` and the instances above it.
        values: Vec<Value>,
        /// The chosen prefix here.
        chosen: Instance,
        /// Every instance up to here is cleaned here.
        cleaned: Instance,
    },
    /// Commands for the leader to propose, laid out as a value. Another leadership than the named
    /// one ignores them, the same node's later one included: a command that one leadership refused
    /// was resolved as refused, and a late copy must not bring it to life.
    Forward {
        /// Which leadership is to take them.
        ballot: Ballot,
        /// Another leadership had them before, so their origin takes no refusal as final, and what
        /// was refused once may be taken later.
        spread: bool,
        /// The commands.
        commands: Value,
    },
    /// The leader did not take these forwarded commands, and never will in this ballot.
    Refused {
        /// The leader's ballot.
        ballot: Ballot,
        /// Which commands.
        keys: Vec<CommandKey>,
    },
    /// Asks the leader up to where a linearizable read must have applied.
    ReadIndex {
        /// Counts the asker's questions, from 1.
        round: u64,
    },
    /// Answers a [`ReadIndex`](Self::ReadIndex), after a quorum confirmed the leader.
    ReadPoint {
        /// The question answered.
        round: u64,
        /// Reads of that question must see every instance up to here.
        instance: Instance,
    },
    /// Asks a voter to refuse other ballots for so long.
    Lease {
        /// The leader's ballot.
        ballot: Ballot,
        /// Counts the leader's questions, from 1.
        question: u64,
        /// For how long, by the voter's clock and a little more.
        length: Duration,
    },
    /// Answers a [`Lease`](Self::Lease) whose ballot is the voter's promise: it does.
    Granted {
        /// The leader's ballot.
        ballot: Ballot,
        /// The question answered.
        question: u64,
    },
    /// The leader of `ballot` acts and reads in it no more (I3): nobody needs to refuse others for it.
    Release {
        /// The ballot released.
        ballot: Ballot,
    },
    /// The leader of `ballot` has released it and will not act in it again (I3): run for leader now.
    Transfer {
        /// The ballot released.
        ballot: Ballot,
    },
}

/// Phase 1b: one page of an acceptor's report.
///
/// Paged by the candidate, which asks for the next page with another `Prepare` of the same ballot;
/// the acceptor keeps no state for it. That is sound because, once it promised `ballot`, what it
/// accepted below that ballot no longer changes. Paxos Made Simple §3 (phase 1 for all instances).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Promise {
    /// The ballot promised.
    pub ballot: Ballot,
    /// The first instance of this page.
    pub from: Instance,
    /// The last instance of this page; [`Instance::MAX`] on the last page. Instances in between that
    /// `entries` does not name hold nothing here.
    pub to: Instance,
    /// The chosen prefix here. It is durable when the promise leaves, like all that was written before:
    /// a promise counts for a membership only if it lies at or above the entry that began it (I6).
    pub chosen: Instance,
    /// Ascending, no instance twice, all within the page.
    pub entries: Vec<Reported>,
}

/// What a [`Promise`] says about one instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reported {
    /// The instance.
    pub instance: Instance,
    /// What the acceptor holds there.
    pub entry: Report,
}

/// What an acceptor holds at an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// It accepted this value in this ballot, last.
    Accepted(Ballot, Value),
    /// It may have accepted a value in this ballot, and its disk no longer gives the value.
    Lost(Ballot),
    /// It knows that this value is chosen.
    Chosen(Value),
}

/// When a message may leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// At once.
    Now,
    /// When every record written so far is durable.
    Durable,
}

impl Message {
    /// What kind of message this is, in a word, for metrics and traces.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Canvass { .. } => "canvass",
            Self::CanvassReply { .. } => "canvass_reply",
            Self::Prepare { .. } => "prepare",
            Self::Promise(_) => "promise",
            Self::Behind { .. } => "behind",
            Self::Nack { .. } => "nack",
            Self::Accept { .. } => "accept",
            Self::Accepted { .. } => "accepted",
            Self::Heartbeat { .. } => "heartbeat",
            Self::HeartbeatAck { .. } => "heartbeat_ack",
            Self::Hold { .. } => "hold",
            Self::Held { .. } => "held",
            Self::Digest { .. } => "digest",
            Self::Change { .. } => "change",
            Self::Waits { .. } => "waits",
            Self::Learn { .. } => "learn",
            Self::Learned { .. } => "learned",
            Self::Voted { .. } => "voted",
            Self::Forward { .. } => "forward",
            Self::Refused { .. } => "refused",
            Self::ReadIndex { .. } => "read_index",
            Self::ReadPoint { .. } => "read_point",
            Self::Lease { .. } => "lease",
            Self::Granted { .. } => "granted",
            Self::Release { .. } => "release",
            Self::Transfer { .. } => "transfer",
        }
    }

    /// Which messages wait for the disk (I1).
    ///
    /// A statement about our disk waits: `Promise` and `Accepted` vouch for what they name, and
    /// `Prepare` vouches that we shall not take the same ballot again after a restart
    /// (Paxos Made Simple §2.5: the proposer remembers in stable storage the highest number tried).
    /// `Granted` vouches that a restart remembers for how long it may have to refuse others.
    ///
    /// The rest does not. `Accept` may travel while our own copy is being written, since our own
    /// vote is an `Accepted` like any other. `HeartbeatAck` says only that nothing higher is
    /// promised *now*, and promises nothing for later; a promise that a crash undoes was never
    /// sent. What is chosen is held by a quorum of disks already, and `Voted` is said about nothing
    /// else. There is no wildcard: a new message has to choose.
    #[must_use]
    pub const fn gate(&self) -> Gate {
        match self {
            // `Held` names only what is durable already.
            Self::Prepare { .. }
            | Self::Promise(_)
            | Self::Accepted { .. }
            | Self::Granted { .. } => Gate::Durable,
            Self::Canvass { .. }
            | Self::CanvassReply { .. }
            | Self::Behind { .. }
            | Self::Nack { .. }
            | Self::Accept { .. }
            | Self::Heartbeat { .. }
            | Self::HeartbeatAck { .. }
            | Self::Learn { .. }
            | Self::Learned { .. }
            | Self::Voted { .. }
            | Self::Forward { .. }
            | Self::Refused { .. }
            | Self::ReadIndex { .. }
            | Self::ReadPoint { .. }
            | Self::Lease { .. }
            | Self::Release { .. }
            | Self::Hold { .. }
            | Self::Held { .. }
            | Self::Digest { .. }
            | Self::Change { .. }
            | Self::Waits { .. }
            | Self::Transfer { .. } => Gate::Now,
        }
    }

    /// Bytes of values that the message carries: what queues of messages are bounded by.
    #[must_use]
    pub fn value_bytes(&self) -> usize {
        match self {
            Self::Accept { value, .. } | Self::Voted { value, .. } => value.len(),
            Self::Forward { commands, .. } => commands.len(),
            Self::Change { entry, .. } => entry.len(),
            Self::Learned { values, .. } => values.iter().map(Value::len).sum(),
            Self::Promise(promise) => promise.entries.iter().map(|e| e.entry.value_bytes()).sum(),
            Self::Canvass { .. }
            | Self::CanvassReply { .. }
            | Self::Prepare { .. }
            | Self::Behind { .. }
            | Self::Nack { .. }
            | Self::Accepted { .. }
            | Self::Heartbeat { .. }
            | Self::HeartbeatAck { .. }
            | Self::Learn { .. }
            | Self::Refused { .. }
            | Self::ReadIndex { .. }
            | Self::ReadPoint { .. }
            | Self::Lease { .. }
            | Self::Granted { .. }
            | Self::Release { .. }
            | Self::Hold { .. }
            | Self::Held { .. }
            | Self::Digest { .. }
            | Self::Waits { .. }
            | Self::Transfer { .. } => 0,
        }
    }
}

impl Report {
    fn value_bytes(&self) -> usize {
        match self {
            Self::Accepted(_, value) | Self::Chosen(value) => value.len(),
            Self::Lost(_) => 0,
        }
    }
}
