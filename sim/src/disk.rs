//! A simulated disk: files in memory, of which only what was synced is sure to survive.
//!
//! Every file has a page cache, which reads see, and the image on the disk. A write reaches the
//! cache; a sync copies it to the disk. When the power fails, each unsynced 512-byte sector keeps
//! its new content, its old content, or is torn; names created, renamed and removed since their
//! directory was synced survive up to some one of them. When only the process dies, the cache
//! survives.
//!
//! - `calls`: what a process may ask of it.
//! - `state`: names, files, and the faults that are armed.
//! - `image`: one file; `loss`: what a power loss leaves of it.
//! - `damage`: what goes wrong without being asked: rot, sectors that cannot be read, lies, writes
//!   that go astray, another disk in its place.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

mod calls;
mod damage;
mod image;
mod loss;
mod state;

use state::Disk;

pub use loss::Loss;

/// Bytes of the smallest sector.
pub const SECTOR: usize = 512;

/// Bytes of a page of the cache.
const PAGE: usize = 4096;

/// A simulated file system; clones are the same one.
#[derive(Clone, Debug, Default)]
pub struct SimVfs(Arc<Mutex<Disk>>);

/// An open file of a [`SimVfs`]. Dead once the process that opened it has crashed.
#[derive(Debug)]
pub struct SimFile {
    disk: SimVfs,
    inode: u64,
    life: u64,
}

/// A held lock of a [`SimVfs`].
#[derive(Debug)]
pub struct SimLock {
    disk: SimVfs,
    path: PathBuf,
    ticket: u64,
}

/// How a write fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteFault {
    /// An error of the device; nothing is written.
    Device,
    /// The disk is full; nothing is written.
    Full,
    /// An error of the device, after so many bytes.
    Short(usize),
}

/// Bytes that survive a power loss together, or do not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sector {
    /// 512 bytes.
    #[default]
    Small,
    /// 4 KiB.
    Large,
}

impl Sector {
    /// Its bytes.
    #[must_use]
    pub const fn bytes(self) -> usize {
        match self {
            Self::Small => SECTOR,
            Self::Large => PAGE,
        }
    }
}

/// What was asked of a disk so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Calls that read.
    pub reads: u64,
    /// Calls that wrote.
    pub writes: u64,
    /// Bytes they wrote.
    pub bytes_written: u64,
    /// Syncs of files, failed ones included.
    pub syncs: u64,
    /// Syncs of directories, failed ones included.
    pub dir_syncs: u64,
    /// Power losses.
    pub power_losses: u64,
    /// Process crashes.
    pub crashes: u64,
    /// Faults injected into calls.
    pub faults: u64,
    /// Syncs of files or directories that lied.
    pub lies: u64,
    /// Writes that went astray.
    pub astray: u64,
}

impl SimVfs {
    /// An empty disk.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty disk with sectors of this size.
    #[must_use]
    pub fn with_sectors(sector: Sector) -> Self {
        Self(Arc::new(Mutex::new(Disk { sector, ..Disk::default() })))
    }

    /// The process dies: what it wrote stays, its files and locks are gone.
    pub fn crash_process(&self) {
        let mut disk = self.disk();
        disk.counters.crashes += 1;
        disk.new_life();
    }

    /// The power fails. `random` decides what survives, sector by sector, and how many changes of
    /// names: [`Loss::Any`].
    pub fn power_loss(&self, random: &mut dyn FnMut() -> u64) {
        self.lose_power(Loss::Any, random);
    }

    /// The power fails, and leaves this much; `random` decides what is left open.
    pub fn lose_power(&self, loss: Loss, random: &mut dyn FnMut() -> u64) {
        self.disk().lose_power(loss, random);
    }

    /// A copy of the disk as a power loss would leave it now if nothing unsynced survived.
    #[must_use]
    pub fn durable_view(&self) -> Self {
        Self(Arc::new(Mutex::new(self.disk().durable())))
    }

    /// A copy of the whole disk, cache included, without the process: nothing is locked.
    #[must_use]
    pub fn fork(&self) -> Self {
        let mut copy = self.disk().clone();
        copy.new_life();
        Self(Arc::new(Mutex::new(copy)))
    }

    /// The next sync of a file or directory fails; see [`fail_sync_after`](Self::fail_sync_after).
    pub fn fail_next_sync(&self) {
        self.fail_sync_after(0);
    }

    /// After so many more syncs of files or directories, one fails. What a failed sync of a file
    /// covers is marked clean: reads still show it, later syncs do not write it, and a power loss
    /// loses it. That is what Linux does.
    pub fn fail_sync_after(&self, syncs: u64) {
        self.disk().fail_sync = Some(syncs);
    }

    /// After so many more writes, one fails.
    pub fn fail_write_after(&self, writes: u64, fault: WriteFault) {
        self.disk().fail_write = Some((writes, fault));
    }

    /// After so many more operations that change something, every operation fails, as if the
    /// process were stopped there: until [`crash_process`](Self::crash_process) or
    /// [`power_loss`](Self::power_loss).
    pub fn stop_after(&self, operations: u64) {
        self.disk().stop = Some(operations);
    }

    /// Whether that has come: every operation that changes something fails.
    #[must_use]
    pub fn has_stopped(&self) -> bool {
        self.disk().stop == Some(0)
    }

    /// Takes back what was armed and did not happen yet.
    pub fn disarm(&self) {
        let mut disk = self.disk();
        disk.disarm();
    }

    /// How many bytes all files together may have; `None` for any.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.disk().capacity = bytes;
    }

    /// How many bytes all files together may grow; `None` for any.
    pub fn leave_room(&self, bytes: Option<u64>) {
        let mut disk = self.disk();
        disk.capacity = bytes.map(|bytes| disk.named_bytes() + bytes);
    }

    /// The size of a file, as a process sees it; `None` if there is none.
    #[must_use]
    pub fn size_of(&self, path: &Path) -> Option<u64> {
        let disk = self.disk();
        let inode = disk.names.get(path)?;
        disk.inodes.get(inode).map(|image| image.size)
    }

    /// What was asked of the disk so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.disk().counters
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn index(n: u64) -> usize {
    usize::try_from(n).expect("simulated files are small")
}
