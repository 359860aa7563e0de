//! Packets for the tests: one or more named samples of every kind, and strategies for arbitrary
//! ones.
#![expect(dead_code, reason = "each test binary uses its part")]

pub(crate) mod arbitrary;
pub(crate) mod samples;
