//! What users write: the code that executes chosen commands.

use std::io::{self, Read, Write};
use std::path::Path;

use bytes::Bytes;
use synod_core::{Instance, Position, SmId};
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
    /// of one group, the same on all nodes, and kept for the life of the cluster. At most two below
    /// the highest `u32`: [`SmId::MASTER`] and the one above it are reserved. Default 0.
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

    /// Gives a handle from which the present state can be written later, while commands go on being
    /// applied: a copy, or better something that shares the state until it changes.
    ///
    /// Called on the thread that applies, so it should be cheap; writing happens elsewhere. When all
    /// machines of a group have written theirs, durably, the log below is forgotten, and a restart
    /// begins with [`load`](Self::load). A machine whose state is a few bytes says
    /// `Ok(Box::new(Stream(bytes)))`, see [`Stream`]. One that can only be written while it stands still
    /// is given to the node together with a copy: see `synod::mirror`.
    ///
    /// # Errors
    ///
    /// By default [`CheckpointError::Unsupported`]: the log of such a machine's group is kept for ever.
    fn checkpoint(&mut self) -> Result<Box<dyn Checkpoint>, CheckpointError> {
        Err(CheckpointError::Unsupported(self.id()))
    }

    /// A digest of the state: equal if and, as good as surely, only if the state is. Asked at every
    /// [`digest_interval`](synod_core::Config::digest_interval)th instance, on the thread that applies,
    /// so it should be at hand; a running hash over what `apply` did will do.
    ///
    /// Nodes compare it. One whose state is not that of a majority executes and answers nothing more in
    /// the group (its status says so) and goes on voting: its machine is not deterministic, or something
    /// changed its memory. Default: none, and only the logs are compared.
    fn digest(&self) -> Option<u64> {
        None
    }

    /// Replaces the state by what a [`Checkpoint`] wrote into `directory`, here or on another node.
    ///
    /// May be interrupted at any point by the end of the process, and is then called again at the next
    /// start: a machine that keeps its own state must not say that it [`applied`](Self::applied) more
    /// before it has replaced all of it. One that is further than the checkpoint is not asked.
    ///
    /// # Errors
    ///
    /// By default [`CheckpointError::Unsupported`]. Any error stops the group on this node.
    fn load(&mut self, directory: &dyn Directory) -> Result<(), CheckpointError> {
        let _: &dyn Directory = directory;
        Err(CheckpointError::Unsupported(self.id()))
    }
}

/// A state of a machine that is being written down: see [`StateMachine::checkpoint`].
pub trait Checkpoint: Send + 'static {
    /// Writes the state into a directory that is empty. Runs on a thread of its own, beside `apply`.
    /// There is no need to sync: that is done after this returns.
    ///
    /// # Errors
    ///
    /// If it cannot be written: there is no checkpoint then, and everything else goes on.
    fn write(self: Box<Self>, directory: &dyn Directory) -> Result<(), CheckpointError>;
}

/// The directory of one machine's part of a checkpoint. It holds files, and no further directories.
pub trait Directory {
    /// Where it is, for a store that copies its own files into it or out of it.
    fn path(&self) -> &Path;

    /// Creates a file. It is to hold what is written here: whoever changes it by its path loses the
    /// checkpoint, since its checksum is taken on the way.
    ///
    /// # Errors
    ///
    /// If the name is taken, or as the operating system says.
    fn create(&self, name: &str) -> io::Result<Box<dyn Write + '_>>;

    /// Opens a file.
    ///
    /// # Errors
    ///
    /// If there is none, or as the operating system says.
    fn open(&self, name: &str) -> io::Result<Box<dyn Read + '_>>;
}

/// A checkpoint that is one piece of bytes: for machines whose state is small, or cheap to copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream(pub Bytes);

impl Stream {
    /// What [`Stream`] wrote, for [`StateMachine::load`].
    ///
    /// # Errors
    ///
    /// As the operating system says.
    pub fn load(directory: &dyn Directory) -> Result<Bytes, CheckpointError> {
        let mut bytes = Vec::new();
        directory.open(STREAM)?.read_to_end(&mut bytes)?;
        Ok(bytes.into())
    }
}

impl Checkpoint for Stream {
    fn write(self: Box<Self>, directory: &dyn Directory) -> Result<(), CheckpointError> {
        let mut file = directory.create(STREAM)?;
        file.write_all(&self.0)?;
        Ok(file.flush()?)
    }
}

const STREAM: &str = "state";

/// Why a checkpoint was not written or loaded.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// This state machine has no checkpoints: implement [`StateMachine::checkpoint`] and
    /// [`StateMachine::load`].
    #[error("state machine {} does not support checkpoints", .0.0)]
    Unsupported(SmId),
    /// The machine keeps its own state, and is further than the checkpoint would be; the next one will
    /// do.
    #[error("state machine {} is at {applied} already, above {at}", .sm.0)]
    Ahead {
        /// Which one.
        sm: SmId,
        /// What its state contains.
        applied: Position,
        /// Where the checkpoint would be.
        at: Instance,
    },
    /// The files could not be written or read.
    #[error("checkpoint files: {0}")]
    Files(#[from] io::Error),
    /// The files were read and make no sense.
    #[error("checkpoint contents: {0}")]
    Contents(String),
    /// The machine is one of two, and its copy cannot be written or loaded now.
    #[cfg(feature = "node")]
    #[error("mirror: {0}")]
    Mirror(#[from] crate::mirror::MirrorError),
}
