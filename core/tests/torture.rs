//! Short random lives of small clusters: every message may be lost, repeated or late, disks finish
//! when they like, processes and machines crash; then the faults end and everything must finish.
//!
//! `TORTURE=FIRST..END cargo test -p synod-core --release --test torture` runs other seeds;
//! with `TRACE=1` and `-- --nocapture` it prints every input and what came of it.

#![expect(clippy::unwrap_used, reason = "helpers of tests, too")]

mod support;

use std::panic::{AssertUnwindSafe, catch_unwind};

use support::world::World;

#[test]
fn random_lives_agree_and_come_to_rest() {
    let range = std::env::var("TORTURE").unwrap_or_else(|_| "0..2000".into());
    let (first, end) = range.split_once("..").expect("FIRST..END");
    let (first, end): (u64, u64) = (first.parse().unwrap(), end.parse().unwrap());
    let (mut failures, mut acknowledged) = (Vec::new(), 0);
    for seed in first..end {
        let run = catch_unwind(AssertUnwindSafe(|| life(seed)));
        match run {
            Ok(Ok(instances)) => {
                acknowledged += instances;
                continue;
            }
            Ok(Err(reason)) => println!("seed {seed}: {reason}"),
            Err(_) => println!("seed {seed} panicked"),
        }
        failures.push(seed);
        if failures.len() >= 20 {
            break;
        }
    }
    assert!(failures.is_empty(), "seeds {failures:?}; run one with TORTURE=N..N+1");
    assert!(acknowledged > 10 * (end - first), "{acknowledged} instances: nothing happens");
}

fn life(seed: u64) -> Result<u64, String> {
    let mut world = World::new(seed);
    for _ in 0..1500 {
        world.event();
    }
    world.settle()
}
