//! Times by clocks that are a little off: what leases allow for.

use core::time::Duration;

/// Less than a lease, by a clock that may run slow: what a holder may believe in.
pub(crate) fn shortened(lease: Duration, ppm: u32) -> Duration {
    lease.saturating_sub(margin(lease, ppm))
}

/// More than a lease, by a clock that may run fast: what others wait.
pub(crate) fn lengthened(lease: Duration, ppm: u32) -> Duration {
    lease.saturating_add(margin(lease, ppm))
}

/// A nanosecond more than the clocks may be off.
fn margin(lease: Duration, ppm: u32) -> Duration {
    let nanos = lease.as_nanos() * u128::from(ppm) / 1_000_000 + 1;
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}
