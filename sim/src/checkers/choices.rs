//! Agreement, against what the disks themselves have chosen.
//!
//! A value is chosen when a quorum of disks holds it in one ballot, whether anybody knows or not
//! (Paxos Made Simple §2.2). Counting what is on the disks therefore finds every choice before any
//! node can learn of it. So whatever a node executes, teaches or believes chosen must be here already,
//! and a second value for an instance is found when it is chosen, not when somebody executes it.

use synod_core::{Ballot, CommandKey, Instance, Position, Value};

use super::values::same;
use super::{Place, Verdict, Violation};
use crate::rng::{to_index, to_u64};

/// What is chosen in each group.
#[derive(Debug)]
pub struct Choices {
    quorum: u32,
    groups: Vec<Chosen>,
}

#[derive(Debug, Default)]
struct Chosen {
    /// By instance from 1.
    instances: Vec<Slot>,
    /// Every instance up to here is chosen.
    prefix: Instance,
}

#[derive(Clone, Debug, Default)]
struct Slot {
    chosen: Option<Value>,
    tallies: Vec<Tally>,
}

#[derive(Clone, Debug)]
struct Tally {
    ballot: Ballot,
    value: Value,
    disks: u64,
}

impl Choices {
    /// Nothing is chosen; a majority of the nodes chooses.
    #[must_use]
    pub fn new(nodes: usize, groups: usize) -> Self {
        let quorum = u32::try_from(nodes / 2 + 1).expect("few nodes");
        Self { quorum, groups: std::iter::repeat_with(Chosen::default).take(groups).collect() }
    }

    /// A disk holds this vote.
    ///
    /// # Errors
    ///
    /// If that chooses a second value for the instance.
    pub fn stored(&mut self, place: Place, at: Instance, ballot: Ballot, value: &Value) -> Verdict {
        let group = &mut self.groups[place.group];
        let slot = group.slot(at);
        let tally = match slot.tallies.iter().position(|tally| tally.ballot == ballot) {
            Some(known) => &mut slot.tallies[known],
            None => {
                slot.tallies.push(Tally { ballot, value: value.clone(), disks: 0 });
                slot.tallies.last_mut().expect("just pushed")
            }
        };
        tally.disks |= 1 << place.node;
        if tally.disks.count_ones() < self.quorum {
            return Ok(());
        }
        match &slot.chosen {
            None => slot.chosen = Some(tally.value.clone()),
            Some(first) if same(first, &tally.value) => return Ok(()),
            Some(first) => {
                let what = format!(
                    "{at} of group {} has chosen {first}, and in {ballot} {} as well",
                    place.group, tally.value
                );
                return Err(Violation::new("choices", what));
            }
        }
        group.advance();
        Ok(())
    }

    /// A node says that this value is chosen.
    ///
    /// # Errors
    ///
    /// If another one is, or none yet.
    pub fn claimed(&self, place: Place, at: Instance, value: &Value, doing: &str) -> Verdict {
        match self.value(place.group, at) {
            Some(chosen) if same(chosen, value) => Ok(()),
            chosen => {
                let chosen = chosen.map_or_else(|| "nothing".to_owned(), ToString::to_string);
                let what = format!("{place} {doing} {value} at {at}; chosen is {chosen}");
                Err(Violation::new("choices", what))
            }
        }
    }

    /// A node believes that everything up to `upto` is chosen.
    ///
    /// # Errors
    ///
    /// If it is not.
    pub fn known(&self, place: Place, upto: Instance) -> Verdict {
        let prefix = self.groups[place.group].prefix;
        if upto > prefix {
            let what = format!("{place} believes {upto} chosen; only up to {prefix} is");
            return Err(Violation::new("choices", what));
        }
        Ok(())
    }

    /// A node executes this command here.
    ///
    /// # Errors
    ///
    /// If another command is chosen there, or none.
    pub fn contains(&self, place: Place, at: Position, key: CommandKey, payload: &[u8]) -> Verdict {
        let chosen = self.command(place.group, at);
        if chosen.as_ref().is_some_and(|c| c.key == key && c.payload == payload) {
            return Ok(());
        }
        let what = format!("{place} executes {key:?} at {at}; chosen there is {chosen:?}");
        Err(Violation::new("choices", what))
    }

    /// The value chosen at an instance.
    #[must_use]
    pub fn value(&self, group: usize, at: Instance) -> Option<&Value> {
        self.groups[group].instances.get(to_index(at.prev().0))?.chosen.as_ref()
    }

    /// The command chosen at a position.
    #[must_use]
    pub fn command(&self, group: usize, at: Position) -> Option<synod_core::Command> {
        self.value(group, at.instance)?.commands().nth(usize::try_from(at.index).ok()?)
    }

    /// Everything up to here is chosen.
    #[must_use]
    pub fn prefix(&self, group: usize) -> Instance {
        self.groups[group].prefix
    }
}

impl Chosen {
    fn slot(&mut self, at: Instance) -> &mut Slot {
        let place = to_index(at.prev().0);
        if self.instances.len() <= place {
            self.instances.resize(place + 1, Slot::default());
        }
        &mut self.instances[place]
    }

    fn advance(&mut self) {
        let from = to_index(self.prefix.0);
        let more = self.instances[from..].iter().take_while(|slot| slot.chosen.is_some()).count();
        self.prefix = Instance(self.prefix.0 + to_u64(more));
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{ballot, place, value};
    use super::*;

    fn chosen() -> Choices {
        let mut choices = Choices::new(3, 1);
        choices.stored(place(0), Instance(1), ballot(1, 1), &value(1)).unwrap();
        choices.stored(place(1), Instance(1), ballot(1, 1), &value(1)).unwrap();
        choices
    }

    #[test]
    fn a_quorum_in_one_ballot_chooses() {
        let choices = chosen();
        assert_eq!(choices.prefix(0), Instance(1));
        assert_eq!(choices.claimed(place(2), Instance(1), &value(1), "teaches"), Ok(()));
        assert_eq!(choices.known(place(2), Instance(1)), Ok(()));
        let command = value(1).commands().next().unwrap();
        let at = Position { instance: Instance(1), index: 0 };
        assert_eq!(choices.contains(place(2), at, command.key, &command.payload), Ok(()));
        assert!(choices.contains(place(2), at, command.key, b"another").is_err());
    }

    #[test]
    fn votes_of_one_disk_or_of_two_ballots_do_not() {
        let mut choices = Choices::new(3, 1);
        choices.stored(place(0), Instance(1), ballot(1, 1), &value(1)).unwrap();
        choices.stored(place(0), Instance(1), ballot(1, 1), &value(1)).unwrap();
        choices.stored(place(1), Instance(1), ballot(2, 2), &value(2)).unwrap();
        assert_eq!(choices.prefix(0), Instance::ZERO);
        assert!(choices.known(place(0), Instance(1)).is_err());
        assert!(choices.claimed(place(0), Instance(1), &value(1), "teaches").is_err());
    }

    #[test]
    fn a_second_choice_is_found() {
        let mut choices = chosen();
        choices.stored(place(1), Instance(1), ballot(2, 2), &value(2)).unwrap();
        let violation = choices.stored(place(2), Instance(1), ballot(2, 2), &value(2)).unwrap_err();
        assert!(violation.what.contains("as well"), "{violation}");
        assert!(choices.claimed(place(0), Instance(1), &value(2), "teaches").is_err());
    }
}
