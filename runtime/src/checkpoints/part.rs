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
    written: Mutex<BTreeMap<String, Sum>>,
    /// What its files are to hold, where that is known.
    expected: BTreeMap<String, Sum>,
}

/// Bytes of a file, and their CRC-32C.
pub(super) type Sum = (u64, u32);

impl<V: Vfs> PartDirectory<V> {
    pub(super) const fn new(vfs: V, dir: PathBuf) -> Self {
        Self { vfs, dir, written: Mutex::new(BTreeMap::new()), expected: BTreeMap::new() }
    }

    /// The same, of files that are to hold this: who reads one to its end learns if it does not.
    pub(super) fn expecting(self, expected: BTreeMap<String, Sum>) -> Self {
        Self { expected, ..self }
    }

    /// What was written to a file that was created here; nothing if it came by its path.
    pub(super) fn written(&self, name: &str) -> Option<Sum> {
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
        let file = self.vfs.open(&self.dir.join(name))?;
        let expected = self.expected.get(name).copied();
        Ok(Box::new(Reader { file, sum: (0, 0), expected }))
    }
}

/// Writes a file from its beginning, and keeps count.
struct Writer<'a, F> {
    file: F,
    name: String,
    sum: Sum,
    written: &'a Mutex<BTreeMap<String, Sum>>,
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

/// Reads a file from its beginning to its end, and tells there whether it was what it is to be.
struct Reader<F> {
    file: F,
    sum: Sum,
    expected: Option<Sum>,
}

impl<F: VfsFile> Read for Reader<F> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let (at, crc) = self.sum;
        let read = self.file.read_at(at, buf)?;
        if read == 0 && !buf.is_empty() && self.expected.is_some_and(|sum| sum != self.sum) {
            let what = "the file does not hold what was written: a disk or memory is damaged";
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        let len = u64::try_from(read).map_err(io::Error::other)?;
        self.sum = (at + len, crc32c_append(crc, &buf[..read]));
        Ok(read)
    }
}
