//! Leader election: who is heard to lead, and when to ask for it ourselves.

use alloc::vec::Vec;
use core::time::Duration;

use crate::acceptor::Acceptor;
use crate::env::{Ctx, Env};
use crate::ids::{Ballot, Instance, Member, NodeId};
use crate::message::Message;
use crate::outbox::Event;
use crate::time::Time;

/// What this node knows of leaders, and its own candidacy.
#[derive(Debug)]
pub(crate) struct Election {
    /// The ballot of the leader heard last; zero if none was, or if it let go.
    leader: Ballot,
    /// When it was heard last.
    heard: Time,
    /// How long this node waits for the leader of now, whenever it is heard.
    patience: Duration,
    /// When to canvass if no leader is heard until then.
    timeout: Time,
    /// The highest round met anywhere.
    round: u64,
    /// When this node promised a candidate last, or was told a part of a promise as one.
    courted: Option<Time>,
    /// When this node canvassed last.
    canvassed: Option<Time>,
    canvass: Option<Canvass>,
    /// Whom a node without a vote asked last.
    turn: NodeId,
    jitter: u64,
}

/// The question whether we could lead, while it is open.
#[derive(Debug)]
struct Canvass {
    ballot: Ballot,
    yes: Vec<Member>,
}

impl Election {
    pub(crate) fn new(promised: Ballot, seed: u64) -> Self {
        Self {
            leader: Ballot::ZERO,
            heard: Time::ZERO,
            patience: Duration::ZERO,
            timeout: Time::MAX,
            round: promised.round,
            courted: None,
            canvassed: None,
            canvass: None,
            turn: NodeId(0),
            jitter: seed,
        }
    }

    /// The ballot of the live leader, ourselves included; zero if none is live.
    pub(crate) const fn leader(&self) -> Ballot {
        self.leader
    }

    pub(crate) const fn canvassing(&self) -> bool {
        self.canvass.is_some()
    }

    /// Waits for a leader for a time drawn anew: once to twice the election timeout, less for a
    /// higher priority.
    pub(crate) fn wait(&mut self, env: &Env) {
        self.patience = self.draw(env.config.election_timeout, env);
        self.timeout = env.now + self.patience;
    }

    /// Waits half as long: this node led until now, and others wait for whoever outbid it.
    pub(crate) fn wait_less(&mut self, env: &Env) {
        self.timeout = env.now + self.draw(env.config.election_timeout / 2, env);
    }

    /// Waits half to one election timeout at most, unless this node has canvassed just now.
    fn wait_at_most_one(&mut self, env: &Env) {
        let soon = env.now + self.draw(env.config.election_timeout / 2, env);
        let again = self.canvassed.map_or(Time::ZERO, |at| at + env.config.election_timeout);
        mark!(CANVASS_HASTENED if soon.max(again) < self.timeout);
        self.timeout = self.timeout.min(soon.max(again));
    }

    /// This node promised a candidate: it waits to hear it lead, and for a while grants no other
    /// canvass, so that two candidates do not outbid each other for ever.
    pub(crate) fn promised(&mut self, env: &Env) {
        self.courted = Some(env.now);
        self.vacant(env);
    }

    /// A page of a promise came to this candidate, and there are more of it: for a while it grants no
    /// canvass either, see [`promised`](Self::promised).
    ///
    /// Those who have told it all that they know hear nothing of it while others go on, and canvass.
    /// If every quorum needs this node, as in a chain, they would outbid it as long as it granted
    /// that, and begin with the first page themselves. Nobody is held up for longer than there are
    /// pages, each of which comes within half an election timeout of the one before: what a voter
    /// has told already, and has to tell again, is no news.
    pub(crate) fn gets_on(&mut self, env: &Env) {
        self.courted = Some(env.now);
    }

    /// A leader spoke, in a ballot not below our promise: it is live.
    pub(crate) fn heard(&mut self, ballot: Ballot, ctx: &mut Ctx<'_>) {
        if self.leader != ballot {
            self.leader = ballot;
            ctx.event(Event::Following(ballot));
            self.wait(ctx);
        }
        self.heard = ctx.now;
        self.round = self.round.max(ballot.round);
        self.canvass = None;
        self.timeout = ctx.now + self.patience;
    }

    /// This node leads now.
    pub(crate) fn leads(&mut self, ballot: Ballot, env: &Env) {
        self.leader = ballot;
        self.heard = env.now;
        self.canvass = None;
    }

    /// The leader let go or is gone: nobody is live until somebody is heard.
    pub(crate) fn vacant(&mut self, env: &Env) {
        self.leader = Ballot::ZERO;
        self.canvass = None;
        self.wait(env);
    }

    /// A higher ballot was met: ask above it next time.
    pub(crate) fn met(&mut self, ballot: Ballot) {
        if ballot.round < Ballot::ROUND_LIMIT {
            self.round = self.round.max(ballot.round);
        }
    }

    /// A ballot above everything met, in which nothing was ever said (I3).
    pub(crate) fn next_ballot(&mut self, promised: Ballot, me: Member) -> Ballot {
        self.round = self.round.max(promised.round) + 1;
        Ballot { round: self.round, node: me.node, incarnation: me.incarnation }
    }

    /// Would we promise this ballot? A question that changes nothing on disk, and puts off no timer.
    ///
    /// No, while a leader is heard: a node that merely cannot hear it must not unseat it. The leader
    /// itself asking means that it no longer leads: it asks in a ballot above the one that it led in.
    ///
    /// Yes means that no leader is known here either. If the asker reaches a quorum, its question for
    /// promises follows within two round trips, and whoever promises waits anew. If none follows, the
    /// asker reaches too few, and somebody who reaches more has to ask: the hub of a star is heard by
    /// all while the others ask in vain. So we ask sooner, though never twice in an election timeout,
    /// which keeps those who reach no quorum as quiet as they would be.
    pub(crate) fn on_canvass(
        &mut self,
        from: NodeId,
        ballot: Ballot,
        promised: Ballot,
        chosen: Instance,
        ctx: &mut Ctx<'_>,
    ) {
        let patience = ctx.config.election_timeout / 2;
        let courted = self.courted.is_some_and(|at| ctx.now < at + patience);
        let granted = ballot > promised
            && (!self.live(ctx) || self.leader.node == from)
            && (!courted || promised.node == from);
        mark!(CANVASS_REFUSED_LEADER_HEARD if self.live(ctx) && self.leader.node != from);
        mark!(CANVASS_REFUSED_COURTED if courted && promised.node != from);
        if granted {
            self.leader = Ballot::ZERO;
            self.wait_at_most_one(ctx);
        }
        ctx.vote(from, Message::CanvassReply { ballot, granted, promised, chosen });
    }

    /// Counts an answer; returns the ballot to run for once a quorum would promise it.
    pub(crate) fn on_reply(
        &mut self,
        from: Member,
        ballot: Ballot,
        granted: bool,
        promised: Ballot,
        env: &Env,
    ) -> Option<Ballot> {
        self.met(promised);
        let canvass = self.canvass.as_mut()?;
        if canvass.ballot != ballot || !granted {
            return None;
        }
        if !canvass.yes.contains(&from) && canvass.yes.len() < YES_MAX {
            canvass.yes.push(from);
        }
        env.is_quorum(&canvass.yes).then_some(ballot)
    }

    /// Leaves it to others, if it is time to canvass: the state machines have lost what they start from.
    ///
    /// This node goes on only with a checkpoint of others, so they have to execute; and those that are
    /// behind what it has cleaned can learn from it no more. What they miss they can still find in each
    /// other's votes, but only in a phase 1 of their own. In one of ours nobody asks there, since here
    /// all of it is known to be chosen. Nothing is lost by waiting: whoever has executed what is
    /// cleaned here can lead with our vote, and without anybody who has, nobody executes anything.
    pub(crate) fn abstain(&mut self, ctx: &mut Ctx<'_>) {
        if self.is_time(ctx) {
            mark!(CANVASS_LEFT_TO_OTHERS);
        }
    }

    /// Canvasses if it is time to; returns the ballot to run for if we are a quorum by ourselves.
    ///
    /// Only voters run, and not while their own disk is stuck or full: they could not even
    /// promise, or not propose.
    pub(crate) fn tick(&mut self, acceptor: &Acceptor, ctx: &mut Ctx<'_>) -> Option<Ballot> {
        if !self.is_time(ctx) {
            return None;
        }
        let me = ctx.me;
        if ctx.chosen < ctx.history.version() {
            mark!(CANVASS_PUT_OFF_TO_LEARN);
            return None; // what is chosen there has to be learned, not proposed again
        }
        if ctx.journal.stalled(ctx.now, ctx.config.election_timeout) {
            mark!(CANVASS_PUT_OFF_DISK_STALLED);
            return None;
        }
        if !ctx.has_room {
            mark!(CANVASS_PUT_OFF_DISK_FULL);
            return None;
        }
        let ballot = self.next_ballot(acceptor.promised(), me);
        let yes = alloc::vec![me];
        ctx.event(Event::Canvassing(ballot));
        if ctx.is_quorum(&yes) {
            return Some(ballot);
        }
        self.canvassed = Some(ctx.now);
        self.canvass = Some(Canvass { ballot, yes });
        ctx.send_all(&Message::Canvass { ballot });
        if ctx.history.version() > Instance::ZERO {
            // Some may not know yet that they vote, and would not answer.
            let chosen = ctx.chosen;
            ctx.send_all(&Message::Hold { ballot, chosen });
        }
        None
    }

    /// Whether it is time to canvass, for which a node without a vote has a question in its place.
    fn is_time(&mut self, ctx: &mut Ctx<'_>) -> bool {
        if !self.live(ctx) {
            self.leader = Ballot::ZERO;
        }
        if ctx.now < self.timeout {
            return false;
        }
        self.wait(ctx);
        let is_voter = ctx.is_voter(ctx.me);
        if !is_voter {
            self.ask_around(ctx);
        }
        is_voter
    }

    /// A node without a vote hears no leader. It may have missed that it was removed, or swapped in, or
    /// that others vote by now; somebody it knows may tell.
    fn ask_around(&mut self, ctx: &mut Ctx<'_>) {
        if ctx.is_removed() {
            return;
        }
        if let Some(to) = ctx.peer_after(self.turn) {
            mark!(ASKS_AROUND);
            self.turn = to;
            let from = ctx.chosen.next();
            ctx.send(to, Message::Learn { from, lost: false });
        }
    }

    /// When to tick next.
    pub(crate) fn deadline(&self, env: &Env) -> Time {
        if self.leader == Ballot::ZERO {
            return self.timeout;
        }
        let gone = self.heard + env.config.election_timeout + Duration::from_nanos(1);
        self.timeout.min(gone)
    }

    /// Canvasses at the next tick.
    pub(crate) fn hurry(&mut self, env: &Env) {
        self.timeout = env.now;
    }

    /// Once to twice `base`, less for a higher priority.
    fn draw(&mut self, base: Duration, env: &Env) -> Duration {
        let spread = base / (u32::from(env.config.priority) + 1);
        let spread = u64::try_from(spread.as_nanos()).unwrap_or(u64::MAX).max(1);
        base + Duration::from_nanos(self.next_random() % spread)
    }

    /// Whether a leader was heard within an election timeout.
    fn live(&self, env: &Env) -> bool {
        let recent = env.now <= self.heard + env.config.election_timeout;
        self.leader != Ballot::ZERO && (recent || self.leader.member() == env.me)
    }

    /// splitmix64: election jitter needs to differ between nodes, not to be unpredictable.
    const fn next_random(&mut self) -> u64 {
        self.jitter = self.jitter.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.jitter;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// Answers counted at most; more than two memberships have voters.
const YES_MAX: usize = 128;

#[cfg(test)]
mod tests;
