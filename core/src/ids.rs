//! The identifiers of the protocol: small newtypes, so that no two kinds of number are confused.

use core::fmt;

/// A node: a machine or process that takes part in one or more groups. Chosen by the operator,
/// unique in the cluster, never reused, and not an address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u64);

/// Which memory a node has of one group.
///
/// Drawn at random when a data directory is formatted for the group. A node that lost anything it
/// had vouched for is a different acceptor, so it takes a new incarnation, and votes of the old one
/// never count for it. Never zero in use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Incarnation(pub u64);

/// One independent log; a node hosts many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupId(pub u32);

/// One of a group's state machines: which of them executes a command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SmId(pub u32);

impl SmId {
    /// The mastership: a state machine of the protocol itself. Users' machines have other numbers; the
    /// simulator's own one is the number above.
    pub const MASTER: Self = Self(u32::MAX - 1);
}

/// A place in a group's log. The first one is 1; zero means "before the log".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instance(pub u64);

impl Instance {
    /// Before the first instance.
    pub const ZERO: Self = Self(0);
    /// Above every instance in use; as the end of a page it means "and there is no more".
    pub const MAX: Self = Self(u64::MAX);

    /// The instance above this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// The instance below this one; zero stays zero.
    #[must_use]
    pub const fn prev(self) -> Self {
        Self(self.0.saturating_sub(1))
    }

    /// How many instances lie in `(below, self]`; zero if there are none.
    #[must_use]
    pub const fn above(self, below: Self) -> u64 {
        self.0.saturating_sub(below.0)
    }
}

/// A command's place in the order of execution: its instance, then its index in the batch that the
/// instance chose, from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The instance that chose the batch.
    pub instance: Instance,
    /// The command's index in that batch.
    pub index: u32,
}

/// A node together with its memory: what votes. Memberships list members, and a vote counts only
/// if both halves match.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Member {
    /// The node.
    pub node: NodeId,
    /// The memory it has.
    pub incarnation: Incarnation,
}

/// A ballot: who leads, and since when.
///
/// Ordered by `round`, then `node`, then `incarnation`, so no two acceptors share one, and a node
/// that lost its memory cannot repeat a ballot of its past. [`Ballot::ZERO`] is below every ballot
/// in use and means "none yet". Paxos Made Simple §2.5 (disjoint sets of numbers).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ballot {
    /// Counts leaderships; a higher round wins.
    pub round: u64,
    /// Who leads.
    pub node: NodeId,
    /// With which memory.
    pub incarnation: Incarnation,
}

impl Ballot {
    /// Below every ballot in use.
    pub const ZERO: Self = Self { round: 0, node: NodeId(0), incarnation: Incarnation(0) };

    /// Rounds stay below this, so that there is always one above: a message that claims more is
    /// not believed. Counting there takes longer than any cluster lives.
    pub(crate) const ROUND_LIMIT: u64 = 1 << 63;

    /// Who leads in this ballot.
    #[must_use]
    pub const fn member(self) -> Member {
        Member { node: self.node, incarnation: self.incarnation }
    }
}

/// The number of a record handed out to be written, counted from 1 within one process life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WriteSeq(pub u64);

/// The embedder's name for a proposal; comes back with its outcome. Unique among those unresolved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProposalId(pub u64);

/// The embedder's name for a read; comes back with its outcome. Unique among those unresolved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReadId(pub u64);

/// The embedder's name for a change of the membership; comes back with its outcome. Unique among
/// those unresolved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChangeId(pub u64);

/// Names a request for older log entries; see [`Outbox::fetches`](crate::Outbox).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FetchId(pub u64);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Display for GroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Display for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::MAX { f.write_str("#end") } else { write!(f, "#{}", self.0) }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.instance, self.index)
    }
}

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.node, self.incarnation)
    }
}

/// Shows `round.node`: within one cluster life that names a ballot for a reader.
impl fmt::Display for Ballot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.round, self.node)
    }
}
