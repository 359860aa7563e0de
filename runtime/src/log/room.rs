//! A full disk: what may still be written, and when to ask for space again.
//!
//! A failed write ends the node (I7), and a cluster of equal disks fills all of them at about the same
//! time. So no batch is ever written that needs space which is not allocated: [`Log::admits`] says how
//! many may be, and allocates what they need *before* anything of them is written. There a full disk
//! is no failure: what was tried is removed again, and tried anew after a while.
//!
//! Without a spare segment the end of the open one is kept back, in two parts:
//!
//! - the last few blocks for the marks that cleaning writes: nothing else gives space back. What makes
//!   them longer, a checkpoint's record or a membership, is written only where they still fit behind it;
//! - a quarter of a segment for what has no values in it: promises, hints, what was cleaned. A node
//!   that could not promise could not help others to lead, though that needs hardly any space.
//!
//! Who writes tells the groups when there is no more room for values ([`Log::has_room`]): a little
//! before that, so that what is under way still fits. What does not fit all the same waits, as on a
//! disk that stands still. A group that makes promises for
//! long enough waits at last, too; cleaning goes on even then.
//!
//! A founding and new incarnations are written once, at the start of a directory's life or of a process's,
//! and may be larger than what the open segment has left. So they are asked for as batches are
//! ([`Log::admits_founding`], [`Log::admits_renewal`]), and wait: nobody speaks for a node before they
//! are durable. Written without asking, on a disk without room, they are refused before the first
//! byte ([`LogError::Full`]), and the next start finds what was there before.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use synod_core::{Founding, Record, WriteBatch, mark};

use super::clean::Maintained;
use super::error::LogError;
use super::format::{Layout, bytes};
use super::founding;
use super::segment::{self, HEAD};
use super::writer::Log;
use crate::vfs::{Vfs, VfsFile};

/// What a full disk has refused.
#[derive(Debug, Default)]
pub(crate) struct Refused {
    /// How often in a row there was no space; zero if the disk is not full as far as is known.
    times: u32,
    /// It is time to ask again.
    may_ask: bool,
}

/// A spare segment for one batch that is larger than a segment is.
#[derive(Debug)]
pub(crate) struct Large<F> {
    pub(crate) path: PathBuf,
    pub(crate) file: F,
    pub(crate) size: u64,
}

/// What some batches take up as one batch of the log.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Need {
    pub(crate) records: u32,
    pub(crate) payload: u64,
    /// Bytes of the payload that cleaning carries ahead later: by so much more its marks may take up.
    pub(crate) marks: u64,
    /// There are values in it, so that the reserve is not for it.
    pub(crate) has_values: bool,
}

impl<V: Vfs> Log<V> {
    /// How many of these batches, from the first on, may be written now as one. With none of them
    /// wait until [`retry_after`](Self::retry_after) is over, [`try_again`](Self::try_again), and
    /// ask anew; they stay in their order meanwhile.
    ///
    /// Allocates what they need, and frees segments of which nothing is live.
    ///
    /// # Errors
    ///
    /// If the file system refuses anything but space: final, see [`LogError`].
    ///
    /// # Panics
    ///
    /// If the last batch is not synced yet.
    pub fn admits(&mut self, batches: &[WriteBatch]) -> Result<usize, LogError> {
        self.check()?;
        assert!(!self.unsynced, "batch {} is not synced yet", self.number);
        let mut need = Need::default();
        for (admitted, batch) in batches.iter().enumerate() {
            need.add(batch);
            let fits = self.make_room(need);
            if !self.keep(fits)? {
                mark!(BATCH_WAITS_FOR_ROOM if admitted == 0);
                return Ok(admitted);
            }
        }
        Ok(batches.len())
    }

    /// Whether there is room for a founding now, so that [`found`](Self::found) may be called. If there
    /// is none: as for [`admits`](Self::admits).
    ///
    /// # Errors
    ///
    /// As [`admits`](Self::admits).
    ///
    /// # Panics
    ///
    /// As [`admits`](Self::admits).
    pub fn admits_founding(&mut self, founding: &Founding) -> Result<bool, LogError> {
        let payload = bytes(founding::encode(founding).len());
        // Cleaning carries it ahead.
        self.admits_one(Need { records: 1, payload, marks: payload, has_values: false })
    }

    /// Whether there is room for new incarnations of so many groups now, so that
    /// [`renew`](Self::renew) may be called. If there is none: as for [`admits`](Self::admits).
    ///
    /// # Errors
    ///
    /// As [`admits`](Self::admits).
    ///
    /// # Panics
    ///
    /// As [`admits`](Self::admits).
    pub fn admits_renewal(&mut self, groups: usize) -> Result<bool, LogError> {
        let records = u32::try_from(groups).unwrap_or(u32::MAX);
        self.admits_one(Need { records, ..Need::default() })
    }

    fn admits_one(&mut self, need: Need) -> Result<bool, LogError> {
        self.check()?;
        assert!(!self.unsynced, "batch {} is not synced yet", self.number);
        let fits = self.make_room(need);
        self.keep(fits)
    }

    /// Whether the log takes values: there is a spare segment, or the open one has room to spare, or
    /// nothing is known to be wrong with the disk. See [`synod_core::Input::Room`].
    #[must_use]
    pub fn has_room(&self) -> bool {
        let ample = self.reserve() + self.config.segment_bytes / 8;
        self.refused.times == 0 || self.has_spare() || self.left() >= ample
    }

    /// After how long to [`try_again`](Self::try_again), if the disk was full: longer each time.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        let doublings = self.refused.times.checked_sub(1)?;
        Some((RETRY_MIN * (1 << doublings.min(16))).min(RETRY_MAX))
    }

    /// Asks a disk that was full for space again.
    ///
    /// # Errors
    ///
    /// If the file system refuses anything but space: final, see [`LogError`].
    pub fn try_again(&mut self) -> Result<(), LogError> {
        self.check()?;
        self.refused.may_ask = true;
        if self.refused.times > 0 && !self.has_spare() {
            let filled = self.allocate_spare();
            self.keep(filled)?;
        }
        Ok(())
    }

    /// The file system had no space for what was tried; what is in the way of trying again is gone.
    pub(crate) fn refused(&mut self) {
        mark!(LOG_HAS_NO_ROOM if self.refused.times == 0);
        let times = self.refused.times.saturating_add(1);
        self.refused = Refused { times, may_ask: false };
    }

    /// There is what was asked for.
    pub(crate) fn has_space(&mut self) {
        mark!(LOG_HAS_ROOM_AGAIN if self.refused.times > 0);
        self.refused = Refused::default();
    }

    /// Whether the disk was full when it was asked last, and it is not time to ask again.
    pub(crate) const fn is_refused(&self) -> bool {
        self.refused.times > 0 && !self.refused.may_ask
    }

    /// Whether a batch that ends at `end` fits, and leaves so much of the open segment if there is no
    /// spare one then.
    pub(crate) fn fits(&self, end: u64, kept: u64) -> bool {
        let left = self.left();
        let spares = self.spares_ready();
        if end <= left {
            return spares > 0 || left - end >= kept;
        }
        let size = segment::size_for(end, self.config.segment_bytes);
        if size == self.config.segment_bytes {
            return spares > 1 || spares == 1 && size - HEAD - end >= kept;
        }
        spares > 0 && self.spares.large.as_ref().is_some_and(|large| large.size == size)
    }

    /// The end of a batch with all the marks there are.
    pub(crate) fn marks_end(&self) -> u64 {
        self.marks_end_with(0)
    }

    /// The same, with so many bytes of payload more.
    fn marks_end_with(&self, more: u64) -> u64 {
        let shared = self.shared.read();
        let founding = shared.founding.as_ref().map_or(0, |of| bytes(of.bytes.len()));
        let histories = shared.groups.values().filter_map(|of| of.history.as_ref());
        let checkpoints = shared.groups.values().filter_map(|of| of.checkpoint.as_ref());
        let checkpoints = checkpoints.map(|held| bytes(held.state.len())).sum::<u64>();
        let histories = histories.map(|history| bytes(history.len())).sum::<u64>();
        let payload = founding + histories + checkpoints + more;
        let groups = u32::try_from(shared.groups.len()).unwrap_or(u32::MAX);
        let records = groups.saturating_mul(MARKS_PER_GROUP).saturating_add(MARKS);
        Layout::new(records, payload).map_or(u64::MAX, |layout| layout.end)
    }

    /// Bytes left of the open segment.
    pub(crate) fn left(&self) -> u64 {
        let size = self.segments.last_key_value().map_or(0, |(_, segment)| segment.size);
        size.saturating_sub(self.at)
    }

    /// What is kept from values.
    fn reserve(&self) -> u64 {
        self.config.segment_bytes / 4 + self.marks_end()
    }

    /// What is left of the open segment behind a batch that may be written.
    pub(crate) fn kept_behind(&self, need: Need) -> u64 {
        let for_others = if need.has_values { self.config.segment_bytes / 4 } else { 0 };
        self.marks_end_with(need.marks).saturating_add(for_others)
    }

    pub(crate) fn make_room(&mut self, need: Need) -> Result<bool, LogError> {
        // More than any batch may hold: whoever writes it is told so.
        let Some(layout) = Layout::new(need.records, need.payload) else { return Ok(true) };
        let kept = self.kept_behind(need);
        while !self.fits(layout.end, kept) {
            if self.free_oldest()? {
                continue;
            }
            let is_there = if self.has_spare() {
                self.allocate_for(layout.end)?
            } else {
                self.allocate_spare()?
            };
            if !is_there {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// A whole spare segment at once; says whether there is space, and asks no disk that refused.
    pub(crate) fn allocate_spare(&mut self) -> Result<bool, LogError> {
        if self.is_refused() {
            return Ok(false);
        }
        mark!(SPARE_MISSING);
        Ok(self.fill_spare(u64::MAX)? == Maintained::More)
    }

    /// A file for a batch that ends at `end` and finds no room in the open segment.
    pub(crate) fn allocate_for(&mut self, end: u64) -> Result<bool, LogError> {
        let size = segment::size_for(end, self.config.segment_bytes);
        if end > self.left() && size != self.config.segment_bytes {
            return self.allocate_large(size);
        }
        self.allocate_spare()
    }

    fn allocate_large(&mut self, size: u64) -> Result<bool, LogError> {
        if self.is_refused() {
            return Ok(false);
        }
        self.make_large(size)
    }

    /// A file for a batch that is larger than a segment is, in place of the one that there may be; asks
    /// every disk.
    pub(crate) fn make_large(&mut self, size: u64) -> Result<bool, LogError> {
        if let Some(Large { path, file, .. }) = self.spares.large.take() {
            drop(file);
            self.vfs.remove(&path).map_err(LogError::io("remove", &path))?;
        }
        let path = self.spare_path();
        let made = self.vfs.create(&path).and_then(|file| {
            file.preallocate(0, size)?;
            Ok(file)
        });
        match made {
            Ok(file) => {
                self.spares.large = Some(Large { path, file, size });
                self.has_space();
                Ok(true)
            }
            Err(error) if is_full(&error) => {
                self.give_back(&path)?;
                Ok(false)
            }
            Err(error) => Err(LogError::io("preallocate", &path)(error)),
        }
    }

    /// The error of what did not ask for so many bytes first.
    pub(crate) fn full(&self, needed: u64) -> LogError {
        LogError::Full { dir: self.dir.to_path_buf(), needed }
    }

    /// Removes what could not be allocated in full.
    pub(crate) fn give_back(&mut self, path: &std::path::Path) -> Result<(), LogError> {
        self.refused();
        match self.vfs.remove(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed.map_err(LogError::io("remove", path)),
        }
    }

    fn has_spare(&self) -> bool {
        self.spares_ready() > 0
    }
}

impl Need {
    fn add(&mut self, batch: &WriteBatch) {
        for record in batch.records() {
            self.records = self.records.saturating_add(1);
            match record {
                Record::Accepted { value, .. } | Record::Learned { value, .. } => {
                    self.payload = self.payload.saturating_add(bytes(value.len()));
                    self.has_values = true;
                }
                // Rare, and no value of a user's: it may have what is kept from values.
                Record::Membership(history) => {
                    let mut laid_out = Vec::new();
                    history.encode(&mut laid_out);
                    self.payload = self.payload.saturating_add(bytes(laid_out.len()));
                    self.marks = self.marks.saturating_add(bytes(laid_out.len()));
                }
                // The same: without it nothing is cleaned, and a full disk stays full.
                Record::Checkpoint { state, .. } => {
                    self.payload = self.payload.saturating_add(bytes(state.len()));
                    self.marks = self.marks.saturating_add(bytes(state.len()));
                }
                Record::Promised(_) | Record::Chosen(_) | Record::Cleaned(_) | Record::Lease(_) => {
                }
            }
        }
    }
}

/// Whether an error says that there is no space, and nothing else.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Marks of each group, and those of the log itself, in one batch.
const MARKS_PER_GROUP: u32 = 7;
const MARKS: u32 = 3;

/// How long a full disk is left alone at first, and at most.
const RETRY_MIN: Duration = Duration::from_millis(20);
const RETRY_MAX: Duration = Duration::from_secs(1);
