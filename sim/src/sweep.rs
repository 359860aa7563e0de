//! Many seeds, on several threads.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::guests::Guests;
use crate::plan::Preset;
use crate::run::{Failure, Options, run_seed};
use crate::stats::Stats;

/// Which seeds, and how.
#[derive(Clone, Copy, Debug)]
pub struct Sweep {
    /// What kind of plans the seeds stand for.
    pub preset: Preset,
    /// The first seed.
    pub first: u64,
    /// From one seed to the next.
    pub step: u64,
    /// How many.
    pub seeds: u64,
    /// On how many threads.
    pub jobs: usize,
    /// Go on after a failure.
    pub is_going_on: bool,
    /// Every so many seeds one is run twice, and must do the same again; 0 is never.
    pub twice_every: u64,
}

/// What came of many seeds.
#[derive(Debug)]
pub struct Swept {
    /// The counts of those that passed, together.
    pub stats: Stats,
    /// How many passed.
    pub passed: u64,
    /// How many of them were run twice.
    pub twice: u64,
    /// Those that did not, by seed.
    pub failures: BTreeMap<u64, Box<Failure>>,
    /// How long it took.
    pub took: Duration,
}

impl Sweep {
    /// Runs the seeds; `tick` hears of each that is done. Which thread runs which seed makes no
    /// difference to any of them.
    pub fn run(&self, tick: impl Fn() + Sync) -> Swept {
        self.run_with(&Guests::default(), tick)
    }

    /// Runs the seeds with a user's state machines in every group.
    pub fn run_with(&self, guests: &Guests, tick: impl Fn() + Sync) -> Swept {
        let began = Instant::now();
        let (next, stop) = (AtomicU64::new(0), AtomicBool::new(false));
        let swept = Mutex::new(Swept {
            stats: Stats::default(),
            passed: 0,
            twice: 0,
            failures: BTreeMap::new(),
            took: Duration::ZERO,
        });
        let work = || {
            let mut stats = Stats::default();
            let (mut passed, mut twice) = (0, 0);
            while !stop.load(Ordering::Relaxed) {
                let n = next.fetch_add(1, Ordering::Relaxed);
                if n >= self.seeds {
                    break;
                }
                let is_twice = self.twice_every > 0 && n.is_multiple_of(self.twice_every);
                let options = Options { preset: self.preset, is_twice, guests: guests.clone() };
                match run_seed(self.first + n * self.step, &options) {
                    Ok(report) => {
                        stats.add(&report.stats);
                        passed += 1;
                        twice += u64::from(is_twice);
                    }
                    Err(failure) => {
                        let mut swept = swept.lock().expect("nobody panics here");
                        swept.failures.insert(failure.plan.seed, failure);
                        stop.fetch_or(!self.is_going_on, Ordering::Relaxed);
                    }
                }
                tick();
            }
            let mut swept = swept.lock().expect("nobody panics here");
            swept.stats.add(&stats);
            swept.passed += passed;
            swept.twice += twice;
        };
        std::thread::scope(|scope| {
            for _ in 0..self.jobs.max(1) {
                scope.spawn(work);
            }
        });
        let mut swept = swept.into_inner().expect("nobody panics here");
        swept.took = began.elapsed();
        swept
    }
}
