//! The node's clock: boot time, so that a host that slept knows that it did.

use rustix::time::{ClockId, clock_gettime};
use synod_core::Time;

/// Gives the time since this clock was made, counting time spent suspended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    origin: u64,
}

impl Clock {
    /// A clock that starts at [`Time::ZERO`] now.
    pub(crate) fn start() -> Self {
        Self { origin: boot_nanos() }
    }

    /// The time now. Never goes back.
    pub(crate) fn now(self) -> Time {
        Time::from_nanos(boot_nanos().saturating_sub(self.origin))
    }
}

fn boot_nanos() -> u64 {
    #[cfg(target_os = "linux")]
    let now = clock_gettime(ClockId::Boottime);
    #[cfg(not(target_os = "linux"))]
    let now = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(now.tv_nsec).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_starts_near_zero_and_never_goes_back() {
        let clock = Clock::start();
        let mut last = clock.now();
        assert!(last < Time::from_millis(10_000), "{last}");
        for _ in 0..1000 {
            let now = clock.now();
            assert!(now >= last, "{now} after {last}");
            last = now;
        }
    }
}
