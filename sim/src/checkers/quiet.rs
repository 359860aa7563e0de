//! Quiet when idle: a cluster that works and is asked nothing says no more than its heartbeats, and
//! writes nothing.

use std::time::Duration;

use synod_core::{Config, Time};

use super::{Place, Verdict, Violation};

/// What was said since the cluster became idle, if it is.
#[derive(Debug)]
pub struct Quiet {
    nodes: usize,
    heartbeat: Duration,
    election: Duration,
    per_beat: u64,
    since: Option<Time>,
    /// Messages by group and link.
    said: Vec<u64>,
    syncs: u64,
}

impl Quiet {
    /// A cluster that has work to do.
    #[must_use]
    pub fn new(nodes: usize, groups: usize, config: &Config) -> Self {
        let said = vec![0; groups * nodes * nodes];
        let heartbeat = config.heartbeat_interval;
        // A question about the lease comes with each.
        let per_beat = if config.read_lease.is_zero() { 1 } else { 2 };
        let election = config.election_timeout;
        Self { nodes, heartbeat, election, per_beat, since: None, said, syncs: 0 }
    }

    /// From now on there is nothing to do.
    pub const fn idle(&mut self, now: Time) {
        self.since = Some(now);
    }

    /// A node says something about a group to another.
    pub fn said(&mut self, place: Place, to: usize) {
        if self.since.is_some() {
            let link = (place.group * self.nodes + place.node) * self.nodes + to;
            self.said[link] += 1;
        }
    }

    /// A disk was synced for records.
    pub const fn synced(&mut self) {
        if self.since.is_some() {
            self.syncs += 1;
        }
    }

    /// The time is over, in which a group's leader was this one. `asks` says of each node how many things
    /// it may ask a peer in an election timeout on its own, and is answered: [`STRANGER`] or [`FORLORN`],
    /// or nothing.
    ///
    /// # Errors
    ///
    /// If more was said than heartbeats of the leader and their answers, or anything written.
    pub fn finished(&self, now: Time, (group, leader): (usize, usize), asks: &[u64]) -> Verdict {
        let Some(since) = self.since else { return Ok(()) };
        let beats = now.since(since).as_nanos() / self.heartbeat.as_nanos().max(1);
        // One more at either end.
        let beats = u64::try_from(beats).unwrap_or(u64::MAX).saturating_add(2);
        let timeouts = now.since(since).as_nanos() / self.election.as_nanos().max(1);
        let timeouts = u64::try_from(timeouts).unwrap_or(u64::MAX).saturating_add(2);
        for from in 0..self.nodes {
            for to in 0..self.nodes {
                let said = self.said[(group * self.nodes + from) * self.nodes + to];
                let asked = asks[from] + asks[to];
                let max = if asked > 0 {
                    timeouts * asked
                } else if from == leader || to == leader {
                    beats * self.per_beat
                } else {
                    0
                };
                if said > max {
                    let what = format!(
                        "n{} said {said} things to n{} about group {group} while there was nothing \
                         to do, where n{} leads; heartbeats explain {max}",
                        from + 1,
                        to + 1,
                        leader + 1
                    );
                    return Err(Violation::new("quiet", what));
                }
            }
        }
        if self.syncs > 0 {
            let what = format!("{} syncs while there was nothing to do", self.syncs);
            return Err(Violation::new("quiet", what));
        }
        Ok(())
    }
}

/// What is asked by a node that no membership names and that does not know of having left one: what is
/// chosen, which nobody tells it.
pub const STRANGER: u64 = 1;

/// What is asked by one that was removed, does not know it, and knows of no member any more that could
/// tell: that, and up to twice in a timeout whether it could lead, and what others hold.
pub const FORLORN: u64 = 5;

#[cfg(test)]
mod tests {
    use super::super::testing::place;
    use super::*;

    fn quiet() -> Quiet {
        let heartbeat_interval = Duration::from_millis(10);
        let election_timeout = Duration::from_millis(50);
        let config = Config { heartbeat_interval, election_timeout, ..Config::default() };
        let mut quiet = Quiet::new(3, 1, &config);
        quiet.said(place(1), 2);
        quiet.synced();
        quiet.idle(Time::from_millis(1_000));
        quiet
    }

    #[test]
    fn heartbeats_and_what_came_before_may_be() {
        let mut quiet = quiet();
        for _ in 0..12 {
            quiet.said(place(0), 1);
            quiet.said(place(1), 0);
        }
        assert_eq!(quiet.finished(Time::from_millis(1_100), (0, 0), &[0; 3]), Ok(()));
    }

    #[test]
    fn chatter_and_writes_are_found() {
        let end = Time::from_millis(1_100);
        let mut chatter = quiet();
        (0..13).for_each(|_| chatter.said(place(0), 1));
        assert!(chatter.finished(end, (0, 0), &[0; 3]).is_err());
        let mut followers = quiet();
        followers.said(place(1), 2);
        assert!(followers.finished(end, (0, 0), &[0; 3]).is_err());
        assert_eq!(followers.finished(end, (0, 0), &[0, STRANGER, 0]), Ok(()), "it asks around");
        (0..4).for_each(|_| followers.said(place(1), 2));
        assert!(followers.finished(end, (0, 0), &[0, STRANGER, 0]).is_err(), "too often");
        let mut both = quiet();
        (0..8).for_each(|_| both.said(place(1), 2));
        assert!(both.finished(end, (0, 0), &[0, STRANGER, 0]).is_err());
        assert_eq!(
            both.finished(end, (0, 0), &[0, STRANGER, STRANGER]),
            Ok(()),
            "they ask each other"
        );
        let mut writes = quiet();
        writes.synced();
        assert!(writes.finished(end, (0, 0), &[0; 3]).is_err());
    }
}
