//! What a disk is made of: files, names, and the faults that are armed.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Bound;
use std::path::{Path, PathBuf};

use super::image::Image;
use super::{Counters, Loss, Sector, WriteFault};

#[derive(Clone, Debug, Default)]
pub(super) struct Disk {
    pub(super) inodes: BTreeMap<u64, Image>,
    /// What a process sees.
    pub(super) names: BTreeMap<PathBuf, u64>,
    /// What the disk holds.
    pub(super) on_disk: BTreeMap<PathBuf, u64>,
    /// Changes of names since the directory was synced, in order.
    pub(super) pending: BTreeMap<PathBuf, Vec<Change>>,
    pub(super) directories: BTreeSet<PathBuf>,
    pub(super) locks: BTreeMap<PathBuf, u64>,
    pub(super) next: u64,
    pub(super) life: u64,
    pub(super) counters: Counters,
    /// Syncs of files or directories that still succeed before one fails.
    pub(super) fail_sync: Option<u64>,
    pub(super) fail_write: Option<(u64, WriteFault)>,
    /// Operations that still take place before the process stops.
    pub(super) stop: Option<u64>,
    pub(super) capacity: Option<u64>,
    pub(super) sector: Sector,
    /// Syncs return, and sync nothing.
    pub(super) is_lying: bool,
    /// Directories whose last sync lied.
    pub(super) lied: BTreeSet<PathBuf>,
    /// The power failed while something rested on a lie only.
    pub(super) is_betrayed: bool,
    /// Writes that still go where they should before one goes elsewhere: where, at random.
    pub(super) astray: Option<(u64, u64)>,
}

#[derive(Clone, Debug)]
pub(super) enum Change {
    Create(PathBuf, u64),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
}

impl Disk {
    pub(super) fn new_life(&mut self) {
        self.life += 1;
        self.locks.clear();
        self.disarm();
        let (names, durable) = (&self.names, &self.on_disk);
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

    /// The power fails.
    pub(super) fn lose_power(&mut self, loss: Loss, random: &mut dyn FnMut() -> u64) {
        self.counters.power_losses += 1;
        let lied = self.inodes.values().any(Image::is_lied) || !self.lied.is_empty();
        self.is_betrayed |= lied && loss != Loss::All;
        self.lied.clear();
        for (_, changes) in std::mem::take(&mut self.pending) {
            let survive = loss.changes(changes.len(), random);
            for change in changes.into_iter().take(survive) {
                change.apply(&mut self.on_disk);
            }
        }
        self.names = self.on_disk.clone();
        self.bring_back_directories();
        for image in self.inodes.values_mut().filter(|image| !image.is_clean()) {
            image.power_loss(loss, self.sector, random);
        }
        self.new_life();
    }

    /// As a power loss would leave it if nothing unsynced survived.
    pub(super) fn durable(&self) -> Self {
        let inodes = self
            .on_disk
            .values()
            .filter_map(|inode| self.inodes.get(inode).map(|image| (*inode, image.durable())));
        let mut durable = Self {
            inodes: inodes.collect(),
            names: self.on_disk.clone(),
            on_disk: self.on_disk.clone(),
            directories: self.directories.clone(),
            next: self.next,
            sector: self.sector,
            ..Self::default()
        };
        durable.bring_back_directories();
        durable
    }

    /// What was armed does not happen.
    pub(super) fn disarm(&mut self) {
        (self.fail_sync, self.fail_write, self.stop) = (None, None, None);
        self.astray = None;
    }

    /// One more operation that changes something.
    pub(super) fn operate(&mut self) -> io::Result<()> {
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
    pub(super) fn sync_fails(&mut self) -> bool {
        let Some(left) = self.fail_sync else { return false };
        self.fail_sync = left.checked_sub(1);
        self.counters.faults += u64::from(left == 0);
        left == 0
    }

    pub(super) fn write_fault(&mut self) -> Option<WriteFault> {
        let (left, fault) = self.fail_write?;
        self.fail_write = left.checked_sub(1).map(|left| (left, fault));
        self.counters.faults += u64::from(left == 0);
        (left == 0).then_some(fault)
    }

    pub(super) fn change(&mut self, directory: Option<&Path>, change: Change) {
        change.clone().apply(&mut self.names);
        let directory = directory.map(Path::to_owned).unwrap_or_default();
        self.pending.entry(directory).or_default().push(change);
    }

    pub(super) fn create(&mut self, path: &Path) -> io::Result<u64> {
        if !path.parent().is_none_or(|parent| self.directories.contains(parent)) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let inode = self.next;
        self.next += 1;
        self.inodes.insert(inode, Image::default());
        self.change(path.parent(), Change::Create(path.to_owned(), inode));
        Ok(inode)
    }

    /// The names of files below a directory, at any depth. Paths are ordered part by part, so they
    /// stand next to each other.
    pub(super) fn below<'a>(&'a self, path: &'a Path) -> impl Iterator<Item = &'a PathBuf> {
        let behind = (Bound::Excluded(path), Bound::Unbounded);
        let names = self.names.range::<Path, _>(behind).map(|(name, _)| name);
        names.take_while(move |name| name.starts_with(path))
    }

    /// The directories below a directory, at any depth.
    pub(super) fn directories_below<'a>(
        &'a self,
        path: &'a Path,
    ) -> impl Iterator<Item = &'a PathBuf> {
        let behind = (Bound::Excluded(path), Bound::Unbounded);
        let below = self.directories.range::<Path, _>(behind);
        below.take_while(move |name| name.starts_with(path))
    }

    /// A directory goes with those below it. What was in them is not gone from the disk yet: a power
    /// loss brings them back with it.
    pub(super) fn remove_directories(&mut self, path: &Path) {
        let mut gone: Vec<PathBuf> = self.directories_below(path).cloned().collect();
        gone.push(path.to_owned());
        for directory in gone {
            self.directories.remove(&directory);
        }
    }

    /// The names in a directory are durable, and so are the removals of those that were directories:
    /// only an empty one can be removed.
    pub(super) fn settle_removed(&mut self, path: &Path) {
        let behind = (Bound::Excluded(path), Bound::Unbounded);
        let below = self.pending.range::<Path, _>(behind).map(|(directory, _)| directory);
        let below = below.take_while(|directory| directory.starts_with(path));
        let gone: Vec<PathBuf> =
            below.filter(|directory| !self.directories.contains(*directory)).cloned().collect();
        for directory in gone {
            self.lied.remove(&directory);
            for change in self.pending.remove(&directory).unwrap_or_default() {
                change.apply(&mut self.on_disk);
            }
        }
    }

    /// Every file that is there has its directories.
    fn bring_back_directories(&mut self) {
        for name in self.names.keys() {
            for directory in name.ancestors().skip(1) {
                if self.directories.contains(directory) {
                    break;
                }
                self.directories.insert(directory.to_owned());
            }
        }
    }

    pub(super) fn has_room(&self, more: u64) -> bool {
        self.capacity.is_none_or(|capacity| self.named_bytes() + more <= capacity)
    }

    /// Bytes of all files that have a name.
    pub(super) fn named_bytes(&self) -> u64 {
        let named = self.names.values().filter_map(|inode| self.inodes.get(inode));
        named.map(|image| image.size).sum()
    }
}

impl Change {
    pub(super) fn apply(self, names: &mut BTreeMap<PathBuf, u64>) {
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
