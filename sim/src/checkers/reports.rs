//! M2: a promise reports everything that the node ever said it accepted.

use synod_core::{Ballot, Instance, Promise, Report};

use super::{PerPlace, Place, Verdict, Violation};
use crate::rng::{to_index, to_u64};

/// The highest ballot in which each node said `Accepted`, by instance from 1.
#[derive(Debug)]
pub struct Reports {
    accepted: PerPlace<Vec<Ballot>>,
}

impl Reports {
    /// Nobody has accepted anything.
    #[must_use]
    pub fn new(nodes: usize, groups: usize) -> Self {
        Self { accepted: PerPlace::new(nodes, groups) }
    }

    /// A node's member of a group is another acceptor from here on.
    pub fn reborn(&mut self, place: Place) {
        self.accepted.at(place).clear();
    }

    /// A node says that it accepted these instances.
    pub fn accepted(&mut self, place: Place, ballot: Ballot, first: Instance, last: Instance) {
        let accepted = self.accepted.at(place);
        let (first, last) = (to_index(first.0.max(1)), to_index(last.0));
        if accepted.len() < last {
            accepted.resize(last, Ballot::ZERO);
        }
        for held in &mut accepted[first - 1..last] {
            *held = ballot.max(*held);
        }
    }

    /// A node reports what it accepted in `from..=to`, page by page.
    ///
    /// # Errors
    ///
    /// If the page leaves out an instance that it said it had accepted, or names it with a lower
    /// ballot.
    pub fn promise(&mut self, place: Place, promise: &Promise) -> Verdict {
        let accepted = self.accepted.at(place);
        let from = to_index(promise.from.0.max(1));
        let to = promise.to.0.min(to_u64(accepted.len()));
        let mut entries = promise.entries.iter().peekable();
        for at in to_u64(from)..=to {
            let said = accepted[to_index(at) - 1];
            while entries.peek().is_some_and(|entry| entry.instance.0 < at) {
                entries.next();
            }
            if said == Ballot::ZERO {
                continue;
            }
            let reported = entries.peek().filter(|entry| entry.instance.0 == at);
            let is_told = match reported.map(|entry| &entry.entry) {
                None => false,
                Some(Report::Chosen(_)) => true,
                Some(Report::Accepted(ballot, _) | Report::Lost(ballot)) => *ballot >= said,
            };
            if !is_told {
                let what = format!(
                    "{place} said that it accepted #{at} in {said}, and promises {} with {}",
                    promise.ballot,
                    reported.map_or_else(|| "nothing there".to_owned(), |e| format!("{e:?}")),
                );
                return Err(Violation::new("reports", what));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{ballot, place, value};
    use super::*;
    use synod_core::Reported;

    fn page(from: u64, to: u64, entries: &[(u64, Report)]) -> Promise {
        let entries = entries
            .iter()
            .map(|(at, entry)| Reported { instance: Instance(*at), entry: entry.clone() });
        Promise {
            ballot: ballot(9, 2),
            from: Instance(from),
            to: Instance(to),
            chosen: Instance::ZERO,
            entries: entries.collect(),
        }
    }

    fn voted() -> Reports {
        let mut reports = Reports::new(3, 1);
        reports.accepted(place(0), ballot(2, 1), Instance(3), Instance(5));
        reports
    }

    #[test]
    fn what_is_reported_chosen_lost_or_at_a_higher_ballot_is_told() {
        let entries = [
            (3, Report::Chosen(value(1))),
            (4, Report::Accepted(ballot(3, 1), value(1))),
            (5, Report::Lost(ballot(2, 1))),
        ];
        assert_eq!(voted().promise(place(0), &page(1, u64::MAX, &entries)), Ok(()));
        assert_eq!(voted().promise(place(0), &page(5, u64::MAX, &entries[2..])), Ok(()));
        assert_eq!(voted().promise(place(0), &page(1, 3, &entries[..1])), Ok(()), "a page");
        assert_eq!(voted().promise(place(1), &page(1, u64::MAX, &[])), Ok(()), "another node");
    }

    #[test]
    fn a_vote_left_out_is_heard() {
        let entries =
            [(3, Report::Chosen(value(1))), (5, Report::Accepted(ballot(2, 1), value(1)))];
        let violation = voted().promise(place(0), &page(1, u64::MAX, &entries)).unwrap_err();
        assert!(violation.what.contains("accepted #4 in 2.1"), "{violation}");
    }

    #[test]
    fn a_vote_reported_at_a_lower_ballot_is_heard() {
        let lower = Report::Accepted(ballot(1, 3), value(1));
        assert!(voted().promise(place(0), &page(3, 3, &[(3, lower)])).is_err());
    }
}
