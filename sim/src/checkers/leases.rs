//! Read leases: while a leader holds one, in true time, nobody else comes to lead in a higher ballot, as
//! long as all clocks keep their bound.
//!
//! One of a lower ballot may: promises come late, and whoever collects the last of them does not know
//! that it was outbid. Nothing new is chosen there. Those who granted the lease had promised its ballot,
//! they are a quorum, and they accept nothing lower any more. But it holds no lease of its own.
//!
//! That a read by lease is right is watched with all other reads; this finds the lease that could have
//! made one wrong, whether or not anybody read then.

use synod_core::{Ballot, Time};

use super::{Place, Verdict, Violation};

/// Until when each node holds the lease of each group.
#[derive(Debug)]
pub struct Leases {
    /// By group, then by node.
    held: Vec<Vec<Held>>,
    is_bound: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Held {
    until: Time,
    ballot: Ballot,
}

impl Leases {
    /// Nobody holds any.
    #[must_use]
    pub fn new(nodes: usize, groups: usize) -> Self {
        Self { held: vec![vec![Held::default(); nodes]; groups], is_bound: true }
    }

    /// Clocks need not keep their bound: nothing is promised.
    pub const fn unbind(&mut self) {
        self.is_bound = false;
    }

    /// Whether clocks keep their bound.
    #[must_use]
    pub const fn is_bound(&self) -> bool {
        self.is_bound
    }

    /// A process knows of a membership entry that is chosen, and of nothing chosen after it.
    ///
    /// # Errors
    ///
    /// If it holds a lease now.
    pub fn changes(&self, place: Place, now: Time) -> Verdict {
        let until = self.held[place.group][place.node].until;
        if until <= now {
            return Ok(());
        }
        let what = format!("{place} holds a lease until {until}, and who votes is changing");
        Err(Violation::new("leases", what))
    }

    /// A process holds a lease until this true time, if at all, as the leader of a ballot.
    ///
    /// # Errors
    ///
    /// If another one does, too, now.
    pub fn holds(
        &mut self,
        place: Place,
        until: Option<Time>,
        ballot: Ballot,
        now: Time,
    ) -> Verdict {
        let until = until.unwrap_or_default();
        self.held[place.group][place.node] = Held { until, ballot };
        if until > now { self.alone(place, None, now, "holds a lease") } else { Ok(()) }
    }

    /// A process comes to lead: a quorum has promised.
    ///
    /// # Errors
    ///
    /// If another one holds a lease, of a lower ballot.
    pub fn leads(&mut self, place: Place, ballot: Ballot, now: Time) -> Verdict {
        self.held[place.group][place.node] = Held::default();
        self.alone(place, Some(ballot), now, "comes to lead")
    }

    /// A process is no more.
    pub fn gone(&mut self, node: usize) {
        self.held.iter_mut().for_each(|held| held[node] = Held::default());
    }

    fn alone(&self, place: Place, above: Option<Ballot>, now: Time, does: &str) -> Verdict {
        let held = &self.held[place.group];
        let is_outbid = |other: Held| above.is_none_or(|ballot| ballot > other.ballot);
        let excludes = |n: usize| n != place.node && held[n].until > now && is_outbid(held[n]);
        let other = (0..held.len()).find(|&n| excludes(n));
        match other {
            Some(other) if self.is_bound => {
                let until = held[other].until;
                let what = format!("{place} {does}, and n{} holds one until {until}", other + 1);
                Err(Violation::new("leases", what))
            }
            Some(_) | None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{ballot, place};
    use super::*;

    fn at(millis: u64) -> Time {
        Time::from_millis(millis)
    }

    #[test]
    fn a_leader_beside_a_lease_is_found() {
        let mut leases = Leases::new(3, 1);
        let [old, new, newer] = [1, 2, 3].map(|round| ballot(round, 1));
        assert_eq!(leases.leads(place(0), old, at(0)), Ok(()));
        assert_eq!(leases.holds(place(0), Some(at(100)), old, at(10)), Ok(()));
        assert!(leases.leads(place(1), new, at(99)).is_err());
        assert_eq!(leases.leads(place(1), new, at(100)), Ok(()));
        leases.holds(place(1), Some(at(300)), new, at(110)).unwrap();
        assert_eq!(leases.leads(place(0), old, at(115)), Ok(()), "nobody listens to it");
        assert!(leases.holds(place(0), Some(at(200)), old, at(120)).is_err());
        leases.gone(1);
        assert!(leases.leads(place(2), newer, at(130)).is_err(), "the other one holds one still");
        leases.gone(0);
        assert_eq!(leases.leads(place(2), newer, at(140)), Ok(()));
    }

    #[test]
    fn a_lease_that_outlives_its_membership_is_found() {
        let mut leases = Leases::new(3, 1);
        leases.holds(place(0), Some(at(100)), ballot(1, 1), at(10)).unwrap();
        assert!(leases.changes(place(0), at(99)).is_err());
        assert_eq!(leases.changes(place(0), at(100)), Ok(()), "it ran out before");
        assert_eq!(leases.changes(place(1), at(20)), Ok(()), "somebody who holds none");
        leases.holds(place(0), None, ballot(1, 1), at(30)).unwrap();
        assert_eq!(leases.changes(place(0), at(40)), Ok(()));
    }

    #[test]
    fn a_lease_that_was_let_go_is_none() {
        let mut leases = Leases::new(3, 1);
        let [old, new, newer] = [1, 2, 3].map(|round| ballot(round, 1));
        leases.holds(place(0), Some(at(100)), old, at(10)).unwrap();
        leases.holds(place(0), None, old, at(20)).unwrap();
        assert_eq!(leases.leads(place(1), new, at(30)), Ok(()));
        leases.unbind();
        leases.holds(place(1), Some(at(100)), new, at(40)).unwrap();
        assert_eq!(leases.leads(place(2), newer, at(50)), Ok(()), "nothing is promised");
    }
}
