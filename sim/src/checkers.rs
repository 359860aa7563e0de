//! What may never happen, watched as it happens. A file per rule; this file only tells each rule
//! what concerns it.
//!
//! The message monitors ([`promises`], [`reports`], [`values`], [`ballots`], [`disk`]) listen to what
//! a node *says*: a broken promise is heard at once, where the damage that it does shows up a hundred
//! seeds later or never. [`choices`] knows from the disks alone what is chosen, before any node can
//! know; whatever nodes execute, teach and acknowledge is held against that.

pub mod acknowledged;
pub mod ballots;
pub mod bounds;
pub mod changes;
pub mod choices;
pub mod disk;
pub mod eras;
pub mod excuse;
pub mod files;
pub mod founding;
pub mod guests;
pub mod hellos;
pub mod leases;
pub mod mandates;
pub mod masters;
mod members;
pub mod once;
pub mod order;
pub mod promises;
pub mod quiet;
pub mod reference;
pub mod reports;
pub mod search;
pub mod states;
pub mod storm;
#[cfg(test)]
mod testing;
pub mod values;
pub mod voters;

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use synod_core::{
    Ballot, CommandKey, Config, GroupId, Instance, Member, Message, NodeId, Position, Record,
    Recovered, Report, SmId, Time, Usage,
};
use synod_proto::Hello;

use crate::kv::{Op, STORE, word};

/// A rule that was broken, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The rule's name: that of its file.
    pub rule: &'static str,
    /// What happened, with the values.
    pub what: String,
}

impl Violation {
    /// A broken rule.
    #[must_use]
    pub const fn new(rule: &'static str, what: String) -> Self {
        Self { rule, what }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.rule, self.what)
    }
}

/// What a rule says of something that happened.
pub type Verdict = Result<(), Violation>;

/// One node's member of one group, by their indices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The node's index.
    pub node: usize,
    /// The group's index.
    pub group: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n{} in group {}", self.node + 1, self.group)
    }
}

/// Something for each node's member of each group.
#[derive(Debug)]
pub struct PerPlace<T> {
    groups: usize,
    all: Vec<T>,
}

impl<T: Default> PerPlace<T> {
    /// One default for each.
    #[must_use]
    pub fn new(nodes: usize, groups: usize) -> Self {
        Self { groups, all: std::iter::repeat_with(T::default).take(nodes * groups).collect() }
    }

    /// That of one place.
    pub fn at(&mut self, place: Place) -> &mut T {
        &mut self.all[place.node * self.groups + place.group]
    }

    /// That of one place, to look at.
    #[must_use]
    pub fn get(&self, place: Place) -> &T {
        &self.all[place.node * self.groups + place.group]
    }
}

/// All rules of one run, and the first that was broken.
#[derive(Debug)]
pub struct Checkers {
    promises: promises::Promises,
    reports: reports::Reports,
    values: values::Values,
    ballots: ballots::Ballots,
    disk: disk::Disk,
    /// What is chosen.
    pub choices: choices::Choices,
    once: once::Once,
    /// What should have been executed.
    pub reference: reference::Reference,
    states: states::States,
    guests: guests::Guests,
    order: order::Order,
    acknowledged: acknowledged::Acknowledged,
    founded: founding::Founded,
    bounds: bounds::Bounds,
    changes: changes::Changes,
    voters: voters::Voters,
    mandates: mandates::Mandates,
    storm: storm::Storm,
    /// Who may read on its own.
    pub leases: leases::Leases,
    /// Who believes to be master.
    pub masters: masters::Masters,
    /// What was said in hellos.
    pub hellos: hellos::Hellos,
    /// What is said while there is nothing to do.
    pub quiet: quiet::Quiet,
    /// A disk lost or changed what it had synced.
    is_damaged: bool,
    /// Memories whose disks did, each of a group, that did not vote then: everything up to where was
    /// chosen by then.
    strays: Vec<(usize, Member, Instance)>,
    broken: Option<Violation>,
}

impl Checkers {
    /// Rules for a cluster of so many nodes and groups.
    #[must_use]
    pub fn new(nodes: usize, groups: usize, config: &Config) -> Self {
        Self {
            promises: promises::Promises::new(nodes, groups),
            reports: reports::Reports::new(nodes, groups),
            values: values::Values::new(groups),
            ballots: ballots::Ballots::default(),
            disk: disk::Disk::new(nodes, groups),
            choices: choices::Choices::new(groups),
            once: once::Once::new(nodes, groups),
            reference: reference::Reference::new(groups),
            states: states::States::new(groups),
            guests: guests::Guests::default(),
            order: order::Order::new(groups),
            acknowledged: acknowledged::Acknowledged::default(),
            founded: founding::Founded::default(),
            bounds: bounds::Bounds::new(nodes, groups, config),
            changes: changes::Changes::default(),
            voters: voters::Voters::new(nodes, groups),
            mandates: mandates::Mandates::default(),
            leases: leases::Leases::new(nodes, groups),
            masters: masters::Masters::new(nodes, groups),
            storm: storm::Storm::new(nodes, groups, config.election_timeout),
            hellos: hellos::Hellos::new(nodes, config.election_timeout),
            quiet: quiet::Quiet::new(nodes, groups, config),
            is_damaged: false,
            strays: Vec::new(),
            broken: None,
        }
    }

    /// The same rules, and those for a user's machines.
    #[must_use]
    pub fn hosting(mut self, guests: crate::guests::Guests) -> Self {
        self.guests = guests::Guests::of(guests);
        self
    }

    /// The same rules where an operator changes who votes, if that is so.
    #[must_use]
    pub const fn changing(mut self, is_operated: bool) -> Self {
        if is_operated {
            self.bounds.has_books();
        }
        self
    }

    /// The first rule broken, if one is.
    #[must_use]
    pub const fn broken(&self) -> Option<&Violation> {
        self.broken.as_ref()
    }

    /// Keeps the first violation.
    pub fn note(&mut self, verdict: Verdict) {
        if let Err(violation) = verdict {
            self.broken.get_or_insert(violation);
        }
    }

    /// A node puts a message on the wire.
    pub fn said(&mut self, place: Place, me: Member, life: u64, message: &Message) {
        let group = GroupId(u32::try_from(place.group).expect("few groups"));
        let verdict = self
            .voters
            .said(&self.choices, place, me, message)
            .and_then(|()| self.hellos.said(place, group, me, message))
            .map(|()| self.mandates.said(place.group, me, message))
            .and_then(|()| self.heard(place, me, life, message));
        self.note(verdict);
    }

    fn heard(&mut self, place: Place, me: Member, life: u64, message: &Message) -> Verdict {
        match message {
            Message::Prepare { ballot, .. } => {
                self.ballots.used(place.group, me, life, *ballot)?;
                self.disk.prepare(place, *ballot)
            }
            Message::Promise(promise) => {
                self.promises.promise(place, promise.ballot)?;
                self.reports.promise(place, promise)?;
                for reported in &promise.entries {
                    let at = reported.instance;
                    match &reported.entry {
                        Report::Accepted(ballot, value) => {
                            self.values.accepted(place.group, at, *ballot, value)?;
                        }
                        Report::Chosen(value) => {
                            self.choices.claimed(place, at, value, "reports as chosen")?;
                        }
                        Report::Lost(_) => {}
                    }
                }
                self.disk.promise(place, promise)
            }
            Message::Accept { ballot, instance, value, chosen } => {
                self.ballots.used(place.group, me, life, *ballot)?;
                self.choices.known(place, *chosen)?;
                self.values.accepted(place.group, *instance, *ballot, value)
            }
            Message::Accepted { ballot, first, last } => {
                self.promises.vote(place, *ballot, "accepted")?;
                self.reports.accepted(place, *ballot, *first, *last);
                self.disk.accepted(place, *ballot, *first, *last)
            }
            Message::Heartbeat { ballot, chosen, .. } => {
                self.ballots.used(place.group, me, life, *ballot)?;
                self.choices.known(place, *chosen)
            }
            Message::HeartbeatAck { ballot, chosen, .. } => {
                self.promises.vote(place, *ballot, "acknowledged")?;
                self.choices.known(place, *chosen)
            }
            Message::Learned { from, values, chosen, .. } => {
                let mut at = *from;
                for value in values {
                    self.choices.claimed(place, at, value, "teaches")?;
                    at = at.next();
                }
                self.choices.known(place, *chosen)
            }
            Message::Voted { instance, ballot, value } => {
                self.values.accepted(place.group, *instance, *ballot, value)
            }
            Message::Hold { chosen, .. }
            | Message::Held { held: chosen, .. }
            | Message::CanvassReply { chosen, .. } => self.choices.known(place, *chosen),
            Message::Canvass { .. }
            | Message::Behind { .. }
            | Message::Nack { .. }
            | Message::Learn { .. }
            | Message::Forward { .. }
            | Message::Refused { .. }
            | Message::ReadIndex { .. }
            | Message::Digest { .. }
            | Message::Change { .. }
            | Message::Waits { .. }
            | Message::ReadPoint { .. } => Ok(()),
            Message::Lease { ballot, .. } => self.ballots.used(place.group, me, life, *ballot),
            Message::Granted { ballot, .. } => self.promises.vote(place, *ballot, "granted"),
            Message::Transfer { ballot } | Message::Release { ballot } => {
                self.ballots.released(place.group, life, *ballot);
                Ok(())
            }
        }
    }

    /// A sync of these records succeeded.
    pub fn synced(&mut self, place: Place, records: &[Record]) {
        self.quiet.synced();
        let verdict = self.disk.synced(place, records);
        self.note(verdict);
        if let Some(who) = self.voters.now(place) {
            self.changes.synced(place.group, who, records);
        }
        for record in records {
            if let Record::Accepted { instance, ballot, value } = record {
                let verdict = self.values.accepted(place.group, *instance, *ballot, value);
                self.note(verdict);
                self.stored(place, *instance, *ballot, value);
            }
        }
    }

    /// A node read its log after a restart; what it read is on the disk now.
    pub fn recovered(&mut self, place: Place, recovered: &Recovered) {
        let verdict = self.disk.recovered(place, recovered);
        self.note(verdict);
        if let Some(who) = self.voters.now(place) {
            self.changes.recovered(place.group, who, recovered);
        }
        for stored in &recovered.entries {
            if let (Some(value), true) = (&stored.value, stored.ballot > Ballot::ZERO) {
                self.stored(place, stored.instance, stored.ballot, value);
            }
        }
    }

    /// This is what a node would read from its disk if the power failed now.
    pub fn read_back(&mut self, place: Place, recovered: &Recovered) {
        let verdict = self.disk.read_back(place, recovered);
        self.note(verdict);
    }

    /// What a node's disk held is gone, or an older copy of it is there.
    pub fn unfounded(&mut self, node: usize) {
        self.founded.wiped(node);
    }

    /// A node knows what its cluster was founded from.
    pub fn founded(&mut self, node: usize, founding: &synod_core::Founding) {
        let verdict = self.founded.founded(node, founding);
        self.note(verdict);
        for (group, (_, membership)) in founding.groups.iter().enumerate() {
            self.choices.founded(group, founding.cluster, membership);
        }
    }

    /// A node judges a hello.
    pub fn judged(&mut self, node: usize, hello: &Hello, verdict: synod_proto::Verdict) {
        let verdict = self.hellos.judged(node, hello, verdict);
        self.note(verdict);
    }

    /// A process starts its groups.
    pub fn entered(&mut self, node: usize, me: NodeId, founding: &synod_core::Founding, now: Time) {
        let verdict = self.hellos.entered(node, me, founding, now);
        self.note(verdict);
    }

    /// A node asks whether it could lead.
    pub fn canvassed(&mut self, place: Place, now: Time) {
        let verdict = self.storm.canvassed(place, now);
        self.note(verdict);
    }

    /// A node runs for leader.
    pub fn ran(&mut self, place: Place) {
        let verdict = self.storm.ran(place);
        self.note(verdict);
    }

    /// Everything works, and there is nothing to do from now on; nobody can tell these that they have left.
    pub fn idle(&mut self, now: Time, forlorn: &[Place]) {
        self.storm.idle(forlorn);
        self.quiet.idle(now);
    }

    /// A group has done a step, and said so many messages.
    pub fn stepped(&mut self, place: Place, usage: &Usage, messages: usize) {
        let verdict = self.bounds.stepped(place, usage, messages);
        self.note(verdict);
    }

    /// A group started, with this promise.
    pub fn started(&mut self, place: Place, promised: Ballot, usage: &Usage) {
        self.bounds.started(place, usage);
        self.storm.started(place);
        let verdict = self.promises.started(place, promised);
        self.note(verdict);
        self.once.restarted(place);
    }

    /// A state machine executed a command, or skipped it since it had done so in an earlier life.
    pub fn executed(&mut self, place: Place, executed: &Executed<'_>) {
        let verdict = self
            .choices
            .contains(place, executed.at, executed.key, executed.payload)
            .and_then(|()| self.once.executed(place, executed.at, executed.key))
            .and_then(|()| {
                let Executed { at, sm, output, .. } = *executed;
                if sm == STORE {
                    let output = output.map(|output| word(output).unwrap_or_default());
                    return self.reference.executed(&self.choices, place, at, output);
                }
                self.reference.guest_executed(&self.choices, place, at)?;
                let Some(output) = output else { return Ok(()) };
                let log = self.reference.given(&self.choices, place.group, at.instance);
                self.guests.executed(log, place, at, output)
            });
        self.note(verdict);
    }

    /// State machines have executed everything up to this instance.
    pub fn through(&mut self, place: Place, instance: Instance, applied: Position, digest: u64) {
        let verdict = self
            .choices
            .known(place, instance)
            .and_then(|()| self.states.through(place, instance, applied, digest));
        self.note(verdict);
    }

    /// A user's machine has this state after this instance.
    pub fn guest_through(
        &mut self,
        place: Place,
        sm: SmId,
        instance: Instance,
        state: Box<dyn crate::guests::State>,
    ) {
        let log = self.reference.given(&self.choices, place.group, instance);
        let verdict = self.guests.through(log, place, sm, instance, state);
        self.note(verdict);
    }

    /// A user's machine, which has executed everything up to `at`, answers a query.
    pub fn guest_answered(
        &mut self,
        place: Place,
        sm: SmId,
        query: &Bytes,
        at: Position,
        answer: &Bytes,
    ) {
        let log = self.reference.given(&self.choices, place.group, at.instance);
        let verdict = self.guests.answered(log, place, sm, query, at, answer);
        self.note(verdict);
    }

    /// A client heard the answer to a query of a user's machine that stood at `at`.
    pub fn guest_read(&mut self, group: usize, query: &Bytes, after: Position, at: Position) {
        let verdict = self.order.read(group, query, after, at);
        self.note(verdict);
    }

    /// A client heard that a user's machine executed its command at a position.
    pub fn guest_committed(
        &mut self,
        group: usize,
        sm: SmId,
        command: &[u8],
        after: Position,
        at: Position,
    ) {
        let verdict = guests::committed(&self.choices, group, sm, command, at)
            .and_then(|()| self.order.written(group, &command, after, at));
        self.note(verdict);
    }

    /// A client asks for something; the answer must come from above what it returns.
    #[must_use]
    pub fn invoked(&self, group: usize) -> Position {
        self.order.invoked(group)
    }

    /// A read begins that may see a state which is so old: it must come out at or above the position
    /// returned.
    #[must_use]
    pub fn answered_by(&self, group: usize, now: Time, stale: Duration) -> Position {
        if !self.leases.is_bound() {
            return Position::default(); // by whose clock?
        }
        let age = now.since(Time::ZERO).saturating_sub(stale);
        self.order.answered_by(group, Time::ZERO + age)
    }

    /// Something was answered now.
    pub fn answered(&mut self, now: Time) {
        self.order.passes(now);
    }

    /// A client heard that its command was executed at a position, with an output.
    pub fn committed(&mut self, group: usize, op: &Op, after: Position, at: Position) {
        let verdict = self
            .acknowledged
            .committed(&self.choices, group, op, at)
            .and_then(|()| self.order.written(group, op, after, at));
        self.note(verdict);
    }

    /// A client heard that its command was executed at or below an instance.
    pub fn committed_within(&mut self, group: usize, op: &Op, after: Position, last: Instance) {
        match self.reference.executed_by(&self.choices, group, op.tag, last) {
            Ok(at) => self.committed(group, op, after, at),
            broken @ Err(_) => self.note(broken.map(|_| ())),
        }
    }

    /// A client heard that its command was not taken, and never will be.
    pub fn refused(&mut self, group: usize, op: &Op) {
        let verdict = self.acknowledged.refused(&self.reference, group, op);
        self.note(verdict);
    }

    /// A client read a key, from a state machine that stood at `at`.
    pub fn read(&mut self, group: usize, key: u16, after: Position, at: Position, output: u64) {
        let verdict = self
            .order
            .read(group, &key, after, at)
            .and_then(|()| self.reference.read(&self.choices, group, key, at, output));
        self.note(verdict);
    }

    /// The run is over.
    pub fn finished(&mut self) {
        let verdict = self.acknowledged.finished(&mut self.reference, &self.choices);
        self.note(verdict);
    }

    /// What a disk holds is a vote of the memory on it, for what that is worth.
    fn stored(&mut self, place: Place, at: Instance, ballot: Ballot, value: &synod_core::Value) {
        if let Some(who) = self.voters.now(place) {
            let verdict = self.choices.stored(place.group, who, at, ballot, value);
            self.note(verdict);
        }
    }
}

/// A command that a state machine executed.
#[derive(Clone, Copy, Debug)]
pub struct Executed<'a> {
    /// Where it stands.
    pub at: Position,
    /// For which machine.
    pub sm: SmId,
    /// Which command.
    pub key: CommandKey,
    /// What it says.
    pub payload: &'a [u8],
    /// What came of it; `None` if it was executed in an earlier life.
    pub output: Option<&'a Bytes>,
}
