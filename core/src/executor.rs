//! Hands chosen commands to the state machines, in order, each once.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::entries::Entries;
use crate::env::{Ctx, Env};
use crate::fetches::{Fetches, Purpose};
use crate::ids::{Instance, Position, SmId};
use crate::master::Steward;
use crate::origin::Origin;
use crate::outbox::{Apply, Event};
use crate::sessions::Sessions;
use crate::value::{Command, Value, ValueKind};
use crate::write::{Record, Stored};

/// How far execution is, and what has been executed.
///
/// After a restart everything still in the log is handed out again: the sessions are part of the
/// replicated state and live in memory, so they are built anew from it.
#[derive(Debug)]
pub(crate) struct Executor {
    /// Handed out up to here.
    handed: Instance,
    /// Executed up to here, as far as we were told.
    applied: Instance,
    /// How large the values in between are, ascending by instance; no-ops are left out.
    ahead: VecDeque<(Instance, usize)>,
    ahead_bytes: usize,
    /// Up to here the disk has lost what is to be executed next: it comes from a peer.
    lost: Option<Instance>,
    sessions: Sessions,
    /// The machine of the group's own.
    steward: Steward,
}

impl Executor {
    pub(crate) fn new(cleaned: Instance, steward: Steward) -> Self {
        Self {
            handed: cleaned,
            applied: cleaned,
            ahead: VecDeque::new(),
            ahead_bytes: 0,
            lost: None,
            sessions: Sessions::default(),
            steward,
        }
    }

    /// This node's part in the mastership.
    pub(crate) const fn steward(&self) -> &Steward {
        &self.steward
    }

    pub(crate) const fn steward_mut(&mut self) -> &mut Steward {
        &mut self.steward
    }

    pub(crate) const fn handed(&self) -> Instance {
        self.handed
    }

    pub(crate) const fn applied(&self) -> Instance {
        self.applied
    }

    /// Bytes of values handed out and not yet applied.
    pub(crate) const fn ahead_bytes(&self) -> usize {
        self.ahead_bytes
    }

    /// How many sessions there are, and how long the longest is.
    pub(crate) fn sessions(&self) -> (usize, usize) {
        self.sessions.size()
    }

    /// Hands out what is chosen, as far as the state machines keep up.
    #[inline]
    pub(crate) fn run(
        &mut self,
        entries: &mut Entries,
        origin: &mut Origin,
        fetches: &mut Fetches,
        ctx: &mut Ctx<'_>,
    ) {
        if self.handed < entries.chosen() {
            self.catch_up(entries, origin, fetches, ctx);
        }
    }

    /// Hands out what came from disk.
    pub(crate) fn on_fetched(
        &mut self,
        stored: Vec<Stored>,
        origin: &mut Origin,
        ctx: &mut Ctx<'_>,
    ) {
        let before = self.handed;
        if stored.is_empty() {
            ctx.fail(
                "the log no longer gives a chosen entry that has to be executed",
                before.next(),
            );
        }
        let mut stored = stored.into_iter();
        while let Some(entry) = stored.next() {
            if entry.instance != self.handed.next() {
                continue;
            }
            if !self.room(ctx) {
                break; // asked for again when there is
            }
            let Some(value) = entry.value else {
                let more = stored.take_while(|next| next.value.is_none()).last();
                self.lose(entry.instance, more.map_or(entry.instance, |last| last.instance), ctx);
                break;
            };
            self.hand_out(entry.instance, &value, origin, ctx);
        }
        self.through(before, ctx);
    }

    /// Hands out what the disk lost and a peer still has, and writes it again.
    pub(crate) fn on_learned(
        &mut self,
        first: Instance,
        values: &[Value],
        origin: &mut Origin,
        ctx: &mut Ctx<'_>,
    ) {
        let before = self.handed;
        for (above, value) in (0..).zip(values) {
            let instance = Instance(first.0.saturating_add(above));
            if self.missing(ctx) == Some(instance) && !ctx.takes_no_values() {
                mark!(EXECUTED_WHAT_WAS_LOST);
                ctx.write(Record::Learned { instance, value: value.clone() });
                self.hand_out(instance, value, origin, ctx);
                self.lost = self.lost.filter(|last| instance < *last);
            }
        }
        self.through(before, ctx);
    }

    /// Whether the disk has lost something that is still to be executed.
    pub(crate) const fn is_missing_some(&self) -> bool {
        self.lost.is_some()
    }

    /// The next instance, if it is to be executed and the disk has lost it.
    pub(crate) fn missing(&self, env: &Env) -> Option<Instance> {
        self.lost.filter(|_| self.room(env)).map(|_| self.handed.next())
    }

    /// The state machines are this far.
    pub(crate) fn on_applied(&mut self, instance: Instance) {
        assert!(
            instance <= self.handed,
            "applied {instance} passed what was handed out, {}",
            self.handed
        );
        self.applied = self.applied.max(instance);
        while let Some((done, bytes)) = self.ahead.front()
            && *done <= instance
        {
            self.ahead_bytes -= bytes;
            self.ahead.pop_front();
        }
    }

    #[inline]
    pub(crate) fn invariants(&self, entries: &Entries) {
        assert!(
            self.applied <= self.handed && self.handed <= entries.chosen(),
            "applied {} ≤ handed {} ≤ chosen {} does not hold",
            self.applied,
            self.handed,
            entries.chosen()
        );
    }

    fn catch_up(
        &mut self,
        entries: &mut Entries,
        origin: &mut Origin,
        fetches: &mut Fetches,
        ctx: &mut Ctx<'_>,
    ) {
        let before = self.handed;
        while self.handed < entries.chosen() && self.room(ctx) {
            let next = self.handed.next();
            if next <= entries.base() {
                if self.lost.is_some() {
                    break;
                }
                mark!(EXECUTE_FROM_DISK);
                let room = ctx.config.apply_ahead_max - self.handed.above(self.applied);
                let last = entries.base().min(Instance(self.handed.0.saturating_add(room)));
                fetches.ask(Purpose::Apply, next, last, ctx);
                break;
            }
            let value = entries.value(next).expect("chosen values above base are held");
            self.hand_out(next, value, origin, ctx);
        }
        mark!(EXECUTION_HELD_BACK if self.handed < entries.chosen() && !self.room(ctx));
        self.through(before, ctx);
        // What leaves memory is read from the log from then on, so the log must give it back. That
        // goes for what is still to be executed, too: state machines may be far behind.
        let settled = ctx.journal.settled(entries.chosen());
        entries.evict(settled, ctx.config.cache_bytes_max);
    }

    /// The disk gives no values from here to there; execution goes on when a peer does.
    fn lose(&mut self, first: Instance, last: Instance, ctx: &mut Ctx<'_>) {
        if ctx.peers().next().is_none() {
            ctx.fail("the disk lost a chosen value, and nobody else has it", first);
        }
        self.lost = Some(last);
        ctx.event(Event::ValuesLost(first, last));
    }

    fn room(&self, env: &Env) -> bool {
        self.handed.above(self.applied) < env.config.apply_ahead_max
            && self.ahead_bytes < env.config.apply_bytes_max
    }

    fn hand_out(
        &mut self,
        instance: Instance,
        value: &Value,
        origin: &mut Origin,
        ctx: &mut Ctx<'_>,
    ) {
        self.handed = instance;
        match value.kind() {
            ValueKind::Noop => return,
            ValueKind::Membership => {
                // A session is dropped only when its memory leaves, and it never comes back.
                let above = ctx.history.at(instance.next());
                self.sessions.retain(|origin| above.has(origin));
                return;
            }
            ValueKind::Commands => {}
        }
        self.ahead.push_back((instance, value.len()));
        self.ahead_bytes += value.len();
        let membership = ctx.env.history.at(instance);
        let mut orders = Vec::new(); // for the mastership; rare
        let mut known = None; // commands of one origin come together
        for (index, command) in (0..).zip(value.commands()) {
            // From a memory that is no member here: nobody waits for it, and its session is dropped.
            let origin_of = command.key.origin;
            let member = known == Some(origin_of) || membership.has(origin_of);
            known = member.then_some(origin_of).or(known);
            let first = member && self.sessions.admit(command.key, command.low);
            mark!(COMMAND_CHOSEN_TWICE if !first && self.sessions.met(command.key));
            mark!(COMMAND_OF_THE_PAST if !first && self.sessions.past(command.key));
            if first && command.sm == SmId::MASTER {
                origin.resolve(command.key);
                orders.extend(membership.member(origin_of).map(|by| (by, command)));
            } else if first {
                ctx.out.applies.push(Apply::Command {
                    position: Position { instance, index },
                    key: command.key,
                    sm: command.sm,
                    proposal: origin.resolve(command.key),
                    payload: command.payload,
                });
            }
        }
        for (by, Command { key, payload, .. }) in orders {
            self.steward.execute(instance, by, key, &payload, ctx);
        }
    }

    fn through(&self, before: Instance, ctx: &mut Ctx<'_>) {
        if self.handed > before {
            ctx.out.applies.push(Apply::Through(self.handed));
        }
    }
}

#[cfg(test)]
mod tests;
