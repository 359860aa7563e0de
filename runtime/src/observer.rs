//! What a node tells whoever watches it, event by event.

use std::time::Duration;

use synod_core::{Ballot, GroupId, Instance, NodeId, Position, SmId, StepDown};

/// Hears what happens in a node and its groups; every method does nothing by default. Given to
/// [`NodeBuilder::observer`](crate::NodeBuilder::observer).
///
/// The methods are called on a thread of their own, one call after the other, in the order in which
/// things happened as far as one thread of the node saw them. So they may take their time: a slow
/// observer delays no vote and no answer. Between it and the node lies a queue of 65,536 events; what
/// does not fit is dropped and counted ([`missed`](Self::missed)). A panic ends the observing and
/// nothing else.
///
/// Nothing in the node depends on an observer. For numbers rather than events see the feature
/// `metrics`, which costs less and misses nothing. `docs/observer.md` says which method answers to
/// which of PhxPaxos's hooks.
#[expect(unused_variables, reason = "defaults that do nothing")]
pub trait Observer: Send + 'static {
    /// A proposal was taken here: its size.
    fn proposed(&self, group: GroupId, sm: SmId, bytes: usize) {}
    /// A proposal made here was chosen and executed: where, and how long that took from the call.
    fn committed(&self, group: GroupId, at: Position, took: Duration) {}
    /// A proposal made here ended with this error, in the words that the proposer was told. It was not
    /// taken and never will be executed, unless the group or the node stopped here with it under way:
    /// then, with [`Failed`](crate::ProposeError::Failed) or
    /// [`ShuttingDown`](crate::ProposeError::ShuttingDown), the others may still execute it, once.
    fn refused(&self, group: GroupId, why: &str) {}
    /// A proposal made here ended after this time without an output: it passed its deadline, and may be
    /// executed or not ([`Unknown`](crate::ProposeError::Unknown)), or it was executed and only its
    /// output is not known here ([`OutputLost`](crate::ProposeError::OutputLost)).
    fn unknown(&self, group: GroupId, after: Duration) {}

    /// This node asks around whether it could lead.
    fn canvassing(&self, group: GroupId, ballot: Ballot) {}
    /// This node runs phase 1.
    fn preparing(&self, group: GroupId, ballot: Ballot) {}
    /// This node leads; how long phase 1 took.
    fn leading(&self, group: GroupId, ballot: Ballot, took: Duration) {}
    /// This node no longer leads, and why; how long it led.
    fn stepped_down(&self, group: GroupId, ballot: Ballot, why: StepDown, led: Duration) {}
    /// Another leader is heard than before.
    fn following(&self, group: GroupId, ballot: Ballot) {}

    /// Every instance up to this one is known chosen here.
    fn chosen(&self, group: GroupId, up_to: Instance) {}
    /// The state machines have executed everything up to this instance. Told now and then, not for
    /// each.
    fn applied(&self, group: GroupId, up_to: Instance) {}
    /// A peer is so far behind that it is not sent accepts: it catches up by learning.
    fn peer_learns(&self, group: GroupId, peer: NodeId) {}
    /// The disk no longer gives these chosen values, which have to be executed: peers are asked.
    fn values_lost(&self, group: GroupId, first: Instance, last: Instance) {}
    /// A peer had another log or state at this instance than this node. If a majority is on its side,
    /// more follows; else nobody can tell who is wrong.
    fn digests_differ(&self, group: GroupId, peer: NodeId, at: Instance) {}
    /// The state at this instance is not that of a majority: the group executes and answers nothing on
    /// this node any more, and votes on.
    fn diverged(&self, group: GroupId, at: Instance) {}
    /// Older entries were read from disk for a peer or the state machines: from where, how many.
    fn fetched(&self, group: GroupId, from: Instance, entries: usize) {}
    /// A checkpoint at this instance is durable here, taken by this node or got from a peer: a restart
    /// begins with it, and the log below may be cleaned.
    fn checkpointed(&self, group: GroupId, at: Instance) {}
    /// A checkpoint at this instance did not come about, and why: a machine that offers none, or a disk
    /// that did not take it. The log is kept, and the next one is tried when it is due.
    fn checkpoint_failed(&self, group: GroupId, at: Instance, why: &str) {}
    /// This node was too far behind for the logs of the others, and goes on from a peer's checkpoint at
    /// this instance. The machines load it next, and [`checkpointed`](Self::checkpointed) follows when
    /// a restart would begin with it.
    fn installed(&self, group: GroupId, at: Instance) {}

    /// The membership that was chosen at this instance is in force, and the change complete: who left
    /// it may stop. [`MembershipHandle::show`](crate::MembershipHandle::show) says who is in it.
    fn membership_changed(&self, group: GroupId, version: Instance) {}
    /// Another node is master since this instance, or nobody is. Told as this node executes it, not
    /// for renewals, and not when a lease merely runs out: see [`MasterHandle`](crate::MasterHandle).
    fn master_changed(&self, group: GroupId, holder: Option<NodeId>, version: Instance) {}

    /// The group has stopped on this node, for this reason.
    fn group_failed(&self, group: GroupId, why: &str) {}

    /// A message was handed to the network: what kind, and the bytes of values in it.
    fn sent(&self, group: GroupId, to: NodeId, kind: &'static str, value_bytes: usize) {}
    /// A message came: what kind, and the bytes of values in it.
    fn received(&self, group: GroupId, from: NodeId, kind: &'static str, value_bytes: usize) {}
    /// A way out to a peer is there.
    fn connected(&self, peer: NodeId) {}
    /// A way out to a peer is gone.
    fn disconnected(&self, peer: NodeId) {}

    /// The log wrote and synced: how many groups' batches with how many bytes of values, and how
    /// long it took.
    fn log_synced(&self, batches: usize, value_bytes: u64, took: Duration) {}
    /// The node has stopped, for this reason: mostly a disk that failed a write.
    fn node_failed(&self, why: &str) {}
    /// The protocol thread has stepped what waited: how many notes, and how long it took.
    fn turn(&self, notes: usize, took: Duration) {}
    /// So many events were dropped before the next, since this observer is too slow.
    fn missed(&self, events: u64) {}
}
