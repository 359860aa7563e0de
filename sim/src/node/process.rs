//! One process life: groups over the log, steps and what follows from them.

mod hellos;

use std::collections::BTreeMap;
use std::time::Duration;

use synod::log::GroupLog;
use synod_core::{
    Durable, Event, Fetch, FormingInput, Founding, Group, GroupId, Input, Instance, MasterAsk,
    Member, Membership, Message, NodeId, Outbox, Outcome, ProposalId, ReadId, Start, Status,
    Stored, Time, WriteBatch, mark,
};
use synod_proto::{Decision, Hello, Judgement};

use super::checkpoints;
use super::disk::{Journal, Opened};
use super::entry::{Entry, Held};
use super::events;
use super::hello::{Arrived, Hellos};
use super::hosted::{self, Guesthouse, Hosted};
use super::{Machine, node_id};
use crate::checkers::files::Belief;
use crate::checkers::{Checkers, Place, Violation};
use crate::clients::{Ask, CallId, End};
use crate::env::{Answer, Env, Inside};
use crate::faults::Crash;
use crate::guests::Home;
use crate::rng::to_index;
use crate::trace::Note;

/// One process life.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) journal: Journal,
    entry: Entry,
    pub(super) hellos: Hellos,
    pub(super) groups: Vec<Hosted>,
    outbox: Outbox,
}

/// Why a process did not start.
#[derive(Debug)]
pub(super) enum Failed {
    /// It was stopped on purpose.
    Stopped,
    /// The disk is full, which is said so.
    Full,
    /// A rule was broken.
    Broken(Violation),
}

impl Process {
    /// Opens the log, and starts every group if the cluster is founded.
    pub(super) fn start(machine: &mut Machine, env: &mut Env) -> Result<Self, Failed> {
        let Opened { log, boot, mut founding, groups: logs, .. } = machine.open(env)?;
        let mut journal = Journal::new(log);
        if let Some(planned) = machine.planned(founding.as_ref()) {
            journal.found(machine, &planned)?;
            founding = Some(planned);
        }
        machine.disarm();
        let mut hellos = Hellos::new(machine, boot, env);
        hellos.cluster = founding.as_ref().map(|founding| founding.cluster);
        let entry = Entry::new(machine, founding, Held { boot, logs }, env);
        let outbox = Outbox::default();
        let mut process = Self { journal, entry, hellos, groups: Vec::new(), outbox };
        process.hellos.dial(machine, process.journal.durable(), env);
        process.form(machine, FormingInput::Tick, env).map_err(Failed::Broken)?;
        process.wait(machine, env);
        Ok(process)
    }

    /// The founding goes on, and the groups start once it is done and nobody objects.
    pub(super) fn form(
        &mut self,
        machine: &mut Machine,
        input: FormingInput,
        env: &mut Env,
    ) -> Result<(), Violation> {
        match self.entry.step(machine, (&mut self.journal, &mut self.hellos), input, env) {
            Ok(()) => self.enter(machine, env),
            Err(failed) => machine.is_through(failed, env),
        }
    }

    /// Starts the groups if it is time to.
    fn enter(&mut self, machine: &mut Machine, env: &mut Env) -> Result<(), Violation> {
        let now = machine.clock.local(env.now);
        let decision = self.hellos.welcome.look(now, self.entry.founding());
        self.decided(decision, machine, env)
    }

    /// Does what was decided about this process.
    fn decided(
        &mut self,
        decision: Decision,
        machine: &mut Machine,
        env: &mut Env,
    ) -> Result<(), Violation> {
        match decision {
            Decision::Wait => Ok(()),
            Decision::Start => {
                let Some(founding) = self.entry.founding().cloned() else { return Ok(()) };
                let Some(held) = self.entry.take() else { return Ok(()) };
                let now = machine.clock.local(env.now);
                self.hellos.cluster = Some(founding.cluster);
                env.checkers.entered(machine.index, machine.id(), &founding, now);
                match self.join(machine, &founding, held, env) {
                    Ok(()) => Ok(()),
                    Err(failed) => machine.is_through(failed, env),
                }
            }
            Decision::Renew => {
                mark!(REFUSED_BEFORE_ENTRY);
                let wait = machine.disk.write + machine.around(machine.disk.sync);
                machine.later(wait, Inside::Renew, env);
                Ok(())
            }
            Decision::Stop => {
                mark!(REFUSED_WHILE_RUNNING);
                env.line(machine.index, || "ends: a peer remembers more".to_owned());
                let renewed = self.renew(machine, env);
                let down = machine.core.election_timeout / 4;
                env.crash(machine.index, Crash::Kill, down);
                renewed.map(drop)
            }
        }
    }

    /// Takes new incarnations, durably; `None` if the process was stopped meanwhile.
    fn renew(
        &mut self,
        machine: &mut Machine,
        env: &mut Env,
    ) -> Result<Option<BTreeMap<GroupId, GroupLog>>, Violation> {
        let drawn = machine.memory.fresh();
        let logs = match self.journal.renew(machine, &drawn) {
            Ok(logs) => logs,
            Err(failed) => return machine.is_through(failed, env).map(|()| None),
        };
        if machine.memory.take(machine.index, drawn, || "a peer refused it".to_owned())? {
            machine.reborn(env);
        }
        Ok(Some(logs))
    }

    fn join(
        &mut self,
        machine: &mut Machine,
        founding: &Founding,
        Held { boot, mut logs }: Held,
        env: &mut Env,
    ) -> Result<(), Failed> {
        let mut are_whole = true;
        for (index, (group, membership)) in founding.groups.iter().enumerate() {
            let place = Place { node: machine.index, group: index };
            let broken = |what| Failed::Broken(Violation::new("start", format!("{place}: {what}")));
            let mut log = logs.remove(group).ok_or_else(|| broken("no log".to_owned()))?;
            let me = Member { node: machine.id(), incarnation: log.incarnation };
            if machine.memory.now()[index].1 != me.incarnation {
                return Err(broken("runs with another incarnation than its directory's".into()));
            }
            machine.lodging.disarm();
            let disk = machine.lodging.disk(index);
            let home = Home { node: machine.id(), group: *group, disk };
            let store = machine.stores.as_ref().map(|stores| stores[index].clone());
            let store = store.unwrap_or_default();
            let guests = Guesthouse { machines: env.guests.machines(&home), disk: home.disk };
            let needs = |sm, at| store.needs(sm, at) || guests.needs(sm, at);
            let keeper = checkpoints::open(machine, place, &mut log.recovered, needs, env)?;
            let checkpoint = log.recovered.checkpoint.as_ref().map(|(at, _)| *at);
            let is_loaded = checkpoint.filter(|_| !log.recovered.files_lost);
            are_whole &= !log.recovered.files_lost;
            env.checkers.remembers(place, me);
            env.line(machine.index, || Note::recovered(index, &log.recovered));
            env.checkers.recovered(place, &log.recovered);
            let known_from = Checkers::known_from(&log.recovered);
            let group = Group::start(Start {
                cluster: founding.cluster,
                group: *group,
                me,
                boot,
                membership: membership.clone(),
                recovered: log.recovered,
                config: machine.core.clone(),
                now: machine.clock.local(env.now),
            })
            .map_err(|error| broken(error.to_string()))?;
            let status = group.status();
            if status.votes
                != env.checkers.voted(place, known_from.max(status.chosen), status.version)
            {
                return Err(broken(format!("{me} is wrong about whether it votes: {status:?}")));
            }
            env.checkers.started(place, group.status().promised, &group.usage());
            let mut hosted = Hosted::new(group, me, store, guests, keeper)
                .map_err(|error| broken(error.to_string()))?;
            if let Some(at) = is_loaded {
                hosted.load(at).map_err(|error| Failed::Broken(hosted::broken(place, &error)))?;
            }
            self.groups.push(hosted);
        }
        // A machine that kept its own state does not read its part of a checkpoint.
        if machine.stores.is_none() && are_whole {
            machine.memory.checkpoints_are_whole();
        }
        for index in 0..self.groups.len() {
            self.settle(machine, index, env);
        }
        if !self.journal.told_room() {
            machine.later(Duration::ZERO, Inside::Room, env); // since before the groups ran
        }
        Ok(())
    }

    /// A message arrives.
    pub(super) fn receive(
        &mut self,
        machine: &mut Machine,
        group: GroupId,
        from: Member,
        message: Message,
        env: &mut Env,
    ) {
        let index = usize::try_from(group.0).unwrap_or(usize::MAX);
        if index < self.groups.len() {
            let id = env.arriving;
            env.line(machine.index, || Note::heard(index, id, from.node.0, &message));
            self.step(machine, index, Input::Receive { from, message }, env);
        }
    }

    /// A client asks something. Says whether the group runs.
    pub(super) fn ask(
        &mut self,
        machine: &mut Machine,
        id: CallId,
        group: usize,
        ask: &Ask,
        deadline: Time,
        env: &mut Env,
    ) -> bool {
        if group >= self.groups.len() {
            return false;
        }
        let input = match ask {
            Ask::Propose(..) | Ask::Guest(..) => Input::Propose {
                id: ProposalId(id.0),
                sm: ask.sm(),
                command: ask.bytes(),
                deadline,
            },
            Ask::Read(_) | Ask::Stale(..) | Ask::Query(..) => {
                self.groups[group].asked(id, ask.clone());
                Input::Read { id: ReadId(id.0), deadline, stale: ask.stale() }
            }
        };
        self.step(machine, group, input, env);
        true
    }

    /// Something is asked of this node's part in the mastership of a group.
    pub(super) fn master(
        &mut self,
        machine: &mut Machine,
        group: usize,
        ask: MasterAsk,
        env: &mut Env,
    ) {
        if group < self.groups.len() {
            self.step(machine, group, Input::Master(ask), env);
        }
    }

    /// What a group takes for its membership, and its version.
    pub(super) fn membership(&self, group: usize) -> Option<(Instance, &Membership)> {
        let history = self.groups.get(group)?.group.history();
        Some((history.version(), history.newest()))
    }

    /// Somebody asks for something of a group that is not a client.
    pub(super) fn input(
        &mut self,
        machine: &mut Machine,
        group: usize,
        input: Input,
        env: &mut Env,
    ) {
        if group < self.groups.len() {
            self.step(machine, group, input, env);
        }
    }

    /// Leadership of a group is to go to another node.
    pub(super) fn transfer(
        &mut self,
        machine: &mut Machine,
        group: usize,
        to: NodeId,
        env: &mut Env,
    ) {
        if group < self.groups.len() {
            self.step(machine, group, Input::Transfer(to), env);
        }
    }

    /// Something of its own comes up.
    pub(super) fn inside(
        &mut self,
        machine: &mut Machine,
        what: Inside,
        env: &mut Env,
    ) -> Result<(), Violation> {
        match what {
            Inside::Wake(group) => {
                let hosted = &mut self.groups[group];
                if hosted.wake <= env.now {
                    hosted.wake = Time::MAX;
                    self.step(machine, group, Input::Tick, env);
                }
            }
            Inside::Greet(to, attempt) => {
                self.hellos.again(machine, self.journal.durable(), (to, attempt), env);
            }
            Inside::Enter => {
                if self.is_silent_yet(machine, env) {
                    self.wait(machine, env);
                } else {
                    mark!(ENTERED_BY_TIMEOUT
                        if !self.has_entered() && self.entry.founding().is_some());
                    self.enter(machine, env)?;
                }
            }
            Inside::Renew => {
                if let Some(logs) = self.renew(machine, env)? {
                    self.entry.renewed(machine, logs, env);
                    self.hellos.renewed(machine, self.journal.durable(), env);
                    self.enter(machine, env)?;
                    self.wait(machine, env);
                }
            }
            Inside::Form => self.form(machine, FormingInput::Tick, env)?,
            Inside::Founded => self.form(machine, FormingInput::Durable, env)?,
            Inside::Sync => {
                self.journal.sync(machine, env)?;
                if machine.rng.ppm(READ_BACK_PPM) {
                    machine.read_back(env)?;
                }
            }
            Inside::Told => {
                for batch in self.journal.told(machine, env)? {
                    self.durable(machine, batch, env);
                }
                self.journal.pump(machine, env)?;
                machine.moment(crate::faults::Moment::Told, env);
            }
            Inside::Idle(batch) => self.journal.idle(batch, machine, env)?,
            Inside::Retry => self.journal.retry(machine, env)?,
            Inside::Room => {
                let has_room = self.journal.told_room();
                let is = if has_room { "has" } else { "has no" };
                env.line(machine.index, || format!("hears that the log {is} room for values"));
                for group in 0..self.groups.len() {
                    self.step(machine, group, Input::Room(has_room), env);
                }
            }
            Inside::Execute(group) => {
                let place = Place { node: machine.index, group };
                let (applied, is_more) = self.groups[group].execute(place, env)?;
                if self.groups[group].has_stopped() {
                    machine.stopped(env);
                    return Ok(());
                }
                if let Some(error) = self.groups[group].unloadable.take() {
                    return machine.unloadable(&hosted::broken(place, &error), env);
                }
                if let Some(stores) = &machine.stores
                    && machine.rng.percent(30)
                {
                    machine.saved[group] = stores[group].state().clone();
                }
                self.write_later(machine, group, env);
                if is_more {
                    let wait = machine.around(machine.delay) + machine.mood.delay;
                    machine.later(wait, Inside::Execute(group), env);
                }
                for (at, state) in std::mem::take(&mut self.groups[group].digested) {
                    self.step(machine, group, Input::Digested { at, state }, env);
                }
                if let Some(instance) = applied {
                    self.step(machine, group, Input::Applied(instance), env);
                }
            }
            Inside::Checkpoint(group) => self.write(machine, group, env),
            Inside::Keep(group) => self.keep(machine, group, env),
            Inside::Fetched(group, fetch) => {
                let entries = self.fetch(group, fetch)?;
                self.step(machine, group, Input::Fetched { id: fetch.id, entries }, env);
            }
        }
        self.journal.pump(machine, env)
    }

    /// Whatever takes its time need not any more.
    pub(super) fn hurry(&self, machine: &Machine, env: &mut Env) {
        machine.later(Duration::from_millis(1), Inside::Sync, env);
        machine.later(Duration::from_millis(2), Inside::Told, env);
        if self.journal.retries() {
            machine.later(Duration::from_millis(1), Inside::Retry, env);
        }
        for group in 0..self.groups.len() {
            machine.later(Duration::from_millis(2), Inside::Execute(group), env);
        }
    }

    /// Lets a user look at the machines at the end of the run.
    pub(super) fn look(&self, node: usize) -> Result<(), Violation> {
        let mut groups = self.groups.iter().enumerate();
        groups.try_for_each(|(group, hosted)| hosted.look(Place { node, group }))
    }

    /// The clock has changed: when to wake is to be worked out anew.
    pub(super) fn sleep_anew(&mut self, machine: &mut Machine, env: &mut Env) {
        for group in 0..self.groups.len() {
            self.groups[group].wake = Time::MAX;
            self.believe(machine, group, env);
            self.sleep(machine, group, env);
        }
        self.entry.sleep(machine, env);
        self.wait(machine, env);
    }

    /// Whether the process has to wait for answers to its hellos.
    fn is_silent_yet(&self, machine: &Machine, env: &Env) -> bool {
        let now = machine.clock.local(env.now);
        self.hellos.welcome.deadline().is_some_and(|deadline| now < deadline)
    }

    /// What a group does.
    pub(super) fn status(&self, group: usize) -> Option<Status> {
        Some(self.groups.get(group)?.group.status())
    }

    /// Where a group stands and what it holds.
    pub(super) fn belief(&self, group: usize) -> Option<Belief> {
        let group = &self.groups.get(group)?.group;
        Some(Belief { status: group.status(), usage: group.usage() })
    }

    fn fetch(&self, group: usize, fetch: Fetch) -> Result<Vec<Stored>, Violation> {
        let id = GroupId(u32::try_from(group).expect("few groups"));
        self.journal.read(id, fetch)
    }

    fn durable(&mut self, machine: &mut Machine, batch: WriteBatch, env: &mut Env) {
        let proof: Durable = batch.durable();
        let group = usize::try_from(proof.group().0).expect("few groups");
        self.step(machine, group, Input::Durable(proof), env);
    }

    /// One step of a group and everything that follows from it.
    pub(super) fn step(
        &mut self,
        machine: &mut Machine,
        group: usize,
        input: Input,
        env: &mut Env,
    ) {
        let now = machine.clock.local(env.now);
        self.groups[group].group.step(now, input, &mut self.outbox);
        let (usage, said) = (self.groups[group].group.usage(), self.outbox.messages.len());
        env.checkers.stepped(Place { node: machine.index, group }, &usage, said);
        self.act(machine, group, env);
        self.settle(machine, group, env);
    }

    /// Does what the group wants.
    fn act(&mut self, machine: &mut Machine, group: usize, env: &mut Env) {
        let place = Place { node: machine.index, group };
        let hosted = &mut self.groups[group];
        let outbox = &mut self.outbox;
        for event in outbox.events.drain(..) {
            env.line(machine.index, || Note::event(group, &event));
            if hosted.keeper.event(&event).is_err() && machine.files.vfs().has_stopped() {
                machine.stopped(env);
            }
            events::seen(place, &event, machine, env);
            if let Event::Leading(ballot) = event {
                env.checkers.leads(place, ballot, &hosted.group.status());
            }
        }
        if let Some(batch) = outbox.take_writes() {
            env.line(machine.index, || Note::wrote(group, &batch));
            self.journal.enqueue(batch);
        }
        for (to, message) in outbox.messages.drain(..) {
            if let Message::Accept { ballot, instance, .. } = message {
                env.checkers.proposes(place, ballot, instance, &hosted.group.status());
            }
            if machine.says(&message, env) {
                let to = to_index(to.0 - 1);
                let is_open = self.hellos.is_open(machine, self.journal.durable(), to, env);
                env.say(place, hosted.me, machine.life, (to, is_open), message);
            }
        }
        for outcome in outbox.outcomes.drain(..) {
            env.line(machine.index, || format!("g{group}   {outcome}"));
            let (id, answer) = match outcome {
                Outcome::Refused(ProposalId(id), _) => (id, Answer::End(End::Refused)),
                Outcome::Unknown(ProposalId(id)) => (id, Answer::End(End::Unknown)),
                Outcome::Executed(ProposalId(id), at) => (id, Answer::End(End::Within(at))),
                Outcome::ReadFailed(ReadId(id), _) => {
                    hosted.unread(CallId(id));
                    (id, Answer::End(End::Unread))
                }
                change @ (Outcome::Changed(..)
                | Outcome::ChangeRefused(..)
                | Outcome::ChangeUnknown(..)) => {
                    env.changes.push((place, change));
                    continue;
                }
                Outcome::ReadAt(ReadId(id), instance) => {
                    hosted.read_at(CallId(id), instance);
                    (id, Answer::HandedOut)
                }
            };
            env.answers.push((CallId(id), answer));
        }
        let was_idle = hosted.is_idle();
        for apply in outbox.applies.drain(..) {
            if let synod_core::Apply::Command { proposal: Some(ProposalId(id)), .. } = &apply {
                env.answers.push((CallId(*id), Answer::HandedOut));
            }
            hosted.hand(apply);
        }
        if was_idle && !hosted.is_idle() {
            let wait = machine.around(machine.delay) + machine.mood.delay;
            machine.later(wait, Inside::Execute(group), env);
        }
        for fetch in outbox.fetches.drain(..) {
            let wait = machine.around(machine.disk.write) + machine.mood.read_delay;
            machine.later(wait, Inside::Fetched(group, fetch), env);
        }
    }

    /// Writes what waits, answers reads that wait for nothing more, and goes to sleep.
    fn settle(&mut self, machine: &mut Machine, group: usize, env: &mut Env) {
        let verdict = self.journal.pump(machine, env);
        env.checkers.note(verdict);
        let hosted = &mut self.groups[group];
        let place = Place { node: machine.index, group };
        hosted.answer_reads(place, env);
        self.believe(machine, group, env);
        self.sleep(machine, group, env);
        self.follow(machine, group, env);
    }

    /// Tells the rules what this process believes of itself in time: that it is the master, that it may
    /// read on its own.
    fn believe(&self, machine: &Machine, group: usize, env: &mut Env) {
        let master = self.groups[group].group.master();
        // As the application asks it, which is told no more than the answer: whatever it is, it holds now.
        let is_master = master.is_master(machine.clock.local(env.now));
        let now = env.now + Duration::from_nanos(1);
        let until = is_master.then(|| machine.clock.when(master.until).max(now));
        let place = Place { node: machine.index, group };
        let verdict = env.checkers.masters.believes(place, until, env.now);
        env.checkers.note(verdict);
        let hosted = &self.groups[group].group;
        let (lease, status) = (hosted.lease(), hosted.status());
        let until = (lease > Time::ZERO).then(|| machine.clock.when(lease));
        let verdict = env.checkers.leases.holds(place, until, status.leader, env.now);
        env.checkers.note(verdict);
        if status.changing {
            let verdict = env.checkers.leases.changes(place, env.now);
            env.checkers.note(verdict);
        }
    }

    /// Wakes up at the group's deadline.
    fn sleep(&mut self, machine: &mut Machine, group: usize, env: &mut Env) {
        let hosted = &mut self.groups[group];
        let Some(deadline) = hosted.group.deadline() else { return };
        // What comes within the same short while leaves together.
        let soonest = env.now + Duration::from_nanos(1 + machine.rng.below(20_000));
        let wake = machine.clock.when(deadline).max(soonest);
        if wake < hosted.wake && hosted.wake > soonest {
            hosted.wake = wake;
            machine.later(wake.since(env.now), Inside::Wake(group), env);
        }
    }
}

/// After how many syncs, out of a million, the disk is read back to see whether it holds what it
/// should.
const READ_BACK_PPM: u32 = 2_000;
