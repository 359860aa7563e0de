//! What a group does about its checkpoints.

use super::{
    Arc, CheckpointReply, Duration, Group, Hosted, Input, Instance, NodeError, NodeId, Seen, Time,
    TransferMessage, answer,
};

impl Hosted {
    /// Takes a checkpoint every so often.
    pub(in crate::node) fn checkpoint_every(&mut self, every: Duration, now: Time) {
        self.every = Some((every, now + every));
    }

    /// Somebody wants a checkpoint, and to hear of it.
    pub(in crate::node) fn checkpoint(&mut self, now: Time, reply: CheckpointReply) {
        let Some(status) = self.core.as_ref().map(Group::status) else { return };
        if status.checkpoint >= status.handed_out {
            return answer(reply, Ok(status.checkpoint));
        }
        self.checkpoints.push((status.handed_out, reply));
        self.step(now, Input::Checkpoint);
    }

    /// A checkpoint did not come about.
    pub(in crate::node) fn no_checkpoint(&mut self, now: Time, at: Instance, reason: &Arc<str>) {
        tracing::debug!(group = self.id.0, instance = %at, %reason, "no checkpoint");
        let why = Arc::clone(reason);
        self.front.observing.tell(|| Seen::CheckpointFailed(self.id, at, why));
        let is_meant = |(least, _): &mut (Instance, CheckpointReply)| *least <= at;
        for (_, reply) in self.checkpoints.extract_if(.., is_meant) {
            let reason = Arc::clone(reason);
            answer(reply, Err(NodeError::NoCheckpoint { at, reason }));
        }
        self.step(now, Input::CheckpointFailed(at));
    }

    /// Lets the log be cleaned, or not.
    pub(in crate::node) fn clean(&mut self, now: Time, is_on: bool) {
        self.limits_of_cleaning.0 = if is_on { Instance::MAX } else { Instance::ZERO };
        self.limit_cleaning(now);
    }

    pub(super) fn limit_cleaning(&mut self, now: Time) {
        let (users, transfers) = self.limits_of_cleaning;
        self.step(now, Input::CleanLimit(users.min(transfers)));
    }

    /// What the keeper wants the group to know.
    pub(in crate::node) fn kept(&mut self, now: Time, inputs: Vec<Input>) {
        for input in inputs {
            if let Input::CleanLimit(limit) = input {
                self.limits_of_cleaning.1 = limit;
                self.limit_cleaning(now);
            } else {
                self.step(now, input);
            }
        }
    }

    /// A peer said something about a transfer.
    pub(in crate::node) fn transferred(&self, from: NodeId, message: TransferMessage) {
        if self.core.is_some() {
            self.keeping.receive(from, message);
        }
    }
}
