//! Phase 2: what a leader proposes, and counting the votes for it.

use alloc::collections::VecDeque;

use super::change::{Gate, Turning};
use super::peers::Peers;
use super::phase1::Phase1;
use super::queue::{Queue, Taken};
use crate::entries::Entries;
use crate::env::{Ctx, Env};
use crate::group::Usage;
use crate::ids::{Ballot, Instance, Member, NodeId};
use crate::membership::VoterSet;
use crate::message::Message;
use crate::time::Time;
use crate::value::{Command, Value};

/// One leadership: from the quorum of promises until a higher ballot, lost contact or a transfer.
#[derive(Debug)]
pub(crate) struct Leadership {
    pub(super) ballot: Ballot,
    /// Once this is chosen, everything chosen before this leadership is known chosen.
    pub(super) barrier: Instance,
    /// The instance to propose next.
    pub(super) next: Instance,
    /// Proposed and not yet known chosen: from just above the chosen prefix up to below `next`.
    pub(super) window: VecDeque<Open>,
    window_bytes: usize,
    queue: Queue,
    pub(super) peers: Peers,
    /// The newest probe sent.
    probe: u64,
    /// Probes not yet confirmed, with the time each was sent.
    probes: VecDeque<(u64, Time)>,
    heartbeat: Time,
    /// When the newest probe that a quorum answered was sent.
    contact: Time,
    /// Somebody waits for a probe to be confirmed.
    probe_wanted: bool,
    /// The chosen prefix that the peers were told last.
    told: Instance,
    /// The highest instance that somebody elsewhere may wait for: it holds a command of another
    /// node, or was taken over.
    awaited: Instance,
    /// When news that nobody waits for are told, if nothing carries them before.
    news: Time,
    pub(super) transfer: Option<Transfer>,
    /// The change of the membership that is asked for.
    pub(super) gate: Gate,
    /// The one that is proposed.
    pub(super) turning: Turning,
}

/// An instance that was proposed.
#[derive(Debug)]
pub(super) struct Open {
    votes: VoterSet,
    bytes: usize,
}

/// A hand-over that waits for the window to empty.
#[derive(Clone, Copy, Debug)]
pub(super) struct Transfer {
    to: NodeId,
    until: Time,
}

impl Leadership {
    /// Takes over what phase 1 found, and adds a no-op if that is nothing: a leader knows that it
    /// has seen all that was chosen before it only when an entry of its own ballot is chosen.
    pub(crate) fn start(phase1: Phase1, entries: &Entries, ctx: &mut Ctx<'_>) -> Self {
        let chosen = entries.chosen();
        let peers = Peers::of(ctx.history.members_since(chosen), ctx);
        let mut leadership = Self {
            ballot: phase1.ballot(),
            barrier: Instance::ZERO,
            next: chosen.next(),
            window: VecDeque::new(),
            window_bytes: 0,
            queue: Queue::default(),
            peers,
            probe: 0,
            probes: VecDeque::new(),
            heartbeat: ctx.now,
            contact: ctx.now,
            probe_wanted: false,
            told: Instance::ZERO,
            awaited: Instance::ZERO,
            news: ctx.now,
            transfer: None,
            gate: Gate::default(),
            turning: Turning::No,
        };
        leadership.take_over(phase1, entries, ctx);
        leadership.beat(entries, ctx);
        leadership
    }

    /// Proposes again what promises reported above the chosen prefix, up to the first membership entry
    /// that takes effect: the rest is asked again in its era. Adds a no-op if there is nothing.
    pub(super) fn take_over(&mut self, phase1: Phase1, entries: &Entries, ctx: &mut Ctx<'_>) {
        self.turning = Turning::Barrier;
        for (instance, value) in phase1.values(entries.chosen()) {
            assert!(instance == self.next, "{instance} would leave a hole");
            let entry = value.membership();
            self.propose(value, entries, ctx);
            if entry.is_some_and(|it| it.takes_effect(instance, ctx.cluster, &ctx.history)) {
                mark!(ADOPTS_MEMBERSHIP);
                self.turning = Turning::Entry;
                break;
            }
        }
        if self.window.is_empty() {
            self.propose(Value::NOOP, entries, ctx);
        }
        self.barrier = self.next.prev();
        self.awaited = self.barrier;
    }

    pub(crate) const fn ballot(&self) -> Ballot {
        self.ballot
    }

    /// Where a read that comes now must have applied to, at least.
    ///
    /// Everything that was ever chosen, as far as anyone may have been told: what earlier leaders
    /// chose lies at or below the barrier, what this one chose it knows itself.
    pub(crate) fn read_point(&self, entries: &Entries) -> Instance {
        mark!(READ_BEYOND_CHOSEN if self.barrier > entries.chosen());
        entries.chosen().max(self.barrier)
    }

    /// The newest probe sent.
    pub(crate) const fn probe(&self) -> u64 {
        self.probe
    }

    /// The probe that a question that comes now must wait for: one that has not been sent yet.
    pub(crate) fn want_probe(&mut self) -> u64 {
        self.probe_wanted = true;
        self.probe + 1
    }

    pub(crate) fn queued(&self) -> usize {
        self.queue.len()
    }

    pub(crate) fn window(&self) -> usize {
        self.window.len()
    }

    /// What it holds in memory.
    pub(crate) fn usage(&self, entries: &Entries, usage: &mut Usage) {
        let inherited = self.barrier.above(entries.chosen());
        usage.window_instances = self.window.len();
        usage.window_bytes = self.window_bytes;
        usage.window_inherited = usize::try_from(inherited).expect("in the window");
        usage.queue_commands = self.queue.len();
        usage.queue_bytes = self.queue.bytes();
    }

    pub(crate) const fn contact(&self) -> Time {
        self.contact
    }

    /// Takes a command, to be proposed with others.
    pub(crate) fn take(&mut self, command: Command, spread: bool, env: &Env) -> Taken {
        self.queue.push(env.now, command, spread, &env.config)
    }

    /// Phase 2b: counts the votes of `from` for a range.
    ///
    /// A vote counts once per voter (the set is idempotent), only for this very ballot, only for an
    /// instance that is open, and only if the voter (node *and* incarnation) is in the membership of
    /// that instance (I4).
    pub(crate) fn on_accepted(
        &mut self,
        from: Member,
        ballot: Ballot,
        range: (Instance, Instance),
        entries: &Entries,
        ctx: &mut Ctx<'_>,
    ) {
        if ballot != self.ballot {
            return;
        }
        let first = range.0.max(entries.chosen().next());
        let last = range.1.min(self.next.prev());
        let mut instance = first;
        while instance <= last {
            if let Some(slot) = ctx.history.at(instance).slot(from) {
                let above = instance.above(entries.chosen()) - 1;
                let open = usize::try_from(above).ok().and_then(|i| self.window.get_mut(i));
                open.expect("open instances are in the window").votes.insert(slot);
            }
            instance = instance.next();
        }
        if let Some(peer) = self.peers.find(from) {
            peer.acknowledged(ctx);
        }
    }

    /// Moves the chosen prefix over instances that a quorum accepted, strictly in order (I5): votes
    /// for an instance count only once every lower one is chosen.
    #[inline] // a late vote finds the window empty
    pub(crate) fn advance(&mut self, entries: &mut Entries, ctx: &mut Ctx<'_>) {
        while let Some(open) = self.window.front() {
            let instance = entries.chosen().next();
            if !ctx.history.at(instance).is_quorum(open.votes) {
                return;
            }
            let held = entries.slot(instance).map(|slot| slot.ballot);
            assert!(
                held == Some(self.ballot),
                "votes of {} were counted at {instance}, where {held:?} is held (I5)",
                self.ballot
            );
            entries.choose_next();
            self.close();
            self.news = ctx.now + ctx.config.batch_delay;
        }
    }

    /// The lowest open instance became chosen: by votes counted here, or learned with the very value
    /// that was proposed here.
    pub(crate) fn close(&mut self) {
        let open = self.window.pop_front().expect("an instance that was proposed is open");
        self.window_bytes -= open.bytes;
    }

    /// Up to where the log may be cleaned for the peers' sake.
    pub(crate) fn reported(&self, env: &Env) -> Instance {
        self.peers.reported(env)
    }

    /// Whether the leader proposed at an instance.
    pub(crate) fn proposed(&self, instance: Instance) -> bool {
        instance < self.next
    }

    /// A peer answered a probe, or reported how far it is.
    pub(crate) fn on_heartbeat_ack(
        &mut self,
        from: Member,
        probe: u64,
        chosen: Instance,
        entries: &Entries,
        ctx: &mut Ctx<'_>,
    ) {
        let latest = self.probe;
        if let Some(peer) = self.peers.find(from)
            && probe <= latest
        {
            peer.answered = peer.answered.max(probe);
            peer.report(chosen, entries.chosen(), ctx);
        }
        self.confirm(ctx);
    }

    /// The newest probe that a quorum answered.
    pub(crate) fn confirmed(&self, env: &Env) -> u64 {
        let confirmed = |m| self.peers.confirmed(m, env.me, self.probe);
        env.deciding().map(confirmed).min().unwrap_or(0)
    }

    /// Proposes what may leave now, tells what is chosen, repeats what was not answered.
    ///
    /// Called when time has passed and when the embedder has run out of inputs, so commands that
    /// came together share an instance, and a lone one leaves at once.
    pub(crate) fn tick(&mut self, entries: &Entries, ctx: &mut Ctx<'_>) {
        self.run_change(entries, ctx);
        self.flush(entries, ctx);
        self.repeat(entries, ctx);
        if ctx.now >= self.heartbeat || self.probe_wanted {
            self.beat(entries, ctx);
        } else if self.news(entries).is_some_and(|news| ctx.now >= news) {
            self.told = entries.chosen();
            let (ballot, chosen) = (self.ballot, entries.chosen());
            ctx.send_all(&Message::Heartbeat { ballot, probe: 0, chosen });
        }
    }

    /// Proposes full batches at once, without waiting for the embedder to run out of inputs.
    pub(crate) fn flush_full(&mut self, entries: &Entries, ctx: &mut Ctx<'_>) {
        while self.proposes()
            && self.queue.is_full_batch(&ctx.config)
            && self.propose_batch(entries, ctx)
        {}
    }

    /// When to tick next.
    pub(crate) fn deadline(&self, entries: &Entries, env: &Env) -> Time {
        if self.probe_wanted {
            return env.now;
        }
        let mut deadline = self.heartbeat.min(self.peers.deadline());
        if let Some(news) = self.news(entries) {
            deadline = deadline.min(news);
        }
        deadline = deadline.min(self.change_deadline(entries, env));
        if let Some(due) = self.queue.due(&env.config)
            && self.proposes()
            && self.room(env)
        {
            if self.window.is_empty() {
                return env.now;
            }
            deadline = deadline.min(due);
        }
        if let Some(transfer) = self.transfer {
            let ready = self.window.is_empty() && !self.is_shut();
            deadline = if ready { env.now } else { deadline.min(transfer.until) };
        }
        deadline
    }

    /// Stops proposing, so that leadership can be handed over without a gap.
    pub(crate) fn transfer(&mut self, to: NodeId, env: &Env) {
        let newest = env.history.newest();
        let voter = newest.voters().iter().any(|voter| voter.node == to && *voter != env.me);
        if voter && self.transfer.is_none() {
            mark!(TRANSFER_WAITS if !self.window.is_empty());
            self.transfer = Some(Transfer { to, until: env.now + env.config.election_timeout });
        }
    }

    /// Whom to release the ballot to now: the window is empty, so nothing is left half done. A
    /// transfer that does not get there in time is dropped, and leading goes on.
    pub(crate) fn release_to(&mut self, env: &Env) -> Option<NodeId> {
        let transfer = self.transfer?;
        if self.window.is_empty() && !self.is_shut() {
            return Some(transfer.to);
        }
        if env.now >= transfer.until {
            mark!(TRANSFER_DROPPED);
            self.transfer = None;
        }
        None
    }

    /// Whom to release the ballot to when this node cannot go on.
    pub(crate) fn successor(&self, env: &Env) -> Option<NodeId> {
        self.peers.freshest(env.history.newest()).map(|peer| peer.member.node)
    }

    #[inline]
    pub(crate) fn invariants(&self, entries: &Entries, config: &crate::config::Config) {
        let open = u64::try_from(self.window.len()).expect("fits");
        assert!(
            self.next.above(entries.chosen()) == open + 1,
            "the window holds {open} instances between {} and {}",
            entries.chosen(),
            self.next
        );
        assert!(self.queue.len() <= config.queue_commands_max, "the queue passed its limit (I9)");
        assert!(self.probes.len() <= PROBES_MAX, "the probes passed their limit (I9)");
    }

    fn flush(&mut self, entries: &Entries, ctx: &mut Ctx<'_>) {
        self.flush_full(entries, ctx);
        let due = self.queue.due(&ctx.config).is_some_and(|due| ctx.now >= due);
        if self.proposes() && (due || self.window.is_empty()) {
            self.propose_batch(entries, ctx);
        }
    }

    fn propose_batch(&mut self, entries: &Entries, ctx: &mut Ctx<'_>) -> bool {
        if !self.room(ctx) {
            mark!(WINDOW_FULL if self.window.len() >= ctx.config.window_instances_max);
            mark!(WINDOW_BYTES_FULL if self.window_bytes >= ctx.config.window_bytes_max);
            mark!(WRITES_FULL if ctx.writes_full());
            return false;
        }
        let me = ctx.me.incarnation;
        let Some((value, own)) = self.queue.next_value(ctx.now, me, &ctx.config) else {
            return false;
        };
        if !own {
            self.awaited = self.next;
        }
        self.propose(value, entries, ctx);
        true
    }

    fn room(&self, env: &Env) -> bool {
        self.window.len() < env.config.window_instances_max
            && self.window_bytes < env.config.window_bytes_max
            && !env.takes_no_values()
    }

    /// Phase 2a: to everyone who can take it, and to our own acceptor like to any other, whose vote
    /// counts once it is durable.
    pub(super) fn propose(&mut self, value: Value, entries: &Entries, ctx: &mut Ctx<'_>) {
        let instance = self.next;
        self.next = instance.next();
        self.window.push_back(Open { votes: VoterSet::default(), bytes: value.len() });
        self.window_bytes += value.len();
        let (ballot, chosen) = (self.ballot, entries.chosen());
        self.told = chosen;
        for peer in self.peers.iter_mut() {
            if peer.takes_accepts() {
                peer.sent(ctx);
                let value = value.clone();
                ctx.send(peer.member.node, Message::Accept { ballot, instance, value, chosen });
            }
        }
        let me = ctx.me.node;
        ctx.send(me, Message::Accept { ballot, instance, value, chosen });
    }

    /// Sends again what a peer has not acknowledged, up to a page.
    fn repeat(&mut self, entries: &Entries, ctx: &mut Ctx<'_>) {
        let (ballot, chosen) = (self.ballot, entries.chosen());
        for peer in self.peers.iter_mut() {
            if !peer.repeat(ctx) {
                continue;
            }
            let mut bytes = 0;
            let mut open = false;
            let mut instance = chosen;
            for entry in &self.window {
                instance = instance.next();
                let slot = ctx.history.at(instance).slot(peer.member);
                if slot.is_none_or(|slot| entry.votes.contains(slot)) {
                    continue;
                }
                open = true;
                if bytes >= ctx.config.page_bytes_max || !peer.takes_accepts() {
                    break;
                }
                if let Some(value) = entries.value(instance).cloned() {
                    mark!(REPEATS_ACCEPT);
                    bytes += value.len();
                    ctx.send(peer.member.node, Message::Accept { ballot, instance, value, chosen });
                }
            }
            if !open {
                peer.rest();
            }
        }
    }

    pub(crate) fn beat(&mut self, entries: &Entries, ctx: &mut Ctx<'_>) {
        self.probe_wanted = false;
        self.probe += 1;
        if self.probes.len() == PROBES_MAX {
            self.probes.pop_front();
        }
        self.probes.push_back((self.probe, ctx.now));
        self.heartbeat = ctx.now + ctx.config.heartbeat_interval;
        self.told = entries.chosen();
        let (ballot, probe, chosen) = (self.ballot, self.probe, entries.chosen());
        ctx.send_all(&Message::Heartbeat { ballot, probe, chosen });
        self.confirm(ctx);
    }

    fn confirm(&mut self, env: &Env) {
        let confirmed = self.confirmed(env);
        while let Some((probe, sent)) = self.probes.front().copied()
            && probe <= confirmed
        {
            self.contact = self.contact.max(sent);
            self.probes.pop_front();
        }
    }

    /// When to tell the peers what became chosen, if no accept in flight carries it: at once if
    /// somebody there may wait for it, else soon, since the next accept may come before.
    fn news(&self, entries: &Entries) -> Option<Time> {
        let news = self.window.is_empty() && self.told < entries.chosen();
        let at = if self.awaited > self.told { Time::ZERO } else { self.news };
        news.then_some(at)
    }
}

/// Probes remembered with their time; an older one that is answered later gives no contact.
const PROBES_MAX: usize = 1024;

#[cfg(test)]
mod tests;
