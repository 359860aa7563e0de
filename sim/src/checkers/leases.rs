//! Read leases: while a leader holds one, in true time, nobody else comes to lead, as long as all clocks
//! keep their bound.
//!
//! That a read by lease is right is watched with all other reads; this finds the lease that could have
//! made one wrong, whether or not anybody read then.

use synod_core::Time;

use super::{Place, Verdict, Violation};

/// Until when each node holds the lease of each group.
#[derive(Debug)]
pub struct Leases {
    /// By group, then by node.
    held: Vec<Vec<Time>>,
    is_bound: bool,
}

impl Leases {
    /// Nobody holds any.
    #[must_use]
    pub fn new(nodes: usize, groups: usize) -> Self {
        Self { held: vec![vec![Time::ZERO; nodes]; groups], is_bound: true }
    }

    /// Clocks need not keep their bound: nothing is promised.
    pub const fn unbind(&mut self) {
        self.is_bound = false;
    }

    /// A process holds a lease until this true time, if at all.
    ///
    /// # Errors
    ///
    /// If another one does, too, now.
    pub fn holds(&mut self, place: Place, until: Option<Time>, now: Time) -> Verdict {
        self.held[place.group][place.node] = until.unwrap_or(Time::ZERO);
        match until {
            Some(until) if until > now => self.alone(place, now, "holds a lease"),
            Some(_) | None => Ok(()),
        }
    }

    /// A process comes to lead: a quorum has promised.
    ///
    /// # Errors
    ///
    /// If another one holds a lease.
    pub fn leads(&mut self, place: Place, now: Time) -> Verdict {
        self.held[place.group][place.node] = Time::ZERO;
        self.alone(place, now, "comes to lead")
    }

    /// A process is no more.
    pub fn gone(&mut self, node: usize) {
        self.held.iter_mut().for_each(|held| held[node] = Time::ZERO);
    }

    fn alone(&self, place: Place, now: Time, does: &str) -> Verdict {
        let held = &self.held[place.group];
        let other = (0..held.len()).find(|&n| n != place.node && held[n] > now);
        match other {
            Some(other) if self.is_bound => {
                let until = held[other];
                let what = format!("{place} {does}, and n{} holds one until {until}", other + 1);
                Err(Violation::new("leases", what))
            }
            Some(_) | None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::place;
    use super::*;

    fn at(millis: u64) -> Time {
        Time::from_millis(millis)
    }

    #[test]
    fn a_leader_beside_a_lease_is_found() {
        let mut leases = Leases::new(3, 1);
        assert_eq!(leases.leads(place(0), at(0)), Ok(()));
        assert_eq!(leases.holds(place(0), Some(at(100)), at(10)), Ok(()));
        assert!(leases.leads(place(1), at(99)).is_err());
        assert_eq!(leases.leads(place(1), at(100)), Ok(()));
        leases.holds(place(1), Some(at(300)), at(110)).unwrap();
        assert!(leases.holds(place(0), Some(at(200)), at(120)).is_err());
        leases.gone(1);
        assert!(leases.leads(place(2), at(130)).is_err(), "the other one holds one still");
        leases.gone(0);
        assert_eq!(leases.leads(place(2), at(140)), Ok(()));
    }

    #[test]
    fn a_lease_that_was_let_go_is_none() {
        let mut leases = Leases::new(3, 1);
        leases.holds(place(0), Some(at(100)), at(10)).unwrap();
        leases.holds(place(0), None, at(20)).unwrap();
        assert_eq!(leases.leads(place(1), at(30)), Ok(()));
        leases.unbind();
        leases.holds(place(1), Some(at(100)), at(40)).unwrap();
        assert_eq!(leases.leads(place(2), at(50)), Ok(()), "nothing is promised");
    }
}
