//! A file system on top of another that is only read: what is written stays in memory.
//!
//! With it the production recovery can be run over a directory, to see what a start would make of it,
//! without a byte of the directory changing.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Vfs, VfsFile};

/// A file system whose changes are kept in memory, and dropped with it.
#[derive(Clone, Debug)]
pub struct Overlay<V: Vfs> {
    below: V,
    /// Names that differ from those below: other files, or none.
    names: Arc<Mutex<BTreeMap<PathBuf, Option<OverlayFile<V>>>>>,
}

/// An open file of an [`Overlay`].
#[derive(Debug)]
pub struct OverlayFile<V: Vfs>(Arc<Shared<V::File>>);

impl<V: Vfs> Clone for OverlayFile<V> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

#[derive(Debug)]
struct Shared<F> {
    below: Option<F>,
    above: Mutex<Above>,
}

#[derive(Debug, Default)]
struct Above {
    size: u64,
    /// Nothing of the file below shows from here on.
    below_end: u64,
    /// Changed blocks, whole.
    blocks: BTreeMap<u64, Box<[u8]>>,
}

const BLOCK: u64 = 4096;

impl<V: Vfs> Overlay<V> {
    /// A view of `below`, as it is now.
    pub fn new(below: V) -> Self {
        Self { below, names: Arc::default() }
    }

    fn names(&self) -> MutexGuard<'_, BTreeMap<PathBuf, Option<OverlayFile<V>>>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        match self.open(path) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

impl<V: Vfs> Vfs for Overlay<V> {
    type File = OverlayFile<V>;
    type Lock = V::Lock;

    fn create_dir_all(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    fn create(&self, path: &Path) -> io::Result<Self::File> {
        if self.exists(path)? {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let file = OverlayFile(Arc::new(Shared { below: None, above: Mutex::default() }));
        self.names().insert(path.to_owned(), Some(file.clone()));
        Ok(file)
    }

    fn open(&self, path: &Path) -> io::Result<Self::File> {
        if let Some(found) = self.names().get(path) {
            return found.clone().ok_or_else(|| io::ErrorKind::NotFound.into());
        }
        let below = self.below.open(path)?;
        let size = below.size()?;
        let above = Above { size, below_end: size, blocks: BTreeMap::new() };
        let file = OverlayFile(Arc::new(Shared { below: Some(below), above: Mutex::new(above) }));
        self.names().insert(path.to_owned(), Some(file.clone()));
        Ok(file)
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Self::Lock>> {
        self.below.lock(path) // the real one: nobody may write meanwhile
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let file = self.open(from)?;
        let mut names = self.names();
        names.insert(from.to_owned(), None);
        names.insert(to.to_owned(), Some(file));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.open(path)?;
        self.names().insert(path.to_owned(), None);
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let mut found: BTreeMap<String, bool> =
            self.below.list(path)?.into_iter().map(|name| (name, true)).collect();
        for (changed, file) in self.names().iter() {
            if changed.parent() == Some(path)
                && let Some(name) = changed.file_name().and_then(|name| name.to_str())
            {
                found.insert(name.to_owned(), file.is_some());
            }
        }
        Ok(found.into_iter().filter_map(|(name, is_there)| is_there.then_some(name)).collect())
    }

    fn sync_dir(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }
}

impl<V: Vfs> OverlayFile<V> {
    fn above(&self) -> MutexGuard<'_, Above> {
        self.0.above.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A block as it is now, zeros behind the end.
    fn block(&self, above: &Above, at: u64) -> io::Result<Box<[u8]>> {
        if let Some(block) = above.blocks.get(&at) {
            return Ok(block.clone());
        }
        let mut block = vec![0; index(BLOCK)].into_boxed_slice();
        let left = above.below_end.saturating_sub(at).min(BLOCK);
        if let Some(below) = &self.0.below {
            below.read_at(at, &mut block[..index(left)])?;
        }
        Ok(block)
    }
}

impl<V: Vfs> VfsFile for OverlayFile<V> {
    fn size(&self) -> io::Result<u64> {
        Ok(self.above().size)
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let above = self.above();
        let len = above.size.saturating_sub(offset).min(length(buf.len()));
        let mut done = 0;
        while done < len {
            let at = offset + done;
            let (start, within) = (at / BLOCK * BLOCK, at % BLOCK);
            let part = (BLOCK - within).min(len - done);
            let block = self.block(&above, start)?;
            buf[index(done)..index(done + part)]
                .copy_from_slice(&block[index(within)..index(within + part)]);
            done += part;
        }
        Ok(index(len))
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut above = self.above();
        let len = length(bytes.len());
        let mut done = 0;
        while done < len {
            let at = offset + done;
            let (start, within) = (at / BLOCK * BLOCK, at % BLOCK);
            let part = (BLOCK - within).min(len - done);
            let mut block = self.block(&above, start)?;
            block[index(within)..index(within + part)]
                .copy_from_slice(&bytes[index(done)..index(done + part)]);
            above.blocks.insert(start, block);
            done += part;
        }
        above.size = above.size.max(offset + len);
        Ok(())
    }

    fn set_size(&self, bytes: u64) -> io::Result<()> {
        let mut above = self.above();
        if bytes < above.size {
            above.below_end = above.below_end.min(bytes);
            above.blocks.split_off(&bytes.next_multiple_of(BLOCK));
            let last = bytes / BLOCK * BLOCK;
            if let Some(block) = above.blocks.get_mut(&last) {
                block[index(bytes - last)..].fill(0);
            }
        }
        above.size = bytes;
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }
}

fn index(n: u64) -> usize {
    usize::try_from(n).expect("within a buffer")
}

fn length(n: usize) -> u64 {
    u64::try_from(n).expect("usize has at most 64 bits")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vfs::StdVfs;

    #[test]
    fn what_is_written_shows_and_nothing_below_changes() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        std::fs::write(path("a"), vec![1; 10_000]).unwrap();
        std::fs::write(path("b"), b"b").unwrap();
        let vfs = Overlay::new(StdVfs);

        let file = vfs.open(&path("a")).unwrap();
        file.write_at(4090, &[2; 12]).unwrap();
        file.set_size(5000).unwrap();
        file.write_at(6000, &[3]).unwrap();
        let mut all = vec![9; 7000];
        assert_eq!(file.read_at(0, &mut all).unwrap(), 6001);
        let expected =
            [vec![1; 4090], vec![2; 12], vec![1; 5000 - 4102], vec![0; 1000], vec![3]].concat();
        assert_eq!(all[..6001], expected);

        vfs.rename(&path("a"), &path("c")).unwrap();
        vfs.remove(&path("b")).unwrap();
        vfs.create(&path("d")).unwrap().write_at(1, b"d").unwrap();
        assert_eq!(vfs.list(dir.path()).unwrap(), ["c", "d"]);
        assert_eq!(vfs.open(&path("c")).unwrap().size().unwrap(), 6001);
        assert!(vfs.open(&path("a")).is_err());
        assert!(vfs.create(&path("d")).is_err(), "the name is taken");

        assert_eq!(StdVfs.list(dir.path()).unwrap(), ["a", "b"]);
        assert_eq!(std::fs::read(path("a")).unwrap(), vec![1; 10_000]);
    }
}
