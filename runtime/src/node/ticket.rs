//! What a proposal carries through the node: the way back to its proposer, and what is released
//! with it.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::oneshot;

use super::error::ProposeError;
use super::front::Front;
use super::handle::Committed;
use super::reply::Sink;
use crate::proposal::Context;

/// How a proposal ends.
pub(super) type Outcome = Result<Committed, ProposeError>;

/// Held by whoever has the proposal now. Dropping it tells the proposer that the node has ended.
pub(super) struct Ticket {
    reply: oneshot::Sender<Outcome>,
    since: Instant,
    front: Arc<Front>,
    context: Option<Context>,
}

impl Ticket {
    /// A ticket, and where its answer arrives.
    pub(super) fn new(
        context: Option<Context>,
        front: &Arc<Front>,
    ) -> (Self, oneshot::Receiver<Outcome>) {
        let (reply, answer) = oneshot::channel();
        (Self { reply, since: Instant::now(), front: Arc::clone(front), context }, answer)
    }

    /// What the proposer gave for the state machine, once.
    pub(super) const fn take_context(&mut self) -> Option<Context> {
        self.context.take()
    }
}

impl Sink for Ticket {
    type Answer = Outcome;

    fn give(self, outcome: Outcome) {
        self.front.ended(&outcome, self.since.elapsed());
        // Whoever asked may have gone, and then nobody is told.
        drop(self.reply.send(outcome));
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket").field("context", &self.context.is_some()).finish_non_exhaustive()
    }
}
