//! Disks that lie about syncs break agreement where they are trusted, and only there.
//!
//! No protocol can promise anything to nodes that rely on records which their disks forget without a
//! word. What can be promised is that nodes that take a new memory at every start, and so rely on
//! nothing, keep agreement under the very same faults, or refuse to vote.

use synod_sim::{Options, Plan, Preset, run_plan};

/// Every plan with lies runs twice.
const SEEDS: u64 = 40;

#[test]
fn lies_break_those_who_trust_and_nobody_else() {
    let options = Options::default();
    let mut broken = Vec::new();
    for seed in 0..SEEDS {
        let trusting = Plan::draw(seed, Preset::Trusting);
        if trusting.nodes < 3 {
            continue; // a lone node that took a new memory would be nobody's
        }
        let wary = Plan { is_rejoining: true, ..trusting.clone() };
        if let Err(failure) = run_plan(&trusting, &options) {
            broken.push(failure.violation.rule);
        }
        run_plan(&wary, &options).unwrap_or_else(|failure| panic!("wary, {failure}"));
    }
    assert!(!broken.is_empty(), "no lie was ever found out: is the preset still lying?");
}
