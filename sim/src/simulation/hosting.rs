//! What a [`Simulation`](super::Simulation) knows of its machine, as the simulator wants to hear it.

use std::sync::{Arc, OnceLock};

use synod::StateMachine;
use synod_core::SmId;

use super::Work;
use crate::clients::Ask;
use crate::disk::SimVfs;
use crate::guests::{Guest, Home, Looks, Tenant};
use crate::rng::Rng;

/// One machine in each group.
pub(super) struct Hosting<M> {
    machine: Box<dyn Fn(SimVfs) -> M + Send + Sync>,
    workload: Box<dyn Fn(&mut Rng) -> Work + Send + Sync>,
    looks: Arc<Looks<M>>,
    /// The machine's id, known once there is one.
    sm: OnceLock<SmId>,
    pub(super) model: Option<Box<dyn Fn() -> Tenant + Send + Sync>>,
    pub(super) on_answer: Vec<OnAnswer>,
}

type OnAnswer = Box<dyn Fn(&Work, &[u8]) + Send + Sync>;

impl<M> Hosting<M> {
    pub(super) fn new(
        machine: Box<dyn Fn(SimVfs) -> M + Send + Sync>,
        workload: Box<dyn Fn(&mut Rng) -> Work + Send + Sync>,
    ) -> Self {
        Self {
            machine,
            workload,
            looks: Arc::default(),
            sm: OnceLock::new(),
            model: None,
            on_answer: Vec::new(),
        }
    }

    /// What to look at, as long as no run has begun.
    pub(super) fn looks(&mut self) -> &mut Looks<M> {
        Arc::get_mut(&mut self.looks).expect("nobody has a window yet")
    }
}

impl<M: StateMachine> Guest for Hosting<M> {
    fn machines(&self, home: &Home) -> Vec<Tenant> {
        vec![Tenant::new((self.machine)(home.disk.clone()), &self.looks)]
    }

    fn models(&self) -> Vec<Tenant> {
        let copy = || Tenant::new((self.machine)(SimVfs::new()), &self.looks);
        vec![self.model.as_ref().map_or_else(copy, |model| model())]
    }

    fn ask(&self, rng: &mut Rng) -> Ask {
        let sm = *self.sm.get_or_init(|| (self.machine)(SimVfs::new()).id());
        match (self.workload)(rng) {
            Work::Command(command) => Ask::Guest(sm, command),
            Work::Query(query) => Ask::Query(sm, query),
        }
    }

    fn answered(&self, ask: &Ask, answer: &[u8]) {
        let work = match ask {
            Ask::Guest(_, command) => Work::Command(command.clone()),
            Ask::Query(_, query) => Work::Query(query.clone()),
            Ask::Propose(..) | Ask::Read(_) | Ask::Stale(..) => return,
        };
        self.on_answer.iter().for_each(|look| look(&work, answer));
    }
}
