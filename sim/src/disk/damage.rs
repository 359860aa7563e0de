//! What goes wrong with a disk that no call returns as an error.

use std::path::{Path, PathBuf};

use super::image::Image;
use super::state::Disk;
use super::{SimVfs, index};
use crate::rng::{mix, to_index, to_u64};

impl SimVfs {
    /// Syncs of files and directories say that they synced, and do nothing: until this is taken
    /// back, and a later sync of the same file or directory. A power loss before that treats what
    /// they should have synced as not synced, see [`Self::is_betrayed`].
    pub fn lie(&self, is_lying: bool) {
        self.disk().is_lying = is_lying;
    }

    /// Whether the power failed while something rested on a sync that lied, since the disk was
    /// last [wiped](Self::wipe) or [restored](Self::restore).
    #[must_use]
    pub fn is_betrayed(&self) -> bool {
        self.disk().is_betrayed
    }

    /// After so many more writes, one goes elsewhere: to another multiple of a sector, chosen by
    /// `place`, in the same file or another one. It says that it wrote, and where it should have
    /// written stays what was there.
    pub fn misdirect_write_after(&self, writes: u64, place: u64) {
        self.disk().astray = Some((writes, place));
    }

    /// Every sector of a named file that holds something else than zeros on the disk, by name and
    /// offset: where damage does harm.
    #[must_use]
    pub fn used(&self) -> Vec<(PathBuf, u64)> {
        let disk = self.disk();
        let sector = to_u64(disk.sector.bytes());
        let named = disk.names.iter().filter_map(|(path, inode)| {
            let image = disk.inodes.get(inode)?;
            Some(image.used().map(move |at| (path.clone(), at / sector * sector)))
        });
        let mut used: Vec<_> = named.flatten().collect();
        used.dedup();
        used
    }

    /// A sector of a file cannot be read any more, until it is written anew.
    ///
    /// # Panics
    ///
    /// If there is no such file.
    pub fn spoil(&self, path: &Path, offset: u64) {
        let mut disk = self.disk();
        let len = disk.sector.bytes();
        disk.named(path).spoil(offset / to_u64(len) * to_u64(len), len);
    }

    /// Rot: `len` bytes of a file change, on the disk and in the cache: exclusive-or with `mask`.
    ///
    /// # Panics
    ///
    /// If there is no such file, or it ends before that.
    pub fn corrupt(&self, path: &Path, offset: u64, len: usize, mask: u8) {
        let mut disk = self.disk();
        let image = disk.named(path);
        let end = offset + to_u64(len);
        assert!(end <= image.size, "{} ends at {}, before {end}", path.display(), image.size);
        image.corrupt(offset, len, mask);
    }

    /// Everything on it is gone, and so is the process.
    pub fn wipe(&self) {
        self.restore(&Self::new());
    }

    /// It holds what is durable on another disk, an older copy of it say, and nothing else; the
    /// process is gone.
    pub fn restore(&self, from: &Self) {
        let from = from.disk().durable();
        let mut disk = self.disk();
        let next = disk.next.max(from.next);
        *disk = Disk {
            inodes: from.inodes,
            names: from.names,
            on_disk: from.on_disk,
            directories: from.directories,
            next,
            life: disk.life,
            counters: disk.counters,
            capacity: disk.capacity,
            sector: disk.sector,
            is_lying: disk.is_lying,
            ..Disk::default()
        };
        disk.new_life();
    }
}

impl Disk {
    fn named(&mut self, path: &Path) -> &mut Image {
        let inode = *self.names.get(path).unwrap_or_else(|| panic!("no {}", path.display()));
        self.inodes.get_mut(&inode).expect("named")
    }

    /// Whether this write goes elsewhere, which it then does.
    pub(super) fn goes_astray(&mut self, inode: u64, offset: u64, bytes: &[u8]) -> bool {
        let Some((left, place)) = self.astray else { return false };
        self.astray = left.checked_sub(1).map(|left| (left, place));
        if left > 0 {
            return false;
        }
        let (sector, len) = (to_u64(self.sector.bytes()), to_u64(bytes.len()));
        let fits = |inode: &u64| Some((*inode, self.inodes.get(inode)?.size.checked_sub(len)?));
        let targets: Vec<(u64, u64)> = self.names.values().filter_map(fits).collect();
        if targets.is_empty() {
            return false;
        }
        // As often as not in the same file.
        let same = targets.iter().find(|(target, _)| *target == inode && place % 2 == 0);
        let picked = to_index(mix(place) % to_u64(targets.len()));
        let (target, last) = same.copied().unwrap_or(targets[picked]);
        let at = mix(place ^ 1) % (last / sector + 1) * sector;
        if (target, at) == (inode, offset) {
            return false;
        }
        self.counters.astray += 1;
        let end = index(offset) + bytes.len();
        if let Some(image) = self.inodes.get_mut(&inode) {
            image.resize(image.size.max(to_u64(end)));
        }
        if let Some(image) = self.inodes.get_mut(&target) {
            image.write(at, bytes);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Loss, PAGE, SECTOR, Sector};
    use super::*;
    use synod::vfs::{Vfs, VfsFile};

    const DIR: &str = "/d";

    fn path(name: &str) -> PathBuf {
        Path::new(DIR).join(name)
    }

    /// A disk with a file of two pages of ones, durable.
    fn disk() -> SimVfs {
        let disk = SimVfs::new();
        disk.create_dir_all(Path::new(DIR)).unwrap();
        disk.create(&path("a")).unwrap().write_at(0, &[1; 2 * PAGE]).unwrap();
        disk.open(&path("a")).unwrap().sync_data().unwrap();
        disk.sync_dir(Path::new(DIR)).unwrap();
        disk
    }

    fn read(disk: &SimVfs, name: &str) -> Vec<u8> {
        let mut bytes = vec![0; 4 * PAGE];
        let len = disk.open(&path(name)).unwrap().read_at(0, &mut bytes).unwrap();
        bytes.truncate(len);
        bytes
    }

    #[test]
    fn a_sync_that_lies_keeps_nothing_from_the_next_power_loss() {
        let disk = disk();
        disk.lie(true);
        disk.open(&path("a")).unwrap().write_at(0, &[2; PAGE]).unwrap();
        disk.open(&path("a")).unwrap().sync_data().unwrap();
        disk.create(&path("b")).unwrap();
        disk.sync_dir(Path::new(DIR)).unwrap();
        assert_eq!(disk.counters().lies, 2);

        let honest = disk.fork();
        honest.lie(false);
        honest.open(&path("a")).unwrap().sync_data().unwrap();
        honest.sync_dir(Path::new(DIR)).unwrap();
        honest.lose_power(Loss::Nothing, &mut || 0);
        assert_eq!(read(&honest, "a")[0], 2);
        assert!(!honest.is_betrayed());
        assert!(honest.open(&path("b")).is_ok());

        disk.crash_process();
        assert_eq!(read(&disk, "a")[0], 2, "the cache still has it");
        disk.lose_power(Loss::Nothing, &mut || 0);
        assert_eq!(read(&disk, "a"), [1; 2 * PAGE]);
        assert!(disk.is_betrayed());
        assert!(disk.open(&path("b")).is_err());
    }

    #[test]
    fn a_lie_about_nothing_betrays_nobody() {
        let disk = disk();
        disk.lie(true);
        disk.open(&path("a")).unwrap().sync_data().unwrap();
        disk.sync_dir(Path::new(DIR)).unwrap();
        disk.lose_power(Loss::Nothing, &mut || 0);
        assert!(!disk.is_betrayed());
    }

    #[test]
    fn a_misdirected_write_leaves_its_place_alone_and_spoils_another() {
        for place in 0..40 {
            let disk = disk();
            disk.create(&path("b")).unwrap().write_at(0, &[3; 2 * PAGE]).unwrap();
            disk.misdirect_write_after(1, place);
            let file = disk.open(&path("a")).unwrap();
            file.write_at(0, &[4; SECTOR]).unwrap();
            file.write_at(to_u64(PAGE), &[5; SECTOR]).unwrap();
            file.write_at(to_u64(PAGE) + 512, &[6; SECTOR]).unwrap();
            let all = [read(&disk, "a"), read(&disk, "b")].concat();
            let fives = all.iter().filter(|&&byte| byte == 5).count();
            // The last write may have landed on top of it.
            assert!(fives == SECTOR || fives == 0, "{place}");
            assert_eq!(disk.counters().astray, u64::from(all[PAGE] != 5), "{place}");
            assert_eq!(all[PAGE + 512], 6, "only one goes astray");
        }
    }

    #[test]
    fn a_spoiled_sector_fails_until_it_is_written_as_a_whole() {
        for sector in [Sector::Small, Sector::Large] {
            let disk = SimVfs::with_sectors(sector);
            disk.create_dir_all(Path::new(DIR)).unwrap();
            let file = disk.create(&path("a")).unwrap();
            file.write_at(0, &[1; 2 * PAGE]).unwrap();
            file.sync_data().unwrap();
            disk.sync_dir(Path::new(DIR)).unwrap();
            disk.spoil(&path("a"), to_u64(PAGE) + 7);
            let at = to_u64(PAGE);
            let mut buf = [0; 8];
            assert!(file.read_at(at + 8, &mut buf).is_err());
            assert!(file.read_at(at - 8, &mut buf).is_ok());
            assert!(file.read_at(at - 1, &mut buf).is_err());
            assert_eq!(file.read_at(at + 512, &mut buf).is_ok(), sector == Sector::Small);
            file.write_at(at, &[2; 100]).unwrap();
            assert!(file.read_at(at, &mut buf).is_err(), "part of it");
            disk.crash_process();
            let file = disk.open(&path("a")).unwrap();
            assert!(file.read_at(at, &mut buf).is_err(), "sticks");
            assert!(disk.durable_view().open(&path("a")).unwrap().read_at(at, &mut buf).is_err());
            file.write_at(at, &[0; PAGE]).unwrap();
            assert_eq!(file.read_at(at, &mut buf).unwrap(), 8);
            assert_eq!(buf, [0; 8]);
        }
    }

    #[test]
    fn rot_sticks_through_a_power_loss_until_the_place_is_rewritten() {
        let disk = disk();
        disk.corrupt(&path("a"), 700, 1, 0x10);
        disk.power_loss(&mut || 0);
        assert_eq!(read(&disk, "a")[700], 0x11);
        let file = disk.open(&path("a")).unwrap();
        file.write_at(512, &[1; SECTOR]).unwrap();
        file.sync_data().unwrap();
        disk.power_loss(&mut || 1);
        assert_eq!(read(&disk, "a"), [1; 2 * PAGE]);
    }

    #[test]
    fn damage_finds_what_is_in_use() {
        let disk = disk();
        let file = disk.create(&path("b")).unwrap();
        file.write_at(3 * to_u64(PAGE) + 600, &[7]).unwrap();
        assert!(disk.used().iter().all(|(used, _)| *used == path("a")), "only in the cache");
        file.sync_data().unwrap();
        let used = disk.used();
        assert_eq!(used.len(), 2 * PAGE / SECTOR + 1);
        assert_eq!(used.last(), Some(&(path("b"), 3 * to_u64(PAGE) + 512)));
    }

    #[test]
    fn a_wiped_disk_is_empty_and_a_restored_one_is_as_it_was() {
        let disk = disk();
        let old = disk.fork();
        disk.open(&path("a")).unwrap().write_at(0, &[2; PAGE]).unwrap();
        disk.create(&path("b")).unwrap();
        let held = disk.lock(&path("lock")).unwrap();
        disk.restore(&old);
        assert_eq!(read(&disk, "a"), [1; 2 * PAGE]);
        assert!(disk.open(&path("b")).is_err());
        assert!(disk.lock(&path("lock")).unwrap().is_some(), "the process is gone");
        drop(held);
        disk.wipe();
        assert!(disk.list(Path::new(DIR)).is_err());
        assert_eq!(disk.used(), []);
        disk.create_dir_all(Path::new(DIR)).unwrap();
        disk.create(&path("a")).unwrap();
    }
}
