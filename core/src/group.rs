//! One node's member of one Paxos group: routes inputs to its parts, and decides nothing.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::mem;

use bytes::Bytes;
use thiserror::Error;

use crate::acceptor::{Acceptor, Proposed};
use crate::config::{Config, ConfigError};
use crate::election::Election;
use crate::entries::{Entries, Slot};
use crate::env::{Ctx, Env};
use crate::executor::Executor;
use crate::fetches::{Fetches, Purpose};
use crate::ids::{Ballot, FetchId, GroupId, Instance, Member, NodeId, ProposalId, ReadId, SmId};
use crate::journal::Journal;
use crate::learner::{self, Learned, Learner};
use crate::membership::{History, Membership};
use crate::message::{Message, Promise, Report};
use crate::origin::Origin;
use crate::outbox::{Event, Outbox, Outcome, ReadRefusal, Refusal, StepDown};
use crate::proposer::Proposer;
use crate::proposer::leadership::Leadership;
use crate::proposer::phase1::{Phase1, Progress};
use crate::proposer::queue::Taken;
use crate::reads::{Questions, Reads};
use crate::time::Time;
use crate::value::Value;
use crate::write::{Durable, Record, Recovered, Stored};

/// One node's member of one Paxos group: acceptor, proposer and learner; no I/O, clock or rand.
///
/// # How to drive it
///
/// Feed every input to [`step`](Self::step) with the time and one reused [`Outbox`]. When there are
/// no more inputs for now, step a [`Input::Tick`] if [`deadline`](Self::deadline) has come: commands
/// and reads that came together leave together then. Then act on the outbox, in any order: send its
/// messages, write and sync its batch and bring back the [`Durable`], execute its commands and report
/// [`Input::Applied`], answer its fetches. Sleep until the deadline or the next input.
#[derive(Debug)]
pub struct Group {
    env: Env,
    acceptor: Acceptor,
    entries: Entries,
    learner: Learner,
    election: Election,
    proposer: Proposer,
    origin: Origin,
    reads: Reads,
    questions: Questions,
    executor: Executor,
    fetches: Fetches,
    /// The chosen prefix that the log was told last.
    hinted: Instance,
}

/// Everything that can happen to a group.
#[derive(Debug)]
pub enum Input {
    /// A message came from a peer: from this node, with this memory.
    Receive {
        /// Who sent it.
        from: Member,
        /// What it says.
        message: Message,
    },
    /// A client wants a command executed.
    Propose {
        /// Names the proposal until it is resolved.
        id: ProposalId,
        /// Which state machine.
        sm: SmId,
        /// What to execute.
        command: Bytes,
        /// When to give up: the outcome is then unknown.
        deadline: Time,
    },
    /// A client wants to read the latest state.
    Read {
        /// Names the read until it is resolved.
        id: ReadId,
        /// When to give up.
        deadline: Time,
    },
    /// A batch reached the disk; in the order taken.
    Durable(Durable),
    /// Answers an [`Outbox::fetches`](crate::Outbox) request.
    Fetched {
        /// Which request.
        id: FetchId,
        /// Entries from the asked instance on, ascending, without gaps; fewer than asked is fine.
        entries: Vec<Stored>,
    },
    /// The state machines have executed everything up to this instance.
    Applied(Instance),
    /// The log may be forgotten up to this instance: every state machine holds a durable checkpoint
    /// at or above it.
    Clean(Instance),
    /// Hand leadership over to this node, if this node leads.
    Transfer(NodeId),
    /// Time passed. Step one at [`Group::deadline`].
    Tick,
}

/// Who a group is, and where it stands after its log was read.
#[derive(Clone, Debug)]
pub struct Start {
    /// The group.
    pub group: GroupId,
    /// This node and the memory it has of the group.
    pub me: Member,
    /// The durable count of process starts, this one included.
    pub boot: u64,
    /// The founding membership.
    pub membership: Membership,
    /// What the log gave back.
    pub recovered: Recovered,
    /// Settings.
    pub config: Config,
    /// The time now.
    pub now: Time,
}

/// Why a group cannot start.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum StartError {
    /// The settings cannot work.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// What the log gave back contradicts itself.
    #[error("the log contradicts itself at instance {0}: {1}")]
    Log(Instance, &'static str),
}

/// What a group does, for people and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Hears a leader, or waits for one.
    Follower,
    /// Asks whether it could lead.
    Canvassing,
    /// Runs phase 1.
    Preparing,
    /// Leads.
    Leader,
    /// Stopped; the reason was given as an event.
    Failed,
}

/// A snapshot of a group's state, for people and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// What this node does in the group.
    pub role: Role,
    /// The ballot of the leader last heard, this node's own included; `Ballot::ZERO` if none is live.
    pub leader: Ballot,
    /// The promise.
    pub promised: Ballot,
    /// Every instance up to here is known chosen here.
    pub chosen: Instance,
    /// Every instance up to here was handed to the state machines.
    pub handed_out: Instance,
    /// The state machines have executed everything up to here.
    pub applied: Instance,
    /// Every instance up to here is cleaned.
    pub cleaned: Instance,
    /// Records handed out and not yet durable.
    pub writes_in_flight: u64,
    /// Proposals made here and not yet resolved.
    pub proposals: usize,
    /// Commands waiting here to be proposed, if this node leads.
    pub queued: usize,
    /// Instances proposed and not yet chosen, if this node leads.
    pub window: usize,
}

impl Group {
    /// Takes up where the log left off.
    ///
    /// # Errors
    ///
    /// If the settings cannot work, or the log contradicts itself.
    pub fn start(start: Start) -> Result<Self, StartError> {
        let Start { group, me, boot, membership, recovered, config, now } = start;
        config.validate()?;
        let Recovered { promised, chosen, cleaned, entries: stored } = recovered;
        if cleaned > chosen {
            return Err(StartError::Log(cleaned, "it was cleaned above the chosen prefix"));
        }
        let mut entries = Entries::new(chosen, cleaned);
        let mut last = chosen;
        for Stored { instance, ballot, value } in stored {
            if instance <= last {
                return Err(StartError::Log(instance, "its entries are not in order"));
            }
            if instance.above(chosen) > OPEN_ENTRIES_MAX {
                return Err(StartError::Log(instance, "it lies too far above the chosen prefix"));
            }
            if ballot > promised {
                return Err(StartError::Log(instance, "it was accepted above the promise"));
            }
            entries.put(instance, Slot { ballot, value });
            last = instance;
        }
        entries.choose(Ballot::ZERO, Instance::MAX);
        let journal = Journal::new(group, boot, me.node, now);
        let history = History::founded(membership);
        let seed = config.seed;
        let env = Env { now, me, config, history, journal, failed: None };
        let mut election = Election::new(promised, seed);
        election.wait(&env);
        if env.history.newest().voters() == [me] {
            election.hurry(&env); // nobody else could lead
        }
        Ok(Self {
            acceptor: Acceptor::new(promised),
            learner: Learner::default(),
            proposer: Proposer::Idle,
            origin: Origin::new(me.incarnation, boot),
            reads: Reads::new(),
            questions: Questions::default(),
            executor: Executor::new(cleaned),
            fetches: Fetches::default(),
            hinted: chosen,
            entries,
            election,
            env,
        })
    }

    /// Feeds one input at `now`; appends what to do to `out`.
    ///
    /// # Panics
    ///
    /// If the embedder breaks its contract: time goes back, a proof comes back out of order or to
    /// another group or process life, more is reported applied than was handed out.
    pub fn step(&mut self, now: Time, input: Input, out: &mut Outbox) {
        assert!(now >= self.env.now, "time went back from {} to {now}", self.env.now);
        self.env.now = now;
        if self.env.failed.is_some() {
            refuse(input, out);
            return;
        }
        let chosen = self.entries.chosen();
        self.route(input, out);
        self.drain(out);
        self.settle(chosen, out);
        if self.env.failed.is_none() {
            self.invariants();
        }
    }

    /// When to step a [`Input::Tick`] next; at once if it is not later than the last step. A late
    /// tick costs liveness, an early one nothing.
    #[must_use]
    pub fn deadline(&self) -> Option<Time> {
        if self.env.failed.is_some() {
            return None;
        }
        let role = match &self.proposer {
            Proposer::Idle => self.election.deadline(&self.env),
            Proposer::Preparing(phase1) => phase1.deadline(),
            Proposer::Leading(leadership) => leadership.deadline(&self.entries, &self.env),
        };
        let leader = self.election.leader();
        let deadline = role
            .min(self.origin.deadline(leader, self.env.now))
            .min(self.reads.deadline(leader, self.env.now))
            .min(self.learner.deadline().unwrap_or(Time::MAX));
        (deadline < Time::MAX).then_some(deadline)
    }

    /// What the group does, for people and metrics.
    #[must_use]
    pub fn status(&self) -> Status {
        let role = match &self.proposer {
            _ if self.env.failed.is_some() => Role::Failed,
            Proposer::Preparing(_) => Role::Preparing,
            Proposer::Leading(_) => Role::Leader,
            Proposer::Idle if self.election.canvassing() => Role::Canvassing,
            Proposer::Idle => Role::Follower,
        };
        let (queued, window) = match &self.proposer {
            Proposer::Leading(leadership) => (leadership.queued(), leadership.window()),
            Proposer::Idle | Proposer::Preparing(_) => (0, 0),
        };
        Status {
            role,
            leader: self.election.leader(),
            promised: self.acceptor.promised(),
            chosen: self.entries.chosen(),
            handed_out: self.executor.handed(),
            applied: self.executor.applied(),
            cleaned: self.entries.cleaned(),
            writes_in_flight: self.env.journal.in_flight(),
            proposals: self.origin.len(),
            queued,
            window,
        }
    }

    /// Why the group has stopped here, if it has.
    #[must_use]
    pub const fn failure(&self) -> Option<(&'static str, Instance)> {
        self.env.failed
    }

    fn route(&mut self, input: Input, out: &mut Outbox) {
        let ctx = &mut Ctx { env: &mut self.env, out };
        match input {
            Input::Receive { from, message } => {
                // What we say to ourselves takes the journal's road, never the network's.
                if from.node != self.env.me.node {
                    self.receive(from, message, out);
                }
            }
            Input::Propose { id, sm, command, deadline } => {
                self.origin.propose(id, sm, command, deadline, ctx);
            }
            Input::Read { id, deadline } => self.reads.read(id, deadline, ctx),
            Input::Durable(proof) => ctx.durable(proof),
            Input::Fetched { id, entries } => self.fetched(id, entries, out),
            Input::Applied(instance) => self.executor.on_applied(instance),
            Input::Clean(up_to) => {
                let up_to = up_to.min(self.executor.applied());
                if up_to > self.entries.cleaned() {
                    self.entries.clean(up_to, self.executor.handed());
                    ctx.write(Record::Cleaned(self.entries.cleaned()));
                }
            }
            Input::Transfer(to) => {
                if let Some(leadership) = self.proposer.leading() {
                    leadership.transfer(to, ctx);
                }
            }
            Input::Tick => self.tick(out),
        }
    }

    /// Handles a message: who may say it, which part hears it.
    fn receive(&mut self, from: Member, message: Message, out: &mut Outbox) {
        if !self.may_say(from, &message) {
            return;
        }
        let ctx = &mut Ctx { env: &mut self.env, out };
        match message {
            Message::Canvass { ballot } => {
                let (promised, chosen) = (self.acceptor.promised(), self.entries.chosen());
                self.election.on_canvass(from.node, ballot, promised, chosen, ctx);
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
                if self.acceptor.promised() > before {
                    self.give_way(out);
                }
            }
            Message::Promise(promise) => self.on_promise(from, promise, out),
            Message::Behind { ballot, cleaned } => {
                if let Proposer::Preparing(phase1) = &self.proposer
                    && phase1.on_behind(from.node, ballot)
                {
                    self.learner.note(from.node, cleaned);
                }
            }
            Message::Nack { ballot, promised } => {
                self.election.met(promised);
                if self.proposer.ballot() == Some(ballot) && promised > ballot {
                    let led = self.proposer.leading().is_some();
                    self.step_down(StepDown::Outbid, out);
                    if led {
                        self.election.wait_less(&self.env);
                    }
                }
            }
            Message::Accept { ballot, instance, value, chosen } => {
                let proposed = Proposed { ballot, instance, value };
                if self.acceptor.on_accept(from.node, proposed, &mut self.entries, ctx) {
                    self.follow(from, ballot, chosen, out);
                }
            }
            Message::Accepted { ballot, first, last } => {
                if let Some(leadership) = self.proposer.leading() {
                    leadership.on_accepted(from, ballot, (first, last), &self.entries, ctx);
                    leadership.advance(&mut self.entries, ctx);
                }
            }
            Message::Heartbeat { ballot, probe, chosen } => {
                let promised = self.acceptor.promised();
                if ballot < promised {
                    ctx.send(from.node, Message::Nack { ballot, promised });
                } else {
                    self.follow(from, ballot, chosen, out);
                    let ctx = &mut Ctx { env: &mut self.env, out };
                    if probe > 0 {
                        let chosen = self.entries.chosen();
                        ctx.send(from.node, Message::HeartbeatAck { ballot, probe, chosen });
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
            Message::Learn { from: first } => {
                let (entries, fetches) = (&self.entries, &mut self.fetches);
                self.learner.on_learn(from.node, first, entries, fetches, ctx);
            }
            Message::Learned { from: first, values, chosen, cleaned: _ } => {
                self.learner.note(from.node, chosen);
                self.learner.on_answer(from.node, values.is_empty());
                for (above, value) in (0..).zip(&values) {
                    self.learn(Instance(first.0.saturating_add(above)), value, out);
                }
            }
            Message::Forward { commands } => {
                let Some(leadership) = self.proposer.leading() else { return };
                let mut keys = Vec::new();
                for command in commands.commands() {
                    let key = command.key;
                    if leadership.take(command, ctx) == Taken::Full {
                        keys.push(key);
                    }
                }
                if !keys.is_empty() {
                    let ballot = leadership.ballot();
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
                    let (probe, point) =
                        (leadership.want_probe(), leadership.read_point(&self.entries));
                    self.questions.ask(from.node, round, probe, point);
                }
            }
            Message::ReadPoint { round, instance } => self.reads.on_point(round, instance, ctx),
            Message::Transfer { ballot } => {
                if ballot >= self.acceptor.promised() && self.votes() {
                    let next = self.election.next_ballot(self.acceptor.promised(), self.env.me);
                    self.run_for(next, out);
                }
            }
        }
    }

    /// Whether a sender may say this at all: candidates and leaders are voters (node *and*
    /// incarnation) that speak in ballots of their own; the rest is checked where it counts.
    fn may_say(&self, from: Member, message: &Message) -> bool {
        let leads = |ballot: Ballot| {
            let voter = self.env.history.newest().slot(from).is_some();
            voter && ballot.member() == from
        };
        match message {
            Message::Canvass { ballot }
            | Message::Prepare { ballot, .. }
            | Message::Accept { ballot, .. }
            | Message::Heartbeat { ballot, .. }
            | Message::Transfer { ballot } => leads(*ballot),
            Message::CanvassReply { .. }
            | Message::Promise(_)
            | Message::Behind { .. }
            | Message::Nack { .. }
            | Message::Accepted { .. }
            | Message::HeartbeatAck { .. }
            | Message::Learn { .. }
            | Message::Learned { .. }
            | Message::Forward { .. }
            | Message::Refused { .. }
            | Message::ReadIndex { .. }
            | Message::ReadPoint { .. } => true,
        }
    }

    fn tick(&mut self, out: &mut Outbox) {
        let ctx = &mut Ctx { env: &mut self.env, out };
        match &mut self.proposer {
            Proposer::Idle => {
                if let Some(ballot) = self.election.tick(&self.acceptor, ctx) {
                    self.run_for(ballot, out);
                }
            }
            Proposer::Preparing(phase1) => {
                if phase1.tick(ctx) {
                    self.proposer = Proposer::Idle;
                    self.election.vacant(&self.env);
                }
            }
            Proposer::Leading(_) => self.tick_leader(out),
        }
        let leader = self.election.leader();
        let ctx = &mut Ctx { env: &mut self.env, out };
        self.origin.flush(leader, &mut self.proposer, ctx);
        self.reads.flush(leader, ctx);
        self.drain(out);
        let ctx = &mut Ctx { env: &mut self.env, out };
        if let Some(leadership) = self.proposer.leading() {
            leadership.tick(&self.entries, ctx);
            self.questions.answer(leadership.confirmed(ctx), ctx);
        }
    }

    /// Whether this node can go on leading.
    fn tick_leader(&mut self, out: &mut Outbox) {
        let Some(leadership) = self.proposer.leading() else { return };
        let patience = self.env.config.election_timeout;
        let release = leadership.release_to(&self.env);
        let stalled = self.env.journal.stalled(self.env.now, patience);
        let lonely = self.env.now.since(leadership.contact()) > patience;
        let (to, reason) = match release {
            Some(to) => (Some(to), StepDown::Transferred),
            None if stalled => (leadership.successor(&self.env), StepDown::DiskStalled),
            None if lonely => (None, StepDown::NoQuorum),
            None => return,
        };
        let ballot = leadership.ballot();
        self.step_down(reason, out);
        if let Some(to) = to {
            // From here on nothing more is said in this ballot (I3).
            let ctx = &mut Ctx { env: &mut self.env, out };
            ctx.send(to, Message::Transfer { ballot });
        }
    }

    fn fetched(&mut self, id: FetchId, stored: Vec<Stored>, out: &mut Outbox) {
        let ctx = &mut Ctx { env: &mut self.env, out };
        match self.fetches.answered(id) {
            Some((Purpose::Apply, _)) => self.executor.on_fetched(stored, &mut self.origin, ctx),
            Some((Purpose::Promise { to, ballot }, from)) => {
                self.acceptor.on_fetched(to, ballot, from, stored, ctx);
            }
            Some((Purpose::Learn { to }, from)) => {
                self.learner.on_fetched(to, from, stored, &self.entries, ctx);
            }
            None => {}
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
        let ctx = &mut Ctx { env: &mut self.env, out };
        let Proposer::Preparing(phase1) = &mut self.proposer else { return };
        if phase1.on_promise(from, promise, ctx) == Progress::Waiting {
            return;
        }
        if let Proposer::Preparing(phase1) = mem::replace(&mut self.proposer, Proposer::Idle) {
            let ballot = phase1.ballot();
            let leadership = Leadership::start(phase1, &self.entries, ctx);
            self.proposer = Proposer::Leading(Box::new(leadership));
            self.election.leads(ballot, ctx);
            ctx.event(Event::Leading(ballot));
        }
    }

    /// Runs phase 1, unless something as high was promised since the ballot was drawn.
    fn run_for(&mut self, ballot: Ballot, out: &mut Outbox) {
        if ballot <= self.acceptor.promised() || !self.votes() {
            return;
        }
        self.step_down(StepDown::Outbid, out);
        self.election.vacant(&self.env);
        let ctx = &mut Ctx { env: &mut self.env, out };
        self.acceptor.raise(ballot, ctx);
        ctx.event(Event::Preparing(ballot));
        let phase1 = Phase1::start(ballot, self.entries.chosen().next(), ctx);
        self.proposer = Proposer::Preparing(phase1);
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
    }

    /// Ends a candidacy or leadership that this node's own promise has passed, and waits for the
    /// candidate that it promised.
    fn give_way(&mut self, out: &mut Outbox) {
        let promised = self.acceptor.promised();
        if self.proposer.ballot().is_some_and(|own| own < promised) {
            self.step_down(StepDown::Outbid, out);
        }
        self.election.promised(&self.env);
    }

    /// A value is known to be chosen. A leader that proposed another one there, or none, is deposed:
    /// it voids its tallies and says nothing more in its ballot (I5).
    fn learn(&mut self, instance: Instance, value: &Value, out: &mut Outbox) {
        let ctx = &mut Ctx { env: &mut self.env, out };
        if ctx.writes_full() {
            return;
        }
        let learned = learner::learn(instance, value, &mut self.entries, ctx);
        let Some(leadership) = self.proposer.leading() else {
            self.entries.choose(Ballot::ZERO, Instance::MAX); // what was learned above a gap
            return;
        };
        match learned {
            Learned::Skipped => {}
            Learned::Chosen if leadership.proposed(instance) => {
                leadership.close();
                leadership.advance(&mut self.entries, ctx);
            }
            Learned::Chosen | Learned::Instead => self.step_down(StepDown::Deposed, out),
        }
    }

    fn step_down(&mut self, reason: StepDown, out: &mut Outbox) {
        if let Proposer::Leading(leadership) = &self.proposer {
            out.events.push(Event::SteppedDown(leadership.ballot(), reason));
        }
        if self.proposer.ballot().is_some() {
            self.proposer = Proposer::Idle;
            self.questions.clear();
            self.election.vacant(&self.env);
        }
    }

    fn votes(&self) -> bool {
        self.env.history.newest().slot(self.env.me).is_some()
    }

    /// Handles what the group said to itself, until it has nothing more to say.
    fn drain(&mut self, out: &mut Outbox) {
        while let Some(message) = self.env.journal.next_local() {
            self.receive(self.env.me, message, out);
        }
    }

    /// What follows from any step: executing, learning, deadlines, the hint for the log.
    fn settle(&mut self, chosen: Instance, out: &mut Outbox) {
        let ctx = &mut Ctx { env: &mut self.env, out };
        self.origin.expire(ctx);
        self.reads.expire(ctx);
        self.executor.run(&mut self.entries, &mut self.origin, &mut self.fetches, ctx);
        self.learner.ask(&self.entries, ctx);
        let now_chosen = self.entries.chosen();
        if now_chosen > chosen {
            ctx.event(Event::Chosen(now_chosen));
        }
        if now_chosen > self.hinted && ctx.out.has_writes() {
            self.hinted = now_chosen;
            ctx.write(Record::Chosen(now_chosen));
        }
        if ctx.env.failed.is_some() {
            self.origin.fail(ctx);
            self.reads.fail(ctx);
        }
    }

    /// What must hold after every step, checked always: a node that stops is safe where a node that
    /// goes on is not.
    fn invariants(&self) {
        self.env.journal.invariants();
        self.entries.invariants();
        self.executor.invariants(&self.entries);
        self.origin.invariants(&self.env.config);
        self.reads.invariants(&self.env.config);
        let promised = self.acceptor.promised();
        if let Some(ballot) = self.proposer.ballot() {
            assert!(ballot == promised, "acting in {ballot} under promise {promised} (I4)");
        }
        if let Proposer::Leading(leadership) = &self.proposer {
            leadership.invariants(&self.entries, &self.env.config);
        }
    }
}

/// How far above the chosen prefix a log may hold entries; far more than any window leaves behind.
const OPEN_ENTRIES_MAX: u64 = 1 << 24;

/// The answer of a group that has failed.
fn refuse(input: Input, out: &mut Outbox) {
    match input {
        Input::Propose { id, .. } => {
            out.outcomes.push(Outcome::Refused(id, Refusal::Failed));
        }
        Input::Read { id, .. } => {
            out.outcomes.push(Outcome::ReadFailed(id, ReadRefusal::Failed));
        }
        Input::Receive { .. }
        | Input::Durable(_)
        | Input::Fetched { .. }
        | Input::Applied(_)
        | Input::Clean(_)
        | Input::Transfer(_)
        | Input::Tick => {}
    }
}
