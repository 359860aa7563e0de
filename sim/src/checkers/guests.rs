//! A user's state machines: equal outputs at equal positions, equal state at equal instances.
//!
//! What is right nobody here can know; that nodes differ, anybody can see.

use std::collections::BTreeMap;

use synod_core::{Instance, Position, SmId};

use super::choices::Choices;
use super::{Place, Verdict, Violation};

/// What the first node to get there had, as hashes.
#[derive(Debug, Default)]
pub struct Guests {
    outputs: BTreeMap<(usize, Position), u64>,
    states: BTreeMap<(usize, SmId, Instance), u64>,
}

impl Guests {
    /// A node's machine gave this output.
    ///
    /// # Errors
    ///
    /// If another node's gave another one, or the same node's in an earlier life.
    pub fn executed(&mut self, place: Place, at: Position, output: u64) -> Verdict {
        let first = *self.outputs.entry((place.group, at)).or_insert(output);
        if first != output {
            let what = format!(
                "{place} gets an output at {at} that differs from the first ({output:x}, not \
                 {first:x}): is the state machine deterministic?"
            );
            return Err(Violation::new("states", what));
        }
        Ok(())
    }

    /// A node's machine has this state after everything up to `instance`, and nothing above.
    ///
    /// # Errors
    ///
    /// If another node's had another one, or the same node's in an earlier life.
    pub fn through(&mut self, place: Place, sm: SmId, at: Instance, state: u64) -> Verdict {
        let first = *self.states.entry((place.group, sm, at)).or_insert(state);
        if first != state {
            let what = format!(
                "machine {} of {place} has a state at {at} that differs from the first ({state:x}, \
                 not {first:x}): is it deterministic?",
                sm.0
            );
            return Err(Violation::new("states", what));
        }
        Ok(())
    }
}

/// A client hears that a command was executed at a position.
///
/// # Errors
///
/// If that command is not chosen there.
pub fn committed(
    choices: &Choices,
    group: usize,
    sm: SmId,
    command: &[u8],
    at: Position,
) -> Verdict {
    let chosen = choices.command(group, at);
    if chosen.as_ref().is_some_and(|chosen| chosen.sm == sm && chosen.payload == command) {
        return Ok(());
    }
    let what = format!(
        "{command:?} for machine {} of group {group} was acknowledged at {at}; chosen there is \
         {chosen:?}",
        sm.0
    );
    Err(Violation::new("acknowledged", what))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{at, ballot, op, place, value};
    use super::*;
    use crate::kv::STORE;

    #[test]
    fn outputs_and_states_that_differ_are_found() {
        let mut guests = Guests::default();
        assert_eq!(guests.executed(place(0), at(1, 0), 7), Ok(()));
        assert_eq!(guests.executed(place(1), at(1, 0), 7), Ok(()));
        assert!(guests.executed(place(2), at(1, 0), 8).is_err());
        assert_eq!(guests.through(place(0), SmId(1), Instance(1), 7), Ok(()));
        assert_eq!(guests.through(place(1), SmId(2), Instance(1), 8), Ok(()), "another machine");
        assert!(guests.through(place(1), SmId(1), Instance(1), 8).is_err());
    }

    #[test]
    fn an_acknowledged_command_stands_where_it_was_said() {
        let mut choices = Choices::new(1, 1);
        choices.stored(place(0), Instance(1), ballot(1, 1), &value(1)).unwrap();
        let command = op(1).encode(0);
        assert_eq!(committed(&choices, 0, STORE, &command, at(1, 0)), Ok(()));
        assert!(committed(&choices, 0, SmId(0), &command, at(1, 0)).is_err());
        assert!(committed(&choices, 0, STORE, b"other", at(1, 0)).is_err());
        assert!(committed(&choices, 0, STORE, &command, at(2, 0)).is_err());
    }
}
