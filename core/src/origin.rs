//! Proposals made at this node: named, handed to whoever leads, and resolved, by their deadline at
//! the latest.

use alloc::collections::VecDeque;

use bytes::Bytes;

use crate::env::{Ctx, Env};
use crate::ids::{Ballot, Incarnation, Instance, ProposalId, SmId};
use crate::message::Message;
use crate::outbox::{Outcome, Refusal};
use crate::proposer::Proposer;
use crate::proposer::queue::Taken;
use crate::time::Time;
use crate::value::{COMMAND_OVERHEAD, Command, CommandKey, ValueWriter};

/// The unresolved proposals of this process life, by sequence number.
///
/// A command keeps its key for life. It is handed to every new leader until it is resolved, so it
/// may be chosen more than once; the sessions execute it once.
#[derive(Debug)]
pub(crate) struct Origin {
    incarnation: Incarnation,
    boot: u64,
    /// The lowest sequence number that is not resolved: that of the first entry.
    low: u64,
    unresolved: VecDeque<Option<Unresolved>>,
    /// Of those that somebody waits for.
    count: usize,
    bytes: usize,
    /// Of the group's own: they have room beside those, so that neither keeps the other out.
    own: usize,
    /// The leadership that commands are being handed to.
    leader: Ballot,
    /// Everything up to here was handed to it.
    handed: u64,
    /// Everything up to here was handed to it before `retry` was set.
    aged: u64,
    /// When to hand over again what is still unresolved: messages get lost.
    retry: Time,
    /// No deadline passes before this.
    expiry: Time,
    writer: ValueWriter,
}

#[derive(Debug)]
struct Unresolved {
    /// None if the group itself proposed it: nobody waits.
    id: Option<ProposalId>,
    command: Command,
    deadline: Time,
    /// The first leadership it was handed to; zero if to none yet.
    first: Ballot,
    /// It was handed to more than one, so a refusal of one decides nothing.
    spread: bool,
}

/// How many of the group's own proposals are open at most: two for a master to renew by, and one to let go.
const OWN_MAX: usize = 3;

impl Origin {
    pub(crate) fn new(incarnation: Incarnation, boot: u64) -> Self {
        Self {
            incarnation,
            boot,
            low: 1,
            unresolved: VecDeque::new(),
            count: 0,
            bytes: 0,
            own: 0,
            leader: Ballot::ZERO,
            handed: 0,
            aged: 0,
            retry: Time::MAX,
            expiry: Time::MAX,
            writer: ValueWriter::new(),
        }
    }

    /// How many proposals are unresolved, without the group's own.
    pub(crate) const fn len(&self) -> usize {
        self.count
    }

    /// The newest proposal, if it is unresolved.
    #[cfg(test)]
    pub(crate) fn newest(&self) -> Option<&Command> {
        self.unresolved.back()?.as_ref().map(|unresolved| &unresolved.command)
    }

    /// Bytes of these.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// From the oldest unresolved proposal to the newest.
    pub(crate) fn span(&self) -> usize {
        self.unresolved.len()
    }

    /// Takes a proposal; it leaves with the next [`flush`](Self::flush).
    pub(crate) fn propose(
        &mut self,
        id: ProposalId,
        sm: SmId,
        payload: Bytes,
        deadline: Time,
        ctx: &mut Ctx<'_>,
    ) {
        assert!(sm != SmId::MASTER, "a proposal for {sm:?}, which is no machine of a user's");
        if let Some(refusal) = self.refused_user(payload.len(), ctx) {
            ctx.out.outcomes.push(Outcome::Refused(id, refusal));
            return;
        }
        self.add(Some(id), sm, payload, deadline);
    }

    /// Proposes something of the group's own; its key, unless it is refused. Nobody is told what
    /// becomes of it. A few may be open beside all that users propose: a master that renews its lease as
    /// often as a command takes would otherwise have the last place for good, or never.
    pub(crate) fn propose_own(
        &mut self,
        sm: SmId,
        payload: Bytes,
        deadline: Time,
        ctx: &mut Ctx<'_>,
    ) -> Option<CommandKey> {
        if self.own >= OWN_MAX || self.refusal(payload.len(), ctx).is_some() {
            return None;
        }
        Some(self.add(None, sm, payload, deadline))
    }

    /// Whether what becomes of a proposal of this process is still open.
    pub(crate) fn is_open(&self, key: CommandKey) -> bool {
        let is_own = key.origin == self.incarnation && key.boot == self.boot;
        let index = key.seq.checked_sub(self.low).and_then(|index| usize::try_from(index).ok());
        is_own && index.and_then(|index| self.unresolved.get(index)?.as_ref()).is_some()
    }

    fn add(
        &mut self,
        id: Option<ProposalId>,
        sm: SmId,
        payload: Bytes,
        deadline: Time,
    ) -> CommandKey {
        let seq = self.next_seq();
        let key = CommandKey { origin: self.incarnation, boot: self.boot, seq };
        if id.is_some() {
            self.count += 1;
            self.bytes += payload.len();
        } else {
            self.own += 1;
        }
        let command = Command { key, low: self.low, sm, payload };
        let first = Ballot::ZERO;
        let unresolved = Unresolved { id, command, deadline, first, spread: false };
        self.unresolved.push_back(Some(unresolved));
        self.expiry = self.expiry.min(deadline);
        key
    }

    /// Hands what is new, and to a new leader everything, to the leader: to ourselves directly.
    pub(crate) fn flush(&mut self, leader: Ballot, proposer: &mut Proposer, ctx: &mut Ctx<'_>) {
        if leader == Ballot::ZERO {
            return;
        }
        if leader != self.leader {
            self.leader = leader;
            self.handed = self.low - 1;
            self.aged = self.low - 1;
            self.retry = ctx.now + ctx.config.election_timeout;
        } else if ctx.now >= self.retry {
            mark!(FORWARDED_AGAIN if self.low <= self.aged);
            // What was handed over a whole period ago may be lost: from the oldest on, again.
            let (again, last) = (self.low, self.aged);
            self.aged = self.handed;
            self.retry = ctx.now + ctx.config.election_timeout;
            self.hand_over(again, last, proposer, ctx);
        }
        let (first, last) = (self.handed + 1, self.next_seq() - 1);
        if first <= last {
            self.handed = last;
            self.hand_over(first.max(self.low), last, proposer, ctx);
        }
    }

    /// The leader of `ballot` did not take a command. If no other leader ever had it, it is refused
    /// for good; otherwise it is handed over again later, until its deadline.
    pub(crate) fn on_refused(&mut self, ballot: Ballot, key: CommandKey, ctx: &mut Ctx<'_>) {
        if key.origin != self.incarnation || key.boot != self.boot || ballot != self.leader {
            return;
        }
        let Some(entry) = self.entry(key.seq) else { return };
        mark!(REFUSAL_DECIDES_NOTHING if entry.first != ballot || entry.spread);
        if entry.first == ballot && !entry.spread {
            let id = entry.id;
            self.remove(key.seq);
            let refused = id.map(|id| Outcome::Refused(id, Refusal::Overloaded));
            ctx.out.outcomes.extend(refused);
        }
    }

    /// A command is executed here: the proposal that waits for it, if it is ours and still waits.
    pub(crate) fn resolve(&mut self, key: CommandKey) -> Option<ProposalId> {
        if key.origin != self.incarnation || key.boot != self.boot {
            return None;
        }
        mark!(RESULT_TOO_LATE if self.entry(key.seq).is_none());
        self.remove(key.seq)
    }

    /// Gives up on proposals whose deadline has passed: what becomes of them is unknown.
    #[inline]
    pub(crate) fn expire(&mut self, ctx: &mut Ctx<'_>) {
        if ctx.now >= self.expiry {
            self.expire_due(ctx);
        }
    }

    /// A checkpoint at `at` was installed, whose sessions have met some commands: each was executed once,
    /// at or below `at`, and what it gave is not heard here any more.
    ///
    /// Those that it has not met are still to be executed, if they are chosen at all: an unresolved
    /// command is never below the `low` that a later one told.
    pub(crate) fn skip(
        &mut self,
        at: Instance,
        met: impl Fn(CommandKey) -> bool,
        ctx: &mut Ctx<'_>,
    ) {
        for seq in self.low..self.next_seq() {
            let is_met = self.entry(seq).is_some_and(|entry| met(entry.command.key));
            if is_met && let Some(id) = self.remove(seq) {
                mark!(PROPOSAL_IN_INSTALLED_CHECKPOINT);
                ctx.out.outcomes.push(Outcome::Executed(id, at));
            }
        }
    }

    /// Refuses everything: the group has failed here.
    pub(crate) fn fail(&mut self, ctx: &mut Ctx<'_>) {
        for seq in self.low..self.next_seq() {
            if let Some(id) = self.remove(seq) {
                ctx.out.outcomes.push(Outcome::Unknown(id));
            }
        }
    }

    /// When to flush or expire next.
    pub(crate) fn deadline(&self, leader: Ballot, now: Time) -> Time {
        if self.count + self.own == 0 || leader == Ballot::ZERO {
            return self.expiry;
        }
        if leader != self.leader || self.handed + 1 < self.next_seq() {
            return now;
        }
        self.expiry.min(self.retry)
    }

    #[inline]
    pub(crate) fn invariants(&self, config: &crate::config::Config) {
        assert!(
            self.count <= config.proposals_max && self.own <= OWN_MAX,
            "{} proposals and {} of the group's own passed the limits (I9)",
            self.count,
            self.own
        );
    }

    fn expire_due(&mut self, ctx: &mut Ctx<'_>) {
        let (low, end) = (self.low, self.next_seq());
        self.expiry = Time::MAX;
        for seq in low..end {
            let Some(entry) = self.entry(seq) else { continue };
            if entry.deadline <= ctx.now {
                mark!(DEADLINE_PASSED);
                mark!(DEADLINE_PASSED_UNSENT if entry.first == Ballot::ZERO);
                let id = entry.id;
                self.remove(seq);
                ctx.out.outcomes.extend(id.map(Outcome::Unknown));
            } else {
                let deadline = entry.deadline;
                self.expiry = self.expiry.min(deadline);
            }
        }
    }

    fn refused_user(&self, bytes: usize, env: &Env) -> Option<Refusal> {
        let refusal = self.refusal(bytes, env);
        let over = self.bytes + bytes > env.config.proposal_bytes_max && self.count > 0;
        if refusal.is_none() && (over || self.count >= env.config.proposals_max) {
            mark!(PROPOSAL_REFUSED_BYTES if over);
            mark!(PROPOSAL_REFUSED_COUNT if !over);
            return Some(Refusal::Overloaded);
        }
        refusal
    }

    /// Why nothing more is taken, whoever proposes it.
    fn refusal(&self, bytes: usize, env: &Env) -> Option<Refusal> {
        let span = u64::try_from(self.unresolved.len()).unwrap_or(u64::MAX);
        if bytes > env.config.command_bytes_max {
            mark!(PROPOSAL_REFUSED_TOO_LARGE);
            Some(Refusal::TooLarge)
        } else if !env.history.newest().has(self.incarnation) {
            mark!(PROPOSAL_REFUSED_NOT_MEMBER);
            Some(Refusal::NotMember)
        } else if !env.has_room {
            mark!(PROPOSAL_REFUSED_DISK_FULL);
            Some(Refusal::Overloaded)
        } else if span >= crate::sessions::SESSION_WINDOW {
            Some(Refusal::Overloaded)
        } else {
            None
        }
    }

    fn next_seq(&self) -> u64 {
        self.low + u64::try_from(self.unresolved.len()).expect("fits")
    }

    fn entry(&mut self, seq: u64) -> Option<&mut Unresolved> {
        let index = usize::try_from(seq.checked_sub(self.low)?).ok()?;
        self.unresolved.get_mut(index)?.as_mut()
    }

    fn remove(&mut self, seq: u64) -> Option<ProposalId> {
        let index = usize::try_from(seq.checked_sub(self.low)?).ok()?;
        let place = self.unresolved.get_mut(index)?;
        let entry = place.as_ref()?;
        let (id, bytes) = (entry.id, entry.command.payload.len());
        *place = None;
        if id.is_some() {
            self.count -= 1;
            self.bytes -= bytes;
        } else {
            self.own -= 1;
        }
        while let Some(None) = self.unresolved.front() {
            self.unresolved.pop_front();
            self.low += 1;
        }
        self.handed = self.handed.max(self.low - 1);
        id
    }

    fn hand_over(&mut self, first: u64, last: u64, proposer: &mut Proposer, ctx: &mut Ctx<'_>) {
        let leader = self.leader;
        let (mut count, mut bytes, mut batch_spread) = (0, 0, false);
        let mut seq = first;
        while seq <= last {
            let Some(entry) = self.entry(seq) else {
                seq += 1;
                continue;
            };
            mark!(FORWARDED_TO_SECOND_LEADER
                if !entry.spread && entry.first != Ballot::ZERO && entry.first != leader);
            entry.spread |= entry.first != Ballot::ZERO && entry.first != leader;
            if entry.first == Ballot::ZERO {
                entry.first = leader;
            }
            let (command, spread) = (entry.command.clone(), entry.spread);
            seq += 1;
            if leader.member() == ctx.me {
                let Some(leadership) = proposer.leading() else { return };
                let key = command.key;
                if leadership.take(command, spread, ctx) == Taken::Full {
                    self.on_refused(leader, key, ctx);
                }
                continue;
            }
            if count > 0 && spread != batch_spread {
                self.send(batch_spread, ctx);
                (count, bytes) = (0, 0);
            }
            batch_spread = spread;
            self.writer.push(&command);
            count += 1;
            bytes += command.payload.len() + COMMAND_OVERHEAD;
            if count >= ctx.config.batch_commands_max || bytes >= ctx.config.batch_bytes_max {
                self.send(spread, ctx);
                (count, bytes) = (0, 0);
            }
        }
        if count > 0 {
            self.send(batch_spread, ctx);
        }
    }

    fn send(&mut self, spread: bool, ctx: &mut Ctx<'_>) {
        mark!(FORWARDED);
        let (ballot, commands) = (self.leader, self.writer.finish());
        ctx.send(ballot.node, Message::Forward { ballot, spread, commands });
    }
}

#[cfg(test)]
mod tests;
