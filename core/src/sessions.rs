//! Exactly once: which commands have been executed, as part of the replicated state.

/// The most unresolved proposals of one origin: how far a command's `seq` may lie above its `low`.
/// Part of the replicated state, so the same everywhere.
pub const SESSION_WINDOW: u64 = 65_536;
