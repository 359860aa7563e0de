//! What can be wrong, and what to do about it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use synod_core::{GroupId, Instance};
use thiserror::Error;

use super::room::is_full;

/// Why the log stopped.
///
/// The first failure is final (I7): what the disk holds is unknown after it, so every later call
/// returns the same error and nothing is retried. Start the node again: recovery reads what is
/// there.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum LogError {
    /// The file system refused. Look at the disk, then start the node again.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// Which file or directory.
        path: PathBuf,
        /// Why not.
        source: Arc<io::Error>,
    },
    /// The disk has no room for something that was not asked about before it was written, see
    /// [`Log::admits`](super::Log::admits). Nothing of it was written. Free so many bytes, then start
    /// the node again.
    #[error("the disk of {} is full: the log needs {needed} more bytes there", dir.display())]
    Full {
        /// The directory of the log.
        dir: PathBuf,
        /// What it needs, in bytes.
        needed: u64,
    },
}

impl LogError {
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, path: path.to_owned(), source: Arc::new(source) }
    }
}

/// Why a log cannot be opened.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process uses the directory. Stop it, or give this node a directory of its own.
    #[error("{} is locked: another process uses this directory", path.display())]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// Something that this node had vouched for can no longer be read: votes may be lost, so the
    /// node must not vote with what is left. [`Log::start`](super::Log::start) begins anew with a
    /// new memory by itself, unless the directory no longer says which cluster it belongs to: then
    /// move it away and start with an empty one, and the node asks its peers.
    #[error(
        "{} is damaged at byte {offset}: {what}; what this node vouched for may be lost, so it \
         must not vote with this directory: it waits to be swapped in with a new one",
        path.display()
    )]
    Damaged {
        /// Which file or directory.
        path: PathBuf,
        /// Where in it.
        offset: u64,
        /// What is missing.
        what: &'static str,
    },
    /// The file system refused. Nothing was decided; mend it and try again.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// Which file or directory.
        path: PathBuf,
        /// Why not.
        source: Arc<io::Error>,
    },
    /// The disk is full. Nothing was decided, and nothing is lost: free so many bytes, or move the
    /// directory to a larger disk, and start again.
    #[error(
        "the disk of {} is full: the log needs at least {needed} more bytes there; free them, or move \
         the directory to a larger disk, and start again: nothing is lost",
        dir.display()
    )]
    Full {
        /// The directory of the log.
        dir: PathBuf,
        /// What it needs, in bytes: a segment, or more if what is to be written is larger.
        needed: u64,
    },
    /// The log was written by another version. Use one that reads it.
    #[error("{} has format {found}, and this version reads format {supported}", path.display())]
    Version {
        /// Which file.
        path: PathBuf,
        /// The format it has.
        found: u16,
        /// The format that this version reads.
        supported: u16,
    },
    /// The settings cannot work.
    #[error(transparent)]
    Config(#[from] LogConfigError),
}

impl OpenError {
    /// Whether the disk is full, and nothing else is wrong: make room, or start again when there is.
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        match self {
            Self::Full { .. } => true,
            Self::Io { source, .. } => is_full(source),
            Self::Locked { .. } | Self::Damaged { .. } | Self::Version { .. } | Self::Config(_) => {
                false
            }
        }
    }

    /// The same; if there was no room for one of the small files of a start, as [`Self::Full`]: a
    /// segment comes after them, and is larger.
    pub(crate) fn of_start(self, dir: &Path, segment_bytes: u64) -> Self {
        if let Self::Io { source, .. } = &self
            && is_full(source)
        {
            return Self::Full { dir: dir.to_owned(), needed: segment_bytes };
        }
        self
    }

    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, path: path.to_owned(), source: Arc::new(source) }
    }
}

impl From<LogError> for OpenError {
    fn from(error: LogError) -> Self {
        match error {
            LogError::Io { action, path, source } => Self::Io { action, path, source },
            LogError::Full { dir, needed } => Self::Full { dir, needed },
        }
    }
}

/// Why settings cannot work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum LogConfigError {
    /// Segments are too small or too large.
    #[error("segment_bytes {0} is not within 64 KiB and 2 GiB, or no multiple of 4096")]
    SegmentBytes(u64),
}

/// Why entries cannot be read.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum ReadError {
    /// They were cleaned: ask for a checkpoint.
    #[error("group {group} is cleaned up to {cleaned}")]
    Cleaned {
        /// Whose log.
        group: GroupId,
        /// Everything up to here is gone.
        cleaned: Instance,
    },
    /// The file system refused.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: Arc<io::Error>,
    },
}
