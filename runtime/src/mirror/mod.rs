//! Checkpoints of machines that cannot give a handle of their state: a second machine, the *copy*,
//! executes the same commands in the background, and stands still while it is written.
//!
//! [`StateMachine::checkpoint`] wants something that goes on holding the present state while commands
//! are applied. Persistent trees, stores with snapshots and small states have that; a large hash map
//! or a store of plain files does not. Two of such a machine do:
//!
//! ```
//! use bytes::Bytes;
//! use synod::mirror::{MirrorConfig, MirrorStartError, Mirrored, Save};
//! use synod::{CheckpointError, Directory, Position, StateMachine};
//!
//! #[derive(Default)]
//! struct Words(Vec<Bytes>);
//!
//! impl StateMachine for Words {
//!     fn apply(&mut self, _at: Position, command: Bytes) -> Bytes {
//!         self.0.push(command);
//!         self.read(Bytes::new())
//!     }
//!     fn read(&self, _query: Bytes) -> Bytes {
//!         self.0.len().to_string().into()
//!     }
//!     fn load(&mut self, directory: &dyn Directory) -> Result<(), CheckpointError> {
//!         let mut text = String::new();
//!         directory.open("words")?.read_to_string(&mut text)?;
//!         self.0 = text.lines().map(|line| line.to_owned().into()).collect();
//!         Ok(())
//!     }
//! }
//!
//! impl Save for Words {
//!     fn save(&self, directory: &dyn Directory) -> Result<(), CheckpointError> {
//!         let mut file = directory.create("words")?;
//!         for word in &self.0 {
//!             file.write_all(word)?;
//!             file.write_all(b"\n")?;
//!         }
//!         Ok(())
//!     }
//! }
//!
//! // What the node is given: `.group(GroupId(0), move || vec![Box::new(words)])`
//! let mut words = Mirrored::new(Words::default(), Words::default(), MirrorConfig::default())?;
//! let copy = words.handle(); // to watch the copy, and to pause it
//! let first = Position { instance: synod::Instance(1), index: 0 };
//! assert_eq!(words.apply(first, Bytes::from_static(b"a")), "1");
//! assert_eq!(words.read(Bytes::new()), "1");
//! assert!(copy.status().commands <= 1, "what the copy has not executed yet");
//! # Ok::<(), MirrorStartError>(())
//! ```
//!
//! # What it costs
//!
//! The state twice, every command executed twice, a thread, and a queue of commands between the two.
//! `apply` copies each command into the queue: it is a part of the value that it was chosen in, and
//! would keep all of that in memory.
//!
//! # When the queue is full
//!
//! It is bounded by commands and bytes ([`MirrorConfig`]). At the bound `apply` waits, as it would for
//! a machine that is slow: the group's answers on this node come later, its votes do not, and other
//! groups and nodes go on. The alternatives are worse. A longer queue has no bound; one on disk is a
//! second log; and a copy that misses commands is none any more, and could only begin again with a
//! checkpoint, of which there may be none.
//!
//! What `apply` waits for always comes to an end by itself:
//!
//! - a command that the copy executes, or a checkpoint that is being written: by the machine's own
//!   code, which must not wait for its group;
//! - a pause: it ends when the queue is full, with a warning, and [`MirrorHandle::continue_copy`] says
//!   so. An operator who forgot it, or who waits for a proposal before continuing, stops no group;
//! - a checkpoint that nobody has begun to write for [`MirrorConfig::begin_patience`]: it is given up
//!   ([`MirrorError::Late`]). That happens when the node shuts down at this moment, or when the parts
//!   of other machines of the group take so long; those of lower [`id`](StateMachine::id) are written
//!   first.
//!
//! So a node that shuts down, or is dropped, while `apply` waits is not held up, and its machines are
//! dropped as soon as the copy's command or checkpoint is finished. Dropping a [`Mirrored`] waits for
//! nothing: the copy is dropped on its own thread, a checkpoint that waits for it fails
//! ([`MirrorError::Ended`]), and one that is being written is finished.
//!
//! # When the copy fails
//!
//! A copy that panics, or whose outputs are not those of the first, is executed and written no more.
//! The group goes on: what it promises rests on the first machine alone, and to stop it would turn a
//! copy into one more thing that can end the service. But its log is kept for ever from then on, so
//! this is told by an error in the trace, by [`MirrorHandle::status`], and by every checkpoint that is
//! asked for. A restart begins with a new copy.
//!
//! Outputs that differ show a machine that is not deterministic, and not which of the two is wrong.
//! Machines that keep their own state on disk differ after a restart, too, and nothing shows it then:
//! find the cause, and empty the directories of both, so that the node goes on from its last
//! checkpoint or from a peer's.
//!
//! # Machines that keep their own state
//!
//! Give each of the two its own directory. Each executes only what it has not executed yet, and loads
//! only a checkpoint that it is not further than; to tell, a file `mirror.position` is kept among those
//! of the machine. A checkpoint of the same machine without a mirror has none. It is loaded all the
//! same, unless one of the two is further than both have executed for certain: then the copy's directory
//! is to begin as a copy of the first's.

mod copy;
mod error;
mod feed;
mod handle;
mod place;
mod writing;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use synod_core::{Position, SmId};

pub use self::error::{MirrorError, MirrorStartError};
pub use self::handle::{MirrorHandle, MirrorState, MirrorStatus};

use self::feed::{Digest, Entry, Feed};
use self::place::Place;
use self::writing::Writing;
use crate::proposal::Context;
use crate::{Checkpoint, CheckpointError, Directory, StateMachine};

/// A state machine whose checkpoints are written while it stands still: see [`Mirrored`].
///
/// It implements [`load`](StateMachine::load), too. Its [`checkpoint`](StateMachine::checkpoint) is
/// not called.
pub trait Save: StateMachine {
    /// Writes the state into a directory that holds nothing of the machine's own, for
    /// [`load`](StateMachine::load). The name `mirror.position` is taken. There is no need to sync.
    ///
    /// Called for the copy only, on a thread beside [`apply`](StateMachine::apply) of the first. It may
    /// take long: the copy's commands queue meanwhile. It must not wait for its group to execute
    /// anything, which may wait for it. A panic ends the copy.
    ///
    /// # Errors
    ///
    /// If it cannot be written: there is no checkpoint then, and everything else goes on.
    fn save(&self, directory: &dyn Directory) -> Result<(), CheckpointError>;
}

/// Bounds and checks of a mirror. The bounds hold for each [`Mirrored`] by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MirrorConfig {
    /// So many commands wait for the copy, the one that it executes included, before `apply` waits.
    /// Default 1,048,576; with 0 or 1 the two go in step.
    pub commands_max: usize,
    /// So many bytes, 128 for each command beside its own. Default 256 MiB. A single command may be
    /// larger: it waits alone.
    pub bytes_max: usize,
    /// How long a full queue waits for a checkpoint to be begun, before that is given up. Default 10 s.
    pub begin_patience: Duration,
    /// Whether outputs of the copy are compared with those of the first, by length and CRC-32C. On by
    /// default.
    pub compare_outputs: bool,
}

impl Default for MirrorConfig {
    fn default() -> Self {
        Self {
            commands_max: 1 << 20,
            bytes_max: 256 << 20,
            begin_patience: Duration::from_secs(10),
            compare_outputs: true,
        }
    }
}

/// Two machines of one kind as one: the first serves, the copy follows and is written down.
///
/// See the [module](self) for when `apply` waits, and what happens to a copy that fails.
pub struct Mirrored<M: Save> {
    sm: SmId,
    first: M,
    /// Where the first is.
    place: Place,
    /// What both had at the start.
    started: Position,
    /// Everything up to here was handed to [`StateMachine::apply`], or is in what was loaded.
    progress: Position,
    copy: Copied<M>,
    feed: Arc<Feed>,
}

/// The copy, until its thread drops it.
type Copied<M> = Arc<Mutex<Option<M>>>;

impl<M: Save> Mirrored<M> {
    /// Takes over two machines, both empty or each with the state that it kept of its own, and starts
    /// the copy's thread.
    ///
    /// # Errors
    ///
    /// If the two have different ids, or the system gives no thread.
    pub fn new(first: M, copy: M, config: MirrorConfig) -> Result<Self, MirrorStartError> {
        let sm = first.id();
        if copy.id() != sm {
            return Err(MirrorStartError::Ids { first: sm, copy: copy.id() });
        }
        let (place, copied) = (Place::new(first.applied()), Place::new(copy.applied()));
        let started = place.at.min(copied.at);
        let feed = Arc::new(Feed::new(sm, config, copied));
        let copy = Arc::new(Mutex::new(Some(copy)));
        copy::spawn(&feed, &copy).map_err(MirrorStartError::Thread)?;
        Ok(Self { sm, first, place, started, progress: started, copy, feed })
    }

    /// Watches the copy and pauses it, from anywhere.
    #[must_use]
    pub fn handle(&self) -> MirrorHandle {
        MirrorHandle(Arc::clone(&self.feed))
    }

    fn load_both(&mut self, directory: &dyn Directory) -> Result<(), CheckpointError> {
        let written = place::read(directory)?;
        let copied = self.feed.empty();
        let first_needs = self.needs(self.place, written, "first")?;
        let copy_needs = copied.map(|place| self.needs(place, written, "copy")).transpose()?;
        if first_needs {
            self.first.load(directory)?;
            self.place = self.place.loaded(written);
        }
        if let (Some(place), Some(true)) = (copied, copy_needs)
            && let Some(copy) = &mut *self.copy.lock().unwrap_or_else(PoisonError::into_inner)
        {
            copy.load(directory)?;
            self.feed.moved(place.loaded(written));
        }
        self.progress = self.progress.max(written.unwrap_or_default());
        Ok(())
    }

    /// Whether a machine at `place` is to load a checkpoint taken at `written`, if that is known.
    fn needs(
        &self,
        place: Place,
        written: Option<Position>,
        which: &'static str,
    ) -> Result<bool, MirrorError> {
        match written {
            Some(written) => Ok(place.at <= written),
            // The checkpoint is not below that, or nobody would have been asked.
            None if place.at <= self.progress => Ok(true),
            None => Err(MirrorError::Foreign { which, applied: place.at }),
        }
    }
}

impl<M: Save> StateMachine for Mirrored<M> {
    fn id(&self) -> SmId {
        self.sm
    }

    /// What both have.
    fn applied(&self) -> Position {
        self.started
    }

    /// Executes a command on the first, and queues it for the copy; waits while the queue is full.
    ///
    /// What the first executed in an earlier life of the process, and the copy did not, goes to the copy
    /// only. The output is empty then: nobody waits for it.
    fn apply(&mut self, at: Position, command: Bytes) -> Bytes {
        let copied = self.feed.admit(command.len()).then(|| Bytes::copy_from_slice(&command));
        let (output, digest) = if at <= self.place.at {
            (Bytes::new(), None)
        } else {
            let output = self.first.apply(at, command);
            self.place = Place::new(at);
            let digest = self.feed.config.compare_outputs.then(|| Digest::of(&output));
            (output, digest)
        };
        self.progress = self.progress.max(at);
        if let Some(command) = copied {
            self.feed.push(Entry { at, command, output: digest });
        }
        output
    }

    fn proposed_here(&self, at: Position, output: &Bytes, context: Context) {
        self.first.proposed_here(at, output, context);
    }

    fn read(&self, query: Bytes) -> Bytes {
        self.first.read(query)
    }

    /// That of the first, unless it kept more than the commands that were handed out.
    fn digest(&self) -> Option<u64> {
        (self.place.at <= self.progress).then(|| self.first.digest()).flatten()
    }

    /// Marks the present position for the copy. The handle waits until the copy is there, and writes it.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Mirror`] if the copy has failed, is paused, is further than the first by what
    /// it kept of its own, or belongs to a checkpoint that is not finished.
    fn checkpoint(&mut self) -> Result<Box<dyn Checkpoint>, CheckpointError> {
        let mark = self.feed.mark(self.progress)?;
        let (feed, copy) = (Arc::clone(&self.feed), Arc::clone(&self.copy));
        Ok(Box::new(Writing { feed, copy, mark }))
    }

    /// Loads into both; one that is further goes on as it is. Ends a pause, and waits until a checkpoint
    /// that is being written is finished.
    ///
    /// # Errors
    ///
    /// As the machines say, and [`MirrorError::Foreign`].
    fn load(&mut self, directory: &dyn Directory) -> Result<(), CheckpointError> {
        let loaded = self.load_both(directory);
        if let Err(error) = &loaded {
            // What was queued for it is gone, and its state may be half of one.
            self.feed.end(&MirrorError::Load { reason: error.to_string() });
        }
        loaded
    }
}

impl<M: Save> Drop for Mirrored<M> {
    fn drop(&mut self) {
        self.feed.end(&MirrorError::Ended);
    }
}

impl<M: Save> fmt::Debug for Mirrored<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mirrored")
            .field("sm", &self.sm)
            .field("progress", &self.progress)
            .field("copy", &self.feed.status())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
