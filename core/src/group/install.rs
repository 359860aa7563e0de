//! Going on from a checkpoint: after a restart, or from a peer's in place of a log that nobody has
//! any more.

use alloc::vec::Vec;

use bytes::Bytes;

use super::Group;
use crate::env::Ctx;
use crate::ids::{Ballot, Instance, NodeId};
use crate::input::StartError;
use crate::master::Mastership;
use crate::membership::History;
use crate::outbox::{Event, Outbox, StepDown};
use crate::sessions::Sessions;
use crate::snapshot::Snapshot;
use crate::write::Record;

/// What a group cannot learn any more, and who has a checkpoint in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The instance that is needed next: a checkpoint at or above it leads further.
    pub next: Instance,
    /// Who has cleaned it, and so has a checkpoint above it.
    pub from: Vec<NodeId>,
}

/// What a restart begins with: where, and the group's own state there. Its history is the newer one
/// of the checkpoint's and of the one that was `recorded` apart.
pub(super) fn start(
    checkpoint: Option<(Instance, Bytes)>,
    recorded: History,
) -> Result<(Instance, Snapshot), StartError> {
    let Some((at, state)) = checkpoint else {
        let snapshot = Snapshot {
            digest: 0,
            sessions: Sessions::default(),
            mastership: Mastership::default(),
            history: recorded,
        };
        return Ok((Instance::ZERO, snapshot));
    };
    let snapshot = Snapshot::decode(at, &state);
    let mut snapshot = snapshot.ok_or(StartError::Log(at, "its checkpoint cannot be read"))?;
    if recorded.version() >= snapshot.history.version() {
        snapshot.history = recorded; // it also decides what lies between
    }
    Ok((at, snapshot))
}

impl Group {
    /// What this group needs a peer's checkpoint for, if it does: nobody who is known to be ahead, and
    /// answers, teaches the next instance any more; or the disk lost what is to be executed next, and
    /// those who were asked have cleaned it; or the state machines have lost what they start from.
    #[must_use]
    pub fn wanted(&self) -> Option<Wanted> {
        if self.env.failed.is_some() || self.executor.is_installing() {
            return None;
        }
        if self.executor.is_stateless() {
            let next = self.executor.handed();
            return Some(Wanted { next, from: self.env.peers().collect() });
        }
        let next = self.executor.lost_next().unwrap_or_else(|| self.entries.chosen().next());
        let from = self.learner.cleaned_by(next);
        (!from.is_empty()).then_some(Wanted { next, from })
    }

    /// A checkpoint of a peer takes the place of everything up to `at` (I8).
    ///
    /// What it replaces is chosen, so nothing that this acceptor said is taken back: its promise stays,
    /// and so does every vote above `at` (I2). The record is one fact with that; a restart finds
    /// either the old log or the checkpoint, and each with all votes above. A leader or candidate
    /// whose next instances it skips has proposed there, or would, without knowing what was chosen:
    /// it is deposed (I5).
    pub(super) fn install(&mut self, at: Instance, state: &Bytes, out: &mut Outbox) {
        let leads_further = at > self.entries.chosen()
            || (at > self.executor.handed() && self.executor.lost_next().is_some())
            || (at >= self.executor.handed() && self.executor.is_stateless());
        let snapshot =
            Snapshot::decode(at, state).filter(|_| leads_further && !self.executor.is_installing());
        let Some(Snapshot { digest, sessions, mastership, history }) = snapshot else {
            mark!(INSTALL_REFUSED);
            out.events.push(Event::InstallRefused(at));
            return;
        };
        if at > self.entries.chosen() {
            mark!(INSTALL_DEPOSES if self.proposer.ballot().is_some());
            mark!(INSTALL_UNDER_VOTES if self.entries.highest() > at);
            self.step_down(StepDown::Deposed, out);
        } else {
            mark!(INSTALL_FOR_LOST_VALUES);
        }
        self.entries.install(at);
        self.fetches.forget_applies();
        let ctx = &mut Ctx { env: &mut self.env, out };
        ctx.write(Record::Checkpoint { instance: at, state: state.clone() });
        self.executor.install(at, (digest, sessions, mastership), ctx);
        ctx.write(Record::Cleaned(at));
        self.hinted = self.hinted.max(at);
        self.entries.choose(Ballot::ZERO, Instance::MAX);
        // Behind the record of the checkpoint: a membership on disk says that all up to its entry is
        // chosen, which votes below the checkpoint need not be.
        self.turn_to(history, out);
    }
}

#[cfg(test)]
mod tests;
