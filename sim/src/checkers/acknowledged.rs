//! What clients were told stays true: acknowledged commands are chosen where it was said, and refused
//! ones never are.

use synod_core::Position;

use super::choices::Choices;
use super::reference::Reference;
use super::{Verdict, Violation};
use crate::kv::Op;

/// Everything that clients were told.
#[derive(Debug, Default)]
pub struct Acknowledged {
    committed: Vec<(usize, u64, Position)>,
    refused: Vec<(usize, u64)>,
}

impl Acknowledged {
    /// A client hears that its command was executed at a position.
    ///
    /// # Errors
    ///
    /// If that command is not chosen there by now.
    pub fn committed(&mut self, choices: &Choices, group: usize, op: &Op, at: Position) -> Verdict {
        let chosen = choices.command(group, at);
        if chosen.as_ref().and_then(|command| Op::decode(&command.payload)) != Some(*op) {
            let what = format!(
                "{op:?} of group {group} was acknowledged at {at}; chosen there is {chosen:?}"
            );
            return Err(Violation::new("acknowledged", what));
        }
        self.committed.push((group, op.tag, at));
        Ok(())
    }

    /// A client hears that its command was not taken and never will be.
    ///
    /// # Errors
    ///
    /// If it was executed already.
    pub fn refused(&mut self, reference: &Reference, group: usize, op: &Op) -> Verdict {
        self.refused.push((group, op.tag));
        Self::is_absent(reference, group, op.tag)
    }

    /// The run is over.
    ///
    /// # Errors
    ///
    /// If an acknowledged command was not executed where it was said, or a refused one was.
    pub fn finished(&self, reference: &mut Reference, choices: &Choices) -> Verdict {
        reference.catch_up(choices);
        for &(group, tag, at) in &self.committed {
            let found = reference.executed_at(group, tag);
            if found != Some(at) {
                let what = format!(
                    "operation {tag} of group {group} was acknowledged at {at}, and executed at \
                     {found:?}"
                );
                return Err(Violation::new("acknowledged", what));
            }
        }
        self.refused.iter().try_for_each(|&(group, tag)| Self::is_absent(reference, group, tag))
    }

    /// How many commands were acknowledged.
    #[must_use]
    pub const fn commands(&self) -> usize {
        self.committed.len()
    }

    fn is_absent(reference: &Reference, group: usize, tag: u64) -> Verdict {
        reference.executed_at(group, tag).map_or(Ok(()), |at| {
            let what =
                format!("operation {tag} of group {group} was refused, and executed at {at}");
            Err(Violation::new("acknowledged", what))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{at, ballot, choices, member, op, value};
    use super::*;
    use synod_core::Instance;

    fn log() -> Choices {
        let mut choices = choices(1);
        choices.stored(0, member(0), Instance(1), ballot(1, 1), &value(1)).unwrap();
        choices
    }

    #[test]
    fn what_is_chosen_may_be_acknowledged() {
        let (mut acknowledged, mut reference) = (Acknowledged::default(), Reference::new(1));
        assert_eq!(acknowledged.committed(&log(), 0, &op(1), at(1, 0)), Ok(()));
        assert_eq!(acknowledged.refused(&reference, 0, &op(2)), Ok(()));
        assert_eq!(acknowledged.finished(&mut reference, &log()), Ok(()));
    }

    #[test]
    fn an_acknowledgement_of_what_is_not_chosen_is_found() {
        let mut acknowledged = Acknowledged::default();
        assert!(acknowledged.committed(&log(), 0, &op(2), at(1, 0)).is_err());
        assert!(acknowledged.committed(&log(), 0, &op(1), at(2, 0)).is_err());
    }

    #[test]
    fn a_refused_command_that_is_executed_is_found() {
        let (mut acknowledged, mut reference) = (Acknowledged::default(), Reference::new(1));
        acknowledged.refused(&reference, 0, &op(1)).unwrap();
        assert!(acknowledged.finished(&mut reference, &log()).is_err());
    }

    #[test]
    fn an_acknowledged_command_that_disappears_is_found() {
        let (mut acknowledged, mut reference) = (Acknowledged::default(), Reference::new(1));
        acknowledged.committed(&log(), 0, &op(1), at(1, 0)).unwrap();
        assert!(acknowledged.finished(&mut reference, &choices(1)).is_err());
    }
}
