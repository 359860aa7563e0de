//! One master: at no instant of true time do two processes believe that they are master of a group, as
//! long as all clocks keep their bound.
//!
//! A process tells what it believes in terms of its own clock; here that is true time. What it believes
//! holds until then whatever it does: a process that stands still and wakes up a moment before its lease
//! ends acts on it.

use synod_core::Time;

use super::{Place, Verdict, Violation};

/// Until when each node believes in its mastership of each group.
#[derive(Debug)]
pub struct Masters {
    /// By group, then by node.
    believed: Vec<Vec<Time>>,
    /// Whether clocks keep the bound that leases rest on.
    is_bound: bool,
}

impl Masters {
    /// Nobody is master.
    #[must_use]
    pub fn new(nodes: usize, groups: usize) -> Self {
        Self { believed: vec![vec![Time::ZERO; nodes]; groups], is_bound: true }
    }

    /// Clocks need not keep their bound: nothing is promised.
    pub const fn unbind(&mut self) {
        self.is_bound = false;
    }

    /// A process believes that it is master until this true time, if at all.
    ///
    /// # Errors
    ///
    /// If another one does, too, now.
    pub fn believes(&mut self, place: Place, until: Option<Time>, now: Time) -> Verdict {
        let believed = &mut self.believed[place.group];
        believed[place.node] = until.unwrap_or(Time::ZERO);
        if !self.is_bound || until.is_none_or(|until| until <= now) {
            return Ok(());
        }
        let other = (0..believed.len()).find(|&n| n != place.node && believed[n] > now);
        let Some(other) = other else { return Ok(()) };
        let what = format!(
            "{place} is master until {}, and so is n{} until {}",
            believed[place.node],
            other + 1,
            believed[other]
        );
        Err(Violation::new("masters", what))
    }

    /// A process is no more.
    pub fn gone(&mut self, node: usize) {
        self.believed.iter_mut().for_each(|believed| believed[node] = Time::ZERO);
    }

    /// Whether somebody believes to be master of a group.
    #[must_use]
    pub fn has(&self, group: usize, now: Time) -> bool {
        self.believed[group].iter().any(|&until| until > now)
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
    fn two_at_once_are_found_whoever_came_first() {
        let mut masters = Masters::new(3, 1);
        assert_eq!(masters.believes(place(0), Some(at(100)), at(0)), Ok(()));
        assert_eq!(masters.believes(place(0), Some(at(200)), at(50)), Ok(()));
        assert_eq!(masters.believes(place(2), Some(at(150)), at(150)), Ok(()), "not any more");
        assert!(masters.believes(place(1), Some(at(300)), at(199)).is_err());
        masters.gone(0);
        assert_eq!(masters.believes(place(1), Some(at(300)), at(199)), Ok(()));
    }

    #[test]
    fn one_after_the_other_is_fine() {
        let mut masters = Masters::new(3, 1);
        masters.believes(place(0), Some(at(100)), at(0)).unwrap();
        assert!(masters.has(0, at(99)) && !masters.has(0, at(100)));
        assert_eq!(masters.believes(place(1), Some(at(300)), at(100)), Ok(()));
        assert_eq!(masters.believes(place(1), None, at(120)), Ok(()));
        assert_eq!(masters.believes(place(2), Some(at(300)), at(130)), Ok(()));
    }

    #[test]
    fn nothing_is_promised_where_clocks_are_beyond_their_bound() {
        let mut masters = Masters::new(3, 1);
        masters.unbind();
        masters.believes(place(0), Some(at(100)), at(0)).unwrap();
        assert_eq!(masters.believes(place(1), Some(at(100)), at(0)), Ok(()));
    }
}
