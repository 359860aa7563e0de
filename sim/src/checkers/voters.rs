//! I4: whoever is not in the membership, node *and* incarnation, neither votes nor leads.
//!
//! That such a vote is never *counted* is heard as well: the disk of a node that does not vote
//! counts for nothing in [`choices`](super::choices), so a leader that counted it believes something
//! chosen that is not.

use synod_core::{Member, Message};

use super::choices::Choices;
use super::{PerPlace, Place, Verdict, Violation};

/// Which memory each node's member of each group has.
#[derive(Debug)]
pub struct Voters {
    now: PerPlace<Option<Member>>,
}

impl Voters {
    /// Nobody runs.
    #[must_use]
    pub fn new(nodes: usize, groups: usize) -> Self {
        Self { now: PerPlace::new(nodes, groups) }
    }

    /// A node's member of a group has this memory.
    pub fn is(&mut self, place: Place, me: Member) {
        *self.now.at(place) = Some(me);
    }

    /// Which memory a node's member of a group has, or had last.
    #[must_use]
    pub fn now(&self, place: Place) -> Option<Member> {
        *self.now.get(place)
    }

    /// Whether a node's member of a group votes on what is not chosen yet.
    #[must_use]
    pub fn votes(&self, choices: &Choices, place: Place) -> bool {
        let now = self.now(place).zip(choices.eras(place.group));
        now.is_some_and(|(me, eras)| eras.newest().voters().contains(&me))
    }

    /// A node puts a message on the wire.
    ///
    /// # Errors
    ///
    /// If only an acceptor, candidate or leader says that, and it is none, and never was: who has left
    /// may not know it yet. Nobody counts it then. A follower accepts as others do, and answers.
    pub fn said(&self, choices: &Choices, place: Place, me: Member, message: &Message) -> Verdict {
        let eras = choices.eras(place.group);
        let voted = eras.is_some_and(|eras| eras.ever(me));
        if voted || !speaks_as_acceptor(message) {
            return Ok(());
        }
        if answers_leader(message) && eras.is_some_and(|eras| eras.belonged(me)) {
            return Ok(()); // a follower, which nobody counts: see `mandates` and `choices`
        }
        let what = format!("{place} does not vote in its group, and says {message}");
        Err(Violation::new("voters", what))
    }
}

/// Whether that answers a candidate or leader, and grants no lease: what a follower may say as well.
const fn answers_leader(message: &Message) -> bool {
    matches!(
        message,
        Message::CanvassReply { .. }
            | Message::Promise(_)
            | Message::Behind { .. }
            | Message::Nack { .. }
            | Message::Accepted { .. }
            | Message::HeartbeatAck { .. }
    )
}

/// Whether only an acceptor, candidate or leader says that.
#[must_use]
pub const fn speaks_as_acceptor(message: &Message) -> bool {
    match message {
        Message::Canvass { .. }
        | Message::CanvassReply { .. }
        | Message::Prepare { .. }
        | Message::Promise(_)
        | Message::Behind { .. }
        | Message::Nack { .. }
        | Message::Accept { .. }
        | Message::Accepted { .. }
        | Message::Heartbeat { .. }
        | Message::HeartbeatAck { .. }
        | Message::Refused { .. }
        | Message::ReadPoint { .. }
        | Message::Lease { .. }
        | Message::Granted { .. }
        | Message::Release { .. }
        | Message::Hold { .. }
        | Message::Waits { .. }
        | Message::Transfer { .. } => true,
        Message::Learn { .. }
        | Message::Learned { .. }
        | Message::Voted { .. }
        | Message::Forward { .. }
        | Message::Held { .. }
        | Message::Digest { .. }
        | Message::Change { .. }
        | Message::ReadIndex { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{ballot, choices, member, place};
    use super::*;
    use synod_core::{ClusterId, Incarnation, Instance, Membership};

    #[test]
    fn a_vote_of_another_incarnation_is_heard() {
        let (one, ballot) = (Instance(1), ballot(1, 1));
        let accepted = Message::Accepted { ballot, first: one, last: one };
        let (choices, mut voters) = (choices(3), Voters::new(3, 1));
        assert!(!voters.votes(&choices, place(1)), "it does not run");
        voters.is(place(1), member(1));
        assert!(voters.votes(&choices, place(1)));
        assert_eq!(voters.said(&choices, place(1), member(1), &accepted), Ok(()));
        let other = Member { incarnation: Incarnation(99), ..member(1) };
        voters.is(place(1), other);
        assert!(!voters.votes(&choices, place(1)));
        assert!(voters.said(&choices, place(1), other, &accepted).is_err());
        let learn = Message::Learn { from: one, lost: false };
        assert_eq!(voters.said(&choices, place(1), other, &learn), Ok(()));
    }

    #[test]
    fn a_follower_answers_and_does_not_lead() {
        let (one, ballot) = (Instance(1), ballot(1, 2));
        let membership = Membership::new(vec![member(0)], vec![member(1)]).unwrap();
        let (mut choices, voters) = (Choices::new(1), Voters::new(3, 1));
        choices.founded(0, ClusterId(1), &membership);
        let accepted = Message::Accepted { ballot, first: one, last: one };
        assert_eq!(voters.said(&choices, place(1), member(1), &accepted), Ok(()));
        for message in [Message::Canvass { ballot }, Message::Granted { ballot, question: 1 }] {
            assert!(voters.said(&choices, place(1), member(1), &message).is_err());
        }
    }
}
