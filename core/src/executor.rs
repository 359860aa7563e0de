//! Hands chosen commands to the state machines, in order, each once.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::checkpoints::Checkpoints;
use crate::digests::Digests;
use crate::entries::Entries;
use crate::env::{Ctx, Env};
use crate::fetches::{Fetches, Purpose};
use crate::ids::{Ballot, Instance, Position, SmId, WriteSeq};
use crate::master::{Mastership, Steward};
use crate::origin::Origin;
use crate::outbox::{Apply, Event};
use crate::proposer::Proposer;
use crate::sessions::Sessions;
use crate::snapshot;
use crate::value::{Command, Value, ValueKind};
use crate::write::{Record, Stored};

/// How far execution is, and what has been executed.
///
/// After a restart everything above the last checkpoint is handed out again: the sessions are part of
/// the replicated state and live in memory, so they are built anew from the checkpoint and the log.
#[derive(Debug)]
pub(crate) struct Executor {
    /// Handed out up to here.
    handed: Instance,
    /// Executed up to here, as far as we were told.
    applied: Instance,
    /// A checkpoint that is being installed: from where to where it leads.
    jump: (Instance, Instance),
    /// How large the values in between are, ascending by instance; no-ops are left out.
    ahead: VecDeque<(Instance, usize)>,
    ahead_bytes: usize,
    /// What the disk has lost of what is to be executed, from the next instance on, by the ballot in which
    /// each was accepted here: it comes from a peer.
    lost: VecDeque<Ballot>,
    sessions: Sessions,
    /// What is compared with the others.
    digests: Digests,
    /// The state is not that of a majority: nothing is handed out any more.
    diverged: Option<Instance>,
    /// The machine of the group's own.
    steward: Steward,
    /// When checkpoints are taken, and what is cleaned after them.
    checkpoints: Checkpoints,
    /// A checkpoint of a peer whose record is being written; nothing is handed out until it counts.
    installing: Option<Installing>,
    /// The state machines have lost what they start from; nothing is handed out until a checkpoint of
    /// a peer is installed.
    is_stateless: bool,
}

#[derive(Debug)]
struct Installing {
    at: Instance,
    digest: u64,
    sessions: Sessions,
    mastership: Mastership,
    record: WriteSeq,
}

impl Executor {
    /// Goes on from the checkpoint at `start`, the digest of what is below it and the sessions in it, or
    /// from nothing.
    pub(crate) fn new(
        (start, digest): (Instance, u64),
        sessions: Sessions,
        steward: Steward,
        is_stateless: bool,
    ) -> Self {
        Self {
            handed: start,
            applied: start,
            jump: (start, start),
            ahead: VecDeque::new(),
            ahead_bytes: 0,
            lost: VecDeque::new(),
            sessions,
            digests: Digests::new(digest),
            diverged: None,
            steward,
            checkpoints: Checkpoints::new(start),
            installing: None,
            is_stateless,
        }
    }

    /// The checkpoints that are taken on the way.
    pub(crate) const fn checkpoints(&mut self) -> &mut Checkpoints {
        &mut self.checkpoints
    }

    /// A peer needs a checkpoint at or above `next`.
    pub(crate) fn checkpoint_for(&mut self, next: Instance) {
        if self.handed >= next && self.checkpoints.newest() < next {
            mark!(CHECKPOINT_FOR_A_PEER);
            self.checkpoints.want();
        }
    }

    /// Where the newest durable checkpoint is.
    pub(crate) const fn checkpoint(&self) -> Instance {
        self.checkpoints.last()
    }

    /// The instance that is next, and that the disk has lost, whether or not there is room for it.
    pub(crate) fn lost_next(&self) -> Option<Instance> {
        self.is_missing_some().then(|| self.handed.next())
    }

    /// What is compared with the others.
    pub(crate) const fn digests(&self) -> &Digests {
        &self.digests
    }

    pub(crate) const fn digests_mut(&mut self) -> &mut Digests {
        &mut self.digests
    }

    /// The state at `at` is not that of a majority: nothing is built on it any more.
    pub(crate) const fn diverge(&mut self, at: Instance) {
        self.diverged = Some(at);
    }

    /// Where the state was found not to be that of a majority.
    pub(crate) const fn diverged(&self) -> Option<Instance> {
        self.diverged
    }

    /// Whether the state machines wait for any checkpoint that is at or above what was handed out.
    pub(crate) const fn is_stateless(&self) -> bool {
        self.is_stateless
    }

    /// Whether a checkpoint of a peer is being installed: from its record on until the state machines
    /// have taken it over. Its files must stay as long, so no other takes its place meanwhile.
    pub(crate) fn is_installing(&self) -> bool {
        self.installing.is_some() || self.applied < self.jump.1
    }

    /// A checkpoint of a peer takes the place of everything up to `at`; its record is written.
    ///
    /// The state machines hear of it when the record is durable. Until then a restart would go on
    /// from what was there before, and so must they.
    pub(crate) fn install(
        &mut self,
        at: Instance,
        (digest, sessions, mastership): (u64, Sessions, Mastership),
        ctx: &mut Ctx<'_>,
    ) {
        self.checkpoints.install(at, ctx);
        self.lost.clear();
        self.is_stateless = false;
        let record = ctx.journal.written();
        self.installing = Some(Installing { at, digest, sessions, mastership, record });
    }

    /// Goes on from the checkpoint that was installed, once its record is durable; and takes and
    /// cleans what is due.
    #[inline]
    pub(crate) fn settle(
        &mut self,
        proposer: &Proposer,
        entries: &mut Entries,
        origin: &mut Origin,
        ctx: &mut Ctx<'_>,
    ) {
        let is_durable = |it: &mut Installing| ctx.env.journal.is_durable(it.record);
        if let Some(Installing { at, digest, sessions, mastership, .. }) =
            self.installing.take_if(is_durable)
        {
            self.sessions = sessions;
            self.digests.skip(digest);
            self.steward.load(mastership, ctx);
            self.jump = (self.handed, at);
            self.handed = at;
            let sessions = &self.sessions;
            origin.skip(at, |key| sessions.met(key), ctx);
            ctx.out.applies.push(Apply::Install(at));
            ctx.event(Event::Installed(at));
        }
        self.checkpoints.settle(self.handed, proposer, entries, ctx);
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

    /// Instances handed out and not yet applied, without those that a checkpoint skips.
    pub(crate) fn ahead(&self) -> u64 {
        let (from, to) = self.jump;
        let skipped = if self.applied < to { to.above(from.max(self.applied)) } else { 0 };
        self.handed.above(self.applied) - skipped
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
        if !self.is_held() && self.checkpoints.is_wanted(self.handed) {
            self.take_checkpoint(ctx);
        }
    }

    /// Hands out what came from disk.
    pub(crate) fn on_fetched(
        &mut self,
        stored: Vec<Stored>,
        origin: &mut Origin,
        ctx: &mut Ctx<'_>,
    ) {
        if self.diverged.is_some() {
            return;
        }
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
                let more = stored.take_while(|next| next.value.is_none()).map(|next| next.ballot);
                self.lose(
                    entry.instance,
                    core::iter::once(entry.ballot).chain(more).collect(),
                    ctx,
                );
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
            if self.missing(ctx) == Some(instance) && !self.is_held() && !ctx.takes_no_values() {
                mark!(EXECUTED_WHAT_WAS_LOST);
                ctx.write(Record::Learned { instance, value: value.clone() });
                self.hand_out(instance, value, origin, ctx);
                self.lost.pop_front();
            }
        }
        self.through(before, ctx);
    }

    /// Whether the disk has lost something that is still to be executed.
    pub(crate) fn is_missing_some(&self) -> bool {
        !self.lost.is_empty()
    }

    /// The next instance, if it is to be executed and the disk has lost it.
    pub(crate) fn missing(&self, env: &Env) -> Option<Instance> {
        self.lost_next().filter(|_| self.room(env))
    }

    /// The same, and the ballot in which it was accepted here.
    pub(crate) fn lost(&self, env: &Env) -> Option<(Instance, Ballot)> {
        self.missing(env).zip(self.lost.front().copied())
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
        while self.handed < entries.chosen() && self.room(ctx) && !self.is_held() {
            let next = self.handed.next();
            if next <= entries.base() {
                if self.is_missing_some() {
                    break;
                }
                mark!(EXECUTE_FROM_DISK);
                let room = ctx.config.apply_ahead_max - self.ahead();
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

    /// The disk gives no values from here on, of what was accepted in these ballots; execution goes on
    /// when a peer does.
    fn lose(&mut self, first: Instance, lost: VecDeque<Ballot>, ctx: &mut Ctx<'_>) {
        if ctx.peers().next().is_none() {
            ctx.fail("the disk lost a chosen value, and nobody else has it", first);
        }
        let last = lost.iter().skip(1).fold(first, |last, _| last.next());
        self.lost = lost;
        ctx.event(Event::ValuesLost(first, last));
    }

    /// Whether nothing is to be handed out, whatever is chosen.
    const fn is_held(&self) -> bool {
        self.installing.is_some() || self.is_stateless || self.diverged.is_some()
    }

    fn room(&self, env: &Env) -> bool {
        self.ahead() < env.config.apply_ahead_max && self.ahead_bytes < env.config.apply_bytes_max
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
            ValueKind::Noop => {}
            ValueKind::Membership => {
                // A session is dropped only when its memory leaves, and it never comes back.
                let above = ctx.history.at(instance.next());
                self.sessions.retain(|origin| above.has(origin));
            }
            ValueKind::Commands => self.hand_out_commands(instance, value, origin, ctx),
        }
        if self.digests.add(instance, value, ctx.config.digest_interval) {
            ctx.out.applies.push(Apply::Digest(instance));
        }
        if self.checkpoints.is_due(instance, value.len(), &ctx.config) {
            self.take_checkpoint(ctx);
        }
    }

    fn hand_out_commands(
        &mut self,
        instance: Instance,
        value: &Value,
        origin: &mut Origin,
        ctx: &mut Ctx<'_>,
    ) {
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

    /// Everything up to here is handed out, and nothing above: the state of now.
    fn take_checkpoint(&mut self, ctx: &mut Ctx<'_>) {
        let at = self.handed;
        let digest = self.digests.log();
        let state =
            snapshot::encode(at, digest, &self.sessions, &self.steward.state(), &ctx.history);
        self.checkpoints.take(at, state.clone());
        ctx.out.applies.push(Apply::Checkpoint { at, state });
    }

    fn through(&self, before: Instance, ctx: &mut Ctx<'_>) {
        if self.handed > before {
            ctx.out.applies.push(Apply::Through(self.handed));
        }
    }
}

#[cfg(test)]
mod tests;
