//! One node, as the real core makes it: it is what was done to it, and is made anew from that.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use synod_core::{
    Apply, Ballot, ClusterId, Config, Event, Group, GroupId, Incarnation, Input, Instance, Member,
    Membership, Message, NodeId, Outbox, ProposalId, Record, Report, Role, SmId, Start, Time,
    Value,
};

use crate::bugs::Bug;
use crate::disk::Disk;
use crate::rules::{Broken, Known, Rule, Vote};
use crate::space::Bounds;

/// What is done to a node.
#[derive(Clone, Debug)]
pub(crate) enum Deed {
    /// It hears a message.
    Hear(Member, Message),
    /// It is told to run for leader: what the election timers come to, without time.
    Run,
    /// Its disk finishes everything that was written.
    Sync,
    /// Its disk finishes nothing any more, until the power is gone.
    Still,
    /// The power is gone and comes back; of what was not synced only the first records survive.
    Crash(usize),
}

/// A node in a state, and what the rules need to know of its past.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    me: Member,
    boot: u64,
    /// What the disk held when this process life began.
    begun: Disk,
    /// What was done to it in this life.
    deeds: Vec<Deed>,
    /// States with the same key are the same.
    pub(crate) key: (u64, u64),
    pub(crate) disk: Disk,
    /// Written, and not synced.
    pub(crate) pending: Vec<Record>,
    /// What is written will never be synced.
    is_still: bool,
    /// How often it ran for leader.
    pub(crate) runs: usize,
    /// The ballot that it acts in, and whether it leads.
    pub(crate) acts: Option<(Ballot, bool)>,
    pub(crate) known: Known,
    /// Votes that are on disk or were said.
    pub(crate) votes: BTreeSet<Vote>,
    /// Those that survived a crash without having been synced: nobody heard of them.
    survived: BTreeSet<(Instance, Ballot)>,
    /// The highest ballot that it said to have promised.
    said: Ballot,
    /// The last one for which it said what it accepted before, in this life.
    answered: Ballot,
    /// The ballots that it used, and in which life.
    led: BTreeMap<Ballot, u64>,
    pub(crate) broken: Broken,
}

/// What a node says, and to whom.
pub(crate) type Said = Vec<(NodeId, Message)>;

pub(crate) fn member(node: usize) -> Member {
    let node = u64::try_from(node).unwrap() + 1;
    Member { node: NodeId(node), incarnation: Incarnation(node) }
}

impl Node {
    fn new(me: Member) -> Self {
        Self {
            me,
            boot: 1,
            begun: Disk::default(),
            deeds: Vec::new(),
            key: (0, 0),
            disk: Disk::default(),
            pending: Vec::new(),
            is_still: false,
            runs: 0,
            acts: None,
            known: Known::new(),
            votes: BTreeSet::new(),
            survived: BTreeSet::new(),
            said: Ballot::ZERO,
            answered: Ballot::ZERO,
            led: BTreeMap::new(),
            broken: Broken::default(),
        }
    }

    /// A node that was never up.
    pub(crate) fn begin(me: Member, bounds: &Bounds) -> Self {
        let mut node = Self::new(me);
        let live = Live::start(&node, bounds);
        node.key = node.key(&live, bounds);
        node
    }

    pub(crate) const fn me(&self) -> Member {
        self.me
    }

    /// Whether it takes everything up to an instance for chosen.
    pub(crate) fn knows(&self, instance: u64) -> bool {
        self.known.contains_key(&instance)
    }

    /// What it did, holds and knows, as far as it can matter to agreement.
    pub(crate) fn facts(&self) -> String {
        let Self { disk, pending, runs, acts, known, votes, .. } = self;
        format!("{disk:?} {pending:?} {runs} {acts:?} {known:?} {votes:?}")
    }

    /// Whether the answer to a message waits for the disk already: to hear it again would make another
    /// wait behind it, without end.
    pub(crate) fn is_about_to_answer(&self, message: &Message) -> bool {
        let Message::Accept { ballot, instance, chosen, .. } = message else { return false };
        let is_it = |record: &Record| {
            matches!(record, Record::Accepted { instance: i, ballot: b, .. }
                if (i, b) == (instance, ballot))
        };
        (*chosen == Instance::ZERO || self.knows(chosen.0)) && self.pending.iter().any(is_it)
    }

    /// Whether a message can make no difference here, now and later, so that it may as well be lost.
    /// `is_last` says that this node does not crash any more, `sender` is who said it.
    ///
    /// Three things stay for ever: what is on disk; that a ballot in which nobody acts any more is
    /// never acted in again (I3, and where that breaks nothing is looked for behind it); and, in the
    /// last process life, what a node knows and said, since all that was said is in the network until
    /// its receiver is deaf to it. Nacks and acknowledgements of heartbeats do not travel. So, by kind:
    ///
    /// - *Prepare* below the durable promise is refused, in every life. At the promise it changes
    ///   nothing here, and all that comes of it is a promise. The candidate drops that unless it
    ///   still acts in the ballot; and it need not hear again what it was told in this life, which is
    ///   all that there was to tell: what was accepted below the ballot does not change, and what is
    ///   known chosen since was heard from the candidate itself. What is learned by asking could be
    ///   told on top, so if nodes ask, only the candidate counts. A promise that survived a crash
    ///   unsynced was *not* said.
    /// - *Accept* below the promise is refused, word of what is chosen included. At the promise it
    ///   asks for a vote, and says what is chosen. The vote makes no difference if it is on disk and
    ///   was said, or if the instance is known chosen for the rest of time; the word makes none if
    ///   it says nothing, or nothing new for the rest of time.
    /// - *Heartbeat* is such an accept without a vote. It raises no promise, so one of a higher ballot
    ///   makes a leader give way.
    /// - *Promise* and *Accepted* are counted by who acts in the ballot, and by nobody else. A leader
    ///   has no use for a late promise, but learns what it reports as chosen.
    /// - *Learned* teaches nothing to who knows it for the rest of time.
    pub(crate) fn is_deaf_to(
        &self,
        message: &Message,
        sender: &Self,
        is_last: bool,
        learns: bool,
    ) -> bool {
        let durable = self.disk.promised;
        let has_voted = |instance: Instance, ballot: Ballot| {
            self.votes.iter().any(|(i, b, _)| (*i, *b) == (instance.0, ballot))
        };
        match message {
            Message::Prepare { ballot, .. } => {
                let is_awaited = sender.acts.is_some_and(|(own, _)| own == *ballot);
                let is_answered = is_last && !learns && self.answered == *ballot;
                *ballot < durable || (*ballot == durable && (!is_awaited || is_answered))
            }
            Message::Accept { ballot, instance, chosen, .. } => {
                let has_said = !self.survived.contains(&(*instance, *ballot));
                let is_taken = (has_voted(*instance, *ballot) && has_said)
                    || (is_last && self.knows(instance.0));
                let is_news = *chosen > Instance::ZERO && !(is_last && self.knows(chosen.0));
                *ballot < durable || (*ballot == durable && is_taken && !is_news)
            }
            Message::Heartbeat { ballot, chosen, .. } => {
                let gives_way = self.acts.is_some_and(|(own, _)| own < *ballot);
                *ballot < durable || (is_last && self.knows(chosen.0) && !gives_way)
            }
            Message::Promise(promise) => {
                let mut entries = promise.entries.iter();
                let is_news = entries.any(|reported| {
                    matches!(reported.entry, Report::Chosen(_)) && !self.knows(reported.instance.0)
                });
                match self.acts {
                    Some((own, leads)) if own == promise.ballot => leads && !is_news,
                    Some(_) | None => true,
                }
            }
            Message::Accepted { ballot, last, .. } => {
                self.acts.is_none_or(|(own, _)| own != *ballot) || self.knows(last.0)
            }
            Message::HeartbeatAck { ballot, chosen, .. } => {
                self.acts.is_none_or(|(own, _)| own != *ballot) || self.knows(chosen.0)
            }
            Message::Learned { from, values, .. } => {
                let last = from.0 + u64::try_from(values.len()).unwrap();
                values.is_empty() || (is_last && self.knows(last - 1))
            }
            Message::Canvass { .. }
            | Message::CanvassReply { .. }
            | Message::Behind { .. }
            | Message::Nack { .. }
            | Message::Learn { .. }
            | Message::Voted { .. }
            | Message::Forward { .. }
            | Message::Refused { .. }
            | Message::ReadIndex { .. }
            | Message::ReadPoint { .. }
            | Message::Lease { .. }
            | Message::Granted { .. }
            | Message::Release { .. }
            | Message::Hold { .. }
            | Message::Held { .. }
            | Message::Digest { .. }
            | Message::Change { .. }
            | Message::Waits { .. }
            | Message::Transfer { .. } => false,
        }
    }

    /// The node after a deed, and what it says. A panic is a broken rule.
    pub(crate) fn after(&self, deed: &Deed, bounds: &Bounds) -> (Self, Said) {
        let mut next = self.clone();
        let said = catch_unwind(AssertUnwindSafe(|| next.does(deed, bounds)));
        let said = said.unwrap_or_else(|_| {
            next = self.clone();
            next.broken.unless(false, Rule::Sound);
            Vec::new()
        });
        (next, said)
    }

    fn does(&mut self, deed: &Deed, bounds: &Bounds) -> Said {
        self.runs += usize::from(matches!(deed, Deed::Run));
        self.is_still =
            matches!(deed, Deed::Still) || (self.is_still && !matches!(deed, Deed::Crash(_)));
        if let Deed::Crash(kept) = deed {
            for record in self.pending.drain(..).take(*kept).collect::<Vec<_>>() {
                self.on_disk(&record);
                if let Record::Accepted { instance, ballot, .. } = record {
                    self.survived.insert((instance, ballot));
                }
            }
            self.boot += 1;
            self.deeds.clear();
            (self.begun, self.known) = (self.disk.clone(), Known::new());
            self.answered = Ballot::ZERO;
        }
        let mut live = Live::start(self, bounds);
        if !matches!(deed, Deed::Crash(_)) {
            live.does(deed);
            self.deeds.push(deed.clone());
        }
        if matches!(deed, Deed::Sync) {
            for record in std::mem::take(&mut self.pending) {
                self.on_disk(&record);
            }
        }
        let is_counting = matches!(deed, Deed::Sync | Deed::Hear(_, Message::Accepted { .. }));
        for (instance, value) in &live.executed {
            let known = (value.clone(), is_counting && live.acts().is_some_and(|(_, leads)| leads));
            self.known.entry(*instance).or_insert(known);
        }
        for ballot in &live.drawn {
            self.broken.unless(!self.led.contains_key(ballot), Rule::I3);
        }
        let mut said = std::mem::take(&mut live.said);
        for (_, message) in &said {
            self.says(message, &live);
        }
        said.retain(|(_, message)| bounds.travels(message));
        let promised = live.group.status().promised;
        self.broken.unless(promised >= self.said && promised >= self.disk.promised, Rule::I2);
        self.broken.unless(live.group.failure().is_none(), Rule::Sound);
        self.acts = live.acts();
        self.pending = live.pending();
        self.key = self.key(&live, bounds);
        said
    }

    fn on_disk(&mut self, record: &Record) {
        self.disk.add(record, &mut self.broken);
        if let Record::Accepted { instance, ballot, value } = record {
            self.votes.insert((instance.0, *ballot, text(value)));
        }
    }

    /// A message leaves: what it says must be on disk, and its ballot be ours.
    fn says(&mut self, message: &Message, live: &Live) {
        let has = |votes: &BTreeSet<Vote>, i: Instance, b: Ballot| {
            votes.iter().any(|(instance, ballot, _)| (*instance, *ballot) == (i.0, b))
        };
        match message {
            Message::Prepare { ballot, .. } => {
                self.broken.unless(self.disk.promised >= *ballot, Rule::I1);
                self.uses(*ballot);
            }
            Message::Accept { ballot, .. } => self.uses(*ballot),
            Message::Promise(promise) => {
                self.broken.unless(self.disk.promised >= promise.ballot, Rule::I1);
                for reported in &promise.entries {
                    if let Report::Accepted(ballot, _) = &reported.entry {
                        let is_there = has(&self.votes, reported.instance, *ballot);
                        self.broken.unless(is_there, Rule::I1);
                    }
                }
                self.said = self.said.max(promise.ballot);
                self.answered = promise.ballot;
            }
            Message::Accepted { ballot, first, last } => {
                for instance in (first.0..=last.0).map(Instance) {
                    self.broken.unless(has(&self.votes, instance, *ballot), Rule::I1);
                    let cast = live.cast.get(&(instance, *ballot));
                    self.votes.extend(cast.map(|value| (instance.0, *ballot, value.clone())));
                }
                self.said = self.said.max(*ballot);
            }
            Message::Canvass { .. }
            | Message::CanvassReply { .. }
            | Message::Behind { .. }
            | Message::Nack { .. }
            | Message::Heartbeat { .. }
            | Message::HeartbeatAck { .. }
            | Message::Learn { .. }
            | Message::Voted { .. }
            | Message::Learned { .. }
            | Message::Forward { .. }
            | Message::Refused { .. }
            | Message::ReadIndex { .. }
            | Message::ReadPoint { .. }
            | Message::Lease { .. }
            | Message::Granted { .. }
            | Message::Release { .. }
            | Message::Hold { .. }
            | Message::Held { .. }
            | Message::Digest { .. }
            | Message::Change { .. }
            | Message::Waits { .. }
            | Message::Transfer { .. } => {}
        }
    }

    fn uses(&mut self, ballot: Ballot) {
        let is_ours = ballot.member() == self.me;
        let life = *self.led.entry(ballot).or_insert(self.boot);
        self.broken.unless(is_ours && life == self.boot, Rule::I3);
    }

    /// Everything that can make a difference later. Time stands still, so what is left out are
    /// timers, what a candidacy is drawn from, and buffers that are kept for reuse.
    fn key(&self, live: &Live, bounds: &Bounds) -> (u64, u64) {
        let mut group = format!("{:?}", live.group);
        if self.is_still || self.pending.is_empty() {
            cut(&mut group, "written: ", "settled: ");
        } else {
            cut(&mut group, "spare: ", "progress: ");
        }
        cut(&mut group, "heard: ", "round: ");
        cut(&mut group, "courted: ", "canvass: ");
        cut(&mut group, "jitter: ", "proposer: ");
        cut(&mut group, "config: ", "history: ");
        if !bounds.learns {
            cut(&mut group, "learner: ", "election: ");
        }
        let Self {
            me,
            boot,
            disk,
            pending,
            is_still,
            runs,
            known,
            votes,
            survived,
            said,
            answered,
            led,
            broken,
            ..
        } = self;
        let past =
            (disk, pending, is_still, runs, known, votes, survived, said, answered, led, broken);
        let past = (me, boot, past);
        let all = format!("{group} {past:?}");
        let hash = |salt: u64| {
            let mut hasher = DefaultHasher::new();
            (salt, &all).hash(&mut hasher);
            hasher.finish()
        };
        (hash(1), hash(2))
    }
}

/// A node at work.
struct Live {
    me: Member,
    group: Group,
    out: Outbox,
    bounds: Bounds,
    said: Said,
    executed: BTreeMap<u64, String>,
    /// The leadership that proposed last.
    proposed: Ballot,
    /// The ballots drawn.
    drawn: Vec<Ballot>,
    /// Every vote that was written down in this life, durable or not.
    cast: BTreeMap<(Instance, Ballot), String>,
    /// Written and claimed to be durable; only a bug leaves something here.
    pending: Vec<Record>,
    disk: Disk,
}

impl Live {
    /// Starts a process on what the disk held, and does to it what was done.
    fn start(node: &Node, bounds: &Bounds) -> Self {
        let Node { me, boot, begun, deeds, .. } = node;
        let own = Ballot { round: 0, node: me.node, incarnation: me.incarnation };
        let start = Start {
            cluster: ClusterId(1),
            group: GroupId(0),
            me: *me,
            boot: *boot,
            membership: Membership::new((0..3).map(member).collect(), Vec::new()).unwrap(),
            recovered: begun.recover(own, bounds.bug),
            config: Config { batch_delay: std::time::Duration::ZERO, ..Config::default() },
            now: Time::ZERO,
        };
        let mut live = Self {
            me: *me,
            group: Group::start(start).unwrap(),
            out: Outbox::default(),
            bounds: *bounds,
            said: Vec::new(),
            executed: BTreeMap::new(),
            proposed: Ballot::ZERO,
            drawn: Vec::new(),
            cast: BTreeMap::new(),
            pending: Vec::new(),
            disk: begun.clone(),
        };
        live.step(Input::Tick);
        for deed in deeds {
            live.does(deed);
        }
        live.said.clear();
        live.drawn.clear();
        live
    }

    fn does(&mut self, deed: &Deed) {
        match deed {
            Deed::Hear(from, message) => self.hear(*from, message.clone()),
            Deed::Run => {
                let promised = self.group.status().promised;
                let other = (0..3).map(member).find(|other| *other != self.me).unwrap();
                let Member { node, incarnation } = other;
                let mut ballot = Ballot { round: promised.round, node, incarnation };
                ballot.round += u64::from(ballot < promised);
                let message = Message::Transfer { ballot };
                self.step(Input::Receive { from: other, message });
            }
            Deed::Sync => self.sync(),
            Deed::Still => {}
            Deed::Crash(_) => unreachable!("a crash ends a life"),
        }
    }

    fn hear(&mut self, from: Member, message: Message) {
        match (self.bounds.bug, &message) {
            (Bug::VoteCountedTwice, Message::Accepted { .. }) => {
                let third = (0..3).map(member).find(|it| *it != from && *it != self.me).unwrap();
                self.step(Input::Receive { from: third, message: message.clone() });
            }
            (Bug::WordTakenForAnyBallot, Message::Heartbeat { chosen, .. }) => {
                let first = self.group.status().chosen.next();
                let held = |i| self.disk.held(Instance(i)).cloned();
                let values: Vec<Value> = (first.0..=chosen.0).map_while(held).collect();
                let cleaned = Instance::ZERO;
                let learned = Message::Learned { from: first, values, chosen: *chosen, cleaned };
                self.step(Input::Receive { from, message: learned });
            }
            _ => {}
        }
        self.step(Input::Receive { from, message });
    }

    /// Steps an input, and a tick if one is due, and lets a new leader propose a command.
    fn step(&mut self, input: Input) {
        self.group.step(Time::ZERO, input, &mut self.out);
        self.take();
        if let Some((ballot, true)) = self.acts()
            && self.proposed != ballot
        {
            self.proposed = ballot;
            let status = self.group.status();
            let next = status.chosen.0 + u64::try_from(status.window).unwrap() + 1;
            if next <= self.bounds.instances {
                let command = Bytes::from(ballot.to_string());
                let (id, sm, deadline) = (ProposalId(ballot.round), SmId(0), Time::MAX);
                let propose = Input::Propose { id, sm, command, deadline };
                self.group.step(Time::ZERO, propose, &mut self.out);
            }
        }
        if self.group.deadline().is_some_and(|deadline| deadline <= Time::ZERO) {
            self.group.step(Time::ZERO, Input::Tick, &mut self.out);
        }
        self.take();
        if self.bounds.bug == Bug::SyncClaimed
            && let Some(batch) = self.out.take_writes()
        {
            self.note(batch.records());
            self.pending.extend_from_slice(batch.records());
            self.step(Input::Durable(batch.durable()));
        }
    }

    /// Takes what the group wants done, except for its writes.
    fn take(&mut self) {
        self.said.append(&mut self.out.messages);
        for apply in self.out.applies.drain(..) {
            match apply {
                Apply::Command { position, payload, .. } => {
                    let command = String::from_utf8(payload.to_vec()).unwrap();
                    self.executed.entry(position.instance.0).or_default().push_str(&command);
                }
                Apply::Through(instance) => {
                    (1..=instance.0).for_each(|i| _ = self.executed.entry(i).or_default());
                }
                Apply::Checkpoint { .. } | Apply::Install(_) | Apply::Digest(_) => {
                    unreachable!("nobody takes checkpoints or digests here")
                }
            }
        }
        for event in self.out.events.drain(..) {
            if let Event::Preparing(ballot) = event {
                self.drawn.push(ballot);
            }
        }
        self.out.outcomes.clear();
        self.out.fetches.clear();
    }

    /// Everything written becomes durable.
    fn sync(&mut self) {
        for record in std::mem::take(&mut self.pending) {
            self.disk.add(&record, &mut Broken::default());
        }
        if let Some(batch) = self.out.take_writes() {
            self.note(batch.records());
            for record in batch.records() {
                self.disk.add(record, &mut Broken::default());
            }
            self.step(Input::Durable(batch.durable()));
        }
    }

    fn note(&mut self, records: &[Record]) {
        for record in records {
            if let Record::Accepted { instance, ballot, value } = record {
                self.cast.insert((*instance, *ballot), text(value));
            }
        }
    }

    /// What is written and not synced; nothing can be done after that.
    fn pending(&mut self) -> Vec<Record> {
        let mut pending = std::mem::take(&mut self.pending);
        let batch = self.out.take_writes();
        pending.extend(batch.iter().flat_map(|batch| batch.records().iter().cloned()));
        pending
    }

    fn acts(&self) -> Option<(Ballot, bool)> {
        let status = self.group.status();
        match status.role {
            Role::Preparing => Some((status.promised, false)),
            Role::Leader => Some((status.promised, true)),
            Role::Follower | Role::Canvassing | Role::Failed => None,
        }
    }
}

/// The commands of a value.
fn text(value: &Value) -> String {
    let commands = value.commands().map(|it| String::from_utf8(it.payload.to_vec()).unwrap());
    commands.collect()
}

/// Leaves out what stands between two names in a text.
fn cut(text: &mut String, from: &str, to: &str) {
    let first = text.find(from).unwrap_or_else(|| panic!("{from} is not in {text}"));
    let last = first + text[first..].find(to).unwrap_or_else(|| panic!("{to} is not in {text}"));
    text.replace_range(first..last, "");
}
