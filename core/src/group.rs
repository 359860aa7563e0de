//! One node's member of one Paxos group: routes inputs to its parts, and decides nothing.

mod install;
mod lookup;
mod receive;
mod stop;
mod turn;
mod usage;

use alloc::vec::Vec;
use core::mem;

use crate::acceptor::Acceptor;
use crate::asking::Asking;
use crate::config::Config;
use crate::election::Election;
use crate::entries::{Entries, Slot};
use crate::env::{Ctx, Env};
use crate::executor::Executor;
use crate::fetches::{Fetches, Purpose};
use crate::ids::{Ballot, FetchId, Instance, Member, NodeId};
use crate::input::{Input, Role, Start, StartError, Status};
use crate::journal::Journal;
use crate::learner::Learner;
use crate::lease::{Grants, Tenure};
use crate::master::{Master, Steward};
use crate::membership::History;
use crate::mender::Mender;
use crate::message::Message;
use crate::origin::Origin;
use crate::outbox::{Event, Outbox, ReadRefusal, StepDown};
use crate::proposer::Proposer;
use crate::reads::{Questions, Reads};
use crate::snapshot::Snapshot;
use crate::time::Time;
use crate::write::{Record, Recovered, Stored};

pub use install::Wanted;
pub use lookup::ChosenAt;
pub use usage::Usage;

/// One node's member of one Paxos group: acceptor, proposer and learner; no I/O, clock or rand.
///
/// # How to drive it
///
/// Feed every input to [`step`](Self::step) with the time and one reused [`Outbox`]. When there are
/// no more inputs for now, step a [`Input::Tick`] if [`deadline`](Self::deadline) has come: commands
/// and reads that came together leave together then. Then act on the outbox, in any order: send its
/// messages, write and sync its batch and bring back the [`Durable`](crate::Durable), execute its
/// commands and report [`Input::Applied`], answer its fetches. Sleep until the deadline or the next
/// input.
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
    /// The lease of this node's leadership.
    tenure: Tenure,
    executor: Executor,
    fetches: Fetches,
    mender: Mender,
    /// The chosen prefix that the log was told last.
    hinted: Instance,
    asking: Asking,
    /// The history knows more than the log was told: it is written with the first step.
    unwritten: bool,
    /// Whom to tell once the disk holds the log up to here.
    owed: Option<(NodeId, Ballot, Instance)>,
}

impl Group {
    /// Takes up where the log left off.
    ///
    /// # Errors
    ///
    /// If the settings cannot work, or the log contradicts itself.
    pub fn start(start: Start) -> Result<Self, StartError> {
        let Start { cluster, group, me, boot, membership, recovered, config, now } = start;
        config.validate()?;
        let Recovered { promised, chosen, cleaned, lease, entries: mut stored, .. } = recovered;
        let history = recovered.history.unwrap_or_else(|| History::founded(membership));
        let (start, snapshot) = install::start(recovered.checkpoint, history)?;
        let Snapshot { digest, sessions, mastership, mut history } = snapshot;
        let version = history.version();
        if cleaned > chosen {
            return Err(StartError::Log(cleaned, "it was cleaned above the chosen prefix"));
        }
        if cleaned > start {
            return Err(StartError::Log(cleaned, "it was cleaned above the last checkpoint"));
        }
        // An installed checkpoint above what the log holds without a gap takes the place of all below.
        let (chosen, cleaned) = if start > chosen { (start, start) } else { (chosen, cleaned) };
        stored.retain(|entry| entry.instance > chosen);
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
            // A lost value that was learned: whatever was accepted here before is not known any more,
            // only that it was no higher than the promise.
            let is_forgotten = ballot == Ballot::ZERO && value.is_none();
            let ballot = if is_forgotten { promised } else { ballot };
            // All up to the newest membership entry is chosen, with the value written last: its
            // record was written when the chosen prefix passed it.
            let is_chosen = instance <= version && value.is_some();
            mark!(RESTARTED_BELOW_ITS_MEMBERSHIP if is_chosen);
            let ballot = if is_chosen { Ballot::ZERO } else { ballot };
            mark!(RESTARTED_WITHOUT_VALUE if value.is_none());
            mark!(RESTARTED_WITH_VOTES if ballot > Ballot::ZERO);
            entries.put(instance, Slot { ballot, value });
            last = instance;
        }
        entries.choose(Ballot::ZERO, Instance::MAX);
        let journal = Journal::new(group, boot, me.node, now);
        let mut unwritten = false;
        for (instance, value) in entries.take_turns() {
            let entry = value.membership().filter(|_| instance > version);
            if let Some(entry) = entry.filter(|it| it.takes_effect(instance, cluster, &history)) {
                history.begin(instance.next(), entry.membership);
                unwritten = true;
            }
        }
        let seed = config.seed;
        let grants = Grants::new(lease, config.clock_rate_bound_ppm, now);
        let mut steward = Steward::new(boot, config.master_lease, seed, now);
        steward.restore(mastership, me, config.clock_rate_bound_ppm, now);
        let chosen_here = entries.chosen();
        let env = Env {
            now,
            me,
            config,
            cluster,
            history,
            chosen: chosen_here,
            journal,
            failed: None,
            has_room: true,
        };
        mark!(STARTED_WITHOUT_A_VOTE if !env.is_member());
        let mut election = Election::new(promised, seed);
        election.wait(&env);
        if env.is_quorum(&[me]) {
            election.hurry(&env); // nobody else could lead
        }
        Ok(Self {
            acceptor: Acceptor::new(promised, grants),
            learner: Learner::default(),
            proposer: Proposer::Idle,
            origin: Origin::new(me.incarnation, boot),
            reads: Reads::new(me, boot),
            questions: Questions::default(),
            tenure: Tenure::default(),
            executor: Executor::new((start, digest), sessions, steward, recovered.files_lost),
            fetches: Fetches::default(),
            mender: Mender::default(),
            hinted: chosen,
            asking: Asking::new(me.incarnation, boot),
            unwritten,
            owed: None,
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
            stop::refuse(input, out);
            return;
        }
        let chosen = self.entries.chosen();
        let ctx = &mut Ctx { env: &mut self.env, out };
        if mem::take(&mut self.unwritten) {
            let history = ctx.history.clone();
            ctx.write(Record::Membership(history));
        }
        match input {
            // What we say to ourselves takes the journal's road, never the network's.
            Input::Receive { from, .. } if from.node == ctx.me.node => {}
            Input::Receive { from, message } => self.receive(from, message, out),
            // What is executed nowhere here has no answer here.
            Input::Propose { .. } | Input::Read { .. } if self.executor.diverged().is_some() => {
                stop::refuse(input, out);
            }
            Input::Propose { id, sm, command, deadline } => {
                self.origin.propose(id, sm, command, deadline, ctx);
            }
            Input::Read { id, deadline, stale } => self.reads.read(id, deadline, stale, ctx),
            Input::Durable(proof) => ctx.durable(proof),
            Input::Fetched { id, entries } => self.fetched(id, entries, out),
            Input::Applied(instance) => self.executor.on_applied(instance),
            Input::Digested { at, state } => {
                let verdict = self.executor.digests_mut().on_digested(at, state, ctx);
                self.found(verdict, out);
            }
            Input::Checkpoint => self.executor.checkpoints().want(),
            Input::CheckpointFor(next) => self.executor.checkpoint_for(next),
            Input::CheckpointLost(at) => self.executor.checkpoints().lose(at),
            Input::Checkpointed(at) => self.executor.checkpoints().on_taken(at, ctx),
            Input::CheckpointFailed(at) => self.executor.checkpoints().on_failed(at),
            Input::CleanLimit(limit) => self.executor.checkpoints().limit(limit),
            Input::Install { at, state } => self.install(at, &state, out),
            Input::Room(has_room) => self.room(has_room),
            Input::Change { id, version, membership, deadline } => {
                self.asking.ask(id, version, membership, deadline, ctx);
            }
            Input::Transfer(to) => {
                if let Some(leadership) = self.proposer.leading() {
                    leadership.transfer(to, ctx);
                }
            }
            Input::Master(ask) => {
                self.executor.steward_mut().on_ask(ask, &mut self.origin, ctx);
            }
            Input::Tick => self.tick(out),
        }
        self.drain(out);
        if self.proposer.leading().is_some_and(|leadership| leadership.turns()) {
            self.tenure.lapse();
        }
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
            .min(self.executor.steward().deadline(leader, &self.env))
            .min(self.asking.deadline(leader, &self.env))
            .min(self.learner.deadline(&self.env).unwrap_or(Time::MAX))
            .min(self.mender.deadline(&self.env).unwrap_or(Time::MAX));
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
            votes: self.votes(),
            removed: self.env.is_removed(),
            version: self.env.history.version(),
            changing: self.env.open().count() > 1,
            leader: self.election.leader(),
            promised: self.acceptor.promised(),
            chosen: self.entries.chosen(),
            handed_out: self.executor.handed(),
            applied: self.executor.applied(),
            cleaned: self.entries.cleaned(),
            checkpoint: self.executor.checkpoint(),
            digests_agreed: self.executor.digests().agreed(),
            log_differs: self.executor.digests().alone(),
            diverged: self.executor.diverged(),
            writes_in_flight: self.env.journal.in_flight(),
            proposals: self.origin.len(),
            queued,
            window,
        }
    }

    /// Until when this node may answer reads without asking anybody; [`Time::ZERO`] if it may not. See
    /// [`Config::read_lease`](crate::Config::read_lease).
    #[must_use]
    pub const fn lease(&self) -> Time {
        self.tenure.until()
    }

    /// What this node makes of the mastership.
    #[must_use]
    pub fn master(&self) -> Master {
        self.executor.steward().view(self.env.me)
    }

    pub(crate) const fn config(&self) -> &Config {
        &self.env.config
    }

    pub(crate) const fn config_mut(&mut self) -> &mut Config {
        &mut self.env.config
    }

    /// Who votes and follows, as far as this node knows the log to be chosen.
    #[must_use]
    pub const fn history(&self) -> &History {
        &self.env.history
    }

    /// Everybody who belongs to a membership that may still decide something: the newest one, and
    /// while a change is not complete the one before it.
    #[must_use]
    pub fn members(&self) -> Vec<Member> {
        self.env.history.members_since(self.env.chosen)
    }

    /// Why the group has stopped here, if it has.
    #[must_use]
    pub const fn failure(&self) -> Option<(&'static str, Instance)> {
        self.env.failed
    }

    /// The log has no room for values any more, or has again. A candidate gives up: with its promises
    /// it would have to propose.
    fn room(&mut self, has_room: bool) {
        self.env.has_room = has_room;
        if !has_room && matches!(self.proposer, Proposer::Preparing(_)) {
            mark!(CANDIDATE_GIVES_UP_DISK_FULL);
            self.proposer = Proposer::Idle;
            self.election.vacant(&self.env);
        }
    }

    fn tick(&mut self, out: &mut Outbox) {
        let ctx = &mut Ctx { env: &mut self.env, out };
        match &mut self.proposer {
            Proposer::Idle if self.executor.is_stateless() => self.election.abstain(ctx),
            Proposer::Idle => {
                if let Some(ballot) = self.election.tick(&self.acceptor, ctx) {
                    self.run_for(ballot, out);
                }
            }
            Proposer::Preparing(phase1) => {
                if phase1.tick(self.entries.chosen(), ctx) {
                    mark!(CANDIDATE_GIVES_UP);
                    self.proposer = Proposer::Idle;
                    self.election.vacant(&self.env);
                }
            }
            Proposer::Leading(_) => self.tick_leader(out),
        }
        let leader = self.election.leader();
        let ctx = &mut Ctx { env: &mut self.env, out };
        self.executor.steward_mut().tick(leader, &mut self.origin, ctx);
        self.origin.flush(leader, &mut self.proposer, ctx);
        self.reads.flush(leader, ctx);
        self.asking.flush(leader, ctx);
        self.drain(out);
        let ctx = &mut Ctx { env: &mut self.env, out };
        if let Some(leadership) = self.proposer.leading() {
            let before = leadership.probe();
            leadership.tick(&self.entries, ctx);
            if leadership.probe() > before && !leadership.turns() {
                self.tenure.ask(leadership.ballot(), &mut self.acceptor.grants, ctx);
            }
            if !self.questions.is_empty() {
                self.questions.answer(leadership.confirmed(ctx), ctx);
            }
        }
    }

    /// Whether this node can go on leading.
    fn tick_leader(&mut self, out: &mut Outbox) {
        let Some(leadership) = self.proposer.leading() else { return };
        let patience = self.env.config.election_timeout;
        let release = leadership.release_to(&self.env);
        let stalled = self.env.journal.stalled(self.env.now, patience);
        let lonely = self.env.now > leadership.contact() + patience;
        // A node alone goes on: it can still serve reads.
        let full = leadership.successor(&self.env).filter(|_| !self.env.has_room);
        let done = leadership.is_done(&self.entries, &self.env);
        if done {
            mark!(REMOVED_LEADER_HANDS_OVER);
            leadership.beat(&self.entries, &mut Ctx { env: &mut self.env, out });
        }
        let (to, reason) = match release {
            Some(to) => (Some(to), StepDown::Transferred),
            None if done => (leadership.successor(&self.env), StepDown::Removed),
            None if stalled => (leadership.successor(&self.env), StepDown::DiskStalled),
            None if lonely => (None, StepDown::NoQuorum),
            None if full.is_some() => (full, StepDown::DiskFull),
            None => return,
        };
        mark!(TRANSFER_DONE if reason == StepDown::Transferred);
        mark!(LEADER_SILENCED if reason == StepDown::NoQuorum);
        mark!(LEADER_HANDS_OVER_DISK_STALLED if reason == StepDown::DiskStalled && to.is_some());
        mark!(LEADER_HANDS_OVER_DISK_FULL if reason == StepDown::DiskFull);
        let ballot = leadership.ballot();
        self.step_down(reason, out);
        if reason == StepDown::NoQuorum {
            // Whoever still hears us has refused everybody else until now. That we ask tells it that
            // we no longer lead: it may reach a quorum where we do not.
            self.election.hurry(&self.env);
        }
        if let Some(to) = to {
            let ctx = &mut Ctx { env: &mut self.env, out };
            ctx.send(to, Message::Transfer { ballot });
        }
    }

    /// Entries came from disk. They count from the asked instance up to the first that is missing:
    /// it may have been cleaned since, and silence about it must not read as "nothing accepted".
    fn fetched(&mut self, id: FetchId, mut stored: Vec<Stored>, out: &mut Outbox) {
        let Some((purpose, from)) = self.fetches.answered(id) else {
            mark!(FETCH_OUTDATED);
            return;
        };
        let run = (from.0..).zip(&stored).take_while(|(i, entry)| entry.instance.0 == *i).count();
        stored.truncate(run);
        if purpose != Purpose::Apply {
            self.mend(&stored);
        }
        let ctx = &mut Ctx { env: &mut self.env, out };
        match purpose {
            Purpose::Apply => self.executor.on_fetched(stored, &mut self.origin, ctx),
            Purpose::Promise { to, ballot } => {
                let chosen = self.entries.chosen();
                self.acceptor.on_fetched(to, ballot, from, stored, chosen, ctx);
            }
            Purpose::Learn { to } => {
                self.learner.on_fetched(to, from, stored, &self.entries, ctx);
            }
        }
    }

    /// A peer asks for what our disk has lost since we executed it: we ask the others, so that it can
    /// be had here again. What is not executed yet the executor asks for by itself.
    fn mend(&mut self, stored: &[Stored]) {
        let lost = stored.iter().find(|entry| entry.value.is_none());
        if let Some(lost) = lost.filter(|lost| lost.instance <= self.executor.handed()) {
            self.mender.want(lost.instance, lost.ballot, &self.env);
        }
    }

    fn step_down(&mut self, reason: StepDown, out: &mut Outbox) {
        if let Proposer::Leading(leadership) = &self.proposer {
            let ballot = leadership.ballot();
            out.events.push(Event::SteppedDown(ballot, reason));
            // From here on nothing more is said in this ballot (I3), and no prepare that was sent
            // again while the disk stood still comes out late.
            self.env.journal.retract(ballot);
            if !self.env.config.read_lease.is_zero() {
                // From here on nothing is said or read in this ballot.
                let ctx = &mut Ctx { env: &mut self.env, out };
                self.acceptor.grants.release(ballot, ctx);
                ctx.send_all(&Message::Release { ballot });
            }
            self.tenure = Tenure::default();
        }
        if self.proposer.ballot().is_some() {
            self.proposer = Proposer::Idle;
            self.questions.clear();
            self.election.vacant(&self.env);
        }
    }

    fn votes(&self) -> bool {
        self.env.is_voter(self.env.me)
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
        self.executor.settle(&self.proposer, &mut self.entries, &mut self.origin, ctx);
        self.asking.expire(ctx);
        self.executor.run(&mut self.entries, &mut self.origin, &mut self.fetches, ctx);
        self.learner.ask(&self.entries, ctx);
        if let Some(silent) = self.mender.ask(self.executor.lost(ctx), ctx) {
            self.learner.note_silent(silent);
        }
        if let Some((to, ballot, enough)) = self.owed
            && let held = self.held()
            && held >= enough
        {
            self.owed = None;
            let ctx = &mut Ctx { env: &mut self.env, out };
            ctx.send(to, Message::Held { ballot, held });
        }
        let ctx = &mut Ctx { env: &mut self.env, out };
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
            self.reads.fail(ReadRefusal::Failed, ctx);
            self.asking.fail(ctx);
        }
    }

    /// What must hold after every step, checked always: a node that stops is safe where a node that
    /// goes on is not.
    fn invariants(&self) {
        self.env.journal.invariants();
        self.entries.invariants();
        assert!(
            self.env.chosen == self.entries.chosen(),
            "the history follows the log to {}, which is chosen to {} (I6)",
            self.env.chosen,
            self.entries.chosen()
        );
        self.executor.invariants(&self.entries);
        self.origin.invariants(&self.env.config);
        self.reads.invariants(&self.env.config);
        let ballot = match &self.proposer {
            Proposer::Idle => return,
            Proposer::Preparing(phase1) => phase1.ballot(),
            Proposer::Leading(leadership) => {
                leadership.invariants(&self.entries, &self.env.config);
                leadership.ballot()
            }
        };
        let promised = self.acceptor.promised();
        assert!(ballot == promised, "acting in {ballot} under promise {promised} (I4)");
    }
}

/// How far above the chosen prefix a log may hold entries; far more than any window leaves behind.
const OPEN_ENTRIES_MAX: u64 = 1 << 24;
