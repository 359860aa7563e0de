//! Following what a group does on this node, without asking again and again.

use synod_core::NodeId;
use tokio::sync::watch;

use super::error::NodeError;
use super::handle::GroupHandle;
use super::status::GroupState;

/// The states of a group on this node, each as soon as it is there. One that was replaced before
/// anybody looked is skipped; the newest never is.
#[derive(Clone, Debug)]
pub struct GroupWatch {
    state: watch::Receiver<GroupState>,
}

impl GroupWatch {
    /// The state now.
    #[must_use]
    pub fn now(&self) -> GroupState {
        self.state.borrow().clone()
    }

    /// Waits until the state is another than the one given last, and gives it; the first call gives
    /// the state of now. `None` once the node has ended. Nothing is lost if the future is dropped.
    pub async fn next(&mut self) -> Option<GroupState> {
        self.state.changed().await.ok()?;
        Some(self.state.borrow_and_update().clone())
    }
}

impl GroupHandle {
    /// Follows who leads, what this node does, and whether the group has stopped here.
    #[must_use]
    pub fn watch(&self) -> GroupWatch {
        let mut state = self.state.clone();
        state.mark_changed();
        GroupWatch { state }
    }

    /// Who leads, as far as this node knows; `None` while nobody does.
    #[must_use]
    pub fn leader(&self) -> Option<NodeId> {
        self.state.borrow().leader
    }

    /// Waits until somebody leads, and says who.
    ///
    /// # Errors
    ///
    /// If the node ends. Waits for ever otherwise: wrap it in a timeout.
    pub async fn wait_leader(&self) -> Result<NodeId, NodeError> {
        let mut state = self.state.clone();
        let found = state.wait_for(|state| state.leader.is_some()).await;
        found.ok().and_then(|found| found.leader).ok_or_else(|| self.shared.node_error())
    }

    /// Waits until another node leads than this one, or nobody does, and says who.
    ///
    /// # Errors
    ///
    /// If the node ends. Waits for ever otherwise: wrap it in a timeout.
    pub async fn leader_changed(&self, from: Option<NodeId>) -> Result<Option<NodeId>, NodeError> {
        let mut state = self.state.clone();
        let found = state.wait_for(|state| state.leader != from).await;
        found.map(|found| found.leader).map_err(|_| self.shared.node_error())
    }
}
