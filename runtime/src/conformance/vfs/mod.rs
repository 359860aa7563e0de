//! Whether a [`Vfs`] keeps what [`vfs`](crate::vfs) says it promises.
//!
//! ```
//! use std::path::PathBuf;
//!
//! use synod::conformance::Failures;
//! use synod::conformance::vfs::{Setup, run};
//! use synod::vfs::StdVfs;
//!
//! struct Machine(PathBuf);
//!
//! impl Setup for Machine {
//!     type Vfs = StdVfs;
//!
//!     fn vfs(&self) -> StdVfs {
//!         StdVfs
//!     }
//!     fn directory(&self) -> PathBuf {
//!         self.0.clone()
//!     }
//! }
//!
//! fn main() -> Result<(), Failures> {
//!     # let dir = std::env::temp_dir().join(format!("synod-conformance-{}", std::process::id()));
//!     # struct Gone(PathBuf);
//!     # impl Drop for Gone { fn drop(&mut self) { drop(std::fs::remove_dir_all(&self.0)); } }
//!     # let dir = Gone(dir);
//!     # let dir = dir.0.clone();
//!     run(&Machine(dir)) // in a #[test] of yours
//! }
//! ```
//!
//! What it cannot see: whether a disk keeps what it said it had synced when the power fails, unless
//! [`Setup::lose_power`] can do that; and how fast it is.

mod durable;
mod files;
mod names;

use std::io;
use std::path::PathBuf;

use super::{Failure, Failures};
use crate::vfs::{Vfs, VfsFile};

/// How to get at the file system under test.
pub trait Setup {
    /// The file system.
    type Vfs: Vfs;

    /// The file system: at each call the same, as a process finds it that has just started.
    fn vfs(&self) -> Self::Vfs;

    /// A directory that the checks may fill; it need not exist, but what it is in has to.
    fn directory(&self) -> PathBuf;

    /// What is not durable may be gone afterwards, and everything else has to be there. Does nothing
    /// unless you can make it happen, as with a simulated disk or a volume under test. No file of it
    /// is open and no lock is held meanwhile.
    fn lose_power(&self) {}
}

/// One check; an error says what went wrong.
type Check<S> = fn(&S, PathBuf) -> Result<(), String>;

/// Runs all checks, one after the other, each in a directory of its own.
///
/// # Errors
///
/// With every check that failed.
pub fn run<S: Setup>(setup: &S) -> Result<(), Failures> {
    let checks: [(&str, Check<S>); 10] = [
        ("bytes come back", files::bytes_come_back),
        ("files grow and shrink", files::grow_and_shrink),
        ("handles and clones share files", files::are_shared),
        ("threads write beside each other", files::threads_write_beside_each_other),
        ("names are what was made", names::are_what_was_made),
        ("errors are reported", names::errors_are_reported),
        ("a lock is exclusive", names::a_lock_is_exclusive),
        ("synced bytes stay", durable::synced_bytes_stay),
        ("a rename is durable", durable::a_rename_stays),
        ("a removal is durable", durable::a_removal_stays),
    ];
    let count = checks.len();
    let failed = (1..).zip(checks).filter_map(|(number, (check, run))| {
        let directory = setup.directory().join(format!("check-{number}"));
        let made = setup.vfs().create_dir_all(&directory);
        let reason = done("create_dir_all", made).and_then(|()| run(setup, directory)).err()?;
        Some(Failure { check, reason })
    });
    Failures::of(failed.collect(), count)
}

/// What a call that has to succeed gave.
fn done<T>(call: &str, result: io::Result<T>) -> Result<T, String> {
    result.map_err(|error| format!("`{call}` failed: {error}"))
}

/// An error unless the call failed in this way.
fn fails<T>(call: &str, result: io::Result<T>, kind: io::ErrorKind) -> Result<(), String> {
    match result {
        Ok(_) => Err(format!("`{call}` succeeded and should fail with {kind:?}")),
        Err(error) if error.kind() == kind => Ok(()),
        Err(error) => Err(format!("`{call}` failed with {:?}, not {kind:?}", error.kind())),
    }
}

/// An error unless it is as expected.
fn same<T: PartialEq + std::fmt::Debug + ?Sized>(
    what: &str,
    found: &T,
    expected: &T,
) -> Result<(), String> {
    if found == expected {
        return Ok(());
    }
    Err(format!("{what}: found {found:?}, and should be {expected:?}"))
}

/// Everything in a file.
fn contents(file: &impl VfsFile) -> Result<Vec<u8>, String> {
    let size = done("size", file.size())?;
    let mut bytes = vec![0; usize::try_from(size).map_err(|_| format!("a size of {size}"))?];
    done("read_exact_at", file.read_exact_at(0, &mut bytes))?;
    Ok(bytes)
}

/// An error unless the file is there with these bytes.
fn holds<V: Vfs>(vfs: &V, path: &std::path::Path, bytes: &[u8], when: &str) -> Result<(), String> {
    let name = path.file_name().unwrap_or_default().display();
    let file =
        vfs.open(path).map_err(|error| format!("`{name}` cannot be opened {when}: {error}"))?;
    let found = contents(&file)?;
    if found == bytes {
        return Ok(());
    }
    let same = found.iter().zip(bytes).take_while(|(found, byte)| found == byte).count();
    Err(format!(
        "`{name}` has {} bytes {when}, the first {same} of which are the {} that were written",
        found.len(),
        bytes.len()
    ))
}

/// So many bytes, no two pages of them alike.
fn pattern(bytes: usize) -> Vec<u8> {
    (0..=250).cycle().take(bytes).collect()
}
