//! How a leadership goes from one membership to the next; the rules are in [`super::change`].

use alloc::boxed::Box;
use core::mem;

use super::change::Turning;
use super::leadership::Leadership;
use super::phase1::{Phase1, Progress};
use crate::entries::Entries;
use crate::env::{Ctx, Env};
use crate::ids::{Instance, Member, NodeId};
use crate::membership::MembershipEntry;
use crate::message::{Message, Promise};
use crate::time::Time;

impl Leadership {
    /// Whether commands may be proposed: not while leadership is handed over or the window drains for
    /// a change, and nothing above a membership entry until its era is open.
    pub(super) fn proposes(&self) -> bool {
        self.transfer.is_none() && !self.gate.drains() && !self.is_shut()
    }

    /// Whether a change is proposed and not complete.
    pub(crate) const fn turns(&self) -> bool {
        !matches!(self.turning, Turning::No)
    }

    /// Whether nothing may be proposed or read above the chosen prefix: another leadership may have
    /// gone on there with the new members, who have not promised this one.
    pub(crate) const fn is_shut(&self) -> bool {
        matches!(self.turning, Turning::Entry | Turning::Opening(_))
    }

    /// Somebody asks for a change.
    pub(crate) fn on_change(&mut self, from: NodeId, entry: MembershipEntry, ctx: &mut Ctx<'_>) {
        if self.turns() {
            ctx.send(from, Message::Waits { key: entry.key, on: None });
        } else {
            self.gate.take(from, entry, ctx);
        }
    }

    /// Somebody says how much of the log it holds.
    pub(crate) fn on_held(
        &mut self,
        from: Member,
        held: Instance,
        entries: &Entries,
        ctx: &mut Ctx<'_>,
    ) {
        let idle = !self.turns();
        self.gate.on_held(from, held, idle, ctx);
        self.run_change(entries, ctx);
    }

    /// Goes on with a change as far as it can.
    pub(super) fn run_change(&mut self, entries: &Entries, ctx: &mut Ctx<'_>) {
        if let Turning::Opening(opening) = &mut self.turning {
            opening.repeat(entries.chosen(), ctx);
        }
        if self.turns() || self.transfer.is_some() {
            return;
        }
        let held = ctx.journal.held(entries.chosen());
        let empty = self.window.is_empty();
        if let Some(entry) = self.gate.run(self.ballot, empty, held, ctx) {
            self.turning = Turning::Entry;
            self.propose(entry, entries, ctx);
            self.barrier = self.next.prev();
        }
    }

    /// When to go on with a change.
    pub(super) fn change_deadline(&self, entries: &Entries, env: &Env) -> Time {
        match &self.turning {
            Turning::Opening(opening) => opening.retry(),
            Turning::No if self.is_done(entries, env) => env.now,
            Turning::No if self.transfer.is_some() => Time::MAX,
            Turning::No => self.gate.deadline(self.window.is_empty(), env),
            Turning::Entry | Turning::Barrier => Time::MAX,
        }
    }

    /// The chosen prefix has moved, and the history with it.
    pub(crate) fn turn(&mut self, entries: &Entries, ctx: &mut Ctx<'_>) {
        match &self.turning {
            Turning::Entry if self.window.is_empty() => {
                mark!(ERA_OPENED);
                self.peers.update(&ctx.history.members_since(entries.chosen()), ctx);
                let from = entries.chosen().next();
                let opening = Phase1::start(self.ballot, from, ctx);
                self.turning = Turning::Opening(Box::new(opening));
                self.beat(entries, ctx);
            }
            Turning::Barrier if self.barrier <= entries.chosen() => {
                self.turning = Turning::No;
                self.peers.update(&ctx.history.members_since(entries.chosen()), ctx);
            }
            Turning::No | Turning::Entry | Turning::Opening(_) | Turning::Barrier => {}
        }
    }

    /// A page of a promise for the new era.
    pub(crate) fn on_promise(
        &mut self,
        from: Member,
        promise: Promise,
        entries: &Entries,
        ctx: &mut Ctx<'_>,
    ) {
        let Turning::Opening(opening) = &mut self.turning else { return };
        if opening.on_promise(from, promise, entries.chosen(), ctx) != Progress::Quorum {
            return;
        }
        if let Turning::Opening(opening) = mem::replace(&mut self.turning, Turning::Barrier) {
            self.take_over(*opening, entries, ctx);
        }
    }

    /// Whether a leader that is no voter any more has finished: it completed its own removal.
    pub(crate) fn is_done(&self, entries: &Entries, env: &Env) -> bool {
        !self.turns() && self.barrier <= entries.chosen() && !env.is_voter(env.me)
    }
}
