//! Planted bugs, around a core that has none: each breaks a rule, and the exploration must see it.

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bug {
    /// Nothing.
    None,
    /// Every write is said to be durable at once.
    SyncClaimed,
    /// A restart takes the highest ballot that it voted in for its promise.
    PromiseReadFromVotes,
    /// A restart does not find the promise if it was to itself.
    OwnBallotForgotten,
    /// A vote counts for the third node, too.
    VoteCountedTwice,
    /// When a leader says what is chosen, whatever is held there is taken for it.
    WordTakenForAnyBallot,
}
