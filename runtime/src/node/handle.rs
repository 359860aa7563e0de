//! What users hold to propose to and read from one group.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use synod_core::{GroupId, Instance, NodeId, Position, SmId, Time};
use tokio::sync::{oneshot, watch};

use super::error::{NodeError, ReadError};
use super::front::Front;
use super::membership::MembershipHandle;
use super::note::{Note, REQUESTS_MAX, ReadRequest, Request, Shared};
use super::status::{GroupState, GroupStatus, NodeStatus};

/// A command was chosen, and executed here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// Its place in the order of execution, the same on all nodes.
    pub position: Position,
    /// What the state machine answered.
    pub output: Bytes,
}

/// One group of a [`Node`](crate::Node): proposes and reads. Cheap to clone; outlives the node, and
/// then gets errors.
///
/// Works in any async runtime. A future that is dropped leaves its command under way.
#[derive(Clone)]
pub struct GroupHandle {
    pub(super) shared: Arc<Shared>,
    pub(super) slot: usize,
    pub(super) group: GroupId,
    pub(super) front: Arc<Front>,
    pub(super) machines: Arc<[SmId]>,
    pub(super) command_bytes_max: usize,
    pub(super) state: watch::Receiver<GroupState>,
}

impl GroupHandle {
    /// Which group this is.
    #[must_use]
    pub const fn id(&self) -> GroupId {
        self.group
    }

    /// Asks the group's first state machine, here, at a state that contains everything that was
    /// acknowledged anywhere before this call (linearizable), with the builder's
    /// [`timeout`](crate::NodeBuilder::timeout).
    ///
    /// # Errors
    ///
    /// See [`ReadError`].
    pub async fn read(&self, query: impl Into<Bytes>) -> Result<Bytes, ReadError> {
        self.read_with(self.machines[0], query, self.front.timeout()).await
    }

    /// As [`read`](Self::read), of this state machine and within this time.
    ///
    /// # Errors
    ///
    /// See [`ReadError`].
    pub async fn read_with(
        &self,
        sm: SmId,
        query: impl Into<Bytes>,
        timeout: Duration,
    ) -> Result<Bytes, ReadError> {
        self.read_stale_with(sm, query, Duration::ZERO, timeout).await
    }

    /// As [`read`](Self::read), at a state that may be old: it contains at least everything that was
    /// acknowledged anywhere longer than `stale` before this call, by this machine's clock.
    ///
    /// Answered here, without asking anybody, as long as this node has had an answer from the leader
    /// that recently, whoever's read it was for; otherwise as any other read, which then serves those
    /// that follow. So with `stale` at some hundred milliseconds nearly all reads are local, on
    /// followers as well, and a node that is cut off goes on answering for that long, and not longer.
    /// What this client itself has written may be missing, and two such reads on different nodes may
    /// see the past in the wrong order.
    ///
    /// # Errors
    ///
    /// See [`ReadError`].
    pub async fn read_stale(
        &self,
        query: impl Into<Bytes>,
        stale: Duration,
    ) -> Result<Bytes, ReadError> {
        self.read_stale_with(self.machines[0], query, stale, self.front.timeout()).await
    }

    /// As [`read_stale`](Self::read_stale), of this state machine and within this time.
    ///
    /// # Errors
    ///
    /// See [`ReadError`].
    pub async fn read_stale_with(
        &self,
        sm: SmId,
        query: impl Into<Bytes>,
        stale: Duration,
        timeout: Duration,
    ) -> Result<Bytes, ReadError> {
        if !self.machines.contains(&sm) {
            return Err(ReadError::NoMachine(sm));
        }
        if !self.shared.is_open() {
            return Err(self.shared.read_error());
        }
        let (reply, answer) = oneshot::channel();
        let (slot, deadline, query) = (self.slot, self.deadline(timeout), query.into());
        let request =
            Request::Read { slot, read: ReadRequest { sm, query, deadline, stale, reply } };
        if self.shared.inbox.offer(Note::Request(request), REQUESTS_MAX).is_err() {
            return Err(self.shared.read_refusal());
        }
        answer.await.unwrap_or_else(|_| Err(self.shared.read_error()))
    }

    /// Asks this node, which has to lead, to hand leadership over. Returns when it has begun to;
    /// watch [`leader_changed`](Self::leader_changed) for the outcome.
    ///
    /// # Errors
    ///
    /// [`NodeError::NotLeader`] with who does, or the node ends.
    pub async fn transfer_leader(&self, to: NodeId) -> Result<(), NodeError> {
        let (reply, answer) = oneshot::channel();
        let request = Request::Transfer { slot: self.slot, to, reply };
        if self.shared.inbox.offer(Note::Request(request), REQUESTS_MAX).is_err() {
            return Err(self.shared.node_refusal());
        }
        answer.await.unwrap_or_else(|_| Err(self.shared.node_error()))
    }

    /// Takes a checkpoint here, of at least everything that was executed when this was asked, and
    /// answers when it is durable: at which instance it is.
    ///
    /// Checkpoints are taken by themselves as the builder's
    /// [`checkpoints`](crate::NodeBuilder::checkpoints) say. Waits as long as it takes.
    ///
    /// # Errors
    ///
    /// [`NodeError::NoCheckpoint`] with the reason, or the node ends.
    pub async fn checkpoint(&self) -> Result<Instance, NodeError> {
        let (reply, answer) = oneshot::channel();
        self.ask(Request::Checkpoint { slot: self.slot, reply })?;
        answer.await.unwrap_or_else(|_| Err(self.shared.node_error()))
    }

    /// Leaves the log of this group as it is, checkpoints or not, until
    /// [`continue_cleaning`](Self::continue_cleaning) or the end of the process: for a backup, or to look
    /// at it.
    ///
    /// # Errors
    ///
    /// If the node ends.
    pub async fn pause_cleaning(&self) -> Result<(), NodeError> {
        self.clean(false).await
    }

    /// Lets the log be cleaned again below checkpoints.
    ///
    /// # Errors
    ///
    /// If the node ends.
    pub async fn continue_cleaning(&self) -> Result<(), NodeError> {
        self.clean(true).await
    }

    async fn clean(&self, is_on: bool) -> Result<(), NodeError> {
        let (reply, answer) = oneshot::channel();
        self.ask(Request::Cleaning { slot: self.slot, is_on, reply })?;
        answer.await.unwrap_or_else(|_| Err(self.shared.node_error()))
    }

    fn ask(&self, request: Request) -> Result<(), NodeError> {
        let taken = self.shared.inbox.offer(Note::Request(request), REQUESTS_MAX);
        taken.map_err(|_| self.shared.node_refusal())
    }

    /// Who votes and who follows, and changing it.
    #[must_use]
    pub const fn membership(&self) -> MembershipHandle<'_> {
        MembershipHandle::new(self)
    }

    /// What the group does on this node.
    ///
    /// # Errors
    ///
    /// If the node has ended.
    pub async fn status(&self) -> Result<GroupStatus, NodeError> {
        let status = node_status(&self.shared).await?;
        let mine = status.groups.into_iter().find(|status| status.group == self.group);
        mine.ok_or(NodeError::NoGroup(self.group))
    }

    pub(super) fn deadline(&self, timeout: Duration) -> Time {
        self.shared.clock.now() + timeout
    }
}

impl fmt::Debug for GroupHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GroupHandle")
            .field("node", &self.shared.node)
            .field("group", &self.group)
            .field("leader", &self.leader())
            .finish_non_exhaustive()
    }
}

/// Asks the driver.
pub(super) async fn node_status(shared: &Shared) -> Result<NodeStatus, NodeError> {
    let (reply, answer) = oneshot::channel();
    if shared.inbox.offer(Note::Status(reply), REQUESTS_MAX).is_err() {
        return Err(shared.node_refusal());
    }
    answer.await.map_err(|_| shared.node_error())
}
