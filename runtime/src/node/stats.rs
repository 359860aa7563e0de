//! What a group and a node count, always: read by handles, status and metrics, from any thread.
//!
//! Plain atomics without an order between them: each number is right, two of them need not be of the
//! same moment.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use synod_core::{Instance, Role, Status};

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, n: u64) {
        self.0.fetch_add(n, Relaxed);
    }

    pub(crate) fn load(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// A number that is set.
#[derive(Debug, Default)]
pub(crate) struct Gauge(AtomicU64);

impl Gauge {
    pub(crate) fn set(&self, n: u64) {
        self.0.store(n, Relaxed);
    }

    pub(crate) fn load(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// How long something took, counted by powers of two: bucket `i` holds what took less than
/// [`bound`](Self::bound)`(i)`, and the last one the rest.
#[derive(Debug, Default)]
pub(crate) struct Durations {
    buckets: [AtomicU64; Self::BUCKETS],
    nanos: AtomicU64,
}

impl Durations {
    pub(crate) const BUCKETS: usize = 20;

    pub(crate) fn record(&self, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let bits = u64::BITS - (nanos >> FIRST_BITS).leading_zeros();
        let bucket = usize::try_from(bits).unwrap_or(usize::MAX).min(Self::BUCKETS - 1);
        self.buckets[bucket].fetch_add(1, Relaxed);
        self.nanos.fetch_add(nanos, Relaxed);
    }

    /// What bucket `i` stays below; none for the last.
    pub(crate) fn bound(i: usize) -> Option<Duration> {
        let bits = FIRST_BITS + u32::try_from(i).ok()?;
        (i + 1 < Self::BUCKETS).then(|| Duration::from_nanos(1 << bits))
    }

    /// How many in each bucket.
    pub(crate) fn counts(&self) -> [u64; Self::BUCKETS] {
        std::array::from_fn(|i| self.buckets[i].load(Relaxed))
    }

    pub(crate) fn sum(&self) -> Duration {
        Duration::from_nanos(self.nanos.load(Relaxed))
    }
}

/// The first bucket ends at 2^15 ns, 33 µs; the last but one at 8.6 s.
const FIRST_BITS: u32 = 15;

/// What one group counts on this node.
#[derive(Debug, Default)]
pub(crate) struct GroupStats {
    pub(crate) chosen: Gauge,
    pub(crate) cleaned: Gauge,
    pub(crate) applied: Gauge,
    pub(crate) handed_out: Gauge,
    /// The node that leads; 0 if none is known.
    pub(crate) leader: Gauge,
    /// The round of the leader's ballot.
    pub(crate) round: Gauge,
    /// 1 while this node leads.
    pub(crate) leads: Gauge,
    /// 1 once the group has stopped here.
    pub(crate) failed: Gauge,
    pub(crate) window: Gauge,
    pub(crate) queued: Gauge,
    pub(crate) proposals: Gauge,
    pub(crate) writes_in_flight: Gauge,
    /// Proposals taken here, and their bytes.
    pub(crate) proposed: Counter,
    pub(crate) proposed_bytes: Counter,
    /// Proposals refused before they were taken.
    pub(crate) refused: Counter,
    /// Proposals that ended without an outcome that is known.
    pub(crate) unknown: Counter,
    /// From the call to the answer, of those that were executed.
    pub(crate) commit: Durations,
    pub(crate) reads: Counter,
    pub(crate) reads_failed: Counter,
    /// How often this node began to lead, or ran phase 1.
    pub(crate) led: Counter,
    pub(crate) prepared: Counter,
    pub(crate) leader_changes: Counter,
    pub(crate) received: Counter,
    pub(crate) sent: Counter,
    pub(crate) values_lost: Counter,
    /// A quorum had the digests of this node there.
    pub(crate) digests_agreed: Gauge,
    /// How often a peer had another digest.
    pub(crate) digests_differ: Counter,
    /// 1 once the log or the state is found not to be that of a majority.
    pub(crate) diverged: Gauge,
}

impl GroupStats {
    /// Takes over what the core shows.
    pub(crate) fn take(&self, status: &Status, applied: Instance) {
        self.chosen.set(status.chosen.0);
        self.cleaned.set(status.cleaned.0);
        self.applied.set(applied.0);
        self.handed_out.set(status.handed_out.0);
        self.digests_agreed.set(status.digests_agreed.0);
        let differs = status.diverged.or(status.log_differs);
        self.diverged.set(u64::from(differs.is_some()));
        self.leader.set(status.leader.node.0);
        self.round.set(status.leader.round);
        self.leads.set(u64::from(status.role == Role::Leader));
        let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        self.window.set(count(status.window));
        self.queued.set(count(status.queued));
        self.proposals.set(count(status.proposals));
        self.writes_in_flight.set(status.writes_in_flight);
    }

    pub(crate) fn chosen_up_to(&self) -> Instance {
        Instance(self.chosen.load())
    }

    pub(crate) fn cleaned_up_to(&self) -> Instance {
        Instance(self.cleaned.load())
    }
}

/// What a node counts beside its groups.
#[derive(Debug, Default)]
pub(crate) struct NodeStats {
    /// One write and one sync of the log.
    pub(crate) sync: Durations,
    /// Bytes of values written to the log.
    pub(crate) written_bytes: Counter,
    /// Batches of records written to the log.
    pub(crate) written_batches: Counter,
    /// Bytes that the log can take before it needs more space.
    pub(crate) log_has_room: Gauge,
    /// Notes that one turn of the driver took, the last time.
    pub(crate) inbox: Gauge,
    /// Turns of the driver.
    pub(crate) turns: Counter,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_counted_below_their_bound() {
        let durations = Durations::default();
        for nanos in [0, 32_767, 32_768, 65_535, 65_536, u64::MAX] {
            durations.record(Duration::from_nanos(nanos));
        }
        let counts = durations.counts();
        assert_eq!(&counts[..4], [2, 2, 1, 0]);
        assert_eq!(counts[Durations::BUCKETS - 1], 1, "what is longer than all bounds");
        assert_eq!(Durations::bound(0), Some(Duration::from_nanos(32_768)));
        assert_eq!(Durations::bound(1), Some(Duration::from_nanos(65_536)));
        assert_eq!(Durations::bound(Durations::BUCKETS - 1), None);
    }
}
