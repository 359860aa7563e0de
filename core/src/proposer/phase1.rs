//! Phase 1, once per leadership, for all open instances at once.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::config::ACCEPT_AHEAD_LIMIT;
use crate::env::Ctx;
use crate::ids::{Ballot, Instance, Member, NodeId};
use crate::membership::{History, VoterSet};
use crate::message::{Message, Promise, Report};
use crate::time::Time;
use crate::value::Value;

/// A candidate that collects promises for every instance from `from` on.
#[derive(Debug)]
pub(crate) struct Phase1 {
    ballot: Ballot,
    voters: Vec<Voter>,
    /// The strongest report of each instance so far.
    reported: BTreeMap<Instance, Found>,
    /// Where a voter accepted something that its disk no longer gives.
    lost: Vec<(Instance, Ballot, usize)>,
    retry: Time,
    until: Time,
    /// When those who have told everything are to hear again that others have not.
    remind: Time,
}

#[derive(Debug)]
struct Voter {
    member: Member,
    /// The first instance of the page to come; [`Instance::MAX`] when all pages have come.
    next: Instance,
    /// The furthest that this has been: it may have to tell all of it again.
    told: Instance,
    /// Its chosen prefix, as its last page said: that much it has on disk.
    chosen: Instance,
}

/// The strongest report of an instance. Ordered: a chosen value beats every ballot.
#[derive(Debug)]
enum Found {
    Accepted(Ballot, Value),
    Chosen(Value),
}

/// What a page of a promise brought.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Nothing that was missing, or not enough.
    Waiting,
    /// A page came that tells more, and has others behind it.
    Page,
    /// A quorum has promised: the candidate leads.
    Quorum,
}

impl Voter {
    const fn new(member: Member, from: Instance) -> Self {
        Self { member, next: from, told: from, chosen: Instance::ZERO }
    }
}

impl Phase1 {
    /// Asks every voter for its promise, ourselves included: our own is a promise like any other,
    /// and our `Prepare` leaves only once it is durable (I1).
    pub(crate) fn start(ballot: Ballot, from: Instance, ctx: &mut Ctx<'_>) -> Self {
        let mut voters: Vec<Member> =
            ctx.history.since(from).flat_map(|m| m.voters().iter().copied()).collect();
        voters.sort_unstable();
        voters.dedup();
        let voters: Vec<Voter> =
            voters.into_iter().map(|member| Voter::new(member, from)).collect();
        let retry = ctx.now + ctx.config.retry_interval;
        let until = ctx.now + ctx.config.election_timeout * 2;
        let (reported, lost, remind) = (BTreeMap::new(), Vec::new(), ctx.now);
        let mut phase1 = Self { ballot, voters, reported, lost, retry, until, remind };
        phase1.ask(from.prev(), ctx);
        phase1
    }

    pub(crate) const fn ballot(&self) -> Ballot {
        self.ballot
    }

    /// When to ask again.
    pub(crate) const fn retry(&self) -> Time {
        self.retry
    }

    /// A membership entry was passed by the chosen prefix: the new voters are asked as well.
    pub(crate) fn enlarge(&mut self, chosen: Instance, ctx: &mut Ctx<'_>) {
        let from = chosen.next();
        for membership in ctx.env.history.since(from) {
            for &member in membership.voters() {
                if !self.voters.iter().any(|voter| voter.member == member) {
                    self.voters.push(Voter::new(member, from));
                }
            }
        }
        self.ask(chosen, ctx);
    }

    /// When to ask again, or give up.
    pub(crate) fn deadline(&self) -> Time {
        self.retry.min(self.until)
    }

    /// Asks again those who have not answered, about what is not `chosen` by now; returns whether it
    /// is time to give up.
    pub(crate) fn tick(&mut self, chosen: Instance, ctx: &mut Ctx<'_>) -> bool {
        if ctx.now >= self.until {
            return true;
        }
        self.repeat(chosen, ctx);
        false
    }

    /// Asks again if it is time to.
    pub(crate) fn repeat(&mut self, chosen: Instance, ctx: &mut Ctx<'_>) {
        if ctx.now >= self.retry {
            mark!(PREPARE_REPEATED);
            self.retry = ctx.now + ctx.config.retry_interval;
            self.ask(chosen, ctx);
        }
    }

    /// Counts a page, and gives the candidate its time anew: there may be more pages than round trips
    /// in an election timeout, and to begin again from the first would then never end.
    ///
    /// A promise counts once all its pages have come, and only from a member (node
    /// *and* incarnation) that votes (I4).
    ///
    /// A page may begin below what is asked: the candidate has learned since that it is chosen. A
    /// page that leaves out more than an acceptor can is refused; see [`is_plausible`].
    pub(crate) fn on_promise(
        &mut self,
        from: Member,
        promise: Promise,
        chosen: Instance,
        ctx: &mut Ctx<'_>,
    ) -> Progress {
        let Some(index) = self.voters.iter().position(|v| v.member == from) else {
            return Progress::Waiting;
        };
        let voter = &mut self.voters[index];
        let asked = promise.from <= voter.next && voter.next <= promise.to;
        if promise.ballot != self.ballot || voter.next == Instance::MAX || !asked {
            mark!(PROMISE_OF_OLD_PAGE if promise.ballot == self.ballot);
            return Progress::Waiting; // of another question, or a page that came before
        }
        if !is_plausible(&promise) {
            mark!(PROMISE_ODD);
            return Progress::Waiting;
        }
        voter.chosen = promise.chosen;
        for reported in promise.entries {
            if reported.instance > chosen {
                self.take(index, reported.instance, reported.entry);
            }
        }
        self.until = ctx.now + ctx.config.election_timeout * 2;
        let next = if promise.to == Instance::MAX { Instance::MAX } else { promise.to.next() };
        let voter = &mut self.voters[index];
        let is_further = next > voter.told;
        (voter.next, voter.told) = (next, voter.told.max(next));
        if next < Instance::MAX {
            ctx.send(from.node, Message::Prepare { ballot: self.ballot, from: next });
        }
        if self.complete(chosen, &ctx.history) {
            Progress::Quorum
        } else if next < Instance::MAX && is_further {
            self.remind(chosen, ctx);
            Progress::Page
        } else {
            Progress::Waiting
        }
    }

    /// The values to take over, ascending and without holes, once a quorum has promised: for each
    /// instance above `chosen` the value that is chosen or has the highest ballot, and a no-op where
    /// no one of the quorum accepted anything. Paxos Made Simple §2.2, P2c; §2.5 for the no-ops.
    pub(crate) fn values(mut self, chosen: Instance) -> impl Iterator<Item = (Instance, Value)> {
        let last = self.reported.last_key_value().map_or(Instance::ZERO, |(i, _)| *i);
        (chosen.0 + 1..=last.0).map(Instance).map(move |instance| {
            let value = match self.reported.remove(&instance) {
                Some(Found::Accepted(_, value)) => {
                    mark!(ADOPTS_LOWER_BALLOT);
                    value
                }
                Some(Found::Chosen(value)) => {
                    mark!(ADOPTS_CHOSEN);
                    value
                }
                None => {
                    mark!(GAP_FILLED_WITH_NOOP);
                    Value::NOOP
                }
            };
            (instance, value)
        })
    }

    /// Asks those who have not promised, and those whose promise does not count since they did not
    /// hold enough of the log: they are told how much there is, and asked anew.
    fn ask(&mut self, chosen: Instance, ctx: &mut Ctx<'_>) {
        let ballot = self.ballot;
        for voter in &mut self.voters {
            if voter.next == Instance::MAX {
                if voter.chosen >= needed(voter.member, chosen, &ctx.history) {
                    continue;
                }
                mark!(PROMISE_WITHOUT_THE_ENTRY);
                voter.next = chosen.next();
            }
            voter.next = voter.next.max(chosen.next());
            let to = voter.member.node;
            if ctx.history.version() > Instance::ZERO && to != ctx.me.node {
                // It may not know yet that it votes.
                ctx.send(to, Message::Hold { ballot, chosen });
            }
            ctx.send(to, Message::Prepare { ballot, from: voter.next });
        }
    }

    /// Asks those who have told everything what else there is: nothing. But whoever promised waits for
    /// a candidate that is at work, and hears nothing of it while others tell it page after page. It
    /// would grant the next one that asks, who begins with the first page; and so might the two, each
    /// of which needs it, outbid each other for ever.
    fn remind(&mut self, chosen: Instance, ctx: &mut Ctx<'_>) {
        if ctx.now < self.remind {
            return;
        }
        self.remind = ctx.now + ctx.config.heartbeat_interval;
        let from = self.reported.keys().next_back().map_or(chosen, |last| chosen.max(*last)).next();
        for voter in self.voters.iter().filter(|voter| voter.next == Instance::MAX) {
            if voter.member != ctx.me {
                mark!(PROMISED_REMINDED);
                ctx.send(voter.member.node, Message::Prepare { ballot: self.ballot, from });
            }
        }
    }

    fn take(&mut self, voter: usize, instance: Instance, report: Report) {
        let found = match report {
            Report::Accepted(ballot, value) => Found::Accepted(ballot, value),
            Report::Chosen(value) => Found::Chosen(value),
            Report::Lost(ballot) => {
                self.lost.retain(|(i, _, v)| (*i, *v) != (instance, voter));
                self.lost.push((instance, ballot, voter));
                return;
            }
        };
        let best = self.reported.get(&instance);
        mark!(REPORTS_DIFFER if best.is_some_and(|best| found.beats(best) || best.beats(&found)));
        if best.is_none_or(|best| found.beats(best)) {
            self.reported.insert(instance, found);
        }
    }

    /// Whether every membership that decides something above `chosen` has a quorum of full promises,
    /// none of which hides a value that may have been chosen.
    ///
    /// A promise counts for a membership only if its voter holds the log on its disk through the
    /// entry that began it (I6). This is no matter of what the candidate gets to know, which has
    /// that part of the log itself. It makes sure that nothing is chosen in the new era before a
    /// quorum of *its* members holds everything below, so that the members before them may go.
    fn complete(&self, chosen: Instance, history: &History) -> bool {
        let quorums = history.eras_since(chosen.next()).all(|(first, membership)| {
            let full = |v: &&Voter| v.next == Instance::MAX && v.chosen >= first.prev();
            membership.is_quorum_of(self.voters.iter().filter(full).map(|voter| voter.member))
        });
        quorums
            && self
                .lost
                .iter()
                .filter(|(instance, ..)| *instance > chosen)
                .all(|(instance, ballot, _)| self.harmless(*instance, *ballot, history))
    }

    /// Whether a lost value does not matter: the instance was reported in that ballot or higher (or
    /// as chosen), or the value cannot have been chosen in that ballot, because those that may have
    /// voted for it are no quorum: those who have not promised yet, and those who lost what they
    /// accepted there in that ballot or a higher one (they may have voted in this one before).
    ///
    /// A voter may name a higher ballot than it voted in (its promise, if its disk only says that it
    /// learned what it lost). Say that a value was chosen in some ballot, and all those of its quorum
    /// that promised lost it. Take the lowest ballot that they name: no lower than that one, so a report
    /// in it or above has the chosen value; and without one, that whole quorum is counted here.
    ///
    /// Until then a no-op could overwrite a chosen value, so the candidate waits.
    fn harmless(&self, instance: Instance, ballot: Ballot, history: &History) -> bool {
        let known = match self.reported.get(&instance) {
            Some(Found::Chosen(_)) => true,
            Some(Found::Accepted(reported, _)) => *reported >= ballot,
            None => false,
        };
        if known {
            mark!(LOST_BUT_KNOWN);
            return true;
        }
        let membership = history.at(instance);
        let mut possible = VoterSet::default();
        for (index, voter) in self.voters.iter().enumerate() {
            let lost =
                self.lost.iter().any(|(i, b, v)| (*i, *v) == (instance, index) && *b >= ballot);
            if (lost || voter.next < Instance::MAX)
                && let Some(slot) = membership.slot(voter.member)
            {
                possible.insert(slot);
            }
        }
        mark!(LOST_IN_THE_WAY if membership.is_quorum(possible));
        mark!(LOST_BUT_HARMLESS if !membership.is_quorum(possible));
        !membership.is_quorum(possible)
    }

    /// A voter has cleaned what was asked: it cannot promise anything about it.
    pub(crate) fn on_behind(&self, from: NodeId, ballot: Ballot) -> bool {
        ballot == self.ballot && self.voters.iter().any(|voter| voter.member.node == from)
    }
}

/// How much of the log a voter must hold for its promise to count in every membership above `chosen`
/// in which it votes.
fn needed(member: Member, chosen: Instance, history: &History) -> Instance {
    let eras = history.eras_since(chosen.next()).filter(|(_, m)| m.slot(member).is_some());
    eras.map(|(first, _)| first.prev()).max().unwrap_or(Instance::ZERO)
}

/// Whether a page says only what an acceptor can say: entries ascending and within the page, and
/// nowhere a gap wider than how far above its chosen prefix an acceptor accepts. Below that prefix
/// it holds everything, so each gap of its log is narrower. Holes are filled with no-ops, and so
/// many of them as an odd page asks for would never end.
fn is_plausible(promise: &Promise) -> bool {
    let mut last = promise.from.prev();
    promise.entries.iter().all(|reported| {
        let instance = reported.instance;
        let gap = instance.above(last);
        let follows = instance > last;
        last = instance;
        follows && instance <= promise.to && gap <= ACCEPT_AHEAD_LIMIT + 1
    })
}

impl Found {
    fn beats(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Accepted(mine, _), Self::Accepted(theirs, _)) => mine > theirs,
            (Self::Chosen(_), Self::Accepted(..)) => true,
            (Self::Accepted(..) | Self::Chosen(_), Self::Chosen(_)) => false,
        }
    }
}

#[cfg(test)]
mod tests;
