//! What the tests of a whole group share: a disk, a state machine and seeded randomness, in memory.
#![allow(dead_code, unreachable_pub, reason = "each test uses its part of what they share")]
#![allow(clippy::allow_attributes, reason = "an expectation fails where everything is used")]

pub mod checks;
pub mod disk;
pub mod rng;
pub mod script;
pub mod show;
pub mod world;
