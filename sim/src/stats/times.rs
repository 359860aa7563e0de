//! How long something took over many runs, in integers.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::rng::{to_index, to_u64};

/// A histogram of times, each measured in thousandths of its run's election timeout: timeouts differ
/// from run to run, and what a time is worth depends on them.
///
/// Sixteen buckets for each doubling, so that a percentile is right to a sixteenth.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Times {
    counts: Vec<u64>,
    total: u64,
    max: u64,
}

/// Buckets of each doubling.
const STEPS: u64 = 16;

impl Times {
    /// Counts a time.
    pub fn add(&mut self, took: Duration, election: Duration) {
        let thousandths = took.as_nanos() * 1_000 / election.as_nanos().max(1);
        let value = u64::try_from(thousandths).unwrap_or(u64::MAX);
        let bucket = to_index(bucket(value));
        if self.counts.len() <= bucket {
            self.counts.resize(bucket + 1, 0);
        }
        self.counts[bucket] += 1;
        self.total += 1;
        self.max = self.max.max(value);
    }

    /// Counts those of another histogram.
    pub fn merge(&mut self, other: &Self) {
        if self.counts.len() < other.counts.len() {
            self.counts.resize(other.counts.len(), 0);
        }
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.total += other.total;
        self.max = self.max.max(other.max);
    }

    /// How many were counted.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.total
    }

    /// The least time that so many out of a thousand do not exceed, to the end of its bucket.
    #[must_use]
    pub fn permille(&self, permille: u64) -> u64 {
        let wanted = (self.total * permille).div_ceil(1_000).max(1);
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return end(to_u64(bucket)).min(self.max);
            }
        }
        self.max
    }
}

/// Which bucket counts a value: below sixteen one each, then sixteen for each doubling.
fn bucket(value: u64) -> u64 {
    let doublings = value.max(1).ilog2().saturating_sub(STEPS.ilog2());
    u64::from(doublings) * STEPS + (value >> doublings)
}

/// The largest value of a bucket.
fn end(bucket: u64) -> u64 {
    let doublings = (bucket / STEPS).saturating_sub(1);
    let step = bucket - doublings * STEPS;
    ((step + 1) << doublings) - 1
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let show = |value: u64| format!("{}.{:02}", value / 1_000, value % 1_000 / 10);
        for permille in [500, 900, 990, 999] {
            write!(f, " {:>7}", show(self.permille(permille)))?;
        }
        write!(f, " {:>7}", show(self.max))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_fall_into_buckets_that_end_above_them() {
        let mut last = 0;
        for value in 0..10_000 {
            let bucket = bucket(value);
            assert!(bucket == last || bucket == last + 1, "{value}");
            assert!(end(bucket) >= value && end(bucket) <= value + value / 16, "{value}");
            last = bucket;
        }
    }

    #[test]
    fn percentiles_of_many_runs_add_up() {
        let election = Duration::from_millis(10);
        let (mut one, mut other) = (Times::default(), Times::default());
        for millis in 1..=100 {
            let times = if millis % 2 == 0 { &mut one } else { &mut other };
            times.add(Duration::from_millis(millis), election);
        }
        one.merge(&other);
        assert_eq!(one.total(), 100);
        assert!((5_000..5_400).contains(&one.permille(500)), "{}", one.permille(500));
        assert_eq!(one.permille(1_000), 10_000);
        assert_eq!(Times::default().permille(500), 0);
    }
}
