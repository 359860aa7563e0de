//! How fast a process gets round to what happens to it: at once, as a rule; slowly, or not at all for
//! a while.
//!
//! A process that is paused or slow finds what came meanwhile in the order in which it came: what
//! arrived in a pause is all there at once when it is over, as in the buffers of a machine.

use std::collections::VecDeque;
use std::time::Duration;

use synod_core::Time;

use crate::env::Event;

/// What a process has not got round to.
#[derive(Debug, Default)]
pub(super) struct Pace {
    waiting: VecDeque<Event>,
    /// It does nothing before.
    free: Time,
    /// How long it takes for each event.
    cost: Duration,
    /// Not even its disk does anything before: the whole machine stands still.
    frozen: Time,
}

impl Pace {
    /// Something happens to the process. Gives it back if that is now; else it waits, and if it is
    /// the first to wait, says until when.
    pub(super) fn take(&mut self, event: Event, now: Time) -> Result<Event, Option<Time>> {
        if self.waiting.is_empty() && self.free <= now {
            self.free = now + self.cost;
            return Ok(event);
        }
        self.waiting.push_back(event);
        Err((self.waiting.len() == 1).then_some(self.free))
    }

    /// What is next of what waits, if it is time, and when to ask again, if anything still waits.
    pub(super) fn turn(&mut self, now: Time) -> (Option<Event>, Option<Time>) {
        let event = if self.free <= now { self.waiting.pop_front() } else { None };
        if event.is_some() {
            self.free = now + self.cost;
        }
        (event, (!self.waiting.is_empty()).then_some(self.free))
    }

    /// The process does nothing before `until`, and nor does its disk if the machine is frozen.
    pub(super) fn pause(&mut self, until: Time, is_frozen: bool) {
        self.free = self.free.max(until);
        if is_frozen {
            self.frozen = self.frozen.max(until);
        }
    }

    /// From now on everything takes so long.
    pub(super) const fn slow(&mut self, cost: Duration) {
        self.cost = cost;
    }

    /// Whether the disk goes on.
    pub(super) fn disk_runs(&self, now: Time) -> bool {
        self.frozen <= now
    }

    /// By when the process has at the earliest done what it should have done until now; `None` if
    /// it has.
    pub(super) fn behind(&self, now: Time) -> Option<Time> {
        let is_behind = !self.waiting.is_empty() || self.free > now;
        is_behind.then(|| self.free.max(now + self.cost))
    }

    /// The process is gone, and what waited for it.
    pub(super) fn crash(&mut self) {
        self.waiting.clear();
        (self.free, self.frozen) = (Time::ZERO, Time::ZERO);
    }

    /// Nothing holds the process up any more. Says whether anything waits for it.
    pub(super) fn mend(&mut self) -> bool {
        (self.free, self.frozen, self.cost) = (Time::ZERO, Time::ZERO, Duration::ZERO);
        !self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Time {
        Time::from_millis(millis)
    }

    fn event(n: usize) -> Event {
        Event::Fault(n)
    }

    fn number(event: &Event) -> usize {
        let Event::Fault(n) = event else { unreachable!("no other was put in") };
        *n
    }

    #[test]
    fn what_comes_in_a_pause_is_there_at_once_when_it_is_over() {
        let mut pace = Pace::default();
        assert!(pace.take(event(0), at(0)).is_ok());
        pace.pause(at(10), false);
        assert!(pace.disk_runs(at(1)));
        assert_eq!(pace.take(event(1), at(1)).unwrap_err(), Some(at(10)));
        assert_eq!(pace.take(event(2), at(9)).unwrap_err(), None);
        assert_eq!(pace.behind(at(9)), Some(at(10)));
        assert!(matches!(pace.turn(at(9)), (None, Some(again)) if again == at(10)));
        let (first, again) = pace.turn(at(10));
        assert_eq!((first.as_ref().map(number), again), (Some(1), Some(at(10))));
        // What comes now does not overtake.
        assert_eq!(pace.take(event(3), at(10)).unwrap_err(), None);
        assert_eq!(pace.turn(at(10)).0.as_ref().map(number), Some(2));
        assert_eq!(pace.turn(at(10)).0.as_ref().map(number), Some(3));
        assert_eq!(pace.behind(at(10)), None);
        assert!(pace.take(event(4), at(10)).is_ok());
    }

    #[test]
    fn a_slow_process_takes_its_time_for_each() {
        let mut pace = Pace::default();
        pace.slow(Duration::from_millis(5));
        assert!(pace.take(event(0), at(0)).is_ok());
        assert_eq!(pace.take(event(1), at(1)).unwrap_err(), Some(at(5)));
        assert_eq!(pace.take(event(2), at(1)).unwrap_err(), None);
        let (event, again) = pace.turn(at(5));
        assert_eq!((event.as_ref().map(number), again), (Some(1), Some(at(10))));
        assert!(pace.mend());
        assert_eq!(pace.turn(at(6)).0.as_ref().map(number), Some(2));
    }

    #[test]
    fn a_frozen_machine_has_no_disk_and_a_crash_forgets_what_waited() {
        let mut pace = Pace::default();
        pace.pause(at(10), true);
        assert!(!pace.disk_runs(at(9)) && pace.disk_runs(at(10)));
        assert!(pace.take(event(1), at(1)).is_err());
        pace.crash();
        assert!(pace.disk_runs(at(2)) && pace.behind(at(2)).is_none());
        assert!(matches!(pace.turn(at(2)), (None, None)));
    }
}
