//! Groups that rest: what a node does less often while nobody uses a group.
//!
//! Two things make many idle groups cheap, and neither changes what the protocol says:
//!
//! - A leader whose group has had nothing to do for [`REST_AFTER`] is heard four times an election
//!   timeout instead of every heartbeat interval, until there is something to do. Followers wait for
//!   it as long as ever, and may miss three of its heartbeats.
//! - What is due in a while is due at a round time ([`round`]), so what different groups have to say
//!   leaves in one turn of the driver and one write to each peer. A late tick costs a little time and
//!   nothing else, and those that are due soon are left as they are.

use std::time::Duration;

use synod_core::{Message, Time, Tuning};

/// What is known about a group's rest.
#[derive(Debug)]
pub(super) struct Rest {
    /// The settings without a rest; none before the group runs.
    protocol: Option<Tuning>,
    /// When there was something to do last.
    busy: Time,
    resting: bool,
}

impl Rest {
    pub(super) const fn new() -> Self {
        Self { protocol: None, busy: Time::ZERO, resting: false }
    }

    /// The group runs with these settings from now on.
    pub(super) fn set(&mut self, now: Time, protocol: Tuning) {
        self.protocol = Some(protocol);
        self.resting = false;
        self.busy = now;
    }

    /// There is something to do.
    pub(super) const fn disturb(&mut self, now: Time) {
        self.busy = now;
    }

    /// The settings to change to, if the group falls asleep or wakes up now.
    ///
    /// On followers it makes no difference until they lead, which is something to do.
    pub(super) fn change(&mut self, now: Time) -> Option<Tuning> {
        let protocol = self.protocol.as_ref()?;
        let rests = now.since(self.busy) >= REST_AFTER;
        if rests == self.resting {
            return None;
        }
        self.resting = rests;
        let mut tuning = protocol.clone();
        if rests {
            let seldom = tuning.election_timeout / 4;
            tuning.heartbeat_interval = tuning.heartbeat_interval.max(seldom);
        }
        Some(tuning)
    }
}

/// Whether a message is one that a group without work exchanges too.
pub(super) const fn is_idle_talk(message: &Message) -> bool {
    matches!(message, Message::Heartbeat { .. } | Message::HeartbeatAck { .. })
}

/// When to wake up for what is due at `at`: at a round time soon after it, if that is a while from
/// now. At most an eighth of the wait later, and 25 ms.
pub(super) fn round(now: Time, at: Time) -> Time {
    let wait = at.since(now);
    let Some(&grain) = GRAINS.iter().find(|&&grain| wait >= grain * 8) else { return at };
    let grain = u64::try_from(grain.as_nanos()).unwrap_or(u64::MAX);
    let past = at.as_nanos() % grain;
    if past == 0 { at } else { at + Duration::from_nanos(grain - past) }
}

/// How long a leader has nothing to do before it is heard less often.
const REST_AFTER: Duration = Duration::from_secs(2);

const GRAINS: [Duration; 3] =
    [Duration::from_millis(25), Duration::from_millis(10), Duration::from_millis(5)];

#[cfg(test)]
mod tests {
    use super::*;
    use synod_core::Config;

    const fn at(millis: u64) -> Time {
        Time::from_millis(millis)
    }

    #[test]
    fn what_is_due_soon_is_not_put_off() {
        assert_eq!(round(at(1000), at(1002)), at(1002));
        assert_eq!(round(at(1000), at(1039)), at(1039));
        assert_eq!(round(at(1000), at(1041)), at(1045));
        assert_eq!(round(at(1000), at(1101)), at(1110));
        assert_eq!(round(at(1000), at(1501)), at(1525));
        assert_eq!(round(at(1000), at(1500)), at(1500));
        assert_eq!(round(at(1000), at(900)), at(900), "it is late already");
    }

    #[test]
    fn a_group_without_work_rests_and_any_work_wakes_it() {
        let mut rest = Rest::new();
        assert_eq!(rest.change(at(9000)), None, "it does not run yet");
        let protocol = Config::default().tuning();
        rest.set(at(9000), protocol.clone());
        assert_eq!(rest.change(at(10_999)), None);
        let asleep = rest.change(at(11_000)).unwrap();
        assert_eq!(asleep.heartbeat_interval, Duration::from_millis(125));
        assert_eq!(rest.change(at(12_000)), None);
        rest.disturb(at(12_001));
        assert_eq!(rest.change(at(12_001)), Some(protocol));
        assert_eq!(rest.change(at(12_002)), None);
    }

    #[test]
    fn a_heartbeat_that_is_seldom_anyway_stays() {
        let mut rest = Rest::new();
        let second = Duration::from_secs(1);
        let config = Config { heartbeat_interval: second, ..Config::default() };
        let slow = Config { election_timeout: second * 3, ..config };
        rest.set(at(0), slow.tuning());
        assert_eq!(rest.change(at(5000)), Some(slow.tuning()));
    }
}
