//! Clocks: what a node takes for the time.
//!
//! Everything inside a process goes by its machine's clock: each step of a group, each deadline. The
//! world, the network and the rules go by true time. A clock begins anywhere, runs a little fast or
//! slow, may change its rate, may stand still while its virtual machine does, and begins anew when
//! the machine loses power; it never goes back while a process lives. Integers only.
//!
//! There are no jumps of wall time here since nothing could see one: core, log and state machines
//! take no other time than this.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use synod_core::Time;

use crate::plan::text;
use crate::rng::{Rng, mix, scale};

/// How a clock differs from true time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Skew {
    /// What it shows at the start of the run; what it shows when its machine starts again after a
    /// power loss is anything below this.
    #[serde(with = "text::duration")]
    pub offset: Duration,
    /// How much faster than true time it runs, in millionths; slower if negative.
    pub ppm: i32,
}

impl Skew {
    /// A skew, beyond what any bound on clocks would allow if `is_wild`.
    #[must_use]
    pub fn draw(rng: &mut Rng, is_wild: bool) -> Self {
        let offset = Duration::from_nanos(rng.spread(1, OFFSET_MAX_NANOS));
        Self { offset, ppm: rate(rng, is_wild) }
    }
}

/// A rate: within [`DRIFT_MAX_PPM`], often at one of its ends, or far beyond it.
pub(crate) fn rate(rng: &mut Rng, is_wild: bool) -> i32 {
    let most = if is_wild { WILD_MAX_PPM } else { DRIFT_MAX_PPM };
    let within = i64::try_from(rng.below(u64::from(most) * 2 + 1)).expect("a few millions");
    let even = i32::try_from(within - i64::from(most)).expect("a few millions");
    let most = i32::try_from(most).expect("below a million");
    rng.pick(&[-most, most, even, even])
}

/// One machine's clock.
#[derive(Clone, Debug)]
pub struct Clock {
    skew: Skew,
    /// It showed `read` at `since`, and runs at `rate` from then on.
    since: Time,
    read: Time,
    /// In millionths of true time.
    rate: u32,
    boots: u64,
}

impl Clock {
    /// A clock at the start of the run.
    #[must_use]
    pub fn new(skew: Skew) -> Self {
        let read = Time::ZERO + skew.offset;
        Self { skew, since: Time::ZERO, read, rate: rate_of(skew.ppm), boots: 0 }
    }

    /// What it shows at a true time.
    #[must_use]
    pub fn local(&self, now: Time) -> Time {
        let passed = now.since(self.since);
        if self.rate == MILLION {
            return self.read + passed;
        }
        self.read + times(passed, self.rate, MILLION, 0)
    }

    /// The true time at which it first shows `local` or more, if its rate stays what it is.
    #[must_use]
    pub fn when(&self, local: Time) -> Time {
        let ahead = local.since(self.read);
        if self.rate == MILLION {
            return self.since + ahead;
        }
        self.since + times(ahead, MILLION, self.rate, u128::from(self.rate) - 1)
    }

    /// Runs at another rate from now on.
    pub fn run_at(&mut self, ppm: i32, now: Time) {
        self.read = self.local(now);
        self.since = self.since.max(now);
        self.rate = rate_of(ppm);
    }

    /// Runs within the bound of what a good clock may do from now on, power losses or not.
    pub fn mend(&mut self, now: Time) {
        self.read = self.local(now);
        self.since = now;
        let most = i32::try_from(DRIFT_MAX_PPM).expect("below a million");
        self.skew.ppm = self.skew.ppm.clamp(-most, most);
        self.rate = rate_of(self.skew.ppm);
    }

    /// Runs again as it did at first.
    pub fn recover(&mut self, now: Time) {
        self.run_at(self.skew.ppm, now);
    }

    /// Stands still until then.
    pub fn stop_until(&mut self, until: Time, now: Time) {
        self.read = self.local(now);
        self.since = self.since.max(until);
    }

    /// The machine lost power: its clock begins anew, anywhere.
    pub fn reboot(&mut self, now: Time) {
        if self.skew == Skew::default() {
            return;
        }
        self.boots += 1;
        let offset = u64::try_from(self.skew.offset.as_nanos()).unwrap_or(u64::MAX);
        self.read = Time::from_nanos(scale(mix(offset ^ mix(self.boots)), offset));
        self.since = now;
        self.rate = rate_of(self.skew.ppm);
    }
}

/// A rate in millionths of true time; no clock stands still by its rate.
fn rate_of(ppm: i32) -> u32 {
    MILLION.saturating_add_signed(ppm).max(1_000)
}

/// `duration * by / over`, after adding `round` above the line.
fn times(duration: Duration, by: u32, over: u32, round: u128) -> Duration {
    let nanos = (duration.as_nanos() * u128::from(by) + round) / u128::from(over);
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

const MILLION: u32 = 1_000_000;

/// What a good clock may be off by, in millionths: twice what time services correct at most.
pub const DRIFT_MAX_PPM: u32 = 1_000;

/// What a broken one is off by at most: half as fast again, or half as fast.
pub const WILD_MAX_PPM: u32 = 500_000;

/// Ten years.
const OFFSET_MAX_NANOS: u64 = 315_360_000_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn clocks() -> Vec<Clock> {
        let mut rng = Rng::stream(1, "clocks");
        (0..200).map(|n| Clock::new(Skew::draw(&mut rng, n % 2 == 0))).collect()
    }

    #[test]
    fn a_deadline_is_never_early_and_at_most_a_tick_late() {
        let mut rng = Rng::stream(1, "deadlines");
        for clock in clocks() {
            let start = clock.local(Time::ZERO);
            let deadline = start + Duration::from_nanos(rng.spread(1, 10_000_000_000));
            let when = clock.when(deadline);
            assert!(clock.local(when) >= deadline, "{clock:?}");
            let before = when - Duration::from_nanos(1);
            assert!(clock.local(before) < deadline, "{clock:?}");
        }
    }

    #[test]
    fn a_clock_never_goes_back_whatever_happens_to_it() {
        let mut rng = Rng::stream(1, "changes");
        for mut clock in clocks() {
            let mut now = Time::ZERO;
            let mut last = clock.local(now);
            for _ in 0..50 {
                now = now + Duration::from_nanos(rng.spread(1, 100_000_000));
                match rng.below(4) {
                    0 => clock.run_at(rate(&mut rng, true), now),
                    1 => clock.stop_until(now + Duration::from_millis(rng.below(90)), now),
                    2 => clock.recover(now),
                    _ => clock.mend(now),
                }
                assert!(clock.local(now) >= last);
                last = clock.local(now);
                assert!(clock.local(clock.when(last)) >= last);
            }
        }
    }

    #[test]
    fn a_clock_that_stands_still_goes_on_from_there() {
        let mut clock = Clock::new(Skew { offset: Duration::from_secs(5), ppm: 0 });
        clock.stop_until(Time::from_millis(300), Time::from_millis(100));
        for (at, shows) in [(100, 5_100), (200, 5_100), (300, 5_100), (400, 5_200)] {
            assert_eq!(clock.local(Time::from_millis(at)), Time::from_millis(shows));
        }
        assert_eq!(clock.when(Time::from_millis(5_200)), Time::from_millis(400));
        assert_eq!(clock.when(Time::from_millis(5_000)), Time::from_millis(300));
    }

    #[test]
    fn a_mended_clock_stays_good_after_a_power_loss() {
        let mut clock = Clock::new(Skew { offset: Duration::from_secs(5), ppm: 500_000 });
        clock.mend(Time::from_millis(10));
        clock.reboot(Time::from_millis(20));
        let start = clock.local(Time::from_millis(20));
        let passed = clock.local(Time::from_millis(1_020)).since(start);
        assert_eq!(passed, Duration::from_millis(1_001));
    }

    #[test]
    fn a_good_clock_shows_true_time() {
        let mut clock = Clock::new(Skew::default());
        clock.reboot(Time::from_millis(3));
        assert_eq!(clock.local(Time::from_millis(7)), Time::from_millis(7));
        assert_eq!(clock.when(Time::MAX), Time::MAX);
    }
}
