//! Seeds that once broke a rule, and what it was.
//!
//! A plan that a seed stands for changes when the simulator does, so a seed may not lead to its bug
//! any more. The scenario scripts of the core keep the stories that are worth it.

use synod_sim::{Options, run_seed};

#[test]
fn seeds_that_failed_once_pass() {
    for (seed, was) in SEEDS {
        if let Err(failure) = run_seed(*seed, &Options::default()) {
            panic!("{failure}\nbefore that: {was}");
        }
    }
}

const SEEDS: &[(u64, &str)] = &[
    (135, "a command was refused from a second copy while the first was taken"),
    (382, "a command was refused from a second copy while the first was taken"),
    (638, "a learner without room for the answer asked again at once, for ever"),
    (956, "a learner without room for the answer asked again at once, for ever"),
    (417, "a late answer to an earlier process life served a stale read"),
    (1682, "a late answer to an earlier process life served a stale read"),
    (2669, "a late answer to an earlier process life served a stale read"),
    (1143, "a refused command was taken from a late copy, below its origin's low mark"),
    (5173, "a refused command was taken from a late copy by the next leadership"),
    (304, "a command that two leaderships had was refused by the second for ever"),
    (1444, "a command that two leaderships had was refused by the second for ever"),
    (17462, "phase 1 with more pages than round trips in its time began again for ever"),
    (30680, "phase 1 with more pages than round trips in its time began again for ever"),
    (42916, "phase 1 with more pages than round trips in its time began again for ever"),
    (14116, "a node that stopped in the middle of a write answered a request twice"),
    (48052, "a node that stopped in the middle of a write answered a request twice"),
    (315, "a prepare withheld by a stalled disk came out after its ballot was released"),
];
