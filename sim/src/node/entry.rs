//! How a process comes into its cluster: it knows from its disk, or founds one with the others.

use std::collections::BTreeMap;

use synod::log::GroupLog;
use synod_core::{
    Bootstrap, Forming, FormingInput, FormingOutbox, FormingStart, FormingState, Founder, Founding,
    FoundingMessage, GroupId, NodeId, Time,
};
use synod_proto::Packet;

use super::disk::Journal;
use super::hello::Hellos;
use super::process::Failed;
use super::{Machine, node_id};
use crate::checkers::Violation;
use crate::env::{Env, Inside};
use crate::rng::to_index;
use crate::trace::Note;

/// A process on its way into its cluster, and what it answers to others from then on.
#[derive(Debug)]
pub(super) struct Entry {
    forming: Forming,
    out: FormingOutbox,
    wake: Time,
    /// What the log held, until the groups take it.
    held: Option<Held>,
}

/// What the groups start from.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) boot: u64,
    pub(super) logs: BTreeMap<GroupId, GroupLog>,
}

impl Entry {
    /// Sets out from what the disk holds.
    pub(super) fn new(
        machine: &mut Machine,
        founding: Option<Founding>,
        held: Held,
        env: &Env,
    ) -> Self {
        let bootstrap = machine.bootstrap();
        // Who joins may ask everybody; who founds waits for the founders only.
        let count = if bootstrap == Bootstrap::Join { machine.nodes } else { machine.founders };
        let founders: Vec<NodeId> = (0..count).map(node_id).collect();
        let forming = Forming::new(FormingStart {
            me: machine.id(),
            founder: Founder { founders, memories: machine.memory.now().to_vec() },
            bootstrap,
            founding,
            seed: machine.rng.bits(),
            retry_interval: machine.core.election_timeout / 8,
            now: machine.clock.local(env.now),
        });
        Self { forming, out: FormingOutbox::default(), wake: Time::MAX, held: Some(held) }
    }

    /// What the cluster was founded from, if this node knows.
    pub(super) const fn founding(&self) -> Option<&Founding> {
        self.forming.founding()
    }

    /// What the log held, for the groups to take.
    pub(super) const fn take(&mut self) -> Option<Held> {
        self.held.take()
    }

    /// The directory has new incarnations, and holds this of them.
    pub(super) fn renewed(
        &mut self,
        machine: &Machine,
        logs: BTreeMap<GroupId, GroupLog>,
        env: &Env,
    ) {
        self.forming.renew(machine.memory.now().to_vec(), machine.clock.local(env.now));
        if let Some(held) = &mut self.held {
            held.logs = logs;
        }
    }

    /// Something happens.
    pub(super) fn step(
        &mut self,
        machine: &mut Machine,
        (journal, hellos): (&mut Journal, &mut Hellos),
        input: FormingInput,
        env: &mut Env,
    ) -> Result<(), Failed> {
        let now = machine.clock.local(env.now);
        self.forming.step(now, input, &mut self.out);
        if let Some(founding) = self.out.write.take() {
            env.line(machine.index, || format!("writes the founding of {:?}", founding.cluster));
            journal.found(machine, &founding)?;
            let wait = machine.around(machine.disk.tell);
            machine.later(wait, Inside::Founded, env);
        }
        for (to, message) in self.out.messages.drain(..) {
            env.line(machine.index, || Note::sent_founding(to_index(to.0 - 1), &message));
            let to = to_index(to.0 - 1);
            if hellos.is_open(machine, journal.durable(), to, env) {
                env.send(machine.index, machine.life, to, &Packet::Founding(message));
            } else {
                env.unsent();
            }
        }
        self.sleep(machine, env);
        match self.forming.state() {
            FormingState::Conflict(_) => {
                let what = format!("n{}: {}", machine.index + 1, self.forming.state());
                Err(Failed::Broken(Violation::new("founding", what)))
            }
            FormingState::Founded(founding) | FormingState::Excluded { founding, .. } => {
                env.checkers.founded(machine.index, founding);
                Ok(())
            }
            FormingState::Waiting { .. }
            | FormingState::Alone
            | FormingState::Joining { .. }
            | FormingState::Writing(_) => Ok(()),
        }
    }

    /// Wakes up at the deadline.
    pub(super) fn sleep(&mut self, machine: &Machine, env: &mut Env) {
        if let Some(deadline) = self.forming.deadline() {
            let wake = machine.clock.when(deadline).max(env.now);
            if wake < self.wake || self.wake <= env.now {
                self.wake = wake;
                machine.later(wake.since(env.now), Inside::Form, env);
            }
        }
    }

    /// A message about the founding, as an input.
    pub(super) fn heard(from: usize, message: FoundingMessage) -> FormingInput {
        FormingInput::Receive { from: node_id(from), message }
    }
}
