//! Reading values back, beside the writer.

use std::collections::Bound;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use bytes::{Bytes, BytesMut};
use synod_core::{GroupId, Instance, Stored, Value, mark};

use super::error::ReadError;
use super::format::index;
use super::gaps;
use super::index::{Index, Slot};
use super::scan::{ScanError, Scanner};
use super::segment;
use crate::vfs::{Vfs, VfsFile};

/// The index, shared by the writer and its readers. Locked briefly, never during I/O.
#[derive(Debug, Default)]
pub(crate) struct Shared<F>(RwLock<Index<F>>);

impl<F> Shared<F> {
    pub(crate) fn new(index: Index<F>) -> Self {
        Self(RwLock::new(index))
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, Index<F>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, Index<F>> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads accepted and chosen values from the log. Cheap to clone; any number may read while the
/// log is written.
pub struct LogReader<V: Vfs> {
    pub(crate) dir: Arc<PathBuf>,
    pub(crate) salt: u64,
    pub(crate) shared: Arc<Shared<V::File>>,
}

impl<V: Vfs> Clone for LogReader<V> {
    fn clone(&self) -> Self {
        let (dir, shared) = (Arc::clone(&self.dir), Arc::clone(&self.shared));
        Self { dir, salt: self.salt, shared }
    }
}

impl<V: Vfs> fmt::Debug for LogReader<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogReader").field("dir", &self.dir).finish_non_exhaustive()
    }
}

/// What an entry costs its reader beside the bytes of its value.
const ENTRY_OVERHEAD: usize = 64;

impl<V: Vfs> LogReader<V> {
    /// Reads the entries of `group` in `from..=to`, ascending, without gaps, up to the first
    /// instance of which the log has no record. Stops before `bytes_max` bytes are exceeded,
    /// counting 64 beside each value, but gives at least one entry if there is one at `from`; empty if there is none,
    /// or the group is unknown.
    ///
    /// Each value's CRC is checked. One that the disk no longer gives comes as
    /// [`Stored::value`]` = None`. Includes what is written and not yet synced.
    ///
    /// # Errors
    ///
    /// [`ReadError::Cleaned`] if `from` was cleaned; [`ReadError::Io`] if the file system refuses.
    pub fn read(
        &self,
        group: GroupId,
        from: Instance,
        to: Instance,
        bytes_max: usize,
    ) -> Result<Vec<Stored>, ReadError> {
        let mut found = Vec::new();
        {
            let shared = self.shared.read();
            let Some(of) = shared.groups.get(&group) else { return Ok(Vec::new()) };
            if from <= of.cleaned {
                return Err(ReadError::Cleaned { group, cleaned: of.cleaned });
            }
            if from > to {
                return Ok(Vec::new());
            }
            let (mut next, mut room) = (from, bytes_max);
            for (&instance, slot) in of.slots.range((Bound::Included(from), Bound::Included(to))) {
                let len = index(u64::from(slot.len)) + ENTRY_OVERHEAD;
                if instance != next || (len > room && !found.is_empty()) {
                    break;
                }
                room = room.saturating_sub(len);
                found.push((instance, *slot, shared.files.get(&slot.segment).cloned()));
                if instance == Instance::MAX {
                    break;
                }
                next = instance.next();
            }
        }
        let mut entries = Vec::with_capacity(found.len());
        for (instance, slot, file) in found {
            let stored = |value| Stored { instance, ballot: slot.ballot, value };
            let value = match &file {
                Some(file) => self.value(&slot, file.as_ref())?,
                None => None,
            };
            mark!(READ_LOST if slot.lost);
            if value.is_some() || slot.lost {
                entries.push(stored(value));
                continue;
            }
            // Cleaning may have moved the value, or forgotten it, while we read.
            match self.again(group, instance, &slot)? {
                Again::Moved(entry) => {
                    mark!(READ_BESIDE_CLEANING);
                    entries.push(entry);
                }
                Again::Same => entries.push(stored(None)),
                Again::Cleaned(cleaned) if entries.is_empty() => {
                    return Err(ReadError::Cleaned { group, cleaned });
                }
                Again::Cleaned(_) => {
                    mark!(READ_BESIDE_FORGETTING);
                    break;
                }
            }
        }
        Ok(entries)
    }

    fn again(&self, group: GroupId, instance: Instance, old: &Slot) -> Result<Again, ReadError> {
        let mut old = *old;
        loop {
            let (slot, file) = {
                let shared = self.shared.read();
                let Some(of) = shared.groups.get(&group) else { return Ok(Again::Same) };
                let Some(slot) = of.slots.get(&instance) else {
                    return Ok(Again::Cleaned(of.cleaned));
                };
                if *slot == old {
                    return Ok(Again::Same);
                }
                (*slot, shared.files.get(&slot.segment).cloned())
            };
            if let Some(file) = file
                && let Some(value) = self.value(&slot, file.as_ref())?
            {
                let ballot = slot.ballot;
                return Ok(Again::Moved(Stored { instance, ballot, value: Some(value) }));
            }
            old = slot;
        }
    }

    fn value(&self, slot: &Slot, file: &V::File) -> Result<Option<Value>, ReadError> {
        let bytes = read_mended(file, self.salt, slot).map_err(|source| ReadError::Io {
            path: segment::path(&self.dir, slot.segment),
            source: Arc::new(source),
        })?;
        Ok(bytes.and_then(|bytes| Value::parse(bytes).ok()))
    }
}

enum Again {
    Moved(Stored),
    Same,
    Cleaned(Instance),
}

/// The bytes of a value, from whichever copy is good; `None` if none is.
pub(crate) fn read_value(file: &impl VfsFile, slot: &Slot) -> io::Result<Option<Bytes>> {
    if slot.lost {
        return Ok(None);
    }
    let mut buf = BytesMut::zeroed(index(u64::from(slot.len)));
    let offset = u64::from(slot.offset);
    for at in [offset, offset + u64::from(slot.twin)] {
        match gaps::read_exact_at(file, at, &mut buf) {
            Ok(()) if crc32c::crc32c(&buf) == slot.crc => {
                mark!(READ_FROM_COPY if at != offset);
                return Ok(Some(buf.freeze()));
            }
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// As [`read_value`]; if a block of the value is bad and all others of its batch are good, as it was.
///
/// Leaves the block as it is: beside the writer nothing is written. The next start mends it.
pub(crate) fn read_mended(
    file: &impl VfsFile,
    salt: u64,
    slot: &Slot,
) -> io::Result<Option<Bytes>> {
    let value = read_value(file, slot)?;
    if value.is_some() || slot.lost {
        return Ok(value);
    }
    let offset = u64::from(slot.offset);
    let batch = match Scanner::new(file, salt, slot.segment)?.over(offset) {
        Ok(Some(batch)) => batch,
        Ok(None) | Err(ScanError::Unknown | ScanError::Contradiction(_)) => return Ok(None),
        Err(ScanError::Io(error)) => return Err(error),
    };
    let mut buf = BytesMut::zeroed(index(u64::from(slot.len)));
    batch.read(file, offset, &mut buf)?;
    let is_whole = crc32c::crc32c(&buf) == slot.crc;
    mark!(READ_MENDED if is_whole);
    Ok(is_whole.then(|| buf.freeze()))
}
