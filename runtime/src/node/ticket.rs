//! What a proposal carries through the node: the way back to its proposer, and its place among those
//! that are under way.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::admission::Ended;
use super::error::ProposeError;
use super::front::Front;
use super::handle::Committed;
use super::reply::Sink;
use crate::proposal::Context;

/// How a proposal ends.
pub(super) type Outcome = Result<Committed, ProposeError>;

/// Held by whoever has the proposal now. Dropping it makes place for another, and tells the proposer
/// that the node has ended if it has not been answered.
pub(super) struct Ticket {
    reply: Option<oneshot::Sender<Outcome>>,
    /// When it was admitted and when it ended, in the group's own time.
    since: Duration,
    until: Option<Duration>,
    front: Arc<Front>,
    bytes: usize,
    ended: Ended,
    context: Option<Context>,
}

impl Ticket {
    /// A ticket for a command of so many bytes, and where its answer arrives.
    ///
    /// # Errors
    ///
    /// If more is under way than can be finished soon.
    pub(super) fn new(
        bytes: usize,
        context: Option<Context>,
        front: &Arc<Front>,
    ) -> Result<(Self, oneshot::Receiver<Outcome>), ProposeError> {
        let since = front.admit(bytes)?;
        let (reply, answer) = oneshot::channel();
        let ticket = Self {
            reply: Some(reply),
            since,
            until: None,
            front: Arc::clone(front),
            bytes,
            ended: Ended::Otherwise,
            context,
        };
        Ok((ticket, answer))
    }

    /// What the proposer gave for the state machine, once.
    pub(super) const fn take_context(&mut self) -> Option<Context> {
        self.context.take()
    }
}

impl Sink for Ticket {
    type Answer = Outcome;

    fn give(mut self, outcome: Outcome) {
        let now = self.front.now();
        let took = now.saturating_sub(self.since);
        self.until = Some(now);
        self.ended = match &outcome {
            Ok(_) | Err(ProposeError::Unknown | ProposeError::OutputLost { .. }) => {
                Ended::After(took)
            }
            Err(ProposeError::Overloaded { .. }) => Ended::Refused,
            Err(_) => Ended::Otherwise,
        };
        self.front.ended(&outcome, took);
        // Whoever asked may have gone, and then nobody is told.
        drop(self.reply.take().map(|reply| reply.send(outcome)));
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let now = self.until.unwrap_or_else(|| self.front.now());
        self.front.release(now, self.bytes, self.ended);
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket").field("context", &self.context.is_some()).finish_non_exhaustive()
    }
}
