//! Votes follow the disk: what a node says about its disk is on it, and what is on it stays.
//!
//! That holds of chosen values, too: where a disk has one that its node knows to be chosen, only rot takes
//! it away. A vote for another value there would be one that Paxos allows, and the chosen value would
//! have one copy less.
//!
//! The shadow of each disk holds what successful syncs brought. It is kept apart from everything
//! that the node itself believes, and now and then the world compares it with what recovery would
//! really read from the durable image.

use std::collections::{BTreeMap, BTreeSet};

use synod_core::{Ballot, Instance, Promise, Record, Recovered, Report, Value};

use super::{PerPlace, Place, Verdict, Violation};
use crate::rng::{to_index, to_u64};

/// What is durable, by node and group.
#[derive(Debug)]
pub struct Disk {
    shadows: PerPlace<Shadow>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Shadow {
    promised: Ballot,
    /// By instance from 1.
    accepted: Vec<Ballot>,
    /// Accepted in a batch whose sync the power loss overtook: a start found the record, and not its
    /// value. Nobody was told of that vote, and it counts all the same.
    torn: BTreeSet<Instance>,
    /// Where a chosen value was learned, durably, in place of a vote.
    learned: BTreeSet<Instance>,
    /// The values among these that the process of now knows to be chosen: what it learned, and what a
    /// start gave back as learned above a gap.
    known: BTreeMap<Instance, Value>,
    /// The disk was harmed: values may be lost.
    may_lose: bool,
}

impl Disk {
    /// Empty disks.
    #[must_use]
    pub fn new(nodes: usize, groups: usize) -> Self {
        Self { shadows: PerPlace::new(nodes, groups) }
    }

    /// Values may be missing from here on, but not the records that say that there were some.
    pub fn harmed(&mut self, place: Place) {
        self.shadows.at(place).may_lose = true;
    }

    /// All values are there again, and none may be missing any more.
    pub fn mended(&mut self, place: Place) {
        let shadow = self.shadows.at(place);
        if shadow.may_lose {
            shadow.may_lose = false;
            shadow.torn.clear();
        }
    }

    /// A node's member of a group is another acceptor from here on, whose disk holds nothing.
    pub fn reborn(&mut self, place: Place) {
        *self.shadows.at(place) = Shadow::default();
    }

    /// A sync of these records succeeded.
    ///
    /// # Errors
    ///
    /// If one of them is a vote for another value than the one that is known to be chosen there.
    pub fn synced(&mut self, place: Place, records: &[Record]) -> Verdict {
        let shadow = self.shadows.at(place);
        for record in records {
            match record {
                Record::Promised(ballot) => shadow.promised = shadow.promised.max(*ballot),
                Record::Accepted { instance, ballot, value } => {
                    let known = shadow.known.remove(instance);
                    if let Some(known) = known.filter(|known| known != value) {
                        let what = format!(
                            "{place} accepts {instance} {value} in {ballot}, where its disk held {known}, \
                             which it learned"
                        );
                        return Err(Violation::new("disk", what));
                    }
                    shadow.accept(*instance, *ballot);
                    shadow.torn.remove(instance);
                }
                Record::Learned { instance, value } => {
                    shadow.torn.remove(instance);
                    shadow.learned.insert(*instance);
                    shadow.known.insert(*instance, value.clone());
                }
                Record::Chosen(_)
                | Record::Cleaned(_)
                | Record::Membership(_)
                | Record::Lease(_)
                | Record::Checkpoint { .. } => {}
            }
        }
        Ok(())
    }

    /// A node read this from its disk at a start: it is on the disk now.
    ///
    /// # Errors
    ///
    /// If something is missing that was synced: the log lost it.
    pub fn recovered(&mut self, place: Place, recovered: &Recovered) -> Verdict {
        self.read_back(place, recovered)?;
        let shadow = self.shadows.at(place);
        shadow.promised = recovered.promised;
        shadow.known.clear();
        for stored in &recovered.entries {
            shadow.accept(stored.instance, stored.ballot);
            match &stored.value {
                None => {
                    shadow.torn.insert(stored.instance);
                }
                Some(value) if stored.ballot == Ballot::ZERO => {
                    shadow.learned.insert(stored.instance);
                    shadow.known.insert(stored.instance, value.clone());
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    /// This is what a node would read from its disk.
    ///
    /// # Errors
    ///
    /// If something is missing that was synced: the log lost it.
    pub fn read_back(&mut self, place: Place, recovered: &Recovered) -> Verdict {
        let shadow = self.shadows.at(place);
        if recovered.promised < shadow.promised {
            let what = format!(
                "{place} synced promise {}, and its log gives back {}",
                shadow.promised, recovered.promised
            );
            return Err(Violation::new("disk", what));
        }
        let mut stored = recovered.entries.iter().peekable();
        let open = to_index(recovered.chosen.0);
        for at in open..shadow.accepted.len() {
            let instance = Instance(to_u64(at) + 1);
            while stored.peek().is_some_and(|stored| stored.instance < instance) {
                stored.next();
            }
            let synced = shadow.accepted[at];
            if synced == Ballot::ZERO {
                continue;
            }
            let back = stored.peek().filter(|stored| stored.instance == instance);
            let is_there = back.is_some_and(|stored| {
                let is_learned = stored.ballot == Ballot::ZERO;
                // A batch that the power loss overtook may have been to replace what was synced.
                let is_later = if is_learned {
                    !shadow.learned.contains(&instance)
                } else {
                    stored.ballot > synced
                };
                let may_lose = shadow.may_lose || shadow.torn.contains(&instance) || is_later;
                let is_whole = stored.value.is_some() || may_lose;
                is_whole && (is_learned || stored.ballot >= synced)
            });
            if !is_there {
                let what = format!(
                    "{place} synced {instance} accepted in {synced}, and its log gives back {back:?}"
                );
                return Err(Violation::new("disk", what));
            }
        }
        Ok(())
    }

    /// A node says that it runs for `ballot`.
    ///
    /// # Errors
    ///
    /// If it could take the same ballot again after a crash.
    pub fn prepare(&mut self, place: Place, ballot: Ballot) -> Verdict {
        let promised = self.shadows.at(place).promised;
        if promised < ballot {
            let what = format!("{place} prepares {ballot}, and its disk has promised {promised}");
            return Err(Violation::new("disk", what));
        }
        Ok(())
    }

    /// A node says that it promised, and what it holds.
    ///
    /// # Errors
    ///
    /// If its disk has not promised, or does not hold it.
    pub fn promise(&mut self, place: Place, promise: &Promise) -> Verdict {
        let shadow = self.shadows.at(place);
        if shadow.promised < promise.ballot {
            let what = format!(
                "{place} promises {}, and its disk has promised {}",
                promise.ballot, shadow.promised
            );
            return Err(Violation::new("disk", what));
        }
        for reported in &promise.entries {
            if let Report::Accepted(ballot, _) = &reported.entry {
                shadow.holds(place, reported.instance, *ballot, "reports")?;
            }
        }
        Ok(())
    }

    /// A node says that it accepted these instances.
    ///
    /// # Errors
    ///
    /// If its disk has not.
    pub fn accepted(
        &mut self,
        place: Place,
        ballot: Ballot,
        first: Instance,
        last: Instance,
    ) -> Verdict {
        let shadow = self.shadows.at(place);
        (first.0..=last.0).try_for_each(|at| shadow.holds(place, Instance(at), ballot, "says"))
    }
}

impl Shadow {
    fn accept(&mut self, at: Instance, ballot: Ballot) {
        let place = to_index(at.prev().0);
        if self.accepted.len() <= place {
            self.accepted.resize(place + 1, Ballot::ZERO);
        }
        self.accepted[place] = self.accepted[place].max(ballot);
    }

    fn holds(&self, place: Place, at: Instance, ballot: Ballot, doing: &str) -> Verdict {
        let held = self.accepted.get(to_index(at.prev().0)).copied().unwrap_or(Ballot::ZERO);
        if held < ballot {
            let what =
                format!("{place} {doing} that it accepted {at} in {ballot}, and its disk {held}");
            return Err(Violation::new("disk", what));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{ballot, place, value};
    use super::*;
    use synod_core::{Reported, Stored};

    fn synced() -> Disk {
        let mut disk = Disk::new(3, 1);
        let accepted =
            Record::Accepted { instance: Instance(2), ballot: ballot(2, 1), value: value(1) };
        disk.synced(place(0), &[Record::Promised(ballot(3, 1)), accepted]).unwrap();
        disk
    }

    fn promise(round: u64, at: u64) -> Promise {
        let entry = Report::Accepted(ballot(2, 1), value(1));
        Promise {
            ballot: ballot(round, 1),
            from: Instance(1),
            to: Instance::MAX,
            chosen: Instance::ZERO,
            entries: vec![Reported { instance: Instance(at), entry }],
        }
    }

    #[test]
    fn what_was_synced_may_be_said() {
        let mut disk = synced();
        assert_eq!(disk.prepare(place(0), ballot(3, 1)), Ok(()));
        assert_eq!(disk.promise(place(0), &promise(3, 2)), Ok(()));
        assert_eq!(disk.accepted(place(0), ballot(2, 1), Instance(2), Instance(2)), Ok(()));
    }

    #[test]
    fn what_was_not_synced_may_not() {
        let mut disk = synced();
        assert!(disk.prepare(place(0), ballot(4, 1)).is_err());
        assert!(disk.promise(place(0), &promise(4, 2)).is_err());
        assert!(disk.promise(place(0), &promise(3, 1)).is_err());
        assert!(disk.accepted(place(0), ballot(2, 1), Instance(2), Instance(3)).is_err());
        assert!(disk.accepted(place(0), ballot(3, 1), Instance(2), Instance(2)).is_err());
        assert!(disk.prepare(place(1), ballot(1, 2)).is_err(), "another disk");
    }

    #[test]
    fn a_vote_that_was_never_synced_may_come_back_without_its_value() {
        let stored = |at, value| Stored { instance: Instance(at), ballot: ballot(2, 1), value };
        let log = |entries| Recovered { promised: ballot(3, 1), entries, ..Recovered::default() };
        let mut disk = synced();
        let torn = log(vec![stored(2, Some(value(1))), stored(3, None)]);
        assert_eq!(disk.recovered(place(0), &torn), Ok(()));
        assert_eq!(disk.recovered(place(0), &torn), Ok(()), "and again");
        let without = log(vec![stored(2, Some(value(1)))]);
        assert!(disk.read_back(place(0), &without).is_err(), "the vote counts");
        let learned = Record::Learned { instance: Instance(3), value: value(2) };
        disk.synced(place(0), &[learned]).unwrap();
        assert!(disk.read_back(place(0), &torn).is_err(), "the value was learned again");
    }

    #[test]
    fn what_was_to_replace_a_vote_may_come_back_without_its_value_until_it_is_synced() {
        let lost = |ballot| Stored { instance: Instance(2), ballot, value: None };
        let log = |ballot| Recovered {
            promised: super::super::testing::ballot(3, 1),
            entries: vec![lost(ballot)],
            ..Recovered::default()
        };
        let disk = &mut synced();
        assert_eq!(disk.read_back(place(0), &log(Ballot::ZERO)), Ok(()), "while it was learned");
        assert_eq!(disk.read_back(place(0), &log(ballot(3, 1))), Ok(()), "in a later ballot");
        assert!(disk.read_back(place(0), &log(ballot(2, 1))).is_err(), "that one was synced");
        let learned = Record::Learned { instance: Instance(2), value: value(1) };
        disk.synced(place(0), &[learned]).unwrap();
        assert!(disk.read_back(place(0), &log(Ballot::ZERO)).is_err(), "so was this one");
    }

    #[test]
    fn a_learned_value_is_not_voted_over_unless_a_start_lost_it() {
        let accepted = |seq| Record::Accepted {
            instance: Instance(3),
            ballot: ballot(3, 1),
            value: value(seq),
        };
        let learned = || {
            let mut disk = synced();
            let learned = Record::Learned { instance: Instance(3), value: value(2) };
            disk.synced(place(0), &[learned]).unwrap();
            disk
        };
        assert_eq!(learned().synced(place(0), &[accepted(2)]), Ok(()));
        assert!(learned().synced(place(0), &[accepted(9)]).is_err());
        let voted = Stored { instance: Instance(2), ballot: ballot(2, 1), value: Some(value(1)) };
        let above = |value| Stored { instance: Instance(3), ballot: Ballot::ZERO, value };
        let started = |value| {
            let entries = vec![voted.clone(), above(value)];
            let log = Recovered { promised: ballot(3, 1), entries, ..Recovered::default() };
            let mut disk = learned();
            disk.harmed(place(0));
            disk.recovered(place(0), &log).unwrap();
            disk
        };
        assert!(started(Some(value(2))).synced(place(0), &[accepted(9)]).is_err());
        assert_eq!(started(None).synced(place(0), &[accepted(9)]), Ok(()));
    }

    #[test]
    fn a_value_may_be_lost_only_while_the_disk_is_harmed() {
        let lost = Stored { instance: Instance(2), ballot: ballot(2, 1), value: None };
        let log = |entries| Recovered { promised: ballot(3, 1), entries, ..Recovered::default() };
        let mut disk = synced();
        assert!(disk.read_back(place(0), &log(vec![lost.clone()])).is_err());
        disk.harmed(place(0));
        assert_eq!(disk.read_back(place(0), &log(vec![lost.clone()])), Ok(()));
        assert!(disk.read_back(place(0), &log(vec![])).is_err(), "but not silently");
        disk.mended(place(0));
        assert!(disk.read_back(place(0), &log(vec![lost])).is_err());
    }

    #[test]
    fn a_log_that_lost_a_synced_record_is_noticed() {
        let entry = |round| Stored {
            instance: Instance(2),
            ballot: ballot(round, 1),
            value: Some(value(1)),
        };
        let log = |round, entries| Recovered {
            promised: ballot(round, 1),
            entries,
            ..Recovered::default()
        };
        assert_eq!(synced().recovered(place(0), &log(3, vec![entry(2)])), Ok(()));
        assert!(synced().recovered(place(0), &log(2, vec![entry(2)])).is_err());
        assert!(synced().recovered(place(0), &log(3, vec![])).is_err());
        assert!(synced().recovered(place(0), &log(3, vec![entry(1)])).is_err());
        let below_the_chosen_prefix = Recovered { chosen: Instance(2), ..log(3, vec![]) };
        assert_eq!(synced().recovered(place(0), &below_the_chosen_prefix), Ok(()));
    }
}
