//! Which part of a group hears a message, and what that means for who leads.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::mem;

use super::Group;
use crate::acceptor::Proposed;
use crate::env::Ctx;
use crate::ids::{Ballot, Instance, Member};
use crate::learner::{self, Learned};
use crate::message::{Message, Promise, Report, Reported};
use crate::outbox::{Event, Outbox, StepDown};
use crate::proposer::Proposer;
use crate::proposer::leadership::Leadership;
use crate::proposer::phase1::{Phase1, Progress};
use crate::proposer::queue::Taken;
use crate::value::Value;

impl Group {
    /// Handles a message: who may say it, which part hears it.
    pub(super) fn receive(&mut self, from: Member, message: Message, out: &mut Outbox) {
        if !self.may_say(from, &message) {
            self.hear_stranger(from, &message, out);
            return;
        }
        let ctx = &mut Ctx { env: &mut self.env, out };
        match message {
            // Meant for the acceptor that this node was. To promise would bind nobody.
            Message::Canvass { .. } | Message::Prepare { .. } if !ctx.is_member() => {}
            Message::Canvass { ballot } => {
                let (promised, chosen) = (self.acceptor.promised(), self.entries.chosen());
                if self.acceptor.grants.bind(ballot, ctx) {
                    mark!(CANVASS_REFUSED_LEASE);
                    let granted = false;
                    ctx.vote(
                        from.node,
                        Message::CanvassReply { ballot, granted, promised, chosen },
                    );
                } else {
                    self.election.on_canvass(from.node, ballot, promised, chosen, ctx);
                }
            }
            Message::CanvassReply { ballot, granted, promised, chosen } => {
                self.learner.note(from.node, chosen);
                let run = self.election.on_reply(from, ballot, granted, promised, ctx);
                if let Some(ballot) = run {
                    self.run_for(ballot, out);
                }
            }
            Message::Prepare { ballot, from: first } => {
                let (entries, fetches) = (&self.entries, &mut self.fetches);
                let before = self.acceptor.promised();
                self.acceptor.on_prepare(from.node, ballot, first, entries, fetches, ctx);
                let promised = self.acceptor.promised();
                if promised > before {
                    self.give_way(out);
                } else if ballot == promised
                    && from != self.env.me
                    && self.election.leader() != ballot
                {
                    // A further page: the candidate is at work, however many there are.
                    self.election.promised(&self.env);
                }
            }
            Message::Promise(promise) => self.on_promise(from, promise, out),
            Message::Behind { ballot, cleaned } => {
                if let Proposer::Preparing(phase1) = &self.proposer
                    && phase1.on_behind(from.node, ballot)
                {
                    self.learner.note(from.node, cleaned);
                    self.learner.note_cleaned(from.node, cleaned, true);
                }
            }
            Message::Nack { ballot, promised } => {
                self.election.met(promised);
                if self.proposer.ballot() == Some(ballot) && promised > ballot {
                    let led = self.proposer.leading().is_some();
                    mark!(LEADER_OUTBID_BY_NACK if led);
                    self.step_down(StepDown::Outbid, out);
                    if led {
                        self.election.wait_less(&self.env);
                    }
                }
            }
            Message::Accept { ballot, instance, value, chosen } => {
                let proposed = Proposed { ballot, instance, value, chosen };
                if self.acceptor.on_accept(from.node, proposed, &mut self.entries, ctx) {
                    self.follow(from, ballot, chosen, out);
                }
            }
            Message::Accepted { ballot, first, last } => {
                if let Some(leadership) = self.proposer.leading() {
                    leadership.on_accepted(from, ballot, (first, last), &self.entries, ctx);
                    leadership.advance(&mut self.entries, ctx);
                    self.turn(out);
                }
            }
            Message::Heartbeat { ballot, probe, chosen } => {
                let promised = self.acceptor.promised();
                if ballot < promised {
                    ctx.vote(from.node, Message::Nack { ballot, promised });
                } else {
                    self.follow(from, ballot, chosen, out);
                    let ctx = &mut Ctx { env: &mut self.env, out };
                    if probe > 0 && ctx.is_member() {
                        let chosen = self.entries.chosen();
                        ctx.vote(from.node, Message::HeartbeatAck { ballot, probe, chosen });
                    } else if probe > 0 {
                        // So that the leader can swap it in.
                        let held = self.held();
                        let ctx = &mut Ctx { env: &mut self.env, out };
                        ctx.send(from.node, Message::Held { ballot, held });
                    }
                }
            }
            Message::HeartbeatAck { ballot, probe, chosen } => {
                self.learner.note(from.node, chosen);
                if let Some(leadership) = self.proposer.leading()
                    && leadership.ballot() == ballot
                {
                    leadership.on_heartbeat_ack(from, probe, chosen, &self.entries, ctx);
                    self.questions.answer(leadership.confirmed(ctx), ctx);
                }
            }
            Message::Learn { from: first, lost } => {
                if !lost {
                    // It knows what is below: somebody who lost that may have it from there.
                    self.learner.note(from.node, first.prev());
                }
                let (entries, fetches) = (&self.entries, &mut self.fetches);
                self.learner.on_learn(from.node, (first, lost), entries, fetches, ctx);
            }
            Message::Learned { from: first, values, chosen, cleaned } => {
                self.learner.note(from.node, chosen);
                self.learner.note_cleaned(from.node, cleaned, !values.is_empty());
                self.executor.on_learned(first, &values, &mut self.origin, ctx);
                self.mender.on_learned(first, &values, ctx);
                for (above, value) in (0..).zip(&values) {
                    self.learn(Instance(first.0.saturating_add(above)), value, out);
                }
                let has_room = !self.env.takes_no_values();
                self.learner.on_answer(from.node, self.entries.chosen(), has_room);
            }
            Message::Voted { instance, ballot, value } => {
                let recalled = self.mender.on_vote(from, instance, (ballot, value), ctx);
                if let Some(value) = recalled {
                    let values = [value];
                    self.executor.on_learned(instance, &values, &mut self.origin, ctx);
                    self.mender.on_learned(instance, &values, ctx);
                }
            }
            Message::Forward { ballot, spread, commands } => {
                let leading = self.proposer.leading();
                let Some(leadership) = leading.filter(|it| it.ballot() == ballot) else {
                    mark!(FORWARD_TO_FORMER_LEADER);
                    return;
                };
                let mut keys = Vec::new();
                for command in commands.commands() {
                    let key = command.key;
                    // Of who is no member nothing is refused: an earlier copy may be in the window.
                    if ctx.history.newest().has(key.origin)
                        && leadership.take(command, spread, ctx) == Taken::Full
                    {
                        keys.push(key);
                    }
                }
                if !keys.is_empty() {
                    mark!(FORWARD_REFUSED);
                    ctx.send(from.node, Message::Refused { ballot, keys });
                }
                leadership.flush_full(&self.entries, ctx);
            }
            Message::Refused { ballot, keys } => {
                for key in keys {
                    self.origin.on_refused(ballot, key, ctx);
                }
            }
            Message::ReadIndex { round } => {
                if let Some(leadership) = self.proposer.leading() {
                    if leadership.is_shut() {
                        mark!(READ_WHILE_SHUT);
                        return; // asked again
                    }
                    let instance = leadership.read_point(&self.entries);
                    let has_lease = ctx.now < self.tenure.until() && !leadership.turns();
                    if has_lease && instance == self.entries.chosen() {
                        mark!(READ_BY_LEASE);
                        ctx.send(from.node, Message::ReadPoint { round, instance });
                        return;
                    }
                    let (probe, point) =
                        (leadership.want_probe(), leadership.read_point(&self.entries));
                    self.questions.ask(from.node, round, probe, point);
                }
            }
            Message::ReadPoint { round, instance } => self.reads.on_point(round, instance, ctx),
            Message::Lease { ballot, question, length } => {
                let promised = self.acceptor.promised();
                if ballot < promised {
                    ctx.vote(from.node, Message::Nack { ballot, promised });
                } else if ballot == promised && ctx.is_voter(ctx.me) {
                    self.acceptor.grants.on_ask(from.node, ballot, question, length, ctx);
                }
            }
            Message::Granted { ballot, question } => {
                if self.proposer.leading().is_some_and(|it| it.ballot() == ballot) {
                    self.tenure.on_granted(from, question, ctx);
                }
            }
            Message::Release { ballot } => self.acceptor.grants.release(ballot, ctx),
            Message::Hold { ballot, chosen } => self.on_hold(from.node, ballot, chosen, out),
            Message::Held { ballot, held } => {
                self.learner.note(from.node, held);
                if let Some(leadership) = self.proposer.leading()
                    && leadership.ballot() == ballot
                {
                    leadership.on_held(from, held, &self.entries, ctx);
                }
            }
            Message::Change { ballot, entry } => {
                let leading = self.proposer.leading().filter(|it| it.ballot() == ballot);
                if let (Some(leadership), Some(entry)) = (leading, entry.membership()) {
                    leadership.on_change(from.node, entry, ctx);
                }
            }
            Message::Digest { at, log, state } => {
                let verdict = self.executor.digests_mut().on_told(from, (at, log, state), ctx);
                self.found(verdict, out);
            }
            Message::Waits { key, on } => self.asking.on_waits(key, on),
            Message::Transfer { ballot } => {
                self.acceptor.grants.release(ballot, ctx);
                mark!(TRANSFER_OVERTAKEN if ballot < self.acceptor.promised());
                if ballot >= self.acceptor.promised() && self.votes() {
                    self.election.met(ballot);
                    let next = self.election.next_ballot(self.acceptor.promised(), self.env.me);
                    self.run_for(next, out);
                }
            }
        }
    }

    /// Whether a sender may say this at all: candidates and leaders are voters (node *and*
    /// incarnation) of an open membership that speak in ballots of their own, or the leader that this
    /// node follows, which may have removed itself; the rest is checked where it counts.
    fn may_say(&self, from: Member, message: &Message) -> bool {
        let leads = |ballot: Ballot| {
            let leader = self.election.leader();
            let voter = self.env.is_voter(from) || (ballot == leader && leader != Ballot::ZERO);
            voter && ballot.member() == from && ballot.round < Ballot::ROUND_LIMIT
        };
        match message {
            Message::Canvass { ballot }
            | Message::Prepare { ballot, .. }
            | Message::Accept { ballot, .. }
            | Message::Heartbeat { ballot, .. }
            | Message::Lease { ballot, .. }
            | Message::Release { ballot }
            | Message::Transfer { ballot } => leads(*ballot),
            Message::CanvassReply { .. }
            | Message::Promise(_)
            | Message::Behind { .. }
            | Message::Nack { .. }
            | Message::Accepted { .. }
            | Message::HeartbeatAck { .. }
            | Message::Learn { .. }
            | Message::Learned { .. }
            | Message::Voted { .. }
            | Message::Forward { .. }
            | Message::Refused { .. }
            | Message::ReadIndex { .. }
            | Message::Granted { .. }
            | Message::Hold { .. }
            | Message::Held { .. }
            | Message::Digest { .. }
            | Message::Change { .. }
            | Message::Waits { .. }
            | Message::ReadPoint { .. } => true,
        }
    }

    /// Somebody speaks like a candidate or a leader, and votes in no membership known here. It may
    /// be of a later one: then it is somebody to learn from, and nothing more. Or it was removed and
    /// does not know: then it is told how much there is to learn.
    fn hear_stranger(&mut self, from: Member, message: &Message, out: &mut Outbox) {
        let ctx = &mut Ctx { env: &mut self.env, out };
        match message {
            Message::Heartbeat { chosen, .. } | Message::Accept { chosen, .. } => {
                mark!(LEADER_UNKNOWN_HERE);
                self.learner.note(from.node, *chosen);
            }
            Message::Canvass { ballot } => {
                mark!(CANVASS_OF_A_STRANGER);
                let (promised, chosen) = (self.acceptor.promised(), self.entries.chosen());
                let (ballot, granted) = (*ballot, false);
                ctx.vote(from.node, Message::CanvassReply { ballot, granted, promised, chosen });
            }
            Message::Prepare { .. }
            | Message::Transfer { .. }
            | Message::Lease { .. }
            | Message::Granted { .. }
            | Message::Release { .. }
            | Message::CanvassReply { .. }
            | Message::Promise(_)
            | Message::Behind { .. }
            | Message::Nack { .. }
            | Message::Accepted { .. }
            | Message::HeartbeatAck { .. }
            | Message::Learn { .. }
            | Message::Learned { .. }
            | Message::Voted { .. }
            | Message::Forward { .. }
            | Message::Refused { .. }
            | Message::ReadIndex { .. }
            | Message::Hold { .. }
            | Message::Held { .. }
            | Message::Digest { .. }
            | Message::Change { .. }
            | Message::Waits { .. }
            | Message::ReadPoint { .. } => {}
        }
    }

    /// A page of a promise: what it reports as chosen is learned, the rest is weighed.
    fn on_promise(&mut self, from: Member, promise: Promise, out: &mut Outbox) {
        if self.proposer.ballot() != Some(promise.ballot) {
            return;
        }
        for reported in &promise.entries {
            if let Report::Chosen(value) = &reported.entry {
                self.learn(reported.instance, value, out);
            }
        }
        let chosen = self.entries.chosen();
        let is_left = |reported: &Reported| {
            reported.instance > chosen && matches!(reported.entry, Report::Chosen(_))
        };
        if self.env.takes_no_values() && promise.entries.iter().any(is_left) {
            // To take over what there is no room to learn would open a window as wide as this node
            // is behind. Asked again, the page comes when there is room.
            return;
        }
        let ctx = &mut Ctx { env: &mut self.env, out };
        if let Some(leadership) = self.proposer.leading() {
            leadership.on_promise(from, promise, &self.entries, ctx);
            return;
        }
        let Proposer::Preparing(phase1) = &mut self.proposer else { return };
        match phase1.on_promise(from, promise, self.entries.chosen(), ctx) {
            Progress::Quorum => {}
            Progress::Page => return self.election.gets_on(ctx),
            Progress::Waiting => return,
        }
        if let Proposer::Preparing(phase1) = mem::replace(&mut self.proposer, Proposer::Idle) {
            let ballot = phase1.ballot();
            let leadership = Leadership::start(*phase1, &self.entries, ctx);
            self.proposer = Proposer::Leading(Box::new(leadership));
            self.election.leads(ballot, ctx);
            ctx.event(Event::Leading(ballot));
        }
    }

    /// Runs phase 1, unless something as high was promised since the ballot was drawn.
    pub(super) fn run_for(&mut self, ballot: Ballot, out: &mut Outbox) {
        let is_behind = self.env.chosen < self.env.history.version();
        if ballot <= self.acceptor.promised()
            || !self.votes()
            || is_behind
            || self.executor.is_stateless() // see Election::abstain
            || self.acceptor.grants.bind(ballot, &self.env)
        {
            return;
        }
        if !self.env.has_room {
            mark!(RUN_PUT_OFF_DISK_FULL);
            return;
        }
        self.step_down(StepDown::Outbid, out);
        self.election.vacant(&self.env);
        let ctx = &mut Ctx { env: &mut self.env, out };
        self.acceptor.raise(ballot, ctx);
        ctx.event(Event::Preparing(ballot));
        let phase1 = Phase1::start(ballot, self.entries.chosen().next(), ctx);
        self.proposer = Proposer::Preparing(Box::new(phase1));
    }

    /// A leader spoke in a ballot that this node's promise allows.
    fn follow(&mut self, from: Member, ballot: Ballot, chosen: Instance, out: &mut Outbox) {
        if from == self.env.me {
            return;
        }
        if self.proposer.ballot().is_some_and(|own| own < ballot) {
            self.step_down(StepDown::Outbid, out);
        }
        let ctx = &mut Ctx { env: &mut self.env, out };
        self.election.heard(ballot, ctx);
        self.learner.on_chosen(from.node, ballot, chosen, &mut self.entries);
        self.turn(out);
    }

    /// Ends a candidacy or leadership that this node's own promise has passed, and waits for the
    /// candidate that it promised.
    fn give_way(&mut self, out: &mut Outbox) {
        let promised = self.acceptor.promised();
        if self.proposer.ballot().is_some_and(|own| own < promised) {
            mark!(LEADER_OUTBID_BY_PREPARE);
            self.step_down(StepDown::Outbid, out);
        }
        self.election.promised(&self.env);
    }

    /// A value is known to be chosen. A leader that proposed another one there, or none, is deposed:
    /// it voids its tallies and says nothing more in its ballot (I5).
    fn learn(&mut self, instance: Instance, value: &Value, out: &mut Outbox) {
        let ctx = &mut Ctx { env: &mut self.env, out };
        if ctx.takes_no_values() {
            mark!(LEARN_WITHOUT_ROOM);
            return;
        }
        let learned = learner::learn(instance, value, &mut self.entries, ctx);
        let Some(leadership) = self.proposer.leading() else {
            self.entries.choose(Ballot::ZERO, Instance::MAX); // what was learned above a gap
            self.turn(out);
            return;
        };
        match learned {
            Learned::Skipped => {}
            Learned::Chosen if leadership.proposed(instance) => {
                mark!(LEADER_LEARNS_OWN_VALUE);
                leadership.close();
                leadership.advance(&mut self.entries, ctx);
            }
            Learned::Chosen | Learned::Instead => {
                mark!(DEPOSED_BEYOND_WINDOW if learned == Learned::Chosen);
                mark!(DEPOSED_BY_FOREIGN_VALUE if learned == Learned::Instead);
                self.step_down(StepDown::Deposed, out);
            }
        }
        self.turn(out);
    }
}

#[cfg(test)]
mod tests;
