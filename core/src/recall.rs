//! Which value was chosen at an instance, from what voters say that they accepted there.

use crate::env::Env;
use crate::ids::{Ballot, Instance, Member};
use crate::membership::VoterSet;
use crate::value::Value;

/// The votes heard about one instance that is chosen, and of which this node's disk lost the value.
///
/// Which value it was follows from votes in two ways, though nobody who still has it knows it to be
/// chosen:
///
/// - *One vote in the ballot of the lost one.* In one ballot one value is proposed at an instance (P2b),
///   and what the log holds of a chosen instance is what was chosen. So this is it.
/// - *The highest vote of a quorum.* Nobody asks before the instance is chosen, so every vote told was
///   the last of its voter *after* that. Some ballot `b` chose the value: a quorum had accepted it then,
///   and every quorum shares a voter with that one. What this voter tells is of `b`, or of a higher
///   ballot. So is the highest vote told, and from `b` on every ballot proposes the chosen value (P2c).
///   Paxos Made Simple §2.2; it is phase 1 without its promises, which are needed only where the value
///   may not be chosen yet.
///
/// The lost vote of this node counts for the quorum, since the highest vote is above it: had this node
/// been the shared voter, `b` would be its ballot or below. A vote below the lost one says nothing, for
/// the value of the highest is what was lost.
#[derive(Debug, Default)]
pub(crate) struct Recall {
    instance: Instance,
    /// In which ballot this node had accepted the value; zero if that is not known.
    lost: Ballot,
    /// Whose votes are known.
    voters: VoterSet,
    highest: Option<(Ballot, Value)>,
}

impl Recall {
    /// The value of this instance is asked for, which was accepted here in the ballot `lost`.
    pub(crate) fn is_of(&mut self, instance: Instance, lost: Ballot, env: &Env) {
        if (self.instance, self.lost) == (instance, lost) {
            return;
        }
        *self = Self { instance, lost, ..Self::default() };
        if lost > Ballot::ZERO {
            self.count(env.me, env);
        }
    }

    /// A voter accepted this last. The value that was chosen, if that is clear now.
    pub(crate) fn on_vote(
        &mut self,
        from: Member,
        instance: Instance,
        (ballot, value): (Ballot, Value),
        env: &Env,
    ) -> Option<Value> {
        if instance != self.instance || ballot == Ballot::ZERO {
            return None;
        }
        if ballot == self.lost {
            mark!(RECALLED_BY_BALLOT);
            return Some(value);
        }
        if !self.count(from, env) {
            return None;
        }
        if self.highest.as_ref().is_none_or(|(highest, _)| ballot > *highest) {
            self.highest = Some((ballot, value));
        }
        let (highest, value) = self.highest.as_ref()?;
        if *highest < self.lost || !env.history.at(instance).is_quorum(self.voters) {
            return None;
        }
        mark!(RECALLED_BY_A_QUORUM);
        Some(value.clone())
    }

    /// Whether it votes there at all.
    fn count(&mut self, member: Member, env: &Env) -> bool {
        let slot = env.history.at(self.instance).slot(member);
        if let Some(slot) = slot {
            self.voters.insert(slot);
        }
        slot.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Kit, ballot, member, value};

    const AT: Instance = Instance(4);

    struct Bench {
        kit: Kit,
        recall: Recall,
    }

    impl Bench {
        fn new(nodes: u64, lost: Ballot) -> Self {
            let (kit, mut recall) = (Kit::new(nodes), Recall::default());
            recall.is_of(AT, lost, &kit.env);
            Self { kit, recall }
        }

        fn vote(&mut self, from: u64, round: u64, said: u64) -> Option<Value> {
            self.recall.on_vote(member(from), AT, (ballot(round, 1), value(said)), &self.kit.env)
        }
    }

    #[test]
    fn one_vote_in_the_lost_ballot_is_enough() {
        let mut bench = Bench::new(5, ballot(3, 1));
        assert_eq!(bench.vote(2, 2, 7), None);
        assert_eq!(bench.vote(3, 3, 8), Some(value(8)));
    }

    #[test]
    fn the_highest_vote_of_a_quorum_is_what_was_chosen() {
        let mut bench = Bench::new(5, Ballot::ZERO);
        assert_eq!(bench.vote(2, 2, 7), None);
        assert_eq!(bench.vote(3, 4, 8), None);
        assert_eq!(bench.vote(3, 4, 8), None, "the same voter again");
        assert_eq!(bench.vote(9, 9, 9), None, "who does not vote there");
        bench.recall.is_of(AT, Ballot::ZERO, &bench.kit.env);
        assert_eq!(bench.vote(4, 1, 6), Some(value(8)));
    }

    #[test]
    fn the_lost_vote_counts_below_the_highest_and_hides_what_is_below_itself() {
        let mut bench = Bench::new(3, ballot(3, 1));
        assert_eq!(bench.vote(2, 2, 7), None, "the lost one is the highest of this quorum");
        assert_eq!(bench.vote(3, 1, 6), None, "and of all");
        assert_eq!(bench.vote(2, 4, 8), Some(value(8)));
    }

    #[test]
    fn votes_about_another_instance_are_of_no_use() {
        let mut bench = Bench::new(3, Ballot::ZERO);
        assert_eq!(bench.vote(2, 2, 7), None);
        bench.recall.is_of(AT.next(), Ballot::ZERO, &bench.kit.env);
        assert_eq!(bench.vote(3, 2, 7), None);
        bench.recall.is_of(AT, Ballot::ZERO, &bench.kit.env);
        assert_eq!(bench.vote(3, 2, 7), None, "it was forgotten");
    }
}
