//! What is chosen at an instance, for whoever asks from outside.

use super::Group;
use crate::ids::Instance;
use crate::value::Value;

/// What a group holds at an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChosenAt {
    /// Nothing is known chosen there yet.
    Nothing,
    /// It may be gone from the log. Instances start at 1: 0 counts as cleaned.
    Cleaned,
    /// It is chosen, and no longer in memory: the log has it.
    OnDisk,
    /// What was chosen.
    Value(Value),
}

impl Group {
    /// What is chosen at an instance, as far as this node knows. Changes nothing.
    #[must_use]
    pub fn chosen_at(&self, instance: Instance) -> ChosenAt {
        if instance <= self.entries.cleaned() {
            return ChosenAt::Cleaned;
        }
        if instance > self.entries.chosen() {
            return ChosenAt::Nothing;
        }
        self.entries
            .value(instance)
            .map_or(ChosenAt::OnDisk, |value| ChosenAt::Value(value.clone()))
    }
}
