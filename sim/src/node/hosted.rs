//! A group and its state machines, as one process hosts them.

use std::collections::VecDeque;
use std::fmt;

use bytes::Bytes;
use synod::checkpoints::Keeper;
use synod::{CheckpointError, Executed, Handles, MachineError, Machines, StateMachine};
use synod_core::{Apply, CommandKey, Group, Instance, Member, Position, ProposalId, SmId, Time};

use crate::checkers::{self, Place, Verdict, Violation};
use crate::clients::{Ask, CallId, End};
use crate::disk::SimVfs;
use crate::env::{Answer, Env};
use crate::guests::{Tenant, Window, fingerprint};
use crate::kv::{STORE, Store, word};
use crate::run::{caught, panicked_at};
use crate::trace::Note;

/// A group and its state machines.
#[derive(Debug)]
pub(super) struct Hosted {
    pub(super) group: Group,
    pub(super) me: Member,
    /// When the group is woken next.
    pub(super) wake: Time,
    machines: Machines,
    store: Store,
    guests: Vec<Lodger>,
    /// What the guests keep.
    disk: SimVfs,
    handed: VecDeque<Apply>,
    /// The group's checkpoints.
    pub(super) keeper: Keeper<SimVfs>,
    /// When the keeper is woken next.
    pub(super) keep: Time,
    /// A checkpoint that is to be written.
    pub(super) taking: Option<Taking>,
    /// Why a peer's checkpoint could not be loaded.
    pub(super) unloadable: Option<MachineError>,
    /// What the machines were digested to, until the group is told.
    pub(super) digested: Vec<(Instance, Option<u64>)>,
    /// Reads that were asked here, and the instance that they wait for once it is known.
    reads: Vec<Waiting>,
}

/// A user's machines, and the disk that they have.
pub(super) struct Guesthouse {
    pub(super) machines: Vec<Tenant>,
    pub(super) disk: SimVfs,
}

impl Guesthouse {
    /// Whether a user's machine goes on from its part of a checkpoint, and not from further.
    pub(super) fn needs(&self, sm: SmId, at: Instance) -> bool {
        let mut machines = self.machines.iter().map(|tenant| &tenant.machine);
        machines.any(|machine| machine.id() == sm && machine.applied().instance <= at)
    }
}

/// A user's machine.
struct Lodger {
    sm: SmId,
    window: Box<dyn Window>,
    /// What of its state is from earlier lives.
    ahead: Position,
    /// The last position in its state.
    applied: Position,
}

/// A checkpoint that is to be written.
pub(super) struct Taking {
    pub(super) at: Instance,
    pub(super) state: Bytes,
    pub(super) handles: Result<Handles, CheckpointError>,
}

impl fmt::Debug for Taking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "checkpoint at {}", self.at)
    }
}

#[derive(Debug)]
struct Waiting {
    id: CallId,
    ask: Ask,
    at: Option<Instance>,
}

impl Hosted {
    /// A group with the store, and the machines of a user.
    ///
    /// # Errors
    ///
    /// If two machines have one id, a guest has a reserved one, or one panics.
    pub(super) fn new(
        group: Group,
        me: Member,
        store: Store,
        Guesthouse { machines: guests, disk }: Guesthouse,
        keeper: Keeper<SimVfs>,
    ) -> Result<Self, MachineError> {
        let mut theirs: Vec<Box<dyn StateMachine>> = Vec::new();
        let mut lodgers = Vec::new();
        for Tenant { machine, window } in guests {
            let ahead = machine.applied();
            lodgers.push(Lodger { sm: machine.id(), window, ahead, applied: ahead });
            theirs.push(machine);
        }
        let machines = Machines::beside(Box::new(store.clone()), theirs)?;
        Ok(Self {
            group,
            me,
            wake: Time::MAX,
            machines,
            store,
            guests: lodgers,
            disk,
            handed: VecDeque::new(),
            keeper,
            keep: Time::MAX,
            taking: None,
            unloadable: None,
            digested: Vec::new(),
            reads: Vec::new(),
        })
    }

    /// A read was asked here.
    pub(super) fn asked(&mut self, id: CallId, ask: Ask) {
        self.reads.push(Waiting { id, ask, at: None });
    }

    /// A read may be answered once everything up to `instance` is executed.
    pub(super) fn read_at(&mut self, id: CallId, instance: Instance) {
        if let Some(read) = self.reads.iter_mut().find(|read| read.id == id) {
            read.at = Some(instance);
        }
    }

    /// A read will not be answered.
    pub(super) fn unread(&mut self, id: CallId) {
        self.reads.retain(|read| read.id != id);
    }

    /// Whether the process was stopped while a user's machine wrote to its disk.
    pub(super) fn has_stopped(&self) -> bool {
        self.disk.has_stopped()
    }

    /// Whether nothing waits for execution.
    pub(super) fn is_idle(&self) -> bool {
        self.handed.is_empty()
    }

    /// Takes something to execute.
    pub(super) fn hand(&mut self, apply: Apply) {
        self.handed.push_back(apply);
    }

    /// Executes everything up to the next end of an instance. Returns how far that is, and whether
    /// there is more.
    pub(super) fn execute(
        &mut self,
        place: Place,
        env: &mut Env,
    ) -> Result<(Option<Instance>, bool), Violation> {
        while let Some(apply) = self.handed.pop_front() {
            let command = match &apply {
                Apply::Command { sm, key, payload, .. } => Some((*sm, *key, payload.clone())),
                Apply::Through(_)
                | Apply::Digest(_)
                | Apply::Checkpoint { .. }
                | Apply::Install(_) => None,
            };
            let executed = self.machines.apply(apply);
            if self.has_stopped() {
                // In the middle of that: whatever came of it dies with the process.
                return Ok((None, false));
            }
            let executed = executed.map_err(|error| broken(place, &error))?;
            match (executed, command) {
                (Executed::Command { position, proposal, output }, Some((sm, key, payload))) => {
                    self.done(place, position, sm, key, payload, Some(&output), proposal, env)?;
                }
                (Executed::Skipped { position, proposal }, Some((sm, key, payload))) => {
                    self.done(place, position, sm, key, payload, None, proposal, env)?;
                }
                (Executed::Through(instance), _) => {
                    self.through(place, instance, env);
                    return Ok((Some(instance), !self.handed.is_empty()));
                }
                (Executed::Checkpoint(at, state), _) => self.take(at, state),
                (Executed::Digest(at, state), _) => self.digested.push((at, state)),
                (Executed::Install(at), _) => {
                    match self.load(at) {
                        Err(error @ MachineError::Load { .. }) => {
                            self.unloadable = Some(error);
                            return Ok((None, false));
                        }
                        loaded => loaded.map_err(|error| broken(place, &error))?,
                    }
                    self.through(place, at, env);
                    return Ok((Some(at), !self.handed.is_empty()));
                }
                (executed, None) => {
                    let what = format!("{place}: no command became {executed:?}");
                    return Err(Violation::new("machines", what));
                }
            }
        }
        Ok((None, false))
    }

    /// The machines are at the end of an instance: what they hold is held against the others.
    fn through(&self, place: Place, instance: Instance, env: &mut Env) {
        let (applied, digest) = {
            let state = self.store.state();
            (state.applied(), state.digest())
        };
        env.trace.detail(digest);
        env.line(place.node, || Note::executed(place.group, instance, digest));
        env.checkers.through(place, instance, applied, digest);
        self.compare(place, instance, env);
    }

    /// The machines go on from a checkpoint.
    ///
    /// # Errors
    ///
    /// If its files are not what was written, or a machine fails.
    pub(super) fn load(&mut self, at: Instance) -> Result<(), MachineError> {
        let store = self.keeper.store();
        let loaded = self.machines.load(at, |sm| store.loaded(at, sm));
        for guest in self.guests.iter_mut().filter(|guest| guest.applied.instance <= at) {
            (guest.ahead, guest.applied) = (Position { instance: at, index: 0 }, guest.applied);
        }
        loaded
    }

    /// A checkpoint is to be taken of what the machines hold now.
    fn take(&mut self, at: Instance, state: Bytes) {
        self.taking = Some(Taking { at, state, handles: self.machines.checkpoint(at) });
    }

    /// Answers the reads whose instance is executed.
    pub(super) fn answer_reads(&mut self, place: Place, env: &mut Env) {
        let applied = self.machines.applied();
        let is_due = |read: &mut Waiting| read.at.is_some_and(|at| at <= applied);
        let due: Vec<Waiting> = self.reads.extract_if(.., is_due).collect();
        for Waiting { id, ask, .. } in due {
            let verdict = self.answer(place, id, &ask, env);
            env.checkers.note(verdict);
        }
    }

    fn answer(&mut self, place: Place, id: CallId, ask: &Ask, env: &mut Env) -> Verdict {
        let query = ask.bytes();
        let answer = self.machines.read(ask.sm(), query.clone());
        let answer = answer.map_err(|error| broken(place, &error))?;
        let own = match self.guests.iter().find(|guest| guest.sm == ask.sm()) {
            Some(guest) => guest.applied,
            None => self.store.state().applied(),
        };
        // Part of the next instance may be executed already, and a machine with its own state may be
        // far ahead.
        let at = own.max(Position { instance: self.machines.applied(), index: u32::MAX });
        let held = if ask.sm() == STORE {
            word(&answer).ok_or_else(|| {
                Violation::new("machines", format!("{place}: a read gave {answer:?}"))
            })?
        } else {
            env.checkers.guest_answered(place, ask.sm(), &query, at, &answer);
            seen(place, ask, &answer, env)?;
            fingerprint(&answer)
        };
        env.answers.push((id, Answer::End(End::Read(at, held))));
        Ok(())
    }

    /// Lets the user look at the machines at the end of the run.
    pub(super) fn look(&self, place: Place) -> Verdict {
        self.guests.iter().try_for_each(|guest| {
            caught(|| guest.window.ended()).map_err(|why| {
                let what = format!("machine {} of {place}, at the end: {why}", guest.sm.0);
                Violation::new("invariants", what)
            })
        })
    }

    /// Compares the state of the user's machines with what it should be.
    fn compare(&self, place: Place, instance: Instance, env: &mut Env) {
        for guest in self.guests.iter().filter(|guest| guest.ahead.instance <= instance) {
            if let Some(state) = guest.window.state() {
                env.checkers.guest_through(place, guest.sm, instance, state);
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "all of it is told to the rules")]
    fn done(
        &mut self,
        place: Place,
        at: Position,
        sm: SmId,
        key: CommandKey,
        payload: Bytes,
        output: Option<&Bytes>,
        proposal: Option<ProposalId>,
        env: &mut Env,
    ) -> Verdict {
        let executed = checkers::Executed { at, sm, key, payload: &payload, output };
        env.checkers.executed(place, &executed);
        if sm != STORE
            && let Some(output) = output
        {
            if let Some(guest) = self.guests.iter_mut().find(|guest| guest.sm == sm) {
                guest.applied = at;
                if env.checkers.broken().is_none() {
                    caught(|| guest.window.applied()).map_err(|why| {
                        let what = format!("machine {} of {place}, after {at}: {why}", sm.0);
                        Violation::new(
                            "invariants",
                            format!("{what}\n  command        {payload:?}"),
                        )
                    })?;
                }
            }
            if proposal.is_some() && env.checkers.broken().is_none() {
                seen(place, &Ask::Guest(sm, payload), output, env)?;
            }
        }
        if let Some(ProposalId(id)) = proposal {
            let hash = |output: &Bytes| {
                if sm == STORE { word(output).unwrap_or_default() } else { fingerprint(output) }
            };
            let end = output.map_or(End::Skipped(at), |output| End::Committed(at, hash(output)));
            env.answers.push((CallId(id), Answer::End(end)));
        }
        Ok(())
    }
}

impl fmt::Debug for Lodger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "machine {} at {}", self.sm.0, self.applied)
    }
}

/// A client gets to see the answer of a user's machine.
fn seen(place: Place, ask: &Ask, answer: &Bytes, env: &Env) -> Verdict {
    caught(|| env.guests.answered(ask, answer)).map_err(|why| {
        let what = format!("{place} answers {answer:?} to {:?}: {why}", ask.bytes());
        Violation::new("invariants", what)
    })
}

pub(super) fn broken(place: Place, error: &MachineError) -> Violation {
    let at = panicked_at().map(|at| format!(" ({at})")).unwrap_or_default();
    Violation::new("machines", format!("{place}: {error}{at}"))
}
