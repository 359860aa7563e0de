//! I4: whoever is not in the membership, node *and* incarnation, neither votes nor leads.
//!
//! That such a vote is never *counted* is heard as well: the disk of a node that does not vote
//! counts for nothing in [`choices`](super::choices), so a leader that counted it believes something
//! chosen that is not.

use synod_core::Message;

use super::{PerPlace, Place, Verdict, Violation};

/// Who has an incarnation that no membership lists.
#[derive(Debug)]
pub struct Voters {
    outside: PerPlace<bool>,
}

impl Voters {
    /// Everyone votes.
    #[must_use]
    pub fn new(nodes: usize, groups: usize) -> Self {
        Self { outside: PerPlace::new(nodes, groups) }
    }

    /// A node's member of a group has a new incarnation.
    pub fn outside(&mut self, place: Place) {
        *self.outside.at(place) = true;
    }

    /// A node's member of a group is in what its cluster was founded from.
    pub fn seated(&mut self, place: Place) {
        *self.outside.at(place) = false;
    }

    /// Whether a node's member of a group votes.
    pub fn votes(&mut self, place: Place) -> bool {
        !*self.outside.at(place)
    }

    /// A node puts a message on the wire.
    ///
    /// # Errors
    ///
    /// If only an acceptor, candidate or leader says that, and it is none.
    pub fn said(&mut self, place: Place, message: &Message) -> Verdict {
        if !self.votes(place) && speaks_as_acceptor(message) {
            let what = format!("{place} does not vote in its group, and says {message}");
            return Err(Violation::new("voters", what));
        }
        Ok(())
    }
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
        | Message::Change { .. }
        | Message::ReadIndex { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{ballot, place};
    use super::*;
    use synod_core::Instance;

    #[test]
    fn a_vote_of_another_incarnation_is_heard() {
        let (one, ballot) = (Instance(1), ballot(1, 1));
        let accepted = Message::Accepted { ballot, first: one, last: one };
        let mut voters = Voters::new(3, 1);
        assert_eq!(voters.said(place(1), &accepted), Ok(()));
        voters.outside(place(1));
        assert!(voters.said(place(1), &accepted).is_err());
        assert_eq!(voters.said(place(2), &accepted), Ok(()), "another node");
        assert_eq!(voters.said(place(1), &Message::Learn { from: one, lost: false }), Ok(()));
    }
}
