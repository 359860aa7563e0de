//! The suite for file systems finds those that break a promise, and passes the machine's.
#![expect(clippy::unwrap_used, reason = "a test")]

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use synod::conformance::vfs::{Setup, run};
use synod::vfs::{StdFile, StdLock, StdVfs, Vfs, VfsFile};

/// What is wrong with a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bug {
    Nothing,
    /// What is written stays in the handle, and a sync says that it does not.
    SyncDoesNothing,
    /// A rename onto another file leaves that as it is.
    RenameKeepsTheOld,
    /// Everybody gets the lock.
    LocksAreForAll,
    /// Errors of `sync_dir` are swallowed.
    SwallowsErrors,
    /// Names come as the disk has them.
    ListsUnsorted,
    /// A file that is there is emptied by `create`.
    CreateEmpties,
    /// A file that is cut keeps its length.
    CannotShrink,
    /// Writes go where the last one ended, and threads share that.
    SharesThePosition,
    /// Removed files are only hidden until the next start.
    RemovalIsForgotten,
}

#[derive(Clone, Debug)]
struct Worse(Bug);

#[derive(Debug)]
struct WorseFile(StdFile, Bug, Mutex<Vec<(u64, Vec<u8>)>>, Mutex<u64>);

impl WorseFile {
    fn new(file: StdFile, bug: Bug) -> Self {
        Self(file, bug, Mutex::default(), Mutex::default())
    }
}

impl Vfs for Worse {
    type File = WorseFile;
    type Lock = Option<StdLock>;

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        StdVfs.create_dir_all(path)
    }
    fn create(&self, path: &Path) -> io::Result<WorseFile> {
        if self.0 == Bug::CreateEmpties && path.exists() {
            StdVfs.remove(path)?;
        }
        Ok(WorseFile::new(StdVfs.create(path)?, self.0))
    }
    fn open(&self, path: &Path) -> io::Result<WorseFile> {
        Ok(WorseFile::new(StdVfs.open(path)?, self.0))
    }
    fn lock(&self, path: &Path) -> io::Result<Option<Option<StdLock>>> {
        let lock = StdVfs.lock(path)?;
        Ok(if self.0 == Bug::LocksAreForAll { Some(lock) } else { lock.map(Some) })
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        if self.0 == Bug::RenameKeepsTheOld && to.exists() {
            return StdVfs.remove(from);
        }
        StdVfs.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        if self.0 == Bug::RemovalIsForgotten {
            return StdVfs.open(path).map(drop);
        }
        StdVfs.remove(path)
    }
    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let mut names = StdVfs.list(path)?;
        if self.0 == Bug::ListsUnsorted {
            names.reverse();
        }
        Ok(names)
    }
    fn directories(&self, path: &Path) -> io::Result<Vec<String>> {
        StdVfs.directories(path)
    }
    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        StdVfs.remove_dir(path)
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let synced = StdVfs.sync_dir(path);
        if self.0 == Bug::SwallowsErrors { Ok(()) } else { synced }
    }
}

impl VfsFile for WorseFile {
    fn size(&self) -> io::Result<u64> {
        self.0.size()
    }
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read_at(offset, buf)
    }
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        match self.1 {
            Bug::SyncDoesNothing => self.2.lock().unwrap().push((offset, bytes.to_vec())),
            Bug::SharesThePosition => {
                *self.3.lock().unwrap() = offset;
                std::thread::sleep(Duration::from_micros(50)); // for another thread to come between
                let at = *self.3.lock().unwrap();
                self.0.write_at(at, bytes)?;
            }
            Bug::Nothing
            | Bug::RenameKeepsTheOld
            | Bug::LocksAreForAll
            | Bug::SwallowsErrors
            | Bug::ListsUnsorted
            | Bug::CreateEmpties
            | Bug::CannotShrink
            | Bug::RemovalIsForgotten => self.0.write_at(offset, bytes)?,
        }
        Ok(())
    }
    fn set_size(&self, bytes: u64) -> io::Result<()> {
        if self.1 == Bug::CannotShrink && bytes < self.0.size()? {
            return Ok(());
        }
        self.0.set_size(bytes)
    }
    fn sync_data(&self) -> io::Result<()> {
        if self.1 == Bug::SyncDoesNothing { Ok(()) } else { self.0.sync_data() }
    }
}

struct Here(Bug, PathBuf);

impl Setup for Here {
    type Vfs = Worse;

    fn vfs(&self) -> Worse {
        Worse(self.0)
    }
    fn directory(&self) -> PathBuf {
        self.1.clone()
    }
}

#[test]
fn the_file_system_of_the_machine_keeps_every_promise() {
    let dir = tempfile::tempdir().unwrap();
    run(&Here(Bug::Nothing, dir.path().join("checks"))).unwrap();
}

#[test]
fn each_bug_is_found_and_named() {
    for (bug, check, words) in [
        (Bug::SyncDoesNothing, "synced bytes stay", "`file` has 0 bytes after a sync"),
        (Bug::RenameKeepsTheOld, "a rename is durable", "`file` has 15 bytes after `rename`"),
        (Bug::LocksAreForAll, "a lock is exclusive", "given again, to the same file system"),
        (Bug::SwallowsErrors, "errors are reported", "`sync_dir of a directory that is not there`"),
        (Bug::ListsUnsorted, "names are what was made", "`list`, ascending"),
        (Bug::CreateEmpties, "errors are reported", "should fail with AlreadyExists"),
        (Bug::CannotShrink, "files grow and shrink", "after `set_size` to less"),
        (Bug::SharesThePosition, "threads write beside each other", "what a thread wrote"),
        (Bug::RemovalIsForgotten, "a removal is durable", "`list` after a removal"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let failures = run(&Here(bug, dir.path().join("checks"))).unwrap_err();
        let failure = failures.list().iter().find(|failure| failure.check == check);
        let reason = &failure.unwrap_or_else(|| panic!("{bug:?}: {failures}")).reason;
        assert!(reason.contains(words), "{bug:?}: {reason}");
    }
}
