//! Equal state at equal instances.

use synod_core::{Instance, Position};

use super::{Place, Verdict, Violation};
use crate::rng::to_index;

/// The state that the first node to get there had, by group and instance from 1.
#[derive(Debug)]
pub struct States {
    seen: Vec<Vec<Option<(u64, Position)>>>,
}

impl States {
    /// Nobody has any state.
    #[must_use]
    pub fn new(groups: usize) -> Self {
        Self { seen: vec![Vec::new(); groups] }
    }

    /// A node has executed everything up to `instance`, and its state has this digest. A machine
    /// whose own state survived may stand above the instance: then there is nothing to compare.
    ///
    /// # Errors
    ///
    /// If another node had another state there.
    pub fn through(
        &mut self,
        place: Place,
        instance: Instance,
        applied: Position,
        digest: u64,
    ) -> Verdict {
        if applied.instance > instance || instance == Instance::ZERO {
            return Ok(());
        }
        let seen = &mut self.seen[place.group];
        let at = to_index(instance.prev().0);
        if seen.len() <= at {
            seen.resize(at + 1, None);
        }
        let first = *seen[at].get_or_insert((digest, applied));
        if first != (digest, applied) {
            let what = format!(
                "{place} has state {digest:x} at {instance} (executed to {applied}); another node \
                 had {:x} (executed to {})",
                first.0, first.1
            );
            return Err(Violation::new("states", what));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{at, place};
    use super::*;

    #[test]
    fn a_state_ahead_of_the_instance_is_not_compared() {
        let mut states = States::new(1);
        assert_eq!(states.through(place(0), Instance(2), at(2, 0), 7), Ok(()));
        assert_eq!(states.through(place(1), Instance(2), at(2, 0), 7), Ok(()));
        assert_eq!(states.through(place(2), Instance(2), at(3, 0), 8), Ok(()));
    }

    #[test]
    fn another_state_at_the_same_instance_is_found() {
        let mut states = States::new(1);
        states.through(place(0), Instance(2), at(2, 0), 7).unwrap();
        assert!(states.through(place(1), Instance(2), at(2, 0), 8).is_err());
        assert!(states.through(place(1), Instance(2), at(1, 0), 7).is_err());
    }
}
