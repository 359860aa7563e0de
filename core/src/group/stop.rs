//! What a group still says where it has stopped.

use super::Group;
use crate::digests::Verdict;
use crate::env::Ctx;
use crate::input::Input;
use crate::outbox::{ChangeRefusal, Event, Outbox, Outcome, ReadRefusal, Refusal};

impl Group {
    /// What the digests of the others say of this node.
    pub(super) fn found(&mut self, verdict: Option<Verdict>, out: &mut Outbox) {
        let ctx = &mut Ctx { env: &mut self.env, out };
        match verdict {
            Some(Verdict::Log(at)) => ctx.fail("its log is not that of a majority", at),
            Some(Verdict::State(at)) if self.executor.diverged().is_none() => {
                mark!(DIVERGED);
                self.executor.diverge(at);
                self.origin.fail(ctx);
                self.reads.fail(ReadRefusal::Failed, ctx);
                ctx.event(Event::Diverged(at));
            }
            Some(Verdict::State(_)) | None => {}
        }
    }
}

/// The answer of a group that has failed.
pub(super) fn refuse(input: Input, out: &mut Outbox) {
    match input {
        Input::Propose { id, .. } => {
            out.outcomes.push(Outcome::Refused(id, Refusal::Failed));
        }
        Input::Read { id, .. } => {
            out.outcomes.push(Outcome::ReadFailed(id, ReadRefusal::Failed));
        }
        Input::Change { id, .. } => {
            out.outcomes.push(Outcome::ChangeRefused(id, ChangeRefusal::Failed));
        }
        Input::Receive { .. }
        | Input::Durable(_)
        | Input::Fetched { .. }
        | Input::Applied(_)
        | Input::Digested { .. }
        | Input::Checkpoint
        | Input::CheckpointFor(_)
        | Input::CheckpointLost(_)
        | Input::Checkpointed(_)
        | Input::CheckpointFailed(_)
        | Input::CleanLimit(_)
        | Input::Install { .. }
        | Input::Master(_)
        | Input::Room(_)
        | Input::Transfer(_)
        | Input::Tick => {}
    }
}
