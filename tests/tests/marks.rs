//! The simulator gets into every rare situation that it should: a rule that was never in danger was
//! not tested.
//!
//! A failure here means that the code, the workload or the faults have changed so that a situation is
//! no longer met, or only seldom: look for it before you change its budget
//! (`sim/src/marks/reach.rs`). `synod-sim run --seeds 3000 --marks` checks the rarer ones.

use synod_sim::Preset;
use synod_sim::marks::{Table, overdue, table};
use synod_sim::sweep::Sweep;

/// What the marks that are met often have as their budget.
const SEEDS: u64 = 300;

/// Alone in its process: marks count for all threads of one.
#[test]
fn every_mark_is_met_within_its_budget() {
    let sweep = Sweep {
        preset: Preset::Mix,
        nodes: None,
        first: 0,
        step: 1,
        seeds: SEEDS,
        jobs: 2,
        is_going_on: false,
        twice_every: 0,
    };
    let swept = sweep.run(|| {});
    assert_eq!(swept.passed, SEEDS, "{:?}", swept.failures.values().next());
    let rows = table();
    let missing = overdue(&rows, SEEDS);
    assert!(missing.is_empty(), "{}", Table { rows: &rows, seeds: SEEDS });
    // A table without budgets passes, too.
    let due = rows.iter().filter(|row| row.reach.is_due(SEEDS)).count();
    assert!(due > 50, "only {due} marks are due");
}
