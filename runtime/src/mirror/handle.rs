//! The copy, as an operator sees it.

use std::sync::Arc;

use synod_core::Position;

use super::error::MirrorError;
use super::feed::Feed;

/// Watches the copy of a [`Mirrored`](super::Mirrored), and pauses it. Clones are the same: what one
/// pauses another continues. It keeps neither machine alive.
#[derive(Clone, Debug)]
pub struct MirrorHandle(pub(super) Arc<Feed>);

impl MirrorHandle {
    /// The copy is to execute nothing: to spare the machine for a while, or to back up the copy's own
    /// files. No checkpoint can be asked for meanwhile, and one that was waits.
    ///
    /// Returns at once. The copy stands still as soon as its status is [`MirrorState::Paused`]: after
    /// the command that it executes. It stands until [`continue_copy`](Self::continue_copy), but not
    /// longer than the queue has room, and not beyond a checkpoint that the machines load.
    pub fn pause_copy(&self) {
        self.0.pause();
    }

    /// Ends a pause. Says whether there was one until now: otherwise it had ended by itself, and what
    /// was copied of the files meanwhile is not one state.
    pub fn continue_copy(&self) -> bool {
        self.0.unpause()
    }

    /// What the copy does, and how far it is behind.
    #[must_use]
    pub fn status(&self) -> MirrorStatus {
        self.0.status()
    }
}

/// A copy at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MirrorStatus {
    /// What it does.
    pub state: MirrorState,
    /// The last position in its state; an earlier one while all that it has is a checkpoint that no
    /// mirror wrote.
    pub applied: Position,
    /// So many commands it is behind, the one that it executes included.
    pub commands: usize,
    /// So many bytes of the queue are in use, counted as [`MirrorConfig`](super::MirrorConfig) says.
    pub bytes: usize,
    /// So often a command has found the queue full, and waited.
    pub waits: u64,
}

/// What a copy does.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MirrorState {
    /// Executes what is queued, or waits for more.
    Following,
    /// Stands still because it was told to.
    Paused,
    /// Stands still to be written.
    Saving,
    /// Is executed and written no more.
    Failed(MirrorError),
    /// Its group or node has ended.
    Ended,
}
