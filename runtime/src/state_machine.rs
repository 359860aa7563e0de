//! What users write: the code that executes chosen commands.

use std::path::Path;

use bytes::Bytes;
use synod_core::{Position, SmId};
use thiserror::Error;

use crate::proposal::Context;

/// A replicated state machine: the application's own code, executed in the same order on every node.
///
/// Every node of a group calls [`apply`](Self::apply) with the same commands at the same positions,
/// so `apply` has to be *deterministic*: the same state and command give the same state and output,
/// without clocks, random numbers, hash-map order or anything else that differs between machines.
/// Put what varies (the time, a random id) into the command before it is proposed.
///
/// The methods run on a thread of a pool, never on the one that votes, and never two of a group at
/// once: a slow `apply` delays its own group's answers and nothing else. A panic in any of them stops the group
/// on this node (its status says why) and leaves the other nodes, groups and the process alone, as
/// long as the program is not built with `panic = "abort"`. So a command or query that makes no
/// sense is answered with an output that says so, not with a panic.
///
/// ```
/// use bytes::Bytes;
/// use synod::{Position, StateMachine};
///
/// #[derive(Default)]
/// struct Counter(u64);
///
/// impl StateMachine for Counter {
///     fn apply(&mut self, _at: Position, command: Bytes) -> Bytes {
///         self.0 += u64::try_from(command.len()).unwrap_or(0);
///         self.read(Bytes::new())
///     }
///     fn read(&self, _query: Bytes) -> Bytes {
///         self.0.to_string().into()
///     }
/// }
/// # assert_eq!(Counter(3).apply(Position::default(), Bytes::from_static(b"ab")), "5");
/// ```
pub trait StateMachine: Send + 'static {
    /// Which of its group's state machines this is; proposals name it. Different for each machine
    /// of one group, the same on all nodes, and kept for the life of the cluster. Default 0.
    fn id(&self) -> SmId {
        SmId(0)
    }

    /// The position of the last command contained in state that survived a restart of the process.
    ///
    /// Asked once, at the start. Commands up to and including it are not executed again, so a
    /// machine that keeps its own state on disk must save this position together with the state,
    /// atomically. Default: nothing survives, and every command is replayed from the log.
    fn applied(&self) -> Position {
        Position::default()
    }

    /// Executes a chosen command; positions ascend, each comes once. The output goes to whoever
    /// proposed it, and is dropped on the other nodes.
    fn apply(&mut self, at: Position, command: Bytes) -> Bytes;

    /// Called right after [`apply`](Self::apply) of a command that was proposed at this node, in this
    /// life of the process, with a [`Proposal::context`](crate::Proposal::context): to answer its
    /// proposer with more than bytes, or to tell others in this process.
    ///
    /// The other nodes, and a replay after a restart, execute the command without it. So the state
    /// must not depend on it: that is why it is given `&self`, and not to `apply`. What it needs to
    /// know of the execution is kept by `apply`, on every node. Default: drops the context.
    fn proposed_here(&self, at: Position, output: &Bytes, context: Context) {
        let _: (Position, &Bytes) = (at, output);
        drop(context);
    }

    /// Answers a question about the state without changing it. Called only when everything that was
    /// acknowledged before the question was asked has been applied here.
    fn read(&self, query: Bytes) -> Bytes;

    /// Writes the state into `directory`, which is empty, and says which position it contains.
    ///
    /// # Errors
    ///
    /// By default [`CheckpointError::Unsupported`]: the log of such a machine is kept for ever.
    fn checkpoint(&mut self, directory: &Path) -> Result<Position, CheckpointError> {
        let _: &Path = directory;
        Err(CheckpointError::Unsupported(self.id()))
    }

    /// Replaces the state by what [`checkpoint`](Self::checkpoint) wrote into `directory`, here or
    /// on another node, and says which position it contains.
    ///
    /// # Errors
    ///
    /// By default [`CheckpointError::Unsupported`].
    fn restore(&mut self, directory: &Path) -> Result<Position, CheckpointError> {
        let _: &Path = directory;
        Err(CheckpointError::Unsupported(self.id()))
    }
}

/// Why a checkpoint was not written or loaded.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// This state machine has no checkpoints: implement [`StateMachine::checkpoint`] and
    /// [`StateMachine::restore`].
    #[error("state machine {} does not support checkpoints yet", .0.0)]
    Unsupported(SmId),
    /// The files could not be written or read.
    #[error("checkpoint files: {0}")]
    Files(#[from] std::io::Error),
    /// The files were read and make no sense.
    #[error("checkpoint contents: {0}")]
    Contents(String),
}
