//! What was chosen at an instance, for tools and tests.

use bytes::Bytes;
use synod_core::{Instance, SmId, Value};
use thiserror::Error;
use tokio::sync::oneshot;

use super::error::NodeError;
use super::handle::GroupHandle;
use super::note::{Note, REQUESTS_MAX, Request};

/// A command as it was chosen. It may have been chosen at an earlier instance too: it is executed
/// at the first, so not every chosen command has an execution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChosenCommand {
    /// Which state machine it is for.
    pub sm: SmId,
    /// The command.
    pub command: Bytes,
}

/// Why there is nothing to show at an instance.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum GetError {
    /// Nothing is known to be chosen there yet, at this node: wait, or ask the leader.
    #[error("nothing is known chosen at {asked} here: the chosen prefix ends at {chosen}")]
    NotChosen {
        /// The instance asked for.
        asked: Instance,
        /// Every instance up to here is known chosen here.
        chosen: Instance,
    },
    /// It was cleaned from the log of this node; instances start at 1, and 0 counts as cleaned.
    #[error("{asked} is cleaned here: the log begins at {first_kept}")]
    Cleaned {
        /// The instance asked for.
        asked: Instance,
        /// The lowest instance that is kept.
        first_kept: Instance,
    },
    /// The disk of this node does not give the value any more: ask another node.
    #[error("the disk has lost the value at {0}: ask another node")]
    Lost(Instance),
    /// The group or node cannot answer.
    #[error(transparent)]
    Node(#[from] NodeError),
}

/// Where the answer goes.
pub(super) type GetReply = oneshot::Sender<Result<Vec<ChosenCommand>, GetError>>;

impl GroupHandle {
    /// The commands chosen at an instance, in their order; none for a no-op. Served from this node's
    /// memory or disk, within the builder's [`timeout`](crate::NodeBuilder::timeout).
    ///
    /// For tools and tests: a state machine gets its commands by
    /// [`apply`](crate::StateMachine::apply), and each once.
    ///
    /// # Errors
    ///
    /// See [`GetError`].
    pub async fn get(&self, instance: Instance) -> Result<Vec<ChosenCommand>, GetError> {
        let (reply, answer) = oneshot::channel();
        let deadline = self.deadline(self.front.timeout());
        let request = Request::Get { slot: self.slot, instance, deadline, reply };
        if self.shared.inbox.offer(Note::Request(request), REQUESTS_MAX).is_err() {
            return Err(self.shared.node_refusal().into());
        }
        answer.await.unwrap_or_else(|_| Err(self.shared.node_error().into()))
    }

    /// Every instance up to this one is known chosen at this node. Never goes back; does not wait.
    #[must_use]
    pub fn chosen(&self) -> Instance {
        self.front.stats.chosen_up_to()
    }

    /// The lowest instance that this node's log keeps, which [`get`](Self::get) may ask for once it
    /// is chosen. Does not wait.
    #[must_use]
    pub fn first_kept(&self) -> Instance {
        self.front.stats.cleaned_up_to().next()
    }
}

/// The commands of a value.
pub(super) fn commands(value: &Value) -> Vec<ChosenCommand> {
    value
        .commands()
        .map(|command| ChosenCommand { sm: command.sm, command: command.payload })
        .collect()
}
