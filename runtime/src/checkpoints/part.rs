//! One machine's part of a checkpoint: its files, as the machine writes and reads them.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crc32c::crc32c_append;
use synod_core::ManifestFile;

use crate::state_machine::Directory;
use crate::vfs::{Vfs, VfsFile};

/// A machine's part of a checkpoint on a [`Vfs`].
#[derive(Debug)]
pub struct PartDirectory<V: Vfs> {
    vfs: V,
    pub(super) dir: PathBuf,
    written: Mutex<BTreeMap<String, Written>>,
}

/// Bytes that were written to a file, and their CRC-32C.
type Written = (u64, u32);

impl<V: Vfs> PartDirectory<V> {
    pub(super) const fn new(vfs: V, dir: PathBuf) -> Self {
        Self { vfs, dir, written: Mutex::new(BTreeMap::new()) }
    }

    /// What was written to a file that was created here; nothing if it came by its path.
    pub(super) fn written(&self, name: &str) -> Option<Written> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner).get(name).copied()
    }
}

impl<V: Vfs> Directory for PartDirectory<V> {
    fn path(&self) -> &Path {
        &self.dir
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn Write + '_>> {
        if !ManifestFile::is_name(name) {
            return Err(io::ErrorKind::InvalidFilename.into());
        }
        let file = self.vfs.create(&self.dir.join(name))?;
        let writer = Writer { file, name: name.to_owned(), sum: (0, 0), written: &self.written };
        writer.note();
        Ok(Box::new(writer))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn Read + '_>> {
        Ok(Box::new(Reader { file: self.vfs.open(&self.dir.join(name))?, at: 0 }))
    }
}

/// Writes a file from its beginning, and keeps count.
struct Writer<'a, F> {
    file: F,
    name: String,
    sum: Written,
    written: &'a Mutex<BTreeMap<String, Written>>,
}

impl<F> Writer<'_, F> {
    fn note(&self) {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        written.insert(self.name.clone(), self.sum);
    }
}

impl<F: VfsFile> Write for Writer<'_, F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let (at, crc) = self.sum;
        self.file.write_at(at, bytes)?;
        let len = u64::try_from(bytes.len()).map_err(io::Error::other)?;
        self.sum = (at + len, crc32c_append(crc, bytes));
        self.note();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads a file from its beginning to its end.
struct Reader<F> {
    file: F,
    at: u64,
}

impl<F: VfsFile> Read for Reader<F> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(self.at, buf)?;
        self.at += u64::try_from(read).map_err(io::Error::other)?;
        Ok(read)
    }
}
