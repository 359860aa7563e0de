//! What users hold to propose to and read from one group.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use synod_core::{GroupId, NodeId, Position, SmId, Time};
use tokio::sync::{oneshot, watch};

use super::error::{NodeError, ProposeError, ReadError};
use super::membership::MembershipHandle;
use super::note::{Note, REQUESTS_MAX, Request, Shared};
use super::status::{GroupStatus, NodeStatus};

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
    pub(super) machines: Arc<[SmId]>,
    pub(super) command_bytes_max: usize,
    pub(super) timeout: Duration,
    pub(super) leader: watch::Receiver<Option<NodeId>>,
}

impl GroupHandle {
    /// Which group this is.
    #[must_use]
    pub const fn id(&self) -> GroupId {
        self.group
    }

    /// Has a command chosen, and executed once on every node; answers when this node has executed
    /// it. For the group's first state machine, with the builder's
    /// [`timeout`](crate::NodeBuilder::timeout).
    ///
    /// Any node may propose: one that does not lead passes the command on.
    ///
    /// # Errors
    ///
    /// See [`ProposeError`], each of which says whether the command may still be executed.
    pub async fn propose(&self, command: impl Into<Bytes>) -> Result<Committed, ProposeError> {
        self.propose_with(self.machines[0], command, self.timeout).await
    }

    /// As [`propose`](Self::propose), for this state machine and within this time.
    ///
    /// # Errors
    ///
    /// See [`ProposeError`].
    pub async fn propose_with(
        &self,
        sm: SmId,
        command: impl Into<Bytes>,
        timeout: Duration,
    ) -> Result<Committed, ProposeError> {
        let command = command.into();
        if command.len() > self.command_bytes_max {
            let (bytes, max) = (command.len(), self.command_bytes_max);
            return Err(ProposeError::TooLarge { bytes, max });
        }
        if !self.machines.contains(&sm) {
            return Err(ProposeError::NoMachine(sm));
        }
        if !self.shared.is_open() {
            return Err(self.shared.propose_error());
        }
        let (reply, answer) = oneshot::channel();
        let (slot, deadline) = (self.slot, self.deadline(timeout));
        let request = Request::Propose { slot, sm, command, deadline, reply };
        if self.shared.inbox.offer(Note::Request(request), REQUESTS_MAX).is_err() {
            return Err(self.shared.propose_refusal());
        }
        answer.await.unwrap_or_else(|_| Err(self.shared.propose_error()))
    }

    /// Asks the group's first state machine, here, at a state that contains everything that was
    /// acknowledged anywhere before this call (linearizable), with the builder's
    /// [`timeout`](crate::NodeBuilder::timeout).
    ///
    /// # Errors
    ///
    /// See [`ReadError`].
    pub async fn read(&self, query: impl Into<Bytes>) -> Result<Bytes, ReadError> {
        self.read_with(self.machines[0], query, self.timeout).await
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
        if !self.machines.contains(&sm) {
            return Err(ReadError::NoMachine(sm));
        }
        if !self.shared.is_open() {
            return Err(self.shared.read_error());
        }
        let (reply, answer) = oneshot::channel();
        let (slot, deadline, query) = (self.slot, self.deadline(timeout), query.into());
        let request = Request::Read { slot, sm, query, deadline, reply };
        if self.shared.inbox.offer(Note::Request(request), REQUESTS_MAX).is_err() {
            return Err(self.shared.read_refusal());
        }
        answer.await.unwrap_or_else(|_| Err(self.shared.read_error()))
    }

    /// Who leads, as far as this node knows; `None` while nobody does.
    #[must_use]
    pub fn leader(&self) -> Option<NodeId> {
        *self.leader.borrow()
    }

    /// Waits until somebody leads, and says who.
    ///
    /// # Errors
    ///
    /// If the node ends. Waits for ever otherwise: wrap it in a timeout.
    pub async fn wait_leader(&self) -> Result<NodeId, NodeError> {
        let mut leader = self.leader.clone();
        let found = leader.wait_for(Option::is_some).await;
        found.ok().and_then(|found| *found).ok_or_else(|| self.shared.node_error())
    }

    /// Waits until another node leads than this one, or nobody does, and says who.
    ///
    /// # Errors
    ///
    /// If the node ends. Waits for ever otherwise: wrap it in a timeout.
    pub async fn leader_changed(&self, from: Option<NodeId>) -> Result<Option<NodeId>, NodeError> {
        let mut leader = self.leader.clone();
        let found = leader.wait_for(|&now| now != from).await;
        found.map(|found| *found).map_err(|_| self.shared.node_error())
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

    /// Who votes and who follows, and changing it.
    #[must_use]
    pub const fn membership(&self) -> MembershipHandle<'_> {
        MembershipHandle(self)
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

    fn deadline(&self, timeout: Duration) -> Time {
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
