//! A group and its state machines, as one process hosts them.

use std::collections::VecDeque;

use synod::{Executed, MachineError, Machines, StateMachine};
use synod_core::{Apply, CommandKey, Group, Instance, Member, Position, ProposalId, SmId, Time};

use crate::checkers::{self, Place, Violation};
use crate::clients::{Ask, CallId, End};
use crate::env::{Answer, Env};
use crate::guests::fingerprint;
use crate::kv::{STORE, Store, word};
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
    /// The user's machines, and what of their state is from earlier lives.
    ahead: Vec<(SmId, Position)>,
    handed: VecDeque<Apply>,
    /// Reads that were asked here, and the instance that they wait for once it is known.
    reads: Vec<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    id: CallId,
    key: u16,
    at: Option<Instance>,
}

impl Hosted {
    /// A group with the store, and the machines of a user.
    ///
    /// # Errors
    ///
    /// If two machines have one id, or one panics.
    pub(super) fn new(
        group: Group,
        me: Member,
        store: Store,
        guests: Vec<Box<dyn StateMachine>>,
    ) -> Result<Self, MachineError> {
        let ahead = guests.iter().map(|guest| (guest.id(), guest.applied())).collect();
        let mut all = guests;
        all.push(Box::new(store.clone()));
        let machines = Machines::new(all)?;
        Ok(Self {
            group,
            me,
            wake: Time::MAX,
            machines,
            store,
            ahead,
            handed: VecDeque::new(),
            reads: Vec::new(),
        })
    }

    /// A read was asked here.
    pub(super) fn asked(&mut self, id: CallId, key: u16) {
        self.reads.push(Waiting { id, key, at: None });
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
                Apply::Through(_) => None,
            };
            let executed = self
                .machines
                .apply(apply)
                .map_err(|error| Violation::new("machines", format!("{place}: {error}")))?;
            match (executed, command) {
                (Executed::Command { position, proposal, output }, Some((sm, key, payload))) => {
                    let output = if sm == STORE {
                        word(&output).unwrap_or_default()
                    } else {
                        fingerprint(&output)
                    };
                    self.done(place, position, sm, key, &payload, Some(output), proposal, env);
                }
                (Executed::Skipped { position, proposal }, Some((sm, key, payload))) => {
                    self.done(place, position, sm, key, &payload, None, proposal, env);
                }
                (Executed::Through(instance), _) => {
                    let (applied, digest) = {
                        let state = self.store.state();
                        (state.applied(), state.digest())
                    };
                    env.trace.detail(digest);
                    env.line(place.node, || Note::executed(place.group, instance, digest));
                    env.checkers.through(place, instance, applied, digest);
                    self.compare(place, instance, env)?;
                    return Ok((Some(instance), !self.handed.is_empty()));
                }
                (executed, None) => {
                    let what = format!("{place}: no command became {executed:?}");
                    return Err(Violation::new("machines", what));
                }
            }
        }
        Ok((None, false))
    }

    /// Answers the reads whose instance is executed.
    pub(super) fn answer_reads(&mut self, place: Place, env: &mut Env) {
        let applied = self.machines.applied();
        let (machines, store) = (&mut self.machines, &self.store);
        self.reads.retain(|read| {
            if read.at.is_none_or(|at| at > applied) {
                return true;
            }
            // Part of the next instance may be executed already, and a machine with its own state
            // may be far ahead.
            let whole = Position { instance: applied, index: u32::MAX };
            let at = store.state().applied().max(whole);
            let answer = machines.read(STORE, Ask::Read(read.key).bytes());
            match answer.as_deref().map(word) {
                Ok(Some(held)) => {
                    env.answers.push((read.id, Answer::End(End::Read(at, held))));
                }
                other => {
                    let what = format!("{place}: a read gave {other:?}");
                    env.checkers.note(Err(Violation::new("machines", what)));
                }
            }
            false
        });
    }

    /// Compares the state of the user's machines with that of the other nodes.
    fn compare(
        &mut self,
        place: Place,
        instance: Instance,
        env: &mut Env,
    ) -> Result<(), Violation> {
        for &(sm, ahead) in &self.ahead {
            let state = self
                .machines
                .read(sm, env.guests.digest(sm))
                .map_err(|error| Violation::new("machines", format!("{place}: {error}")))?;
            let digest = fingerprint(&state);
            env.trace.detail(digest);
            if ahead.instance <= instance {
                env.checkers.guest_through(place, sm, instance, digest);
            }
        }
        Ok(())
    }

    #[expect(clippy::too_many_arguments, reason = "all of it is told to the rules")]
    fn done(
        &self,
        place: Place,
        at: Position,
        sm: SmId,
        key: CommandKey,
        payload: &[u8],
        output: Option<u64>,
        proposal: Option<ProposalId>,
        env: &mut Env,
    ) {
        env.checkers.executed(place, &checkers::Executed { at, sm, key, payload, output });
        if let Some(ProposalId(id)) = proposal {
            let end = output.map_or(End::Skipped(at), |output| End::Committed(at, output));
            env.answers.push((CallId(id), Answer::End(end)));
        }
    }
}
