//! Linearizable reads from any node: a batch of reads asks the leader up to where it must have
//! applied, and the leader asks a quorum whether it still leads.
//!
//! A lease lets the leader answer without the round.
//!
//! # Reads that may be stale
//!
//! Whoever is content with a state that is at most so old is served at once, without anybody being asked,
//! from the last answer: it is true of what was chosen when its question *left*, so the state there holds
//! all that was acknowledged before that moment, wherever it was. The time since then goes by this
//! node's own clock alone, and is counted as longer than it shows by the bound on clock rates. Nothing
//! rests on a lease, on who leads, or on when the answer came. If the last answer is too old the read is
//! like any other, and its answer serves those that follow.

use alloc::collections::VecDeque;
use core::time::Duration;

use crate::clocks::lengthened;
use crate::env::Ctx;
use crate::ids::{Ballot, Instance, Member, NodeId, ReadId};
use crate::message::Message;
use crate::outbox::{Outcome, ReadRefusal};
use crate::time::Time;

/// The reads that wait at this node, in the order they came.
#[derive(Debug)]
pub(crate) struct Reads {
    waiting: VecDeque<Waiting>,
    /// The newest question sent. Questions of other process lives have other high halves.
    round: u64,
    /// Reads that came after the newest question was sent wait for the next one.
    unasked: usize,
    /// Whom the newest question went to, while it is not answered.
    asked: Option<Ballot>,
    /// When to ask again.
    retry: Time,
    /// When the newest question was sent.
    sent: Time,
    /// The newest answer.
    known: Option<Known>,
    /// No deadline passes before this.
    expiry: Time,
}

/// An answer: everything acknowledged before the question left is at or below the point.
#[derive(Clone, Copy, Debug)]
struct Known {
    sent: Time,
    point: Instance,
}

#[derive(Debug)]
struct Waiting {
    id: ReadId,
    deadline: Time,
    /// Any answer to this question or a later one will do.
    round: u64,
}

impl Reads {
    /// Counts questions from a number that no other life of this memory uses.
    ///
    /// An answer may be on its way while the asker restarts: it is true of what was chosen when its
    /// own question was asked, and would serve a later read too low if the new life asked by the
    /// same number.
    pub(crate) const fn new(me: Member, boot: u64) -> Self {
        let life = me.incarnation.0.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(boot);
        Self {
            waiting: VecDeque::new(),
            round: life << 32,
            unasked: 0,
            asked: None,
            retry: Time::MAX,
            sent: Time::ZERO,
            known: None,
            expiry: Time::MAX,
        }
    }

    /// How many reads wait.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Takes a read; the question leaves with the next [`flush`](Self::flush), unless the last answer
    /// is not too old for it.
    pub(crate) fn read(&mut self, id: ReadId, deadline: Time, stale: Duration, ctx: &mut Ctx<'_>) {
        if let Some(point) = self.known_within(stale, ctx) {
            mark!(READ_STALE);
            ctx.out.outcomes.push(Outcome::ReadAt(id, point));
            return;
        }
        if self.waiting.len() >= ctx.config.reads_max {
            mark!(READ_REFUSED);
            ctx.out.outcomes.push(Outcome::ReadFailed(id, ReadRefusal::Overloaded));
            return;
        }
        if ctx.is_removed() {
            mark!(READ_AT_A_REMOVED_NODE);
            ctx.out.outcomes.push(Outcome::ReadFailed(id, ReadRefusal::NotMember));
            return;
        }
        self.waiting.push_back(Waiting { id, deadline, round: self.round + 1 });
        self.unasked += 1;
        self.expiry = self.expiry.min(deadline);
    }

    /// Asks the leader on behalf of all reads that wait: one question at a time, asked again if it
    /// is not answered or the leader changed.
    pub(crate) fn flush(&mut self, leader: Ballot, ctx: &mut Ctx<'_>) {
        if leader == Ballot::ZERO || self.waiting.is_empty() {
            return;
        }
        let pending = self.asked == Some(leader) && ctx.now < self.retry;
        if pending || (self.asked.is_none() && self.unasked == 0) {
            return;
        }
        mark!(READ_ASKED_AGAIN if self.asked.is_some());
        mark!(READ_FORWARDED if leader.member() != ctx.me);
        self.round += 1;
        self.unasked = 0;
        self.asked = Some(leader);
        self.retry = ctx.now + ctx.config.retry_interval * 2;
        self.sent = ctx.now;
        ctx.send(leader.node, Message::ReadIndex { round: self.round });
    }

    /// A leader answers: reads that came before the question was sent may be served from there.
    pub(crate) fn on_point(&mut self, round: u64, instance: Instance, ctx: &mut Ctx<'_>) {
        if round > self.round || round >> 32 != self.round >> 32 {
            mark!(READ_ANSWER_OF_EARLIER_LIFE if round >> 32 != self.round >> 32);
            return; // never asked, or asked in an earlier life
        }
        while let Some(waiting) = self.waiting.front()
            && waiting.round <= round
        {
            mark!(READ_ANSWERED);
            ctx.out.outcomes.push(Outcome::ReadAt(waiting.id, instance));
            self.waiting.pop_front();
        }
        if round == self.round {
            self.asked = None;
            // Of older questions it is not known any more when they left.
            self.known = Some(Known { sent: self.sent, point: instance });
        }
    }

    /// The point of the last answer, if its question left no longer ago than that.
    fn known_within(&self, stale: Duration, ctx: &Ctx<'_>) -> Option<Instance> {
        let known = self.known?;
        let age = lengthened(ctx.now.since(known.sent), ctx.config.clock_rate_bound_ppm);
        (age <= stale).then_some(known.point)
    }

    /// Gives up on reads whose deadline has passed.
    #[inline]
    pub(crate) fn expire(&mut self, ctx: &mut Ctx<'_>) {
        if ctx.now >= self.expiry {
            self.expire_due(ctx);
        }
    }

    /// Refuses everything: the group has failed here, or this node was removed.
    pub(crate) fn fail(&mut self, refusal: ReadRefusal, ctx: &mut Ctx<'_>) {
        for waiting in self.waiting.drain(..) {
            ctx.out.outcomes.push(Outcome::ReadFailed(waiting.id, refusal));
        }
        self.unasked = 0;
        self.expiry = Time::MAX;
    }

    /// When to flush or expire next.
    pub(crate) fn deadline(&self, leader: Ballot, now: Time) -> Time {
        if self.waiting.is_empty() || leader == Ballot::ZERO {
            return self.expiry;
        }
        match self.asked {
            None if self.unasked > 0 => now,
            None => self.expiry,
            Some(asked) if asked != leader => now,
            Some(_) => self.expiry.min(self.retry),
        }
    }

    #[inline]
    pub(crate) fn invariants(&self, config: &crate::config::Config) {
        assert!(self.waiting.len() <= config.reads_max, "the reads passed their limit (I9)");
    }

    fn expire_due(&mut self, ctx: &mut Ctx<'_>) {
        let now = ctx.now;
        self.expiry = Time::MAX;
        let (out, expiry, round) = (&mut ctx.out.outcomes, &mut self.expiry, self.round);
        let mut unasked = 0;
        self.waiting.retain(|waiting| {
            let keep = waiting.deadline > now;
            if keep {
                *expiry = (*expiry).min(waiting.deadline);
                unasked += usize::from(waiting.round > round);
            } else {
                mark!(READ_LATE);
                out.push(Outcome::ReadFailed(waiting.id, ReadRefusal::TimedOut));
            }
            keep
        });
        self.unasked = unasked;
    }
}

/// The questions that wait at the leader for a probe to be confirmed, two from each node at most: its
/// oldest and its newest.
#[derive(Debug, Default)]
pub(crate) struct Questions(VecDeque<Question>);

#[derive(Debug)]
struct Question {
    from: NodeId,
    round: u64,
    /// Confirmed by this probe, which left after the question came.
    probe: u64,
    point: Instance,
}

impl Questions {
    /// Takes a question; it replaces the newest of the same node, which it covers, and leaves the
    /// oldest.
    ///
    /// The oldest has to stay: where answers take longer than the asker waits before it asks again,
    /// each question would replace the one before it just when that is about to be answered.
    pub(crate) fn ask(&mut self, from: NodeId, round: u64, probe: u64, point: Instance) {
        let mut of_node = (0..self.0.len()).filter(|&n| self.0[n].from == from);
        let (_oldest, newest) = (of_node.next(), of_node.next());
        mark!(QUESTION_REPLACED if newest.is_some());
        if let Some(newest) = newest {
            self.0.remove(newest);
        }
        if self.0.len() == QUESTIONS_MAX {
            return; // not members, then: a membership is smaller
        }
        self.0.push_back(Question { from, round, probe, point });
    }

    /// How many nodes wait.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nobody waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Answers what a confirmed probe covers.
    ///
    /// A quorum answered the probe after the question came, each with nothing higher promised. A
    /// later leader needs a promise from one of them, given after that, so it had chosen nothing
    /// when the question came, and the point covers everything chosen before.
    pub(crate) fn answer(&mut self, confirmed: u64, ctx: &mut Ctx<'_>) {
        self.0.retain(|question| {
            let done = question.probe <= confirmed;
            if done {
                let (round, instance) = (question.round, question.point);
                ctx.send(question.from, Message::ReadPoint { round, instance });
            }
            !done
        });
    }

    /// Forgets all: this node no longer leads, and whoever asked asks the next leader.
    pub(crate) fn clear(&mut self) {
        mark!(QUESTION_DROPPED if !self.0.is_empty());
        self.0.clear();
    }
}

/// Questions that wait at most.
const QUESTIONS_MAX: usize = 512;

#[cfg(test)]
mod tests;
