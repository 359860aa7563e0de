//! What is wrong with a machine at present.

use std::time::Duration;

use synod_core::Time;

use super::Node;
use crate::faults::{Crash, Moment};

/// The faults that last, and those that wait for their moment; none by default.
#[derive(Clone, Debug, Default)]
pub(super) struct Mood {
    /// Multiplies the disk's times, if not zero.
    pub(super) disk_factor: u32,
    /// The disk finishes nothing before this.
    pub(super) stalled_until: Time,
    /// The disk finishes so many more syncs, and then nothing for so long.
    pub(super) stalls_after: Option<(u64, Duration)>,
    /// Reads of the log take so much longer.
    pub(super) read_delay: Duration,
    /// State machines take so much longer.
    pub(super) delay: Duration,
    /// Crash at the next moment of this kind.
    pub(super) armed: Option<(Moment, Crash, Duration)>,
    /// What the crash is like that the disk was told to bring about.
    pub(super) middle: Option<(Crash, Duration)>,
    /// The next sync fails, and the node stays down so long.
    pub(super) sync_fails: Option<Duration>,
    /// The power fails soon after the next start: the node stays down so long then.
    pub(super) power_after_start: Option<Duration>,
    /// It is about to crash, and nothing that it says is heard any more.
    pub(super) is_mute: bool,
    /// The last process was killed, and what it wrote may be in the page cache only.
    pub(super) has_cache: bool,
}

impl Mood {
    /// The disk is about to finish a sync, unless that is the first one too many.
    pub(super) fn stall(&mut self, now: Time) {
        match &mut self.stalls_after {
            Some((0, lasting)) => {
                self.stalled_until = self.stalled_until.max(now + *lasting);
                self.stalls_after = None;
            }
            Some((left, _)) if self.stalled_until <= now => *left -= 1,
            Some(_) | None => {}
        }
    }
}

impl Node {
    /// The disk finishes nothing before `until`.
    pub fn stall_disk(&mut self, until: Time) {
        self.machine.mood.stalled_until = self.machine.mood.stalled_until.max(until);
    }

    /// The disk finishes so many more syncs, and then nothing for so long.
    pub const fn stall_disk_after(&mut self, syncs: u64, lasting: Duration) {
        self.machine.mood.stalls_after = Some((syncs, lasting));
    }

    /// Whatever is read of the log takes so much longer.
    pub const fn slow_reads(&mut self, delay: Duration) {
        self.machine.mood.read_delay = delay;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_stalls_after_so_many_syncs() {
        let lasting = Duration::from_millis(50);
        let mut mood = Mood { stalls_after: Some((2, lasting)), ..Mood::default() };
        let at = Time::from_millis;
        for now in [1, 2] {
            mood.stall(at(now));
            assert!(mood.stalled_until <= at(now), "sync {now} is finished");
        }
        mood.stall(at(3));
        assert_eq!(mood.stalled_until, at(53));
        mood.stall(at(53));
        assert_eq!(mood.stalled_until, at(53), "it stalls once");
    }
}
