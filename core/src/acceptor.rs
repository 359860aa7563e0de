//! The acceptor: what this node has promised, and its votes.

use alloc::vec::Vec;

use crate::config::Config;
use crate::entries::{Entries, Slot};
use crate::env::Ctx;
use crate::fetches::{Fetches, Purpose};
use crate::ids::{Ballot, Instance, NodeId};
use crate::message::{Message, Promise, Report, Reported};
use crate::value::{ENTRY_OVERHEAD, Value};
use crate::write::{Record, Stored};

/// The promise. What was accepted is in [`Entries`], shared with the learner.
#[derive(Debug)]
pub(crate) struct Acceptor {
    promised: Ballot,
}

/// A phase 2a message, taken apart.
#[derive(Debug)]
pub(crate) struct Proposed {
    pub(crate) ballot: Ballot,
    pub(crate) instance: Instance,
    pub(crate) value: Value,
    /// The proposer's chosen prefix.
    pub(crate) chosen: Instance,
}

impl Acceptor {
    pub(crate) const fn new(promised: Ballot) -> Self {
        Self { promised }
    }

    /// The highest ballot promised.
    pub(crate) const fn promised(&self) -> Ballot {
        self.promised
    }

    /// Phase 1b: promises `ballot` unless a higher one is promised, and reports a page of what was
    /// accepted from `from` on.
    ///
    /// The promise is a record of its own and made durable before the report leaves (I1, I2). An
    /// equal ballot is promised again: the candidate asks for a further page, or its question was
    /// repeated. Paxos Made Simple §2.2, phase 1 (b).
    pub(crate) fn on_prepare(
        &mut self,
        from: NodeId,
        ballot: Ballot,
        first: Instance,
        entries: &Entries,
        fetches: &mut Fetches,
        ctx: &mut Ctx<'_>,
    ) {
        if ballot < self.promised {
            mark!(PREPARE_REFUSED);
            ctx.vote(from, Message::Nack { ballot, promised: self.promised });
            return;
        }
        if ctx.writes_full() {
            mark!(PREPARE_DROPPED_DISK_BUSY);
            return;
        }
        if first <= entries.cleaned() {
            mark!(PREPARE_BELOW_CLEANED);
            // To report nothing about cleaned instances would read as "nothing accepted".
            ctx.vote(from, Message::Behind { ballot, cleaned: entries.cleaned() });
            return;
        }
        self.raise(ballot, ctx);
        if first <= entries.base() {
            mark!(PROMISE_FROM_DISK);
            let purpose = Purpose::Promise { to: from, ballot };
            fetches.ask(purpose, first, entries.base(), ctx);
        } else {
            let promise = page(ballot, first, entries, &ctx.config);
            ctx.vote(from, Message::Promise(promise));
        }
    }

    /// Sends the page of a promise whose old entries came from disk. They lie at or below what has
    /// left memory, so all of them are chosen.
    pub(crate) fn on_fetched(
        &self,
        to: NodeId,
        ballot: Ballot,
        first: Instance,
        stored: Vec<Stored>,
        chosen: Instance,
        ctx: &mut Ctx<'_>,
    ) {
        if ballot != self.promised {
            mark!(PROMISE_FROM_DISK_OUTDATED);
            return; // a higher promise was made meanwhile: its candidate asks for itself
        }
        // A chosen value that the disk no longer gives ends the page: about it we cannot speak.
        let values = stored.into_iter().map_while(|s| Some((s.instance, s.value?)));
        let entries: Vec<Reported> = values
            .map(|(instance, value)| Reported { instance, entry: Report::Chosen(value) })
            .collect();
        if let Some(last) = entries.last() {
            let to_instance = last.instance;
            let promise = Promise { ballot, from: first, to: to_instance, chosen, entries };
            ctx.vote(to, Message::Promise(promise));
        }
    }

    /// Phase 2b: accepts unless a higher ballot is promised.
    ///
    /// The vote is withheld until the record is durable; a refusal leaves at once. Accepting again
    /// in the same ballot is harmless, since leaders repeat themselves. A ballot above the promise
    /// raises it, and that is written even if there is nothing to vote for. Returns whether the
    /// sender leads as far as this acceptor is concerned. Paxos Made Simple §2.2, P1a.
    ///
    /// A node that is no member takes the value as a voter does, so that it learns as fast as one,
    /// and gives no vote. What it writes down is true all the same, should it be swapped in: this
    /// value, and no other, was proposed here in this ballot.
    pub(crate) fn on_accept(
        &mut self,
        from: NodeId,
        proposed: Proposed,
        entries: &mut Entries,
        ctx: &mut Ctx<'_>,
    ) -> bool {
        let Proposed { ballot, instance, value, chosen } = proposed;
        if ballot < self.promised {
            mark!(ACCEPT_REFUSED);
            ctx.vote(from, Message::Nack { ballot, promised: self.promised });
            return false;
        }
        // Our own proposals were bounded by our window before they were made.
        let own = from == ctx.me.node;
        if ctx.takes_no_values() && !own {
            mark!(ACCEPT_DROPPED_DISK_BUSY if ctx.writes_full());
            mark!(ACCEPT_DROPPED_DISK_FULL if !ctx.has_room);
            return true;
        }
        mark!(ACCEPT_RAISES_PROMISE if ballot > self.promised);
        mark!(ACCEPT_OF_CHOSEN_RAISES_PROMISE
            if ballot > self.promised && instance <= entries.chosen());
        self.raise(ballot, ctx);
        // Before anything is held against the chosen prefix: where values are large, the one that is
        // proposed has room only because the one before is chosen. That is so of entries of this very
        // ballot (I5), whatever becomes of the proposal.
        entries.choose(ballot, chosen);
        // All through the newest membership entry is chosen, even where the disk lost a value of it;
        // a restart relies on it that nothing is written there but what was learned.
        if instance <= entries.chosen().max(ctx.history.version()) {
            mark!(ACCEPT_OF_CHOSEN);
            // Chosen already: no vote is needed, and none is given. Saying how far we know the log
            // to be chosen lets the leader learn what it missed. It may well propose another value
            // here: one whose ballot is below that which chose ours, which we may have learned
            // without ever hearing of the higher ballot.
            let chosen = entries.chosen();
            ctx.vote(from, Message::HeartbeatAck { ballot, probe: 0, chosen });
            return true;
        }
        let next = instance == entries.chosen().next();
        let far = instance.above(entries.chosen()) > ctx.config.accept_ahead_max;
        let large =
            entries.open_bytes() > ctx.config.window_bytes_max.saturating_mul(OPEN_WINDOWS_MAX);
        if !own && (far || (large && !next)) {
            mark!(ACCEPT_TOO_FAR if far);
            mark!(ACCEPT_TOO_LARGE if large && !next);
            return true; // the leader sends it again when we are further
        }
        match entries.slot(instance) {
            // Known to be chosen, above a gap: a leader below the ballot that chose it gets no vote.
            Some(slot) if slot.is_learned() && slot.value.as_ref() != Some(&value) => {
                mark!(ACCEPT_WHERE_ANOTHER_WAS_LEARNED);
                return true;
            }
            Some(slot) if slot.ballot == ballot => match &slot.value {
                Some(held) if *held != value => {
                    ctx.fail("two values were proposed in one ballot", instance);
                    return true;
                }
                Some(_) => {
                    // The vote below waits for the record written the first time.
                    mark!(ACCEPT_AGAIN);
                }
                None => {
                    mark!(ACCEPT_WHERE_LOST);
                    self.accept(ballot, instance, value, entries, ctx);
                }
            },
            Some(_) | None => {
                mark!(ACCEPT_REPLACES_VOTE
                    if entries.value(instance).is_some_and(|held| *held != value));
                self.accept(ballot, instance, value, entries, ctx);
            }
        }
        ctx.vote(from, Message::Accepted { ballot, first: instance, last: instance });
        true
    }

    /// Raises the promise without a question having been asked; for a ballot of our own.
    pub(crate) fn raise(&mut self, ballot: Ballot, ctx: &mut Ctx<'_>) {
        if ballot > self.promised {
            self.promised = ballot;
            ctx.write(Record::Promised(ballot));
        }
    }

    fn accept(
        &self,
        ballot: Ballot,
        instance: Instance,
        value: Value,
        entries: &mut Entries,
        ctx: &mut Ctx<'_>,
    ) {
        assert!(ballot == self.promised, "accepting {ballot} under promise {}", self.promised);
        let held = entries.slot(instance).map_or(Ballot::ZERO, |slot| slot.ballot);
        assert!(held <= ballot, "{instance} is accepted in {held}, above {ballot}");
        ctx.write(Record::Accepted { instance, ballot, value: value.clone() });
        entries.put(instance, Slot { ballot, value: Some(value) });
    }
}

/// A page of what is held from `from` on, which is above [`Entries::base`].
fn page(ballot: Ballot, from: Instance, entries: &Entries, config: &Config) -> Promise {
    let mut reported = Vec::new();
    let mut bytes = 0;
    let mut instance = from;
    let chosen = entries.chosen();
    while instance <= entries.highest() {
        if let Some(slot) = entries.slot(instance) {
            let entry = match &slot.value {
                Some(value) if instance <= entries.chosen() || slot.is_learned() => {
                    Report::Chosen(value.clone())
                }
                Some(value) => Report::Accepted(slot.ballot, value.clone()),
                None => {
                    mark!(PROMISE_REPORTS_LOST);
                    Report::Lost(slot.ballot)
                }
            };
            bytes += slot.value.as_ref().map_or(0, Value::len) + ENTRY_OVERHEAD;
            reported.push(Reported { instance, entry });
            if bytes >= config.page_bytes_max && instance < entries.highest() {
                mark!(PROMISE_PAGED);
                return Promise { ballot, from, to: instance, chosen, entries: reported };
            }
        }
        instance = instance.next();
    }
    Promise { ballot, from, to: Instance::MAX, chosen, entries: reported }
}

/// How many leaders' windows of values may be held before they are chosen: one for the leader of
/// now, one for what the last ones left behind, and room to be wrong.
const OPEN_WINDOWS_MAX: usize = 4;

#[cfg(test)]
mod tests;
