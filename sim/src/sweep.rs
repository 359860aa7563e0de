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
    /// How many nodes they have; if none, the seed decides.
    pub nodes: Option<usize>,
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
    /// The hash of each run, by seed, whether it passed or not.
    pub hashes: BTreeMap<u64, u64>,
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
        let Self { preset, nodes, .. } = *self;
        let (next, stop) = (AtomicU64::new(0), AtomicBool::new(false));
        let swept = Mutex::new(Swept {
            stats: Stats::default(),
            passed: 0,
            twice: 0,
            hashes: BTreeMap::new(),
            failures: BTreeMap::new(),
            took: Duration::ZERO,
        });
        let work = || {
            let (mut stats, mut hashes) = (Stats::default(), BTreeMap::new());
            let (mut passed, mut twice) = (0, 0);
            while !stop.load(Ordering::Relaxed) {
                let n = next.fetch_add(1, Ordering::Relaxed);
                if n >= self.seeds {
                    break;
                }
                let is_twice = self.twice_every > 0 && n.is_multiple_of(self.twice_every);
                let options = Options { preset, nodes, is_twice, guests: guests.clone() };
                let seed = self.first + n * self.step;
                match run_seed(seed, &options) {
                    Ok(report) => {
                        hashes.insert(seed, report.hash);
                        stats.add(&report.stats);
                        passed += 1;
                        twice += u64::from(is_twice);
                    }
                    Err(failure) => {
                        let mut swept = swept.lock().expect("nobody panics here");
                        swept.hashes.insert(seed, failure.hash);
                        swept.failures.insert(seed, failure);
                        stop.fetch_or(!self.is_going_on, Ordering::Relaxed);
                    }
                }
                tick();
            }
            let mut swept = swept.lock().expect("nobody panics here");
            swept.stats.add(&stats);
            swept.hashes.append(&mut hashes);
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

/// The hash of every run of these kinds, whether it passes or not: what another build, another
/// machine or another number of threads must come to as well.
#[must_use]
pub fn hashes(presets: &[Preset], first: u64, seeds: u64, jobs: usize) -> Vec<(Preset, u64, u64)> {
    let of_kind = |&preset: &Preset| {
        let sweep = Sweep {
            preset,
            nodes: None,
            first,
            step: 1,
            seeds,
            jobs,
            is_going_on: true,
            twice_every: 0,
        };
        let hashes = sweep.run(|| {}).hashes.into_iter();
        hashes.map(move |(seed, hash)| (preset, seed, hash))
    };
    presets.iter().flat_map(of_kind).collect()
}
