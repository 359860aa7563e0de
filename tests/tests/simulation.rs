//! A short simulation in every test run: whole clusters under faults, every rule watched.
//!
//! `synod-sim run` runs more of them, faster; `synod-sim replay SEED` shows one.

use synod_sim::sweep::Sweep;
use synod_sim::{Options, Preset, run_seed};

/// Not the seeds that `synod-sim run` begins with.
const FIRST: u64 = 1_000_000;

#[test]
fn six_hundred_seeds_break_no_rule() {
    let sweep = Sweep {
        preset: Preset::Mix,
        nodes: None,
        first: FIRST,
        step: 1,
        seeds: 600,
        jobs: 2,
        is_going_on: false,
        twice_every: 0,
    };
    let swept = sweep.run(|| {});
    if let Some(failure) = swept.failures.values().next() {
        panic!("{failure}\nto watch it: synod-sim replay {} --verbose", failure.plan.seed);
    }
    // A simulation in which nothing happens passes, too.
    let stats = &swept.stats;
    assert_eq!(swept.passed, 600);
    assert!(stats.chosen > 10_000, "{stats:?}");
    assert!(stats.acknowledged > 10_000, "{stats:?}");
    assert!(stats.reads > 5_000, "{stats:?}");
    assert!(stats.elections > 1_000, "{stats:?}");
    assert!(stats.searched > 1_000, "{stats:?}");
    assert!(stats.read_back > 100, "{stats:?}");
    assert!(stats.stopped > 100, "{stats:?}");
    assert_eq!(stats.faults.len(), 35, "{stats:?}");
    assert!(stats.damaged > 100, "{stats:?}");
    assert!(stats.given_up > 1_000, "{stats:?}");
}

#[test]
fn a_seed_does_the_same_every_time() {
    for seed in FIRST..FIRST + 30 {
        let report = run_seed(seed, &Options { is_twice: true, ..Options::default() });
        report.unwrap_or_else(|failure| panic!("{failure}"));
    }
}

#[test]
fn a_seed_does_the_same_in_any_company() {
    let seed = FIRST + 7;
    let alone = run_seed(seed, &Options::default()).expect("passes").hash;
    for other in FIRST..FIRST + 7 {
        run_seed(other, &Options::default()).expect("passes");
    }
    let after = std::thread::spawn(move || run_seed(seed, &Options::default()));
    assert_eq!(after.join().expect("no panic").expect("passes").hash, alone);
}
