//! Read leases: while a leader holds one, it answers reads without asking anybody.
//!
//! A leader asks the voters for a lease along with its heartbeats. An acceptor that *grants* it refuses
//! every other ballot for that long, its own candidacy included. A leader that was granted by a quorum
//! knows that nobody else can have anything chosen meanwhile, so what it knows to be chosen is all that is.
//!
//! # Why that is so
//!
//! Let L be the length, ρ the bound of [`Config::clock_rate_bound_ppm`](crate::Config).
//!
//! - The leader counts from when it *asked*, and believes in its lease for `L·(1 − ρ)` by its own clock: at
//!   most L of true time.
//! - An acceptor counts from when it heard the question, which is later, and refuses other ballots for
//!   `L·(1 + ρ)` by its own clock: at least L of true time.
//! - Another leader needs promises of a quorum, one of which is by an acceptor that granted. Either it was
//!   given before the grant: then the ballot granted to was below it, and nothing is granted below one's
//!   promise. Or after the grant had run out, or was released: then so had the lease.
//!
//! So the lease is a vote like any other (I4): once per voter, for the ballot and question it names, by
//! node *and* incarnation.
//!
//! **A restart forgets to whom a lease was granted.** So the *longest* lease that this memory ever
//! granted is on its disk before the first grant of that length leaves, and after a start nothing is
//! promised for so long, to anybody. A smaller one that is configured later shortens nothing of that.
//!
//! **A leader that lets go says so.** It releases its ballot when it hands over or steps down, and reads
//! in it no more (I3); whoever hears that is bound no longer, and a hand-over has no gap. A release names
//! a ballot, so one that comes late frees nobody of a later lease.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;

use crate::clocks::{lengthened, shortened};
use crate::env::{Ctx, Env};
use crate::ids::{Ballot, Member, NodeId};
use crate::message::Message;
use crate::time::Time;
use crate::write::Record;

/// What an acceptor has granted.
#[derive(Debug)]
pub(crate) struct Grants {
    to: Ballot,
    /// Until when no other ballot gets a promise.
    until: Time,
    /// Until when no ballot at all does: an earlier process may have granted something.
    quiet: Time,
    /// The longest lease granted by this memory, as it is or is being written.
    longest: Duration,
}

impl Grants {
    /// After a start; `longest` is what the log gave back.
    pub(crate) fn new(longest: Duration, ppm: u32, now: Time) -> Self {
        let quiet = if longest.is_zero() { now } else { now + lengthened(longest, ppm) };
        mark!(QUIET_AFTER_START if quiet > now);
        Self { to: Ballot::ZERO, until: Time::ZERO, quiet, longest }
    }

    /// Whether this acceptor must not promise a ballot now.
    pub(crate) fn bind(&self, ballot: Ballot, env: &Env) -> bool {
        env.now < self.quiet || (env.now < self.until && ballot != self.to)
    }

    /// The leader of `ballot`, which is the promise, asks for a lease: grants it.
    ///
    /// The answer vouches for the record of the longest lease, so it waits for the disk; that other
    /// ballots are refused begins at once.
    pub(crate) fn on_ask(
        &mut self,
        from: NodeId,
        ballot: Ballot,
        question: u64,
        length: Duration,
        ctx: &mut Ctx<'_>,
    ) {
        if length > self.longest {
            if ctx.writes_full() {
                return;
            }
            self.longest = length;
            ctx.write(Record::Lease(length));
        }
        self.grant(ballot, length, ctx);
        ctx.vote(from, Message::Granted { ballot, question });
    }

    /// The leader of a ballot lets go of it.
    pub(crate) fn release(&mut self, ballot: Ballot, env: &Env) {
        if ballot == self.to {
            mark!(LEASE_RELEASED if env.now < self.until);
            self.until = self.until.min(env.now);
        }
    }

    /// Refuses other ballots for so long. Of one's own leadership nothing need be written: it ends with
    /// the process.
    fn grant(&mut self, ballot: Ballot, length: Duration, env: &Env) {
        let until = env.now + lengthened(length, env.config.clock_rate_bound_ppm);
        self.until = if ballot == self.to { self.until.max(until) } else { until };
        self.to = ballot;
    }
}

/// A leader's lease.
#[derive(Debug, Default)]
pub(crate) struct Tenure {
    question: u64,
    /// Questions not granted by a quorum yet, each with when it was asked and how long the lease is.
    asked: VecDeque<(u64, Time, Duration)>,
    /// The newest question that each other voter granted.
    granted: Vec<(Member, u64)>,
    /// It holds its lease before this.
    until: Time,
}

impl Tenure {
    /// Asks everybody for a lease from now on, this node's own acceptor included.
    pub(crate) fn ask(&mut self, ballot: Ballot, grants: &mut Grants, ctx: &mut Ctx<'_>) {
        let length = ctx.config.read_lease;
        if length.is_zero() || ctx.now < grants.quiet {
            return; // what an earlier process granted was to somebody else
        }
        self.question += 1;
        if self.asked.len() == ASKED_MAX {
            self.asked.pop_front();
        }
        let question = self.question;
        self.asked.push_back((question, ctx.now, length));
        grants.grant(ballot, length, ctx);
        ctx.send_all(&Message::Lease { ballot, question, length });
        self.count(ctx); // alone it is a quorum
    }

    /// A voter grants a question.
    pub(crate) fn on_granted(&mut self, from: Member, question: u64, ctx: &Ctx<'_>) {
        if question > self.question {
            return;
        }
        match self.granted.iter_mut().find(|(member, _)| *member == from) {
            Some((_, newest)) => *newest = question.max(*newest),
            None if ctx.history.newest().slot(from).is_some() => {
                self.granted.push((from, question))
            }
            None => return, // no voter's
        }
        self.count(ctx);
    }

    /// The membership is about to change: what was granted was granted by the old one.
    ///
    /// Until the change is complete there is no lease, and nobody is asked for one: another leadership
    /// may have gone on with the new members, who granted nothing to this one. Afterwards the new
    /// members are asked, and old answers name old questions.
    pub(crate) fn lapse(&mut self) {
        if self.until > Time::ZERO {
            mark!(LEASE_LAPSED);
        }
        self.until = Time::ZERO;
        self.asked.clear();
        self.granted.clear();
    }

    /// Until when this leader may read on its own.
    pub(crate) const fn until(&self) -> Time {
        self.until
    }

    /// Counts a question that a quorum granted, from when it was asked.
    fn count(&mut self, env: &Env) {
        while let Some((question, asked, length)) = self.asked.front().copied() {
            let others = self.granted.iter().filter(|(_, granted)| *granted >= question);
            let voters: Vec<Member> = others.map(|(member, _)| *member).chain([env.me]).collect();
            if !env.is_quorum(&voters) {
                return;
            }
            let end = asked + shortened(length, env.config.clock_rate_bound_ppm);
            self.until = self.until.max(end);
            self.asked.pop_front();
        }
    }
}

/// Questions that are open at once; an older one that is granted later counts no more.
const ASKED_MAX: usize = 64;

#[cfg(test)]
mod tests;
