//! Which proposals are taken: no more than the group can finish soon.
//!
//! A queue that stands makes everybody late and nobody faster. So what is measured is how long
//! proposals take here, from the call to the answer, whatever they wait for on the way: the leader,
//! a disk, the state machine. Every [`INTERVAL`], if even the quickest of them took longer than the
//! quickest ever does by more than the target, a queue is standing (as in CoDel), and fewer may be
//! under way: as many as pass in the time that they should take (Little's law), at least half as many
//! as before. If the limit was reached without that, more may be. Refusing costs one lock and no
//! message, so that a flood of proposals takes little from those that are taken.
//!
//! How long the quickest takes is forgotten after a while, since it changes with the disk, and when
//! another node leads. So every [`FLOOR_TIME`] a part of the limit is held back for a moment, to see it
//! again without a queue.
//!
//! No clock in here: time is an argument.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

/// How a group protects itself from more proposals than it can finish; part of
/// [`Settings`](crate::Settings).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Overload {
    /// Whether the number of proposals under way adapts to how long they take. Default true.
    pub adaptive: bool,
    /// How much longer than without a queue proposals may take. Default 25 ms. Shorter keeps answers
    /// quick, longer rides out bursts. It is held for the group that has most under way; one that
    /// has less than the average of the node's groups goes up to twice this, so that a loud group
    /// gives way first.
    pub delay_target: Duration,
    /// Proposals under way at this node in this group, at most. Default `Config::proposals_max`.
    pub proposals_max: usize,
    /// Bytes of those. Default `Config::proposal_bytes_max`; one always fits.
    pub bytes_max: usize,
}

/// What all groups of a node have under way. Above the limits a group is refused only what is more
/// than its share, so that a loud group does not silence the others.
#[derive(Debug)]
pub(super) struct Pool {
    proposals: AtomicUsize,
    bytes: AtomicUsize,
    /// Groups with something under way.
    active: AtomicUsize,
    proposals_max: usize,
    bytes_max: usize,
}

impl Pool {
    pub(super) const fn new(proposals_max: usize, bytes_max: usize) -> Self {
        Self {
            proposals: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            active: AtomicUsize::new(0),
            proposals_max,
            bytes_max,
        }
    }

    /// Whether a group that has so much may have so much.
    fn has_room(&self, proposals: usize, bytes: usize, more: usize) -> bool {
        let active = self.active.load(Relaxed).max(1);
        let count = self.proposals.load(Relaxed) < self.proposals_max
            || proposals < self.proposals_max / active;
        let size = self.bytes.load(Relaxed).saturating_add(more) <= self.bytes_max
            || bytes.saturating_add(more) <= self.bytes_max / active;
        count && size
    }
}

impl Default for Pool {
    fn default() -> Self {
        Self::new(NODE_PROPOSALS_MAX, NODE_BYTES_MAX)
    }
}

/// How a proposal that was taken has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// After so long: executed, or given up.
    After(Duration),
    /// Refused by a queue further on, which says that too many are under way.
    Refused,
    /// For reasons that say nothing about queues.
    Otherwise,
}

/// What one group has under way, and how much it may.
#[derive(Debug)]
pub(super) struct Admission {
    settings: Overload,
    limit: usize,
    proposals: usize,
    bytes: usize,
    interval: Interval,
    /// The quickest of this stretch of time and of the one before.
    floors: [Duration; 2],
    floor_until: Duration,
    /// Until then a part of the limit is held back, to see the floor.
    draining_until: Duration,
    /// What the last interval suggests to those who are refused.
    retry_after: Duration,
}

/// What has happened since `begun`.
#[derive(Debug)]
struct Interval {
    begun: Duration,
    quickest: Duration,
    done: usize,
    refused: usize,
    refused_further_on: bool,
    most: usize,
}

impl Interval {
    const fn new(begun: Duration) -> Self {
        Self {
            begun,
            quickest: Duration::MAX,
            done: 0,
            refused: 0,
            refused_further_on: false,
            most: 0,
        }
    }
}

impl Admission {
    pub(super) fn new(settings: Overload) -> Self {
        Self {
            limit: LIMIT_FIRST.min(settings.proposals_max),
            settings,
            proposals: 0,
            bytes: 0,
            interval: Interval::new(Duration::ZERO),
            floors: [Duration::MAX; 2],
            floor_until: FLOOR_TIME,
            draining_until: Duration::ZERO,
            retry_after: RETRY_MIN,
        }
    }

    /// Changes the settings; what is under way stays.
    pub(super) fn set(&mut self, settings: Overload) {
        if settings.proposals_max > self.settings.proposals_max {
            self.limit = self.limit.max(LIMIT_FIRST); // what was learned was learned below
        }
        self.limit = self.limit.min(settings.proposals_max);
        self.settings = settings;
    }

    /// Takes a proposal of so many bytes.
    ///
    /// # Errors
    ///
    /// How long to wait before it is worth trying again.
    pub(super) fn admit(
        &mut self,
        now: Duration,
        bytes: usize,
        pool: &Pool,
    ) -> Result<(), Duration> {
        let full = self.proposals >= self.limit_now(now)
            || self.bytes.saturating_add(bytes) > self.settings.bytes_max
            || !pool.has_room(self.proposals, self.bytes, bytes);
        if full && self.proposals > 0 {
            self.interval.refused += 1;
            return Err(self.retry_after);
        }
        if self.proposals == 0 {
            pool.active.fetch_add(1, Relaxed);
        }
        self.proposals += 1;
        self.bytes += bytes;
        pool.proposals.fetch_add(1, Relaxed);
        pool.bytes.fetch_add(bytes, Relaxed);
        self.interval.most = self.interval.most.max(self.proposals);
        Ok(())
    }

    /// A proposal that was taken has ended.
    pub(super) fn done(&mut self, now: Duration, bytes: usize, ended: Ended, pool: &Pool) {
        self.proposals -= 1;
        self.bytes -= bytes;
        pool.proposals.fetch_sub(1, Relaxed);
        pool.bytes.fetch_sub(bytes, Relaxed);
        if self.proposals == 0 {
            pool.active.fetch_sub(1, Relaxed);
        }
        match ended {
            Ended::After(took) => {
                self.interval.done += 1;
                self.interval.quickest = self.interval.quickest.min(took);
                self.floors[0] = self.floors[0].min(took);
            }
            Ended::Refused => self.interval.refused_further_on = true,
            Ended::Otherwise => {}
        }
        let enough = self.interval.done > 0 || self.interval.refused_further_on;
        if enough && now >= self.interval.begun + INTERVAL {
            self.adapt(now, pool);
        }
    }

    /// Another node leads: how long the quickest takes has to be learned anew.
    pub(super) fn moved(&mut self, now: Duration) {
        self.floors = [Duration::MAX; 2];
        self.floor_until = now + INTERVAL * 10;
        self.interval.quickest = Duration::MAX;
        self.interval.done = 0;
    }

    /// How long to wait before it is worth trying again.
    pub(super) const fn retry_after(&self) -> Duration {
        self.retry_after
    }

    /// How many may be under way now.
    fn limit_now(&self, now: Duration) -> usize {
        if !self.settings.adaptive {
            return self.settings.proposals_max;
        }
        let draining = now < self.draining_until;
        let limit = if draining { (self.limit / 4).max(LIMIT_MIN) } else { self.limit };
        limit.min(self.settings.proposals_max)
    }

    fn adapt(&mut self, now: Duration, pool: &Pool) {
        let interval = std::mem::replace(&mut self.interval, Interval::new(now));
        self.interval.most = self.proposals;
        let floor = self.floors[0].min(self.floors[1]);
        // Groups share disks and threads. Whoever has less under way than the average lets the others
        // give way first.
        let share = pool.proposals.load(Relaxed) / pool.active.load(Relaxed).max(1);
        let patience = if interval.most < share { 2 } else { 1 };
        let target = self.settings.delay_target * patience;
        let quickest = if interval.done > 0 { interval.quickest } else { floor };
        let delay = quickest.saturating_sub(floor);
        if interval.refused_further_on || delay > target {
            let reached = self.limit.min(interval.most).max(LIMIT_MIN);
            let fit = if delay > target {
                scaled(reached, floor.saturating_add(target), quickest)
            } else {
                reached
            };
            self.limit = fit.clamp(reached / 2, reached - reached / 16).max(LIMIT_MIN);
            // So few make no queue: the way itself has become longer.
            if reached <= LIMIT_MIN * 2 && interval.done > 0 {
                self.floors = [interval.quickest, Duration::MAX];
            }
        } else if interval.most >= self.limit && now >= self.draining_until {
            let part = if delay < target / 2 { 4 } else { 32 };
            let more = self.limit + (self.limit / part).max(1);
            self.limit = more.min(self.settings.proposals_max);
        }
        // If all who were refused wait that long, about as many come as can be taken.
        let waits = quickest.min(RETRY_MAX).saturating_mul(
            u32::try_from(1 + interval.refused / interval.done.max(1)).unwrap_or(u32::MAX),
        );
        self.retry_after = waits.clamp(RETRY_MIN, RETRY_MAX);
        if now >= self.floor_until {
            self.floors = [Duration::MAX, self.floors[0]];
            self.floor_until = now + FLOOR_TIME;
            // Only if it is not seen anyway.
            if interval.most >= self.limit {
                self.draining_until = now + INTERVAL;
            }
        }
    }

    #[cfg(test)]
    const fn limit(&self) -> usize {
        self.limit
    }
}

/// `n · to / of`.
fn scaled(n: usize, to: Duration, of: Duration) -> usize {
    let n = u128::try_from(n).unwrap_or(u128::MAX);
    let scaled = n.saturating_mul(to.as_nanos()) / of.as_nanos().max(1);
    usize::try_from(scaled).unwrap_or(usize::MAX)
}

/// How often the limit adapts.
const INTERVAL: Duration = Duration::from_millis(100);
/// How long it is remembered how quick the quickest was; twice that at most.
const FLOOR_TIME: Duration = Duration::from_secs(10);
/// So many may be under way before anything is known.
const LIMIT_FIRST: usize = 4096;
/// So many always may.
const LIMIT_MIN: usize = 8;
const RETRY_MIN: Duration = Duration::from_millis(1);
const RETRY_MAX: Duration = Duration::from_secs(2);
/// Proposals under way in all groups of a node together, below what its inbox takes.
const NODE_PROPOSALS_MAX: usize = 48 * 1024;
/// Bytes of those.
const NODE_BYTES_MAX: usize = 512 * 1024 * 1024;

#[cfg(test)]
mod tests;
