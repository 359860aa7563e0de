//! Freeing segments, and having the next one ready.
//!
//! A segment is needed while a live record is in it. The marks of a group (promise, chosen, cleaned,
//! incarnation, checkpoint) are few bytes: when the oldest segment holds nothing else that is live, they are
//! written anew, with the new oldest segment, and *after that batch is synced* the file is freed.
//! Values that pin an old segment are moved the same way, a little at a time, once the log holds
//! more dead bytes than live ones.
//!
//! A freed file keeps its blocks and becomes a spare, so that in the steady state no sync writes
//! metadata. Its old batches name their old segment and are never taken for new ones.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use synod_core::{Ballot, GroupId, History, Instance, Record, mark};

use super::error::LogError;
use super::format::{Entry, Kind, Layout};
use super::reader::read_mended;
use super::room::{Large, Need, is_full};
use super::segment;
use super::writer::Log;
use crate::vfs::{Vfs, VfsFile};

/// What one call of [`Log::maintain`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Maintained {
    /// There is more to do: call again when there is time.
    More,
    /// Nothing is left to do.
    Done,
}

/// Files on their way to be segments.
#[derive(Debug)]
pub(crate) struct Spares<F> {
    ready: Vec<(PathBuf, F)>,
    /// One that is being filled with zeros, and how far it is.
    filling: Option<(PathBuf, F, u64)>,
    /// One for a batch that is larger than a segment is.
    pub(crate) large: Option<Large<F>>,
    next: u64,
}

impl<F> Default for Spares<F> {
    fn default() -> Self {
        Self { ready: Vec::new(), filling: None, large: None, next: 1 }
    }
}

/// The values that are being moved out of the oldest segment.
#[derive(Debug, Default)]
pub(crate) struct Moving {
    segment: u32,
    values: VecDeque<(GroupId, Instance)>,
}

/// The name of a spare file.
const SPARE: &str = "spare-";

/// Below so many segments nothing is moved.
const SEGMENTS_MIN: u64 = 4;

impl<V: Vfs> Log<V> {
    /// Forgets a group's log up to `upto`, durably, and frees segments that nobody needs any more.
    ///
    /// # Errors
    ///
    /// If the file system refuses: final, see [`LogError`].
    ///
    /// # Panics
    ///
    /// If the last batch is not synced yet.
    pub fn clean(&mut self, group: GroupId, upto: Instance) -> Result<(), LogError> {
        self.append([(group, &Record::Cleaned(upto))])?;
        self.sync()?;
        let freed = self.free_oldest();
        self.keep(freed).map(drop)
    }

    /// A bounded piece of the work that keeps writing fast: fills some of the next segment with
    /// zeros, frees segments, or moves some values out of the oldest one, with a sync of its own
    /// for each. Call it when there is nothing to write. A log that is never maintained frees dead
    /// segments and makes new ones when it needs them, all at once, and never moves values.
    ///
    /// A full disk is no error here, and is not asked again until [`Self::try_again`]: see
    /// [`Self::admits`].
    ///
    /// # Errors
    ///
    /// If the file system refuses anything else: final, see [`LogError`].
    ///
    /// # Panics
    ///
    /// If the last batch is not synced yet.
    pub fn maintain(&mut self) -> Result<Maintained, LogError> {
        self.check()?;
        assert!(!self.unsynced, "batch {} is not synced yet", self.number);
        let done = self.maintain_or_fail();
        self.keep(done)
    }

    /// Bytes of batches that can be written before space is needed that is not allocated yet.
    #[must_use]
    pub fn room(&self) -> u64 {
        let spare = self.config.segment_bytes - segment::HEAD;
        self.left().saturating_add(self.spares_ready().saturating_mul(spare))
    }

    pub(crate) fn spares_ready(&self) -> u64 {
        u64::try_from(self.spares.ready.len()).unwrap_or(u64::MAX)
    }

    fn maintain_or_fail(&mut self) -> Result<Maintained, LogError> {
        if self.free_oldest()? {
            return Ok(Maintained::More);
        }
        if self.spares.ready.is_empty()
            && !self.is_refused()
            && self.fill_spare(self.config.preallocate_bytes)? == Maintained::More
        {
            return Ok(Maintained::More);
        }
        if self.move_values()? { Ok(Maintained::More) } else { Ok(Maintained::Done) }
    }

    /// Frees the oldest segments, up to the first that holds a live value. What they still say is written
    /// anew first; if that takes a segment of its own, only if it takes less than they do. So it
    /// comes to an end, even if the marks are larger than a segment.
    pub(crate) fn free_oldest(&mut self) -> Result<bool, LogError> {
        let dead: Vec<u32> = {
            let shared = self.shared.read();
            let below = self.segments.range(..self.current()).map(|(&number, _)| number);
            below.take_while(|&number| shared.live_in(number).slots == 0).collect()
        };
        let Some(&last) = dead.last() else { return Ok(false) };
        self.begin();
        self.push_marks(last);
        let entry = Entry::bare(Kind::Oldest, GroupId(0), u64::from(last + 1), Ballot::ZERO);
        self.push(entry, None);
        if !self.is_worth_it(&dead)? {
            self.begin();
            return Ok(false);
        }
        self.put_marks(last)?;
        for number in dead {
            mark!(SEGMENT_FREED);
            self.segments.remove(&number);
            let file = {
                let mut shared = self.shared.write();
                shared.live.remove(&number);
                shared.files.remove(&number)
            };
            self.release(file, &segment::path(&self.dir, number))?;
        }
        self.vfs.sync_dir(&self.dir).map_err(LogError::io("sync", &self.dir))?;
        Ok(true)
    }

    /// Whether the marks that were pushed have room, and are no more than what goes with these segments.
    fn is_worth_it(&mut self, dead: &[u32]) -> Result<bool, LogError> {
        // More than any batch may hold has no room anywhere.
        let Some(Layout { end, .. }) = self.layout() else { return Ok(false) };
        let freed: u64 = dead.iter().map(|number| self.segments[number].size).sum();
        if end > self.left() && freed <= segment::size_for(end, self.config.segment_bytes) {
            return Ok(false);
        }
        Ok(self.fits(end, 0) || self.allocate_for(end)?) // or what was kept for this is used up
    }

    /// Before a batch: if the next segment may be needed and none is ready, frees dead ones first.
    pub(crate) fn look_ahead(&mut self) -> Result<(), LogError> {
        let size = self.segments.last_key_value().map_or(0, |(_, segment)| segment.size);
        if self.spares.ready.is_empty() && self.at > size / 4 * 3 && !self.unsynced {
            self.free_oldest()?;
        }
        Ok(())
    }

    /// Everything that is not a value and may be in `oldest` or below.
    fn push_marks(&mut self, oldest: u32) {
        let zero = Ballot::ZERO;
        let mut marks = Vec::new();
        let mut payloads = Vec::new();
        {
            let shared = self.shared.read();
            marks.push(Entry::bare(Kind::Boot, GroupId(0), shared.boot, zero));
            for (&group, of) in shared.groups.iter().filter(|(_, of)| of.marks <= oldest) {
                let formatted = Ballot { incarnation: of.incarnation, ..zero };
                marks.push(Entry::bare(Kind::Formatted, group, 0, formatted));
                marks.push(Entry::bare(Kind::Promised, group, 0, of.promised));
                if let Some(held) = &of.checkpoint {
                    mark!(CHECKPOINT_CARRIED_AHEAD);
                    payloads.push(held.record(group));
                }
                if !of.lease.is_zero() {
                    let nanos = u64::try_from(of.lease.as_nanos()).unwrap_or(u64::MAX);
                    marks.push(Entry::bare(Kind::Lease, group, nanos, zero));
                }
                marks.push(Entry::bare(Kind::Cleaned, group, of.cleaned.0, zero));
                if let Some(history) = &of.history {
                    let version = History::decode(history).map_or(0, |held| held.version().0);
                    let entry = Entry::bare(Kind::Membership, group, version, zero);
                    payloads.push((entry.with_payload(history), history.clone()));
                }
                marks.push(Entry::bare(Kind::Chosen, group, of.sure_hint().0, zero));
            }
            if let Some(founded) = shared.founding.as_ref().filter(|of| of.segment <= oldest) {
                let entry = Entry::bare(Kind::Founded, GroupId(0), 0, zero);
                payloads.push((entry.with_payload(&founded.bytes), founded.bytes.clone()));
            }
        }
        for entry in marks {
            self.push(entry, None);
        }
        for (entry, bytes) in payloads {
            self.push(entry, Some(bytes));
        }
    }

    /// Writes and syncs a batch with the marks that were in `oldest`.
    fn put_marks(&mut self, oldest: u32) -> Result<(), LogError> {
        self.put()?;
        self.sync()?;
        let current = self.current();
        let mut shared = self.shared.write();
        for of in shared.groups.values_mut().filter(|of| of.marks <= oldest) {
            of.marks = current;
        }
        if let Some(founded) = shared.founding.as_mut().filter(|of| of.segment <= oldest) {
            founded.segment = current;
        }
        Ok(())
    }

    /// Moves some values out of the oldest segment, if most of the log is dead.
    fn move_values(&mut self) -> Result<bool, LogError> {
        let Some((&oldest, _)) = self.segments.first_key_value() else { return Ok(false) };
        if oldest == self.current() {
            return Ok(false);
        }
        if self.moving.segment != oldest || self.moving.values.is_empty() {
            if !self.mostly_dead() {
                return Ok(false);
            }
            let shared = self.shared.read();
            self.moving.segment = oldest;
            self.moving.values.clear();
            for (&group, of) in &shared.groups {
                let here = of.slots.iter().filter(|(_, slot)| slot.segment == oldest);
                self.moving.values.extend(here.map(|(&instance, _)| (group, instance)));
            }
            if self.moving.values.is_empty() {
                return Ok(false);
            }
        }
        self.begin();
        let mut room = self.config.rewrite_bytes;
        let mut payload = 0;
        let path = segment::path(&self.dir, oldest);
        while let Some((group, instance)) = self.moving.values.pop_front() {
            let found = {
                let shared = self.shared.read();
                let of = shared.groups.get(&group);
                let slot = of.and_then(|of| {
                    let slot = of.slots.get(&instance)?;
                    Some((*slot, of.is_chosen(instance, slot)))
                });
                slot.zip(shared.files.get(&oldest).cloned())
            };
            let found = found.filter(|((slot, _), _)| slot.segment == oldest);
            let Some(((slot, is_chosen), file)) = found else { continue };
            let value = read_mended(file.as_ref(), self.salt, &slot);
            let value = value.map_err(LogError::io("read", &path))?;
            let kind = match &value {
                None => {
                    mark!(LOST_VALUE_MOVED);
                    Kind::Lost
                }
                // It comes to stand after the hint, which would not be about a vote there.
                Some(_) if is_chosen => Kind::Learned,
                Some(_) => Kind::Accepted,
            };
            let ballot = if kind == Kind::Learned { Ballot::ZERO } else { slot.ballot };
            let mut entry = Entry::bare(kind, group, instance.0, ballot);
            if let Some(value) = &value {
                entry = entry.with_payload(value);
            }
            payload += u64::from(entry.len);
            let records = u32::try_from(self.scratch.entries.len() + 1).ok();
            let layout = records.and_then(|records| Layout::new(records, payload));
            let fits = layout.is_some_and(|layout| self.fits(layout.end, self.marks_end()));
            if !fits {
                let need = Need { records: 1, payload, ..Need::default() };
                if !self.scratch.entries.is_empty() || !self.make_room(need)? {
                    self.moving.values.push_front((group, instance));
                    break;
                }
            }
            self.push(entry, value);
            room = room.saturating_sub(u64::from(slot.len).max(64));
            if room == 0 {
                break;
            }
        }
        if self.scratch.entries.is_empty() {
            return Ok(self.moving.values.is_empty());
        }
        mark!(VALUES_MOVED);
        self.put()?;
        self.sync()?;
        Ok(true)
    }

    fn mostly_dead(&self) -> bool {
        let size: u64 = self.segments.values().map(|segment| segment.size).sum();
        let shared = self.shared.read();
        let live: u64 = shared.live.values().map(|live| live.bytes).sum();
        size > live.saturating_mul(2) + SEGMENTS_MIN * self.config.segment_bytes
    }

    /// Makes a file that was a segment a spare one, or removes it; the caller syncs the directory.
    fn release(&mut self, file: Option<Arc<V::File>>, path: &Path) -> Result<(), LogError> {
        // A reader may still hold the file; then it is not written over.
        let file = file.and_then(Arc::into_inner);
        match file.filter(|file| file.size().is_ok_and(|size| size == self.config.segment_bytes)) {
            Some(file) if self.spares.ready.len() < self.config.spares_max => {
                mark!(SEGMENT_RECYCLED);
                let spare = self.spare_path();
                self.vfs.rename(path, &spare).map_err(LogError::io("rename", path))?;
                self.spares.ready.push((spare, file));
                self.has_space();
            }
            _ => self.vfs.remove(path).map_err(LogError::io("remove", path))?,
        }
        Ok(())
    }

    pub(crate) fn spare_path(&mut self) -> PathBuf {
        let path = self.dir.join(format!("{SPARE}{}", self.spares.next));
        self.spares.next += 1;
        path
    }

    /// Fills up to `bytes` more of the next spare segment. A full disk puts it off.
    pub(crate) fn fill_spare(&mut self, bytes: u64) -> Result<Maintained, LogError> {
        let (path, file, from) = match self.spares.filling.take() {
            Some(filling) => filling,
            None => {
                let path = self.spare_path();
                match self.vfs.create(&path) {
                    Err(error) if is_full(&error) => {
                        self.give_back(&path)?;
                        return Ok(Maintained::Done);
                    }
                    file => (path.clone(), file.map_err(LogError::io("create", &path))?, 0),
                }
            }
        };
        let size = self.config.segment_bytes;
        let to = from.saturating_add(bytes.max(1)).min(size);
        // Some file systems look for the space only when they sync.
        let filled = file.preallocate(from, to);
        let filled = if to < size { filled } else { filled.and_then(|()| file.sync_data()) };
        match filled {
            Err(error) if is_full(&error) => {
                mark!(SPARE_PUT_OFF_DISK_FULL);
                drop(file);
                self.give_back(&path)?;
                return Ok(Maintained::Done);
            }
            result => result.map_err(LogError::io("preallocate", &path))?,
        }
        if to < size {
            self.spares.filling = Some((path, file, to));
        } else {
            self.vfs.sync_dir(&self.dir).map_err(LogError::io("sync", &self.dir))?;
            self.spares.ready.push((path, file));
            self.has_space();
        }
        Ok(Maintained::More)
    }

    /// A file of `size` bytes under the name `path`; the caller syncs both.
    pub(crate) fn take_spare(&mut self, path: &Path, size: u64) -> Result<V::File, LogError> {
        if let Some(large) = self.spares.large.take_if(|large| large.size == size) {
            self.vfs.rename(&large.path, path).map_err(LogError::io("rename", &large.path))?;
            return Ok(large.file);
        }
        if size != self.config.segment_bytes {
            if !self.make_large(size)? {
                return Err(self.full(size));
            }
            return self.take_spare(path, size);
        }
        mark!(SPARE_MISSING if self.spares.ready.is_empty());
        while self.spares.ready.is_empty() {
            if self.fill_spare(u64::MAX)? == Maintained::Done {
                return Err(self.full(size));
            }
        }
        let (spare, file) = self.spares.ready.remove(0);
        self.vfs.rename(&spare, path).map_err(LogError::io("rename", &spare))?;
        Ok(file)
    }

    /// Takes up the spare files of an earlier process; removes those that are not whole.
    pub(crate) fn adopt_spares(&mut self, names: &[String]) -> Result<(), LogError> {
        for name in names.iter().filter(|name| name.starts_with(SPARE)) {
            let path = self.dir.join(name);
            if let Some(n) = name[SPARE.len()..].parse::<u64>().ok().filter(|&n| n < u64::MAX) {
                self.spares.next = self.spares.next.max(n + 1);
            }
            let file = self.vfs.open(&path).map_err(LogError::io("open", &path))?;
            let size = file.size().map_err(LogError::io("read", &path))?;
            if size == self.config.segment_bytes && self.spares.ready.len() < self.config.spares_max
            {
                self.spares.ready.push((path, file));
            } else {
                mark!(SPARE_LEFT_UNFINISHED if size != self.config.segment_bytes);
                drop(file);
                self.vfs.remove(&path).map_err(LogError::io("remove", &path))?;
            }
        }
        Ok(())
    }
}
