//! Which memories vote, which disks were damaged, and what is said of changes: what several rules ask.

use synod_core::{Ballot, Instance, Member, Membership, Recovered, Status};

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

    /// A node's member of a group has a new incarnation: it is another acceptor, which has said
    /// nothing, holds nothing, and does not vote until a membership names it. What the old one said and
    /// stored stands.
    pub fn reborn(&mut self, place: Place, me: Member) {
        self.damaged(place);
        self.promises.reborn(place);
        self.reports.reborn(place);
        self.disk.reborn(place);
        self.voters.is(place, me);
    }

    /// A process has this memory of a group.
    pub fn remembers(&mut self, place: Place, me: Member) {
        self.voters.is(place, me);
    }

    /// Something happened to a node's disk: values may be lost, but not what was promised.
    pub fn harmed(&mut self, place: Place) {
        self.damaged(place);
        self.disk.harmed(place);
    }

    /// Nothing is left of what was done to a node's disk: from here on it loses nothing.
    pub fn mended(&mut self, place: Place) {
        self.disk.mended(place);
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
    /// decides `from` or something above, up to this version.
    #[must_use]
    pub fn voted(&self, place: Place, from: Instance, version: Instance) -> bool {
        let now = self.voters.now(place).zip(self.choices.eras(place.group));
        now.is_some_and(|(me, eras)| {
            eras.known(from, version).any(|membership| membership.voters().contains(&me))
        })
    }

    /// From which instance on a node that starts knows who decides. A checkpoint tells only who decides what
    /// comes behind it: who has installed one right at the entry of a change knows nothing of who voted
    /// before, and needs not.
    #[must_use]
    pub fn known_from(recovered: &Recovered) -> Instance {
        let Recovered { chosen, checkpoint, history, .. } = recovered;
        let is_told = checkpoint.as_ref().is_some_and(|(at, _)| at == chosen);
        let history = history.as_ref().filter(|_| is_told);
        history.map_or(*chosen, |history| history.version_at(*chosen).next().max(*chosen))
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
