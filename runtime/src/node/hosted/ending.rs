//! How a group stops, and who is told.

use super::super::reply::Sink;
use super::{
    Arc, ChangeError, Hosted, Master, Outbox, ProposeError, ReadError, ReadRequest, Seen, answer,
};

impl Hosted {
    /// Whether nobody waits here, and everything handed out is executed.
    pub(in crate::node) fn is_quiet(&self) -> bool {
        let executed = self.core.as_ref().is_none_or(|core| {
            self.failed.is_some() || core.status().handed_out <= self.applier.applied()
        });
        executed && self.proposals.len() == 0 && self.reads.len() == 0 && self.changes.len() == 0
    }

    /// Nothing more is proposed, executed or read here; the reason is shown. The core goes on
    /// voting, so a machine that cannot go on does not cost the group a voter.
    pub(in crate::node) fn fail(&mut self, reason: &Arc<str>) {
        if self.failed.is_none() {
            tracing::error!(node = self.me.node.0, group = self.id.0, %reason, "group has stopped");
            self.failed = Some(Arc::clone(reason));
            self.front.observing.tell(|| Seen::GroupFailed(self.id, Arc::clone(reason)));
        }
        self.release(
            &ProposeError::Failed { reason: Arc::clone(reason) },
            &ReadError::Failed { reason: Arc::clone(reason) },
        );
        self.publish();
    }

    /// The node has stopped: nothing of this group goes on.
    pub(in crate::node) fn halt(&mut self, reason: &Arc<str>) {
        self.core = None;
        self.checkpoints.clear();
        self.keeping.close();
        self.front.show_master(Master::default());
        self.outbox = Outbox::default();
        self.failed.get_or_insert_with(|| Arc::clone(reason));
        self.fail(reason);
    }

    /// Answers everybody who waits, for machines that are stuck as well: the node has come to its end.
    pub(in crate::node) fn end(&mut self, propose: &ProposeError, read: &ReadError) {
        self.owed_outputs.give_up(|| Err(propose.clone()));
        self.owed_answers.give_up(|| Err(read.clone()));
        self.release(propose, read);
    }

    /// Answers everybody who waits for the group. What its machines have begun, they answer.
    pub(in crate::node) fn release(&mut self, propose: &ProposeError, read: &ReadError) {
        self.owed_outputs.clear();
        self.owed_answers.clear();
        self.checkpoints.clear();
        for (_, reply) in self.proposals.clear() {
            reply.give(Err(propose.clone()));
        }
        for ReadRequest { reply, .. } in self.reads.clear() {
            answer(reply, Err(read.clone()));
        }
        let change = ChangeError::from(propose.clone());
        self.changes.clear().for_each(|reply| answer(reply, Err(change.clone())));
    }
}

impl Drop for Hosted {
    fn drop(&mut self) {
        self.keeping.close();
    }
}
