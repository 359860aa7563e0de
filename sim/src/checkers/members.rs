//! What the rules are told and know of who votes.

use synod_core::{Ballot, Instance, Member, Membership, Status};

use super::{Checkers, Place, changes, eras};
use crate::node::node_id;

impl Checkers {
    /// Whether the disk of a voter lost or changed what it had synced: then what it gives back proves
    /// nothing. Of who does not vote, nor ever did since, nobody relied on anything.
    #[must_use]
    pub fn is_damaged(&self) -> bool {
        let voted = |&(group, who, since): &(usize, Member, Instance)| {
            let mut eras = self.choices.eras(group).into_iter().flat_map(|eras| eras.since(since));
            eras.any(|membership| membership.voters().contains(&who))
        };
        self.is_damaged || self.strays.iter().any(voted)
    }

    /// The disk of a node lost or changed what it had synced: that of the memory that it had.
    pub(super) fn damaged(&mut self, place: Place) {
        match (self.voters.now(place), self.choices.eras(place.group)) {
            (Some(who), Some(_)) => {
                self.strays.push((place.group, who, self.choices.prefix(place.group)));
            }
            // Its groups never ran.
            (None, Some(eras)) if eras.at(Instance(1)).of(node_id(place.node)).is_none() => {}
            (Some(_) | None, _) => self.is_damaged = true,
        }
    }

    /// The version of the membership that decides what is not chosen yet in a group.
    #[must_use]
    pub fn version(&self, group: usize) -> Instance {
        self.choices.eras(group).map_or(Instance::ZERO, eras::Eras::version)
    }

    /// Whether a node's member of a group votes: whether a membership names the memory that it has.
    #[must_use]
    pub fn votes(&self, place: Place) -> bool {
        self.voters.votes(&self.choices, place)
    }

    /// Whether a node's member of a group votes as far as it can know itself: in a membership that
    /// decides `chosen` or something above, up to this version.
    #[must_use]
    pub fn voted(&self, place: Place, chosen: Instance, version: Instance) -> bool {
        let now = self.voters.now(place).zip(self.choices.eras(place.group));
        now.is_some_and(|(me, eras)| {
            eras.known(chosen, version).any(|membership| membership.voters().contains(&me))
        })
    }

    /// Whether a node's member of a group is a voter or follower, with the memory that it has.
    #[must_use]
    pub fn belongs(&self, place: Place) -> bool {
        let now = self.voters.now(place).zip(self.choices.eras(place.group));
        now.is_some_and(|(me, eras)| eras.newest().of(me.node) == Some(me))
    }

    /// Which memory a node's member of a group has, or had last.
    #[must_use]
    pub fn memory(&self, place: Place) -> Option<Member> {
        self.voters.now(place)
    }

    /// A node knows that a change of the membership is complete.
    pub fn completed(&mut self, place: Place, version: Instance) {
        let verdict = self.changes.complete(&self.choices, place, version);
        self.note(verdict);
    }

    /// A node tells the operator that a change is made.
    pub fn made(&mut self, place: Place, asked: (Instance, &Membership), at: Instance) {
        let verdict = changes::made(&self.choices, place, asked, at);
        self.note(verdict);
    }

    /// A node comes to lead.
    pub fn leads(&mut self, place: Place, ballot: Ballot, status: &Status) {
        let verdict = self.mandates.leads(&self.choices, place, ballot, status);
        self.note(verdict);
    }

    /// A node asks others to accept something at an instance.
    pub fn proposes(&mut self, place: Place, ballot: Ballot, at: Instance, status: &Status) {
        let verdict = self.mandates.proposes(&self.choices, place, (ballot, at), status);
        self.note(verdict);
    }
}
