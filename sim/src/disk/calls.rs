//! What a process may ask of a simulated disk.

use std::io;
use std::path::{Path, PathBuf};

use synod::vfs::{Vfs, VfsFile};

use super::state::{Change, Disk};
use super::{SimFile, SimLock, SimVfs, WriteFault};

impl Vfs for SimVfs {
    type File = SimFile;
    type Lock = SimLock;

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        let mut disk = self.disk();
        disk.operate()?;
        for directory in path.ancestors() {
            if disk.directories.contains(directory) {
                break;
            }
            if let Some(parent) = directory.parent().filter(|_| !disk.is_lying) {
                disk.settle_removed(parent);
            }
            disk.directories.insert(directory.to_owned());
        }
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
        Ok(children(path, disk.below(path)))
    }

    fn directories(&self, path: &Path) -> io::Result<Vec<String>> {
        let disk = self.disk();
        if !disk.directories.contains(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(children(path, disk.directories_below(path)))
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        let mut disk = self.disk();
        let names: Vec<_> = disk.below(path).cloned().collect();
        for name in names {
            disk.operate()?;
            disk.change(name.parent(), Change::Remove(name.clone()));
        }
        disk.operate()?;
        disk.remove_directories(path);
        Ok(())
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut disk = self.disk();
        disk.operate()?;
        disk.counters.dir_syncs += 1;
        if disk.sync_fails() {
            return Err(io::Error::other("a simulated sync failed"));
        }
        if disk.is_lying {
            disk.counters.lies += 1;
            if disk.pending.contains_key(path) {
                disk.lied.insert(path.to_owned());
            }
            return Ok(());
        }
        disk.lied.remove(path);
        for change in disk.pending.remove(path).unwrap_or_default() {
            change.apply(&mut disk.on_disk);
        }
        disk.settle_removed(path);
        Ok(())
    }
}

impl SimVfs {
    fn handle(&self, inode: u64, life: u64) -> SimFile {
        SimFile { disk: self.clone(), inode, life }
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
            let image = &disk.inodes[&inode];
            if !image.can_read(offset, buf.len()) {
                return Err(io::Error::other("a simulated sector cannot be read"));
            }
            Ok(image.read(offset, buf))
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
                    if !disk.goes_astray(inode, offset, bytes) {
                        image(disk, bytes);
                    }
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
            let lies = disk.is_lying && !fails;
            disk.counters.lies += u64::from(lies);
            match disk.inodes.get_mut(&inode) {
                Some(image) if fails => image.fail_sync(),
                Some(image) if lies => image.lie(),
                Some(image) => image.sync(),
                None => {}
            }
            if fails { Err(io::Error::other("a simulated sync failed")) } else { Ok(()) }
        })
    }
}

/// The names of those that are directly in a directory.
fn children<'a>(path: &Path, below: impl Iterator<Item = &'a PathBuf>) -> Vec<String> {
    let here = below.filter(|name| name.parent() == Some(path));
    here.filter_map(|name| name.file_name()?.to_str().map(str::to_owned)).collect()
}

impl Drop for SimLock {
    fn drop(&mut self) {
        let mut disk = self.disk.disk();
        if disk.locks.get(&self.path) == Some(&self.ticket) {
            disk.locks.remove(&self.path);
        }
    }
}
