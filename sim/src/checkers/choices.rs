//! Agreement, against what the disks themselves have chosen.
//!
//! A value is chosen when a quorum of disks holds it in one ballot, whether anybody knows or not
//! (Paxos Made Simple §2.2). Counting what is on the disks therefore finds every choice before any
//! node can learn of it. So whatever a node executes, teaches or believes chosen must be here already,
//! and a second value for an instance is found when it is chosen, not when somebody executes it.
//!
//! Which disks are asked is for the membership of the instance to say (I6), and that is known once
//! everything below is chosen. So instances are looked at in their order; nobody says or does anything
//! about one above a gap that would have to be known earlier.

use synod_core::{Ballot, ClusterId, CommandKey, Instance, Member, Membership, Position, Value};

use super::eras::{Eras, is_quorum};
use super::values::same;
use super::{Place, Verdict, Violation};
use crate::rng::to_index;

/// What is chosen in each group.
#[derive(Debug)]
pub struct Choices {
    groups: Vec<Chosen>,
}

#[derive(Debug, Default)]
struct Chosen {
    /// Who votes; nobody before the group is founded.
    eras: Option<Eras>,
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
    /// Whose disks hold it.
    members: Vec<Member>,
}

impl Choices {
    /// Nothing is chosen, and nobody votes.
    #[must_use]
    pub fn new(groups: usize) -> Self {
        Self { groups: std::iter::repeat_with(Chosen::default).take(groups).collect() }
    }

    /// A group begins with this membership, unless something is chosen in it already.
    pub fn founded(&mut self, group: usize, cluster: ClusterId, membership: &Membership) {
        let group = &mut self.groups[group];
        if group.prefix == Instance::ZERO {
            group.eras = Some(Eras::founded(cluster, membership.clone()));
        }
    }

    /// Who votes in a group, once it is founded.
    #[must_use]
    pub fn eras(&self, group: usize) -> Option<&Eras> {
        self.groups[group].eras.as_ref()
    }

    /// The disk of this memory of a node holds this vote.
    ///
    /// # Errors
    ///
    /// If that chooses a second value for an instance.
    pub fn stored(
        &mut self,
        group: usize,
        who: Member,
        at: Instance,
        ballot: Ballot,
        value: &Value,
    ) -> Verdict {
        let number = group;
        let group = &mut self.groups[group];
        let slot = group.slot(at);
        let tally = match slot.tallies.iter().position(|tally| tally.ballot == ballot) {
            Some(known) => &mut slot.tallies[known],
            None => {
                slot.tallies.push(Tally { ballot, value: value.clone(), members: Vec::new() });
                slot.tallies.last_mut().expect("just pushed")
            }
        };
        if tally.members.contains(&who) {
            return Ok(());
        }
        tally.members.push(who);
        if at <= group.prefix {
            return group.is_one(number, at);
        }
        let from = group.prefix.next();
        if at == from {
            group.advance();
        }
        let mut chosen = from;
        while chosen <= group.prefix {
            group.is_one(number, chosen)?;
            chosen = chosen.next();
        }
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

    /// Looks at what follows the chosen prefix, as far as quorums hold it.
    fn advance(&mut self) {
        let Some(eras) = &mut self.eras else { return };
        while let Some(slot) = self.instances.get_mut(to_index(self.prefix.0)) {
            let next = self.prefix.next();
            let voters = eras.at(next);
            let Some(tally) = slot.tallies.iter().find(|it| is_quorum(voters, &it.members)) else {
                return;
            };
            slot.chosen = Some(tally.value.clone());
            eras.chosen(next, &tally.value);
            self.prefix = next;
        }
    }

    /// No quorum holds another value than the chosen one.
    fn is_one(&self, group: usize, at: Instance) -> Verdict {
        let slot = &self.instances[to_index(at.prev().0)];
        let (Some(eras), Some(first)) = (&self.eras, &slot.chosen) else { return Ok(()) };
        let voters = eras.at(at);
        let is_other = |it: &&Tally| !same(first, &it.value) && is_quorum(voters, &it.members);
        let Some(other) = slot.tallies.iter().find(is_other) else { return Ok(()) };
        let what = format!(
            "{at} of group {group} has chosen {first}, and in {} {} as well",
            other.ballot, other.value
        );
        Err(Violation::new("choices", what))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{ballot, choices, member, place, value};
    use super::*;
    use synod_core::{CommandKey, Incarnation, MembershipEntry};

    fn chosen() -> Choices {
        let mut choices = choices(3);
        choices.stored(0, member(0), Instance(1), ballot(1, 1), &value(1)).unwrap();
        choices.stored(0, member(1), Instance(1), ballot(1, 1), &value(1)).unwrap();
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
        let mut choices = choices(3);
        choices.stored(0, member(0), Instance(1), ballot(1, 1), &value(1)).unwrap();
        choices.stored(0, member(0), Instance(1), ballot(1, 1), &value(1)).unwrap();
        choices.stored(0, member(1), Instance(1), ballot(2, 2), &value(2)).unwrap();
        assert_eq!(choices.prefix(0), Instance::ZERO);
        assert!(choices.known(place(0), Instance(1)).is_err());
        assert!(choices.claimed(place(0), Instance(1), &value(1), "teaches").is_err());
    }

    #[test]
    fn a_second_choice_is_found() {
        let mut choices = chosen();
        choices.stored(0, member(1), Instance(1), ballot(2, 2), &value(2)).unwrap();
        let violation =
            choices.stored(0, member(2), Instance(1), ballot(2, 2), &value(2)).unwrap_err();
        assert!(violation.what.contains("as well"), "{violation}");
        assert!(choices.claimed(place(0), Instance(1), &value(2), "teaches").is_err());
    }

    #[test]
    fn whoever_votes_at_an_instance_is_asked_about_it() {
        let mut choices = choices(3);
        let other = Member { incarnation: Incarnation(77), ..member(2) };
        let membership = Membership::new(vec![member(0), member(1), other], Vec::new()).unwrap();
        let key = CommandKey { origin: Incarnation(11), boot: 1, seq: 1 };
        let (cluster, version) = (ClusterId(1), Instance::ZERO);
        let entry = MembershipEntry { key, cluster, version, membership };
        let entry = Value::of_membership(&entry);
        let mut store = |who, at, value: &Value| {
            choices.stored(0, who, Instance(at), ballot(1, 1), value).unwrap();
            choices.prefix(0).0
        };
        assert_eq!(store(member(2), 2, &value(2)), 0);
        assert_eq!(store(member(0), 2, &value(2)), 0, "who decides it is not known yet");
        assert_eq!(store(member(0), 1, &entry), 0);
        assert_eq!(store(member(2), 1, &entry), 1, "the memory that leaves votes below");
        assert_eq!(store(other, 2, &value(2)), 2, "and the new one above");
    }

    #[test]
    fn a_second_choice_above_a_gap_is_found_once_the_gap_is_closed() {
        let mut choices = choices(5);
        let mut store = |node, round, at, seq| {
            choices.stored(0, member(node), Instance(at), ballot(round, 1), &value(seq))
        };
        for node in 0..3 {
            store(node, 1, 2, 1).unwrap();
            store(node + 2, 2, 2, 2).unwrap();
        }
        store(0, 1, 1, 9).unwrap();
        store(1, 1, 1, 9).unwrap();
        assert!(store(2, 1, 1, 9).is_err());
    }
}
