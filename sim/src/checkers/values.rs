//! M4: one ballot brings one value to an instance.

use synod_core::{Ballot, Instance, Value};

use super::{Verdict, Violation};
use crate::rng::to_index;

/// Every value that was ever proposed, reported or written, by group, instance from 1 and ballot.
#[derive(Debug)]
pub struct Values {
    seen: Vec<Vec<Vec<(Ballot, Value)>>>,
}

impl Values {
    /// Nothing was proposed.
    #[must_use]
    pub fn new(groups: usize) -> Self {
        Self { seen: vec![Vec::new(); groups] }
    }

    /// Somebody proposes, reports or writes this value.
    ///
    /// # Errors
    ///
    /// If the ballot brought another value to this instance before.
    pub fn accepted(
        &mut self,
        group: usize,
        at: Instance,
        ballot: Ballot,
        value: &Value,
    ) -> Verdict {
        let instances = &mut self.seen[group];
        let place = to_index(at.prev().0);
        if instances.len() <= place {
            instances.resize(place + 1, Vec::new());
        }
        match instances[place].iter().rev().find(|(other, _)| *other == ballot) {
            None => instances[place].push((ballot, value.clone())),
            Some((_, first)) if same(first, value) => {}
            Some((_, first)) => {
                let what =
                    format!("ballot {ballot} brings {value} to {at}, and had brought {first}");
                return Err(Violation::new("values", what));
            }
        }
        Ok(())
    }
}

/// Whether two values are equal; fast if they share their bytes.
pub(super) fn same(one: &Value, other: &Value) -> bool {
    let (a, b) = (one.bytes(), other.bytes());
    a.len() == b.len() && (std::ptr::eq(a.as_ptr(), b.as_ptr()) || a == b)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{ballot, value};
    use super::*;

    #[test]
    fn another_ballot_may_bring_another_value() {
        let mut values = Values::new(1);
        assert_eq!(values.accepted(0, Instance(1), ballot(1, 1), &value(1)), Ok(()));
        assert_eq!(values.accepted(0, Instance(1), ballot(1, 1), &value(1)), Ok(()));
        assert_eq!(values.accepted(0, Instance(1), ballot(2, 1), &value(2)), Ok(()));
        assert_eq!(values.accepted(0, Instance(2), ballot(1, 1), &value(2)), Ok(()));
    }

    #[test]
    fn a_second_value_in_one_ballot_is_heard() {
        let mut values = Values::new(1);
        values.accepted(0, Instance(1), ballot(1, 1), &value(1)).unwrap();
        values.accepted(0, Instance(1), ballot(2, 2), &value(2)).unwrap();
        assert!(values.accepted(0, Instance(1), ballot(1, 1), &value(2)).is_err());
    }
}
