//! A simulated disk: files in memory, of which only what was synced is sure to survive.
//!
//! Every file has a page cache, which reads see, and the image on the disk. A write reaches the
//! cache; a sync copies it to the disk. When the power fails, each unsynced 512-byte sector keeps
//! its new content, its old content, or is torn; names created, renamed and removed since their
//! directory was synced survive up to some one of them. When only the process dies, the cache
//! survives.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use synod::vfs::{Vfs, VfsFile};

mod image;

use image::Image;

/// Bytes that survive a power loss together, or do not.
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
}

#[derive(Clone, Debug, Default)]
struct Disk {
    inodes: BTreeMap<u64, Image>,
    /// What a process sees.
    names: BTreeMap<PathBuf, u64>,
    /// What the disk holds.
    durable: BTreeMap<PathBuf, u64>,
    /// Changes of names since the directory was synced, in order.
    pending: BTreeMap<PathBuf, Vec<Change>>,
    directories: BTreeSet<PathBuf>,
    locks: BTreeMap<PathBuf, u64>,
    next: u64,
    life: u64,
    counters: Counters,
    /// Syncs of files or directories that still succeed before one fails.
    fail_sync: Option<u64>,
    fail_write: Option<(u64, WriteFault)>,
    /// Operations that still take place before the process stops.
    stop: Option<u64>,
    capacity: Option<u64>,
}

#[derive(Clone, Debug)]
enum Change {
    Create(PathBuf, u64),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
}

impl SimVfs {
    /// An empty disk.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The process dies: what it wrote stays, its files and locks are gone.
    pub fn crash_process(&self) {
        let mut disk = self.disk();
        disk.counters.crashes += 1;
        disk.new_life();
    }

    /// The power fails. `random` decides what survives, sector by sector, and how many changes of
    /// names.
    pub fn power_loss(&self, random: &mut dyn FnMut() -> u64) {
        let mut disk = self.disk();
        disk.counters.power_losses += 1;
        for (_, changes) in std::mem::take(&mut disk.pending) {
            let count = u64::try_from(changes.len()).expect("fits");
            let survive = usize::try_from(random() % (count + 1)).expect("fits");
            for change in changes.into_iter().take(survive) {
                change.apply(&mut disk.durable);
            }
        }
        disk.names = disk.durable.clone();
        for image in disk.inodes.values_mut().filter(|image| !image.is_clean()) {
            image.power_loss(random);
        }
        disk.new_life();
    }

    /// A copy of the disk as a power loss would leave it now if nothing unsynced survived.
    #[must_use]
    pub fn durable_view(&self) -> Self {
        let disk = self.disk();
        let inodes = disk
            .durable
            .values()
            .filter_map(|inode| disk.inodes.get(inode).map(|image| (*inode, image.durable())));
        Self(Arc::new(Mutex::new(Disk {
            inodes: inodes.collect(),
            names: disk.durable.clone(),
            durable: disk.durable.clone(),
            directories: disk.directories.clone(),
            next: disk.next,
            ..Disk::default()
        })))
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

    /// Takes back what was armed and did not happen yet.
    pub fn disarm(&self) {
        let mut disk = self.disk();
        (disk.fail_sync, disk.fail_write, disk.stop) = (None, None, None);
    }

    /// How many bytes all files together may have; `None` for any.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.disk().capacity = bytes;
    }

    /// The size of a file, as a process sees it; `None` if there is none.
    #[must_use]
    pub fn size_of(&self, path: &Path) -> Option<u64> {
        let disk = self.disk();
        let inode = disk.names.get(path)?;
        disk.inodes.get(inode).map(|image| image.size)
    }

    /// Rot: `len` bytes of a file change, on the disk and in the cache: exclusive-or with `mask`.
    ///
    /// # Panics
    ///
    /// If there is no such file, or it ends before that.
    pub fn corrupt(&self, path: &Path, offset: u64, len: usize, mask: u8) {
        let mut disk = self.disk();
        let inode = *disk.names.get(path).unwrap_or_else(|| panic!("no {}", path.display()));
        let image = disk.inodes.get_mut(&inode).expect("named");
        let end = offset + u64::try_from(len).expect("fits");
        assert!(end <= image.size, "{} ends at {}, before {end}", path.display(), image.size);
        image.corrupt(offset, len, mask);
    }

    /// What was asked of the disk so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.disk().counters
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn handle(&self, inode: u64, life: u64) -> SimFile {
        SimFile { disk: self.clone(), inode, life }
    }
}

impl Disk {
    fn new_life(&mut self) {
        self.life += 1;
        self.locks.clear();
        (self.fail_sync, self.fail_write, self.stop) = (None, None, None);
        let (names, durable) = (&self.names, &self.durable);
        let named: BTreeSet<u64> = names.values().chain(durable.values()).copied().collect();
        let waiting: BTreeSet<u64> = self
            .pending
            .values()
            .flatten()
            .filter_map(|change| match change {
                Change::Create(_, inode) => Some(*inode),
                Change::Rename(..) | Change::Remove(_) => None,
            })
            .collect();
        self.inodes.retain(|inode, _| named.contains(inode) || waiting.contains(inode));
    }

    /// One more operation that changes something.
    fn operate(&mut self) -> io::Result<()> {
        match &mut self.stop {
            Some(0) => Err(io::Error::other("the simulated process has stopped")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Whether this sync fails.
    fn sync_fails(&mut self) -> bool {
        let Some(left) = self.fail_sync else { return false };
        self.fail_sync = left.checked_sub(1);
        self.counters.faults += u64::from(left == 0);
        left == 0
    }

    fn write_fault(&mut self) -> Option<WriteFault> {
        let (left, fault) = self.fail_write?;
        self.fail_write = left.checked_sub(1).map(|left| (left, fault));
        self.counters.faults += u64::from(left == 0);
        (left == 0).then_some(fault)
    }

    fn change(&mut self, directory: Option<&Path>, change: Change) {
        change.clone().apply(&mut self.names);
        let directory = directory.map(Path::to_owned).unwrap_or_default();
        self.pending.entry(directory).or_default().push(change);
    }

    fn create(&mut self, path: &Path) -> io::Result<u64> {
        if !path.parent().is_none_or(|parent| self.directories.contains(parent)) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let inode = self.next;
        self.next += 1;
        self.inodes.insert(inode, Image::default());
        self.change(path.parent(), Change::Create(path.to_owned(), inode));
        Ok(inode)
    }

    fn has_room(&self, more: u64) -> bool {
        self.capacity.is_none_or(|capacity| {
            let named = self.names.values().filter_map(|inode| self.inodes.get(inode));
            named.map(|image| image.size).sum::<u64>() + more <= capacity
        })
    }
}

impl Change {
    fn apply(self, names: &mut BTreeMap<PathBuf, u64>) {
        match self {
            Self::Create(path, inode) => {
                names.insert(path, inode);
            }
            Self::Rename(from, to) => {
                if let Some(inode) = names.remove(&from) {
                    names.insert(to, inode);
                }
            }
            Self::Remove(path) => {
                names.remove(&path);
            }
        }
    }
}

impl Vfs for SimVfs {
    type File = SimFile;
    type Lock = SimLock;

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        let mut disk = self.disk();
        disk.operate()?;
        disk.directories.extend(path.ancestors().map(Path::to_owned));
        Ok(())
    }

    fn create(&self, path: &Path) -> io::Result<SimFile> {
        let mut disk = self.disk();
        disk.operate()?;
        if disk.names.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let inode = disk.create(path)?;
        Ok(self.handle(inode, disk.life))
    }

    fn open(&self, path: &Path) -> io::Result<SimFile> {
        let disk = self.disk();
        match disk.names.get(path) {
            Some(&inode) => Ok(self.handle(inode, disk.life)),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn lock(&self, path: &Path) -> io::Result<Option<SimLock>> {
        let mut disk = self.disk();
        if disk.locks.contains_key(path) {
            return Ok(None);
        }
        if !disk.names.contains_key(path) {
            disk.operate()?;
            disk.create(path)?;
        }
        let ticket = disk.next;
        disk.next += 1;
        disk.locks.insert(path.to_owned(), ticket);
        Ok(Some(SimLock { disk: self.clone(), path: path.to_owned(), ticket }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut disk = self.disk();
        disk.operate()?;
        if !disk.names.contains_key(from) {
            return Err(io::ErrorKind::NotFound.into());
        }
        if from.parent() != to.parent() {
            return Err(io::ErrorKind::Unsupported.into());
        }
        disk.change(to.parent(), Change::Rename(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut disk = self.disk();
        disk.operate()?;
        if !disk.names.contains_key(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        disk.change(path.parent(), Change::Remove(path.to_owned()));
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let disk = self.disk();
        if !disk.directories.contains(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let here = disk.names.keys().filter(|name| name.parent() == Some(path));
        Ok(here.filter_map(|name| name.file_name()?.to_str().map(str::to_owned)).collect())
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut disk = self.disk();
        disk.operate()?;
        disk.counters.dir_syncs += 1;
        if disk.sync_fails() {
            return Err(io::Error::other("a simulated sync failed"));
        }
        for change in disk.pending.remove(path).unwrap_or_default() {
            change.apply(&mut disk.durable);
        }
        Ok(())
    }
}

impl SimFile {
    fn with<T>(&self, then: impl FnOnce(&mut Disk, u64) -> io::Result<T>) -> io::Result<T> {
        let mut disk = self.disk.disk();
        if disk.life != self.life || !disk.inodes.contains_key(&self.inode) {
            return Err(io::Error::other("the simulated process that opened the file has died"));
        }
        then(&mut disk, self.inode)
    }
}

impl VfsFile for SimFile {
    fn size(&self) -> io::Result<u64> {
        self.with(|disk, inode| Ok(disk.inodes[&inode].size))
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.with(|disk, inode| {
            disk.counters.reads += 1;
            Ok(disk.inodes[&inode].read(offset, buf))
        })
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.with(|disk, inode| {
            disk.operate()?;
            disk.counters.writes += 1;
            let fault = disk.write_fault();
            let end = offset + u64::try_from(bytes.len()).expect("fits");
            let more = end.saturating_sub(disk.inodes[&inode].size);
            let image = |disk: &mut Disk, bytes| {
                if let Some(image) = disk.inodes.get_mut(&inode) {
                    image.write(offset, bytes);
                }
            };
            match fault {
                Some(WriteFault::Device) => Err(io::Error::other("a simulated write failed")),
                Some(WriteFault::Full) => Err(io::ErrorKind::StorageFull.into()),
                Some(WriteFault::Short(len)) => {
                    image(disk, &bytes[..len.min(bytes.len())]);
                    Err(io::Error::other("a simulated write failed half-way"))
                }
                None if more > 0 && !disk.has_room(more) => Err(io::ErrorKind::StorageFull.into()),
                None => {
                    disk.counters.bytes_written += end - offset;
                    image(disk, bytes);
                    Ok(())
                }
            }
        })
    }

    fn set_size(&self, bytes: u64) -> io::Result<()> {
        self.with(|disk, inode| {
            disk.operate()?;
            if let Some(image) = disk.inodes.get_mut(&inode) {
                image.resize(bytes);
            }
            Ok(())
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        self.with(|disk, inode| {
            disk.operate()?;
            disk.counters.syncs += 1;
            let fails = disk.sync_fails();
            match disk.inodes.get_mut(&inode) {
                Some(image) if fails => image.fail_sync(),
                Some(image) => image.sync(),
                None => {}
            }
            if fails { Err(io::Error::other("a simulated sync failed")) } else { Ok(()) }
        })
    }
}

impl Drop for SimLock {
    fn drop(&mut self) {
        let mut disk = self.disk.disk();
        if disk.locks.get(&self.path) == Some(&self.ticket) {
            disk.locks.remove(&self.path);
        }
    }
}

fn index(n: u64) -> usize {
    usize::try_from(n).expect("simulated files are small")
}
