//! What a mirror says when it cannot.

use std::io;
use std::time::Duration;

use synod_core::{Position, SmId};
use thiserror::Error;

/// Why two machines do not become one.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum MirrorStartError {
    /// They are not of one kind.
    #[error("the first machine has the id {} and its copy {}; make both the same way", .first.0, .copy.0)]
    Ids {
        /// The first's.
        first: SmId,
        /// The copy's.
        copy: SmId,
    },
    /// The system gives no thread for the copy.
    #[error("no thread for the copy of a state machine: {0}")]
    Thread(io::Error),
}

/// Why a mirror gives no checkpoint, or loads none.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum MirrorError {
    /// The copy is paused: see [`MirrorHandle::continue_copy`](super::MirrorHandle::continue_copy).
    #[error("the copy is paused: continue it, and ask again")]
    Paused,
    /// One at a time.
    #[error("the copy still stands for a checkpoint that is not finished: ask again later")]
    Busy,
    /// The copy kept more of its own state than the first has executed; the next one will do.
    #[error("the copy is at {applied} already, above {at}")]
    Ahead {
        /// Where the copy is.
        applied: Position,
        /// Where the checkpoint would be.
        at: Position,
    },
    /// Commands waited, and nobody began to write.
    #[error(
        "the queue was full for {waited:?}, and nobody began to write the checkpoint: the other \
        machines' parts take long, or the node shuts down; give the mirrored machine the lowest id, \
        or raise the limits of the queue"
    )]
    Late {
        /// How long commands have waited.
        waited: Duration,
    },
    /// The machines went on from another checkpoint before this one was written.
    #[error("another checkpoint was loaded before this one was written")]
    Replaced,
    /// The copy panicked, and is written no more.
    #[error("the copy panicked {during}: {reason}; the log is kept until a restart")]
    Panicked {
        /// Doing what.
        during: String,
        /// The panic's message.
        reason: String,
    },
    /// The copy answered a command otherwise than the first did.
    #[error(
        "the outputs of the first machine and its copy differ at {at}: the machine is not \
        deterministic; mend it, and let the node go on from a checkpoint without the state that the \
        two kept of their own"
    )]
    Diverged {
        /// The first position where they differ.
        at: Position,
    },
    /// The machine is gone: its group or node has ended.
    #[error("the state machine has ended")]
    Ended,
    /// The machines did not load a checkpoint, and the copy is what is left of that.
    #[error("the machines did not load a checkpoint: {reason}")]
    Load {
        /// What it said.
        reason: String,
    },
    /// A checkpoint of the machine without a mirror, and one of the two may be further.
    #[error(
        "no mirror wrote this checkpoint, so nothing says whether the {which} is further, which is at \
        {applied}: begin with the same state for both, by copying the first's"
    )]
    Foreign {
        /// The first, or the copy.
        which: &'static str,
        /// Where it is.
        applied: Position,
    },
}
