//! Exactly once: a command is executed at one position, the same everywhere, and a process executes
//! positions in ascending order.

use std::collections::BTreeMap;

use synod_core::{CommandKey, Position};

use super::{PerPlace, Place, Verdict, Violation};

/// Where each command was executed.
#[derive(Debug)]
pub struct Once {
    executed: Vec<BTreeMap<CommandKey, Position>>,
    last: PerPlace<Position>,
}

impl Once {
    /// Nothing was executed.
    #[must_use]
    pub fn new(nodes: usize, groups: usize) -> Self {
        Self { executed: vec![BTreeMap::new(); groups], last: PerPlace::new(nodes, groups) }
    }

    /// A process starts anew, and may execute everything again.
    pub fn restarted(&mut self, place: Place) {
        *self.last.at(place) = Position::default();
    }

    /// A node executes a command.
    ///
    /// # Errors
    ///
    /// If it was executed elsewhere, anywhere, or the position does not ascend.
    pub fn executed(&mut self, place: Place, at: Position, key: CommandKey) -> Verdict {
        let last = self.last.at(place);
        if at <= *last {
            let what = format!("{place} executes {at} after {last}");
            return Err(Violation::new("once", what));
        }
        *last = at;
        let first = *self.executed[place.group].entry(key).or_insert(at);
        if first != at {
            let what = format!("{place} executes {key:?} at {at}; it was executed at {first}");
            return Err(Violation::new("once", what));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{at, key, place};
    use super::*;

    #[test]
    fn every_node_and_every_life_executes_a_command_at_its_one_position() {
        let mut once = Once::new(3, 1);
        assert_eq!(once.executed(place(0), at(1, 0), key(1)), Ok(()));
        assert_eq!(once.executed(place(1), at(1, 0), key(1)), Ok(()));
        assert_eq!(once.executed(place(0), at(1, 1), key(2)), Ok(()));
        once.restarted(place(0));
        assert_eq!(once.executed(place(0), at(1, 0), key(1)), Ok(()));
    }

    #[test]
    fn a_second_execution_is_found_here_and_on_another_node() {
        let mut once = Once::new(3, 1);
        once.executed(place(0), at(1, 0), key(1)).unwrap();
        assert!(once.executed(place(0), at(2, 0), key(1)).is_err());
        assert!(once.executed(place(1), at(2, 0), key(1)).is_err());
    }

    #[test]
    fn a_position_that_comes_twice_in_one_life_is_found() {
        let mut once = Once::new(3, 1);
        once.executed(place(0), at(2, 0), key(1)).unwrap();
        assert!(once.executed(place(0), at(2, 0), key(1)).is_err());
        assert!(once.executed(place(0), at(1, 0), key(2)).is_err());
    }
}
