//! The learner: which instances are chosen, and catching up on those that were missed.

use alloc::vec::Vec;

use crate::entries::{Entries, Slot};
use crate::env::{Ctx, Env};
use crate::fetches::{Fetches, Purpose};
use crate::ids::{Ballot, Instance, NodeId};
use crate::message::Message;
use crate::time::Time;
use crate::value::{ENTRY_OVERHEAD, Value};
use crate::write::{Record, Stored};

/// What others know to be chosen, and the question under way.
#[derive(Debug, Default)]
pub(crate) struct Learner {
    /// What each peer reported last.
    peers: Vec<Peer>,
    /// No peer reported more.
    highest: Instance,
    /// Whom we asked, from where, and when to ask somebody else.
    asked: Option<Question>,
    /// The peer that did not answer last; somebody else is asked next.
    silent: Option<NodeId>,
    /// It did answer, and had nothing to give.
    has_nothing: bool,
    /// Who was asked last of those not known to be ahead.
    turn: NodeId,
}

#[derive(Clone, Copy, Debug)]
struct Peer {
    node: NodeId,
    /// Its chosen prefix.
    chosen: Instance,
    /// It has cleaned its log up to here.
    cleaned: Instance,
    /// When it was asked last it did not answer, or had nothing to give.
    is_mute: bool,
}

#[derive(Clone, Copy, Debug)]
struct Question {
    to: NodeId,
    from: Instance,
    until: Time,
}

/// What learning one value came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Learned {
    /// It was the next one, and is chosen here now.
    Chosen,
    /// It was known, or lies above a gap.
    Skipped,
    /// It was the next one, is chosen here now, and replaced another value that was held here.
    Instead,
}

impl Learner {
    /// The leader of `ballot` says that everything up to `chosen` is chosen.
    ///
    /// That makes an entry chosen *here* only if it was accepted in that very ballot (I5): the
    /// leader's word is about the values it proposed itself, and what we hold from an earlier ballot
    /// may be another value. Such instances are asked for instead.
    pub(crate) fn on_chosen(
        &mut self,
        from: NodeId,
        ballot: Ballot,
        chosen: Instance,
        entries: &mut Entries,
    ) {
        entries.choose(ballot, chosen);
        mark!(CHOSEN_UNKNOWN_HERE
            if entries.chosen() < chosen && entries.slot(entries.chosen().next()).is_some());
        self.note(from, chosen);
    }

    /// A peer says how far it knows the log to be chosen. Only a place to learn from: nothing
    /// waits for what a peer once knew, since nobody may remember it after a restart.
    pub(crate) fn note(&mut self, peer: NodeId, chosen: Instance) {
        self.highest = self.highest.max(chosen);
        if let Some(known) = self.peer(peer) {
            known.chosen = chosen;
        }
    }

    /// A peer says how far it has cleaned its log, which it does not teach any more; and whether it
    /// helps with what it was asked for.
    pub(crate) fn note_cleaned(&mut self, peer: NodeId, cleaned: Instance, helps: bool) {
        if let Some(known) = self.peer(peer) {
            (known.cleaned, known.is_mute) = (cleaned, !helps);
        }
        if helps && self.silent == Some(peer) {
            // It is further away than patience reaches, and answers all the same.
            mark!(LEARN_ANSWER_LATE);
            self.silent = None;
        }
    }

    /// A peer that was asked for a lost value gave none, nor any other answer that came in time.
    pub(crate) fn note_silent(&mut self, peer: NodeId) {
        if let Some(known) = self.peer(peer) {
            known.is_mute = true;
        }
    }

    /// Whose checkpoint would help, if nobody teaches `next` any more, as far as is known here: those
    /// who have cleaned it. A peer that does not answer is not waited for.
    pub(crate) fn cleaned_by(&self, next: Instance) -> Vec<NodeId> {
        let has_it = |peer: &Peer| peer.chosen >= next && peer.cleaned < next && !peer.is_mute;
        if self.peers.iter().any(has_it) {
            return Vec::new();
        }
        let cleaned = self.peers.iter().filter(|peer| peer.cleaned >= next);
        cleaned.map(|peer| peer.node).collect()
    }

    /// What is known of a peer; nothing if there are more than can be.
    fn peer(&mut self, node: NodeId) -> Option<&mut Peer> {
        let place = self.peers.iter().position(|peer| peer.node == node);
        if place.is_none() && self.peers.len() >= PEERS_MAX {
            return None;
        }
        let place = place.unwrap_or_else(|| {
            let (chosen, cleaned) = (Instance::ZERO, Instance::ZERO);
            self.peers.push(Peer { node, chosen, cleaned, is_mute: false });
            self.peers.len() - 1
        });
        self.peers.get_mut(place)
    }

    /// Asks somebody who knows more, if somebody does and nobody is being asked; not
    /// while writes in flight are at their limit: the answer could not be taken.
    ///
    /// Everything up to the newest membership entry is known to be chosen, whatever the disk has lost of
    /// it, and is learned before this node runs for leader. If that is so everywhere nobody leads who
    /// could tell what there is to learn, so it is asked for without.
    #[inline]
    pub(crate) fn ask(&mut self, entries: &Entries, ctx: &mut Ctx<'_>) {
        let known = self.highest.max(ctx.history.version());
        if self.asked.is_some() || known > entries.chosen() {
            self.ask_somebody(entries, ctx);
        }
    }

    /// When to ask somebody else.
    pub(crate) fn deadline(&self, env: &Env) -> Option<Time> {
        // While the disk is full of work its next completion comes first.
        self.asked.filter(|_| !env.takes_no_values()).map(|question| question.until)
    }

    /// Teaches chosen values, a page at a time, from memory or from disk.
    ///
    /// To who knows that an instance is chosen and lost its value, what a voter accepted there is told
    /// as a vote where nobody here knows it to be chosen; what it comes to is for the asker to say, see
    /// [`Recall`](crate::recall::Recall). Nothing is marked as chosen here. Without that the value could
    /// be lost for ever: who knows it to be chosen asks for it and leads, and who holds it as a vote hears
    /// no phase 1 that would find it.
    pub(crate) fn on_learn(
        &self,
        to: NodeId,
        (from, lost): (Instance, bool),
        entries: &Entries,
        fetches: &mut Fetches,
        ctx: &mut Ctx<'_>,
    ) {
        let mut values = Vec::new();
        if from > entries.cleaned() && from <= entries.base() {
            mark!(LEARN_FROM_DISK);
            fetches.ask(Purpose::Learn { to }, from, entries.base(), ctx);
            return;
        }
        if from > entries.base() {
            let mut bytes = 0;
            let mut instance = from;
            while instance <= entries.chosen() && bytes < ctx.config.page_bytes_max {
                let value = entries.value(instance).expect("chosen values above base are held");
                bytes += value.len() + ENTRY_OVERHEAD;
                values.push(value.clone());
                instance = instance.next();
            }
        }
        if from > entries.chosen()
            && let Some(Slot { ballot, value: Some(value) }) = entries.slot(from)
        {
            if *ballot == Ballot::ZERO {
                values.push(value.clone()); // learned above a gap
            } else if lost && ctx.is_voter(ctx.me) {
                mark!(VOTE_TOLD);
                let (ballot, value) = (*ballot, value.clone());
                ctx.send(to, Message::Voted { instance: from, ballot, value });
                return;
            }
        }
        mark!(LEARN_BELOW_CLEANED if from <= entries.cleaned());
        teach(to, from, values, entries, ctx);
    }

    /// Teaches what came from disk; an entry whose value is lost ends the page.
    pub(crate) fn on_fetched(
        &self,
        to: NodeId,
        from: Instance,
        stored: Vec<Stored>,
        entries: &Entries,
        ctx: &mut Ctx<'_>,
    ) {
        let values = stored.into_iter().map_while(|s| s.value).collect();
        teach(to, from, values, entries, ctx);
    }

    /// An answer has come, and what could be taken from it is taken. Only one that led further lets
    /// us ask for more at once. Where the peer had nothing to give the question stands until its time
    /// is up: asked again at once it would only be answered in the same way, as fast as the network
    /// carries it. Where this node had no room, it asks when it has.
    pub(crate) fn on_answer(&mut self, from: NodeId, chosen: Instance, has_room: bool) {
        let Some(question) = self.asked.filter(|question| question.to == from) else { return };
        mark!(LEARN_NOTHING_NEW if question.from > chosen && has_room);
        self.has_nothing = question.from > chosen && has_room;
        if !self.has_nothing {
            self.asked = None;
            self.silent = None;
        }
    }

    fn ask_somebody(&mut self, entries: &Entries, ctx: &mut Ctx<'_>) {
        if ctx.takes_no_values() {
            return;
        }
        if let Some(question) = self.asked {
            if question.from > entries.chosen() && ctx.now < question.until {
                return;
            }
            if question.from > entries.chosen() {
                self.silent = Some(question.to);
                if let Some(peer) = self.peer(question.to) {
                    peer.is_mute = true;
                }
            }
            self.asked = None;
        }
        let Some(to) = self.source(entries.chosen(), ctx) else { return };
        mark!(LEARN_FROM_ANOTHER if self.silent.is_some_and(|silent| silent != to));
        let from = entries.chosen().next();
        let until = ctx.now + ctx.config.retry_interval * 2;
        self.asked = Some(Question { to, from, until });
        self.has_nothing = false;
        ctx.send(to, Message::Learn { from, lost: false });
    }

    /// Who is to be asked: of those known to be ahead the one that knows most, but for the one that
    /// did not help last; and before those that did not help when they were asked, whoever knows less:
    /// only when all of them were asked in vain is it clear that a checkpoint is needed. Then all are
    /// asked again in turn, since it may have been the network: by what they know, the two that know
    /// most would be asked for ever. If that is the
    /// only one, and it answered, somebody else in turn: its disk may have lost what others still have,
    /// and who is ahead is often known of the leader only. The same if all that are known to be ahead
    /// have cleaned what is needed: somebody may have kept it.
    fn source(&mut self, chosen: Instance, env: &Env) -> Option<NodeId> {
        let ahead = || self.peers.iter().filter(move |p| p.chosen > chosen && p.cleaned <= chosen);
        let other = || ahead().filter(|peer| Some(peer.node) != self.silent);
        if let Some(best) = other().filter(|peer| !peer.is_mute).max_by_key(|peer| peer.chosen) {
            return Some(best.node);
        }
        let nodes = || other().map(|peer| peer.node);
        if let Some(next) =
            nodes().filter(|node| Some(*node) > self.silent).min().or_else(|| nodes().min())
        {
            mark!(LEARN_FROM_THE_MUTE);
            return Some(next);
        }
        match ahead().next() {
            Some(only) if !self.has_nothing => return Some(only.node),
            Some(_) => {}
            None if env.history.version() > chosen => {
                mark!(LEARN_WHAT_THE_MEMBERSHIP_TELLS);
            }
            None if self.peers.iter().all(|peer| peer.chosen <= chosen) => return None,
            None => {}
        }
        mark!(LEARN_FROM_ANYBODY);
        self.turn = env.peer_after(self.turn)?;
        if self.silent == Some(self.turn) {
            self.turn = env.peer_after(self.turn)?;
        }
        Some(self.turn)
    }
}

/// Takes a value that is known to be chosen at an instance, wherever that is known from.
///
/// It is written unless the same value is held already, and replaces what was accepted: a chosen
/// value may be reported in place of a vote. If another value was held from some ballot, the caller
/// is told which, since a leader that proposed another value is deposed (I5).
pub(crate) fn learn(
    instance: Instance,
    value: &Value,
    entries: &mut Entries,
    ctx: &mut Ctx<'_>,
) -> Learned {
    if instance <= entries.chosen() {
        if entries.value(instance).is_some_and(|held| held != value) {
            ctx.fail("two values are known to be chosen", instance);
        }
        return Learned::Skipped;
    }
    if instance != entries.chosen().next() {
        return Learned::Skipped;
    }
    let held = entries.slot(instance).cloned();
    let same = held.as_ref().is_some_and(|slot| slot.value.as_ref() == Some(value));
    if !same {
        ctx.write(Record::Learned { instance, value: value.clone() });
        entries.put(instance, Slot { ballot: Ballot::ZERO, value: Some(value.clone()) });
    }
    entries.choose_next();
    mark!(LEARNED_WHAT_WAS_LOST if held.as_ref().is_some_and(|slot| slot.value.is_none()));
    match held {
        Some(slot) if !same && slot.value.is_some() => {
            mark!(LEARNED_INSTEAD);
            Learned::Instead
        }
        Some(_) | None => Learned::Chosen,
    }
}

/// Peers that are remembered as sources; more than any membership has.
const PEERS_MAX: usize = 256;

fn teach(to: NodeId, from: Instance, values: Vec<Value>, entries: &Entries, ctx: &mut Ctx<'_>) {
    let (chosen, cleaned) = (entries.chosen(), entries.cleaned());
    ctx.send(to, Message::Learned { from, values, chosen, cleaned });
}

#[cfg(test)]
mod tests;
