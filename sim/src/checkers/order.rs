//! Linearizability by the log: what was finished before something began stands below it.
//!
//! Every answer comes with its position, so checking real-time order takes one comparison for each
//! operation instead of a search; [`reference`](super::reference) checks that the answers are those
//! of the log's order. The position comes from the system under test, so [`search`](super::search)
//! judges small histories again without it.

use std::fmt;

use synod_core::{Position, Time};

use super::{Verdict, Violation};

/// The highest position that any answered operation had, by group.
#[derive(Debug)]
pub struct Order {
    answered: Vec<Position>,
    /// When it was which, ascending.
    past: Vec<Vec<(Time, Position)>>,
}

impl Order {
    /// Nothing was answered.
    #[must_use]
    pub fn new(groups: usize) -> Self {
        Self { answered: vec![Position::default(); groups], past: vec![Vec::new(); groups] }
    }

    /// An operation begins: it must come out above the position returned.
    #[must_use]
    pub fn invoked(&self, group: usize) -> Position {
        self.answered[group]
    }

    /// The highest position that was answered before `then`.
    #[must_use]
    pub fn answered_by(&self, group: usize, then: Time) -> Position {
        let past = &self.past[group];
        let before = past.partition_point(|(at, _)| *at < then);
        before.checked_sub(1).map_or_else(Position::default, |last| past[last].1)
    }

    /// What was answered so far was answered by now.
    pub fn passes(&mut self, now: Time) {
        for (answered, past) in self.answered.iter().zip(&mut self.past) {
            if past.last().map_or_else(Position::default, |(_, last)| *last) < *answered {
                past.push((now, *answered));
            }
        }
    }

    /// A command that began `after` was executed at `at`.
    ///
    /// # Errors
    ///
    /// If it stands at or below what was answered before it began.
    pub fn written(
        &mut self,
        group: usize,
        op: &dyn fmt::Debug,
        after: Position,
        at: Position,
    ) -> Verdict {
        if at <= after {
            let what = format!(
                "{op:?} of group {group} stands at {at}; it began after {after} was answered"
            );
            return Err(Violation::new("order", what));
        }
        self.answered[group] = self.answered[group].max(at);
        Ok(())
    }

    /// A read that began `after` saw everything up to `at`.
    ///
    /// # Errors
    ///
    /// If it missed something that was answered before it began.
    pub fn read(
        &mut self,
        group: usize,
        query: &dyn fmt::Debug,
        after: Position,
        at: Position,
    ) -> Verdict {
        if at < after {
            let what = format!(
                "a read of {query:?} in group {group} saw the log up to {at}; it began after \
                 {after} was answered"
            );
            return Err(Violation::new("order", what));
        }
        self.answered[group] = self.answered[group].max(at);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{at, op};
    use super::*;

    #[test]
    fn operations_that_overlap_may_come_in_any_order() {
        let mut order = Order::new(1);
        let (one, two) = (order.invoked(0), order.invoked(0));
        assert_eq!(order.written(0, &op(1), one, at(2, 0)), Ok(()));
        assert_eq!(order.written(0, &op(2), two, at(1, 0)), Ok(()));
        let read = order.invoked(0);
        assert_eq!(order.read(0, &0, read, at(2, 0)), Ok(()));
    }

    #[test]
    fn a_command_below_one_answered_before_it_began_is_found() {
        let mut order = Order::new(1);
        let one = order.invoked(0);
        order.written(0, &op(1), one, at(2, 0)).unwrap();
        let two = order.invoked(0);
        assert!(order.written(0, &op(2), two, at(1, 0)).is_err());
        assert!(order.written(0, &op(2), two, at(2, 0)).is_err());
    }

    #[test]
    fn a_stale_read_is_found() {
        let mut order = Order::new(1);
        let one = order.invoked(0);
        order.written(0, &op(1), one, at(2, 0)).unwrap();
        let two = order.invoked(0);
        assert!(order.read(0, &0, two, at(1, 9)).is_err());
    }

    #[test]
    fn a_read_older_than_it_may_be_is_found() {
        let mut order = Order::new(1);
        for (n, millis) in [(1, 10), (2, 20)] {
            let after = order.invoked(0);
            order.written(0, &op(n), after, at(n, 0)).unwrap();
            order.passes(Time::from_millis(millis));
        }
        for (millis, least) in [(10, Position::default()), (11, at(1, 0)), (21, at(2, 0))] {
            let after = order.answered_by(0, Time::from_millis(millis));
            assert_eq!(after, least);
            assert_eq!(order.read(0, &0, after, at(1, 0)).is_err(), least == at(2, 0));
        }
    }
}
