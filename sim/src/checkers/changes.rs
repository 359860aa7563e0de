//! I6: a change of the membership is complete only when a quorum of the new voters holds the log
//! through its entry on its disks. From then on the old ones may be thrown away.

use std::collections::{BTreeMap, BTreeSet};

use synod_core::{Instance, Member, Membership, Record, Recovered};

use super::choices::Choices;
use super::eras::is_quorum;
use super::{Place, Verdict, Violation};

/// What each memory of each group was seen to hold.
#[derive(Debug, Default)]
pub struct Changes {
    held: BTreeMap<(usize, Member), Held>,
    /// Up to which version each group's changes were complete.
    complete: BTreeMap<usize, Instance>,
}

#[derive(Debug, Default)]
struct Held {
    /// A value, or a checkpoint above it, at every instance up to here.
    upto: Instance,
    above: BTreeSet<Instance>,
}

impl Held {
    fn add(&mut self, at: Instance) {
        if at > self.upto {
            self.above.insert(at);
        }
        while self.above.remove(&self.upto.next()) {
            self.upto = self.upto.next();
        }
    }

    fn skip(&mut self, upto: Instance) {
        self.upto = self.upto.max(upto);
        self.above = self.above.split_off(&self.upto.next());
        self.add(Instance::ZERO);
    }
}

impl Changes {
    /// A sync of these records succeeded.
    pub fn synced(&mut self, group: usize, who: Member, records: &[Record]) {
        let held = self.held.entry((group, who)).or_default();
        for record in records {
            match record {
                Record::Accepted { instance, .. } | Record::Learned { instance, .. } => {
                    held.add(*instance);
                }
                Record::Checkpoint { instance, .. } => held.skip(*instance),
                Record::Promised(_)
                | Record::Chosen(_)
                | Record::Cleaned(_)
                | Record::Membership(_)
                | Record::Lease(_) => {}
            }
        }
    }

    /// A node read this from its disk at a start: it is on the disk now.
    pub fn recovered(&mut self, group: usize, who: Member, recovered: &Recovered) {
        let held = self.held.entry((group, who)).or_default();
        let checkpoint = recovered.checkpoint.as_ref().map_or(Instance::ZERO, |(at, _)| *at);
        held.skip(recovered.chosen.max(checkpoint));
        let values = recovered.entries.iter().filter(|stored| stored.value.is_some());
        values.for_each(|stored| held.add(stored.instance));
    }

    /// A node knows that the change with this version is complete.
    ///
    /// # Errors
    ///
    /// If too few of the new voters ever held the log through its entry.
    pub fn complete(&mut self, choices: &Choices, place: Place, version: Instance) -> Verdict {
        let Some(eras) = choices.eras(place.group) else { return Ok(()) };
        if self.complete.get(&place.group).is_some_and(|known| *known >= version) {
            return Ok(()); // who votes now may have lost since what it held then
        }
        self.complete.insert(place.group, version);
        let membership = eras.at(version.next());
        let holds = |who: &&Member| {
            self.held.get(&(place.group, **who)).is_some_and(|held| held.upto >= version)
        };
        let holders: Vec<Member> = membership.voters().iter().filter(holds).copied().collect();
        if is_quorum(membership, &holders) {
            return Ok(());
        }
        let what = format!(
            "{place} takes the change at {version} for complete, and of the new voters only \
             {holders:?} hold the log through it"
        );
        Err(Violation::new("changes", what))
    }
}

/// A node tells the operator that the change which it was asked to make in place of `version` is made, by
/// the entry at `at`, and complete.
///
/// # Errors
///
/// If what is in force from there on is not what was asked for, replaces another version, or is not
/// complete.
pub fn made(
    choices: &Choices,
    place: Place,
    (version, asked): (Instance, &Membership),
    at: Instance,
) -> Verdict {
    let wrong = |what: String| {
        let what = format!("{place} says that {asked} is in force from {at} on, and {what}");
        Err(Violation::new("changes", what))
    };
    let Some(eras) = choices.eras(place.group) else { return wrong("nobody votes".to_owned()) };
    let (before, is) = (eras.version_at(at), eras.at(at.next()));
    if eras.version_at(at.next()) != at {
        return wrong("no change is made there".to_owned());
    }
    if before != version {
        return wrong(format!("it replaces {before}, asked for was {version}"));
    }
    let fits = |asked: &[Member], is: &[Member]| {
        let is_same = |(a, b): (&Member, &Member)| {
            a.node == b.node && (a.incarnation.0 == 0 || a.incarnation == b.incarnation)
        };
        asked.len() == is.len() && asked.iter().zip(is).all(is_same)
    };
    let is_asked = fits(asked.voters(), is.voters())
        && fits(asked.followers(), is.followers())
        && asked.book() == is.book();
    if !is_asked {
        return wrong(format!("there is {is}"));
    }
    if choices.prefix(place.group) <= at {
        return wrong("nothing is chosen above it, so it is not complete".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{ballot, choices, member, place, value};
    use super::*;
    use synod_core::{ClusterId, CommandKey, Incarnation, MembershipEntry, Value};

    /// #2 replaces the last of three members.
    fn changed() -> (Choices, Member) {
        let other = Member { incarnation: Incarnation(77), ..member(2) };
        let entry = MembershipEntry {
            key: CommandKey { origin: Incarnation(11), boot: 1, seq: 1 },
            cluster: ClusterId(1),
            version: Instance::ZERO,
            membership: Membership::new(vec![member(0), member(1), other], Vec::new()).unwrap(),
        };
        let mut choices = choices(3);
        for (at, value) in [(1, value(1)), (2, Value::of_membership(&entry))] {
            for node in [0, 2] {
                let who = member(node);
                choices.stored(0, who, Instance(at), ballot(1, 1), &value).unwrap();
            }
        }
        (choices, other)
    }

    fn learned(at: u64) -> Record {
        Record::Learned { instance: Instance(at), value: value(at) }
    }

    #[test]
    fn a_quorum_of_the_new_voters_holds_everything_through_the_entry() {
        let (choices, other) = changed();
        let mut changes = Changes::default();
        changes.synced(0, member(0), &[learned(1), learned(2)]);
        changes.synced(0, member(2), &[learned(1), learned(2)]);
        changes.synced(0, other, &[learned(2)]);
        let mut early = Changes::default();
        std::mem::swap(&mut early.held, &mut changes.held);
        assert!(early.complete(&choices, place(0), Instance(2)).is_err(), "an old one counts not");
        changes.held = early.held;
        changes.synced(0, other, &[learned(1)]);
        assert_eq!(changes.complete(&choices, place(0), Instance(2)), Ok(()));
    }

    #[test]
    fn what_was_asked_for_is_made_in_place_of_the_version_it_was_asked_for() {
        let (mut choices, other) = changed();
        let nobody = Member { incarnation: Incarnation(0), ..other };
        let of = |members: &[Member]| Membership::new(members.to_vec(), Vec::new()).unwrap();
        let (asked, at) = (of(&[member(0), member(1), nobody]), Instance(2));
        let made = |choices: &Choices, version, asked: &Membership, at| {
            made(choices, place(0), (Instance(version), asked), at)
        };
        assert!(made(&choices, 0, &asked, at).is_err(), "nothing is chosen above it");
        for node in [0, 1] {
            choices.stored(0, member(node), Instance(3), ballot(1, 1), &value(3)).unwrap();
        }
        assert_eq!(made(&choices, 0, &asked, at), Ok(()));
        assert!(made(&choices, 1, &asked, at).is_err(), "another version");
        assert!(made(&choices, 0, &of(&[member(0), member(1)]), at).is_err(), "other members");
        assert!(made(&choices, 0, &asked, Instance(3)).is_err(), "no change");
    }

    #[test]
    fn what_a_start_reads_is_held_and_a_checkpoint_stands_for_what_is_below() {
        let (choices, other) = changed();
        let mut changes = Changes::default();
        let chosen = Recovered { chosen: Instance(2), ..Recovered::default() };
        changes.recovered(0, member(1), &chosen);
        let state = bytes::Bytes::new();
        changes.synced(
            0,
            other,
            &[learned(3), Record::Checkpoint { instance: Instance(2), state }],
        );
        assert_eq!(changes.held[&(0, other)].upto, Instance(3));
        assert_eq!(changes.complete(&choices, place(0), Instance(2)), Ok(()));
    }
}
