//! Your own state machine under faults: a builder over everything else here.
//!
//! [The chapter in the README](crate#test-your-own-service-under-faults-in-30-lines) shows it at
//! work; `sim/examples/` has a bank, and a machine that is not deterministic.

mod broken;
mod hosting;
mod many;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use synod::StateMachine;

pub use broken::{Broken, SimulationError};
use hosting::Hosting;

use crate::disk::SimVfs;
use crate::guests::{State, Tenant};
use crate::plan::{PlanFile, Preset};
use crate::rng::Rng;
use crate::stats::Stats;

/// Clusters of your state machine, in virtual time, under faults.
///
/// A run is decided by its seed: the size of the cluster, its settings, how fast disks and links
/// are, what clients ask, what breaks when. Your machine runs in every group of it, hosted by the
/// code that hosts it in production. What is watched without being asked for:
///
/// - every output and every answer to a query is what a [model](Self::model) comes to that executes
///   the same log: by default one more instance of your machine, which never crashes;
/// - reads are linearizable, commands are executed once, nothing acknowledged is lost;
/// - no panic; and once the faults have passed, the cluster serves and agrees again.
///
/// What your machine should be like beyond that, say with [`always`](Self::always),
/// [`on_answer`](Self::on_answer) and [`finally`](Self::finally), and what its whole state is with
/// [`state`](Self::state).
#[must_use = "call `run` with some seeds"]
pub struct Simulation<M> {
    hosting: Hosting<M>,
    preset: Preset,
    nodes: Option<usize>,
    failures: Option<PathBuf>,
    is_shrinking: bool,
}

/// What a client asks of your state machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Work {
    /// To execute a command.
    Command(Bytes),
    /// To answer a question, linearizably, without a place in the log.
    Query(Bytes),
}

/// What came of seeds that all passed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passed {
    /// How many.
    pub seeds: u64,
    /// What happened in them, added up.
    pub stats: Stats,
}

impl Work {
    /// To execute this command.
    pub fn command(command: impl Into<Bytes>) -> Self {
        Self::Command(command.into())
    }

    /// To answer this question.
    pub fn query(query: impl Into<Bytes>) -> Self {
        Self::Query(query.into())
    }

    /// What it says.
    #[must_use]
    pub const fn bytes(&self) -> &Bytes {
        let (Self::Command(bytes) | Self::Query(bytes)) = self;
        bytes
    }
}

impl<M: StateMachine> Simulation<M> {
    /// Clusters of machines that `machine` makes, with clients that ask what `workload` says.
    ///
    /// Machines are made anew for each node, group and process life, so nothing may pass from one to
    /// another. A run asks `workload` some 30 to 1500 times, before it starts; everything random
    /// about it has to come from the [`Rng`], or seeds do not repeat. Now and then a run limits the
    /// size of commands, to 60 bytes at the tightest, and refuses larger ones.
    pub fn new(
        machine: impl Fn() -> M + Send + Sync + 'static,
        workload: impl Fn(&mut Rng) -> Work + Send + Sync + 'static,
    ) -> Self {
        Self::on_disk(move |_| machine(), workload)
    }

    /// The same for machines that keep their own state: each gets a disk that outlives it.
    ///
    /// There is one disk for each group on each node. A crash of the process leaves what was
    /// written; a power loss leaves of what was not synced any part, sector by sector. Write to it
    /// as [`Vfs`](synod::vfs::Vfs) says, and save [`applied`](StateMachine::applied) together with
    /// the state, atomically. In production the same code gets a
    /// [`StdVfs`](synod::vfs::StdVfs).
    pub fn on_disk(
        machine: impl Fn(SimVfs) -> M + Send + Sync + 'static,
        workload: impl Fn(&mut Rng) -> Work + Send + Sync + 'static,
    ) -> Self {
        Self {
            hosting: Hosting::new(Box::new(machine), Box::new(workload)),
            preset: Preset::default(),
            nodes: None,
            failures: None,
            is_shrinking: true,
        }
    }

    /// How many nodes a cluster has, from 1 to 9. Default: 1, 3 or 5, as the seed says.
    pub const fn nodes(mut self, nodes: usize) -> Self {
        self.nodes = Some(nodes);
        self
    }

    /// What goes wrong. Default: [`Preset::Mix`], which is a bit of everything.
    pub const fn preset(mut self, preset: Preset) -> Self {
        self.preset = preset;
        self
    }

    /// What must be true of every machine, always: called on every node after each command.
    ///
    /// Let it `assert!`: a panic breaks the rule `invariants`. Called any number of times, all are
    /// asked.
    pub fn always(mut self, look: impl Fn(&M) + Send + Sync + 'static) -> Self {
        self.hosting.looks().always.push(Box::new(look));
        self
    }

    /// What must be true at the end, when the cluster is whole and has executed everything: called
    /// on every node.
    pub fn finally(mut self, look: impl Fn(&M) + Send + Sync + 'static) -> Self {
        self.hosting.looks().finally.push(Box::new(look));
        self
    }

    /// What must be true of every answer that a client gets, to a command or to a query.
    pub fn on_answer(mut self, look: impl Fn(&Work, &[u8]) + Send + Sync + 'static) -> Self {
        self.hosting.on_answer.push(Box::new(look));
        self
    }

    /// The state, or the part of it that must be the same on all nodes: compared after every
    /// instance, and shown if it differs. Default: only outputs and answers are compared, which
    /// finds the same later.
    pub fn state<S: PartialEq + fmt::Debug + Send + 'static>(
        mut self,
        state: impl Fn(&M) -> S + Send + Sync + 'static,
    ) -> Self {
        let state = move |machine: &M| -> Box<dyn State> { Box::new(state(machine)) };
        self.hosting.looks().state = Some(Box::new(state));
        self
    }

    /// A sequential specification: a simpler machine with the same [`id`](StateMachine::id) that
    /// knows all outputs and answers. Default: another instance of the machine itself, so that a
    /// machine which is always wrong in the same way passes.
    pub fn model<N: StateMachine>(mut self, model: impl Fn() -> N + Send + Sync + 'static) -> Self {
        self.hosting.model = Some(Box::new(move || Tenant::unseen(model())));
        self
    }

    /// Where the plans of failed runs are written. Default: `failures` in cargo's target folder.
    pub fn failures(mut self, folder: impl Into<PathBuf>) -> Self {
        self.failures = Some(folder.into());
        self
    }

    /// Whether a failed plan is made as small as it gets before it is written, which takes some
    /// hundred runs. Default: yes.
    pub const fn shrink(mut self, is_shrinking: bool) -> Self {
        self.is_shrinking = is_shrinking;
        self
    }

    /// Runs these seeds, `0..200` say, on all cores. If the environment variable `SYNOD_PLAN` names
    /// the file of a plan, runs that and nothing else.
    ///
    /// # Errors
    ///
    /// The failure of the lowest seed that failed, with the file of its plan; all seeds are run.
    pub fn run(self, seeds: impl IntoIterator<Item = u64>) -> Result<Passed, SimulationError> {
        match std::env::var_os(PLAN_VARIABLE) {
            Some(file) => self.replay(file),
            None => self.many(seeds.into_iter().collect()),
        }
    }

    /// Runs the plan in a file once more, and shows its last events if it fails.
    ///
    /// # Errors
    ///
    /// If the file is no plan, or the plan fails.
    pub fn replay(self, file: impl AsRef<Path>) -> Result<Passed, SimulationError> {
        let file = file.as_ref();
        let PlanFile { plan, .. } =
            PlanFile::read(file).map_err(|error| SimulationError::File(file.to_owned(), error))?;
        self.again(&plan, file)
    }
}

impl<M> fmt::Debug for Simulation<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { preset, nodes, failures, is_shrinking, hosting: _ } = self;
        f.debug_struct("Simulation")
            .field("preset", preset)
            .field("nodes", nodes)
            .field("failures", failures)
            .field("is_shrinking", is_shrinking)
            .finish_non_exhaustive()
    }
}

/// The environment variable that names the plan to run.
const PLAN_VARIABLE: &str = "SYNOD_PLAN";
