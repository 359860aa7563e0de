//! I4, I6: who leads has the promises of a quorum of those who vote, and asks nobody to accept anything
//! before.
//!
//! A promise counts as one of the membership in force if a voter of that membership, with the memory that
//! is named there, put it on the wire. So a quorum that somebody filled up with a follower, with who was
//! removed, with who is not a member yet or with a memory that is gone shows when the leader begins, and
//! not only when a value is lost by it. For votes [`choices`](super::choices) says the same: the disks of
//! all these count for nothing there.

use std::collections::{BTreeMap, BTreeSet};

use synod_core::{Ballot, Instance, Member, Membership, Message, Role, Status};

use super::choices::Choices;
use super::eras::is_quorum;
use super::{Place, Verdict, Violation};

/// Who promised what.
#[derive(Debug, Default)]
pub struct Mandates {
    promised: BTreeMap<(usize, Ballot), BTreeSet<Member>>,
}

impl Mandates {
    /// A node puts a message on the wire.
    pub fn said(&mut self, group: usize, me: Member, message: &Message) {
        if let Message::Promise(promise) = message {
            self.promised.entry((group, promise.ballot)).or_default().insert(me);
        }
    }

    /// A node comes to lead, which knows so much of the log and of who votes.
    ///
    /// # Errors
    ///
    /// If in a membership that decides something above what it knows to be chosen no quorum has
    /// promised.
    pub fn leads(
        &self,
        choices: &Choices,
        place: Place,
        ballot: Ballot,
        status: &Status,
    ) -> Verdict {
        let Some(eras) = choices.eras(place.group) else { return Ok(()) };
        let mut deciding = eras.known(status.chosen.next(), status.version);
        deciding.try_for_each(|membership| self.is_held(place, ballot, membership, "leads"))
    }

    /// A leader asks others to accept something, which knows so much of who votes.
    ///
    /// # Errors
    ///
    /// If of those who vote on that instance, as far as the leader can know, no quorum has promised. One
    /// that leads no more may have learned meanwhile that others vote.
    pub fn proposes(
        &self,
        choices: &Choices,
        place: Place,
        (ballot, at): (Ballot, Instance),
        status: &Status,
    ) -> Verdict {
        let Some(eras) = choices.eras(place.group) else { return Ok(()) };
        if status.role != Role::Leader || status.leader != ballot {
            return Ok(());
        }
        let membership = eras.at(at.min(status.version.next()));
        self.is_held(place, ballot, membership, &format!("proposes at {at}"))
    }

    fn is_held(
        &self,
        place: Place,
        ballot: Ballot,
        membership: &Membership,
        does: &str,
    ) -> Verdict {
        let theirs = self.promised.get(&(place.group, ballot)).into_iter().flatten();
        // Its own promise is not put on the wire.
        let all: Vec<Member> = theirs.copied().chain([ballot.member()]).collect();
        if is_quorum(membership, &all) {
            return Ok(());
        }
        let what = format!(
            "{place} {does} in {ballot}, which of {membership} only {:?} have promised",
            all.iter().filter(|who| membership.voters().contains(who)).collect::<Vec<_>>()
        );
        Err(Violation::new("mandates", what))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{ballot, member, place};
    use super::*;
    use synod_core::{ClusterId, Incarnation, Promise};

    fn promise(mandates: &mut Mandates, who: Member, ballot: Ballot) {
        let (from, to) = (Instance(1), Instance::MAX);
        let promise = Promise { ballot, from, to, chosen: Instance::ZERO, entries: Vec::new() };
        mandates.said(0, who, &Message::Promise(promise));
    }

    fn status(role: Role, leader: Ballot) -> Status {
        Status {
            role,
            votes: true,
            removed: false,
            version: Instance::ZERO,
            changing: false,
            leader,
            promised: leader,
            chosen: Instance::ZERO,
            handed_out: Instance::ZERO,
            applied: Instance::ZERO,
            cleaned: Instance::ZERO,
            checkpoint: Instance::ZERO,
            digests_agreed: Instance::ZERO,
            log_differs: None,
            diverged: None,
            writes_in_flight: 0,
            proposals: 0,
            queued: 0,
            window: 0,
        }
    }

    #[test]
    fn only_voters_with_the_memory_that_is_named_fill_a_quorum() {
        let voters = [0, 1, 2].map(member).to_vec();
        let membership = Membership::new(voters, vec![member(3)]).unwrap();
        let mut choices = Choices::new(1);
        choices.founded(0, ClusterId(1), &membership);
        let (mut mandates, ballot) = (Mandates::default(), ballot(1, 1));
        let status = status(Role::Leader, ballot);
        let leads = |mandates: &Mandates| mandates.leads(&choices, place(0), ballot, &status);
        assert!(leads(&mandates).is_err(), "its own promise is one of three");
        promise(&mut mandates, member(3), ballot);
        assert!(leads(&mandates).is_err(), "a follower does not vote");
        promise(&mut mandates, Member { incarnation: Incarnation(77), ..member(1) }, ballot);
        assert!(leads(&mandates).is_err(), "another memory does not vote");
        let at = (ballot, Instance(1));
        assert!(mandates.proposes(&choices, place(0), at, &status).is_err());
        promise(&mut mandates, member(2), ballot);
        assert_eq!(leads(&mandates), Ok(()));
        assert_eq!(mandates.proposes(&choices, place(0), at, &status), Ok(()));
    }

    #[test]
    fn who_leads_no_more_is_not_asked() {
        let ballot = ballot(1, 1);
        let (choices, mandates) = (super::super::testing::choices(3), Mandates::default());
        let status = status(Role::Follower, ballot);
        let at = (ballot, Instance(1));
        assert_eq!(mandates.proposes(&choices, place(0), at, &status), Ok(()));
    }
}
