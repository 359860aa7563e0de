//! Whole clusters in the simulator: which faults, when, and what clients ask.
//!
//! An input is the text of a plan, so the files of `tests/regressions` are inputs, and an input that
//! fails can be replayed, shrunk and looked at like any other plan:
//!
//! ```text
//! synod-sim replay fuzz/artifacts/schedule/crash-…
//! ```
//!
//! Flipping bytes of such a text gets nowhere. [`mutate`] changes one thing of the plan instead; what
//! the fuzzer adds is coverage: it keeps the plans that bring the code somewhere new.

use synod_sim::rng::Rng;
use synod_sim::{About, Options, Plan, PlanFile, Preset, run_plan};

/// Runs the plan that the bytes are, if they are one.
///
/// # Panics
///
/// If it breaks a rule.
pub fn run(data: &[u8]) {
    let Some(plan) = plan(data) else { return };
    if plan.entries() > ENTRIES_MAX {
        return;
    }
    if let Err(failure) = run_plan(&plan, &Options::default()) {
        panic!("{failure}");
    }
}

/// Another input, a little different from this one, of at most `size_max` bytes. What is no plan
/// becomes one.
#[must_use]
pub fn mutate(data: &[u8], size_max: usize, seed: u64) -> Vec<u8> {
    let mut rng = Rng::stream(seed, "mutate");
    let mut plan = plan(data).unwrap_or_else(|| {
        let mut plan = Plan::draw(seed, Preset::Swarm);
        plan.faults.truncate(8);
        plan.requests.truncate(16);
        plan
    });
    let mut entries_max = ENTRIES_MAX;
    for _ in 0..=rng.below(3) {
        plan.vary(&mut rng, entries_max);
    }
    loop {
        let file = PlanFile { about: About::default(), plan: plan.clone() };
        let text = file.text().into_bytes();
        if text.len() <= size_max || entries_max == 0 {
            return text;
        }
        entries_max = plan.entries() / 2;
        plan.vary(&mut rng, entries_max);
    }
}

fn plan(data: &[u8]) -> Option<Plan> {
    PlanFile::parse(std::str::from_utf8(data).ok()?).ok().map(|file| file.plan)
}

/// Larger plans are too slow to search among.
const ENTRIES_MAX: usize = 60;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mutants_are_plans_that_run() {
        let mut data = Vec::new();
        for seed in 0..50 {
            data = mutate(&data, 1 << 16, seed);
            assert!(plan(&data).is_some());
            run(&data);
        }
        assert!(mutate(&data, 3_000, 1).len() <= 3_000);
        run(b"nothing");
    }
}
