//! Which damage to disks a run may do so that the protocol still owes an answer.
//!
//! # The budget
//!
//! A node is *impaired* while what it knows as an acceptor is, or may be, incomplete. Of the n voters of
//! a membership at most f = ⌊(n − 1) / 2⌋ are ever impaired, so that the others are always a quorum
//! whose memory is whole. That holds for every membership that may still decide something, of any group:
//! the one in force, the one before it until the change is complete, and whatever an operator has asked
//! for that can still be made. So damage is counted against those who vote, an operator asks for nothing
//! that would leave too few whole voters, and to who is in none of these memberships anything may be done.
//! What that buys, by what was lost:
//!
//! - *A value, and the record of it is there* (rot in two blocks of a payload). The vote is known and is told as lost:
//!   a candidate does not fill that instance with something else on the word of this node. If the
//!   value was chosen, a quorum accepted it; at most f of those have lost it, so a good copy is
//!   left, and it is learned again. If it was not chosen, a quorum without any impaired node
//!   decides. So impaired nodes stay impaired until nothing of the rot is left on their disks.
//! - *The files of a checkpoint* (rot in them). Its log is cleaned below, so the node cannot execute
//!   until it has another's checkpoint. It votes on, but counts as impaired until a start finds all its
//!   checkpoints whole: others have to be able to help it.
//! - *A promise, or a record* (both headers of a batch that is vouched for, a wiped disk). The log
//!   notices, and the directory takes new incarnations: to the others it has stopped for good, and
//!   they are a quorum. It is impaired until a membership that names its new memory is chosen, and its
//!   own disk holds the log up to there; for the rest of the run if nobody swaps it in.
//! - *A record, and nothing says so* (a sync that lied, a write that went astray, an older disk put
//!   in). One such node is enough to choose two values, however small the minority: it may be the
//!   only one in common to two quorums. Trusting the disk promises nothing here, so these are drawn
//!   only where every start takes new incarnations, and what the disk forgot nobody relied on.
//!
//! # Copies that peers remember
//!
//! Where disks are trusted, an older disk is put in only with [`Budget::Remembered`], in runs where
//! nothing else is wrong, and only while every other node is up, connected, and would refuse the hello
//! that it makes (`hellos`): then nobody's answer helps it to a quorum, and the first refusal comes
//! long before an election timeout is over. So it takes new incarnations before it says a word.
//!
//! # The last batch
//!
//! A batch is whole with one bad place; but one that nothing vouches for is cut as torn if two of its
//! places are bad. Only the two newest segments of a disk can hold such a batch, so rot takes one place
//! in each of these, ever, or a stretch that ends before the last batch of the segment; and any number of
//! either in older ones.
//!
//! # Beyond the budget
//!
//! With [`Budget::Exceeded`] any number of nodes may be impaired, all at once if need be: the cluster
//! may refuse to serve for good, and must not serve wrong. What no log can notice stays out, since
//! no safety is left to check then: a record that is lost without a word where disks are trusted, and
//! two bad places in the last batch. Checkpoints stay whole, too: without any of them, and with the logs
//! cleaned, there is nothing left to look at. [`Budget::Unpromised`] allows these, too, and agreement breaks.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// How much damage a run may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Budget {
    /// As much as the protocol must survive.
    #[default]
    Within,
    /// The same, and older copies of a disk where all peers remember more, see above.
    Remembered,
    /// More, of what a log notices: the cluster may refuse to serve, and must not serve wrong.
    Exceeded,
    /// Whatever comes, of which no log notices some: nothing is promised where disks are trusted.
    Unpromised,
}

/// What a fault may cost a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Harm {
    /// Values, and the log knows which.
    Values,
    /// Votes, and the log knows.
    Votes,
    /// Votes, and the log may not know.
    Silent,
    /// Votes, and the log does not know, and everyone else does.
    Remembered,
}

/// The account of the damage of one run.
#[derive(Clone, Debug)]
pub struct Atlas {
    budget: Budget,
    /// The voters of each membership that may decide something.
    memberships: Vec<BTreeSet<usize>>,
    /// Whether every start takes new incarnations.
    is_rejoining: bool,
    impaired: BTreeSet<usize>,
    /// Which young segments rotted already, by node.
    rotten: BTreeSet<(usize, PathBuf)>,
}

impl Atlas {
    /// Nothing has happened yet to so many nodes, which vote.
    #[must_use]
    pub fn new(nodes: usize, budget: Budget, is_rejoining: bool) -> Self {
        let memberships = vec![(0..nodes).collect()];
        let (impaired, rotten) = (BTreeSet::new(), BTreeSet::new());
        Self { budget, memberships, is_rejoining, impaired, rotten }
    }

    /// These are the voters of each membership that may decide something from here on.
    pub fn voters(&mut self, memberships: Vec<BTreeSet<usize>>) {
        self.memberships = memberships;
    }

    /// Whether an operator may ask for a membership with these voters: whether enough of them are whole.
    #[must_use]
    pub fn allows_voters(&self, voters: &BTreeSet<usize>) -> bool {
        let is_bound = matches!(self.budget, Budget::Within | Budget::Remembered);
        !is_bound || voters.intersection(&self.impaired).count() <= spare(voters)
    }

    /// Whether this may be done to a node; if so, it counts as done.
    pub fn allows(&mut self, node: usize, harm: Harm) -> bool {
        let bears = |voters: &BTreeSet<usize>| {
            !voters.contains(&node) || voters.intersection(&self.impaired).count() < spare(voters)
        };
        let has_room = self.impaired.contains(&node) || self.memberships.iter().all(bears);
        let is_loud = matches!(harm, Harm::Values | Harm::Votes);
        let is_allowed = match self.budget {
            Budget::Within => has_room && (is_loud || self.is_rejoining),
            Budget::Remembered => {
                has_room && (is_loud || self.is_rejoining || harm == Harm::Remembered)
            }
            Budget::Exceeded => is_loud || self.is_rejoining,
            Budget::Unpromised => true,
        };
        if !is_allowed {
            return false;
        }
        self.impaired.insert(node);
        true
    }

    /// Whether this file of a node may rot; if so, it counts as done. A young one is one of the two
    /// newest segments.
    pub fn allows_rot(&mut self, node: usize, file: &Path, is_young: bool) -> bool {
        let young = || (node, file.to_owned());
        if self.budget != Budget::Unpromised && is_young && self.rotten.contains(&young()) {
            return false;
        }
        let is_allowed = self.allows(node, Harm::Values);
        if is_allowed && is_young {
            self.rotten.insert(young());
        }
        is_allowed
    }

    /// Nothing of the damage is left on a node's disk, and its votes are whole.
    pub fn repaired(&mut self, node: usize) {
        self.impaired.remove(&node);
    }
}

/// How many of these voters may be impaired.
fn spare(voters: &BTreeSet<usize>) -> usize {
    voters.len().saturating_sub(1) / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    fn atlas(nodes: usize) -> Atlas {
        Atlas::new(nodes, Budget::Within, false)
    }

    #[test]
    fn at_most_a_minority_is_impaired() {
        for (nodes, spare) in [(1, 0), (2, 0), (3, 1), (4, 1), (5, 2)] {
            let mut atlas = atlas(nodes);
            let allowed = (0..nodes).filter(|&node| atlas.allows(node, Harm::Values)).count();
            assert_eq!(allowed, spare, "{nodes} nodes");
            assert_eq!(atlas.allows(0, Harm::Votes), spare > 0, "the same node again");
        }
    }

    #[test]
    fn who_is_repaired_makes_room_for_another() {
        let mut atlas = atlas(3);
        assert!(atlas.allows(2, Harm::Values));
        assert!(!atlas.allows(0, Harm::Values));
        atlas.repaired(2);
        assert!(atlas.allows(0, Harm::Values));
    }

    #[test]
    fn who_votes_now_is_counted_and_so_is_who_may_vote_soon() {
        let mut atlas = atlas(3);
        assert!(atlas.allows(2, Harm::Votes));
        let of = |voters: &[usize]| voters.iter().copied().collect::<BTreeSet<usize>>();
        assert!(atlas.allows_voters(&of(&[0, 1, 2])));
        assert!(!atlas.allows_voters(&of(&[0, 2])), "of two none is to spare");
        assert!(!atlas.allows(1, Harm::Votes));
        atlas.voters(vec![of(&[0, 1, 3]), of(&[0, 1, 3, 4, 5])]);
        assert!(atlas.allows(1, Harm::Votes), "the impaired one votes no more");
        assert!(!atlas.allows(4, Harm::Votes) || !atlas.allows(5, Harm::Votes), "one of five is");
        assert!(!atlas.allows(3, Harm::Votes), "of the three in force one is already");
        assert!(atlas.allows(6, Harm::Votes), "it votes in none");
        assert!(Atlas::new(3, Budget::Exceeded, false).allows_voters(&of(&[0])));
    }

    #[test]
    fn what_is_lost_without_a_word_needs_new_incarnations() {
        assert!(!atlas(5).allows(1, Harm::Silent));
        assert!(Atlas::new(5, Budget::Within, true).allows(1, Harm::Silent));
    }

    #[test]
    fn a_copy_comes_back_where_all_remember_more_and_nothing_else_is_wrong() {
        for (budget, allowed) in [(Budget::Within, false), (Budget::Remembered, true)] {
            let mut atlas = Atlas::new(3, budget, false);
            assert!(!atlas.allows(1, Harm::Silent));
            assert_eq!(atlas.allows(1, Harm::Remembered), allowed);
            assert_eq!(atlas.allows(1, Harm::Remembered), allowed, "the same node again");
            assert!(!atlas.allows(2, Harm::Remembered) || !allowed, "one of three is enough");
        }
    }

    #[test]
    fn young_segments_rot_once() {
        let (old, young) = (Path::new("/log/1"), Path::new("/log/2"));
        let mut atlas = atlas(3);
        assert!(atlas.allows_rot(0, young, true));
        assert!(!atlas.allows_rot(0, young, true));
        assert!(atlas.allows_rot(0, old, false));
        assert!(atlas.allows_rot(0, old, false));
        assert!(!atlas.allows_rot(1, old, false), "another node");
    }

    #[test]
    fn beyond_the_budget_everything_is_allowed_that_a_log_notices() {
        let mut atlas = Atlas::new(3, Budget::Exceeded, false);
        let young = Path::new("/log/2");
        for node in 0..3 {
            assert!(atlas.allows_rot(node, young, true));
            assert!(!atlas.allows_rot(node, young, true));
            assert!(atlas.allows(node, Harm::Votes));
            assert!(!atlas.allows(node, Harm::Silent));
        }
        assert!(Atlas::new(3, Budget::Exceeded, true).allows(0, Harm::Silent));
    }

    #[test]
    fn where_nothing_is_promised_everything_is_allowed() {
        let mut atlas = Atlas::new(3, Budget::Unpromised, false);
        let young = Path::new("/log/2");
        for node in 0..3 {
            assert!(atlas.allows_rot(node, young, true));
            assert!(atlas.allows_rot(node, young, true));
            assert!(atlas.allows(node, Harm::Silent));
        }
    }
}
