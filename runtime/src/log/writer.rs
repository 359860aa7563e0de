//! Writing: one batch, one sync.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use synod_core::{Ballot, Founding, GroupId, Record, WriteBatch, mark};

use super::config::LogConfig;
use super::error::LogError;
use super::format::{BATCH_BYTES_MAX, Entry, Kind, Layout, bytes, index, put_header, second_copy};
use super::founding;
use super::index::{Founded, Place};
use super::parity;
use super::reader::{LogReader, Shared};
use super::segment::{self, HEAD, SegmentHeader, Start};
use crate::vfs::{Vfs, VfsFile};

/// A node's log. One writer; any number of [`LogReader`]s.
pub struct Log<V: Vfs> {
    pub(crate) vfs: V,
    pub(crate) dir: Arc<PathBuf>,
    pub(crate) config: LogConfig,
    pub(crate) salt: u64,
    pub(crate) shared: Arc<Shared<V::File>>,
    /// Every kept segment, by number; the last one is written to.
    pub(crate) segments: BTreeMap<u32, Segment>,
    /// Segments up to this number were set aside.
    pub(crate) floor: u32,
    pub(crate) file: Arc<V::File>,
    /// Where the next batch goes.
    pub(crate) at: u64,
    /// The number of the last batch written.
    pub(crate) number: u64,
    pub(crate) chain: u32,
    pub(crate) unsynced: bool,
    pub(crate) failed: Option<LogError>,
    pub(crate) spares: super::clean::Spares<V::File>,
    pub(crate) refused: super::room::Refused,
    pub(crate) moving: super::clean::Moving,
    pub(crate) scratch: Scratch,
    /// Held until the log is dropped.
    #[expect(dead_code, reason = "held, not read")]
    pub(crate) lock: V::Lock,
}

/// A segment, as the writer knows it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segment {
    pub(crate) start: Start,
    pub(crate) size: u64,
}

/// Buffers for one batch, kept for the next.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    pub(crate) entries: Vec<Entry>,
    pub(crate) payloads: Vec<Bytes>,
    blocks: Vec<u32>,
    parity: Vec<u8>,
    buf: Vec<u8>,
}

/// Values from this size on are written from where they are, without a copy.
const COPY_MAX: usize = 32 * 1024;

/// A buffer that grew beyond this for one batch is not kept.
const KEEP_MAX: usize = 8 << 20;

impl<V: Vfs> Log<V> {
    /// Writes the records of all `batches` as one batch of the log, in order. They are durable when
    /// [`sync`](Self::sync) has returned.
    ///
    /// # Errors
    ///
    /// If the file system refuses: final, see [`LogError`].
    ///
    /// # Panics
    ///
    /// If the last batch is not synced yet: at most one batch may be torn by a power loss, and
    /// recovery relies on it. If the batches hold more than [`BATCH_BYTES_MAX`] bytes of values, or
    /// records of a group that the log was not opened for.
    pub fn write(&mut self, batches: &[WriteBatch]) -> Result<(), LogError> {
        self.append(batches.iter().flat_map(|batch| {
            let group = batch.group();
            batch.records().iter().map(move |record| (group, record))
        }))
    }

    /// As [`write`](Self::write), of records that come from anywhere.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write).
    ///
    /// # Panics
    ///
    /// As [`write`](Self::write).
    pub fn append<'a>(
        &mut self,
        records: impl IntoIterator<Item = (GroupId, &'a Record)>,
    ) -> Result<(), LogError> {
        self.check()?;
        let ready = self.look_ahead();
        self.keep(ready)?;
        self.begin();
        for (group, record) in records {
            let (entry, payload) = Entry::of(group, record);
            self.push(entry, payload);
        }
        if self.scratch.entries.is_empty() {
            return Ok(());
        }
        self.put()
    }

    /// Makes the last batch durable. Does nothing if it is.
    ///
    /// # Errors
    ///
    /// If the file system refuses: final, see [`LogError`].
    pub fn sync(&mut self) -> Result<(), LogError> {
        self.check()?;
        if self.unsynced {
            let path = segment::path(&self.dir, self.current());
            let synced = self.file.sync_data().map_err(LogError::io("sync", &path));
            self.keep(synced)?;
            self.unsynced = false;
        }
        Ok(())
    }

    /// Writes down what the cluster starts from, and syncs.
    ///
    /// # Errors
    ///
    /// If the file system refuses: final, see [`LogError`]. [`LogError::Full`] if there is no room,
    /// which [`admits_founding`](Self::admits_founding) says without an error.
    ///
    /// # Panics
    ///
    /// If the last batch is not synced yet, or the directory has a founding already.
    pub fn found(&mut self, founding: &Founding) -> Result<(), LogError> {
        self.check()?;
        assert!(self.shared.read().founding.is_none(), "founded already");
        self.begin();
        self.push_founding(founding);
        self.put()?;
        self.sync()?;
        self.founded(founding);
        Ok(())
    }

    pub(crate) fn push_founding(&mut self, founding: &Founding) {
        let payload = founding::encode(founding);
        let entry = Entry::bare(Kind::Founded, GroupId(0), 0, Ballot::ZERO).with_payload(&payload);
        self.push(entry, Some(payload));
    }

    /// A founding is on disk, in the segment written to.
    pub(crate) fn founded(&mut self, founding: &Founding) {
        let (bytes, segment) = (founding::encode(founding), self.current());
        let founding = founding.clone();
        self.shared.write().founding = Some(Founded { founding, bytes, segment });
    }

    /// Whether a batch was written and not synced.
    #[must_use]
    pub const fn unsynced(&self) -> bool {
        self.unsynced
    }

    /// The number of the last durable batch.
    #[must_use]
    pub const fn batch(&self) -> u64 {
        if self.unsynced { self.number - 1 } else { self.number }
    }

    /// The failure that stopped the log, if one did.
    #[must_use]
    pub const fn failed(&self) -> Option<&LogError> {
        self.failed.as_ref()
    }

    /// Reads values back, beside the writer.
    #[must_use]
    pub fn reader(&self) -> LogReader<V> {
        let (dir, shared) = (Arc::clone(&self.dir), Arc::clone(&self.shared));
        LogReader { dir, salt: self.salt, shared }
    }

    /// The number of the segment written to.
    pub(crate) fn current(&self) -> u32 {
        self.segments.last_key_value().map_or(self.floor, |(&number, _)| number)
    }

    /// The first failure is final (I7).
    pub(crate) fn check(&self) -> Result<(), LogError> {
        self.failed.clone().map_or(Ok(()), Err)
    }

    pub(crate) fn keep<T>(&mut self, result: Result<T, LogError>) -> Result<T, LogError> {
        if let Err(error) = &result {
            mark!(LOG_FAILED);
            self.failed = Some(error.clone());
        }
        result
    }

    /// Starts a batch.
    pub(crate) fn begin(&mut self) {
        assert!(!self.unsynced, "batch {} is not synced yet", self.number);
        self.scratch.entries.clear();
        self.scratch.payloads.clear();
    }

    pub(crate) fn push(&mut self, entry: Entry, payload: Option<Bytes>) {
        self.scratch.entries.push(entry);
        self.scratch.payloads.push(payload.unwrap_or_default());
    }

    /// Writes the batch.
    pub(crate) fn put(&mut self) -> Result<(), LogError> {
        let result = self.put_or_fail();
        self.scratch.payloads.clear();
        if self.scratch.buf.capacity() > KEEP_MAX {
            self.scratch.buf = Vec::new();
        }
        self.keep(result)
    }

    /// How the batch lies in the file; `None` if it is larger than a batch may be.
    pub(crate) fn layout(&self) -> Option<Layout> {
        let payload = self.scratch.payloads.iter().map(|each| bytes(each.len())).sum();
        let records = u32::try_from(self.scratch.entries.len()).ok();
        records.and_then(|records| Layout::new(records, payload))
    }

    fn put_or_fail(&mut self) -> Result<(), LogError> {
        let Some(layout) = self.layout() else {
            panic!("more than {BATCH_BYTES_MAX} bytes in a batch");
        };
        if self.at + layout.end > self.segments[&self.current()].size {
            mark!(SEGMENT_FULL);
            self.next_segment(layout.end)?;
        }
        mark!(LARGE_BATCH if !layout.twice);
        let segment = self.current();
        let path = segment::path(&self.dir, segment);
        let written =
            if layout.twice { self.write_twice(layout) } else { self.write_large(layout) };
        let id = written.map_err(LogError::io("write", &path))?;
        self.index_batch(segment, layout);
        self.at += layout.end;
        self.number += 1;
        self.chain = id;
        self.unsynced = true;
        Ok(())
    }

    fn header(&mut self) -> u32 {
        let (segment, number) = (self.current(), self.number + 1);
        let Scratch { entries, blocks, buf, .. } = &mut self.scratch;
        buf.clear();
        put_header(buf, self.salt, segment, number, self.chain, entries, blocks)
    }

    fn write_twice(&mut self, layout: Layout) -> std::io::Result<u32> {
        self.scratch.blocks.clear();
        let id = self.header();
        let Scratch { payloads, buf, .. } = &mut self.scratch;
        for payload in payloads {
            buf.extend_from_slice(payload);
        }
        buf.resize(index(layout.second), 0);
        buf.extend_from_within(..);
        second_copy(&mut buf[index(layout.second)..], id);
        self.file.write_at(self.at, buf)?;
        Ok(id)
    }

    fn write_large(&mut self, layout: Layout) -> std::io::Result<u32> {
        let Scratch { payloads, blocks, parity, .. } = &mut self.scratch;
        parity::check(payloads, blocks, parity);
        let id = self.header();
        let Scratch { payloads, parity, buf, .. } = &mut self.scratch;
        buf.resize(index(layout.payload), 0);
        let mut at = self.at;
        for payload in payloads.iter() {
            if payload.len() < COPY_MAX {
                buf.extend_from_slice(payload);
                continue;
            }
            self.file.write_at(at, buf)?;
            at += bytes(buf.len());
            buf.clear();
            self.file.write_at(at, payload)?;
            at += bytes(payload.len());
        }
        let padding = self.at + layout.second - bytes(parity.len()) - at - bytes(buf.len());
        buf.resize(buf.len() + index(padding), 0);
        buf.extend_from_slice(parity);
        let second = buf.len();
        // The header again, from its parts: the first copy may be gone from the buffer.
        let (segment, number) = (self.current(), self.number + 1);
        let Scratch { entries, blocks, buf, .. } = &mut self.scratch;
        put_header(buf, self.salt, segment, number, self.chain, entries, blocks);
        second_copy(&mut buf[second..], id);
        buf.resize(second + index(layout.payload), 0);
        self.file.write_at(at, buf)?;
        Ok(id)
    }

    fn index_batch(&mut self, segment: u32, layout: Layout) {
        let mut shared = self.shared.write();
        let mut at = self.at + layout.payload;
        let twin = if layout.twice { layout.second } else { 0 };
        for (entry, payload) in self.scratch.entries.iter().zip(&self.scratch.payloads) {
            assert!(
                matches!(entry.kind, Kind::Formatted | Kind::Boot | Kind::Founded | Kind::Oldest)
                    || shared.groups.contains_key(&entry.group),
                "the log was not opened for group {}",
                entry.group
            );
            let place = Place {
                segment,
                offset: u32::try_from(at).expect("segments end below 4 GiB"),
                twin: u16::try_from(twin).expect("two blocks at most"),
                lost: false,
            };
            shared.apply(entry, place);
            shared.apply_checkpoint(entry, payload);
            if entry.kind == Kind::Membership {
                shared.remember(entry, Some(payload.clone()));
            }
            at += u64::from(entry.len);
        }
    }

    /// Begins the next segment, with room for `need` bytes of batches.
    ///
    /// Its header names the oldest segment still needed, and vouches that every batch so far is
    /// synced. Header and name are synced before the first batch is written.
    pub(crate) fn next_segment(&mut self, need: u64) -> Result<(), LogError> {
        assert!(!self.unsynced, "a segment vouches for all batches before it");
        let size = segment::size_for(need, self.config.segment_bytes);
        let number = self.current().checked_add(1).expect("four billion segments");
        let path = segment::path(&self.dir, number);
        let file = self.take_spare(&path, size)?;
        let start = Start { segment: number, first: self.number + 1, chain: self.chain };
        let oldest = self.segments.first_key_value().map_or(start, |(_, segment)| segment.start);
        let header = SegmentHeader { salt: self.salt, start, oldest };
        header.write(&file).map_err(LogError::io("write", &path))?;
        file.sync_data().map_err(LogError::io("sync", &path))?;
        self.vfs.sync_dir(&self.dir).map_err(LogError::io("sync", &self.dir))?;
        self.file = Arc::new(file);
        self.shared.write().files.insert(number, Arc::clone(&self.file));
        self.segments.insert(number, Segment { start, size });
        self.at = HEAD;
        Ok(())
    }
}

impl<V: Vfs> fmt::Debug for Log<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log")
            .field("dir", &self.dir)
            .field("segment", &self.current())
            .field("at", &self.at)
            .field("number", &self.number)
            .field("unsynced", &self.unsynced)
            .field("failed", &self.failed)
            .finish_non_exhaustive()
    }
}
