//! What the log and the checkpoints need of a file system, so that the simulator can stand in for it.
//!
//! All calls are synchronous. Only what [`VfsFile::sync_data`] (contents and length) and
//! [`Vfs::sync_dir`] (names) returned for is durable; everything else may or may not survive a
//! power loss, sector by sector. After a sync has *failed*, what it covered is unknown for ever:
//! reads may show data that the disk does not hold, and a second sync may succeed without it.

use std::fmt::Debug;
use std::io;
use std::path::Path;

mod overlay;
mod real;

pub use overlay::{Overlay, OverlayFile};
pub use real::{StdFile, StdLock, StdVfs};

/// A file system. Cheap to clone; clones are the same file system.
pub trait Vfs: Clone + Debug + Send + Sync + 'static {
    /// An open file.
    type File: VfsFile;
    /// A held lock; dropping it releases it, and so does the end of the process.
    type Lock: Debug + Send + Sync + 'static;

    /// Creates a directory and its missing parents; fine if it exists. The new names are durable
    /// when this returns.
    ///
    /// # Errors
    ///
    /// As the operating system says.
    fn create_dir_all(&self, path: &Path) -> io::Result<()>;

    /// Creates an empty file for reading and writing.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::AlreadyExists`] if the name is taken; else as the operating system says.
    fn create(&self, path: &Path) -> io::Result<Self::File>;

    /// Opens an existing file for reading and writing.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::NotFound`] if there is none; else as the operating system says.
    fn open(&self, path: &Path) -> io::Result<Self::File>;

    /// Takes an exclusive lock on a file, which is created if missing; `None` if another process,
    /// or another caller in this one, holds it. Does not wait.
    ///
    /// # Errors
    ///
    /// As the operating system says.
    fn lock(&self, path: &Path) -> io::Result<Option<Self::Lock>>;

    /// Gives a file another name in the same directory; a file that had it is gone.
    ///
    /// # Errors
    ///
    /// As the operating system says.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    ///
    /// As the operating system says.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// The names of the files in a directory, ascending; names that are not UTF-8 are left out.
    ///
    /// # Errors
    ///
    /// As the operating system says.
    fn list(&self, path: &Path) -> io::Result<Vec<String>>;

    /// The names of the directories in a directory, ascending; names that are not UTF-8 are left out.
    ///
    /// # Errors
    ///
    /// As the operating system says.
    fn directories(&self, path: &Path) -> io::Result<Vec<String>>;

    /// Removes a directory with everything in it. After a power loss any part of it may be back.
    ///
    /// # Errors
    ///
    /// As the operating system says; any part may have been removed.
    fn remove_dir(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in a directory durable: files created, renamed and removed.
    ///
    /// # Errors
    ///
    /// As the operating system says; never to be retried, see the module.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
}

/// An open file, read and written by position; shared by reference between threads.
pub trait VfsFile: Debug + Send + Sync + 'static {
    /// Its length in bytes.
    ///
    /// # Errors
    ///
    /// As the operating system says.
    fn size(&self) -> io::Result<u64>;

    /// Reads up to `buf.len()` bytes; fewer only at the end of the file.
    ///
    /// # Errors
    ///
    /// As the operating system says.
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize>;

    /// Writes all of `bytes`; the file grows as needed.
    ///
    /// # Errors
    ///
    /// As the operating system says; any part may have been written.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Cuts the file, or extends it with zeros.
    ///
    /// # Errors
    ///
    /// As the operating system says.
    fn set_size(&self, bytes: u64) -> io::Result<()>;

    /// Makes contents and length durable.
    ///
    /// # Errors
    ///
    /// As the operating system says; never to be retried, see the module.
    fn sync_data(&self) -> io::Result<()>;

    /// Writes zeros over `from..to`, so that the blocks are allocated *and* initialised: later
    /// syncs of data written there need no change of metadata. Writing zeros is measured to be
    /// worth it: 7,659 syncs a second into zeroed blocks, 5,548 into blocks that were only
    /// allocated, 4,800 into a sparse file.
    ///
    /// # Errors
    ///
    /// As [`write_at`](Self::write_at); [`io::ErrorKind::StorageFull`] if there is no room.
    fn preallocate(&self, from: u64, to: u64) -> io::Result<()> {
        static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];
        let mut at = from;
        while at < to {
            let rest = usize::try_from(to - at).unwrap_or(usize::MAX).min(ZEROS.len());
            self.write_at(at, &ZEROS[..rest])?;
            at += u64::try_from(rest).unwrap_or(u64::MAX);
        }
        Ok(())
    }

    /// Reads exactly `buf.len()` bytes.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::UnexpectedEof`] if the file ends before that; else as
    /// [`read_at`](Self::read_at).
    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        if self.read_at(offset, buf)? == buf.len() {
            Ok(())
        } else {
            Err(io::ErrorKind::UnexpectedEof.into())
        }
    }
}
