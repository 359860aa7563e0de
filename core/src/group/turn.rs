//! Following the log from one membership to the next.

use super::Group;
use crate::env::Ctx;
use crate::ids::{Ballot, Instance, NodeId};
use crate::membership::History;
use crate::message::Message;
use crate::outbox::{Event, Outbox, ReadRefusal};
use crate::proposer::Proposer;
use crate::write::Record;

impl Group {
    /// The chosen prefix may have moved: brings the history up to it.
    ///
    /// Called wherever it moves, before anything else is said or counted. So no vote is weighed and
    /// no message sent by a membership that the log has left behind, and the record is in the journal
    /// before anything that follows from it.
    pub(super) fn turn(&mut self, out: &mut Outbox) {
        if self.env.chosen != self.entries.chosen() {
            self.pass(None, out);
        }
    }

    /// The same after a checkpoint was installed: what it skips has led to `history`.
    pub(super) fn turn_to(&mut self, history: History, out: &mut Outbox) {
        if self.env.chosen != self.entries.chosen() {
            self.pass(Some(history), out);
        }
    }

    fn pass(&mut self, skipped: Option<History>, out: &mut Outbox) {
        let chosen = self.entries.chosen();
        let ctx = &mut Ctx { env: &mut self.env, out };
        let was_member = ctx.is_member();
        let before = ctx.chosen;
        let mut began = false;
        if let Some(history) = skipped.filter(|it| it.version() > ctx.history.version()) {
            mark!(INSTALL_CHANGES_MEMBERSHIP);
            began = true;
            self.asking.skip(ctx);
            let version = history.version();
            ctx.env.history = history;
            ctx.event(Event::MembershipChosen(version));
        }
        for (instance, value) in self.entries.take_turns() {
            if instance <= ctx.history.version() {
                continue; // known from the record, of a log that had lost what is below
            }
            let Some(entry) = value.membership() else { continue };
            if !entry.takes_effect(instance, ctx.cluster, &ctx.history) {
                mark!(MEMBERSHIP_WITHOUT_EFFECT);
                continue;
            }
            began = true;
            ctx.env.history.begin(instance.next(), entry.membership);
            self.asking.on_made(entry.key, instance);
            ctx.event(Event::MembershipChosen(instance));
        }
        ctx.env.chosen = chosen;
        if began {
            let history = ctx.history.clone();
            ctx.write(Record::Membership(history));
        }
        let version = ctx.history.version();
        let completed = chosen > version && before <= version && version > Instance::ZERO;
        if completed {
            ctx.event(Event::MembershipChanged(version));
        }
        if began || completed {
            self.asking.resolve(ctx);
        }
        if was_member && !ctx.is_member() {
            mark!(REMOVED);
            ctx.event(Event::Removed(version));
            mark!(READ_WAITS_AT_A_REMOVED_NODE if self.reads.len() > 0);
            self.reads.fail(ReadRefusal::NotMember, ctx); // nobody has to answer its questions now
            if matches!(self.proposer, Proposer::Idle) {
                self.election.vacant(ctx); // to lead is none of its business now
            }
        }
        match &mut self.proposer {
            Proposer::Idle => {}
            Proposer::Preparing(phase1) if began => {
                mark!(ERA_BEGINS_IN_PHASE_1);
                phase1.enlarge(chosen, ctx);
            }
            Proposer::Preparing(_) => {}
            Proposer::Leading(leadership) => leadership.turn(&self.entries, ctx),
        }
    }

    /// How much of the log this node's disk holds: what is known chosen, durable, and not lost.
    pub(super) fn held(&self) -> Instance {
        let settled = self.env.journal.held(self.entries.chosen());
        if self.executor.is_missing_some() { settled.min(self.executor.handed()) } else { settled }
    }

    /// A leader, or who wants to be one, asks how much this node holds. It says so at once, and again
    /// when it holds what the other has.
    pub(super) fn on_hold(
        &mut self,
        from: NodeId,
        ballot: Ballot,
        chosen: Instance,
        out: &mut Outbox,
    ) {
        self.learner.note(from, chosen);
        if ballot == self.election.leader() {
            self.learner.on_chosen(from, ballot, chosen, &mut self.entries);
            self.turn(out);
        }
        let held = self.held();
        self.owed = (held < chosen).then_some((from, ballot, chosen));
        let ctx = &mut Ctx { env: &mut self.env, out };
        ctx.send(from, Message::Held { ballot, held });
    }
}
