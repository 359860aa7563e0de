//! Many seeds of a user's simulation on all cores, and one plan once more.

use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use synod::StateMachine;

use super::broken::{Broken, SimulationError};
use super::{Passed, Simulation};
use crate::guests::Guests;
use crate::plan::{NODES_MAX, Plan, Preset};
use crate::rng::to_u64;
use crate::run::{Failure, Options, Report, run_plan};
use crate::stats::Stats;

impl<M: StateMachine> Simulation<M> {
    pub(super) fn many(self, seeds: Vec<u64>) -> Result<Passed, SimulationError> {
        if seeds.is_empty() {
            return Err(SimulationError::NoSeeds);
        }
        let Self { hosting, preset, nodes, failures, is_shrinking } = self;
        if let Some(nodes) = nodes.filter(|nodes| !(1..=NODES_MAX).contains(nodes)) {
            return Err(SimulationError::Nodes(nodes));
        }
        let guests = Guests::new(hosting);
        let mut swept = sweep(&seeds, |seed| plan(seed, preset, nodes, &guests), &guests);
        if swept.failures.is_empty() {
            return Ok(Passed { seeds: to_u64(seeds.len()), stats: swept.stats });
        }
        swept.failures.sort_unstable_by_key(|failure| failure.plan.seed);
        let failed = swept.failures.iter().map(|failure| failure.plan.seed).collect();
        let lowest = Box::new(swept.failures.swap_remove(0));
        let folder = failures.unwrap_or_else(default_folder);
        let shrink = is_shrinking.then_some(&guests);
        Err(Broken::found(lowest, failed, to_u64(seeds.len()), &folder, shrink).into())
    }

    pub(super) fn again(self, plan: &Plan, file: &Path) -> Result<Passed, SimulationError> {
        let options = Options { guests: Guests::new(self.hosting), ..Options::default() };
        match run_plan(plan, &options) {
            Ok(Report { stats, .. }) => Ok(Passed { seeds: 1, stats }),
            Err(failure) => Err(Broken::replayed(failure, file).into()),
        }
    }
}

fn plan(seed: u64, preset: Preset, nodes: Option<usize>, guests: &Guests) -> Plan {
    let drawn = match nodes {
        None => Plan::draw(seed, preset),
        Some(nodes) => Plan::draw_for(seed, preset, nodes),
    };
    drawn.inviting(guests)
}

#[derive(Default)]
struct Swept {
    stats: Stats,
    failures: Vec<Failure>,
}

/// Runs all seeds. Which thread runs which makes no difference to any of them.
fn sweep(seeds: &[u64], plan: impl Fn(u64) -> Plan + Sync, guests: &Guests) -> Swept {
    let next = AtomicUsize::new(0);
    let swept = Mutex::new(Swept::default());
    let work = || {
        let options = Options { guests: guests.clone(), ..Options::default() };
        while let Some(&seed) = seeds.get(next.fetch_add(1, Ordering::Relaxed)) {
            let ran = run_plan(&plan(seed), &options);
            let mut swept = swept.lock().expect("nobody panics while holding it");
            match ran {
                Ok(report) => swept.stats.add(&report.stats),
                Err(failure) => swept.failures.push(*failure),
            }
        }
    };
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    thread::scope(|scope| {
        for _ in 0..cores.min(seeds.len()) {
            scope.spawn(work);
        }
    });
    swept.into_inner().expect("nobody panicked while holding it")
}

/// `failures` in cargo's target folder, if this program lies in one.
fn default_folder() -> PathBuf {
    let program = std::env::current_exe().unwrap_or_default();
    let target = program.ancestors().find(|folder| folder.join("CACHEDIR.TAG").exists());
    target.unwrap_or_else(|| Path::new("target")).join("failures")
}
