//! Who votes: memberships, each from some instance on, and what a quorum of one is.

mod code;
mod entry;
mod history;

use alloc::vec::Vec;

use bytes::Bytes;
use thiserror::Error;

use crate::ids::{Incarnation, Member, NodeId};

pub use entry::MembershipEntry;
pub use history::History;

/// A set of voters, as bits in the order of [`Membership::voters`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VoterSet(u64);

impl VoterSet {
    /// Adds the voter in `slot`; returns whether it was new. Adding one twice changes nothing, so a
    /// vote counts once per voter (I4).
    pub fn insert(&mut self, slot: usize) -> bool {
        let bit = 1 << slot;
        let new = self.0 & bit == 0;
        self.0 |= bit;
        new
    }

    /// Whether the voter in `slot` is in the set.
    #[must_use]
    pub const fn contains(self, slot: usize) -> bool {
        self.0 & (1 << slot) != 0
    }

    /// How many voters the set has.
    #[must_use]
    pub const fn len(self) -> u32 {
        self.0.count_ones()
    }

    /// Whether the set is empty.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The voters of either set.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// Who votes and who only learns, from some instance on. Never empty, no node twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    voters: Vec<Member>,
    followers: Vec<Member>,
    book: Bytes,
}

/// Why members do not make a membership.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum MembershipError {
    /// Nobody votes.
    #[error("a membership needs at least one voter")]
    NoVoters,
    /// Too many vote.
    #[error("{0} voters are more than the {max} a membership can have", max = Membership::VOTERS_MAX)]
    TooManyVoters(usize),
    /// Too many only learn.
    #[error("{0} followers are more than the {max} a membership can have", max = Membership::FOLLOWERS_MAX)]
    TooManyFollowers(usize),
    /// A node is listed twice.
    #[error("node {0} is listed twice")]
    Twice(NodeId),
    /// The address book is too large.
    #[error("an address book of {0} bytes is larger than the {max} it can have", max = Membership::BOOK_BYTES_MAX)]
    BookTooLarge(usize),
}

impl Membership {
    /// The most voters a membership can have.
    pub const VOTERS_MAX: usize = 64;
    /// The most followers a membership can have.
    pub const FOLLOWERS_MAX: usize = 64;
    /// The most bytes an address book can have.
    pub const BOOK_BYTES_MAX: usize = 64 * 1024;

    /// A membership; the order in which members are given does not matter.
    ///
    /// # Errors
    ///
    /// If nobody votes, more than [`Self::VOTERS_MAX`] do, or a node is listed twice.
    pub fn new(
        mut voters: Vec<Member>,
        mut followers: Vec<Member>,
    ) -> Result<Self, MembershipError> {
        if voters.is_empty() {
            return Err(MembershipError::NoVoters);
        }
        if voters.len() > Self::VOTERS_MAX {
            return Err(MembershipError::TooManyVoters(voters.len()));
        }
        if followers.len() > Self::FOLLOWERS_MAX {
            return Err(MembershipError::TooManyFollowers(followers.len()));
        }
        voters.sort_unstable();
        followers.sort_unstable();
        let mut nodes: Vec<NodeId> = voters.iter().chain(&followers).map(|m| m.node).collect();
        nodes.sort_unstable();
        if let Some(pair) = nodes.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(MembershipError::Twice(pair[0]));
        }
        Ok(Self { voters, followers, book: Bytes::new() })
    }

    /// The same members with an address book: what the embedder wants every member to know of the
    /// others, where they listen for one. It means nothing to the protocol, and is empty at first.
    ///
    /// # Errors
    ///
    /// If it is larger than [`Self::BOOK_BYTES_MAX`].
    pub fn with_book(self, book: Bytes) -> Result<Self, MembershipError> {
        if book.len() > Self::BOOK_BYTES_MAX {
            return Err(MembershipError::BookTooLarge(book.len()));
        }
        Ok(Self { book, ..self })
    }

    /// The address book.
    #[must_use]
    pub const fn book(&self) -> &Bytes {
        &self.book
    }

    /// Voters, then followers.
    pub fn members(&self) -> impl Iterator<Item = Member> + '_ {
        self.voters.iter().chain(&self.followers).copied()
    }

    /// The member that a node is, if it is one.
    #[must_use]
    pub fn of(&self, node: NodeId) -> Option<Member> {
        self.members().find(|member| member.node == node)
    }

    /// The same nodes with the same roles, each with the memory that `known` gives; none if that
    /// gives no memory for one of them.
    pub(crate) fn with_memories(
        &self,
        known: impl Fn(Member) -> Option<Incarnation>,
    ) -> Option<Self> {
        let with = |members: &[Member]| -> Option<Vec<Member>> {
            let with = |m: &Member| Some(Member { node: m.node, incarnation: known(*m)? });
            members.iter().map(with).collect()
        };
        let (voters, followers) = (with(&self.voters)?, with(&self.followers)?);
        Some(Self { voters, followers, book: self.book.clone() })
    }

    /// Whether these members, each counted once, are a quorum of the voters: of a voter *and* its
    /// memory (I4).
    pub(crate) fn is_quorum_of(&self, members: impl IntoIterator<Item = Member>) -> bool {
        let mut votes = VoterSet::default();
        for slot in members.into_iter().filter_map(|member| self.slot(member)) {
            votes.insert(slot);
        }
        self.is_quorum(votes)
    }

    /// Who votes, in ascending order.
    #[must_use]
    pub fn voters(&self) -> &[Member] {
        &self.voters
    }

    /// Who only learns, in ascending order.
    #[must_use]
    pub fn followers(&self) -> &[Member] {
        &self.followers
    }

    /// The slot of a voter, for [`VoterSet`]; `None` if this member (node *and* incarnation) does
    /// not vote.
    #[must_use]
    pub fn slot(&self, member: Member) -> Option<usize> {
        self.voters.iter().position(|&voter| voter == member)
    }

    /// Whether a memory belongs to a voter or a follower.
    #[must_use]
    pub fn has(&self, incarnation: Incarnation) -> bool {
        self.members().any(|m| m.incarnation == incarnation)
    }

    /// The voter or follower with this memory.
    #[must_use]
    pub fn member(&self, incarnation: Incarnation) -> Option<Member> {
        let mut members = self.voters.iter().chain(&self.followers);
        members.find(|member| member.incarnation == incarnation).copied()
    }

    /// How many votes decide: any two sets of so many voters meet.
    #[must_use]
    pub fn quorum(&self) -> u32 {
        u32::try_from(self.voters.len() / 2 + 1).expect("at most VOTERS_MAX")
    }

    /// Whether the set is a quorum.
    ///
    /// This is the one place where votes are counted. Paxos Made Simple §2.2: any two majorities
    /// have an acceptor in common.
    #[must_use]
    pub fn is_quorum(&self, votes: VoterSet) -> bool {
        votes.len() >= self.quorum()
    }

    /// All voters.
    #[must_use]
    pub fn everyone(&self) -> VoterSet {
        VoterSet(u64::MAX >> (64 - self.voters.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    pub(super) fn member(node: u64) -> Member {
        Member { node: NodeId(node), incarnation: Incarnation(node * 10) }
    }

    #[test]
    fn a_vote_counts_once_per_voter() {
        let membership = Membership::new(vec![member(1), member(2), member(3)], vec![]).unwrap();
        let mut votes = VoterSet::default();
        assert!(votes.insert(1));
        assert!(!votes.insert(1));
        assert!(!membership.is_quorum(votes));
        assert!(votes.insert(2));
        assert!(membership.is_quorum(votes));
    }

    #[test]
    fn a_voter_with_another_memory_is_another_voter() {
        let membership = Membership::new(vec![member(1), member(2)], vec![member(3)]).unwrap();
        assert_eq!(membership.slot(member(2)), Some(1));
        let wiped = Member { node: NodeId(2), incarnation: Incarnation(99) };
        assert_eq!(membership.slot(wiped), None);
        assert_eq!(membership.slot(member(3)), None, "followers do not vote");
        assert!(membership.has(Incarnation(30)));
        assert!(!membership.has(Incarnation(99)));
    }

    #[test]
    fn memberships_that_could_not_work_are_refused() {
        let of = |voters: Vec<Member>, followers| Membership::new(voters, followers);
        assert_eq!(of(vec![], vec![member(1)]), Err(MembershipError::NoVoters));
        assert_eq!(of(vec![member(1)], vec![member(1)]), Err(MembershipError::Twice(NodeId(1))));
        let many = (1..=65).map(member).collect();
        assert_eq!(of(many, vec![]), Err(MembershipError::TooManyVoters(65)));
    }
}
