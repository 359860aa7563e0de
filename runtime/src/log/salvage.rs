//! What a damaged log still says: how far its numbers went, and which cluster it belongs to.
//!
//! # Which founding is believed
//!
//! The newest, if nothing that cannot be read may be newer. A directory gets another founding by a recovery
//! alone (see `recover`), as the *first batch of a segment*; wherever else a founding stands it is the one
//! that the directory had already, carried ahead by cleaning, or by a start that began anew (see
//! `renew`). So a founding counts only if of each segment above it the first batch is read, or the segment
//! never had one:
//!
//! - Bad headers are in nobody's way. A batch is checked by the salt and the number of its segment, and
//!   the other segments give the salt; so the first batch is found without them. Damage of headers alone,
//!   in any number of segments, never costs a founding, and the one of a recovery is found behind its own.
//! - A segment without a first batch is one whose process ended before the batch was durable. Of the last
//!   segment nobody was told anything then; of another one the next segment says so, whose own first
//!   batch has the same number.
//! - A segment that is missing, or whose first batch is lost in both copies, may have been a recovery's.
//!   Going on below it would bring back a cluster that was given up, so nothing below it is believed, and
//!   the directory is as one whose founding is lost. What is found *above* it counts.
//!
//! What lies behind a first batch can be as bad as it likes: no other founding was ever there. And nothing
//! tells of the *last* segment if it is gone altogether: that is what a start finds that never came to
//! its first batch.

use std::collections::BTreeSet;
use std::path::Path;

use synod_core::{Ballot, Founding};

use super::error::OpenError;
use super::format::{Entry, Kind};
use super::founding;
use super::index::Slot;
use super::open::{OnDisk, walk};
use super::reader::read_value;
use super::scan::{Batch, ScanError, Scanner};
use super::segment::{self, HEAD, NUMBER_MAX, SegmentHeader, Start};
use crate::vfs::{Vfs, VfsFile};

/// What a damaged log still says, as far as it can be read from the front of each segment.
#[derive(Debug, Default)]
pub(super) struct Salvaged {
    /// The last process start.
    pub(super) boot: u64,
    /// The number of the last batch.
    pub(super) batch: u64,
    /// None if it is lost, or cannot be believed.
    pub(super) founding: Option<Founding>,
}

/// Reads these segments, which may hold anything.
pub(super) fn salvage<V: Vfs>(
    vfs: &V,
    dir: &Path,
    segments: &[u32],
) -> Result<Salvaged, OpenError> {
    let mut disk = Vec::new();
    let mut numbers: Vec<u32> = segments.to_vec();
    numbers.retain(|&number| number <= NUMBER_MAX);
    numbers.sort_unstable(); // of two foundings the later one counts
    for number in numbers {
        let path = segment::path(dir, number);
        let file = vfs.open(&path).map_err(OpenError::io("open", &path))?;
        let found = SegmentHeader::read(&file, number).map_err(OpenError::io("read", &path))?;
        disk.push((number, OnDisk { path, file, found }));
    }
    let salts: BTreeSet<u64> =
        disk.iter().filter_map(|(_, on_disk)| on_disk.header()).map(|it| it.salt).collect();
    let mut starts = Vec::new();
    for (number, on_disk) in &disk {
        let start = match on_disk.header() {
            Some(header) => Some((header.salt, header.start)),
            None => first_batch(on_disk, *number, &salts)?,
        };
        starts.push(start);
    }

    let mut salvaged = Salvaged::default();
    let mut before = None;
    for (position, (number, on_disk)) in disk.iter().enumerate() {
        let is_missing = before.is_some_and(|before| before + 1 != *number);
        before = Some(*number);
        let next = starts.get(position + 1);
        let end = next.and_then(|next| next.map(|(_, start)| start.first));
        if is_missing {
            salvaged.founding = None;
        }
        let mut is_read = false;
        let walked = starts[position].map(|(salt, start)| {
            let mut each = |batch: &Batch| {
                is_read = true;
                batch.mend(&on_disk.file).map_err(OpenError::io("write", &on_disk.path))?;
                salvaged.take(on_disk, batch);
                Ok(())
            };
            // Whatever comes behind the first batch that cannot be read is not looked at.
            walk(on_disk, salt, start, end, &mut each)
        });
        // It ended before its first batch was durable: as the last one, or as the next one says.
        let is_empty = matches!(walked, Some(Ok(_))) && (end.is_some() || next.is_none());
        if !is_read && !is_empty {
            salvaged.founding = None;
        }
    }
    Ok(salvaged)
}

/// Where a segment starts whose headers are bad, and with which salt: its first batch may tell.
fn first_batch<F: VfsFile>(
    on_disk: &OnDisk<F>,
    number: u32,
    salts: &BTreeSet<u64>,
) -> Result<Option<(u64, Start)>, OpenError> {
    let io = |error| OpenError::io("read", &on_disk.path)(error);
    for &salt in salts {
        let mut scanner = Scanner::new(&on_disk.file, salt, number).map_err(io)?;
        let (place, header, copy) = match scanner.find(HEAD) {
            Ok(Some(found)) => found,
            Ok(None) | Err(ScanError::Unknown | ScanError::Contradiction(_)) => continue,
            Err(ScanError::Io(error)) => return Err(io(error)),
        };
        let ahead = if copy == 0 { 0 } else { header.layout.second };
        if place == HEAD + ahead {
            let start = Start { segment: number, first: header.number, chain: header.chain };
            return Ok(Some((salt, start)));
        }
    }
    Ok(None)
}

impl Salvaged {
    fn take<F: VfsFile>(&mut self, on_disk: &OnDisk<F>, batch: &Batch) {
        self.batch = self.batch.max(batch.header.number);
        for (entry, place) in batch.header.entries.iter().zip(&batch.payloads) {
            if entry.kind == Kind::Boot {
                self.boot = self.boot.max(entry.instance);
            }
            if entry.kind == Kind::Founded {
                let slot = Slot {
                    ballot: Ballot::ZERO,
                    segment: 0,
                    offset: u32::try_from(place.unwrap_or(0)).unwrap_or(u32::MAX),
                    len: entry.len,
                    crc: entry.crc,
                    twin: 0,
                    lost: place.is_none(),
                };
                let bytes = read_value(&on_disk.file, &slot).ok().flatten();
                let founding = bytes.as_deref().and_then(founding::decode);
                // One that cannot be read may be of a later cluster than the one before it.
                let is_same = |held: &Founding| {
                    Entry::bare(Kind::Founded, entry.group, 0, Ballot::ZERO)
                        .with_payload(&founding::encode(held))
                        == *entry
                };
                self.founding = founding.or_else(|| self.founding.take().filter(is_same));
            }
        }
    }
}
