//! Proposing: one command, or several at a time.

use std::time::Duration;

use bytes::Bytes;
use synod_core::SmId;
use tokio::sync::oneshot;

use super::error::ProposeError;
use super::handle::{Committed, GroupHandle};
use super::note::{Note, REQUESTS_MAX, Request};
use super::ticket::{Outcome, Ticket};
use crate::proposal::Proposal;

impl GroupHandle {
    /// Has a command chosen, and executed once on every node; answers when this node has executed
    /// it. A plain command is for the group's first state machine, with the builder's
    /// [`timeout`](crate::NodeBuilder::timeout); a [`Proposal`] says otherwise.
    ///
    /// Any node may propose: one that does not lead passes the command on.
    ///
    /// # Errors
    ///
    /// See [`ProposeError`], each of which says whether the command may still be executed.
    pub async fn propose(&self, proposal: impl Into<Proposal>) -> Result<Committed, ProposeError> {
        let (request, answer) = self.prepare(proposal.into())?;
        if self.shared.inbox.offer(Note::Request(request), REQUESTS_MAX).is_err() {
            return Err(self.no_room());
        }
        self.answer(answer).await
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
        self.propose(Proposal::new(command).machine(sm).timeout(timeout)).await
    }

    /// Proposes several commands with one hand-over, and answers when all of them are resolved:
    /// each has its own outcome and position, in the order given.
    ///
    /// They reach the leader together and mostly share an instance, which is what makes this cheap.
    /// It is no transaction: some may be executed and others refused, and commands of others may
    /// come in between. A batch larger than what may be under way is refused in part. Those that are executed are executed in the order given as long as no leader
    /// changes and no connection breaks meanwhile; after that, what got lost is proposed again and
    /// comes later. So commands that have to keep an order, or to be executed all or none, belong
    /// into one command.
    pub async fn propose_batch<P: Into<Proposal>>(
        &self,
        proposals: impl IntoIterator<Item = P>,
    ) -> Vec<Result<Committed, ProposeError>> {
        let mut notes = Vec::new();
        let mut answers = Vec::new();
        for proposal in proposals {
            answers.push(self.prepare(proposal.into()).map(|(request, answer)| {
                notes.push(Note::Request(request));
                answer
            }));
        }
        if !self.shared.inbox.offer_all(notes, REQUESTS_MAX) {
            return answers.into_iter().map(|of| of.and_then(|_| Err(self.no_room()))).collect();
        }
        let mut outcomes = Vec::with_capacity(answers.len());
        for answer in answers {
            outcomes.push(match answer {
                Ok(answer) => self.answer(answer).await,
                Err(refused) => Err(refused),
            });
        }
        outcomes
    }

    /// Checks a proposal, before anything is done about it.
    fn prepare(
        &self,
        proposal: Proposal,
    ) -> Result<(Request, oneshot::Receiver<Outcome>), ProposeError> {
        let checked = self.checked(proposal);
        if let Err(error) = &checked {
            self.front.refused(error);
        }
        checked
    }

    fn checked(
        &self,
        proposal: Proposal,
    ) -> Result<(Request, oneshot::Receiver<Outcome>), ProposeError> {
        let Proposal { mut command, sm, timeout, context } = proposal;
        let sm = sm.unwrap_or(self.machines[0]);
        if !self.machines.contains(&sm) {
            return Err(ProposeError::NoMachine(sm));
        }
        if !self.shared.is_open() {
            return Err(self.shared.propose_error());
        }
        let deadline = self.deadline(timeout.unwrap_or_else(|| self.front.timeout()));
        if let Some(hook) = &self.front.before_propose {
            command = hook(self.group, sm, command)
                .map_err(|reason| ProposeError::Rejected { reason: reason.into() })?;
        }
        if command.len() > self.command_bytes_max {
            let (bytes, max) = (command.len(), self.command_bytes_max);
            return Err(ProposeError::TooLarge { bytes, max });
        }
        let (reply, answer) = Ticket::new(command.len(), context, &self.front)?;
        Ok((Request::Propose { slot: self.slot, sm, command, deadline, reply }, answer))
    }

    /// What to tell the proposer of what the inbox did not take.
    fn no_room(&self) -> ProposeError {
        let error = self.shared.propose_refusal(&self.front);
        self.front.refused(&error);
        error
    }

    async fn answer(&self, answer: oneshot::Receiver<Outcome>) -> Outcome {
        answer.await.unwrap_or_else(|_| Err(self.shared.propose_error()))
    }
}
